//! The other side of ethash's dialects: what a miner's software does with what a pool says, without sockets. Written from
//! the protocols' descriptions and sharing no code with the pool's side: what both agree on was agreed on over the wire.
//!
//! [`EthClient`] turns bytes into [`EthNews`] and answers into bytes; [`EthJob::search`] tries nonces with whatever hashes.

use orebook_schema::units::{U256, hex, unhex};
use serde_json::{Value, json};

/// Longest line or answer taken from a pool.
const HELD_BYTES_MAX: usize = 64 * 1024;
/// Ids as ethminer has them: the first request, NiceHash's and EthereumStratum/2.0.0's second, the login, work, hashrate, and
/// shares from 40 on.
const FIRST_ID: u64 = 1;
const SECOND_ID: u64 = 2;
const LOGIN_ID: u64 = 3;
const WORK_ID: u64 = 5;
const RATE_ID: u64 = 9;
const FIRST_SHARE_ID: u64 = 40;
/// A pushed job of eth-proxy.
const PUSH_ID: u64 = 0;
/// Least difficulty that is believed, far below a single hash.
const DIFFICULTY_MIN: f64 = 1e-15;

/// How a miner may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EthDialect {
    /// eth-proxy.
    EthProxy,
    /// EthereumStratum/1.0.0.
    NiceHash,
    /// EthereumStratum/2.0.0.
    Stratum2,
    /// ethminer's mode 0.
    Legacy,
    /// A node's calls over HTTP.
    GetWork,
}

impl EthDialect {
    /// In which order ethminer looks for a pool's dialect, each on a connection of its own.
    pub const LADDER: [Self; 4] = [Self::Stratum2, Self::NiceHash, Self::EthProxy, Self::Legacy];
}

/// A miner's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EthLogin {
    /// The payout address.
    pub address: String,
    /// The rig, may be empty.
    pub rig: String,
    /// The password, may be empty.
    pub password: String,
}

impl EthLogin {
    fn dotted(&self) -> String {
        if self.rig.is_empty() {
            self.address.clone()
        } else {
            format!("{}.{}", self.address, self.rig)
        }
    }
}

/// Work as a pool gave it, whatever the dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EthJob {
    /// The pool's name of it; in eth-proxy and getwork the seal hash.
    pub id: String,
    /// Hash of the header without nonce and mix.
    pub seal: [u8; 32],
    /// Where the dialect gives it.
    pub seed: Option<[u8; 32]>,
    /// Where the dialect gives it instead.
    pub epoch: Option<u64>,
    /// The block's number, where it is given.
    pub height: Option<u64>,
    /// What a result must not exceed.
    pub target: U256,
    /// The first bytes of every nonce.
    pub prefix: Vec<u8>,
}

/// A nonce that met a job's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthFound {
    /// The whole nonce.
    pub nonce: u64,
    /// Its mix.
    pub mix: [u8; 32],
}

/// Something that hashes.
pub trait EthHasher {
    /// The mix and the result of a nonce, the result a big-endian number; none if it cannot hash this job.
    fn hash(&self, job: &EthJob, nonce: u64) -> Option<([u8; 32], U256)>;
}

impl EthJob {
    /// Tries `count` nonces from `start` on, counted within what the pool left to the miner.
    pub fn search(&self, hasher: &dyn EthHasher, start: u64, count: u64) -> Vec<EthFound> {
        (start..start.saturating_add(count))
            .filter_map(|number| {
                let nonce = self.nonce(number);
                let (mix, value) = hasher.hash(self, nonce)?;
                (value <= self.target).then_some(EthFound { nonce, mix })
            })
            .collect()
    }

    /// The nonce with this number in the bits that the pool left to the miner; higher bits of the number are cut off.
    #[must_use]
    pub fn nonce(&self, number: u64) -> u64 {
        let fixed_bits = u32::try_from(8 * self.prefix.len()).unwrap_or(u64::BITS);
        let mask = u64::MAX.checked_shr(fixed_bits).unwrap_or(0);
        let fixed = self
            .prefix
            .iter()
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        let free_bits = u64::BITS.saturating_sub(fixed_bits);
        fixed.checked_shl(free_bits).unwrap_or(0) | number & mask
    }
}

