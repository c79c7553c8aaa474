//! What happens to a list of nodes, for those who write it down.

use tokio::sync::broadcast;

/// Events that wait for a reader; the oldest are lost beyond, and the reader is told how many.
pub const EVENTS_MAX: usize = 64;

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
    /// A node became well, or sick.
    Health {
        /// Its name.
        node: String,
        /// Whether it is preferred to later ones now.
        well: bool,
        /// Its last failure; empty if there is none.
        why: String,
    },
}

/// The sending end. Nobody's listening is no error.
#[derive(Debug)]
pub(super) struct Events(broadcast::Sender<NodeEvent>);

impl Events {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(EVENTS_MAX))
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<NodeEvent> {
        self.0.subscribe()
    }

    /// Logs an event and gives it to whoever listens.
    pub(super) fn say(&self, event: NodeEvent) {
        match &event {
            NodeEvent::Source { was, is, why } => {
                let name = |node: &Option<String>| node.clone().unwrap_or("none".to_owned());
                tracing::info!(was = %name(was), is = %name(is), %why, "work comes from this node now");
            }
            NodeEvent::Health { node, well, why } => {
                tracing::info!(%node, well, %why, "a node's health changed");
            }
        }
        // An error says that nobody listens.
        drop(self.0.send(event));
    }
}
