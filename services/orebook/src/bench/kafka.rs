//! Speeds over real brokers: from a gateway to a projection, from an answer to the figure, reading a topic again, and what one
//! partition carries. Each line says what every process cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use orebook_archiver::now_ms;
use orebook_kafka::{KafkaConfig, KafkaLog};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::log::{Log as _, LogError};
use orebook_ledger::segment::{Record, SegmentStore, Verified, verify_files};
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::genesis::Algorithm;
use orebook_schema::{FRAME_EVENTS_MAX, Hash, Kind, Role};

use super::brokers::Brokers;
use super::check::{Checked, each_once};
use super::gateway::{GatewayFigures, GatewayOrder, GatewaySettings, Ready};
use super::ground::{ARCHIVE, COIN, LEDGER, LOGIN, MIRROR, failed, write_genesis, write_key};
use super::http::get;
use super::load::{LoadFigures, LoadSettings};
use super::process::{Part, can_pin, cpu_ns};
use super::reader::{ReaderFigures, ReaderSettings};
use super::sim::{HOUSE_MS, Sent, Sim};
use super::{Milli, Point};
use crate::{Failure, say};

/// How long shares are sent.
const SUSTAINED_MS: u64 = 60_000;
/// The same where the answer's way to the page is timed.
const TIMED_MS: u64 = 20_000;
/// Shares a second of that.
const TIMED_PACE: u32 = 1_000;
/// Longest wait for what was sent to be shown.
const PATIENCE: Duration = Duration::from_secs(300);
/// Sleep between two looks at the API. What is measured by it is ten times as long at least.
const LOOK: Duration = Duration::from_millis(5);
/// Frames of 1,000 shares that are read again.
const FRAMES: u64 = 4_000;
/// Frames that go round and round through one partition, and for how long.
const ROUND_FRAMES: u64 = 2_000;
const ROUND_MS: u64 = 10_000;
/// Folders of the roles that are processes of their own.
const ARCHIVER_HOME: &str = "archiver";
const PROJECTOR_HOME: &str = "projector";
/// Core of a reader that is measured by the core; brokers have the other.
const READER_CORE: u8 = 0;

