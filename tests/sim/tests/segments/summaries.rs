//! Walks backwards over headers and summaries: they are those of the frames, each flipped bit of them is found, and bodies
//! are not read.

use orebook_ledger::build::{Cut, build_frame};
use orebook_ledger::disk::{Disk, DiskFile};
use orebook_ledger::segment::record::{FRAME_PREFIX_BYTES, FrameBody, HEAD_BYTES, put_frame};
use orebook_ledger::segment::{Record, SegmentStore, StoreError, StoredFrame, Summaries};
use orebook_ledger::sign::Signer;
use orebook_schema::names::Pot;
use orebook_schema::summary::{PotSummary, Row, Summary};
use orebook_schema::{Event, Frame, HEADER_BYTES, Hash, Kind, LedgerId, StreamId};
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;

use crate::flips::record_offsets;
use crate::pool::{Pool, Shape};
use crate::{DIR, SMALL, Store, append, grown, open, written};

/// Bytes of a record before the summary.
const FIXED_BYTES: usize = HEAD_BYTES + FRAME_PREFIX_BYTES + HEADER_BYTES;
/// Bits of a record that are its two times, which no walk gives out.
const TIMES: std::ops::Range<u64> = 8 * (16 + 8)..8 * (16 + 24);

/// What a walk says of a position: that it is the frame's, or why not.
fn look<D: Disk>(
    store: &Store<D>,
    walk: &mut Summaries,
    wanted: &StoredFrame,
) -> Result<(), StoreError> {
    let position = wanted.position;
    if walk.get(position).is_none() {
        assert!(store.summaries(position, walk)?, "position {position}");
    }
    let found = walk.get(position).unwrap();
    let right = found.header == wanted.frame.header() && found.summary == wanted.frame.summary();
    assert!(right, "position {position} is another frame's");
    Ok(())
}

fn frames(records: &[Record]) -> Vec<StoredFrame> {
    let frames = records.iter().filter_map(|record| match record {
        Record::Frame(stored) => Some(stored.clone()),
        Record::Closure { .. } => None,
    });
    frames.collect()
}

/// Walks down from the last of the frames; the first position that is refused.
fn walk_all<D: Disk>(store: &Store<D>, frames: &[StoredFrame]) -> Result<(), (u64, StoreError)> {
    let mut walk = Summaries::new();
    let mut down = frames.iter().rev();
    down.try_for_each(|wanted| {
        look(store, &mut walk, wanted).map_err(|error| (wanted.position, error))
    })
}

#[test]
fn a_walk_gives_the_headers_and_summaries_of_the_frames() {
    let shapes = [
        SMALL,
        Shape {
            segment_positions: 40,
            shares_max: 300,
            ..SMALL
        },
    ];
    for (seed, shape) in (0..12).flat_map(|seed| shapes.map(|shape| (seed, shape))) {
        let pool = grown(seed, shape, 43);
        for final_size in [0, 30, 43] {
            let disk = written(&pool, 3, 8_192, final_size);
            let (store, _) = open(&disk, pool.ledger, 43);
            let frames = frames(&pool.records);
            for size in [43, 42, 17, 5, 1] {
                walk_all(&store, &frames[..size]).unwrap();
            }
            // Here and there, up as well as down.
            let (mut rng, mut walk) = (Rng::new(seed), Summaries::new());
            for _ in 0..200 {
                let at = usize::try_from(rng.below(43)).unwrap();
                look(&store, &mut walk, &frames[at]).unwrap();
            }
            for beyond in [43, 44, 1 << 40, u64::MAX] {
                assert_eq!(store.summaries(beyond, &mut walk), Ok(false));
                assert_eq!(walk.get(beyond), None);
            }
        }
    }
}

#[test]
fn what_waits_for_a_sync_is_walked_over_too() {
    let pool = grown(1, SMALL, 23);
    let frames = frames(&pool.records);
    for synced in 0..pool.records.len() {
        let (mut store, _) = open(&SimDisk::new(1), pool.ledger, 0);
        for (at, record) in pool.records.iter().enumerate() {
            append(&mut store, record).unwrap();
            if at + 1 == synced {
                store.sync().unwrap();
            }
        }
        walk_all(&store, &frames).unwrap();
    }
}

