//! Miners of a pool on real litecoinds are paid: what the wallet of a stranger received is what the books say was paid, to the
//! last unit, though the pool is killed in the middle of it and the chain takes the payment's block back.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use orebook_miner::{Mining, Rig};
use orebook_schema::genesis::Algorithm;
use orebook_tests::litecoind::{Node, Pair};
use orebook_tests::pool::{DEADLINE, Pool, Start};

use crate::books;
use crate::paid::{
    approve, balance, batch_in, batches, compared, count, is_settled, reconciles, txids, until,
    verified,
};

/// Whose blocks the nodes find themselves.
const OTHERS: &str = "rltc1qqvpsxqcrqvpsxqcrqvpsxqcrqvpsxqcrzlqxnz";
/// Blocks on top at which the test network's coinbases may be spent.
const MATURITY: &str = "101";
/// Every other hash is a block there: slowly, or the nodes drown.
const HASHES_PER_SECOND: u64 = 8;
/// Blocks that stand before anybody is paid.
const BLOCKS: u64 = 4;
/// Between two looks at whether the pool has stopped.
const LOOK: Duration = Duration::from_millis(20);
/// The least that is paid.
const THRESHOLD: i128 = 1_000_000;

/// Who has the wallet's key.
#[derive(Clone, Copy, PartialEq)]
enum Keeper {
    /// A file of the pool's machine.
    File,
    /// The wallet inside the node; batches wait for an approval.
    Node,
}

/// Everything around a pool: its nodes, its folder, its miners' addresses.
struct World {
    pair: Pair,
    folder: tempfile::TempDir,
    keeper: Keeper,
    miners: Vec<String>,
}

