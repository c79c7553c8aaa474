//! Which folds a projector runs.

use orebook_replay::fold::Fold;
use orebook_replay::folds::blocks::Blocks;
use orebook_replay::folds::control::Control;
use orebook_replay::folds::hashrate::Hashrate;
use orebook_replay::folds::money::Money;
use orebook_replay::folds::rounds::Rounds;
use orebook_replay::folds::workers::Workers;

pub(crate) const MONEY: &str = "money";
pub(crate) const BLOCKS: &str = Blocks::NAME;
pub(crate) const ROUNDS: &str = Rounds::NAME;
pub(crate) const HASHRATE: &str = Hashrate::NAME;
pub(crate) const WORKERS: &str = Workers::NAME;

pub(crate) const CONTROL: &str = Control::NAME;

/// Names of all of them.
pub(crate) const NAMES: &[&str] = &[MONEY, BLOCKS, ROUNDS, HASHRATE, WORKERS, CONTROL];

/// Every fold of a projector, `money` first. Each wants a store of its own: see [`Member`](crate::Member).
#[must_use]
pub fn folds() -> Vec<Box<dyn Fold + Send>> {
    vec![
        Box::new(Money),
        Box::new(Blocks),
        Box::new(Rounds),
        Box::new(Hashrate),
        Box::new(Workers),
        Box::new(Control),
    ]
}

/// Name and version of each.
pub(crate) fn versions() -> impl Iterator<Item = (&'static str, u32)> {
    folds()
        .into_iter()
        .map(|fold| (fold.name(), fold.version()))
}
