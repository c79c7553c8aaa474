//! The pure rules as tables: whom a batch pays, which blocks it cites, what a sight calls for, what digests come to.

use orebook_paymaster::decide::{Act, Depths, Known, Said, decide, is_grave};
use orebook_paymaster::digests::{Agreement, Answer, compare};
use orebook_paymaster::plan::{Bounds, Confirmed, Draft, Nobody, Owed, Plan, Told, cited};
use orebook_paymaster::wallet::Sight;
use orebook_replay::folds::money::payouts::TxState;
use orebook_schema::Hash;
use orebook_schema::payout::Step;
use orebook_schema::policy::NetworkFees;
use proptest::prelude::*;

use crate::setup::account;

type Amounts = &'static [u128];

fn owed(amounts: &[u128]) -> Vec<Owed> {
    let of = |(name, amount): (u16, &u128)| Owed {
        account: account(name),
        address: account(name),
        amount: *amount,
    };
    (0..).zip(amounts).map(of).collect()
}

const fn bounds(fees: NetworkFees) -> Bounds {
    Bounds {
        lines_max: 1_000,
        batch_max: 1_000_000,
        day_left: 1_000_000,
        spendable: 1_000_000,
        dust: 5,
        fees,
    }
}

/// The plan if the fee is so much for each line.
fn plan(amounts: &[u128], bounds: Bounds, fee: impl Fn(usize) -> u128) -> Result<Plan, Nobody> {
    let mut draft = Draft::choose(owed(amounts), bounds)?;
    loop {
        let lines = draft.pays().len();
        draft = match draft.with_fee(fee(lines)) {
            Told::Done(plan) => return Ok(plan),
            Told::Again(draft) => {
                assert!(draft.pays().len() < lines, "each time there are fewer");
                draft
            }
            Told::Nobody(why) => return Err(why),
        };
    }
}

/// (amount, fee) of each line.
fn lines(plan: &Plan) -> Vec<(u128, u128)> {
    let lines = plan.lines.iter();
    lines.map(|line| (line.amount, line.fee)).collect()
}

/// Amount and fee of each line.
type Lines = &'static [(u128, u128)];

#[test]
fn miners_bear_the_fee_as_rules_8_3_say() {
    let miner = bounds(NetworkFees::Miner);
    let table: [(Amounts, u128, Lines); 4] = [
        (&[29, 19, 6], 10, &[(29, 5), (19, 5)]),
        (&[29, 19, 6], 11, &[(29, 5), (19, 5)]),
        (&[29, 19, 6], 0, &[(29, 0), (19, 0), (6, 0)]),
        (&[29, 11, 9], 15, &[(29, 15)]),
    ];
    for (amounts, fee, expected) in table {
        let plan = plan(amounts, miner, |_| fee).unwrap();
        assert_eq!(lines(&plan), expected, "{amounts:?} with {fee}");
        assert_eq!(plan.fee, fee);
        assert_eq!(plan.total, expected.iter().map(|it| it.0).sum::<u128>());
    }
    assert_eq!(plan(&[29, 19, 6], miner, |_| 1_000), Err(Nobody::Fee));
}

#[test]
fn the_pool_bears_it_and_what_does_not_fit_waits() {
    let pool = bounds(NetworkFees::Pool);
    let with = |change: fn(&mut Bounds)| {
        let mut bounds = pool;
        change(&mut bounds);
        bounds
    };
    type Found = Result<Amounts, Nobody>;
    let table: [(&str, Bounds, Found); 9] = [
        ("all", pool, Ok(&[100, 50, 70])),
        ("two lines", with(|it| it.lines_max = 2), Ok(&[100, 70])),
        ("a batch", with(|it| it.batch_max = 155), Ok(&[100, 50])),
        ("a small batch", with(|it| it.batch_max = 60), Ok(&[50])),
        ("a day", with(|it| it.day_left = 40), Err(Nobody::DayLimit)),
        (
            "a tiny batch",
            with(|it| it.batch_max = 9),
            Err(Nobody::BatchLimit),
        ),
        ("funds and fee", with(|it| it.spendable = 175), Ok(&[100])),
        ("no funds", with(|it| it.spendable = 52), Err(Nobody::Funds)),
        ("dust", with(|it| it.dust = 101), Err(Nobody::Due)),
    ];
    for (what, bounds, expected) in table {
        let found = plan(&[100, 50, 70, 3], bounds, |lines| 3 * lines as u128);
        let found = found.map(|plan| plan.lines.iter().map(|it| it.amount).collect::<Vec<_>>());
        assert_eq!(found, expected.map(<[u128]>::to_vec), "{what}");
    }
}

