//! `control` as a file: what lies beside a gateway's spool.
//!
//! Layout, little-endian: magic `ORECTL0\n`, fold version `u32`, ledger 16, size `u64` (positions applied), root 32 (of the
//! ledger's tree of that size), digest 32 (of the fold's rows there), genesis event (length `u16`, bytes), place of the
//! newest policy `at`; keys: count `u32`, each key 32, role `u8`, in force `u8`, last `at`; policies: count `u32`, each
//! `at`, effective `u64`, length `u16`, policy; schema sets: count `u32`, each number `u32`, count `u32`, each kind `u8`,
//! version `u8`; bans: count `u32`, each target (LEDGER-FORMAT.md section 3), is a ban `u8`, until `u64`, reason `bytes8`, `at`,
//! effective `u64`; accounts: count `u32`, each name as an account, only registered workers `u8`, `at`, effective `u64`, workers:
//! count `u32`, each name `bytes8`; at the end SHA-256 of all bytes before. Lists are strictly ascending.

use orebook_schema::bytes::{DecodeError, Decoded, Reader, Write};
use orebook_schema::desk::{BanTarget, Reason};
use orebook_schema::event::Event;
use orebook_schema::{Account, EVENT_BYTES_MAX, Hash, Key, LedgerId, Policy, Role, WorkerName};

use super::{
    BanInForce, Control, PolicyInForce, ProducerKey, RegisteredAccount, RegisteredWorker,
    SchemaSet, State, genesis_of,
};
use crate::digest;
use crate::engine::Cursor;
use crate::fold::Fold;
use crate::rows::{MemoryRows, Row, StoreFault, View};

const MAGIC: [u8; 8] = *b"ORECTL0\n";
/// Most bytes of a snapshot: 16,384 bans with the longest reasons, as many accounts, 65,536 workers of the longest names, and some
/// ten thousand policies. A longer file is refused unread.
pub const SNAPSHOT_BYTES_MAX: usize = 16 << 20;

/// Why a snapshot is not taken. The gateway then reads the ledger instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not whole: torn, cut or changed.
    #[error("the control snapshot is damaged: its checksum is wrong")]
    Checksum,
    /// Not canonical.
    #[error("the control snapshot cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// Made by another version of the fold.
    #[error("the control snapshot is of version {0}, which this software does not read")]
    Version(u32),
    /// Of another ledger.
    #[error("the control snapshot is of ledger {0}")]
    Ledger(LedgerId),
    /// What it says is not what its digest is of.
    #[error("the control snapshot does not have the digest that it names")]
    Digest,
    /// Rows could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// `control` as of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Positions applied.
    pub size: u64,
    /// Root of the ledger's tree of that size. Whoever has the ledger compares it with its own.
    pub root: Hash,
    /// Digest of the fold's rows there: equal on every machine.
    pub digest: Hash,
    /// What it says.
    pub state: State,
}

