//! A small pool that makes a real ledger: signed frames, shares with summaries, checkpoints, a fork, moved shares.
//! Everything is judged by admission; what it gives a position is kept, with the evidence of closures.

use std::collections::BTreeMap;

use orebook_ledger::admit::{AdmitError, Cause, History, State, Verdict};
use orebook_ledger::build::{Cut, build_frame, genesis_frame};
use orebook_ledger::credit::{JobTerms, Overlay, summarise};
use orebook_ledger::segment::{Record, StoredFrame};
use orebook_ledger::sign::Signer;
use orebook_schema::event::{Checkpoint, Moved, NO_NUMBER};
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::{Account, CoinName, Pot, Script};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::work::{Difficulty, Extranonce, Job, JobRef, Share, Worker};
use orebook_schema::{
    At, Event, Frame, Genesis, Hash, Key, Kind, LedgerId, Policy, Role, StreamId, Work, WorkerName,
};
use orebook_sim::rng::Rng;

const START: u64 = 1_700_000_000_000;

/// What was admitted, in memory: the plainest history there can be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    frames: BTreeMap<(StreamId, u64), Frame>,
}

impl Memory {
    pub(crate) fn add(&mut self, frame: &Frame) {
        let header = frame.header();
        self.frames
            .insert((header.stream, header.first_seq), frame.clone());
    }
}

impl History for Memory {
    fn header_hash(&self, stream: StreamId, first_seq: u64) -> Result<Option<Hash>, AdmitError> {
        Ok(self
            .frames
            .get(&(stream, first_seq))
            .map(Frame::header_hash))
    }

    fn event(&self, stream: StreamId, seq: u64) -> Result<Option<Vec<u8>>, AdmitError> {
        let before = self.frames.range((stream, 0)..=(stream, seq)).next_back();
        let event = before.and_then(|((_, first), frame)| {
            frame.events().nth(usize::try_from(seq - first).unwrap())
        });
        Ok(event.map(|event| event.unwrap().bytes.to_vec()))
    }
}

/// A producer's stream, as the producer knows it.
#[derive(Clone, Debug)]
struct Producer {
    signer: Signer,
    stream: StreamId,
    next_seq: u64,
    previous: Hash,
}

/// How large the segments of a ledger are, and how many shares its frames have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) segment_positions: u32,
    pub(crate) segment_bytes: u64,
    pub(crate) shares_max: u64,
}

/// The pool and the ledger it made.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) ledger: LedgerId,
    pub(crate) state: State,
    pub(crate) history: Memory,
    /// Frames and closures, in order.
    pub(crate) records: Vec<Record>,
    /// Shares that count.
    pub(crate) shares: u64,
    shape: Shape,
    rng: Rng,
    time: u64,
    gateways: Vec<Producer>,
    archiver: Producer,
}

impl Pool {
    pub(crate) fn new(seed: u64, shape: Shape) -> Self {
        let mut rng = Rng::new(seed);
        let ledger = LedgerId::from_parts(START, [1; 10]);
        let desk = producer(&mut rng, 1);
        let gateways = vec![producer(&mut rng, 2), producer(&mut rng, 3)];
        let archiver = producer(&mut rng, 4);
        let genesis = genesis(ledger, shape, &desk, &gateways, &archiver);
        let frame = genesis_frame(&genesis, desk.stream, START, &desk.signer).unwrap();
        let state = State::new(ledger);
        let mut pool = Self {
            ledger,
            state,
            history: Memory::default(),
            records: Vec::new(),
            shares: 0,
            shape,
            rng,
            time: START,
            gateways,
            archiver,
        };
        assert_eq!(pool.log(frame), None);
        pool
    }

