//! Batches, their transactions, halts and write-offs: what their golden pages mean, and their limits from both sides.

use orebook_schema::bytes::DecodeError;
use orebook_schema::desk::Reason;
use orebook_schema::event::RawEvent;
use orebook_schema::names::{RegisteredName, Script};
use orebook_schema::payout::{
    Answerer, BATCH_BLOCKS_MAX, BATCH_BODY_BYTES_MAX, BATCH_LINES_MAX, BatchBody, BatchLine,
    DigestAnswer, PART_BYTES_MAX, PAYOUT_MAX, PayoutCancelled, PayoutHalt, PayoutProposed,
    PayoutResume, PayoutSigned, PayoutStep, Spends, Step, WHOLE_PARTS_MAX, WriteOff,
    cut_into_parts,
};
use orebook_schema::units::hex;
use orebook_schema::{Account, At, Event, Hash, Kind};

use crate::expected::{AT_MAX, FULL, MAX, NONE, at, bytes, events, run, run_hash};
use crate::page::{case, cases};

/// The genesis block of Bitcoin's main chain.
const BLOCK: &str = "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000";

fn block() -> Hash {
    Hash(bytes(BLOCK).try_into().unwrap())
}

fn script(script: &[u8]) -> Account {
    Account::Script(Script::new(script).unwrap())
}

fn witness() -> Account {
    script(&[bytes("0014"), run(0x10, 20)].concat())
}

fn evm() -> Account {
    Account::Evm(run(0xe0, 20).try_into().unwrap())
}

fn name(name: &str) -> Account {
    Account::Name(RegisteredName::parse(name).unwrap())
}

fn reason(text: &str) -> Reason {
    Reason::parse(text).unwrap()
}

fn longest() -> Reason {
    reason(&"~".repeat(200))
}

fn line(account: Account, address: Account, amount: u128, fee: u128) -> BatchLine {
    BatchLine {
        account,
        address,
        amount,
        fee,
    }
}

fn body_typical() -> BatchBody {
    BatchBody {
        lines: vec![
            line(witness(), witness(), 5_000_000, 140),
            line(evm(), evm(), 1, 0),
            line(name("anna"), script(&[0x51]), 250_000, 141),
        ],
        blocks: vec![block(), run_hash(0xf0)],
    }
}

fn bodies() -> Vec<BatchBody> {
    let least = line(script(&[0]), script(&[0]), 1, 0);
    let most = line(
        name(&"z".repeat(32)),
        script(&run(0, 64)),
        PAYOUT_MAX,
        PAYOUT_MAX - 1,
    );
    let first = |n: u8| {
        let mut hash = FULL;
        hash.0[0] = n;
        hash
    };
    vec![
        body_typical(),
        BatchBody {
            lines: vec![least],
            blocks: Vec::new(),
        },
        BatchBody {
            lines: vec![most],
            blocks: (0..40).map(first).collect(),
        },
    ]
}

fn answer(who: &str, digest: Hash) -> DigestAnswer {
    DigestAnswer {
        who: Answerer::parse(who).unwrap(),
        digest,
    }
}

fn proposed(said: PayoutProposed) -> Event {
    Event::PayoutProposed(Box::new(said))
}

pub(crate) fn proposals() -> Vec<(u32, Event)> {
    let typical = PayoutProposed {
        wallet: 0,
        batch: 7,
        expects: NONE,
        txs: 1,
        lines: 3,
        total: 5_250_001,
        fee: 281,
        body: Hash::of(&[&body_typical().to_bytes()]),
        digest_position: 65_536,
        digests: vec![
            answer("https://one.example", run_hash(0x80)),
            answer("two", run_hash(0x80)),
        ],
    };
    let least = PayoutProposed {
        wallet: 0,
        batch: 0,
        expects: NONE,
        txs: 1,
        lines: 1,
        total: 1,
        fee: 0,
        body: Hash::ZERO,
        digest_position: 0,
        digests: vec![answer("!", Hash::ZERO)],
    };
    let most = PayoutProposed {
        wallet: u16::MAX,
        batch: u64::MAX,
        expects: AT_MAX,
        txs: u16::MAX,
        lines: BATCH_LINES_MAX,
        total: PAYOUT_MAX,
        fee: PAYOUT_MAX,
        body: FULL,
        digest_position: u64::MAX,
        digests: vec![answer(&"~".repeat(64), FULL); 4],
    };
    vec![
        (0, proposed(typical)),
        (1, proposed(least)),
        (MAX, proposed(most)),
    ]
}

