//! `orebook health URL`: asks a role whether it is well, for service managers whose machines have no other client.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use crate::cli::HealthArgs;
use crate::{Failure, print};

/// All of it together may take so long: a service manager asks again soon.
const DEADLINE: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read; a role says one line.
const ANSWER_BYTES_MAX: u64 = 16_384;
/// Most bytes of what it said that are shown.
const SHOWN_BYTES_MAX: usize = 200;

/// Ends well iff the answer is 200; what was said besides goes to stderr.
pub(crate) fn run(args: &HealthArgs) -> Result<(), Failure> {
    let (host, path) = place(&args.url)?;
    let answer = ask(host, path)
        .map_err(|error| Failure::new(format!("{}: no answer: {error}", args.url)))?;
    let (status, said) = judge(&answer)
        .ok_or_else(|| Failure::new(format!("{}: the answer is no HTTP", args.url)))?;
    match status {
        200 => print(&said),
        _ => Err(Failure::new(format!("{}: {status}: {said}", args.url))
            .hint("docs/runbooks/role-down.md")),
    }
}

/// `host:port` and path of a plain URL.
fn place(url: &str) -> Result<(&str, &str), Failure> {
    let wrong = || Failure::new(format!("{url}: not as http://127.0.0.1:8080/readyz"));
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let at = rest.find('/').ok_or_else(wrong)?;
    let (host, path) = rest.split_at(at);
    let sound = path.bytes().all(|byte| byte.is_ascii_graphic());
    let (_, port) = host.rsplit_once(':').ok_or_else(wrong)?;
    match port.parse::<u16>() {
        Ok(_) if sound => Ok((host, path)),
        _ => Err(wrong()),
    }
}

fn ask(host: &str, path: &str) -> std::io::Result<Vec<u8>> {
    let until = Instant::now() + DEADLINE;
    let left = || {
        let left = until.saturating_duration_since(Instant::now());
        // Zero would mean for ever.
        left.max(Duration::from_millis(1))
    };
    let address = host.to_socket_addrs()?.next();
    let address = address.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&address, left())?;
    stream.set_write_timeout(Some(left()))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut limited = stream.take(ANSWER_BYTES_MAX);
    let mut part = [0; 4_096];
    loop {
        limited.get_ref().set_read_timeout(Some(left()))?;
        let len = limited.read(&mut part)?;
        answer.extend_from_slice(part.get(..len).unwrap_or_default());
        if len == 0 {
            return Ok(answer);
        }
        if until < Instant::now() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
    }
}

/// The status and the first words of an answer.
fn judge(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let said: String = body
        .trim()
        .chars()
        .take(SHOWN_BYTES_MAX)
        .map(clean)
        .collect();
    Some((status, said))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What `run` says of a server that gives this answer.
    fn of(answer: &'static [u8]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            let len = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            String::from_utf8_lossy(&request[..len]).into_owned()
        });
        let said = run(&HealthArgs { url }).map_err(|failure| failure.to_string());
        assert!(
            server
                .join()
                .unwrap()
                .starts_with("GET /readyz HTTP/1.1\r\n")
        );
        said
    }

    #[test]
    fn only_two_hundred_is_well_and_the_reason_is_told() {
        assert_eq!(of(b"HTTP/1.1 200 OK\r\n\r\nready\n"), Ok(()));
        let said = of(b"HTTP/1.1 503 Service Unavailable\r\n\r\nthe spool is full\n");
        assert!(said.unwrap_err().contains("503: the spool is full"));
        for answer in [
            &b""[..],
            b"\r\n\r\n",
            b"HTTP/1.1 2\r\n\r\n",
            b"SSH-2.0-x\r\n\r\n",
        ] {
            let said = of(answer).unwrap_err();
            assert!(said.contains("no HTTP"), "{said}");
        }
    }

    #[test]
    fn nobody_there_and_a_wrong_address_are_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/livez", listener.local_addr().unwrap());
        drop(listener);
        let said = run(&HealthArgs { url }).unwrap_err().to_string();
        assert!(said.contains("no answer"), "{said}");
        for url in [
            "127.0.0.1:1/",
            "https://a:1/",
            "http://a/",
            "http://a:1",
            "http://a:70000/",
            "http://a:1/\r\nX: y",
        ] {
            let said = run(&HealthArgs {
                url: url.to_owned(),
            })
            .unwrap_err()
            .to_string();
            assert!(said.contains("not as http://"), "{said}");
        }
    }
}
