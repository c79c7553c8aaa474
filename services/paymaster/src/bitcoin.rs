//! A wallet on a bitcoin-like chain: one transaction for a whole batch, from coins that the node shows.
//!
//! The key is in a file, or the node's own wallet has it and signs; the coins are chosen here either way. Only coins in a block are
//! spent. Nothing is kept but what a node said, to ask it less: amounts of coins, the newest list of them, where a coin was spent.
//!
//! Reading order: [`tx`] (bytes), [`key`], [`coins`] (which), [`sign`], `look` (what became of it), and `survey` (all of it).

pub mod coins;
pub mod key;
mod look;
mod memory;
pub mod sign;
mod survey;
pub mod tx;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Range;

use orebook_chain::NodeError;
use orebook_chain::address::{Network, show};
use orebook_chain::wallet::bitcoin::{BitcoinNode, Coin, Heard, Outpoint, Standing};
use orebook_schema::names::Script;
use orebook_schema::{Account, Hash};

use crate::survey::{Asked, Surveyed};
use crate::wallet::{
    Found, Order, Pay, Ready, Sent, Sight, SignedTx, Wallet, WalletError, Watched,
};
use coins::{Choice, ChoiceError, Lock, Replaces, Wish, choose};
use key::Key;
use memory::Memory;
use tx::{Input, Output, Tx, outpoint_bytes};

/// The sequence number of our inputs: they may be replaced (BIP125), and have no relative lock time (BIP68).
pub const SEQUENCE: u32 = 0xffff_fffd;
/// How often other coins are chosen where somebody spent one in between.
const CHOICES_MAX: usize = 8;
/// Bytes of the largest usual output and of what spends it: what the dust limit is counted from (Bitcoin Core's policy.cpp).
const DUST_BYTES: u64 = 182;
/// Least that a replacement pays more for 1,000 virtual bytes, whatever the node says.
const REPLACE_RATE_MIN: u64 = 1_000;

/// A wallet's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitcoinConfig {
    /// Which chain: how addresses are written.
    pub network: Network,
    /// The wallet's own output script: blocks pay it, change comes back to it. Of a SegWit or an old address of the key.
    pub script: Script,
    /// Most base units for 1,000 virtual bytes.
    pub rate_max: u64,
    /// Base units for 1,000 virtual bytes where the node has no estimate.
    pub rate_fallback: u64,
    /// Most that one transaction may cost, base units.
    pub fee_max: u64,
    /// Within how many blocks a payment should be mined, 1 to 1,008.
    pub target_blocks: u16,
    /// Confirmations that a coinbase needs before it is spent.
    pub maturity: u64,
    /// Fewest peers of the node with which anything is paid.
    pub peers_min: u64,
    /// How many blocks are read backwards to find what spent a coin.
    pub scan_blocks: u32,
    /// Base units for 1,000 bytes by which the chain's nodes count dust.
    pub dust_rate: u64,
}

impl BitcoinConfig {
    /// The usual: at most 200 base units a virtual byte, 10 without an estimate, a twentieth of a coin for a transaction; a place
    /// within 6 blocks; coinbases after 100; a peer, but none on a chain of one's own; 2,016 blocks back; dust as Bitcoin's and
    /// Litecoin's nodes count it.
    #[must_use]
    pub const fn new(network: Network, script: Script) -> Self {
        let is_own = matches!(
            network,
            Network::BitcoinRegtest | Network::LitecoinRegtest | Network::Development
        );
        let is_litecoin = matches!(
            network,
            Network::Litecoin | Network::LitecoinTest | Network::LitecoinRegtest
        );
        Self {
            network,
            script,
            rate_max: 200_000,
            rate_fallback: 10_000,
            fee_max: 5_000_000,
            target_blocks: 6,
            maturity: 100,
            peers_min: if is_own { 0 } else { 1 },
            scan_blocks: 2_016,
            dust_rate: if is_litecoin { 30_000 } else { 3_000 },
        }
    }

