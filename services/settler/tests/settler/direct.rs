//! Blocks whose coinbases pay accounts: their value is all that the coinbase pays.

use orebook_schema::Hash;

use crate::chain::{Coinbase, OUR_SCRIPT, OUR_TEXT, txid_of};
use crate::world::{CONFIRMED, DIRECT_JOB, GRACE_MS, IMMATURE, World};

fn coinbase(rest: u128, text: &'static str) -> Coinbase {
    Coinbase {
        text,
        outputs: vec![
            (rest, OUR_SCRIPT.to_vec()),
            (3_000, b"\x51anna".to_vec()),
            (70, b"\x51ben".to_vec()),
        ],
    }
}

/// Values that the settler said of a block which a share of this job found.
fn values(job: u32, rest: u128, txid: impl Fn(Hash) -> Hash) -> Vec<u128> {
    let mut world = World::new(1, 1);
    let hash = world.chain.mine(&coinbase(rest, OUR_TEXT));
    world.job = job;
    world.found_with(hash, 1, txid(hash));
    world.chain.mine_foreign(CONFIRMED);
    world.calm();
    let said = world.statuses(hash);
    said.into_iter().map(|(_, status)| status.value).collect()
}

#[test]
fn the_value_of_a_direct_jobs_block_is_its_whole_coinbase() {
    assert_eq!(values(DIRECT_JOB, 2_000, txid_of).last(), Some(&5_070));
    // Nothing was left for the pool.
    assert_eq!(values(DIRECT_JOB, 0, txid_of).last(), Some(&3_070));
    // Of any other job it is what the pool's scripts have.
    assert_eq!(values(0, 2_000, txid_of).last(), Some(&2_000));
    assert_eq!(values(0, 0, txid_of).last(), None, "it is not settled");
    // The chain has another coinbase than the one that was named.
    assert_eq!(
        values(DIRECT_JOB, 2_000, |_| Hash::ZERO).last(),
        Some(&2_000)
    );
}

#[test]
fn a_coinbase_that_no_share_explains_is_worth_what_the_pool_got() {
    let mut world = World::new(1, 1);
    let hash = world.chain.mine(&coinbase(2_000, OUR_TEXT));
    world.chain.mine_foreign(IMMATURE);
    world.turns(GRACE_MS as u32 / 100 + 30);
    world.calm();
    assert_eq!(world.recoveries().len(), 1);
    let said = world.statuses(hash);
    assert_eq!(said.last().map(|(_, status)| status.value), Some(2_000));
}
