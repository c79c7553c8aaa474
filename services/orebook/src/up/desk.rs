//! The desk's role: its thread, a listener of its own, and one for miners where it is configured.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use orebook_archiver::{Fatal, Mirror, new_stream, now_ms};
use orebook_desk::desk::TURN_MS_DEFAULT;
use orebook_desk::{
    Desk, DeskConfig, DeskParts, MachineConfig, Operator, Operators, Right, miners, router,
};
use orebook_gateway::forwarded;
use orebook_projector::Server;
use orebook_schema::{Key, Role};

use super::duty::Duty;
use super::place::Place;
use super::pool_log::PoolLog;
use super::roles::{SMALL_SPOOL_FILE_BYTES, SMALL_SPOOL_TOTAL_BYTES, failed, spool_config};
use crate::Failure;
use crate::desk::DESK;
use orebook::config::{Config, DeskRight, proxies};

/// Its key, in the folder of keys.
const KEY_FILE: &str = "desk.key";

/// A running desk.
#[derive(Debug)]
pub(super) struct DeskRole {
    pub(super) desk: Desk,
    pub(super) server: Server,
    /// For miners' own settings.
    pub(super) miners: Option<Miners>,
}

/// The door for miners' own settings, where it is configured.
#[derive(Debug)]
pub(super) struct Miners {
    /// Its own listener.
    pub(super) server: Server,
    /// The same routes, for the pages of the same process: a browser reaches them at the page's own origin.
    pub(super) routes: axum::Router,
}

/// Starts it. With `up` a folder without the desk's key is no fault: somebody keeps that key, and the desk, elsewhere.
pub(super) fn start(
    duty: Duty,
    config: &Config,
    place: &Place,
    mirror: Mirror,
    log: PoolLog,
    fatal: &Fatal,
) -> Result<Option<DeskRole>, Failure> {
    if duty == Duty::All && !place.path().join("keys").join(KEY_FILE).exists() {
        tracing::warn!("there is no {KEY_FILE} here: people's commands are not taken");
        return Ok(None);
    }
    let settings = DeskConfig {
        machine: MachineConfig {
            spool: spool_config(
                place,
                Role::Desk,
                SMALL_SPOOL_FILE_BYTES,
                SMALL_SPOOL_TOTAL_BYTES,
            ),
            operators: operators(config)?,
        },
        dir: DESK.to_owned(),
        turn_ms: TURN_MS_DEFAULT,
        answer_ms: u64::from(config.desk.answer_ms),
    };
    let parts = DeskParts {
        disk: place.disk(),
        signer: place.key(KEY_FILE)?,
        mirror,
        log,
        now_ms: Box::new(now_ms),
        new_stream: Box::new(new_stream),
        fatal: fatal.clone(),
    };
    let desk = Desk::start(settings, parts).map_err(|error| failed("desk", error))?;
    let handle = desk.handle();
    let server = serve(config.desk_listen(), router(handle.clone()), "the desk")?;
    let miners = config.desk.miners;
    let miners = miners.map(|listen| {
        let named = proxies(&config.desk).map_err(Failure::new)?;
        let whose = move |peer, header: &str| forwarded(header, peer, &named);
        let routes = miners::router(handle, Arc::new(whose));
        let what = "the desk's listener for miners";
        let server = serve(listen, routes.clone(), what)?;
        Ok::<_, Failure>(Miners { server, routes })
    });
    Ok(Some(DeskRole {
        desk,
        server,
        miners: miners.transpose()?,
    }))
}

fn serve(listen: SocketAddr, routes: axum::Router, what: &str) -> Result<Server, Failure> {
    let listener = TcpListener::bind(listen)
        .map_err(|error| failed(&format!("{what} cannot listen at {listen}"), error))?;
    Server::start(listener, routes).map_err(|error| failed(what, error))
}

fn operators(config: &Config) -> Result<Operators, Failure> {
    let operators = config.desk.operator.iter().map(|one| {
        let key = Key::parse(&one.key);
        let key = key.ok_or_else(|| Failure::new(format!("desk.operator {}: no key", one.name)))?;
        let rights = one.may.iter().map(|right| match right {
            DeskRight::Key => Right::Key,
            DeskRight::Policy => Right::Policy,
            DeskRight::Schema => Right::Schema,
            DeskRight::Ban => Right::Ban,
            DeskRight::Adjust => Right::Adjust,
            DeskRight::Account => Right::Account,
            DeskRight::Pay => Right::Pay,
        });
        Ok(Operator {
            name: one.name.clone(),
            key,
            rights: rights.collect(),
        })
    });
    operators.collect::<Result<_, Failure>>().map(Operators)
}