fn signed(of: (u16, u64, u16, At), said: (Hash, u128, Spends, Hash, Vec<u8>)) -> Event {
    let (wallet, batch, tx, expects) = of;
    let (txid, fee, spends, body, raw) = said;
    Event::PayoutSigned(Box::new(PayoutSigned {
        wallet,
        batch,
        tx,
        expects,
        txid,
        fee,
        spends,
        body,
        raw,
    }))
}

pub(crate) fn signatures() -> Vec<(u32, Event)> {
    let raw = run(2, 250);
    let (outpoint, nonce) = (
        Spends::outpoint(run_hash(0x44), 1),
        Spends::nonce(run(0xe0, 20).try_into().unwrap(), 17),
    );
    let whole = Hash::of(&[&raw]);
    let dear = 2_100_000_000_000_000;
    let most = Spends::new(&[0xff; 44]).unwrap();
    vec![
        (
            0,
            signed((0, 7, 0, NONE), (run_hash(0x33), 300, outpoint, whole, raw)),
        ),
        (
            1,
            signed(
                (1, 8, 2, at(1_234, 5)),
                (run_hash(0x35), dear, nonce, run_hash(0x36), Vec::new()),
            ),
        ),
        (
            2,
            signed(
                (0, 0, 0, NONE),
                (
                    Hash::ZERO,
                    0,
                    Spends::new(&[0]).unwrap(),
                    Hash::ZERO,
                    Vec::new(),
                ),
            ),
        ),
        (
            MAX,
            signed(
                (u16::MAX, u64::MAX, u16::MAX, AT_MAX),
                (FULL, PAYOUT_MAX, most, FULL, vec![0xff; 1_000]),
            ),
        ),
    ]
}

pub(crate) fn steps() -> Vec<(u32, Event)> {
    let step = |expects, step, txid, place: Option<(u64, Hash)>, fee| {
        Event::PayoutStep(Box::new(PayoutStep {
            wallet: 0,
            batch: 7,
            tx: 0,
            expects,
            step,
            txid,
            height: place.map_or(0, |(height, _)| height),
            block: place.map(|(_, block)| block),
            fee,
        }))
    };
    let (ours, other) = (run_hash(0x33), run_hash(0x37));
    let place = Some((840_001, block()));
    let most = PayoutStep {
        wallet: u16::MAX,
        batch: u64::MAX,
        tx: u16::MAX,
        expects: AT_MAX,
        step: Step::Failed,
        txid: FULL,
        height: u64::MAX,
        block: Some(FULL),
        fee: PAYOUT_MAX,
    };
    let least = PayoutStep {
        wallet: 0,
        batch: 0,
        tx: 0,
        expects: NONE,
        step: Step::Unknown,
        txid: Hash::ZERO,
        height: 0,
        block: None,
        fee: 0,
    };
    vec![
        (0, step(at(1_234, 5), Step::Broadcast, ours, None, 0)),
        (1, step(at(1_234, 5), Step::Seen, ours, place, 0)),
        (2, step(at(1_235, 0), Step::Confirmed, ours, place, 281)),
        (3, step(at(1_236, 0), Step::Final, ours, place, 281)),
        (4, step(at(1_236, 0), Step::Conflicted, other, None, 0)),
        (MAX, Event::PayoutStep(Box::new(most))),
        (0, Event::PayoutStep(Box::new(least))),
    ]
}

