//! Who else speaks in the log of these tests: the desk, a neighbour, and a clone of the gateway.

use std::time::{Duration, Instant};

use orebook_ledger::authority::thing_digest;
use orebook_ledger::build::{Cut, build_frame};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::log::Log as _;
use orebook_ledger::spool::Spool;
use orebook_schema::desk::BanTarget;
use orebook_schema::event::{Approval, KeyAction, KeyChange, RecoveryCode, RecoveryNote};
use orebook_schema::names::RegisteredName;
use orebook_schema::summary::Summary;
use orebook_schema::{At, Event, Hash, Role};
use tempfile::TempDir;

use crate::pool::{DEADLINE, LEDGER, Ledger, Setup, now_ms, signer, spool_config, stream};

impl Ledger {
    /// Says a note in a stream of the desk's, and waits until it is final. A heartbeat would do too, but archivers let it wait
    /// for a minute.
    pub(crate) fn neighbour_speaks(&self, spool: &mut Spool<RealDisk>) {
        let note = Event::RecoveryNote(RecoveryNote {
            code: RecoveryCode::TornTail,
            text: "the neighbour speaks".to_owned(),
        });
        spool.append(&[(now_ms(), note)]).expect("there is room");
        let frame = spool.cut().expect("a good disk").expect("a note");
        let (stream, seq) = (frame.header().stream, frame.header().first_seq);
        let mut log = self.log.clone();
        let start = Instant::now();
        loop {
            let incarnation = log.newest().expect("it is up").expect("it is open");
            log.send(incarnation, now_ms(), frame.bytes())
                .expect("the log takes everything");
            let reader = self.reader();
            let stands = reader.stands(reader.settled(), stream, seq, frame.header_hash());
            drop(reader);
            if stands.expect("a good disk") {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "the neighbour is not heard");
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// A producer of its own, whose stream is nobody else's.
    pub(crate) fn neighbour(&self) -> Spool<RealDisk> {
        let config = spool_config(Role::Desk, (1 << 20, 16 << 20));
        let opened = Spool::open(self.disk(), "neighbour", config, signer(Role::Desk));
        let (mut spool, _) = opened.expect("an empty folder");
        spool.begin(now_ms(), stream()).expect("room");
        spool
    }

    /// The desk says what becomes of gateways' keys, with the approvals that this needs. It stands in the log before whatever
    /// is sent after this, also while the log is down for everybody else.
    pub(crate) fn change_keys(&self, changes: &[(Role, KeyAction)]) {
        let things = changes.iter().map(|(key, action)| {
            Event::KeyChange(KeyChange {
                key: signer(*key).key(),
                role: Role::Gateway,
                action: *action,
                expects: At::default(),
            })
        });
        let approver = signer(Role::Paymaster);
        let approval = |thing: &Event| {
            let thing = thing_digest(LEDGER, thing);
            Event::Approval(Approval {
                thing,
                approver: approver.key(),
                signature: approver.sign_approval(LEDGER, &thing),
            })
        };
        let events: Vec<Event> = things
            .flat_map(|thing| [thing.clone(), approval(&thing)])
            .collect();
        let mut body = Vec::new();
        events.iter().for_each(|event| event.write(0, &mut body));
        let nothing = Summary { pots: Vec::new() };
        let cut = Cut {
            ledger: LEDGER,
            coin: 1,
            stream: stream(),
            epoch: 0,
            first_seq: 0,
            base_time: now_ms(),
            previous: Hash::ZERO,
            schema_set: 0,
            summary: &nothing,
            body: &body,
        };
        let frame = build_frame(&cut, &signer(Role::Desk)).expect("within a frame's limits");
        let mut log = self.log.held();
        let incarnation = log.newest().expect("it is in memory").expect("it is open");
        log.send(incarnation, now_ms(), frame.bytes())
            .expect("the log takes everything");
    }

    /// Place of a target's last obeyed ban or lift: what the next must expect.
    pub(crate) fn banned_at(&self, target: &BanTarget) -> At {
        self.await_genesis();
        let reader = self.reader();
        let authority = reader.settled().authority().expect("a final genesis");
        authority.ban(target).map_or(At::default(), |ban| ban.at)
    }

    /// Place of a name's last obeyed registration: what the next must expect.
    pub(crate) fn registered_at(&self, name: &RegisteredName) -> At {
        self.await_genesis();
        let reader = self.reader();
        let authority = reader.settled().authority().expect("a final genesis");
        authority.last_registration(name)
    }

    fn await_genesis(&self) {
        let start = Instant::now();
        while self.reader().settled().authority().is_none() {
            assert!(start.elapsed() < DEADLINE, "the genesis is not final");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// The first frame of the next epoch of the gateway's stream, as a copy of its spool says it.
pub(crate) fn cloned_frame(ledger: &Ledger) -> Vec<u8> {
    let from = ledger.path("spool");
    let to = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(to.path().join("spool")).expect("a new folder");
    for entry in std::fs::read_dir(from).expect("the spool") {
        let entry = entry.expect("a file");
        let copy = to.path().join("spool").join(entry.file_name());
        std::fs::copy(entry.path(), copy).expect("room");
    }
    let disk = RealDisk::new(to.path().to_path_buf());
    let config = spool_config(Role::Gateway, Setup::default().spool_bytes);
    let opened = Spool::open(disk, "spool", config, signer(Role::Gateway));
    let (mut spool, _) = opened.expect("a sound copy");
    spool.begin(now_ms(), stream()).expect("room");
    spool.append(&[(now_ms(), Event::Heartbeat)]).expect("room");
    let frame = spool.cut().expect("a good disk").expect("a heartbeat");
    frame.bytes().to_vec()
}

/// The desk, in a stream of its own.
pub(crate) struct Desk {
    spool: Spool<RealDisk>,
    _dir: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let disk = RealDisk::new(dir.path().to_path_buf());
        let config = spool_config(Role::Desk, Setup::default().spool_bytes);
        let opened = Spool::open(disk, "desk", config, signer(Role::Desk));
        let (mut spool, _) = opened.expect("a new spool");
        spool.begin(now_ms(), stream()).expect("room");
        Self { spool, _dir: dir }
    }

    /// Says something and waits until it is final.
    pub(crate) fn says(&mut self, ledger: &Ledger, event: Event) {
        self.spool.append(&[(now_ms(), event)]).expect("room");
        let frame = self.spool.cut().expect("a good disk").expect("an event");
        let header = frame.header();
        let mut log = ledger.log.clone();
        let incarnation = log.newest().expect("it is up").expect("it is open");
        log.send(incarnation, now_ms(), frame.bytes())
            .expect("the log takes everything");
        let start = Instant::now();
        loop {
            let reader = ledger.reader();
            let state = reader.settled().stream(header.stream);
            if state.is_some_and(|stream| stream.reaches(header.first_seq)) {
                return;
            }
            drop(reader);
            assert!(start.elapsed() < DEADLINE, "the desk is not heard");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
}
