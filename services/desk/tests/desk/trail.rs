//! The audit trail: every command is in it, and each bit of it is held by the chain.

use orebook_desk::audit::{Audit, AuditError, FILE_BYTES_MAX, FILES_KEPT, verify};
use orebook_ledger::disk::{Disk as _, DiskFile as _};
use orebook_sim::disk::SimDisk;
use serde_json::{Map, Value};

use crate::world::{CLERK, OPERATOR, STRANGER, World, fee, from, revoke, signer};
use orebook_schema::At;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Counts the machine's errors.
struct Errors(Arc<AtomicU64>);

impl Subscriber for Errors {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        *of.level() == Level::ERROR && of.target() == "orebook_desk::machine"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_trail_without_room_is_an_error_once_until_it_has_room_again() {
    let counted = Arc::new(AtomicU64::new(0));
    let _watched = tracing::subscriber::set_default(Errors(Arc::clone(&counted)));
    let mut world = World::new();
    let disk = world.desks[0].disk.clone();
    let mut refused = 0;
    let mut try_some = |capacity: Option<u64>| {
        disk.faults().set_capacity(capacity);
        for _ in 0..3 {
            // Not his to say: refused, which is a line.
            world.send(CLERK, &fee(refused, At::default()));
            refused += 1;
        }
    };
    for (capacity, errors) in [(None, 0), (Some(0), 1), (None, 1), (Some(0), 2)] {
        try_some(capacity);
        assert_eq!(counted.load(Ordering::Relaxed), errors, "{capacity:?}");
    }
    disk.faults().set_capacity(None);
    assert_eq!(lines(&disk).len(), 6, "what found room");
}

fn lines(disk: &SimDisk) -> Vec<Value> {
    let bytes = disk.read_raw("desk/audit.jsonl").expect("it is there");
    let text = String::from_utf8(bytes).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn who_wanted_what_from_where_and_what_he_was_answered_is_noted_refusals_too() {
    let mut world = World::new();
    world.send(OPERATOR, &revoke());
    world.send(OPERATOR, &fee(10_000, At::default()));
    world.send(STRANGER, &revoke());
    let lines = lines(&world.desks[0].disk);
    let what: Vec<&str> = lines
        .iter()
        .map(|line| line["what"].as_str().expect("a text"))
        .collect();
    assert_eq!(what, ["said", "answered", "refused", "refused"]);
    for line in [&lines[0], &lines[2]] {
        assert_eq!(line["who"], "olga");
        assert_eq!(line["key"], signer(OPERATOR).key().to_string());
    }
    for line in [&lines[0], &lines[2], &lines[3]] {
        assert_eq!(line["from"], from().to_string());
    }
    assert_eq!(lines[1]["id"], lines[0]["id"]);
    assert_eq!(lines[1]["answer"]["outcome"], "waits");
    assert_eq!(lines[2]["answer"]["cause"], "already");
    assert_eq!(lines[3]["answer"]["cause"], "unknown_operator");
    let whole = serde_json::to_string(&lines).expect("JSON");
    let secret = orebook_schema::units::hex(&[OPERATOR; 32]);
    assert!(!whole.contains(&secret), "no secret is noted");
}

fn trail(count: u32) -> SimDisk {
    let disk = SimDisk::new(3);
    let (mut audit, _) =
        Audit::open(&disk, "desk", FILE_BYTES_MAX, &mut |_| {}).expect("a new one");
    for number in 0..count {
        let mut fields = Map::new();
        fields.insert("number".to_owned(), number.into());
        audit
            .note(u64::from(number), "tried", fields)
            .expect("room");
    }
    disk
}

#[test]
fn a_changed_removed_or_swapped_line_is_found() {
    let disk = trail(5);
    let bytes = disk.read_raw("desk/audit.jsonl").expect("it is there");
    let verified = |bytes: &[u8]| {
        let copy = SimDisk::new(4);
        copy.create_dir("desk").expect("a folder");
        let mut file = copy.create("desk/audit.jsonl").expect("a file");
        file.write_at(0, bytes).expect("room");
        verify(&copy, "desk", &mut |_| {})
    };
    assert_eq!(verified(&bytes).map(|trail| trail.lines), Ok(5));
    let ends: Vec<usize> = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    // The last line is told from a torn one by nothing but the next: its bits are held once another follows.
    for bit in 0..ends[3] * 8 {
        let mut other = bytes.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(
            matches!(verified(&other), Err(AuditError::Damaged { .. })),
            "bit {bit}"
        );
    }
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for order in [vec![0, 2, 3, 4], vec![1, 2, 3, 4], vec![0, 2, 1, 3, 4]] {
        let other: Vec<u8> = order.iter().flat_map(|at| lines[*at].to_vec()).collect();
        assert!(verified(&other).is_err(), "{order:?}");
    }
}

#[test]
fn a_torn_last_line_is_cut_and_the_chain_goes_on() {
    let whole = trail(3);
    let bytes = whole.read_raw("desk/audit.jsonl").expect("it is there");
    for kept in [0, 1, 50, bytes.len() - 1, bytes.len()] {
        let disk = SimDisk::new(5);
        disk.create_dir("desk").expect("a folder");
        let mut file = disk.create("desk/audit.jsonl").expect("a file");
        file.write_at(0, &bytes[..kept]).expect("room");
        // A file that grew and was not written.
        file.write_at(kept as u64, &[0; 70]).expect("room");
        drop(file);
        let (mut audit, found) =
            Audit::open(&disk, "desk", FILE_BYTES_MAX, &mut |_| {}).expect("it opens");
        assert!(70 <= found.torn_bytes, "{kept}");
        audit.note(9, "after", Map::new()).expect("room");
        let trail = verify(&disk, "desk", &mut |_| {}).expect("the chain holds");
        assert_eq!(trail.lines, found.lines + 1, "{kept}");
        assert_eq!(trail.torn_bytes, 0, "{kept}");
    }
}

/// Lines of a test's files: a few to a file.
const SMALL: u64 = 900;

fn numbered(number: u64) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("number".to_owned(), number.into());
    fields
}

/// The numbers that a trail holds.
fn numbers(disk: &SimDisk) -> Vec<u64> {
    let mut found = Vec::new();
    let read = verify(disk, "desk", &mut |line| {
        found.push(line["number"].as_u64().expect("a number"));
    });
    let trail = read.expect("the chain holds");
    assert_eq!(trail.lines, found.last().map_or(0, |last| last + 1));
    assert_eq!(trail.first, found.first().map_or(0, |first| first + 1));
    found
}

#[test]
fn full_files_are_put_aside_and_the_oldest_are_dropped() {
    let disk = SimDisk::new(6);
    let mut count = 0;
    // Several lives, so that each file is begun by one and ended by another.
    for life in 0..20 {
        let mut seen = 0;
        let (mut audit, trail) =
            Audit::open(&disk, "desk", SMALL, &mut |_| seen += 1).expect("it opens");
        assert_eq!(trail.lines, count, "life {life}");
        assert_eq!(seen, trail.lines + 1 - trail.first.max(1), "life {life}");
        for _ in 0..7 {
            audit.note(count, "tried", numbered(count)).expect("room");
            count += 1;
        }
    }
    let kept = numbers(&disk);
    assert!(0 < kept[0] && kept.is_sorted() && kept.len() as u64 == count - kept[0]);
    let files: Vec<String> = disk.list("desk").expect("a folder");
    assert_eq!(files.len(), FILES_KEPT + 1);
    let mut bytes = Vec::new();
    for file in &files {
        let read = disk.read_raw(&format!("desk/{file}")).expect("it is there");
        assert!(read.len() as u64 <= SMALL, "{file}");
        bytes.push(read);
    }
    // A bit of any file but the newest line's is found, and so is a file that is missing in between.
    for (file, read) in files
        .iter()
        .zip(&bytes)
        .filter(|(_, read)| !read.is_empty())
    {
        let path = format!("desk/{file}");
        disk.flip_bit(&path, 8 * 12).expect("a file");
        let found = verify(&disk, "desk", &mut |_| {});
        let is_newest = *file == "audit.jsonl" && read.iter().filter(|b| **b == b'\n').count() == 1;
        let found = matches!(found, Err(AuditError::Damaged { .. }));
        assert!(found || is_newest, "{file}");
        disk.flip_bit(&path, 8 * 12).expect("a file");
    }
    let middle = files.iter().filter(|file| *file != "audit.jsonl").nth(5);
    disk.remove(&format!("desk/{}", middle.expect("many files")))
        .expect("removed");
    let found = verify(&disk, "desk", &mut |_| {});
    assert!(matches!(found, Err(AuditError::Damaged { .. })));
}

#[test]
fn a_crash_while_a_file_is_put_aside_loses_no_line_that_was_synced() {
    for power in [false, true] {
        let mut at = 0;
        loop {
            at += 1;
            let disk = SimDisk::new(at);
            let (mut audit, _) = Audit::open(&disk, "desk", SMALL, &mut |_| {}).expect("a new one");
            disk.faults().crash_after(at);
            let mut synced = 0;
            while synced < 40 && audit.note(synced, "tried", numbered(synced)).is_ok() {
                synced += 1;
            }
            drop(audit);
            if !disk.crashed() {
                break;
            }
            if power {
                disk.restart();
            } else {
                disk.restart_process();
            }
            let (mut audit, trail) =
                Audit::open(&disk, "desk", SMALL, &mut |_| {}).expect("it opens again");
            // The line in hand may have come to the disk.
            assert!(synced <= trail.lines && trail.lines <= synced + 1, "{at}");
            let next = trail.lines;
            audit.note(next, "after", numbered(next)).expect("room");
            assert_eq!(numbers(&disk), (0..=next).collect::<Vec<u64>>(), "{at}");
        }
        assert!(60 < at, "each operation was the last one once: {at}");
    }
}
