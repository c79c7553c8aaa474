//! Admission's state as bytes, so that a fold goes on from where it stood without reading the ledger from the beginning.
//!
//! Canonical: equal states have equal bytes. Versioned and hashed: bytes that are not what was written are refused, and
//! what is read is checked to hang together. The hash is against damage, not against forgery: a snapshot is worth as much
//! as the disk it lies on, and an audit starts at genesis.

use orebook_schema::bytes::{DecodeError, Decoded, Reader, Write};
use orebook_schema::names::Pot;
use orebook_schema::{Hash, Key, LedgerId, StreamId};

use super::{State, Stream};
use crate::authority::Authority;
use crate::authority::snapshot::{put_count, take_bool, take_map};
use crate::credit::{Announced, JobTerms};
use crate::tree::Tree;

/// Version of the snapshot's layout. Bytes of another one are refused: read the ledger again.
pub const STATE_SNAPSHOT_VERSION: u32 = 3;

const MAGIC: &[u8; 8] = b"ORESTAT0";
/// Job terms without a policy: the job is void.
const NO_POLICY: u32 = u32::MAX;

impl State {
    /// The state's canonical bytes: magic, version, fields, SHA-256 of all before it.
    #[must_use]
    pub fn to_snapshot_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put(MAGIC);
        out.put(&STATE_SNAPSHOT_VERSION.to_le_bytes());
        out.put(&self.ledger.0);
        out.put(&self.ledger_time.to_le_bytes());
        out.put(&self.opened_at.to_le_bytes());
        write_tree(&self.tree, &mut out);
        write_tree(&self.final_tree, &mut out);
        put_count(self.unfinal_leaves.len(), &mut out);
        self.unfinal_leaves.iter().for_each(|leaf| out.put(&leaf.0));
        out.push(u8::from(self.authority.is_some()));
        if let Some(authority) = &self.authority {
            authority.write_snapshot(&mut out);
        }
        put_count(self.streams.len(), &mut out);
        for (id, stream) in &self.streams {
            out.put(&id.0);
            write_stream(stream, self.authority.as_ref(), &mut out);
        }
        put_count(self.moved.len(), &mut out);
        for (stream, seq, hash) in &self.moved {
            out.put(&stream.0);
            out.put(&seq.to_be_bytes());
            out.put(&hash.0);
        }
        let hash = Hash::of(&[&out]);
        out.put(&hash.0);
        out
    }

    /// The state of bytes that [`State::to_snapshot_bytes`] gave.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else; nothing is allocated for counts that the bytes do not back.
    pub fn from_snapshot_bytes(bytes: &[u8]) -> Decoded<Self> {
        let (fields, hash) = bytes
            .split_last_chunk::<32>()
            .ok_or(DecodeError::Short("state snapshot"))?;
        if Hash::of(&[fields]).0 != *hash {
            return Err(DecodeError::Value("state snapshot's hash"));
        }
        let mut reader = Reader::new(fields, "state snapshot");
        if reader.array()? != *MAGIC || reader.u32()? != STATE_SNAPSHOT_VERSION {
            return Err(DecodeError::Value("state snapshot's version"));
        }
        let ledger = LedgerId(reader.array()?);
        let ledger_time = reader.u64()?;
        let opened_at = reader.u64()?;
        let tree = read_tree(&mut reader)?;
        let final_tree = read_tree(&mut reader)?;
        let unfinal_leaves = read_list(&mut reader, Reader::hash)?;
        let authority = if take_bool(&mut reader)? {
            Some(Authority::read_snapshot(&mut reader)?)
        } else {
            None
        };
        let streams = take_map(&mut reader, |reader| {
            let id = StreamId(reader.array()?);
            Ok((id, read_stream(reader, authority.as_ref())?))
        })?;
        let moved = take_map(&mut reader, |reader| {
            let stream = StreamId(reader.array()?);
            let seq = u64::from_be_bytes(reader.array()?);
            Ok(((stream, seq, reader.hash()?), ()))
        })?;
        reader.end()?;
        let state = Self {
            ledger,
            tree,
            ledger_time,
            authority,
            final_tree,
            unfinal_leaves: unfinal_leaves.into(),
            streams,
            opened_at,
            moved: moved.into_keys().collect(),
        };
        if state.hangs_together() {
            Ok(state)
        } else {
            Err(DecodeError::Value("state snapshot's trees"))
        }
    }

    /// The trees are one tree, and there is an authority as soon as there is a position.
    fn hangs_together(&self) -> bool {
        let mut tree = self.final_tree.clone();
        let ours = |authority: &Authority| authority.genesis().ledger == self.ledger;
        let named = match &self.authority {
            Some(authority) => 0 < self.size() && ours(authority),
            None => self.size() == 0 && self.streams.is_empty() && self.moved.is_empty(),
        };
        let left = self.size().checked_sub(tree.size());
        if !named || left != u64::try_from(self.unfinal_leaves.len()).ok() {
            return false;
        }
        self.unfinal_leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree == self.tree
    }
}

