//! What a line asks of the gateway.

use orebook_schema::units::U256;

use crate::ethash::EthashSubmit;
use crate::id::Id;
use crate::submit::{Submit, UserNumber};
use crate::{Agent, CloseReason, DifficultyText, PasswordOptions, StratumError, UserName};

/// What the gateway must decide or know after a line. Replies that needed nobody are in `out`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing to do; as a rule something was answered.
    Nothing,
    /// A first subscribe: answer it with [`Session::subscribed`](crate::Session::subscribed), before anything else is written.
    Subscribe(Subscribe),
    /// A well-formed authorize, perhaps a repeated one: answer it with [`Session::authorized`](crate::Session::authorized).
    Authorize(Authorize),
    /// A well-formed submit of an authorized user: answer it with a function of [`write`](mod@crate::write).
    Submit(Submit),
    /// The client would like another difficulty; it was told `true`.
    Suggest(Suggestion),
    /// Extensions were agreed, which the client knows already.
    Configured(Configured),
    /// The client may be sent another extranonce from now on ([`Session::change_extranonce`](crate::Session::change_extranonce)).
    ExtranonceSubscribed,
    /// The client answered [`Session::ask_version`](crate::Session::ask_version).
    Agent(Agent),
    /// An error was answered; for counting and scoring.
    Refused {
        /// What was refused.
        what: Refused,
        /// What the client was told.
        error: StratumError,
    },
    /// Write what is in `out`, then close.
    Close(CloseReason),
    /// A well-formed share of an ethash miner: answer it with [`Speaker::accepted`](crate::Speaker::accepted) or
    /// [`Speaker::refused`](crate::Speaker::refused).
    EthashSubmit(EthashSubmit),
    /// The client asks for work: answer with [`Speaker::give_work`](crate::Speaker::give_work), or refuse.
    GetWork {
        /// To be echoed.
        id: Id,
    },
    /// The client asks for a block's number: answer with [`Speaker::give_height`](crate::Speaker::give_height), or refuse.
    GetHeight {
        /// To be echoed.
        id: Id,
        /// The block that is being mined; else the newest of the chain.
        is_pending: bool,
    },
    /// What a rig says of itself; it was answered. Nothing is paid for it.
    Hashrate {
        /// Whose.
        user: UserNumber,
        /// As he says.
        hashes_per_second: u64,
    },
    /// A first request of a dialect that the port does not take; an error was answered. No offence: miners that look for a
    /// pool's dialect try one after another.
    NotSpoken(StratumError),
    /// Nothing: the bytes that [`Speaker::hear`](crate::Speaker::hear) saw are no whole line or request.
    More,
}

/// A first subscribe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// To be echoed.
    pub id: Id,
    /// What the client says it runs; empty if nothing.
    pub agent: Agent,
    /// A session id we once gave, if it could be one: resume that session with its extranonce1, or give a new one; never an
    /// error.
    pub resume: Option<Box<str>>,
}

/// A well-formed authorize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorize {
    /// To be echoed.
    pub id: Id,
    /// The user name as written, which submits repeat.
    pub user: Box<str>,
    /// The same, split.
    pub name: UserName,
    /// What the password asks for.
    pub options: PasswordOptions,
}

/// What a client would like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suggestion {
    /// This difficulty; clamp it.
    Difficulty(DifficultyText),
    /// This share target, above zero; `WorkUnit::network_work` gives its work.
    Target(U256),
}

/// What `mining.configure` agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// The mask now in force, if version rolling was asked for; 0 if it was refused.
    pub version_mask: Option<u32>,
    /// The least difficulty the client takes, if it asked.
    pub difficulty_min: Option<DifficultyText>,
}

/// What an error was answered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A line that is no request; the last of them closes instead.
    Line,
    /// A request other than the two below.
    Request,
    /// An authorize.
    Authorize,
    /// A submit.
    Submit,
}