impl Snapshot {
    /// Of the fold's rows at its cursor; none before genesis.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn take(view: &dyn View, cursor: &Cursor) -> Result<Option<Self>, StoreFault> {
        let Some(state) = State::read(view)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            size: cursor.size,
            root: cursor.root,
            digest: digest::from_scratch(&Control, view)?,
            state,
        }))
    }

    /// Of what admission says at a size: the same as the fold's rows there, without a fold.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn of(state: State, size: u64, root: Hash) -> Result<Self, StoreFault> {
        let mut rows = MemoryRows::new();
        state.write(&mut rows)?;
        Ok(Self {
            size,
            root,
            digest: digest::from_scratch(&Control, &rows)?,
            state,
        })
    }

    /// The bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let state = &self.state;
        let mut out = Vec::new();
        out.put(&MAGIC);
        out.put(&Control.version().to_le_bytes());
        out.put(&state.genesis.ledger.0);
        out.put(&self.size.to_le_bytes());
        out.put(&self.root.0);
        out.put(&self.digest.0);
        let genesis = Event::Genesis(Box::new(state.genesis.clone()));
        out.put_bytes16(&genesis.to_bytes(0));
        out.put_at(state.newest_policy);
        put_count(state.keys.len(), &mut out);
        for key in &state.keys {
            out.put(&key.key.0);
            out.put(&[key.role_number, u8::from(key.is_in_force)]);
            out.put_at(key.last);
        }
        put_count(state.policies.len(), &mut out);
        for policy in &state.policies {
            out.put_at(policy.at);
            out.put(&policy.effective.to_le_bytes());
            out.put_bytes16(&policy.policy.to_bytes());
        }
        put_count(state.schema_sets.len(), &mut out);
        for set in &state.schema_sets {
            out.put(&set.number.to_le_bytes());
            put_count(set.entries.len(), &mut out);
            let entries = set.entries.iter();
            entries.for_each(|(kind, version)| out.put(&[*kind, *version]));
        }
        put_count(state.bans.len(), &mut out);
        for ban in &state.bans {
            out.put(&ban.target.to_bytes());
            out.push(u8::from(ban.is_ban));
            out.put(&ban.until_ms.to_le_bytes());
            out.put_bytes8(ban.reason.as_bytes());
            out.put_at(ban.at);
            out.put(&ban.effective.to_le_bytes());
        }
        put_count(state.accounts.len(), &mut out);
        // Both lists lie by the bytes of accounts.
        let mut workers = state.workers.as_slice();
        for account in &state.accounts {
            out.put(&account.account.to_bytes());
            out.push(u8::from(account.is_registered_only));
            out.put_at(account.at);
            out.put(&account.effective.to_le_bytes());
            let is_other = |worker: &RegisteredWorker| worker.account != account.account;
            let count = workers.iter().position(is_other).unwrap_or(workers.len());
            let (own, others) = workers.split_at_checked(count).unwrap_or((workers, &[]));
            workers = others;
            put_count(own.len(), &mut out);
            own.iter()
                .for_each(|row| out.put_bytes8(row.worker.as_str().as_bytes()));
        }
        assert!(workers.is_empty(), "a worker's account is registered");
        let sum = Hash::of(&[&out]);
        out.put(&sum.0);
        out
    }

    /// Reads a file and proves it against itself: checksum, canonical form, digest.
    ///
    /// # Errors
    /// [`SnapshotError`]; of the first test that fails.
    pub fn read(bytes: &[u8], ledger: LedgerId) -> Result<Self, SnapshotError> {
        let (body, sum) = bytes
            .split_last_chunk::<32>()
            .filter(|_| bytes.len() <= SNAPSHOT_BYTES_MAX)
            .ok_or(SnapshotError::Checksum)?;
        if Hash::of(&[body]) != Hash(*sum) {
            return Err(SnapshotError::Checksum);
        }
        let mut reader = Reader::new(body, "control snapshot");
        if reader.array()? != MAGIC {
            return Err(DecodeError::Value("control snapshot's magic").into());
        }
        let version = reader.u32()?;
        if version != Control.version() {
            return Err(SnapshotError::Version(version));
        }
        let of = LedgerId(reader.array()?);
        if of != ledger {
            return Err(SnapshotError::Ledger(of));
        }
        let (size, root, digest) = (reader.u64()?, reader.hash()?, reader.hash()?);
        let state = read_state(&mut reader)?;
        reader.end()?;
        if state.genesis.ledger != ledger {
            return Err(SnapshotError::Ledger(state.genesis.ledger));
        }
        let mut rows = MemoryRows::new();
        state.write(&mut rows)?;
        if digest::from_scratch(&Control, &rows)? != digest {
            return Err(SnapshotError::Digest);
        }
        Ok(Self {
            size,
            root,
            digest,
            state,
        })
    }
}

fn read_state(reader: &mut Reader<'_>) -> Decoded<State> {
    let genesis = genesis_of(reader.bytes16(EVENT_BYTES_MAX)?);
    let genesis = genesis.ok_or(DecodeError::Value("control snapshot's genesis"))?;
    let newest_policy = reader.at()?;
    let keys = list(reader, |key: &ProducerKey| key.key, read_key)?;
    let policies = list(reader, |policy: &PolicyInForce| policy.at, read_policy)?;
    let schema_sets = list(reader, |set: &SchemaSet| set.number, read_set)?;
    let bans = list(reader, |ban: &BanInForce| ban.target.to_bytes(), read_ban)?;
    let registered = list(
        reader,
        |(account, _): &(RegisteredAccount, _)| account.account.to_bytes(),
        read_account,
    )?;
    let (accounts, workers): (Vec<_>, Vec<Vec<_>>) = registered.into_iter().unzip();
    let state = State {
        genesis,
        newest_policy,
        keys,
        policies,
        schema_sets,
        bans,
        accounts,
        workers: workers.into_iter().flatten().collect(),
    };
    if state.policy().is_some() {
        Ok(state)
    } else {
        Err(DecodeError::Value("control snapshot's newest policy"))
    }
}

