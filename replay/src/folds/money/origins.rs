//! Which credits a payout's line pays (money rules, 8.14): a function of an account's rows as of a position. It is shown and
//! decides nothing; no posting asks it.

use std::collections::VecDeque;

use orebook_schema::{Account, At, Hash};

use crate::rows::{Order, Span, StoreFault, View, first};

use super::books::Book;
use super::dust::dust_of;
use super::payouts::lines_of;
use super::per_share::earned_of;
use super::read::{adjustments, credits, write_offs};
use super::split::SUB_UNITS;
use super::tables::{BlockAtRow, BlockRow, Held, PostingRow};

/// Most blocks, adjustments and lines of one account that are looked at, each; above it nothing is said.
pub const LOOKED_AT_MAX: usize = 20_000;

/// Where an account's credit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A block that is held available.
    Block {
        /// Its hash, header order.
        hash: Hash,
        /// Place of the event that named it first.
        at: At,
        /// Its height.
        height: u64,
    },
    /// Everything that was paid by share (PPS, FPPS), less what voids and donations took.
    ByShare,
    /// An adjustment to the account, said there.
    Adjustment(At),
    /// What was written off, said there.
    WriteOff(At),
}

/// A credit to `available`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Whence.
    pub source: Source,
    /// The event that posted it; of what was paid by share none: it has no single place.
    pub place: Option<At>,
    /// Sub-units, above zero.
    pub amount: u128,
    /// Sub-units of it that nothing took.
    pub left: u128,
}

/// What takes from an account's credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A line of a batch of payouts.
    Line {
        /// Its wallet.
        wallet: u16,
        /// Its batch.
        batch: u64,
    },
    /// An adjustment from the account, said there.
    Adjustment(At),
    /// Dust that moved, by the announcement that was said there.
    Dust(At),
    /// What a block's coinbase paid of the balance.
    Coinbase {
        /// The block's hash, header order.
        hash: Hash,
        /// Its height.
        height: u64,
    },
}

/// Something that takes, before it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// What for.
    pub purpose: Purpose,
    /// Its event: of a line the proposal.
    pub place: At,
    /// Sub-units.
    pub amount: u128,
}

/// What it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What took.
    pub need: Need,
    /// Number of the credit in [`Origins::credits`], and sub-units of it, in the order in which they were taken.
    pub parts: Vec<(usize, u128)>,
    /// Sub-units that it found nowhere.
    pub uncovered: u128,
}

/// An account's credits, and what was taken from each.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Origins {
    /// By place; what was paid by share comes last.
    pub credits: Vec<Given>,
    /// By place.
    pub takes: Vec<Taken>,
}

impl Origins {
    /// What a line took; none if it takes nothing, or is not the account's.
    #[must_use]
    pub fn line(&self, wallet: u16, batch: u64) -> Option<&Taken> {
        let wanted = Purpose::Line { wallet, batch };
        self.takes.iter().find(|taken| taken.need.purpose == wanted)
    }
}

/// Pairs credits with what takes from them: first in first out by place; what was paid by share is taken before credits that
/// stand behind the need.
#[must_use]
pub fn pair(mut credits: Vec<(Source, Option<At>, u128)>, mut needs: Vec<Need>) -> Origins {
    credits.retain(|(_, _, amount)| 0 < *amount);
    credits.sort_by_key(|(_, place, _)| (place.is_none(), *place));
    needs.sort_by_key(|need| need.place);
    let mut origins = Origins::default();
    let (mut placed, mut by_share) = (VecDeque::new(), VecDeque::new());
    for (number, (source, place, amount)) in credits.into_iter().enumerate() {
        let queue = if place.is_some() {
            &mut placed
        } else {
            &mut by_share
        };
        queue.push_back((number, place, amount));
        let left = amount;
        origins.credits.push(Given {
            source,
            place,
            amount,
            left,
        });
    }
    for need in needs {
        let mut taken = Taken {
            need,
            parts: Vec::new(),
            uncovered: need.amount,
        };
        while 0 < taken.uncovered {
            let is_before = |place: &Option<At>| place.is_some_and(|place| place < need.place);
            let first_is_before = placed.front().is_some_and(|(_, place, _)| is_before(place));
            let queue = if first_is_before || by_share.is_empty() {
                &mut placed
            } else {
                &mut by_share
            };
            let Some((number, _, left)) = queue.front_mut() else {
                break;
            };
            let part = taken.uncovered.min(*left);
            taken.parts.push((*number, part));
            taken.uncovered -= part;
            *left -= part;
            if let Some(credit) = origins.credits.get_mut(*number) {
                credit.left = *left;
            }
            if *left == 0 {
                queue.pop_front();
            }
        }
        origins.takes.push(taken);
    }
    origins
}

