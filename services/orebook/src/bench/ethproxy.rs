//! `gateway_ethproxy_recorded`: shares of ethash as eth-proxy rigs send them. A share's mix takes as long to make as to check,
//! so nonces and mixes are made before anything is measured; work 1 lets every nonce be a share, and spares the gateway
//! nothing: it makes the mix of each again.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use orebook_gateway::Caches;
use orebook_pow::ethash::{Answer, EPOCH_BLOCKS, EpochRule, Prove, Question, TOGETHER_MAX};
use orebook_schema::units::hex;
use serde::{Deserialize, Serialize};

use super::check::each_nonce_once;
use super::edge::{Stage, each_run, percent, points};
use super::gateway::{GatewayFigures, GatewayOrder, GatewaySettings};
use super::ground::{LOGIN, MIRROR, eth_seal, failed};
use super::process::{Part, cpu_ns};
use super::{Milli, Point, Size};
use crate::{Failure, print, say};

/// Bytes of a mix.
const MIX_BYTES: usize = 32;
/// Threads that make mixes.
const MAKERS: usize = 2;
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How large everything is.
#[derive(Clone, Copy)]
struct Extent {
    epoch: u64,
    rigs: u32,
    warm_ms: u64,
    measure_ms: u64,
    /// Nonces that are made; nobody should need more.
    nonces: usize,
}

const WHOLE: Extent = Extent {
    epoch: 450,
    rigs: 64,
    warm_ms: 1_000,
    measure_ms: 4_000,
    nonces: 16_000,
};

const SMALL: Extent = Extent {
    epoch: 0,
    rigs: 4,
    warm_ms: 50,
    measure_ms: 200,
    nonces: 2_000,
};

/// What the process with the rigs is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RigsSettings {
    address: SocketAddr,
    rigs: u32,
    warm_ms: u64,
    measure_ms: u64,
    gateway_pid: u32,
    /// Mixes of the nonces, one behind the other.
    mixes: PathBuf,
}

/// What it says at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RigsFigures {
    /// Answered `true` within the measured time.
    accepted: u64,
    nanos: u64,
    gateway_cpu_ns: u64,
    rigs_cpu_ns: u64,
    /// Numbers of the nonces that were answered, and whether `true`.
    answered: Vec<(usize, bool)>,
}

/// The nonce of this number: all over its range, as rigs have them.
fn nonce(number: usize) -> u64 {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// `gateway_ethproxy_recorded`.
pub(super) fn run(dir: &Path, runs: usize, size: Size) -> Result<Vec<Point>, Failure> {
    let extent = size.of(WHOLE, SMALL);
    let dir = std::fs::canonicalize(dir).map_err(|error| failed("a folder", error))?;
    let (caches, mixes) = (dir.join("caches"), dir.join("mixes"));
    let start = Instant::now();
    make_mixes(extent, &caches, &mixes)?;
    let made_ms = start.elapsed().as_millis();
    say(&format!(
        "  {} mixes of epoch {} made in {made_ms} ms",
        extent.nonces, extent.epoch
    ));
    each_run(&dir, runs, |dir| once(dir, extent, &caches, &mixes))
}

/// Makes the epoch's cache and writes the mix of each nonce.
fn make_mixes(extent: Extent, caches: &Path, mixes: &Path) -> Result<(), Failure> {
    let rule = EpochRule::Ethash;
    let made = Caches::start(rule, Some(caches), Arc::new(|| {}));
    let made = made.map_err(|error| failed("caches", error))?;
    let epoch = rule.epoch(extent.epoch * EPOCH_BLOCKS);
    let cache = made.wait(epoch.ok_or_else(|| Failure::new("an epoch that nobody knows"))?);
    let numbers: Vec<usize> = (0..extent.nonces).collect();
    let parts = numbers.chunks(extent.nonces.div_ceil(MAKERS));
    let answers = std::thread::scope(|scope| {
        let makers: Vec<_> = parts
            .map(|part| scope.spawn(|| answers(&*cache, part)))
            .collect();
        let made = makers.into_iter().map(std::thread::ScopedJoinHandle::join);
        made.collect::<Result<Vec<_>, _>>()
    });
    let answers = answers.map_err(|_| Failure::new("a thread that makes mixes panicked"))?;
    let bytes: Vec<u8> = answers
        .iter()
        .flatten()
        .flat_map(|answer| answer.mix.0)
        .collect();
    std::fs::write(mixes, bytes).map_err(|error| failed("mixes", error))
}

fn answers(cache: &dyn Prove, numbers: &[usize]) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(numbers.len());
    let seal = eth_seal();
    for some in numbers.chunks(TOGETHER_MAX) {
        let questions: Vec<Question> = some
            .iter()
            .map(|number| Question {
                seal,
                nonce: nonce(*number),
            })
            .collect();
        cache.prove(&questions, &mut answers);
    }
    answers
}

