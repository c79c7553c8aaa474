//! Events (section 3): one fact each, `kind ‖ version ‖ length ‖ dt ‖ fields`.

use crate::EVENT_BYTES_MAX;
use crate::account::{
    PROOF_BYTES_MAX, REGISTERED_WORKERS_MAX, Registration, Setting, read_registration,
    read_setting, write_registration, write_setting,
};
use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::desk::{Adjustment, Ban, read_adjustment, read_ban, write_adjustment, write_ban};
use crate::dust::{DUST_ACCOUNTS_MAX, InactiveDust, read_inactive_dust, write_inactive_dust};
use crate::genesis::Genesis;
use crate::moved::{MOVED_HEAD_BYTES, read_moved, write_moved};
pub use crate::moved::{Moved, NO_NUMBER};
use crate::names::Key;
use crate::payout::{
    DIGEST_ANSWERS_MAX, PayoutCancelled, PayoutHalt, PayoutProposed, PayoutResume, PayoutSigned,
    PayoutStep, RAW_BYTES_MAX, WriteOff, read_payout_cancelled, read_payout_halt,
    read_payout_proposed, read_payout_resume, read_payout_signed, read_payout_step, read_write_off,
    write_payout_cancelled, write_payout_halt, write_payout_proposed, write_payout_resume,
    write_payout_signed, write_payout_step, write_write_off,
};
use crate::policy::Policy;
pub use crate::raw::RawEvent;
use crate::reconciled::{Reconciled, read_reconciled, write_reconciled};
use crate::role::Role;
use crate::units::{At, Hash};
use crate::void::{Void, read_void, write_void};
use crate::work::{
    BlockFound, BlockRecovered, BlockStatus, Difficulty, EthashJob, EthashShare, FeeMean, Job,
    JobRef, Share, ShareRef, Worker, read_block_found, read_block_recovered, read_block_status,
    read_ethash_job, read_ethash_share, read_fee_mean, read_job, read_share, read_work,
    read_worker, write_block_found, write_block_recovered, write_block_status, write_ethash_job,
    write_ethash_share, write_fee_mean, write_job, write_share, write_worker,
};

/// Bytes of an event's head: kind, version, length, dt.
pub const EVENT_HEAD_BYTES: usize = 8;

macro_rules! kinds {
    ($($number:literal $name:ident $shown:literal),* $(,)?) => {
        /// What an event says. Numbers are for ever and below 64.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = $shown] $name = $number),*
        }

        impl Kind {
            /// Every kind, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Name as shown.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $shown),* }
            }

            /// Kind of a byte.
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    1 Genesis "genesis",
    2 SchemaSet "schema_set",
    3 KeyChange "key_change",
    4 Policy "policy",
    5 Approval "approval",
    6 Checkpoint "checkpoint",
    7 Heartbeat "heartbeat",
    8 RecoveryNote "recovery_note",
    9 Part "part",
    10 Moved "moved",
    11 Ban "ban",
    12 Adjustment "adjustment",
    16 Worker "worker",
    17 Difficulty "difficulty",
    18 Job "job",
    19 Share "share",
    20 BlockFound "block_found",
    21 BlockStatus "block_status",
    22 BlockRecovered "block_recovered",
    23 EthashJob "ethash_job",
    24 EthashShare "ethash_share",
    25 Void "void",
    26 Account "account",
    27 Setting "setting",
    28 FeeMean "fee_mean",
    32 PayoutProposed "payout_proposed",
    33 PayoutSigned "payout_signed",
    34 PayoutStep "payout_step",
    35 PayoutCancelled "payout_cancelled",
    36 PayoutHalt "payout_halt",
    37 PayoutResume "payout_resume",
    38 WriteOff "write_off",
    39 InactiveDust "inactive_dust",
    40 Reconciled "reconciled",
}

impl Kind {
    /// Bits of the kinds that are shares: what a kinds mask is asked for, so that none is forgotten.
    pub const SHARES: u64 = Self::Share.bit() | Self::EthashShare.bit();
    /// Bits of the kinds that are jobs.
    pub const JOBS: u64 = Self::Job.bit() | Self::EthashJob.bit();

