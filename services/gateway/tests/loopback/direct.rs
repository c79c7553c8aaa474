//! Jobs whose coinbase pays accounts.

use std::sync::Arc;

use orebook_chain::{DevChain, DevConfig, Paying, SubmitAnswer};
use orebook_gateway::Found;
use orebook_schema::At;
use orebook_schema::coinbase::miner_outputs;
use orebook_schema::names::Script;

use crate::miner::{Miner, code};
use crate::pool::{EASY, HARD, Pool, Setup, jobs, now_ms, template, work};

#[test]
fn a_job_pays_by_a_list_of_its_own_policy_and_by_no_other() {
    let pool = Pool::start(&Setup::default());
    let work = pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let plain = miner.job();
    let list = |policy: At, amount: u64| {
        let script = Script::new(&[0x51, 1, 7]).expect("a script");
        Arc::new(Paying {
            direct: 2,
            policy,
            outputs: vec![(amount, script)],
        })
    };
    let other = At {
        position: 9,
        index: 9,
    };
    let mut sent = vec![plain];
    for paying in [list(At::default(), 1_000), list(other, 1_000)] {
        pool.gateway.template_paying(work.clone(), paying);
        sent.push(miner.next_job());
    }
    // A list that pays more than there is makes no job; the one before goes on.
    pool.gateway
        .template_paying(work.clone(), list(At::default(), u64::MAX));
    // And the next template pays the pool alone again.
    pool.work(template(1, HARD, 1));
    sent.push(miner.next_job());
    for job in &sent {
        let found = miner.mine(job);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
    }
    let shares = pool.final_shares(4);
    let jobs = jobs(&pool.ledger.events());
    let paid: Vec<(u64, usize)> = shares
        .iter()
        .map(|share| &jobs[&share.job])
        .map(|job| (job.direct, miner_outputs(&job.coinbase2).len()))
        .collect();
    assert_eq!(paid, [(0, 0), (2, 1), (0, 0), (0, 0)]);
    let counts = pool.gateway.metrics().sessions.counts;
    assert_eq!((counts.jobs, counts.direct_jobs), (4, 1));
}

#[test]
fn a_block_of_a_direct_job_pays_accounts_on_the_chain() {
    let config = DevConfig {
        bits_start: EASY,
        ..DevConfig::default()
    };
    let chain = DevChain::new(config, Arc::new(|| now_ms() / 1_000)).expect("a chain");
    let pool = Pool::start(&Setup {
        // The block target is far easier than the share's: a block always counts.
        ports: vec![orebook_gateway::DifficultyRule::Fixed(work("1000"))],
        ..Setup::default()
    });
    let template = Arc::new(chain.template());
    let [ann, bob] = [7, 8].map(|number| Script::new(&[0x51, 1, number]).expect("a script"));
    let paying = Paying {
        direct: 2,
        policy: At::default(),
        outputs: vec![(3_000, ann.clone()), (1_999, bob.clone())],
    };
    pool.gateway
        .template_paying(template.clone(), Arc::new(paying));
    pool.until("a job", |metrics| metrics.sessions.counts.direct_jobs == 1);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found = miner.mine_between(&job, None, template.target(), Default::default());
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    let blocks = pool.blocks.lock().expect("no panic").clone();
    let Found::Block(bytes) = &blocks[0].what else {
        panic!("a solution of ethash");
    };
    assert_eq!(chain.submit(bytes), SubmitAnswer::Accepted);
    assert_eq!(chain.tip().hash, found.hash);
    let rest = template.reward - 4_999;
    for (script, amount) in [
        (ann.bytes(), 3_000),
        (bob.bytes(), 1_999),
        (&[0x51][..], rest),
    ] {
        let has = chain.balance(script).immature;
        assert_eq!(has, u128::from(amount), "{script:?}");
    }
    // What the ledger's readers book is what the chain paid.
    pool.final_shares(1);
    let jobs = jobs(&pool.ledger.events());
    let booked = jobs
        .values()
        .map(|job| (job.direct, miner_outputs(&job.coinbase2)));
    let booked: Vec<_> = booked
        .map(|(direct, outputs)| {
            let amounts = outputs.iter().map(|output| output.amount);
            (direct, amounts.collect::<Vec<u64>>())
        })
        .collect();
    assert_eq!(booked, [(2, vec![3_000, 1_999])]);
}
