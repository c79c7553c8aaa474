//! A pool on a real btcd, which has neither a wallet nor a search of unspent outputs (docs/wallets.md): coinbases pay the miners,
//! and what the chain has for each of them is what the books say, to the last unit, after a kill and a reorganisation too.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use orebook_chain::address::{Network, parse};
use orebook_chain::wire::coinbase_of_block;
use orebook_miner::{Mining, Rig};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::unhex;
use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};
use serde_json::{Value, json};

use crate::books;
use crate::btcnode::Btcd;
use crate::paid::{balance, count, is_settled, until, verified};

/// Who mines; nobody has their keys.
const MINERS: [&str; 2] = [
    "bcrt1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpvxat9t",
    "bcrt1qqszqgpqyqszqgpqyqszqgpqyqszqgpqyuza2rq",
];
/// Whom coinbases pay besides.
const POOL: &str = "bcrt1qqgpqyqszqgpqyqszqgpqyqszqgpqyqszazmwwa";
/// Whose blocks the node finds itself.
const OTHERS: &str = "bcrt1qqvpsxqcrqvpsxqcrqvpsxqcrqvpsxqcruj60yu";
/// Blocks on top at which coinbases may be spent: the confirmed depth of the preset.
const MATURITY: u32 = 101;
/// Every other hash is a block: slowly, so that lists of what coinbases pay stand behind the blocks.
const HASHES_PER_SECOND: u64 = 1;

/// A node, what it is asked, and a pool's folder.
struct World {
    btcd: Btcd,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self {
            btcd: Btcd::start_on("regtest", OTHERS),
            folder: tempfile::tempdir().expect("a folder"),
        };
        let started = std::time::Instant::now();
        while world.ask("getblockcount", &json!([])).is_err() {
            assert!(started.elapsed() < DEADLINE, "btcd does not answer");
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        world
    }

    fn ask(&self, method: &str, params: &Value) -> Result<Value, String> {
        let address = self.btcd.config().address;
        let body = json!({"jsonrpc": "1.0", "id": 1, "method": method, "params": params});
        let (body, words) = (body.to_string(), |error: std::io::Error| error.to_string());
        let mut stream = TcpStream::connect(&address).map_err(words)?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(words)?;
        // Of user:password, as the node was told.
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic dXNlcjpwYXNzd29yZA==\r\n\
             Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(words)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(words)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("no head")?;
        let mut reply: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
        if reply["error"].is_null() {
            Ok(reply["result"].take())
        } else {
            Err(reply["error"].to_string())
        }
    }

    fn call(&self, method: &str, params: &Value) -> Value {
        let answer = self.ask(method, params);
        answer.unwrap_or_else(|why| panic!("{method}: {why}"))
    }

    /// Blocks of others' on top.
    fn bury(&self, blocks: u32) {
        self.call("generate", &json!([blocks]));
    }

    fn configure(&self) -> PathBuf {
        let (rpc, credentials) = (
            self.btcd.config().address,
            self.folder.path().join("btcd.rpc"),
        );
        fs::write(&credentials, "user:password\n").expect("written");
        let text = format!(
            "[pool]\ncoin = \"bitcoin-regtest\"\npayout_address = \"{POOL}\"\ntext = \"/btcd/\"\n\
             [[pool.pot]]\npot = 0\nscheme = \"pplns\"\nwindow_ppm = 100000000\ndirect_min = 1000\ndirect_outputs = 10\n\
             [[node]]\nname = \"btcd\"\nrpc = \"{rpc}\"\ncredentials_file = \"{}\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n[settler]\npoll_ms = 200\ngrace_ms = 2000\n\
             [[gateway]]\ndirect = {{ each_s = 1 }}\n[[gateway.port]]\nlisten = \"127.0.0.1:0\"\n\
             difficulty = \"0.000000003\"\n",
            credentials.display()
        );
        let path = self.folder.path().join("btcd.toml");
        fs::write(&path, text).expect("written");
        path
    }

