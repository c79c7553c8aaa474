//! The API's contract: keys and types of every answer, pages, bad input, one position an answer, metrics, the page.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "api/direct.rs"]
mod direct;
#[path = "api/dust.rs"]
mod dust;
#[path = "api/payment.rs"]
mod payment;
#[path = "api/payouts.rs"]
mod payouts;
#[path = "api/people.rs"]
mod people;
#[path = "api/reports.rs"]
mod reports;
#[path = "../../../replay/store/tests/world/mod.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use orebook_projector::{
    ASSETS, Activity, ActivityReader, ApiConfig, Member, Metrics, Projector, Server, Verify, router,
};
use orebook_replay::fold::{Backwards, FinalFrame, Fold, FoldStop};
use orebook_replay::rows::{Rows, StoreFault};
use orebook_replay::store::MemoryStore;
use serde_json::Value;

use world::{World, named, small_ledger};

/// Longest wait for an answer of this machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Api {
    address: SocketAddr,
    server: Option<(Server, Projector, ActivityReader)>,
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

fn in_memory(fold: Box<dyn Fold + Send>) -> Member {
    (fold, Arc::new(MemoryStore::new()))
}

fn project(world: &World, members: Vec<Member>, metrics: &Metrics) -> Projector {
    let fatal = Arc::new(|why: &str| panic!("fatal: {why}"));
    let reader = world.reader.clone();
    Projector::start(world::LEDGER, members, reader, metrics, fatal).expect("a thread")
}

/// Waits until all that is final is applied.
fn wait_for(world: &World, projector: &Projector) {
    let size = world.lock().final_size();
    let start = Instant::now();
    while projector.books().tip().is_none_or(|tip| tip.size < size) {
        assert!(
            start.elapsed() < PATIENCE,
            "the projector does not come to {size}"
        );
        std::thread::yield_now();
    }
}

impl Api {
    fn over(world: &World) -> Self {
        let metrics = Metrics::new();
        let members = orebook_projector::folds().into_iter().map(in_memory);
        Self::serve(world, project(world, members.collect(), &metrics), &metrics)
    }

    /// With another configuration.
    fn with(world: &World, change: impl FnOnce(&mut ApiConfig)) -> Self {
        let metrics = Metrics::new();
        let members = orebook_projector::folds().into_iter().map(in_memory);
        let projector = project(world, members.collect(), &metrics);
        Self::serve_with(world, projector, &metrics, change)
    }

    fn serve(world: &World, projector: Projector, metrics: &Metrics) -> Self {
        Self::serve_with(world, projector, metrics, |_| {})
    }

    fn serve_with(
        world: &World,
        projector: Projector,
        metrics: &Metrics,
        change: impl FnOnce(&mut ApiConfig),
    ) -> Self {
        let activity = Activity::default();
        let source = Box::new(reports::reports(world::LEDGER));
        let gateway = reports::gateway().key();
        let may_say = Box::new(move |key: &orebook_schema::Key| *key == gateway);
        let reading = activity.start(world::LEDGER, source, may_say, Box::new(|| true));
        let reading = reading.expect("a thread");
        let mut config = ApiConfig {
            pot_names: vec![(2, "alone".to_owned())],
            verify: vec![Verify {
                what: "Check it".to_owned(),
                command: "./orebook ledger verify".to_owned(),
            }],
            activity: Some(activity),
            show_networks: true,
            ..ApiConfig::default()
        };
        change(&mut config);
        let router = router(projector.books(), config, metrics);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Server::start(listener, router).expect("a server");
        wait_for(world, &projector);
        Self {
            address: server.address(),
            server: Some((server, projector, reading)),
        }
    }

    fn say(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .expect("a status");
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Answer {
            status: status.parse().expect("a number"),
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    fn ask(&self, method: &str, path: &str, more: &str) -> Answer {
        self.say(&format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n"
        ))
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
        serde_json::from_str(&answer.body).expect("JSON")
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some((server, projector, reading)) = self.server.take() {
            reading.stop().expect("the reader ends");
            server.stop().expect("the server ends");
            projector.stop().expect("the feed ends");
        }
    }
}

/// Keys and types of a value, one line a leaf; of a list, of its elements.
fn shape(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(elements) => {
            out.insert(format!("{path}: list"));
            return elements
                .iter()
                .for_each(|element| shape(element, &format!("{path}[]"), out));
        }
        Value::Object(fields) => {
            let inside =
                |(name, field): (&String, &Value)| shape(field, &format!("{path}.{name}"), out);
            return fields.iter().for_each(inside);
        }
    };
    out.insert(format!("{path}: {kind}"));
}

