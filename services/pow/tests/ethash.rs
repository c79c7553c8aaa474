//! Ethash and etchash against public vectors, real nodes' blocks, sizes of other implementations, and the crate `ethash`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use orebook_pow::ethash::{
    Answer, Cache, EPOCHS_MAX, Epoch, EpochRule, Prove as _, Question, TOGETHER_MAX, claimed_value,
    prove,
};
use orebook_schema::Hash;
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{U256, Work, WorkUnit, unhex};
use serde_json::Value;

const VECTORS: &str = include_str!("../../../tests/vectors/ethash.json");
const SIZES: &str = include_str!("../../../tests/vectors/ethash_sizes.json");

fn list<'v>(vectors: &'v Value, key: &str) -> &'v [Value] {
    vectors[key].as_array().expect("a list")
}

fn hash(value: &Value) -> Hash {
    let bytes = unhex(value.as_str().expect("text")).expect("hex");
    Hash(bytes.try_into().expect("32 bytes"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn question(case: &Value) -> Question {
    let nonce = case["nonce"].as_str().expect("text");
    Question {
        seal: hash(&case["header"]),
        nonce: u64::from_str_radix(nonce, 16).expect("eight bytes, big-endian"),
    }
}

fn answer(case: &Value) -> Answer {
    Answer {
        mix: hash(&case["mix"]),
        value: U256::from_be_bytes(hash(&case["result"]).0),
    }
}

fn rule(algorithm: Algorithm) -> EpochRule {
    EpochRule::of(algorithm).expect("it knows epochs")
}

fn epoch(algorithm: Algorithm, height: u64) -> Epoch {
    rule(algorithm).epoch(height).expect("a known epoch")
}

/// The cache of an epoch, made once for all tests of this file; tests of other epochs do not wait.
fn cache(epoch: Epoch) -> Arc<Cache> {
    type Places = BTreeMap<Epoch, Arc<OnceLock<Arc<Cache>>>>;
    static CACHES: Mutex<Places> = Mutex::new(BTreeMap::new());
    let place = Arc::clone(CACHES.lock().expect("no panic").entry(epoch).or_default());
    Arc::clone(place.get_or_init(|| Arc::new(Cache::build(epoch))))
}

/// Questions that nobody chose.
fn questions(seed: u64, count: usize) -> Vec<Question> {
    let question = |index: u64| {
        let Hash(bytes) = Hash::of(&[&seed.to_le_bytes(), &index.to_le_bytes()]);
        Question {
            seal: Hash::of(&[&bytes]),
            nonce: u64::from_le_bytes(*bytes.first_chunk().expect("32 bytes")),
        }
    };
    (0..).map(question).take(count).collect()
}

fn answers(cache: &Cache, questions: &[Question]) -> Vec<Answer> {
    let mut answers = Vec::new();
    prove(cache, questions, &mut answers);
    answers
}

/// Asks each case in its epoch, alone and with the others of its epoch.
fn assert_cases(algorithm: Algorithm, cases: &[&Value]) {
    let mut by_epoch: BTreeMap<Epoch, Vec<&Value>> = BTreeMap::new();
    for case in cases {
        let epoch = epoch(algorithm, number(&case["block"]));
        by_epoch.entry(epoch).or_default().push(case);
    }
    for (epoch, cases) in by_epoch {
        let cache = cache(epoch);
        let questions: Vec<Question> = cases.iter().map(|case| question(case)).collect();
        let together = answers(&cache, &questions);
        for ((case, question), together) in cases.iter().zip(&questions).zip(together) {
            assert_eq!(together, answer(case), "{case}");
            assert_eq!(answers(&cache, &[*question]), [answer(case)], "{case}");
            assert_eq!(claimed_value(question, &together.mix), together.value);
        }
    }
}

fn of_epochs(cases: &[Value], below: u64) -> (Vec<&Value>, Vec<&Value>) {
    cases
        .iter()
        .partition(|case| number(&case["block"]) < below)
}

#[test]
fn early_blocks_and_those_a_real_node_took_are_answered() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    let (early, _) = of_epochs(list(&vectors, "ethash"), 30_000);
    assert_eq!(early.len(), 2);
    assert_cases(Algorithm::Ethash, &early);
    let mined = list(&vectors, "private_chain_accepted_by_go_ethereum_1_10_26");
    assert_eq!(mined.len(), 3);
    assert_cases(Algorithm::Ethash, &mined.iter().collect::<Vec<_>>());
    for case in mined {
        let target = Work::new(number(&case["difficulty"])).expect("work");
        assert!(
            answer(case).value <= target.target(WorkUnit::Ethash),
            "{case}"
        );
    }
}

#[test]
fn blocks_of_the_main_net_are_answered() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    let (_, later) = of_epochs(list(&vectors, "ethash"), 30_000);
    assert_eq!(later.len(), 5);
    assert_cases(Algorithm::Ethash, &later);
}

#[test]
fn etchash_is_answered_before_at_and_after_its_fork() {
    let vectors: Value = serde_json::from_str(VECTORS).expect("JSON");
    let cases = list(&vectors, "etchash");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let epoch = epoch(Algorithm::Etchash, number(&case["block"]));
        let expected = (
            number(&case["size_epoch"]),
            number(&case["seed_hash_rounds"]),
        );
        let found = (u64::from(epoch.size()), u64::from(epoch.seed_rounds()));
        assert_eq!(found, expected, "{case}");
    }
    assert_cases(Algorithm::Etchash, &cases.iter().collect::<Vec<_>>());
}

