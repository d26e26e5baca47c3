//! Formats by their first bytes, and the headers of those that are called data.

use crate::tensors::{Error, Source, Weights};

use super::{Format, head};

/// Most bytes of a GGUF header: the vocabulary of a large tokenizer takes about 10 MB.
const MAX_GGUF_HEADER: u64 = 64 << 20;

/// Most entries of a GGUF header.
const MAX_GGUF_ENTRIES: u64 = 1 << 20;

/// Most bytes of the header of an array.
const MAX_NPY_HEADER: u64 = 1 << 20;

/// A format of data whose bytes hold what they promise.
pub(super) fn known<S: Source + ?Sized>(file: &S, head: &[u8]) -> Result<Option<Format>, Error> {
    if head.starts_with(b"GGUF") {
        return Ok(Gguf::new(file)?.check().is_some().then_some(Format::Gguf));
    }
    if head.starts_with(b"\x93NUMPY") {
        return Ok(is_plain_array(file)?.then_some(Format::Npy));
    }
    if head.get(8) == Some(&b'{') {
        match Weights::open(file) {
            Ok(_) => return Ok(Some(Format::Safetensors)),
            Err(Error::Malformed(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(is_onnx(file)?.then_some(Format::Onnx))
}

/// What begins like a format of data and is not well formed.
pub(super) fn broken(head: &[u8]) -> Option<String> {
    let kinds: [(&[u8], &str); 2] = [(b"GGUF", "GGUF"), (b"\x93NUMPY", "an array of NumPy")];
    let kind = kinds.into_iter().find(|(magic, _)| head.starts_with(magic));
    let name = kind.map(|(_, name)| name);
    let name = name.or_else(|| (head.get(8) == Some(&b'{')).then_some("safetensors"));
    name.map(|name| format!("it begins like {name} and is not well formed"))
}

/// Formats that may hide anything and are not looked into.
pub(super) fn opaque(head: &[u8]) -> Option<&'static str> {
    const KINDS: [(usize, &[u8], &str); 11] = [
        (
            0,
            b"\x89HDF\r\n\x1a\n",
            "HDF5, in which Keras keeps layers that are code",
        ),
        (0, b"BZh", "compressed by bzip2, which is not looked into"),
        (
            0,
            b"\xfd7zXZ\0",
            "compressed by xz, which is not looked into",
        ),
        (
            0,
            b"\x5d\0\0",
            "compressed by lzma, which is not looked into",
        ),
        (
            0,
            b"\x04\x22\x4d\x18",
            "compressed by lz4, which is not looked into",
        ),
        (
            0,
            b"\x28\xb5\x2f\xfd",
            "compressed by zstd, which is not looked into",
        ),
        (
            0,
            b"7z\xbc\xaf\x27\x1c",
            "a 7z archive, which is not looked into",
        ),
        (0, b"Rar!", "a RAR archive, which is not looked into"),
        (257, b"ustar", "a tar archive, which is not looked into"),
        (0, b"\x7fELF", "a program"),
        (0, b"MZ", "a program"),
    ];
    let found = KINDS.into_iter().find(|(at, magic, _)| {
        head.get(*at..)
            .is_some_and(|bytes| bytes.starts_with(magic))
    });
    found.map(|(.., what)| what)
}

/// Whether these first bytes are of text: UTF-8 that may be cut at the end, and no control characters.
pub(super) fn is_text(head: &[u8]) -> bool {
    match std::str::from_utf8(head) {
        Ok(text) => is_plain(text),
        Err(error) => {
            let (good, rest) = head.split_at(error.valid_up_to());
            let cut = error.error_len().is_none() && rest.len() < 4;
            cut && std::str::from_utf8(good).is_ok_and(is_plain)
        }
    }
}

pub(super) fn is_whole_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(is_plain)
}

fn is_plain(text: &str) -> bool {
    let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x0c');
    text.chars().all(allowed)
}

/// Where the elements of a NumPy array of objects begin, which are a pickle.
pub(super) fn objects_behind(head: &[u8]) -> Option<u64> {
    let (start, header) = npy_header(head)?;
    has_objects(header).then_some(start)
}

/// The length of an array's header with its magic, and as much of its text as is there.
fn npy_header(head: &[u8]) -> Option<(u64, &[u8])> {
    let rest = head.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, begin, text) = match version {
        [1, _] => {
            let (length, text) = rest.split_first_chunk::<2>()?;
            (u64::from(u16::from_le_bytes(*length)), 10u64, text)
        }
        [2 | 3, _] => {
            let (length, text) = rest.split_first_chunk::<4>()?;
            (u64::from(u32::from_le_bytes(*length)), 12, text)
        }
        _ => return None,
    };
    let here = usize::try_from(length).map_or(text.len(), |length| length.min(text.len()));
    Some((begin.saturating_add(length), text.get(..here)?))
}

/// Whether a type in the header is of objects: `'O'`, `'|O'`, `'|O8'`, alone or as a field of a record.
fn has_objects(header: &[u8]) -> bool {
    let quoted = header.split(|byte| matches!(byte, b'\'' | b'"'));
    quoted.skip(1).step_by(2).any(|word| {
        let word = match word {
            [b'<' | b'>' | b'|' | b'=', rest @ ..] => rest,
            all => all,
        };
        matches!(word, [b'O', digits @ ..] if digits.iter().all(u8::is_ascii_digit))
    })
}

/// Whether it is an array whose elements fill the file as far as a plain type can be told.
fn is_plain_array<S: Source + ?Sized>(file: &S) -> Result<bool, Error> {
    let bytes = head(file, 0, MAX_NPY_HEADER)?;
    let Some((begin, header)) = npy_header(&bytes) else {
        return Ok(false);
    };
    let whole = begin <= bytes.len() as u64 && begin <= file.size();
    let dictionary = std::str::from_utf8(header).is_ok_and(|text| {
        let text = text.trim_end();
        text.starts_with('{') && text.ends_with('}') && text.contains("descr")
    });
    Ok(whole && dictionary && !has_objects(header))
}

/// A cursor over a protocol buffer message that skips what it does not need.
struct Fields<'a, S: ?Sized> {
    file: &'a S,
    at: u64,
}

