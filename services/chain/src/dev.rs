//! The development chain: a whole bitcoin-like chain in this process, with real headers, real proof of work, real blocks, and a
//! node's judgement of them. Difficulty follows the blocks' pace, fees come and go, and orphans are made on request.
//!
//! Nothing is random or timed by itself: the clock is injected. Transactions come from a seed, and from whoever sends some: coins
//! that name a key's hash can be spent with its signature, wait in a bounded memory pool, are mined, and wait again after a
//! reorganisation. There is no network; where a transaction is, who spent a coin and what a script has can be asked.

mod coins;
mod file;
mod pool;
mod rules;
mod script;
mod state;
mod tx;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{Hash, U256, Work, WorkUnit};
use tokio::sync::watch;

pub use file::{DAMAGED_HELP, RECORD_BYTES_MAX};
pub use pool::{BLOCK_POOL_BYTES_MAX, POOL_BYTES_MAX, POOL_TRANSACTIONS_MAX};
pub use rules::{BLOCKS_MAX, SUBSIDY_MAX, TIME_LEAD_S_MAX, TRANSACTIONS_OFFERED_MAX};

pub use tx::{DUST_OTHER, DUST_WITNESS, OutPoint, TRANSACTION_BYTES_MAX};

use crate::answer::SubmitAnswer;
use crate::hash::{bits_of_target, fold_branches, number, pow_hash, sha256d};
use crate::node::{ChainBlock, ChainHeader, ChainTip};
use crate::template::{CoinbaseParts, Template, TemplateError};
use crate::wire::HeaderFields;
use file::Log;
use state::{State, Verdict};

/// Seconds since 1970, as the caller wants the chain to see them.
pub type DevClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Extranonces, of 2^32 hashes each, that a foreign miner tries for one block before it gives up with [`DevError::NotFound`].
pub const MINE_EXTRANONCES_MAX: u32 = 256;

/// Blocks more than it replaces that a foreign branch may need, since others mine meanwhile; then it gives up.
pub const BRANCH_LEAD_MAX: u64 = 64;

/// What a development chain is. All of it goes into its first block, so that two chains with the same first block are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevConfig {
    /// Proof of work: sha256d or scrypt.
    pub algorithm: Algorithm,
    /// Which transactions are offered.
    pub seed: u64,
    /// Compact target of the first blocks; [`bits_of_difficulty`] gives one.
    pub bits_start: u32,
    /// Pace that difficulty aims at, seconds per block, at least 1.
    pub block_time_s: u32,
    /// Confirmations from which a coinbase counts as mature.
    pub maturity: u32,
    /// New coins of every block, base units.
    pub subsidy: u64,
    /// Time of the first block, seconds since 1970.
    pub genesis_time: u32,
}

impl Default for DevConfig {
    /// sha256d, 10 s a block from difficulty 0.01 on, maturity 5, 50 coins of 10^8 units.
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Sha256d,
            seed: 0,
            bits_start: 0x1d63_ff9b,
            block_time_s: 10,
            maturity: 5,
            subsidy: 5_000_000_000,
            genesis_time: 1_767_225_600,
        }
    }
}

/// Compact target of a difficulty written as a plain decimal (`0.003`); `None` if it is none, or out of range.
#[must_use]
pub fn bits_of_difficulty(text: &str, unit: WorkUnit) -> Option<u32> {
    let work = Work::from_difficulty(text, unit)?;
    // A target of more than 255 bits has no compact form that a header may have.
    Some(bits_of_target(work.target(unit).min(U256::MAX >> 1)))
}

/// Why the development chain cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// An algorithm without an 80-byte header, or one that is not built yet.
    #[error("the development chain knows sha256d and scrypt only")]
    Algorithm,
    /// A compact target that is none.
    #[error("the first blocks' bits are no target")]
    Difficulty,
    /// More than [`SUBSIDY_MAX`].
    #[error("the subsidy is above {SUBSIDY_MAX}")]
    Subsidy,
    /// A block time of nothing.
    #[error("the block time is zero")]
    BlockTime,
    /// The file of blocks cannot be read or written.
    #[error("the chain's file: {0}")]
    Io(#[from] std::io::Error),
    /// The file belongs to a chain with another configuration.
    #[error("the folder holds another development chain; its first block differs")]
    OtherChain,
    /// The file is damaged before its end.
    #[error("the chain's file is damaged at byte {0}; {DAMAGED_HELP}")]
    Damaged(u64),
    /// The file is of a later version.
    #[error("the chain's file is of version {0}, which is not known here; {DAMAGED_HELP}")]
    Version(u8),
    /// More blocks than the chain has above its first.
    #[error("the chain has only {0} blocks above its first")]
    Depth(u64),
    /// The payout script of a foreign miner.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// No proof of work within [`MINE_EXTRANONCES_MAX`], or no better branch within [`BRANCH_LEAD_MAX`].
    #[error("no block was found within the limit of tries")]
    NotFound,
    /// The chain refused its own foreign miner's block.
    #[error("the block was refused: {0:?}")]
    Refused(SubmitAnswer),
}

