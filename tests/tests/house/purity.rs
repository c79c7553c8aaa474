//! Purity: what a pure crate computes depends on its arguments and on nothing else.

use orebook_tests::tokens::{Kind, Path, Token, paths, tokens};
use orebook_tests::{TextFile, text_files};

use crate::{Fault, assert_none, is_rust, planted};

/// Folders of pure source; `true` where work and money live, so that floats are out as well.
const PURE_SOURCES: [(&str, bool); 5] = [
    ("schema/src/", true),
    ("ledger/src/", true),
    ("replay/src/", true),
    ("services/pow/src/", false),
    ("services/stratum/src/", false),
];

/// The one file of a pure crate that touches the world, behind the trait `Disk`.
const EDGES: [&str; 1] = ["ledger/src/disk/real.rs"];

const TAKE_TIME: &str = "take the time as an argument; in the ledger it is the frame's";
const TAKE_BYTES: &str = "take the random bytes or the seed as an argument";
const SORTED: &str =
    "use BTreeMap or BTreeSet, or a sorted Vec: hash order differs from run to run";
const SHELL: &str = "leave it to a shell in services/ and pass the value in";
const DISK: &str = "go through the trait Disk; only ledger/src/disk/real.rs touches files";
const INTEGERS: &str = "count in integers; rules.md 1 names the units";

const WORDS: [(&str, &str); 10] = [
    ("SystemTime", TAKE_TIME),
    ("Instant", TAKE_TIME),
    ("HashMap", SORTED),
    ("HashSet", SORTED),
    ("rand", TAKE_BYTES),
    ("getrandom", TAKE_BYTES),
    ("thread_rng", TAKE_BYTES),
    ("OsRng", TAKE_BYTES),
    ("now_v7", TAKE_BYTES),
    ("new_v4", TAKE_BYTES),
];

const MODULES: [(&str, &str); 5] = [
    ("time", TAKE_TIME),
    ("env", SHELL),
    ("thread", SHELL),
    ("fs", DISK),
    ("net", SHELL),
];

/// `Some(floats are out too)` for pure source.
fn purity(path: &str) -> Option<bool> {
    if EDGES.contains(&path) {
        return None;
    }
    PURE_SOURCES
        .iter()
        .find(|(folder, _)| path.starts_with(folder))
        .map(|(_, integers)| *integers)
}

/// Rule: pure source names no clock, randomness, environment, thread, IO, hash order; nor floats.
fn impurities(file: &TextFile) -> Vec<Fault> {
    let Some(integers_only) = purity(&file.path).filter(|_| is_rust(file)) else {
        return Vec::new();
    };
    let all = tokens(&file.text);
    let mut found: Vec<(usize, String, &str)> = Vec::new();
    for token in &all {
        if let Some((word, instead)) = WORDS.iter().find(|(word, _)| token.is_word(word)) {
            found.push((token.line, (*word).to_owned(), instead));
        }
        if integers_only && is_float(token) {
            found.push((token.line, token.text.to_owned(), INTEGERS));
        }
    }
    for path in paths(&all) {
        if let Some(instead) = impure_module(&path) {
            found.push((path.line, path.words.join("::"), instead));
        }
    }
    let fault = |(line, found, instead): (usize, String, &str)| Fault {
        file: file.path.clone(),
        line,
        rule: "pure crates",
        found: format!("`{found}`"),
        instead: instead.to_owned(),
    };
    found.into_iter().map(fault).collect()
}

fn is_float(token: &Token<'_>) -> bool {
    let text = token.text;
    match token.kind {
        Kind::Word => text == "f32" || text == "f64",
        Kind::Number => {
            let hexadecimal = text.starts_with("0x");
            text.contains('.') || (!hexadecimal && (text.ends_with("f32") || text.ends_with("f64")))
        }
        Kind::Literal | Kind::Lifetime | Kind::Sign => false,
    }
}

fn impure_module(path: &Path<'_>) -> Option<&'static str> {
    let &["std", module, ref rest @ ..] = path.words.as_slice() else {
        return None;
    };
    // An amount of time and an address are values; clocks and sockets are not.
    let is_value = match module {
        "time" => rest.first() == Some(&"Duration"),
        "net" => matches!(rest.first(), Some(&("IpAddr" | "Ipv4Addr" | "Ipv6Addr"))),
        _ => false,
    };
    if is_value {
        return None;
    }
    MODULES
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, instead)| *instead)
}

#[test]
fn pure_crates_are_pure() {
    let files = text_files();
    for folder in ["schema/src/", "ledger/src/"] {
        let seen = files
            .iter()
            .any(|file| is_rust(file) && file.path.starts_with(folder));
        assert!(seen, "no source was found in {folder}");
    }
    let faults: Vec<Fault> = files.iter().flat_map(impurities).collect();
    assert_none(&faults);
}

#[test]
fn planted_impurities_are_found() {
    for planted_fault in [
        "use std::time::SystemTime;",
        "use std::time::{Duration, UNIX_EPOCH};",
        "use std::time;",
        "fn f(now: Instant) {}",
        "let seen: HashMap<u8, u8> = x;",
        "use std::collections::HashSet;",
        "use std::{fmt, env};",
        "let home = std::env::var(\"HOME\");",
        "let home = ::std::env::var(\"HOME\");",
        "std::thread::spawn(f);",
        "use std::{io, fs::File};",
        "use std::net::*;",
        "use std::net::{IpAddr, TcpStream};",
        "use rand::Rng;",
        "let id = Uuid::now_v7();",
        "let share = a as f64;",
        "let half = 0.5;",
        "let one = 1f32;",
    ] {
        let text = format!("//! Doc.\n{planted_fault}\n");
        let faults = impurities(&planted("ledger/src/frame.rs", &text));
        assert!(!faults.is_empty(), "not found: {planted_fault}");
        assert!(faults.iter().all(|fault| fault.line == 2), "{faults:?}");
    }
}

#[test]
fn words_in_comments_strings_and_longer_words_are_no_fault() {
    let text = "// SystemTime, HashMap, f64 and std::fs are out.\n\
                /* std::env */ const WHY: &str = \"no HashMap, no std::thread, 0.5 f64\";\n\
                use std::time::Duration; use core::time::Duration as Span; use std::{fmt, io};\n\
                use std::net::{IpAddr, Ipv4Addr}; struct InstantPayout; fn operand(brand: u8) { let timeline = pair.0.1; }\n\
                let x = 0xf64; let r = 0..5; crate::time::clamp(env.fs, net);";
    assert_eq!(impurities(&planted("schema/src/event.rs", text)), []);
}

#[test]
fn shells_edges_tests_and_floats_of_protocols_are_no_fault() {
    let text = "use std::fs; use std::collections::HashMap; use std::time::Instant;";
    for path in [
        "ledger/src/disk/real.rs",
        "ledger/tests/spool.rs",
        "ledger/kafka/src/lib.rs",
        "replay/store/src/lib.rs",
        "services/gateway/src/lib.rs",
        "schema/README.md",
    ] {
        assert_eq!(impurities(&planted(path, text)), [], "{path}");
    }
    assert_eq!(
        impurities(&planted(
            "services/stratum/src/line.rs",
            "let d: f64 = 0.5;"
        )),
        []
    );
    assert_ne!(
        impurities(&planted("services/stratum/src/line.rs", text)),
        []
    );
}
