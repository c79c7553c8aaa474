//! Every limit of sections 2, 3 and 5, from both sides: the last value inside is read, the first one outside is refused.

use orebook_schema::bytes::DecodeError;
use orebook_schema::event::{Moved, NO_NUMBER, Part, RecoveryCode, RecoveryNote, SchemaEntry};
use orebook_schema::genesis::{Approved, Genesis};
use orebook_schema::names::Pot;
use orebook_schema::policy::PotRules;
use orebook_schema::work::{BlockFound, BlockRecovered, BlockStatus, EthashJob, Job};
use orebook_schema::{Event, HEADER_BYTES, Hash, Header, Key, Kind, Policy, Role};

use orebook_schema::event::RawEvent;

use crate::edge_header;
use crate::expected::{events, genesis_typical, run_hash};

fn is_read(bytes: &[u8]) -> bool {
    RawEvent::one(bytes).and_then(|raw| raw.decode()).is_ok()
}

fn assert_inside(what: &str, event: &Event) {
    assert!(
        is_read(&event.to_bytes(1)) && event.is_legal(),
        "{what} is inside"
    );
}

/// The encoder writes it, since it is trusted, but nobody reads it.
fn assert_outside(what: &str, event: &Event) {
    assert!(!event.is_legal(), "{what} is outside");
    assert!(!is_read(&event.to_bytes(1)), "{what} is outside");
}

/// The first golden event of the kind.
fn first(kind: Kind) -> Event {
    events(kind).swap_remove(0).1
}

/// The first golden event of the kind with other bytes at an offset of its fields.
fn patched(kind: Kind, offset: usize, bytes: &[u8]) -> bool {
    let mut event = first(kind).to_bytes(0);
    assert!(is_read(&event));
    event[8 + offset..8 + offset + bytes.len()].copy_from_slice(bytes);
    is_read(&event)
}

fn genesis(edit: impl FnOnce(&mut Genesis)) -> Event {
    let mut genesis = genesis_typical();
    edit(&mut genesis);
    Event::Genesis(Box::new(genesis))
}

fn policy(edit: impl FnOnce(&mut Policy)) -> Event {
    genesis(|genesis| edit(&mut genesis.policy))
}

fn pot(edit: impl FnOnce(&mut PotRules)) -> Event {
    policy(|policy| {
        let pot = &mut policy.pots[0];
        // Who pays by the coinbase has no bonus.
        (pot.direct_min, pot.direct_outputs) = (0, 0);
        edit(pot);
    })
}

fn ethash_job(edit: impl FnOnce(&mut EthashJob)) -> Event {
    let Event::EthashJob(mut job) = first(Kind::EthashJob) else {
        panic!("the page of ethash jobs has ethash jobs");
    };
    edit(&mut job);
    Event::EthashJob(job)
}

fn job(edit: impl FnOnce(&mut Job)) -> Event {
    let Event::Job(mut job) = first(Kind::Job) else {
        panic!("a job");
    };
    edit(&mut job);
    Event::Job(job)
}

fn status(edit: impl FnOnce(&mut BlockStatus)) -> Event {
    let Event::BlockStatus(mut status) = first(Kind::BlockStatus) else {
        panic!("a status");
    };
    edit(&mut status);
    Event::BlockStatus(status)
}

fn recovered(edit: impl FnOnce(&mut BlockRecovered)) -> Event {
    let Event::BlockRecovered(mut block) = first(Kind::BlockRecovered) else {
        panic!("a recovered block");
    };
    edit(&mut block);
    Event::BlockRecovered(block)
}

fn moved(case: usize, edit: impl FnOnce(&mut Moved)) -> Event {
    let Event::Moved(mut moved) = events(Kind::Moved).swap_remove(case).1 else {
        panic!("a moved");
    };
    edit(&mut moved);
    Event::Moved(moved)
}

fn note(text: &str) -> Event {
    Event::RecoveryNote(RecoveryNote {
        code: RecoveryCode::TornTail,
        text: text.to_owned(),
    })
}

fn part(index: u16, of: u16, len: usize) -> Event {
    Event::Part(Part {
        whole: Hash::ZERO,
        index,
        of,
        bytes: vec![1; len],
    })
}

