//! The captured vectors: blocks that real nodes accepted, jobs that a real miner solved.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_pow::{
    Claim, Judgement, PreparedJob, judge, prove_header, sha256d, sha256d_pair, version_of,
};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{U256, WorkUnit, target_of_bits, unhex};
use orebook_schema::work::{Extranonce, Job};
use orebook_schema::{At, Hash, Work};
use serde_json::Value;

const HEADERS: &str = include_str!("../../../tests/vectors/headers_pow.json");
const ASSEMBLY: &str = include_str!("../../../tests/vectors/assembly.json");
const SUBMITS: &str = include_str!("../../../tests/vectors/sv1_submit.json");
const ROLLING: &str = include_str!("../../../tests/vectors/sv1_version_rolling.json");

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("a vector file is JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(text(value)).expect("hex")
}

fn number(value: &Value) -> u32 {
    u32::from_str_radix(text(value), 16).expect("hex of a number")
}

fn hash(value: &Value) -> Hash {
    Hash(bytes(value).try_into().expect("32 bytes"))
}

/// A hash as explorers show it: reversed.
fn shown(value: &Value) -> Hash {
    let Hash(mut bytes) = hash(value);
    bytes.reverse();
    Hash(bytes)
}

fn extranonce(value: &Value) -> Extranonce {
    Extranonce::new(&bytes(value)).expect("at most eight bytes")
}

fn algorithm(value: &Value) -> (Algorithm, WorkUnit) {
    match text(value) {
        "sha256d" => (Algorithm::Sha256d, WorkUnit::Sha256d),
        "scrypt" => (Algorithm::Scrypt, WorkUnit::Scrypt),
        "scrypt_n1048576_r1_p1" => (Algorithm::Scrypt2, WorkUnit::Scrypt),
        other => panic!("unknown algorithm {other}"),
    }
}

/// The job that a captured `mining.notify` carried.
fn job(notify: &Value) -> Job {
    let Hash(mut prev) = hash(&notify[1]);
    prev.as_chunks_mut::<4>()
        .0
        .iter_mut()
        .for_each(|word| word.reverse());
    Job {
        number: 0,
        policy: At::default(),
        height: 1,
        network_work: 1,
        reward: 0,
        fees: 0,
        direct: 0,
        version: number(&notify[5]),
        prev: Hash(prev),
        nbits: number(&notify[6]),
        time: number(&notify[7]),
        clean: true,
        coinbase1: bytes(&notify[2]),
        coinbase2: bytes(&notify[3]),
        branches: list(&notify[4]).iter().map(hash).collect(),
    }
}

#[test]
fn headers_of_known_blocks_hash_to_their_known_names() {
    let mut hashed = 0;
    for case in list(&json(HEADERS)["cases"]) {
        let name = text(&case["name"]);
        let header: [u8; 80] = bytes(&case["header"]).try_into().expect("80 bytes");
        let (algorithm, _) = algorithm(&case["algo"]);
        let proof = prove_header(header, algorithm).expect("an algorithm that is built");
        assert_eq!(proof.pow, shown(&case["pow_hash_display"]), "{name}");
        assert_eq!(proof.block_hash, sha256d(&header), "{name}");
        hashed += 1;
        if algorithm == Algorithm::Scrypt2 {
            // No block of a chain: it has a hash and nothing else.
            continue;
        }
        assert_eq!(proof.block_hash, shown(&case["block_id_display"]), "{name}");
        let target = target_of_bits(number(&case["nbits"])).expect("a target");
        assert_eq!(
            target.to_be_bytes::<32>(),
            bytes(&case["target"])[..],
            "{name}"
        );
        assert_eq!(
            judge(&proof, U256::ZERO, target),
            Judgement::Block,
            "{name}"
        );
    }
    assert_eq!(hashed, 4, "two of sha256d, one of scrypt, one of scrypt²");
}

#[test]
fn merkle_branches_lead_from_the_coinbase_to_the_root() {
    let cases = &json(ASSEMBLY)["merkle"];
    assert_eq!(list(cases).len(), 8);
    for case in list(cases) {
        let root = list(&case["branches"])
            .iter()
            .fold(hash(&case["coinbase_txid_bytes"]), |root, branch| {
                sha256d_pair(&root, &hash(branch))
            });
        assert_eq!(root, hash(&case["root_bytes"]), "{case}");
    }
}

