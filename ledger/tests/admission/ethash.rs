//! Jobs, shares and blocks of ethash: credited as others are, counted with them, and in ledgers of their own.

use orebook_ledger::admit::Cause;
use orebook_schema::genesis::Algorithm;
use orebook_schema::summary::Summary;
use orebook_schema::work::{BlockFound, EthashHeader, EthashJob, EthashShare};
use orebook_schema::{At, Event, Hash, Work};

use crate::causes::{assert_admitted, assert_cause};
use crate::world::{
    GATEWAY, NETWORK_WORK, NONE, Pen, World, at, block_found, difficulty, hello, job, moved, nonce,
    pot_summary, stream, winner, worker,
};

const SEAL: Hash = Hash([0x5e; 32]);

pub(crate) fn ethash_job(number: u32, policy: At) -> Event {
    Event::EthashJob(Box::new(EthashJob {
        number,
        policy,
        height: 7,
        network_work: NETWORK_WORK,
        reward: 50,
        fees: 1,
        seal: SEAL,
        seed: Hash::ZERO,
        time: 1,
        clean: true,
    }))
}

fn share_with(edit: impl FnOnce(&mut EthashShare)) -> Event {
    let mut share = EthashShare {
        worker: 0,
        job: 0,
        work: Work::new(100).unwrap(),
        block: false,
        stale: false,
        nonce: 0,
    };
    edit(&mut share);
    Event::EthashShare(share)
}

/// A share of worker 0 and job 0 that differs from others by its nonce.
pub(crate) fn ethash_share(nonce: u64) -> Event {
    share_with(|share| share.nonce = nonce)
}

fn ethash_winner(nonce: u64) -> Event {
    share_with(|share| (share.nonce, share.block) = (nonce, true))
}

fn found(nonce: u64, edit: impl FnOnce(&mut BlockFound)) -> Event {
    let header = EthashHeader {
        seal: SEAL,
        nonce,
        mix: Hash([0x31; 32]),
    };
    let mut block = header.found(7);
    edit(&mut block);
    Event::BlockFound(block)
}

fn greeting() -> [Event; 2] {
    [worker(0, 0), ethash_job(0, NONE)]
}

fn said(events: &[Event]) -> Vec<Event> {
    [greeting().as_slice(), events].concat()
}

#[test]
fn shares_of_ethash_are_credited_as_others_are() {
    let mut world = World::of_ethash();
    let mut pen = Pen::new(GATEWAY, 1);
    let stale = share_with(|share| share.stale = true);
    let events = said(&[ethash_share(1), ethash_share(2), stale]);
    let draft = world.draft(&pen, &events);
    // Two of 100, and of the stale one 333,333 ppm; the effort counts in 10^6 parts of a unit of work.
    let summary = Summary {
        pots: vec![pot_summary(0, 233_000_000, &[(0, 3, 233)])],
    };
    assert!(draft.summary == summary.to_bytes());
    let other = Summary {
        pots: vec![pot_summary(0, 233_000_000, &[(0, 3, 234)])],
    };
    let bytes = draft.with_summary(&other).bytes();
    assert_cause(&world, "another credit", bytes, Cause::Inconsistent);
    world.say(&mut pen, &events);
    let announced = &world.state.stream(stream(1)).unwrap().announced;
    assert_eq!((announced.workers.len(), announced.jobs.len()), (1, 1));
    // Later frames refer to what was announced.
    world.say(&mut pen, &[ethash_share(3), ethash_job(1, NONE)]);
}

#[test]
fn a_job_of_ethash_under_a_policy_that_is_not_final_is_void() {
    let mut world = World::with(|genesis| genesis.algorithm = Algorithm::Etchash);
    let mut pen = Pen::new(GATEWAY, 1);
    let draft = world.draft(&pen, &said(&[ethash_share(1)]));
    let void = Summary {
        pots: vec![pot_summary(0, 0, &[(0, 1, 0)])],
    };
    assert!(draft.summary == void.to_bytes());
    world.say(&mut pen, &said(&[ethash_share(1)]));
}

#[test]
fn numbers_of_ethash_are_dense_and_announced() {
    let world = World::of_ethash();
    let pen = Pen::new(GATEWAY, 1);
    let inconsistent = [
        ("job 1 first", vec![ethash_job(1, NONE)]),
        ("job 0 twice", said(&[ethash_job(0, NONE)])),
        ("job 2 after 0", said(&[ethash_job(2, NONE)])),
        ("no job", vec![worker(0, 0), ethash_share(1)]),
        ("no worker", vec![ethash_job(0, NONE), ethash_share(1)]),
        ("another job", said(&[share_with(|share| share.job = 1)])),
        (
            "another worker",
            said(&[share_with(|share| share.worker = 1)]),
        ),
        ("a policy to come", vec![ethash_job(0, at(2, 0))]),
        ("a difficulty of nobody", said(&[difficulty(1)])),
    ];
    for (what, events) in inconsistent {
        let bytes = world.draft(&pen, &events).bytes();
        assert_cause(&world, what, bytes, Cause::Inconsistent);
    }
    let fine = said(&[ethash_job(1, NONE), share_with(|share| share.job = 1)]);
    assert_admitted(&world, "two jobs", world.draft(&pen, &fine).bytes());
}

