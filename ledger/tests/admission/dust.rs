//! Announcements of dust: one line of things; reconciliations; pots that cannot pay by the coinbase.

use orebook_ledger::admit::Cause;
use orebook_schema::desk::Reason;
use orebook_schema::dust::{DustBook, InactiveDust};
use orebook_schema::genesis::Approved;
use orebook_schema::policy::Scheme;
use orebook_schema::reconciled::{Reconciled, Report};
use orebook_schema::{Account, At, Event, Hash};

use crate::causes::{assert_admitted, assert_cause};
use crate::world::{
    ANNA, BEN, DESK, NONE, PAYMASTER, Pen, World, approve, approved, at, policy_change,
};

pub(crate) fn dust(cutoff: u64, of: &[&str], expects: At) -> Event {
    let account = |name: &&str| Account::parse(&format!("name:{name}")).unwrap();
    Event::InactiveDust(Box::new(InactiveDust {
        cutoff,
        to: DustBook::Reserve,
        accounts: of.iter().map(account).collect(),
        expects,
        reason: Reason::parse("silent").unwrap(),
    }))
}

pub(crate) fn reconciled(compared_position: u64) -> Event {
    Event::Reconciled(Box::new(Reconciled {
        wallet: 0,
        compared_position,
        money: Hash::ZERO,
        wallet_expected: 1,
        wallet_found: 1,
        transactions: 0,
        blocks: 0,
        differences: 0,
        report: Report::default(),
    }))
}

/// Places of the announcements that took effect in the frame of a position, each with where it did.
fn taken(world: &World, position: u64) -> Vec<(At, At)> {
    let authority = world.state.authority().unwrap();
    let taken = authority.dust_taken_at(position);
    taken.map(|taken| (taken.at, taken.effective)).collect()
}

fn last(world: &World) -> At {
    world.state.authority().unwrap().last_dust()
}

#[test]
fn what_is_cited_is_earlier() {
    let world = World::ready();
    let here = world.state.size();
    for (number, (producer, event, legal)) in [
        (DESK, dust(here - 1, &["anna"], at(here - 1, 9)), true),
        (DESK, dust(here, &["anna"], NONE), false),
        (DESK, dust(0, &["anna"], at(here, 0)), false),
        (PAYMASTER, reconciled(here - 1), true),
        (PAYMASTER, reconciled(here), false),
    ]
    .into_iter()
    .enumerate()
    {
        let pen = Pen::new(producer, 0x60 + u8::try_from(number).unwrap());
        let draft = world.draft(&pen, std::slice::from_ref(&event));
        if legal {
            assert_admitted(&world, &format!("{event:?}"), draft.bytes());
        } else {
            let what = format!("{event:?}");
            assert_cause(&world, &what, draft.bytes(), Cause::Inconsistent);
        }
    }
}

#[test]
fn announcements_compare_and_set_one_line_whoever_they_name() {
    let mut world = World::ready();
    let [said, anna, ben] = approved(dust(1, &["anna"], NONE));
    let first = world.desk_says(&[said.clone(), anna.clone()]);
    assert_eq!(last(&world), NONE, "two must approve it");
    let second = world.desk_says(&[ben, said, anna]);
    assert_eq!(last(&world), at(first, 0));
    assert_eq!(taken(&world, second), [(at(first, 0), at(second, 0))]);
    assert_eq!(taken(&world, first), []);
    // Other accounts are the same line.
    world.desk_says(&approved(dust(1, &["ben"], NONE)));
    assert_eq!(last(&world), at(first, 0));
    let third = world.desk_says(&approved(dust(1, &[], at(first, 0))));
    assert_eq!(last(&world), at(third, 0));
    let listed = World::with(|genesis| {
        genesis.approvals = vec![(Approved::InactiveDust, 1)];
    });
    let mut listed = listed;
    let alone = dust(0, &["anna"], NONE);
    let said = listed.desk_says(&[alone.clone(), approve(ANNA, &alone), approve(BEN, &alone)]);
    assert_eq!(taken(&listed, said), [(at(said, 0), at(said, 1))]);
}

#[test]
fn a_policy_that_pays_by_the_coinbase_where_none_can_is_refused_for_ever() {
    let direct = |scheme: Scheme, bonus_ppm| {
        policy_change(NONE, |policy| {
            let mut rules = policy.pots[0];
            rules.pot = orebook_schema::names::Pot(40);
            (rules.scheme, rules.bonus_ppm) = (scheme, bonus_ppm);
            (rules.direct_min, rules.direct_outputs) = (1, 1);
            policy.pots.push(rules);
        })
    };
    let obeyed = |mut world: World, event: Event| {
        let place = world.desk_says(&approved(event));
        let authority = world.state.authority().unwrap();
        authority.policy(at(place, 0)).is_some()
    };
    for (scheme, can) in [
        (Scheme::Pplns, true),
        (Scheme::Solo, false),
        (Scheme::Prop, false),
        (Scheme::Pps, false),
        (Scheme::Fpps, false),
    ] {
        assert_eq!(obeyed(World::ready(), direct(scheme, 0)), can, "{scheme:?}");
        for world in [(World::ready(), 1), (World::of_ethash(), 0)] {
            assert!(!obeyed(world.0, direct(scheme, world.1)), "{scheme:?}");
        }
    }
}
