//! Money rules, 5.3: a block turns into an uncle and back, and its value changes with it. R is what is left after a fee of a
//! tenth; ben has 30 and anna 70 of the window.

use std::collections::BTreeMap;

use crate::table::table;

const FOUND: &str = "policy fee=100000
     g1 job 100
     g1 frame: ben 30, anna 70 finds A";

#[test]
fn an_uncle_is_immature_with_its_own_value_and_available_once_confirmed() {
    table(&format!(
        "{FOUND}
         A seen 80
         = nothing
         A uncle 70
         = anna immature 44.1
         = ben immature 18.9
         = fee 7
         A confirmed 70
         = anna available 44.1
         = ben available 18.9
         = fee 7"
    ));
}

#[test]
fn a_block_that_turns_into_an_uncle_gives_back_the_difference() {
    table(&format!(
        "{FOUND}
         A immature 80
         = anna immature 50.4
         = ben immature 21.6
         = fee 8
         A uncle 70
         = anna immature 44.1
         = ben immature 18.9
         = fee 7
         A confirmed 70
         = anna available 44.1
         = ben available 18.9
         = fee 7"
    ));
}

#[test]
fn an_uncle_that_is_canonical_after_all_gets_the_difference_and_stays_available() {
    table(&format!(
        "{FOUND}
         A uncle 70
         A confirmed 70
         A immature 80
         = anna available 50.4
         = ben available 21.6
         = fee 8
         A confirmed 80
         = anna available 50.4
         = ben available 21.6
         = fee 8"
    ));
}

#[test]
fn an_uncle_has_no_fees_so_what_the_pool_kept_of_them_goes_back_too() {
    // 100 with fees of 20: the pool keeps 20 and a tenth of 80. As an uncle: a tenth of 70.
    table(
        "policy fee=100000 keep=yes
         g1 job 100
         g1 frame: ben 30, anna 70 finds A
         A immature 100 fees=20
         = anna immature 50.4
         = ben immature 21.6
         = fee 28
         A uncle 70
         = anna immature 44.1
         = ben immature 18.9
         = fee 7
         A immature 100 fees=20
         = anna immature 50.4
         = ben immature 21.6
         = fee 28",
    );
}

#[test]
fn an_uncle_at_another_distance_is_worth_what_that_one_is() {
    table(&format!(
        "{FOUND}
         A uncle 70
         A confirmed 70
         A uncle 60
         = anna available 37.8
         = ben available 16.2
         = fee 6
         A confirmed 60
         = anna available 37.8
         = ben available 16.2
         = fee 6"
    ));
}

#[test]
fn an_uncle_that_is_orphaned_after_it_was_confirmed_gives_everything_back() {
    let table = table(&format!(
        "{FOUND}
         A immature 80
         A uncle 70
         A confirmed 70
         A orphaned 70
         = nothing"
    ));
    // Four events made postings: three of the split, three differences, two moves; then the opposite of each.
    assert_eq!(table.postings("A").len(), 16);
}

#[test]
fn a_bonus_follows_the_value_too() {
    // 80: bonus 8, fee 7.2, R 64.8. 70: bonus 7, fee 6.3, R 56.7.
    table(
        "policy fee=100000 bonus=100000
         g1 job 100
         g1 frame: ben 30, anna 70 finds A
         A immature 80
         = anna immature 53.36
         = ben immature 19.44
         = fee 7.2
         A uncle 70
         = anna immature 46.69
         = ben immature 17.01
         = fee 6.3",
    );
}

#[test]
fn an_uncle_that_no_share_explains_is_the_reserves_and_changes_value_there() {
    table(
        "policy
         recovered A
         A uncle 70
         = reserve 70
         A immature 80
         = reserve 80
         A confirmed 80
         = reserve 80
         A orphaned 80
         = nothing",
    );
}

const SEEDS: u64 = 40;
const STATES: [&str; 5] = ["seen", "immature", "uncle", "confirmed", "orphaned"];

/// SplitMix64.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Sub-units by whose they are, available or not.
fn by_owner(books: BTreeMap<String, (bool, u128)>) -> BTreeMap<String, u128> {
    let mut owners = BTreeMap::new();
    for (book, (is_negative, amount)) in books {
        assert!(!is_negative, "nothing was paid out: {book}");
        let owner = book
            .split_once(':')
            .map_or(book.as_str(), |(_, owner)| owner);
        *owners.entry(owner.to_owned()).or_insert(0) += amount;
    }
    owners
}

/// Whatever is said of a block and in whatever order, debits equal credits after each word (the table sees to it), all that
/// stands is the last value, and each has what settling once with that value gives him.
#[test]
fn any_sequence_of_words_ends_like_settling_once_with_the_last() {
    let start = |rules: &str| {
        table(&format!(
            "policy {rules}
             g1 job 100
             g1 frame: ben 31, carl 6, anna 63 finds A
             = nothing"
        ))
    };
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut random = seed;
        let rules = [
            "fee=100000",
            "fee=30000 bonus=7000 keep=yes",
            "bonus=333333",
        ];
        let rules = rules[usize::try_from(seed % 3).expect("an index")];
        let mut live = start(rules);
        let mut last = None;
        for _ in 0..1 + next(&mut random) % 24 {
            let state = STATES[usize::try_from(next(&mut random) % 5).expect("an index")];
            let value = 1 + next(&mut random) % 1_000;
            let fees = next(&mut random) % (value + 1);
            let books = live.then(&format!("A {state} {value} fees={fees}"));
            last = match (state, last) {
                ("orphaned", _) | ("seen", None) => None,
                _ => Some((value, fees)),
            };
            let owners = by_owner(books);
            let all: u128 = owners.values().sum();
            let value = last.map_or(0, |(value, _)| u128::from(value));
            assert_eq!(all, value * 1_000_000_000, "seed {seed}");
            let once = last.map_or_else(BTreeMap::new, |(value, fees)| {
                start(rules).then(&format!("A uncle {value} fees={fees}"))
            });
            assert_eq!(owners, by_owner(once), "seed {seed}");
        }
    }
}
