//! What the golden events mean, typed by hand beside `make.py`: (dt, event) for each case of each kind's page.

use orebook_schema::event::{
    Approval, Checkpoint, KeyAction, KeyChange, Moved, NO_NUMBER, Part, PolicyChange, RecoveryCode,
    RecoveryNote, SchemaEntry, SchemaSet,
};
use orebook_schema::genesis::{Algorithm, Approved, Genesis};
use orebook_schema::names::{CoinName, Pot, RegisteredName, Script};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::units::unhex;
use orebook_schema::work::{
    BlockFound, BlockRecovered, BlockState, BlockStatus, Difficulty, EthashHeader, EthashJob,
    EthashShare, Extranonce, Job, Share, Worker,
};
use orebook_schema::{
    Account, At, Event, Hash, Key, Kind, LedgerId, Policy, Role, StreamId, Work, WorkerName,
};

pub(crate) const START: u64 = 1_750_000_000_000;
pub(crate) const MAX: u32 = u32::MAX;
pub(crate) const NONE: At = at(0, 0);
pub(crate) const AT_MAX: At = at(u64::MAX, u16::MAX);
pub(crate) const FULL: Hash = Hash([0xff; 32]);

const DESK: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
const GATEWAY: &str = "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394";
const ARCHIVER: &str = "ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1";
const SETTLER: &str = "ca93ac1705187071d67b83c7ff0efe8108e8ec4530575d7726879333dbdabe7c";
const PAYMASTER: &str = "6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1";
const ANNA: &str = "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737";
const BEN: &str = "204040e364c10f2bec9c1fe500a1cd4c247c89d650a01ed7e82caba867877c21";

/// The header of Bitcoin's genesis block and its hash, as every node knows them.
const BLOCK: &str = "01000000000000000000000000000000000000000000000000000000000000000000000\
    03ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";
pub(crate) const BLOCK_HASH: &str =
    "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000";

pub(crate) const fn at(position: u64, index: u16) -> At {
    At { position, index }
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    unhex(hex).unwrap()
}

pub(crate) fn key(hex: &str) -> Key {
    Key::parse(hex).unwrap()
}

/// `count` bytes that count up from `start`.
pub(crate) fn run(start: u8, count: usize) -> Vec<u8> {
    std::iter::successors(Some(start), |byte| Some(byte.wrapping_add(1)))
        .take(count)
        .collect()
}

pub(crate) fn run_hash(start: u8) -> Hash {
    Hash(run(start, 32).try_into().unwrap())
}

pub(crate) fn hash(hex: &str) -> Hash {
    Hash(bytes(hex).try_into().unwrap())
}

pub(crate) fn ledger() -> LedgerId {
    LedgerId::parse("0190a6b0-5c00-7000-8000-000000000001").unwrap()
}

pub(crate) fn gateway_stream() -> StreamId {
    StreamId::parse("0190a6b0-5c00-7000-8000-000000000061").unwrap()
}

pub(crate) fn gateway_key() -> Key {
    key(GATEWAY)
}

fn entries(pairs: impl IntoIterator<Item = (u8, u8)>) -> Vec<SchemaEntry> {
    let entry = |(kind, version)| SchemaEntry { kind, version };
    pairs.into_iter().map(entry).collect()
}

fn rules(pot: u16, scheme: Scheme, n_ppm: u64, ppm: [u32; 3], keep_tx_fees: bool) -> PotRules {
    let [fee_ppm, bonus_ppm, stale_ppm] = ppm;
    PotRules {
        pot: Pot(pot),
        scheme,
        n_ppm,
        fee_ppm,
        bonus_ppm,
        stale_ppm,
        keep_tx_fees,
        direct_min: 0,
        direct_outputs: 0,
    }
}

fn policy_typical() -> Policy {
    Policy {
        pots: vec![
            PotRules {
                direct_min: 1_000_000,
                direct_outputs: 100,
                ..rules(0, Scheme::Pplns, 2_000_000, [10_000, 0, 500_000], false)
            },
            rules(1, Scheme::Solo, 1, [5_000, 0, 0], true),
        ],
        immature_depth: 2,
        confirmed_depth: 100,
        orphan_depth: 12,
        threshold: 100_000,
        address_hold_ms: 86_400_000,
        network_fees: NetworkFees::Pool,
        auto_pay_limit: 2_500_000,
        payout_depth: 6,
        payout_final_depth: 12,
        writeoff_ms: 7_776_000_000,
        rounding_to_fee: false,
    }
}

