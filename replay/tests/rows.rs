//! Rows: keys order like their values, values come back, changes over a store read like the store after them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use orebook_replay::engine::Engine;
use orebook_replay::fold::Fold;
use orebook_replay::folds::money::direct::{Direct, DirectJobRow, WaitingRow};
use orebook_replay::folds::money::payouts::{
    AskedRow, BatchRow, HaltRow, LineOfRow, LineRow, LiveRow, PartRow, RawRow, ReconciledRow,
    StepRow, TxRow, TxState, WalletRow, What, WholeRow,
};
use orebook_replay::folds::money::settings::{AddressRow, Waiting};
use orebook_replay::folds::money::{
    AccountRow, BlockAtRow, BlockRow, Book, BookRow, CreditRow, DirectTotalsRow, Finding,
    HeightRow, Held, JobRunRow, Money, MovedRow, PolicyRow, PostingRow, RefusedRow, Status,
    TotalsRow, VoidOfRow, VoidRow, WorkerRow,
};
use orebook_replay::folds::obeyed::Refusal;
use orebook_replay::row;
use orebook_replay::rows::{
    KeyField, MemoryRows, Order, Row, Rows, Span, StoreFault, View, collect, delete, first, get,
    put,
};
use orebook_replay::store::{Batch, MemoryStore, Pending, Store};
use orebook_schema::names::{Pot, RegisteredName, Script};
use orebook_schema::work::BlockState;
use orebook_schema::{Account, At, Hash, StreamId, WorkerName};

mod pool;

row! {
    /// Every kind of field.
    pub(crate) struct All in table 9 {
        key {
            /// A key of several fields.
            account: Account,
            /// Second.
            name: WorkerName,
            /// Third.
            number: u32,
        }
        value {
            /// Text.
            text: String,
            /// A list.
            list: Vec<u16>,
            /// A pair that may be missing.
            pair: Option<(u64, Hash)>,
            /// Flag.
            flag: bool,
            /// Large.
            large: u128,
            /// A state.
            state: BlockState,
        }
    }
}

row! {
    /// A row that is its key alone, in a table of one row.
    pub(crate) struct Alone in table 10 {
        key {}
        value {}
    }
}

fn all(number: u32) -> All {
    All {
        account: Account::Evm([7; 20]),
        name: WorkerName::parse("rig-1").expect("a name"),
        number,
        text: "ü".to_owned(),
        list: vec![1, 0x0203],
        pair: Some((5, Hash([6; 32]))),
        flag: true,
        large: u128::MAX,
        state: BlockState::Orphaned,
    }
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn byte(&mut self, n: u64) -> u8 {
        u8::try_from(self.below(n)).expect("a byte")
    }
}

#[test]
fn a_row_comes_back_from_its_key_and_its_value() {
    let row = all(3);
    assert_eq!(All::read(&row.key(), &row.value()), Ok(row.clone()));
    assert_eq!(Alone::read(&[], &[]), Ok(Alone {}));
    let mut rows = MemoryRows::new();
    put(&mut rows, &row).expect("memory");
    put(&mut rows, &Alone {}).expect("memory");
    let key = All::key_of(&row.account, &row.name, &3);
    assert_eq!(get::<All>(&rows, &key), Ok(Some(row)));
    assert_eq!(get::<Alone>(&rows, &Alone::key_of()), Ok(Some(Alone {})));
    delete::<All>(&mut rows, &key).expect("memory");
    assert_eq!(get::<All>(&rows, &key), Ok(None));
}

