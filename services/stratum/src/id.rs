//! The `id` of a request, kept as the client wrote it.

use std::fmt;

use crate::ID_BYTES_MAX;

/// Bytes that fit without an allocation; every known client needs fewer.
const INLINE_BYTES: usize = 22;

/// A request's `id`, verbatim: a number, a string with its quotes, or `null`, also where there was none.
///
/// It is one token of JSON of at most [`ID_BYTES_MAX`] bytes and goes into the reply as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Id(Bytes);

#[derive(Clone, PartialEq, Eq)]
enum Bytes {
    Inline([u8; INLINE_BYTES], u8),
    Boxed(Box<[u8]>),
}

impl Id {
    /// `null`.
    #[must_use]
    pub fn null() -> Self {
        Self::keep(b"null")
    }

    /// The token of a well-formed request; `None` if it is too long, or neither number, string nor null.
    pub(crate) fn of_token(token: &[u8]) -> Option<Self> {
        let legal = token == b"null"
            || matches!(token.first(), Some(b'0'..=b'9' | b'-' | b'"'))
                && token.len() <= ID_BYTES_MAX;
        legal.then(|| Self::keep(token))
    }

    fn keep(token: &[u8]) -> Self {
        let mut inline = [0; INLINE_BYTES];
        match (inline.get_mut(..token.len()), u8::try_from(token.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(token);
                Self(Bytes::Inline(inline, len))
            }
            _ => Self(Bytes::Boxed(token.into())),
        }
    }

    /// The token.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Inline(bytes, len) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Bytes::Boxed(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.bytes().escape_ascii())
    }
}
