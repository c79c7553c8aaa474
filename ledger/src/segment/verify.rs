//! The auditor's check of a folder of segments, from the bytes alone: every byte is accounted for, and every frame is
//! admitted again. Nothing is written.

use orebook_schema::event::NO_NUMBER;
use orebook_schema::{Event, Hash, Header, LedgerId};
use sha2::{Digest, Sha256};

use super::index::{Rules, SegmentIndex};
use super::record::{Body, ClosureBody, FILE_HEADER_BYTES, FileHeader, FrameBody};
use super::report::{Fault, Progress, Verified, fault};
use super::scan::{Stop, Walk, last_nonzero};
use super::sealed::{Sealed, read_file_header};
use super::view::{Open, View};
use super::{FileName, Flaw, TornTail, list_files};
use crate::admit::{Admitted, Parsed, State, Verdict};
use crate::disk::{Disk, DiskFile, DiskResult};

/// How many records lie between two reports of progress.
const RECORDS_A_REPORT: u64 = 1_024;

/// Verifies all segments of the folder `dir`. With `ledger` they must be that ledger's, else that of the first file.
/// Each file is checked by itself first (header, heads, CRCs, padding, zeros, footer); then its frames are admitted
/// again with nothing taken on trust, and its roots and its SHA-256 are compared.
///
/// # Errors
/// [`Fault`]: the first thing that is wrong, or that the disk could not read.
pub fn verify_files<D: Disk>(
    disk: &D,
    dir: &str,
    ledger: Option<LedgerId>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verified, Fault> {
    let files = list_files(disk, dir).map_err(|error| fault(dir, 0, 0, error))??;
    let mut audit = Audit::new(disk, ledger, progress);
    let mut sizes = Vec::new();
    for file in files {
        let size = disk.open(&file.path).and_then(|file| file.len());
        let size = size.map_err(|error| fault(&file.path, 0, file.first, error))?;
        audit.done.bytes_total += size;
        audit.done.files_total += 1;
        sizes.push((file, size));
    }
    let mut files = sizes.iter().peekable();
    let mut before = 0;
    while let Some((file, len)) = files.next() {
        audit.file(file, *len, files.peek().is_none())?;
        before += len;
        audit.done.bytes = before;
        audit.done.files += 1;
        (audit.progress)(audit.done);
    }
    Ok(audit.finish())
}

pub(super) struct Audit<'a, D: Disk> {
    disk: &'a D,
    progress: &'a mut dyn FnMut(Progress),
    pub(super) done: Progress,
    /// From this position on the last file may end in bytes that are no record: a start cuts them.
    pub(super) torn_from: Option<u64>,
    /// The root of the tree of this size is asked for.
    pub(super) watch: Option<u64>,
    /// It, once so many positions were admitted.
    pub(super) watched: Option<Hash>,
    ledger: Option<LedgerId>,
    /// State of admission, and what records are judged by; from the first file header on.
    state: Option<(State, Rules)>,
    sealed: Vec<Sealed>,
    open: Vec<Open<D::File>>,
    /// What the file before holds.
    before: Option<SegmentIndex>,
    events: u64,
    shares: u64,
    closures: u64,
    torn: Option<TornTail>,
}

/// Where an audit stood before a file, to go back to.
pub(super) struct Mark {
    state: Option<(State, Rules)>,
    ledger: Option<LedgerId>,
    sealed: usize,
    open: usize,
    before: Option<SegmentIndex>,
    counts: [u64; 3],
    watched: Option<Hash>,
    done: Progress,
}

/// A file that is right by itself.
struct Framed {
    header: FileHeader,
    index: SegmentIndex,
    sealed: Option<Sealed>,
}