type Extra = Vec<(&'static str, String)>;

fn kafka(error: impl std::fmt::Display) -> Failure {
    failed("kafka", error)
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// Runs once in an empty folder each time.
fn points(
    dir: &Path,
    runs: usize,
    mut once: impl FnMut(&Path) -> Result<Vec<Point>, Failure>,
) -> Result<Vec<Point>, Failure> {
    let mut points = Vec::new();
    for number in 1..=runs {
        let dir = dir.join(number.to_string());
        fs::create_dir(&dir).map_err(|error| failed("a folder", error))?;
        // Roles and brokers take folders by their own names, wherever they stand.
        let dir = fs::canonicalize(&dir).map_err(|error| failed("a folder", error))?;
        points.extend(once(&dir)?);
        fs::remove_dir_all(&dir).map_err(|error| failed("a folder", error))?;
    }
    Ok(points)
}

/// Every process of a pool over brokers, but the one that sends.
struct Pool {
    brokers: Brokers,
    gateway: Part,
    address: std::net::SocketAddr,
    archiver: Part,
    projector: Part,
    api: std::net::SocketAddr,
}

/// Processor time of each, nanoseconds.
#[derive(Clone, Copy)]
struct Cost {
    brokers: u64,
    gateway: u64,
    archiver: u64,
    projector: u64,
}

/// What a role says on stdout when it serves.
#[derive(serde::Deserialize)]
struct Serves {
    http: std::net::SocketAddr,
}

/// The folder of a role: the genesis is in it already.
fn role(
    dir: &Path,
    home: &str,
    arguments: &[&str],
    core: Option<u8>,
) -> Result<(Part, std::net::SocketAddr), Failure> {
    let config = dir.join("roles.toml");
    let (data, config) = (dir.join(home), config.to_string_lossy().into_owned());
    let data = data.to_string_lossy().into_owned();
    let common = ["--format", "json", "--data", &data, "--config", &config];
    let mut part = Part::start_role(home, core, dir, &[arguments, &common].concat())?;
    let serves: Serves = part.hear()?;
    Ok((part, serves.http))
}

fn write_config(dir: &Path, brokers: &Brokers) -> Result<(), Failure> {
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[kafka]\nbrokers = {:?}\nreplication = 1\nmin_isr = 1\ni_know = true\n",
        brokers.addresses()
    );
    fs::write(dir.join("roles.toml"), text).map_err(|error| failed("roles.toml", error))
}

impl Pool {
    fn start(home: &Path, dir: &Path) -> Result<Self, Failure> {
        let brokers = Brokers::start(home, dir, 1)?;
        let disk = RealDisk::new(dir.to_path_buf());
        let ledgers = [ARCHIVER_HOME, PROJECTOR_HOME].map(|home| format!("{home}/ledger"));
        let folders = [MIRROR, &ledgers[0], &ledgers[1]];
        write_genesis(&disk, (65_536, Algorithm::Sha256d), now_ms(), &folders)?;
        write_key(
            &dir.join(ARCHIVER_HOME).join("keys/archiver-1.key"),
            Role::Archiver,
        )?;
        write_config(dir, &brokers)?;
        let (archiver, _) = role(dir, ARCHIVER_HOME, &["archiver"], None)?;
        let (projector, api) = role(dir, PROJECTOR_HOME, &["projector"], None)?;
        let settings = GatewaySettings {
            dir: dir.to_path_buf(),
            brokers: brokers.addresses(),
            ..GatewaySettings::default()
        };
        let mut gateway = Part::start("gateway", None, dir, &settings)?;
        let ready: Ready = gateway.hear()?;
        Ok(Self {
            brokers,
            gateway,
            address: ready.address,
            archiver,
            projector,
            api,
        })
    }

    fn cost(&self) -> Result<Cost, Failure> {
        Ok(Cost {
            brokers: self.brokers.cpu_ns()?,
            gateway: cpu_ns(self.gateway.pid())?,
            archiver: cpu_ns(self.archiver.pid())?,
            projector: cpu_ns(self.projector.pid())?,
        })
    }

    /// Shares of the bench's account that the API shows; none while the account is not known.
    fn shown(&self) -> Result<u64, Failure> {
        let said = get(self.api, &format!("/api/v1/accounts/name:{LOGIN}"))?;
        let count = |what: &str| said.as_ref()?.get(what)?.as_u64();
        Ok(count("accepted").unwrap_or(0) + count("stale").unwrap_or(0))
    }

    fn until_shown(&self, shares: u64) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            let shown = self.shown()?;
            if shares <= shown {
                return Ok(());
            }
            if PATIENCE < started.elapsed() {
                let what = format!("{shown} of {shares} shares are shown after {PATIENCE:?}");
                return Err(Failure::new(what).found());
            }
            std::thread::sleep(LOOK);
        }
    }

    fn load(&self, connections: u32, in_flight: u32, pace: u32, times: bool) -> LoadSettings {
        LoadSettings {
            address: self.address,
            connections,
            in_flight,
            pace,
            warm_ms: 1_000,
            measure_ms: if times { TIMED_MS } else { SUSTAINED_MS },
            gateway_pid: self.gateway.pid(),
            tell_times: times,
        }
    }

    /// Ends it; the archiver's ledger holds each share that was answered `true` once.
    fn end(mut self, dir: &Path, sent: &LoadFigures) -> Result<Checked, Failure> {
        self.gateway.order(&GatewayOrder::Finish)?;
        let recorded: GatewayFigures = self.gateway.hear()?;
        self.gateway.end()?;
        self.projector.ask_to_end()?;
        self.archiver.ask_to_end()?;
        let checked = each_once(dir, &format!("{ARCHIVER_HOME}/ledger"), &sent.sessions)?;
        let others = each_once(dir, MIRROR, &sent.sessions)?;
        if checked.shares != recorded.recorded || others.shares != checked.shares {
            let message = format!(
                "{} shares were answered and are in the ledger, the gateway says {recorded:?}",
                checked.shares
            );
            return Err(Failure::new(message).found());
        }
        Ok(checked)
    }
}

/// Hundredths of a core as text: processor time over time.
fn cores(cpu_ns: u64, nanos: u64) -> String {
    Milli::ratio(u128::from(cpu_ns), u128::from(nanos)).to_string()
}

impl Cost {
    fn since(self, before: Self, load_ns: u64, nanos: u64) -> Extra {
        vec![
            ("brokers_cores", cores(self.brokers - before.brokers, nanos)),
            ("gateway_cores", cores(self.gateway - before.gateway, nanos)),
            (
                "archiver_cores",
                cores(self.archiver - before.archiver, nanos),
            ),
            (
                "projector_cores",
                cores(self.projector - before.projector, nanos),
            ),
            ("generator_cores", cores(load_ns, nanos)),
        ]
    }
}

