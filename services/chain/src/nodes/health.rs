//! Which node is well, and whose template is handed out. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::events::NodeFault;
use super::{Timing, Work};
use crate::node::NodeWork;

/// Failures one after another that make a node sick.
pub const ERRORS_MAX: u32 = 3;
/// Good answers one after another that make a sick node well again.
pub const WELL_AFTER: u32 = 3;
/// Blocks behind the best node that make a node sick at once; one block does after [`Timing::lag`].
pub const BEHIND_BLOCKS_MAX: u64 = 2;

/// Least age of an ethash-like's work before other work of the same parent replaces it: its node makes new work with every
/// transaction, and takes solutions of the old one all the same.
pub const RENEW_SPACING: Duration = Duration::from_secs(1);

/// What is known of one node.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Its newest work.
    pub(super) work: Option<NodeWork>,
    /// When the node last said, by work or by tip, that this work is current.
    confirmed: Option<Instant>,
    /// Failures one after another.
    pub(super) errors: u32,
    /// Good answers one after another.
    good: u32,
    is_sick: bool,
    /// Since when a better height is known elsewhere.
    behind_since: Option<Instant>,
    /// The last failure.
    pub(super) why: Option<String>,
    /// What kind it was, until the node is well.
    fault: Option<NodeFault>,
    /// What was said of it last: whether it is well, else of what it is sick.
    said: (bool, Option<NodeFault>),
    /// Whether it is on our chain: asked once, and again after each failure.
    pub(super) is_our_chain: bool,
}

impl Health {
    /// The node answered: with new work, or by its tip that the known one is current.
    pub(super) fn succeeded(&mut self, work: Option<NodeWork>, now: Instant) {
        self.work = work.or_else(|| self.work.take());
        self.confirmed = Some(now);
        self.errors = 0;
        self.good = self.good.saturating_add(1);
        if WELL_AFTER <= self.good {
            self.is_sick = false;
        }
        if !self.is_sick {
            self.fault = None;
        }
        self.why = None;
    }

    /// The node did not answer as it should.
    pub(super) fn failed(&mut self, fault: NodeFault, why: String) {
        self.fault = Some(fault);
        self.errors = self.errors.saturating_add(1);
        self.good = 0;
        self.is_sick = self.is_sick || ERRORS_MAX <= self.errors;
        self.is_our_chain = false;
        self.why = Some(why);
    }

    /// The node is on another chain, or pays somebody else: its work is worth nothing.
    pub(super) fn is_elsewhere(&mut self, fault: NodeFault, why: String) {
        self.work = None;
        self.confirmed = None;
        self.failed(fault, why);
        self.is_sick = true;
    }

    /// The work, if the node confirmed it lately.
    fn fresh(&self, now: Instant, stale_after: Duration) -> Option<&NodeWork> {
        let confirmed = self.confirmed?;
        self.work
            .as_ref()
            .filter(|_| now.duration_since(confirmed) <= stale_after)
    }

    /// Whether it is preferred to later nodes of the list.
    pub(super) fn is_well(&self, now: Instant, stale_after: Duration) -> bool {
        !self.is_sick && self.fresh(now, stale_after).is_some()
    }

    /// Its height is not that of the others.
    fn is_out_of_line(&mut self, why: String) {
        self.is_sick = true;
        self.good = 0;
        self.fault = Some(NodeFault::WrongHeight);
        self.why = Some(why);
    }

    /// What is new of its health since this was asked last: what is wrong with it now, or nothing.
    pub(super) fn news(
        &mut self,
        now: Instant,
        stale_after: Duration,
    ) -> Option<Option<NodeFault>> {
        let is_well = self.is_well(now, stale_after);
        let fault = match self.fault {
            _ if is_well => None,
            // It answered once, and is silent now.
            None if self.confirmed.is_some() && !self.is_sick => Some(NodeFault::Dead),
            fault => fault,
        };
        // One failure makes nobody sick yet: it is said when there were some, or where it has no work.
        let is_news = (is_well, fault) != self.said && (is_well || fault.is_some());
        is_news.then(|| {
            self.said = (is_well, fault);
            fault
        })
    }

    fn reason(&self) -> &str {
        self.why.as_deref().unwrap_or("it has not answered yet")
    }
}

/// The height that others are held against: the greatest, unless it is told by one of three nodes or more alone, and is
/// [`BEHIND_BLOCKS_MAX`] or more above the next: then it is the next. One node that lies does not make all others sick.
fn best_height(heights: impl Iterator<Item = u64>) -> Option<u64> {
    let mut heights: Vec<u64> = heights.collect();
    heights.sort_unstable_by(|one, other| other.cmp(one));
    match *heights {
        [first, second, _, ..] if second.saturating_add(BEHIND_BLOCKS_MAX) <= first => Some(second),
        [first, ..] => Some(first),
        [] => None,
    }
}

