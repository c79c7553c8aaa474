//! A registered account from the command line to a miner's login: its workers come from a file in batches, others are told why
//! they may not mine, and nobody restarts anything.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use orebook_miner::{Client, Rig};
use orebook_schema::genesis::Algorithm;
use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};
use serde_json::{Value, json};

/// One gateway and one rig of the demonstration; what those without an account read.
const CONFIG: &str = r#"
[development]
difficulty = "0.00005"
block_seconds = 1
miners = ["alice.rig1"]
miner_hashes_per_second = 20000

[http]
listen = "127.0.0.1:0"

[desk]
miners = "127.0.0.1:0"

[[gateway]]
[gateway.doors]
register = "register at https://pool.example/"
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.000005"
"#;
/// An address of the development chain.
const ADDRESS: &str = "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu";
/// Workers of the farm: two batches.
const WORKERS: usize = 450;

fn orebook(arguments: &[&str]) -> Output {
    let mut command = Command::new(orebook_binary());
    command.args(arguments).output().expect("the binary runs")
}

/// What the desk answers.
fn said(pool: &Pool, key: &str, words: &[&str]) -> Value {
    let desk = pool.desk.expect("a desk").to_string();
    let how = ["--yes", "--format", "json", "--desk", &desk, "--key", key];
    let output = orebook(&[words, &how].concat());
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {shown}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(answer["outcome"], "obeyed", "{words:?}: {answer}");
    answer
}

fn login(pool: &Pool, user: &str) -> Result<(), String> {
    let rig = Rig {
        url: pool.stratum[0].to_string(),
        user: user.to_owned(),
        password: "x".to_owned(),
        algorithm: Algorithm::Sha256d,
        threads: 1,
        hashes_per_second: None,
    };
    Client::connect(&rig).map(drop)
}

/// Logs in again and again, until the outcome is as wanted.
fn until(pool: &Pool, user: &str, wanted: impl Fn(&Result<(), String>) -> bool) {
    let started = Instant::now();
    loop {
        let outcome = login(pool, user);
        if wanted(&outcome) {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{user}: {outcome:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn says(outcome: &Result<(), String>, what: &str) -> bool {
    outcome.as_ref().is_err_and(|why| why.contains(what))
}

fn list(path: &Path) {
    let mut text = String::from("ip,worker\n");
    for number in 0..WORKERS {
        writeln!(text, "10.0.0.1,w{number:03}").expect("into memory");
    }
    fs::write(path, text).expect("written");
}

/// The account's owner asks for a text, and sends it with his token; sent again it gets the same answer, and another's token is none.
fn sets_itself(miners: &str, wish: &str, token: &str) {
    let to = ["--miners", miners];
    let wanted = ["setting", "text", "farm", "threshold", "78", "--file", wish];
    let shown = orebook(&[&wanted[..], &to].concat());
    let words = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        words.contains("\naccount name:farm\nset threshold 78 base units\n"),
        "{words}"
    );
    let send = |token: &str| {
        let send = [
            "setting", "send", "--format", "json", "--text", wish, "--token", token,
        ];
        orebook(&[&send[..], &to].concat())
    };
    let first = send(token);
    let words = String::from_utf8_lossy(&first.stderr);
    let answer: Value = serde_json::from_slice(&first.stdout).unwrap_or_else(|_| panic!("{words}"));
    assert_eq!(answer["outcome"], "obeyed", "{answer}");
    assert_eq!(send(token).stdout, first.stdout, "it counts once");
    let other = format!("{token}.other");
    fs::copy(token, &other).expect("copied");
    fs::write(&other, format!("{}\n", "5a".repeat(32))).expect("written");
    let refused = send(&other);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && words.contains("token: "),
        "{words}"
    );
    assert!(!words.contains("5a5a"), "{words}");
}

#[test]
fn a_farm_is_registered_with_its_workers_and_only_they_may_mine() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().expect("a path").to_owned();
    fs::write(path("pool.toml"), CONFIG).expect("written");
    let pool = Pool::start(&path("pool"), &path("pool.toml"));
    let key = text("pool/keys/approver-1.key");
    until(&pool, "farm.w000", |outcome| {
        says(
            outcome,
            "no account farm is registered: register at https://pool.example/",
        )
    });
    let register = ["account", "register", "farm", "--payout", ADDRESS];
    said(&pool, &key, &register);
    until(&pool, "FARM/w999", Result::is_ok);

    list(&path("workers.csv"));
    let file = text("workers.csv");
    let import = ["account", "import", "farm", &file];
    let desk = pool.desk.expect("a desk").to_string();
    let shown = orebook(&[&import[..], &["--desk", &desk, "--key", &key]].concat());
    let words = String::from_utf8_lossy(&shown.stderr).into_owned();
    let counted = "450 workers, of which 0 are registered already; 450 in 2 events";
    assert!(words.contains(counted), "{words}");
    assert!(words.contains("nothing was sent"), "{words}");
    said(&pool, &key, &import);
    let flag = ["account", "register", "farm", "--only-registered"];
    said(&pool, &key, &flag);
    until(&pool, "farm.w999", |outcome| {
        says(
            outcome,
            "only registered workers may mine for farm, and w999 is none",
        )
    });
    until(&pool, "farm.w449", Result::is_ok);

    let token = ["account", "token", "farm", "--file", &text("farm.token")];
    said(&pool, &key, &token);
    let mode = fs::metadata(path("farm.token")).expect("it was made");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let miners = pool.miners.expect("a listener for miners").to_string();
    sets_itself(&miners, &text("wish"), &text("farm.token"));
    said(&pool, &key, &["set", "farm", "donation", "10000"]);
    let last = said(&pool, &key, &["set", "farm", "threshold", "77"]);
    let until_then = last["at"][0].as_u64().expect("a position");
    let account = pool.wait_for("/api/v1/accounts/name:farm", "the last setting", |view| {
        view["as_of"].as_u64().is_some_and(|size| until_then < size)
    });
    let payment = &account["payment"];
    assert_eq!(payment["address"], ADDRESS, "{account}");
    assert_eq!(
        (
            &payment["threshold"],
            &payment["donation_ppm"],
            &payment["pending"]
        ),
        (&json!("77"), &json!(10_000), &Value::Null)
    );
    let registered = &payment["registered"];
    assert_eq!(
        (
            &registered["workers"],
            &registered["token"],
            &registered["only_registered_workers"]
        ),
        (&json!(WORKERS), &json!(true), &json!(true))
    );
    pool.stop();
    let data = text("pool");
    let verified = orebook(&["ledger", "verify", "--data", &data, "--format", "json"]);
    let verified: Value = serde_json::from_slice(&verified.stdout).expect("one JSON object");
    assert_eq!(verified["owners_settings"], 1, "{verified}");
    assert_eq!(verified["settings_without_proof"], 0, "{verified}");
}
