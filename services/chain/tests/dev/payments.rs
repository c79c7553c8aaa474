//! Coins of the chain are spent: what is refused, what is mined, what a reorganisation and a restart leave.

use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use k256::ecdsa::{Signature, SigningKey};
use orebook_chain::dev::TRANSACTION_BYTES_MAX;
use orebook_chain::hash::{hash160, sha256d};
use orebook_chain::{
    DevChain, DevCoin, DevPlace, DevRefusal, OutPoint, SubmitAnswer, Template, TemplateFields,
};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::Hash;

use crate::file::open;
use crate::growth::{OURS, THEIRS, Time, easy_chain, rejected};
use crate::mining::find;

const COIN: u64 = 5_000_000_000;

/// Whoever has a key.
pub(crate) struct Payer {
    key: SigningKey,
}

/// What is spent, with the amount and the sequence that are signed.
type Spent = (OutPoint, u64, u32);

/// A payment in the making; every field may be spoilt before it is signed.
#[derive(Clone)]
pub(crate) struct Draft {
    version: u32,
    inputs: Vec<Spent>,
    outputs: Vec<(u64, Vec<u8>)>,
    locktime: u32,
    sighash: u8,
}

fn size(len: usize) -> Vec<u8> {
    match u16::try_from(len).expect("a short list") {
        short @ 0..=0xfc => vec![u8::try_from(short).expect("small")],
        long => [&[0xfd], long.to_le_bytes().as_slice()].concat(),
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [size(bytes.len()).as_slice(), bytes].concat()
}

impl Draft {
    pub(crate) fn of(coins: &[DevCoin], outputs: &[(u64, &[u8])]) -> Self {
        let input = |coin: &DevCoin| (coin.out_point, coin.amount, 0xffff_fffd);
        let output = |(amount, script): &(u64, &[u8])| (*amount, script.to_vec());
        Self {
            version: 2,
            inputs: coins.iter().map(input).collect(),
            outputs: outputs.iter().map(output).collect(),
            locktime: 0,
            sighash: 1,
        }
    }

    fn written_outputs(&self) -> Vec<u8> {
        let one = |(amount, script): &(u64, Vec<u8>)| {
            [amount.to_le_bytes().as_slice(), &sized(script)].concat()
        };
        self.outputs.iter().flat_map(one).collect()
    }
}

impl Payer {
    pub(crate) fn new(seed: u8) -> Self {
        let key = SigningKey::from_slice(&[seed; 32]).expect("a key");
        Self { key }
    }

    fn public(&self) -> Vec<u8> {
        self.key.verifying_key().to_sec1_bytes().to_vec()
    }

    /// P2WPKH.
    pub(crate) fn script(&self) -> Vec<u8> {
        [&[0, 20], hash160(&self.public()).as_slice()].concat()
    }

    /// P2PKH.
    fn old_script(&self) -> Vec<u8> {
        let hash = hash160(&self.public());
        [&[0x76, 0xa9, 20], hash.as_slice(), &[0x88, 0xac]].concat()
    }

    fn sign(&self, preimage: &[u8], sighash: u8) -> Vec<u8> {
        let digest = sha256d(preimage);
        let signature: Signature = self.key.sign_prehash(&digest.0).expect("signed");
        [signature.to_der().as_bytes(), &[sighash]].concat()
    }

    /// With witnesses (BIP143).
    pub(crate) fn pay(&self, draft: &Draft) -> Vec<u8> {
        let each = |of: &dyn Fn(&Spent) -> Vec<u8>| -> Vec<u8> {
            draft.inputs.iter().flat_map(of).collect()
        };
        let points = sha256d(&each(&|input| input.0.to_vec()));
        let sequences = sha256d(&each(&|input| input.2.to_le_bytes().to_vec()));
        let outputs = sha256d(&draft.written_outputs());
        let witness = |(point, amount, sequence): &Spent| -> Vec<u8> {
            let preimage = [
                &draft.version.to_le_bytes(),
                points.0.as_slice(),
                &sequences.0,
                point,
                &sized(&self.old_script()),
                &amount.to_le_bytes(),
                &sequence.to_le_bytes(),
                &outputs.0,
                &draft.locktime.to_le_bytes(),
                &u32::from(draft.sighash).to_le_bytes(),
            ];
            let signature = self.sign(&preimage.concat(), draft.sighash);
            [vec![2], sized(&signature), sized(&self.public())].concat()
        };
        let inputs = each(&|(point, _, sequence)| {
            [point.as_slice(), &[0], &sequence.to_le_bytes()].concat()
        });
        let witnesses = each(&witness);
        [
            draft.version.to_le_bytes().as_slice(),
            &[0, 1],
            &size(draft.inputs.len()),
            &inputs,
            &size(draft.outputs.len()),
            &draft.written_outputs(),
            &witnesses,
            &draft.locktime.to_le_bytes(),
        ]
        .concat()
    }

    /// One input, of the days before witnesses.
    fn pay_old(&self, draft: &Draft) -> Vec<u8> {
        let (point, _, sequence) = draft.inputs[0];
        let with = |script: &[u8]| {
            [
                draft.version.to_le_bytes().as_slice(),
                &[1],
                &point,
                &sized(script),
                &sequence.to_le_bytes(),
                &size(draft.outputs.len()),
                &draft.written_outputs(),
                &draft.locktime.to_le_bytes(),
            ]
            .concat()
        };
        let preimage = [with(&self.old_script()).as_slice(), &[1, 0, 0, 0]].concat();
        let signature = self.sign(&preimage, 1);
        with(&[sized(&signature), sized(&self.public())].concat())
    }
}

pub(crate) fn mine_to(chain: &DevChain, time: &Time, script: &[u8], blocks: u64) -> Vec<Hash> {
    let mine = |lot| {
        time.pass(10);
        let found = find(&chain.template(), Algorithm::Sha256d, script, lot);
        assert_eq!(chain.submit(&found.bytes), SubmitAnswer::Accepted);
        found.hash
    };
    (0..blocks).map(mine).collect()
}

/// Two coinbases of the payer's that the next block may spend, and one that it may not.
pub(crate) fn funded() -> (DevChain, Time, Payer) {
    let (chain, time) = easy_chain();
    let payer = Payer::new(7);
    mine_to(&chain, &time, &payer.script(), 2);
    mine_to(&chain, &time, &OURS, 3);
    mine_to(&chain, &time, &payer.script(), 1);
    (chain, time, payer)
}

fn coins(chain: &DevChain, payer: &Payer) -> Vec<DevCoin> {
    let mut coins = chain.unspent(&payer.script());
    coins.sort_by_key(|coin| coin.height);
    coins
}

fn refused(chain: &DevChain, raw: &[u8]) -> &'static str {
    match chain.submit_transaction(raw) {
        Err(DevRefusal::Refused(reason)) => reason,
        Err(DevRefusal::Undecodable) => "undecodable",
        other => panic!("{other:?}"),
    }
}

