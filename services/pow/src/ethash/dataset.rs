//! All pages of an epoch's dataset at hand: 1 GiB at epoch 0, 4.5 GiB at epoch 450. A claim then costs 64 reads of memory.

use orebook_schema::Hash;

use super::epoch::{Epoch, PAGE_BYTES, Shape};
use super::hashimoto::{Pages, Prove, answer_all};
use super::kept::{FILE_HEADER_BYTES, FileFlaw, Held, What, check, header};
use super::light::Remainder;
use super::{Answer, Question, Row, Words, row_words};

/// The dataset of an epoch, as a file holds it. [`Cache::fill_dataset`](super::Cache::fill_dataset) makes its pages.
#[derive(Debug)]
pub struct Dataset {
    epoch: Epoch,
    held: Held,
    pages: Remainder,
}

impl Dataset {
    /// Takes a file, which should be mapped. All of it is read once: seconds from memory, longer from a disk.
    ///
    /// # Errors
    /// [`FileFlaw`]: it is not exactly this epoch's dataset; make it again.
    pub fn from_file(
        epoch: Epoch,
        file: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Self, FileFlaw> {
        Self::from_file_of(epoch, epoch.shape(), file)
    }

    /// What a file begins with whose content has this SHA-256; [`Epoch::dataset_bytes`] of content follow.
    #[must_use]
    pub fn file_header(epoch: Epoch, content: &Hash) -> [u8; FILE_HEADER_BYTES] {
        header(What::Dataset, epoch, epoch.shape().dataset_bytes(), content)
    }

    pub(super) fn from_file_of(
        epoch: Epoch,
        shape: Shape,
        file: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Self, FileFlaw> {
        let len = shape.dataset_bytes();
        check(What::Dataset, epoch, len, file.as_ref())?;
        Ok(Self {
            epoch,
            held: Held::of_file(file, len),
            pages: Remainder::by(shape.pages),
        })
    }
}

impl Prove for Dataset {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn prove(&self, questions: &[Question], answers: &mut Vec<Answer>) {
        let source = Full {
            count: self.pages,
            pages: self.held.bytes().as_chunks().0,
        };
        answer_all(&source, questions, answers);
    }
}

/// Pages that are looked up.
struct Full<'d> {
    count: Remainder,
    pages: &'d [[u8; PAGE_BYTES]],
}

impl Pages for Full<'_> {
    fn count(&self) -> Remainder {
        self.count
    }

    fn pages<const N: usize>(&self, at: &[u32; N], pages: &mut [[Words; 2]; N]) {
        for (page, at) in pages.iter_mut().zip(at) {
            let bytes = self.pages.get(*at as usize);
            let rows: &[Row] = bytes.map_or(&[], |bytes| bytes.as_chunks().0);
            *page = [row_words(rows, 0), row_words(rows, 1)];
        }
    }
}

#[cfg(test)]
mod tests {
    use orebook_schema::Hash;

    use super::Dataset;
    use crate::ethash::epoch::{PAGE_BYTES, Shape};
    use crate::ethash::kept::{FILE_HEADER_BYTES, FileFlaw, What, header};
    use crate::ethash::{Cache, Epoch, EpochRule, Prove as _, Question};

    /// 64 KiB of cache and 1 MiB of dataset, both prime as the real ones are.
    const SMALL: Shape = Shape {
        rows: 1_021,
        pages: 8_191,
    };

    fn epoch() -> Epoch {
        EpochRule::Ethash.epoch(90_000).expect("an epoch")
    }

    fn dataset_file(cache: &Cache) -> Vec<u8> {
        let mut content = vec![0; SMALL.dataset_bytes()];
        // In uneven parts, as threads would.
        let (first, second) = content.split_at_mut(1_234 * PAGE_BYTES);
        cache.fill_dataset(0, first);
        cache.fill_dataset(1_234, second);
        let hash = Hash::of(&[&content]);
        let mut file = header(What::Dataset, epoch(), content.len(), &hash).to_vec();
        file.extend(content);
        file
    }

    fn questions(count: u64) -> Vec<Question> {
        let question = |nonce: u64| Question {
            seal: Hash::of(&[&nonce.to_le_bytes()]),
            nonce: nonce.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        };
        (0..count).map(question).collect()
    }

    #[test]
    fn a_dataset_answers_as_its_cache_does() {
        let cache = Cache::of_shape(epoch(), SMALL);
        let dataset = Dataset::from_file_of(epoch(), SMALL, dataset_file(&cache)).expect("whole");
        let questions = questions(100);
        let (mut light, mut full) = (Vec::new(), Vec::new());
        cache.prove(&questions, &mut light);
        dataset.prove(&questions, &mut full);
        assert_eq!(light.len(), 100);
        assert_eq!(light, full);
    }

    #[test]
    fn a_cache_from_its_file_is_the_same_and_each_flaw_of_a_file_has_its_name() {
        let cache = Cache::of_shape(epoch(), SMALL);
        assert_eq!(cache.bytes().len(), SMALL.cache_bytes());
        let file = [&cache.file_header(), cache.bytes()].concat();
        let kept = Cache::from_file_of(epoch(), SMALL, file.clone()).expect("whole");
        assert_eq!(kept.bytes(), cache.bytes());
        assert_eq!(kept.epoch(), epoch());
        let other = EpochRule::Ethash.epoch(120_000).expect("an epoch");
        assert_eq!(
            Cache::from_file_of(other, SMALL, file.clone()).err(),
            Some(FileFlaw::Header)
        );
        assert_eq!(
            Dataset::from_file_of(epoch(), SMALL, dataset_file(&cache)[1..].to_vec()).err(),
            Some(FileFlaw::Length)
        );
        assert_eq!(
            Cache::from_file_of(epoch(), SMALL, file[..FILE_HEADER_BYTES - 1].to_vec()).err(),
            Some(FileFlaw::Length)
        );
        for at in [0, 8, 12, 16, 20, 24, 32, 96, 4_095] {
            let mut file = file.clone();
            file[at] ^= 1;
            let found = Cache::from_file_of(epoch(), SMALL, file).err();
            assert_eq!(found, Some(FileFlaw::Header), "byte {at}");
        }
        for at in [64, 95, 4_096, file.len() - 1] {
            let mut file = file.clone();
            file[at] ^= 0x80;
            let found = Cache::from_file_of(epoch(), SMALL, file).err();
            assert_eq!(found, Some(FileFlaw::Content), "byte {at}");
        }
    }
}
