//! Messages that others signed. Bitcoin-likes and compact signatures: a second implementation in Python, written from SEC 1 and BIP137
//! alone, with one key for all forms; BIP322: the BIP's own vectors and Bitcoin Core's (`src/test/util_tests.cpp`); Ethereum: the
//! example of web3.js' documentation (`eth.accounts.sign`). A real litecoind signs in `litecoind.rs`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_chain::address::{Network, account};
use orebook_chain::signed::{SIGNATURE_CHARS_MAX, SignedError, TEXT_BYTES_MAX, verify};
use orebook_schema::Account;
use orebook_schema::names::{RegisteredName, Script};
use orebook_schema::units::unhex;

const TEXT: &str = "Orebook says: sign here\nand a second line";
/// RIPEMD-160 of SHA-256 of the key in 33 bytes, in 65, and of the P2WPKH script of the first.
const SHORT: &str = "ade1b0f6314f55fc03a94ff689acad7e06b2aaef";
const LONG: &str = "1a15615a8817bd383258bf3e3f1fe03a71d2f77d";
const NESTED: &str = "1d3cc1010cb9f2bfe8ee5a4f42d33b6620bc4158";

/// By network: the signature with header 27 to 30, then the same with 31, 35 and 39, then with the larger s and 31.
const COMPACT: [(Network, [&str; 5]); 3] = [
    (
        Network::Bitcoin,
        [
            "G3oFQzc87NfFDijApZVZ/9qXY2cVbQccUKFNSrdKgdKvNAed+AG9sYloMopZwnTTDKd35IwejS2IdOtI4g2zuSk=",
            "H3oFQzc87NfFDijApZVZ/9qXY2cVbQccUKFNSrdKgdKvNAed+AG9sYloMopZwnTTDKd35IwejS2IdOtI4g2zuSk=",
            "I3oFQzc87NfFDijApZVZ/9qXY2cVbQccUKFNSrdKgdKvNAed+AG9sYloMopZwnTTDKd35IwejS2IdOtI4g2zuSk=",
            "J3oFQzc87NfFDijApZVZ/9qXY2cVbQccUKFNSrdKgdKvNAed+AG9sYloMopZwnTTDKd35IwejS2IdOtI4g2zuSk=",
            "IHoFQzc87NfFDijApZVZ/9qXY2cVbQccUKFNSrdKgdKvy/hiB/5CTnaXzXWmPYss8hM2+FqQu3KzSucVqsKCiBg=",
        ],
    ),
    (
        Network::Litecoin,
        [
            "HOyp5MxAr2lAQpbktbfnT8/QUnAH/mDb7P2fFRLVPN48IoB00owIT90Id3htK8CgXuawK0bt2C5HJLkXdTwGm+U=",
            "IOyp5MxAr2lAQpbktbfnT8/QUnAH/mDb7P2fFRLVPN48IoB00owIT90Id3htK8CgXuawK0bt2C5HJLkXdTwGm+U=",
            "JOyp5MxAr2lAQpbktbfnT8/QUnAH/mDb7P2fFRLVPN48IoB00owIT90Id3htK8CgXuawK0bt2C5HJLkXdTwGm+U=",
            "KOyp5MxAr2lAQpbktbfnT8/QUnAH/mDb7P2fFRLVPN48IoB00owIT90Id3htK8CgXuawK0bt2C5HJLkXdTwGm+U=",
            "H+yp5MxAr2lAQpbktbfnT8/QUnAH/mDb7P2fFRLVPN483X+LLXP3sCL3iIeS1D9fn9P+sZ/BcHH0mxlHF5QvpVw=",
        ],
    ),
    (
        Network::Verium,
        [
            "HCfSW03n6QHHgjrCDnreJ7e9lSNpUq1QSjrp+LDLXj3nTOamocu2DqUKHDNxyNmyZoFVW13QN4QN9nYbnRzQQh0=",
            "ICfSW03n6QHHgjrCDnreJ7e9lSNpUq1QSjrp+LDLXj3nTOamocu2DqUKHDNxyNmyZoFVW13QN4QN9nYbnRzQQh0=",
            "JCfSW03n6QHHgjrCDnreJ7e9lSNpUq1QSjrp+LDLXj3nTOamocu2DqUKHDNxyNmyZoFVW13QN4QN9nYbnRzQQh0=",
            "KCfSW03n6QHHgjrCDnreJ7e9lSNpUq1QSjrp+LDLXj3nTOamocu2DqUKHDNxyNmyZoFVW13QN4QN9nYbnRzQQh0=",
            "HyfSW03n6QHHgjrCDnreJ7e9lSNpUq1QSjrp+LDLXj3nsxlZXjRJ8Vr148yONyZNmDlZgYjfERwtyVxC77Nl/yQ=",
        ],
    ),
];

