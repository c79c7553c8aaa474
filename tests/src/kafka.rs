//! Real Apache Kafka brokers on loopback, without Docker: the jars come from Maven and are checked, the brokers run in KRaft
//! mode in a folder of their own, and nothing of them outlives the test. No Java or no Maven is a failure.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use orebook_schema::Hash;
use tempfile::TempDir;

use crate::repo_root;

/// Longer than a start, a restart or the first download takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// How often a port may be taken by somebody else in between.
const TRIES: usize = 4;
/// What a broker writes when it serves.
const READY: &str = "Kafka Server started";
/// Most brokers of a cluster.
const BROKERS_MAX: usize = 3;

/// The folder of the jars, below the target folder. The name changes with what is in it.
const JARS_FOLDER: &str = "kafka-4.3.1";
/// How many jars `tests/kafka/pom.xml` resolves to.
const JARS: usize = 46;
/// SHA-256 over each jar's name and SHA-256, by name: `sha256sum *.jar | sha256sum` in that folder, with LC_ALL=C.
const JARS_SHA256: &str = "8891d46675cc647cfeadf41da52e3fb21d3209d02fc30cad30c3c81abad87844";

/// Two thirds of what a broker of a test needs, measured; more would only be taken.
const HEAP: &str = "-Xmx256m";

/// Who may log in at a secured broker, and with what; both are of this test only.
pub const USER: &str = "orebook";
/// See [`USER`].
pub const PASSWORD: &str = "of-this-test-only";

/// Keeps a broker company: when the test goes, in whatever way, its end of the pipe closes, the broker is killed and its
/// folder removed. A word in the pipe keeps the folder.
const GUARD: &str = r#""$@" >>"$LOG" 2>&1 </dev/null & echo $!
read -r keep; kill -9 $!; wait
[ -n "$keep" ] || { rm -rf "$FOLDER"; rmdir "$(dirname "$FOLDER")"; }"#;

/// A running broker.
#[derive(Debug)]
struct Running {
    guard: Child,
    /// Closing it kills the broker.
    pipe: Option<ChildStdin>,
    pid: String,
}

/// One broker and what outlives its process.
#[derive(Debug)]
struct Broker {
    folder: PathBuf,
    port: u16,
    starts: usize,
    running: Option<Running>,
}

/// A listener with TLS and SASL beside the plain one.
#[derive(Clone, Debug)]
struct Secured {
    port: u16,
    keys: PathBuf,
    certificate: PathBuf,
}

/// A listener that says it is reached somewhere else: at the near end of a [`crate::link::Link`].
#[derive(Clone, Copy, Debug)]
struct Far {
    port: u16,
    advertised: SocketAddr,
}

/// A cluster of one or three brokers.
#[derive(Debug)]
pub struct Cluster {
    brokers: Vec<Broker>,
    secured: Option<Secured>,
    far_port: Option<u16>,
    jars: PathBuf,
    _folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // A guard that was killed itself reads nothing, and the broker's process was its child.
            pipe.write_all(b"keep\n").unwrap_or_default();
        }
        // The guard ends when the broker is gone; if it was killed itself, that is as good.
        drop(self.guard.wait());
    }
}

impl Cluster {
    /// Starts `count` brokers and waits until all serve.
    ///
    /// # Panics
    /// If Java or Maven is missing, or the brokers do not get ready.
    #[must_use]
    pub fn start(count: usize) -> Self {
        Self::start_with(count, false, None)
    }

