//! Files made up of chunks of xorbs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Inner, Stored};
use crate::tree::Source;
use crate::xet::{self, Fetch, Term, XorbTable};
use crate::{BlobId, Error, XetHash};

/// Packed bytes that are read at once.
const AHEAD_BYTES: u64 = 1 << 20;
/// Xorbs that are open at a time.
const OPEN_XORBS: usize = 4;

/// What a client has to fetch to rebuild a range of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconstruction {
    /// The file.
    pub stored: Stored,
    /// Bytes of the first term, unpacked, that are before the range.
    pub offset_into_first_term: u64,
    /// The terms that have the range, in order, cut to the chunks that have it.
    pub terms: Vec<Term>,
    /// For each xorb of the terms, the bytes to fetch, ascending; every term's chunks are within one of them.
    pub fetches: BTreeMap<XetHash, Vec<Fetch>>,
}

/// A xorb that is open.
struct OpenXorb {
    hash: XetHash,
    blob: BlobId,
    table: XorbTable,
    packed: Box<dyn Source + Send>,
    /// Packed bytes that were read, from this offset on.
    ahead: (u64, Vec<u8>),
}

impl OpenXorb {
    fn bytes(&self) -> u64 {
        self.table
            .chunks()
            .last()
            .map_or(0, |chunk| u64::from(chunk.end))
    }

    /// A chunk's packed bytes, or `None` where they are gone.
    fn packed(&mut self, range: &Range<u64>) -> Result<Option<&[u8]>, Error> {
        let (start, held) = &self.ahead;
        let end = start.saturating_add(u64::try_from(held.len()).unwrap_or(0));
        if range.start < *start || range.end > end {
            let until = range
                .start
                .saturating_add(AHEAD_BYTES)
                .min(self.bytes())
                .max(range.end);
            let length = usize::try_from(until.saturating_sub(range.start)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; length];
            if !self.packed.fill(range.start, &mut bytes)? {
                return Ok(None);
            }
            self.ahead = (range.start, bytes);
        }
        let within = |at: u64| usize::try_from(at.saturating_sub(self.ahead.0)).ok();
        let (Some(from), Some(until)) = (within(range.start), within(range.end)) else {
            return Ok(None);
        };
        Ok(self.ahead.1.get(from..until))
    }
}

/// Unpacks chunks of stored xorbs.
pub(super) struct Unpacker {
    inner: Arc<Inner>,
    /// The last used is the last.
    open: Vec<OpenXorb>,
}

impl Unpacker {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let open = Vec::new();
        Self { inner, open }
    }

    /// The table of a xorb; [`Error::MissingXorb`] where it is not stored.
    pub(super) fn table(&mut self, hash: &XetHash) -> Result<&XorbTable, Error> {
        Ok(&self.xorb(hash)?.table)
    }

    fn xorb(&mut self, hash: &XetHash) -> Result<&mut OpenXorb, Error> {
        let place = self.open.iter().position(|open| open.hash == *hash);
        let xorb = match place {
            Some(place) => self.open.remove(place),
            None => self.open_xorb(hash)?,
        };
        if self.open.len() >= OPEN_XORBS {
            self.open.remove(0);
        }
        self.open.push(xorb);
        self.open.last_mut().ok_or(Error::MissingXorb(*hash))
    }

    fn open_xorb(&self, hash: &XetHash) -> Result<OpenXorb, Error> {
        let index = &self.inner.index;
        let missing = || Error::MissingXorb(*hash);
        let blob = index.xorb(hash)?.ok_or_else(missing)?;
        let table = index.xorb_table(hash)?.ok_or_else(missing)?;
        let record = index.record(&blob)?.ok_or_else(missing)?;
        Ok(OpenXorb {
            hash: *hash,
            blob,
            table,
            packed: self.inner.parts(&blob, &record)?.content,
            ahead: (0, Vec::new()),
        })
    }

    /// A chunk, checked against its hash. [`Error::XorbRotted`] where it is not what was stored.
    pub(super) fn chunk(&mut self, hash: &XetHash, chunk: u32) -> Result<Vec<u8>, Error> {
        let xorb = self.xorb(hash)?;
        let only = chunk..chunk.saturating_add(1);
        let missing = || Error::MissingXorb(*hash);
        let entries = xorb.table.entries(&only).ok_or_else(missing)?;
        let expected = entries.first().ok_or_else(missing)?.hash;
        let range = xorb.table.bytes(&only).ok_or_else(missing)?;
        let unpacked = match xorb.packed(&range)? {
            Some(packed) => xet::unpack_chunk(packed).ok(),
            None => None,
        };
        if let Some(unpacked) = unpacked.filter(|bytes| xet::is_chunk(&expected, bytes)) {
            return Ok(unpacked);
        }
        let (blob, offset) = (xorb.blob, range.start);
        self.inner.note_damage(&blob, offset);
        let hash = *hash;
        Err(Error::XorbRotted { hash, offset })
    }
}

