//! How a world is made: its genesis, its clocks, the projectors and the stores that it is given.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use orebook_ledger::admit::{State, Verdict};
use orebook_ledger::build::genesis_frame;
use orebook_ledger::disk::Disk as _;
use orebook_ledger::publisher::Publisher;
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::{SegmentStore, StoreConfig};
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{FILE_BYTES_MIN, Spool, SpoolConfig};
use orebook_paymaster::digests::{Answer, Digests};
use orebook_paymaster::machine::MachineConfig;
use orebook_replay::rows::{StoreFault, View};
use orebook_replay::store::{Batch, MemoryStore, Store};
use orebook_schema::event::Approval;
use orebook_schema::genesis::{Algorithm, Approved, Genesis};
use orebook_schema::names::{CoinName, Pot};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::{Account, At, Event, Hash, Kind, LedgerId, Policy, Role, StreamId};
use orebook_sim::disk::SimDisk;

use crate::world::Producer;

pub(crate) const LEDGER: LedgerId = LedgerId([0x2d; 16]);
/// Confirmations of the policy.
pub(crate) const PAID: u64 = 2;
pub(crate) const LAST: u64 = 4;
pub(crate) const THRESHOLD: u128 = 20;
/// Milliseconds that a turn takes.
pub(crate) const TURN_MS: u64 = 100;
/// Turns between two ordinary shares: ledger time goes on by them.
pub(crate) const SHARE_TURNS: u64 = 10;
pub(crate) const INTERVAL_MS: u64 = 3_000;
pub(crate) const STUCK_MS: u64 = 20_000;
pub(crate) const APPROVE_WITHIN_MS: u64 = 60_000;
pub(crate) const RETRY_MS: u64 = 1_000;
/// Between two reconciliations, where a world makes them.
pub(crate) const RECONCILE_MS: u64 = 15_000;
pub(crate) const SILENCES: u32 = 3;

pub(crate) const DESK: u8 = 1;
pub(crate) const GATEWAY: u8 = 2;
pub(crate) const ARCHIVER: u8 = 3;
pub(crate) const SETTLER: u8 = 6;
pub(crate) const PAYMASTERS: [u8; 2] = [4, 5];
pub(crate) const APPROVERS: [u8; 2] = [20, 21];

pub(crate) fn signer(name: u8) -> Signer {
    Signer::from_seed(&[name; 32])
}

pub(crate) fn approval(thing: Hash, by: u8) -> Event {
    Event::Approval(Approval {
        thing,
        approver: signer(by).key(),
        signature: signer(by).sign_approval(LEDGER, &thing),
    })
}

/// An account that is paid at itself.
pub(crate) fn account(name: u16) -> Account {
    let mut address = [0xaa; 20];
    address[18..].copy_from_slice(&name.to_be_bytes());
    Account::Evm(address)
}

/// How a world is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Many lines in one transaction, or one each.
    pub(crate) one_each: bool,
    pub(crate) paymasters: usize,
    /// Base units of a batch that needs no approval.
    pub(crate) auto_pay_limit: u128,
    pub(crate) fees: NetworkFees,
    pub(crate) lines_max: usize,
    pub(crate) day_max: u128,
    pub(crate) sights: u32,
    pub(crate) dry_run: bool,
    pub(crate) coins: u32,
    /// Whether ledger and chain are compared now and then; the stories of others are about something else.
    pub(crate) reconciles: bool,
}

impl Setup {
    pub(crate) const fn new(one_each: bool) -> Self {
        Self {
            one_each,
            paymasters: 1,
            auto_pay_limit: 1 << 80,
            fees: NetworkFees::Pool,
            lines_max: 1_000,
            day_max: 1 << 80,
            sights: 1,
            dry_run: false,
            coins: 8,
            reconciles: false,
        }
    }

    pub(crate) fn genesis(&self) -> Genesis {
        let mut producers = vec![
            (signer(DESK).key(), Role::Desk),
            (signer(GATEWAY).key(), Role::Gateway),
            (signer(ARCHIVER).key(), Role::Archiver),
            (signer(SETTLER).key(), Role::Settler),
        ];
        producers.extend(PAYMASTERS.map(|name| (signer(name).key(), Role::Paymaster)));
        producers.sort_unstable();
        let mut approvers = APPROVERS.map(|name| signer(name).key()).to_vec();
        approvers.sort_unstable();
        Genesis {
            ledger: LEDGER,
            coin: 1,
            coin_name: CoinName::parse("sim").unwrap(),
            algorithm: Algorithm::Sha256d,
            decimals: 8,
            chain: Hash::ZERO,
            segment_positions: 64,
            segment_bytes: 65_536,
            digest_answers: 2,
            approvers,
            approvals: vec![(Approved::Adjustment, 1)],
            producers,
            schema_set: Kind::known(),
            policy: Policy {
                pots: vec![PotRules {
                    pot: Pot(0),
                    scheme: Scheme::Pplns,
                    n_ppm: 2_000_000,
                    fee_ppm: 0,
                    bonus_ppm: 0,
                    stale_ppm: 0,
                    keep_tx_fees: false,
                    direct_min: 0,
                    direct_outputs: 0,
                }],
                immature_depth: 2,
                confirmed_depth: 5,
                orphan_depth: 3,
                threshold: THRESHOLD,
                address_hold_ms: 0,
                network_fees: self.fees,
                auto_pay_limit: self.auto_pay_limit,
                payout_depth: PAID as u32,
                payout_final_depth: LAST as u32,
                writeoff_ms: 1_000,
                rounding_to_fee: false,
            },
        }
    }