proptest! {
    #[test]
    fn a_plan_ends_and_keeps_every_bound(
        amounts in prop::collection::vec(0u128..500, 0..30),
        fee in 0u128..40,
        each in 0u128..20,
        miner: bool,
        lines_max in 1usize..20,
        batch_max in 0u128..3_000,
        spendable in 0u128..3_000,
    ) {
        let bounds = Bounds {
            lines_max,
            batch_max,
            spendable,
            ..bounds(if miner { NetworkFees::Miner } else { NetworkFees::Pool })
        };
        if let Ok(plan) = plan(&amounts, bounds, |lines| fee + each * lines as u128) {
            prop_assert!(!plan.lines.is_empty() && plan.lines.len() <= lines_max);
            prop_assert!(plan.lines.is_sorted_by(|a, b| a.account < b.account));
            prop_assert!(plan.total <= batch_max);
            let count = plan.lines.len() as u128;
            let share = if miner { plan.fee / count } else { 0 };
            let arrives = plan.lines.iter().map(|line| line.amount - line.fee);
            prop_assert!(plan.lines.iter().all(|line| line.fee == share));
            prop_assert!(arrives.clone().all(|amount| 5 <= amount));
            prop_assert!(arrives.sum::<u128>() + plan.fee <= spendable);
        }
    }
}

#[test]
fn a_batch_cites_what_may_still_stop_being_confirmed() {
    let block = |height: u64, is_new| Confirmed {
        hash: Hash::of(&[&height.to_le_bytes()]),
        height,
        is_new,
    };
    // At height 1,000 with a depth of 100: new ones, and those above 800.
    let blocks = [
        block(900, false),
        block(801, false),
        block(800, false),
        block(700, true),
        block(600, false),
    ];
    let found = cited(&blocks, 1_000, 100);
    let mut expected = vec![blocks[0].hash, blocks[1].hash, blocks[3].hash];
    expected.sort_unstable();
    assert_eq!(found, expected);
    let many: Vec<_> = (0..2_000).rev().map(|height| block(height, true)).collect();
    let found = cited(&many, 2_000, 100);
    assert_eq!(found.len(), 1_024);
    assert!(found.contains(&many[0].hash) && !found.contains(&many[1_024].hash));
}

const DEPTHS: Depths = Depths { paid: 2, last: 4 };

