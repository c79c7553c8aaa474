//! A chain with wallets that does as it is told: memory pool, blocks, reorganisations, conflicting spends, lost answers.
//!
//! Two manners: all lines in one transaction that spends coins (bitcoin-likes), or one transaction each on one line of nonces
//! (ethash-likes). Raw bytes are a text of this file's own; who reads one knows all of it. Nothing here keeps what a wallet did:
//! like the real ones it follows from the chain and from the transactions that the order names.

mod more;

pub(crate) use more::Alters;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use orebook_paymaster::survey::{Asked, Foreign, Survey, Surveyed};
use orebook_paymaster::wallet::{
    Found, Order, Pay, Ready, Sent, Sight, SignedTx, Wallet, WalletError, Watched,
};
use orebook_schema::{Account, Hash};
use tokio::sync::watch;

/// Base units of one coin of the wallet's.
pub(crate) const COIN: u128 = 1_000_000;
/// Network fee of one transaction, base units; a replacement pays so much more.
pub(crate) const FEE: u128 = 10;
pub(crate) const DUST: u128 = 5;
const WALLET: [u8; 20] = [0x77; 20];
/// Whom somebody else with the wallet's key pays.
pub(crate) const THIEF: Account = Account::Evm([0xee; 20]);

/// What happens to the next questions of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing happened, and there is no answer.
    Failed,
    /// It happened, and there is no answer.
    FailedButHappened,
    /// It happened, and the node says that it refuses (of a send).
    RefusedButHappened,
    /// It did not happen, and the node says that it refuses (of a send).
    Refused,
}

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Edge {
    Ready,
    Estimate,
    Sign,
    Send,
    Look,
    Survey,
    Block,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tx {
    /// Coins by name, or one nonce.
    pub(crate) spends: Vec<Vec<u8>>,
    pub(crate) pays: Vec<(Account, u128)>,
    pub(crate) fee: u128,
    /// What comes back to the wallet, base units; as a coin of its own where there are coins.
    pub(crate) change: u128,
}

impl Tx {
    fn raw(&self) -> Vec<u8> {
        let list = |items: Vec<String>| items.join(",");
        let spends = list(self.spends.iter().map(|it| hex(it)).collect());
        let pays = list(
            self.pays
                .iter()
                .map(|(to, amount)| format!("{to}={amount}"))
                .collect(),
        );
        format!("{spends};{pays};{};{}", self.fee, self.change).into_bytes()
    }

    pub(crate) fn read(raw: &[u8]) -> Self {
        let text = std::str::from_utf8(raw).expect("a raw transaction is text here");
        let mut fields = text.split(';');
        let mut next = || fields.next().expect("four fields");
        let spends = next().split(',').map(unhex).collect();
        let pay = |text: &str| {
            let (to, amount) = text.split_once('=').expect("a payment");
            (
                Account::parse(to).expect("an address"),
                amount.parse().expect("an amount"),
            )
        };
        let pays = next()
            .split(',')
            .filter(|it| !it.is_empty())
            .map(pay)
            .collect();
        Self {
            spends,
            pays,
            fee: next().parse().expect("a fee"),
            change: next().parse().expect("change"),
        }
    }

    pub(crate) fn txid(&self) -> Hash {
        Hash::of(&[&self.raw()])
    }

    fn is_thief(&self) -> bool {
        self.pays.iter().any(|(to, _)| *to == THIEF)
    }

    fn conflicts_with(&self, other: &Self) -> bool {
        self.spends.iter().any(|it| other.spends.contains(it))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digits).collect()
}

#[derive(Clone, Debug)]
struct Block {
    hash: Hash,
    txs: Vec<Tx>,
}

/// Blocks and what waits, as a node shows them.
#[derive(Clone, Debug)]
pub(crate) struct Branch(Vec<Block>, Vec<Tx>);

#[derive(Debug)]
struct Inner {
    one_each: bool,
    blocks: Vec<Block>,
    pool: Vec<Tx>,
    /// Coins that the wallet was given, by name; never more are made but by change.
    given: BTreeMap<Vec<u8>, u128>,
    made: u32,
    /// Faults by the kind and number of the question that they strike.
    faults: BTreeMap<(Edge, u64), Fault>,
    /// Faults that struck.
    struck: u64,
    /// Questions of each kind so far.
    asked: BTreeMap<Edge, u64>,
    /// Why the wallet is not ready, in words.
    not_ready: Option<String>,
    /// Addresses that it does not know.
    strange: Vec<Account>,
    /// A transaction that pays this address fails when it is mined (EVM status 0).
    fails: Option<Account>,
    failed: BTreeSet<Hash>,
    /// Base units that the balance shows less than there are.
    hidden: u128,
    /// Network fee of a transaction by the node's estimate.
    fee: u128,
    /// What the wallet pays instead of what was ordered.
    alters: Option<Alters>,
    /// Each signature that was made: of no consequence by itself.
    signatures: u64,
    surveys: u64,
    /// Whether questions wait.
    gate: Arc<watch::Sender<bool>>,
    held: u64,
    /// Blocks of ours on the best chain, with their heights.
    found: BTreeMap<Hash, u64>,
}

/// Clones share the chain.
#[derive(Clone, Debug)]
pub(crate) struct Chain(Arc<Mutex<Inner>>);

impl Chain {
    /// A chain of one block. `coins` coins of [`COIN`] each are the wallet's.
    pub(crate) fn new(one_each: bool, coins: u32) -> Self {
        let chain = Self(Arc::new(Mutex::new(Inner {
            one_each,
            blocks: Vec::new(),
            pool: Vec::new(),
            given: BTreeMap::new(),
            made: 0,
            faults: BTreeMap::new(),
            struck: 0,
            asked: BTreeMap::new(),
            not_ready: None,
            strange: Vec::new(),
            fails: None,
            failed: BTreeSet::new(),
            hidden: 0,
            fee: FEE,
            alters: None,
            signatures: 0,
            surveys: 0,
            gate: Arc::new(watch::Sender::new(false)),
            held: 0,
            found: BTreeMap::new(),
        })));
        {
            let mut inner = chain.lock();
            for number in 0..coins {
                let name = Hash::of(&[b"coin", &number.to_le_bytes()]);
                inner.given.insert(outpoint(name), COIN);
            }
            inner.mine(&[]);
        }
        chain
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panicked in here")
    }

    pub(crate) fn is_one_each(&self) -> bool {
        self.lock().one_each
    }

    /// The question of this kind that comes after so many others fails.
    pub(crate) fn fault(&self, edge: Edge, after: u64, fault: Fault) {
        let mut inner = self.lock();
        let number = inner.asked.get(&edge).copied().unwrap_or(0) + after;
        inner.faults.insert((edge, number), fault);
    }

    pub(crate) fn struck(&self) -> u64 {
        self.lock().struck
    }

    pub(crate) fn no_more_faults(&self) {
        self.lock().faults.clear();
    }

    pub(crate) fn asked(&self, edge: Edge) -> u64 {
        self.lock().asked.get(&edge).copied().unwrap_or(0)
    }

    pub(crate) fn set_not_ready(&self, why: Option<&str>) {
        self.lock().not_ready = why.map(str::to_owned);
    }

    pub(crate) fn does_not_know(&self, address: &Account) {
        self.lock().strange.push(address.clone());
    }

    pub(crate) fn will_fail(&self, address: Option<Account>) {
        self.lock().fails = address;
    }

    pub(crate) fn hide(&self, base_units: u128) {
        self.lock().hidden = base_units;
    }

    /// Height of the newest block.
    pub(crate) fn tip(&self) -> u64 {
        self.lock().blocks.len() as u64 - 1
    }

    /// A block of ours stands at a height, or no more.
    pub(crate) fn stands(&self, block: Hash, height: Option<u64>) {
        let mut inner = self.lock();
        match height {
            Some(height) => inner.found.insert(block, height),
            None => inner.found.remove(&block),
        };
    }

    pub(crate) fn set_fee(&self, fee: u128) {
        self.lock().fee = fee;
    }

    /// Blocks with what the pool has; what does not fit any more is dropped.
    pub(crate) fn mine(&self, count: u64) {
        for _ in 0..count {
            let mut inner = self.lock();
            let pool = std::mem::take(&mut inner.pool);
            inner.mine(&pool);
        }
    }

    /// Blocks that take nothing of the pool.
    pub(crate) fn mine_empty(&self, count: u64) {
        for _ in 0..count {
            self.lock().mine(&[]);
        }
    }

    /// The node forgets what waits.
    pub(crate) fn forget(&self) {
        self.lock().pool.clear();
    }

    /// The newest blocks are replaced by as many empty ones and one more. What they had waits again, or is forgotten.
    pub(crate) fn reorganise(&self, depth: u64, keeps: bool) {
        let mut inner = self.lock();
        for _ in 0..depth {
            if inner.blocks.len() <= 1 {
                break;
            }
            let block = inner.blocks.pop().expect("one is left");
            if keeps {
                inner.pool.splice(0..0, block.txs);
            }
        }
        for _ in 0..=depth {
            inner.mine(&[]);
        }
    }

    /// How it stands now: a node can show this and another branch in turn.
    pub(crate) fn branch(&self) -> Branch {
        let inner = self.lock();
        Branch(inner.blocks.clone(), inner.pool.clone())
    }

    /// It stands as it did.
    pub(crate) fn stand_at(&self, branch: &Branch) {
        let mut inner = self.lock();
        inner.blocks.clone_from(&branch.0);
        inner.pool.clone_from(&branch.1);
    }

    /// Somebody else with the wallet's key spends the same as what waits or was mined last: it is on the chain now, and what
    /// it conflicts with is not. Returns its name.
    pub(crate) fn steal(&self, spends: &[u8]) -> Hash {
        let mut inner = self.lock();
        let thief = Tx {
            spends: vec![spends.to_vec()],
            pays: vec![(THIEF, 1)],
            fee: FEE,
            change: 0,
        };
        inner.pool.retain(|it| !it.conflicts_with(&thief));
        inner.mine(std::slice::from_ref(&thief));
        thief.txid()
    }

    /// Somebody else with the wallet's key spends a coin, or the next nonce, that nothing else spends. Returns its name.
    pub(crate) fn sweep(&self) -> Hash {
        let spends = {
            let inner = self.lock();
            match inner.coins().into_keys().next() {
                Some(coin) if !inner.one_each => coin,
                _ => nonce(inner.next_nonce()),
            }
        };
        self.steal(&spends)
    }

    /// What the chain paid each address, but the wallet's thief's.
    pub(crate) fn paid(&self) -> BTreeMap<Account, u128> {
        let inner = self.lock();
        let mut paid = BTreeMap::new();
        for tx in inner
            .mined()
            .filter(|tx| !inner.does_fail(tx) && !tx.is_thief())
        {
            for (to, amount) in &tx.pays {
                *paid.entry(to.clone()).or_default() += *amount;
            }
        }
        paid
    }

    /// What the wallet's transactions cost on the chain.
    pub(crate) fn cost(&self) -> u128 {
        let inner = self.lock();
        let ours = inner.mined().filter(|tx| !tx.is_thief());
        ours.map(|tx| tx.fee).sum()
    }

    /// Transactions on the chain and waiting.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.mined().count(), inner.pool.len())
    }

    pub(crate) fn signatures(&self) -> u64 {
        self.lock().signatures
    }
}

