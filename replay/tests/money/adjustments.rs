//! Adjustments (money rules, 7.5): one posting each, where the last approval is.

use orebook_replay::folds::money::{Money, adjustments, is_known};
use orebook_replay::store::Store as _;
use orebook_schema::desk::{ADJUSTMENT_MAX, AdjustedBook, Adjustment, Direction, Reason};
use orebook_schema::{At, Event, Hash};

use crate::pool::{Pool, desk_approves, named, policy, replayed};
use crate::table::table;

#[test]
fn what_a_recovered_block_paid_goes_to_its_finder() {
    let table = table(
        "policy
         recovered A
         A confirmed 50
         = reserve 50
         adjust anna +49.5 reserve explains A
         = reserve 0.5
         = anna available 49.5",
    );
    let posted: Vec<String> = table
        .postings("A")
        .iter()
        .map(|row| format!("{} > {} {}", row.debit, row.credit, row.amount))
        .collect();
    assert_eq!(
        posted,
        [
            "reward > reserve 50000000000",
            "reserve > available:name:anna 49500000000",
        ]
    );
}

#[test]
fn every_book_gives_and_takes() {
    table(
        "policy fee=100000
         g1 job 100
         g1 frame: anna 30, ben 70 finds A
         A confirmed 50
         = anna available 13.5
         = ben available 31.5
         = fee 5
         adjust anna +1 fee
         = anna available 14.5
         = ben available 31.5
         = fee 4
         adjust anna -0.000000001 rounding
         adjust ben -2 donation
         adjust ben +0.25 donation
         adjust ben -3 reserve
         = anna available 14.499999999
         = ben available 26.75
         = fee 4
         = rounding 0.000000001
         = donation 1.75
         = reserve 3",
    );
}

#[test]
fn any_book_may_go_below_zero_and_later_credits_fill_it() {
    table(
        "policy
         g1 job 100
         adjust anna -4 reserve
         adjust ben +3 fee
         = anna available -4
         = reserve 4
         = ben available 3
         = fee -3
         g1 frame: anna 100 finds A
         A confirmed 50
         = anna available 46
         = reserve 4
         = ben available 3
         = fee -3",
    );
}

#[test]
fn an_adjustment_is_posted_where_its_approval_is_and_once() {
    table(
        "policy
         adjust anna +5 reserve waits
         = nothing
         approved
         = anna available 5
         = reserve -5
         adjust anna +5 reserve late
         = anna available 5
         = reserve -5
         adjust anna -1 reserve waits
         adjust anna +2 reserve
         approved
         = anna available 7
         = reserve -7",
    );
}

#[test]
fn the_orphan_of_a_block_leaves_what_was_adjusted_for_it() {
    table(
        "policy
         recovered A
         A confirmed 50
         adjust anna +50 reserve explains A
         = anna available 50
         A orphaned 0
         = reserve -50
         = anna available 50
         adjust anna -50 reserve explains A
         = nothing",
    );
}

fn adjustment(expects: At, amount: u128) -> Event {
    Event::Adjustment(Box::new(Adjustment {
        account: named("anna"),
        expects,
        book: AdjustedBook::Fee,
        direction: Direction::FromAccount,
        amount,
        block: None,
        reason: Reason::parse("paid twice").expect("a reason"),
    }))
}

#[test]
fn each_adjustment_is_written_down_with_where_it_took_effect() {
    let mut pool = Pool::new(policy(|_| {}));
    let first = adjustment(At::default(), 7);
    let said = pool.desk_says(&[first.clone(), desk_approves(&first)]);
    let at = |position, index| At { position, index };
    // One that waits, and one that expects nothing that there is.
    let (waits, late) = (adjustment(at(said, 0), 8), adjustment(at(1, 0), 9));
    let second = pool.desk_says(&[waits, late]);
    let store = replayed(&pool, Money);
    let view = store.view().expect("a view");
    let rows = adjustments(view.as_ref(), &named("anna"), None, 10).expect("rows");
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (row.at, row.amount, row.taken))
        .collect();
    let expected = [
        (at(second, 1), 9, None),
        (at(second, 0), 8, None),
        (at(said, 0), 7, Some(at(said, 1))),
    ];
    assert_eq!(shown, expected);
    assert!(is_known(view.as_ref(), &named("anna")).expect("rows"));
    assert!(!is_known(view.as_ref(), &named("ben")).expect("rows"));
    let older = adjustments(view.as_ref(), &named("anna"), Some(at(second, 0)), 10).expect("rows");
    assert_eq!(older.len(), 1);
    assert!(
        rows.iter()
            .all(|row| row.reason == "paid twice" && !row.to_account)
    );
    assert!(
        rows.iter()
            .all(|row| row.block.is_none() || row.block == Some(Hash::ZERO))
    );
}

#[test]
fn the_largest_amount_is_posted_to_the_sub_unit() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut expects = At::default();
    for _ in 0..2 {
        let thing = adjustment(expects, ADJUSTMENT_MAX);
        let position = pool.desk_says(&[thing.clone(), desk_approves(&thing)]);
        expects = At { position, index: 0 };
    }
    let store = replayed(&pool, Money);
    let view = store.view().expect("a view");
    let fee = orebook_replay::folds::money::Book::Fee;
    let balance = orebook_replay::folds::money::book(view.as_ref(), &fee).expect("rows");
    // 2^81 base units.
    assert_eq!(balance.magnitude(), (1 << 81) * 1_000_000_000);
}
