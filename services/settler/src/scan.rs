//! Finding coinbases of ours, of ethash-likes headers and uncles, on the chain that no share explains.
//!
//! A found block goes to the nodes before its share is durable. If the gateway dies between the two, nobody ever says
//! `block_found`; its coinbase stands on the chain all the same.

use std::collections::BTreeMap;

use orebook_replay::rows::StoreFault;
use orebook_schema::Hash;
use orebook_schema::work::BlockRecovered;

use crate::book::{Book, Depths, OurBlock};
use crate::decide::{Pay, Sight};
use crate::ethash::{self, EthRules};
use crate::grace::{self, LevelClock, Noticed};
use crate::look::{Dialect, Payout};
use crate::view::{ChainView, NoAnswer, on_top};

/// Heights that are looked at in one turn; the rest waits for the next turns.
pub const HEIGHTS_PER_TURN: u32 = 32;
/// Unexplained coinbases that are held at once; at the limit the scan stands still until some are said or explained.
pub const STRANGERS_MAX: usize = 256;
/// So far the scan goes back when the chain changed below what it had read.
pub const RESCAN_HEIGHTS: u64 = 144;

/// Why a turn of the scan ended early. The next one goes on where it stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanStop {
    /// The chain does not answer.
    #[error(transparent)]
    Chain(#[from] NoAnswer),
    /// The fold's rows cannot be read.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// A coinbase of ours without a share, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stranger {
    height: u64,
    /// Zero of an ethash-like.
    coinbase_txid: Hash,
    /// What it pays; of an ethash-like that is asked when it is due.
    pay: Option<Pay>,
    noticed: Noticed,
}

/// How far the chain was read.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The next height; none before the ledger has a job.
    next: Option<u64>,
    /// The last block that was read.
    last: Option<(u64, Hash)>,
    clock: LevelClock,
    strangers: BTreeMap<Hash, Stranger>,
}

/// What a turn of the scan needs to know.
#[derive(Clone, Copy, Debug)]
pub struct ScanRules<'a> {
    /// How the chain's blocks are known to be ours.
    pub dialect: &'a Dialect,
    /// Blocks on top before a block is read: the newest policy's immature depth.
    pub depth: u64,
    /// A coinbase counts as unexplained so long after every gateway could have said its share, in milliseconds.
    pub grace_ms: u64,
    /// What a coinbase's wait ends by.
    pub facts: grace::Facts<'a>,
}