fn out_point(txid: Hash, index: u32) -> OutPoint {
    let bytes = [txid.0.as_slice(), &index.to_le_bytes()].concat();
    bytes.try_into().expect("36 bytes")
}

#[test]
fn a_wrong_payment_is_refused_by_name_and_nothing_waits() {
    let (chain, _, payer) = funded();
    let coins = coins(&chain, &payer);
    let good = Draft::of(&coins[..1], &[(coins[0].amount - 1_000, &THEIRS)]);
    let other = Payer::new(8);
    type Spoil = fn(&mut Draft);
    let drafts: [(&str, Spoil); 12] = [
        ("bad-txns-vout-empty", |draft| draft.outputs.clear()),
        ("bad-txns-txouttotal-toolarge", |draft| {
            draft.outputs[0].0 = u64::MAX
        }),
        ("bad-txns-inputs-duplicate", |draft| {
            draft.inputs.push(draft.inputs[0])
        }),
        ("bad-txns-prevout-null", |draft| {
            draft.inputs[0].0 = out_point(Hash::ZERO, u32::MAX)
        }),
        ("non-final", |draft| draft.locktime = 7),
        ("non-BIP68-final", |draft| draft.inputs[0].2 = 1),
        ("scriptpubkey", |draft| draft.outputs[0].1 = vec![0x51]),
        ("dust", |draft| {
            draft.outputs[0].0 -= 293;
            draft.outputs.push((293, THEIRS.to_vec()));
        }),
        ("bad-txns-inputs-missingorspent", |draft| {
            draft.inputs[0].0[35] ^= 1
        }),
        ("bad-txns-in-belowout", |draft| draft.outputs[0].0 += 1_001),
        ("min relay fee not met", |draft| draft.outputs[0].0 += 900),
        ("mandatory-script-verify-flag-failed", |draft| {
            draft.sighash = 2
        }),
    ];
    for (reason, spoil) in drafts {
        let mut draft = good.clone();
        spoil(&mut draft);
        assert_eq!(refused(&chain, &payer.pay(&draft)), reason);
    }
    let mut amount = good.clone();
    amount.inputs[0].1 += 1;
    let premature = Draft::of(&coins[2..], &[(coins[2].amount - 1_000, &THEIRS)]);
    let mut large = good.clone();
    large.outputs = vec![(546, payer.old_script()); TRANSACTION_BYTES_MAX / 33];
    let raw = payer.pay(&good);
    let mut broken = raw.clone();
    // Within the signature, before the key.
    let at = raw.len() - 4 - 34 - 10;
    broken[at] ^= 1;
    for (reason, raw) in [
        ("mandatory-script-verify-flag-failed", payer.pay(&amount)),
        ("mandatory-script-verify-flag-failed", other.pay(&good)),
        ("mandatory-script-verify-flag-failed", payer.pay_old(&good)),
        ("mandatory-script-verify-flag-failed", broken),
        (
            "bad-txns-premature-spend-of-coinbase",
            payer.pay(&premature),
        ),
        ("tx-size", payer.pay(&large)),
        ("undecodable", raw[..raw.len() - 1].to_vec()),
        ("undecodable", [raw.as_slice(), &[0]].concat()),
        ("undecodable", Vec::new()),
    ] {
        assert_eq!(refused(&chain, &raw), reason);
    }
    assert_eq!(chain.spender(&coins[0].out_point), None);
    chain.submit_transaction(&raw).expect("the good one");
}

