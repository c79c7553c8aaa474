//! Ethash's dialects from both ends: `services/miner`'s client, written from the protocols' descriptions, against
//! `services/stratum`'s speaker, bytes piped between them in pieces of any size. Hashes are a toy's; the arithmetic of targets,
//! prefixes and nonces is the real one.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../../services/stratum/tests/pool/mod.rs"]
mod pool;

use orebook_miner::{EthClient, EthDialect, EthFound, EthHasher, EthJob, EthLogin, EthNews};
use orebook_schema::units::U256;
use orebook_schema::{Hash, Work};
use orebook_stratum::{Action, Dialect, Dialects, JobRef};
use pool::{Pool, SEAL, SEED, hash, job};

const DIALECTS: [(EthDialect, Dialect); 5] = [
    (EthDialect::EthProxy, Dialect::EthProxy),
    (EthDialect::NiceHash, Dialect::NiceHash),
    (EthDialect::Stratum2, Dialect::EthereumStratum2),
    (EthDialect::Legacy, Dialect::Legacy),
    (EthDialect::GetWork, Dialect::GetWork),
];

/// Expected hashes of a share; above ethminer's least difficulty, 0.0001.
const WORK: u64 = 1 << 19;
/// Shares that are looked for in each dialect.
const SHARES: usize = 3;

/// SplitMix64 of the seal's first bytes and the nonce, four times.
fn proof(seal: Hash, nonce: u64) -> (Hash, U256) {
    let first = seal.0.first_chunk().copied().unwrap_or_default();
    let mut state = u64::from_be_bytes(first) ^ nonce.rotate_left(32);
    let limbs = [(); 4].map(|()| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    });
    let mut mix = [0; 32];
    mix[..8].copy_from_slice(&limbs[0].to_be_bytes());
    (Hash(mix), U256::from_limbs(limbs))
}

struct Toy;

impl EthHasher for Toy {
    fn hash(&self, job: &EthJob, nonce: u64) -> Option<([u8; 32], U256)> {
        let (mix, value) = proof(Hash(job.seal), nonce);
        Some((mix.0, value))
    }
}

fn login() -> EthLogin {
    EthLogin {
        address: "0xb85150eb365e7df0941f0cf08235f987ba91506a".to_owned(),
        rig: "rig-1".to_owned(),
        password: "x".to_owned(),
    }
}

/// Both ends and what is on its way between them.
struct Wire {
    pool: Pool,
    client: EthClient,
    /// How many bytes go at a time; it changes with each.
    piece: usize,
}

impl Wire {
    fn new(dialect: EthDialect, port: Dialects, login: EthLogin) -> Self {
        let mut pool = Pool::new(port);
        pool.work = Work::new(WORK).expect("work");
        pool.proof = Some(proof);
        Self {
            pool,
            client: EthClient::new(dialect, login),
            piece: 1,
        }
    }

    /// Carries what the client says to the pool, and back, until nobody says anything.
    fn carry(&mut self, mut said: Vec<u8>) -> Vec<EthNews> {
        let mut news = Vec::new();
        while !said.is_empty() {
            let answers: Vec<u8> = self
                .pieces(&said)
                .iter()
                .flat_map(|piece| self.pool.hear(piece))
                .collect();
            said.clear();
            for piece in self.pieces(&answers) {
                news.extend(
                    self.client
                        .hear(&piece, &mut said)
                        .expect("the pool's protocol"),
                );
            }
        }
        news
    }

    fn pieces(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.piece = self.piece % 97 + 1;
        bytes.chunks(self.piece).map(<[u8]>::to_vec).collect()
    }

    fn begin(&mut self) -> Vec<EthNews> {
        let mut said = Vec::new();
        self.client.begin(&mut said);
        self.carry(said)
    }

