//! Two settlers and two paymasters by mistake, each a process on a machine and a node of its own, with one key and one wallet. Their
//! nodes disagree for a while. Every block is settled once, every batch is paid once, and each log says whose word was refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use orebook_miner::{Mining, Rig};
use orebook_schema::genesis::Algorithm;
use orebook_tests::kafka::Cluster;
use orebook_tests::litecoind::{Node, Pair};
use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};
use serde_json::Value;

use crate::books;
use crate::site::{Site, ready};

/// Who mines: an address of the test network whose key nobody has.
const MINER: &str = "rltc1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpjt8zj4";
/// Whose blocks the nodes find themselves.
const OTHERS: &str = "rltc1qqvpsxqcrqvpsxqcrqvpsxqcrqvpsxqcrzlqxnz";
/// No batch needs an approval, and one is paid after two blocks.
const TERMS: [&str; 6] = [
    "--auto-pay-limit",
    "100000000000000",
    "--payout-depth",
    "2",
    "--payout-final-depth",
    "4",
];
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Looks at whether nodes agree before they are told of each other again.
const LOOKS_A_TRY: u32 = 30;
/// A settler says the same of a block so often against another's word: each of the two, and what it said before they disagreed.
const WORDS_MAX: usize = 3;

fn config(node: &Node, own: &str, key: &Path, more: &str) -> String {
    let (rpc, cookie) = (node.rpc(), node.cookie());
    let (cookie, key) = (cookie.display(), key.display());
    format!(
        "[pool]\npayout_address = \"{own}\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [settler]\npoll_ms = 100\ngrace_ms = 2000\n\
         [[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:0\"\ndifficulty = \"0.0002\"\n\
         [[node]]\nname = \"own\"\nrpc = \"{rpc}\"\ncredentials_file = \"{cookie}\"\n\
         [wallet]\nkey_file = \"{key}\"\ndry_run = false\ninterval_ms = 1\npoll_ms = 100\npeers_min = 0\n{more}\n"
    )
}

/// The site's configuration with another node, written beside it.
fn other(site: &Site, name: &str, text: &str) -> std::path::PathBuf {
    let common = fs::read_to_string(&site.config).expect("read");
    let kafka = common.find("[kafka]").expect("it has brokers");
    let path = site.machine(name).with_extension("toml");
    fs::write(&path, format!("{text}\n{}", &common[kafka..])).expect("written");
    path
}

/// Mines until a block of ours above this height is immature. Returns the highest one's hash.
fn mine(pool: &Pool, above: u64) -> String {
    let rig = Rig {
        url: pool.stratum[0].to_string(),
        user: format!("{MINER}.two"),
        password: "x".to_owned(),
        algorithm: Algorithm::Scrypt,
        threads: 1,
        // Every other hash is a block there: slowly, or the nodes drown.
        hashes_per_second: Some(24),
    };
    let mut mining: Option<Mining> = None;
    let mut found = None;
    until("a block of ours on the chain", || {
        // Like any miner's software it comes again until it is let in.
        if mining.as_ref().is_none_or(Mining::is_over) {
            mining = Mining::start(&rig).ok();
        }
        let (status, body) = pool
            .get("/api/v1/pools/0/blocks?limit=200")
            .expect("it answers");
        let page: Value = serde_json::from_str(&body).expect("JSON");
        let blocks = page["blocks"].as_array().cloned().unwrap_or_default();
        let immature = blocks.iter().filter(|block| block["state"] == "immature");
        let newest = immature.max_by_key(|block| block["height"].as_u64());
        found = newest
            .filter(|block| status == 200 && Some(above) < block["height"].as_u64())
            .map(|block| block["hash"].as_str().expect("a hash").to_owned());
        found.is_some()
    });
    if let Some(mining) = mining {
        drop(mining.stop());
    }
    found.expect("it was found")
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < 2 * DEADLINE, "{what}");
        std::thread::park_timeout(LOOK);
    }
}

fn state(pool: &Pool, hash: &str) -> String {
    let page = pool.json("/api/v1/pools/0/blocks?limit=200");
    let blocks = page["blocks"].as_array().expect("a list");
    let found = blocks.iter().find(|block| block["hash"] == hash);
    let found = found.expect("the block");
    found["state"].as_str().expect("a state").to_owned()
}