/// What a pool said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EthNews {
    /// The login was taken.
    Ready,
    /// A job.
    Job(EthJob),
    /// The answer to a share.
    Answer {
        /// The share's id.
        id: u64,
        /// The refusal's words; none if it was accepted.
        error: Option<String>,
        /// Accepted, but late.
        is_stale: bool,
    },
    /// The pool does not speak this dialect: connect again with the next.
    WrongDialect(String),
    /// The login was refused.
    LoginRefused(String),
    /// The pool has no work now.
    NoWork(String),
    /// The pool wants the connection to end, here or to go on elsewhere.
    Leave,
}

/// One connection of a miner.
#[derive(Debug)]
pub struct EthClient {
    dialect: EthDialect,
    login: EthLogin,
    held: Vec<u8>,
    ready: bool,
    prefix: Vec<u8>,
    target: U256,
    epoch: Option<u64>,
    /// EthereumStratum/2.0.0's name of the worker.
    token: String,
    next_id: u64,
}

impl EthClient {
    /// A new connection; [`EthClient::begin`] speaks first.
    #[must_use]
    pub fn new(dialect: EthDialect, login: EthLogin) -> Self {
        Self {
            dialect,
            login,
            held: Vec::new(),
            ready: false,
            prefix: Vec::new(),
            // Difficulty 1, which both EthereumStratums begin with.
            target: U256::from(0xffff) << 208,
            epoch: None,
            token: String::new(),
            next_id: FIRST_SHARE_ID,
        }
    }

