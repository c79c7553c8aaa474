//! The fold `control`, and the snapshot that lies beside a gateway's spool.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod pool;

use std::sync::Arc;

use orebook_ledger::authority::thing_digest;
use orebook_replay::digest;
use orebook_replay::engine::cursor;
use orebook_replay::folds::control::{self, Control, Snapshot, SnapshotError, State};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::account::Registration;
use orebook_schema::desk::{Ban, BanAction, BanTarget, Reason};
use orebook_schema::event::{Approval, KeyAction, KeyChange, SchemaEntry, SchemaSet};
use orebook_schema::names::RegisteredName;
use orebook_schema::{Account, At, Event, Hash, Key, LedgerId, Role, WorkerName};
use pool::{DESK, GATEWAY, LEDGER, Pool, SETTLER, policy, replayed, signer};

fn approval(thing: &Event) -> Event {
    let digest = thing_digest(LEDGER, thing);
    Event::Approval(Approval {
        thing: digest,
        approver: signer(DESK).key(),
        signature: signer(DESK).sign_approval(LEDGER, &digest),
    })
}

fn key_change(key: Key, role: Role, action: KeyAction, expects: At) -> Event {
    Event::KeyChange(KeyChange {
        key,
        role,
        action,
        expects,
    })
}

fn fold(pool: &mut Pool) -> (Arc<MemoryStore>, State) {
    pool.finalise();
    let store = replayed(pool, Control);
    let view = store.view().expect("a view");
    let state = State::read(view.as_ref()).expect("rows");
    drop(view);
    (store, state.expect("genesis was applied"))
}

fn snapshot(store: &MemoryStore) -> Snapshot {
    let view = store.view().expect("a view");
    let cursor = cursor(view.as_ref()).expect("rows");
    let snapshot = Snapshot::take(view.as_ref(), &cursor).expect("rows");
    snapshot.expect("genesis was applied")
}

/// A pool where keys, a policy and a schema set changed.
fn changed_pool() -> (Pool, At) {
    let mut pool = Pool::new(policy(|_| {}));
    let new = signer(77).key();
    let comes = key_change(new, Role::Gateway, KeyAction::InForce, At::default());
    pool.desk_says(&[approval(&comes), comes]);
    let old = signer(GATEWAY).key();
    let goes = key_change(old, Role::Gateway, KeyAction::Revoked, At::default());
    pool.desk_says(&[goes.clone(), approval(&goes)]);
    let at = pool.new_policy(policy(|rules| rules.fee_ppm = 20_000));
    let set = SchemaSet {
        number: 1,
        entries: vec![SchemaEntry {
            kind: 19,
            version: 0,
        }],
    };
    pool.desk_says(&[Event::SchemaSet(set)]);
    pool.desk_says(&[
        ban("name:anna", BanAction::Ban, 0, At::default()),
        ban("name:ben", BanAction::Ban, 7, At::default()),
        registration("zoe", true, &["b", "c"], At::default()),
        registration("farm", false, &["a"], At::default()),
    ]);
    (pool, at)
}

fn registration(name: &str, registered_only: bool, workers: &[&str], expects: At) -> Event {
    let workers = workers
        .iter()
        .map(|name| WorkerName::parse(name).expect("a name"));
    Event::Account(Box::new(Registration {
        name: RegisteredName::parse(name).expect("a name"),
        expects,
        payout: Account::parse("script:51").expect("a script"),
        threshold: 0,
        token: None,
        registered_only,
        workers: workers.collect(),
    }))
}

#[test]
fn registered_accounts_stand_with_every_worker_of_theirs() {
    let mut pool = Pool::new(policy(|_| {}));
    let first = pool.desk_says(&[
        registration("zoe", true, &["b", "c"], At::default()),
        registration("farm", false, &[], At::default()),
    ]);
    let at = |position, index| At { position, index };
    let second = pool.desk_says(&[
        registration("zoe", false, &["a", "c"], at(first, 0)),
        // Refused: it expects what is not so any more.
        registration("zoe", true, &["d"], at(first, 0)),
    ]);
    let (store, state) = fold(&mut pool);
    let accounts = state.accounts.iter();
    let shown: Vec<_> = accounts
        .map(|row| {
            let account = row.account.to_string();
            (account, row.is_registered_only, row.at, row.effective)
        })
        .collect();
    // By the bytes of their accounts: shorter names first.
    let expected = [
        ("name:zoe".to_owned(), false, at(second, 0), second),
        ("name:farm".to_owned(), false, at(first, 1), first),
    ];
    assert_eq!(shown, expected);
    let workers = state.workers.iter();
    let shown: Vec<_> = workers
        .map(|row| format!("{} {}", row.account, row.worker.as_str()))
        .collect();
    assert_eq!(shown, ["name:zoe a", "name:zoe b", "name:zoe c"]);
    let view = store.view().expect("a view");
    for (name, count) in [("name:zoe", 3), ("name:farm", 0), ("name:zo", 0)] {
        let account = Account::parse(name).expect("an account");
        let counted = control::registered_workers(view.as_ref(), &account);
        assert_eq!(counted, Ok(count), "{name}");
    }
}

