//! People's commands from the command line to the books: a key goes, a policy comes with two approvals, one of them signed
//! offline, and what is mined after it is paid by it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};
use serde_json::Value;

use crate::books;

/// One gateway, though the ledger has keys for two; a block each second, mined by the demonstration's own rigs.
const CONFIG: &str = r#"
[development]
difficulty = "0.00005"
block_seconds = 1
maturity = 3
foreign_one_in = 0
orphan_one_in = 0
miners = ["alice.rig1", "bob.rig1"]
miner_hashes_per_second = 200000

[http]
listen = "127.0.0.1:0"

[settler]
poll_ms = 100

[[gateway]]
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.000005"
"#;
/// Blocks that are confirmed under the new policy before the pool ends.
const BLOCKS: usize = 2;

fn orebook(arguments: &[&str]) -> Output {
    let mut command = Command::new(orebook_binary());
    command.args(arguments).output().expect("the binary runs")
}

/// What a command that does not fail prints.
fn said(arguments: &[&str]) -> String {
    let output = orebook(arguments);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {words}");
    String::from_utf8(output.stdout).expect("text")
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&said(arguments)).expect("one JSON object")
}

/// The ledger's events, in order. Beside a running archiver what is just being written can look damaged: then it is asked
/// again.
fn events(data: &Path) -> Vec<Value> {
    let data = data.to_str().expect("a path");
    let started = Instant::now();
    let lines = loop {
        let output = orebook(&["ledger", "cat", "--data", data]);
        if output.status.success() {
            break String::from_utf8(output.stdout).expect("text");
        }
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(started.elapsed() < DEADLINE, "{words}");
    };
    let events = lines.lines().map(serde_json::from_str);
    events.collect::<Result<_, _>>().expect("JSON")
}

/// Hashes of confirmed blocks whose share's job cites the policy at `place`.
fn confirmed_under(events: &[Value], place: &Value) -> Vec<String> {
    let mut policies: BTreeMap<(String, u64), Value> = BTreeMap::new();
    let mut found: BTreeMap<String, bool> = BTreeMap::new();
    let mut confirmed = Vec::new();
    let mut job_of_last_share = None;
    for event in events {
        let stream = event["stream"].as_str().unwrap_or("").to_owned();
        let hash = || event["hash"].as_str().expect("a hash").to_owned();
        match event["kind"].as_str() {
            Some("job") => {
                let number = event["number"].as_u64().expect("a number");
                policies.insert((stream, number), event["policy"].clone());
            }
            Some("share") => job_of_last_share = event["job"].as_u64(),
            Some("block_found") => {
                let job = job_of_last_share.expect("a block stands after its share");
                found.insert(hash(), policies.get(&(stream, job)) == Some(place));
            }
            Some("block_status")
                if event["state"] == "confirmed" && found.get(&hash()) == Some(&true) =>
            {
                confirmed.push(hash());
            }
            _ => {}
        }
    }
    confirmed
}

