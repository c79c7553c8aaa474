//! What an operator decides, what librdkafka is told, and the limit of each buffer.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rdkafka::ClientConfig;
use serde::Deserialize;

/// Most brokers to begin with; the others are learned from these.
pub const BROKERS_MAX: usize = 16;
/// Longest topic prefix.
pub const PREFIX_BYTES_MAX: usize = 40;
/// Longest that records which are final and archived stay in the log.
pub const RETENTION_DAYS_MAX: u16 = 365;
/// Largest security file.
const SECURITY_BYTES_MAX: u64 = 65_536;
/// Most replicas of a topic.
const REPLICATION_MAX: u16 = 9;

/// Records on their way to the brokers, of all publishers of the process; beyond it `send` says `Full`. A publisher has
/// at most 32 frames on their way.
pub(crate) const QUEUE_RECORDS_MAX: usize = 1_024;
/// KiB of records on their way; beyond it `send` says `Full`.
const QUEUE_KIB_MAX: usize = 65_536;
/// Largest record, and largest batch of them, before compression. A frame has at most 100 KiB.
pub(crate) const RECORD_BYTES_MAX: usize = 1_000_000;
/// KiB that a reader fetches ahead; beyond it librdkafka asks for nothing.
const AHEAD_KIB_MAX: usize = 16_384;
/// Most bytes that a broker gives at once.
const FETCH_BYTES_MAX: usize = 8 << 20;
/// How long records wait for company before they leave, in milliseconds.
const LINGER_MS: usize = 5;
/// After so long without an answer a connection is given up, in milliseconds: a frozen broker says nothing at all.
pub(crate) const REQUEST_MS: usize = 10_000;
/// Longest pause between two tries to connect, in milliseconds.
const RECONNECT_MS_MAX: usize = 1_000;
/// How often librdkafka tells the leader epoch, in milliseconds.
const STATISTICS_MS: usize = 500;

/// Keys that a security file may have; everything else is decided here.
const SECURITY_KEYS: [&str; 14] = [
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    "sasl.password",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.token.endpoint.url",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
    "ssl.cipher.suites",
];

/// The `[kafka]` part of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// `host:port` of brokers to begin with, 1 to [`BROKERS_MAX`].
    pub brokers: Vec<String>,
    /// A file of `key = value` lines for librdkafka's `security.protocol`, `sasl.*` and `ssl.*` settings; nobody but its
    /// owner and group may read it. None: plain connections.
    #[serde(default)]
    pub security_file: Option<PathBuf>,
    /// How topics begin: lower-case letters, digits and `-`, 1 to [`PREFIX_BYTES_MAX`].
    #[serde(default = "default_prefix")]
    pub topic_prefix: String,
    /// Replicas of a topic, 1 to 9. Below 3 is for development.
    #[serde(default = "default_replication")]
    pub replication: u16,
    /// Replicas that must have a record before it is acknowledged, 1 to `replication`. Below 2 is for development.
    #[serde(default = "default_min_isr")]
    pub min_isr: u16,
    /// How many days a record that is final and archived stays in the log, 1 to [`RETENTION_DAYS_MAX`]; 0, for development, needs
    /// `i_know`.
    #[serde(default = "default_retention_days")]
    pub retention_days: u16,
    /// Lets through what the preflight refuses for production only; never what may lose or change records.
    #[serde(default)]
    pub i_know: bool,
}

fn default_prefix() -> String {
    "orebook".to_owned()
}
const fn default_replication() -> u16 {
    3
}
const fn default_min_isr() -> u16 {
    2
}
const fn default_retention_days() -> u16 {
    7
}

/// What is wrong with a configuration. No variant holds a value of the security file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting is outside of its limits.
    #[error("kafka.{setting}: {rule}")]
    Limit {
        /// Which.
        setting: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// The security file cannot be read.
    #[error("security file {path}: {cause}")]
    SecurityFile {
        /// Which.
        path: String,
        /// Why, in the system's words.
        cause: std::io::Error,
    },
    /// Others may read the security file.
    #[error("security file {0}: everybody may read it; chmod 640 it")]
    SecurityOpen(String),
    /// A line of the security file is not `key = value`, or its key is not one that may be set there.
    #[error("security file {path}, line {line}: not a known key = value")]
    SecurityLine {
        /// Which file.
        path: String,
        /// From 1.
        line: usize,
    },
}

impl KafkaConfig {
    /// For development: one broker, one replica.
    #[must_use]
    pub fn development(brokers: Vec<String>) -> Self {
        Self {
            brokers,
            security_file: None,
            topic_prefix: default_prefix(),
            replication: 1,
            min_isr: 1,
            retention_days: default_retention_days(),
            i_know: true,
        }
    }

