//! The fold `rounds`: what late frames changed, against a naive reading of docs/rules.md, 6.4 to 6.7.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod pool;

use std::collections::BTreeMap;

use orebook_ledger::segment::Record;
use orebook_replay::folds::rounds::late::{
    self, ACCOUNTS_MAX, DUST_PPM, Late, LateAccount, REPORT_AFTER_MS,
};
use orebook_replay::folds::rounds::{self, Rounds};
use orebook_replay::store::{MemoryStore, Store};
use orebook_schema::work::Share;
use orebook_schema::{At, Event};
use pool::{
    GATEWAY, PPLNS, Pen, Pool, SOLO, START, block_found, hash, job, named, policy, replayed, share,
    worker,
};

/// Accounts of each gateway, by worker number.
const NAMES: [&str; 3] = ["anna", "ben", "carl"];

/// A gateway whose three workers are in the PPLNS pot; worker 3 is in the SOLO pot. Job 0 has this network work, which is N.
fn gateway(pool: &mut Pool, number: u8, n: u128) -> Pen {
    let mut pen = Pen::new(GATEWAY + number, 1 + number);
    let mut said: Vec<Event> = NAMES
        .iter()
        .map(|name| worker(&mut pen, &format!("{name}{number}"), "rig", PPLNS))
        .collect();
    said.push(worker(&mut pen, "solo", "rig", SOLO));
    said.push(job(&mut pen, At::default(), n));
    pool.say(&mut pen, &said);
    pen
}

fn fresh(worker: u32, work: u64, nonce: u32) -> Event {
    Event::Share(share(worker, 0, work, nonce))
}

fn finding(worker: u32, work: u64, nonce: u32) -> [Event; 2] {
    let share = Share {
        block: true,
        ..share(worker, 0, work, nonce)
    };
    [Event::Share(share), block_found(hash(0xb1), 7)]
}

/// The report of the block at a place, once two hours have gone by.
fn report(mut pool: Pool, at: At) -> (Option<Late>, Vec<LateAccount>, u64) {
    pool.clock += REPORT_AFTER_MS;
    pool.finalise();
    let store = replayed(&pool, Rounds);
    let view = store.view().expect("a view");
    let total = rounds::total(view.as_ref(), PPLNS).expect("rows");
    (
        late::of(view.as_ref(), PPLNS, at).expect("rows"),
        late::accounts(view.as_ref(), PPLNS, at).expect("rows"),
        total.late,
    )
}

fn place(position: u64, index: u16) -> At {
    At { position, index }
}

#[test]
fn a_report_is_made_two_hours_after_its_block_and_says_zero_where_nothing_is_late() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = gateway(&mut pool, 0, 100);
    pool.say(&mut pen, &[fresh(0, 60, 1), fresh(1, 60, 2)]);
    let position = pool.say(&mut pen, &finding(0, 10, 3));
    let at = place(position, 1);
    let found_at = pool.clock - pool.tick;
    let asked = |pool: &Pool| {
        let store: std::sync::Arc<MemoryStore> = replayed(pool, Rounds);
        let view = store.view().expect("a view");
        late::of(view.as_ref(), PPLNS, at).expect("rows")
    };
    pool.clock = found_at + REPORT_AFTER_MS - 1;
    pool.finalise();
    assert_eq!(asked(&pool), None);
    // A frame of that time that is no checkpoint makes no report.
    pool.clock = found_at + REPORT_AFTER_MS;
    pool.say(&mut pen, &[fresh(0, 1, 4)]);
    assert_eq!(asked(&pool), None);
    pool.finalise();
    let none = Late {
        pot: PPLNS,
        at,
        frames: 0,
        accounts: 0,
        own_ppm: 0,
        reward_ppm: 0,
        moved_ppm: 0,
    };
    assert_eq!(asked(&pool), Some(none));
}

#[test]
fn what_came_after_a_block_and_was_made_before_it_is_reported_by_account() {
    // The example of docs/rules.md, 6.5. N = 100.
    let mut pool = Pool::new(policy(|_| {}));
    let mut near = gateway(&mut pool, 0, 100);
    let mut far = gateway(&mut pool, 1, 100);
    let t = pool.clock;
    pool.say_at(&mut near, t, &[(0, fresh(0, 40, 1))]);
    pool.say_at(&mut near, t + 1_000, &[(0, fresh(0, 50, 2))]);
    let [share, found] = finding(0, 10, 3);
    let at = pool.say_at(&mut near, t + 2_000, &[(0, share), (0, found)]);
    // Ben's 30 were made between them, and came when the link was back.
    pool.clock += 60_000;
    pool.say_at(&mut far, t + 1_500, &[(0, fresh(1, 30, 4))]);
    // Made after the block: it changes nothing, late or not.
    pool.say_at(&mut far, t + 2_500, &[(0, fresh(1, 70, 5))]);
    let (made, accounts, late) = report(pool, place(at.position, 1));
    let made = made.expect("it is due");
    // By position anna has 100; by time 10, ben's 30, 50, and 10 of the 40.
    assert_eq!((made.frames, made.accounts, late), (1, 2, 2));
    assert_eq!((made.reward_ppm, made.moved_ppm), (300_000, 300_000));
    // Ben has nothing of his 30; anna has 30 more than 70.
    assert_eq!(made.own_ppm, 1_000_000);
    assert!(made.is_above(299_999) && made.is_above(999_999) && !made.is_above(1_000_000));
    let told: Vec<_> = accounts
        .iter()
        .map(|row| (row.account.clone(), row.by_position, row.by_time))
        .collect();
    assert_eq!(told, [(named("anna0"), 100, 70), (named("ben1"), 0, 30)]);
}

