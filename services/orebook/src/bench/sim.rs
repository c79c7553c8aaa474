//! A pool without sockets in simulated time: spool, publisher, archiver and a reader on a real disk, driven by the calls
//! that a gateway makes. The ledger that comes out is what such a pool writes.

use std::path::Path;
use std::sync::Arc;

use orebook_chain::Template;
use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::build::{Cut, build_frame};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::log::{EmbeddedLog, Log, LogRecord, LogResult};
use orebook_ledger::publisher::{Clock, Publisher};
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::{SegmentStore, StoreConfig};
use orebook_ledger::spool::Spool;
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::genesis::Algorithm;
use orebook_schema::summary::Summary;
use orebook_schema::work::{BlockFound, Difficulty, Extranonce, Share};
use orebook_schema::{At, Event, Hash, Role, StreamId, Work};

use super::ground::{
    ARCHIVE, COIN, LEDGER, MIRROR, WORKERS, failed, job, signer, spool_config, template, worker_of,
    write_genesis,
};
use crate::Failure;

/// When simulated time begins, milliseconds since 1970.
const BEGIN_MS: u64 = 1_760_000_000_000;
/// How far a log's clock is ahead where its records are kept for another: an hour.
#[cfg(feature = "kafka")]
const AHEAD_MS: u64 = 3_600_000;
/// How often a gateway looks what is to be cut and sent, milliseconds.
pub(super) const HOUSE_MS: u64 = 20;
/// Records taken at once.
const RECORDS_MAX: usize = 256;
/// Work of a share: difficulty 1,000.
pub(super) const WORK: u64 = 1_000 << 32;
/// Rigs announced in one group: it must fit a frame.
const ANNOUNCED_AT_ONCE: u32 = 250;
/// Turns in which everything must become final: two minutes.
const SETTLE_TURNS: u64 = 120_000 / HOUSE_MS;

/// The embedded log, with a clock that is ahead of the producers', and a copy of what was sent if that is wanted.
struct SimLog {
    log: EmbeddedLog,
    ahead_ms: u64,
    sent: Option<Sent>,
}

/// Everything that a log holds.
#[cfg_attr(
    not(feature = "kafka"),
    allow(dead_code, reason = "only other logs want it")
)]
pub(super) struct Sent {
    pub(super) opened: Option<IncarnationOpened>,
    pub(super) records: Vec<Vec<u8>>,
}

impl Log for SimLog {
    fn newest(&self) -> LogResult<Option<u32>> {
        self.log.newest()
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        self.log.generation(incarnation)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        self.log.read(incarnation, offset, max)
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        self.log.offset_at(incarnation, append_time)
    }

    fn send(&mut self, incarnation: u32, now: u64, bytes: &[u8]) -> LogResult<()> {
        self.log.send(incarnation, now + self.ahead_ms, bytes)?;
        if let Some(sent) = &mut self.sent {
            sent.records.push(bytes.to_vec());
        }
        Ok(())
    }

    fn open_incarnation(&mut self, now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        self.log.open_incarnation(now + self.ahead_ms, opened)?;
        if let Some(sent) = &mut self.sent {
            sent.opened = Some(*opened);
        }
        Ok(())
    }
}

/// Who mines.
#[derive(Clone, Copy, Debug)]
pub(super) struct People {
    /// Rigs, all announced before the first share.
    pub(super) rigs: u32,
    /// Rigs of each account.
    pub(super) rigs_an_account: u32,
}

impl People {
    /// 10,000 rigs of 2,500 accounts.
    pub(super) const USUAL: Self = Self {
        rigs: WORKERS,
        rigs_an_account: 4,
    };
}

pub(super) struct Sim {
    people: People,
    now: u64,
    log: SimLog,
    spool: Spool<RealDisk>,
    publisher: Publisher<RealDisk>,
    mirror: Reader<RealDisk>,
    archiver: Archiver<RealDisk>,
    template: Template,
    policy: At,
    streams: u8,
    random: u64,
    /// Number of the newest job.
    job: u32,
    /// Shares said.
    shares: u64,
}

impl Sim {
    /// A ledger below `dir` with its genesis final, 10,000 rigs announced and a job.
    pub(super) fn open(dir: &Path, segment_positions: u32) -> Result<Self, Failure> {
        Self::open_for(dir, segment_positions, People::USUAL)
    }

    /// The same with other rigs.
    pub(super) fn open_for(
        dir: &Path,
        segment_positions: u32,
        people: People,
    ) -> Result<Self, Failure> {
        let log = SimLog {
            log: EmbeddedLog::new(),
            ahead_ms: 0,
            sent: None,
        };
        Self::open_on(dir, segment_positions, people, &[], log)
    }

