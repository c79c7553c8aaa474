//! The development chain's blocks, which of them are the best chain, and the judgement of a new one.

use std::collections::BTreeMap;

use orebook_schema::units::{Hash, U256, target_of_bits};

use super::coins::{Coin, Coins, Effect, Spending, View, made};
use super::pool::{Joining, Pool};
use super::rules::{
    BLOCKS_MAX, COMMITMENT_PREFIX, MEDIAN_BLOCKS, Offered, SUBSIDY_MAX, TIME_LEAD_S_MAX,
    WINDOW_BLOCKS, chain_work, commitment, commitment_with, genesis_block, median, next_bits,
    offered,
};
use super::tx::{OutPoint, Tx};
use super::{DevBalance, DevCoin, DevConfig, DevError, DevPlace, DevTransaction};
use crate::hash::{merkle_root, number, pow_hash, sha256d};
use crate::node::{ChainBlock, ChainHeader, ChainTip};
use crate::template::{Template, TemplateFields, Transaction};
use crate::wire::{
    Block, HeaderFields, SCRIPT_SIG_BYTES_MAX, coinbase_of_block, first_transaction, height_push,
};

/// Weight that this chain's transactions always leave for a coinbase: as much as a job holds.
const COINBASE_WEIGHT_MAX: u64 = 80_000;
/// Cost of signature operations that they leave for it.
const COINBASE_SIGOPS_MAX: u64 = 40_000;

/// A block that passed every test.
#[derive(Debug)]
pub(super) struct NewBlock {
    hash: Hash,
    entry: Entry,
}

/// What a node says of a block.
#[derive(Debug)]
pub(super) enum Verdict {
    Good(Box<NewBlock>),
    /// The reason, in the words of litecoind.
    Refused(&'static str),
    /// No block at all.
    Undecodable,
}

#[derive(Debug)]
struct Entry {
    bytes: Vec<u8>,
    header: HeaderFields,
    height: u64,
    /// Of the chain up to and with this block.
    work: U256,
    fees: u64,
    /// What it does to the coins.
    effect: Effect,
    is_invalid: bool,
}

/// Every known block, the best chain with its coins, and what waits to be mined.
#[derive(Debug)]
pub(super) struct State {
    config: DevConfig,
    blocks: BTreeMap<Hash, Entry>,
    /// Blocks in the order of their coming; parents stand before children.
    arrivals: Vec<Hash>,
    /// The best chain by height.
    best: Vec<Hash>,
    /// Of the best chain.
    coins: Coins,
    pool: Pool,
}

impl State {
    pub(super) fn new(config: DevConfig) -> Result<Self, DevError> {
        if pow_hash(&[0; 80], config.algorithm).is_none() {
            return Err(DevError::Algorithm);
        }
        if config.block_time_s == 0 {
            return Err(DevError::BlockTime);
        }
        if target_of_bits(config.bits_start).is_none() {
            return Err(DevError::Difficulty);
        }
        if SUBSIDY_MAX < config.subsidy {
            return Err(DevError::Subsidy);
        }
        let bytes = genesis_block(&config);
        let block = Block::read(&bytes).map_err(|_| DevError::Difficulty)?;
        let header = HeaderFields::read(&block.header);
        let hash = sha256d(&block.header);
        let entry = Entry {
            bytes,
            header,
            height: 0,
            work: U256::ZERO,
            fees: 0,
            effect: Effect::default(),
            is_invalid: false,
        };
        Ok(Self {
            config,
            blocks: BTreeMap::from([(hash, entry)]),
            arrivals: vec![hash],
            best: vec![hash],
            coins: Coins::default(),
            pool: Pool::default(),
        })
    }

    pub(super) const fn config(&self) -> &DevConfig {
        &self.config
    }

    /// How many blocks are known, side branches included.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.arrivals.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn genesis(&self) -> Hash {
        self.best.first().copied().unwrap_or_default()
    }

    pub(super) fn tip(&self) -> ChainTip {
        let hash = self.best.last().copied().unwrap_or_default();
        ChainTip {
            height: self.blocks.get(&hash).map_or(0, |entry| entry.height),
            hash,
        }
    }

    pub(super) fn hash_at(&self, height: u64) -> Option<Hash> {
        self.best.get(usize::try_from(height).ok()?).copied()
    }

