//! Where positions come from that the log does not have (any more). Nobody is believed: the reader judges every frame again.

use std::path::{Path, PathBuf};

use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::{SegmentStore, StoreError};
use orebook_schema::{Hash, LedgerId};
use tokio::runtime::Handle;

use crate::peer::{FetchError, Peer};

/// Name of the folder of segments in a ledger's folder.
const SEGMENTS: &str = "segments";

/// Where positions come from that the log does not have (any more).
#[derive(Clone, Debug)]
pub enum Source {
    /// An archiver's segment files on this machine.
    Folder {
        /// Folder that holds `segments`.
        dir: PathBuf,
        /// The ledger.
        ledger: LedgerId,
    },
    /// Archivers and projectors that serve theirs ([`crate::segments_router`]), asked one after the other.
    Peers {
        /// `host:port` of each. Without any, a reader that needs one waits and says so.
        addresses: Vec<String>,
        /// Folder whose `segments` are one's own: what is sealed there is not fetched.
        own: PathBuf,
        /// Folder for what is fetched; made if it does not exist, and removed afterwards.
        into: PathBuf,
        /// The ledger.
        ledger: LedgerId,
        /// A runtime with time and IO.
        runtime: Handle,
    },
}

/// Why a source gave nothing. Waiting helps, or another peer does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{who} has nothing newer that is final")]
    NothingNewer { who: String },
    #[error(
        "no peer is configured: name archivers or projectors in [ledger] peers (docs/runbooks/topic-trimmed.md)"
    )]
    Nobody,
}

/// What a reader lacks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lack {
    /// The positions from its final size to where an incarnation opened, with the root there.
    Exactly { to: u64, root: Hash },
    /// Whatever is final and newer than what it has.
    Newer,
}

impl Lack {
    /// What a reader says it lacks.
    pub(crate) const fn of(error: &ReadError) -> Option<Self> {
        match error {
            ReadError::Missing { to, root, .. } => Some(Self::Exactly {
                to: *to,
                root: *root,
            }),
            ReadError::Behind { .. } => Some(Self::Newer),
            _ => None,
        }
    }

    /// Gives a reader what it lacks of an opened folder; whether it took anything. Called until it takes no more, so that a
    /// lock on the reader is let go in between.
    fn give(
        self,
        store: &SegmentStore<RealDisk>,
        reader: &mut Reader<RealDisk>,
    ) -> Result<bool, ReadError> {
        let from = reader.final_size();
        match self {
            Self::Exactly { to, root } => {
                reader.adopt(store.records(from), to, root)?;
                Ok(true)
            }
            Self::Newer => Ok(from < reader.adopt_final(store.records(from))?),
        }
    }
}

/// A source that is asked again and again, each time beginning with another peer: one that lags or lies keeps nobody from
/// the next.
#[derive(Debug)]
pub(crate) struct Filler {
    source: Source,
    round: usize,
}

impl Filler {
    pub(crate) const fn new(source: Source) -> Self {
        Self { source, round: 0 }
    }

    /// Gives a reader what it lacks. `with` calls its argument with the reader, for one turn.
    pub(crate) fn fill(
        &mut self,
        lack: Lack,
        mut with: impl FnMut(
            &mut dyn FnMut(&mut Reader<RealDisk>) -> Result<bool, ReadError>,
        ) -> Result<bool, ReadError>,
    ) -> Result<(), SourceError> {
        let mut offer = |dir: &Path, ledger: LedgerId, who: &str| {
            let disk = RealDisk::new(dir.to_path_buf());
            let floor = match lack {
                Lack::Exactly { to, .. } => to,
                Lack::Newer => 0,
            };
            let (store, _) = SegmentStore::open_read_only(disk, SEGMENTS, ledger, floor)?;
            let mut took = false;
            loop {
                match with(&mut |reader| lack.give(&store, reader)) {
                    Ok(true) if matches!(lack, Lack::Newer) => took = true,
                    Ok(true) => return Ok(()),
                    // What it took is signed for; what came after it was of no use.
                    Ok(false) | Err(_) if took => return Ok(()),
                    Ok(false) => {
                        let who = who.to_owned();
                        return Err(SourceError::NothingNewer { who });
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let round = self.round;
        self.round = round.wrapping_add(1);
        match &self.source {
            Source::Folder { dir, ledger } => offer(dir, *ledger, "the archiver of this process"),
            Source::Peers {
                addresses,
                own,
                into: all,
                ledger,
                runtime,
            } => {
                let mut last = SourceError::Nobody;
                let count = addresses.len();
                let numbered = addresses.iter().enumerate().cycle();
                for (number, address) in numbered.skip(round % count.max(1)).take(count) {
                    // Each peer has a folder: what one says must not stand in for another.
                    let dir = all.join(number.to_string());
                    let peer = Peer::new(address);
                    let (own, into) = (own.join(SEGMENTS), dir.join(SEGMENTS));
                    let taken = match runtime.block_on(peer.fetch(&own, &into)) {
                        Ok(()) => offer(&dir, *ledger, address),
                        // What is whole of it is not asked for again.
                        Err(error) => {
                            tracing::warn!(%error, "a peer's segments cannot be fetched");
                            last = error.into();
                            continue;
                        }
                    };
                    // Taken, the reader has it; refused, nobody wants it.
                    drop(std::fs::remove_dir_all(&dir));
                    match taken {
                        Ok(()) => {
                            drop(std::fs::remove_dir_all(all));
                            return Ok(());
                        }
                        Err(error) => {
                            tracing::warn!(%error, address, "a peer's segments are of no use");
                            last = error;
                        }
                    }
                }
                Err(last)
            }
        }
    }
}
