//! A pool that is killed with signal 9, again and again, at named points and at seeded moments. Every share that was answered
//! `true` is in the ledger exactly once, what is sent again gains nothing, and the books are those of a fresh replay and of
//! the oracle.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use orebook_schema::Hash;
use orebook_schema::genesis::Algorithm;
use orebook_sim::rng::Rng;
use orebook_tests::pool::{Pool, Start};
use orebook_tests::shares::{Held, shares_of};

use crate::books;
use crate::rig::{CONFIG, Memory, RIGS, Working, exactly_once, send_again_until_heard};

/// Seeded moments, unless `OREBOOK_MOMENTS` says another number.
const MOMENTS_DEFAULT: u64 = 100;
/// Longest life that a seeded moment ends.
const MOMENT_MS_MAX: u64 = 900;
/// Shares that a life answers before it may end at its point, so that there is something to lose.
const SHARES_A_LIFE: u64 = 4;
/// How long a life waits for its point: what does not come by is an error of this list.
const POINT_PATIENCE: Duration = Duration::from_secs(40);
/// Lives that a pool gets to send what its spools still hold.
const LIVES_TO_SEND: usize = 3;
/// Lives of one pool, then a fresh one: a start reads its whole ledger.
const LIVES_A_POOL: usize = 45;

/// Where a process is stopped to be killed: path, operation, before or after, how many times it passes before.
const POINTS: [&str; 34] = [
    // The policies beside the spool: written once, so these come first.
    "gateway-1/control write_at before 1",
    "gateway-1/control rename before 1",
    "gateway-1/control rename after 1",
    // A group of shares on its way to the disk, and the answers that wait for it.
    "gateway-1/spool write_at before 6",
    "gateway-1/spool write_at after 6",
    "gateway-1/spool sync before 6",
    "gateway-1/spool sync after 6",
    "gateway-1/spool write_at before 25",
    "gateway-1/spool sync after 25",
    // The start of an epoch, the frame of the life before.
    "gateway-1/spool write_at before 1",
    "gateway-1/spool write_at after 1",
    "gateway-1/spool sync before 1",
    "gateway-1/spool sync after 1",
    "gateway-2/spool sync before 2",
    "gateway-2/spool sync after 2",
    // The archiver's segments, and what it signs.
    "ledger/segments write_at before 3",
    "ledger/segments write_at after 3",
    "ledger/segments sync before 3",
    "ledger/segments sync after 3",
    "ledger/spool write_at before 3",
    "ledger/spool sync after 3",
    "ledger write_at before 4",
    "ledger rename before 2",
    "ledger rename after 2",
    // The mirror.
    "mirror/segments write_at before 3",
    "mirror/segments sync before 3",
    "mirror/segments sync after 3",
    "mirror rename before 2",
    "mirror rename after 2",
    // The settler.
    "settler write_at before 3",
    "settler sync after 3",
    "settler sync before 4",
    // A found block on its way to the nodes.
    "chain submit before 1",
    "chain submit after 1",
];

/// A pool over many lives.
struct Long {
    folder: tempfile::TempDir,
    config: PathBuf,
    /// What each rig sent in all lives.
    memories: [Memory; RIGS.len()],
    lives: usize,
    sent_again: usize,
}

