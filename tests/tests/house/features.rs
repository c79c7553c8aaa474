//! All suites build every library alike (ADR 0004): whatever is selected beside `orebook-features`, no library has other features.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::{Fault, assert_none};

const RULE: &str = "features are united in tests/features";

/// Features by library, of what a list of `name version [features]` lines says.
fn features(listed: &str) -> BTreeMap<String, String> {
    let lines = listed.lines().filter_map(|line| line.split_once(" ["));
    lines
        .map(|(library, rest)| {
            let library = library.split(" (").next().unwrap_or(library);
            (
                library.to_owned(),
                rest.trim_end_matches(" (*)")
                    .trim_end_matches(']')
                    .to_owned(),
            )
        })
        .collect()
}

/// Libraries that a member has with other features than the base.
fn others(
    member: &str,
    base: &BTreeMap<String, String>,
    with: &BTreeMap<String, String>,
) -> Vec<Fault> {
    let differ = with.iter().filter_map(|(library, found)| {
        let wanted = base.get(library)?;
        (wanted != found).then(|| Fault {
            file: "tests/features/Cargo.toml".to_owned(),
            line: 1,
            rule: RULE,
            found: format!("with {member}, {library} has [{found}]"),
            instead: format!("say there what is missing of [{wanted}]"),
        })
    });
    differ.collect()
}

fn tree(packages: &[&str]) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a root");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(root)
        .args(["tree", "--offline", "--locked", "--prefix", "none"]);
    // What runs in the compiler (macros, build scripts) has features of its own.
    cargo.args([
        "--format",
        "{p} [{f}]",
        "--edges",
        "normal,dev,no-proc-macro",
    ]);
    for package in packages {
        cargo.args(["-p", package]);
    }
    let output = cargo.output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    features(&String::from_utf8_lossy(&output.stdout))
}

#[test]
fn a_library_with_other_features_is_found() {
    let base = features("slab v0.4.12 [default,std]\nserde v1.0.1 [std] (*)\n");
    let same = features("slab v0.4.12 [default,std] (*)\nmio v1.0.0 [net]\n");
    assert_eq!(others("a", &base, &same), []);
    let other = features("slab v0.4.12 [std]\nserde v1.0.1 [std]\n");
    let found = others("a", &base, &other);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].found, "with a, slab v0.4.12 has [std]");
}

#[test]
fn every_member_is_built_with_the_same_libraries() {
    let base = tree(&["orebook-features"]);
    assert!(100 < base.len(), "{} libraries", base.len());
    let members = [
        "orebook-schema",
        "orebook-ledger",
        "orebook-kafka",
        "orebook-replay",
        "orebook-store",
        "orebook-pow",
        "orebook-stratum",
        "orebook-chain",
        "orebook-gateway",
        "orebook-archiver",
        "orebook-settler",
        "orebook-desk",
        "orebook-paymaster",
        "orebook-projector",
        "orebook-miner",
        "orebook",
        "orebook-sim",
        "orebook-tests",
    ];
    let faults = members
        .iter()
        .flat_map(|member| others(member, &base, &tree(&["orebook-features", member])));
    assert_none(&faults.collect::<Vec<_>>());
}
