//! What people have looked at: a difference halts a wallet once.
//!
//! Two things make one known. It stands in a report before people resumed the wallet last; or the reason of a resume
//! names what was spent, so that whoever moves coins by hand says so when they resume, and nothing halts.

use std::collections::BTreeSet;

use orebook_schema::Hash;

use super::{Difference, NO_EVENT};

/// Most bytes of a report (LEDGER-FORMAT.md, kind 40).
pub const REPORT_BYTES_MAX: usize = 4_096;
/// Before the digest of what a report has no room for.
const REST: &str = "more, whose digest is ";

/// Reports and reasons that people have seen or said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    keys: BTreeSet<String>,
    rests: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl Known {
    /// Of reports, and of the reasons of resumes.
    #[must_use]
    pub fn new<'a>(
        reports: impl Iterator<Item = &'a str>,
        reasons: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut known = Self::default();
        for line in reports.flat_map(str::lines) {
            match line.split_once(REST) {
                Some((_, digest)) => known.rests.insert(digest.to_owned()),
                None => known.keys.insert(key(line)),
            };
        }
        for reason in reasons {
            let words = reason.split(|c: char| !c.is_ascii_alphanumeric());
            let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
            known.names.extend(words.iter().map(|it| (*it).to_owned()));
            let pairs = words.windows(2).map(|pair| pair.join(" "));
            known.names.extend(pairs);
        }
        known
    }

    /// Those that nobody has looked at.
    #[must_use]
    pub fn new_ones<'a>(&self, differences: &'a [Difference]) -> Vec<&'a Difference> {
        let is_new = |one: &&Difference| !self.keys.contains(&key(&line(one)));
        let new: Vec<&Difference> = differences.iter().filter(is_new).collect();
        // What an earlier report had no room for is known if it is the same once more, all of it.
        let lines: Vec<String> = new.iter().map(|one| line(one)).collect();
        if self.rests.contains(&digest(&lines)) {
            return Vec::new();
        }
        new.into_iter().filter(|one| !self.is_named(one)).collect()
    }

    /// Whether the reason of a resume names it. Only spends are announced: what else differs is looked at first.
    fn is_named(&self, one: &Difference) -> bool {
        let is_named = |word: &str| self.names.contains(word);
        let is_spend = one.says.ends_with(NO_EVENT);
        let of = one.what.strip_prefix("transaction ");
        is_spend
            && (is_named(of.unwrap_or(&one.what)) || one.says.split(' ').any(is_txid(is_named)))
    }
}

/// A word that has the length of a transaction's name, and is one of these.
fn is_txid(is_named: impl Fn(&str) -> bool) -> impl Fn(&str) -> bool {
    move |word| word.len() == 64 && is_named(word)
}

/// What makes a line the same another night. A spend has its name or nonce: its block is told only as long as a node knows it.
fn key(line: &str) -> String {
    match line.split_once(": ") {
        Some((what, says)) if says.ends_with(NO_EVENT) => format!("{what}: {NO_EVENT}"),
        _ => line.to_owned(),
    }
}

fn digest(lines: &[String]) -> String {
    let keys: Vec<String> = lines.iter().map(|line| key(line)).collect();
    Hash::of(&[keys.join("\n").as_bytes()]).to_string()
}

/// A difference as a report has it: nothing else than what a report may have is in it.
fn line(one: &Difference) -> String {
    let legal = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
    one.to_string().chars().map(legal).collect()
}

/// The report of differences: as many whole lines as it has room for, then how many more there are; and how much was not
/// compared, where something differs. Empty where nothing does.
#[must_use]
pub fn report(differences: &[Difference], silences: u32) -> String {
    if differences.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = differences.iter().map(line).collect();
    let silent = match silences {
        0 => String::new(),
        count => format!("\nnot compared: {count}, since the chain does not tell"),
    };
    let text = |whole: usize| {
        let mut text = lines.get(..whole).unwrap_or_default().join("\n");
        if let Some(rest) = lines.get(whole..).filter(|rest| !rest.is_empty()) {
            let more = format!("and {} {REST}{}", rest.len(), digest(rest));
            text.push_str(if whole == 0 { "" } else { "\n" });
            text.push_str(&more);
        }
        text + &silent
    };
    let is_short = |text: &String| text.len() <= REPORT_BYTES_MAX;
    let mut whole = 0;
    let mut bytes = 0;
    for one in &lines {
        bytes += one.len() + 1;
        if REPORT_BYTES_MAX < bytes {
            break;
        }
        whole += 1;
    }
    let counts = (0..=whole).rev();
    let mut texts = counts.map(text);
    texts.find(is_short).unwrap_or_default()
}