/// An account's credits to `available` and what took from them, as these rows have it; none if it has more of either than
/// [`LOOKED_AT_MAX`].
///
/// # Errors
/// [`StoreFault`].
pub fn origins(
    view: &(impl View + ?Sized),
    account: &Account,
) -> Result<Option<Origins>, StoreFault> {
    let blocks = credits(view, account, None, LOOKED_AT_MAX)?;
    let by_hand = adjustments(view, account, None, LOOKED_AT_MAX)?;
    let lines = lines_of(view, account, None, LOOKED_AT_MAX)?;
    if [blocks.len(), by_hand.len(), lines.len()].contains(&LOOKED_AT_MAX) {
        return Ok(None);
    }
    let (mut given, mut needs) = (Vec::new(), Vec::new());
    for of in lines.iter().filter(|of| !of.tx.state.is_returned()) {
        needs.push(Need {
            purpose: Purpose::Line {
                wallet: of.line.wallet,
                batch: of.line.batch,
            },
            place: of.batch.at,
            amount: of.line.amount * SUB_UNITS,
        });
    }
    for credit in blocks {
        let (block, row) = (&credit.block, &credit.credit);
        let carried = row.direct_of_balance();
        if let Some(place) = block.standing.first().filter(|_| 0 < carried) {
            needs.push(Need {
                purpose: Purpose::Coinbase {
                    hash: block.hash,
                    height: block.height,
                },
                place: *place,
                amount: carried,
            });
        }
        let amount = row.net() - row.direct_of_block();
        if block.held != Held::Available || amount == 0 {
            continue;
        }
        let source = Source::Block {
            hash: block.hash,
            at: block.at,
            height: block.height,
        };
        given.push((source, Some(confirmed_at(view, block)?), amount));
    }
    for row in by_hand {
        let Some(place) = row.taken else {
            continue;
        };
        if row.to_account {
            given.push((Source::Adjustment(row.at), Some(place), row.amount));
        } else {
            let (purpose, amount) = (Purpose::Adjustment(row.at), row.amount);
            needs.push(Need {
                purpose,
                place,
                amount,
            });
        }
    }
    for row in dust_of(view, account, LOOKED_AT_MAX)? {
        needs.push(Need {
            purpose: Purpose::Dust(row.at),
            place: row.place,
            amount: row.amount,
        });
    }
    for row in write_offs(view, account, None, LOOKED_AT_MAX)? {
        if let Some(place) = row.taken {
            given.push((Source::WriteOff(row.at), Some(place), row.amount));
        }
    }
    let earned = earned_of(view, account)?;
    let by_share = earned.paid - earned.taken_back - earned.donated;
    given.push((Source::ByShare, None, by_share));
    Ok(Some(pair(given, needs)))
}