impl<S: Source + ?Sized> Fields<'_, S> {
    fn varint(&mut self) -> Result<Option<u64>, Error> {
        let bytes = head(self.file, self.at, 10)?;
        let mut value = 0u64;
        for (index, byte) in bytes.iter().enumerate() {
            value |= u64::from(byte & 0x7f).wrapping_shl((index as u32).saturating_mul(7));
            if byte & 0x80 == 0 {
                self.at = self.at.saturating_add(index as u64).saturating_add(1);
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The number of the next field and its value, or its length; `None` where it is no message.
    fn next(&mut self) -> Result<Option<(u64, u64, u64)>, Error> {
        let Some(key) = self.varint()? else {
            return Ok(None);
        };
        let Some(value) = self.varint()? else {
            return Ok(None);
        };
        if key & 7 == 2 {
            self.at = self.at.saturating_add(value);
        }
        let inside = self.at <= self.file.size();
        Ok(inside.then_some((key >> 3, key & 7, value)))
    }
}

/// Whether it is ONNX's `ModelProto`: known fields only, a version of the format, one graph, and an end at the file's.
fn is_onnx<S: Source + ?Sized>(file: &S) -> Result<bool, Error> {
    /// Fields of a model, most of them once; operator sets, properties and functions may be many.
    const MAX_FIELDS: usize = 100_000;
    let mut fields = Fields { file, at: 0 };
    let (mut version, mut graphs) = (None, 0u64);
    for _ in 0..MAX_FIELDS {
        if fields.at >= file.size() {
            break;
        }
        match fields.next()? {
            Some((1, 0, value)) => version = Some(value),
            Some((5, 0, _)) => {}
            Some((7, 2, length)) => {
                graphs = graphs.saturating_add(1);
                if length == 0 {
                    return Ok(false);
                }
            }
            Some((2 | 3 | 4 | 6 | 8 | 14 | 20 | 25 | 26, 2, _)) => {}
            _ => return Ok(false),
        }
    }
    let known = version.is_some_and(|version| (1..=64).contains(&version));
    Ok(known && graphs == 1 && fields.at == file.size())
}

/// A GGUF header, read from front to back.
struct Gguf<'a, S: ?Sized> {
    file: &'a S,
    bytes: Vec<u8>,
    at: usize,
}

impl<'a, S: Source + ?Sized> Gguf<'a, S> {
    /// With as much of the file as a header may have. The tensors behind it come along, which costs no more than reading.
    fn new(file: &'a S) -> Result<Self, Error> {
        Ok(Self {
            file,
            bytes: head(file, 0, MAX_GGUF_HEADER)?,
            at: 4,
        })
    }

    /// Reads the header to its end: versions 2 and 3 (gguf.md of ggml).
    fn check(mut self) -> Option<()> {
        const ALIGNMENT: u64 = 32;
        let version = self.number(4)?;
        if !(2..=3).contains(&version) {
            return None;
        }
        let (tensors, pairs) = (self.number(8)?, self.number(8)?);
        if tensors > MAX_GGUF_ENTRIES || pairs > MAX_GGUF_ENTRIES {
            return None;
        }
        let mut alignment = ALIGNMENT;
        for _ in 0..pairs {
            let is_alignment = self.text()? == b"general.alignment";
            let kind = self.number(4)?;
            let before = self.at;
            self.value(kind, 0)?;
            if is_alignment {
                let bytes = self.bytes.get(before..self.at)?;
                alignment = u64::from(u32::from_le_bytes(bytes.try_into().ok()?));
            }
        }
        if !alignment.is_power_of_two() {
            return None;
        }
        let mut offsets = Vec::new();
        for _ in 0..tensors {
            offsets.push(self.tensor()?);
        }
        let data = (self.at as u64).checked_next_multiple_of(alignment)?;
        let room = self.file.size().saturating_sub(data);
        let good = |offset: &u64| offset.is_multiple_of(alignment) && *offset < room;
        offsets.iter().all(good).then_some(())
    }

    fn take(&mut self, length: u64) -> Option<&[u8]> {
        let end = self.at.checked_add(usize::try_from(length).ok()?)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number(&mut self, width: u64) -> Option<u64> {
        let bytes = self.take(width)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    }

    fn text(&mut self) -> Option<&[u8]> {
        let length = self.number(8)?;
        self.take(length)
    }

    /// Passes over a value.
    fn value(&mut self, kind: u64, depth: u8) -> Option<()> {
        match kind {
            0 | 1 => self.take(1).map(|_| ()),
            7 => (self.number(1)? <= 1).then_some(()),
            2 | 3 => self.take(2).map(|_| ()),
            4..=6 => self.take(4).map(|_| ()),
            10..=12 => self.take(8).map(|_| ()),
            8 => self.text().map(|_| ()),
            9 if depth < 4 => {
                let (kind, count) = (self.number(4)?, self.number(8)?);
                // Each element has at least a byte, so that the file's own size bounds the work.
                for _ in 0..count {
                    self.value(kind, depth.saturating_add(1))?;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// Passes over the description of a tensor; its offset.
    fn tensor(&mut self) -> Option<u64> {
        const MAX_RANK: u64 = 8;
        self.text()?;
        let rank = self.number(4)?;
        if rank > MAX_RANK {
            return None;
        }
        let mut elements = 1u64;
        for _ in 0..rank {
            elements = elements.checked_mul(self.number(8)?)?;
        }
        self.number(4)?;
        self.number(8)
    }
}
