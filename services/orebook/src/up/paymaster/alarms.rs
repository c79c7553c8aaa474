//! What an operator has to know of the paymaster, said once when it begins and once when it is over, with the page that helps.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use orebook_paymaster::metrics::Metrics;
use orebook_paymaster::plan::Nobody;
use orebook_paymaster::why::Why;

use super::Shown;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// Pages, with what they are about; the words are the alarm's name.
const NOT_READY: (&str, &str) = ("the wallet cannot pay", "docs/runbooks/wallet-not-ready.md");
const STUCK: (&str, &str) = (
    "a payout is stuck in memory pools",
    "docs/runbooks/payout-stuck.md",
);
const CONFLICTED: (&str, &str) = (
    "what a payout spends was spent by something else, or two paymasters' nodes disagree",
    "docs/runbooks/payout-conflicted.md",
);
const HALTED: (&str, &str) = (
    "the wallet is halted, and goes on when people resume it",
    "docs/runbooks/wallet-halted.md",
);
const DIGESTS: (&str, &str) = (
    "too few projectors answer with their digest of money",
    "docs/runbooks/digests-differ.md",
);
const KEY: (&str, &str) = (
    "the paymaster's key is not in force",
    "docs/runbooks/paymaster-host-lost.md",
);

/// What is wrong now: words and page, with what the paymaster itself says of it.
fn alarms(metrics: &Metrics, why: &Why) -> BTreeMap<(&'static str, &'static str), String> {
    let cannot_pay = matches!(
        why,
        Why::Wallet(_) | Why::Short { .. } | Why::Nobody(Nobody::Funds)
    );
    let is_conflicted = matches!(why, Why::Unfinished { state, .. } if *state == "conflicted");
    let all = [
        (NOT_READY, cannot_pay),
        (STUCK, metrics.stuck != 0),
        (CONFLICTED, is_conflicted || metrics.disputed != 0),
        (HALTED, metrics.halted != 0),
        (DIGESTS, metrics.digests_missing != 0),
        (KEY, metrics.key_refused != 0),
    ];
    all.into_iter()
        .filter(|(_, is_so)| *is_so)
        .map(|(alarm, _)| (alarm, why.to_string()))
        .collect()
}

/// Looks until the process ends.
pub(in crate::up) async fn watch(shown: Shown) {
    let mut known = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some((counters, standing)) = shown.get() else {
            continue;
        };
        let why = standing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .why
            .clone();
        let now = alarms(&counters.read(), &why);
        for ((words, page), why) in &now {
            if !known.contains_key(&(*words, *page)) {
                tracing::warn!(why, "payouts wait: {words}; see {page}");
            }
        }
        for (words, page) in known.keys() {
            if !now.contains_key(&(*words, *page)) {
                tracing::info!("payouts go on, it is over: {words}");
            }
        }
        known = now;
    }
}

#[cfg(test)]
mod tests {
    use orebook_schema::At;

    use super::*;

    #[test]
    fn an_alarm_is_named_with_its_page_and_when_it_is_over() {
        let well = Metrics::default();
        let unfinished = |state| Why::Unfinished {
            batch: 1,
            tx: 0,
            state,
        };
        for (metrics, why, pages) in [
            (well, Why::Nothing, vec![]),
            (well, Why::Nobody(Nobody::Due), vec![]),
            (well, Why::Interval(7), vec![]),
            (well, unfinished("broadcast"), vec![]),
            (
                well,
                Why::Wallet("locked".to_owned()),
                vec!["wallet-not-ready"],
            ),
            (well, Why::Nobody(Nobody::Funds), vec!["wallet-not-ready"]),
            (
                well,
                Why::Short {
                    owed: 2,
                    balance: 1,
                },
                vec!["wallet-not-ready"],
            ),
            (
                Metrics { stuck: 1, ..well },
                Why::Nothing,
                vec!["payout-stuck"],
            ),
            (well, unfinished("conflicted"), vec!["payout-conflicted"]),
            (
                Metrics {
                    disputed: 1,
                    halted: 1,
                    ..well
                },
                Why::Nothing,
                vec!["payout-conflicted", "wallet-halted"],
            ),
            (
                Metrics { halted: 1, ..well },
                Why::Halted {
                    at: At::default(),
                    reason: "moving coins".to_owned(),
                },
                vec!["wallet-halted"],
            ),
            (
                Metrics {
                    digests_missing: 1,
                    ..well
                },
                Why::Digests("none".to_owned()),
                vec!["digests-differ"],
            ),
            (
                Metrics {
                    key_refused: 1,
                    ..well
                },
                Why::KeyRefused,
                vec!["paymaster-host-lost"],
            ),
        ] {
            let found = alarms(&metrics, &why);
            let mut named: Vec<&str> = found
                .keys()
                .map(|(_, page)| {
                    page.trim_start_matches("docs/runbooks/")
                        .trim_end_matches(".md")
                })
                .collect();
            named.sort_unstable();
            assert_eq!(named, pages, "{why}");
            assert!(found.values().all(|said| *said == why.to_string()));
        }
    }
}
