//! Reconciliations (section 3, kind 40): a wallet on the chain, compared with the books.
//!
//! It is a record: it refuses nothing and moves no money.

use std::fmt;

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::units::Hash;

/// The first differences of a reconciliation, one a line: at most 4,096 bytes, each 0x20 to 0x7e or a line feed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report(Box<str>);

impl Report {
    /// Most bytes.
    pub const BYTES_MAX: usize = 4_096;

    /// Reads a report, an empty one too; none if it is too long, or has anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |byte: u8| byte == b'\n' || (0x20..=0x7e).contains(&byte);
        (text.len() <= Self::BYTES_MAX && text.bytes().all(legal)).then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A wallet was compared with the books: what kind 40 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// Which wallet.
    pub wallet: u16,
    /// Every position up to this one was compared; before its own.
    pub compared_position: u64,
    /// The digest of the money there.
    pub money: Hash,
    /// What the wallet holds by the books, base units.
    pub wallet_expected: u128,
    /// What the chain says that it holds, base units.
    pub wallet_found: u128,
    /// Transactions compared.
    pub transactions: u32,
    /// Blocks compared.
    pub blocks: u32,
    /// Differences found.
    pub differences: u32,
    /// The first of them; empty iff there is none.
    pub report: Report,
}

pub(crate) fn write_reconciled(said: &Reconciled, out: &mut Vec<u8>) {
    out.put(&said.wallet.to_le_bytes());
    out.put(&said.compared_position.to_le_bytes());
    out.put(&said.money.0);
    out.put(&said.wallet_expected.to_le_bytes());
    out.put(&said.wallet_found.to_le_bytes());
    out.put(&said.transactions.to_le_bytes());
    out.put(&said.blocks.to_le_bytes());
    out.put(&said.differences.to_le_bytes());
    out.put_bytes16(said.report.as_str().as_bytes());
}

pub(crate) fn read_reconciled(reader: &mut Reader<'_>) -> Decoded<Reconciled> {
    let said = Reconciled {
        wallet: reader.u16()?,
        compared_position: reader.u64()?,
        money: reader.hash()?,
        wallet_expected: reader.u128()?,
        wallet_found: reader.u128()?,
        transactions: reader.u32()?,
        blocks: reader.u32()?,
        differences: reader.u32()?,
        report: str::from_utf8(reader.bytes16(Report::BYTES_MAX)?)
            .ok()
            .and_then(Report::parse)
            .ok_or(DecodeError::Value("report"))?,
    };
    if (said.differences == 0) == said.report.as_str().is_empty() {
        Ok(said)
    } else {
        Err(DecodeError::Value(
            "report without a difference, or the other way round",
        ))
    }
}
