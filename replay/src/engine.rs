//! Drives folds over final positions: checks the chain as it goes, commits rows and cursor together, resumes.
//!
//! Each fold has a store of its own with its own cursor, and is rebuilt alone: delete its store. Folds of one engine that
//! stand at different positions are brought level first. Admission's state comes from a snapshot in a store, or from
//! genesis; the frames from there on are judged again, by the one function that judges live frames.

mod rows;

mod source;

use std::sync::Arc;

use orebook_ledger::admit::{AdmitError, History, Parsed, State, Trust, Verdict};
use orebook_ledger::segment::{Record, StoredFrame};
use orebook_schema::bytes::DecodeError;
use orebook_schema::{Hash, Header, LedgerId};

use crate::digest::{self, Digest, Digester};
use crate::fold::{FinalFrame, Fold, FoldStop};
use crate::rows::{ENGINE_TABLES, StoreFault, put};
use crate::store::{Pending, Store};

pub use self::rows::{Cursor, Manifest, cursor, manifest};
pub use self::source::{Past, SharedReader, Source};

use self::rows::{CursorRow, Meta};

/// Frames taken from a source at once, up to 3 MiB: a shared reader is locked that long.
const BATCH_FRAMES: usize = 32;
/// Changes of a fold are committed when they reach this, or at the end of [`Engine::advance`].
const PENDING_BYTES_MAX: usize = 8 << 20;
/// Admission's state is kept beside the rows each so many positions: so many are judged again after a start, at most.
pub const STATE_POSITIONS: u64 = 16_384;

/// Why the engine stopped. What was committed stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A store failed: end the process and start again.
    #[error("fold {fold}: {fault}")]
    Store {
        /// Which fold's.
        fold: &'static str,
        /// How.
        fault: StoreFault,
    },
    /// A store holds another ledger, fold or version: delete it, and the ledger is replayed.
    #[error("the store of fold {fold} holds {found}: delete it, and the ledger is replayed")]
    Other {
        /// Which fold's.
        fold: &'static str,
        /// What it holds.
        found: String,
    },
    /// A store's cursor is not a prefix of this ledger: the store, or the ledger, is another one's.
    #[error("fold {fold} stands at {size} with another root than this ledger's")]
    Forked {
        /// Which fold.
        fold: &'static str,
        /// Its size.
        size: u64,
    },
    /// The ledger uses a kind that this software does not know: upgrade it. Nothing is skipped.
    #[error(
        "position {position} uses kind {kind} version {version}, which this software does not know: upgrade it; see docs/runbooks/upgrade-order.md"
    )]
    UnknownKind {
        /// Position.
        position: u64,
        /// Kind byte.
        kind: u8,
        /// Version byte.
        version: u8,
    },
    /// A stored frame is not what admission gives: the segments are damaged, or not a ledger's.
    #[error("position {position}: {what}")]
    Damaged {
        /// Position.
        position: u64,
        /// What is wrong.
        what: String,
    },
    /// The source does not give a position, or a fold waits for one: try again later.
    #[error(transparent)]
    Waits(FoldStop),
}

/// How far an engine is, for progress bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Positions done.
    pub size: u64,
    /// Positions to do.
    pub below: u64,
}

/// A fold in an engine.
struct Member {
    fold: Box<dyn Fold + Send>,
    store: Arc<dyn Store>,
    cursor: Cursor,
    /// Size that the store's cursor has.
    committed: u64,
    pending: Pending,
    digester: Digester,
    /// Size of the newest state snapshot in the store.
    state_size: u64,
    /// Set when the fold cannot go on in this process; the others do.
    stopped: Option<FoldStop>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.fold.name(), self.cursor.size)
    }
}

/// A frame that was admitted and that not every fold has applied.
#[derive(Debug)]
struct Current {
    parsed: Parsed,
    counts: Vec<bool>,
    position: u64,
    root: Hash,
}

/// Folds and the ledger's state.
#[derive(Debug)]
pub struct Engine {
    state: State,
    trust: Trust,
    members: Vec<Member>,
    current: Option<Current>,
    state_positions: u64,
}

