//! What a stream says in parts (money rules, 8.13), as rows: one whole a stream, [`WHOLE_PARTS_MAX`] parts at most, so that parts
//! which lead to nothing have a limit.

use orebook_schema::event::Part;
use orebook_schema::payout::WHOLE_PARTS_MAX;
use orebook_schema::{Hash, StreamId};

use crate::rows::{Rows, StoreFault, View, delete, get, put};

use super::tables::{PartRow, WholeRow};

/// A stream says a part.
pub(super) fn part(stream: StreamId, part: &Part, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let before: Option<WholeRow> = get(&*rows, &WholeRow::key_of(&stream))?;
    let goes_on = before.as_ref().is_some_and(|before| {
        0 < part.index
            && (before.whole, before.of, before.next) == (part.whole, part.of, part.index)
    });
    if !goes_on {
        if let Some(before) = &before {
            forget(before, rows)?;
        }
        if part.index != 0 || WHOLE_PARTS_MAX < part.of {
            return Ok(());
        }
    }
    put(
        rows,
        &PartRow {
            stream,
            index: part.index,
            bytes: part.bytes.clone(),
        },
    )?;
    put(
        rows,
        &WholeRow {
            stream,
            whole: part.whole,
            of: part.of,
            next: part.index + 1,
        },
    )
}

fn forget(row: &WholeRow, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    for index in 0..row.next {
        delete::<PartRow>(rows, &PartRow::key_of(&row.stream, &index))?;
    }
    delete::<WholeRow>(rows, &WholeRow::key_of(&row.stream))
}

/// The bytes that a stream said in parts, if they are those of a name; none if a part is missing, or the bytes are others.
pub(super) fn whole(
    view: &(impl View + ?Sized),
    stream: StreamId,
    name: Hash,
) -> Result<Option<Vec<u8>>, StoreFault> {
    let row: Option<WholeRow> = get(view, &WholeRow::key_of(&stream))?;
    let Some(row) = row.filter(|row| row.whole == name && row.next == row.of) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    for index in 0..row.of {
        let part: Option<PartRow> = get(view, &PartRow::key_of(&stream, &index))?;
        let part = part.ok_or(StoreFault::Damaged {
            table: <PartRow as crate::rows::Row>::TABLE,
            what: "a part is missing",
        })?;
        bytes.extend(part.bytes);
    }
    Ok((Hash::of(&[&bytes]) == name).then_some(bytes))
}
