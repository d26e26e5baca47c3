//! Keeping what placement gives to this hub, and getting for readers what it does not keep.

use super::{AFTER_FAILURE, Link, Observation, Seen, backoff::Backoff, pieces};
use crate::{
    Error, clock,
    fetch::{Fault, Notes},
    hub::{ApiError, Hub, Located},
};
use assay_blob::{BlobId, Code};
use assay_hub::{
    FileEntry, RefName,
    placement::{self, Keeper, Rule, Share},
    policy::Subject,
};
use assay_receipt::{NodeAddress, RevisionId};
use futures::{StreamExt as _, stream::FuturesUnordered};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Files up to this size every hub keeps: cards and configurations, without which a model is not found.
pub const SMALL_BYTES: u64 = 1 << 20;
/// Between two looks at all that this hub should keep, where nothing new came: what rotted or left is found by then.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Between two looks where something new came.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(500);
/// Blobs that are fetched at a time.
const AT_ONCE: usize = 2;
/// Of those, blobs that have failed before: the other place is for what is new.
const REPEATS_AT_ONCE: usize = 1;
/// How long a try to get a blob may take, however small it is.
const SHORTEST_TRY: Duration = Duration::from_secs(20);
/// Bytes per second at which a try goes on beyond that.
const SLOWEST_PER_SECOND: u64 = 1 << 20;
/// Most rotted blobs that are healed at a look.
const MAX_DAMAGED: usize = 1_000;

/// Keeps what is to be kept, for ever: looks what is missing, and gets it a few blobs at a time. New ones are looked for
/// while others are still on their way.
pub async fn run(hub: Arc<Hub>, link: Arc<Link>) {
    let (mut tries, mut running) = (Tries::default(), FuturesUnordered::new());
    let (mut came, mut changes) = (BTreeSet::new(), 0);
    loop {
        let (looked, mut pause) = (Instant::now(), LOOK_EVERY);
        let mut lacks = missing(&hub, &link).await.unwrap_or_else(|error| {
            tracing::error!(%error, "what this hub should keep cannot be listed");
            pause = AFTER_FAILURE;
            Vec::new()
        });
        tries.keep(&lacks);
        if link.have_hubs_changed(&mut changes) {
            tries.backoff.end_pauses(Instant::now());
        }
        while looked.elapsed() < pause {
            for lack in tries.take(&lacks, Instant::now()) {
                let (hub, link) = (&hub, &link);
                running.push(async move {
                    let brought = bring_lacking(hub, link, &lack).await;
                    (lack, brought)
                });
            }
            let left = pause.saturating_sub(looked.elapsed());
            let left = tries.next(&lacks, Instant::now()).unwrap_or(left).min(left);
            tokio::select! {
                Some((lack, brought)) = running.next() => {
                    let (blob, key) = (lack.entry.blob, lack.key());
                    tries.ended(key, brought.is_ok(), Instant::now());
                    if let Err(error) = brought {
                        tracing::warn!(%blob, %error, "a blob is still missing");
                    } else {
                        lacks.retain(|other| other.key() != key);
                        came.insert(lack.revision);
                    }
                }
                () = link.wanted.notified() => pause = pause.min(LOOK_AT_MOST_EVERY),
                () = tokio::time::sleep(left) => {}
            }
            if running.is_empty() {
                show(&hub, &mut came);
            }
        }
        show(&hub, &mut came);
    }
}

/// Reads anew what lists show of the repositories of which something came.
fn show(hub: &Hub, came: &mut BTreeSet<RevisionId>) {
    if let Err(error) = renew(hub, &std::mem::take(came)) {
        tracing::warn!(%error, "what lists show was not read anew");
    }
}

/// A blob by a size that an inventory gives it.
type Key = (BlobId, u64);

/// Which blobs are fetched now, and which have failed before.
#[derive(Default)]
struct Tries {
    backoff: Backoff<Key>,
    /// Those that are fetched now, with whether they failed before.
    running: HashMap<Key, bool>,
}

impl Tries {
    /// Forgets what failed of all that is not lacking any more.
    fn keep(&mut self, lacks: &[Lack]) {
        let keys: HashSet<Key> = lacks.iter().map(Lack::key).collect();
        self.backoff.keep(|key| keys.contains(key));
    }