impl Engine {
    /// Opens folds on their stores. Each goes on from its store's cursor. `below` = positions that are final in the source.
    /// [`Trust::CheckedBefore`] leaves out signatures: only for segments that this machine's reader wrote.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn open(
        ledger: LedgerId,
        folds: Vec<(Box<dyn Fold + Send>, Arc<dyn Store>)>,
        trust: Trust,
        source: &impl Source,
        below: u64,
    ) -> Result<Self, EngineError> {
        let members = folds
            .into_iter()
            .map(|(fold, store)| Member::open(ledger, fold, store))
            .collect::<Result<Vec<Member>, EngineError>>()?;
        let lowest = members.iter().map(|member| member.cursor.size).min();
        let lowest = lowest.unwrap_or(0);
        let mut state = State::new(ledger);
        for member in &members {
            if let Some(found) = member.newest_state(lowest)?
                && state.size() < found.size()
                && found.ledger() == ledger
            {
                state = found;
            }
        }
        let mut engine = Self {
            state,
            trust,
            members,
            current: None,
            state_positions: STATE_POSITIONS,
        };
        engine.catch_up(source, lowest, below)?;
        Ok(engine)
    }

    /// Keeps admission's state each so many positions instead of [`STATE_POSITIONS`].
    pub const fn keep_state_each(&mut self, positions: u64) {
        self.state_positions = positions;
    }

    /// Positions that admission has read; every fold that is not stopped has applied those of the last
    /// [`Engine::advance`].
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.state.size()
    }

    /// Admission's state at [`Engine::size`].
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Name and cursor of each fold.
    pub fn cursors(&self) -> impl Iterator<Item = (&'static str, Cursor)> + '_ {
        self.members
            .iter()
            .map(|member| (member.fold.name(), member.cursor))
    }

    /// Whether the stores of all folds that are not stopped stand at one position, as far as they are committed.
    #[must_use]
    pub fn is_level(&self) -> bool {
        let running = |member: &&Member| member.stopped.is_none();
        let mut sizes = self.members.iter().filter(running).map(|it| it.committed);
        let first = sizes.next();
        sizes.all(|size| Some(size) == first)
    }

    /// Folds that cannot go on in this process, and why. The others do.
    pub fn stops(&self) -> impl Iterator<Item = (&'static str, &FoldStop)> + '_ {
        self.members
            .iter()
            .filter_map(|member| Some((member.fold.name(), member.stopped.as_ref()?)))
    }

    /// Applies final positions, at most `positions_max` and none at or above `below`, and commits. Returns how many.
    ///
    /// # Errors
    /// [`EngineError`]. What was applied before the error is committed, unless a store failed. After
    /// [`EngineError::Waits`] the next call goes on where this one stopped.
    pub fn advance(
        &mut self,
        source: &impl Source,
        below: u64,
        positions_max: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<u64, EngineError> {
        let applied = self.apply(source, below, positions_max, progress);
        if !matches!(applied, Err(EngineError::Store { .. })) {
            self.commit()?;
        }
        applied
    }

    /// Applies as [`Engine::advance`] does, and leaves the commit to [`Engine::commit`]: a row that many positions change is
    /// written once for all of them. Only folds with many changes are committed on the way.
    ///
    /// # Errors
    /// [`EngineError`]. Unless a store failed, what was applied before the error can be committed.
    pub fn apply(
        &mut self,
        source: &impl Source,
        below: u64,
        positions_max: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<u64, EngineError> {
        let from = self.state.size();
        let end = below.min(from.saturating_add(positions_max));
        self.apply_until(source, end, progress)?;
        Ok(self.state.size().saturating_sub(from))
    }

    fn apply_until(
        &mut self,
        source: &impl Source,
        end: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), EngineError> {
        self.apply_current(source)?;
        let mut records = Vec::new();
        while self.state.size() < end {
            records.clear();
            let position = self.state.size();
            source
                .records(position, end, BATCH_FRAMES, &mut records)
                .map_err(EngineError::Waits)?;
            let before = self.state.size();
            self.take(source, &mut records)?;
            if self.state.size() == before {
                return Err(EngineError::Waits(FoldStop::Missing { position }));
            }
            progress(Progress {
                size: self.state.size(),
                below: end,
            });
        }
        Ok(())
    }

    /// Takes records in order. Closures are taken with the frame after them: one at the end comes again.
    fn take(&mut self, source: &impl Source, records: &mut Vec<Record>) -> Result<(), EngineError> {
        let mut closures = Vec::new();
        for record in records.drain(..) {
            match record {
                Record::Closure { header, .. } => closures.push(header),
                Record::Frame(stored) => {
                    let closures = std::mem::take(&mut closures);
                    self.admit(source, &closures, stored)?;
                    self.apply_current(source)?;
                    self.commit_large()?;
                }
            }
        }
        Ok(())
    }

    /// Judges a stored frame again, after the closures before it.
    fn admit(
        &mut self,
        source: &impl History,
        closures: &[Header],
        stored: StoredFrame,
    ) -> Result<(), EngineError> {
        let position = self.state.size();
        let damaged = |what: String| EngineError::Damaged { position, what };
        if stored.position != position {
            return Err(damaged(format!(
                "the source gave position {}",
                stored.position
            )));
        }
        let failed = |error: AdmitError| match error {
            AdmitError::UnknownKind { kind, version } => EngineError::UnknownKind {
                position,
                kind,
                version,
            },
            other => damaged(other.to_string()),
        };
        for header in closures {
            let closed = self.state.close_by_evidence(source, header);
            if !closed.map_err(failed)? {
                return Err(damaged("the closure before it is no fork".to_owned()));
            }
        }
        let parsed = match Parsed::read(stored.frame.into_bytes()) {
            Ok(parsed) => parsed,
            Err(DecodeError::UnknownKind { kind, version }) => {
                return Err(EngineError::UnknownKind {
                    position,
                    kind,
                    version,
                });
            }
            Err(error) => return Err(damaged(format!("the frame is malformed: {error}"))),
        };
        let verdict = self
            .state
            .admit_parsed(source, stored.append_time, &parsed, self.trust)
            .map_err(failed)?;
        match verdict {
            Verdict::Admitted(admitted) if admitted.ledger_time == stored.ledger_time => {
                self.current = Some(Current {
                    parsed,
                    counts: admitted.counts,
                    position,
                    root: self.state.root(),
                });
                Ok(())
            }
            Verdict::Admitted(_) => Err(damaged("the stored ledger time is wrong".to_owned())),
            Verdict::Refused(cause) => Err(damaged(format!(
                "the frame is not admitted: {}",
                cause.name()
            ))),
        }
    }

    /// Gives the frame in hand to the folds that have not applied it.
    fn apply_current(&mut self, source: &impl Source) -> Result<(), EngineError> {
        let Some(current) = &self.current else {
            return Ok(());
        };
        let past = Past::new(source, current.position);
        let frame = FinalFrame {
            position: current.position,
            ledger_time: self.state.ledger_time(),
            parsed: &current.parsed,
            counts: &current.counts,
            state: &self.state,
        };
        let at_point = digest::is_point(&frame);
        for member in &mut self.members {
            if member.cursor.size == frame.size() && member.cursor.root != current.root {
                return Err(member.forked());
            }
            if member.cursor.size == frame.position && member.stopped.is_none() {
                member.apply(&frame, current.root, at_point, &past)?;
            }
        }
        self.current = None;
        Ok(())
    }

    fn commit_large(&mut self) -> Result<(), EngineError> {
        let (state, each) = (&self.state, self.state_positions);
        let mut large = self.members.iter_mut();
        large.try_for_each(|member| {
            let full = PENDING_BYTES_MAX <= member.pending.bytes();
            if full || member.is_state_due(state, each) {
                member.commit(state, each)
            } else {
                Ok(())
            }
        })
    }

    /// Commits what was applied and is not committed: every fold that is not stopped stands at [`Engine::size`] then.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn commit(&mut self) -> Result<(), EngineError> {
        let (state, each) = (&self.state, self.state_positions);
        self.members
            .iter_mut()
            .try_for_each(|member| member.commit(state, each))
    }

    /// Runs admission alone up to the lowest cursor, and checks it; then level with the highest, each fold from its own.
    fn catch_up(
        &mut self,
        source: &impl Source,
        lowest: u64,
        below: u64,
    ) -> Result<(), EngineError> {
        if below < lowest {
            return Err(EngineError::Waits(FoldStop::Missing { position: below }));
        }
        let mut records = Vec::new();
        while self.state.size() < lowest {
            records.clear();
            let position = self.state.size();
            source
                .records(position, lowest, BATCH_FRAMES, &mut records)
                .map_err(EngineError::Waits)?;
            self.take(source, &mut records)?;
            if self.state.size() == position {
                return Err(EngineError::Waits(FoldStop::Missing { position }));
            }
        }
        let root = self.state.root();
        for member in &self.members {
            if member.cursor.size == lowest && member.cursor.root != root {
                return Err(member.forked());
            }
        }
        Ok(())
    }
}

impl Member {
    fn open(
        ledger: LedgerId,
        fold: Box<dyn Fold + Send>,
        store: Arc<dyn Store>,
    ) -> Result<Self, EngineError> {
        let name = fold.name();
        let fault = |fault| EngineError::Store { fold: name, fault };
        let view = store.view().map_err(fault)?;
        let expected = Meta {
            ledger,
            name: name.to_owned(),
            version: fold.version(),
        };
        if let Some(found) = Meta::load(view.as_ref()).map_err(fault)?
            && found != expected
        {
            return Err(EngineError::Other {
                fold: name,
                found: found.to_string(),
            });
        }
        let row = CursorRow::load(view.as_ref()).map_err(fault)?;
        let digester = Digester::load(view.as_ref(), &row.dirty).map_err(fault)?;
        let state_size = rows::newest_state_size(view.as_ref()).map_err(fault)?;
        drop(view);
        let mut pending = Pending::new();
        let base = store.view().map_err(fault)?;
        put(&mut pending.kept_over(base.as_ref()), &expected).map_err(fault)?;
        drop(base);
        Ok(Self {
            cursor: Cursor {
                size: row.size,
                root: row.root,
            },
            committed: row.size,
            fold,
            store,
            pending,
            digester,
            state_size,
            stopped: None,
        })
    }

    fn fault(&self) -> impl Fn(StoreFault) -> EngineError + use<> {
        let fold = self.fold.name();
        move |fault| EngineError::Store { fold, fault }
    }

    fn forked(&self) -> EngineError {
        EngineError::Forked {
            fold: self.fold.name(),
            size: self.cursor.size,
        }
    }

    /// The newest usable state snapshot that is not above `size`.
    fn newest_state(&self, size: u64) -> Result<Option<State>, EngineError> {
        let view = self.store.view().map_err(self.fault())?;
        rows::newest_state(view.as_ref(), size).map_err(self.fault())
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        root: Hash,
        at_point: bool,
        past: &Past<'_, impl Source>,
    ) -> Result<(), EngineError> {
        let fault = self.fault();
        let store = Arc::clone(&self.store);
        let view = store.view().map_err(&fault)?;
        let mut rows = self.pending.over(view.as_ref());
        let applied = self.fold.apply(frame, &mut rows, past);
        if let Err(stop) = applied {
            drop(view);
            self.pending.take_back();
            self.fold.forget();
            return match stop {
                FoldStop::Store(error) => Err(fault(error)),
                stop if stop.is_retryable() => Err(EngineError::Waits(stop)),
                stop => {
                    self.stopped = Some(stop);
                    Ok(())
                }
            };
        }
        if at_point {
            self.fold.flush(&mut rows).map_err(&fault)?;
        }
        let has_digest = self.fold.has_digest();
        self.note_changes();
        self.cursor = Cursor {
            size: frame.size(),
            root,
        };
        if at_point && has_digest {
            let mut rows = self.pending.kept_over(view.as_ref());
            let hash = self.digester.digest(self.fold.as_ref(), &mut rows);
            let row = Digest {
                size: frame.size(),
                digest: hash.map_err(&fault)?,
                root,
            };
            put(&mut rows, &row).map_err(&fault)?;
            self.fold.check(&rows).map_err(&fault)?;
        }
        Ok(())
    }

    /// Keeps what the fold wrote, and notes it for the digest.
    fn note_changes(&mut self) {
        let has_digest = self.fold.has_digest();
        for (table, key) in self.pending.keep() {
            assert!(
                table < ENGINE_TABLES,
                "tables from 0xf0 on are the engine's"
            );
            if has_digest {
                self.digester.note(table, key);
            }
        }
    }

    /// Whether admission's state should be kept beside the rows now.
    const fn is_state_due(&self, state: &State, state_positions: u64) -> bool {
        state.size() == self.cursor.size
            && self.state_size.saturating_add(state_positions) <= self.cursor.size
    }

    /// Commits rows, cursor and, now and then, admission's state.
    fn commit(&mut self, state: &State, state_positions: u64) -> Result<(), EngineError> {
        if self.committed == self.cursor.size {
            return Ok(());
        }
        let fault = self.fault();
        let keeps_state = self.is_state_due(state, state_positions);
        let store = Arc::clone(&self.store);
        let view = store.view().map_err(&fault)?;
        let mut rows = self.pending.over(view.as_ref());
        self.fold.flush(&mut rows).map_err(&fault)?;
        self.note_changes();
        let mut rows = self.pending.kept_over(view.as_ref());
        self.digester
            .settle(self.fold.as_ref(), &mut rows)
            .map_err(&fault)?;
        let row = CursorRow {
            size: self.cursor.size,
            root: self.cursor.root,
            dirty: self.digester.dirty(),
        };
        put(&mut rows, &row).map_err(&fault)?;
        if keeps_state {
            rows::put_state(&mut rows, state).map_err(&fault)?;
        }
        drop(view);
        self.store.commit(self.pending.batch()).map_err(&fault)?;
        self.pending.clear();
        self.committed = self.cursor.size;
        if keeps_state {
            self.state_size = self.cursor.size;
        }
        Ok(())
    }
}
