//! What every client of librdkafka here has in common: where its words go, and how an answer is awaited.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use serde::Deserialize;

/// The only partition of every topic.
pub(crate) const PARTITION: i32 = 0;

/// No leader epoch is known yet.
const NO_EPOCH: i64 = -1;

/// Takes librdkafka's log lines, errors and statistics.
#[derive(Debug)]
pub(crate) struct Ear {
    /// The topic whose leader epoch is looked for in statistics.
    topic: Mutex<String>,
    epoch: AtomicI64,
}

impl Ear {
    pub(crate) const fn new() -> Self {
        Self {
            topic: Mutex::new(String::new()),
            epoch: AtomicI64::new(NO_EPOCH),
        }
    }

    /// From now on the leader epoch of this topic is heard.
    pub(crate) fn listen_for(&self, topic: &str) {
        let mut heard = self.topic.lock().unwrap_or_else(PoisonError::into_inner);
        topic.clone_into(&mut heard);
        self.epoch.store(NO_EPOCH, Ordering::Release);
    }

    /// Leader epoch of the topic's partition, as of the last statistics.
    pub(crate) fn epoch(&self) -> Option<i64> {
        let epoch = self.epoch.load(Ordering::Acquire);
        (NO_EPOCH < epoch).then_some(epoch)
    }
}

/// The part of librdkafka's statistics that is used (STATISTICS.md of librdkafka).
#[derive(Deserialize)]
struct Statistics {
    topics: std::collections::BTreeMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: std::collections::BTreeMap<String, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    leader_epoch: i64,
}

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", facility, "{message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else {
            return;
        };
        let topic = self.topic.lock().unwrap_or_else(PoisonError::into_inner);
        let partition = statistics
            .topics
            .get(topic.as_str())
            .and_then(|topic| topic.partitions.get("0"));
        if let Some(partition) = partition {
            self.epoch.store(partition.leader_epoch, Ordering::Release);
        }
    }
}

impl ConsumerContext for Ear {}

/// Librdkafka's code of an error, if it has one.
pub(crate) fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    error.rdkafka_error_code()
}

/// Whether an error says that the brokers cannot be reached, so that waiting for an answer is in vain.
pub(crate) fn is_down(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::TimedOutQueue
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SSL
        )
    )
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future of librdkafka's admin client, which its own thread completes within its request timeout.
pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
