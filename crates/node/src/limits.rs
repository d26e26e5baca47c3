//! What one client, and all clients together, may use of a server.

use crate::{
    api::MAX_BODY_BYTES,
    problem::{Kind, Problem},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most clients whose rates are remembered: 4 MB of buckets. Beyond it the fullest are forgotten.
pub const MAX_CLIENTS: usize = 65_536;

/// A question waits this long for its turn, or another server is asked. Together with the longest run of a model it
/// stays below the time that a gateway gives a node, or a busy node would look like a dead one.
pub const TURN_PATIENCE: Duration = Duration::from_secs(3);

/// Limits of a server, as its configuration states them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest body of a request, bytes.
    pub body_bytes: usize,
    /// Requests that run at once; 0 for one a core.
    pub running: usize,
    /// Requests that may wait for their turn beside those that run.
    pub waiting: usize,
    /// Questions a second of one client, by its IP address, and as many lookups of receipts, which are counted apart.
    /// Behind a gateway all clients are one.
    pub rate_per_s: u32,
    /// Requests that a client may send at once after a pause.
    pub burst: u32,
    /// Longest run of a model, milliseconds.
    pub run_ms: u64,
    /// Most elements of the inputs of one request.
    pub input_elements: u64,
    /// Most bytes that one run may hold beside the model.
    pub memory_bytes: u64,
    /// Most elementary operations of one run.
    pub operations: u64,
    /// Receipts that may be on disk and not settled before nothing new is taken: half a minute at
    /// 1,000 a second.
    pub unsettled: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let run = assay_inference::RunLimits::default();
        Self {
            body_bytes: MAX_BODY_BYTES,
            running: 0,
            waiting: 256,
            rate_per_s: 5_000,
            burst: 10_000,
            run_ms: 20_000,
            input_elements: run.input_elements,
            memory_bytes: run.memory_bytes,
            operations: run.operations,
            unsettled: 32_768,
        }
    }
}

impl Limits {
    /// Requests that run at once, with 0 resolved to the number of cores.
    pub fn running(&self) -> usize {
        match self.running {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            given => given,
        }
    }

    /// Longest run of a model.
    pub fn run_time(&self) -> Duration {
        Duration::from_millis(self.run_ms)
    }

    /// What one run may use.
    pub fn run_limits(&self) -> assay_inference::RunLimits {
        assay_inference::RunLimits {
            input_elements: self.input_elements,
            memory_bytes: self.memory_bytes,
            operations: self.operations,
        }
    }
}

/// A token bucket a client. Pure: time comes in as an argument.
#[derive(Debug)]
pub struct Buckets {
    per_s: f64,
    burst: f64,
    clients: HashMap<IpAddr, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Buckets {
    /// Buckets that fill by `per_s` tokens a second up to `burst`. Neither is below one.
    pub fn new(per_s: u32, burst: u32) -> Self {
        let (per_s, burst) = (f64::from(per_s.max(1)), f64::from(burst.max(1)));
        Self {
            per_s,
            burst,
            clients: HashMap::new(),
        }
    }

    /// Takes a token of `client` at `now`.
    ///
    /// # Errors
    /// The time after which the next token is there.
    pub fn take(&mut self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        if self.clients.len() >= MAX_CLIENTS && !self.clients.contains_key(&client) {
            self.forget(now);
        }
        let (per_s, burst) = (self.per_s, self.burst);
        let bucket = self.clients.entry(client).or_insert(Bucket {
            tokens: burst,
            at: now,
        });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        let tokens = (bucket.tokens + passed * per_s).min(burst);
        *bucket = Bucket {
            tokens,
            at: now.max(bucket.at),
        };
        if tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - tokens) / per_s));
        }
        bucket.tokens = tokens - 1.0;
        Ok(())
    }

    /// Forgets the buckets that are full again, which changes nothing for their clients, or all
    /// where none is.
    fn forget(&mut self, now: Instant) {
        let (per_s, burst) = (self.per_s, self.burst);
        self.clients.retain(|_, bucket| {
            let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
            bucket.tokens + passed * per_s < burst
        });
        if self.clients.len() >= MAX_CLIENTS {
            self.clients.clear();
        }
    }
}

/// [`Buckets`] that handlers share, with the refusal as a problem.
#[derive(Debug)]
pub struct RateLimiter(Mutex<Buckets>);

impl RateLimiter {
    /// A limiter of `per_s` requests a second of one client, and `burst` at once after a pause.
    pub fn new(per_s: u32, burst: u32) -> Self {
        Self(Mutex::new(Buckets::new(per_s, burst)))
    }

