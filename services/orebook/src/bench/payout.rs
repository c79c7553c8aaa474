//! How long a batch of payouts takes from its proposal to its recorded signature.
//!
//! The ledger is the embedded one with its files on disk. Archiver, mirror, two projectors with their pages and the paymaster run
//! on the threads that `orebook up` gives them, with its timings; the wallet has its key in a file and its coins on the
//! development chain. Two approvers sign as soon as the proposal is final.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use orebook_archiver::{
    Fatal, Mirror, Running, SharedLog, Source, lock, new_stream, now_ms, start_archiver,
    start_mirror,
};
use orebook_chain::address::Network;
use orebook_chain::dev::{DevChain, DevConfig, bits_of_difficulty};
use orebook_chain::wallet::bitcoin::BitcoinNode;
use orebook_ledger::archiver::{Archiver, ArchiverConfig};
use orebook_ledger::authority::thing_digest;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::publisher::{Clock, Publisher};
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::StoreConfig;
use orebook_ledger::spool::Spool;
use orebook_paymaster::bitcoin::key::Key;
use orebook_paymaster::bitcoin::{BitcoinConfig, BitcoinWallet};
use orebook_paymaster::digests::Digests as _;
use orebook_paymaster::machine::MachineConfig;
use orebook_paymaster::paymaster::{POLL_MS_DEFAULT, TURN_MS_DEFAULT};
use orebook_paymaster::wallet::{Pay, Wallet as _};
use orebook_paymaster::{Paymaster, PaymasterConfig, PaymasterParts};
use orebook_projector::{ApiConfig, Member, Metrics, Projector, Server, router};
use orebook_replay::engine::{SharedReader, Source as _};
use orebook_replay::folds::money::payouts::{self, LineRow};
use orebook_replay::store::Store;
use orebook_schema::event::Approval;
use orebook_schema::names::Script;
use orebook_schema::units::WorkUnit;
use orebook_schema::work::{BlockFound, BlockState, BlockStatus};
use orebook_schema::{Account, At, Event, FRAME_EVENTS_MAX, Hash, Kind, Role};
use tokio::runtime::Runtime;

use super::ground::{
    APPROVERS, ARCHIVE, LEDGER, MIRROR, approver, failed, payout_script, signer, spool_config,
    write_key,
};
use super::process::cpu_ns;
use super::settle::settled_at;
use super::sim::{HOUSE_MS, People, Sim};
use super::{Milli, Point, Size};
use crate::up::Projectors;
use crate::{Failure, say};

/// What each block of the chain pays, base units.
const SUBSIDY: u64 = 315_500_000;
/// Blocks on top of the pool's, which its coinbase needs to be spent.
const MATURITY: u32 = 5;
/// Work of a block of the chain: found within milliseconds.
const DIFFICULTY: &str = "0.0000001";
/// The only wallet, and its first batch.
const WALLET: u16 = 0;
const BATCH: u64 = 0;
/// Longest wait for anything that must happen.
const DEADLINE: Duration = Duration::from_secs(120);
/// Longest time between two looks at the ledger: what a figure may be too long by.
const LOOK: Duration = Duration::from_millis(1);
/// Spools of archiver, approvers and paymaster, as a pool has them.
const SMALL_SPOOL: (u64, u64) = (4 << 20, 64 << 20);
/// Projectors that are asked for digests: as many as the ledger's genesis wants.
const PROJECTORS: usize = 2;

/// A ledger in which one block was shared out among the accounts, and the chain that has the block.
struct Ground {
    chain: DevChain,
    /// Positions up to the digest that projectors are asked for.
    size: u64,
}

fn clock() -> u64 {
    now_ms() / 1_000
}

fn wallet_key(dir: &Path) -> Result<Key, Failure> {
    Key::read(&dir.join("wallet.key")).map_err(|error| failed("the wallet's key", error))
}

fn wallet(dir: &Path, chain: &DevChain) -> Result<BitcoinWallet, Failure> {
    let key = wallet_key(dir)?;
    let script = Script::new(&key.witness_script());
    let script = script.ok_or_else(|| Failure::new("the wallet's script"))?;
    let mut config = BitcoinConfig::new(Network::Development, script);
    config.maturity = u64::from(MATURITY);
    let node = BitcoinNode::of_dev(chain.clone());
    BitcoinWallet::new(config, Some(key), node).map_err(|error| failed("the wallet", error))
}

