//! The only crate that knows RocksDB: folds' rows on disk.
//!
//! A [`Folder`] is one RocksDB for one ledger; each fold has a column family in it, a [`RocksStore`]. Rows, the cursor and
//! whatever else the engine keeps change in one write batch with the write-ahead log on, so that they agree after every
//! crash. Nothing here is precious: delete the folder, and the ledger gives the same rows again. That is also the answer to
//! damage, to another layout and to another version of a fold.
//!
//! Reading order: [`Folder`], [`RocksStore`], [`Manifest`].

mod folder;

mod marker;

mod rocks;

mod snapshot;

pub use self::folder::{Folder, FolderError, LAYOUT, Limits, Opened};
pub use self::rocks::RocksStore;
pub use self::snapshot::{FoldState, Manifest, restore};
