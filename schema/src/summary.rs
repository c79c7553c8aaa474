//! Summaries (section 4): what a frame's shares are worth, by pot and worker. How credits come about is admission's.

use crate::SUMMARY_BYTES_MAX;
use crate::bytes::{DecodeError, Decoded, Reader, Write, join_sevens};
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
        let mut summary = Self::default();
        summary.read_again(bytes)?;
        Ok(summary)
    }

    /// Becomes the summary that bytes say, in the memory that this one has; empty after an error.
    ///
    /// # Errors
    /// As [`Summary::read`].
    pub fn read_again(&mut self, bytes: &[u8]) -> Decoded<()> {
        let mut memory = std::mem::take(&mut self.pots).into_iter();
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
            let mut rows = memory.next().map_or_else(Vec::new, |pot| pot.rows);
            read_rows(&mut reader, &mut rows)?;
            pots.push(PotSummary {
                pot: Pot(last_pot),
                effort,
                rows,
            });
        }
        reader.end()?;
        self.pots = pots;
        Ok(())
    }
}

fn read_rows(reader: &mut Reader<'_>, rows: &mut Vec<Row>) -> Decoded<()> {
    let row_count = narrow::<u16>(reader.varint()?)?;
    if row_count == 0 {
        return Err(DecodeError::Limit("summary rows"));
    }
    rows.clear();
    rows.reserve(usize::from(row_count).min(crate::FRAME_EVENTS_MAX));
    let mut left = usize::from(row_count);
    let mut last = None;
    let mut width = Width::of(0);
    let mut found = 0;
    while 0 < left {
        let before = reader.rest();
        let row = read_row(reader, last)?;
        rows.push(row);
        // A single row that differs changes no guess.
        if found == 0 {
            width = Width::of(before.len() - reader.rest().len());
        }
        let bytes;
        (found, bytes) = width.rows(reader.rest(), row.worker, left - 1, rows);
        reader.take(bytes)?;
        left -= 1 + found;
        last = rows.last().map(|row| row.worker);
    }
    Ok(())
}

/// Any row, field by field; all refusals.
fn read_row(reader: &mut Reader<'_>, last: Option<u32>) -> Decoded<Row> {
    let step = narrow::<u32>(reader.varint()?)?;
    let worker = ascend(last.unwrap_or(0), step, last.is_none(), u32::MAX)?;
    let count = narrow::<u32>(reader.varint()?)?;
    if count == 0 {
        return Err(DecodeError::Limit("summary count"));
    }
    Ok(Row {
        worker,
        count,
        credit: reader.varint()?,
    })
}

/// The bits of a word that say of each byte whether another follows.
const MARKS: u64 = 0x8080_8080_8080_8080;

/// How long rows are, as a guess: most are as long as their neighbours, and where the next one begins is known at once if
/// the guess is right. A wrong guess reads nothing.
#[derive(Clone, Copy)]
struct Width {
    /// Bytes of a row: one of the worker's number, one of the count, 2 to 8 of the credit.
    len: usize,
    /// The bits of a word that are the credit's bytes.
    credit: u64,
    /// Those of them that say whether a byte is the last.
    marks: u64,
    /// How they are if the credit is as long as guessed.
    marked: u64,
    /// Where the credit's last byte begins.
    last: u32,
}

impl Width {
    /// Of rows of so many bytes; if there are none of the kind it guesses, no row is like it.
    const fn of(len: usize) -> Self {
        let credit_bits: u32 = match len {
            4 => 16,
            5 => 24,
            6 => 32,
            7 => 40,
            8 => 48,
            9 => 56,
            10 => 64,
            _ => return Self::NONE,
        };
        let credit = u64::MAX >> (64 - credit_bits);
        Self {
            len,
            credit,
            marks: credit & MARKS,
            marked: credit >> 8 & MARKS,
            last: credit_bits - 8,
        }
    }

    /// No marks are as these.
    const NONE: Self = Self {
        len: 0,
        credit: 0,
        marks: 0,
        marked: 1,
        last: 0,
    };

    /// Reads rows that are like this, after the one of worker `last`, up to `most`; how many, and their bytes. The row where
    /// it ends is another, right or wrong. Not inlined: the loop needs all registers.
    #[inline(never)]
    fn rows(
        &self,
        bytes: &[u8],
        mut last: u32,
        most: usize,
        rows: &mut Vec<Row>,
    ) -> (usize, usize) {
        let mut rest = bytes;
        for found in 0..most {
            let row = self.row(rest, last);
            let Some((row, after)) = row.and_then(|row| Some((row, rest.get(self.len..)?))) else {
                return (found, bytes.len() - rest.len());
            };
            last = row.worker;
            rest = after;
            rows.push(row);
        }
        (most, bytes.len() - rest.len())
    }