#[test]
fn an_operator_revokes_a_key_and_sets_a_policy_and_what_is_mined_then_is_paid_by_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("desk.toml");
    fs::write(&config, CONFIG).expect("written");
    let data = folder.path().join("pool");
    let at = data.to_str().expect("a path").to_owned();
    let made = ["--gateways", "2", "--approvers", "2", "--needed", "2"];
    said(&[&["init", "--data", &at], &made[..]].concat());
    let pool = Pool::start(&data, &config);
    let desk = pool.desk.expect("a desk").to_string();
    let [anna, otto] = [1, 2].map(|of| format!("{at}/keys/approver-{of}.key"));
    let how = |key: &str| -> Vec<String> {
        let words = ["--desk", &desk, "--format", "json", "--key", key];
        words.map(str::to_owned).to_vec()
    };
    let with = |words: &[&str], key: &str, more: &[&str]| -> Vec<String> {
        let words = words.iter().chain(more).map(|word| (*word).to_owned());
        words.chain(how(key)).collect()
    };
    let run = |words: Vec<String>| -> Value {
        json(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };

    // Gateway 2's key, which nobody uses here.
    let keys = json(&["key", "show", "--desk", &desk, "--format", "json"]);
    let gateways: Vec<&Value> = keys
        .as_array()
        .expect("a list")
        .iter()
        .filter(|key| key["role"] == "gateway")
        .collect();
    assert_eq!(gateways.len(), 2);
    let idle = public(&data.join("keys").join("gateway-2.key"));
    assert!(gateways.iter().any(|key| key["key"] == idle.as_str()));
    let revoke = ["key", "revoke", "--public", &idle];
    let shown = orebook(&[
        "key", "revoke", "--public", &idle, "--desk", &desk, "--key", &anna,
    ]);
    let words = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(words.contains("nothing was sent"), "{words}");
    let answer = run(with(&revoke, &anna, &["--yes"]));
    assert_eq!(answer["outcome"], "waits", "{answer}");
    approve(&run, &with, &answer, &anna, &otto);
    let keys = json(&["key", "show", "--desk", &desk, "--format", "json"]);
    let keys = keys.as_array().expect("a list");
    let key = keys.iter().find(|key| key["key"] == idle.as_str());
    assert_eq!(key.expect("still known")["in_force"], false);

    // Half of everything for the pool; the second approval is signed where no network is.
    let set = ["policy", "set", "--fee-ppm", "500000"];
    let answer = run(with(&set, &anna, &["--yes"]));
    let place = answer["at"].clone();
    let thing = answer["thing"]["digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    let approved = run(with(&["approve", "--thing", &thing], &anna, &["--yes"]));
    assert_eq!(approved["thing"]["missing"], 1, "{approved}");
    let ledger = pool.json("/api/v1/ledger")["ledger"].clone();
    let ledger = ledger.as_str().expect("a uuid").to_owned();
    let offline = said(&[
        "approve", "--thing", &thing, "--ledger", &ledger, "--key", &otto, "--print",
    ]);
    let file = folder.path().join("signed");
    fs::write(&file, offline).expect("written");
    let file = file.to_str().expect("a path");
    let approved = json(&["send", file, "--desk", &desk, "--format", "json"]);
    assert_eq!(approved["thing"]["missing"], 0, "{approved}");
    let again = json(&["send", file, "--desk", &desk, "--format", "json"]);
    assert_eq!(again, approved, "sent twice, answered twice");
    let late = orebook(&["send", file, "--desk", "127.0.0.1:1"]);
    assert!(!late.status.success(), "nobody is there");

    pool.wait_for("/api/v1/ledger", "blocks under the new policy", |_| {
        BLOCKS <= confirmed_under(&events(&data), &place).len()
    });
    drop(books::settle_moving(&pool));
    pool.stop();
    let approvals = |events: &[Value]| {
        let approvals = events.iter().filter(|event| event["kind"] == "approval");
        approvals.count()
    };
    assert_eq!(approvals(&events(&data)), 4, "each once");
    // A fresh replay, and the oracle, who knows policies and approvals from the format page alone.
    drop(books::replayed(&data, &folder.path().join("again"), &[]));
    let trail = json(&["desk", "audit", "--data", &at, "--format", "json"]);
    // Six commands: noted and answered.
    assert_eq!(trail["lines"], 12, "{trail}");
    let path = data.join("desk").join("audit.jsonl");
    let text = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, text.replacen("approver 1", "approver 2", 1)).expect("written");
    let found = orebook(&["desk", "audit", "--data", &at]);
    assert_eq!(found.status.code(), Some(3), "a changed line is found");
}

/// A command line of a key's owner: the words, his key's file, and what comes behind.
type With<'a> = dyn Fn(&[&str], &str, &[&str]) -> Vec<String> + 'a;

/// Both approvers approve what an answer says waits.
fn approve(
    run: &dyn Fn(Vec<String>) -> Value,
    with: &With<'_>,
    answer: &Value,
    anna: &str,
    otto: &str,
) {
    let thing = answer["thing"]["digest"].as_str().expect("a digest");
    for (key, missing) in [(anna, 1), (otto, 0)] {
        let approved = run(with(&["approve", "--thing", thing], key, &["--yes"]));
        assert_eq!(approved["thing"]["missing"], missing, "{approved}");
    }
}

/// The public half of a key in a file.
fn public(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a key");
    let seed = orebook_schema::units::unhex(text.trim()).expect("hex");
    let seed: [u8; 32] = seed.try_into().expect("32 bytes");
    orebook_ledger::sign::Signer::from_seed(&seed)
        .key()
        .to_string()
}
