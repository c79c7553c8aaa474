//! `flood_p99_ratio`: what well-behaved miners see while others flood the gateway.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use super::edge::{RIGS, Stage, cut, each_run, percent, points, swarm_does};
use super::gateway::GatewaySettings;
use super::miners::Window;
use super::process::{Part, resident_peak};
use super::swarm::{Sources, SwarmFigures, SwarmOrder};
use super::{Milli, Point, Size};
use crate::cat::Object;
use crate::{Failure, say};

/// How large everything is.
#[derive(Clone, Copy)]
struct Extent {
    miners: u32,
    pace: u32,
    rigs: u32,
    /// Failed logins a second; rigs that come back in one.
    rate: u32,
    addresses: u32,
    before_ms: u64,
    flood_ms: u64,
}

const WHOLE: Extent = Extent {
    miners: 100,
    pace: 500,
    rigs: 10_000,
    rate: 10_000,
    addresses: 1_000,
    before_ms: 10_000,
    flood_ms: 12_000,
};

const SMALL: Extent = Extent {
    miners: 5,
    pace: 100,
    rigs: 50,
    rate: 1_000,
    addresses: 20,
    before_ms: 300,
    flood_ms: 300,
};

/// A flood, and what came of it.
struct Flood {
    name: &'static str,
    swarm: SwarmFigures,
    seen: Window,
    gateway_cpu_ns: u64,
}

pub(super) fn run(dir: &Path, runs: usize, size: Size) -> Result<Vec<Point>, Failure> {
    each_run(dir, runs, |dir| once(dir, size.of(WHOLE, SMALL)))
}

