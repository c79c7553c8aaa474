//! Random batches, transactions, halts and write-offs.

use orebook_schema::dust::{DUST_ACCOUNTS_MAX, DustBook, InactiveDust};
use orebook_schema::payout::{
    Answerer, BATCH_LINES_MAX, BatchBody, BatchLine, DIGEST_ANSWERS_MAX, DigestAnswer, PAYOUT_MAX,
    PayoutCancelled, PayoutHalt, PayoutProposed, PayoutResume, PayoutSigned, PayoutStep,
    RAW_BYTES_MAX, Spends, Step, WriteOff,
};
use orebook_schema::reconciled::{Reconciled, Report};
use orebook_schema::{At, Event, Hash, Kind};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use crate::strategies::{account, at, edge_u64, edge_u128, hash, payout, reason};

fn payout_amount() -> impl Strategy<Value = u128> {
    edge_u128().prop_map(|amount| amount.min(PAYOUT_MAX))
}

fn proposed() -> impl Strategy<Value = PayoutProposed> {
    let who = "[!-~]{1,64}".prop_map(|text| Answerer::parse(&text).unwrap());
    let digests = (who, hash()).prop_map(|(who, digest)| DigestAnswer { who, digest });
    let sizes = (1..=u16::MAX, 1..=BATCH_LINES_MAX);
    let amounts = (
        payout_amount().prop_map(|total| total.max(1)),
        payout_amount(),
    );
    let digests = vec(digests, 1..=usize::from(DIGEST_ANSWERS_MAX));
    let of = (any::<u16>(), edge_u64(), at());
    let all = (of, sizes, amounts, hash(), edge_u64(), digests);
    all.prop_map(
        |(of, sizes, amounts, body, digest_position, digests)| PayoutProposed {
            wallet: of.0,
            batch: of.1,
            expects: of.2,
            txs: sizes.0,
            lines: sizes.1,
            total: amounts.0,
            fee: amounts.1,
            body,
            digest_position,
            digests,
        },
    )
}

fn tx_of() -> impl Strategy<Value = (u16, u64, u16, At)> {
    (any::<u16>(), edge_u64(), any::<u16>(), at())
}

fn signed() -> impl Strategy<Value = PayoutSigned> {
    let spends = vec(any::<u8>(), 1..=Spends::BYTES_MAX);
    let raw = prop_oneof![
        9 => vec(any::<u8>(), 0..400),
        1 => Just(vec![7; RAW_BYTES_MAX]),
    ];
    let all = (tx_of(), hash(), payout_amount(), spends, hash(), raw);
    all.prop_map(|(of, txid, fee, spends, body, raw)| PayoutSigned {
        wallet: of.0,
        batch: of.1,
        tx: of.2,
        expects: of.3,
        txid,
        fee,
        spends: Spends::new(&spends).unwrap(),
        body,
        raw,
    })
}

fn step() -> impl Strategy<Value = PayoutStep> {
    let block = hash().prop_map(|hash| {
        if hash == Hash::ZERO {
            Hash([1; 32])
        } else {
            hash
        }
    });
    let place = (edge_u64(), block, any::<bool>());
    let all = (
        tx_of(),
        select(&Step::ALL[..]),
        hash(),
        place,
        payout_amount(),
    );
    all.prop_map(|(of, step, txid, (height, block, is_mined), fee)| {
        let block = (is_mined || step.is_in_a_block()).then_some(block);
        PayoutStep {
            wallet: of.0,
            batch: of.1,
            tx: of.2,
            expects: of.3,
            step,
            txid,
            height: block.map_or(0, |_| height),
            block,
            fee: if step.is_in_a_block() { fee } else { 0 },
        }
    })
}

fn cancelled() -> impl Strategy<Value = PayoutCancelled> {
    let by = hash().prop_map(|hash| (hash != Hash::ZERO).then_some(hash));
    let by = prop_oneof![3 => by, 1 => Just(None)];
    let all = (tx_of(), by, edge_u64(), payout_amount(), reason());
    all.prop_map(|(of, by, height, fee, reason)| PayoutCancelled {
        wallet: of.0,
        batch: of.1,
        tx: of.2,
        expects: of.3,
        by,
        height: by.map_or(0, |_| height),
        fee: by.map_or(0, |_| fee),
        reason,
    })
}

