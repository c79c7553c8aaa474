//! RLP (yellow paper, appendix B): what transactions are written in. The reader takes one spelling of each value only.

/// Most bytes of an input: a raw transaction's limit in the ledger. A longer one is [`RlpError::TooLong`].
pub const RLP_BYTES_MAX: usize = 24_000;

/// Longest string or list whose length stands in its first byte.
const SHORT_MAX: u8 = 55;
/// First byte of an empty string.
const STRING: u8 = 0x80;
/// First byte of an empty list.
const LIST: u8 = 0xc0;

/// Why bytes are no RLP of what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RlpError {
    /// More than [`RLP_BYTES_MAX`].
    #[error("more than {RLP_BYTES_MAX} bytes")]
    TooLong,
    /// It ends within an item, or an item is missing.
    #[error("it ends too early")]
    End,
    /// A list where a string must be, or the other way.
    #[error("a string is no list")]
    Kind,
    /// A longer spelling than the shortest: of a length, of a single byte, of a number.
    #[error("it is not the shortest spelling")]
    Spelling,
    /// A number too big, or bytes of another length than they must have.
    #[error("a value has another size")]
    Size,
    /// Bytes behind the last item.
    #[error("bytes follow the last item")]
    Trailing,
}

/// Writes the items of one list.
#[derive(Clone, Debug, Default)]
pub struct List {
    items: Vec<u8>,
}

impl List {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: Vec::new() }
    }

    /// A string.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        match bytes {
            [byte] if *byte < STRING => self.items.push(*byte),
            _ => {
                head(&mut self.items, STRING, bytes.len());
                self.items.extend_from_slice(bytes);
            }
        }
        self
    }

    /// A number: its bytes, highest first, without zeros before; zero is the empty string.
    #[must_use]
    pub fn number(self, number: u128) -> Self {
        self.scalar(&number.to_be_bytes())
    }

    /// A number of any size, highest byte first.
    #[must_use]
    pub fn scalar(self, big_endian: &[u8]) -> Self {
        let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
        self.bytes(big_endian.get(zeros..).unwrap_or_default())
    }

    /// A list within.
    #[must_use]
    pub fn list(mut self, inner: &Self) -> Self {
        self.items.extend(inner.to_bytes());
        self
    }

    /// The list, with its head.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.items.len() + 9);
        head(&mut out, LIST, self.items.len());
        out.extend_from_slice(&self.items);
        out
    }
}

fn head(out: &mut Vec<u8>, kind: u8, len: usize) {
    match u8::try_from(len) {
        Ok(len) if len <= SHORT_MAX => out.push(kind + len),
        _ => {
            let be = len.to_be_bytes();
            let zeros = be.iter().take_while(|byte| **byte == 0).count();
            let digits = be.get(zeros..).unwrap_or_default();
            let count = u8::try_from(digits.len()).unwrap_or(8);
            out.push(kind + SHORT_MAX + count);
            out.extend_from_slice(digits);
        }
    }
}

/// Reads items one after another.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    /// The items of the one list that an input is.
    ///
    /// # Errors
    /// [`RlpError`].
    pub fn of_list(input: &'a [u8]) -> Result<Self, RlpError> {
        if RLP_BYTES_MAX < input.len() {
            return Err(RlpError::TooLong);
        }
        let mut whole = Self { rest: input };
        let items = whole.list()?;
        whole.end()?;
        Ok(items)
    }

    /// The next item, a string.
    ///
    /// # Errors
    /// [`RlpError`].
    pub fn bytes(&mut self) -> Result<&'a [u8], RlpError> {
        match self.item()? {
            (false, bytes) => Ok(bytes),
            (true, _) => Err(RlpError::Kind),
        }
    }

    /// The next item, a list.
    ///
    /// # Errors
    /// [`RlpError`].
    pub fn list(&mut self) -> Result<Self, RlpError> {
        match self.item()? {
            (true, rest) => Ok(Self { rest }),
            (false, _) => Err(RlpError::Kind),
        }
    }

    /// The next item, a string of so many bytes.
    ///
    /// # Errors
    /// [`RlpError`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], RlpError> {
        self.bytes()?.try_into().map_err(|_| RlpError::Size)
    }

    /// The next item, a number of at most so many bytes, highest first.
    ///
    /// # Errors
    /// [`RlpError`].
    pub fn scalar<const N: usize>(&mut self) -> Result<[u8; N], RlpError> {
        let digits = self.bytes()?;
        if digits.first() == Some(&0) {
            return Err(RlpError::Spelling);
        }
        let mut number = [0; N];
        let zeros = N.checked_sub(digits.len()).ok_or(RlpError::Size)?;
        for (place, byte) in number.iter_mut().skip(zeros).zip(digits) {
            *place = *byte;
        }
        Ok(number)
    }

    /// The next item, a number of 128 bits.
    ///
    /// # Errors
    /// [`RlpError`].
    pub fn number(&mut self) -> Result<u128, RlpError> {
        self.scalar().map(u128::from_be_bytes)
    }

    /// The next item, a number of 64 bits.
    ///
    /// # Errors
    /// [`RlpError`].
    pub fn number64(&mut self) -> Result<u64, RlpError> {
        self.scalar().map(u64::from_be_bytes)
    }

    /// That there are no more.
    ///
    /// # Errors
    /// [`RlpError::Trailing`].
    pub const fn end(&self) -> Result<(), RlpError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(RlpError::Trailing)
        }
    }

    /// Whether it is a list, and what is in it.
    fn item(&mut self) -> Result<(bool, &'a [u8]), RlpError> {
        let first = *self.rest.first().ok_or(RlpError::End)?;
        if first < STRING {
            return Ok((false, self.take(1)?));
        }
        self.take(1)?;
        let (is_list, kind) = if first < LIST {
            (false, STRING)
        } else {
            (true, LIST)
        };
        let short = first - kind;
        let len = match short.checked_sub(SHORT_MAX) {
            None | Some(0) => usize::from(short),
            Some(count) => self.long(usize::from(count))?,
        };
        let bytes = self.take(len)?;
        match bytes {
            [byte] if !is_list && *byte < STRING => Err(RlpError::Spelling),
            _ => Ok((is_list, bytes)),
        }
    }

    /// A length of so many bytes: one that needs them all, and that the first byte could not hold.
    fn long(&mut self, count: usize) -> Result<usize, RlpError> {
        let digits = self.take(count)?;
        if digits.first() == Some(&0) {
            return Err(RlpError::Spelling);
        }
        let len = digits.iter().try_fold(0_usize, |len, byte| {
            len.checked_mul(256)?.checked_add(usize::from(*byte))
        });
        match len {
            Some(len) if len <= usize::from(SHORT_MAX) => Err(RlpError::Spelling),
            Some(len) => Ok(len),
            // More than there can be.
            None => Err(RlpError::End),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], RlpError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(RlpError::End)?;
        self.rest = rest;
        Ok(taken)
    }
}
