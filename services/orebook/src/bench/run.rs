//! One gateway run: a process with the gateway, a process that sends, and the check of the ledger behind them.

use std::fs;
use std::path::Path;

use orebook_gateway::COMMIT_SPACING_DEFAULT;

use super::check::{Checked, each_once};
use super::gateway::{GatewayFigures, GatewayOrder, GatewaySettings, Ready};
use super::ground::{BRANCHES, MIRROR, failed};
use super::load::{LoadFigures, LoadSettings};
use super::process::{Part, can_pin};
use super::{Milli, Point};
use crate::{Failure, say};

/// Core of the gateway, all its threads, and of the process that sends.
pub(super) const GATEWAY_CORE: u8 = 0;
pub(super) const LOAD_CORE: u8 = 1;
/// A core that is busy for so many thousandths of the time is full.
const FULL_PER_MILLE: u64 = 950;

/// How shares are sent.
#[derive(Clone, Copy)]
struct Regime {
    connections: u32,
    in_flight: u32,
    pace: u32,
    measure_ms: u64,
}

/// Everything that a run says.
struct Figures {
    regime: Regime,
    pinned: bool,
    gateway: GatewayFigures,
    load: LoadFigures,
    checked: Checked,
}

/// `gateway_sha256d_recorded`.
pub(super) fn recorded(dir: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    let regime = Regime {
        connections: 16,
        in_flight: 32,
        pace: 0,
        measure_ms: 5_000,
    };
    points(dir, runs, regime, |figures| vec![("rate", figures.rate())])
}

/// `gateway_sha256d_recorded_single`.
pub(super) fn single(dir: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    let regime = Regime {
        connections: 1_000,
        in_flight: 1,
        pace: 0,
        measure_ms: 5_000,
    };
    points(dir, runs, regime, |figures| {
        vec![("rate", figures.rate()), ("cpu", figures.micros_a_share())]
    })
}

/// `gateway_share_cpu_1k`.
pub(super) fn paced(dir: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    let regime = Regime {
        connections: 1_000,
        in_flight: 1,
        pace: 1_000,
        measure_ms: 10_000,
    };
    points(dir, runs, regime, |figures| {
        let p99 = Milli(u64::from(figures.load.answer_p99_us));
        vec![("cpu", figures.micros_a_share()), ("p99", p99)]
    })
}

