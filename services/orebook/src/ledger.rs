//! `orebook ledger cat | verify | stat | repair | republish`: what segment files say, to people and programs, and how they
//! are mended.

mod coinbases;
mod hashers;
mod proofs;
mod repair;
mod republish;
mod work;

use std::collections::BTreeMap;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orebook_ledger::admit::{Admitted, Parsed, State, Trust, Verdict};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::disk::{Disk as _, DiskFile as _};
use orebook_ledger::segment::record::{FILE_HEADER_BYTES, FileHeader};
use orebook_ledger::segment::{
    Progress, Record, SegmentStore, StoredFrame, Verified, verify_files,
};
use orebook_schema::units::shown_difficulty;
use orebook_schema::{Event, LedgerId};

use self::proofs::Proofs;
use self::work::{Findings, WorkAudit};
use crate::cat::{Object, Place, closure_line, event_line};
use crate::cli::{Format, LedgerCommand, PlaceArgs};
use crate::{Failure, print, say};

type Store = SegmentStore<RealDisk>;

pub(crate) fn run(command: &LedgerCommand) -> Result<(), Failure> {
    match command {
        LedgerCommand::Cat { place, from, limit } => cat(place, *from, *limit),
        LedgerCommand::Verify {
            place,
            work,
            oracle,
            format,
        } => verify(place, work.then_some(*oracle), *format),
        LedgerCommand::Coinbases { place, format } => coinbases::run(place, *format),
        LedgerCommand::Stat { place, format } => stat(place, *format),
        LedgerCommand::Repair(args) => repair::run(args),
        LedgerCommand::Republish(args) => republish::run(args),
    }
}

fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

fn folder(place: &PlaceArgs) -> Result<RealDisk, Failure> {
    let segments = place.segments();
    let disk = RealDisk::new(segments.clone());
    let names = disk.list("").map_err(failure)?;
    if !names.iter().any(|name| is_segment(name)) {
        return Err(
            Failure::new(format!("{}: no segment files", segments.display())).hint(
                "give the pool's folder with --data, or the files' own folder with --segments",
            ),
        );
    }
    Ok(disk)
}

fn is_segment(name: &str) -> bool {
    name.ends_with(".seg") || name.ends_with(".open")
}

/// Opens the files for reading, whoever writes them meanwhile.
pub(crate) fn open(place: &PlaceArgs) -> Result<(Store, LedgerId), Failure> {
    let disk = folder(place)?;
    let names = disk.list("").map_err(failure)?;
    let first = names
        .into_iter()
        .find(|name| is_segment(name))
        .unwrap_or_default();
    let mut header = [0; FILE_HEADER_BYTES];
    disk.open(&first)
        .and_then(|file| file.read_at(0, &mut header))
        .map_err(failure)?;
    let header =
        FileHeader::read(&header).map_err(|flaw| failure(format!("{first}: {flaw}")).found())?;
    let (store, torn) = Store::open_read_only(disk, "", header.ledger, 0)
        .map_err(|error| failure(error).found())?;
    if let Some(torn) = torn {
        say(&format!(
            "note: {} ends in the middle of a record at byte {}",
            torn.file, torn.offset
        ));
    }
    Ok((store, header.ledger))
}

/// Admits stored records again, so that what depends on the prefix is known.
struct Walk {
    state: State,
}

/// A stored record and what admission says of it.
enum Step {
    Frame(Box<(StoredFrame, Parsed, Admitted)>),
    Closure(u64, Box<orebook_schema::Header>),
}

impl Walk {
    const fn new(ledger: LedgerId) -> Self {
        Self {
            state: State::new(ledger),
        }
    }

    const fn final_size(&self) -> u64 {
        self.state.final_size()
    }

