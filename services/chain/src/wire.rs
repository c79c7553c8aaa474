//! Bitcoin's serialisation, as far as a pool needs it: coinbases written and read, blocks taken apart.
//!
//! What comes from outside is read with limits and without panic; amounts stay integers of base units.

use orebook_schema::units::Hash;

use crate::hash::sha256d;

/// Largest height: four bytes of a positive script number.
pub const HEIGHT_MAX: u64 = 0x7fff_ffff;
/// Longest coinbase input script (consensus).
pub const SCRIPT_SIG_BYTES_MAX: usize = 100;
/// Most bytes of a block that is read here; larger ones are refused. Four times Bitcoin's weight limit of plain bytes.
pub const BLOCK_BYTES_MAX: usize = 16 << 20;
/// Most outputs of a coinbase that are read; a coinbase with more is refused.
pub const COINBASE_OUTPUTS_MAX: usize = 10_000;

/// Appends a CompactSize.
pub(crate) fn put_size(out: &mut Vec<u8>, size: usize) {
    let [a, b, c, d, ..] = size.to_le_bytes();
    match size {
        0..=0xfc => out.push(a),
        0xfd..=0xffff => out.extend([0xfd, a, b]),
        0x1_0000..=0xffff_ffff => out.extend([0xfe, a, b, c, d]),
        _ => {
            out.push(0xff);
            out.extend(size.to_le_bytes());
        }
    }
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_size(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// The height as BIP34 wants it at the front of a coinbase script: 1 to 16 as one opcode, else a minimal script number.
#[must_use]
pub fn height_push(height: u64) -> Vec<u8> {
    if let 1..=16 = height {
        let [small, ..] = height.to_le_bytes();
        return vec![0x50 + small];
    }
    let mut number: Vec<u8> = height.to_le_bytes().to_vec();
    while number.last() == Some(&0) {
        number.pop();
    }
    if number.last().is_some_and(|top| top & 0x80 != 0) {
        number.push(0);
    }
    let mut push = Vec::with_capacity(10);
    put_bytes(&mut push, &number);
    push
}

/// The height at the front of a coinbase script, in BIP34's only spelling.
#[must_use]
pub fn height_of(script_sig: &[u8]) -> Option<u64> {
    let (first, rest) = script_sig.split_first()?;
    let height = match first {
        0x51..=0x60 => u64::from(first - 0x50),
        1..=5 => {
            let number = rest.get(..usize::from(*first))?;
            number
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        }
        _ => return None,
    };
    script_sig
        .starts_with(&height_push(height))
        .then_some(height)
}

/// What a block pays in its first transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coinbase {
    /// Transaction id (witness left out), header order.
    pub txid: Hash,
    /// The input script: height, tag, extranonces, text.
    pub script_sig: Vec<u8>,
    /// Base units and output script of each output, in order.
    pub outputs: Vec<(u64, Vec<u8>)>,
    /// The witness of its only input, if it has one.
    pub witness: Vec<Vec<u8>>,
}

/// A transaction as it stands in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTransaction {
    /// Id without witness, header order.
    pub txid: Hash,
    /// Id with witness; equal to the id for a transaction without.
    pub wtxid: Hash,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why bytes are no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end too early.
    #[error("the block ends too early")]
    Short,
    /// Above a limit of this module.
    #[error("{0} is above its limit")]
    Limit(&'static str),
    /// A value that the format does not have.
    #[error("{0} is malformed")]
    Value(&'static str),
    /// Bytes after the end.
    #[error("there are bytes after the block's end")]
    Trailing,
}

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    /// A CompactSize of at most `max`, in its shortest form.
    pub(crate) fn size(&mut self, max: usize, what: &'static str) -> Result<usize, WireError> {
        let [first] = self.array()?;
        let (value, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(u32::from_le_bytes(self.array()?)), 0x1_0000),
            0xff => (u64::from_le_bytes(self.array()?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(WireError::Value("a length"));
        }
        let value = usize::try_from(value).map_err(|_| WireError::Limit(what))?;
        if max < value {
            Err(WireError::Limit(what))
        } else {
            Ok(value)
        }
    }

    fn bytes(&mut self, max: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let len = self.size(max, what)?;
        self.take(len)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What was read since `self` was `before`.
    fn since(&self, before: Self) -> &'a [u8] {
        let len = before.rest.len().saturating_sub(self.rest.len());
        before.rest.get(..len).unwrap_or_default()
    }
}

/// One transaction's parts, as slices of its bytes.
pub(crate) struct Parts<'a> {
    pub(crate) txid: Hash,
    pub(crate) wtxid: Hash,
    pub(crate) version: u32,
    pub(crate) inputs: Vec<InputParts<'a>>,
    pub(crate) outputs: Vec<(u64, &'a [u8])>,
    /// One list for each input, or none at all.
    pub(crate) witnesses: Vec<Vec<&'a [u8]>>,
    pub(crate) locktime: u32,
    /// All its bytes.
    pub(crate) bytes: &'a [u8],
    /// How many there are without witness.
    pub(crate) bytes_stripped: usize,
}

/// An input without its witness.
pub(crate) struct InputParts<'a> {
    /// txid ‖ index.
    pub(crate) prevout: [u8; 36],
    pub(crate) script_sig: &'a [u8],
    pub(crate) sequence: u32,
}

/// Reads exactly one transaction of at most `bytes_max` bytes.
///
/// # Errors
/// [`WireError`] if the bytes are anything else.
pub(crate) fn transaction(bytes: &[u8], bytes_max: usize) -> Result<Parts<'_>, WireError> {
    if bytes_max < bytes.len() {
        return Err(WireError::Limit("the transaction"));
    }
    let mut bytes = Bytes::new(bytes);
    let parts = read_parts(&mut bytes)?;
    if bytes.is_empty() {
        Ok(parts)
    } else {
        Err(WireError::Trailing)
    }
}

