//! Who may say what, and under which rules: keys in force, policies, schema sets, bans, adjustments, accounts, settings,
//! write-offs, approvals (section 6, "obeyed"). The one compare and set for all that people decide; folds write down what it says.
//!
//! A part of admission's state, and like it a pure function of the log's prefix.

mod registered;

pub(crate) mod snapshot;

mod thing;

use std::collections::BTreeMap;
use std::sync::Arc;

use orebook_schema::account::{Registration, Setting};
use orebook_schema::desk::{Adjustment, BANS_MAX, Ban, BanAction, BanTarget};
use orebook_schema::dust::InactiveDust;
use orebook_schema::event::{Approval, EVENT_HEAD_BYTES, KeyAction, SchemaEntry, SchemaSet};
use orebook_schema::frame::THING_DOMAIN;
use orebook_schema::genesis::{Approved, Genesis};
use orebook_schema::names::{Pot, RegisteredName};
use orebook_schema::payout::WriteOff;
use orebook_schema::policy::Scheme;
use orebook_schema::{Account, At, Event, Hash, Key, LedgerId, Policy, Role};

use crate::sign::{Verifier, verify_approval};

use self::registered::Names;
pub use self::registered::Registered;
use self::thing::Thing;

/// A policy that was obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObeyedPolicy {
    /// What it says.
    pub policy: Arc<Policy>,
    /// Position at which it took effect: its own, or that of the last approval it needed.
    pub effective: u64,
}

/// The last ban or lift of a target that was obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObeyedBan {
    /// What it says.
    pub ban: Ban,
    /// Place of its event: what the target's next one must expect.
    pub at: At,
    /// Position at which it took effect: its own, or that of the last approval it needed.
    pub effective: u64,
}

/// An adjustment that was obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObeyedAdjustment {
    /// What it says.
    pub adjustment: Adjustment,
    /// Place of its event: what the account's next one must expect.
    pub at: At,
    /// Place of the event at which it took effect: its own, or the last approval it needed.
    pub effective: At,
}

/// A registration that was obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObeyedRegistration {
    /// What it says.
    pub registration: Registration,
    /// Place of its event: what the name's next one must expect.
    pub at: At,
    /// Place of the event at which it took effect: its own, or the last approval it needed.
    pub effective: At,
    /// What a change of address waits by the policy in force there, milliseconds.
    pub hold_ms: u64,
}

/// A setting that was obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObeyedSetting {
    /// What it says.
    pub setting: Setting,
    /// Place of its event: what the account's next one must expect.
    pub at: At,
    /// Place of the event at which it took effect: its own, or the last approval it needed.
    pub effective: At,
    /// What a change of address waits by the policy in force there, milliseconds.
    pub hold_ms: u64,
}

/// A write-off that was obeyed here; whether the account owes long enough is the money rules' to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObeyedWriteOff {
    /// What it says.
    pub write_off: WriteOff,
    /// Place of its event: what the account's next one must expect.
    pub at: At,
    /// Place of the event at which it took effect: its own, or the last approval it needed.
    pub effective: At,
    /// How long the account must owe by the policy in force there, milliseconds.
    pub writeoff_ms: u64,
}

/// An announcement of dust that was obeyed; whom it takes from, and when, is the money rules' to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObeyedDust {
    /// What it says.
    pub dust: InactiveDust,
    /// Place of its event: what the ledger's next one must expect.
    pub at: At,
    /// Place of the event at which it took effect: its own, or the last approval it needed.
    pub effective: At,
}

/// A thing that was said and waits for approvals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What approvers sign.
    pub digest: Hash,
    /// Where it stands.
    pub at: At,
    /// What it says.
    pub event: Event,
    /// Approvals that it needs.
    pub needed: usize,
    /// Approvers whose approval was admitted.
    pub approved: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyState {
    role: Role,
    in_force: bool,
    last: At,
    /// The key taken apart; none if nothing verifies with it.
    verifier: Option<Verifier>,
}

