//! Builds the Go programs that tests run: real nodes, pinned by the go.sum beside each.

use std::path::{Path, PathBuf};
use std::process::Command;

/// From this minor version on the linker refuses what a library of geth's does with the runtime, unless it is told not to.
const STRICT_LINKER: u32 = 23;

/// Builds a package of a module of services/chain's tests into the target folder, by Go's own cache, and gives the program's
/// path. Tests of the paymaster and
/// of the whole system use this file too.
pub(crate) fn build(module: &str, package: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = [".", "../chain", "../services/chain"];
    let mut folders = places
        .map(|place| own.join(place).join("tests").join(module))
        .into_iter();
    let folder = folders.find(|folder| folder.is_dir()).expect("a module");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(module);
    let mut command = go(&folder);
    command.args(["build", "-mod=readonly", "-buildvcs=false", "-p", "2", "-o"]);
    command.arg(&program);
    if STRICT_LINKER <= minor_version(&folder) {
        command.arg("-ldflags=-checklinkname=0");
    }
    let output = command.arg(package).output().expect("go runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{module} is not built: {said}");
    program
}

fn go(folder: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(folder);
    // Neither another Go is fetched, nor does a workspace around this one change what is built.
    command.env("GOTOOLCHAIN", "local").env("GOWORK", "off");
    command
}

/// 26 of `go1.26.8`.
fn minor_version(folder: &Path) -> u32 {
    let output = go(folder).args(["env", "GOVERSION"]).output();
    let output = output.expect("Go is there; if it is missing: apt-get install golang-go");
    let text = String::from_utf8_lossy(&output.stdout);
    let minor = text.trim().split('.').nth(1);
    let minor = minor.and_then(|minor| minor.parse().ok());
    minor.unwrap_or_else(|| panic!("which version is {text}?"))
}
