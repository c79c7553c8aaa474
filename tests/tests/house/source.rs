//! Source files: their names, their sizes, and what no source says.

use orebook_tests::tokens::{Token, attributes, closing, paths, split_tests, tokens};
use orebook_tests::{TextFile, text_files};

use crate::{Fault, assert_none, is_rust, is_test_file, planted};

const LINES_MAX: usize = 800;
const SOURCE_ENDINGS: [&str; 3] = [".rs", ".py", ".ts"];
const EMPTY_NAMES: [&str; 5] = ["utils", "util", "helpers", "common", "misc"];

fn fault(file: &TextFile, line: usize, rule: &'static str, found: &str, instead: &str) -> Fault {
    let (found, instead) = (found.to_owned(), instead.to_owned());
    Fault {
        file: file.path.clone(),
        line,
        rule,
        found,
        instead,
    }
}

/// The file's name without its ending, for the languages that have rules.
fn source_name(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    SOURCE_ENDINGS
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
}

/// Rule: a file is named after what it does. A folder with such a name is one with `mod.rs`.
fn empty_names(file: &TextFile) -> Vec<Fault> {
    let Some(name) = source_name(&file.path) else {
        return Vec::new();
    };
    let folder = file.path.rsplit('/').nth(1).unwrap_or_default();
    let of_folder = ["mod", "index", "__init__"].contains(&name);
    if !EMPTY_NAMES.contains(if of_folder { &folder } else { &name }) {
        return Vec::new();
    }
    let instead = "name the file after what it does; what does several things is several files";
    vec![fault(
        file,
        1,
        "names that say something",
        &file.path,
        instead,
    )]
}

/// Rule: no source file over 800 lines.
fn long_files(file: &TextFile) -> Vec<Fault> {
    let lines = file.text.lines().count();
    if source_name(&file.path).is_none() || lines <= LINES_MAX {
        return Vec::new();
    }
    let found = format!("{lines} lines, {LINES_MAX} are allowed");
    let instead = "split it where it wants a second name; above 500 lines it usually does";
    vec![fault(file, LINES_MAX + 1, "file size", &found, instead)]
}

/// Rule: a lint is allowed or expected with a reason only, and no test is ignored.
fn bare_attributes(file: &TextFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !is_rust(file) {
        return faults;
    }
    let all = tokens(&file.text);
    for attribute in attributes(&all) {
        for (at, token) in attribute.iter().enumerate() {
            let opens = attribute.get(at + 1).is_some_and(|next| next.is_sign("("));
            if (token.is_word("allow") || token.is_word("expect")) && opens {
                let inside = &attribute[at + 1..closing(attribute, at + 1)];
                if !inside.iter().any(|word| word.is_word("reason")) {
                    let found = format!("`{}` without a reason", token.text);
                    let instead = "fix what the lint says, or add `reason = \"…\"`";
                    faults.push(fault(file, token.line, "reasons", &found, instead));
                }
            }
        }
        if ignores(attribute) {
            let instead = "make the test pass everywhere, or delete it: a test that does not run \
                           counts for nothing";
            faults.push(fault(
                file,
                attribute[0].line,
                "no skipped tests",
                "`#[ignore]`",
                instead,
            ));
        }
    }
    faults
}

