//! CPU time: what a thread, or the prover's threads together, computed, whatever the clock on the wall says.

use crate::error::Error;
use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// CPU time of the calling thread since it began.
pub fn of_thread() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

/// What a piece of work took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// By the clock on the wall.
    pub elapsed: Duration,
    /// CPU time of all its threads together.
    pub cpu: Duration,
}

/// Threads that do one piece of work at a time, one thread for each core, and whose CPU time is known.
#[derive(Debug)]
pub struct Workers(ThreadPool);

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`Error::System`] where the system has none to give.
    pub fn start() -> Result<Self, Error> {
        let named = ThreadPoolBuilder::new().thread_name(|at| format!("prover-{at}"));
        let started = named.build().map_err(|error| Error::System {
            what: "starting the prover's threads",
            source: std::io::Error::other(error),
        })?;
        Ok(Self(started))
    }

    /// Does `work` on these threads and says what it took. Work that runs on them at the same time is counted with it.
    pub fn measure<T: Send>(&self, work: impl FnOnce() -> T + Send) -> (T, Spent) {
        let (before, started) = (self.cpu(), Instant::now());
        let done = self.0.install(work);
        let elapsed = started.elapsed();
        let cpu = self.cpu().saturating_sub(before);
        (done, Spent { elapsed, cpu })
    }

    fn cpu(&self) -> Duration {
        self.0.broadcast(|_| of_thread()).into_iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    /// Spins until the calling thread has computed this long.
    fn spin(long: Duration) {
        let until = of_thread() + long;
        while of_thread() < until {
            black_box(0);
        }
    }

    #[test]
    fn the_cpu_time_of_every_thread_counts_and_that_of_others_does_not() {
        let workers = Workers::start().unwrap();
        let each = Duration::from_millis(20);
        let before = of_thread();
        let ((), spent) = workers.measure(|| {
            rayon::join(|| spin(each), || spin(each));
        });
        assert!(spent.cpu >= each * 2, "{spent:?}");
        spin(each);
        assert!(of_thread() - before >= each);
        let (answer, _) = workers.measure(|| 7);
        assert_eq!(answer, 7);
    }
}