#[test]
fn coins_of_a_script_that_nobody_checks_stay_where_they_are() {
    let (chain, time) = easy_chain();
    let payer = Payer::new(7);
    let script = [&[0, 32], [3; 32].as_slice()].concat();
    mine_to(&chain, &time, &script, 6);
    let coin = chain.unspent(&script)[0];
    let draft = Draft::of(&[coin], &[(COIN - 1_000, &THEIRS)]);
    assert_eq!(
        refused(&chain, &payer.pay(&draft)),
        "bad-txns-nonstandard-inputs"
    );
}

#[test]
fn a_payment_waits_is_mined_and_gives_its_change_back() {
    let (chain, time, payer) = funded();
    let before = coins(&chain, &payer);
    assert_eq!(
        before.iter().map(|coin| coin.is_mature).collect::<Vec<_>>(),
        [true, true, false]
    );
    let change = before[0].amount + before[1].amount - 70_000_000 - 2_000;
    let draft = Draft::of(
        &before[..2],
        &[(70_000_000, &THEIRS), (change, &payer.script())],
    );
    let raw = payer.pay(&draft);
    let (source, _) = before[0].out_point.split_at(32);
    let source = Hash(source.try_into().expect("32 bytes"));
    let coinbase = chain.transaction(source).expect("a coinbase");
    let read = orebook_chain::wire::coinbase(&coinbase.raw).expect("its bytes");
    assert_eq!((read.txid, coinbase.fee), (source, 0));
    let txid = chain.submit_transaction(&raw).expect("taken");
    assert_eq!(refused(&chain, &raw), "txn-already-in-mempool");
    let found = chain.transaction(txid).expect("it waits");
    assert_eq!((found.place, found.fee), (DevPlace::Pool, 2_000));
    assert_eq!(found.raw, raw);
    assert_eq!(chain.spender(&before[0].out_point), Some(txid));
    assert_eq!(coins(&chain, &payer)[0].pool_spender, Some(txid));
    assert_eq!(chain.balance(&THEIRS).mature, 0, "nothing is mined yet");
    // Its change can be spent before it is mined.
    let child = Draft {
        inputs: vec![(out_point(txid, 1), change, 0xffff_fffd)],
        ..Draft::of(&[], &[(change - 3_000, &payer.old_script())])
    };
    let child = chain.submit_transaction(&payer.pay(&child)).expect("taken");
    let template = chain.template();
    let ids: Vec<Hash> = template.transactions.iter().map(|tx| tx.txid).collect();
    assert_eq!(ids[ids.len() - 2..], [txid, child]);
    assert_eq!(template.reward, COIN + template.fees);
    let block = mine_to(&chain, &time, &OURS, 1)[0];
    let place = |confirmations| DevPlace::Block {
        hash: block,
        height: 7,
        confirmations,
    };
    assert_eq!(chain.transaction(txid).expect("mined").place, place(1));
    assert_eq!(refused(&chain, &raw), "txn-already-known");
    assert_eq!(chain.spender(&before[1].out_point), Some(txid));
    assert_eq!(chain.balance(&THEIRS).mature, 70_000_000);
    assert_eq!(coins(&chain, &payer).len(), 1, "both coins are spent");
    // A coin of the days before witnesses is spent too.
    let old = chain.unspent(&payer.old_script());
    assert_eq!(old.len(), 1);
    assert_eq!((old[0].amount, old[0].is_coinbase), (change - 3_000, false));
    let draft = Draft::of(&old, &[(old[0].amount - 500, &THEIRS)]);
    let mut spoilt = payer.pay_old(&draft);
    let last = spoilt.len() - 5;
    spoilt[last] ^= 1;
    assert_eq!(
        refused(&chain, &spoilt),
        "mandatory-script-verify-flag-failed"
    );
    let old = chain
        .submit_transaction(&payer.pay_old(&draft))
        .expect("taken");
    mine_to(&chain, &time, &OURS, 2);
    assert_eq!(chain.transaction(txid).expect("mined").place, place(3));
    assert!(chain.transaction(old).is_some());
    assert_eq!(chain.balance(&payer.old_script()).mature, 0);
}

