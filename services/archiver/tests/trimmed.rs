//! A log that has forgotten its beginning: readers and archivers from nothing, the peers they ask, and `control` over HTTP.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod pool;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use orebook_archiver::{
    ControlError, Mirror, MirrorStatus, Running, SharedLog, Source, control_router, fetch_control,
    genesis_into, lock, read_control, segments_router, start_mirror,
};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::{first_frame, verify_files};
use orebook_schema::Hash;
use pool::{
    LEDGER, Producer, archiver, archiver_with, disk_of, fatal, genesis, name_of, open_reader,
    producer, write_genesis,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A pool whose log forgets at once what its archiver and its mirror have.
struct World {
    root: TempDir,
    log: SharedLog,
    archiver: Option<Running>,
    mirror: Mirror,
    mirror_thread: Option<Running>,
    status: Arc<MirrorStatus>,
    said: Producer,
    runtime: Runtime,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        write_genesis(&root.path().join("archive"));
        let log = SharedLog::new();
        let (of_mirror, of_archiver) = (log.reader(), log.reader());
        let mirror = mirror_of(&root.path().join("mirror"), &root.path().join("archive"));
        let folder = Source::Folder {
            dir: root.path().join("archive"),
            ledger: LEDGER,
        };
        let started = start_mirror(
            mirror.clone(),
            log.clone(),
            Some(of_mirror),
            folder,
            fatal(),
        );
        let (thread, status) = started.expect("a thread");
        let running = archiver(&root.path().join("archive"), 2, &log, of_archiver);
        let said = producer(&root.path().join("producer"), &log, &mirror);
        Self {
            root,
            log,
            archiver: Some(running),
            mirror,
            mirror_thread: Some(thread),
            status,
            said,
            runtime: Runtime::new().expect("a runtime"),
        }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Makes so many more frames final, of which the log forgets all but a few.
    fn make_final(&mut self, frames: usize) {
        self.said.make_final(frames, "on the way");
        let log = self.log.clone();
        self.said
            .wait_until("the log forgets", |_| log.held_records() < 8);
    }

    fn serve(&self, router: Router) -> String {
        self.runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
            let listener = listener.expect("a port");
            let address = listener.local_addr().expect("an address");
            tokio::spawn(async move { axum::serve(listener, router).await });
            address.to_string()
        })
    }

    fn serve_segments(&self, dir: &Path) -> String {
        self.serve(segments_router(dir.join("segments")))
    }

    /// A peer that lists what the archiver has, and gives nothing of it.
    fn serve_and_die(&self) -> String {
        let files = std::fs::read_dir(self.dir("archive").join("segments")).expect("a folder");
        let files: Vec<String> = files
            .map(|entry| {
                let name = entry.expect("an entry").file_name();
                format!(
                    "{{\"name\":{:?},\"bytes\":4096}}",
                    name.to_str().expect("a name")
                )
            })
            .collect();
        let list = format!("[{}]", files.join(","));
        let died = || async { StatusCode::INTERNAL_SERVER_ERROR };
        let router = Router::new()
            .route("/ledger/segments", get(move || async move { list }))
            .route("/ledger/segments/{name}", get(died));
        self.serve(router)
    }

    fn peers(&self, own: &str, addresses: Vec<String>) -> Source {
        Source::Peers {
            addresses,
            own: self.dir(own),
            into: self.dir(&format!("fetched-for-{own}")),
            ledger: LEDGER,
            runtime: self.runtime.handle().clone(),
        }
    }

    /// A reader from nothing, which the log does not wait for.
    fn newcomer(&self, name: &str, addresses: Vec<String>) -> (Mirror, Running, Arc<MirrorStatus>) {
        let mirror = mirror_of(&self.dir(name), &self.dir("archive"));
        let source = self.peers(name, addresses);
        let started = start_mirror(mirror.clone(), self.log.clone(), None, source, fatal());
        let (thread, status) = started.expect("a thread");
        (mirror, thread, status)
    }

    /// Waits until it has all that is final, and compares.
    fn catches_up(&mut self, new: &Mirror) {
        let size = lock(&self.mirror).final_size();
        self.said.wait_until("the newcomer has all of it", |_| {
            size <= lock(new).final_size()
        });
        assert_eq!(root_at(new, size), root_at(&self.mirror, size));
    }

    /// Ends all threads; its folders stay until it is dropped.
    fn stop(&mut self, others: Vec<Running>) {
        let own = [self.archiver.take(), self.mirror_thread.take()];
        for running in others.into_iter().chain(own.into_iter().flatten()) {
            running.stop().expect("no panic");
        }
    }
}