fn block_found(len: usize) -> Event {
    Event::BlockFound(BlockFound {
        hash: Hash::ZERO,
        height: 0,
        coinbase_txid: Hash::ZERO,
        header: vec![1; len],
    })
}

#[test]
fn texts_and_bytes_have_their_limits() {
    assert_inside("512 bytes", &note(&"x".repeat(512)));
    assert_outside("513 bytes", &note(&"x".repeat(513)));
    for control in ['\0', '\n', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'] {
        assert_outside("a control character", &note(&format!("a{control}b")));
    }
    assert_inside("what only looks so", &note("a\u{a0}\u{2028}\u{feff}b"));
    assert_outside("no bytes", &part(0, 1, 0));
    assert_inside("32,000 bytes", &part(0, 1, 32_000));
    assert_outside("32,001 bytes", &part(0, 1, 32_001));
    assert_outside("a part after the last", &part(1, 1, 1));
    assert_outside("a part of none", &part(0, 0, 1));
    assert_inside("80 bytes", &block_found(80));
    assert_outside("81 bytes", &block_found(81));
}

#[test]
fn jobs_have_their_limits() {
    assert_inside("coinbase1", &job(|job| job.coinbase1 = vec![1; 8_192]));
    assert_outside("coinbase1", &job(|job| job.coinbase1 = vec![1; 8_193]));
    assert_inside("coinbase2", &job(|job| job.coinbase2 = vec![1; 16_384]));
    assert_outside("coinbase2", &job(|job| job.coinbase2 = vec![1; 16_385]));
    assert_inside("branches", &job(|job| job.branches = vec![Hash::ZERO; 16]));
    assert_outside("branches", &job(|job| job.branches = vec![Hash::ZERO; 17]));
    assert_outside("network work", &job(|job| job.network_work = 0));
    assert_inside("fees", &job(|job| job.fees = job.reward));
    assert_outside("fees", &job(|job| job.fees = job.reward + 1));
    let flags = 4 + 10 + 8 + 16 + 16 + 16 + 4 + 32 + 4 + 4;
    assert!(patched(Kind::Job, flags, &[0]) && patched(Kind::Job, flags, &[1]));
    assert!(!patched(Kind::Job, flags, &[2]) && !patched(Kind::Job, flags, &[0x81]));
    let most = job(|job| {
        job.coinbase1 = vec![1; 8_192];
        job.coinbase2 = vec![2; 16_384];
        job.branches = vec![run_hash(3); 16];
    });
    assert_inside("the longest job", &most);
    assert_eq!(most.to_bytes(0).len(), 25_224);
}

#[test]
fn shares_and_difficulties_have_their_limits() {
    for (kind, offset) in [(Kind::Share, 8), (Kind::Difficulty, 4)] {
        for (work, legal) in [
            (0, false),
            (1, true),
            (u64::MAX >> 1, true),
            (1 << 63, false),
        ] {
            assert_eq!(
                patched(kind, offset, &u64::to_le_bytes(work)),
                legal,
                "{work}"
            );
        }
    }
    for flags in 0..=u16::MAX {
        let legal = patched(Kind::Share, 16, &flags.to_le_bytes());
        assert_eq!(legal, flags < 4, "flags {flags}");
    }
    for (len, legal) in [(37, false), (38, true), (46, true), (47, false)] {
        let mut share = [0; 47];
        share[..8].copy_from_slice(&[19, 0, len, 0, 0, 0, 0, 0]);
        share[16] = 1;
        assert_eq!(is_read(&share[..usize::from(len)]), legal, "{len} bytes");
    }
}

#[test]
fn ethash_jobs_and_shares_have_their_limits() {
    assert_outside("network work", &ethash_job(|job| job.network_work = 0));
    assert_inside("network work", &ethash_job(|job| job.network_work = 1));
    assert_inside("fees", &ethash_job(|job| job.fees = job.reward));
    assert_outside("fees", &ethash_job(|job| job.fees = job.reward + 1));
    let fees = 4 + 10 + 8 + 16 + 16;
    let flags = fees + 16 + 32 + 32 + 4;
    for byte in 0..=u8::MAX {
        let legal = patched(Kind::EthashJob, flags, &[byte]);
        assert_eq!(legal, byte < 2, "flags {byte}");
    }
    for (work, legal) in [
        (0, false),
        (1, true),
        (u64::MAX >> 1, true),
        (1 << 63, false),
    ] {
        let work = u64::to_le_bytes(work);
        assert_eq!(patched(Kind::EthashShare, 8, &work), legal, "{work:?}");
    }
    for flags in 0..=u16::MAX {
        let legal = patched(Kind::EthashShare, 16, &flags.to_le_bytes());
        assert_eq!(legal, flags < 4, "flags {flags}");
    }
    for (len, legal) in [(33, false), (34, true), (35, false)] {
        let mut share = [0; 35];
        share[..8].copy_from_slice(&[24, 0, len, 0, 0, 0, 0, 0]);
        share[16] = 1;
        assert_eq!(is_read(&share[..usize::from(len)]), legal, "{len} bytes");
    }
}

