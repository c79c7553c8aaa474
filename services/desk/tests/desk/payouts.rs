//! Halts, resumes and write-offs, and approvals of batches, which the desk does not know.

use orebook_desk::judge::judge;
use orebook_ledger::authority::{Authority, thing_digest};
use orebook_schema::account::Registration;
use orebook_schema::desk::Reason;
use orebook_schema::names::RegisteredName;
use orebook_schema::payout::{PayoutHalt, PayoutResume, PayoutStep, Step, WriteOff};
use orebook_schema::{Account, At, Event, Hash};

use crate::world::{APPROVERS, CLERK, LEDGER, OPERATOR, World, approval, genesis};

const fn at(position: u64) -> At {
    At { position, index: 0 }
}

fn reason() -> Reason {
    Reason::parse("a word").unwrap()
}

fn halt(wallet: u16) -> Event {
    let reason = reason();
    Event::PayoutHalt(Box::new(PayoutHalt { wallet, reason }))
}

fn resume(expects: At) -> Event {
    Event::PayoutResume(Box::new(PayoutResume {
        wallet: 0,
        expects,
        reason: reason(),
    }))
}

fn write_off(account: &str, expects: At) -> Event {
    Event::WriteOff(Box::new(WriteOff {
        account: Account::parse(account).unwrap(),
        expects,
        reason: reason(),
    }))
}

fn registration(name: &str) -> Event {
    Event::Account(Box::new(Registration {
        name: RegisteredName::parse(name).unwrap(),
        expects: At::default(),
        payout: Account::parse("script:51").unwrap(),
        threshold: 0,
        token: None,
        registered_only: false,
        workers: Vec::new(),
    }))
}

fn step() -> Event {
    Event::PayoutStep(Box::new(PayoutStep {
        wallet: 0,
        batch: 0,
        tx: 0,
        expects: At::default(),
        step: Step::Seen,
        txid: Hash([1; 32]),
        height: 0,
        block: None,
        fee: 0,
    }))
}

#[test]
fn halts_are_always_taken_and_the_others_refused_by_what_the_desk_knows() {
    let zero = At::default();
    let mut authority = Authority::new(genesis());
    authority.apply(at(5), &registration("anna"));
    let said = write_off("name:anna", zero);
    authority.apply(at(6), &said);
    for approver in APPROVERS {
        let digest = thing_digest(LEDGER, &said);
        authority.apply(at(7), &approval(approver, digest));
    }
    authority.apply(at(8), &write_off("script:51", zero));
    for (event, expected) in [
        (halt(0), "taken"),
        (halt(u16::MAX), "taken"),
        (resume(zero), "taken"),
        (resume(at(49)), "taken"),
        (resume(at(50)), "not_there"),
        (write_off("name:anna", at(6)), "taken"),
        (write_off("name:anna", zero), "expects"),
        (write_off("name:ben", zero), "not_registered"),
        (write_off("script:52", zero), "taken"),
        (write_off("script:51", zero), "already"),
        (step(), "kind"),
    ] {
        let cause = judge(&authority, 50, &event);
        let cause = cause.map_or_else(|refusal| refusal.name(), |()| "taken");
        assert_eq!(cause, expected, "{event:?}");
    }
}

#[test]
fn a_halt_holds_at_once_and_a_resume_is_said_and_counts_its_approvals() {
    let mut world = World::new();
    let halted = world.send(OPERATOR, &halt(0));
    assert_eq!(halted["outcome"], "obeyed", "{halted}");
    let place = At {
        position: halted["at"][0].as_u64().unwrap(),
        index: 0,
    };
    let resume = resume(place);
    let digest = thing_digest(LEDGER, &resume);
    let said = world.send(OPERATOR, &resume);
    assert_eq!(said["outcome"], "said", "{said}");
    assert_eq!(said["thing"]["digest"], digest.to_string());
    assert_eq!(said["thing"]["missing"], 1, "{said}");
    let message = said["message"].as_str().unwrap();
    assert!(message.contains("judged with the balances"), "{message}");
    let counted = world.send(APPROVERS[0], &approval(APPROVERS[0], digest));
    assert_eq!(counted["outcome"], "counted", "{counted}");
    assert_eq!(counted["thing"]["approved"], 1, "{counted}");
    // Said again behind its approval, it needs no more.
    let again = world.send(OPERATOR, &resume);
    assert_eq!(again["thing"]["missing"], 0, "{again}");
    let events: Vec<Event> = world.said().into_iter().map(|(_, event)| event).collect();
    assert!(events.contains(&halt(0)) && events.contains(&resume));
}

#[test]
fn an_approval_of_what_the_desk_does_not_know_is_taken_and_says_so() {
    let mut world = World::new();
    let batch = Hash([0x5a; 32]);
    let answer = world.send(APPROVERS[1], &approval(APPROVERS[1], batch));
    assert_eq!(answer["outcome"], "counted", "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("no thing of this digest waits here"));
    assert!(message.contains("A batch of payouts or a resume"));
    assert!(message.contains("orebook pay status"), "{message}");
    let authority = world.settled().authority().unwrap();
    assert_eq!(authority.approved_by(&batch).count(), 1);
}

#[test]
fn a_write_off_waits_for_two_and_the_state_says_what_the_next_must_expect() {
    let mut world = World::new();
    let account = Account::parse("script:51").unwrap();
    let event = write_off("script:51", At::default());
    let said = world.send(OPERATOR, &event);
    assert_eq!(said["outcome"], "waits", "{said}");
    assert_eq!(said["thing"]["missing"], 2, "{said}");
    let digest = thing_digest(LEDGER, &event);
    for (approver, missing) in [(APPROVERS[0], 1), (APPROVERS[1], 0)] {
        let answer = world.send(approver, &approval(approver, digest));
        assert_eq!(answer["thing"]["missing"], missing, "{answer}");
    }
    let state = world.state_of(Some(&account));
    assert_eq!(state["account"]["written_off"], said["at"]);
    let needed = &state["needed"];
    assert_eq!(
        (
            needed["payout"].as_u64(),
            needed["resume"].as_u64(),
            needed["write_off"].as_u64()
        ),
        (Some(2), Some(1), Some(2))
    );
    for refused in [halt(0), event] {
        let clerk = world.send(CLERK, &refused);
        assert_eq!(clerk["cause"], "not_allowed", "{clerk}");
    }
}
