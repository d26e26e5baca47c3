//! What this hub may let go of, and what others have to have before it does.

use super::Link;
use crate::{Error, fetch::Source};
use assay_blob::{BlobId, Store};
use assay_hub::{FileEntry, placement::Share};
use assay_receipt::Account;
use futures::future::join_all;
use std::collections::HashMap;

impl Link {
    /// What this hub keeps of a file among the hubs that are there, and among all that the chain lists: one that
    /// comes back finds what it counted on.
    pub(in crate::hub) fn own_shares(&self, operator: Account, entry: &FileEntry) -> [Share; 2] {
        [self.keepers(operator), self.listed_keepers(operator)]
            .map(|keepers| self.share(self.own, entry, &keepers))
    }

    /// The names of the pieces of a share, where they are known.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub(in crate::hub) fn pieces_of(
        &self,
        blob: &BlobId,
        share: &Share,
    ) -> Result<Vec<BlobId>, Error> {
        let Share::Pieces(code, places) = share else {
            return Ok(Vec::new());
        };
        let Some(manifest) = self.notebook.manifest(blob, *code)? else {
            return Ok(Vec::new());
        };
        let pieces = places
            .iter()
            .filter_map(|place| manifest.pieces.get(*place));
        Ok(pieces.copied().collect())
    }

    /// The pieces of a blob by codes that are none of these shares': they are all that is left of the file until those of the
    /// new code lie where they should, which nobody can be sure of.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub(in crate::hub) fn pieces_of_other_codes(
        &self,
        blob: &BlobId,
        shares: &[Share],
    ) -> Result<Vec<BlobId>, Error> {
        let is_current = |code| {
            shares
                .iter()
                .any(|share| matches!(share, Share::Pieces(current, _) if *current == code))
        };
        let others = self.notebook.manifests(blob)?.into_iter();
        let others = others.filter(|manifest| !is_current(manifest.code));
        Ok(others.flat_map(|manifest| manifest.pieces).collect())
    }

    /// When blobs came that this hub does not have to keep.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub(in crate::hub) fn fetched(&self) -> Result<HashMap<BlobId, u64>, Error> {
        self.notebook.fetched()
    }

    /// Writes down what [`Self::fetched`] gives.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub(in crate::hub) fn put_fetched(&self, fetched: &HashMap<BlobId, u64>) -> Result<(), Error> {
        self.notebook.put_fetched(fetched)
    }

    /// Forgets the manifests of blobs that nothing needs and of which no piece is here any more.
    ///
    /// # Errors
    /// [`Error::Catalogue`]; [`Error::Content`] where the store cannot be read.
    pub(in crate::hub) fn forget_manifests(
        &self,
        is_live: impl Fn(&BlobId) -> bool,
        store: &Store,
    ) -> Result<(), Error> {
        for blob in self.notebook.coded()? {
            if is_live(&blob) {
                continue;
            }
            let mut is_here = false;
            for manifest in self.notebook.manifests(&blob)? {
                for piece in &manifest.pieces {
                    is_here = is_here || store.stored(piece)?.is_some();
                }
            }
            if !is_here {
                self.notebook.forget_manifests(&blob)?;
            }
        }
        Ok(())
    }

    /// Whether other hubs show that they have what placement gives them of a file: random places of all copies, or of all
    /// pieces that are not this hub's. That a hub has them itself, and does not ask another, is not shown by this.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub(in crate::hub) async fn others_keep(
        &self,
        operator: Account,
        entry: &FileEntry,
    ) -> Result<bool, Error> {
        let keepers = self.keepers(operator);
        let mut wanted: Vec<(Source, BlobId, u64)> = Vec::new();
        for peer in self.peers().iter() {
            match self.share(peer.hub, entry, &keepers) {
                Share::Nothing => {}
                Share::Whole => wanted.push((peer.source(), entry.blob, entry.size)),
                Share::Pieces(code, places) => {
                    let Some(manifest) = self.notebook.manifest(&entry.blob, code)? else {
                        return Ok(false);
                    };
                    let pieces = places
                        .iter()
                        .filter_map(|place| manifest.pieces.get(*place));
                    let size = manifest.piece_bytes();
                    wanted.extend(pieces.map(|piece| (peer.source(), *piece, size)));
                }
            }
        }
        let Ok(fetcher) = self.fetcher() else {
            return Ok(false);
        };
        let asked = wanted
            .iter()
            .map(|(source, blob, size)| fetcher.shows(source, *blob, *size));
        let answered = join_all(asked).await;
        Ok(!answered.is_empty() && answered.iter().all(Result::is_ok))
    }
}
