//! `orebook explain` and `orebook reconcile` over a small ledger with a payout.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use orebook_schema::payout::Step;
use orebook_schema::{At, Hash};
use orebook_tests::orebook_binary;
use serde_json::{Value, json};

use crate::world::World;
use crate::world::payouts::{ANNA, BEN, mined, propose, signed, step};
use crate::{stderr, stdout};

/// A batch of 200,000,000 to anna and 100,000,000 to ben, confirmed.
fn paid(world: &mut World) -> Hash {
    let [first, _] = mined(world);
    let lines = [(ANNA, 200_000_000), (BEN, 100_000_000)];
    let (_, digest) = propose(world, 0, &lines, 1, first);
    world.approve(digest);
    let last = signed(world, 0, 0, At::default(), 9);
    step(world, 0, 0, last, Step::Confirmed, 9);
    world.finalise();
    world.finalise();
    first
}

fn run(arguments: &[&str], segments: &Path) -> Output {
    let mut command = Command::new(orebook_binary());
    command.args(arguments).arg("--segments").arg(segments);
    command.output().expect("it runs")
}

fn sections(arguments: &[&str], segments: &Path) -> Vec<Value> {
    let output = run(&[arguments, &["--format", "json"]].concat(), segments);
    assert!(output.status.success(), "{}", stderr(&output));
    let said: Value = serde_json::from_str(stdout(&output).trim()).expect("JSON");
    said["sections"].as_array().expect("a list").clone()
}

/// The value of a named row.
fn value(section: &Value, name: &str) -> u128 {
    row(section, name)["value"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{name} of {section}"))
}

fn row<'s>(section: &'s Value, name: &str) -> &'s Value {
    let rows = section["rows"].as_array().expect("a list");
    let found = rows.iter().find(|row| row["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {section}"))
}

#[test]
fn explain_goes_from_a_line_back_to_the_blocks_split() {
    let mut world = World::new();
    paid(&mut world);
    let segments = world.segments();
    let told = sections(
        &["explain", "--payout", "0/0", "--account", ANNA],
        &segments,
    );
    let [batch, line, block] = told.as_slice() else {
        panic!("a batch, its line and its one block: {told:?}");
    };
    assert_eq!(value(batch, "total"), 300_000_000);
    assert_eq!(row(batch, "approved")["value"], "yes");
    assert_eq!(
        (
            value(line, "amount"),
            value(line, "fee"),
            value(line, "sent")
        ),
        (200_000_000, 0, 200_000_000)
    );
    assert_eq!(row(line, "transaction 0")["value"], "confirmed");
    assert_eq!(value(line, "pays"), 200_000_000 * 1_000_000_000);
    assert_eq!(value(line, "together"), value(line, "pays"));
    // Worked by hand: 625,010,000 less 0.9 %, of which each of the two has half.
    let g = 625_010_000 * 1_000_000_000u128;
    let f = g * 9_000 / 1_000_000;
    let half = (g - f) / 2;
    for (name, expected, rule) in [
        ("G", g, "4.1"),
        ("T", 0, "4.2"),
        ("bonus", 0, "4.3"),
        ("F", f, "4.4"),
        ("R", g - f, "4.4"),
        ("N", 4 << 32, "3.1"),
        ("W", 4 << 32, "3.2"),
        ("w_a", 2 << 32, "3.2"),
        ("c_a", half, "4.5"),
        ("donation", 0, "4.7"),
        ("credited", half, "5.1"),
    ] {
        assert_eq!(
            (value(block, name), &row(block, name)["rule"]),
            (expected, &json!(rule)),
            "{name}"
        );
    }
    // The postings name the events that made them, and the line names the one that confirmed the block.
    let rows = block["rows"].as_array().expect("a list");
    let moved: Vec<&Value> = rows
        .iter()
        .filter(|row| {
            row["how"]
                .as_str()
                .is_some_and(|how| how.starts_with("immature:"))
        })
        .collect();
    assert_eq!(moved.len(), 1, "{block}");
    assert_eq!(
        (&moved[0]["at"], &moved[0]["value"]),
        (&row(line, "pays")["at"], &json!(half.to_string()))
    );
    // By its height the block says the same, and text says what JSON says.
    let same = sections(&["explain", "--account", ANNA, "--block", "100"], &segments);
    assert_eq!(same.len(), 1);
    assert_eq!(&same[0], block);
    let text = run(&["explain", "--payout", "0/0"], &segments);
    for part in [
        "batch 0/0",
        "300,000,000",
        "rules 8.14",
        "200,000,000,000,000,000",
        "100,000,000,000,000,000",
    ] {
        assert!(
            stdout(&text).contains(part),
            "{part} is not in\n{}",
            stdout(&text)
        );
    }
}

