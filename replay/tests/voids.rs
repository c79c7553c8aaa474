//! Voids in windows (money rules, 3.3, reading 20): what a share that was credited twice takes back.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod pool;

use std::collections::BTreeMap;

use orebook_replay::folds::money::{self, Book, Money, RefusedRow, VoidRow};
use orebook_replay::folds::rounds::Rounds;
use orebook_replay::rows::{Order, Span, collect};
use orebook_replay::store::{MemoryStore, Store as _};
use orebook_schema::account::{SetBy, Setting, SettingValue};
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::Pot;
use orebook_schema::void::Void;
use orebook_schema::work::{BlockState, EthashHeader, EthashJob, EthashShare};
use orebook_schema::{At, Event, Hash, Work};
use pool::{
    ARCHIVER, GATEWAY, PPLNS, PPS, PROP, Pen, Pool, SOLO, block_status, genesis, moved, named,
    policy_of_all, replayed, worker,
};

const NONE: At = At {
    position: 0,
    index: 0,
};
const ACCOUNTS: [&str; 3] = ["ann", "bob", "cat"];

fn job(pen: &mut Pen, policy: At, network_work: u128, seal: u8) -> Event {
    let number = pen.jobs;
    pen.jobs += 1;
    Event::EthashJob(Box::new(EthashJob {
        number,
        policy,
        height: 7,
        network_work,
        reward: 50,
        fees: 0,
        seal: Hash([seal; 32]),
        seed: Hash::ZERO,
        time: 1,
        clean: true,
    }))
}

fn share(worker: u32, work: u64, nonce: u64) -> EthashShare {
    EthashShare {
        worker,
        job: 0,
        work: Work::new(work).expect("work"),
        block: false,
        stale: false,
        nonce,
    }
}

fn number_of(account: &str) -> u32 {
    let number = ACCOUNTS.iter().position(|known| *known == account);
    u32::try_from(number.expect("an account")).expect("a number")
}

/// Two gateways that know each their own shares: pot 0 at the first, pot 1 at the other, who says every nonce first.
struct World {
    pool: Pool,
    gateway: Pen,
    other: Pen,
    archiver: Pen,
    nonce: u64,
}

impl World {
    /// N is `n` in pot 0.
    fn new(n: u128, pot: Pot, stale_ppm: u32) -> Self {
        let mut genesis = genesis(policy_of_all(|rules| rules.stale_ppm = stale_ppm));
        genesis.algorithm = Algorithm::Etchash;
        let mut pool = Pool::of(&genesis);
        let (mut gateway, mut other) = (Pen::new(GATEWAY, 1), Pen::new(GATEWAY + 1, 2));
        let mut hello: Vec<Event> = Vec::new();
        for account in ACCOUNTS {
            hello.push(worker(&mut gateway, account, "rig", pot));
        }
        hello.push(job(&mut gateway, NONE, n, 1));
        pool.say(&mut gateway, &hello);
        let hello = [
            worker(&mut other, "thief", "rig", SOLO),
            job(&mut other, NONE, n, 1),
        ];
        pool.say(&mut other, &hello);
        Self {
            pool,
            gateway,
            other,
            archiver: Pen::new(ARCHIVER, 0xa5),
            nonce: 0,
        }
    }

    /// A share that the other gateway was sent before: places of both, this one's first.
    fn share(&mut self, account: &str, work: u64) -> (At, At) {
        self.nonce += 1;
        let first = self.first(self.nonce);
        (
            self.alone(share(number_of(account), work, self.nonce)),
            first,
        )
    }

    fn alone(&mut self, share: EthashShare) -> At {
        let mut pen = self.gateway.clone();
        let position = self.pool.say(&mut pen, &[Event::EthashShare(share)]);
        self.gateway = pen;
        At { position, index: 0 }
    }

    /// A nonce at the other gateway.
    fn first(&mut self, nonce: u64) -> At {
        let mut pen = self.other.clone();
        let event = Event::EthashShare(share(0, 1, nonce));
        let position = self.pool.say(&mut pen, &[event]);
        self.other = pen;
        At { position, index: 0 }
    }

    fn void(&mut self, share: At, first: At, expects: At) -> At {
        let event = Event::Void(Void {
            share,
            first,
            expects,
        });
        let mut pen = self.archiver.clone();
        let position = self.pool.say(&mut pen, &[event]);
        self.archiver = pen;
        At { position, index: 0 }
    }

