//! What gateways need to know of the ledger: keys in force, policies that were obeyed, schema sets, bans, registered accounts with
//! their workers. They reach a gateway as a [`Snapshot`] with position, root and digest, and the events after it; a copy lies beside the spool, so that a gateway
//! starts with everything else down.
//!
//! Whether a thing was obeyed is admission's to say ([`Authority`]); this fold writes down what it says, at the position
//! where it took effect. Folds see final positions only, so a policy that stands here may be cited by jobs. A ban stands here
//! until it is lifted, also when its time has run out: no clock changes a row. Who asks brings the time, a page the ledger's, a
//! gateway its own ([`BanInForce::holds_at`]).

mod snapshot;

use std::ops::ControlFlow;

use orebook_ledger::authority::{Authority, ObeyedBan, ObeyedRegistration};
use orebook_schema::desk::{BanAction, BanTarget};
use orebook_schema::names::RegisteredName;
use orebook_schema::{Account, At, Event, Genesis, Key, Kind, Policy, Role, WorkerName};

use crate::fold::{Backwards, FinalFrame, Fold, FoldStop};
use crate::rows::{self, Order, Row, Rows, Span, StoreFault, View};
use crate::{canonical_of, row};

pub use self::snapshot::{SNAPSHOT_BYTES_MAX, Snapshot, SnapshotError};

/// Kinds that may change what stands here.
const KINDS: [Kind; 7] = [
    Kind::Genesis,
    Kind::SchemaSet,
    Kind::KeyChange,
    Kind::Policy,
    Kind::Approval,
    Kind::Ban,
    Kind::Account,
];

row! {
    /// What the ledger is, and what is newest.
    struct Ledger in table 1 {
        key {}
        value {
            /// The genesis event, canonical.
            genesis: Vec<u8>,
            /// Place of the newest obeyed policy; (0, 0) is genesis' own.
            newest_policy: At,
        }
    }
}

row! {
    /// A producer's key.
    pub struct ProducerKey in table 2 {
        key {
            /// The key.
            key: Key,
        }
        value {
            /// Number of its role.
            role_number: u8,
            /// Whether it may say anything.
            is_in_force: bool,
            /// Place of its last obeyed change, zero if genesis named it: what the next must expect.
            last: At,
        }
    }
}

row! {
    /// An obeyed policy.
    pub struct PolicyInForce in table 3 {
        key {
            /// Place of its event: what jobs cite.
            at: At,
        }
        value {
            /// What it says.
            policy: Policy,
            /// Position at which it took effect: its own, or that of the last approval it needed.
            effective: u64,
        }
    }
}

row! {
    /// An announced schema set.
    pub struct SchemaSet in table 4 {
        key {
            /// Its number.
            number: u32,
        }
        value {
            /// Kind and version of each entry, ascending.
            entries: Vec<(u8, u8)>,
        }
    }
}

row! {
    /// The last ban or lift of a target that was obeyed.
    pub struct BanInForce in table 5 {
        key {
            /// Of whom.
            target: BanTarget,
        }
        value {
            /// Whether it is a ban; else the target was banned once.
            is_ban: bool,
            /// When it ends, milliseconds since 1970; 0: not by itself.
            until_ms: u64,
            /// Why, in printable ASCII.
            reason: String,
            /// Place of its event: what the next must expect.
            at: At,
            /// Position at which it took effect: its own, or that of the last approval it needed.
            effective: u64,
        }
    }
}

row! {
    /// A registered account. What it is paid, and where, is the fold `money`'s.
    pub struct RegisteredAccount in table 6 {
        key {
            /// `name:NAME`.
            account: Account,
        }
        value {
            /// Whether only registered workers may mine for it.
            is_registered_only: bool,
            /// Place of its last obeyed registration: what the next must expect.
            at: At,
            /// Position at which that took effect: its own, or that of the last approval it needed.
            effective: u64,
        }
    }
}

row! {
    /// A registered worker, for ever.
    pub struct RegisteredWorker in table 7 {
        key {
            /// Whose: `name:NAME`.
            account: Account,
            /// Its name.
            worker: WorkerName,
        }
        value {}
    }
}

impl BanInForce {
    fn of(obeyed: &ObeyedBan) -> Self {
        Self {
            target: obeyed.ban.target.clone(),
            is_ban: obeyed.ban.action == BanAction::Ban,
            until_ms: obeyed.ban.until_ms,
            reason: obeyed.ban.reason.as_str().to_owned(),
            at: obeyed.at,
            effective: obeyed.effective,
        }
    }

