//! What the tests of the spool share: a ledger that judges every frame, and events to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orebook_ledger::admit::{AdmitError, Cause, History, State, Verdict};
use orebook_ledger::build::{Cut, build_frame, genesis_frame};
use orebook_ledger::credit::{Overlay, summarise};
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{Spool, SpoolConfig, SpoolRecovery, SpoolResult};
use orebook_schema::event::{Approval, Checkpoint, PolicyChange};
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::{CoinName, Pot};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::work::{BlockFound, Difficulty, Extranonce, Job, Share, Worker};
use orebook_schema::{
    Account, At, Event, Frame, Genesis, Hash, Kind, LedgerId, Policy, Role, StreamId, Work,
    WorkerName,
};
use orebook_sim::disk::SimDisk;

pub(crate) const LEDGER: LedgerId = LedgerId([7; 16]);
pub(crate) const COIN: u32 = 1;
pub(crate) const START_MS: u64 = 1_700_000_000_000;
/// Place of the second policy, which the desk says right after genesis.
pub(crate) const SECOND: At = At {
    position: 2,
    index: 0,
};

pub(crate) fn gateway() -> Signer {
    Signer::from_seed(&[3; 32])
}

pub(crate) fn stream(number: u8) -> StreamId {
    StreamId([number; 16])
}

pub(crate) fn config() -> SpoolConfig {
    SpoolConfig {
        ledger: LEDGER,
        coin: COIN,
        role: Role::Gateway,
        schema_set: 0,
        file_bytes: 256 * 1024,
        total_bytes: 64 * 256 * 1024,
    }
}

pub(crate) fn open(disk: &SimDisk) -> SpoolResult<(Spool<SimDisk>, SpoolRecovery)> {
    Spool::open(disk.clone(), "spool", config(), gateway())
}

/// A spool in its first epoch that knows both policies.
pub(crate) fn begun(disk: &SimDisk) -> Spool<SimDisk> {
    let (mut spool, _) = open(disk).unwrap();
    spool.begin(START_MS, stream(100)).unwrap();
    teach(&mut spool);
    spool
}

pub(crate) fn teach(spool: &mut Spool<SimDisk>) {
    spool
        .learn_policy(At::default(), Arc::new(policy(250_000)))
        .unwrap();
    spool
        .learn_policy(SECOND, Arc::new(policy(600_000)))
        .unwrap();
}

/// Pot 0 pays stale shares in part, pot 1 does not.
pub(crate) fn policy(stale_ppm: u32) -> Policy {
    let rules = |pot, scheme, stale_ppm| PotRules {
        pot: Pot(pot),
        scheme,
        n_ppm: 2_000_000,
        fee_ppm: 10_000,
        bonus_ppm: 0,
        stale_ppm,
        keep_tx_fees: false,
        direct_min: 0,
        direct_outputs: 0,
    };
    Policy {
        pots: vec![
            rules(0, Scheme::Pplns, stale_ppm),
            rules(1, Scheme::Solo, 0),
        ],
        immature_depth: 1,
        confirmed_depth: 100,
        orphan_depth: 10,
        threshold: 1_000,
        address_hold_ms: 0,
        network_fees: NetworkFees::Pool,
        auto_pay_limit: 0,
        payout_depth: 6,
        payout_final_depth: 12,
        writeoff_ms: 0,
        rounding_to_fee: false,
    }
}

pub(crate) fn worker(number: u32, pot: u16) -> Event {
    Event::Worker(Box::new(Worker {
        number,
        pot: Pot(pot),
        extranonce1: Extranonce::new(&number.to_le_bytes()).unwrap(),
        extranonce2_size: 4,
        version_mask: 0,
        account: Account::parse("name:miner").unwrap(),
        name: WorkerName::parse(&format!("rig{number}")).unwrap(),
    }))
}

pub(crate) fn difficulty(worker: u32, work: u64) -> Event {
    Event::Difficulty(Difficulty {
        worker,
        work: Work::new(work).unwrap(),
    })
}

/// A job under `policy` whose coinbase has `bytes` bytes.
pub(crate) fn job(number: u32, policy: At, bytes: usize) -> Event {
    Event::Job(Box::new(Job {
        number,
        policy,
        height: 10,
        network_work: 1_000_003,
        reward: 50,
        fees: 1,
        version: 1,
        prev: Hash([1; 32]),
        nbits: 0x1d00_ffff,
        time: 5,
        clean: true,
        coinbase1: vec![9; bytes],
        coinbase2: vec![8; 10],
        branches: Vec::new(),
        direct: 0,
    }))
}

/// A share; its nonce tells it apart.
pub(crate) fn share(worker: u32, job: u32, nonce: u32) -> Share {
    Share {
        worker,
        job,
        work: Work::new(1_000).unwrap(),
        block: false,
        stale: false,
        nonce,
        ntime: 6,
        version: 1,
        extranonce2: Extranonce::new(&[1, 2, 3, 4]).unwrap(),
    }
}

