//! Jobs whose coinbase pays accounts.

use std::sync::Arc;

use orebook_chain::Paying;
use orebook_schema::At;
use orebook_schema::coinbase::miner_outputs;
use orebook_schema::names::Script;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup, jobs, template};

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