/// 36 bytes that name a coin.
pub(crate) fn outpoint(name: Hash) -> Vec<u8> {
    [name.0.as_slice(), &[0; 4]].concat()
}

impl Inner {
    fn mined(&self) -> impl Iterator<Item = &Tx> {
        self.blocks.iter().flat_map(|block| &block.txs)
    }

    fn does_fail(&self, tx: &Tx) -> bool {
        self.failed.contains(&tx.txid())
    }

    fn next_nonce(&self) -> u64 {
        self.mined().count() as u64
    }

    /// Takes of these what the chain allows, in their order.
    fn mine(&mut self, txs: &[Tx]) {
        self.made += 1;
        let hash = Hash::of(&[b"block", &self.made.to_le_bytes()]);
        self.blocks.push(Block {
            hash,
            txs: Vec::new(),
        });
        for tx in txs {
            if self.is_allowed(tx) {
                let to = self.fails.as_ref();
                if to.is_some_and(|to| tx.pays.iter().any(|(address, _)| address == to)) {
                    self.failed.insert(tx.txid());
                }
                let block = self.blocks.last_mut().expect("it was made");
                block.txs.push(tx.clone());
            } else if !self.mined().any(|it| it.conflicts_with(tx)) {
                self.pool.push(tx.clone());
            }
        }
    }

