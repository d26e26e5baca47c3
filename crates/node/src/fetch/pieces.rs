//! A blob that no hub has whole, from pieces of its erasure code that several hubs have.
//!
//! A piece is proven by its own name. That a manifest's pieces are those of its blob is proven only by rebuilding it:
//! a hub whose manifest gives another blob sent wrong bytes.

use super::{BLOBS_PATH, Fault, Fetcher, Note, SILENCE, Source, blob::blocking, nobody, patience};
use crate::Error;
use assay_blob::{BlobId, ErasureManifest, Store, Stored, erasure::MANIFEST_BYTES_MAX};
use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::timeout;

/// Most manifests that one hub may give for a blob: one for each code that it ever had.
pub const MAX_MANIFESTS: usize = 4;
/// Pieces that are fetched at a time, where none is slow.
const AT_ONCE: usize = 2;
/// Most rotted blobs of a store that are looked through.
const MAX_DAMAGED: usize = 10_000;

/// A manifest with the hubs that gave it.
struct Offered {
    manifest: ErasureManifest,
    by: Vec<Source>,
}

/// The manifests that a hub gives for a blob, one a line.
///
/// # Errors
/// In words, for anything else.
fn parse(bytes: &[u8], id: BlobId, size: u64) -> Result<Vec<ErasureManifest>, String> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if lines.len() > MAX_MANIFESTS {
        return Err(format!("more than {MAX_MANIFESTS} erasure manifests"));
    }
    let read = lines.into_iter().map(|line| {
        let manifest = ErasureManifest::parse(line).map_err(|error| error.to_string())?;
        match manifest.blob == id && manifest.size == size {
            true => Ok(manifest),
            false => Err("an erasure manifest of another blob".to_owned()),
        }
    });
    read.collect()
}

impl Fetcher {
    /// A blob of `size` bytes from pieces, into the store; pieces that were not there before are taken away again.
    ///
    /// # Errors
    /// [`Error::Fetch`] naming what each hub did, where too few pieces can be had; [`Error::Content`] where the disk
    /// fails.
    pub async fn from_pieces(&self, store: &Store, id: BlobId, size: u64) -> Result<Stored, Error> {
        let subject = format!("pieces of blob {id}");
        let (offers, mut faults) = self.manifests(id, size, &subject).await;
        for offered in offers {
            let before = faults.len();
            let (came, rebuilt) = self.try_manifest(store, &offered.manifest).await;
            forget(store, came).await?;
            match rebuilt {
                Ok(stored) => return Ok(stored),
                Err(Error::Content(assay_blob::Error::Mismatch { .. })) => {
                    let what = "its erasure manifest is not that of the blob";
                    let lied = offered
                        .by
                        .iter()
                        .map(|source| self.note(source, &subject, Fault::WrongBytes(what.into())));
                    faults.extend(lied);
                }
                Err(
                    Error::Content(assay_blob::Error::TooFewPieces { .. }) | Error::Fetch { .. },
                ) => {}
                Err(other) => return Err(other),
            }
            if faults.len() == before {
                let what = "too few of the pieces that it names can be had".to_owned();
                let named = offered.by.iter();
                faults.extend(
                    named.map(|source| self.note(source, &subject, Fault::Failed(what.clone()))),
                );
            }
        }
        Err(nobody(&subject, &faults))
    }

    /// What hubs say that a blob's pieces are; what more of them say comes first.
    async fn manifests(&self, id: BlobId, size: u64, subject: &str) -> (Vec<Offered>, Vec<Note>) {
        let path = format!("{BLOBS_PATH}/{id}/erasure");
        let most = (MANIFEST_BYTES_MAX as u64).saturating_mul(MAX_MANIFESTS as u64);
        let asked = self.sources.iter().map(async |source| {
            let slow = |_| Err(Fault::Unreachable("it did not answer in time".into()));
            let got = timeout(SILENCE, self.get(source, &path, most)).await;
            let got = got.unwrap_or_else(slow);
            let read = got.and_then(|bytes| parse(&bytes, id, size).map_err(Fault::WrongBytes));
            (source, read)
        });
        let (mut offers, mut faults) = (Vec::<Offered>::new(), Vec::new());
        for (source, read) in join_all(asked).await {
            match read {
                Err(fault) => faults.push(self.note(source, subject, fault)),
                Ok(manifests) => {
                    for manifest in manifests {
                        match offers
                            .iter_mut()
                            .find(|offered| offered.manifest == manifest)
                        {
                            Some(known) => known.by.push(source.clone()),
                            None => offers.push(Offered {
                                manifest,
                                by: vec![source.clone()],
                            }),
                        }
                    }
                }
            }
        }
        offers.sort_by_key(|offered| std::cmp::Reverse(offered.by.len()));
        (offers, faults)
    }

