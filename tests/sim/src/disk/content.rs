//! The bytes of one simulated file: what a reader sees, what a power cut leaves, and what lies between.

use crate::rng::Rng;

/// Bytes that a power cut writes wholly or not at all, at offsets divisible by it.
pub(super) const SECTOR_BYTES: usize = 512;

/// A change that was made and not yet synced.
#[derive(Clone)]
enum Pending {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
    Grow(usize),
}

#[derive(Clone, Default)]
pub(super) struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

/// How a power cut treats all unsynced changes of a file. Independent draws alone would hardly ever keep or lose all of
/// many changes, which are the two outcomes that happen most.
enum Mood {
    LoseAll,
    KeepAll,
    EachAlone,
}

fn extend(bytes: &mut Vec<u8>, len: usize) {
    if bytes.len() < len {
        bytes.resize(len, 0);
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    if new.is_empty() {
        return;
    }
    let end = offset.saturating_add(new.len());
    extend(bytes, end);
    if let Some(old) = bytes.get_mut(offset..end) {
        old.copy_from_slice(new);
    }
}

fn flip(bytes: &mut [u8], at: usize, mask: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= mask;
    }
}

impl Pending {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => put(file, *offset, bytes),
            Self::Truncate(len) => file.truncate(*len),
            Self::Grow(len) => extend(file, *len),
        }
    }

    /// Leaves in `file` what a power cut left of this change: all, nothing, or a part.
    fn survive(&self, file: &mut Vec<u8>, rng: &mut Rng) {
        let draw = rng.below(3);
        if draw == 0 {
            return self.apply(file);
        }
        let torn = draw == 1;
        match self {
            Self::Write { offset, bytes } => {
                let end = offset.saturating_add(bytes.len());
                if torn {
                    put_some_sectors(file, *offset, bytes, rng);
                }
                // The length may have reached the disk before the data did: then zeros stand there.
                if file.len() < end && rng.chance(1, 2) {
                    extend(file, end);
                }
            }
            Self::Grow(len) if torn => {
                let sectors = len.saturating_sub(file.len()) / SECTOR_BYTES;
                let grown = rng.below(u64::try_from(sectors).unwrap_or(0));
                let grown = usize::try_from(grown)
                    .unwrap_or(0)
                    .saturating_mul(SECTOR_BYTES);
                let part = file.len().saturating_add(grown);
                extend(file, part);
            }
            Self::Truncate(len) if rng.chance(1, 4) => file.truncate(*len),
            Self::Grow(_) | Self::Truncate(_) => {}
        }
    }
}

fn put_some_sectors(file: &mut Vec<u8>, offset: usize, bytes: &[u8], rng: &mut Rng) {
    let (mut at, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let to_boundary = SECTOR_BYTES - at % SECTOR_BYTES;
        let (piece, after) = rest.split_at(to_boundary.min(rest.len()));
        if rng.chance(1, 2) {
            put(file, at, piece);
        }
        at = at.saturating_add(piece.len());
        rest = after;
    }
}

impl Content {
    /// A file whose `bytes` are durable.
    pub(super) fn at_rest(bytes: Vec<u8>) -> Self {
        Self {
            seen: bytes.clone(),
            durable: bytes,
            pending: Vec::new(),
        }
    }

    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    fn change(&mut self, change: Pending) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.change(Pending::Write {
                offset,
                bytes: bytes.to_vec(),
            });
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        if len < self.seen.len() {
            self.change(Pending::Truncate(len));
        }
    }

    pub(super) fn grow(&mut self, len: usize) {
        if len > self.seen.len() {
            self.change(Pending::Grow(len));
        }
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// The sync failed and the pages count as clean: readers go on seeing them, no later sync writes them.
    pub(super) fn forget_unsynced(&mut self) {
        self.pending.clear();
    }

    /// Power cut: what was not synced survives, is torn or is lost, each change for itself.
    pub(super) fn cut_power(&mut self, rng: &mut Rng) {
        let mood = match rng.below(8) {
            0 => Mood::LoseAll,
            1 => Mood::KeepAll,
            _ => Mood::EachAlone,
        };
        for change in self.pending.drain(..) {
            match mood {
                Mood::LoseAll => {}
                Mood::KeepAll => change.apply(&mut self.durable),
                Mood::EachAlone => change.survive(&mut self.durable, rng),
            }
        }
        self.seen.clone_from(&self.durable);
    }

    /// Flips one bit in every version that may be read later; false if the file ends before it.
    pub(super) fn flip_bit(&mut self, bit: u64) -> bool {
        let Some(at) = usize::try_from(bit / 8)
            .ok()
            .filter(|at| *at < self.seen.len())
        else {
            return false;
        };
        let mask = 1 << (bit % 8);
        flip(&mut self.seen, at, mask);
        flip(&mut self.durable, at, mask);
        for change in &mut self.pending {
            if let Pending::Write { offset, bytes } = change
                && let Some(inside) = at.checked_sub(*offset)
            {
                flip(bytes, inside, mask);
            }
        }
        true
    }
}
