//! TLS: what walks in plain walks here too, certificates change while they serve, and each wrong end has its name.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orebook_gateway::{Limits, Network, TlsFiles};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use serde_json::json;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup};

/// Takes any certificate whose key signs, and notes it.
#[derive(Debug)]
struct Notes {
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Notes {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut seen = self.seen.lock().expect("no panic");
        seen.push(end_entity.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What puts a miner's plain connection into TLS, as stunnel does.
pub(crate) struct Tunnel {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tunnel {
    /// To a port, with these bytes before the hello.
    pub(crate) fn to(
        to: SocketAddr,
        before: Vec<u8>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let provider = ring::default_provider();
        let verifier = Notes {
            seen: Arc::clone(&seen),
            algorithms: provider.signature_verification_algorithms,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for plain in listener.incoming() {
                let (plain, before) = (plain.expect("a connection"), before.clone());
                let name = ServerName::try_from("pool.test").expect("a name");
                let conn = ClientConnection::new(Arc::clone(&config), name).expect("a client");
                std::thread::spawn(move || {
                    let mut secure = TcpStream::connect(to).expect("somebody listens");
                    secure.write_all(&before).expect("it reads");
                    // However it ends, both ends of it end.
                    drop(pump(plain, secure, conn));
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn plainly(pool: &Pool) -> Self {
        Self::to(pool.address(0), Vec::new(), rustls::ALL_VERSIONS)
    }

    fn last_seen(&self) -> Option<Vec<u8>> {
        self.seen.lock().expect("no panic").last().cloned()
    }
}

/// Bytes both ways until one end closes.
fn pump(
    mut plain: TcpStream,
    mut secure: TcpStream,
    mut conn: ClientConnection,
) -> std::io::Result<()> {
    plain.set_nonblocking(true)?;
    secure.set_nonblocking(true)?;
    let waits = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
    let (mut buffer, mut to_plain) = (vec![0; 16_384], Vec::new());
    loop {
        let mut moved = false;
        if !conn.wants_write() {
            match plain.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => conn.writer().write_all(&buffer[..len])?,
                Err(error) if waits(&error) => {}
                Err(error) => return Err(error),
            }
        }
        while conn.wants_write() {
            match conn.write_tls(&mut secure) {
                Ok(_) => moved = true,
                Err(error) if waits(&error) => break,
                Err(error) => return Err(error),
            }
        }
        // Who does not read is not read for.
        if to_plain.len() < buffer.len() {
            match conn.read_tls(&mut secure) {
                Ok(0) => return Ok(()),
                Ok(_) => moved = true,
                Err(error) if waits(&error) => {}
                Err(error) => return Err(error),
            }
        }
        conn.process_new_packets().map_err(std::io::Error::other)?;
        while let Ok(len @ 1..) = conn.reader().read(&mut buffer) {
            to_plain.extend_from_slice(&buffer[..len]);
        }
        while !to_plain.is_empty() {
            match plain.write(&to_plain) {
                Ok(len) => drop(to_plain.drain(..len)),
                Err(error) if waits(&error) => break,
                Err(error) => return Err(error),
            }
        }
        if !moved {
            std::thread::park_timeout(Duration::from_micros(200));
        }
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tls")
        .join(name)
}

/// The certificate's bytes.
fn der(name: &str) -> Vec<u8> {
    let pem = CertificateDer::from_pem_file(fixture(name));
    pem.expect("a certificate").to_vec()
}

/// Puts a pair of the fixtures where the gateway looks, the key first and readable by its owner only.
fn put(files: &TlsFiles, name: &str) {
    std::fs::copy(fixture(&format!("{name}.key")), &files.key).expect("a file");
    let owner = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&files.key, owner).expect("a file");
    std::fs::copy(fixture(&format!("{name}.crt")), &files.certificate).expect("a file");
}

struct Secure {
    pool: Pool,
    files: TlsFiles,
    _dir: tempfile::TempDir,
}

/// A certificate to be served, in a folder of its own.
pub(crate) fn certificate() -> (TlsFiles, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let files = TlsFiles {
        certificate: dir.path().join("pool.crt"),
        key: dir.path().join("pool.key"),
    };
    put(&files, "one");
    (files, dir)
}

fn secure(limits: Limits, proxy_from: &[&str]) -> Secure {
    let (files, dir) = certificate();
    let network = |text: &&str| Network::parse(text).expect("a network");
    let pool = Pool::start(&Setup {
        limits,
        tls: Some(files.clone()),
        proxy_from: proxy_from.iter().map(network).collect(),
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    Secure {
        pool,
        files,
        _dir: dir,
    }
}

fn mine_one(miner: &mut Miner) {
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
}

#[test]
fn a_share_walks_over_each_version_of_tls() {
    let Secure { pool, .. } = secure(Limits::default(), &[]);
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    for version in versions {
        let tunnel = Tunnel::to(pool.address(0), Vec::new(), &[version]);
        let mut miner = Miner::ready(tunnel.address, "name-a");
        mine_one(&mut miner);
        assert_eq!(tunnel.last_seen(), Some(der("one.crt")));
    }
    assert_eq!(pool.final_shares(2).len(), 2);
    let metrics = pool.until("they left", |metrics| {
        metrics.sessions.counts.connections == 0
    });
    assert_eq!(metrics.sessions.counts.handshakes, 2);
    assert_eq!(metrics.sessions.handshake_ns.count(), 2);
}

#[test]
fn a_balancers_header_stands_before_the_hello_and_nowhere_else() {
    let Secure { pool, .. } = secure(Limits::default(), &["127.0.0.1"]);
    let header = b"PROXY TCP4 198.51.100.7 203.0.113.9 51234 3333\r\n".to_vec();
    let tunnel = Tunnel::to(pool.address(0), header.clone(), rustls::ALL_VERSIONS);
    let mut miner = Miner::ready(tunnel.address, "name-a");
    mine_one(&mut miner);
    let mut twice = Miner::connect(tunnel.address);
    twice.raw(&header);
    let said = twice.try_line().expect("a word before the end");
    let why = "a PROXY header is not taken from this address";
    assert_eq!(said["error"][1], json!(why));
    pool.until("it is counted", |metrics| {
        let counts = metrics.sessions.counts;
        (counts.closed.proxy, counts.proxied) == (1, 2)
    });
}

#[test]
fn much_in_both_directions_arrives_whole_and_in_order() {
    let Secure { pool, .. } = secure(Limits::default(), &[]);
    let tunnel = Tunnel::plainly(&pool);
    let mut miner = Miner::ready(tunnel.address, "name-a");
    for round in 0..20 {
        let pings: String = (0..500)
            .map(|n| {
                let id = "x".repeat(n % 60) + &n.to_string();
                let line = json!({ "id": id, "method": "mining.ping", "params": [] });
                format!("{line}\n")
            })
            .collect();
        miner.raw(pings.as_bytes());
        for n in 0..500 {
            let id = "x".repeat(n % 60) + &n.to_string();
            assert_eq!(miner.reply()["id"], json!(id), "round {round}");
        }
    }
    mine_one(&mut miner);
}

#[test]
fn a_certificate_is_replaced_while_sessions_go_on() {
    let Secure { pool, files, _dir } = secure(Limits::default(), &[]);
    let tunnel = Tunnel::plainly(&pool);
    let mut before = Miner::ready(tunnel.address, "name-a");
    assert_eq!(tunnel.last_seen(), Some(der("one.crt")));
    // Wrong files first: they are named, and the pair before is served on.
    std::fs::write(&files.certificate, "no certificate").expect("a file");
    pool.gateway.reload();
    pool.until("it is said", |metrics| 1 <= metrics.tls_reload_failures);
    Miner::ready(tunnel.address, "name-a");
    assert_eq!(tunnel.last_seen(), Some(der("one.crt")));
    put(&files, "two");
    pool.gateway.reload();
    pool.until("it is read", |metrics| 1 <= metrics.tls_reloads);
    let mut after = Miner::ready(tunnel.address, "name-a");
    // Found by its looks, if not by the word.
    let mut tries = 0;
    while tunnel.last_seen() != Some(der("two.crt")) {
        tries += 1;
        assert!(tries < 1_000, "the new certificate is not served");
        std::thread::park_timeout(Duration::from_millis(10));
        after = Miner::ready(tunnel.address, "name-a");
    }
    mine_one(&mut before);
    mine_one(&mut after);
}

#[test]
fn changed_files_are_found_without_a_word() {
    let Secure { pool, files, _dir } = secure(Limits::default(), &[]);
    put(&files, "two");
    pool.until("it is read", |metrics| 1 <= metrics.tls_reloads);
}

#[test]
fn what_is_no_tls_ends_by_its_name() {
    let limits = Limits {
        handshake_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let Secure { pool, .. } = secure(limits, &[]);
    let mut plain = Miner::connect(pool.address(0));
    plain.raw(b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n");
    let said = plain.try_line().expect("a word before the end");
    assert_eq!(said["error"][1], json!("this port speaks TLS"));
    assert!(plain.is_closed());
    // A hello that is none: the alert is no line.
    let mut wrong = TcpStream::connect(pool.address(0)).expect("somebody listens");
    wrong
        .write_all(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        .expect("it reads");
    let mut alert = Vec::new();
    wrong.read_to_end(&mut alert).expect("it closes");
    assert_eq!(alert.first(), Some(&0x15), "an alert: {alert:?}");
    // One who says nothing, and one who stops in the middle.
    let mut silent = Miner::connect(pool.address(0));
    let mut half = TcpStream::connect(pool.address(0)).expect("somebody listens");
    half.write_all(b"\x16\x03\x01\x01").expect("it reads");
    let mut end = Vec::new();
    half.read_to_end(&mut end).expect("it closes");
    assert!(silent.is_closed());
    let metrics = pool.until("each is counted", |metrics| {
        metrics.sessions.counts.connections == 0
    });
    let closed = metrics.sessions.counts.closed;
    assert_eq!(
        (closed.plain_on_tls, closed.tls, closed.handshake),
        (1, 1, 2)
    );
}

#[test]
fn handshakes_at_one_time_are_limited_and_sessions_are_not_among_them() {
    let limits = Limits {
        handshakes: 2,
        ..Limits::default()
    };
    let Secure { pool, .. } = secure(limits, &[]);
    let tunnel = Tunnel::plainly(&pool);
    let mut inside: Vec<_> = (0..4)
        .map(|_| Miner::ready(tunnel.address, "name-a"))
        .collect();
    let begin = || {
        let mut half = Miner::connect(pool.address(0));
        half.raw(b"\x16\x03\x01\x01");
        half
    };
    let halves = [begin(), begin()];
    // The two are read before the third by then, or it is one of them.
    let third = begin();
    pool.until("one is too many", |metrics| {
        metrics.sessions.counts.closed.handshake == 1
    });
    inside.iter_mut().for_each(mine_one);
    drop(halves);
    drop(third);
    pool.until("they left", |metrics| {
        metrics.sessions.counts.connections == 4
    });
    mine_one(&mut Miner::ready(tunnel.address, "name-a"));
}

#[test]
fn who_does_not_read_over_tls_is_cut_and_nobody_else() {
    let limits = Limits {
        write_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let Secure { pool, .. } = secure(limits, &[]);
    let tunnel = Tunnel::plainly(&pool);
    let mut good = Miner::ready(tunnel.address, "name-a");
    let mut deaf = Miner::ready(tunnel.address, "name-deaf");
    let ping = b"{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n".repeat(10_000);
    while deaf.try_raw(&ping, Duration::from_millis(200)) {}
    pool.until("the deaf one is cut", |metrics| {
        metrics.sessions.counts.closed.slow_reader == 1
    });
    mine_one(&mut good);
    assert_eq!(pool.gateway.metrics().sessions.counts.connections, 1);
}