impl Ground {
    fn make(dir: &Path, accounts: u32, frames: u64) -> Result<Self, Failure> {
        write_key(&dir.join("wallet.key"), Role::Paymaster)?;
        let own = wallet_key(dir)?.witness_script();
        let bits = bits_of_difficulty(DIFFICULTY, WorkUnit::Sha256d);
        let config = DevConfig {
            bits_start: bits.ok_or_else(|| Failure::new("a difficulty"))?,
            subsidy: SUBSIDY,
            maturity: MATURITY,
            ..DevConfig::default()
        };
        let of_chain = |error: orebook_chain::dev::DevError| failed("the chain", error);
        let chain = DevChain::new(config, Arc::new(clock)).map_err(of_chain)?;
        let hash = chain.mine(&own).map_err(of_chain)?;
        for _ in 0..=MATURITY {
            chain.mine(&payout_script()).map_err(of_chain)?;
        }
        let block = chain.block(hash).zip(chain.block_bytes(hash));
        let (block, bytes) = block.ok_or_else(|| Failure::new("the chain lost a block"))?;
        let found = BlockFound {
            hash,
            height: block.header.height,
            coinbase_txid: block.coinbase_txid,
            header: bytes.get(..80).unwrap_or_default().to_vec(),
        };
        let people = People {
            rigs: accounts,
            rigs_an_account: 1,
        };
        let mut sim = Sim::open_for(dir, 65_536, people)?;
        let count = FRAME_EVENTS_MAX as u64;
        for _ in 0..frames {
            let now = sim.now();
            sim.say_shares((0..count).map(|share| now + share * HOUSE_MS / count))?;
            sim.cut()?;
            sim.turn()?;
        }
        sim.say_block(&found)?;
        sim.settle()?;
        let before = sim.final_size();
        let mut status = BlockStatus {
            hash,
            expects: At::default(),
            state: BlockState::Immature,
            height: found.height,
            value: SUBSIDY.into(),
            fees: 0,
        };
        let said = sim.settler_says(&Event::BlockStatus(status), (0, Hash::ZERO))?;
        let position = settled_at(&mut sim, before)?;
        status.state = BlockState::Confirmed;
        status.expects = At { position, index: 0 };
        sim.settler_says(&Event::BlockStatus(status), (1, said))?;
        let size = settled_at(&mut sim, position + 1)? + 1;
        sim.keep()?;
        Ok(Self { chain, size })
    }
}

/// Rows of `money` for the paymaster, its own.
#[cfg_attr(
    not(feature = "rocksdb"),
    allow(
        unused_variables,
        clippy::unnecessary_wraps,
        reason = "only RocksDB needs a folder"
    )
)]
fn rows(dir: &Path) -> Result<Arc<dyn Store>, Failure> {
    #[cfg(feature = "rocksdb")]
    return crate::replay::money_store(&dir.join("paymaster/rows"), LEDGER);
    #[cfg(not(feature = "rocksdb"))]
    Ok(Arc::new(orebook_replay::store::MemoryStore::default()))
}

/// Every fold of a projector.
#[cfg_attr(
    not(feature = "rocksdb"),
    allow(
        unused_variables,
        clippy::unnecessary_wraps,
        reason = "only RocksDB needs a folder"
    )
)]
fn members(dir: &Path, number: usize) -> Result<Vec<Member>, Failure> {
    #[cfg(feature = "rocksdb")]
    return crate::replay::members(&dir.join(format!("projector-{number}")), LEDGER);
    #[cfg(not(feature = "rocksdb"))]
    Ok(orebook_projector::folds()
        .into_iter()
        .map(|fold| {
            let store: Arc<dyn Store> = Arc::new(orebook_replay::store::MemoryStore::default());
            (fold, store)
        })
        .collect())
}

/// The threads of a pool that nobody mines at.
struct Pool {
    mirror: Mirror,
    log: SharedLog,
    archiver: Running,
    reader: Running,
    projectors: Vec<(Projector, Server)>,
    digests: Projectors,
    runtime: Runtime,
    fatal: Fatal,
    fault: Arc<Mutex<Option<String>>>,
}