    /// Takes what to fetch at `now`: in the order in which it stands there, but what failed less often first.
    fn take(&mut self, lacks: &[Lack], now: Instant) -> Vec<Lack> {
        let mut due: Vec<(u32, &Lack)> = lacks
            .iter()
            .filter(|lack| self.backoff.until(&lack.key(), now).is_none())
            .map(|lack| (self.backoff.failures(&lack.key()), lack))
            .collect();
        due.sort_by_key(|(failures, _)| *failures);
        let mut taken = Vec::new();
        for (failures, lack) in due {
            let failed = failures > 0;
            let repeats = self.running.values().filter(|failed| **failed).count();
            let is_full = self.running.len() >= AT_ONCE || (failed && repeats >= REPEATS_AT_ONCE);
            if !is_full && !self.running.contains_key(&lack.key()) {
                self.running.insert(lack.key(), failed);
                taken.push(lack.clone());
            }
        }
        taken
    }

    /// How long after `now` the next pause of one that failed ends; none where nothing pauses.
    fn next(&self, lacks: &[Lack], now: Instant) -> Option<Duration> {
        let pausing = lacks
            .iter()
            .filter(|lack| !self.running.contains_key(&lack.key()))
            .filter_map(|lack| self.backoff.until(&lack.key(), now));
        pausing
            .min()
            .map(|until| until.saturating_duration_since(now))
    }

    fn ended(&mut self, key: Key, done: bool, now: Instant) {
        self.running.remove(&key);
        match done {
            true => self.backoff.succeeded(&key),
            false => self.backoff.failed(key, now),
        }
    }
}

/// What this hub should keep of a file and does not have.
#[derive(Debug, Clone)]
struct Lack {
    revision: RevisionId,
    entry: FileEntry,
    /// Its pieces, where it is these and not the whole.
    pieces: Option<(Code, Vec<usize>)>,
}

impl Lack {
    fn key(&self) -> Key {
        (self.entry.blob, self.entry.size)
    }
}

/// Gets what is lacking, within a time that follows from its size: what came by then stays for the next try.
async fn bring_lacking(hub: &Arc<Hub>, link: &Arc<Link>, lack: &Lack) -> Result<(), Error> {
    let entry = &lack.entry;
    let bringing = async {
        match &lack.pieces {
            Some((code, places)) => {
                pieces::bring(hub, link, lack.revision, entry, *code, places).await
            }
            None => bring(hub, link, lack.revision, entry).await,
        }
    };
    let time = time_for(entry.size);
    let slow = |_| {
        let why = format!("not all of it came within {} s", time.as_secs());
        Error::fetch(format!("blob {}", entry.blob), why)
    };
    timeout(time, bringing).await.map_err(slow)?
}

/// How long a try to get so many bytes may take.
fn time_for(bytes: u64) -> Duration {
    SHORTEST_TRY.saturating_add(Duration::from_secs(bytes / SLOWEST_PER_SECOND))
}

/// Reads anew what lists show of the repositories that have these revisions: their cards have arrived.
fn renew(hub: &Hub, revisions: &BTreeSet<RevisionId>) -> Result<(), Error> {
    if revisions.is_empty() {
        return Ok(());
    }
    for repository in hub.catalogue.repositories()? {
        let key = repository.key();
        let head = hub.catalogue.head(&key, &RefName::main())?;
        let revision = head.map(|head| hub.catalogue.commit(&head)).transpose()?;
        if revision.is_some_and(|commit| revisions.contains(&commit.revision)) {
            hub.refresh(&key)
                .map_err(|error| Error::Catalogue(error.0.message()))?;
        }
    }
    Ok(())
}

/// What refs reach, this hub should keep, and does not have; small files first.
async fn missing(hub: &Arc<Hub>, link: &Arc<Link>) -> Result<Vec<Lack>, Error> {
    if !link.knows_others() {
        return Ok(Vec::new());
    }
    let (hub, link) = (Arc::clone(hub), Arc::clone(link));
    let looked = tokio::task::spawn_blocking(move || look(&hub, &link));
    looked
        .await
        .map_err(|_| Error::PartEnded("a look at the store"))?
}

