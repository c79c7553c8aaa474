//! `orebook bench`: every speed that we claim, measured again.
//!
//! Reading order: [`BENCHES`] (names, goals, workloads), `run` (one gateway run: two processes of this binary, then the
//! ledger is checked), `gateway` and `load` (those processes), `check` (each answered share once), `replays`, `bytes`; `kafka`
//! (over real brokers: `brokers`).

#[cfg(feature = "kafka")]
mod brokers;
mod bytes;
mod check;
mod echo;
mod edge;
mod ethash;
mod ethproxy;
mod flood;
mod gateway;
mod ground;
#[cfg(feature = "kafka")]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod load;
mod miners;
mod payout;
mod process;
#[cfg(feature = "kafka")]
mod reader;
mod replays;
mod run;
mod scrypt2;
mod secure;
mod settle;
mod sim;
mod swarm;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cat::Object;
use crate::cli::{BenchArgs, BenchPart, Format};
use crate::{Failure, print, say};

/// Runs of a bench; the median counts.
const RUNS: usize = 3;
/// Folder in which ledgers are made and removed again; the current one unless set. It must be on the disk that is meant.
const DIR_VARIABLE: &str = "OREBOOK_BENCH_DIR";

/// Thousandths: no figure needs a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Milli(pub(crate) u64);

impl Milli {
    /// `count` in so many nanoseconds, as a figure a second.
    pub(crate) fn per_second(count: u64, nanos: u64) -> Self {
        Self::ratio(u128::from(count) * 1_000_000_000, u128::from(nanos))
    }

    /// a / b.
    pub(crate) fn ratio(a: u128, b: u128) -> Self {
        let milli = a.saturating_mul(1_000).checked_div(b).unwrap_or(0);
        Self(u64::try_from(milli).unwrap_or(u64::MAX))
    }
}

impl std::fmt::Display for Milli {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.0 / 1_000, self.0 % 1_000);
        match (whole, rest) {
            (_, 0) => write!(f, "{whole}"),
            (1_000.., _) => write!(f, "{}", whole + u64::from(500 <= rest)),
            _ => write!(f, "{whole}.{rest:03}"),
        }
    }
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

/// One figure of a bench.
#[derive(Debug)]
struct Part {
    /// Tells the figures of one bench apart.
    part: &'static str,
    unit: &'static str,
    goal: Option<Milli>,
    better: Better,
}

/// What a run says of one part.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) part: &'static str,
    pub(crate) value: Milli,
    /// Key and JSON of whatever belongs to it.
    pub(crate) extra: Vec<(&'static str, String)>,
}

struct Bench {
    name: &'static str,
    workload: &'static str,
    parts: &'static [Part],
    /// A simulation gives the same each time, and is run once.
    runs: usize,
    /// Gives the points of so many runs, in a folder that is removed afterwards.
    run: Run,
}

/// How much a bench does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// What its workload says.
    Whole,
    /// Enough to see that it works; the figures mean nothing.
    Small,
}

impl Size {
    /// The one or the other.
    fn of<T>(self, whole: T, small: T) -> T {
        match self {
            Self::Whole => whole,
            Self::Small => small,
        }
    }
}

enum Run {
    /// Needs this program only.
    Alone(fn(&Path, usize) -> Result<Vec<Point>, Failure>),
    /// The same, and it can be small.
    Sized(fn(&Path, usize, Size) -> Result<Vec<Point>, Failure>),
    /// Needs brokers: the folder of Kafka's jars comes first.
    #[cfg(feature = "kafka")]
    OverBrokers(fn(&Path, &Path, usize) -> Result<Vec<Point>, Failure>),
}

const fn part(part: &'static str, unit: &'static str, goal: u64, better: Better) -> Part {
    Part {
        part,
        unit,
        goal: Some(Milli(goal)),
        better,
    }
}