#[test]
fn a_solo_block_has_no_window_and_no_report() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = gateway(&mut pool, 0, 100);
    let position = pool.say(&mut pen, &finding(3, 10, 3));
    pool.clock += REPORT_AFTER_MS;
    pool.finalise();
    let store = replayed(&pool, Rounds);
    let view = store.view().expect("a view");
    let made = late::of(view.as_ref(), SOLO, place(position, 1)).expect("rows");
    assert_eq!(made, None);
}

/// Seeded; not for secrets.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

/// A frame as the test knows it.
struct Sent {
    position: u64,
    ledger_time: u64,
    last_time: u64,
    /// Accounts and work, in order; of the finding frame up to the finding share.
    shares: Vec<(String, u128)>,
}

impl Sent {
    fn is_late(&self) -> bool {
        10_000 < self.ledger_time.saturating_sub(self.last_time)
    }
}

fn fill<'s>(n: u128, frames: impl IntoIterator<Item = &'s Sent>) -> BTreeMap<String, u128> {
    let mut left = n;
    let mut weights = BTreeMap::new();
    for (account, work) in frames.into_iter().flat_map(|sent| sent.shares.iter().rev()) {
        let taken = left.min(*work);
        left -= taken;
        *weights.entry(account.clone()).or_insert(0) += taken;
    }
    weights.retain(|_, weight| 0 < *weight);
    weights
}

/// Weights in producer-time order, from the words of the page: each frame has a time, and they are sorted by it.
fn naive(n: u128, frames: &[Sent], block: u64) -> BTreeMap<String, u128> {
    let finding = frames
        .iter()
        .find(|sent| sent.position == block)
        .expect("it was sent");
    let late_time = |sent: &Sent| {
        let earliest = sent.ledger_time.saturating_sub(86_400_000);
        sent.last_time.clamp(earliest, sent.ledger_time)
    };
    let block_time = late_time(finding);
    let time = |sent: &Sent| {
        if sent.position == block || sent.is_late() {
            return late_time(sent);
        }
        let after = frames.iter().filter(|other| {
            !other.is_late() && sent.position <= other.position && other.position <= block
        });
        let own = after
            .map(|other| other.last_time)
            .min()
            .unwrap_or(sent.last_time);
        if finding.is_late() {
            own
        } else {
            own.min(block_time)
        }
    };
    let mut order: Vec<(u64, u64, &Sent)> = frames
        .iter()
        // What is in time and came after the block stays there.
        .filter(|sent| sent.position <= block || sent.is_late() && late_time(sent) < block_time)
        .map(|sent| (time(sent), sent.position, sent))
        .filter(|(time, position, _)| (*time, *position) <= (block_time, block))
        .collect();
    order.sort_by_key(|(time, position, _)| std::cmp::Reverse((*time, *position)));
    fill(n, order.into_iter().map(|(_, _, sent)| sent))
}

fn parts(weight: u128, sum: u128) -> u128 {
    (weight * 1_000_000_000).checked_div(sum).unwrap_or(0)
}

