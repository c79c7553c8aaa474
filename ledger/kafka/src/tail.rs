//! Reading: one consumer that is told where to begin and joins no group.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use orebook_ledger::log::{LogError, LogRecord, LogResult};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Timestamp};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::client::{Ear, PARTITION, code, is_down};
use crate::config;
use crate::watch::Watch;

/// Longest that a call waits for brokers, in milliseconds. After one wait in vain, calls do not wait until an answer came.
pub const ANSWER_WAIT_MS: u64 = 1_000;
pub(crate) const ANSWER_WAIT: Duration = Duration::from_millis(ANSWER_WAIT_MS);
/// Bytes after which a read ends, whatever number of records was asked for.
const READ_BYTES_MAX: usize = 32 << 20;

/// Where the consumer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    incarnation: u32,
    topic: String,
    next: u64,
}

/// What one look gave.
enum Look {
    Record(LogRecord),
    End,
    Nothing,
}

/// One reader's consumer.
pub(crate) struct Tail {
    consumer: BaseConsumer<Ear>,
    place: Option<Place>,
    /// Records that came while somebody waited, at most one.
    stash: VecDeque<LogRecord>,
    /// The broker said that nothing follows.
    at_end: bool,
    /// The last wait was in vain: do not wait again before an answer.
    in_vain: bool,
}

impl Tail {
    pub(crate) fn new(client: &ClientConfig) -> Result<Self, KafkaError> {
        Ok(Self {
            consumer: config::consumer(client).create_with_context(Ear::new())?,
            place: None,
            stash: VecDeque::new(),
            at_end: false,
            in_vain: false,
        })
    }

