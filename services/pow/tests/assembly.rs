//! The quick assembly against a slow one that shares no code with it, on any job.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_pow::{
    Claim, Judgement, PreparedJob, Proof, coinbase_tag, judge, prove_header, sha256d, sha256d_pair,
};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::U256;
use orebook_schema::work::{Extranonce, Job};
use orebook_schema::{At, Hash, StreamId};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

/// SHA-256d by the digest of the `sha2` crate.
fn slow_sha256d(bytes: &[u8]) -> [u8; 32] {
    let Hash(once) = Hash::of(&[bytes]);
    Hash::of(&[&once]).0
}

/// Header and coinbase as the specification reads, one `Vec` after the other.
fn slow_header(job: &Job, claim: &Claim) -> (Vec<u8>, Vec<u8>) {
    let mut coinbase = job.coinbase1.clone();
    coinbase.extend(claim.extranonce1.bytes());
    coinbase.extend(claim.extranonce2.bytes());
    coinbase.extend(&job.coinbase2);
    let mut root = slow_sha256d(&coinbase).to_vec();
    for branch in &job.branches {
        root.extend(branch.0);
        root = slow_sha256d(&root).to_vec();
    }
    let mut header = claim.version.to_le_bytes().to_vec();
    header.extend(job.prev.0);
    header.extend(root);
    header.extend(claim.ntime.to_le_bytes());
    header.extend(job.nbits.to_le_bytes());
    header.extend(claim.nonce.to_le_bytes());
    (header, coinbase)
}

fn job() -> impl Strategy<Value = Job> {
    let numbers = (
        any::<u32>(),
        any::<[u8; 32]>(),
        any::<u32>(),
        1_u32..0x7f_ffff,
        3_u32..0x20,
    );
    let coinbase = (vec(any::<u8>(), 0..300), vec(any::<u8>(), 0..700));
    (numbers, coinbase, vec(any::<[u8; 32]>(), 0..17)).prop_map(
        |((version, prev, time, mantissa, size), (coinbase1, coinbase2), branches)| Job {
            number: 0,
            policy: At::default(),
            height: 1,
            network_work: 1,
            reward: 0,
            fees: 0,
            direct: 0,
            version,
            prev: Hash(prev),
            nbits: size << 24 | mantissa,
            time,
            clean: false,
            coinbase1,
            coinbase2,
            branches: branches.into_iter().map(Hash).collect(),
        },
    )
}

fn extranonce() -> impl Strategy<Value = Extranonce> {
    vec(any::<u8>(), 0..9).prop_map(|bytes| Extranonce::new(&bytes).expect("at most eight"))
}

