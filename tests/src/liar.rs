//! A line to a node's RPC that lies about single questions: a proxy for HTTP that knows JSON-RPC's methods. Of each method a list of
//! lies is told, one each time it is asked; then it is honest. `link` is a line that is only bad.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// Longer than a node takes to answer on a busy machine, and than anybody waits for a late answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most bytes of a question's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// The node is not asked, and an error of this code is answered: it failed.
    Refuses(i64),
    /// The node is asked, and an error of this code is answered: it failed but happened.
    Denies(i64),
    /// The node is asked, and the connection ends without an answer.
    Drops,
    /// The node is asked, and half of its answer comes.
    Tears,
    /// The node is asked, and its answer comes after whoever asked gave up.
    Delays,
    /// The node is not asked, and its answer to this method before that is given once more, whatever was asked.
    Repeats,
}

/// A question as it came: head with the empty line, body, and which method it asks.
struct Question {
    bytes: Vec<u8>,
    method: String,
}

#[derive(Debug, Default)]
struct Told {
    /// Lies still to be told, by method.
    left: BTreeMap<String, VecDeque<Lie>>,
    /// The node's last whole answer, by method.
    answers: BTreeMap<String, Vec<u8>>,
    told: Vec<(String, Lie)>,
}

/// A line to one node. Its threads live as long as the process.
#[derive(Clone, Debug)]
pub struct Liar {
    near: SocketAddr,
    told: Arc<Mutex<Told>>,
}

impl Liar {
    /// A line to `far` that lies about nothing yet.
    ///
    /// # Panics
    /// If there is no port left.
    #[must_use]
    pub fn new(far: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let near = listener.local_addr().expect("an address");
        let liar = Self {
            near,
            told: Arc::default(),
        };
        let (here, far) = (liar.clone(), far.to_owned());
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let (here, far) = (here.clone(), far.clone());
                std::thread::spawn(move || {
                    // An end that is gone is no matter of the line's.
                    here.carry(near, &far).unwrap_or_default();
                });
            }
        });
        liar
    }

    /// Where it begins: `host:port`.
    #[must_use]
    pub fn near(&self) -> String {
        self.near.to_string()
    }

    /// Tells these lies of a method, in this order, after those that are left.
    pub fn lie(&self, method: &str, lies: &[Lie]) {
        let mut told = self.told();
        let left = told.left.entry(method.to_owned()).or_default();
        left.extend(lies);
    }

    /// Lies that nobody heard yet.
    #[must_use]
    pub fn left(&self) -> Vec<(String, Lie)> {
        let told = self.told();
        let left = told.left.iter();
        let each = left.flat_map(|(method, lies)| lies.iter().map(|lie| (method.clone(), *lie)));
        each.collect()
    }

    /// How often this was told.
    #[must_use]
    pub fn count(&self, method: &str, lie: Lie) -> usize {
        let told = self.told();
        let same = |(of, one): &&(String, Lie)| of == method && *one == lie;
        told.told.iter().filter(same).count()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lie of this question, if it is one's turn.
    fn turn(&self, method: &str) -> Option<(Lie, Option<Vec<u8>>)> {
        let mut told = self.told();
        let old = told.answers.get(method).cloned();
        let lies = told.left.get_mut(method)?;
        // What was never answered cannot be answered once more.
        if lies.front() == Some(&Lie::Repeats) && old.is_none() {
            return None;
        }
        let lie = lies.pop_front()?;
        told.told.push((method.to_owned(), lie));
        println!("liar: {method} {lie:?}");
        Some((lie, old))
    }

    fn carry(&self, mut near: TcpStream, far: &str) -> std::io::Result<()> {
        near.set_read_timeout(Some(PATIENCE))?;
        let Some(question) = read_question(&mut near)? else {
            return Ok(());
        };
        let lie = self.turn(&question.method);
        match lie {
            Some((Lie::Refuses(code), _)) => return near.write_all(&error(code)),
            Some((Lie::Repeats, Some(old))) => return near.write_all(&old),
            _ => {}
        }
        let mut node = TcpStream::connect(far)?;
        node.set_read_timeout(Some(PATIENCE))?;
        node.write_all(&question.bytes)?;
        let mut answer = Vec::new();
        node.read_to_end(&mut answer)?;
        if answer.starts_with(b"HTTP/1.1 200") {
            let mut told = self.told();
            told.answers.insert(question.method, answer.clone());
        }
        match lie.map(|(lie, _)| lie) {
            Some(Lie::Denies(code)) => near.write_all(&error(code)),
            Some(Lie::Drops) => Ok(()),
            Some(Lie::Tears) => near.write_all(&answer[..answer.len() / 2]),
            Some(Lie::Delays) => {
                // Whoever asked closes when it has waited long enough.
                while matches!(near.read(&mut [0; 64]), Ok(1..)) {}
                near.write_all(&answer)
            }
            _ => near.write_all(&answer),
        }
    }
}

