//! The walk of a share: from a line to the final ledger, once.

use orebook_gateway::Found;
use orebook_pow::{Claim, PreparedJob, coinbase_tag};
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::Pot;
use orebook_schema::units::hex;
use orebook_schema::work::Extranonce;
use orebook_schema::{Event, WorkerName};
use serde_json::json;

use crate::miner::{Miner, code};
use crate::pool::{EASY, HARD, Pool, Setup, UNIT, account, jobs, shares, work, workers};

#[test]
fn an_accepted_share_is_in_the_ledger_once_and_anybody_can_hash_it_again() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-anna.rig-1");
    assert_eq!(miner.difficulty, "0.000001");
    let job = miner.job();
    assert!(job.clean);
    let found: Vec<_> = (0..20).map(|_| miner.mine(&job)).collect();
    for one in &found {
        assert_eq!(code(&miner.submit("name-anna.rig-1", one)), 0);
    }
    let shares = pool.final_shares(20);
    assert_eq!(shares.len(), 20);
    let events = pool.ledger.events();
    let (workers, jobs) = (workers(&events), jobs(&events));
    assert_eq!(workers.len(), 1);
    let worker = &workers[0];
    assert_eq!(worker.account, account("name-anna"));
    assert_eq!(worker.name, WorkerName::parse("rig-1").expect("a name"));
    assert_eq!(worker.pot, Pot(0));
    assert_eq!(worker.extranonce1.bytes(), miner.extranonce1);
    assert_eq!(jobs.len(), 1);
    for (share, found) in shares.iter().zip(&found) {
        assert_eq!((share.worker, share.work), (0, work("0.000001")));
        assert!(!share.stale && !share.block);
        let prepared = PreparedJob::new(&jobs[&share.job], Algorithm::Sha256d).expect("a job");
        let proof = prepared.prove(&Claim {
            extranonce1: worker.extranonce1,
            extranonce2: share.extranonce2,
            ntime: share.ntime,
            nonce: share.nonce,
            version: share.version,
        });
        assert_eq!(proof.block_hash, found.hash);
        assert!(proof.value() <= share.work.target(UNIT));
    }
    drop(pool.stop());
}

#[test]
fn the_coinbase_names_stream_and_epoch() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    pool.final_shares(1);
    let reader = pool.ledger.mirror.lock().expect("no panic");
    let records = reader.store().records(0).filter_map(Result::ok);
    let mut checked = 0;
    for record in records {
        let orebook_ledger::segment::Record::Frame(stored) = record else {
            continue;
        };
        let header = stored.frame.header();
        for job in jobs(&stored.frame.decode().expect("it decodes")).values() {
            let tag = coinbase_tag(header.stream, header.epoch);
            assert!(job.coinbase1.ends_with(&tag));
            checked += 1;
        }
    }
    assert_eq!(checked, 1);
}

#[test]
fn a_block_leaves_at_once_and_stands_right_after_its_share() {
    let pool = Pool::start(&Setup {
        // The block target is far easier than the share's: a block always counts.
        ports: vec![orebook_gateway::DifficultyRule::Fixed(work("1000"))],
        ..Setup::default()
    });
    let template = pool.work_at(7, EASY);
    let mut miner = Miner::ready(pool.address(0), "name-b.rig");
    let job = miner.job();
    let found = miner.mine_between(&job, None, template.target(), Default::default());
    assert_eq!(code(&miner.submit("name-b.rig", &found)), 0);
    let blocks = pool.blocks.lock().expect("no panic").clone();
    assert_eq!(blocks.len(), 1, "it left before the answer");
    assert_eq!((blocks[0].hash, blocks[0].height), (found.hash, 7));
    let Found::Block(bytes) = &blocks[0].what else {
        panic!("a solution of ethash");
    };
    let block = orebook_chain::wire::Block::read(bytes).expect("a whole block");
    drop(block);
    pool.final_shares(1);
    let events = pool.ledger.events();
    let at = events
        .iter()
        .position(|event| matches!(event, Event::BlockFound(_)));
    let at = at.expect("the ledger has the block");
    let Event::Share(share) = &events[at - 1] else {
        panic!("its share stands right before it");
    };
    assert!(share.block);
    assert_eq!(share.work, work("1000"), "credited as its difficulty says");
    let Event::BlockFound(event) = &events[at] else {
        unreachable!("it was looked for");
    };
    assert_eq!((event.hash, event.height), (found.hash, 7));
    assert_eq!(hex(&event.header), hex(&bytes[..80]));
    assert_eq!(pool.gateway.metrics().sessions.counts.blocks, 1);
}

#[test]
fn two_sessions_of_one_name_are_two_workers() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miners = [0, 1].map(|_| Miner::ready(pool.address(0), "name-a.rig"));
    assert_ne!(miners[0].extranonce1, miners[1].extranonce1);
    for miner in &mut miners {
        let job = miner.job();
        let found = miner.mine(&job);
        assert_eq!(code(&miner.submit("name-a.rig", &found)), 0);
    }
    pool.final_shares(2);
    let workers = workers(&pool.ledger.events());
    assert_eq!(workers.len(), 2);
    assert_eq!(workers[0].name, workers[1].name);
    assert_ne!(workers[0].extranonce1, workers[1].extranonce1);
}