const GOLDEN: &str = include_str!("golden.txt");

/// Keys and types of the answers at some paths are those of a golden file.
fn assert_shapes(api: &Api, paths: &[&str], golden: &str) {
    let mut text = String::new();
    for path in paths {
        let mut lines = BTreeSet::new();
        shape(&api.get(path), "", &mut lines);
        text.push_str(&format!("# {path}\n"));
        lines
            .iter()
            .for_each(|line| text.push_str(&format!("{line}\n")));
    }
    assert!(text == golden, "the golden file should be:\n{text}");
}

/// The activity log's answer, once both reports were taken.
fn activity_of(api: &Api) -> Value {
    let start = Instant::now();
    loop {
        let answer = api.get("/api/v1/activity");
        if answer["gateways"][0]["reports"] == 2 {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "two reports count: {answer}");
        std::thread::yield_now();
    }
}

#[test]
fn activity_is_what_gateways_of_this_ledger_signed_and_counts_once() {
    let api = Api::over(&small_ledger());
    let activity = activity_of(&api);
    let of = |list: &str, reason: &str| {
        let rows = activity[list].as_array().expect("a list");
        let row = rows.iter().find(|row| row["reason"] == reason);
        row.expect("each reason has a row")["count"].clone()
    };
    assert_eq!(activity["sessions"], 3);
    assert_eq!(of("failed_logins", "name"), 100);
    assert_eq!(of("failed_logins", "request"), 0);
    assert_eq!(of("rest", "failed_logins"), 9);
    assert_eq!(of("rejects", "low_difficulty"), 4);
    assert_eq!(
        (&activity["bans"], &activity["lost"]),
        (&1.into(), &2.into())
    );
    let node = &activity["nodes"][0];
    assert_eq!(
        (&node["node"], &node["said"], &node["count"]),
        (&"geth-1".into(), &"other_payee".into(), &4.into())
    );
    assert_eq!(activity["agents"][0]["agent"], "cgminer");
    assert_eq!(activity["networks"][0]["network"], "198.51.100.0/24");
    assert_eq!(activity["gateways"].as_array().expect("a list").len(), 1);
    let anna = api.get("/api/v1/accounts/name:anna/activity");
    assert_eq!(
        (&anna["sessions"], &anna["workers"][0]["name"]),
        (&1.into(), &"rig".into())
    );
    assert_eq!(anna["workers"][0]["agent"], "cgminer/4.11");
    let low = anna["rejects"].as_array().expect("a list");
    assert!(
        low.iter()
            .any(|row| row["count"] == 4 && row["reason"] == "low_difficulty")
    );
    let nobody = api.get("/api/v1/accounts/name:nobody/activity");
    assert_eq!(nobody["workers"], Value::Array(Vec::new()));
}

#[test]
fn every_answer_has_the_keys_and_types_of_the_golden_file() {
    let world = small_ledger();
    let api = Api::over(&world);
    activity_of(&api);
    let paths = [
        "/api/v1/activity",
        "/api/v1/accounts/name:anna/activity",
        "/api/v1/pools",
        "/api/v1/pools/1/blocks",
        "/api/v1/pools/1/accounts",
        "/api/v1/pools/1/hashrate?window_seconds=600",
        "/api/v1/accounts/name:anna",
        "/api/v1/accounts/name:anna/workers",
        "/api/v1/ledger",
        "/api/v1/digest?fold=money",
    ];
    assert_shapes(&api, &paths, GOLDEN);
}

