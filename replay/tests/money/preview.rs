//! A dry run says what the real settlement then does, to the sub-unit.

use orebook_replay::folds::money::{NextBlock, NextPart, SUB_UNITS};

use crate::model::random;
use crate::pool::{FPPS, PPLNS, PPS, PROP, SOLO, named};
use crate::table::{Table, table};

const SEEDS: u64 = 8;

/// Asks for the dry run, then lets it happen, and compares.
#[track_caller]
fn compare(table: &mut Table, name: &str, policy: &str, pot: (&str, orebook_schema::names::Pot)) {
    let next = NextBlock {
        size: table.pool.size(),
        pot: pot.1,
        finder: named("fay"),
        work: 11,
        network_work: 77,
        value: 1_000_003,
        fees: 20_002,
    };
    let said = table.preview(policy, &next);
    table.then(&format!("policy {policy}"));
    table.then("g7 job 77");
    table.then(&format!("g7 frame: fay{} 11 finds {name}", pot.0));
    table.then(&format!("{name} immature 1000003 fees=20002"));
    let credits = table.credits(name).into_iter();
    let mut parts: Vec<NextPart> = credits
        .map(|credit| NextPart {
            account: credit.account,
            weight: credit.weight,
            amount: credit.amount,
            bonus: credit.bonus,
            donation: credit.donation,
        })
        .collect();
    // Rows order shorter names first.
    parts.sort_by(|a, b| a.account.cmp(&b.account));
    assert_eq!(said.parts, parts, "{name}");
    let to = |book: &str| -> u128 {
        let postings = table.postings(name).into_iter();
        let to = postings.filter(|row| row.credit.to_string() == book);
        to.map(|row| row.amount).sum()
    };
    let books = (said.fee, said.rounding, said.reserve);
    assert_eq!(books, (to("fee"), to("rounding"), to("reserve")), "{name}");
    let all: u128 = said.parts.iter().map(|part| part.amount + part.bonus).sum();
    let pools = said.fee + said.rounding + said.reserve;
    assert_eq!(
        (said.whole, all + pools),
        (1_000_003 * SUB_UNITS, said.whole)
    );
}

#[test]
fn a_dry_run_is_what_the_next_settlement_does_in_every_pot_of_random_tables() {
    let policy = "fee=12345 bonus=6789 n=3000000 keep=yes stale=500000";
    for seed in 1_000..1_000 + SEEDS {
        println!("seed {seed}");
        let mut table = table(&random(seed));
        for pot in [
            ("", PPLNS),
            ("@solo", SOLO),
            ("@prop", PROP),
            ("@pps", PPS),
            ("@fpps", FPPS),
        ] {
            compare(&mut table, &format!("Z{}", pot.1.0), policy, pot);
        }
    }
}

#[test]
fn a_dry_run_asks_the_policy_that_is_proposed_and_not_the_one_in_force() {
    let table = table(
        "policy fee=500000
         g1 job 100
         g1 frame: ann 10, bob 20, ann@prop 1
         = nothing",
    );
    let next = |pot| NextBlock {
        size: table.pool.size(),
        pot,
        finder: named("cat"),
        work: 5,
        network_work: 10,
        value: 100,
        fees: 0,
    };
    // N = 25: cat 5, bob 20. Fee 10 of 100.
    let said = table.preview("fee=100000 n=2500000", &next(PPLNS));
    let parts = said
        .parts
        .into_iter()
        .map(|part| (part.weight, part.amount));
    assert_eq!(
        parts.collect::<Vec<_>>(),
        [(20, 72 * SUB_UNITS), (5, 18 * SUB_UNITS)]
    );
    assert_eq!(said.fee, 10 * SUB_UNITS);
    let said = table.preview("fee=100000", &next(PPS));
    assert_eq!((said.parts.len(), said.reserve), (0, 100 * SUB_UNITS));
    // A pot that the policy lacks.
    let said = table.preview("", &next(orebook_schema::names::Pot(9)));
    assert_eq!((said.parts.len(), said.reserve), (0, 100 * SUB_UNITS));
}