fn look(hub: &Hub, link: &Link) -> Result<Vec<Lack>, Error> {
    let keepers = link.keepers(hub.operator);
    let rotted = rotted(hub)?;
    let serves = |id: &RevisionId| hub.serves(&Subject::Revision { id: *id }).is_ok();
    let mut missing = Vec::new();
    for (revision, entry) in hub.catalogue.live(serves)?.files.into_values() {
        if !serves(&revision) {
            continue;
        }
        let stored = hub.store.stored(&entry.blob)?;
        if stored.is_some_and(|stored| stored.size != entry.size) {
            // The inventory is wrong about it: there is no such blob.
            continue;
        }
        let is_here = stored.is_some();
        let has_rotted = is_here && rotted.contains(&entry.blob);
        let (lacks, pieces) = match link.share(link.own, &entry, &keepers) {
            Share::Whole => (!is_here, None),
            Share::Pieces(code, places) => {
                let lacking = pieces::lacking(hub, link, &entry.blob, code, &places, &rotted)?;
                (!lacking.is_empty(), Some((code, lacking)))
            }
            Share::Nothing => (false, None),
        };
        if lacks || has_rotted {
            missing.push(Lack {
                revision,
                entry,
                pieces: pieces.filter(|_| lacks),
            });
        }
    }
    missing.sort_by_key(|lack| lack.entry.size);
    Ok(missing)
}

/// Blobs here that are known to have rotted.
pub(super) fn rotted(hub: &Hub) -> Result<BTreeSet<BlobId>, Error> {
    let damaged = hub.store.damaged(MAX_DAMAGED)?;
    Ok(damaged.into_iter().map(|(blob, _)| blob).collect())
}

/// Whether a blob is here.
pub(super) fn is_stored(hub: &Hub, blob: &BlobId) -> Result<bool, Error> {
    Ok(hub.store.stored(blob)?.is_some())
}

/// Fetches a blob, and remembers what the hubs that were asked did.
///
/// # Errors
/// As [`crate::fetch::Fetcher::blob`].
pub async fn bring(
    hub: &Arc<Hub>,
    link: &Arc<Link>,
    revision: RevisionId,
    entry: &FileEntry,
) -> Result<(), Error> {
    let noting = Noting::new(link, revision);
    let fetcher = link.fetcher()?.noting(Arc::clone(&noting.notes));
    let stored = fetcher.blob(&hub.store, entry.blob, entry.size).await?;
    drop(noting);
    // What was found out about the revision may be other than what the file says.
    hub.catalogue.forget_facts(&revision)?;
    if stored.sha256 != entry.sha256 {
        tracing::warn!(blob = %entry.blob, "the inventory gives it another SHA-256 than it has");
    }
    Ok(())
}

/// Notes of a fetch, which are remembered once it ends, also where it is cut off.
pub(super) struct Noting<'a> {
    pub(super) notes: Arc<Notes>,
    link: &'a Link,
    revision: RevisionId,
}

impl<'a> Noting<'a> {
    pub(super) fn new(link: &'a Link, revision: RevisionId) -> Self {
        Self {
            notes: Arc::default(),
            link,
            revision,
        }
    }
}

impl Drop for Noting<'_> {
    fn drop(&mut self) {
        self.link.observe_notes(self.revision, &self.notes);
    }
}

impl Link {
    /// Remembers what hubs that were asked for something of a revision did.
    fn observe_notes(&self, revision: RevisionId, notes: &Notes) {
        for note in notes.all() {
            let Ok(hub) = note.source.name.parse::<NodeAddress>() else {
                continue;
            };
            let seen = match note.fault {
                Fault::WrongBytes(what) => Seen::WrongBytes(format!("{} ({what})", note.subject)),
                Fault::Refused(reason) => Seen::Refused(reason),
                Fault::Absent | Fault::OtherSize(_) => continue,
                Fault::Unreachable(why) | Fault::Failed(why) => Seen::Unreachable(why),
            };
            self.observe(Observation {
                revision,
                hub,
                seen,
                at_ms: clock::now_ms(),
                seed_block: None,
                recorded_in: None,
            });
        }
    }

    /// What a hub keeps of a file.
    pub(super) fn share(&self, hub: NodeAddress, entry: &FileEntry, keepers: &[Keeper]) -> Share {
        let rule = Rule {
            everywhere_bytes: SMALL_BYTES,
            copies: self.participation.copies,
            pieces_from_bytes: self.participation.pieces_from_bytes,
        };
        placement::share(hub, &entry.blob, entry.size, keepers, &rule)
    }

    /// The turn to fetch what belongs to a blob.
    pub(super) fn turn(&self, blob: BlobId) -> Arc<tokio::sync::Mutex<()>> {
        let mut fetching = crate::fetch::locked(&self.fetching);
        fetching.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(fetching.entry(blob).or_default())
    }