fn text(words: &str) -> String {
    serde_json::Value::from(words).to_string()
}

/// `kafka_end_to_end`: from the first share to the last one's being shown, everything on this machine's cores.
pub(super) fn end_to_end(home: &Path, dir: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    points(dir, runs, |dir| {
        let pool = Pool::start(home, dir)?;
        let before = pool.cost()?;
        let started = Instant::now();
        let mut load = Part::start("load", None, dir, &pool.load(16, 32, 0, false))?;
        let sent: LoadFigures = load.hear()?;
        load.end()?;
        let (shares, sending) = (total(&sent), nanos(started));
        let shown_then = pool.shown()?;
        pool.until_shown(shares)?;
        let took = nanos(started);
        let mut extra = pool.cost()?.since(before, sent.generator_cpu_ns, took);
        let checked = pool.end(dir, &sent)?;
        let value = Milli::per_second(shares, took);
        say(&format!(
            "  {value} shares/s from gateway to projection; each of {} answered shares is in the ledger once",
            checked.shares
        ));
        extra.extend([
            ("regime", text("one broker, gateway, archiver, projector with its API and the generator on all cores of this machine, not pinned")),
            ("answered_per_second", Milli::per_second(sent.accepted, sent.nanos).to_string()),
            ("sending_s", Milli::ratio(sending.into(), 1_000_000_000).to_string()),
            ("until_shown_s", Milli::ratio(took.into(), 1_000_000_000).to_string()),
            ("shown_when_sending_ended", shown_then.to_string()),
            ("answer_p99_ms", Milli::ratio(sent.answer_p99_us.into(), 1_000).to_string()),
            ("ledger_positions", checked.positions.to_string()),
            ("answered_and_found_once", checked.shares.to_string()),
        ]);
        Ok(vec![Point {
            part: "rate",
            value,
            extra,
        }])
    })
}

/// Shares that were answered `true`, the warm-up's included.
fn total(sent: &LoadFigures) -> u64 {
    let refused = |session: &super::load::SessionSent| session.refused.len() as u64;
    let of = |session: &super::load::SessionSent| u64::from(session.sent) - refused(session);
    sent.sessions.iter().map(of).sum()
}

/// `kafka_visible_p99`: the k-th share is visible once the API counts k.
pub(super) fn visible(home: &Path, dir: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    points(dir, runs, |dir| {
        let pool = Pool::start(home, dir)?;
        let before = pool.cost()?;
        let started = Instant::now();
        let settings = pool.load(100, 1, TIMED_PACE, true);
        let (warm, measure) = (settings.warm_ms, settings.measure_ms);
        let mut load = Part::start("load", None, dir, &settings)?;
        let mut looks: Vec<(u64, u64)> = Vec::new();
        let over = Duration::from_millis(warm + measure) + Duration::from_secs(5);
        while started.elapsed() < over {
            let shown = pool.shown()?;
            // After the answer: what it says was there at this time at the latest.
            let at = now_us();
            if looks.last().is_none_or(|(_, before)| *before < shown) {
                looks.push((at, shown));
            }
            std::thread::sleep(LOOK);
        }
        let sent: LoadFigures = load.hear()?;
        load.end()?;
        let took = nanos(started);
        let mut extra = pool.cost()?.since(before, sent.generator_cpu_ns, took);
        let waits = waits(&sent, &looks)?;
        let checked = pool.end(dir, &sent)?;
        let at = |per_mille: usize| {
            let place = (waits.len() * per_mille / 1_000).min(waits.len().saturating_sub(1));
            Milli(waits.get(place).copied().unwrap_or(0))
        };
        let value = at(990);
        say(&format!(
            "  {value} ms; each of {} answered shares is in the ledger once",
            checked.shares
        ));
        extra.extend([
            ("regime", text("one broker, all roles as processes on all cores of this machine, not pinned; the API is asked each 5 ms")),
            ("p50_ms", at(500).to_string()),
            ("longest_ms", at(1_000).to_string()),
            ("timed", waits.len().to_string()),
            ("sent_late", sent.late.to_string()),
            ("answered_and_found_once", checked.shares.to_string()),
        ]);
        Ok(vec![Point {
            part: "p99",
            value,
            extra,
        }])
    })
}

