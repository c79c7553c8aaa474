//! Arrows: schema <- ledger <- replay <- services, and which crate may know which library.

use std::collections::BTreeMap;

use orebook_tests::{TextFile, text_files};

use crate::{Fault, assert_none, planted};

/// Each member and the members it may use, lower rooms first. The rooms of the design have their row
/// before they are built; a member without a row fails. Dev-dependencies may use the simulator and
/// `tests` besides.
const ARROWS: &str = "
    schema:
    ledger:             schema
    ledger/kafka:       schema ledger
    replay:             schema ledger
    replay/store:       schema ledger replay
    services/pow:       schema
    services/stratum:   schema
    services/miner:     schema services/pow
    services/chain:     schema services/pow
    services/gateway:   schema ledger replay services/pow services/stratum services/chain
    services/archiver:  schema ledger replay
    services/projector: schema ledger replay replay/store
    services/producer:  schema ledger replay
    services/settler:   schema ledger replay services/chain services/producer
    services/paymaster: schema ledger replay services/chain services/producer
    services/desk:      schema ledger replay services/chain services/producer
    services/orebook:   schema ledger ledger/kafka replay replay/store services/pow services/stratum \
                        services/chain services/gateway services/archiver services/projector \
                        services/settler services/paymaster services/desk services/miner
    tests/sim:          schema ledger replay
    tests/features:
    tests:              schema ledger ledger/kafka replay replay/store services/pow services/stratum \
                        services/chain services/gateway services/miner tests/sim
";

/// What every member's tests may use besides its row: the miner too, which is the other side of the wire.
const ARROWS_OF_TESTS: [&str; 3] = ["services/miner", "tests", "tests/sim"];

/// Libraries that one member knows and nobody else.
const KEPT_BY: [(&str, &str); 4] = [
    ("rdkafka", "ledger/kafka"),
    ("rdkafka-sys", "ledger/kafka"),
    ("rocksdb", "replay/store"),
    ("librocksdb-sys", "replay/store"),
];

/// Members that need no clock, no async runtime and no C, in their tests neither.
const PURE: [&str; 5] = [
    "schema",
    "ledger",
    "replay",
    "services/pow",
    "services/stratum",
];

/// What pure members must not depend on; names that end in `-sys` or begin with `async` neither.
const DENIED_TO_PURE: &str = "
    aws-lc-rs axum bindgen blake3 cc chrono clap cmake criterion crossbeam-channel fastrand fjall
    flate2 futures futures-util hyper indicatif jiff lz4 mio openssl quanta rand rayon reqwest ring
    rusqlite rustls secp256k1 smol socket2 tikv-jemallocator time tokio tokio-util tower tower-http
    tracing-subscriber zstd
";

/// One `Cargo.toml` of a member.
#[derive(Debug)]
struct Manifest {
    /// The member's folder.
    member: String,
    /// The package's name.
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    /// The package's name, renames undone.
    package: String,
    for_tests: bool,
    line: usize,
}

fn parse(file: &TextFile) -> toml::Table {
    file.text
        .parse()
        .unwrap_or_else(|error| panic!("{} is no TOML: {error}", file.path))
}

/// The members that the root's manifest lists, each with the line's number and text.
fn member_lines(root: &TextFile) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in root.text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with("members") {
            inside = true;
        } else if inside && trimmed.starts_with(']') {
            break;
        } else if inside && trimmed.starts_with('"') {
            let member = trimmed.split('"').nth(1).unwrap_or_default();
            found.push((member.to_owned(), index + 1, trimmed.to_owned()));
        }
    }
    let listed = parse(root);
    let listed = listed["workspace"]["members"]
        .as_array()
        .expect("members is a list");
    assert_eq!(
        found.len(),
        listed.len(),
        "one member a line, please: {found:?}"
    );
    found
}