/// Looks which nodes fell behind or are ahead alone, and gives the index of the node whose work is to be handed out: the first
/// well one, else the fresh one with the best height, else none.
pub(super) fn choose(nodes: &mut [Health], now: Instant, timing: &Timing) -> Option<usize> {
    let height = |node: &Health| node.fresh(now, timing.stale_after).map(NodeWork::height);
    let best = best_height(nodes.iter().filter_map(height))?;
    for node in nodes.iter_mut() {
        let Some(own) = height(node) else { continue };
        if best < own {
            let why = format!("it is ahead alone: its next block is {own}, others' is {best}");
            node.is_out_of_line(why);
            continue;
        }
        if own == best {
            node.behind_since = None;
            continue;
        }
        let since = *node.behind_since.get_or_insert(now);
        if own.saturating_add(BEHIND_BLOCKS_MAX) <= best || timing.lag <= now.duration_since(since)
        {
            let why = format!("it is behind: its next block is {own}, others' is {best}");
            node.is_out_of_line(why);
        }
    }
    let well = nodes
        .iter()
        .position(|node| node.is_well(now, timing.stale_after));
    well.or_else(|| nodes.iter().position(|node| height(node) == Some(best)))
}

/// What miners get after this choice. Work of another parent always replaces the published one. Of the same parent, a template
/// does only if it pays more fees or the published one is `refresh` old; an ethash-like's, whose fees nobody tells, if the
/// published one is [`RENEW_SPACING`] old.
pub(super) fn next_work(
    published: &Work,
    published_at: Instant,
    chosen: Result<NodeWork, String>,
    now: Instant,
    timing: &Timing,
) -> Option<Work> {
    match (published, chosen) {
        (Work::None { why: old }, Err(why)) if *old == why => None,
        (_, Err(why)) => Some(Work::None { why }),
        (Work::None { .. }, Ok(work)) => Some(Work::Fresh(work)),
        (Work::Fresh(old), Ok(new)) => {
            let age = now.duration_since(published_at);
            let is_better = new.is_clean_after(old)
                || timing.refresh <= age
                || match (old, &new) {
                    (NodeWork::Template(old), NodeWork::Template(new)) => old.fees < new.fees,
                    (NodeWork::Eth(old), NodeWork::Eth(new)) => {
                        old.seal != new.seal && RENEW_SPACING <= age
                    }
                    _ => true,
                };
            (!old.is(&new) && is_better).then_some(Work::Fresh(new))
        }
    }
}

/// Why there is no work, node by node.
pub(super) fn why(names: &[String], nodes: &[Health]) -> String {
    format!("no node has fresh work ({})", faults(names, nodes, None))
}

