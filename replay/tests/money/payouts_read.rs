//! Payouts (money rules, section 8): what others ask of their rows, large batches, and what is said in parts.

use orebook_ledger::segment::Record;
use orebook_replay::folds::money::payouts::{
    self, BatchRow, LineRow, Payable, RECONCILIATIONS_KEPT, TxState, What, batch, is_free, lines,
    lines_of, live, payable, reconciliations, txs,
};
use orebook_replay::folds::money::{Money, SUB_UNITS, account as account_of};
use orebook_replay::store::Store as _;
use orebook_schema::desk::{AdjustedBook, Adjustment, Direction, Reason};
use orebook_schema::event::Part;
use orebook_schema::payout::{
    Answerer, BatchBody, BatchLine, DigestAnswer, PayoutProposed, cut_into_parts,
};
use orebook_schema::reconciled::{Reconciled, Report};
use orebook_schema::work::BlockState;
use orebook_schema::{Account, At, Event, Hash, Kind};

use crate::paying::{address, policy, proposal, wallet_row};
use crate::payouts::{rich, timeline};
use crate::pool::{Pool, block_recovered, block_status, desk_approves, hash, named, replayed};

#[test]
fn what_others_ask_of_payouts_is_there() {
    let mut table = rich(
        "threshold=10",
        "wants carl
         batch fee=3 txs=2: anna 12, carl 7
         tx 0 signed
         tx 0 confirmed fee=2
         tx 1 cancelled
         batch: anna 10
         = anna available 7.7
         = anna paid 12
         = anna reserved 10
         = ben available 19.8
         = carl available 7.5
         = donation -57
         = network_fees -2
         = wallet 2",
    );
    let now = table.pool.clock;
    let view = table.rows().view().expect("a view");
    let view = view.as_ref();
    let first: BatchRow = batch(view, 0, 0).expect("rows").expect("a batch");
    assert_eq!(
        (first.txs, first.lines, first.total, first.fee),
        (2, 2, 19, 3)
    );
    assert_eq!(first.approved, Some(first.at));
    let said = lines(view, 0, 0).expect("rows");
    let shown: Vec<_> = said
        .iter()
        .map(|line: &LineRow| (line.account.clone(), line.amount, line.tx))
        .collect();
    assert_eq!(shown, [(named("anna"), 12, 0), (named("carl"), 7, 1)]);
    assert_eq!(said[0].address, address("A"));
    let of_anna = lines_of(view, &named("anna"), None, 10).expect("rows");
    let shown: Vec<_> = of_anna
        .iter()
        .map(|of| (of.batch.batch, of.line.amount, of.tx.state))
        .collect();
    assert_eq!(
        shown,
        [(1, 10, TxState::Unsigned), (0, 12, TxState::Confirmed)]
    );
    let before = lines_of(view, &named("anna"), Some(of_anna[0].batch.at), 10).expect("rows");
    assert_eq!(before, of_anna[1..]);
    let waits: Vec<_> = live(view, 0)
        .expect("rows")
        .iter()
        .map(|tx| (tx.batch, tx.tx))
        .collect();
    assert_eq!(
        waits,
        [(0, 0), (1, 0)],
        "the confirmed one is not at its end"
    );
    assert_eq!(is_free(view, 0), Ok(false));
    assert_eq!(is_free(view, 1), Ok(true));
    assert_eq!(
        timeline(view, 0),
        [
            (0, What::Proposed),
            (0, What::Signed),
            (0, What::Confirmed),
            (1, What::Cancelled),
        ]
    );
    // Anna is below 10; carl asked before he was paid last, and is below it too.
    let rules = policy("threshold=10");
    let found = payable(view, now, &rules, 10).expect("rows");
    let ben = Payable {
        account: named("ben"),
        address: address("B"),
        available: 19,
    };
    assert_eq!(found, [ben]);
    assert_eq!(
        payable(view, now, &policy("threshold=7"), 2)
            .expect("rows")
            .len(),
        2
    );
}

/// A thousand accounts, each with so much; a recovered block that is confirmed.
fn crowd(amount: u128) -> (Pool, Vec<Account>) {
    let mut pool = Pool::new(policy(""));
    let accounts: Vec<Account> = (0..1_000u16)
        .map(|number| {
            let mut bytes = [7; 20];
            bytes[..2].copy_from_slice(&number.to_be_bytes());
            Account::Evm(bytes)
        })
        .collect();
    for some in accounts.chunks(100) {
        let said = some.iter().flat_map(|account| {
            let thing = Event::Adjustment(Box::new(Adjustment {
                account: account.clone(),
                expects: At::default(),
                book: AdjustedBook::Donation,
                direction: Direction::ToAccount,
                amount: amount * SUB_UNITS,
                block: None,
                reason: Reason::parse("for a test").expect("a reason"),
            }));
            [thing.clone(), desk_approves(&thing)]
        });
        pool.desk_says(&said.collect::<Vec<Event>>());
    }
    let none = At::default();
    pool.settler_says(&[block_recovered(hash(1), 9, none)]);
    pool.settler_says(&[block_status(hash(1), none, BlockState::Confirmed, 50, 0)]);
    (pool, accounts)
}

