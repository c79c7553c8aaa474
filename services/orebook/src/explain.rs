//! `orebook explain`: where a figure comes from, step by step, each with its rule of docs/rules.md and its place in the ledger.
//! All of it is computed from the segment files alone, by a replay of `money` in memory.

mod block;
mod payout;

use std::sync::Arc;

use orebook_ledger::admit::Trust;
use orebook_projector::Member;
use orebook_replay::engine::{Engine, Progress};
use orebook_replay::folds::money::{self, BlockRow, Money};
use orebook_replay::rows::View;
use orebook_replay::store::{MemoryStore, Store as _};
use orebook_schema::units::{hex, unhex};
use orebook_schema::{Account, At, Genesis, Hash};
use orebook_settler::book::Watch;

use crate::cat::Object;
use crate::cli::{ExplainArgs, Format, PlaceArgs};
use crate::up::Addresses;
use crate::{Failure, ledger, print};

/// Positions between two looks of the progress bar.
const POSITIONS_A_TURN: u64 = 4_096;
/// Blocks that are looked through for one of a height.
const BLOCKS_LOOKED_AT_MAX: usize = 1_000_000;

fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

/// What a ledger says, replayed in memory.
pub(crate) struct Replayed {
    pub(crate) genesis: Genesis,
    pub(crate) size: u64,
    pub(crate) money: Arc<MemoryStore>,
    /// Ledger time of the last position, milliseconds since 1970.
    pub(crate) ledger_time: u64,
    /// What a settler keeps of blocks.
    pub(crate) settler: Arc<MemoryStore>,
}

/// Replays `money`, and what a settler keeps, over the final positions of some segments.
pub(crate) fn replayed(place: &PlaceArgs, format: Format) -> Result<Replayed, Failure> {
    let (segments, ledger) = ledger::open(place)?;
    let below = ledger::final_size(&segments, ledger)?;
    let (money, settler) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let members: Vec<Member> = vec![
        (Box::new(Money), money.clone()),
        (Box::new(Watch), settler.clone()),
    ];
    let mut engine =
        Engine::open(ledger, members, Trust::Nothing, &segments, below).map_err(failure)?;
    let bar = ledger::positions_bar(format, below);
    while engine.size() < below {
        let mut shown = |progress: Progress| bar.set_position(progress.size);
        engine
            .advance(&segments, below, POSITIONS_A_TURN, &mut shown)
            .map_err(|error| failure(error).found())?;
        if let Some((fold, stop)) = engine.stops().next() {
            return Err(Failure::new(format!("fold {fold}: {stop}")));
        }
    }
    bar.finish_and_clear();
    let authority = engine.state().authority();
    let genesis = authority.map(|authority| authority.genesis().clone());
    Ok(Replayed {
        genesis: genesis.ok_or_else(|| Failure::new("nothing is final yet"))?,
        size: engine.size(),
        ledger_time: engine.state().ledger_time(),
        money,
        settler,
    })
}

/// A figure, how it came about, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    name: String,
    value: String,
    how: String,
    /// Number of the rule.
    rule: &'static str,
    at: Option<At>,
}

/// Figures of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    title: String,
    rows: Vec<Row>,
}

impl Section {
    fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            rows: Vec::new(),
        }
    }

    fn row(
        &mut self,
        name: impl Into<String>,
        value: impl std::fmt::Display,
        how: impl Into<String>,
        rule: &'static str,
        at: Option<At>,
    ) {
        self.rows.push(Row {
            name: name.into(),
            value: value.to_string(),
            how: how.into(),
            rule,
            at,
        });
    }
}

/// What explanations read from.
struct Books<'v> {
    view: &'v dyn View,
    addresses: Option<Addresses>,
}