    /// Whether the best chain could take it next: nothing that it spends is spent, and nonces come in order.
    fn is_allowed(&self, tx: &Tx) -> bool {
        let is_spent = self.mined().any(|it| it.conflicts_with(tx));
        let in_order = !self.one_each || tx.spends == [nonce(self.next_nonce())];
        let coins = self.coins();
        let is_there = self.one_each || tx.spends.iter().all(|it| coins.contains_key(it));
        !is_spent && in_order && is_there
    }

    /// Coins of the best chain that are not spent there.
    fn coins(&self) -> BTreeMap<Vec<u8>, u128> {
        let mut coins = self.given.clone();
        for tx in self.mined() {
            for spent in &tx.spends {
                coins.remove(spent);
            }
            if !self.one_each && 0 < tx.change {
                coins.insert(outpoint(tx.txid()), tx.change);
            }
        }
        coins
    }

    /// All base units of the wallet, by the best chain.
    fn balance(&self) -> u128 {
        if !self.one_each {
            return self.coins().values().sum();
        }
        let given: u128 = self.given.values().sum();
        let gone = self.mined().map(|tx| {
            let paid: u128 = tx.pays.iter().map(|(_, amount)| *amount).sum();
            tx.fee + if self.does_fail(tx) { 0 } else { paid }
        });
        given - gone.sum::<u128>()
    }

