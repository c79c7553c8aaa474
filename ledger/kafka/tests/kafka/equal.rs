//! The same records, embedded and over Kafka.

use orebook_kafka::KafkaConfig;
use orebook_kafka::KafkaLog;
use orebook_ledger::log::{EmbeddedLog, Log, LogRecord};
use orebook_schema::LedgerId;
use orebook_schema::frame::IncarnationOpened;
use orebook_sim::lockstep::{Stamped, run};
use orebook_sim::world::pool;

use crate::rig::{COIN, Rig, now_ms, shared_addresses, wait_until};

/// Everything that an incarnation holds.
pub(crate) fn records_of(log: &impl Log, incarnation: u32) -> Vec<LogRecord> {
    let mut records = Vec::new();
    loop {
        let offset = records.len() as u64;
        let more = wait_until("a read", || log.read(incarnation, offset, 256).ok());
        if more.is_empty() {
            return records;
        }
        records.extend(more);
    }
}

#[test]
fn the_same_records_get_the_same_positions_and_root_embedded_and_over_kafka() {
    let seed = 71;
    let mut rig = Rig::start(seed, &KafkaConfig::development(shared_addresses()));
    rig.serve(400);
    rig.settle();
    let records = records_of(&rig.keeper, 0);
    let offsets: Vec<u64> = records.iter().map(|record| record.offset).collect();
    assert!(offsets.iter().copied().eq(0..records.len() as u64), "dense");
    assert!(records.is_sorted_by_key(|record| record.append_time));

    let mut embedded = EmbeddedLog::new();
    let mut records = records.into_iter();
    let first = records.next().expect("the opening record");
    let opened = IncarnationOpened::read(&first.bytes).expect("it opens");
    embedded
        .open_incarnation(first.append_time, &opened)
        .expect("new");
    for record in records {
        embedded
            .send(0, record.append_time, &record.bytes)
            .expect("room");
    }
    let mut other = pool(seed);
    let projector = &mut other.projectors[0];
    projector.start(&other.common).expect("starts");
    let reader = projector.life.as_mut().expect("it runs");
    while 0 < reader.poll(&embedded, 100).expect("reads") {}
    assert_eq!(
        (reader.final_size(), reader.settled().root()),
        rig.final_tree()
    );
    assert!(40 < reader.final_size(), "there was something to compare");
}

/// How long before the brokers' clock the producers' one begins, in milliseconds: it goes on for less than half of it, and a
/// frame's ledger time is at most ten minutes after its last event.
const EARLIER_MS: u64 = 60_000;

#[test]
fn the_same_spools_in_the_same_order_give_the_same_digests_embedded_and_over_kafka() {
    let config = KafkaConfig::development(shared_addresses());
    let ledger = LedgerId([0x1c; 16]);
    let log = KafkaLog::open(&config, COIN, ledger).expect("a log");
    let another = || log.another().expect("a handle");
    let began = now_ms() - EARLIER_MS;
    let over_kafka = run(ledger, began, [another(), another()]);

    // The embedded broker's clock is the process's: it says what the other one said.
    let times: Vec<u64> = records_of(&log, 0)
        .iter()
        .map(|record| record.append_time)
        .collect();
    let stamped = Stamped::new(times.into_iter());
    let embedded = run(ledger, began, [stamped.clone(), stamped]);
    assert_eq!(embedded, over_kafka);
    println!(
        "{} positions, {} digests, root {}",
        embedded.size,
        embedded.digests.len(),
        embedded.root
    );

    // With a clock of its own: the same frames at the same positions, and the same money.
    let other = Stamped::new((0..).map(move |record| began + EARLIER_MS + record));
    let other = run(ledger, began, [other.clone(), other]);
    assert_eq!(other.frames, over_kafka.frames);
    let differing: Vec<_> = other
        .tables
        .iter()
        .filter(|(table, rows)| over_kafka.tables.get(table) != Some(rows))
        .map(|(table, _)| *table)
        .collect();
    // Rows that show ledger time: when a block was found, when a pot's first round began, finished or not, when a block's late frames are
    // due.
    assert_eq!(
        differing,
        [
            ("money", 6),
            ("money", 74),
            ("rounds", 1),
            ("rounds", 6),
            ("rounds", 10)
        ]
    );
}