/// Frames that nobody admitted, but in their places and linked: genesis, then `count` of some streams in turn, with
/// summaries of all lengths.
fn linked(streams: u8, count: u64, rows_max: u64) -> (LedgerId, Vec<Record>) {
    let pool = Pool::new(1, SMALL);
    let mut records = vec![pool.records[0].clone()];
    let (signer, mut rng) = (Signer::from_seed(&[5; 32]), Rng::new(9));
    let mut previous = vec![Hash::ZERO; usize::from(streams)];
    for position in 1..=count {
        let stream = u8::try_from(position % u64::from(streams)).unwrap();
        let rows = (0..rng.range(1, rows_max + 1)).map(|row| Row {
            worker: u32::try_from(row).unwrap(),
            count: 1,
            credit: u128::from(rng.next_u64() >> 20),
        });
        let pot = PotSummary {
            pot: Pot(0),
            effort: 0,
            rows: rows.collect(),
        };
        let events: u32 = 1 + u32::try_from(rng.below(300)).unwrap();
        let body: Vec<u8> = (0..events)
            .flat_map(|dt| Event::Heartbeat.to_bytes(dt))
            .collect();
        let cut = Cut {
            ledger: pool.ledger,
            coin: 1,
            stream: StreamId([stream + 1; 16]),
            epoch: 0,
            first_seq: position * 1_000,
            base_time: position,
            previous: previous[usize::from(stream)],
            schema_set: 0,
            summary: &Summary { pots: vec![pot] },
            body: &body,
        };
        let frame = build_frame(&cut, &signer).unwrap();
        previous[usize::from(stream)] = frame.header_hash();
        records.push(Record::Frame(StoredFrame {
            position,
            ledger_time: position,
            append_time: position,
            frame,
        }));
    }
    (pool.ledger, records)
}

fn stored(ledger: LedgerId, records: &[Record]) -> (SimDisk, Store) {
    let disk = SimDisk::new(1);
    let (mut store, _) = open(&disk, ledger, 0);
    for record in records {
        append(&mut store, record).unwrap();
        store.sync().unwrap();
    }
    store.seal(store.size() - 2).unwrap();
    (disk, store)
}

#[test]
fn summaries_of_every_length_are_read_however_long_their_neighbours_are() {
    for (streams, rows_max) in [(1, 1), (1, 40), (3, 900), (200, 5)] {
        let (ledger, records) = linked(streams, 300, rows_max);
        let (_, store) = stored(ledger, &records);
        assert!(10 < store.segments().len());
        walk_all(&store, &frames(&records)).unwrap();
    }
}

/// All bits of frames' heads, positions, headers and summaries; and some of the rest.
#[test]
fn every_flipped_bit_of_a_header_or_summary_is_found_and_none_of_a_body() {
    for final_size in [0, 20] {
        let shape = Shape {
            segment_positions: 12,
            segment_bytes: 1 << 20,
            shares_max: 40,
        };
        let pool = grown(4, shape, 26);
        let disk = written(&pool, 9, 0, final_size);
        let path = disk.paths().into_iter().min().unwrap();
        assert_eq!(path.ends_with(".seg"), final_size == 20);
        let opened = SegmentStore::open_read_only(disk.clone(), DIR, pool.ledger, 26);
        let (store, _) = opened.unwrap();
        let frames = frames(&pool.records);
        let whole = first_met(&frames);
        walk_all(&store, &frames).unwrap();
        let bytes = disk.read_raw(&path).unwrap();
        let (mut found, mut passed) = (0, 0);
        for record in record_offsets(&bytes).windows(2) {
            let start = usize::try_from(record[0]).unwrap();
            let here = &bytes[start..usize::try_from(record[1]).unwrap()];
            let head_says_frame = here[4] == 1;
            let position = u64::from_le_bytes(here[16..24].try_into().unwrap());
            let Some(wanted) = frames.get(usize::try_from(position).unwrap()) else {
                continue;
            };
            if !head_says_frame {
                continue;
            }
            let guarded = 8 * (FIXED_BYTES + wanted.frame.summary().len()) as u64;
            let all = 8 * here.len() as u64;
            let some = (guarded..all).step_by(97);
            for bit in (0..guarded).chain(some) {
                disk.flip_bit(&path, 8 * record[0] + bit).unwrap();
                let walked = walk_all(&store, &frames);
                if bit < guarded && !TIMES.contains(&bit) || whole.contains(&position) {
                    let (at, error) = walked.expect_err("a flipped bit");
                    let named = matches!(
                        &error,
                        StoreError::Damaged { file, offset, position, .. }
                            if (file, *offset, *position) == (&path, record[0], at)
                    );
                    assert!(
                        named && at == position,
                        "bit {bit} of {position}: {at} {error}"
                    );
                    found += 1;
                } else {
                    assert_eq!(walked, Ok(()), "bit {bit} of {position}");
                    passed += 1;
                }
                if guarded <= bit {
                    // It is found when the frame is opened.
                    assert!(store.read(position).is_err(), "bit {bit} of {position}");
                }
                disk.flip_bit(&path, 8 * record[0] + bit).unwrap();
            }
        }
        println!("{found} bits found, {passed} passed over");
        assert!(20_000 < found && 100 < passed);
        walk_all(&store, &frames).unwrap();
    }
}

