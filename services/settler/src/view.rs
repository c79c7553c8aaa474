//! What the settler asks of the chain. [`Nodes`] answers it in production; tests answer with a chain of their own.

use std::future::Future;

use orebook_chain::{ChainBlock, ChainHeader, ChainTip, NodeError, Nodes};
use orebook_schema::Hash;

/// A question without an answer: a time-out, an RPC error, no node. It says nothing about the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain does not answer: {0}")]
pub struct NoAnswer(pub String);

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
}

/// Blocks on top of a block; none if it is not on the best chain.
#[must_use]
pub fn on_top(header: &ChainHeader) -> Option<u64> {
    u64::try_from(header.confirmations).ok()?.checked_sub(1)
}
