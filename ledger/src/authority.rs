//! Who may say what, and under which rules: keys in force, policies, schema sets, approvals (section 6, "obeyed").
//!
//! A part of admission's state, and like it a pure function of the log's prefix.

pub(crate) mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orebook_schema::event::{
    Approval, EVENT_HEAD_BYTES, KeyAction, KeyChange, PolicyChange, SchemaEntry, SchemaSet,
};
use orebook_schema::frame::THING_DOMAIN;
use orebook_schema::genesis::{Approved, Genesis};
use orebook_schema::{At, Event, Hash, Key, LedgerId, Policy, Role};

use crate::sign::{Verifier, verify_approval};

/// A policy that was obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObeyedPolicy {
    /// What it says.
    pub policy: Arc<Policy>,
    /// Position at which it took effect: its own, or that of the last approval it needed.
    pub effective: u64,
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

#[derive(Clone, Debug, PartialEq, Eq)]
enum Thing {
    Key(KeyChange),
    Policy(Box<PolicyChange>),
}

/// Keys, policies and schema sets as of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    genesis: Arc<Genesis>,
    keys: BTreeMap<Key, KeyState>,
    policies: BTreeMap<At, ObeyedPolicy>,
    last_policy: At,
    schema_sets: BTreeMap<u32, Vec<SchemaEntry>>,
    /// Things that wait for approvals, with where they stand.
    waiting: BTreeMap<Hash, (At, Thing)>,
    /// Distinct valid approvals by thing; approvals may come first.
    approvals: BTreeMap<Hash, BTreeSet<Key>>,
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

    /// Things that wait for approvals, by their digests.
    pub fn waiting(&self) -> impl Iterator<Item = Waiting> + '_ {
        self.waiting.iter().map(|(digest, (at, thing))| Waiting {
            digest: *digest,
            at: *at,
            event: thing.event(),
            needed: self.genesis.needed(thing.what()),
            approved: self.approved_by(digest).collect(),
        })
    }

    /// Approvers whose approval of a thing was admitted, also if nobody said the thing yet.
    pub fn approved_by(&self, thing: &Hash) -> impl Iterator<Item = Key> + '_ {
        self.approvals.get(thing).into_iter().flatten().copied()
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
            Event::KeyChange(change) => self.propose(at, event, Thing::Key(*change)),
            Event::Policy(change) => self.propose(at, event, Thing::Policy(change.clone())),
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
            | Event::BlockRecovered(_) => {}
        }
    }

    fn apply_schema_set(&mut self, set: &SchemaSet) {
        // The first announcement of a number stands; a number is never given another meaning.
        self.schema_sets
            .entry(set.number)
            .or_insert_with(|| set.entries.clone());
    }

    fn propose(&mut self, at: At, event: &Event, thing: Thing) {
        if self.expected(&thing) != thing.expects() || self.breaks_a_pot(&thing) {
            return;
        }
        let digest = thing_digest(self.genesis.ledger, event);
        if self.is_approved(&digest, &thing) {
            self.obey(at, at.position, thing);
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
            .insert(approval.approver);
        let Some((place, thing)) = self.waiting.get(&approval.thing).cloned() else {
            return;
        };
        if !self.is_approved(&approval.thing, &thing) {
            return;
        }
        self.waiting.remove(&approval.thing);
        if self.expected(&thing) == thing.expects() && !self.breaks_a_pot(&thing) {
            self.obey(place, at.position, thing);
        }
    }

    fn is_approved(&self, digest: &Hash, thing: &Thing) -> bool {
        let needed = self.genesis.needed(thing.what());
        needed <= self.approvals.get(digest).map_or(0, BTreeSet::len)
    }

    /// Place of the subject's last obeyed event.
    fn expected(&self, thing: &Thing) -> At {
        match thing {
            Thing::Key(change) => self
                .keys
                .get(&change.key)
                .map_or_else(At::default, |state| state.last),
            Thing::Policy(_) => self.last_policy,
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

    fn obey(&mut self, at: At, effective: u64, thing: Thing) {
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
                        effective,
                    },
                );
            }
        }
    }
}

impl Thing {
    fn event(&self) -> Event {
        match self {
            Self::Key(change) => Event::KeyChange(*change),
            Self::Policy(change) => Event::Policy(change.clone()),
        }
    }

    const fn expects(&self) -> At {
        match self {
            Self::Key(change) => change.expects,
            Self::Policy(change) => change.expects,
        }
    }

    const fn what(&self) -> Approved {
        match self {
            Self::Key(_) => Approved::Key,
            Self::Policy(_) => Approved::Policy,
        }
    }
}