    /// Gets for a reader what this hub does not keep. Readers that want the same blob wait for one fetch.
    ///
    /// # Errors
    /// As [`bring`].
    pub async fn ensure(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        revision: RevisionId,
        entry: &FileEntry,
    ) -> Result<(), Error> {
        if is_stored(hub, &entry.blob)? {
            return Ok(());
        }
        let turn = self.turn(entry.blob);
        let _turn = turn.lock().await;
        if is_stored(hub, &entry.blob)? {
            return Ok(());
        }
        bring(hub, self, revision, entry).await
    }
}

impl Hub {
    /// Gets the content of a file that a reader wants and this hub does not keep.
    ///
    /// # Errors
    /// [`Fault::Unavailable`](assay_hub::Fault::Unavailable) where no hub gives it.
    pub async fn obtain(self: &Arc<Self>, located: &Located) -> Result<(), ApiError> {
        let missing = |why: String| {
            let reason = format!(
                "the content of `{}` is not here, and cannot be had now: {why}",
                located.path
            );
            ApiError::from(assay_hub::Fault::Unavailable(reason))
        };
        let link = self
            .link
            .as_ref()
            .ok_or_else(|| missing("this hub stands alone".into()))?;
        match link.ensure(self, located.revision, &located.entry).await {
            Ok(()) => Ok(()),
            Err(error @ Error::Fetch { .. }) => Err(missing(error.to_string())),
            Err(other) => Err(other.into()),
        }
    }
}

/// The revisions that refs of repositories point to, main branches first: what audits are about.
pub(super) fn live(hub: &Hub) -> Result<Vec<RevisionId>, Error> {
    let mut live = Vec::new();
    for repository in hub.catalogue.repositories()? {
        if let Some(commit) = hub.catalogue.head(&repository.key(), &RefName::main())? {
            live.push(hub.catalogue.commit(&commit)?.revision);
        }
    }
    live.sort_unstable();
    live.dedup();
    Ok(live)
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_blob::{GitOid, Sha256};
    use assay_hub::Form;

    fn lack(number: u8) -> Lack {
        Lack {
            revision: RevisionId::from_bytes([1; 32]),
            entry: FileEntry {
                blob: BlobId::from_bytes([number; 32]),
                size: u64::from(number),
                sha256: Sha256::of(b""),
                oid: GitOid::of_blob(b""),
                form: Form::Regular,
            },
            pieces: None,
        }
    }

    fn numbers(taken: &[Lack]) -> Vec<u64> {
        taken.iter().map(|lack| lack.entry.size).collect()
    }

    #[test]
    fn what_failed_pauses_and_leaves_a_place_to_what_is_new() {
        let mut tries = Tries::default();
        let (now, pause) = (Instant::now(), Duration::from_secs(300));
        let blob = |number: u8| lack(number).key();
        let lacks: Vec<Lack> = (0..4).map(lack).collect();
        assert_eq!(numbers(&tries.take(&lacks, now)), [0, 1]);
        assert!(tries.take(&lacks, now).is_empty(), "two at a time");
        for number in [0, 1] {
            tries.ended(blob(number), false, now);
        }
        assert_eq!(numbers(&tries.take(&lacks, now)), [2, 3]);
        assert_eq!(tries.next(&lacks, now), Some(Duration::from_secs(2)));
        for number in [2, 3] {
            tries.ended(blob(number), false, now);
        }
        let later = now + pause;
        assert_eq!(numbers(&tries.take(&lacks, later)), [0]);
        assert_eq!(tries.next(&lacks, later), None, "they wait for a place");
        // What failed twice comes after what failed once, and what is new before both.
        tries.ended(blob(0), false, later);
        let latest = later + pause;
        let more: Vec<Lack> = (0..5).map(lack).collect();
        assert_eq!(numbers(&tries.take(&more, latest)), [4, 1]);
        // What came and is missing again is new.
        tries.ended(blob(1), true, latest);
        tries.ended(blob(4), true, latest);
        assert_eq!(numbers(&tries.take(&lacks, now)), [1]);
    }

    #[test]
    fn a_try_takes_as_long_as_its_size_allows() {
        assert_eq!(time_for(0), SHORTEST_TRY);
        assert_eq!(time_for(100 << 20), SHORTEST_TRY + Duration::from_secs(100));
        assert!(time_for(u64::MAX) > time_for(1 << 40));
    }
}