/// What is wrong with the nodes before one of the list, or with all; empty if nothing is.
pub(super) fn faults(names: &[String], nodes: &[Health], before: Option<usize>) -> String {
    let parts = names.iter().zip(nodes).take(before.unwrap_or(nodes.len()));
    let parts: Vec<String> = parts
        .map(|(name, node)| format!("{name}: {}", node.reason()))
        .collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::eth::EthWork;
    use crate::template::{Template, TemplateFields};
    use orebook_schema::units::{Hash, U256};

    fn template(height: u64, prev: u8, fees: u64) -> NodeWork {
        let transactions = vec![crate::template::Transaction {
            data: vec![0],
            txid: Hash::ZERO,
            fee: fees,
        }];
        let fields = TemplateFields {
            height,
            prev: Hash([prev; 32]),
            nbits: 0x207f_ffff,
            reward: fees,
            fees,
            transactions,
            ..TemplateFields::default()
        };
        NodeWork::Template(Arc::new(Template::new(fields).expect("a template")))
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_well_node_is_chosen_and_is_chosen_again_when_it_recovers() {
        let (start, timing) = (Instant::now(), Timing::default());
        let mut nodes = [Health::default(), Health::default()];
        assert_eq!(choose(&mut nodes, start, &timing), None, "nobody answered");
        nodes[1].succeeded(Some(template(5, 1, 0)), start);
        assert_eq!(choose(&mut nodes, start, &timing), Some(1), "the only one");
        nodes[0].succeeded(Some(template(5, 1, 0)), start);
        assert_eq!(choose(&mut nodes, start, &timing), Some(0), "the first");
        for _ in 0..ERRORS_MAX {
            assert_eq!(choose(&mut nodes, start, &timing), Some(0), "not yet sick");
            nodes[0].failed(NodeFault::Dead, "no answer in time".to_owned());
        }
        assert_eq!(
            choose(&mut nodes, start, &timing),
            Some(1),
            "the first is sick"
        );
        for _ in 0..WELL_AFTER {
            assert_eq!(choose(&mut nodes, start, &timing), Some(1), "not yet well");
            nodes[0].succeeded(None, start);
        }
        assert_eq!(choose(&mut nodes, start, &timing), Some(0), "well again");
    }

    #[test]
    fn a_node_behind_by_two_is_sick_at_once_and_by_one_after_the_lag() {
        let (start, timing) = (Instant::now(), Timing::default());
        for (behind, seconds, chosen) in [(1, 0, 0), (1, timing.lag.as_secs(), 1), (2, 0, 1)] {
            let mut nodes = [Health::default(), Health::default()];
            nodes[0].succeeded(Some(template(10 - behind, 1, 0)), start);
            nodes[1].succeeded(Some(template(10, 2, 0)), start);
            choose(&mut nodes, start, &timing);
            let later = at(start, seconds);
            nodes[0].succeeded(None, later);
            nodes[1].succeeded(None, later);
            assert_eq!(
                choose(&mut nodes, later, &timing),
                Some(chosen),
                "{behind} behind for {seconds} s"
            );
        }
    }

    #[test]
    fn one_of_three_that_is_ahead_alone_is_not_believed() {
        let (start, timing) = (Instant::now(), Timing::default());
        for (heights, chosen, sick) in [
            // A block may reach one node first.
            (&[11, 10, 10][..], Some(0), &[false, false, false][..]),
            (&[12, 10, 10], Some(1), &[true, false, false]),
            (&[99, 10, 11], Some(1), &[true, false, false]),
            // Two agree, and the third is far behind.
            (&[10, 99, 99], Some(1), &[true, false, false]),
            (&[10, 98, 99], Some(1), &[true, false, false]),
            // Of two nobody knows which lies: work on the greater height is worth more often.
            (&[10, 99], Some(1), &[true, false]),
        ] {
            let mut nodes: Vec<Health> = heights.iter().map(|_| Health::default()).collect();
            for (node, height) in nodes.iter_mut().zip(heights) {
                node.succeeded(Some(template(*height, 1, 0)), start);
            }
            assert_eq!(choose(&mut nodes, start, &timing), chosen, "{heights:?}");
            let seen: Vec<bool> = nodes.iter().map(|node| node.is_sick).collect();
            assert_eq!(seen, sick, "{heights:?}");
        }
    }

    #[test]
    fn ethash_work_of_the_same_parent_is_replaced_when_it_is_a_second_old() {
        let (start, timing) = (Instant::now(), Timing::default());
        let work = |seal: u8, parent: u8| {
            NodeWork::Eth(Arc::new(EthWork {
                seal: Hash([seal; 32]),
                seed: Hash::ZERO,
                target: U256::from(1),
                height: 5,
                network_work: 1,
                parent: Hash([parent; 32]),
                time: 0,
                reward: None,
            }))
        };
        let published = Work::Fresh(work(1, 1));
        for (new, age, replaces) in [
            (work(2, 2), Duration::ZERO, true),
            (work(2, 1), Duration::ZERO, false),
            (work(2, 1), RENEW_SPACING, true),
            (work(1, 1), RENEW_SPACING, false),
        ] {
            let next = next_work(&published, start, Ok(new.clone()), start + age, &timing);
            assert_eq!(next.is_some(), replaces, "{new:?} after {age:?}");
        }
    }

    #[test]
    fn a_template_that_nobody_confirms_goes_stale() {
        let (start, timing) = (Instant::now(), Timing::default());
        let mut nodes = [Health::default()];
        nodes[0].succeeded(Some(template(5, 1, 0)), start);
        let stale = timing.stale_after.as_secs();
        assert_eq!(choose(&mut nodes, at(start, stale), &timing), Some(0));
        assert_eq!(choose(&mut nodes, at(start, stale + 1), &timing), None);
        nodes[0].succeeded(None, at(start, stale + 1));
        assert_eq!(choose(&mut nodes, at(start, stale + 1), &timing), Some(0));
    }

    #[test]
    fn work_is_replaced_by_another_parent_more_fees_or_age() {
        let (start, timing) = (Instant::now(), Timing::default());
        let old = template(5, 1, 10);
        let fresh = Work::Fresh(old.clone());
        let due = timing.refresh.as_secs();
        for (new, seconds, replaces) in [
            (template(5, 1, 10), 0, false),
            (template(5, 1, 9), 0, false),
            (template(5, 1, 11), 0, true),
            (template(5, 1, 9), due, true),
            (template(6, 2, 0), 0, true),
            (template(5, 2, 0), 0, true),
            (old.clone(), due, false),
        ] {
            let next = next_work(&fresh, start, Ok(new.clone()), at(start, seconds), &timing);
            assert_eq!(next.is_some(), replaces, "{new:?} after {seconds} s");
        }
        let none = next_work(&fresh, start, Err("a: dead".to_owned()), start, &timing);
        assert!(matches!(&none, Some(Work::None { why }) if why == "a: dead"));
        let again = none
            .and_then(|none| next_work(&none, start, Err("a: dead".to_owned()), start, &timing));
        assert!(again.is_none(), "the same reason is said once");
    }
}
