//! A small ledger on a temporary disk, said frame by frame through the real log and reader. Shared by the tests of this
//! crate and of the projector.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "each file uses another part of it, and stops at the first surprise"
)]

pub mod payouts;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use orebook_ledger::authority::thing_digest;
use orebook_ledger::build::{Cut, build_frame, genesis_frame};
use orebook_ledger::credit::{JobTerms, Overlay, summarise};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::log::{EmbeddedLog, Log as _};
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::StoreConfig;
use orebook_ledger::sign::Signer;
use orebook_schema::event::{Approval, Checkpoint};
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::{CoinName, Pot, RegisteredName};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::work::{
    BlockFound, BlockState, BlockStatus, Difficulty, Extranonce, Job, JobRef, Share, Worker,
};
use orebook_schema::{
    Account, At, Event, Genesis, Hash, Kind, LedgerId, Policy, Role, StreamId, Work, WorkerName,
};

pub const LEDGER: LedgerId = LedgerId([9; 16]);
/// 2026-11-21 09:10:00 UTC.
pub const START: u64 = 1_795_252_200_000;
const DESK: u8 = 1;
const ARCHIVER: u8 = 2;
const SETTLER: u8 = 3;
const GATEWAY: u8 = 4;
const PAYMASTER: u8 = 5;
/// Expected hashes of difficulty 1 in the unit of work.
pub const DIFFICULTY_1: u64 = 1 << 32;

fn signer(name: u8) -> Signer {
    Signer::from_seed(&[name; 32])
}

pub fn named(name: &str) -> Account {
    Account::Name(RegisteredName::parse(name).expect("a registered name"))
}

pub fn genesis() -> Genesis {
    let rules = |pot, scheme, n_ppm, fee_ppm| PotRules {
        pot: Pot(pot),
        scheme,
        n_ppm,
        fee_ppm,
        bonus_ppm: 0,
        stale_ppm: 0,
        keep_tx_fees: false,
        direct_min: 0,
        direct_outputs: 0,
    };
    let roles = [
        (DESK, Role::Desk),
        (ARCHIVER, Role::Archiver),
        (SETTLER, Role::Settler),
        (GATEWAY, Role::Gateway),
        (PAYMASTER, Role::Paymaster),
    ];
    let mut producers = roles
        .map(|(name, role)| (signer(name).key(), role))
        .to_vec();
    producers.sort_by_key(|(key, _)| *key);
    Genesis {
        ledger: LEDGER,
        coin: 1,
        coin_name: CoinName::parse("dev").expect("a coin's name"),
        algorithm: Algorithm::Sha256d,
        decimals: 8,
        chain: Hash::ZERO,
        segment_positions: 65_536,
        segment_bytes: 1 << 28,
        digest_answers: 1,
        approvers: vec![signer(DESK).key()],
        approvals: Vec::new(),
        producers,
        schema_set: Kind::known(),
        policy: Policy {
            pots: vec![
                rules(1, Scheme::Pplns, 2_000_000, 9_000),
                rules(2, Scheme::Solo, 1, 5_000),
            ],
            immature_depth: 1,
            confirmed_depth: 6,
            orphan_depth: 1,
            threshold: 1_000_000,
            address_hold_ms: 0,
            network_fees: NetworkFees::Pool,
            auto_pay_limit: 0,
            payout_depth: 6,
            payout_final_depth: 12,
            writeoff_ms: 0,
            rounding_to_fee: false,
        },
    }
}

#[derive(Debug)]
struct Pen {
    name: u8,
    stream: StreamId,
    next_seq: u64,
    previous: Hash,
}

impl Pen {
    const fn new(name: u8) -> Self {
        Self {
            name,
            stream: StreamId([name; 16]),
            next_seq: 0,
            previous: Hash::ZERO,
        }
    }
}

/// The ledger.
#[derive(Debug)]
pub struct World {
    pub reader: Arc<Mutex<Reader<RealDisk>>>,
    log: EmbeddedLog,
    /// Milliseconds since 1970; frames are said and taken then.
    pub clock: u64,
    desk: Pen,
    archiver: Pen,
    settler: Pen,
    gateway: Pen,
    paymaster: Pen,
    workers: u32,
    jobs: u32,
    nonce: u32,
    folder: tempfile::TempDir,
}

impl World {
    /// Genesis and a checkpoint of it; the jobs' policy is at (0, 0).
    pub fn new() -> Self {
        Self::begun_at(START)
    }

