//! The macro that makes a typed row from one list of fields.

use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use bincode::{Decode, Encode};

use super::StoreFault;

/// Largest value at rest that is read back; a larger one is damage, not a row.
const VALUE_BYTES_MAX: usize = 16 << 20;

/// Bytes that most keys and values fit into: what is asked of the allocator at first.
#[doc(hidden)]
pub const ROW_BYTES: usize = 128;

/// Bytes at rest.
///
/// # Panics
/// Never for rows: encoding into memory has no error of its own.
pub fn at_rest(value: impl Encode) -> Vec<u8> {
    let mut bytes = AtRest(Vec::with_capacity(ROW_BYTES));
    let done = bincode::encode_into_writer(value, &mut bytes, bincode::config::standard());
    assert!(done.is_ok(), "a row can always be encoded");
    bytes.0
}

/// Bytes that grow; bincode's own would encode twice, to know how far.
struct AtRest(Vec<u8>);

impl Writer for AtRest {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// The value of bytes at rest, all of them.
///
/// # Errors
/// [`StoreFault::Damaged`].
pub fn from_rest<T: Decode<()>>(table: u8, bytes: &[u8]) -> Result<T, StoreFault> {
    let config = bincode::config::standard().with_limit::<VALUE_BYTES_MAX>();
    match bincode::decode_from_slice(bytes, config) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) => Err(StoreFault::Damaged {
            table,
            what: "bytes after the value",
        }),
        Err(_) => Err(StoreFault::Damaged {
            table,
            what: "the value does not decode",
        }),
    }
}

/// Makes a row: the struct, its key, its value at rest and its canonical form, all from one list of fields.
///
/// ```
/// orebook_replay::row! {
///     /// How often an account was seen.
///     pub struct Seen in table 7 {
///         key {
///             /// Who.
///             account: orebook_schema::Account,
///         }
///         value {
///             /// How often.
///             times: u64,
///         }
///     }
/// }
/// ```
/// `Seen::key_of(&account)` gives the key's bytes. Fields of the key implement [`KeyField`](crate::rows::KeyField), those of
/// the value [`Field`](crate::rows::Field).
#[macro_export]
macro_rules! row {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident in table $table:literal {
            key { $($(#[$key_meta:meta])* $key:ident: $key_type:ty),* $(,)? }
            value { $($(#[$field_meta:meta])* $field:ident: $field_type:ty),* $(,)? }
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $vis struct $name {
            $($(#[$key_meta])* pub $key: $key_type,)*
            $($(#[$field_meta])* pub $field: $field_type,)*
        }

        impl $name {
            /// Bytes of a key.
            #[must_use]
            $vis fn key_of($($key: &$key_type),*) -> Vec<u8> {
                #[allow(unused_mut, reason = "a table may have one row, without a key")]
                let mut out = Vec::with_capacity($crate::rows::ROW_BYTES);
                $($crate::rows::KeyField::put_key($key, &mut out);)*
                out
            }
        }

        const _: () = {
            struct Value<'a>(&'a $name);

            impl ::bincode::Encode for Value<'_> {
                fn encode<E: ::bincode::enc::Encoder>(
                    &self,
                    #[allow(unused_variables, reason = "a row may be its key alone")]
                    encoder: &mut E,
                ) -> Result<(), ::bincode::error::EncodeError> {
                    let $name { $($field,)* .. } = self.0;
                    $($crate::rows::Field::encode($field, encoder)?;)*
                    Ok(())
                }
            }

            #[allow(unused_parens, reason = "a row may have one field")]
            struct Read { $($field: $field_type),* }

            impl<C> ::bincode::Decode<C> for Read {
                fn decode<D: ::bincode::de::Decoder<Context = C>>(
                    #[allow(unused_variables, reason = "a row may be its key alone")]
                    decoder: &mut D,
                ) -> Result<Self, ::bincode::error::DecodeError> {
                    Ok(Self { $($field: $crate::rows::Field::decode(decoder)?),* })
                }
            }

            impl $crate::rows::Row for $name {
                const TABLE: u8 = $table;

                fn key(&self) -> Vec<u8> {
                    Self::key_of($(&self.$key),*)
                }

                fn value(&self) -> Vec<u8> {
                    $crate::rows::at_rest(Value(self))
                }

                fn read(key: &[u8], value: &[u8]) -> Result<Self, $crate::rows::StoreFault> {
                    let damaged = |_| $crate::rows::StoreFault::Damaged {
                        table: $table,
                        what: "the key does not decode",
                    };
                    #[allow(unused_mut, reason = "a table may have one row, without a key")]
                    let mut reader = ::orebook_schema::bytes::Reader::new(key, "key");
                    $(let $key = $crate::rows::KeyField::take_key(&mut reader).map_err(damaged)?;)*
                    reader.end().map_err(damaged)?;
                    #[allow(unused_variables, reason = "a row may be its key alone")]
                    let value: Read = $crate::rows::from_rest($table, value)?;
                    Ok(Self { $($key,)* $($field: value.$field,)* })
                }

                #[allow(unused_variables, reason = "a row may be its key alone")]
                fn canonical(&self, out: &mut Vec<u8>) {
                    $($crate::rows::Field::canonical(&self.$field, out);)*
                }
            }
        };
    };
}

/// Canonical form of a row of one of these types, by its table: the body of
/// [`Fold::canonical`](crate::fold::Fold::canonical).
#[macro_export]
macro_rules! canonical_of {
    ($table:expr, $key:expr, $value:expr; $($row:ty),+ $(,)?) => {{
        let mut out = Vec::with_capacity($crate::rows::ROW_BYTES);
        match $table {
            $(t if t == <$row as $crate::rows::Row>::TABLE => {
                let row = <$row as $crate::rows::Row>::read($key, $value)?;
                $crate::rows::Row::canonical(&row, &mut out);
                Ok(out)
            })+
            table => Err($crate::rows::StoreFault::Damaged { table, what: "the fold has no such table" }),
        }
    }};
}