    /// See [`orebook_ledger::log::Log::read`]; offset 0 too must still be in the topic.
    pub(crate) fn read(
        &mut self,
        watch: &Watch,
        (incarnation, topic): (u32, &str),
        offset: u64,
        max: usize,
    ) -> LogResult<Vec<LogRecord>> {
        self.go_to(incarnation, topic, offset)?;
        let started = Instant::now();
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < max && bytes < READ_BYTES_MAX {
            let may_wait = records.is_empty() && !self.at_end && !self.in_vain;
            let left = ANSWER_WAIT.saturating_sub(started.elapsed());
            let patience = if may_wait { left } else { Duration::ZERO };
            match self.look(watch, patience) {
                Ok(Look::Record(record)) => {
                    bytes += record.bytes.len();
                    records.push(record);
                }
                Ok(Look::End) => break,
                Ok(Look::Nothing) if records.is_empty() && !self.at_end => {
                    if may_wait && started.elapsed() < ANSWER_WAIT {
                        continue;
                    }
                    self.in_vain = true;
                    let what = format!("no answer about {topic} from {offset} on");
                    return Err(LogError::Unavailable(what));
                }
                Ok(Look::Nothing) => break,
                Err(error) => {
                    // What stands wrong stands wrong at the next read too, which begins anew.
                    self.place = None;
                    if records.is_empty() {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        Ok(records)
    }

    /// First offset whose append time is `since` or later; none if there is no such record. Asks the broker, and waits
    /// for its answer as a read does.
    pub(crate) fn offset_at(&self, topic: &str, since: u64) -> LogResult<Option<u64>> {
        first_at(&self.consumer, topic, since, ANSWER_WAIT)
    }

    /// Waits until there may be something to read, at most `longest`.
    pub(crate) fn wait(&mut self, watch: &Watch, longest: Duration) {
        if !self.stash.is_empty() {
            return;
        }
        if self.place.is_none() {
            std::thread::park_timeout(longest);
            return;
        }
        match self.look(watch, longest) {
            Ok(Look::Record(record)) => {
                if let Some(place) = &mut self.place {
                    place.next = record.offset;
                }
                self.stash.push_back(record);
            }
            Ok(Look::End | Look::Nothing) => {}
            // The next read finds it again.
            Err(_) => self.place = None,
        }
    }

    fn go_to(&mut self, incarnation: u32, topic: &str, offset: u64) -> LogResult<()> {
        let place = Place {
            incarnation,
            topic: topic.to_owned(),
            next: offset,
        };
        if self.place.as_ref() == Some(&place) {
            return Ok(());
        }
        let unavailable = |error: KafkaError| LogError::Unavailable(error.to_string());
        let end = LogError::OutOfRange { offset, end: 0 };
        let from = Offset::Offset(i64::try_from(offset).map_err(|_| end)?);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, PARTITION, from)
            .map_err(unavailable)?;
        self.place = None;
        self.consumer.assign(&list).map_err(unavailable)?;
        self.stash.clear();
        self.at_end = false;
        self.place = Some(place);
        Ok(())
    }

    fn look(&mut self, watch: &Watch, patience: Duration) -> LogResult<Look> {
        let Some(place) = &self.place else {
            return Ok(Look::Nothing);
        };
        if let Some(record) = self.stash.pop_front() {
            return Ok(self.take(record));
        }
        let record = match self.consumer.poll(patience) {
            None => return Ok(Look::Nothing),
            Some(Ok(message)) => record_of(place, &message),
            Some(Err(error)) => return self.heed(watch, &error),
        };
        match record? {
            Some(record) => Ok(self.take(record)),
            None => Ok(Look::Nothing),
        }
    }

    fn take(&mut self, record: LogRecord) -> Look {
        if let Some(place) = &mut self.place {
            place.next = record.offset + 1;
        }
        self.at_end = false;
        self.in_vain = false;
        Look::Record(record)
    }

    fn heed(&mut self, watch: &Watch, error: &KafkaError) -> LogResult<Look> {
        let Some(place) = self.place.clone() else {
            return Ok(Look::Nothing);
        };
        let unavailable = || LogError::Unavailable(format!("{}: {error}", place.topic));
        if matches!(error, KafkaError::PartitionEOF(_)) {
            self.at_end = true;
            self.in_vain = false;
            return Ok(Look::End);
        }
        if is_down(error) {
            // One broker of several may be gone; librdkafka goes on by itself.
            self.in_vain |= code(error) == Some(RDKafkaErrorCode::AllBrokersDown);
            return Ok(Look::Nothing);
        }
        match code(error) {
            Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
                let said = self.out_of_range(&place);
                // A beginning that was deleted says nothing of the end.
                if !matches!(said, LogError::Trimmed { .. }) {
                    watch.suspect(place.incarnation);
                }
                Err(said)
            }
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            ) => {
                watch.suspect(place.incarnation);
                if watch.lists(place.incarnation) {
                    Err(unavailable())
                } else {
                    Err(LogError::Gone(place.incarnation))
                }
            }
            // Among them a log that was truncated below our place (KIP-320).
            _ => {
                watch.suspect(place.incarnation);
                Err(unavailable())
            }
        }
    }

    /// On which side of the log the place lies.
    fn out_of_range(&self, place: &Place) -> LogError {
        let offset = place.next;
        let marks = self
            .consumer
            .fetch_watermarks(&place.topic, PARTITION, ANSWER_WAIT);
        let (first, end) = match marks {
            Ok((first, end)) => (u64::try_from(first), u64::try_from(end)),
            Err(error) => return LogError::Unavailable(format!("{}: {error}", place.topic)),
        };
        match (first, end) {
            (Ok(first), _) if offset < first => LogError::Trimmed { offset, first },
            (_, Ok(end)) if end < offset => LogError::OutOfRange { offset, end },
            _ => LogError::Unavailable(format!("{}: its ends moved", place.topic)),
        }
    }
}

/// First offset of a topic whose append time is `since` or later; none if there is no such record.
pub(crate) fn first_at(
    consumer: &BaseConsumer<Ear>,
    topic: &str,
    since: u64,
    patience: Duration,
) -> LogResult<Option<u64>> {
    let unavailable = |error: KafkaError| LogError::Unavailable(error.to_string());
    let since = i64::try_from(since).unwrap_or(i64::MAX);
    let mut asked = TopicPartitionList::new();
    asked
        .add_partition_offset(topic, PARTITION, Offset::Offset(since))
        .map_err(unavailable)?;
    let found = consumer
        .offsets_for_times(asked, patience)
        .map_err(unavailable)?;
    let Some(partition) = found.find_partition(topic, PARTITION) else {
        return Ok(None);
    };
    partition.error().map_err(unavailable)?;
    Ok(match partition.offset() {
        Offset::Offset(offset) => u64::try_from(offset).ok(),
        _ => None,
    })
}

/// A message as a record; none if it is not from the place asked for.
fn record_of(place: &Place, message: &BorrowedMessage<'_>) -> LogResult<Option<LogRecord>> {
    let offset = u64::try_from(message.offset()).unwrap_or(0);
    if message.topic() != place.topic || offset < place.next {
        return Ok(None);
    }
    let Some(append_time) = append_time(message) else {
        let what = format!(
            "{} offset {offset} has no append time: message.timestamp.type is not LogAppendTime; \
             see docs/runbooks/topic-settings.md",
            place.topic
        );
        return Err(LogError::Unavailable(what));
    };
    Ok(Some(LogRecord {
        offset,
        append_time,
        // A record without a value is an empty one, which admission finds malformed.
        bytes: message.payload().unwrap_or_default().to_vec(),
    }))
}

/// When the broker took a message, milliseconds since 1970; none if the topic keeps the sender's time.
pub(crate) fn append_time(message: &BorrowedMessage<'_>) -> Option<u64> {
    match message.timestamp() {
        Timestamp::LogAppendTime(time) => u64::try_from(time).ok(),
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
    }
}
