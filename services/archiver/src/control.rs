//! `control` over HTTP, so that a gateway without anything starts while brokers are down: `GET /ledger/control`.
//!
//! The answer: the key of an archiver 32, size `u64`, root 32 and its signature 64 over ledger, size and root, as a checkpoint
//! in the ledger has them; then the bytes of [`Snapshot`] of that very size and root.
//!
//! **What is proven, and what is not** (ADR 0015). The receiver's own genesis is the snapshot's; the snapshot is whole and
//! has its digest; the tree head was signed by a key that the snapshot knows as an archiver's, which is genesis' word if
//! genesis named the key. The root covers frames, not what they mean, so that *this* is what the ledger says at that size is
//! the peer's word. Peers are the operator's own machines. A gateway's mirror compares as soon as it has the positions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::disk::{Disk as _, DiskError, DiskFile as _, DiskResult};
use orebook_ledger::reader::{Reader, TreeHead};
use orebook_ledger::sign::verify_checkpoint;
use orebook_replay::folds::control::{SNAPSHOT_BYTES_MAX, Snapshot, SnapshotError, State};
use orebook_schema::bytes::{DecodeError, Decoded, Reader as Bytes, Write as _};
use orebook_schema::{Genesis, Hash, Key, Role};

use crate::peer::{FetchError, Peer};

/// Bytes of the signed tree head before the snapshot.
const HEAD_BYTES: usize = 136;
/// Most bytes of an answer; a longer one is refused unread.
pub const CONTROL_BYTES_MAX: usize = HEAD_BYTES + SNAPSHOT_BYTES_MAX;
/// How long one peer may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// A newer snapshot is made at most so often.
const MAKE_EACH: Duration = Duration::from_secs(1);
/// The copy is written when what it says changed, else so often.
const KEEP_EACH: Duration = Duration::from_secs(60);
/// Name of the copy.
const NAME: &str = "control-served";

/// Why an answer is not taken, in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Not a tree head and a snapshot.
    #[error("the answer cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// The snapshot is not whole, or of another ledger.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Its genesis is not one's own, though it has the ledger's name.
    #[error("the control snapshot has another genesis than this ledger")]
    Genesis,
    /// The tree head is of another size or root than the snapshot.
    #[error("the control snapshot is not of the signed tree head")]
    Head,
    /// Who signed is no archiver in force, by the snapshot's own account.
    #[error("the tree head of the control snapshot is signed by {0}, which is no archiver's key")]
    NoArchiver(Key),
    /// The signature is wrong.
    #[error("the signature over the tree head of the control snapshot is wrong")]
    Signature,
    /// The newest policy is not of the positions that it covers.
    #[error("the control snapshot has a policy from beyond its own size")]
    Policy,
}

/// What a process serves: the newest snapshot of a final size whose checkpoint it saw. A copy lies in the reader's folder, so
/// that it is served after a restart too, when no checkpoint comes because brokers are down.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    /// When one was made last, and of which size.
    made: Option<(Instant, u64)>,
    bytes: Option<Arc<Vec<u8>>>,
    /// Whether the copy was looked for.
    looked: bool,
    /// When the copy was written, and the digest of what it says.
    kept: Option<(Instant, Hash)>,
}

/// What a snapshot is made of, copied while the reader is held.
#[derive(Debug)]
pub(crate) struct Ingredients {
    head: TreeHead,
    state: State,
    disk: RealDisk,
    dir: String,
}

impl Shelf {
    /// The newest answer; none before a checkpoint was obeyed.
    #[must_use]
    pub fn bytes(&self) -> Option<Arc<Vec<u8>>> {
        self.shown().bytes.clone()
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is something newer to show, once a second at most.
    pub(crate) fn look(&self, reader: &Reader<RealDisk>) -> Option<Ingredients> {
        let mut shown = self.shown();
        if !shown.looked {
            shown.looked = true;
            shown.bytes = load(reader.disk(), reader.dir()).map(Arc::new);
        }
        let head = reader.tree_head()?;
        let is_due = shown
            .made
            .is_none_or(|(at, size)| size < head.size && MAKE_EACH <= at.elapsed());
        if !is_due {
            return None;
        }
        shown.made = Some((Instant::now(), head.size));
        drop(shown);
        let state = State::of(reader.settled().authority()?);
        Some(Ingredients {
            head,
            state,
            disk: reader.disk().clone(),
            dir: reader.dir().to_owned(),
        })
    }

    pub(crate) fn put(&self, made: &Ingredients) {
        let snapshot = Snapshot::of(made.state.clone(), made.head.size, made.head.root);
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(error) => return tracing::warn!(%error, "no control snapshot can be made"),
        };
        let bytes = Arc::new(answer(&made.head, &snapshot));
        let mut shown = self.shown();
        shown.bytes = Some(Arc::clone(&bytes));
        let is_kept = shown
            .kept
            .is_some_and(|(at, digest)| digest == snapshot.digest && at.elapsed() < KEEP_EACH);
        if !is_kept {
            shown.kept = Some((Instant::now(), snapshot.digest));
            drop(shown);
            if let Err(error) = keep(&made.disk, &made.dir, &bytes) {
                tracing::warn!(%error, "the control snapshot was not written");
            }
        }
    }
}

