//! The tables of `tests/scenarios`: whole stories, to be read and worked with a pencil.

use std::fs;
use std::path::Path;

use crate::table::table;

#[test]
fn every_scenario_comes_to_its_books() {
    run_all("../tests/scenarios", 31);
}

/// Made by `tests/tables_by_chance.py`: statements at random, and the oracle's books.
#[test]
fn every_table_by_chance_comes_to_the_oracles_books() {
    run_all("../tests/scenarios/by_chance", 12);
}

fn run_all(folder: &str, least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the scenarios are checked in")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "table"))
        .collect();
    files.sort();
    assert!(least <= files.len(), "{} scenarios", files.len());
    for file in files {
        println!("{}", file.display());
        table(&fs::read_to_string(&file).expect("a scenario"));
    }
}
