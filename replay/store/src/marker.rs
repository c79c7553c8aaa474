//! The file that says what a folder is, so that no other folder is ever taken for one of ours, or deleted as one.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use orebook_schema::LedgerId;

use crate::folder::{FolderError, LAYOUT};

const NAME: &str = "OREBOOK-ROWS";
const FIRST_LINE: &str = "orebook rows: delete this folder at will, the ledger gives it again";
/// Most bytes read of a file that may be anything.
const BYTES_MAX: u64 = 1_024;

/// What a folder says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) layout: u32,
    pub(crate) ledger: LedgerId,
}

impl Marker {
    /// The marker of this software for a ledger.
    pub(crate) const fn ours(ledger: LedgerId) -> Self {
        Self {
            layout: LAYOUT,
            ledger,
        }
    }

    /// Reads a folder's marker; none if the folder is empty or not there.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, FolderError> {
        let foreign = || FolderError::Foreign(dir.to_owned());
        let mut entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FolderError::io(dir, &error)),
            Ok(entries) => entries,
        };
        let path = dir.join(NAME);
        let length = match fs::metadata(&path) {
            Ok(data) => data.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A marker that was not renamed yet leaves a folder of ours with nothing else in it.
                let other = entries.any(|entry| {
                    entry.map_or(true, |entry| {
                        entry.file_name().to_str() != Some("OREBOOK-ROWS.new")
                    })
                });
                return if other { Err(foreign()) } else { Ok(None) };
            }
            Err(error) => return Err(FolderError::io(&path, &error)),
        };
        if BYTES_MAX < length {
            return Err(foreign());
        }
        let text = fs::read_to_string(&path).map_err(|error| FolderError::io(&path, &error))?;
        Self::parse(&text).map(Some).ok_or_else(foreign)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let first = lines.next() == Some(FIRST_LINE);
        let layout = lines.next()?.strip_prefix("layout ")?.parse().ok()?;
        let ledger = LedgerId::parse(lines.next()?.strip_prefix("ledger ")?)?;
        (first && lines.next().is_none()).then_some(Self { layout, ledger })
    }

    /// Writes the marker, whole or not at all.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), FolderError> {
        let text = format!(
            "{FIRST_LINE}\nlayout {}\nledger {}\n",
            self.layout, self.ledger
        );
        write_whole(dir, NAME, &text)
    }
}

/// Writes a small file of `dir`, whole or not at all.
pub(crate) fn write_whole(dir: &Path, name: &str, text: &str) -> Result<(), FolderError> {
    let new = dir.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let mut file = fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, dir.join(name))?;
        fs::File::open(dir)?.sync_all()
    };
    write().map_err(|error| FolderError::io(&new, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_written_and_nothing_else_is_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Marker::read(&dir.path().join("none")), Ok(None));
        assert_eq!(Marker::read(dir.path()), Ok(None));
        let marker = Marker {
            layout: 7,
            ledger: LedgerId([3; 16]),
        };
        marker.write(dir.path()).unwrap();
        assert_eq!(Marker::read(dir.path()), Ok(Some(marker)));
        let good = fs::read_to_string(dir.path().join(NAME)).unwrap();
        for bad in [
            String::new(),
            good.replace("orebook", "other"),
            good.replace("layout 7", "layout x"),
            format!("{good}more\n"),
            "x".repeat(5_000),
        ] {
            fs::write(dir.path().join(NAME), &bad).unwrap();
            let foreign = FolderError::Foreign(dir.path().to_owned());
            assert_eq!(Marker::read(dir.path()), Err(foreign), "{bad}");
        }
    }

    #[test]
    fn a_folder_with_other_files_is_foreign() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("holiday.jpg"), b"x").unwrap();
        let foreign = FolderError::Foreign(dir.path().to_owned());
        assert_eq!(Marker::read(dir.path()), Err(foreign));
    }
}