    /// The same, keeping what is sent, for another log; the genesis is written to these folders too. A frame's ledger time is
    /// at most ten minutes after its last event: in a log that is later than that, as this one is and every real one, what
    /// its clock says does not matter, and the checkpoints are right there too.
    #[cfg(feature = "kafka")]
    pub(super) fn open_recorded(dir: &Path, folders: &[&str]) -> Result<Self, Failure> {
        let log = SimLog {
            log: EmbeddedLog::new(),
            ahead_ms: AHEAD_MS,
            sent: Some(Sent {
                opened: None,
                records: Vec::new(),
            }),
        };
        Self::open_on(dir, 65_536, People::USUAL, folders, log)
    }

    fn open_on(
        dir: &Path,
        segment_positions: u32,
        people: People,
        folders: &[&str],
        log: SimLog,
    ) -> Result<Self, Failure> {
        let disk = RealDisk::new(dir.to_path_buf());
        let folders = [&[ARCHIVE, MIRROR], folders].concat();
        write_genesis(
            &disk,
            (segment_positions, Algorithm::Sha256d),
            BEGIN_MS,
            &folders,
        )?;
        let config = ArchiverConfig {
            ledger: LEDGER,
            store: StoreConfig::default(),
            spool: spool_config(Role::Archiver, 1 << 20, 64 << 20),
            signer: signer(Role::Archiver),
        };
        let stream = StreamId::from_parts(BEGIN_MS, [2; 10]);
        let opened = Archiver::open(disk.clone(), ARCHIVE, config, BEGIN_MS, stream);
        let (archiver, _) = opened.map_err(|error| failed("archiver", error))?;
        let opened = Reader::open(disk.clone(), MIRROR, LEDGER, StoreConfig::default(), 0);
        let (mirror, _) = opened.map_err(|error| failed("mirror", error))?;
        let config = spool_config(Role::Gateway, 64 << 20, 1 << 30);
        let opened = Spool::open(disk, "gateway/spool", config, signer(Role::Gateway));
        let (spool, _) = opened.map_err(|error| failed("spool", error))?;
        let mut sim = Self {
            people,
            now: BEGIN_MS,
            log,
            spool,
            publisher: Publisher::new(),
            mirror,
            archiver,
            template: template()?,
            policy: At::default(),
            streams: 3,
            random: 0x2545_f491_4f6c_dd1d,
            job: 0,
            shares: 0,
        };
        sim.begin()?;
        Ok(sim)
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let mut turns = 0;
        while self.mirror.final_size() == 0 {
            self.archive()?;
            self.now += HOUSE_MS;
            turns += 1;
            if SETTLE_TURNS < turns {
                return Err(Failure::new("the genesis does not become final"));
            }
        }
        let authority = self.mirror.settled().authority();
        let newest = authority.map(|authority| authority.newest_policy());
        let Some((at, Some(obeyed))) = newest else {
            return Err(Failure::new("no policy is final"));
        };
        let policy = Arc::clone(&obeyed.policy);
        self.policy = at;
        let spool_failed = |error| failed("spool", error);
        self.spool.learn_policy(at, policy).map_err(spool_failed)?;
        let stream = self.new_stream();
        self.spool.begin(self.now, stream).map_err(spool_failed)?;
        self.announce_job(0)?;
        let People {
            rigs,
            rigs_an_account,
        } = self.people;
        for first in (0..rigs).step_by(usize::try_from(ANNOUNCED_AT_ONCE).unwrap_or(1)) {
            let mut group = Vec::new();
            for number in first..rigs.min(first + ANNOUNCED_AT_ONCE) {
                group.push((
                    self.now,
                    Event::Worker(Box::new(worker_of(number, rigs_an_account)?)),
                ));
                let difficulty = Difficulty {
                    worker: number,
                    work: work()?,
                };
                group.push((self.now, Event::Difficulty(difficulty)));
            }
            self.say(&group)?;
            self.turn()?;
        }
        self.settle()
    }

    fn new_stream(&mut self) -> StreamId {
        self.streams = self.streams.saturating_add(1);
        StreamId::from_parts(self.now, [self.streams; 10])
    }

    /// Milliseconds since 1970.
    pub(super) const fn now(&self) -> u64 {
        self.now
    }

    /// Shares said so far.
    pub(super) const fn shares(&self) -> u64 {
        self.shares
    }

    /// What the archiver holds.
    pub(super) const fn store(&self) -> &SegmentStore<RealDisk> {
        self.archiver.reader().store()
    }

    /// What was sent, if it was kept.
    #[cfg(feature = "kafka")]
    pub(super) fn sent(self) -> Option<Sent> {
        self.log.sent
    }

    /// Positions that are final.
    pub(super) const fn final_size(&self) -> u64 {
        self.mirror.final_size()
    }

    /// A new job; shares are of it from now on.
    pub(super) fn announce_job(&mut self, number: u32) -> Result<(), Failure> {
        let made = job(&self.template, number, self.policy)?;
        self.say(&[(self.now, Event::Job(Box::new(made)))])?;
        self.job = number;
        Ok(())
    }

    /// Appends a group, as a gateway does once a commit.
    fn say(&mut self, events: &[(u64, Event)]) -> Result<(), Failure> {
        let said = self.spool.append(events);
        said.map(|_| ()).map_err(|error| failed("spool", error))
    }