#[test]
fn a_proxy_s_users_are_credited_apart_on_their_ports_pots() {
    let fixed = orebook_gateway::DifficultyRule::Fixed(work("0.000001"));
    let pool = Pool::start(&Setup {
        ports: vec![fixed, fixed],
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut proxy = Miner::ready(pool.address(1), "name-a.one");
    assert_eq!(code(&proxy.authorize("name-b+two")), 0);
    let job = proxy.job();
    for user in ["name-b+two", "name-a.one", "name-b+two"] {
        let found = proxy.mine(&job);
        assert_eq!(code(&proxy.submit(user, &found)), 0);
    }
    let found = proxy.mine(&job);
    assert_eq!(
        code(&proxy.submit("name-b.two", &found)),
        24,
        "another text is another user"
    );
    let shares = pool.final_shares(3);
    let workers = workers(&pool.ledger.events());
    let of = |n: usize| &workers[usize::try_from(shares[n].worker).expect("few")];
    assert_eq!(of(0).account, account("name-b"));
    assert_eq!(of(1).account, account("name-a"));
    assert_eq!(of(0), of(2));
    assert!(workers.iter().all(|worker| worker.pot == Pot(1)));
}

#[test]
fn who_never_had_a_share_accepted_costs_the_ledger_nothing() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut idle = Miner::ready(pool.address(0), "name-idle");
    let job = idle.job();
    let low = idle.mine_low(&job);
    assert_eq!(code(&idle.submit("name-idle", &low)), 23);
    let mut miner = Miner::ready(pool.address(0), "name-b");
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-b", &found)), 0);
    pool.final_shares(1);
    let workers = workers(&pool.ledger.events());
    assert_eq!(workers.len(), 1);
    assert_eq!(workers[0].account, account("name-b"));
}

#[test]
fn rolled_versions_are_proved_with_the_agreed_mask_and_recorded_with_it() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::connect(pool.address(0));
    let wanted = json!([["version-rolling"], { "version-rolling.mask": "1fffe000" }]);
    let reply = miner.ask("mining.configure", &wanted);
    assert_eq!(reply["result"]["version-rolling.mask"], json!("1fffe000"));
    miner.subscribe();
    assert_eq!(code(&miner.authorize("name-a")), 0);
    let job = miner.job();
    let target = work("0.000001").target(UNIT);
    let found = miner.mine_between(&job, Some(0x0040_2000), target, Default::default());
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    let mut outside = found.clone();
    outside.bits = Some(0x0000_0001);
    assert_eq!(code(&miner.submit("name-a", &outside)), 20);
    let shares = pool.final_shares(1);
    assert_eq!(shares[0].version, 0x2040_2000);
    let workers = workers(&pool.ledger.events());
    assert_eq!(workers[0].version_mask, 0x1fff_e000);
}

#[test]
fn scrypt_shares_walk_as_well() {
    let pool = Pool::start(&Setup {
        algorithm: Algorithm::Scrypt,
        ports: vec![orebook_gateway::DifficultyRule::Fixed(work("0.0001"))],
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut miner = Miner::connect(pool.address(0));
    miner.algorithm = Algorithm::Scrypt;
    miner.subscribe();
    assert_eq!(code(&miner.authorize("name-a")), 0);
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    assert_eq!(code(&miner.submit("name-a", &found)), 22);
    assert_eq!(pool.final_shares(1).len(), 1);
}

#[test]
fn after_a_restart_everything_sent_again_gains_nothing() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a.rig");
    let job = miner.job();
    let found: Vec<_> = (0..5).map(|_| miner.mine(&job)).collect();
    for one in &found {
        assert_eq!(code(&miner.submit("name-a.rig", one)), 0);
    }
    let first = miner.extranonce1.clone();
    let ledger = pool.stop().restart();
    let pool = Pool::on(ledger, &Setup::default());
    // The same work again, to the same session number, in the order of the first life.
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a.rig");
    assert_eq!(
        miner.extranonce1, first,
        "the same number: only the coinbase's tag differs"
    );
    for one in &found {
        let answer = code(&miner.submit("name-a.rig", one));
        assert!(matches!(answer, 21 | 23), "{answer}");
    }
    let job = miner.job();
    let fresh = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a.rig", &fresh)), 0);
    let all = pool.final_shares(6);
    assert_eq!(all.len(), 6);
    drop(pool.stop());
}

#[test]
fn with_the_log_down_shares_are_answered_and_reach_the_ledger_later() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    pool.ledger.log.set_down(true);
    let job = miner.job();
    for _ in 0..10 {
        let found = miner.mine(&job);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
    }
    assert_eq!(shares(&pool.ledger.events()).len(), 0);
    pool.ledger.log.set_down(false);
    assert_eq!(pool.final_shares(10).len(), 10);
}

#[test]
fn a_share_s_extranonce2_is_what_the_rig_sent() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found: Vec<_> = (0..3).map(|_| miner.mine(&job)).collect();
    let found = &found[2];
    assert_eq!(code(&miner.submit("name-a", found)), 0);
    let shares = pool.final_shares(1);
    assert_eq!(Some(shares[0].extranonce2), Extranonce::new(&[0, 0, 0, 2]));
    assert_eq!(
        (shares[0].nonce, shares[0].ntime),
        (found.nonce, found.ntime)
    );
}
