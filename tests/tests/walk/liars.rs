//! A pool whose only way to its node is a line that lies: each question of the paymaster and the settler fails, or fails and
//! happened, is answered too late, by half, or by an old answer. At the end each batch is on the chain once, nothing was paid that
//! the ledger does not say, and nobody had to lend a hand.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use orebook_miner::{Mining, Rig};
use orebook_schema::genesis::Algorithm;
use orebook_tests::liar::Liar;
use orebook_tests::liar::Lie::{self, Delays, Denies, Drops, Refuses, Repeats, Tears};
use orebook_tests::litecoind::{Node, Pair};
use orebook_tests::orebook_binary;
use orebook_tests::pool::{Pool, Start};
use serde_json::Value;

use crate::books;

/// Who mines, one after the other. A batch pays one of them, so that there are more batches than lies about what was sent.
const MINERS: usize = 8;
/// Blocks of ours while each of them mines.
const BLOCKS: u64 = 2;
/// Whose blocks the nodes find themselves.
const OTHERS: &str = "rltc1qqvpsxqcrqvpsxqcrqvpsxqcrqvpsxqcrzlqxnz";
/// Who mines the branch that wins: the same miner would find the same blocks again.
const RIVALS: &str = "rltc1qqgpqyqszqgpqyqszqgpqyqszqgpqyqszr0p8er";
/// Of the blocks that confirm ours, those that are mined at once.
const FIRST: &str = "90";
/// Blocks that a reorganisation takes away: a payout of two confirmations is among them.
const BRANCH: u64 = 4;
/// Longer than all of it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two blocks.
const PAUSE: Duration = Duration::from_millis(300);
/// -28: the node is starting. -26: it is against a rule. -5: it knows no such thing.
const SEND: [Lie; 8] = [
    Refuses(-28),
    Refuses(-26),
    Denies(-26),
    Drops,
    Denies(-28),
    Delays,
    Tears,
    Repeats,
];
const SUBMIT: [Lie; 4] = [Denies(-1), Drops, Tears, Repeats];
const ANSWERS: [Lie; 6] = [Refuses(-28), Denies(-28), Denies(-5), Drops, Tears, Repeats];
/// What settler and paymaster ask whatever wallet it is.
const ASKED: [&str; 8] = [
    "getblockchaininfo",
    "getnetworkinfo",
    "getmempoolinfo",
    "getbestblockhash",
    "getblockheader",
    "getblockhash",
    "getrawtransaction",
    "gettxout",
];
/// What else is asked where the key is in a file, and where the node has it.
const OF_KEY: [&str; 1] = ["scantxoutset"];
const OF_NODE: [&str; 3] = [
    "listunspent",
    "signrawtransactionwithwallet",
    "gettransaction",
];

/// Where the process is stopped to be killed, beside what the line does.
const POINTS: [&str; 10] = [
    "wallet sign before 1",
    "wallet sign after 1",
    "paymaster/spool write_at before 3",
    "paymaster/spool sync after 3",
    "paymaster/rows commit before 5",
    "paymaster/rows commit after 6",
    "wallet send before 1",
    "wallet send after 1",
    "mirror/segments sync before 5",
    "ledger/segments sync after 5",
];

fn config(rpc: &str, node: &Node, own: &str, wallet: &str) -> String {
    let cookie = node.cookie();
    let cookie = cookie.display();
    format!(
        "[pool]\ncoin = \"litecoin-regtest\"\npayout_address = \"{own}\"\ntext = \"/walk/\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[settler]\npoll_ms = 200\ngrace_ms = 2000\n\
         [[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:0\"\ndifficulty = \"0.0002\"\n\
         [[node]]\nname = \"a\"\nrpc = \"{rpc}\"\ncredentials_file = \"{cookie}\"\n\
         [wallet]\ndry_run = false\ninterval_ms = 1\nlines_max = 1\npoll_ms = 100\n{wallet}\n"
    )
}

/// Each of them mines until there are some more blocks of ours on the chain.
fn mine(pool: &Pool, miners: &[String]) {
    let mut wanted = 0;
    for miner in miners {
        wanted += BLOCKS;
        mine_until(pool, miner, wanted);
    }
}