    /// Whether it keeps its target out at a time, milliseconds since 1970.
    #[must_use]
    pub const fn holds_at(&self, now_ms: u64) -> bool {
        self.is_ban && (self.until_ms == 0 || now_ms < self.until_ms)
    }
}

impl ProducerKey {
    /// Its role; none if this software does not know it, which admission does not let happen.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        Role::from_byte(self.role_number)
    }
}

/// The fold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Control;

impl Control {
    /// Its name.
    pub const NAME: &'static str = "control";
}

impl Fold for Control {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn version(&self) -> u32 {
        3
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        rows: &mut dyn Rows,
        _ledger: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        let authority = frame.authority();
        match authority.filter(|_| KINDS.iter().any(|kind| frame.has(*kind))) {
            Some(authority) => {
                State::without_accounts(authority).write(rows)?;
                // A farm has thousands of workers: what did not change is not looked at.
                let mut taken = authority.registrations_taken_at(frame.position);
                Ok(taken.try_for_each(|obeyed| write_registration(obeyed, rows))?)
            }
            None => Ok(()),
        }
    }

    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        canonical_of!(
            table, key, value;
            Ledger, ProducerKey, PolicyInForce, SchemaSet, BanInForce, RegisteredAccount, RegisteredWorker,
        )
    }
}

/// Bans and lifts behind `after` (none: from the first) in the order of their targets' bytes, at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn bans(
    view: &(impl View + ?Sized),
    after: Option<&BanTarget>,
    rows_max: usize,
) -> Result<Vec<BanInForce>, StoreFault> {
    let mut span = Span::all();
    if let Some(after) = after {
        span.from = BanInForce::key_of(after);
        // No key is the beginning of another, so this is behind it and before the next.
        span.from.push(0);
    }
    rows::collect(view, &span, Order::Forward, rows_max)
}

fn write_registration(obeyed: &ObeyedRegistration, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let said = &obeyed.registration;
    let account = Account::Name(said.name.clone());
    let row = RegisteredAccount {
        account: account.clone(),
        is_registered_only: said.registered_only,
        at: obeyed.at,
        effective: obeyed.effective.position,
    };
    put_changed(rows, &row)?;
    let mut workers = said.workers.iter().map(|worker| RegisteredWorker {
        account: account.clone(),
        worker: worker.clone(),
    });
    workers.try_for_each(|row| put_changed(rows, &row))
}

