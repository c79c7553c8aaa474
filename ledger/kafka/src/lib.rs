//! The log over Apache Kafka: the only room that knows rdkafka.
//!
//! An incarnation is a topic with one partition, `PREFIX.COIN.LEDGER.ledger-N`; whoever creates the topic opened the
//! incarnation, and its first record is `IncarnationOpened`. Offsets are hints; nothing here compares a sequence number,
//! admits or judges: that is `ledger`'s. Why it is as it is: `docs/adr/0014-kafka.md`.
//!
//! Reading order: `topics` (names), `config` (limits, security), `log` ([`KafkaLog`], the trait), `tail` (reading),
//! `sender` (sending), `watch` (what is asked in the background), `trim` (what is deleted), `preflight` (what is refused); apart from the ledger `activity`.
//!
//! No call of the [`orebook_ledger::log::Log`] trait waits for brokers longer than [`ANSWER_WAIT_MS`], and none at all once
//! one has waited in vain; only opening an incarnation, trimming and the preflight take what they need.

mod activity;
mod client;
mod config;
mod log;
mod preflight;
mod sender;
mod tail;
mod topics;
mod trim;
mod watch;

pub use self::activity::{
    ACTIVITY_DAYS_MAX, KafkaActivity, KafkaActivityReader, QUEUE_KIB_MAX, QUEUE_REPORTS_MAX,
};
pub use self::config::{
    BROKERS_MAX, ConfigError, KafkaConfig, PREFIX_BYTES_MAX, RETENTION_DAYS_MAX, Security,
};
pub use self::log::{KafkaLog, OpenError};
pub use self::preflight::{Finding, Preflight};
pub use self::tail::ANSWER_WAIT_MS;
pub use self::topics::Topics;