/// A worker of these bytes: extranonce1, extranonce2_size, account, name; each string with its length.
fn worker(extranonce1: usize, size: u8, kind: u8, account: &[u8], name: &[u8]) -> bool {
    let mut fields = vec![0; 6];
    fields.push(u8::try_from(extranonce1).unwrap());
    fields.extend(vec![1; extranonce1]);
    fields.extend([size, 0, 0, 0, 0, kind, u8::try_from(account.len()).unwrap()]);
    fields.extend(account);
    fields.push(u8::try_from(name.len()).unwrap());
    fields.extend(name);
    let len = u8::try_from(8 + fields.len()).unwrap();
    is_read(&[&[16, 0, len, 0, 0, 0, 0, 0], fields.as_slice()].concat())
}

#[test]
fn workers_have_their_limits() {
    assert!(worker(8, 8, 1, &[0], b"a"));
    assert!(!worker(9, 8, 1, &[0], b"a") && !worker(8, 9, 1, &[0], b"a"));
    assert!(!worker(0, 0, 0, &[0], b"a") && !worker(0, 0, 4, &[0], b"a"));
    for (kind, least, most) in [(1, 1, 64), (2, 20, 20), (3, 1, 32)] {
        for len in 0..=70 {
            let legal = (least..=most).contains(&len);
            assert_eq!(
                worker(0, 0, kind, &vec![b'a'; len], b"a"),
                legal,
                "{kind}: {len}"
            );
        }
    }
    for len in 0..=70 {
        let legal = (1..=64).contains(&len);
        assert_eq!(
            worker(0, 0, 1, &[0], &vec![b'a'; len]),
            legal,
            "name of {len}"
        );
    }
    for byte in 0..=u8::MAX {
        let lower = byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        assert_eq!(worker(0, 0, 3, &[byte], b"a"), lower, "account {byte}");
        let legal = lower || byte.is_ascii_uppercase() || byte == b'.';
        assert_eq!(worker(0, 0, 1, &[0], &[byte]), legal, "name {byte}");
        assert!(worker(0, 0, 1, &[byte], b"a"));
    }
}

#[test]
fn small_numbers_have_their_limits() {
    let role = 32;
    let code = 0;
    for byte in 0..=u8::MAX {
        assert_eq!(
            patched(Kind::KeyChange, role, &[byte]),
            (1..=5).contains(&byte)
        );
        assert_eq!(
            patched(Kind::KeyChange, role + 1, &[byte]),
            (1..=2).contains(&byte)
        );
        assert_eq!(
            patched(Kind::RecoveryNote, code, &[byte]),
            (1..=4).contains(&byte)
        );
        assert_eq!(
            patched(Kind::BlockStatus, 42, &[byte]),
            (1..=5).contains(&byte)
        );
    }
    assert!(patched(Kind::Checkpoint, 0, &u64::to_le_bytes(1)));
    assert!(!patched(Kind::Checkpoint, 0, &u64::to_le_bytes(0)));
    assert_inside("fees", &status(|status| status.fees = status.value));
    assert_outside("fees", &status(|status| status.fees = status.value + 1));
    assert_inside("fees", &recovered(|block| block.fees = block.value));
    assert_outside("fees", &recovered(|block| block.fees = block.value + 1));
}

