//! Donors of a repair: a folder on this machine, or a peer over HTTP. What they give is judged by `ledger`, never believed.

use std::path::PathBuf;

use orebook_ledger::segment::repair::{Donor, DonorFault};
use tokio::runtime::Handle;

use crate::peer::Peer;
use crate::segments::{listed, read_piece};

/// A folder of segment files, a copy of somebody's.
#[derive(Debug)]
pub struct FolderDonor {
    dir: PathBuf,
}

impl FolderDonor {
    /// The folder of the files themselves.
    #[must_use]
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn fault(&self, error: &std::io::Error) -> DonorFault {
        let why = format!("{}: {error}", self.dir.display());
        DonorFault { why }
    }
}

impl Donor for FolderDonor {
    fn names(&mut self) -> Result<Vec<String>, DonorFault> {
        let files = listed(&self.dir).map_err(|error| self.fault(&error))?;
        Ok(files.into_iter().map(|file| file.name).collect())
    }

    fn read(&mut self, name: &str, from: u64) -> Result<Vec<u8>, DonorFault> {
        read_piece(&self.dir.join(name), from).map_err(|error| self.fault(&error))
    }
}

/// An archiver or projector that serves its segments ([`crate::segments_router`]).
#[derive(Debug)]
pub struct PeerDonor {
    peer: Peer,
    runtime: Handle,
}

impl PeerDonor {
    /// A peer, `host:port`; the runtime has time and IO, and is not the caller's own thread's.
    #[must_use]
    pub fn new(address: &str, runtime: Handle) -> Self {
        Self {
            peer: Peer::new(address),
            runtime,
        }
    }
}

impl Donor for PeerDonor {
    fn names(&mut self) -> Result<Vec<String>, DonorFault> {
        let files = self.runtime.block_on(self.peer.list());
        let files = files.map_err(|error| DonorFault {
            why: error.to_string(),
        })?;
        Ok(files.into_iter().map(|file| file.name).collect())
    }

    fn read(&mut self, name: &str, from: u64) -> Result<Vec<u8>, DonorFault> {
        let piece = self.runtime.block_on(self.peer.piece(name, from));
        piece
            .map(|bytes| bytes.to_vec())
            .map_err(|error| DonorFault {
                why: error.to_string(),
            })
    }
}
