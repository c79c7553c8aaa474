//! How long a coinbase of ours waits for a share: over outages, drains, dead gateways and wrong clocks.

use orebook_schema::event::KeyAction;
use orebook_schema::{At, Hash, Key};
use orebook_settler::grace::{
    Facts, GONE_MS, Gateway, LAG_MS_MAX, LevelClock, Noticed, SPARE_MS, STEP_MS_MAX, is_over,
};

use crate::chain::Coinbase;
use crate::world::{GRACE_MS, GatewayIs, IMMATURE, World};

const NOW: u64 = 1_700_000_000_000;
const GRACE: u64 = 60_000;
const HOUR: u64 = 3_600_000;
/// Looks: our clock and the ledger's, both after [`NOW`].
type Looks = &'static [(u64, u64)];

fn gateway(last_time: u64, said_at: u64, heard_at: u64) -> Gateway {
    Gateway {
        key: Key([2; 32]),
        last_time,
        said_at,
        heard_at,
        has_stream: 0 < said_at,
    }
}

/// One that opened a stream once, and said nothing since its key is in force again.
fn silent(heard_at: u64) -> Gateway {
    Gateway {
        has_stream: true,
        ..gateway(0, 0, heard_at)
    }
}

/// One that said something at `time` that the ledger took at once.
fn prompt(time: u64) -> Gateway {
    gateway(time, time, time)
}

#[test]
fn a_wait_ends_when_all_who_could_explain_it_were_heard_after_it() {
    let until = NOW + GRACE;
    let later = until + HOUR;
    // Gateways, level time waited, ledger time now, whether it is over.
    let rows: [(&str, &[Gateway], u64, u64, bool); 20] = [
        ("heard at the end", &[prompt(until)], GRACE, until, true),
        ("and before", &[prompt(until - 1)], GRACE, until, false),
        ("too early", &[prompt(later)], GRACE - 1, later, false),
        ("no gateway is in force", &[], GRACE, until, true),
        (
            "one of two",
            &[prompt(until), prompt(NOW)],
            GRACE,
            later,
            false,
        ),
        ("never said", &[gateway(0, 0, NOW)], GRACE, later, false),
        (
            "a key without a stream, an hour almost",
            &[gateway(0, 0, NOW)],
            SPARE_MS - 1,
            later,
            false,
        ),
        (
            "a key without a stream, an hour",
            &[gateway(0, 0, NOW)],
            SPARE_MS,
            later,
            true,
        ),
        (
            "and one that was heard before",
            &[gateway(0, 0, NOW), prompt(NOW)],
            SPARE_MS,
            later,
            false,
        ),
        (
            "a stream of before its key was revoked",
            &[silent(NOW)],
            SPARE_MS,
            later,
            false,
        ),
        (
            "a spare key, and the log is back just now",
            &[gateway(0, 0, NOW)],
            STEP_MS_MAX,
            NOW + GONE_MS - 1,
            false,
        ),
        (
            "the log is back, its backlog not yet",
            &[gateway(NOW - HOUR, NOW + HOUR, NOW + HOUR)],
            HOUR,
            later,
            false,
        ),
        (
            "its clock is ahead and its backlog beyond the end",
            &[gateway(until, until + LAG_MS_MAX + 1, later)],
            HOUR,
            later,
            false,
        ),
        (
            "as late as clocks differ",
            &[gateway(until, until + LAG_MS_MAX, later)],
            GRACE,
            later,
            true,
        ),
        (
            "its clock is years ahead, and it said that before",
            &[gateway(u64::MAX, until - 1, until)],
            GRACE,
            until,
            false,
        ),
        (
            "not gone yet",
            &[prompt(NOW)],
            GRACE,
            NOW + GONE_MS - 1,
            false,
        ),
        ("gone", &[prompt(NOW)], GRACE, NOW + GONE_MS, true),
        (
            "gone, and the log is back just now",
            &[prompt(NOW)],
            STEP_MS_MAX,
            NOW + GONE_MS,
            false,
        ),
        (
            "it says, but never in time",
            &[gateway(NOW, later, later)],
            GONE_MS - 1,
            later,
            false,
        ),
        (
            "and that for a day",
            &[gateway(NOW, later, later)],
            GONE_MS,
            later,
            true,
        ),
    ];
    for (what, gateways, waited, ledger_time, over) in rows {
        let noticed = Noticed {
            time: NOW,
            level_ms: 5,
        };
        let facts = Facts {
            now: ledger_time,
            ledger_time,
            gateways,
        };
        assert_eq!(is_over(noticed, 5 + waited, GRACE, &facts), over, "{what}");
    }
}

#[test]
fn level_time_is_what_passes_by_both_clocks_in_steps() {
    // By our clock, by the ledger's, level time after the whole.
    let rows: [(&str, Looks, u64); 8] = [
        ("the first look", &[(500, 900)], 0),
        ("both", &[(0, 0), (5_000, 5_000), (9_000, 9_000)], 9_000),
        (
            "heartbeats only",
            &[(0, 0), (5_000, 0), (10_000, 10_000), (15_000, 10_000)],
            10_000,
        ),
        ("the log is away", &[(0, 0), (5_000, 0), (HOUR, 0)], 0),
        (
            "and back",
            &[(0, 0), (HOUR, 0), (HOUR + 5_000, HOUR)],
            STEP_MS_MAX,
        ),
        (
            "a drain",
            &[(0, 0), (1_000, 20_000), (2_000, 40_000), (3_000, 60_000)],
            3_000,
        ),
        ("our clock jumps", &[(0, 0), (HOUR, 1_000)], 1_000),
        ("and back", &[(HOUR, 0), (0, 1_000), (1_000, 2_000)], 1_000),
    ];
    for (what, looks, level_ms) in rows {
        let mut clock = LevelClock::default();
        for (now, ledger_time) in looks {
            clock.look(NOW + now, NOW + ledger_time);
        }
        assert_eq!(clock.level_ms(), level_ms, "{what}");
    }
}

