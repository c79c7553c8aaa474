//! What folds keep back of announced numbers until a commit or digest, so that a row that many frames change is written
//! once; see [`Fold::flush`](crate::fold::Fold::flush).

use std::collections::BTreeMap;

use orebook_schema::StreamId;

use crate::rows::StoreFault;

/// Stream, epoch and number of a worker.
pub(super) type Place = (StreamId, u32, u32);

/// One `T` for each number with changes that no row has yet. Numbers are dense, so they are found by their index: a slot
/// of memory for each number up to the largest that is kept, of which admission keeps what was announced as well.
#[derive(Clone, Debug)]
pub(super) struct Kept<T> {
    epochs: BTreeMap<(StreamId, u32), Numbers<T>>,
    len: usize,
    /// Changes were dropped: the rows would be wrong.
    is_lost: bool,
}

/// Of one (stream, epoch), by number.
type Numbers<T> = Vec<Option<T>>;

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Kept<T> {
    pub(super) const fn new() -> Self {
        Self {
            epochs: BTreeMap::new(),
            len: 0,
            is_lost: false,
        }
    }

    /// How many are kept.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Drops all; if that loses changes, nothing goes on after it.
    pub(super) fn forget(&mut self) {
        self.is_lost |= 0 < self.len;
        self.epochs.clear();
        self.len = 0;
    }

    /// Fails once changes were lost, so that nothing is written without them.
    pub(super) fn still_whole(&self) -> Result<(), StoreFault> {
        if self.is_lost {
            let why = "changes were lost when it failed before: start again".to_owned();
            return Err(StoreFault::Failed(why));
        }
        Ok(())
    }

    /// Drops all; their changes are in rows.
    pub(super) fn clear(&mut self) {
        self.epochs.clear();
        self.len = 0;
    }

    /// One of them.
    pub(super) fn get(&self, (stream, epoch, number): &Place) -> Option<&T> {
        let numbers = self.epochs.get(&(*stream, *epoch))?;
        numbers.get(index(*number))?.as_ref()
    }

    /// One of them, to be changed.
    pub(super) fn get_mut(&mut self, (stream, epoch, number): &Place) -> Option<&mut T> {
        let numbers = self.epochs.get_mut(&(*stream, *epoch))?;
        numbers.get_mut(index(*number))?.as_mut()
    }

    /// Lets `write` bring rows up to date, and all stay; if that fails, changes are lost.
    pub(super) fn write_kept(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), StoreFault>,
    ) -> Result<(), StoreFault> {
        self.still_whole()?;
        self.is_lost = true;
        write(self)?;
        self.is_lost = false;
        Ok(())
    }

    /// Those of an epoch, to look many numbers up. A stream's epochs of which nothing is kept any more go with its next one.
    pub(super) fn epoch(&mut self, stream: StreamId, epoch: u32) -> Epoch<'_, T> {
        if !self.epochs.contains_key(&(stream, epoch)) {
            self.epochs
                .retain(|(of, _), numbers| *of != stream || numbers.iter().any(Option::is_some));
        }
        Epoch {
            numbers: self.epochs.entry((stream, epoch)).or_default(),
            len: &mut self.len,
        }
    }

    /// Keeps one more.
    pub(super) fn insert(&mut self, (stream, epoch, number): Place, kept: T) {
        self.epoch(stream, epoch).insert(number, kept);
    }

    /// Takes one out and writes it; if that fails, its changes are lost.
    pub(super) fn write_one(
        &mut self,
        (stream, epoch, number): &Place,
        write: impl FnOnce(T) -> Result<(), StoreFault>,
    ) -> Result<(), StoreFault> {
        let numbers = self.epochs.get_mut(&(*stream, *epoch));
        let slot = numbers.and_then(|numbers| numbers.get_mut(index(*number)));
        let Some(kept) = slot.and_then(Option::take) else {
            return Ok(());
        };
        self.len -= 1;
        let lost = std::mem::replace(&mut self.is_lost, true);
        write(kept)?;
        self.is_lost = lost;
        Ok(())
    }

    /// Takes all out, by stream, epoch and number, and writes them; if that fails, their changes are lost.
    pub(super) fn flush(
        &mut self,
        write: impl FnOnce(&mut dyn Iterator<Item = T>) -> Result<(), StoreFault>,
    ) -> Result<(), StoreFault> {
        self.still_whole()?;
        self.is_lost = true;
        self.len = 0;
        let epochs = std::mem::take(&mut self.epochs);
        write(&mut epochs.into_values().flatten().flatten())?;
        self.is_lost = false;
        Ok(())
    }
}

/// What is kept of one epoch.
#[derive(Debug)]
pub(super) struct Epoch<'k, T> {
    numbers: &'k mut Numbers<T>,
    len: &'k mut usize,
}

impl<T> Epoch<'_, T> {
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.numbers.get_mut(index(number))?.as_mut()
    }

    /// Keeps one more, of a number that was announced.
    pub(super) fn insert(&mut self, number: u32, kept: T) {
        let index = index(number);
        if self.numbers.len() <= index {
            self.numbers.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.numbers.get_mut(index) {
            *self.len += usize::from(slot.is_none());
            *slot = Some(kept);
        }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
