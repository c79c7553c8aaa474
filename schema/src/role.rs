//! Role × kind: who may say what (section 3, last column).

use crate::event::Kind;

/// What a producer's key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// The only door for people's commands.
    Desk = 1,
    /// Accepts miners.
    Gateway = 2,
    /// Writes segments and signs checkpoints.
    Archiver = 3,
    /// Watches the chain.
    Settler = 4,
    /// Reaches a wallet.
    Paymaster = 5,
}

impl Role {
    /// Every role, by number.
    pub const ALL: [Self; 5] = [
        Self::Desk,
        Self::Gateway,
        Self::Archiver,
        Self::Settler,
        Self::Paymaster,
    ];

    /// Role of a byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == byte)
    }

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Desk => "desk",
            Self::Gateway => "gateway",
            Self::Archiver => "archiver",
            Self::Settler => "settler",
            Self::Paymaster => "paymaster",
        }
    }

    /// Reads a shown name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == text)
    }

    /// Bit k set iff this role may say kind k.
    #[must_use]
    pub fn kinds(self) -> u64 {
        Kind::ALL
            .iter()
            .filter(|kind| self.may_say(**kind))
            .fold(0, |mask, kind| mask | kind.bit())
    }

    /// The table. Genesis is said once, by admission's own rule for position 0.
    #[must_use]
    pub fn may_say(self, kind: Kind) -> bool {
        match kind {
            Kind::Heartbeat | Kind::RecoveryNote | Kind::Part => true,
            Kind::Genesis
            | Kind::SchemaSet
            | Kind::KeyChange
            | Kind::Policy
            | Kind::Approval
            | Kind::Ban
            | Kind::Adjustment
            | Kind::Account
            | Kind::Setting
            | Kind::PayoutResume
            | Kind::WriteOff
            | Kind::InactiveDust => self == Self::Desk,
            Kind::Checkpoint | Kind::Void => self == Self::Archiver,
            Kind::Worker
            | Kind::Difficulty
            | Kind::Job
            | Kind::Share
            | Kind::EthashJob
            | Kind::EthashShare
            | Kind::BlockFound
            | Kind::Moved => self == Self::Gateway,
            Kind::BlockStatus | Kind::BlockRecovered | Kind::FeeMean => self == Self::Settler,
            Kind::PayoutProposed
            | Kind::PayoutSigned
            | Kind::PayoutStep
            | Kind::PayoutCancelled
            | Kind::Reconciled => self == Self::Paymaster,
            Kind::PayoutHalt => matches!(self, Self::Desk | Self::Paymaster),
        }
    }
}
