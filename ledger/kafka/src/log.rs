//! The trait `Log` over Kafka.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orebook_ledger::log::{Log, LogError, LogRecord, LogResult};
use orebook_schema::LedgerId;
use orebook_schema::frame::IncarnationOpened;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::client::Ear;
use crate::config::{ConfigError, KafkaConfig, RECORD_BYTES_MAX, Security};
use crate::preflight::{Inspector, Preflight, refusal};
use crate::sender::Sender;
use crate::tail::Tail;
use crate::topics::Topics;
use crate::trim;
use crate::watch::Watch;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Why a log cannot be made. Brokers that are away are no reason: a gateway starts without them.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Librdkafka refuses a setting, or the system has no thread left.
    #[error("librdkafka: {0}")]
    Client(&'static str),
}

impl OpenError {
    // Librdkafka repeats values in its messages, and a value may be a secret: only its kind is told.
    pub(crate) fn client(error: &KafkaError) -> Self {
        Self::Client(match error {
            KafkaError::ClientConfig(..) => {
                "a setting of the security file is refused: unknown, of the wrong form, or not built in"
            }
            _ => {
                "a client cannot be made: a file that the security file names cannot be read, or no thread is left"
            }
        })
    }
}

/// What the handles of one process share.
struct Hub {
    client: ClientConfig,
    topics: Topics,
    sender: Sender,
    inspector: Arc<Inspector>,
    watch: Watch,
    /// The opening record of a trimmed incarnation, once it was looked up.
    kept: Mutex<Option<(u32, LogRecord)>>,
}