/// Why a transaction was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DevRefusal {
    /// The reason in the words of litecoind.
    #[error("{0}")]
    Refused(&'static str),
    /// No transaction at all.
    #[error("TX decode failed")]
    Undecodable,
    /// It may be kept: the chain's file did not answer.
    #[error("the chain's file: {0}")]
    Unknown(String),
}

/// A coin of a script on the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevCoin {
    /// Which output it is.
    pub out_point: OutPoint,
    /// Base units.
    pub amount: u64,
    /// Height of its block.
    pub height: u64,
    /// 1 in the best block.
    pub confirmations: u64,
    /// Whether a block made it.
    pub is_coinbase: bool,
    /// Whether the next block may spend it.
    pub is_mature: bool,
    /// Who spends it of the transactions that wait.
    pub pool_spender: Option<Hash>,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevPlace {
    /// It waits.
    Pool,
    /// In a block of the best chain.
    Block {
        /// The block, header order.
        hash: Hash,
        /// Its height.
        height: u64,
        /// 1 in the best block.
        confirmations: u64,
    },
}

/// A transaction that the chain took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevTransaction {
    /// All its bytes.
    pub raw: Vec<u8>,
    /// Base units; 0 of a coinbase.
    pub fee: u64,
    /// Where it is.
    pub place: DevPlace,
}

/// What a script has on the best chain; what waits to be mined counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DevBalance {
    /// Base units that the next block may spend.
    pub mature: u128,
    /// Base units of coinbases with fewer confirmations than `maturity`.
    pub immature: u128,
}

/// A handle on a development chain; clones are the same chain.
#[derive(Clone)]
pub struct DevChain {
    inner: Arc<Inner>,
}

struct Inner {
    clock: DevClock,
    state: Mutex<Kept>,
    /// Counts changes of the best chain, for long polls.
    changes: watch::Sender<u64>,
}

struct Kept {
    state: State,
    log: Option<Log>,
}

impl fmt::Debug for DevChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevChain")
            .field("tip", &self.tip())
            .finish_non_exhaustive()
    }
}

impl DevChain {
    /// A chain in memory.
    ///
    /// # Errors
    /// [`DevError::Algorithm`], [`DevError::BlockTime`].
    pub fn new(config: DevConfig, clock: DevClock) -> Result<Self, DevError> {
        Ok(Self::with(State::new(config)?, None, clock))
    }

    /// A chain kept in a folder, which is made if it is missing. Every block is on disk before its submitter hears of it; a torn
    /// tail, which a kill or a power loss may leave, is cut.
    ///
    /// # Errors
    /// [`DevError`]: [`DevError::OtherChain`] and [`DevError::Damaged`] leave the file as it is.
    pub fn open(config: DevConfig, clock: DevClock, folder: &Path) -> Result<Self, DevError> {
        let mut state = State::new(config)?;
        let log = Log::open(folder, &mut state)?;
        Ok(Self::with(state, Some(log), clock))
    }

    fn with(state: State, log: Option<Log>, clock: DevClock) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                state: Mutex::new(Kept { state, log }),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// The first block's hash, header order; it follows from the configuration alone.
    #[must_use]
    pub fn genesis(&self) -> Hash {
        self.lock().state.genesis()
    }

    /// What is to be mined now. It changes with the tip, and a few seconds later more transactions are offered.
    #[must_use]
    pub fn template(&self) -> Template {
        let now = (self.inner.clock)();
        let id = *self.inner.changes.borrow();
        let kept = self.lock();
        kept.state
            .template(now, format!("{}-{id}", kept.state.tip().hash))
    }