    /// Smallest output that is made, base units.
    #[must_use]
    pub const fn dust(&self) -> u64 {
        let dust = DUST_BYTES.saturating_mul(self.dust_rate).div_ceil(1_000);
        if dust == 0 { 1 } else { dust }
    }
}

/// Why a wallet cannot be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// A chain of another kind.
    #[error("{0} is no bitcoin-like chain")]
    Network(Network),
    /// A script that is not spent here.
    #[error(
        "the wallet's address must be a SegWit address of one key, or an old one that begins with the chain's letter for keys"
    )]
    Script,
    /// Another key's address.
    #[error("the wallet's address is not of the key in the key file")]
    OtherKey,
    /// A limit of zero.
    #[error("{0} must not be zero")]
    Zero(&'static str),
}

/// A hot wallet on a bitcoin-like chain.
#[derive(Debug)]
pub struct BitcoinWallet {
    config: BitcoinConfig,
    /// `None`: the node's wallet has it.
    key: Option<Key>,
    node: BitcoinNode,
    memory: Memory,
}

impl BitcoinWallet {
    /// A wallet of a key, or, without one, the wallet inside the node. Nothing is asked yet.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(
        config: BitcoinConfig,
        key: Option<Key>,
        node: BitcoinNode,
    ) -> Result<Self, SetupError> {
        let script = config.script.bytes();
        if show(script, config.network).is_none() {
            return Err(if config.network.is_evm() {
                SetupError::Network(config.network)
            } else {
                SetupError::Script
            });
        }
        match (&key, Lock::of(script)) {
            (_, None) | (Some(_), Some(Lock::Nested)) => return Err(SetupError::Script),
            (Some(key), _) if script != key.witness_script() && script != key.legacy_script() => {
                return Err(SetupError::OtherKey);
            }
            _ => {}
        }
        let limits = [
            ("the highest fee rate", config.rate_max),
            ("the fee rate without an estimate", config.rate_fallback),
            ("the highest fee", config.fee_max),
            (
                "the blocks within which a payment is mined",
                config.target_blocks.into(),
            ),
            (
                "the number of blocks read backwards",
                config.scan_blocks.into(),
            ),
        ];
        if let Some((what, _)) = limits.into_iter().find(|(_, value)| *value == 0) {
            return Err(SetupError::Zero(what));
        }
        Ok(Self {
            config,
            key,
            node,
            memory: Memory::default(),
        })
    }

    /// The node stands as a payment needs it.
    async fn standing(&self) -> Result<Standing, WalletError> {
        let standing = self.node.standing().await.map_err(no_answer)?;
        if standing.is_catching_up {
            return Err(not_ready("the node is still catching up with the chain"));
        }
        if standing.peers < self.config.peers_min {
            let (peers, least) = (standing.peers, self.config.peers_min);
            return Err(not_ready(&format!(
                "the node has {peers} peers and needs {least}"
            )));
        }
        Ok(standing)
    }

    async fn look_at_funds(&self) -> Result<Ready, WalletError> {
        let standing = self.standing().await?;
        let (coins, balance) = self.funds(&standing).await?;
        let total = |coins: &[Coin]| {
            coins
                .iter()
                .map(|coin| u128::from(coin.value))
                .sum::<u128>()
        };
        let spendable = total(&coins);
        Ok(Ready {
            address: Account::Script(self.config.script.clone()),
            spendable,
            balance: balance.max(spendable),
            height: standing.height,
            dust: u128::from(self.config.dust()),
        })
    }

    /// Coins that can be spent now, and all that the wallet has.
    async fn funds(&self, standing: &Standing) -> Result<(Vec<Coin>, u128), WalletError> {
        if self.key.is_some() {
            let listed = self.listed(standing).await?;
            let balance = listed.iter().map(|coin| u128::from(coin.value)).sum();
            let mature = listed.into_iter().filter(|coin| self.is_mature(coin));
            return Ok((mature.collect(), balance));
        }
        let script = self.config.script.bytes();
        let address = show(script, self.config.network).unwrap_or_default();
        let held = self.node.held_balance().await.map_err(no_answer)?;
        if held.is_locked {
            return Err(not_ready("the node's wallet is locked, or has no keys"));
        }
        let is_own = self.node.held_is_own(&address, script).await;
        if !is_own.map_err(no_answer)? {
            return Err(not_ready(
                "the node's wallet has no key of the wallet's address",
            ));
        }
        let mut coins = self.node.held_coins().await.map_err(no_answer)?;
        coins.retain(|coin| Lock::of(&coin.script).is_some());
        Ok((coins, u128::from(held.total)))
    }

    /// The key's coins in the best chain, from the node's set of unspent outputs; asked anew for every new block.
    async fn listed(&self, standing: &Standing) -> Result<Vec<Coin>, WalletError> {
        if let Some(coins) = self.memory.coins_at(standing.hash) {
            return Ok(coins);
        }
        let script = self.config.script.bytes();
        let mut listed = self.node.coins(script).await.map_err(no_answer)?;
        // Older nodes do not say which are coinbases; it matters of young ones only.
        let is_open =
            |coin: &Coin| coin.is_coinbase.is_none() && coin.confirmations < self.config.maturity;
        let open: Vec<Outpoint> = listed
            .coins
            .iter()
            .filter(|coin| is_open(coin))
            .map(|coin| coin.outpoint)
            .collect();
        let told = self.node.outputs(&open, false).await.map_err(no_answer)?;
        let mut told = told.into_iter();
        for coin in listed.coins.iter_mut().filter(|coin| is_open(coin)) {
            // One that is gone by now is not spendable either.
            let told = told.next().flatten();
            coin.is_coinbase = Some(told.is_none_or(|told| told.is_coinbase != Some(false)));
        }
        self.memory.keep_coins(listed.tip, &listed.coins);
        Ok(listed.coins)
    }

    fn is_mature(&self, coin: &Coin) -> bool {
        self.config.maturity <= coin.confirmations || coin.is_coinbase == Some(false)
    }

    /// Base units for 1,000 virtual bytes now, within the cap.
    async fn rate(&self, standing: &Standing) -> Result<u64, WalletError> {
        let asked = self.node.rate(self.config.target_blocks).await;
        let rate = asked
            .map_err(no_answer)?
            .unwrap_or(self.config.rate_fallback);
        let (least, most) = (standing.relay_rate, self.config.rate_max);
        if most < least {
            return Err(not_ready(&format!(
                "fee above its cap: the node relays from {least} base units for 1,000 bytes on, and the cap is {most}"
            )));
        }
        Ok(rate.clamp(least, most))
    }

    fn outputs(&self, pays: &[Pay]) -> Result<Vec<Output>, WalletError> {
        if pays.is_empty() {
            return Err(WalletError::Cannot("nothing is to be paid".to_owned()));
        }
        let mut outputs = Vec::with_capacity(pays.len());
        for pay in pays {
            let Account::Script(script) = &pay.address else {
                return Err(WalletError::Cannot(
                    "an address of another kind of chain".to_owned(),
                ));
            };
            let value = u64::try_from(pay.amount).ok();
            let Some(value) = value.filter(|value| 0 < *value) else {
                return Err(WalletError::Cannot("an amount that no coin has".to_owned()));
            };
            let script = script.bytes().to_vec();
            outputs.push(Output { value, script });
        }
        Ok(outputs)
    }

    async fn expected_fee(&self, pays: &[Pay]) -> Result<u128, WalletError> {
        let outputs = self.outputs(pays)?;
        let standing = self.standing().await?;
        let rate = self.rate(&standing).await?;
        let (coins, _) = self.funds(&standing).await?;
        let wish = self.wish(&outputs, rate, &standing, self.config.fee_max);
        let choice = choose(&[], &coins, &wish).map_err(cannot_choose)?;
        Ok(u128::from(choice.fee))
    }

    fn wish<'a>(
        &'a self,
        pays: &'a [Output],
        rate: u64,
        standing: &Standing,
        fee_max: u64,
    ) -> Wish<'a> {
        Wish {
            pays,
            change_script: self.config.script.bytes(),
            dust: self.config.dust(),
            rate,
            rate_least: standing.relay_rate,
            fee_max,
            replaces: None,
        }
    }

    async fn make(&self, order: &Order) -> Result<SignedTx, WalletError> {
        let outputs = self.outputs(&order.pays)?;
        let taken = spent_by(&order.taken)?;
        let standing = self.standing().await?;
        let rate = self.rate(&standing).await?;
        let (mut coins, _) = self.funds(&standing).await?;
        coins.retain(|coin| !taken.contains(&coin.outpoint));
        let fee_max = u64::try_from(order.fee_max).unwrap_or(u64::MAX);
        let mut wish = self.wish(&outputs, rate, &standing, fee_max.min(self.config.fee_max));
        let mut must = Vec::new();
        if let Some(raw) = &order.replaces {
            let old = read(raw)?;
            (must, wish.replaces) = self.replaced(&old, &taken, &standing).await?;
        }
        for _ in 0..CHOICES_MAX {
            let choice = choose(&must, &coins, &wish).map_err(cannot_choose)?;
            let gone = self.gone(&choice, &must).await?;
            if gone.is_empty() {
                let unsigned = unsigned(&choice, &outputs, self.config.script.bytes());
                let replaces = order.replaces.is_some();
                return self.signed(&unsigned, &choice, replaces).await;
            }
            coins.retain(|coin| !gone.contains(&coin.outpoint));
        }
        Err(not_ready("somebody else spends the wallet's coins"))
    }

    /// What the older version spends and pays: its coins stay in the new one, the first of them first.
    async fn replaced(
        &self,
        old: &Tx,
        taken: &BTreeSet<Outpoint>,
        standing: &Standing,
    ) -> Result<(Vec<Coin>, Option<Replaces>), WalletError> {
        let spent: Vec<Outpoint> = old.inputs.iter().map(|input| input.outpoint).collect();
        if spent.iter().any(|outpoint| taken.contains(outpoint)) {
            return Err(WalletError::Cannot(
                "the version to be replaced spends a coin of another transaction".to_owned(),
            ));
        }
        let coins = self.node.outputs(&spent, false).await.map_err(no_answer)?;
        if coins.first().is_none_or(Option::is_none) {
            return Err(not_ready(
                "what the older version spends is not there to be spent",
            ));
        }
        // Where a coin is gone the older version is dead, and nothing is to be beaten.
        let is_alive = coins.iter().all(Option::is_some);
        let coins: Vec<Coin> = coins.into_iter().flatten().collect();
        if !is_alive {
            return Ok((coins, None));
        }
        let total = |values: &mut dyn Iterator<Item = u64>| values.map(u128::from).sum::<u128>();
        let spent = total(&mut coins.iter().map(|coin| coin.value));
        let paid = total(&mut old.outputs.iter().map(|output| output.value));
        let fee = spent
            .checked_sub(paid)
            .and_then(|fee| u64::try_from(fee).ok());
        let Some(fee) = fee else {
            return Err(WalletError::Cannot(
                "the version to be replaced pays more than it spends".to_owned(),
            ));
        };
        let replaces = Replaces {
            fee,
            vsize: u64::try_from(old.vsize()).unwrap_or(u64::MAX),
            rate_more: standing.replace_rate.max(REPLACE_RATE_MIN),
        };
        Ok((coins, Some(replaces)))
    }

    /// Which chosen coins are spent by now, by something in a block or in the node's memory pool.
    async fn gone(
        &self,
        choice: &Choice,
        must: &[Coin],
    ) -> Result<BTreeSet<Outpoint>, WalletError> {
        let added = choice.coins.get(must.len()..).unwrap_or_default();
        let asked: Vec<Outpoint> = added.iter().map(|coin| coin.outpoint).collect();
        let told = self.node.outputs(&asked, true).await.map_err(no_answer)?;
        let is_same = |coin: &Coin, told: &Option<Coin>| {
            told.as_ref().is_some_and(|told| {
                told.value == coin.value && told.script == coin.script && 0 < told.confirmations
            })
        };
        let pairs = added.iter().zip(&told);
        let gone = pairs.filter(|(coin, told)| !is_same(coin, told));
        Ok(gone.map(|(coin, _)| coin.outpoint).collect())
    }

    async fn signed(
        &self,
        unsigned: &Tx,
        choice: &Choice,
        replaces: bool,
    ) -> Result<SignedTx, WalletError> {
        let signed = match &self.key {
            Some(key) => sign::sign(unsigned, &choice.coins, key)
                .map_err(|error| WalletError::Cannot(error.to_string()))?,
            None => self.signed_by_node(unsigned, replaces).await?,
        };
        let Some(first) = choice.coins.first() else {
            return Err(WalletError::Cannot("it spends nothing".to_owned()));
        };
        self.memory.keep_values(&choice.coins);
        Ok(SignedTx {
            raw: signed.bytes(),
            txid: signed.txid(),
            fee: u128::from(choice.fee),
            spends: outpoint_bytes(first.outpoint).to_vec(),
        })
    }

    /// The node's wallet may add signatures and nothing else.
    async fn signed_by_node(&self, unsigned: &Tx, replaces: bool) -> Result<Tx, WalletError> {
        let made = self
            .node
            .held_sign(&unsigned.bytes())
            .await
            .map_err(no_answer)?;
        if !made.is_complete {
            return Err(not_ready("the node's wallet does not sign every coin"));
        }
        let signed = read(&made.raw)?;
        if signed.unsigned() != *unsigned {
            return Err(WalletError::Cannot(
                "the node's wallet changed what it was to sign".to_owned(),
            ));
        }
        match self.node.would_refuse(&made.raw).await.map_err(no_answer)? {
            None => Ok(signed),
            // Litecoin's nodes try no replacement; it is judged when it is sent.
            Some(words) if replaces && words.contains("txn-mempool-conflict") => Ok(signed),
            Some(words) => Err(not_ready(&format!("the node would refuse it: {words}"))),
        }
    }

    async fn give(&self, raw: &[u8]) -> Result<Sent, WalletError> {
        let txid = read(raw)?.txid();
        match self.node.send(raw, txid).await.map_err(no_answer)? {
            Heard::Taken => Ok(Sent::Taken),
            Heard::Refused(words) => Ok(Sent::Refused(words)),
        }
    }
}

