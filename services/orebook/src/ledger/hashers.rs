//! Who hashes shares again: our own code, or for ethash and etchash the crate `ethash`, which shares no line with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use orebook_pow::ethash::{Answer, Cache, Epoch, Prove as _, Question};
use orebook_schema::Hash;
use orebook_schema::units::U256;

use super::work::{Claimed, Hashed, ethash_hashed};
use crate::Failure;

/// Caches that are held: a chain goes from one epoch to the next.
const CACHES_MAX: usize = 2;

/// Hashes claims of any kind, in parts on all cores.
pub(super) struct Hasher {
    oracle: bool,
    caches: BTreeMap<Epoch, Arc<OfEpoch>>,
}

/// What answers questions of an epoch.
enum OfEpoch {
    Ours(Cache),
    Oracle(Oracle),
}

impl OfEpoch {
    fn answers(&self, questions: &[Question]) -> Vec<Answer> {
        match self {
            Self::Ours(cache) => {
                let mut answers = Vec::with_capacity(questions.len());
                cache.prove(questions, &mut answers);
                answers
            }
            Self::Oracle(oracle) => questions.iter().map(|one| oracle.answer(one)).collect(),
        }
    }
}

impl Hasher {
    pub(super) const fn new(oracle: bool) -> Self {
        Self {
            oracle,
            caches: BTreeMap::new(),
        }
    }

    /// What each claim comes to, in order.
    pub(super) fn hash(&mut self, claims: &[&Claimed]) -> Result<Vec<Hashed>, Failure> {
        let mut caches = BTreeMap::new();
        for claim in claims {
            if let Claimed::Ethash(epoch, ..) = claim
                && !caches.contains_key(epoch)
            {
                caches.insert(*epoch, self.cache(*epoch));
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let part = claims.len().div_ceil(cores).max(1);
        let caches = &caches;
        let parts = std::thread::scope(|scope| {
            let spawn = |part| scope.spawn(move || hash_part(part, caches));
            let threads: Vec<_> = claims.chunks(part).map(spawn).collect();
            let ended = threads.into_iter().map(|thread| thread.join().ok());
            ended.collect::<Option<Vec<Vec<Hashed>>>>()
        });
        let hashed: Vec<Hashed> = parts.into_iter().flatten().flatten().collect();
        if hashed.len() == claims.len() {
            Ok(hashed)
        } else {
            Err(Failure::new("a thread that hashes shares ended"))
        }
    }

    /// The answer to one question.
    pub(super) fn answer(&mut self, epoch: Epoch, question: Question) -> Result<Answer, Failure> {
        let answers = self.cache(epoch).answers(&[question]);
        let answer = answers.first().copied();
        answer.ok_or_else(|| Failure::new("a question without an answer"))
    }

    fn cache(&mut self, epoch: Epoch) -> Arc<OfEpoch> {
        if let Some(cache) = self.caches.get(&epoch) {
            return Arc::clone(cache);
        }
        while CACHES_MAX <= self.caches.len() {
            self.caches.pop_first();
        }
        let made = Arc::new(match self.oracle {
            true => OfEpoch::Oracle(Oracle::of(epoch)),
            false => OfEpoch::Ours(Cache::build(epoch)),
        });
        self.caches.insert(epoch, Arc::clone(&made));
        made
    }
}

/// Runs of claims of one job, or of one epoch, are hashed together.
fn hash_part(claims: &[&Claimed], caches: &BTreeMap<Epoch, Arc<OfEpoch>>) -> Vec<Hashed> {
    let same = |a: &&Claimed, b: &&Claimed| match (a, b) {
        (Claimed::Header(a, _), Claimed::Header(b, _)) => Arc::ptr_eq(a, b),
        (Claimed::Ethash(a, ..), Claimed::Ethash(b, ..)) => a == b,
        _ => false,
    };
    let mut hashed = Vec::with_capacity(claims.len());
    for run in claims.chunk_by(same) {
        match run.first() {
            Some(Claimed::Header(job, _)) => {
                let claims = run.iter().filter_map(|claimed| match claimed {
                    Claimed::Header(_, claim) => Some(*claim),
                    Claimed::Ethash(..) => None,
                });
                let mut proofs = Vec::with_capacity(run.len());
                job.prove_batch(&claims.collect::<Vec<_>>(), &mut proofs);
                hashed.extend(proofs.iter().map(|proof| Hashed {
                    value: proof.value(),
                    name: proof.block_hash,
                }));
            }
            Some(Claimed::Ethash(epoch, ..)) => {
                let questions = run.iter().filter_map(|claimed| match claimed {
                    Claimed::Ethash(_, question, _) => Some(*question),
                    Claimed::Header(..) => None,
                });
                let questions: Vec<Question> = questions.collect();
                let answers = caches.get(epoch).map(|cache| cache.answers(&questions));
                let answers = answers.unwrap_or_default();
                let both = questions.iter().zip(&answers);
                hashed.extend(both.map(|(question, answer)| ethash_hashed(question, answer)));
            }
            None => {}
        }
    }
    hashed
}

/// The crate `ethash` 0.4.0 by its low-level functions: its `LightDAG` has the wrong seed after ECIP-1099. Its types of 2019
/// stay here.
struct Oracle {
    cache: Vec<u8>,
    dataset_bytes: usize,
}

impl Oracle {
    fn of(epoch: Epoch) -> Self {
        // Below 2,048 and 4,096.
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (size, rounds) = (number(epoch.size()), number(epoch.seed_rounds()));
        let mut cache = vec![0; ethash::get_cache_size(size)];
        ethash::make_cache(&mut cache, ethash::get_seedhash(rounds));
        Self {
            cache,
            dataset_bytes: ethash::get_full_size(size),
        }
    }

    fn answer(&self, question: &Question) -> Answer {
        let (mix, result) = ethash::hashimoto_light(
            question.seal.0.into(),
            question.nonce.to_be_bytes().into(),
            self.dataset_bytes,
            &self.cache,
        );
        Answer {
            mix: Hash(mix.to_fixed_bytes()),
            value: U256::from_be_bytes(result.to_fixed_bytes()),
        }
    }
}