    pub(super) fn header(&self, hash: Hash) -> Option<ChainHeader> {
        let entry = self.blocks.get(&hash)?;
        let is_best = self.hash_at(entry.height) == Some(hash);
        let above = self.tip().height.saturating_sub(entry.height);
        let confirmations = if is_best {
            i64::try_from(above).unwrap_or(i64::MAX).saturating_add(1)
        } else {
            -1
        };
        Some(ChainHeader {
            hash,
            height: entry.height,
            confirmations,
            prev: entry.header.prev,
            time: entry.header.time,
        })
    }

    pub(super) fn block(&self, hash: Hash) -> Option<ChainBlock> {
        let entry = self.blocks.get(&hash)?;
        let coinbase = coinbase_of_block(&entry.bytes).ok()?;
        let outputs = coinbase
            .outputs
            .into_iter()
            .map(|(value, script)| (u128::from(value), script));
        let subsidy = if entry.height == 0 {
            0
        } else {
            self.config.subsidy
        };
        Some(ChainBlock {
            header: self.header(hash)?,
            coinbase_txid: coinbase.txid,
            coinbase_script_sig: coinbase.script_sig,
            coinbase_outputs: outputs.collect(),
            subsidy: Some(u128::from(subsidy)),
            fees: Some(u128::from(entry.fees)),
        })
    }

    pub(super) fn block_bytes(&self, hash: Hash) -> Option<Vec<u8>> {
        self.blocks.get(&hash).map(|entry| entry.bytes.clone())
    }

    pub(super) fn balance(&self, script: &[u8]) -> DevBalance {
        let mut balance = DevBalance::default();
        for coin in self.unspent(script) {
            let amount = u128::from(coin.amount);
            let sum = if coin.is_mature {
                &mut balance.mature
            } else {
                &mut balance.immature
            };
            *sum = sum.saturating_add(amount);
        }
        balance
    }

    /// The script's coins on the best chain.
    pub(super) fn unspent(&self, script: &[u8]) -> Vec<DevCoin> {
        let coins = self.coins.of_script(script);
        coins.map(|(point, coin)| self.shown(point, coin)).collect()
    }

    pub(super) fn coin(&self, point: &OutPoint) -> Option<(DevCoin, Vec<u8>)> {
        let coin = self.coins.get(point)?;
        Some((self.shown(*point, coin), coin.script.clone()))
    }

    /// A coinbase's is mature from so many confirmations on.
    fn shown(&self, point: OutPoint, coin: &Coin) -> DevCoin {
        let confirmations = (self.tip().height + 1).saturating_sub(coin.height);
        DevCoin {
            out_point: point,
            amount: coin.amount,
            height: coin.height,
            confirmations,
            is_coinbase: coin.is_coinbase,
            is_mature: !coin.is_coinbase || u64::from(self.config.maturity) <= confirmations,
            pool_spender: self.pool.spender(&point),
        }
    }

    /// A transaction that waits, or is in a block of the best chain; those of the seed are not known.
    pub(super) fn transaction(&self, txid: Hash) -> Option<DevTransaction> {
        if let Some((tx, fee)) = self.pool.get(txid) {
            return Some(DevTransaction {
                raw: tx.raw.clone(),
                fee,
                place: DevPlace::Pool,
            });
        }
        let hash = self.coins.block_of(txid)?;
        let entry = self.blocks.get(&hash)?;
        let mut payments = entry.effect.payments.iter();
        let (raw, fee) = match payments.find(|(tx, _)| tx.txid == txid) {
            Some((tx, fee)) => (tx.raw.clone(), *fee),
            None => (first_transaction(&entry.bytes).ok()?.to_vec(), 0),
        };
        Some(DevTransaction {
            raw,
            fee,
            place: DevPlace::Block {
                hash,
                height: entry.height,
                confirmations: (self.tip().height + 1).saturating_sub(entry.height),
            },
        })
    }

    /// Who spends an output: on the best chain, or else of those that wait.
    pub(super) fn spender(&self, point: &OutPoint) -> Option<Hash> {
        self.coins
            .spender(point)
            .or_else(|| self.pool.spender(point))
    }

