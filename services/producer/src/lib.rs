//! The shell of the producers beside the gateway: settler, paymaster, desk.
//!
//! One rule: **what was said is final and read back before anything else is decided.** So a crash, a write or a send that failed,
//! or that failed but happened, leave it said once; a stream that was closed says again what was lost with it; a key that the
//! ledger refuses is left alone for a while. What is said, and when, is not decided here.
//!
//! Reading order: [`outbox`] (says, sends, waits), [`follower`] (reads what is final through one fold), [`decider`] (the two
//! together: the rule), [`thread`](mod@thread) (turns until it is stopped), [`counters`](mod@counters).

pub mod counters;

pub mod decider;

pub mod follower;

pub mod outbox;

pub mod thread;

pub use self::decider::Decider;
pub use self::follower::Follower;
pub use self::outbox::Outbox;
pub use self::thread::Thread;

use orebook_ledger::admit::AdmitError;
use orebook_ledger::publisher::PublishError;
use orebook_ledger::spool::SpoolError;
use orebook_replay::engine::EngineError;
use orebook_schema::DecodeError;

/// Why a producer's turn failed: its process ends, and starts again from what is durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// The ledger cannot be followed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Its spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Sending.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The index of what was admitted.
    #[error(transparent)]
    Admit(#[from] AdmitError),
    /// An event of its own that it cannot read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}