#[test]
fn figures_are_those_of_the_ledger() {
    let world = small_ledger();
    let api = Api::over(&world);
    let size = world.lock().final_size();
    let pools = api.get("/api/v1/pools");
    assert_eq!(pools["as_of"], size);
    assert_eq!(
        pools["head"],
        size + 1,
        "the last checkpoint is not final itself"
    );
    let [pplns, solo] = pools["pools"].as_array().expect("a list").as_slice() else {
        panic!("two pots: {pools}");
    };
    assert_eq!(
        (&pplns["id"], &pplns["scheme"]),
        (&"1".into(), &"pplns".into())
    );
    assert_eq!(
        (&pplns["name"], &solo["name"]),
        (&"dev pplns".into(), &"alone".into())
    );
    assert_eq!(
        (&pplns["blocks_found"], &solo["blocks_found"]),
        (&6.into(), &1.into())
    );
    assert_eq!(pplns["blocks"]["confirmed"], 2);
    assert_eq!(pplns["blocks"]["orphaned"], 1);
    assert_eq!(pplns["blocks"]["immature"], 1);
    assert_eq!(pplns["workers_online"], 3, "one name on two rigs is two");
    assert_eq!(pplns["worker_names_online"], 2);
    assert_eq!(pplns["fee_percent"], "0.9");
    assert_eq!(pplns["last_block"]["height"], 106);
    assert_eq!(pplns["round_effort"], 0.0);
    assert_eq!(pplns["luck"]["blocks"], 6);
    // 12 rounds of 2 + 2 + 1, and the finding share of 2, over 100; one twin's share of 2 was stale.
    let blocks = api.get("/api/v1/pools/1/blocks");
    let last = &blocks["blocks"][5];
    assert_eq!(
        (&last["effort"], &last["height"]),
        (&0.6.into(), &100.into())
    );
    assert_eq!(last["state"], "confirmed");
    assert_eq!(last["reward"], "625010000");
    assert!(pplns["hashrate"].as_u64().expect("a number") > 1_000_000_000);

    let anna = api.get("/api/v1/accounts/name:anna");
    let ben = api.get("/api/v1/accounts/name:ben");
    let sub = |account: &Value, book: &str| -> u128 {
        account["sub_units"][book]
            .as_str()
            .expect("text")
            .parse()
            .expect("a number")
    };
    // Two confirmed blocks of the pot at 0.9 %: the accounts share what is left but for the rounding of each split.
    let reward: u128 = 625_010_000 * 1_000_000_000;
    let left = 2 * (reward - reward * 9_000 / 1_000_000);
    let paid = sub(&anna, "available") + sub(&ben, "available");
    assert!(left - 4 < paid && paid <= left, "{paid} of {left}");
    assert_eq!(
        anna["credits"].as_array().expect("a list").len(),
        4,
        "every settled block, the orphan too"
    );
    assert!(0 < sub(&anna, "immature"));
    let base: u128 = anna["balances"]["available"]
        .as_str()
        .expect("text")
        .parse()
        .expect("a number");
    assert_eq!(base, sub(&anna, "available") / 1_000_000_000);

    let workers = api.get("/api/v1/accounts/name:anna/workers");
    let rig = &workers["workers"][0];
    assert_eq!(
        (&rig["machines_online"], &rig["difficulty"]),
        (&2.into(), &"2".into())
    );
    assert_eq!(rig["stale"], 7);
    let stranger = api.get("/api/v1/accounts/name:nobody");
    assert_eq!(
        (&stranger["known"], &stranger["balances"]["available"]),
        (&false.into(), &"0".into())
    );
}

#[test]
fn pages_give_every_row_once_and_in_order() {
    let world = small_ledger();
    let api = Api::over(&world);
    for (path, list, key) in [
        ("/api/v1/pools/1/blocks", "blocks", "hash"),
        ("/api/v1/pools/1/accounts", "accounts", "account"),
        ("/api/v1/accounts/name:anna", "credits", "hash"),
        ("/api/v1/accounts/name:anna/workers", "workers", "name"),
    ] {
        let whole = api.get(path);
        assert_eq!(whole["next"], Value::Null, "{path}");
        let keys = |page: &Value| -> Vec<Value> {
            let rows = page[list].as_array().expect("a list");
            rows.iter().map(|row| row[key].clone()).collect()
        };
        let mut found = Vec::new();
        let mut next = String::new();
        loop {
            let page = api.get(&format!("{path}?limit=1{next}"));
            found.extend(keys(&page));
            let Some(cursor) = page["next"].as_str() else {
                break;
            };
            next = format!("&cursor={cursor}");
        }
        assert!(!found.is_empty(), "{path}");
        assert_eq!(found, keys(&whole), "{path}");
    }
    let top = api.get("/api/v1/pools/1/accounts?order=top&limit=1");
    assert_eq!(top["accounts"][0]["account"], "name:anna");
    assert_eq!(top["complete"], true);
}

