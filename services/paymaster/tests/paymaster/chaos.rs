//! Everything at once, by a seed; then calm: every line is paid once or returned, and the books say what the chain does.

use orebook_replay::folds::money::payouts::TxState;
use orebook_sim::broker::SendFaults;
use orebook_sim::rng::Rng;

use crate::chain::{Edge, Fault};
use crate::setup::{APPROVERS, LAST, Mood, Setup, account};
use crate::world::World;

const SEEDS: u64 = 200;

/// How often things happened in all chaos: what never happens proves nothing.
#[derive(Debug, Default)]
struct Happened {
    deaths: usize,
    batches: u64,
    replaced: usize,
    conflicted: usize,
    cancelled: usize,
    faults: u64,
    halts: u64,
    not_obeyed: u64,
    reorganised: u64,
}

fn trouble(world: &mut World, rng: &mut Rng, happened: &mut Happened) {
    match rng.below(12) {
        0..=3 => world.chain.mine(1),
        4 => world.chain.mine_empty(rng.range(1, 3)),
        5 => world.chain.forget(),
        6 => {
            world.chain.reorganise(rng.range(1, LAST), rng.chance(1, 2));
            happened.reorganised += 1;
        }
        7 | 8 => {
            let edge = [
                Edge::Ready,
                Edge::Estimate,
                Edge::Sign,
                Edge::Send,
                Edge::Look,
            ];
            let edge = edge[rng.below(5) as usize];
            let fault = [
                Fault::Failed,
                Fault::FailedButHappened,
                Fault::Refused,
                Fault::RefusedButHappened,
            ];
            let most = if edge == Edge::Send { 4 } else { 2 };
            let fault = fault[rng.below(most) as usize];
            world.chain.fault(edge, rng.below(3), fault);
        }
        9 => {
            let moods = [Mood::Honest, Mood::Honest, Mood::Silent];
            let mut mood = || moods[rng.below(3) as usize];
            *world.projectors.moods.lock().unwrap() = [mood(), mood()];
        }
        10 => {
            let newest = world.wallet().batches.checked_sub(1);
            let txs = newest.map_or(Vec::new(), |batch| world.txs(batch));
            let open = txs
                .iter()
                .find(|tx| !tx.spends.is_empty() && tx.state != TxState::Final);
            if let Some(tx) = open
                && rng.chance(1, 4)
            {
                world.chain.steal(&tx.spends);
            }
        }
        _ => {
            let fee = 5 + u128::from(rng.below(20));
            world.chain.set_fee(fee);
        }
    }
}

fn chaos(seed: u64, happened: &mut Happened) {
    let mut rng = Rng::new(seed);
    let setup = Setup {
        paymasters: 1 + (seed % 2) as usize,
        auto_pay_limit: if rng.chance(1, 4) { 300 } else { 1 << 80 },
        sights: 1 + rng.below(2) as u32,
        coins: 30,
        ..Setup::new(rng.chance(1, 2))
    };
    let mut world = World::new(setup);
    let accounts = |rng: &mut Rng| {
        let accounts = (0..4).map(|n| (account(n), u128::from(rng.range(20, 400))));
        accounts.collect::<Vec<_>>()
    };
    for turn in 0..130 {
        if turn % 45 == 0 {
            let more = accounts(&mut rng);
            world.broker.set_faults(SendFaults::default());
            world.keeper_runs = true;
            if world.paymasters.iter().all(|it| !it.disk.crashed()) {
                for life in &world.paymasters {
                    life.disk.faults().crash_after(0);
                }
                world.give(&more);
            }
        }
        if rng.chance(1, 4) {
            trouble(&mut world, &mut rng, happened);
        }
        world.broker.set_faults(if rng.chance(1, 2) {
            SendFaults::BAD_DAY
        } else {
            SendFaults::default()
        });
        world.keeper_runs = !rng.chance(1, 5);
        if rng.chance(1, 10) {
            let index = rng.below(world.paymasters.len() as u64) as usize;
            let disk = &world.paymasters[index].disk;
            disk.faults().crash_after(rng.range(1, 20));
        }
        for index in world.turn_with_deaths() {
            happened.deaths += 1;
            let (now, power) = (world.now, rng.chance(1, 2));
            world.paymasters[index].restart(now, power);
        }
    }
    for life in &world.paymasters {
        life.disk.faults().crash_after(0);
    }
    happened.faults += world.chain.struck();
    calm(&mut world);
    world.check_all_paid(&format!("seed {seed}"));
    happened.batches += world.wallet().batches;
    for batch in 0..world.wallet().batches {
        for tx in world.txs(batch) {
            happened.replaced += tx.txids.len().saturating_sub(1);
            happened.cancelled += usize::from(tx.state == TxState::Cancelled);
            happened.conflicted +=
                usize::from(tx.state == TxState::Cancelled && !tx.txids.is_empty());
        }
    }
    let metrics = world.paymasters.iter().map(|it| it.metrics());
    for metrics in metrics {
        happened.halts += metrics.said_halted;
        happened.not_obeyed += metrics.not_obeyed;
    }
}

/// People approve and resume, the chain goes on, nothing fails.
fn calm(world: &mut World) {
    world.chain.no_more_faults();
    world.broker.set_faults(SendFaults::default());
    world.broker.deliver(true);
    world.keeper_runs = true;
    *world.projectors.moods.lock().unwrap() = [Mood::Honest; 2];
    let mut quiet = 0;
    for _ in 0..60 {
        world.turns(12);
        world.chain.mine(1);
        if world.wallet().halted.is_some() {
            world.resume();
        }
        let newest = world.wallet().batches.checked_sub(1);
        if let Some(batch) = newest
            && world.batch(batch).unwrap().approved.is_none()
            && world.state(batch, 0) == Some(TxState::Unsigned)
        {
            world.approve(world.digest_of(batch), &APPROVERS);
        }
        quiet = if world.is_settled() { quiet + 1 } else { 0 };
        if quiet == 2 {
            return;
        }
    }
    panic!(
        "it does not come to rest: {}; {:?}",
        world.why(),
        world.states()
    );
}

#[test]
fn whatever_fails_each_line_is_paid_once_or_returned() {
    let mut happened = Happened::default();
    for seed in 0..SEEDS {
        println!("seed {seed}");
        chaos(seed, &mut happened);
    }
    println!("{happened:?}");
    let it = happened;
    assert!(100 < it.deaths && 200 < it.batches && 100 < it.faults);
    assert!(0 < it.conflicted && 0 < it.halts && 50 < it.reorganised);
}
