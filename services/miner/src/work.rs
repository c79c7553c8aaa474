//! From a notify line to a header, as a miner's firmware does it.

use std::sync::Arc;

use orebook_pow::{prove_header, sha256d};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{U256, Work, unhex};

use serde_json::{Value, json};

/// What a notify line said, with the difficulty that was in force when it came.
#[derive(Clone, Debug)]
pub struct PoolWork {
    id: String,
    coinbase1: Vec<u8>,
    coinbase2: Vec<u8>,
    branches: Vec<[u8; 32]>,
    /// Version, previous hash, bits and time as the header has them.
    version: [u8; 4],
    prev: [u8; 32],
    nbits: [u8; 4],
    /// As on the wire, big-endian hex.
    ntime: String,
    time: [u8; 4],
    extranonce1: Vec<u8>,
    extranonce2_size: usize,
    target: U256,
}

/// What the pool said before the job came.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The session's part of the coinbase.
    pub extranonce1: Vec<u8>,
    /// Bytes that the rig adds.
    pub extranonce2_size: usize,
    /// Decimal text.
    pub difficulty: String,
}

fn reversed4(hex: &str) -> Option<[u8; 4]> {
    let mut bytes: [u8; 4] = unhex(hex)?.try_into().ok()?;
    bytes.reverse();
    Some(bytes)
}

/// The wire has the header's bytes with each four of them turned round.
fn words_turned(hex: &str) -> Option<[u8; 32]> {
    let mut bytes: [u8; 32] = unhex(hex)?.try_into().ok()?;
    bytes.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    Some(bytes)
}

impl PoolWork {
    /// Reads the parameters of `mining.notify`; none if they are not what the protocol says.
    #[must_use]
    pub fn read(params: &[Value], terms: &Terms, algorithm: Algorithm) -> Option<Self> {
        let text = |index: usize| params.get(index)?.as_str();
        let branches = params.get(4)?.as_array()?;
        let branches = branches
            .iter()
            .map(|branch| unhex(branch.as_str()?)?.try_into().ok())
            .collect::<Option<Vec<[u8; 32]>>>()?;
        let unit = algorithm.work_unit();
        Some(Self {
            id: text(0)?.to_owned(),
            prev: words_turned(text(1)?)?,
            coinbase1: unhex(text(2)?)?,
            coinbase2: unhex(text(3)?)?,
            branches,
            version: reversed4(text(5)?)?,
            nbits: reversed4(text(6)?)?,
            ntime: text(7)?.to_owned(),
            time: reversed4(text(7)?)?,
            extranonce1: terms.extranonce1.clone(),
            extranonce2_size: terms.extranonce2_size,
            target: Work::from_difficulty(&terms.difficulty, unit)?.target(unit),
        })
    }

    fn header(&self, extranonce2: &[u8]) -> [u8; 80] {
        let parts: [&[u8]; 4] = [
            &self.coinbase1,
            &self.extranonce1,
            extranonce2,
            &self.coinbase2,
        ];
        let mut root = sha256d(&parts.concat()).0;
        for branch in &self.branches {
            root = sha256d(&[root, *branch].concat()).0;
        }
        let parts: [&[u8]; 6] = [
            &self.version,
            &self.prev,
            &root,
            &self.time,
            &self.nbits,
            &[0; 4],
        ];
        parts.concat().try_into().unwrap_or([0; 80])
    }
}

/// One thread's place in a job.
#[derive(Debug)]
pub struct Attempt {
    /// The job.
    pub work: Arc<PoolWork>,
    /// Which news of the pool it is from.
    pub serial: u64,
    extranonce2: u64,
    header: [u8; 80],
    /// The next nonce; none when all are used up.
    nonce: Option<u32>,
}

impl Attempt {
    /// A thread begins at its own extranonce2, so that no two search the same.
    #[must_use]
    pub fn new(work: Arc<PoolWork>, serial: u64, thread: usize) -> Self {
        let extranonce2 = (thread as u64) << 24;
        let mut attempt = Self {
            work,
            serial,
            extranonce2,
            header: [0; 80],
            nonce: None,
        };
        attempt.next_header();
        attempt
    }

    /// The header with a nonce.
    #[must_use]
    pub fn header(&self, nonce: u32) -> [u8; 80] {
        let mut header = self.header;
        if let Some(field) = header.last_chunk_mut::<4>() {
            *field = nonce.to_le_bytes();
        }
        header
    }

    /// Parameters of `mining.submit` for a nonce.
    #[must_use]
    pub fn submission(&self, user: &str, nonce: u32) -> Value {
        let nonce = format!("{nonce:08x}");
        let extranonce2 = orebook_schema::units::hex(&self.extranonce2_bytes());
        json!([user, self.work.id, extranonce2, self.work.ntime, nonce])
    }

    fn extranonce2_bytes(&self) -> Vec<u8> {
        let bytes = self.extranonce2.to_be_bytes();
        let size = self.work.extranonce2_size;
        let skip = bytes.len().saturating_sub(size);
        let mut all = vec![0; size.saturating_sub(bytes.len())];
        all.extend(bytes.iter().skip(skip));
        all
    }

    fn next_header(&mut self) {
        self.extranonce2 = self.extranonce2.wrapping_add(1);
        self.header = self.work.header(&self.extranonce2_bytes());
        self.nonce = Some(0);
    }

    /// Tries `batch` nonces. Returns those whose hash meets the share's target.
    pub fn search(&mut self, algorithm: Algorithm, batch: u32) -> Vec<u32> {
        let mut found = Vec::new();
        for _ in 0..batch {
            let Some(nonce) = self.nonce else {
                break;
            };
            let proof = prove_header(self.header(nonce), algorithm);
            if proof.is_some_and(|proof| proof.value() <= self.work.target) {
                found.push(nonce);
            }
            self.nonce = nonce.checked_add(1);
        }
        found
    }

    /// Goes on behind a batch: another extranonce2 once the nonces are used up. Called between batches, since what was
    /// found is submitted with the present one.
    pub fn go_on(&mut self) {
        if self.nonce.is_none() {
            self.next_header();
        }
    }
}
