//! Vectors of other programs: what they sign and name, these bytes must be.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use orebook_chain::address::{Network, parse};
use orebook_chain::hash::parse_shown;
use orebook_chain::wallet::bitcoin::{BitcoinNode, Coin, Outpoint};
use orebook_chain::{Credentials, RpcConfig};
use orebook_schema::Account;
use orebook_schema::names::Script;
use orebook_schema::units::{hex, unhex};

use super::coins::Lock;
use super::key::{KEY_FILE_BYTES_MAX, Key, KeyError};
use super::sign::{Common, SignError, sign, witness_digest};
use super::tx::{Input, Output, Tx};
use super::{BitcoinConfig, BitcoinWallet, SetupError};
use crate::wallet::Wallet as _;

/// BIP143, "Native P2WPKH": the second input is the one; the first is signed by somebody else.
const BIP143_UNSIGNED: &str = "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffff\
    ef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99\
    f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000";
const BIP143_SIGNED: &str = "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221\
    008b9d1dc26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4\
    cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976\
    a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac00024730\
    4402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f3358f51928d43c212a8c\
    aed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000";
const BIP143_KEY: &str = "619c335025c7f4012e556c2a58b2506e30b8511b53ade95ea316fd8c3286feb9";
const BIP143_DIGEST: &str = "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670";

/// bitcoinjs-lib, test/integration/transactions.js, "can create a 1-to-1 Transaction": P2PKH, signed after RFC 6979.
const LEGACY_KEY: &str = "L1uyy5qTuGrVXrmrsvHWHgVzW9kKdrp27wBC7Vs6nZDTF2BRUVwy";
const LEGACY_SIGNED: &str = "01000000019d344070eac3fe6e394a16d06d7704a7d5c0a10eb2a2c16bc98842b7cc20d561000000006b48304502210088\
    828c0bdfcdca68d8ae0caeb6ec62cd3fd5f9b2191848edae33feb533df35d302202e0beadd35e17e7f83a733f5277028a9b453d525553e3f5d2d7a7aa801\
    0a81d60121029f50f51d63b345039a290c94bffd3180c99ed659ff6ea6b1242bca47eb93b59fffffffff01e02e0000000000001976a91406afd46bcdfd22\
    ef94ac122aa11f241244a37ecc88ac00000000";

/// The first payment between two people, in block 170 of Bitcoin.
const FIRST: &str = "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932\
    b8af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d0901\
    ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c21c1\
    b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482ecad7b148a6909a5c\
    b2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000";

fn bytes(text: &str) -> Vec<u8> {
    unhex(text).expect("hex")
}

#[test]
fn known_transactions_have_their_names_and_their_bytes() {
    let raw = bytes(FIRST);
    let tx = Tx::read(&raw).expect("a transaction");
    assert_eq!(hex(&tx.bytes()), hex(&raw));
    let name = "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16";
    assert_eq!(Some(tx.txid()), parse_shown(name));
    assert_eq!((tx.weight(), tx.vsize()), (4 * raw.len(), raw.len()));

    // The name does not hang on the witnesses, and their bytes weigh a quarter.
    let raw = bytes(BIP143_SIGNED);
    let tx = Tx::read(&raw).expect("a transaction");
    assert_eq!(hex(&tx.bytes()), hex(&raw));
    let mut bare = tx.clone();
    for input in &mut bare.inputs {
        input.witness.clear();
    }
    assert_eq!(tx.txid(), bare.txid());
    assert_eq!(tx.weight(), 3 * bare.bytes().len() + raw.len());
    assert_eq!(hex(&bare.unsigned().bytes()), hex(&bytes(BIP143_UNSIGNED)));
}

#[test]
fn a_coin_of_a_segwit_address_is_signed_as_bip143_says() {
    let unsigned = Tx::read(&bytes(BIP143_UNSIGNED)).expect("a transaction");
    let signed = Tx::read(&bytes(BIP143_SIGNED)).expect("a transaction");
    let key = Key::parse(BIP143_KEY.as_bytes()).expect("a key");
    let script = "00141d0f172a0ecb48aeda4e3eb3f06ab0c2fb4a7ec1";
    let digest = witness_digest(
        &unsigned,
        1,
        &Common::of(&unsigned),
        &key.legacy_script(),
        600_000_000,
    );
    assert_eq!(hex(&key.witness_script()).len(), script.len());
    assert_eq!(hex(&digest), BIP143_DIGEST);
    let witness = vec![key.sign(&digest).expect("signed"), key.public().to_vec()];
    assert_eq!(witness, signed.inputs[1].witness);
    // The coin of the other key is refused, and so are coins in another order.
    let coins: Vec<Coin> = unsigned
        .inputs
        .iter()
        .map(|input| coin(input.outpoint, 600_000_000, &key.witness_script()))
        .collect();
    let ours = sign(&unsigned, &coins, &key).expect("signed");
    assert_eq!(ours.inputs[1].witness, signed.inputs[1].witness);
    let stranger = [coins[0].clone(), coin(coins[1].outpoint, 1, &[0x51])];
    assert_eq!(sign(&unsigned, &stranger, &key), Err(SignError::Stranger));
    let swapped = [coins[1].clone(), coins[0].clone()];
    assert_eq!(sign(&unsigned, &swapped, &key), Err(SignError::Inputs));
    assert_eq!(sign(&unsigned, &coins[..1], &key), Err(SignError::Inputs));
}