/// Turns of an outage of five minutes.
const OUTAGE_TURNS: u32 = 3_000;
/// Turns in which everything is brought that waited, and a grace passes.
const DRAIN_TURNS: u32 = 600;

/// A block found in the second half of an outage that began before.
fn find_in_outage(world: &mut World) -> Hash {
    world.turns(OUTAGE_TURNS / 2);
    let hash = world.chain.mine(&Coinbase::ours());
    world.found(hash, 1);
    world.chain.mine_foreign(IMMATURE);
    world.turns(OUTAGE_TURNS / 2);
    hash
}

fn is_settled_by_its_share(world: &mut World, hash: Hash, what: &str) {
    world.turns(DRAIN_TURNS);
    world.calm();
    assert_eq!(world.recoveries(), [], "{what}");
    assert_eq!(world.obeyed(hash), ["seen", "immature"], "{what}");
    assert!(world.book(hash).unwrap().job_fees.is_some(), "{what}");
    assert_eq!(world.settlers[0].metrics().strangers, 0, "{what}");
}

#[test]
fn a_block_found_while_the_log_is_away_is_settled_by_its_share_when_it_is_back() {
    for restarted in [false, true] {
        let mut world = World::new(1, 1);
        world.broker.set_available(false);
        let hash = find_in_outage(&mut world);
        assert_eq!(world.settlers[0].metrics().strangers, 1);
        world.broker.set_available(true);
        if restarted {
            let settler = &mut world.settlers[0];
            settler.kill();
            settler.disk.restart();
            settler.start(world.now).unwrap();
        }
        is_settled_by_its_share(&mut world, hash, &format!("restarted: {restarted}"));
    }
}

#[test]
fn a_block_found_by_a_gateway_that_is_cut_off_is_settled_by_its_share_when_it_is_back() {
    let mut world = World::new(1, 1);
    world.gateway_is = GatewayIs::CutOff;
    let hash = find_in_outage(&mut world);
    let waited = world.keeper.reader().settled().ledger_time();
    assert!(
        world.now < waited + 60_000,
        "the ledger goes on without the gateway"
    );
    assert_eq!(world.settlers[0].metrics().strangers, 1);
    world.gateway_is = GatewayIs::Up;
    is_settled_by_its_share(&mut world, hash, "cut off");
}

#[test]
fn a_gateway_that_died_for_ever_is_waited_for_a_day_and_no_longer() {
    let mut world = World::new(1, 1);
    world.gateway_is = GatewayIs::Dead;
    let hash = world.chain.mine(&Coinbase::ours());
    world.chain.mine_foreign(IMMATURE);
    world.turns(OUTAGE_TURNS);
    assert_eq!(world.settlers[0].metrics().strangers, 1);
    assert_eq!(world.recoveries(), []);
    world.now += GONE_MS - 1_000 * GRACE_MS;
    world.turns(500);
    assert_eq!(world.recoveries(), [], "not a day yet");
    world.now += 1_000 * GRACE_MS;
    world.turns(1_000);
    world.calm();
    assert_eq!(world.recoveries().len(), 1);
    assert_eq!(world.obeyed(hash), ["seen", "immature"]);
}

#[test]
fn a_key_is_waited_for_from_when_it_is_in_force_until_it_is_revoked() {
    let spare = Some(9);
    let mut world = World::new(1, 1);
    // What was revoked was there before, and what was added was never heard.
    world.gateway_is = GatewayIs::Dead;
    world.change_key(None, KeyAction::Revoked, At::default());
    let added = world.change_key(spare, KeyAction::InForce, At::default());
    let hash = world.chain.mine(&Coinbase::ours());
    world.chain.mine_foreign(IMMATURE);
    world.turns(OUTAGE_TURNS / 2);
    assert_eq!(world.settlers[0].metrics().strangers, 1);
    assert_eq!(world.recoveries(), [], "the new one may have found it");
    let revoked = world.change_key(spare, KeyAction::Revoked, added);
    world.turns(1_000);
    world.calm();
    assert_eq!(world.recoveries().len(), 1, "nobody is left");
    assert_eq!(world.obeyed(hash), ["seen", "immature"]);
    // In force again after more than a day it is waited for again.
    world.now += 2 * GONE_MS;
    world.turns(1_000);
    world.change_key(spare, KeyAction::InForce, revoked);
    world.chain.mine(&Coinbase::ours());
    world.chain.mine_foreign(IMMATURE);
    world.turns(OUTAGE_TURNS / 2);
    assert_eq!(world.settlers[0].metrics().strangers, 1);
    assert_eq!(world.recoveries().len(), 1);
}

#[test]
fn a_spare_key_delays_a_recovery_by_an_hour_and_no_longer() {
    let mut world = World::new(1, 1);
    world.change_key(Some(9), KeyAction::InForce, At::default());
    let hash = world.chain.mine(&Coinbase::ours());
    world.chain.mine_foreign(IMMATURE);
    world.turns(OUTAGE_TURNS);
    assert_eq!(world.settlers[0].metrics().strangers, 1);
    assert_eq!(world.recoveries(), [], "it may have found the block");
    // Heartbeats alone are final once a minute, and a minute is a step of the level clock: hours, and no day.
    for _ in 0..2 * SPARE_MS / STEP_MS_MAX {
        world.now += 60_000;
        world.turns(10);
    }
    world.calm();
    assert_eq!(world.recoveries().len(), 1);
    assert_eq!(world.obeyed(hash), ["seen", "immature"]);
}
