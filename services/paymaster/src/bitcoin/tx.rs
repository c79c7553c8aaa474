//! Transactions as bytes: written and read in both serialisations, with and without witness (BIP144), and their names and sizes.
//!
//! Read are our own transactions, as the ledger has them, and blocks of a node. There is one spelling: a length in its shortest
//! form, a witness only where one is not empty. Whatever is read is written back as the same bytes.

use orebook_chain::hash::sha256d;
use orebook_chain::wallet::bitcoin::Outpoint;
use orebook_chain::wire::BLOCK_BYTES_MAX;
use orebook_schema::Hash;

/// Most bytes of one transaction that is read by itself: no node relays one of a greater weight.
pub const TX_BYTES_MAX: usize = 400_000;
/// Marks a transaction with witnesses (BIP144).
const WITNESS: u8 = 1;
/// Marks the last transaction of a Litecoin block with an extension block. It carries one byte more, which is zero there.
const EXTENSION: u8 = 8;

/// Why bytes are no transaction, or no block of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// Longer than its limit.
    #[error("it is longer than {bytes_max} bytes")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// The bytes end too early.
    #[error("it ends too early")]
    Short,
    /// A length in a longer form than it needs.
    #[error("a length is not in its shortest form")]
    Length,
    /// Flags that nobody knows.
    #[error("its flags are unknown")]
    Flags,
    /// No input.
    #[error("it spends nothing")]
    NoInput,
    /// No output.
    #[error("it pays nothing")]
    NoOutput,
    /// Said to have witnesses, without one.
    #[error("its witnesses are all empty")]
    NoWitness,
    /// Bytes after the end.
    #[error("there are bytes after its end")]
    Trailing,
}

/// What a transaction spends, and by which right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Which output.
    pub outpoint: Outpoint,
    /// The right to it, in the old form.
    pub script_sig: Vec<u8>,
    /// At most 0xfffffffd: it may be replaced (BIP125).
    pub sequence: u32,
    /// The right to it, in the form of BIP141; empty for none.
    pub witness: Vec<Vec<u8>>,
}

/// What a transaction pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Base units.
    pub value: u64,
    /// To whom.
    pub script: Vec<u8>,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tx {
    /// 1 or 2 as a rule.
    pub version: u32,
    /// At least one.
    pub inputs: Vec<Input>,
    /// At least one.
    pub outputs: Vec<Output>,
    /// Whether it ends a Litecoin block with an extension block.
    pub ends_extension: bool,
    /// Height or time before which it is not mined; 0 for none.
    pub locktime: u32,
}

impl Tx {
    /// Reads exactly one transaction.
    ///
    /// # Errors
    /// [`TxError`], the first that applies.
    pub fn read(bytes: &[u8]) -> Result<Self, TxError> {
        limited(bytes, TX_BYTES_MAX)?;
        let mut reader = Reader { rest: bytes };
        let tx = reader.transaction()?;
        if reader.rest.is_empty() {
            Ok(tx)
        } else {
            Err(TxError::Trailing)
        }
    }

    /// Its bytes, witnesses included if it has any.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.version.to_le_bytes().to_vec();
        let flags = self.flags();
        if flags != 0 {
            out.extend([0, flags]);
        }
        self.put_body(&mut out);
        if flags & WITNESS != 0 {
            for input in &self.inputs {
                put_size(&mut out, input.witness.len());
                for item in &input.witness {
                    put_bytes(&mut out, item);
                }
            }
        }
        if flags & EXTENSION != 0 {
            out.push(0);
        }
        out.extend(self.locktime.to_le_bytes());
        out
    }

    /// Its name: the hash of its bytes without witnesses, header order.
    #[must_use]
    pub fn txid(&self) -> Hash {
        sha256d(&self.stripped())
    }

    /// Weight units (BIP141): four for a byte that every node keeps, one for a byte of a witness.
    #[must_use]
    pub fn weight(&self) -> usize {
        3 * self.stripped().len() + self.bytes().len()
    }

    /// Virtual bytes, rounded up: what fees are counted by.
    #[must_use]
    pub fn vsize(&self) -> usize {
        self.weight().div_ceil(4)
    }

    /// The same without any right to what it spends: what is signed.
    #[must_use]
    pub fn unsigned(&self) -> Self {
        let mut bare = self.clone();
        for input in &mut bare.inputs {
            input.script_sig.clear();
            input.witness.clear();
        }
        bare
    }

    fn stripped(&self) -> Vec<u8> {
        let mut out = self.version.to_le_bytes().to_vec();
        self.put_body(&mut out);
        out.extend(self.locktime.to_le_bytes());
        out
    }

    fn flags(&self) -> u8 {
        let witness = self.inputs.iter().any(|input| !input.witness.is_empty());
        (if witness { WITNESS } else { 0 }) | (if self.ends_extension { EXTENSION } else { 0 })
    }

    fn put_body(&self, out: &mut Vec<u8>) {
        put_size(out, self.inputs.len());
        for input in &self.inputs {
            out.extend(outpoint_bytes(input.outpoint));
            put_bytes(out, &input.script_sig);
            out.extend(input.sequence.to_le_bytes());
        }
        put_size(out, self.outputs.len());
        for output in &self.outputs {
            put_output(out, output);
        }
    }
}

