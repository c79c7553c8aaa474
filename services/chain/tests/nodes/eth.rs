//! Fake ethash nodes: their chain, and what they may do wrong.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orebook_chain::eth::{PUSH_BYTES_MAX, SealFields, keccak256};
use orebook_chain::{
    EthConfig, EthWork, Landmark, NodeConfig, NodeEvent, NodeFault, NodeKind, NodeWork, Nodes,
    NodesConfig, PushDoor, SubmitAnswer, SubmitEth, Work,
};
use orebook_schema::units::{Hash, U256, hex};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};

use crate::fake::{Fake, Reply, fault, result, run};
use crate::list::{PATIENCE, quick, within};

const DIFFICULTY: u64 = 1_000;

/// A block of a fake chain. Chains of different salt have no block in common.
fn block(salt: u8, number: u64) -> Value {
    let fields = |number: u64, parent: Hash| SealFields {
        parent,
        uncles_hash: keccak256(&[0xc0]),
        miner: [salt; 20],
        state_root: Hash::ZERO,
        transactions_root: Hash::ZERO,
        receipts_root: Hash::ZERO,
        bloom: Box::new([0; 256]),
        difficulty: U256::from(DIFFICULTY),
        number,
        gas_limit: 30_000_000,
        gas_used: 0,
        time: 1_800_000_000 + number,
        extra: vec![salt],
        base_fee: None,
    };
    let parent = (0..number).fold(Hash::ZERO, |parent, number| {
        fields(number, parent).hash(&Hash::ZERO, 7)
    });
    let fields = fields(number, parent);
    let word = |hash: Hash| format!("0x{hash}");
    json!({
        "hash": word(fields.hash(&Hash::ZERO, 7)),
        "parentHash": word(fields.parent),
        "sha3Uncles": word(fields.uncles_hash),
        "miner": format!("0x{}", hex(&fields.miner)),
        "stateRoot": word(fields.state_root),
        "transactionsRoot": word(fields.transactions_root),
        "receiptsRoot": word(fields.receipts_root),
        "logsBloom": format!("0x{}", hex(fields.bloom.as_slice())),
        "difficulty": format!("0x{DIFFICULTY:x}"),
        "number": format!("0x{number:x}"),
        "gasLimit": "0x1c9c380",
        "gasUsed": "0x0",
        "timestamp": format!("0x{:x}", fields.time),
        "extraData": format!("0x{}", hex(&fields.extra)),
        "mixHash": word(Hash::ZERO),
        "nonce": "0x0000000000000007",
        "uncles": [],
    })
}

/// Height of the block that tells the chain from another with the same beginning.
const LANDMARK: u64 = 2;
/// Whom blocks must pay, twenty times.
const PAYEE: u8 = 7;

/// What a node does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Dead,
    Hangs,
    NotReady,
    OldWork,
    WorkAhead,
    OtherSeed,
    EasyTarget,
    ZeroTarget,
    ForgedHash,
    OtherChain,
    OtherFork,
    OtherPayee,
    AheadAlone,
    Words,
}

