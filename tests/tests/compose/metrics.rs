//! Alerts and dashboards ask for what the binary shows, and each alert names a page that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use orebook_tests::pool::{DEADLINE, Pool};
use orebook_tests::repo_root;
use serde_json::Value;

use crate::deploy::{Deploy, yaml};
use crate::openmetrics::Family;

/// Shown over Kafka only.
const OF_KAFKA: &str = "orebook_kafka_";
/// Prometheus makes it itself.
const OF_PROMETHEUS: &str = "up";

/// Sample lines of a pool with every role on the embedded ledger, once it shows what it is asked for, and of an archiver over a
/// broker that is not there.
fn shown(expressions: &[(String, String)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("orebook.toml");
    let text = "[http]\nlisten = \"127.0.0.1:0\"\n[[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:0\"\n\
                difficulty = \"0.0001\"\n";
    fs::write(&config, text).expect("written");
    let pool = Pool::start(&folder.path().join("pool"), &config);
    let miner = log_in(&pool);
    let (status, _) = pool.get("/api/v1/pools").expect("it answers");
    assert_eq!(status, 200, "a request, so that there is one to be counted");
    let started = Instant::now();
    let mut all = figures(&pool);
    // Pots and nodes appear with the first final job and the first template.
    while unknown(expressions, &all)
        .iter()
        .any(|fault| !fault.contains(OF_KAFKA))
    {
        if DEADLINE < started.elapsed() {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(50));
        all = figures(&pool);
    }
    drop(miner);
    pool.stop();
    // Port 1 is nobody's: an archiver starts without a broker.
    let over = format!(
        "{text}[kafka]\nbrokers = [\"127.0.0.1:1\"]\nreplication = 1\nmin_isr = 1\ni_know = true\n"
    );
    fs::write(&config, over).expect("written");
    let archiver = Pool::start_role(&["archiver"], &folder.path().join("pool"), &config);
    let of_archiver = figures(&archiver);
    drop(archiver.kill());
    vec![all, of_archiver]
}

/// A miner, so that there is something to be counted.
fn log_in(pool: &Pool) -> TcpStream {
    let mut miner = TcpStream::connect(pool.stratum[0]).expect("it listens");
    miner.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let subscribe = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"cgminer/4.12\"]}\n";
    miner.write_all(subscribe.as_bytes()).expect("it reads");
    let mut line = String::new();
    let mut reader = BufReader::new(miner.try_clone().expect("a descriptor"));
    reader.read_line(&mut line).expect("it answers");
    miner
}

/// What is wrong with docs/metrics.md, by what the binary shows.
fn page_faults(page: &str, families: &BTreeMap<String, Family>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut told = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| `orebook_")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, kind, unit, labels, what, _] = cells[..] else {
            faults.push(format!("no row of five cells: {row}"));
            continue;
        };
        let name = name.trim_matches('`');
        if !told.insert(name.to_owned()) {
            faults.push(format!("{name} stands there twice"));
        }
        if unit.is_empty() || what.is_empty() {
            faults.push(format!("{name}: without unit or words"));
        }
        let Some(family) = families.get(name) else {
            faults.push(format!("{name} is shown by nobody"));
            continue;
        };
        if family.kind != kind {
            faults.push(format!("{name} is a {}", family.kind));
        }
        let labels: BTreeSet<String> = labels
            .split(',')
            .map(|label| label.trim().to_owned())
            .filter(|label| !label.is_empty())
            .collect();
        // A metric without samples yet has no labels.
        if !family.labels.is_empty() && family.labels != labels {
            faults.push(format!("{name} has the labels {:?}", family.labels));
        }
    }
    for name in families.keys().filter(|name| !told.contains(*name)) {
        faults.push(format!("{name} is not told"));
    }
    faults
}

fn figures(pool: &Pool) -> String {
    let (status, text) = pool.get("/metrics").expect("it answers");
    assert_eq!(status, 200);
    text
}

/// `name{label="value"` of an expression: the names that begin as ours, each with its selectors.
fn asked(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = expression;
    while let Some(at) = rest.find("orebook_") {
        let from = &rest[at..];
        let end = from.find(|c| !is_name(c)).unwrap_or(from.len());
        let (name, after) = from.split_at(end);
        let selectors = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let selectors = selectors.map_or("", |(inner, _)| inner);
        let selectors = selectors
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty());
        found.push((name.to_owned(), selectors.map(str::to_owned).collect()));
        rest = after;
    }
    found
}

