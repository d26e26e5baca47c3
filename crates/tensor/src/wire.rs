//! The protocol buffer wire format, read in place.
//!
//! Own reader instead of generated structs: it borrows from the file, so that a hostile file of empty messages cannot
//! make the process allocate a structure for each, and the caller can stop at its own limits in the middle of a list.
//! Source: protobuf.dev/programming-guides/encoding. Groups are refused: ONNX has none.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::Error;

/// A cursor over one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    rest: &'a [u8],
    /// Offset of `rest` in the file, for messages.
    offset: usize,
}

/// The value of one field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64([u8; 8]),
    /// Wire type 2: a string, bytes, a message or packed numbers.
    Bytes(Message<'a>),
    /// Wire type 5.
    Fixed32([u8; 4]),
}

impl<'a> Message<'a> {
    /// The outermost message: the file.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            offset: 0,
        }
    }

    /// The bytes that are left.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// An error at the cursor.
    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed {
            offset: self.offset,
            reason: reason.into(),
        }
    }

    /// The next field's number and value, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(self.array()?),
            kind => return Err(self.malformed(format!("wire type {kind} does not exist in ONNX"))),
        };
        match key >> 3 {
            0 => Err(self.malformed("field number 0")),
            number => Ok(Some((number, field))),
        }
    }

    /// A base-128 integer of at most ten bytes.
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let part = u64::from(byte & 0x7F);
            if shift == 63 && part > 1 {
                break;
            }
            value |= part.wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a variable-length integer of more than 64 bits"))
    }

    /// The next `N` bytes.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, tail)) => {
                self.rest = tail;
                self.offset = self.offset.saturating_add(N);
                Ok(*head)
            }
            None => Err(self.malformed(format!("the file ends where {N} more bytes are needed"))),
        }
    }

    /// The next `length` bytes as a message of their own.
    fn take(&mut self, length: u64) -> Result<Message<'a>, Error> {
        let cut = usize::try_from(length)
            .ok()
            .and_then(|n| self.rest.split_at_checked(n));
        let Some((head, tail)) = cut else {
            return Err(self.malformed(format!(
                "{length} bytes are announced, {} are left",
                self.rest.len()
            )));
        };
        let inner = Message {
            rest: head,
            offset: self.offset,
        };
        self.offset = self.offset.saturating_add(head.len());
        self.rest = tail;
        Ok(inner)
    }
}

impl<'a> Field<'a> {
    /// The integer of a varint field, as ONNX's signed 64-bit type.
    pub(crate) fn int(self, at: &Message<'_>) -> Result<i64, Error> {
        match self {
            Field::Varint(value) => Ok(value.cast_signed()),
            _ => Err(at.malformed("an integer field with another wire type")),
        }
    }

    /// The float of a 32-bit field.
    pub(crate) fn float(self, at: &Message<'_>) -> Result<f32, Error> {
        match self {
            Field::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(at.malformed("a float field with another wire type")),
        }
    }

    /// The message, string or packed list of a length-delimited field.
    pub(crate) fn message(self, at: &Message<'_>) -> Result<Message<'a>, Error> {
        match self {
            Field::Bytes(inner) => Ok(inner),
            _ => Err(at.malformed("a message field with another wire type")),
        }
    }

    /// The text of a string field.
    pub(crate) fn text(self, at: &Message<'_>) -> Result<&'a str, Error> {
        let inner = self.message(at)?;
        std::str::from_utf8(inner.bytes()).map_err(|_| inner.malformed("text that is not UTF-8"))
    }

    /// Appends one integer or a packed list of them.
    pub(crate) fn ints(self, at: &Message<'_>, into: &mut Vec<i64>) -> Result<(), Error> {
        let Field::Bytes(mut packed) = self else {
            into.push(self.int(at)?);
            return Ok(());
        };
        while !packed.rest.is_empty() {
            into.push(packed.varint()?.cast_signed());
        }
        Ok(())
    }

    /// Appends one float or a packed list of them.
    pub(crate) fn floats(self, at: &Message<'_>, into: &mut Vec<f32>) -> Result<(), Error> {
        let Field::Bytes(packed) = self else {
            into.push(self.float(at)?);
            return Ok(());
        };
        let (chunks, rest) = packed.rest.as_chunks::<4>();
        into.extend(chunks.iter().map(|c| f32::from_le_bytes(*c)));
        if rest.is_empty() {
            Ok(())
        } else {
            Err(packed.malformed("a packed list of floats that is cut off"))
        }
    }

    /// Appends one double or a packed list of them.
    pub(crate) fn doubles(self, at: &Message<'_>, into: &mut Vec<f64>) -> Result<(), Error> {
        match self {
            Field::Fixed64(bytes) => into.push(f64::from_le_bytes(bytes)),
            Field::Bytes(packed) => {
                let (chunks, rest) = packed.rest.as_chunks::<8>();
                into.extend(chunks.iter().map(|c| f64::from_le_bytes(*c)));
                if !rest.is_empty() {
                    return Err(packed.malformed("a packed list of doubles that is cut off"));
                }
            }
            _ => return Err(at.malformed("a double field with another wire type")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<u64>, Error> {
        let mut message = Message::new(bytes);
        let mut numbers = Vec::new();
        while let Some((number, _)) = message.next()? {
            numbers.push(number);
        }
        Ok(numbers)
    }

    #[test]
    fn known_wire_types_are_read() {
        assert_eq!(
            fields(&[0x08, 0x96, 0x01, 0x12, 0x01, b'x', 0x1D, 0, 0, 0, 0]).unwrap(),
            [1, 2, 3]
        );
    }

    #[test]
    fn hostile_bytes_are_refused_with_an_offset() {
        let cases: [&[u8]; 7] = [
            &[0x08],
            &[0x08, 0x80],
            &[0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1],
            &[0x0B, 0],
            &[0x00, 0],
            &[
                0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02,
            ],
            &[0x1D, 0, 0],
        ];
        for case in cases {
            assert!(
                matches!(fields(case), Err(Error::Malformed { .. })),
                "{case:?}"
            );
        }
    }

    #[test]
    fn packed_lists_must_end_on_an_element() {
        let at = Message::new(&[]);
        let packed = Field::Bytes(Message::new(&[0, 0, 0x80, 0x3F, 1]));
        let mut into = Vec::new();
        assert!(packed.floats(&at, &mut into).is_err());
        assert!(Field::Varint(1).floats(&at, &mut into).is_err());
        let mut ints = Vec::new();
        assert!(
            Field::Bytes(Message::new(&[0x81]))
                .ints(&at, &mut ints)
                .is_err()
        );
    }
}
