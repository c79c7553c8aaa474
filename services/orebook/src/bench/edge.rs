//! The gateway's doors: what a login, an idle connection and a new job to everybody cost. The gateway is a process of its own
//! on core 0, and everybody else on core 1: a swarm of rigs behind miners whose answers are timed (`swarm`, `miners`).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::check::{Checked, each_once};
use super::echo::Echo;
use super::gateway::{Broadcasts, Counts, GatewayFigures, GatewayOrder, GatewaySettings, Ready};
use super::ground::{MIRROR, failed};
use super::load::SessionSent;
use super::miners::{MinersSettings, Window};
use super::process::{Part, can_pin, cpu_ns, files, resident};
use super::run::{GATEWAY_CORE, LOAD_CORE};
use super::secure::write_files;
use super::swarm::{Sources, SwarmFigures, SwarmOrder, SwarmSettings};
use super::{Bench, Better, Milli, Point, RUNS, Run, Size, ethproxy, flood, part};
use crate::{Failure, say};

/// Where rigs come from that nobody minds.
pub(super) const RIGS: Sources = Sources {
    first: Ipv4Addr::new(127, 3, 0, 1),
    count: 10,
};

/// How long rigs may need to read what was sent.
const HEAR_MAX: Duration = Duration::from_secs(20);

pub(super) const BENCHES: [Bench; 6] = [
    Bench {
        name: "gateway_ethproxy_recorded",
        workload: "64 eth-proxy rigs x 1 share in flight over loopback TCP from another process; epoch 450; work 1, so that \
                   each nonce is a share, and each is checked in full, its mix too; answered after write and fdatasync",
        parts: &[part("rate", "shares/s a core", 1_000_000, Better::Higher)],
        runs: RUNS,
        run: Run::Sized(ethproxy::run),
    },
    Bench {
        name: "gateway_broadcast_cpu",
        workload: "20 new jobs of 12 merkle branches, half a second apart, to 10,000 miners of another process; meanwhile 100 of \
                   them, in a third process, send 200 shares/s, whose own cost is taken off",
        parts: &[
            part(
                "cpu",
                "us of gateway CPU a connection",
                10_000,
                Better::Lower,
            ),
            part(
                "last",
                "ms until the last write returned",
                100_000,
                Better::Lower,
            ),
            part(
                "p99",
                "ms to a share's answer meanwhile, 99 of 100",
                5_000,
                Better::Lower,
            ),
        ],
        runs: RUNS,
        run: Run::Sized(broadcast),
    },
    Bench {
        name: "gateway_login_cpu",
        workload: "16 at a time connect, subscribe, authorize, hear of the job and close (Stratum V1, three round trips), from \
                   another process over loopback TCP, for 3 s",
        parts: &[part(
            "cpu",
            "us of gateway CPU a login",
            40_000,
            Better::Lower,
        )],
        runs: RUNS,
        run: Run::Sized(login),
    },
    Bench {
        name: "gateway_idle_connection",
        workload: "10,000 rigs of another process connect, log in, hold a job and are silent; the gateway's resident memory \
                   over that before they came",
        parts: &[part(
            "memory",
            "bytes a connection",
            2_048_000,
            Better::Lower,
        )],
        runs: RUNS,
        run: Run::Sized(idle),
    },
    Bench {
        name: "gateway_idle_connection_tls",
        workload: "the same with 2,000 rigs over TLS 1.3",
        parts: &[part(
            "memory",
            "bytes a connection",
            16_384_000,
            Better::Lower,
        )],
        runs: RUNS,
        run: Run::Sized(idle_tls),
    },
    Bench {
        name: "flood_p99_ratio",
        workload: "100 miners send 500 shares/s while for a minute in all 10,000 logins/s fail, of one address and of 1,000, 8 on \
                   a connection and one on each, and while a farm of 10,000 rigs loses its power and comes back at 10,000/s, \
                   again and again; the worst of the five against before, as the miners see it",
        parts: &[
            part("ratio", "times the p99 of before", 2_000, Better::Lower),
            part("above", "ms of p99 above before", 3_000, Better::Lower),
            part("memory", "MiB of gateway at most", 256_000, Better::Lower),
        ],
        runs: 1,
        run: Run::Sized(flood::run),
    },
];

/// A gateway's process with those around it.
pub(super) struct Stage {
    pub(super) dir: PathBuf,
    pinned: bool,
    pub(super) gateway: Part,
    pub(super) address: SocketAddr,
    /// Beside the gateway, on its core.
    echo: Option<Part>,
}

