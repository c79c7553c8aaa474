//! What a small world stands on: a ledger that has its genesis, one broker, one archiver, readers, and speakers without a mind
//! of their own, all on simulated disks. Who a test is about it puts there itself.

use orebook_ledger::admit::{State, Verdict};
use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::build::genesis_frame;
use orebook_ledger::disk::Disk as _;
use orebook_ledger::publisher::{Clock, Publisher};
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::{SegmentStore, StoreConfig};
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{Spool, SpoolConfig};
use orebook_schema::genesis::{Algorithm, Genesis};
use orebook_schema::names::{CoinName, Pot};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::{At, Event, Hash, Kind, LedgerId, Policy, Role, StreamId};

use crate::broker::SimBroker;
use crate::disk::SimDisk;

/// Folder of a reader's segments, on any disk.
const MIRROR: &str = "mirror";
/// Records that are read in a turn at most.
const RECORDS_MAX: usize = 100;

/// A key by its name.
#[must_use]
pub fn signer(name: u8) -> Signer {
    Signer::from_seed(&[name; 32])
}

/// A pot's rules, without fees.
#[must_use]
pub const fn pot(number: u16, scheme: Scheme) -> PotRules {
    PotRules {
        pot: Pot(number),
        scheme,
        n_ppm: 2_000_000,
        fee_ppm: 0,
        bonus_ppm: 0,
        stale_ppm: 0,
        keep_tx_fees: false,
        direct_min: 0,
        direct_outputs: 0,
    }
}

/// A policy of one PPLNS pot, with small depths and no delays.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        pots: vec![pot(0, Scheme::Pplns)],
        immature_depth: 2,
        confirmed_depth: 5,
        orphan_depth: 3,
        threshold: 1,
        address_hold_ms: 0,
        network_fees: NetworkFees::Pool,
        auto_pay_limit: 0,
        payout_depth: 6,
        payout_final_depth: 12,
        writeoff_ms: 0,
        rounding_to_fee: false,
    }
}

/// A genesis with these producers by their names, of short segments; the desk approves.
///
/// # Panics
/// If no desk is among them.
#[must_use]
pub fn genesis(ledger: LedgerId, producers: &[(u8, Role)]) -> Genesis {
    let desk = producers.iter().find(|(_, role)| *role == Role::Desk);
    let (desk, _) = desk.expect("somebody opens the ledger");
    let of = |(name, role): &(u8, Role)| (signer(*name).key(), *role);
    let mut producers: Vec<_> = producers.iter().map(of).collect();
    producers.sort_unstable();
    Genesis {
        ledger,
        coin: 1,
        coin_name: CoinName::parse("sim").expect("a name"),
        algorithm: Algorithm::Sha256d,
        decimals: 8,
        chain: Hash::ZERO,
        segment_positions: 8,
        segment_bytes: 65_536,
        digest_answers: 1,
        approvers: vec![signer(*desk).key()],
        approvals: Vec::new(),
        producers,
        schema_set: Kind::known(),
        policy: policy(),
    }
}

/// Small segments.
#[must_use]
pub const fn store_config() -> StoreConfig {
    StoreConfig {
        preallocate_bytes: 65_536,
    }
}

/// A spool of eight files.
#[must_use]
pub const fn spool_config(ledger: LedgerId, role: Role, file_bytes: u64) -> SpoolConfig {
    SpoolConfig {
        ledger,
        coin: 1,
        role,
        schema_set: 0,
        file_bytes,
        total_bytes: 8 * file_bytes,
    }
}

/// A disk with a ledger below folder `dir` that has its genesis, said by the desk `by`.
///
/// # Panics
/// If the genesis is not legal.
#[must_use]
pub fn disk_with_genesis(genesis: &Genesis, by: u8, seed: u64, dir: &str) -> SimDisk {
    let (disk, ledger) = (SimDisk::new(seed), genesis.ledger);
    let segments = format!("{dir}/segments");
    disk.create_dir(&segments).expect("a fresh disk");
    let opened = SegmentStore::open_with(disk.clone(), &segments, ledger, 0, store_config());
    let (mut store, _) = opened.expect("a fresh disk");
    let frame = genesis_frame(genesis, StreamId([1; 16]), 1_000, &signer(by)).expect("a genesis");
    let mut state = State::new(ledger);
    let judged = state.admit(&store, 1_000, frame.bytes().to_vec());
    let (verdict, _) = judged.expect("a fresh disk");
    let Verdict::Admitted(admitted) = verdict else {
        panic!("genesis is admitted: {verdict:?}")
    };
    store
        .append_frame(0, admitted.ledger_time, 1_000, &frame)
        .and_then(|()| store.sync())
        .expect("a fresh disk");
    disk
}

