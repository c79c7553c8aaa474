//! Shares of ethash weigh as others do: one story told in shares of either kind gives every fold the same rows.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod pool;

use orebook_replay::digest;
use orebook_replay::fold::Fold;
use orebook_replay::folds::blocks::Blocks;
use orebook_replay::folds::hashrate::{self, Hashrate, Step, Who};
use orebook_replay::folds::money::{self, Money};
use orebook_replay::folds::rounds::Rounds;
use orebook_replay::folds::workers::Workers;
use orebook_replay::store::Store;
use orebook_schema::genesis::Algorithm;
use orebook_schema::work::{BlockState, ethash_name};
use orebook_schema::{At, Event, Hash};
use pool::{
    GATEWAY, PPLNS, Pen, Pool, SEAL, SOLO, START, block_found, block_status, genesis, in_ethash,
    job, moved, named, policy, replayed, share, worker,
};

struct Story {
    pool: Pool,
    is_ethash: bool,
    random: u64,
    nonce: u32,
    /// Blocks and where they were last spoken of.
    blocks: Vec<(Hash, At, Option<BlockState>)>,
}

impl Story {
    fn new(algorithm: Algorithm, seed: u64) -> Self {
        let mut genesis = genesis(policy(|rules| {
            (rules.fee_ppm, rules.bonus_ppm, rules.stale_ppm) = (10_000, 5_000, 500_000);
        }));
        genesis.algorithm = algorithm;
        Self {
            pool: Pool::of(&genesis),
            is_ethash: algorithm == Algorithm::Etchash,
            random: seed,
            nonce: 0,
            blocks: Vec::new(),
        }
    }

    fn below(&mut self, below: u32) -> u32 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.random >> 33) % u64::from(below)).expect("a small number")
    }

    fn say(&mut self, pen: &mut Pen, events: &[Event]) {
        let said: Vec<Event> = match self.is_ethash {
            true => events.iter().map(in_ethash).collect(),
            false => events.to_vec(),
        };
        self.pool.say(pen, &said);
    }

    fn greet(&mut self, pen: &mut Pen) {
        let void = At {
            position: 1,
            index: 0,
        };
        let events = [
            worker(pen, "anna", "rig-1", PPLNS),
            worker(pen, "ben", "rig-2", PPLNS),
            worker(pen, "carl", "rig-3", SOLO),
            job(pen, At::default(), 5_000),
            job(pen, At::default(), 700),
            // No policy stands at position 1: void.
            job(pen, void, 5_000),
        ];
        self.say(pen, &events);
    }

    /// A share, and its block if it finds one.
    fn mined(&mut self) -> Vec<Event> {
        self.nonce += 1;
        let (from, on) = (self.below(3), self.below(3));
        let mut made = share(from, on, 1 + u64::from(self.below(900)), self.nonce);
        (made.stale, made.block) = (self.below(8) == 0, self.below(20) == 0);
        let mut events = vec![Event::Share(made)];
        if made.block {
            let nonce = u64::from(self.nonce);
            let name = ethash_name(&SEAL, nonce);
            events.push(block_found(name, nonce));
            self.blocks.push((name, At::default(), None));
        }
        events
    }

    /// The settler takes one block a step further.
    fn settle(&mut self) {
        if self.blocks.is_empty() {
            return;
        }
        let all = u32::try_from(self.blocks.len()).expect("few");
        let which = usize::try_from(self.below(all)).expect("few");
        let (hash, expects, state) = self.blocks[which];
        let next = match state {
            None => BlockState::Seen,
            Some(BlockState::Seen) => BlockState::Immature,
            Some(BlockState::Immature) if self.below(3) == 0 => BlockState::Orphaned,
            Some(BlockState::Immature | BlockState::Uncle) => BlockState::Confirmed,
            Some(BlockState::Confirmed | BlockState::Orphaned) => return,
        };
        self.pool.finalise();
        let said = block_status(hash, expects, next, 5_000_000, 1_000);
        let at = self.pool.settler_says(&[said]);
        self.blocks[which] = (hash, at, Some(next));
    }
}