#[test]
fn of_two_payments_that_spend_the_same_the_first_stays_unless_the_second_pays_for_both() {
    let (chain, time, payer) = funded();
    let own = coins(&chain, &payer);
    let amount = own[0].amount;
    let pay = |fee: u64, script: &[u8]| payer.pay(&Draft::of(&own[..1], &[(amount - fee, script)]));
    let first = chain
        .submit_transaction(&pay(1_000, &THEIRS))
        .expect("taken");
    let child = Draft {
        inputs: vec![(out_point(first, 0), amount - 1_000, 0)],
        ..Draft::of(&[], &[(amount - 2_000, &OURS)])
    };
    assert_eq!(
        refused(&chain, &payer.pay(&child)),
        "mandatory-script-verify-flag-failed",
        "the coin is theirs"
    );
    for fee in [999, 1_001, 1_050] {
        assert_eq!(refused(&chain, &pay(fee, &OURS)), "insufficient fee");
    }
    assert_eq!(chain.spender(&own[0].out_point), Some(first));
    let second = chain.submit_transaction(&pay(2_000, &OURS)).expect("taken");
    assert_eq!(chain.transaction(first), None, "it was replaced");
    assert_eq!(chain.spender(&own[0].out_point), Some(second));
    mine_to(&chain, &time, &THEIRS, 1);
    assert_eq!(
        refused(&chain, &pay(9_000, &THEIRS)),
        "bad-txns-inputs-missingorspent"
    );
}

#[test]
fn a_reorganisation_gives_payments_back_and_they_are_mined_again() {
    let (chain, time, payer) = funded();
    let own = coins(&chain, &payer);
    let draft = Draft::of(&own[..1], &[(own[0].amount - 1_000, &OURS)]);
    let txid = chain.submit_transaction(&payer.pay(&draft)).expect("taken");
    let had = chain.balance(&OURS).mature;
    mine_to(&chain, &time, &THEIRS, 1);
    assert_ne!(chain.balance(&OURS).mature, had);
    let mined_in = chain.tip().hash;
    let branch = chain.reorganise(1).expect("mined");
    assert_eq!(
        chain.transaction(txid).expect("it waits").place,
        DevPlace::Pool
    );
    assert!(chain.unspent(&payer.script()).contains(&DevCoin {
        confirmations: own[0].confirmations + u64::try_from(branch.len()).expect("few"),
        pool_spender: Some(txid),
        ..own[0]
    }));
    mine_to(&chain, &time, &THEIRS, 1);
    let place = chain.transaction(txid).expect("mined").place;
    let DevPlace::Block { hash, .. } = place else {
        panic!("it is mined again: {place:?}");
    };
    assert_ne!(hash, mined_in);
    // Down to where its coin is not mature: what it spends cannot be spent, so it waits no more.
    let depth = chain.tip().height - 4;
    chain.orphan_tip(depth).expect("long enough");
    assert_eq!(chain.transaction(txid), None);
    assert_eq!(
        refused(&chain, &payer.pay(&draft)),
        "bad-txns-premature-spend-of-coinbase"
    );
    // And up again by its own blocks, where another spends the coin: it does not come back.
    mine_to(&chain, &time, &THEIRS, 2);
    let rival = Draft::of(&own[..1], &[(own[0].amount - 5_000, &THEIRS)]);
    let rival = chain.submit_transaction(&payer.pay(&rival)).expect("taken");
    mine_to(&chain, &time, &THEIRS, 1);
    assert_eq!(chain.spender(&own[0].out_point), Some(rival));
    assert_eq!(
        refused(&chain, &payer.pay(&draft)),
        "bad-txns-inputs-missingorspent"
    );
}

