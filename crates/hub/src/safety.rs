//! Can loading this file run code? Decided from its bytes, never from its name, and without running anything.
//!
//! [`inspect`] gives a [`Verdict`]: `Data` for formats that have no place for code, `Code` with every reason found, `Unknown`
//! for what is not one of these or could not be looked into whole. A pickle is code whatever it imports: which imports are
//! harmless is a list that attackers read, too; the imports are named, so that people can judge. Files that are well formed
//! in a format of data are scanned for a pickle, too: who unpickles does not ask what else they are. Archives are looked into,
//! compressed ones up to a limit. `Data` says that reading the file runs nothing; it does not say that a reader has no
//! bugs, that a chat template in it is harmless, or that text in it is not a program which somebody then runs.

mod archive;
mod formats;
mod opcodes;
mod pickle;
mod pieces;

use std::fmt;

use serde::Serialize;

use crate::tensors::{Error, Source};

use pickle::Scan;

pub use pickle::{Import, Pickle};

/// Most bytes of a pickle, or of what a compressed file holds, that are looked at.
const MAX_SCANNED: u64 = 64 << 20;
/// Most findings that are kept, and the longest place of one, characters: an archive can name 65,535 at great length.
const MAX_REASONS: usize = 16;
const MAX_PLACE: usize = 200;

/// Most bytes that are looked at for one file, all parts of archives together.
const MAX_TOTAL: u64 = 256 << 20;

/// How deep archives may lie in archives.
const MAX_DEPTH: u8 = 3;

/// A format that was recognised by its bytes and checked as far as `Data` needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// safetensors: header and ranges were checked.
    Safetensors,
    /// GGUF: the header was read to its end.
    Gguf,
    /// ONNX: a model message with a graph.
    Onnx,
    /// An array of NumPy without objects.
    Npy,
    /// UTF-8 without control characters.
    Text,
    /// A zip archive of which every part is one of these.
    Archive,
    /// No bytes at all.
    Empty,
}

/// One reason to take a file for code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// Where in the file: the path in archives, empty for the file itself.
    pub place: String,
    /// What was found there.
    pub pickle: Pickle,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// Reading it runs nothing.
    Data {
        /// What it is.
        format: Format,
    },
    /// Loading it can run code.
    Code {
        /// Every place where code was found.
        reasons: Vec<Reason>,
    },
    /// It is neither known to be data nor seen to be code.
    Unknown {
        /// Why it cannot be told.
        why: String,
    },
}

impl Verdict {
    /// Whether it is safe to serve to whoever did not ask for it by name.
    pub const fn is_data(&self) -> bool {
        matches!(self, Self::Data { .. })
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// The worse of two: code before what is unknown, and that before data.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Code { mut reasons }, Self::Code { reasons: more }) => {
                reasons.extend(more);
                reasons.truncate(MAX_REASONS);
                Self::Code { reasons }
            }
            (code @ Self::Code { .. }, _) | (_, code @ Self::Code { .. }) => code,
            (unknown @ Self::Unknown { .. }, _) | (_, unknown @ Self::Unknown { .. }) => unknown,
            (data, _) => data,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { format } => write!(f, "data ({format:?})"),
            Self::Unknown { why } => write!(f, "unknown: {why}"),
            Self::Code { reasons } => {
                f.write_str("code:")?;
                for reason in reasons {
                    let place = if reason.place.is_empty() {
                        "the file"
                    } else {
                        &reason.place
                    };
                    write!(f, " {}: {};", place.escape_debug(), reason.pickle)?;
                }
                Ok(())
            }
        }
    }
}

/// Inspects a file.
///
/// # Errors
/// [`Error::Source`] where its bytes cannot be read; never for what the bytes are.
pub fn inspect<S: Source>(file: &S) -> Result<Verdict, Error> {
    inspect_counting(file).map(|(verdict, _)| verdict)
}

/// [`inspect`], and how many bytes were looked at for that: those of parts of archives are many more than the file has.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_counting<S: Source>(file: &S) -> Result<(Verdict, u64), Error> {
    let mut inspection = Inspection { left: MAX_TOTAL };
    let verdict = inspection.at("", file, 0)?;
    Ok((verdict, MAX_TOTAL.saturating_sub(inspection.left)))
}

