//! Fields of rows: each with its bytes in a key, at rest and in a digest.

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as RestError, EncodeError};
use bincode::{Decode, Encode};
use orebook_schema::bytes::{DecodeError, Decoded, Reader};
use orebook_schema::desk::BanTarget;
use orebook_schema::names::Pot;
use orebook_schema::work::BlockState;
use orebook_schema::{Account, At, Hash, Key, LedgerId, Policy, StreamId, WorkerName};

/// A field of a value.
pub trait Field: Sized {
    /// Writes it at rest.
    ///
    /// # Errors
    /// The encoder's.
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError>;
    /// Reads it at rest.
    ///
    /// # Errors
    /// The decoder's, or a value that the type does not have.
    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError>;
    /// Appends its canonical form: integers little-endian of fixed width, lists and texts with their count (`u32`) before.
    fn canonical(&self, out: &mut Vec<u8>);
}

/// A field of a key: its bytes order like its values, and none is the beginning of another's.
pub trait KeyField: Sized {
    /// Appends the bytes.
    fn put_key(&self, out: &mut Vec<u8>);
    /// Reads them back.
    ///
    /// # Errors
    /// [`DecodeError`].
    fn take_key(reader: &mut Reader<'_>) -> Decoded<Self>;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                Encode::encode(self, encoder)
            }
            fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
                Decode::decode(decoder)
            }
            fn canonical(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }

        impl KeyField for $type {
            fn put_key(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn take_key(reader: &mut Reader<'_>) -> Decoded<Self> {
                Ok(Self::from_be_bytes(reader.array()?))
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, u128);

/// A type that is an array of bytes.
macro_rules! arrays {
    ($($type:ident $len:literal),*) => {$(
        impl Field for $type {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                Encode::encode(&self.0, encoder)
            }
            fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
                Ok(Self(<[u8; $len] as Decode<D::Context>>::decode(decoder)?))
            }
            fn canonical(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
        }

        impl KeyField for $type {
            fn put_key(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
            fn take_key(reader: &mut Reader<'_>) -> Decoded<Self> {
                Ok(Self(reader.array()?))
            }
        }
    )*};
}

arrays!(Hash 32, Key 32, StreamId 16, LedgerId 16);

impl Field for bool {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Encode::encode(self, encoder)
    }
    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
        Decode::decode(decoder)
    }
    fn canonical(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Field for Pot {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Field::encode(&self.0, encoder)
    }
    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
        Field::decode(decoder).map(Self)
    }
    fn canonical(&self, out: &mut Vec<u8>) {
        self.0.canonical(out);
    }
}

impl KeyField for Pot {
    fn put_key(&self, out: &mut Vec<u8>) {
        self.0.put_key(out);
    }
    fn take_key(reader: &mut Reader<'_>) -> Decoded<Self> {
        KeyField::take_key(reader).map(Self)
    }
}

impl Field for At {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Field::encode(&self.position, encoder)?;
        Field::encode(&self.index, encoder)
    }
    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
        Ok(Self {
            position: Field::decode(decoder)?,
            index: Field::decode(decoder)?,
        })
    }
    fn canonical(&self, out: &mut Vec<u8>) {
        self.position.canonical(out);
        self.index.canonical(out);
    }
}

impl KeyField for At {
    fn put_key(&self, out: &mut Vec<u8>) {
        self.position.put_key(out);
        self.index.put_key(out);
    }
    fn take_key(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(Self {
            position: KeyField::take_key(reader)?,
            index: KeyField::take_key(reader)?,
        })
    }
}

impl Field for BlockState {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Field::encode(&(*self as u8), encoder)
    }
    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
        let byte: u8 = Field::decode(decoder)?;
        let known = Self::ALL.into_iter().find(|state| *state as u8 == byte);
        known.ok_or(RestError::Other("block state"))
    }
    fn canonical(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
}

/// A type that has canonical bytes of its own: they are what rests and what is digested, with their length before.
macro_rules! own_bytes {
    ($($type:ident $what:literal),*) => {$(
        impl Field for $type {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                Encode::encode(&self.to_bytes(), encoder)
            }
            fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
                let bytes = <Vec<u8> as Decode<D::Context>>::decode(decoder)?;
                let mut reader = Reader::new(&bytes, $what);
                let value = Self::from_reader(&mut reader).map_err(|_| RestError::Other($what))?;
                reader.end().map_err(|_| RestError::Other($what))?;
                Ok(value)
            }
            fn canonical(&self, out: &mut Vec<u8>) {
                put_counted(&self.to_bytes(), out);
            }
        }
    )*};
}

own_bytes!(Account "account", Policy "policy");

/// Targets order by kind; accounts as accounts do, networks by length, address and prefix.
impl KeyField for BanTarget {
    fn put_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }
    fn take_key(reader: &mut Reader<'_>) -> Decoded<Self> {
        Self::from_reader(reader)
    }
}

/// Accounts order by kind, then length, then bytes.
impl KeyField for Account {
    fn put_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }
    fn take_key(reader: &mut Reader<'_>) -> Decoded<Self> {
        Self::from_reader(reader)
    }
}

impl Field for WorkerName {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Encode::encode(self.as_str(), encoder)
    }
    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
        let text = <String as Decode<D::Context>>::decode(decoder)?;
        Self::parse(&text).ok_or(RestError::Other("worker name"))
    }
    fn canonical(&self, out: &mut Vec<u8>) {
        put_counted(self.as_str().as_bytes(), out);
    }
}

/// Names order by length, then bytes.
impl KeyField for WorkerName {
    fn put_key(&self, out: &mut Vec<u8>) {
        let bytes = self.as_str().as_bytes();
        out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(bytes);
    }
    fn take_key(reader: &mut Reader<'_>) -> Decoded<Self> {
        let text = str::from_utf8(reader.bytes8(64)?).ok();
        text.and_then(Self::parse)
            .ok_or(DecodeError::Value("worker name"))
    }
}

impl Field for String {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Encode::encode(self, encoder)
    }
    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
        Decode::decode(decoder)
    }
    fn canonical(&self, out: &mut Vec<u8>) {
        put_counted(self.as_bytes(), out);
    }
}

impl<T: Field> Field for Option<T> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Field::encode(&self.is_some(), encoder)?;
        self.as_ref().map_or(Ok(()), |value| value.encode(encoder))
    }
    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
        if Field::decode(decoder)? {
            T::decode(decoder).map(Some)
        } else {
            Ok(None)
        }
    }
    fn canonical(&self, out: &mut Vec<u8>) {
        self.is_some().canonical(out);
        if let Some(value) = self {
            value.canonical(out);
        }
    }
}

impl<T: Field> Field for Vec<T> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Field::encode(&count(self.len()), encoder)?;
        self.iter().try_for_each(|item| item.encode(encoder))
    }
    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
        let count: u32 = Field::decode(decoder)?;
        (0..count).map(|_| T::decode(decoder)).collect()
    }
    fn canonical(&self, out: &mut Vec<u8>) {
        count(self.len()).canonical(out);
        self.iter().for_each(|item| item.canonical(out));
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.encode(encoder)?;
        self.1.encode(encoder)
    }
    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
        Ok((A::decode(decoder)?, B::decode(decoder)?))
    }
    fn canonical(&self, out: &mut Vec<u8>) {
        self.0.canonical(out);
        self.1.canonical(out);
    }
}

fn put_counted(bytes: &[u8], out: &mut Vec<u8>) {
    count(bytes.len()).canonical(out);
    out.extend_from_slice(bytes);
}

/// Length of a list in memory: a row never has 2^32 items.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
