//! A small pool of threads for tests: genesis, archivers, a producer of notes.

#![allow(dead_code, reason = "each test file uses another part of it")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orebook_archiver::{
    ArchiveStatus, Fatal, LogReader, Mirror, Running, SharedLog, Source, lock, new_stream, now_ms,
    start_archiver,
};
use orebook_ledger::admit::{State, Verdict};
use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::build::genesis_frame;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::publisher::{Clock, Publisher};
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::{SegmentStore, StoreConfig, TornTail};
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{Spool, SpoolConfig};
use orebook_schema::event::{RecoveryCode, RecoveryNote};
use orebook_schema::genesis::{Algorithm, Approved, Genesis};
use orebook_schema::names::{CoinName, Pot};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::{Event, Hash, Kind, LedgerId, Policy, Role};

pub(crate) const LEDGER: LedgerId = LedgerId([5; 16]);
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn signer(number: u8) -> Signer {
    Signer::from_seed(&[number; 32])
}

pub(crate) fn genesis() -> Genesis {
    genesis_of(Algorithm::Sha256d)
}

pub(crate) fn genesis_of(algorithm: Algorithm) -> Genesis {
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
        algorithm,
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
                direct_min: 0,
                direct_outputs: 0,
            }],
            immature_depth: 1,
            confirmed_depth: 6,
            orphan_depth: 3,
            threshold: 1,
            address_hold_ms: 0,
            network_fees: NetworkFees::Pool,
            auto_pay_limit: 0,
            payout_depth: 6,
            payout_final_depth: 12,
            writeoff_ms: 0,
            rounding_to_fee: false,
        },
    }
}

pub(crate) fn write_genesis(dir: &Path) {
    write(dir, &genesis());
}

pub(crate) fn write(dir: &Path, genesis: &Genesis) {
    let now = now_ms();
    let frame = genesis_frame(genesis, new_stream(), now, &signer(1)).expect("a genesis");
    let disk = RealDisk::new(dir.to_path_buf());
    let (mut store, _) = SegmentStore::open(disk, "segments", LEDGER, 0).expect("a folder");
    let mut state = State::new(LEDGER);
    let (verdict, _) = state
        .admit(&store, now, frame.bytes().to_vec())
        .expect("judged");
    let Verdict::Admitted(admitted) = verdict else {
        panic!("genesis: {verdict:?}");
    };
    store
        .append_frame(0, admitted.ledger_time, now, &frame)
        .and_then(|()| store.sync())
        .expect("written");
}

pub(crate) fn spool_config(role: Role) -> SpoolConfig {
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
pub(crate) fn disk_of(dir: &Path) -> RealDisk {
    RealDisk::new(dir.parent().expect("a folder").to_path_buf())
}

pub(crate) fn name_of(dir: &Path) -> &str {
    dir.file_name()
        .and_then(|name| name.to_str())
        .expect("a name")
}

pub(crate) fn open_reader(dir: &Path) -> (Reader<RealDisk>, Option<TornTail>) {
    let config = StoreConfig::default();
    Reader::open(disk_of(dir), name_of(dir), LEDGER, config, 0).expect("opens")
}

pub(crate) fn fatal() -> Fatal {
    Arc::new(|why: &str| panic!("{why}"))
}

pub(crate) fn archiver(dir: &Path, key: u8, log: &SharedLog, reader: LogReader) -> Running {
    let nowhere = Source::Folder {
        dir: dir.to_path_buf(),
        ledger: LEDGER,
    };
    archiver_with(dir, key, log, Some(reader), nowhere).0
}

/// An archiver that takes from `source` what the log does not have any more.
pub(crate) fn archiver_with(
    dir: &Path,
    key: u8,
    log: &SharedLog,
    reader: Option<LogReader>,
    source: Source,
) -> (Running, Arc<ArchiveStatus>) {
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
    start_archiver(archiver, log.clone(), reader, source, fatal()).expect("a thread")
}

/// A producer that says heartbeats, so that there is something to make final.
pub(crate) struct Producer {
    pub(crate) spool: Spool<RealDisk>,
    pub(crate) publisher: Publisher<RealDisk>,
    pub(crate) log: SharedLog,
    pub(crate) mirror: Mirror,
}

impl Producer {
    /// Says `frames` notes, a frame each, and waits until all of them are final.
    pub(crate) fn make_final(&mut self, frames: usize, what: &str) {
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

    pub(crate) fn wait_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
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

/// A producer whose spool is in `dir`, with its stream begun.
pub(crate) fn producer(dir: &Path, log: &SharedLog, mirror: &Mirror) -> Producer {
    let config = spool_config(Role::Gateway);
    let (mut spool, _) =
        Spool::open(disk_of(dir), name_of(dir), config, signer(4)).expect("a spool");
    spool.begin(now_ms(), new_stream()).expect("begun");
    Producer {
        spool,
        publisher: Publisher::new(),
        log: log.clone(),
        mirror: mirror.clone(),
    }
}