    /// Shares of rigs drawn uniformly, one at each of these times.
    pub(super) fn say_shares(&mut self, times: impl Iterator<Item = u64>) -> Result<(), Failure> {
        let work = work()?;
        let mut group = Vec::new();
        for time in times {
            let [draw, bits] = [self.draw(), self.draw()];
            let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
            let share = Share {
                worker: low(draw % u64::from(self.people.rigs)),
                job: self.job,
                work,
                block: false,
                stale: false,
                nonce: low(bits),
                ntime: low(time / 1_000),
                version: 0x2000_0000 | (low(bits >> 32) & 0x1fff_e000),
                extranonce2: Extranonce::new(&low(draw >> 20).to_be_bytes()).unwrap_or_default(),
            };
            group.push((time, Event::Share(share)));
            self.shares += 1;
        }
        self.say(&group)
    }

    /// Rig 0 finds a block. Its header is nobody's: who replays hashes no share.
    pub(super) fn say_block(&mut self, found: &BlockFound) -> Result<(), Failure> {
        let share = Share {
            worker: 0,
            job: self.job,
            work: work()?,
            block: true,
            stale: false,
            nonce: 0,
            ntime: 0,
            version: 0x2000_0000,
            extranonce2: Extranonce::new(&[0; 4]).unwrap_or_default(),
        };
        self.shares += 1;
        self.say(&[
            (self.now, Event::Share(share)),
            (self.now, Event::BlockFound(found.clone())),
        ])
    }

    /// A settler says something, in a frame of its own; `seq` says how many it said before.
    pub(super) fn settler_says(
        &mut self,
        event: &Event,
        (seq, previous): (u64, Hash),
    ) -> Result<Hash, Failure> {
        let cut = Cut {
            ledger: LEDGER,
            coin: COIN,
            stream: StreamId::from_parts(BEGIN_MS, [0xfe; 10]),
            epoch: 0,
            first_seq: seq,
            base_time: self.now,
            previous,
            schema_set: 0,
            summary: &Summary::default(),
            body: &event.to_bytes(0),
        };
        let frame = build_frame(&cut, &signer(Role::Settler));
        let frame = frame.map_err(|error| failed("a settler's frame", error))?;
        let sent = self.log.send(0, self.now, frame.bytes());
        sent.map_err(|error| failed("log", error))?;
        Ok(frame.header_hash())
    }

    /// Ends; what is final is in the files of archiver and mirror, for whoever opens them next.
    pub(super) fn keep(mut self) -> Result<(), Failure> {
        let kept = self.archiver.persist();
        kept.map_err(|error| failed("archiver", error))?;
        let kept = self.mirror.persist();
        kept.map_err(|error| failed("mirror", error))
    }

    const fn draw(&mut self) -> u64 {
        self.random = xorshift(self.random);
        self.random
    }

    /// Makes a frame of what waits.
    pub(super) fn cut(&mut self) -> Result<(), Failure> {
        let cut = self.spool.cut();
        cut.map(|_| ()).map_err(|error| failed("spool", error))
    }

    /// What a gateway and an archiver do every 20 ms; then it is 20 ms later.
    pub(super) fn turn(&mut self) -> Result<(), Failure> {
        if self.spool.heartbeat_due(self.now) {
            self.say(&[(self.now, Event::Heartbeat)])?;
        }
        if self.spool.should_cut(self.now) {
            self.cut()?;
        }
        let stream = self.new_stream();
        let published = self.publisher.tick(
            &mut self.spool,
            &mut self.mirror,
            &mut self.log,
            Clock::at(self.now),
            stream,
        );
        published.map_err(|error| failed("publisher", error))?;
        self.archive()?;
        self.now += HOUSE_MS;
        Ok(())
    }

    fn archive(&mut self) -> Result<(), Failure> {
        let stream = self.new_stream();
        let ticked = self
            .archiver
            .tick(&mut self.log, self.now, RECORDS_MAX, stream);
        ticked.map_err(|error| failed("archiver", error))?;
        match self.mirror.poll(&self.log, RECORDS_MAX) {
            Ok(_) | Err(ReadError::Unopened) => {}
            Err(error) => return Err(failed("mirror", error)),
        }
        let archived = self.archiver.reader().forgettable_offset();
        self.log
            .log
            .forget_below(archived.min(self.mirror.forgettable_offset()));
        Ok(())
    }

    /// Goes on until everything said is final.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        self.cut()?;
        for _ in 0..SETTLE_TURNS {
            self.turn()?;
            if self.publisher.is_idle() && self.spool.pending_events() == 0 {
                return Ok(());
            }
        }
        Err(Failure::new("what was said does not become final"))
    }
}

/// xorshift64: the same workload each time.
pub(super) const fn xorshift(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ state << 17
}

fn work() -> Result<Work, Failure> {
    Work::new(WORK).ok_or_else(|| Failure::new("work"))
}
