//! `orebook mine`.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use orebook_miner::{Counts, Mining, Rig};
use orebook_schema::genesis::Algorithm;

use crate::cat::Object;
use crate::cli::{Format, MineArgs};
use crate::{Failure, print, say};

/// Sleep between two looks at what was reached.
const NAP: Duration = Duration::from_millis(20);
/// Between two lines that say how it goes.
const WORD: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &MineArgs) -> Result<(), Failure> {
    let algorithm = Algorithm::parse(&args.algorithm)
        .filter(|known| matches!(known, Algorithm::Sha256d | Algorithm::Scrypt));
    let algorithm = algorithm.ok_or_else(|| {
        Failure::new(format!("algorithm {} is not mined here", args.algorithm))
            .hint("sha256d and scrypt are")
    })?;
    let rig = Rig {
        url: args.url.clone(),
        user: args.user.clone(),
        password: args.password.clone(),
        algorithm,
        threads: args.threads,
        hashes_per_second: args.hashes_per_second,
    };
    let failed = |why: String| Failure::new(format!("{}: {why}", args.url));
    let mining = Mining::start(&rig).map_err(failed)?;
    let started = Instant::now();
    let mut said = Instant::now();
    let enough = |mining: &Mining| {
        let accepted = mining.counts.accepted.load(Ordering::Relaxed);
        args.shares.is_some_and(|wanted| wanted <= accepted)
            || args
                .seconds
                .is_some_and(|seconds| Duration::from_secs(seconds) <= started.elapsed())
    };
    while !mining.is_over() && !enough(&mining) {
        std::thread::sleep(NAP);
        if args.format == Format::Text && WORD <= said.elapsed() {
            said = Instant::now();
            say(&summary(&mining.counts, started));
        }
    }
    let finished = enough(&mining);
    let counts = mining.counts.clone();
    let ended = mining.stop();
    match args.format {
        Format::Text => print(&summary(&counts, started))?,
        Format::Json => print(&object(&counts, started))?,
    }
    match ended {
        Some(why) if !finished => Err(failed(why)),
        _ => Ok(()),
    }
}

fn summary(counts: &Counts, started: Instant) -> String {
    let hashes = counts.hashes.load(Ordering::Relaxed);
    let seconds = started.elapsed().as_secs().max(1);
    format!(
        "{} kH/s, {} shares sent, {} accepted, {} refused",
        hashes / seconds / 1_000,
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
