//! An archiver and desks around one simulated broker, each on a simulated disk. Clocks are numbers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use orebook_desk::answer::Answer;
use orebook_desk::command::Command;
use orebook_desk::machine::{Asked, Sent};
use orebook_desk::{Machine, MachineConfig, MachineError, Operator, Operators, Right, Submitted};
use orebook_ledger::admit::State;
use orebook_ledger::archiver::Archiver;
use orebook_ledger::segment::StoreConfig;
use orebook_ledger::spool::FILE_BYTES_MIN;
use orebook_replay::engine::SharedReader;
use orebook_schema::event::{Approval, KeyAction, KeyChange, PolicyChange};
use orebook_schema::genesis::{Approved, Genesis};
use orebook_schema::names::CoinName;
use orebook_schema::policy::{PotRules, Scheme};
use orebook_schema::{Account, At, Event, Hash, LedgerId, Policy, Role, StreamId};
use orebook_sim::broker::SimBroker;
use orebook_sim::disk::SimDisk;
use orebook_sim::ground;
use serde_json::Value;

pub(crate) use orebook_sim::ground::{poll, signer};

pub(crate) const LEDGER: LedgerId = LedgerId([0x1d; 16]);
/// Milliseconds that a turn takes.
const TURN_MS: u64 = 100;
/// Turns after which a test gives up.
const TURNS_MAX: u32 = 600;
/// How long commands of these tests are taken, in milliseconds.
pub(crate) const LIFE_MS: u64 = 600_000;

/// How long a changed address waits, in milliseconds: as long as a token needs.
pub(crate) const HOLD_MS: u64 = 24 * 3_600 * 1_000;

pub(crate) const DESK: u8 = 1;
pub(crate) const ARCHIVER: u8 = 3;
pub(crate) const GATEWAY: u8 = 4;
/// Has a role in genesis, so that a second desk is in force.
pub(crate) const OTHER_DESK: u8 = 5;
pub(crate) const APPROVERS: [u8; 3] = [20, 21, 22];
/// An operator with every right, one who may change keys only, and somebody whom nobody knows.
pub(crate) const OPERATOR: u8 = 30;
pub(crate) const CLERK: u8 = 31;
pub(crate) const STRANGER: u8 = 32;

pub(crate) fn from() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], 4_000))
}

pub(crate) fn policy(fee_ppm: u32) -> Policy {
    Policy {
        pots: vec![PotRules {
            fee_ppm,
            ..ground::pot(0, Scheme::Pplns)
        }],
        immature_depth: 1,
        address_hold_ms: HOLD_MS,
        ..ground::policy()
    }
}

pub(crate) fn genesis() -> Genesis {
    let producers = [
        (DESK, Role::Desk),
        (OTHER_DESK, Role::Desk),
        (ARCHIVER, Role::Archiver),
        (GATEWAY, Role::Gateway),
    ];
    let mut approvers = APPROVERS.map(|name| signer(name).key()).to_vec();
    approvers.sort_unstable();
    Genesis {
        coin_name: CoinName::parse("dev").unwrap(),
        approvers,
        approvals: vec![(Approved::Key, 1), (Approved::Policy, 2)],
        policy: policy(10_000),
        ..ground::genesis(LEDGER, &producers)
    }
}

pub(crate) const fn store_config() -> StoreConfig {
    ground::store_config()
}

pub(crate) fn disk_with_genesis(seed: u64, dir: &str) -> SimDisk {
    ground::disk_with_genesis(&genesis(), DESK, seed, dir)
}

pub(crate) fn machine_config() -> MachineConfig {
    let operator = |name: &str, of: u8, rights: &[Right]| Operator {
        name: name.to_owned(),
        key: signer(of).key(),
        rights: rights.to_vec(),
    };
    MachineConfig {
        spool: ground::spool_config(LEDGER, Role::Desk, FILE_BYTES_MIN),
        operators: Operators(vec![
            operator("olga", OPERATOR, &Right::ALL),
            operator("klaus", CLERK, &[Right::Key]),
        ]),
    }
}