    /// Waits until the best chain is no longer the one of this long poll id.
    pub(crate) async fn changed_from(&self, longpoll_id: &str) {
        let seen = longpoll_id
            .rsplit_once('-')
            .and_then(|(_, id)| id.parse::<u64>().ok());
        let mut changes = self.inner.changes.subscribe();
        // The sender lives as long as this handle, so waiting cannot fail.
        if changes.wait_for(|now| Some(*now) != seen).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Judges a block as a node does: `null`, `duplicate`, `inconclusive`, `high-hash` and so on (BIP22). An accepted block is
    /// on disk when this returns. Blocks the thread for a hash and a sync.
    #[must_use]
    pub fn submit(&self, block: &[u8]) -> SubmitAnswer {
        let now = (self.inner.clock)();
        let mut kept = self.lock();
        let before = kept.state.tip();
        let new = match kept.state.judge(block, Some(now)) {
            Verdict::Good(new) => new,
            Verdict::Refused(reason) => return SubmitAnswer::of_result(Some(reason)),
            Verdict::Undecodable => return SubmitAnswer::of_error(-22, "Block decode failed"),
        };
        if let Some(log) = &mut kept.log
            && let Err(error) = log.append_block(block)
        {
            return SubmitAnswer::Unknown(format!("the chain's file: {error}"));
        }
        kept.state.insert(*new);
        let is_best = kept.state.tip() != before;
        let answer = if is_best { None } else { Some("inconclusive") };
        self.tell(before, &kept);
        SubmitAnswer::of_result(answer)
    }

    /// The best block.
    #[must_use]
    pub fn tip(&self) -> ChainTip {
        self.lock().state.tip()
    }

    /// The best chain's block at a height.
    #[must_use]
    pub fn hash_at(&self, height: u64) -> Option<Hash> {
        self.lock().state.hash_at(height)
    }

    /// A known block's place.
    #[must_use]
    pub fn header(&self, hash: Hash) -> Option<ChainHeader> {
        self.lock().state.header(hash)
    }

    /// A known block and what it pays.
    #[must_use]
    pub fn block(&self, hash: Hash) -> Option<ChainBlock> {
        self.lock().state.block(hash)
    }

    /// A known block's bytes.
    #[must_use]
    pub fn block_bytes(&self, hash: Hash) -> Option<Vec<u8>> {
        self.lock().state.block_bytes(hash)
    }

    /// Judges a transaction as a node does and lets it wait for the next block; gives its id, header order. It is on disk when
    /// this returns. One that pays more replaces those that spend the same, and whoever spends their outputs.
    ///
    /// # Errors
    /// [`DevRefusal`]: `txn-already-in-mempool` and `txn-already-known` say that the chain has it.
    pub fn submit_transaction(&self, raw: &[u8]) -> Result<Hash, DevRefusal> {
        let mut kept = self.lock();
        let joining = kept.state.judge_transaction(raw, true);
        let joining = joining.ok_or(DevRefusal::Undecodable)?;
        let joining = joining.map_err(DevRefusal::Refused)?;
        if let Some(log) = &mut kept.log {
            log.append_transaction(raw)
                .map_err(|error| DevRefusal::Unknown(error.to_string()))?;
        }
        let txid = joining.txid();
        kept.state.join(joining);
        Ok(txid)
    }

    /// A transaction that was sent here, or a coinbase, if it waits or is on the best chain.
    #[must_use]
    pub fn transaction(&self, txid: Hash) -> Option<DevTransaction> {
        self.lock().state.transaction(txid)
    }

    /// Who spends an output, on the best chain or waiting.
    #[must_use]
    pub fn spender(&self, output: &OutPoint) -> Option<Hash> {
        self.lock().state.spender(output)
    }

    /// A coin of the best chain with its script; none if it is spent there or was never.
    #[must_use]
    pub fn coin(&self, output: &OutPoint) -> Option<(DevCoin, Vec<u8>)> {
        self.lock().state.coin(output)
    }

    /// The coins of a script on the best chain.
    #[must_use]
    pub fn unspent(&self, script: &[u8]) -> Vec<DevCoin> {
        self.lock().state.unspent(script)
    }

    /// What a script has on the best chain.
    #[must_use]
    pub fn balance(&self, script: &[u8]) -> DevBalance {
        self.lock().state.balance(script)
    }

    /// A foreign miner finds the next block and pays itself. Real proof of work: blocks the thread until it is found.
    ///
    /// # Errors
    /// [`DevError::Template`] for a bad script, [`DevError::NotFound`], [`DevError::Refused`] if the chain moved meanwhile.
    pub fn mine(&self, payout_script: &[u8]) -> Result<Hash, DevError> {
        let template = self.template();
        self.mine_on(&template, payout_script)
    }

    /// Drops the last `depth` blocks of the best chain, as `invalidateblock` does: they are known and no longer on it, and the
    /// next blocks replace them, unless another branch has more work than what is left. Returns the new tip.
    ///
    /// # Errors
    /// [`DevError::Depth`] if the chain is shorter, [`DevError::Io`].
    pub fn orphan_tip(&self, depth: u64) -> Result<ChainTip, DevError> {
        let mut kept = self.lock();
        let before = kept.state.tip();
        let height = before
            .height
            .checked_sub(depth)
            .ok_or(DevError::Depth(before.height))?;
        let Some(hash) = kept.state.hash_at(height + 1) else {
            return Ok(before);
        };
        if let Some(log) = &mut kept.log {
            log.append_invalid(hash)?;
        }
        kept.state.invalidate(hash);
        self.tell(before, &kept);
        Ok(kept.state.tip())
    }

    /// A foreign miner replaces the last `depth` blocks by a branch with more work: it mines from their parent on until its
    /// branch is the best, and keeps the replaced blocks known. Returns the branch. Real proof of work: blocks the thread.
    ///
    /// # Errors
    /// [`DevError::Depth`] if the chain is shorter; else as [`Self::mine`].
    pub fn reorganise(&self, depth: u64) -> Result<Vec<Hash>, DevError> {
        self.reorganise_at_most(depth, u64::MAX)
    }

    /// The same by somebody who gives up: as soon as his branch would replace more than `depth_max` blocks, since others went on
    /// meanwhile, it stays as it is, and the chain with it.
    ///
    /// # Errors
    /// As [`Self::reorganise`].
    pub fn reorganise_at_most(&self, depth: u64, depth_max: u64) -> Result<Vec<Hash>, DevError> {
        let before = self.tip();
        let height = before
            .height
            .checked_sub(depth)
            .ok_or(DevError::Depth(before.height))?;
        let mut parent = self.hash_at(height).ok_or(DevError::Depth(before.height))?;
        let mut branch = Vec::new();
        loop {
            let tip = self.tip();
            let replaced = tip.height.saturating_sub(height);
            if branch.last() == Some(&tip.hash) || depth_max < replaced {
                return Ok(branch);
            }
            if depth + BRANCH_LEAD_MAX < u64::try_from(branch.len()).unwrap_or(u64::MAX) {
                return Err(DevError::NotFound);
            }
            let now = (self.inner.clock)();
            let template = self.lock().state.template_on(parent, now, String::new());
            let template = template.ok_or(DevError::Depth(before.height))?;
            parent = self.mine_on(&template, FOREIGN_SCRIPT)?;
            branch.push(parent);
        }
    }

    /// Mines one block on a template and submits it.
    fn mine_on(&self, template: &Template, payout_script: &[u8]) -> Result<Hash, DevError> {
        let (algorithm, salt) = {
            let kept = self.lock();
            (kept.state.config().algorithm, kept.state.count())
        };
        let parts = CoinbaseParts {
            tag: *b"foreign!",
            text: "/dev/",
            payout_script,
            extranonce_bytes: 8,
        };
        let (coinbase1, coinbase2) = template.coinbase(&parts)?;
        let (block, hash) =
            work(template, algorithm, [&coinbase1, &coinbase2], salt).ok_or(DevError::NotFound)?;
        match self.submit(&block) {
            SubmitAnswer::Accepted => Ok(hash),
            SubmitAnswer::Unknown(why) if why == "inconclusive" => Ok(hash),
            answer => Err(DevError::Refused(answer)),
        }
    }

    /// Wakes long polls if the best chain changed.
    fn tell(&self, before: ChainTip, kept: &Kept) {
        if kept.state.tip() != before {
            self.inner
                .changes
                .send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The foreign miner's script where nobody gives another: a witness program nobody has.
const FOREIGN_SCRIPT: &[u8] = &[
    0, 20, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0,
    0xf0, 0xf0, 0xf0, 0xf0, 0xf0, 0xf0,
];

/// Searches extranonce and nonce space for a block; gives its bytes and hash. The salt makes blocks of one template differ.
fn work(
    template: &Template,
    algorithm: Algorithm,
    [coinbase1, coinbase2]: [&[u8]; 2],
    salt: u32,
) -> Option<(Vec<u8>, Hash)> {
    for tried in 0..MINE_EXTRANONCES_MAX {
        let extranonce = [salt.to_be_bytes(), tried.to_be_bytes()].concat();
        let coinbase = [coinbase1, &extranonce, coinbase2].concat();
        let root = fold_branches(sha256d(&coinbase), &template.branches());
        let fields = HeaderFields {
            version: template.version,
            prev: template.prev,
            root,
            time: template.time,
            nbits: template.nbits,
            nonce: 0,
        };
        let found = (0..=u32::MAX)
            .map(|nonce| HeaderFields { nonce, ..fields }.bytes())
            .find(|header| {
                pow_hash(header, algorithm).is_some_and(|hash| number(hash) <= template.target())
            });
        if let Some(header) = found {
            return Some((template.block(&header, &coinbase), sha256d(&header)));
        }
    }
    None
}