/// None if the other end closed, or asks what is no JSON-RPC.
fn read_question(near: &mut TcpStream) -> std::io::Result<Option<Question>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match near.read(&mut buffer)? {
            0 => return Ok(None),
            count if bytes.len() < HEAD_BYTES_MAX => bytes.extend_from_slice(&buffer[..count]),
            _ => return Ok(None),
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0);
    while bytes.len() < head + length {
        match near.read(&mut buffer)? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    let Ok(body) = serde_json::from_slice::<Value>(&bytes[head..]) else {
        return Ok(None);
    };
    // Several questions at once are of one method.
    let one = body.get(0).unwrap_or(&body);
    let method = one["method"].as_str().unwrap_or_default().to_owned();
    Ok(Some(Question { bytes, method }))
}

fn error(code: i64) -> Vec<u8> {
    let error = json!({ "code": code, "message": "a liar says so" });
    let body = json!({ "result": null, "error": error, "id": "orebook" }).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that counts: it answers how often it was asked.
    fn node() -> (String, Arc<Mutex<u64>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                read_question(&mut stream).expect("a question");
                let mut count = count.lock().expect("the count");
                *count += 1;
                let body = json!({ "result": *count, "error": null }).to_string();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).expect("answered");
            }
        });
        (address, asked)
    }

    /// The answer's body as far as it came; none if nothing did.
    fn ask(liar: &Liar, method: &str) -> Option<String> {
        let mut near = TcpStream::connect(liar.near()).expect("connected");
        let body = json!({ "method": method, "params": [] }).to_string();
        let question = format!(
            "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        near.write_all(question.as_bytes()).expect("asked");
        let mut answer = String::new();
        near.read_to_string(&mut answer).expect("an answer");
        let answer = answer.split_once("\r\n\r\n");
        answer.map(|(_, body)| body.to_owned())
    }

    #[test]
    fn each_lie_is_told_once_and_then_the_truth() {
        let (address, asked) = node();
        let liar = Liar::new(&address);
        let lies = [Lie::Repeats, Lie::Refuses(-26), Lie::Denies(-1), Lie::Drops];
        liar.lie("a", &lies);
        let count = || *asked.lock().expect("the count");
        let answered = |count: u64| Some(json!({ "result": count, "error": null }).to_string());
        assert_eq!(ask(&liar, "b"), answered(1), "of that it does not lie");
        assert_eq!(ask(&liar, "a"), answered(2), "nothing can be repeated yet");
        assert_eq!(ask(&liar, "a"), answered(2), "the old answer");
        let refused = ask(&liar, "a").expect("an answer");
        assert!(refused.contains("-26") && count() == 2, "{refused}");
        let denied = ask(&liar, "a").expect("an answer");
        assert!(denied.contains("-1") && count() == 3, "{denied}");
        assert_eq!((ask(&liar, "a"), count()), (None, 4), "asked, and no word");
        assert_eq!(ask(&liar, "a"), answered(5));
        assert!(liar.left().is_empty());
        assert_eq!(liar.count("a", Lie::Drops), 1);
    }
}
