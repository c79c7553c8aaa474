//! `orebook reconcile`: the ledger, replayed from its files, against the projection that pages show and against the chain: each block,
//! and of the wallet each transaction and whatever left it. It prints only the differences; what the chain does not tell counts as not
//! compared, never as equal.

mod wallet;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use orebook::config::{self, Config};
use orebook_paymaster::reconcile::{SAID_WITHIN, is_open};
use orebook_replay::digest;
use orebook_replay::folds::money::{self, Balance};
use orebook_replay::rows::{Order, Span, View, collect};
use orebook_replay::store::Store as _;
use orebook_schema::Account;
use orebook_schema::work::BlockState;
use orebook_settler::book::OurBlock;
use orebook_settler::decide::Sight;
use orebook_settler::ethash::UNCLE_REACH;
use orebook_settler::look::{Dialect, look};
use orebook_settler::view::NoAnswer;

use tokio::runtime::Runtime;

use self::wallet::Compared;
use crate::cat::Object;
use crate::cli::{Format, PlaceArgs, ReconcileArgs};
use crate::desk::client;
use crate::explain::{Replayed, replayed, reversed};
use crate::up::{self, Chain, Duty, Place};
use crate::{Failure, print, say};

/// Accounts read at a time, and most that are compared one by one where digests differ.
const ACCOUNTS_A_PAGE: usize = 1_000;
const ACCOUNTS_COMPARED_MAX: usize = 10_000;
/// How long nodes may take until the first of them answers.
const NODES_WAIT: Duration = Duration::from_secs(20);
/// Pause between two questions whether one does.
const NODES_LOOK: Duration = Duration::from_millis(100);

fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

/// One thing that two of the three say differently.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Difference {
    /// `projection`, `chain` or `wallet`: what the ledger was compared with.
    with: &'static str,
    /// Of what: an account, a block.
    what: String,
    says: String,
    /// People have looked at it and resumed the wallet: it is shown, and is no finding.
    is_known: bool,
    /// The settler has yet to say it, and may not or need not have done so: it is shown, and is no finding.
    is_open: bool,
}

impl Difference {
    fn new(with: &'static str, what: impl Into<String>, says: impl Into<String>) -> Self {
        let (what, says) = (what.into(), says.into());
        Self {
            with,
            what,
            says,
            is_known: false,
            is_open: false,
        }
    }

    fn json(&self) -> String {
        let mut object = Object::new();
        object
            .text("with", self.with)
            .text("what", &self.what)
            .text("says", &self.says)
            .raw("known", self.is_known);
        object.end()
    }
}

/// Runs `orebook reconcile`. Exit code 3 if something differs that nobody has looked at and that is not open.
pub(crate) fn run(args: &ReconcileArgs) -> Result<(), Failure> {
    let place = PlaceArgs {
        data: Some(args.data.clone()),
        segments: None,
    };
    let replayed = replayed(&place, args.format)?;
    let mut differences = Vec::new();
    let mut compared = Vec::new();
    let mut wallet = None;
    if let Some(url) = &args.url {
        differences.extend(projection(&replayed, url)?);
        compared.push("projection");
    }
    if let Some(path) = &args.config {
        let config = config::read(path).map_err(up::failure)?;
        if let Some(asked) = Asked::open(&args.data, &config)? {
            differences.extend(asked.blocks(&replayed, &config)?);
            compared.push("chain");
            if let Some(found) = asked.wallet(&replayed, &config)? {
                differences.extend(found.differences.iter().cloned());
                compared.push("wallet");
                wallet = Some(found);
            }
        }
    }
    if compared.is_empty() {
        let hint = if args.config.is_some() && is_in_use(&args.data) {
            "that process shows its projection: --url http://HOST:PORT compares with it (`orebook up` prints where). End it to \
             compare blocks and wallet"
        } else {
            "give --url, --config, or both"
        };
        return Err(Failure::new("nothing was compared").hint(hint));
    }
    let (open, differences): (Vec<_>, Vec<_>) = differences
        .into_iter()
        .partition(|one: &Difference| one.is_open);
    match args.format {
        Format::Json => {
            let shown = |all: &[Difference]| {
                let all: Vec<String> = all.iter().map(Difference::json).collect();
                format!("[{}]", all.join(","))
            };
            let mut object = Object::new();
            object
                .raw("size", replayed.size)
                .raw("compared", format_args!("{compared:?}"))
                .raw("differences", shown(&differences))
                .raw("open", shown(&open));
            if let Some(wallet) = &wallet {
                object
                    .raw("wallet", wallet.json())
                    .raw("not_compared", wallet.silences);
            }
            print(&object.end())?;
        }
        Format::Text => {
            for one in &differences {
                let known = if one.is_known { " (known)" } else { "" };
                print(&format!("{}: {}: {}{known}", one.with, one.what, one.says))?;
            }
            for one in &open {
                say(&format!("open: {}: {}: {}", one.with, one.what, one.says));
            }
            if let Some(wallet) = &wallet {
                say(&wallet.words());
            }
            let with = compared.join(" and ");
            say(&format!(
                "compared with {with}, {} positions, {} open",
                replayed.size,
                open.len()
            ));
        }
    }
    let silences = wallet.as_ref().map_or(0, |wallet| wallet.silences);
    for words in wallet.iter().flat_map(|wallet| &wallet.notes) {
        say(&format!("note: {words}"));
    }
    for words in wallet.iter().flat_map(|wallet| &wallet.silent) {
        say(words);
    }
    match differences.iter().filter(|one| !one.is_known).count() {
        0 if 0 < silences => Err(Failure::new(format!(
            "nothing differs, and {silences} could not be compared"
        ))
        .hint("see docs/runbooks/reconciliation.md")),
        0 => Ok(()),
        1 => Err(Failure::new("1 difference").found()),
        many => Err(Failure::new(format!("{many} differences")).found()),
    }
}