    fn ask(&mut self, edge: Edge) -> Option<Fault> {
        let asked = self.asked.entry(edge).or_default();
        let fault = self.faults.remove(&(edge, *asked));
        *asked += 1;
        self.struck += u64::from(fault.is_some());
        fault
    }

    fn accept(&mut self, tx: Tx) -> Result<(), String> {
        if self.mined().any(|it| *it == tx) || self.pool.contains(&tx) {
            return Ok(());
        }
        if self.mined().any(|it| it.conflicts_with(&tx)) || !self.missing(&tx).is_empty() {
            return Err("inputs missing or spent".to_owned());
        }
        let rival = self.pool.iter().position(|it| it.conflicts_with(&tx));
        if let Some(at) = rival {
            if tx.fee <= self.pool[at].fee {
                return Err("insufficient fee, rejecting replacement".to_owned());
            }
            self.pool.remove(at);
        }
        self.pool.push(tx);
        // Nonces are mined in their order.
        if self.one_each {
            self.pool.sort_by(|a, b| a.spends.cmp(&b.spends));
        }
        Ok(())
    }

    fn sign(&self, order: &Order) -> Result<Tx, WalletError> {
        if let Some(pay) = order
            .pays
            .iter()
            .find(|pay| self.strange.contains(&pay.address))
        {
            return Err(WalletError::Cannot(format!(
                "{} is not of this chain",
                pay.address
            )));
        }
        let replaced = order.replaces.as_ref().map(|raw| Tx::read(raw));
        let fee = replaced.as_ref().map_or(self.fee, |tx| tx.fee + FEE);
        if order.fee_max < fee {
            return Err(WalletError::NotReady("the fee is above its cap".to_owned()));
        }
        let pays: Vec<_> = order
            .pays
            .iter()
            .map(|it| (it.address.clone(), it.amount))
            .collect();
        let sum: u128 = pays.iter().map(|(_, amount)| amount).sum();
        let taken: Vec<Tx> = order.taken.iter().map(|raw| Tx::read(raw)).collect();
        if let Some(tx) = replaced {
            let change = tx.change.checked_sub(FEE);
            return Ok(Tx {
                fee,
                change: if self.one_each {
                    0
                } else {
                    change.ok_or_else(short)?
                },
                ..tx
            });
        }
        if self.one_each {
            let above = taken
                .iter()
                .flat_map(|tx| &tx.spends)
                .map(|it| nonce_of(it) + 1);
            let next = above.max().unwrap_or(0).max(self.next_nonce());
            return Ok(Tx {
                spends: vec![nonce(next)],
                pays,
                fee,
                change: 0,
            });
        }
        let mut spends = Vec::new();
        let mut got = 0;
        for (coin, amount) in self.coins() {
            if taken.iter().any(|tx| tx.spends.contains(&coin)) {
                continue;
            }
            spends.push(coin);
            got += amount;
            if sum + fee <= got {
                let change = got - sum - fee;
                return Ok(Tx {
                    spends,
                    pays,
                    fee,
                    change,
                });
            }
        }
        Err(short())
    }

