//! The pool without chance on the embedded log: what depends on the log's append times, and what does not.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_schema::LedgerId;
use orebook_sim::lockstep::{Outcome, Stamped, Table, run};

const LEDGER: LedgerId = LedgerId([0x1c; 16]);
/// The producers' clock at the beginning, milliseconds since 1970.
const BEGAN: u64 = 1_760_000_000_000;
const DAY_MS: u64 = 86_400_000;

/// The embedded log whose clock goes `late` milliseconds after the producers' and `pace` for each record.
fn embedded(late: u64, pace: u64) -> Outcome {
    let log = Stamped::new((0..).map(move |record| BEGAN + late + record * pace));
    run(LEDGER, BEGAN, [log.clone(), log])
}

/// Rows without their times of these days; keys are big-endian, values little-endian.
fn timeless(table: &Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let strip = |bytes: &[u8], read: fn([u8; 8]) -> u64| {
        let (mut rest, mut left) = (bytes, Vec::new());
        while let Some((first, after)) = rest.split_first() {
            match rest.split_first_chunk() {
                Some((word, after)) if (BEGAN..BEGAN + 2 * DAY_MS).contains(&read(*word)) => {
                    left.extend([0; 8]);
                    rest = after;
                }
                _ => {
                    left.push(*first);
                    rest = after;
                }
            }
        }
        left
    };
    let row = |(key, value): (&Vec<u8>, &Vec<u8>)| {
        let key = strip(key, u64::from_be_bytes);
        (key, strip(value, u64::from_le_bytes))
    };
    table.iter().map(row).collect()
}

#[test]
fn the_same_frames_in_the_same_order_at_the_same_times_give_the_same_digests() {
    let (one, other) = (embedded(60_000, 40), embedded(60_000, 40));
    assert_eq!(one, other);
    assert!(24 <= one.digests.len(), "{:?}", one.digests);
}

#[test]
fn other_append_times_change_the_rows_that_show_ledger_time_and_no_money() {
    let (one, other) = (embedded(60_000, 40), embedded(90_000, 55));
    assert_eq!(
        one.frames, other.frames,
        "the same frames at the same positions"
    );
    assert_ne!(one.root, other.root, "ledger time is in every leaf");
    let differing: Vec<_> = one
        .tables
        .iter()
        .filter(|(table, rows)| other.tables.get(table) != Some(rows))
        .map(|(table, _)| *table)
        .collect();
    // The block's row says at what ledger time it was found; a round that is its pot's first, finished or not, when it began; and a
    // block without a report of late frames yet, from what ledger time on it is made. Money notes the time by which a debt is dated.
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
    for table in differing {
        let (one, other) = (
            timeless(&one.tables[&table]),
            timeless(&other.tables[&table]),
        );
        assert!(!one.is_empty(), "{table:?}");
        assert_eq!(one, other, "{table:?} differs in times alone");
    }
    assert!(8 < one.tables.len());
    assert!(
        one.tables.contains_key(&("money", 57)),
        "shares were paid one by one"
    );
}