/// The event that moved a block's credits to `available`: the last one that stands whose postings end with such a move.
///
/// # Errors
/// [`StoreFault`].
pub fn confirmed_at(view: &(impl View + ?Sized), block: &BlockRow) -> Result<At, StoreFault> {
    for event in block.standing.iter().rev() {
        let span = Span::prefix(&BlockAtRow::key_of(event));
        let last: Option<PostingRow> = first(view, &span, Order::Backward)?;
        let moves = last.is_some_and(|posting| {
            matches!(posting.debit, Book::Immature(_))
                && matches!(posting.credit, Book::Available(_))
        });
        if moves {
            return Ok(*event);
        }
    }
    // Held available, and no move: accounts had nothing then, and got something by a later value.
    Ok(block.standing.last().copied().unwrap_or(block.at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test stops at the first surprise")]

    use super::*;

    const fn at(position: u64) -> At {
        At { position, index: 0 }
    }

    fn block(name: u8, place: u64, amount: u128) -> (Source, Option<At>, u128) {
        let hash = Hash([name; 32]);
        let height = u64::from(name);
        let named = at(u64::from(name));
        (
            Source::Block {
                hash,
                at: named,
                height,
            },
            Some(at(place)),
            amount,
        )
    }

    fn line(batch: u64, place: u64, amount: u128) -> Need {
        let purpose = Purpose::Line { wallet: 0, batch };
        Need {
            purpose,
            place: at(place),
            amount,
        }
    }

    fn adjustment(place: u64, amount: u128) -> Need {
        let purpose = Purpose::Adjustment(at(place));
        Need {
            purpose,
            place: at(place),
            amount,
        }
    }

    /// `A 5, B 3`, and `?6` for what is uncovered.
    fn shown(origins: &Origins) -> Vec<String> {
        let name = |number: &usize| match origins.credits[*number].source {
            Source::Block { height, .. } => char::from(u8::try_from(height).expect("a letter")),
            Source::ByShare => 's',
            Source::Adjustment(_) | Source::WriteOff(_) => '+',
        };
        let take = |taken: &Taken| {
            let mut parts: Vec<String> = taken
                .parts
                .iter()
                .map(|(number, amount)| format!("{} {amount}", name(number)))
                .collect();
            if 0 < taken.uncovered {
                parts.push(format!("?{}", taken.uncovered));
            }
            parts.join(", ")
        };
        let left = |(number, given): (usize, &Given)| {
            (0 < given.left).then(|| format!("{} {}", name(&number), given.left))
        };
        let left: Vec<String> = origins
            .credits
            .iter()
            .enumerate()
            .filter_map(left)
            .collect();
        let mut all: Vec<String> = origins.takes.iter().map(take).collect();
        all.push(left.join(", "));
        all
    }

    #[test]
    fn lines_take_the_credits_of_the_rules_example() {
        let (a, b, c) = (
            block(b'A', 10, 30),
            block(b'B', 20, 20),
            block(b'C', 50, 40),
        );
        let needs = [line(1, 30, 28), line(2, 40, 15), adjustment(25, 5)];
        let without_line_1 = [needs[1], needs[2]];
        let by_share = (Source::ByShare, None, 7);
        for (what, credits, needs, expected) in [
            (
                "as of 45",
                vec![b, a],
                needs.to_vec(),
                vec!["A 5", "A 25, B 3", "B 15", "B 2"],
            ),
            (
                "as of 60",
                vec![c, b],
                needs.to_vec(),
                vec!["B 5", "B 15, C 13", "C 15", "C 12"],
            ),
            (
                "line 1 failed",
                vec![a, b],
                without_line_1.to_vec(),
                vec!["A 5", "A 15", "A 10, B 20"],
            ),
            (
                "by share",
                vec![by_share, b],
                needs.to_vec(),
                vec!["B 5", "B 15, s 7, ?6", "?15", ""],
            ),
            (
                "by share before what came later",
                vec![by_share, c],
                vec![line(1, 30, 28), line(2, 60, 3)],
                vec!["s 7, C 21", "C 3", "C 16"],
            ),
            (
                "what came before is taken before what was paid by share",
                vec![by_share, a],
                vec![line(1, 11, 32), line(2, 12, 5)],
                vec!["A 30, s 2", "s 5", ""],
            ),
        ] {
            let origins = pair(credits, needs);
            assert_eq!(shown(&origins), expected, "{what}");
        }
    }

    #[test]
    fn what_is_left_less_what_is_uncovered_is_the_balance() {
        for seed in 0..500u64 {
            // A small linear generator: a failure is found again by its seed.
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut next = |below: u64| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) % below
            };
            let (mut credits, mut needs) = (
                vec![(Source::ByShare, None, u128::from(next(50)))],
                Vec::new(),
            );
            for place in 1..next(30) + 2 {
                let amount = u128::from(next(20));
                if next(2) == 0 {
                    credits.push((Source::Adjustment(at(place)), Some(at(place)), amount));
                } else {
                    needs.push(line(place, place, amount));
                }
            }
            let given: u128 = credits.iter().map(|(_, _, amount)| amount).sum();
            let needed: u128 = needs.iter().map(|need| need.amount).sum();
            let origins = pair(credits, needs);
            let left: u128 = origins.credits.iter().map(|credit| credit.left).sum();
            let uncovered: u128 = origins.takes.iter().map(|taken| taken.uncovered).sum();
            assert_eq!(left + needed, given + uncovered, "seed {seed}");
            assert!(
                left == 0 || uncovered == 0,
                "seed {seed}: something is left and missing"
            );
        }
    }
}
