//! A file from a place on, read in pieces, and only as far as somebody goes.

use crate::tensors::{Error, Source};

/// The first piece, and the largest, bytes.
const FIRST: u64 = 1 << 10;
const LARGEST: u64 = 1 << 20;

/// Why nobody goes further.
#[derive(Debug)]
pub(super) enum Halt {
    /// What is there is not well formed, or the file ends.
    Broken,
    /// More would have to be read than may be.
    Spent,
    /// The file cannot be read.
    Source(Error),
}

/// A place in a file. What is skipped is not read.
pub(super) struct Pieces<'a, S: ?Sized> {
    file: &'a S,
    at: u64,
    piece: Vec<u8>,
    begin: u64,
    next: u64,
    left: u64,
    spent: u64,
}

/// A line, or as much of it as is kept.
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    pub(super) whole: bool,
}

impl<'a, S: Source + ?Sized> Pieces<'a, S> {
    /// From `at` on, of which at most `left` bytes may be read.
    pub(super) const fn new(file: &'a S, at: u64, left: u64) -> Self {
        Self {
            file,
            at,
            piece: Vec::new(),
            begin: 0,
            next: FIRST,
            left,
            spent: 0,
        }
    }

    /// How many bytes were read.
    pub(super) const fn spent(&self) -> u64 {
        self.spent
    }

    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) const fn jump(&mut self, at: u64) {
        self.at = at;
    }

    /// The bytes that are at hand from here on; none where the file ends.
    fn here(&mut self) -> Result<&[u8], Halt> {
        let end = self.begin.saturating_add(self.piece.len() as u64);
        if (self.at < self.begin || self.at >= end) && self.at < self.file.size() {
            // Who goes straight on gets more each time, who jumps begins small again.
            self.next = match self.at == end {
                true => self.next.saturating_mul(2).min(LARGEST),
                false => FIRST,
            };
            let rest = self.file.size().saturating_sub(self.at);
            let length = self.next.min(rest).min(self.left);
            if length == 0 {
                return Err(Halt::Spent);
            }
            self.piece = super::head(self.file, self.at, length).map_err(Halt::Source)?;
            self.begin = self.at;
            self.left = self.left.saturating_sub(length);
            self.spent = self.spent.saturating_add(length);
        }
        let from = usize::try_from(self.at.saturating_sub(self.begin)).unwrap_or(usize::MAX);
        Ok(self.piece.get(from..).unwrap_or_default())
    }

    /// The byte here, which is not passed.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, Halt> {
        Ok(self.here()?.first().copied())
    }

    pub(super) fn byte(&mut self) -> Result<u8, Halt> {
        let byte = self.peek()?.ok_or(Halt::Broken)?;
        self.at = self.at.saturating_add(1);
        Ok(byte)
    }

    /// A little-endian number of at most eight bytes.
    pub(super) fn number(&mut self, width: u32) -> Result<u64, Halt> {
        let mut value = 0;
        for place in 0..width {
            value |= u64::from(self.byte()?).wrapping_shl(place.saturating_mul(8));
        }
        Ok(value)
    }

    /// Passes over so many bytes.
    pub(super) fn skip(&mut self, length: u64) -> Result<(), Halt> {
        let end = self.at.checked_add(length);
        self.at = end
            .filter(|end| *end <= self.file.size())
            .ok_or(Halt::Broken)?;
        Ok(())
    }

    /// So many bytes, or `None` and passed over if that is more than `most`.
    pub(super) fn bytes(&mut self, length: u64, most: usize) -> Result<Option<Vec<u8>>, Halt> {
        if length > most as u64 {
            return self.skip(length).map(|()| None);
        }
        (0..length)
            .map(|_| self.byte())
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A line, of which the first `most` bytes are kept. Without an end of line at the end of the file it loses its
    /// last byte, as with CPython's unpickler that is written in Python.
    pub(super) fn line(&mut self, most: usize) -> Result<Line, Halt> {
        let mut line = Line {
            bytes: Vec::new(),
            whole: true,
        };
        loop {
            let here = self.here()?;
            if here.is_empty() {
                if line.whole {
                    line.bytes.pop();
                }
                return Ok(line);
            }
            let end = here.iter().position(|byte| *byte == b'\n');
            let part = here.get(..end.unwrap_or(here.len())).unwrap_or_default();
            let kept = part.len().min(most.saturating_sub(line.bytes.len()));
            line.whole &= kept == part.len();
            line.bytes.extend(part.get(..kept).unwrap_or_default());
            let passed = part.len() as u64;
            self.at = self.at.saturating_add(passed);
            if end.is_some() {
                self.at = self.at.saturating_add(1);
                return Ok(line);
            }
        }
    }
}
