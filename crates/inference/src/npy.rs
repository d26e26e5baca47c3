//! Tensors as npy files. Source: numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
//!
//! Read are versions 1.0 and 2.0, little-endian `f4 f8 i8 i4`, `b1`, `u1` and text `U`, in C order. Written is version
//! 1.0 only, in one way: the **canonical bytes** of a tensor, over which commitments are made. Their header is
//! `{'descr': D, 'fortran_order': False, 'shape': S, }` with `S` as Python prints a tuple, padded with spaces to a
//! multiple of 64 bytes and a line end; text is as wide as the longest value, at least one character; every NaN has
//! one pattern.

use std::fmt::Write as _;

use assay_receipt::commitment::MAX_FIELD_BYTES;
use assay_tensor::{DType, Element, NamedTensors, Tensor, Values};

use crate::Error;

/// The first bytes of every npy file.
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Bytes of a header: numpy's own bound for untrusted files.
const MAX_HEADER: usize = 10_000;
/// The header ends at a multiple of this.
const ALIGN: usize = 64;
/// Characters of one text, so that one long value cannot make every other as wide.
pub(crate) const MAX_TEXT: usize = 4096;
/// Canonical bytes of all tensors of one commitment together: of one tensor a commitment takes no more either. Texts
/// are padded to the longest, so that a small request could otherwise need any amount.
pub const MAX_CANONICAL_BYTES: usize = MAX_FIELD_BYTES;

/// Reads one tensor of at most `max_elements`.
///
/// # Errors
/// [`Error::Npy`] saying what was expected; data that is too short or too long is refused.
pub fn read(bytes: &[u8], max_elements: u64) -> Result<Tensor, Error> {
    let (header, data) = split(bytes)?;
    let header = Header::parse(header)?;
    let elements = header
        .shape
        .iter()
        .try_fold(1u64, |all, dim| all.checked_mul(*dim as u64));
    let elements = elements
        .filter(|n| *n <= max_elements)
        .and_then(|n| usize::try_from(n).ok());
    let elements = elements.ok_or_else(|| {
        fail(format!(
            "{:?} is more than {max_elements} elements",
            header.shape
        ))
    })?;
    let size = header.kind.size();
    if elements.checked_mul(size) != Some(data.len()) {
        return Err(fail(format!(
            "{elements} elements of {size} bytes are announced, {} bytes follow",
            data.len()
        )));
    }
    header.kind.tensor(&header.shape, data)
}

/// The canonical npy bytes of a tensor.
///
/// # Errors
/// [`Error::Npy`] for a text of more than 4096 characters and for more than [`MAX_CANONICAL_BYTES`], before they are
/// allocated.
pub fn canonical_bytes(tensor: &Tensor) -> Result<Vec<u8>, Error> {
    bytes_within(tensor, MAX_CANONICAL_BYTES)
}

/// Name and canonical bytes of every tensor, in order: the fields of a commitment.
///
/// # Errors
/// As [`canonical_bytes`], with [`MAX_CANONICAL_BYTES`] for all tensors together.
pub fn canonical_fields(tensors: &NamedTensors) -> Result<Vec<(&str, Vec<u8>)>, Error> {
    let mut left = MAX_CANONICAL_BYTES;
    let fields = tensors.iter().map(|(name, tensor)| {
        let bytes = bytes_within(tensor, left)?;
        left = left.saturating_sub(bytes.len());
        Ok((name, bytes))
    });
    fields.collect()
}

/// The canonical bytes of a tensor whose values take at most `most` of them.
fn bytes_within(tensor: &Tensor, most: usize) -> Result<Vec<u8>, Error> {
    let width = text_width(tensor)?;
    let size = match tensor.dtype() {
        DType::Str => width.saturating_mul(4),
        other => other.size(),
    };
    let values = tensor.shape().elements().saturating_mul(size);
    if values > most {
        return Err(fail(format!(
            "{} elements of {size} bytes; {most} bytes are left for them",
            tensor.shape().elements()
        )));
    }
    let header = header(tensor, width);
    let mut out = Vec::with_capacity(header.len().saturating_add(values));
    out.extend_from_slice(&header);
    append(tensor.values(), width, &mut out);
    Ok(out)
}

