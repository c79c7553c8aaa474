//! RLP, transactions and keys of EVM wallets: published vectors, properties, and the corpus of the fuzz target.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../fuzz/evm_entry.rs"]
mod entry;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use orebook_paymaster::evm::rlp::{Items, List, RLP_BYTES_MAX, RlpError};
use orebook_paymaster::evm::{CHAIN_ID_MAX, EvmKey, Fees, KeyError, Proof, Tx, TxError};
use orebook_schema::units::{Hash, hex, unhex};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    unhex(text)
        .and_then(|bytes| bytes.try_into().ok())
        .expect("hex of that length")
}

fn vectors() -> Vec<Value> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/evm_transactions.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the vectors")).expect("JSON")
}

fn tx_of(vector: &Value) -> Tx {
    let number = |name: &str| -> Option<u128> { vector[name].as_str()?.parse().ok() };
    let short = |name: &str| vector[name].as_u64().expect("a number");
    let fees = match (number("price"), number("max"), number("priority")) {
        (Some(price), None, None) => Fees::Legacy { price },
        (None, Some(max), Some(priority)) => Fees::Market { max, priority },
        other => panic!("fees are {other:?}"),
    };
    Tx {
        chain_id: short("chain_id"),
        nonce: short("nonce"),
        fees,
        gas: short("gas"),
        to: bytes(vector["to"].as_str().expect("hex")),
        value: number("value").expect("a number"),
    }
}

#[test]
fn published_transactions_are_signed_and_read_to_the_byte() {
    let (mut signed, mut senders) = (0, 0);
    for vector in vectors() {
        let source = &vector["source"];
        let (tx, raw) = (
            tx_of(&vector),
            unhex(vector["raw"].as_str().expect("hex")).expect("hex"),
        );
        let read = Tx::read(&raw).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(read.tx, tx, "{source}");
        assert_eq!(tx.raw(&read.proof), raw, "{source}");
        if let Some(digest) = vector["digest"].as_str() {
            assert_eq!(tx.digest().to_string(), digest, "{source}");
        }
        if let Some(hash) = vector["hash"].as_str() {
            assert_eq!(read.hash.to_string(), hash, "{source}");
        }
        if let Some(sender) = vector["sender"].as_str() {
            assert_eq!(hex(&read.sender), sender, "{source}");
            senders += 1;
        }
        if let Some(key) = vector["key"].as_str() {
            let key = EvmKey::new(&bytes(key)).expect("a key");
            assert_eq!(read.sender, key.address(), "{source}");
            assert_eq!(hex(&tx.sign(&key)), hex(&raw), "{source}");
            signed += 1;
        }
    }
    assert_eq!((signed, senders), (12, 11));
}

/// The examples of ethereum.org's page on RLP.
#[test]
fn rlp_is_that_of_its_specification() {
    let lorem = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit";
    let none = List::new();
    let one = List::new().list(&none);
    let three = List::new()
        .list(&none)
        .list(&one)
        .list(&List::new().list(&none).list(&one));
    let mut long = vec![0xf8, 58, 0xb8, 56];
    long.extend(lorem);
    // A list around each, since only lists are written whole.
    for (list, coded) in [
        (List::new().bytes(b"dog"), &b"\xc4\x83dog"[..]),
        (
            List::new().bytes(b"cat").bytes(b"dog"),
            b"\xc8\x83cat\x83dog",
        ),
        (List::new().bytes(b""), b"\xc1\x80"),
        (List::new(), b"\xc0"),
        (List::new().number(0), b"\xc1\x80"),
        (List::new().bytes(&[0]), b"\xc1\x00"),
        (List::new().number(15), b"\xc1\x0f"),
        (List::new().number(1024), b"\xc3\x82\x04\x00"),
        (three, b"\xc7\xc0\xc1\xc0\xc3\xc0\xc1\xc0"),
        (List::new().bytes(lorem), &long),
    ] {
        assert_eq!(hex(&list.to_bytes()), hex(coded));
        assert!(Items::of_list(coded).is_ok(), "{}", hex(coded));
    }
}