impl Wallet for BitcoinWallet {
    fn divide(&self, lines: usize) -> Vec<Range<usize>> {
        let all = 0..lines;
        if all.is_empty() {
            Vec::new()
        } else {
            vec![all]
        }
    }

    /// What has an address on this chain: nodes relay no other output.
    fn accepts(&self, address: &Account) -> bool {
        match address {
            Account::Script(script) => show(script.bytes(), self.config.network).is_some(),
            Account::Evm(_) | Account::Name(_) => false,
        }
    }

    fn ready(&self) -> impl Future<Output = Result<Ready, WalletError>> + Send {
        self.look_at_funds()
    }

    fn estimate(&self, pays: &[Pay]) -> impl Future<Output = Result<u128, WalletError>> + Send {
        self.expected_fee(pays)
    }

    fn sign(&self, order: &Order) -> impl Future<Output = Result<SignedTx, WalletError>> + Send {
        self.make(order)
    }

    fn send(&self, raw: &[u8]) -> impl Future<Output = Result<Sent, WalletError>> + Send {
        self.give(raw)
    }

    fn look(&self, tx: &Watched) -> impl Future<Output = Result<Sight, WalletError>> + Send {
        look::look(self, tx)
    }

    fn address(&self) -> Account {
        Account::Script(self.config.script.clone())
    }