/// A ledger's log over Kafka. Each reader has a handle of its own, see [`KafkaLog::another`]; sending is shared.
pub struct KafkaLog {
    hub: Arc<Hub>,
    tail: Mutex<Tail>,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog")
            .field("topics", &self.hub.topics)
            .finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// The log of a ledger of a coin (SLIP-44). Asks no broker; a thread begins to.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(config: &KafkaConfig, coin: u32, ledger: LedgerId) -> Result<Self, OpenError> {
        config.check()?;
        let client = config.client(&Security::load(config)?);
        let topics = Topics::new(&config.topic_prefix, coin, ledger);
        let failed = |error| OpenError::client(&error);
        let inspector = Arc::new(Inspector {
            admin: client.create_with_context(Ear::new()).map_err(failed)?,
            config: config.clone(),
            topics: topics.clone(),
        });
        let watch = Watch::start(&client, topics.clone(), Arc::clone(&inspector));
        let hub = Hub {
            sender: Sender::new(&client).map_err(failed)?,
            watch: watch.map_err(failed)?,
            inspector,
            topics,
            client,
            kept: Mutex::new(None),
        };
        let tail = Tail::new(&hub.client).map_err(failed)?;
        Ok(Self {
            hub: Arc::new(hub),
            tail: Mutex::new(tail),
        })
    }

    /// Another handle on the same log, with a place of its own to read at.
    ///
    /// # Errors
    /// [`OpenError::Client`].
    pub fn another(&self) -> Result<Self, OpenError> {
        let tail = Tail::new(&self.hub.client).map_err(|error| OpenError::client(&error))?;
        Ok(Self {
            hub: Arc::clone(&self.hub),
            tail: Mutex::new(tail),
        })
    }

    /// Waits until there may be a record to read where this handle read last, at most `longest`.
    pub fn wait(&self, longest: Duration) {
        self.tail().wait(&self.hub.watch, longest);
    }

    /// Reads the brokers' and topics' settings now, up to half a minute long: before a role begins to use the log. A topic's
    /// settings are read again every ten seconds in the background; if one is refused, reading and sending stop until it is
    /// mended. The activity topic is read here only: what is wrong with it stops nobody.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if no broker answers.
    pub fn preflight(&self) -> LogResult<Preflight> {
        self.hub.inspector.inspect_all()
    }

    /// Deletes records of the newest incarnation that stand below `below`, were appended more than the configured days
    /// before `now` (milliseconds since 1970), and records of older incarnations that are as old. The caller says by `below`
    /// that it holds what stands there as final, in synced segments. Returns the first offset left.
    ///
    /// # Errors
    /// [`LogError::Unavailable`], [`LogError::Gone`] if the incarnation is not the newest.
    pub fn trim(&self, incarnation: u32, below: u64, now: u64) -> LogResult<u64> {
        let hub = &self.hub;
        if hub.watch.newest()? != Some(incarnation) {
            return Err(LogError::Gone(incarnation));
        }
        let days = u64::from(hub.inspector.config.retention_days);
        let since = now.saturating_sub(days * DAY_MS);
        let admin = &hub.inspector.admin;
        for older in hub.watch.listed_below(incarnation) {
            // The newest opened above what it shows as final; the rest is in the newest, or in spools.
            let topic = hub.topics.incarnation(older);
            let old = trim::find_old(admin, &hub.client, &topic, u64::MAX, since)?;
            if old.first < old.until {
                trim::delete_below(admin, &topic, old.until)?;
            }
        }
        let topic = hub.topics.incarnation(incarnation);
        let old = trim::find_old(admin, &hub.client, &topic, below, since)?;
        if old.until <= old.first {
            return Ok(old.first);
        }
        if old.first == 0 {
            self.keep_opening(incarnation)?;
        }
        trim::delete_below(admin, &topic, old.until)
    }

    /// How often librdkafka's producer was given up for good and built again, for metrics.
    #[must_use]
    pub fn producers_rebuilt(&self) -> u64 {
        self.hub.sender.rebuilt()
    }

    /// Records on their way to the brokers, for metrics.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.hub.sender.in_flight()
    }

    /// Sees to it that the opening record outlives the topic's beginning.
    fn keep_opening(&self, incarnation: u32) -> LogResult<()> {
        let hub = &self.hub;
        let opening = self.tail_read(incarnation, 0, 1)?.into_iter().next();
        let Some(opening) = opening else {
            let what = format!("incarnation {incarnation} has no opening record");
            return Err(LogError::Unavailable(what));
        };
        let openings = hub.topics.openings();
        let is_new = trim::create_topic(&hub.inspector.admin, &hub.inspector.config, &openings)?;
        if !is_new && trim::kept_opening(&hub.client, &openings, incarnation)?.is_some() {
            return Ok(());
        }
        trim::send_and_wait(&hub.sender, &openings, &opening.bytes).map(drop)
    }

    /// The opening record of an incarnation whose topic has lost its beginning.
    fn kept_opening(&self, incarnation: u32) -> LogResult<Option<LogRecord>> {
        let hub = &self.hub;
        let mut kept = hub.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, opening)) = kept.as_ref()
            && *number == incarnation
        {
            return Ok(Some(opening.clone()));
        }
        let found = trim::kept_opening(&hub.client, &hub.topics.openings(), incarnation)?;
        *kept = found.clone().map(|opening| (incarnation, opening));
        Ok(found)
    }

    fn tail_read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        let topic = self.hub.topics.incarnation(incarnation);
        self.tail()
            .read(&self.hub.watch, (incarnation, &topic), offset, max)
    }

    // A panic ends the process; until it has, the consumer is as good as it was.
    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for KafkaLog {
    fn newest(&self) -> LogResult<Option<u32>> {
        self.hub.watch.newest()
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        self.hub.watch.changes(incarnation)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        let hub = &self.hub;
        hub.watch.check_settings()?;
        match self.tail_read(incarnation, offset, max) {
            Err(LogError::Trimmed { offset: 0, first }) => {
                let kept = self.kept_opening(incarnation)?;
                kept.map_or(Err(LogError::Trimmed { offset: 0, first }), |opening| {
                    Ok(vec![opening])
                })
            }
            Ok(records)
                if offset == 0 && records.is_empty() && hub.watch.may_be_opening(incarnation) =>
            {
                let what = format!("incarnation {incarnation} is being opened");
                Err(LogError::Unavailable(what))
            }
            other => other,
        }
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        let topic = self.hub.topics.incarnation(incarnation);
        let found = self.tail().offset_at(&topic, append_time)?;
        Ok(found.map(|offset| offset.max(1)))
    }

    fn send(&mut self, incarnation: u32, _now: u64, bytes: &[u8]) -> LogResult<()> {
        if RECORD_BYTES_MAX <= bytes.len() {
            let what = format!("a record of {} bytes is over the limit", bytes.len());
            return Err(LogError::Unavailable(what));
        }
        self.hub.watch.check_settings()?;
        let topic = self.hub.topics.incarnation(incarnation);
        self.hub.sender.send(&topic, bytes)
    }

    fn open_incarnation(&mut self, _now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        let hub = &self.hub;
        let inspector = &hub.inspector;
        if let Some(refused) = refusal(&inspector.inspect()?) {
            return Err(LogError::Unavailable(refused));
        }
        let topic = hub.topics.incarnation(opened.incarnation);
        // Creating the topic is the compare and set: who made it opens the incarnation.
        if !trim::create_topic(&inspector.admin, &inspector.config, &topic)? {
            return Err(LogError::Exists(opened.incarnation));
        }
        trim::send_and_wait(&hub.sender, &topic, &opened.to_bytes())?;
        hub.watch.opened(opened.incarnation);
        Ok(())
    }
}
