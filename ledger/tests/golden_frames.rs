//! The golden frames of `schema/golden/` through signer, tree and admission; and signatures by the strict rules of section 1.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../../schema/tests/golden/page.rs"]
mod page;

use std::collections::BTreeMap;

use orebook_ledger::admit::{AdmitError, History, State, Verdict};
use orebook_ledger::authority::thing_digest;
use orebook_ledger::build::{Cut, build_frame, genesis_frame};
use orebook_ledger::sign::{Signer, verify, verify_approval, verify_checkpoint};
use orebook_ledger::tree::{events_root, leaf_hash, root_of};
use orebook_schema::bytes::DecodeError;
use orebook_schema::event::RawEvent;
use orebook_schema::frame::{FRAME_DOMAIN, SIGNED_BYTES};
use orebook_schema::summary::Summary;
use orebook_schema::units::{hex, unhex};
use orebook_schema::{Event, Frame, Hash, Key, LedgerId, StreamId};
use page::{case, cases};

const FRAMES: [(&str, u8, u64); 3] = [
    ("genesis", 1, 1_750_000_000_005),
    ("checkpoint", 3, 1_750_000_001_003),
    ("gateway", 2, 1_750_000_002_950),
];

fn frame(name: &str) -> Frame {
    Frame::read(case("frame.hex", name)).unwrap()
}

fn ledger() -> LedgerId {
    frame("genesis").header().ledger
}

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32])
}

fn golden_hash(name: &str) -> Hash {
    Hash(case("tree.hex", name).try_into().unwrap())
}

fn event(page: &str, index: usize) -> Event {
    let case = cases(page).swap_remove(index);
    RawEvent::one(&case.bytes).unwrap().decode().unwrap()
}

#[test]
fn golden_signatures_are_right_and_what_the_signer_makes() {
    for (name, seed, _) in FRAMES {
        let frame = frame(name);
        let (header, signer) = (frame.header(), signer(seed));
        let signed = &frame.header_bytes()[..SIGNED_BYTES];
        assert_eq!(signer.key(), header.key, "{name}");
        assert!(
            verify(&header.key, FRAME_DOMAIN, signed, &header.signature),
            "{name}"
        );
        assert_eq!(
            hex(&signer.sign(FRAME_DOMAIN, signed)),
            hex(&header.signature),
            "{name}"
        );
        assert!(!verify(
            &header.key,
            b"orebook/frame/1\n",
            signed,
            &header.signature
        ));
        for byte in 0..SIGNED_BYTES {
            let mut changed = signed.to_vec();
            changed[byte] ^= 1;
            assert!(
                !verify(&header.key, FRAME_DOMAIN, &changed, &header.signature),
                "{byte}"
            );
        }
    }
}

#[test]
fn the_golden_approval_is_of_the_golden_key_change() {
    let Event::Approval(approval) = event("approval.hex", 0) else {
        panic!("an approval");
    };
    let thing = event("key_change.hex", 0);
    assert_eq!(approval.thing, thing_digest(ledger(), &thing));
    assert_eq!(approval.approver, signer(17).key());
    assert!(verify_approval(
        &approval.approver,
        ledger(),
        &approval.thing,
        &approval.signature
    ));
    assert_eq!(
        signer(17).sign_approval(ledger(), &approval.thing),
        approval.signature
    );
    let other = LedgerId([0; 16]);
    assert!(!verify_approval(
        &approval.approver,
        other,
        &approval.thing,
        &approval.signature
    ));
}

#[test]
fn the_golden_checkpoint_is_the_archiver_s() {
    let Event::Checkpoint(head) = event("checkpoint.hex", 0) else {
        panic!("a checkpoint");
    };
    let archiver = signer(3);
    assert!(verify_checkpoint(
        &archiver.key(),
        ledger(),
        head.size,
        &head.root,
        &head.signature
    ));
    assert_eq!(
        archiver.sign_checkpoint(ledger(), head.size, &head.root),
        head.signature
    );
    let smaller = head.size - 1;
    assert!(!verify_checkpoint(
        &archiver.key(),
        ledger(),
        smaller,
        &head.root,
        &head.signature
    ));
}

#[test]
fn golden_roots_and_leaves_are_those_of_the_tree() {
    let mut leaves = Vec::new();
    for (position, (name, _, ledger_time)) in (0..).zip(FRAMES) {
        let frame = frame(name);
        assert_eq!(
            events_root(frame.body()),
            frame.header().events_root,
            "{name}"
        );
        let leaf = leaf_hash(&frame.leaf_entry(position, ledger_time));
        assert_eq!(
            leaf,
            golden_hash(&format!("leaf hash {position}")),
            "{name}"
        );
        assert_eq!(
            root_of(leaves.clone()),
            golden_hash(&format!("root of size {position}"))
        );
        leaves.push(leaf);
    }
    assert_eq!(root_of(leaves), golden_hash("root of size 3"));
}

struct Nothing;

impl History for Nothing {
    fn header_hash(&self, _: StreamId, _: u64) -> Result<Option<Hash>, AdmitError> {
        Ok(None)
    }

    fn event(&self, _: StreamId, _: u64) -> Result<Option<Vec<u8>>, AdmitError> {
        Ok(None)
    }
}

