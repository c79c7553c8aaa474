//! The same records, embedded and over Kafka.

use orebook_kafka::KafkaConfig;
use orebook_ledger::log::{EmbeddedLog, Log, LogRecord};
use orebook_schema::frame::IncarnationOpened;
use orebook_sim::world::pool;

use crate::rig::{Rig, shared_addresses, wait_until};

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
