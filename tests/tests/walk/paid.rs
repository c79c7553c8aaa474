//! What walks on real chains share: batches as the API shows them, approvals through the desk, and the checks at the end.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};
use serde_json::Value;

/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// Looks until there is something; says what payouts wait for if there never is.
pub(crate) fn until<T>(pool: &Pool, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            started.elapsed() < 3 * DEADLINE,
            "{what}: {:?} {} {}",
            pool.get("/paymaster/plan"),
            pool.json("/api/v1/payouts"),
            pool.json("/api/v1/pools")
        );
        std::thread::park_timeout(LOOK);
    }
}

/// Batches, newest first.
pub(crate) fn batches(pool: &Pool) -> Vec<Value> {
    let found = pool.json("/api/v1/payouts?limit=100");
    found["payouts"].as_array().expect("a list").clone()
}

/// Waits until a batch is in a state. Returns all that is said of it.
pub(crate) fn batch_in(pool: &Pool, batch: u64, state: &str) -> Value {
    until(pool, &format!("batch {batch} is {state}"), || {
        let found = batches(pool);
        let mut found = found.iter().filter(|found| found["batch"] == batch);
        found.find(|found| found["state"] == state).cloned()
    });
    pool.json(&format!("/api/v1/payouts/0/{batch}?limit=200"))
}

/// The newest names of a batch's transactions, as the chain's explorers show them.
pub(crate) fn txids(batch: &Value) -> Vec<String> {
    let txs = batch["transactions"].as_array().expect("a list").iter();
    let names = txs.map(|tx| tx["txid"].as_str().expect("it is signed").to_owned());
    names.collect()
}

/// A balance of an account, base units.
pub(crate) fn balance(pool: &Pool, account: &str, book: &str) -> i128 {
    let account = pool.json(&format!("/api/v1/accounts/{account}?limit=1"));
    let text = account["balances"][book].as_str().expect("base units");
    text.parse().expect("a number")
}

/// How many blocks of the first pot are in a state.
pub(crate) fn count(pool: &Pool, state: &str) -> u64 {
    let pools = pool.json("/api/v1/pools");
    let counts = &pools["pools"][0]["blocks"];
    counts[state].as_u64().unwrap_or_else(|| panic!("{pools}"))
}

/// Whether no block of the first pot is still open: each is confirmed or orphaned.
pub(crate) fn is_settled(pool: &Pool) -> bool {
    let open = ["found", "seen", "immature", "uncle"];
    open.iter().all(|state| count(pool, state) == 0)
}

fn orebook(arguments: &[&str]) -> Output {
    let mut command = Command::new(orebook_binary());
    command.args(arguments).output().expect("the binary runs")
}

fn said(arguments: &[&str]) -> Value {
    let output = orebook(arguments);
    let words = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {text} {words}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("one JSON object: {text}"))
}

/// An approver looks at a batch and approves it, as an operator does.
pub(crate) fn approve(pool: &Pool, data: &Path, batch: u64) {
    let key = data.join("keys").join("approver-1.key");
    let desk = pool.desk.expect("a desk").to_string();
    let answer = said(&[
        "pay",
        "approve",
        "--batch",
        &batch.to_string(),
        "--api",
        &pool.http.to_string(),
        "--desk",
        &desk,
        "--key",
        key.to_str().expect("a path"),
        "--format",
        "json",
        "--yes",
    ]);
    assert_eq!(answer["outcome"], "counted", "{answer}");
    assert_eq!(answer["thing"]["approved"], 1, "{answer}");
}

/// What a comparison without a difference came to.
#[derive(Debug)]
pub(crate) struct Reconciled {
    /// What the chain has for the wallet beyond the books, base units.
    pub(crate) beyond: i128,
    /// Blocks whose fate on the chain is another than in the books and that the settler may yet say: `block HEIGHT HASH`.
    pub(crate) open: Vec<String>,
}

/// What `orebook reconcile` says beside the running pool: nothing differs from its pages nor from the chain, and nothing was left
/// out.
pub(crate) fn reconciles(pool: &Pool, data: &Path, config: &Path) -> Reconciled {
    let output = orebook(&[
        "reconcile",
        "--data",
        data.to_str().expect("a path"),
        "--config",
        config.to_str().expect("a path"),
        "--url",
        &format!("http://{}", pool.http),
        "--format",
        "json",
    ]);
    let answer: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let compared = serde_json::json!(["projection", "chain", "wallet"]);
    assert_eq!(answer["compared"], compared, "{answer}");
    assert_eq!(answer["differences"], serde_json::json!([]), "{answer}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(answer["not_compared"], 0, "{answer}");
    let txs = answer["wallet"]["transactions"].as_u64();
    assert!(0 < txs.expect("a count"), "{answer}");
    let units = |name: &str| -> i128 {
        let text = answer["wallet"][name].as_str().expect("base units");
        text.parse().expect("a number")
    };
    let open = answer["open"].as_array().expect("a list").iter();
    let of_chain = open.filter(|one| one["with"] == "chain");
    let of = of_chain.map(|one| one["what"].as_str().expect("words").to_owned());
    Reconciled {
        beyond: units("found") - units("expected"),
        open: of.collect(),
    }
}

/// What the paymaster's own comparisons came to: none found a difference. Returns how many there were.
pub(crate) fn compared(pool: &Pool) -> usize {
    let found = pool.json("/api/v1/reconciliations?limit=200");
    let runs = found["reconciliations"].as_array().expect("a list");
    for run in runs {
        assert_eq!(run["differences"], 0, "{run}");
    }
    runs.len()
}

/// `orebook ledger verify --work`: each byte, signature and share.
pub(crate) fn verified(data: &Path) -> Value {
    let data = data.to_str().expect("a path");
    said(&[
        "ledger", "verify", "--work", "--format", "json", "--data", data,
    ])
}