#[test]
fn explain_says_what_is_not_there() {
    let mut world = World::new();
    paid(&mut world);
    let segments = world.segments();
    for (code, arguments, says) in [
        (1, vec!["--payout", "0/1"], "no batch 0/1"),
        (
            1,
            vec!["--payout", "0/0", "--account", "script:0014cc"],
            "has no line of",
        ),
        (1, vec!["--account", ANNA, "--block", "99"], "no block 99"),
        (1, vec!["--account", "nobody!", "--block", "100"], "nobody!"),
        (2, vec!["--account", ANNA], "--payout"),
    ] {
        let output = run(&[&["explain"], arguments.as_slice()].concat(), &segments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(
            stderr(&output).contains(says),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

/// An API that answers each question with the first entry whose path the question begins with.
fn api(answers: Vec<(&'static str, Value)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
            reader.read_line(&mut line).expect("a line");
            let mut head = String::new();
            while 2 < reader.read_line(&mut head).expect("a head") {
                head.clear();
            }
            let path = line.split(' ').nth(1).expect("a path");
            let found = answers.iter().find(|(begin, _)| path.starts_with(begin));
            let body = found.map_or_else(|| json!({}).to_string(), |(_, body)| body.to_string());
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n{body}").expect("it listens");
        }
    });
    format!("http://{address}")
}

#[test]
fn reconcile_finds_a_projection_that_is_not_the_ledgers() {
    let mut world = World::new();
    paid(&mut world);
    let size = world.lock().final_size();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("pool");
    let copy = data.join("ledger").join("segments");
    fs::create_dir_all(&copy).expect("a folder");
    for file in fs::read_dir(world.segments()).expect("segments") {
        let file = file.expect("a file");
        fs::copy(file.path(), copy.join(file.file_name())).expect("copied");
    }
    let reconcile = |url: &str| {
        let mut command = Command::new(orebook_binary());
        command.args(["reconcile", "--url", url, "--format", "json", "--data"]);
        command.arg(&data).output().expect("it runs")
    };
    let zeros = json!({"immature": "0", "available": "0", "reserved": "0", "paid": "0"});
    let wrong = reconcile(&api(vec![
        ("/api/v1/digest", json!({"position": 1, "digest": "00"})),
        (
            "/api/v1/accounts/",
            json!({"as_of": size, "sub_units": zeros}),
        ),
    ]));
    assert_eq!(wrong.status.code(), Some(3), "{}", stderr(&wrong));
    let said: Value = serde_json::from_str(stdout(&wrong).trim()).expect("JSON");
    let differences = said["differences"].as_array().expect("a list");
    let what: Vec<&str> = differences
        .iter()
        .filter_map(|one| one["what"].as_str())
        .collect();
    let both = |book: &str| [format!("{book}:{ANNA}"), format!("{book}:{BEN}")];
    assert_eq!(what[0], "digest of money");
    for name in [both("immature"), both("available"), both("paid")].concat() {
        assert!(what.contains(&name.as_str()), "{name} in {what:?}");
    }
    assert_eq!(what.len(), 7, "{what:?}");
    // The digest that it says is its own is the only one that is no difference.
    let says = differences[0]["says"].as_str().expect("text");
    let own = says
        .split(' ')
        .find_map(|word| word.strip_suffix(',').filter(|word| word.len() == 64));
    let right = reconcile(&api(vec![(
        "/api/v1/digest",
        json!({"position": 1, "digest": own.expect("a digest")}),
    )]));
    assert_eq!(right.status.code(), Some(0), "{}", stderr(&right));
    let said: Value = serde_json::from_str(stdout(&right).trim()).expect("JSON");
    assert_eq!(
        (&said["differences"], &said["compared"]),
        (&json!([]), &json!(["projection"]))
    );
    // Beside a process that has the folder, and the development chain in it.
    let lock = fs::File::create(data.join("lock")).expect("a file");
    lock.lock().expect("nobody has it");
    let config = folder.path().join("pool.toml");
    fs::write(&config, "").expect("written");
    let mut command = Command::new(orebook_binary());
    command.args(["reconcile", "--config"]).arg(&config);
    let beside = command.arg("--data").arg(&data).output().expect("it runs");
    assert_eq!(beside.status.code(), Some(1), "{}", stderr(&beside));
    let words = stderr(&beside);
    for says in [
        "an orebook process runs on this folder, and the development chain is inside it",
        "error: nothing was compared",
        "--url http://HOST:PORT compares with it",
    ] {
        assert!(words.contains(says), "{says}: {words}");
    }
    assert!(!words.contains("another --data folder"), "{words}");
}