    /// The same pool with another future.
    pub(crate) fn parted(&self, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            time: self.time + 1,
            ..self.clone()
        }
    }

    /// Goes on until the ledger has `size` positions: shares, checkpoints, and now and then a fork.
    pub(crate) fn grow(&mut self, size: u64) {
        while self.state.size() < size {
            self.time += self.rng.range(10, 2_000);
            match self.rng.below(12) {
                0..=2 => self.checkpoint(),
                3 if self.state.size() + 2 <= size => self.fork(),
                draw => self.share_frame(usize::try_from(draw % 2).unwrap()),
            }
        }
    }

    /// Archiver's checkpoint over everything so far.
    pub(crate) fn checkpoint(&mut self) {
        let (size, root) = (self.state.size(), self.state.root());
        let signature = self
            .archiver
            .signer
            .sign_checkpoint(self.ledger, size, &root);
        let event = Event::Checkpoint(Checkpoint {
            size,
            root,
            signature,
        });
        let frame = self.cut(&self.archiver.clone(), &[(event, 0)]);
        assert_eq!(self.log(frame.clone()), None);
        advance(&mut self.archiver, &frame);
    }

    /// A gateway's frame with shares; announcements before them in its first.
    pub(crate) fn share_frame(&mut self, gateway: usize) {
        let producer = self.gateways[gateway].clone();
        let mut events = announcements(&producer);
        for dt in 0..self.rng.range(1, self.shape.shares_max + 1) {
            events.push((self.share(), u32::try_from(dt).unwrap()));
        }
        let frame = self.cut(&producer, &events);
        assert_eq!(self.log(frame.clone()), None);
        advance(&mut self.gateways[gateway], &frame);
    }

    /// Gateway 1 says two things at one place, so that its stream is closed, and goes on in a new one: with a share
    /// that counted already, and with one that did not.
    pub(crate) fn fork(&mut self) {
        self.share_frame(1);
        let mut before = self.gateways[1].clone();
        let last = self
            .history
            .frames
            .get(&(before.stream, self.last_first_seq(&before)))
            .unwrap();
        (before.next_seq, before.previous) = (last.header().first_seq, last.header().previous);
        let seq = last.header().next_seq() - 1;
        let said = self.history.event(before.stream, seq).unwrap().unwrap();
        let mut other = announcements(&before);
        other.push((self.share(), 0));
        let other = self.cut(&before, &other);
        assert_eq!(self.log(other), Some(Cause::Fork));

        let unsaid = self.share().to_bytes(0);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.state.size().to_le_bytes());
        let new = Producer {
            stream: StreamId::from_parts(self.time, random),
            next_seq: 0,
            previous: Hash::ZERO,
            ..before.clone()
        };
        let mut events = announcements(&new);
        for (seq, event) in [(seq, said), (seq + 1_000, unsaid)] {
            let moved = Moved {
                stream: before.stream,
                epoch: 0,
                seq,
                base_time: self.time,
                worker: 0,
                job: 0,
                event,
            };
            events.push((Event::Moved(moved), 0));
        }
        let frame = self.cut(&new, &events);
        assert_eq!(self.log(frame.clone()), None);
        self.gateways[1] = new;
        advance(&mut self.gateways[1], &frame);
    }

    fn last_first_seq(&self, producer: &Producer) -> u64 {
        let all = self
            .history
            .frames
            .range((producer.stream, 0)..=(producer.stream, u64::MAX));
        all.map(|((_, first_seq), _)| *first_seq)
            .next_back()
            .unwrap()
    }

    fn share(&mut self) -> Event {
        let worker = u32::try_from(self.rng.below(2)).unwrap();
        Event::Share(Share {
            worker,
            job: 0,
            work: Work::new(1_000 + u64::from(worker)).unwrap(),
            block: false,
            stale: self.rng.chance(1, 10),
            nonce: u32::try_from(self.rng.below(1 << 32)).unwrap(),
            ntime: 5,
            version: 6,
            extranonce2: Extranonce::new(&self.rng.next_u64().to_le_bytes()).unwrap(),
        })
    }

    /// Builds and signs a frame with the summary that admission will compute.
    fn cut(&self, producer: &Producer, events: &[(Event, u32)]) -> Frame {
        let mut body = Vec::new();
        events
            .iter()
            .for_each(|(event, dt)| event.write(*dt, &mut body));
        let plain: Vec<Event> = events.iter().map(|(event, _)| event.clone()).collect();
        let stream = self
            .state
            .stream(producer.stream)
            .filter(|_| 0 < producer.next_seq);
        let mut overlay = Overlay::new(stream.map(|stream| &stream.announced));
        let authority = self.state.authority().unwrap();
        let terms = |job: JobRef| JobTerms {
            network_work: job.network_work,
            policy: authority
                .policy(job.policy)
                .filter(|obeyed| obeyed.effective < self.state.final_size())
                .map(|obeyed| obeyed.policy.clone()),
        };
        let summary = summarise(&plain, &mut overlay, terms).unwrap();
        let cut = Cut {
            ledger: self.ledger,
            coin: 1,
            stream: producer.stream,
            epoch: 0,
            first_seq: producer.next_seq,
            base_time: self.time,
            previous: producer.previous,
            schema_set: 0,
            summary: &summary,
            body: &body,
        };
        build_frame(&cut, &producer.signer).unwrap()
    }

    /// What the archiver does with a record of the log.
    fn log(&mut self, frame: Frame) -> Option<Cause> {
        // Now and then the log's clock is so far ahead that the ledger's time does not follow it.
        let late = if self.rng.chance(1, 8) { 900_000 } else { 3 };
        let append_time = self.time + late;
        let position = self.state.size();
        let bytes = frame.bytes().to_vec();
        match self.state.admit(&self.history, append_time, bytes).unwrap() {
            (Verdict::Admitted(admitted), Some(parsed)) => {
                let moved = parsed.events().iter().filter_map(|event| match event {
                    Event::Moved(moved) => Some(moved.worker != NO_NUMBER),
                    _ => None,
                });
                let counted = moved
                    .zip(&admitted.counts)
                    .filter(|(share, counts)| *share && **counts);
                let own = parsed
                    .events()
                    .iter()
                    .filter(|event| event.kind() == Kind::Share);
                self.shares += u64::try_from(counted.count() + own.count()).unwrap();
                self.history.add(&frame);
                let ledger_time = admitted.ledger_time;
                self.records.push(Record::Frame(StoredFrame {
                    position,
                    ledger_time,
                    append_time,
                    frame,
                }));
                None
            }
            (Verdict::Refused(Cause::Fork), _) => {
                let header = frame.header().clone();
                self.records.push(Record::Closure {
                    position,
                    append_time,
                    header,
                });
                Some(Cause::Fork)
            }
            (Verdict::Refused(cause), _) => Some(cause),
            (Verdict::Admitted(_), None) => unreachable!("an admitted frame was parsed"),
        }
    }
}

