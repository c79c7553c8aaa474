//! What coinbases pay accounts: a projector is asked for each template, and again as time goes. Jobs never wait for it: a new
//! block's first job pays the pool alone, and so does every one for which there is no list.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orebook_chain::{NodeWork, OutputRoom, Paying, Template, Work};
use orebook_gateway::GatewayHandle;
use orebook_schema::At;
use orebook_schema::names::Script;
use orebook_schema::units::{WorkUnit, unhex};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use orebook::config::{Gateway as GatewayText, projector};

/// How long one projector may take; jobs go on meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
/// Until a list is asked for again that did not come, or that stands before the block which its template builds on.
const AGAIN: Duration = Duration::from_secs(1);
/// Most bytes of an answer that are read: 500 outputs with their accounts.
const ANSWER_BYTES_MAX: u64 = 262_144;

/// Where a gateway's lists come from.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    hosts: Vec<String>,
    pot: u16,
    each: Duration,
    unit: WorkUnit,
    payout_script: Vec<u8>,
}

/// What became of the questions for a gateway's lists, since the start.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    listed: AtomicU64,
    early: AtomicU64,
    unwanted: AtomicU64,
    failed: AtomicU64,
}

impl Asked {
    /// Counts by their names.
    pub(crate) fn entries(&self) -> [(&'static str, u64); 4] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("listed", read(&self.listed)),
            ("early", read(&self.early)),
            ("unwanted", read(&self.unwanted)),
            ("failed", read(&self.failed)),
        ]
    }

