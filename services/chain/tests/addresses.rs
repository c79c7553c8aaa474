//! Addresses of every network: known ones, every spelling, every mistake.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_chain::address::{AddressError, Network, account, parse, show, show_account};
use orebook_schema::Account;
use orebook_schema::units::{hex, unhex};
use proptest::prelude::*;

/// Addresses that others published (BIP173, BIP350, the genesis block's key, wallets' documentation) with their scripts.
const KNOWN: [(Network, &str, &str); 8] = [
    (
        Network::Bitcoin,
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "0014751e76e8199196d454941c45d1b3a323f1433bd6",
    ),
    (
        Network::BitcoinTest,
        "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
    ),
    (
        Network::Bitcoin,
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
    (
        Network::Bitcoin,
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac",
    ),
    (
        Network::Bitcoin,
        "3P14159f73E4gFr7JterCCQh9QjiTjiZrG",
        "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87",
    ),
    (
        Network::BitcoinTest,
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
        "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac",
    ),
    (
        Network::BitcoinTest,
        "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc",
        "a9144e9f39ca4688ff102128ea4ccda34105324305b087",
    ),
    (
        Network::Litecoin,
        "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
        "0014751e76e8199196d454941c45d1b3a323f1433bd6",
    ),
];

const KEY_HASH: &str = "76a914751e76e8199196d454941c45d1b3a323f1433bd688ac";
const SCRIPT_HASH: &str = "a914751e76e8199196d454941c45d1b3a323f1433bd687";

fn script(text: &str, network: Network) -> Result<String, AddressError> {
    parse(text, network).map(|script| hex(script.bytes()))
}

#[test]
fn known_addresses_have_their_scripts_and_are_shown_again() {
    for (network, address, expected) in KNOWN {
        assert_eq!(
            script(address, network).as_deref(),
            Ok(expected),
            "{address}"
        );
        let shown = show(&unhex(expected).expect("hex"), network);
        assert_eq!(shown.as_deref(), Some(address));
    }
}

#[test]
fn every_spelling_is_one_script() {
    let upper = "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4";
    assert_eq!(
        script(upper, Network::Bitcoin),
        script(&upper.to_ascii_lowercase(), Network::Bitcoin)
    );
    // Litecoin's script hashes have a new and an old spelling; the new one is shown.
    let new = show(&unhex(SCRIPT_HASH).expect("hex"), Network::Litecoin).expect("an address");
    let old = show(&unhex(SCRIPT_HASH).expect("hex"), Network::Bitcoin).expect("an address");
    assert!(new.starts_with('M') && old.starts_with('3'), "{new} {old}");
    assert_eq!(script(&new, Network::Litecoin).as_deref(), Ok(SCRIPT_HASH));
    assert_eq!(script(&old, Network::Litecoin).as_deref(), Ok(SCRIPT_HASH));
    let key = show(&unhex(KEY_HASH).expect("hex"), Network::Litecoin).expect("an address");
    assert!(key.starts_with('L'), "{key}");
}

#[test]
fn mistakes_are_named() {
    use AddressError::{
        Checksum, Length, MixedCase, Mweb, OtherNetwork, ProgramLength, Unknown, WitnessVersion,
    };
    let bitcoin = Network::Bitcoin;
    let other = |of| OtherNetwork { of, pool: bitcoin };
    let long = "1".repeat(91);
    let table = [
        ("", Length),
        (long.as_str(), Length),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", Checksum),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t", Checksum),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3tb", Checksum),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3T4", MixedCase),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", Checksum),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf0O", Unknown(bitcoin)),
        ("not an address", Unknown(bitcoin)),
        ("worker1", Unknown(bitcoin)),
        ("😀", Unknown(bitcoin)),
        // BIP350's invalid ones: version 0 with bech32m, version 1 with bech32, other versions and lengths.
        (
            "bc1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
            Checksum,
        ),
        (
            "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
            Checksum,
        ),
        ("BC1SW50QGDZ25J", WitnessVersion(16)),
        ("bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", WitnessVersion(2)),
        (
            "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
            ProgramLength,
        ),
        ("BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", ProgramLength),
        (
            "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
            other(Network::Litecoin),
        ),
        (
            "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
            other(Network::BitcoinTest),
        ),
        ("ltcmweb1qqdqv8m", Mweb),
        ("LTCMWEB1QQDQV8M", Mweb),
    ];
    for (text, expected) in table {
        assert_eq!(script(text, bitcoin), Err(expected), "{text}");
    }
}

