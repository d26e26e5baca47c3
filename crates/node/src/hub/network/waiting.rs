//! Moves whose commits are not here yet. They are fetched beside the following: a few at a time, each within a bounded time,
//! and those that failed after longer and longer pauses, so that no commit that nobody gives holds up another.

use super::{
    AFTER_FAILURE, Link,
    backoff::Backoff,
    follow::{enter, gather},
    notebook::Waiting,
};
use crate::{
    Error,
    hub::{Hub, RepositoryKey},
};
use assay_hub::CommitId;
use futures::{StreamExt as _, stream::FuturesUnordered};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Moves that are tried at a time for the first time, and as many that have failed before.
const AT_ONCE: usize = 2;
/// How long the first try of a move may fetch; each further one twice as long, since large histories take theirs.
const FIRST_TRY: Duration = Duration::from_secs(30);
/// Longest that a try may fetch.
const LONGEST_TRY: Duration = Duration::from_secs(600);
/// How often the notebook is looked at, though nobody said that there is something new.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A move: which ref goes to which commit.
type Key = (RepositoryKey, String, CommitId);

fn key_of(one: &Waiting) -> Key {
    (one.key(), one.reference.clone(), one.commit)
}

/// Which moves are tried now, and which have failed before.
#[derive(Default)]
struct Tries {
    backoff: Backoff<Key>,
    /// Those that are tried now, with whether they failed before.
    running: HashMap<Key, bool>,
}

impl Tries {
    /// Takes moves to try at `now` out of those that wait, those that failed least first.
    fn take(&mut self, waiting: &[Waiting], now: Instant) -> Vec<Waiting> {
        let mut due: Vec<(u32, &Waiting)> = waiting
            .iter()
            .map(|one| (key_of(one), one))
            .filter(|(key, _)| !self.running.contains_key(key))
            .filter(|(key, _)| self.backoff.until(key, now).is_none())
            .map(|(key, one)| (self.backoff.failures(&key), one))
            .collect();
        due.sort_by_key(|(failures, _)| *failures);
        let mut taken = Vec::new();
        for (failures, one) in due {
            let failed = failures > 0;
            let running = self.running.values().filter(|other| **other == failed);
            if running.count() < AT_ONCE {
                self.running.insert(key_of(one), failed);
                taken.push(one.clone());
            }
        }
        taken
    }

    /// How long the next try of a move may fetch.
    fn time(&self, key: &Key) -> Duration {
        let factor = 2u32.checked_pow(self.backoff.failures(key));
        let time = FIRST_TRY.saturating_mul(factor.unwrap_or(u32::MAX));
        time.min(LONGEST_TRY)
    }

    /// A try has ended.
    fn ended(&mut self, key: Key, done: bool, now: Instant) {
        self.running.remove(&key);
        match done {
            true => self.backoff.succeeded(&key),
            false => self.backoff.failed(key, now),
        }
    }
}