    /// Bit of this kind in a kinds mask.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << (self as u8)
    }

    /// The schema entries that this software knows: every kind at version 0.
    #[must_use]
    pub fn known() -> Vec<SchemaEntry> {
        Self::ALL
            .iter()
            .map(|kind| SchemaEntry {
                kind: *kind as u8,
                version: 0,
            })
            .collect()
    }

    /// Whether a frame with this kind is cut at once: a block, a checkpoint or a deciding event.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        matches!(
            self,
            Self::Genesis
                | Self::SchemaSet
                | Self::KeyChange
                | Self::Policy
                | Self::Approval
                | Self::Checkpoint
                | Self::Ban
                | Self::Adjustment
                | Self::BlockFound
                | Self::BlockStatus
                | Self::BlockRecovered
                | Self::Void
                | Self::Account
                | Self::Setting
                | Self::FeeMean
                | Self::PayoutProposed
                | Self::PayoutSigned
                | Self::PayoutStep
                | Self::PayoutCancelled
                | Self::PayoutHalt
                | Self::PayoutResume
                | Self::WriteOff
                | Self::InactiveDust
        )
    }
}

/// A kind and version that a schema set allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaEntry {
    /// Kind byte; may be one this software does not know.
    pub kind: u8,
    /// Version byte.
    pub version: u8,
}

/// A further schema set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaSet {
    /// Its number.
    pub number: u32,
    /// Its entries, ascending.
    pub entries: Vec<SchemaEntry>,
}

/// What happens to a producer's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyAction {
    /// It may say what its role says.
    InForce = 1,
    /// It may say nothing any more.
    Revoked = 2,
}

/// A producer's key comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key.
    pub key: Key,
    /// Its role.
    pub role: Role,
    /// In force, or revoked.
    pub action: KeyAction,
    /// The key's last obeyed change.
    pub expects: At,
}

/// A further policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// The last obeyed policy.
    pub expects: At,
    /// The new one.
    pub policy: Policy,
}

/// An approver approves a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Digest of the thing (section 6).
    pub thing: Hash,
    /// Approver's key.
    pub approver: Key,
    /// His signature over the thing.
    pub signature: [u8; 64],
}

/// A signed tree head; what it covers is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Positions covered, at least 1.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Hash,
    /// Archiver's signature, so that the tree head can be lifted out.
    pub signature: [u8; 64],
}

/// Why a recovery note was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecoveryCode {
    /// A torn tail was cut at start.
    TornTail = 1,
    /// A stream was closed and its events moved.
    StreamMoved = 2,
    /// A new incarnation of the log was opened.
    Incarnation = 3,
    /// A segment was repaired from a peer.
    Repaired = 4,
}

/// Something that operators and auditors should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryNote {
    /// Which.
    pub code: RecoveryCode,
    /// Text of at most 512 bytes without control characters.
    pub text: String,
}

/// A piece of something too long for one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// SHA-256 of all parts joined.
    pub whole: Hash,
    /// Which piece, from 0.
    pub index: u16,
    /// How many pieces.
    pub of: u16,
    /// 1 to 32,000 bytes.
    pub bytes: Vec<u8>,
}

