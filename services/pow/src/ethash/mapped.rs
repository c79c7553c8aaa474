//! A file as memory. The only place that knows how files are mapped.

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;

use memmap2::{Mmap, MmapOptions};

/// A file, mapped to be read only.
pub struct Mapped(Mmap);

impl Mapped {
    /// Maps a whole file. Whoever owns the file's folder never writes into a file that is mapped, and never shortens one: it
    /// writes a new one and renames it over. Else what is read changes while it is used, or the process is ended by a signal.
    ///
    /// # Errors
    /// What the system says: the descriptor cannot be read, or there is no room for it among the addresses.
    #[allow(
        unsafe_code,
        reason = "a map is safe while nobody else writes the file, which is what is asked of callers"
    )]
    pub fn of(file: &impl AsRawFd) -> io::Result<Self> {
        // SAFETY: nobody writes into the file or shortens it while it is mapped: it is one that was renamed to its name when
        // it was whole, in a folder of our own, and is opened to be read only.
        let map = unsafe { MmapOptions::new().map(file.as_raw_fd()) };
        map.map(Self)
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mapped bytes", self.0.len())
    }
}