#[test]
fn moved_events_have_a_share_with_numbers_or_a_block_without() {
    for (kind, legal) in [
        (Kind::Share, true),
        (Kind::EthashShare, true),
        (Kind::EthashJob, false),
        (Kind::Worker, false),
        (Kind::Moved, false),
    ] {
        let event = moved(0, |moved| moved.event = first(kind).to_bytes(0));
        assert_eq!(is_read(&event.to_bytes(0)), legal, "{}", kind.name());
    }
    assert_outside(
        "a share without worker",
        &moved(0, |moved| moved.worker = NO_NUMBER),
    );
    assert_outside(
        "a share without job",
        &moved(0, |moved| moved.job = NO_NUMBER),
    );
    assert_outside("a block with worker", &moved(1, |moved| moved.worker = 0));
    assert_outside("a block with job", &moved(1, |moved| moved.job = 0));
    assert_inside(
        "the last time",
        &moved(0, |moved| moved.base_time = u64::MAX - 999),
    );
    assert_outside(
        "a time after it",
        &moved(0, |moved| moved.base_time = u64::MAX - 998),
    );
    assert_outside("a byte more", &moved(0, |moved| moved.event.push(0)));
    assert_outside("nothing inside", &moved(0, |moved| moved.event.clear()));
}

#[test]
fn genesis_has_its_limits() {
    let sizes = |positions, bytes| {
        genesis(|genesis| (genesis.segment_positions, genesis.segment_bytes) = (positions, bytes))
    };
    assert_inside("sizes", &sizes(1, 65_536));
    assert_inside("sizes", &sizes(1_048_576, 1 << 32));
    assert_outside("positions", &sizes(0, 65_536));
    assert_outside("positions", &sizes(1_048_577, 65_536));
    assert_outside("bytes", &sizes(1, 65_535));
    assert_outside("bytes", &sizes(1, (1 << 32) + 1));
    assert_inside("decimals", &genesis(|genesis| genesis.decimals = 18));
    assert_outside("decimals", &genesis(|genesis| genesis.decimals = 19));
    for (answers, legal) in [(0, false), (1, true), (2, true), (3, false)] {
        let event = genesis(|genesis| genesis.digest_answers = answers);
        assert_eq!(event.is_legal(), legal, "{answers} answers");
    }
    let name_at = 20;
    for byte in 0..=u8::MAX {
        let legal = byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert_eq!(patched(Kind::Genesis, name_at + 1, &[byte]), legal);
        let algorithm = name_at + 1 + "regtest".len();
        assert_eq!(
            patched(Kind::Genesis, algorithm, &[byte]),
            // One of its pots pays by the coinbase, which blocks of 4 and 5 cannot.
            (1..=3).contains(&byte)
        );
    }
}

#[test]
fn lists_of_genesis_have_their_limits() {
    let keys = |count: u8| (0..count).map(|n| Key([n; 32])).collect::<Vec<_>>();
    for (count, legal) in [(0, false), (1, true), (16, true), (17, false)] {
        let event = genesis(|genesis| {
            genesis.approvers = keys(count);
            genesis.approvals.clear();
        });
        assert_eq!(event.is_legal(), legal, "{count} approvers");
    }
    for (count, legal) in [(0, false), (1, true), (64, true), (65, false)] {
        let event = genesis(|genesis| {
            genesis.producers = keys(count)
                .into_iter()
                .map(|key| (key, Role::Desk))
                .collect();
        });
        assert_eq!(event.is_legal(), legal, "{count} producers");
        let entry = |n| SchemaEntry {
            kind: n % 64,
            version: n / 64,
        };
        let event = genesis(|genesis| {
            genesis.schema_set = (0..count).map(entry).collect();
            genesis.schema_set.sort();
        });
        assert_eq!(event.is_legal(), legal, "{count} entries");
    }
    assert_outside(
        "equal approvers",
        &genesis(|genesis| genesis.approvers[0] = genesis.approvers[1]),
    );
    assert_outside(
        "approvers",
        &genesis(|genesis| genesis.approvers.swap(0, 1)),
    );
    assert_outside(
        "producers",
        &genesis(|genesis| genesis.producers.swap(0, 1)),
    );
    assert_outside(
        "equal producers",
        &genesis(|genesis| genesis.producers[0].0 = genesis.producers[1].0),
    );
    assert_outside("entries", &genesis(|genesis| genesis.schema_set.swap(0, 1)));
    assert_outside(
        "equal entries",
        &genesis(|genesis| genesis.schema_set[0] = genesis.schema_set[1]),
    );
    let with_kind = |kind| genesis(|genesis| genesis.schema_set.last_mut().unwrap().kind = kind);
    assert_inside("kind 63", &with_kind(63));
    assert_outside("kind 64", &with_kind(64));
}