/// Keys, policies, schema sets, bans, adjustments, registered names, settings, write-offs and announcements of dust as of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    genesis: Arc<Genesis>,
    keys: BTreeMap<Key, KeyState>,
    policies: BTreeMap<At, ObeyedPolicy>,
    last_policy: At,
    schema_sets: BTreeMap<u32, Vec<SchemaEntry>>,
    /// By target: its last ban or lift.
    bans: BTreeMap<BanTarget, ObeyedBan>,
    /// By account: place of its last adjustment.
    adjusted: BTreeMap<Account, At>,
    /// What took effect in the last frame in which an adjustment did, in that order: for whoever posts it.
    taken: Vec<ObeyedAdjustment>,
    /// Registered names, with their workers.
    registered: Names,
    /// By account: place of its last setting.
    set: BTreeMap<Account, At>,
    /// What took effect in the last frame in which a registration did, in that order.
    taken_registrations: Vec<ObeyedRegistration>,
    /// What took effect in the last frame in which a setting did, in that order.
    taken_settings: Vec<ObeyedSetting>,
    /// By account: place of its last write-off.
    written_off: BTreeMap<Account, At>,
    /// What took effect in the last frame in which a write-off did, in that order.
    taken_write_offs: Vec<ObeyedWriteOff>,
    /// Place of the last announcement of dust.
    last_dust: At,
    /// What took effect in the last frame in which an announcement did, in that order.
    taken_dust: Vec<ObeyedDust>,
    /// Things that wait for approvals, with where they stand.
    waiting: BTreeMap<Hash, (At, Thing)>,
    /// Distinct valid approvals by thing, each with its first place; approvals may come first.
    approvals: BTreeMap<Hash, BTreeMap<Key, At>>,
}

/// Digest that approvers sign: SHA-256(domain ‖ ledger ‖ kind ‖ version ‖ fields).
#[must_use]
pub fn thing_digest(ledger: LedgerId, event: &Event) -> Hash {
    let bytes = event.to_bytes(0);
    let fields = bytes.get(EVENT_HEAD_BYTES..).unwrap_or_default();
    Hash::of(&[THING_DOMAIN, &ledger.0, &[event.kind() as u8, 0], fields])
}

impl Authority {
    /// What genesis sets.
    #[must_use]
    pub fn new(genesis: Genesis) -> Self {
        let producers = genesis.producers.iter();
        let keys = producers
            .map(|(key, role)| {
                (
                    *key,
                    KeyState {
                        role: *role,
                        in_force: true,
                        last: At::default(),
                        verifier: Verifier::of(key),
                    },
                )
            })
            .collect();
        let policy = ObeyedPolicy {
            policy: Arc::new(genesis.policy.clone()),
            effective: 0,
        };
        Self {
            keys,
            policies: BTreeMap::from([(At::default(), policy)]),
            last_policy: At::default(),
            schema_sets: BTreeMap::from([(0, genesis.schema_set.clone())]),
            bans: BTreeMap::new(),
            adjusted: BTreeMap::new(),
            taken: Vec::new(),
            registered: Names::default(),
            set: BTreeMap::new(),
            taken_registrations: Vec::new(),
            taken_settings: Vec::new(),
            written_off: BTreeMap::new(),
            taken_write_offs: Vec::new(),
            last_dust: At::default(),
            taken_dust: Vec::new(),
            waiting: BTreeMap::new(),
            approvals: BTreeMap::new(),
            genesis: Arc::new(genesis),
        }
    }

    /// The ledger's first event.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Role of a key in force.
    #[must_use]
    pub fn role(&self, key: &Key) -> Option<Role> {
        self.keys
            .get(key)
            .filter(|state| state.in_force)
            .map(|state| state.role)
    }

    /// What verifies signatures of a key that was ever in force; none if nothing does.
    #[must_use]
    pub fn verifier(&self, key: &Key) -> Option<&Verifier> {
        self.keys.get(key)?.verifier.as_ref()
    }