    /// What the best chain's coinbases paid each miner, base units.
    fn on_chain(&self) -> BTreeMap<&'static str, i128> {
        let scripts =
            MINERS.map(|miner| parse(miner, Network::BitcoinRegtest).expect("an address"));
        let mut paid: BTreeMap<&str, i128> = MINERS.map(|miner| (miner, 0)).into();
        let height = self.call("getblockcount", &json!([]));
        for height in 1..=height.as_u64().expect("a height") {
            let hash = self.call("getblockhash", &json!([height]));
            let block = self.call("getblock", &json!([hash, 0]));
            let block = block.as_str().and_then(unhex).expect("hex");
            let coinbase = coinbase_of_block(&block).expect("a block");
            for (value, script) in coinbase.outputs {
                let whose = scripts.iter().position(|one| one.bytes() == script);
                if let Some(whose) = whose {
                    *paid.get_mut(MINERS[whose]).expect("a miner") += i128::from(value);
                }
            }
        }
        paid
    }

    /// Mines with everybody until the condition holds.
    fn mine_until(pool: &Pool, what: &str, mut holds: impl FnMut() -> bool) {
        let mut rigs: Vec<Option<Mining>> = MINERS.iter().map(|_| None).collect();
        until(pool, what, || {
            for (rig, miner) in rigs.iter_mut().zip(MINERS) {
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

    /// What the chain has for everybody is what the books say was paid, and what will be.
    fn agrees(&self, pool: &Pool) {
        drop(books::rest(pool));
        for (miner, has) in self.on_chain() {
            let (paid, reserved) = (
                balance(pool, miner, "paid"),
                balance(pool, miner, "reserved"),
            );
            assert_eq!(has, paid + reserved, "{miner}: {paid} and {reserved}");
        }
    }
}

fn rig_of(pool: &Pool, miner: &str) -> Rig {
    Rig {
        url: pool.stratum[0].to_string(),
        user: format!("{miner}.rig"),
        password: "x".to_owned(),
        algorithm: Algorithm::Sha256d,
        threads: 1,
        hashes_per_second: Some(HASHES_PER_SECOND),
    }
}

/// The newest block of ours that stands and pays accounts is forgotten by the node, and others' blocks take its place.
fn orphan(world: &World, pool: &Pool) {
    let page = pool.json("/api/v1/pools/0/blocks?limit=200");
    let blocks = page["blocks"].as_array().expect("a list");
    let newest = blocks.iter().filter(|block| block["state"] == "immature");
    let newest = newest.max_by_key(|block| block["height"].as_u64());
    let hash = newest.expect("there is one")["hash"].clone();
    world.call("invalidateblock", &json!([hash]));
    world.bury(5);
    until(pool, "it is orphaned", || {
        let page = pool.json("/api/v1/pools/0/blocks?limit=200");
        let blocks = page["blocks"].as_array().expect("a list");
        let is_it = |block: &Value| block["hash"] == hash && block["state"] == "orphaned";
        blocks.iter().any(is_it).then_some(())
    });
}

fn audit(data: &Path) -> Value {
    let output = Command::new(orebook_binary())
        .args(["ledger", "coinbases", "--format", "json", "--data"])
        .arg(data)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn miners_on_btcd_are_paid_by_coinbases_what_the_books_say() {
    let world = World::new();
    let (config, data) = (world.configure(), world.folder.path().join("pool"));
    let pool = Pool::start(&data, &config);
    let reserved = |pool: &Pool| MINERS.map(|miner| balance(pool, miner, "reserved"));
    World::mine_until(&pool, "coinbases pay everybody", || {
        reserved(&pool).iter().all(|part| 0 < *part) && 6 <= count(&pool, "immature")
    });
    world.bury(2);
    world.agrees(&pool);
    drop(pool.kill());

    let pool = Pool::start(&data, &config);
    let before = reserved(&pool);
    World::mine_until(&pool, "more is to be paid", || {
        reserved(&pool)
            .iter()
            .zip(before)
            .all(|(now, before)| before < *now)
    });
    orphan(&world, &pool);
    world.agrees(&pool);
    world.bury(MATURITY);
    until(&pool, "every block has its fate", || {
        is_settled(&pool).then_some(())
    });
    let digests = books::settle(&pool);
    world.agrees(&pool);
    for miner in MINERS {
        assert_eq!(balance(&pool, miner, "reserved"), 0, "{miner}");
        assert!(0 < balance(&pool, miner, "paid"), "{miner}");
    }
    pool.stop();
    let audit = audit(&data);
    assert!(
        1 < audit["blocks"].as_array().expect("a list").len(),
        "{audit}"
    );
    assert_eq!(audit["differences"], 0, "{audit}");
    books::agree(&data, &config, &digests);
    verified(&data);
}