/// An assembled blob's bytes.
pub(super) struct Assembled {
    unpacker: Unpacker,
    terms: Vec<Term>,
    /// Where each term ends in the file.
    ends: Vec<u64>,
    /// The chunk that was unpacked last, and where it begins in the file.
    held: (u64, Vec<u8>),
}

impl Assembled {
    pub(super) fn new(inner: Arc<Inner>, terms: Vec<Term>) -> Self {
        let mut end = 0u64;
        let ends = terms.iter().map(|term| {
            end = end.saturating_add(term.unpacked_bytes);
            end
        });
        Self {
            ends: ends.collect(),
            terms,
            unpacker: Unpacker::new(inner),
            held: (0, Vec::new()),
        }
    }

    /// Unpacks the chunk that has the byte at `offset`; `false` where there is none.
    fn hold(&mut self, offset: u64) -> Result<bool, Error> {
        let place = self.ends.partition_point(|end| *end <= offset);
        let (Some(term), Some(end)) = (self.terms.get(place), self.ends.get(place)) else {
            return Ok(false);
        };
        let term_start = end.saturating_sub(term.unpacked_bytes);
        let table = self.unpacker.table(&term.xorb)?;
        let Some(in_xorb) = table.unpacked(&term.chunks) else {
            return Ok(false);
        };
        let within = in_xorb
            .start
            .saturating_add(offset.saturating_sub(term_start));
        let chunk = table.chunk_at(within);
        let Some(chunk_in_xorb) = table.unpacked(&(chunk..chunk.saturating_add(1))) else {
            return Ok(false);
        };
        let bytes = self.unpacker.chunk(&term.xorb, chunk)?;
        let before = within.saturating_sub(chunk_in_xorb.start);
        self.held = (offset.saturating_sub(before), bytes);
        Ok(true)
    }
}

