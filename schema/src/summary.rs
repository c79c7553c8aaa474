//! Summaries (section 4): what a frame's shares are worth, by pot and worker. How credits come about is admission's.

use crate::SUMMARY_BYTES_MAX;
use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::names::Pot;

/// One worker's shares in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Worker's number.
    pub worker: u32,
    /// Shares, at least 1.
    pub count: u32,
    /// Credited work.
    pub credit: u128,
}

/// One pot's shares in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PotSummary {
    /// Which pot.
    pub pot: Pot,
    /// Σ floor(credit · 10^12 / network work).
    pub effort: u128,
    /// By worker, ascending.
    pub rows: Vec<Row>,
}

/// A frame's summary: by pot, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// Pots with at least one share.
    pub pots: Vec<PotSummary>,
}

impl Summary {
    /// Canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out =
            Vec::with_capacity(16 * self.pots.iter().map(|pot| pot.rows.len()).sum::<usize>() + 1);
        out.put_varint(self.pots.len() as u128);
        let mut last_pot = 0;
        for pot in &self.pots {
            out.put_varint(u128::from(pot.pot.0 - last_pot));
            last_pot = pot.pot.0;
            out.put_varint(pot.effort);
            out.put_varint(pot.rows.len() as u128);
            let mut last_worker = 0;
            for row in &pot.rows {
                out.put_varint(u128::from(row.worker - last_worker));
                last_worker = row.worker;
                out.put_varint(u128::from(row.count));
                out.put_varint(row.credit);
            }
        }
        out
    }

    /// Reads a summary.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not canonical.
    pub fn read(bytes: &[u8]) -> Decoded<Self> {
        if SUMMARY_BYTES_MAX < bytes.len() {
            return Err(DecodeError::Limit("summary"));
        }
        let mut reader = Reader::new(bytes, "summary");
        let pot_count = narrow::<u16>(reader.varint()?)?;
        let mut pots = Vec::new();
        let mut last_pot = 0u16;
        for index in 0..pot_count {
            let step = narrow::<u16>(reader.varint()?)?;
            let pot = ascend(
                u32::from(last_pot),
                u32::from(step),
                index == 0,
                u32::from(u16::MAX),
            )?;
            last_pot = narrow(u128::from(pot))?;
            let effort = reader.varint()?;
            pots.push(PotSummary {
                pot: Pot(last_pot),
                effort,
                rows: read_rows(&mut reader)?,
            });
        }
        reader.end()?;
        Ok(Self { pots })
    }
}

fn read_rows(reader: &mut Reader<'_>) -> Decoded<Vec<Row>> {
    let row_count = narrow::<u16>(reader.varint()?)?;
    if row_count == 0 {
        return Err(DecodeError::Limit("summary rows"));
    }
    let mut rows = Vec::with_capacity(usize::from(row_count).min(crate::FRAME_EVENTS_MAX));
    let mut last = 0u32;
    for index in 0..row_count {
        let step = narrow::<u32>(reader.varint()?)?;
        last = ascend(last, step, index == 0, u32::MAX)?;
        let count = narrow::<u32>(reader.varint()?)?;
        if count == 0 {
            return Err(DecodeError::Limit("summary count"));
        }
        rows.push(Row {
            worker: last,
            count,
            credit: reader.varint()?,
        });
    }
    Ok(rows)
}

fn ascend(last: u32, step: u32, first: bool, max: u32) -> Decoded<u32> {
    let next = last
        .checked_add(step)
        .filter(|next| *next <= max)
        .ok_or(DecodeError::Limit("summary number"))?;
    if first || 0 < step {
        Ok(next)
    } else {
        Err(DecodeError::Order("summary numbers"))
    }
}

fn narrow<T: TryFrom<u128>>(value: u128) -> Decoded<T> {
    T::try_from(value).map_err(|_| DecodeError::Limit("summary number"))
}