pub(crate) fn cancels() -> Vec<(u32, Event)> {
    let cancel = |(wallet, batch, tx, expects), by, height, fee, reason| {
        Event::PayoutCancelled(Box::new(PayoutCancelled {
            wallet,
            batch,
            tx,
            expects,
            by,
            height,
            fee,
            reason,
        }))
    };
    vec![
        (
            0,
            cancel(
                (0, 7, 0, NONE),
                None,
                0,
                0,
                reason("its block is an orphan"),
            ),
        ),
        (
            1,
            cancel(
                (0, 7, 0, at(1_234, 5)),
                Some(run_hash(0x37)),
                840_009,
                512,
                reason("another spends its coin"),
            ),
        ),
        (
            MAX,
            cancel(
                (u16::MAX, u64::MAX, u16::MAX, AT_MAX),
                Some(FULL),
                u64::MAX,
                PAYOUT_MAX,
                longest(),
            ),
        ),
    ]
}

pub(crate) fn halts() -> Vec<(u32, Event)> {
    let halt = |wallet, reason| Event::PayoutHalt(Box::new(PayoutHalt { wallet, reason }));
    vec![
        (0, halt(0, reason("the projectors differ"))),
        (1, halt(0, reason(" "))),
        (MAX, halt(u16::MAX, longest())),
    ]
}

pub(crate) fn resumes() -> Vec<(u32, Event)> {
    let resume = |wallet, expects, reason| {
        Event::PayoutResume(Box::new(PayoutResume {
            wallet,
            expects,
            reason,
        }))
    };
    vec![
        (
            0,
            resume(0, at(1_234, 5), reason("the projector was mended")),
        ),
        (1, resume(0, NONE, reason(" "))),
        (MAX, resume(u16::MAX, AT_MAX, longest())),
    ]
}

pub(crate) fn write_offs() -> Vec<(u32, Event)> {
    let write_off = |account, expects, reason| {
        Event::WriteOff(Box::new(WriteOff {
            account,
            expects,
            reason,
        }))
    };
    let left = "an orphan took it back, and she left";
    vec![
        (0, write_off(name("anna_k-7"), NONE, reason(left))),
        (1, write_off(script(&[0]), at(0, 1), reason(" "))),
        (MAX, write_off(script(&run(0, 64)), AT_MAX, longest())),
    ]
}

/// Whether the golden event of a page is read with other bytes at an offset of its fields.
fn patched(kind: Kind, case: usize, offset: usize, bytes: &[u8]) -> bool {
    let mut event = events(kind).swap_remove(case).1.to_bytes(0);
    event[8 + offset..8 + offset + bytes.len()].copy_from_slice(bytes);
    RawEvent::one(&event).and_then(|raw| raw.decode()).is_ok()
}

#[test]
fn golden_batch_bodies_mean_what_was_typed_beside_them() {
    let golden = cases("batch_body.hex");
    assert_eq!(golden.len(), bodies().len());
    for (case, body) in golden.iter().zip(bodies()) {
        assert_eq!(
            BatchBody::read(&case.bytes).as_ref(),
            Ok(&body),
            "{}",
            case.name
        );
        assert_eq!(hex(&body.to_bytes()), hex(&case.bytes), "{}", case.name);
        assert!(body.is_legal(), "{}", case.name);
        for len in 0..case.bytes.len() {
            assert!(
                BatchBody::read(&case.bytes[..len]).is_err(),
                "{} {len}",
                case.name
            );
        }
        let longer = [case.bytes.as_slice(), &[0]].concat();
        assert_eq!(
            BatchBody::read(&longer),
            Err(DecodeError::Trailing("batch body"))
        );
        for bit in 0..8 * case.bytes.len() {
            let mut changed = case.bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = BatchBody::read(&changed) {
                assert_ne!(other, body, "{} bit {bit}", case.name);
                assert_eq!(other.to_bytes(), changed, "{} bit {bit}", case.name);
            }
        }
    }
    let proposal = case("payout_proposed.hex", "typical");
    let whole = Hash::of(&[&case("batch_body.hex", "typical")]);
    let place = 8 + 2 + 8 + 10 + 2 + 2 + 16 + 16;
    assert_eq!(proposal[place..place + 32], whole.0);
}

/// A change of a body: its name, whether it is legal then and how it is read, itself.
type Edited<'e> = (
    &'e str,
    (bool, Option<DecodeError>),
    &'e dyn Fn(&mut BatchBody),
);