    /// Starts one broker that listens at two ports: the plain one, and one whose clients are told to come to `advertised`.
    /// Returns the second one's address too.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    #[must_use]
    pub fn start_far(advertised: SocketAddr) -> (Self, SocketAddr) {
        let cluster = Self::start_with(1, false, Some(advertised));
        let port = cluster.far_port.expect("it was asked for");
        (cluster, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Starts one broker that listens plainly and, at another port, with TLS and SASL/PLAIN.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    #[must_use]
    pub fn start_secured() -> Self {
        Self::start_with(1, true, None)
    }

    fn start_with(count: usize, secured: bool, advertised: Option<SocketAddr>) -> Self {
        assert!((1..=BROKERS_MAX).contains(&count), "1 to {BROKERS_MAX}");
        let jars = jars();
        for _ in 0..TRIES {
            let folder = tempfile::tempdir().expect("a folder");
            let ports = free_ports(2 * count + 2);
            let (listen, control) = ports.split_at(count);
            let (control, further) = control.split_at(count);
            let (secure_port, far_port) = (&further[0], further[1]);
            let far = advertised.map(|advertised| Far {
                port: far_port,
                advertised,
            });
            let secured = secured.then(|| Secured::generate(folder.path(), *secure_port));
            let brokers = (0..count).map(|index| {
                let folder = folder.path().join(format!("broker-{}", index + 1));
                fs::create_dir_all(&folder).expect("a folder");
                let text = properties(&folder, index, listen, control);
                let more = secured
                    .as_ref()
                    .map_or_else(String::new, Secured::properties);
                let text = match &secured {
                    Some(secured) => secured.listen(&text),
                    None => text,
                } + &more;
                let text = far.map_or_else(|| text.clone(), |far| far.listen(&text));
                fs::write(folder.join("server.properties"), text).expect("written");
                Broker {
                    folder,
                    port: listen[index],
                    starts: 0,
                    running: None,
                }
            });
            let mut cluster = Self {
                brokers: brokers.collect(),
                secured,
                far_port: far.map(|far| far.port),
                jars: jars.clone(),
                _folder: folder,
            };
            cluster.format();
            for index in 0..count {
                cluster.spawn(index);
            }
            if (0..count).all(|index| cluster.becomes_ready(index)) {
                return cluster;
            }
        }
        panic!("Kafka ended {TRIES} times right after its start");
    }

    /// `host:port` of each broker.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let ports = self.brokers.iter().map(|broker| broker.port);
        ports.map(|port| format!("127.0.0.1:{port}")).collect()
    }

    /// `host:port` with TLS and SASL, and the file of the certificate that it shows.
    ///
    /// # Panics
    /// If the cluster is not a secured one.
    #[must_use]
    pub fn secured(&self) -> (String, &Path) {
        let secured = self.secured.as_ref().expect("a secured cluster");
        (format!("127.0.0.1:{}", secured.port), &secured.certificate)
    }

    /// Kills a broker at once, as `kill -9` does.
    pub fn kill(&mut self, index: usize) {
        self.brokers[index].running = None;
    }

    /// Stops a broker where it stands; its connections stay open and say nothing.
    pub fn freeze(&self, index: usize) {
        self.signal(index, "-STOP");
    }

    /// Lets a frozen broker go on.
    pub fn thaw(&self, index: usize) {
        self.signal(index, "-CONT");
    }

    /// Starts a broker that was killed, and waits until it serves.
    ///
    /// # Panics
    /// If it does not.
    pub fn restart(&mut self, index: usize) {
        self.spawn(index);
        self.await_ready(index);
    }

    /// Starts a broker that was killed, and does not wait: one of three does not serve before another has come too.
    pub fn restart_later(&mut self, index: usize) {
        self.spawn(index);
    }

    /// Waits until a broker serves.
    ///
    /// # Panics
    /// If it does not.
    pub fn await_ready(&self, index: usize) {
        assert!(self.becomes_ready(index), "{}", self.said(index));
    }

    /// The folder of a topic's only partition at a broker, for tests that damage it while the broker is down.
    #[must_use]
    pub fn partition_folder(&self, index: usize, topic: &str) -> PathBuf {
        self.brokers[index]
            .folder
            .join("data")
            .join(format!("{topic}-0"))
    }

    /// The id of a broker's process.
    ///
    /// # Panics
    /// If it is down.
    #[must_use]
    pub fn pid(&self, index: usize) -> &str {
        let running = self.brokers[index].running.as_ref();
        &running.expect("the broker runs").pid
    }

    fn signal(&self, index: usize, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, self.pid(index)])
            .status();
        assert!(sent.expect("kill runs").success(), "the broker is there");
    }

    fn format(&self) {
        let started: Vec<Child> = self
            .brokers
            .iter()
            .map(|broker| {
                let mut java = java(&self.jars, "-Xmx128m");
                java.args([
                    "kafka.tools.StorageTool",
                    "format",
                    "-t",
                    "4L6g3nShT-eMCtK--X86sw",
                ]);
                java.arg("-c").arg(broker.folder.join("server.properties"));
                let log = fs::File::create(broker.folder.join("format.log")).expect("a file");
                java.stdout(log.try_clone().expect("a handle")).stderr(log);
                java.spawn().expect("java starts")
            })
            .collect();
        for (mut child, broker) in started.into_iter().zip(&self.brokers) {
            let done = child.wait().expect("our child").success();
            let said = fs::read_to_string(broker.folder.join("format.log"));
            assert!(done, "{}", said.unwrap_or_default());
        }
    }

    fn spawn(&mut self, index: usize) {
        let jars = self.jars.clone();
        let broker = &mut self.brokers[index];
        assert!(broker.running.is_none(), "the broker is down");
        broker.starts += 1;
        let mut java = java(&jars, HEAP);
        java.arg("kafka.Kafka")
            .arg(broker.folder.join("server.properties"));
        let mut guard = Command::new("sh");
        guard
            .args(["-c", GUARD, "sh"])
            .arg(java.get_program())
            .args(java.get_args())
            .env("LOG", broker.log())
            .env("FOLDER", &broker.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut guard = guard.spawn().expect("sh starts");
        let pipe = guard.stdin.take();
        let mut pid = String::new();
        let said = guard.stdout.take().expect("it is piped");
        BufReader::new(said)
            .read_line(&mut pid)
            .expect("the broker's id");
        broker.running = Some(Running {
            guard,
            pipe,
            pid: pid.trim().to_owned(),
        });
    }

    /// Whether a broker serves; false if it ended, which a taken port makes it do.
    fn becomes_ready(&self, index: usize) -> bool {
        let started = Instant::now();
        while !self.said(index).contains(READY) {
            let alive = Command::new("kill").args(["-0", self.pid(index)]).output();
            let zombie = || {
                let stat = format!("/proc/{}/stat", self.pid(index));
                fs::read_to_string(stat).is_ok_and(|stat| stat.contains(") Z "))
            };
            if !alive.expect("kill runs").status.success() || zombie() {
                return false;
            }
            assert!(started.elapsed() < PATIENCE, "{}", self.said(index));
            std::thread::park_timeout(LOOK);
        }
        true
    }

    /// What a broker wrote since it started last.
    #[must_use]
    pub fn said(&self, index: usize) -> String {
        fs::read_to_string(self.brokers[index].log()).unwrap_or_default()
    }
}