fn manifest(file: &TextFile, shared: &toml::Table) -> Manifest {
    let table = parse(file);
    let member = file.path.trim_end_matches("/Cargo.toml").to_owned();
    let name = table["package"]["name"]
        .as_str()
        .expect("a package has a name")
        .to_owned();
    let mut dependencies = dependencies_of(&table, file, shared);
    let targets = table.get("target").and_then(toml::Value::as_table);
    for target in targets.into_iter().flat_map(toml::Table::values) {
        let target = target.as_table().expect("a target is a table");
        dependencies.extend(dependencies_of(target, file, shared));
    }
    Manifest {
        member,
        name,
        dependencies,
    }
}

fn dependencies_of(table: &toml::Table, file: &TextFile, shared: &toml::Table) -> Vec<Dependency> {
    let mut found = Vec::new();
    for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
        let listed = table.get(section).and_then(toml::Value::as_table);
        for (key, value) in listed.into_iter().flatten() {
            let renamed = package_of(value).or_else(|| shared.get(key).and_then(package_of));
            found.push(Dependency {
                package: renamed.unwrap_or(key).to_owned(),
                for_tests: section == "dev-dependencies",
                line: line_of(&file.text, section, key),
            });
        }
    }
    found
}

fn package_of(value: &toml::Value) -> Option<&str> {
    value.get("package").and_then(toml::Value::as_str)
}

/// The line of a key below the header of its section; 1 where it is written in another way.
fn line_of(text: &str, section: &str, key: &str) -> usize {
    let header = |line: &str| line.trim().trim_end_matches(']').ends_with(section);
    let lines: Vec<&str> = text.lines().collect();
    let start = lines
        .iter()
        .position(|line| line.trim().starts_with('[') && header(line));
    let begins = |line: &str| {
        let rest = line.trim().trim_start_matches('"').strip_prefix(key);
        rest.is_some_and(|rest| rest.starts_with([' ', '.', '=', '"']))
    };
    let after = start.unwrap_or(0);
    lines
        .iter()
        .skip(after)
        .position(|line| begins(line))
        .map_or(1, |index| after + index + 1)
}

/// The rows of the table in its order: a member and what it may use.
fn rows(arrows: &str) -> Vec<(&str, Vec<&str>)> {
    let rows = arrows.lines().filter_map(|line| line.split_once(':'));
    rows.map(|(member, used)| (member.trim(), used.split_whitespace().collect()))
        .collect()
}

/// Rule: a member uses the members of its row and no other, and every member has a row.
fn arrow_faults(manifests: &[Manifest], arrows: &str) -> Vec<Fault> {
    let rows: BTreeMap<&str, Vec<&str>> = rows(arrows).into_iter().collect();
    let members: BTreeMap<&str, &str> = manifests
        .iter()
        .map(|one| (one.name.as_str(), one.member.as_str()))
        .collect();
    let mut faults = Vec::new();
    for one in manifests {
        let Some(allowed) = rows.get(one.member.as_str()) else {
            faults.push(fault(
                one,
                1,
                format!("the member `{}` has no row", one.member),
                "add its row to ARROWS in tests/tests/house/arrows.rs: what may it use?".to_owned(),
            ));
            continue;
        };
        for used in &one.dependencies {
            let Some(member) = members.get(used.package.as_str()) else {
                continue;
            };
            let for_tests = used.for_tests && ARROWS_OF_TESTS.contains(member);
            if !allowed.contains(member) && !for_tests {
                faults.push(fault(
                    one,
                    used.line,
                    format!("{} -> {member}", one.member),
                    format!(
                        "arrows are schema <- ledger <- replay <- services; {} may use {allowed:?}. \
                         Move the code to the room it belongs to, or pass a value or a trait in",
                        one.member
                    ),
                ));
            }
        }
    }
    faults
}