fn advance(producer: &mut Producer, frame: &Frame) {
    producer.next_seq = frame.header().next_seq();
    producer.previous = frame.header_hash();
}

fn producer(rng: &mut Rng, number: u8) -> Producer {
    let mut seed = [number; 32];
    rng.fill(&mut seed[..8]);
    let stream = StreamId::from_parts(START, [number; 10]);
    Producer {
        signer: Signer::from_seed(&seed),
        stream,
        next_seq: 0,
        previous: Hash::ZERO,
    }
}

/// Two rigs, their difficulties and a job, at the start of a stream.
fn announcements(producer: &Producer) -> Vec<(Event, u32)> {
    if 0 < producer.next_seq {
        return Vec::new();
    }
    let mut events = Vec::new();
    for number in 0..2u32 {
        events.push(Event::Worker(Box::new(Worker {
            number,
            pot: Pot(0),
            extranonce1: Extranonce::new(&number.to_le_bytes()).unwrap(),
            extranonce2_size: 8,
            version_mask: 0,
            account: Account::Script(Script::new(&[7; 22]).unwrap()),
            name: WorkerName::parse("rig").unwrap(),
        })));
        let work = Work::new(1_000 + u64::from(number)).unwrap();
        events.push(Event::Difficulty(Difficulty {
            worker: number,
            work,
        }));
    }
    events.push(Event::Job(Box::new(Job {
        number: 0,
        policy: At::default(),
        height: 100,
        network_work: 1_000_000,
        reward: 5_000_000_000,
        fees: 0,
        version: 0x2000_0000,
        prev: Hash([3; 32]),
        nbits: 0x1d00_ffff,
        time: 1_700_000_000,
        clean: true,
        coinbase1: vec![1; 60],
        coinbase2: vec![2; 60],
        branches: vec![Hash([4; 32]); 2],
        direct: 0,
    })));
    events.into_iter().map(|event| (event, 0)).collect()
}

fn genesis(
    ledger: LedgerId,
    shape: Shape,
    desk: &Producer,
    gateways: &[Producer],
    archiver: &Producer,
) -> Genesis {
    let mut producers: Vec<(Key, Role)> = gateways
        .iter()
        .map(|it| (it.signer.key(), Role::Gateway))
        .collect();
    producers.push((desk.signer.key(), Role::Desk));
    producers.push((archiver.signer.key(), Role::Archiver));
    producers.sort();
    let pot = PotRules {
        pot: Pot(0),
        scheme: Scheme::Pplns,
        n_ppm: 2_000_000,
        fee_ppm: 10_000,
        bonus_ppm: 0,
        stale_ppm: 500_000,
        keep_tx_fees: false,
        direct_min: 0,
        direct_outputs: 0,
    };
    Genesis {
        ledger,
        coin: 1,
        coin_name: CoinName::parse("test").unwrap(),
        algorithm: Algorithm::Sha256d,
        decimals: 8,
        chain: Hash([9; 32]),
        segment_positions: shape.segment_positions,
        segment_bytes: shape.segment_bytes,
        digest_answers: 1,
        approvers: vec![desk.signer.key()],
        approvals: Vec::new(),
        producers,
        schema_set: Kind::known(),
        policy: Policy {
            pots: vec![pot],
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
        },
    }
}