    #[inline]
    fn row(&self, bytes: &[u8], last: u32) -> Option<Row> {
        let &[step, count, ref word @ ..] = bytes.first_chunk::<10>()?;
        let word = u64::from_le_bytes(*word);
        let credit = word & self.credit;
        let small = 1..=0x7f;
        let legal = word & self.marks == self.marked
            && credit >> self.last != 0
            && small.contains(&step)
            && small.contains(&count);
        if !legal {
            return None;
        }
        Some(Row {
            worker: last.checked_add(u32::from(step))?,
            count: u32::from(count),
            credit: u128::from(join_sevens(credit)),
        })
    }
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

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests may panic, and say where")]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop_oneof};

    use super::*;

    /// Every row field by field, as the format says it.
    fn read_plainly(bytes: &[u8]) -> Decoded<Summary> {
        let mut reader = Reader::new(bytes, "summary");
        let mut pots: Vec<PotSummary> = Vec::new();
        for index in 0..narrow::<u16>(reader.varint()?)? {
            let before = pots.last().map_or(0, |pot| u32::from(pot.pot.0));
            let step = narrow::<u16>(reader.varint()?)?;
            let pot = ascend(before, u32::from(step), index == 0, u32::from(u16::MAX))?;
            let (effort, rows) = (reader.varint()?, narrow::<u16>(reader.varint()?)?);
            if rows == 0 {
                return Err(DecodeError::Limit("summary rows"));
            }
            let mut pot = PotSummary {
                pot: Pot(narrow(u128::from(pot))?),
                effort,
                rows: Vec::new(),
            };
            for _ in 0..rows {
                let last = pot.rows.last().map(|row| row.worker);
                pot.rows.push(read_row(&mut reader, last)?);
            }
            pots.push(pot);
        }
        reader.end()?;
        Ok(Summary { pots })
    }

    /// Rows of which many are as long as their neighbours, and some are not.
    fn summaries() -> impl Strategy<Value = Summary> {
        let step = prop_oneof![8 => 1..0x90u32, 1 => 1..1u32 << 20];
        let count = prop_oneof![8 => Just(1u32), 1 => 1..0x90u32, 1 => 1..1u32 << 20];
        let bits = prop_oneof![6 => Just(42u32), 2 => 35..50u32, 1 => 0..128u32];
        let row = (step, count, bits, any::<u128>());
        let rows = proptest::collection::vec(row, 1..60);
        let pots = proptest::collection::vec((1..3u16, any::<u64>(), rows), 0..4);
        pots.prop_map(|pots| {
            let mut last_pot = 0;
            let pots = pots.into_iter().map(|(step, effort, rows)| {
                last_pot += step;
                let mut worker = 0;
                let rows = rows.into_iter().map(|(step, count, bits, noise)| {
                    worker += step;
                    let top = 1u128.checked_shl(bits).unwrap_or(0);
                    let credit = top | noise & top.wrapping_sub(1);
                    Row {
                        worker,
                        count,
                        credit,
                    }
                });
                PotSummary {
                    pot: Pot(last_pot),
                    effort: u128::from(effort),
                    rows: rows.collect(),
                }
            });
            Summary {
                pots: pots.collect(),
            }
        })
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            cases: 5_000,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(8),
            ..Default::default()
        })]

        #[test]
        fn rows_read_by_their_neighbours_length_equal_those_read_field_by_field(
            summary in summaries(),
            before in summaries(),
            changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..3),
            cut in prop_oneof![Just(0usize), 0..12usize],
        ) {
            let mut bytes = summary.to_bytes();
            proptest::prop_assert_eq!(read_plainly(&bytes), Ok(summary));
            for (at, change) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] ^= change;
            }
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            let plainly = read_plainly(&bytes);
            proptest::prop_assert_eq!(Summary::read(&bytes), plainly.clone());
            let mut again = before;
            let read = again.read_again(&bytes);
            proptest::prop_assert_eq!(again, plainly.clone().unwrap_or_default());
            proptest::prop_assert_eq!(read, plainly.map(|_| ()));
        }
    }

    /// Each byte of rows that are alike, set to each value: longer numbers than needed, workers out of order, no shares.
    #[test]
    fn every_byte_among_rows_that_are_alike_is_judged() {
        let row = [1, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
        let mut bytes = vec![1, 0, 0, 6];
        (0..6).for_each(|_| bytes.extend_from_slice(&row));
        let mut refused = 0;
        for at in 4..bytes.len() {
            let before = bytes[at];
            for byte in 0..=u8::MAX {
                bytes[at] = byte;
                let plainly = read_plainly(&bytes);
                refused += u32::from(plainly.is_err());
                assert_eq!(Summary::read(&bytes), plainly, "byte {at} = {byte}");
            }
            bytes[at] = before;
        }
        assert!(
            Summary::read(&bytes).is_ok() && 1_000 < refused,
            "{refused}"
        );
    }
}
