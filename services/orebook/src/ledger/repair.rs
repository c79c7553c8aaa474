//! `orebook ledger repair`: damaged and missing segments come back from a peer or a copy (docs/runbooks/segment-damaged.md).

use std::path::{Path, PathBuf};

use orebook_archiver::{FolderDonor, PeerDonor, new_stream, now_ms};
use orebook_ledger::archiver::promised;
use orebook_ledger::disk::Disk as _;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::repair::{
    Donor, Promised, RepairError, Repairs, carry_out, discard, find_repairs,
};
use orebook_ledger::segment::{Progress, first_frame};
use orebook_ledger::spool::Spool;
use orebook_schema::event::{RecoveryCode, RecoveryNote};
use orebook_schema::genesis::Genesis;
use orebook_schema::{Event, Role};
use tokio::runtime::Runtime;

use super::failure;
use crate::cat::Object;
use crate::cli::{Format, RepairArgs};
use crate::up::{lock_folder, small_spool};
use crate::{Failure, keys, print, say};

/// Folder of the archiver's ledger, in the pool's; its segments are below.
const LEDGER: &str = "ledger";
const SEGMENTS: &str = "ledger/segments";
/// Bytes of a recovery note's text at most (LEDGER-FORMAT.md, section 4).
const NOTE_BYTES_MAX: usize = 512;

pub(crate) fn run(args: &RepairArgs) -> Result<(), Failure> {
    let data = &args.data;
    if !data.join(LEDGER).exists() {
        return Err(Failure::new(format!("{}: there is no ledger", data.display())).hint(
            "give the pool's folder; a new archiver's has the genesis in `ledger/segments`, as `orebook init` made it",
        ));
    }
    let _lock = lock_folder(data)?;
    let disk = RealDisk::new(data.clone());
    let promised = Promised {
        more: args.more,
        ..promised(&disk, LEDGER)
            .map_err(|error| failure(error).hint("see docs/runbooks/archiver-disk-lost.md"))?
    };
    let runtime = Runtime::new().map_err(failure)?;
    let mut donor = donor(&args.from, &runtime)?;
    let mut report = |_: Progress| {};
    let found = find_repairs(&disk, SEGMENTS, promised, donor.as_mut(), &mut report);
    let repairs = found.map_err(refused)?;
    for replacement in &repairs.replacements {
        say(&format!("damaged: {}", replacement.fault));
    }
    if args.dry_run {
        discard(&disk, SEGMENTS).map_err(failure)?;
        print(&text(&repairs, "would be replaced", args.format))?;
        return if repairs.replacements.is_empty() {
            Ok(())
        } else {
            Err(Failure::new("damage was found; nothing was changed (--dry-run)").found())
        };
    }
    carry_out(&disk, SEGMENTS, &repairs)
        .map_err(|error| failure(error).hint("call the same repair again: it goes on"))?;
    if !repairs.replacements.is_empty() {
        note(data, &disk, args, &repairs)?;
    }
    print(&text(&repairs, "replaced", args.format))
}

/// Damage that cannot be mended is damage found.
fn refused(error: RepairError) -> Failure {
    let hint = match &error {
        RepairError::Donor(_) => {
            "is it up, and does its address serve /ledger/segments? Another one does as well"
        }
        RepairError::NotThere { .. } | RepairError::TooShort { .. } => {
            "another peer may have more: try each, then copies"
        }
        RepairError::Useless { .. }
        | RepairError::OtherRoot { .. }
        | RepairError::NotFinal { .. } => "nothing of it was taken; try another peer",
        RepairError::NotExtending { .. } => "see docs/runbooks/segment-damaged.md, what not to do",
        RepairError::Names { .. } | RepairError::Unknown | RepairError::Disk(_) => {
            "see docs/runbooks/segment-damaged.md"
        }
    };
    failure(error).hint(hint).found()
}

