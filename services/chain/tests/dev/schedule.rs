//! Any schedule of finding, losing, orphaning and reopening keeps the chain consistent; every block is verified again.

use orebook_chain::hash::{merkle_root, number, pow_hash, sha256d};
use orebook_chain::wire::{Block, HeaderFields, height_push};
use orebook_chain::{DevChain, SubmitAnswer};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{Hash, target_of_bits};
use proptest::prelude::*;

use crate::file::open;
use crate::growth::{OURS, THEIRS, Time, rejected, unknown};
use crate::mining::{Found, find};

#[derive(Clone, Debug)]
enum Step {
    /// We find a block on the newest template.
    Find,
    /// We find a block on the template of some steps ago.
    FindLate(usize),
    /// An old block is sent again.
    Again(usize),
    Foreign,
    Orphan(u64),
    Reorganise(u64),
    Reopen,
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Find),
        2 => (1..6_usize).prop_map(Step::FindLate),
        1 => (0..20_usize).prop_map(Step::Again),
        2 => Just(Step::Foreign),
        1 => (0..4_u64).prop_map(Step::Orphan),
        1 => (0..3_u64).prop_map(Step::Reorganise),
        1 => Just(Step::Reopen),
        3 => (1..60_u64).prop_map(Step::Pass),
    ]
}

/// Everything that must hold of a chain, looked at from outside.
fn check(chain: &DevChain, known: &[Hash]) -> Result<(), TestCaseError> {
    let tip = chain.tip();
    prop_assert_eq!(chain.hash_at(tip.height), Some(tip.hash));
    prop_assert_eq!(chain.hash_at(tip.height + 1), None);
    prop_assert_eq!(chain.hash_at(0), Some(chain.genesis()));
    let mut before = chain.genesis();
    for height in 1..=tip.height {
        let hash = chain.hash_at(height).expect("every height up to the tip");
        let header = chain.header(hash).expect("known");
        prop_assert_eq!((header.height, header.prev), (height, before));
        prop_assert_eq!(
            header.confirmations,
            i64::try_from(tip.height - height).expect("small") + 1
        );
        before = hash;
    }
    let template = chain.template();
    prop_assert_eq!((template.height, template.prev), (tip.height + 1, tip.hash));
    for hash in known {
        let header = chain
            .header(*hash)
            .expect("a block that was taken stays known");
        let on_best = chain.hash_at(header.height) == Some(*hash);
        prop_assert_eq!(on_best, 0 < header.confirmations);
        prop_assert!(on_best || header.confirmations == -1);
        verify(chain, *hash)?;
    }
    Ok(())
}

/// One block verified from its bytes alone, without the chain's own judgement.
fn verify(chain: &DevChain, hash: Hash) -> Result<(), TestCaseError> {
    let bytes = chain.block_bytes(hash).expect("known");
    let block = Block::read(&bytes).expect("a block");
    let fields = HeaderFields::read(&block.header);
    let target = target_of_bits(fields.nbits).expect("a target");
    prop_assert_eq!(sha256d(&block.header), hash);
    prop_assert!(number(pow_hash(&block.header, Algorithm::Sha256d).expect("built")) <= target);
    let txids: Vec<Hash> = block.transactions.iter().map(|tx| tx.txid).collect();
    prop_assert_eq!(
        merkle_root([&[block.coinbase.txid], txids.as_slice()].concat()),
        fields.root
    );
    let seen = chain.block(hash).expect("known");
    prop_assert!(
        block
            .coinbase
            .script_sig
            .starts_with(&height_push(seen.header.height))
    );
    let paid: u128 = seen.coinbase_outputs.iter().map(|(value, _)| value).sum();
    prop_assert_eq!(
        Some(paid),
        seen.subsidy
            .zip(seen.fees)
            .map(|(subsidy, fees)| subsidy + fees)
    );
    Ok(())
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let (folder, time) = (tempfile::tempdir().expect("a folder"), Time::new());
    let mut chain = open(folder.path(), &time).expect("a chain");
    let mut templates = vec![chain.template()];
    let mut known: Vec<Hash> = Vec::new();
    let mut founds: Vec<Found> = Vec::new();
    for (lot, step) in (0_u64..).zip(steps) {
        match step {
            Step::Find | Step::FindLate(_) => {
                let back = if let Step::FindLate(back) = step {
                    *back
                } else {
                    0
                };
                let template = if back == 0 {
                    chain.template()
                } else {
                    templates[templates.len().saturating_sub(back)].clone()
                };
                let found = find(&template, Algorithm::Sha256d, &OURS, lot);
                let before = chain.tip();
                match chain.submit(&found.bytes) {
                    SubmitAnswer::Accepted => prop_assert_eq!(chain.tip().hash, found.hash),
                    SubmitAnswer::Unknown(text) => {
                        prop_assert_eq!(text, "inconclusive");
                        prop_assert_eq!(chain.tip(), before);
                    }
                    SubmitAnswer::Rejected(text) => {
                        prop_assert_eq!(
                            text,
                            "bad-prevblk",
                            "only a parent that was orphaned on request is refused"
                        );
                        continue;
                    }
                }
                known.push(found.hash);
                founds.push(found);
            }
            Step::Again(index) if !founds.is_empty() => {
                let answer = chain.submit(&founds[index % founds.len()].bytes);
                prop_assert!(
                    answer == unknown("duplicate") || answer == rejected("duplicate-invalid"),
                    "{:?}",
                    answer
                );
            }
            Step::Again(_) => {}
            Step::Foreign => known.push(chain.mine(&THEIRS).expect("a block")),
            Step::Orphan(depth) => {
                let before = chain.tip();
                match chain.orphan_tip(*depth) {
                    Ok(_) if *depth == 0 => prop_assert_eq!(chain.tip(), before),
                    Ok(_) => prop_assert_ne!(chain.tip(), before),
                    Err(error) => prop_assert!(before.height < *depth, "{}", error),
                }
            }
            Step::Reorganise(depth) => match chain.reorganise(*depth) {
                Ok(branch) => {
                    prop_assert_eq!(Some(&chain.tip().hash), branch.last());
                    known.extend(branch);
                }
                Err(error) => prop_assert!(chain.tip().height < *depth, "{}", error),
            },
            Step::Reopen => {
                let before = chain.tip();
                drop(chain);
                chain = open(folder.path(), &time).expect("the chain");
                prop_assert_eq!(chain.tip(), before);
            }
            Step::Pass(seconds) => time.pass(*seconds),
        }
        templates.push(chain.template());
    }
    check(&chain, &known)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn any_schedule_keeps_heights_confirmations_and_proofs(steps in proptest::collection::vec(any_step(), 1..40)) {
        run(&steps)?;
    }
}
