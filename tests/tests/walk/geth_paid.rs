//! Miners of a pool on a real go-ethereum are paid: what the chain has for them is what the books say was paid, to the last wei,
//! though the pool is killed in the middle of it and another branch takes the payments' blocks, one of which comes back as an uncle.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use orebook_miner::{EthCaches, EthDialect, EthLogin, EthRig, Mining};
use orebook_pow::ethash::{Cache, EpochRule};
use orebook_tests::pool::Pool;
use serde_json::{Value, json};

use crate::books;
use crate::geth::{Geth, number};
use crate::paid::{Reconciled, balance, batch_in, batches, compared, reconciles, until, verified};

/// The wallet's key, as good as public, and its address, which the node's blocks pay.
const KEY: &str = "0000000000000000000000000000000000000000000000000000000000000001";
const POOL: &str = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
/// Who mines, each in a dialect of his own. Nobody has their keys.
const MINERS: [(&str, EthDialect); 3] = [
    (
        "0xa1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
        EthDialect::EthProxy,
    ),
    (
        "0xb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2",
        EthDialect::Stratum2,
    ),
    (
        "0xc3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3",
        EthDialect::GetWork,
    ),
];
/// What a block pays, without fees and nephews.
const REWARD: u128 = 2_000_000_000_000_000_000;
/// Hashes of a share.
const HASHES: u64 = 4;
/// Of each rig. A block's time is at least a second after the one before, and no node takes blocks of the future: together
/// they find not much more than one a second.
const HASHES_PER_SECOND: u64 = 20;

/// Everything around a pool.
struct World {
    geth: Geth,
    folder: tempfile::TempDir,
    cache: Cache,
    caches: EthCaches,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut open = fs::OpenOptions::new();
        let open = open.write(true).create_new(true).mode(0o600);
        let file = open.open(folder.path().join("hot.key"));
        writeln!(file.expect("a file"), "{KEY}").expect("written");
        Self {
            geth: Geth::start(POOL),
            folder,
            cache: Cache::build(EpochRule::Ethash.epoch(0).expect("the first")),
            caches: EthCaches::default(),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("pool")
    }

    /// A configuration in which a batch comes so long after the one before it.
    fn configure(&self, interval_ms: u64) -> PathBuf {
        let (rpc, key) = (self.geth.address(), self.folder.path().join("hot.key"));
        let text = format!(
            "[pool]\ncoin = \"ethash-test\"\npayout_address = \"{POOL}\"\nblock_reward = \"2000000000000000000\"\n\
             [[node]]\nname = \"geth\"\nkind = \"ethash\"\nrpc = \"{rpc}\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n[settler]\npoll_ms = 200\ngrace_ms = 2000\n\
             [[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:0\"\ndifficulty = \"{HASHES}\"\n\
             [wallet]\nkey_file = \"{}\"\nchain_id = 1337\npeers_min = 0\ndry_run = false\npoll_ms = 200\n\
             interval_ms = {interval_ms}\nreconcile_ms = 5000\n",
            key.display()
        );
        let path = self.folder.path().join(format!("every-{interval_ms}.toml"));
        fs::write(&path, text).expect("written");
        path
    }

    /// What the chain has for an address, base units.
    fn on_chain(&self, address: &str) -> i128 {
        let balance = self
            .geth
            .call("eth_getBalance", &json!([address, "latest"]));
        let digits = balance.as_str().and_then(|text| text.strip_prefix("0x"));
        i128::from_str_radix(digits.expect("a quantity"), 16).expect("hex")
    }

    /// Mines with everybody until the condition holds.
    fn mine_until(&self, pool: &Pool, what: &str, mut holds: impl FnMut() -> bool) {
        let mut rigs: Vec<Option<Mining>> = MINERS.iter().map(|_| None).collect();
        let mut starts = 0;
        until(pool, what, || {
            for (rig, (miner, dialect)) in rigs.iter_mut().zip(MINERS) {
                if rig.as_ref().is_none_or(Mining::is_over) {
                    starts += 1;
                    *rig = Mining::start_eth(
                        &self.rig(pool, miner, dialect, starts),
                        std::sync::Arc::default(),
                    )
                    .ok();
                }
            }
            holds().then_some(())
        });
        for rig in rigs.into_iter().flatten() {
            drop(rig.stop());
        }
    }

    fn rig(&self, pool: &Pool, miner: &str, dialect: EthDialect, start: u64) -> EthRig {
        // Another beginning for each start and each rig, whatever height the chain has by then.
        let begin = (self.geth.height() << 48) | (start << 40);
        EthRig {
            url: pool.stratum[0].to_string(),
            login: EthLogin {
                address: miner.to_owned(),
                rig: "rig".to_owned(),
                password: "x".to_owned(),
            },
            dialect,
            rule: EpochRule::Ethash,
            threads: 1,
            hashes_per_second: Some(HASHES_PER_SECOND),
            first_nonce: begin,
            caches: self.caches.clone(),
        }
    }

    /// What everybody was paid by the books is what the chain has for them.
    fn is_paid_to_the_last_unit(&self, pool: &Pool) {
        for (miner, _) in MINERS {
            let paid = balance(pool, miner, "paid");
            assert_eq!(paid, self.on_chain(miner), "{miner}");
            assert!(0 < paid, "{miner} was paid");
        }
    }
}

