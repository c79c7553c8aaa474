//! The algorithm's main loop, for many questions in step, over whatever gives pages of the dataset.

use orebook_schema::Hash;
use orebook_schema::units::U256;

use super::keccak::{Wide, keccak256, keccak512, narrow, words};
use super::light::Remainder;
use super::{Answer, Epoch, Question, Words, fnv};

/// Pages that a question visits.
const ACCESSES: u32 = 64;
/// Questions that are asked in step at most: more wait longer and gain nothing.
pub const TOGETHER_MAX: usize = 16;

/// What answers questions of an epoch: a [`Cache`](super::Cache) or a whole [`Dataset`](super::Dataset).
pub trait Prove: Send + Sync {
    /// The epoch whose questions are answered.
    fn epoch(&self) -> Epoch;

    /// Appends the answers, in order: each the same as if it was asked alone.
    fn prove(&self, questions: &[Question], answers: &mut Vec<Answer>);
}

/// Appends the answers to questions of the cache's epoch, in order. With a cache sixteen together take about 2.5 times as
/// long as one alone.
pub fn prove(by: &(impl Prove + ?Sized), questions: &[Question], answers: &mut Vec<Answer>) {
    by.prove(questions, answers);
}

/// The value that the question has if its mix is this one. Above a target it refuses the claim for a microsecond of work;
/// at or below it the mix is still to be proven, since anybody can search for a mix that gives a small value.
#[must_use]
pub fn claimed_value(question: &Question, mix: &Hash) -> U256 {
    value(&start(question), &words(mix))
}

/// Pages of a dataset, by index.
pub(super) trait Pages {
    /// Indices are remainders by it.
    fn count(&self) -> Remainder;

    /// The pages at these indices.
    fn pages<const N: usize>(&self, at: &[u32; N], pages: &mut [[Words; 2]; N]);
}

/// Answers all questions, sixteen at a time; a lane is cheaper wasted than a question asked alone.
pub(super) fn answer_all(source: &impl Pages, questions: &[Question], answers: &mut Vec<Answer>) {
    for questions in questions.chunks(TOGETHER_MAX) {
        match questions.len() {
            0..=1 => answer::<1>(source, questions, answers),
            2 => answer::<2>(source, questions, answers),
            3..=4 => answer::<4>(source, questions, answers),
            5..=8 => answer::<8>(source, questions, answers),
            _ => answer::<TOGETHER_MAX>(source, questions, answers),
        }
    }
}

/// Answers up to N questions; lanes without one repeat the first.
fn answer<const N: usize>(source: &impl Pages, questions: &[Question], answers: &mut Vec<Answer>) {
    let Some(first) = questions.first() else {
        return;
    };
    let mut starts = [start(first); N];
    for (place, question) in starts.iter_mut().zip(questions) {
        *place = start(question);
    }
    let heads = starts.map(|start| narrow(&start));
    let mut mixes = heads.map(|head| [head, head]);
    for access in 0..ACCESSES {
        let word = access as usize % 32;
        let mut at = [0; N];
        for ((at, head), mix) in at.iter_mut().zip(&heads).zip(&mixes) {
            let named = mix.as_flattened().get(word).copied().unwrap_or_default();
            *at = source.count().of(fnv(access ^ head[0], named));
        }
        let mut pages = [[[0; 16]; 2]; N];
        source.pages(&at, &mut pages);
        for (mix, page) in mixes.iter_mut().zip(&pages) {
            let page = page.as_flattened();
            for (word, of_page) in mix.as_flattened_mut().iter_mut().zip(page) {
                *word = fnv(*word, *of_page);
            }
        }
    }
    for ((start, mix), _) in starts.iter().zip(&mixes).zip(questions) {
        let mix = compressed(mix);
        answers.push(Answer {
            mix,
            value: value(start, &words(&mix)),
        });
    }
}

/// Keccak-512 of the seal hash and the nonce.
fn start(question: &Question) -> Wide {
    let [a, b, c, d] = words(&question.seal);
    keccak512(&[a, b, c, d, question.nonce])
}

/// Each four words of the mix become one.
fn compressed(mix: &[Words; 2]) -> Hash {
    let mut hash = Hash::ZERO;
    let fours = mix.as_flattened().as_chunks::<4>().0;
    for (bytes, [a, b, c, d]) in hash.0.as_chunks_mut::<4>().0.iter_mut().zip(fours) {
        *bytes = fnv(fnv(fnv(*a, *b), *c), *d).to_le_bytes();
    }
    hash
}

fn value(start: &Wide, mix: &[u64; 4]) -> U256 {
    let mut message = [0; 12];
    let (head, tail) = message.split_at_mut(start.len());
    head.copy_from_slice(start);
    tail.copy_from_slice(mix);
    U256::from_be_bytes(keccak256(&message).0)
}