fn ban(account: &str, action: BanAction, until_ms: u64, expects: At) -> Event {
    Event::Ban(Box::new(Ban {
        target: BanTarget::Account(Account::parse(account).expect("an account")),
        action,
        until_ms,
        expects,
        reason: Reason::parse("botnet").expect("a reason"),
    }))
}

#[test]
fn bans_stand_until_they_are_lifted_and_lifted_ones_are_remembered_for_the_next() {
    let mut pool = Pool::new(policy(|_| {}));
    let first = pool.desk_says(&[ban("name:anna", BanAction::Ban, 9, At::default())]);
    let at = |position| At { position, index: 0 };
    let shown = |state: &State| -> Vec<(String, bool, u64, At, bool)> {
        let bans = state.bans.iter();
        bans.map(|ban| {
            (
                ban.target.to_string(),
                ban.is_ban,
                ban.until_ms,
                ban.at,
                ban.holds_at(8),
            )
        })
        .collect()
    };
    let anna = || "name:anna".to_owned();
    let (_, state) = fold(&mut pool);
    assert_eq!(shown(&state), [(anna(), true, 9, at(first), true)]);
    assert!(!state.bans[0].holds_at(9), "its time has run out");
    // Refused: another expects.
    pool.desk_says(&[ban("name:anna", BanAction::Lift, 0, At::default())]);
    let (_, state) = fold(&mut pool);
    assert_eq!(shown(&state), [(anna(), true, 9, at(first), true)]);
    let lifted = pool.desk_says(&[ban("name:anna", BanAction::Lift, 0, at(first))]);
    let (store, state) = fold(&mut pool);
    assert_eq!(shown(&state), [(anna(), false, 0, at(lifted), false)]);
    let taken = snapshot(&store);
    assert_eq!(Snapshot::read(&taken.to_bytes(), LEDGER), Ok(taken));
}

#[test]
fn it_says_what_genesis_said_until_the_desk_says_otherwise() {
    let mut pool = Pool::new(policy(|_| {}));
    let (_, state) = fold(&mut pool);
    assert_eq!(state.genesis.ledger, LEDGER);
    assert_eq!(state.role(&signer(SETTLER).key()), Some(Role::Settler));
    assert_eq!(state.role(&signer(77).key()), None);
    assert_eq!(state.newest_policy, At::default());
    assert_eq!(
        state.policy().map(|newest| &newest.policy),
        Some(&policy(|_| {}))
    );
    assert_eq!(state.schema_sets.len(), 1);
}

#[test]
fn obeyed_changes_of_keys_policies_and_schema_sets_are_taken_and_old_ones_stay() {
    let (mut pool, at) = changed_pool();
    let (store, state) = fold(&mut pool);
    assert_eq!(state.role(&signer(77).key()), Some(Role::Gateway));
    assert_eq!(state.role(&signer(GATEWAY).key()), None);
    let revoked = state
        .keys
        .iter()
        .find(|key| key.key == signer(GATEWAY).key());
    let revoked = revoked.expect("a revoked key stays");
    // Its change stood at index 0, and took effect there and then.
    assert_eq!(revoked.last.index, 0);
    assert_eq!(state.newest_policy, at);
    let fees: Vec<u32> = state
        .policies
        .iter()
        .map(|obeyed| obeyed.policy.pots[0].fee_ppm)
        .collect();
    assert_eq!(fees, [0, 20_000]);
    let sets: Vec<(u32, usize)> = state
        .schema_sets
        .iter()
        .map(|set| (set.number, set.entries.len()))
        .collect();
    assert_eq!(sets[1], (1, 1));
    let view = store.view().expect("a view");
    let newest = control::policy(view.as_ref()).expect("rows");
    assert_eq!(newest.map(|newest| newest.at), Some(at));
}

#[test]
fn a_thing_stands_here_when_its_last_approval_is_admitted_and_not_before() {
    let mut genesis_policy = policy(|_| {});
    genesis_policy.threshold = 5;
    let mut pool = Pool::new(genesis_policy);
    // Refused for ever: it expects what is not so.
    let wrong = At {
        position: 1,
        index: 0,
    };
    let refused = key_change(signer(77).key(), Role::Gateway, KeyAction::InForce, wrong);
    pool.desk_says(&[refused.clone(), approval(&refused)]);
    let waits = key_change(
        signer(78).key(),
        Role::Settler,
        KeyAction::InForce,
        At::default(),
    );
    pool.desk_says(std::slice::from_ref(&waits));
    let (_, state) = fold(&mut pool);
    assert_eq!(state.role(&signer(77).key()), None);
    assert_eq!(state.role(&signer(78).key()), None);
    pool.desk_says(&[approval(&waits)]);
    let (_, state) = fold(&mut pool);
    assert_eq!(state.role(&signer(77).key()), None);
    assert_eq!(state.role(&signer(78).key()), Some(Role::Settler));
}