/// A transaction's inputs, outputs and witnesses are as many as its bytes can hold; no list is reserved ahead of them.
fn read_parts<'a>(bytes: &mut Bytes<'a>) -> Result<Parts<'a>, WireError> {
    let start = *bytes;
    let version: [u8; 4] = bytes.array()?;
    let mut body = *bytes;
    let has_witness = matches!(bytes.rest, [0, 1, ..]);
    if has_witness {
        bytes.take(2)?;
        body = *bytes;
    }
    let mut inputs = Vec::new();
    for _ in 0..bytes.size(BLOCK_BYTES_MAX, "inputs")? {
        inputs.push(InputParts {
            prevout: bytes.array()?,
            script_sig: bytes.bytes(BLOCK_BYTES_MAX, "script")?,
            sequence: u32::from_le_bytes(bytes.array()?),
        });
    }
    let mut outputs = Vec::new();
    for _ in 0..bytes.size(BLOCK_BYTES_MAX, "outputs")? {
        let value = u64::from_le_bytes(bytes.array()?);
        outputs.push((value, bytes.bytes(BLOCK_BYTES_MAX, "script")?));
    }
    let stripped = bytes.since(body);
    let mut witnesses = Vec::new();
    if has_witness {
        for _ in 0..inputs.len() {
            let items = bytes.size(BLOCK_BYTES_MAX, "witness")?;
            let items = (0..items).map(|_| bytes.bytes(BLOCK_BYTES_MAX, "witness"));
            witnesses.push(items.collect::<Result<_, _>>()?);
        }
    }
    let locktime: [u8; 4] = bytes.array()?;
    let txid = sha256d(&[&version, stripped, &locktime].concat());
    let wtxid = if has_witness {
        sha256d(bytes.since(start))
    } else {
        txid
    };
    Ok(Parts {
        txid,
        wtxid,
        version: u32::from_le_bytes(version),
        inputs,
        outputs,
        witnesses,
        locktime: u32::from_le_bytes(locktime),
        bytes: bytes.since(start),
        bytes_stripped: version.len() + stripped.len() + locktime.len(),
    })
}

/// What a coinbase spends: nothing.
pub(crate) const NO_PREVOUT: [u8; 36] = {
    let mut none = [0xff; 36];
    let (txid, _) = none.split_at_mut(32);
    txid.copy_from_slice(&[0; 32]);
    none
};

fn read_coinbase(bytes: &mut Bytes<'_>) -> Result<Coinbase, WireError> {
    let parts = read_parts(bytes)?;
    let [input] = parts.inputs.as_slice() else {
        return Err(WireError::Value("the coinbase's inputs"));
    };
    if input.prevout != NO_PREVOUT {
        return Err(WireError::Value("the coinbase's input"));
    }
    if COINBASE_OUTPUTS_MAX < parts.outputs.len() {
        return Err(WireError::Limit("the coinbase's outputs"));
    }
    let outputs = parts
        .outputs
        .iter()
        .map(|(value, script)| (*value, script.to_vec()));
    let witness = parts.witnesses.first();
    Ok(Coinbase {
        txid: parts.txid,
        script_sig: input.script_sig.to_vec(),
        outputs: outputs.collect(),
        witness: witness
            .map(|items| items.iter().map(|item| item.to_vec()).collect())
            .unwrap_or_default(),
    })
}