fn coin(outpoint: Outpoint, value: u64, script: &[u8]) -> Coin {
    Coin {
        outpoint,
        value,
        script: script.to_vec(),
        confirmations: 1,
        is_coinbase: Some(false),
    }
}

#[test]
fn a_coin_of_an_old_address_is_signed_as_it_always_was() {
    let key = Key::parse(LEGACY_KEY.as_bytes()).expect("a key");
    let txid = parse_shown("61d520ccb74288c96bc1a2b20ea1c0d5a704776dd0164a396efec3ea7040349d");
    let outpoint = Outpoint {
        txid: txid.expect("a hash"),
        vout: 0,
    };
    let payee = parse("1cMh228HTCiwS8ZsaakH8A8wze1JR5ZsP", Network::Bitcoin).expect("an address");
    let unsigned = Tx {
        version: 1,
        inputs: vec![Input {
            outpoint,
            script_sig: Vec::new(),
            sequence: u32::MAX,
            witness: Vec::new(),
        }],
        outputs: vec![Output {
            value: 12_000,
            script: payee.bytes().to_vec(),
        }],
        ends_extension: false,
        locktime: 0,
    };
    let coin = coin(outpoint, 15_000, &key.legacy_script());
    let signed = sign(&unsigned, &[coin], &key).expect("signed");
    assert_eq!(hex(&signed.bytes()), hex(&bytes(LEGACY_SIGNED)));
}

#[test]
fn inputs_are_never_heavier_than_they_are_counted() {
    let key = Key::parse(BIP143_KEY.as_bytes()).expect("a key");
    for script in [key.witness_script(), key.legacy_script()] {
        let lock = Lock::of(&script).expect("a lock");
        let mut heaviest = 0;
        for value in 0..200 {
            let outpoint = Outpoint::of(value);
            let output = Output {
                value,
                script: script.clone(),
            };
            let input = Input {
                outpoint,
                script_sig: Vec::new(),
                sequence: super::SEQUENCE,
                witness: Vec::new(),
            };
            let unsigned = Tx {
                version: 2,
                inputs: vec![input],
                outputs: vec![output],
                ends_extension: false,
                locktime: 0,
            };
            let signed = sign(&unsigned, &[coin(outpoint, value, &script)], &key).expect("signed");
            // Beside the input: version, lock time, counts and the output, and the mark of witnesses.
            let beside = 4 * (4 + 4 + 1 + 1 + 8 + 1 + script.len()) + 2;
            heaviest =
                heaviest.max(signed.weight() - beside + 2 * usize::from(lock == Lock::Legacy));
        }
        let counted = usize::try_from(lock.input_weight()).expect("small");
        // Signatures of the lower half have 71 or 72 bytes with their mark; an old input alone has no empty witness.
        let empty = usize::from(lock == Lock::Legacy);
        assert_eq!(counted, heaviest + empty, "{lock:?}");
    }
}

trait OfNumber {
    fn of(number: u64) -> Self;
}

impl OfNumber for Outpoint {
    fn of(number: u64) -> Self {
        Self {
            txid: orebook_schema::Hash::of(&[&number.to_le_bytes()]),
            vout: 0,
        }
    }
}