fn policy_least() -> Policy {
    Policy {
        pots: vec![rules(0, Scheme::Pplns, 1, [0, 0, 0], false)],
        immature_depth: 1,
        confirmed_depth: 2,
        orphan_depth: 1,
        threshold: 0,
        address_hold_ms: 0,
        network_fees: NetworkFees::Pool,
        auto_pay_limit: 0,
        payout_depth: 1,
        payout_final_depth: 2,
        writeoff_ms: 0,
        rounding_to_fee: false,
    }
}

/// Where a coinbase can pay miners, and where not.
fn policy_most(direct_min: u64) -> Policy {
    let schemes = [
        Scheme::Pplns,
        Scheme::Solo,
        Scheme::Prop,
        Scheme::Pps,
        Scheme::Fpps,
    ];
    let pot = |(n, scheme): (u16, &Scheme)| {
        let n_ppm = u64::MAX - u64::from(n);
        PotRules {
            direct_min,
            direct_outputs: if direct_min == 0 { 0 } else { 500 },
            ..rules(65_520 + n, *scheme, n_ppm, [1_000_000; 3], n % 2 == 1)
        }
    };
    Policy {
        pots: (0..16).zip(schemes.iter().cycle()).map(pot).collect(),
        immature_depth: MAX - 1,
        confirmed_depth: MAX,
        orphan_depth: MAX,
        threshold: u128::MAX,
        address_hold_ms: 2_592_000_000,
        network_fees: NetworkFees::Miner,
        auto_pay_limit: u128::MAX,
        payout_depth: MAX - 1,
        payout_final_depth: MAX,
        writeoff_ms: 1 << 40,
        rounding_to_fee: true,
    }
}

pub(crate) fn genesis_typical() -> Genesis {
    Genesis {
        ledger: ledger(),
        coin: 1,
        coin_name: CoinName::parse("regtest").unwrap(),
        algorithm: Algorithm::Sha256d,
        decimals: 8,
        chain: hash("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f"),
        segment_positions: 4_096,
        segment_bytes: 16_777_216,
        digest_answers: 1,
        approvers: vec![key(BEN), key(ANNA)],
        approvals: vec![(Approved::Key, 1), (Approved::Policy, 2)],
        producers: vec![
            (key(PAYMASTER), Role::Paymaster),
            (key(GATEWAY), Role::Gateway),
            (key(DESK), Role::Desk),
            (key(SETTLER), Role::Settler),
            (key(ARCHIVER), Role::Archiver),
        ],
        schema_set: entries(
            [
                1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21, 22,
            ]
            .map(|k| (k, 0)),
        ),
        policy: policy_typical(),
    }
}

fn genesis_least() -> Genesis {
    Genesis {
        ledger: LedgerId([0; 16]),
        coin: 0,
        coin_name: CoinName::parse("a").unwrap(),
        algorithm: Algorithm::Etchash,
        decimals: 0,
        chain: Hash::ZERO,
        segment_positions: 1,
        segment_bytes: 65_536,
        digest_answers: 1,
        approvers: vec![Key([0; 32])],
        approvals: Vec::new(),
        producers: vec![(Key([0; 32]), Role::Desk)],
        schema_set: entries([(0, 0)]),
        policy: policy_least(),
    }
}

fn genesis_most() -> Genesis {
    let first = |first: u8, rest: u8| {
        let mut key = [rest; 32];
        key[0] = first;
        Key(key)
    };
    Genesis {
        ledger: LedgerId([0xff; 16]),
        coin: MAX,
        coin_name: CoinName::parse("abcdefghijkl-019").unwrap(),
        algorithm: Algorithm::Ethash,
        decimals: 18,
        chain: FULL,
        segment_positions: 1_048_576,
        segment_bytes: 4_294_967_296,
        digest_answers: 2,
        approvers: (0..16).map(|n| first(n, 0xff)).collect(),
        approvals: vec![
            (Approved::Key, 16),
            (Approved::Policy, 1),
            (Approved::Ban, 5),
            (Approved::Adjustment, 16),
            (Approved::Account, 1),
            (Approved::Setting, 16),
            (Approved::Payout, 2),
            (Approved::Resume, 1),
            (Approved::WriteOff, 16),
            (Approved::InactiveDust, 2),
        ],
        producers: (0..64)
            .map(|n| first(n, 0))
            .zip(Role::ALL.into_iter().cycle())
            .collect(),
        schema_set: entries((0..64).map(|n| (n, 255 - n))),
        // Of an ethash-like.
        policy: policy_most(0),
    }
}