#[test]
fn batch_bodies_have_their_limits() {
    let read = |edit: &dyn Fn(&mut BatchBody)| {
        let mut body = body_typical();
        edit(&mut body);
        (body.is_legal(), BatchBody::read(&body.to_bytes()).err())
    };
    let out = |error| (false, Some(error));
    let table: [Edited<'_>; 11] = [
        ("nothing", (true, None), &|_| {}),
        (
            "no lines",
            out(DecodeError::Limit("batch lines")),
            &|body| {
                body.lines.clear();
            },
        ),
        (
            "descending",
            out(DecodeError::Order("batch lines")),
            &|body| body.lines.swap(0, 1),
        ),
        ("twice", out(DecodeError::Order("batch lines")), &|body| {
            body.lines[1] = body.lines[0].clone();
        }),
        (
            "paid to a name",
            out(DecodeError::Value("payout address")),
            &|body| body.lines[2].address = name("anna"),
        ),
        ("nothing paid", out(DecodeError::Limit("amount")), &|body| {
            body.lines[1].amount = 0;
        }),
        (
            "all to the network",
            out(DecodeError::Limit("line's fee")),
            &|body| body.lines[1].fee = 1,
        ),
        ("most", (true, None), &|body| {
            body.lines[0].amount = PAYOUT_MAX;
        }),
        ("more", out(DecodeError::Limit("amount")), &|body| {
            body.lines[0].amount = PAYOUT_MAX + 1;
        }),
        (
            "blocks descend",
            out(DecodeError::Order("batch blocks")),
            &|body| body.blocks.swap(0, 1),
        ),
        (
            "a block twice",
            out(DecodeError::Order("batch blocks")),
            &|body| body.blocks[1] = body.blocks[0],
        ),
    ];
    for (what, expected, edit) in table {
        assert_eq!(read(edit), expected, "{what}");
    }
}

/// The longest body of so many lines and blocks.
fn wide(lines: u32, blocks: u32) -> BatchBody {
    let numbered = |n: u32| [n.to_be_bytes().as_slice(), &[0; 28]].concat();
    let paid = |n| [numbered(n), vec![0xff; 32]].concat();
    BatchBody {
        lines: (0..lines)
            .map(|n| line(script(&paid(n)), script(&paid(n)), PAYOUT_MAX >> 11, 0))
            .collect(),
        blocks: (0..blocks)
            .map(|n| Hash(numbered(n).try_into().unwrap()))
            .collect(),
    }
}

#[test]
fn so_many_lines_and_blocks_stand_in_a_body_and_parts_hold_it() {
    let (lines, blocks) = (u32::from(BATCH_LINES_MAX), u32::from(BATCH_BLOCKS_MAX));
    assert_eq!((lines, blocks), (2_000, 1_024));
    let most = wide(lines, blocks);
    assert!(most.is_legal());
    assert!(!wide(lines + 1, blocks).is_legal());
    assert!(!wide(lines, blocks + 1).is_legal());
    assert!(!wide(70_000, 0).is_legal());
    let bytes = most.to_bytes();
    assert!(bytes.len() <= BATCH_BODY_BYTES_MAX);
    let parts = cut_into_parts(&bytes).unwrap();
    assert_eq!(parts.len(), bytes.len().div_ceil(PART_BYTES_MAX));
    let joined: Vec<u8> = parts.iter().flat_map(|part| part.bytes.clone()).collect();
    assert_eq!(joined, bytes);
    for (index, part) in parts.iter().enumerate() {
        assert_eq!(
            (usize::from(part.index), usize::from(part.of)),
            (index, parts.len())
        );
        assert_eq!(part.whole, Hash::of(&[&bytes]));
        assert!(Event::Part(part.clone()).is_legal());
    }
    assert!(BatchBody::read(&vec![0; BATCH_BODY_BYTES_MAX + 1]).is_err());
    let limit = usize::from(WHOLE_PARTS_MAX) * PART_BYTES_MAX;
    assert_eq!(cut_into_parts(&vec![7; limit]).map(|it| it.len()), Some(64));
    assert_eq!(cut_into_parts(&vec![7; limit + 1]), None);
    assert_eq!(cut_into_parts(&[]), None);
}

