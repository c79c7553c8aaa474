//! A log and a mirror that follows it, without any role: for tools.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use orebook_archiver::{Fatal, Mirror};

use super::duty::Duty;
use super::place::Place;
use super::pool_log::PoolLog;
use super::roles::Roles;
use crate::{Failure, say};
use orebook::config;

/// A folder whose mirror follows the log. The folder is locked while this lives.
pub(crate) struct Reading {
    roles: Roles,
    mirror: Mirror,
    /// Its threads run on it.
    _runtime: tokio::runtime::Runtime,
    _place: Place,
}

impl Reading {
    /// Starts as a projector does, without projections. `stopped` is set if the mirror had to end.
    pub(crate) fn start(
        data: &Path,
        config: &Path,
        stopped: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let config = config::read(config).map_err(super::failure)?;
        let place = Place::of_role(data)?;
        let log = super::log(&config, &place, Duty::Projector)?;
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Failure::new(format!("no runtime: {error}")))?;
        let fatal: Fatal = Arc::new(move |why: &str| {
            say(&format!("error: {why}"));
            stopped.store(true, Ordering::Release);
        });
        let roles = Roles::start(
            Duty::Projector,
            &config,
            &place,
            log,
            &fatal,
            runtime.handle(),
        )?;
        let mirror = roles.mirror.clone();
        let mirror = mirror.ok_or_else(|| Failure::new("a projector has a mirror"))?;
        Ok(Self {
            roles,
            mirror,
            _runtime: runtime,
            _place: place,
        })
    }

    /// Its reader.
    pub(crate) const fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// A handle on the log, to send.
    pub(crate) fn log(&self) -> Result<PoolLog, Failure> {
        self.roles.log.another()
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        self.roles.stop();
    }
}
