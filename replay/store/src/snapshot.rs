//! Snapshots: a folder's rows at one moment, as RocksDB checkpoints (hard links: quick, and no room until rows change),
//! with a manifest that says what they are.

use std::fs;
use std::io;
use std::path::Path;

use orebook_replay::engine;
use orebook_replay::store::Store as _;
use orebook_schema::{Hash, LedgerId};
use rocksdb::checkpoint::Checkpoint;

use crate::folder::{Folder, FolderError, LAYOUT};
use crate::marker::{Marker, write_whole};
use crate::rocks::RocksStore;

const NAME: &str = "SNAPSHOT";
const FIRST_LINE: &str = "orebook snapshot 0";
/// Most bytes of a manifest; folds are a dozen.
const BYTES_MAX: u64 = 64 << 10;

/// One fold in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldState {
    /// The fold's name.
    pub fold: String,
    /// Version of its meaning.
    pub version: u32,
    /// Positions applied.
    pub size: u64,
    /// Root of the ledger's tree of that size.
    pub root: Hash,
    /// Its newest digest, and the size that stands for; none if it has had none.
    pub digest: Option<(u64, Hash)>,
}

/// What a snapshot holds. Compare its digests with another machine's before you trust a snapshot from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The ledger.
    pub ledger: LedgerId,
    /// Its folds, by name.
    pub folds: Vec<FoldState>,
}

impl Manifest {
    fn text(&self) -> String {
        let fold = |fold: &FoldState| {
            let FoldState {
                fold: name,
                version,
                size,
                root,
                digest,
            } = fold;
            let digest = digest.map_or("none".to_owned(), |(size, hash)| format!("{size} {hash}"));
            format!("fold {name} {version} {size} {root} {digest}\n")
        };
        let folds: String = self.folds.iter().map(fold).collect();
        format!("{FIRST_LINE}\nledger {}\n{folds}", self.ledger)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let ledger = LedgerId::parse(lines.next()?.strip_prefix("ledger ")?)?;
        let folds = lines.map(parse_fold).collect::<Option<Vec<_>>>()?;
        Some(Self { ledger, folds })
    }

    /// Reads the manifest of a snapshot.
    ///
    /// # Errors
    /// [`FolderError::Foreign`] if the folder is no snapshot.
    pub fn read(snapshot: &Path) -> Result<Self, FolderError> {
        let path = snapshot.join(NAME);
        let foreign = || FolderError::Foreign(snapshot.to_owned());
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(foreign()),
            Err(error) => return Err(FolderError::io(&path, &error)),
            Ok(data) if BYTES_MAX < data.len() => return Err(foreign()),
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(|error| FolderError::io(&path, &error))?;
        Self::parse(&text).ok_or_else(foreign)
    }
}

fn parse_fold(line: &str) -> Option<FoldState> {
    let words: Vec<&str> = line.split(' ').collect();
    let (name, version, size, root, digest) = match words.as_slice() {
        ["fold", name, version, size, root, "none"] => (name, version, size, root, None),
        ["fold", name, version, size, root, at, hash] => (
            name,
            version,
            size,
            root,
            Some((at.parse().ok()?, parse_hash(hash)?)),
        ),
        _ => return None,
    };
    Some(FoldState {
        fold: (*name).to_owned(),
        version: version.parse().ok()?,
        size: size.parse().ok()?,
        root: parse_hash(root)?,
        digest,
    })
}

fn parse_hash(text: &str) -> Option<Hash> {
    let bytes = orebook_schema::units::unhex(text)?;
    bytes.try_into().ok().map(Hash)
}

