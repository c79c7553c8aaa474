//! Settings: what the preflight refuses, by name, and what stops when one is switched.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use orebook_kafka::{ConfigError, Finding, KafkaConfig, KafkaLog, OpenError, Topics};
use orebook_ledger::log::{Log, LogError};
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::{Hash, LedgerId};
use orebook_tests::kafka::{PASSWORD, USER};
use rdkafka::admin::{AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};

use crate::rig::{COIN, admin, now_ms, shared, shared_addresses, wait_for, wait_until};

/// A topic as it should be, for one broker.
const SAFE: [(&str, &str); 6] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("message.timestamp.type", "LogAppendTime"),
    ("unclean.leader.election.enable", "false"),
    ("compression.type", "producer"),
];

fn opening(ledger: LedgerId) -> IncarnationOpened {
    IncarnationOpened {
        ledger,
        incarnation: 0,
        next_position: 1,
        root: Hash::ZERO,
    }
}

fn names(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.setting).collect()
}

#[test]
fn each_dangerous_setting_is_refused_by_name_with_its_fix() {
    let addresses = shared_addresses();
    let admin = admin(&addresses);
    let development = [
        "replication",
        "min_isr",
        "min.insync.replicas",
        "replication.factor",
    ];
    let table: [(&str, &str, &[&str]); 11] = [
        ("cleanup.policy", "delete", &[]),
        ("cleanup.policy", "compact", &["cleanup.policy"]),
        ("cleanup.policy", "compact,delete", &["cleanup.policy"]),
        ("retention.ms", "604800000", &["retention.ms"]),
        ("retention.bytes", "1073741824", &["retention.bytes"]),
        (
            "message.timestamp.type",
            "CreateTime",
            &["message.timestamp.type"],
        ),
        (
            "unclean.leader.election.enable",
            "true",
            &["unclean.leader.election.enable"],
        ),
        ("max.message.bytes", "65536", &["max.message.bytes"]),
        ("compression.type", "gzip", &["compression.type"]),
        ("compression.type", "uncompressed", &["compression.type"]),
        ("partitions", "2", &["partitions"]),
    ];
    for (index, (setting, value, refused)) in (0_u8..).zip(table) {
        let ledger = LedgerId([0x60 + index; 16]);
        let name = Topics::new("orebook", COIN, ledger).incarnation(0);
        let partitions = if setting == "partitions" { 2 } else { 1 };
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (safe, is) in SAFE.iter().filter(|(safe, _)| *safe != setting) {
            topic = topic.set(safe, is);
        }
        if setting != "partitions" {
            topic = topic.set(setting, value);
        }
        let made = wait_for(admin.create_topics([&topic], &AdminOptions::new()));
        assert!(made.expect("answered")[0].is_ok(), "{setting}={value}");
        let config = KafkaConfig::development(addresses.clone());
        let log = KafkaLog::open(&config, COIN, ledger).expect("a log");
        let preflight = wait_until("the topic is seen", || {
            let preflight = log.preflight().ok()?;
            names(&preflight.let_through)
                .contains(&"replication.factor")
                .then_some(preflight)
        });
        assert_eq!(names(&preflight.refused), refused, "{setting}={value}");
        assert_eq!(
            names(&preflight.let_through),
            development,
            "{setting}={value}"
        );
        for finding in &preflight.refused {
            let text = finding.to_string();
            assert!(
                text.contains(&name) && text.contains(setting) && text.contains("Fix: "),
                "{text}"
            );
            assert_eq!(finding.found, value);
        }
        // Without `i_know`, what is for development only is refused as well.
        let strict = KafkaConfig {
            i_know: false,
            ..config
        };
        let log = KafkaLog::open(&strict, COIN, ledger).expect("a log");
        let preflight = wait_until("an answer", || log.preflight().ok());
        let mut all = names(&preflight.refused);
        all.sort_unstable();
        let mut expected = [refused, &development].concat();
        expected.sort_unstable();
        assert_eq!(all, expected, "{setting}={value}");
        assert_eq!(preflight.let_through, []);
    }
}

#[test]
fn a_refused_cluster_opens_no_incarnation() {
    let config = KafkaConfig {
        i_know: false,
        ..KafkaConfig::development(shared_addresses())
    };
    let ledger = LedgerId([0x53; 16]);
    let mut log = KafkaLog::open(&config, COIN, ledger).expect("a log");
    let said = log.open_incarnation(now_ms(), &opening(ledger));
    let Err(LogError::Unavailable(what)) = said else {
        panic!("{said:?}");
    };
    assert!(
        what.contains("replication is 1") && what.contains("min_isr is 1"),
        "{what}"
    );
}