const BENCHES: [Bench; 12] = [
    Bench {
        name: "gateway_sha256d_recorded",
        workload: "16 connections x 32 shares in flight over loopback TCP from another process; 12 merkle branches, extranonce2 \
                   varies, each hash is a share; answered after write and fdatasync",
        parts: &[part("rate", "shares/s", 400_000_000, Better::Higher)],
        runs: RUNS,
        run: Run::Alone(run::recorded),
    },
    Bench {
        name: "gateway_sha256d_recorded_single",
        workload: "1,000 connections x 1 share in flight, else as gateway_sha256d_recorded",
        parts: &[
            part("rate", "shares/s", 60_000_000, Better::Higher),
            part("cpu", "us of gateway CPU a share", 11_000, Better::Lower),
        ],
        runs: RUNS,
        run: Run::Alone(run::single),
    },
    Bench {
        name: "gateway_share_cpu_1k",
        workload: "1,000 shares/s, evenly spaced, each alone on one of 1,000 connections, else as gateway_sha256d_recorded",
        parts: &[
            part("cpu", "us of gateway CPU a share", 110_000, Better::Lower),
            part("p99", "ms to the answer, 99 of 100", 2_500, Better::Lower),
        ],
        runs: RUNS,
        run: Run::Alone(run::paced),
    },
    Bench {
        name: "pow_scrypt2",
        workload: "scrypt² (N = 2^20) of headers, two side by side as a gateway's thread does, scratchpads in huge pages where \
                   the system has them; one thread",
        parts: &[
            part("rate", "checks/s a core", 3_300, Better::Higher),
            part("latency", "ms to both answers", 400_000, Better::Lower),
        ],
        runs: RUNS,
        run: Run::Alone(scrypt2::run),
    },
    Bench {
        name: "replay_full",
        workload: "segments with frames of 1,000 shares of 10,000 workers; every leaf, root, summary and signature is computed \
                   again and every frame admitted again (engine, nothing on trust, no fold); one thread",
        parts: &[part(
            "rate",
            "shares/s a core",
            10_000_000_000,
            Better::Higher,
        )],
        runs: RUNS,
        run: Run::Alone(replays::full),
    },
    Bench {
        name: "replay_summaries",
        workload: "the same segments backwards; each summary's hash checked, its rows added to one vector by worker number; \
                   one thread",
        parts: &[part(
            "rate",
            "shares/s a core",
            80_000_000_000,
            Better::Higher,
        )],
        runs: RUNS,
        run: Run::Alone(replays::summaries),
    },
    Bench {
        name: "replay_folds",
        workload: "4,000 frames of 1,000 shares of 10,000 workers through the engine with every fold, rows in memory, one \
                   commit each 4,096 positions, signatures on trust: projector_catchup without mirror, RocksDB and API; one \
                   thread",
        parts: &[Part {
            part: "rate",
            unit: "shares/s a core",
            goal: None,
            better: Better::Higher,
        }],
        runs: RUNS,
        run: Run::Sized(replays::folded),
    },
    Bench {
        name: "settle_100k_accounts",
        workload: "a block whose PPLNS window has 10,000,000 shares of 100,000 accounts is said to be immature: window, \
                   postings, digest and commit of the fold money, rows in memory; one thread",
        parts: &[part("time", "s a block", 1_000, Better::Lower)],
        runs: RUNS,
        run: Run::Sized(settle::run),
    },
    Bench {
        name: "payout_batch_1000",
        workload: "a batch of 1,000 accounts' lines, from its proposal to its recorded signature: embedded ledger on disk, two \
                   projectors with pages, a wallet of a key file on the development chain, two approvals given when the \
                   proposal is seen, default timings",
        parts: &[part("time", "s a batch", 3_000, Better::Lower)],
        runs: RUNS,
        run: Run::Sized(payout::run),
    },
    Bench {
        name: "ledger_bytes_per_share",
        workload: "simulated time through spool, publisher and archiver with their own rules; 10,000 workers, difficulty \
                   1,000, a new job each 30 s; everything in the segments over shares",
        parts: &[
            Part {
                part: "1/s",
                unit: "bytes a share",
                goal: None,
                better: Better::Lower,
            },
            Part {
                part: "100/s",
                unit: "bytes a share",
                goal: None,
                better: Better::Lower,
            },
            part("10000/s", "bytes a share", 60_000, Better::Lower),
        ],
        runs: 1,
        run: Run::Alone(bytes::run),
    },
    Bench {
        name: "pow_ethash_epoch0",
        workload: "light checks of ethash, 16 in step, each of another nonce, against a cache of 16 MiB; one thread",
        parts: &[part("rate", "checks/s a core", 1_800_000, Better::Higher)],
        runs: RUNS,
        run: Run::Alone(ethash::first),
    },
    Bench {
        name: "pow_ethash_epoch450",
        workload: "the same against a cache of 72 MiB",
        parts: &[part("rate", "checks/s a core", 1_300_000, Better::Higher)],
        runs: RUNS,
        run: Run::Alone(ethash::late),
    },
];

