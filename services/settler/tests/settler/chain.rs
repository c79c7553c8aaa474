//! A chain that does as it is told, behind nodes that do as they like.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use orebook_chain::{ChainBlock, ChainHeader, ChainTip, EthHeader};
use orebook_schema::Hash;
use orebook_schema::units::U256;
use orebook_schema::work::ethash_name;
use orebook_settler::view::{Answer, ChainView, NoAnswer};

pub(crate) const OUR_SCRIPT: &[u8] = b"\x51ours";
pub(crate) const OUR_TEXT: &str = "/our pool/";
pub(crate) const SUBSIDY: u128 = 5_000;

/// How a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// What the chain is.
    Honest,
    /// Nothing: every question times out.
    Silent,
    /// It knows no block of this hash, and has nothing at its height.
    Without(Hash),
    /// It says that this other block stands at the height, this deep.
    Lying {
        height: u64,
        other: Hash,
        on_top: u64,
    },
    /// It is so many blocks behind.
    Late(u64),
}

#[derive(Clone, Debug)]
struct Block {
    height: u64,
    txid: Hash,
    script_sig: Vec<u8>,
    outputs: Vec<(u128, Vec<u8>)>,
    /// Of an ethash-like.
    uncles: Vec<Hash>,
    /// Of an ethash-like; none if its receipts cannot be had.
    fees: Option<u128>,
}

#[derive(Clone, Debug)]
struct Inner {
    blocks: BTreeMap<Hash, Block>,
    best: Vec<Hash>,
    /// The node that is asked first; `hash_at_each` asks all.
    nodes: Vec<Mood>,
    made: u32,
    questions: u64,
    /// Of that question nobody hears an answer.
    unheard: Option<u64>,
    is_eth: bool,
}

/// Clones share the chain.
#[derive(Clone, Debug)]
pub(crate) struct FakeChain(Arc<Mutex<Inner>>);

/// What a new block's coinbase says and pays.
#[derive(Clone, Debug)]
pub(crate) struct Coinbase {
    pub(crate) text: &'static str,
    pub(crate) outputs: Vec<(u128, Vec<u8>)>,
}

impl Coinbase {
    pub(crate) fn ours() -> Self {
        Self {
            text: OUR_TEXT,
            outputs: vec![(SUBSIDY + 70, OUR_SCRIPT.to_vec()), (0, b"\x6a".to_vec())],
        }
    }

    pub(crate) fn foreign() -> Self {
        Self {
            text: "/someone/",
            outputs: vec![(SUBSIDY, b"\x51theirs".to_vec())],
        }
    }
}

pub(crate) fn txid_of(hash: Hash) -> Hash {
    Hash::of(&[b"coinbase", &hash.0])
}

impl FakeChain {
    /// A chain of one block, height 0, and one honest node.
    pub(crate) fn new() -> Self {
        let chain = Self(Arc::new(Mutex::new(Inner {
            blocks: BTreeMap::new(),
            best: Vec::new(),
            nodes: vec![Mood::Honest],
            made: 0,
            questions: 0,
            unheard: None,
            is_eth: false,
        })));
        chain.mine(&Coinbase::foreign());
        chain
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panicked in here")
    }

    pub(crate) fn set_nodes(&self, nodes: &[Mood]) {
        self.lock().nodes = nodes.to_vec();
    }

    pub(crate) fn questions(&self) -> u64 {
        self.lock().questions
    }

    /// The question of this number, counted from the first, has no answer.
    pub(crate) fn drop_answer(&self, number: u64) {
        self.lock().unheard = Some(number);
    }

    pub(crate) fn height(&self) -> u64 {
        self.lock().best.len() as u64 - 1
    }

    /// What the chain really has at a height.
    pub(crate) fn best_at(&self, height: u64) -> Option<Hash> {
        self.lock().best.get(height as usize).copied()
    }

    /// A block that is not on the chain yet.
    pub(crate) fn make(&self, height: u64, coinbase: &Coinbase) -> Hash {
        let mut inner = self.lock();
        inner.made += 1;
        let hash = Hash::of(&[b"block", &inner.made.to_le_bytes()]);
        let script_sig = [b"\x03abc".as_slice(), coinbase.text.as_bytes()].concat();
        let block = Block {
            height,
            txid: txid_of(hash),
            script_sig,
            outputs: coinbase.outputs.clone(),
            uncles: Vec::new(),
            fees: Some(0),
        };
        inner.blocks.insert(hash, block);
        hash
    }

