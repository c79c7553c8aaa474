//! What happens to chain nodes, told to the activity log through the process's gateways.

use std::sync::Weak;

use orebook_chain::{NodeEvent, NodeFault, Nodes};
use orebook_gateway::GatewayHandle;
use orebook_schema::activity::NodeSaid;
use tokio::sync::broadcast::error::RecvError;

/// What an event is in the activity log, of which node; none where no node is named.
fn said(event: NodeEvent) -> Option<(NodeSaid, String)> {
    match event {
        NodeEvent::Source { is, .. } => Some((NodeSaid::Source, is?)),
        NodeEvent::AcceptedTwice { node } => Some((NodeSaid::AcceptedTwice, node)),
        NodeEvent::Health { node, fault, .. } => {
            let said = match fault {
                None => NodeSaid::Well,
                Some(NodeFault::Dead) => NodeSaid::Dead,
                Some(NodeFault::OldWork) => NodeSaid::OldWork,
                Some(NodeFault::WrongHeight) => NodeSaid::WrongHeight,
                Some(NodeFault::OtherChain) => NodeSaid::OtherChain,
                Some(NodeFault::OtherPayee) => NodeSaid::OtherPayee,
                Some(NodeFault::Unusable) => NodeSaid::Unusable,
            };
            Some((said, node))
        }
    }
}

/// Tells the first gateway that is left, so that a process says each thing once. Ends with the list of nodes.
pub(super) async fn tell(nodes: Nodes, gateways: Vec<Weak<GatewayHandle>>) {
    let mut events = nodes.events();
    drop(nodes);
    loop {
        match events.recv().await {
            Ok(event) => {
                let gateway = gateways.iter().find_map(Weak::upgrade);
                if let (Some(gateway), Some((said, node))) = (gateway, said(event)) {
                    gateway.node_said(said, &node);
                }
            }
            Err(RecvError::Lagged(lost)) => {
                tracing::warn!(
                    lost,
                    "things that happened to nodes are not in the activity log"
                );
            }
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_of_a_node_is_said_by_its_name() {
        let node = || "geth".to_owned();
        let health = |fault| NodeEvent::Health {
            node: node(),
            fault,
            why: String::new(),
        };
        for (event, name) in [
            (health(None), Some("well")),
            (health(Some(NodeFault::Dead)), Some("dead")),
            (health(Some(NodeFault::OldWork)), Some("old_work")),
            (health(Some(NodeFault::WrongHeight)), Some("wrong_height")),
            (health(Some(NodeFault::OtherChain)), Some("other_chain")),
            (health(Some(NodeFault::OtherPayee)), Some("other_payee")),
            (health(Some(NodeFault::Unusable)), Some("unusable_work")),
            (
                NodeEvent::AcceptedTwice { node: node() },
                Some("accepted_twice"),
            ),
            (
                NodeEvent::Source {
                    was: None,
                    is: Some(node()),
                    why: String::new(),
                },
                Some("source"),
            ),
            (
                NodeEvent::Source {
                    was: Some(node()),
                    is: None,
                    why: String::new(),
                },
                None,
            ),
        ] {
            let told = said(event).map(|(said, node)| (said.name(), node));
            assert_eq!(told, name.map(|name| (name, node())));
        }
    }
}
