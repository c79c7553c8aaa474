//! Names: each has one `parse` or `new`, the only door, and a private inside.

use std::fmt;

use uuid::Uuid;

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::units::{hex, unhex, write_hex};

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// Reads the hyphenated or the plain form of a uuid.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(|uuid| Self(uuid.into_bytes()))
            }

            /// A new version 7 uuid from a clock (milliseconds since 1970) and ten random bytes.
            #[must_use]
            pub fn from_parts(time_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(time_ms, &random).into_uuid().into_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

uuid_name! {
    /// A ledger, for ever.
    LedgerId
}
uuid_name! {
    /// One producer's line of frames.
    StreamId
}

/// An Ed25519 public key, as 32 bytes; whether they are a point on the curve is found at verification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// Reads 64 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// Who is paid, in canonical form (money rules, section 8): every spelling of an address is one account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Output script of a bitcoin-like payout address, 1 to 64 bytes.
    Script(Script),
    /// EVM address.
    Evm([u8; 20]),
    /// Registered name.
    Name(RegisteredName),
}

/// An output script of 1 to 64 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Script(Box<[u8]>);

impl Script {
    /// Most bytes of a script that an account may have.
    pub const BYTES_MAX: usize = 64;

    /// The script's bytes, if there are 1 to 64.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty() && bytes.len() <= Self::BYTES_MAX).then(|| Self(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A registered account's name: 1 to 32 of `a-z 0-9 _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RegisteredName(Box<str>);

impl RegisteredName {
    /// Reads a name; upper case is folded, since every spelling is one account.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        (!lower.is_empty() && lower.len() <= 32 && lower.bytes().all(legal))
            .then(|| Self(lower.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Account {
    /// Reads the shown form: `script:HEX`, `evm:HEX` or `name:NAME`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "script" => Script::new(&unhex(rest)?).map(Self::Script),
            "evm" => Some(Self::Evm(unhex(rest)?.try_into().ok()?)),
            "name" => RegisteredName::parse(rest).map(Self::Name),
            _ => None,
        }
    }

    /// Canonical bytes: kind, then `bytes8` (section 3).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(36);
        self.write(&mut out);
        out
    }

    /// Reads canonical bytes from the front of a reader.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub fn from_reader(reader: &mut Reader<'_>) -> Decoded<Self> {
        Self::read(reader)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Script(script) => {
                out.push(1);
                out.put_bytes8(script.bytes());
            }
            Self::Evm(address) => {
                out.push(2);
                out.put_bytes8(address);
            }
            Self::Name(name) => {
                out.push(3);
                out.put_bytes8(name.as_str().as_bytes());
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Decoded<Self> {
        let bad = DecodeError::Value("account");
        match reader.u8()? {
            1 => Script::new(reader.bytes8(Script::BYTES_MAX)?)
                .map(Self::Script)
                .ok_or(bad),
            2 => reader
                .bytes8(20)?
                .try_into()
                .map(Self::Evm)
                .map_err(|_| bad),
            3 => {
                let text = str::from_utf8(reader.bytes8(32)?).map_err(|_| bad)?;
                let name = RegisteredName::parse(text).ok_or(bad)?;
                if name.as_str() == text {
                    Ok(Self::Name(name))
                } else {
                    Err(bad)
                }
            }
            _ => Err(bad),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(script) => write!(f, "script:{}", hex(script.bytes())),
            Self::Evm(address) => write!(f, "evm:{}", hex(address)),
            Self::Name(name) => write!(f, "name:{}", name.as_str()),
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A rig's name: 1 to 64 of `A-Z a-z 0-9 _ . -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkerName(Box<str>);

impl WorkerName {
    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.' || b == b'-';
        (!text.is_empty() && text.len() <= 64 && text.bytes().all(legal)).then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A coin's name: 1 to 16 of `a-z 0-9 -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CoinName(Box<str>);

impl CoinName {
    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (!text.is_empty() && text.len() <= 16 && text.bytes().all(legal)).then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Number of a pot: the shares that are paid together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pot(pub u16);

impl fmt::Display for Pot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