fn claim() -> impl Strategy<Value = Claim> {
    (
        extranonce(),
        extranonce(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(|(extranonce1, extranonce2, ntime, nonce, version)| Claim {
            extranonce1,
            extranonce2,
            ntime,
            nonce,
            version,
        })
}

proptest! {
    #[test]
    fn any_bytes_hash_as_the_digest_says(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(sha256d(&bytes).0, slow_sha256d(&bytes));
    }

    #[test]
    fn a_pair_hashes_as_its_bytes(left in any::<[u8; 32]>(), right in any::<[u8; 32]>()) {
        let both = [left, right].concat();
        prop_assert_eq!(sha256d_pair(&Hash(left), &Hash(right)), sha256d(&both));
    }

    #[test]
    fn a_proof_is_what_the_slow_assembly_gives(job in job(), claim in claim()) {
        let prepared = PreparedJob::new(&job, Algorithm::Sha256d).expect("it is built");
        let (header, coinbase) = slow_header(&job, &claim);
        let proof = prepared.prove(&claim);
        prop_assert_eq!(&proof.header[..], &header[..]);
        prop_assert_eq!(proof.pow.0, slow_sha256d(&header));
        prop_assert_eq!(proof.block_hash, proof.pow);
        prop_assert_eq!(prepared.coinbase_txid(&claim).0, slow_sha256d(&coinbase));
        prop_assert_eq!(prepared.coinbase(&claim), coinbase);
    }

    #[test]
    fn a_batch_is_its_claims_one_by_one(job in job(), claims in vec(claim(), 0..34)) {
        let prepared = PreparedJob::new(&job, Algorithm::Sha256d).expect("it is built");
        let mut batch = Vec::new();
        prepared.prove_batch(&claims, &mut batch);
        let single: Vec<Proof> = claims.iter().map(|claim| prepared.prove(claim)).collect();
        prop_assert_eq!(batch, single);
    }

    #[test]
    fn a_scrypt_batch_is_its_claims_one_by_one(job in job(), claims in vec(claim(), 0..4)) {
        let prepared = PreparedJob::new(&job, Algorithm::Scrypt).expect("it is built");
        let mut batch = Vec::new();
        prepared.prove_batch(&claims, &mut batch);
        prop_assert_eq!(batch.len(), claims.len());
        for (proof, claim) in batch.iter().zip(&claims) {
            let (header, _) = slow_header(&job, claim);
            prop_assert_eq!(&proof.header[..], &header[..]);
            prop_assert_eq!(proof.block_hash.0, slow_sha256d(&header));
            prop_assert_eq!(Some(*proof), prove_header(proof.header, Algorithm::Scrypt));
            prop_assert!(proof.pow != proof.block_hash);
        }
    }
}

#[test]
fn every_length_of_coinbase_is_padded_right() {
    // Around each block boundary, in the prefix and after it.
    for first in 0..130 {
        for second in [
            0, 1, 39, 40, 46, 47, 48, 54, 55, 56, 63, 64, 65, 119, 120, 128,
        ] {
            let job = Job {
                coinbase1: (0..first).collect(),
                coinbase2: (0..second).rev().collect(),
                ..plain_job()
            };
            let claim = plain_claim();
            let prepared = PreparedJob::new(&job, Algorithm::Sha256d).expect("it is built");
            let (header, coinbase) = slow_header(&job, &claim);
            assert_eq!(prepared.header(&claim), header[..], "{first} {second}");
            assert_eq!(prepared.coinbase_txid(&claim).0, slow_sha256d(&coinbase));
        }
    }
}

#[test]
fn a_batch_appends_and_keeps_what_was_there() {
    let prepared = PreparedJob::new(&plain_job(), Algorithm::Sha256d).expect("it is built");
    let (first, second) = (
        plain_claim(),
        Claim {
            nonce: 9,
            ..plain_claim()
        },
    );
    let mut proofs = vec![prepared.prove(&first)];
    prepared.prove_batch(&[second, first], &mut proofs);
    let expected = [first, second, first].map(|claim| prepared.prove(&claim));
    assert_eq!(proofs, expected);
}

#[test]
fn jobs_that_cannot_be_hashed_are_refused() {
    for algorithm in [Algorithm::Ethash, Algorithm::Etchash] {
        assert!(
            PreparedJob::new(&plain_job(), algorithm).is_none(),
            "{algorithm:?}"
        );
        assert_eq!(prove_header([0; 80], algorithm), None, "{algorithm:?}");
    }
    for nbits in [0, 0x2080_0001, 0x2300_0001, 0xff7f_ffff] {
        let job = Job {
            nbits,
            ..plain_job()
        };
        let prepared = PreparedJob::new(&job, Algorithm::Sha256d);
        assert!(prepared.is_none(), "{nbits:08x} is no target");
    }
}

#[test]
fn a_hash_at_its_target_meets_it() {
    let proof = |value: u64| Proof {
        header: [0; 80],
        pow: Hash(U256::from(value).to_le_bytes()),
        block_hash: Hash::ZERO,
    };
    let (share, block) = (U256::from(100), U256::from(10));
    for (value, judgement) in [
        (9, Judgement::Block),
        (10, Judgement::Block),
        (11, Judgement::Share),
        (100, Judgement::Share),
        (101, Judgement::Low),
    ] {
        assert_eq!(judge(&proof(value), share, block), judgement, "{value}");
    }
    // An easy chain: the block target is above the share's, and meeting it is enough.
    assert_eq!(judge(&proof(50), block, share), Judgement::Block);
    assert_eq!(judge(&proof(101), block, share), Judgement::Low);
}

#[test]
fn a_tag_is_the_first_bytes_of_the_hash_of_stream_and_epoch() {
    let stream = StreamId([7; 16]);
    let mut preimage = [7; 20];
    preimage[16..].copy_from_slice(&[3, 2, 0, 0]);
    let Hash(digest) = Hash::of(&[&preimage]);
    assert_eq!(coinbase_tag(stream, 0x203), digest[..8]);
    assert_ne!(coinbase_tag(stream, 0x203), coinbase_tag(stream, 0x204));
    assert_ne!(
        coinbase_tag(stream, 0x203),
        coinbase_tag(StreamId([8; 16]), 0x203)
    );
}

fn plain_job() -> Job {
    Job {
        number: 0,
        policy: At::default(),
        height: 1,
        network_work: 1,
        reward: 0,
        fees: 0,
        direct: 0,
        version: 0x2000_0000,
        prev: Hash([5; 32]),
        nbits: 0x207f_ffff,
        time: 1_700_000_000,
        clean: true,
        coinbase1: vec![1; 100],
        coinbase2: vec![2; 60],
        branches: vec![Hash([3; 32]), Hash([4; 32])],
    }
}

fn plain_claim() -> Claim {
    Claim {
        extranonce1: Extranonce::new(&[1, 2, 3, 4]).expect("four bytes"),
        extranonce2: Extranonce::new(&[5, 6, 7, 8]).expect("four bytes"),
        ntime: 1_700_000_001,
        nonce: 7,
        version: 0x2000_0000,
    }
}