#[test]
fn approvals_of_genesis_have_their_limits() {
    let approvals = |list: &[(Approved, u8)]| genesis(|genesis| genesis.approvals = list.to_vec());
    assert_inside("none", &approvals(&[]));
    assert_inside("only policies", &approvals(&[(Approved::Policy, 2)]));
    assert_inside(
        "everything",
        &approvals(&Approved::ALL.map(|what| (what, 2))),
    );
    assert_outside("none needed", &approvals(&[(Approved::Key, 0)]));
    assert_outside("no approved ban", &approvals(&[(Approved::Ban, 0)]));
    assert_outside("more than there are", &approvals(&[(Approved::Key, 3)]));
    assert_outside(
        "the same twice",
        &approvals(&[(Approved::Key, 1), (Approved::Key, 1)]),
    );
    assert_outside(
        "descending",
        &approvals(&[(Approved::Policy, 1), (Approved::Key, 1)]),
    );
    // ledger, coin, name, algorithm, decimals, chain, sizes, answers, approvers, approvals' count.
    let what = 16 + 4 + 8 + 1 + 1 + 32 + 12 + 1 + (1 + 64) + 1;
    for byte in 0..=u8::MAX {
        assert_eq!(
            patched(Kind::Genesis, what, &[byte]),
            byte == 1,
            "what {byte}"
        );
        let above = (2..=10).contains(&byte);
        assert_eq!(
            patched(Kind::Genesis, what + 2, &[byte]),
            above,
            "what {byte}"
        );
    }
}

#[test]
fn what_genesis_does_not_list_needs_its_own_number_of_approvals() {
    // Approvers; approvals of a key, a policy, a ban, an adjustment, an account, a setting, a payout,
    // a resume, a write-off, inactive dust.
    let table = [
        (1, [1, 1, 0, 1, 0, 0, 1, 1, 1, 1]),
        (2, [1, 1, 0, 2, 0, 0, 2, 1, 2, 2]),
        (3, [1, 1, 0, 2, 0, 0, 2, 1, 2, 2]),
        (16, [1, 1, 0, 2, 0, 0, 2, 1, 2, 2]),
    ];
    for (approvers, unlisted) in table {
        let mut genesis = genesis_typical();
        genesis.approvers = (0..approvers).map(|n| Key([n; 32])).collect();
        genesis.approvals.clear();
        let needed = Approved::ALL.map(|what| genesis.needed(what));
        assert_eq!(needed, unlisted, "{approvers} approvers");
        genesis.approvals = vec![(Approved::Ban, 1), (Approved::Adjustment, 1)];
        let [.., payout, _, write_off, dust] = unlisted;
        let needed = Approved::ALL.map(|what| genesis.needed(what));
        let listed = [1, 1, 1, 1, 0, 0, payout, 1, write_off, dust];
        assert_eq!(needed, listed, "{approvers} approvers, listed");
    }
}