    /// A block found by an account with its last share of so much work (0: a stale one), and paid 100.
    fn found(&mut self, account: &str, work: u64) -> Hash {
        self.nonce += 1;
        let winner = EthashShare {
            block: true,
            stale: work == 0,
            ..share(number_of(account), work.max(1), self.nonce)
        };
        let block = EthashHeader {
            seal: Hash([1; 32]),
            nonce: self.nonce,
            mix: Hash::ZERO,
        };
        let block = block.found(7);
        let hash = block.hash;
        let events = [Event::EthashShare(winner), Event::BlockFound(block)];
        let mut pen = self.gateway.clone();
        self.pool.say(&mut pen, &events);
        self.gateway = pen;
        let status = block_status(hash, NONE, BlockState::Immature, 100, 0);
        self.pool.settler_says(&[status]);
        hash
    }

    fn folded(&mut self) -> std::sync::Arc<MemoryStore> {
        self.pool.finalise();
        // The other fold that walks windows must go on too.
        replayed(&self.pool, Rounds);
        replayed(&self.pool, Money)
    }
}

fn refused(store: &MemoryStore) -> Vec<At> {
    let rows: Vec<RefusedRow> = collect(
        &*store.view().expect("a view"),
        &Span::all(),
        Order::Forward,
        100,
    )
    .expect("rows");
    rows.into_iter().map(|row| row.at).collect()
}

fn voids(store: &MemoryStore) -> Vec<VoidRow> {
    collect(
        &*store.view().expect("a view"),
        &Span::all(),
        Order::Forward,
        100,
    )
    .expect("rows")
}

fn weights(store: &MemoryStore, block: Hash) -> (BTreeMap<String, u128>, u128) {
    let view = store.view().expect("a view");
    let row = money::block(&*view, &block)
        .expect("rows")
        .expect("a block");
    let credits = money::credits_of_block(&*view, row.at).expect("rows");
    let weights = credits
        .into_iter()
        .filter(|credit| 0 < credit.weight)
        .map(|credit| {
            (
                credit.account.to_string().replace("name:", ""),
                credit.weight,
            )
        });
    (weights.collect(), row.weights.expect("it is settled"))
}

/// Entries: "ann 6, void ann 6, cat 1"; the last finds the block. A void takes back the account's newest share of that work.
/// The weights, W, and what is in `reserve`.
fn told(entries: &str, pot: Pot) -> (BTreeMap<String, u128>, u128, u128) {
    let mut world = World::new(20, pot, 0);
    let entries: Vec<&str> = entries.split(", ").collect();
    let mut said: Vec<(&str, (At, At))> = Vec::new();
    let mut hash = None;
    for (number, entry) in (1..).zip(&entries) {
        if let Some(of) = entry.strip_prefix("void ") {
            let found = said.iter().rposition(|(entry, _)| *entry == of);
            let (_, (share, first)) = said.remove(found.expect("a share to take back"));
            world.void(share, first, NONE);
            continue;
        }
        let (account, work) = entry.split_once(' ').expect("an account and its work");
        let work = work.parse().expect("work");
        if number == entries.len() {
            hash = Some(world.found(account, work));
        } else {
            said.push((entry, world.share(account, work)));
        }
    }
    let store = world.folded();
    assert_eq!(refused(&store), []);
    let reserve = money::book(&*store.view().expect("a view"), &Book::Reserve).expect("rows");
    let (weights, sum) = weights(&store, hash.expect("a block"));
    (weights, sum, reserve.credits - reserve.debits)
}

