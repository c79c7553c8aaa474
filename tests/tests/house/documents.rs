//! Documents and plumbing: what CI runs, where things come from, decision records.

use orebook_tests::{TextFile, text_files};

use crate::{Fault, assert_none, planted};

const RECORD_LINES_MAX: usize = 60;
const RECORDS: &str = "docs/adr/";
const RECORD_LIST: &str = "docs/adr/README.md";

/// Hosts of package registries and mirrors, in parts so that this file does not name them.
const HOSTS: [&[&str]; 14] = [
    &["crates", "io"],
    &["npmjs", "org"],
    &["npmjs", "com"],
    &["pypi", "org"],
    &["pythonhosted", "org"],
    &["proxy", "golang", "org"],
    &["sum", "golang", "org"],
    &["repo1", "maven", "org"],
    &["repo", "maven", "apache", "org"],
    &["maven", "google", "com"],
    &["deb", "debian", "org"],
    &["security", "debian", "org"],
    &["archive", "ubuntu", "com"],
    &["rubygems", "org"],
];

/// Folders of the machine this was written on, in parts for the same reason.
const MACHINE_FOLDERS: [&[&str]; 2] = [&["", "work", ""], &["", "root", ""]];

/// Rule: CI runs what people run.
fn ci_faults(files: &[TextFile]) -> Vec<Fault> {
    let script = files.iter().find(|file| file.path == ".ci/run");
    let is_command = |line: &str| !line.trim_start().starts_with('#');
    let calls = |line: &str| is_command(line) && line.contains("./orebook test");
    if script.is_some_and(|script| script.text.lines().any(calls)) {
        return Vec::new();
    }
    vec![Fault {
        file: ".ci/run".to_owned(),
        line: 1,
        rule: "CI runs what people run",
        found: "no call of ./orebook test".to_owned(),
        instead: "end it with `exec ./orebook test`; steps belong into suites of ./orebook"
            .to_owned(),
    }]
}

/// Rule: no registry's host and no folder of one machine is written down.
fn foreign_places(file: &TextFile) -> Vec<Fault> {
    let mut faults = Vec::new();
    let hosts: Vec<String> = HOSTS.iter().map(|parts| parts.join(".")).collect();
    let folders: Vec<String> = MACHINE_FOLDERS
        .iter()
        .map(|parts| parts.join("/"))
        .collect();
    for (index, line) in file.text.lines().enumerate() {
        let text = without_index_name(&file.path, line);
        for host in hosts.iter().filter(|host| names_host(&text, host)) {
            let instead = "leave it to the client's own configuration, so that mirrors work";
            faults.push(place_fault(file, index + 1, host, instead));
        }
        for folder in folders.iter().filter(|folder| names_folder(&text, folder)) {
            let instead = "derive it from the script's own place, or take it as an argument";
            faults.push(place_fault(file, index + 1, folder, instead));
        }
    }
    faults
}

fn place_fault(file: &TextFile, line: usize, place: &str, instead: &str) -> Fault {
    let (found, instead) = (format!("`{place}`"), instead.to_owned());
    Fault {
        file: file.path.clone(),
        line,
        rule: "no foreign places",
        found,
        instead,
    }
}

/// Cargo.lock names cargo's default index on each `source` line; mirrors replace it by configuration.
fn without_index_name(path: &str, line: &str) -> String {
    if path.rsplit('/').next() != Some("Cargo.lock") || !line.starts_with("source = ") {
        return line.to_lowercase();
    }
    let index = format!("https://github.com/rust-lang/{}-index", HOSTS[0].join("."));
    line.replace(&index, "").to_lowercase()
}

/// Is the host, or a host below it, in the text as a name of its own?
fn names_host(text: &str, host: &str) -> bool {
    let joins = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.match_indices(host).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + host.len()..].chars().next();
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

/// Does the text have the folder as an absolute path?
fn names_folder(text: &str, folder: &str) -> bool {
    let continues = |c: char| c.is_ascii_alphanumeric() || ".~_-})*>".contains(c);
    text.match_indices(folder)
        .any(|(at, _)| !text[..at].chars().next_back().is_some_and(continues))
}

