//! The topic loses positions, final ones and others, and the gateway's machine is gone with its spool: what a projector had read
//! is sent again by hand (docs/runbooks/log-lost-final-positions.md).

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use orebook_schema::genesis::Algorithm;
use orebook_tests::kafka::Cluster;
use orebook_tests::orebook_binary;
use orebook_tests::pool::DEADLINE;
use orebook_tests::shares::shares_of;
use serde_json::Value;

use crate::rig::{CONFIG, Memory, RIGS, Working, exactly_once};
use crate::site::{SHARES_AN_ACT, Site, copy};

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("before the year 584 million")
}

/// Waits until so many shares more were answered `true`.
fn go_on(working: &Working, what: &str) {
    let enough = working.accepted_so_far() + SHARES_AN_ACT;
    let started = Instant::now();
    while working.accepted_so_far() < enough {
        assert!(started.elapsed() < DEADLINE, "{what}: miners notice");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Waits until these segments have what a gateway said after a moment: then they have all that it said before.
fn heard_after(segments: &Path, moment_ms: u64) {
    let started = Instant::now();
    loop {
        let mut cat = Command::new(orebook_binary());
        let cat = cat.args(["ledger", "cat", "--segments"]).arg(segments);
        let output = cat.output().expect("the binary runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let mut said = text.lines().filter_map(|line| {
            let event: Value = serde_json::from_str(line).ok()?;
            let is_gateways = event["kind"] != "checkpoint";
            is_gateways.then(|| event["time"].as_u64()).flatten()
        });
        if said.any(|time| moment_ms < time) {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "a word after {moment_ms}");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

/// A disk that lost most of what was acknowledged, and what its broker remembers of producers.
fn lose_most(cluster: &Cluster) {
    let data = cluster.partition_folder(0, "any");
    let data = data.parent().expect("the broker's folder");
    let entries = fs::read_dir(data).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").path());
    let is_ledger = |path: &Path| path.to_string_lossy().ends_with(".ledger-0-0");
    let folder = names.into_iter().find(|path| is_ledger(path));
    let folder = folder.expect("the topic's partition");
    let log = folder.join("00000000000000000000.log");
    let file = OpenOptions::new()
        .write(true)
        .open(&log)
        .expect("a segment");
    let bytes = file.metadata().expect("a size").len();
    file.set_len(bytes / 4).expect("cut");
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|name| name == "snapshot") {
            fs::remove_file(path).expect("removed");
        }
    }
}

fn republish(site: &Site, machine: &str, copy: &Path) -> Output {
    let mut command = Command::new(orebook_binary());
    command.args(["ledger", "republish", "--data"]);
    command.arg(site.machine(machine)).arg("--config");
    command.arg(&site.config).arg("--segments").arg(copy);
    command.output().expect("the binary runs")
}

/// A figure of what `republish` printed.
fn figure(output: &Output, name: &str) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(word, _)| *word == name);
    let (_, value) = found.unwrap_or_else(|| panic!("{name} in {text}"));
    value.trim().parse().expect("a number")
}

#[test]
fn what_the_topic_and_its_gateway_lost_comes_back_from_a_projector_s_files() {
    let mut cluster = Cluster::start(1);
    let site = Site::new(&cluster, "dev", CONFIG);
    let archiver = site.role("one", &["archiver"]);
    let gateway = site.role("two", &["gateway", "--number", "2"]);
    let projector = site.role("three", &["projector"]);
    let working = Working::start(gateway.stratum[0], RIGS[1].1, 1);
    go_on(&working, "with everything there");
    // Nothing becomes final any more, and the projector reads on.
    drop(archiver.kill());
    go_on(&working, "without an archiver");
    let memory: Memory = working.end();
    let segments = site.machine("three").join("mirror").join("segments");
    heard_after(&segments, now_ms());
    drop(gateway.kill());
    drop(projector.kill());
    fs::remove_dir_all(site.machine("two")).expect("its disk is lost");
    let kept = site.machine("kept");
    copy(&segments, &kept);
    cluster.kill(0);
    lose_most(&cluster);
    cluster.restart(0);

    let archiver = site.role("one", &["archiver"]);
    // Nobody speaks: the archiver alone sees that the log ends before what is final, and opens the next.
    let output = republish(&site, "three", &kept);
    let said = String::from_utf8_lossy(&output.stdout);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{words}");
    let (became_final, sent) = (figure(&output, "final"), figure(&output, "sent"));
    println!("{became_final} frames became final, {sent} were sent");
    assert!(0 < sent && 0 < became_final);
    assert_eq!(figure(&output, "waiting"), 0);
    // Once more changes nothing.
    let again = republish(&site, "three", &kept);
    assert!(again.status.success(), "once more");
    assert_eq!(figure(&again, "sent"), 0, "everything stands");
    archiver.stop();
    let held = shares_of(&site.machine("one").join("ledger"), Algorithm::Sha256d);
    let all = memory.iter().map(|(hash, sent)| (*hash, sent.accepted));
    exactly_once(&all.collect(), &held);
}