/// Gives every transaction of a block to `each`, in order, until it says `false`. What a chain writes after the transactions is not looked at.
///
/// # Errors
/// [`TxError`] where the bytes are no block; what came before was given.
pub fn each_transaction(block: &[u8], mut each: impl FnMut(Tx) -> bool) -> Result<(), TxError> {
    limited(block, BLOCK_BYTES_MAX)?;
    let mut reader = Reader { rest: block };
    let _header = reader.take(80)?;
    for _ in 0..reader.size()? {
        if !each(reader.transaction()?) {
            break;
        }
    }
    Ok(())
}

/// An outpoint as transactions have it: txid ‖ number.
#[must_use]
pub fn outpoint_bytes(outpoint: Outpoint) -> [u8; 36] {
    let mut bytes = [0; 36];
    let number = outpoint.vout.to_le_bytes();
    let from = outpoint.txid.0.iter().chain(&number);
    for (to, from) in bytes.iter_mut().zip(from) {
        *to = *from;
    }
    bytes
}

/// Reads an outpoint of exactly 36 bytes.
#[must_use]
pub fn outpoint_of(bytes: &[u8]) -> Option<Outpoint> {
    let (txid, number) = bytes.split_first_chunk::<32>()?;
    Some(Outpoint {
        txid: Hash(*txid),
        vout: u32::from_le_bytes(number.try_into().ok()?),
    })
}

/// Appends an output.
pub(super) fn put_output(out: &mut Vec<u8>, output: &Output) {
    out.extend(output.value.to_le_bytes());
    put_bytes(out, &output.script);
}

/// Appends a CompactSize.
pub(super) fn put_size(out: &mut Vec<u8>, size: usize) {
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
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_size(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Bytes that a CompactSize takes.
pub(super) const fn size_bytes(size: usize) -> usize {
    match size {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

const fn limited(bytes: &[u8], bytes_max: usize) -> Result<(), TxError> {
    if bytes_max < bytes.len() {
        Err(TxError::TooLong { bytes_max })
    } else {
        Ok(())
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], TxError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(TxError::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], TxError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(TxError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    /// A CompactSize. Nothing is reserved for it: what it counts must follow, or the bytes are too short.
    fn size(&mut self) -> Result<usize, TxError> {
        let [first] = self.array()?;
        let (value, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(u32::from_le_bytes(self.array()?)), 0x1_0000),
            0xff => (u64::from_le_bytes(self.array()?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(TxError::Length);
        }
        usize::try_from(value).map_err(|_| TxError::Short)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, TxError> {
        let len = self.size()?;
        Ok(self.take(len)?.to_vec())
    }

    fn transaction(&mut self) -> Result<Tx, TxError> {
        let version = u32::from_le_bytes(self.array()?);
        let flags = match self.rest {
            [0, flags, rest @ ..] => {
                self.rest = rest;
                // Without inputs there is no transaction, so a zero here always announces flags.
                if *flags == 0 {
                    return Err(TxError::NoInput);
                }
                *flags
            }
            [0] => return Err(TxError::Short),
            _ => 0,
        };
        if flags & !(WITNESS | EXTENSION) != 0 {
            return Err(TxError::Flags);
        }
        let mut inputs = Vec::new();
        for _ in 0..self.size()? {
            let txid = Hash(self.array()?);
            let vout = u32::from_le_bytes(self.array()?);
            let outpoint = Outpoint { txid, vout };
            inputs.push(Input {
                outpoint,
                script_sig: self.bytes()?,
                sequence: u32::from_le_bytes(self.array()?),
                witness: Vec::new(),
            });
        }
        if inputs.is_empty() {
            return Err(TxError::NoInput);
        }
        let mut outputs = Vec::new();
        for _ in 0..self.size()? {
            let value = u64::from_le_bytes(self.array()?);
            let script = self.bytes()?;
            outputs.push(Output { value, script });
        }
        if outputs.is_empty() {
            return Err(TxError::NoOutput);
        }
        if flags & WITNESS != 0 {
            for input in &mut inputs {
                let items = self.size()?;
                for _ in 0..items {
                    input.witness.push(self.bytes()?);
                }
            }
            if inputs.iter().all(|input| input.witness.is_empty()) {
                return Err(TxError::NoWitness);
            }
        }
        if flags & EXTENSION != 0 && self.array()? != [0] {
            return Err(TxError::Flags);
        }
        Ok(Tx {
            version,
            inputs,
            outputs,
            ends_extension: flags & EXTENSION != 0,
            locktime: u32::from_le_bytes(self.array()?),
        })
    }
}
