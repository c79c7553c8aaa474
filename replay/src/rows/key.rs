//! A key's bytes as maps in memory hold them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

/// Bytes that are held without an allocation: those of every key of `money`'s large tables, and of their hashes' index.
const INLINE_BYTES: usize = 46;

/// A key's bytes. They order, and are equal, as slices do.
#[derive(Clone)]
pub struct KeyBytes(Bytes);

#[derive(Clone)]
enum Bytes {
    Inline { len: u8, bytes: [u8; INLINE_BYTES] },
    Heap(Box<[u8]>),
}

impl KeyBytes {
    /// These bytes.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self::after([], key)
    }

    /// These bytes, others before them.
    #[must_use]
    pub fn after<const N: usize>(before: [u8; N], key: &[u8]) -> Self {
        let all = N + key.len();
        let mut bytes = [0; INLINE_BYTES];
        if let (Some((first, rest)), Ok(len)) = (
            bytes
                .get_mut(..all)
                .and_then(|to| to.split_at_mut_checked(N)),
            u8::try_from(all),
        ) {
            first.copy_from_slice(&before);
            rest.copy_from_slice(key);
            return Self(Bytes::Inline { len, bytes });
        }
        Self(Bytes::Heap([before.as_slice(), key].concat().into()))
    }
}

impl Deref for KeyBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Bytes::Heap(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for KeyBytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for KeyBytes {
    fn from(key: Vec<u8>) -> Self {
        Self::new(&key)
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for KeyBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for KeyBytes {}

impl PartialOrd for KeyBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyBytes {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_they_were_and_order_as_slices_do() {
        let lens = [
            0,
            1,
            2,
            INLINE_BYTES - 1,
            INLINE_BYTES,
            INLINE_BYTES + 1,
            200,
        ];
        let slices: Vec<Vec<u8>> = lens
            .into_iter()
            .flat_map(|len| [vec![0; len], vec![7; len], vec![255; len]])
            .collect();
        for one in &slices {
            assert_eq!(&*KeyBytes::new(one), one.as_slice());
            let after = [&[1, 2, 3], one.as_slice()].concat();
            assert_eq!(&*KeyBytes::after([1, 2, 3], one), after.as_slice());
            for other in &slices {
                let keys = (KeyBytes::new(one), KeyBytes::new(other));
                assert_eq!(keys.0.cmp(&keys.1), one.cmp(other), "{one:?} {other:?}");
                assert_eq!(keys.0 == keys.1, one == other, "{one:?} {other:?}");
            }
        }
    }
}