    /// Notes what came. `since_ms` is when the block was first seen that the template builds on.
    fn note(&self, list: &Result<Given, NoList>, since_ms: u64) {
        let count = match list {
            Ok(given) if given.is_early(since_ms) => &self.early,
            Ok(_) => &self.listed,
            Err(NoList::NotWanted) => &self.unwanted,
            Err(NoList::Failed(_)) => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A list as it came.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    paying: Paying,
    ledger_time_ms: u64,
}

impl Given {
    /// Whether it stands before a block that was seen then: it may carry what that block paid.
    const fn is_early(&self, since_ms: u64) -> bool {
        self.ledger_time_ms < since_ms
    }
}

/// Why there is no list.
#[derive(Debug, PartialEq, Eq)]
enum NoList {
    /// The pot does not pay by the coinbase: that is no fault.
    NotWanted,
    /// In words.
    Failed(String),
}

#[derive(Deserialize)]
struct Reply {
    direct: u64,
    ledger_time_ms: u64,
    policy: String,
    outputs: Vec<OutputReply>,
}

#[derive(Deserialize)]
struct OutputReply {
    script: String,
    amount: u64,
}

impl Asker {
    /// Of a gateway that has somebody to ask; none where its miners are of several pots, which share one coinbase.
    pub(super) fn new(
        gateway: &GatewayText,
        pages: Option<SocketAddr>,
        unit: WorkUnit,
        payout_script: &[u8],
    ) -> Option<Self> {
        let hosts = gateway.direct.from.iter().filter_map(|url| projector(url));
        let mut hosts: Vec<String> = hosts.map(str::to_owned).collect();
        if hosts.is_empty() {
            hosts.extend(pages.map(|pages| pages.to_string()));
        }
        let asker = Self {
            hosts,
            pot: gateway.only_pot()?,
            each: Duration::from_secs(u64::from(gateway.direct.each_s)),
            unit,
            payout_script: payout_script.to_vec(),
        };
        (!asker.hosts.is_empty() && unit != WorkUnit::Ethash).then_some(asker)
    }

    /// The first list that somebody gives.
    async fn ask(&self, template: &Template) -> Result<Given, NoList> {
        let OutputRoom { bytes, sigops } = template.room(&self.payout_script);
        let path = format!(
            "/api/v1/pools/{}/direct?value={}&fees={}&network_work={}&room={bytes}&sigops={sigops}",
            self.pot,
            template.reward,
            template.fees,
            template.network_work(self.unit),
        );
        let mut why = String::new();
        for host in &self.hosts {
            match timeout(PATIENCE, ask(host, &path)).await {
                Ok(Err(NoList::Failed(failed))) => why = format!("{host}: {failed}"),
                Ok(answer) => return answer,
                Err(_) => why = format!("{host}: no answer in time"),
            }
        }
        Err(NoList::Failed(why))
    }
}

async fn ask(host: &str, path: &str) -> Result<Given, NoList> {
    let failed = |error: std::io::Error| NoList::Failed(error.to_string());
    let mut stream = TcpStream::connect(host).await.map_err(failed)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    let mut limited = stream.take(ANSWER_BYTES_MAX);
    limited.read_to_end(&mut answer).await.map_err(failed)?;
    read(&answer)
}

/// The list of an answer that ended with its connection.
fn read(answer: &[u8]) -> Result<Given, NoList> {
    let strange = || NoList::Failed("it does not answer like a projector".to_owned());
    let text = str::from_utf8(answer).map_err(|_| strange())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(strange)?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|head| head.get(..3));
    match status.ok_or_else(strange)? {
        "200" => {}
        "404" if body.contains("\"no_direct\"") || body.contains("\"no_pool\"") => {
            return Err(NoList::NotWanted);
        }
        status => return Err(NoList::Failed(format!("HTTP status {status}"))),
    }
    let reply: Reply = serde_json::from_str(body).map_err(|_| strange())?;
    let policy = place(&reply.policy).ok_or_else(strange)?;
    let outputs = reply.outputs.iter().map(|output| {
        let script = Script::new(&unhex(&output.script)?)?;
        Some((output.amount, script))
    });
    let outputs = outputs.collect::<Option<Vec<_>>>().ok_or_else(strange)?;
    if reply.direct == 0 {
        return Err(strange());
    }
    Ok(Given {
        paying: Paying {
            direct: reply.direct,
            policy,
            outputs,
        },
        ledger_time_ms: reply.ledger_time_ms,
    })
}

fn place(text: &str) -> Option<At> {
    let (position, index) = text.split_once('.')?;
    Some(At {
        position: position.parse().ok()?,
        index: index.parse().ok()?,
    })
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// The template of the work; other work is the gateway's at once.
fn template_of(gateway: &GatewayHandle, work: Work) -> Option<Arc<Template>> {
    match work {
        Work::Fresh(NodeWork::Template(template)) => return Some(template),
        Work::Fresh(NodeWork::Eth(work)) => gateway.eth_work(*work),
        Work::None { why } => gateway.no_work(&why),
    }
    None
}

/// Gives a gateway the nodes' work, and lists for it, until either ends.
pub(super) async fn feed(
    asker: Asker,
    asks: Arc<Asked>,
    gateway: Weak<GatewayHandle>,
    mut works: watch::Receiver<Work>,
) {
    // The parent of the template in hand, and when it was first seen here.
    let (mut parent, mut since_ms) = (None, 0);
    let mut trouble = false;
    loop {
        let work = works.borrow_and_update().clone();
        let Some(handle) = gateway.upgrade() else {
            return;
        };
        let Some(template) = template_of(&handle, work) else {
            drop(handle);
            if works.changed().await.is_err() {
                return;
            }
            continue;
        };
        // On the same parent the job before serves until there is a list, or none comes.
        let mut is_out = parent != Some(template.prev);
        if is_out {
            (parent, since_ms) = (Some(template.prev), now_ms());
            handle.template(template.clone());
        }
        drop(handle);
        let mut wait = Duration::ZERO;
        loop {
            let asked = async {
                sleep(wait).await;
                asker.ask(&template).await
            };
            let list = tokio::select! {
                changed = works.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                list = asked => list,
            };
            asks.note(&list, since_ms);
            let Some(handle) = gateway.upgrade() else {
                return;
            };
            wait = match list {
                Ok(given) if given.is_early(since_ms) => AGAIN,
                Ok(given) => {
                    if std::mem::take(&mut trouble) {
                        tracing::info!("coinbases pay accounts again");
                    }
                    is_out = true;
                    handle.template_paying(template.clone(), Arc::new(given.paying));
                    asker.each
                }
                Err(NoList::NotWanted) => asker.each,
                Err(NoList::Failed(why)) => {
                    if !std::mem::replace(&mut trouble, true) {
                        tracing::warn!(
                            why,
                            "coinbases pay the pool alone: no projector gives a list; see docs/runbooks/lists-missing.md"
                        );
                    }
                    AGAIN
                }
            };
            if !std::mem::replace(&mut is_out, true) {
                handle.template(template.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: &str, body: &str) -> Result<Given, NoList> {
        read(format!("HTTP/1.1 {status}\r\nx: y\r\n\r\n{body}").as_bytes())
    }

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        let good = r#"{"as_of":9,"direct":9,"ledger_time_ms":7,"policy":"3.1","outputs":[{"account":"script:51","script":"51","amount":5}],"pool":1}"#;
        let given = answered("200 OK", good).unwrap();
        assert_eq!((given.paying.direct, given.ledger_time_ms), (9, 7));
        assert_eq!(
            given.paying.policy,
            At {
                position: 3,
                index: 1
            }
        );
        assert_eq!(given.paying.outputs, [(5, Script::new(&[0x51]).unwrap())]);
        for changed in [
            good.replace("\"51\"", "\"\""),
            good.replace("\"51\"", "\"5\""),
            good.replace("\"51\"", &format!("\"{}\"", "51".repeat(65))),
            good.replace("\"direct\":9", "\"direct\":0"),
            good.replace("3.1", "3"),
            good.replace("\"amount\":5", "\"amount\":-5"),
            good.replace("}]", "}"),
            String::new(),
        ] {
            assert!(
                matches!(answered("200 OK", &changed), Err(NoList::Failed(_))),
                "{changed}"
            );
        }
        assert_eq!(
            answered("404 Not Found", r#"{"error":"no_direct"}"#),
            Err(NoList::NotWanted)
        );
        for status in ["404 Not Found", "503 Service Unavailable", "x"] {
            assert!(
                matches!(answered(status, "{}"), Err(NoList::Failed(_))),
                "{status}"
            );
        }
        assert!(read(b"\xff").is_err());
    }

    #[test]
    fn what_became_of_each_question_is_counted_once() {
        let given = |ledger_time_ms| {
            let paying = Paying {
                direct: 1,
                policy: At::default(),
                outputs: Vec::new(),
            };
            Ok(Given {
                paying,
                ledger_time_ms,
            })
        };
        let asked = Asked::default();
        let failed = || Err(NoList::Failed(String::new()));
        let all = [given(6), given(7), given(8), Err(NoList::NotWanted)];
        for list in all.into_iter().chain([failed(), failed(), failed()]) {
            asked.note(&list, 7);
        }
        let expected = [("listed", 2), ("early", 1), ("unwanted", 1), ("failed", 3)];
        assert_eq!(asked.entries(), expected);
    }
}
