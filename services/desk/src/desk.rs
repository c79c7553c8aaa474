//! The desk's thread: commands and questions come through a bounded channel, and the ledger has its turn between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orebook_ledger::disk::Disk;
use orebook_ledger::log::Log;
use orebook_ledger::reader::Reader;
use orebook_ledger::sign::Signer;
use orebook_producer::Thread;
use orebook_replay::engine::SharedReader;
use orebook_schema::{Account, Hash, StreamId};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::answer::{Answer, Refusal, pending};
use crate::machine::{Asked, Machine, MachineConfig, MachineError, Sent, Submitted};
use crate::metrics::Counters;

/// Between two turns with the ledger, in milliseconds.
pub const TURN_MS_DEFAULT: u64 = 50;
/// How long a command's answer is waited for, in milliseconds; then it is "not final yet".
pub const ANSWER_MS_DEFAULT: u64 = 15_000;
/// Commands and questions that wait for the thread, at most; further ones are told to come again.
const QUEUE_MAX: usize = 64;
/// Connections that wait for answers of commands, at most; further ones are told "not final yet" at once.
const WAITERS_MAX: usize = 256;

/// What the thread is told.
#[derive(Clone, Debug)]
pub struct DeskConfig {
    /// Its spool, and who may say what.
    pub machine: MachineConfig,
    /// Folder of its spool and audit trail, below the disk's root.
    pub dir: String,
    /// Between two turns with the ledger, in milliseconds.
    pub turn_ms: u64,
    /// How long a command's answer is waited for, in milliseconds.
    pub answer_ms: u64,
}

/// What the thread is given.
pub struct DeskParts<D: Disk, L> {
    /// Disk of its spool and audit trail.
    pub disk: D,
    /// Its key.
    pub signer: Signer,
    /// The process's reader; somebody else polls it.
    pub mirror: Arc<Mutex<Reader<D>>>,
    /// Where frames are sent.
    pub log: L,
    /// Milliseconds since 1970.
    pub now_ms: Box<dyn Fn() -> u64 + Send>,
    /// A name for a new stream, from good randomness.
    pub new_stream: Box<dyn Fn() -> StreamId + Send>,
    /// Called once, with the reason, if the desk cannot go on: the process ends and starts again.
    pub fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

impl<D: Disk, L> std::fmt::Debug for DeskParts<D, L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeskParts")
    }
}

/// Why a desk did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its spool or audit trail.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The system has no thread left.
    #[error("no thread for the desk: {0}")]
    Thread(#[from] std::io::Error),
}

enum Question {
    Submit {
        bytes: Vec<u8>,
        from: SocketAddr,
        reply: oneshot::Sender<Answer>,
    },
    Ask {
        id: Hash,
        reply: oneshot::Sender<Answer>,
    },
    Set {
        sent: Sent,
        from: SocketAddr,
        reply: oneshot::Sender<Answer>,
    },
    AskSetting {
        id: Hash,
        from: SocketAddr,
        reply: oneshot::Sender<Answer>,
    },
    Text {
        asked: Asked,
        from: SocketAddr,
        reply: oneshot::Sender<Answer>,
    },
    State {
        account: Option<Account>,
        reply: oneshot::Sender<Option<Value>>,
    },
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Too many ask at once.
    Busy,
    /// The thread ended: the process does too.
    Ended,
}

/// Who asks a running desk.
#[derive(Clone, Debug)]
pub struct DeskHandle {
    questions: SyncSender<Question>,
    answer: Duration,
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Question")
    }
}

impl DeskHandle {
    fn send(&self, question: Question) -> Result<(), NoAnswer> {
        self.questions
            .try_send(question)
            .map_err(|error| match error {
                TrySendError::Full(_) => NoAnswer::Busy,
                TrySendError::Disconnected(_) => NoAnswer::Ended,
            })
    }

    /// A command's answer, or that it is not final yet.
    pub(crate) async fn submit(
        &self,
        bytes: Vec<u8>,
        from: SocketAddr,
        id: Option<Hash>,
    ) -> Result<Answer, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        self.send(Question::Submit { bytes, from, reply })?;
        match (tokio::time::timeout(self.answer, answer).await, id) {
            (Ok(Ok(answer)), _) => Ok(answer),
            (Err(_), Some(id)) => Ok(pending(id)),
            (Err(_), None) => Err(NoAnswer::Busy),
            (Ok(Err(_)), _) => Err(NoAnswer::Ended),
        }
    }

    pub(crate) async fn ask(&self, id: Hash) -> Result<Answer, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        self.send(Question::Ask { id, reply })?;
        answer.await.map_err(|_| NoAnswer::Ended)
    }

    /// A setting's answer, or that it is not final yet.
    pub(crate) async fn set(&self, sent: Sent, from: SocketAddr) -> Result<Answer, NoAnswer> {
        let id = sent.id();
        let (reply, answer) = oneshot::channel();
        self.send(Question::Set { sent, from, reply })?;
        match tokio::time::timeout(self.answer, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(NoAnswer::Ended),
            Err(_) => Ok(pending(id)),
        }
    }

    pub(crate) async fn ask_setting(&self, id: Hash, from: SocketAddr) -> Result<Answer, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        self.send(Question::AskSetting { id, from, reply })?;
        answer.await.map_err(|_| NoAnswer::Ended)
    }

    pub(crate) async fn text(&self, asked: Asked, from: SocketAddr) -> Result<Answer, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        self.send(Question::Text { asked, from, reply })?;
        answer.await.map_err(|_| NoAnswer::Ended)
    }

    pub(crate) async fn state(&self, account: Option<Account>) -> Result<Option<Value>, NoAnswer> {
        let (reply, state) = oneshot::channel();
        self.send(Question::State { account, reply })?;
        state.await.map_err(|_| NoAnswer::Ended)
    }
}

