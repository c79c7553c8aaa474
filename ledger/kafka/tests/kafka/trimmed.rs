//! Readers behind the beginning of a topic whose old records were deleted.

use orebook_kafka::{KafkaConfig, KafkaLog};
use orebook_ledger::reader::{ReadError, Reader};
use orebook_schema::Hash;
use orebook_sim::disk::SimDisk;
use orebook_sim::world::pool;

use crate::rig::{Rig, now_ms, shared_addresses, wait_until};

/// Milliseconds of two days.
const TWO_DAYS_MS: u64 = 2 * 86_400_000;

/// Reads until `size` positions are final.
fn reads_to(reader: &mut Reader<SimDisk>, log: &KafkaLog, (size, root): (u64, Hash)) {
    wait_until("the reader follows", || {
        match reader.poll(log, 100) {
            Ok(_) | Err(ReadError::Log(_)) => {}
            Err(error) => panic!("{error}"),
        }
        (size <= reader.final_size()).then_some(())
    });
    assert_eq!((reader.final_size(), reader.settled().root()), (size, root));
}

#[test]
fn readers_behind_a_trimmed_topic_go_on_once_they_have_what_was_deleted() {
    let config = KafkaConfig {
        retention_days: 1,
        ..KafkaConfig::development(shared_addresses())
    };
    let seed = 76;
    let mut rig = Rig::start(seed, &config);
    rig.serve(100);
    rig.settle();
    // One stops here; another one was never there.
    let mut overtaken = rig.pool.projectors.pop().expect("there are two");
    rig.projectors.pop();
    let had = overtaken.life.take().expect("it runs").final_size();
    rig.serve(150);
    rig.settle();
    let archiver = rig.pool.keeper.life.as_ref().expect("it runs").reader();
    let below = archiver.forgettable_offset();
    assert_eq!(rig.keeper.trim(0, below, now_ms() + TWO_DAYS_MS), Ok(below));

    overtaken.disk.restart_process();
    let common = rig.pool.common.clone();
    overtaken.start(&common).expect("starts");
    let mut newcomer = pool(seed).projectors.pop().expect("there are two");
    newcomer.start(&common).expect("starts");
    let mut readers: Vec<_> = [(overtaken, had), (newcomer, 0)]
        .into_iter()
        .map(|(mut projector, had)| {
            let log = KafkaLog::open(&config, crate::rig::COIN, rig.ledger()).expect("a log");
            (projector.life.take().expect("it runs"), log, had)
        })
        .collect();
    for (reader, log, had) in &mut readers {
        let said = wait_until("it says what it lacks", || match reader.poll(log, 100) {
            Err(ReadError::Log(_)) => None,
            other => Some(other),
        });
        let first = below;
        assert_eq!(said, Err(ReadError::Behind { from: *had, first }));
        let archiver = rig.pool.keeper.life.as_ref().expect("it runs").reader();
        let adopted = reader.adopt_final(archiver.store().records(0));
        assert_eq!(adopted, Ok(archiver.final_size()));
        reads_to(reader, log, rig.final_tree());
    }
    // They follow the topic from there.
    rig.serve(60);
    rig.settle();
    for (reader, log, _) in &mut readers {
        reads_to(reader, log, rig.final_tree());
        assert_eq!(reader.incarnation(), Some(0), "nobody opened another one");
    }
}