impl Stage {
    pub(super) fn open(dir: &Path, settings: GatewaySettings) -> Result<Self, Failure> {
        // The spool takes the ledger's folder by its own name, wherever the process stands.
        let dir = fs::canonicalize(dir).map_err(|error| failed("a folder", error))?;
        let pinned = can_pin();
        let settings = GatewaySettings {
            dir: dir.clone(),
            activity: true,
            ..settings
        };
        let core = pinned.then_some(GATEWAY_CORE);
        let mut gateway = Part::start("gateway", core, &dir, &settings)?;
        let ready: Ready = gateway.hear()?;
        Ok(Self {
            dir,
            pinned,
            gateway,
            address: ready.address,
            echo: None,
        })
    }

    pub(super) fn core(&self) -> Option<u8> {
        self.pinned.then_some(LOAD_CORE)
    }

    pub(super) fn swarm(&self) -> Result<Part, Failure> {
        let address = self.address;
        Part::start("swarm", self.core(), &self.dir, &SwarmSettings { address })
    }

    /// The same, behind the miners whose answers are timed.
    pub(super) fn swarm_behind(&self) -> Result<Part, Failure> {
        let address = self.address;
        Part::start_behind("swarm", self.core(), &self.dir, &SwarmSettings { address })
    }

    /// So many miners with so many shares a second together; they are at it.
    pub(super) fn miners(&mut self, miners: u32, pace: u32) -> Result<Part, Failure> {
        let core = self.pinned.then_some(GATEWAY_CORE);
        let mut part = Part::start("echo", core, &self.dir, &())?;
        let echo: Echo = part.hear()?;
        self.echo = Some(part);
        let settings = MinersSettings {
            address: self.address,
            miners,
            pace,
            echo: echo.address,
        };
        let mut part = Part::start("miners", self.core(), &self.dir, &settings)?;
        let _: u32 = part.hear()?;
        Ok(part)
    }

    pub(super) fn cpu_ns(&self) -> Result<u64, Failure> {
        cpu_ns(self.gateway.pid())
    }

    /// New jobs to everybody.
    fn jobs(&mut self, count: u32, apart_ms: u64) -> Result<Broadcasts, Failure> {
        self.gateway
            .order(&GatewayOrder::Jobs { count, apart_ms })?;
        self.gateway.hear()
    }

    pub(super) fn counts(&mut self) -> Result<Counts, Failure> {
        self.gateway.order(&GatewayOrder::Tell)?;
        self.gateway.hear()
    }

    /// Ends the miners and the gateway, and finds each share that was answered once.
    pub(super) fn end(mut self, miners: Option<Part>) -> Result<Checked, Failure> {
        let mut sessions: Vec<SessionSent> = Vec::new();
        if let Some(mut miners) = miners {
            miners.tell("end")?;
            sessions = miners.hear()?;
            miners.end()?;
        }
        self.gateway.order(&GatewayOrder::Finish)?;
        let recorded: GatewayFigures = self.gateway.hear()?;
        self.gateway.end()?;
        let checked = each_once(&self.dir, MIRROR, &sessions)?;
        if checked.shares != recorded.accepted || checked.shares != recorded.recorded {
            let message = format!(
                "{} shares were answered and are in the ledger, the gateway says {recorded:?}",
                checked.shares
            );
            return Err(Failure::new(message).found());
        }
        Ok(checked)
    }

    /// What belongs to every figure.
    pub(super) fn regime(&self, more: &str) -> Vec<(&'static str, String)> {
        let pinning = if self.pinned {
            format!("gateway pinned to core {GATEWAY_CORE}, everybody else to core {LOAD_CORE}")
        } else {
            "NOT pinned to cores (taskset or a second core is missing)".to_owned()
        };
        let regime = serde_json::Value::from(format!("{more}, {pinning}"));
        let files = files(self.gateway.pid()).map_or_else(|| "null".to_owned(), |n| n.to_string());
        vec![
            ("regime", regime.to_string()),
            ("pinned", self.pinned.to_string()),
            ("files_of_a_process", files),
            ("load", format!("\"{}\"", super::ethash::load())),
        ]
    }
}

/// Tells a swarm what to do, and waits until it is done.
pub(super) fn swarm_does(swarm: &mut Part, order: SwarmOrder) -> Result<SwarmFigures, Failure> {
    swarm.order(&order)?;
    swarm.hear()
}

/// What miners saw since they were asked last.
pub(super) fn cut(miners: &mut Part) -> Result<Window, Failure> {
    miners.tell("cut")?;
    miners.hear()
}