fn root_at(mirror: &Mirror, size: u64) -> Hash {
    let state = lock(mirror).state_at(size).expect("read");
    state.expect("has them all").root()
}

fn mirror_of(dir: &Path, first: &Path) -> Mirror {
    let (mut reader, _) = open_reader(dir);
    let segments = format!("{}/segments", name_of(first));
    let genesis = first_frame(&disk_of(first), &segments).expect("it is there");
    genesis_into(&mut reader, genesis).expect("the genesis");
    Arc::new(Mutex::new(reader))
}

fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// Copies segments; one bit in the middle of the second file is turned if `flips`.
fn copy_segments(from: &Path, to: &Path, flips: bool) {
    drop(std::fs::remove_dir_all(to.join("segments")));
    std::fs::create_dir_all(to.join("segments")).expect("a folder");
    let entries = std::fs::read_dir(from.join("segments")).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    for (number, name) in names.iter().enumerate() {
        let mut bytes = std::fs::read(from.join("segments").join(name)).expect("read");
        if flips && number == 1 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }
        std::fs::write(to.join("segments").join(name), bytes).expect("written");
    }
}

#[test]
fn a_reader_from_nothing_goes_on_in_a_trimmed_log_whatever_some_peers_say_and_do() {
    let mut world = World::new();
    world.make_final(100);
    copy_segments(&world.dir("archive"), &world.dir("lagging"), false);
    world.make_final(100);
    copy_segments(&world.dir("archive"), &world.dir("flipped"), true);
    let addresses = vec![
        nobody(),
        world.serve_and_die(),
        world.serve_segments(&world.dir("flipped")),
        world.serve_segments(&world.dir("lagging")),
        world.serve_segments(&world.dir("archive")),
    ];
    let (new, thread, status) = world.newcomer("new", addresses);
    world.catches_up(&new);
    // From here on it follows the log: nobody else has what comes now.
    world.make_final(30);
    world.catches_up(&new);
    assert_eq!(lock(&new).incarnation(), lock(&world.mirror).incarnation());
    assert_eq!(status.waits.why(), None);
    let size = lock(&new).final_size();
    let dir = world.dir("new");
    world.stop(vec![thread]);
    let verified = verify_files(&RealDisk::new(dir), "segments", Some(LEDGER), &mut |_| {});
    assert!(size <= verified.expect("whole").positions);
}

#[test]
fn who_finds_nobody_with_newer_positions_says_so_and_goes_on_when_somebody_has_them() {
    let mut world = World::new();
    world.make_final(80);
    copy_segments(&world.dir("archive"), &world.dir("lagging"), false);
    world.make_final(80);
    let (_, alone, no_peer) = world.newcomer("alone", Vec::new());
    let lagging = world.serve_segments(&world.dir("lagging"));
    let (new, thread, status) = world.newcomer("new", vec![lagging]);
    let says = |status: &MirrorStatus, what: &[&str]| {
        let why = status.waits.why().unwrap_or_default();
        what.iter().all(|word| why.contains(word))
    };
    world.said.wait_until("both say why they wait", |_| {
        let words = ["the log begins at", "topic-trimmed.md", "nothing newer"];
        says(&no_peer, &["no peer is configured", "[ledger] peers"]) && says(&status, &words)
    });
    assert!(1 < lock(&new).final_size(), "what there was is taken");
    copy_segments(&world.dir("archive"), &world.dir("lagging"), false);
    world.catches_up(&new);
    world.stop(vec![thread, alone]);
}

