//! Which shares of a job were seen: 128 bits of each share's own hash, in tables that live and die with the job.
//!
//! The hash is uniform and the same exactly when the share is the same, so it needs no other key and no seed. Targets are
//! tested first, so that an entry costs a miner work. Growing is spread over [`TABLES`] small tables, so that no share waits
//! long for it.

use orebook_schema::Hash;

/// Tables of a set; a growing one copies this part of it.
const TABLES: usize = 64;
/// Slots of a new table at least; a power of two.
const SLOTS_MIN: usize = 16;

/// The shares of one job.
#[derive(Debug)]
pub(crate) struct Seen {
    tables: Vec<Table>,
    count: usize,
}

#[derive(Debug)]
struct Table {
    /// Open addressing, linear; 0 is empty. At most half is used.
    slots: Vec<u128>,
    count: usize,
}

impl Seen {
    /// Ready for about `expected` shares before anything grows.
    pub(crate) fn new(expected: usize) -> Self {
        let slots = (expected / TABLES * 3).next_power_of_two().max(SLOTS_MIN);
        let table = || Table {
            slots: vec![0; slots],
            count: 0,
        };
        Self {
            tables: (0..TABLES).map(|_| table()).collect(),
            count: 0,
        }
    }

    /// Shares remembered.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Looks at the slots where these shares would be put: their memory is fetched side by side, while one insertion after
    /// another would wait for each. Changes nothing.
    pub(crate) fn prefetch<'p>(&self, pows: impl Iterator<Item = &'p Hash>) {
        let first = |pow| {
            let key = key_of(pow);
            let slots = &self.tables.get(table_of(key))?.slots;
            slots.get(home_of(key, slots.len()))
        };
        let any = pows.filter_map(first).fold(0, |any, slot| any | *slot);
        std::hint::black_box(any);
    }

    /// Whether a share is remembered.
    pub(crate) fn contains(&self, pow: &Hash) -> bool {
        let key = key_of(pow);
        let table = self.tables.get(table_of(key));
        table.is_some_and(|table| table.contains(key))
    }

    /// Remembers a share by its proof-of-work hash; `false` if it is there already.
    pub(crate) fn insert(&mut self, pow: &Hash) -> bool {
        let key = key_of(pow);
        let Some(table) = self.tables.get_mut(table_of(key)) else {
            return true;
        };
        let fresh = table.insert(key);
        self.count += usize::from(fresh);
        fresh
    }
}

/// The low half of the hash as a number: its high bits are what makes it a share. Zero, which no share ever has, is one.
fn key_of(pow: &Hash) -> u128 {
    let low = pow.0.first_chunk::<16>().copied().unwrap_or_default();
    u128::from_le_bytes(low).max(1)
}

/// Index of a key's table, by bits that the slot does not use.
fn table_of(key: u128) -> usize {
    usize::try_from(key >> 122).unwrap_or(0) % TABLES
}

/// Where a key stands in a power of two of slots, unless that one is taken.
fn home_of(key: u128, slots: usize) -> usize {
    let low = u64::try_from(key & u128::from(u64::MAX)).unwrap_or(0);
    usize::try_from(low).unwrap_or(0) & (slots - 1)
}

impl Table {
    fn contains(&self, key: u128) -> bool {
        let home = home_of(key, self.slots.len());
        let (before, from) = self.slots.split_at_checked(home).unwrap_or_default();
        let mut slots = from.iter().chain(before);
        slots.find(|slot| **slot == key || **slot == 0) == Some(&key)
    }

    fn insert(&mut self, key: u128) -> bool {
        if self.slots.len() < 2 * (self.count + 1) {
            self.grow();
        }
        let fresh = put(&mut self.slots, key);
        self.count += usize::from(fresh);
        fresh
    }

    fn grow(&mut self) {
        let mut slots = vec![0; 2 * self.slots.len()];
        for key in self.slots.iter().filter(|key| **key != 0) {
            put(&mut slots, *key);
        }
        self.slots = slots;
    }
}

/// Puts a key into a power of two of slots that has empty ones; `false` if it is there.
fn put(slots: &mut [u128], key: u128) -> bool {
    let mask = slots.len() - 1;
    let mut at = home_of(key, slots.len());
    while let Some(slot) = slots.get_mut(at) {
        if *slot == key {
            return false;
        }
        if *slot == 0 {
            *slot = key;
            return true;
        }
        at = (at + 1) & mask;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn hash(n: u64) -> Hash {
        Hash::of(&[&n.to_le_bytes()])
    }

    #[test]
    fn a_share_is_fresh_once_however_the_tables_grow() {
        for expected in [0, 1, 100, 100_000] {
            let mut seen = Seen::new(expected);
            for round in 0..2 {
                for n in 0..20_000 {
                    assert_eq!(seen.insert(&hash(n)), round == 0, "{n} of {expected}");
                }
            }
            assert_eq!(seen.len(), 20_000);
        }
    }

    #[test]
    fn it_agrees_with_a_plain_set_on_crowded_keys() {
        // Few different low bits: long runs of used slots.
        let mut seen = Seen::new(0);
        let mut plain = BTreeSet::new();
        for n in 0..4_000_u32 {
            let mut bytes = [0; 32];
            bytes[0] = u8::try_from(1 + n % 3).unwrap();
            bytes[8..12].copy_from_slice(&(n % 1_777).to_le_bytes());
            let share = Hash(bytes);
            assert_eq!(
                seen.insert(&share),
                plain.insert(bytes[..16].to_vec()),
                "{n}"
            );
        }
        assert_eq!(seen.len(), plain.len());
    }

    #[test]
    fn the_high_half_that_makes_it_a_share_is_no_part_of_the_key() {
        let mut seen = Seen::new(0);
        let mut zeros = [7; 32];
        zeros[16..].fill(0);
        assert!(seen.insert(&Hash(zeros)));
        assert!(!seen.insert(&Hash(zeros)));
        assert!(seen.insert(&Hash([0; 32])));
        assert!(!seen.insert(&Hash([0; 32])));
    }
}