impl Wrong {
    /// Each, and what the operator is told of it.
    const ALL: [(Self, &'static str, NodeFault); 14] = [
        (Self::Dead, "broke off", NodeFault::Dead),
        (Self::Hangs, "no answer in time", NodeFault::Dead),
        (
            Self::NotReady,
            "no mining work available yet",
            NodeFault::Dead,
        ),
        (Self::OldWork, "old or wrong work", NodeFault::OldWork),
        (Self::WorkAhead, "old or wrong work", NodeFault::OldWork),
        (Self::OtherSeed, "seed", NodeFault::Unusable),
        (
            Self::EasyTarget,
            "not near its parent's",
            NodeFault::Unusable,
        ),
        (Self::ZeroTarget, "target is zero", NodeFault::Unusable),
        (Self::ForgedHash, "cannot be read", NodeFault::Dead),
        (
            Self::OtherChain,
            "its first block is",
            NodeFault::OtherChain,
        ),
        (Self::OtherFork, "its block 2 is 0x", NodeFault::OtherChain),
        (Self::OtherPayee, "pay 0x0909", NodeFault::OtherPayee),
        (Self::AheadAlone, "ahead alone", NodeFault::WrongHeight),
        (Self::Words, "cannot be read", NodeFault::Dead),
    ];
}

#[derive(Clone, Copy, Debug)]
struct State {
    tip: u64,
    wrong: Wrong,
}

/// One fake node and what it is told to do.
struct EthFake {
    fake: Fake,
    state: Arc<Mutex<State>>,
}

/// The seal hash of a node's work.
fn seal(name: u8, height: u64) -> Hash {
    Hash::of(&[&[name], &height.to_le_bytes()])
}

fn answer(name: u8, state: State, method: &str, params: &Value) -> Reply {
    let State { mut tip, wrong } = state;
    match wrong {
        Wrong::Dead => return Reply::Close,
        Wrong::Hangs => return Reply::Hang,
        Wrong::AheadAlone => tip += 10,
        _ => {}
    }
    // Two chains with one beginning part at the second block.
    let salt = |number| {
        let is_fork = wrong == Wrong::OtherFork && LANDMARK <= number;
        u8::from(wrong == Wrong::OtherChain || is_fork)
    };
    match (method, &params[0]) {
        ("eth_getWork", _) => {
            let height = match wrong {
                Wrong::NotReady => return fault(-32_000, "no mining work available yet"),
                Wrong::Words => return result(json!("work")),
                Wrong::OldWork => tip,
                Wrong::WorkAhead => tip + 2,
                _ => tip + 1,
            };
            let seed = if wrong == Wrong::OtherSeed {
                [9; 32]
            } else {
                [0; 32]
            };
            let target = match wrong {
                Wrong::ZeroTarget => U256::ZERO,
                Wrong::EasyTarget => U256::MAX / U256::from(10),
                _ => U256::MAX / U256::from(DIFFICULTY),
            };
            result(json!([
                format!("0x{}", seal(name, height)),
                format!("0x{}", hex(&seed)),
                format!("0x{target:064x}"),
                format!("0x{height:x}"),
            ]))
        }
        ("eth_blockNumber", _) => result(json!(format!("0x{tip:x}"))),
        ("eth_getBlockByNumber", number) => match number.as_str().expect("a word") {
            "pending" => fault(-32_000, "no pending block"),
            "latest" => {
                let mut latest = block(salt(tip), tip);
                if wrong == Wrong::ForgedHash {
                    latest["number"] = format!("0x{:x}", tip + 1).into();
                }
                result(latest)
            }
            number => {
                let number = u64::from_str_radix(&number[2..], 16).expect("a number");
                result(if number <= tip {
                    block(salt(number), number)
                } else {
                    Value::Null
                })
            }
        },
        ("eth_coinbase", _) => {
            let payee = if wrong == Wrong::OtherPayee { 9 } else { PAYEE };
            result(json!(format!("0x{}", hex(&[payee; 20]))))
        }
        ("eth_submitWork", _) => result(json!(true)),
        _ => fault(-32_601, "the method does not exist"),
    }
}

impl EthFake {
    async fn start(name: u8) -> Self {
        let state = Arc::new(Mutex::new(State {
            tip: 3,
            wrong: Wrong::Nothing,
        }));
        let shared = Arc::clone(&state);
        let script = move |method: &str, params: &Value| {
            let state = *shared.lock().expect("unpoisoned");
            answer(name, state, method, params)
        };
        Self {
            fake: Fake::start(Arc::new(script)).await,
            state,
        }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("unpoisoned"));
    }

    fn config(&self, name: &str) -> NodeConfig {
        let mut config = EthConfig::new(self.fake.address.clone());
        (config.timeout, config.submit_timeout) =
            (Duration::from_millis(400), Duration::from_millis(400));
        config.payee = Some([PAYEE; 20]);
        config.landmark = Some(Landmark {
            height: LANDMARK,
            hash: hash_of(LANDMARK),
        });
        NodeConfig {
            name: name.to_owned(),
            kind: NodeKind::Eth(config),
        }
    }
}