#[test]
fn a_log_whose_append_time_is_switched_off_stops_with_the_setting_s_name() {
    let addresses = shared_addresses();
    let ledger = LedgerId([0x54; 16]);
    let config = KafkaConfig::development(addresses.clone());
    let mut log = KafkaLog::open(&config, COIN, ledger).expect("a log");
    let opened = opening(ledger);
    wait_until("it opens", || log.open_incarnation(now_ms(), &opened).ok());
    let topic = Topics::new("orebook", COIN, ledger).incarnation(0);
    let mut altered = AlterConfig::new(ResourceSpecifier::Topic(&topic));
    for (setting, value) in SAFE {
        let value = if setting == "message.timestamp.type" {
            "CreateTime"
        } else {
            value
        };
        altered = altered.set(setting, value);
    }
    let done = wait_for(admin(&addresses).alter_configs([&altered], &AdminOptions::new()));
    assert!(done.expect("answered")[0].is_ok());
    log.send(0, now_ms(), b"x").expect("room");
    let what = wait_until("the reader stops", || match log.read(0, 1, 1) {
        Err(LogError::Unavailable(what)) if what.contains("LogAppendTime") => Some(what),
        Ok(records) => {
            assert_eq!(records, [], "no record without the log's time is given");
            None
        }
        Err(_) => None,
    });
    assert!(what.contains("message.timestamp.type"), "{what}");
    // Nobody asks for a preflight here: it is done in the background.
    let what = wait_until("the sender stops", || match log.send(0, now_ms(), b"y") {
        Err(LogError::Unavailable(what)) => Some(what),
        _ => None,
    });
    assert!(
        what.contains("message.timestamp.type is CreateTime"),
        "{what}"
    );
    assert!(matches!(log.newest(), Err(LogError::Unavailable(_))));
}

/// An address at which nobody answers.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn without_brokers_a_log_opens_and_says_so_and_its_queue_is_bounded() {
    let config = KafkaConfig::development(vec![nobody()]);
    let mut log = KafkaLog::open(&config, COIN, LedgerId([0x55; 16])).expect("a log");
    assert!(matches!(log.newest(), Err(LogError::Unavailable(_))));
    assert!(matches!(log.generation(0), Err(LogError::Unavailable(_))));
    assert!(matches!(log.read(0, 0, 1), Err(LogError::Unavailable(_))));
    let mut sent: u32 = 0;
    let full = loop {
        match log.send(0, now_ms(), &sent.to_le_bytes()) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 100_000, "the queue has an end");
    };
    assert_eq!(full, LogError::Full);
    assert_eq!(log.in_flight(), usize::try_from(sent).expect("small"));
    // What is on its way is not queued again, so there is always room for it.
    assert_eq!(log.send(0, now_ms(), &0_u32.to_le_bytes()), Ok(()));
    assert_eq!(log.in_flight(), usize::try_from(sent).expect("small"));
    let large = vec![0; 2_000_000];
    assert!(matches!(
        log.send(0, now_ms(), &large),
        Err(LogError::Unavailable(_))
    ));
}

#[test]
fn over_tls_with_a_password_a_log_works_and_with_another_it_does_not() {
    let (address, certificate) = {
        let cluster = shared();
        let (address, certificate) = cluster.secured();
        (address, certificate.to_owned())
    };
    let folder = tempfile::tempdir().expect("a folder");
    let config = |name: &str, password: &str| {
        let path = folder.path().join(name);
        let text = format!(
            "security.protocol = SASL_SSL\nssl.ca.location = {}\nsasl.mechanism = PLAIN\nsasl.username = {USER}\n\
             sasl.password = {password}\n",
            certificate.display()
        );
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        KafkaConfig {
            security_file: Some(path),
            ..KafkaConfig::development(vec![address.clone()])
        }
    };
    let ledger = LedgerId([0x57; 16]);
    let mut log = KafkaLog::open(&config("right", PASSWORD), COIN, ledger).expect("a log");
    let opened = opening(ledger);
    // The certificate names the address: who it is, is checked.
    log.open_incarnation(now_ms(), &opened).expect("opens");
    let first = wait_until("the opening", || log.read(0, 0, 1).ok());
    assert_eq!(first[0].bytes, opened.to_bytes());

    let wrong = "not-the-password";
    let mut log = KafkaLog::open(&config("wrong", wrong), COIN, ledger).expect("a log");
    for said in [
        log.newest().map(drop),
        log.read(0, 0, 1).map(drop),
        log.open_incarnation(now_ms(), &opened),
    ] {
        let Err(LogError::Unavailable(what)) = said else {
            panic!("{said:?}");
        };
        assert!(!what.contains(wrong), "{what}");
    }
}

#[test]
fn a_security_file_is_read_if_it_is_private_and_no_secret_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kafka.properties");
    let secret = "correct-horse";
    let with = |text: &str, mode: u32| {
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        let config = KafkaConfig {
            security_file: Some(path.clone()),
            ..KafkaConfig::development(vec![nobody()])
        };
        let opened = KafkaLog::open(&config, COIN, LedgerId([0x56; 16]));
        let words = match &opened {
            Ok(log) => format!("{log:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!words.contains(secret), "{words}");
        opened.map(drop)
    };
    let good = format!(
        "# a comment\nsecurity.protocol = SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=orebook\n\
         sasl.password = {secret}\n"
    );
    assert!(with(&good, 0o640).is_ok(), "TLS and SCRAM are built in");
    let said = with(&good, 0o644);
    assert!(
        matches!(said, Err(OpenError::Config(ConfigError::SecurityOpen(_)))),
        "{said:?}"
    );
    for (line, text) in [
        (1, format!("bootstrap.servers={secret}")),
        (2, format!("\n{secret}")),
    ] {
        let said = with(&text, 0o600);
        let is_line = matches!(&said, Err(OpenError::Config(ConfigError::SecurityLine { line: at, .. })) if *at == line);
        assert!(is_line, "{said:?}");
    }
    let said = with(&format!("security.protocol={secret}"), 0o600);
    assert!(matches!(said, Err(OpenError::Client(_))), "{said:?}");
}
