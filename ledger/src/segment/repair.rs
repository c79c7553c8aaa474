//! Repair of segment files from somebody else's: what is damaged or missing is found by the auditor's own check, taken from
//! a [`Donor`], judged like everything else, and put in place of what was there.
//!
//! Nothing that a donor says is believed: its frames are admitted again with their signatures, the next file of one's own
//! must go on from their root, and the tree must have the root that was signed here. A file that verifies is never touched.
//!
//! [`find_repairs`] changes no segment; it leaves the donor's files beside them, under names that nobody reads
//! ([`STAGED_ENDING`]). [`carry_out`] puts them in place: first the damaged file gets another name (`.damaged-N`), then
//! the new one its name, each step durable. A crash in between leaves a file missing, which the next repair finds and brings
//! again. The folder belongs to one process meanwhile: the caller holds its lock.

use orebook_schema::{Hash, LedgerId};

use super::record::FILE_HEADER_BYTES;
use super::report::{Fault, Progress, Verified, fault};
use super::scan::{Stop, Walk};
use super::sealed::read_file_header;
use super::verify::Audit;
use super::{FileName, Named, file_name, join, path_of};
use crate::disk::{Disk, DiskError, DiskFile, DiskResult, zero};

/// Ending of a donor's file that is not in place yet. Left by a crash, it is removed by the next repair.
pub const STAGED_ENDING: &str = ".repair";
/// What a damaged file's name ends with, and a number from 1 on. It is kept until a person removes it.
pub const DAMAGED_ENDING: &str = ".damaged-";
/// Bytes of a donor's file at most: what a ledger may say of its segments, and a footer on top. More is no segment.
pub const DONATED_BYTES_MAX: u64 = 1 << 32;

/// Somebody who has the segments too: a folder, or a peer that serves its own.
pub trait Donor {
    /// Names of its files; those that are no segment's are passed over.
    ///
    /// # Errors
    /// [`DonorFault`].
    fn names(&mut self) -> Result<Vec<String>, DonorFault>;
    /// Bytes of a file from an offset on, as many as it likes to give at once; none at its end.
    ///
    /// # Errors
    /// [`DonorFault`].
    fn read(&mut self, name: &str, from: u64) -> Result<Vec<u8>, DonorFault>;
}

/// The donor did not give what it was asked for: try again, or another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct DonorFault {
    /// In its own words.
    pub why: String,
}

/// What is known of a ledger beside its segments: how much of it was signed for here, or was final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promised {
    /// Positions that must be there; 0 if nothing is known.
    pub size: u64,
    /// The tree head that was signed here last: a size not above `size`, and its root.
    pub signed: Option<(u64, Hash)>,
    /// Take also what the donor has beyond the end here: for a folder that lost its files, or a new one.
    pub more: bool,
}

/// Positions that every ledger has: nobody needs to have promised its genesis.
const GENESIS: u64 = 1;

/// Why nothing can be repaired. No segment was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepairError {
    /// The own disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A name that is no segment's, or two files for one position: a person decides.
    #[error("{file}: {what}: move it out of the folder")]
    Names {
        /// Path below the disk's root.
        file: String,
        /// What is wrong.
        what: &'static str,
    },
    /// Nothing that is left here says which ledger this is, and no root was signed to know it by.
    #[error(
        "neither a segment's header nor a signed root is left: nothing here says which ledger this is"
    )]
    Unknown,
    /// The donor failed.
    #[error("{0}")]
    Donor(#[from] DonorFault),
    /// The donor has no file for this.
    #[error("{fault}; the donor has no segment that begins at position {first}")]
    NotThere {
        /// First position that is wanted.
        first: u64,
        /// Why it is wanted.
        fault: Fault,
    },
    /// The donor's file is damaged too, is of another ledger, or does not go on from the positions before.
    #[error("{fault}; the donor's file is of no use: {donated}")]
    Useless {
        /// What is wrong here.
        fault: Fault,
        /// What is wrong there.
        donated: Box<Fault>,
    },
    /// The donor has fewer positions than were promised here.
    #[error(
        "{fault}; the donor's file ends at position {end}, and positions up to {needed} were promised"
    )]
    TooShort {
        /// What is wrong here.
        fault: Fault,
        /// The donor's last position and one.
        end: u64,
        /// Positions that must be there.
        needed: u64,
    },
    /// With the donor's files the tree has another root than was signed here: it is another history, and was not taken.
    #[error(
        "with the donor's files the ledger at size {size} has another root than the one signed here: nothing was taken"
    )]
    OtherRoot {
        /// Size that was signed.
        size: u64,
    },
    /// No archiver's checkpoint in them makes the donor's sealed segments final: nobody vouches for them.
    #[error(
        "no checkpoint makes the donor's segments final up to position {end}: nothing was taken"
    )]
    NotFinal {
        /// Where its sealed segments end.
        end: u64,
    },
    /// Every file verifies, and the tree is not the one that was signed: no file can be blamed.
    #[error(
        "every segment verifies, and the ledger at size {size} has not the root that was signed here: sign nothing, find out why"
    )]
    NotExtending {
        /// Size that was signed.
        size: u64,
    },
}

