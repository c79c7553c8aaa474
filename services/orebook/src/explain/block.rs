//! What an account has of a block: the split from G to its own postings.

use orebook_replay::folds::money::arithmetic::{self, Arithmetic};
use orebook_replay::folds::money::{BlockRow, CreditRow, Held, SUB_UNITS};
use orebook_schema::Account;
use orebook_schema::policy::{PotRules, Scheme};

use super::{Books, Section, failure, grouped, reversed};
use crate::Failure;

/// Of every block of a height, or of the block of a hash.
pub(super) fn explain(
    books: &Books<'_>,
    text: &str,
    account: &Account,
) -> Result<Vec<Section>, Failure> {
    let blocks = books.blocks(text)?;
    let sections = blocks.iter().map(|block| section(books, block, account));
    sections.collect()
}

/// Of one block.
pub(super) fn section(
    books: &Books<'_>,
    block: &BlockRow,
    account: &Account,
) -> Result<Section, Failure> {
    let mut section = Section::new(format!(
        "block {} {}, and what {} has of it (sub-units)",
        block.height,
        reversed(block.hash),
        books.shown(account)
    ));
    found(books, block, &mut section);
    let made = arithmetic::of_block(books.view, block).map_err(failure)?;
    let Some(made) = made else {
        section.row(
            "status",
            "found",
            "the settler said nothing of it yet",
            "5",
            None,
        );
        return Ok(section);
    };
    let (status, state) = (made.status, made.status.state.name());
    let how = format!("value {}, fees {} base units", status.value, status.fees);
    section.row("status", state, how, "5", Some(status.at));
    let credit = made
        .credits
        .iter()
        .position(|credit| credit.account == *account);
    if block.held == Held::Nowhere {
        let how = "nothing of it is posted, or every posting was opposed";
        section.row("stands", "nothing", how, "5.2", Some(status.at));
    } else {
        divided(&made, &mut section);
    }
    let Some(credit) = credit else {
        section.row(
            "w_a",
            "0",
            "no work of it is in the window or round",
            "3.2",
            None,
        );
        return Ok(section);
    };
    if let Some(row) = made.credits.get(credit) {
        part(&made, row, block.held, &mut section);
    }
    for posting in arithmetic::postings_of_account(books.view, block, account).map_err(failure)? {
        let name = format!("posting {}", posting.number);
        let how = format!("{} to {}", posting.debit, posting.credit);
        section.row(name, grouped(posting.amount), how, "5.1", Some(posting.at));
    }
    Ok(section)
}

fn found(books: &Books<'_>, block: &BlockRow, section: &mut Section) {
    let Some(finding) = &block.finding else {
        let how = "recovered: no share explains it, so all is the reserve's";
        section.row("found by", "nobody", how, "3.7", Some(block.at));
        return;
    };
    let how = format!("finding share at {}, pot {}", finding.share, finding.pot);
    section.row(
        "found by",
        books.shown(&finding.account),
        how,
        "9 (4)",
        Some(block.at),
    );
    let (value, how) = match finding.policy {
        Some(_) => ("cited", "the policy that the finding share's job cites"),
        None => (
            "void",
            "the job cites no policy in force: all is the reserve's",
        ),
    };
    section.row("policy", value, how, "2.2", finding.policy);
}

/// The block's own figures, from G to R.
fn divided(made: &Arithmetic, section: &mut Section) {
    let split = &made.split;
    let how = format!("{} base units × {}", made.status.value, grouped(SUB_UNITS));
    section.row("G", grouped(split.whole), how, "4.1", Some(made.status.at));
    let Some((at, rules)) = &made.rules else {
        let how = "all of it: no rules divide it";
        section.row(
            "to reserve",
            grouped(split.reserve),
            how,
            "3.7, 9 (6)",
            None,
        );
        return;
    };
    let how = if rules.keep_tx_fees {
        "to fee: the policy keeps transaction fees"
    } else {
        "the policy shares transaction fees"
    };
    section.row("T", grouped(made.kept), how, "4.2", Some(*at));
    let how = format!("to the finder: floor((G − T) · {} / 10^6)", rules.bonus_ppm);
    section.row("bonus", grouped(split.bonus), how, "4.3", Some(*at));
    let how = format!("to fee: floor((G − T − bonus) · {} / 10^6)", rules.fee_ppm);
    section.row("F", grouped(made.pool), how, "4.4", Some(*at));
    section.row("R", grouped(made.rest), "G − T − bonus − F", "4.4", None);
    if let Some(window) = made.window {
        let how = format!("max(1, floor({} · network work / 10^6))", rules.n_ppm);
        section.row("N", grouped(window), how, "3.1", Some(*at));
    }
    let (how, rule) = weights_by(rules);
    section.row("W", grouped(made.weights), how, rule, None);
    section.row(
        "rounding",
        grouped(split.rounding),
        "R − Σ c_a",
        "4.5",
        None,
    );
    if split.reserve != 0 {
        section.row(
            "to reserve",
            grouped(split.reserve),
            "R, since W = 0",
            "4.5",
            None,
        );
    }
}

const fn weights_by(rules: &PotRules) -> (&'static str, &'static str) {
    match rules.scheme {
        Scheme::Pplns => ("Σ of the window's weights", "3.2"),
        Scheme::Prop => ("Σ of the round's weights", "3.5"),
        Scheme::Solo => ("the finder alone", "3.4"),
        Scheme::Pps | Scheme::Fpps => ("none: each share was paid for itself", "3.6.3"),
    }
}

/// What the account has of R, and gives of it.
fn part(made: &Arithmetic, row: &CreditRow, held: Held, section: &mut Section) {
    let rule = made
        .rules
        .as_ref()
        .map_or("3.2", |(_, rules)| weights_by(rules).1);
    let how = "its work in the window or round";
    section.row("w_a", grouped(row.weight), how, rule, None);
    if held == Held::Nowhere {
        return;
    }
    let how = "floor(R · w_a / W)";
    section.row("c_a", grouped(row.amount), how, "4.5", None);
    if row.bonus != 0 {
        section.row(
            "bonus_a",
            grouped(row.bonus),
            "it found the block",
            "4.3",
            None,
        );
    }
    let how = format!(
        "floor(c_a · {} / 10^6), its setting at the finding share",
        row.donation_ppm
    );
    section.row("donation", grouped(row.donation), how, "4.7", None);
    let whole = row.amount + row.bonus - row.donation;
    let book = match held {
        Held::Available => "available",
        Held::Immature | Held::Nowhere => "immature",
    };
    let how = format!("in {book}: c_a + bonus_a − donation");
    section.row("credited", grouped(whole), how, "5.1", None);
}