impl Pool {
    fn start(dir: &Path) -> Result<Self, Failure> {
        let disk = RealDisk::new(dir.to_path_buf());
        let fault: Arc<Mutex<Option<String>>> = Arc::default();
        let seen = fault.clone();
        let fatal: Fatal = Arc::new(move |why: &str| {
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
        });
        let log = SharedLog::new();
        let readers = [log.reader(), log.reader()];
        let [of_archiver, of_mirror] = readers;
        let source = || Source::Folder {
            dir: dir.join(ARCHIVE),
            ledger: LEDGER,
        };
        let config = ArchiverConfig {
            ledger: LEDGER,
            store: StoreConfig::default(),
            spool: spool_config(Role::Archiver, SMALL_SPOOL.0, SMALL_SPOOL.1),
            signer: signer(Role::Archiver),
        };
        let opened = Archiver::open(disk.clone(), ARCHIVE, config, now_ms(), new_stream());
        let (archiver, _) = opened.map_err(|error| failed("archiver", error))?;
        let opened = Reader::open(disk, MIRROR, LEDGER, StoreConfig::default(), 0);
        let (reader, _) = opened.map_err(|error| failed("mirror", error))?;
        let mirror: Mirror = Arc::new(Mutex::new(reader));
        let thread = |error: std::io::Error| failed("no thread", error);
        let (archiver, _) = start_archiver(
            archiver,
            log.clone(),
            Some(of_archiver),
            source(),
            fatal.clone(),
        )
        .map_err(thread)?;
        let (reader, _) = start_mirror(
            mirror.clone(),
            log.clone(),
            Some(of_mirror),
            source(),
            fatal.clone(),
        )
        .map_err(thread)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(thread)?;
        let mut projectors = Vec::new();
        let mut hosts = Vec::new();
        for number in 0..PROJECTORS {
            let metrics = Metrics::new();
            let members = members(dir, number)?;
            let projector =
                Projector::start(LEDGER, members, mirror.clone(), &metrics, fatal.clone());
            let projector = projector.map_err(thread)?;
            let pages = router(projector.books(), ApiConfig::default(), &metrics);
            let listener = TcpListener::bind("127.0.0.1:0").map_err(thread)?;
            let address = listener.local_addr().map_err(thread)?;
            hosts.push(format!("http://{address}"));
            let server = Server::start(listener, pages).map_err(thread)?;
            projectors.push((projector, server));
        }
        Ok(Self {
            mirror,
            log,
            archiver,
            reader,
            projectors,
            digests: Projectors::new(&hosts, None),
            runtime,
            fatal,
            fault,
        })
    }

    /// Waits for what must happen.
    fn until<T>(
        &self,
        what: &str,
        mut found: impl FnMut() -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let start = Instant::now();
        let mut seen = 0;
        loop {
            if let Some(found) = found()? {
                return Ok(found);
            }
            let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(why) = fault.as_ref() {
                return Err(failed("a role of the pool", why));
            }
            drop(fault);
            if DEADLINE < start.elapsed() {
                return Err(Failure::new(format!("waited {DEADLINE:?} for {what}")));
            }
            seen = self.log.wait(seen, LOOK);
        }
    }

    /// Both projectors have a digest at this size: they are level, as those of a pool are.
    fn level(&self, size: u64) -> Result<(), Failure> {
        self.until("the projectors", || {
            let answers = self.runtime.block_on(self.digests.ask(size));
            let all = answers.iter().all(|answer| answer.digest.is_ok());
            Ok((all && answers.len() == PROJECTORS).then_some(()))
        })
    }

    fn pay(
        &self,
        dir: &Path,
        ground: &Ground,
        lines: u32,
        store: Arc<dyn Store>,
    ) -> Result<Paymaster, Failure> {
        let spool = spool_config(Role::Paymaster, SMALL_SPOOL.0, SMALL_SPOOL.1);
        let config = PaymasterConfig {
            machine: MachineConfig {
                lines_max: usize::try_from(lines).unwrap_or(usize::MAX),
                ..MachineConfig::new(spool, WALLET)
            },
            dir: "paymaster/spool".to_owned(),
            turn_ms: TURN_MS_DEFAULT,
            poll_ms: POLL_MS_DEFAULT,
        };
        let parts = PaymasterParts {
            disk: RealDisk::new(dir.to_path_buf()),
            signer: signer(Role::Paymaster),
            mirror: self.mirror.clone(),
            log: self.log.clone(),
            wallet: wallet(dir, &ground.chain)?,
            digests: self.digests.clone(),
            store,
            runtime: self.runtime.handle().clone(),
            now_ms: Box::new(now_ms),
            new_stream: Box::new(new_stream),
            fatal: self.fatal.clone(),
        };
        Paymaster::start(config, parts).map_err(|error| failed("paymaster", error))
    }

