//! Primitives of section 1: little-endian integers, length-prefixed bytes, LEB128; one reader that cannot panic and
//! refuses whatever it could not have written.

use crate::units::{At, Hash};

/// Why bytes are not canonical. Each names the first rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the layout needs.
    #[error("ends too early in {0}")]
    Short(&'static str),
    /// Bytes after the end of the layout.
    #[error("{0} has bytes after its end")]
    Trailing(&'static str),
    /// A length or count outside of its limits.
    #[error("{0} is outside of its limits")]
    Limit(&'static str),
    /// A value that the format does not have.
    #[error("{0} has a value that format 0 does not know")]
    Value(&'static str),
    /// Items that must be strictly ascending are not.
    #[error("{0} are not in ascending order")]
    Order(&'static str),
    /// A kind or version that this software does not know.
    #[error("kind {kind} version {version} is unknown")]
    UnknownKind {
        /// Kind byte.
        kind: u8,
        /// Version byte.
        version: u8,
    },
}

/// Result of a decoder.
pub type Decoded<T> = Result<T, DecodeError>;

/// Reads canonical bytes from the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

macro_rules! read_int {
    ($name:ident, $type:ty) => {
        #[doc = concat!("Reads a little-endian `", stringify!($type), "`.")]
        ///
        /// # Errors
        /// [`DecodeError::Short`].
        #[inline]
        pub fn $name(&mut self) -> Decoded<$type> {
            Ok(<$type>::from_le_bytes(self.array()?))
        }
    };
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`; `what` names the structure in errors.
    #[must_use]
    pub const fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    read_int!(u8, u8);
    read_int!(u16, u16);
    read_int!(u32, u32);
    read_int!(u64, u64);
    read_int!(u128, u128);

    /// Reads `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Short(self.what))?;
        self.rest = rest;
        Ok(*head)
    }

    /// Reads `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn take(&mut self, len: usize) -> Decoded<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Short(self.what))?;
        self.rest = rest;
        Ok(head)
    }

    /// Reads a 32-byte hash.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn hash(&mut self) -> Decoded<Hash> {
        Ok(Hash(self.array()?))
    }

    /// Reads an `at`.
    ///
    /// # Errors
    /// [`DecodeError::Short`].
    pub fn at(&mut self) -> Decoded<At> {
        Ok(At {
            position: self.u64()?,
            index: self.u16()?,
        })
    }

    /// Reads `bytes8`, at most `max` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Limit`], [`DecodeError::Short`].
    pub fn bytes8(&mut self, max: usize) -> Decoded<&'a [u8]> {
        let len = usize::from(self.u8()?);
        self.limited(len, max)
    }

    /// Reads `bytes16`, at most `max` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Limit`], [`DecodeError::Short`].
    pub fn bytes16(&mut self, max: usize) -> Decoded<&'a [u8]> {
        let len = usize::from(self.u16()?);
        self.limited(len, max)
    }

    /// Reads a `u8` count between `min` and `max`.
    ///
    /// # Errors
    /// [`DecodeError::Limit`], [`DecodeError::Short`].
    pub fn count8(&mut self, min: u8, max: u8) -> Decoded<u8> {
        let count = self.u8()?;
        if count < min || max < count {
            Err(DecodeError::Limit(self.what))
        } else {
            Ok(count)
        }
    }

    /// Reads a shortest-form LEB128 number.
    ///
    /// # Errors
    /// [`DecodeError::Value`] if it is longer than needed or does not fit, [`DecodeError::Short`].
    #[inline]
    pub fn varint(&mut self) -> Decoded<u128> {
        if let Some((value, rest)) = short_varint(self.rest) {
            self.rest = rest;
            return Ok(u128::from(value));
        }
        self.long_varint()
    }

    /// Any number, byte by byte: long ones, the last bytes of a slice, and all refusals.
    fn long_varint(&mut self) -> Decoded<u128> {
        let mut value = 0u128;
        for shift in (0u32..128).step_by(7) {
            let byte = self.u8()?;
            let part = u128::from(byte & 0x7f);
            if shift == 126 && 3 < byte {
                return Err(DecodeError::Value(self.what));
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift != 0 {
                    Err(DecodeError::Value(self.what))
                } else {
                    Ok(value)
                };
            }
        }
        Err(DecodeError::Value(self.what))
    }

    /// Bytes not yet read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes all that is left.
    pub const fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// Says that the structure ends here.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`].
    pub const fn end(self) -> Decoded<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing(self.what))
        }
    }

    fn limited(&mut self, len: usize, max: usize) -> Decoded<&'a [u8]> {
        if max < len {
            Err(DecodeError::Limit(self.what))
        } else {
            self.take(len)
        }
    }
}