/// A desk's process, and the disk that outlives it.
pub(crate) struct Life {
    pub(crate) disk: SimDisk,
    pub(crate) key: u8,
    pub(crate) running: Option<(SharedReader<SimDisk>, Machine<SimDisk>)>,
    starts: u8,
    number: u8,
}

impl Life {
    pub(crate) fn on(disk: SimDisk, key: u8, number: u8) -> Self {
        Self {
            disk,
            key,
            running: None,
            starts: 0,
            number,
        }
    }

    /// Why it did not start is a fault of its disk.
    pub(crate) fn start(&mut self, now: u64) -> Result<(), String> {
        self.starts += 1;
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let reader = ground::mirror(&self.disk, LEDGER).map_err(|error| words(&error))?;
        let (disk, signer) = (self.disk.clone(), signer(self.key));
        let stream = self.stream(now);
        let (machine, _) = Machine::open(disk, "desk", machine_config(), signer, now, stream)
            .map_err(|error| words(&error))?;
        self.running = Some((SharedReader(Arc::new(Mutex::new(reader))), machine));
        Ok(())
    }

    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    pub(crate) fn machine(&mut self) -> &mut Machine<SimDisk> {
        &mut self.running.as_mut().expect("it runs").1
    }

    fn stream(&self, now: u64) -> StreamId {
        let mut random = [self.number; 10];
        random[0] = self.starts;
        StreamId::from_parts(now, random)
    }

    pub(crate) fn submit(&mut self, bytes: &[u8], now: u64) -> Result<Submitted, MachineError> {
        let (mirror, machine) = self.running.as_mut().expect("it runs");
        machine.submit(mirror, bytes, from(), now)
    }

    pub(crate) fn ask(&self, id: Hash) -> Value {
        let (mirror, machine) = self.running.as_ref().expect("it runs");
        machine.ask(mirror, id).body
    }

    pub(crate) fn text(&mut self, asked: &Asked, now: u64) -> Answer {
        let (mirror, machine) = self.running.as_mut().expect("it runs");
        machine.text(mirror, asked, from(), now)
    }

    pub(crate) fn set(&mut self, sent: &Sent, now: u64) -> Result<Submitted, MachineError> {
        let (mirror, machine) = self.running.as_mut().expect("it runs");
        machine.set(mirror, sent, from(), now)
    }

    fn turn(&mut self, broker: &mut SimBroker, now: u64) -> Result<(), MachineError> {
        let stream = self.stream(now);
        let Some((mirror, machine)) = &mut self.running else {
            return Ok(());
        };
        poll(&mut mirror.0.lock().unwrap(), broker);
        if self.disk.crashed() {
            return Ok(());
        }
        machine.turn(mirror, broker, now, stream)
    }
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) broker: SimBroker,
    keeper: Archiver<SimDisk>,
    pub(crate) keeper_runs: bool,
    pub(crate) desks: Vec<Life>,
    nonce: u8,
}

impl World {
    /// With one desk, whose ledger is final as far as genesis.
    pub(crate) fn new() -> Self {
        let now = 1_000_000;
        let disk = disk_with_genesis(100, "archive");
        let keeper = ground::archiver(disk, LEDGER, ARCHIVER, now);
        let mut world = Self {
            now,
            broker: SimBroker::new(7),
            keeper,
            keeper_runs: true,
            desks: Vec::new(),
            nonce: 0,
        };
        world.add_desk(DESK);
        world.turns(20);
        world
    }

    pub(crate) fn add_desk(&mut self, key: u8) {
        let number = u8::try_from(self.desks.len()).unwrap();
        let disk = disk_with_genesis(u64::from(number) + 1, "mirror");
        let mut life = Life::on(disk, key, number);
        life.start(self.now).unwrap();
        self.desks.push(life);
    }

    /// Everybody but the desks.
    pub(crate) fn others_turn(&mut self) {
        self.now += TURN_MS;
        self.broker.deliver(false);
        if self.keeper_runs {
            ground::archive(&mut self.keeper, &mut self.broker, self.now);
        }
    }

