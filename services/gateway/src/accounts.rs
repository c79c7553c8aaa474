//! Registered accounts as a gateway holds them: a user name that is no payout address is looked up here. They are the ledger's
//! final ones, and reach a running gateway with its mirror.
//!
//! A copy lies beside the spool, so that a gateway that starts with everything else down knows whom it knew; one that starts
//! from nothing has it from the peer that gave it `control`. Once in a process's life, when the mirror is as far, the mirror's
//! whole list takes its place.
//! Bytes: magic `OREN`, ledger 16, final size `u64`, count `u32`, each name `bytes8`, only registered workers `u8`, count `u32`,
//! each worker's name `bytes8`; all ascending by their bytes; CRC32C of all that. Replaced whole, as `control` is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orebook_ledger::disk::{Disk, DiskResult, replace_file, small_file};
use orebook_ledger::reader::Reader;
use orebook_schema::account::{NAMES_MAX, WORKERS_MAX};
use orebook_schema::bytes::{Reader as Bytes, Write};
use orebook_schema::names::{Account, RegisteredName, WorkerName};
use orebook_schema::{DecodeError, LedgerId};

const MAGIC: [u8; 4] = *b"OREN";
/// Longest file: the head, as many names and workers as a ledger has, all of the longest, the checksum.
const FILE_BYTES_MAX: usize = 32 + NAMES_MAX * (1 + 32 + 1 + 4) + WORKERS_MAX * (1 + 64) + 4;
const NAME: &str = "accounts";

/// What a gateway knows of a registered account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    is_registered_only: bool,
    /// Shared with admission's state: a farm has thousands.
    workers: Arc<BTreeSet<WorkerName>>,
}

/// A registered account, as another process says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedAccount {
    /// Its name.
    pub name: RegisteredName,
    /// Whether only registered workers may mine for it.
    pub is_registered_only: bool,
    /// Its registered workers.
    pub workers: BTreeSet<WorkerName>,
}

/// Why a user name is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAccount {
    /// It is no registered name.
    Unknown,
    /// The account is served, this worker of it is not.
    Worker,
}

/// The registered accounts of a final size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accounts {
    /// Final size they are of.
    pub(crate) size: u64,
    known: BTreeMap<RegisteredName, Known>,
}

impl Accounts {
    /// As a mirror has them, if any registration took effect at or after `since`; none also before its genesis is final. From 0
    /// on all are taken, also if there is none.
    pub(crate) fn of<D: Disk + Clone>(reader: &Reader<D>, since: u64) -> Option<Self> {
        let authority = reader.settled().authority()?;
        let newest = authority.registered().map(|(_, obeyed)| obeyed.effective);
        if newest.max().map_or(0, |newest| newest + 1) <= since && since != 0 {
            return None;
        }
        let known = authority.registered().map(|(name, obeyed)| {
            let known = Known {
                is_registered_only: obeyed.registered_only,
                workers: Arc::clone(&obeyed.workers),
            };
            (name.clone(), known)
        });
        Some(Self {
            size: reader.final_size(),
            known: known.collect(),
        })
    }

    /// As another process says, of a final size; [`keep_control`](crate::keep_control) is its door. No more than a ledger has are
    /// taken.
    pub(crate) fn offered(size: u64, offered: Vec<OfferedAccount>) -> Self {
        let mut left = WORKERS_MAX;
        let mut known = BTreeMap::new();
        for account in offered.into_iter().take(NAMES_MAX) {
            let workers: BTreeSet<WorkerName> = account.workers.into_iter().take(left).collect();
            left -= workers.len();
            let is_registered_only = account.is_registered_only;
            let workers = Arc::new(workers);
            known.insert(
                account.name,
                Known {
                    is_registered_only,
                    workers,
                },
            );
        }
        Self { size, known }
    }

    /// Whether both know the same, of whatever size they are.
    pub(crate) fn say_as(&self, other: &Self) -> bool {
        self.known == other.known
    }