    fn payments(&self, raw: &[u8]) -> Result<Vec<Pay>, WalletError> {
        let pays = read(raw)?.outputs.into_iter().map(|output| {
            let script = Script::new(&output.script);
            let script = script.ok_or_else(|| WalletError::Cannot("an output too long".to_owned()));
            Ok(Pay {
                address: Account::Script(script?),
                amount: output.value.into(),
            })
        });
        pays.collect()
    }

    fn survey(&self, asked: &Asked) -> impl Future<Output = Result<Surveyed, WalletError>> + Send {
        self.survey_all(asked)
    }

    async fn block(&self, hash: Hash) -> Result<Option<u64>, WalletError> {
        let header = self.node.header(hash).await.map_err(no_answer)?;
        let header = header.filter(|header| 0 < header.confirmations);
        Ok(header.map(|header| header.height))
    }

    /// By its hash, which is its name.
    async fn our_block(&self, name: Hash, _height: u64) -> Result<Found, WalletError> {
        if let Some(height) = self.block(name).await? {
            return Ok(Found::At(height));
        }
        let tip = self.node.tip().await.map_err(no_answer)?.height;
        Ok(Found::Gone { tip })
    }
}

/// The transaction of a choice: payments in their order, change behind them.
fn unsigned(choice: &Choice, pays: &[Output], change_script: &[u8]) -> Tx {
    let inputs = choice.coins.iter().map(|coin| Input {
        outpoint: coin.outpoint,
        script_sig: Vec::new(),
        sequence: SEQUENCE,
        witness: Vec::new(),
    });
    let change = choice.change.map(|value| Output {
        value,
        script: change_script.to_vec(),
    });
    Tx {
        version: 2,
        inputs: inputs.collect(),
        outputs: pays.iter().cloned().chain(change).collect(),
        ends_extension: false,
        locktime: 0,
    }
}