/// What is wrong with expressions, by the lines that the binary shows.
fn unknown(expressions: &[(String, String)], shown: &str) -> Vec<String> {
    let lines: Vec<&str> = shown
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let mut faults = Vec::new();
    for (who, expression) in expressions {
        let asked = asked(expression);
        let is_of_prometheus = expression.starts_with(OF_PROMETHEUS);
        if asked.is_empty() && !is_of_prometheus {
            faults.push(format!("{who}: asks for nothing of ours: {expression}"));
        }
        for (name, selectors) in asked {
            let of_name = lines.iter().filter(|line| {
                let name_ends = line.find(['{', ' ']).unwrap_or(line.len());
                line[..name_ends] == name
            });
            let fits = of_name
                .filter(|line| {
                    selectors
                        .iter()
                        .all(|selector| line.contains(selector.as_str()))
                })
                .count();
            if fits == 0 {
                faults.push(format!("{who}: nobody shows {name} {selectors:?}"));
            }
        }
    }
    faults
}

/// Each alert as (its name, what it asks).
fn alerts(rules: &Value) -> Vec<(String, String)> {
    let groups = rules["groups"].as_array().into_iter().flatten();
    groups
        .flat_map(|group| group["rules"].as_array().into_iter().flatten())
        .map(|rule| {
            let text = |key: &str| rule[key].as_str().unwrap_or("").to_owned();
            (text("alert"), text("expr"))
        })
        .collect()
}

fn dashboards(deploy: &Deploy) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, text) in &deploy.files {
        if !path.starts_with("deploy/grafana/dashboards/") {
            continue;
        }
        let board: Value = serde_json::from_str(text).expect("JSON");
        let mut places = BTreeSet::new();
        for panel in board["panels"].as_array().expect("panels") {
            let place = panel["gridPos"].to_string();
            assert!(places.insert(place), "{path}: two panels at one place");
            assert_eq!(panel["datasource"]["uid"], "prometheus", "{path}");
            for target in panel["targets"].as_array().expect("targets") {
                let title = panel["title"].as_str().expect("a title");
                let asks = target["expr"].as_str().expect("an expression");
                found.push((format!("{path}: {title}"), asks.to_owned()));
            }
        }
    }
    found
}

#[test]
fn alerts_and_dashboards_ask_for_what_the_binary_shows() {
    let deploy = crate::deploy();
    let rules = yaml(deploy.file("deploy/prometheus/alerts.yml"));
    let mut all = alerts(&rules);
    assert!(12 <= all.len(), "{} alerts", all.len());
    let boards = dashboards(&deploy);
    assert!(20 <= boards.len(), "{} panels", boards.len());
    all.extend(boards);
    let texts = shown(&all);
    let mut families = BTreeMap::new();
    for text in &texts {
        let read = crate::openmetrics::read(text);
        for (name, family) in read.unwrap_or_else(|why| panic!("{why}\n{text}")) {
            let known: &mut Family = families.entry(name).or_default();
            known.labels.extend(family.labels);
            known.kind = family.kind;
        }
    }
    let page = fs::read_to_string(repo_root().join("docs/metrics.md")).expect("a page");
    let faults = page_faults(&page, &families);
    assert!(faults.is_empty(), "docs/metrics.md: {}", faults.join("\n"));
    for (from, to, says) in [
        (
            "| `orebook_edge_closed` | counter",
            "| `orebook_edge_closed` | gauge",
            "is a counter",
        ),
        (
            "`orebook_spool_commits`",
            "`orebook_spool_commit`",
            "orebook_spool_commit is shown by nobody",
        ),
        (
            "`orebook_spool_commits`",
            "`orebook_spool_commit`",
            "orebook_spool_commits is not told",
        ),
        (
            "gateway, port, region, dialect, cause",
            "gateway, port, region, cause",
            "has the labels",
        ),
    ] {
        let faults = page_faults(&page.replacen(from, to, 1), &families);
        assert!(
            faults.iter().any(|fault| fault.contains(says)),
            "{from}: {faults:?}"
        );
    }
    let shown = texts.concat();
    let faults = unknown(&all, &shown);
    assert!(faults.is_empty(), "{}\n{shown}", faults.join("\n"));

    let one = |text: &str| vec![("planted".to_owned(), text.to_owned())];
    for (wrong, says) in [
        (
            "rate(orebook_spool_moves[5m]) > 0",
            "nobody shows orebook_spool_moves []",
        ),
        ("orebook_settler{what=\"said_orphand\"} > 0", "said_orphand"),
        (
            "orebook_ledger_final - orebook_ledger_heads",
            "orebook_ledger_heads",
        ),
        (
            "orebook_spool_used_bytes{gateway=\"9\"}",
            "orebook_spool_used_bytes",
        ),
        ("time() > 0", "asks for nothing"),
    ] {
        let faults = unknown(&one(wrong), &shown);
        assert!(
            faults.len() == 1 && faults[0].contains(says),
            "{wrong}: {faults:?}"
        );
    }
}

