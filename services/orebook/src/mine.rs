//! `orebook mine`: rigs that mine on a pool by processor.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use orebook_miner::{Counts, EthCaches, EthDialect, EthLogin, EthRig, Mining, Rig};
use orebook_pow::ethash::EpochRule;
use orebook_schema::genesis::Algorithm;

use crate::cat::Object;
use crate::cli::{Format, MineArgs, MineDialect};
use crate::{Failure, print, say};

/// Sleep between two looks at what was reached.
const NAP: Duration = Duration::from_millis(20);
/// Before a rig comes again.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two lines that say how it goes.
const WORD: Duration = Duration::from_secs(10);
/// From so many hashes a second they are counted in thousands.
const THOUSANDS_FROM: u64 = 10_000;

/// A rig of either kind.
#[derive(Debug)]
enum Either {
    Stratum(Rig),
    Eth(EthRig),
}

impl Either {
    fn start(&mut self, counts: &Arc<Counts>) -> Result<Mining, String> {
        match self {
            Self::Stratum(rig) => Mining::start_counting(rig, counts.clone()),
            Self::Eth(rig) => {
                rig.first_nonce = random()?;
                Mining::start_eth(rig, counts.clone())
            }
        }
    }
}

fn random() -> Result<u64, String> {
    let mut bytes = [0; 8];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| format!("no randomness: {error}"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// A rig and its connection, while it has one.
struct Place {
    rig: Either,
    mining: Option<Mining>,
    /// When it was sent away last.
    since: Instant,
}

pub(crate) fn run(args: &MineArgs) -> Result<(), Failure> {
    let rigs = rigs(args)?;
    let failed = |why: String| Failure::new(format!("{}: {why}", args.url));
    let counts = Arc::new(Counts::default());
    let started = Instant::now();
    let mut places = Vec::new();
    for mut rig in rigs {
        let mining = match rig.start(&counts) {
            Ok(mining) => Some(mining),
            Err(why) if args.reconnect => {
                tracing::warn!(why, "the rig is not let in");
                None
            }
            Err(why) => return Err(failed(why)),
        };
        let since = Instant::now();
        places.push(Place { rig, mining, since });
    }
    let mut said = Instant::now();
    let enough = || {
        let accepted = counts.accepted.load(Ordering::Relaxed);
        args.shares.is_some_and(|wanted| wanted <= accepted)
            || args
                .seconds
                .is_some_and(|seconds| Duration::from_secs(seconds) <= started.elapsed())
    };
    let mut ended = None;
    while ended.is_none() && !enough() {
        std::thread::sleep(NAP);
        for place in &mut places {
            ended = ended.or(look(place, &counts, args.reconnect));
        }
        if args.format == Format::Text && WORD <= said.elapsed() {
            said = Instant::now();
            say(&summary(&counts, started));
        }
    }
    let finished = enough();
    for mining in places.into_iter().filter_map(|place| place.mining) {
        ended = mining.stop().or(ended);
    }
    match args.format {
        Format::Text => print(&summary(&counts, started))?,
        Format::Json => print(&object(&counts, started))?,
    }
    match ended {
        Some(why) if !finished => Err(failed(why)),
        _ => Ok(()),
    }
}

/// Sees after a rig: one that was sent away comes again, or says why it was.
fn look(place: &mut Place, counts: &Arc<Counts>, reconnect: bool) -> Option<String> {
    if place.mining.as_ref().is_some_and(Mining::is_over) {
        place.since = Instant::now();
        let why = place.mining.take().and_then(Mining::stop);
        let why = why.unwrap_or_else(|| "the connection ended".to_owned());
        if !reconnect {
            return Some(why);
        }
        tracing::warn!(why, "a rig was sent away");
    }
    if place.mining.is_none() && PAUSE <= place.since.elapsed() {
        place.since = Instant::now();
        match place.rig.start(counts) {
            Ok(mining) => place.mining = Some(mining),
            Err(why) => tracing::debug!(why, "the rig is not let in yet"),
        }
    }
    None
}

/// The rigs that the arguments ask for.
fn rigs(args: &MineArgs) -> Result<Vec<Either>, Failure> {
    let algorithm = Algorithm::parse(&args.algorithm).ok_or_else(|| {
        Failure::new(format!("algorithm {} is not mined here", args.algorithm))
            .hint("sha256d, scrypt, scrypt2, ethash and etchash are")
    })?;
    let dialect = match args.dialect {
        Some(MineDialect::Stratum) => None,
        Some(MineDialect::EthProxy) => Some(EthDialect::EthProxy),
        Some(MineDialect::Nicehash) => Some(EthDialect::NiceHash),
        Some(MineDialect::Es2) => Some(EthDialect::Stratum2),
        Some(MineDialect::Legacy) => Some(EthDialect::Legacy),
        Some(MineDialect::Getwork) => Some(EthDialect::GetWork),
        None => EpochRule::of(algorithm).map(|_| EthDialect::EthProxy),
    };
    let caches = EthCaches::default();
    let one = |number: u16| match (EpochRule::of(algorithm), dialect) {
        (None, None) => Ok(Either::Stratum(Rig {
            url: args.url.clone(),
            user: user_of(args, number),
            password: args.password.clone(),
            algorithm,
            threads: args.threads,
            hashes_per_second: args.hashes_per_second,
        })),
        (Some(rule), Some(dialect)) => Ok(Either::Eth(EthRig {
            url: args.url.clone(),
            login: login(&user_of(args, number), &args.password),
            dialect,
            rule,
            threads: args.threads,
            hashes_per_second: args.hashes_per_second,
            first_nonce: 0,
            caches: caches.clone(),
        })),
        (Some(_), None) => Err(Failure::new(format!(
            "{} is not mined over Stratum V1",
            args.algorithm
        ))
        .hint("--dialect eth-proxy, nicehash, es2, legacy or getwork")),
        (None, Some(_)) => Err(
            Failure::new(format!("{} has Stratum V1 only", args.algorithm))
                .hint("without --dialect, or --dialect stratum"),
        ),
    };
    (1..=args.rigs).map(one).collect()
}

/// The user; where there are several rigs, one of each: `ADDRESS.rig`, `ADDRESS.rig-2`.
fn user_of(args: &MineArgs, number: u16) -> String {
    if number == 1 {
        return args.user.clone();
    }
    let between = if args.user.contains('.') {
        "-"
    } else {
        ".rig-"
    };
    format!("{}{between}{number}", args.user)
}

fn login(user: &str, password: &str) -> EthLogin {
    let (address, rig) = user.split_once(['.', '/']).unwrap_or((user, ""));
    EthLogin {
        address: address.to_owned(),
        rig: rig.to_owned(),
        password: password.to_owned(),
    }
}

fn summary(counts: &Counts, started: Instant) -> String {
    let hashes = counts.hashes.load(Ordering::Relaxed);
    let rate = hashes / started.elapsed().as_secs().max(1);
    let rate = if rate < THOUSANDS_FROM {
        format!("{rate} H/s")
    } else {
        format!("{} kH/s", rate / 1_000)
    };
    format!(
        "{rate}, {} shares sent, {} accepted, {} refused",
        counts.sent.load(Ordering::Relaxed),
        counts.accepted.load(Ordering::Relaxed),
        counts.refused.load(Ordering::Relaxed),
    )
}

fn object(counts: &Counts, started: Instant) -> String {
    let mut object = Object::new();
    object
        .raw("hashes", counts.hashes.load(Ordering::Relaxed))
        .raw("sent", counts.sent.load(Ordering::Relaxed))
        .raw("accepted", counts.accepted.load(Ordering::Relaxed))
        .raw("refused", counts.refused.load(Ordering::Relaxed))
        .raw("seconds", started.elapsed().as_secs());
    object.end()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn asked(more: &[&str]) -> Result<Vec<Either>, Failure> {
        let words = ["orebook", "mine", "--url", "pool:1", "--user", "0xab.rig"];
        let cli = Cli::try_parse_from(words.iter().chain(more)).unwrap();
        match cli.command {
            Command::Mine(args) => rigs(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_algorithm_is_mined_in_its_own_dialects_only() {
        use EthDialect::{EthProxy, GetWork, Legacy, NiceHash, Stratum2};
        for (words, wanted) in [
            ("--algorithm sha256d", Some(None)),
            ("--algorithm scrypt2 --dialect stratum", Some(None)),
            ("--algorithm ethash", Some(Some(EthProxy))),
            (
                "--algorithm etchash --dialect nicehash",
                Some(Some(NiceHash)),
            ),
            ("--algorithm ethash --dialect es2", Some(Some(Stratum2))),
            ("--algorithm ethash --dialect legacy", Some(Some(Legacy))),
            ("--algorithm ethash --dialect getwork", Some(Some(GetWork))),
            ("--algorithm ethash --dialect stratum", None),
            ("--algorithm scrypt --dialect getwork", None),
            ("--algorithm x11", None),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            let dialects = asked(&words).ok().map(|rigs| match &rigs[..] {
                [Either::Stratum(_)] => None,
                [Either::Eth(rig)] => Some(rig.dialect),
                other => panic!("{other:?}"),
            });
            assert_eq!(dialects, wanted, "{words:?}");
        }
    }

    #[test]
    fn each_of_several_rigs_has_a_name_of_its_own() {
        let rigs = asked(&["--algorithm", "ethash", "--rigs", "3"]).unwrap();
        let names = rigs.iter().map(|rig| match rig {
            Either::Eth(rig) => (rig.login.address.as_str(), rig.login.rig.as_str()),
            Either::Stratum(_) => panic!("ethash"),
        });
        let wanted = [("0xab", "rig"), ("0xab", "rig-2"), ("0xab", "rig-3")];
        assert!(names.eq(wanted), "{rigs:?}");
    }
}