/// Rule: Kafka and RocksDB have one room each; pure members need no clock, no async, no C.
fn library_faults(manifests: &[Manifest]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for one in manifests {
        for used in &one.dependencies {
            let package = used.package.as_str();
            let keeper = KEPT_BY.iter().find(|(library, _)| *library == package);
            let denied = DENIED_TO_PURE
                .split_whitespace()
                .any(|name| name == package)
                || package.ends_with("-sys")
                || package.starts_with("async");
            if let Some((_, keeper)) = keeper.filter(|(_, keeper)| *keeper != one.member) {
                let instead = format!("only {keeper} knows it: use its trait");
                faults.push(fault(one, used.line, format!("`{package}`"), instead));
            } else if keeper.is_none() && denied && PURE.contains(&one.member.as_str()) {
                faults.push(fault(
                    one,
                    used.line,
                    format!("`{package}` in a pure crate"),
                    "clocks, async, randomness and C stay in the shells: pass the value in, or put \
                     the edge behind a small trait"
                        .to_owned(),
                ));
            }
        }
    }
    faults
}

fn fault(one: &Manifest, line: usize, found: String, instead: String) -> Fault {
    Fault {
        file: format!("{}/Cargo.toml", one.member),
        line,
        rule: "arrows",
        found,
        instead,
    }
}

/// Rule: each member is explained on its line of the root's manifest.
fn uncommented_members(root: &TextFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (member, line, text) in member_lines(root) {
        let comment = text
            .split_once('#')
            .map_or("", |(_, comment)| comment.trim());
        if comment.is_empty() {
            faults.push(Fault {
                file: root.path.clone(),
                line,
                rule: "a comment for each member",
                found: format!("`{member}` says nothing about itself"),
                instead: "write behind it what the room is for and what it must not know"
                    .to_owned(),
            });
        }
    }
    faults
}

fn root_manifest(files: &[TextFile]) -> &TextFile {
    files
        .iter()
        .find(|file| file.path == "Cargo.toml")
        .expect("the workspace's Cargo.toml")
}

/// Every manifest but the root's, read with the versions and renames that the root shares. A manifest with a workspace of
/// its own (fuzz targets, which need another compiler) is no member and builds nothing of ours.
fn manifests(files: &[TextFile]) -> Vec<Manifest> {
    let root = parse(root_manifest(files));
    let shared = root["workspace"]
        .get("dependencies")
        .and_then(toml::Value::as_table);
    let shared = shared.cloned().unwrap_or_default();
    let own_workspace =
        |file: &TextFile| file.text.lines().any(|line| line.trim() == "[workspace]");
    let is_member = |file: &&TextFile| file.path.ends_with("/Cargo.toml") && !own_workspace(file);
    files
        .iter()
        .filter(is_member)
        .map(|file| manifest(file, &shared))
        .collect()
}

#[test]
fn every_arrow_is_allowed() {
    let manifests = manifests(&text_files());
    assert!(
        manifests.len() >= 5,
        "too few manifests were found: {manifests:?}"
    );
    assert_none(&arrow_faults(&manifests, ARROWS));
}

#[test]
fn every_library_is_in_its_room() {
    assert_none(&library_faults(&manifests(&text_files())));
}

#[test]
fn every_member_has_a_comment() {
    assert_none(&uncommented_members(root_manifest(&text_files())));
}

#[test]
fn every_manifest_is_a_member() {
    let files = text_files();
    let members: Vec<String> = member_lines(root_manifest(&files))
        .into_iter()
        .map(|(member, ..)| member)
        .collect();
    for one in manifests(&files) {
        assert!(
            members.contains(&one.member),
            "{} is not in the root's members",
            one.member
        );
    }
}

#[test]
fn the_table_itself_points_down_only() {
    let rows = rows(ARROWS);
    assert!(rows.len() >= 5, "the table is read: {rows:?}");
    for (index, (member, used)) in rows.iter().enumerate() {
        for room in used {
            let place = rows.iter().position(|(name, _)| name == room);
            assert!(
                place.is_some_and(|place| place < index),
                "{member} -> {room} points up"
            );
        }
    }
}