/// Rule: a decision fits a page, and the list names every record and nothing else.
fn record_faults(files: &[TextFile]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let list = files.iter().find(|file| file.path == RECORD_LIST);
    let list_text = list.map_or("", |file| file.text.as_str());
    let records = files.iter().filter(|file| {
        file.path.starts_with(RECORDS) && file.path.ends_with(".md") && file.path != RECORD_LIST
    });
    let mut names = Vec::new();
    for record in records {
        let name = record.path.trim_start_matches(RECORDS);
        names.push(name);
        let lines = record.text.lines().count();
        if lines > RECORD_LINES_MAX {
            let found = format!("{lines} lines, {RECORD_LINES_MAX} are allowed");
            let instead = "context, decision, consequences, what would change our mind: one page";
            faults.push(record_fault(
                &record.path,
                RECORD_LINES_MAX + 1,
                found,
                instead,
            ));
        }
        if !list_text.contains(&format!("({name})")) {
            let found = format!("{name} is not in the list");
            faults.push(record_fault(
                RECORD_LIST,
                1,
                found,
                "add a line that links to it",
            ));
        }
    }
    for (index, line) in list_text.lines().enumerate() {
        for linked in line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if linked.ends_with(".md") && !linked.contains('/') && !names.contains(&linked) {
                let found = format!("{linked} does not exist");
                faults.push(record_fault(RECORD_LIST, index + 1, found, "mend the link"));
            }
        }
    }
    faults
}

fn record_fault(file: &str, line: usize, found: String, instead: &str) -> Fault {
    let instead = instead.to_owned();
    Fault {
        file: file.to_owned(),
        line,
        rule: "decision records",
        found,
        instead,
    }
}

#[test]
fn ci_runs_what_people_run() {
    assert_none(&ci_faults(&text_files()));
}

#[test]
fn a_planted_other_ci_is_found() {
    assert_eq!(ci_faults(&[]).len(), 1);
    assert_eq!(
        ci_faults(&[planted(
            ".ci/run",
            "#!/bin/sh\n# ./orebook test\ncargo test\n"
        )])
        .len(),
        1
    );
    assert_eq!(
        ci_faults(&[planted(".ci/run", "#!/bin/sh\nexec ./orebook test\n")]),
        []
    );
}

#[test]
fn no_registry_and_no_machine_is_named() {
    let faults: Vec<Fault> = text_files().iter().flat_map(foreign_places).collect();
    assert_none(&faults);
}

#[test]
fn planted_places_are_found() {
    for parts in HOSTS {
        let host = parts.join(".");
        for text in [
            host.clone(),
            format!("see https://index.{host}/x"),
            host.to_uppercase(),
        ] {
            let faults = foreign_places(&planted("docs/a.md", &format!("\n{text}\n")));
            assert!(
                faults.iter().any(|fault| fault.line == 2),
                "{text}: {faults:?}"
            );
        }
    }
    for parts in MACHINE_FOLDERS {
        let folder = parts.join("/");
        for text in [
            format!("{folder}x"),
            format!("cd \"{folder}\""),
            format!("file://{folder}"),
        ] {
            assert_eq!(
                foreign_places(&planted("orebook", &text)).len(),
                1,
                "{text}"
            );
        }
    }
}

#[test]
fn a_lock_file_s_index_is_no_fault_and_another_host_in_it_is() {
    let host = HOSTS[0].join(".");
    let source = format!("source = \"registry+https://github.com/rust-lang/{host}-index\"");
    assert_eq!(foreign_places(&planted("Cargo.lock", &source)), []);
    let other = format!("source = \"registry+https://index.{host}/\"");
    assert_eq!(foreign_places(&planted("Cargo.lock", &other)).len(), 1);
}

#[test]
fn names_that_only_look_like_places_are_no_fault() {
    let text = format!(
        "my{} {}x crates-io ~/work/a ../work/b services/work/c $HOME/root/d {{x}}/root/e /workspace/",
        HOSTS[0].join("."),
        HOSTS[3].join("."),
    );
    assert_eq!(foreign_places(&planted("docs/a.md", &text)), []);
}

#[test]
fn decision_records_are_short_and_listed() {
    let files = text_files();
    let records = files
        .iter()
        .filter(|file| file.path.starts_with(RECORDS))
        .count();
    assert!(records >= 2, "no decision records were found");
    assert_none(&record_faults(&files));
}

#[test]
fn planted_long_unlisted_and_missing_records_are_found() {
    let page = "x\n".repeat(RECORD_LINES_MAX);
    let list = planted(
        RECORD_LIST,
        "- [one](0001-one.md)\n- [style](../../STYLE.md)\n",
    );
    let good = planted("docs/adr/0001-one.md", &page);
    assert_eq!(record_faults(&[list.clone(), good.clone()]), []);
    let long = planted("docs/adr/0001-one.md", &format!("{page}x\n"));
    assert_eq!(record_faults(&[list.clone(), long]).len(), 1);
    let unlisted = planted("docs/adr/0002-two.md", "x\n");
    assert_eq!(record_faults(&[list.clone(), good, unlisted]).len(), 1);
    let missing = record_faults(&[list]);
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].line, 1);
}