    /// Rebuilds a blob by a manifest that nobody vouches for; with it the pieces that came for it.
    async fn try_manifest(
        &self,
        store: &Store,
        manifest: &ErasureManifest,
    ) -> (Vec<BlobId>, Result<Stored, Error>) {
        let (came, enough) = self.enough(store, manifest).await;
        if let Err(error) = enough {
            return (came, Err(error));
        }
        let (store, manifest) = (store.clone(), manifest.clone());
        let rebuilt = blocking(move || store.rebuild(&manifest)).await;
        (came, rebuilt)
    }

    /// Brings pieces into the store until as many are there as suffice; those with the blob's own bytes first. Gives
    /// the pieces that were not there before, also where it fails.
    ///
    /// # Errors
    /// [`Error::Fetch`] where too few can be had; [`Error::Content`] where the disk fails.
    pub async fn enough(
        &self,
        store: &Store,
        manifest: &ErasureManifest,
    ) -> (Vec<BlobId>, Result<(), Error>) {
        let mut came = Vec::new();
        let here = match stored_of(store, &manifest.pieces).await {
            Ok(here) => here,
            Err(error) => return (came, Err(error)),
        };
        let needed = manifest.code.data();
        let places = (0..manifest.pieces.len()).filter(|place| !here.contains(place));
        let lacking: Vec<BlobId> = places
            .filter_map(|place| manifest.pieces.get(place).copied())
            .collect();
        // Equal pieces, as a file of one byte's repetition has, are fetched once and count as often as they stand there.
        let counts = lacking
            .iter()
            .fold(BTreeMap::<_, usize>::new(), |mut all, piece| {
                let count = all.entry(*piece).or_default();
                *count = count.saturating_add(1);
                all
            });
        let mut have = here.len();
        let (mut waiting, mut fetching) = (counts.into_iter(), FuturesUnordered::new());
        let (patience, mut at_once) = (patience(manifest.piece_bytes()), AT_ONCE);
        while have < needed {
            while fetching.len() < at_once
                && let Some((piece, count)) = waiting.next()
            {
                fetching.push(async move {
                    let got = self.whole(store, piece, manifest.piece_bytes()).await;
                    (piece, count, got)
                });
            }
            // Where some are slow to come, others are asked for as well.
            let Ok(next) = timeout(patience, fetching.next()).await else {
                at_once = at_once.saturating_add(1);
                continue;
            };
            match next {
                None => {
                    let why = format!("{have} pieces can be had, and {needed} are needed");
                    let what = format!("pieces of blob {}", manifest.blob);
                    return (came, Err(Error::fetch(what, why)));
                }
                Some((piece, count, Ok(_))) => {
                    came.push(piece);
                    have = have.saturating_add(count);
                }
                // A piece that is too large, or that somebody else receives now, is none that can be had.
                Some((
                    ..,
                    Err(
                        Error::Fetch { .. }
                        | Error::Content(
                            assay_blob::Error::Busy(_) | assay_blob::Error::Limit { .. },
                        ),
                    ),
                )) => {}
                Some((.., Err(other))) => return (came, Err(other)),
            }
        }
        (came, Ok(()))
    }
}

/// The places of the pieces that are in a store and have not rotted.
async fn stored_of(store: &Store, pieces: &[BlobId]) -> Result<BTreeSet<usize>, Error> {
    let (store, pieces) = (store.clone(), pieces.to_vec());
    let look = move || {
        let rotted: BTreeSet<BlobId> = store
            .damaged(MAX_DAMAGED)?
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        let mut here = BTreeSet::new();
        for (place, piece) in pieces.iter().enumerate() {
            if !rotted.contains(piece) && store.stored(piece)?.is_some() {
                here.insert(place);
            }
        }
        Ok(here)
    };
    blocking(look).await
}

/// Takes blobs out of a store.
pub(crate) async fn forget(store: &Store, blobs: Vec<BlobId>) -> Result<(), Error> {
    let store = store.clone();
    let work = move || {
        blobs
            .iter()
            .try_for_each(|blob| store.forget(blob).map(drop))
    };
    blocking(work).await
}