/// Those over real brokers.
#[cfg(feature = "kafka")]
const KAFKA_BENCHES: [Bench; 5] = [
    Bench {
        name: "kafka_end_to_end",
        workload: "16 connections x 32 shares in flight for 60 s, through gateway, one broker, archiver and projector, each a \
                   process; from the first share to the last one's being shown by the API",
        parts: &[part("rate", "shares/s", 200_000_000, Better::Higher)],
        runs: 1,
        run: Run::OverBrokers(kafka::end_to_end),
    },
    Bench {
        name: "kafka_visible_p99",
        workload: "1,000 shares/s over 100 connections for 20 s, through the same processes; from a share's answer to the \
                   first figure of the API that counts it",
        parts: &[part("p99", "ms", 2_000_000, Better::Lower)],
        runs: RUNS,
        run: Run::OverBrokers(kafka::visible),
    },
    Bench {
        name: "kafka_mirror",
        workload: "a topic with 4,000 frames of 1,000 shares of 10,000 workers, read from its beginning through admission \
                   into synced segments; one process",
        parts: &[part("rate", "shares/s", 2_000_000_000, Better::Higher)],
        runs: RUNS,
        run: Run::OverBrokers(kafka::mirror),
    },
    Bench {
        name: "projector_catchup",
        workload: "the same topic, by a projector that begins with nothing: mirror, every fold, RocksDB; from its start until \
                   the API shows the end",
        parts: &[part(
            "rate",
            "shares/s a core",
            2_000_000_000,
            Better::Higher,
        )],
        runs: RUNS,
        run: Run::OverBrokers(kafka::catchup),
    },
    Bench {
        name: "kafka_one_partition",
        workload: "frames of 1,000 shares, 48 KB, for 10 s into one partition of three brokers, acks=all, zstd; then each is \
                   read back",
        parts: &[Part {
            part: "rate",
            unit: "frames/s",
            goal: None,
            better: Better::Higher,
        }],
        runs: RUNS,
        run: Run::OverBrokers(kafka::one_partition),
    },
];

fn benches() -> impl Iterator<Item = &'static Bench> {
    #[cfg(feature = "kafka")]
    return BENCHES.iter().chain(&edge::BENCHES).chain(&KAFKA_BENCHES);
    #[cfg(not(feature = "kafka"))]
    BENCHES.iter().chain(&edge::BENCHES)
}

impl Bench {
    /// None if it was not asked for by name and cannot be run here.
    #[cfg_attr(
        not(feature = "kafka"),
        allow(
            unused_variables,
            clippy::unnecessary_wraps,
            reason = "only brokers may be missing"
        )
    )]
    fn points(&self, dir: &Path, args: &BenchArgs) -> Result<Option<Vec<Point>>, Failure> {
        match self.run {
            Run::Alone(_) if args.small => {
                let failure = Failure::new(format!("{} has no small size", self.name));
                Err(failure.hint("name those that have one"))
            }
            Run::Alone(run) => run(dir, self.runs).map(Some),
            Run::Sized(run) if args.small => run(dir, 1, Size::Small).map(Some),
            Run::Sized(run) => run(dir, self.runs, Size::Whole).map(Some),
            #[cfg(feature = "kafka")]
            Run::OverBrokers(run) => match brokers::home(args.kafka_home.as_deref()) {
                Ok(home) => run(&home, dir, self.runs).map(Some),
                Err(failure) if args.names.is_empty() => {
                    say(&format!("  left out: {failure}"));
                    Ok(None)
                }
                Err(failure) => Err(failure),
            },
        }
    }
}

/// Measures what was asked for.
pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let names: Vec<&str> = benches().map(|bench| bench.name).collect();
    if let Some(unknown) = args
        .names
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(Failure::new(format!("there is no bench {unknown}"))
            .hint(format!("there are {}", names.join(", "))));
    }
    let wanted =
        |bench: &&Bench| args.names.is_empty() || args.names.iter().any(|name| name == bench.name);
    for bench in benches().filter(wanted) {
        say(&format!("{}: {}", bench.name, bench.workload));
        let dir = folder()?;
        if let Some(points) = bench.points(dir.path(), args)? {
            report(bench, &points, args)?;
        }
    }
    Ok(())
}

/// One of the processes that a bench starts: its settings come in as a line of JSON.
pub(crate) fn run_part(part: BenchPart) -> Result<(), Failure> {
    match part {
        BenchPart::Gateway => gateway::run(),
        BenchPart::Load => load::run(),
        BenchPart::Echo => echo::run(),
        BenchPart::Miners => miners::run(),
        BenchPart::Swarm => swarm::run(),
        BenchPart::Rigs => ethproxy::run_rigs(),
        #[cfg(feature = "kafka")]
        BenchPart::Reader => reader::run(),
    }
}

