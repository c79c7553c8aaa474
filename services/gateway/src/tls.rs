//! TLS before a session: what the socket has is deciphered here, and what a session says is enciphered; lines, limits and jobs
//! know nothing of it. The bytes stay in the gateway's own loop (rustls does no IO), handshakes are bounded by turn, number and
//! time, and an idle connection keeps no buffer but the one of rustls that holds the beginning of a record.
//!
//! Certificate and key are files. A thread looks at them every few seconds, and when it is told to: what changed is read again,
//! and served to whoever comes from then on. Sessions go on as they are; files that are wrong change nothing.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, ServerConnection};

use crate::batch::ConnId;
use crate::config::PortConfig;
use crate::conn::{Cause, Conn, Found};
use crate::looper::Loop;

/// Time between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);
/// Largest file of certificates or keys; a chain of three has 6 KiB.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// Most certificates of a chain.
const CHAIN_MAX: usize = 16;
/// Most bytes of a record's text (RFC 8446, 5.1): a read needs so much room.
const RECORD_BYTES_MAX: usize = 16_384;
/// First byte of a hello.
const HELLO: u8 = 0x16;
/// Connections of ports with TLS that are read in one turn before their handshake has ended: each costs up to a millisecond,
/// and shares of others wait meanwhile.
pub(crate) const HANDSHAKES_PER_TURN: usize = 4;
/// What is said to who speaks plainly where TLS is spoken.
const PLAIN: &[u8] =
    b"{\"id\":null,\"result\":null,\"error\":[20,\"this port speaks TLS\",null]}\n";

/// Files of a port's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain as PEM, the server's own certificate first; at most 16.
    pub certificate: PathBuf,
    /// Its key as PEM (PKCS#8, PKCS#1 or SEC1), readable by its owner only.
    pub key: PathBuf,
}

/// Why files are not served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {cause}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Not a regular file, or more than 256 KiB.
    #[error("{}: not a file of at most 256 KiB", .0.display())]
    File(PathBuf),
    /// Others may read the key.
    #[error("{}: others may read this key (mode {:o}); chmod 600, and consider whether it is secret still", .0.display(), .1)]
    Loose(PathBuf, u32),
    /// No certificate, more than 16, or no PEM.
    #[error("{}: not 1 to 16 certificates as PEM", .0.display())]
    Certificate(PathBuf),
    /// No key, or none that is understood.
    #[error("{}: no private key as PEM", .0.display())]
    Key(PathBuf),
    /// They do not belong together, or are of a kind that is not served.
    #[error("{} and its key: {cause}", .path.display())]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// What rustls says.
        cause: rustls::Error,
    },
}

/// What tells that a file is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
    len: u64,
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    Some(Stamp {
        inode: meta.ino(),
        // Of the file's state, not its content: a renamed file keeps the other.
        changed: (meta.ctime(), meta.ctime_nsec()),
        len: meta.len(),
    })
}

type Stamps = [Option<Stamp>; 2];

impl TlsFiles {
    fn stamps(&self) -> Stamps {
        [stamp(&self.certificate), stamp(&self.key)]
    }

    /// Whether they can be served now.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn check(&self) -> Result<(), TlsError> {
        self.load().map(drop)
    }

    /// Reads both.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let certificates = read_file(&self.certificate, false)?;
        let key = read_file(&self.key, true)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificates).collect();
        let chain = chain
            .ok()
            .filter(|chain| (1..=CHAIN_MAX).contains(&chain.len()))
            .ok_or_else(|| TlsError::Certificate(self.certificate.clone()))?;
        let key =
            PrivateKeyDer::from_pem_slice(&key).map_err(|_| TlsError::Key(self.key.clone()))?;
        let wrong = |cause| TlsError::Pair {
            path: self.certificate.clone(),
            cause,
        };
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(wrong)?;
        // Who comes back resumes by a ticket that he keeps: nothing is stored here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = ring::Ticketer::new().map_err(wrong)?;
        config.send_tls13_tickets = 1;
        Ok(Arc::new(config))
    }
}