fn key_change(key: Key, role: Role, action: KeyAction, expects: At) -> Event {
    Event::KeyChange(KeyChange {
        key,
        role,
        action,
        expects,
    })
}

fn policy_change(expects: At, policy: Policy) -> Event {
    Event::Policy(Box::new(PolicyChange { expects, policy }))
}

fn checkpoint(size: u64, root: Hash, signature: [u8; 64]) -> Event {
    Event::Checkpoint(Checkpoint {
        size,
        root,
        signature,
    })
}

fn note(code: RecoveryCode, text: &str) -> Event {
    let text = text.to_owned();
    Event::RecoveryNote(RecoveryNote { code, text })
}

fn part(whole: Hash, index: u16, of: u16, bytes: Vec<u8>) -> Event {
    Event::Part(Part {
        whole,
        index,
        of,
        bytes,
    })
}

pub(crate) fn extranonce(bytes: &[u8]) -> Extranonce {
    Extranonce::new(bytes).unwrap()
}

fn worker(
    number: u32,
    pot: u16,
    nonce: (&[u8], u8),
    mask: u32,
    paid: Account,
    name: &str,
) -> Event {
    Event::Worker(Box::new(Worker {
        number,
        pot: Pot(pot),
        extranonce1: extranonce(nonce.0),
        extranonce2_size: nonce.1,
        version_mask: mask,
        account: paid,
        name: WorkerName::parse(name).unwrap(),
    }))
}

fn script(bytes: &[u8]) -> Account {
    Account::Script(Script::new(bytes).unwrap())
}

fn registered(name: &str) -> Account {
    Account::Name(RegisteredName::parse(name).unwrap())
}

fn difficulty(worker: u32, work: u64) -> Event {
    let work = Work::new(work).unwrap();
    Event::Difficulty(Difficulty { worker, work })
}

fn share(
    numbers: (u32, u32),
    work: u64,
    flags: (bool, bool),
    header: [u32; 3],
    rest: &[u8],
) -> Event {
    let [nonce, ntime, version] = header;
    Event::Share(Share {
        worker: numbers.0,
        job: numbers.1,
        work: Work::new(work).unwrap(),
        block: flags.0,
        stale: flags.1,
        nonce,
        ntime,
        version,
        extranonce2: extranonce(rest),
    })
}

fn share_typical() -> Event {
    let header = [0xdead_beef, 1_750_000_123, 0x2000_0000];
    share((7, 3), 12_884_902, (false, false), header, &run(0xa0, 4))
}

fn share_most() -> Event {
    let numbers = (MAX - 1, MAX - 1);
    share(numbers, Work::MAX, (true, true), [MAX; 3], &[0xff; 8])
}

fn block_found() -> Event {
    Event::BlockFound(BlockFound {
        hash: hash(BLOCK_HASH),
        height: 0,
        coinbase_txid: run_hash(5),
        header: bytes(BLOCK),
    })
}

fn ethash_share(numbers: (u32, u32), work: u64, flags: (bool, bool), nonce: u64) -> Event {
    Event::EthashShare(EthashShare {
        worker: numbers.0,
        job: numbers.1,
        work: Work::new(work).unwrap(),
        block: flags.0,
        stale: flags.1,
        nonce,
    })
}

const ETHASH_NONCE: u64 = 0xa100_031f_08aa_5b9c;

fn ethash_found() -> EthashHeader {
    EthashHeader {
        seal: run_hash(0x30),
        nonce: ETHASH_NONCE,
        mix: run_hash(0x70),
    }
}

fn ethash_block() -> Event {
    Event::BlockFound(ethash_found().found(15_537_393))
}

fn ethash_shares() -> Vec<(u32, Event)> {
    vec![
        (
            250,
            ethash_share((7, 3), 4_000_000_000, (true, false), ETHASH_NONCE),
        ),
        (0, ethash_share((0, 0), 1, (false, false), 0)),
        (1, ethash_share((1, 2), 3, (false, true), 4)),
        (
            MAX,
            ethash_share((MAX - 1, MAX - 1), Work::MAX, (true, true), u64::MAX),
        ),
    ]
}

