//! Wakes tasks at exact times: tokio's timers count whole milliseconds, and what is measured here is less.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    sync::{Arc, Condvar, Mutex},
    time::Instant,
};
use tokio::sync::oneshot;

/// Clones share one thread.
#[derive(Clone)]
pub struct Clock(Arc<Shared>);

#[derive(Default)]
struct Shared {
    alarms: Mutex<BinaryHeap<Alarm>>,
    earlier: Condvar,
}

struct Alarm {
    at: Instant,
    wake: oneshot::Sender<()>,
}

/// The greatest alarm is the next one.
impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Alarm {}

impl Clock {
    /// Starts its thread, which runs until the process ends.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || of_thread.run());
        Self(shared)
    }

    /// Is ready at `at`.
    pub fn at(&self, at: Instant) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        let mut alarms = self.0.alarms.lock().unwrap();
        let is_next = alarms.peek().is_none_or(|next| at < next.at);
        alarms.push(Alarm { at, wake });
        drop(alarms);
        if is_next {
            self.0.earlier.notify_one();
        }
        woken
    }
}

impl Shared {
    fn run(&self) {
        let mut alarms = self.alarms.lock().unwrap();
        loop {
            let now = Instant::now();
            while alarms.peek().is_some_and(|next| next.at <= now) {
                if let Some(alarm) = alarms.pop() {
                    // Whoever waited may be gone.
                    let _ = alarm.wake.send(());
                }
            }
            alarms = match alarms.peek().map(|next| next.at) {
                None => self.earlier.wait(alarms).unwrap(),
                Some(at) => {
                    let rest = at.saturating_duration_since(now);
                    self.earlier.wait_timeout(alarms, rest).unwrap().0
                }
            };
        }
    }
}
