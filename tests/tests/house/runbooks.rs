//! Runbooks: each that the code names exists, each is named in the code and in the list, and says which test tries it.

use std::collections::BTreeSet;

use orebook_tests::{TextFile, text_files};

use crate::{Fault, assert_none, is_rust, is_test_file, planted};

/// Folder of the pages.
const PAGES: &str = "docs/runbooks/";
const PAGE_LIST: &str = "docs/runbooks/README.md";
/// A page is read in a hurry.
const PAGE_LINES_MAX: usize = 60;
/// What each page says, as its paragraphs begin.
const PARTS: [&str; 6] = [
    "**Shows.**",
    "**Lost.**",
    "**By itself.**",
    "**Do",
    "**Over when**",
    "**Tried by**",
];

fn fault(file: &str, line: usize, found: String, instead: &str) -> Fault {
    Fault {
        file: file.to_owned(),
        line,
        rule: "runbooks",
        found,
        instead: instead.to_owned(),
    }
}

fn is_page(file: &TextFile) -> bool {
    file.path.starts_with(PAGES) && file.path.ends_with(".md") && file.path != PAGE_LIST
}

/// Paths of pages that a line names.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(PAGES).filter_map(move |(at, _)| {
        let rest = &line[at..];
        let end = rest.find(".md")? + ".md".len();
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        let name = &rest[PAGES.len()..end - ".md".len()];
        (!name.is_empty() && name.bytes().all(is_name)).then(|| &rest[..end])
    })
}

fn code_faults(files: &[TextFile]) -> Vec<Fault> {
    let pages: BTreeSet<&str> = files
        .iter()
        .filter(|file| is_page(file))
        .map(|file| file.path.as_str())
        .collect();
    let mut faults = Vec::new();
    let mut in_code = BTreeSet::new();
    for file in files.iter().filter(|file| is_rust(file)) {
        // A test may name pages that it plants.
        let is_code = !is_test_file(&file.path);
        for (index, line) in file.text.lines().enumerate() {
            for page in named(line).filter(|_| is_code) {
                in_code.insert(page);
                if !pages.contains(page) {
                    let found = format!("{page} is named and does not exist");
                    faults.push(fault(
                        &file.path,
                        index + 1,
                        found,
                        "write it, or mend the name",
                    ));
                }
            }
        }
    }
    let list = files.iter().find(|file| file.path == PAGE_LIST);
    let list = list.map_or("", |list| list.text.as_str());
    for page in pages {
        if !in_code.contains(page) {
            let found = "no error, log line or alarm names it".to_owned();
            faults.push(fault(
                page,
                1,
                found,
                "name its path where an operator meets the cause",
            ));
        }
        let name = page.trim_start_matches(PAGES);
        if !list.contains(&format!("({name})")) {
            let found = format!("{name} is not in the list");
            faults.push(fault(PAGE_LIST, 1, found, "add a line that links to it"));
        }
    }
    faults
}

fn page_faults(files: &[TextFile]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let rust: Vec<&TextFile> = files.iter().filter(|file| is_rust(file)).collect();
    for page in files.iter().filter(|file| is_page(file)) {
        let lines = page.text.lines().count();
        if PAGE_LINES_MAX < lines {
            let found = format!("{lines} lines, {PAGE_LINES_MAX} are allowed");
            faults.push(fault(&page.path, PAGE_LINES_MAX + 1, found, "one page"));
        }
        for part in PARTS {
            if !page.text.contains(part) {
                let found = format!("no paragraph {part}");
                faults.push(fault(
                    &page.path,
                    1,
                    found,
                    "say it, if only that it is nothing",
                ));
            }
        }
        let tried = page.text.split("**Tried by**").nth(1).unwrap_or_default();
        let tests: Vec<&str> = tried.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            let found = "no test tries it".to_owned();
            faults.push(fault(
                &page.path,
                lines,
                found,
                "name the test functions in backticks",
            ));
        }
        for test in tests {
            let declared = format!("fn {test}(");
            if !rust.iter().any(|file| file.text.contains(&declared)) {
                let found = format!("`{test}` is no test");
                faults.push(fault(&page.path, lines, found, "mend the name"));
            }
        }
    }
    faults
}

#[test]
fn runbooks_are_named_where_they_are_needed_and_exist() {
    let files = text_files();
    let pages = files.iter().filter(|file| is_page(file)).count();
    assert!(12 <= pages, "{pages} runbooks");
    assert_none(&code_faults(&files));
    assert_none(&page_faults(&files));
}

#[test]
fn planted_missing_unnamed_unlisted_and_untried_runbooks_are_found() {
    let code = planted(
        "services/a/src/b.rs",
        "warn!(\"x; see docs/runbooks/one-thing.md\");\nfn it_is_tried() {}\n",
    );
    let list = planted(PAGE_LIST, "[one](one-thing.md)\n");
    let whole = format!("{}\n`it_is_tried`\n", PARTS.join("\n"));
    let page = planted("docs/runbooks/one-thing.md", &whole);
    let all = [code.clone(), list.clone(), page.clone()];
    assert_eq!((code_faults(&all), page_faults(&all)), (vec![], vec![]));
    assert_eq!(
        code_faults(&[code.clone(), list.clone()]).len(),
        1,
        "missing"
    );
    assert_eq!(
        code_faults(&[list.clone(), page.clone()]).len(),
        1,
        "unnamed"
    );
    assert_eq!(
        code_faults(&[code.clone(), page.clone()]).len(),
        1,
        "unlisted"
    );
    assert_eq!(page_faults(&[list.clone(), page]).len(), 1, "untried");
    for broken in [
        whole.replace("**Lost.**", ""),
        whole.replace("`it_is_tried`", ""),
        format!("{}{whole}", "x\n".repeat(PAGE_LINES_MAX)),
    ] {
        let page = planted("docs/runbooks/one-thing.md", &broken);
        assert_eq!(page_faults(&[code.clone(), page]).len(), 1, "{broken}");
    }
}
