//! What every bench stands on: a ledger that is thrown away, its keys, its jobs and rigs.

use orebook_archiver::now_ms;
use orebook_chain::EthWork;
use orebook_chain::template::{CoinbaseParts, JobParts, Template, TemplateFields, Transaction};
use orebook_ledger::admit::{State, Verdict};
use orebook_ledger::build::genesis_frame;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::SegmentStore;
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::SpoolConfig;
use orebook_pow::ethash::{EPOCH_BLOCKS, Epoch, EpochRule};
use orebook_schema::genesis::{Algorithm, Approved};
use orebook_schema::names::{CoinName, Pot, RegisteredName};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::units::{U256, WorkUnit};
use orebook_schema::work::{Extranonce, Job, Worker};
use orebook_schema::{
    Account, At, Genesis, Hash, Key, Kind, LedgerId, Policy, Role, StreamId, WorkerName,
};

use crate::Failure;

/// The ledger of all benches.
pub(super) const LEDGER: LedgerId = LedgerId([0xbe; 16]);
/// SLIP-44 coin type of test chains.
pub(super) const COIN: u32 = 1;
/// The pot that everything goes to.
pub(super) const POT: Pot = Pot(0);
/// Whose rigs they are.
pub(super) const LOGIN: &str = "bench";
/// Rigs of replays and of the bytes of a share.
pub(super) const WORKERS: u32 = 10_000;
/// Transactions of the template: 12 merkle branches.
const TRANSACTIONS: u32 = 3_000;
/// Merkle branches of a job.
pub(super) const BRANCHES: usize = 12;
/// Bitcoin's difficulty of 2025: nobody finds a block here.
const NBITS: u32 = 0x1702_3a04;
/// The archiver's folder, below the bench's.
pub(super) const ARCHIVE: &str = "archive";
/// The reader's, whose segments are checked: it has what is final.
pub(super) const MIRROR: &str = "mirror";

pub(super) fn failed(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{what}: {error}"))
}

/// The key of a role. Nothing of it outlives the bench.
pub(super) fn signer(role: Role) -> Signer {
    Signer::from_seed(&[role as u8; 32])
}

/// Keys of those who approve.
pub(super) const APPROVERS: u8 = 2;

/// One of them.
pub(super) fn approver(number: u8) -> Signer {
    Signer::from_seed(&[0xa0 + number; 32])
}

/// Writes that key as a role expects it.
pub(super) fn write_key(path: &std::path::Path, role: Role) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let lost = |error: std::io::Error| failed("a key", error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(lost)?;
    }
    let text = orebook_schema::units::hex(&[role as u8; 32]);
    std::fs::write(path, text).map_err(lost)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(lost)
}

pub(super) fn spool_config(role: Role, file_bytes: u64, total_bytes: u64) -> SpoolConfig {
    SpoolConfig {
        ledger: LEDGER,
        coin: COIN,
        role,
        schema_set: 0,
        file_bytes,
        total_bytes,
    }
}

fn policy() -> Policy {
    Policy {
        pots: vec![PotRules {
            pot: POT,
            scheme: Scheme::Pplns,
            n_ppm: 2_000_000,
            fee_ppm: 10_000,
            bonus_ppm: 0,
            stale_ppm: 0,
            keep_tx_fees: false,
            direct_min: 0,
            direct_outputs: 0,
        }],
        immature_depth: 1,
        confirmed_depth: 100,
        orphan_depth: 6,
        threshold: 100_000,
        address_hold_ms: 0,
        network_fees: NetworkFees::Pool,
        auto_pay_limit: 0,
        payout_depth: 6,
        payout_final_depth: 12,
        writeoff_ms: 0,
        rounding_to_fee: false,
    }
}

fn genesis(segment_positions: u32, algorithm: Algorithm) -> Result<Genesis, Failure> {
    let roles = [
        Role::Desk,
        Role::Gateway,
        Role::Archiver,
        Role::Settler,
        Role::Paymaster,
    ];
    let mut producers: Vec<(Key, Role)> = roles.map(|role| (signer(role).key(), role)).to_vec();
    producers.sort_unstable();
    let mut approvers: Vec<Key> = (0..APPROVERS)
        .map(|number| approver(number).key())
        .collect();
    approvers.sort_unstable();
    Ok(Genesis {
        ledger: LEDGER,
        coin: COIN,
        // Roles that are processes of their own want to know how addresses of the coin are written.
        coin_name: CoinName::parse("dev").ok_or_else(|| Failure::new("the coin's name"))?,
        algorithm,
        decimals: 8,
        chain: Hash::ZERO,
        segment_positions,
        segment_bytes: 256 << 20,
        digest_answers: 2,
        approvers,
        approvals: vec![
            (Approved::Key, 1),
            (Approved::Policy, 1),
            (Approved::Payout, APPROVERS),
        ],
        producers,
        schema_set: Kind::known(),
        policy: policy(),
    })
}

