//! Keeping what placement gives to this hub, and getting for readers what it does not keep.

use super::{AFTER_FAILURE, Link, Observation, Seen, pieces};
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
        let pause = match missing(&hub, &link).await {
            Ok(missing) => {
                let brought: BTreeSet<RevisionId> =
                    missing.iter().map(|lack| lack.revision).collect();
                let mut pause = LOOK_EVERY;
                for lack in missing {
                    if let Err(error) = bring_lacking(&hub, &link, &lack).await {
                        tracing::warn!(blob = %lack.entry.blob, %error, "a blob is still missing");
                        pause = AFTER_FAILURE;
                    }
                }
                if let Err(error) = renew(&hub, &brought) {
                    tracing::warn!(%error, "what lists show was not read anew");
                }
                pause
            }
            Err(error) => {
                tracing::error!(%error, "what this hub should keep cannot be listed");
                AFTER_FAILURE
            }
        };
        let _ = tokio::time::timeout(pause, link.wanted.notified()).await;
    }
}

/// What this hub should keep of a file and does not have.
struct Lack {
    revision: RevisionId,
    entry: FileEntry,
    /// Its pieces, where it is these and not the whole.
    pieces: Option<(Code, Vec<usize>)>,
}

async fn bring_lacking(hub: &Arc<Hub>, link: &Arc<Link>, lack: &Lack) -> Result<(), Error> {
    match &lack.pieces {
        Some((code, places)) => {
            pieces::bring(hub, link, lack.revision, &lack.entry, *code, places).await
        }
        None => bring(hub, link, lack.revision, &lack.entry).await,
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
        let is_here = is_stored(hub, &entry.blob)?;
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
    let notes = Arc::new(Notes::default());
    let fetcher = link.fetcher()?.noting(Arc::clone(&notes));
    let fetched = fetcher.blob(&hub.store, entry.blob, entry.size).await;
    link.observe_notes(revision, &notes);
    let stored = fetched?;
    // What was found out about the revision may be other than what the file says.
    hub.catalogue.forget_facts(&revision)?;
    if stored.sha256 != entry.sha256 {
        tracing::warn!(blob = %entry.blob, "the inventory gives it another SHA-256 than it has");
    }
    Ok(())
}

impl Link {
    /// Remembers what hubs that were asked for something of a revision did.
    pub(super) fn observe_notes(&self, revision: RevisionId, notes: &Notes) {
        for note in notes.all() {
            let Ok(hub) = note.source.name.parse::<NodeAddress>() else {
                continue;
            };
            let seen = match note.fault {
                Fault::WrongBytes(what) => Seen::WrongBytes(format!("{} ({what})", note.subject)),
                Fault::Refused(reason) => Seen::Refused(reason),
                Fault::Absent => continue,
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
