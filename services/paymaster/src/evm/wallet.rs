//! The wallet itself: ready, estimate, sign, send, look.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use orebook_chain::eth::{EthHeader, EthNode, keccak256};
use orebook_chain::node::NodeError;
use orebook_chain::wallet::evm::{EvmNode, EvmState, RawAnswer};
use orebook_schema::{Account, Hash};

use super::fees::{self, Caps, Market};
use super::key::EvmKey;
use super::look::spends;
use super::tx::{Fees, Signed, Tx};
use crate::survey::{Asked, Surveyed};
use crate::wallet::{
    Found, Order, Pay, Ready, Sent, Sight, SignedTx, Wallet, WalletError, Watched,
};

/// Gas of a payment to an address without a program (yellow paper, appendix G).
pub const PAY_GAS: u64 = 21_000;

/// Transactions that are kept as they were read, half a kilobyte each; with more, some are read again.
const READ_MAX: usize = 4_096;

/// What the operator allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmWalletConfig {
    /// The chain's number (EIP-155), 1 to [`super::CHAIN_ID_MAX`]: the node must be on it, and every signature is for it alone.
    pub chain_id: u64,
    /// Most that a unit of gas may cost, base units. Above it the wallet is not ready.
    pub gas_price_max: u128,
    /// Most of that for the miner, from London on; a node that says more is not heard.
    pub priority_fee_max: u128,
    /// Most units of gas of a payment to an address with a program. Above it the payment cannot be made.
    pub contract_gas_max: u64,
    /// Fewer peers of the node, and the wallet is not ready.
    pub peers_min: u64,
    /// If the best block is older, the node is behind and the wallet is not ready; none: any age (a chain of tests).
    pub tip_age_max: Option<Duration>,
}

impl EvmWalletConfig {
    /// The usual caps: 500 gwei, 50 of them for the miner; 100,000 units of gas; 1 peer; a block of the last hour.
    #[must_use]
    pub const fn new(chain_id: u64) -> Self {
        Self {
            chain_id,
            gas_price_max: 500_000_000_000,
            priority_fee_max: 50_000_000_000,
            contract_gas_max: 100_000,
            peers_min: 1,
            tip_age_max: Some(Duration::from_secs(3_600)),
        }
    }
}

/// One key on one chain, with the node that it asks and sends by. It keeps nothing but what it read of bytes.
#[derive(Debug)]
pub struct EvmWallet {
    config: EvmWalletConfig,
    key: EvmKey,
    pub(super) node: EvmNode,
    /// Its own transactions by their bytes: each one that is signed asks for all before it, and who signed is dear to find out.
    read: Mutex<BTreeMap<Vec<u8>, Signed>>,
}

impl EvmWallet {
    /// A wallet. Nothing is connected yet.
    #[must_use]
    pub const fn new(config: EvmWalletConfig, key: EvmKey, node: EvmNode) -> Self {
        Self {
            config,
            key,
            node,
            read: Mutex::new(BTreeMap::new()),
        }
    }

    /// Whose coins they are.
    #[must_use]
    pub const fn address(&self) -> [u8; 20] {
        self.key.address()
    }

    /// What is asked of the chain's blocks.
    pub(super) const fn eth(&self) -> &EthNode {
        self.node.eth()
    }

    /// The nonce of its next transaction at a state, as the node answers.
    pub(super) async fn count(&self, state: EvmState) -> Result<u64, NodeError> {
        self.node.count(&self.address(), state).await
    }

    pub(super) async fn balance(&self, state: EvmState) -> Result<u128, NodeError> {
        self.node.balance(&self.address(), state).await
    }

    /// That the node is on the wallet's chain.
    pub(super) async fn check_chain(&self) -> Result<(), WalletError> {
        let chain = self.node.chain_id().await.map_err(no_answer)?;
        let ours = self.config.chain_id;
        if chain != ours {
            return Err(not_ready(&format!(
                "the node is on chain {chain}, the wallet on {ours}"
            )));
        }
        match self.node.eth().check_ours().await {
            Ok(()) => Ok(()),
            Err(error @ NodeError::OtherChain(_)) => Err(not_ready(&error.to_string())),
            Err(error) => Err(no_answer(error)),
        }
    }

    /// That the node is on the chain, has peers and is not behind; its best block.
    pub(super) async fn check(&self) -> Result<EthHeader, WalletError> {
        self.check_chain().await?;
        let (peers, least) = (
            self.node.peers().await.map_err(no_answer)?,
            self.config.peers_min,
        );
        if peers < least {
            return Err(not_ready(&format!(
                "the node has {peers} peers, fewer than {least}"
            )));
        }
        if self.node.is_syncing().await.map_err(no_answer)? {
            return Err(not_ready("the node is behind, and says so"));
        }
        let tip = self.node.eth().latest().await.map_err(no_answer)?;
        if let Some(most) = self.config.tip_age_max {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = now.map_err(|_| not_ready("the clock is before 1970"))?;
            let age = now.saturating_sub(Duration::from_secs(tip.time.into()));
            if most < age {
                let (age, most) = (age.as_secs(), most.as_secs());
                return Err(not_ready(&format!(
                    "the node's best block is {age} s old, more than {most}"
                )));
            }
        }
        Ok(tip)
    }

