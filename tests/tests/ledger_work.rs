//! `orebook ledger verify --work`: ledgers whose shares were really hashed, and what a dishonest gateway plants in them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::path::Path;
use std::process::{Command, Output};

use orebook_ledger::admit::{State, Verdict};
use orebook_ledger::build::{Cut, build_frame, genesis_frame};
use orebook_ledger::credit::{JobTerms, Overlay, summarise};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::SegmentStore;
use orebook_ledger::sign::Signer;
use orebook_pow::ethash::{Answer, Cache, EpochRule, Question, prove};
use orebook_pow::{Claim, PreparedJob, coinbase_tag};
use orebook_schema::event::{Checkpoint, Moved};
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::{CoinName, Pot, RegisteredName};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::units::U256;
use orebook_schema::work::{
    BlockFound, Difficulty, EthashHeader, EthashJob, EthashShare, Extranonce, Job, JobRef, Share,
    Worker,
};
use orebook_schema::{
    Account, At, Event, Frame, Genesis, Hash, Kind, LedgerId, Policy, Role, StreamId, Work,
    WorkerName,
};
use orebook_tests::orebook_binary;
use serde_json::Value;

const LEDGER: LedgerId = LedgerId([9; 16]);
const START: u64 = 1_700_000_000_000;
const DESK: u8 = 1;
const ARCHIVER: u8 = 2;
const GATEWAY: u8 = 10;
const MINERS: StreamId = StreamId([0x77; 16]);

fn signer(name: u8) -> Signer {
    Signer::from_seed(&[name; 32])
}

