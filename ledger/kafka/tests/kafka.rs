//! The log over a real Apache Kafka (tests/src/kafka.rs), under the reader, the publisher and the archiver that run in
//! production, driven by the simulator's actors with real time. Where Kafka cannot start, these tests fail.
//!
//! - `kafka/rig.rs`: gateways, an archiver and readers around one log, until everything is final; what must hold then.
//! - `kafka/equal.rs`: the same records embedded and over Kafka. `kafka/faults.rs`: brokers killed, frozen, damaged.
//! - `kafka/topics.rs`: races, topics made anew, trimming. `kafka/trimmed.rs`: readers behind what was deleted.
//! - `kafka/settings.rs`: the preflight, security.
//! - `kafka/activity.rs`: the activity log's topic.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "kafka/activity.rs"]
mod activity;
#[path = "kafka/equal.rs"]
mod equal;
#[path = "kafka/faults.rs"]
mod faults;
#[path = "kafka/rig.rs"]
mod rig;
#[path = "kafka/settings.rs"]
mod settings;
#[path = "kafka/topics.rs"]
mod topics;
#[path = "kafka/trimmed.rs"]
mod trimmed;