#[test]
fn another_spelling_of_a_value_is_refused() {
    let read = |text: &str| {
        let bytes = unhex(text).expect("hex");
        let mut items = Items::of_list(&bytes)?;
        items.number64()?;
        items.end()
    };
    for (text, expected) in [
        ("c0", Err(RlpError::End)),
        ("c180", Ok(())),
        ("c101", Ok(())),
        ("c100", Err(RlpError::Spelling)),
        ("c28101", Err(RlpError::Spelling)),
        ("c28180", Ok(())),
        ("c3820001", Err(RlpError::Spelling)),
        ("c988ffffffffffffffff", Ok(())),
        ("ca89ffffffffffffffffff", Err(RlpError::Size)),
        ("c1c0", Err(RlpError::Kind)),
        ("c20101", Err(RlpError::Trailing)),
        ("c10101", Err(RlpError::Trailing)),
        ("c201", Err(RlpError::End)),
        ("c182", Err(RlpError::End)),
        ("80", Err(RlpError::Kind)),
        ("", Err(RlpError::End)),
        ("f80101", Err(RlpError::Spelling)),
        ("f9000101", Err(RlpError::Spelling)),
        ("f8", Err(RlpError::End)),
        ("ffffffffffffffffff", Err(RlpError::End)),
        ("c8b8", Err(RlpError::End)),
        ("c3b80101", Err(RlpError::Spelling)),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    let mut big = vec![0; RLP_BYTES_MAX + 1];
    big[0] = 0xc0;
    assert_eq!(Items::of_list(&big).err(), Some(RlpError::TooLong));
}

#[derive(Clone, Debug)]
enum Item {
    Bytes(Vec<u8>),
    Number(u128),
    List(Vec<Item>),
}

fn written(items: &[Item]) -> List {
    items.iter().fold(List::new(), |list, item| match item {
        Item::Bytes(bytes) => list.bytes(bytes),
        Item::Number(number) => list.number(*number),
        Item::List(inner) => list.list(&written(inner)),
    })
}

fn read_back(items: &[Item], mut from: Items<'_>) {
    for item in items {
        match item {
            Item::Bytes(bytes) => assert_eq!(from.bytes(), Ok(bytes.as_slice())),
            Item::Number(number) => assert_eq!(from.number(), Ok(*number)),
            Item::List(inner) => read_back(inner, from.list().expect("a list")),
        }
    }
    assert_eq!(from.end(), Ok(()));
}

#[test]
fn what_is_written_is_read_back_and_no_shorter_input_is() {
    let leaf = prop_oneof![
        vec(any::<u8>(), 0..70).prop_map(Item::Bytes),
        any::<u128>().prop_map(Item::Number),
        (0..300_u128).prop_map(Item::Number),
        Just(Item::Bytes(vec![7; 300])),
    ];
    let item = leaf.prop_recursive(3, 24, 6, |inner| vec(inner, 0..6).prop_map(Item::List));
    let mut runner = TestRunner::new(Config {
        cases: 256,
        failure_persistence: None,
        ..Config::default()
    });
    let told = runner.run(&vec(item, 0..6), |items| {
        let coded = written(&items).to_bytes();
        read_back(&items, Items::of_list(&coded).expect("a list"));
        for len in 0..coded.len() {
            assert!(Items::of_list(&coded[..len]).is_err());
        }
        Ok(())
    });
    told.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_payment_is_read_back_and_a_changed_byte_is_never_of_the_same_wallet() {
    let fees = prop_oneof![
        any::<u128>().prop_map(|price| Fees::Legacy { price }),
        any::<(u128, u128)>().prop_map(|(a, b)| Fees::Market {
            max: a.max(b),
            priority: a.min(b)
        }),
    ];
    let chain = prop_oneof![1..100_u64, 1..=CHAIN_ID_MAX, Just(CHAIN_ID_MAX)];
    let parts = (
        any::<[u8; 32]>(),
        chain,
        any::<(u64, u64)>(),
        fees,
        any::<[u8; 20]>(),
        any::<u128>(),
    );
    let mut runner = TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    });
    let told = runner.run(&(parts, any::<(usize, u8)>()), |(parts, (at, change))| {
        let (secret, chain_id, (nonce, gas), fees, to, value) = parts;
        let key = EvmKey::new(&secret).expect("nearly every number is a key");
        let tx = Tx {
            chain_id,
            nonce,
            fees,
            gas,
            to,
            value,
        };
        let raw = tx.sign(&key);
        let read = Tx::read(&raw).expect("a payment");
        assert_eq!((read.tx, read.sender), (tx, key.address()));
        assert_eq!(tx.sign(&key), raw, "signing knows no chance");
        let mut other = raw.clone();
        let at = at % other.len();
        other[at] ^= change.max(1);
        entry::fuzz_raw(&other);
        assert_ne!(
            Tx::read(&other).map(|signed| signed.sender),
            Ok(key.address())
        );
        Ok(())
    });
    told.unwrap_or_else(|error| panic!("{error}"));
}