    /// Keys in force.
    pub fn keys_in_force(&self) -> impl Iterator<Item = (Key, Role)> + '_ {
        self.keys
            .iter()
            .filter(|(_, state)| state.in_force)
            .map(|(key, state)| (*key, state.role))
    }

    /// The policy at a place, if it was obeyed.
    #[must_use]
    pub fn policy(&self, at: At) -> Option<&ObeyedPolicy> {
        self.policies.get(&at)
    }

    /// The newest obeyed policy and its place.
    #[must_use]
    pub fn newest_policy(&self) -> (At, Option<&ObeyedPolicy>) {
        (self.last_policy, self.policies.get(&self.last_policy))
    }

    /// Every policy that was obeyed, by its place.
    pub fn policies(&self) -> impl Iterator<Item = (At, &ObeyedPolicy)> + '_ {
        self.policies.iter().map(|(at, obeyed)| (*at, obeyed))
    }

    /// Scheme of a pot, which is the same in every policy that ever had it (money rules, 2.4); none if no policy had it.
    #[must_use]
    pub fn scheme(&self, pot: Pot) -> Option<Scheme> {
        let newest_first = self.policies.values().rev();
        let mut rules = newest_first.filter_map(|obeyed| obeyed.policy.pot(pot));
        rules.next().map(|rules| rules.scheme)
    }

    /// Every key that was ever in force, with its role, whether it is, and the place of its last obeyed change (zero if
    /// genesis named it): what the next change must expect.
    pub fn keys(&self) -> impl Iterator<Item = (Key, Role, bool, At)> + '_ {
        let all = self.keys.iter();
        all.map(|(key, state)| (*key, state.role, state.in_force, state.last))
    }

    /// Every announced schema set, by its number.
    pub fn schema_sets(&self) -> impl Iterator<Item = (u32, &[SchemaEntry])> + '_ {
        self.schema_sets
            .iter()
            .map(|(number, entries)| (*number, entries.as_slice()))
    }

    /// Every target that was ever banned, with its last ban or lift that was obeyed. Whether a ban still holds is a matter of
    /// time: see [`Ban::holds_at`].
    pub fn bans(&self) -> impl Iterator<Item = &ObeyedBan> + '_ {
        self.bans.values()
    }

    /// The last ban or lift of a target that was obeyed.
    #[must_use]
    pub fn ban(&self, target: &BanTarget) -> Option<&ObeyedBan> {
        self.bans.get(target)
    }

    /// Place of an account's last obeyed adjustment, zero if there is none: what the next must expect.
    #[must_use]
    pub fn last_adjustment(&self, account: &Account) -> At {
        self.adjusted.get(account).copied().unwrap_or_default()
    }

    /// Adjustments that took effect in the frame of a position, in that order. Only the newest frame that had any is
    /// remembered: ask right after it was applied.
    pub fn adjustments_taken_at(
        &self,
        position: u64,
    ) -> impl Iterator<Item = &ObeyedAdjustment> + '_ {
        let taken = self.taken.iter();
        taken.filter(move |taken| taken.effective.position == position)
    }

    /// Place of a registered name's last obeyed registration, zero if there is none: what the next must expect.
    #[must_use]
    pub fn last_registration(&self, name: &RegisteredName) -> At {
        self.registered_as(name)
            .map_or_else(At::default, |registered| registered.at)
    }

    /// What a registered name is registered as.
    #[must_use]
    pub fn registered_as(&self, name: &RegisteredName) -> Option<&Registered> {
        self.registered.0.get(name)
    }

    /// Every registered name.
    pub fn registered(&self) -> impl Iterator<Item = (&RegisteredName, &Registered)> + '_ {
        self.registered.0.iter()
    }

    /// Place of an account's last obeyed setting, whatever it set, zero if there is none: what the next must expect.
    #[must_use]
    pub fn last_setting(&self, account: &Account) -> At {
        self.set.get(account).copied().unwrap_or_default()
    }

    /// Registrations that took effect in the frame of a position, in that order. Only the newest frame that had any is
    /// remembered: ask right after it was applied.
    pub fn registrations_taken_at(
        &self,
        position: u64,
    ) -> impl Iterator<Item = &ObeyedRegistration> + '_ {
        let taken = self.taken_registrations.iter();
        taken.filter(move |taken| taken.effective.position == position)
    }

    /// Settings that took effect in the frame of a position, in that order. Only the newest frame that had any is
    /// remembered: ask right after it was applied.
    pub fn settings_taken_at(&self, position: u64) -> impl Iterator<Item = &ObeyedSetting> + '_ {
        let taken = self.taken_settings.iter();
        taken.filter(move |taken| taken.effective.position == position)
    }

    /// Place of an account's last write-off that was obeyed here, zero if there is none: what the next must expect.
    #[must_use]
    pub fn last_write_off(&self, account: &Account) -> At {
        self.written_off.get(account).copied().unwrap_or_default()
    }

    /// Write-offs that took effect in the frame of a position, in that order. Only the newest frame that had any is
    /// remembered: ask right after it was applied.
    pub fn write_offs_taken_at(&self, position: u64) -> impl Iterator<Item = &ObeyedWriteOff> + '_ {
        let taken = self.taken_write_offs.iter();
        taken.filter(move |taken| taken.effective.position == position)
    }

    /// Place of the last announcement of dust that was obeyed, zero if there is none: what the next must expect.
    #[must_use]
    pub const fn last_dust(&self) -> At {
        self.last_dust
    }

    /// Announcements of dust that took effect in the frame of a position, in that order. Only the newest frame that had any is
    /// remembered: ask right after it was applied.
    pub fn dust_taken_at(&self, position: u64) -> impl Iterator<Item = &ObeyedDust> + '_ {
        let taken = self.taken_dust.iter();
        taken.filter(move |taken| taken.effective.position == position)
    }

    /// Things that wait for approvals, by their digests.
    pub fn waiting(&self) -> impl Iterator<Item = Waiting> + '_ {
        self.waiting.iter().map(|(digest, (at, thing))| Waiting {
            digest: *digest,
            at: *at,
            event: thing.event(),
            needed: thing.needed(&self.genesis),
            approved: self.approved_by(digest).collect(),
        })
    }

    /// Approvers whose approval of a thing was admitted, also if nobody said the thing yet. Batches and resumes, which the
    /// money rules judge, are approved like things.
    pub fn approved_by(&self, thing: &Hash) -> impl Iterator<Item = Key> + '_ {
        self.approvals_of(thing).map(|(approver, _)| approver)
    }

    /// The same, each with the place of his first approval.
    pub fn approvals_of(&self, thing: &Hash) -> impl Iterator<Item = (Key, At)> + '_ {
        let approvals = self.approvals.get(thing).into_iter().flatten();
        approvals.map(|(approver, at)| (*approver, *at))
    }

    /// How many approvals a batch of this total needs, base units, if it is proposed now: none up to the newest obeyed
    /// policy's `auto_pay_limit`.
    #[must_use]
    pub fn payout_approvals_needed(&self, total: u128) -> usize {
        let (_, newest) = self.newest_policy();
        if newest.is_some_and(|newest| total <= newest.policy.auto_pay_limit) {
            0
        } else {
            self.genesis.needed(Approved::Payout)
        }
    }

    /// How many approvals a wallet's resume needs.
    #[must_use]
    pub fn resume_approvals_needed(&self) -> usize {
        self.genesis.needed(Approved::Resume)
    }

    /// Entries of an announced schema set.
    #[must_use]
    pub fn schema_set(&self, number: u32) -> Option<&[SchemaEntry]> {
        self.schema_sets.get(&number).map(Vec::as_slice)
    }

    /// Whether any announced schema set has this kind and version.
    #[must_use]
    pub fn lists(&self, kind: u8, version: u8) -> bool {
        self.schema_sets
            .values()
            .flatten()
            .any(|entry| *entry == SchemaEntry { kind, version })
    }

    /// Takes an admitted event into account; events without authority pass by.
    pub fn apply(&mut self, at: At, event: &Event) {
        match event {
            Event::SchemaSet(set) => self.apply_schema_set(set),
            Event::KeyChange(_)
            | Event::Policy(_)
            | Event::Ban(_)
            | Event::Adjustment(_)
            | Event::Account(_)
            | Event::Setting(_)
            | Event::WriteOff(_)
            | Event::InactiveDust(_) => {
                if let Some(thing) = Thing::of(event) {
                    self.propose(at, event, thing);
                }
            }
            Event::Approval(approval) => self.approve(at, approval),
            Event::Genesis(_)
            | Event::Checkpoint(_)
            | Event::Heartbeat
            | Event::RecoveryNote(_)
            | Event::Part(_)
            | Event::Moved(_)
            | Event::Worker(_)
            | Event::Difficulty(_)
            | Event::Job(_)
            | Event::Share(_)
            | Event::BlockFound(_)
            | Event::BlockStatus(_)
            | Event::BlockRecovered(_)
            | Event::EthashJob(_)
            | Event::EthashShare(_)
            | Event::Void(_)
            | Event::FeeMean(_)
            | Event::PayoutProposed(_)
            | Event::PayoutSigned(_)
            | Event::PayoutStep(_)
            | Event::PayoutCancelled(_)
            | Event::PayoutHalt(_)
            | Event::PayoutResume(_)
            | Event::Reconciled(_) => {}
        }
    }

    fn apply_schema_set(&mut self, set: &SchemaSet) {
        // The first announcement of a number stands; a number is never given another meaning.
        self.schema_sets
            .entry(set.number)
            .or_insert_with(|| set.entries.clone());
    }

    fn propose(&mut self, at: At, event: &Event, thing: Thing) {
        if !self.may_be_obeyed(&thing) {
            return;
        }
        let digest = thing_digest(self.genesis.ledger, event);
        if self.is_approved(&digest, &thing) {
            self.obey(at, at, thing);
        } else {
            // The same thing said twice: the first place stands.
            self.waiting.entry(digest).or_insert((at, thing));
        }
    }

    fn approve(&mut self, at: At, approval: &Approval) {
        let known = self.genesis.approvers.contains(&approval.approver);
        let ledger = self.genesis.ledger;
        if !known
            || !verify_approval(
                &approval.approver,
                ledger,
                &approval.thing,
                &approval.signature,
            )
        {
            return;
        }
        self.approvals
            .entry(approval.thing)
            .or_default()
            .entry(approval.approver)
            .or_insert(at);
        let Some((place, thing)) = self.waiting.get(&approval.thing).cloned() else {
            return;
        };
        if !self.is_approved(&approval.thing, &thing) {
            return;
        }
        self.waiting.remove(&approval.thing);
        if self.may_be_obeyed(&thing) {
            self.obey(place, at, thing);
        }
    }

    fn is_approved(&self, digest: &Hash, thing: &Thing) -> bool {
        let needed = thing.needed(&self.genesis);
        needed <= self.approvals.get(digest).map_or(0, BTreeMap::len)
    }

    /// Place of the subject's last obeyed event.
    fn expected(&self, thing: &Thing) -> At {
        match thing {
            Thing::Key(change) => self
                .keys
                .get(&change.key)
                .map_or_else(At::default, |state| state.last),
            Thing::Policy(_) => self.last_policy,
            Thing::Ban(ban) => self
                .bans
                .get(&ban.target)
                .map_or_else(At::default, |obeyed| obeyed.at),
            Thing::Adjustment(adjustment) => self.last_adjustment(&adjustment.account),
            Thing::Account(said) => self.last_registration(&said.name),
            Thing::Setting(setting) => self.last_setting(&setting.account),
            Thing::WriteOff(said) => self.last_write_off(&said.account),
            Thing::InactiveDust(_) => self.last_dust,
        }
    }

    /// Compare and set, and what is refused for ever besides.
    fn may_be_obeyed(&self, thing: &Thing) -> bool {
        self.expected(thing) == thing.expects()
            && !self.breaks_a_pot(thing)
            && !self.pays_direct_where_none_can(thing)
            && !self.bans_too_many(thing)
            && !self.registers_too_many(thing)
    }

    /// What gateways hold of registered accounts has limits.
    fn registers_too_many(&self, thing: &Thing) -> bool {
        match thing {
            Thing::Account(said) => !self.registered.have_room(said),
            _ => false,
        }
    }

    /// What gateways hold of bans has a limit.
    fn bans_too_many(&self, thing: &Thing) -> bool {
        let banned = |obeyed: &ObeyedBan| obeyed.ban.action == BanAction::Ban;
        match thing {
            Thing::Ban(ban) if ban.action == BanAction::Ban => {
                !self.bans.get(&ban.target).is_some_and(banned)
                    && BANS_MAX <= self.bans.values().filter(|obeyed| banned(obeyed)).count()
            }
            _ => false,
        }
    }

    /// A pot's number has one scheme for ever, else shares paid under one are paid again under the other.
    fn breaks_a_pot(&self, thing: &Thing) -> bool {
        let Thing::Policy(change) = thing else {
            return false;
        };
        let known = || {
            self.policies
                .values()
                .flat_map(|obeyed| &obeyed.policy.pots)
        };
        change
            .policy
            .pots
            .iter()
            .any(|new| known().any(|old| old.pot == new.pot && old.scheme != new.scheme))
    }

    /// A pot that cannot pay by the coinbase must not promise to.
    fn pays_direct_where_none_can(&self, thing: &Thing) -> bool {
        match thing {
            Thing::Policy(change) => {
                let algorithm = self.genesis.algorithm;
                !change.policy.pays_direct_where_it_can(algorithm)
            }
            _ => false,
        }
    }

    /// What a change of address waits by the newest obeyed policy.
    fn address_hold_ms(&self) -> u64 {
        let (_, newest) = self.newest_policy();
        newest.map_or(0, |newest| newest.policy.address_hold_ms)
    }

    /// How long an account must owe by the newest obeyed policy.
    fn writeoff_ms(&self) -> u64 {
        let (_, newest) = self.newest_policy();
        newest.map_or(0, |newest| newest.policy.writeoff_ms)
    }

    /// `at`: the thing's place; `effective`: that of the event that completed it.
    fn obey(&mut self, at: At, effective: At, thing: Thing) {
        match thing {
            Thing::Key(change) => {
                let in_force = change.action == KeyAction::InForce;
                self.keys.insert(
                    change.key,
                    KeyState {
                        role: change.role,
                        in_force,
                        last: at,
                        verifier: Verifier::of(&change.key),
                    },
                );
            }
            Thing::Policy(change) => {
                self.last_policy = at;
                self.policies.insert(
                    at,
                    ObeyedPolicy {
                        policy: Arc::new(change.policy),
                        effective: effective.position,
                    },
                );
            }
            Thing::Ban(ban) => {
                let obeyed = ObeyedBan {
                    ban: *ban,
                    at,
                    effective: effective.position,
                };
                self.bans.insert(obeyed.ban.target.clone(), obeyed);
            }
            Thing::Adjustment(adjustment) => {
                self.adjusted.insert(adjustment.account.clone(), at);
                self.taken
                    .retain(|taken| taken.effective.position == effective.position);
                self.taken.push(ObeyedAdjustment {
                    adjustment: *adjustment,
                    at,
                    effective,
                });
            }
            Thing::Account(said) => {
                self.registered.obey(&said, at, effective.position);
                let hold_ms = self.address_hold_ms();
                self.taken_registrations
                    .retain(|taken| taken.effective.position == effective.position);
                self.taken_registrations.push(ObeyedRegistration {
                    registration: *said,
                    at,
                    effective,
                    hold_ms,
                });
            }
            Thing::Setting(setting) => {
                self.set.insert(setting.account.clone(), at);
                let hold_ms = self.address_hold_ms();
                self.taken_settings
                    .retain(|taken| taken.effective.position == effective.position);
                self.taken_settings.push(ObeyedSetting {
                    setting: *setting,
                    at,
                    effective,
                    hold_ms,
                });
            }
            Thing::WriteOff(said) => {
                self.written_off.insert(said.account.clone(), at);
                let writeoff_ms = self.writeoff_ms();
                self.taken_write_offs
                    .retain(|taken| taken.effective.position == effective.position);
                self.taken_write_offs.push(ObeyedWriteOff {
                    write_off: *said,
                    at,
                    effective,
                    writeoff_ms,
                });
            }
            Thing::InactiveDust(said) => {
                self.last_dust = at;
                self.taken_dust
                    .retain(|taken| taken.effective.position == effective.position);
                self.taken_dust.push(ObeyedDust {
                    dust: *said,
                    at,
                    effective,
                });
            }
        }
    }
}
