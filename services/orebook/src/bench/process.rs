//! Processes of this very binary, each on a core of its own, and what they cost.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;

/// As many files as the system allows: a thousand connections need more than most shells give.
const RAISE_FILES: &str = r#"ulimit -n "$(ulimit -H -n)" 2>/dev/null; exec "$@""#;
/// Ticks a second of /proc (USER_HZ): 100 on every Linux that Rust's std supports.
const TICK_NS: u64 = 10_000_000;
/// Behind others: `nice`.
const NICE: u8 = 10;
/// Last bytes of a process's log that are shown when it failed.
const LOG_BYTES_SHOWN: usize = 2_000;

/// A running part of a bench. Dropped, it is ended.
#[derive(Debug)]
pub(super) struct Part {
    name: String,
    child: Child,
    stdin: ChildStdin,
    lines: BufReader<ChildStdout>,
    log: PathBuf,
}

/// Whether processes can be tied to the cores 0 and 1.
pub(super) fn can_pin() -> bool {
    ["0", "1"].iter().all(|core| {
        let tried = Command::new("taskset")
            .args(["-c", core, "true"])
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    })
}

impl Part {
    /// Starts `orebook bench-part NAME` and gives it its settings.
    pub(super) fn start(
        name: &str,
        core: Option<u8>,
        dir: &Path,
        settings: &impl Serialize,
    ) -> Result<Self, Failure> {
        let mut part = Self::spawn(name, (core, 0), dir, &["bench-part", name])?;
        part.order(settings)?;
        Ok(part)
    }

    /// The same, behind others of its core where both want it.
    pub(super) fn start_behind(
        name: &str,
        core: Option<u8>,
        dir: &Path,
        settings: &impl Serialize,
    ) -> Result<Self, Failure> {
        let mut part = Self::spawn(name, (core, NICE), dir, &["bench-part", name])?;
        part.order(settings)?;
        Ok(part)
    }

    /// Starts `orebook` with these arguments: a role as an operator runs it.
    #[cfg(feature = "kafka")]
    pub(super) fn start_role(
        name: &str,
        core: Option<u8>,
        dir: &Path,
        arguments: &[&str],
    ) -> Result<Self, Failure> {
        Self::spawn(name, (core, 0), dir, arguments)
    }

    fn spawn(
        name: &str,
        (core, nice): (Option<u8>, u8),
        dir: &Path,
        arguments: &[&str],
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("{name}: {error}"));
        let log = dir.join(format!("{name}.log"));
        let mut command = Command::new("sh");
        command.args(["-c", RAISE_FILES, "sh"]);
        if let Some(core) = core {
            command.args(["taskset", "-c", &core.to_string()]);
        }
        if 0 < nice {
            command.args(["nice", "-n", &nice.to_string()]);
        }
        let mut child = command
            .arg(std::env::current_exe().map_err(failed)?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new(format!("{name}: no pipes")));
        };
        Ok(Self {
            name: name.to_owned(),
            child,
            stdin,
            lines: BufReader::new(stdout),
            log,
        })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says a line to it.
    pub(super) fn tell(&mut self, line: &str) -> Result<(), Failure> {
        let told = writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush());
        told.map_err(|error| self.failed(&error.to_string()))
    }

    /// Says to it what it is to do.
    pub(super) fn order(&mut self, order: &impl Serialize) -> Result<(), Failure> {
        let order = serde_json::to_string(order);
        self.tell(&order.map_err(|error| self.failed(&error.to_string()))?)
    }

    /// The next line that it says.
    pub(super) fn hear<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => Err(self.failed("it ended")),
            Ok(_) => serde_json::from_str(&line)
                .map_err(|error| self.failed(&format!("{error} in {line:?}"))),
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    /// Asks it to end, as an operator does (SIGTERM), and waits until it has.
    #[cfg(feature = "kafka")]
    pub(super) fn ask_to_end(self) -> Result<(), Failure> {
        let asked = Command::new("kill").arg(self.pid().to_string()).status();
        asked.map_err(|error| self.failed(&error.to_string()))?;
        self.end()
    }

    /// Waits for its end.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.failed(&status.to_string())),
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    fn failed(&self, why: &str) -> Failure {
        let log = fs::read(&self.log).unwrap_or_default();
        let tail = log.get(log.len().saturating_sub(LOG_BYTES_SHOWN)..);
        let tail = String::from_utf8_lossy(tail.unwrap_or_default()).into_owned();
        Failure::new(format!("{}: {why}\n{}", self.name, tail.trim_end()))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // An error says that it ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Processor time of a process with all its threads so far, user and system, in nanoseconds (to 10 ms).
pub(super) fn cpu_ns(pid: u32) -> Result<u64, Failure> {
    let path = format!("/proc/{pid}/stat");
    let text =
        fs::read_to_string(&path).map_err(|error| Failure::new(format!("{path}: {error}")))?;
    ticks(&text)
        .map(|ticks| ticks * TICK_NS)
        .ok_or_else(|| Failure::new(format!("{path}: {text}")))
}

/// Bytes of a process in memory.
pub(super) fn resident(pid: u32) -> Result<u64, Failure> {
    memory(pid, "VmRSS:")
}

/// The most that it ever had.
pub(super) fn resident_peak(pid: u32) -> Result<u64, Failure> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, field: &str) -> Result<u64, Failure> {
    let path = format!("/proc/{pid}/status");
    let text =
        fs::read_to_string(&path).map_err(|error| Failure::new(format!("{path}: {error}")))?;
    kib(&text, field)
        .map(|kib| kib * 1_024)
        .ok_or_else(|| Failure::new(format!("{path}: {text}")))
}

fn kib(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Files that a process may have open: the soft limit.
pub(super) fn files(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// utime + stime, fields 14 and 15 (proc(5)); the name before them may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a) b) R 1 2 3 4 5 6 7 8 9 10 40 2 13 14";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a) R 1"), None);
        assert!(cpu_ns(std::process::id()).is_ok());
    }

    #[test]
    fn memory_and_files_are_found() {
        assert_eq!(
            kib("VmHWM:\t 9 kB\nVmRSS:\t     1234 kB\n", "VmRSS:"),
            Some(1_234)
        );
        assert_eq!(kib("VmHWM:\t 9 kB\n", "VmRSS:"), None);
        assert!(0 < resident(std::process::id()).unwrap());
        assert!(files(std::process::id()).is_some());
    }
}
