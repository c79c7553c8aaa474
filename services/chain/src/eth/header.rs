//! Headers: their fields, their RLP, and the two hashes over it.

use keccak::Keccak;
use orebook_schema::units::{Hash, U256};
use serde::Deserialize;

use super::words::{array, data, hash32, quantity, quantity64};

/// Most bytes of a header's extra data, as ethash chains have it; a header with more is none.
pub const EXTRA_BYTES_MAX: usize = 32;
/// Most uncles of a block; one with more is none.
pub const UNCLES_MAX: usize = 2;

/// Bytes that Keccak-256 takes between two permutations.
const RATE: usize = 136;

/// The fields of a header that are sealed: all but mix and nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealFields {
    /// The block below.
    pub parent: Hash,
    /// Keccak-256 of the list of uncles.
    pub uncles_hash: Hash,
    /// Who is paid.
    pub miner: [u8; 20],
    /// Root of the state after the block.
    pub state_root: Hash,
    /// Root of the transactions.
    pub transactions_root: Hash,
    /// Root of the receipts.
    pub receipts_root: Hash,
    /// Bloom filter of the logs.
    pub bloom: Box<[u8; 256]>,
    /// The block's difficulty.
    pub difficulty: U256,
    /// Its height.
    pub number: u64,
    /// Most gas of the block.
    pub gas_limit: u64,
    /// Gas that was used.
    pub gas_used: u64,
    /// Seconds since 1970.
    pub time: u64,
    /// The miner's words, at most [`EXTRA_BYTES_MAX`].
    pub extra: Vec<u8>,
    /// Fee that is burnt, base units for a unit of gas: from London on (EIP-1559).
    pub base_fee: Option<U256>,
}

/// A header that hangs together: its hash is that of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EthHeader {
    /// The block's hash.
    pub hash: Hash,
    /// What was sealed: the name of the work it was.
    pub seal: Hash,
    /// Its height.
    pub number: u64,
    /// The block below.
    pub parent: Hash,
    /// Who is paid.
    pub miner: [u8; 20],
    /// The miner's words, at most [`EXTRA_BYTES_MAX`].
    pub extra: Vec<u8>,
    /// Gas that its transactions used.
    pub gas_used: u64,
    /// Fee that is burnt, base units for a unit of gas: from London on.
    pub base_fee: Option<U256>,
    /// Keccak-256 of the list of its uncles.
    pub uncles_hash: Hash,
    /// Its difficulty.
    pub difficulty: U256,
    /// Seconds since 1970; at most 2^32 − 1.
    pub time: u32,
    /// The seal's nonce as a number.
    pub nonce: u64,
    /// The seal's mix.
    pub mix: Hash,
    /// Hashes of the uncles that it names; empty where the node told the header only.
    pub uncles: Vec<Hash>,
}

/// A header as nodes write it, in blocks and in notifications.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeaderJson {
    hash: String,
    parent_hash: String,
    sha3_uncles: String,
    miner: String,
    state_root: String,
    transactions_root: String,
    receipts_root: String,
    logs_bloom: String,
    difficulty: String,
    number: String,
    gas_limit: String,
    gas_used: String,
    timestamp: String,
    extra_data: String,
    mix_hash: String,
    nonce: String,
    base_fee_per_gas: Option<String>,
    #[serde(default)]
    uncles: Vec<String>,
}

impl SealFields {
    /// The seal hash: what miners hash nonces with, and the first item of `eth_getWork`.
    #[must_use]
    pub fn seal(&self) -> Hash {
        keccak256(&self.rlp(None))
    }

    /// The block's hash, with its seal.
    #[must_use]
    pub fn hash(&self, mix: &Hash, nonce: u64) -> Hash {
        keccak256(&self.rlp(Some((mix, nonce))))
    }

    /// The RLP list. (Yellow paper, appendix B and section 4.4; EIP-1559 puts its fee last.)
    fn rlp(&self, seal: Option<(&Hash, u64)>) -> Vec<u8> {
        let mut items = Vec::with_capacity(640);
        for hash in [&self.parent, &self.uncles_hash] {
            put_data(&mut items, &hash.0);
        }
        put_data(&mut items, &self.miner);
        for root in [
            &self.state_root,
            &self.transactions_root,
            &self.receipts_root,
        ] {
            put_data(&mut items, &root.0);
        }
        put_data(&mut items, self.bloom.as_slice());
        put_number(&mut items, &self.difficulty.to_be_bytes::<32>());
        for number in [self.number, self.gas_limit, self.gas_used, self.time] {
            put_number(&mut items, &number.to_be_bytes());
        }
        put_data(&mut items, &self.extra);
        if let Some((mix, nonce)) = seal {
            put_data(&mut items, &mix.0);
            put_data(&mut items, &nonce.to_be_bytes());
        }
        if let Some(fee) = &self.base_fee {
            put_number(&mut items, &fee.to_be_bytes::<32>());
        }
        let mut list = Vec::with_capacity(items.len() + 9);
        put_head(&mut list, 0xc0, items.len());
        list.extend(items);
        list
    }
}

impl HeaderJson {
    /// The header; `None` if a field is malformed, or the hash that was told is not that of the fields.
    pub(super) fn header(&self) -> Option<EthHeader> {
        self.header_and_rlp().map(|(header, _)| header)
    }