/// All nodes get a tip, and the first a fault.
fn set(fakes: &[EthFake], tip: u64, first: Wrong) {
    for (index, fake) in fakes.iter().enumerate() {
        let wrong = if index == 0 { first } else { Wrong::Nothing };
        fake.set(|state| *state = State { tip, wrong });
    }
}

fn genesis() -> Hash {
    hash_of(0)
}

fn hash_of(number: u64) -> Hash {
    let shown = block(0, number)["hash"]
        .as_str()
        .expect("a word")
        .to_owned();
    let bytes = orebook_schema::units::unhex(&shown[2..]).expect("hex");
    Hash(bytes.try_into().expect("32 bytes"))
}

/// Waits for a node's work of a height, and holds every work on the way against what honest nodes give.
async fn fresh(works: &mut watch::Receiver<Work>, name: u8, height: u64) -> Arc<EthWork> {
    let is_wanted = |work: &Work| match work {
        Work::Fresh(NodeWork::Eth(work)) => {
            let honest = [0, 1, 2].map(|name| seal(name, work.height));
            assert!(honest.contains(&work.seal), "{work:?}");
            assert!((height - 1..=height).contains(&work.height), "{work:?}");
            assert_eq!(
                (work.seed, work.network_work),
                (Hash::ZERO, u128::from(DIFFICULTY))
            );
            work.seal == seal(name, height)
        }
        _ => false,
    };
    let seen = within("work", works.wait_for(is_wanted)).await;
    let Work::Fresh(NodeWork::Eth(work)) = &*seen.expect("the list runs") else {
        panic!("it was fresh")
    };
    Arc::clone(work)
}

/// Waits until the source of work changes from one node to another, and gives the reason that was told.
async fn changed(events: &mut broadcast::Receiver<NodeEvent>, from: &str, to: &str) -> String {
    let told = async {
        loop {
            match events.recv().await.expect("nothing is lost") {
                NodeEvent::Source { was, is, why }
                    if was.as_deref() == Some(from) && is.as_deref() == Some(to) =>
                {
                    return why;
                }
                _ => {}
            }
        }
    };
    within("an event", told).await
}

/// The faults in an order that a seed decides.
fn shuffled(seed: u64) -> Vec<(Wrong, &'static str, NodeFault)> {
    let mut all = Wrong::ALL.to_vec();
    all.sort_by_key(|(wrong, ..)| {
        Hash::of(&[&seed.to_le_bytes(), format!("{wrong:?}").as_bytes()])
    });
    all
}

/// Two orders of the faults, at the same time: most of it is waiting.
#[test]
fn work_comes_from_the_best_healthy_node_whatever_the_first_does() {
    std::thread::scope(|scope| {
        for seed in [1, 2] {
            scope.spawn(move || run(go_through_the_faults(seed)));
        }
    });
}

async fn go_through_the_faults(seed: u64) {
    let fakes = [
        EthFake::start(0).await,
        EthFake::start(1).await,
        EthFake::start(2).await,
    ];
    let names = ["first", "second", "third"];
    let nodes = fakes
        .iter()
        .zip(names)
        .map(|(fake, name)| fake.config(name));
    let nodes = Nodes::start(NodesConfig {
        nodes: nodes.collect(),
        genesis: Some(genesis()),
        push: None,
        timing: quick(),
    });
    let nodes = nodes.expect("a list");
    let (mut works, mut events) = (nodes.templates(), nodes.events());
    let mut height = 4;
    fresh(&mut works, 0, height).await;
    for (wrong, told, _) in shuffled(seed) {
        println!("seed {seed}: {wrong:?} at height {height}");
        height += 1;
        set(&fakes, height - 1, wrong);
        fresh(&mut works, 1, height).await;
        let why = changed(&mut events, "first", "second").await;
        assert!(
            why.contains("first: ") && why.contains(told),
            "{wrong:?}: {why}"
        );
        // With a new block, since work of the same parent is replaced but once a second.
        height += 1;
        set(&fakes, height - 1, Wrong::Nothing);
        fresh(&mut works, 0, height).await;
        let why = changed(&mut events, "second", "first").await;
        assert_eq!(why, "", "{wrong:?}: nothing is wrong before the first");
    }
    nodes.stop().await;
}