const BIP322_KEY_HASH: &str = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l";
const BIP322_TAPROOT: &str = "bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3";
/// Address, text, signature.
const BIP322: [(&str, &str, &str); 5] = [
    (
        BIP322_KEY_HASH,
        "",
        "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
    ),
    (
        BIP322_KEY_HASH,
        "",
        "AkgwRQIhAPkJ1Q4oYS0htvyuSFHLxRQpFAY56b70UvE7Dxazen0ZAiAtZfFz1S6T6I23MWI2lK/pcNTWncuyL8UL+oMdydVgzAEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy",
    ),
    (
        BIP322_KEY_HASH,
        "Hello World",
        "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
    ),
    (
        BIP322_KEY_HASH,
        "Hello World",
        "smpAkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
    ),
    (
        BIP322_TAPROOT,
        "Hello World",
        "AUHd69PrJQEv+oKTfZ8l+WROBHuy9HKrbFCJu7U1iK2iiEy1vMU5EfMtjc+VSHM7aU0SDbak5IUZRVno2P5mjSafAQ==",
    ),
];

const EVM: &str = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23";
const EVM_R: &str = "b91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd";
const EVM_S: &str = "6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a029";
/// The group's order less the above.
const EVM_S_LARGER: &str = "9ff818b327d1fc847ffe79bdd03d25e83e3a5df66962ceb160751b8bd754a118";

fn script(front: &str, hash: &str, back: &str) -> Account {
    let bytes = unhex(&format!("{front}{hash}{back}")).expect("hex");
    Account::Script(Script::new(&bytes).expect("a script"))
}

fn key_hash(hash: &str) -> Account {
    script("76a914", hash, "88ac")
}

#[test]
fn each_form_of_a_compact_signature_is_of_the_kinds_of_address_that_it_names() {
    for (network, signatures) in COMPACT {
        let kinds = [
            key_hash(LONG),
            key_hash(SHORT),
            script("0014", SHORT, ""),
            script("a914", NESTED, "87"),
        ];
        // By header: which of the four kinds of address it signs for.
        let expected = [
            [true, false, false, false],
            [false, true, true, true],
            [false, false, false, true],
            [false, false, true, false],
            [false, true, true, true],
        ];
        for (signature, expected) in signatures.iter().zip(expected) {
            for (kind, holds) in kinds.iter().zip(expected) {
                let answer = verify(kind, network, TEXT, signature);
                let wanted = if holds {
                    Ok(())
                } else {
                    Err(SignedError::Wrong)
                };
                assert_eq!(answer, wanted, "{network} {kind} {signature}");
            }
        }
    }
}

#[test]
fn another_text_another_coins_magic_and_another_address_are_refused() {
    let (network, [_, signature, ..]) = COMPACT[0];
    let account = key_hash(SHORT);
    let wrong = Err(SignedError::Wrong);
    assert_eq!(verify(&account, network, TEXT, signature), Ok(()));
    assert_eq!(
        verify(&account, network, &format!("{TEXT} "), signature),
        wrong
    );
    assert_eq!(verify(&account, Network::Litecoin, TEXT, signature), wrong);
    assert_eq!(verify(&key_hash(NESTED), network, TEXT, signature), wrong);
    // The development chain and the test networks have Bitcoin's.
    for network in [Network::Development, Network::BitcoinRegtest] {
        assert_eq!(verify(&account, network, TEXT, signature), Ok(()));
    }
}

#[test]
fn a_text_of_more_than_252_bytes_has_a_longer_length() {
    let signature =
        "IGntw3G6iSCuR0Ea0y+hrI5wO0vkzqIknDfNBoAUMIVFYnKGsGqUgjxUx46IYjoQrhCpqq17EjcmGWQ2IHoziZw=";
    let text = "x".repeat(300);
    let account = key_hash(SHORT);
    assert_eq!(verify(&account, Network::Bitcoin, &text, signature), Ok(()));
    let shorter = &text[..299];
    let answer = verify(&account, Network::Bitcoin, shorter, signature);
    assert_eq!(answer, Err(SignedError::Wrong));
}

