//! What is written down: the nouns of the ledger and their canonical bytes.
//!
//! `LEDGER-FORMAT.md` beside this crate is normative; each type here names the section it implements. This crate knows no
//! file, socket, clock, thread, random source or float. Nothing here judges: what a frame may do is the `ledger` crate's.
//!
//! Reading order: [`bytes`], [`units`], [`names`], [`policy`], [`genesis`], [`work`], [`desk`],
//! [`account`], [`void`], [`payout`], [`dust`], [`reconciled`], [`event`], [`role`], [`frame`]; apart from the ledger, [`activity`] (`ACTIVITY-FORMAT.md`).

pub mod bytes;
pub mod units;

pub mod names;

pub mod policy;

pub mod genesis;

pub mod work;

pub mod coinbase;

pub mod desk;

pub mod account;

pub mod void;

pub mod payout;

pub mod dust;

pub mod reconciled;

pub mod event;

mod moved;

mod raw;

pub mod role;

pub mod frame;

pub mod summary;

pub mod activity;

pub use bytes::DecodeError;
pub use event::{Event, Kind};
pub use frame::{Frame, Header};
pub use genesis::Genesis;
pub use names::{Account, Key, LedgerId, StreamId, WorkerName};
pub use policy::Policy;
pub use role::Role;
pub use units::{At, Hash, Work};

/// Most bytes of one canonical event, its 8-byte head included (section 3).
pub const EVENT_BYTES_MAX: usize = 32_768;
/// Most events in a frame (section 2).
pub const FRAME_EVENTS_MAX: usize = 1_000;
/// Most bytes of a frame's body (section 2).
pub const BODY_BYTES_MAX: usize = 49_152;
/// Most bytes of a frame's summary (section 2).
pub const SUMMARY_BYTES_MAX: usize = 49_152;
/// Bytes of a frame header (section 2).
pub const HEADER_BYTES: usize = 288;
/// Most bytes of a whole frame: header, summary, body.
pub const FRAME_BYTES_MAX: usize = HEADER_BYTES + SUMMARY_BYTES_MAX + BODY_BYTES_MAX;
/// How far ledger time may run ahead of a frame's last time, in milliseconds (section 2).
pub const LEDGER_TIME_LEAD_MS_MAX: u64 = 600_000;
