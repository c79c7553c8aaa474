//! One seeded run: several gateways, an archiver and two readers around one broker, all of them failing, then a calm in which
//! everything must become final. The same seed gives the same run.

pub mod actors;

mod calm;

pub use self::calm::final_records;

mod trouble;

mod views;

use std::collections::{BTreeMap, BTreeSet};

use orebook_ledger::admit::{State, Verdict};
use orebook_ledger::build::genesis_frame;
use orebook_ledger::disk::Disk as _;
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::{Record, SegmentStore, StoreConfig};
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{FILE_BYTES_MIN, SpoolConfig};
use orebook_schema::genesis::{Algorithm, Genesis};
use orebook_schema::names::{CoinName, Pot};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::{Hash, Kind, LedgerId, Policy, Role, StreamId};

use self::actors::{Common, Gateway, Keeper, Outcome, Projector, Sent, read, shares_in, trace};
use crate::broker::{SendFaults, SimBroker};
use crate::checks::{
    Miners, Seen, ShareId, Violation, checkpoints_consistent, count_shares, exactly_once, leaves,
    recursive_root,
};
use crate::disk::SimDisk;
use crate::rng::Rng;

/// A fault of the software itself, planted to see a checker find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// None: the checkers must be silent.
    Nothing,
    /// A gateway answers although recording failed.
    AnswersUnrecorded,
    /// A gateway sends the shares of its former life once more, as new ones.
    RecordsTwice,
    /// One reader misses a record of the log.
    SkipsRecord,
    /// The archiver forgets at each start what it signed.
    ForgetsSigned,
    /// A gateway's disk is restored from a snapshot without anybody knowing of it.
    SecretClone,
    /// A gateway never sends again.
    NeverRetries,
    /// The archiver remembers no share.
    ForgetsShares,
    /// The archiver keeps two ledgers with one key, and shows the second to one reader.
    SplitView,
}

/// What can happen in a run.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Fault of the software.
    pub plant: Plant,
    /// Steps with faults, before the calm.
    pub steps: u64,
}

/// Rounds of calm in which all must become final.
const CALM_ROUNDS: u32 = 400;

/// What a run did, for coverage.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Shares answered.
    pub accepted: usize,
    /// Positions of the final ledger.
    pub positions: u64,
    /// How often things happened, by name.
    pub happened: BTreeMap<String, u64>,
}

/// A running world.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    rng: Rng,
    now: u64,
    common: Common,
    genesis: Genesis,
    desk: Signer,
    broker: SimBroker,
    gateways: Vec<Gateway>,
    projectors: Vec<Projector>,
    keeper: Keeper,
    miners: Miners,
    seen: Seen,
    next_share: u32,
    /// Streams that a known clone may have forked.
    may_close: BTreeSet<StreamId>,
    happened: BTreeMap<String, u64>,
    /// Whether the log may lose what is checkpointed, as Kafka's may.
    kafka: bool,
    skipped: bool,
    /// The second ledger of a split view.
    other: Option<(SimBroker, Keeper)>,
}

/// Runs one seed.
///
/// # Errors
/// The rule that was broken, with the seed and the step.
pub fn run(seed: u64, scenario: Scenario) -> Result<Report, Violation> {
    let mut world = World::new(seed, scenario);
    let named = |step: &str, violation: Violation| format!("seed {seed}, {step}: {violation}");
    for step in 0..scenario.steps {
        world
            .step()
            .map_err(|violation| named(&format!("step {step}"), violation))?;
    }
    world.calm().map_err(|violation| named("calm", violation))
}

/// Runs one seed and gives the archiver's segment files, by name.
///
/// # Errors
/// The rule that was broken.
pub fn ledger_of(seed: u64, scenario: Scenario) -> Result<BTreeMap<String, Vec<u8>>, Violation> {
    let mut world = World::new(seed, scenario);
    for _ in 0..scenario.steps {
        world.step()?;
    }
    world.calm()?;
    let disk = &world.keeper.disk;
    let dir = "archive/segments/";
    let paths = disk
        .paths()
        .into_iter()
        .filter(|path| path.starts_with(dir));
    let read = |path: String| {
        let bytes = disk.read_raw(&path).map_err(|error| error.to_string())?;
        Ok((path.trim_start_matches(dir).to_owned(), bytes))
    };
    paths.map(read).collect()
}

