//! Which roles a process has.

/// Which roles a process has: all of them with `up`, one of them where they run on machines of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Every role.
    All,
    /// Accepts miners. Its number says which key and which part of the configuration are its own.
    Gateway(u8),
    /// Keeps segments and signs checkpoints. Its number says which key.
    Archiver(u8),
    /// Says what became of blocks.
    Settler,
    /// Folds, API, pages.
    Projector,
    /// Pays miners: the only role that reaches a wallet.
    Paymaster,
    /// Takes people's commands.
    Desk,
}

impl Duty {
    /// Number of the archiver that runs here.
    pub(crate) const fn archiver(self) -> Option<u8> {
        match self {
            Self::All => Some(1),
            Self::Archiver(number) => Some(number),
            Self::Gateway(_) | Self::Settler | Self::Projector | Self::Paymaster | Self::Desk => {
                None
            }
        }
    }

    /// Whether somebody here must know what is final: all but an archiver, which is a reader itself.
    pub(crate) const fn has_mirror(self) -> bool {
        !matches!(self, Self::Archiver(_))
    }

    /// Whether folds run here.
    pub(crate) const fn has_projector(self) -> bool {
        matches!(self, Self::All | Self::Projector)
    }

    /// Whether the settler runs here.
    pub(crate) const fn has_settler(self) -> bool {
        matches!(self, Self::All | Self::Settler)
    }

    /// Whether the paymaster runs here.
    pub(crate) const fn has_paymaster(self) -> bool {
        matches!(self, Self::All | Self::Paymaster)
    }

    /// Whether people's commands are taken here.
    pub(crate) const fn has_desk(self) -> bool {
        matches!(self, Self::All | Self::Desk)
    }

    /// Whether miners connect here.
    pub(crate) const fn has_gateways(self) -> bool {
        matches!(self, Self::All | Self::Gateway(_))
    }

    /// Whether the coin's nodes are asked from here.
    pub(crate) const fn has_chain(self) -> bool {
        self.has_gateways() || self.has_settler()
    }
}