#[test]
fn the_golden_frames_are_admitted_one_after_another() {
    let mut state = State::new(ledger());
    for (position, (name, _, append_time)) in (0..).zip(FRAMES) {
        let bytes = case("frame.hex", name);
        let (verdict, _) = state.admit(&Nothing, append_time, bytes).unwrap();
        let Verdict::Admitted(admitted) = verdict else {
            panic!("{name}: {verdict:?}");
        };
        assert_eq!(
            (admitted.position, admitted.ledger_time),
            (position, append_time),
            "{name}"
        );
        assert_eq!(admitted.obeyed, (name == "checkpoint").then_some(1));
    }
    assert_eq!(state.root(), golden_hash("root of size 3"));
    assert_eq!((state.size(), state.final_size()), (3, 1));
}

fn cut<'a>(frame: &'a Frame, summary: &'a Summary) -> Cut<'a> {
    let header = frame.header();
    Cut {
        ledger: header.ledger,
        coin: header.coin,
        stream: header.stream,
        epoch: header.epoch,
        first_seq: header.first_seq,
        base_time: header.base_time,
        previous: header.previous,
        schema_set: header.schema_set,
        summary,
        body: frame.body(),
    }
}

#[test]
fn producers_build_the_golden_frames() {
    for (name, seed, _) in FRAMES {
        let golden = frame(name);
        let summary = Summary::read(golden.summary()).unwrap();
        let built = build_frame(&cut(&golden, &summary), &signer(seed)).unwrap();
        assert_eq!(hex(built.bytes()), hex(golden.bytes()), "{name}");
    }
    let golden = frame("genesis");
    let Event::Genesis(genesis) = golden.decode().unwrap().swap_remove(0) else {
        panic!("genesis");
    };
    let header = golden.header();
    let built = genesis_frame(&genesis, header.stream, header.base_time, &signer(1)).unwrap();
    assert_eq!(built, golden);
}

#[test]
fn frames_that_nobody_would_read_are_not_built() {
    let golden = frame("gateway");
    let summary = Summary::default();
    let at_times = |dts: &[u32]| -> Vec<u8> {
        dts.iter()
            .flat_map(|dt| Event::Heartbeat.to_bytes(*dt))
            .collect()
    };
    let build = |body: &[u8], base_time| {
        let cut = Cut {
            body,
            base_time,
            ..cut(&golden, &summary)
        };
        build_frame(&cut, &signer(2)).map(|frame| frame.header().last_time)
    };
    assert_eq!(build(&at_times(&[0, 4, 4, 9]), 100), Ok(109));
    assert_eq!(
        build(&at_times(&[5, 4]), 100),
        Err(DecodeError::Order("event times"))
    );
    assert_eq!(build(&at_times(&[5]), u64::MAX - 5), Ok(u64::MAX));
    assert!(
        build(&at_times(&[6]), u64::MAX - 5).is_err(),
        "a time after the last"
    );
    assert!(build(&[], 100).is_err(), "no event");
    assert!(build(&at_times(&[0])[..7], 100).is_err(), "half an event");
    assert!(build(&at_times(&[0; 1_000]), 100).is_ok());
    assert!(
        build(&at_times(&[0; 1_001]), 100).is_err(),
        "too many events"
    );
}

fn bytes64(text: &str) -> [u8; 64] {
    unhex(text).unwrap().try_into().unwrap()
}

/// RFC 8032, 7.1: secret key, public key, message, signature of tests 1 to 3.
const RFC_8032: [(&str, &str, &str, &str); 3] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
];

#[test]
fn the_rfc_s_own_vectors_come_out() {
    for (secret, public, message, signature) in RFC_8032 {
        let signer = Signer::from_seed(&unhex(secret).unwrap().try_into().unwrap());
        let message = unhex(message).unwrap();
        assert_eq!(signer.key().to_string(), public);
        assert_eq!(hex(&signer.sign(b"", &message)), signature);
        assert!(verify(
            &Key::parse(public).unwrap(),
            b"",
            &message,
            &bytes64(signature)
        ));
        // The domain and the message are one text.
        assert!(verify(
            &Key::parse(public).unwrap(),
            &message,
            b"",
            &bytes64(signature)
        ));
    }
}

/// The group's order L, little-endian.
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

#[test]
fn a_signature_with_s_of_l_or_more_is_refused() {
    let (_, public, message, signature) = RFC_8032[1];
    let (key, message) = (Key::parse(public).unwrap(), unhex(message).unwrap());
    let order = unhex(ORDER).unwrap();
    let mut malleable = bytes64(signature);
    let mut carry = 0_u16;
    for (byte, add) in malleable[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert!(!verify(&key, b"", &message, &malleable), "S + L");
    let mut high = bytes64(signature);
    high[63] |= 0xe0;
    assert!(!verify(&key, b"", &message, &high));
}

/// Encodings of points of small order, and of y ≥ p that name such points.
const SMALL_ORDER: [&str; 14] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

#[test]
fn keys_and_nonces_of_small_order_are_refused() {
    let mut by_key = BTreeMap::new();
    for key in SMALL_ORDER {
        for nonce in SMALL_ORDER {
            // With S = 0 such a signature holds for some messages by the equation alone.
            let signature = bytes64(&format!("{nonce}{}", "00".repeat(32)));
            let key = Key::parse(key).unwrap();
            for message in 0..16_u8 {
                let holds = verify(&key, b"", &[message], &signature);
                *by_key.entry(holds).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(by_key, BTreeMap::from([(false, 14 * 14 * 16)]));
    let (_, public, message, signature) = RFC_8032[1];
    let (key, message) = (Key::parse(public).unwrap(), unhex(message).unwrap());
    for nonce in SMALL_ORDER {
        let mut other = bytes64(signature);
        other[..32].copy_from_slice(&unhex(nonce).unwrap());
        assert!(!verify(&key, b"", &message, &other), "{nonce}");
    }
}