/// Positions that are the last of their streams.
fn first_met(frames: &[StoredFrame]) -> Vec<u64> {
    let stream = |stored: &StoredFrame| stored.frame.header().stream;
    let is_last = |stored: &&StoredFrame| {
        let mut later = frames
            .iter()
            .filter(|later| stored.position < later.position);
        later.all(|later| stream(later) != stream(stored))
    };
    frames
        .iter()
        .filter(is_last)
        .map(|stored| stored.position)
        .collect()
}

/// A frame that is right by itself, in the place of another: only the one after it tells.
#[test]
fn a_whole_frame_put_in_anothers_place_is_found() {
    let (ledger, records) = linked(1, 40, 20);
    let (disk, store) = stored(ledger, &records);
    let frames = frames(&records);
    for position in [3, 17] {
        let wanted = &frames[usize::try_from(position).unwrap()].frame;
        let mut header = wanted.header().clone();
        header.kinds ^= Kind::Moved.bit();
        let other = Frame::join(&header, wanted.summary(), wanted.body()).unwrap();
        let mut record = Vec::new();
        let body = FrameBody {
            position,
            ledger_time: position,
            append_time: position,
            frame: other.bytes(),
        };
        put_frame(&mut record, &body);
        let path = path_of(&disk, position);
        let before = disk.read_raw(&path).unwrap();
        let offset = record_offsets(&before)[usize::try_from(position % 5).unwrap()];
        disk.open(&path).unwrap().write_at(offset, &record).unwrap();
        // By itself it is right.
        assert_eq!(store.read(position).unwrap().unwrap().frame, other);
        let (at, error) = walk_all(&store, &frames).expect_err("another frame");
        assert!(
            at == position && error.to_string().contains("next frame"),
            "{error}"
        );
        disk.write_raw(&path, &before).unwrap();
    }
    walk_all(&store, &frames).unwrap();
}

fn path_of(disk: &SimDisk, position: u64) -> String {
    let first = position / 5 * 5;
    let mut paths = disk.paths().into_iter();
    paths
        .find(|path| path.contains(&format!("/{first:020}.")))
        .unwrap()
}

#[test]
fn what_is_missing_or_wrong_is_an_error_when_it_is_asked_for_and_not_before() {
    let pool = grown(
        3,
        Shape {
            segment_positions: 30,
            ..SMALL
        },
        70,
    );
    let disk = written(&pool, 9, 0, 70);
    let (store, _) = open(&disk, pool.ledger, 70);
    let frames = frames(&pool.records);
    let path = format!("{DIR}/{:020}.seg", 30);
    let bytes = disk.read_raw(&path).unwrap();
    // From a flipped position, or a file that ends early, down.
    let offsets = record_offsets(&bytes);
    let in_the_middle = offsets[offsets.len() / 2];
    disk.flip_bit(&path, 8 * (in_the_middle + 16)).unwrap();
    let (flipped, _) = walk_all(&store, &frames).expect_err("a flipped position");
    assert!((31..59).contains(&flipped), "{flipped}");
    disk.write_raw(&path, &bytes).unwrap();
    // Offsets in the footer that lie elsewhere, in every bit.
    let tables = usize::try_from(offsets[offsets.len() - 2]).unwrap() + HEAD_BYTES + 80;
    for bit in 8 * tables..8 * (tables + 8 * 30) {
        disk.flip_bit(&path, bit as u64).unwrap();
        let wrong = 30 + (bit / 8 - tables) as u64 / 8;
        let (at, error) = walk_all(&store, &frames).expect_err("a flipped offset");
        // An offset also says where the record before it ends.
        assert!(at == wrong || at + 1 == wrong, "bit {bit}: {error}");
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "bit {bit}: {error}"
        );
        disk.flip_bit(&path, bit as u64).unwrap();
    }
    disk.write_raw(&path, &bytes[..200]).unwrap();
    let (short, error) = walk_all(&store, &frames).expect_err("a file that ended early");
    assert!(
        short == 59 && matches!(error, StoreError::Damaged { .. }),
        "{error}"
    );
    disk.remove(&path).unwrap();
    let (gone, error) = walk_all(&store, &frames).expect_err("a file that is gone");
    assert!(
        gone == 59 && matches!(error, StoreError::Disk(_)),
        "{error}"
    );
}