/// An inspection under way.
struct Inspection {
    /// Bytes that may still be looked at.
    left: u64,
}

impl Inspection {
    /// Takes a part of what may still be looked at.
    fn take(&mut self, bytes: u64) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    fn at<S: Source + ?Sized>(
        &mut self,
        place: &str,
        file: &S,
        depth: u8,
    ) -> Result<Verdict, Error> {
        if depth > MAX_DEPTH {
            return Ok(Verdict::unknown("archives lie too deep in each other"));
        }
        if file.size() == 0 {
            return Ok(Verdict::Data {
                format: Format::Empty,
            });
        }
        let head = head(file, 0, 512)?;
        let starts = |magic: &[u8]| head.starts_with(magic);
        if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
            return self.archive(place, file, depth);
        }
        let stream = match head.as_slice() {
            [0x1f, 0x8b, ..] => Some(self.gzip(place, file, depth)?),
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(self.zlib(place, file, depth)?),
            _ => None,
        };
        if let Some(inflated) = stream {
            let code = matches!(inflated, Verdict::Code { .. });
            // The length of a safetensors file's header may look like the beginning of a stream.
            if code || formats::known(file, &head)?.is_none() {
                return Ok(inflated);
            }
        }
        // What unpickles does not ask whether the file is well formed in another way, too.
        let skipped = formats::objects_behind(&head);
        let scanned = self.pickle(place, file, skipped.unwrap_or(0))?;
        if let Some(code @ Verdict::Code { .. }) = scanned {
            return Ok(code);
        }
        if let Some(format) = formats::known(file, &head)? {
            // A reader that looks for an archive's directory at the end would find one here.
            return Ok(match (self.archive_behind(file)?, scanned) {
                (true, _) => Verdict::unknown(format!("{format:?} with a zip archive at its end")),
                (false, Some(unknown)) => unknown,
                (false, None) => Verdict::Data { format },
            });
        }
        if let Some(what) = formats::opaque(&head) {
            return Ok(Verdict::unknown(what));
        }
        let broken = formats::broken(&head);
        match (scanned, skipped, broken) {
            (_, Some(_), _) => Ok(Verdict::unknown("an array of objects that is no pickle")),
            _ if self.archive_behind(file)? => self.archive(place, file, depth),
            (_, None, Some(broken)) => Ok(Verdict::unknown(broken)),
            (Some(unknown), ..) => Ok(unknown),
            _ if file.size() <= MAX_SCANNED && formats::is_text(&head) => self.text(file),
            _ => Ok(Verdict::unknown("no format that is known here")),
        }
    }

    /// Text to its end.
    fn text<S: Source + ?Sized>(&mut self, file: &S) -> Result<Verdict, Error> {
        if !self.take(file.size()) {
            return Ok(Verdict::unknown("too much to look at"));
        }
        let whole = head(file, 0, file.size())?;
        Ok(match formats::is_whole_text(&whole) {
            true => Verdict::Data {
                format: Format::Text,
            },
            false => Verdict::unknown("it begins like text and goes on otherwise"),
        })
    }

    /// Scans for pickles from `start` on: code, or unknown where not enough may be looked at to tell, or none.
    fn pickle<S: Source + ?Sized>(
        &mut self,
        place: &str,
        file: &S,
        start: u64,
    ) -> Result<Option<Verdict>, Error> {
        if !pickle::may_begin(&head(file, start, 2)?) {
            return Ok(None);
        }
        let (scan, read) = pickle::scan(file, start, MAX_SCANNED.min(self.left))?;
        self.take(read);
        Ok(match scan {
            Scan::Nothing => None,
            Scan::TooMuch => Some(Verdict::unknown("too much to look at")),
            Scan::Pickle(pickle) => Some(Verdict::Code {
                reasons: vec![Reason {
                    place: place.chars().take(MAX_PLACE).collect(),
                    pickle,
                }],
            }),
        })
    }
}

/// At most `length` bytes from `start`.
fn head<S: Source + ?Sized>(file: &S, start: u64, length: u64) -> Result<Vec<u8>, Error> {
    let length = length.min(file.size().saturating_sub(start));
    if length == 0 {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read(start, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