/// A file that is to be put in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// First position.
    pub first: u64,
    /// What was wrong.
    pub fault: Fault,
    /// Paths that are put aside; none if nothing was there.
    own: Vec<String>,
    staged: String,
    /// Path of the new file.
    pub path: String,
}

/// What a repair found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repairs {
    /// By position; none if everything verifies.
    pub replacements: Vec<Replacement>,
    /// The ledger as it is with them.
    pub verified: Verified,
}

/// Checks all segments of the folder `dir` as [`super::verify_files`] does, in one pass; for what is damaged or missing the
/// donor's file is brought and checked in its place.
///
/// # Errors
/// [`RepairError`]: nothing was changed, and what was brought is removed.
pub fn find_repairs<D: Disk>(
    disk: &D,
    dir: &str,
    promised: Promised,
    donor: &mut dyn Donor,
    progress: &mut dyn FnMut(Progress),
) -> Result<Repairs, RepairError> {
    discard(disk, dir)?;
    let found = Search::new(disk, dir, promised, donor)?.run(progress);
    if found.is_err() {
        discard(disk, dir)?;
    }
    found
}

/// Puts the files in place. Call [`find_repairs`] again after an error or a crash.
///
/// # Errors
/// [`DiskError`].
pub fn carry_out<D: Disk>(disk: &D, dir: &str, repairs: &Repairs) -> DiskResult<()> {
    for replacement in &repairs.replacements {
        for own in &replacement.own {
            disk.rename(own, &free_name(disk, dir, own)?)?;
        }
        // The damaged file has its new name for good before another takes the old one.
        disk.sync_dir(dir)?;
        disk.rename(&replacement.staged, &replacement.path)?;
        disk.sync_dir(dir)?;
    }
    Ok(())
}

/// Removes what a repair brought and did not put in place.
///
/// # Errors
/// [`DiskError`].
pub fn discard<D: Disk>(disk: &D, dir: &str) -> DiskResult<()> {
    for name in disk.list(dir)? {
        if name.ends_with(STAGED_ENDING) {
            disk.remove(&join(dir, &name))?;
        }
    }
    Ok(())
}

fn free_name<D: Disk>(disk: &D, dir: &str, path: &str) -> DiskResult<String> {
    let names = disk.list(dir)?;
    let taken = |path: &String| names.iter().any(|name| &join(dir, name) == path);
    let mut number = 1_u64;
    loop {
        let aside = format!("{path}{DAMAGED_ENDING}{number}");
        if !taken(&aside) {
            return Ok(aside);
        }
        number += 1;
    }
}

struct Search<'a, D: Disk> {
    disk: &'a D,
    dir: &'a str,
    promised: Promised,
    donor: &'a mut dyn Donor,
    /// The donor's files, once it was asked.
    donated: Option<Vec<FileName>>,
    own: Vec<FileName>,
    replacements: Vec<Replacement>,
    /// Where the donor's sealed segments that were taken end.
    donated_end: u64,
}

impl<'a, D: Disk> Search<'a, D> {
    fn new(
        disk: &'a D,
        dir: &'a str,
        promised: Promised,
        donor: &'a mut dyn Donor,
    ) -> Result<Self, RepairError> {
        let mut own: Vec<FileName> = Vec::new();
        for name in disk.list(dir)? {
            let wrong = |what| RepairError::Names {
                file: join(dir, &name),
                what,
            };
            match file_name(dir, &name) {
                Named::Segment(file) if own.last().is_some_and(|it| it.first == file.first) => {
                    return Err(wrong("two files begin at one position"));
                }
                Named::Segment(file) => own.push(file),
                Named::Another => {}
                Named::Wrong => return Err(wrong("the name is no segment's")),
            }
        }
        Ok(Self {
            disk,
            dir,
            promised,
            donor,
            donated: None,
            own,
            replacements: Vec::new(),
            donated_end: 0,
        })
    }