/// A shortest-form LEB128 number of at most eight bytes at the front of at least eight, or one of one byte, and what
/// follows it; none for anything else, right or wrong.
#[inline]
fn short_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if let [byte @ 0..=0x7f, rest @ ..] = bytes {
        return Some((u64::from(*byte), rest));
    }
    let word = u64::from_le_bytes(*bytes.first_chunk()?);
    let ends = !word & 0x8080_8080_8080_8080;
    if ends == 0 {
        return None;
    }
    // Bits before the top bit of the last byte: 15, 23, … 63, as the first byte is not the last.
    let bits = ends.trailing_zeros();
    let number = word & (u64::MAX >> (63 - bits));
    if number >> (bits - 7) == 0 {
        // The last byte is zero: longer than needed.
        return None;
    }
    let number = join_sevens(number);
    let len = usize::try_from(bits / 8 + 1).ok()?;
    Some((number, bytes.get(len..)?))
}

/// The low seven bits of each byte pushed together, the first byte's lowest.
#[inline]
pub(crate) const fn join_sevens(word: u64) -> u64 {
    // In pairs, fours and eights.
    let word = word & 0x7f7f_7f7f_7f7f_7f7f;
    let word = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = (word & 0x0000_3fff_0000_3fff) | (word & 0x3fff_0000_3fff_0000) >> 2;
    (word & 0x0fff_ffff) | (word & 0x0fff_ffff_0000_0000) >> 4
}

/// Writes canonical bytes at the end of a buffer. Lengths are the caller's promise: a value that was built through its
/// constructor always fits its length field.
pub trait Write {
    /// Appends raw bytes.
    fn put(&mut self, bytes: &[u8]);
    /// Appends `bytes8`; `bytes` has at most 255 bytes.
    fn put_bytes8(&mut self, bytes: &[u8]);
    /// Appends `bytes16`; `bytes` has at most 65,535 bytes.
    fn put_bytes16(&mut self, bytes: &[u8]);
    /// Appends a shortest-form LEB128 number.
    fn put_varint(&mut self, value: u128);
    /// Appends an `at`.
    fn put_at(&mut self, at: At) {
        self.put(&at.position.to_le_bytes());
        self.put(&at.index.to_le_bytes());
    }
}

impl Write for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_bytes8(&mut self, bytes: &[u8]) {
        let len = u8::try_from(bytes.len());
        assert!(len.is_ok(), "bytes8 holds at most 255 bytes");
        self.push(len.unwrap_or(0));
        self.put(bytes);
    }

    fn put_bytes16(&mut self, bytes: &[u8]) {
        let len = u16::try_from(bytes.len());
        assert!(len.is_ok(), "bytes16 holds at most 65,535 bytes");
        self.put(&len.unwrap_or(0).to_le_bytes());
        self.put(bytes);
    }

    fn put_varint(&mut self, mut value: u128) {
        loop {
            let byte = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            if value == 0 {
                self.push(byte);
                return;
            }
            self.push(byte | 0x80);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_oneof};

    use super::*;

    /// Bytes of every length, with runs of continuation bytes and zeros that end a number too late.
    fn varints() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![any::<u8>(), 0x80..=0xffu8, 0x80..=0xffu8, 0..2u8];
        let noise = proptest::collection::vec(byte, 0..24);
        (any::<u128>(), 0..128u32, noise, any::<bool>()).prop_map(|(value, bits, noise, right)| {
            let mut out = Vec::new();
            if right {
                out.put_varint(value >> bits);
            }
            out.put(&noise);
            out
        })
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            cases: 20_000,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(7),
            ..Default::default()
        })]

        #[test]
        fn numbers_read_at_once_equal_those_read_byte_by_byte(bytes in varints()) {
            let mut fast = Reader::new(&bytes, "number");
            let mut slow = fast.clone();
            proptest::prop_assert_eq!(fast.varint(), slow.long_varint());
            proptest::prop_assert_eq!(fast.rest(), slow.rest());
        }
    }

    #[test]
    fn numbers_around_each_length_are_read_back_with_and_without_bytes_behind() {
        for bits in 0..128u32 {
            for value in [(1u128 << bits) - 1, 1 << bits, (1 << bits) | 1] {
                for behind in 0..10 {
                    let mut bytes = Vec::new();
                    bytes.put_varint(value);
                    let len = bytes.len();
                    bytes.resize(len + behind, 0xff);
                    let mut reader = Reader::new(&bytes, "number");
                    assert_eq!(reader.varint(), Ok(value), "{value} and {behind} bytes");
                    assert_eq!(reader.rest().len(), behind, "{value} and {behind} bytes");
                }
            }
        }
    }
}
