//! Credits, void jobs and summaries (section 4): every figure here is worked by hand.

use orebook_ledger::admit::{Cause, Parsed, Verdict};
use orebook_schema::names::Pot;
use orebook_schema::summary::{PotSummary, Summary};
use orebook_schema::{At, Event, Work};

use crate::world::{
    ANNA, BEN, GATEWAY, NONE, Pen, World, approve, approved, at, hello, job, moved, nonce,
    policy_change, pot_summary, share, stale, worker,
};

/// The frame is admitted with exactly this summary.
#[track_caller]
fn assert_summary(world: &mut World, pen: &mut Pen, events: &[Event], pots: Vec<PotSummary>) {
    let summary = Summary { pots };
    let draft = world.draft(pen, events).with_summary(&summary);
    assert_eq!(
        world.summary(pen, events),
        summary,
        "what a producer computes"
    );
    world.admitted(pen, &draft);
}

fn with_job(policy: At) -> [Event; 3] {
    [worker(0, 0), job(0, policy), share(0, 0, 5)]
}

fn void() -> Vec<PotSummary> {
    vec![pot_summary(0, 0, &[(0, 1, 0)])]
}

/// Five units of work at a network work of a million.
fn paid() -> Vec<PotSummary> {
    vec![pot_summary(0, 5_000_000, &[(0, 1, 5)])]
}

#[test]
fn a_share_of_a_final_policy_is_credited_its_work() {
    let mut world = World::ready();
    assert_summary(
        &mut world,
        &mut Pen::new(GATEWAY, 1),
        &with_job(NONE),
        paid(),
    );
}

#[test]
fn a_job_of_a_policy_that_is_not_final_is_void() {
    let mut world = World::new();
    assert_summary(
        &mut world,
        &mut Pen::new(GATEWAY, 1),
        &with_job(NONE),
        void(),
    );
}

#[test]
fn a_job_is_judged_when_it_is_admitted_and_never_again() {
    let mut world = World::new();
    let mut pen = Pen::new(GATEWAY, 1);
    assert_summary(&mut world, &mut pen, &with_job(NONE), void());
    world.finalise();
    let events = [share(0, 0, 7), job(1, NONE), share(0, 1, 8)];
    let pots = vec![pot_summary(0, 8_000_000, &[(0, 2, 8)])];
    assert_summary(&mut world, &mut pen, &events, pots);
}

#[test]
fn a_job_of_what_is_no_obeyed_policy_is_void() {
    let mut world = World::ready();
    let waiting = policy_change(NONE, |policy| policy.threshold = 2);
    let waits = world.desk_says(&[waiting, Event::Heartbeat]);
    let refused = world.desk_says(&approved(policy_change(at(1, 0), |_| {})));
    world.finalise();
    let cited = [
        at(0, 1),
        at(1, 0),
        at(1, 7),
        at(waits, 0),
        at(waits, 1),
        at(refused, 0),
        at(refused, u16::MAX),
    ];
    for (number, cited) in (10..).zip(cited) {
        assert_summary(
            &mut world,
            &mut Pen::new(GATEWAY, number),
            &with_job(cited),
            void(),
        );
    }
}

#[test]
fn a_policy_is_final_when_the_place_where_it_took_effect_is() {
    let mut world = World::ready();
    let thing = policy_change(NONE, |policy| policy.pots[0].stale_ppm = 1_000_000);
    let place = at(world.desk_says(&[thing.clone(), approve(ANNA, &thing)]), 0);
    world.finalise();
    let mut numbers = 10..;
    let mut check = |world: &mut World, pots| {
        let pen = &mut Pen::new(GATEWAY, numbers.next().unwrap());
        assert_summary(world, pen, &with_job(place), pots);
    };
    check(&mut world, void());
    world.desk_says(&[approve(BEN, &thing)]);
    check(&mut world, void());
    let effective = world
        .state
        .authority()
        .unwrap()
        .policy(place)
        .unwrap()
        .effective;
    assert!(place.position < effective && world.state.final_size() <= effective);
    world.finalise();
    check(&mut world, paid());
    // Another policy in its place makes it no less the policy of its jobs.
    world.desk_says(&approved(policy_change(place, |_| {})));
    world.finalise();
    check(&mut world, paid());
}

#[test]
fn stale_shares_are_credited_what_the_policy_says_rounded_down() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    world.say(
        &mut pen,
        &[worker(0, 0), worker(1, 1), worker(2, 9), job(0, NONE)],
    );
    // 333,333 ppm in pot 0, none in pot 1, no pot 9 in the policy.
    let cases = [
        (0, 1, 0, 0),
        (0, 3, 0, 0),
        (0, 4, 0, 1),
        (0, 100, 0, 33),
        (0, 1_000_000, 0, 333_333),
        (0, Work::MAX, 0, 3_074_454_271_160_912_984),
        (1, 1_000_000, 1, 0),
        (2, 1_000_000, 9, 0),
    ];
    for (number, work, pot, credit) in cases {
        let pots = vec![pot_summary(pot, credit * 1_000_000, &[(number, 1, credit)])];
        assert_summary(&mut world, &mut pen, &[stale(number, 0, work)], pots);
    }
    // Only stale shares ask the policy for their pot.
    let fresh = vec![pot_summary(9, 6_000_000, &[(2, 1, 6)])];
    assert_summary(&mut world, &mut pen, &[share(2, 0, 6)], fresh);
}

