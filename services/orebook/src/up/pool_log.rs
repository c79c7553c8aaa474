//! The log of a process: embedded, or topics of Kafka.

use std::time::Duration;

use orebook_archiver::{LogReader, SharedLog, WaitLog};
#[cfg(feature = "kafka")]
use orebook_kafka::KafkaLog;
use orebook_ledger::log::{Log, LogRecord, LogResult};
use orebook_schema::frame::IncarnationOpened;

use crate::Failure;

/// The log of a process.
#[derive(Debug)]
pub(crate) enum PoolLog {
    /// In this process, for every role in it.
    Embedded(SharedLog),
    /// Over brokers.
    #[cfg(feature = "kafka")]
    Kafka(KafkaLog),
}

impl PoolLog {
    /// Another handle on the same log, for another thread.
    pub(crate) fn another(&self) -> Result<Self, Failure> {
        match self {
            Self::Embedded(log) => Ok(Self::Embedded(log.clone())),
            #[cfg(feature = "kafka")]
            Self::Kafka(log) => log
                .another()
                .map(Self::Kafka)
                .map_err(|error| Failure::new(format!("kafka: {error}"))),
        }
    }

    /// The embedded log wants to know what each reader has taken; Kafka forgets by rules of its own.
    pub(crate) fn reader(&self) -> Option<LogReader> {
        match self {
            Self::Embedded(log) => Some(log.reader()),
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => None,
        }
    }

    /// Appends what is known of the log to `/metrics`, by name, kind and help.
    pub(crate) fn figures(&self) -> Vec<(&'static str, &'static str, &'static str, u64)> {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        match self {
            Self::Embedded(log) => vec![(
                "orebook_log_held_records",
                "gauge",
                "Records of the embedded log that not every reader has taken",
                wide(log.held_records()),
            )],
            #[cfg(feature = "kafka")]
            Self::Kafka(log) => vec![
                (
                    "orebook_kafka_in_flight",
                    "gauge",
                    "Records on their way to the brokers",
                    wide(log.in_flight()),
                ),
                (
                    "orebook_kafka_producers_rebuilt",
                    "counter",
                    "Producers that were given up for good and built again",
                    log.producers_rebuilt(),
                ),
            ],
        }
    }
}

impl WaitLog for PoolLog {
    fn wait(&self, seen: u64, longest: Duration) -> u64 {
        match self {
            Self::Embedded(log) => log.wait(seen, longest),
            #[cfg(feature = "kafka")]
            Self::Kafka(log) => {
                log.wait(longest);
                seen
            }
        }
    }
}

macro_rules! either {
    ($self:ident, $log:ident => $call:expr) => {
        match $self {
            Self::Embedded($log) => $call,
            #[cfg(feature = "kafka")]
            Self::Kafka($log) => $call,
        }
    };
}

impl Log for PoolLog {
    fn newest(&self) -> LogResult<Option<u32>> {
        either!(self, log => log.newest())
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        either!(self, log => log.generation(incarnation))
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        either!(self, log => log.read(incarnation, offset, max))
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        either!(self, log => log.offset_at(incarnation, append_time))
    }

    fn send(&mut self, incarnation: u32, now: u64, bytes: &[u8]) -> LogResult<()> {
        either!(self, log => log.send(incarnation, now, bytes))
    }

    fn open_incarnation(&mut self, now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        either!(self, log => log.open_incarnation(now, opened))
    }
}
