//! What happens to a list of nodes, for those who write it down.

use std::sync::Mutex;

use tokio::sync::broadcast;

use crate::node::NodeError;

/// Events that wait for a reader; the oldest are lost beyond, and the reader is told how many.
pub const EVENTS_MAX: usize = 64;

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeFault {
    /// It does not answer, or not with what was asked.
    Dead,
    /// Its work is not on its own newest block.
    OldWork,
    /// Its height is not that of the others.
    WrongHeight,
    /// It is on another chain.
    OtherChain,
    /// Its blocks pay somebody else.
    OtherPayee,
    /// Its work cannot be used.
    Unusable,
}

impl NodeFault {
    /// What an error of a question says of the node.
    #[must_use]
    pub const fn of(error: &NodeError) -> Self {
        match error {
            NodeError::Old { .. } | NodeError::OldParent => Self::OldWork,
            NodeError::OtherChain(_) => Self::OtherChain,
            NodeError::OtherPayee(_) => Self::OtherPayee,
            NodeError::Work(_) | NodeError::Template(_) => Self::Unusable,
            _ => Self::Dead,
        }
    }
}

/// A change that an operator wants to find again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// Work comes from another node now, or from none.
    Source {
        /// The node it came from.
        was: Option<String>,
        /// The node it comes from.
        is: Option<String>,
        /// What is wrong with the nodes before it in the list, or with all if there is none; empty if nothing is.
        why: String,
    },
    /// A node became well, or sick, or sick of something else.
    Health {
        /// Its name.
        node: String,
        /// What is wrong with it; none if it is preferred to later ones now.
        fault: Option<NodeFault>,
        /// Its last failure; empty if there is none.
        why: String,
    },
    /// A node took a block of ours as new that it had taken before. It does no harm, and says that the node lost its memory, or
    /// says yes to anything.
    AcceptedTwice {
        /// Its name.
        node: String,
    },
}

/// The sending end. Nobody's listening is no error.
#[derive(Debug)]
pub(super) struct Events {
    to: broadcast::Sender<NodeEvent>,
    /// Since the beginning, for who asks first: what a node does wrong when it is met is said once.
    first: Mutex<Option<broadcast::Receiver<NodeEvent>>>,
}

impl Events {
    pub(super) fn new() -> Self {
        let (to, first) = broadcast::channel(EVENTS_MAX);
        Self {
            to,
            first: Mutex::new(Some(first)),
        }
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<NodeEvent> {
        let first = super::lock(&self.first).take();
        first.unwrap_or_else(|| self.to.subscribe())
    }

    /// Logs an event and gives it to whoever listens.
    pub(super) fn say(&self, event: NodeEvent) {
        match &event {
            NodeEvent::Source { was, is, why } => {
                let name = |node: &Option<String>| node.clone().unwrap_or("none".to_owned());
                tracing::info!(was = %name(was), is = %name(is), %why, "work comes from this node now");
            }
            NodeEvent::Health {
                node,
                fault: None,
                why: _,
            } => tracing::info!(%node, "a node is well"),
            NodeEvent::Health {
                node,
                fault: Some(fault),
                why,
            } => tracing::warn!(%node, ?fault, %why, "a node is not well"),
            NodeEvent::AcceptedTwice { node } => {
                tracing::warn!(%node, "a node took one block of ours twice");
            }
        }
        // An error says that nobody listens.
        drop(self.to.send(event));
    }
}
