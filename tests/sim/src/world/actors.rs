//! The actors of a run: each has a disk of its own and a life that a crash ends.

use std::collections::BTreeSet;
use std::sync::Arc;

use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::log::Log;
use orebook_ledger::publisher::{Clock, Publisher};
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::StoreConfig;
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{Spool, SpoolConfig, SpoolResult};
use orebook_schema::names::{Account, Pot, RegisteredName, WorkerName};
use orebook_schema::units::WorkUnit;
use orebook_schema::work::{
    BlockFound, Difficulty, EthashHeader, EthashJob, EthashShare, Extranonce, Job, Share, Worker,
};
use orebook_schema::{At, Event, Hash, LedgerId, Role, StreamId, Work};

use crate::checks::{ShareId, nonce_of, share_id};
use crate::disk::SimDisk;
use crate::rng::Rng;

/// What every actor knows.
#[derive(Clone, Debug)]
pub struct Common {
    /// Ledger.
    pub ledger: LedgerId,
    /// Segment files.
    pub store: StoreConfig,
    /// Spool files.
    pub spool: SpoolConfig,
}

/// Why a step ended an actor's life, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Alive,
    /// The process ends: it starts again later.
    Dead(String),
    /// It found damage on its own disk and says so.
    Damaged(String),
}

/// Says what happens, if `OREBOOK_TRACE` is set.
pub fn trace(what: std::fmt::Arguments<'_>) {
    if std::env::var_os("OREBOOK_TRACE").is_some() {
        println!("{what}");
    }
}

