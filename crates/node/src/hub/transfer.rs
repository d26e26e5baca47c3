//! Content in and out: files by name, Git LFS, the Xet storage, and blobs for other hubs.
//!
//! Whatever leaves was verified before, piece by piece; whatever arrives is checked against what it was announced as
//! before it is acknowledged. Memory does not grow with the size of a file, and work on content takes turns in [`Lanes`].

mod cas;
mod faults;
mod grant;
mod inflow;
mod lanes;
mod lfs;
mod media;
mod outflow;
mod parts;
mod peers;
mod range;
mod resolve;
mod serve;
mod xet;

pub use parts::PART_BYTES;
pub(crate) use peers::BLOB_SIZE;

use super::{Hub, answer::ApiError};
use crate::{
    Error,
    files::{self, Access},
    limits::RateLimiter,
};
use assay_blob::{BlobId, Sha256, Store, Stored};
use assay_hub::policy::Subject;
use axum::Router;
use grant::Grants;
use lanes::Lanes;
use parts::Parts;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::task::JoinHandle;

/// File with the secret under which rights are signed, in the data folder.
const KEY: &str = "grants.key";
/// Folder of unfinished uploads, in the hub's.
const UPLOADS: &str = "uploads";
/// An upload to which nothing came for so long was given up: its addresses have expired.
const ABANDONED: Duration = Duration::from_secs(lfs::UPLOAD_S + 3_600);
/// How often abandoned uploads are looked for.
const COLLECT_EVERY: Duration = Duration::from_secs(3_600);
/// Storage challenges a second of one client, and at once after a pause. Each reads and hashes up to a thousand groups.
const CHALLENGES: (u32, u32) = (2, 20);

/// The routes of content.
pub fn routes(transfer: Arc<Transfer>) -> Router<Arc<Hub>> {
    Router::new()
        .merge(resolve::routes())
        .merge(lfs::routes())
        .merge(xet::routes())
        .merge(cas::routes())
        .merge(peers::routes())
        .with_state(transfer)
}

/// The secret in a file, which is made if it is missing.
fn secret_at(path: &Path) -> Result<[u8; 32], Error> {
    if !path.exists() {
        files::write_json(path, &rand::random::<[u8; 32]>(), Access::Owner)?;
    }
    files::read_json(path)
}

/// As [`Transfer::sound`], on a thread where it may block.
fn sound(
    store: &Store,
    find: impl FnOnce(&Store) -> Result<Option<Stored>, assay_blob::Error>,
) -> Result<Option<Stored>, assay_blob::Error> {
    let Some(stored) = find(store)? else {
        return Ok(None);
    };
    store.renew(&stored.id)
}

impl Hub {
    /// The content that was uploaded with this SHA-256; nothing where it has rotted, which is to be uploaded again.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn uploaded(&self, sha256: &Sha256) -> Result<Option<Stored>, assay_blob::Error> {
        sound(&self.store, |store| store.find_sha256(sha256))
    }
}

/// What the routes of content share.
pub struct Transfer {
    hub: Arc<Hub>,
    grants: Grants,
    parts: Arc<Parts>,
    lanes: Lanes,
    challenges: RateLimiter,
}

impl Transfer {
    /// Content of this hub, whose data folder also has the key for rights and the uploads that are unfinished.
    ///
    /// # Errors
    /// [`Error::Config`] for a key that cannot be read or made, [`Error::System`] for a folder that cannot be opened.
    pub fn open(hub: Arc<Hub>, data: &Path) -> Result<Arc<Self>, Error> {
        let parts = Parts::open(data.join(UPLOADS)).map_err(|source| Error::System {
            what: "the folder of unfinished uploads",
            source,
        })?;
        Ok(Arc::new(Self {
            grants: Grants::new(&secret_at(&data.join(KEY))?),
            parts: Arc::new(parts),
            lanes: Lanes::default(),
            challenges: RateLimiter::new(CHALLENGES.0, CHALLENGES.1),
            hub,
        }))
    }

    /// What `find` finds in the store, where it has not rotted: what has is taken again from whoever brings it. It
    /// stays long enough for whoever is told that it is here to commit it.
    async fn sound(
        &self,
        find: impl FnOnce(&Store) -> Result<Option<Stored>, assay_blob::Error> + Send + 'static,
    ) -> Result<Option<Stored>, ApiError> {
        let store = Arc::clone(&self.hub.store);
        self.lanes.pieces.run(move || sound(&store, find)).await
    }

    /// Whether this hub serves a blob.
    async fn serves(&self, id: BlobId) -> Result<(), ApiError> {
        let subject = Subject::Blob { id };
        self.hub
            .blocking(move |hub| {
                hub.serves(&subject)?;
                hub.withholds(&id)?;
                hub.serves_piece(&id)
            })
            .await
    }

    /// Takes abandoned uploads away, for as long as the task runs.
    pub fn collect(self: Arc<Self>) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                let parts = Arc::clone(&self.parts);
                let collected = self.lanes.rebuilds.run(move || {
                    let collected = parts.collect(SystemTime::now(), ABANDONED);
                    collected.map_err(parts::PartError::Disk)
                });
                match collected.await {
                    Ok(0) | Err(_) => {}
                    Ok(count) => tracing::info!(count, "abandoned uploads are gone"),
                }
                tokio::time::sleep(COLLECT_EVERY).await;
            }
        })
    }
}
