//! Sending: one idempotent producer, rebuilt when librdkafka gives it up for good.
//!
//! Acknowledgements decide nothing: a publisher sends again until the ledger shows a frame. A record that is still on its
//! way is not queued a second time, so brokers that come back after hours get each frame once.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orebook_ledger::log::{LogError, LogResult};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Message as _};

use crate::client::{Ear, PARTITION};
use crate::config;

/// What became of a record whose sender waits: its offset, or why not.
pub(crate) type Delivered = Result<i64, String>;

/// A record on its way: (incarnation or topic, bytes), hashed. Two records of one hash cost a second of delay, no more.
type FlightKey = u64;

#[derive(Debug, Default)]
struct Flight {
    keys: Mutex<BTreeSet<FlightKey>>,
    fatal: AtomicBool,
}

impl Flight {
    fn keys(&self) -> MutexGuard<'_, BTreeSet<FlightKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Ticket {
    key: FlightKey,
    waiter: Option<SyncSender<Delivered>>,
}

pub(crate) struct Carrier {
    ear: Ear,
    flight: Arc<Flight>,
}

impl ClientContext for Carrier {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ear.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.flight.fatal.store(true, Ordering::Release);
        }
        self.ear.error(error, reason);
    }
}

impl ProducerContext for Carrier {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        self.flight.keys().remove(&ticket.key);
        let delivered = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => {
                tracing::debug!(%error, "a record was not acknowledged");
                Err(error.to_string())
            }
        };
        if let Some(waiter) = ticket.waiter {
            // Who waited may have given up.
            drop(waiter.try_send(delivered));
        }
    }
}

struct Producer {
    producer: ThreadedProducer<Carrier>,
    flight: Arc<Flight>,
}

/// The producer of a process, whatever becomes of librdkafka's.
pub(crate) struct Sender {
    config: ClientConfig,
    producer: Mutex<Option<Producer>>,
    rebuilt: AtomicU64,
}

impl Sender {
    pub(crate) fn new(client: &ClientConfig) -> Result<Self, KafkaError> {
        let sender = Self {
            config: config::producer(client),
            producer: Mutex::new(None),
            rebuilt: AtomicU64::new(0),
        };
        *sender.lock() = Some(sender.build()?);
        Ok(sender)
    }

    /// How often a producer was given up for good and replaced.
    pub(crate) fn rebuilt(&self) -> u64 {
        self.rebuilt.load(Ordering::Relaxed)
    }

    /// Records on their way.
    pub(crate) fn in_flight(&self) -> usize {
        let held = self.lock();
        held.as_ref().map_or(0, |held| held.flight.keys().len())
    }

    /// Queues a record, unless it is on its way already.
    pub(crate) fn send(&self, topic: &str, bytes: &[u8]) -> LogResult<()> {
        self.queue(topic, bytes, None)
    }

    /// Queues a record; what became of it comes by the channel, once.
    pub(crate) fn send_and_tell(
        &self,
        topic: &str,
        bytes: &[u8],
    ) -> LogResult<Receiver<Delivered>> {
        let (waiter, told) = sync_channel(1);
        self.queue(topic, bytes, Some(waiter))?;
        Ok(told)
    }