#[test]
fn a_total_is_the_sum_of_the_lines_up_to_its_limit() {
    let mut body = body_typical();
    assert_eq!(body.total(), Some(5_250_001));
    body.lines[0].amount = PAYOUT_MAX - 250_001;
    assert_eq!(body.total(), Some(PAYOUT_MAX));
    body.lines[1].amount += 1;
    assert_eq!(body.total(), None);
    body.lines[0].amount = u128::MAX;
    assert_eq!(body.total(), None);
}

#[test]
fn proposals_have_their_limits() {
    let edited = |edit: &dyn Fn(&mut PayoutProposed)| {
        let Event::PayoutProposed(mut said) = proposals().swap_remove(0).1 else {
            panic!("a proposal");
        };
        edit(&mut said);
        Event::PayoutProposed(said).is_legal()
    };
    for (txs, legal) in [(0, false), (1, true), (u16::MAX, true)] {
        assert_eq!(edited(&|said| said.txs = txs), legal, "{txs}");
    }
    for (lines, legal) in [(0, false), (1, true), (2_000, true), (2_001, false)] {
        assert_eq!(edited(&|said| said.lines = lines), legal, "{lines}");
    }
    for (amount, total, fee) in [
        (0, false, true),
        (1, true, true),
        (1 << 80, true, true),
        ((1 << 80) + 1, false, false),
        (u128::MAX, false, false),
    ] {
        assert_eq!(edited(&|said| said.total = amount), total, "{amount}");
        assert_eq!(edited(&|said| said.fee = amount), fee, "{amount}");
    }
    for (count, legal) in [(0, false), (1, true), (4, true), (5, false), (300, false)] {
        let digests = vec![answer("two", FULL); count];
        assert_eq!(
            edited(&|said| said.digests = digests.clone()),
            legal,
            "{count}"
        );
    }
    // wallet, batch, expects, txs, lines, total, fee, body, digest_position, n, length of who.
    let who = 2 + 8 + 10 + 2 + 2 + 16 + 16 + 32 + 8 + 1 + 1;
    for byte in 0..=u8::MAX {
        let legal = (0x21..=0x7e).contains(&byte);
        assert_eq!(
            patched(Kind::PayoutProposed, 0, who, &[byte]),
            legal,
            "{byte}"
        );
    }
    assert!(Answerer::parse(&"w".repeat(64)).is_some());
    for text in ["", "a b", "é", &"w".repeat(65)] {
        assert_eq!(Answerer::parse(text), None, "{text}");
    }
}

#[test]
fn signed_transactions_have_their_limits() {
    let edited = |edit: &dyn Fn(&mut PayoutSigned)| {
        let Event::PayoutSigned(mut said) = signatures().swap_remove(0).1 else {
            panic!("a signed transaction");
        };
        edit(&mut said);
        Event::PayoutSigned(said).is_legal()
    };
    for (fee, legal) in [(0, true), (1 << 80, true), ((1 << 80) + 1, false)] {
        assert_eq!(edited(&|said| said.fee = fee), legal, "{fee}");
    }
    for (len, legal) in [(0, true), (24_000, true), (24_001, false), (70_000, false)] {
        assert_eq!(edited(&|said| said.raw = vec![1; len]), legal, "{len}");
    }
    for (len, legal) in [(0, false), (1, true), (44, true), (45, false)] {
        assert_eq!(Spends::new(&vec![1; len]).is_some(), legal, "{len}");
    }
    // wallet, batch, tx, expects, txid, fee: a length of nothing would make what follows another layout.
    let spends = 2 + 8 + 2 + 10 + 32 + 16;
    assert!(!patched(Kind::PayoutSigned, 2, spends, &[0]));
    assert!(!patched(Kind::PayoutSigned, 3, spends, &[45]));
}

