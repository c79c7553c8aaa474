//! Write-offs (money rules, 5.4): since when an account owes, and what the reserve takes over.

use std::ops::ControlFlow;

use orebook_replay::folds::money::{
    Balance, Book, BookRow, DebtRow, Money, RefusedRow, WriteOffRow, debt, write_offs,
};
use orebook_replay::rows::{Order, Span, get, scan};
use orebook_replay::store::{MemoryStore, Store as _};
use orebook_schema::desk::{AdjustedBook, Adjustment, Direction, Reason};
use orebook_schema::payout::WriteOff;
use orebook_schema::policy::PotRules;
use orebook_schema::{Account, At, Event};

use crate::pool::{Pool, desk_approves, named, policy, replayed};
use crate::table::table;

/// A base unit in sub-units.
const UNIT: i128 = 1_000_000_000;

struct Desk {
    pool: Pool,
    /// Ledger time zero of the tables.
    zero: u64,
}

impl Desk {
    fn new(writeoff_ms: u64) -> Self {
        let mut rules = policy(|_: &mut PotRules| {});
        rules.writeoff_ms = writeoff_ms;
        let mut pool = Pool::new(rules);
        pool.tick = 0;
        let zero = pool.clock;
        Self { pool, zero }
    }

    fn at(&mut self, ledger_time: u64) -> &mut Pool {
        self.pool.clock = self.zero + ledger_time;
        &mut self.pool
    }

    fn write_off(&self, account: &Account) -> Event {
        let authority = self.pool.state.authority().expect("genesis");
        Event::WriteOff(Box::new(WriteOff {
            account: account.clone(),
            expects: authority.last_write_off(account),
            reason: Reason::parse("she left").expect("a reason"),
        }))
    }

    /// Sub-units between the account and `fee`, to the account above zero.
    fn adjust(&self, account: &Account, amount: i128) -> Event {
        let authority = self.pool.state.authority().expect("genesis");
        Event::Adjustment(Box::new(Adjustment {
            account: account.clone(),
            expects: authority.last_adjustment(account),
            book: AdjustedBook::Fee,
            direction: if amount < 0 {
                Direction::FromAccount
            } else {
                Direction::ToAccount
            },
            amount: amount.unsigned_abs(),
            block: None,
            reason: Reason::parse("a mistake of ours").expect("a reason"),
        }))
    }

    /// Says a thing with the approval that it needs. Returns its position.
    fn approved(&mut self, ledger_time: u64, thing: Event) -> u64 {
        let approval = desk_approves(&thing);
        self.at(ledger_time).desk_says(&[thing, approval])
    }
}

fn balance(store: &MemoryStore, book: &Book) -> i128 {
    let view = store.view().expect("a view");
    let row: Option<BookRow> = get(view.as_ref(), &BookRow::key_of(book)).expect("a row");
    let balance = row.map_or_else(Balance::default, |row| row.balance());
    i128::try_from(balance.credits).expect("small") - i128::try_from(balance.debits).expect("small")
}

fn refusals(store: &MemoryStore) -> Vec<&'static str> {
    let view = store.view().expect("a view");
    let mut found = Vec::new();
    scan(
        view.as_ref(),
        &Span::all(),
        Order::Forward,
        |row: RefusedRow| {
            found.push(row.why.name());
            ControlFlow::Continue(())
        },
    )
    .expect("rows");
    found
}

fn rows_of(store: &MemoryStore, account: &Account) -> (Vec<WriteOffRow>, Option<DebtRow>) {
    let view = store.view().expect("a view");
    (
        write_offs(view.as_ref(), account, None, usize::MAX).expect("rows"),
        debt(view.as_ref(), account).expect("a row"),
    )
}

/// What takes effect in a row of Example 5.4c.
#[derive(Clone, Copy, Debug)]
enum Says {
    WriteOff,
    /// Sub-units to ann; below zero from her.
    Adjust(i128),
}

#[test]
fn a_write_off_takes_all_that_was_owed_for_long_enough_as_the_rules_example_says() {
    use Says::{Adjust, WriteOff};
    // Ledger time, what takes effect, available:ann, reserve, whether it is refused, since when ann owes then.
    let table = [
        (900, WriteOff, 0, 0, true, None),
        (1_000, Adjust(-3 * UNIT), -3 * UNIT, 0, false, Some(1_000)),
        (1_500, Adjust(-UNIT), -4 * UNIT, 0, false, Some(1_000)),
        (1_999, WriteOff, -4 * UNIT, 0, true, Some(1_000)),
        (2_000, WriteOff, 0, -4 * UNIT, false, None),
        (
            3_000,
            Adjust(-2 * UNIT),
            -2 * UNIT,
            -4 * UNIT,
            false,
            Some(3_000),
        ),
        (3_400, Adjust(5 * UNIT), 3 * UNIT, -4 * UNIT, false, None),
        (
            3_500,
            Adjust(-4 * UNIT),
            -UNIT,
            -4 * UNIT,
            false,
            Some(3_500),
        ),
        (4_499, WriteOff, -UNIT, -4 * UNIT, true, Some(3_500)),
        (
            4_500,
            Adjust(2 * UNIT / 5),
            -3 * UNIT / 5,
            -4 * UNIT,
            false,
            Some(3_500),
        ),
        (4_501, WriteOff, 0, -23 * UNIT / 5, false, None),
    ];
    let mut desk = Desk::new(1_000);
    let ann = named("ann");
    let mut refused = 0;
    for (ledger_time, says, available, reserve, is_refused, since) in table {
        let thing = match says {
            WriteOff => desk.write_off(&ann),
            Adjust(amount) => desk.adjust(&ann, amount),
        };
        desk.approved(ledger_time, thing);
        let store = replayed(&desk.pool, Money);
        let what = format!("at {ledger_time}: {says:?}");
        let book = Book::Available(ann.clone());
        assert_eq!(balance(&store, &book), available, "{what}");
        assert_eq!(balance(&store, &Book::Reserve), reserve, "{what}");
        refused += usize::from(is_refused);
        assert_eq!(refusals(&store), vec!["debt"; refused], "{what}");
        let (_, debt) = rows_of(&store, &ann);
        let times = debt.map(|debt| debt.ledger_time - desk.zero);
        assert_eq!(times, since, "{what}");
    }
    let store = replayed(&desk.pool, Money);
    let (rows, _) = rows_of(&store, &ann);
    let moved: Vec<(bool, u128)> = rows
        .iter()
        .map(|row| (row.taken.is_some(), row.amount))
        .collect();
    assert_eq!(
        moved,
        [
            (true, 600_000_000),
            (false, 0),
            (true, 4_000_000_000),
            (false, 0),
            (false, 0)
        ]
    );
}

