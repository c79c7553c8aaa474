//! The log loses its end and a gateway its disk, both at once: nobody has the gateway's last frames but segments somewhere.

use orebook_ledger::publisher::RETRY_MS;
use orebook_ledger::reader::Reader;
use orebook_ledger::republish::{FRAMES_MAX, Republisher};
use orebook_ledger::segment::Record;
use orebook_schema::{Frame, Kind};
use orebook_sim::checks::count_shares;
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;
use orebook_sim::world::final_records;

use super::Bench;

/// What the log loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// What is not final.
    Suffix,
    /// What is final too: the incarnation is dead, the next one opens.
    Everything,
}

/// Everything that a reader has stored, and of it the frames that are not final.
fn stored(bench: &mut Bench) -> (Vec<Record>, Vec<Frame>) {
    let reader = bench.reader();
    reader.persist().expect("its disk is well");
    let final_size = reader.final_size();
    let records: Vec<Record> = reader
        .store()
        .records(0)
        .map(|record| record.expect("its own segments"))
        .collect();
    let frames = records.iter().filter_map(|record| match record {
        Record::Frame(stored) if final_size <= stored.position => Some(stored.frame.clone()),
        _ => None,
    });
    let frames = frames.collect();
    (records, frames)
}

/// The gateway comes back with its key, the genesis, and nothing else.
fn lose_disk(bench: &mut Bench, genesis: &Record) {
    let common = bench.pool.common.clone();
    let gateway = &mut bench.pool.gateways[0];
    gateway.life = None;
    gateway.disk = SimDisk::new(77);
    let opened = Reader::open(
        gateway.disk.clone(),
        "mirror",
        common.ledger,
        common.store,
        0,
    );
    let (mut reader, _) = opened.expect("an empty folder");
    let root = bench.pool.projectors[0].life.as_ref().expect("it lives");
    let root = root.state_at(1).expect("read").expect("it has the genesis");
    reader
        .adopt([Ok(genesis.clone())], 1, root.root())
        .expect("the genesis");
    drop(reader);
    gateway
        .start(&common, bench.now, &mut bench.rng)
        .expect("a gateway starts");
}

fn republish(bench: &mut Bench, frames: &[Frame]) -> usize {
    let mut republisher = Republisher::new(frames.to_vec()).expect("few");
    for _ in 0..400 {
        bench.rounds(1, false, true);
        bench.now += RETRY_MS;
        let reader = bench.pool.projectors[0].life.as_mut().expect("it lives");
        let tally = republisher
            .tick(reader, &mut bench.broker, bench.now)
            .expect("its own index");
        assert!(tally.refused.is_empty(), "{tally:?}");
        if tally.is_done() {
            assert_eq!(tally.settled, frames.len());
            return tally.sent;
        }
    }
    panic!("not everything became final");
}

#[test]
fn frames_that_the_log_and_their_gateway_lost_come_back_from_segments_once() {
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..4 {
        for (loss, republishes) in [
            (Loss::Suffix, false),
            (Loss::Suffix, true),
            (Loss::Everything, false),
            (Loss::Everything, true),
        ] {
            let context = format!("seed {seed} {loss:?} republishes {republishes}");
            let mut bench = Bench::new(seed);
            bench.rounds(40, true, true);
            // The archiver is silent: what comes now stays provisional.
            let archiver = bench.pool.keeper.life.take();
            bench.rounds(20, true, true);
            let (records, frames) = stored(&mut bench);
            let wanted = count_shares(&records);
            assert!(5 < frames.len(), "{context}: nothing is provisional");
            let keep = match loss {
                Loss::Suffix => bench.reader().forgettable_offset() + 1,
                Loss::Everything => 1,
            };
            bench.broker.cut_to(keep);
            lose_disk(&mut bench, &records[0]);
            bench.pool.keeper.life = archiver;
            bench.rounds(20, true, true);
            if republishes {
                let sent = republish(&mut bench, &frames);
                assert!(0 < sent, "{context}");
                assert_eq!(republish(&mut bench, &frames), 0, "{context}: all stands");
            }
            bench.agree();
            let counts = count_shares(&final_records(bench.reader()).expect("its own segments"));
            assert!(counts.values().all(|count| *count == 1), "{context}: twice");
            assert!(wanted.len() < counts.len() + frames.len(), "{context}");
            let missing = wanted.keys().filter(|id| !counts.contains_key(id)).count();
            if republishes {
                assert_eq!(missing, 0, "{context}");
                kept += 1;
            } else {
                lost += missing;
            }
        }
    }
    println!("{lost} shares were lost without it");
    assert!(0 < lost && kept == 8, "the loss is a loss");
}

/// Frames of another history of the same producers, as a restored copy of a machine makes them, are a fork: they are given up,
/// the streams that they name are closed, and what the living have goes on in others.
#[test]
fn another_history_is_refused_and_counted_and_costs_the_living_no_share() {
    let mut bench = Bench::new(3);
    let mut other = Bench::new(3);
    bench.rounds(30, true, true);
    other.rounds(30, true, true);
    assert_eq!(bench.archived(), other.archived(), "one history so far");
    let (common, _) = stored(&mut bench);
    other.rng = Rng::new(4_444);
    other.now += 7;
    other.rounds(10, true, true);
    bench.rounds(10, true, true);
    let (records, _) = stored(&mut other);
    let foreign = records.iter().skip(common.len()).filter_map(frame_of);
    let has_shares = |frame: &&Frame| frame.header().kinds & Kind::SHARES != 0;
    let foreign: Vec<Frame> = foreign.filter(has_shares).cloned().collect();
    assert!(3 < foreign.len());
    let mut republisher = Republisher::new(foreign).expect("few");
    let mut refused = 0;
    for _ in 0..100 {
        bench.rounds(1, false, true);
        bench.now += RETRY_MS;
        let reader = bench.pool.projectors[0].life.as_mut().expect("it lives");
        let tally = republisher
            .tick(reader, &mut bench.broker, bench.now)
            .expect("its own index");
        refused = tally.refused.values().sum();
        if tally.is_done() {
            break;
        }
    }
    println!("{refused} frames were refused");
    assert!(0 < refused);
    bench.agree();
    let counts = count_shares(&final_records(bench.reader()).expect("its own segments"));
    assert!(counts.values().all(|count| *count == 1));
}

#[test]
fn more_frames_than_one_run_takes_are_refused_before_anything_is_sent() {
    let mut bench = Bench::new(1);
    let (records, _) = stored(&mut bench);
    let genesis = records.first().and_then(frame_of).expect("the genesis");
    assert!(Republisher::new(vec![genesis.clone(); FRAMES_MAX]).is_some());
    assert!(Republisher::new(vec![genesis.clone(); FRAMES_MAX + 1]).is_none());
}

fn frame_of(record: &Record) -> Option<&Frame> {
    match record {
        Record::Frame(stored) => Some(&stored.frame),
        Record::Closure { .. } => None,
    }
}
