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
    FolderDonor, Mirror, PeerDonor, SharedLog, Source, genesis_into, lock, segments_router,
    start_mirror,
};
use orebook_ledger::archiver::promised;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::repair::{Donor, RepairError, carry_out, find_repairs};
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

#[test]
fn an_archiver_s_damaged_and_lost_segments_come_back_over_http_and_from_a_copy() {
    let root = tempfile::tempdir().expect("a folder");
    let dirs: Vec<_> = ["a", "m", "p", "good", "flipped"]
        .map(|name| root.path().join(name))
        .into();
    write_genesis(&dirs[0]);
    let log = SharedLog::new();
    let (of_mirror, of_archiver) = (log.reader(), log.reader());
    let folder = Source::Folder {
        dir: dirs[0].clone(),
        ledger: LEDGER,
    };
    let mirror = mirror_of(&dirs[1], &dirs[0]);
    let thread = start_mirror(
        mirror.clone(),
        log.clone(),
        Some(of_mirror),
        folder,
        fatal(),
    );
    let (thread, _) = thread.expect("a thread");
    let running = archiver(&dirs[0], 2, &log, of_archiver);
    let mut said = producer(&dirs[2], &log, &mirror);
    said.make_final(200, "a ledger of four segments");
    for running in [running, thread] {
        running.stop().expect("no panic");
    }
    let segments = dirs[0].join("segments");
    std::fs::create_dir_all(dirs[3].join("segments")).expect("a folder");
    for entry in std::fs::read_dir(&segments).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        std::fs::copy(segments.join(&name), dirs[3].join("segments").join(&name)).expect("copied");
    }
    copy_with_a_flip(&dirs[3], &dirs[4]);
    let runtime = Runtime::new().expect("a runtime");
    let disk = disk_of(&dirs[0]);
    let must = promised(&disk, "a").expect("signed");
    assert!(200 <= must.size && must.signed.is_some(), "{must:?}");
    let second = segments.join("00000000000000000064.seg");
    let peer = |dir: &Path| -> Box<dyn Donor> {
        let address = serve(&runtime, dir).to_string();
        Box::new(PeerDonor::new(&address, runtime.handle().clone()))
    };
    for lost in [false, true] {
        let mut bytes = std::fs::read(&second).expect("read");
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        std::fs::write(&second, bytes).expect("written");
        if lost {
            std::fs::remove_file(&second).expect("removed");
        }
        let find =
            |donor: &mut dyn Donor| find_repairs(&disk, "a/segments", must, donor, &mut |_| {});
        let nobody = nobody().to_string();
        let error = find(&mut PeerDonor::new(&nobody, runtime.handle().clone()));
        assert!(matches!(error, Err(RepairError::Donor(_))), "{error:?}");
        let error = find(peer(&dirs[4]).as_mut());
        assert!(
            matches!(error, Err(RepairError::Useless { .. })),
            "{error:?}"
        );
        let mut good: Box<dyn Donor> = if lost {
            Box::new(FolderDonor::new(dirs[3].join("segments")))
        } else {
            peer(&dirs[3])
        };
        let repairs = find(good.as_mut()).expect("repaired");
        carry_out(&disk, "a/segments", &repairs).expect("put in place");
        assert_eq!(repairs.replacements.len(), 1);
        let wanted = std::fs::read(dirs[3].join("segments/00000000000000000064.seg"));
        assert_eq!(
            std::fs::read(&second).expect("read"),
            wanted.expect("read"),
            "lost: {lost}"
        );
    }
    // The archiver goes on with them, and with what it signed.
    let log = SharedLog::new();
    let of_archiver = log.reader();
    archiver(&dirs[0], 2, &log, of_archiver)
        .stop()
        .expect("no panic");
}