    /// The pool's newest job, pushed or asked for.
    fn next_job(&mut self) -> EthJob {
        let (mut pushed, mut said) = (Vec::new(), Vec::new());
        self.pool.send(&mut pushed, true);
        let mut news = Vec::new();
        if pushed.is_empty() {
            self.client.ask_work(&mut said);
            news = self.carry(said);
        } else {
            for piece in self.pieces(&pushed) {
                news.extend(
                    self.client
                        .hear(&piece, &mut said)
                        .expect("the pool's protocol"),
                );
            }
            assert!(said.is_empty(), "a job needs no answer");
        }
        newest(&news)
    }

    fn submit(&mut self, job: &EthJob, found: &EthFound) -> Option<String> {
        let mut said = Vec::new();
        let sent = self.client.submit(&mut said, job, found);
        match &self.carry(said)[..] {
            [
                EthNews::Answer {
                    id,
                    error,
                    is_stale: false,
                },
            ] if *id == sent => error.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn newest(news: &[EthNews]) -> EthJob {
    let job = news.iter().rev().find_map(|news| match news {
        EthNews::Job(job) => Some(job.clone()),
        _ => None,
    });
    job.unwrap_or_else(|| panic!("no job in {news:?}"))
}

fn search(job: &EthJob, start: u64) -> Vec<EthFound> {
    let mut found = Vec::new();
    let mut start = start;
    while found.len() < SHARES {
        found.extend(job.search(&Toy, start, 1 << 16));
        start += 1 << 16;
    }
    found
}

#[test]
fn a_miner_of_each_dialect_mines_what_the_pool_assigned() {
    for (dialect, spoken) in DIALECTS {
        for port in [Dialects::ALL, Dialects::NONE.with(spoken)] {
            let mut wire = Wire::new(dialect, port, login());
            let news = wire.begin();
            assert_eq!(news[0], EthNews::Ready, "{dialect:?}");
            assert_eq!(wire.pool.speaker.dialect(), Some(spoken));
            let told = newest(&news);
            assert_eq!(told.seal, hash(SEAL).0, "{dialect:?}");
            let has_prefix = matches!(dialect, EthDialect::NiceHash | EthDialect::Stratum2);
            let prefix: &[u8] = if has_prefix { &[0xaf, 0x4c] } else { &[] };
            assert_eq!(told.prefix, prefix, "{dialect:?}");
            if dialect == EthDialect::Stratum2 {
                assert_eq!((told.epoch, told.seed), (Some(0xdc), None));
            } else {
                assert_eq!((told.epoch, told.seed), (None, Some(hash(SEED).0)));
            }
            let shares = search(&told, 0);
            for found in &shares {
                assert_eq!(wire.submit(&told, found), None, "{dialect:?}");
            }
            let recorded: Vec<u64> = wire.pool.shares.iter().map(|share| share.nonce).collect();
            let mined: Vec<u64> = shares.iter().map(|found| found.nonce).collect();
            assert_eq!(recorded, mined, "{dialect:?}: whole nonces arrive");
            assert!(
                recorded
                    .iter()
                    .all(|nonce| !has_prefix || nonce >> 48 == 0xaf4c)
            );
            let again = wire.submit(&told, &shares[0]);
            assert_eq!(again.as_deref(), Some("Duplicate share"), "{dialect:?}");

            // Another job at another difficulty: shares of the old one are late, those of the new one as hard as assigned.
            wire.pool.work = Work::new(2 * WORK).expect("work");
            wire.pool.job = Some(job(0x1f, hash(&"ab".repeat(32))));
            let next = wire.next_job();
            let late = wire.submit(
                &told,
                &EthFound {
                    nonce: shares[0].nonce + 1,
                    ..shares[0]
                },
            );
            assert_eq!(late.as_deref(), Some("Job not found"), "{dialect:?}");
            for found in search(&next, 1 << 40) {
                assert_eq!(wire.submit(&next, &found), None, "{dialect:?}");
            }
            let low = search(
                &EthJob {
                    target: told.target << 1,
                    ..next.clone()
                },
                1 << 50,
            );
            let refused = low
                .iter()
                .filter(|found| wire.submit(&next, found).is_some())
                .count();
            assert!(0 < refused, "{dialect:?}: twice as easy is not enough");

            let mut said = Vec::new();
            wire.client.tell_rate(&mut said, 5_000_000);
            assert!(wire.carry(said).is_empty());
            let is_told = wire.pool.actions.iter().any(|action| {
                matches!(
                    action,
                    Action::Hashrate {
                        hashes_per_second: 5_000_000,
                        ..
                    }
                )
            });
            assert!(is_told, "{dialect:?}");
            assert_eq!(wire.pool.closed, None);
        }
    }
}

#[test]
fn targets_that_miners_compute_are_those_assigned() {
    for (dialect, _) in DIALECTS {
        for work in [
            1 << 20,
            3_000_000,
            4_000_000_000,
            1 << 40,
            12_345_678_901_234_567,
        ] {
            let mut wire = Wire::new(dialect, Dialects::ALL, login());
            wire.pool.work = Work::new(work).expect("work");
            let told = newest(&wire.begin());
            let ours = wire
                .pool
                .work
                .target(orebook_schema::units::WorkUnit::Ethash);
            assert!(told.target <= ours, "{dialect:?} at {work}: easier");
            assert!(
                ours - told.target <= ours >> 46,
                "{dialect:?} at {work}: harder"
            );
        }
    }
}

#[test]
fn a_ladder_of_connections_finds_the_dialect_of_any_port() {
    for (dialect, spoken) in DIALECTS {
        if dialect == EthDialect::GetWork {
            continue;
        }
        let mut tried = 0;
        for rung in EthDialect::LADDER {
            let mut wire = Wire::new(rung, Dialects::NONE.with(spoken), login());
            let news = wire.begin();
            tried += 1;
            if rung == dialect {
                assert!(news.contains(&EthNews::Ready), "{news:?}");
                break;
            }
            assert!(matches!(news[..], [EthNews::WrongDialect(_)]), "{news:?}");
            let offends = |action: &Action| !matches!(action, Action::NotSpoken(_));
            assert!(!wire.pool.actions.iter().any(offends), "no offence");
        }
        let place = EthDialect::LADDER.iter().position(|rung| *rung == dialect);
        assert_eq!(Some(tried - 1), place);
    }
}

#[test]
fn a_refused_login_and_missing_work_are_understood() {
    for (dialect, _) in DIALECTS {
        let nobody = EthLogin {
            address: "nobody".to_owned(),
            ..login()
        };
        let mut wire = Wire::new(dialect, Dialects::ALL, nobody);
        let words = "no address of this chain".to_owned();
        let expected = match dialect {
            // A first request's error is what the ladder goes on at.
            EthDialect::EthProxy => EthNews::WrongDialect(words),
            EthDialect::GetWork => EthNews::NoWork(words),
            _ => EthNews::LoginRefused(words),
        };
        assert_eq!(wire.begin(), [expected]);
    }
    for dialect in [EthDialect::EthProxy, EthDialect::GetWork] {
        let mut wire = Wire::new(dialect, Dialects::ALL, login());
        wire.pool.job = None;
        let news = wire.begin();
        assert_eq!(
            news.last(),
            Some(&EthNews::NoWork("Work not ready".to_owned()))
        );
    }
}

#[test]
fn a_share_names_its_job_and_its_mix_as_the_dialect_does() {
    for (dialect, _) in DIALECTS {
        let mut wire = Wire::new(dialect, Dialects::ALL, login());
        let told = newest(&wire.begin());
        let found = search(&told, 0)[0];
        wire.submit(&told, &found);
        let share = &wire.pool.shares[0];
        let by_number = matches!(dialect, EthDialect::NiceHash | EthDialect::Stratum2);
        let expected = if by_number {
            (JobRef::Number(0xbf04_88aa), None)
        } else {
            (JobRef::Seal(hash(SEAL)), Some(Hash(found.mix)))
        };
        assert_eq!((share.job, share.mix), expected, "{dialect:?}");
    }
}
