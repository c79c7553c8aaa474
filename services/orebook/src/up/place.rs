//! The pool's folder: its lock, its ledger's genesis, its keys.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::{StoredFrame, first_frame};
use orebook_ledger::sign::Signer;
use orebook_schema::genesis::Genesis;
use orebook_schema::{Event, LedgerId};
use tempfile::TempDir;

use super::stop_at::StopAt;
use crate::init::{self, Wanted};
use crate::{Failure, keys};
use orebook::config::Pool;
use orebook::config::Preset;

/// The pool's folder, locked while this lives.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    pub(crate) ledger: LedgerId,
    pub(crate) genesis: Genesis,
    /// Position 0 as it is stored.
    pub(crate) first: StoredFrame,
    pub(crate) stop_at: StopAt,
    _lock: Option<File>,
    /// Removed at the end, where nobody named a folder.
    _forgotten: Option<TempDir>,
}

impl Place {
    /// Opens the folder, or a new one; makes its ledger, with the configuration's coin and pots, if it has none.
    pub(crate) fn open(path: Option<&Path>, pool: &Pool, gateways: u8) -> Result<Self, Failure> {
        let (path, forgotten) = match path {
            Some(path) => (path.to_path_buf(), None),
            None => {
                let made = TempDir::with_prefix("orebook-");
                let made =
                    made.map_err(|error| Failure::new(format!("no temporary folder: {error}")))?;
                (made.path().to_path_buf(), Some(made))
            }
        };
        let refused = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        fs::create_dir_all(&path).map_err(refused)?;
        let lock = Some(lock(&path)?);
        if !path.join("ledger").exists() {
            init::quietly(Wanted {
                data: path.clone(),
                coin: pool.coin.unwrap_or(Preset::Dev),
                algorithm: None,
                gateways,
                archivers: 1,
                approvers: 1,
                needed: 1,
                pots: pool.rules(),
                address_hold_ms: pool.address_hold_ms,
                payouts: pool.payouts().map_err(Failure::new)?,
            })?;
        }
        Self::locked(path, lock, forgotten)
    }

    fn locked(
        path: PathBuf,
        lock: Option<File>,
        forgotten: Option<TempDir>,
    ) -> Result<Self, Failure> {
        let (first, genesis) = first_of(&path)?;
        Ok(Self {
            path,
            ledger: genesis.ledger,
            genesis,
            first,
            stop_at: StopAt::read()?,
            _lock: lock,
            _forgotten: forgotten,
        })
    }

    /// The genesis of a folder's ledger, while somebody else may use the folder.
    #[cfg(feature = "kafka")]
    pub(crate) fn genesis_in(path: &Path) -> Result<Genesis, Failure> {
        first_of(path).map(|(_, genesis)| genesis)
    }

    /// Opens the folder of a role that runs alone: `init` made it, or it has the genesis of it and the role's key.
    pub(crate) fn of_role(path: &Path) -> Result<Self, Failure> {
        if !path.join("ledger").exists() {
            let message = format!("{}: there is no ledger", path.display());
            return Err(Failure::new(message).hint(
                "`orebook init` makes one; each machine gets its ledger folder, and of its keys only its own",
            ));
        }
        let lock = Some(lock(path)?);
        Self::locked(path.to_path_buf(), lock, None)
    }

    /// Opens the folder beside a process that uses it: for who only reads.
    pub(crate) fn beside(path: &Path) -> Result<Self, Failure> {
        Self::locked(path.to_path_buf(), None, None)
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder as a disk: every role's files have a name below it.
    pub(crate) fn disk(&self) -> RealDisk {
        let disk = RealDisk::new(self.path.clone());
        match self.stop_at.watch() {
            Some(watch) => disk.watched(watch),
            None => disk,
        }
    }

    /// A producer's key.
    pub(crate) fn key(&self, file: &str) -> Result<Signer, Failure> {
        keys::read(&self.path.join("keys").join(file)).map_err(|failure| {
            failure.hint("`orebook init` makes the keys; a gateway's number is its place in the configuration")
        })
    }
}

/// Position 0 of a folder's ledger.
fn first_of(path: &Path) -> Result<(StoredFrame, Genesis), Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(format!("{}: {error}", path.display()))
            .hint("`orebook ledger verify` says what is wrong")
    };
    let first = first_frame(&RealDisk::new(path.to_path_buf()), "ledger/segments");
    let first = first.map_err(|error| wrong(&error))?;
    match first.frame.decode().map(|events| events.into_iter().next()) {
        Ok(Some(Event::Genesis(genesis))) => Ok((first, *genesis)),
        _ => Err(wrong(&"position 0 is no genesis")),
    }
}

/// One process a folder: two that append to one spool would destroy it.
pub(crate) fn lock(path: &Path) -> Result<File, Failure> {
    let file = path.join("lock");
    let shown = file.display();
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file);
    let opened = opened.map_err(|error| Failure::new(format!("{shown}: {error}")))?;
    match opened.try_lock() {
        Ok(()) => Ok(opened),
        Err(TryLockError::WouldBlock) => Err(Failure::new(format!(
            "{}: another orebook process uses this folder",
            path.display()
        ))
        .hint("end it first, or give another --data folder; for one key on two machines see docs/runbooks/two-gateways-one-identity.md")),
        Err(TryLockError::Error(error)) => Err(Failure::new(format!("{shown}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_and_used_by_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pool");
        let place = Place::open(Some(&path), &Pool::default(), 2).unwrap();
        assert_eq!(place.genesis.coin_name.as_str(), "dev");
        assert!(place.key("gateway-2.key").is_ok() && place.key("gateway-3.key").is_err());
        let said = Place::open(Some(&path), &Pool::default(), 2)
            .unwrap_err()
            .to_string();
        assert!(said.contains("another orebook process"), "{said}");
        let ledger = place.ledger;
        drop(place);
        assert_eq!(
            Place::open(Some(&path), &Pool::default(), 2)
                .unwrap()
                .ledger,
            ledger
        );
    }
}