fn once(dir: &Path, extent: Extent, caches: &Path, mixes: &Path) -> Result<Vec<Point>, Failure> {
    let settings = GatewaySettings {
        ethash: Some((extent.epoch, caches.to_path_buf())),
        ..GatewaySettings::default()
    };
    let mut stage = Stage::open(dir, settings)?;
    let settings = RigsSettings {
        address: stage.address,
        rigs: extent.rigs,
        warm_ms: extent.warm_ms,
        measure_ms: extent.measure_ms,
        gateway_pid: stage.gateway.pid(),
        mixes: mixes.to_path_buf(),
    };
    let mut rigs = Part::start("rigs", stage.core(), &stage.dir, &settings)?;
    let sent: RigsFigures = rigs.hear()?;
    rigs.end()?;
    let mut extra = stage.regime(&format!(
        "{} rigs x 1 share in flight, epoch {}, one thread of checks",
        extent.rigs, extent.epoch
    ));
    stage.gateway.order(&GatewayOrder::Finish)?;
    let recorded: GatewayFigures = stage.gateway.hear()?;
    stage.gateway.end()?;
    let answered: BTreeMap<u64, bool> = sent
        .answered
        .iter()
        .map(|(number, is_accepted)| (nonce(*number), *is_accepted))
        .collect();
    let checked = each_nonce_once(&stage.dir, MIRROR, &answered)?;
    if checked.shares != recorded.accepted || checked.shares != recorded.recorded {
        let message = format!(
            "{} shares were answered and are in the ledger, the gateway says {recorded:?}",
            checked.shares
        );
        return Err(Failure::new(message).found());
    }
    let rate = Milli::per_second(sent.accepted, sent.nanos);
    let cpu = u128::from(sent.gateway_cpu_ns);
    say(&format!(
        "  {rate} shares/s; each of {} answered shares is in the ledger once",
        checked.shares
    ));
    let each = Milli::ratio(cpu, u128::from(sent.accepted) * 1_000);
    let refused = sent.answered.iter().filter(|(_, accepted)| !accepted);
    extra.extend([
        ("gateway_cpu_us_a_share", each.to_string()),
        (
            "gateway_core_percent",
            percent(sent.gateway_cpu_ns, sent.nanos),
        ),
        ("rigs_core_percent", percent(sent.rigs_cpu_ns, sent.nanos)),
        ("refused", refused.count().to_string()),
        ("ledger_positions", checked.positions.to_string()),
        ("ledger_bytes", checked.bytes.to_string()),
        ("answered_and_found_once", checked.shares.to_string()),
    ]);
    Ok(points(&[("rate", rate)], &extra))
}

/// What rigs share.
struct Common {
    mixes: Vec<u8>,
    next: AtomicUsize,
    accepted: AtomicU64,
    stop: AtomicBool,
}