impl World {
    /// The second node's wallet is the miners', who trust nobody's else; the first node's has the pool's key.
    fn new(keeper: Keeper) -> Self {
        let pair = Pair::start();
        pair.b.cli(&["createwallet", "theirs"]);
        let new = |kind: &str| {
            pair.b
                .cli(&["-rpcwallet=theirs", "getnewaddress", "", kind])
        };
        let miners = ["bech32", "p2sh-segwit", "legacy"].map(new).to_vec();
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            pair,
            folder,
            keeper,
            miners,
        }
    }

    fn hot(&self, command: &[&str]) -> String {
        self.pair.a.cli(&[&["-rpcwallet=hot"], command].concat())
    }

    /// The pool's configuration; its wallet is made on the way.
    fn configure(&self) -> std::path::PathBuf {
        self.pair.a.cli(&["createwallet", "hot"]);
        let address = self.hot(&["getnewaddress", "", "bech32"]);
        let (limit, wallet) = match self.keeper {
            Keeper::File => {
                let path = self.folder.path().join("hot.key");
                let mut open = fs::OpenOptions::new();
                let file = open.write(true).create_new(true).mode(0o600).open(&path);
                writeln!(
                    file.expect("a file"),
                    "{}",
                    self.hot(&["dumpprivkey", &address])
                )
                .expect("written");
                // From now on the file alone can sign.
                self.pair.a.cli(&["unloadwallet", "hot"]);
                let wallet = format!("kind = \"key\"\nkey_file = \"{}\"\n", path.display());
                ("", wallet)
            }
            Keeper::Node => {
                let wallet = "kind = \"node\"\nnode_wallet = \"hot\"\n".to_owned();
                ("auto_pay_limit = \"0\"\n", wallet)
            }
        };
        let node = |name: &str, node: &Node| {
            let (rpc, cookie) = (node.rpc(), node.cookie());
            format!(
                "[[node]]\nname = \"{name}\"\nrpc = \"{rpc}\"\ncredentials_file = \"{}\"\n",
                cookie.display()
            )
        };
        // The window is some twenty shares, so that a block pays several miners.
        let text = format!(
            "[pool]\ncoin = \"litecoin-regtest\"\npayout_address = \"{address}\"\ntext = \"/paid/\"\n{limit}\
             [[pool.pot]]\npot = 0\nscheme = \"pplns\"\nwindow_ppm = 100000000\n\
             {}{}[http]\nlisten = \"127.0.0.1:0\"\n[settler]\npoll_ms = 200\ngrace_ms = 2000\n\
             [[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:0\"\ndifficulty = \"0.0002\"\n\
             [wallet]\n{wallet}dry_run = false\npeers_min = 1\npoll_ms = 200\ninterval_ms = 1000\n\
             reconcile_ms = 2000\n",
            node("a", &self.pair.a),
            node("b", &self.pair.b),
        );
        let path = self.folder.path().join("paid.toml");
        fs::write(&path, text).expect("written");
        path
    }

    /// Blocks of others', on both nodes.
    fn bury(&self, blocks: &str) {
        self.pair.a.cli(&["generatetoaddress", blocks, OTHERS]);
        self.pair.agree();
    }

    /// Blocks of others', with no payment in them.
    fn bury_without_payments(&self, blocks: usize) {
        for _ in 0..blocks {
            self.pair.a.cli(&["generateblock", OTHERS, "[]"]);
        }
        self.pair.agree();
    }

    /// What a stranger's wallet received at an address, base units.
    fn received(&self, address: &str) -> i128 {
        let coins = self
            .pair
            .b
            .cli(&["-rpcwallet=theirs", "getreceivedbyaddress", address, "1"]);
        // Always with eight decimals.
        coins.replace('.', "").parse().expect("an amount")
    }

    fn waits_in_memory(&self, txid: &str) -> bool {
        self.pair.a.cli(&["getrawmempool"]).contains(txid)
    }

    /// Mines with every miner until the condition holds.
    fn mine_until(&self, pool: &Pool, what: &str, mut holds: impl FnMut() -> bool) {
        let mut rigs: Vec<Option<Mining>> = self.miners.iter().map(|_| None).collect();
        until(pool, what, || {
            // Like any miner's software they come again until they are let in.
            for (rig, miner) in rigs.iter_mut().zip(&self.miners) {
                if rig.as_ref().is_none_or(Mining::is_over) {
                    *rig = Mining::start(&rig_of(pool, miner)).ok();
                }
            }
            holds().then_some(())
        });
        for rig in rigs.into_iter().flatten() {
            drop(rig.stop());
        }
    }

    /// What everybody was paid by the books is what the stranger's wallet received.
    fn is_paid_to_the_last_unit(&self, pool: &Pool) {
        for miner in &self.miners {
            let paid = balance(pool, miner, "paid");
            assert_eq!(paid, self.received(miner), "{miner}");
            assert!(0 < paid, "{miner} was paid");
            assert_eq!(balance(pool, miner, "reserved"), 0);
            let rest = balance(pool, miner, "available");
            assert!((0..THRESHOLD).contains(&rest), "{miner} has {rest} left");
        }
    }
}

fn rig_of(pool: &Pool, miner: &str) -> Rig {
    Rig {
        url: pool.stratum[0].to_string(),
        user: format!("{miner}.scrypt"),
        password: "x".to_owned(),
        algorithm: Algorithm::Scrypt,
        threads: 1,
        hashes_per_second: Some(HASHES_PER_SECOND),
    }
}

/// Mines what is to be paid, and is killed when everything of it may be spent.
fn earn(world: &World, data: &Path, config: &Path) {
    let pool = Pool::start(data, config);
    world.mine_until(&pool, "everybody has a part of some blocks", || {
        let has = |miner: &String| 0 < balance(&pool, miner, "immature");
        BLOCKS <= count(&pool, "immature") && world.miners.iter().all(has)
    });
    world.bury(MATURITY);
    until(&pool, "every block has its fate", || {
        (is_settled(&pool) && BLOCKS <= count(&pool, "confirmed")).then_some(())
    });
    drop(pool.kill());
}