    /// Puts a block at its height on the best chain; what stood from there on is dropped.
    pub(crate) fn put(&self, hash: Hash) {
        let mut inner = self.lock();
        let height = inner.blocks[&hash].height as usize;
        assert!(height <= inner.best.len(), "no gaps");
        inner.best.truncate(height);
        inner.best.push(hash);
    }

    pub(crate) fn mine(&self, coinbase: &Coinbase) -> Hash {
        let height = self.lock().best.len() as u64;
        let hash = self.make(height, coinbase);
        self.put(hash);
        hash
    }

    pub(crate) fn mine_foreign(&self, count: u64) {
        for _ in 0..count {
            self.mine(&Coinbase::foreign());
        }
    }

    fn ask<T>(&self, answer: impl FnOnce(&Inner, &Mood) -> Answer<T>) -> Answer<T> {
        let mut inner = self.lock();
        inner.questions += 1;
        let mood = match inner.unheard {
            Some(number) if number == inner.questions => Mood::Silent,
            _ => inner.nodes[0].clone(),
        };
        answer(&inner, &mood)
    }
}

impl Inner {
    /// The best chain as a node sees it.
    fn best_of(&self, mood: &Mood) -> Answer<&[Hash]> {
        match mood {
            Mood::Silent => Err(NoAnswer("no answer in time".to_owned())),
            Mood::Late(by) => {
                let end = self.best.len().saturating_sub(*by as usize);
                Ok(&self.best[..end])
            }
            _ => Ok(&self.best),
        }
    }

    fn hash_at(&self, mood: &Mood, height: u64) -> Answer<Option<Hash>> {
        let found = self.best_of(mood)?.get(height as usize).copied();
        Ok(match mood {
            Mood::Lying {
                height: lied,
                other,
                ..
            } if *lied == height => Some(*other),
            Mood::Without(hash) => found.filter(|found| found != hash),
            _ => found,
        })
    }

    fn header(&self, mood: &Mood, hash: Hash) -> Answer<Option<ChainHeader>> {
        let best = self.best_of(mood)?;
        let header = |height: u64, confirmations: i64| ChainHeader {
            hash,
            height,
            confirmations,
            prev: height
                .checked_sub(1)
                .and_then(|below| best.get(below as usize))
                .copied()
                .unwrap_or(Hash::ZERO),
            time: 0,
        };
        if let Mood::Lying {
            height,
            other,
            on_top,
        } = mood
        {
            if *other == hash {
                return Ok(Some(header(*height, *on_top as i64 + 1)));
            }
            if self.best.get(*height as usize) == Some(&hash) {
                return Ok(Some(header(*height, -1)));
            }
        }
        if *mood == Mood::Without(hash) {
            return Ok(None);
        }
        let Some(block) = self.blocks.get(&hash) else {
            return Ok(None);
        };
        let height = block.height as usize;
        Ok(if best.get(height) == Some(&hash) {
            Some(header(block.height, (best.len() - height) as i64))
        } else if height < best.len() {
            Some(header(block.height, -1))
        } else {
            None
        })
    }
}

/// An ethash-like of the same blocks. A header's hash is the block's, its name follows from it.
impl FakeChain {
    pub(crate) fn be_eth(&self) {
        self.lock().is_eth = true;
    }

    /// A copy that goes its own way.
    pub(crate) fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// A foreign block on top that includes these as uncles.
    pub(crate) fn include(&self, uncles: &[Hash]) -> Hash {
        let hash = self.mine(&Coinbase::foreign());
        self.set(hash, uncles, Some(0));
        hash
    }

    pub(crate) fn set(&self, hash: Hash, uncles: &[Hash], fees: Option<u128>) {
        let mut inner = self.lock();
        let block = inner.blocks.get_mut(&hash).expect("it was made");
        (block.uncles, block.fees) = (uncles.to_vec(), fees);
    }
}

impl Inner {
    fn eth_header(&self, hash: Hash, parent: Hash) -> Option<EthHeader> {
        let block = self.blocks.get(&hash)?;
        let pays_us = block.outputs.iter().any(|(_, script)| script == OUR_SCRIPT);
        Some(EthHeader {
            number: block.height,
            miner: if pays_us { PAYEE } else { [0xbb; 20] },
            gas_used: if block.fees == Some(0) { 0 } else { 21_000 },
            extra: block.script_sig.clone(),
            uncles: block.uncles.clone(),
            ..foreign(hash, block.height, parent)
        })
    }