/// The projection's digest of `money` against ours at the same position; where it differs, each account's balances.
fn projection(replayed: &Replayed, url: &str) -> Result<Vec<Difference>, Failure> {
    let host = url.strip_prefix("http://").unwrap_or(url);
    let host = host.trim_end_matches('/');
    let view = replayed.money.view().map_err(failure)?;
    let view = view.as_ref();
    let ours = digest::newest(view).map_err(failure)?;
    let Some(ours) = ours else {
        say("note: there is no digest point in this ledger yet: balances are compared");
        return accounts(replayed, view, host);
    };
    // Theirs at our newest point; an older one of theirs, where they are not so far yet.
    let at = format!("/api/v1/digest?fold=money&position={}", ours.size);
    let (status, mut answer) = client::get(host, &at)?;
    let mut expected = Some(ours);
    if status == 404 {
        answer = asked(host, "/api/v1/digest?fold=money")?;
        let position = field(&answer, "position").as_u64().unwrap_or(0);
        expected = digest::at(view, position).map_err(failure)?;
    }
    let Some(expected) = expected else {
        let says = format!(
            "it has no digest at a position of ours; its newest is {}",
            field(&answer, "position")
        );
        return Ok(vec![Difference::new("projection", "digest of money", says)]);
    };
    if *field(&answer, "digest") == expected.digest.to_string() {
        return Ok(Vec::new());
    }
    let says = format!(
        "ours at {} is {}, its {}",
        expected.size,
        expected.digest,
        field(&answer, "digest")
    );
    let mut found = vec![Difference::new("projection", "digest of money", says)];
    found.extend(accounts(replayed, view, host)?);
    Ok(found)
}

/// A field of an answer; null if it has none of that name.
fn field<'v>(answer: &'v serde_json::Value, name: &str) -> &'v serde_json::Value {
    answer.get(name).unwrap_or(&serde_json::Value::Null)
}

/// A path's answer, if it is one.
fn asked(host: &str, path: &str) -> Result<serde_json::Value, Failure> {
    let (status, answer) = client::get(host, path)?;
    if status == 200 {
        return Ok(answer);
    }
    let says = field(&answer, "message").as_str().unwrap_or("no answer");
    Err(Failure::new(format!("{host}{path}: {status}: {says}")))
}