/// Everything before the values: magic, version, and the header with its length.
fn header(tensor: &Tensor, width: usize) -> Vec<u8> {
    let descr = match tensor.dtype() {
        DType::F32 => "<f4".to_string(),
        DType::F64 => "<f8".into(),
        DType::I64 => "<i8".into(),
        DType::I32 => "<i4".into(),
        DType::U8 => "|u1".into(),
        DType::Bool => "|b1".into(),
        DType::Str => format!("<U{width}"),
    };
    let dims: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    let shape = match &dims[..] {
        [one] => format!("({one},)"),
        _ => format!("({})", dims.join(", ")),
    };
    let mut header = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        header,
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    );
    let start = MAGIC.len().saturating_add(4);
    let total = start
        .saturating_add(header.len())
        .saturating_add(1)
        .next_multiple_of(ALIGN);
    let padding = total
        .saturating_sub(start)
        .saturating_sub(header.len())
        .saturating_sub(1);
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[1, 0]);
    // At most eight dimensions of twenty digits: far below 65,536.
    out.extend_from_slice(&(header.len() as u16).to_le_bytes());
    out.extend_from_slice(header.as_bytes());
    out
}

/// The widest text, in characters, at least one.
fn text_width(tensor: &Tensor) -> Result<usize, Error> {
    let longest = tensor
        .as_slice::<String>()
        .unwrap_or(&[])
        .iter()
        .map(|text| text.chars().count())
        .max();
    let longest = longest.unwrap_or(0).max(1);
    if longest > MAX_TEXT {
        return Err(fail(format!(
            "a text of {longest} characters, at most {MAX_TEXT} are possible"
        )));
    }
    Ok(longest)
}

/// Appends little-endian values.
fn append(values: &Values, width: usize, out: &mut Vec<u8>) {
    match values {
        Values::F32(v) => v.iter().for_each(|x| {
            let x = if x.is_nan() {
                f32::from_bits(0x7FC0_0000)
            } else {
                *x
            };
            out.extend_from_slice(&x.to_le_bytes());
        }),
        Values::F64(v) => v.iter().for_each(|x| {
            let x = if x.is_nan() {
                f64::from_bits(0x7FF8_0000_0000_0000)
            } else {
                *x
            };
            out.extend_from_slice(&x.to_le_bytes());
        }),
        Values::I64(v) => v
            .iter()
            .for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        Values::I32(v) => v
            .iter()
            .for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
        Values::U8(v) => out.extend_from_slice(v),
        Values::Bool(v) => out.extend(v.iter().map(|x| u8::from(*x))),
        Values::Str(v) => v.iter().for_each(|text| {
            let padded = text
                .chars()
                .map(u32::from)
                .chain(std::iter::repeat(0))
                .take(width);
            padded.for_each(|c| out.extend_from_slice(&c.to_le_bytes()));
        }),
    }
}

/// An error in words.
fn fail(reason: impl Into<String>) -> Error {
    Error::Npy(reason.into())
}

/// Header text and data.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), Error> {
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| fail("the file does not start with the npy magic"))?;
    let (length, rest) = match rest {
        [1, 0, a, b, rest @ ..] => (u32::from(u16::from_le_bytes([*a, *b])), rest),
        [2, 0, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), rest),
        _ => {
            return Err(fail(
                "version 1.0 or 2.0 and the header's length are expected",
            ));
        }
    };
    let length = usize::try_from(length).ok().filter(|l| *l <= MAX_HEADER);
    let length = length.ok_or_else(|| fail(format!("a header of more than {MAX_HEADER} bytes")))?;
    let (header, data) = rest
        .split_at_checked(length)
        .ok_or_else(|| fail("the file ends within the header"))?;
    let text = std::str::from_utf8(header)
        .ok()
        .filter(|text| text.is_ascii());
    Ok((text.ok_or_else(|| fail("the header is not ASCII"))?, data))
}

/// The element types that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    F64,
    I64,
    I32,
    U8,
    Bool,
    /// Text of this many characters.
    Text(usize),
}

impl Kind {
    fn parse(descr: &str) -> Result<Self, Error> {
        Ok(match descr {
            "<f4" => Self::F32,
            "<f8" => Self::F64,
            "<i8" => Self::I64,
            "<i4" => Self::I32,
            "|u1" => Self::U8,
            "|b1" => Self::Bool,
            _ => {
                let width = descr
                    .strip_prefix("<U")
                    .and_then(|digits| digits.parse().ok());
                let width = width.filter(|width| (1..=MAX_TEXT).contains(width));
                Self::Text(width.ok_or_else(|| {
                    fail(format!(
                        "dtype `{descr}`: <f4 <f8 <i8 <i4 |u1 |b1 <U are read"
                    ))
                })?)
            }
        })
    }