#[test]
fn captured_submits_become_the_headers_that_nodes_accepted() {
    let mut seen = [0; 2];
    for case in list(&json(SUBMITS)["cases"]) {
        let (algorithm, unit) = algorithm(&case["algo"]);
        let prepared = PreparedJob::new(&job(&case["notify"]), algorithm).expect("it is built");
        let submit = &case["submit"];
        let claim = Claim {
            extranonce1: extranonce(&case["extranonce1"]),
            extranonce2: extranonce(&submit[2]),
            ntime: number(&submit[3]),
            nonce: number(&submit[4]),
            version: number(&case["notify"][5]),
        };
        let proof = prepared.prove(&claim);
        assert_eq!(proof.header, bytes(&case["header"])[..], "{case}");
        assert_eq!(proof.header, prepared.header(&claim), "{case}");
        assert_eq!(
            proof.header[36..68],
            bytes(&case["merkle_root_header_bytes"])[..],
            "{case}"
        );
        assert_eq!(proof.pow, hash(&case["pow_hash_le"]), "{case}");
        assert_eq!(proof.pow, shown(&case["pow_hash_display"]), "{case}");
        assert_eq!(
            proof.block_hash,
            shown(&case["block_hash_display"]),
            "{case}"
        );
        let txid = prepared.coinbase_txid(&claim);
        assert_eq!(txid, shown(&case["coinbase_txid_display"]), "{case}");
        assert_eq!(txid, sha256d(&prepared.coinbase(&claim)), "{case}");

        let sent = Work::from_difficulty(&case["set_difficulty"].to_string(), unit);
        let target = sent.expect("a difficulty").target(unit);
        assert!(
            proof.value() <= target,
            "the miner met what it was sent: {case}"
        );
        assert_eq!(
            judge(&proof, target, prepared.block_target()),
            Judgement::Block,
            "{case}"
        );
        assert_eq!(
            judge(&proof, target, U256::ZERO),
            Judgement::Share,
            "{case}"
        );
        seen[usize::from(algorithm == Algorithm::Scrypt)] += 1;
    }
    assert_eq!(seen, [3, 3], "three of each algorithm");
}

#[test]
fn rolled_versions_stay_inside_the_mask() {
    let vectors = json(ROLLING);
    let job = job(&vectors["notify"]);
    let prepared = PreparedJob::new(&job, Algorithm::Sha256d).expect("it is built");
    let mut allowed = 0;
    for case in list(&vectors["cases"]) {
        let version = version_of(
            number(&case["job_version"]),
            number(&case["mask"]),
            number(&case["version_bits"]),
        );
        if case["allowed"] == false {
            assert_eq!(version, None, "{case}");
            continue;
        }
        assert_eq!(version, Some(number(&case["final_version"])), "{case}");
        let proof = prepared.prove(&Claim {
            extranonce1: extranonce(&vectors["extranonce1"]),
            extranonce2: extranonce(&vectors["extranonce2"]),
            ntime: job.time,
            nonce: number(&case["nonce"]),
            version: version.expect("it is allowed"),
        });
        assert_eq!(proof.header, bytes(&case["header"])[..], "{case}");
        assert_eq!(proof.pow, shown(&case["hash_display"]), "{case}");
        allowed += 1;
    }
    assert_eq!(allowed, 3);
}

#[test]
fn a_version_without_rolling_is_the_jobs_own_outside_the_mask() {
    for (job, mask, bits, version) in [
        (0x2000_0000, 0, 0, Some(0x2000_0000)),
        (0x2000_0000, 0, 1, None),
        (0x3fff_e004, 0x1fff_e000, 0, Some(0x2000_0004)),
        (0x2000_0000, u32::MAX, 0xffff_ffff, Some(0xffff_ffff)),
    ] {
        assert_eq!(
            version_of(job, mask, bits),
            version,
            "{job:08x} {mask:08x} {bits:08x}"
        );
    }
}
