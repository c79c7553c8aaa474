//! Any bytes as a transaction: the stored corpus, which `fuzz/make_corpus.py` wrote, and changed ones, through the entry point of the
//! fuzz target; and the choice of coins, over generated wallets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../fuzz/entry.rs"]
mod entry;

use std::fs;
use std::path::Path;

use entry::fuzz_tx;
use orebook_chain::wallet::bitcoin::{Coin, Outpoint};
use orebook_paymaster::bitcoin::coins::{Choice, ChoiceError, Lock, Replaces, Wish, choose};
use orebook_paymaster::bitcoin::tx::{Output, TxError};
use orebook_schema::Hash;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

/// Inputs of the corpus, by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/tx");
    let files = fs::read_dir(folder).expect("the corpus is checked in");
    let mut inputs: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_stem().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("it is read"))
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn the_corpus_is_read_as_its_names_say() {
    let inputs = corpus();
    assert!(35 <= inputs.len(), "{} inputs, too few", inputs.len());
    for (name, bytes) in inputs {
        let kind = name.split('-').next().unwrap_or_default();
        let expected = match kind {
            "good" => None,
            "short" => Some(TxError::Short),
            "length" => Some(TxError::Length),
            "flags" => Some(TxError::Flags),
            "noinput" => Some(TxError::NoInput),
            "nooutput" => Some(TxError::NoOutput),
            "nowitness" => Some(TxError::NoWitness),
            "trailing" => Some(TxError::Trailing),
            // Found by a fuzzer, and kept.
            "any" => fuzz_tx(&bytes).err(),
            other => panic!("{name}: what is {other}?"),
        };
        assert_eq!(fuzz_tx(&bytes).err(), expected, "{name}");
    }
    let long = vec![0; 400_001];
    let bytes_max = 400_000;
    assert_eq!(fuzz_tx(&long), Err(TxError::TooLong { bytes_max }));
}

#[test]
fn every_prefix_and_every_changed_byte_of_a_transaction_is_read_or_refused() {
    let mut tried = 0;
    for (name, bytes) in corpus() {
        if !name.starts_with("good") || 1_000 < bytes.len() {
            continue;
        }
        for cut in 0..bytes.len() {
            assert!(fuzz_tx(&bytes[..cut]).is_err(), "{name}, cut at {cut}");
        }
        for at in 0..bytes.len() {
            for wrong in [0, 1, 2, 8, 0x80, 0xfc, 0xfd, 0xfe, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = wrong;
                // Either outcome; never a panic, and never a second spelling.
                let _either = fuzz_tx(&changed).is_ok();
                tried += 1;
            }
        }
    }
    assert!(10_000 < tried, "{tried} tried");
}

fn coin(value: u64, number: u64, script: Vec<u8>) -> Coin {
    Coin {
        outpoint: Outpoint {
            txid: Hash::of(&[&number.to_le_bytes()]),
            vout: 0,
        },
        value,
        script,
        confirmations: 100,
        is_coinbase: None,
    }
}

fn script() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<[u8; 20]>().prop_map(|hash| [&[0, 20], hash.as_slice()].concat()),
        any::<[u8; 20]>()
            .prop_map(|hash| [&[0x76, 0xa9, 20], hash.as_slice(), &[0x88, 0xac]].concat()),
        any::<[u8; 20]>().prop_map(|hash| [&[0xa9, 20], hash.as_slice(), &[0x87]].concat()),
        any::<[u8; 32]>().prop_map(|hash| [&[0x51, 32], hash.as_slice()].concat()),
    ]
}

/// What a wallet has and what it is to pay.
#[derive(Clone, Debug)]
struct Case {
    coins: Vec<Coin>,
    pays: Vec<Output>,
    change_script: Vec<u8>,
    must: usize,
    rate: u64,
    rate_least: u64,
    fee_max: u64,
    replaces: Option<Replaces>,
}

fn case() -> impl Strategy<Value = Case> {
    let value = prop_oneof![1..2_000_u64, 1..10_000_000_u64, 1..10_000_000_000_u64];
    let coins = vec((value.clone(), script()), 0..40);
    let pays = vec((value, script()), 1..20);
    let rates = (0..50_000_u64, 0..5_000_u64, 0..200_000_u64);
    let replaces = (any::<bool>(), 0..50_000_u64, 100..2_000_u64, 0..5_000_u64);
    // A wallet that has just about what is paid, and one that has anything.
    let spare = prop_oneof![3 => Just(None), 1 => (0..5_000_u64).prop_map(Some)];
    (coins, pays, script(), 0..3_usize, rates, replaces, spare).prop_map(
        |(
            mut coins,
            mut pays,
            change_script,
            must,
            (rate, rate_least, fee_max),
            replaces,
            spare,
        )| {
            if let Some(spare) = spare {
                coins.truncate(2);
                pays.truncate(1);
                let have: u64 = coins.iter().map(|(value, _)| value).sum();
                pays[0].0 = have.saturating_sub(spare).max(1);
            }
            let coins: Vec<Coin> = (0..)
                .zip(coins)
                .map(|(number, (value, script))| coin(value, number, script))
                .collect();
            let (is_one, fee, vsize, rate_more) = replaces;
            Case {
                must: must.min(coins.len()),
                coins,
                pays: pays
                    .into_iter()
                    .map(|(value, script)| Output { value, script })
                    .collect(),
                change_script,
                rate,
                rate_least,
                fee_max,
                replaces: is_one.then_some(Replaces {
                    fee,
                    vsize,
                    rate_more,
                }),
            }
        },
    )
}

const DUST: u64 = 546;

