//! Zip archives (PKWARE's APPNOTE 6.3), as `torch.save` and `numpy.savez` write them, and gzip and zlib streams.
//!
//! The directory at the end says what the parts are; readers of models go by it. A part whose own header says something else
//! is no accident: it is not called data.

use crate::tensors::{Error, Source};

use super::{Format, Inspection, MAX_SCANNED, Verdict, head};

/// Most parts of an archive; a large model in PyTorch's format has some thousand.
const MAX_PARTS: u64 = 1 << 16;

/// Most bytes of an archive's directory.
const MAX_DIRECTORY: u64 = 32 << 20;

/// The end record with its longest comment.
const MAX_END: u64 = 22 + 65_535;

/// A part as the directory describes it.
struct Part {
    name: Vec<u8>,
    encrypted: bool,
    method: u16,
    packed: u64,
    size: u64,
    offset: u64,
}

/// A window of a file.
struct Window<'a, S: ?Sized> {
    file: &'a S,
    begin: u64,
    size: u64,
}

impl<S: Source + ?Sized> Source for Window<'_, S> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        let end = offset.checked_add(into.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(Error::Source("the part ends too early".into()));
        }
        self.file.read(self.begin.saturating_add(offset), into)
    }
}

/// Reads little-endian numbers from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, width: usize) -> Option<u64> {
        let bytes = self.bytes(width)?.iter().rev();
        Some(bytes.fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn signature(&mut self, expected: &[u8; 4]) -> Option<()> {
        (self.bytes(4)? == expected).then_some(())
    }
}

/// Where the directory lies.
struct Directory {
    count: u64,
    size: u64,
    /// Where its bytes begin in the file.
    begin: u64,
    /// What stands before the archive; offsets in it count from there.
    shift: u64,
}