    fn step(&mut self, store: &Store, record: Record) -> Result<Step, Failure> {
        match record {
            Record::Closure {
                position, header, ..
            } => {
                self.state
                    .close_by_evidence(store, &header)
                    .map_err(failure)?;
                Ok(Step::Closure(position, Box::new(header)))
            }
            Record::Frame(stored) => {
                let wrong =
                    |what: &str| failure(format!("position {}: {what}", stored.position)).found();
                let parsed = Parsed::read(stored.frame.bytes().to_vec());
                let parsed = parsed.map_err(|error| wrong(&error.to_string()))?;
                let verdict = self
                    .state
                    .admit_parsed(store, stored.append_time, &parsed, Trust::Nothing)
                    .map_err(failure)?;
                match verdict {
                    Verdict::Admitted(admitted) => {
                        Ok(Step::Frame(Box::new((stored, parsed, admitted))))
                    }
                    Verdict::Refused(cause) => Err(wrong(cause.name())),
                }
            }
        }
    }
}

fn cat(place: &PlaceArgs, from: u64, limit: Option<u64>) -> Result<(), Failure> {
    let (store, ledger) = open(place)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut walk = Walk::new(ledger);
    let end = from.saturating_add(limit.unwrap_or(u64::MAX));
    for record in store.records(0) {
        let record = record.map_err(|error| failure(error).found())?;
        if end <= record.position() {
            break;
        }
        let written = match walk.step(&store, record)? {
            Step::Closure(position, header) if from <= position => {
                writeln!(out, "{}", closure_line(position, &header))
            }
            Step::Frame(frame) if from <= frame.0.position => {
                let (stored, parsed, admitted) = frame.as_ref();
                write_frame(&mut out, stored, parsed, admitted)
            }
            _ => Ok(()),
        };
        match written {
            // Who reads our lines may go: `cat | head` is no fault.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(failure)?,
        }
    }
    match out.flush() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failure(error)),
        _ => Ok(()),
    }
}

fn write_frame(
    out: &mut impl Write,
    stored: &StoredFrame,
    parsed: &Parsed,
    admitted: &Admitted,
) -> std::io::Result<()> {
    let mut counts = admitted.counts.iter();
    let raws = stored.frame.events();
    for ((index, event), raw) in (0..).zip(parsed.events()).zip(raws) {
        let place = Place {
            position: stored.position,
            index,
            ledger_time: stored.ledger_time,
            header: stored.frame.header(),
            dt: raw.map_or(0, |raw| raw.dt),
        };
        let counts = matches!(event, Event::Moved(_)) && counts.next().copied().unwrap_or(false);
        writeln!(out, "{}", event_line(place, event, counts))?;
    }
    Ok(())
}