#[test]
fn a_block_is_judged_by_what_its_own_branch_has_spent() {
    let (chain, time, payer) = funded();
    let own = coins(&chain, &payer);
    let pay = |to: &[u8]| payer.pay(&Draft::of(&own[..1], &[(own[0].amount - 1_000, to)]));
    // Two templates on one parent, each with another payment of the same coin.
    chain.submit_transaction(&pay(&OURS)).expect("taken");
    time.pass(10);
    let first = chain.template();
    let with = |template: &Template, raw: Vec<u8>| {
        let mut fields: TemplateFields = (**template).clone();
        let mut ours = fields.transactions.pop().expect("the payment");
        fields.fees -= ours.fee;
        fields.reward -= ours.fee;
        fields.witness_commitment = None;
        fields.transactions.clear();
        fields.reward -= fields.fees;
        fields.fees = 0;
        // Without witness it has no signature, and so needs none to commit to.
        ours.txid = sha256d(&raw);
        ours.data = raw;
        ours.fee = 0;
        fields.transactions.push(ours);
        Template::new(fields).expect("legal fields")
    };
    let unsigned = {
        let draft = Draft::of(&own[..1], &[(own[0].amount - 1_000, &THEIRS)]);
        payer.pay_old(&draft)
    };
    let bad = find(&with(&first, unsigned), Algorithm::Sha256d, &OURS, 3);
    assert_eq!(
        chain.submit(&bad.bytes),
        rejected("mandatory-script-verify-flag-failed")
    );
    let good = find(&first, Algorithm::Sha256d, &THEIRS, 4);
    assert_eq!(chain.submit(&good.bytes), SubmitAnswer::Accepted);
    // The same payment stands on a second block of the same height, and is refused on top of either.
    let rival = find(&first, Algorithm::Sha256d, &OURS, 5);
    assert_eq!(
        chain.submit(&rival.bytes),
        SubmitAnswer::Unknown("inconclusive".to_owned())
    );
    time.pass(10);
    let next = chain.template();
    let payment = first.transactions.last().expect("the payment").clone();
    let mut fields: TemplateFields = (*next).clone();
    fields.transactions = vec![payment.clone()];
    fields.fees = payment.fee;
    fields.reward = COIN + payment.fee;
    for parent in [good.hash, rival.hash] {
        let on = TemplateFields {
            prev: parent,
            ..fields.clone()
        };
        let twice = find(
            &Template::new(on).expect("legal fields"),
            Algorithm::Sha256d,
            &OURS,
            6,
        );
        assert_eq!(
            chain.submit(&twice.bytes),
            rejected("bad-txns-inputs-missingorspent")
        );
    }
}

#[test]
fn a_restart_keeps_what_waits_and_what_was_mined() {
    let (folder, time) = (tempfile::tempdir().expect("a folder"), Time::new());
    let payer = Payer::new(7);
    let chain = open(folder.path(), &time).expect("a chain");
    mine_to(&chain, &time, &payer.script(), 7);
    let own = coins(&chain, &payer);
    let pay = |coin: usize, fee: u64| {
        let draft = Draft::of(&own[coin..=coin], &[(own[coin].amount - fee, &OURS)]);
        payer.pay(&draft)
    };
    let mined = chain.submit_transaction(&pay(0, 1_000)).expect("taken");
    mine_to(&chain, &time, &THEIRS, 1);
    let replaced = chain.submit_transaction(&pay(1, 1_000)).expect("taken");
    let waits = chain.submit_transaction(&pay(1, 5_000)).expect("taken");
    let (place, balance) = (chain.transaction(mined), chain.balance(&OURS));
    drop(chain);
    let chain = open(folder.path(), &time).expect("the chain");
    assert_eq!(chain.transaction(mined), place);
    assert_eq!(chain.transaction(replaced), None);
    assert_eq!(
        chain.transaction(waits).map(|waits| waits.place),
        Some(DevPlace::Pool)
    );
    assert_eq!(chain.balance(&OURS), balance);
    chain.orphan_tip(1).expect("long enough");
    drop(chain);
    let chain = open(folder.path(), &time).expect("the chain");
    for txid in [mined, waits] {
        assert_eq!(
            chain.transaction(txid).map(|found| found.place),
            Some(DevPlace::Pool)
        );
    }
    mine_to(&chain, &time, &THEIRS, 1);
    let total = u128::from(own[0].amount + own[1].amount - 6_000);
    assert_eq!(chain.balance(&OURS).mature, total);
}
