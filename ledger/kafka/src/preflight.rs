//! The preflight: what brokers and topics are set to, and what of it is refused, by name and with the fix.

use std::fmt;
use std::time::Duration;

use orebook_ledger::log::{LogError, LogResult};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::error::KafkaError;
use rdkafka::metadata::{Metadata, MetadataTopic};

use crate::client::{Ear, wait_for};
use crate::config::{KafkaConfig, RECORD_BYTES_MAX};
use crate::topics::Topics;

/// How long brokers may take for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Replicas below which one lost disk loses records.
const REPLICAS_MIN: usize = 3;
/// Acknowledging replicas below which one lost disk loses acknowledged records.
const ISR_MIN: u32 = 2;
/// Oldest protocol version, (major, minor), that was thought about; tried is 4.3.
const VERSION_MIN: (u32, u32) = (3, 3);
/// What cannot be read is refused under this name.
const UNREADABLE: &str = "not readable";

/// A dangerous setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name, as Kafka spells it.
    pub setting: &'static str,
    /// What it belongs to: a topic, a broker, the cluster, our configuration.
    pub place: String,
    /// What it is.
    pub found: String,
    /// What it must be, and why.
    pub wanted: &'static str,
    /// What to do.
    pub fix: String,
    /// Whether it is dangerous in production only: the configuration's `i_know` lets it through.
    pub for_development: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            place,
            found,
            wanted,
            fix,
            ..
        } = self;
        write!(f, "{place}: {setting} is {found}; {wanted}. Fix: {fix}")
    }
}

/// What a preflight found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preflight {
    /// With any of these the log is not used.
    pub refused: Vec<Finding>,
    /// Dangerous in production, let through by `i_know`.
    pub let_through: Vec<Finding>,
}

/// What is refused, in words; none if nothing is.
pub(crate) fn refusal(preflight: &Preflight) -> Option<String> {
    let found: Vec<String> = preflight.refused.iter().map(Finding::to_string).collect();
    (!found.is_empty()).then(|| {
        format!(
            "Kafka's settings are refused: {}; see docs/runbooks/topic-settings.md",
            found.join(" | ")
        )
    })
}

fn unavailable(error: &KafkaError) -> LogError {
    LogError::Unavailable(error.to_string())
}

/// Settings that we may not read.
fn unreadable(place: String) -> Finding {
    Finding {
        setting: "settings",
        place,
        found: UNREADABLE.to_owned(),
        wanted: "they must be known before they are trusted",
        fix: "allow DescribeConfigs to this user".to_owned(),
        for_development: false,
    }
}

/// Reads settings.
pub(crate) struct Inspector {
    pub(crate) admin: AdminClient<Ear>,
    pub(crate) config: KafkaConfig,
    pub(crate) topics: Topics,
}

impl Inspector {
    /// Reads everything: the cluster, the first broker, and the topics.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if no broker answers.
    pub(crate) fn inspect(&self) -> LogResult<Preflight> {
        let metadata = self.metadata()?;
        let mut findings = Vec::new();
        self.judge_cluster(&metadata, &mut findings);
        self.judge_topics(&metadata, &mut findings)?;
        if let Some(broker) = metadata.brokers().first() {
            let place = format!("broker {}", broker.id());
            match self.settings(&ResourceSpecifier::Broker(broker.id()))? {
                Some(settings) => judge_broker(&place, &settings, &mut findings),
                None => findings.push(unreadable(place)),
            }
        }
        Ok(self.sort(findings))
    }

    /// The same, and the activity log's topic, if there is one.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if no broker answers.
    pub(crate) fn inspect_all(&self) -> LogResult<Preflight> {
        let mut preflight = self.inspect()?;
        let name = self.topics.activity();
        let metadata = self.metadata()?;
        let mut topics = metadata.topics().iter();
        let Some(topic) = topics.find(|topic| topic.name() == name) else {
            return Ok(preflight);
        };
        let place = format!("topic {name}");
        let mut findings = Vec::new();
        match self.settings(&ResourceSpecifier::Topic(&name))? {
            Some(settings) => judge_activity(&place, topic, &settings, &mut findings),
            None => findings.push(unreadable(place)),
        }
        let found = self.sort(findings);
        preflight.refused.extend(found.refused);
        preflight.let_through.extend(found.let_through);
        Ok(preflight)
    }

    /// Reads the topics' settings only: what may go wrong while a log is used. A broker that is away is no reason to stop.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] if no broker answers.
    pub(crate) fn inspect_topics(&self) -> LogResult<Preflight> {
        let mut findings = Vec::new();
        self.judge_topics(&self.metadata()?, &mut findings)?;
        Ok(self.sort(findings))
    }

