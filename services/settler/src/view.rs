//! What the settler asks of the chain. [`Nodes`] answers it in production; tests answer with a chain of their own.

use std::future::Future;

use orebook_chain::{ChainBlock, ChainHeader, ChainTip, EthHeader, NodeError, Nodes};
use orebook_schema::Hash;

/// A question without an answer: a time-out, an RPC error, no node. It says nothing about the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain does not answer: {0}")]
pub struct NoAnswer(pub String);

impl NoAnswer {
    fn kind() -> Self {
        NodeError::Kind.into()
    }
}

impl From<NodeError> for NoAnswer {
    fn from(error: NodeError) -> Self {
        Self(error.to_string())
    }
}

/// An answer, or none.
pub type Answer<T> = Result<T, NoAnswer>;

/// The chain as nodes show it. `Ok(None)` = the node says that it has none; that alone never decides anything.
pub trait ChainView {
    /// The best block.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn tip(&self) -> impl Future<Output = Answer<ChainTip>>;

    /// Hash of the block at a height of the best chain.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn hash_at(&self, height: u64) -> impl Future<Output = Answer<Option<Hash>>>;

    /// The same, from every node there is.
    fn hash_at_each(&self, height: u64) -> impl Future<Output = Vec<Answer<Option<Hash>>>>;

    /// A block's place.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn header(&self, hash: Hash) -> impl Future<Output = Answer<Option<ChainHeader>>>;

    /// A block and what it pays.
    ///
    /// # Errors
    /// [`NoAnswer`].
    fn block(&self, hash: Hash) -> impl Future<Output = Answer<Option<ChainBlock>>>;

    /// An ethash-like's header at a height of the best chain.
    ///
    /// # Errors
    /// [`NoAnswer`]; always of a chain that is none.
    fn eth_at(&self, _height: u64) -> impl Future<Output = Answer<Option<EthHeader>>> {
        async { Err(NoAnswer::kind()) }
    }

    /// The same, from every node there is.
    fn eth_at_each(&self, _height: u64) -> impl Future<Output = Vec<Answer<Option<EthHeader>>>> {
        async { vec![Err(NoAnswer::kind())] }
    }

    /// The uncles of an ethash-like's block: all that its header commits to.
    ///
    /// # Errors
    /// [`NoAnswer`]; always of a chain that is none.
    fn uncles(&self, _of: &EthHeader) -> impl Future<Output = Answer<Vec<EthHeader>>> {
        async { Err(NoAnswer::kind()) }
    }

    /// Fees of an ethash-like's block without what was burnt, base units.
    ///
    /// # Errors
    /// [`NoAnswer`]; always of a chain that is none.
    fn fees(&self, _of: &EthHeader) -> impl Future<Output = Answer<u128>> {
        async { Err(NoAnswer::kind()) }
    }
}

impl ChainView for Nodes {
    async fn tip(&self) -> Answer<ChainTip> {
        Ok(Self::tip(self).await?)
    }

    async fn hash_at(&self, height: u64) -> Answer<Option<Hash>> {
        Ok(Self::hash_at(self, height).await?)
    }

    async fn hash_at_each(&self, height: u64) -> Vec<Answer<Option<Hash>>> {
        let answers = Self::hash_at_each(self, height).await;
        answers
            .into_iter()
            .map(|(_, answer)| answer.map_err(NoAnswer::from))
            .collect()
    }

    async fn header(&self, hash: Hash) -> Answer<Option<ChainHeader>> {
        Ok(Self::header(self, hash).await?)
    }

    async fn block(&self, hash: Hash) -> Answer<Option<ChainBlock>> {
        Ok(Self::block(self, hash).await?)
    }

    async fn eth_at(&self, height: u64) -> Answer<Option<EthHeader>> {
        Ok(Self::eth_at(self, height).await?)
    }

    async fn eth_at_each(&self, height: u64) -> Vec<Answer<Option<EthHeader>>> {
        let answers = Self::eth_at_each(self, height).await;
        answers
            .into_iter()
            .map(|(_, answer)| answer.map_err(NoAnswer::from))
            .collect()
    }

    async fn uncles(&self, of: &EthHeader) -> Answer<Vec<EthHeader>> {
        Ok(Self::uncles(self, of).await?)
    }

    async fn fees(&self, of: &EthHeader) -> Answer<u128> {
        Ok(Self::fees(self, of).await?)
    }
}

/// Blocks on top of a block; none if it is not on the best chain.
#[must_use]
pub fn on_top(header: &ChainHeader) -> Option<u64> {
    u64::try_from(header.confirmations).ok()?.checked_sub(1)
}