/// Microseconds from each answer to the first look that counted it, ascending.
fn waits(sent: &LoadFigures, looks: &[(u64, u64)]) -> Result<Vec<u64>, Failure> {
    let mut waits = Vec::new();
    for (number, answered) in (sent.answered_before + 1..).zip(&sent.answered_us) {
        let place = looks.partition_point(|(_, shown)| *shown < number);
        let (at, _) = looks
            .get(place)
            .ok_or_else(|| Failure::new(format!("share {number} was never shown")).found())?;
        waits.push(at.saturating_sub(*answered));
    }
    waits.sort_unstable();
    Ok(waits)
}

/// A ledger in a topic, written by a publisher and an archiver.
struct Topic {
    brokers: Brokers,
    dir: PathBuf,
    final_size: u64,
    shares: u64,
}

impl Topic {
    /// Writes it; `homes` get its genesis.
    fn fill(home: &Path, dir: &Path, homes: &[String]) -> Result<Self, Failure> {
        let dir = fs::canonicalize(dir).map_err(|error| failed("a folder", error))?;
        let brokers = Brokers::start(home, &dir, 1)?;
        write_config(&dir, &brokers)?;
        say(&format!("  writing a topic of {FRAMES} frames"));
        let homes: Vec<&str> = homes.iter().map(String::as_str).collect();
        let mut sim = Sim::open_recorded(&dir, &homes)?;
        say_frames(&mut sim, FRAMES)?;
        sim.settle()?;
        let (final_size, shares) = (sim.final_size(), sim.shares());
        let sent = sim.sent();
        let (opened, records) = match &sent {
            Some(Sent {
                opened: Some(opened),
                records,
            }) => (opened, records),
            _ => return Err(Failure::new("nothing was kept")),
        };
        let config = KafkaConfig::development(brokers.addresses());
        let mut log = KafkaLog::open(&config, COIN, LEDGER).map_err(kafka)?;
        open_topic(&mut log, opened)?;
        send_all(&mut log, records.iter())?;
        Ok(Self {
            brokers,
            dir,
            final_size,
            shares,
        })
    }

    /// The segments in a folder hold the whole topic: every byte, hash, root and signature, and each share once.
    fn check(&self, folder: &str) -> Result<Verified, Failure> {
        let disk = RealDisk::new(self.dir.clone());
        let verify = |folder: &str| {
            verify_files(
                &disk,
                &format!("{folder}/segments"),
                Some(LEDGER),
                &mut |_| {},
            )
            .map_err(|fault| failed(folder, fault).found())
        };
        let (read, written) = (verify(folder)?, verify(ARCHIVE)?);
        // A share said twice would be a frame more, and another root.
        if read.shares != self.shares
            || written.shares != self.shares
            || read.final_size < self.final_size
        {
            let message = format!("{} shares were said, {read:?} were read", self.shares);
            return Err(Failure::new(message).found());
        }
        Ok(read)
    }
}

/// Frames of 1,000 shares, one a turn.
fn say_frames(sim: &mut Sim, frames: u64) -> Result<(), Failure> {
    let count = FRAME_EVENTS_MAX as u64;
    for _ in 0..frames {
        let now = sim.now();
        sim.say_shares((0..count).map(|share| now + share * HOUSE_MS / count))?;
        sim.cut()?;
        sim.turn()?;
    }
    Ok(())
}

fn homes(name: &str, runs: usize) -> Vec<String> {
    (1..=runs).map(|run| format!("{name}-{run}")).collect()
}

/// `kafka_mirror`: a reader from nothing: the topic through admission into synced segments.
pub(super) fn mirror(home: &Path, dir: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    let folders = homes("again", runs);
    let topic = Topic::fill(home, dir, &folders)?;
    let mut points = Vec::new();
    for folder in &folders {
        let pinned = can_pin();
        let settings = ReaderSettings {
            dir: topic.dir.clone(),
            folder: folder.clone(),
            brokers: topic.brokers.addresses(),
            positions: topic.final_size,
        };
        let before = topic.brokers.cpu_ns()?;
        let mut reader = Part::start("reader", pinned.then_some(READER_CORE), dir, &settings)?;
        let read: ReaderFigures = reader.hear()?;
        let brokers = topic.brokers.cpu_ns()? - before;
        reader.end()?;
        let checked = topic.check(folder)?;
        let value = Milli::per_second(topic.shares, read.nanos);
        say(&format!(
            "  {value} shares/s; the ledger is whole, {} shares",
            checked.shares
        ));
        let regime = if pinned {
            "one reader, all its threads pinned to one core, one broker not pinned"
        } else {
            "NOT pinned (taskset or a second core is missing)"
        };
        let extra = vec![
            ("regime", text(regime)),
            ("reader_cores", cores(read.cpu_ns, read.nanos)),
            ("brokers_cores", cores(brokers, read.nanos)),
            ("shares", topic.shares.to_string()),
            ("positions", topic.final_size.to_string()),
            ("segment_bytes", checked.bytes.to_string()),
        ];
        points.push(Point {
            part: "rate",
            value,
            extra,
        });
    }
    Ok(points)
}

