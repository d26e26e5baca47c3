//! Reading and writing bytes under limits: no index, no allocation before the bytes are there.

use crate::Error;

/// Reads one form from the front of a byte string.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`, which are said to be `what`.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(Error::Truncated { what: self.what })?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next byte.
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next two bytes, big-endian.
    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next eight bytes, big-endian.
    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// A count of two bytes within `1..=max`.
    pub(crate) fn count(&mut self, what: &'static str, max: usize) -> Result<usize, Error> {
        let found = usize::from(self.u16()?);
        check_count(what, found, max)?;
        Ok(found)
    }

    /// A version byte, which has to be `known`.
    pub(crate) fn version(&mut self, known: u8) -> Result<(), Error> {
        let found = self.u8()?;
        if found == known {
            Ok(())
        } else {
            Err(Error::Version {
                what: self.what,
                found,
                known,
            })
        }
    }

    /// A 128-bit integer as minimal LEB128.
    pub(crate) fn varint128(&mut self) -> Result<u128, Error> {
        let mut value = 0u128;
        for shift in (0u32..128).step_by(7) {
            let byte = self.u8()?;
            let bits = u128::from(byte & 0x7f);
            let placed = bits.checked_shl(shift).unwrap_or(0);
            if placed.checked_shr(shift).unwrap_or(0) != bits {
                return Err(self.not_canonical("an integer is too large for its field"));
            }
            value |= placed;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(self.not_canonical("an integer is longer than it needs to be"));
                }
                return Ok(value);
            }
        }
        Err(self.not_canonical("an integer is too large for its field"))
    }

    /// A 64-bit integer as minimal LEB128.
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        u64::try_from(self.varint128()?)
            .map_err(|_| self.not_canonical("an integer is too large for its field"))
    }

    /// Ends the form: nothing may follow.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::Trailing {
                what: self.what,
                count: self.rest.len(),
            })
        }
    }

    /// The error for bytes that break `rule`.
    pub(crate) fn not_canonical(&self, rule: &'static str) -> Error {
        Error::NotCanonical {
            what: self.what,
            rule,
        }
    }
}

/// Checks that `found` is within `1..=max`.
pub(crate) fn check_count(what: &'static str, found: usize, max: usize) -> Result<(), Error> {
    if (1..=max).contains(&found) {
        return Ok(());
    }
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Err(Error::OutOfBounds {
        what,
        found: wide(found),
        min: 1,
        max: wide(max),
    })
}

/// Appends an integer as minimal LEB128: seven bits a byte, least significant first, the top bit says that more follow.
pub(crate) fn write_varint(out: &mut Vec<u8>, value: u128) {
    let mut rest = value;
    loop {
        let low = rest.to_le_bytes()[0] & 0x7f;
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<u64, Error> {
        let mut reader = Reader::new(bytes, "test");
        let value = reader.varint()?;
        reader.finish()?;
        Ok(value)
    }

    #[test]
    fn varints_round_trip_at_the_edges() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            u64::from(u32::MAX),
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value.into());
            assert_eq!(read(&bytes), Ok(value));
        }
        for value in [u128::MAX, u128::MAX >> 1, 1 << 127, 1 << 126] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            assert_eq!(Reader::new(&bytes, "test").varint128(), Ok(value));
        }
    }

    #[test]
    fn other_forms_of_an_integer_are_refused() {
        let refused: [&[u8]; 6] = [
            &[],
            &[0x80],
            &[0x80, 0x00],
            &[0xff, 0x80, 0x00],
            // 2^64
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],
            &[0xff; 20],
        ];
        for bytes in refused {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        // 2^128 as a 128-bit integer: the nineteenth byte has two bits of room only.
        let mut wide = vec![0x80; 18];
        wide.push(0x04);
        assert!(Reader::new(&wide, "test").varint128().is_err());
    }
}