/// A batch body of up to 30 lines and as many blocks.
pub(crate) fn batch_body() -> impl Strategy<Value = BatchBody> {
    let amounts = (1..=PAYOUT_MAX).prop_flat_map(|amount| (Just(amount), 0..amount));
    let lines = btree_map(account(), (payout(), amounts), 1..30);
    let blocks = btree_set(hash(), 0..30);
    (lines, blocks).prop_map(|(lines, blocks)| BatchBody {
        lines: lines
            .into_iter()
            .map(|(account, (address, (amount, fee)))| BatchLine {
                account,
                address,
                amount,
                fee,
            })
            .collect(),
        blocks: blocks.into_iter().collect(),
    })
}

fn dust() -> impl Strategy<Value = InactiveDust> {
    let accounts = btree_set(account(), 0..=DUST_ACCOUNTS_MAX);
    let all = (
        edge_u64(),
        select(&DustBook::ALL[..]),
        accounts,
        at(),
        reason(),
    );
    all.prop_map(|(cutoff, to, accounts, expects, reason)| InactiveDust {
        cutoff,
        to,
        accounts: accounts.into_iter().collect(),
        expects,
        reason,
    })
}

fn reconciled() -> impl Strategy<Value = Reconciled> {
    let of = (any::<u16>(), edge_u64(), hash(), edge_u128(), edge_u128());
    let counts = (any::<u32>(), any::<u32>());
    let report = prop_oneof![
        Just((0, String::new())),
        (1..=u32::MAX, "[ -~\n]{1,300}"),
        Just((u32::MAX, "~".repeat(Report::BYTES_MAX))),
    ];
    (of, counts, report).prop_map(|(of, counts, report)| Reconciled {
        wallet: of.0,
        compared_position: of.1,
        money: of.2,
        wallet_expected: of.3,
        wallet_found: of.4,
        transactions: counts.0,
        blocks: counts.1,
        differences: report.0,
        report: Report::parse(&report.1).expect("a report"),
    })
}

/// What the paymaster says, and the desk of it.
pub(crate) fn payout_event(kind: Kind) -> BoxedStrategy<Event> {
    match kind {
        Kind::PayoutProposed => proposed()
            .prop_map(|it| Event::PayoutProposed(Box::new(it)))
            .boxed(),
        Kind::PayoutSigned => signed()
            .prop_map(|it| Event::PayoutSigned(Box::new(it)))
            .boxed(),
        Kind::PayoutStep => step()
            .prop_map(|it| Event::PayoutStep(Box::new(it)))
            .boxed(),
        Kind::PayoutCancelled => cancelled()
            .prop_map(|it| Event::PayoutCancelled(Box::new(it)))
            .boxed(),
        Kind::PayoutHalt => (any::<u16>(), reason())
            .prop_map(|(wallet, reason)| Event::PayoutHalt(Box::new(PayoutHalt { wallet, reason })))
            .boxed(),
        Kind::PayoutResume => (any::<u16>(), at(), reason())
            .prop_map(|(wallet, expects, reason)| {
                Event::PayoutResume(Box::new(PayoutResume {
                    wallet,
                    expects,
                    reason,
                }))
            })
            .boxed(),
        Kind::InactiveDust => dust()
            .prop_map(|it| Event::InactiveDust(Box::new(it)))
            .boxed(),
        Kind::Reconciled => reconciled()
            .prop_map(|it| Event::Reconciled(Box::new(it)))
            .boxed(),
        _ => (account(), at(), reason())
            .prop_map(|(account, expects, reason)| {
                Event::WriteOff(Box::new(WriteOff {
                    account,
                    expects,
                    reason,
                }))
            })
            .boxed(),
    }
}