impl Books<'_> {
    fn shown(&self, account: &Account) -> String {
        let address = self.addresses.and_then(|coin| coin.shown(account));
        address.unwrap_or_else(|| account.to_string())
    }

    fn account(&self, text: &str) -> Result<Account, Failure> {
        let canonical = Account::parse(text).ok_or_else(|| "no account".to_owned());
        let parsed =
            canonical.or_else(|why| self.addresses.map_or(Err(why), |coin| coin.account(text)));
        parsed.map_err(|why| {
            Failure::new(format!("{text}: {why}")).hint(
                "an account is an address of the coin, or `script:HEX`, `evm:HEX`, `name:NAME`",
            )
        })
    }

    /// Blocks by height, or by a hash as explorers or the ledger show it.
    fn blocks(&self, text: &str) -> Result<Vec<BlockRow>, Failure> {
        let blocks = if let Ok(height) = text.parse::<u64>() {
            let all =
                money::blocks(self.view, None, None, BLOCKS_LOOKED_AT_MAX).map_err(failure)?;
            all.into_iter()
                .filter(|block| block.height == height)
                .collect()
        } else {
            let bytes = unhex(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            let bytes =
                bytes.ok_or_else(|| Failure::new(format!("{text}: no height and no hash")))?;
            let mut reversed = bytes;
            reversed.reverse();
            let mut found = Vec::new();
            for hash in [Hash(bytes), Hash(reversed)] {
                found.extend(money::block(self.view, &hash).map_err(failure)?);
            }
            found
        };
        if blocks.is_empty() {
            return Err(Failure::new(format!("no block {text} is in this ledger")));
        }
        Ok(blocks)
    }
}

/// Runs `orebook explain`.
pub(crate) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let replayed = replayed(&args.place, args.format)?;
    let view = replayed.money.view().map_err(failure)?;
    let books = Books {
        view: view.as_ref(),
        addresses: Addresses::of_coin(replayed.genesis.coin_name.as_str()).ok(),
    };
    let account = args.account.as_deref();
    let account = account.map(|text| books.account(text)).transpose()?;
    let sections = match (&args.payout, &args.block, &account) {
        (Some(payout), _, account) => payout::explain(&books, *payout, account.as_ref())?,
        (None, Some(text), Some(account)) => block::explain(&books, text, account)?,
        (None, _, _) => return Err(Failure::new("give --payout, or --account and --block")),
    };
    print(&match args.format {
        Format::Text => text(&sections),
        Format::Json => json(replayed.size, &sections),
    })
}

fn text(sections: &[Section]) -> String {
    let mut out = String::new();
    for section in sections {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&section.title);
        out.push('\n');
        for row in &section.rows {
            let place = row.at.map_or_else(String::new, |at| format!("  at {at}"));
            let rule = if row.rule.is_empty() {
                String::new()
            } else {
                format!("  rules {}", row.rule)
            };
            out.push_str(&format!(
                "  {:<22} {:>28}  {}{rule}{place}\n",
                row.name, row.value, row.how
            ));
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn json(size: u64, sections: &[Section]) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let row = |row: &Row| {
        let mut object = Object::new();
        object
            .text("name", &row.name)
            .text("value", row.value.replace(',', ""))
            .text("how", &row.how)
            .text("rule", row.rule);
        match row.at {
            Some(at) => object.text("at", at),
            None => object.raw("at", "null"),
        };
        object.end()
    };
    let section = |section: &Section| {
        let mut object = Object::new();
        object
            .text("title", &section.title)
            .raw("rows", list(section.rows.iter().map(row).collect()));
        object.end()
    };
    let mut object = Object::new();
    object
        .raw("size", size)
        .raw("sections", list(sections.iter().map(section).collect()));
    object.end()
}

/// Digits in groups of three.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A hash as explorers show it.
pub(crate) fn reversed(hash: Hash) -> String {
    let mut bytes = hash.0;
    bytes.reverse();
    hex(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_in_groups_of_three() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
            (
                u128::MAX,
                "340,282,366,920,938,463,463,374,607,431,768,211,455",
            ),
        ] {
            assert_eq!(grouped(number), shown);
        }
    }
}