/// Each account's balances, where the projection stands where we do.
fn accounts(replayed: &Replayed, view: &dyn View, host: &str) -> Result<Vec<Difference>, Failure> {
    let mut found = Vec::new();
    let mut after: Option<Account> = None;
    let mut looked_at = 0;
    loop {
        let page = money::accounts(view, after.as_ref(), ACCOUNTS_A_PAGE).map_err(failure)?;
        let Some(last) = page.last() else {
            return Ok(found);
        };
        after = Some(last.account.clone());
        for row in &page {
            if looked_at == ACCOUNTS_COMPARED_MAX {
                say(&format!(
                    "note: the first {ACCOUNTS_COMPARED_MAX} accounts were compared"
                ));
                return Ok(found);
            }
            looked_at += 1;
            let answer = asked(host, &format!("/api/v1/accounts/{}?limit=1", row.account))?;
            if *field(&answer, "as_of") != replayed.size {
                let as_of = field(&answer, "as_of");
                say(&format!(
                    "note: it stands at {as_of}, these files at {}: balances were not compared",
                    replayed.size
                ));
                return Ok(found);
            }
            let ours = money::account(view, &row.account).map_err(failure)?;
            for (book, balance) in [
                ("immature", ours.immature),
                ("available", ours.available),
                ("reserved", ours.reserved),
                ("paid", ours.paid),
            ] {
                let shown = field(field(&answer, "sub_units"), book);
                if *shown != sub_units(balance) {
                    let what = format!("{book}:{}", row.account);
                    let says = format!("ours {}, its {shown}", sub_units(balance));
                    found.push(Difference::new("projection", what, says));
                }
            }
        }
    }
}

fn sub_units(balance: Balance) -> String {
    let sign = if balance.is_negative() { "-" } else { "" };
    format!("{sign}{}", balance.magnitude())
}

