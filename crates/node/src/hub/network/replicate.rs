//! Keeping what placement gives to this hub, and getting for readers what it does not keep.

use super::{AFTER_FAILURE, Link, Observation, Seen};
use crate::{
    Error, clock,
    fetch::{Fault, Notes},
    hub::{ApiError, Hub, Located},
};
use assay_blob::BlobId;
use assay_hub::{FileEntry, RefName, placement, policy::Subject};
use assay_receipt::{NodeAddress, RevisionId};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Files up to this size every hub keeps: cards and configurations, without which a model is not found.
pub const SMALL_BYTES: u64 = 1 << 20;
/// Between two looks at all that this hub should keep, where nothing new came: what rotted or left is found by then.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Most rotted blobs that are healed at a look.
const MAX_DAMAGED: usize = 1_000;

/// Keeps what is to be kept, for ever.
pub async fn run(hub: Arc<Hub>, link: Arc<Link>) {
    loop {
        match missing(&hub, &link).await {
            Ok(missing) => {
                let mut failed = false;
                let brought: BTreeSet<RevisionId> =
                    missing.iter().map(|(revision, _)| *revision).collect();
                for (revision, entry) in missing {
                    if let Err(error) = bring(&hub, &link, revision, &entry).await {
                        tracing::warn!(blob = %entry.blob, %error, "a blob is still missing");
                        failed = true;
                    }
                }
                if let Err(error) = renew(&hub, &brought) {
                    tracing::warn!(%error, "what lists show was not read anew");
                }
                let pause = if failed { AFTER_FAILURE } else { LOOK_EVERY };
                let _ = tokio::time::timeout(pause, link.wanted.notified()).await;
            }
            Err(error) => {
                tracing::error!(%error, "what this hub should keep cannot be listed");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
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

/// What every ref of every repository needs, this hub should keep, and does not have.
async fn missing(hub: &Arc<Hub>, link: &Arc<Link>) -> Result<Vec<(RevisionId, FileEntry)>, Error> {
    let (hub, link) = (Arc::clone(hub), Arc::clone(link));
    let looked = tokio::task::spawn_blocking(move || {
        let keepers = link.keepers(hub.operator);
        let rotted: BTreeSet<BlobId> = hub
            .store
            .damaged(MAX_DAMAGED)?
            .into_iter()
            .map(|(blob, _)| blob)
            .collect();
        let mut seen = BTreeSet::new();
        let mut missing = Vec::new();
        for repository in hub.catalogue.repositories()? {
            for (_, commit) in hub.catalogue.refs(&repository.key())? {
                let revision = hub.catalogue.commit(&commit)?.revision;
                if !seen.insert(revision)
                    || hub.serves(&Subject::Revision { id: revision }).is_err()
                {
                    continue;
                }
                for entry in hub.catalogue.tree(&revision)?.files().values() {
                    let keeps = entry.size <= SMALL_BYTES
                        || placement::keeps(
                            link.own,
                            &entry.blob,
                            &keepers,
                            link.participation.copies,
                        );
                    let is_here = is_stored(&hub, &entry.blob)?;
                    if (keeps && !is_here) || (is_here && rotted.contains(&entry.blob)) {
                        missing.push((revision, *entry));
                    }
                }
            }
        }
        Ok(missing)
    });
    looked
        .await
        .map_err(|_| Error::PartEnded("a look at the store"))?
}

/// Whether a blob is here.
fn is_stored(hub: &Hub, blob: &BlobId) -> Result<bool, Error> {
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
    let notes = Arc::new(Notes::default());
    let fetcher = link.fetcher()?.noting(Arc::clone(&notes));
    let fetched = fetcher.blob(&hub.store, entry.blob, entry.size).await;
    for note in notes.all() {
        let Ok(peer) = note.source.name.parse::<NodeAddress>() else {
            continue;
        };
        let seen = match note.fault {
            Fault::WrongBytes(what) => Seen::WrongBytes(format!("{} ({what})", note.subject)),
            Fault::Refused(reason) => Seen::Refused(reason),
            Fault::Absent => continue,
            Fault::Unreachable(why) | Fault::Failed(why) => Seen::Unreachable(why),
        };
        link.observe(Observation {
            revision,
            hub: peer,
            seen,
            at_ms: clock::now_ms(),
            seed_block: None,
            recorded_in: None,
        });
    }
    let stored = fetched?;
    if stored.sha256 != entry.sha256 {
        tracing::warn!(blob = %entry.blob, "the inventory gives it another SHA-256 than it has");
    }
    Ok(())
}

impl Link {
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
        let turn = {
            let mut fetching = crate::fetch::locked(&self.fetching);
            fetching.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(fetching.entry(entry.blob).or_default())
        };
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
