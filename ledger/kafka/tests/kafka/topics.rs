//! Topics: who opens an incarnation, what happens when one is made anew, what is deleted.

use std::sync::Barrier;

use orebook_kafka::{KafkaConfig, KafkaLog, Topics};
use orebook_ledger::log::{Log, LogError, LogRecord, LogResult};
use orebook_ledger::reader::ReadError;
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::{Hash, LedgerId};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};

use crate::rig::{COIN, Rig, admin, now_ms, shared_addresses, wait_for, wait_until};

/// Milliseconds of two days.
const TWO_DAYS_MS: u64 = 2 * 86_400_000;

fn opened(ledger: LedgerId, incarnation: u32, root: u8) -> IncarnationOpened {
    IncarnationOpened {
        ledger,
        incarnation,
        next_position: 1,
        root: Hash([root; 32]),
    }
}

/// What the log says about a record, whatever it says about being busy before.
fn read_again(log: &KafkaLog, incarnation: u32, offset: u64) -> LogResult<Vec<LogRecord>> {
    wait_until("an answer", || match log.read(incarnation, offset, 1) {
        Err(LogError::Unavailable(_)) => None,
        other => Some(other),
    })
}

#[test]
fn of_two_archivers_that_race_for_an_incarnation_one_opens_it() {
    let config = KafkaConfig::development(shared_addresses());
    let ledger = LedgerId([0x51; 16]);
    for incarnation in 0..3 {
        let start = Barrier::new(2);
        let race = |root: u8| {
            let mut log = KafkaLog::open(&config, COIN, ledger).expect("a log");
            wait_until("a listing", || log.newest().ok());
            start.wait();
            let result = log.open_incarnation(now_ms(), &opened(ledger, incarnation, root));
            (log, root, result)
        };
        let both = std::thread::scope(|scope| {
            let one = scope.spawn(|| race(1));
            let other = scope.spawn(|| race(2));
            [one.join().expect("ran"), other.join().expect("ran")]
        });
        let winners: Vec<u8> = both
            .iter()
            .filter_map(|(_, root, result)| result.is_ok().then_some(*root))
            .collect();
        assert_eq!(winners.len(), 1, "one wins");
        for (log, _, result) in &both {
            let lost = Err(LogError::Exists(incarnation));
            assert!(*result == Ok(()) || *result == lost, "{result:?}");
            let newest = wait_until("the newest", || {
                log.newest().ok().filter(|n| *n == Some(incarnation))
            });
            assert_eq!(newest, Some(incarnation));
            let first = wait_until("the opening", || log.read(incarnation, 0, 1).ok());
            let said = IncarnationOpened::read(&first[0].bytes).expect("it opens");
            assert_eq!(said, opened(ledger, incarnation, winners[0]));
            assert!(0 < first[0].append_time);
        }
    }
}

#[test]
fn an_incarnation_that_is_not_there_is_gone_and_the_end_is_known() {
    let config = KafkaConfig::development(shared_addresses());
    let ledger = LedgerId([0x52; 16]);
    let mut log = KafkaLog::open(&config, COIN, ledger).expect("a log");
    assert_eq!(wait_until("a listing", || log.newest().ok()), None);
    log.open_incarnation(now_ms(), &opened(ledger, 0, 1))
        .expect("opens");
    assert_eq!(log.newest(), Ok(Some(0)));
    assert_eq!(
        log.open_incarnation(now_ms(), &opened(ledger, 0, 1)),
        Err(LogError::Exists(0))
    );
    wait_until("a look", || log.generation(0).ok());
    assert_eq!(log.generation(7), Err(LogError::Gone(7)));
    log.send(0, now_ms(), b"x").expect("room");
    let records = wait_until("the record", || {
        log.read(0, 1, 9).ok().filter(|read| !read.is_empty())
    });
    assert_eq!(
        (records.len(), records[0].bytes.as_slice()),
        (1, b"x".as_slice())
    );
    assert_eq!(wait_until("the end", || log.read(0, 2, 9).ok()), []);
    let said = read_again(&log, 0, 9);
    assert_eq!(said, Err(LogError::OutOfRange { offset: 9, end: 2 }));
    // Once there is a newer one, it is deleted by its age alone; the newest is kept.
    log.open_incarnation(now_ms(), &opened(ledger, 1, 1))
        .expect("opens");
    let later = now_ms() + TWO_DAYS_MS;
    assert_eq!(log.trim(0, 2, later), Err(LogError::Gone(0)));
    assert_eq!(log.trim(1, 0, later), Ok(0), "a week is not over");
    assert_eq!(read_again(&log, 0, 1).map(|records| records.len()), Ok(1));
    assert_eq!(log.trim(1, 0, later + 3 * TWO_DAYS_MS), Ok(0));
    let said = read_again(&log, 0, 1);
    assert_eq!(
        said,
        Err(LogError::Trimmed {
            offset: 1,
            first: 2
        })
    );
    let first = read_again(&log, 1, 0).expect("the opening record");
    assert_eq!(first[0].bytes, opened(ledger, 1, 1).to_bytes());
}