    fn stop(self) -> Result<(), Failure> {
        let mut ended = Vec::new();
        for (projector, server) in self.projectors {
            ended.push(server.stop());
            ended.push(projector.stop());
        }
        ended.push(self.reader.stop());
        ended.push(self.archiver.stop());
        if ended.iter().any(Result::is_err) {
            return Err(Failure::new("a thread of the pool panicked"));
        }
        Ok(())
    }
}

/// Who approves: a desk's stream.
struct Desk {
    spool: Spool<RealDisk>,
    publisher: Publisher<RealDisk>,
    log: SharedLog,
}

impl Desk {
    fn open(dir: &Path, log: &SharedLog) -> Result<Self, Failure> {
        let config = spool_config(Role::Desk, SMALL_SPOOL.0, SMALL_SPOOL.1);
        let disk = RealDisk::new(dir.to_path_buf());
        let opened = Spool::open(disk, "desk/spool", config, signer(Role::Desk));
        let (mut spool, _) = opened.map_err(|error| failed("the desk's spool", error))?;
        let begun = spool.begin(now_ms(), new_stream());
        begun.map_err(|error| failed("the desk's spool", error))?;
        Ok(Self {
            spool,
            publisher: Publisher::new(),
            log: log.clone(),
        })
    }

    fn approve(&mut self, thing: Hash) -> Result<(), Failure> {
        let now = now_ms();
        let approvals = (0..APPROVERS).map(|number| {
            let approver = approver(number);
            let approval = Approval {
                thing,
                approver: approver.key(),
                signature: approver.sign_approval(LEDGER, &thing),
            };
            (now, Event::Approval(approval))
        });
        let group: Vec<(u64, Event)> = approvals.collect();
        let said = self.spool.append(&group).and_then(|_| self.spool.cut());
        said.map(drop)
            .map_err(|error| failed("the desk's spool", error))
    }

    fn turn(&mut self, mirror: &Mirror) -> Result<(), Failure> {
        let ticked = self.publisher.tick(
            &mut self.spool,
            &mut lock(mirror),
            &mut self.log,
            Clock::at(now_ms()),
            new_stream(),
        );
        ticked.map(drop).map_err(|error| failed("the desk", error))
    }
}

/// When each step of the batch happened, milliseconds since 1970. "Final" is when it was seen so, at most [`LOOK`] late.
#[derive(Debug, Default)]
struct Times {
    /// What the proposal says of itself.
    proposed: u64,
    proposal_final: u64,
    approval_final: u64,
    /// What the last signature says of itself.
    signed: u64,
    signature_final: u64,
    /// Frames of the paymaster's from the first part of the proposal on.
    frames: u64,
    /// Transactions that the proposal has, and that are signed.
    txs: u64,
    txs_signed: u64,
}

impl Times {
    /// Heeds a final frame; returns what is to be approved.
    fn heed(
        &mut self,
        source: &SharedReader<RealDisk>,
        position: u64,
    ) -> Result<Option<Hash>, Failure> {
        let stored = source.frame(position);
        let stored = stored.map_err(|error| failed("the ledger", error))?;
        let stored = stored.ok_or_else(|| failed("no final position", position).found())?;
        let header = stored.frame.header();
        let asked = Kind::PayoutProposed.bit()
            | Kind::PayoutSigned.bit()
            | Kind::Approval.bit()
            | Kind::Part.bit();
        if header.kinds & asked == 0 {
            return Ok(None);
        }
        let own = u64::from(header.kinds & Kind::Approval.bit() == 0);
        self.frames += own;
        let events = stored.frame.decode();
        let mut thing = None;
        for event in events.map_err(|error| failed("the ledger", error))? {
            match &event {
                Event::PayoutProposed(said) => {
                    (self.proposed, self.proposal_final) = (header.last_time, now_ms());
                    self.txs = u64::from(said.txs);
                    thing = Some(thing_digest(LEDGER, &event));
                }
                Event::Approval(_) => self.approval_final = now_ms(),
                Event::PayoutSigned(_) => {
                    (self.signed, self.signature_final) = (header.last_time, now_ms());
                    self.txs_signed += 1;
                }
                _ => {}
            }
        }
        Ok(thing)
    }