fn read_file(path: &Path, is_secret: bool) -> Result<Vec<u8>, TlsError> {
    let failed = |cause| TlsError::Read {
        path: path.to_owned(),
        cause,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() || FILE_BYTES_MAX < meta.len() {
        return Err(TlsError::File(path.to_owned()));
    }
    let mode = meta.permissions().mode() & 0o777;
    if is_secret && mode & 0o077 != 0 {
        return Err(TlsError::Loose(path.to_owned(), mode));
    }
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(failed)?;
    Ok(bytes)
}

/// What a port serves now.
struct Served {
    files: TlsFiles,
    now: Mutex<(Arc<ServerConfig>, Stamps)>,
}

#[derive(Debug, Default)]
struct Told {
    look: bool,
    stop: bool,
}

/// Certificates of a gateway's ports.
pub(crate) struct Certificates {
    /// By port; none speaks plainly.
    ports: Vec<Option<Served>>,
    told: Mutex<Told>,
    changed: Condvar,
    reloads: AtomicU64,
    failures: AtomicU64,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.ports.iter().flatten().map(|served| &served.files);
        f.debug_list().entries(files).finish()
    }
}

impl Certificates {
    /// Reads the files of all ports that have some.
    ///
    /// # Errors
    /// The first [`TlsError`].
    pub(crate) fn open(ports: &[PortConfig]) -> Result<Self, TlsError> {
        let served = ports.iter().map(|port| {
            let files = port.tls.clone();
            files
                .map(|files| {
                    let stamps = files.stamps();
                    let now = Mutex::new((files.load()?, stamps));
                    Ok(Served { files, now })
                })
                .transpose()
        });
        Ok(Self {
            ports: served.collect::<Result<_, TlsError>>()?,
            told: Mutex::default(),
            changed: Condvar::new(),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// Whether any port speaks TLS.
    pub(crate) fn any(&self) -> bool {
        self.ports.iter().any(Option::is_some)
    }

    /// What a port serves now; none if it speaks plainly.
    fn of(&self, port: usize) -> Option<Arc<ServerConfig>> {
        let served = self.ports.get(port)?.as_ref()?;
        let now = served.now.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&now.0))
    }

    /// Whether a port speaks TLS.
    pub(crate) fn is_tls(&self, port: usize) -> bool {
        self.ports.get(port).is_some_and(Option::is_some)
    }

    /// How often files were read again, and how often they were wrong then.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (
            self.reloads.load(Ordering::Relaxed),
            self.failures.load(Ordering::Relaxed),
        )
    }

    /// Looks now.
    pub(crate) fn look_now(&self) {
        self.tell(|told| told.look = true);
    }

    /// Ends [`Certificates::watch`].
    pub(crate) fn stop(&self) {
        self.tell(|told| told.stop = true);
    }

    fn tell(&self, what: impl FnOnce(&mut Told)) {
        what(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Looks at the files every few seconds and when it is told to, until it is stopped.
    pub(crate) fn watch(&self) {
        loop {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = |told: &mut Told| !told.look && !told.stop;
            let waited = self.changed.wait_timeout_while(told, LOOK, waiting);
            let (mut told, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if told.stop {
                return;
            }
            let is_told = std::mem::take(&mut told.look);
            drop(told);
            self.look(is_told);
        }
    }

    /// Reads again what is another file than before, or everything.
    fn look(&self, everything: bool) {
        for served in self.ports.iter().flatten() {
            let stamps = served.files.stamps();
            let mut now = served.now.lock().unwrap_or_else(PoisonError::into_inner);
            if now.1 == stamps && !everything {
                continue;
            }
            // Once, whatever comes of it: wrong files are named once.
            now.1 = stamps;
            drop(now);
            let certificate = served.files.certificate.display();
            match served.files.load() {
                Ok(config) => {
                    let mut now = served.now.lock().unwrap_or_else(PoisonError::into_inner);
                    now.0 = config;
                    self.reloads.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(%certificate, "read again, and served from now on");
                }
                Err(error) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(%error, "the certificate before is served on; see docs/runbooks/certificate.md");
                }
            }
        }
    }
}

/// A connection's TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    conn: ServerConnection,
    /// Since when the handshake lasts; none once it is over.
    pub(crate) since: Option<Instant>,
}