    /// The account of a registered name in any case, if this worker of it may mine.
    pub(crate) fn find(&self, login: &str, worker: &WorkerName) -> Result<Account, NoAccount> {
        let name = RegisteredName::parse(login).ok_or(NoAccount::Unknown)?;
        let known = self.known.get(&name).ok_or(NoAccount::Unknown)?;
        if known.is_registered_only && !known.workers.contains(worker) {
            return Err(NoAccount::Worker);
        }
        Ok(Account::Name(name))
    }

    /// Whether an account registered a worker of this name: the ledger has its name anyway.
    pub(crate) fn has_worker(&self, account: &Account, worker: &WorkerName) -> bool {
        let Account::Name(name) = account else {
            return false;
        };
        let known = self.known.get(name);
        known.is_some_and(|known| known.workers.contains(worker))
    }

    /// What lies beside the spool; none if nothing does, or nothing whole, or another ledger's.
    ///
    /// # Errors
    /// [`DiskError`](orebook_ledger::disk::DiskError).
    pub(crate) fn load<D: Disk>(disk: &D, dir: &str, ledger: LedgerId) -> DiskResult<Option<Self>> {
        let bytes = small_file(disk, dir, NAME, FILE_BYTES_MAX)?;
        Ok(bytes.and_then(|bytes| Self::read(&bytes, ledger).ok()))
    }

    /// Replaces the file; durable on return.
    ///
    /// # Errors
    /// [`DiskError`](orebook_ledger::disk::DiskError); the former file stands then.
    pub(crate) fn save<D: Disk>(&self, disk: &D, dir: &str, ledger: LedgerId) -> DiskResult<()> {
        replace_file(disk, dir, NAME, &self.to_bytes(ledger))
    }

    fn to_bytes(&self, ledger: LedgerId) -> Vec<u8> {
        let mut out = Vec::new();
        out.put(&MAGIC);
        out.put(&ledger.0);
        out.put(&self.size.to_le_bytes());
        put_count(self.known.len(), &mut out);
        for (name, known) in &self.known {
            out.put_bytes8(name.as_str().as_bytes());
            out.push(u8::from(known.is_registered_only));
            put_count(known.workers.len(), &mut out);
            for worker in known.workers.iter() {
                out.put_bytes8(worker.as_str().as_bytes());
            }
        }
        let crc = crc32c::crc32c(&out);
        out.put(&crc.to_le_bytes());
        out
    }

    fn read(bytes: &[u8], ledger: LedgerId) -> Result<Self, DecodeError> {
        let wrong = DecodeError::Value("accounts");
        let (covered, crc) = bytes.split_last_chunk::<4>().ok_or(wrong)?;
        let mut reader = Bytes::new(covered, "accounts");
        let magic: [u8; 4] = reader.array()?;
        let is_ours = magic == MAGIC && LedgerId(reader.array()?) == ledger;
        if !is_ours || crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return Err(wrong);
        }
        let size = reader.u64()?;
        let mut known = BTreeMap::new();
        // Nothing is reserved for a count: bytes must be there for each item.
        for _ in 0..reader.u32()? {
            let name = text(&mut reader)?;
            let name = RegisteredName::parse(name).filter(|read| read.as_str() == name);
            let name = name.ok_or(wrong)?;
            let is_registered_only = reader.count8(0, 1)? == 1;
            let mut workers = BTreeSet::new();
            for _ in 0..reader.u32()? {
                let worker = WorkerName::parse(text(&mut reader)?).ok_or(wrong)?;
                if workers.last().is_some_and(|last| worker <= *last) {
                    return Err(DecodeError::Order("accounts"));
                }
                workers.insert(worker);
            }
            if known
                .last_key_value()
                .is_some_and(|(last, _)| name <= *last)
            {
                return Err(DecodeError::Order("accounts"));
            }
            let workers = Arc::new(workers);
            known.insert(
                name,
                Known {
                    is_registered_only,
                    workers,
                },
            );
        }
        reader.end()?;
        Ok(Self { size, known })
    }
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    out.put(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn text<'b>(reader: &mut Bytes<'b>) -> Result<&'b str, DecodeError> {
    str::from_utf8(reader.bytes8(64)?).map_err(|_| DecodeError::Value("accounts"))
}