    pub(crate) fn disk_with_genesis(&self, seed: u64, dir: &str) -> SimDisk {
        let disk = SimDisk::new(seed);
        let segments = format!("{dir}/segments");
        disk.create_dir(&segments).unwrap();
        let (mut store, _) =
            SegmentStore::open_with(disk.clone(), &segments, LEDGER, 0, store_config()).unwrap();
        let frame =
            genesis_frame(&self.genesis(), StreamId([1; 16]), 1_000, &signer(DESK)).unwrap();
        let mut state = State::new(LEDGER);
        let (verdict, _) = state.admit(&store, 1_000, frame.bytes().to_vec()).unwrap();
        let Verdict::Admitted(admitted) = verdict else {
            panic!("genesis is admitted: {verdict:?}")
        };
        store
            .append_frame(0, admitted.ledger_time, 1_000, &frame)
            .unwrap();
        store.sync().unwrap();
        disk
    }

    pub(crate) fn machine_config(&self) -> MachineConfig {
        MachineConfig {
            dry_run: self.dry_run,
            lines_max: self.lines_max,
            day_max: self.day_max,
            fee_max: 1_000,
            interval_ms: INTERVAL_MS,
            stuck_ms: STUCK_MS,
            approve_within_ms: APPROVE_WITHIN_MS,
            retry_ms: RETRY_MS,
            sights: self.sights,
            silences: SILENCES,
            reconcile_ms: if self.reconciles {
                RECONCILE_MS
            } else {
                u64::MAX
            },
            ..MachineConfig::new(spool_config(Role::Paymaster, 4 * FILE_BYTES_MIN), 0)
        }
    }
}

pub(crate) const fn store_config() -> StoreConfig {
    StoreConfig {
        preallocate_bytes: 65_536,
    }
}

pub(crate) const fn spool_config(role: Role, file_bytes: u64) -> SpoolConfig {
    SpoolConfig {
        ledger: LEDGER,
        coin: 1,
        role,
        schema_set: 0,
        file_bytes,
        total_bytes: 8 * file_bytes,
    }
}

/// How a projector answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Honest,
    Silent,
    /// It has another digest.
    Other,
}

/// Two projectors with the same rows.
#[derive(Clone)]
pub(crate) struct Projectors {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) moods: Arc<Mutex<[Mood; 2]>>,
}

impl Digests for Projectors {
    async fn ask(&self, size: u64) -> Vec<Answer> {
        let view = self.store.view().unwrap();
        let found = orebook_replay::digest::at(&*view, size).unwrap();
        let moods = *self.moods.lock().unwrap();
        let answer = |(name, mood): (&str, Mood)| Answer {
            who: name.to_owned(),
            digest: match (mood, &found) {
                (Mood::Honest, Some(found)) => Ok(found.digest),
                (Mood::Other, Some(found)) => Ok(Hash::of(&[&found.digest.0])),
                _ => Err("it does not answer".to_owned()),
            },
        };
        ["one", "two"].into_iter().zip(moods).map(answer).collect()
    }
}

/// Rows that outlive a process, and whose commits may fail.
#[derive(Default)]
pub(crate) struct FaultyStore {
    rows: MemoryStore,
    /// Commits until one fails; 0: none does.
    pub(crate) left: AtomicU64,
    /// Whether the one that fails happens.
    pub(crate) happens: AtomicBool,
    pub(crate) failed: AtomicBool,
}

impl Store for FaultyStore {
    fn view(&self) -> Result<Box<dyn View + '_>, StoreFault> {
        self.rows.view()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreFault> {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left != 1 {
            return self.rows.commit(batch);
        }
        self.failed.store(true, Ordering::Relaxed);
        if self.happens.load(Ordering::Relaxed) {
            self.rows.commit(batch)?;
        }
        Err(StoreFault::Failed("the disk is gone".to_owned()))
    }
}

impl Setup {
    pub(crate) fn producer(&self, name: u8, role: Role, now: u64) -> Producer {
        let disk = self.disk_with_genesis(200 + u64::from(name), "mirror");
        let (reader, _) = Reader::open(disk.clone(), "mirror", LEDGER, store_config(), 0).unwrap();
        let config = spool_config(role, FILE_BYTES_MIN);
        let (mut spool, _) = Spool::open(disk, "spool", config, signer(name)).unwrap();
        if role == Role::Gateway {
            spool
                .learn_policy(At::default(), Arc::new(self.genesis().policy))
                .unwrap();
        }
        spool
            .begin(now, StreamId::from_parts(1, [name; 10]))
            .unwrap();
        (spool, reader, Publisher::new())
    }
}