    /// Whether each setting is within its limits; asks no broker.
    ///
    /// # Errors
    /// [`ConfigError::Limit`], the first found.
    pub fn check(&self) -> Result<(), ConfigError> {
        let is_broker = |text: &String| {
            text.rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
                && !text.contains([',', ' ', '/'])
        };
        let is_prefix = |text: &str| {
            (1..=PREFIX_BYTES_MAX).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let rules = [
            (
                "brokers",
                (1..=BROKERS_MAX).contains(&self.brokers.len())
                    && self.brokers.iter().all(is_broker),
                "1 to 16 of host:port",
            ),
            (
                "topic_prefix",
                is_prefix(&self.topic_prefix),
                "1 to 40 lower-case letters, digits and hyphens",
            ),
            (
                "replication",
                (1..=REPLICATION_MAX).contains(&self.replication),
                "1 to 9",
            ),
            (
                "min_isr",
                (1..=self.replication).contains(&self.min_isr),
                "1 to replication",
            ),
            (
                "retention_days",
                (u16::from(!self.i_know)..=RETENTION_DAYS_MAX).contains(&self.retention_days),
                "1 to 365, or 0 with i_know",
            ),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((setting, _, rule)) => Err(ConfigError::Limit { setting, rule }),
            None => Ok(()),
        }
    }

    /// What every client of librdkafka is told.
    pub(crate) fn client(&self, security: &Security) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", "orebook")
            .set("socket.timeout.ms", REQUEST_MS.to_string())
            .set("reconnect.backoff.max.ms", RECONNECT_MS_MAX.to_string())
            .set("allow.auto.create.topics", "false");
        for (key, value) in &security.settings {
            client.set(*key, value);
        }
        client
    }
}

/// What a producer is told besides.
pub(crate) fn producer(client: &ClientConfig) -> ClientConfig {
    let mut producer = client.clone();
    // This one is the consumer's.
    producer.remove("allow.auto.create.topics");
    producer
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "zstd")
        // The spool decides how long a frame is sent, not librdkafka.
        .set("message.timeout.ms", "0")
        .set("request.timeout.ms", REQUEST_MS.to_string())
        .set("linger.ms", LINGER_MS.to_string())
        .set("message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set(
            "queue.buffering.max.messages",
            QUEUE_RECORDS_MAX.to_string(),
        )
        .set("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string());
    producer
}

/// What a consumer is told besides. It joins no group and stores no offset; the name satisfies librdkafka.
pub(crate) fn consumer(client: &ClientConfig) -> ClientConfig {
    let mut consumer = client.clone();
    consumer
        .set("group.id", "orebook-assigns-by-itself")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        // Nobody of ours uses transactions: the other level could only wait for somebody else's.
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", AHEAD_KIB_MAX.to_string())
        .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
        .set("fetch.queue.backoff.ms", "20");
    consumer
}

/// What the consumer that watches is told besides: it reads one record at a time, and hears of leaders.
pub(crate) fn watcher(client: &ClientConfig) -> ClientConfig {
    let mut watcher = consumer(client);
    watcher
        .set("fetch.message.max.bytes", "1024")
        .set("queued.max.messages.kbytes", "1024")
        .set("statistics.interval.ms", STATISTICS_MS.to_string());
    watcher
}

/// Settings of the security file. Shown by their keys only.
#[derive(Clone, Default)]
pub struct Security {
    settings: Vec<(&'static str, String)>,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.settings.iter().map(|(key, _)| key))
            .finish()
    }
}

impl Security {
    /// Reads the file that a configuration names; plain connections if it names none.
    ///
    /// # Errors
    /// [`ConfigError`] about the file, never with a value of it.
    pub fn load(config: &KafkaConfig) -> Result<Self, ConfigError> {
        config
            .security_file
            .as_deref()
            .map_or_else(|| Ok(Self::default()), Self::read)
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let failed = |cause| ConfigError::SecurityFile {
            path: shown.clone(),
            cause,
        };
        let file = fs::File::open(path).map_err(failed)?;
        if is_open_to_others(&file.metadata().map_err(failed)?) {
            return Err(ConfigError::SecurityOpen(shown));
        }
        let mut text = String::new();
        file.take(SECURITY_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(failed)?;
        let mut settings = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let setting = line.split_once('=').and_then(|(key, value)| {
                let known = SECURITY_KEYS.iter().find(|known| **known == key.trim())?;
                Some((*known, value.trim().to_owned()))
            });
            settings.push(setting.ok_or_else(|| ConfigError::SecurityLine {
                path: shown.clone(),
                line: index + 1,
            })?);
        }
        Ok(Self { settings })
    }
}

#[cfg(unix)]
fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o007 != 0
}

#[cfg(not(unix))]
const fn is_open_to_others(_: &fs::Metadata) -> bool {
    false
}