impl Folder {
    /// Writes a snapshot into the folder `to`, which must not be there. Rows may be committed meanwhile: every fold is
    /// taken as one of its commits left it.
    ///
    /// # Errors
    /// [`FolderError::Foreign`] if `to` is there; nothing is left of a snapshot that failed.
    pub fn snapshot(&self, to: &Path) -> Result<Manifest, FolderError> {
        if to.exists() {
            return Err(FolderError::Foreign(to.to_owned()));
        }
        let parent = to.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|error| FolderError::io(parent, &error))?;
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = parent.join(format!(".{name}.unfinished"));
        remove(&unfinished)?;
        let made = self.snapshot_into(&unfinished);
        if made.is_err() {
            remove(&unfinished)?;
        }
        let manifest = made?;
        fs::rename(&unfinished, to).map_err(|error| FolderError::io(to, &error))?;
        Ok(manifest)
    }

    fn snapshot_into(&self, dir: &Path) -> Result<Manifest, FolderError> {
        Marker::ours(self.ledger).write(dir)?;
        let of = |error| FolderError::of(dir, error);
        let checkpoint = Checkpoint::new(&self.db).map_err(of)?;
        checkpoint.create_checkpoint(dir.join("rows")).map_err(of)?;
        // What the copy says of itself, not what this folder says a moment later.
        let copy = Self::open(dir, self.ledger, crate::Limits::default())?;
        let manifest = copy.manifest()?;
        drop(copy);
        write_whole(dir, NAME, &manifest.text())?;
        Ok(manifest)
    }

    /// What this folder holds now.
    ///
    /// # Errors
    /// [`FolderError::Damaged`] if rows cannot be read.
    pub fn manifest(&self) -> Result<Manifest, FolderError> {
        let mut folds = Vec::new();
        for (name, version) in self.folds()? {
            let store = RocksStore::new(self.db.clone(), format!("fold-{name}"));
            let held = store
                .view()
                .and_then(|view| engine::manifest(view.as_ref()));
            let held = held.map_err(|fault| FolderError::Damaged {
                dir: self.dir.clone(),
                what: fault.to_string(),
            })?;
            if let Some(held) = held {
                folds.push(FoldState {
                    fold: name,
                    version,
                    size: held.cursor.size,
                    root: held.cursor.root,
                    digest: held.digest,
                });
            }
        }
        Ok(Manifest {
            ledger: self.ledger,
            folds,
        })
    }
}

/// Makes the folder `dir`, which must be empty or not there, from a snapshot; the snapshot stays as it is. Open `dir`
/// afterwards: folds go on from the snapshot's cursors, and the engine checks those against the ledger's tree.
///
/// # Errors
/// [`FolderError::OtherLedger`], [`FolderError::Foreign`] if `dir` is in use or the snapshot is none,
/// [`FolderError::Damaged`] if the copy is not what the manifest says.
pub fn restore(snapshot: &Path, dir: &Path, ledger: LedgerId) -> Result<Manifest, FolderError> {
    let manifest = Manifest::read(snapshot)?;
    if manifest.ledger != ledger {
        return Err(FolderError::OtherLedger {
            dir: snapshot.to_owned(),
            ledger: manifest.ledger,
        });
    }
    let marker = Marker::read(snapshot)?;
    if marker.is_none_or(|marker| marker.layout != LAYOUT) {
        return Err(FolderError::Foreign(snapshot.to_owned()));
    }
    if Marker::read(dir)?.is_some() {
        return Err(FolderError::Foreign(dir.to_owned()));
    }
    let unfinished = dir.join("rows.unfinished");
    Marker::ours(ledger).write(dir)?;
    remove(&unfinished)?;
    link_all(&snapshot.join("rows"), &unfinished)?;
    let rows = dir.join("rows");
    fs::rename(&unfinished, &rows).map_err(|error| FolderError::io(&rows, &error))?;
    let folder = Folder::open(dir, ledger, crate::Limits::default())?;
    if folder.manifest()? == manifest {
        Ok(manifest)
    } else {
        Err(FolderError::Damaged {
            dir: dir.to_owned(),
            what: "the rows are not what the snapshot's manifest says".to_owned(),
        })
    }
}

/// Files of rows never change and are linked; RocksDB's small files do, and are copied.
fn link_all(from: &Path, to: &Path) -> Result<(), FolderError> {
    fs::create_dir_all(to).map_err(|error| FolderError::io(to, &error))?;
    let entries = fs::read_dir(from).map_err(|error| FolderError::io(from, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| FolderError::io(from, &error))?;
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        let rows = old.extension().is_some_and(|ending| ending == "sst");
        if !(rows && fs::hard_link(&old, &new).is_ok()) {
            fs::copy(&old, &new).map_err(|error| FolderError::io(&new, &error))?;
        }
    }
    Ok(())
}

fn remove(dir: &Path) -> Result<(), FolderError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FolderError::io(dir, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let fold = |name: &str, digest| FoldState {
            fold: name.to_owned(),
            version: 3,
            size: 70_000,
            root: Hash([1; 32]),
            digest,
        };
        let manifest = Manifest {
            ledger: LedgerId([9; 16]),
            folds: vec![
                fold("blocks", None),
                fold("money", Some((65_536, Hash([2; 32])))),
            ],
        };
        let text = manifest.text();
        assert_eq!(Manifest::parse(&text), Some(manifest));
        for bad in [
            text.replace("snapshot 0", "snapshot 1"),
            text.replace("fold money", "folds money"),
            text.replace("70000", "many"),
            text.replace(" none", ""),
            format!("{text}\n"),
        ] {
            assert_eq!(Manifest::parse(&bad), None, "{bad}");
        }
    }
}
