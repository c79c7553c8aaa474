//! The tables of `tests/scenarios`: whole stories, to be read and worked with a pencil.

use std::fs;
use std::path::Path;

use crate::table::table;

#[test]
fn every_scenario_comes_to_its_books() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the scenarios are checked in")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "table"))
        .collect();
    files.sort();
    assert!(31 <= files.len(), "{} scenarios", files.len());
    for file in files {
        println!("{}", file.display());
        table(&fs::read_to_string(&file).expect("a scenario"));
    }
}