/// Tries for ever what waits.
pub(super) async fn run(hub: Arc<Hub>, link: Arc<Link>) {
    let (mut tries, mut running) = (Tries::default(), FuturesUnordered::new());
    loop {
        let mut waiting = match link.notebook.waiting() {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(%error, "the notebook cannot be read");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        tries.backoff.keep({
            let keys: std::collections::HashSet<Key> = waiting.iter().map(key_of).collect();
            move |key| keys.contains(key)
        });
        let look_again = tokio::time::sleep(LOOK_EVERY);
        tokio::pin!(look_again);
        loop {
            for one in tries.take(&waiting, Instant::now()) {
                let (hub, link, key) = (&hub, &link, key_of(&one));
                let time = tries.time(&key);
                running.push(async move { (key, try_one(hub, link, &one, time).await) });
            }
            tokio::select! {
                Some((key, tried)) = running.next() => {
                    if let Err(error) = &tried {
                        tracing::info!(commit = %key.2, %error, "a commit waits");
                    } else {
                        waiting.retain(|one| key_of(one) != key);
                    }
                    tries.ended(key, tried.is_ok(), Instant::now());
                }
                () = link.waits.notified() => break,
                () = &mut look_again => break,
            }
        }
    }
}

/// Fetches what a move needs, which may take `time`, and moves the ref, unless the ref has moved on meanwhile. The
/// repository's turn is held only while that is written.
async fn try_one(
    hub: &Arc<Hub>,
    link: &Arc<Link>,
    one: &Waiting,
    time: Duration,
) -> Result<(), Error> {
    let key = one.key();
    let still_waits = || link.notebook.waits(&key, &one.reference);
    if still_waits()?.as_ref() != Some(one) {
        return Ok(());
    }
    let slow = |_| {
        let why = format!("not all of it came within {} s", time.as_secs());
        Error::fetch(format!("commit {}", one.commit), why)
    };
    let commits = timeout(time, gather(hub, link, one.commit))
        .await
        .map_err(slow)??;
    let _turn = hub.turn(&key).await;
    if still_waits()?.as_ref() != Some(one) {
        return Ok(());
    }
    enter(hub, link, one, commits).await?;
    link.notebook.put_waiting(&key, &one.reference, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_hub::Kind;
    use assay_receipt::{Account, RevisionId};

    fn waiting(number: u8) -> Waiting {
        Waiting {
            kind: Kind::Model,
            publisher: Account::ZERO,
            name: format!("m{number:03}"),
            reference: "main".into(),
            revision: RevisionId::from_bytes([number; 32]),
            commit: CommitId::from_bytes([number; 32]),
            height: 1,
        }
    }

    fn names(taken: &[Waiting]) -> Vec<u8> {
        let number = |one: &Waiting| one.commit.as_bytes()[0];
        taken.iter().map(number).collect()
    }

    #[test]
    fn what_failed_holds_up_nothing_new_and_less_what_failed_less() {
        let mut tries = Tries::default();
        let now = Instant::now();
        let mut all: Vec<Waiting> = (0..4).map(waiting).collect();
        assert_eq!(names(&tries.take(&all, now)), [0, 1]);
        assert!(tries.take(&all, now).is_empty(), "two at a time");
        tries.ended(key_of(&all[0]), false, now);
        tries.ended(key_of(&all[1]), false, now);
        assert_eq!(names(&tries.take(&all, now)), [2, 3], "the others pause");
        // Two that have failed take no place of what is new.
        let later = now + LONGEST_TRY;
        assert_eq!(names(&tries.take(&all, later)), [0, 1]);
        tries.ended(key_of(&all[2]), true, later);
        all.remove(2);
        all.push(waiting(9));
        assert_eq!(names(&tries.take(&all, later)), [9]);
        // Of those that failed, the one that failed less often comes first, wherever it stands.
        tries.ended(key_of(&all[0]), false, later);
        tries.ended(key_of(&all[1]), false, later);
        tries.ended(key_of(&all[2]), false, later);
        let latest = later + LONGEST_TRY;
        assert_eq!(names(&tries.take(&all, latest)), [3, 0]);
    }

    #[test]
    fn a_ref_that_went_on_begins_anew_and_large_histories_get_more_time() {
        let mut tries = Tries::default();
        let now = Instant::now();
        let before = waiting(1);
        let key = key_of(&before);
        assert_eq!(tries.time(&key), FIRST_TRY);
        for _ in 0..2 {
            tries.ended(key.clone(), false, now);
        }
        assert_eq!(tries.time(&key), FIRST_TRY * 4);
        for _ in 0..40 {
            tries.ended(key.clone(), false, now);
        }
        assert_eq!(tries.time(&key), LONGEST_TRY);
        let after = Waiting {
            commit: CommitId::from_bytes([2; 32]),
            ..before.clone()
        };
        assert!(tries.take(&[before], now).is_empty());
        assert_eq!(names(&tries.take(&[after], now)), [2]);
    }
}