#[test]
fn the_canonical_form_is_little_endian_with_counts_before_lists() {
    let mut out = Vec::new();
    all(3).canonical(&mut out);
    let mut expected = vec![2, 0, 0, 0];
    expected.extend("ü".as_bytes());
    expected.extend([2, 0, 0, 0, 1, 0, 3, 2]);
    expected.extend([1, 5, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([6; 32]);
    expected.push(1);
    expected.extend([0xff; 16]);
    expected.push(4);
    assert_eq!(out, expected);
}

#[test]
fn bytes_that_are_no_row_are_damage_and_never_a_panic() {
    let row = all(3);
    let (key, value) = (row.key(), row.value());
    let damaged =
        |found: Result<All, StoreFault>| matches!(found, Err(StoreFault::Damaged { table: 9, .. }));
    for index in 0..key.len() {
        assert!(
            damaged(All::read(&key[..index], &value)),
            "key cut at {index}"
        );
    }
    for index in 0..value.len() {
        assert!(
            damaged(All::read(&key, &value[..index])),
            "value cut at {index}"
        );
    }
    assert!(damaged(All::read(&[key.clone(), vec![0]].concat(), &value)));
    assert!(damaged(All::read(&key, &[value.clone(), vec![0]].concat())));
    let mut rng = Rng(1);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut spoilt = value.clone();
        for _ in 0..=rng.below(3) {
            let place = usize::try_from(rng.below(spoilt.len() as u64)).expect("an index");
            spoilt[place] = rng.byte(256);
        }
        match All::read(&key, &spoilt) {
            Ok(_) => read += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(100 < read && 100 < refused, "{read} {refused}");
}

#[test]
fn keys_order_like_their_values() {
    fn assert_ordered<K: KeyField>(ascending: &[K]) {
        let keys: Vec<Vec<u8>> = ascending
            .iter()
            .map(|key| {
                let mut out = Vec::new();
                key.put_key(&mut out);
                out
            })
            .collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        let prefix_free = keys.windows(2).all(|pair| !pair[1].starts_with(&pair[0]));
        assert!(prefix_free, "{keys:?}");
    }
    assert_ordered(&[0u32, 1, 255, 256, 0x0102_0304, u32::MAX]);
    assert_ordered(&[0u64, 1, 1 << 40, u64::MAX]);
    assert_ordered(&[Pot(0), Pot(9), Pot(256)]);
    let at = |position, index| At { position, index };
    assert_ordered(&[at(0, 0), at(0, 9), at(0, 256), at(1, 0), at(256, 3)]);
    let script = |bytes: &[u8]| Account::Script(Script::new(bytes).expect("a script"));
    let name = |text| Account::Name(RegisteredName::parse(text).expect("a name"));
    let accounts = [
        script(&[9]),
        script(&[0, 1]),
        script(&[0, 2]),
        Account::Evm([0; 20]),
        name("b"),
        name("ab"),
    ];
    assert_ordered(&accounts);
    let books = [
        Book::Immature(accounts[0].clone()),
        Book::Immature(accounts[1].clone()),
        Book::Available(accounts[0].clone()),
        Book::Reserved(accounts[0].clone()),
        Book::Paid(accounts[0].clone()),
        Book::Fee,
        Book::Donation,
        Book::Rounding,
        Book::Reserve,
        Book::NetworkFees,
        Book::Wallet,
        Book::Reward,
    ];
    assert_ordered(&books);
    for book in books {
        let row = BookRow {
            book,
            debits: 1,
            credits: 2,
        };
        assert_eq!(BookRow::read(&row.key(), &row.value()), Ok(row));
    }
}

#[test]
fn spans_hold_the_keys_that_they_say() {
    let inside = |span: &Span, key: &[u8]| span.contains(key);
    let prefix = Span::prefix(&[1, 0xff]);
    for (key, is_inside) in [
        (&[1u8, 0xfe][..], false),
        (&[1, 0xff], true),
        (&[1, 0xff, 0xff, 0xff], true),
        (&[2], false),
    ] {
        assert_eq!(inside(&prefix, key), is_inside, "{key:?}");
    }
    assert!(inside(&Span::prefix(&[0xff, 0xff]), &[0xff, 0xff, 3]));
    assert!(!inside(&Span::prefix(&[0xff, 0xff]), &[0xff, 0xfe]));
    assert!(inside(&Span::all(), &[]));
    assert!(Span::between(vec![2], vec![2]).is_empty());
    assert!(Span::between(vec![3], vec![2]).is_empty());
    assert!(!inside(&Span::prefix_to(&[1], vec![1, 5]), &[1, 5]));
    assert!(inside(&Span::prefix_from(&[1], vec![1, 5]), &[1, 5]));
    assert!(!inside(&Span::prefix_from(&[1], vec![1, 5]), &[2]));
}

type Model = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

fn scanned(
    view: &dyn View,
    table: u8,
    span: &Span,
    order: Order,
    max: usize,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    view.scan(table, span, order, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() < max {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
    .expect("memory");
    found
}

fn wanted(
    model: &Model,
    table: u8,
    span: &Span,
    order: Order,
    max: usize,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let inside = model
        .iter()
        .filter(|((of, key), _)| *of == table && span.contains(key))
        .map(|((_, key), value)| (key.clone(), value.clone()));
    let mut all: Vec<_> = inside.collect();
    if order == Order::Backward {
        all.reverse();
    }
    all.truncate(max);
    all
}

#[test]
fn changes_over_a_store_read_like_the_store_after_them() {
    for seed in 0..400 {
        let rng = &mut Rng(seed);
        let store = MemoryStore::new();
        let mut pending = Pending::new();
        let mut model = Model::new();
        for _ in 0..60 {
            let kept = model.clone();
            {
                let base = store.view().expect("memory");
                let mut rows = pending.over(base.as_ref());
                for _ in 0..rng.below(5) {
                    let table = rng.byte(2);
                    let key = vec![rng.byte(4); usize::from(rng.byte(3))];
                    if rng.below(3) == 0 {
                        rows.delete(table, &key).expect("memory");
                        model.remove(&(table, key));
                    } else {
                        let value = vec![rng.byte(256)];
                        rows.put(table, &key, &value).expect("memory");
                        model.insert((table, key), value);
                    }
                }
                let span = match rng.below(4) {
                    0 => Span::all(),
                    1 => Span::prefix(&[rng.byte(4)]),
                    2 => Span::between(vec![rng.byte(4)], vec![rng.byte(4), 1]),
                    _ => Span::prefix_to(&[], vec![rng.byte(4)]),
                };
                let max = 1 + usize::from(rng.byte(6));
                for order in [Order::Forward, Order::Backward] {
                    let found = scanned(&rows, 1, &span, order, max);
                    assert_eq!(
                        found,
                        wanted(&model, 1, &span, order, max),
                        "seed {seed} {span:?}"
                    );
                }
                for key in [vec![], vec![1], vec![2, 2]] {
                    let found = rows.get(0, &key).expect("memory");
                    assert_eq!(found.as_ref(), model.get(&(0, key)), "seed {seed}");
                }
            }
            match rng.below(4) {
                0 => {
                    pending.take_back();
                    model = kept;
                }
                _ => pending.keep().for_each(drop),
            }
            if rng.below(6) == 0 {
                store.commit(pending.batch()).expect("memory");
                pending.clear();
            }
        }
        store.commit(pending.batch()).expect("memory");
        let view = store.view().expect("memory");
        for table in 0..2 {
            let all = Span::all();
            let found = scanned(view.as_ref(), table, &all, Order::Forward, usize::MAX);
            assert_eq!(
                found,
                wanted(&model, table, &all, Order::Forward, usize::MAX)
            );
        }
    }
}

#[test]
fn few_changes_of_many_rows_and_many_of_few_come_to_the_same() {
    for seed in 0..60 {
        let rng = &mut Rng(seed);
        let store = MemoryStore::new();
        let mut model = Model::new();
        for _ in 0..12 {
            let mut batch = Batch::new();
            // From none of 400 rows to all of them.
            let count = [0, 1, 5, 40, 400][usize::from(rng.byte(5))];
            for _ in 0..count {
                let place = (rng.byte(2), vec![rng.byte(20), rng.byte(20)]);
                let value = (rng.below(4) != 0).then(|| vec![rng.byte(256)]);
                match &value {
                    Some(value) => drop(model.insert(place.clone(), value.clone())),
                    None => drop(model.remove(&place)),
                }
                batch.insert(place, value);
            }
            store.commit(&batch).expect("memory");
            let view = store.view().expect("memory");
            for table in 0..2 {
                let all = Span::all();
                let found = scanned(view.as_ref(), table, &all, Order::Forward, usize::MAX);
                let wanted = wanted(&model, table, &all, Order::Forward, usize::MAX);
                assert_eq!(found, wanted, "seed {seed}");
            }
        }
    }
}

#[test]
fn what_is_kept_at_once_is_not_taken_back_with_a_frame() {
    let store = MemoryStore::new();
    let base = store.view().expect("memory");
    let mut pending = Pending::new();
    let put = |pending: &mut Pending, is_kept: bool, value: u8| {
        let mut rows = match is_kept {
            true => pending.kept_over(base.as_ref()),
            false => pending.over(base.as_ref()),
        };
        rows.put(1, &[value], &[value]).expect("memory");
    };
    put(&mut pending, false, 1);
    assert_eq!(pending.keep().count(), 1);
    put(&mut pending, true, 2);
    assert_eq!(pending.keep().count(), 0, "it is nothing of a frame's");
    put(&mut pending, false, 3);
    pending.take_back();
    let rows = pending.over(base.as_ref());
    let found = scanned(&rows, 1, &Span::all(), Order::Forward, 9);
    assert_eq!(found, [(vec![1], vec![1]), (vec![2], vec![2])]);
}

#[test]
fn a_batch_changes_everything_it_names() {
    let store = MemoryStore::new();
    let batch: Batch = [
        ((1, vec![1]), Some(vec![1])),
        ((1, vec![2]), Some(vec![2])),
        ((2, vec![1]), None),
    ]
    .into();
    store.commit(&batch).expect("memory");
    store
        .commit(&[((1, vec![1]), None)].into())
        .expect("memory");
    let view = store.view().expect("memory");
    let found = scanned(view.as_ref(), 1, &Span::all(), Order::Forward, 9);
    assert_eq!(found, [(vec![2], vec![2])]);
}

#[test]
fn a_typed_scan_gives_rows_up_to_the_limit_and_names_damage() {
    let mut rows = MemoryRows::new();
    for number in 0..5 {
        put(&mut rows, &all(number)).expect("memory");
    }
    let numbers = |order, max| -> Vec<u32> {
        let found: Vec<All> = collect(&rows, &Span::all(), order, max).expect("memory");
        found.iter().map(|row| row.number).collect()
    };
    assert_eq!(numbers(Order::Forward, 2), [0, 1]);
    assert_eq!(numbers(Order::Backward, 2), [4, 3]);
    assert_eq!(numbers(Order::Backward, 0), Vec::<u32>::new());
    assert_eq!(numbers(Order::Forward, 99).len(), 5);
    let last: Option<All> = first(&rows, &Span::all(), Order::Backward).expect("memory");
    assert_eq!(last.map(|row| row.number), Some(4));
    let mut spoilt = rows.clone();
    spoilt.put(9, &all(2).key(), &[1, 2, 3]).expect("memory");
    let found: Result<Vec<All>, StoreFault> = collect(&spoilt, &Span::all(), Order::Forward, 99);
    assert!(matches!(found, Err(StoreFault::Damaged { table: 9, .. })));
}

/// A row of `money` comes back from its bytes, and the fold knows its table.
#[track_caller]
fn check<R: Row + PartialEq + std::fmt::Debug>(row: &R) {
    let (key, value) = (row.key(), row.value());
    assert_eq!(R::read(&key, &value).as_ref(), Ok(row));
    let mut canonical = Vec::new();
    row.canonical(&mut canonical);
    assert_eq!(Money.canonical(R::TABLE, &key, &value), Ok(canonical));
}

#[test]
fn moneys_rows_come_back_and_have_a_canonical_form() {
    let account = Account::Evm([1; 20]);
    let at = At {
        position: 3,
        index: 4,
    };
    let stream = StreamId([5; 16]);
    check(&AccountRow {
        account: account.clone(),
        first: at,
    });
    check(&WorkerRow {
        stream,
        epoch: 1,
        number: 2,
        account: account.clone(),
        pot: Pot(3),
    });
    check(&PolicyRow {
        at,
        policy: pool::policy(|rules| rules.fee_ppm = 5),
    });
    check(&JobRunRow {
        stream,
        epoch: 1,
        from: 2,
        policy: Some(at),
    });
    check(&MovedRow {
        position: 9,
        counted: vec![1, 2],
    });
    check(&BlockRow {
        hash: Hash([1; 32]),
        at,
        ledger_time: 5,
        height: 6,
        coinbase_txid: Hash([2; 32]),
        finding: Some(Finding {
            share: at,
            account: account.clone(),
            pot: Pot(1),
            policy: None,
            network_work: 7,
        }),
        status: Some(Status {
            at,
            state: BlockState::Immature,
            value: 8,
            fees: 9,
        }),
        held: Held::Immature,
        standing: vec![at],
        standing_posted: 10,
        weights: Some(11),
        found_later: true,
        direct: Some(Direct {
            job: at,
            size: 12,
            pays: 13,
        }),
    });
    check(&BlockAtRow {
        at,
        hash: Hash([1; 32]),
        pot: None,
    });
    check(&HeightRow {
        height: 1,
        last: at,
    });
    check(&CreditRow {
        block: at,
        account: account.clone(),
        weight: 1,
        amount: 2,
        bonus: 3,
        donation_ppm: 4,
        donation: 5,
        direct: 6,
    });
    check(&DirectJobRow {
        stream,
        epoch: 1,
        number: 2,
        at,
        size: 3,
    });
    check(&WaitingRow {
        block: at,
        size: 1,
        ledger_time: 2,
        scripts: vec![account.clone()],
    });
    check(&AddressRow {
        account: account.clone(),
        from: at,
        address: None,
        waiting: Some(Waiting {
            address: account.clone(),
            said: at,
            until_ms: 3,
        }),
    });
    check(&DirectTotalsRow {
        reserved: 1,
        paid: 2,
    });
    check(&PostingRow {
        at,
        number: 1,
        block: Hash([1; 32]),
        debit: Book::Reward,
        credit: Book::Immature(account.clone()),
        amount: 5,
        cites: Some((at, 6)),
    });
    check(&VoidRow {
        at,
        share: at,
        first: at,
        account,
        pot: Pot(1),
        credit: 5,
    });
    check(&VoidOfRow { share: at, at });
    check(&TotalsRow {
        debits: 1,
        credits: 1,
    });
    for why in Refusal::ALL {
        check(&RefusedRow {
            at,
            hash: Hash([1; 32]),
            why,
        });
    }
    assert!(Money.canonical(99, &[], &[]).is_err(), "no such table");
}

#[test]
fn rows_of_payouts_come_back_and_have_a_canonical_form() {
    let account = Account::Evm([1; 20]);
    let (wallet, batch, tx) = (1, 2, 3);
    let at = At {
        position: 3,
        index: 4,
    };
    check(&WalletRow {
        batches: 4,
        open: 5,
        halted: Some(at),
        last: at,
        paid: 6,
        fees: 7,
        ..WalletRow::new(wallet)
    });
    check(&BatchRow {
        wallet,
        batch,
        at,
        ledger_time: 4,
        digest: Hash([1; 32]),
        body: Hash([2; 32]),
        txs: 5,
        lines: 6,
        total: 7,
        fee: 8,
        needed: 9,
        approved: Some(at),
        cited: vec![Hash([3; 32]), Hash([4; 32])],
        policy: at,
    });
    check(&LineRow {
        wallet,
        batch,
        number: 4,
        account: account.clone(),
        address: Account::Evm([2; 20]),
        amount: 6,
        fee: 5,
        tx,
    });
    for state in TxState::ALL {
        check(&TxRow {
            state,
            last: at,
            txids: vec![Hash([1; 32])],
            signed: vec![at],
            spends: vec![1, 2, 3],
            posted: true,
            fee: 4,
            txid: Some(Hash([2; 32])),
            height: 5,
            block: Some(Hash([3; 32])),
            ..TxRow::new(wallet, batch, tx)
        });
    }
    for what in What::ALL {
        check(&StepRow {
            wallet,
            batch,
            at,
            tx,
            ledger_time: 4,
            what,
            txid: None,
            height: 5,
            fee: 6,
        });
    }
    check(&RawRow {
        wallet,
        batch,
        tx,
        at,
        bytes: vec![0xff; 3],
    });
    check(&LineOfRow {
        account,
        at,
        wallet,
        batch,
        number: 4,
    });
    let stream = StreamId([5; 16]);
    check(&WholeRow {
        stream,
        whole: Hash([1; 32]),
        of: 3,
        next: 2,
    });
    check(&PartRow {
        stream,
        index: 1,
        bytes: vec![0xff; 3],
    });
    check(&HaltRow {
        wallet,
        at,
        ledger_time: 4,
        halts: false,
        reason: "why".to_owned(),
        expects: at,
        digest: Hash([1; 32]),
        needed: 2,
        taken: None,
    });
    check(&AskedRow {
        digest: Hash([1; 32]),
        wallet,
        batch: Some(batch),
        at,
    });
    check(&LiveRow { wallet, batch, tx });
    check(&ReconciledRow {
        wallet,
        at,
        ledger_time: 4,
        compared_position: 5,
        money: Hash([1; 32]),
        expected: 6,
        found: 7,
        transactions: 8,
        blocks: 9,
        differences: 1,
        report: "one thing".to_owned(),
    });
}

#[test]
fn engines_and_stores_may_go_to_other_threads() {
    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}
    assert_send::<Engine>();
    assert_sync::<MemoryStore>();
}