impl<'a, D: Disk> Audit<'a, D> {
    pub(super) fn new(
        disk: &'a D,
        ledger: Option<LedgerId>,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        Self {
            disk,
            progress,
            done: Progress::default(),
            torn_from: None,
            watch: None,
            watched: None,
            ledger,
            state: None,
            sealed: Vec::new(),
            open: Vec::new(),
            before: None,
            events: 0,
            shares: 0,
            closures: 0,
            torn: None,
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.state.as_ref().map_or(0, |(state, _)| state.size())
    }

    /// Root of the tree over all that was taken; none before the first file.
    pub(super) fn root(&self) -> Option<Hash> {
        self.state.as_ref().map(|(state, _)| state.root())
    }

    /// Remembers where it stands.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            state: self.state.clone(),
            ledger: self.ledger,
            sealed: self.sealed.len(),
            open: self.open.len(),
            before: self.before.clone(),
            counts: [self.events, self.shares, self.closures],
            watched: self.watched,
            done: self.done,
        }
    }

    /// Forgets the file that was taken, or found wrong, since the mark.
    pub(super) fn go_back(&mut self, mark: Mark) {
        self.state = mark.state;
        self.ledger = mark.ledger;
        self.sealed.truncate(mark.sealed);
        self.open.truncate(mark.open);
        self.before = mark.before;
        [self.events, self.shares, self.closures] = mark.counts;
        self.watched = mark.watched;
        self.done = mark.done;
        self.torn = None;
    }

    pub(super) fn file(&mut self, name: &FileName, len: u64, is_last: bool) -> Result<(), Fault> {
        let position = self.size();
        let wrong =
            |offset, what: &dyn ToString| fault(&name.path, offset, position, what.to_string());
        let file = self
            .disk
            .open(&name.path)
            .map_err(|error| wrong(0, &error))?;
        let header = read_file_header(&file, len).map_err(|error| wrong(0, &error))?;
        if name.first != position {
            return Err(wrong(
                0,
                &"the segment does not begin with the next position",
            ));
        }
        if is_last && !name.sealed {
            let used = if header.is_ok() {
                FILE_HEADER_BYTES as u64
            } else {
                0
            };
            let behind = last_nonzero(&file, used, len).map_err(|error| wrong(0, &error))?;
            if behind.is_none() {
                let file = name.path.clone();
                self.torn = Some(TornTail {
                    file,
                    offset: 0,
                    bytes: used,
                    position,
                });
                return header.map_or(Ok(()), |header| self.check_header(&header, name));
            }
        }
        let header = header.map_err(|flaw| wrong(0, &flaw))?;
        self.check_header(&header, name)?;
        let framed = self.frame_up(&file, len, name, header)?;
        self.admit_all(file, name, framed)
    }

    fn check_header(&mut self, header: &FileHeader, name: &FileName) -> Result<(), Fault> {
        let ledger = *self.ledger.get_or_insert(header.ledger);
        let wrong = |position, what| Err(fault(&name.path, 0, position, what));
        if header.ledger != ledger {
            return wrong(
                name.first,
                format!("the file belongs to ledger {}", header.ledger),
            );
        }
        if header.first != name.first {
            return wrong(
                name.first,
                "name and header differ in the position".to_owned(),
            );
        }
        let rules = Rules {
            ledger,
            limits: None,
        };
        let (state, _) = self
            .state
            .get_or_insert_with(|| (State::new(ledger), rules));
        if header.root != state.root() {
            return wrong(
                name.first,
                "the root in the file header is not that of the frames".to_owned(),
            );
        }
        Ok(())
    }

    /// Checks what a file says of itself, without admission.
    fn frame_up(
        &mut self,
        file: &D::File,
        len: u64,
        name: &FileName,
        header: FileHeader,
    ) -> Result<Framed, Fault> {
        let mut index = SegmentIndex::new(header.first);
        let mut walk = Walk::new(index.end(), len);
        let mut sealed = None;
        loop {
            let (offset, next) = (walk.offset(), index.next());
            let wrong = |what: &dyn ToString| fault(&name.path, offset, next, what.to_string());
            let found = match walk.next(file) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(Stop::Disk(error)) => return Err(wrong(&error)),
                Err(Stop::Flaw(flaw)) if name.sealed => return Err(wrong(&flaw)),
                Err(Stop::Flaw(_)) if self.torn_from.is_some_and(|from| from <= next) => {
                    self.note_torn(file, name, (offset, len), next)
                        .map_err(|error| wrong(&error))?;
                    break;
                }
                Err(Stop::Flaw(flaw)) => {
                    zeros_follow(file, name, offset, len, next, &flaw)?;
                    break;
                }
            };
            if let Body::Footer(footer) = found.body
                && 0 < index.positions()
            {
                if index.footer(footer.facts.root, footer.facts.sha256) != found.bytes {
                    let what = "its tables are not those of the records";
                    return Err(wrong(&Flaw::Footer(what)));
                }
                let end = offset + found.bytes.len() as u64;
                if !name.sealed {
                    // A seal that did not come to its end; the next start takes the footer off again.
                    zeros_follow(file, name, end, len, next, &Flaw::Magic)?;
                } else if end != len {
                    return Err(wrong(&Flaw::Footer("bytes stand behind it")));
                }
                sealed = Some(Sealed::new(name.path.clone(), header, &footer, offset));
                break;
            }
            self.take(&found, &mut index).map_err(|flaw| wrong(&flaw))?;
        }
        if name.sealed && sealed.is_none() {
            return Err(fault(
                &name.path,
                len,
                index.next(),
                "a sealed file without a footer",
            ));
        }
        if index.positions() == 0 {
            return Err(fault(
                &name.path,
                len,
                index.next(),
                "a segment without a position",
            ));
        }
        Ok(Framed {
            header,
            index,
            sealed,
        })
    }

    /// What stands behind the last record was never promised.
    fn note_torn(
        &mut self,
        file: &D::File,
        name: &FileName,
        (offset, len): (u64, u64),
        position: u64,
    ) -> DiskResult<()> {
        self.torn = last_nonzero(file, offset, len)?.map(|last| TornTail {
            file: name.path.clone(),
            offset,
            bytes: last - offset,
            position,
        });
        Ok(())
    }

    fn take(
        &mut self,
        found: &super::scan::Found<'_>,
        index: &mut SegmentIndex,
    ) -> Result<(), Flaw> {
        let Some((_, rules)) = &mut self.state else {
            return Err(Flaw::FileMagic);
        };
        if let (Body::Frame(body), Some(before), Some(limits)) =
            (found.body, &self.before, rules.limits)
            && index.positions() == 0
            && before.takes(body.frame.len(), &limits)
        {
            return Err(Flaw::Early);
        }
        index.take(found, rules)
    }

    /// Admits all of a file again and compares what depends on it.
    fn admit_all(&mut self, file: D::File, name: &FileName, framed: Framed) -> Result<(), Fault> {
        let Framed {
            header,
            index,
            sealed,
        } = framed;
        let end = index.end();
        let mut walk = Walk::new(FILE_HEADER_BYTES as u64, end);
        let mut hasher = Sha256::new_with_prefix(header.to_bytes());
        let reader = self.disk.open(&name.path);
        let reader = reader.map_err(|error| fault(&name.path, 0, header.first, error))?;
        self.open.push(Open {
            path: name.path.clone(),
            root: header.root,
            index: SegmentIndex::new(header.first),
            file: Some(file),
            named: true,
            synced: end,
            touched: end,
            pending: Vec::new(),
        });
        loop {
            let (offset, next) = (walk.offset(), self.size());
            let wrong = |what: String| fault(&name.path, offset, next, what);
            match walk.next(&reader) {
                Ok(Some(found)) => {
                    hasher.update(found.bytes);
                    self.done.bytes += found.bytes.len() as u64;
                    self.admit(&found.body, found.bytes.len()).map_err(wrong)?;
                }
                Ok(None) => break,
                Err(Stop::Flaw(flaw)) => return Err(wrong(flaw.to_string())),
                Err(Stop::Disk(error)) => return Err(wrong(error.to_string())),
            }
        }
        if let Some(sealed) = sealed {
            let what = self.judge_footer(&sealed, Hash(hasher.finalize().into()));
            if let Some(what) = what {
                return Err(fault(&name.path, end, index.next(), Flaw::Footer(what)));
            }
            if name.sealed {
                // From here on its index is read where it lies: it was proven above.
                self.open.pop();
                self.sealed.push(sealed);
            }
        }
        self.before = Some(index);
        Ok(())
    }

    fn judge_footer(&self, sealed: &Sealed, sha256: Hash) -> Option<&'static str> {
        let root = self.state.as_ref().map(|(state, _)| state.root());
        if sealed.facts.sha256 != sha256 {
            return Some("its SHA-256 is not that of the file");
        }
        (root != Some(sealed.facts.root)).then_some("its root is not that of the frames")
    }

    fn admit(&mut self, body: &Body<'_>, record_bytes: usize) -> Result<(), String> {
        match body {
            Body::Frame(body) => {
                let parsed = self.admit_frame(body)?;
                let header = parsed.frame().header();
                self.events += u64::from(header.count);
                if let Some(open) = self.open.last_mut() {
                    open.index
                        .push_frame(header, body.frame.len(), record_bytes);
                }
                self.done.positions += 1;
            }
            Body::Closure(body) => {
                self.admit_closure(body)?;
                self.closures += 1;
                if let Some(open) = self.open.last_mut() {
                    open.index.push_closure(record_bytes);
                }
            }
            Body::Footer(_) => return Err("a footer among the records".to_owned()),
        }
        if self.done.positions.is_multiple_of(RECORDS_A_REPORT) {
            (self.progress)(self.done);
        }
        Ok(())
    }

    fn admit_frame(&mut self, body: &FrameBody<'_>) -> Result<Parsed, String> {
        let view = View {
            disk: self.disk,
            sealed: &self.sealed,
            open: &self.open,
        };
        let Some((state, _)) = &mut self.state else {
            return Err("no ledger".to_owned());
        };
        let (verdict, parsed) = state
            .admit(&view, body.append_time, body.frame.to_vec())
            .map_err(|error| error.to_string())?;
        let (admitted, parsed) = match (verdict, parsed) {
            (Verdict::Admitted(admitted), Some(parsed)) => (admitted, parsed),
            (Verdict::Refused(cause), _) => return Err(format!("not admitted: {}", cause.name())),
            (Verdict::Admitted(_), None) => return Err("not admitted".to_owned()),
        };
        let (right, stored) = (admitted.ledger_time, body.ledger_time);
        if right != stored {
            return Err(format!(
                "the ledger time is {right}, the record says {stored}"
            ));
        }
        if self.watch == Some(state.size()) {
            self.watched = Some(state.root());
        }
        self.shares += shares_of(&parsed, &admitted);
        Ok(parsed)
    }

    fn admit_closure(&mut self, body: &ClosureBody<'_>) -> Result<(), String> {
        let header = Header::read(body.header).map_err(|error| error.to_string())?;
        let view = View {
            disk: self.disk,
            sealed: &self.sealed,
            open: &self.open,
        };
        let closes = match &mut self.state {
            Some((state, _)) => state.close_by_evidence(&view, &header),
            None => Ok(false),
        };
        match closes {
            Ok(true) => Ok(()),
            Ok(false) => Err("the closure is no evidence of a fork".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) fn finish(self) -> Verified {
        let state = self.state.as_ref().map(|(state, _)| state);
        Verified {
            ledger: state.and(self.ledger),
            positions: self.size(),
            events: self.events,
            final_size: state.map_or(0, State::final_size),
            root: state.map_or_else(|| Hash::of(&[]), State::root),
            streams: state.map_or(0, |state| state.streams().count() as u64),
            closures: self.closures,
            files: self.done.files_total,
            bytes: self.done.bytes_total,
            shares: self.shares,
            torn: self.torn,
        }
    }
}

/// An open file has nothing but zeros behind its last record.
fn zeros_follow<F: DiskFile>(
    file: &F,
    name: &FileName,
    from: u64,
    len: u64,
    next: u64,
    flaw: &Flaw,
) -> Result<(), Fault> {
    let wrong = |what: String| Err(fault(&name.path, from, next, what));
    match last_nonzero(file, from, len) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => wrong(format!("bytes after the last whole record: {flaw}")),
        Err(error) => wrong(error.to_string()),
    }
}

fn shares_of(parsed: &Parsed, admitted: &Admitted) -> u64 {
    let own = parsed
        .events()
        .iter()
        .filter(|event| event.share().is_some());
    let moved = parsed.events().iter().filter_map(|event| match event {
        Event::Moved(moved) => Some(moved),
        _ => None,
    });
    let counted = moved
        .zip(&admitted.counts)
        .filter(|(moved, counts)| **counts && moved.worker != NO_NUMBER);
    (own.count() + counted.count()) as u64
}
