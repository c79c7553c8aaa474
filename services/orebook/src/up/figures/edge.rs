//! What happens at gateways' doors, by port, region, dialect and program: docs/metrics.md says what each is.

use orebook_gateway::{BOUNDS_US, EdgeCrew, EdgePort, EdgeTime, EdgeTimes, EdgeWay, Metrics};

use super::{Family, each_bucket, seconds};

/// Why somebody is turned away at a port's door; each is shown from the start.
const TURNED_AWAY: [&str; 4] = ["port", "address", "rate", "banned"];
/// TLS handshakes that failed: causes of ends, and what they are shown as.
const HANDSHAKES_FAILED: [(&str, &str); 3] = [
    ("tls", "failed"),
    ("handshake", "too_late"),
    ("plain_on_tls", "plain"),
];

/// A port, with the labels of all that is shown of it.
struct Place<'m> {
    labels: String,
    port: &'m EdgePort,
}

/// Everything about doors.
pub(super) fn write(out: &mut String, gateways: &[(usize, Metrics)]) {
    let mut places = Vec::new();
    for (gateway, metrics) in gateways {
        for (number, port) in (1..).zip(&metrics.edge.ports) {
            let region = port.region.as_str();
            let labels = format!("gateway=\"{gateway}\",port=\"{number}\",region=\"{region}\"");
            places.push(Place { labels, port });
        }
    }
    if places.is_empty() {
        return;
    }
    doors(out, &places);
    ways(out, &places);
    crews(out, &places);
    for (what, name, help) in [
        (
            EdgeTime::Handshake,
            "orebook_edge_handshake_seconds",
            "From a TLS hello to the end of the handshake",
        ),
        (
            EdgeTime::JobHandedOut,
            "orebook_edge_job_age_handed_out_seconds",
            "Age of a job when it was handed to a miner",
        ),
        (
            EdgeTime::JobAtShare,
            "orebook_edge_job_age_at_share_seconds",
            "Age of a job when a share of it came",
        ),
        (
            EdgeTime::Validation,
            "orebook_edge_validation_seconds",
            "From reading a share to its verdict",
        ),
        (
            EdgeTime::Answer,
            "orebook_edge_answer_seconds",
            "From handing a checked share to the spool to its answer",
        ),
        (
            EdgeTime::RoundTrip,
            "orebook_edge_round_trip_seconds",
            "From the first reply of a connection to its client's next request",
        ),
    ] {
        times(out, &places, (name, help), what);
    }
}

fn doors(out: &mut String, places: &[Place<'_>]) {
    let help = "Connections accepted";
    let mut family = Family::new(out, "orebook_edge_accepts", "counter", help);
    for Place { labels, port } in places {
        let accepts: u64 = port.ways.iter().map(|way| way.accepts).sum();
        family.sample("_total", &format!("{{{labels}}}"), accepts);
    }
    let help = "Connections closed at once";
    let mut family = Family::new(out, "orebook_edge_turned_away", "counter", help);
    for Place { labels, port } in places {
        for why in TURNED_AWAY {
            let labels = format!("{{{labels},reason=\"{why}\"}}");
            family.sample("_total", &labels, of(&port.turned_away, why));
        }
    }
    let help = "TLS handshakes by result";
    let mut family = Family::new(out, "orebook_edge_handshakes", "counter", help);
    for Place { labels, port } in places {
        let ok: u64 = port.ways.iter().map(|way| way.handshakes).sum();
        family.sample("_total", &format!("{{{labels},result=\"ok\"}}"), ok);
        for (cause, result) in HANDSHAKES_FAILED {
            let failed: u64 = port.ways.iter().map(|way| of(&way.closed, cause)).sum();
            let labels = format!("{{{labels},result=\"{result}\"}}");
            family.sample("_total", &labels, failed);
        }
    }
}

fn ways(out: &mut String, places: &[Place<'_>]) {
    type Read = for<'m> fn(&'m EdgeWay) -> &'m [(&'static str, u64)];
    let families: [(&'static str, &str, &str, &str, Read); 2] = [
        (
            "orebook_edge_logins",
            "Logins by result",
            "result",
            "ok",
            |way| &way.logins,
        ),
        (
            "orebook_edge_closed",
            "Connections that ended, by cause",
            "cause",
            "left",
            |way| &way.closed,
        ),
    ];
    for (name, help, label, first, read) in families {
        let mut family = Family::new(out, name, "counter", help);
        for Place { labels, port } in places {
            for way in &port.ways {
                let dialect = way.dialect;
                let counts = read(way);
                for (value, count) in with_first(counts, first) {
                    let labels = format!("{{{labels},dialect=\"{dialect}\",{label}=\"{value}\"}}");
                    family.sample("_total", &labels, count);
                }
            }
        }
    }
}