/// `#[ignore]`, `#[ignore = "…"]` or `#[cfg_attr(…, ignore)]`.
fn ignores(attribute: &[Token<'_>]) -> bool {
    let conditional = attribute
        .first()
        .is_some_and(|token| token.is_word("cfg_attr"));
    let watched = if conditional {
        attribute
    } else {
        attribute.get(..1).unwrap_or_default()
    };
    watched.iter().any(|token| token.is_word("ignore"))
}

/// Rule: nothing is left to be done at run time.
fn unfinished(file: &TextFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !is_rust(file) {
        return faults;
    }
    for pair in tokens(&file.text).windows(2) {
        let named = pair[0].is_word("todo") || pair[0].is_word("unimplemented");
        if named && pair[1].is_sign("!") {
            let found = format!("`{}!`", pair[0].text);
            let instead = "write it, or return an error that the caller can handle";
            faults.push(fault(
                file,
                pair[0].line,
                "nothing unfinished",
                &found,
                instead,
            ));
        }
    }
    faults
}

/// Rule: tests do not sleep.
fn sleeping_tests(file: &TextFile) -> Vec<Fault> {
    if !is_rust(file) {
        return Vec::new();
    }
    let all = tokens(&file.text);
    let watched = if is_test_file(&file.path) {
        all
    } else {
        split_tests(&all).1
    };
    let sleeps = paths(&watched)
        .into_iter()
        .filter(|path| path.words.ends_with(&["thread", "sleep"]));
    let instead = "wait for the event itself: a channel with a limit, a line of output, an exit";
    sleeps
        .map(|path| {
            fault(
                file,
                path.line,
                "tests do not sleep",
                "`thread::sleep`",
                instead,
            )
        })
        .collect()
}

/// Rule: `unsafe` of our own lives in services/pow only.
fn unsafe_code(file: &TextFile) -> Vec<Fault> {
    if !is_rust(file) || file.path.starts_with("services/pow/") {
        return Vec::new();
    }
    let all = tokens(&file.text);
    let instead = "use a kept crate that offers it safely; only services/pow may be unsafe";
    let unsafe_words = all.iter().filter(|token| token.is_word("unsafe"));
    unsafe_words
        .map(|token| fault(file, token.line, "unsafe", "`unsafe`", instead))
        .collect()
}

type Rule = fn(&TextFile) -> Vec<Fault>;

fn check_project(rule: Rule) {
    let faults: Vec<Fault> = text_files().iter().flat_map(rule).collect();
    assert_none(&faults);
}

/// The rule finds each planted fault on line 2 of a file with this path.
fn assert_finds(rule: Rule, path: &str, faults: &[&str]) {
    for text in faults {
        let found = rule(&planted(path, &format!("//! Doc.\n{text}\n")));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(found[0].line, 2, "{text}");
    }
}

fn assert_passes(rule: Rule, path: &str, near_misses: &[&str]) {
    for text in near_misses {
        assert_eq!(rule(&planted(path, text)), [], "{path}: {text}");
    }
}

#[test]
fn every_file_has_a_name_that_says_something() {
    check_project(empty_names);
}

#[test]
fn planted_empty_names_are_found() {
    for path in [
        "ledger/src/utils.rs",
        "util.rs",
        "tests/helpers.py",
        "web/common.ts",
        "a/misc.rs",
    ] {
        assert_eq!(empty_names(&planted(path, "")).len(), 1, "{path}");
    }
    assert_eq!(
        empty_names(&planted("ledger/tests/common/mod.rs", "")).len(),
        1
    );
    for path in [
        "a/utility_bill.rs",
        "commons.rs",
        "util.toml",
        "docs/utils.md",
        "common/coin.rs",
    ] {
        assert_passes(empty_names, path, &[""]);
    }
}

#[test]
fn no_file_is_too_long() {
    check_project(long_files);
}

#[test]
fn a_planted_long_file_is_found() {
    let at_most = "x\n".repeat(LINES_MAX);
    let over = format!("{at_most}x\n");
    for path in ["a.rs", "a.py", "web/a.ts"] {
        assert_eq!(long_files(&planted(path, &over)).len(), 1, "{path}");
        assert_passes(long_files, path, &[&at_most]);
    }
    assert_passes(long_files, "schema/golden/events.txt", &[&over]);
}

#[test]
fn every_allowed_lint_has_a_reason_and_no_test_is_ignored() {
    check_project(bare_attributes);
}

#[test]
fn planted_bare_attributes_are_found() {
    let faults = [
        "#[allow(dead_code)] fn f() {}",
        "#![allow(clippy::unwrap_used)]",
        "#[expect(unused)] fn f() {}",
        "#[cfg_attr(test, allow(dead_code))] fn f() {}",
        "#[test] #[ignore] fn f() {}",
        "#[ignore = \"slow\"] fn f() {}",
        "#[cfg_attr(miri, ignore)] fn f() {}",
    ];
    assert_finds(bare_attributes, "ledger/src/frame.rs", &faults);
}

#[test]
fn reasons_and_words_in_texts_are_no_fault() {
    let near_misses = [
        "#[allow(dead_code, reason = \"kept for the next format\")] fn f() {}",
        "#![allow(\n    clippy::panic,\n    reason = \"tests\"\n)]",
        "// #[allow(dead_code)] and #[ignore]\nconst S: &str = \"#[allow(x)] #[ignore]\";",
        "fn f() { value.expect(\"set\"); self.allow(peer); ignore(x); }",
        "#[derive(Debug)] #[doc = \"ignore\"] struct Ignore;",
    ];
    assert_passes(bare_attributes, "ledger/src/frame.rs", &near_misses);
}

#[test]
fn nothing_is_unfinished() {
    check_project(unfinished);
}

#[test]
fn planted_unfinished_code_is_found() {
    assert_finds(
        unfinished,
        "schema/src/a.rs",
        &["fn f() { todo!() }", "unimplemented!(\"x\");"],
    );
    let near_misses = [
        "// todo!()\nlet todo = \"todo!()\"; if todo != x {}",
        "my_todo!();",
    ];
    assert_passes(unfinished, "schema/src/a.rs", &near_misses);
}

#[test]
fn no_test_sleeps() {
    check_project(sleeping_tests);
}

#[test]
fn planted_sleeps_are_found() {
    let sleeps = [
        "std::thread::sleep(x);",
        "use std::thread::sleep;",
        "thread::sleep(x);",
    ];
    assert_finds(sleeping_tests, "ledger/tests/spool.rs", &sleeps);
    assert_finds(
        sleeping_tests,
        "tests/sim/src/world.rs",
        &["use std::thread::{spawn, sleep};"],
    );
    let within = ["#[cfg(test)] mod tests { fn t() { thread::sleep(x); } }"];
    assert_finds(sleeping_tests, "services/gateway/src/a.rs", &within);
    let near_misses = [
        "fn f() { thread::sleep(x); }",
        "// thread::sleep\nlet s = \"thread::sleep\";",
    ];
    assert_passes(sleeping_tests, "services/gateway/src/a.rs", &near_misses);
    assert_passes(sleeping_tests, "tests/tests/a.rs", &near_misses[1..]);
}

#[test]
fn unsafe_code_is_in_its_room() {
    check_project(unsafe_code);
}

#[test]
fn planted_unsafe_code_is_found() {
    let faults = ["unsafe { f() }", "unsafe impl Send for X {}"];
    assert_finds(unsafe_code, "ledger/src/disk/real.rs", &faults);
    assert_passes(unsafe_code, "services/pow/src/simd.rs", &faults);
    let near_misses = ["// unsafe\n#![forbid(unsafe_code)] const S: &str = \"unsafe { }\";"];
    assert_passes(unsafe_code, "ledger/src/disk/real.rs", &near_misses);
}