impl Long {
    fn new() -> Self {
        let mut folder = tempfile::tempdir().expect("a folder");
        // To look at what a failure left.
        folder.disable_cleanup(std::env::var_os("OREBOOK_KEEP").is_some());
        println!("{}", folder.path().display());
        let config = folder.path().join("walk.toml");
        fs::write(&config, CONFIG).expect("written");
        Self {
            folder,
            config,
            memories: Default::default(),
            lives: 0,
            sent_again: 0,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("pool")
    }

    /// One life: starts, sends everything of the last life again, mines on every port until `ends` says so, and is killed.
    fn live(
        &mut self,
        what: &str,
        stop_at: Option<&str>,
        mut ends: impl FnMut(&mut Pool, u64) -> bool,
    ) {
        self.lives += 1;
        let mut pool = match Pool::try_start(&self.data(), &self.config, stop_at) {
            Start::Serves(pool) => *pool,
            Start::Ended(said) => {
                let stopped = said.iter().any(|line| line.starts_with("stopped at "));
                assert!(
                    stopped,
                    "{what}: the pool does not start:\n{}",
                    said.join("\n")
                );
                return;
            }
        };
        let rigs: Vec<Working> = RIGS
            .iter()
            .map(|(port, user)| Working::start(pool.stratum[*port], user, self.lives))
            .collect();
        let started = Instant::now();
        loop {
            let accepted = rigs.iter().map(Working::accepted_so_far).sum();
            if ends(&mut pool, accepted) {
                break;
            }
            assert!(
                !pool.is_gone(),
                "{what}: it ended by itself: {}",
                pool.kill().join("\n")
            );
            if POINT_PATIENCE < started.elapsed() {
                panic!(
                    "{what}: the point does not come by:\n{}",
                    pool.kill().join("\n")
                );
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        // What the pool said is of interest only where something is wrong.
        drop(pool.kill());
        for (memory, rig) in self.memories.iter_mut().zip(rigs) {
            memory.extend(rig.end());
        }
    }

    fn held(&self) -> BTreeMap<Hash, Held> {
        shares_of(&self.data().join("ledger"), Algorithm::Sha256d)
    }

    /// Shares that were answered `true` and are not in the ledger.
    fn waiting(&self, held: &BTreeMap<Hash, Held>) -> usize {
        let sent = self.memories.iter().flatten();
        sent.filter(|(hash, sent)| sent.accepted && !held.contains_key(hash))
            .count()
    }

    /// After the last life: everything once more, then the ledger is looked at.
    fn judge(&mut self) {
        let pool = Pool::start(&self.data(), &self.config);
        for ((port, user), memory) in RIGS.iter().zip(&self.memories) {
            self.sent_again += memory.len();
            let answers = send_again_until_heard(pool.stratum[*port], user, memory);
            let gained = answers.iter().filter(|answer| answer.is_none()).count();
            assert_eq!(gained, 0, "{user}: what was sent again is not taken again");
            assert!(
                answers.iter().all(|code| *code == Some(21)),
                "{user}: jobs of former lives are unknown: {answers:?}"
            );
        }
        let mut digests = books::settle(&pool);
        pool.stop();
        let mut held = self.held();
        // On a busy machine frames may still be in a spool: the next life sends them.
        for _ in 0..LIVES_TO_SEND {
            if self.waiting(&held) == 0 {
                break;
            }
            println!("{} shares are in no ledger yet", self.waiting(&held));
            let pool = Pool::start(&self.data(), &self.config);
            digests = books::settle(&pool);
            pool.stop();
            held = self.held();
        }
        let of_mirror = shares_of(&self.data().join("mirror"), Algorithm::Sha256d);
        let all: BTreeMap<Hash, bool> = self
            .memories
            .iter()
            .flatten()
            .map(|(hash, sent)| (*hash, sent.accepted))
            .collect();
        exactly_once(&all, &held);
        let accepted = all.values().filter(|accepted| **accepted).count();
        println!(
            "{} lives, {} shares answered true of {} sent, {} in the ledger, {} sent again",
            self.lives,
            accepted,
            all.len(),
            held.len(),
            self.sent_again
        );
        assert!(self.lives * 2 < accepted, "the rigs worked");
        let missing = held
            .keys()
            .filter(|hash| !of_mirror.contains_key(hash))
            .count();
        assert!(
            missing * 10 < held.len(),
            "the mirror follows: {missing} missing"
        );
        books::agree(&self.data(), &self.config, &digests);
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn killed_at_named_points_a_pool_loses_and_repeats_nothing() {
    let mut long = Long::new();
    for point in POINTS {
        println!("{point}");
        long.live(point, Some(point), |pool, _| pool.is_stopped());
        // A life that does something behind it: what the last one left must be gone on with.
        if long.lives.is_multiple_of(4) {
            long.live("a life in between", None, |_, accepted| {
                SHARES_A_LIFE <= accepted
            });
        }
    }
    long.judge();
}

#[test]
fn killed_at_seeded_moments_a_pool_loses_and_repeats_nothing() {
    let moments = number("OREBOOK_MOMENTS", MOMENTS_DEFAULT);
    let seed = number("OREBOOK_SEED", 1);
    println!("seed {seed}, {moments} moments");
    let mut rng = Rng::new(seed);
    let mut done = 0;
    while done < moments {
        let mut long = Long::new();
        while done < moments && long.lives < LIVES_A_POOL {
            let life = Duration::from_millis(rng.below(MOMENT_MS_MAX));
            let started = Instant::now();
            long.live("a moment", None, |_, _| life <= started.elapsed());
            done += 1;
        }
        long.live("the last", None, |_, accepted| SHARES_A_LIFE <= accepted);
        long.judge();
    }
}
