//! The machines: a folder each, with the same genesis, and the miners over several lives of a pool.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use orebook_tests::kafka::Cluster;
use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};

use crate::books::Digests;
use crate::rig::{Memory, RIGS, Working};

/// Shares that are waited for in each act.
pub(crate) const SHARES_AN_ACT: u64 = 60;

/// The machines: a folder each, with the same genesis.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) config: PathBuf,
}

impl Site {
    /// `config` over the brokers; the ledger is made for `coin`.
    pub(crate) fn new(cluster: &Cluster, coin: &str, config: &str) -> Self {
        Self::with(cluster, coin, config, &[])
    }

    /// The same; `init` is told more.
    pub(crate) fn with(cluster: &Cluster, coin: &str, config: &str, more: &[&str]) -> Self {
        let mut folder = tempfile::tempdir().expect("a folder");
        // To look at what a failure left.
        folder.disable_cleanup(std::env::var_os("OREBOOK_KEEP").is_some());
        println!("{}", folder.path().display());
        let path = folder.path().join("machines.toml");
        let brokers = cluster.addresses();
        let (count, most) = (brokers.len(), brokers.len().div_ceil(2));
        let text = format!(
            "{config}\n[kafka]\nbrokers = {brokers:?}\nreplication = {count}\nmin_isr = {most}\ni_know = {}\n",
            count < 3
        );
        fs::write(&path, text).expect("written");
        let site = Self {
            folder,
            config: path,
        };
        let made = Command::new(orebook_binary())
            .args([
                "init",
                "--gateways",
                "2",
                "--archivers",
                "2",
                "--coin",
                coin,
            ])
            .args(more)
            .arg("--data")
            .arg(site.machine("one"))
            .status()
            .expect("the binary runs");
        assert!(made.success());
        for other in ["two", "three", "four", "five"] {
            copy(&site.machine("one"), &site.machine(other));
        }
        site
    }

    pub(crate) fn machine(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn up(&self) -> Pool {
        Pool::start(&self.machine("one"), &self.config)
    }

    pub(crate) fn role(&self, machine: &str, role: &[&str]) -> Pool {
        Pool::start_role(role, &self.machine(machine), &self.config)
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

/// Miners over several lives of a pool.
#[derive(Default)]
pub(crate) struct Miners {
    pub(crate) memories: [Memory; RIGS.len()],
    working: Vec<Working>,
    lives: usize,
}

impl Miners {
    pub(crate) fn start(&mut self, pool: &Pool) {
        self.lives += 1;
        let start =
            |(port, user): &(usize, &str)| Working::start(pool.stratum[*port], user, self.lives);
        self.working = RIGS.iter().map(start).collect();
    }

    pub(crate) fn end(&mut self) {
        for (memory, rig) in self.memories.iter_mut().zip(self.working.drain(..)) {
            memory.extend(rig.end());
        }
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.working.iter().map(Working::accepted_so_far).sum()
    }

    /// Waits until so many shares more were answered `true`.
    pub(crate) fn go_on(&self, what: &str) {
        let before = self.accepted();
        let started = Instant::now();
        while self.accepted() < before + SHARES_AN_ACT {
            assert!(started.elapsed() < DEADLINE, "{what}: miners notice");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        println!("{what}: {} shares", self.accepted());
    }
}

/// Waits until a projector has applied so many positions.
pub(crate) fn reaches(pool: &Pool, size: u64, what: &str) {
    pool.wait_for("/api/v1/ledger", what, |ledger| {
        size <= ledger["as_of"].as_u64().unwrap_or(0)
    });
}

/// Waits until a role says that it is ready.
pub(crate) fn ready(role: &Pool, what: &str) {
    let started = Instant::now();
    loop {
        let (status, said) = role.get("/readyz").expect("it answers");
        if status == 200 {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{what}: {said}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A projector comes to where another one is at rest, and has its digests.
pub(crate) fn agrees(projector: &Pool, with: &Pool, digests: &Digests, what: &str) {
    let size = with.json("/api/v1/ledger")["as_of"].as_u64();
    reaches(projector, size.expect("a size"), what);
    for ((fold, position), digest) in digests {
        let said = projector.json(&format!("/api/v1/digest?fold={fold}&position={position}"));
        let said = said["digest"].as_str();
        assert_eq!(said, Some(digest.as_str()), "{what}: {fold} at {position}");
    }
}

/// An archiver holds as final what a projector shows: before it is stopped and its files are read.
pub(crate) fn has_archived(archiver: &Pool, with: &Pool) {
    let size = with.json("/api/v1/ledger")["as_of"].as_u64();
    let size = u32::try_from(size.expect("a size")).expect("a short ledger");
    let started = Instant::now();
    while archiver.metric("orebook_ledger_final") < f64::from(size) {
        assert!(started.elapsed() < DEADLINE, "the archiver lags behind");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