impl Secured {
    /// Makes a key and its certificate, with the tool that Java brings.
    fn generate(folder: &Path, port: u16) -> Self {
        let (keys, certificate) = (folder.join("keys.p12"), folder.join("certificate.pem"));
        let keytool = |arguments: &[&str], to: &Path| {
            let mut command = Command::new("keytool");
            command
                .args(arguments)
                .args(["-alias", "broker", "-storetype", "PKCS12"]);
            command
                .args(["-storepass", PASSWORD, "-keystore"])
                .arg(&keys);
            let output = command.output().expect("keytool comes with java");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{said}");
            if to == certificate {
                fs::write(to, &output.stdout).expect("written");
            }
        };
        let generate =
            "-genkeypair -keyalg EC -groupname secp256r1 -dname CN=broker -ext san=ip:127.0.0.1";
        keytool(&generate.split(' ').collect::<Vec<_>>(), &keys);
        keytool(&["-exportcert", "-rfc"], &certificate);
        Self {
            port,
            keys,
            certificate,
        }
    }

    /// The properties with a further listener.
    fn listen(&self, properties: &str) -> String {
        let lines = properties.lines().map(|line| match line.split_once('=') {
            Some(("listeners" | "advertised.listeners", _)) => {
                format!("{line},SECURED://127.0.0.1:{}\n", self.port)
            }
            Some(("listener.security.protocol.map", _)) => format!("{line},SECURED:SASL_SSL\n"),
            _ => format!("{line}\n"),
        });
        lines.collect()
    }

    fn properties(&self) -> String {
        let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
        format!(
            "listener.name.secured.ssl.keystore.location={keys}
listener.name.secured.ssl.keystore.type=PKCS12
listener.name.secured.ssl.keystore.password={PASSWORD}
listener.name.secured.sasl.enabled.mechanisms=PLAIN
listener.name.secured.plain.sasl.jaas.config={module} required user_{USER}=\"{PASSWORD}\";
",
            keys = self.keys.display()
        )
    }
}