    fn run(mut self, progress: &mut dyn FnMut(Progress)) -> Result<Repairs, RepairError> {
        let ledger = self.ledger()?;
        if ledger.is_none() && self.promised.signed.is_none() {
            return Err(RepairError::Unknown);
        }
        let mut audit = Audit::new(self.disk, ledger, progress);
        audit.watch = self.promised.signed.map(|(size, _)| size);
        for file in &self.own {
            audit.done.bytes_total += self.disk.open(&file.path)?.len()?;
            audit.done.files_total += 1;
        }
        let mut next = 0;
        while self.step(&mut audit, &mut next)? {}
        if let Some((size, root)) = self.promised.signed
            && audit.watched != Some(root)
        {
            return Err(if self.replacements.is_empty() {
                RepairError::NotExtending { size }
            } else {
                RepairError::OtherRoot { size }
            });
        }
        let verified = audit.finish();
        if verified.final_size < self.donated_end {
            return Err(RepairError::NotFinal {
                end: self.donated_end,
            });
        }
        Ok(Repairs {
            replacements: self.replacements,
            verified,
        })
    }

    /// Takes the file that the next position begins, one's own or the donor's. False at the end.
    fn step(&mut self, audit: &mut Audit<'_, D>, next: &mut usize) -> Result<bool, RepairError> {
        let at = audit.size();
        let own = self.own.get(*next).filter(|file| file.first <= at).cloned();
        *next += usize::from(own.is_some());
        let follows = self.own.get(*next).map(|file| (file.first, file.sealed));
        let needed = match follows {
            Some((first, _)) => first,
            None => self.wanted()?,
        };
        let mark = audit.mark();
        audit.torn_from = Some(needed).filter(|size| follows.is_none() && GENESIS < *size);
        let found = match &own {
            None if needed <= at => return Ok(false),
            None => {
                let path = path_of(self.dir, at, follows.is_some_and(|(_, sealed)| sealed));
                fault(&path, 0, at, "the segment is missing")
            }
            Some(file) => match self.take(audit, file, follows.is_none()) {
                Ok(()) => {
                    let end = audit.size();
                    // Either the next file is missing, which the next step sees, or this one lost its end.
                    if needed <= end || at < end && self.pick(end)?.is_some() {
                        return Ok(true);
                    }
                    let what = format!("it ends there, and positions up to {needed} are wanted");
                    fault(&file.path, 0, end, what)
                }
                Err(_) if follows.is_none() && !file.sealed && GENESIS < needed && needed <= at => {
                    // Nothing of it was promised: the next start cuts it.
                    audit.go_back(mark);
                    return Ok(true);
                }
                Err(found) => found,
            },
        };
        audit.go_back(mark);
        audit.torn_from = None;
        self.replace(audit, own, found, (at, needed), follows)?;
        Ok(true)
    }

    /// Positions that are wanted at least: the genesis, what was promised, and the first of the donor's last file if all is to
    /// be taken.
    fn wanted(&mut self) -> Result<u64, RepairError> {
        let promised = self.promised.size.max(GENESIS);
        if !self.promised.more {
            return Ok(promised);
        }
        let last = self.donated()?.iter().map(|file| file.first).max();
        Ok(last.map_or(0, |first| first + 1).max(promised))
    }

    fn replace(
        &mut self,
        audit: &mut Audit<'_, D>,
        own: Option<FileName>,
        found: Fault,
        (at, needed): (u64, u64),
        follows: Option<(u64, bool)>,
    ) -> Result<(), RepairError> {
        let has_sealed_after = follows.is_some_and(|(_, sealed)| sealed);
        let picked = self.pick(at)?;
        let Some(donated) = picked.filter(|file| file.sealed || !has_sealed_after) else {
            return Err(RepairError::NotThere {
                first: at,
                fault: found,
            });
        };
        let staged = self.bring(&donated)?;
        if let Err(donated) = self.take(audit, &staged, follows.is_none()) {
            return Err(RepairError::Useless {
                fault: found,
                donated: Box::new(donated),
            });
        }
        let end = audit.size();
        if donated.sealed {
            self.donated_end = end;
        }
        if let Some(what) = self.contradiction(audit, needed)? {
            return Err(RepairError::Useless {
                fault: found,
                donated: Box::new(fault(&staged.path, 0, end, what)),
            });
        }
        if end < needed && (end == at || self.pick(end)?.is_none()) {
            return Err(RepairError::TooShort {
                fault: found,
                end,
                needed,
            });
        }
        self.replacements.push(Replacement {
            first: at,
            fault: found,
            own: own.into_iter().map(|file| file.path).collect(),
            staged: staged.path,
            path: path_of(self.dir, at, donated.sealed),
        });
        Ok(())
    }

