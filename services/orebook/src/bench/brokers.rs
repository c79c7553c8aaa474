//! Real Kafka brokers for a bench, on loopback, from the jars that `./orebook test` fetched and checked. They live in the
//! bench's folder and end with the bench.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::ground::failed;
use super::process::cpu_ns;
use crate::Failure;

/// The folder of the jars, below the target folder: as `tests/src/kafka.rs` has it.
const JARS_FOLDER: &str = "kafka-4.3.1";
/// Longest that brokers may take to serve.
const PATIENCE: Duration = Duration::from_secs(120);
/// Sleep between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// What a broker writes when it serves.
const READY: &str = "Kafka Server started";
/// As an operator of a small machine would give a broker; the collector and the compiler are Java's own choice.
const HEAP: &str = "-Xmx1g";
/// Says that a broker serves, and nothing else but errors.
const LOG4J: &str = "status=error
appender.C.type=Console
appender.C.name=C
appender.C.layout.type=PatternLayout
appender.C.layout.pattern=%p %m%n
rootLogger.level=warn
rootLogger.appenderRef.c.ref=C
logger.k.name=kafka.server.KafkaRaftServer
logger.k.level=info
";
/// Keeps a broker company: when the bench goes, in whatever way, its end of the pipe closes and the broker is killed.
const GUARD: &str = r#""$@" >>"$LOG" 2>&1 </dev/null & echo $!; read -r _; kill -9 $!; wait"#;

struct Broker {
    guard: Child,
    /// Closing it kills the broker.
    pipe: Option<ChildStdin>,
    pid: u32,
    address: String,
    log: PathBuf,
}

/// Brokers that serve.
pub(super) struct Brokers(Vec<Broker>);

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // The guard ends once the broker is gone.
        drop(self.guard.wait());
    }
}

/// The folder of the jars: the one that was named, or where `./orebook test` puts them.
pub(super) fn home(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| failed("this program", error))?;
    let beside = own
        .ancestors()
        .nth(2)
        .map(|target| target.join(JARS_FOLDER));
    let home = named.map(Path::to_path_buf).or(beside).unwrap_or_default();
    let is_jar = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("kafka_") && name.ends_with(".jar")
    };
    let mut entries = fs::read_dir(&home).into_iter().flatten().flatten();
    if !entries.any(|entry| is_jar(&entry.file_name())) {
        return Err(
            Failure::new(format!("{}: no jars of Kafka", home.display())).hint(
                "`./orebook test kafka` fetches them; or name their folder with --kafka-home",
            ),
        );
    }
    let java = Command::new("java")
        .arg("-version")
        .stderr(Stdio::null())
        .status();
    if !java.is_ok_and(|status| status.success()) {
        return Err(Failure::new("java does not run: brokers need it")
            .hint("`./orebook test kafka` installs what is missing"));
    }
    // The brokers stand in folders of their own.
    fs::canonicalize(&home).map_err(|error| failed("the folder of the jars", error))
}

fn java(home: &Path, dir: &Path, heap: &str) -> Command {
    let mut java = Command::new("java");
    java.arg(heap).arg(format!(
        "-Dlog4j2.configurationFile={}",
        dir.join("log4j2.properties").display()
    ));
    java.arg("-cp").arg(home.join("*"));
    java
}

impl Brokers {
    /// Starts so many below `dir`, an absolute path, and waits until all serve.
    pub(super) fn start(home: &Path, dir: &Path, count: usize) -> Result<Self, Failure> {
        let lost = |error: std::io::Error| failed("brokers", error);
        fs::write(dir.join("log4j2.properties"), LOG4J).map_err(lost)?;
        let ports = free_ports(2 * count).map_err(lost)?;
        let (listen, control) = ports.split_at(count);
        let mut brokers = Vec::new();
        for ((id, listen), own) in (1..).zip(listen).zip(control) {
            let folder = dir.join(format!("broker-{id}"));
            fs::create_dir(&folder).map_err(lost)?;
            let file = folder.join("server.properties");
            fs::write(&file, properties(&folder, id, (*listen, *own), control)).map_err(lost)?;
            let mut format = java(home, dir, "-Xmx128m");
            format.args([
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "4L6g3nShT-eMCtK--X86sw",
                "-c",
            ]);
            let output = format.arg(&file).output().map_err(lost)?;
            if !output.status.success() {
                return Err(failed("brokers", String::from_utf8_lossy(&output.stdout)));
            }
            let mut java = java(home, dir, HEAP);
            java.arg("kafka.Kafka").arg(&file);
            brokers.push(Broker::start(&java, folder.join("log"), *listen)?);
        }
        let brokers = Self(brokers);
        let started = Instant::now();
        while !brokers.0.iter().all(|broker| broker.said().contains(READY)) {
            if PATIENCE < started.elapsed() {
                let said: Vec<String> = brokers.0.iter().map(Broker::said).collect();
                return Err(failed("brokers do not serve", said.join("\n")));
            }
            std::thread::sleep(LOOK);
        }
        Ok(brokers)
    }

    /// `host:port` of each.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.0.iter().map(|broker| broker.address.clone()).collect()
    }

    /// Processor time of all of them so far, nanoseconds.
    pub(super) fn cpu_ns(&self) -> Result<u64, Failure> {
        self.0.iter().map(|broker| cpu_ns(broker.pid)).sum()
    }
}

impl Broker {
    fn start(java: &Command, log: PathBuf, port: u16) -> Result<Self, Failure> {
        let lost = |error: std::io::Error| failed("a broker", error);
        let mut guard = Command::new("sh");
        guard
            .args(["-c", GUARD, "sh"])
            .arg(java.get_program())
            .args(java.get_args())
            .env("LOG", &log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut guard = guard.spawn().map_err(lost)?;
        let pipe = guard.stdin.take();
        let mut line = String::new();
        if let Some(said) = guard.stdout.take() {
            BufReader::new(said).read_line(&mut line).map_err(lost)?;
        }
        let pid = line
            .trim()
            .parse()
            .map_err(|_| failed("a broker's id", line))?;
        Ok(Self {
            guard,
            pipe,
            pid,
            address: format!("127.0.0.1:{port}"),
            log,
        })
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Ports that were free a moment ago; all are held until all are known, so they differ.
fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let bind = |_| TcpListener::bind("127.0.0.1:0");
    let listeners: Vec<TcpListener> = (0..count).map(bind).collect::<Result<_, _>>()?;
    let port = |one: &TcpListener| one.local_addr().map(|address| address.port());
    listeners.iter().map(port).collect()
}

/// What a broker is told: KRaft, no topic but ours, and of threads what two cores need.
fn properties(folder: &Path, id: usize, (listen, control): (u16, u16), all: &[u16]) -> String {
    let voters: Vec<String> = (1..)
        .zip(all)
        .map(|(id, port)| format!("{id}@127.0.0.1:{port}"))
        .collect();
    let (count, min_isr) = (all.len(), all.len().div_ceil(2));
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{listen},CONTROLLER://127.0.0.1:{control}
advertised.listeners=PLAINTEXT://127.0.0.1:{listen}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
num.network.threads=2
num.io.threads=4
background.threads=2
offsets.topic.num.partitions=1
offsets.topic.replication.factor={count}
default.replication.factor={count}
min.insync.replicas={min_isr}
unclean.leader.election.enable=false
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=2097152
",
        voters = voters.join(","),
        data = folder.join("data").display(),
    )
}
