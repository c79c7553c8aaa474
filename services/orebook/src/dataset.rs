//! `orebook dataset`: the whole dataset of an epoch of ethash, for a gateway that has the memory.

use std::sync::atomic::{AtomicU64, Ordering};

use orebook_gateway::make_dataset;
use orebook_pow::ethash::{Cache, EpochRule};
use orebook_schema::genesis::Algorithm;

use crate::cli::DatasetArgs;
use crate::{Failure, print, say};

/// Threads at most.
const THREADS_MAX: usize = 256;

pub(crate) fn run(args: &DatasetArgs) -> Result<(), Failure> {
    let algorithm = Algorithm::parse(&args.algorithm);
    let rule = algorithm.and_then(EpochRule::of).ok_or_else(|| {
        let message = format!("--algorithm {}: it has no dataset", args.algorithm);
        Failure::new(message).hint("ethash and etchash have")
    })?;
    let epoch = rule.epoch(args.height).ok_or_else(|| {
        let message = format!("--height {}: nobody knows the sizes there", args.height);
        Failure::new(message).hint("is it a height of this coin?")
    })?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or(cores).clamp(1, THREADS_MAX);
    let bytes = epoch.dataset_bytes();
    say(&format!("{bytes} bytes, {threads} threads"));
    let cache = Cache::build(epoch);
    let said = AtomicU64::new(0);
    let progress = |done: u64, all: u64| {
        let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100);
        if said.fetch_max(percent, Ordering::Relaxed) < percent {
            say(&format!("{percent} %"));
        }
    };
    let path = make_dataset(&args.folder, &cache, threads, &progress)
        .map_err(|error| Failure::new(format!("{}: {error}", args.folder.display())))?;
    print(&path.display().to_string())
}