/// A decoded event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What the ledger is.
    Genesis(Box<Genesis>),
    /// Kinds that may be used from now on.
    SchemaSet(SchemaSet),
    /// A producer's key.
    KeyChange(KeyChange),
    /// Rules for jobs.
    Policy(Box<PolicyChange>),
    /// An approver's word.
    Approval(Approval),
    /// A signed tree head.
    Checkpoint(Checkpoint),
    /// "I am here."
    Heartbeat,
    /// A note about a recovery.
    RecoveryNote(RecoveryNote),
    /// A piece of a long body.
    Part(Part),
    /// An event of a closed stream.
    Moved(Moved),
    /// An operator's ban, or its lifting.
    Ban(Box<Ban>),
    /// Money moved by hand.
    Adjustment(Box<Adjustment>),
    /// A rig's number.
    Worker(Box<Worker>),
    /// A rig's difficulty.
    Difficulty(Difficulty),
    /// Work handed to miners.
    Job(Box<Job>),
    /// An accepted share.
    Share(Share),
    /// A block of ours.
    BlockFound(BlockFound),
    /// What became of a block.
    BlockStatus(BlockStatus),
    /// A block of ours that no share explains.
    BlockRecovered(BlockRecovered),
    /// Work handed to miners of ethash.
    EthashJob(Box<EthashJob>),
    /// An accepted share of ethash.
    EthashShare(EthashShare),
    /// A share that was credited twice.
    Void(Void),
    /// A registered account.
    Account(Box<Registration>),
    /// What an account's owner set.
    Setting(Box<Setting>),
    /// What blocks pay beside their subsidy.
    FeeMean(FeeMean),
    /// A batch of payouts.
    PayoutProposed(Box<PayoutProposed>),
    /// A signed transaction of a batch.
    PayoutSigned(Box<PayoutSigned>),
    /// What became of it.
    PayoutStep(Box<PayoutStep>),
    /// A transaction that will never be paid.
    PayoutCancelled(Box<PayoutCancelled>),
    /// A wallet pays nothing more.
    PayoutHalt(Box<PayoutHalt>),
    /// A wallet may pay again.
    PayoutResume(Box<PayoutResume>),
    /// What the pool takes over from an account that owes.
    WriteOff(Box<WriteOff>),
    /// Dust that is announced to be moved.
    InactiveDust(Box<InactiveDust>),
    /// A wallet that was compared with the books.
    Reconciled(Box<Reconciled>),
}