    fn queue(
        &self,
        topic: &str,
        bytes: &[u8],
        waiter: Option<SyncSender<Delivered>>,
    ) -> LogResult<()> {
        let unavailable = |error: KafkaError| LogError::Unavailable(error.to_string());
        let mut held = self.lock();
        if held.as_ref().is_none_or(Producer::is_fatal) {
            // What was on its way is given up; its publishers send it again.
            let was_fatal = held.take().is_some();
            *held = Some(self.build().map_err(unavailable)?);
            if was_fatal {
                self.rebuilt.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("the producer was given up for good and is built again");
            }
        }
        let Some(held) = held.as_ref() else {
            return Err(LogError::Unavailable("there is no producer".to_owned()));
        };
        let key = flight_key(topic, bytes);
        if waiter.is_none() && !held.flight.keys().insert(key) {
            return Ok(());
        }
        let ticket = Box::new(Ticket { key, waiter });
        let record: BaseRecord<'_, (), [u8], Box<Ticket>> =
            BaseRecord::with_opaque_to(topic, ticket)
                .partition(PARTITION)
                .payload(bytes);
        let Err((error, record)) = held.producer.send(record) else {
            return Ok(());
        };
        held.flight.keys().remove(&record.delivery_opaque.key);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => Err(LogError::Full),
            Some(RDKafkaErrorCode::Fatal) => {
                held.flight.fatal.store(true, Ordering::Release);
                Err(unavailable(error))
            }
            _ => Err(unavailable(error)),
        }
    }

    fn build(&self) -> Result<Producer, KafkaError> {
        let flight = Arc::new(Flight::default());
        let carrier = Carrier {
            ear: Ear::new(),
            flight: Arc::clone(&flight),
        };
        let producer = self.config.create_with_context(carrier)?;
        Ok(Producer { producer, flight })
    }

    // A panic ends the process; until it has, the producer is as good as it was.
    fn lock(&self) -> MutexGuard<'_, Option<Producer>> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Producer {
    fn is_fatal(&self) -> bool {
        self.flight.fatal.load(Ordering::Acquire) || self.producer.client().fatal_error().is_some()
    }
}

fn flight_key(topic: &str, bytes: &[u8]) -> FlightKey {
    let mut hasher = DefaultHasher::new();
    hasher.write(topic.as_bytes());
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]
mod tests {
    use std::time::{Duration, Instant};

    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    /// Longer than anything takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_producer_that_is_given_up_for_good_is_built_again_and_sends() {
        let cluster = MockCluster::new(1).expect("librdkafka's own broker");
        cluster.create_topic("t", 1, 1).expect("a topic");
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", cluster.bootstrap_servers());
        let sender = Sender::new(&client).expect("a producer");
        let tell = |bytes: &[u8]| {
            let told = sender.send_and_tell("t", bytes).expect("room");
            told.recv_timeout(PATIENCE).expect("told in time")
        };
        assert_eq!(tell(b"first"), Ok(0));
        assert_eq!(sender.rebuilt(), 0);
        // The broker has forgotten the producer: nothing that it sends can be taken any more.
        let lost = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        cluster.request_errors(RDKafkaApiKey::Produce, &[lost]);
        assert!(tell(b"second").is_err());
        let started = Instant::now();
        // A publisher sends again until it stands.
        let offset = loop {
            assert!(started.elapsed() < PATIENCE, "in vain");
            if let Ok(told) = sender.send_and_tell("t", b"second")
                && let Ok(Ok(offset)) = told.recv_timeout(PATIENCE)
            {
                break offset;
            }
        };
        assert_eq!(offset, 1);
        assert_eq!((sender.rebuilt(), sender.in_flight()), (1, 0));
    }

    #[test]
    fn a_record_on_its_way_is_not_queued_again_and_a_delivered_one_is() {
        let cluster = MockCluster::new(1).expect("librdkafka's own broker");
        cluster.create_topic("t", 1, 1).expect("a topic");
        cluster.broker_down(1).expect("down");
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", cluster.bootstrap_servers());
        let sender = Sender::new(&client).expect("a producer");
        for _ in 0..3 {
            sender.send("t", b"again").expect("room");
            sender.send("u", b"again").expect("another topic");
        }
        assert_eq!(sender.in_flight(), 2);
        cluster.broker_up(1).expect("up");
        let started = Instant::now();
        while 0 < sender.in_flight() {
            assert!(started.elapsed() < PATIENCE, "in vain");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let told = sender.send_and_tell("t", b"again").expect("room");
        assert_eq!(
            told.recv_timeout(PATIENCE).expect("told"),
            Ok(1),
            "once before"
        );
    }
}
