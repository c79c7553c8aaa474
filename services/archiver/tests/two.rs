//! Two archivers over one embedded log: either may sign, and neither is missed when it is gone.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod pool;

use std::path::Path;
use std::sync::{Arc, Mutex};

use orebook_archiver::{Mirror, SharedLog, Source, genesis_into, lock, start_mirror};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::{first_frame, verify_files};
use pool::{LEDGER, archiver, disk_of, fatal, open_reader, producer, write_genesis};

fn copy_genesis(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("segments")).expect("a folder");
    for file in std::fs::read_dir(from.join("segments")).expect("a folder") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), to.join("segments").join(file.file_name())).expect("copied");
    }
}

#[test]
fn either_archiver_makes_positions_final_and_both_keep_the_same_ledger() {
    let root = tempfile::tempdir().expect("a folder");
    let dirs: Vec<_> = ["a", "b", "m", "p"]
        .map(|name| root.path().join(name))
        .into();
    write_genesis(&dirs[0]);
    copy_genesis(&dirs[0], &dirs[1]);
    let log = SharedLog::new();
    let readers: Vec<_> = (0..3).map(|_| log.reader()).collect();
    let mut readers = readers.into_iter();
    let mut next_reader = || readers.next().expect("three readers");
    // One that takes nothing: the log keeps all while an archiver is away.
    let keeps = log.reader();
    let source = Source::Folder {
        dir: dirs[0].clone(),
        ledger: LEDGER,
    };
    let (mut reader, _) = open_reader(&dirs[2]);
    let genesis = first_frame(&disk_of(&dirs[0]), "a/segments").expect("it is there");
    genesis_into(&mut reader, genesis).expect("the genesis");
    let mirror: Mirror = Arc::new(Mutex::new(reader));
    let mirror_thread = start_mirror(
        mirror.clone(),
        log.clone(),
        Some(next_reader()),
        source,
        fatal(),
    )
    .expect("a thread")
    .0;
    let first = archiver(&dirs[0], 2, &log, next_reader());
    let second = archiver(&dirs[1], 3, &log, next_reader());
    let mut producer = producer(&dirs[3], &log, &mirror);
    producer.wait_until("the genesis becomes final", |producer| {
        1 <= lock(&producer.mirror).final_size()
    });
    producer.make_final(100, "with both");
    first.stop().expect("no panic");
    producer.make_final(100, "with the second alone");
    let again = archiver(&dirs[0], 2, &log, log.reader());
    second.stop().expect("no panic");
    producer.make_final(100, "with the first again, alone");
    again.stop().expect("no panic");
    mirror_thread.stop().expect("no panic");
    drop(keeps);
    let (size, root) = {
        let reader = lock(&mirror);
        (reader.final_size(), reader.settled().root())
    };
    assert!(301 <= size, "{size} positions are final");
    for dir in &dirs[..3] {
        let disk = RealDisk::new(dir.clone());
        let verified = verify_files(&disk, "segments", Some(LEDGER), &mut |_| {});
        let verified = verified.expect("whole");
        assert_eq!(verified.streams, 4, "desk, two archivers, gateway");
        assert_eq!(verified.closures, 0);
    }
    // The first was there until the end: it has all that is final, with the same root.
    let (reader, _) = open_reader(&dirs[0]);
    let state = reader.state_at(size).expect("read").expect("has them all");
    assert_eq!(state.root(), root);
    let sealed = |dir: &Path| {
        let names = std::fs::read_dir(dir.join("segments")).expect("a folder");
        let names = names.map(|name| name.expect("a file").file_name().into_string());
        let mut names: Vec<String> = names.map(|name| name.expect("a name")).collect();
        names.retain(|name| name.ends_with(".seg"));
        names.sort();
        names
    };
    let second = sealed(&dirs[1]);
    assert!(2 <= second.len(), "the second sealed {second:?}");
    for name in second {
        let bytes = |dir: &Path| std::fs::read(dir.join("segments").join(&name)).expect("read");
        assert_eq!(bytes(&dirs[0]), bytes(&dirs[1]), "{name}");
        assert_eq!(bytes(&dirs[0]), bytes(&dirs[2]), "{name}");
    }
}