fn chosen(case: &Case) -> Result<Choice, ChoiceError> {
    let wish = Wish {
        pays: &case.pays,
        change_script: &case.change_script,
        dust: DUST,
        rate: case.rate,
        rate_least: case.rate_least,
        fee_max: case.fee_max,
        replaces: case.replaces,
    };
    choose(&case.coins[..case.must], &case.coins, &wish)
}

/// Virtual bytes at most, counted again, apart from the code that chooses.
fn vsize(case: &Case, choice: &Choice) -> u64 {
    let outputs = case.pays.iter().map(|pay| pay.script.len());
    let change = choice.change.map(|_| case.change_script.len());
    let outputs: usize = outputs.chain(change).map(|script| 9 + script).sum();
    let inputs = choice
        .coins
        .iter()
        .map(|coin| match Lock::of(&coin.script) {
            Some(Lock::Witness) => 272,
            Some(Lock::Nested) => 364,
            Some(Lock::Legacy) | None => 593,
        });
    let weight = 4 * (4 + 4 + 1 + 1 + outputs) + 2 + inputs.sum::<usize>();
    u64::try_from(weight.div_ceil(4)).expect("small")
}

#[test]
fn a_choice_keeps_every_unit_and_spends_no_coin_twice() {
    let mut runner = TestRunner::new(Config::with_cases(6_000));
    let seen = std::cell::Cell::new([0_u32; 4]);
    let outcome = runner.run(&case(), |case| {
        let mut count = seen.get();
        let paid: u64 = case.pays.iter().map(|pay| pay.value).sum();
        match chosen(&case) {
            Ok(choice) => {
                count[usize::from(choice.change.is_some())] += 1;
                let have: u64 = choice.coins.iter().map(|coin| coin.value).sum();
                assert_eq!(have, paid + choice.change.unwrap_or(0) + choice.fee);
                assert!(choice.change.is_none_or(|change| DUST <= change));
                assert!(choice.fee <= case.fee_max);
                let vsize = vsize(&case, &choice);
                assert!(case.rate_least * vsize <= choice.fee * 1_000);
                if let Some(old) = case.replaces {
                    assert!(old.fee * 1_000 + old.rate_more * vsize <= choice.fee * 1_000);
                    assert!(old.fee * vsize < choice.fee * old.vsize, "a higher rate");
                }
                let wished = (case.rate * vsize).div_ceil(1_000).min(case.fee_max);
                assert!(wished <= choice.fee, "{wished} of {}", choice.fee);
                let mut names: Vec<Outpoint> =
                    choice.coins.iter().map(|coin| coin.outpoint).collect();
                assert_eq!(choice.coins[..case.must], case.coins[..case.must]);
                names.sort();
                names.dedup();
                assert_eq!(names.len(), choice.coins.len(), "each coin once");
                // The order in which a node lists coins changes nothing.
                let mut turned = case.clone();
                turned.coins[case.must..].reverse();
                assert_eq!(chosen(&turned), Ok(choice));
            }
            Err(ChoiceError::Funds { need, have }) => {
                count[2] += 1;
                assert!(have < need);
                let is_known = |coin: &&Coin| Lock::of(&coin.script).is_some();
                let must = case.coins[..case.must].iter();
                let others = case.coins[case.must..].iter().filter(is_known);
                let all: u64 = must.chain(others).map(|coin| coin.value).sum();
                assert_eq!(have, all, "all was tried");
            }
            Err(ChoiceError::Fee { least, cap }) => {
                count[3] += 1;
                assert!(cap < least && cap == case.fee_max);
            }
            Err(error) => panic!("{error}"),
        }
        seen.set(count);
        Ok(())
    });
    outcome.expect("every case");
    let seen = seen.get();
    assert!(
        seen.iter().all(|count| 20 < *count),
        "each outcome comes: {seen:?}"
    );
}

#[test]
fn largest_coins_go_first_and_small_change_is_none() {
    let script = [&[0, 20], [9; 20].as_slice()].concat();
    let coins: Vec<Coin> = (0..)
        .zip([5_000, 100_000, 70_000, 100_000])
        .map(|(number, value)| coin(value, number, script.clone()))
        .collect();
    let mut equal = [coins[1].clone(), coins[3].clone()];
    equal.sort_by_key(|coin| coin.outpoint);
    let choice = |amount: u64| {
        let pays = [Output {
            value: amount,
            script: script.clone(),
        }];
        let wish = Wish {
            pays: &pays,
            change_script: &script,
            dust: DUST,
            rate: 1_000,
            rate_least: 1_000,
            fee_max: 2_000,
            replaces: None,
        };
        choose(&[], &coins, &wish)
    };
    // One input and two outputs are 141 virtual bytes, without change 110.
    let table = [
        (90_000, Ok((1, Some(100_000 - 90_000 - 141), 141))),
        (100_000 - 141 - 546, Ok((1, Some(546), 141))),
        (100_000 - 141 - 545, Ok((1, None, 141 + 545))),
        (100_000 - 110, Ok((1, None, 110))),
        (100_000 - 109, Ok((2, Some(200_000 - 99_891 - 209), 209))),
        (240_000, Ok((3, Some(270_000 - 240_000 - 277), 277))),
        (275_000 - 314, Ok((4, None, 314))),
        (
            275_000 - 313,
            Err(ChoiceError::Funds {
                need: 275_001,
                have: 275_000,
            }),
        ),
    ];
    for (amount, expected) in table {
        let found = choice(amount);
        if let Ok(found) = &found {
            let first = &equal[..found.coins.len().min(2)];
            assert_eq!(&found.coins[..first.len()], first, "{amount}");
        }
        let found = found.map(|one| (one.coins.len(), one.change, one.fee));
        assert_eq!(found, expected, "{amount}");
    }
}