    /// Bytes of one element.
    fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
            Self::U8 | Self::Bool => 1,
            Self::Text(width) => width.saturating_mul(4),
        }
    }

    /// The tensor of data whose length has been checked.
    fn tensor(self, shape: &[usize], data: &[u8]) -> Result<Tensor, Error> {
        match self {
            Self::F32 => made(
                shape,
                data.as_chunks::<4>()
                    .0
                    .iter()
                    .map(|c| f32::from_le_bytes(*c))
                    .collect(),
            ),
            Self::F64 => made(
                shape,
                data.as_chunks::<8>()
                    .0
                    .iter()
                    .map(|c| f64::from_le_bytes(*c))
                    .collect(),
            ),
            Self::I64 => made(
                shape,
                data.as_chunks::<8>()
                    .0
                    .iter()
                    .map(|c| i64::from_le_bytes(*c))
                    .collect(),
            ),
            Self::I32 => made(
                shape,
                data.as_chunks::<4>()
                    .0
                    .iter()
                    .map(|c| i32::from_le_bytes(*c))
                    .collect(),
            ),
            Self::U8 => made(shape, data.to_vec()),
            Self::Bool => {
                let flags: Option<Vec<bool>> =
                    data.iter().map(|b| (*b < 2).then_some(*b == 1)).collect();
                made(
                    shape,
                    flags.ok_or_else(|| fail("a truth value that is neither 0 nor 1"))?,
                )
            }
            Self::Text(width) => {
                let texts: Option<Vec<String>> =
                    data.chunks(width.saturating_mul(4)).map(text).collect();
                made(
                    shape,
                    texts.ok_or_else(|| fail("text that is not UTF-32 padded with zeros"))?,
                )
            }
        }
    }
}

/// A tensor of a slice of dimensions.
fn made<T: Element>(shape: &[usize], values: Vec<T>) -> Result<Tensor, Error> {
    Ok(Tensor::new(shape, values)?)
}

/// One fixed-width text; zeros may only be at its end.
fn text(bytes: &[u8]) -> Option<String> {
    let mut ended = false;
    let mut out = String::new();
    for chunk in bytes.as_chunks::<4>().0 {
        match u32::from_le_bytes(*chunk) {
            0 => ended = true,
            _ if ended => return None,
            code => out.push(char::from_u32(code)?),
        }
    }
    Some(out)
}

/// What a header says.
struct Header {
    kind: Kind,
    shape: Vec<usize>,
}

impl Header {
    /// Reads the Python dictionary of three keys.
    fn parse(text: &str) -> Result<Self, Error> {
        let mut scan = Scan(text);
        let (mut kind, mut fortran, mut shape) = (None, None, None);
        scan.require("{")?;
        while !scan.accept("}") {
            let key = scan.quoted()?;
            scan.require(":")?;
            let fresh = match key {
                "descr" => kind.replace(Kind::parse(scan.quoted()?)?).is_none(),
                "fortran_order" if scan.accept("False") => fortran.replace(()).is_none(),
                "fortran_order" => {
                    return Err(fail("Fortran order: pass numpy.ascontiguousarray of it"));
                }
                "shape" => shape.replace(scan.tuple()?).is_none(),
                other => return Err(fail(format!("the header key `{other}` does not exist"))),
            };
            if !fresh {
                return Err(fail(format!("the header key `{key}` occurs twice")));
            }
            if !scan.accept(",") {
                scan.require("}")?;
                break;
            }
        }
        match (kind, fortran, shape, scan.0.trim().is_empty()) {
            (Some(kind), Some(()), Some(shape), true) => Ok(Self { kind, shape }),
            _ => Err(fail(
                "the header needs descr, fortran_order and shape, and nothing behind them",
            )),
        }
    }
}

/// What is left of a header.
struct Scan<'a>(&'a str);

impl<'a> Scan<'a> {
    /// Skips white space and `token` if it is next.
    fn accept(&mut self, token: &str) -> bool {
        let rest = self.0.trim_start();
        let found = rest.strip_prefix(token);
        self.0 = found.unwrap_or(rest);
        found.is_some()
    }

    fn require(&mut self, token: &str) -> Result<(), Error> {
        if self.accept(token) {
            Ok(())
        } else {
            Err(fail(format!("`{token}` is expected in the header")))
        }
    }