    /// Whether a transaction may wait for the next block; nothing is changed.
    pub(super) fn judge_transaction(
        &self,
        raw: &[u8],
        checks_signatures: bool,
    ) -> Option<Result<Joining, &'static str>> {
        let tx = Tx::read(raw)?;
        if self.coins.block_of(tx.txid).is_some() {
            return Some(Err("txn-already-known"));
        }
        let at = self.spending(self.tip().height + 1, checks_signatures);
        Some(self.pool.judge(tx, &self.coins, at))
    }

    /// Lets it wait.
    pub(super) fn join(&mut self, joining: Joining) {
        self.pool.join(joining);
    }

    const fn spending(&self, height: u64, checks_signatures: bool) -> Spending {
        Spending {
            height,
            maturity: self.config.maturity,
            checks_signatures,
        }
    }

    /// The template on the best block.
    pub(super) fn template(&self, now: u64, longpoll_id: String) -> Template {
        // Every block in the map passed `judge`, and the configuration's limits keep amounts and heights in range.
        let Some(template) = self.template_on(self.tip().hash, now, longpoll_id) else {
            unreachable!("the tip is a known block, whose child has a legal template")
        };
        template
    }

    /// A template on any known block.
    pub(super) fn template_on(
        &self,
        parent: Hash,
        now: u64,
        longpoll_id: String,
    ) -> Option<Template> {
        let entry = self.blocks.get(&parent)?;
        let offered = offered(self.config.seed, parent, entry.header.time);
        let offered: Vec<Offered> = offered.into_iter().filter(|one| one.is_out(now)).collect();
        let mut wtxids: Vec<Hash> = offered.iter().map(|one| one.wtxid).collect();
        let mut transactions: Vec<Transaction> =
            offered.into_iter().map(|one| one.transaction).collect();
        // What waits is judged by the best chain's coins; who mines elsewhere leaves it waiting.
        if parent == self.tip().hash {
            for (tx, fee) in self.pool.next_block() {
                wtxids.push(tx.wtxid);
                transactions.push(Transaction {
                    data: tx.raw.clone(),
                    txid: tx.txid,
                    fee,
                });
            }
        }
        let fees = transactions.iter().map(|tx| tx.fee).sum::<u64>();
        let mintime = self.median_before(parent).saturating_add(1);
        Template::new(TemplateFields {
            height: entry.height + 1,
            prev: parent,
            version: 0x2000_0000,
            nbits: self.bits_after(parent),
            time: u32::try_from(now).unwrap_or(u32::MAX).max(mintime),
            mintime,
            reward: self.config.subsidy.checked_add(fees)?,
            fees,
            transactions,
            witness_commitment: Some(commitment(&wtxids)),
            mweb: None,
            aux_flags: Vec::new(),
            longpoll_id: Some(longpoll_id),
            coinbase_weight_max: COINBASE_WEIGHT_MAX,
            coinbase_sigops_max: COINBASE_SIGOPS_MAX,
        })
        .ok()
    }

    /// Judges a block. Without a clock it is one of our own file: proof of work and the time's lead were tested before.
    pub(super) fn judge(&self, bytes: &[u8], clock: Option<u64>) -> Verdict {
        let Ok(block) = Block::read(bytes) else {
            return Verdict::Undecodable;
        };
        match self.judge_block(&block, clock) {
            Err(reason) => Verdict::Refused(reason),
            Ok(Judged {
                height,
                work,
                fees,
                effect,
            }) => Verdict::Good(Box::new(NewBlock {
                hash: sha256d(&block.header),
                entry: Entry {
                    bytes: bytes.to_vec(),
                    header: HeaderFields::read(&block.header),
                    height,
                    work,
                    fees,
                    effect,
                    is_invalid: false,
                },
            })),
        }
    }

    /// The tests in litecoind's order, with its words.
    fn judge_block(&self, block: &Block, clock: Option<u64>) -> Result<Judged, &'static str> {
        let header = HeaderFields::read(&block.header);
        if let Some(known) = self.blocks.get(&sha256d(&block.header)) {
            return Err(if known.is_invalid {
                "duplicate-invalid"
            } else {
                "duplicate"
            });
        }
        let target = target_of_bits(header.nbits).ok_or("high-hash")?;
        let proves = || {
            pow_hash(&block.header, self.config.algorithm)
                .is_some_and(|hash| number(hash) <= target)
        };
        if clock.is_some() && !proves() {
            return Err("high-hash");
        }
        let txids: Vec<Hash> = block.transactions.iter().map(|tx| tx.txid).collect();
        if header.root != merkle_root([&[block.coinbase.txid], txids.as_slice()].concat()) {
            return Err("bad-txnmrklroot");
        }
        let parent = self.blocks.get(&header.prev).ok_or("prev-blk-not-found")?;
        if parent.is_invalid {
            return Err("bad-prevblk");
        }
        if header.nbits != self.bits_after(header.prev) {
            return Err("bad-diffbits");
        }
        if header.time <= self.median_before(header.prev) {
            return Err("time-too-old");
        }
        if clock.is_some_and(|now| now.saturating_add(TIME_LEAD_S_MAX) < u64::from(header.time)) {
            return Err("time-too-new");
        }
        let height = parent.height + 1;
        let (fees, effect) = self.judge_content(
            block,
            self.spending(height, clock.is_some()),
            offered(self.config.seed, header.prev, parent.header.time),
        )?;
        if BLOCKS_MAX <= self.blocks.len() {
            return Err("dev-chain-full");
        }
        Ok(Judged {
            height,
            work: parent.work.saturating_add(chain_work(header.nbits)),
            fees,
            effect,
        })
    }

    /// Coinbase, transactions, amounts, witnesses. Gives the fees, and what it does to the coins.
    fn judge_content(
        &self,
        block: &Block,
        at: Spending,
        offered: Vec<Offered>,
    ) -> Result<(u64, Effect), &'static str> {
        let coinbase = &block.coinbase;
        if !(2..=SCRIPT_SIG_BYTES_MAX).contains(&coinbase.script_sig.len()) {
            return Err("bad-cb-length");
        }
        if !coinbase.script_sig.starts_with(&height_push(at.height)) {
            return Err("bad-cb-height");
        }
        let parent = HeaderFields::read(&block.header).prev;
        let mut view = self.view_at(parent);
        let mut left = offered;
        let mut effect = Effect::default();
        let mut fees = 0u64;
        for tx in &block.transactions {
            let is_it = |one: &Offered| one.transaction.txid == tx.txid && one.wtxid == tx.wtxid;
            if let Some(place) = left.iter().position(is_it) {
                fees += left.remove(place).transaction.fee;
                continue;
            }
            let tx = Tx::read(&tx.bytes).ok_or("bad-txns-vin-empty")?;
            tx.check(at.height)?;
            let (fee, done) = view.spend(&tx, at)?;
            fees = fees
                .checked_add(fee)
                .filter(|fees| *fees <= SUBSIDY_MAX)
                .ok_or("bad-txns-accumulated-fee-outofrange")?;
            effect.spent.extend(done.spent);
            effect.made.extend(done.made);
            effect.payments.push((tx, fee));
        }
        effect.coinbase = coinbase.txid;
        effect
            .made
            .extend(made(coinbase.txid, &coinbase.outputs, at.height, true));
        let paid = coinbase
            .outputs
            .iter()
            .try_fold(0u64, |sum, (value, _)| sum.checked_add(*value));
        if paid.is_none_or(|paid| self.config.subsidy.saturating_add(fees) < paid) {
            return Err("bad-cb-amount");
        }
        judge_witness(block)?;
        Ok((fees, effect))
    }

    /// The coins as they are after any known block.
    fn view_at(&self, parent: Hash) -> View<'_> {
        let mut view = View::new(&self.coins);
        let mut branch = Vec::new();
        let chain = std::iter::successors(self.blocks.get_key_value(&parent), |(_, entry)| {
            self.blocks.get_key_value(&entry.header.prev)
        });
        let mut fork = 0;
        for (hash, entry) in chain {
            if self.hash_at(entry.height) == Some(*hash) {
                fork = entry.height;
                break;
            }
            branch.push(entry);
        }
        let kept = usize::try_from(fork)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        let left = self.best.iter().skip(kept).rev();
        for entry in left.filter_map(|hash| self.blocks.get(hash)) {
            view.disconnect(&entry.effect);
        }
        for entry in branch.into_iter().rev() {
            view.connect(&entry.effect);
        }
        view
    }

    /// Keeps a good block; the chain with the most work is the best, of equals the one that was first.
    pub(super) fn insert(&mut self, new: NewBlock) {
        let best = self
            .blocks
            .get(&self.tip().hash)
            .map_or(U256::ZERO, |tip| tip.work);
        let is_better = best < new.entry.work;
        self.arrivals.push(new.hash);
        self.blocks.insert(new.hash, new.entry);
        if is_better {
            self.follow(new.hash);
        }
    }

    /// Marks a block and its descendants; the best of the others is followed. The first block stays.
    pub(super) fn invalidate(&mut self, hash: Hash) {
        for one in self.arrivals.iter().skip(1) {
            let parent = self.blocks.get(one).map(|entry| entry.header.prev);
            let of_invalid = parent
                .and_then(|parent| self.blocks.get(&parent))
                .is_some_and(|parent| parent.is_invalid);
            if let Some(entry) = self.blocks.get_mut(one)
                && (*one == hash || of_invalid)
            {
                entry.is_invalid = true;
            }
        }
        let mut best = (U256::ZERO, self.genesis());
        for one in &self.arrivals {
            if let Some(entry) = self.blocks.get(one)
                && !entry.is_invalid
                && best.0 < entry.work
            {
                best = (entry.work, *one);
            }
        }
        self.follow(best.1);
    }

    /// Makes the chain up to `tip` the best one. What was mined on blocks that are left waits again, as far as it may.
    fn follow(&mut self, tip: Hash) {
        let mut branch = Vec::new();
        let mut left = Vec::new();
        let mut at = tip;
        while let Some(entry) = self.blocks.get(&at) {
            if self.hash_at(entry.height) == Some(at) {
                let kept = usize::try_from(entry.height)
                    .unwrap_or(usize::MAX)
                    .saturating_add(1);
                left = self.best.split_off(kept.min(self.best.len()));
                break;
            }
            branch.push(at);
            at = entry.header.prev;
        }
        let mut back = Vec::new();
        for entry in left.iter().filter_map(|hash| self.blocks.get(hash)) {
            back.extend(entry.effect.payments.iter().map(|(tx, _)| tx.clone()));
        }
        for entry in left.iter().rev().filter_map(|hash| self.blocks.get(hash)) {
            self.coins.disconnect(&entry.effect);
        }
        for hash in branch.into_iter().rev() {
            if let Some(entry) = self.blocks.get(&hash) {
                self.coins.connect(hash, &entry.effect);
            }
            self.best.push(hash);
        }
        // Signatures were judged when it came.
        let next = self.spending(self.tip().height + 1, false);
        self.pool.refresh(back, &self.coins, next);
    }

    /// The chain from a block downwards, without the first block of all.
    fn ancestors(&self, from: Hash) -> impl Iterator<Item = &Entry> {
        let start = self.blocks.get(&from);
        let chain = std::iter::successors(start, |entry| self.blocks.get(&entry.header.prev));
        chain.filter(|entry| 0 < entry.height)
    }

    fn bits_after(&self, parent: Hash) -> u32 {
        let newest = self.ancestors(parent).take(WINDOW_BLOCKS + 1);
        let mut window: Vec<(u32, u32)> = newest
            .map(|entry| (entry.header.time, entry.header.nbits))
            .collect();
        window.reverse();
        next_bits(&window, &self.config)
    }

    fn median_before(&self, parent: Hash) -> u32 {
        let times: Vec<u32> = self
            .ancestors(parent)
            .take(MEDIAN_BLOCKS)
            .map(|entry| entry.header.time)
            .collect();
        if times.is_empty() {
            self.config.genesis_time
        } else {
            median(times)
        }
    }
}