/// Writes the genesis where archiver and readers begin: in each of these folders.
pub(super) fn write_genesis(
    disk: &RealDisk,
    (segment_positions, algorithm): (u32, Algorithm),
    now: u64,
    folders: &[&str],
) -> Result<(), Failure> {
    let stream = StreamId::from_parts(now, [1; 10]);
    let frame = genesis_frame(
        &genesis(segment_positions, algorithm)?,
        stream,
        now,
        &signer(Role::Desk),
    );
    let frame = frame.map_err(|error| failed("genesis", error))?;
    for folder in folders {
        let opened = SegmentStore::open(disk.clone(), &format!("{folder}/segments"), LEDGER, 0);
        let (mut store, _) = opened.map_err(|error| failed("genesis", error))?;
        let mut state = State::new(LEDGER);
        let verdict = state.admit(&store, now, frame.bytes().to_vec());
        let Ok((Verdict::Admitted(admitted), _)) = verdict else {
            return Err(Failure::new("the genesis of a bench is not admitted"));
        };
        store
            .append_frame(admitted.position, admitted.ledger_time, now, &frame)
            .and_then(|()| store.sync())
            .map_err(|error| failed("genesis", error))?;
    }
    Ok(())
}

/// A template like a busy chain's: 12 merkle branches, a witness commitment, a block target that nobody meets.
pub(super) fn template() -> Result<Template, Failure> {
    template_of(0)
}

/// One of several of the same parent, each with other transactions.
pub(super) fn template_of(number: u32) -> Result<Template, Failure> {
    let time = u32::try_from(now_ms() / 1_000).unwrap_or(u32::MAX);
    let one = |n: u32| Transaction {
        data: vec![0; 10],
        txid: Hash::of(&[b"transaction", &number.to_le_bytes(), &n.to_le_bytes()]),
        fee: 1_000,
    };
    let commitment = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &[7; 32]].concat();
    let template = Template::new(TemplateFields {
        height: 900_000,
        prev: Hash::of(&[b"parent"]),
        version: 0x2000_0000,
        nbits: NBITS,
        time,
        mintime: time.saturating_sub(600),
        reward: 312_500_000 + u64::from(TRANSACTIONS) * 1_000,
        fees: u64::from(TRANSACTIONS) * 1_000,
        transactions: (0..TRANSACTIONS).map(one).collect(),
        witness_commitment: Some(commitment),
        ..TemplateFields::default()
    });
    let template = template.map_err(|error| failed("template", error))?;
    if template.branches().len() != BRANCHES {
        return Err(Failure::new(format!(
            "the template has {} merkle branches",
            template.branches().len()
        )));
    }
    Ok(template)
}

/// A node's work of ethash in an epoch: a block target that nobody meets.
pub(super) fn eth_work(epoch: u64) -> Result<EthWork, Failure> {
    let height = epoch * EPOCH_BLOCKS;
    let seed = EpochRule::Ethash.epoch(height).map(Epoch::seed);
    let target = U256::from_limbs([0, 0, 0, 1]);
    Ok(EthWork {
        seal: eth_seal(),
        seed: seed.ok_or_else(|| Failure::new("an epoch that nobody knows"))?,
        target,
        height,
        network_work: WorkUnit::Ethash.network_work(target),
        parent: Hash::of(&[b"parent"]),
        time: u32::try_from(now_ms() / 1_000).unwrap_or(u32::MAX),
        reward: Some(2_000_000_000_000_000_000),
    })
}

/// What is hashed in it.
pub(super) fn eth_seal() -> Hash {
    Hash::of(&[b"seal"])
}

/// Who is paid by the blocks that nobody finds.
pub(super) fn payout_script() -> Vec<u8> {
    [&[0x00, 0x14][..], &[3; 20]].concat()
}

/// A job of the template, as a gateway announces it.
pub(super) fn job(template: &Template, number: u32, policy: At) -> Result<Job, Failure> {
    let made = template.job(&JobParts {
        number,
        policy,
        clean: false,
        unit: WorkUnit::Sha256d,
        coinbase: CoinbaseParts {
            tag: [9; 8],
            text: "bench",
            payout_script: &payout_script(),
            extranonce_bytes: 8,
        },
    });
    made.map_err(|error| failed("job", error))
}

/// Whose shares a login's are.
pub(super) fn account(login: &str) -> Result<Account, String> {
    let name = RegisteredName::parse(login).map(Account::Name);
    name.ok_or_else(|| "no such account".to_owned())
}

/// A rig of replays and of the bytes of a share, of an account that has so many.
pub(super) fn worker_of(number: u32, rigs_an_account: u32) -> Result<Worker, Failure> {
    let none = |what: &str| Failure::new(what.to_owned());
    // Payout addresses are what most accounts are: 22 bytes of script.
    let account = number / rigs_an_account.max(1);
    let program = Hash::of(&[b"account", &account.to_le_bytes()]);
    let program = program.0.get(..20).unwrap_or_default();
    let script = orebook_schema::names::Script::new(&[&[0x00, 0x14], program].concat());
    Ok(Worker {
        number,
        pot: POT,
        extranonce1: Extranonce::new(&number.to_be_bytes()).ok_or_else(|| none("extranonce"))?,
        extranonce2_size: 4,
        version_mask: 0x1fff_e000,
        account: Account::Script(script.ok_or_else(|| none("script"))?),
        name: WorkerName::parse(&format!("rig{number}")).ok_or_else(|| none("worker's name"))?,
    })
}