#[test]
fn the_wrong_network_is_said_in_words() {
    let error = parse(
        "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
        Network::Bitcoin,
    )
    .expect_err("another network");
    assert_eq!(
        error.to_string(),
        "a Litecoin address; this pool mines Bitcoin"
    );
    let error = parse("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Network::Development)
        .expect_err("another network");
    assert_eq!(
        error.to_string(),
        "a Bitcoin address; this pool mines the development chain"
    );
}

/// EIP-55's own examples.
const CHECKSUMMED: [&str; 8] = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
];

#[test]
fn an_ethash_like_has_one_account_for_every_spelling_and_shows_the_checksum() {
    for network in Network::ALL.into_iter().filter(|one| one.is_evm()) {
        for address in CHECKSUMMED {
            let read = account(address, network).expect("an address");
            let Account::Evm(bytes) = read else {
                panic!("{address} is {read:?}");
            };
            assert_eq!(hex(&bytes), address[2..].to_ascii_lowercase());
            assert_eq!(show_account(&read, network).as_deref(), Some(address));
            let digits = &address[2..];
            for other in [
                address.to_ascii_lowercase(),
                digits.to_owned(),
                format!("0x{}", digits.to_ascii_uppercase()),
                format!("0X{}", digits.to_ascii_uppercase()),
            ] {
                assert_eq!(account(&other, network), Ok(read.clone()), "{other}");
            }
        }
    }
    let script = account(
        "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
        Network::Litecoin,
    );
    let script = script.expect("an address");
    assert_eq!(show_account(&script, Network::EthereumClassic), None);
    let evm = Account::Evm([1; 20]);
    assert_eq!(show_account(&evm, Network::Litecoin), None);
}

#[test]
fn what_is_wrong_with_an_address_is_said_in_words() {
    let good = CHECKSUMMED[4];
    let (etc, verium) = (Network::EthereumClassic, Network::Verium);
    let long = format!("{good}0");
    let verium_key = show(&unhex(KEY_HASH).expect("hex"), verium).expect("an address");
    assert!(verium_key.starts_with('V'), "{verium_key}");
    let zero = format!("0x{}", "0".repeat(40));
    let bech32 = show(
        &unhex("0014751e76e8199196d454941c45d1b3a323f1433bd6").expect("hex"),
        verium,
    );
    let bech32 = bech32.expect("an address");
    assert!(bech32.starts_with("vry1"), "{bech32}");
    for (network, text, says) in [
        (
            etc,
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed",
            "wrong checksum: a character or its case",
        ),
        (
            etc,
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee",
            "wrong checksum",
        ),
        (
            etc,
            &good[..41],
            "this is no address of Ethereum Classic: give 0x and 40 hex digits",
        ),
        (etc, &long, "40 hex digits"),
        (etc, "", "40 hex digits"),
        (etc, "0x", "40 hex digits"),
        (etc, "0xzz", "40 hex digits"),
        (etc, "rig1", "40 hex digits"),
        (etc, &zero, "the zero address belongs to nobody"),
        (
            etc,
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "a Bitcoin address; this pool mines Ethereum Classic",
        ),
        (
            etc,
            "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
            "a Litecoin address; this pool mines Ethereum Classic",
        ),
        (
            etc,
            &verium_key,
            "a Verium address; this pool mines Ethereum Classic",
        ),
        (
            Network::Litecoin,
            good,
            "an address of an Ethereum-like chain; this pool mines Litecoin",
        ),
        (
            verium,
            good,
            "an Ethereum-like chain; this pool mines Verium",
        ),
        (
            verium,
            "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
            "a Litecoin address; this pool mines Verium",
        ),
        (
            verium,
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
            "a Bitcoin address; this pool mines Verium",
        ),
        (
            Network::Litecoin,
            &verium_key,
            "a Verium address; this pool mines Litecoin",
        ),
        (
            Network::Bitcoin,
            &bech32,
            "a Verium address; this pool mines Bitcoin",
        ),
    ] {
        let refused = account(text, network).expect_err(text);
        assert!(refused.to_string().contains(says), "{text}: {refused}");
    }
    for address in [verium_key, bech32] {
        let read = account(&address, verium).expect("its own");
        assert_eq!(show_account(&read, verium), Some(address));
    }
}