impl Event {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Genesis(_) => Kind::Genesis,
            Self::SchemaSet(_) => Kind::SchemaSet,
            Self::KeyChange(_) => Kind::KeyChange,
            Self::Policy(_) => Kind::Policy,
            Self::Approval(_) => Kind::Approval,
            Self::Checkpoint(_) => Kind::Checkpoint,
            Self::Heartbeat => Kind::Heartbeat,
            Self::RecoveryNote(_) => Kind::RecoveryNote,
            Self::Part(_) => Kind::Part,
            Self::Moved(_) => Kind::Moved,
            Self::Ban(_) => Kind::Ban,
            Self::Adjustment(_) => Kind::Adjustment,
            Self::Worker(_) => Kind::Worker,
            Self::Difficulty(_) => Kind::Difficulty,
            Self::Job(_) => Kind::Job,
            Self::Share(_) => Kind::Share,
            Self::BlockFound(_) => Kind::BlockFound,
            Self::BlockStatus(_) => Kind::BlockStatus,
            Self::BlockRecovered(_) => Kind::BlockRecovered,
            Self::EthashJob(_) => Kind::EthashJob,
            Self::EthashShare(_) => Kind::EthashShare,
            Self::Void(_) => Kind::Void,
            Self::Account(_) => Kind::Account,
            Self::Setting(_) => Kind::Setting,
            Self::FeeMean(_) => Kind::FeeMean,
            Self::PayoutProposed(_) => Kind::PayoutProposed,
            Self::PayoutSigned(_) => Kind::PayoutSigned,
            Self::PayoutStep(_) => Kind::PayoutStep,
            Self::PayoutCancelled(_) => Kind::PayoutCancelled,
            Self::PayoutHalt(_) => Kind::PayoutHalt,
            Self::PayoutResume(_) => Kind::PayoutResume,
            Self::WriteOff(_) => Kind::WriteOff,
            Self::InactiveDust(_) => Kind::InactiveDust,
            Self::Reconciled(_) => Kind::Reconciled,
        }
    }

    /// The share it is, of whatever algorithm; none for other kinds, a moved event too.
    #[inline]
    #[must_use]
    pub fn share(&self) -> Option<ShareRef> {
        match self {
            Self::Share(share) => Some(share.into()),
            Self::EthashShare(share) => Some(share.into()),
            _ => None,
        }
    }

    /// The job it is, of whatever algorithm; none for other kinds.
    #[must_use]
    pub fn job(&self) -> Option<JobRef> {
        match self {
            Self::Job(job) => Some(job.as_ref().into()),
            Self::EthashJob(job) => Some(job.as_ref().into()),
            _ => None,
        }
    }

    /// The number that a job announces, to write another there; none for other kinds.
    pub fn job_number_mut(&mut self) -> Option<&mut u32> {
        match self {
            Self::Job(job) => Some(&mut job.number),
            Self::EthashJob(job) => Some(&mut job.number),
            _ => None,
        }
    }

    /// Appends the canonical bytes. The event must be within the limits of section 3: a decoded one is, and
    /// [`Event::is_legal`] tells for a built one.
    ///
    /// # Panics
    /// If the event has more than [`EVENT_BYTES_MAX`] bytes.
    pub fn write(&self, dt: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.put(&[self.kind() as u8, 0, 0, 0]);
        out.put(&dt.to_le_bytes());
        self.write_fields(out);
        let len = out.len() - start;
        assert!(len <= EVENT_BYTES_MAX, "an event has at most 32,768 bytes");
        let len = u16::try_from(len).unwrap_or(0).to_le_bytes();
        if let Some(field) = out.get_mut(start + 2..start + 4) {
            field.copy_from_slice(&len);
        }
    }

    /// Canonical bytes alone.
    #[must_use]
    pub fn to_bytes(&self, dt: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.write(dt, &mut out);
        out
    }

    /// Whether the event is one that a reader would accept.
    #[must_use]
    pub fn is_legal(&self) -> bool {
        if self.share().is_some() {
            // Every value of its fields is legal, so that the most frequent event is not read back.
            return true;
        }
        if !self.fits() {
            return false;
        }
        let bytes = self.to_bytes(0);
        RawEvent::one(&bytes)
            .and_then(|raw| raw.decode())
            .is_ok_and(|back| back == *self)
    }

    /// Whether every list and text is short enough to be written at all.
    fn fits(&self) -> bool {
        match self {
            Self::Genesis(genesis) => {
                genesis.approvers.len() <= 16
                    && genesis.approvals.len() <= 16
                    && genesis.producers.len() <= 64
                    && genesis.schema_set.len() <= 64
                    && genesis.policy.pots.len() <= 16
            }
            Self::SchemaSet(set) => set.entries.len() <= 64,
            Self::Policy(change) => change.policy.pots.len() <= 16,
            Self::RecoveryNote(note) => note.text.len() <= 512,
            Self::Part(part) => part.bytes.len() <= 32_000,
            Self::Moved(moved) => moved.event.len() <= EVENT_BYTES_MAX - MOVED_HEAD_BYTES,
            Self::Job(job) => {
                job.coinbase1.len() <= 8_192
                    && job.coinbase2.len() <= 16_384
                    && job.branches.len() <= 16
            }
            Self::BlockFound(block) => block.header.len() <= 80,
            Self::Account(said) => said.workers.len() <= REGISTERED_WORKERS_MAX,
            Self::Setting(setting) => setting.proof.len() <= PROOF_BYTES_MAX,
            Self::PayoutProposed(said) => said.digests.len() <= usize::from(DIGEST_ANSWERS_MAX),
            Self::PayoutSigned(said) => said.raw.len() <= RAW_BYTES_MAX,
            Self::InactiveDust(said) => said.accounts.len() <= DUST_ACCOUNTS_MAX,
            Self::KeyChange(_)
            | Self::Approval(_)
            | Self::Checkpoint(_)
            | Self::Heartbeat
            | Self::Ban(_)
            | Self::Adjustment(_)
            | Self::Worker(_)
            | Self::Difficulty(_)
            | Self::Share(_)
            | Self::BlockStatus(_)
            | Self::BlockRecovered(_)
            | Self::EthashJob(_)
            | Self::EthashShare(_)
            | Self::Void(_)
            | Self::FeeMean(_)
            | Self::PayoutStep(_)
            | Self::PayoutCancelled(_)
            | Self::PayoutHalt(_)
            | Self::PayoutResume(_)
            | Self::WriteOff(_)
            | Self::Reconciled(_) => true,
        }
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        match self {
            Self::Share(share) => write_share(share, out),
            Self::Genesis(genesis) => genesis.write(out),
            Self::SchemaSet(set) => {
                out.put(&set.number.to_le_bytes());
                write_entries(&set.entries, out);
            }
            Self::KeyChange(change) => {
                out.put(&change.key.0);
                out.put(&[change.role as u8, change.action as u8]);
                out.put_at(change.expects);
            }
            Self::Policy(change) => {
                out.put_at(change.expects);
                change.policy.write(out);
            }
            Self::Approval(approval) => {
                out.put(&approval.thing.0);
                out.put(&approval.approver.0);
                out.put(&approval.signature);
            }
            Self::Checkpoint(checkpoint) => {
                out.put(&checkpoint.size.to_le_bytes());
                out.put(&checkpoint.root.0);
                out.put(&checkpoint.signature);
            }
            Self::Heartbeat => {}
            Self::RecoveryNote(note) => {
                out.push(note.code as u8);
                out.put_bytes16(note.text.as_bytes());
            }
            Self::Part(part) => {
                out.put(&part.whole.0);
                out.put(&part.index.to_le_bytes());
                out.put(&part.of.to_le_bytes());
                out.put_bytes16(&part.bytes);
            }
            Self::Moved(moved) => write_moved(moved, out),
            Self::Ban(ban) => write_ban(ban, out),
            Self::Adjustment(adjustment) => write_adjustment(adjustment, out),
            Self::Worker(worker) => write_worker(worker, out),
            Self::Difficulty(difficulty) => {
                out.put(&difficulty.worker.to_le_bytes());
                out.put(&difficulty.work.units().to_le_bytes());
            }
            Self::Job(job) => write_job(job, out),
            Self::BlockFound(block) => write_block_found(block, out),
            Self::BlockStatus(status) => write_block_status(status, out),
            Self::BlockRecovered(block) => write_block_recovered(block, out),
            Self::EthashJob(job) => write_ethash_job(job, out),
            Self::EthashShare(share) => write_ethash_share(share, out),
            Self::Void(void) => write_void(void, out),
            Self::Account(said) => write_registration(said, out),
            Self::Setting(setting) => write_setting(setting, out),
            Self::FeeMean(mean) => write_fee_mean(mean, out),
            Self::PayoutProposed(said) => write_payout_proposed(said, out),
            Self::PayoutSigned(said) => write_payout_signed(said, out),
            Self::PayoutStep(said) => write_payout_step(said, out),
            Self::PayoutCancelled(said) => write_payout_cancelled(said, out),
            Self::PayoutHalt(said) => write_payout_halt(said, out),
            Self::PayoutResume(said) => write_payout_resume(said, out),
            Self::WriteOff(said) => write_write_off(said, out),
            Self::InactiveDust(said) => write_inactive_dust(said, out),
            Self::Reconciled(said) => write_reconciled(said, out),
        }
    }
}

