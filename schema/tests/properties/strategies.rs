//! Random values of everything that has canonical bytes, edges preferred.

use orebook_schema::account::{
    PROOF_BYTES_MAX, REGISTERED_WORKERS_MAX, Registration, SetBy, Setting, SettingValue,
};
use orebook_schema::desk::{
    ADJUSTMENT_MAX, AdjustedBook, Adjustment, Ban, BanAction, BanTarget, Direction, Network, Reason,
};
use orebook_schema::event::{
    Approval, Checkpoint, KeyAction, KeyChange, Moved, NO_NUMBER, Part, PolicyChange, RecoveryCode,
    RecoveryNote, SchemaEntry, SchemaSet,
};
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::genesis::{Algorithm, Approved, Genesis};
use orebook_schema::names::{CoinName, Pot, RegisteredName, Script};
use orebook_schema::policy::{
    ADDRESS_HOLD_MS_MAX, DIRECT_OUTPUTS_MAX, NetworkFees, PPM, PotRules, Scheme, WRITEOFF_MS_MAX,
};
use orebook_schema::summary::{PotSummary, Row, Summary};
use orebook_schema::void::Void;
use orebook_schema::work::{
    BlockFound, BlockRecovered, BlockState, BlockStatus, Difficulty, EthashJob, EthashShare,
    Extranonce, FEE_MEAN_MAX, FeeMean, Job, Share, Worker,
};
use orebook_schema::{
    Account, At, Event, Hash, Header, Key, Kind, LedgerId, Policy, Role, StreamId, Work, WorkerName,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

/// Any number, its edges more often.
pub(crate) fn edge_u32() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), Just(u32::MAX), 0..1_000_u32, any::<u32>()]
}

pub(crate) fn edge_u64() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), 0..1_000_u64, any::<u64>()]
}

/// Any number, of any length.
pub(crate) fn edge_u128() -> impl Strategy<Value = u128> {
    let of_any_length = (any::<u128>(), 0..128_u32).prop_map(|(value, shift)| value >> shift);
    prop_oneof![Just(0), Just(1), Just(u128::MAX), of_any_length]
}

pub(crate) fn hash() -> impl Strategy<Value = Hash> {
    prop_oneof![Just(Hash::ZERO), any::<[u8; 32]>().prop_map(Hash)]
}

fn key() -> impl Strategy<Value = Key> {
    any::<[u8; 32]>().prop_map(Key)
}

fn signature() -> impl Strategy<Value = [u8; 64]> {
    vec(any::<u8>(), 64).prop_map(|bytes| bytes.try_into().unwrap())
}

pub(crate) fn at() -> impl Strategy<Value = At> {
    (edge_u64(), any::<u16>()).prop_map(|(position, index)| At { position, index })
}

fn stream() -> impl Strategy<Value = StreamId> {
    any::<[u8; 16]>().prop_map(StreamId)
}

/// Work of one share.
pub(crate) fn work() -> impl Strategy<Value = Work> {
    let units = prop_oneof![Just(1), Just(Work::MAX), 1..1_000_u64, 1..=Work::MAX];
    units.prop_map(|units| Work::new(units).unwrap())
}

fn role() -> impl Strategy<Value = Role> {
    select(&Role::ALL[..])
}

fn entries() -> impl Strategy<Value = Vec<SchemaEntry>> {
    let pairs = btree_set((0..64_u8, any::<u8>()), 1..=64);
    let entry = |(kind, version)| SchemaEntry { kind, version };
    pairs.prop_map(move |pairs| pairs.into_iter().map(entry).collect())
}

