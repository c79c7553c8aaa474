//! What the machine itself takes: one small message there and back between the cores of a bench, with nothing of ours in
//! between. Seen beside a gateway's answers it says how much of them is the kernel's, the scheduler's and the bench's own.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ground::failed;
use super::miners::{Sample, Watched};
use crate::{Failure, print};

/// Bytes of a message, as many as a share has.
const MESSAGE_BYTES: usize = 120;
/// Time between two messages.
const APART: Duration = Duration::from_millis(10);
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What the process says first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Echo {
    pub(super) address: SocketAddr,
}

/// Says back what one connection says, until it ends.
pub(super) fn run() -> Result<(), Failure> {
    let lost = |error: std::io::Error| failed("echo", error);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(lost)?;
    let address = listener.local_addr().map_err(lost)?;
    let said = serde_json::to_string(&Echo { address });
    print(&said.map_err(|error| failed("json", error))?)?;
    let (mut stream, _) = listener.accept().map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    let mut buffer = [0; MESSAGE_BYTES];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => stream
                .write_all(buffer.get(..len).unwrap_or_default())
                .map_err(lost)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(lost(error)),
        }
    }
}

/// Sends a message each [`APART`] until it is told to stop, and notes how long each took.
pub(super) fn ask(
    to: SocketAddr,
    start: Instant,
    stop: &AtomicBool,
    watched: &Watched,
) -> Result<(), Failure> {
    let lost = |error: std::io::Error| failed("echo", error);
    let mut stream = TcpStream::connect(to).map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    stream.set_read_timeout(Some(ANSWER_MAX)).map_err(lost)?;
    let (mut buffer, mut due) = ([b'.'; MESSAGE_BYTES], start.elapsed());
    loop {
        watched.expect(due);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        if stop.load(Ordering::SeqCst) {
            return Ok(());
        }
        stream.write_all(&buffer).map_err(lost)?;
        let sent = start.elapsed();
        stream.read_exact(&mut buffer).map_err(lost)?;
        let answered = start.elapsed();
        watched.note(Sample {
            due,
            late: sent.saturating_sub(due),
            took: answered.saturating_sub(due),
        });
        due += APART;
    }
}
