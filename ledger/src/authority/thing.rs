//! What people decide by compare and set, whatever its kind.

use orebook_schema::account::{Registration, SetBy, Setting};
use orebook_schema::desk::{Adjustment, Ban};
use orebook_schema::dust::InactiveDust;
use orebook_schema::event::{KeyChange, PolicyChange};
use orebook_schema::genesis::{Approved, Genesis};
use orebook_schema::payout::WriteOff;
use orebook_schema::{At, Event};

/// A thing (section 6): it names its subject and what it expects of it, and needs approvals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    Key(KeyChange),
    Policy(Box<PolicyChange>),
    Ban(Box<Ban>),
    Adjustment(Box<Adjustment>),
    Account(Box<Registration>),
    Setting(Box<Setting>),
    WriteOff(Box<WriteOff>),
    InactiveDust(Box<InactiveDust>),
}

impl Thing {
    /// The thing that an event says; none for the other kinds.
    pub(super) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::KeyChange(change) => Some(Self::Key(*change)),
            Event::Policy(change) => Some(Self::Policy(change.clone())),
            Event::Ban(ban) => Some(Self::Ban(ban.clone())),
            Event::Adjustment(adjustment) => Some(Self::Adjustment(adjustment.clone())),
            Event::Account(said) => Some(Self::Account(said.clone())),
            Event::Setting(setting) => Some(Self::Setting(setting.clone())),
            Event::WriteOff(said) => Some(Self::WriteOff(said.clone())),
            Event::InactiveDust(said) => Some(Self::InactiveDust(said.clone())),
            _ => None,
        }
    }

    /// The event that says it.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::Key(change) => Event::KeyChange(*change),
            Self::Policy(change) => Event::Policy(change.clone()),
            Self::Ban(ban) => Event::Ban(ban.clone()),
            Self::Adjustment(adjustment) => Event::Adjustment(adjustment.clone()),
            Self::Account(said) => Event::Account(said.clone()),
            Self::Setting(setting) => Event::Setting(setting.clone()),
            Self::WriteOff(said) => Event::WriteOff(said.clone()),
            Self::InactiveDust(said) => Event::InactiveDust(said.clone()),
        }
    }

    pub(super) const fn expects(&self) -> At {
        match self {
            Self::Key(change) => change.expects,
            Self::Policy(change) => change.expects,
            Self::Ban(ban) => ban.expects,
            Self::Adjustment(adjustment) => adjustment.expects,
            Self::Account(said) => said.expects,
            Self::Setting(setting) => setting.expects,
            Self::WriteOff(said) => said.expects,
            Self::InactiveDust(said) => said.expects,
        }
    }

    /// How many approvals it needs in a ledger. What an account's owner sets waits for nobody.
    pub(super) fn needed(&self, genesis: &Genesis) -> usize {
        match self {
            Self::Key(_) => genesis.needed(Approved::Key),
            Self::Policy(_) => genesis.needed(Approved::Policy),
            Self::Ban(_) => genesis.needed(Approved::Ban),
            Self::Adjustment(_) => genesis.needed(Approved::Adjustment),
            Self::Account(_) => genesis.needed(Approved::Account),
            Self::Setting(setting) => match setting.by {
                SetBy::Operator => genesis.needed(Approved::Setting),
                SetBy::Signed | SetBy::Token => 0,
            },
            Self::WriteOff(_) => genesis.needed(Approved::WriteOff),
            Self::InactiveDust(_) => genesis.needed(Approved::InactiveDust),
        }
    }
}
