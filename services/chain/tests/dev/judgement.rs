//! What the chain says of blocks that are wrong, late or known.

use orebook_chain::hash::{number, sha256d};
use orebook_chain::wire::HeaderFields;
use orebook_chain::{DevChain, SubmitAnswer, Template, TemplateFields};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{Hash, target_of_bits};

use crate::growth::{OURS, THEIRS, Time, easy_chain, grow, rejected, unknown};
use crate::mining::find;

/// A block changed in one respect, mined again where the change breaks its proof of work.
type Change = fn(&mut Vec<u8>, &Template, &Time) -> Vec<u8>;

/// Searches a nonce for changed header fields; the rest of the block stays.
fn remine(block: &[u8], change: impl Fn(&mut HeaderFields)) -> Vec<u8> {
    let header: [u8; 80] = block[..80].try_into().expect("a header");
    let mut fields = HeaderFields::read(&header);
    change(&mut fields);
    let target = target_of_bits(fields.nbits).expect("a target");
    loop {
        fields.nonce = fields.nonce.wrapping_add(1);
        let header = fields.bytes();
        if number(sha256d(&header)) <= target {
            return [header.as_slice(), &block[80..]].concat();
        }
    }
}

/// A block whose template was changed before mining.
fn refind(template: &Template, change: impl Fn(&mut TemplateFields)) -> Vec<u8> {
    let mut fields = (**template).clone();
    change(&mut fields);
    find(
        &Template::new(fields).expect("legal fields"),
        Algorithm::Sha256d,
        &OURS,
        1,
    )
    .bytes
}

/// The chain at a height whose template offers two transactions or more, one of them with a witness.
fn chain_with_offers() -> (DevChain, Time, Template) {
    let (chain, time) = easy_chain();
    loop {
        time.pass(10);
        let template = chain.template();
        if 2 <= template.transactions.len() {
            return (chain, time, template);
        }
        grow(&chain, &time, 1);
    }
}

#[test]
fn a_wrong_block_is_refused_in_a_nodes_words() {
    let table: Vec<(&str, Change)> = vec![
        ("high-hash", |block, _, _| {
            let target = target_of_bits(0x207f_ffff).expect("a target");
            let mut header = HeaderFields::read(&block[..80].try_into().expect("a header"));
            while number(sha256d(&header.bytes())) <= target {
                header.nonce += 1;
            }
            [header.bytes().as_slice(), &block[80..]].concat()
        }),
        ("bad-txnmrklroot", |block, _, _| {
            remine(block, |header| header.root = Hash::ZERO)
        }),
        ("prev-blk-not-found", |block, _, _| {
            remine(block, |header| header.prev = Hash([9; 32]))
        }),
        ("bad-diffbits", |block, _, _| {
            remine(block, |header| header.nbits -= 1)
        }),
        ("time-too-old", |block, template, _| {
            let time = template.mintime - 1;
            remine(block, |header| header.time = time)
        }),
        ("time-too-new", |block, _, time| {
            let late = u32::try_from(time.now() + 7_201).expect("32 bits");
            remine(block, |header| header.time = late)
        }),
        ("bad-cb-height", |_, template, _| {
            refind(template, |fields| fields.height += 1)
        }),
        ("bad-cb-amount", |_, template, _| {
            refind(template, |fields| fields.reward += 1)
        }),
        ("bad-txns-inputs-missingorspent", |_, template, _| {
            refind(template, |fields| {
                let twice = fields.transactions[0].clone();
                fields.fees += twice.fee;
                fields.transactions.push(twice);
            })
        }),
        ("bad-txns-inputs-missingorspent", |_, template, _| {
            refind(template, |fields| {
                let data = &mut fields.transactions[0].data;
                data[5] ^= 1;
                fields.transactions[0].txid = sha256d(data);
            })
        }),
        ("bad-witness-merkle-match", |_, template, _| {
            refind(template, |fields| {
                fields.witness_commitment.as_mut().expect("a commitment")[37] ^= 1
            })
        }),
        ("unexpected-witness", |_, template, _| {
            refind(template, |fields| fields.witness_commitment = None)
        }),
    ];
    for (expected, change) in table {
        let (chain, time, template) = chain_with_offers();
        let mut good = find(&template, Algorithm::Sha256d, &OURS, 0).bytes;
        let bad = change(&mut good, &template, &time);
        let before = chain.tip();
        assert_eq!(chain.submit(&bad), rejected(expected));
        assert_eq!(chain.tip(), before, "{expected}");
        assert_eq!(
            chain.submit(&good),
            SubmitAnswer::Accepted,
            "the good one still counts after {expected}"
        );
    }
}

#[test]
fn a_block_without_commitment_and_witness_is_good() {
    let (chain, time) = easy_chain();
    grow(&chain, &time, 2);
    let bytes = refind(&chain.template(), |fields| {
        fields.witness_commitment = None;
        fields.transactions.clear();
        fields.reward -= fields.fees;
        fields.fees = 0;
    });
    assert_eq!(chain.submit(&bytes), SubmitAnswer::Accepted);
}

#[test]
fn bytes_that_are_no_block_are_an_error() {
    let (chain, _time) = easy_chain();
    let good = find(&chain.template(), Algorithm::Sha256d, &OURS, 0).bytes;
    let longer = [good.as_slice(), &[0]].concat();
    for bytes in [&[] as &[u8], &[0; 80], &good[..good.len() - 1], &longer] {
        assert_eq!(
            chain.submit(bytes),
            rejected("error -22: Block decode failed")
        );
    }
}

#[test]
fn a_block_comes_once_and_the_second_of_a_height_loses() {
    let (chain, time) = easy_chain();
    grow(&chain, &time, 3);
    let template = chain.template();
    let first = find(&template, Algorithm::Sha256d, &OURS, 1);
    let second = find(&template, Algorithm::Sha256d, &THEIRS, 2);
    assert_eq!(chain.submit(&first.bytes), SubmitAnswer::Accepted);
    assert_eq!(chain.submit(&first.bytes), unknown("duplicate"));
    assert_eq!(chain.submit(&second.bytes), unknown("inconclusive"));
    assert_eq!(chain.submit(&second.bytes), unknown("duplicate"));
    assert_eq!(chain.tip().hash, first.hash);
    assert_eq!(
        chain.header(second.hash).map(|header| header.confirmations),
        Some(-1)
    );
}
