//! Before a role serves: the ledger's first final position, or a gateway's `control` from a peer, and `/readyz` meanwhile.

use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use orebook_archiver::{MirrorStatus, fetch_control, lock};
use orebook_gateway::{OfferedAccount, OfferedBan, OfferedControl, control_size, keep_control};
use orebook_projector::{Metrics, Server};
use orebook_replay::folds::control::{BanInForce, RegisteredWorker, Snapshot};
use orebook_replay::rows::Row;
use orebook_schema::Account;
use orebook_schema::desk::Reason;
use tokio::runtime::Handle;

use super::End;
use super::duty::Duty;
use super::health;
use super::place::Place;
use super::roles::{Roles, control_dir};
use crate::Failure;
use orebook::config::Config;

/// How long the ledger's first position may take to become final in `up`, and between two warnings of a role alone.
const FIRST_FINAL: Duration = Duration::from_secs(30);
/// Sleep between two looks at it.
const LOOK: Duration = Duration::from_millis(10);
/// After this, who waits says why at `/readyz`.
const SAY_AFTER: Duration = Duration::from_secs(1);
/// How often peers are asked for `control`.
const ASK_EACH: Duration = Duration::from_secs(2);

/// What is waited for.
pub(super) struct First<'a> {
    pub(super) roles: &'a Roles,
    pub(super) duty: Duty,
    pub(super) config: &'a Config,
    pub(super) place: &'a Place,
    pub(super) runtime: &'a Handle,
}

impl First<'_> {
    /// Jobs cite a policy, and that must be final first. A role alone waits as long as it takes: its archiver may be down. A
    /// gateway takes `control` of a peer meanwhile, if brokers are down and it has none. Breaks if the process was asked to
    /// end.
    pub(super) fn wait(&self, end: &Receiver<End>) -> Result<ControlFlow<()>, Failure> {
        let Some(mirror) = &self.roles.mirror else {
            return Ok(ControlFlow::Continue(()));
        };
        let began = Instant::now();
        let (mut warned, mut asked) = (began, None);
        let mut room = None;
        while lock(mirror).final_size() == 0 {
            match end.recv_timeout(LOOK) {
                Ok(End::Fatal(why)) => return Err(Failure::new(why)),
                Ok(End::Asked) => return Ok(ControlFlow::Break(())),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if let Duty::Gateway(number) = self.duty {
                if self.has_control(number)? {
                    break;
                }
                if asked.is_none_or(|at: Instant| ASK_EACH <= at.elapsed()) {
                    self.ask_for_control(number)?;
                    asked = Some(Instant::now());
                }
            }
            if room.is_none() && self.duty != Duty::All && SAY_AFTER < began.elapsed() {
                room = Some(self.waiting_room()?);
            }
            if FIRST_FINAL < warned.elapsed() {
                if self.duty == Duty::All {
                    return Err(Failure::new("no position of the ledger becomes final")
                        .hint("the log on stderr says what the archiver waits for"));
                }
                tracing::warn!("no position of the ledger is final yet: is an archiver running?");
                warned = Instant::now();
            }
        }
        if let Some(room) = room
            && room.stop().is_err()
        {
            return Err(Failure::new("the thread of /readyz panicked"));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn has_control(&self, number: u8) -> Result<bool, Failure> {
        let had = control_size(&self.place.disk(), &control_dir(number), self.place.ledger);
        had.map(|had| had.is_some())
            .map_err(|error| Failure::new(format!("control: {error}")))
    }

    fn ask_for_control(&self, number: u8) -> Result<(), Failure> {
        let peers = &self.config.ledger.peers;
        let asked = fetch_control(peers, &self.place.genesis);
        let snapshot = match self.runtime.block_on(asked) {
            Ok(snapshot) => snapshot,
            Err(why) => {
                tracing::debug!(why, "nobody gives control");
                return Ok(());
            }
        };
        let (size, digest) = (snapshot.size, snapshot.digest);
        let Some(offered) = offered(snapshot)? else {
            return Ok(());
        };
        let kept = keep_control(&self.place.disk(), &control_dir(number), offered);
        if kept.map_err(|error| Failure::new(format!("control: {error}")))? {
            tracing::info!(size, %digest, "a peer gave control: this gateway starts without the log");
        }
        Ok(())
    }

    /// Says at `/readyz` why nothing is served yet, at the address at which it will be.
    fn waiting_room(&self) -> Result<Server, Failure> {
        let address = self.config.http.listen;
        let failed =
            |error: std::io::Error| Failure::new(format!("cannot listen at {address}: {error}"));
        let status = self.roles.mirror_status();
        let has_peers = !self.config.ledger.peers.is_empty();
        let ready = Arc::new(move || Some(why(status.as_deref(), has_peers)));
        let router = health::router(&Metrics::new(), ready);
        let listener = TcpListener::bind(address).map_err(failed)?;
        Server::start(listener, router).map_err(failed)
    }
}

/// Why nothing is served yet.
fn why(status: Option<&MirrorStatus>, has_peers: bool) -> String {
    let first = "no position of the ledger is final here yet";
    let waits = status.and_then(|status| status.waits.why());
    match (waits, has_peers) {
        (Some(waits), _) => format!("{first}: {waits}"),
        (None, true) => format!("{first}, and neither the log nor a peer gives one"),
        (None, false) => format!(
            "{first}: the log does not give one, and no peer is configured ([ledger] peers)"
        ),
    }
}

/// What a gateway keeps of a snapshot; none if it has no policy, which reading does not let through.
fn offered(snapshot: Snapshot) -> Result<Option<OfferedControl>, Failure> {
    let Some(newest) = snapshot.state.policy().cloned() else {
        return Ok(None);
    };
    let bans = snapshot.state.bans.iter().filter(|ban| ban.is_ban);
    let offered = |ban: &BanInForce| {
        Some(OfferedBan {
            target: ban.target.clone(),
            until_ms: ban.until_ms,
            reason: Reason::parse(&ban.reason)?,
        })
    };
    let state = &snapshot.state;
    let accounts = state.accounts.iter().filter_map(|account| {
        let Account::Name(name) = &account.account else {
            return None;
        };
        let own = |worker: &&RegisteredWorker| worker.account == account.account;
        let first = state
            .workers
            .partition_point(|worker| Row::key(worker) < account.account.to_bytes());
        let workers = state.workers.iter().skip(first).take_while(own);
        Some(OfferedAccount {
            name: name.clone(),
            is_registered_only: account.is_registered_only,
            workers: workers.map(|row| row.worker.clone()).collect(),
        })
    });
    Ok(Some(OfferedControl {
        accounts: accounts.collect(),
        bans: bans.filter_map(offered).collect(),
        ledger: snapshot.state.genesis.ledger,
        size: snapshot.size,
        root: snapshot.root,
        at: newest.at,
        policy: newest.policy,
    }))
}