/// The copy; none if there is none or it cannot be read. Whoever is given it checks it.
fn load(disk: &RealDisk, dir: &str) -> Option<Vec<u8>> {
    let file = disk.open(&format!("{dir}/{NAME}")).ok()?;
    let len = usize::try_from(file.len().ok()?).ok()?;
    if CONTROL_BYTES_MAX < len {
        return None;
    }
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes).ok()?;
    Some(bytes)
}

/// Replaces the copy whole.
fn keep(disk: &RealDisk, dir: &str, bytes: &[u8]) -> DiskResult<()> {
    let (new, path) = (format!("{dir}/{NAME}.new"), format!("{dir}/{NAME}"));
    match disk.remove(&new) {
        Ok(()) | Err(DiskError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let mut file = disk.create(&new)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    disk.rename(&new, &path)?;
    disk.sync_dir(dir)
}

fn answer(head: &TreeHead, snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    out.put(&head.key.0);
    out.put(&head.size.to_le_bytes());
    out.put(&head.root.0);
    out.put(&head.signature);
    out.put(&snapshot.to_bytes());
    out
}

/// Serves what `newest` gives at `GET /ledger/control`; 503 while there is nothing.
pub fn control_router(
    newest: impl Fn() -> Option<Arc<Vec<u8>>> + Clone + Send + Sync + 'static,
) -> Router {
    let given = move || async move {
        match newest() {
            Some(bytes) => {
                let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
                (kind, bytes.to_vec()).into_response()
            }
            None => {
                let why = "no checkpoint was seen since the start\n";
                (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
            }
        }
    };
    Router::new().route("/ledger/control", get(given))
}

/// Reads an answer and proves of it what can be proven; see the module.
///
/// # Errors
/// [`ControlError`]; of the first check that fails.
pub fn read_control(bytes: &[u8], genesis: &Genesis) -> Result<Snapshot, ControlError> {
    let (head, rest) = bytes
        .split_at_checked(HEAD_BYTES)
        .ok_or(DecodeError::Value("control answer"))?;
    let head = read_head(head)?;
    let snapshot = Snapshot::read(rest, genesis.ledger)?;
    if snapshot.state.genesis != *genesis {
        return Err(ControlError::Genesis);
    }
    if (snapshot.size, snapshot.root) != (head.size, head.root) {
        return Err(ControlError::Head);
    }
    if snapshot.state.role(&head.key) != Some(Role::Archiver) {
        return Err(ControlError::NoArchiver(head.key));
    }
    if !verify_checkpoint(
        &head.key,
        genesis.ledger,
        head.size,
        &head.root,
        &head.signature,
    ) {
        return Err(ControlError::Signature);
    }
    let newest = snapshot.state.policy();
    if newest.is_none_or(|policy| snapshot.size <= policy.effective.max(policy.at.position)) {
        return Err(ControlError::Policy);
    }
    Ok(snapshot)
}

fn read_head(bytes: &[u8]) -> Decoded<TreeHead> {
    let mut reader = Bytes::new(bytes, "control answer");
    let head = TreeHead {
        key: Key(reader.array()?),
        size: reader.u64()?,
        root: Hash(reader.array()?),
        signature: reader.array()?,
    };
    reader.end()?;
    Ok(head)
}

/// Asks every peer, and takes the newest answer that passes; each has three seconds.
///
/// # Errors
/// What the last peer's answer lacked, in words; that there is no peer, if none is configured.
pub async fn fetch_control(addresses: &[String], genesis: &Genesis) -> Result<Snapshot, String> {
    let mut newest: Option<Snapshot> = None;
    let mut last =
        "no peer is configured: name archivers or projectors in [ledger] peers".to_owned();
    for address in addresses {
        let peer = Peer::new(address);
        let asked = peer.get("/ledger/control", CONTROL_BYTES_MAX);
        let said = match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(Ok(bytes)) => {
                read_control(&bytes, genesis).map_err(|error| format!("{address}: {error}"))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                let why = "no answer in time".to_owned();
                let peer = address.clone();
                Err(FetchError::Unreachable { peer, why }.to_string())
            }
        };
        match said {
            Ok(found) => newest = newest.filter(|it| found.size <= it.size).or(Some(found)),
            Err(why) => {
                tracing::warn!(why, "a peer gives no control");
                last = why;
            }
        }
    }
    newest.ok_or(last)
}