/// A bar for people; silent where nobody looks.
/// A bar over positions, for a replay.
pub(crate) fn positions_bar(format: Format, positions: u64) -> ProgressBar {
    let bar = bar(format);
    let style =
        ProgressStyle::with_template("{bar:30} {pos} of {len} positions, {per_sec}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_length(positions);
    bar
}

/// Positions that an obeyed checkpoint covers. Admission is judged, signatures are not.
pub(crate) fn final_size(store: &Store, ledger: LedgerId) -> Result<u64, Failure> {
    let mut walk = Walk::new(ledger);
    for record in store.records(0) {
        walk.step(store, record.map_err(|error| failure(error).found())?)?;
    }
    Ok(walk.state.final_size())
}

fn bar(format: Format) -> ProgressBar {
    let hidden = format == Format::Json || !std::io::stderr().is_terminal();
    let target = if hidden {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template(
        "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left, {msg}",
    );
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// How often a verification without a terminal says how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// With `work` shares are hashed again, by the oracle if that is so.
fn verify(place: &PlaceArgs, work: Option<bool>, format: Format) -> Result<(), Failure> {
    let disk = folder(place)?;
    let bar = bar(format);
    let started = Instant::now();
    let mut said = started;
    let mut report = |progress: Progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
        bar.set_message(format!("position {}", progress.positions));
        if bar.is_hidden() && REPORT_EVERY <= said.elapsed() {
            said = Instant::now();
            say(&format!(
                "verified {} of {} bytes, {} positions",
                progress.bytes, progress.bytes_total, progress.positions
            ));
        }
    };
    let verified = verify_files(&disk, "", None, &mut report);
    bar.finish_and_clear();
    let verified = verified.map_err(|fault| failure(fault).found())?;
    let proofs = Proofs::of(place)?;
    proofs.lines().iter().for_each(|fault| say(fault));
    let findings = work.map(|oracle| audit_work(place, oracle)).transpose()?;
    let faults = findings.iter().flat_map(Findings::lines);
    faults.for_each(|fault| say(&fault));
    print(&verified_text(
        &verified,
        &proofs,
        findings.as_ref(),
        started.elapsed(),
        format,
    ))?;
    if 0 < proofs.faults {
        let what = format!(
            "{} settings that no owner is shown to have said",
            proofs.faults
        );
        return Err(failure(what)
            .hint("the ledger is whole: whoever has the desk's key said what is not so")
            .found());
    }
    match findings.map_or(0, |findings| findings.faults) {
        0 => Ok(()),
        faults => Err(
            failure(format!("{faults} faults in the work of the ledger"))
                .hint("the ledger is whole: who signed these frames said what is not so")
                .found(),
        ),
    }
}

/// Hashes every share again that counts.
fn audit_work(place: &PlaceArgs, oracle: bool) -> Result<Findings, Failure> {
    let (store, ledger) = open(place)?;
    let mut walk = Walk::new(ledger);
    let mut audit: Option<WorkAudit> = None;
    let mut said = Instant::now();
    for record in store.records(0) {
        let record = record.map_err(|error| failure(error).found())?;
        let Step::Frame(frame) = walk.step(&store, record)? else {
            continue;
        };
        let (stored, parsed, admitted) = frame.as_ref();
        let audit = match &mut audit {
            Some(audit) => audit,
            empty => match parsed.events().first() {
                Some(Event::Genesis(genesis)) => empty.insert(WorkAudit::new(genesis, oracle)?),
                _ => return Err(failure("position 0 is no genesis").found()),
            },
        };
        audit.frame(parsed, admitted)?;
        if REPORT_EVERY <= said.elapsed() {
            said = Instant::now();
            let hashed = audit.hashed();
            say(&format!(
                "hashed {hashed} shares, position {}",
                stored.position
            ));
        }
    }
    audit.map_or_else(|| Ok(Findings::default()), WorkAudit::finish)
}

fn verified_text(
    verified: &Verified,
    proofs: &Proofs,
    findings: Option<&Findings>,
    took: Duration,
    format: Format,
) -> String {
    let ledger = verified
        .ledger
        .map_or_else(|| "none".to_owned(), |ledger| ledger.to_string());
    if format == Format::Json {
        let mut object = Object::new();
        object
            .text("ledger", ledger)
            .raw("positions", verified.positions)
            .raw("final", verified.final_size)
            .text("root", verified.root)
            .raw("events", verified.events)
            .raw("shares", verified.shares)
            .raw("streams", verified.streams)
            .raw("closures", verified.closures)
            .raw("files", verified.files)
            .raw("bytes", verified.bytes)
            .raw("owners_settings", proofs.settings)
            .raw("settings_without_proof", proofs.faults);
        if let Some(findings) = findings {
            object
                .raw("hashed", findings.hashed)
                .raw("blocks", findings.blocks)
                .raw("faults", findings.faults);
        }
        return object.end();
    }
    let mut text = format!(
        "ledger     {ledger}\npositions  {} ({} final)\nroot       {}\nevents     {} in {} streams, {} closed by a fork\n\
         shares     {}\nfiles      {} of {} bytes\nverified   every byte, hash, root, signature and admission, in {:.1} s",
        verified.positions,
        verified.final_size,
        verified.root,
        verified.events,
        verified.streams,
        verified.closures,
        verified.shares,
        verified.files,
        verified.bytes,
        took.as_secs_f64(),
    );
    if 0 < proofs.settings {
        text.push_str(&format!(
            "\nsettings   {} by owners themselves, {} without proof",
            proofs.settings, proofs.faults
        ));
    }
    if let Some(findings) = findings {
        text.push_str(&format!(
            "\nwork       {} shares hashed again, {} blocks found, {} faults",
            findings.hashed, findings.blocks, findings.faults
        ));
    }
    text
}

/// What `stat` counts.
#[derive(Debug, Default)]
struct Counts {
    kinds: BTreeMap<&'static str, u64>,
    credit: u128,
    body_bytes: u64,
    summary_bytes: u64,
    first_time: Option<u64>,
    last_time: u64,
}

impl Counts {
    fn add(&mut self, stored: &StoredFrame, parsed: &Parsed) {
        for event in parsed.events() {
            *self.kinds.entry(event.kind().name()).or_default() += 1;
        }
        let rows = parsed.summary().pots.iter().flat_map(|pot| &pot.rows);
        self.credit += rows.map(|row| row.credit).sum::<u128>();
        self.body_bytes += u64::from(stored.frame.header().body_len);
        self.summary_bytes += u64::from(stored.frame.header().summary_len);
        self.first_time.get_or_insert(stored.ledger_time);
        self.last_time = stored.ledger_time;
    }
}

fn stat(place: &PlaceArgs, format: Format) -> Result<(), Failure> {
    let (store, ledger) = open(place)?;
    let mut walk = Walk::new(ledger);
    let mut counts = Counts::default();
    let bar = bar(format);
    let total: u64 = store.segments().iter().map(|segment| segment.bytes).sum();
    bar.set_length(total);
    for record in store.records(0) {
        let record = record.map_err(|error| failure(error).found())?;
        if let Step::Frame(frame) = walk.step(&store, record)? {
            let (stored, parsed, _) = frame.as_ref();
            bar.inc(stored.frame.bytes().len() as u64);
            counts.add(stored, parsed);
        }
    }
    bar.finish_and_clear();
    print(&stat_text(&store, &walk.state, &counts, format))
}

fn stat_text(store: &Store, state: &State, counts: &Counts, format: Format) -> String {
    let segments = store.segments();
    let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let shares = counts.kinds.get("share").copied().unwrap_or(0);
    let closed = state.streams().filter(|(_, stream)| stream.closed).count();
    let coin = state.authority().map(|authority| authority.genesis());
    let unit = coin.map(|genesis| genesis.algorithm.work_unit());
    let work = unit.map_or_else(
        || counts.credit.to_string(),
        |unit| shown_difficulty(counts.credit, unit),
    );
    if format == Format::Json {
        let kinds = counts
            .kinds
            .iter()
            .map(|(kind, count)| format!("\"{kind}\":{count}"));
        let mut object = Object::new();
        object
            .text("ledger", state.ledger())
            .text(
                "coin",
                coin.map_or("", |genesis| genesis.coin_name.as_str()),
            )
            .raw("positions", state.size())
            .raw("final", state.final_size())
            .text("root", state.root())
            .raw("segments", segments.len())
            .raw("bytes", bytes)
            .raw("body_bytes", counts.body_bytes)
            .raw("summary_bytes", counts.summary_bytes)
            .raw("streams", state.streams().count())
            .raw("closed", closed)
            .text("credit", counts.credit)
            .raw("first_time", counts.first_time.unwrap_or(0))
            .raw("last_time", counts.last_time)
            .raw(
                "events",
                format!("{{{}}}", kinds.collect::<Vec<_>>().join(",")),
            );
        return object.end();
    }
    let mut text = format!(
        "ledger     {}\ncoin       {}\npositions  {} ({} final)\nsegments   {} ({} sealed), {bytes} bytes\nstreams    {} ({closed} closed)\n\
         work       {work}\n",
        state.ledger(),
        coin.map_or("", |genesis| genesis.coin_name.as_str()),
        state.size(),
        state.final_size(),
        segments.len(),
        segments.iter().filter(|segment| segment.sealed).count(),
        state.streams().count(),
    );
    for (kind, count) in &counts.kinds {
        text.push_str(&format!("{kind:14} {count}\n"));
    }
    if let Some(per_share) = bytes.checked_div(shares) {
        text.push_str(&format!("bytes a share  {per_share}"));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests;