    /// What is whole here is not given up for a donor's file: one's own next segment, if its header can be read, goes on
    /// from the donor's root.
    fn contradiction(&self, audit: &Audit<'_, D>, needed: u64) -> DiskResult<Option<&'static str>> {
        let (end, root) = (audit.size(), audit.root());
        let Some(next) = self.own.iter().find(|file| file.first == needed) else {
            return Ok(None);
        };
        if needed < end {
            return Ok(Some("it reaches into the segment after it"));
        }
        let file = self.disk.open(&next.path)?;
        let header = read_file_header(&file, file.len()?)?;
        let parts = end == needed && header.is_ok_and(|header| Some(header.root) != root);
        Ok(parts.then_some("the segment after it goes on from another root"))
    }

    fn take(&self, audit: &mut Audit<'_, D>, file: &FileName, is_last: bool) -> Result<(), Fault> {
        let len = self.disk.open(&file.path).and_then(|file| file.len());
        let len = len.map_err(|error| fault(&file.path, 0, file.first, error))?;
        audit.file(file, len, is_last)?;
        audit.done.files += 1;
        Ok(())
    }

    /// The ledger that the first header says that can be read.
    fn ledger(&self) -> DiskResult<Option<LedgerId>> {
        for name in &self.own {
            let file = self.disk.open(&name.path)?;
            let len = file.len()?;
            if let Ok(Ok(header)) = read_file_header(&file, len) {
                return Ok(Some(header.ledger));
            }
        }
        Ok(None)
    }

    /// The donor's file that begins there; a sealed one rather than an open one.
    fn pick(&mut self, first: u64) -> Result<Option<FileName>, RepairError> {
        let there = self.donated()?.iter().filter(|file| file.first == first);
        Ok(there.max_by_key(|file| file.sealed).cloned())
    }

    /// The donor's files; it is asked once, and only if something is wanted of it.
    fn donated(&mut self) -> Result<&[FileName], RepairError> {
        let donated = match self.donated.take() {
            Some(donated) => donated,
            None => {
                let names = self.donor.names()?;
                let files = names.iter().filter_map(|name| match file_name("", name) {
                    Named::Segment(file) => Some(file),
                    Named::Another | Named::Wrong => None,
                });
                files.collect()
            }
        };
        Ok(self.donated.insert(donated))
    }

    /// Copies a donor's file beside the segments, durably; of an open one the records that are whole.
    fn bring(&mut self, donated: &FileName) -> Result<FileName, RepairError> {
        let path = format!("{}{STAGED_ENDING}", join(self.dir, &donated.path));
        let mut file = self.disk.create(&path)?;
        let mut len = 0;
        loop {
            let piece = self.donor.read(&donated.path, len)?;
            if piece.is_empty() {
                break;
            }
            if DONATED_BYTES_MAX - len < piece.len() as u64 {
                let why = format!("{}: longer than a segment can be", donated.path);
                return Err(DonorFault { why }.into());
            }
            file.write_at(len, &piece)?;
            len += piece.len() as u64;
        }
        if !donated.sealed {
            cut_at_last_record(&mut file, len)?;
        }
        file.sync()?;
        Ok(FileName {
            path,
            ..donated.clone()
        })
    }
}

/// Somebody may be writing at the end of a donor's open file: what is not whole there is not taken.
fn cut_at_last_record<F: DiskFile>(file: &mut F, len: u64) -> DiskResult<()> {
    let header = FILE_HEADER_BYTES as u64;
    if len < header {
        return Ok(());
    }
    let mut walk = Walk::new(header, len);
    loop {
        match walk.next(file) {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(Stop::Flaw(_)) => return zero(file, walk.offset(), len),
            Err(Stop::Disk(error)) => return Err(error),
        }
    }
}