/// A running desk. Dropped, it goes on; [`Desk::stop`] ends it.
#[derive(Debug)]
pub struct Desk {
    thread: Thread,
    counters: Arc<Counters>,
    handle: DeskHandle,
}

impl Desk {
    /// Opens spool and audit trail and starts the thread.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start<D, L>(config: DeskConfig, parts: DeskParts<D, L>) -> Result<Self, StartError>
    where
        D: Disk + Clone + Send + 'static,
        D::File: Send,
        L: Log + Send + 'static,
    {
        let (machine, trail) = Machine::open(
            parts.disk.clone(),
            &config.dir,
            config.machine.clone(),
            parts.signer.clone(),
            (parts.now_ms)(),
            (parts.new_stream)(),
        )?;
        if 0 < trail.torn_bytes {
            let bytes = trail.torn_bytes;
            tracing::warn!(bytes, "a torn line of the desk's audit trail was cut");
        }
        let counters = machine.counters().clone();
        let (questions, asked) = sync_channel(QUEUE_MAX);
        let handle = DeskHandle {
            questions,
            answer: Duration::from_millis(config.answer_ms),
        };
        let turn = Duration::from_millis(config.turn_ms);
        let fatal = parts.fatal.clone();
        let thread = Thread::start("desk", fatal, turns(machine, parts, asked, turn))?;
        Ok(Self {
            thread,
            counters,
            handle,
        })
    }

    /// Who asks it.
    #[must_use]
    pub fn handle(&self) -> DeskHandle {
        self.handle.clone()
    }

    /// The counters, for whoever shows them while the desk runs.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Ends it between two turns, and waits for it. Commands that are not final yet are looked for after the next start.
    ///
    /// # Errors
    /// If the thread panicked.
    pub fn stop(self) -> std::thread::Result<()> {
        self.thread.stop()
    }
}

type Waiters = BTreeMap<Hash, Vec<oneshot::Sender<Answer>>>;

/// Its turns, one a call: a question if one comes in time, then the ledger.
fn turns<D, L>(
    mut machine: Machine<D>,
    mut parts: DeskParts<D, L>,
    asked: Receiver<Question>,
    turn: Duration,
) -> impl FnMut() -> Result<(), MachineError> + Send
where
    D: Disk + Clone + Send + 'static,
    D::File: Send,
    L: Log + Send + 'static,
{
    let mirror = SharedReader(parts.mirror.clone());
    let mut waiters = Waiters::new();
    move || {
        match asked.recv_timeout(turn) {
            Ok(question) => {
                let now = (parts.now_ms)();
                hear(&mut machine, &mirror, question, &mut waiters, now)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody can ask any more; what was written is still sent until the process ends.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(turn),
        }
        let (now, stream) = ((parts.now_ms)(), (parts.new_stream)());
        machine.turn(&mirror, &mut parts.log, now, stream)?;
        for (id, answer) in machine.take_answers() {
            for waiter in waiters.remove(&id).unwrap_or_default() {
                // Who went away asks again.
                drop(waiter.send(answer.clone()));
            }
        }
        waiters.retain(|_, waiting| {
            waiting.retain(|waiter| !waiter.is_closed());
            !waiting.is_empty()
        });
        Ok(())
    }
}

fn hear<D: Disk + Clone>(
    machine: &mut Machine<D>,
    mirror: &SharedReader<D>,
    question: Question,
    waiters: &mut Waiters,
    now: u64,
) -> Result<(), MachineError> {
    match question {
        Question::Submit { bytes, from, reply } => {
            let submitted = machine.submit(mirror, &bytes, from, now)?;
            reply_to(submitted, reply, waiters);
        }
        Question::Set { sent, from, reply } => {
            let submitted = machine.set(mirror, &sent, from, now)?;
            reply_to(submitted, reply, waiters);
        }
        Question::AskSetting { id, from, reply } => {
            drop(reply.send(machine.ask_setting(mirror, id, from, now)));
        }
        Question::Text { asked, from, reply } => {
            drop(reply.send(machine.text(mirror, &asked, from, now)));
        }
        Question::Ask { id, reply } => drop(reply.send(machine.ask(mirror, id))),
        Question::State { account, reply } => {
            drop(reply.send(machine.state(mirror, account.as_ref())));
        }
    }
    Ok(())
}

/// Answers, or keeps who asks until it is final.
fn reply_to(submitted: Submitted, reply: oneshot::Sender<Answer>, waiters: &mut Waiters) {
    match submitted {
        Submitted::Answered(answer) => drop(reply.send(answer)),
        Submitted::Waits(id) => {
            let waiting: usize = waiters.values().map(Vec::len).sum();
            if waiting < WAITERS_MAX {
                waiters.entry(id).or_default().push(reply);
            } else {
                drop(reply.send(pending(id)));
            }
        }
    }
}

impl NoAnswer {
    /// As an answer of HTTP.
    pub(crate) fn answer(self) -> Answer {
        let refusal = match self {
            Self::Busy => Refusal::NoRoom,
            Self::Ended => Refusal::NotReady,
        };
        Answer {
            status: 503,
            ..refusal.answer(None)
        }
    }
}