/// Two networks of two nodes each: a node alone gives no work, and is not believed.
struct Networks {
    left: Pair,
    right: Pair,
    /// Where the left one listens.
    address: String,
}

fn height(node: &Node) -> u64 {
    node.cli(&["getblockcount"]).parse().expect("a height")
}

fn generate(node: &Node, blocks: u64) {
    node.cli(&["generatetoaddress", &blocks.to_string(), OTHERS]);
}

impl Networks {
    fn start() -> Self {
        let (left, right) = (Pair::start(), Pair::start());
        let peers: Value = serde_json::from_str(&left.b.cli(&["getpeerinfo"])).expect("JSON");
        let address = peers[0]["addr"].as_str().expect("an address").to_owned();
        let networks = Self {
            left,
            right,
            address,
        };
        // With an old chain a node asks one peer only: a new block is what tells it of another one, if they have met by then.
        networks.join_telling(|| generate(&networks.left.a, 1));
        networks
    }

    /// All have one chain: the longer branch.
    fn join(&self) {
        self.join_telling(|| ());
    }

    /// The same, with something that is done each time after they were told of each other.
    fn join_telling(&self, then: impl Fn()) {
        let best = |node: &Node| node.cli(&["getbestblockhash"]);
        let mut looks = 0;
        until("the networks agree", || {
            if looks % LOOKS_A_TRY == 0 {
                self.right.a.cli(&["addnode", &self.address, "onetry"]);
                then();
            }
            looks += 1;
            let [left, right] = [&self.left, &self.right];
            let nodes = [&left.a, &left.b, &right.a, &right.b];
            nodes.iter().all(|node| best(node) == best(&left.a))
        });
    }

    /// The network parts. On the left one a block of ours is found, on the right one others' stand at its height and are more. Both
    /// settlers say what they see, and it has an end. Returns the block.
    fn part(&self, pool: &Pool, settlers: [&Pool; 2]) -> String {
        self.right.a.cli(&["disconnectnode", &self.address]);
        let before = height(&self.right.a);
        let hash = mine(pool, before);
        generate(&self.left.a, 2);
        generate(&self.right.a, height(&self.left.a) - before + 3);
        let name = "orebook_settler{what=\"disputed_blocks\"}";
        until("somebody says that it is disputed", || {
            settlers.iter().any(|settler| 0.0 < settler.metric(name))
        });
        // It stays parted: the ledger comes to rest.
        books::rest(pool);
        hash
    }
}

