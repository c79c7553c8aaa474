//! The difficulty of ethash's sessions follows their pace while the node's work stays what it is.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use orebook_gateway::{AskedDifficulty, DifficultyRule, VardiffRule};
use orebook_miner::{EthClient, EthDialect, EthFound, EthJob, EthLogin, EthNews};
use orebook_schema::units::{U256, WorkUnit};
use orebook_schema::{Hash, Work};

use crate::ethash::{HARD, answer, given, setup};
use crate::pool::{DEADLINE, Pool, Setup};

/// Hashes of a share at first.
const START: u64 = 8;

/// Sessions are looked at each `retarget`, or after sixteen shares and four times those that were expected.
fn pool(target: Duration, retarget: Duration) -> Pool {
    let work = |units: u64| Work::new(units).expect("work");
    let rule = VardiffRule {
        start: work(START),
        min: work(2),
        // A share of it is found well within the time for which the old target counts.
        max: work(64),
        target,
        retarget,
        asked: AskedDifficulty::Start,
    };
    Pool::start(&Setup {
        ports: vec![DifficultyRule::Vardiff(rule)],
        ..setup()
    })
}

struct Rig {
    stream: TcpStream,
    client: EthClient,
    jobs: VecDeque<EthJob>,
    /// Whether a share was accepted, by its id.
    answers: BTreeMap<u64, bool>,
    next_nonce: u64,
}

impl Rig {
    fn new(dialect: EthDialect, address: SocketAddr, number: u64) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let login = EthLogin {
            address: "name-a".to_owned(),
            rig: format!("rig-{number}"),
            password: "x".to_owned(),
        };
        let mut rig = Self {
            stream,
            client: EthClient::new(dialect, login),
            jobs: VecDeque::new(),
            answers: BTreeMap::new(),
            next_nonce: number << 32,
        };
        let mut said = Vec::new();
        rig.client.begin(&mut said);
        rig.say(&said);
        rig
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it reads");
    }

    fn hear(&mut self) {
        let (mut bytes, mut said) = ([0; 4_096], Vec::new());
        let count = self.stream.read(&mut bytes).expect("it speaks in time");
        let heard = self.client.hear(&bytes[..count], &mut said);
        for news in heard.expect("the protocol") {
            match news {
                EthNews::Job(job) => self.jobs.push_back(job),
                EthNews::Answer { id, error, .. } => {
                    self.answers.insert(id, error.is_none());
                }
                EthNews::Ready => {}
                other => panic!("{other:?}"),
            }
        }
        self.say(&said);
    }

    fn job(&mut self) -> EthJob {
        loop {
            if let Some(job) = self.jobs.pop_front() {
                return job;
            }
            self.hear();
        }
    }

    /// The same work with another target; who polls asks for it.
    fn other_than(&mut self, before: &EthJob, asks: bool) -> EthJob {
        let started = Instant::now();
        loop {
            if asks {
                let mut said = Vec::new();
                self.client.ask_work(&mut said);
                self.say(&said);
                std::thread::park_timeout(Duration::from_millis(20));
            }
            let job = self.job();
            if job.target != before.target {
                assert_eq!(job.seal, before.seal, "the same work");
                return job;
            }
            assert!(started.elapsed() < DEADLINE, "{job:?}");
        }
    }

    /// Submits a share whose value is at most `most` and above `above`; whether it was accepted.
    fn share(&mut self, job: &EthJob, above: U256, most: U256) -> bool {
        let found = loop {
            self.next_nonce += 1;
            let nonce = job.nonce(self.next_nonce);
            let answer = answer(Hash(job.seal), nonce);
            if above < answer.value && answer.value <= most {
                let mix = answer.mix.0;
                break EthFound { nonce, mix };
            }
        };
        let mut said = Vec::new();
        let id = self.client.submit(&mut said, job, &found);
        self.say(&said);
        loop {
            if let Some(is_accepted) = self.answers.remove(&id) {
                return is_accepted;
            }
            self.hear();
        }
    }
}

fn work_of(job: &EthJob) -> u64 {
    u64::try_from(WorkUnit::Ethash.network_work(job.target)).expect("small")
}

#[test]
fn silence_lowers_the_difficulty_of_the_same_work_in_every_dialect() {
    let pool = pool(Duration::from_millis(500), Duration::from_secs(2));
    pool.give(given("seal", "parent", HARD));
    let dialects = [
        EthDialect::EthProxy,
        EthDialect::NiceHash,
        EthDialect::Stratum2,
        EthDialect::Legacy,
        EthDialect::GetWork,
    ];
    let rigs = (0..).zip(dialects).map(|(number, dialect)| {
        let mut rig = Rig::new(dialect, pool.address(0), number);
        let job = rig.job();
        (dialect, rig, job)
    });
    let rigs: Vec<(EthDialect, Rig, EthJob)> = rigs.collect();
    let mut works = Vec::new();
    for (dialect, mut rig, first) in rigs {
        let job = rig.other_than(&first, dialect == EthDialect::GetWork);
        assert!(first.target < job.target, "{dialect:?}: easier");
        assert!(
            rig.share(&job, first.target, job.target),
            "{dialect:?}: what is none by the first target"
        );
        works.push(work_of(&job));
    }
    let shares = pool.final_nonces(works.len());
    let recorded: Vec<u64> = shares.iter().map(|share| share.work.units()).collect();
    for (recorded, told) in recorded.iter().zip(&works) {
        // It may be lower by now than what was read.
        assert!(recorded <= told && *told < START, "{recorded}, {told}");
    }
}

#[test]
fn a_fast_rig_is_told_a_harder_target_and_what_it_found_before_counts_as_before() {
    // However slow the machine is, the rig is faster than that.
    let pool = pool(Duration::from_secs(600), Duration::from_secs(600));
    pool.give(given("seal", "parent", HARD));
    let mut rig = Rig::new(EthDialect::EthProxy, pool.address(0), 0);
    let first = rig.job();
    assert_eq!(work_of(&first), START);
    let mut count = 0;
    while rig.jobs.iter().all(|job| job.target == first.target) {
        assert!(rig.share(&first, U256::ZERO, first.target));
        count += 1;
    }
    let job = rig.other_than(&first, false);
    assert!(job.target < first.target, "harder");
    // On its way when the new target came: it is worth what it was.
    assert!(rig.share(&first, job.target, first.target));
    // A lucky one too: nobody may choose which target it is counted by.
    assert!(rig.share(&first, U256::ZERO, job.target));
    let started = Instant::now();
    while rig.share(&first, job.target, first.target) {
        assert!(started.elapsed() < DEADLINE, "the old target ends");
        count += 1;
        std::thread::park_timeout(Duration::from_millis(100));
    }
    assert!(rig.share(&job, U256::ZERO, job.target));
    let shares = pool.final_nonces(count + 3);
    let works: Vec<u64> = shares.iter().map(|share| share.work.units()).collect();
    let (last, before) = works.split_last().expect("shares");
    assert!(before.iter().all(|work| *work == START), "{works:?}");
    assert_eq!(*last, work_of(&job));
}
