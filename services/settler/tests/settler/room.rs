//! A spool without room: what was not said does not count as said.

use std::sync::Arc;

use orebook_ledger::spool::HEARTBEAT_MS;
use orebook_replay::store::MemoryStore;
use orebook_schema::{Hash, StreamId};
use orebook_settler::machine::{Machine, SAME_WORDS_MAX};
use orebook_sim::disk::SimDisk;

use crate::chain::{Coinbase, name_of};
use crate::world::{IMMATURE, World, machine_config, signer};

/// Heartbeats that fill a file of the smallest size, and more.
const HEARTBEATS_MAX: u32 = 5_000;

/// The settler's spool is on a disk of its own from now on.
fn on_a_disk_of_its_own(world: &mut World) -> SimDisk {
    let disk = SimDisk::new(77);
    let mut config = machine_config(1);
    config.dialect = crate::eth::dialect();
    let settler = &mut world.settlers[0];
    let machine = Machine::open(
        disk.clone(),
        "settler",
        config,
        signer(settler.name),
        Arc::new(MemoryStore::new()),
        world.now,
        StreamId::from_parts(world.now, [77; 10]),
    );
    let (mirror, _) = settler.life.take().unwrap();
    settler.life = Some((mirror, machine.unwrap()));
    disk
}

#[test]
fn a_word_that_found_no_room_is_not_disputed_and_is_said_when_there_is() {
    let mut world = World::eth(1, 1);
    let disk = on_a_disk_of_its_own(&mut world);
    let hash = world.chain.mine(&Coinbase::ours());
    world.chain.set(hash, &[], Some(70));
    world.found_with(name_of(hash), 1, Hash::ZERO);
    world.calm();
    assert_eq!(world.state(name_of(hash)), "seen");
    disk.faults().set_capacity(Some(0));
    let full = |world: &World| world.settlers[0].metrics().spool_full;
    for _ in 0..HEARTBEATS_MAX {
        if 0 < full(&world) {
            break;
        }
        world.now += HEARTBEAT_MS;
        world.turns(1);
    }
    assert!(0 < full(&world), "heartbeats fill the file in hand");
    world.chain.mine_foreign(IMMATURE);
    while full(&world) < 3 + 2 * u64::from(SAME_WORDS_MAX) {
        world.turns(1);
    }
    assert_eq!(world.state(name_of(hash)), "seen");
    assert_eq!(world.settlers[0].metrics().disputed_blocks, 0);
    disk.faults().set_capacity(None);
    world.turns(40);
    world.calm();
    assert_eq!(world.state(name_of(hash)), "immature");
    assert_eq!(world.obeyed(name_of(hash)), ["seen", "immature"]);
}
