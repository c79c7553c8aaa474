//! What people decide by compare and set, whatever its kind.

use orebook_schema::desk::{Adjustment, Ban};
use orebook_schema::event::{KeyChange, PolicyChange};
use orebook_schema::genesis::Approved;
use orebook_schema::{At, Event};

/// A thing (section 6): it names its subject and what it expects of it, and needs approvals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    Key(KeyChange),
    Policy(Box<PolicyChange>),
    Ban(Box<Ban>),
    Adjustment(Box<Adjustment>),
}

impl Thing {
    /// The thing that an event says; none for the other kinds.
    pub(super) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::KeyChange(change) => Some(Self::Key(*change)),
            Event::Policy(change) => Some(Self::Policy(change.clone())),
            Event::Ban(ban) => Some(Self::Ban(ban.clone())),
            Event::Adjustment(adjustment) => Some(Self::Adjustment(adjustment.clone())),
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
        }
    }

    pub(super) const fn expects(&self) -> At {
        match self {
            Self::Key(change) => change.expects,
            Self::Policy(change) => change.expects,
            Self::Ban(ban) => ban.expects,
            Self::Adjustment(adjustment) => adjustment.expects,
        }
    }

    pub(super) const fn what(&self) -> Approved {
        match self {
            Self::Key(_) => Approved::Key,
            Self::Policy(_) => Approved::Policy,
            Self::Ban(_) => Approved::Ban,
            Self::Adjustment(_) => Approved::Adjustment,
        }
    }
}