    /// The same, and its RLP with the seal.
    pub(super) fn header_and_rlp(&self) -> Option<(EthHeader, Vec<u8>)> {
        let fields = SealFields {
            parent: hash32(&self.parent_hash)?,
            uncles_hash: hash32(&self.sha3_uncles)?,
            miner: array(&self.miner)?,
            state_root: hash32(&self.state_root)?,
            transactions_root: hash32(&self.transactions_root)?,
            receipts_root: hash32(&self.receipts_root)?,
            bloom: Box::new(array(&self.logs_bloom)?),
            difficulty: quantity(&self.difficulty)?,
            number: quantity64(&self.number)?,
            gas_limit: quantity64(&self.gas_limit)?,
            gas_used: quantity64(&self.gas_used)?,
            time: quantity64(&self.timestamp)?,
            extra: data(&self.extra_data).filter(|extra| extra.len() <= EXTRA_BYTES_MAX)?,
            base_fee: match &self.base_fee_per_gas {
                Some(text) => Some(quantity(text)?),
                None => None,
            },
        };
        let mix = hash32(&self.mix_hash)?;
        let nonce = u64::from_be_bytes(array(&self.nonce)?);
        let rlp = fields.rlp(Some((&mix, nonce)));
        let hash = keccak256(&rlp);
        if hash32(&self.hash)? != hash || UNCLES_MAX < self.uncles.len() {
            return None;
        }
        let uncles = self.uncles.iter().map(|text| hash32(text));
        let header = EthHeader {
            hash,
            seal: fields.seal(),
            number: fields.number,
            parent: fields.parent,
            miner: fields.miner,
            gas_used: fields.gas_used,
            base_fee: fields.base_fee,
            uncles_hash: fields.uncles_hash,
            difficulty: fields.difficulty,
            time: u32::try_from(fields.time).ok()?,
            nonce,
            mix,
            uncles: uncles.collect::<Option<_>>()?,
            extra: fields.extra,
        };
        Some((header, rlp))
    }
}

/// Keccak-256 with the padding of 2013, which Ethereum kept.
#[must_use]
pub fn keccak256(message: &[u8]) -> Hash {
    let mut state = [0u64; 25];
    let mut absorb = |block: &[u8; RATE]| {
        for (word, bytes) in state.iter_mut().zip(block.as_chunks::<8>().0) {
            *word ^= u64::from_le_bytes(*bytes);
        }
        Keccak::new().with_f1600(|permute| permute(&mut state));
    };
    let (whole, rest) = message.as_chunks::<RATE>();
    for block in whole {
        absorb(block);
    }
    let mut last = [0; RATE];
    for (place, byte) in last.iter_mut().zip(rest.iter().chain(&[1])) {
        *place = *byte;
    }
    if let Some(end) = last.last_mut() {
        *end |= 0x80;
    }
    absorb(&last);
    let mut hash = Hash::ZERO;
    for (place, word) in hash.0.as_chunks_mut::<8>().0.iter_mut().zip(state) {
        *place = word.to_le_bytes();
    }
    hash
}

/// What a header commits to of its uncles, from their headers' RLP one after another.
pub(super) fn uncles_hash(rlp: &[u8]) -> Hash {
    let mut list = Vec::with_capacity(rlp.len() + 3);
    put_head(&mut list, 0xc0, rlp.len());
    list.extend_from_slice(rlp);
    keccak256(&list)
}

/// A string's or list's head. Lengths are those of a header's parts: two bytes hold them.
fn put_head(out: &mut Vec<u8>, kind: u8, len: usize) {
    let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    match (high, low) {
        (0, 0..=55) => out.push(kind + low),
        (0, _) => out.extend([kind + 56, low]),
        _ => out.extend([kind + 57, high, low]),
    }
}

fn put_data(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes {
        [byte @ 0..=0x7f] => out.push(*byte),
        _ => {
            put_head(out, 0x80, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

/// A number has no leading zeros; zero has no byte at all.
fn put_number(out: &mut Vec<u8>, big_endian: &[u8]) {
    let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    put_data(out, big_endian.get(zeros..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keccak_is_that_of_its_known_digests() {
        // The empty message; the RLP of nothing; 135, 136 and 137 bytes around the rate, from another implementation.
        for (message, digest) in [
            (
                vec![],
                "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
            ),
            (
                vec![0xc0],
                "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
            ),
            (
                vec![0x80],
                "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
            ),
            (
                vec![0; 32],
                "290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563",
            ),
            (
                vec![0x61; 135],
                "34367dc248bbd832f4e3e69dfaac2f92638bd0bbd18f2912ba4ef454919cf446",
            ),
            (
                vec![0x61; 136],
                "a6c4d403279fe3e0af03729caada8374b5ca54d8065329a3ebcaeb4b60aa386e",
            ),
            (
                vec![0x61; 137],
                "d869f639c7046b4929fc92a4d988a8b22c55fbadb802c0c66ebcd484f1915f39",
            ),
        ] {
            assert_eq!(
                keccak256(&message).to_string(),
                digest,
                "{} bytes",
                message.len()
            );
        }
    }

    #[test]
    fn rlp_is_that_of_the_yellow_paper() {
        let coded = |put: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            put(&mut out);
            out
        };
        assert_eq!(coded(&|out| put_data(out, b"dog")), b"\x83dog");
        assert_eq!(coded(&|out| put_data(out, b"")), [0x80]);
        assert_eq!(coded(&|out| put_data(out, &[0])), [0]);
        assert_eq!(coded(&|out| put_data(out, &[0x80])), [0x81, 0x80]);
        assert_eq!(coded(&|out| put_number(out, &0u64.to_be_bytes())), [0x80]);
        assert_eq!(
            coded(&|out| put_number(out, &1024u64.to_be_bytes())),
            [0x82, 4, 0]
        );
        assert_eq!(coded(&|out| put_head(out, 0x80, 56)), [0xb8, 56]);
        assert_eq!(coded(&|out| put_head(out, 0x80, 256)), [0xb9, 1, 0]);
        assert_eq!(coded(&|out| put_head(out, 0xc0, 540)), [0xf9, 2, 28]);
    }
}