/// What a node would take, but no payment of ours is.
#[test]
fn more_than_a_payment_is_refused() {
    let key = EvmKey::new(&[7; 32]).expect("a key");
    let fields = |v: u128, to: &[u8], data: &[u8]| {
        let list = List::new()
            .number(1)
            .number(2)
            .number(21_000)
            .bytes(to)
            .number(3)
            .bytes(data);
        list.number(v).number(5).number(6).to_bytes()
    };
    let market = |chain: u128, priority: u128, max: u128, access: &List, is_odd: u128| {
        let list = List::new()
            .number(chain)
            .number(0)
            .number(priority)
            .number(max)
            .number(21_000);
        let list = list
            .bytes(&[9; 20])
            .number(3)
            .bytes(&[])
            .list(access)
            .number(is_odd);
        let mut raw = vec![2];
        raw.extend(list.number(5).number(6).to_bytes());
        raw
    };
    let none = List::new();
    let high: [u8; 32] = bytes("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1");
    let low: [u8; 32] = bytes("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0");
    let tx = Tx {
        chain_id: 1,
        nonce: 1,
        fees: Fees::Legacy { price: 2 },
        gas: 21_000,
        to: [9; 20],
        value: 3,
    };
    let halves = |s| {
        tx.raw(&Proof {
            is_odd: false,
            r: key.sign(&Hash([1; 32])).r,
            s,
        })
    };
    for (raw, expected) in [
        (fields(37, &[9; 20], &[]), None),
        (fields(37, &[9; 20], &[1]), Some(TxError::Payload)),
        // A contract's making, and no address at all.
        (fields(37, &[], &[]), Some(TxError::Rlp(RlpError::Size))),
        (
            fields(37, &[9; 21], &[]),
            Some(TxError::Rlp(RlpError::Size)),
        ),
        // Signatures without a chain (before EIP-155), and none at all.
        (fields(27, &[9; 20], &[]), Some(TxError::Chain)),
        (fields(28, &[9; 20], &[]), Some(TxError::Chain)),
        (fields(35, &[9; 20], &[]), Some(TxError::Chain)),
        (fields(0, &[9; 20], &[]), Some(TxError::Chain)),
        (market(1, 1, 1, &none, 0), None),
        (market(1, 1, 1, &none, 2), Some(TxError::Signature)),
        (market(0, 1, 1, &none, 0), Some(TxError::Chain)),
        (
            market(u128::from(CHAIN_ID_MAX) + 1, 1, 1, &none, 0),
            Some(TxError::Chain),
        ),
        (market(1, 2, 1, &none, 0), Some(TxError::Fees)),
        (
            market(1, 1, 1, &List::new().list(&none), 0),
            Some(TxError::Payload),
        ),
        (vec![1, 0xc0], Some(TxError::Type)),
        (vec![], Some(TxError::Type)),
        (halves(low), None),
        // The other half of the order is forbidden (EIP-2), zero is no number of a signature.
        (halves(high), Some(TxError::Signature)),
        (halves([0; 32]), Some(TxError::Signature)),
    ] {
        let read = Tx::read(&raw);
        if expected.is_some() {
            assert_eq!(read.err(), expected, "{}", hex(&raw));
        } else {
            // Some numbers are no point's; then the signature is none, and nothing else is wrong.
            assert!(matches!(read, Ok(_) | Err(TxError::Signature)), "{read:?}");
        }
    }
}

#[test]
fn the_corpus_is_judged_as_its_names_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/evm");
    let files = fs::read_dir(folder).expect("the corpus is checked in");
    let mut count = 0;
    for file in files {
        let path = file.expect("a file").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let judged = entry::fuzz_raw(&fs::read(&path).expect("read"));
        let expected = name.split('-').next().expect("a word");
        assert!(
            expected == "any" || expected == judged,
            "{name} is {judged}"
        );
        count += 1;
    }
    assert!(100 <= count, "{count} inputs");
}

#[test]
fn a_key_is_read_unless_others_may_read_it_and_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hot.key");
    let digits = "46".repeat(32);
    let read = |text: &str, mode: u32| {
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        EvmKey::read(&path)
    };
    for (text, mode) in [
        (digits.clone(), 0o600),
        (format!("{digits}\n"), 0o400),
        (format!("{digits}\r\n"), 0o600),
        (digits.to_uppercase(), 0o600),
    ] {
        let key = read(&text, mode).expect("a key");
        assert_eq!(
            hex(&key.address()),
            "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"
        );
        let shown = format!("{key:?}");
        assert_eq!(
            shown,
            "EvmKey(of 0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f)"
        );
        fs::remove_file(&path).expect("gone");
    }
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    for text in [
        "",
        "\n",
        &digits[1..],
        &digits[2..],
        &format!("{digits}\n\n"),
        &format!("{digits}0"),
        &format!(" {digits}"),
        &format!("0x{digits}"),
        &format!("{}g", &digits[1..]),
        &"0".repeat(64),
        order,
        &digits.repeat(100),
    ] {
        let error = read(text, 0o600).expect_err("no key");
        assert!(matches!(error, KeyError::Text), "{text:?}: {error}");
        let (shown, told) = (format!("{error:?}"), error.to_string());
        assert!(!shown.contains("4646") && !told.contains("4646"));
    }
    for mode in [0o640, 0o604, 0o660, 0o601, 0o777] {
        let error = read(&digits, mode).expect_err("others may read it");
        assert!(
            matches!(error, KeyError::Mode(told) if told == mode),
            "{error}"
        );
    }
    fs::remove_file(&path).expect("gone");
    assert!(matches!(EvmKey::read(&path), Err(KeyError::Io(_))));
}
