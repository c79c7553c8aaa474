//! Payouts in the small ledger: two accounts with blocks, and what a paymaster says. Shared like the ledger itself.

use orebook_ledger::authority::thing_digest;
use orebook_schema::payout::{
    Answerer, BatchBody, BatchLine, DigestAnswer, PayoutProposed, PayoutSigned, PayoutStep, Spends,
    Step, cut_into_parts,
};
use orebook_schema::work::BlockState;
use orebook_schema::{Account, At, Event, Hash};

use super::{DIFFICULTY_1, LEDGER, World};

pub const ANNA: &str = "script:0014aa";
pub const BEN: &str = "script:0014bb";

pub fn account(text: &str) -> Account {
    Account::parse(text).expect("an account")
}

pub const fn at(position: u64) -> At {
    At { position, index: 0 }
}

/// Two rigs that do half of the work each, and two blocks, the first confirmed; returns their hashes.
pub fn mined(world: &mut World) -> [Hash; 2] {
    let work = 2 * DIFFICULTY_1;
    let anna = world.worker(&account(ANNA), "rig", 1, work);
    let ben = world.worker(&account(BEN), "rig", 1, work);
    let mut blocks = Vec::new();
    for height in [100, 101] {
        let job = world.job(height, 2 * u128::from(DIFFICULTY_1));
        world.shares(job, &[(anna, work, false)]);
        blocks.push(world.block(ben, job, work, height));
    }
    let [first, second]: [Hash; 2] = blocks.try_into().expect("two blocks");
    confirm(world, first, 100);
    let seen = world.status(second, 101, At::default(), BlockState::Seen);
    world.status(second, 101, seen, BlockState::Immature);
    world.finalise();
    [first, second]
}

pub fn confirm(world: &mut World, block: Hash, height: u64) {
    let immature = world.status(block, height, At::default(), BlockState::Immature);
    world.status(block, height, immature, BlockState::Confirmed);
}

/// Says a batch of lines (whom, how much) that cites a block; returns its position and its digest.
pub fn propose(
    world: &mut World,
    batch: u64,
    lines: &[(&str, u128)],
    txs: u16,
    block: Hash,
) -> (At, Hash) {
    let body = BatchBody {
        lines: lines
            .iter()
            .map(|(whom, amount)| BatchLine {
                account: account(whom),
                address: account(whom),
                amount: *amount,
                fee: 0,
            })
            .collect(),
        blocks: vec![block],
    };
    let bytes = body.to_bytes();
    let parts = cut_into_parts(&bytes).expect("small");
    let index = u16::try_from(parts.len()).expect("few");
    let proposed = PayoutProposed {
        wallet: 0,
        batch,
        expects: At::default(),
        txs,
        lines: u16::try_from(lines.len()).expect("few"),
        total: body.total().expect("small"),
        fee: 5_000,
        body: Hash::of(&[&bytes]),
        digest_position: 1,
        digests: vec![DigestAnswer {
            who: Answerer::parse("projector-1").expect("a name"),
            digest: Hash([3; 32]),
        }],
    };
    let event = Event::PayoutProposed(Box::new(proposed));
    let digest = thing_digest(LEDGER, &event);
    let mut events: Vec<Event> = parts.into_iter().map(Event::Part).collect();
    events.push(event);
    let position = world.paymaster(&events);
    (At { position, index }, digest)
}

pub fn signed(world: &mut World, batch: u64, tx: u16, expects: At, name: u8) -> At {
    let raw = vec![name; 200];
    let event = PayoutSigned {
        wallet: 0,
        batch,
        tx,
        expects,
        txid: txid(name),
        fee: 6_000,
        spends: Spends::outpoint(Hash([u8::try_from(tx).expect("few"); 32]), 1),
        body: Hash::of(&[&raw]),
        raw,
    };
    at(world.paymaster(&[Event::PayoutSigned(Box::new(event))]))
}

/// Its bytes differ, so that their order shows.
pub fn txid(name: u8) -> Hash {
    let mut bytes = [name; 32];
    bytes[0] = 1;
    Hash(bytes)
}

pub fn step(world: &mut World, batch: u64, tx: u16, expects: At, step: Step, name: u8) -> At {
    let mined = step.is_in_a_block();
    let event = PayoutStep {
        wallet: 0,
        batch,
        tx,
        expects,
        step,
        txid: txid(name),
        height: if mined { 120 } else { 0 },
        block: mined.then_some(Hash([8; 32])),
        fee: if mined { 4_500 } else { 0 },
    };
    at(world.paymaster(&[Event::PayoutStep(Box::new(event))]))
}
