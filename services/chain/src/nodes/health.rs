//! Which node is well, and whose template is handed out. Pure: the time is an argument.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Timing, Work};
use crate::template::Template;

/// Failures one after another that make a node sick.
pub const ERRORS_MAX: u32 = 3;
/// Good answers one after another that make a sick node well again.
pub const WELL_AFTER: u32 = 3;
/// Blocks behind the best node that make a node sick at once; one block does after [`Timing::lag`].
pub const BEHIND_BLOCKS_MAX: u64 = 2;

/// What is known of one node.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Its newest template.
    pub(super) template: Option<Arc<Template>>,
    /// When the node last said, by template or by tip, that this template is current.
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
    /// Whether it is on our chain: asked once, and again after each failure.
    pub(super) is_our_chain: bool,
}

impl Health {
    /// The node answered: with a new template, or by its tip that the known one is current.
    pub(super) fn succeeded(&mut self, template: Option<Arc<Template>>, now: Instant) {
        self.template = template.or_else(|| self.template.take());
        self.confirmed = Some(now);
        self.errors = 0;
        self.good = self.good.saturating_add(1);
        if WELL_AFTER <= self.good {
            self.is_sick = false;
        }
        self.why = None;
    }

    /// The node did not answer as it should.
    pub(super) fn failed(&mut self, why: String) {
        self.errors = self.errors.saturating_add(1);
        self.good = 0;
        self.is_sick = self.is_sick || ERRORS_MAX <= self.errors;
        self.is_our_chain = false;
        self.why = Some(why);
    }

    /// The node is on another chain: its templates are worth nothing.
    pub(super) fn is_elsewhere(&mut self, why: String) {
        self.template = None;
        self.confirmed = None;
        self.failed(why);
        self.is_sick = true;
    }

    /// The template, if the node confirmed it lately.
    fn fresh(&self, now: Instant, stale_after: Duration) -> Option<&Arc<Template>> {
        let confirmed = self.confirmed?;
        self.template
            .as_ref()
            .filter(|_| now.duration_since(confirmed) <= stale_after)
    }

    /// Whether it is preferred to later nodes of the list.
    pub(super) fn is_well(&self, now: Instant, stale_after: Duration) -> bool {
        !self.is_sick && self.fresh(now, stale_after).is_some()
    }

    fn reason(&self) -> &str {
        self.why.as_deref().unwrap_or("it has not answered yet")
    }
}

/// Looks which nodes fell behind, and gives the index of the node whose template is to be handed out: the first well one, else
/// the fresh one with the greatest height, else none.
pub(super) fn choose(nodes: &mut [Health], now: Instant, timing: &Timing) -> Option<usize> {
    let height = |node: &Health| {
        node.fresh(now, timing.stale_after)
            .map(|template| template.height)
    };
    let best = nodes.iter().filter_map(height).max()?;
    for node in nodes.iter_mut() {
        let Some(own) = height(node) else { continue };
        if own == best {
            node.behind_since = None;
            continue;
        }
        let since = *node.behind_since.get_or_insert(now);
        if own + BEHIND_BLOCKS_MAX <= best || timing.lag <= now.duration_since(since) {
            node.is_sick = true;
            node.good = 0;
            node.why = Some(format!(
                "it is behind: its next block is {own}, others' is {best}"
            ));
        }
    }
    let well = nodes
        .iter()
        .position(|node| node.is_well(now, timing.stale_after));
    well.or_else(|| nodes.iter().position(|node| height(node) == Some(best)))
}

/// What miners get after this choice. A template of the same parent replaces the published one only when it pays more fees or
/// the published one is `refresh` old; another parent's always does.
pub(super) fn next_work(
    published: &Work,
    published_at: Instant,
    chosen: Result<Arc<Template>, String>,
    now: Instant,
    timing: &Timing,
) -> Option<Work> {
    match (published, chosen) {
        (Work::None { why: old }, Err(why)) if *old == why => None,
        (_, Err(why)) => Some(Work::None { why }),
        (Work::None { .. }, Ok(template)) => Some(Work::Fresh(template)),
        (Work::Fresh(old), Ok(new)) => {
            let is_due = timing.refresh <= now.duration_since(published_at);
            let is_better = new.is_clean_after(old) || old.fees < new.fees || is_due;
            (!Arc::ptr_eq(old, &new) && is_better).then_some(Work::Fresh(new))
        }
    }
}

/// Why there is no work, node by node.
pub(super) fn why(names: &[String], nodes: &[Health]) -> String {
    let parts = names.iter().zip(nodes);
    let parts: Vec<String> = parts
        .map(|(name, node)| format!("{name}: {}", node.reason()))
        .collect();
    format!("no node has fresh work ({})", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::TemplateFields;
    use orebook_schema::units::Hash;

    fn template(height: u64, prev: u8, fees: u64) -> Arc<Template> {
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
        Arc::new(Template::new(fields).expect("a template"))
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
            nodes[0].failed("no answer in time".to_owned());
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
        let fresh = Work::Fresh(Arc::clone(&old));
        let due = timing.refresh.as_secs();
        for (new, seconds, replaces) in [
            (template(5, 1, 10), 0, false),
            (template(5, 1, 9), 0, false),
            (template(5, 1, 11), 0, true),
            (template(5, 1, 9), due, true),
            (template(6, 2, 0), 0, true),
            (template(5, 2, 0), 0, true),
            (Arc::clone(&old), due, false),
        ] {
            let next = next_work(
                &fresh,
                start,
                Ok(Arc::clone(&new)),
                at(start, seconds),
                &timing,
            );
            assert_eq!(
                next.is_some(),
                replaces,
                "height {} fees {} after {seconds} s",
                new.height,
                new.fees
            );
        }
        let none = next_work(&fresh, start, Err("a: dead".to_owned()), start, &timing);
        assert!(matches!(&none, Some(Work::None { why }) if why == "a: dead"));
        let again = none
            .and_then(|none| next_work(&none, start, Err("a: dead".to_owned()), start, &timing));
        assert!(again.is_none(), "the same reason is said once");
    }
}
