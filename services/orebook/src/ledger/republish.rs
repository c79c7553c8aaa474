//! `orebook ledger republish`: frames that the log lost and no spool has are sent again from segments
//! (docs/runbooks/log-lost-final-positions.md says when).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use orebook_archiver::{lock, now_ms};
use orebook_ledger::republish::{FRAMES_MAX, Republisher, Tally};
use orebook_schema::{Frame, Kind};

use super::{Step, Walk, failure, open};
use crate::cli::{PlaceArgs, RepublishArgs};
use crate::up::Reading;
use crate::{Failure, print, say};

/// Time between two turns.
const TURN: Duration = Duration::from_millis(50);

/// What is to be sent, of one stream.
#[derive(Debug, Default)]
struct OfStream {
    frames: usize,
    events: u64,
    has_shares: bool,
}

pub(crate) fn run(args: &RepublishArgs) -> Result<(), Failure> {
    let place = PlaceArgs {
        data: args.segments.is_none().then(|| args.data.clone()),
        segments: args.segments.clone(),
    };
    // Before anything else opens the folder: a reader drops what is not final at its start.
    let frames = frames(&place, args.from)?;
    describe(&frames);
    if args.dry_run || frames.is_empty() {
        return print(&format!("frames     {} would be sent", frames.len()));
    }
    let count = frames.len();
    let republisher = Republisher::new(frames)
        .ok_or_else(|| Failure::new(format!("{count} frames are too many for one run")))?;
    let stopped = Arc::new(AtomicBool::new(false));
    let reading = Reading::start(&args.data, &args.config, stopped.clone())?;
    let tally = send(republisher, &reading, args.wait_s, &stopped);
    reading.stop();
    report(&tally?)
}

/// The frames from a position on; without one those after the last final position of these files.
fn frames(place: &PlaceArgs, from: Option<u64>) -> Result<Vec<Frame>, Failure> {
    let (store, ledger) = open(place)?;
    let mut walk = Walk::new(ledger);
    let mut frames: Vec<(u64, Frame)> = Vec::new();
    for record in store.records(0) {
        let step = walk.step(&store, record.map_err(|error| failure(error).found())?)?;
        // What is final goes by; only the end is kept in memory.
        // The genesis was given to everybody; no log has it.
        let below = from.unwrap_or_else(|| walk.final_size()).max(1);
        if let Step::Frame(frame) = step {
            frames.push((frame.0.position, frame.0.frame.clone()));
        }
        if frames
            .first()
            .is_some_and(|(position, _)| *position < below)
        {
            frames.retain(|(position, _)| below <= *position);
        }
        if FRAMES_MAX < frames.len() {
            let message = format!("more than {FRAMES_MAX} frames from position {below} on");
            return Err(Failure::new(message)
                .hint("what lies that far back is final somewhere: `orebook ledger repair --more` fetches it; then call this again"));
        }
    }
    Ok(frames.into_iter().map(|(_, frame)| frame).collect())
}

fn describe(frames: &[Frame]) {
    let mut streams: BTreeMap<String, OfStream> = BTreeMap::new();
    for frame in frames {
        let header = frame.header();
        let stream = streams.entry(header.stream.to_string()).or_default();
        stream.frames += 1;
        stream.events += u64::from(header.count);
        stream.has_shares |= header.kinds & Kind::SHARES != 0;
    }
    for (name, stream) in streams {
        let shares = if stream.has_shares {
            ", with shares"
        } else {
            ""
        };
        say(&format!(
            "stream {name}: {} frames, {} events{shares}",
            stream.frames, stream.events
        ));
    }
}

fn send(
    mut republisher: Republisher,
    reading: &Reading,
    wait_s: u64,
    stopped: &AtomicBool,
) -> Result<Tally, Failure> {
    let mut log = reading.log()?;
    let deadline = Instant::now() + Duration::from_secs(wait_s);
    loop {
        let mut reader = lock(reading.mirror());
        let tally = republisher.tick(&mut reader, &mut log, now_ms());
        drop(reader);
        let tally = tally.map_err(failure)?;
        if tally.is_done() || deadline <= Instant::now() || stopped.load(Ordering::Acquire) {
            return Ok(tally.clone());
        }
        std::thread::sleep(TURN);
    }
}

fn report(tally: &Tally) -> Result<(), Failure> {
    let refused: usize = tally.refused.values().sum();
    print(&format!(
        "final      {}\nstanding   {}\nwaiting    {}\nrefused    {refused}\nsent       {}",
        tally.settled, tally.standing, tally.waiting, tally.sent
    ))?;
    for (cause, count) in &tally.refused {
        say(&format!("refused as {cause}: {count} frames"));
    }
    if tally.is_done() {
        return Ok(());
    }
    Err(Failure::new("not everything is final").hint(
        "is an archiver running? Frames that wait lack frames of their stream before them: try an earlier --from, or other segments; call it again, nothing is counted twice",
    ))
}
