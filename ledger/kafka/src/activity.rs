//! The activity log over Kafka: the topic `PREFIX.COIN.LEDGER.activity`, with one partition and a retention.
//!
//! Whoever comes first makes it. A report is acknowledged by the leader alone (`acks=1`): nobody's money depends on it, and a
//! leader that dies may take the last second of counts with it, while `acks=all` would stop the log for the loss of one
//! replica. Records that the brokers do not take stay in a small queue; beyond it the gateway counts on by itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use orebook_ledger::activity::{ActivityError, ActivitySink, ActivitySource};
use orebook_ledger::log::LogError;
use orebook_schema::LedgerId;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList};

use crate::client::{Ear, PARTITION, is_down, wait_for};
use crate::config::{self, KafkaConfig, REQUEST_MS, Security};
use crate::log::OpenError;
use crate::topics::Topics;

/// KiB of reports on their way; beyond it a report is not taken.
pub const QUEUE_KIB_MAX: usize = 1_024;
/// Reports on their way; beyond it a report is not taken.
pub const QUEUE_REPORTS_MAX: usize = 4_096;
/// Days that reports may be kept.
pub const ACTIVITY_DAYS_MAX: u16 = 365;
/// Most bytes of a record of the topic: a report has at most 64 KiB.
const RECORD_BYTES: usize = 262_144;
/// How long the brokers may take to make or to show the topic.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause before the topic is asked for again.
const RETRY: Duration = Duration::from_secs(2);
/// How long a sink that ends waits for what is on its way.
const LAST: Duration = Duration::from_secs(3);
/// KiB that a reader fetches ahead.
const AHEAD_KIB_MAX: usize = 4_096;
const DAY_MS: u64 = 86_400_000;

/// What both halves are made of.
struct Place {
    client: ClientConfig,
    config: KafkaConfig,
    topic: String,
    retention_ms: u64,
}

impl Place {
    fn new(
        config: &KafkaConfig,
        coin: u32,
        ledger: LedgerId,
        retention_days: u16,
    ) -> Result<Self, OpenError> {
        config.check()?;
        let days = retention_days.clamp(1, ACTIVITY_DAYS_MAX);
        Ok(Self {
            client: config.client(&Security::load(config)?),
            topic: Topics::new(&config.topic_prefix, coin, ledger).activity(),
            config: config.clone(),
            retention_ms: u64::from(days) * DAY_MS,
        })
    }

    /// Makes the topic if nobody has.
    fn make_topic(&self, admin: &AdminClient<Ear>) -> Result<(), LogError> {
        let unavailable = |error: KafkaError| LogError::Unavailable(error.to_string());
        let retention_ms = self.retention_ms.to_string();
        let record_bytes = RECORD_BYTES.to_string();
        let replication = TopicReplication::Fixed(i32::from(self.config.replication));
        let topic = NewTopic::new(&self.topic, 1, replication)
            .set("cleanup.policy", "delete")
            .set("retention.ms", &retention_ms)
            .set("message.timestamp.type", "LogAppendTime")
            .set("unclean.leader.election.enable", "false")
            .set("compression.type", "producer")
            .set("max.message.bytes", &record_bytes)
            // One replica suffices to take a report.
            .set("min.insync.replicas", "1");
        let options = AdminOptions::new()
            .request_timeout(Some(PATIENCE))
            .operation_timeout(Some(PATIENCE));
        let created = wait_for(admin.create_topics([&topic], &options));
        match created.map_err(unavailable)?.pop() {
            Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((name, code))) => {
                let what = format!("topic {name} cannot be made: {code}");
                Err(LogError::Unavailable(what))
            }
            None => Err(LogError::Unavailable("no answer".to_owned())),
        }
    }
}

/// Counts what the brokers did not take after all.
struct Carrier {
    ear: Ear,
    lost: Arc<AtomicU64>,
}

impl ClientContext for Carrier {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ear.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(error, reason);
    }
}

impl ProducerContext for Carrier {
    /// Things that the report says.
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, things: Box<u64>) {
        if let Err((error, _)) = result {
            tracing::debug!(%error, "an activity report was lost");
            self.lost.fetch_add(*things, Ordering::Relaxed);
        }
    }
}

/// Sends reports.
pub struct KafkaActivity {
    place: Place,
    admin: AdminClient<Ear>,
    producer: ThreadedProducer<Carrier>,
    lost: Arc<AtomicU64>,
    has_topic: bool,
    asked: Option<Instant>,
}

impl fmt::Debug for KafkaActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaActivity")
            .field("topic", &self.place.topic)
            .finish_non_exhaustive()
    }
}

