//! The house rules, as tests. Each rule is a function over paths and texts; beside it stand a planted
//! fault that it must find, a near miss that it must not, and the test over the project itself.
//!
//! - `house/arrows.rs`: who may depend on whom, workspace and third party; a comment per member.
//! - `house/purity.rs`: no clock, randomness, environment, thread, IO, hash order or float where it is pure.
//! - `house/sequences.rs`: sequence numbers are compared in `ledger/` only.
//! - `house/source.rs`: file names and sizes, allowed lints with reasons, skipped tests, `unsafe`.
//! - `house/documents.rs`: what CI runs, host names and machine paths, decision records.
//! - `house/edges.rs`: each cell of the matrix of edges names a test, or says why there is none.
//! - `house/features.rs`: every suite builds every library with the same features.
//! - `house/runbooks.rs`: runbooks exist, are named by errors and logs, and say which test tries them.
//!
//! A rule that stands in the way: fix the code first. If the rule is wrong, change it here with an ADR.

#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a rule stops at the first surprise and says which"
)]

#[path = "house/arrows.rs"]
mod arrows;
#[path = "house/documents.rs"]
mod documents;
#[path = "house/edges.rs"]
mod edges;
#[path = "house/features.rs"]
mod features;
#[path = "house/purity.rs"]
mod purity;
#[path = "house/runbooks.rs"]
mod runbooks;
#[path = "house/sequences.rs"]
mod sequences;
#[path = "house/source.rs"]
mod source;

use std::fmt;

use orebook_tests::TextFile;

/// One broken rule at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    file: String,
    line: usize,
    rule: &'static str,
    found: String,
    instead: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault {
            file,
            line,
            rule,
            found,
            instead,
        } = self;
        write!(
            out,
            "{file}:{line}: {rule}: {found}\n    instead: {instead}"
        )
    }
}

/// Fails with every fault on its own lines.
fn assert_none(faults: &[Fault]) {
    let report: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert!(
        faults.is_empty(),
        "{} broken house rules\n{}",
        faults.len(),
        report.join("\n")
    );
}

/// A file of the project that exists only in a test.
fn planted(path: &str, text: &str) -> TextFile {
    TextFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn is_rust(file: &TextFile) -> bool {
    file.path.ends_with(".rs")
}

/// Does the file lie below a folder `tests/` of the project or of a crate?
fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/")
}

#[test]
fn a_report_names_file_line_rule_and_what_to_do() {
    let fault = Fault {
        file: "a/b.rs".to_owned(),
        line: 7,
        rule: "no floats",
        found: "`f64`".to_owned(),
        instead: "count in integers".to_owned(),
    };
    let report = fault.to_string();
    for part in [
        "a/b.rs:7:",
        "no floats",
        "`f64`",
        "instead: count in integers",
    ] {
        assert!(report.contains(part), "{part} is missing in {report}");
    }
}