    /// The first request.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        let agent = concat!("orebook-mine/", env!("CARGO_PKG_VERSION"));
        match self.dialect {
            EthDialect::EthProxy => {
                let mut request = json!({
                    "id": FIRST_ID, "jsonrpc": "2.0", "method": "eth_submitLogin",
                    "params": [self.login.address, self.login.password],
                });
                self.name_rig(&mut request);
                self.say(out, &request);
            }
            EthDialect::NiceHash => self.say(
                out,
                &json!({"id": FIRST_ID, "method": "mining.subscribe", "params": [agent, "EthereumStratum/1.0.0"]}),
            ),
            EthDialect::Stratum2 => self.say(
                out,
                &json!({"id": FIRST_ID, "method": "mining.hello", "params": {
                    "agent": agent, "host": "pool", "port": "d05", "proto": "EthereumStratum/2.0.0"}}),
            ),
            EthDialect::Legacy => self.say(
                out,
                &json!({"id": FIRST_ID, "jsonrpc": "2.0", "method": "mining.subscribe", "params": []}),
            ),
            EthDialect::GetWork => self.ask_work(out),
        }
    }

    /// Asks for work, where a dialect asks.
    pub fn ask_work(&mut self, out: &mut Vec<u8>) {
        if matches!(self.dialect, EthDialect::EthProxy | EthDialect::GetWork) {
            self.say(
                out,
                &json!({"id": WORK_ID, "jsonrpc": "2.0", "method": "eth_getWork", "params": []}),
            );
        }
    }

    /// Says how fast the rig is, hashes a second.
    pub fn tell_rate(&mut self, out: &mut Vec<u8>, rate: u64) {
        let request = match self.dialect {
            EthDialect::Stratum2 => {
                json!({"id": RATE_ID, "method": "mining.hashrate", "params": [format!("{rate:x}"), self.token]})
            }
            _ => {
                let id = format!("0x{}", "ab".repeat(32));
                json!({"id": RATE_ID, "jsonrpc": "2.0", "method": "eth_submitHashrate",
                    "params": [format!("0x{rate:064x}"), id]})
            }
        };
        self.say(out, &request);
    }

    /// Submits a share. Returns its id.
    pub fn submit(&mut self, out: &mut Vec<u8>, job: &EthJob, found: &EthFound) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let whole = format!("{:016x}", found.nonce);
        let rest = whole.get(2 * job.prefix.len()..).unwrap_or_default();
        let (seal, mix) = (
            format!("0x{}", hex(&job.seal)),
            format!("0x{}", hex(&found.mix)),
        );
        let nonce = format!("0x{whole}");
        let request = match self.dialect {
            EthDialect::EthProxy | EthDialect::GetWork => {
                let mut request = json!({"id": id, "jsonrpc": "2.0", "method": "eth_submitWork", "params": [nonce, seal, mix]});
                self.name_rig(&mut request);
                request
            }
            EthDialect::NiceHash => {
                json!({"id": id, "method": "mining.submit", "params": [self.login.dotted(), job.id, rest]})
            }
            EthDialect::Stratum2 => {
                json!({"id": id, "method": "mining.submit", "params": [job.id, rest, self.token]})
            }
            // As ethminer: the rig is a member of its own here.
            EthDialect::Legacy => {
                let mut request = json!({"id": id, "jsonrpc": "2.0", "method": "mining.submit",
                    "params": [self.login.address, job.id, nonce, seal, mix]});
                self.name_rig(&mut request);
                request
            }
        };
        self.say(out, &request);
        id
    }

    fn name_rig(&self, request: &mut Value) {
        if let (false, Some(request)) = (self.login.rig.is_empty(), request.as_object_mut()) {
            request.insert("worker".to_owned(), json!(self.login.rig));
        }
    }

    fn say(&self, out: &mut Vec<u8>, request: &Value) {
        let body = request.to_string();
        if self.dialect == EthDialect::GetWork {
            let rig = if self.login.rig.is_empty() {
                String::new()
            } else {
                format!("/{}", self.login.rig)
            };
            let (address, length) = (&self.login.address, body.len());
            out.extend_from_slice(
                format!(
                    "POST /{address}{rig} HTTP/1.1\r\nHost: pool\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                )
                .as_bytes(),
            );
        } else {
            out.extend_from_slice(body.as_bytes());
            out.push(b'\n');
        }
    }

    /// Takes bytes of the pool and answers what is to be answered.
    ///
    /// # Errors
    /// Why a pool like that cannot be talked to.
    pub fn hear(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Vec<EthNews>, String> {
        self.held.extend_from_slice(bytes);
        let mut news = Vec::new();
        while let Some(message) = self.next_message()? {
            let message: Value = serde_json::from_slice(&message)
                .map_err(|error| format!("the pool says no JSON: {error}"))?;
            self.understand(&message, out, &mut news)?;
        }
        if HELD_BYTES_MAX < self.held.len() {
            return Err("the pool's line is too long".to_owned());
        }
        Ok(news)
    }

    fn next_message(&mut self) -> Result<Option<Vec<u8>>, String> {
        if self.dialect == EthDialect::GetWork {
            return self.next_http_body();
        }
        let end = self.held.iter().position(|byte| *byte == b'\n');
        Ok(end.map(|end| self.held.drain(..=end).collect()))
    }

    fn next_http_body(&mut self) -> Result<Option<Vec<u8>>, String> {
        let held = String::from_utf8_lossy(&self.held).into_owned();
        let Some((head, body)) = held.split_once("\r\n\r\n") else {
            return Ok(None);
        };
        let status = head.split(' ').nth(1).unwrap_or_default();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.ok_or("the pool's answer has no length")?;
        let Some(body) = body.get(..length) else {
            return Ok(None);
        };
        if status != "200" {
            return Err(format!("the pool answers {status}: {}", body.trim()));
        }
        let body = body.as_bytes().to_vec();
        self.held.drain(..head.len() + 4 + length);
        Ok(Some(body))
    }

    fn understand(
        &mut self,
        message: &Value,
        out: &mut Vec<u8>,
        news: &mut Vec<EthNews>,
    ) -> Result<(), String> {
        // ethminer leaves a pool that says jsonrpc and then both a result and an error.
        let version = message.get("jsonrpc").and_then(Value::as_str);
        let has_both = message.get("error").is_some()
            && message
                .get("result")
                .is_some_and(|result| !result.is_null());
        if version.is_some_and(|version| version != "2.0" || has_both) {
            return Err("the pool breaks JSON-RPC 2.0".to_owned());
        }
        if let Some(method) = message.get("method").and_then(Value::as_str) {
            return self.notified(method, message.get("params"), news);
        }
        let error = message.get("error").filter(|error| !error.is_null());
        let error = error.map(words_of);
        let result = message.get("result").filter(|result| !result.is_null());
        match message.get("id").and_then(Value::as_u64) {
            Some(FIRST_ID) if self.dialect != EthDialect::GetWork => match error {
                Some(words) => news.push(EthNews::WrongDialect(words)),
                None => self.first_answered(result, out, news)?,
            },
            Some(SECOND_ID) if self.dialect == EthDialect::Stratum2 => {
                if result.and_then(Value::as_str).is_none_or(str::is_empty) {
                    return Err("the pool gives no session".to_owned());
                }
                self.log_in(out);
            }
            Some(LOGIN_ID) => match (error, result) {
                (None, Some(result)) if *result != json!(false) => {
                    self.token = result.as_str().unwrap_or_default().to_owned();
                    self.ready = true;
                    news.push(EthNews::Ready);
                }
                (error, _) => news.push(EthNews::LoginRefused(error.unwrap_or_default())),
            },
            Some(PUSH_ID | WORK_ID) => match (error, result) {
                (Some(words), _) => news.push(EthNews::NoWork(words)),
                (None, result) => {
                    let job = result.and_then(|work| self.node_work(work, 0));
                    let job = job.ok_or("the pool's work is not the protocol's")?;
                    if !self.ready {
                        self.ready = true;
                        news.push(EthNews::Ready);
                    }
                    news.push(EthNews::Job(job));
                }
            },
            Some(id) if FIRST_SHARE_ID <= id => {
                // EthereumStratum/2.0.0 accepts with 2xx, and without a result.
                let code = message.pointer("/error/code").and_then(Value::as_u64);
                let is_stale = code.is_some_and(|code| code / 100 == 2);
                let is_yes = match self.dialect {
                    EthDialect::Stratum2 => error.is_none() || is_stale,
                    _ => error.is_none() && result == Some(&json!(true)),
                };
                let error = (!is_yes).then(|| error.unwrap_or_default());
                news.push(EthNews::Answer {
                    id,
                    error,
                    is_stale,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn first_answered(
        &mut self,
        result: Option<&Value>,
        out: &mut Vec<u8>,
        news: &mut Vec<EthNews>,
    ) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("the pool's {what} is not the protocol's"));
        match self.dialect {
            EthDialect::EthProxy => {
                self.ready = true;
                news.push(EthNews::Ready);
                self.ask_work(out);
            }
            EthDialect::NiceHash => {
                let part = |path: &str| result.and_then(|result| result.pointer(path));
                if part("/0/2") != Some(&json!("EthereumStratum/1.0.0")) {
                    return wrong("subscription");
                }
                self.take_prefix(part("/1"))?;
                self.say(
                    out,
                    &json!({"id": SECOND_ID, "method": "mining.extranonce.subscribe", "params": []}),
                );
                self.log_in(out);
            }
            EthDialect::Stratum2 => {
                let has = |key: &str| result.is_some_and(|result| result.get(key).is_some());
                let proto = result.and_then(|result| result.get("proto"));
                let members = ["encoding", "resume", "timeout", "maxerrors", "node"];
                if proto != Some(&json!("EthereumStratum/2.0.0")) || !members.into_iter().all(has) {
                    return wrong("hello");
                }
                self.say(out, &json!({"id": SECOND_ID, "method": "mining.subscribe"}));
            }
            EthDialect::Legacy => self.log_in(out),
            EthDialect::GetWork => {}
        }
        Ok(())
    }

    fn log_in(&self, out: &mut Vec<u8>) {
        let mut request = json!({"id": LOGIN_ID, "method": "mining.authorize",
            "params": [self.login.dotted(), self.login.password]});
        if let (EthDialect::Legacy, Some(request)) = (self.dialect, request.as_object_mut()) {
            request.insert("jsonrpc".to_owned(), json!("2.0"));
        }
        self.say(out, &request);
    }

    fn notified(
        &mut self,
        method: &str,
        params: Option<&Value>,
        news: &mut Vec<EthNews>,
    ) -> Result<(), String> {
        let param = |index: usize| params.and_then(|params| params.get(index));
        match method {
            "mining.notify" => {
                let job = match self.dialect {
                    EthDialect::Legacy => params.and_then(|params| self.node_work(params, 1)),
                    EthDialect::NiceHash => self.stratum_work(param(0), param(2), param(1)),
                    _ => {
                        let height = param(1).and_then(Value::as_str);
                        let height = height.and_then(|hex| u64::from_str_radix(hex, 16).ok());
                        let job = self.stratum_work(param(0), param(2), None);
                        job.map(|job| EthJob { height, ..job })
                    }
                };
                let job = job.ok_or("the pool's mining.notify is not the protocol's")?;
                news.push(EthNews::Job(job));
            }
            "mining.set_difficulty" => {
                let difficulty = param(0).and_then(Value::as_f64).unwrap_or(1.0);
                self.target = target_of(difficulty);
            }
            "mining.set" => {
                let text = |key: &str| params.and_then(|params| params.get(key)?.as_str());
                if let Some(target) = text("target") {
                    self.target = U256::from_str_radix(target, 16)
                        .map_err(|_| "the pool's target is no number")?;
                }
                if let Some(epoch) = text("epoch") {
                    self.epoch = u64::from_str_radix(epoch, 16).ok();
                }
                self.take_prefix(params.and_then(|params| params.get("extranonce")))?;
            }
            "mining.bye" | "mining.reconnect" | "client.reconnect" => news.push(EthNews::Leave),
            _ => {}
        }
        Ok(())
    }

    fn take_prefix(&mut self, prefix: Option<&Value>) -> Result<(), String> {
        let Some(prefix) = prefix else {
            return Ok(());
        };
        let prefix = prefix.as_str().and_then(unhex);
        let prefix = prefix.filter(|prefix| prefix.len() <= 3);
        self.prefix = prefix.ok_or("the pool's extranonce is not the protocol's")?;
        Ok(())
    }

    fn stratum_work(
        &self,
        id: Option<&Value>,
        seal: Option<&Value>,
        seed: Option<&Value>,
    ) -> Option<EthJob> {
        Some(EthJob {
            id: id?.as_str()?.to_owned(),
            seal: bytes_of(seal?)?,
            seed: seed.and_then(bytes_of),
            epoch: self.epoch,
            height: None,
            target: self.target,
            prefix: self.prefix.clone(),
        })
    }

    /// `[seal, seed, target, height?]`, behind the job's name where there is one.
    fn node_work(&self, work: &Value, before: usize) -> Option<EthJob> {
        let target = work.get(before + 2)?.as_str()?;
        // Clients pad shorter ones; a pool that needs that is not tested here.
        if target.len() != 66 {
            return None;
        }
        let height = work.get(before + 3).and_then(Value::as_str);
        Some(EthJob {
            id: work.get(0)?.as_str()?.to_owned(),
            seal: bytes_of(work.get(before)?)?,
            seed: Some(bytes_of(work.get(before + 1)?)?),
            epoch: None,
            height: height
                .and_then(|height| u64::from_str_radix(height.strip_prefix("0x")?, 16).ok()),
            target: U256::from_str_radix(target.strip_prefix("0x")?, 16).ok()?,
            prefix: Vec::new(),
        })
    }
}

fn bytes_of(value: &Value) -> Option<[u8; 32]> {
    let text = value.as_str()?;
    unhex(text.strip_prefix("0x").unwrap_or(text))?
        .try_into()
        .ok()
}

/// An error's words: a tuple's second, an object's `message`, or a text.
fn words_of(error: &Value) -> String {
    let words = error.get(1).or_else(|| error.get("message"));
    let words = words.unwrap_or(error).as_str();
    words.map_or_else(|| error.to_string(), str::to_owned)
}

/// 0xffff × 2^208 / difficulty, in doubles as miners' software does it.
fn target_of(difficulty: f64) -> U256 {
    // ethminer takes nothing below 0.0001, half a million hashes; a processor on a test chain has shares of a few.
    let quotient = 65_535.0 / difficulty.max(DIFFICULTY_MIN);
    let bits = quotient.to_bits();
    let exponent = usize::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    let mantissa = U256::from(bits & ((1 << 52) - 1) | 1 << 52);
    // mantissa × 2^(exponent − 1,075 + 208).
    match exponent.checked_sub(1_075 - 208) {
        Some(up) if mantissa.bit_len() + up <= 256 => mantissa << up,
        Some(_) => U256::MAX,
        None => mantissa >> (1_075 - 208_usize).saturating_sub(exponent),
    }
}
