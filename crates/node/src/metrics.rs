//! What a server counts, in the text form that Prometheus reads.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::time::Duration;

/// Media type of the OpenMetrics text form.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of latency histograms, seconds: 0.25 ms to 32 s, each twice the one before.
fn latency() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(
        0.000_25, 2.0, 18,
    ))
}

/// Bounds of size histograms: 1 to 512, each twice the one before.
fn size() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(
        1.0, 2.0, 10,
    ))
}

/// The HTTP status of an answer, as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Status {
    /// HTTP status code.
    pub status: u16,
}

/// What an inference node counts.
#[derive(Debug, Default)]
pub struct NodeMetrics {
    /// Requests for inference, by status.
    pub requests: Family<Status, Counter>,
    /// Requests that run or wait now.
    pub running: Gauge,
    /// Receipts made durable.
    pub receipts: Counter,
    /// Receipts seen settled.
    pub settled: Counter,
    /// Receipts that can never settle.
    pub dropped: Counter,
    /// Receipts on disk that are not settled.
    pub unsettled: Gauge,
    /// Batches handed to the chain.
    pub batches: Counter,
    /// Batches that the chain refused.
    pub refused: Counter,
    /// Seconds from the arrival of a request to its answer.
    pub answer_s: Latency,
    /// Seconds that engines computed.
    pub engine_s: Latency,
    /// Seconds of a commit of the log.
    pub commit_s: Latency,
    /// Receipts in one commit of the log.
    pub group: Size,
    /// Seconds from the end of an answer until its receipt was seen settled.
    pub settlement_s: Latency,
}

/// A histogram of times.
#[derive(Debug, Clone)]
pub struct Latency(Histogram);

impl Default for Latency {
    fn default() -> Self {
        Self(latency())
    }
}

impl Latency {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

/// A histogram of counts.
#[derive(Debug, Clone)]
pub struct Size(Histogram);

impl Default for Size {
    fn default() -> Self {
        Self(size())
    }
}

impl Size {
    /// Counts one group of this size.
    pub fn observe(&self, count: usize) {
        self.0.observe(count as f64);
    }
}

impl NodeMetrics {
    /// All metrics as text.
    pub fn page(&self) -> Response {
        let mut registry = Registry::with_prefix("assay_node");
        let counters: [(&str, &str, &Counter); 5] = [
            ("receipts", "Receipts made durable", &self.receipts),
            ("settled", "Receipts seen settled", &self.settled),
            ("dropped", "Receipts that can never settle", &self.dropped),
            ("batches", "Batches handed to the chain", &self.batches),
            (
                "batches_refused",
                "Batches that the chain refused",
                &self.refused,
            ),
        ];
        for (name, words, counter) in counters {
            registry.register(name, words, counter.clone());
        }
        let gauges: [(&str, &str, &Gauge); 2] = [
            ("running", "Requests that run or wait", &self.running),
            (
                "unsettled",
                "Receipts on disk that are not settled",
                &self.unsettled,
            ),
        ];
        for (name, words, gauge) in gauges {
            registry.register(name, words, gauge.clone());
        }
        let times: [(&str, &str, &Latency); 4] = [
            (
                "answer_seconds",
                "From the arrival of a request to its answer",
                &self.answer_s,
            ),
            (
                "engine_seconds",
                "Time that engines computed",
                &self.engine_s,
            ),
            (
                "commit_seconds",
                "Time of one commit of the log",
                &self.commit_s,
            ),
            (
                "settlement_seconds",
                "From the end of an answer to its settlement",
                &self.settlement_s,
            ),
        ];
        for (name, words, histogram) in times {
            registry.register(name, words, histogram.0.clone());
        }
        registry.register(
            "commit_receipts",
            "Receipts in one commit of the log",
            self.group.0.clone(),
        );
        registry.register(
            "requests",
            "Requests for inference by status",
            self.requests.clone(),
        );
        page(&registry)
    }

    /// Counts an answer to a request for inference.
    pub fn answered(&self, status: StatusCode, took: Duration) {
        self.requests
            .get_or_create(&Status {
                status: status.as_u16(),
            })
            .inc();
        self.answer_s.observe(took);
    }
}

/// A registry as an HTTP answer.
pub fn page(registry: &Registry) -> Response {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_has_every_metric_with_its_value() {
        let metrics = NodeMetrics::default();
        metrics.receipts.inc_by(3);
        metrics.unsettled.set(2);
        metrics.answered(StatusCode::OK, Duration::from_millis(2));
        metrics.group.observe(5);
        let body = axum::body::to_bytes(metrics.page().into_body(), 1 << 20)
            .await
            .unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        for line in [
            "assay_node_receipts_total 3",
            "assay_node_unsettled 2",
            "assay_node_requests_total{status=\"200\"} 1",
            "assay_node_answer_seconds_bucket{le=\"0.002\"} 1",
            "assay_node_commit_receipts_sum 5.0",
            "assay_node_dropped_total 0",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