    fn metadata(&self) -> LogResult<Metadata> {
        let metadata = self.admin.inner().fetch_metadata(None, PATIENCE);
        metadata.map_err(|error| unavailable(&error))
    }

    /// What a topic or broker is set to; none if we may not know.
    fn settings(&self, of: &ResourceSpecifier<'_>) -> LogResult<Option<ConfigResource>> {
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let answered = wait_for(self.admin.describe_configs([of], &options));
        let answer = answered.map_err(|error| unavailable(&error))?.pop();
        Ok(answer.and_then(Result::ok))
    }

    fn sort(&self, findings: Vec<Finding>) -> Preflight {
        let pass = |finding: &Finding| finding.for_development && self.config.i_know;
        let (let_through, refused) = findings.into_iter().partition(pass);
        Preflight {
            refused,
            let_through,
        }
    }

    /// The newest incarnation's topic, and that of the opening records.
    fn judge_topics(&self, metadata: &Metadata, findings: &mut Vec<Finding>) -> LogResult<()> {
        let openings = self.topics.openings();
        let topics = metadata.topics().iter();
        let newest = topics
            .clone()
            .filter_map(|topic| Some((self.topics.number(topic.name())?, topic)))
            .max_by_key(|(number, _)| *number);
        let kept = topics.clone().find(|topic| topic.name() == openings);
        for topic in newest.map(|(_, topic)| topic).into_iter().chain(kept) {
            let place = format!("topic {}", topic.name());
            match self.settings(&ResourceSpecifier::Topic(topic.name()))? {
                Some(settings) => judge_topic(&place, topic, &settings, findings),
                None => findings.push(unreadable(place)),
            }
        }
        Ok(())
    }

    fn judge_cluster(&self, metadata: &Metadata, findings: &mut Vec<Finding>) {
        let config = &self.config;
        let brokers = metadata.brokers().len();
        if brokers < usize::from(config.replication) {
            findings.push(Finding {
                setting: "brokers",
                place: "cluster".to_owned(),
                found: brokers.to_string(),
                wanted: "there must be one for each replica",
                fix: format!("start {} brokers", config.replication),
                for_development: false,
            });
        }
        if usize::from(config.replication) < REPLICAS_MIN {
            findings.push(Finding {
                setting: "replication",
                place: "configuration".to_owned(),
                found: config.replication.to_string(),
                wanted: "3 or more: one lost disk must not lose what is final",
                fix: "replication = 3".to_owned(),
                for_development: true,
            });
        }
        if u32::from(config.min_isr) < ISR_MIN {
            findings.push(Finding {
                setting: "min_isr",
                place: "configuration".to_owned(),
                found: config.min_isr.to_string(),
                wanted: "2 or more: an acknowledged record must be on two disks",
                fix: "min_isr = 2".to_owned(),
                for_development: true,
            });
        }
    }
}

