//! `orebook reconcile` beside a pool that pays on a real chain: nothing differs, until somebody moves coins by hand.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use orebook_miner::{Mining, Rig};
use orebook_schema::genesis::Algorithm;
use orebook_tests::litecoind::Pair;
use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};
use serde_json::{Value, json};

use crate::paid::until;

/// Who mines: an address of the test network.
const MINER: &str = "rltc1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpjt8zj4";
/// Whose blocks the nodes find themselves, and whom coins are moved to.
const OTHERS: &str = "rltc1qqvpsxqcrqvpsxqcrqvpsxqcrqvpsxqcrzlqxnz";
/// Blocks on top at which the test network's coinbases may be spent: the confirmed depth of the preset.
const MATURITY: &str = "101";
/// The hot wallet's key, of the test network: 32 bytes of 0x44.
const KEY: &str = "cPsQLM9hpajxtHEfKfSYMBEfkJ51jvgLMJWrR9tz9dFu6sWhAEFf";

/// Pays at once what it owes, and compares every two seconds of ledger time.
fn config(pair: &Pair, address: &str, key: &Path) -> String {
    format!(
        "[pool]\ncoin = \"litecoin-regtest\"\npayout_address = \"{address}\"\ntext = \"/walk/\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[settler]\npoll_ms = 200\ngrace_ms = 2000\n\
         [[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:0\"\ndifficulty = \"0.0002\"\n\
         [[node]]\nname = \"a\"\nrpc = \"{}\"\ncredentials_file = \"{}\"\n\
         [wallet]\nkey_file = \"{}\"\npeers_min = 1\ninterval_ms = 1000\nreconcile_ms = 2000\n\
         poll_ms = 200\ndry_run = false\n",
        pair.a.rpc(),
        pair.a.cookie().display(),
        key.display()
    )
}

fn of(pair: &Pair, arguments: &[&str]) -> Value {
    serde_json::from_str(&pair.a.cli(arguments)).expect("JSON")
}

/// The address of the wallet's key, as the node derives it.
fn address(pair: &Pair) -> String {
    let descriptor = of(pair, &["getdescriptorinfo", &format!("wpkh({KEY})")]);
    let public = descriptor["descriptor"].as_str().expect("a descriptor");
    let list = of(pair, &["deriveaddresses", public]);
    list[0].as_str().expect("an address").to_owned()
}

/// Mines until there is what is looked for: ledger time goes on by it, which moves with heartbeats alone else.
fn mine_until<T>(pool: &Pool, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let rig = Rig {
        url: pool.stratum[0].to_string(),
        user: format!("{MINER}.scrypt"),
        password: "x".to_owned(),
        algorithm: Algorithm::Scrypt,
        threads: 1,
        hashes_per_second: Some(24),
    };
    let mut mining = None;
    let found = until(pool, what, || {
        if mining.as_ref().is_none_or(Mining::is_over) {
            mining = Mining::start(&rig).ok();
        }
        look()
    });
    if let Some(mining) = mining {
        drop(mining.stop());
    }
    found
}

fn reconcile(data: &Path, config: &Path) -> (Output, Value) {
    let mut command = Command::new(orebook_binary());
    command.args(["reconcile", "--format", "json", "--data"]);
    command.arg(data).arg("--config").arg(config);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = serde_json::from_str(said.trim()).unwrap_or(Value::Null);
    (output, value)
}

/// Moves the oldest coin of an address by hand, with the wallet's key. Returns the transaction's name.
fn sweep(pair: &Pair, address: &str) -> String {
    let scanned = of(
        pair,
        &["scantxoutset", "start", &format!("[\"addr({address})\"]")],
    );
    let coins = scanned["unspents"].as_array().expect("a list");
    let oldest = coins.iter().min_by_key(|coin| coin["height"].as_u64());
    let coin = oldest.expect("a coin");
    let inputs = json!([{ "txid": coin["txid"], "vout": coin["vout"] }]).to_string();
    let outputs = json!([{ OTHERS: 1 }]).to_string();
    let bare = pair.a.cli(&["createrawtransaction", &inputs, &outputs]);
    let keys = json!([KEY]).to_string();
    let signed = of(pair, &["signrawtransactionwithkey", &bare, &keys]);
    let raw = signed["hex"].as_str().expect("bytes");
    // The rest is the miners': no limit on what it costs.
    let txid = pair.a.cli(&["sendrawtransaction", raw, "0"]);
    pair.a.cli(&["generatetoaddress", "1", OTHERS]);
    txid
}

#[test]
fn a_running_wallet_is_compared_by_hand_and_by_itself_and_coins_that_were_moved_are_found() {
    let pair = Pair::start();
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("hot.key");
    fs::write(&key, format!("{KEY}\n")).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("for us alone");
    let path = folder.path().join("pool.toml");
    let own = address(&pair);
    fs::write(&path, config(&pair, &own, &key)).expect("written");
    let data = folder.path().join("pool");
    let pool = Pool::start(&data, &path);

    mine_until(&pool, "three blocks of ours", || {
        let immature = &pool.json("/api/v1/pools")["pools"][0]["blocks"]["immature"];
        (Some(3) <= immature.as_u64()).then_some(())
    });
    pair.a.cli(&["generatetoaddress", MATURITY, OTHERS]);
    // Blocks until the payout is final, as others would find them.
    let started = Instant::now();
    let is_final = |page: &Value| {
        let all = page["payouts"].as_array().expect("a list");
        !all.is_empty() && all.iter().all(|one| one["state"] == "final")
    };
    while !is_final(&pool.json("/api/v1/payouts?limit=100")) {
        assert!(
            started.elapsed() < 2 * DEADLINE,
            "everybody is paid for good"
        );
        pair.a.cli(&["generatetoaddress", "1", OTHERS]);
        std::thread::park_timeout(Duration::from_millis(500));
    }

    let (output, said) = reconcile(&data, &path);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}: {stderr}");
    assert_eq!(said["compared"], json!(["chain", "wallet"]));
    assert!(said["wallet"]["transactions"].as_u64() >= Some(1), "{said}");
    assert!(said["wallet"]["blocks"].as_u64() >= Some(3), "{said}");
    assert_eq!(said["not_compared"], 0);
    let newest = |page: &Value| page["reconciliations"][0].clone();
    let is_whole = |page: &Value| {
        let newest = newest(page);
        newest["differences"] == 0 && newest["transactions"].as_u64() >= Some(1)
    };
    let all = "/api/v1/reconciliations?limit=1";
    mine_until(&pool, "the paymaster compares", || {
        is_whole(&pool.json(all)).then_some(())
    });

    let moved = sweep(&pair, &own);
    let (output, said) = reconcile(&data, &path);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}: {stderr}");
    let differences = said["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 1, "{said}");
    assert_eq!(differences[0]["what"], format!("transaction {moved}"));
    assert_eq!(differences[0]["known"], false);
    let told = mine_until(&pool, "the paymaster finds it", || {
        let page = pool.json(all);
        (newest(&page)["differences"] == 1).then_some(page)
    });
    assert!(
        newest(&told)["report"][0]
            .as_str()
            .expect("a line")
            .contains(&moved)
    );
    pool.wait_for("/api/v1/payouts", "it is halted", |page| {
        !page["wallets"][0]["halted"].is_null()
    });
    pool.stop();
}
