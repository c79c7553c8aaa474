//! Deleting what is final, archived and old. The opening record is kept elsewhere before the topic's beginning goes.

use std::time::Instant;

use orebook_ledger::log::{LogError, LogRecord, LogResult};
use orebook_schema::frame::IncarnationOpened;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::client::{Ear, PARTITION, wait_for};
use crate::config::{self, KafkaConfig, RECORD_BYTES_MAX};
use crate::preflight::PATIENCE;
use crate::sender::Sender;
use crate::tail::{append_time, first_at};

/// Most opening records that are looked through; a ledger has one for each incarnation that was trimmed.
const OPENINGS_MAX: i64 = 65_536;

fn unavailable(error: &KafkaError) -> LogError {
    LogError::Unavailable(error.to_string())
}

/// Makes a topic with one partition and safe settings. Whether it is new.
pub(crate) fn create_topic(
    admin: &AdminClient<Ear>,
    config: &KafkaConfig,
    name: &str,
) -> LogResult<bool> {
    let min_isr = config.min_isr.to_string();
    let record_bytes = (RECORD_BYTES_MAX * 2).to_string();
    let replication = TopicReplication::Fixed(i32::from(config.replication));
    let topic = NewTopic::new(name, 1, replication)
        .set("cleanup.policy", "delete")
        .set("retention.ms", "-1")
        .set("retention.bytes", "-1")
        .set("message.timestamp.type", "LogAppendTime")
        .set("unclean.leader.election.enable", "false")
        .set("compression.type", "producer")
        .set("max.message.bytes", &record_bytes)
        .set("min.insync.replicas", &min_isr);
    let options = AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE));
    let created = wait_for(admin.create_topics([&topic], &options));
    match created.map_err(|error| unavailable(&error))?.pop() {
        Some(Ok(_)) => Ok(true),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
        Some(Err((name, code))) => {
            let what = format!("topic {name} cannot be made: {code}");
            Err(LogError::Unavailable(what))
        }
        None => Err(LogError::Unavailable(
            "the brokers said nothing of the topic".to_owned(),
        )),
    }
}

/// First offset whose append time is `since` or later; none if there is no such record.
fn offset_at(client: &ClientConfig, topic: &str, since: u64) -> LogResult<Option<u64>> {
    let consumer: BaseConsumer<Ear> = config::consumer(client)
        .create_with_context(Ear::new())
        .map_err(|error| unavailable(&error))?;
    first_at(&consumer, topic, since, PATIENCE)
}

/// What of a topic may be deleted: everything from its first offset to the one before `until`.
pub(crate) struct Old {
    /// First offset that the topic still has.
    pub(crate) first: u64,
    /// First offset that stays; `first` if nothing is old.
    pub(crate) until: u64,
}

/// Looks for records below `below` that were appended before `since` (milliseconds since 1970).
pub(crate) fn find_old(
    admin: &AdminClient<Ear>,
    client: &ClientConfig,
    topic: &str,
    below: u64,
    since: u64,
) -> LogResult<Old> {
    let marks = admin.inner().fetch_watermarks(topic, PARTITION, PATIENCE);
    let (first, end) = marks.map_err(|error| unavailable(&error))?;
    let positive = |offset: i64| u64::try_from(offset).unwrap_or(0);
    let (first, end) = (positive(first), positive(end));
    let young = offset_at(client, topic, since)?.unwrap_or(end).min(end);
    Ok(Old {
        first,
        until: young.min(below).max(first),
    })
}

/// Deletes records below `until`. Returns the first offset left.
pub(crate) fn delete_below(admin: &AdminClient<Ear>, topic: &str, until: u64) -> LogResult<u64> {
    let offset = Offset::Offset(i64::try_from(until).unwrap_or(i64::MAX));
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, PARTITION, offset)
        .map_err(|error| unavailable(&error))?;
    let options = AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE));
    let deleted = wait_for(admin.delete_records(&list, &options));
    let deleted = deleted.map_err(|error| unavailable(&error))?;
    if let Some(partition) = deleted.find_partition(topic, PARTITION) {
        partition.error().map_err(|error| unavailable(&error))?;
    }
    Ok(until)
}

/// Sends a record and waits until the brokers have it. Returns its offset.
pub(crate) fn send_and_wait(sender: &Sender, topic: &str, bytes: &[u8]) -> LogResult<i64> {
    let told = sender.send_and_tell(topic, bytes)?;
    match told.recv_timeout(PATIENCE) {
        Ok(Ok(offset)) => Ok(offset),
        Ok(Err(what)) => Err(LogError::Unavailable(format!("{topic}: {what}"))),
        Err(_) => Err(LogError::Unavailable(format!(
            "{topic}: not acknowledged in time"
        ))),
    }
}

/// The opening record of a trimmed incarnation, as it was kept; none if it was not.
pub(crate) fn kept_opening(
    client: &ClientConfig,
    topic: &str,
    incarnation: u32,
) -> LogResult<Option<LogRecord>> {
    let consumer: BaseConsumer<Ear> = config::consumer(client)
        .create_with_context(Ear::new())
        .map_err(|error| unavailable(&error))?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, PARTITION, Offset::Offset(0))
        .map_err(|error| unavailable(&error))?;
    consumer
        .assign(&list)
        .map_err(|error| unavailable(&error))?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        match consumer.poll(PATIENCE.saturating_sub(started.elapsed())) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
            Some(Err(error)) if crate::client::is_down(&error) => {}
            Some(Err(error)) => return Err(unavailable(&error)),
            Some(Ok(message)) => {
                if OPENINGS_MAX < message.offset() {
                    return Ok(None);
                }
                let bytes = message.payload().unwrap_or_default().to_vec();
                let is_it = IncarnationOpened::read(&bytes)
                    .is_ok_and(|opened| opened.incarnation == incarnation);
                if let (true, Some(append_time)) = (is_it, append_time(&message)) {
                    return Ok(Some(LogRecord {
                        offset: 0,
                        append_time,
                        bytes,
                    }));
                }
            }
        }
    }
    Err(LogError::Unavailable(format!("{topic}: no answer")))
}