/// Deletes a topic and makes it again, empty.
fn make_anew(addresses: &[String], topic: &str) {
    let admin = admin(addresses);
    let deleted = wait_for(admin.delete_topics(&[topic], &AdminOptions::new()));
    assert!(deleted.expect("answered")[0].is_ok());
    let settings = NewTopic::new(topic, 1, TopicReplication::Fixed(1))
        .set("retention.ms", "-1")
        .set("message.timestamp.type", "LogAppendTime");
    wait_until("the topic can be made again", || {
        let made = wait_for(admin.create_topics([&settings], &AdminOptions::new()));
        made.ok()?.pop()?.ok()
    });
}

#[test]
fn a_topic_made_anew_and_longer_than_before_has_another_generation() {
    let addresses = shared_addresses();
    let config = KafkaConfig::development(addresses.clone());
    let ledger = LedgerId([0x58; 16]);
    let mut log = KafkaLog::open(&config, COIN, ledger).expect("a log");
    log.open_incarnation(now_ms(), &opened(ledger, 0, 1))
        .expect("opens");
    log.send(0, now_ms(), b"before").expect("room");
    let last = read_again(&log, 0, 1).expect("a record");
    assert_eq!(last.len(), 1);
    let before = wait_until("a look", || log.generation(0).ok());

    let topic = Topics::new("orebook", COIN, ledger).incarnation(0);
    make_anew(&addresses, &topic);
    let mut other = KafkaLog::open(&config, COIN, ledger).expect("a log");
    for number in 0..9_u8 {
        other.send(0, now_ms(), &[number]).expect("room");
    }
    // Where the first reader stands there is a record again: only the beginning tells.
    wait_until("the new records", || {
        read_again(&other, 0, 8)
            .ok()
            .filter(|records| !records.is_empty())
    });
    wait_until("another generation", || {
        log.generation(0).ok().filter(|now| before < *now)
    });
}

#[test]
fn a_topic_made_anew_is_dead_and_an_archiver_opens_the_next() {
    let addresses = shared_addresses();
    let mut rig = Rig::start(74, &KafkaConfig::development(addresses.clone()));
    rig.serve(100);
    rig.settle();
    let (before, _) = rig.final_tree();
    make_anew(&addresses, &rig.topic(0));
    let said = wait_until("the reader stops", || {
        let reader = rig.pool.projectors[0].life.as_mut().expect("it runs");
        match reader.poll(&rig.projectors[0], 100) {
            Err(ReadError::Dead { incarnation, .. }) => Some(incarnation),
            _ => None,
        }
    });
    assert_eq!(said, 0);
    rig.serve(100);
    rig.settle();
    assert_eq!(rig.incarnation(), Some(1));
    assert!(before < rig.final_tree().0);
}

#[test]
fn what_is_trimmed_leaves_the_opening_record_and_readers_go_on() {
    let config = KafkaConfig {
        retention_days: 1,
        ..KafkaConfig::development(shared_addresses())
    };
    let mut rig = Rig::start(75, &config);
    rig.serve(100);
    rig.settle();
    let below = {
        let reader = rig.pool.keeper.life.as_ref().expect("it runs").reader();
        reader.forgettable_offset()
    };
    assert!(2 < below);
    let opening = wait_until("the opening", || rig.keeper.read(0, 0, 1).ok());
    assert_eq!(
        rig.keeper.trim(0, below, now_ms()),
        Ok(0),
        "nothing is a day old"
    );
    assert_eq!(rig.keeper.trim(0, below, now_ms() + TWO_DAYS_MS), Ok(below));

    // A process that starts now, without a cache of anything.
    let fresh = KafkaLog::open(&config, COIN, rig.ledger()).expect("a log");
    let kept = wait_until("the kept opening", || fresh.read(0, 0, 1).ok());
    assert_eq!(kept[0].bytes, opening[0].bytes);
    let said = read_again(&fresh, 0, 1);
    assert_eq!(
        said,
        Err(LogError::Trimmed {
            offset: 1,
            first: below
        })
    );
    // Everybody who has an anchor goes on, also after a restart.
    let common = rig.pool.common.clone();
    rig.pool.projectors[0].start(&common).expect("starts");
    rig.serve(50);
    rig.settle();
    assert_eq!(rig.incarnation(), Some(0));
}

#[test]
fn names_are_those_that_the_documents_give() {
    let topics = Topics::new("orebook", 2, LedgerId([0x11; 16]));
    let name = "orebook.2.11111111-1111-1111-1111-111111111111.ledger-7";
    assert_eq!(topics.incarnation(7), name);
}
