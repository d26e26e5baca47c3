//! What nobody needs goes, after the time that the hub's policy promises.
//!
//! Kept are the blobs that refs reach, and the pieces that placement gives to this hub. What refs reach and this hub
//! does not have to keep, because it was fetched for a reader or placement moved, is a cache: it goes after a time,
//! or when the disk fills, and only once others are seen to have it.

use super::{Hub, network::Link};
use crate::{Error, clock, fetch::locked};
use assay_blob::{BlobId, Collected};
use assay_hub::{FileEntry, placement::Share};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Of the room that a store has, so many percent may be full before what is only a cache gives way.
const FULL_PERCENT: u64 = 90;
/// Most blobs whose last reader is remembered.
const MAX_READ: usize = 100_000;

/// When blobs were last read, milliseconds since the Unix epoch: what is read stays in the cache.
#[derive(Debug, Default)]
pub(super) struct LastRead(Mutex<HashMap<BlobId, u64>>);

impl LastRead {
    /// Notes that a blob is read now.
    pub(super) fn put(&self, blob: BlobId, by: &Steady) {
        let mut read = locked(&self.0);
        if read.len() < MAX_READ || read.contains_key(&blob) {
            read.insert(blob, by.now_ms());
        }
    }

    fn of(&self, blob: &BlobId) -> u64 {
        locked(&self.0).get(blob).copied().unwrap_or(0)
    }

    fn forget_before(&self, time_ms: u64) {
        locked(&self.0).retain(|_, at_ms| *at_ms >= time_ms);
    }
}

/// The time by which graces end: that of the machine's clock, but it never runs faster than time does while a hub is up,
/// so that a clock which jumps ahead ends no grace.
#[derive(Debug)]
pub(super) struct Steady {
    since: Instant,
    since_ms: u64,
}

impl Steady {
    /// From now on.
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            since_ms: clock::now_ms(),
        }
    }

    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64 {
        self.at_most(clock::now_ms(), self.since.elapsed())
    }

    fn at_most(&self, clock_ms: u64, passed: Duration) -> u64 {
        let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        clock_ms.min(self.since_ms.saturating_add(passed_ms))
    }
}

/// What a collection goes by.
struct Roots {
    /// What stays in any case.
    kept: HashSet<BlobId>,
    /// What is only a cache, in the order in which it goes, with when it was fetched or last read.
    cached: Vec<(FileEntry, u64)>,
}

/// Collects for ever.
pub(super) async fn run(hub: Arc<Hub>) {
    let every = hub.storage.collect_every_ms;
    if every == 0 {
        return;
    }
    loop {
        tokio::time::sleep(Duration::from_millis(every)).await;
        match collect(&hub).await {
            Ok(done) if done.removed > 0 => tracing::info!(
                blobs = done.removed,
                bytes = done.freed_bytes,
                "what nobody needs is gone"
            ),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "what nobody needs was not collected"),
        }
    }
}

async fn collect(hub: &Arc<Hub>) -> Result<Collected, Error> {
    if hub.link.as_ref().is_some_and(|link| !link.knows_others()) {
        return Ok(Collected::default());
    }
    if let Some(link) = &hub.link {
        let looking = Arc::clone(hub);
        let found = blocking(move || roots(&looking)).await?;
        evict(hub, link, found.cached).await?;
    }
    let _alone = hub.collecting.write().await;
    let hub = Arc::clone(hub);
    let grace_ms = hub.storage.grace_ms(&hub.retention);
    let work = move || {
        let kept = roots(&hub)?.kept;
        let is_kept = |blob: &BlobId| kept.contains(blob);
        Ok(hub.store.collect(&is_kept, hub.steady.now_ms(), grace_ms)?)
    };
    blocking(work).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::PartEnded("a collection"))?
}

