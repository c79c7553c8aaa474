//! The matrix of edges: each cell names a test that exists, or says why there is none.

use std::collections::BTreeSet;

use orebook_tests::{TextFile, text_files};

use crate::{Fault, assert_none, is_rust, planted};

/// The matrix.
const MATRIX: &str = "tests/edges.md";
/// How a cell begins that says why it has no test.
const NONE: &str = "none: ";

/// Names of all tests.
fn tests(files: &[TextFile]) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for file in files.iter().filter(|file| is_rust(file)) {
        let mut is_test = false;
        for line in file.text.lines().map(str::trim) {
            if line == "#[test]" {
                is_test = true;
            } else if let Some(rest) = line.strip_prefix("fn ") {
                if is_test && let Some((name, _)) = rest.split_once('(') {
                    names.insert(name);
                }
                is_test = false;
            }
        }
    }
    names
}

fn faults(files: &[TextFile]) -> Vec<Fault> {
    let tests = tests(files);
    let mut faults = Vec::new();
    let mut cells = 0;
    for file in files.iter().filter(|file| file.path == MATRIX) {
        let mut fault = |index: usize, found: &str, instead: &str| {
            faults.push(Fault {
                file: file.path.clone(),
                line: index + 1,
                rule: "edges",
                found: found.to_owned(),
                instead: instead.to_owned(),
            });
        };
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let is_head = lines
                .get(index + 1)
                .is_some_and(|next| next.starts_with("|--"));
            let Some(row) = line.strip_prefix('|').filter(|_| !is_head) else {
                continue;
            };
            if row.starts_with("--") {
                continue;
            }
            for cell in row.trim_end_matches('|').split('|').skip(1) {
                cells += 1;
                let cell = cell.trim();
                if cell.strip_prefix(NONE).is_some_and(|why| !why.is_empty()) {
                    continue;
                }
                let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
                if named.is_empty() {
                    fault(
                        index,
                        cell,
                        "name a test, or say why there is none: `none: …`",
                    );
                }
                for name in named.iter().filter(|name| !tests.contains(*name)) {
                    fault(index, name, "no test has this name");
                }
            }
        }
    }
    if cells == 0 {
        faults.push(Fault {
            file: MATRIX.to_owned(),
            line: 1,
            rule: "edges",
            found: "no cell".to_owned(),
            instead: "the matrix of edges is a table".to_owned(),
        });
    }
    faults
}

#[test]
fn each_edge_has_a_test_or_a_reason() {
    let code = planted(
        "a/tests/a.rs",
        "#[test]\nfn it_holds() {}\nfn helper() {}\n",
    );
    let table = |row: &str| {
        let text = format!("# Edges\n\n| Edge | Failed | Happened |\n|---|---|---|\n{row}\n");
        faults(&[code.clone(), planted(MATRIX, &text)])
    };
    assert_none(&table(
        "| x | `it_holds` | none: a question changes nothing |",
    ));
    for (row, found) in [
        ("| x | `it_hold` | `it_holds` |", "it_hold"),
        ("| x | `helper` | `it_holds` |", "helper"),
        ("| x |  | `it_holds` |", ""),
        ("| x | none: | `it_holds` |", "none:"),
    ] {
        let found_faults = table(row);
        assert_eq!(found_faults.len(), 1, "{row}");
        assert_eq!(found_faults[0].found, found, "{row}");
    }
    assert_eq!(faults(&[code]).len(), 1, "a matrix that is gone");
    assert_none(&faults(&text_files()));
}