/// A small workspace of two layers, with `extra` lines at the end of the lower one's manifest.
fn planted_workspace(extra: &str) -> Vec<Manifest> {
    let root = "[workspace]\nmembers = [\n  \"schema\", # nouns\n  \"ledger\", # log\n]\n\
                [workspace.dependencies]\norebook-ledger = { path = \"ledger\" }\n\
                odd = { package = \"orebook-ledger\", path = \"ledger\" }\n";
    let schema = format!("[package]\nname = \"orebook-schema\"\n{extra}");
    let ledger = "[package]\nname = \"orebook-ledger\"\n[dependencies]\norebook-schema = \"1\"\n";
    let store = "[package]\nname = \"orebook-sim\"\n";
    manifests(&[
        planted("Cargo.toml", root),
        planted("schema/Cargo.toml", &schema),
        planted("ledger/Cargo.toml", ledger),
        planted("tests/sim/Cargo.toml", store),
    ])
}

#[test]
fn planted_arrows_up_are_found_in_every_section() {
    for extra in [
        "[dependencies]\norebook-ledger.workspace = true",
        "[dependencies]\norebook-ledger = { path = \"../ledger\" }",
        "[dependencies.orebook-ledger]\nworkspace = true",
        "[build-dependencies]\norebook-ledger.workspace = true",
        "[dev-dependencies]\norebook-ledger.workspace = true",
        "[target.'cfg(unix)'.dependencies]\norebook-ledger.workspace = true",
        "[dependencies]\nodd.workspace = true",
        "[dependencies]\nother = { package = \"orebook-ledger\", version = \"1\" }",
        "[dependencies]\norebook-sim.workspace = true",
    ] {
        let faults = arrow_faults(&planted_workspace(extra), ARROWS);
        assert_eq!(faults.len(), 1, "{extra}: {faults:?}");
        assert_eq!(faults[0].file, "schema/Cargo.toml");
    }
    let faults = arrow_faults(
        &planted_workspace("[dependencies]\nsha2 = \"1\"\norebook-ledger.workspace = true"),
        ARROWS,
    );
    assert_eq!(faults[0].line, 5, "{faults:?}");
}

#[test]
fn arrows_down_and_the_simulator_in_tests_are_no_fault() {
    let extra = "[dependencies]\nsha2 = \"1\"\n[dev-dependencies]\norebook-sim.workspace = true";
    assert_eq!(arrow_faults(&planted_workspace(extra), ARROWS), []);
}

#[test]
fn a_planted_member_without_a_row_is_found() {
    let faults = arrow_faults(&planted_workspace(""), "schema:\nledger: schema\n");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].found.contains("tests/sim"));
}

#[test]
fn planted_libraries_out_of_their_room_are_found() {
    for library in [
        "rdkafka",
        "rocksdb",
        "tokio",
        "axum",
        "rand",
        "zstd-sys",
        "async-trait",
    ] {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let extra = format!("[{section}]\n{library} = \"1\"");
            let faults = library_faults(&planted_workspace(&extra));
            assert_eq!(faults.len(), 1, "{library} in {section}: {faults:?}");
        }
    }
}

#[test]
fn libraries_in_their_room_are_no_fault() {
    let text =
        "[package]\nname = \"orebook-kafka\"\n[dependencies]\nrdkafka = \"1\"\ntokio = \"1\"";
    let kafka = manifest(
        &planted("ledger/kafka/Cargo.toml", text),
        &toml::Table::new(),
    );
    assert_eq!(library_faults(&[kafka]), []);
    let near =
        "[dependencies]\nsha2 = \"1\"\nsync_wrapper = \"1\"\n[dev-dependencies]\nproptest = \"1\"";
    assert_eq!(library_faults(&planted_workspace(near)), []);
}

#[test]
fn a_planted_member_without_a_comment_is_found() {
    let text =
        "[workspace]\nmembers = [\n  \"schema\", # nouns\n  \"ledger\",\n  \"replay\", #\n]\n";
    let faults = uncommented_members(&planted("Cargo.toml", text));
    let lines: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [4, 5]);
}