#[test]
fn bad_questions_get_their_code() {
    let world = small_ledger();
    let api = Api::over(&world);
    let long = format!("/api/v1/accounts/{}", "a".repeat(141));
    let endless = format!("/{}", "a".repeat(600));
    for (path, status, code) in [
        ("/api/v1/pools?limit=1", 400, "bad_query"),
        ("/api/v1/pools/1/blocks?limit=0", 400, "bad_query"),
        ("/api/v1/pools/1/blocks?limit=201", 400, "bad_query"),
        ("/api/v1/pools/1/blocks?limit=1&limit=2", 400, "bad_query"),
        ("/api/v1/pools/1/blocks?cursor=7", 400, "bad_query"),
        ("/api/v1/pools/1/blocks?cursor=7.70000", 400, "bad_query"),
        ("/api/v1/pools/1/blocks?cursor=-7.1", 400, "bad_query"),
        (
            "/api/v1/pools/1/hashrate?window_seconds=1",
            400,
            "bad_query",
        ),
        (
            "/api/v1/pools/1/hashrate?window_seconds=99999999999999999999",
            400,
            "bad_query",
        ),
        ("/api/v1/pools/1/accounts?order=bottom", 400, "bad_query"),
        (
            "/api/v1/pools/1/accounts?order=top&cursor=name:anna",
            400,
            "bad_query",
        ),
        ("/api/v1/pools/1/accounts?cursor=anna", 400, "bad_query"),
        (
            "/api/v1/accounts/name:anna/workers?cursor=1",
            400,
            "bad_query",
        ),
        ("/api/v1/digest", 400, "bad_query"),
        ("/api/v1/digest?fold=money&position=x", 400, "bad_query"),
        ("/api/v1/digest?fold=nothing", 404, "no_fold"),
        ("/api/v1/digest?fold=money&position=3", 404, "no_digest"),
        ("/api/v1/pools/one/blocks", 400, "bad_pool"),
        ("/api/v1/pools/65536/blocks", 400, "bad_pool"),
        ("/api/v1/pools/01/blocks", 400, "bad_pool"),
        ("/api/v1/pools/7/blocks", 404, "no_pool"),
        ("/api/v1/accounts/anna", 400, "bad_account"),
        ("/api/v1/accounts/name:%00", 400, "bad_account"),
        (long.as_str(), 400, "bad_account"),
        (endless.as_str(), 414, "path_too_long"),
        ("/api/v1/pools/", 404, "no_route"),
        ("/api/v2/pools", 404, "no_route"),
        ("/../Cargo.toml", 404, "no_route"),
        ("/page.css?v=1", 400, "bad_query"),
    ] {
        let answer = api.ask("GET", path, "");
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(body["error"], code, "{path}");
        assert!(
            !body["message"].as_str().expect("text").is_empty(),
            "{path}"
        );
        assert_eq!(body.as_object().expect("an object").len(), 2, "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = api.ask(method, "/api/v1/pools", "content-length: 0\r\n");
        assert_eq!(
            (answer.status, answer.headers["allow"].as_str()),
            (405, "GET, HEAD"),
            "{method}"
        );
    }
    assert_eq!(api.ask("HEAD", "/api/v1/pools", "").status, 200);
    // Heads without an end, and what is no HTTP at all.
    let large = api.ask(
        "GET",
        "/api/v1/pools",
        &format!("x: {}\r\n", "a".repeat(20_000)),
    );
    assert_eq!(large.status, 431);
    let many = api.ask("GET", "/api/v1/pools", &"x: a\r\n".repeat(100));
    assert_eq!(many.status, 431);
    assert_eq!(api.say("hello\r\n\r\n").status, 400);
    assert_eq!(api.ask("GET", "/livez", "").status, 200, "and it lives");
}

#[test]
fn each_answer_is_read_at_one_position_while_positions_are_applied() {
    let mut world = small_ledger();
    let api = Api::over(&world);
    let address = api.address;
    let asker = std::thread::spawn(move || {
        let api = Api {
            address,
            server: None,
        };
        let mut seen = BTreeSet::new();
        // A share of anna's moves all of these at once: folds that stood apart would disagree.
        loop {
            let answer = api.ask("GET", "/api/v1/accounts/name:anna", "");
            let account: Value = serde_json::from_str(&answer.body).expect("JSON");
            assert_eq!(answer.status, 200, "{account}");
            let ledger = api.get("/api/v1/ledger");
            for fold in ledger["folds"].as_array().expect("a list") {
                assert_eq!(fold["size"], ledger["as_of"], "{ledger}");
            }
            let as_of = account["as_of"].as_u64().expect("a number");
            assert!(
                seen.last().is_none_or(|last| *last <= as_of),
                "time does not run back"
            );
            seen.insert(as_of);
            if account["accepted"].as_u64().expect("a number") >= 500 {
                return seen.len();
            }
        }
    });
    let rig = world.worker(&named("anna"), "rig-9", 1, 1 << 33);
    let job = world.job(200, 1 << 50);
    for _ in 0..170 {
        world.shares(job, &[(rig, 1 << 33, false), (rig, 1 << 33, false)]);
        world.finalise();
    }
    world.finalise();
    let positions = asker.join().expect("every answer was true");
    assert!(1 < positions, "answers of several positions: {positions}");
}

#[test]
fn metrics_are_open_metrics_text_with_closed_labels() {
    let world = small_ledger();
    let api = Api::over(&world);
    for path in [
        "/api/v1/pools",
        "/api/v1/pools/7/blocks",
        "/secret/anna",
        "/api/v1/accounts/name:anna",
    ] {
        api.ask("GET", path, "");
    }
    let answer = api.ask("GET", "/metrics", "");
    assert_eq!(answer.status, 200);
    assert!(answer.headers["content-type"].starts_with("application/openmetrics-text"));
    let mut typed = BTreeSet::new();
    let mut samples = BTreeMap::new();
    let lines: Vec<&str> = answer.body.lines().collect();
    assert_eq!(lines.last(), Some(&"# EOF"));
    for line in &lines[..lines.len() - 1] {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            assert!(["HELP", "TYPE", "UNIT"].contains(&words[0]), "{line}");
            if words[0] == "TYPE" {
                assert!(typed.insert(words[1].to_owned()), "{line} comes twice");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a name and a value");
        value.parse::<f64>().expect("a number");
        let name = series.split('{').next().expect("a name");
        assert!(name.starts_with("orebook_"), "{line}");
        let family = ["_total", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        assert!(
            typed.contains(name) || family.is_some_and(|family| typed.contains(family)),
            "{line}"
        );
        assert!(
            samples
                .insert(series.to_owned(), value.to_owned())
                .is_none(),
            "{line} comes twice"
        );
    }
    for (series, value) in [
        (
            "orebook_api_requests_total{route=\"pools\",status=\"200\"}",
            "1",
        ),
        (
            "orebook_api_requests_total{route=\"blocks\",status=\"404\"}",
            "1",
        ),
        (
            "orebook_api_requests_total{route=\"other\",status=\"404\"}",
            "1",
        ),
        ("orebook_api_request_seconds_count{route=\"account\"}", "1"),
        ("orebook_pool_blocks_found{pot=\"1\"}", "6"),
        ("orebook_pool_workers_online{pot=\"2\"}", "1"),
        ("orebook_pool_round_effort_ratio{pot=\"1\"}", "0"),
        ("orebook_pool_late_frames{pot=\"1\"}", "0"),
        ("orebook_round_late_ppm_max{pot=\"1\"}", "0"),
    ] {
        assert_eq!(
            samples.get(series).map(String::as_str),
            Some(value),
            "{series}\n{}",
            answer.body
        );
    }
    for secret in ["anna", "rig-1", "secret"] {
        assert!(
            !answer.body.contains(secret),
            "{secret} is in\n{}",
            answer.body
        );
    }
}

#[test]
fn the_page_is_served_with_tags_and_asks_nobody_else() {
    let world = World::new();
    let api = Api::over(&world);
    for asset in ASSETS {
        let answer = api.ask("GET", asset.path, "");
        assert_eq!(answer.status, 200, "{}", asset.path);
        assert_eq!(answer.body.as_bytes(), asset.bytes, "{}", asset.path);
        assert_eq!(answer.headers["content-type"], asset.media_type);
        assert_eq!(answer.headers["cache-control"], "no-cache");
        assert!(answer.headers["content-security-policy"].starts_with("default-src 'none'"));
        let tag = &answer.headers["etag"];
        for given in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"other\", {tag}"),
            "*".to_owned(),
        ] {
            let again = api.ask("GET", asset.path, &format!("if-none-match: {given}\r\n"));
            assert_eq!(
                (again.status, again.body.as_str()),
                (304, ""),
                "{} {given}",
                asset.path
            );
            assert_eq!(&again.headers["etag"], tag);
        }
        let other = api.ask("GET", asset.path, "if-none-match: \"other\"\r\n");
        assert_eq!(other.status, 200);
        // The policy would refuse what is inline or from elsewhere; so nothing is.
        let text = answer.body.replace("http://www.w3.org/2000/svg", "");
        for outside in [
            "http:",
            "https:",
            "style=",
            "onclick",
            "<style",
            "eval(",
            "innerHTML",
        ] {
            assert!(!text.contains(outside), "{} has {outside}", asset.path);
        }
    }
    // Every file that the page names is there.
    let page = api.ask("GET", "/", "").body;
    for name in page
        .split(['"', '\''])
        .filter(|word| word.starts_with('/') && word.contains('.'))
    {
        assert!(ASSETS.iter().any(|asset| asset.path == name), "{name}");
    }
}

#[test]
fn an_empty_ledger_has_answers() {
    let world = World::new();
    let api = Api::over(&world);
    let ready = api.ask("GET", "/readyz", "");
    assert_eq!(
        (ready.status, ready.body.contains("\"ready\":true")),
        (200, true),
        "{}",
        ready.body
    );
    let pools = api.get("/api/v1/pools");
    assert_eq!(pools["pools"].as_array().map(Vec::len), Some(2));
    assert_eq!(pools["pools"][0]["last_block"], Value::Null);
    assert_eq!(
        api.get("/api/v1/pools/1/blocks")["blocks"],
        Value::Array(Vec::new())
    );
    assert_eq!(api.ask("GET", "/api/v1/digest?fold=money", "").status, 404);
}

/// Meets something that it does not know at position 3.
struct Stops;

impl Fold for Stops {
    fn name(&self) -> &'static str {
        "money"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        _: &mut dyn Rows,
        _: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        let stop = FoldStop::Unknown {
            what: "a test",
            position: 3,
        };
        if frame.position < 3 {
            Ok(())
        } else {
            Err(stop)
        }
    }

    fn canonical(&self, table: u8, _: &[u8], _: &[u8]) -> Result<Vec<u8>, StoreFault> {
        Err(StoreFault::Damaged {
            table,
            what: "it has no rows",
        })
    }
}

#[test]
fn a_fold_that_stops_is_named_and_the_others_answer() {
    let world = small_ledger();
    let metrics = Metrics::new();
    let members = orebook_projector::folds().into_iter().map(|fold| {
        let stops = fold.name() == "money";
        in_memory(if stops { Box::new(Stops) } else { fold })
    });
    let projector = project(&world, members.collect(), &metrics);
    let api = Api::serve(&world, projector, &metrics);
    let ready = api.ask("GET", "/readyz", "");
    assert_eq!(ready.status, 503);
    assert!(
        ready
            .body
            .contains("money: this software does not know a test"),
        "{}",
        ready.body
    );
    assert_eq!(api.get("/api/v1/pools")["pools"][0]["blocks_found"], 6);
    let account = api.ask("GET", "/api/v1/accounts/name:anna", "");
    assert_eq!(
        (account.status, account.headers["retry-after"].as_str()),
        (503, "2")
    );
    assert!(
        account
            .body
            .contains("the fold money stopped: this software does not know a test"),
        "{}",
        account.body
    );
}