    /// A liar shows a branch of its own from the height on.
    fn eth_at(&self, mood: &Mood, height: u64) -> Answer<Option<EthHeader>> {
        let best = self.best_of(mood)?;
        let place = height as usize;
        let parent = place.checked_sub(1).and_then(|below| best.get(below));
        let parent = parent.copied().unwrap_or(Hash::ZERO);
        Ok(match mood {
            Mood::Lying {
                height: lied,
                other,
                on_top,
            } if (*lied..=lied + on_top).contains(&height) => {
                let of = |height: u64| match height - lied {
                    0 => *other,
                    _ => Hash::of(&[b"lie", &other.0, &height.to_le_bytes()]),
                };
                let below = if height == *lied {
                    parent
                } else {
                    of(height - 1)
                };
                Some(foreign(of(height), height, below))
            }
            Mood::Without(hash) if best.get(place) == Some(hash) => None,
            _ => best
                .get(place)
                .and_then(|hash| self.eth_header(*hash, parent)),
        })
    }
}

fn foreign(hash: Hash, number: u64, parent: Hash) -> EthHeader {
    EthHeader {
        hash,
        seal: seal_of(hash),
        number,
        parent,
        miner: [0xbb; 20],
        extra: Vec::new(),
        gas_used: 0,
        base_fee: None,
        uncles_hash: Hash::ZERO,
        difficulty: U256::from(1_000),
        time: 0,
        nonce: NONCE,
        mix: Hash::ZERO,
        uncles: Vec::new(),
    }
}

const NONCE: u64 = 7;
pub(crate) const PAYEE: [u8; 20] = [0xaa; 20];

fn seal_of(hash: Hash) -> Hash {
    Hash::of(&[b"seal", &hash.0])
}

/// What a block of this hash is called in the ledger.
pub(crate) fn name_of(hash: Hash) -> Hash {
    ethash_name(&seal_of(hash), NONCE)
}

impl ChainView for FakeChain {
    async fn eth_at(&self, height: u64) -> Answer<Option<EthHeader>> {
        self.ask(|inner, mood| inner.eth_at(mood, height))
    }

    async fn eth_at_each(&self, height: u64) -> Vec<Answer<Option<EthHeader>>> {
        let inner = self.lock();
        let nodes = inner.nodes.iter();
        nodes.map(|mood| inner.eth_at(mood, height)).collect()
    }

    async fn uncles(&self, of: &EthHeader) -> Answer<Vec<EthHeader>> {
        self.ask(|inner, mood| {
            inner.best_of(mood)?;
            let uncles = of.uncles.iter();
            Ok(uncles
                .filter_map(|hash| inner.eth_header(*hash, Hash::ZERO))
                .collect())
        })
    }

    async fn fees(&self, of: &EthHeader) -> Answer<u128> {
        self.ask(|inner, mood| {
            inner.best_of(mood)?;
            let fees = inner.blocks.get(&of.hash).and_then(|block| block.fees);
            fees.ok_or_else(|| NoAnswer("no receipts".to_owned()))
        })
    }

    async fn tip(&self) -> Answer<ChainTip> {
        self.ask(|inner, mood| {
            let best = inner.best_of(mood)?;
            Ok(ChainTip {
                height: match mood {
                    // Of an ethash-like it shows a whole branch.
                    Mood::Lying { height, on_top, .. } if inner.is_eth => {
                        (height + on_top).max(best.len() as u64 - 1)
                    }
                    _ => best.len() as u64 - 1,
                },
                hash: *best.last().expect("a first block"),
            })
        })
    }

    async fn hash_at(&self, height: u64) -> Answer<Option<Hash>> {
        self.ask(|inner, mood| inner.hash_at(mood, height))
    }

    async fn hash_at_each(&self, height: u64) -> Vec<Answer<Option<Hash>>> {
        let inner = self.lock();
        let nodes = inner.nodes.iter();
        nodes.map(|mood| inner.hash_at(mood, height)).collect()
    }

    async fn header(&self, hash: Hash) -> Answer<Option<ChainHeader>> {
        self.ask(|inner, mood| inner.header(mood, hash))
    }

    async fn block(&self, hash: Hash) -> Answer<Option<ChainBlock>> {
        self.ask(|inner, mood| {
            let Some(header) = inner.header(mood, hash)? else {
                return Ok(None);
            };
            Ok(inner.blocks.get(&hash).map(|block| ChainBlock {
                header,
                coinbase_txid: block.txid,
                coinbase_script_sig: block.script_sig.clone(),
                coinbase_outputs: block.outputs.clone(),
                subsidy: Some(SUBSIDY),
                fees: None,
            }))
        })
    }
}