#[test]
fn keys_are_read_in_two_forms_and_from_files_of_their_owner_only() {
    // BIP178's and the Bitcoin wiki's example: one key as WIF, compressed and not.
    let hex_key = "0c28fca386c7a227600b2fe50b7cae11ec86d3bf1fbe471be89827e19d72aa1d";
    let wif = "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617";
    let public = "02d0de0aaeaefad02b8bdc8a01a1b8b11c696bd3d66a2c5f10780d95b7df42645c";
    for text in [hex_key, wif, &hex_key.to_uppercase()] {
        let key = Key::parse(text.as_bytes()).expect("a key");
        assert_eq!(hex(key.public()), public);
        assert_eq!(format!("{key:?}"), "Key(held)");
    }
    let table = [
        ("", KeyError::Form),
        (
            "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
            KeyError::Uncompressed,
        ),
        (
            "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98618",
            KeyError::Checksum,
        ),
        ("1cMh228HTCiwS8ZsaakH8A8wze1JR5ZsP", KeyError::Form),
        (&"0".repeat(64), KeyError::Range),
        (
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
            KeyError::Range,
        ),
        (&"g".repeat(64), KeyError::Form),
        (&"1".repeat(63), KeyError::Checksum),
        (&"z".repeat(KEY_FILE_BYTES_MAX), KeyError::Checksum),
    ];
    for (text, error) in table {
        assert_eq!(Key::parse(text.as_bytes()).err(), Some(error), "{text}");
        assert!(text.is_empty() || !error.to_string().contains(text));
    }

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hot.key");
    let files = [
        (format!("{wif}\n"), 0o600, None),
        (format!("{wif}\n"), 0o400, None),
        (format!("{wif}\n"), 0o640, Some(KeyError::Permissions)),
        (format!("{wif}\n"), 0o604, Some(KeyError::Permissions)),
        (
            format!("{wif}{}", " ".repeat(KEY_FILE_BYTES_MAX)),
            0o600,
            Some(KeyError::TooLong),
        ),
        (format!("{wif} {wif}"), 0o600, Some(KeyError::Form)),
    ];
    for (text, mode, error) in files {
        fs::write(&path, &text).expect("it is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        assert_eq!(
            Key::read(&path).err(),
            error,
            "{mode:o}, {} bytes",
            text.len()
        );
        fs::remove_file(&path).expect("it goes");
    }
    let none = Key::read(&path).err();
    assert_eq!(
        none,
        Some(KeyError::Unreadable(std::io::ErrorKind::NotFound))
    );
    assert_eq!(
        Key::read(folder.path()).err(),
        Some(KeyError::Permissions),
        "a folder"
    );
}

#[test]
fn a_wallet_is_set_up_with_the_address_of_its_key_and_pays_addresses_of_its_chain() {
    let key = || Key::parse(BIP143_KEY.as_bytes()).expect("a key");
    let hash = [5; 20].as_slice();
    let stranger = [&[0, 20], hash].concat();
    let nested = [&[0xa9, 20], hash, &[0x87]].concat();
    let taproot = [&[0x51, 32], [5; 32].as_slice()].concat();
    let (own, old) = (key().witness_script(), key().legacy_script());
    let set_up = |network, script: &[u8], key, change: fn(&mut BitcoinConfig)| {
        let mut config = BitcoinConfig::new(network, Script::new(script).expect("a script"));
        change(&mut config);
        let rpc = RpcConfig::new("127.0.0.1:1".to_owned(), Credentials::new("u", "p"), false);
        let node = BitcoinNode::new(rpc, None).expect("a node");
        BitcoinWallet::new(config, key, node)
    };
    let (main, evm) = (Network::Litecoin, Network::EthereumClassic);
    let table = [
        (set_up(main, &own, Some(key()), |_| {}), None),
        (set_up(main, &old, Some(key()), |_| {}), None),
        (set_up(main, &own, None, |_| {}), None),
        (set_up(main, &stranger, None, |_| {}), None),
        (set_up(main, &nested, None, |_| {}), None),
        (
            set_up(main, &stranger, Some(key()), |_| {}),
            Some(SetupError::OtherKey),
        ),
        (
            set_up(main, &nested, Some(key()), |_| {}),
            Some(SetupError::Script),
        ),
        (
            set_up(main, &taproot, None, |_| {}),
            Some(SetupError::Script),
        ),
        (
            set_up(main, &[0x6a], None, |_| {}),
            Some(SetupError::Script),
        ),
        (
            set_up(evm, &own, Some(key()), |_| {}),
            Some(SetupError::Network(evm)),
        ),
        (
            set_up(main, &own, None, |config| config.fee_max = 0),
            Some(SetupError::Zero("the highest fee")),
        ),
    ];
    for (line, (made, error)) in table.into_iter().enumerate() {
        assert_eq!(made.err(), error, "line {line}");
    }
    let wallet = set_up(main, &own, Some(key()), |_| {}).expect("a wallet");
    let account = |script: &[u8]| Account::Script(Script::new(script).expect("a script"));
    for script in [&own, &old, &nested, &taproot] {
        assert!(wallet.accepts(&account(script)), "{}", hex(script));
    }
    assert!(!wallet.accepts(&account(&[0x6a])) && !wallet.accepts(&Account::Evm([1; 20])));
    assert_eq!(wallet.divide(0), []);
    assert!(wallet.divide(3).iter().eq(std::iter::once(&(0..3))));
    assert!(
        !format!("{wallet:?}").contains(&BIP143_KEY[..8]),
        "no key is shown"
    );
}