#[test]
fn policies_have_their_limits() {
    let pots = |count: u16| {
        policy(|policy| {
            let rules = policy.pots[0];
            let numbered = |n| PotRules {
                pot: Pot(n),
                ..rules
            };
            policy.pots = (0..count).map(numbered).collect();
        })
    };
    for (count, legal) in [(0, false), (1, true), (16, true), (17, false)] {
        assert_eq!(pots(count).is_legal(), legal, "{count} pots");
    }
    assert_outside("pots", &policy(|policy| policy.pots.swap(0, 1)));
    assert_outside("equal pots", &policy(|policy| policy.pots[1].pot = Pot(0)));
    assert_outside("n_ppm", &pot(|pot| pot.n_ppm = 0));
    for (ppm, legal) in [(1_000_000, true), (1_000_001, false)] {
        assert_eq!(pot(|pot| pot.fee_ppm = ppm).is_legal(), legal);
        assert_eq!(pot(|pot| pot.bonus_ppm = ppm).is_legal(), legal);
        assert_eq!(pot(|pot| pot.stale_ppm = ppm).is_legal(), legal);
    }
    let depths = [
        (0, 1, 1),
        (1, 1, 1),
        (2, 1, 1),
        (1, 2, 0),
        (1, 2, 1),
        (u32::MAX - 1, u32::MAX, 1),
    ];
    for (immature, confirmed, orphan) in depths {
        let event = policy(|policy| {
            (policy.immature_depth, policy.confirmed_depth) = (immature, confirmed);
            policy.orphan_depth = orphan;
        });
        let legal = 1 <= immature && immature < confirmed && 1 <= orphan;
        assert_eq!(event.is_legal(), legal, "{immature} {confirmed} {orphan}");
    }
    let (scheme, keep, network_fees) = (10 + 1 + 2, 10 + 1 + 23, 10 + 1 + 2 * 34 + 12 + 16 + 8);
    let rounding = network_fees + 1 + 16 + 8 + 8;
    for byte in 0..=u8::MAX {
        assert_eq!(
            patched(Kind::Policy, scheme, &[byte]),
            (1..=5).contains(&byte)
        );
        assert_eq!(
            patched(Kind::Policy, keep, &[byte]),
            byte <= 1,
            "keep {byte}"
        );
        assert_eq!(patched(Kind::Policy, network_fees, &[byte]), byte <= 1);
        assert_eq!(patched(Kind::Policy, rounding, &[byte]), byte <= 1);
    }
}

#[test]
fn heads_of_events_have_their_limits() {
    let mut longest = vec![0; 32_769];
    for (len, error) in [
        (7, Some(DecodeError::Limit("event length"))),
        (8, None),
        (32_768, None),
        (32_769, Some(DecodeError::Limit("event length"))),
    ] {
        longest[2..4].copy_from_slice(&u16::to_le_bytes(len));
        let read = RawEvent::one(&longest[..usize::from(len).max(8)]);
        assert_eq!(read.err(), error, "{len} bytes");
    }
}

#[test]
fn sizes_in_headers_have_their_limits() {
    type Edit = fn(&mut Header, u64);
    let edits: [(&str, Edit, u64, u64); 3] = [
        (
            "count",
            |header, to| header.count = u32::try_from(to).unwrap(),
            1,
            1_000,
        ),
        (
            "body_len",
            |header, to| header.body_len = u32::try_from(to).unwrap(),
            8,
            49_152,
        ),
        (
            "summary_len",
            |header, to| header.summary_len = u32::try_from(to).unwrap(),
            1,
            49_152,
        ),
    ];
    for (what, edit, least, most) in edits {
        for (to, legal) in [
            (least - 1, false),
            (least, true),
            (most, true),
            (most + 1, false),
        ] {
            let mut header = edge_header();
            header.first_seq = 0;
            edit(&mut header, to);
            assert_eq!(
                Header::read(&header.to_bytes()).is_ok(),
                legal,
                "{what} {to}"
            );
        }
    }
    let mut header = edge_header();
    header.first_seq += 1;
    assert!(
        Header::read(&header.to_bytes()).is_err(),
        "a seq above 2^64 - 1"
    );
    for at in 0..8 {
        let mut bytes: [u8; HEADER_BYTES] = edge_header().to_bytes();
        bytes[at] ^= 0x20;
        assert!(
            Header::read(&bytes).is_err(),
            "magic and version, byte {at}"
        );
    }
}

#[test]
fn whether_a_value_is_legal_is_answered_for_values_that_fit_no_field() {
    let huge = [
        note(&"x".repeat(70_000)),
        part(0, 1, 32_750),
        part(0, 1, 70_000),
        block_found(300),
        job(|job| job.coinbase1 = vec![1; 70_000]),
        job(|job| job.branches = vec![Hash::ZERO; 3_000]),
        moved(0, |moved| moved.event = vec![0; 70_000]),
        genesis(|genesis| genesis.producers = vec![(Key([1; 32]), Role::Desk); 3_000]),
        genesis(|genesis| genesis.approvers = vec![Key([1; 32]); 3_000]),
        genesis(|genesis| genesis.approvals = vec![(Approved::Key, 1); 40_000]),
        genesis(|genesis| genesis.schema_set = vec![genesis.schema_set[0]; 40_000]),
        policy(|policy| policy.pots = vec![policy.pots[0]; 3_000]),
    ];
    for event in huge {
        assert!(!event.is_legal(), "{}", event.kind().name());
    }
}