    /// The same, begun at another time.
    pub fn begun_at(start: u64) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let disk = RealDisk::new(dir.path().to_path_buf());
        let (reader, _) = Reader::open(disk, "mirror", LEDGER, StoreConfig::default(), 0)
            .expect("a reader of nothing");
        let mut log = EmbeddedLog::new();
        let opened = IncarnationOpened {
            ledger: LEDGER,
            incarnation: 0,
            next_position: 0,
            root: reader.head().root(),
        };
        log.open_incarnation(start, &opened).expect("a log");
        let mut world = Self {
            reader: Arc::new(Mutex::new(reader)),
            log,
            clock: start,
            desk: Pen::new(DESK),
            archiver: Pen::new(ARCHIVER),
            settler: Pen::new(SETTLER),
            gateway: Pen::new(GATEWAY),
            paymaster: Pen::new(PAYMASTER),
            workers: 0,
            jobs: 0,
            nonce: 0,
            folder: dir,
        };
        let stream = world.desk.stream;
        let frame = genesis_frame(&genesis(), stream, start, &signer(DESK)).expect("genesis");
        world.desk.next_seq = frame.header().next_seq();
        world.desk.previous = frame.header_hash();
        world.send(frame.bytes());
        world.finalise();
        world
    }

    /// Folder of its segment files.
    pub fn segments(&self) -> PathBuf {
        self.folder.path().join("mirror").join("segments")
    }

    pub fn lock(&self) -> MutexGuard<'_, Reader<RealDisk>> {
        self.reader.lock().expect("nobody panicked")
    }

    fn send(&mut self, bytes: &[u8]) {
        self.log
            .send(0, self.clock, bytes)
            .expect("the log takes it");
        let mut reader = self.reader.lock().expect("nobody panicked");
        let before = reader.head().size();
        while 0 < reader.poll(&self.log, 64).expect("the reader reads") {}
        assert!(
            before < reader.head().size(),
            "refused: {:?}",
            reader.take_notices(|_| true)
        );
        self.log.forget_below(reader.forgettable_offset());
    }

    /// Cuts a frame of events and has it admitted; returns its position.
    fn say(&mut self, pen: fn(&mut Self) -> &mut Pen, events: &[Event]) -> u64 {
        let state = self.lock().head().clone();
        let (stream, name) = (pen(self).stream, pen(self).name);
        let announced = state.stream(stream).map(|stream| &stream.announced);
        let mut overlay = Overlay::new(announced);
        let summary = summarise(events, &mut overlay, |job: JobRef| {
            let authority = state.authority();
            let obeyed = authority.and_then(|authority| authority.policy(job.policy));
            JobTerms {
                network_work: job.network_work,
                policy: obeyed.map(|obeyed| obeyed.policy.clone()),
            }
        });
        let body: Vec<u8> = events.iter().flat_map(|event| event.to_bytes(0)).collect();
        let cut = Cut {
            ledger: LEDGER,
            coin: 1,
            stream,
            epoch: 0,
            first_seq: pen(self).next_seq,
            base_time: self.clock,
            previous: pen(self).previous,
            schema_set: 0,
            summary: &summary.expect("numbers are announced"),
            body: &body,
        };
        let frame = build_frame(&cut, &signer(name)).expect("within its limits");
        pen(self).next_seq = frame.header().next_seq();
        pen(self).previous = frame.header_hash();
        self.send(frame.bytes());
        state.size()
    }

    /// The archiver signs for everything so far.
    pub fn finalise(&mut self) {
        let (size, root) = {
            let reader = self.lock();
            (reader.head().size(), reader.head().root())
        };
        let signature = signer(ARCHIVER).sign_checkpoint(LEDGER, size, &root);
        let checkpoint = Checkpoint {
            size,
            root,
            signature,
        };
        self.say(
            |world| &mut world.archiver,
            &[Event::Checkpoint(checkpoint)],
        );
        assert_eq!(self.lock().final_size(), size);
    }

    /// The desk says something that needs no approval; returns its position.
    pub fn desk(&mut self, event: Event) -> u64 {
        self.say(|world| &mut world.desk, &[event])
    }

    /// The desk says something together with its one approval, which stands at index 1; returns its position.
    pub fn approved(&mut self, event: Event) -> u64 {
        let thing = thing_digest(LEDGER, &event);
        let approver = signer(DESK);
        let approval = Event::Approval(Approval {
            thing,
            approver: approver.key(),
            signature: approver.sign_approval(LEDGER, &thing),
        });
        self.say(|world| &mut world.desk, &[event, approval])
    }

    /// The paymaster says something in one frame; returns its position.
    pub fn paymaster(&mut self, events: &[Event]) -> u64 {
        self.say(|world| &mut world.paymaster, events)
    }

    /// An approver approves a thing, or a batch.
    pub fn approve(&mut self, thing: Hash) -> u64 {
        let approver = signer(DESK);
        let approval = Event::Approval(Approval {
            thing,
            approver: approver.key(),
            signature: approver.sign_approval(LEDGER, &thing),
        });
        self.desk(approval)
    }

    /// A worker at a difficulty; returns its number.
    pub fn worker(&mut self, account: &Account, name: &str, pot: u16, work: u64) -> u32 {
        let number = self.workers;
        self.workers += 1;
        let worker = Worker {
            number,
            pot: Pot(pot),
            extranonce1: Extranonce::default(),
            extranonce2_size: 4,
            version_mask: 0,
            account: account.clone(),
            name: WorkerName::parse(name).expect("a worker's name"),
        };
        let difficulty = Difficulty {
            worker: number,
            work: Work::new(work).expect("work"),
        };
        let events = [
            Event::Worker(Box::new(worker)),
            Event::Difficulty(difficulty),
        ];
        self.say(|world| &mut world.gateway, &events);
        number
    }

    /// A job under genesis' policy; returns its number.
    pub fn job(&mut self, height: u64, network_work: u128) -> u32 {
        self.job_with(height, network_work, |_| {})
    }

    /// The same with something changed.
    pub fn job_with(
        &mut self,
        height: u64,
        network_work: u128,
        change: impl FnOnce(&mut Job),
    ) -> u32 {
        let number = self.jobs;
        self.jobs += 1;
        let mut job = Job {
            number,
            policy: At::default(),
            height,
            network_work,
            reward: 625_010_000,
            fees: 10_000,
            version: 0x2000_0000,
            prev: Hash::of(&[&height.to_le_bytes()]),
            nbits: 0x207f_ffff,
            time: u32::try_from(self.clock / 1_000).expect("before 2106"),
            clean: true,
            coinbase1: vec![1],
            coinbase2: vec![2],
            branches: Vec::new(),
            direct: 0,
        };
        change(&mut job);
        self.say(|world| &mut world.gateway, &[Event::Job(Box::new(job))]);
        number
    }

    fn share_event(&mut self, worker: u32, job: u32, work: u64, block: bool, stale: bool) -> Event {
        self.nonce += 1;
        Event::Share(Share {
            worker,
            job,
            work: Work::new(work).expect("work"),
            block,
            stale,
            nonce: self.nonce,
            ntime: 0,
            version: 0x2000_0000,
            extranonce2: Extranonce::default(),
        })
    }

    /// A frame of shares, each (worker, work, stale).
    pub fn shares(&mut self, job: u32, shares: &[(u32, u64, bool)]) {
        let events: Vec<Event> = shares
            .iter()
            .map(|(worker, work, stale)| self.share_event(*worker, job, *work, false, *stale))
            .collect();
        self.say(|world| &mut world.gateway, &events);
    }

    /// A share that finds a block; returns the block's hash.
    pub fn block(&mut self, worker: u32, job: u32, work: u64, height: u64) -> Hash {
        let share = self.share_event(worker, job, work, true, false);
        let hash = Hash::of(&[b"block", &self.nonce.to_le_bytes()]);
        let found = BlockFound {
            hash,
            height,
            coinbase_txid: Hash::of(&[b"coinbase", &hash.0]),
            header: vec![7; 80],
        };
        self.say(
            |world| &mut world.gateway,
            &[share, Event::BlockFound(found)],
        );
        hash
    }

    /// What the settler says of a block; returns where, for the next to expect.
    pub fn status(&mut self, hash: Hash, height: u64, expects: At, state: BlockState) -> At {
        let status = BlockStatus {
            hash,
            expects,
            state,
            height,
            value: 625_010_000,
            fees: 10_000,
        };
        let position = self.say(|world| &mut world.settler, &[Event::BlockStatus(status)]);
        At { position, index: 0 }
    }
}