fn ethash_jobs() -> Vec<(u32, Event)> {
    let typical = EthashJob {
        number: 0,
        policy: at(12, 1),
        height: 15_537_393,
        network_work: 11_055_787_484_078_698,
        reward: 2_012_345_678_901_234_567,
        fees: 12_345_678_901_234_567,
        seal: run_hash(0x30),
        seed: run_hash(0x90),
        time: 1_663_224_162,
        clean: true,
    };
    let least = EthashJob {
        number: 0,
        policy: NONE,
        height: 0,
        network_work: 1,
        reward: 0,
        fees: 0,
        seal: Hash::ZERO,
        seed: Hash::ZERO,
        time: 0,
        clean: false,
    };
    let most = EthashJob {
        number: MAX,
        policy: AT_MAX,
        height: u64::MAX,
        network_work: u128::MAX,
        reward: u128::MAX,
        fees: u128::MAX,
        seal: FULL,
        seed: Hash([0xfe; 32]),
        time: MAX,
        clean: true,
    };
    let job = |job: EthashJob| Event::EthashJob(Box::new(job));
    vec![(100, job(typical)), (0, job(least)), (MAX, job(most))]
}

fn moved(from: (StreamId, u32, u64, u64), numbers: (u32, u32), inner: &Event, dt: u32) -> Event {
    Event::Moved(Moved {
        stream: from.0,
        epoch: from.1,
        seq: from.2,
        base_time: from.3,
        worker: numbers.0,
        job: numbers.1,
        event: inner.to_bytes(dt),
    })
}

fn status(
    hash: Hash,
    expects: At,
    state: BlockState,
    height: u64,
    value: u128,
    fees: u128,
) -> Event {
    Event::BlockStatus(BlockStatus {
        hash,
        expects,
        state,
        height,
        value,
        fees,
    })
}

fn jobs() -> Vec<(u32, Event)> {
    let typical = Job {
        number: 0,
        policy: at(12, 1),
        height: 840_001,
        network_work: 362_016_345_678_901,
        reward: 325_000_000,
        fees: 12_500_000,
        version: 0x2000_0000,
        prev: run_hash(0x30),
        nbits: 0x1703_4219,
        time: 1_750_000_100,
        clean: true,
        coinbase1: run(0, 45),
        coinbase2: run(0x60, 33),
        branches: vec![run_hash(0x40), run_hash(0x90)],
        direct: 0,
    };
    let least = Job {
        number: 0,
        policy: NONE,
        height: 0,
        network_work: 1,
        reward: 0,
        fees: 0,
        version: 0,
        prev: Hash::ZERO,
        nbits: 0,
        time: 0,
        clean: false,
        coinbase1: Vec::new(),
        coinbase2: Vec::new(),
        branches: Vec::new(),
        direct: 0,
    };
    let most = Job {
        number: MAX,
        policy: AT_MAX,
        height: u64::MAX,
        network_work: u128::MAX,
        reward: u128::MAX,
        fees: u128::MAX,
        version: MAX,
        prev: FULL,
        nbits: MAX,
        time: MAX,
        clean: true,
        coinbase1: vec![0xff],
        coinbase2: vec![0xff],
        branches: (0..16).map(run_hash).collect(),
        direct: u64::MAX,
    };
    let job = |job: Job| Event::Job(Box::new(job));
    vec![(100, job(typical)), (0, job(least)), (MAX, job(most))]
}

fn workers() -> Vec<(u32, Event)> {
    let witness = [bytes("0014"), run(0x10, 20)].concat();
    let mask = 0x1fff_e000;
    let evm = Account::Evm(run(0xe0, 20).try_into().unwrap());
    let name = registered("anna_k-7");
    let longest = registered(&"z".repeat(32));
    let letters = "W".repeat(64);
    let all = [0xff; 8];
    vec![
        (
            0,
            worker(0, 0, (&run(0xb0, 4), 8), mask, script(&witness), "rig-1"),
        ),
        (1, worker(1, 1, (&[], 0), 0, evm, "A.b_c-9")),
        (2, worker(2, 2, (&run(1, 8), 4), 1, name, "x")),
        (
            MAX,
            worker(MAX, u16::MAX, (&all, 8), MAX, script(&run(0, 64)), &letters),
        ),
        (3, worker(3, 0, (&[], 1), 0, longest, "0")),
        (4, worker(4, 0, (&[], 1), 0, script(&[0x51]), "0")),
    ]
}