impl Far {
    /// The properties with a further listener.
    fn listen(self, properties: &str) -> String {
        let lines = properties.lines().map(|line| match line.split_once('=') {
            Some(("listeners", _)) => format!("{line},FAR://127.0.0.1:{}\n", self.port),
            Some(("advertised.listeners", _)) => format!("{line},FAR://{}\n", self.advertised),
            Some(("listener.security.protocol.map", _)) => format!("{line},FAR:PLAINTEXT\n"),
            _ => format!("{line}\n"),
        });
        lines.collect()
    }
}

impl Broker {
    /// One file for each start, or an old line would say that it is ready.
    fn log(&self) -> PathBuf {
        self.folder.join(format!("broker-{}.log", self.starts))
    }
}

/// Ports that were free a moment ago; all are held until all are known, so they differ.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let listeners: Vec<TcpListener> = listeners.collect();
    let ports = listeners
        .iter()
        .map(|one| one.local_addr().expect("an address").port());
    ports.collect()
}

fn java(jars: &Path, heap: &str) -> Command {
    let mut java = Command::new("java");
    // C1 alone and the serial collector: less memory, and no slower to start.
    java.args([
        heap,
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
    ]);
    let log4j = repo_root().join("tests/kafka/log4j2.properties");
    java.arg(format!("-Dlog4j2.configurationFile={}", log4j.display()));
    java.arg("-cp").arg(jars.join("*"));
    java
}

fn properties(folder: &Path, index: usize, listen: &[u16], control: &[u16]) -> String {
    let voters: Vec<String> = (1..)
        .zip(control)
        .map(|(id, port)| format!("{id}@127.0.0.1:{port}"))
        .collect();
    let (voters, id, count) = (voters.join(","), index + 1, listen.len());
    let (listen, control) = (listen[index], control[index]);
    let min_isr = count.div_ceil(2);
    let data = folder.join("data");
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
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={count}
transaction.state.log.min.isr={min_isr}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={count}
share.coordinator.state.topic.min.isr={min_isr}
default.replication.factor={count}
min.insync.replicas={min_isr}
unclean.leader.election.enable=false
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
replica.lag.time.max.ms=3000
",
        data = data.display()
    )
}

/// The folder of the jars, fetched by Maven if they are not there. Each use checks all of them.
fn jars() -> PathBuf {
    let own = std::env::current_exe().expect("a test has a path");
    let target = own
        .ancestors()
        .nth(3)
        .expect("tests lie in target/PROFILE/deps");
    let folder = target.join(JARS_FOLDER);
    if !folder.is_dir() {
        fetch_jars(target, &folder);
    }
    let found = digest_of(&folder);
    assert_eq!(
        found,
        (JARS, JARS_SHA256.to_owned()),
        "{} holds other jars than those that were tried; delete it to fetch them again",
        folder.display()
    );
    folder
}

fn fetch_jars(target: &Path, folder: &Path) {
    let fetched = tempfile::tempdir_in(target).expect("a folder");
    let lib = fetched.path().join("lib");
    let maven = Command::new("mvn")
        .args([
            "-B",
            "-q",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
        ])
        .arg(format!("-DoutputDirectory={}", lib.display()))
        .arg("-f")
        .arg(repo_root().join("tests/kafka/pom.xml"))
        .output();
    let maven =
        maven.expect("mvn runs; if it is missing: apt-get install maven default-jre-headless");
    let said = String::from_utf8_lossy(&maven.stdout);
    assert!(maven.status.success(), "mvn could not fetch Kafka: {said}");
    // Another test may have been faster; its jars are as good.
    if fs::rename(&lib, folder).is_err() {
        assert!(folder.is_dir(), "{} cannot be made", folder.display());
    }
}

fn digest_of(folder: &Path) -> (usize, String) {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut jars: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    jars.sort();
    let lines = jars.iter().map(|jar| {
        let bytes = fs::read(jar).expect("a jar");
        let name = jar.file_name().expect("a name").to_string_lossy();
        format!("{}  {name}\n", Hash::of(&[&bytes]))
    });
    let lines: String = lines.collect();
    (jars.len(), Hash::of(&[lines.as_bytes()]).to_string())
}