/// Two gateways, a restart, and a third that moves what the first had in hand.
fn told(algorithm: Algorithm, seed: u64) -> Pool {
    let mut story = Story::new(algorithm, seed);
    let mut pens = [Pen::new(GATEWAY, 1), Pen::new(GATEWAY + 1, 2)];
    for pen in &mut pens {
        story.greet(pen);
    }
    for turn in 0..120 {
        let pen = usize::try_from(story.below(2)).expect("two");
        let mut events = Vec::new();
        for _ in 0..=story.below(6) {
            events.extend(story.mined());
        }
        story.say(&mut pens[pen], &events);
        if turn == 40 {
            pens[1].restart();
            story.greet(&mut pens[1]);
        }
        if turn == 80 {
            let lost: Vec<Event> = (0..40).flat_map(|_| story.mined()).collect();
            let mut heir = Pen::new(GATEWAY, 3);
            story.greet(&mut heir);
            let old = pens[0].clone();
            let moves = (old.next_seq..).zip(&lost).map(|(seq, event)| {
                let (worker, job) = event
                    .share()
                    .map_or((0, 0), |share| (share.worker, share.job));
                moved(&old, seq, event, worker, job)
            });
            let moves: Vec<Event> = moves.collect();
            story.say(&mut heir, &moves);
            pens[0] = heir;
        }
        story.settle();
    }
    story.pool.finalise();
    story.pool
}

#[track_caller]
fn same_rows(fold: impl Fold + Clone + Send + 'static, plain: &Pool, ethash: &Pool) {
    let digests = [plain, ethash].map(|pool| {
        let store = replayed(pool, fold.clone());
        let view = store.view().expect("a view");
        digest::from_scratch(&fold, view.as_ref()).expect("rows")
    });
    assert_eq!(digests[0], digests[1], "{}", fold.name());
}

fn hashrates(pool: &Pool) -> Vec<String> {
    let store = replayed(pool, Hashrate);
    let view = store.view().expect("a view");
    let as_of = pool.state.ledger_time();
    let all = [
        Who::Pot(PPLNS),
        Who::Pot(SOLO),
        Who::Account(named("anna")),
        Who::Account(named("ben")),
        Who::Account(named("carl")),
    ];
    let figures = all.iter().map(|who| {
        let series = hashrate::series(view.as_ref(), who, Step::Minute, START, as_of);
        let rate = hashrate::hashrate(view.as_ref(), who, as_of, 60_000);
        // In whole hashes: a unit of the other is 65,536 of 65,535 parts of one.
        let points = series.expect("rows").into_iter();
        let points: Vec<_> = points
            .map(|point| (point.start_ms, point.work, point.milli_per_second / 1_000))
            .collect();
        format!("{points:?} {}", rate.expect("rows") / 1_000)
    });
    figures.collect()
}

#[test]
fn a_story_in_shares_of_ethash_gives_every_fold_the_rows_of_the_same_story_in_others() {
    let mut paid = 0;
    for seed in 1..5 {
        println!("seed {seed}");
        let plain = told(Algorithm::Sha256d, seed);
        let ethash = told(Algorithm::Etchash, seed);
        assert_eq!(plain.size(), ethash.size());
        assert_ne!(plain.state.root(), ethash.state.root());
        same_rows(Money, &plain, &ethash);
        same_rows(Blocks, &plain, &ethash);
        same_rows(Rounds, &plain, &ethash);
        // Its rows differ by the unit of work, what they say does not: a unit is a hash in both.
        assert_eq!(hashrates(&plain), hashrates(&ethash));
        same_rows(Workers, &plain, &ethash);
        let store = replayed(&ethash, Money);
        let view = store.view().expect("a view");
        let anna = money::account(view.as_ref(), &named("anna")).expect("rows");
        paid += u32::from(anna.available != money::Balance::default());
    }
    assert!(2 < paid, "anna is paid in {paid} stories of 4");
}