pub(crate) fn block(height: u64) -> Event {
    Event::BlockFound(BlockFound {
        hash: Hash([5; 32]),
        height,
        coinbase_txid: Hash([6; 32]),
        header: vec![4; 80],
    })
}

/// Worker 0 of pot 0, worker 1 of pot 1, jobs 0 and 1 under the two policies.
pub(crate) fn announcements() -> Vec<Event> {
    vec![
        worker(0, 0),
        difficulty(0, 1_000),
        worker(1, 1),
        difficulty(1, 1_000),
        job(0, At::default(), 50),
        job(1, SECOND, 60),
    ]
}

pub(crate) fn at(now_ms: u64, events: Vec<Event>) -> Vec<(u64, Event)> {
    events.into_iter().map(|event| (now_ms, event)).collect()
}

pub(crate) fn shares(now_ms: u64, nonces: std::ops::Range<u32>) -> Vec<(u64, Event)> {
    at(
        now_ms,
        nonces
            .map(|nonce| Event::Share(share(nonce % 2, nonce % 2, nonce)))
            .collect(),
    )
}

/// All frames from a place on.
pub(crate) fn frames(spool: &Spool<SimDisk>, stream: StreamId, seq: u64) -> Vec<Frame> {
    let mut reader = spool.frames_from(stream, seq).unwrap();
    std::iter::from_fn(|| reader.next_frame(spool).unwrap()).collect()
}

/// Every frame that the spool holds.
pub(crate) fn all_frames(spool: &Spool<SimDisk>) -> Vec<Frame> {
    spool
        .streams()
        .first()
        .map_or_else(Vec::new, |held| frames(spool, held.stream, 0))
}

/// Nonces of the shares of a frame, moved ones included.
pub(crate) fn nonces(frame: &Frame) -> Vec<u32> {
    let events = frame.decode().unwrap();
    let shares = events.into_iter().filter_map(|event| match event {
        Event::Share(share) => Some(share.nonce),
        Event::Moved(moved) => match moved.inner().unwrap() {
            Event::Share(share) => Some(share.nonce),
            _ => None,
        },
        _ => None,
    });
    shares.collect()
}

#[derive(Debug, Default)]
struct Memory {
    headers: BTreeMap<(StreamId, u64), Hash>,
    events: BTreeMap<(StreamId, u64), Vec<u8>>,
}

impl History for Memory {
    fn header_hash(&self, stream: StreamId, first_seq: u64) -> Result<Option<Hash>, AdmitError> {
        Ok(self.headers.get(&(stream, first_seq)).copied())
    }

    fn event(&self, stream: StreamId, seq: u64) -> Result<Option<Vec<u8>>, AdmitError> {
        Ok(self.events.get(&(stream, seq)).cloned())
    }
}