fn write_tree(tree: &Tree, out: &mut Vec<u8>) {
    out.put(&tree.size().to_le_bytes());
    tree.peaks().iter().for_each(|peak| out.put(&peak.0));
}

fn read_tree(reader: &mut Reader<'_>) -> Decoded<Tree> {
    let size = reader.u64()?;
    let peaks = (0..size.count_ones())
        .map(|_| reader.hash())
        .collect::<Decoded<Vec<Hash>>>()?;
    Tree::from_peaks(size, peaks).ok_or(DecodeError::Value("tree"))
}

fn write_stream(stream: &Stream, authority: Option<&Authority>, out: &mut Vec<u8>) {
    out.put(&stream.key.0);
    out.put(&stream.epoch.to_le_bytes());
    out.put(&stream.next_seq.to_le_bytes());
    out.put(&stream.last_hash.0);
    out.push(u8::from(stream.closed));
    put_count(stream.announced.workers.len(), out);
    for pot in &stream.announced.workers {
        out.put(&pot.0.to_le_bytes());
    }
    put_count(stream.announced.jobs.len(), out);
    for terms in &stream.announced.jobs {
        out.put(&terms.network_work.to_le_bytes());
        out.put(&policy_number(terms, authority).to_le_bytes());
    }
}

fn read_stream(reader: &mut Reader<'_>, authority: Option<&Authority>) -> Decoded<Stream> {
    let key = Key(reader.array()?);
    let epoch = reader.u32()?;
    let next_seq = reader.u64()?;
    let last_hash = reader.hash()?;
    let closed = take_bool(reader)?;
    let policies: Vec<_> = authority.into_iter().flat_map(Authority::obeyed).collect();
    let workers = read_list(reader, |reader| Ok(Pot(reader.u16()?)))?;
    let jobs = read_list(reader, |reader| {
        let network_work = reader.u128()?;
        let number = reader.u32()?;
        let known = usize::try_from(number).ok().and_then(|n| policies.get(n));
        let policy = match known {
            Some(obeyed) => Some(obeyed.policy.clone()),
            None if number == NO_POLICY => None,
            None => return Err(DecodeError::Value("job's policy")),
        };
        if network_work == 0 {
            return Err(DecodeError::Limit("network work"));
        }
        Ok(JobTerms {
            network_work,
            policy,
        })
    })?;
    Ok(Stream {
        key,
        epoch,
        next_seq,
        last_hash,
        closed,
        announced: Announced { workers, jobs },
    })
}

/// Which of the obeyed policies, in their order, the terms are: the first that says the same.
fn policy_number(terms: &JobTerms, authority: Option<&Authority>) -> u32 {
    let Some(policy) = &terms.policy else {
        return NO_POLICY;
    };
    let mut known = authority.into_iter().flat_map(Authority::obeyed);
    let number = known.position(|obeyed| obeyed.policy == *policy);
    assert!(
        number.is_some(),
        "a job's terms are those of an obeyed policy"
    );
    number
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(NO_POLICY)
}

/// Reads a list; nothing is reserved for its count.
fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    mut item: impl FnMut(&mut Reader<'a>) -> Decoded<T>,
) -> Decoded<Vec<T>> {
    let mut list = Vec::new();
    for _ in 0..reader.u64()? {
        list.push(item(reader)?);
    }
    Ok(list)
}
