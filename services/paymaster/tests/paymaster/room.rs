//! A spool without room: what was not said does not count as said.

use orebook_ledger::spool::{FILE_BYTES_MIN, HEARTBEAT_MS};
use orebook_paymaster::machine::{BACK_MAX, Machine};
use orebook_replay::folds::money::payouts::TxState;
use orebook_schema::{Role, StreamId};
use orebook_sim::disk::SimDisk;
use orebook_sim::ground::{self, signer};

use crate::setup::{LEDGER, PAID, PAYMASTERS, Setup, account};
use crate::world::World;

/// Heartbeats that fill a file of the smallest size, and more.
const HEARTBEATS_MAX: u32 = 5_000;

/// The paymaster's spool is on a disk of its own from now on, in small files.
fn on_a_disk_of_its_own(world: &mut World) -> SimDisk {
    let disk = SimDisk::new(77);
    let mut config = world.setup.machine_config();
    config.spool = ground::spool_config(LEDGER, Role::Paymaster, FILE_BYTES_MIN);
    let paymaster = &mut world.paymasters[0];
    let machine = Machine::open(
        disk.clone(),
        "paymaster",
        config,
        signer(PAYMASTERS[0]),
        paymaster.store.clone(),
        world.now,
        StreamId::from_parts(world.now, [77; 10]),
    );
    let (mirror, _) = paymaster.life.take().unwrap();
    paymaster.life = Some((mirror, machine.unwrap()));
    disk
}

#[test]
fn a_confirmation_is_taken_back_when_there_is_room_to_say_so_however_long_there_was_none() {
    let mut world = World::with(Setup::new(false), &[(account(1), 500)]);
    let disk = on_a_disk_of_its_own(&mut world);
    world.until("seen", |world| world.state(0, 0) == Some(TxState::Seen));
    world.chain.mine(PAID);
    world.until("confirmed", |world| {
        world.state(0, 0) == Some(TxState::Confirmed)
    });
    world.turns(20);
    disk.faults().set_capacity(Some(0));
    let full = |world: &World| world.paymasters[0].metrics().spool_full;
    for _ in 0..HEARTBEATS_MAX {
        if 0 < full(&world) {
            break;
        }
        world.now += HEARTBEAT_MS;
        world.turns(1);
    }
    assert!(0 < full(&world), "heartbeats fill the file in hand");
    world.chain.reorganise(PAID, true);
    while full(&world) < 3 + 3 * u64::from(BACK_MAX) {
        world.turns(1);
    }
    assert_eq!(world.state(0, 0), Some(TxState::Confirmed));
    assert_eq!(world.paymasters[0].metrics().disputed, 0);
    disk.faults().set_capacity(None);
    world.until("taken back", |world| {
        matches!(world.state(0, 0), Some(TxState::Broadcast | TxState::Seen))
    });
    world.settle();
    world.check_all_paid("after a spool without room");
}