#[test]
fn steps_have_blocks_and_fees_where_a_block_has_the_transaction() {
    let is_legal = |step, height, block, fee| {
        Event::PayoutStep(Box::new(PayoutStep {
            wallet: 0,
            batch: 0,
            tx: 0,
            expects: NONE,
            step,
            txid: FULL,
            height,
            block,
            fee,
        }))
        .is_legal()
    };
    for step in Step::ALL {
        let settled = matches!(step, Step::Confirmed | Step::Final | Step::Failed);
        let name = step.name();
        assert_eq!(step.is_in_a_block(), settled, "{name}");
        assert!(is_legal(step, 7, Some(FULL), 0), "{name}");
        assert!(is_legal(step, 0, Some(FULL), 0), "{name}");
        assert_eq!(is_legal(step, 0, None, 0), !settled, "{name}");
        assert!(!is_legal(step, 7, None, 0), "{name}");
        assert_eq!(is_legal(step, 7, Some(FULL), 1), settled, "{name}");
        assert_eq!(is_legal(step, 7, Some(FULL), PAYOUT_MAX), settled, "{name}");
        assert!(!is_legal(step, 7, Some(FULL), PAYOUT_MAX + 1), "{name}");
    }
    let numbers = Step::ALL.map(|step| step as u8);
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
    // wallet, batch, tx, expects; what is seen in a block may become what is not settled, and costs nothing.
    let step = 2 + 8 + 2 + 10;
    for byte in 0..=u8::MAX {
        let legal = (1..=7).contains(&byte);
        assert_eq!(patched(Kind::PayoutStep, 1, step, &[byte]), legal, "{byte}");
    }
}

#[test]
fn what_cancels_nothing_signed_has_no_height_and_no_fee() {
    let is_legal = |by, height, fee| {
        Event::PayoutCancelled(Box::new(PayoutCancelled {
            wallet: 0,
            batch: 0,
            tx: 0,
            expects: NONE,
            by,
            height,
            fee,
            reason: reason("x"),
        }))
        .is_legal()
    };
    assert!(is_legal(None, 0, 0));
    assert!(!is_legal(None, 1, 0));
    assert!(!is_legal(None, 0, 1));
    assert!(is_legal(Some(FULL), 0, 0));
    assert!(is_legal(Some(FULL), 9, PAYOUT_MAX));
    assert!(!is_legal(Some(FULL), 9, PAYOUT_MAX + 1));
}

#[test]
fn reasons_of_halts_resumes_cancels_and_write_offs_are_printable() {
    // Where the first byte of the first golden page's reason stands.
    let table = [
        (Kind::PayoutCancelled, 2 + 8 + 2 + 10 + 32 + 8 + 16 + 1),
        (Kind::PayoutHalt, 2 + 1),
        (Kind::PayoutResume, 2 + 10 + 1),
        (Kind::WriteOff, 1 + 1 + 8 + 10 + 1),
    ];
    for (kind, first) in table {
        for byte in 0..=u8::MAX {
            let legal = (0x20..=0x7e).contains(&byte);
            assert_eq!(patched(kind, 0, first, &[byte]), legal, "{kind:?} {byte}");
        }
        assert!(!patched(kind, 0, first - 1, &[201]), "{kind:?}");
        assert!(!patched(kind, 0, first - 1, &[0]), "{kind:?}");
    }
}

#[test]
fn policies_of_payouts_have_their_limits() {
    // expects, pots of the least policy, depths, threshold, hold, network_fees, auto_pay_limit.
    let paid = 10 + 1 + 34 + 12 + 16 + 8 + 1 + 16;
    let depths = [
        (0, 1, false),
        (1, 1, false),
        (2, 1, false),
        (1, 2, true),
        (u32::MAX - 1, u32::MAX, true),
        (u32::MAX, u32::MAX, false),
    ];
    for (paid_at, final_at, legal) in depths {
        let bytes = [u32::to_le_bytes(paid_at), u32::to_le_bytes(final_at)].concat();
        assert_eq!(
            patched(Kind::Policy, 1, paid, &bytes),
            legal,
            "{paid_at} {final_at}"
        );
    }
    for (ms, legal) in [(0, true), (1 << 40, true), ((1_u64 << 40) + 1, false)] {
        let read = patched(Kind::Policy, 1, paid + 8, &ms.to_le_bytes());
        assert_eq!(read, legal, "{ms}");
    }
    assert!(patched(Kind::Policy, 1, paid - 16, &[0xff; 16]));
}
