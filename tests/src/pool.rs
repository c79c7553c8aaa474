//! A pool as a process: started, asked, killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::orebook_binary;

/// How long anything may take before a test gives up.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Pause between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);

/// `orebook up`, or a role of it, running.
#[derive(Debug)]
pub struct Pool {
    child: Child,
    /// Stratum ports, in the configuration's order.
    pub stratum: Vec<SocketAddr>,
    /// Pages and API.
    pub http: SocketAddr,
    /// Where people's commands are taken, if here.
    pub desk: Option<SocketAddr>,
    /// Its listener for miners, where it is configured.
    pub miners: Option<SocketAddr>,
    stderr: Receiver<String>,
    /// What it said so far.
    said: Vec<String>,
}

/// How a start went.
#[derive(Debug)]
pub enum Start {
    /// It serves.
    Serves(Box<Pool>),
    /// It ended, or stopped at a point, before it did; what it said.
    Ended(Vec<String>),
}

impl Pool {
    /// Starts `orebook up` on a folder and waits until it serves.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn start(data: &Path, config: &Path) -> Self {
        Self::started(Self::try_start(data, config, None))
    }

    /// Starts `orebook demo`, whose projections are in memory: no file is written but the ledger's, the spools' and the
    /// development chain's.
    ///
    /// # Panics
    /// If it does not serve.
    #[must_use]
    pub fn start_demo(data: &Path, config: &Path) -> Self {
        Self::started(Self::try_start_role(&["demo"], data, config, None))
    }

    fn started(start: Start) -> Self {
        match start {
            Start::Serves(pool) => *pool,
            Start::Ended(said) => panic!("the pool does not start:\n{}", said.join("\n")),
        }
    }

    /// Starts it with a point at which it stops (`OREBOOK_STOP_AT`).
    #[must_use]
    pub fn try_start(data: &Path, config: &Path, stop_at: Option<&str>) -> Start {
        Self::try_start_role(&["up"], data, config, stop_at)
    }

    /// Starts one role alone, `["gateway", "--number", "2"]` or the like, and waits until it serves.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn start_role(role: &[&str], data: &Path, config: &Path) -> Self {
        Self::started(Self::try_start_role(role, data, config, None))
    }

    fn try_start_role(role: &[&str], data: &Path, config: &Path, stop_at: Option<&str>) -> Start {
        let mut command = Command::new(orebook_binary());
        command
            .args(role)
            .args(["--format", "json", "--data"])
            .arg(data)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(point) = stop_at {
            command.env("OREBOOK_STOP_AT", point);
        }
        let mut child = command.spawn().expect("the binary starts");
        let stderr = lines_of(child.stderr.take().expect("piped"));
        let stdout = lines_of(child.stdout.take().expect("piped"));
        let mut said = Vec::new();
        let started = Instant::now();
        loop {
            said.extend(stderr.try_iter());
            if said.iter().any(|line| line.starts_with("stopped at ")) {
                kill(&mut child);
                return Start::Ended(said);
            }
            match stdout.recv_timeout(LOOK) {
                Ok(line) => {
                    let addresses: Value = serde_json::from_str(&line).expect("one JSON object");
                    let address = |value: &Value| {
                        let text = value.as_str().expect("an address");
                        text.parse().expect("an address")
                    };
                    let ports = addresses["stratum"].as_array().expect("a list");
                    return Start::Serves(Box::new(Self {
                        child,
                        stratum: ports.iter().map(address).collect(),
                        http: address(&addresses["http"]),
                        desk: addresses.get("desk").map(address),
                        miners: addresses.get("miners").map(address),
                        stderr,
                        said,
                    }));
                }
                Err(RecvTimeoutError::Timeout) if started.elapsed() < DEADLINE => {}
                Err(_) => {
                    kill(&mut child);
                    said.extend(stderr.iter());
                    return Start::Ended(said);
                }
            }
        }
    }

    /// Kills it with signal 9. Returns what it said.
    #[must_use]
    pub fn kill(mut self) -> Vec<String> {
        kill(&mut self.child);
        self.said.extend(self.stderr.iter());
        std::mem::take(&mut self.said)
    }

    /// Asks it to end, as an operator does (SIGTERM), and waits until it has.
    ///
    /// # Panics
    /// If it does not end, or not well.
    pub fn stop(mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").arg(&id).status().expect("kill runs");
        assert!(asked.success(), "the process is there");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                self.said.extend(self.stderr.iter());
                assert!(status.success(), "{status}: {}", self.said.join("\n"));
                return;
            }
            assert!(started.elapsed() < DEADLINE, "it does not end");
            std::thread::park_timeout(LOOK);
        }
    }

    /// Sets how large a file of the process may be, bytes; none for no limit. Writes beyond it fail as on a disk without
    /// room, and the process does not end of it.
    ///
    /// # Panics
    /// If the system does not let us.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let set = Command::new("prlimit")
            .arg("--pid")
            .arg(self.child.id().to_string())
            // The soft limit only: the hard one could not be raised again.
            .arg(format!("--fsize={limit}:"))
            .status()
            .expect("prlimit runs");
        assert!(set.success(), "a limit of {limit} is set");
    }

    /// A figure of `/metrics`, summed over its labels.
    ///
    /// # Panics
    /// If there is none of that name.
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        let (_, body) = self.get("/metrics").expect("it answers");
        let of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let value = rest.strip_prefix(|next| next == '{' || next == ' ')?;
            value.rsplit(' ').next()?.parse::<f64>().ok()
        };
        let values: Vec<f64> = body.lines().filter_map(of).collect();
        assert!(!values.is_empty(), "no {name} among the metrics:\n{body}");
        values.iter().sum()
    }

    /// Whether it stopped at its point.
    pub fn is_stopped(&mut self) -> bool {
        self.said.extend(self.stderr.try_iter());
        self.said.iter().any(|line| line.starts_with("stopped at "))
    }

    /// Whether it said this on stderr so far.
    pub fn says(&mut self, what: &str) -> bool {
        self.said.extend(self.stderr.try_iter());
        self.said.iter().any(|line| line.contains(what))
    }

    /// Whether the process is gone.
    pub fn is_gone(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// GET of a path: status and body.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn get(&self, path: &str) -> Result<(u16, String), String> {
        get(self.http, path)
    }

    /// GET of a path that answers 200 with JSON.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).expect("it answers");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Asks `path` until the answer is as wanted.
    ///
    /// # Panics
    /// If it is not before the deadline.
    pub fn wait_for(&self, path: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let (status, body) = self.get(path).expect("it answers");
            // 503: nothing is final yet, or a fold is being rebuilt.
            assert!(status == 200 || status == 503, "{path}: {status} {body}");
            let last: Value = serde_json::from_str(&body).expect("JSON");
            if status == 200 && wanted(&last) {
                return last;
            }
            if DEADLINE < started.elapsed() {
                let said: Vec<String> = self.stderr.try_iter().collect();
                panic!("{what}: {last}\n{}", said.join("\n"));
            }
            std::thread::park_timeout(LOOK);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

fn kill(child: &mut Child) {
    // It may have ended by itself.
    child.kill().unwrap_or_default();
    child.wait().expect("a child");
}

fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// GET over a connection of its own: status and body.
///
/// # Errors
/// If the server does not answer as HTTP says.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let words = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).map_err(words)?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(words)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(words)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(words)?;
    // A body that is no text is shown as well as can be.
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no head")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or("no status")?, body.to_owned()))
}
