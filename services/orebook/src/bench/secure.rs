//! Rigs over TLS, one after another: what is measured is what they leave behind at the gateway.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::ground::{LOGIN, failed};
use crate::Failure;

/// A certificate of the gateway's tests with its key, which everybody knows and nobody trusts.
const CERTIFICATE: &str = include_str!("../../../gateway/tests/tls/one.crt");
const KEY: &str = include_str!("../../../gateway/tests/tls/one.key");
/// Rigs that shake hands at a time.
const AT_A_TIME: usize = 8;
/// Longest wait for the gateway.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A connection that stays.
pub(super) type Held = StreamOwned<ClientConnection, TcpStream>;

/// Writes certificate and key where a gateway finds them.
pub(super) fn write_files(dir: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let lost = |error: std::io::Error| failed("the certificate", error);
    let (certificate, key) = (dir.join("bench.crt"), dir.join("bench.key"));
    std::fs::write(&certificate, CERTIFICATE).map_err(lost)?;
    std::fs::write(&key, KEY).map_err(lost)?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).map_err(lost)?;
    Ok((certificate, key))
}

/// Connects so many, logs each in and waits for its job.
pub(super) fn hold(address: SocketAddr, rigs: u32) -> Result<Vec<Held>, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let schemes = provider
        .signature_verification_algorithms
        .supported_schemes();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("TLS", error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(schemes)))
        .with_no_client_auth();
    let config = Arc::new(config);
    let some = |numbers: &[u32]| {
        let rigs = numbers.iter().map(|number| rig(address, &config, *number));
        rigs.collect::<Result<Vec<Held>, Failure>>()
    };
    let some = &some;
    let numbers: Vec<u32> = (0..rigs).collect();
    let parts = numbers.chunks(numbers.len().div_ceil(AT_A_TIME).max(1));
    let held = std::thread::scope(|scope| {
        let threads: Vec<_> = parts
            .map(|numbers| scope.spawn(move || some(numbers)))
            .collect();
        let ended = threads.into_iter().map(|thread| match thread.join() {
            Ok(held) => held,
            Err(_) => Err(Failure::new("a thread of rigs panicked")),
        });
        ended.collect::<Result<Vec<_>, _>>()
    })?;
    Ok(held.into_iter().flatten().collect())
}

fn rig(address: SocketAddr, config: &Arc<ClientConfig>, number: u32) -> Result<Held, Failure> {
    let lost = |error: std::io::Error| failed(&format!("connection {number} over TLS"), error);
    let stream = TcpStream::connect(address).map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    stream.set_read_timeout(Some(ANSWER_MAX)).map_err(lost)?;
    let name = ServerName::try_from("bench").map_err(|error| failed("TLS", error))?;
    let conn = ClientConnection::new(Arc::clone(config), name);
    let mut held = StreamOwned::new(conn.map_err(|error| failed("TLS", error))?, stream);
    let subscribe = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"bench\"]}";
    let authorize = format!(
        "{{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"{LOGIN}.tls{number}\",\"x\"]}}"
    );
    held.write_all(format!("{subscribe}\n{authorize}\n").as_bytes())
        .map_err(lost)?;
    let (mut lines, mut is_in) = (BufReader::new(&mut held), false);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).map_err(lost)? == 0 {
            return Err(Failure::new(format!("connection {number} was closed")));
        }
        is_in |= line.starts_with("{\"id\":2,\"result\":true");
        if is_in && line.contains("\"mining.notify\"") {
            break;
        }
    }
    Ok(held)
}

/// Believes everybody: it is the gateway of this bench, over loopback.
#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