#[test]
fn a_large_batch_is_applied_and_given_back_line_by_line() {
    let (mut pool, accounts) = crowd(5);
    let line = |account: &Account| BatchLine {
        account: account.clone(),
        address: account.clone(),
        amount: 5,
        fee: 0,
    };
    let body = BatchBody {
        lines: accounts.iter().map(line).collect(),
        blocks: vec![hash(1)],
    };
    let bytes = body.to_bytes();
    for part in cut_into_parts(&bytes).expect("parts") {
        pool.paymaster_says(&[Event::Part(part)]);
    }
    let answer = DigestAnswer {
        who: Answerer::parse("projector").expect("a name"),
        digest: hash(1),
    };
    pool.paymaster_says(&[Event::PayoutProposed(Box::new(PayoutProposed {
        wallet: 3,
        batch: 0,
        expects: At::default(),
        txs: 1_000,
        lines: 1_000,
        total: 5_000,
        fee: 1,
        body: Hash::of(&[&bytes]),
        digest_position: 1,
        digests: vec![answer],
    }))]);
    let reserved = |pool: &Pool| {
        let store = replayed(pool, Money);
        let view = store.view().expect("a view");
        let held = accounts.iter().filter(|account| {
            let found = account_of(view.as_ref(), account).expect("rows");
            found.reserved.positive() == 5 * SUB_UNITS && found.available.positive() == 0
        });
        let row = payouts::wallet(view.as_ref(), 3).expect("rows");
        (held.count(), row.open, row.batches)
    };
    assert_eq!(reserved(&pool), (1_000, 1_000, 1));
    let status = At {
        position: pool.size(),
        index: 0,
    };
    let confirmed = pool.records.iter().rev().find_map(|record| match record {
        Record::Frame(stored) if stored.frame.header().kinds & Kind::BlockStatus.bit() != 0 => {
            Some(stored.position)
        }
        _ => None,
    });
    let expects = At {
        position: confirmed.expect("a status"),
        index: 0,
    };
    pool.settler_says(&[block_status(hash(1), expects, BlockState::Orphaned, 50, 0)]);
    assert_eq!(reserved(&pool), (0, 0, 1));
    let store = replayed(&pool, Money);
    let view = store.view().expect("a view");
    let last = txs(view.as_ref(), 3, 0).expect("rows");
    assert!(
        last.iter()
            .all(|tx| tx.state == TxState::Cancelled && tx.last == status)
    );
}

#[test]
fn what_was_said_in_parts_is_whole_in_order_and_without_others_between() {
    // Rules, example 8.13, with a batch's body: which of these orders lead to a batch?
    let orders: [(&[usize], bool); 8] = [
        (&[0, 1, 2], true),
        (&[2, 0, 1, 2], true),
        (&[0, 0, 1, 2], true),
        (&[0, 1, 1, 2], false),
        (&[0, 2, 1], false),
        (&[1, 2, 0], false),
        (&[0, 1], false),
        (&[0, 1, 2, 2], false),
    ];
    for (order, is_whole) in orders {
        let mut table = rich(
            "",
            "= anna available 29.7\n= ben available 19.8\n= carl available 7.5\n= donation -57",
        );
        let (events, body) = proposal(&mut table, "fee=4: anna 29, ben 19");
        let bytes = body.to_bytes();
        let pieces: Vec<&[u8]> = bytes.chunks(bytes.len().div_ceil(3)).collect();
        for index in order {
            let part = Event::Part(Part {
                whole: Hash::of(&[&bytes]),
                index: u16::try_from(*index).expect("an index"),
                of: 3,
                bytes: pieces[*index].to_vec(),
            });
            table.pool.paymaster_says(&[part]);
        }
        table.pool.paymaster_says(&events[1..]);
        let expected: &[&str] = if is_whole { &[] } else { &["whole"] };
        assert_eq!(table.refusals(), expected, "{order:?}");
        assert_eq!(wallet_row(&mut table, 0).batches, u64::from(is_whole));
    }
}

#[test]
fn of_reconciliations_a_wallet_keeps_its_newest() {
    let mut table = rich(
        "",
        "= anna available 29.7
         = ben available 19.8
         = carl available 7.5
         = donation -57",
    );
    let mut said = |wallet: u16, number: u32| {
        table
            .pool
            .paymaster_says(&[Event::Reconciled(Box::new(Reconciled {
                wallet,
                compared_position: 0,
                money: hash(1),
                wallet_expected: 0,
                wallet_found: 0,
                transactions: number,
                blocks: 0,
                differences: 0,
                report: Report::default(),
            }))])
    };
    let kept = u32::try_from(RECONCILIATIONS_KEPT).expect("a number");
    said(1, 7);
    for number in 0..kept + 3 {
        said(0, number);
    }
    let view = table.rows().view().expect("a view");
    let all = |wallet| -> Vec<u32> {
        let rows = reconciliations(view.as_ref(), wallet, None, 1_000).expect("rows");
        rows.iter().map(|row| row.transactions).collect()
    };
    let newest: Vec<u32> = (3..kept + 3).rev().collect();
    assert_eq!(all(0), newest);
    assert_eq!(all(1), [7], "another wallet keeps its own");
}
