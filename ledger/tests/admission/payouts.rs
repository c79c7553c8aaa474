//! Batches, halts and resumes: what admission asks of them, and how their approvals are counted; write-offs: things.

use orebook_ledger::admit::{Cause, State};
use orebook_ledger::authority::thing_digest;
use orebook_schema::desk::Reason;
use orebook_schema::genesis::Approved;
use orebook_schema::payout::{
    Answerer, DigestAnswer, PayoutCancelled, PayoutHalt, PayoutProposed, PayoutResume,
    PayoutSigned, PayoutStep, Spends, Step, WriteOff,
};
use orebook_schema::{Account, At, Event, Hash};

use crate::causes::{assert_admitted, assert_cause};
use crate::world::{
    ANNA, BEN, CLARA, DESK, LEDGER, NONE, PAYMASTER, Pen, STRANGER, World, approve, approved, at,
    key, policy_change,
};

/// An event that expects a place.
type Make = fn(At) -> Event;

fn reason() -> Reason {
    Reason::parse("a word").unwrap()
}

fn account(name: &str) -> Account {
    Account::parse(&format!("name:{name}")).unwrap()
}

pub(crate) fn proposed(total: u128, expects: At, digest_position: u64) -> Event {
    Event::PayoutProposed(Box::new(PayoutProposed {
        wallet: 0,
        batch: 0,
        expects,
        txs: 1,
        lines: 1,
        total,
        fee: 0,
        body: Hash([1; 32]),
        digest_position,
        digests: vec![DigestAnswer {
            who: Answerer::parse("one").unwrap(),
            digest: Hash([2; 32]),
        }],
    }))
}

pub(crate) fn signed(expects: At) -> Event {
    Event::PayoutSigned(Box::new(PayoutSigned {
        wallet: 0,
        batch: 0,
        tx: 0,
        expects,
        txid: Hash([3; 32]),
        fee: 0,
        spends: Spends::outpoint(Hash([4; 32]), 0),
        body: Hash([5; 32]),
        raw: vec![6],
    }))
}

pub(crate) fn step(expects: At) -> Event {
    Event::PayoutStep(Box::new(PayoutStep {
        wallet: 0,
        batch: 0,
        tx: 0,
        expects,
        step: Step::Broadcast,
        txid: Hash([3; 32]),
        height: 0,
        block: None,
        fee: 0,
    }))
}

pub(crate) fn cancelled(expects: At) -> Event {
    Event::PayoutCancelled(Box::new(PayoutCancelled {
        wallet: 0,
        batch: 0,
        tx: 0,
        expects,
        by: None,
        height: 0,
        fee: 0,
        reason: reason(),
    }))
}

pub(crate) fn halt() -> Event {
    Event::PayoutHalt(Box::new(PayoutHalt {
        wallet: 0,
        reason: reason(),
    }))
}

pub(crate) fn resume(expects: At) -> Event {
    Event::PayoutResume(Box::new(PayoutResume {
        wallet: 0,
        expects,
        reason: reason(),
    }))
}

pub(crate) fn write_off(of: &str, expects: At) -> Event {
    Event::WriteOff(Box::new(WriteOff {
        account: account(of),
        expects,
        reason: reason(),
    }))
}

/// Places of the write-offs that took effect in the frame of a position, each with where it did and how long it asks for.
fn taken(world: &World, position: u64) -> Vec<(At, At, u64)> {
    let authority = world.state.authority().unwrap();
    authority
        .write_offs_taken_at(position)
        .map(|taken| (taken.at, taken.effective, taken.writeoff_ms))
        .collect()
}

fn last(world: &World, of: &str) -> At {
    let authority = world.state.authority().unwrap();
    authority.last_write_off(&account(of))
}

#[test]
fn what_is_cited_is_earlier_and_digests_are_of_positions_that_are_there() {
    let world = World::ready();
    let here = world.state.size();
    let (before, same) = (at(here - 1, 9), at(here, 0));
    let makes: [(u8, Make); 6] = [
        (PAYMASTER, |expects| proposed(1, expects, 0)),
        (PAYMASTER, signed),
        (PAYMASTER, step),
        (PAYMASTER, cancelled),
        (DESK, resume),
        (DESK, |expects| write_off("anna", expects)),
    ];
    let cited = makes.into_iter().flat_map(|(producer, make)| {
        [
            (producer, make(before), true),
            (producer, make(same), false),
        ]
    });
    let digests = [
        (PAYMASTER, proposed(1, NONE, here), true),
        (PAYMASTER, proposed(1, NONE, here + 1), false),
    ];
    for (number, (producer, event, legal)) in (0..).zip(cited.chain(digests)) {
        let pen = Pen::new(producer, 0x60 + number);
        let bytes = world.draft(&pen, std::slice::from_ref(&event)).bytes();
        if legal {
            assert_admitted(&world, &format!("{event:?}"), bytes);
        } else {
            assert_cause(&world, &format!("{event:?}"), bytes, Cause::Inconsistent);
        }
    }
}