/// Judges an error by its words, as the roles' threads do: fatal disk errors, and what failed before, end a process;
/// everything else is tried again.
pub fn outcome_of(error: &(impl std::fmt::Debug + std::fmt::Display)) -> Outcome {
    let words = format!("{error:?}");
    trace(format_args!("  {error}"));
    if words.contains("Damaged") {
        Outcome::Damaged(error.to_string())
    } else if words.contains("Fatal") || words.contains("Failed") {
        Outcome::Dead(error.to_string())
    } else {
        Outcome::Alive
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct GatewayLife {
    /// Its spool.
    pub spool: Spool<SimDisk>,
    /// Its view of the ledger.
    pub reader: Reader<SimDisk>,
    /// Its publisher.
    pub publisher: Publisher<SimDisk>,
    /// Numbers of live rigs and jobs.
    workers: Vec<u32>,
    jobs: Vec<u32>,
}

/// A gateway and what outlives its process.
#[derive(Debug)]
pub struct Gateway {
    /// Name in messages.
    pub name: String,
    /// Its disk.
    pub disk: SimDisk,
    /// Its key.
    pub signer: Signer,
    /// None while it is down.
    pub life: Option<GatewayLife>,
}

/// A share that a miner sends.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Its identity.
    pub id: ShareId,
    /// Whether the gateway answered `true`.
    pub answered: bool,
}

fn pick(numbers: &[u32], rng: &mut Rng) -> u32 {
    let index = usize::try_from(rng.below(numbers.len() as u64)).unwrap_or(0);
    numbers.get(index).copied().unwrap_or(0)
}

fn new_stream(rng: &mut Rng, now: u64) -> StreamId {
    let mut random = [0; 10];
    rng.fill(&mut random);
    StreamId::from_parts(now, random)
}

impl Gateway {
    /// Starts the process on what its disk holds.
    ///
    /// # Errors
    /// How the start failed.
    pub fn start(&mut self, common: &Common, now: u64, rng: &mut Rng) -> Result<(), Outcome> {
        let fail = |error: &dyn std::fmt::Debug| Outcome::Dead(format!("{error:?}"));
        let (reader, _) = Reader::open(self.disk.clone(), "mirror", common.ledger, common.store, 0)
            .map_err(|error| start_outcome(&error))?;
        let (mut spool, _) = Spool::open(
            self.disk.clone(),
            "spool",
            common.spool,
            self.signer.clone(),
        )
        .map_err(|error| start_outcome(&error))?;
        teach(&mut spool, &reader).map_err(|error| fail(&error))?;
        spool
            .begin(now, new_stream(rng, now))
            .map_err(|error| fail(&error))?;
        let publisher = Publisher::new();
        self.life = Some(GatewayLife {
            spool,
            reader,
            publisher,
            workers: Vec::new(),
            jobs: Vec::new(),
        });
        Ok(())
    }
}

fn start_outcome(error: &(impl std::fmt::Debug + std::fmt::Display)) -> Outcome {
    match outcome_of(error) {
        Outcome::Alive => Outcome::Dead(format!("{error:?}")),
        other => other,
    }
}

fn teach(spool: &mut Spool<SimDisk>, reader: &Reader<SimDisk>) -> SpoolResult<()> {
    if let Some(authority) = reader.settled().authority()
        && let (at, Some(obeyed)) = authority.newest_policy()
        && obeyed.effective < reader.final_size()
    {
        spool.learn_policy(at, Arc::clone(&obeyed.policy))?;
    }
    Ok(())
}

/// What every job of a run seals, or stands on.
const SEAL: Hash = Hash([7; 32]);

impl GatewayLife {
    /// Whether the coin is ethash.
    fn is_ethash(&self) -> bool {
        let authority = self.reader.settled().authority();
        authority.is_some_and(|it| it.genesis().algorithm.work_unit() == WorkUnit::Ethash)
    }

    /// The newest policy that may be cited: obeyed, and final.
    fn policy(&self) -> Option<At> {
        let authority = self.reader.settled().authority()?;
        let (at, obeyed) = authority.newest_policy();
        (obeyed?.effective < self.reader.final_size()).then_some(at)
    }

    /// Miners send shares; the gateway records and answers them. None if it has no work for them yet.
    pub fn serve(
        &mut self,
        now: u64,
        rng: &mut Rng,
        fresh: &mut impl FnMut() -> ShareId,
    ) -> (Vec<Sent>, Outcome) {
        let Some(policy) = self.policy() else {
            return (Vec::new(), Outcome::Alive);
        };
        if let Err(error) = teach(&mut self.spool, &self.reader) {
            return (Vec::new(), outcome_of(&error));
        }
        let mut group = Vec::new();
        let (workers, jobs) = (self.workers.clone(), self.jobs.clone());
        if self.workers.is_empty() || rng.chance(1, 12) {
            self.announce_worker(now, rng, &mut group);
        }
        if self.jobs.is_empty() || rng.chance(1, 10) {
            self.announce_job(now, rng, policy, &mut group);
        }
        let mut ids = Vec::new();
        for _ in 0..rng.range(1, 6) {
            let id = fresh();
            ids.push(id);
            self.share(now, rng, id, &mut group);
        }
        match self.spool.append(&group) {
            Ok(_) => (
                ids.into_iter()
                    .map(|id| Sent { id, answered: true })
                    .collect(),
                Outcome::Alive,
            ),
            Err(error) => {
                (self.workers, self.jobs) = (workers, jobs);
                let sent = ids
                    .into_iter()
                    .map(|id| Sent {
                        id,
                        answered: false,
                    })
                    .collect();
                (sent, outcome_of(&error))
            }
        }
    }

    fn announce_worker(&mut self, now: u64, rng: &mut Rng, group: &mut Vec<(u64, Event)>) {
        let number = self.spool.next_worker();
        let name = RegisteredName::parse(&format!("miner-{}", rng.below(4)));
        let (Some(name), Some(worker)) = (name, WorkerName::parse("rig")) else {
            return;
        };
        let worker = Worker {
            number,
            pot: Pot(u16::try_from(rng.below(5)).unwrap_or(0)),
            extranonce1: Extranonce::new(&number.to_be_bytes()).unwrap_or_default(),
            extranonce2_size: 4,
            version_mask: 0,
            account: Account::Name(name),
            name: worker,
        };
        group.push((now, Event::Worker(Box::new(worker))));
        if let Some(work) = Work::new(rng.range(1, 1 << 40)) {
            group.push((
                now,
                Event::Difficulty(Difficulty {
                    worker: number,
                    work,
                }),
            ));
        }
        self.workers.push(number);
    }

    fn announce_job(&mut self, now: u64, rng: &mut Rng, policy: At, group: &mut Vec<(u64, Event)>) {
        let number = self.spool.next_job();
        let job = Job {
            number,
            policy,
            height: now / 1_000,
            network_work: u128::from(rng.range(1, u64::MAX)),
            reward: 5_000_000_000,
            fees: 1_000,
            version: 0x2000_0000,
            prev: SEAL,
            nbits: 0x207f_ffff,
            time: 1_700_000_000,
            clean: rng.chance(1, 2),
            coinbase1: vec![1; 60],
            coinbase2: vec![2; 40],
            branches: vec![Hash([3; 32]); usize::try_from(rng.below(3)).unwrap_or(0)],
            direct: 0,
        };
        let event = if self.is_ethash() {
            Event::EthashJob(Box::new(EthashJob {
                number,
                policy,
                height: job.height,
                network_work: job.network_work,
                reward: job.reward,
                fees: job.fees,
                seal: SEAL,
                seed: Hash::ZERO,
                time: job.time,
                clean: job.clean,
            }))
        } else {
            Event::Job(Box::new(job))
        };
        group.push((now, event));
        self.jobs.push(number);
    }

    fn share(&self, now: u64, rng: &mut Rng, id: ShareId, group: &mut Vec<(u64, Event)>) {
        let Some(work) = Work::new(rng.range(1, 1 << 40)) else {
            return;
        };
        let block = rng.chance(1, 40);
        let share = Share {
            worker: pick(&self.workers, rng),
            job: pick(&self.jobs, rng),
            work,
            block,
            stale: rng.chance(1, 10),
            nonce: id.0,
            ntime: id.1,
            version: 0x2000_0000,
            extranonce2: Extranonce::new(&id.0.to_le_bytes()).unwrap_or_default(),
        };
        let nonce = nonce_of(id);
        let (event, found) = if self.is_ethash() {
            let share = EthashShare {
                worker: share.worker,
                job: share.job,
                work,
                block,
                stale: share.stale,
                nonce,
            };
            let mix = Hash([8; 32]);
            let header = EthashHeader {
                seal: SEAL,
                nonce,
                mix,
            };
            (Event::EthashShare(share), header.found(1))
        } else {
            let found = BlockFound {
                hash: Hash([9; 32]),
                height: 1,
                coinbase_txid: Hash([8; 32]),
                header: vec![0; 80],
            };
            (Event::Share(share), found)
        };
        group.push((now, event));
        if block {
            group.push((now, Event::BlockFound(found)));
        }
    }

    /// Reads the ledger, cuts frames, sends them, trims.
    pub fn turn(
        &mut self,
        log: &mut impl Log,
        peer: Option<&Reader<SimDisk>>,
        now: u64,
        rng: &mut Rng,
    ) -> Outcome {
        match read(&mut self.reader, log, peer, rng) {
            Outcome::Alive => {}
            other => return other,
        }
        if let Err(error) = teach(&mut self.spool, &self.reader) {
            return outcome_of(&error);
        }
        if (self.spool.should_cut(now) || rng.chance(1, 4))
            && let Err(error) = self.spool.cut()
        {
            return outcome_of(&error);
        }
        let stream = new_stream(rng, now);
        match self.publisher.tick(
            &mut self.spool,
            &mut self.reader,
            log,
            Clock::at(now),
            stream,
        ) {
            Ok(published) => {
                if let Some(map) = published.moved {
                    trace(format_args!("  moved to {stream}: {map:?}"));
                    self.workers = self
                        .workers
                        .iter()
                        .filter_map(|old| map.workers.get(old).copied())
                        .collect();
                    self.jobs = self
                        .jobs
                        .iter()
                        .filter_map(|old| map.jobs.get(old).copied())
                        .collect();
                }
                Outcome::Alive
            }
            Err(error) => outcome_of(&error),
        }
    }

    /// Whether everything it answered is final.
    pub fn is_done(&self) -> bool {
        self.publisher.is_idle() && self.spool.pending_events() == 0
    }
}

/// Shares in the frames that a spool holds.
///
/// # Errors
/// The spool's.
pub fn shares_in(spool: &Spool<SimDisk>) -> SpoolResult<BTreeSet<ShareId>> {
    let mut ids = BTreeSet::new();
    let Some(oldest) = spool.streams().first().copied() else {
        return Ok(ids);
    };
    let mut frames = spool.frames_from(oldest.stream, 0)?;
    while let Some(frame) = frames.next_frame(spool)? {
        let events = frame.decode().unwrap_or_default();
        ids.extend(events.iter().filter_map(share_id));
    }
    Ok(ids)
}

/// Polls a reader; missing positions, and those that the log has deleted, are fetched from `peer`.
pub fn read(
    reader: &mut Reader<SimDisk>,
    log: &impl Log,
    peer: Option<&Reader<SimDisk>>,
    rng: &mut Rng,
) -> Outcome {
    let most = usize::try_from(rng.range(1, 40)).unwrap_or(1);
    match reader.poll(log, most) {
        Ok(_) => Outcome::Alive,
        Err(ReadError::Missing { to, root, .. }) => {
            let Some(peer) = peer else {
                return Outcome::Alive;
            };
            match reader.adopt(peer.store().records(0), to, root) {
                Ok(()) => Outcome::Alive,
                Err(error) => outcome_of(&error),
            }
        }
        Err(ReadError::Behind { .. }) => {
            let Some(peer) = peer else {
                return Outcome::Alive;
            };
            match reader.adopt_final(peer.store().records(0)) {
                Ok(_) => Outcome::Alive,
                Err(error) => outcome_of(&error),
            }
        }
        Err(error) => outcome_of(&error),
    }
}

/// A reader as a projector runs it.
#[derive(Debug)]
pub struct Projector {
    /// Name in messages.
    pub name: String,
    /// Its disk.
    pub disk: SimDisk,
    /// None while it is down.
    pub life: Option<Reader<SimDisk>>,
    /// Whether its disk was damaged on purpose: then it may say so.
    pub damaged: bool,
}

impl Projector {
    /// Starts the process.
    ///
    /// # Errors
    /// How the start failed.
    pub fn start(&mut self, common: &Common) -> Result<(), Outcome> {
        let opened = Reader::open(self.disk.clone(), "mirror", common.ledger, common.store, 0);
        let (reader, _) = opened.map_err(|error| start_outcome(&error))?;
        self.life = Some(reader);
        Ok(())
    }
}

/// An archiver.
#[derive(Debug)]
pub struct Keeper {
    /// Name in messages.
    pub name: String,
    /// Its disk.
    pub disk: SimDisk,
    /// Its key.
    pub signer: Signer,
    /// None while it is down.
    pub life: Option<Archiver<SimDisk>>,
}

impl Keeper {
    /// Starts the process.
    ///
    /// # Errors
    /// How the start failed.
    pub fn start(&mut self, common: &Common, now: u64, rng: &mut Rng) -> Result<(), Outcome> {
        let config = ArchiverConfig {
            ledger: common.ledger,
            store: common.store,
            spool: SpoolConfig {
                role: Role::Archiver,
                ..common.spool
            },
            signer: self.signer.clone(),
        };
        let stream = new_stream(rng, now);
        let opened = Archiver::open(self.disk.clone(), "archive", config, now, stream);
        let (archiver, _) = opened.map_err(|error| start_outcome(&error))?;
        self.life = Some(archiver);
        Ok(())
    }

    /// One turn.
    pub fn turn(&mut self, log: &mut impl Log, now: u64, rng: &mut Rng) -> Outcome {
        let Some(archiver) = &mut self.life else {
            return Outcome::Alive;
        };
        let most = usize::try_from(rng.range(1, 40)).unwrap_or(1);
        match archiver.tick(log, now, most, new_stream(rng, now)) {
            Ok(_) => Outcome::Alive,
            Err(error) => outcome_of(&error),
        }
    }
}