/// A ledger with genesis, a second policy and an archiver.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) state: State,
    history: Memory,
    archiver: Signer,
    /// Nonces of shares that count, in the ledger's order.
    pub(crate) counted: Vec<u32>,
    /// Blocks that count.
    pub(crate) blocks: usize,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let (desk, archiver) = (Signer::from_seed(&[1; 32]), Signer::from_seed(&[2; 32]));
        let approver = Signer::from_seed(&[4; 32]);
        let mut producers = vec![
            (desk.key(), Role::Desk),
            (archiver.key(), Role::Archiver),
            (gateway().key(), Role::Gateway),
        ];
        producers.sort();
        let genesis = Genesis {
            ledger: LEDGER,
            coin: COIN,
            coin_name: CoinName::parse("test").unwrap(),
            algorithm: Algorithm::Sha256d,
            decimals: 8,
            chain: Hash([2; 32]),
            segment_positions: 65_536,
            segment_bytes: 1 << 28,
            digest_answers: 1,
            approvers: vec![approver.key()],
            approvals: Vec::new(),
            producers,
            schema_set: Kind::known(),
            policy: policy(250_000),
        };
        let mut ledger = Self {
            state: State::new(LEDGER),
            history: Memory::default(),
            archiver,
            counted: Vec::new(),
            blocks: 0,
        };
        ledger.admit(&genesis_frame(&genesis, stream(1), START_MS, &desk).unwrap());
        ledger.checkpoint();
        let change = PolicyChange {
            expects: At::default(),
            policy: policy(600_000),
        };
        let change = Event::Policy(Box::new(change));
        let thing = orebook_ledger::authority::thing_digest(LEDGER, &change);
        let signature = approver.sign_approval(LEDGER, &thing);
        let approval = Approval {
            thing,
            approver: approver.key(),
            signature,
        };
        ledger.say(&desk, stream(2), &[change, Event::Approval(approval)]);
        ledger.checkpoint();
        ledger
    }

    /// Has a frame of another producer admitted.
    fn say(&mut self, signer: &Signer, stream: StreamId, events: &[Event]) {
        let frame = self.frame(signer, stream, 0, events);
        assert!(matches!(self.admit(&frame), Verdict::Admitted(_)));
    }

    fn frame(&self, signer: &Signer, stream: StreamId, seq: u64, events: &[Event]) -> Frame {
        let body: Vec<u8> = events.iter().flat_map(|event| event.to_bytes(0)).collect();
        let known = self.state.stream(stream);
        let summary = summarise(events, &mut Overlay::new(None), |_| unreachable!()).unwrap();
        let cut = Cut {
            ledger: LEDGER,
            coin: COIN,
            stream,
            epoch: known.map_or(0, |known| known.epoch),
            first_seq: known.map_or(seq, |known| known.next_seq.saturating_sub(seq)),
            base_time: START_MS,
            previous: known.map_or(Hash::ZERO, |known| known.last_hash),
            schema_set: 0,
            summary: &summary,
            body: &body,
        };
        build_frame(&cut, signer).unwrap()
    }

    /// Makes all that is admitted final.
    pub(crate) fn checkpoint(&mut self) {
        let (size, root) = (self.state.size(), self.state.root());
        let signature = self.archiver.sign_checkpoint(LEDGER, size, &root);
        let checkpoint = Event::Checkpoint(Checkpoint {
            size,
            root,
            signature,
        });
        let archiver = self.archiver.clone();
        self.say(&archiver, stream(3), &[checkpoint]);
        assert_eq!(self.state.final_size(), size);
    }

    /// Judges a frame, and counts its shares if it is admitted.
    pub(crate) fn admit(&mut self, frame: &Frame) -> Verdict {
        let bytes = frame.bytes().to_vec();
        let (verdict, _) = self.state.admit(&self.history, START_MS, bytes).unwrap();
        let Verdict::Admitted(admitted) = &verdict else {
            return verdict;
        };
        let header = frame.header();
        self.history
            .headers
            .insert((header.stream, header.first_seq), frame.header_hash());
        let mut counts = admitted.counts.iter();
        for (seq, raw) in (header.first_seq..).zip(frame.events()) {
            let raw = raw.unwrap();
            self.history
                .events
                .insert((header.stream, seq), raw.bytes.to_vec());
            let said = match raw.decode().unwrap() {
                Event::Moved(moved) => counts.next().unwrap().then(|| moved.inner().unwrap()),
                event => Some(event),
            };
            match said {
                Some(Event::Share(share)) => self.counted.push(share.nonce),
                Some(Event::BlockFound(_)) => self.blocks += 1,
                _ => {}
            }
        }
        verdict
    }

    /// Admits whatever of the spool was not admitted yet, as a publisher would. Nothing may be refused.
    pub(crate) fn publish(&mut self, spool: &Spool<SimDisk>) {
        for frame in all_frames(spool) {
            let known = self.state.stream(frame.header().stream);
            let next = known.map_or(0, |known| known.next_seq);
            if known.is_some_and(|known| known.closed) || frame.header().next_seq() <= next {
                continue;
            }
            let verdict = self.admit(&frame);
            assert!(
                matches!(verdict, Verdict::Admitted(_)),
                "{frame:?}: {verdict:?}"
            );
        }
    }

    /// Has the gateway's stream closed, as by a second gateway with a copy of its key and spool. False if nothing of it
    /// was admitted: then there is nothing to fork from.
    pub(crate) fn close(&mut self, closed: StreamId) -> bool {
        let Some(known) = self.state.stream(closed) else {
            return false;
        };
        let summary = orebook_schema::summary::Summary::default();
        let cut = Cut {
            ledger: LEDGER,
            coin: COIN,
            stream: closed,
            epoch: known.epoch,
            first_seq: known.next_seq,
            base_time: START_MS,
            previous: Hash([9; 32]),
            schema_set: 0,
            summary: &summary,
            body: &Event::Heartbeat.to_bytes(0),
        };
        let fork = build_frame(&cut, &gateway()).unwrap();
        assert_eq!(self.admit(&fork), Verdict::Refused(Cause::Fork));
        true
    }

    pub(crate) fn is_closed(&self, stream: StreamId) -> bool {
        self.state.stream(stream).is_some_and(|known| known.closed)
    }

    /// Sequence number after the last admitted event.
    pub(crate) fn admitted_next(&self, stream: StreamId) -> u64 {
        self.state.stream(stream).map_or(0, |known| known.next_seq)
    }

    /// Of each stream, below which sequence number events are final, if all that is admitted is.
    pub(crate) fn final_next(&self) -> BTreeMap<StreamId, u64> {
        self.state
            .streams()
            .map(|(stream, known)| (*stream, known.next_seq))
            .collect()
    }

    /// Each of these shares counts once, and none twice.
    pub(crate) fn assert_counted(&self, answered: &[u32]) {
        let counted: BTreeSet<u32> = self.counted.iter().copied().collect();
        assert_eq!(counted.len(), self.counted.len(), "a share counts twice");
        let lost: Vec<u32> = answered
            .iter()
            .filter(|it| !counted.contains(it))
            .copied()
            .collect();
        assert_eq!(lost, Vec::<u32>::new(), "answered shares are lost");
    }
}