    async fn market(&self, tip: &EthHeader) -> Result<Market, WalletError> {
        let Some(base) = tip.base_fee else {
            let price = self.node.gas_price().await.map_err(no_answer)?;
            return Ok(Market::Legacy { price });
        };
        let base = u128::try_from(base).unwrap_or(u128::MAX);
        let priority = match self.node.priority_fee().await.map_err(no_answer)? {
            Some(priority) => priority,
            // Nodes without that call tell the sum of both.
            None => {
                let price = self.node.gas_price().await.map_err(no_answer)?;
                price.saturating_sub(base)
            }
        };
        Ok(Market::London { base, priority })
    }

    const fn caps(&self) -> Caps {
        Caps {
            price: self.config.gas_price_max,
            priority: self.config.priority_fee_max,
        }
    }

    /// Most gas of each payment: that of a plain one, or a quarter more than the node estimates for an address with a program.
    async fn gas(&self, pays: &[Pay]) -> Result<Vec<u64>, WalletError> {
        let to: Vec<[u8; 20]> = pays.iter().map(address).collect::<Result<_, _>>()?;
        let have_code = self.node.have_code(&to).await.map_err(no_answer)?;
        let mut gas = Vec::with_capacity(pays.len());
        for ((pay, to), has_code) in pays.iter().zip(&to).zip(have_code) {
            gas.push(if has_code {
                self.contract_gas(to, pay.amount).await?
            } else {
                PAY_GAS
            });
        }
        Ok(gas)
    }

    async fn contract_gas(&self, to: &[u8; 20], amount: u128) -> Result<u64, WalletError> {
        let most = self.config.contract_gas_max;
        let shown = orebook_schema::units::hex(to);
        let estimate = self.node.estimate_gas(&self.address(), to, amount).await;
        match estimate {
            Ok(gas) if gas <= most => Ok(gas.saturating_add(gas / 4).min(most)),
            Ok(gas) => Err(WalletError::Cannot(format!(
                "the program at 0x{shown} wants {gas} units of gas, above the cap of {most}"
            ))),
            Err(NodeError::Fault { message, .. }) if message.contains("insufficient funds") => {
                Err(not_ready("no funds"))
            }
            Err(NodeError::Fault { message, .. }) => Err(WalletError::Cannot(format!(
                "the program at 0x{shown} refuses the payment: {message}"
            ))),
            Err(error) => Err(no_answer(error)),
        }
    }

    /// A transaction of this wallet's on this chain.
    fn own(&self, raw: &[u8]) -> Result<Signed, WalletError> {
        // A half-written note cannot be: every change is one call.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signed) = read.get(raw) {
            return Ok(*signed);
        }
        let signed = Tx::read(raw).map_err(|error| WalletError::Cannot(error.to_string()))?;
        if signed.sender == self.address() && signed.tx.chain_id == self.config.chain_id {
            read.insert(raw.to_vec(), signed);
            if READ_MAX < read.len() {
                read.pop_first();
            }
            Ok(signed)
        } else {
            let words = "a transaction of another wallet or chain".to_owned();
            Err(WalletError::Cannot(words))
        }
    }

    /// The nonce of an order's transaction, and the fees of what it replaces.
    async fn place(
        &self,
        order: &Order,
        pay: &Pay,
        taken: &BTreeMap<u64, u128>,
        count: u64,
    ) -> Result<(u64, Option<Fees>), WalletError> {
        if let Some(raw) = &order.replaces {
            let old = self.own(raw)?.tx;
            if (old.to, old.value) != (address(pay)?, pay.amount) {
                let words = "a replacement pays the same amount to the same address".to_owned();
                return Err(WalletError::Cannot(words));
            }
            if old.nonce < count {
                return Err(not_ready("what it replaces has its nonce used already"));
            }
            return Ok((old.nonce, Some(old.fees)));
        }
        let after = taken.last_key_value();
        let after = after.map_or(0, |(nonce, _)| nonce.saturating_add(1));
        let nonce = count.max(after);
        let pending = self.count(EvmState::Pending).await.map_err(no_answer)?;
        if nonce < pending {
            return Err(not_ready(&format!(
                "a transaction that the ledger does not have waits at the wallet's nonce {nonce}"
            )));
        }
        Ok((nonce, None))
    }
}

impl Wallet for EvmWallet {
    fn divide(&self, lines: usize) -> Vec<Range<usize>> {
        (0..lines).map(|line| line..line + 1).collect()
    }

    fn accepts(&self, address: &Account) -> bool {
        receiver(address).is_some()
    }

    async fn ready(&self) -> Result<Ready, WalletError> {
        let tip = self.check().await?;
        let balance = self.balance(EvmState::Latest).await.map_err(no_answer)?;
        let pending = match self.balance(EvmState::Pending).await {
            Ok(pending) => pending,
            // Not every node makes a pending block.
            Err(NodeError::Fault { .. }) => balance,
            Err(error) => return Err(no_answer(error)),
        };
        fees::expected(self.market(&tip).await?, self.caps())?;
        Ok(Ready {
            address: Account::Evm(self.address()),
            spendable: balance.min(pending),
            balance,
            height: tip.number,
            dust: 1,
        })
    }