/// Opens a reader on a disk of [`disk_with_genesis`], in folder `mirror`.
///
/// # Errors
/// What the disk's faults make of it.
pub fn mirror(disk: &SimDisk, ledger: LedgerId) -> Result<Reader<SimDisk>, ReadError> {
    let (reader, _) = Reader::open(disk.clone(), MIRROR, ledger, store_config(), 0)?;
    Ok(reader)
}

/// A turn of a reader. What a dying disk makes of it tells the next step of whoever owns it.
///
/// # Panics
/// If it fails for another reason.
pub fn poll(reader: &mut Reader<SimDisk>, broker: &SimBroker) {
    match reader.poll(broker, RECORDS_MAX) {
        Ok(_) | Err(ReadError::Log(_) | ReadError::Unopened) => {}
        Err(error) => {
            let words = error.to_string();
            assert!(
                words.contains("crash") || words.contains("former life"),
                "{words}"
            );
        }
    }
}

/// An archiver on a disk of [`disk_with_genesis`], in folder `archive`.
///
/// # Panics
/// If the disk is another.
#[must_use]
pub fn archiver(disk: SimDisk, ledger: LedgerId, name: u8, now: u64) -> Archiver<SimDisk> {
    let config = ArchiverConfig {
        ledger,
        store: store_config(),
        spool: spool_config(
            ledger,
            Role::Archiver,
            orebook_ledger::spool::FILE_BYTES_MIN,
        ),
        signer: signer(name),
    };
    let stream = StreamId::from_parts(1, [3; 10]);
    let opened = Archiver::open(disk, "archive", config, now, stream);
    let (archiver, _) = opened.expect("a fresh disk");
    archiver
}

/// A turn of the archiver. A broker that fails it is asked again.
///
/// # Panics
/// If it fails for another reason.
pub fn archive(archiver: &mut Archiver<SimDisk>, broker: &mut SimBroker, now: u64) {
    let stream = StreamId::from_parts(now, [9; 10]);
    if let Err(error) = archiver.tick(broker, now, RECORDS_MAX, stream) {
        let words = error.to_string();
        assert!(
            words.contains("broker") || words.contains("timed out"),
            "{words}"
        );
    }
}

/// Somebody who says what he is told: a spool, a reader, a publisher.
#[derive(Debug)]
pub struct Speaker {
    /// What he says.
    pub spool: Spool<SimDisk>,
    /// What he reads.
    pub reader: Reader<SimDisk>,
    /// Sends it.
    pub publisher: Publisher<SimDisk>,
}

impl Speaker {
    /// Opens his spool, and a stream, on a fresh disk with this genesis.
    ///
    /// # Panics
    /// If the genesis is not legal.
    #[must_use]
    pub fn new(disk: SimDisk, genesis: &Genesis, name: u8, config: SpoolConfig, now: u64) -> Self {
        let reader = mirror(&disk, genesis.ledger).expect("a fresh disk");
        let opened = Spool::open(disk, "spool", config, signer(name));
        let (mut spool, _) = opened.expect("a fresh disk");
        if config.role == Role::Gateway {
            let policy = genesis.policy.clone().into();
            let learnt = spool.learn_policy(At::default(), policy);
            learnt.expect("a legal policy");
        }
        let stream = StreamId::from_parts(now, [name; 10]);
        spool.begin(now, stream).expect("a fresh disk");
        Self {
            spool,
            reader,
            publisher: Publisher::new(),
        }
    }

    /// Writes events of now; they are cut and sent at his next turns.
    ///
    /// # Panics
    /// If there is no room.
    pub fn write(&mut self, now: u64, events: &[Event]) {
        let timed: Vec<_> = events.iter().map(|event| (now, event.clone())).collect();
        self.spool.append(&timed).expect("there is room");
    }

    /// The same as one frame.
    ///
    /// # Panics
    /// If there is no room.
    pub fn say(&mut self, now: u64, events: &[Event]) {
        self.write(now, events);
        self.spool.cut().expect("his disk is well");
    }

    /// Cuts what is due, reads, and sends.
    ///
    /// # Panics
    /// If his disk fails.
    pub fn turn(&mut self, broker: &mut SimBroker, now: u64) {
        if self.spool.should_cut(now) {
            self.spool.cut().expect("his disk is well");
        }
        poll(&mut self.reader, broker);
        self.send(broker, now);
    }

    /// Sends without reading.
    ///
    /// # Panics
    /// If his disk fails.
    pub fn send(&mut self, broker: &mut SimBroker, now: u64) {
        let stream = StreamId::from_parts(now, [8; 10]);
        let (spool, reader) = (&mut self.spool, &mut self.reader);
        let ticked = self
            .publisher
            .tick(spool, reader, broker, Clock::at(now), stream);
        ticked.expect("his key is in force");
    }

    /// Whether all that he said is final, as of his last turn.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.publisher.is_idle()
    }
}