fn one_seed(seed: u64) -> Late {
    let mut dice = Dice(seed);
    let n = u128::from(1 + dice.below(3_000));
    let mut pool = Pool::new(policy(|_| {}));
    let mut pens: Vec<Pen> = (0..3).map(|number| gateway(&mut pool, number, n)).collect();
    let block_frame = 10 + dice.below(40);
    // How far behind each gateway is; some change their mind.
    // Or they are all in time.
    let most = if seed.is_multiple_of(5) {
        5_000
    } else {
        90_000
    };
    let mut behind = [0, dice.below(most), dice.below(5_000)];
    let mut sent = Vec::new();
    let mut block = None;
    for number in 0..block_frame + 30 {
        let gateway = usize::try_from(dice.below(3)).expect("small");
        if dice.below(8) == 0 {
            behind[gateway] = dice.below(most);
        }
        pool.tick = dice.below(4_000);
        // Some clocks are fast.
        let base = pool.clock + dice.below(3) * dice.below(2_000) - behind[gateway];
        let mut events = Vec::new();
        let mut shares = Vec::new();
        for index in 0..=dice.below(4) {
            let who = dice.below(4);
            let work = 1 + dice.below(99);
            let nonce = u32::try_from(number * 8 + index).expect("small");
            let dt = u32::try_from(index * 100).expect("small");
            let who_number = u32::try_from(who).expect("small");
            events.push((dt, fresh(who_number, work, nonce)));
            if who < 3 {
                let name = NAMES[usize::try_from(who).expect("small")];
                shares.push((format!("{name}{gateway}"), u128::from(work)));
            }
        }
        if number == block_frame {
            let work = 1 + dice.below(99);
            let nonce = u32::try_from(number * 8 + 7).expect("small");
            let [share, found] = finding(1, work, nonce);
            shares.push((format!("ben{gateway}"), u128::from(work)));
            events.extend([(500, share), (500, found)]);
        }
        let last_time = base + u64::from(events.last().expect("an event").0);
        let index = u16::try_from(events.len() - 1).expect("small");
        let admitted = pool.say_at(&mut pens[gateway], base, &events);
        if number == block_frame {
            block = Some(place(admitted.position, index));
        }
        sent.push(Sent {
            position: admitted.position,
            ledger_time: admitted.ledger_time,
            last_time,
            shares,
        });
    }
    // What the SOLO pot has alone is none of this pot's frames.
    sent.retain(|sent| !sent.shares.is_empty());
    let block = block.expect("it was found");
    let by_position = fill(
        n,
        sent.iter()
            .rev()
            .filter(|sent| sent.position <= block.position),
    );
    let by_time = naive(n, &sent, block.position);
    let late_frames = sent.iter().filter(|sent| sent.is_late()).count();
    let (made, accounts, late) = report(pool, block);
    let made = made.expect("it is due");
    assert_eq!(late, late_frames as u64, "seed {seed}");
    if made.frames == 0 {
        assert_eq!(
            by_position, by_time,
            "seed {seed}: nothing late was in reach"
        );
    }
    let (sum, sum_by_time) = (by_position.values().sum(), by_time.values().sum());
    let (mut moved, mut most, mut own) = (0, 0, 0);
    let mut differing: Vec<(String, u128, u128)> = Vec::new();
    for account in by_position.keys().chain(by_time.keys()) {
        let weight = |of: &BTreeMap<String, u128>| of.get(account).copied().unwrap_or(0);
        let (is, would) = (weight(&by_position), weight(&by_time));
        let (part, by) = (parts(is, sum), parts(would, sum_by_time));
        if (is, part) == (would, by) || differing.iter().any(|(name, ..)| name == account) {
            continue;
        }
        differing.push((account.clone(), is, would));
        moved += part.saturating_sub(by);
        most = most.max(part.abs_diff(by));
        if u128::from(DUST_PPM) <= part.abs_diff(by) / 1_000 {
            own = own.max(match would {
                0 => 1_000_000,
                would => parts(is.abs_diff(would), would).div_ceil(1_000),
            });
        }
    }
    let figures = (
        u128::from(made.moved_ppm),
        u128::from(made.reward_ppm),
        u128::from(made.own_ppm),
    );
    let naive = (moved.div_ceil(1_000), most.div_ceil(1_000), own);
    assert_eq!(figures, naive, "seed {seed}");
    let mut told: Vec<_> = accounts
        .iter()
        .map(|row| (row.account.clone(), row.by_position, row.by_time))
        .collect();
    told.sort();
    let mut expected: Vec<_> = differing
        .into_iter()
        .map(|(name, is, would)| (named(&name), is, would))
        .collect();
    expected.sort();
    assert!(expected.len() <= ACCOUNTS_MAX);
    assert_eq!(told, expected, "seed {seed}");
    made
}

#[test]
fn the_report_is_what_sorting_all_frames_by_time_gives() {
    let made: Vec<Late> = (0..80).map(one_seed).collect();
    // A comparison in which nothing ever differs would prove nothing.
    let differs = made.iter().filter(|late| 0 < late.accounts).count();
    let in_time = made.iter().filter(|late| late.frames == 0).count();
    println!(
        "{differs} of {} differ, {in_time} have nothing late",
        made.len()
    );
    assert!(40 < differs && 4 < in_time);
}

#[test]
fn late_frames_are_late_by_ledger_time_and_not_by_a_fast_clock() {
    let mut pool = Pool::new(policy(|_| {}));
    let mut pen = gateway(&mut pool, 0, 100);
    let late = |pool: &Pool| {
        let store = replayed(pool, Rounds);
        let view = store.view().expect("a view");
        rounds::total(view.as_ref(), PPLNS).expect("rows").late
    };
    let clock = pool.clock;
    assert!(START < clock);
    // Milliseconds behind ledger time, and late frames after it.
    for (behind, count) in [(0, 0), (10_000, 0), (10_001, 1), (3_600_000, 2)] {
        let base = pool.clock - behind;
        pool.say_at(
            &mut pen,
            base,
            &[(0, fresh(0, 1, u32::try_from(behind).expect("small")))],
        );
        assert_eq!(late(&pool), count, "{behind}");
    }
    let base = pool.clock + 600_000;
    pool.say_at(&mut pen, base, &[(0, fresh(0, 1, 77))]);
    assert_eq!(late(&pool), 2);
    let last = pool.records.iter().rev().find_map(|record| match record {
        Record::Frame(stored) => Some(stored.position),
        Record::Closure { .. } => None,
    });
    assert_eq!(last, Some(pool.size() - 1));
}
