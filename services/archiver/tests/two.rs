//! Two archivers over one embedded log: either may sign, and neither is missed when it is gone.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orebook_archiver::{
    Fatal, LogReader, Mirror, Running, SharedLog, Source, genesis_into, lock, new_stream, now_ms,
    start_archiver, start_mirror,
};
use orebook_ledger::admit::{State, Verdict};
use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::build::genesis_frame;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::publisher::{Clock, Publisher};
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::{SegmentStore, StoreConfig, TornTail, first_frame, verify_files};
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{Spool, SpoolConfig};
use orebook_schema::event::{RecoveryCode, RecoveryNote};
use orebook_schema::genesis::{Algorithm, Approved, Genesis};
use orebook_schema::names::{CoinName, Pot};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::{Event, Hash, Kind, LedgerId, Policy, Role};

const LEDGER: LedgerId = LedgerId([5; 16]);
const DEADLINE: Duration = Duration::from_secs(60);

fn signer(number: u8) -> Signer {
    Signer::from_seed(&[number; 32])
}

fn genesis() -> Genesis {
    let mut producers = vec![
        (signer(1).key(), Role::Desk),
        (signer(2).key(), Role::Archiver),
        (signer(3).key(), Role::Archiver),
        (signer(4).key(), Role::Gateway),
    ];
    producers.sort_unstable();
    Genesis {
        ledger: LEDGER,
        coin: 1,
        coin_name: CoinName::parse("dev").expect("a name"),
        algorithm: Algorithm::Sha256d,
        decimals: 8,
        chain: Hash::ZERO,
        segment_positions: 64,
        segment_bytes: 4 << 20,
        digest_answers: 1,
        approvers: vec![signer(9).key()],
        approvals: vec![(Approved::Key, 1), (Approved::Policy, 1)],
        producers,
        schema_set: Kind::known(),
        policy: Policy {
            pots: vec![PotRules {
                pot: Pot(0),
                scheme: Scheme::Pplns,
                n_ppm: 2_000_000,
                fee_ppm: 0,
                bonus_ppm: 0,
                stale_ppm: 0,
                keep_tx_fees: false,
            }],
            immature_depth: 1,
            confirmed_depth: 6,
            orphan_depth: 3,
            threshold: 1,
            network_fees: NetworkFees::Pool,
        },
    }
}

fn write_genesis(dir: &Path) {
    let frame = genesis_frame(&genesis(), new_stream(), now_ms(), &signer(1)).expect("a genesis");
    let disk = RealDisk::new(dir.to_path_buf());
    let (mut store, _) = SegmentStore::open(disk, "segments", LEDGER, 0).expect("a folder");
    let mut state = State::new(LEDGER);
    let (verdict, _) = state
        .admit(&store, now_ms(), frame.bytes().to_vec())
        .expect("judged");
    let Verdict::Admitted(admitted) = verdict else {
        panic!("genesis: {verdict:?}");
    };
    store
        .append_frame(0, admitted.ledger_time, now_ms(), &frame)
        .and_then(|()| store.sync())
        .expect("written");
}

fn copy_genesis(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("segments")).expect("a folder");
    for file in std::fs::read_dir(from.join("segments")).expect("a folder") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), to.join("segments").join(file.file_name())).expect("copied");
    }
}

fn spool_config(role: Role) -> SpoolConfig {
    SpoolConfig {
        ledger: LEDGER,
        coin: 1,
        role,
        schema_set: 0,
        file_bytes: 256 << 10,
        total_bytes: 4 << 20,
    }
}

/// Disks are opened at the common folder: what lies in them has a name.
fn disk_of(dir: &Path) -> RealDisk {
    RealDisk::new(dir.parent().expect("a folder").to_path_buf())
}

fn name_of(dir: &Path) -> &str {
    dir.file_name()
        .and_then(|name| name.to_str())
        .expect("a name")
}

fn open_reader(dir: &Path) -> (Reader<RealDisk>, Option<TornTail>) {
    let config = StoreConfig::default();
    Reader::open(disk_of(dir), name_of(dir), LEDGER, config, 0).expect("opens")
}

fn fatal() -> Fatal {
    Arc::new(|why: &str| panic!("{why}"))
}

fn archiver(dir: &Path, key: u8, log: &SharedLog, reader: LogReader) -> Running {
    let config = ArchiverConfig {
        ledger: LEDGER,
        store: StoreConfig {
            preallocate_bytes: 0,
        },
        spool: spool_config(Role::Archiver),
        signer: signer(key),
    };
    let (archiver, _) =
        Archiver::open(disk_of(dir), name_of(dir), config, now_ms(), new_stream()).expect("opens");
    start_archiver(archiver, log.clone(), reader, fatal())
        .expect("a thread")
        .0
}

/// A producer that says heartbeats, so that there is something to make final.
struct Producer {
    spool: Spool<RealDisk>,
    publisher: Publisher<RealDisk>,
    log: SharedLog,
    mirror: Mirror,
}

impl Producer {
    /// Says `frames` notes, a frame each, and waits until all of them are final.
    fn make_final(&mut self, frames: usize, what: &str) {
        let note = Event::RecoveryNote(RecoveryNote {
            code: RecoveryCode::TornTail,
            text: what.to_owned(),
        });
        for _ in 0..frames {
            self.spool
                .append(&[(now_ms(), note.clone())])
                .expect("there is room");
            self.spool.cut().expect("cut");
        }
        self.wait_until(what, |producer| producer.publisher.is_idle());
    }

    fn wait_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        loop {
            {
                let mut reader = lock(&self.mirror);
                self.publisher
                    .tick(
                        &mut self.spool,
                        &mut reader,
                        &mut self.log,
                        Clock::at(now_ms()),
                        new_stream(),
                    )
                    .expect("published");
            }
            if done(self) {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "{what}");
            std::thread::yield_now();
        }
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
    let source = Source {
        dir: dirs[0].clone(),
        ledger: LEDGER,
    };
    let (mut reader, _) = open_reader(&dirs[2]);
    let genesis = first_frame(&disk_of(&dirs[0]), "a/segments").expect("it is there");
    genesis_into(&mut reader, genesis).expect("the genesis");
    let mirror: Mirror = Arc::new(Mutex::new(reader));
    let mirror_thread = start_mirror(mirror.clone(), log.clone(), next_reader(), source, fatal())
        .expect("a thread");
    let first = archiver(&dirs[0], 2, &log, next_reader());
    let second = archiver(&dirs[1], 3, &log, next_reader());
    let config = spool_config(Role::Gateway);
    let (mut spool, _) =
        Spool::open(disk_of(&dirs[3]), name_of(&dirs[3]), config, signer(4)).expect("a spool");
    spool.begin(now_ms(), new_stream()).expect("begun");
    let mut producer = Producer {
        spool,
        publisher: Publisher::new(),
        log: log.clone(),
        mirror: mirror.clone(),
    };
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