/// Whether a process has the folder.
fn is_in_use(data: &Path) -> bool {
    let opened = File::options().write(true).open(data.join("lock"));
    opened.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The chain as nodes show it, or the development chain.
struct Asked {
    place: Place,
    chain: Chain,
    runtime: Runtime,
}

impl Asked {
    /// None if the chain cannot be asked from here.
    fn open(data: &Path, config: &Config) -> Result<Option<Self>, Failure> {
        let place = if config.node.is_empty() {
            match Place::of_role(data) {
                Ok(place) => place,
                Err(_) if is_in_use(data) => {
                    say(&format!(
                        "note: {}: an orebook process runs on this folder, and the development chain is inside it: blocks and \
                         wallet are not compared",
                        data.display()
                    ));
                    return Ok(None);
                }
                Err(why) => {
                    say(&format!(
                        "note: blocks and wallet are not compared, the development chain does not open: {}",
                        why.message
                    ));
                    return Ok(None);
                }
            }
        } else {
            Place::beside(data)?
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(failure)?;
        let chain = Chain::start(Duty::Settler, config, &place, runtime.handle())?;
        Ok(Some(Self {
            place,
            chain,
            runtime,
        }))
    }

    /// Every block of ours that the settler said something of, against the chain.
    fn blocks(&self, replayed: &Replayed, config: &Config) -> Result<Vec<Difference>, Failure> {
        let dialect = self.chain.dialect(config, &self.place)?;
        let reach = match dialect {
            Dialect::Ethash(_) => UNCLE_REACH,
            Dialect::Bitcoin(_) => 0,
        };
        let nodes = &self.chain.nodes;
        let view = replayed.settler.view().map_err(failure)?;
        let blocks: Vec<OurBlock> =
            collect(view.as_ref(), &Span::all(), Order::Forward, usize::MAX).map_err(failure)?;
        let asked = self.runtime.block_on(async {
            let start = Instant::now();
            while let Err(error) = nodes.tip().await {
                if NODES_WAIT < start.elapsed() {
                    return Err(NoAnswer(error.to_string()));
                }
                tokio::time::sleep(NODES_LOOK).await;
            }
            let mut found = Vec::new();
            for block in blocks {
                // As if nothing had been said of it: then what it paid is asked for.
                let bare = OurBlock {
                    obeyed: None,
                    ..block.clone()
                };
                let sight = look(nodes, &dialect, &bare).await?;
                let tip = match sight {
                    Sight::Unknown => {
                        nodes
                            .tip()
                            .await
                            .map_err(|it| NoAnswer(it.to_string()))?
                            .height
                    }
                    _ => 0,
                };
                found.extend(differs(&block, &sight, tip, reach));
            }
            Ok(found)
        });
        asked.map_err(failure)
    }

    fn wallet(&self, replayed: &Replayed, config: &Config) -> Result<Option<Compared>, Failure> {
        let runtime = self.runtime.handle();
        wallet::compare(replayed, config, &self.place, &self.chain, runtime)
    }
}

/// What the chain shows of a block that is not what the ledger has of it. What the settler has yet to say is none: more
/// confirmations, a block that it saw and that nobody paid for yet. Another fate than the one that was said is open until the settler ought to
/// have said it. `tip`: the best chain's height, asked for where the block is unknown; `reach`: so far above a block uncles are named (rules 5.9), 0 where there are none.
fn differs(block: &OurBlock, sight: &Sight, tip: u64, reach: u64) -> Option<Difference> {
    let said = block.obeyed?;
    let state = said.state.name();
    let is_out = said.state == BlockState::Orphaned;
    let is_young = |depth: u32, on_top: u64| on_top < u64::from(depth).saturating_add(SAID_WITHIN);
    let is_returning = |on_top| is_young(block.depths.immature, on_top);
    let (says, is_open) = match *sight {
        Sight::Ours { height, on_top, .. } if is_out => (
            format!("is orphaned here, and stands on the best chain at height {height}"),
            is_returning(on_top),
        ),
        Sight::Uncle { on_top, .. } if is_out => (
            "is orphaned here, and is an uncle on the chain".to_owned(),
            is_returning(on_top),
        ),
        _ if is_out => return None,
        Sight::Ours { height, .. } if height != block.height => {
            let of = block.height;
            let says = format!("has the height {of} here, and {height} on the chain");
            (says, false)
        }
        Sight::Ours { on_top, .. } if said.is_uncle => (
            "is an uncle here, and stands on the best chain".to_owned(),
            is_returning(on_top),
        ),
        Sight::Uncle { on_top, .. } if !said.is_uncle => (
            format!("is {state} here, and an uncle on the chain"),
            is_returning(on_top),
        ),
        Sight::Ours { pay: None, .. } | Sight::Uncle { pay: None, .. } => {
            ("pays nothing of ours on the chain".to_owned(), false)
        }
        Sight::Ours { pay: Some(pay), .. } | Sight::Uncle { pay: Some(pay), .. } => {
            if pay.value == said.value {
                return None;
            }
            // Another block may include an uncle now, and then it is worth something else.
            let is_open = matches!(*sight, Sight::Uncle { on_top, .. } if is_returning(on_top));
            let (ours, its) = (said.value, pay.value);
            (
                format!("is worth {ours} here, and {its} on the chain"),
                is_open,
            )
        }
        Sight::Other { on_top } => (
            format!("is {state} here, and another block has its height, with {on_top} on top"),
            is_young(block.depths.orphan, on_top),
        ),
        Sight::Unknown => (
            format!("is {state} here, and no node shows it"),
            is_open(block.height, tip, reach, block.depths.orphan),
        ),
    };
    let what = format!("block {} {}", block.height, reversed(block.hash));
    Some(Difference {
        is_open,
        ..Difference::new("chain", what, says)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test stops at the first surprise")]

    use orebook_schema::{At, Hash};
    use orebook_settler::book::{Depths, Obeyed};
    use orebook_settler::decide::Pay;

    use super::*;

    fn block(state: BlockState, value: u128, is_uncle: bool) -> OurBlock {
        OurBlock {
            hash: Hash([1; 32]),
            height: 7,
            coinbase_txid: Hash([2; 32]),
            job_fees: None,
            is_direct: false,
            is_found: true,
            depths: Depths {
                immature: 1,
                confirmed: 6,
                orphan: 1,
            },
            obeyed: Some(Obeyed {
                at: At::default(),
                state,
                value,
                fees: 0,
                is_uncle,
            }),
        }
    }

    /// What is said, and whether it is open.
    type Says = Option<(&'static str, bool)>;

    fn check(state: BlockState, is_uncle: bool, sight: &Sight, tip: u64, says: Says) {
        let found = differs(&block(state, 50, is_uncle), sight, tip, UNCLE_REACH);
        let found = found
            .as_ref()
            .map(|found| (found.says.as_str(), found.is_open));
        assert_eq!(found, says, "{state:?} {is_uncle} {sight:?} {tip}");
    }

    const fn ours(height: u64, on_top: u64, value: Option<u128>) -> Sight {
        let pay = match value {
            Some(value) => Some(Pay { value, fees: 0 }),
            None => None,
        };
        Sight::Ours {
            height,
            on_top,
            pay,
        }
    }

    const fn uncle(on_top: u64, value: u128) -> Sight {
        let pay = Some(Pay { value, fees: 0 });
        Sight::Uncle { on_top, pay }
    }

    #[test]
    fn a_block_differs_where_the_chain_shows_another_fate_or_another_value() {
        use BlockState::{Confirmed, Immature, Orphaned, Seen, Uncle};
        let other = Sight::Other { on_top: 99 };
        let unknown = Sight::Unknown;
        for (state, is_uncle, sight, says) in [
            (Immature, false, ours(7, 99, Some(50)), None),
            (Confirmed, false, ours(7, 99, Some(50)), None),
            (
                Confirmed,
                false,
                ours(7, 99, Some(49)),
                Some("is worth 50 here, and 49 on the chain"),
            ),
            (
                Confirmed,
                false,
                ours(6, 99, Some(50)),
                Some("has the height 7 here, and 6 on the chain"),
            ),
            (
                Confirmed,
                false,
                ours(7, 99, None),
                Some("pays nothing of ours on the chain"),
            ),
            (
                Confirmed,
                false,
                other,
                Some("is confirmed here, and another block has its height, with 99 on top"),
            ),
            (
                Immature,
                false,
                unknown,
                Some("is immature here, and no node shows it"),
            ),
            (
                Immature,
                false,
                uncle(99, 43),
                Some("is immature here, and an uncle on the chain"),
            ),
            (
                Seen,
                false,
                uncle(99, 50),
                Some("is seen here, and an uncle on the chain"),
            ),
            (Uncle, true, uncle(99, 50), None),
            (
                Uncle,
                true,
                uncle(99, 43),
                Some("is worth 50 here, and 43 on the chain"),
            ),
            (
                Uncle,
                true,
                ours(7, 99, Some(50)),
                Some("is an uncle here, and stands on the best chain"),
            ),
            (Orphaned, false, other, None),
            (Orphaned, false, unknown, None),
            (
                Orphaned,
                false,
                ours(7, 99, Some(50)),
                Some("is orphaned here, and stands on the best chain at height 7"),
            ),
            (
                Orphaned,
                false,
                uncle(99, 43),
                Some("is orphaned here, and is an uncle on the chain"),
            ),
        ] {
            check(state, is_uncle, &sight, 106, says.map(|says| (says, false)));
        }
        let silent = OurBlock {
            obeyed: None,
            ..block(Seen, 0, false)
        };
        assert_eq!(
            differs(&silent, &Sight::Unknown, 106, UNCLE_REACH),
            None,
            "the settler said nothing of it yet"
        );
    }

    #[test]
    fn what_the_settler_may_not_say_yet_is_open_and_what_it_ought_to_have_said_differs() {
        use BlockState::{Confirmed, Immature, Orphaned, Seen, Uncle};
        let unknown = Sight::Unknown;
        let lost = "is seen here, and no node shows it";
        // Depths are 1, and twelve blocks are left for what is said to be known here.
        for (state, is_uncle, sight, tip, says) in [
            (Seen, false, unknown, 7, (lost, true)),
            // 7 + 7 for uncles, 1, and 12.
            (Seen, false, unknown, 26, (lost, true)),
            (Seen, false, unknown, 27, (lost, false)),
            (
                Immature,
                false,
                Sight::Other { on_top: 12 },
                26,
                (
                    "is immature here, and another block has its height, with 12 on top",
                    true,
                ),
            ),
            (
                Confirmed,
                false,
                Sight::Other { on_top: 13 },
                27,
                (
                    "is confirmed here, and another block has its height, with 13 on top",
                    false,
                ),
            ),
            (
                Immature,
                false,
                uncle(12, 43),
                21,
                ("is immature here, and an uncle on the chain", true),
            ),
            (
                Immature,
                false,
                uncle(13, 43),
                22,
                ("is immature here, and an uncle on the chain", false),
            ),
            (
                Uncle,
                true,
                uncle(12, 43),
                21,
                ("is worth 50 here, and 43 on the chain", true),
            ),
            // What a block pays that stands there no depth changes.
            (
                Immature,
                false,
                ours(7, 1, Some(49)),
                8,
                ("is worth 50 here, and 49 on the chain", false),
            ),
            (
                Uncle,
                true,
                ours(7, 12, Some(50)),
                19,
                ("is an uncle here, and stands on the best chain", true),
            ),
            (
                Orphaned,
                false,
                ours(7, 12, Some(50)),
                19,
                (
                    "is orphaned here, and stands on the best chain at height 7",
                    true,
                ),
            ),
            (
                Orphaned,
                false,
                uncle(13, 43),
                21,
                ("is orphaned here, and is an uncle on the chain", false),
            ),
        ] {
            check(state, is_uncle, &sight, tip, Some(says));
        }
        // A node that is far behind tells of no reorganisation.
        let high = OurBlock {
            height: 100,
            ..block(Immature, 50, false)
        };
        for (tip, is_open) in [(87, false), (88, true)] {
            let found = differs(&high, &unknown, tip, UNCLE_REACH);
            assert_eq!(found.map(|it| it.is_open), Some(is_open), "{tip}");
        }
    }
}