#[test]
fn what_a_sight_calls_for() {
    use TxState::{Broadcast, Confirmed, Conflicted, Seen, Signed, Unknown};
    let (old, newest) = (Hash([1; 32]), Hash([2; 32]));
    let (block, other) = (Hash([8; 32]), Hash([9; 32]));
    let mined = |confirmations, paid, block| Sight::Mined {
        txid: newest,
        height: 7,
        block,
        confirmations,
        paid,
        fee: 3,
    };
    let conflict = |confirmations| Sight::Conflict {
        by: other,
        height: 7,
        confirmations,
        fee: 1,
    };
    let pending = |txid| Sight::Pending { txid };
    let open = [Signed, Broadcast, Seen, Confirmed, Conflicted, Unknown];
    let table: Vec<(&[TxState], Sight, &str)> = vec![
        (&open, Sight::Nowhere, "send"),
        (
            &[Broadcast, Confirmed, Conflicted, Unknown, Signed],
            pending(newest),
            "seen",
        ),
        (&[Seen], pending(newest), "waits"),
        (&[Signed], pending(old), "send"),
        (&[Broadcast, Unknown], pending(old), "seen"),
        (&[Seen], mined(1, true, block), "nothing"),
        (&[Confirmed], mined(1, true, block), "nothing"),
        (&[Confirmed], mined(1, true, other), "seen"),
        (
            &[Signed, Broadcast, Conflicted, Unknown],
            mined(1, true, block),
            "seen",
        ),
        (
            &[Signed, Broadcast, Seen, Conflicted, Unknown],
            mined(2, true, block),
            "confirmed",
        ),
        (&[Confirmed], mined(3, true, block), "nothing"),
        (&[Confirmed], mined(4, true, block), "final"),
        (
            &[Signed, Broadcast, Seen, Conflicted, Unknown],
            mined(9, true, block),
            "confirmed",
        ),
        (&[Seen], mined(3, false, block), "nothing"),
        (
            &[Signed, Broadcast, Confirmed],
            mined(3, false, block),
            "seen",
        ),
        (&open, mined(4, false, block), "failed"),
        (
            &[Signed, Broadcast, Seen, Confirmed, Unknown],
            conflict(9),
            "conflicted",
        ),
        (&[Conflicted], conflict(3), "nothing"),
        (&[Conflicted], conflict(4), "cancel"),
    ];
    for (states, sight, expected) in table {
        for state in states {
            let known = Known {
                state: *state,
                newest,
                block: Some(block),
            };
            let found = match decide(&known, &sight, DEPTHS) {
                Act::Nothing => "nothing",
                Act::Waits => "waits",
                Act::Send => "send",
                Act::Say(said) => said.step.name(),
                Act::Conflict { .. } => "cancel",
            };
            assert_eq!(found, expected, "{} and {sight:?}", state.name());
        }
    }
}

#[test]
fn a_step_says_its_block_and_fee_and_grave_ones_are_known() {
    let known = Known {
        state: TxState::Seen,
        newest: Hash([2; 32]),
        block: None,
    };
    let sight = Sight::Mined {
        txid: Hash([1; 32]),
        height: 7,
        block: Hash([8; 32]),
        confirmations: 2,
        paid: true,
        fee: 3,
    };
    let said = Said {
        step: Step::Confirmed,
        txid: Hash([1; 32]),
        height: 7,
        block: Some(Hash([8; 32])),
        fee: 3,
    };
    assert_eq!(decide(&known, &sight, DEPTHS), Act::Say(said));
    assert!(is_grave(TxState::Confirmed, Step::Seen) && is_grave(TxState::Seen, Step::Failed));
    assert!(!is_grave(TxState::Seen, Step::Confirmed) && !is_grave(TxState::Signed, Step::Seen));
}

#[test]
fn digests_agree_differ_or_are_too_few() {
    let (ours, other) = (Hash([1; 32]), Hash([2; 32]));
    let answer = |who: &str, digest: Result<Hash, &str>| Answer {
        who: who.to_owned(),
        digest: digest.map_err(str::to_owned),
    };
    let both = vec![answer("a", Ok(ours)), answer("b", Ok(ours))];
    assert_eq!(
        compare(ours, 2, both.clone()),
        Agreement::Agreed(vec![("a".to_owned(), ours), ("b".to_owned(), ours)])
    );
    let twice = vec![answer("a", Ok(ours)), answer("a", Ok(ours))];
    assert!(matches!(compare(ours, 2, twice), Agreement::TooFew(_)));
    let late = vec![answer("a", Ok(ours)), answer("b", Err("no"))];
    assert_eq!(
        compare(ours, 2, late.clone()),
        Agreement::TooFew("b: no".to_owned())
    );
    assert!(matches!(compare(ours, 1, late), Agreement::Agreed(_)));
    let differs = vec![
        answer("a", Ok(ours)),
        answer("b", Ok(ours)),
        answer("c", Ok(other)),
    ];
    assert_eq!(
        compare(ours, 2, differs),
        Agreement::Differs("c".to_owned(), other)
    );
    assert!(matches!(compare(ours, 1, Vec::new()), Agreement::TooFew(_)));
}