    /// A text in single or double quotes.
    fn quoted(&mut self) -> Result<&'a str, Error> {
        let quote = if self.accept("'") {
            '\''
        } else if self.accept("\"") {
            '"'
        } else {
            return Err(fail("a quoted text is expected in the header"));
        };
        let (inner, rest) = self
            .0
            .split_once(quote)
            .ok_or_else(|| fail("a quote is not closed"))?;
        self.0 = rest;
        Ok(inner)
    }

    /// A tuple of sizes.
    fn tuple(&mut self) -> Result<Vec<usize>, Error> {
        let mut sizes = Vec::new();
        self.require("(")?;
        while !self.accept(")") {
            let end = self
                .0
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(self.0.len());
            let (digits, rest) = self.0.split_at(end);
            let size = digits
                .parse()
                .map_err(|_| fail("a dimension is not a number"))?;
            if sizes.len() >= assay_tensor::MAX_RANK {
                return Err(fail("too many dimensions"));
            }
            sizes.push(size);
            self.0 = rest;
            if !self.accept(",") {
                self.require(")")?;
                break;
            }
        }
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_numpys() {
        let bytes = canonical_bytes(&Tensor::new(&[2], vec![1f32, 2.0]).unwrap()).unwrap();
        assert!(bytes.starts_with(
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } "
        ));
        assert_eq!(bytes.len(), 128 + 8);
        assert_eq!(bytes[127], b'\n');
    }

    fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn headers_in_other_words_are_read() {
        for header in [
            "{'shape': (1,), 'fortran_order': False, 'descr': '<f4'}",
            "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(1,)}\n",
            "  { 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 1 , ) , }   ",
        ] {
            assert_eq!(
                read(&with_header(header, &[0; 4]), 9)
                    .unwrap()
                    .shape()
                    .to_vec(),
                [1],
                "{header}"
            );
        }
    }

    #[test]
    fn hostile_files_are_refused() {
        let ok = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}";
        let cases = [
            with_header(ok, &[0; 3]),
            with_header(ok, &[0; 5]),
            with_header(&ok.replace("False", "True"), &[0; 4]),
            with_header(&ok.replace("<f4", ">f4"), &[0; 4]),
            with_header(&ok.replace("<f4", "|O"), &[0; 4]),
            with_header(&ok.replace("<f4", "<U0"), &[0; 4]),
            with_header(&ok.replace("<f4", "<U99999999999"), &[0; 4]),
            with_header(&ok.replace("(1,)", "(99999999,99999999)"), &[0; 4]),
            with_header(
                &ok.replace("(1,)", "(4294967296,4294967296,4294967296)"),
                &[0; 4],
            ),
            with_header(&ok.replace("(1,)", "(1099511627776,0)"), &[]),
            with_header(&ok.replace("(1,)", "(-1,)"), &[0; 4]),
            with_header(&ok.replace("(1,)", "(1"), &[0; 4]),
            with_header(&ok.replace("(1,)", "(1,1,1,1,1,1,1,1,1)"), &[0; 4]),
            with_header(&format!("{ok} x"), &[0; 4]),
            with_header(
                "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
                &[0; 4],
            ),
            with_header("{'descr': '<f4'}", &[0; 4]),
            with_header(&ok.replace("<f4", "|b1"), &[2]),
            with_header(&ok.replace("<f4", "<U2"), &[0, 0, 0, 0, 65, 0, 0, 0]),
            with_header(&ok.replace("<f4", "<U1"), &[0, 0xD8, 0, 0]),
            b"\x93NUMPY\x03\x00\x00\x00\x00\x00".to_vec(),
            b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF".to_vec(),
            b"\x93NUMPY\x01\x00\xFF\x00{".to_vec(),
            b"\x93NUM".to_vec(),
            vec![],
        ];
        for case in cases {
            assert!(
                read(&case, 1 << 20).is_err(),
                "{:?}",
                String::from_utf8_lossy(&case)
            );
        }
        assert!(
            read(
                &canonical_bytes(&Tensor::new(&[9], vec![0f32; 9]).unwrap()).unwrap(),
                8
            )
            .is_err()
        );
    }

    /// One long text among many short ones: 4 TB in the canonical bytes of a request of 5 MB.
    #[test]
    fn texts_that_would_not_fit_are_refused_before_they_are_padded() {
        let mut texts = vec![String::new(); 1 << 20];
        texts.push("a".repeat(1 << 20));
        let long = Tensor::new(&[texts.len()], texts.clone()).unwrap();
        assert!(matches!(canonical_bytes(&long), Err(Error::Npy(_))));
        texts.pop();
        texts.push("a".repeat(MAX_TEXT));
        let many = Tensor::new(&[texts.len()], texts).unwrap();
        assert!(matches!(canonical_bytes(&many), Err(Error::Npy(_))));
    }

    #[test]
    fn all_tensors_of_a_commitment_share_one_bound() {
        let half = Tensor::new(
            &[MAX_CANONICAL_BYTES / 2],
            vec![0u8; MAX_CANONICAL_BYTES / 2],
        );
        let named = |name: &str| (name.to_owned(), half.clone().unwrap());
        let one = NamedTensors::new(vec![named("a")]);
        assert_eq!(canonical_fields(&one).unwrap().len(), 1);
        let two = NamedTensors::new(vec![named("a"), named("b")]);
        assert!(matches!(canonical_fields(&two), Err(Error::Npy(_))));
    }
}