    fn look(&self, tx: &Watched) -> Result<Sight, WalletError> {
        for (height, block) in self.blocks.iter().enumerate() {
            for mined in &block.txs {
                let txid = mined.txid();
                let confirmations = (self.blocks.len() - height) as u64;
                if tx.versions.iter().any(|(version, _)| *version == txid) {
                    return Ok(Sight::Mined {
                        txid,
                        height: height as u64,
                        block: block.hash,
                        confirmations,
                        paid: !self.does_fail(mined),
                        fee: mined.fee,
                    });
                }
                if mined.spends.contains(&tx.spends) {
                    return Ok(Sight::Conflict {
                        by: txid,
                        height: height as u64,
                        confirmations,
                        fee: if mined.is_thief() { 0 } else { mined.fee },
                    });
                }
            }
        }
        let waits = |it: &&Tx| tx.versions.iter().any(|(version, _)| *version == it.txid());
        if let Some(pending) = self.pool.iter().find(waits) {
            return Ok(Sight::Pending {
                txid: pending.txid(),
            });
        }
        // Like bitcoin's nodes it does not know what never was: who made what is missing is all there is to tell.
        let missing = |raw: &Vec<u8>| -> Vec<Hash> {
            let missing = self.missing(&Tx::read(raw));
            let maker = |coin: &[u8]| Hash(coin[..32].try_into().expect("a name"));
            missing.iter().map(|coin| maker(coin)).collect()
        };
        let makers: Vec<_> = tx.versions.iter().map(|(_, raw)| missing(raw)).collect();
        if makers.iter().any(Vec::is_empty) {
            return Ok(Sight::Nowhere);
        }
        Err(WalletError::Gone {
            makers,
            words: "what it spends is gone".to_owned(),
        })
    }

    /// Coins that a transaction spends and that are neither in the best chain nor made by what waits.
    fn missing(&self, tx: &Tx) -> Vec<Vec<u8>> {
        if self.one_each {
            return Vec::new();
        }
        let coins = self.coins();
        let made: Vec<Vec<u8>> = self.pool.iter().map(|tx| outpoint(tx.txid())).collect();
        let is_there = |coin: &&Vec<u8>| coins.contains_key(*coin) || made.contains(coin);
        let missing = tx.spends.iter().filter(|coin| !is_there(coin));
        missing.cloned().collect()
    }
}

fn short() -> WalletError {
    WalletError::NotReady("no funds".to_owned())
}

fn nonce(number: u64) -> Vec<u8> {
    [WALLET.as_slice(), &number.to_be_bytes()].concat()
}

fn nonce_of(spends: &[u8]) -> u64 {
    u64::from_be_bytes(spends[20..].try_into().expect("a nonce"))
}

fn silence<T>() -> Result<T, WalletError> {
    Err(WalletError::NoAnswer("no answer in time".to_owned()))
}

impl Wallet for Chain {
    fn divide(&self, lines: usize) -> Vec<Range<usize>> {
        if self.is_one_each() {
            (0..lines).map(|line| line..line + 1).collect()
        } else {
            std::iter::once(0..lines).collect()
        }
    }

    fn accepts(&self, address: &Account) -> bool {
        !self.lock().strange.contains(address)
    }

    async fn ready(&self) -> Result<Ready, WalletError> {
        self.answers().await;
        let mut inner = self.lock();
        if inner.ask(Edge::Ready).is_some() {
            return silence();
        }
        if let Some(why) = &inner.not_ready {
            return Err(WalletError::NotReady(why.clone()));
        }
        let balance = inner.balance() - inner.hidden;
        Ok(Ready {
            address: Account::Evm(WALLET),
            spendable: balance,
            balance,
            height: inner.blocks.len() as u64 - 1,
            dust: DUST,
        })
    }

