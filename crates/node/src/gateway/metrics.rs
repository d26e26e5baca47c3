//! What a gateway counts.

use crate::metrics::{Status, page};
use axum::{http::StatusCode, response::Response};
use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::time::Duration;

/// The gateway's counters; every request for inference is counted once.
#[derive(Debug)]
pub struct GatewayMetrics {
    /// Requests for inference, by status.
    pub requests: Family<Status, Counter>,
    /// Questions that went to another node because one failed.
    pub failovers: Counter,
    /// Answers that were thrown away because their receipt did not hold.
    pub bad_answers: Counter,
    /// Requests that run or wait.
    pub running: Gauge,
    /// Nodes that answered the last probe.
    pub live_nodes: Gauge,
    /// Validators that answered the last probe.
    pub live_validators: Gauge,
    answer_seconds: Histogram,
}

impl Default for GatewayMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            failovers: Counter::default(),
            bad_answers: Counter::default(),
            running: Gauge::default(),
            live_nodes: Gauge::default(),
            live_validators: Gauge::default(),
            // 0.25 ms to 32 s, each bound twice the one before.
            answer_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 18)),
        }
    }
}

impl GatewayMetrics {
    /// Counts an answer to a request for inference.
    pub fn answered(&self, status: StatusCode, took: Duration) {
        self.requests
            .get_or_create(&Status {
                status: status.as_u16(),
            })
            .inc();
        self.answer_seconds.observe(took.as_secs_f64());
    }

    /// All metrics as text.
    pub fn page(&self) -> Response {
        let mut registry = Registry::with_prefix("assay_gateway");
        registry.register(
            "requests",
            "Requests for inference by status",
            self.requests.clone(),
        );
        let counters: [(&str, &str, &Counter); 2] = [
            (
                "failovers",
                "Questions that went to another node",
                &self.failovers,
            ),
            (
                "bad_answers",
                "Answers whose receipt did not hold",
                &self.bad_answers,
            ),
        ];
        for (name, words, counter) in counters {
            registry.register(name, words, counter.clone());
        }
        let gauges: [(&str, &str, &Gauge); 3] = [
            ("running", "Requests that run or wait", &self.running),
            (
                "live_nodes",
                "Nodes that answered the last probe",
                &self.live_nodes,
            ),
            (
                "live_validators",
                "Validators that answered the last probe",
                &self.live_validators,
            ),
        ];
        for (name, words, gauge) in gauges {
            registry.register(name, words, gauge.clone());
        }
        let words = "From the arrival of a request to its answer";
        registry.register("answer_seconds", words, self.answer_seconds.clone());
        page(&registry)
    }
}
