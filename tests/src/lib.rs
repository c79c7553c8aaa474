//! The harness of the whole-system tests: where the project is and which files belong to it.
//!
//! `pool` runs the binary, `chromium` the browser, `link` is a bad line, `liar` one that lies, `shares` reads what its ledger holds, `tokens` reads Rust source as words and signs, for the house rules. Nothing here is shipped.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test harness stops at the first surprise and says which"
)]

pub mod chromium;

pub mod kafka;

pub mod liar;

pub mod link;

pub mod litecoind;

pub mod pool;

pub mod shares;

pub mod tokens;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A text file of the project, tracked or about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// From the project's root, with `/` between the parts.
    pub path: String,
    /// The whole content.
    pub text: String,
}

/// Folders that a walk without git does not enter.
const SKIPPED_FOLDERS: [&str; 4] = [".git", "target", "node_modules", "__pycache__"];

/// The folder that holds the workspace's `Cargo.toml`.
pub fn repo_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("tests/ lies in the project's root")
        .to_path_buf()
}

/// The `orebook` binary that this test run built: it lies above the test's own binary.
///
/// # Panics
/// If it was not built: `./orebook test system` builds it first.
pub fn orebook_binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test has a path");
    let folder = own.parent().and_then(Path::parent);
    let binary = folder.expect("tests lie in deps/").join("orebook");
    assert!(
        binary.is_file(),
        "{} is missing: cargo build --release -p orebook",
        binary.display()
    );
    binary
}

/// Every book that is not empty, with what is in it, in sub-units: of what `oracle.py` or `replay --balances` says.
///
/// # Panics
/// If it is not in their form.
#[must_use]
pub fn nets(said: &Value) -> BTreeMap<String, i128> {
    let sum = |book: &Value, side: &str| -> i128 {
        let text = book[side].as_str().expect("a decimal string");
        text.parse().expect("a number")
    };
    let mut nets = BTreeMap::new();
    let mut take = |name: String, book: &Value| {
        let net = sum(book, "credits") - sum(book, "debits");
        if net != 0 {
            nets.insert(name, net);
        }
    };
    for (account, books) in said["accounts"].as_object().expect("accounts") {
        for (book, sums) in books.as_object().expect("books") {
            take(format!("{account} {book}"), sums);
        }
    }
    for (book, sums) in said["books"].as_object().expect("books") {
        take(book.clone(), sums);
    }
    nets
}

/// Every text file that git tracks or would add, sorted by path. Files that are not UTF-8 are left out.
///
/// Where git is absent or refuses, the folders are walked instead.
pub fn text_files() -> Vec<TextFile> {
    let root = repo_root();
    let paths = paths_by_git(&root).unwrap_or_else(|| paths_by_walk(&root));
    read_texts(&root, &paths)
}

/// Paths as git lists them; `None` where git cannot answer.
pub fn paths_by_git(root: &Path) -> Option<Vec<String>> {
    let listing = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .ok()?;
    if !listing.status.success() {
        return None;
    }
    let names = String::from_utf8_lossy(&listing.stdout);
    let mut paths: Vec<String> = names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    Some(paths)
}

/// Paths by walking the folders; build output (marked by `CACHEDIR.TAG`) is left out.
pub fn paths_by_walk(root: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("an entry of a listed folder").path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let built = path.join("CACHEDIR.TAG").exists();
                if !built && !SKIPPED_FOLDERS.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else {
                let inside = path.strip_prefix(root).expect("a path below the root");
                paths.push(inside.to_string_lossy().into_owned());
            }
        }
    }
    paths.sort();
    paths
}

fn read_texts(root: &Path, paths: &[String]) -> Vec<TextFile> {
    let mut files = Vec::new();
    for path in paths {
        let full = root.join(path);
        // A tracked file may be deleted and a link may lead out of the project: both are no texts.
        if !full.is_file() || full.is_symlink() {
            continue;
        }
        let bytes = fs::read(&full).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        if bytes.contains(&0) {
            continue;
        }
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(TextFile {
                path: path.clone(),
                text,
            });
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [&str; 3] = ["Cargo.toml", "tests/src/lib.rs", "tests/tests/house.rs"];

    #[test]
    fn the_project_s_files_are_found() {
        let files = text_files();
        for path in OURS {
            assert!(
                files.iter().any(|file| file.path == path),
                "{path} is missing"
            );
        }
    }

    #[test]
    fn a_walk_without_git_finds_them_too_and_no_build_output() {
        let paths = paths_by_walk(&repo_root());
        for path in OURS {
            assert!(paths.iter().any(|found| found == path), "{path} is missing");
        }
        let stray = paths
            .iter()
            .find(|path| path.starts_with("target/") || path.starts_with(".git/"));
        assert_eq!(stray, None);
    }

    #[test]
    fn where_git_refuses_there_is_no_list() {
        assert_eq!(paths_by_git(Path::new("/")), None);
    }
}
