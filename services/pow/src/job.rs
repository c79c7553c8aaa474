//! A job made ready to be hashed many times.

use orebook_schema::Hash;
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{U256, target_of_bits};
use orebook_schema::work::Job;

use crate::engine::Engine;
#[cfg(target_arch = "x86_64")]
use crate::lanes::Lanes;
use crate::sha256::{Midstate, again, sha256d_pair};
use crate::{Claim, HEADER_BYTES, Proof};

/// What all claims of a job need, computed once.
#[derive(Clone, Debug)]
pub struct PreparedJob {
    engine: Engine,
    /// State after the whole blocks of the first half of the coinbase.
    pub(crate) midstate: Midstate,
    coinbase1: Box<[u8]>,
    /// Where the bytes of `coinbase1` begin that `midstate` lacks.
    rest_at: usize,
    pub(crate) coinbase2: Box<[u8]>,
    pub(crate) branches: Box<[Hash]>,
    pub(crate) prev: Hash,
    pub(crate) nbits: u32,
    block_target: U256,
}

impl PreparedJob {
    /// Prepares a job. `None` for algorithms that are not built, and for compact bits that are no target.
    #[must_use]
    pub fn new(job: &Job, algorithm: Algorithm) -> Option<Self> {
        let (midstate, rest) = Midstate::new(&job.coinbase1);
        Some(Self {
            engine: Engine::of(algorithm)?,
            midstate,
            coinbase1: job.coinbase1.as_slice().into(),
            rest_at: job.coinbase1.len() - rest.len(),
            coinbase2: job.coinbase2.as_slice().into(),
            branches: job.branches.as_slice().into(),
            prev: job.prev,
            nbits: job.nbits,
            block_target: target_of_bits(job.nbits)?,
        })
    }

    /// Hashes at or below it make a block.
    #[must_use]
    pub const fn block_target(&self) -> U256 {
        self.block_target
    }

    /// Whether hashing a claim takes a large part of a second and memory of its own, so that it is done apart: with
    /// [`Self::header`] and [`crate::scrypt2()`] instead of [`Self::prove`].
    #[must_use]
    pub const fn is_slow(&self) -> bool {
        matches!(self.engine, Engine::Scrypt2)
    }

    /// The coinbase transaction of a claim, without segwit marker and witness.
    #[must_use]
    pub fn coinbase(&self, claim: &Claim) -> Vec<u8> {
        [
            &self.coinbase1,
            claim.extranonce1.bytes(),
            claim.extranonce2.bytes(),
            &self.coinbase2,
        ]
        .concat()
    }

    /// Id of the coinbase transaction of a claim, header order.
    #[must_use]
    pub fn coinbase_txid(&self, claim: &Claim) -> Hash {
        let parts = [
            self.rest(),
            claim.extranonce1.bytes(),
            claim.extranonce2.bytes(),
            &self.coinbase2,
        ];
        again(&self.midstate.finish(&parts))
    }

    /// The header of a claim: version, parent, merkle root, time, bits and nonce, numbers little-endian.
    #[must_use]
    pub fn header(&self, claim: &Claim) -> [u8; HEADER_BYTES] {
        let txid = self.coinbase_txid(claim);
        let root = self
            .branches
            .iter()
            .fold(txid, |root, branch| sha256d_pair(&root, branch));
        self.header_with(claim, &root.0)
    }

    /// What the midstate lacks of the first half of the coinbase.
    pub(crate) fn rest(&self) -> &[u8] {
        self.coinbase1.get(self.rest_at..).unwrap_or_default()
    }

    pub(crate) fn header_with(&self, claim: &Claim, root: &[u8; 32]) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let mut left = header.as_mut_slice();
        for part in [
            claim.version.to_le_bytes().as_slice(),
            &self.prev.0,
            root,
            &claim.ntime.to_le_bytes(),
            &self.nbits.to_le_bytes(),
            &claim.nonce.to_le_bytes(),
        ] {
            let (place, after) = left.split_at_mut(part.len());
            place.copy_from_slice(part);
            left = after;
        }
        header
    }

    /// Hashes a claim.
    #[must_use]
    pub fn prove(&self, claim: &Claim) -> Proof {
        self.engine.prove(self.header(claim))
    }

    /// Hashes claims of this job and appends their proofs, in order: the same as [`Self::prove`] of each.
    pub fn prove_batch(&self, claims: &[Claim], proofs: &mut Vec<Proof>) {
        let left = self.prove_in_lanes(claims, proofs);
        proofs.extend(left.iter().map(|claim| self.prove(claim)));
    }

    /// Hashes as many claims as are better hashed together, and gives the others back.
    #[cfg(target_arch = "x86_64")]
    fn prove_in_lanes<'a>(&self, claims: &'a [Claim], proofs: &mut Vec<Proof>) -> &'a [Claim] {
        let mut hashed = Vec::with_capacity(claims.len());
        let left = Lanes::detect().hash(self, claims, &mut hashed);
        let done = hashed.into_iter();
        proofs.extend(done.map(|done| self.engine.prove_hashed(done.header, done.hash)));
        left
    }

    /// No way is built for this processor.
    #[cfg(not(target_arch = "x86_64"))]
    fn prove_in_lanes<'a>(&self, claims: &'a [Claim], _: &mut Vec<Proof>) -> &'a [Claim] {
        claims
    }
}
