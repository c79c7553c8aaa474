//! Reads the pages of `schema/golden/`: `## name` opens a case, `#` is a comment, all else is hex.

use std::fs;
use std::path::{Path, PathBuf};

/// One golden vector.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The folder `schema/golden`, from the tests of any crate of the workspace.
pub(crate) fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here
        .ancestors()
        .find(|folder| folder.join("schema/golden").is_dir());
    root.expect("a crate stands in the project")
        .join("schema/golden")
}

pub(crate) fn text(file: &str) -> String {
    let path = folder().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cases of a page, in order.
pub(crate) fn cases(file: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text(file).lines() {
        if let Some(name) = line.strip_prefix("## ") {
            cases.push(Case {
                name: name.to_owned(),
                bytes: Vec::new(),
            });
        } else if !line.starts_with('#') && !line.is_empty() {
            assert!(line.len() <= 64, "{file}: a line has at most 32 bytes");
            let bytes = orebook_schema::units::unhex(line);
            let case = cases.last_mut().expect("hex stands in a case");
            case.bytes.extend(bytes.expect("a line is hex"));
        }
    }
    assert!(!cases.is_empty(), "{file} has no case");
    cases
}

/// The bytes of the case with this name.
pub(crate) fn case(file: &str, name: &str) -> Vec<u8> {
    let found = cases(file).into_iter().find(|case| case.name == name);
    found
        .unwrap_or_else(|| panic!("{file} has no case {name}"))
        .bytes
}