fn folder() -> Result<TempDir, Failure> {
    let below = std::env::var_os(DIR_VARIABLE).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let made = tempfile::Builder::new()
        .prefix("orebook-bench-")
        .tempdir_in(&below);
    made.map_err(|error| {
        Failure::new(format!("{}: {error}", below.display())).hint(format!(
            "ledgers are made in the current folder, or in {DIR_VARIABLE}"
        ))
    })
}

fn report(bench: &Bench, points: &[Point], args: &BenchArgs) -> Result<(), Failure> {
    for part in bench.parts {
        let Some((median, all)) = median(points, part.part) else {
            return Err(Failure::new(format!(
                "{} gave no {}",
                bench.name, part.part
            )));
        };
        print(&match args.format {
            Format::Json => json(bench, part, median, &all, args.small),
            Format::Text => text(bench, part, median, &all, args.small),
        })?;
    }
    Ok(())
}

/// The median of a part's runs, and all their values, ascending.
fn median<'p>(points: &'p [Point], part: &str) -> Option<(&'p Point, Vec<String>)> {
    let mut points: Vec<&Point> = points.iter().filter(|point| point.part == part).collect();
    points.sort_by_key(|point| point.value);
    let all = points.iter().map(|point| point.value.to_string()).collect();
    points.get(points.len() / 2).map(|median| (*median, all))
}

fn json(bench: &Bench, part: &Part, median: &Point, all: &[String], is_small: bool) -> String {
    let better = match part.better {
        Better::Higher => "higher",
        Better::Lower => "lower",
    };
    let goal = part
        .goal
        .map_or_else(|| "null".to_owned(), |goal| goal.to_string());
    let mut object = Object::new();
    object
        .text("name", bench.name)
        .text("part", part.part)
        .raw("value", median.value)
        .text("unit", part.unit)
        .raw("goal", goal)
        .text("better", better)
        .text("workload", bench.workload)
        .raw("runs", format_args!("[{}]", all.join(",")));
    if is_small {
        object.raw("small", true);
    }
    for (key, value) in &median.extra {
        object.raw(key, value);
    }
    object.end()
}

fn text(bench: &Bench, part: &Part, median: &Point, all: &[String], is_small: bool) -> String {
    let goal = part.goal.filter(|_| !is_small);
    let small = if is_small { "  SMALL: no figure" } else { "" };
    let verdict = goal.map_or_else(String::new, |goal| {
        let met = match part.better {
            Better::Higher => goal <= median.value,
            Better::Lower => median.value <= goal,
        };
        format!("  goal {goal} {}", if met { "met" } else { "MISSED" })
    });
    let mut text = format!(
        "{:32} {:>8} {:>12} {}{verdict}{small}  (runs: {})",
        bench.name,
        part.part,
        median.value.to_string(),
        part.unit,
        all.join(", ")
    );
    let extra: Vec<String> = median
        .extra
        .iter()
        .map(|(key, value)| format!("{key} {}", value.trim_matches('"')))
        .collect();
    if !extra.is_empty() {
        text.push_str(&format!("\n    {}", extra.join(" · ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_without_losing_what_matters() {
        for (milli, shown) in [
            (0, "0"),
            (8_600, "8.600"),
            (59_999, "59.999"),
            (400_000_000, "400000"),
            (400_000_499, "400000"),
            (400_000_500, "400001"),
        ] {
            assert_eq!(Milli(milli).to_string(), shown);
        }
        assert_eq!(Milli::per_second(3, 2_000_000_000), Milli(1_500));
        assert_eq!(Milli::ratio(1, 0), Milli(0));
    }

    #[test]
    fn every_line_is_json_with_the_median_of_the_runs() {
        let point = |value: u64| Point {
            part: "rate",
            value: Milli(value * 1_000),
            extra: vec![("pinned", "true".to_owned())],
        };
        let points = [point(7), point(9), point(8)];
        let bench = &BENCHES[0];
        let (part, (median, all)) = (&bench.parts[0], median(&points, "rate").unwrap());
        assert_eq!(all, ["7", "8", "9"]);
        let line = json(bench, part, median, &all, false);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["name"], "gateway_sha256d_recorded");
        assert_eq!(
            (&line["value"], &line["goal"]),
            (&8.into(), &400_000.into())
        );
        assert_eq!(
            (&line["better"], &line["pinned"]),
            (&"higher".into(), &true.into())
        );
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_there_are() {
        let args = BenchArgs {
            names: vec!["replay_ful".to_owned()],
            small: false,
            #[cfg(feature = "kafka")]
            kafka_home: None,
            format: Format::Json,
        };
        let said = run(&args).unwrap_err().to_string();
        assert!(
            said.contains("replay_ful") && said.contains("replay_full"),
            "{said}"
        );
    }
}
