//! The rules, as tables: what is final, what the chain shows, what is said.

use orebook_schema::work::BlockState::{self, Confirmed, Immature, Orphaned, Seen};
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
        is_found: true,
        depths: Depths {
            immature: 2,
            confirmed: 5,
            orphan: 3,
        },
        obeyed: state.map(|state| Obeyed {
            at: AT,
            state,
            value: 400,
            fees: 10,
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
    let pay = |state, sight: &Sight| decide(&block(state), sight).map(|it| (it.value, it.fees));
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
