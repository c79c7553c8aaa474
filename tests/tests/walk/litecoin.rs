//! The walk on a real node: litecoind in regtest gives templates, takes our blocks, and takes one back.

use std::fs;
use std::time::Duration;

use orebook_miner::{Mining, Rig};
use orebook_schema::genesis::Algorithm;
use orebook_tests::litecoind::Pair;
use orebook_tests::pool::Pool;
use serde_json::Value;

use crate::books;

/// Who mines: an address of the test network.
const MINER: &str = "rltc1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpjt8zj4";
/// Whom coinbases pay.
const POOL: &str = "rltc1qqgpqyqszqgpqyqszqgpqyqszqgpqyqszr0p8er";
/// Whose blocks the nodes find themselves.
const OTHERS: &str = "rltc1qqvpsxqcrqvpsxqcrqvpsxqcrqvpsxqcrzlqxnz";
/// Blocks on top at which the test network's coinbases may be spent: the confirmed depth of the preset.
const MATURITY: &str = "101";

fn config(pair: &Pair) -> String {
    let node = |name: &str, node: &orebook_tests::litecoind::Node| {
        format!(
            "[[node]]\nname = \"{name}\"\nrpc = \"{}\"\ncredentials_file = \"{}\"\n",
            node.rpc(),
            node.cookie().display()
        )
    };
    format!(
        "[pool]\ncoin = \"litecoin-regtest\"\npayout_address = \"{POOL}\"\ntext = \"/walk/\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[settler]\npoll_ms = 200\ngrace_ms = 2000\n\
         [[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:0\"\ndifficulty = \"0.0002\"\n{}{}",
        node("a", &pair.a),
        node("b", &pair.b)
    )
}

fn rig(pool: &Pool) -> Rig {
    Rig {
        url: pool.stratum[0].to_string(),
        user: format!("{MINER}.scrypt"),
        password: "x".to_owned(),
        algorithm: Algorithm::Scrypt,
        threads: 1,
        // Every other hash is a block there: slowly, or the nodes drown.
        hashes_per_second: Some(24),
    }
}

fn mine_until(pool: &Pool, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut mining = None;
    let started = std::time::Instant::now();
    let found = loop {
        // Like any miner's software it comes again until it is let in.
        if mining.as_ref().is_none_or(Mining::is_over) {
            mining = Mining::start(&rig(pool)).ok();
        }
        let pools = pool.json("/api/v1/pools");
        if wanted(&pools) {
            break pools;
        }
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "{what}: {pools}"
        );
        std::thread::park_timeout(Duration::from_millis(100));
    };
    if let Some(mining) = mining {
        drop(mining.stop());
    }
    found
}

fn blocks(pool: &Pool) -> Vec<Value> {
    let page = pool.json("/api/v1/pools/0/blocks?limit=200");
    page["blocks"].as_array().expect("a list").clone()
}

fn count(pools: &Value, state: &str) -> u64 {
    pools["pools"][0]["blocks"][state]
        .as_u64()
        .expect("a count")
}

fn units(account: &Value, book: &str) -> i128 {
    let text = account["balances"][book]
        .as_str()
        .expect("a decimal string");
    text.parse().expect("a number")
}

#[test]
fn litecoind_takes_our_blocks_balances_follow_and_an_orphan_is_taken_back() {
    let pair = Pair::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("litecoin.toml");
    fs::write(&path, config(&pair)).expect("written");
    let data = folder.path().join("pool");
    let pool = Pool::start(&data, &path);

    // Blocks through the gateway, each accepted by the node and then immature.
    mine_until(&pool, "three blocks of ours on the chain", |pools| {
        3 <= count(pools, "immature")
    });
    let of_chain = |hash: &str| -> Value {
        serde_json::from_str(&pair.a.cli(&["getblock", hash, "2"])).expect("JSON")
    };
    let ours = blocks(&pool);
    let immature = ours.iter().filter(|block| block["state"] == "immature");
    for block in immature {
        let chain = of_chain(block["hash"].as_str().expect("a hash"));
        assert_eq!(chain["height"], block["height"]);
        assert_eq!(chain["tx"][0]["txid"], block["coinbase_txid"]);
        assert_eq!(block["finder"], MINER);
        assert_eq!(block["worker"], "scrypt");
    }
    let account = format!("/api/v1/accounts/{MINER}");
    let before = pool.json(&account);
    assert!(
        0 < units(&before, "immature") && units(&before, "available") == 0,
        "{before}"
    );

    // Others' blocks on top: what is deep enough is available, what lost its height is orphaned.
    pair.a.cli(&["generatetoaddress", MATURITY, OTHERS]);
    pair.agree();
    pool.wait_for("/api/v1/pools", "every block has its fate", |pools| {
        3 <= count(pools, "confirmed")
            && ["found", "seen", "immature"]
                .iter()
                .all(|state| count(pools, state) == 0)
    });
    let settled = pool.json(&account);
    assert!(
        0 < units(&settled, "available") && units(&settled, "immature") == 0,
        "{settled}"
    );

    // A block of ours that the chain forgets.
    let had = count(&pool.json("/api/v1/pools"), "orphaned");
    mine_until(&pool, "one more of ours on the chain", |pools| {
        1 <= count(pools, "immature")
    });
    let again = blocks(&pool);
    let lowest = again
        .iter()
        .filter(|block| block["state"] == "immature")
        .min_by_key(|block| block["height"].as_u64())
        .expect("there is one");
    let (hash, height) = (lowest["hash"].as_str().expect("a hash"), &lowest["height"]);
    // Its siblings too: the rig found several at one height, and the nodes would go on with another of ours.
    let siblings = again.iter().filter(|block| block["height"] == *height);
    for sibling in siblings {
        let sibling = sibling["hash"].as_str().expect("a hash");
        let knew = [&pair.a, &pair.b].map(|node| node.forget(sibling));
        assert!(sibling != hash || knew == [true, true], "both had it");
    }
    pair.a.cli(&["generatetoaddress", "12", OTHERS]);
    pair.agree();
    pool.wait_for("/api/v1/pools", "it is orphaned", |pools| {
        had < count(pools, "orphaned")
            && ["found", "seen", "immature"]
                .iter()
                .all(|state| count(pools, state) == 0)
    });
    assert!(
        blocks(&pool)
            .iter()
            .any(|block| block["hash"] == hash && block["state"] == "orphaned")
    );
    let after = pool.json(&account);
    assert_eq!(
        units(&after, "available"),
        units(&settled, "available"),
        "as before it"
    );
    assert_eq!(units(&after, "immature"), 0, "taken back");

    let digests = books::settle(&pool);
    pool.stop();
    books::agree(&data, &path, &digests);
}