fn genesis(algorithm: Algorithm) -> Genesis {
    let mut producers = vec![
        (signer(DESK).key(), Role::Desk),
        (signer(ARCHIVER).key(), Role::Archiver),
        (signer(GATEWAY).key(), Role::Gateway),
    ];
    producers.sort_by_key(|(key, _)| *key);
    Genesis {
        ledger: LEDGER,
        coin: 1,
        coin_name: CoinName::parse("test").expect("a coin's name"),
        algorithm,
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
            pots: vec![PotRules {
                pot: Pot(0),
                scheme: Scheme::Pplns,
                n_ppm: 1_000_000,
                fee_ppm: 0,
                bonus_ppm: 0,
                stale_ppm: 0,
                keep_tx_fees: false,
                direct_min: 0,
                direct_outputs: 0,
            }],
            immature_depth: 1,
            confirmed_depth: 100,
            orphan_depth: 1,
            threshold: 1,
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

/// A ledger on disk that a gateway writes what it likes into, as long as it is admitted.
struct Book {
    store: SegmentStore<RealDisk>,
    state: State,
    next_seq: u64,
    previous: Hash,
}

impl Book {
    /// Genesis at position 0, a checkpoint of it at position 1: jobs may cite its policy.
    fn new(dir: &Path, algorithm: Algorithm) -> Self {
        let disk = RealDisk::new(dir.to_path_buf());
        let opened = SegmentStore::open(disk, "segments", LEDGER, 0);
        let mut book = Self {
            store: opened.expect("a new ledger").0,
            state: State::new(LEDGER),
            next_seq: 0,
            previous: Hash::ZERO,
        };
        let desk = StreamId([1; 16]);
        let frame = genesis_frame(&genesis(algorithm), desk, START, &signer(DESK));
        book.append(&frame.expect("a genesis"));
        let (size, root) = (book.state.size(), book.state.root());
        let signature = signer(ARCHIVER).sign_checkpoint(LEDGER, size, &root);
        let checkpoint = Event::Checkpoint(Checkpoint {
            size,
            root,
            signature,
        });
        let cut = (StreamId([2; 16]), 0, Hash::ZERO);
        let frame = book.frame(cut, ARCHIVER, &[checkpoint]);
        book.append(&frame);
        book
    }

    /// The gateway's next frame; gives its position.
    fn say(&mut self, events: &[Event]) -> u64 {
        let frame = self.frame((MINERS, self.next_seq, self.previous), GATEWAY, events);
        (self.next_seq, self.previous) = (frame.header().next_seq(), frame.header_hash());
        self.append(&frame)
    }

    fn frame(&self, at: (StreamId, u64, Hash), name: u8, events: &[Event]) -> Frame {
        let (stream, first_seq, previous) = at;
        let known = self.state.stream(stream);
        let mut overlay = Overlay::new(known.map(|stream| &stream.announced));
        let authority = self.state.authority().expect("a genesis");
        let terms = |job: JobRef| JobTerms {
            network_work: job.network_work,
            policy: authority
                .policy(job.policy)
                .map(|obeyed| obeyed.policy.clone()),
        };
        let summary = summarise(events, &mut overlay, terms).expect("announced");
        let body: Vec<u8> = events.iter().flat_map(|event| event.to_bytes(0)).collect();
        let cut = Cut {
            ledger: LEDGER,
            coin: 1,
            stream,
            epoch: 0,
            first_seq,
            base_time: START,
            previous,
            schema_set: 0,
            summary: &summary,
            body: &body,
        };
        build_frame(&cut, &signer(name)).expect("within limits")
    }

    fn append(&mut self, frame: &Frame) -> u64 {
        let bytes = frame.bytes().to_vec();
        let verdict = self.state.admit(&self.store, START, bytes).expect("judged");
        let (Verdict::Admitted(admitted), _) = verdict else {
            panic!("not admitted: {:?}", verdict.0);
        };
        let appended =
            self.store
                .append_frame(admitted.position, admitted.ledger_time, START, frame);
        appended.and_then(|()| self.store.sync()).expect("written");
        admitted.position
    }
}

fn worker(number: u32, extranonce1: &[u8], extranonce2_size: u8) -> Event {
    Event::Worker(Box::new(Worker {
        number,
        pot: Pot(0),
        extranonce1: Extranonce::new(extranonce1).expect("short"),
        extranonce2_size,
        version_mask: 0,
        account: Account::Name(RegisteredName::parse("anna").expect("a name")),
        name: WorkerName::parse("rig").expect("a name"),
    }))
}

fn difficulty(worker: u32, work: u64) -> Event {
    Event::Difficulty(Difficulty {
        worker,
        work: Work::new(work).expect("work"),
    })
}

fn verify(dir: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(orebook_binary());
    command.args(["ledger", "verify", "--format", "json", "--segments"]);
    command.arg(dir.join("segments")).args(more);
    command.output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Shares hashed, blocks and faults.
fn figures(output: &Output) -> (u64, u64, u64) {
    let object: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", said(output)));
    let figure = |key: &str| object[key].as_u64().expect(key);
    (figure("hashed"), figure("blocks"), figure("faults"))
}

/// What stderr names, without what it says besides.
fn faults(output: &Output) -> Vec<String> {
    let said = said(output);
    let lines = said
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    lines.map(str::to_owned).collect()
}

fn place(position: u64, index: usize, fault: &str) -> String {
    format!("{position}.{index}: {fault}")
}

const SEAL: Hash = Hash([0x5e; 32]);
const HEIGHT: u64 = 7;
/// Work of a share: one hash of four.
const SHARE_WORK: u64 = 4;
/// Work of a block: one hash of sixteen.
const BLOCK_WORK: u64 = 16;
/// The first byte of each nonce.
const PREFIX: u64 = 0xa7;

fn ethash_job(number: u32, seed: Hash) -> Event {
    Event::EthashJob(Box::new(EthashJob {
        number,
        policy: At::default(),
        height: HEIGHT,
        network_work: u128::from(BLOCK_WORK),
        reward: 5_000,
        fees: 0,
        seal: SEAL,
        seed,
        time: 1_700_000_000,
        clean: true,
    }))
}

fn target(work: u64) -> U256 {
    U256::MAX / U256::from(work)
}

/// Nonces with the prefix, and their answers.
fn mined(count: u64) -> Vec<(u64, Answer)> {
    let epoch = EpochRule::Ethash.epoch(HEIGHT).expect("the first epoch");
    let nonces: Vec<u64> = (0..count).map(|low| (PREFIX << 56) | (low * 977)).collect();
    let question = |nonce: &u64| Question {
        seal: SEAL,
        nonce: *nonce,
    };
    let questions: Vec<Question> = nonces.iter().map(question).collect();
    let mut answers = Vec::new();
    prove(&Cache::build(epoch), &questions, &mut answers);
    nonces.into_iter().zip(answers).collect()
}

fn ethash_share(job: u32, nonce: u64, block: bool) -> Event {
    Event::EthashShare(EthashShare {
        worker: 0,
        job,
        work: Work::new(SHARE_WORK).expect("work"),
        block,
        stale: false,
        nonce,
    })
}

fn found(nonce: u64, mix: Hash) -> Event {
    let header = EthashHeader {
        seal: SEAL,
        nonce,
        mix,
    };
    Event::BlockFound(header.found(HEIGHT))
}

/// What an honest gateway says of these.
fn honest(mined: &[(u64, Answer)]) -> Vec<Event> {
    let mut events = Vec::new();
    for (nonce, answer) in mined {
        let block = answer.value <= target(BLOCK_WORK);
        if block || answer.value <= target(SHARE_WORK) {
            events.push(ethash_share(0, *nonce, block));
        }
        if block {
            events.push(found(*nonce, answer.mix));
        }
    }
    events
}

fn begin_ethash(dir: &Path) -> Book {
    let mut book = Book::new(dir, Algorithm::Ethash);
    let prefix = u8::try_from(PREFIX).expect("a byte");
    book.say(&[
        worker(0, &[prefix], 7),
        difficulty(0, SHARE_WORK),
        ethash_job(0, Hash::ZERO),
        ethash_job(1, Hash([1; 32])),
    ]);
    book
}

#[test]
fn shares_of_ethash_are_hashed_again_by_two_hashers_and_what_is_planted_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let mined = mined(120);
    let mut book = begin_ethash(folder.path());
    let position = book.say(&honest(&mined));
    let shares = mined
        .iter()
        .filter(|(_, answer)| answer.value <= target(SHARE_WORK));
    let shares = shares.count() as u64;
    let blocks = mined
        .iter()
        .filter(|(_, answer)| answer.value <= target(BLOCK_WORK));
    let blocks: Vec<&(u64, Answer)> = blocks.collect();
    assert!(
        10 < shares && 2 < blocks.len(),
        "{shares}, {}",
        blocks.len()
    );
    // A job whose seed is not its height's is named; nothing else is wrong.
    let seed = place(2, 3, "a job whose seed is not that of its height");
    for more in [&["--work"][..], &["--work", "--oracle"]] {
        let output = verify(folder.path(), more);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert_eq!(figures(&output), (shares, blocks.len() as u64, 1));
        assert_eq!(faults(&output), std::slice::from_ref(&seed));
    }
    let plain = verify(folder.path(), &[]);
    assert!(plain.status.success(), "{}", said(&plain));

    // The job says a work and no target: only what meets the smallest target of that work is surely a block.
    let surely = blocks
        .iter()
        .find(|(_, answer)| answer.value <= target(BLOCK_WORK + 1));
    let block = surely.expect("most are").0;
    let between = |(_, answer): &&(u64, Answer)| {
        target(BLOCK_WORK) < answer.value && answer.value <= target(SHARE_WORK)
    };
    let misses = mined
        .iter()
        .find(|(_, answer)| target(SHARE_WORK) < answer.value);
    let (misses, _) = *misses.expect("three of four miss");
    let shares_only: Vec<u64> = mined
        .iter()
        .filter(between)
        .map(|(nonce, _)| *nonce)
        .collect();
    let other_seal = EthashHeader {
        seal: Hash([6; 32]),
        nonce: block,
        mix: Hash::ZERO,
    };
    // A block stands behind a share that is said to be one: admission sees to that, and hashes nothing.
    let first = book.say(&[
        ethash_share(0, misses, false),
        ethash_share(0, shares_only[0], false),
        ethash_share(0, misses ^ 1 << 63, false),
        ethash_share(0, shares_only[1], true),
        found(shares_only[1], Hash([3; 32])),
        ethash_share(0, block, false),
        ethash_share(0, block, true),
        Event::BlockFound(other_seal.found(HEIGHT)),
        // Of the job that cannot be hashed: it was named already.
        ethash_share(1, misses, false),
    ]);
    let at = |nonce: u64| {
        let is_it =
            |event: &Event| matches!(event, Event::EthashShare(share) if share.nonce == nonce);
        let index = honest(&mined).iter().position(is_it).expect("it is there");
        format!("a share that is also at {position}.{index}")
    };
    let output = verify(folder.path(), &["--work"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let oracle = verify(folder.path(), &["--work", "--oracle"]);
    assert_eq!(faults(&output), faults(&oracle));
    let named = faults(&output);
    for expected in [
        seed,
        place(first, 0, "a share whose hash misses its target"),
        place(first, 1, &at(shares_only[0])),
        place(
            first,
            2,
            "a share whose nonce is outside of its worker's prefix",
        ),
        place(
            first,
            3,
            "a share said to be a block whose hash misses the block target",
        ),
        place(first, 3, &at(shares_only[1])),
        place(
            first,
            4,
            "a block found whose header has another mix than its nonce gives",
        ),
        place(
            first,
            5,
            "a share whose hash makes a block, not said to be one",
        ),
        place(first, 5, &at(block)),
        place(first, 6, &at(block)),
        place(first, 7, "a block found that no share explains"),
        place(
            first,
            7,
            "a block found whose header has another mix than its nonce gives",
        ),
    ] {
        assert!(named.contains(&expected), "{expected}\n{named:#?}");
    }
    assert!(
        named
            .iter()
            .all(|line| !line.starts_with(&format!("{first}.8")))
    );
    let (_, _, counted) = figures(&output);
    assert_eq!(counted, named.len() as u64);
}

const NBITS: u32 = 0x2000_ffff;

fn job(number: u32, tag: [u8; 8]) -> Job {
    Job {
        number,
        policy: At::default(),
        height: 3,
        network_work: 256,
        reward: 5_000,
        fees: 0,
        version: 0x2000_0000,
        prev: Hash([4; 32]),
        nbits: NBITS,
        time: 1_700_000_000,
        clean: true,
        coinbase1: [&[1; 50][..], &tag].concat(),
        coinbase2: vec![2; 40],
        branches: vec![Hash([5; 32])],
        direct: 0,
    }
}

/// Work of a share that one hash in four has: difficulty 1 of scrypt is 65,536 times easier.
fn easy(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::Scrypt => SHARE_WORK * 65_536,
        _ => SHARE_WORK,
    }
}

/// Shares of a job, none of them a block: so many that meet the target, and one that misses.
fn mined_headers(job: &Job, algorithm: Algorithm, count: usize) -> (Vec<Event>, Event) {
    let prepared = PreparedJob::new(job, algorithm).expect("a job");
    let unit = algorithm.work_unit();
    let work = Work::new(easy(algorithm)).expect("work");
    let (mut met, mut missed) = (Vec::new(), None);
    for nonce in 0.. {
        let share = Share {
            worker: 0,
            job: job.number,
            work,
            block: false,
            stale: false,
            nonce,
            ntime: job.time,
            version: job.version,
            extranonce2: Extranonce::new(&[0; 4]).expect("short"),
        };
        let proof = prepared.prove(&Claim {
            extranonce1: Extranonce::new(&[7; 4]).expect("short"),
            extranonce2: share.extranonce2,
            ntime: share.ntime,
            nonce,
            version: share.version,
        });
        if work.target(unit) < proof.value() {
            missed = Some(Event::Share(share));
        } else if prepared.block_target() < proof.value() && met.len() < count {
            met.push(Event::Share(share));
        }
        if let Some(missed) = missed.take_if(|_| met.len() == count) {
            return (met, missed);
        }
    }
    unreachable!("nonces do not end")
}

#[test]
fn shares_under_headers_are_hashed_again_and_anothers_tag_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (
        job(0, coinbase_tag(MINERS, 0)),
        job(1, coinbase_tag(MINERS, 1)),
    );
    let mut book = Book::new(folder.path(), Algorithm::Sha256d);
    let jobs = [&ours, &theirs].map(|job| Event::Job(Box::new(job.clone())));
    book.say(&[worker(0, &[7; 4], 4), difficulty(0, SHARE_WORK)]);
    book.say(&jobs);
    let (mut good, missed) = mined_headers(&ours, Algorithm::Sha256d, 600);
    let Some(Event::Share(last)) = good.pop() else {
        panic!("600 shares");
    };
    let said_block = Event::Share(Share {
        block: true,
        ..last
    });
    for frame in good.chunks(200) {
        book.say(frame);
    }
    let whole = verify(folder.path(), &["--work"]);
    assert!(whole.status.success(), "{}", said(&whole));
    assert_eq!(figures(&whole), (599, 0, 0));

    let (stolen, _) = mined_headers(&theirs, Algorithm::Sha256d, 1);
    let header = vec![0; 80];
    let unexplained = Event::BlockFound(BlockFound {
        hash: Hash([8; 32]),
        height: 3,
        coinbase_txid: Hash::ZERO,
        header,
    });
    let first = book.say(&[
        missed,
        good[399].clone(),
        stolen[0].clone(),
        said_block,
        unexplained,
    ]);
    let output = verify(folder.path(), &["--work"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let expected = [
        place(first, 0, "a share whose hash misses its target"),
        place(first, 1, "a share that is also at 5.199"),
        place(
            first,
            2,
            "a share whose coinbase has another stream's or epoch's tag",
        ),
        place(
            first,
            3,
            "a share said to be a block whose hash misses the block target",
        ),
        place(first, 4, "a block found that no share explains"),
    ];
    assert_eq!(faults(&output), expected);
    assert_eq!(figures(&output), (603, 1, 5));
    assert!(said(&output).contains("5 faults in the work of the ledger"));
    let oracle = verify(folder.path(), &["--work", "--oracle"]);
    assert_eq!(oracle.status.code(), Some(1));
    assert!(said(&oracle).contains("--oracle is for ethash and etchash"));
    let alone = verify(folder.path(), &["--oracle"]);
    assert_eq!(alone.status.code(), Some(2), "it asks for --work");
}

/// A stream that was closed before its shares were admitted, and the epoch they were answered in.
const CLOSED: (StreamId, u32) = (StreamId([0x66; 16]), 3);

/// What the gateway's next stream says of an event of the closed one.
fn moved(epoch: u32, seq: u64, event: &Event) -> Event {
    Event::Moved(Moved {
        stream: CLOSED.0,
        epoch,
        seq,
        base_time: START,
        worker: 0,
        job: 0,
        event: event.to_bytes(0),
    })
}

#[test]
fn moved_shares_are_hashed_again_under_the_tag_of_the_stream_they_come_from() {
    for algorithm in [Algorithm::Sha256d, Algorithm::Scrypt] {
        let folder = tempfile::tempdir().expect("a folder");
        let job = job(0, coinbase_tag(CLOSED.0, CLOSED.1));
        let mut book = Book::new(folder.path(), algorithm);
        book.say(&[worker(0, &[7; 4], 4), difficulty(0, easy(algorithm))]);
        book.say(&[Event::Job(Box::new(job.clone()))]);
        let (good, missed) = mined_headers(&job, algorithm, 6);
        let all = (0..)
            .zip(&good)
            .map(|(seq, share)| moved(CLOSED.1, seq, share));
        let all: Vec<Event> = all.collect();
        book.say(&all[..4]);
        // What is said again counts once, and is hashed once.
        book.say(&all[..5]);
        let whole = verify(folder.path(), &["--work"]);
        assert!(whole.status.success(), "{algorithm:?}: {}", said(&whole));
        assert_eq!(figures(&whole), (5, 0, 0), "{algorithm:?}");

        let first = book.say(&[
            moved(CLOSED.1, 10, &missed),
            moved(CLOSED.1, 11, &good[0]),
            moved(CLOSED.1 + 1, 12, &good[5]),
            good[5].clone(),
        ]);
        let output = verify(folder.path(), &["--work"]);
        let tag = "a share whose coinbase has another stream's or epoch's tag";
        let expected = [
            place(first, 0, "a share whose hash misses its target"),
            place(first, 1, "a share that is also at 4.0"),
            place(first, 2, tag),
            place(first, 3, tag),
            place(first, 3, &format!("a share that is also at {first}.2")),
        ];
        assert_eq!(faults(&output), expected, "{algorithm:?}");
        assert_eq!(figures(&output), (9, 0, 5), "{algorithm:?}");
    }
}
