//! What must hold in every run, judged without the code under test wherever that can be: shares are counted from the bytes
//! of segments by a naive rule of its own, roots are computed by the recursive definition.

use std::collections::{BTreeMap, BTreeSet};

use orebook_ledger::segment::Record;
use orebook_schema::{At, Event, Hash, StreamId};

/// Identity of a simulated share: nonce and ntime, unique in a run; of ethash the two halves of the nonce.
pub type ShareId = (u32, u32);

/// The nonce of a simulated share of ethash.
#[must_use]
pub fn nonce_of(id: ShareId) -> u64 {
    u64::from(id.1) << 32 | u64::from(id.0)
}

/// Which share an event is; none for other kinds.
#[must_use]
pub fn share_id(event: &Event) -> Option<ShareId> {
    match event {
        Event::Share(share) => Some((share.nonce, share.ntime)),
        Event::EthashShare(share) => {
            let [n0, n1, n2, n3, high @ ..] = share.nonce.to_le_bytes();
            Some((
                u32::from_le_bytes([n0, n1, n2, n3]),
                u32::from_le_bytes(high),
            ))
        }
        _ => None,
    }
}

/// A rule that was broken, in words.
pub type Violation = String;

/// What the miners know.
#[derive(Debug, Default)]
pub struct Miners {
    /// Shares that were answered `true`.
    pub accepted: BTreeSet<ShareId>,
    /// Shares that were sent, answered or not.
    pub sent: BTreeSet<ShareId>,
}

/// What the outside saw of a run.
#[derive(Debug, Default)]
pub struct Seen {
    /// First root seen for each final size.
    roots: BTreeMap<u64, (Hash, String)>,
    /// Every tree head an archiver signed.
    pub signed: BTreeMap<u64, BTreeSet<Hash>>,
}

impl Seen {
    /// Somebody holds `size` positions as final, with this root.
    ///
    /// # Errors
    /// If another root was seen at that size.
    pub fn final_root(&mut self, who: &str, size: u64, root: Hash) -> Result<(), Violation> {
        let (first, whose) = self
            .roots
            .entry(size)
            .or_insert_with(|| (root, who.to_owned()));
        if *first == root {
            return Ok(());
        }
        Err(format!(
            "readers disagree at size {size}: {whose} has {first}, {who} has {root}"
        ))
    }

    /// An archiver's signature over a tree head left its process.
    pub fn checkpoint(&mut self, size: u64, root: Hash) {
        self.signed.entry(size).or_default().insert(root);
    }
}

/// How often each share counts in these records.
///
/// A share counts where it is admitted; a moved one unless the same bytes were admitted at its (stream, seq), or moved, before.
/// The first void of a share that repeats an earlier one takes it back.
#[must_use]
pub fn count_shares<'r>(records: impl IntoIterator<Item = &'r Record>) -> BTreeMap<ShareId, u32> {
    let mut counts = BTreeMap::new();
    let mut admitted: BTreeMap<(StreamId, u64), Vec<u8>> = BTreeMap::new();
    let mut moved_before: BTreeSet<(StreamId, u64, Vec<u8>)> = BTreeSet::new();
    // Where each share counts; none once it is void.
    let mut counted: BTreeMap<At, Option<ShareId>> = BTreeMap::new();
    let mut count = |id: ShareId| *counts.entry(id).or_insert(0) += 1;
    let mut void: Vec<ShareId> = Vec::new();
    for record in records {
        let Record::Frame(stored) = record else {
            continue;
        };
        let header = stored.frame.header();
        let places = (0..).map(|index| At {
            position: stored.position,
            index,
        });
        for ((seq, at), raw) in (header.first_seq..).zip(places).zip(stored.frame.events()) {
            let Ok(raw) = raw else { continue };
            let Ok(event) = raw.decode() else { continue };
            if let Event::Void(said) = event {
                let first = counted.get(&said.first).copied().flatten();
                let share = counted.get(&said.share).copied().flatten();
                if first.is_some() && first == share {
                    counted.insert(said.share, None);
                    void.extend(share);
                }
                continue;
            }
            if let Some(id) = share_id(&event) {
                admitted.insert((header.stream, seq), raw.bytes.to_vec());
                counted.insert(at, Some(id));
                count(id);
            }
            if let Event::Moved(moved) = event {
                let inner = moved.inner().ok();
                let Some(id) = inner.as_ref().and_then(share_id) else {
                    continue;
                };
                let same = admitted.get(&(moved.stream, moved.seq)) == Some(&moved.event);
                if !same && moved_before.insert((moved.stream, moved.seq, moved.event)) {
                    counted.insert(at, Some(id));
                    count(id);
                }
            }
        }
    }
    for id in void {
        if let Some(count) = counts.get_mut(&id) {
            *count -= 1;
        }
    }
    counts
}

/// Exactly once: every accepted share counts once, no share counts twice, none that nobody sent.
///
/// # Errors
/// The first share for which it does not hold.
pub fn exactly_once(
    miners: &Miners,
    counts: &BTreeMap<ShareId, u32>,
    waiting: &BTreeSet<ShareId>,
) -> Result<(), Violation> {
    if let Some((id, count)) = counts.iter().find(|(_, count)| 1 < **count) {
        return Err(format!("share {id:?} counts {count} times"));
    }
    if let Some(id) = counts.keys().find(|id| !miners.sent.contains(id)) {
        return Err(format!("share {id:?} counts, and nobody sent it"));
    }
    let lost = miners
        .accepted
        .iter()
        .find(|id| counts.get(id).is_none_or(|count| *count == 0) && !waiting.contains(id));
    lost.map_or(Ok(()), |id| {
        Err(format!(
            "share {id:?} was accepted, and is neither final nor in a spool"
        ))
    })
}

/// Every tree head that was signed is one of the final ledger's own.
///
/// # Errors
/// The first that is not.
pub fn checkpoints_consistent(seen: &Seen, leaves: &[Hash]) -> Result<(), Violation> {
    for (size, roots) in &seen.signed {
        let Some(prefix) = usize::try_from(*size)
            .ok()
            .and_then(|size| leaves.get(..size))
        else {
            continue;
        };
        let own = recursive_root(prefix);
        if let Some(other) = roots.iter().find(|root| **root != own) {
            return Err(format!(
                "a checkpoint of size {size} has root {other}, the ledger's is {own}"
            ));
        }
    }
    Ok(())
}

/// Leaf hashes of the final ledger, from its bytes.
#[must_use]
pub fn leaves<'r>(records: impl IntoIterator<Item = &'r Record>) -> Vec<Hash> {
    let frames = records.into_iter().filter_map(|record| match record {
        Record::Frame(stored) => Some(stored),
        Record::Closure { .. } => None,
    });
    frames
        .map(|stored| {
            let entry = stored.frame.leaf_entry(stored.position, stored.ledger_time);
            Hash::of(&[&[0], &entry])
        })
        .collect()
}

/// Root of leaf hashes, by RFC 6962's definition.
#[must_use]
pub fn recursive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(&[]),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            Hash::of(&[&[1], &recursive_root(left).0, &recursive_root(right).0])
        }
    }
}
