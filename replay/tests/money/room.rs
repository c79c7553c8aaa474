//! Room in the sums (money rules, reading 14): a status that might carry them to 2^128 is refused, one below that is obeyed.

use std::sync::Arc;

use orebook_replay::folds::money::{Book, BookRow, Money, RefusedRow, TotalsRow};
use orebook_replay::rows::{Order, Row as _, Span, collect, get};
use orebook_replay::store::{Batch, MemoryStore, Store as _};

use crate::pool::opened;
use crate::table::table;

const UNIT: u128 = 1_000_000_000;

/// Brings the sums to this: what went through a book that nothing else moves.
fn fill(store: &MemoryStore, sums: u128) {
    let view = store.view().expect("a view");
    let totals: Option<TotalsRow> = get(view.as_ref(), &TotalsRow::key_of()).expect("rows");
    drop(view);
    let through = sums - totals.map_or(0, |totals| totals.credits);
    let totals = TotalsRow {
        debits: sums,
        credits: sums,
    };
    let book = BookRow {
        book: Book::Rounding,
        debits: through,
        credits: through,
    };
    let batch: Batch = [
        ((TotalsRow::TABLE, totals.key()), Some(totals.value())),
        ((BookRow::TABLE, book.key()), Some(book.value())),
    ]
    .into();
    store.commit(&batch).expect("memory");
}

/// Reasons of what is refused where the sums are so large before the last position of a ledger.
#[track_caller]
fn refused(text: &str, sums: u128) -> Vec<&'static str> {
    let table = table(text);
    let (pool, store) = (&table.pool, Arc::new(MemoryStore::new()));
    opened(pool, Money, &store)
        .advance(pool, pool.size() - 1, u64::MAX, &mut |_| {})
        .expect("the ledger is replayed");
    fill(&store, sums);
    opened(pool, Money, &store)
        .advance(pool, pool.size(), u64::MAX, &mut |_| {})
        .expect("the ledger is replayed");
    let view = store.view().expect("a view");
    let rows: Vec<RefusedRow> =
        collect(view.as_ref(), &Span::all(), Order::Forward, usize::MAX).expect("rows");
    rows.iter().map(|row| row.why.name()).collect()
}

/// M in base units, by hand: (3·v + 2·u) + P + H + 3·X.
#[test]
fn a_status_that_might_carry_the_sums_to_their_end_is_refused_and_one_unit_below_is_obeyed() {
    const FOUND: &str = "policy
         g1 job 100
         g1 frame: anna 100 finds A";
    for (case, text, most) in [
        (
            "v = 50",
            format!("{FOUND}\nA immature 50\n= anna immature 50"),
            3 * 50,
        ),
        (
            "v = 60, u = 50, P = 50",
            format!("{FOUND}\nA immature 50\nA immature 60\n= anna immature 60"),
            3 * 60 + 2 * 50 + 50,
        ),
        (
            "v = 0, u = 50, P = 50 + 50",
            format!("{FOUND}\nA immature 50\nA confirmed 50\nA orphaned 0\n= nothing"),
            2 * 50 + 100,
        ),
        (
            "v = 0, u = 50, P = 50 + 50, H = 29 + 10",
            format!(
                "{FOUND}
                 lives anna A
                 lives ben B
                 adjust ben +20 donation
                 A immature 50
                 A confirmed 50
                 batch txs=2 of=A: anna 29, ben 10
                 A orphaned 0
                 = ben available 20
                 = donation -20"
            ),
            2 * 50 + 100 + 39,
        ),
        (
            "v = 50, X = 14",
            "policy direct=5 threshold=20
             lives anna A
             g1 job 10
             g1 frame: anna 10
             g1 job 10 direct=now pool=36 outs=A:14
             g1 frame: anna 10 finds A
             A immature 50
             = anna immature 36
             = anna reserved 14"
                .to_owned(),
            3 * 50 + 3 * 14,
        ),
    ] {
        let room = u128::MAX - most * UNIT;
        assert_eq!(refused(&text, room), [""; 0], "{case}");
        assert_eq!(refused(&text, room + 1), ["value"], "{case}");
    }
}