/// A few accounts, rigs and blocks: everything that the API shows has a case.
pub fn small_ledger() -> World {
    let mut world = World::new();
    let network = 100 * u128::from(DIFFICULTY_1);
    let work = 2 * DIFFICULTY_1;
    let anna = world.worker(&named("anna"), "rig-1", 1, work);
    let twin = world.worker(&named("anna"), "rig-1", 1, work);
    let ben = world.worker(&named("ben"), "attic", 1, work / 2);
    let solo = world.worker(&named("clara"), "solo.1", 2, work);
    let mut blocks = Vec::new();
    for height in 100..107 {
        let job = world.job(height, network);
        for round in 0..12u32 {
            world.clock += 5_000;
            world.shares(
                job,
                &[
                    (anna, work, false),
                    (twin, work, round == 3),
                    (ben, work / 2, false),
                    (solo, work, false),
                ],
            );
        }
        let finder = if height == 104 { solo } else { anna };
        blocks.push((world.block(finder, job, work, height), height));
        world.finalise();
    }
    let states = [
        BlockState::Confirmed,
        BlockState::Confirmed,
        BlockState::Orphaned,
        BlockState::Immature,
    ];
    for ((hash, height), last) in blocks.into_iter().zip(states) {
        let seen = world.status(hash, height, At::default(), BlockState::Seen);
        let immature = world.status(hash, height, seen, BlockState::Immature);
        if last != BlockState::Immature {
            world.status(hash, height, immature, last);
        }
    }
    world.clock += 1_000;
    world.finalise();
    world.finalise();
    world
}