fn judge_broker(place: &str, settings: &ConfigResource, findings: &mut Vec<Finding>) {
    let value = |name: &str| settings.get(name).and_then(|entry| entry.value.as_deref());
    if value("auto.create.topics.enable") != Some("false") {
        findings.push(Finding {
            setting: "auto.create.topics.enable",
            place: place.to_owned(),
            found: value("auto.create.topics.enable").unwrap_or(UNREADABLE).to_owned(),
            wanted: "false: creating a topic opens an incarnation, and only an archiver may do that",
            fix: "auto.create.topics.enable=false in every broker's server.properties".to_owned(),
            for_development: true,
        });
    }
    // Kafka tells clients no version. Brokers before 4.0 have this setting; later ones have none like it.
    if let Some(version) = value("inter.broker.protocol.version") {
        let mut parts = version
            .split(['.', '-', 'I'])
            .map(|part| part.parse().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found < VERSION_MIN {
            findings.push(Finding {
                setting: "inter.broker.protocol.version",
                place: place.to_owned(),
                found: version.to_owned(),
                wanted: "3.3 or later; Apache Kafka 4.3 is what is tried",
                fix: "upgrade the brokers".to_owned(),
                for_development: true,
            });
        }
    }
}

/// A setting of a topic: what it may be, why, and what it should be set to.
struct Rule {
    setting: &'static str,
    holds: fn(&str) -> bool,
    wanted: &'static str,
    set_to: &'static str,
    for_development: bool,
}

/// The activity log's topic: what is there goes by itself, and nothing else goes.
const ACTIVITY_RULES: [Rule; 3] = [
    Rule {
        setting: "cleanup.policy",
        holds: |value| value == "delete",
        wanted: "delete, alone: reports have no key to be compacted by",
        set_to: "delete",
        for_development: true,
    },
    Rule {
        setting: "retention.ms",
        holds: |value| value.parse::<u64>().is_ok_and(|ms| 0 < ms),
        wanted: "a time: reports of sessions and failed logins are not kept for ever",
        set_to: "1209600000",
        for_development: true,
    },
    Rule {
        setting: "max.message.bytes",
        holds: |value| {
            let least = orebook_schema::activity::REPORT_BYTES_MAX as u64;
            value.parse::<u64>().is_ok_and(|bytes| least <= bytes)
        },
        wanted: "65536 or more: a report must fit",
        set_to: "262144",
        for_development: true,
    },
];

const TOPIC_RULES: [Rule; 8] = [
    Rule {
        setting: "cleanup.policy",
        holds: |value| value == "delete",
        wanted: "delete, alone: compaction removes records from the middle of the ledger",
        set_to: "delete",
        for_development: false,
    },
    Rule {
        setting: "retention.ms",
        holds: |value| value == "-1",
        wanted: "-1: only an archiver deletes records, when they are final and archived",
        set_to: "-1",
        for_development: false,
    },
    Rule {
        setting: "retention.bytes",
        holds: |value| value == "-1",
        wanted: "-1: only an archiver deletes records, when they are final and archived",
        set_to: "-1",
        for_development: false,
    },
    Rule {
        setting: "message.timestamp.type",
        holds: |value| value == "LogAppendTime",
        wanted: "LogAppendTime: the ledger's time is the log's, not a sender's",
        set_to: "LogAppendTime",
        for_development: false,
    },
    Rule {
        setting: "unclean.leader.election.enable",
        holds: |value| value == "false",
        wanted: "false: a replica that lags would lead, and final records would be lost",
        set_to: "false",
        for_development: false,
    },
    Rule {
        setting: "max.message.bytes",
        holds: |value| {
            let least = RECORD_BYTES_MAX as u64;
            value.parse::<u64>().is_ok_and(|bytes| least <= bytes)
        },
        wanted: "1000000 or more: a batch of frames must fit",
        set_to: "1048588",
        for_development: false,
    },
    Rule {
        setting: "compression.type",
        holds: |value| matches!(value, "producer" | "zstd"),
        wanted: "producer or zstd: frames are compressed once, by who sends them",
        set_to: "producer",
        for_development: false,
    },
    Rule {
        setting: "min.insync.replicas",
        holds: |value| value.parse::<u32>().is_ok_and(|count| ISR_MIN <= count),
        wanted: "2 or more: an acknowledged record must be on two disks",
        set_to: "2",
        for_development: true,
    },
];

fn judge_topic(
    place: &str,
    topic: &MetadataTopic,
    settings: &ConfigResource,
    findings: &mut Vec<Finding>,
) {
    judge_settings(place, topic.name(), &TOPIC_RULES, settings, findings);
    let name = topic.name();
    let partitions = topic.partitions();
    if partitions.len() != 1 {
        findings.push(Finding {
            setting: "partitions",
            place: place.to_owned(),
            found: partitions.len().to_string(),
            wanted: "1: a ledger has one order",
            fix: "make the topic anew, with one partition; an archiver opens the next incarnation"
                .to_owned(),
            for_development: false,
        });
    }
    let replicas = partitions
        .iter()
        .map(|one| one.replicas().len())
        .min()
        .unwrap_or(0);
    if replicas < REPLICAS_MIN {
        findings.push(Finding {
            setting: "replication.factor",
            place: place.to_owned(),
            found: replicas.to_string(),
            wanted: "3 or more: one lost disk must not lose what is final",
            fix: format!("kafka-reassign-partitions.sh with three replicas for {name}"),
            for_development: true,
        });
    }
}

fn judge_activity(
    place: &str,
    topic: &MetadataTopic,
    settings: &ConfigResource,
    findings: &mut Vec<Finding>,
) {
    judge_settings(place, topic.name(), &ACTIVITY_RULES, settings, findings);
    if topic.partitions().len() != 1 {
        findings.push(Finding {
            setting: "partitions",
            place: place.to_owned(),
            found: topic.partitions().len().to_string(),
            wanted: "1: only that one is written and read",
            fix: "delete the topic; whoever needs it makes it anew".to_owned(),
            for_development: true,
        });
    }
}

fn judge_settings(
    place: &str,
    name: &str,
    rules: &[Rule],
    settings: &ConfigResource,
    findings: &mut Vec<Finding>,
) {
    for rule in rules {
        let value = settings
            .get(rule.setting)
            .and_then(|entry| entry.value.as_deref());
        if value.is_some_and(rule.holds) {
            continue;
        }
        findings.push(Finding {
            setting: rule.setting,
            place: place.to_owned(),
            found: value.unwrap_or(UNREADABLE).to_owned(),
            wanted: rule.wanted,
            fix: format!(
                "kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {}={}",
                rule.setting, rule.set_to
            ),
            for_development: rule.for_development,
        });
    }
}
