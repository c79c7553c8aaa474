//! The rules, as tables: what is final, what the chain shows, what is said.

use orebook_schema::work::BlockState::{self, Confirmed, Immature, Orphaned, Seen, Uncle};
use orebook_schema::{At, Hash};
use orebook_settler::book::{Depths, Obeyed, OurBlock};
use orebook_settler::decide::{Pay, Sight, decide, next_state};

const PAY: Pay = Pay {
    value: 500,
    fees: 20,
};
const AT: At = At {
    position: 17,
    index: 2,
};

fn block(state: Option<BlockState>) -> OurBlock {
    OurBlock {
        hash: Hash([7; 32]),
        height: 40,
        coinbase_txid: Hash([8; 32]),
        job_fees: Some(20),
        is_direct: false,
        is_found: true,
        depths: Depths {
            immature: 2,
            confirmed: 5,
            orphan: 3,
        },
        obeyed: state.map(|state| Obeyed {
            at: AT,
            state,
            value: 500,
            fees: 20,
            is_uncle: state == Uncle,
        }),
    }
}

const fn ours(on_top: u64) -> Sight {
    Sight::Ours {
        height: 40,
        on_top,
        pay: Some(PAY),
    }
}

const fn other(on_top: u64) -> Sight {
    Sight::Other { on_top }
}

#[test]
fn a_state_follows_from_the_last_one_and_the_sight() {
    let all = [
        None,
        Some(Seen),
        Some(Immature),
        Some(Confirmed),
        Some(Orphaned),
    ];
    let rows: [(Sight, [Option<BlockState>; 5]); 11] = [
        // Of                    none        seen             immature         confirmed        orphaned
        (ours(0), [Some(Seen), None, None, None, None]),
        (ours(1), [Some(Seen), None, None, None, None]),
        (
            ours(2),
            [Some(Seen), Some(Immature), None, None, Some(Immature)],
        ),
        (
            ours(4),
            [Some(Seen), Some(Immature), None, None, Some(Immature)],
        ),
        (
            ours(5),
            [
                Some(Seen),
                Some(Immature),
                Some(Confirmed),
                None,
                Some(Immature),
            ],
        ),
        (
            ours(u64::MAX),
            [
                Some(Seen),
                Some(Immature),
                Some(Confirmed),
                None,
                Some(Immature),
            ],
        ),
        (other(0), [None; 5]),
        (other(2), [None; 5]),
        (
            other(3),
            [
                Some(Orphaned),
                Some(Orphaned),
                Some(Orphaned),
                Some(Orphaned),
                None,
            ],
        ),
        (
            other(u64::MAX),
            [
                Some(Orphaned),
                Some(Orphaned),
                Some(Orphaned),
                Some(Orphaned),
                None,
            ],
        ),
        (Sight::Unknown, [None; 5]),
    ];
    for (sight, expected) in rows {
        for (state, expected) in all.into_iter().zip(expected) {
            let block = block(state);
            assert_eq!(next_state(&block, &sight), expected, "{state:?}, {sight:?}");
            let said = decide(&block, &sight);
            assert_eq!(
                said.map(|said| said.state),
                expected,
                "{state:?}, {sight:?}"
            );
            if let Some(said) = said {
                let last = state.map(|_| AT).unwrap_or_default();
                assert_eq!(
                    (said.hash, said.expects, said.height),
                    (block.hash, last, 40)
                );
            }
        }
    }
}

#[test]
fn a_status_says_what_the_chain_pays_and_an_orphan_what_it_would_have_paid() {
    let pay = |state, sight: &Sight| {
        let mut block = block(state);
        if let Some(obeyed) = &mut block.obeyed {
            (obeyed.value, obeyed.fees) = (400, 10);
        }
        decide(&block, sight).map(|it| (it.value, it.fees))
    };
    assert_eq!(pay(None, &ours(0)), Some((500, 20)));
    assert_eq!(pay(Some(Orphaned), &ours(2)), Some((500, 20)));
    assert_eq!(pay(Some(Confirmed), &other(3)), Some((400, 10)));
    assert_eq!(pay(None, &other(3)), Some((0, 0)));
    let too_much = Sight::Ours {
        height: 40,
        on_top: 0,
        pay: Some(Pay { value: 5, fees: 6 }),
    };
    assert_eq!(pay(None, &too_much), Some((5, 5)));
}