/// A pool of two or three gateways, an archiver and two readers, none of them started.
#[derive(Debug)]
pub struct Pool {
    /// What every actor knows.
    pub common: Common,
    /// Gateways.
    pub gateways: Vec<Gateway>,
    /// Readers.
    pub projectors: Vec<Projector>,
    /// The archiver.
    pub keeper: Keeper,
}

/// A fresh pool, for tests that drive the actors themselves.
#[must_use]
pub fn pool(seed: u64) -> Pool {
    let world = World::new(
        seed,
        Scenario {
            plant: Plant::Nothing,
            steps: 0,
        },
    );
    Pool {
        common: world.common,
        gateways: world.gateways,
        projectors: world.projectors,
        keeper: world.keeper,
    }
}

fn key(rng: &mut Rng) -> Signer {
    let mut seed = [0; 32];
    rng.fill(&mut seed);
    Signer::from_seed(&seed)
}

/// Coins of odd seeds are ethash: everything that can happen happens to shares of either kind.
const fn algorithm_of(seed: u64) -> Algorithm {
    if seed % 2 == 1 {
        Algorithm::Ethash
    } else {
        Algorithm::Sha256d
    }
}

fn genesis(
    rng: &mut Rng,
    algorithm: Algorithm,
    desk: &Signer,
    gateways: &[Signer],
    archiver: &Signer,
) -> Genesis {
    let mut id = [0; 16];
    rng.fill(&mut id);
    let mut producers: Vec<_> = gateways
        .iter()
        .map(|signer| (signer.key(), Role::Gateway))
        .collect();
    producers.push((desk.key(), Role::Desk));
    producers.push((archiver.key(), Role::Archiver));
    producers.sort_unstable();
    let pot = |number, scheme| PotRules {
        pot: Pot(number),
        scheme,
        n_ppm: 2_000_000,
        fee_ppm: 10_000,
        bonus_ppm: 0,
        stale_ppm: 500_000,
        keep_tx_fees: false,
        direct_min: 0,
        direct_outputs: 0,
    };
    Genesis {
        ledger: LedgerId(id),
        coin: 1,
        coin_name: CoinName::parse("sim").expect("a legal name"),
        algorithm,
        decimals: 8,
        chain: Hash::ZERO,
        segment_positions: u32::try_from(rng.range(4, 40)).unwrap_or(8),
        segment_bytes: 65_536,
        digest_answers: 1,
        approvers: vec![desk.key()],
        approvals: Vec::new(),
        producers,
        schema_set: Kind::known(),
        policy: Policy {
            pots: (0..)
                .zip(SCHEMES)
                .map(|(number, scheme)| pot(number, scheme))
                .collect(),
            immature_depth: 1,
            confirmed_depth: 5,
            orphan_depth: 2,
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

/// A pot of each, numbered from 0.
const SCHEMES: [Scheme; 5] = [
    Scheme::Pplns,
    Scheme::Solo,
    Scheme::Prop,
    Scheme::Pps,
    Scheme::Fpps,
];

fn write_genesis(disk: &SimDisk, dir: &str, common: &Common, genesis: &Genesis, desk: &Signer) {
    let segments = format!("{dir}/segments");
    disk.create_dir(&segments).expect("a fresh disk");
    let (mut store, _) =
        SegmentStore::open_with(disk.clone(), &segments, common.ledger, 0, common.store)
            .expect("a fresh disk");
    let frame = genesis_frame(genesis, StreamId([1; 16]), 1_000, desk).expect("a legal genesis");
    let mut state = State::new(common.ledger);
    let (verdict, _) = state
        .admit(&store, 1_000, frame.bytes().to_vec())
        .expect("no history is read");
    let Verdict::Admitted(admitted) = verdict else {
        panic!("genesis is admitted: {verdict:?}")
    };
    store
        .append_frame(admitted.position, admitted.ledger_time, 1_000, &frame)
        .expect("position 0");
    store.sync().expect("a fresh disk");
}

impl World {
    fn new(seed: u64, scenario: Scenario) -> Self {
        let mut rng = Rng::new(seed);
        let count = usize::try_from(rng.range(2, 4)).unwrap_or(2);
        let (desk, archiver) = (key(&mut rng), key(&mut rng));
        let signers: Vec<Signer> = (0..count).map(|_| key(&mut rng)).collect();
        let genesis = genesis(&mut rng, algorithm_of(seed), &desk, &signers, &archiver);
        let common = Common {
            ledger: genesis.ledger,
            store: StoreConfig {
                preallocate_bytes: 16_384,
            },
            spool: SpoolConfig {
                ledger: genesis.ledger,
                coin: 1,
                role: Role::Gateway,
                schema_set: 0,
                file_bytes: FILE_BYTES_MIN,
                total_bytes: 4 * FILE_BYTES_MIN,
            },
        };
        let disk = |rng: &mut Rng, dir: &str| {
            let disk = SimDisk::new(rng.next_u64());
            write_genesis(&disk, dir, &common, &genesis, &desk);
            disk
        };
        let gateways = signers
            .into_iter()
            .enumerate()
            .map(|(index, signer)| Gateway {
                name: format!("gateway {index}"),
                disk: disk(&mut rng, "mirror"),
                signer,
                life: None,
            });
        let gateways: Vec<Gateway> = gateways.collect();
        let projectors = (0..2).map(|index| Projector {
            name: format!("reader {index}"),
            disk: disk(&mut rng, "mirror"),
            life: None,
            damaged: false,
        });
        let projectors: Vec<Projector> = projectors.collect();
        let keeper_disk = disk(&mut rng, "archive");
        let other = (scenario.plant == Plant::SplitView).then(|| {
            let (disk, signer) = (keeper_disk.fork_copy(), archiver.clone());
            let keeper = Keeper {
                name: "archiver's other half".to_owned(),
                disk,
                signer,
                life: None,
            };
            (SimBroker::new(rng.next_u64()), keeper)
        });
        let keeper = Keeper {
            name: "archiver".to_owned(),
            disk: keeper_disk,
            signer: archiver,
            life: None,
        };
        Self {
            other,
            scenario,
            now: 1_700_000_000_000,
            broker: SimBroker::new(rng.next_u64()),
            gateways,
            projectors,
            keeper,
            common,
            genesis,
            desk,
            miners: Miners::default(),
            seen: Seen::default(),
            next_share: 0,
            may_close: BTreeSet::new(),
            happened: BTreeMap::new(),
            kafka: rng.chance(1, 2),
            skipped: false,
            rng,
        }
    }

    fn note(&mut self, what: &str) {
        trace(format_args!("- {what}"));
        *self.happened.entry(what.to_owned()).or_default() += 1;
    }

    fn step(&mut self) -> Result<(), Violation> {
        self.now += self.rng.below(300);
        match self.rng.below(100) {
            0..=29 => self.gateway_serves(),
            30..=54 => self.gateway_turns(),
            55..=69 => self.keeper_turns()?,
            70..=81 => self.reader_turns()?,
            82..=85 => self.break_something(),
            86..=89 => self.break_broker(),
            _ => self.start_somebody()?,
        }
        self.watch()
    }

    fn pick_gateway(&mut self) -> usize {
        usize::try_from(self.rng.below(self.gateways.len() as u64)).unwrap_or(0)
    }

    fn gateway_serves(&mut self) {
        let index = self.pick_gateway();
        // A share of ethash has no tag: a miner may send it to two gateways, each of which knows its own alone.
        let is_ethash = self.genesis.algorithm == Algorithm::Ethash;
        let copied = (is_ethash && self.rng.chance(1, 8))
            .then(|| u32::try_from(self.rng.range(1, 1 + u64::from(self.next_share))).ok());
        let mut copied = copied.flatten().filter(|id| *id <= self.next_share);
        if copied.is_some() {
            self.note("share sent again");
        }
        let next = &mut self.next_share;
        let mut fresh = || {
            if let Some(copied) = copied.take() {
                return (copied, 1_700_000_000);
            }
            *next += 1;
            (*next, 1_700_000_000)
        };
        let Some(gateway) = self.gateways.get_mut(index) else {
            return;
        };
        let Some(life) = &mut gateway.life else {
            return;
        };
        let (sent, outcome) = life.serve(self.now, &mut self.rng, &mut fresh);
        for Sent { id, answered } in sent {
            self.miners.sent.insert(id);
            if answered || self.scenario.plant == Plant::AnswersUnrecorded {
                self.miners.accepted.insert(id);
            }
        }
        self.gateway_outcome(index, outcome);
    }

    fn gateway_turns(&mut self) {
        let index = self.pick_gateway();
        let peer = self
            .keeper
            .life
            .as_ref()
            .map(orebook_ledger::archiver::Archiver::reader);
        let Some(gateway) = self.gateways.get_mut(index) else {
            return;
        };
        let Some(life) = &mut gateway.life else {
            return;
        };
        if self.scenario.plant == Plant::NeverRetries && index == 0 && 30 < self.next_share {
            return;
        }
        let mut log = views::Both {
            shown: &mut self.broker,
            other: self.other.as_mut().map(|(broker, _)| broker),
        };
        let outcome = life.turn(&mut log, peer, self.now, &mut self.rng);
        if life.spool.is_moving() {
            self.note("move interrupted");
        }
        self.gateway_outcome(index, outcome);
    }

    fn gateway_outcome(&mut self, index: usize, outcome: Outcome) {
        if outcome != Outcome::Alive {
            self.note("gateway died");
            if let Some(gateway) = self.gateways.get_mut(index) {
                gateway.life = None;
            }
        }
    }

    fn keeper_turns(&mut self) -> Result<(), Violation> {
        if let Some((broker, keeper)) = &mut self.other {
            if keeper.life.is_none() {
                keeper.disk.restart_process();
                keeper
                    .start(&self.common, self.now, &mut self.rng)
                    .unwrap_or_default();
            }
            keeper.turn(broker, self.now, &mut self.rng);
        }
        let outcome = self.keeper.turn(&mut self.broker, self.now, &mut self.rng);
        if let Some(signed) = self
            .keeper
            .life
            .as_ref()
            .and_then(orebook_ledger::archiver::Archiver::signed)
        {
            self.seen.checkpoint(signed.size, signed.root);
        }
        match outcome {
            Outcome::Alive => {}
            Outcome::Dead(_) => {
                self.note("archiver died");
                self.keeper.life = None;
            }
            Outcome::Damaged(what) => {
                return Err(format!("the archiver finds damage that nobody did: {what}"));
            }
        }
        Ok(())
    }

    fn reader_turns(&mut self) -> Result<(), Violation> {
        let index = usize::try_from(self.rng.below(2)).unwrap_or(0);
        let peer = self
            .keeper
            .life
            .as_ref()
            .map(orebook_ledger::archiver::Archiver::reader);
        let Some(projector) = self.projectors.get_mut(index) else {
            return Ok(());
        };
        let Some(reader) = &mut projector.life else {
            return Ok(());
        };
        let skips = self.scenario.plant == Plant::SkipsRecord && index == 0 && !self.skipped;
        let outcome = if skips && 10 < reader.head().size() {
            self.skipped = true;
            let log = views::Skipping(&self.broker);
            read(reader, &log, peer, &mut self.rng)
        } else if let (Some((broker, _)), 1) = (&self.other, index) {
            read(reader, broker, None, &mut self.rng)
        } else {
            read(reader, &self.broker, peer, &mut self.rng)
        };
        match outcome {
            Outcome::Alive => {}
            Outcome::Dead(_) => {
                self.note("reader died");
                self.projectors[index].life = None;
            }
            Outcome::Damaged(_) if self.projectors[index].damaged => self.repair_reader(index),
            Outcome::Damaged(what) => {
                return Err(format!("a reader finds damage that nobody did: {what}"));
            }
        }
        Ok(())
    }
}
