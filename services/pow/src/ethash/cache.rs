//! The cache of an epoch: made from its seed in seconds, the same for everybody.

use orebook_schema::Hash;

use super::epoch::{Epoch, Shape};
use super::hashimoto::{Pages, Prove, answer_all};
use super::keccak::{Wide, keccak512, words};
use super::kept::{FILE_HEADER_BYTES, FileFlaw, Held, What, check, header};
use super::light::{Remainder, Way};
use super::{Answer, Question, Row, Words};

/// Times that the rows are mixed with each other (Sergio Lerner's RandMemoHash).
const ROUNDS: usize = 3;

/// The cache of an epoch: 16 MiB at epoch 0, 72 MiB at epoch 450. Share it by `Arc`.
#[derive(Debug)]
pub struct Cache {
    epoch: Epoch,
    held: Held,
    by: Remainder,
    pages: Remainder,
    way: Way,
}

impl Cache {
    /// Makes the cache of an epoch. Half a second of a processor at epoch 0, 2.7 s at epoch 450: not for a thread that serves.
    #[must_use]
    pub fn build(epoch: Epoch) -> Self {
        Self::of_shape(epoch, epoch.shape())
    }

    /// Takes a file that [`Self::file_header`] and [`Self::bytes`] made, in memory or mapped. All of it is read once; nothing of
    /// it is believed but by its hash.
    ///
    /// # Errors
    /// [`FileFlaw`]: it is not exactly this epoch's cache; make it again.
    pub fn from_file(
        epoch: Epoch,
        file: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Self, FileFlaw> {
        Self::from_file_of(epoch, epoch.shape(), file)
    }

    /// What a file of this cache begins with; [`Self::bytes`] follow. Hashes the whole cache.
    #[must_use]
    pub fn file_header(&self) -> [u8; FILE_HEADER_BYTES] {
        let bytes = self.bytes();
        header(What::Cache, self.epoch, bytes.len(), &Hash::of(&[bytes]))
    }

    /// The cache's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.held.bytes()
    }

    /// Computes the pages of the epoch's dataset from `first` on, as many as `out` holds whole ones. About 100,000
    /// pages a second and core at epoch 450; parts may be made by as many threads as there are.
    pub fn fill_dataset(&self, first: u32, out: &mut [u8]) {
        let (rows, _) = out.as_chunks_mut::<{ size_of::<Row>() }>();
        let (pages, _) = rows.as_chunks_mut::<2>();
        self.way.fill(self.rows(), self.by, first, pages);
    }

    pub(super) fn of_shape(epoch: Epoch, shape: Shape) -> Self {
        let fill = |bytes: &mut [u8]| make(&epoch.seed(), bytes.as_chunks_mut().0);
        Self::with(epoch, shape, Held::made(shape.cache_bytes(), fill))
    }

    pub(super) fn from_file_of(
        epoch: Epoch,
        shape: Shape,
        file: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Self, FileFlaw> {
        let len = shape.cache_bytes();
        check(What::Cache, epoch, len, file.as_ref())?;
        Ok(Self::with(epoch, shape, Held::of_file(file, len)))
    }

    fn with(epoch: Epoch, shape: Shape, held: Held) -> Self {
        Self {
            epoch,
            held,
            by: Remainder::by(shape.rows),
            pages: Remainder::by(shape.pages),
            way: Way::detect(),
        }
    }

    fn rows(&self) -> &[Row] {
        self.bytes().as_chunks().0
    }
}

impl Prove for Cache {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn prove(&self, questions: &[Question], answers: &mut Vec<Answer>) {
        let source = Light {
            cache: self,
            rows: self.rows(),
        };
        answer_all(&source, questions, answers);
    }
}

/// Pages that are computed.
struct Light<'c> {
    cache: &'c Cache,
    rows: &'c [Row],
}

impl Pages for Light<'_> {
    fn count(&self) -> Remainder {
        self.cache.pages
    }

    fn pages<const N: usize>(&self, at: &[u32; N], pages: &mut [[Words; 2]; N]) {
        self.cache.way.pages(self.rows, self.cache.by, at, pages);
    }
}

fn make(seed: &Hash, rows: &mut [Row]) {
    let mut last = keccak512(&words(seed));
    for row in &mut *rows {
        *row = bytes_of(&last);
        last = keccak512(&last);
    }
    let count = rows.len();
    let Some(by) = u32::try_from(count).ok().filter(|count| 1 < *count) else {
        return;
    };
    let by = Remainder::by(by);
    let row = |rows: &[Row], at: usize| words_of(rows.get(at).unwrap_or(&[0; 64]));
    for _ in 0..ROUNDS {
        let mut before = row(rows, count - 1);
        for at in 0..count {
            // The first four bytes of the row as it was name the other.
            let named = (row(rows, at)[0] & 0xffff_ffff) as u32;
            let other = row(rows, by.of(named) as usize);
            let mut mixed = before;
            for (word, other) in mixed.iter_mut().zip(other) {
                *word ^= other;
            }
            before = keccak512(&mixed);
            if let Some(place) = rows.get_mut(at) {
                *place = bytes_of(&before);
            }
        }
    }
}

fn bytes_of(words: &Wide) -> Row {
    let mut row = [0; 64];
    for (bytes, word) in row.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    row
}

fn words_of(row: &Row) -> Wide {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(row.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}
