//! A stream that the ledger closed: a clone of the spool spoke with the gateway's key.

use std::collections::BTreeSet;

use orebook_ledger::log::Log as _;
use orebook_pow::coinbase_tag;
use orebook_schema::Event;
use orebook_schema::event::RecoveryCode;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup, cloned_frame, now_ms, shares};

#[test]
fn a_closed_stream_is_left_and_every_answered_share_counts_once() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    pool.final_shares(1);
    let ledger = pool.stop();
    // Somebody copies the spool, and both go on.
    let clone = cloned_frame(&ledger);
    let pool = Pool::on(ledger, &Setup::default());
    pool.work_at(2, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let old = miner.job();
    let mut sent = BTreeSet::from([(found.nonce, found.extranonce2)]);
    for _ in 0..3 {
        let found = miner.mine(&old);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
        sent.insert((found.nonce, found.extranonce2));
    }
    pool.final_shares(4);
    let mut log = pool.ledger.log.clone();
    let incarnation = log.newest().expect("it is up").expect("it is open");
    log.send(incarnation, now_ms(), &clone)
        .expect("the log takes everything");
    pool.until("the move", |metrics| metrics.spool.moves == 1);
    // Work of before names the closed stream: it is replaced.
    let new = miner.next_job();
    assert!(new.clean);
    let late = miner.mine(&old);
    assert_eq!(code(&miner.submit("name-a", &late)), 21);
    for _ in 0..3 {
        let found = miner.mine(&new);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
        sent.insert((found.nonce, found.extranonce2));
    }
    pool.final_shares(7);
    let events = pool.ledger.events();
    let counted: BTreeSet<_> = shares(&events)
        .iter()
        .map(|share| {
            let extranonce2: [u8; 4] = share.extranonce2.bytes().try_into().expect("four bytes");
            (share.nonce, extranonce2)
        })
        .collect();
    assert_eq!(counted, sent);
    assert_eq!(shares(&events).len(), 7);
    let moved = |event: &&Event| matches!(event, Event::RecoveryNote(note) if note.code == RecoveryCode::StreamMoved);
    assert_eq!(events.iter().filter(moved).count(), 1);
    // The newest job's coinbase names the new stream.
    let newest = pool.ledger.newest_job();
    let (header, job) = newest.expect("there are jobs");
    assert!(
        job.coinbase1
            .ends_with(&coinbase_tag(header.stream, header.epoch))
    );
    assert_eq!(header.epoch, 0);
    drop(pool.stop());
}