#[test]
fn a_batch_and_a_resume_are_approved_by_their_digests_whether_said_or_not() {
    for thing in [proposed(7, NONE, 0), resume(NONE)] {
        let mut world = World::ready();
        let digest = thing_digest(LEDGER, &thing);
        let other = approve(CLARA, &resume(at(1, 0)));
        let first = world.desk_says(&[approve(ANNA, &thing), other, approve(STRANGER, &thing)]);
        let speaks = if matches!(thing, Event::PayoutResume(_)) {
            DESK
        } else {
            PAYMASTER
        };
        world.say(&mut Pen::new(speaks, 0x60), std::slice::from_ref(&thing));
        let second = world.desk_says(&[approve(BEN, &thing), approve(ANNA, &thing)]);
        let back = State::from_snapshot_bytes(&world.state.to_snapshot_bytes()).unwrap();
        assert_eq!(back, world.state);
        for state in [&world.state, &back] {
            let authority = state.authority().unwrap();
            let mut expected = [(key(ANNA), at(first, 0)), (key(BEN), at(second, 0))];
            expected.sort_unstable();
            let found: Vec<_> = authority.approvals_of(&digest).collect();
            assert_eq!(found, expected);
            let approvers: Vec<_> = authority.approved_by(&digest).collect();
            assert_eq!(approvers, expected.map(|(approver, _)| approver));
            // They are the money rules' to judge: nothing of them waits here.
            assert_eq!(authority.waiting().count(), 0);
        }
    }
}

#[test]
fn batches_above_the_limit_in_force_and_resumes_need_what_genesis_asks() {
    let needed = |world: &World, total| {
        let authority = world.state.authority().unwrap();
        (
            authority.payout_approvals_needed(total),
            authority.resume_approvals_needed(),
        )
    };
    let mut world = World::with(|genesis| genesis.policy.auto_pay_limit = 10);
    assert_eq!(needed(&world, 10), (0, 1));
    assert_eq!(needed(&world, 11), (2, 1));
    let policy = policy_change(NONE, |policy| policy.auto_pay_limit = 20);
    world.desk_says(&approved(policy));
    assert_eq!(needed(&world, 20), (0, 1));
    assert_eq!(needed(&world, 21), (2, 1));
    let listed = World::with(|genesis| {
        genesis.policy.auto_pay_limit = 0;
        genesis
            .approvals
            .retain(|(what, _)| *what < Approved::Payout);
        genesis.approvals.push((Approved::Payout, 3));
        genesis.approvals.push((Approved::Resume, 2));
    });
    assert_eq!(needed(&listed, 1), (3, 2));
}

#[test]
fn write_offs_compare_and_set_each_account_on_its_own() {
    let mut world = World::ready();
    let [said, anna, ben] = approved(write_off("anna", NONE));
    let first = world.desk_says(&[said.clone(), anna.clone()]);
    assert_eq!(last(&world, "anna"), NONE);
    let second = world.desk_says(&[ben, said, anna]);
    assert_eq!(last(&world, "anna"), at(first, 0));
    assert_eq!(
        taken(&world, second),
        [(at(first, 0), at(second, 0), 0)],
        "the place is the event's own"
    );
    assert_eq!(taken(&world, first), []);
    // What expects the first place is refused, what expects the last is obeyed; another account is another subject.
    world.desk_says(&approved(write_off("anna", at(second, 0))));
    assert_eq!(last(&world, "anna"), at(first, 0));
    let third = world.desk_says(&approved(write_off("anna", at(first, 0))));
    assert_eq!(last(&world, "anna"), at(third, 0));
    let other = world.desk_says(&approved(write_off("ben", NONE)));
    assert_eq!(
        (last(&world, "ben"), last(&world, "anna")),
        (at(other, 0), at(third, 0))
    );
}

#[test]
fn a_write_off_has_the_time_of_the_policy_that_is_in_force_where_it_takes_effect() {
    let mut world = World::with(|genesis| genesis.policy.writeoff_ms = 7);
    let longer = policy_change(NONE, |policy| policy.writeoff_ms = 9);
    let events = [write_off("anna", NONE), longer, write_off("ben", NONE)].map(approved);
    let said = world.desk_says(&events.concat());
    let times: Vec<u64> = taken(&world, said).iter().map(|taken| taken.2).collect();
    assert_eq!(times, [7, 9]);
    let back = State::from_snapshot_bytes(&world.state.to_snapshot_bytes()).unwrap();
    assert_eq!(back, world.state);
}
