//! Blobs into pieces, and back.

use std::sync::Arc;

use super::{Expected, Inner, Reader, Ready, Stored, Writer};
use crate::erasure::{self, Code, ErasureManifest, Stripes};
use crate::{BlobId, Error};

/// A piece that is open, and its place among all.
type Piece = (usize, Reader);

/// A piece that is made: to be stored, or only to be named.
enum Making {
    Stored(Box<Writer>),
    Named(Box<blake3::Hasher>),
}

impl Making {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Stored(writer) => writer.write(bytes),
            Self::Named(hasher) => {
                hasher.update(bytes);
                Ok(())
            }
        }
    }

    /// The piece's name; one that is to be stored goes to `ready`.
    fn seal(self, ready: &mut Vec<Ready>) -> Result<BlobId, Error> {
        match self {
            Self::Stored(writer) => {
                let sealed = writer.seal(Expected::default())?;
                let id = sealed.id;
                ready.push(sealed);
                Ok(id)
            }
            Self::Named(hasher) => Ok(BlobId::from_bytes(*hasher.finalize().as_bytes())),
        }
    }
}

impl Inner {
    /// Stores the pieces whose places (0-based) `is_kept` takes, and with all of them also the manifest.
    pub(super) fn encode(
        self: &Arc<Self>,
        id: &BlobId,
        code: Code,
        is_kept: &dyn Fn(usize) -> bool,
    ) -> Result<Option<ErasureManifest>, Error> {
        let Some(mut reader) = Reader::open(self.clone(), id)? else {
            return Ok(None);
        };
        let mut manifest = ErasureManifest {
            blob: *id,
            size: reader.stored().size,
            code,
            pieces: Vec::new(),
        };
        let mut making: Vec<Making> = (0..code.pieces())
            .map(|index| match is_kept(index) {
                true => Making::Stored(Box::new(Writer::new(self.clone()))),
                false => Making::Named(Box::default()),
            })
            .collect();
        let mut stripes = Stripes::new(&manifest);
        let shard_bytes = usize::try_from(manifest.stripe_bytes()).unwrap_or(0);
        for stripe in 0..manifest.stripes() {
            let content = read_stripe(&mut reader, &manifest, stripe)?;
            for (index, piece) in making.iter_mut().take(code.data()).enumerate() {
                piece.write(&erasure::shard(&content, index, shard_bytes))?;
            }
            stripes.parity(&content, |index, shard| match making.get_mut(index) {
                Some(piece) => piece.write(shard),
                None => Ok(()),
            })?;
        }
        let mut ready = Vec::new();
        for piece in making {
            manifest.pieces.push(piece.seal(&mut ready)?);
        }
        if ready.len() == code.pieces() {
            let mut writer = Writer::new(self.clone());
            writer.write(&manifest.encode())?;
            ready.push(writer.seal(Expected::default())?);
        }
        self.enter(ready, |_| Ok(()))?;
        Ok(Some(manifest))
    }

    pub(super) fn rebuild_blob(
        self: &Arc<Self>,
        manifest: &ErasureManifest,
    ) -> Result<Stored, Error> {
        if let Some(stored) = self.known(&manifest.blob)? {
            return Ok(stored);
        }
        let expected = Expected {
            size: Some(manifest.size),
            id: Some(manifest.blob),
            sha256: None,
        };
        self.from_pieces(manifest, expected, |stripe, content, _, writer| {
            let before = stripe.saturating_mul(manifest.stripe_content_bytes());
            let rest = manifest.size.saturating_sub(before);
            let rest = usize::try_from(rest).unwrap_or(usize::MAX);
            writer.write(content.get(..rest).unwrap_or(content))
        })
    }

    pub(super) fn rebuild_piece(
        self: &Arc<Self>,
        manifest: &ErasureManifest,
        index: usize,
    ) -> Result<Stored, Error> {
        let wrong = || Error::malformed("piece", format!("there is no piece {index}"));
        let id = *manifest.pieces.get(index).ok_or_else(wrong)?;
        if let Some(stored) = self.known(&id)? {
            return Ok(stored);
        }
        let expected = Expected {
            size: Some(manifest.piece_bytes()),
            id: Some(id),
            sha256: None,
        };
        let shard_bytes = usize::try_from(manifest.stripe_bytes()).unwrap_or(0);
        self.from_pieces(manifest, expected, |_, content, stripes, writer| {
            if index < manifest.code.data() {
                return writer.write(&erasure::shard(content, index, shard_bytes));
            }
            stripes.parity(content, |place, shard| match place == index {
                true => writer.write(shard),
                false => Ok(()),
            })
        })
    }

    /// Writes what `each` makes of each stripe. A piece that is found to have rotted is left out, and it begins anew.
    fn from_pieces(
        self: &Arc<Self>,
        manifest: &ErasureManifest,
        expected: Expected,
        mut each: impl FnMut(u64, &[u8], &mut Stripes, &mut Writer) -> Result<(), Error>,
    ) -> Result<Stored, Error> {
        loop {
            let mut pieces = self.sound_pieces(manifest)?;
            let mut stripes = Stripes::new(manifest);
            let mut writer = Writer::new(self.clone());
            let mut write = || {
                for stripe in 0..manifest.stripes() {
                    let shards = read_shards(&mut pieces, manifest, stripe)?;
                    let content = stripes.content(&shards)?;
                    each(stripe, &content, &mut stripes, &mut writer)?;
                }
                Ok(())
            };
            match write() {
                // It was noted as damaged, so that there is one sound piece less each time.
                Err(Error::Rotted { id, .. }) if self.is_noted(&id)? => {}
                Err(error) => return Err(error),
                Ok(()) => return writer.finish(expected),
            }
        }
    }

    /// As many sound pieces as suffice, those with the blob's own bytes first.
    fn sound_pieces(self: &Arc<Self>, manifest: &ErasureManifest) -> Result<Vec<Piece>, Error> {
        let needed = manifest.code.data();
        let mut pieces = Vec::new();
        for (index, id) in manifest.pieces.iter().enumerate() {
            if pieces.len() == needed {
                break;
            }
            let sound = self.sound(id)?.map(|record| record.size);
            if sound == Some(manifest.piece_bytes())
                && let Some(reader) = Reader::open(self.clone(), id)?
            {
                pieces.push((index, reader));
            }
        }
        let found = pieces.len();
        if found < needed {
            return Err(Error::TooFewPieces { found, needed });
        }
        Ok(pieces)
    }
}

fn read_stripe(
    reader: &mut Reader,
    manifest: &ErasureManifest,
    stripe: u64,
) -> Result<Vec<u8>, Error> {
    let bytes = manifest.stripe_content_bytes();
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    reader.read_at(stripe.saturating_mul(bytes), length)
}

fn read_shards(
    pieces: &mut [Piece],
    manifest: &ErasureManifest,
    stripe: u64,
) -> Result<Vec<(usize, Vec<u8>)>, Error> {
    let bytes = manifest.stripe_bytes();
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    let offset = stripe.saturating_mul(bytes);
    let read = pieces
        .iter_mut()
        .map(|(index, reader)| Ok((*index, reader.read_at(offset, length)?)));
    read.collect()
}