fn events(data: &Path) -> Vec<Value> {
    let output = Command::new(orebook_binary())
        .args(["ledger", "cat", "--data"])
        .arg(data)
        .output()
        .expect("the binary runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let text = String::from_utf8(output.stdout).expect("text");
    let events = text.lines().map(serde_json::from_str);
    events.collect::<Result<_, _>>().expect("JSON")
}

/// A hash of the ledger's bytes as nodes and pages show it: the other way round.
fn shown(hash: &str) -> String {
    let bytes: Vec<&str> = (0..hash.len())
        .step_by(2)
        .map(|at| &hash[at..at + 2])
        .collect();
    bytes.into_iter().rev().collect()
}

/// States of each block that were obeyed, in order, by the format page's rule; and how many were refused.
fn obeyed(events: &[Value]) -> (BTreeMap<String, Vec<String>>, usize) {
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut refused = 0;
    for event in events.iter().filter(|it| it["kind"] == "block_status") {
        let hash = shown(event["hash"].as_str().expect("a hash"));
        let none = serde_json::json!([0, 0]);
        if event["expects"] != *last.get(&hash).unwrap_or(&none) {
            refused += 1;
            continue;
        }
        let at = serde_json::json!([event["position"], event["index"]]);
        last.insert(hash.clone(), at);
        let state = event["state"].as_str().expect("a state").to_owned();
        states.entry(hash).or_default().push(state);
    }
    (states, refused)
}

/// Transactions of the best chain that pay the miner, other than coinbases.
fn payments(node: &Node) -> BTreeSet<String> {
    let mut txids = BTreeSet::new();
    let height: u64 = node.cli(&["getblockcount"]).parse().expect("a height");
    for height in 1..=height {
        let hash = node.cli(&["getblockhash", &height.to_string()]);
        let block: Value =
            serde_json::from_str(&node.cli(&["getblock", &hash, "2"])).expect("JSON");
        for tx in &block["tx"].as_array().expect("a list")[1..] {
            if tx["vout"].to_string().contains(MINER) {
                txids.insert(tx["txid"].as_str().expect("a name").to_owned());
            }
        }
    }
    txids
}

#[test]
fn two_settlers_on_parted_nodes_and_two_paymasters_of_one_wallet_do_everything_once() {
    let networks = Networks::start();
    let (left, right) = (&networks.left.a, &networks.right.a);
    left.cli(&["createwallet", "hot"]);
    let own = left.cli(&["-rpcwallet=hot", "getnewaddress", "", "bech32"]);
    let keys = tempfile::tempdir().expect("a folder");
    let key = keys.path().join("hot.key");
    let secret = left.cli(&["-rpcwallet=hot", "dumpprivkey", &own]);
    fs::write(&key, secret).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("set");

    let cluster = Cluster::start(1);
    let site = Site::with(
        &cluster,
        "litecoin-regtest",
        &config(left, &own, &key, ""),
        &TERMS,
    );
    let mut one = site.up();
    let on_right = other(&site, "three", &config(right, &own, &key, ""));
    let mut settler = Pool::start_role(&["settler"], &site.machine("three"), &on_right);
    ready(&settler, "the second settler");
    mine(&one, 0);

    let lost = networks.part(&one, [&one, &settler]);
    networks.join();
    until("the longer branch has another one", || {
        state(&one, &lost) == "orphaned"
    });
    let kept = networks.part(&one, [&one, &settler]);
    generate(left, 12);
    networks.join();
    until("the longer branch has ours", || {
        state(&one, &kept) == "immature"
    });
    until("the log says whose word was refused", || {
        let told = |pool: &mut Pool| pool.says("a settler's word was refused");
        told(&mut one) && told(&mut settler)
    });

    // Two paymasters that begin when there is something to pay.
    generate(left, 101);
    until("it is confirmed", || state(&one, &kept) == "confirmed");
    drop(one.kill());
    let mut one = site.up();
    let projectors = format!("projectors = [\"http://{}\"]", one.http);
    let on_right = other(&site, "four", &config(right, &own, &key, &projectors));
    let mut paymaster = Pool::start_role(&["paymaster"], &site.machine("four"), &on_right);
    let refused = |pool: &Pool| pool.metric("orebook_paymaster{what=\"refused\"}");
    let batches = |pool: &Pool| -> Vec<Value> {
        let found = pool.wait_for("/api/v1/payouts?limit=100", "payouts", |_| true);
        found["payouts"].as_array().expect("a list").clone()
    };
    let mut looks = 0;
    until("every batch is final, and somebody was refused", || {
        looks += 1;
        if looks % 5 == 0 {
            generate(&networks.right.b, 1);
        }
        let batches = batches(&one);
        !batches.is_empty()
            && batches.iter().all(|batch| batch["state"] == "final")
            && 0.0 < refused(&one) + refused(&paymaster)
    });
    until("the log says whose word was refused", || {
        let told = |pool: &mut Pool| pool.says("a paymaster's word was refused");
        told(&mut one) && told(&mut paymaster)
    });
    books::settle(&one);
    let batches = batches(&one);
    let wallet = one.json("/api/v1/payouts")["wallets"][0].clone();
    assert_eq!(wallet["halted"], Value::Null, "nobody was needed");
    for role in [paymaster, settler] {
        role.stop();
    }
    one.stop();

    networks.join();
    assert_eq!(payments(left).len(), batches.len(), "{batches:?}");
    let (states, refused) = obeyed(&events(&site.machine("one")));
    println!("{refused} words of settlers were refused");
    assert!(0 < refused, "both said the same");
    for hash in [&lost, &kept] {
        println!("{:?}", states[hash]);
    }
    for (hash, states) in &states {
        let count = |state: &str| states.iter().filter(|it| *it == state).count();
        assert!(count("confirmed") <= 1, "{hash}: {states:?}");
        // Before the network parted, while it was, and the chain's last word.
        for state in ["immature", "orphaned"] {
            assert!(count(state) <= WORDS_MAX + 2, "{hash}: {states:?}");
        }
    }
    let last = |hash: &String| states[hash].last().map(String::as_str);
    assert_eq!(
        (last(&lost), last(&kept)),
        (Some("orphaned"), Some("confirmed"))
    );
    books::replayed(&site.machine("one"), &site.machine("again"), &[]);
}
