//! The activity log on a real broker: made by whoever comes first, with a retention; a broker that dies costs nobody a wait.

use orebook_kafka::{KafkaActivity, KafkaActivityReader, KafkaConfig, KafkaLog, Topics};
use orebook_ledger::activity::{ActivityError, ActivitySink, ActivitySource, open, seal};
use orebook_ledger::sign::Signer;
use orebook_schema::LedgerId;
use orebook_schema::activity::{Entry, EntryKind, Report};
use orebook_tests::kafka::Cluster;
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};

use crate::rig::{COIN, admin, now_ms, shared_addresses, wait_for, wait_until};

fn signer() -> Signer {
    Signer::from_seed(&[2; 32])
}

fn report(ledger: LedgerId, number: u64) -> Vec<u8> {
    let rest = Entry::Rest {
        of: EntryKind::Bans,
        count: 7,
    };
    let report = Report {
        ledger,
        coin: COIN,
        key: signer().key(),
        run: 1,
        number,
        from_ms: now_ms(),
        span_ms: 0,
        sessions: 0,
        lost: 0,
        entries: vec![rest; 512],
    };
    seal(&report, &signer())
}

fn numbers(reports: &[Vec<u8>]) -> Vec<u64> {
    let key = signer().key();
    let open = |bytes: &Vec<u8>| open(bytes, |known| *known == key).expect("as it was sealed");
    reports.iter().map(|bytes| open(bytes).number).collect()
}

/// Sends a report as the gateway's thread does: again until it is taken.
fn send(sink: &mut dyn ActivitySink, bytes: &[u8]) {
    wait_until("a report is taken", || {
        sink.append(now_ms(), bytes, 7 * 512).ok()
    });
}

fn read(source: &mut dyn ActivitySource, count: usize) -> Vec<u64> {
    let mut found = Vec::new();
    wait_until("all reports are read", || {
        if let Ok(reports) = source.read(100) {
            found.extend(numbers(&reports));
        }
        (count <= found.len()).then_some(())
    });
    found
}

#[test]
fn the_activity_topic_has_a_retention_and_gives_reports_to_every_reader_from_its_beginning() {
    let addresses = shared_addresses();
    let config = KafkaConfig::development(addresses.clone());
    let ledger = LedgerId([0xac; 16]);
    let name = Topics::new("orebook", COIN, ledger).activity();
    let mut reader = KafkaActivityReader::open(&config, COIN, ledger).expect("a reader");
    // Before there is a topic.
    let early = reader.read(10);
    assert!(early.as_ref().map_or(true, Vec::is_empty), "{early:?}");
    let mut first = KafkaActivity::open(&config, COIN, ledger, 14).expect("a sink");
    let mut second = KafkaActivity::open(&config, COIN, ledger, 3).expect("a sink");
    send(&mut first, &report(ledger, 0));
    send(&mut second, &report(ledger, 1));
    first.finish();
    second.finish();
    let mut found = read(&mut reader, 2);
    found.sort_unstable();
    assert_eq!(found, [0, 1]);
    let mut another = KafkaActivityReader::open(&config, COIN, ledger).expect("a reader");
    assert_eq!(read(&mut another, 2).len(), 2);
    assert_eq!((first.lost(), second.lost()), (0, 0));
    // Whoever came first decided; the preflight finds nothing wrong, and finds what is switched.
    let admin = admin(&addresses);
    let topic = ResourceSpecifier::Topic(&name);
    let described = wait_for(admin.describe_configs([&topic], &AdminOptions::new()));
    let settings = described
        .expect("an answer")
        .pop()
        .expect("one")
        .expect("it is there");
    let value = |name: &str| settings.get(name).and_then(|entry| entry.value.clone());
    for (setting, is) in [
        ("retention.ms", "1209600000"),
        ("cleanup.policy", "delete"),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.insync.replicas", "1"),
    ] {
        assert_eq!(value(setting).as_deref(), Some(is), "{setting}");
    }
    let strict = KafkaConfig {
        i_know: false,
        ..config
    };
    let log = KafkaLog::open(&strict, COIN, ledger).expect("a log");
    let refused = || {
        let found = log.preflight().expect("an answer").refused;
        let of_ours = found.into_iter().filter(|one| one.place.contains(&name));
        of_ours.map(|one| one.setting).collect::<Vec<_>>()
    };
    assert_eq!(refused(), [""; 0]);
    let for_ever = AlterConfig::new(topic)
        .set("retention.ms", "-1")
        .set("cleanup.policy", "compact");
    wait_for(admin.alter_configs([&for_ever], &AdminOptions::new())).expect("switched");
    wait_until("the preflight sees it", || {
        (refused() == ["cleanup.policy", "retention.ms"]).then_some(())
    });
}

#[test]
fn while_the_broker_is_dead_reports_wait_in_a_bounded_queue_and_come_later_in_order() {
    let mut cluster = Cluster::start(1);
    let config = KafkaConfig::development(cluster.addresses());
    let ledger = LedgerId([0xad; 16]);
    let mut sink = KafkaActivity::open(&config, COIN, ledger, 14).expect("a sink");
    send(&mut sink, &report(ledger, 0));
    sink.finish();
    cluster.kill(0);
    // Nobody waits for a dead broker, and what is beyond the queue is said.
    let mut taken = 1;
    let refused = loop {
        match sink.append(now_ms(), &report(ledger, taken), 7 * 512) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 10_000, "the queue has no bound");
    };
    assert_eq!(refused, ActivityError::Full);
    assert!(100 < taken, "{taken}");
    let last = report(ledger, taken);
    cluster.restart(0);
    send(&mut sink, &last);
    wait_until("they leave", || {
        sink.finish();
        (sink.in_flight() == 0).then_some(())
    });
    let mut reader = KafkaActivityReader::open(&config, COIN, ledger).expect("a reader");
    let mut found = read(&mut reader, usize::try_from(taken + 1).expect("few"));
    // A report that is sent again may come twice, behind itself.
    found.dedup();
    assert!(found.into_iter().eq(0..=taken), "each, in order");
    assert_eq!(sink.lost(), 0);
}