/// The chain takes the payment's block back when it was paid by the books already: they stay as they are, and the payment
/// comes into a block of ours.
fn lose_its_block(world: &World, pool: &Pool, txid: &str) {
    let (a, b) = (&world.pair.a, &world.pair.b);
    world.bury("2");
    batch_in(pool, 0, "confirmed");
    world.is_paid_to_the_last_unit(pool);
    let tip = a.cli(&["getblockcount"]).parse::<u64>().expect("a height");
    let home = a.cli(&["getblockhash", &(tip - 1).to_string()]);
    assert!(a.cli(&["getblock", &home]).contains(txid), "its block");
    assert!(b.forget(&home) && a.forget(&home), "both had it");
    world.bury_without_payments(3);
    until(pool, "it is nowhere in the chain", || {
        let state = batches(pool)[0]["state"].clone();
        (state != "confirmed" && state != "final").then_some(())
    });
    for miner in &world.miners {
        assert_eq!(world.received(miner), 0, "{miner} has nothing now");
        assert!(0 < balance(pool, miner, "paid"), "{miner} keeps it");
    }
    until(pool, "it waits again", || {
        world.waits_in_memory(txid).then_some(())
    });
    let blocks = count(pool, "immature");
    world.mine_until(pool, "it is in a block of ours", || {
        blocks < count(pool, "immature") && !world.waits_in_memory(txid)
    });
}

fn walk(keeper: Keeper, killed: impl Fn(&World, &Path, &Path)) {
    let world = World::new(keeper);
    let config = world.configure();
    let data = world.folder.path().join("pool");
    earn(&world, &data, &config);
    killed(&world, &data, &config);

    let pool = Pool::start(&data, &config);
    let first = batch_in(&pool, 0, "seen");
    let txid = txids(&first)[0].clone();
    assert!(world.waits_in_memory(&txid), "the node has it");
    lose_its_block(&world, &pool, &txid);
    world.bury(MATURITY);
    batch_in(&pool, 0, "final");
    until(&pool, "every block has its fate", || {
        is_settled(&pool).then_some(())
    });
    // What was mined on the way is paid by the next life at once, without its waiting for the next plan.
    pool.stop();
    let pool = Pool::start(&data, &config);
    if keeper == Keeper::Node {
        batch_in(&pool, 1, "waits");
        approve(&pool, &data, 1);
    }
    batch_in(&pool, 1, "seen");
    world.bury("5");
    batch_in(&pool, 1, "final");

    let digests = books::settle(&pool);
    world.is_paid_to_the_last_unit(&pool);
    let beyond = reconciles(&pool, &data, &config).beyond;
    assert_eq!(beyond, 0, "the wallet has what the books say");
    assert!(1 < compared(&pool), "it compared by itself");
    pool.stop();
    books::agree(&data, &config, &digests);
    verified(&data);
}

#[test]
fn a_key_files_wallet_pays_miners_on_litecoind_what_the_books_say() {
    // Stopped where the signed transaction is on the disk and nobody else has it.
    walk(Keeper::File, |world, data, config| {
        let point = "paymaster/spool sync after 4";
        let pool = match Pool::try_start(data, config, Some(point)) {
            Start::Serves(mut pool) => {
                let started = Instant::now();
                while !pool.is_stopped() {
                    assert!(started.elapsed() < 3 * DEADLINE, "{:?}", batches(&pool));
                    std::thread::park_timeout(LOOK);
                }
                Some(pool)
            }
            // It was there before its pages answered.
            Start::Ended(said) => {
                let is_there = said.iter().any(|line| line.starts_with("stopped at "));
                assert!(is_there, "{said:?}");
                None
            }
        };
        assert_eq!(world.pair.a.cli(&["getrawmempool"]), "[\n]", "not sent");
        drop(pool.map(|pool| pool.kill()));
    });
}

#[test]
fn a_nodes_wallet_pays_miners_on_litecoind_what_an_approver_approved() {
    // Killed as soon as the node has it.
    walk(Keeper::Node, |world, data, config| {
        let pool = Pool::start(data, config);
        batch_in(&pool, 0, "waits");
        approve(&pool, data, 0);
        until(&pool, "the node has it", || {
            (world.pair.a.cli(&["getrawmempool"]) != "[\n]").then_some(())
        });
        drop(pool.kill());
    });
}
