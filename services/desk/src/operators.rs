//! Who may say what: operators by configuration, approvers by genesis.

use orebook_schema::{Event, Genesis, Key};

use crate::answer::Refusal;
use crate::memory::is_owners;

/// What an operator may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Producers' keys.
    Key,
    /// Policies.
    Policy,
    /// Schema sets.
    Schema,
    /// Bans of accounts and networks.
    Ban,
    /// Adjustments of balances, write-offs, and announcements of dust.
    Adjust,
    /// Registered accounts, and settings for miners who cannot set them.
    Account,
    /// Halts and resumes of a wallet. Batches are the paymaster's to propose, and approvers' to approve.
    Pay,
}

impl Right {
    /// Every right, by name.
    pub const ALL: [Self; 7] = [
        Self::Key,
        Self::Policy,
        Self::Schema,
        Self::Ban,
        Self::Adjust,
        Self::Account,
        Self::Pay,
    ];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Policy => "policy",
            Self::Schema => "schema",
            Self::Ban => "ban",
            Self::Adjust => "adjust",
            Self::Account => "account",
            Self::Pay => "pay",
        }
    }

    /// What an event needs; none for approvals, which carry a signature of their own.
    const fn of(event: &Event) -> Option<Self> {
        match event {
            Event::KeyChange(_) => Some(Self::Key),
            Event::Policy(_) => Some(Self::Policy),
            Event::SchemaSet(_) => Some(Self::Schema),
            Event::Ban(_) => Some(Self::Ban),
            Event::Adjustment(_) | Event::WriteOff(_) | Event::InactiveDust(_) => {
                Some(Self::Adjust)
            }
            Event::Account(_) | Event::Setting(_) => Some(Self::Account),
            Event::PayoutHalt(_) | Event::PayoutResume(_) => Some(Self::Pay),
            _ => None,
        }
    }
}

/// A person who may send commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// As the audit trail calls him.
    pub name: String,
    /// His key.
    pub key: Key,
    /// What he may say; approvals may be sent by anybody who is known.
    pub rights: Vec<Right>,
}

/// Everybody who may send commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operators(pub Vec<Operator>);

impl Operators {
    fn find(&self, key: &Key) -> Option<&Operator> {
        self.0.iter().find(|one| one.key == *key)
    }

    /// What a key's owner is called; none if nobody knows him. An approver needs no entry, and may say everything: whoever is
    /// trusted to approve is trusted to ask.
    pub(crate) fn name(&self, key: &Key, genesis: &Genesis) -> Option<String> {
        let operator = self.find(key).map(|one| one.name.clone());
        let number = genesis.approvers.iter().position(|one| one == key);
        operator.or_else(|| number.map(|number| format!("approver {}", number + 1)))
    }

    /// Whether a known key may say this.
    pub(crate) fn may(&self, key: &Key, event: &Event) -> Result<(), Refusal> {
        if is_owners(event) {
            return Err(Refusal::NotAllowed("a setting in its owner's name"));
        }
        let allowed = match (self.find(key), Right::of(event)) {
            (Some(operator), Some(right)) => operator.rights.contains(&right),
            (_, _) => true,
        };
        if allowed {
            Ok(())
        } else {
            Err(Refusal::NotAllowed(event.kind().name()))
        }
    }
}
