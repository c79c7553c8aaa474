//! A reader whose log does not go back far enough: it fetches segments from whoever serves them, and believes nobody.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod pool;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use orebook_archiver::{
    Mirror, SharedLog, Source, genesis_into, lock, segments_router, start_mirror,
};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::{first_frame, verify_files};
use pool::{LEDGER, archiver, disk_of, fatal, open_reader, producer, write_genesis};
use tokio::runtime::Runtime;

/// Serves a folder's segments for as long as the runtime lives.
fn serve(runtime: &Runtime, dir: &Path) -> SocketAddr {
    let router = segments_router(dir.join("segments"));
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    })
}

fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

fn mirror_of(dir: &Path, first: &Path) -> Mirror {
    let (mut reader, _) = open_reader(dir);
    let segments = format!("{}/segments", pool::name_of(first));
    let genesis = first_frame(&disk_of(first), &segments).expect("it is there");
    genesis_into(&mut reader, genesis).expect("the genesis");
    Arc::new(Mutex::new(reader))
}

/// The folder of `from` with one bit of its second sealed segment turned.
fn copy_with_a_flip(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("segments")).expect("a folder");
    let entries = std::fs::read_dir(from.join("segments")).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    for (number, name) in names.iter().enumerate() {
        let mut bytes = std::fs::read(from.join("segments").join(name)).expect("read");
        if number == 1 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }
        std::fs::write(to.join("segments").join(name), bytes).expect("written");
    }
}

#[test]
fn a_reader_from_nothing_fetches_what_the_log_forgot_and_is_fooled_by_nobody() {
    let root = tempfile::tempdir().expect("a folder");
    let dirs: Vec<_> = ["a", "m", "p", "new", "flipped"]
        .map(|name| root.path().join(name))
        .into();
    write_genesis(&dirs[0]);
    let folder = Source::Folder {
        dir: dirs[0].clone(),
        ledger: LEDGER,
    };
    // The ledger's first life: 200 positions and more.
    let log = SharedLog::new();
    let (of_mirror, of_archiver) = (log.reader(), log.reader());
    let mirror = mirror_of(&dirs[1], &dirs[0]);
    let thread = start_mirror(
        mirror.clone(),
        log.clone(),
        Some(of_mirror),
        folder.clone(),
        fatal(),
    );
    let (thread, _) = thread.expect("a thread");
    let first = archiver(&dirs[0], 2, &log, of_archiver);
    let mut said = producer(&dirs[2], &log, &mirror);
    said.make_final(200, "before");
    drop(said);
    first.stop().expect("no panic");
    thread.stop().expect("no panic");
    drop(mirror);
    // The second: its log begins where the first one ended, and knows nothing of it.
    copy_with_a_flip(&dirs[0], &dirs[4]);
    let log = SharedLog::new();
    let readers = [log.reader(), log.reader(), log.reader()];
    let [of_mirror, of_new, of_archiver] = readers;
    let mirror = mirror_of(&dirs[1], &dirs[0]);
    let thread = start_mirror(
        mirror.clone(),
        log.clone(),
        Some(of_mirror),
        folder,
        fatal(),
    );
    let (thread, _) = thread.expect("a thread");
    let again = archiver(&dirs[0], 2, &log, of_archiver);
    let runtime = Runtime::new().expect("a runtime");
    let addresses = [
        nobody(),
        serve(&runtime, &dirs[4]),
        serve(&runtime, &dirs[0]),
    ];
    let peers = Source::Peers {
        addresses: addresses.map(|address| address.to_string()).to_vec(),
        own: dirs[3].clone(),
        into: root.path().join("fetched"),
        ledger: LEDGER,
        runtime: runtime.handle().clone(),
    };
    let new = mirror_of(&dirs[3], &dirs[0]);
    let new_thread = start_mirror(new.clone(), log.clone(), Some(of_new), peers, fatal());
    let (new_thread, _) = new_thread.expect("a thread");
    let mut said = producer(&dirs[2], &log, &mirror);
    said.make_final(30, "after");
    let size = lock(&mirror).final_size();
    said.wait_until("the new reader has all of it", |_| {
        size <= lock(&new).final_size()
    });
    for running in [again, thread, new_thread] {
        running.stop().expect("no panic");
    }
    assert!(231 <= size, "{size} positions are final");
    let at = |mirror: &Mirror| {
        let state = lock(mirror)
            .state_at(size)
            .expect("read")
            .expect("has them all");
        state.root()
    };
    assert_eq!(at(&new), at(&mirror));
    let verified = verify_files(
        &RealDisk::new(dirs[3].clone()),
        "segments",
        Some(LEDGER),
        &mut |_| {},
    );
    assert!(size <= verified.expect("whole").positions);
    let flipped = verify_files(
        &RealDisk::new(dirs[4].clone()),
        "segments",
        Some(LEDGER),
        &mut |_| {},
    );
    flipped.expect_err("the flip is there to be found");
    assert!(
        !root.path().join("fetched").exists(),
        "what was fetched is not kept twice"
    );
}