pub(crate) fn read_fields(kind: Kind, reader: &mut Reader<'_>) -> Decoded<Event> {
    Ok(match kind {
        Kind::Share => Event::Share(read_share(reader)?),
        Kind::Genesis => Event::Genesis(Box::new(Genesis::read(reader)?)),
        Kind::SchemaSet => Event::SchemaSet(SchemaSet {
            number: reader.u32()?,
            entries: read_entries(reader)?,
        }),
        Kind::KeyChange => Event::KeyChange(read_key_change(reader)?),
        Kind::Policy => Event::Policy(Box::new(PolicyChange {
            expects: reader.at()?,
            policy: Policy::read(reader)?,
        })),
        Kind::Approval => Event::Approval(Approval {
            thing: reader.hash()?,
            approver: Key(reader.array()?),
            signature: reader.array()?,
        }),
        Kind::Checkpoint => {
            let checkpoint = Checkpoint {
                size: reader.u64()?,
                root: reader.hash()?,
                signature: reader.array()?,
            };
            if checkpoint.size == 0 {
                return Err(DecodeError::Limit("checkpoint size"));
            }
            Event::Checkpoint(checkpoint)
        }
        Kind::Heartbeat => Event::Heartbeat,
        Kind::RecoveryNote => Event::RecoveryNote(read_note(reader)?),
        Kind::Part => Event::Part(read_part(reader)?),
        Kind::Moved => Event::Moved(read_moved(reader)?),
        Kind::Ban => Event::Ban(Box::new(read_ban(reader)?)),
        Kind::Adjustment => Event::Adjustment(Box::new(read_adjustment(reader)?)),
        Kind::Worker => Event::Worker(Box::new(read_worker(reader)?)),
        Kind::Difficulty => Event::Difficulty(Difficulty {
            worker: reader.u32()?,
            work: read_work(reader)?,
        }),
        Kind::Job => Event::Job(Box::new(read_job(reader)?)),
        Kind::BlockFound => Event::BlockFound(read_block_found(reader)?),
        Kind::BlockStatus => Event::BlockStatus(read_block_status(reader)?),
        Kind::BlockRecovered => Event::BlockRecovered(read_block_recovered(reader)?),
        Kind::EthashJob => Event::EthashJob(Box::new(read_ethash_job(reader)?)),
        Kind::EthashShare => Event::EthashShare(read_ethash_share(reader)?),
        Kind::Void => Event::Void(read_void(reader)?),
        Kind::Account => Event::Account(Box::new(read_registration(reader)?)),
        Kind::Setting => Event::Setting(Box::new(read_setting(reader)?)),
        Kind::FeeMean => Event::FeeMean(read_fee_mean(reader)?),
        Kind::PayoutProposed => Event::PayoutProposed(Box::new(read_payout_proposed(reader)?)),
        Kind::PayoutSigned => Event::PayoutSigned(Box::new(read_payout_signed(reader)?)),
        Kind::PayoutStep => Event::PayoutStep(Box::new(read_payout_step(reader)?)),
        Kind::PayoutCancelled => Event::PayoutCancelled(Box::new(read_payout_cancelled(reader)?)),
        Kind::PayoutHalt => Event::PayoutHalt(Box::new(read_payout_halt(reader)?)),
        Kind::PayoutResume => Event::PayoutResume(Box::new(read_payout_resume(reader)?)),
        Kind::WriteOff => Event::WriteOff(Box::new(read_write_off(reader)?)),
        Kind::InactiveDust => Event::InactiveDust(Box::new(read_inactive_dust(reader)?)),
        Kind::Reconciled => Event::Reconciled(Box::new(read_reconciled(reader)?)),
    })
}