#[cfg(test)]
mod tests {
    use orebook_ledger::disk::real::RealDisk;

    use super::*;

    const LEDGER: LedgerId = LedgerId([1; 16]);

    fn worker(name: &str) -> WorkerName {
        WorkerName::parse(name).unwrap()
    }

    fn accounts() -> Accounts {
        let account = |name: &str, is_registered_only, workers: &[&str]| OfferedAccount {
            name: RegisteredName::parse(name).unwrap(),
            is_registered_only,
            workers: workers.iter().map(|name| worker(name)).collect(),
        };
        Accounts::offered(
            77,
            vec![
                account("anna", false, &["rig1"]),
                account("farm-7", true, &["a", "b.1", "A"]),
                account("zoe", true, &[]),
            ],
        )
    }

    #[test]
    fn a_user_is_a_registered_name_and_a_worker_that_may_mine_for_it() {
        for (login, rig, found) in [
            ("anna", "rig1", Ok("name:anna")),
            ("anna", "another", Ok("name:anna")),
            ("ANNA", "rig1", Ok("name:anna")),
            ("farm-7", "a", Ok("name:farm-7")),
            ("farm-7", "A", Ok("name:farm-7")),
            ("farm-7", "B.1", Err(NoAccount::Worker)),
            ("farm-7", "default", Err(NoAccount::Worker)),
            ("zoe", "default", Err(NoAccount::Worker)),
            ("ann", "rig1", Err(NoAccount::Unknown)),
            ("an na", "rig1", Err(NoAccount::Unknown)),
            ("", "rig1", Err(NoAccount::Unknown)),
        ] {
            let account = accounts().find(login, &worker(rig));
            let shown = account.map(|account| account.to_string());
            assert_eq!(shown, found.map(str::to_owned), "{login}.{rig}");
        }
        let anna = Account::parse("name:anna").unwrap();
        let script = Account::parse("script:51").unwrap();
        for (account, rig, has) in [
            (&anna, "rig1", true),
            (&anna, "x", false),
            (&script, "rig1", false),
        ] {
            assert_eq!(
                accounts().has_worker(account, &worker(rig)),
                has,
                "{account} {rig}"
            );
        }
    }

    #[test]
    fn what_was_saved_is_found_again_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path().to_path_buf());
        disk.create_dir("gateway").unwrap();
        let load = |ledger| Accounts::load(&disk, "gateway", ledger).unwrap();
        assert_eq!(load(LEDGER), None);
        for saved in [accounts(), Accounts::default(), accounts()] {
            saved.save(&disk, "gateway", LEDGER).unwrap();
            assert_eq!(load(LEDGER), Some(saved));
        }
        assert_eq!(load(LedgerId([2; 16])), None, "another ledger's");
    }

    #[test]
    fn a_file_that_is_not_whole_is_none() {
        let bytes = accounts().to_bytes(LEDGER);
        assert_eq!(Accounts::read(&bytes, LEDGER), Ok(accounts()));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(Accounts::read(&flipped, LEDGER).is_err(), "byte {at}");
            assert!(Accounts::read(&bytes[..at], LEDGER).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn as_many_as_a_ledger_has_of_the_longest_fit_into_the_longest_file_and_no_more_are_taken() {
        let per = WORKERS_MAX / NAMES_MAX;
        let account = |number: usize| OfferedAccount {
            name: RegisteredName::parse(&format!("{number:032}")).unwrap(),
            is_registered_only: true,
            workers: (0..per).map(|rig| worker(&format!("{rig:064}"))).collect(),
        };
        let most = Accounts::offered(1, (0..NAMES_MAX + 1).map(account).collect());
        assert_eq!(most.to_bytes(LEDGER).len(), FILE_BYTES_MAX);
    }
}
