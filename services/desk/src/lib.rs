//! The only door for people's commands: producers' keys, policies, schema sets, bans, adjustments, approvals.
//!
//! Operators sign commands and send them over HTTP to the desk's own listener. The desk looks whether the operator may say
//! it and whether the ledger would obey it, notes it in the audit trail, writes it as a producer of its own, and answers
//! when it is final: obeyed, or how many approvals are missing. What the ledger obeys is the ledger's rule, tried on a copy.
//! Nobody's secret key is ever here but the desk's own.
//!
//! Reading order: [`command`] (what is signed), [`judge`](mod@judge) (what is refused), [`answer`], [`audit`] (what is kept),
//! [`machine`] (one desk without threads), [`desk`] (its thread), [`router`] (its listener); [`setting`] (what accounts' owners sign
//! themselves), [`miners`] (the listener for them).

pub mod answer;

pub mod audit;

pub mod command;

pub mod desk;

mod http;

pub mod judge;

mod limit;

pub mod machine;

mod memory;

pub mod metrics;

mod notes;

pub mod miners;

pub mod operators;

pub mod setting;

mod view;

pub mod words;

pub use self::desk::{Desk, DeskConfig, DeskHandle, DeskParts, StartError};
pub use self::http::router;
pub use self::limit::{
    SETTINGS_PER_DAY_MAX, SETTINGS_PER_HOUR_MAX, TRIES_PER_MINUTE_MAX, WRONG_LINES_PER_MINUTE_MAX,
    WRONG_PER_MINUTE_MAX,
};
pub use self::machine::{Machine, MachineConfig, MachineError, Submitted};
pub use self::operators::{Operator, Operators, Right};