#[test]
fn a_snapshot_is_read_back_as_it_was_with_position_root_and_digest() {
    let (mut pool, _) = changed_pool();
    let (store, state) = fold(&mut pool);
    let taken = snapshot(&store);
    assert_eq!(taken.size, pool.size());
    assert_eq!(taken.root, pool.state.root());
    assert_eq!(taken.state, state);
    let view = store.view().expect("a view");
    let digest = digest::from_scratch(&Control, view.as_ref()).expect("rows");
    assert_eq!(taken.digest, digest);
    let said = State::of(pool.state.authority().expect("a genesis"));
    let made = Snapshot::of(said, taken.size, taken.root);
    assert_eq!(
        made.as_ref(),
        Ok(&taken),
        "admission says what the fold says"
    );
    let read = Snapshot::read(&taken.to_bytes(), LEDGER);
    assert_eq!(read.as_ref(), Ok(&taken));
    assert_eq!(
        Snapshot::read(&taken.to_bytes(), LedgerId([8; 16])),
        Err(SnapshotError::Ledger(LEDGER))
    );
}

#[test]
fn there_is_no_snapshot_before_genesis() {
    let store = MemoryStore::new();
    let view = store.view().expect("a view");
    let cursor = cursor(view.as_ref()).expect("rows");
    assert_eq!(Snapshot::take(view.as_ref(), &cursor), Ok(None));
}

#[test]
fn a_snapshot_with_any_bit_changed_or_cut_anywhere_is_refused() {
    let (mut pool, _) = changed_pool();
    let (store, _) = fold(&mut pool);
    let bytes = snapshot(&store).to_bytes();
    for at in 0..bytes.len() {
        let cut = Snapshot::read(&bytes[..at], LEDGER);
        assert_eq!(cut, Err(SnapshotError::Checksum), "cut at {at}");
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let read = Snapshot::read(&flipped, LEDGER);
            assert_eq!(read, Err(SnapshotError::Checksum), "bit {bit} of {at}");
        }
    }
}

#[test]
fn what_is_whole_and_says_something_else_than_its_digest_is_refused() {
    let (mut pool, _) = changed_pool();
    let (store, _) = fold(&mut pool);
    let right = snapshot(&store);
    // Whoever writes the file can make its checksum right; what it says is still not what the fold gave.
    let mut another_policy = right.clone();
    another_policy.state.policies[1].policy.pots[0].fee_ppm = 0;
    let mut another_key = right.clone();
    let keys = &mut another_key.state.keys;
    let revoked = keys.iter_mut().find(|key| !key.is_in_force);
    revoked.expect("one was revoked").is_in_force = true;
    let mut fewer = right.clone();
    fewer.state.schema_sets.pop();
    let mut lifted = right.clone();
    lifted.state.bans[0].is_ban = false;
    let mut longer_ban = right.clone();
    longer_ban.state.bans[1].until_ms = 8;
    let mut open = right.clone();
    open.state.accounts[0].is_registered_only = false;
    let mut without = right.clone();
    without.state.workers.pop();
    let mut older = right.clone();
    older.state.newest_policy = At::default();
    for wrong in [
        another_policy,
        another_key,
        fewer,
        lifted,
        longer_ban,
        open,
        without,
        older,
    ] {
        let read = Snapshot::read(&wrong.to_bytes(), LEDGER);
        assert_eq!(read, Err(SnapshotError::Digest));
    }
    let mut unsorted = right.clone();
    unsorted.state.keys.reverse();
    let mut unknown = right.clone();
    unknown.state.newest_policy.index = 9;
    for wrong in [unsorted, unknown] {
        let read = Snapshot::read(&wrong.to_bytes(), LEDGER);
        assert!(matches!(read, Err(SnapshotError::Decode(_))), "{read:?}");
    }
    // Bytes behind the last list, and a version of tomorrow.
    let resealed = |body: &[u8]| [body, &Hash::of(&[body]).0].concat();
    let bytes = right.to_bytes();
    let body = &bytes[..bytes.len() - 32];
    let longer = resealed(&[body, &[0]].concat());
    assert!(matches!(
        Snapshot::read(&longer, LEDGER),
        Err(SnapshotError::Decode(_))
    ));
    let mut tomorrow = body.to_vec();
    tomorrow[8] = 200;
    assert_eq!(
        Snapshot::read(&resealed(&tomorrow), LEDGER),
        Err(SnapshotError::Version(200))
    );
}