    const fn is_done(&self) -> bool {
        0 < self.txs && self.txs <= self.txs_signed
    }
}

/// What was signed pays each line its amount, in their order, and what is left back to the wallet: nobody else.
fn check_payments(lines: &[LineRow], pays: &[Pay], own: &Account) -> Result<(), String> {
    let (paid, rest) = pays.split_at(lines.len().min(pays.len()));
    if paid.len() != lines.len() {
        return Err(format!("{} payments for {} lines", pays.len(), lines.len()));
    }
    for (line, pay) in lines.iter().zip(paid) {
        if line.address != pay.address || line.amount - line.fee != pay.amount {
            return Err(format!("line {} is {line:?}, signed {pay:?}", line.number));
        }
    }
    match rest {
        [] => Ok(()),
        [change] if change.address == *own => Ok(()),
        other => Err(format!("beside the lines it pays {other:?}")),
    }
}

/// The chain took what was signed, which it does of good signatures only, and each account has what its line says.
fn check_chain(
    pool: &Pool,
    ground: &Ground,
    lines: &[LineRow],
    (txid, raw): &(Hash, Vec<u8>),
) -> Result<(), Failure> {
    pool.until("the transaction on the chain", || {
        Ok(ground.chain.transaction(*txid).filter(|tx| tx.raw == *raw))
    })?;
    let mined = ground.chain.mine(&payout_script());
    mined.map_err(|error| failed("the chain", error))?;
    let mut wanted: BTreeMap<&Account, u128> = BTreeMap::new();
    for line in lines {
        *wanted.entry(&line.address).or_default() += line.amount - line.fee;
    }
    for (address, amount) in wanted {
        let Account::Script(script) = address else {
            return Err(failed("an address of another chain", address).found());
        };
        let has = ground.chain.balance(script.bytes()).mature;
        if has != amount {
            let message = format!("{address} has {has} on the chain, its line says {amount}");
            return Err(Failure::new(message).found());
        }
    }
    Ok(())
}