/// Heights of the blocks that have a batch's payments.
fn heights(batch: &Value) -> Vec<u64> {
    let txs = batch["transactions"].as_array().expect("a list").iter();
    txs.map(|tx| tx["height"].as_u64().expect("it is in a block"))
        .collect()
}

/// Another branch takes the payments' blocks when they were paid by the books already. Returns the height of the first block
/// that it takes.
fn lose_their_blocks(world: &World, pool: &Pool) -> u64 {
    let batch = batch_in(pool, 0, "confirmed");
    world.is_paid_to_the_last_unit(pool);
    let lowest = heights(&batch).into_iter().min().expect("payments");
    let back = world.geth.height() + 1 - lowest;
    let before = batches(pool)[0]["states"].clone();
    world.geth.branch(&world.cache, back, back + 1);
    for (miner, _) in MINERS {
        assert_eq!(world.on_chain(miner), 0, "{miner} has nothing now");
    }
    until(pool, "the payments are in no block", || {
        (batches(pool)[0]["states"] != before).then_some(())
    });
    for (miner, _) in MINERS {
        assert!(0 < balance(pool, miner, "paid"), "{miner} keeps it");
    }
    lowest
}

/// The first block that was left behind stood on what both branches have: a later block named it, and it is worth what an uncle is.
fn is_an_uncle_and_worth_less(pool: &Pool, lost: u64) {
    let page = pool.json("/api/v1/pools/0/blocks?limit=200");
    let blocks = page["blocks"].as_array().expect("a list");
    let uncles = blocks.iter().filter(|block| {
        let reward = block["reward"].as_str().and_then(|text| text.parse().ok());
        let is_less = reward.is_some_and(|reward: u128| 0 < reward && reward < REWARD);
        block["height"] == lost && is_less
    });
    let states: Vec<&Value> = uncles.map(|block| &block["state"]).collect();
    let is_one = |state: &&Value| **state == "uncle" || **state == "confirmed";
    assert!(
        states.len() == 1 && states.iter().all(is_one),
        "one of height {lost}: {page}"
    );
}

/// What the wallet has beyond the books is what blocks pay that were only seen, to the last unit. One that lost its place since is in the
/// books, if it was immature, and not on the chain; as an uncle it pays less.
fn has_what_the_books_say_and_open_blocks(pool: &Pool, found: &Reconciled) {
    let page = pool.json("/api/v1/pools/0/blocks?limit=200");
    let (mut least, mut most) = (0, 0);
    for block in page["blocks"].as_array().expect("a list") {
        let name = format!(
            "block {} {}",
            block["height"],
            block["hash"].as_str().expect("a hash")
        );
        let is_open = found.open.contains(&name);
        let reward = block["reward"].as_str().and_then(|text| text.parse().ok());
        let reward: i128 = reward.unwrap_or(0);
        match block["state"].as_str().expect("a state") {
            "seen" if !is_open => (least, most) = (least + reward, most + reward),
            "seen" => most += REWARD.cast_signed(),
            "immature" | "uncle" | "confirmed" if is_open => {
                (least, most) = (least - reward, most - reward + REWARD.cast_signed());
            }
            _ => {}
        }
    }
    let beyond = found.beyond;
    assert!(
        (least..=most).contains(&beyond),
        "{beyond}: {least} to {most}: {found:?} {page}"
    );
}

#[test]
fn miners_on_geth_are_paid_what_the_books_say() {
    let world = World::new();
    let (data, often, never) = (
        world.data(),
        world.configure(1_000),
        world.configure(3_600_000),
    );
    // The node has the first payment when the pool is killed.
    let pool = Pool::start(&data, &often);
    world.mine_until(&pool, "the node has payments", || {
        let of_wallet = |at: &str| {
            let count = world
                .geth
                .call("eth_getTransactionCount", &json!([POOL, at]));
            number(&count)
        };
        of_wallet("latest") < of_wallet("pending")
    });
    drop(pool.kill());

    let pool = Pool::start(&data, &never);
    world.mine_until(&pool, "everybody is paid by the books", || {
        batches(&pool)[0]["state"] == "confirmed"
    });
    let lost = lose_their_blocks(&world, &pool);
    world.mine_until(&pool, "the payments are final", || {
        batches(&pool)[0]["state"] == "final"
    });
    pool.stop();

    // Another batch, by the nonces after those.
    let pool = Pool::start(&data, &often);
    world.mine_until(&pool, "another batch", || 1 < batches(&pool).len());
    pool.stop();
    let pool = Pool::start(&data, &never);
    world.mine_until(&pool, "every payment is final", || {
        batches(&pool).iter().all(|batch| batch["state"] == "final")
    });
    let digests = books::settle(&pool);
    world.is_paid_to_the_last_unit(&pool);
    has_what_the_books_say_and_open_blocks(&pool, &reconciles(&pool, &data, &never));
    assert!(0 < compared(&pool), "it compared by itself");
    is_an_uncle_and_worth_less(&pool, lost);
    pool.stop();
    books::agree(&data, &never, &digests);
    verified(&data);
}