    /// Lets a request of `client` pass.
    ///
    /// # Errors
    /// [`Kind::RateLimited`] with the seconds to wait.
    pub fn admit(&self, client: IpAddr) -> Result<(), Problem> {
        // A panic elsewhere leaves at worst one bucket a token short.
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(client, Instant::now()).map_err(|pause| {
            let seconds = pause.as_secs().saturating_add(1);
            let detail = format!("{client} is over {} requests a second", buckets.per_s);
            Problem::new(Kind::RateLimited, detail).retry_after(seconds)
        })
    }
}

/// Bounds how many requests run and how many wait.
#[derive(Debug, Clone)]
pub struct Admission {
    entered: Arc<Semaphore>,
    running: Arc<Semaphore>,
    entries: usize,
}

/// A place among the requests that run or wait; dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    running: Arc<Semaphore>,
    entered: OwnedSemaphorePermit,
}

/// A turn to run; dropping it lets the next one run.
#[derive(Debug)]
pub struct Turn {
    _running: OwnedSemaphorePermit,
    _entered: OwnedSemaphorePermit,
}

impl Admission {
    /// Room for `running` requests that run and `waiting` that wait.
    pub fn new(running: usize, waiting: usize) -> Self {
        let running = running.clamp(1, Semaphore::MAX_PERMITS);
        let entries = running.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Self {
            entered: Arc::new(Semaphore::new(entries)),
            running: Arc::new(Semaphore::new(running)),
            entries,
        }
    }

    /// Requests that run or wait now.
    pub fn occupied(&self) -> usize {
        self.entries
            .saturating_sub(self.entered.available_permits())
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if none is free.
    pub fn enter(&self) -> Result<Place, Problem> {
        let entered = self.entered.clone().try_acquire_owned().map_err(|_| {
            let detail = format!("{} requests run or wait here already", self.entries);
            Problem::new(Kind::Unavailable, detail).retry_after(1)
        })?;
        Ok(Place {
            running: self.running.clone(),
            entered,
        })
    }
}

impl Place {
    /// Waits until it may run.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if its turn does not come within `patience`.
    pub async fn turn(self, patience: Duration) -> Result<Turn, Problem> {
        let turn = tokio::time::timeout(patience, self.running.acquire_owned()).await;
        match turn {
            Ok(Ok(running)) => Ok(Turn {
                _running: running,
                _entered: self.entered,
            }),
            // The semaphore is never closed, so this is the timeout.
            _ => {
                let detail = format!("no turn to run within {} ms", patience.as_millis());
                Err(Problem::new(Kind::Unavailable, detail)
                    .with_hint("ask another node")
                    .retry_after(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_client_has_its_burst_and_then_its_rate() {
        let mut buckets = Buckets::new(2, 3);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(buckets.take(ip(1), start), Ok(()));
        }
        assert_eq!(buckets.take(ip(1), start), Err(Duration::from_millis(500)));
        assert_eq!(
            buckets.take(ip(2), start),
            Ok(()),
            "another client is not concerned"
        );
        let later = start + Duration::from_millis(500);
        assert_eq!(buckets.take(ip(1), later), Ok(()));
        assert!(buckets.take(ip(1), later).is_err());
        assert!(
            buckets.take(ip(1), start).is_err(),
            "a clock that jumps back gives nothing"
        );
        let much_later = start + Duration::from_secs(3_600);
        let taken = (0..10)
            .filter(|_| buckets.take(ip(1), much_later).is_ok())
            .count();
        assert_eq!(taken, 3, "no more than the burst is saved up");
    }

    #[test]
    fn remembered_clients_are_bounded() {
        let mut buckets = Buckets::new(1, 1);
        let now = Instant::now();
        for client in 0..MAX_CLIENTS as u32 + 10 {
            assert_eq!(
                buckets.take(IpAddr::from(client.to_be_bytes()), now),
                Ok(())
            );
        }
        assert!(buckets.clients.len() <= MAX_CLIENTS);
    }

    #[tokio::test(start_paused = true)]
    async fn places_and_turns_are_bounded_and_freed() {
        let admission = Admission::new(1, 1);
        let first = admission
            .enter()
            .unwrap()
            .turn(Duration::ZERO)
            .await
            .unwrap();
        let second = admission.enter().unwrap();
        assert_eq!(admission.occupied(), 2);
        assert_eq!(
            admission.enter().unwrap_err().kind(),
            Some(Kind::Unavailable)
        );
        let late = second.turn(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(late.kind(), Some(Kind::Unavailable));
        drop(first);
        assert_eq!(admission.occupied(), 0);
        admission
            .enter()
            .unwrap()
            .turn(Duration::ZERO)
            .await
            .unwrap();
    }
}
