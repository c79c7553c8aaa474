//! A real HAProxy with deploy/haproxy/pages.cfg, but for its addresses and TLS.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orebook_tests::pool::DEADLINE;
use orebook_tests::repo_root;

const CONFIG: &str = "deploy/haproxy/pages.cfg";
const BIND: &str = "bind :443 ssl crt /etc/haproxy/pages.pem";
/// Its connections need two descriptors each, more than a test may have.
const MOST: &str = "maxconn 4000";
const PROJECTOR: &str = "projector:8080";
const DESK: &str = "desk:8091";
/// How often another port is tried when somebody took the free one meanwhile.
const TRIES: u32 = 5;

/// It ends with the test.
pub(crate) struct Front {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Front {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().unwrap_or_default();
        self.child.wait().expect("a child");
    }
}

impl Front {
    /// In front of a projector and of a desk's listener for miners.
    pub(crate) fn start(folder: &Path, projector: SocketAddr, desk: SocketAddr) -> Self {
        let text = fs::read_to_string(repo_root().join(CONFIG)).expect("the file of deploy");
        for _ in 0..TRIES {
            let address = free_address();
            let mut config = put(&text, BIND, &format!("bind {address}"));
            config = put(&config, MOST, "maxconn 64");
            config = put(&config, PROJECTOR, &projector.to_string());
            config = put(&config, DESK, &desk.to_string());
            let file = folder.join("haproxy.cfg");
            fs::write(&file, config).expect("written");
            let child = Command::new("haproxy")
                .args(["-db", "-f"])
                .arg(&file)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("./orebook test installs haproxy");
            let mut front = Self { child, address };
            if front.listens() {
                return front;
            }
        }
        panic!("no port was free, {TRIES} times");
    }

    /// Whether it came up; it did not if somebody else took its port.
    fn listens(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            if self.child.try_wait().expect("a child").is_some() {
                let stderr = self.child.stderr.take().expect("piped");
                let lines: Vec<_> = BufReader::new(stderr).lines().collect();
                let said = format!("{lines:?}");
                assert!(said.contains("cannot bind"), "{said}");
                return false;
            }
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("HAProxy did not come up");
    }
}

fn put(text: &str, what: &str, by: &str) -> String {
    assert_eq!(text.matches(what).count(), 1, "{what}");
    text.replace(what, by)
}

/// An address where nobody listens now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}