#[test]
fn sizes_are_those_of_other_implementations() {
    let sizes: Value = serde_json::from_str(SIZES).expect("JSON");
    let rows = list(&sizes, "rows");
    assert_eq!(rows.len(), 15);
    for row in rows {
        let epoch = epoch(Algorithm::Ethash, number(&row["epoch"]) * 30_000);
        assert_eq!(epoch.cache_bytes(), number(&row["cache_bytes"]), "{row}");
        assert_eq!(epoch.dataset_bytes(), number(&row["full_bytes"]), "{row}");
    }
    // And the crate's, which tests primes in another way.
    for number in 0..EPOCHS_MAX {
        let epoch = epoch(Algorithm::Ethash, u64::from(number) * 30_000);
        let size = usize::try_from(number).expect("64 bits");
        let theirs = (ethash::get_cache_size(size), ethash::get_full_size(size));
        assert_eq!(
            (epoch.cache_bytes(), epoch.dataset_bytes()),
            (theirs.0 as u64, theirs.1 as u64),
            "epoch {number}"
        );
    }
}

#[test]
fn seeds_are_those_of_the_crate() {
    for (algorithm, height, rounds) in [
        (Algorithm::Ethash, 0, 0),
        (Algorithm::Ethash, 30_000, 1),
        (Algorithm::Ethash, 13_500_000, 450),
        (Algorithm::Etchash, 11_700_000, 390),
        (Algorithm::Etchash, 11_760_000, 392),
    ] {
        let seed = ethash::get_seedhash(rounds).to_fixed_bytes();
        assert_eq!(epoch(algorithm, height).seed(), Hash(seed), "{height}");
    }
}

/// What the crate says of a question, of an epoch whose cache it made itself.
struct Crate {
    cache: Vec<u8>,
    full_bytes: usize,
}

impl Crate {
    fn new(epoch: Epoch) -> Self {
        let size = usize::try_from(epoch.size()).expect("64 bits");
        let rounds = usize::try_from(epoch.seed_rounds()).expect("64 bits");
        let mut cache = vec![0; ethash::get_cache_size(size)];
        // Not its `LightDAG`, which has the wrong seed after the fork.
        ethash::make_cache(&mut cache, ethash::get_seedhash(rounds));
        Self {
            cache,
            full_bytes: ethash::get_full_size(size),
        }
    }

    fn answer(&self, question: &Question) -> Answer {
        let (mix, result) = ethash::hashimoto_light(
            question.seal.0.into(),
            question.nonce.to_be_bytes().into(),
            self.full_bytes,
            &self.cache,
        );
        Answer {
            mix: Hash(mix.to_fixed_bytes()),
            value: U256::from_be_bytes(result.to_fixed_bytes()),
        }
    }
}

#[test]
fn random_questions_have_the_answers_of_the_crate() {
    for (epoch, count) in [
        (epoch(Algorithm::Ethash, 0), 40),
        (epoch(Algorithm::Etchash, 11_700_000), 20),
    ] {
        let theirs = Crate::new(epoch);
        let ours = cache(epoch);
        assert_eq!(ours.epoch(), epoch);
        assert_eq!(ours.bytes(), theirs.cache, "{epoch:?}");
        let questions = questions(7, count);
        for (question, answer) in questions.iter().zip(answers(&ours, &questions)) {
            assert_eq!(answer, theirs.answer(question), "{epoch:?} {question:?}");
        }
    }
}

#[test]
fn any_number_together_is_answered_as_one_by_one() {
    let cache = cache(epoch(Algorithm::Ethash, 0));
    let questions = questions(9, TOGETHER_MAX * 2 + 1);
    let alone: Vec<Answer> = questions
        .iter()
        .flat_map(|question| answers(&cache, &[*question]))
        .collect();
    for count in 0..=questions.len() {
        // What the vector holds already stays.
        let mut together = vec![alone[0]];
        prove(&*cache, &questions[..count], &mut together);
        assert_eq!(together[1..], alone[..count], "{count} together");
    }
}

#[test]
fn a_wrong_mix_makes_another_value_and_the_right_one_the_answers() {
    let cache = cache(epoch(Algorithm::Ethash, 0));
    for question in questions(11, 20) {
        let answer = answers(&cache, &[question])[0];
        assert_eq!(claimed_value(&question, &answer.mix), answer.value);
        for byte in [0, 31] {
            let mut wrong = answer.mix;
            wrong.0[byte] ^= 1;
            assert_ne!(claimed_value(&question, &wrong), answer.value);
        }
        let other = Question {
            nonce: question.nonce ^ 1,
            ..question
        };
        assert_ne!(claimed_value(&other, &answer.mix), answer.value);
    }
}

#[test]
fn a_value_at_its_target_is_worth_its_work_and_one_above_is_not() {
    // floor(2^256 / w), exactly, also where the crate's boundary is one off (odd quotients).
    for (work, target) in [
        (1, U256::MAX),
        (2, U256::from(1) << 255),
        (3, U256::MAX / U256::from(3)),
        (7, U256::MAX / U256::from(7)),
        (1 << 40, U256::from(1) << 216),
    ] {
        let found = Work::new(work).expect("work").target(WorkUnit::Ethash);
        assert_eq!(found, target, "{work}");
    }
    assert_eq!(EpochRule::of(Algorithm::Scrypt), None);
}