#[test]
fn stale_shares_of_a_void_job_are_credited_nothing() {
    let mut world = World::new();
    let events = [worker(0, 0), job(0, NONE), stale(0, 0, 1_000_000)];
    assert_summary(&mut world, &mut Pen::new(GATEWAY, 1), &events, void());
}

#[test]
fn effort_is_rounded_down_for_each_share() {
    let mut world = World::ready();
    let mut of_three = job(0, NONE);
    if let Event::Job(job) = &mut of_three {
        job.network_work = 3;
    }
    let events = [
        worker(0, 0),
        of_three,
        share(0, 0, 1),
        share(0, 0, 1),
        share(0, 0, 2),
    ];
    // 333,333,333,333 twice and 666,666,666,666: not 4/3 of 10^12.
    let pots = vec![pot_summary(0, 1_333_333_333_332, &[(0, 3, 4)])];
    assert_summary(&mut world, &mut Pen::new(GATEWAY, 1), &events, pots);
}

#[test]
fn effort_of_the_most_work_and_the_least_network_work_fits() {
    let mut world = World::ready();
    let mut easy = job(0, NONE);
    if let Event::Job(job) = &mut easy {
        job.network_work = 1;
    }
    let mut events = vec![worker(0, 0), easy];
    events.extend(vec![share(0, 0, Work::MAX); 900]);
    let credit = 900 * u128::from(Work::MAX);
    let pots = vec![pot_summary(
        0,
        credit * 1_000_000_000_000,
        &[(0, 900, credit)],
    )];
    assert_summary(&mut world, &mut Pen::new(GATEWAY, 1), &events, pots);
}

#[test]
fn rows_are_by_pot_and_worker_in_the_order_of_numbers() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    let announced = [
        worker(0, 1),
        worker(1, 0),
        worker(2, 1),
        worker(3, 0),
        job(0, NONE),
    ];
    world.say(&mut pen, &announced);
    let shares = [(2, 20), (0, 1), (3, 300), (0, 2), (2, 40), (1, 7)];
    let shares = shares.map(|(worker, work)| share(worker, 0, work));
    let pots = vec![
        pot_summary(0, 307_000_000, &[(1, 1, 7), (3, 1, 300)]),
        pot_summary(1, 63_000_000, &[(0, 2, 3), (2, 2, 60)]),
    ];
    assert_summary(&mut world, &mut pen, &shares, pots);
}

#[test]
fn the_pot_of_a_worker_is_that_of_its_epoch() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    world.say(&mut pen, &hello());
    let mut again = pen.restarted();
    let events = [worker(0, 1), job(0, NONE), share(0, 0, 5)];
    let pots = vec![pot_summary(1, 5_000_000, &[(0, 1, 5)])];
    assert_summary(&mut world, &mut again, &events, pots);
}

#[test]
fn moved_shares_are_in_no_summary() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    world.say(&mut pen, &hello());
    let events = [moved(9, 0, &nonce(1)), moved(9, 1, &nonce(2))];
    assert_summary(&mut world, &mut pen, &events, Vec::new());
    let mut credited = events.to_vec();
    credited.push(share(0, 0, 5));
    assert_summary(&mut world, &mut pen, &credited, paid());
}

#[test]
fn a_summary_that_claims_a_void_job_s_work_is_inconsistent() {
    let mut world = World::new();
    let pen = Pen::new(GATEWAY, 1);
    let summary = Summary { pots: paid() };
    let draft = world.draft(&pen, &with_job(NONE)).with_summary(&summary);
    assert_eq!(
        world.admit(draft.bytes()),
        Verdict::Refused(Cause::Inconsistent)
    );
    world.finalise();
    assert!(
        matches!(world.admit(draft.bytes()), Verdict::Admitted(_)),
        "it was early"
    );
    assert_eq!(Pot(0), summary.pots[0].pot);
}

#[test]
fn bodies_of_shares_alone_and_mixed_ones_give_back_their_events_and_count_the_same() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    world.say(&mut pen, &[worker(0, 0), worker(1, 1), job(0, NONE)]);
    let shares: Vec<Event> = (1..40).map(|n| share((n % 2) as u32, 0, n)).collect();
    for at in [None, Some(0), Some(1), Some(20), Some(39)] {
        let mut events = shares.clone();
        if let Some(at) = at {
            events.insert(at, Event::Heartbeat);
        }
        let draft = world.draft(&pen, &events);
        let parsed = Parsed::read(draft.bytes()).unwrap();
        assert_eq!(parsed.events(), events, "a heartbeat at {at:?}");
        assert_eq!(parsed.shares().is_some(), at.is_none());
        // 400 = 1 + 3 + … + 39, 380 = 2 + 4 + … + 38.
        let pots = vec![
            pot_summary(0, 380_000_000, &[(0, 19, 380)]),
            pot_summary(1, 400_000_000, &[(1, 20, 400)]),
        ];
        assert_summary(&mut world, &mut pen, &events, pots);
    }
}

#[test]
fn shares_of_what_was_not_announced_are_inconsistent_in_a_body_of_shares_alone() {
    let mut world = World::ready();
    let mut pen = Pen::new(GATEWAY, 1);
    world.say(&mut pen, &[worker(0, 0), job(0, NONE)]);
    for wrong in [share(1, 0, 5), share(0, 1, 5)] {
        let events = [share(0, 0, 5), wrong];
        assert_eq!(world.refusal(&pen, &events), Cause::Inconsistent);
    }
}
