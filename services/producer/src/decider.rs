//! Who reads the ledger, decides, says it once, and waits until that is final: settler, paymaster.

use std::sync::Arc;

use orebook_ledger::admit::State;
use orebook_ledger::disk::Disk;
use orebook_ledger::log::Log;
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::SpoolConfig;
use orebook_replay::engine::SharedReader;
use orebook_replay::fold::Fold;
use orebook_replay::store::Store;
use orebook_schema::{Event, StreamId};

use crate::outbox::locked;
use crate::{Follower, Outbox, ProducerError};

/// See the module.
#[derive(Debug)]
pub struct Decider<D: Disk + Clone> {
    follower: Follower,
    outbox: Outbox<D>,
}

/// What a decider is.
#[derive(Clone, Copy, Debug)]
pub struct DeciderConfig {
    /// Its name, for the log.
    pub name: &'static str,
    /// Its spool.
    pub spool: SpoolConfig,
    /// What it reads the ledger through.
    pub fold: fn() -> Box<dyn Fold + Send>,
}

impl<D: Disk + Clone> Decider<D> {
    /// Opens the spool in folder `dir` of `disk`, and its epoch; `new_stream` is used if it has none yet. `store` is as in
    /// [`Follower::new`].
    ///
    /// # Errors
    /// [`ProducerError::Spool`].
    pub fn open(
        config: DeciderConfig,
        disk: D,
        dir: &str,
        signer: Signer,
        store: Arc<dyn Store>,
        now: u64,
        new_stream: StreamId,
    ) -> Result<Self, ProducerError> {
        let DeciderConfig { name, spool, fold } = config;
        Ok(Self {
            follower: Follower::new(spool.ledger, fold, store),
            outbox: Outbox::open(name, disk, dir, spool, signer, now, new_stream)?,
        })
    }

    /// What it says.
    #[must_use]
    pub const fn outbox(&self) -> &Outbox<D> {
        &self.outbox
    }

    /// What it reads.
    #[must_use]
    pub const fn follower(&self) -> &Follower {
        &self.follower
    }

    /// State after what was read.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        self.follower.state()
    }

    /// Whether everything final is read, and everything said is final: only then anything is decided.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.follower.is_level() && self.outbox.is_read_back()
    }

    /// A turn with the ledger: reads what is final, sends what was said, looks whether it is final. `new_stream` is used if
    /// the stream was closed.
    ///
    /// # Errors
    /// [`ProducerError`]: the process ends, and starts again from what is durable.
    pub fn turn(
        &mut self,
        mirror: &SharedReader<D>,
        log: &mut impl Log,
        now: u64,
        new_stream: StreamId,
    ) -> Result<(), ProducerError> {
        self.follower.turn(mirror)?;
        self.outbox.beat(now)?;
        self.outbox
            .publish(&mut locked(mirror), log, now, new_stream)?;
        self.read_back(mirror)
    }

    /// The same for one who says nothing: a dry run.
    ///
    /// # Errors
    /// [`ProducerError`].
    pub fn turn_silently(&mut self, mirror: &SharedReader<D>) -> Result<(), ProducerError> {
        self.follower.turn(mirror)?;
        self.read_back(mirror)
    }

    fn read_back(&mut self, mirror: &SharedReader<D>) -> Result<(), ProducerError> {
        let Some(state) = self.follower.state() else {
            return Ok(());
        };
        self.outbox.read_back(&locked(mirror), state)
    }

    /// Says these events, in one frame. False if there is no room now: then nothing is said, and the next turns decide anew.
    ///
    /// # Errors
    /// [`ProducerError::Spool`].
    pub fn say(&mut self, now: u64, events: &[Event]) -> Result<bool, ProducerError> {
        self.outbox.say(now, events)
    }
}