impl Scan {
    /// At the ledger's beginning.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Coinbases that wait for a share to explain them.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.strangers.len()
    }

    /// The height that is read next; none before the ledger has a job.
    #[must_use]
    pub const fn next_height(&self) -> Option<u64> {
        self.next
    }

    /// Reads on, and says which blocks are to be recovered now.
    ///
    /// # Errors
    /// [`ScanStop`].
    pub async fn turn(
        &mut self,
        view: &impl ChainView,
        book: &Book,
        rules: ScanRules<'_>,
    ) -> Result<Vec<BlockRecovered>, ScanStop> {
        for hash in self.strangers.keys().copied().collect::<Vec<_>>() {
            if book.block(hash)?.is_some() {
                self.strangers.remove(&hash);
            }
        }
        let facts = &rules.facts;
        self.clock.look(facts.now, facts.ledger_time);
        self.read_on(view, book, rules).await?;
        self.due(view, book, rules).await
    }

    async fn read_on(
        &mut self,
        view: &impl ChainView,
        book: &Book,
        rules: ScanRules<'_>,
    ) -> Result<(), ScanStop> {
        let Some(first) = book.first_height()? else {
            return Ok(());
        };
        let tip = view.tip().await?.height;
        let Some(newest) = tip.checked_sub(rules.depth) else {
            return Ok(());
        };
        if let Some((height, hash)) = self.last
            && view.hash_at(height).await?.is_some_and(|now| now != hash)
        {
            self.go_back(first, height.saturating_sub(RESCAN_HEIGHTS));
        }
        let mut next = self.next.unwrap_or(first);
        for _ in 0..HEIGHTS_PER_TURN {
            if newest < next || STRANGERS_MAX <= self.strangers.len() {
                break;
            }
            let read = match rules.dialect {
                Dialect::Bitcoin(payout) => {
                    self.read_coinbase(view, book, payout, next, rules).await?
                }
                Dialect::Ethash(eth) => self.read_headers(view, book, eth, next, rules).await?,
            };
            let Some(hash) = read else {
                break;
            };
            self.last = Some((next, hash));
            next = next.saturating_add(1);
            self.next = Some(next);
        }
        Ok(())
    }

    /// Hash of the block at a height. None if the node does not have it: another one may.
    async fn read_coinbase(
        &mut self,
        view: &impl ChainView,
        book: &Book,
        payout: &Payout,
        height: u64,
        rules: ScanRules<'_>,
    ) -> Result<Option<Hash>, ScanStop> {
        let Some(hash) = view.hash_at(height).await? else {
            return Ok(None);
        };
        if book.block(hash)?.is_some() {
            return Ok(Some(hash));
        }
        let Some(block) = view.block(hash).await? else {
            return Ok(None);
        };
        if let Some(pay) = payout.of_ours(&block) {
            let stranger = Stranger {
                height: block.header.height,
                coinbase_txid: block.coinbase_txid,
                pay: Some(pay),
                noticed: self.now(rules),
            };
            self.strangers.entry(hash).or_insert(stranger);
        }
        Ok(Some(hash))
    }

    /// The same of an ethash-like: its header, and the uncles that it includes.
    async fn read_headers(
        &mut self,
        view: &impl ChainView,
        book: &Book,
        eth: &EthRules,
        height: u64,
        rules: ScanRules<'_>,
    ) -> Result<Option<Hash>, ScanStop> {
        let Some((hash, ours)) = ethash::ours_at(view, eth, height).await? else {
            return Ok(None);
        };
        for (name, height) in ours {
            if book.block(name)?.is_none() {
                let stranger = Stranger {
                    height,
                    coinbase_txid: Hash::ZERO,
                    pay: None,
                    noticed: self.now(rules),
                };
                self.strangers.entry(name).or_insert(stranger);
            }
        }
        Ok(Some(hash))
    }

    fn now(&self, rules: ScanRules<'_>) -> Noticed {
        Noticed {
            time: rules.facts.now.max(rules.facts.ledger_time),
            level_ms: self.clock.level_ms(),
        }
    }

    /// Those that nothing explained in time and that still stand deep enough. One that stands no more is forgotten, and
    /// its height read again: the chain, or the node that answers, may change its mind.
    async fn due(
        &mut self,
        view: &impl ChainView,
        book: &Book,
        rules: ScanRules<'_>,
    ) -> Result<Vec<BlockRecovered>, ScanStop> {
        let mut due = Vec::new();
        let mut gone = Vec::new();
        for (hash, stranger) in &self.strangers {
            let level_ms = self.clock.level_ms();
            if !grace::is_over(stranger.noticed, level_ms, rules.grace_ms, &rules.facts) {
                continue;
            }
            match standing(view, rules, *hash, stranger).await? {
                Standing::Deep(pay) => due.push(BlockRecovered {
                    hash: *hash,
                    height: stranger.height,
                    expects: book.recovered_at(stranger.height)?,
                    coinbase_txid: stranger.coinbase_txid,
                    value: pay.value,
                    fees: pay.fees,
                }),
                Standing::Open => {}
                Standing::Gone => gone.push((*hash, stranger.height)),
            }
        }
        for (hash, height) in gone {
            self.strangers.remove(&hash);
            self.go_back(0, height);
        }
        Ok(due)
    }

    /// The scan goes on at `height` if that is below where it is, and not below `first`.
    fn go_back(&mut self, first: u64, height: u64) {
        let height = height.max(first);
        self.next = Some(self.next.map_or(height, |next| next.min(height)));
        self.last = None;
    }
}

/// Where a stranger is now.
enum Standing {
    /// Deep enough, and it paid us this.
    Deep(Pay),
    /// Not deep enough, or nobody can tell.
    Open,
    /// Not on the chain any more.
    Gone,
}

async fn standing(
    view: &impl ChainView,
    rules: ScanRules<'_>,
    hash: Hash,
    stranger: &Stranger,
) -> Result<Standing, NoAnswer> {
    let deep = |depth: u64, pay: Option<Pay>| match pay {
        Some(pay) if rules.depth <= depth => Standing::Deep(pay),
        _ => Standing::Open,
    };
    match rules.dialect {
        Dialect::Bitcoin(_) => {
            let header = view.header(hash).await?;
            let depth = header.as_ref().and_then(on_top);
            Ok(depth.map_or(Standing::Gone, |depth| deep(depth, stranger.pay)))
        }
        Dialect::Ethash(eth) => {
            let unsaid = OurBlock {
                hash,
                height: stranger.height,
                coinbase_txid: Hash::ZERO,
                job_fees: None,
                is_direct: false,
                is_found: false,
                depths: Depths {
                    immature: 0,
                    confirmed: 0,
                    orphan: 0,
                },
                obeyed: None,
            };
            Ok(match ethash::look(view, eth, &unsaid).await? {
                Sight::Ours { on_top, pay, .. } | Sight::Uncle { on_top, pay } => deep(on_top, pay),
                Sight::Other { .. } => Standing::Gone,
                Sight::Unknown => Standing::Open,
            })
        }
    }
}