impl Source for Assembled {
    fn fill(&mut self, mut offset: u64, mut into: &mut [u8]) -> Result<bool, Error> {
        while !into.is_empty() {
            let (start, held) = &self.held;
            let skip = offset.checked_sub(*start).map(usize::try_from);
            let rest = match skip {
                Some(Ok(skip)) => held.get(skip..).unwrap_or(&[]),
                _ => &[],
            };
            if rest.is_empty() {
                match self.hold(offset) {
                    Ok(true) => continue,
                    // The xorb is remembered as damaged; to whoever reads the file, the file has rotted.
                    Ok(false) | Err(Error::XorbRotted { .. } | Error::MissingXorb(_)) => {
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                }
            }
            let length = rest.len().min(into.len());
            let (now, later) = into.split_at_mut(length);
            now.copy_from_slice(rest.get(..length).unwrap_or(&[]));
            into = later;
            offset = offset.saturating_add(u64::try_from(length).unwrap_or(0));
        }
        Ok(true)
    }
}

impl Inner {
    pub(super) fn reconstruction(
        self: &Arc<Self>,
        file: &XetHash,
        range: Option<Range<u64>>,
    ) -> Result<Option<Reconstruction>, Error> {
        let Some(entry) = self.index.file(file)? else {
            return Ok(None);
        };
        let Some(record) = self.index.record(&entry.blob)? else {
            return Ok(None);
        };
        let range = range.unwrap_or(0..record.size);
        if range.start >= record.size {
            let (offset, size) = (range.start, record.size);
            return Err(Error::OutOfRange { offset, size });
        }
        let mut found = Reconstruction {
            stored: record.stored(entry.blob),
            offset_into_first_term: 0,
            terms: Vec::new(),
            fetches: BTreeMap::new(),
        };
        let mut unpacker = Unpacker::new(self.clone());
        let mut start = 0u64;
        for term in &entry.terms {
            let end = start.saturating_add(term.unpacked_bytes);
            if end > range.start && start < range.end {
                let wanted = range.start.max(start)..range.end.min(end);
                let table = unpacker.table(&term.xorb)?;
                let (cut, before) = cut(term, start, &wanted, table)
                    .ok_or_else(|| Error::malformed("index", "a term has no such chunks"))?;
                if found.terms.is_empty() {
                    found.offset_into_first_term = before;
                }
                found.terms.push(cut);
            }
            start = end;
        }
        found.fetches = fetches(&found.terms, &mut unpacker)?;
        Ok(Some(found))
    }

    pub(super) fn has_chunk(
        &self,
        chunk: &XetHash,
        expires_s: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(hash) = self.index.xorb_with(chunk)? else {
            return Ok(None);
        };
        let mut near = Vec::new();
        for neighbour in self.index.neighbours(&hash)? {
            let Some(blob) = self.index.xorb(&neighbour)? else {
                continue;
            };
            if self.known(&blob)?.is_some()
                && let Some(table) = self.index.xorb_table(&neighbour)?
            {
                near.push((neighbour, table));
            }
        }
        if near.iter().all(|(neighbour, _)| *neighbour != hash) {
            return Ok(None);
        }
        xet::dedup_shard(&near, expires_s).map(Some)
    }
}

/// The chunks of a term (which begins at `start` of the file) that have the bytes `wanted` of the file, and how many bytes of
/// them are before those.
fn cut(term: &Term, start: u64, wanted: &Range<u64>, table: &XorbTable) -> Option<(Term, u64)> {
    let in_xorb = table.unpacked(&term.chunks)?;
    let at = |offset: u64| in_xorb.start.checked_add(offset.checked_sub(start)?);
    let (first, last) = (at(wanted.start)?, at(wanted.end.checked_sub(1)?)?);
    let chunks = table.chunk_at(first)..table.chunk_at(last).checked_add(1)?;
    let unpacked = table.unpacked(&chunks)?;
    let cut = Term {
        xorb: term.xorb,
        chunks,
        unpacked_bytes: unpacked.end.checked_sub(unpacked.start)?,
    };
    Some((cut, first.checked_sub(unpacked.start)?))
}

/// The chunks of each xorb that the terms have, put together where they touch.
fn fetches(
    terms: &[Term],
    unpacker: &mut Unpacker,
) -> Result<BTreeMap<XetHash, Vec<Fetch>>, Error> {
    let mut chunks: BTreeMap<XetHash, Vec<Range<u32>>> = BTreeMap::new();
    for term in terms {
        chunks
            .entry(term.xorb)
            .or_default()
            .push(term.chunks.clone());
    }
    let mut all = BTreeMap::new();
    for (xorb, mut ranges) in chunks {
        ranges.sort_unstable_by_key(|range| range.start);
        let mut joined: Vec<Range<u32>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        let table = unpacker.table(&xorb)?;
        let fetches = joined.into_iter().map(|chunks| {
            let bytes = table.bytes(&chunks)?;
            Some(Fetch { chunks, bytes })
        });
        let fetches = fetches.collect::<Option<Vec<_>>>();
        let wrong = || Error::malformed("index", "a term has no such chunks");
        all.insert(xorb, fetches.ok_or_else(wrong)?);
    }
    Ok(all)
}
