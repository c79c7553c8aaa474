//! How a world is made: its genesis, its clocks, the projectors and the stores that it is given.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use orebook_ledger::spool::FILE_BYTES_MIN;
use orebook_paymaster::digests::{Answer, Digests};
use orebook_paymaster::machine::MachineConfig;
use orebook_replay::rows::{StoreFault, View};
use orebook_replay::store::{Batch, MemoryStore, Store};
use orebook_schema::event::Approval;
use orebook_schema::genesis::{Approved, Genesis};
use orebook_schema::policy::NetworkFees;
use orebook_schema::{Account, Event, Hash, LedgerId, Policy, Role};
use orebook_sim::disk::SimDisk;
use orebook_sim::ground::{self, Speaker};

pub(crate) use orebook_sim::ground::signer;

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
    pub(crate) batch_max: u128,
    pub(crate) balance_min: u128,
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
            batch_max: 1 << 80,
            balance_min: 0,
            sights: 1,
            dry_run: false,
            coins: 8,
            reconciles: false,
        }
    }

    pub(crate) fn genesis(&self) -> Genesis {
        let mut producers = vec![
            (DESK, Role::Desk),
            (GATEWAY, Role::Gateway),
            (ARCHIVER, Role::Archiver),
            (SETTLER, Role::Settler),
        ];
        producers.extend(PAYMASTERS.map(|name| (name, Role::Paymaster)));
        let mut approvers = APPROVERS.map(|name| signer(name).key()).to_vec();
        approvers.sort_unstable();
        Genesis {
            segment_positions: 64,
            digest_answers: 2,
            approvers,
            approvals: vec![(Approved::Adjustment, 1)],
            policy: Policy {
                threshold: THRESHOLD,
                network_fees: self.fees,
                auto_pay_limit: self.auto_pay_limit,
                payout_depth: PAID as u32,
                payout_final_depth: LAST as u32,
                writeoff_ms: 1_000,
                ..ground::policy()
            },
            ..ground::genesis(LEDGER, &producers)
        }
    }

    pub(crate) fn disk_with_genesis(&self, seed: u64, dir: &str) -> SimDisk {
        ground::disk_with_genesis(&self.genesis(), DESK, seed, dir)
    }

    /// Somebody who says what a test tells him.
    pub(crate) fn speaker(&self, name: u8, role: Role) -> Speaker {
        let disk = self.disk_with_genesis(200 + u64::from(name), "mirror");
        let spool = ground::spool_config(LEDGER, role, FILE_BYTES_MIN);
        Speaker::new(disk, &self.genesis(), name, spool, 1)
    }

    pub(crate) fn machine_config(&self) -> MachineConfig {
        let spool = ground::spool_config(LEDGER, Role::Paymaster, 4 * FILE_BYTES_MIN);
        MachineConfig {
            dry_run: self.dry_run,
            lines_max: self.lines_max,
            day_max: self.day_max,
            batch_max: self.batch_max,
            balance_min: self.balance_min,
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
            ..MachineConfig::new(spool, 0)
        }
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