fn mine_until(pool: &Pool, miner: &str, wanted: u64) {
    let rig = Rig {
        url: pool.stratum[0].to_string(),
        user: format!("{miner}.scrypt"),
        password: "x".to_owned(),
        algorithm: Algorithm::Scrypt,
        threads: 1,
        // Every other hash is a block there: slowly, or the nodes drown.
        hashes_per_second: Some(24),
    };
    let mut mining = None;
    let started = Instant::now();
    loop {
        // Like any miner's software it comes again until it is let in.
        if mining.as_ref().is_none_or(Mining::is_over) {
            mining = Mining::start(&rig).ok();
        }
        let (_, body) = pool.get("/api/v1/pools").expect("it answers");
        let pools: Value = serde_json::from_str(&body).expect("JSON");
        let immature = pools["pools"][0]["blocks"]["immature"].as_u64();
        let account = pool.get(&format!("/api/v1/accounts/{miner}"));
        let account: Value = serde_json::from_str(&account.expect("it answers").1).expect("JSON");
        let has = account["balances"]["immature"].as_str();
        if Some(wanted) <= immature && has.is_some_and(|has| has != "0") {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "blocks of ours: {pools}");
        std::thread::park_timeout(PAUSE);
    }
    if let Some(mining) = mining {
        drop(mining.stop());
    }
}

fn batches(pool: &Pool) -> Vec<Value> {
    let found = pool.wait_for("/api/v1/payouts?limit=100", "payouts", |_| true);
    found["payouts"].as_array().expect("a list").clone()
}

/// Whether it planned a moment too early: nobody had anything, now somebody has, and it plans once a minute. A new process plans at once.
fn waits_for_a_minute(pool: &Pool, miners: &[String]) -> bool {
    let (_, plan) = pool.get("/paymaster/plan").expect("it answers");
    let is_due = |miner: &String| balance(pool, miner, "available") != "0";
    plan.contains("nobody's balance") && miners.iter().any(is_due)
}

fn balance(pool: &Pool, miner: &str, book: &str) -> String {
    let path = format!("/api/v1/accounts/{miner}");
    let account = pool.wait_for(&path, "the account", |_| true);
    let units = account["balances"][book].as_str();
    units.expect("base units").to_owned()
}

fn is_final(batch: &Value) -> bool {
    batch["state"] == "final"
}

/// Whole coins of a node's JSON as base units.
fn units(coins: &Value) -> u128 {
    let text = coins.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{part:0<8}").parse().expect("an amount")
}

/// What the best chain pays the miners, other than by coinbases: transactions and base units.
fn on_chain(node: &Node, miners: &[String]) -> (BTreeSet<String>, u128) {
    let (mut txids, mut sum) = (BTreeSet::new(), 0);
    let height: u64 = node.cli(&["getblockcount"]).parse().expect("a height");
    for height in 1..=height {
        let hash = node.cli(&["getblockhash", &height.to_string()]);
        let block: Value =
            serde_json::from_str(&node.cli(&["getblock", &hash, "2"])).expect("JSON");
        for tx in &block["tx"].as_array().expect("a list")[1..] {
            for output in tx["vout"].as_array().expect("a list") {
                let script = output["scriptPubKey"].to_string();
                if miners.iter().any(|miner| script.contains(miner.as_str())) {
                    txids.insert(tx["txid"].as_str().expect("a name").to_owned());
                    sum += units(&output["value"]);
                }
            }
        }
    }
    (txids, sum)
}

/// Starts a pool that stops at the next point, or at none where all were passed: the last. What stops before it serves is killed.
fn next_life(
    data: &Path,
    config: &Path,
    points: &mut impl Iterator<Item = &'static str>,
) -> (Pool, bool) {
    loop {
        let point = points.next();
        println!("{point:?}");
        match Pool::try_start(data, config, point) {
            Start::Serves(pool) => return (*pool, point.is_none()),
            Start::Ended(said) => {
                let stopped = said.iter().any(|line| line.starts_with("stopped at "));
                assert!(stopped, "it does not start:\n{}", said.join("\n"));
            }
        }
    }
}

/// A longer branch without any payment takes the last blocks away, and with them what was paid there.
fn reorganise(pair: &Pair) {
    let tip = pair.agree();
    let first = tip + 1 - BRANCH;
    let first = pair.b.cli(&["getblockhash", &first.to_string()]);
    assert!(pair.b.forget(&first), "b had it");
    for _ in 0..=BRANCH {
        pair.b.cli(&["generateblock", RIVALS, "[]"]);
    }
    assert_eq!(pair.agree(), tip + 1, "a has the longer branch");
}