/// What transactions spend.
fn spent_by(raws: &[Vec<u8>]) -> Result<BTreeSet<Outpoint>, WalletError> {
    let mut spent = BTreeSet::new();
    for raw in raws {
        spent.extend(read(raw)?.inputs.iter().map(|input| input.outpoint));
    }
    Ok(spent)
}

fn read(raw: &[u8]) -> Result<Tx, WalletError> {
    Tx::read(raw).map_err(|error| WalletError::Cannot(format!("this is no transaction: {error}")))
}

fn not_ready(words: &str) -> WalletError {
    WalletError::NotReady(words.to_owned())
}

fn cannot_choose(error: ChoiceError) -> WalletError {
    match error {
        ChoiceError::Fee { .. } => not_ready(&format!("fee above its cap: {error}")),
        ChoiceError::Funds { .. } => not_ready(&error.to_string()),
        ChoiceError::Size | ChoiceError::Amount => WalletError::Cannot(error.to_string()),
    }
}

/// A node's error: what an operator must mend, or no answer at all. Codes are those of Bitcoin Core's protocol.h.
fn no_answer(error: NodeError) -> WalletError {
    match error {
        NodeError::Fault { code: -13, .. } => {
            not_ready("the node's wallet is locked: unlock it with walletpassphrase")
        }
        NodeError::Fault {
            code: -18 | -19,
            message,
        } => not_ready(&format!("the node has no such wallet open: {message}")),
        NodeError::Fault {
            code: -32_601,
            message,
        } => not_ready(&format!(
            "the node cannot answer a wallet's questions: {message}"
        )),
        NodeError::Kind => WalletError::Cannot(error.to_string()),
        error => WalletError::NoAnswer(error.to_string()),
    }
}
