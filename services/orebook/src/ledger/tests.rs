use std::path::Path;

use orebook_ledger::build::{Cut, build_frame, genesis_frame};
use orebook_ledger::sign::Signer;
use orebook_schema::genesis::{Algorithm, Genesis};
use orebook_schema::names::{CoinName, Pot, RegisteredName, WorkerName};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::summary::{PotSummary, Row, Summary};
use orebook_schema::units::Work;
use orebook_schema::work::{Extranonce, Job, Share, Worker};
use orebook_schema::{Account, At, Frame, Hash, Kind, Policy, Role, StreamId};

use super::*;

const LEDGER: LedgerId = LedgerId([7; 16]);
const NOW: u64 = 1_700_000_000_000;

fn desk() -> Signer {
    Signer::from_seed(&[1; 32])
}

fn gateway() -> Signer {
    Signer::from_seed(&[2; 32])
}

fn genesis() -> Genesis {
    let mut producers = vec![(desk().key(), Role::Desk), (gateway().key(), Role::Gateway)];
    producers.sort_unstable();
    Genesis {
        ledger: LEDGER,
        coin: 1,
        coin_name: CoinName::parse("test").unwrap(),
        algorithm: Algorithm::Sha256d,
        decimals: 8,
        chain: Hash::ZERO,
        segment_positions: 64,
        segment_bytes: 65_536,
        digest_answers: 1,
        approvers: vec![desk().key()],
        approvals: Vec::new(),
        producers,
        schema_set: Kind::known(),
        policy: Policy {
            pots: vec![PotRules {
                pot: Pot(1),
                scheme: Scheme::Pplns,
                n_ppm: 2_000_000,
                fee_ppm: 0,
                bonus_ppm: 0,
                stale_ppm: 0,
                keep_tx_fees: false,
                direct_min: 0,
                direct_outputs: 0,
            }],
            immature_depth: 1,
            confirmed_depth: 5,
            orphan_depth: 2,
            threshold: 1,
            address_hold_ms: 0,
            network_fees: NetworkFees::Pool,
            auto_pay_limit: 0,
            payout_depth: 6,
            payout_final_depth: 12,
            writeoff_ms: 0,
            rounding_to_fee: false,
        },
    }
}

/// A frame of the gateway's stream.
fn frame(before: Option<&Frame>, summary: &Summary, events: &[Event]) -> Frame {
    let body: Vec<u8> = events.iter().flat_map(|event| event.to_bytes(0)).collect();
    let cut = Cut {
        ledger: LEDGER,
        coin: 1,
        stream: StreamId([2; 16]),
        epoch: 0,
        first_seq: before.map_or(0, |frame| frame.header().next_seq()),
        base_time: NOW,
        previous: before.map_or(Hash::ZERO, Frame::header_hash),
        schema_set: 0,
        summary,
        body: &body,
    };
    build_frame(&cut, &gateway()).unwrap()
}

fn announcements() -> [Event; 2] {
    let worker = Worker {
        number: 0,
        pot: Pot(1),
        extranonce1: Extranonce::default(),
        extranonce2_size: 4,
        version_mask: 0,
        account: Account::Name(RegisteredName::parse("ann").unwrap()),
        name: WorkerName::parse("rig").unwrap(),
    };
    let job = Job {
        number: 0,
        // Genesis' policy: nothing was final yet, so that shares of the job are worth nothing.
        policy: At::default(),
        height: 7,
        network_work: 1_000,
        reward: 50,
        fees: 1,
        version: 1,
        prev: Hash::ZERO,
        nbits: 0x207f_ffff,
        time: 1,
        clean: true,
        coinbase1: vec![1],
        coinbase2: vec![2],
        branches: Vec::new(),
        direct: 0,
    };
    [Event::Worker(Box::new(worker)), Event::Job(Box::new(job))]
}

fn share() -> Event {
    Event::Share(Share {
        worker: 0,
        job: 0,
        work: Work::new(5).unwrap(),
        block: false,
        stale: false,
        nonce: 9,
        ntime: 0,
        version: 0,
        extranonce2: Extranonce::default(),
    })
}

/// Segments as a hand would write them that admits nothing: genesis, announcements, and a frame of one share.
fn write(dir: &Path, summary: &Summary) {
    let (mut store, _) =
        SegmentStore::open(RealDisk::new(dir.to_path_buf()), "s", LEDGER, 0).unwrap();
    let first = genesis_frame(&genesis(), StreamId([1; 16]), NOW, &desk()).unwrap();
    let second = frame(None, &Summary::default(), &announcements());
    let third = frame(Some(&second), summary, &[share()]);
    for (position, frame) in (0..).zip([first, second, third]) {
        store.append_frame(position, NOW, NOW, &frame).unwrap();
    }
    store.sync().unwrap();
}

#[test]
fn a_frame_of_shares_with_a_wrong_summary_is_named() {
    let of_credit = |worker, credit| Summary {
        pots: vec![PotSummary {
            pot: Pot(1),
            effort: 0,
            rows: vec![Row {
                worker,
                count: 1,
                credit,
            }],
        }],
    };
    for (summary, wrong) in [
        (of_credit(0, 0), false),
        // What its share would be worth under a policy.
        (of_credit(0, 5), true),
        (of_credit(1, 0), true),
        (Summary::default(), true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &summary);
        let place = PlaceArgs {
            data: None,
            segments: Some(dir.path().join("s")),
        };
        let said = cat(&place, 0, None).map_err(|failure| failure.to_string());
        let expected = wrong.then(|| "error: position 2: inconsistent".to_owned());
        assert_eq!(said.err(), expected, "{summary:?}");
    }
}