    async fn estimate(&self, pays: &[Pay]) -> Result<u128, WalletError> {
        let mut inner = self.lock();
        if inner.ask(Edge::Estimate).is_some() {
            return silence();
        }
        let txs = if inner.one_each {
            pays.len() as u128
        } else {
            1
        };
        Ok(inner.fee * txs)
    }

    async fn sign(&self, order: &Order) -> Result<SignedTx, WalletError> {
        let mut inner = self.lock();
        let fault = inner.ask(Edge::Sign);
        if fault == Some(Fault::Failed) {
            return silence();
        }
        let mut tx = inner.sign(order)?;
        if let Some(alters) = inner.alters {
            alters(&mut tx.pays);
        }
        inner.signatures += 1;
        if fault.is_some() {
            return silence();
        }
        Ok(SignedTx {
            raw: tx.raw(),
            txid: tx.txid(),
            fee: tx.fee,
            spends: tx.spends[0].clone(),
        })
    }

    async fn send(&self, raw: &[u8]) -> Result<Sent, WalletError> {
        let mut inner = self.lock();
        let tx = Tx::read(raw);
        match inner.ask(Edge::Send) {
            Some(Fault::Failed) => silence(),
            Some(Fault::FailedButHappened) => {
                drop(inner.accept(tx));
                silence()
            }
            Some(Fault::Refused) => Ok(Sent::Refused("the node is in a bad mood".to_owned())),
            Some(Fault::RefusedButHappened) => {
                drop(inner.accept(tx));
                Ok(Sent::Refused("the node is in a bad mood".to_owned()))
            }
            None => Ok(match inner.accept(tx) {
                Ok(()) => Sent::Taken,
                Err(why) => Sent::Refused(why),
            }),
        }
    }

    async fn look(&self, tx: &Watched) -> Result<Sight, WalletError> {
        self.answers().await;
        let mut inner = self.lock();
        if inner.ask(Edge::Look).is_some() {
            return silence();
        }
        inner.look(tx)
    }

    fn address(&self) -> Account {
        Account::Evm(WALLET)
    }

    fn payments(&self, raw: &[u8]) -> Result<Vec<Pay>, WalletError> {
        let pays = Tx::read(raw).pays.into_iter();
        Ok(pays
            .map(|(address, amount)| Pay { address, amount })
            .collect())
    }

    async fn survey(&self, asked: &Asked) -> Result<Surveyed, WalletError> {
        let mut inner = self.lock();
        if inner.ask(Edge::Survey).is_some() {
            return silence();
        }
        // The first answer is that there is more to be read.
        inner.surveys += 1;
        if !inner.surveys.is_multiple_of(2) {
            return Ok(Surveyed::Reading(1));
        }
        let mut foreign = Vec::new();
        for (height, block) in inner.blocks.iter().enumerate() {
            for tx in block
                .txs
                .iter()
                .filter(|tx| !asked.txids.contains(&tx.txid()))
            {
                foreign.push(Foreign {
                    txid: Some(tx.txid()),
                    height: Some(height as u64),
                    nonce: None,
                });
            }
        }
        Ok(Surveyed::Done(Survey {
            balance: inner.balance() - inner.hidden,
            height: inner.blocks.len() as u64 - 1,
            since: asked.since,
            foreign,
        }))
    }

    async fn block(&self, hash: Hash) -> Result<Option<u64>, WalletError> {
        let mut inner = self.lock();
        if inner.ask(Edge::Block).is_some() {
            return silence();
        }
        let at = inner.blocks.iter().position(|block| block.hash == hash);
        let height = at.map(|at| at as u64);
        Ok(height.or_else(|| inner.found.get(&hash).copied()))
    }

    async fn our_block(&self, name: Hash, _height: u64) -> Result<Found, WalletError> {
        if let Some(height) = self.block(name).await? {
            return Ok(Found::At(height));
        }
        let tip = self.tip();
        Ok(Found::Gone { tip })
    }
}