    /// One desk's turn; an error is its process's end.
    pub(crate) fn desk_turn(&mut self, index: usize) -> Result<(), MachineError> {
        self.desks[index].turn(&mut self.broker, self.now)
    }

    pub(crate) fn turns(&mut self, count: u32) {
        for _ in 0..count {
            self.others_turn();
            for index in 0..self.desks.len() {
                self.desk_turn(index).unwrap();
            }
        }
    }

    /// The event as a command of `who`, signed, as it is sent; and its id.
    pub(crate) fn command(&mut self, who: u8, event: &Event) -> (Vec<u8>, Hash) {
        self.nonce += 1;
        let command = Command {
            ledger: LEDGER,
            operator: signer(who).key(),
            nonce: [self.nonce; 16],
            until_ms: self.now + LIFE_MS,
            event: event.clone(),
        };
        (command.sign(&signer(who)), command.id())
    }

    /// Sends a command to the first desk. Gives its answer, when it is final.
    pub(crate) fn send(&mut self, who: u8, event: &Event) -> Value {
        let (bytes, _) = self.command(who, event);
        self.send_bytes(&bytes)
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Value {
        let now = self.now;
        match self.desks[0].submit(bytes, now).unwrap() {
            Submitted::Answered(answer) => answer.body,
            Submitted::Waits(id) => self.await_answer(0, id),
        }
    }

    /// Sends a setting to the first desk. Gives its answer, when it is final.
    pub(crate) fn set(&mut self, sent: &Sent) -> Value {
        let now = self.now;
        match self.desks[0].set(sent, now).unwrap() {
            Submitted::Answered(answer) => answer.body,
            Submitted::Waits(id) => self.await_answer(0, id),
        }
    }

    pub(crate) fn await_answer(&mut self, desk: usize, id: Hash) -> Value {
        for _ in 0..TURNS_MAX {
            self.turns(1);
            let answers = self.desks[desk].machine().take_answers();
            if let Some((_, answer)) = answers.into_iter().find(|(of, _)| *of == id) {
                // The archiver reads its own checkpoint a turn later.
                self.turns(3);
                return answer.body;
            }
        }
        panic!("{id} is not answered");
    }

    /// Events of these kinds that people say in the final ledger, in order, with their places.
    pub(crate) fn said(&self) -> Vec<(At, Event)> {
        let reader = self.keeper.reader();
        let mut said = Vec::new();
        for position in 1..reader.final_size() {
            let stored = reader.store().read(position).unwrap().unwrap();
            for (index, event) in (0..).zip(stored.frame.decode().unwrap()) {
                if !matches!(event, Event::Heartbeat | Event::Checkpoint(_)) {
                    said.push((At { position, index }, event));
                }
            }
        }
        said
    }

    /// The final state of the archiver, who knows nothing of desks.
    pub(crate) fn settled(&self) -> &State {
        self.keeper.reader().settled()
    }

    pub(crate) fn state(&self) -> Value {
        self.state_of(None)
    }

    /// The same, with what the desk knows of an account.
    pub(crate) fn state_of(&self, account: Option<&Account>) -> Value {
        let (mirror, machine) = self.desks[0].running.as_ref().expect("it runs");
        machine.state(mirror, account).expect("genesis is final")
    }
}

pub(crate) fn key_change(of: u8, role: Role, action: KeyAction, expects: At) -> Event {
    Event::KeyChange(KeyChange {
        key: signer(of).key(),
        role,
        action,
        expects,
    })
}

/// The gateway's key is revoked.
pub(crate) fn revoke() -> Event {
    key_change(GATEWAY, Role::Gateway, KeyAction::Revoked, At::default())
}

pub(crate) fn fee(fee_ppm: u32, expects: At) -> Event {
    Event::Policy(Box::new(PolicyChange {
        expects,
        policy: policy(fee_ppm),
    }))
}

pub(crate) fn approval(of: u8, thing: Hash) -> Event {
    Event::Approval(Approval {
        thing,
        approver: signer(of).key(),
        signature: signer(of).sign_approval(LEDGER, &thing),
    })
}