/// How many workers an account registered.
///
/// # Errors
/// [`StoreFault`].
pub fn registered_workers(
    view: &(impl View + ?Sized),
    account: &Account,
) -> Result<u64, StoreFault> {
    let mut count = 0;
    let span = Span::prefix(&account.to_bytes());
    rows::scan(view, &span, Order::Forward, |_: RegisteredWorker| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

/// All that stands in `control`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The ledger's first event.
    pub genesis: Genesis,
    /// Place of the newest obeyed policy.
    pub newest_policy: At,
    /// Producers' keys, ascending.
    pub keys: Vec<ProducerKey>,
    /// Obeyed policies by their places.
    pub policies: Vec<PolicyInForce>,
    /// Schema sets by number.
    pub schema_sets: Vec<SchemaSet>,
    /// The last ban or lift of every target that ever had one, ascending by the target's bytes.
    pub bans: Vec<BanInForce>,
    /// Registered accounts, ascending by their bytes.
    pub accounts: Vec<RegisteredAccount>,
    /// Registered workers, ascending by their accounts' bytes and their own.
    pub workers: Vec<RegisteredWorker>,
}

impl State {
    /// What admission says.
    #[must_use]
    pub fn of(authority: &Authority) -> Self {
        let mut state = Self::without_accounts(authority);
        let account = |name: &RegisteredName| Account::Name(name.clone());
        for (name, known) in authority.registered() {
            state.accounts.push(RegisteredAccount {
                account: account(name),
                is_registered_only: known.registered_only,
                at: known.at,
                effective: known.effective,
            });
            let workers = known.workers.iter().map(|worker| RegisteredWorker {
                account: account(name),
                worker: worker.clone(),
            });
            state.workers.extend(workers);
        }
        // As rows lie: by the bytes of their keys.
        state.accounts.sort_by_cached_key(Row::key);
        state.workers.sort_by_cached_key(Row::key);
        state
    }

    fn without_accounts(authority: &Authority) -> Self {
        let keys = authority.keys();
        let policies = authority.policies();
        let sets = authority.schema_sets();
        let mut bans: Vec<BanInForce> = authority.bans().map(BanInForce::of).collect();
        // As rows lie: by the bytes of their keys.
        bans.sort_by_cached_key(|ban| ban.target.to_bytes());
        Self {
            genesis: authority.genesis().clone(),
            newest_policy: authority.newest_policy().0,
            keys: keys
                .map(|(key, role, is_in_force, last)| ProducerKey {
                    key,
                    role_number: role as u8,
                    is_in_force,
                    last,
                })
                .collect(),
            policies: policies
                .map(|(at, obeyed)| PolicyInForce {
                    at,
                    policy: obeyed.policy.as_ref().clone(),
                    effective: obeyed.effective,
                })
                .collect(),
            schema_sets: sets
                .map(|(number, entries)| SchemaSet {
                    number,
                    entries: entries.iter().map(|e| (e.kind, e.version)).collect(),
                })
                .collect(),
            bans,
            accounts: Vec::new(),
            workers: Vec::new(),
        }
    }

    /// What the rows say; none before genesis.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn read(view: &(impl View + ?Sized)) -> Result<Option<Self>, StoreFault> {
        let Some(ledger) = rows::get::<Ledger>(view, &Ledger::key_of())? else {
            return Ok(None);
        };
        let genesis = genesis_of(&ledger.genesis).ok_or(StoreFault::Damaged {
            table: Ledger::TABLE,
            what: "the genesis event does not decode",
        })?;
        Ok(Some(Self {
            genesis,
            newest_policy: ledger.newest_policy,
            keys: all(view)?,
            policies: all(view)?,
            schema_sets: all(view)?,
            bans: all(view)?,
            accounts: all(view)?,
            workers: all(view)?,
        }))
    }

    /// Rows are only added or changed: a key that was revoked and a policy that was superseded stay.
    fn write(&self, rows: &mut dyn Rows) -> Result<(), StoreFault> {
        let genesis = Event::Genesis(Box::new(self.genesis.clone()));
        let ledger = Ledger {
            genesis: genesis.to_bytes(0),
            newest_policy: self.newest_policy,
        };
        put_changed(rows, &ledger)?;
        self.keys
            .iter()
            .try_for_each(|row| put_changed(rows, row))?;
        let policies = &mut self.policies.iter();
        policies.try_for_each(|row| put_changed(rows, row))?;
        let sets = &mut self.schema_sets.iter();
        sets.try_for_each(|row| put_changed(rows, row))?;
        let bans = &mut self.bans.iter();
        bans.try_for_each(|row| put_changed(rows, row))?;
        let accounts = &mut self.accounts.iter();
        accounts.try_for_each(|row| put_changed(rows, row))?;
        let workers = &mut self.workers.iter();
        workers.try_for_each(|row| put_changed(rows, row))
    }

    /// The newest obeyed policy.
    #[must_use]
    pub fn policy(&self) -> Option<&PolicyInForce> {
        let mut all = self.policies.iter();
        all.find(|policy| policy.at == self.newest_policy)
    }

    /// Role of a key in force.
    #[must_use]
    pub fn role(&self, key: &Key) -> Option<Role> {
        let mut keys = self.keys.iter();
        let found = keys.find(|producer| producer.key == *key)?;
        found.role().filter(|_| found.is_in_force)
    }
}

/// The newest obeyed policy; none before genesis.
///
/// # Errors
/// [`StoreFault`].
pub fn policy(view: &(impl View + ?Sized)) -> Result<Option<PolicyInForce>, StoreFault> {
    let Some(ledger) = rows::get::<Ledger>(view, &Ledger::key_of())? else {
        return Ok(None);
    };
    rows::get(view, &PolicyInForce::key_of(&ledger.newest_policy))
}

fn all<R: Row>(view: &(impl View + ?Sized)) -> Result<Vec<R>, StoreFault> {
    rows::collect(view, &Span::all(), Order::Forward, usize::MAX)
}

/// Writes a row if it is not there as it is.
fn put_changed<R: Row>(rows: &mut dyn Rows, row: &R) -> Result<(), StoreFault> {
    let (key, value) = (row.key(), row.value());
    if rows.get(R::TABLE, &key)?.as_ref() == Some(&value) {
        return Ok(());
    }
    rows.put(R::TABLE, &key, &value)
}

fn genesis_of(bytes: &[u8]) -> Option<Genesis> {
    let raw = orebook_schema::event::RawEvent::one(bytes).ok()?;
    match raw.decode().ok()? {
        Event::Genesis(genesis) => Some(*genesis),
        _ => None,
    }
}