/// `projector_catchup`: the role itself, from nothing: mirror, every fold, RocksDB, API.
pub(super) fn catchup(home: &Path, dir: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    let names = homes(PROJECTOR_HOME, runs);
    let ledgers: Vec<String> = names.iter().map(|name| format!("{name}/ledger")).collect();
    let topic = Topic::fill(home, dir, &ledgers)?;
    let mut points = Vec::new();
    for name in &names {
        let pinned = can_pin();
        let before = topic.brokers.cpu_ns()?;
        let started = Instant::now();
        let core = pinned.then_some(READER_CORE);
        let (projector, api) = role(&topic.dir, name, &["projector"], core)?;
        let mut size = 0;
        while size < topic.final_size {
            if PATIENCE < started.elapsed() {
                return Err(
                    Failure::new(format!("{size} of {} positions", topic.final_size)).found(),
                );
            }
            std::thread::sleep(LOOK);
            let said = get(api, "/api/v1/ledger")?;
            size = said
                .and_then(|said| said.get("as_of")?.as_u64())
                .unwrap_or(0);
        }
        let took = nanos(started);
        let (cost, brokers) = (cpu_ns(projector.pid())?, topic.brokers.cpu_ns()? - before);
        projector.ask_to_end()?;
        let checked = topic.check(&format!("{name}/{MIRROR}"))?;
        let value = Milli::per_second(topic.shares, took);
        say(&format!(
            "  {value} shares/s; the ledger is whole, {} shares",
            checked.shares
        ));
        let regime = if pinned {
            "the role, all its threads pinned to one core, one broker not pinned; 10,000 rigs of 2,500 accounts"
        } else {
            "NOT pinned (taskset or a second core is missing)"
        };
        let extra = vec![
            ("regime", text(regime)),
            ("projector_cores", cores(cost, took)),
            ("brokers_cores", cores(brokers, took)),
            ("shares", topic.shares.to_string()),
            ("positions", topic.final_size.to_string()),
        ];
        points.push(Point {
            part: "rate",
            value,
            extra,
        });
    }
    Ok(points)
}

/// `kafka_one_partition`: frames of 1,000 shares through one topic of three replicas, as fast as they are acknowledged.
pub(super) fn one_partition(home: &Path, dir: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    let frames = frames(&dir.join("frames"))?;
    points(dir, runs, |dir| {
        let brokers = Brokers::start(home, dir, 3)?;
        let config = KafkaConfig {
            replication: 3,
            min_isr: 2,
            ..KafkaConfig::development(brokers.addresses())
        };
        let mut log = KafkaLog::open(&config, COIN, LEDGER).map_err(kafka)?;
        open_topic(&mut log, &first())?;
        let (own, before) = (cpu_ns(std::process::id())?, brokers.cpu_ns()?);
        let started = Instant::now();
        let until = started + Duration::from_millis(ROUND_MS);
        let round = frames.iter().cycle().take_while(|_| Instant::now() < until);
        let sent = send_all(&mut log, round)?;
        let took = nanos(started);
        let (own, cost) = (
            cpu_ns(std::process::id())? - own,
            brokers.cpu_ns()? - before,
        );
        let began = Instant::now();
        read_back(&log, &frames, sent)?;
        let read = nanos(began);
        let value = Milli::per_second(sent, took);
        let bytes: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
        say(&format!(
            "  {value} frames/s; each of {sent} was read back once and in order"
        ));
        let extra = vec![
            (
                "regime",
                text(
                    "three brokers, three replicas, acks=all, zstd, LogAppendTime, everything on all cores of this machine",
                ),
            ),
            ("frame_bytes", (bytes / ROUND_FRAMES).to_string()),
            (
                "shares_per_second",
                Milli::per_second(sent * 1_000, took).to_string(),
            ),
            (
                "read_back_per_second",
                Milli::per_second(sent, read).to_string(),
            ),
            ("brokers_cores", cores(cost, took)),
            ("producer_cores", cores(own, took)),
        ];
        Ok(vec![Point {
            part: "rate",
            value,
            extra,
        }])
    })
}