/// Waits until rigs heard of a job so many times in all; how many times it was.
fn hear_of(swarm: &mut Part, times: u64) -> Result<u64, Failure> {
    let (start, mut heard) = (Instant::now(), 0);
    while heard < times && start.elapsed() < HEAR_MAX {
        heard += swarm_does(swarm, SwarmOrder::Tell)?.notified;
    }
    Ok(heard)
}

/// Calls it for each run with a folder of its own.
pub(super) fn each_run(
    dir: &Path,
    runs: usize,
    mut once: impl FnMut(&Path) -> Result<Vec<Point>, Failure>,
) -> Result<Vec<Point>, Failure> {
    let mut points = Vec::new();
    for number in 1..=runs {
        let dir = dir.join(number.to_string());
        fs::create_dir(&dir).map_err(|error| failed("a folder", error))?;
        points.extend(once(&dir)?);
        fs::remove_dir_all(&dir).map_err(|error| failed("a folder", error))?;
    }
    Ok(points)
}

/// `gateway_broadcast_cpu`.
fn broadcast(dir: &Path, runs: usize, size: Size) -> Result<Vec<Point>, Failure> {
    let (rigs, jobs, still_ms) = size.of((9_900, 20, 5_000), (50, 3, 200));
    let (miners, pace) = size.of((100, 200), (5, 100));
    let apart_ms = size.of(500, 50);
    each_run(dir, runs, |dir| {
        let mut stage = Stage::open(dir, GatewaySettings::default())?;
        let mut swarm = stage.swarm_behind()?;
        swarm_does(&mut swarm, SwarmOrder::Hold { from: RIGS, rigs })?;
        let mut crew = stage.miners(miners, pace)?;
        // The next job that silence brings is half a minute away then.
        let _: Broadcasts = stage.jobs(1, 0)?;
        hear_of(&mut swarm, rigs.into())?;
        std::thread::sleep(Duration::from_millis(still_ms / 5));
        swarm_does(&mut swarm, SwarmOrder::Tell)?;
        cut(&mut crew)?;
        let (start, cpu) = (Instant::now(), stage.cpu_ns()?);
        std::thread::sleep(Duration::from_millis(still_ms));
        let still_ns = start.elapsed().as_nanos();
        let still_cpu = u128::from(stage.cpu_ns()?.saturating_sub(cpu));
        let before = cut(&mut crew)?;
        let (start, cpu) = (Instant::now(), stage.cpu_ns()?);
        let broadcasts = stage.jobs(jobs, apart_ms)?;
        let jobs_ns = start.elapsed().as_nanos();
        let jobs_cpu = u128::from(stage.cpu_ns()?.saturating_sub(cpu));
        let during = cut(&mut crew)?;
        let wanted = u64::from(rigs) * u64::from(jobs);
        let heard = hear_of(&mut swarm, wanted)?;
        if heard != wanted {
            let message = format!("rigs heard {heard} times of a job, not {wanted} times");
            return Err(Failure::new(message));
        }
        drop(swarm);
        let connections = rigs + miners;
        let regime = format!(
            "{connections} connections, {jobs} jobs {apart_ms} ms apart, {pace} shares/s of {miners} of them"
        );
        let mut extra = stage.regime(&regime);
        let checked = stage.end(Some(crew))?;
        let of_shares = still_cpu * jobs_ns / still_ns.max(1);
        let sent = u128::from(connections) * u128::from(jobs);
        let cpu = Milli::ratio(jobs_cpu.saturating_sub(of_shares), sent * 1_000);
        let ms = |micros: u64| Milli(micros).to_string();
        extra.extend([
            (
                "last_max_ms",
                Milli::ratio(broadcasts.max_ns.into(), 1_000_000).to_string(),
            ),
            (
                "gateway_cpu_ms",
                Milli::ratio(jobs_cpu, 1_000_000).to_string(),
            ),
            (
                "of_shares_ms",
                Milli::ratio(of_shares, 1_000_000).to_string(),
            ),
            ("answer_p99_ms_before", ms(before.p99_us)),
            ("answer_p50_ms", ms(during.p50_us)),
            ("answer_max_ms", ms(during.max_us)),
            ("miner_late_p99_ms", ms(during.late_p99_us)),
            ("echo_p99_ms", ms(during.echo_p99_us)),
            ("shares_meanwhile", during.shares.to_string()),
            ("answered_and_found_once", checked.shares.to_string()),
        ]);
        let last = Milli::ratio(broadcasts.p50_ns.into(), 1_000_000);
        let p99 = Milli(during.p99_us);
        say(&format!(
            "  {cpu} us a connection, {last} ms until the last write, a share's answer {p99} ms (99 of 100)"
        ));
        let values = [("cpu", cpu), ("last", last), ("p99", p99)];
        Ok(points(&values, &extra))
    })
}