/// Waits until it is said that the first node has this fault, or none.
async fn said(events: &mut broadcast::Receiver<NodeEvent>, wanted: Option<NodeFault>) -> String {
    let told = async {
        loop {
            if let NodeEvent::Health { node, fault, why } =
                events.recv().await.expect("nothing is lost")
                && (node.as_str(), fault) == ("first", wanted)
            {
                return why;
            }
        }
    };
    within(&format!("{wanted:?}"), told).await
}

#[test]
fn what_is_wrong_with_a_node_is_an_event_and_so_is_its_end() {
    run(async {
        let fakes = [
            EthFake::start(0).await,
            EthFake::start(1).await,
            EthFake::start(2).await,
        ];
        let named = fakes.iter().zip(["first", "second", "third"]);
        let nodes = Nodes::start(NodesConfig {
            nodes: named.map(|(fake, name)| fake.config(name)).collect(),
            genesis: Some(genesis()),
            push: None,
            timing: quick(),
        });
        let nodes = nodes.expect("a list");
        let mut events = nodes.events();
        said(&mut events, None).await;
        let mut height = 4;
        for (wrong, told, fault) in Wrong::ALL {
            height += 1;
            set(&fakes, height - 1, wrong);
            let why = said(&mut events, Some(fault)).await;
            assert!(why.contains(told), "{wrong:?}: {why}");
            height += 1;
            set(&fakes, height - 1, Wrong::Nothing);
            assert_eq!(said(&mut events, None).await, "", "{wrong:?}");
        }
        nodes.stop().await;
    });
}

#[test]
fn a_node_that_is_not_there_yet_or_knows_no_such_call_is_not_refused() {
    run(async {
        let fake = EthFake::start(0).await;
        let mut young = fake.config("young");
        let NodeKind::Eth(config) = &mut young.kind else {
            panic!("it is one")
        };
        config.landmark = Some(Landmark {
            height: 1_000,
            hash: Hash([1; 32]),
        });
        let silent = Fake::start(Arc::new(|method, params: &Value| match method {
            "eth_coinbase" => fault(-32_601, "the method does not exist"),
            _ => {
                let (tip, wrong) = (4, Wrong::Nothing);
                answer(1, State { tip, wrong }, method, params)
            }
        }))
        .await;
        let mut other = EthConfig::new(silent.address.clone());
        other.payee = Some([1; 20]);
        let other = NodeConfig {
            name: "silent".to_owned(),
            kind: NodeKind::Eth(other),
        };
        for node in [young, other] {
            let nodes = Nodes::start(NodesConfig {
                nodes: vec![node],
                genesis: Some(genesis()),
                push: None,
                timing: quick(),
            });
            let nodes = nodes.expect("a list");
            let mut works = nodes.templates();
            let is_fresh = |work: &Work| matches!(work, Work::Fresh(_));
            drop(within("work", works.wait_for(is_fresh)).await);
            nodes.stop().await;
        }
    });
}

#[test]
fn a_solution_goes_to_every_node_and_a_second_true_is_as_good_as_the_first() {
    run(async {
        let fakes = [
            EthFake::start(0).await,
            EthFake::start(1).await,
            EthFake::start(2).await,
        ];
        fakes[1].set(|state| state.wrong = Wrong::Dead);
        let nodes = fakes
            .iter()
            .zip(["a", "b", "c"])
            .map(|(fake, name)| fake.config(name));
        let nodes = Nodes::start(NodesConfig {
            nodes: nodes.collect(),
            genesis: None,
            push: None,
            timing: quick(),
        });
        let nodes = nodes.expect("a list");
        let mut events = nodes.events();
        let work = fresh(&mut nodes.templates(), 0, 4).await;
        let found = SubmitEth {
            seal: work.seal,
            nonce: 0x0102_0304,
            mix: Hash([3; 32]),
        };
        for _ in 0..2 {
            let answers = within("answers", nodes.submit_eth(found)).await;
            assert_eq!(answers[0], ("a".to_owned(), SubmitAnswer::Accepted));
            assert!(
                matches!(&answers[1].1, SubmitAnswer::Unknown(_)),
                "{answers:?}"
            );
            assert_eq!(answers[2], ("c".to_owned(), SubmitAnswer::Accepted));
        }
        let mut twice = Vec::new();
        while twice.len() < 2 {
            let event = within("an event", events.recv()).await;
            if let NodeEvent::AcceptedTwice { node } = event.expect("nothing is lost") {
                twice.push(node);
            }
        }
        twice.sort_unstable();
        assert_eq!(twice, ["a", "c"], "each said yes again");
        let answers = within("answers", nodes.submit(vec![1])).await;
        assert!(
            matches!(&answers[0].1, SubmitAnswer::Unknown(why) if why.contains("this kind of node")),
            "{answers:?}"
        );
        nodes.stop().await;
    });
}