fn roots(hub: &Hub) -> Result<Roots, Error> {
    let live = hub.catalogue.live(|_| true)?;
    let mut kept = live.objects.clone();
    let blobs: HashSet<BlobId> = live.files.keys().map(|(blob, _)| *blob).collect();
    kept.extend(&blobs);
    let Some(link) = &hub.link else {
        let cached = Vec::new();
        return Ok(Roots { kept, cached });
    };
    let taken = hub.catalogue.taken(&live)?;
    let mut fetched = link.fetched()?;
    let mut cached = Vec::new();
    let now_ms = hub.steady.now_ms();
    // A blob may be a file of one repository, and a piece or an inventory of another: whatever keeps it, it stays.
    let (mut due, mut pieces) = (HashSet::new(), HashSet::new());
    for (_, entry) in live.files.values() {
        let blob = &entry.blob;
        let shares = link.own_shares(hub.operator, entry);
        for share in &shares {
            pieces.extend(link.pieces_of(blob, share)?);
        }
        pieces.extend(link.pieces_of_other_codes(blob, &shares)?);
        if shares.contains(&Share::Whole) || taken.contains(blob) {
            due.insert(*blob);
        }
    }
    due.extend(&pieces);
    due.extend(&live.objects);
    kept.extend(&pieces);
    for (_, entry) in live.files.values() {
        let blob = &entry.blob;
        let stored = hub.store.stored(blob)?;
        if !due.contains(blob) && stored.is_some_and(|stored| stored.size == entry.size) {
            let since = *fetched.entry(*blob).or_insert(now_ms);
            cached.push((*entry, since.max(hub.last_read.of(blob))));
        }
    }
    let still: HashSet<BlobId> = cached.iter().map(|(entry, _)| entry.blob).collect();
    fetched.retain(|blob, _| still.contains(blob));
    link.put_fetched(&fetched)?;
    link.forget_manifests(|blob| blobs.contains(blob), &hub.store)?;
    hub.last_read
        .forget_before(now_ms.saturating_sub(hub.storage.cache_ms));
    cached.sort_by_key(|(_, since)| *since);
    Ok(Roots { kept, cached })
}

/// Lets go of what is only a cache: what nobody read for long, and while the disk is nearly full the oldest.
async fn evict(
    hub: &Arc<Hub>,
    link: &Arc<Link>,
    cached: Vec<(FileEntry, u64)>,
) -> Result<(), Error> {
    let old_ms = hub.steady.now_ms().saturating_sub(hub.storage.cache_ms);
    for (entry, since) in cached {
        let looking = Arc::clone(hub);
        let full = move || Ok(is_nearly_full(&looking)?);
        if since > old_ms && !blocking(full).await? {
            break;
        }
        if !link.others_keep(hub.operator, &entry).await? {
            tracing::debug!(blob = %entry.blob, "others do not have it yet; it stays");
            continue;
        }
        // A commit may have taken it meanwhile.
        let _alone = hub.collecting.write().await;
        let looking = Arc::clone(hub);
        let is_taken = move || {
            let live = looking.catalogue.live(|_| true)?;
            Ok(looking.catalogue.taken(&live)?.contains(&entry.blob))
        };
        if !blocking(is_taken).await? {
            crate::fetch::forget(&hub.store, vec![entry.blob]).await?;
        }
    }
    Ok(())
}

fn is_nearly_full(hub: &Hub) -> Result<bool, assay_blob::Error> {
    let Some(room) = hub.storage.disk_bytes else {
        return Ok(false);
    };
    let limit = (room / 100).saturating_mul(FULL_PERCENT);
    Ok(hub.store.usage()?.disk_bytes > limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_ahead_ends_no_grace_and_one_that_falls_back_prolongs_it() {
        let steady = Steady::new();
        let (start, day_ms) = (steady.since_ms, 86_400_000);
        let hour = Duration::from_secs(3_600);
        assert_eq!(steady.at_most(start + 3_600_000, hour), start + 3_600_000);
        assert_eq!(steady.at_most(start + 30 * day_ms, hour), start + 3_600_000);
        assert_eq!(steady.at_most(start - day_ms, hour), start - day_ms);
    }
}