fn read_key(reader: &mut Reader<'_>) -> Decoded<ProducerKey> {
    let key = Key(reader.array()?);
    let role_number = reader.u8()?;
    Role::from_byte(role_number).ok_or(DecodeError::Value("role"))?;
    let is_in_force = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(DecodeError::Value("key in force")),
    };
    Ok(ProducerKey {
        key,
        role_number,
        is_in_force,
        last: reader.at()?,
    })
}

fn read_ban(reader: &mut Reader<'_>) -> Decoded<BanInForce> {
    let target = BanTarget::from_reader(reader)?;
    let is_ban = reader.count8(0, 1)? == 1;
    let until_ms = reader.u64()?;
    let reason = str::from_utf8(reader.bytes8(Reason::BYTES_MAX)?).ok();
    let reason = reason.and_then(Reason::parse);
    let reason = reason.ok_or(DecodeError::Value("reason"))?;
    Ok(BanInForce {
        target,
        is_ban,
        until_ms,
        reason: reason.as_str().to_owned(),
        at: reader.at()?,
        effective: reader.u64()?,
    })
}

fn read_account(reader: &mut Reader<'_>) -> Decoded<(RegisteredAccount, Vec<RegisteredWorker>)> {
    let account = Account::from_reader(reader)?;
    if !matches!(account, Account::Name(_)) {
        return Err(DecodeError::Value("registered account"));
    }
    let row = RegisteredAccount {
        account: account.clone(),
        is_registered_only: reader.count8(0, 1)? == 1,
        at: reader.at()?,
        effective: reader.u64()?,
    };
    let workers = list(reader, Row::key, |reader| {
        let name = str::from_utf8(reader.bytes8(64)?).ok();
        let worker = name.and_then(WorkerName::parse);
        Ok(RegisteredWorker {
            account: account.clone(),
            worker: worker.ok_or(DecodeError::Value("registered worker"))?,
        })
    })?;
    Ok((row, workers))
}

fn read_policy(reader: &mut Reader<'_>) -> Decoded<PolicyInForce> {
    let at = reader.at()?;
    let effective = reader.u64()?;
    let mut bytes = Reader::new(reader.bytes16(usize::from(u16::MAX))?, "policy");
    let policy = Policy::from_reader(&mut bytes)?;
    bytes.end()?;
    Ok(PolicyInForce {
        at,
        policy,
        effective,
    })
}

fn read_set(reader: &mut Reader<'_>) -> Decoded<SchemaSet> {
    let number = reader.u32()?;
    let entries = list(
        reader,
        |entry: &(u8, u8)| *entry,
        |reader| Ok((reader.u8()?, reader.u8()?)),
    )?;
    Ok(SchemaSet { number, entries })
}

fn put_count(len: usize, out: &mut Vec<u8>) {
    let count = u32::try_from(len);
    assert!(
        count.is_ok(),
        "a list of control has at most 2^32 - 1 items"
    );
    out.put(&count.unwrap_or(u32::MAX).to_le_bytes());
}

/// A counted list, strictly ascending. Nothing is reserved for the count: bytes must be there for each item.
fn list<T, K: Ord>(
    reader: &mut Reader<'_>,
    key: impl Fn(&T) -> K,
    mut item: impl FnMut(&mut Reader<'_>) -> Decoded<T>,
) -> Decoded<Vec<T>> {
    let count = reader.u32()?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(item(reader)?);
    }
    if items.is_sorted_by(|a, b| key(a) < key(b)) {
        Ok(items)
    } else {
        Err(DecodeError::Order("control snapshot's lists"))
    }
}