#[test]
fn an_archiver_with_a_new_disk_signs_nothing_before_it_has_what_was_deleted() {
    let mut world = World::new();
    world.make_final(75);
    let served = world.dir("served");
    copy_segments(&world.dir("archive"), &served, false);
    world.make_final(75);
    // Its disk is new: only the genesis is there.
    let late = world.dir("late");
    write_first(&world.dir("archive"), &late);
    let source = world.peers("late", vec![world.serve_segments(&served)]);
    let (thread, status) = archiver_with(&late, 3, &world.log, None, source);
    let shown = status.clone();
    world.said.wait_until("it waits", |_| {
        let why = shown.waits.why().unwrap_or_default();
        why.contains("nothing newer")
    });
    world.said.make_final(20, "with the first alone");
    assert_eq!(status.signed.load(Ordering::Relaxed), 0, "it waits");
    // The peer that lagged has everything now.
    std::fs::remove_dir_all(&served).expect("removed");
    std::os::unix::fs::symlink(world.dir("archive"), &served).expect("a link");
    let before = lock(&world.mirror).final_size();
    let shown = status.clone();
    world.said.wait_until("it has all that is final", |_| {
        before <= shown.final_size.load(Ordering::Relaxed)
    });
    // What the first covers at once, another does not sign: from here on it is alone.
    let first = world.archiver.take().expect("it runs");
    first.stop().expect("no panic");
    world.make_final(20);
    world.said.wait_until("it signed what is final now", |_| {
        before < status.signed.load(Ordering::Relaxed)
    });
    let log_is_the_same = lock(&world.mirror).incarnation();
    assert_eq!(log_is_the_same, Some(0), "nobody opened another one");
    world.stop(vec![thread]);
}

/// A ledger that has its genesis and no more.
fn write_first(from: &Path, to: &Path) {
    drop(mirror_of(to, from));
}

#[test]
fn control_is_served_with_what_proves_it_and_nothing_else_is_taken() {
    let mut world = World::new();
    world.make_final(20);
    let status = world.status.clone();
    let shown = status.clone();
    world
        .said
        .wait_until("a snapshot", |_| shown.control.bytes().is_some());
    let old = status.control.bytes().expect("it is there");
    let older = world.serve(control_router(move || Some(old.clone())));
    let before = size_of(&status);
    let mut rounds = 0;
    while size_of(&status) == before {
        rounds += 1;
        assert!(rounds < 60, "a newer one is served");
        world.make_final(5);
    }
    let serving = status.clone();
    let newer = world.serve(control_router(move || serving.control.bytes()));
    let nothing = world.serve(control_router(|| None));
    let peers = [nobody(), nothing.clone(), older, newer];
    let fetched = world.runtime.block_on(fetch_control(&peers, &genesis()));
    let snapshot = fetched.expect("two peers have it");
    assert!(before < snapshot.size, "the newest is taken");
    assert_eq!(snapshot.root, root_at(&world.mirror, snapshot.size));
    let newest = snapshot.state.policy().expect("a policy");
    assert_eq!(newest.policy, genesis().policy);
    for (peers, says) in [
        (vec![], "no peer is configured"),
        (vec![nothing], "503"),
        (vec![nobody()], "does not answer"),
    ] {
        let said = world.runtime.block_on(fetch_control(&peers, &genesis()));
        let said = said.expect_err("nobody has it");
        assert!(said.contains(says), "{said}");
    }
    // A restart without a log: the copy beside the segments is as good.
    let kept = std::fs::read(world.dir("mirror").join("control-served")).expect("a copy");
    read_control(&kept, &genesis()).expect("it is whole");
    refuses_what_is_wrong(&kept);
    world.stop(Vec::new());
}

fn size_of(status: &MirrorStatus) -> u64 {
    let bytes = status.control.bytes().expect("it is there");
    read_control(&bytes, &genesis()).expect("it is whole").size
}

fn refuses_what_is_wrong(right: &[u8]) {
    // Who signed, the size, the root, the signature; then the snapshot.
    for (at, expected) in [
        (0, "no archiver"),
        (32, "head"),
        (40, "head"),
        (72, "signature"),
        (136 + 20, "snapshot"),
    ] {
        let mut wrong = right.to_vec();
        wrong[at] ^= 1;
        let said = read_control(&wrong, &genesis()).expect_err("it is wrong");
        let found = match said {
            ControlError::NoArchiver(_) => "no archiver",
            ControlError::Head => "head",
            ControlError::Signature => "signature",
            ControlError::Snapshot(_) => "snapshot",
            ControlError::Genesis | ControlError::Policy | ControlError::Decode(_) => "other",
        };
        assert_eq!(found, expected, "byte {at}");
    }
    let mut other = genesis();
    other.policy.threshold += 1;
    assert_eq!(read_control(right, &other), Err(ControlError::Genesis));
    for len in [0, 135, 136, right.len() - 1] {
        read_control(&right[..len], &genesis()).expect_err("it is cut");
    }
}