pub(super) fn points(
    values: &[(&'static str, Milli)],
    extra: &[(&'static str, String)],
) -> Vec<Point> {
    let point = |(part, value): &(&'static str, Milli)| Point {
        part,
        value: *value,
        extra: extra.to_vec(),
    };
    values.iter().map(point).collect()
}

/// `gateway_login_cpu`.
fn login(dir: &Path, runs: usize, size: Size) -> Result<Vec<Point>, Failure> {
    let (warm_ms, millis) = size.of((1_000, 3_000), (50, 200));
    let order = |millis| SwarmOrder::Login {
        from: RIGS,
        at_a_time: 16,
        millis,
    };
    each_run(dir, runs, |dir| {
        let mut stage = Stage::open(dir, GatewaySettings::default())?;
        let mut swarm = stage.swarm()?;
        swarm_does(&mut swarm, order(warm_ms))?;
        let (before, cpu) = (stage.counts()?, stage.cpu_ns()?);
        let done = swarm_does(&mut swarm, order(millis))?;
        let cpu = u128::from(stage.cpu_ns()?.saturating_sub(cpu));
        let logins = stage.counts()?.logins - before.logins;
        if logins != done.logged_in || done.unanswered + done.refused != 0 {
            let message = format!("the gateway counts {logins} logins, the swarm {done:?}");
            return Err(Failure::new(message));
        }
        let value = Milli::ratio(cpu, u128::from(logins) * 1_000);
        let rate = Milli::per_second(logins, done.nanos);
        say(&format!("  {value} us a login, {rate} logins/s"));
        let mut extra = stage.regime("16 at a time");
        extra.extend([
            ("logins", logins.to_string()),
            ("logins_a_second", rate.to_string()),
            ("gateway_cpu_ms", Milli::ratio(cpu, 1_000_000).to_string()),
            ("swarm_core_percent", percent(done.cpu_ns, done.nanos)),
        ]);
        drop(swarm);
        stage.end(None)?;
        Ok(points(&[("cpu", value)], &extra))
    })
}

pub(super) fn percent(cpu_ns: u64, nanos: u64) -> String {
    Milli::ratio(u128::from(cpu_ns) * 100, u128::from(nanos)).to_string()
}

/// `gateway_idle_connection`.
fn idle(dir: &Path, runs: usize, size: Size) -> Result<Vec<Point>, Failure> {
    let rigs = size.of(10_000, 50);
    let order = SwarmOrder::Hold { from: RIGS, rigs };
    each_run(dir, runs, |dir| {
        let stage = Stage::open(dir, GatewaySettings::default())?;
        weigh(stage, rigs, order)
    })
}

/// `gateway_idle_connection_tls`.
fn idle_tls(dir: &Path, runs: usize, size: Size) -> Result<Vec<Point>, Failure> {
    let rigs = size.of(2_000, 16);
    each_run(dir, runs, |dir| {
        let settings = GatewaySettings {
            tls: Some(write_files(dir)?),
            ..GatewaySettings::default()
        };
        let stage = Stage::open(dir, settings)?;
        weigh(stage, rigs, SwarmOrder::HoldTls { rigs })
    })
}

fn weigh(mut stage: Stage, rigs: u32, order: SwarmOrder) -> Result<Vec<Point>, Failure> {
    let mut swarm = stage.swarm()?;
    let before = resident(stage.gateway.pid())?;
    swarm_does(&mut swarm, order)?;
    let after = resident(stage.gateway.pid())?;
    let miners = stage.counts()?.miners;
    if miners != u64::from(rigs) {
        let message = format!("{miners} of {rigs} rigs are logged in");
        return Err(Failure::new(message));
    }
    let each = |now: u64| Milli::ratio(now.saturating_sub(before).into(), rigs.into());
    let _: Broadcasts = stage.jobs(1, 0)?;
    let later = resident(stage.gateway.pid())?;
    let value = each(after);
    say(&format!("  {value} bytes a connection"));
    let mut extra = stage.regime(&format!("{rigs} connections"));
    extra.extend([
        ("resident_before", before.to_string()),
        ("resident", after.to_string()),
        ("bytes_after_another_job", each(later).to_string()),
    ]);
    drop(swarm);
    stage.end(None)?;
    Ok(points(&[("memory", value)], &extra))
}
