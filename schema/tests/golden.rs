//! Golden vectors: bytes written by `schema/golden/make.py` from LEDGER-FORMAT.md, against the encoder and the decoder.
//! Signatures, roots and admission of the golden frames are the ledger's: `ledger/tests/golden_frames.rs`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "golden/account.rs"]
mod account;
#[path = "golden/activity.rs"]
mod activity;
#[path = "golden/desk.rs"]
mod desk;
#[path = "golden/dust.rs"]
mod dust;
#[path = "golden/expected.rs"]
mod expected;
#[path = "golden/limits.rs"]
mod limits;
#[path = "golden/page.rs"]
mod page;
#[path = "golden/payout.rs"]
mod payout;

use std::collections::BTreeSet;
use std::fs;

use expected::{START, events, gateway_key, gateway_stream, ledger, run, run_hash};
use orebook_schema::event::RawEvent;
use orebook_schema::frame::{IncarnationOpened, leaf_entry};
use orebook_schema::names::Pot;
use orebook_schema::summary::{PotSummary, Row, Summary};
use orebook_schema::units::{hex, unhex};
use orebook_schema::{
    Event, Frame, HEADER_BYTES, Hash, Header, Key, Kind, LedgerId, StreamId, Work,
};
use page::{case, cases, folder, text};

const GATEWAY_FRAME: &str = "the gateway's frame of frame.hex";
/// Pages that are not of a kind.
const OTHERS: [&str; 8] = [
    "activity",
    "batch_body",
    "header",
    "frame",
    "leaf_entry",
    "tree",
    "summary",
    "incarnation",
];

#[test]
fn every_kind_has_a_golden_page_and_every_page_is_read() {
    let kinds = Kind::ALL.iter().map(|kind| kind.name());
    let known: BTreeSet<String> = kinds
        .chain(OTHERS)
        .map(|name| format!("{name}.hex"))
        .collect();
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap());
    let found: BTreeSet<String> = files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".hex"))
        .collect();
    assert_eq!(found, known);
}