#[test]
fn a_block_whose_pay_is_not_known_is_not_spoken_of() {
    let unpaid = Sight::Ours {
        height: 40,
        on_top: 9,
        pay: None,
    };
    for state in [None, Some(Seen), Some(Immature), Some(Orphaned)] {
        assert!(next_state(&block(state), &unpaid).is_some());
        assert_eq!(decide(&block(state), &unpaid), None);
    }
}

#[test]
fn the_height_of_a_status_is_the_chain_s() {
    let sight = Sight::Ours {
        height: 41,
        on_top: 0,
        pay: Some(PAY),
    };
    assert_eq!(decide(&block(None), &sight).map(|it| it.height), Some(41));
}

/// An ethash-like's block that paid 500 as what it was last said to be.
fn said(state: BlockState, is_uncle: bool) -> OurBlock {
    let mut block = block(Some(state));
    if let Some(obeyed) = &mut block.obeyed {
        obeyed.is_uncle = is_uncle;
    }
    block
}

const fn paying(on_top: u64, value: u128) -> Sight {
    let pay = Some(Pay { value, fees: 0 });
    Sight::Ours {
        height: 40,
        on_top,
        pay,
    }
}

const fn uncle(on_top: u64, value: u128) -> Sight {
    let pay = Some(Pay { value, fees: 0 });
    Sight::Uncle { on_top, pay }
}

/// Immature from 2, confirmed from 5, orphaned from 3.
#[test]
fn a_block_and_an_uncle_turn_into_each_other_and_values_grow() {
    for (last, sight, next) in [
        // It was never said to be anything.
        (None, uncle(1, 437), None),
        (None, uncle(2, 437), Some(Uncle)),
        (Some((Seen, false)), uncle(1, 437), None),
        (Some((Seen, false)), uncle(2, 437), Some(Uncle)),
        (Some((Orphaned, false)), uncle(1, 437), None),
        (Some((Orphaned, false)), uncle(2, 437), Some(Uncle)),
        // A block turns into an uncle, and the other way round.
        (Some((Immature, false)), uncle(1, 437), None),
        (Some((Immature, false)), uncle(2, 437), Some(Uncle)),
        (Some((Immature, false)), uncle(9, 437), Some(Uncle)),
        (Some((Confirmed, false)), uncle(1, 437), None),
        (Some((Confirmed, false)), uncle(9, 437), Some(Uncle)),
        (Some((Confirmed, false)), uncle(9, 500), Some(Uncle)),
        (Some((Uncle, true)), paying(1, 600), None),
        (Some((Uncle, true)), paying(2, 600), Some(Immature)),
        (Some((Uncle, true)), paying(9, 600), Some(Immature)),
        (Some((Confirmed, true)), paying(1, 600), None),
        (Some((Confirmed, true)), paying(9, 600), Some(Immature)),
        // An uncle stays one.
        (Some((Uncle, true)), uncle(4, 500), None),
        (Some((Uncle, true)), uncle(5, 500), Some(Confirmed)),
        (Some((Confirmed, true)), uncle(9, 500), None),
        // Another block includes it now: worth less or more.
        (Some((Uncle, true)), uncle(1, 375), None),
        (Some((Uncle, true)), uncle(9, 375), Some(Uncle)),
        (Some((Uncle, true)), uncle(9, 562), Some(Uncle)),
        (Some((Confirmed, true)), uncle(9, 375), Some(Uncle)),
        // A canonical block is worth what it was, or more.
        (Some((Immature, false)), paying(2, 500), None),
        (Some((Immature, false)), paying(2, 499), None),
        (Some((Immature, false)), paying(2, 501), Some(Immature)),
        (Some((Immature, false)), paying(5, 501), Some(Confirmed)),
        (Some((Confirmed, false)), paying(9, 500), None),
        (Some((Confirmed, false)), paying(9, 499), None),
        (Some((Confirmed, false)), paying(9, 501), Some(Confirmed)),
        // An orphan is one of both.
        (Some((Uncle, true)), other(2), None),
        (Some((Uncle, true)), other(3), Some(Orphaned)),
        (Some((Confirmed, true)), other(3), Some(Orphaned)),
    ] {
        let block = last.map_or_else(|| block(None), |(state, was)| said(state, was));
        assert_eq!(next_state(&block, &sight), next, "{last:?}, {sight:?}");
        let word = decide(&block, &sight);
        assert_eq!(word.map(|word| word.state), next, "{last:?}, {sight:?}");
        if let (Some(word), Sight::Ours { pay, .. } | Sight::Uncle { pay, .. }) = (word, sight) {
            let pay = pay.expect("it pays");
            assert_eq!(
                (word.value, word.fees, word.height),
                (pay.value, pay.fees, 40)
            );
        }
    }
}
