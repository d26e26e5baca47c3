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
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Moves that are tried at a time for the first time, which takes little, and of those that have failed before.
const AT_ONCE: [usize; 2] = [8, 4];
/// How long the first try of a move may fetch; each further one twice as long, since large histories take theirs.
const FIRST_TRY: Duration = Duration::from_secs(10);
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
            let [most_new, most_failed] = AT_ONCE;
            if running.count() < if failed { most_failed } else { most_new } {
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
    let mut changes = 0;
    loop {
        let mut waiting = match link.notebook.waiting() {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(%error, "the notebook cannot be read");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let keys: HashSet<Key> = waiting.iter().map(key_of).collect();
        tries.backoff.keep(|key| keys.contains(key));
        if link.have_hubs_changed(&mut changes) {
            tries.backoff.end_pauses(Instant::now());
        }
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
    timeout(time, gather(hub, link, one))
        .await
        .map_err(slow)??;
    let _turn = hub.turn(&key).await;
    if still_waits()?.as_ref() != Some(one) {
        return Ok(());
    }
    enter(hub, link, one).await?;
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
        let mut all: Vec<Waiting> = (0..12).map(waiting).collect();
        let first: Vec<u8> = (0..8).collect();
        assert_eq!(names(&tries.take(&all, now)), first);
        assert!(tries.take(&all, now).is_empty(), "eight at a time");
        for one in &all[..8] {
            tries.ended(key_of(one), false, now);
        }
        assert_eq!(
            names(&tries.take(&all, now)),
            [8, 9, 10, 11],
            "others pause"
        );
        // Those that have failed take no place of what is new.
        let later = now + LONGEST_TRY;
        assert_eq!(names(&tries.take(&all, later)), [0, 1, 2, 3]);
        all.push(waiting(20));
        assert_eq!(names(&tries.take(&all, later)), [20]);
        // Of those that failed, the ones that failed less often come first, wherever they stand.
        for one in &all[..4] {
            tries.ended(key_of(one), false, later);
        }
        tries.ended(key_of(&all[12]), false, later);
        let latest = later + LONGEST_TRY;
        assert_eq!(names(&tries.take(&all, latest)), [4, 5, 6, 7]);
        tries.ended(key_of(&all[4]), true, latest);
        all.remove(4);
        assert_eq!(names(&tries.take(&all, latest)), [20]);
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
