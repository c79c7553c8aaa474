//! Shares of ethash that this gateway's former processes recorded, from its spool: what was submitted before a restart is no
//! share again. Where headers are put together here nothing of this is needed: each process has jobs of its own.
//!
//! The spool keeps what is younger than ten minutes, final or not, and work does not live so long.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use orebook_ledger::disk::Disk;
use orebook_ledger::spool::{Spool, SpoolError};
use orebook_schema::work::ethash_name;
use orebook_schema::{Event, Hash};

/// How long the spool keeps what is final, so that a next process knows it: longer than work lives.
pub(crate) const FORMER_KEPT: Duration = Duration::from_secs(600);
/// Shares that are taken from the spool at most. More than a pool's ten minutes.
const SHARES_MAX: usize = 4_000_000;

/// Names of shares by the seal hash of their work.
pub(crate) type Former = HashMap<Hash, Vec<Hash>>;

/// All that the spool holds in frames; after its epoch was begun that is everything of before.
///
/// # Errors
/// [`SpoolError`]: the spool cannot be read.
pub(crate) fn recorded<D: Disk>(spool: &Spool<D>) -> Result<Former, SpoolError> {
    let mut former = Former::new();
    let Some(oldest) = spool.streams().first().map(|held| held.stream) else {
        return Ok(former);
    };
    let mut frames = spool.frames_from(oldest, 0)?;
    // Numbers hold within a stream's epoch.
    let mut seals = BTreeMap::new();
    let mut count = 0;
    while let Some(frame) = frames.next_frame(spool)? {
        let header = frame.header();
        let of = |number: u32| (header.stream, header.epoch, number);
        for event in frame.decode().unwrap_or_default() {
            match event {
                Event::EthashJob(job) => {
                    seals.insert(of(job.number), job.seal);
                }
                Event::EthashShare(share) if count < SHARES_MAX => {
                    if let Some(seal) = seals.get(&of(share.job)) {
                        let names = former.entry(*seal).or_default();
                        names.push(ethash_name(seal, share.nonce));
                        count += 1;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(former)
}
