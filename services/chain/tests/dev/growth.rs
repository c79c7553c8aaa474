//! How the chain grows: pace, difficulty, fees, orphans, maturity, configuration. The other files use its clock and chain.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use orebook_chain::dev::bits_of_difficulty;
use orebook_chain::{DevBalance, DevChain, DevClock, DevConfig, DevError, SubmitAnswer};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{Hash, U256, WorkUnit, target_of_bits};

use crate::mining::find;

pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const OURS: [u8; 22] = [
    0, 20, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
];
pub(crate) const THEIRS: [u8; 22] = [
    0, 20, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
];

#[derive(Clone)]
pub(crate) struct Time(Arc<AtomicU64>);

impl Time {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START)))
    }

    pub(crate) fn clock(&self) -> DevClock {
        let own = Arc::clone(&self.0);
        Arc::new(move || own.load(Ordering::SeqCst))
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Two hashes a block.
pub(crate) fn config() -> DevConfig {
    DevConfig {
        bits_start: 0x207f_ffff,
        ..DevConfig::default()
    }
}

pub(crate) fn easy_chain() -> (DevChain, Time) {
    let time = Time::new();
    (
        DevChain::new(config(), time.clock()).expect("a chain"),
        time,
    )
}

pub(crate) fn grow(chain: &DevChain, time: &Time, blocks: u64) -> Vec<Hash> {
    let mine = |lot| {
        time.pass(10);
        let found = find(&chain.template(), Algorithm::Sha256d, &OURS, lot);
        assert_eq!(chain.submit(&found.bytes), SubmitAnswer::Accepted);
        found.hash
    };
    (0..blocks).map(mine).collect()
}

pub(crate) fn rejected(text: &str) -> SubmitAnswer {
    SubmitAnswer::Rejected(text.to_owned())
}

pub(crate) fn unknown(text: &str) -> SubmitAnswer {
    SubmitAnswer::Unknown(text.to_owned())
}

#[test]
fn a_found_block_becomes_the_tip_and_pays_subsidy_and_fees() {
    let (chain, time) = easy_chain();
    let mut fees = Vec::new();
    for height in 1..=20 {
        time.pass(10);
        let template = chain.template();
        assert_eq!((template.height, template.prev), (height, chain.tip().hash));
        let found = find(&template, Algorithm::Sha256d, &OURS, 0);
        assert_eq!(
            chain.submit(&found.bytes),
            SubmitAnswer::Accepted,
            "height {height}"
        );
        let block = chain.block(found.hash).expect("a known block");
        assert_eq!(
            (block.header.height, block.header.confirmations),
            (height, 1)
        );
        assert_eq!(block.coinbase_txid, found.coinbase_txid);
        assert_eq!(block.paid_to(&OURS), u128::from(template.reward));
        assert_eq!(block.subsidy, Some(5_000_000_000));
        assert_eq!(block.fees, Some(u128::from(template.fees)));
        assert_eq!(
            u128::from(template.reward),
            5_000_000_000 + u128::from(template.fees)
        );
        assert_eq!(chain.hash_at(height), Some(found.hash));
        fees.push(template.fees);
    }
    assert!(
        fees.contains(&0) && fees.iter().any(|fee| 0 < *fee),
        "sometimes there are fees: {fees:?}"
    );
    assert_eq!(
        chain
            .header(chain.genesis())
            .map(|first| first.confirmations),
        Some(21)
    );
    assert_eq!(chain.hash_at(21), None);
}

#[test]
fn fees_grow_while_a_template_waits() {
    let (chain, time) = easy_chain();
    grow(&chain, &time, 1);
    let mut grew = false;
    for _ in 0..20 {
        time.pass(1);
        grow(&chain, &time, 1);
        let before = chain.template();
        time.pass(60);
        let after = chain.template();
        assert!(!after.is_clean_after(&before) && before.fees <= after.fees);
        grew = grew || before.fees < after.fees;
    }
    assert!(grew, "no template of twenty grew");
}

#[test]
fn an_orphaned_tip_is_replaced_by_the_next_blocks() {
    let (chain, time) = easy_chain();
    let blocks = grow(&chain, &time, 5);
    let tip = chain.orphan_tip(2).expect("it is long enough");
    assert_eq!((tip.height, tip.hash), (3, blocks[2]));
    for orphan in &blocks[3..] {
        assert_eq!(
            chain.header(*orphan).map(|header| header.confirmations),
            Some(-1)
        );
    }
    let again = chain.block_bytes(blocks[4]).expect("still known");
    assert_eq!(chain.submit(&again), rejected("duplicate-invalid"));
    let new = grow(&chain, &time, 3);
    assert_eq!(chain.tip().height, 6);
    assert_eq!(chain.hash_at(4), Some(new[0]));
    assert!(matches!(chain.orphan_tip(7), Err(DevError::Depth(6))));
    assert_eq!(chain.orphan_tip(0).expect("nothing to do"), chain.tip());
    assert_eq!(
        chain.orphan_tip(6).expect("down to the first").hash,
        chain.genesis()
    );
}

#[test]
fn a_foreign_branch_with_more_work_replaces_ours_and_may_lose_again() {
    let (chain, time) = easy_chain();
    let ours = grow(&chain, &time, 5);
    let branch = chain.reorganise(2).expect("mined");
    assert!(
        3 <= branch.len(),
        "it replaces two blocks by more work: {}",
        branch.len()
    );
    assert_eq!(chain.hash_at(3), Some(ours[2]), "what is below stays");
    assert_eq!(chain.hash_at(4), Some(branch[0]));
    assert_eq!(chain.tip().hash, *branch.last().expect("not empty"));
    assert_eq!(
        chain.header(ours[4]).map(|header| header.confirmations),
        Some(-1)
    );
    let depth = u64::try_from(branch.len()).expect("small");
    let back = chain.orphan_tip(depth).expect("it is long enough");
    assert_eq!(
        back.hash, ours[4],
        "without the branch ours is the best again"
    );
    assert_eq!(
        chain.header(ours[3]).map(|header| header.confirmations),
        Some(2)
    );
}

#[test]
fn who_would_replace_more_than_he_may_gives_up() {
    let (chain, time) = easy_chain();
    let ours = grow(&chain, &time, 5);
    let given_up = chain.reorganise_at_most(3, 2).expect("no fault");
    assert_eq!((given_up.len(), chain.tip().hash), (0, ours[4]));
    let branch = chain.reorganise_at_most(2, 2).expect("mined");
    assert_eq!(chain.tip().hash, *branch.last().expect("not empty"));
    assert_eq!(chain.hash_at(3), Some(ours[2]));
}

#[test]
fn coinbases_mature_and_orphans_are_not_counted() {
    let (chain, time) = easy_chain();
    grow(&chain, &time, 7);
    let total: u128 = (1..=7)
        .filter_map(|height| chain.block(chain.hash_at(height)?))
        .map(|block| block.paid_to(&OURS))
        .sum();
    let old: u128 = (1..=3)
        .filter_map(|height| chain.block(chain.hash_at(height)?))
        .map(|block| block.paid_to(&OURS))
        .sum();
    assert_eq!(
        chain.balance(&OURS),
        DevBalance {
            mature: old,
            immature: total - old
        },
        "maturity is 5"
    );
    chain.orphan_tip(7).expect("it is long enough");
    assert_eq!(chain.balance(&OURS), DevBalance::default());
}

#[test]
fn difficulty_follows_the_pace_within_bounds() {
    let time = Time::new();
    let config = DevConfig {
        bits_start: bits_of_difficulty("0.0000001", WorkUnit::Sha256d).expect("bits"),
        ..config()
    };
    let chain = DevChain::new(config, time.clock()).expect("a chain");
    let mut before = chain.template().target();
    let mut step = |seconds: u64, blocks: u32| {
        let (mut rose, mut fell) = (0, 0);
        for _ in 0..blocks {
            time.pass(seconds);
            let template = chain.template();
            chain.mine(&THEIRS).expect("a block");
            let target = template.target();
            let quarter = before / U256::from(4);
            // Compact bits round down by less than 2^-15.
            assert!(
                before - quarter - (before >> 15) <= target && target <= before + quarter,
                "{before} to {target}"
            );
            rose += u32::from(target < before);
            fell += u32::from(before < target);
            before = target;
        }
        (rose, fell, before)
    };
    let (rose, fell, _) = step(3, 20);
    assert!(
        15 <= rose && fell <= 3,
        "blocks come too fast: difficulty rose {rose} times, fell {fell}"
    );
    let (rose, fell, evening) = step(40, 20);
    assert!(
        12 <= fell && rose <= 8,
        "blocks come too slowly: difficulty fell {fell} times, rose {rose}"
    );
    // A night switched off makes no block free.
    let (_, fell, morning) = step(100_000, 2);
    assert!(fell <= 2 && morning <= evening * U256::from(25) / U256::from(16));
}

#[test]
fn difficulty_settles_where_blocks_come_at_their_pace() {
    let time = Time::new();
    let config = DevConfig {
        bits_start: bits_of_difficulty("0.0000002", WorkUnit::Sha256d).expect("bits"),
        ..config()
    };
    let chain = DevChain::new(config, time.clock()).expect("a chain");
    for _ in 0..30 {
        time.pass(10);
        chain.mine(&THEIRS).expect("a block");
    }
    let start = target_of_bits(config.bits_start).expect("a target");
    let end = chain.template().target();
    assert!(
        start * U256::from(99) / U256::from(100) <= end && end <= start,
        "{start} to {end}"
    );
}

#[test]
fn scrypt_blocks_are_judged_by_scrypt() {
    let time = Time::new();
    let chain = DevChain::new(
        DevConfig {
            algorithm: Algorithm::Scrypt,
            ..config()
        },
        time.clock(),
    )
    .expect("a chain");
    let template = chain.template();
    let found = find(&template, Algorithm::Scrypt, &OURS, 0);
    assert_eq!(chain.submit(&found.bytes), SubmitAnswer::Accepted);
    chain.mine(&THEIRS).expect("a foreign block");
    assert_eq!(chain.tip().height, 2);
}

#[test]
fn configurations_that_make_no_chain_are_refused() {
    let time = Time::new();
    let refused = |config| {
        DevChain::new(config, time.clock())
            .expect_err("no chain")
            .to_string()
    };
    assert!(
        refused(DevConfig {
            algorithm: Algorithm::Ethash,
            ..config()
        })
        .contains("sha256d and scrypt")
    );
    assert!(
        refused(DevConfig {
            block_time_s: 0,
            ..config()
        })
        .contains("block time")
    );
    assert!(
        refused(DevConfig {
            bits_start: 0,
            ..config()
        })
        .contains("bits")
    );
    assert!(
        refused(DevConfig {
            subsidy: u64::MAX,
            ..config()
        })
        .contains("subsidy")
    );
}

#[test]
fn the_default_difficulty_is_what_it_says_and_every_field_names_the_chain() {
    let default = DevConfig::default();
    assert_eq!(
        bits_of_difficulty("0.01", WorkUnit::Sha256d),
        Some(default.bits_start)
    );
    assert_eq!(
        bits_of_difficulty("0.0000000000001", WorkUnit::Sha256d),
        None,
        "no work"
    );
    let genesis = |config| {
        DevChain::new(config, Time::new().clock())
            .expect("a chain")
            .genesis()
    };
    let mut all = vec![
        genesis(default),
        genesis(DevConfig {
            algorithm: Algorithm::Scrypt,
            ..default
        }),
        genesis(DevConfig { seed: 1, ..default }),
        genesis(DevConfig {
            bits_start: 0x207f_ffff,
            ..default
        }),
        genesis(DevConfig {
            block_time_s: 11,
            ..default
        }),
        genesis(DevConfig {
            maturity: 6,
            ..default
        }),
        genesis(DevConfig {
            subsidy: 1,
            ..default
        }),
        genesis(DevConfig {
            genesis_time: 1,
            ..default
        }),
    ];
    assert_eq!(
        genesis(default),
        all[0],
        "the same configuration is the same chain"
    );
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 8);
}