/// `http://host:port`, `host:port`, a pool's folder, or the segments' own.
fn donor(from: &str, runtime: &Runtime) -> Result<Box<dyn Donor>, Failure> {
    let path = Path::new(from);
    if path.is_dir() {
        let inner = ["ledger/segments", "mirror/segments", "segments"];
        let inner = inner.iter().map(|inner| path.join(inner));
        let dir = inner.into_iter().find(|dir| dir.is_dir());
        return Ok(Box::new(FolderDonor::new(
            dir.unwrap_or_else(|| PathBuf::from(path)),
        )));
    }
    let address = from.strip_prefix("http://").unwrap_or(from);
    let address = address.trim_end_matches('/');
    if !address.contains(':') || address.contains('/') {
        let message = format!("--from {from}: neither a folder nor a peer");
        return Err(Failure::new(message).hint("a peer is http://host:port, as in [ledger] peers"));
    }
    Ok(Box::new(PeerDonor::new(address, runtime.handle().clone())))
}

/// Says in the ledger that it was repaired, where the archiver's key and spool are; else says what a person may write down.
fn note(data: &Path, disk: &RealDisk, args: &RepairArgs, repairs: &Repairs) -> Result<(), Failure> {
    let firsts = repairs.replacements.iter().map(|it| it.first.to_string());
    let firsts = firsts.collect::<Vec<_>>().join(", ");
    let mut text = format!("segments from position {firsts} replaced from a peer, admitted again");
    text.truncate(NOTE_BYTES_MAX);
    let key = archiver_key(data, args.number);
    let Some(key) = key.filter(|_| data.join("ledger/spool").is_dir()) else {
        say(&format!(
            "no archiver's key and spool are here, so nothing was said in the ledger; write down: {text}"
        ));
        return Ok(());
    };
    let first = first_frame(disk, SEGMENTS).map_err(failure)?;
    let genesis = match first.frame.decode().map(|events| events.into_iter().next()) {
        Ok(Some(Event::Genesis(genesis))) => *genesis,
        _ => return Err(Failure::new("position 0 is no genesis")),
    };
    match said(disk, &key, &genesis, &text) {
        Ok(()) => say(&format!("{} says at its next start: {text}", key.display())),
        // The repair is done all the same.
        Err(failure) => say(&format!("nothing was said in the ledger: {failure}")),
    }
    Ok(())
}

fn said(disk: &RealDisk, key: &Path, genesis: &Genesis, text: &str) -> Result<(), Failure> {
    let signer = keys::read(key)?;
    let config = small_spool(genesis, Role::Archiver);
    let (mut spool, _) =
        Spool::open(disk.clone(), "ledger/spool", config, signer).map_err(failure)?;
    spool.begin(now_ms(), new_stream()).map_err(failure)?;
    let note = Event::RecoveryNote(RecoveryNote {
        code: RecoveryCode::Repaired,
        text: text.to_owned(),
    });
    spool.append(&[(now_ms(), note)]).map_err(failure)?;
    spool.cut().map_err(failure)?;
    Ok(())
}

/// The key of the archiver that runs here: the one that is named, or the only one. Another's would break the stream.
fn archiver_key(data: &Path, number: Option<u8>) -> Option<PathBuf> {
    let keys = RealDisk::new(data.to_path_buf()).list("keys").ok()?;
    let mut keys = keys
        .into_iter()
        .filter(|name| name.starts_with("archiver-") && name.ends_with(".key"));
    let name = match number {
        Some(number) => Some(format!("archiver-{number}.key")),
        None => keys.next().filter(|_| keys.next().is_none()),
    };
    name.map(|name| data.join("keys").join(name))
        .filter(|path| path.exists())
}

fn text(repairs: &Repairs, done: &str, format: Format) -> String {
    let verified = &repairs.verified;
    if format == Format::Json {
        let files = repairs
            .replacements
            .iter()
            .map(|it| format!("\"{}\"", it.path));
        let mut object = Object::new();
        object
            .raw(
                "replaced",
                format!("[{}]", files.collect::<Vec<_>>().join(",")),
            )
            .raw("positions", verified.positions)
            .raw("final", verified.final_size)
            .text("root", verified.root);
        return object.end();
    }
    let mut text = String::new();
    for replacement in &repairs.replacements {
        text.push_str(&format!("{done}   {}\n", replacement.path));
    }
    if repairs.replacements.is_empty() {
        text.push_str("everything verifies: nothing was touched\n");
    }
    text.push_str(&format!(
        "positions  {} ({} final)\nroot       {}",
        verified.positions, verified.final_size, verified.root
    ));
    text
}