/// Entries, weights, W, `reserve`.
type Told = (&'static str, &'static [(&'static str, u128)], u128, u128);

#[test]
fn voids_weigh_as_the_page_says() {
    let whole = 100_000_000_000;
    // Entries; weights; W; in `reserve`. The first four are the page's 3.3a to 3.3d.
    let table: [Told; 9] = [
        (
            "ann 6, bob 3, void ann 6, cat 1",
            &[("bob", 3), ("cat", 1)],
            4,
            0,
        ),
        (
            "ann 6, bob 24, void ann 6, ann 2, cat 1",
            &[("bob", 23), ("cat", 1)],
            24,
            0,
        ),
        (
            "ann 9, bob 2, void ann 9, ann 9, void bob 2, ann 10, cat 5",
            &[("ann", 17), ("cat", 5)],
            22,
            0,
        ),
        (
            "ann 8, bob 13, ann 6, void ann 8, cat 6",
            &[("ann", 1), ("bob", 13), ("cat", 6)],
            20,
            0,
        ),
        // What is taken back of the finder's own.
        ("cat 6, cat 3, void cat 3, cat 1", &[("cat", 7)], 7, 0),
        // The void before the entry that fills the window is not asked.
        (
            "ann 6, bob 3, void bob 3, ann 5, cat 15",
            &[("ann", 5), ("cat", 15)],
            20,
            0,
        ),
        // Two of the same account.
        (
            "ann 4, ann 5, void ann 4, void ann 5, bob 2, cat 1",
            &[("bob", 2), ("cat", 1)],
            3,
            0,
        ),
        // W = 0: a stale finding share, and nothing else is left.
        ("ann 6, void ann 6, cat 0", &[], 0, whole),
        ("ann 6, bob 1, void ann 6, cat 0", &[("bob", 1)], 1, 0),
    ];
    for (entries, expected, w, reserve) in table {
        let expected: BTreeMap<String, u128> = expected
            .iter()
            .map(|(account, weight)| ((*account).to_owned(), *weight))
            .collect();
        let (weights, sum, kept) = told(entries, PPLNS);
        assert_eq!((weights, sum, kept), (expected, w, reserve), "{entries}");
    }
}

#[test]
fn a_void_does_nothing_in_a_solo_pot() {
    let (weights, sum, reserve) = told("cat 6, void cat 6, cat 1", SOLO);
    assert_eq!(weights, BTreeMap::from([("cat".to_owned(), 1)]));
    assert_eq!((sum, reserve), (1, 0));
}

#[test]
fn a_void_is_obeyed_once_and_by_what_stands_in_the_ledger() {
    let mut world = World::new(20, PPLNS, 500_000);
    let hello = At {
        position: 2,
        index: 0,
    };
    let another = world.first(1_000);
    let (share_at, first) = world.share("ann", 6);
    let (other, other_first) = world.share("ann", 7);
    let lone = world.alone(share(0, 8, 99));
    let mut stale = share(1, 7, 98);
    stale.stale = true;
    let stale_first = world.first(98);
    let stale = world.alone(stale);
    let later = world.first(99);
    // Share, first, expects; what it takes back, if it is obeyed.
    let table = [
        (share_at, first, first, None),
        (share_at, another, NONE, None),
        (share_at, hello, NONE, None),
        (share_at, At { index: 9, ..first }, NONE, None),
        (share_at, first, NONE, Some(("ann", 6))),
        (share_at, first, NONE, None),
        // Three copies: two are void, whichever is named as the first.
        (other, other_first, NONE, Some(("ann", 7))),
        // The later one, although the thief's came after the honest one.
        (later, lone, NONE, Some(("thief", 1))),
        (stale, stale_first, NONE, Some(("bob", 3))),
    ];
    let mut wrong = Vec::new();
    let mut obeyed = Vec::new();
    for (share, first, expects, taken) in table {
        let at = world.void(share, first, expects);
        match taken {
            None => wrong.push(at),
            Some((account, credit)) => obeyed.push((at, share, first, named(account), credit)),
        }
    }
    let store = world.folded();
    assert_eq!(refused(&store), wrong);
    let kept: Vec<_> = voids(&store)
        .into_iter()
        .map(|row| (row.at, row.share, row.first, row.account, row.credit))
        .collect();
    assert_eq!(kept, obeyed);
}

#[test]
fn a_moved_share_is_void_if_it_counts_and_the_events_of_other_epochs_too() {
    let mut world = World::new(20, PPLNS, 0);
    let (admitted, first) = world.share("ann", 6);
    let nonce = world.nonce;
    // The gateway is started again; then its stream is closed, and moved by another of its streams.
    let mut pen = world.gateway.clone();
    pen.restart();
    let hello = [
        worker(&mut pen, "bob", "rig", PPLNS),
        job(&mut pen, NONE, 20, 1),
    ];
    world.pool.say(&mut pen, &hello);
    world.gateway = pen;
    let again = world.alone(share(0, 5, nonce));
    let lost = Event::EthashShare(share(0, 9, nonce));
    let mut heir = Pen::new(GATEWAY, 3);
    let events = [
        worker(&mut heir, "cat", "rig", PPLNS),
        job(&mut heir, NONE, 20, 1),
        // Admitted already: it does not count.
        moved(
            &Pen {
                epoch: 0,
                ..world.gateway.clone()
            },
            4,
            &Event::EthashShare(share(0, 6, nonce)),
            0,
            0,
        ),
        moved(&world.gateway, world.gateway.next_seq, &lost, 0, 0),
    ];
    let position = world.pool.say(&mut heir, &events);
    let place = |index| At { position, index };
    let wrong = world.void(place(2), first, NONE);
    let right = [
        (world.void(admitted, first, NONE), "ann", 6),
        (world.void(again, admitted, NONE), "bob", 5),
        (world.void(place(3), again, NONE), "cat", 9),
    ];
    let store = world.folded();
    assert_eq!(refused(&store), [wrong]);
    let kept: Vec<_> = voids(&store)
        .into_iter()
        .map(|row| (row.at, row.account, row.credit))
        .collect();
    assert_eq!(
        kept,
        right.map(|(at, account, credit)| (at, named(account), credit))
    );
}

#[test]
fn a_void_of_a_share_that_was_paid_for_itself_takes_its_pay_and_gives_its_donation_back() {
    // Rules 3.6.4 and 4.7.1: a share of 4 is worth 4 · 50 / 20 = 10; ann gives half, and nothing any more when it is voided.
    let mut world = World::new(20, PPS, 0);
    let donates = |expects, ppm| {
        Event::Setting(Box::new(Setting {
            account: named("ann"),
            expects,
            by: SetBy::Operator,
            value: SettingValue::Donation(ppm),
            proof: Vec::new(),
        }))
    };
    let position = world.pool.desk_says(&[donates(NONE, 500_000)]);
    let (share, first) = world.share("ann", 4);
    world.share("bob", 2);
    let said = At { position, index: 0 };
    world.pool.desk_says(&[donates(said, 0)]);
    // Another epoch: numbers of workers and jobs are others' now.
    world.gateway.restart();
    let hello = [
        worker(&mut world.gateway, "cat", "rig", SOLO),
        job(&mut world.gateway, NONE, 7, 9),
    ];
    let mut pen = world.gateway.clone();
    world.pool.say(&mut pen, &hello);
    world.gateway = pen;
    let books = |world: &mut World| {
        let store = world.folded();
        let view = store.view().expect("a view");
        let of = |book: Book| {
            let balance = money::book(&*view, &book).expect("rows");
            (balance.is_negative(), balance.magnitude() / 1_000_000_000)
        };
        [
            of(Book::Available(named("ann"))),
            of(Book::Available(named("bob"))),
            of(Book::Donation),
            of(Book::Reserve),
        ]
    };
    let before = [(false, 5), (false, 5), (false, 5), (true, 15)];
    assert_eq!(books(&mut world), before);
    let void = world.void(share, first, NONE);
    let after = [(false, 0), (false, 5), (false, 0), (true, 5)];
    assert_eq!(books(&mut world), after);
    // The first is obeyed, and no other.
    world.void(share, first, NONE);
    assert_eq!(books(&mut world), after);
    let store = world.folded();
    let view = store.view().expect("a view");
    let postings = money::postings_of(&*view, void).expect("rows");
    assert_eq!(postings.len(), 2);
    let earned = money::earned_of(&*view, &named("ann")).expect("rows");
    assert_eq!(
        (earned.paid, earned.taken_back, earned.donated),
        (10_000_000_000, 10_000_000_000, 0)
    );
}

#[test]
fn a_void_is_of_the_round_that_it_stands_in() {
    let weights = |of: &[(&str, u128)]| -> BTreeMap<String, u128> {
        of.iter()
            .map(|(account, work)| ((*account).to_owned(), *work))
            .collect()
    };
    let (found, sum, _) = told("ann 6, bob 3, void ann 6, cat 1", PROP);
    assert_eq!((found, sum), (weights(&[("bob", 3), ("cat", 1)]), 4));
    // Beyond N of the PPLNS pot, which a round does not ask for.
    let (found, sum, _) = told("ann 60, ann 6, bob 30, void ann 6, cat 1", PROP);
    assert_eq!(
        (found, sum),
        (weights(&[("ann", 60), ("bob", 30), ("cat", 1)]), 91)
    );
}