fn points(
    dir: &Path,
    runs: usize,
    regime: Regime,
    values: impl Fn(&Figures) -> Vec<(&'static str, Milli)>,
) -> Result<Vec<Point>, Failure> {
    let mut points = Vec::new();
    for number in 1..=runs {
        let dir = dir.join(number.to_string());
        fs::create_dir(&dir).map_err(|error| failed("a folder", error))?;
        let figures = once(&dir, regime)?;
        fs::remove_dir_all(&dir).map_err(|error| failed("a folder", error))?;
        let extra = figures.extra();
        points.extend(values(&figures).into_iter().map(|(part, value)| Point {
            part,
            value,
            extra: extra.clone(),
        }));
    }
    Ok(points)
}

fn once(dir: &Path, regime: Regime) -> Result<Figures, Failure> {
    let pinned = can_pin();
    let core = |core| pinned.then_some(core);
    // The spool takes the ledger's folder by its own name, wherever the process stands.
    let dir = fs::canonicalize(dir).map_err(|error| failed("a folder", error))?;
    let settings = GatewaySettings {
        dir: dir.clone(),
        ..GatewaySettings::default()
    };
    let mut gateway = Part::start("gateway", core(GATEWAY_CORE), &dir, &settings)?;
    let ready: Ready = gateway.hear()?;
    let settings = LoadSettings {
        address: ready.address,
        connections: regime.connections,
        in_flight: regime.in_flight,
        pace: regime.pace,
        warm_ms: 1_000,
        measure_ms: regime.measure_ms,
        gateway_pid: gateway.pid(),
        tell_times: false,
    };
    let mut load = Part::start("load", core(LOAD_CORE), &dir, &settings)?;
    let sent: LoadFigures = load.hear()?;
    load.end()?;
    gateway.order(&GatewayOrder::Finish)?;
    let recorded: GatewayFigures = gateway.hear()?;
    gateway.end()?;
    let checked = each_once(&dir, MIRROR, &sent.sessions)?;
    if checked.shares != recorded.accepted || checked.shares != recorded.recorded {
        let message = format!(
            "{} shares were answered and are in the ledger, the gateway says {recorded:?}",
            checked.shares
        );
        return Err(Failure::new(message).found());
    }
    let figures = Figures {
        regime,
        pinned,
        gateway: recorded,
        load: sent,
        checked,
    };
    say(&format!(
        "  {} shares/s, {} us of CPU a share; each of {} answered shares is in the ledger once",
        figures.rate(),
        figures.micros_a_share(),
        figures.checked.shares
    ));
    Ok(figures)
}

impl Figures {
    fn rate(&self) -> Milli {
        Milli::per_second(self.load.accepted, self.load.nanos)
    }

    fn micros_a_share(&self) -> Milli {
        Milli::ratio(
            u128::from(self.load.gateway_cpu_ns),
            u128::from(self.load.accepted) * 1_000,
        )
    }

    /// Thousandths of the measured time.
    fn per_mille(&self, cpu_ns: u64) -> u64 {
        cpu_ns
            .saturating_mul(1_000)
            .checked_div(self.load.nanos)
            .unwrap_or(0)
    }

    fn regime_text(&self) -> String {
        let Regime {
            connections,
            in_flight,
            pace,
            ..
        } = self.regime;
        let sending = if pace == 0 {
            format!("{connections} connections x {in_flight} in flight")
        } else {
            format!("{pace} shares/s over {connections} connections")
        };
        let pinning = if self.pinned {
            format!("gateway pinned to core {GATEWAY_CORE}, generator to core {LOAD_CORE}")
        } else {
            "NOT pinned to cores (taskset or a second core is missing)".to_owned()
        };
        format!(
            "{sending}, {BRANCHES} merkle branches, {pinning}, archiver and mirror after the run"
        )
    }

    fn extra(&self) -> Vec<(&'static str, String)> {
        let Self {
            gateway,
            load,
            checked,
            ..
        } = self;
        let gateway_busy = self.per_mille(load.gateway_cpu_ns);
        let generator_busy = self.per_mille(load.generator_cpu_ns);
        // An even pace looks at the clock all the time; there only lateness says that it could not keep up.
        let was_limit = if self.regime.pace == 0 {
            FULL_PER_MILLE <= generator_busy && gateway_busy < FULL_PER_MILLE
        } else {
            load.accepted / 100 < load.late
        };
        let ratio = |a: u64, b: u64| Milli::ratio(u128::from(a), u128::from(b)).to_string();
        let regime = serde_json::Value::from(self.regime_text());
        vec![
            ("regime", regime.to_string()),
            ("pinned", self.pinned.to_string()),
            (
                "commit_spacing_us",
                COMMIT_SPACING_DEFAULT.as_micros().to_string(),
            ),
            (
                "shares_per_commit",
                ratio(gateway.recorded, gateway.commits),
            ),
            (
                "shares_per_turn",
                ratio(gateway.accepted, gateway.share_turns),
            ),
            ("sync_p50_us", ratio(gateway.sync_p50_ns, 1_000)),
            ("sync_p99_us", ratio(gateway.sync_p99_ns, 1_000)),
            ("answer_p50_ms", ratio(load.answer_p50_us.into(), 1_000)),
            ("answer_p99_ms", ratio(load.answer_p99_us.into(), 1_000)),
            ("gateway_core_percent", ratio(gateway_busy, 10)),
            ("generator_core_percent", ratio(generator_busy, 10)),
            ("generator_was_limit", was_limit.to_string()),
            ("sent_late", load.late.to_string()),
            ("jobs", gateway.jobs.to_string()),
            ("ledger_positions", checked.positions.to_string()),
            ("ledger_bytes", checked.bytes.to_string()),
            ("answered_and_found_once", checked.shares.to_string()),
        ]
    }
}