/// Full frames as a gateway makes them.
fn frames(dir: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    fs::create_dir(dir).map_err(|error| failed("a folder", error))?;
    let mut sim = Sim::open(dir, 65_536)?;
    say_frames(&mut sim, ROUND_FRAMES)?;
    sim.settle()?;
    let store: &SegmentStore<RealDisk> = sim.store();
    let full = store.records(0).filter_map(|record| match record {
        Ok(Record::Frame(stored)) => Some(stored.frame),
        _ => None,
    });
    let is_full = |frame: &orebook_schema::Frame| {
        frame.header().kinds == Kind::Share.bit()
            && usize::try_from(frame.header().count).is_ok_and(|count| count == FRAME_EVENTS_MAX)
    };
    let frames: Vec<Vec<u8>> = full
        .filter(is_full)
        .map(|frame| frame.bytes().to_vec())
        .collect();
    if frames.len() as u64 == ROUND_FRAMES {
        Ok(frames)
    } else {
        Err(Failure::new(format!(
            "{} full frames were made",
            frames.len()
        )))
    }
}

/// The opening record of a log that no reader of a ledger will see.
const fn first() -> IncarnationOpened {
    IncarnationOpened {
        ledger: LEDGER,
        incarnation: 0,
        next_position: 0,
        root: Hash::ZERO,
    }
}

fn open_topic(log: &mut KafkaLog, opened: &IncarnationOpened) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        match log.open_incarnation(now_ms(), opened) {
            Ok(()) => return Ok(()),
            // Brokers that have just started do not answer everything at once.
            Err(LogError::Unavailable(_)) if started.elapsed() < PATIENCE => {
                std::thread::sleep(LOOK);
            }
            Err(error) => return Err(kafka(error)),
        }
    }
}

/// Sends these in order, as fast as they are taken, and waits until all are acknowledged. Returns how many.
fn send_all<'r>(
    log: &mut KafkaLog,
    records: impl Iterator<Item = &'r Vec<u8>>,
) -> Result<u64, Failure> {
    let mut sent = 0;
    for record in records {
        loop {
            match log.send(0, now_ms(), record) {
                Ok(()) => break,
                Err(LogError::Full) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(kafka(error)),
            }
        }
        sent += 1;
    }
    let started = Instant::now();
    while 0 < log.in_flight() {
        std::thread::sleep(Duration::from_millis(1));
        if PATIENCE < started.elapsed() {
            return Err(Failure::new("records are never acknowledged"));
        }
    }
    Ok(sent)
}

/// Every record that was sent is there once, in order, with its bytes.
fn read_back(log: &KafkaLog, frames: &[Vec<u8>], sent: u64) -> Result<(), Failure> {
    let started = Instant::now();
    let mut wanted = frames.iter().cycle();
    let mut offset = 1;
    while offset <= sent {
        let records = match log.read(0, offset, 512) {
            Ok(records) => records,
            Err(LogError::Unavailable(_)) if started.elapsed() < PATIENCE => continue,
            Err(error) => return Err(kafka(error)),
        };
        for record in records {
            if record.offset != offset || Some(&record.bytes) != wanted.next() {
                return Err(Failure::new(format!("offset {offset} holds another record")).found());
            }
            offset += 1;
        }
        if PATIENCE < started.elapsed() {
            return Err(
                Failure::new(format!("{} of {sent} records were read back", offset - 1)).found(),
            );
        }
    }
    if offset != sent + 1 {
        return Err(Failure::new(format!("{} records, {sent} were sent", offset - 1)).found());
    }
    match log.read(0, offset, 1) {
        Ok(more) if more.is_empty() => Ok(()),
        Ok(_) => Err(Failure::new("there are more records than were sent").found()),
        Err(error) => Err(kafka(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: u64, answered_us: &[u64]) -> LoadFigures {
        LoadFigures {
            accepted: 0,
            nanos: 0,
            gateway_cpu_ns: 0,
            generator_cpu_ns: 0,
            answer_p50_us: 0,
            answer_p99_us: 0,
            late: 0,
            sessions: Vec::new(),
            answered_us: answered_us.to_vec(),
            answered_before: before,
        }
    }

    #[test]
    fn a_share_is_visible_with_the_first_look_that_counts_it() {
        // Two before; the third, fourth and fifth were answered at 10, 20 and 30.
        let sent = told(2, &[10, 20, 30]);
        let looks = [(12, 2), (15, 3), (40, 5)];
        assert_eq!(waits(&sent, &looks).unwrap(), [5, 10, 20]);
        assert!(waits(&sent, &looks[..2]).is_err(), "one was never shown");
    }
}
