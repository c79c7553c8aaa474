//! What a job's coinbase pays, as far as money asks (money rules, 11.2). The bytes are a gateway's, so nothing here believes them.

use crate::names::Script;

/// Most outputs of a coinbase that pays miners; one with more has none that anybody is credited by.
pub const COINBASE_OUTPUTS_MAX: usize = 2_000;
/// Before an input's end: no sequence. A coinbase's text has no such byte, so that the first four of them are these.
const SEQUENCE: [u8; 4] = [0xff; 4];
/// A locktime comes last.
const LOCKTIME_BYTES: usize = 4;

/// An output that pays an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinerOutput {
    /// Base units, above zero.
    pub amount: u64,
    /// Whom.
    pub script: Script,
}

/// Outputs of a coinbase that pay accounts, in order, from the part behind the extranonces: neither the first, which is the
/// pool's, nor what is worth nothing or has no account's script. Empty if the bytes are no end of a coinbase.
#[must_use]
pub fn miner_outputs(coinbase2: &[u8]) -> Vec<MinerOutput> {
    read(coinbase2).unwrap_or_default()
}

fn read(coinbase2: &[u8]) -> Option<Vec<MinerOutput>> {
    let mut windows = coinbase2.windows(SEQUENCE.len());
    let sequence = windows.position(|window| window == SEQUENCE)?;
    let mut rest = coinbase2.get(sequence + SEQUENCE.len()..)?;
    let count = take_size(&mut rest)?;
    if !(1..=COINBASE_OUTPUTS_MAX).contains(&count) {
        return None;
    }
    let mut found = Vec::new();
    for number in 0..count {
        let (amount, behind) = rest.split_first_chunk::<8>()?;
        rest = behind;
        let len = take_size(&mut rest)?;
        let (script, behind) = rest.split_at_checked(len)?;
        rest = behind;
        let amount = u64::from_le_bytes(*amount);
        if let Some(script) = Script::new(script).filter(|_| 0 < number && 0 < amount) {
            found.push(MinerOutput { amount, script });
        }
    }
    (rest.len() == LOCKTIME_BYTES).then_some(found)
}

/// A compact size in its shortest form.
fn take_size(rest: &mut &[u8]) -> Option<usize> {
    let (first, behind) = rest.split_first()?;
    let (size, behind, least) = match first {
        0..=0xfc => (u32::from(*first), behind, 0),
        0xfd => {
            let (bytes, behind) = behind.split_first_chunk::<2>()?;
            (u32::from(u16::from_le_bytes(*bytes)), behind, 0xfd)
        }
        0xfe => {
            let (bytes, behind) = behind.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*bytes), behind, 0x1_0000)
        }
        // No coinbase is so long.
        0xff => return None,
    };
    *rest = behind;
    usize::try_from(size).ok().filter(|_| least <= size)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test stops at the first surprise")]

    use super::*;
    use crate::units::{hex, unhex};

    /// The rules' example 11.2.
    const EXAMPLE: &str = "2f31 ffffffff 03 0400000000000000 01aa 1700000000000000 01bb 0000000000000000 026a24 00000000";

    fn shown(text: &str) -> Vec<(u64, String)> {
        let bytes = unhex(&text.replace(' ', "")).expect("hex");
        let outputs = miner_outputs(&bytes).into_iter();
        outputs
            .map(|output| (output.amount, hex(output.script.bytes())))
            .collect()
    }

    #[test]
    fn what_neither_is_the_pools_nor_worth_nothing_is_an_accounts() {
        assert_eq!(shown(EXAMPLE), [(23, "bb".to_owned())]);
        for (changed, what) in [
            (
                EXAMPLE.replace("ffffffff 03", "ffffffff 04"),
                "an output is missing",
            ),
            (
                EXAMPLE.replace("ffffffff 03", "ffffffff 02"),
                "one too many",
            ),
            (
                EXAMPLE.replace("ffffffff 03", "ffffffff fd0300"),
                "a size is longer than it must be",
            ),
            (EXAMPLE.replace("ffffffff", "ffffff"), "no sequence"),
            (
                EXAMPLE.replace("026a24 00000000", "026a24 000000"),
                "no locktime",
            ),
            (EXAMPLE.replace("01bb", "00"), "no script"),
            (
                EXAMPLE.replace("01bb", &format!("41{}", "bb".repeat(65))),
                "a script too long for an account",
            ),
            (EXAMPLE.replace("17", "00"), "nothing"),
            (String::new(), "no bytes"),
        ] {
            assert_eq!(shown(&changed), [], "{what}");
        }
        let longest = EXAMPLE.replace("01bb", &format!("40{}", "bb".repeat(64)));
        assert_eq!(shown(&longest).len(), 1);
        let long = format!("fd0001{}", "6a".repeat(256));
        assert_eq!(
            shown(&EXAMPLE.replace("026a24", &long)).len(),
            1,
            "behind a long one"
        );
    }

    #[test]
    fn outputs_are_at_most_two_thousand() {
        let of = |count: u16| {
            let mut bytes = vec![0xff; 4];
            bytes.push(0xfd);
            bytes.extend(count.to_le_bytes());
            for _ in 0..count {
                bytes.extend([1, 0, 0, 0, 0, 0, 0, 0, 1, 0xaa]);
            }
            bytes.extend([0; 4]);
            miner_outputs(&bytes).len()
        };
        assert_eq!((of(2_000), of(2_001)), (1_999, 0));
    }
}
