//! What a node says of a submitted block.

/// A node's answer to one block. Only a node that judged the block accepts or rejects it; for everything else the chain has
/// the last word: ask for the block's confirmations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitAnswer {
    /// The node took it as new (`null`).
    Accepted,
    /// Nobody knows: it may be on the chain. Time-outs, broken connections and answers, `inconclusive`, and `duplicate`
    /// (another node of ours was faster, or an earlier try arrived). Holds the raw answer.
    Unknown(String),
    /// The node judged it and refused it. Holds the raw answer.
    Rejected(String),
}

impl SubmitAnswer {
    /// The answer by the result of `submitblock`: `None` is `null`. (BIP22; litecoind and btcd as seen.)
    #[must_use]
    pub fn of_result(result: Option<&str>) -> Self {
        let Some(text) = result else {
            return Self::Accepted;
        };
        let lower = text.to_ascii_lowercase();
        let undecided = [
            "duplicate",
            "duplicate-inconclusive",
            "inconclusive",
            "inconclusive-not-best-prevblk",
        ];
        // btcd says it in words, for blocks of a side chain too; an orphan's parent may still come.
        let known_to_btcd = lower.starts_with("rejected: already have block");
        if undecided.contains(&lower.as_str()) || known_to_btcd {
            Self::Unknown(text.to_owned())
        } else {
            Self::Rejected(text.to_owned())
        }
    }

    /// The answer by an RPC error of `submitblock`. Codes by which a node says that it could not judge (warming up, internal,
    /// out of memory, database, not connected, still syncing, miscellaneous) are unknown, all others are refusals.
    #[must_use]
    pub fn of_error(code: i64, message: &str) -> Self {
        let text = format!("error {code}: {message}");
        match code {
            -28 | -32_603 | -20 | -10 | -9 | -7 | -1 => Self::Unknown(text),
            _ => Self::Rejected(text),
        }
    }
}
