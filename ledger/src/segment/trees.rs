//! The ledger's tree where segments begin, for the roots in their headers.

use std::collections::BTreeMap;

use orebook_schema::Hash;

use super::sealed::Sealed;
use super::view::{Record, View};
use super::{StoreError, damaged};
use crate::disk::Disk;
use crate::tree::{Tree, leaf_hash};

/// Trees by size: where the open segments begin and what a snapshot gave, and the one after the last frame if it is
/// known. At most 64 hashes each.
#[derive(Debug, Default)]
pub(super) struct Trees {
    bases: BTreeMap<u64, Tree>,
    tip: Option<Tree>,
}

impl Trees {
    /// Nothing is stored yet.
    pub(super) fn start(&mut self) {
        self.tip = Some(Tree::new());
    }

    /// Adds a tree from outside, unless it is larger than the ledger.
    pub(super) fn give<D: Disk>(
        &mut self,
        view: View<'_, D>,
        tree: Tree,
    ) -> Result<(), StoreError> {
        if tree.size() <= view.size() {
            check_root(view, &tree)?;
            self.bases.insert(tree.size(), tree);
        }
        Ok(())
    }

    /// Adds the leaf of the next frame.
    pub(super) fn push(&mut self, leaf: Hash) {
        if let Some(tip) = &mut self.tip {
            tip.push(leaf);
        }
    }

    /// Root at the end of the ledger, where a segment begins now. Without a known tree the ledger is read from the
    /// largest known one on.
    pub(super) fn begin<D: Disk>(&mut self, view: View<'_, D>) -> Result<Hash, StoreError> {
        let tree = match self.tip.take() {
            Some(tip) => tip,
            None => self.read(view)?,
        };
        let root = tree.root();
        self.bases.insert(tree.size(), tree.clone());
        self.tip = Some(tree);
        Ok(root)
    }

    fn read<D: Disk>(&self, view: View<'_, D>) -> Result<Tree, StoreError> {
        let largest = self.bases.last_key_value();
        let mut tree = largest.map_or_else(Tree::new, |(_, tree)| tree.clone());
        for record in view.records(tree.size()) {
            if let Record::Frame(stored) = record? {
                let entry = stored.frame.leaf_entry(stored.position, stored.ledger_time);
                tree.push(leaf_hash(&entry));
                check_root(view, &tree)?;
            }
        }
        Ok(tree)
    }

    /// The ledger is cut to `size`, which is smaller than it was.
    pub(super) fn cut(&mut self, size: u64) {
        self.tip = None;
        self.bases.retain(|of, _| *of <= size);
    }

    /// Nothing is cut below `size` any more: of the smaller trees the largest is kept.
    pub(super) fn forget_below(&mut self, size: u64) {
        let oldest = self
            .bases
            .range(..=size)
            .next_back()
            .map_or(0, |(size, _)| *size);
        self.bases.retain(|of, _| oldest <= *of);
    }
}

/// Where a segment begins at a tree's size, its header has that tree's root.
fn check_root<D: Disk>(view: View<'_, D>, tree: &Tree) -> Result<(), StoreError> {
    let size = tree.size();
    let sealed = view.sealed.binary_search_by_key(&size, Sealed::first).ok();
    let sealed = sealed
        .and_then(|at| view.sealed.get(at))
        .map(|it| (&it.path, it.header.root));
    let open = || view.open.iter().find(|open| open.index.first() == size);
    match sealed.or_else(|| open().map(|it| (&it.path, it.root))) {
        Some((path, root)) if root != tree.root() => Err(damaged(
            path,
            0,
            size,
            "the root in the file header is not that of the frames",
        )),
        _ => Ok(()),
    }
}