#[test]
fn witnesses_of_bip322_hold_for_their_text_and_address_only() {
    for (address, text, signature) in BIP322 {
        let known = account(address, Network::Bitcoin).expect("an address");
        let holds =
            |account: &Account, text: &str| verify(account, Network::Bitcoin, text, signature);
        assert_eq!(holds(&known, text), Ok(()), "{address} {text:?}");
        let other = format!("{text} - this should fail");
        assert_eq!(holds(&known, &other), Err(SignedError::Wrong), "{address}");
        assert!(
            holds(&script("0014", SHORT, ""), text).is_err(),
            "{address}"
        );
        assert_eq!(
            holds(&key_hash(SHORT), text),
            Err(SignedError::Form),
            "{address}: the simple form is not of such an address"
        );
    }
}

#[test]
fn an_ethereum_like_address_signs_with_each_spelling_of_the_last_byte_and_with_either_s() {
    let address = account(EVM, Network::EthereumClassic).expect("an address");
    for (s, last, expected) in [
        (EVM_S, "1c", Ok(())),
        (EVM_S, "01", Ok(())),
        (EVM_S, "1b", Err(SignedError::Wrong)),
        (EVM_S, "00", Err(SignedError::Wrong)),
        (EVM_S_LARGER, "1b", Ok(())),
        (EVM_S_LARGER, "00", Ok(())),
        (EVM_S_LARGER, "1c", Err(SignedError::Wrong)),
        (EVM_S, "1d", Err(SignedError::Form)),
        (EVM_S, "25", Err(SignedError::Form)),
        (EVM_S, "", Err(SignedError::Form)),
    ] {
        for front in ["0x", ""] {
            let signature = format!("{front}{EVM_R}{s}{last}");
            for network in [Network::EthereumClassic, Network::Expanse] {
                let answer = verify(&address, network, "Some data", &signature);
                assert_eq!(answer, expected, "{signature}");
            }
        }
    }
    let signature = format!("0x{EVM_R}{EVM_S}1c");
    let answer = verify(&address, Network::EthereumClassic, "Some dat", &signature);
    assert_eq!(answer, Err(SignedError::Wrong));
    let other = account(
        "0x00000000000000000000000000000000000000aa",
        Network::Expanse,
    );
    let answer = verify(
        &other.expect("one"),
        Network::Expanse,
        "Some data",
        &signature,
    );
    assert_eq!(answer, Err(SignedError::Wrong));
}

#[test]
fn what_is_no_signature_or_too_long_is_refused_by_its_kind() {
    let (_, [_, good, ..]) = COMPACT[0];
    let ours = key_hash(SHORT);
    let script_hash = script("0020", &"07".repeat(32), "");
    let name = RegisteredName::parse("anna")
        .map(Account::Name)
        .expect("a name");
    let long = "A".repeat(SIGNATURE_CHARS_MAX + 1);
    let zero = format!("H{}=", "A".repeat(86));
    for (account, signature, expected) in [
        (&name, good, SignedError::Name),
        (&ours, "", SignedError::Length),
        (&ours, &long, SignedError::Length),
        (&ours, "no signature", SignedError::Form),
        (&ours, "AAAA", SignedError::Form),
        (&ours, &good[..84], SignedError::Form),
        (&ours, &zero, SignedError::Wrong),
        (&script_hash, good, SignedError::NoKey),
    ] {
        let answer = verify(account, Network::Bitcoin, TEXT, signature);
        assert_eq!(answer, Err(expected), "{account} {signature}");
    }
    let text = "x".repeat(TEXT_BYTES_MAX + 1);
    let answer = verify(&ours, Network::Bitcoin, &text, good);
    assert_eq!(answer, Err(SignedError::Text));
}

#[test]
fn no_changed_byte_of_a_signature_holds() {
    let evm = format!("0x{EVM_R}{EVM_S}1c");
    let evm_account = account(EVM, Network::EthereumClassic).expect("an address");
    let mut all = vec![(evm_account, Network::EthereumClassic, "Some data", evm)];
    for (address, text, signature) in BIP322 {
        let known = account(address, Network::Bitcoin).expect("an address");
        all.push((known, Network::Bitcoin, text, signature.to_owned()));
    }
    for (network, [_, signature, ..]) in COMPACT {
        all.push((key_hash(SHORT), network, TEXT, signature.to_owned()));
    }
    for (account, network, text, signature) in all {
        assert_eq!(verify(&account, network, text, &signature), Ok(()));
        let begin = if signature.starts_with("smp") { 3 } else { 0 };
        for at in begin..signature.len() {
            let mut changed = signature.clone().into_bytes();
            changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(changed).expect("ASCII");
            let answer = verify(&account, network, text, &changed);
            assert!(answer.is_err(), "byte {at} of {signature}");
        }
    }
}