/// Whether an alert of ours on one gauge is firing: terms `gauge > n`, `gauge < n` or `time() * 1000 - gauge > n`, all of them.
fn fires(expr: &str, gauge: &str, value: i64, now_ms: i64) -> bool {
    expr.split(" and ").all(|term| {
        let (above, below) = (term.split_once(" > "), term.split_once(" < "));
        let (asks, bound) = above.or(below).expect("a term");
        let bound: i64 = bound.parse().expect("a number");
        let asks = match asks.strip_prefix("time() * 1000 - ") {
            Some(of) if of == gauge => now_ms - value,
            None if asks == gauge => value,
            _ => panic!("`{asks}` is another question"),
        };
        if above.is_some() {
            bound < asks
        } else {
            asks < bound
        }
    })
}

#[test]
fn a_reserve_below_zero_is_told_and_one_that_is_empty_is_not() {
    let rules = yaml(crate::deploy().file("deploy/prometheus/alerts.yml"));
    let rules = alerts(&rules);
    let rule = rules.iter().find(|(name, _)| name == "ReserveBelowZero");
    let (_, expr) = rule.expect("the alert");
    let gauge = "min by (instance) (orebook_book_balance{book=\"reserve\"})";
    for (base_units, is_told) in [(-1_000_000, true), (-1, true), (0, false), (1, false)] {
        assert_eq!(
            fires(expr, gauge, base_units, 0),
            is_told,
            "{base_units}: {expr}"
        );
    }
}

#[test]
fn a_wallet_that_was_not_compared_for_too_long_or_never_is_told() {
    let rules = yaml(crate::deploy().file("deploy/prometheus/alerts.yml"));
    let rules = alerts(&rules);
    let rule = rules
        .iter()
        .find(|(name, _)| name.ends_with("ReconciliationOld"));
    let (_, expr) = rule.expect("the alert");
    let gauge = "orebook_paymaster{what=\"reconciled_ms\"}";
    // In milliseconds, a wallet whose first batch or last comparison was then.
    let (then, hour) = (1_700_000_000_000, 3_600_000);
    for (value, now, is_told) in [
        // It paid nobody yet.
        (0, then, false),
        (then, then + hour, false),
        (then, then + 25 * hour, false),
        (then, then + 36 * hour, false),
        (then, then + 37 * hour, true),
        (then, then + 1_000 * hour, true),
    ] {
        assert_eq!(
            fires(expr, gauge, value, now),
            is_told,
            "{value} at {now}: {expr}"
        );
    }
}

#[test]
fn each_alert_says_what_happened_and_names_a_page_that_is_there() {
    let rules = yaml(crate::deploy().file("deploy/prometheus/alerts.yml"));
    let groups = rules["groups"].as_array().expect("groups");
    let mut names = BTreeSet::new();
    for rule in groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"))
    {
        let name = rule["alert"].as_str().expect("a name");
        assert!(names.insert(name), "{name} stands here twice");
        let severity = rule["labels"]["severity"].as_str().unwrap_or("");
        assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
        let summary = rule["annotations"]["summary"].as_str().unwrap_or("");
        assert!(!summary.is_empty(), "{name} says nothing");
        let page = rule["annotations"]["runbook"].as_str().unwrap_or("");
        let is_page = page.starts_with("docs/runbooks/") && page.ends_with(".md");
        assert!(
            is_page && repo_root().join(page).is_file(),
            "{name}: `{page}` is not there"
        );
    }
}