#[test]
fn golden_events_mean_what_was_typed_beside_them() {
    for kind in Kind::ALL {
        let (golden, typed) = (cases(&format!("{}.hex", kind.name())), events(*kind));
        assert_eq!(golden.len(), typed.len(), "{}", kind.name());
        for (case, (dt, event)) in golden.iter().zip(typed) {
            let what = format!("{}: {}", kind.name(), case.name);
            let raw = RawEvent::one(&case.bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(
                (raw.kind, raw.version, raw.dt),
                (*kind as u8, 0, dt),
                "{what}"
            );
            assert_eq!(raw.decode().as_ref(), Ok(&event), "{what}");
            assert_eq!(hex(&event.to_bytes(dt)), hex(&case.bytes), "{what}");
            assert!(event.is_legal(), "{what}");
            assert_eq!(event.kind(), *kind, "{what}");
        }
    }
}

#[test]
fn every_changed_bit_of_a_golden_event_is_refused_or_means_something_else() {
    let mut refused = 0_u32;
    for kind in Kind::ALL {
        for case in cases(&format!("{}.hex", kind.name())) {
            let raw = RawEvent::one(&case.bytes).unwrap();
            let meaning = (raw.dt, raw.decode().unwrap());
            for bit in 0..8 * case.bytes.len() {
                let mut changed = case.bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                match RawEvent::one(&changed).and_then(|raw| Ok((raw.dt, raw.decode()?))) {
                    Ok(other) => assert_ne!(other, meaning, "{} bit {bit}", case.name),
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(
        10_000 < refused,
        "{refused} changed bits were refused: too few"
    );
}

#[test]
fn every_shortened_or_lengthened_golden_event_is_refused() {
    for kind in Kind::ALL {
        for case in cases(&format!("{}.hex", kind.name())) {
            let whole = &case.bytes;
            for len in 0..whole.len() {
                assert!(
                    RawEvent::one(&whole[..len]).is_err(),
                    "{}: {len}",
                    case.name
                );
            }
            let longer = [whole.as_slice(), &[0]].concat();
            assert!(
                RawEvent::one(&longer).is_err(),
                "{}: a byte more",
                case.name
            );
        }
    }
}

/// The typed meaning of a number in a comment: `# name, u32: 1,234` or `# name, u32: 19, share`.
fn typed_number(comment: &str) -> Option<(usize, u128)> {
    let (label, meaning) = comment.split_once(": ")?;
    let bits: usize = label.rsplit_once(", u")?.1.parse().ok()?;
    let grouped = |part: &&str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = meaning.split(',');
    let first = parts.next()?.to_owned();
    let digits = parts
        .take_while(|part| grouped(part))
        .fold(first, |all, part| all + part);
    Some((bits / 8, digits.parse().ok()?))
}

#[test]
fn numbers_in_comments_are_the_bytes_below_them() {
    let mut checked = 0_u32;
    let pages = Kind::ALL.iter().map(|kind| kind.name()).chain(OTHERS);
    for page in pages.map(|name| format!("{name}.hex")) {
        let text = text(&page);
        for (comment, line) in text.lines().zip(text.lines().skip(1)) {
            let Some((bytes, number)) = comment.strip_prefix("# ").and_then(typed_number) else {
                continue;
            };
            let expected = hex(&number.to_le_bytes()[..bytes]);
            assert_eq!(line, expected, "{page}: {comment}");
            checked += 1;
        }
    }
    assert!(600 < checked, "{checked} numbers were checked: too few");
}

fn node(left: Hash, right: Hash) -> Hash {
    Hash::of(&[&[1], &left.0, &right.0])
}

fn gateway_header(frame: &Frame) -> Header {
    let leaves: Vec<Hash> = frame
        .events()
        .map(|event| Hash::of(&[&[0], event.unwrap().bytes]))
        .collect();
    let bytes = frame.bytes();
    Header {
        ledger: ledger(),
        stream: gateway_stream(),
        coin: 1,
        epoch: 0,
        first_seq: 0,
        count: 4,
        body_len: 268,
        base_time: START + 2_000,
        last_time: START + 2_900,
        previous: Hash::ZERO,
        events_root: node(node(leaves[0], leaves[1]), node(leaves[2], leaves[3])),
        summary_hash: Hash::of(&[&bytes[288..302]]),
        kinds: Kind::Worker.bit() | Kind::Job.bit() | Kind::Share.bit(),
        schema_set: 0,
        summary_len: 14,
        key: gateway_key(),
        signature: bytes[224..288].try_into().unwrap(),
    }
}

fn edge_header() -> Header {
    Header {
        ledger: LedgerId([0xff; 16]),
        stream: StreamId([0; 16]),
        coin: u32::MAX,
        epoch: u32::MAX,
        first_seq: u64::MAX - 1_000,
        count: 1_000,
        body_len: 49_152,
        base_time: u64::MAX,
        last_time: u64::MAX,
        previous: Hash([0xff; 32]),
        events_root: Hash::ZERO,
        summary_hash: run_hash(0),
        kinds: u64::MAX,
        schema_set: u32::MAX,
        summary_len: 49_152,
        key: Key(run_hash(0x20).0),
        signature: run(0x40, 64).try_into().unwrap(),
    }
}

#[test]
fn golden_headers_mean_what_was_typed() {
    let frame = Frame::read(case("frame.hex", "gateway")).unwrap();
    let typed = [
        (GATEWAY_FRAME, gateway_header(&frame)),
        ("edges, signed by nobody", edge_header()),
    ];
    assert_eq!(cases("header.hex").len(), typed.len());
    for (name, header) in typed {
        let bytes: [u8; HEADER_BYTES] = case("header.hex", name).try_into().unwrap();
        assert_eq!(Header::read(&bytes).as_ref(), Ok(&header), "{name}");
        assert_eq!(hex(&header.to_bytes()), hex(&bytes), "{name}");
    }
    assert_eq!(edge_header().next_seq(), u64::MAX);
}

#[test]
fn golden_frames_come_apart_and_together_again() {
    for case in cases("frame.hex") {
        let frame = Frame::read(case.bytes.clone()).unwrap();
        let pieces = [frame.header_bytes(), frame.summary(), frame.body()].concat();
        assert_eq!(pieces, case.bytes, "{}", case.name);
        let again = Frame::join(frame.header(), frame.summary(), frame.body()).unwrap();
        assert_eq!(again, frame, "{}", case.name);
        let raws: Vec<RawEvent<'_>> = frame.events().map(|raw| raw.unwrap()).collect();
        let decoded = frame.decode().unwrap();
        assert_eq!(
            u32::try_from(decoded.len()),
            Ok(frame.header().count),
            "{}",
            case.name
        );
        let body: Vec<u8> = decoded
            .iter()
            .zip(&raws)
            .flat_map(|(event, raw)| event.to_bytes(raw.dt))
            .collect();
        assert_eq!(body, frame.body(), "{}", case.name);
    }
}

#[test]
fn the_golden_frame_says_a_worker_a_job_and_two_shares() {
    let frame = Frame::read(case("frame.hex", "gateway")).unwrap();
    let events = frame.decode().unwrap();
    let [
        Event::Worker(worker),
        Event::Job(job),
        Event::Share(first),
        Event::Share(second),
    ] = events.as_slice()
    else {
        panic!("other events: {events:?}");
    };
    assert_eq!(worker.name.as_str(), "rig-1");
    assert_eq!(worker.account.to_string(), "name:anna");
    assert_eq!((worker.number, worker.pot, job.number), (0, Pot(0), 0));
    assert_eq!(
        (job.network_work, job.nbits, job.height),
        (1 << 32, 0x207f_ffff, 102)
    );
    assert_eq!(
        (first.work, first.stale),
        (Work::new(12_884_902).unwrap(), false)
    );
    assert_eq!(
        (second.work, second.stale),
        (Work::new(12_884_903).unwrap(), true)
    );
    assert_eq!(Summary::read(frame.summary()).unwrap(), frame_summary());
}

#[test]
fn golden_leaf_entries_are_position_time_and_header() {
    let times = [
        ("genesis", START + 5),
        ("checkpoint", START + 1_003),
        ("gateway", START + 2_950),
    ];
    for (position, (name, ledger_time)) in (0..).zip(times) {
        let frame = Frame::read(case("frame.hex", name)).unwrap();
        let entry = case("leaf_entry.hex", name);
        assert_eq!(entry.len(), 304, "{name}");
        assert_eq!(frame.leaf_entry(position, ledger_time), entry, "{name}");
        assert_eq!(
            leaf_entry(position, ledger_time, frame.header_bytes()),
            entry
        );
        let leaf = case("tree.hex", &format!("leaf hash {position}"));
        assert_eq!(Hash::of(&[&[0], &entry]).0, leaf.as_slice(), "{name}");
    }
}

fn frame_summary() -> Summary {
    pots(vec![(0, 4_500_000_039, vec![(0, 2, 19_327_353)])])
}

type Rows = Vec<(u32, u32, u128)>;

fn pots(pots: Vec<(u16, u128, Rows)>) -> Summary {
    let row = |(worker, count, credit)| Row {
        worker,
        count,
        credit,
    };
    let pot = |(pot, effort, rows): (u16, u128, Rows)| PotSummary {
        pot: Pot(pot),
        effort,
        rows: rows.into_iter().map(row).collect(),
    };
    Summary {
        pots: pots.into_iter().map(pot).collect(),
    }
}

#[test]
fn golden_summaries_mean_what_was_typed() {
    let two = vec![
        (1, 0, vec![(0, 1, 0)]),
        (
            300,
            127,
            vec![(0, 128, 16_384), (127, 1, 1 << 64), (255, 2, 1)],
        ),
    ];
    let most = vec![
        (0, u128::MAX, vec![(0, u32::MAX, u128::MAX)]),
        (u16::MAX, u128::MAX, vec![(u32::MAX, 1, u128::MAX)]),
    ];
    let typed = [
        ("no shares", Summary::default()),
        (GATEWAY_FRAME, frame_summary()),
        ("two pots", pots(two)),
        ("most", pots(most)),
    ];
    assert_eq!(cases("summary.hex").len(), typed.len());
    for (name, summary) in typed {
        let bytes = case("summary.hex", name);
        assert_eq!(Summary::read(&bytes).as_ref(), Ok(&summary), "{name}");
        assert_eq!(hex(&summary.to_bytes()), hex(&bytes), "{name}");
    }
    assert_eq!(hex(&case("summary.hex", "no shares")), "00");
}

#[test]
fn golden_incarnations_mean_what_was_typed() {
    let root = |name| Hash(case("tree.hex", name).try_into().unwrap());
    let typed = [
        ("first", 0, 0, Hash::of(&[])),
        (
            "after the frames of frame.hex",
            1,
            3,
            root("root of size 3"),
        ),
        ("most", u32::MAX, u64::MAX, Hash([0xff; 32])),
    ];
    assert_eq!(root("root of size 0"), Hash::of(&[]));
    for (name, incarnation, next_position, root) in typed {
        let opened = IncarnationOpened {
            ledger: ledger(),
            incarnation,
            next_position,
            root,
        };
        let bytes = case("incarnation.hex", name);
        assert_eq!(bytes.len(), 68, "{name}");
        assert_eq!(IncarnationOpened::read(&bytes), Ok(opened), "{name}");
        assert_eq!(opened.to_bytes(), bytes, "{name}");
    }
}

/// The hex of the fenced blocks of the example, checked for their offsets.
fn example_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    for fenced in text.split("```text\n").skip(1) {
        let mut all = String::new();
        for line in fenced.lines().take_while(|line| *line != "```") {
            let (bytes, _meaning) = line.split_once('|').expect("bytes | meaning");
            let mut words = bytes.split_whitespace();
            let offset: usize = words.next().unwrap().parse().unwrap();
            assert_eq!(offset, all.len() / 2, "{line}");
            all.push_str(words.next().expect("bytes"));
            assert_eq!(words.next(), None, "{line}");
        }
        blocks.push(all);
    }
    blocks
}

#[test]
fn the_worked_example_is_the_golden_frame() {
    let text = text("EXAMPLE.md");
    let frame = Frame::read(case("frame.hex", "gateway")).unwrap();
    let share = frame.events().nth(2).unwrap().unwrap();
    let recovered = case("block_recovered.hex", "typical");
    let expected = [
        hex(share.bytes),
        hex(frame.summary()),
        hex(&recovered),
        hex(frame.bytes()),
    ];
    assert_eq!(example_blocks(&text), expected);
    let named = [
        ("- header hash ", frame.header_hash()),
        ("- events root ", frame.header().events_root),
        (
            "- leaf hash ",
            Hash::of(&[&[0], &frame.leaf_entry(2, START + 2_950)]),
        ),
    ];
    for (label, hash) in named {
        let line = text.lines().find(|line| line.starts_with(label)).unwrap();
        assert!(line.ends_with(&format!(": `{hash}`")), "{line}");
    }
    assert_eq!(
        unhex(&frame.header_hash().to_string()).unwrap(),
        case("tree.hex", "header hash of the gateway's frame")
    );
}