/// Counts, and the first of their kinds also where it is zero.
fn with_first<'c>(
    counts: &'c [(&'static str, u64)],
    first: &'static str,
) -> impl Iterator<Item = (&'static str, u64)> + use<'c> {
    let others = counts.iter().filter(move |(name, _)| *name != first);
    [(first, of(counts, first))]
        .into_iter()
        .chain(others.copied())
}

fn of(counts: &[(&'static str, u64)], name: &str) -> u64 {
    let found = counts.iter().find(|(counted, _)| *counted == name);
    found.map_or(0, |(_, count)| *count)
}

fn crews(out: &mut String, places: &[Place<'_>]) {
    type Read = fn(&EdgeCrew) -> u128;
    let families: [(&'static str, &str, &str, Read); 4] = [
        (
            "orebook_edge_connections",
            "gauge",
            "Connections open now",
            |crew| u128::from(crew.connections),
        ),
        (
            "orebook_edge_miners",
            "gauge",
            "Connections that have work now",
            |crew| u128::from(crew.miners),
        ),
        (
            "orebook_edge_work_hashes",
            "counter",
            "Work of accepted shares",
            |crew| crew.work,
        ),
        (
            "orebook_edge_expected_hashes_per_second",
            "gauge",
            "Rate at which miners would send shares at the pace that their port wants",
            |crew| u128::from(crew.expected),
        ),
    ];
    for (name, kind, help, read) in families {
        let suffix = if kind == "counter" { "_total" } else { "" };
        let mut family = Family::new(out, name, kind, help);
        for Place { labels, port } in places {
            for crew in &port.crews {
                family.sample(
                    suffix,
                    &format!("{{{}}}", of_crew(labels, crew)),
                    read(crew),
                );
            }
        }
    }
    let help = "Shares by what they came to, each once";
    let mut family = Family::new(out, "orebook_edge_shares", "counter", help);
    for Place { labels, port } in places {
        for crew in &port.crews {
            for (result, count) in with_first(&crew.shares, "accepted") {
                let labels = format!("{{{},result=\"{result}\"}}", of_crew(labels, crew));
                family.sample("_total", &labels, count);
            }
        }
    }
}

fn of_crew(labels: &str, crew: &EdgeCrew) -> String {
    let (dialect, agent) = (crew.dialect, crew.agent);
    format!("{labels},dialect=\"{dialect}\",agent=\"{agent}\"")
}

fn times(
    out: &mut String,
    places: &[Place<'_>],
    (name, help): (&'static str, &str),
    what: EdgeTime,
) {
    let mut family = Family::new(out, name, "histogram", help);
    for Place { labels, port } in places {
        for way in &port.ways {
            let EdgeTimes { buckets, sum_ns } = way.time(what);
            let labels = format!("{labels},dialect=\"{}\"", way.dialect);
            each_bucket(&mut family, &labels, (&BOUNDS_US, &buckets));
            family.sample("_sum", &format!("{{{labels}}}"), seconds(sum_ns));
        }
    }
}
