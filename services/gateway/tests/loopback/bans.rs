//! Operators' bans: at the login, in the middle of a session, and after a restart.

use std::collections::BTreeSet;

use orebook_gateway::{OfferedAccount, OfferedBan, OfferedControl, keep_control};
use orebook_schema::desk::{Ban, BanAction, BanTarget, Network, Reason};
use orebook_schema::names::RegisteredName;
use orebook_schema::{At, Event};
use serde_json::json;

use crate::miner::{Miner, code};
use crate::others::Desk;
use crate::pool::{HARD, LEDGER, Ledger, Pool, Setup, account};

fn say(desk: &mut Desk, ledger: &Ledger, target: &BanTarget, action: BanAction) {
    let ban = Ban {
        target: target.clone(),
        action,
        until_ms: 0,
        expects: ledger.banned_at(target),
        reason: Reason::parse("botnet").expect("a reason"),
    };
    desk.says(ledger, Event::Ban(Box::new(ban)));
}

/// What a login is answered.
fn login(pool: &Pool, user: &str) -> (u64, serde_json::Value) {
    let mut miner = Miner::connect(pool.address(0));
    miner.subscribe();
    let reply = miner.authorize(user);
    let (code, why) = (code(&reply), reply["error"][1].clone());
    if code != 0 {
        assert!(miner.is_closed());
    }
    (code, why)
}

#[test]
fn a_banned_account_is_told_why_sent_away_and_kept_out_until_the_ban_is_lifted() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let (mut bad, mut good) = (
        Miner::ready(pool.address(0), "name-a.rig1"),
        Miner::ready(pool.address(0), "name-b"),
    );
    let job = bad.job();
    let found = bad.mine(&job);
    assert_eq!(code(&bad.submit("name-a.rig1", &found)), 0);
    let mut desk = Desk::new();
    let target = BanTarget::Account(account("name-a"));
    say(&mut desk, &pool.ledger, &target, BanAction::Ban);
    assert!(bad.is_closed());
    assert_eq!(bad.messages, ["this account is banned: botnet"]);
    let why = json!("this account is banned: botnet");
    assert_eq!(login(&pool, "name-a.rig2"), (24, why));
    pool.until("both are counted", |metrics| {
        metrics.sessions.counts.closed.banned == 2
    });
    // Others go on, and what he earned before stays in the ledger.
    let job = good.job();
    let found = good.mine(&job);
    assert_eq!(code(&good.submit("name-b", &found)), 0);
    assert_eq!(pool.final_shares(2).len(), 2);
    // It outlives the gateway.
    let ledger = pool.stop();
    let pool = Pool::on(ledger, &Setup::default());
    pool.work_at(2, HARD);
    assert_eq!(login(&pool, "name-a").0, 24);
    assert_eq!(login(&pool, "name-b").0, 0);
    assert_ne!(pool.ledger.banned_at(&target), At::default());
    say(&mut desk, &pool.ledger, &target, BanAction::Lift);
    // The gateway hears of it within its next turns.
    let heard = (0..400).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        login(&pool, "name-a").0 == 0
    });
    assert!(heard, "the lift is not heard");
}

#[test]
fn a_banned_network_is_sent_away_whatever_its_account() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let mut desk = Desk::new();
    // Another network first: nobody notices.
    let other = Network::new(&[10, 0, 0, 0], 8).expect("a network");
    let other = BanTarget::Network(other);
    say(&mut desk, &pool.ledger, &other, BanAction::Ban);
    let loopback = Network::new(&[127, 0, 0, 0], 8).expect("a network");
    let loopback = BanTarget::Network(loopback);
    say(&mut desk, &pool.ledger, &loopback, BanAction::Ban);
    assert!(miner.is_closed());
    let why = "this address is banned: botnet";
    assert_eq!(miner.messages, [why]);
    assert_eq!(login(&pool, "name-b"), (24, json!(why)));
}

#[test]
fn what_a_peer_said_of_bans_holds_until_the_mirror_is_as_far_and_then_the_ledgers_own() {
    let pool = Pool::start(&Setup::default());
    let mut desk = Desk::new();
    let target = BanTarget::Account(account("name-b"));
    say(&mut desk, &pool.ledger, &target, BanAction::Ban);
    let (size, root, (at, policy)) = {
        let reader = pool.ledger.reader();
        let settled = reader.settled();
        let (at, obeyed) = settled.authority().expect("a genesis").newest_policy();
        let policy = obeyed.expect("genesis' own").policy.as_ref().clone();
        (reader.final_size(), settled.root(), (at, policy))
    };
    let ledger = pool.stop();
    // The gateway's folder is lost; a peer, whose ledger is some frames longer, names somebody else.
    std::fs::remove_dir_all(ledger.path("gateway")).expect("it was there");
    let ahead = size + 3;
    let offered = OfferedControl {
        ledger: LEDGER,
        size: ahead,
        root,
        at,
        policy,
        accounts: vec![OfferedAccount {
            name: RegisteredName::parse("clara").expect("a name"),
            is_registered_only: false,
            workers: BTreeSet::new(),
        }],
        bans: vec![OfferedBan {
            target: BanTarget::Account(account("name-a")),
            until_ms: 0,
            reason: Reason::parse("botnet").expect("a reason"),
        }],
    };
    assert_eq!(
        keep_control(&ledger.disk(), "gateway", offered),
        Ok(true),
        "nothing is there"
    );
    ledger.log.set_down(true);
    let pool = Pool::on(ledger, &Setup::default());
    pool.work_at(1, HARD);
    let why = json!("this account is banned: botnet");
    assert_eq!(login(&pool, "name-a"), (24, why));
    assert_eq!(login(&pool, "name-b").0, 0, "the mirror is behind the peer");
    assert_eq!(login(&pool, "clara").0, 0, "the peer knows her");
    pool.ledger.log.set_down(false);
    let mut neighbour = pool.ledger.neighbour();
    while pool.ledger.reader().final_size() < ahead {
        pool.ledger.neighbour_speaks(&mut neighbour);
    }
    let heard = (0..400).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        login(&pool, "name-a").0 == 0
    });
    assert!(heard, "a ban that the ledger does not have stays");
    assert_eq!(login(&pool, "name-b").0, 24);
    // She is no account of the ledger's either.
    let mut clara = Miner::connect(pool.address(0));
    clara.subscribe();
    assert_eq!(code(&clara.authorize("clara")), 24);
}