fn once(dir: &Path, accounts: u32, frames: u64) -> Result<Point, Failure> {
    say(&format!(
        "  writing a ledger of {accounts} accounts, {frames} frames"
    ));
    let ground = Ground::make(dir, accounts, frames)?;
    let pool = Pool::start(dir)?;
    pool.level(ground.size)?;
    let mut desk = Desk::open(dir, &pool.log)?;
    let store = rows(dir)?;
    let source = SharedReader(pool.mirror.clone());
    let mut next = source.final_size();
    let mut times = Times::default();
    let own = std::process::id();
    let before = cpu_ns(own)?;
    let paymaster = pool.pay(dir, &ground, accounts, store.clone())?;
    let standing = paymaster.standing();
    let signed = pool.until("the signature to be recorded", || {
        while next < source.final_size() {
            if let Some(thing) = times.heed(&source, next)? {
                desk.approve(thing)?;
            }
            next += 1;
        }
        desk.turn(&pool.mirror)?;
        Ok(times.is_done().then_some(()))
    });
    if let Err(error) = signed {
        let why = standing.lock().unwrap_or_else(PoisonError::into_inner);
        return Err(error.hint(format!("the paymaster says: {}", why.why)));
    }
    let cpu = cpu_ns(own)? - before;
    let lost = |error: &dyn std::fmt::Display| failed("rows", error).found();
    let checked = wallet(dir, &ground.chain)?;
    let row = pool.until("the paymaster's rows", || {
        let view = store.view().map_err(|error| lost(&error))?;
        let tx = payouts::tx(view.as_ref(), WALLET, BATCH, 0).map_err(|error| lost(&error))?;
        Ok(tx.filter(|tx| !tx.signed.is_empty()))
    })?;
    let view = store.view().map_err(|error| lost(&error))?;
    let lines = payouts::lines(view.as_ref(), WALLET, BATCH).map_err(|error| lost(&error))?;
    let (at, txid) = row.signed.first().zip(row.txids.first()).unzip();
    let (at, txid) = (
        at.copied().unwrap_or_default(),
        txid.copied().unwrap_or(Hash::ZERO),
    );
    let raw = payouts::raw(view.as_ref(), WALLET, BATCH, 0, at).map_err(|error| lost(&error))?;
    let raw = raw.ok_or_else(|| lost(&"no signed bytes"))?;
    drop(view);
    if lines.len() as u64 != u64::from(accounts) {
        return Err(failed("lines of the batch", lines.len()).found());
    }
    let pays = checked.payments(&raw).map_err(|error| lost(&error))?;
    check_payments(&lines, &pays, &checked.address()).map_err(|why| Failure::new(why).found())?;
    let raw_bytes = raw.len();
    check_chain(&pool, &ground, &lines, &(txid, raw))?;
    let ended = paymaster.stop();
    ended.map_err(|_| Failure::new("the paymaster panicked"))?;
    pool.stop()?;
    let since = |at: u64| at.saturating_sub(times.proposed);
    let took = since(times.signature_final);
    say(&format!("  {took} ms; {} outputs are signed", pays.len()));
    let regime = "\"one process, its threads as orebook up has them, not pinned; rows in RocksDB where it was built in\"";
    Ok(Point {
        part: "time",
        value: Milli(took),
        extra: vec![
            ("regime", regime.to_owned()),
            ("lines", lines.len().to_string()),
            ("outputs", pays.len().to_string()),
            ("raw_bytes", raw_bytes.to_string()),
            ("frames", times.frames.to_string()),
            ("proposal_final_ms", since(times.proposal_final).to_string()),
            ("approval_final_ms", since(times.approval_final).to_string()),
            ("signed_ms", since(times.signed).to_string()),
            ("signature_final_ms", took.to_string()),
            ("turn_ms", TURN_MS_DEFAULT.to_string()),
            ("poll_ms", POLL_MS_DEFAULT.to_string()),
            ("cpu_ms_from_start", (cpu / 1_000_000).to_string()),
        ],
    })
}

/// `payout_batch_1000`.
pub(super) fn run(dir: &Path, runs: usize, size: Size) -> Result<Vec<Point>, Failure> {
    let mut points = Vec::new();
    for number in 1..=runs {
        let dir = dir.join(number.to_string());
        std::fs::create_dir(&dir).map_err(|error| failed("a folder", error))?;
        let dir = std::fs::canonicalize(&dir).map_err(|error| failed("a folder", error))?;
        points.push(once(&dir, size.of(1_000, 20), size.of(100, 3))?);
        std::fs::remove_dir_all(&dir).map_err(|error| failed("a folder", error))?;
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: u8) -> Account {
        Account::Script(Script::new(&[&[0, 20][..], &[name; 20]].concat()).unwrap())
    }

    fn line(number: u16, name: u8, amount: u128, fee: u128) -> LineRow {
        LineRow {
            wallet: WALLET,
            batch: BATCH,
            number,
            account: account(name),
            address: account(name),
            amount,
            fee,
            tx: 0,
        }
    }

    fn pay(name: u8, amount: u128) -> Pay {
        Pay {
            address: account(name),
            amount,
        }
    }

    #[test]
    fn what_is_signed_pays_the_lines_and_the_wallet_and_nobody_else() {
        let (lines, own) = ([line(0, 1, 70, 0), line(1, 2, 80, 5)], account(9));
        for (pays, is_right) in [
            (vec![pay(1, 70), pay(2, 75), pay(9, 33)], true),
            (vec![pay(1, 70), pay(2, 75)], true),
            (vec![pay(1, 70), pay(2, 80), pay(9, 33)], false),
            (vec![pay(2, 75), pay(1, 70)], false),
            (vec![pay(1, 70)], false),
            (vec![pay(1, 70), pay(2, 75), pay(3, 1)], false),
            (vec![pay(1, 70), pay(2, 75), pay(9, 1), pay(9, 1)], false),
        ] {
            let said = check_payments(&lines, &pays, &own);
            assert_eq!(said.is_ok(), is_right, "{pays:?}: {said:?}");
        }
    }
}