impl KafkaActivity {
    /// For a ledger of a coin (SLIP-44); reports are kept so many days, 1 to [`ACTIVITY_DAYS_MAX`]. Asks no broker.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        config: &KafkaConfig,
        coin: u32,
        ledger: LedgerId,
        retention_days: u16,
    ) -> Result<Self, OpenError> {
        let place = Place::new(config, coin, ledger, retention_days)?;
        let failed = |error| OpenError::client(&error);
        let lost = Arc::new(AtomicU64::new(0));
        let carrier = Carrier {
            ear: Ear::new(),
            lost: Arc::clone(&lost),
        };
        let producer = producer(&place.client).create_with_context(carrier);
        let admin = place.client.create_with_context(Ear::new());
        Ok(Self {
            admin: admin.map_err(failed)?,
            producer: producer.map_err(failed)?,
            place,
            lost,
            has_topic: false,
            asked: None,
        })
    }

    /// Reports on their way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    fn see_to_the_topic(&mut self) -> Result<(), ActivityError> {
        let wait = || ActivityError::Unavailable("the topic is not there yet".to_owned());
        if self.has_topic {
            return Ok(());
        }
        if self.asked.is_some_and(|asked| asked.elapsed() < RETRY) {
            return Err(wait());
        }
        let made = self.place.make_topic(&self.admin);
        self.asked = Some(Instant::now());
        made.map_err(|error| ActivityError::Unavailable(error.to_string()))?;
        self.has_topic = true;
        Ok(())
    }
}

impl ActivitySink for KafkaActivity {
    fn append(&mut self, _now: u64, report: &[u8], things: u64) -> Result<(), ActivityError> {
        self.see_to_the_topic()?;
        let record: BaseRecord<'_, (), [u8], Box<u64>> =
            BaseRecord::with_opaque_to(&self.place.topic, Box::new(things))
                .partition(PARTITION)
                .payload(report);
        match self.producer.send(record) {
            Ok(()) => Ok(()),
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                Err(ActivityError::Full)
            }
            Err((error, _)) => {
                // Somebody may have deleted the topic.
                self.has_topic = false;
                Err(ActivityError::Unavailable(error.to_string()))
            }
        }
    }

    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn finish(&mut self) {
        if let Err(error) = self.producer.flush(LAST) {
            tracing::warn!(%error, reports = self.producer.in_flight_count(), "activity reports did not leave");
        }
    }
}

fn producer(client: &ClientConfig) -> ClientConfig {
    let mut producer = client.clone();
    producer.remove("allow.auto.create.topics");
    producer
        .set("acks", "1")
        .set("compression.type", "zstd")
        .set("message.timeout.ms", "0")
        // A report that is sent again stays before the next one; that it may come twice its number says.
        .set("max.in.flight.requests.per.connection", "1")
        .set("request.timeout.ms", REQUEST_MS.to_string())
        .set("linger.ms", "100")
        .set("message.max.bytes", RECORD_BYTES.to_string())
        .set(
            "queue.buffering.max.messages",
            QUEUE_REPORTS_MAX.to_string(),
        )
        .set("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string());
    producer
}

/// Reads reports from the oldest that the topic keeps.
pub struct KafkaActivityReader {
    place: Place,
    consumer: BaseConsumer<Ear>,
    is_assigned: bool,
}

impl fmt::Debug for KafkaActivityReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaActivityReader")
            .field("topic", &self.place.topic)
            .finish_non_exhaustive()
    }
}

impl KafkaActivityReader {
    /// For a ledger of a coin (SLIP-44). Asks no broker.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(config: &KafkaConfig, coin: u32, ledger: LedgerId) -> Result<Self, OpenError> {
        let place = Place::new(config, coin, ledger, 1)?;
        let mut consumer = config::consumer(&place.client);
        consumer
            // What retention took is passed over: the activity log promises no more.
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", AHEAD_KIB_MAX.to_string());
        let consumer = consumer.create_with_context(Ear::new());
        Ok(Self {
            consumer: consumer.map_err(|error| OpenError::client(&error))?,
            place,
            is_assigned: false,
        })
    }

    fn assign(&mut self) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.place.topic, PARTITION, Offset::Beginning)?;
        self.consumer.assign(&list)?;
        self.is_assigned = true;
        Ok(())
    }
}

impl ActivitySource for KafkaActivityReader {
    fn read(&mut self, max: usize) -> Result<Vec<Vec<u8>>, ActivityError> {
        let unavailable = |error: KafkaError| ActivityError::Unavailable(error.to_string());
        if !self.is_assigned {
            self.assign().map_err(unavailable)?;
        }
        let mut reports = Vec::new();
        while reports.len() < max {
            match self.consumer.poll(Duration::from_millis(20)) {
                None | Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Ok(message)) => reports.push(message.payload().unwrap_or_default().to_vec()),
                Some(Err(error)) if is_down(&error) => break,
                Some(Err(error)) => {
                    // The topic may be made a moment later, or anew: it is read from its beginning, and what was taken
                    // before is known by its number.
                    self.is_assigned = false;
                    if reports.is_empty() {
                        return Err(unavailable(error));
                    }
                    break;
                }
            }
        }
        Ok(reports)
    }
}