#[test]
fn a_ledger_has_work_of_its_own_algorithm_only() {
    let worlds = Algorithm::ALL.map(|algorithm| {
        let mut world = World::with(|genesis| genesis.algorithm = algorithm);
        world.finalise();
        (algorithm, world)
    });
    let plain = [
        ("a job", vec![job(0, NONE)]),
        ("a share", [hello().as_slice(), &[nonce(1)]].concat()),
        ("a moved share", moves(hello(), &[moved(9, 0, &nonce(1))])),
        (
            "a moved block",
            moves(
                hello(),
                &[moved(9, 0, &winner(1)), moved(9, 1, &block_found())],
            ),
        ),
    ];
    let ethash = [
        ("an ethash job", vec![ethash_job(0, NONE)]),
        ("an ethash share", said(&[ethash_share(1)])),
        (
            "a moved ethash share",
            moves(greeting(), &[moved(9, 0, &ethash_share(1))]),
        ),
        (
            "a moved ethash block",
            moves(
                greeting(),
                &[
                    moved(9, 0, &ethash_winner(1)),
                    moved(9, 1, &found(1, |_| {})),
                ],
            ),
        ),
    ];
    for (algorithm, world) in &worlds {
        let is_ethash = matches!(algorithm, Algorithm::Ethash | Algorithm::Etchash);
        for (of_ethash, cases) in [(false, &plain), (true, &ethash)] {
            for (what, events) in cases {
                let what = format!("{what} where the coin is {}", algorithm.name());
                let bytes = world.draft(&Pen::new(GATEWAY, 1), events).bytes();
                if is_ethash == of_ethash {
                    assert_admitted(world, &what, bytes);
                } else {
                    assert_cause(world, &what, bytes, Cause::Malformed);
                }
            }
        }
        // What is moved betrays itself without a job beside it.
        let alone = |inner: &Event| vec![worker(0, 0), moved(9, 0, inner)];
        let foreign = if is_ethash { nonce(1) } else { ethash_share(1) };
        let bytes = world.draft(&Pen::new(GATEWAY, 1), &alone(&foreign)).bytes();
        assert_cause(world, "moved alone", bytes, Cause::Malformed);
    }
}

fn moves(before: [Event; 2], events: &[Event]) -> Vec<Event> {
    [before.as_slice(), events].concat()
}

#[test]
fn a_block_of_ethash_bears_the_name_of_the_share_before_it() {
    let world = World::of_ethash();
    let pen = Pen::new(GATEWAY, 1);
    let cases = [
        ("as it is", found(5, |_| {}), true),
        ("another hash", found(5, |it| it.hash.0[31] ^= 1), false),
        ("another nonce", found(6, |_| {}), false),
        ("a nonce whose bytes are turned", turned(5), false),
        (
            "a coinbase",
            found(5, |it| it.coinbase_txid = Hash([1; 32])),
            false,
        ),
        ("a byte less", found(5, |it| it.header.truncate(71)), false),
        ("a byte more", found(5, |it| it.header.push(0)), false),
        ("no header", found(5, |it| it.header.clear()), false),
        // The seal hash and the mix are asked for by whoever hashes shares again.
        (
            "another seal, rightly named",
            Event::BlockFound(
                EthashHeader {
                    seal: Hash([1; 32]),
                    nonce: 5,
                    mix: Hash::ZERO,
                }
                .found(7),
            ),
            true,
        ),
    ];
    for (what, block, is_right) in cases {
        for (from, inner) in [("own", false), ("moved", true)] {
            let events = if inner {
                said(&[moved(9, 0, &ethash_winner(5)), moved(9, 1, &block)])
            } else {
                said(&[ethash_winner(5), block.clone()])
            };
            let bytes = world.draft(&pen, &events).bytes();
            let what = format!("{what}, {from}");
            if is_right {
                assert_admitted(&world, &what, bytes);
            } else {
                assert_cause(&world, &what, bytes, Cause::Malformed);
            }
        }
    }
    let alone = [
        ("a block alone", said(&[found(5, |_| {})])),
        (
            "after a share that is no block",
            said(&[ethash_share(5), found(5, |_| {})]),
        ),
        (
            "after another event",
            said(&[ethash_winner(5), difficulty(0), found(5, |_| {})]),
        ),
    ];
    for (what, events) in alone {
        let bytes = world.draft(&pen, &events).bytes();
        assert_cause(&world, what, bytes, Cause::Malformed);
    }
}

/// A block whose header has its nonce in the other byte order, named by that.
fn turned(nonce: u64) -> Event {
    found(nonce.swap_bytes(), |_| {})
}

#[test]
fn a_moved_share_of_ethash_counts_once() {
    let mut world = World::of_ethash();
    let (mut old, mut new) = (Pen::new(GATEWAY, 1), Pen::new(GATEWAY, 2));
    world.say(&mut old, &said(&[ethash_share(1)]));
    let admitted = moved(1, 2, &ethash_share(1));
    let lost = moved(1, 3, &ethash_share(2));
    let events = said(&[admitted, lost.clone(), lost.clone()]);
    let counts = world.say(&mut new, &events).counts;
    assert_eq!(counts, [false, true, false]);
    assert_eq!(world.say(&mut new, &[lost]).counts, [false]);
    assert!(world.is_closed(1));
}
