//! Bitcoin-like nodes that lie: their templates are not taken, and the next node's are.

use std::sync::Arc;
use std::time::Duration;

use orebook_chain::hash::{parse_shown, shown};
use orebook_chain::{NodeConfig, NodeEvent, NodeKind, Nodes, NodesConfig};
use orebook_schema::units::Hash;
use serde_json::{Value, json};

use crate::fake::{Fake, golden, golden_node, header, result, run};
use crate::list::{fresh, quick, within};

#[test]
fn an_old_template_and_a_wrong_height_are_not_handed_out() {
    let tip = golden()["previousblockhash"].clone();
    let other = json!(shown(Hash([7; 32])));
    for (name, liar_tip, tip_height, told) in [
        (
            "a template on a block that is not the newest",
            &other,
            101,
            "an old template",
        ),
        (
            "a height that is not its parent's and one",
            &tip,
            55,
            "old or wrong work",
        ),
        (
            "a height below its parent's",
            &tip,
            102,
            "old or wrong work",
        ),
    ] {
        run(async {
            let mut replies = golden_node();
            replies.retain(|(method, _)| *method == "getblocktemplate");
            replies.push(("getbestblockhash", result(liar_tip.clone())));
            replies.push(("getblockheader", header(&tip, tip_height)));
            let liar = Fake::with(replies).await;
            // The honest node is at the same height on another parent, so that each template shows whose it is.
            let honest = Fake::start(Arc::new(|method, params: &Value| match method {
                "getblocktemplate" => {
                    let mut template = golden();
                    template["previousblockhash"] = shown(Hash([2; 32])).into();
                    template["longpollid"] = Value::Null;
                    result(template)
                }
                "getblockheader" => header(&params[0], 101),
                _ => result(json!(shown(Hash([2; 32])))),
            }))
            .await;
            let listed = [("liar", &liar), ("honest", &honest)];
            let nodes = listed.map(|(name, fake)| NodeConfig {
                name: name.to_owned(),
                kind: NodeKind::Rpc(fake.config()),
            });
            let nodes = Nodes::start(NodesConfig {
                nodes: nodes.into(),
                genesis: None,
                push: None,
                timing: quick(),
            });
            let nodes = nodes.expect("a list");
            let mut events = nodes.events();
            let false_parent = parse_shown(tip.as_str().expect("hex"));
            fresh(&mut nodes.templates(), |template| {
                assert_ne!(Some(template.prev), false_parent, "{name}");
                template.prev == Hash([2; 32])
            })
            .await;
            let said = async {
                loop {
                    let event = events.recv().await.expect("nothing is lost");
                    if let NodeEvent::Source {
                        is: Some(is), why, ..
                    } = event
                    {
                        return (is, why);
                    }
                }
            };
            let (is, _) = within("an event", said).await;
            assert_eq!(is, "honest", "{name}");
            let seen = async {
                let mut pause = tokio::time::interval(Duration::from_millis(10));
                loop {
                    pause.tick().await;
                    let health = nodes.health();
                    assert!(!health[0].well, "{name}: {health:?}");
                    if health[0].why.as_ref().is_some_and(|why| why.contains(told)) {
                        return;
                    }
                }
            };
            within(told, seen).await;
            nodes.stop().await;
        });
    }
}