impl Tls {
    /// Whether the handshake is over, which it was not before.
    pub(crate) fn take_finished(&mut self) -> Option<Instant> {
        if self.conn.is_handshaking() {
            return None;
        }
        self.since.take()
    }

    /// Whether nothing waits to be taken by the peer.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.conn.wants_write()
    }

    /// Takes bytes that were read before it was known that they are TLS.
    fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.conn.read_tls(&mut rest)?;
            self.process()?;
        }
        Ok(())
    }

    fn process(&mut self) -> io::Result<()> {
        let processed = self.conn.process_new_packets();
        processed.map(drop).map_err(io::Error::other)
    }

    /// Reads what the socket has, deciphered.
    ///
    /// # Errors
    /// The socket's; [`io::ErrorKind::Other`] if what came is no TLS.
    pub(crate) fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Found> {
        let mut filled = 0;
        loop {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            filled += match self.conn.reader().read(room) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                // The peer went without a word of TLS: as plain miners go.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                Err(error) => return Err(error),
            };
            if buffer.len().saturating_sub(filled) < RECORD_BYTES_MAX {
                return Ok(Found::More(filled));
            }
            match self.conn.read_tls(stream) {
                Ok(0) if filled == 0 => return Ok(Found::End),
                // The end is found again by the next read.
                Ok(0) => return Ok(Found::More(filled)),
                Ok(_) => self.process()?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Found::Last(filled));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what the socket takes; how many bytes of `text` need not be kept.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn write(&mut self, stream: &mut TcpStream, text: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        loop {
            while self.conn.wants_write() {
                match self.conn.write_tls(stream) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(done),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            // One record at a time, so that little is kept twice.
            let left = text.get(done..).unwrap_or_default();
            let next = left.get(..RECORD_BYTES_MAX).unwrap_or(left);
            if next.is_empty() || self.conn.is_handshaking() {
                return Ok(done);
            }
            done += self.conn.writer().write(next)?;
        }
    }

    /// Says the end, if the socket takes it at once.
    pub(crate) fn end(&mut self, stream: &mut TcpStream) {
        self.conn.send_close_notify();
        if let Err(error) = self.write(stream, &[]) {
            tracing::debug!(%error, "an end was not said");
        }
    }
}

impl Loop {
    /// The first bytes of a connection to a port with TLS.
    pub(crate) fn begin_tls(&mut self, conn: &mut Conn, id: ConnId, bytes: &[u8]) {
        let Some(config) = self.certificates.of(conn.port) else {
            return self.send_away(conn, id, Cause::Tls);
        };
        if bytes.first() != Some(&HELLO) {
            conn.out(&mut self.spare).extend_from_slice(PLAIN);
            return self.send_away(conn, id, Cause::PlainOnTls);
        }
        if self.config.limits.handshakes <= self.handshakes {
            return self.send_away(conn, id, Cause::Handshake);
        }
        let tls = ServerConnection::new(config).map(|conn| Tls {
            conn,
            since: Some(self.now),
        });
        let Ok(mut tls) = tls else {
            return self.send_away(conn, id, Cause::Tls);
        };
        let fed = tls.feed(bytes);
        self.handshakes += 1;
        conn.tls = Some(Box::new(tls));
        // What is deciphered are its first words.
        conn.has_said_anything = false;
        self.soil(id.slot);
        if let Err(fault) = fed {
            tracing::debug!(%fault, "a handshake failed");
            conn.closing = Some(Cause::Tls);
        }
    }

    /// Looks whether a handshake is over.
    pub(crate) fn note_handshake(&mut self, conn: &mut Conn, id: ConnId) {
        let Some(tls) = &mut conn.tls else {
            return;
        };
        if let Some(since) = tls.take_finished() {
            self.handshakes = self.handshakes.saturating_sub(1);
            self.counts.handshakes += 1;
            let took = self.now.saturating_duration_since(since);
            self.note_handshake_time(took);
            self.edge.handshake(conn.port, took);
        }
        if !conn.is_flushed() {
            self.soil(id.slot);
        }
    }

    /// Whether a connection may be read now, as far as handshakes go.
    pub(crate) fn may_shake(&mut self, conn: &Conn) -> bool {
        if conn.is_secure() || !self.certificates.is_tls(conn.port) {
            return true;
        }
        let left = self.shakes_left.checked_sub(1);
        self.shakes_left = left.unwrap_or(0);
        left.is_some()
    }
}

impl Conn {
    /// Whether its handshake is over.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.since.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/tls")
            .join(name)
    }

    /// Copies of the fixtures, the key with this mode.
    fn files(certificate: &str, key: &str, mode: u32) -> (tempfile::TempDir, TlsFiles) {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: dir.path().join("a.crt"),
            key: dir.path().join("a.key"),
        };
        std::fs::copy(fixture(certificate), &files.certificate).unwrap();
        std::fs::copy(fixture(key), &files.key).unwrap();
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&files.key, mode).unwrap();
        (dir, files)
    }

    #[test]
    fn files_that_cannot_be_served_are_refused_and_say_why() {
        for (certificate, key, mode, says) in [
            ("one.crt", "one.key", 0o600, None),
            ("one.crt", "one.key", 0o400, None),
            (
                "one.crt",
                "one.key",
                0o640,
                Some("others may read this key (mode 640)"),
            ),
            ("one.crt", "one.key", 0o604, Some("(mode 604)")),
            (
                "one.crt",
                "two.key",
                0o600,
                Some("a.crt and its key: keys may not be consistent"),
            ),
            (
                "one.key",
                "one.key",
                0o600,
                Some("a.crt: not 1 to 16 certificates as PEM"),
            ),
            (
                "one.crt",
                "one.crt",
                0o600,
                Some("a.key: no private key as PEM"),
            ),
        ] {
            let (_dir, files) = files(certificate, key, mode);
            let found = files.load().map(drop).map_err(|error| error.to_string());
            match (found, says) {
                (Ok(()), None) => {}
                (Err(said), Some(says)) => assert!(said.contains(says), "{said}"),
                (found, _) => panic!("{certificate} {key} {mode:o}: {found:?}"),
            }
        }
        let (dir, mut files) = files("one.crt", "one.key", 0o600);
        files.certificate = dir.path().to_owned();
        assert!(matches!(files.load(), Err(TlsError::File(_))));
        files.certificate = dir.path().join("none");
        assert!(matches!(files.load(), Err(TlsError::Read { .. })));
    }

    #[test]
    fn changed_files_are_read_once_and_wrong_ones_change_nothing() {
        let (_dir, files) = files("one.crt", "one.key", 0o600);
        let stamps = files.stamps();
        let now = Mutex::new((files.load().unwrap(), stamps));
        let certificates = Certificates {
            ports: vec![
                None,
                Some(Served {
                    files: files.clone(),
                    now,
                }),
            ],
            told: Mutex::default(),
            changed: Condvar::new(),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        };
        assert!(certificates.any() && certificates.of(0).is_none());
        let first = certificates.of(1).unwrap();
        certificates.look(false);
        assert_eq!(certificates.counts(), (0, 0));
        // The certificate is there, its key not yet.
        std::fs::copy(fixture("two.crt"), &files.certificate).unwrap();
        for _ in 0..3 {
            certificates.look(false);
            assert_eq!(certificates.counts(), (0, 1));
            assert!(Arc::ptr_eq(&certificates.of(1).unwrap(), &first));
        }
        std::fs::copy(fixture("two.key"), &files.key).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&files.key, mode).unwrap();
        certificates.look(false);
        certificates.look(false);
        assert_eq!(certificates.counts(), (1, 1));
        assert!(!Arc::ptr_eq(&certificates.of(1).unwrap(), &first));
        certificates.look(true);
        assert_eq!(certificates.counts(), (2, 1), "told to, it reads all");
    }
}