/// The process with the rigs, a thread each. Runs until the measured time is over.
pub(super) fn run_rigs() -> Result<(), Failure> {
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| failed("settings", error))?;
    let settings: RigsSettings =
        serde_json::from_str(&line).map_err(|error| failed("settings", error))?;
    let mixes = std::fs::read(&settings.mixes).map_err(|error| failed("mixes", error))?;
    let common = Arc::new(Common {
        mixes,
        next: AtomicUsize::new(0),
        accepted: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let rigs: Vec<Rig> = (0..settings.rigs)
        .map(|number| Rig::open(settings.address, number))
        .collect::<Result<_, _>>()?;
    let threads: Vec<_> = rigs
        .into_iter()
        .map(|rig| {
            let common = Arc::clone(&common);
            std::thread::spawn(move || rig.mine(&common))
        })
        .collect();
    let moment = || -> Result<_, Failure> {
        let cpu = (cpu_ns(settings.gateway_pid)?, cpu_ns(std::process::id())?);
        Ok((Instant::now(), common.accepted.load(Ordering::SeqCst), cpu))
    };
    std::thread::sleep(Duration::from_millis(settings.warm_ms));
    let (from, before, cpu_before) = moment()?;
    std::thread::sleep(Duration::from_millis(settings.measure_ms));
    let (to, after, cpu_after) = moment()?;
    common.stop.store(true, Ordering::SeqCst);
    let mut answered = Vec::new();
    for thread in threads {
        let of_rig = thread.join();
        answered.extend(of_rig.map_err(|_| Failure::new("a rig panicked"))??);
    }
    let figures = RigsFigures {
        accepted: after - before,
        nanos: u64::try_from((to - from).as_nanos()).unwrap_or(u64::MAX),
        gateway_cpu_ns: cpu_after.0 - cpu_before.0,
        rigs_cpu_ns: cpu_after.1 - cpu_before.1,
        answered,
    };
    print(&serde_json::to_string(&figures).map_err(|error| failed("json", error))?)
}

/// A rig, logged in.
struct Rig {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
    name: String,
}

impl Rig {
    fn open(address: SocketAddr, number: u32) -> Result<Self, Failure> {
        let name = format!("{LOGIN}.eth{number}");
        let lost = |error: std::io::Error| failed(&name, error);
        let stream = TcpStream::connect(address).map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(lost)?;
        let mut rig = Self {
            lines: BufReader::new(stream.try_clone().map_err(lost)?),
            stream,
            name: name.clone(),
        };
        let login = format!(
            "{{\"id\":1,\"jsonrpc\":\"2.0\",\"method\":\"eth_submitLogin\",\"params\":[\"{name}\",\"x\"]}}\n"
        );
        rig.stream.write_all(login.as_bytes()).map_err(lost)?;
        let said = rig.reply(1)?;
        if !said.contains("\"result\":true") {
            return Err(failed(&name, said));
        }
        // The first work follows: a job must have been given before its shares are taken.
        rig.reply(0)?;
        Ok(rig)
    }

    /// The next line with this id.
    fn reply(&mut self, id: usize) -> Result<String, Failure> {
        let head = format!("{{\"id\":{id},");
        loop {
            let mut line = String::new();
            match self.lines.read_line(&mut line) {
                Ok(0) => return Err(failed(&self.name, "the gateway hung up")),
                Ok(_) if line.starts_with(&head) => return Ok(line),
                Ok(_) => {}
                Err(error) => return Err(failed(&self.name, error)),
            }
        }
    }

    fn mine(mut self, common: &Common) -> Result<Vec<(usize, bool)>, Failure> {
        let (seal, mut answered) = (hex(&eth_seal().0), Vec::new());
        while !common.stop.load(Ordering::SeqCst) {
            let number = common.next.fetch_add(1, Ordering::SeqCst);
            let mixes = common.mixes.chunks_exact(MIX_BYTES);
            let Some(mix) = mixes.into_iter().nth(number) else {
                return Err(Failure::new("more shares were taken than mixes were made"));
            };
            let line = format!(
                "{{\"id\":{},\"jsonrpc\":\"2.0\",\"method\":\"eth_submitWork\",\"params\":[\"0x{:016x}\",\"0x{seal}\",\"0x{}\"]}}\n",
                number + 1,
                nonce(number),
                hex(mix)
            );
            let sent = self.stream.write_all(line.as_bytes());
            sent.map_err(|error| failed(&self.name, error))?;
            let said = self.reply(number + 1)?;
            let is_accepted = said.contains("\"result\":true");
            common
                .accepted
                .fetch_add(u64::from(is_accepted), Ordering::SeqCst);
            answered.push((number, is_accepted));
        }
        Ok(answered)
    }
}
