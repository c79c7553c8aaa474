//! Named points at which a crash test stops the process, to kill it there. `OREBOOK_STOP_AT` says one:
//! `PATH OPERATION before|after COUNT`, PATH being the beginning of a path below the pool's folder, or `chain` with
//! operation `submit`, `wallet` with `sign` or `send`, `paymaster/rows` with `commit`. The thread that gets there for the COUNTth time says so on stderr and goes no further. Without the
//! variable nothing is watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use orebook_ledger::disk::real::{Operation, Watch};
use orebook_replay::rows::{StoreFault, View};
use orebook_replay::store::{Batch, Store};

use crate::{Failure, say};

/// The variable's name.
const VARIABLE: &str = "OREBOOK_STOP_AT";

/// A point.
#[derive(Debug)]
struct Point {
    path: String,
    operation: String,
    done: bool,
    left: AtomicU64,
}

/// The point that was asked for, if any.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopAt(Option<Arc<Point>>);

impl StopAt {
    /// Reads the variable.
    pub(crate) fn read() -> Result<Self, Failure> {
        match std::env::var(VARIABLE) {
            Ok(text) => Self::parse(&text)
                .ok_or_else(|| Failure::new(format!("{VARIABLE}: {text:?} is no point"))),
            Err(_) => Ok(Self(None)),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut next = || words.next();
        let (path, operation, when, count) = (next()?, next()?, next()?, next()?);
        let done = match when {
            "before" => false,
            "after" => true,
            _ => return None,
        };
        Some(Self(Some(Arc::new(Point {
            path: path.to_owned(),
            operation: operation.to_owned(),
            done,
            left: AtomicU64::new(count.parse().ok().filter(|count| 0 < *count)?),
        }))))
    }

    /// Stops here, if this is the point.
    pub(crate) fn pass(&self, path: &str, operation: &str, done: bool) {
        if self
            .0
            .as_ref()
            .is_some_and(|point| point.is_reached(path, operation, done))
        {
            say(&format!("stopped at {path} {operation}"));
            loop {
                std::thread::park();
            }
        }
    }

    /// The store of this name, watched if something is asked for.
    pub(crate) fn store(&self, name: &'static str, store: Arc<dyn Store>) -> Arc<dyn Store> {
        if self.0.is_none() {
            return store;
        }
        let stop_at = self.clone();
        Arc::new(Watched {
            store,
            name,
            stop_at,
        })
    }

    /// For a disk; none if nothing is asked for.
    pub(crate) fn watch(&self) -> Option<Watch> {
        self.0.as_ref()?;
        let here = self.clone();
        Some(Arc::new(move |it: Operation<'_>| {
            here.pass(it.path, it.name, it.done)
        }))
    }
}

/// A store whose commits are points.
struct Watched {
    store: Arc<dyn Store>,
    name: &'static str,
    stop_at: StopAt,
}

impl Store for Watched {
    fn view(&self) -> Result<Box<dyn View + '_>, StoreFault> {
        self.store.view()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreFault> {
        self.stop_at.pass(self.name, "commit", false);
        let done = self.store.commit(batch);
        self.stop_at.pass(self.name, "commit", true);
        done
    }
}

impl Point {
    fn is_reached(&self, path: &str, operation: &str, done: bool) -> bool {
        path.starts_with(&self.path)
            && operation == self.operation
            && done == self.done
            && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_reached_once_at_its_count() {
        let StopAt(Some(point)) = StopAt::parse("gateway-1 sync after 2").unwrap() else {
            panic!("a point");
        };
        for (path, operation, done, reached) in [
            ("gateway-1/spool/0", "sync", true, false),
            ("gateway-1/spool/0", "sync", false, false),
            ("gateway-1/spool/0", "write_at", true, false),
            ("ledger/x", "sync", true, false),
            ("gateway-1/spool/1", "sync", true, true),
            ("gateway-1/spool/1", "sync", true, false),
        ] {
            assert_eq!(
                point.is_reached(path, operation, done),
                reached,
                "{path} {operation}"
            );
        }
        for wrong in [
            "",
            "a sync after",
            "a sync later 1",
            "a sync after 0",
            "a sync after x",
        ] {
            assert!(StopAt::parse(wrong).is_none(), "{wrong}");
        }
    }
}