fn moves() -> Vec<(u32, Event)> {
    let from = |seq| (gateway_stream(), 3, seq, START);
    let all = (
        StreamId([0xff; 16]),
        MAX,
        u64::MAX,
        u64::MAX - u64::from(MAX),
    );
    let none = (NO_NUMBER, NO_NUMBER);
    vec![
        (40, moved(from(1_000), (0, 1), &share_typical(), 999)),
        (41, moved(from(1_001), none, &block_found(), 999)),
        (MAX, moved(all, (MAX - 1, MAX - 1), &share_most(), MAX)),
        (40, moved(from(1_002), (0, 1), &ethash_shares()[0].1, 999)),
        (41, moved(from(1_003), none, &ethash_block(), 999)),
    ]
}

fn new_key() -> Event {
    let key = Key(run_hash(0x40).0);
    key_change(key, Role::Gateway, KeyAction::InForce, NONE)
}

/// Digest and signature come from `make.py`; the ledger's tests check both.
fn approval() -> Event {
    let signature = "018c42a1402f1383edb10b0650c370a0a86695d69bdfa08980c75db992db9a15\
        9bb1f54b018902447a2891d022a9506a2b3a06f2842d36ad16204bab8088410c";
    Event::Approval(Approval {
        thing: hash("e6c68adf49361de30abf4fbcdfed78e42e8a44d1142eba4b1bf5fb36c88e59b4"),
        approver: key(ANNA),
        signature: bytes(signature).try_into().unwrap(),
    })
}

fn archiver_signature() -> [u8; 64] {
    let signature = "18b69838e82369c0a0bfb119d75453c3b5a8535e44394e9ed4b0e5941dcd7b31\
        ba453fc2342035172c951fff6dcd736d9abd48125e45a84295d41c965b93300a";
    bytes(signature).try_into().unwrap()
}

fn notes() -> Vec<(u32, Event)> {
    vec![
        (0, note(RecoveryCode::TornTail, "cut 17 bytes at 4,096")),
        (1, note(RecoveryCode::StreamMoved, "")),
        (2, note(RecoveryCode::Incarnation, "über Größe ⛏ 𝄞")),
        (MAX, note(RecoveryCode::Repaired, &"é".repeat(256))),
    ]
}

fn shares() -> Vec<(u32, Event)> {
    let header = [4, 5, 6];
    vec![
        (250, share_typical()),
        (0, share((0, 0), 1, (false, false), [0; 3], &[])),
        (1, share((1, 2), 3, (true, false), header, &[7])),
        (2, share((1, 2), 3, (false, true), header, &run(7, 7))),
        (MAX, share_most()),
    ]
}

fn statuses() -> Vec<(u32, Event)> {
    let ours = hash(BLOCK_HASH);
    let (height, value) = (840_001, 325_000_000);
    let most = (BlockState::Confirmed, u64::MAX, u128::MAX);
    vec![
        (
            0,
            status(ours, NONE, BlockState::Seen, height, value, 12_500_000),
        ),
        (
            1,
            status(ours, at(17, 2), BlockState::Immature, height, value, 0),
        ),
        (MAX, status(FULL, AT_MAX, most.0, most.1, most.2, most.2)),
        (
            0,
            status(Hash::ZERO, at(0, 1), BlockState::Orphaned, 0, 0, 0),
        ),
        (
            2,
            status(
                ours,
                at(18, 0),
                BlockState::Uncle,
                15_537_393,
                1_750_000_000_000_000_000,
                0,
            ),
        ),
    ]
}

fn recoveries() -> Vec<(u32, Event)> {
    let recovered = |hash, height, expects, coinbase_txid, (value, fees)| {
        Event::BlockRecovered(BlockRecovered {
            hash,
            height,
            expects,
            coinbase_txid,
            value,
            fees,
        })
    };
    let typical = (325_000_000, 12_500_000);
    let most = (u128::MAX, u128::MAX);
    vec![
        (
            40,
            recovered(hash(BLOCK_HASH), 840_001, at(17, 2), run_hash(5), typical),
        ),
        (0, recovered(Hash::ZERO, 0, NONE, Hash::ZERO, (0, 0))),
        (MAX, recovered(FULL, u64::MAX, AT_MAX, FULL, most)),
    ]
}

