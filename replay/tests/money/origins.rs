//! Which credits dust and coinbases take (money rules, 8.14).

use orebook_replay::folds::money::Money;
use orebook_replay::folds::money::origins::{Origins, Purpose, Source, origins};
use orebook_replay::store::Store as _;
use orebook_schema::dust::{DUST_NOTICE_MS, DustBook, InactiveDust};
use orebook_schema::{At, Event};

use crate::dust::{approved, reason};
use crate::pool::{Pool, named, replayed};
use crate::table::table;

fn origins_of(pool: &Pool, name: &str) -> Origins {
    let store = replayed(pool, Money);
    let view = store.view().expect("a view");
    let found = origins(view.as_ref(), &named(name)).expect("rows");
    found.expect("a few")
}

/// What takes how much of which credit, then what the credits have left, in tenths of a base unit.
fn shown(origins: &Origins) -> Vec<String> {
    let tenths = |amount: u128| amount / 100_000_000;
    let name = |number: &usize| match origins.credits[*number].source {
        Source::Block { .. } => "block",
        Source::ByShare => "share",
        Source::Adjustment(_) => "gift",
        Source::WriteOff(_) => "write-off",
    };
    let mut all = Vec::new();
    for taken in &origins.takes {
        let purpose = match taken.need.purpose {
            Purpose::Line { .. } => "line",
            Purpose::Adjustment(_) => "adjustment",
            Purpose::Dust(_) => "dust",
            Purpose::Coinbase { .. } => "coinbase",
        };
        let parts = taken.parts.iter();
        let parts = parts.map(|(number, amount)| format!("{} {}", name(number), tenths(*amount)));
        let parts = parts.collect::<Vec<_>>().join(", ");
        all.push(format!("{purpose}: {parts} ?{}", tenths(taken.uncovered)));
    }
    for (number, credit) in origins.credits.iter().enumerate() {
        all.push(format!("{} {}", name(&number), tenths(credit.left)));
    }
    all
}

#[test]
fn dust_and_coinbases_take_what_came_before_them_and_give_it_back_with_their_block() {
    // Ann has 10 of the block and is paid 13 by its coinbase: 3 of her 4 were carried.
    let mut table = table(
        "policy direct=5 threshold=20
         lives ann A
         adjust ann +4 reserve
         g1 job 10
         g1 frame: ann 2, ben 8
         g1 job 10 direct=now pool=37 outs=A:13
         g1 frame: eve 10 finds X
         X immature 50
         adjust ann -0.4 fee
         = ann available 0.6
         = ann reserved 13
         = ben immature 40
         = fee 0.4
         = reserve -4",
    );
    let taken = ["coinbase: gift 30 ?0", "adjustment: gift 4 ?0"];
    let left = |rest: &[&'static str]| [&taken[..], rest].concat();
    assert_eq!(shown(&origins_of(&table.pool, "ann")), left(&["gift 6"]));
    table.then("X confirmed 50");
    assert_eq!(shown(&origins_of(&table.pool, "ann")), left(&["gift 6"]));
    let thing = Event::InactiveDust(Box::new(InactiveDust {
        cutoff: table.pool.size() - 1,
        to: DustBook::Donation,
        accounts: vec![named("ann")],
        expects: At::default(),
        reason: reason(),
    }));
    approved(&mut table.pool, thing);
    table.pool.clock += DUST_NOTICE_MS;
    table.pool.desk_says(&[Event::Heartbeat]);
    assert_eq!(
        shown(&origins_of(&table.pool, "ann")),
        left(&["dust: gift 6 ?0", "gift 0"])
    );
    // The chain took back what it paid of the balance: dust did not.
    table.then("X orphaned 50");
    assert_eq!(
        shown(&origins_of(&table.pool, "ann")),
        ["adjustment: gift 4 ?0", "dust: gift 6 ?0", "gift 30"]
    );
}