    async fn estimate(&self, pays: &[Pay]) -> Result<u128, WalletError> {
        let tip = self.check().await?;
        let price = fees::expected(self.market(&tip).await?, self.caps())?;
        let gas = self.gas(pays).await?;
        let gas = gas.iter().map(|gas| u128::from(*gas)).sum::<u128>();
        Ok(price.saturating_mul(gas))
    }

    async fn sign(&self, order: &Order) -> Result<SignedTx, WalletError> {
        let [pay] = order.pays.as_slice() else {
            let words = "a transaction of this chain pays one line".to_owned();
            return Err(WalletError::Cannot(words));
        };
        let to = address(pay)?;
        let mut taken = BTreeMap::new();
        for raw in &order.taken {
            let tx = self.own(raw)?.tx;
            let most: &mut u128 = taken.entry(tx.nonce).or_default();
            *most = tx.value.saturating_add(tx.fee_max()).max(*most);
        }
        let tip = self.check().await?;
        let count = self.count(EvmState::Latest).await.map_err(no_answer)?;
        let (nonce, replaces) = self.place(order, pay, &taken, count).await?;
        let gas = self.gas(std::slice::from_ref(pay)).await?;
        let gas = gas.first().copied().unwrap_or(PAY_GAS);
        let unit_max = order.fee_max / u128::from(gas);
        let fees = fees::choose(self.market(&tip).await?, self.caps(), unit_max, replaces)?;
        let tx = Tx {
            chain_id: self.config.chain_id,
            nonce,
            fees,
            gas,
            to,
            value: pay.amount,
        };

        let balance = self.balance(EvmState::Latest).await.map_err(no_answer)?;
        // What is not mined yet goes before it, or is what it replaces.
        let before = taken.range(count..).filter(|(other, _)| **other != nonce);
        let spent = before.fold(0, |sum: u128, (_, most)| sum.saturating_add(*most));
        let wanted = spent.saturating_add(tx.value).saturating_add(tx.fee_max());
        if balance < wanted {
            return Err(not_ready(&format!(
                "no funds: it has {balance} base units, and {wanted} are wanted"
            )));
        }

        let raw = tx.sign(&self.key);
        let read = Tx::read(&raw).map(|signed| (signed.tx, signed.sender));
        assert_eq!(
            read,
            Ok((tx, self.address())),
            "what was signed is read back as what was meant, of this wallet"
        );
        Ok(SignedTx {
            txid: keccak256(&raw),
            fee: tx.fee_max(),
            spends: spends(&self.address(), nonce),
            raw,
        })
    }

    async fn send(&self, raw: &[u8]) -> Result<Sent, WalletError> {
        self.own(raw)?;
        self.check_chain().await?;
        match self.node.send_raw(raw).await.map_err(no_answer)? {
            RawAnswer::Taken => Ok(Sent::Taken),
            RawAnswer::Refused(words) => Ok(Sent::Refused(words)),
        }
    }

    async fn look(&self, tx: &Watched) -> Result<Sight, WalletError> {
        self.sight(tx).await
    }

    fn address(&self) -> Account {
        Account::Evm(Self::address(self))
    }

    fn payments(&self, raw: &[u8]) -> Result<Vec<Pay>, WalletError> {
        let tx = self.own(raw)?.tx;
        let address = Account::Evm(tx.to);
        let amount = tx.value;
        Ok(vec![Pay { address, amount }])
    }

    fn survey(&self, asked: &Asked) -> impl Future<Output = Result<Surveyed, WalletError>> + Send {
        self.survey_all(asked)
    }

    async fn block(&self, hash: Hash) -> Result<Option<u64>, WalletError> {
        self.check_chain().await?;
        let depth = self.depth(hash).await?;
        Ok(depth.map(|(height, _)| height))
    }

    async fn our_block(&self, name: Hash, height: u64) -> Result<Found, WalletError> {
        self.check_chain().await?;
        if self.stands(name, height).await? {
            return Ok(Found::At(height));
        }
        let tip = self.eth().tip().await.map_err(no_answer)?.height;
        Ok(Found::Gone { tip })
    }
}

/// Who is paid at an address: nobody has the key of the zero address.
fn receiver(address: &Account) -> Option<[u8; 20]> {
    match address {
        Account::Evm(address) if *address != [0; 20] => Some(*address),
        _ => None,
    }
}

fn address(pay: &Pay) -> Result<[u8; 20], WalletError> {
    let words = || WalletError::Cannot(format!("{} is no address of this chain", pay.address));
    receiver(&pay.address).ok_or_else(words)
}

pub(super) fn no_answer(error: NodeError) -> WalletError {
    WalletError::NoAnswer(error.to_string())
}

fn not_ready(words: &str) -> WalletError {
    WalletError::NotReady(words.to_owned())
}