/// `orebook reconcile` over an honest line finds nothing.
fn reconciles(data: &Path, honest: &Path) {
    let output = Command::new(orebook_binary())
        .args(["reconcile", "--format", "json", "--data"])
        .arg(data)
        .arg("--config")
        .arg(honest)
        .output()
        .expect("the binary runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(found["differences"], Value::Array(Vec::new()), "{found}");
    assert_eq!(
        found["compared"],
        serde_json::json!(["chain", "wallet"]),
        "{found}"
    );
}

/// A pool over a liar, with a wallet of this kind, from the first block to the last payout; its process is killed at each point.
fn each_batch_is_paid_once(is_key: bool, lies: &[(&str, &[Lie])], points: &[&'static str]) {
    let pair = Pair::start();
    let hand = |command: &[&str]| pair.a.cli(&[&["-rpcwallet=hot"], command].concat());
    pair.a.cli(&["createwallet", "hot"]);
    let own = hand(&["getnewaddress", "", "bech32"]);
    pair.b.cli(&["createwallet", "miners"]);
    let miners: Vec<String> = (0..MINERS)
        .map(|_| pair.b.cli(&["getnewaddress", "", "bech32"]))
        .collect();
    let mut folder = tempfile::tempdir().expect("a folder");
    // To look at what a failure left.
    folder.disable_cleanup(std::env::var_os("OREBOOK_KEEP").is_some());
    println!("{}", folder.path().display());
    let key = folder.path().join("hot.key");
    let wallet = if is_key {
        fs::write(&key, hand(&["dumpprivkey", &own])).expect("written");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("set");
        format!("key_file = \"{}\"", key.display())
    } else {
        "kind = \"node\"\nnode_wallet = \"hot\"".to_owned()
    };
    let liar = Liar::new(&pair.a.rpc());
    let path = folder.path().join("liar.toml");
    fs::write(&path, config(&liar.near(), &pair.a, &own, &wallet)).expect("written");
    let data = folder.path().join("pool");

    liar.lie("submitblock", &SUBMIT);
    let pool = Pool::start(&data, &path);
    mine(&pool, &miners);
    drop(pool.kill());
    for (method, lies) in lies {
        liar.lie(method, lies);
    }
    pair.b.cli(&["generatetoaddress", FIRST, OTHERS]);
    let mut points = points.iter().copied();
    let started = Instant::now();
    let mut reorganised = false;
    let (mut pool, mut is_last) = next_life(&data, &path, &mut points);
    loop {
        if pool.is_stopped() || waits_for_a_minute(&pool, &miners) {
            drop(pool.kill());
            (pool, is_last) = next_life(&data, &path, &mut points);
        }
        let (batches, left) = (batches(&pool), liar.left());
        if !reorganised && batches.iter().any(|batch| batch["state"] == "confirmed") {
            reorganise(&pair);
            reorganised = true;
        }
        let is_quiet = is_last && reorganised && left.is_empty() && !batches.is_empty();
        if is_quiet && batches.iter().all(is_final) {
            break;
        }
        if PATIENCE < started.elapsed() {
            let said = pool.kill().join("\n");
            panic!("lies that are left: {left:?}; {batches:?}\n{said}");
        }
        assert!(!pool.is_gone(), "it ended: {}", pool.kill().join("\n"));
        pair.b.cli(&["generatetoaddress", "1", OTHERS]);
        std::thread::park_timeout(PAUSE);
    }
    println!("{:?}", started.elapsed());
    let digests = books::settle(&pool);
    let batches = batches(&pool);
    let paid = miners.iter().map(|miner| balance(&pool, miner, "paid"));
    let paid: u128 = paid
        .map(|units| units.parse::<u128>().expect("units"))
        .sum();
    let wallet = pool.json("/api/v1/payouts")["wallets"][0].clone();
    pool.stop();
    pair.agree();
    let (txids, sum) = on_chain(&pair.b, &miners);
    assert_eq!(txids.len(), batches.len(), "{txids:?}: {batches:?}");
    assert_eq!(paid, sum, "{batches:?}");
    assert_eq!(wallet["halted"], Value::Null, "nobody was needed");
    let honest = folder.path().join("honest.toml");
    let text = fs::read_to_string(&path).expect("read");
    let text = text.replace(&liar.near(), &pair.a.rpc());
    fs::write(&honest, text.replace("dry_run = false", "dry_run = true")).expect("written");
    reconciles(&data, &honest);
    books::agree(&data, &honest, &digests);
}

/// Every lie about what settler and paymaster ask, of this wallet too.
fn all_lies(of_wallet: &[&'static str]) -> Vec<(&'static str, &'static [Lie])> {
    let asked = ASKED.iter().chain(of_wallet);
    let mut lies: Vec<(&str, &[Lie])> = asked.map(|method| (*method, &ANSWERS[..])).collect();
    lies.push(("sendrawtransaction", &SEND));
    lies
}

#[test]
fn a_key_files_wallet_pays_each_batch_once_whatever_its_node_says() {
    each_batch_is_paid_once(true, &all_lies(&OF_KEY), &[]);
}

#[test]
fn a_nodes_own_wallet_pays_each_batch_once_whatever_its_node_says() {
    each_batch_is_paid_once(false, &all_lies(&OF_NODE), &[]);
}

#[test]
fn killed_at_each_edge_while_its_node_lies_a_pool_pays_each_batch_once() {
    let lies = [(
        "sendrawtransaction",
        &[Denies(-26), Drops, Refuses(-26)][..],
    )];
    each_batch_is_paid_once(true, &lies, &POINTS);
}