fn rules() -> impl Strategy<Value = PotRules> {
    let schemes = [
        Scheme::Pplns,
        Scheme::Solo,
        Scheme::Prop,
        Scheme::Pps,
        Scheme::Fpps,
    ];
    let ppm = || prop_oneof![Just(0), Just(PPM), 0..=PPM];
    let n_ppm = prop_oneof![Just(1), Just(u64::MAX), 1..=u64::MAX];
    let all = (
        select(schemes.to_vec()),
        n_ppm,
        ppm(),
        ppm(),
        ppm(),
        any::<bool>(),
        prop_oneof![Just((0, 0)), (1..=u64::MAX, 1..=DIRECT_OUTPUTS_MAX)],
    );
    all.prop_map(
        |(scheme, n_ppm, fee_ppm, bonus_ppm, stale_ppm, keep_tx_fees, direct)| PotRules {
            pot: Pot(0),
            scheme,
            n_ppm,
            fee_ppm,
            bonus_ppm,
            stale_ppm,
            keep_tx_fees,
            direct_min: direct.0,
            direct_outputs: direct.1,
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let named = |(pot, rules)| PotRules {
        pot: Pot(pot),
        ..rules
    };
    let pots = btree_map(any::<u16>(), rules(), 1..=16)
        .prop_map(move |pots| pots.into_iter().map(named).collect());
    let depths = (1..u32::MAX).prop_flat_map(|low| (Just(low), low + 1..=u32::MAX));
    let fees = select(&[NetworkFees::Pool, NetworkFees::Miner][..]);
    let hold = prop_oneof![Just(0), Just(ADDRESS_HOLD_MS_MAX), 0..=ADDRESS_HOLD_MS_MAX];
    let payouts = (1..u32::MAX).prop_flat_map(|low| (Just(low), low + 1..=u32::MAX));
    let writeoff = prop_oneof![Just(0), Just(WRITEOFF_MS_MAX), 0..=WRITEOFF_MS_MAX];
    let payouts = (edge_u128(), payouts, writeoff, any::<bool>());
    let all = (pots, depths, 1..=u32::MAX, edge_u128(), hold, fees, payouts);
    all.prop_map(
        |(pots, depths, orphan_depth, threshold, address_hold_ms, network_fees, payouts)| Policy {
            pots,
            immature_depth: depths.0,
            confirmed_depth: depths.1,
            orphan_depth,
            threshold,
            address_hold_ms,
            network_fees,
            auto_pay_limit: payouts.0,
            payout_depth: payouts.1.0,
            payout_final_depth: payouts.1.1,
            writeoff_ms: payouts.2,
            rounding_to_fee: payouts.3,
        },
    )
}

fn approvals(approvers: u8) -> impl Strategy<Value = Vec<(Approved, u8)>> {
    let what = select(&Approved::ALL[..]);
    btree_map(what, 1..=approvers, 0..=10).prop_map(|map| map.into_iter().collect())
}

fn genesis() -> impl Strategy<Value = Genesis> {
    let approvers = btree_set(key(), 1..=16).prop_flat_map(|keys| {
        let count = u8::try_from(keys.len()).unwrap();
        (Just(keys.into_iter().collect::<Vec<_>>()), approvals(count))
    });
    let name = "[a-z0-9-]{1,16}".prop_map(|name| CoinName::parse(&name).unwrap());
    let producers = btree_map(key(), role(), 1..=64);
    let coin = (any::<u32>(), name, select(&Algorithm::ALL[..]), 0..=18_u8);
    let sizes = (1..=1_048_576_u32, 65_536..=1_u64 << 32, 1..=2_u8);
    let all = (any::<[u8; 16]>(), coin, hash(), sizes, approvers, producers);
    (all, entries(), policy()).prop_map(|(all, schema_set, mut policy)| {
        let algorithm = all.1.2;
        if !policy.pays_direct_where_it_can(algorithm) {
            for pot in &mut policy.pots {
                (pot.direct_min, pot.direct_outputs) = (0, 0);
            }
        }
        let (ledger, coin, chain, sizes, approvers, producers) = all;
        Genesis {
            ledger: LedgerId(ledger),
            coin: coin.0,
            coin_name: coin.1,
            algorithm: coin.2,
            decimals: coin.3,
            chain,
            segment_positions: sizes.0,
            segment_bytes: sizes.1,
            digest_answers: sizes.2,
            approvers: approvers.0,
            approvals: approvers.1,
            producers: producers.into_iter().collect(),
            schema_set,
            policy,
        }
    })
}

fn extranonce() -> impl Strategy<Value = Extranonce> {
    vec(any::<u8>(), 0..=8).prop_map(|bytes| Extranonce::new(&bytes).unwrap())
}

/// An account of any of the three kinds.
pub(crate) fn account() -> impl Strategy<Value = Account> {
    let script = vec(any::<u8>(), 1..=64).prop_map(|bytes| Script::new(&bytes).unwrap());
    let name = "[a-z0-9_-]{1,32}".prop_map(|name| RegisteredName::parse(&name).unwrap());
    prop_oneof![
        script.prop_map(Account::Script),
        any::<[u8; 20]>().prop_map(Account::Evm),
        name.prop_map(Account::Name),
    ]
}

fn worker() -> impl Strategy<Value = Worker> {
    let name = "[A-Za-z0-9_.-]{1,64}".prop_map(|name| WorkerName::parse(&name).unwrap());
    let all = (
        edge_u32(),
        any::<u16>(),
        extranonce(),
        0..=8_u8,
        any::<u32>(),
        account(),
        name,
    );
    all.prop_map(
        |(number, pot, extranonce1, size, mask, account, name)| Worker {
            number,
            pot: Pot(pot),
            extranonce1,
            extranonce2_size: size,
            version_mask: mask,
            account,
            name,
        },
    )
}

fn two_sums() -> impl Strategy<Value = (u128, u128)> {
    (edge_u128(), edge_u128()).prop_map(|(a, b)| (a.max(b), a.min(b)))
}

fn job() -> impl Strategy<Value = Job> {
    let cited = (
        edge_u32(),
        at(),
        edge_u64(),
        edge_u128(),
        two_sums(),
        edge_u64(),
    );
    let header = (
        any::<u32>(),
        hash(),
        any::<u32>(),
        any::<u32>(),
        any::<bool>(),
    );
    let short_or_most = |most| {
        let short = vec(any::<u8>(), 0..200);
        prop_oneof![short, Just(vec![0xa5; most])]
    };
    let coinbase = (
        short_or_most(8_192),
        short_or_most(16_384),
        vec(hash(), 0..=16),
    );
    (cited, header, coinbase).prop_map(|(cited, header, coinbase)| Job {
        number: cited.0,
        policy: cited.1,
        height: cited.2,
        network_work: cited.3.max(1),
        reward: cited.4.0,
        fees: cited.4.1,
        version: header.0,
        prev: header.1,
        nbits: header.2,
        time: header.3,
        clean: header.4,
        coinbase1: coinbase.0,
        coinbase2: coinbase.1,
        branches: coinbase.2,
        direct: cited.5,
    })
}

fn share() -> impl Strategy<Value = Share> {
    let numbers = (edge_u32(), edge_u32(), work(), any::<bool>(), any::<bool>());
    (numbers, any::<[u32; 3]>(), extranonce()).prop_map(|(numbers, header, extranonce2)| Share {
        worker: numbers.0,
        job: numbers.1,
        work: numbers.2,
        block: numbers.3,
        stale: numbers.4,
        nonce: header[0],
        ntime: header[1],
        version: header[2],
        extranonce2,
    })
}

fn ethash_job() -> impl Strategy<Value = EthashJob> {
    let cited = (edge_u32(), at(), edge_u64(), edge_u128(), two_sums());
    let header = (hash(), hash(), any::<u32>(), any::<bool>());
    (cited, header).prop_map(|(cited, header)| EthashJob {
        number: cited.0,
        policy: cited.1,
        height: cited.2,
        network_work: cited.3.max(1),
        reward: cited.4.0,
        fees: cited.4.1,
        seal: header.0,
        seed: header.1,
        time: header.2,
        clean: header.3,
    })
}

fn ethash_share() -> impl Strategy<Value = EthashShare> {
    let numbers = (edge_u32(), edge_u32(), work(), any::<bool>(), any::<bool>());
    (numbers, edge_u64()).prop_map(|(numbers, nonce)| EthashShare {
        worker: numbers.0,
        job: numbers.1,
        work: numbers.2,
        block: numbers.3,
        stale: numbers.4,
        nonce,
    })
}

fn block_found() -> impl Strategy<Value = BlockFound> {
    let all = (hash(), edge_u64(), hash(), vec(any::<u8>(), 0..=80));
    all.prop_map(|(hash, height, coinbase_txid, header)| BlockFound {
        hash,
        height,
        coinbase_txid,
        header,
    })
}

fn block_status() -> impl Strategy<Value = BlockStatus> {
    let state = select(&BlockState::ALL[..]);
    let all = (hash(), at(), state, edge_u64(), two_sums());
    all.prop_map(
        |(hash, expects, state, height, (value, fees))| BlockStatus {
            hash,
            expects,
            state,
            height,
            value,
            fees,
        },
    )
}

fn recovered() -> impl Strategy<Value = BlockRecovered> {
    let all = (hash(), edge_u64(), at(), hash(), two_sums());
    all.prop_map(
        |(hash, height, expects, coinbase_txid, (value, fees))| BlockRecovered {
            hash,
            height,
            expects,
            coinbase_txid,
            value,
            fees,
        },
    )
}

fn moved() -> impl Strategy<Value = Moved> {
    let share = prop_oneof![
        share().prop_map(Event::Share),
        ethash_share().prop_map(Event::EthashShare)
    ];
    let share = (share, 0..NO_NUMBER, 0..NO_NUMBER);
    let block = block_found().prop_map(|block| (Event::BlockFound(block), NO_NUMBER, NO_NUMBER));
    let inner = prop_oneof![share, block];
    let place = (stream(), edge_u32(), edge_u64(), edge_u64(), edge_u32());
    (place, inner).prop_map(
        |((stream, epoch, seq, base_time, dt), (event, worker, job))| Moved {
            stream,
            epoch,
            seq,
            base_time: base_time.min(u64::MAX - u64::from(dt)),
            worker,
            job,
            event: event.to_bytes(dt),
        },
    )
}

fn note() -> impl Strategy<Value = RecoveryNote> {
    let codes = [
        RecoveryCode::TornTail,
        RecoveryCode::StreamMoved,
        RecoveryCode::Incarnation,
        RecoveryCode::Repaired,
    ];
    let text = prop_oneof!["\\PC{0,128}", Just("x".repeat(512))];
    let legal = |text: String| text.chars().filter(|c| !c.is_control()).collect();
    (select(codes.to_vec()), text.prop_map(legal))
        .prop_map(|(code, text)| RecoveryNote { code, text })
}

fn part() -> impl Strategy<Value = Part> {
    let index = (1..=u16::MAX).prop_flat_map(|of| (0..of, Just(of)));
    let bytes = prop_oneof![vec(any::<u8>(), 1..200), Just(vec![7; 32_000])];
    (hash(), index, bytes).prop_map(|(whole, (index, of), bytes)| Part {
        whole,
        index,
        of,
        bytes,
    })
}

pub(crate) fn reason() -> impl Strategy<Value = Reason> {
    let text = prop_oneof!["[ -~]{1,20}", Just("x".repeat(Reason::BYTES_MAX))];
    text.prop_map(|text| Reason::parse(&text).unwrap())
}

fn target() -> impl Strategy<Value = BanTarget> {
    let v4 = (any::<[u8; 4]>(), 8..=32_u8)
        .prop_map(|(address, prefix)| Network::covering(&address, prefix).unwrap());
    // Never IPv4 in IPv6 clothes.
    let v6 = (1..=u8::MAX, any::<[u8; 15]>(), 16..=128_u8).prop_map(|(first, rest, prefix)| {
        Network::covering(&[&[first], rest.as_slice()].concat(), prefix).unwrap()
    });
    let network = prop_oneof![v4, v6].prop_map(BanTarget::Network);
    prop_oneof![account().prop_map(BanTarget::Account), network]
}

fn ban() -> impl Strategy<Value = Ban> {
    let end = prop_oneof![
        edge_u64().prop_map(|until_ms| (BanAction::Ban, until_ms)),
        Just((BanAction::Lift, 0)),
    ];
    (target(), end, at(), reason()).prop_map(|(target, (action, until_ms), expects, reason)| Ban {
        target,
        action,
        until_ms,
        expects,
        reason,
    })
}

fn adjustment() -> impl Strategy<Value = Adjustment> {
    let directions = [Direction::ToAccount, Direction::FromAccount];
    let way = (select(&AdjustedBook::ALL[..]), select(directions.to_vec()));
    let amount = edge_u128().prop_map(|amount| amount.clamp(1, ADJUSTMENT_MAX));
    let block = hash().prop_map(|hash| (hash != Hash::ZERO).then_some(hash));
    let all = (account(), at(), way, amount, block, reason());
    all.prop_map(
        |(account, expects, way, amount, block, reason)| Adjustment {
            account,
            expects,
            book: way.0,
            direction: way.1,
            amount,
            block,
            reason,
        },
    )
}

fn void() -> impl Strategy<Value = Void> {
    (at(), at(), at())
        .prop_filter("two shares", |(one, other, _)| one != other)
        .prop_map(|(one, other, expects)| Void {
            share: one.max(other),
            first: one.min(other),
            expects,
        })
}

/// Where an account may be paid.
pub(crate) fn payout() -> impl Strategy<Value = Account> {
    account().prop_filter("no name", |account| !matches!(account, Account::Name(_)))
}

fn registration() -> impl Strategy<Value = Registration> {
    let name = "[a-z0-9_-]{1,32}".prop_map(|text| RegisteredName::parse(&text).unwrap());
    let workers = btree_set("[A-Za-z0-9_.-]{1,64}", 0..=20);
    let workers = prop_oneof![
        9 => workers,
        1 => Just((0..REGISTERED_WORKERS_MAX).map(|n| format!("w{n:04}")).collect()),
    ];
    let token = hash().prop_map(|hash| (hash != Hash::ZERO).then_some(hash));
    let all = (
        name,
        at(),
        payout(),
        edge_u128(),
        token,
        any::<bool>(),
        workers,
    );
    all.prop_map(
        |(name, expects, payout, threshold, token, registered_only, workers)| Registration {
            name,
            expects,
            payout,
            threshold,
            token,
            registered_only,
            workers: workers
                .iter()
                .map(|worker| WorkerName::parse(worker).unwrap())
                .collect(),
        },
    )
}

fn setting() -> impl Strategy<Value = Setting> {
    let value = prop_oneof![
        edge_u128().prop_map(SettingValue::Threshold),
        payout().prop_map(SettingValue::Address),
        prop_oneof![Just(0), Just(PPM), 0..=PPM].prop_map(SettingValue::Donation),
        Just(SettingValue::PayNow),
    ];
    let proof = prop_oneof![vec(any::<u8>(), 1..100), Just(vec![7; PROOF_BYTES_MAX])];
    let by = prop_oneof![
        Just((SetBy::Operator, Vec::new())),
        (select(vec![SetBy::Signed, SetBy::Token]), proof),
    ];
    (account(), at(), by, value).prop_map(|(account, expects, (by, proof), value)| Setting {
        account,
        expects,
        by,
        value,
        proof,
    })
}

fn fee_mean() -> impl Strategy<Value = FeeMean> {
    let mean = edge_u128().prop_map(|mean| mean.min(FEE_MEAN_MAX));
    (edge_u64(), at(), mean).prop_map(|(height, expects, mean)| FeeMean {
        height,
        expects,
        mean,
    })
}

/// An event of this kind.
pub(crate) fn event(kind: Kind) -> BoxedStrategy<Event> {
    let actions = [KeyAction::InForce, KeyAction::Revoked];
    match kind {
        Kind::Genesis => genesis()
            .prop_map(|it| Event::Genesis(Box::new(it)))
            .boxed(),
        Kind::SchemaSet => (any::<u32>(), entries())
            .prop_map(|(number, entries)| Event::SchemaSet(SchemaSet { number, entries }))
            .boxed(),
        Kind::KeyChange => (key(), role(), select(actions.to_vec()), at())
            .prop_map(|(key, role, action, expects)| {
                Event::KeyChange(KeyChange {
                    key,
                    role,
                    action,
                    expects,
                })
            })
            .boxed(),
        Kind::Policy => (at(), policy())
            .prop_map(|(expects, policy)| Event::Policy(Box::new(PolicyChange { expects, policy })))
            .boxed(),
        Kind::Approval => (hash(), key(), signature())
            .prop_map(|(thing, approver, signature)| {
                Event::Approval(Approval {
                    thing,
                    approver,
                    signature,
                })
            })
            .boxed(),
        Kind::Checkpoint => (1..=u64::MAX, hash(), signature())
            .prop_map(|(size, root, signature)| {
                Event::Checkpoint(Checkpoint {
                    size,
                    root,
                    signature,
                })
            })
            .boxed(),
        Kind::Heartbeat => Just(Event::Heartbeat).boxed(),
        Kind::RecoveryNote => note().prop_map(Event::RecoveryNote).boxed(),
        Kind::Part => part().prop_map(Event::Part).boxed(),
        Kind::Moved => moved().prop_map(Event::Moved).boxed(),
        Kind::Ban => ban().prop_map(|it| Event::Ban(Box::new(it))).boxed(),
        Kind::Adjustment => adjustment()
            .prop_map(|it| Event::Adjustment(Box::new(it)))
            .boxed(),
        Kind::Worker => worker().prop_map(|it| Event::Worker(Box::new(it))).boxed(),
        Kind::Difficulty => (edge_u32(), work())
            .prop_map(|(worker, work)| Event::Difficulty(Difficulty { worker, work }))
            .boxed(),
        Kind::Job => job().prop_map(|it| Event::Job(Box::new(it))).boxed(),
        Kind::Share => share().prop_map(Event::Share).boxed(),
        Kind::BlockFound => block_found().prop_map(Event::BlockFound).boxed(),
        Kind::BlockStatus => block_status().prop_map(Event::BlockStatus).boxed(),
        Kind::BlockRecovered => recovered().prop_map(Event::BlockRecovered).boxed(),
        Kind::EthashJob => ethash_job()
            .prop_map(|it| Event::EthashJob(Box::new(it)))
            .boxed(),
        Kind::EthashShare => ethash_share().prop_map(Event::EthashShare).boxed(),
        Kind::Void => void().prop_map(Event::Void).boxed(),
        Kind::Account => registration()
            .prop_map(|it| Event::Account(Box::new(it)))
            .boxed(),
        Kind::Setting => setting()
            .prop_map(|it| Event::Setting(Box::new(it)))
            .boxed(),
        Kind::FeeMean => fee_mean().prop_map(Event::FeeMean).boxed(),
        Kind::PayoutProposed
        | Kind::PayoutSigned
        | Kind::PayoutStep
        | Kind::PayoutCancelled
        | Kind::PayoutHalt
        | Kind::PayoutResume
        | Kind::WriteOff
        | Kind::InactiveDust
        | Kind::Reconciled => crate::payout::payout_event(kind),
    }
}

/// A header whose sizes are within section 2.
pub(crate) fn header() -> impl Strategy<Value = Header> {
    let names = (any::<[u8; 16]>(), stream(), any::<u32>(), any::<u32>());
    let sizes = (1..=1_000_u32, 8..=49_152_u32, 1..=49_152_u32, edge_u64());
    let times = (edge_u64(), edge_u64());
    let hashes = (hash(), hash(), hash());
    let rest = (any::<u64>(), any::<u32>(), key(), signature());
    let all = (names, sizes, times, hashes, rest);
    all.prop_map(|(names, sizes, times, hashes, rest)| Header {
        ledger: LedgerId(names.0),
        stream: names.1,
        coin: names.2,
        epoch: names.3,
        first_seq: sizes.3.min(u64::MAX - u64::from(sizes.0)),
        count: sizes.0,
        body_len: sizes.1,
        base_time: times.0,
        last_time: times.1,
        previous: hashes.0,
        events_root: hashes.1,
        summary_hash: hashes.2,
        kinds: rest.0,
        schema_set: rest.1,
        summary_len: sizes.2,
        key: rest.2,
        signature: rest.3,
    })
}

/// A summary of up to six pots with up to 20 rows each.
pub(crate) fn summary() -> impl Strategy<Value = Summary> {
    let count = prop_oneof![Just(1), 1..1_000_u32, Just(u32::MAX)];
    let rows = btree_map(edge_u32(), (count, edge_u128()), 1..20);
    let row = |(worker, (count, credit))| Row {
        worker,
        count,
        credit,
    };
    let pot =
        move |(pot, (effort, rows)): (u16, (u128, std::collections::BTreeMap<_, _>))| PotSummary {
            pot: Pot(pot),
            effort,
            rows: rows.into_iter().map(row).collect(),
        };
    btree_map(any::<u16>(), (edge_u128(), rows), 0..6).prop_map(move |pots| Summary {
        pots: pots.into_iter().map(pot).collect(),
    })
}

/// What opens a log.
pub(crate) fn incarnation() -> impl Strategy<Value = IncarnationOpened> {
    let all = (any::<[u8; 16]>(), any::<u32>(), edge_u64(), hash());
    all.prop_map(
        |(ledger, incarnation, next_position, root)| IncarnationOpened {
            ledger: LedgerId(ledger),
            incarnation,
            next_position,
            root,
        },
    )
}

/// One change of some bytes.
#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    Flip(usize, u8),
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Truncate(usize),
    Swap(usize, usize),
    /// Writes the length of all bytes where an event has it.
    MendLength,
}

/// One to six changes.
pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let place = || any::<usize>();
    let byte = || {
        prop_oneof![
            Just(0),
            Just(1),
            Just(0x7f),
            Just(0x80),
            Just(0xff),
            any::<u8>()
        ]
    };
    let one = prop_oneof![
        4 => (place(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        4 => (place(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        2 => (place(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        2 => place().prop_map(Mutation::Remove),
        1 => place().prop_map(Mutation::Truncate),
        1 => (place(), place()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        3 => Just(Mutation::MendLength),
    ];
    vec(one, 1..=6)
}

/// The bytes after the changes; places count modulo the length.
pub(crate) fn mutate(mut bytes: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        let len = bytes.len();
        let within = |at: usize| at.checked_rem(len).unwrap_or(0);
        match *mutation {
            Mutation::Insert(at, byte) => bytes.insert(at % (len + 1), byte),
            _ if len < 4 => {}
            Mutation::Flip(at, bit) => bytes[within(at)] ^= 1 << bit,
            Mutation::Set(at, byte) => bytes[within(at)] = byte,
            Mutation::Remove(at) => {
                bytes.remove(within(at));
            }
            Mutation::Truncate(at) => bytes.truncate(within(at)),
            Mutation::Swap(a, b) => bytes.swap(within(a), within(b)),
            Mutation::MendLength => {
                let len = u16::try_from(len).unwrap_or(u16::MAX);
                bytes[2..4].copy_from_slice(&len.to_le_bytes());
            }
        }
    }
    bytes
}