#[test]
fn scripts_without_an_address_are_not_shown() {
    for text in [
        "",
        "51",
        "6a",
        "0014",
        "0015751e76e8199196d454941c45d1b3a323f1433bd600",
        "5114751e76e8199196d454941c45d1b3a323f1433bd6",
    ] {
        for network in Network::ALL {
            assert_eq!(show(&unhex(text).expect("hex"), network), None, "{text}");
        }
    }
    assert_eq!(
        show(&unhex(KEY_HASH).expect("hex"), Network::Development),
        None,
        "it has SegWit only"
    );
}

#[test]
fn networks_have_names() {
    for network in Network::ALL {
        assert_eq!(Network::parse(network.name()), Some(network));
    }
    assert_eq!(Network::parse("Bitcoin"), None);
}

/// Any script of the five kinds.
fn any_script() -> impl Strategy<Value = Vec<u8>> {
    let (short, long) = (any::<[u8; 20]>(), any::<[u8; 32]>());
    (0..5, short, long).prop_map(|(kind, short, long)| match kind {
        0 => [&[0x76, 0xa9, 20], short.as_slice(), &[0x88, 0xac]].concat(),
        1 => [&[0xa9, 20], short.as_slice(), &[0x87]].concat(),
        2 => [&[0, 20], short.as_slice()].concat(),
        3 => [&[0, 32], long.as_slice()].concat(),
        _ => [&[0x51, 32], long.as_slice()].concat(),
    })
}

proptest! {
    #[test]
    fn what_is_shown_is_read_again(script in any_script()) {
        for network in Network::ALL {
            if let Some(address) = show(&script, network) {
                let read = parse(&address, network).expect("our own address");
                prop_assert_eq!(read.bytes(), script.as_slice());
            } else {
                prop_assert!(network == Network::Development || network.is_evm());
            }
        }
    }

    #[test]
    fn one_changed_character_is_never_another_script(script in any_script(), at in 0..90_usize, to in "[ -~]") {
        let network = Network::Litecoin;
        let address = show(&script, network).expect("an address");
        let at = at % address.len();
        let mut changed = address.clone();
        changed.replace_range(at..=at, &to);
        if let Ok(read) = parse(&changed, network) {
            prop_assert_eq!(read.bytes(), script.as_slice(), "{} read as {}", address, changed);
        }
    }

    #[test]
    fn an_address_of_an_ethash_like_is_shown_and_read_again(bytes in any::<[u8; 20]>(), at in 0..40_usize) {
        let evm = Account::Evm(bytes);
        let address = show_account(&evm, Network::Expanse).expect("an address");
        prop_assert_eq!(account(&address, Network::Expanse), Ok(evm.clone()));
        // Another case of a letter is no longer the checksum, unless one case is left.
        let mut changed = address.clone().into_bytes();
        changed[2 + at] ^= if changed[2 + at].is_ascii_alphabetic() { 0x20 } else { 0 };
        let changed = String::from_utf8(changed).expect("ASCII");
        let is_mixed = changed[2..].bytes().any(|b| b.is_ascii_lowercase())
            && changed[2..].bytes().any(|b| b.is_ascii_uppercase());
        prop_assert_eq!(account(&changed, Network::Expanse).is_ok(), changed == address || !is_mixed);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,100}") {
        for network in Network::ALL {
            let _read = (parse(&text, network), account(&text, network));
        }
    }
}