fn directory<S: Source + ?Sized>(file: &S) -> Result<Option<Directory>, Error> {
    let length = MAX_END.min(file.size());
    let start = file.size().saturating_sub(length);
    let tail = head(file, start, length)?;
    // The last one whose comment ends with the file.
    let ends = tail.windows(4).enumerate().rev();
    for (at, _) in ends.filter(|(_, bytes)| *bytes == b"PK\x05\x06") {
        let record = tail.get(at..).unwrap_or_default();
        let at = start.saturating_add(at as u64);
        if let Some(found) = end_record(file, record, at)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn end_record<S: Source + ?Sized>(
    file: &S,
    record: &[u8],
    at: u64,
) -> Result<Option<Directory>, Error> {
    let mut cursor = Cursor(record);
    let fields = (|| {
        cursor.bytes(8)?;
        let (_, count) = (cursor.number(2)?, cursor.number(2)?);
        let (size, offset) = (cursor.number(4)?, cursor.number(4)?);
        let comment = cursor.number(2)?;
        (cursor.0.len() as u64 == comment).then_some((count, size, offset))
    })();
    let Some((mut count, mut size, mut offset)) = fields else {
        return Ok(None);
    };
    let mut end = at;
    if count == 0xffff || size == 0xffff_ffff || offset == 0xffff_ffff {
        let Some(large) = large_end(file, at)? else {
            return Ok(None);
        };
        (count, size, offset, end) = large;
    }
    let begin = end.checked_sub(size);
    let shift = begin.and_then(|begin| begin.checked_sub(offset));
    Ok(begin.zip(shift).map(|(begin, shift)| Directory {
        count,
        size,
        begin,
        shift,
    }))
}

/// The end record of zip64: count, size and offset of the directory, and where the record itself begins.
fn large_end<S: Source + ?Sized>(file: &S, at: u64) -> Result<Option<(u64, u64, u64, u64)>, Error> {
    let Some(locator) = at.checked_sub(20) else {
        return Ok(None);
    };
    let bytes = head(file, locator, 20)?;
    let mut cursor = Cursor(&bytes);
    let place = (|| {
        cursor.signature(b"PK\x06\x07")?;
        cursor.number(4)?;
        cursor.number(8)
    })();
    let Some(place) = place else {
        return Ok(None);
    };
    let bytes = head(file, place, 56)?;
    let mut cursor = Cursor(&bytes);
    Ok((|| {
        cursor.signature(b"PK\x06\x06")?;
        cursor.bytes(20)?;
        let (_, count) = (cursor.number(8)?, cursor.number(8)?);
        Some((count, cursor.number(8)?, cursor.number(8)?, place))
    })())
}

fn parts<S: Source + ?Sized>(file: &S, directory: &Directory) -> Result<Option<Vec<Part>>, Error> {
    if directory.count > MAX_PARTS || directory.size > MAX_DIRECTORY {
        return Ok(None);
    }
    let bytes = head(file, directory.begin, directory.size)?;
    let mut cursor = Cursor(&bytes);
    let parts: Option<Vec<Part>> = (0..directory.count).map(|_| part(&mut cursor)).collect();
    Ok(parts.filter(|_| cursor.0.is_empty()))
}

fn part(cursor: &mut Cursor<'_>) -> Option<Part> {
    cursor.signature(b"PK\x01\x02")?;
    cursor.bytes(4)?;
    let flags = cursor.number(2)?;
    let method = cursor.number(2)? as u16;
    cursor.bytes(8)?;
    let (mut packed, mut size) = (cursor.number(4)?, cursor.number(4)?);
    let (name, extra, comment) = (cursor.number(2)?, cursor.number(2)?, cursor.number(2)?);
    cursor.bytes(8)?;
    let mut offset = cursor.number(4)?;
    let name = cursor.bytes(name as usize)?.to_vec();
    let mut extra = Cursor(cursor.bytes(extra as usize)?);
    cursor.bytes(comment as usize)?;
    while let (Some(id), Some(length)) = (extra.number(2), extra.number(2)) {
        let mut field = Cursor(extra.bytes(length as usize)?);
        if id == 1 {
            for value in [&mut size, &mut packed, &mut offset] {
                if *value == 0xffff_ffff {
                    *value = field.number(8)?;
                }
            }
        }
    }
    Some(Part {
        name,
        encrypted: flags & 1 != 0,
        method,
        packed,
        size,
        offset,
    })
}

impl Part {
    /// Where its bytes begin, if its own header says the same as the directory.
    fn begin<S: Source + ?Sized>(&self, file: &S, shift: u64) -> Result<Option<u64>, Error> {
        let at = shift.saturating_add(self.offset);
        let bytes = head(file, at, 30u64.saturating_add(self.name.len() as u64))?;
        let mut cursor = Cursor(&bytes);
        let behind = (|| {
            cursor.signature(b"PK\x03\x04")?;
            cursor.bytes(4)?;
            let method = cursor.number(2)? as u16;
            cursor.bytes(16)?;
            let (name, extra) = (cursor.number(2)?, cursor.number(2)?);
            let same = cursor.0 == self.name && name == self.name.len() as u64;
            (same && method == self.method).then_some(extra)
        })();
        let begin = behind.map(|extra| at.saturating_add(bytes.len() as u64).saturating_add(extra));
        let inside = |begin: &u64| {
            let end = begin.checked_add(self.packed);
            end.is_some_and(|end| end <= file.size())
        };
        Ok(begin.filter(inside))
    }
}

impl Inspection {
    /// Whether a zip archive with at least one part ends where the file does.
    pub(super) fn archive_behind<S: Source + ?Sized>(&self, file: &S) -> Result<bool, Error> {
        let Some(directory) = directory(file)? else {
            return Ok(false);
        };
        let parts = parts(file, &directory)?.unwrap_or_default();
        let Some(first) = parts.first() else {
            return Ok(false);
        };
        Ok(first.begin(file, directory.shift)?.is_some())
    }

    pub(super) fn archive<S: Source + ?Sized>(
        &mut self,
        place: &str,
        file: &S,
        depth: u8,
    ) -> Result<Verdict, Error> {
        let broken =
            || Verdict::unknown("a zip archive that is not well formed, or too large to look into");
        let Some(directory) = directory(file)? else {
            // Readers that go from the front find pickles even where the end is missing.
            return Ok(broken());
        };
        let Some(parts) = parts(file, &directory)? else {
            return Ok(broken());
        };
        let mut verdict = Verdict::Data {
            format: Format::Archive,
        };
        for part in &parts {
            let name = String::from_utf8_lossy(&part.name);
            let name: String = name.chars().take(super::MAX_PLACE).collect();
            let place = if place.is_empty() {
                name
            } else {
                format!("{place}!{name}")
            };
            verdict = verdict.and(self.part(&place, file, part, &directory, depth)?);
        }
        Ok(match verdict {
            Verdict::Data { .. } => Verdict::Data {
                format: Format::Archive,
            },
            other => other,
        })
    }

    fn part<S: Source + ?Sized>(
        &mut self,
        place: &str,
        file: &S,
        part: &Part,
        directory: &Directory,
        depth: u8,
    ) -> Result<Verdict, Error> {
        let shown = place.escape_debug();
        let Some(begin) = part.begin(file, directory.shift)? else {
            let why = format!("the archive says two things about {shown}");
            return Ok(Verdict::unknown(why));
        };
        if part.encrypted {
            return Ok(Verdict::unknown(format!("{shown} is encrypted")));
        }
        let window = Window {
            file,
            begin,
            size: part.packed,
        };
        let deeper = depth.saturating_add(1);
        match part.method {
            0 if part.size == part.packed => self.raw(place, &window, deeper),
            8 => self.inflated(place, &window, Wrapping::None, deeper),
            0 => Ok(Verdict::unknown(format!(
                "the archive says two sizes of {shown}"
            ))),
            method => Ok(Verdict::unknown(format!(
                "{shown} is compressed by method {method}, which is not looked into"
            ))),
        }
    }

    /// A part as it stands there. Elements of tensors are no format: what is not recognised in PyTorch's `data/` is unknown, and
    /// the pickle beside it makes the whole code anyway.
    fn raw<S: Source + ?Sized>(
        &mut self,
        place: &str,
        part: &Window<'_, S>,
        depth: u8,
    ) -> Result<Verdict, Error> {
        // A trait object, so that archives in archives do not make ever new types.
        let part: &dyn Source = part;
        self.at(place, part, depth)
    }

    pub(super) fn gzip<S: Source + ?Sized>(
        &mut self,
        place: &str,
        file: &S,
        depth: u8,
    ) -> Result<Verdict, Error> {
        let first = head(file, 0, 1 << 16)?;
        let Some(begin) = behind_gzip_header(&first) else {
            return Ok(Verdict::unknown("a gzip stream that is not well formed"));
        };
        let window = Window {
            file,
            begin,
            size: file.size().saturating_sub(begin),
        };
        self.inflated(place, &window, Wrapping::None, depth.saturating_add(1))
    }

    pub(super) fn zlib<S: Source + ?Sized>(
        &mut self,
        place: &str,
        file: &S,
        depth: u8,
    ) -> Result<Verdict, Error> {
        let window = Window {
            file,
            begin: 0,
            size: file.size(),
        };
        self.inflated(place, &window, Wrapping::Zlib, depth.saturating_add(1))
    }

    /// What a compressed stream holds, as far as the limits allow to unpack it.
    fn inflated<S: Source + ?Sized>(
        &mut self,
        place: &str,
        stream: &Window<'_, S>,
        wrapping: Wrapping,
        depth: u8,
    ) -> Result<Verdict, Error> {
        use miniz_oxide::inflate::{
            TINFLStatus, decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit,
        };
        // What is packed into more than is looked at unpacks into more, too.
        let packed = head(stream, 0, MAX_SCANNED)?;
        let most = usize::try_from(MAX_SCANNED.min(self.left)).unwrap_or(usize::MAX);
        let unpacked = match wrapping {
            Wrapping::None => decompress_to_vec_with_limit(&packed, most),
            Wrapping::Zlib => decompress_to_vec_zlib_with_limit(&packed, most),
        };
        let (bytes, whole) = match unpacked {
            Ok(bytes) => (bytes, true),
            Err(error) if error.status == TINFLStatus::HasMoreOutput => (error.output, false),
            Err(error) => (error.output, false),
        };
        self.take(bytes.len() as u64);
        let part: &dyn Source = &bytes;
        let verdict = self.at(place, part, depth)?;
        Ok(match verdict {
            Verdict::Code { .. } => verdict,
            _ if !whole => {
                Verdict::unknown("a compressed part that is broken or too large to look into")
            }
            other => other,
        })
    }
}

#[derive(Clone, Copy)]
enum Wrapping {
    None,
    Zlib,
}

/// Where the deflated bytes of a gzip stream begin (RFC 1952).
fn behind_gzip_header(bytes: &[u8]) -> Option<u64> {
    let mut cursor = Cursor(bytes);
    cursor.bytes(2)?;
    let (method, flags) = (cursor.number(1)?, cursor.number(1)?);
    cursor.bytes(6)?;
    if method != 8 || flags & 0xe0 != 0 {
        return None;
    }
    if flags & 4 != 0 {
        let length = cursor.number(2)?;
        cursor.bytes(length as usize)?;
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let end = cursor.0.iter().position(|byte| *byte == 0)?;
            cursor.bytes(end.saturating_add(1))?;
        }
    }
    if flags & 2 != 0 {
        cursor.bytes(2)?;
    }
    Some((bytes.len().saturating_sub(cursor.0.len())) as u64)
}