pub(crate) fn write_entries(entries: &[SchemaEntry], out: &mut Vec<u8>) {
    out.push(u8::try_from(entries.len()).unwrap_or(u8::MAX));
    entries
        .iter()
        .for_each(|entry| out.put(&[entry.kind, entry.version]));
}

pub(crate) fn read_entries(reader: &mut Reader<'_>) -> Decoded<Vec<SchemaEntry>> {
    let count = reader.count8(1, 64)?;
    let entries = (0..count)
        .map(|_| {
            Ok(SchemaEntry {
                kind: reader.u8()?,
                version: reader.u8()?,
            })
        })
        .collect::<Decoded<Vec<_>>>()?;
    if entries.iter().any(|entry| 63 < entry.kind) {
        return Err(DecodeError::Limit("schema entry's kind"));
    }
    if entries.is_sorted_by(|a, b| a < b) {
        Ok(entries)
    } else {
        Err(DecodeError::Order("schema entries"))
    }
}

fn read_key_change(reader: &mut Reader<'_>) -> Decoded<KeyChange> {
    Ok(KeyChange {
        key: Key(reader.array()?),
        role: Role::from_byte(reader.u8()?).ok_or(DecodeError::Value("role"))?,
        action: match reader.u8()? {
            1 => KeyAction::InForce,
            2 => KeyAction::Revoked,
            _ => return Err(DecodeError::Value("key action")),
        },
        expects: reader.at()?,
    })
}

fn read_note(reader: &mut Reader<'_>) -> Decoded<RecoveryNote> {
    let code = match reader.u8()? {
        1 => RecoveryCode::TornTail,
        2 => RecoveryCode::StreamMoved,
        3 => RecoveryCode::Incarnation,
        4 => RecoveryCode::Repaired,
        _ => return Err(DecodeError::Value("recovery code")),
    };
    let text = str::from_utf8(reader.bytes16(512)?).map_err(|_| DecodeError::Value("note text"))?;
    if text.chars().any(char::is_control) {
        return Err(DecodeError::Value("note text"));
    }
    Ok(RecoveryNote {
        code,
        text: text.to_owned(),
    })
}

fn read_part(reader: &mut Reader<'_>) -> Decoded<Part> {
    let part = Part {
        whole: reader.hash()?,
        index: reader.u16()?,
        of: reader.u16()?,
        bytes: reader.bytes16(32_000)?.to_vec(),
    };
    if part.index < part.of && !part.bytes.is_empty() {
        Ok(part)
    } else {
        Err(DecodeError::Limit("part"))
    }
}
