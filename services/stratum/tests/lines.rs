//! Any line: the stored corpus, which `services/stratum/fuzz/make_corpus.py` wrote, and generated ones, through the entry
//! point of the fuzz target. An input that a fuzzer finds is added by hand as `any-found-….bin`, and stays.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../fuzz/entry.rs"]
mod entry;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use entry::{Outcome, USERS, fuzz_line};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

/// Inputs of the corpus, by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/line");
    let files = fs::read_dir(folder).expect("the corpus is checked in");
    let mut inputs: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("it is read"))
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn the_corpus_is_understood_as_its_names_say() {
    let inputs = corpus();
    assert!(200 <= inputs.len(), "{} inputs, too few", inputs.len());
    let mut seen: BTreeMap<Outcome, usize> = BTreeMap::new();
    for (name, line) in inputs {
        let outcome = fuzz_line(&line);
        let expected = match name.split('-').next().unwrap_or_default() {
            "submit" => Outcome::Submit,
            "asked" => Outcome::Asked,
            "answered" => Outcome::Answered,
            "silent" => Outcome::Silent,
            "refused" => Outcome::Refused,
            "closed" => Outcome::Closed,
            "any" => outcome,
            other => panic!("{name}: what is {other}?"),
        };
        assert_eq!(outcome, expected, "{name}: {}", line.escape_ascii());
        *seen.entry(outcome).or_default() += 1;
    }
    assert_eq!(seen.len(), 6, "every outcome comes: {seen:?}");
}

#[test]
fn every_prefix_and_every_changed_byte_of_a_share_is_read_the_same_by_both() {
    let shares = corpus()
        .into_iter()
        .filter(|(name, line)| name.starts_with("submit") && line.len() < 200);
    let mut count = 0;
    for (_, line) in shares {
        for cut in 0..line.len() {
            fuzz_line(line.get(..cut).expect("a prefix"));
        }
        for at in 0..line.len() {
            for wrong in [0, b' ', b'"', b'\\', b'0', b'}', 0x80, 0xff] {
                let mut changed = line.clone();
                *changed.get_mut(at).expect("a byte") = wrong;
                fuzz_line(&changed);
            }
        }
        count += 1;
    }
    assert!(30 <= count, "{count} shares");
}

/// A token of a submit, as a rule a good one.
fn value(good: &'static str) -> impl Strategy<Value = String> {
    let bad = select(vec![
        "\"\"",
        "null",
        "5",
        "[]",
        "{}",
        "true",
        "\"\\u0041\"",
        "\"\u{e4}\"",
        "\"0x1\"",
        "\"zzzzzzzz\"",
        "\"FFFFFFFF\"",
        "\"00000000\"",
        "\"1fffe000\"",
        "\"00006000\"",
        "1.5e3",
        "-0",
        "\"a\nb\"",
    ]);
    prop_oneof![
        60 => Just(good.to_owned()),
        1 => bad.prop_map(str::to_owned),
        1 => "\"[0-9a-fA-F]{0,10}\"",
    ]
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![200 => Just(""), 60 => Just(" "), 30 => Just("\t"), 30 => Just("\r\n "), 1 => Just("\u{b}")]
}

/// A submit as clients write it, and as they should not: keys in any order, missing, repeated, unknown.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let user = prop_oneof![30 => select(USERS.map(|user| format!("\"{user}\"")).to_vec()), 1 => value("\"no.body\"")];
    let params = (
        user,
        value("\"1f\""),
        value("\"0a0b0c0d\""),
        value("\"6b011d6c\""),
        value("\"8d000000\""),
        vec(value("\"00006000\""), 0..3),
        0_usize..20,
        space(),
    )
        .prop_map(
            |(user, job, extranonce2, ntime, nonce, more, keep, space)| {
                let mut all = vec![user, job, extranonce2, ntime, nonce];
                all.extend(more);
                // As a rule all of them.
                all.truncate(keep.max(if keep < 4 { 0 } else { 8 }));
                format!("[{}]", all.join(&format!("{space},{space}")))
            },
        );
    let key = select(vec![
        "\"id\"",
        "\"id\"",
        "\"method\"",
        "\"params\"",
        "\"x\"",
        "\"result\"",
        "\"m\\u0065thod\"",
        "id",
    ]);
    let extra = prop_oneof![3 => Just(Vec::new()), 1 => vec((key, value("4")), 1..3)];
    (
        value("4"),
        value("\"mining.submit\""),
        params,
        extra,
        any::<[Index; 4]>(),
        vec(space(), 8),
    )
        .prop_map(|(id, method, params, extra, order, spaces)| {
            let mut members = vec![
                ("\"id\"", id),
                ("\"method\"", method),
                ("\"params\"", params),
            ];
            members.extend(extra);
            for (at, with) in order.iter().enumerate() {
                let len = members.len();
                members.swap(at.min(len - 1), with.index(len));
            }
            let mut spaces = spaces.into_iter().cycle();
            let mut space = || spaces.next().unwrap_or_default();
            let members: Vec<String> = members
                .into_iter()
                .map(|(key, value)| {
                    format!("{}{key}{}:{}{value}{}", space(), space(), space(), space())
                })
                .collect();
            format!("{}{{{}}}{}", space(), members.join(","), space()).into_bytes()
        })
}

fn check(cases: u32, lines: &impl Strategy<Value = Vec<u8>>) -> BTreeMap<Outcome, u32> {
    let seen: Cell<BTreeMap<Outcome, u32>> = Cell::default();
    // A failure prints the smallest line that shows it; that one belongs into the corpus.
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(lines, |line| {
        let outcome = fuzz_line(&line);
        let mut counts = seen.take();
        *counts.entry(outcome).or_default() += 1;
        seen.set(counts);
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
    seen.into_inner()
}

#[test]
fn generated_submits_are_read_the_same_by_both() {
    let seen = check(20_000, &line());
    for outcome in [Outcome::Submit, Outcome::Refused] {
        assert!(2_000 < seen.get(&outcome).copied().unwrap_or(0), "{seen:?}");
    }
}

#[test]
fn any_bytes_are_answered_or_ignored() {
    check(5_000, &vec(any::<u8>(), 0..200));
}

#[test]
fn generated_submits_with_changed_bytes_are_read_the_same_by_both() {
    let changes = vec((any::<Index>(), any::<u8>()), 1..4);
    let lines = (line(), changes).prop_map(|(mut line, changes)| {
        for (index, byte) in changes {
            let at = index.index(line.len());
            *line.get_mut(at).expect("a byte") = byte;
        }
        line
    });
    let seen = check(10_000, &lines);
    assert!(
        seen.contains_key(&Outcome::Submit),
        "some changes do not matter: {seen:?}"
    );
}