/// The cases of a kind's page, in its order.
pub(crate) fn events(kind: Kind) -> Vec<(u32, Event)> {
    let genesis = |genesis| Event::Genesis(Box::new(genesis));
    let schema_set = |number, entries| Event::SchemaSet(SchemaSet { number, entries });
    let gone = |key, expects| key_change(key, Role::Gateway, KeyAction::Revoked, expects);
    match kind {
        Kind::Genesis => vec![
            (0, genesis(genesis_typical())),
            (0, genesis(genesis_least())),
            (MAX, genesis(genesis_most())),
        ],
        Kind::SchemaSet => {
            let kinds = [
                1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21, 22, 23,
            ];
            vec![
                (10, schema_set(1, entries(kinds.map(|kind| (kind, 0))))),
                (0, schema_set(0, entries([(0, 0)]))),
                (
                    MAX,
                    schema_set(MAX, entries((0..64).map(|n| (n / 2, 254 + n % 2)))),
                ),
            ]
        }
        Kind::KeyChange => vec![
            (0, new_key()),
            (60_000, gone(key(GATEWAY), at(1_234_567, 89))),
            (
                MAX,
                key_change(Key([0xff; 32]), Role::Paymaster, KeyAction::Revoked, AT_MAX),
            ),
        ],
        Kind::Policy => vec![
            (0, policy_change(NONE, policy_typical())),
            (0, policy_change(at(0, 1), policy_least())),
            (MAX, policy_change(AT_MAX, policy_most(u64::MAX))),
        ],
        Kind::Approval => vec![(5, approval())],
        Kind::Checkpoint => vec![
            (0, checkpoint(65_536, run_hash(0x80), archiver_signature())),
            (0, checkpoint(1, Hash::ZERO, [0; 64])),
            (MAX, checkpoint(u64::MAX, FULL, [0xff; 64])),
        ],
        Kind::Heartbeat => vec![(0, Event::Heartbeat), (MAX, Event::Heartbeat)],
        Kind::RecoveryNote => notes(),
        Kind::Part => vec![
            (0, part(Hash::of(&[&[0x2a]]), 0, 1, vec![0x2a])),
            (MAX, part(run_hash(1), u16::MAX - 1, u16::MAX, run(0, 300))),
        ],
        Kind::Moved => moves(),
        Kind::Ban => crate::desk::bans(),
        Kind::Adjustment => crate::desk::adjustments(),
        Kind::Worker => workers(),
        Kind::Difficulty => vec![
            (0, difficulty(0, 12_884_902)),
            (0, difficulty(0, 1)),
            (MAX, difficulty(MAX, Work::MAX)),
        ],
        Kind::Job => jobs(),
        Kind::Share => shares(),
        Kind::BlockFound => {
            let bare = BlockFound {
                hash: FULL,
                height: u64::MAX,
                coinbase_txid: Hash::ZERO,
                header: Vec::new(),
            };
            vec![
                (0, block_found()),
                (MAX, Event::BlockFound(bare)),
                (1, ethash_block()),
            ]
        }
        Kind::BlockStatus => statuses(),
        Kind::BlockRecovered => recoveries(),
        Kind::EthashJob => ethash_jobs(),
        Kind::EthashShare => ethash_shares(),
        Kind::Void => crate::account::voids(),
        Kind::Account => crate::account::registrations(),
        Kind::Setting => crate::account::settings(),
        Kind::FeeMean => crate::account::means(),
        Kind::PayoutProposed => crate::payout::proposals(),
        Kind::PayoutSigned => crate::payout::signatures(),
        Kind::PayoutStep => crate::payout::steps(),
        Kind::PayoutCancelled => crate::payout::cancels(),
        Kind::PayoutHalt => crate::payout::halts(),
        Kind::PayoutResume => crate::payout::resumes(),
        Kind::WriteOff => crate::payout::write_offs(),
        Kind::InactiveDust => crate::dust::announcements(),
        Kind::Reconciled => crate::dust::reconciliations(),
    }
}