/// Sends bytes to the door as they are and gives the status that came back; 0 if none did.
async fn post(door: SocketAddr, bytes: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(door).await.expect("the door is open");
    // The door may have had enough before all is written.
    let _sent = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _read = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or(0)
}

fn request(body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[test]
fn a_forged_push_has_the_nodes_asked_and_gives_nobody_false_work() {
    run(async {
        let fake = EthFake::start(0).await;
        let door = PushDoor::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = door.address();
        let mut timing = quick();
        // After the first look the next poll would come after the test's patience.
        timing.poll = PATIENCE * 2;
        timing.stale_after = PATIENCE * 3;
        let nodes = Nodes::start(NodesConfig {
            nodes: vec![fake.config("only")],
            genesis: Some(genesis()),
            push: Some(door),
            timing,
        });
        let nodes = nodes.expect("a list");
        let mut works = nodes.templates();
        let honest = fresh(&mut works, 0, 4).await;
        let array = |seal: u8, height: &str| {
            let target = format!("0x{:064x}", U256::MAX >> 1);
            let word = |byte: u8| format!("0x{}", hex(&[byte; 32]));
            json!([word(seal), word(0), target, height]).to_string()
        };
        let mut forged = block(0, 9);
        let true_header = forged.to_string();
        forged["number"] = "0x8".into();
        let long = format!("[\"{}\"]", "a".repeat(PUSH_BYTES_MAX));
        let many_lines = format!(
            "POST / HTTP/1.1\r\n{}Content-Length: 0\r\n\r\n",
            "a: b\r\n".repeat(99)
        );
        for (name, bytes, status) in [
            ("no HTTP", b"\x16\x03\x01 hello\r\n\r\n".to_vec(), 400),
            ("too many header lines", many_lines.into_bytes(), 431),
            (
                "another method",
                b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
                405,
            ),
            ("no JSON", request("work"), 400),
            ("no body", request(""), 400),
            ("a number", request("7"), 400),
            ("a deep array", request(&"[".repeat(1_000)), 400),
            ("two items", request("[\"0x\",\"0x\"]"), 400),
            (
                "a height that is not the seed's",
                request(&array(1, "0x7530000")),
                400,
            ),
            (
                "a header with another height",
                request(&forged.to_string()),
                400,
            ),
            ("a body beyond the limit", request(&long), 413),
        ] {
            assert_eq!(within(name, post(address, &bytes)).await, status, "{name}");
        }
        assert_eq!(
            fake.fake.count("eth_getWork"),
            1,
            "none of these asks anybody"
        );

        // What hangs together has the node asked, and the node's own word counts.
        for body in [array(1, "0x4"), array(2, "0x99"), true_header] {
            let before = fake.fake.count("eth_getWork");
            assert_eq!(within("a push", post(address, &request(&body))).await, 200);
            let asked = async {
                let mut pause = tokio::time::interval(Duration::from_millis(10));
                while fake.fake.count("eth_getWork") == before {
                    pause.tick().await;
                }
            };
            within("a question", asked).await;
        }
        fake.set(|state| state.tip = 4);
        assert_eq!(
            within("a push", post(address, &request(&array(3, "0x5")))).await,
            200
        );
        let next = fresh(&mut works, 0, 5).await;
        assert_eq!(honest.height + 1, next.height);
        nodes.stop().await;
    });
}
