//! The audit trail: every command is in it, and each bit of it is held by the chain.

use orebook_desk::audit::{Audit, AuditError, verify};
use orebook_ledger::disk::{Disk as _, DiskFile as _};
use orebook_sim::disk::SimDisk;
use serde_json::{Map, Value};

use crate::world::{OPERATOR, STRANGER, World, fee, from, revoke, signer};
use orebook_schema::At;

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
    let (mut audit, _) = Audit::open(&disk, "desk", &mut |_| {}).expect("a new one");
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
        let (mut audit, found) = Audit::open(&disk, "desk", &mut |_| {}).expect("it opens");
        assert!(70 <= found.torn_bytes, "{kept}");
        audit.note(9, "after", Map::new()).expect("room");
        let trail = verify(&disk, "desk", &mut |_| {}).expect("the chain holds");
        assert_eq!(trail.lines, found.lines + 1, "{kept}");
        assert_eq!(trail.torn_bytes, 0, "{kept}");
    }
}
