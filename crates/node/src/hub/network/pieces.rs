//! The pieces of large files that placement gives to this hub.
//!
//! A hub believes no manifest: it uses one that it made itself from the whole blob, which it has or fetches for that,
//! or by which it rebuilt the blob. From then on a lost piece comes from any hub that has it, or from any others that
//! suffice.

use super::{
    Link,
    replicate::{Noting, is_stored},
};
use crate::{
    Error,
    fetch::{Fetcher, forget},
    hub::{ApiError, Hub},
};
use assay_blob::{BlobId, Code, ErasureManifest};
use assay_hub::{FileEntry, policy::Subject};
use assay_receipt::RevisionId;
use std::{collections::BTreeSet, sync::Arc};

/// Which of a blob's pieces at `places` are not here, or have rotted.
pub(super) fn lacking(
    hub: &Hub,
    link: &Link,
    blob: &BlobId,
    code: Code,
    places: &[usize],
    rotted: &BTreeSet<BlobId>,
) -> Result<Vec<usize>, Error> {
    let Some(manifest) = link.notebook.manifest(blob, code)? else {
        return Ok(places.to_vec());
    };
    let mut lacking = Vec::new();
    for place in places {
        let piece = manifest.pieces.get(*place);
        let is_here = match piece {
            Some(piece) => !rotted.contains(piece) && is_stored(hub, piece)?,
            None => false,
        };
        if !is_here {
            lacking.push(*place);
        }
    }
    Ok(lacking)
}

/// Gets the pieces of a file at `places`, and remembers what the hubs that were asked did.
///
/// # Errors
/// [`Error::Fetch`] where neither they, nor the whole, nor enough others can be had; whatever the disk says.
pub(super) async fn bring(
    hub: &Arc<Hub>,
    link: &Arc<Link>,
    revision: RevisionId,
    entry: &FileEntry,
    code: Code,
    places: &[usize],
) -> Result<(), Error> {
    let noting = Noting::new(link, revision);
    let fetcher = link.fetcher()?.noting(Arc::clone(&noting.notes));
    let turn = link.turn(entry.blob);
    let _turn = turn.lock().await;
    let brought = bring_by(hub, link, &fetcher, entry, code, places).await;
    drop(noting);
    // Whoever waits for the whole blob finds it, where it was fetched for its pieces.
    if brought? && Arc::strong_count(&turn) <= 2 {
        forget(&hub.store, vec![entry.blob]).await?;
    }
    Ok(())
}

/// As [`bring`]; says whether the whole blob was fetched for that, and was not here before.
async fn bring_by(
    hub: &Arc<Hub>,
    link: &Arc<Link>,
    fetcher: &Fetcher,
    entry: &FileEntry,
    code: Code,
    places: &[usize],
) -> Result<bool, Error> {
    let was_stored = is_stored(hub, &entry.blob)?;
    let whole = was_stored && is_sound(hub, entry.blob).await?;
    if !whole && let Some(manifest) = link.notebook.manifest(&entry.blob, code)? {
        match from_others(hub, fetcher, &manifest, places).await {
            Err(Error::Fetch { what, why }) => {
                tracing::debug!(what, why, "a piece is not to be had")
            }
            done => return done.map(|()| false),
        }
    }
    if !whole {
        fetcher.blob(&hub.store, entry.blob, entry.size).await?;
    }
    let (store, blob, all) = (hub.store.clone(), entry.blob, places.to_vec());
    let encoded = tokio::task::spawn_blocking(move || store.encode_some(&blob, code, &all)).await;
    let encoded = encoded.map_err(|_| Error::PartEnded("the making of pieces"))??;
    let manifest =
        encoded.ok_or_else(|| Error::fetch(format!("blob {blob}"), "it is gone again"))?;
    link.notebook.put_manifest(&manifest)?;
    Ok(!was_stored)
}

/// Gets pieces by a manifest that was proven: each from who has it, or else from others.
async fn from_others(
    hub: &Arc<Hub>,
    fetcher: &Fetcher,
    manifest: &ErasureManifest,
    places: &[usize],
) -> Result<(), Error> {
    for place in places {
        let Some(piece) = manifest.pieces.get(*place) else {
            continue;
        };
        match fetcher
            .whole(&hub.store, *piece, manifest.piece_bytes())
            .await
        {
            Err(Error::Fetch { .. }) => {}
            done => {
                done?;
                continue;
            }
        }
        let (came, enough) = fetcher.enough(&hub.store, manifest).await;
        let rebuilt = match enough {
            Ok(()) => {
                let (store, by, place) = (hub.store.clone(), manifest.clone(), *place);
                let work = tokio::task::spawn_blocking(move || store.rebuild_piece(&by, place));
                let rebuilt = work.await.map_err(|_| Error::PartEnded("a repair"))?;
                rebuilt.map(drop).map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        forget(&hub.store, came).await?;
        rebuilt?;
        tracing::info!(blob = %manifest.blob, place, "a piece was rebuilt from others");
    }
    Ok(())
}

/// Whether a blob is here and not known to have rotted.
async fn is_sound(hub: &Arc<Hub>, blob: BlobId) -> Result<bool, Error> {
    let hub = Arc::clone(hub);
    let look = tokio::task::spawn_blocking(move || {
        Ok::<_, Error>(is_stored(&hub, &blob)? && !super::replicate::rotted(&hub)?.contains(&blob))
    });
    look.await
        .map_err(|_| Error::PartEnded("a look at the store"))?
}

impl Link {
    /// The manifests of a blob's pieces that this hub has proven.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn manifests_of(&self, blob: &BlobId) -> Result<Vec<ErasureManifest>, Error> {
        self.notebook.manifests(blob)
    }
}

impl Hub {
    /// Whether this hub gives a blob that is a piece: not where it refuses or withholds every blob of which it is one.
    ///
    /// # Errors
    /// [`Fault::Refused`](assay_hub::Fault::Refused) with the reason.
    pub fn serves_piece(&self, piece: &BlobId) -> Result<(), ApiError> {
        let of = match &self.link {
            Some(link) => link.notebook.is_piece_of(piece)?,
            None => Vec::new(),
        };
        let mut refused = None;
        for id in of {
            let served = self
                .serves(&Subject::Blob { id })
                .and_then(|()| self.withholds(&id));
            match served {
                Ok(()) => return Ok(()),
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(()), Err)
    }
}