#[test]
fn a_write_off_is_judged_where_its_approval_is_and_by_the_policy_there() {
    let mut desk = Desk::new(1_000);
    let ann = named("ann");
    let debit = desk.adjust(&ann, -3 * UNIT);
    desk.approved(0, debit);
    // Said too early, approved in time.
    let thing = desk.write_off(&ann);
    let approval = desk_approves(&thing);
    let said = desk.at(10).desk_says(std::slice::from_ref(&thing));
    let place = At {
        position: said,
        index: 0,
    };
    let waits = replayed(&desk.pool, Money);
    let (rows, _) = rows_of(&waits, &ann);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].at, rows[0].taken, rows[0].amount),
        (place, None, 0)
    );
    let approved = desk.at(1_000).desk_says(&[approval]);
    let store = replayed(&desk.pool, Money);
    let (rows, _) = rows_of(&store, &ann);
    let taken = At {
        position: approved,
        index: 0,
    };
    assert_eq!((rows[0].at, rows[0].taken), (place, Some(taken)));
    assert_eq!(balance(&store, &Book::Available(ann.clone())), 0);
    // A longer time by another policy: what was owed for a thousand is not enough any more.
    let mut longer = policy(|_: &mut PotRules| {});
    longer.writeoff_ms = 1_001;
    desk.at(1_100).new_policy(longer);
    let debit = desk.adjust(&ann, -UNIT);
    desk.approved(2_000, debit);
    for (ledger_time, left) in [(3_000, -UNIT), (3_001, 0)] {
        let thing = desk.write_off(&ann);
        desk.approved(ledger_time, thing);
        let store = replayed(&desk.pool, Money);
        let available = Book::Available(ann.clone());
        assert_eq!(balance(&store, &available), left, "{ledger_time}");
    }
}

#[test]
fn adjustments_and_write_offs_of_one_frame_post_in_the_order_of_their_effects() {
    // With a time of nothing an account may be written off where it begins to owe.
    for (first, reserve, refused) in [("adjustment", -3 * UNIT, 0), ("write-off", 0, 1)] {
        let mut desk = Desk::new(0);
        let ann = named("ann");
        let (debit, credit) = (desk.adjust(&ann, -3 * UNIT), desk.write_off(&ann));
        let (a, w) = (desk_approves(&debit), desk_approves(&credit));
        let events = if first == "adjustment" {
            [debit, credit, a, w]
        } else {
            [debit, credit, w, a]
        };
        desk.at(50).desk_says(&events);
        let store = replayed(&desk.pool, Money);
        assert_eq!(balance(&store, &Book::Reserve), reserve, "{first} first");
        assert_eq!(refusals(&store).len(), refused, "{first} first");
    }
}

#[test]
fn an_orphan_after_confirmed_begins_a_debt_that_the_reserve_may_take_over() {
    let mut table = table(
        "policy fee=0
         g1 job 100
         g1 frame: anna 100 finds A
         A confirmed 50
         adjust anna -20 fee
         A orphaned 0
         = anna available -20
         = fee 20",
    );
    let anna = named("anna");
    let orphaned = At {
        position: table.pool.size() - 1,
        index: 0,
    };
    let store = replayed(&table.pool, Money);
    let (_, debt) = rows_of(&store, &anna);
    assert_eq!(debt.map(|debt| debt.since), Some(orphaned));
    let write_off = Event::WriteOff(Box::new(WriteOff {
        account: anna.clone(),
        expects: At::default(),
        reason: Reason::parse("paid before the orphan").expect("a reason"),
    }));
    let approval = desk_approves(&write_off);
    table.pool.desk_says(&[write_off, approval]);
    let store = replayed(&table.pool, Money);
    assert_eq!(balance(&store, &Book::Available(anna)), 0);
    assert_eq!(balance(&store, &Book::Reserve), -20 * UNIT);
    assert_eq!(refusals(&store), Vec::<&str>::new());
}