/// Reads the first transaction of a whole block; what follows it is not looked at.
///
/// # Errors
/// [`WireError`] if the bytes do not begin as a block of at most [`BLOCK_BYTES_MAX`] does.
pub fn coinbase_of_block(block: &[u8]) -> Result<Coinbase, WireError> {
    if BLOCK_BYTES_MAX < block.len() {
        return Err(WireError::Limit("the block"));
    }
    let mut bytes = Bytes::new(block);
    let _header: [u8; 80] = bytes.array()?;
    if bytes.size(BLOCK_BYTES_MAX, "transactions")? == 0 {
        return Err(WireError::Value("the count of transactions"));
    }
    read_coinbase(&mut bytes)
}

/// The bytes of a block's first transaction.
pub(crate) fn first_transaction(block: &[u8]) -> Result<&[u8], WireError> {
    let mut bytes = Bytes::new(block);
    let _header: [u8; 80] = bytes.array()?;
    bytes.size(BLOCK_BYTES_MAX, "transactions")?;
    read_parts(&mut bytes).map(|parts| parts.bytes)
}

/// Reads one coinbase transaction, with or without witness.
///
/// # Errors
/// [`WireError`] if the bytes are not exactly one coinbase.
pub fn coinbase(transaction: &[u8]) -> Result<Coinbase, WireError> {
    let mut bytes = Bytes::new(transaction);
    let coinbase = read_coinbase(&mut bytes)?;
    if bytes.is_empty() {
        Ok(coinbase)
    } else {
        Err(WireError::Trailing)
    }
}

/// A whole block taken apart: header, coinbase, ids of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: [u8; 80],
    /// The first transaction.
    pub coinbase: Coinbase,
    /// The others, in order.
    pub transactions: Vec<RawTransaction>,
}

impl Block {
    /// Reads a block without any extension after its transactions.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are not exactly one such block of at most [`BLOCK_BYTES_MAX`].
    pub fn read(block: &[u8]) -> Result<Self, WireError> {
        if BLOCK_BYTES_MAX < block.len() {
            return Err(WireError::Limit("the block"));
        }
        let mut bytes = Bytes::new(block);
        let header = bytes.array()?;
        let count = bytes.size(BLOCK_BYTES_MAX, "transactions")?;
        let others = count
            .checked_sub(1)
            .ok_or(WireError::Value("the count of transactions"))?;
        let coinbase = read_coinbase(&mut bytes)?;
        let mut transactions = Vec::new();
        for _ in 0..others {
            let parts = read_parts(&mut bytes)?;
            transactions.push(RawTransaction {
                txid: parts.txid,
                wtxid: parts.wtxid,
                bytes: parts.bytes.to_vec(),
            });
        }
        if !bytes.is_empty() {
            return Err(WireError::Trailing);
        }
        Ok(Self {
            header,
            coinbase,
            transactions,
        })
    }
}

/// The fields of an 80-byte header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderFields {
    /// Version, rolled bits included.
    pub version: u32,
    /// Previous block, header order.
    pub prev: Hash,
    /// Merkle root, header order.
    pub root: Hash,
    /// Time, seconds since 1970.
    pub time: u32,
    /// Compact target.
    pub nbits: u32,
    /// Nonce.
    pub nonce: u32,
}

impl HeaderFields {
    /// Takes a header apart.
    #[must_use]
    pub fn read(header: &[u8; 80]) -> Self {
        let mut bytes = Bytes::new(header);
        let word = |of: &mut Bytes<'_>| u32::from_le_bytes(of.array().unwrap_or_default());
        Self {
            version: word(&mut bytes),
            prev: Hash(bytes.array().unwrap_or_default()),
            root: Hash(bytes.array().unwrap_or_default()),
            time: word(&mut bytes),
            nbits: word(&mut bytes),
            nonce: word(&mut bytes),
        }
    }

    /// Puts a header together.
    #[must_use]
    pub fn bytes(&self) -> [u8; 80] {
        let parts: [&[u8]; 6] = [
            &self.version.to_le_bytes(),
            &self.prev.0,
            &self.root.0,
            &self.time.to_le_bytes(),
            &self.nbits.to_le_bytes(),
            &self.nonce.to_le_bytes(),
        ];
        let mut header = [0; 80];
        for (to, from) in header.iter_mut().zip(parts.concat()) {
            *to = from;
        }
        header
    }
}