/// What the judgement of a good block gives.
struct Judged {
    height: u64,
    /// Of the chain up to and with it.
    work: U256,
    fees: u64,
    effect: Effect,
}

/// BIP141: a commitment has its reserved value and fits the witnesses; without one there is no witness.
fn judge_witness(block: &Block) -> Result<(), &'static str> {
    let coinbase = &block.coinbase;
    let commits = |script: &&Vec<u8>| script.starts_with(&COMMITMENT_PREFIX) && 38 <= script.len();
    let script = coinbase
        .outputs
        .iter()
        .map(|(_, script)| script)
        .rfind(commits);
    let Some(script) = script else {
        let has_witness =
            block.transactions.iter().any(|tx| tx.wtxid != tx.txid) || !coinbase.witness.is_empty();
        return if has_witness {
            Err("unexpected-witness")
        } else {
            Ok(())
        };
    };
    let [reserved] = coinbase.witness.as_slice() else {
        return Err("bad-witness-nonce-size");
    };
    if reserved.len() != 32 {
        return Err("bad-witness-nonce-size");
    }
    let wtxids: Vec<Hash> = block.transactions.iter().map(|tx| tx.wtxid).collect();
    if script.starts_with(&commitment_with(&wtxids, reserved)) {
        Ok(())
    } else {
        Err("bad-witness-merkle-match")
    }
}
