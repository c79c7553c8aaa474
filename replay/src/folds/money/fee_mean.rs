//! Mean fees (money rules, 3.6.1): what an FPPS share is paid beside the subsidy, said by the settler by compare and set.

use orebook_schema::work::FeeMean;
use orebook_schema::{At, Hash};

use crate::folds::obeyed::Refusal;
use crate::row;
use crate::rows::{Order, Rows, Span, StoreFault, View, first, put};

use super::tables::RefusedRow;

row! {
    /// An obeyed mean: in force from the position after it until the next such row.
    pub struct FeeMeanRow in table 56 {
        key {
            /// Its place.
            at: At,
        }
        value {
            /// Height of the newest of its blocks.
            height: u64,
            /// Mean fees of a block, base units, at most 2^80.
            mean: u128,
        }
    }
}

/// The settler said a mean: obeyed if it expects the last obeyed one.
pub(super) fn said(at: At, said: &FeeMean, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let last = in_force(&*rows, at)?.map_or_else(At::default, |row| row.at);
    if said.expects != last {
        let (hash, why) = (Hash::ZERO, Refusal::Expects);
        return put(rows, &RefusedRow { at, hash, why });
    }
    put(
        rows,
        &FeeMeanRow {
            at,
            height: said.height,
            mean: said.mean,
        },
    )
}

/// The last obeyed mean before a place; none before the first.
///
/// # Errors
/// [`StoreFault`].
pub fn in_force(view: &(impl View + ?Sized), place: At) -> Result<Option<FeeMeanRow>, StoreFault> {
    let span = Span {
        from: Vec::new(),
        to: Some(FeeMeanRow::key_of(&place)),
    };
    first(view, &span, Order::Backward)
}