fn floods(extent: Extent) -> [(&'static str, SwarmOrder); 5] {
    let flood = |third, count, of_connection| SwarmOrder::Flood {
        // Each flood comes from addresses of its own: what one is kept out for is not the next one's.
        from: Sources {
            first: Ipv4Addr::new(127, 1, third, 0),
            count,
        },
        rate: extent.rate,
        of_connection,
        millis: extent.flood_ms,
    };
    let cut = SwarmOrder::PowerCut {
        rate: extent.rate,
        millis: extent.flood_ms,
    };
    [
        ("one_address_pipelined", flood(0, 1, 8)),
        ("one_address_reconnecting", flood(1, 1, 1)),
        ("many_addresses_pipelined", flood(16, extent.addresses, 8)),
        (
            "many_addresses_reconnecting",
            flood(32, extent.addresses, 1),
        ),
        ("power_cut", cut),
    ]
}

fn once(dir: &Path, extent: Extent) -> Result<Vec<Point>, Failure> {
    let mut stage = Stage::open(dir, GatewaySettings::default())?;
    let mut swarm = stage.swarm_behind()?;
    let rigs = extent.rigs;
    swarm_does(&mut swarm, SwarmOrder::Hold { from: RIGS, rigs })?;
    let mut miners = stage.miners(extent.miners, extent.pace)?;
    std::thread::sleep(Duration::from_millis(extent.before_ms / 5));
    cut(&mut miners)?;
    std::thread::sleep(Duration::from_millis(extent.before_ms));
    let before = cut(&mut miners)?;
    let mut done = Vec::new();
    for (name, order) in floods(extent) {
        let flood = endure(&stage, &mut swarm, &mut miners, (name, order))?;
        say(&format!("  {}", flood.shown(&before)));
        done.push(flood);
    }
    let counts = stage.counts()?;
    let memory = resident_peak(stage.gateway.pid())?;
    let mut extra = stage.regime(&format!(
        "{} shares/s of {} miners, {rigs} idle rigs, floods of {} s",
        extent.pace,
        extent.miners,
        Milli(extent.flood_ms)
    ));
    drop(swarm);
    let checked = stage.end(Some(miners))?;
    let named = u64::try_from(checked.workers).unwrap_or(u64::MAX);
    if u64::from(extent.miners) < named {
        let message = format!("the ledger names {named} rigs: more than sent shares");
        return Err(Failure::new(message).found());
    }
    let worst = done.iter().map(|flood| flood.seen.p99_us).max();
    let worst = worst.unwrap_or(u64::MAX);
    let ratio = Milli::ratio(worst.into(), before.p99_us.into());
    let above = Milli(worst.saturating_sub(before.p99_us));
    let memory = Milli::ratio(memory.into(), 1 << 20);
    extra.push(("before", seen(&before)));
    for flood in &done {
        extra.push((flood.name, flood.json()));
    }
    let answered = checked.shares;
    let a_share = Milli::ratio(checked.frame_bytes.into(), answered.into());
    extra.extend([
        ("failed_logins", counts.failed_logins.to_string()),
        ("addresses_kept_out", counts.kept_out.to_string()),
        ("turned_away", counts.turned_away.to_string()),
        ("ledger_bytes", checked.frame_bytes.to_string()),
        ("ledger_bytes_a_share", a_share.to_string()),
        ("ledger_rigs", named.to_string()),
        ("activity_bytes", counts.activity_bytes.to_string()),
        ("activity_lost", counts.activity_lost.to_string()),
        ("answered_and_found_once", answered.to_string()),
    ]);
    let values = [("ratio", ratio), ("above", above), ("memory", memory)];
    Ok(points(&values, &extra))
}

fn endure(
    stage: &Stage,
    swarm: &mut Part,
    miners: &mut Part,
    (name, order): (&'static str, SwarmOrder),
) -> Result<Flood, Failure> {
    let cpu = stage.cpu_ns()?;
    cut(miners)?;
    let did = swarm_does(swarm, order)?;
    let seen = cut(miners)?;
    let gateway_cpu_ns = stage.cpu_ns()?.saturating_sub(cpu);
    Ok(Flood {
        name,
        swarm: did,
        seen,
        gateway_cpu_ns,
    })
}

fn seen(window: &Window) -> String {
    let mut object = Object::new();
    object
        .raw("shares", window.shares)
        .raw("p50_ms", Milli(window.p50_us))
        .raw("p99_ms", Milli(window.p99_us))
        .raw("max_ms", Milli(window.max_us))
        .raw("miner_late_p99_ms", Milli(window.late_p99_us))
        .raw("miner_late_max_ms", Milli(window.late_max_us))
        .raw("echo_p99_ms", Milli(window.echo_p99_us))
        .raw("echo_max_ms", Milli(window.echo_max_us));
    object.end()
}

impl Flood {
    /// Logins, of which some failed, or of a power cut rigs that came back.
    fn events(&self) -> u64 {
        self.swarm.logins.max(self.swarm.logged_in)
    }

    fn shown(&self, before: &Window) -> String {
        let SwarmFigures { nanos, cpu_ns, .. } = self.swarm;
        format!(
            "{}: {} logins/s, a share's answer {} ms (99 of 100), before {}; sent late {}, echo {}; cores: gateway {} %, flood {} %",
            self.name,
            Milli::per_second(self.events(), nanos),
            Milli(self.seen.p99_us),
            Milli(before.p99_us),
            Milli(self.seen.late_p99_us),
            Milli(self.seen.echo_p99_us),
            percent(self.gateway_cpu_ns, nanos),
            percent(cpu_ns, nanos),
        )
    }

    fn json(&self) -> String {
        let did = &self.swarm;
        let mut object = Object::new();
        object
            .raw("seen", seen(&self.seen))
            .raw(
                "logins_a_second",
                Milli::per_second(self.events(), did.nanos),
            )
            .raw(
                "connections_a_second",
                Milli::per_second(did.connections, did.nanos),
            )
            .raw("millis", did.nanos / 1_000_000)
            .raw("refused", did.refused)
            .raw("told_at_the_door", did.told)
            .raw("closed_without_a_word", did.unanswered)
            .raw("not_connected", did.unmade)
            .raw("cuts", did.cuts)
            .raw(
                "gateway_core_percent",
                percent(self.gateway_cpu_ns, did.nanos),
            )
            .raw("swarm_core_percent", percent(did.cpu_ns, did.nanos));
        object.end()
    }
}
