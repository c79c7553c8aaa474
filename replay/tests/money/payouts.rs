//! Payouts (money rules, section 8) as tables: what is proposed, what becomes of it, and every book after it.

use orebook_replay::folds::money::payouts::{self, TxState, What, halts, raw, steps, tx};
use orebook_replay::store::Store as _;

use crate::paying::wallet_row;
use crate::table::{Table, table};

/// Anna has 29.7, ben 19.8, carl 7.5 available; 100 stand for nothing else. Each has an address.
const RICH: &str = "adjust anna +29.7 donation
    adjust ben +19.8 donation
    adjust carl +7.5 donation
    lives anna A
    lives ben B
    lives carl C";

pub(crate) fn rich(rules: &str, text: &str) -> Table {
    table(&format!("policy {rules}\n{RICH}\n{text}"))
}

/// A checked table of postings.
#[track_caller]
fn posted(table: &Table, expected: &[&str]) {
    assert_eq!(table.paid(), expected);
}

#[test]
fn the_pool_bears_the_fee_and_lines_arrive_whole() {
    // Rules, example 8.10a.
    let table = rich(
        "",
        "batch fee=4: anna 29, ben 19
         = anna available 0.7
         = anna reserved 29
         = ben available 0.8
         = ben reserved 19
         = carl available 7.5
         = donation -57
         tx 0 signed
         tx 0 broadcast
         tx 0 seen
         = anna available 0.7
         = anna reserved 29
         = ben available 0.8
         = ben reserved 19
         = carl available 7.5
         = donation -57
         tx 0 confirmed fee=3
         tx 0 final fee=3
         = anna available 0.7
         = anna paid 29
         = ben available 0.8
         = ben paid 19
         = carl available 7.5
         = donation -57
         = network_fees -3
         = wallet 3",
    );
    posted(
        &table,
        &[
            "available:anna > reserved:anna 29",
            "available:ben > reserved:ben 19",
            "reserved:anna > paid:anna 29",
            "reserved:ben > paid:ben 19",
            "network_fees > wallet 3",
        ],
    );
    assert_eq!(table.refusals(), [""; 0]);
}

#[test]
fn miners_bear_the_fee_in_equal_parts() {
    // Rules, example 8.10b: floor(11 / 2) = 5.
    let table = rich(
        "bears=miner",
        "batch fee=11: anna 29 fee 5, ben 19 fee 5
         tx 0 signed
         tx 0 confirmed fee=9
         = anna available 0.7
         = anna paid 24
         = ben available 0.8
         = ben paid 14
         = carl available 7.5
         = donation -57
         = network_fees 1
         = wallet 9",
    );
    posted(
        &table,
        &[
            "available:anna > reserved:anna 29",
            "available:ben > reserved:ben 19",
            "reserved:anna > paid:anna 24",
            "reserved:anna > network_fees 5",
            "reserved:ben > paid:ben 14",
            "reserved:ben > network_fees 5",
            "network_fees > wallet 9",
        ],
    );
}

#[test]
fn a_reorganisation_pays_no_line_twice_and_the_newest_version_tells_what_the_chain_took() {
    // Rules, example 8.10c.
    let table = rich(
        "",
        "batch fee=4: anna 29, ben 19
         tx 0 signed
         tx 0 confirmed fee=3
         tx 0 broadcast
         tx 0 signed again
         tx 0 confirmed fee=5
         tx 0 seen
         tx 0 confirmed fee=5
         tx 0 final fee=4
         = anna available 0.7
         = anna paid 29
         = ben available 0.8
         = ben paid 19
         = carl available 7.5
         = donation -57
         = network_fees -4
         = wallet 4",
    );
    let postings = table.paid();
    assert_eq!(
        postings[2..],
        [
            "reserved:anna > paid:anna 29",
            "reserved:ben > paid:ben 19",
            "network_fees > wallet 3",
            "network_fees > wallet 2",
            "wallet > network_fees 1",
        ]
    );
}

#[test]
fn what_a_conflict_undoes_is_its_accounts_again_also_after_it_was_paid() {
    // Rules, example 8.10d.
    let table = rich(
        "bears=miner",
        "batch fee=11: anna 29 fee 5, ben 19 fee 5
         tx 0 signed
         tx 0 confirmed fee=9
         tx 0 conflicted
         tx 0 cancelled by=X fee=2
         = anna available 29.7
         = ben available 19.8
         = carl available 7.5
         = donation -57
         = network_fees -2
         = wallet 2",
    );
    assert_eq!(
        table.paid()[7..],
        [
            "paid:anna > available:anna 24",
            "paid:ben > available:ben 14",
            "wallet > network_fees 7",
        ],
        "those from network_fees to available are not of payouts' own books"
    );
}

#[test]
fn each_transaction_of_a_batch_has_its_own_end() {
    // Rules, example 8.10e.
    let table = rich(
        "",
        "batch fee=3 txs=3: anna 29, ben 19, carl 7
         tx 0 signed
         tx 0 confirmed fee=1
         tx 1 signed
         tx 1 failed fee=2
         tx 2 cancelled
         = anna available 0.7
         = anna paid 29
         = ben available 19.8
         = carl available 7.5
         = donation -57
         = network_fees -3
         = wallet 3",
    );
    posted(
        &table,
        &[
            "available:anna > reserved:anna 29",
            "available:ben > reserved:ben 19",
            "available:carl > reserved:carl 7",
            "reserved:anna > paid:anna 29",
            "network_fees > wallet 1",
            "reserved:ben > available:ben 19",
            "network_fees > wallet 2",
            "reserved:carl > available:carl 7",
        ],
    );
}

/// One found block, of which anna has 29.7 and ben 19.8.
const FOUND: &str = "g1 job 100
    g1 frame: ben 40, anna 60 finds B1
    B1 immature 50
    lives anna A
    lives ben B";

#[test]
fn a_proposal_is_obeyed_as_a_whole_or_not_at_all() {
    // Rules, example 8.8 and more. Each line is a proposal; only the last is obeyed.
    let table = table(&format!(
        "policy fee=10000 threshold=10
         {FOUND}
         batch of=B1: anna 29
         = anna immature 29.7
         = ben immature 19.8
         = fee 0.5
         B1 confirmed 50
         batch number=1: anna 29
         batch late: anna 29
         batch: anna 30
         batch: anna 29 to C
         batch: anna 9
         batch: anna 29 fee 1
         batch of=B2: anna 29
         batch total=30: anna 29
         batch txs=2: anna 29
         batch lost: anna 28
         batch: anna 29, ben 20
         batch: anna 29, carl 10
         = anna available 29.7
         = ben available 19.8
         = fee 0.5
         batch txs=2 of=B1: anna 29, ben 10
         = anna available 0.7
         = anna reserved 29
         = ben available 9.8
         = ben reserved 10
         = fee 0.5",
    ));
    assert_eq!(
        table.refusals(),
        [
            "line", // Nothing is available yet; lines are asked before blocks.
            "batch", "expects", "line", "line", "line", "line", "block", "whole", "whole", "whole",
            "line", "line",
        ]
    );
}

#[test]
fn a_block_that_is_not_confirmed_any_more_is_not_paid_of() {
    let table = table(&format!(
        "policy fee=10000
         {FOUND}
         adjust anna +40 donation
         batch of=B1: anna 29
         B1 confirmed 50
         B1 orphaned 50
         batch of=B1: anna 29
         B1 immature 50
         batch of=B1: anna 29
         B1 confirmed 50
         B1 immature 50
         batch of=B1: anna 29
         = anna available 40.7
         = anna reserved 29
         = ben available 19.8
         = donation -40
         = fee 0.5",
    ));
    assert_eq!(table.refusals(), ["block"; 3]);
}

#[test]
fn one_batch_of_a_wallet_is_on_its_way_and_wallets_do_not_know_each_other() {
    let mut table = rich(
        "",
        "batch: anna 5
         batch: ben 5
         batch wallet=1: ben 5
         tx 0 signed
         batch: ben 5
         tx 0 confirmed
         batch: ben 5
         = anna available 24.7
         = anna paid 5
         = ben available 9.8
         = ben reserved 10
         = carl available 7.5
         = donation -57",
    );
    assert_eq!(table.refusals(), ["batch", "batch"]);
    // A reorganisation takes the first batch back: the second goes its way, a third waits for both.
    table.then("tx 0 signed");
    table.then("tx 0 confirmed");
    table.then("tx 0 batch=0 broadcast");
    table.then("batch: ben 1");
    assert_eq!(table.refusals(), ["batch", "batch", "batch"]);
    assert_eq!(wallet_row(&mut table, 0).open, 1);
    table.then("tx 0 batch=0 confirmed");
    table.then("batch: ben 1");
    assert_eq!(table.refusals(), ["batch", "batch", "batch"]);
    assert_eq!(wallet_row(&mut table, 0).batches, 3);
}

#[test]
fn the_threshold_is_the_accounts_or_the_policys_and_payment_at_once_works_once() {
    let table = rich(
        "threshold=10",
        "batch: carl 7
         threshold carl 7
         batch: carl 7
         tx 0 cancelled
         threshold anna 25
         batch: anna 24
         wants anna
         batch: anna 24
         tx 0 cancelled
         batch: anna 24
         wants anna
         batch: anna 1
         tx 0 signed
         tx 0 confirmed
         policy threshold=4
         batch: ben 4
         = anna available 28.7
         = anna paid 1
         = ben available 15.8
         = ben reserved 4
         = carl available 7.5
         = donation -57",
    );
    assert_eq!(table.refusals(), ["line", "line", "line"]);
}

#[test]
fn the_address_is_the_one_in_force_at_the_proposals_time() {
    // Each frame is a second after the one before.
    let table = rich(
        "hold=5000",
        "lives anna Z
         batch: anna 5 to Z
         batch: anna 5 to A
         tx 0 cancelled
         mean 1
         batch: anna 5 to A
         batch: anna 5 to Z
         = anna available 24.7
         = anna reserved 5
         = ben available 19.8
         = carl available 7.5
         = donation -57",
    );
    assert_eq!(table.refusals(), ["line", "line"]);
}

#[test]
fn a_batch_above_the_limit_is_signed_when_it_is_approved() {
    let table = rich(
        "limit=10",
        "batch: anna 11
         tx 0 signed
         approve 0
         tx 0 signed
         tx 0 confirmed
         batch: anna 10
         tx 0 signed
         tx 0 confirmed
         approve next : ben 12
         batch : ben 12
         tx 0 signed
         tx 0 confirmed
         = anna available 8.7
         = anna paid 21
         = ben available 7.8
         = ben paid 12
         = carl available 7.5
         = donation -57",
    );
    assert_eq!(table.refusals(), ["approval"]);
}

#[test]
fn a_block_that_stops_being_confirmed_takes_what_is_not_signed_and_leaves_what_is() {
    // Rules, example 8.11: ben's is signed, anna's is not.
    let mut table = table(&format!(
        "policy fee=10000
         {FOUND}
         B1 confirmed 50
         batch of=B1 txs=2: anna 29, ben 19
         tx 1 signed
         = anna available 0.7
         = anna reserved 29
         = ben available 0.8
         = ben reserved 19
         = fee 0.5
         B1 orphaned 50
         = ben available -19
         = ben reserved 19
         tx 0 signed
         tx 1 confirmed fee=1
         = ben available -19
         = ben paid 19
         = network_fees -1
         = wallet 1
         B1 immature 50
         B1 confirmed 50
         batch: ben 1
         batch of=B1: anna 29
         B1 orphaned 50
         = ben available -19
         = ben paid 19
         = network_fees -1
         = wallet 1",
    ));
    assert_eq!(table.refusals(), ["state", "line"]);
    assert_eq!(
        table.paid(),
        [
            "available:anna > reserved:anna 29",
            "available:ben > reserved:ben 19",
            "reserved:anna > available:anna 29",
            "reserved:ben > paid:ben 19",
            "network_fees > wallet 1",
            "available:anna > reserved:anna 29",
            "reserved:anna > available:anna 29",
        ]
    );
    let view = table.rows().view().expect("a view");
    let row = tx(view.as_ref(), 0, 0, 0)
        .expect("rows")
        .expect("a transaction");
    let last: Vec<What> = timeline(view.as_ref(), 0)
        .into_iter()
        .map(|(_, what)| what)
        .collect();
    assert_eq!(row.state, TxState::Cancelled);
    assert_eq!(
        last,
        [
            What::Proposed,
            What::Signed,
            What::BlockLost,
            What::Confirmed
        ]
    );
}

/// Transactions and what happened to them, of a batch of wallet 0.
pub(crate) fn timeline(view: &dyn orebook_replay::rows::View, batch: u64) -> Vec<(u16, What)> {
    let rows = steps(view, 0, batch).expect("rows");
    rows.iter().map(|row| (row.tx, row.what)).collect()
}

#[test]
fn a_halted_wallet_signs_nothing_and_follows_what_it_sent() {
    let table = rich(
        "",
        "batch txs=3: anna 5, ben 5, carl 5
         tx 0 signed
         halts 0
         tx 1 signed
         tx 0 signed again
         tx 0 broadcast
         tx 0 confirmed
         tx 1 cancelled
         batch: anna 5
         batch wallet=1: anna 5
         resumes 0 late
         resumes 0 waits
         tx 2 signed
         approved
         tx 2 signed
         tx 2 confirmed
         resumes 0
         batch: anna 5
         = anna available 14.7
         = anna paid 5
         = anna reserved 10
         = ben available 19.8
         = carl available 2.5
         = carl paid 5
         = donation -57",
    );
    assert_eq!(
        table.refusals(),
        ["halted", "halted", "halted", "expects", "halted", "state"]
    );
}

#[test]
fn a_resume_does_nothing_once_the_wallet_was_halted_again() {
    let mut table = rich(
        "",
        "halts 0
         resumes 0 waits
         halts 0
         approved
         batch: anna 5
         = anna available 29.7
         = ben available 19.8
         = carl available 7.5
         = donation -57",
    );
    assert_eq!(table.refusals(), ["expects", "halted"]);
    table.then("resumes 0");
    table.then("batch: anna 5");
    assert_eq!(table.refusals(), ["expects", "halted"]);
    let view = table.rows().view().expect("a view");
    let said = halts(view.as_ref(), 0, None, 10).expect("rows");
    let shown: Vec<_> = said
        .iter()
        .map(|row| (row.halts, row.taken.is_some()))
        .collect();
    assert_eq!(
        shown,
        [(false, true), (true, true), (false, false), (true, true)]
    );
    let older = halts(view.as_ref(), 0, Some(said[0].at), 2).expect("rows");
    assert_eq!(older, said[1..3]);
}

/// States, in their order: unsigned, signed, broadcast, seen, confirmed, final, conflicted (X), failed (D), unknown (N),
/// cancelled (K).
pub(crate) const LETTERS: &str = "USBECFXDNK";

/// Events, and the states from which they are obeyed (rules, 8.9).
pub(crate) const EVENTS: [(&str, &str); 10] = [
    ("tx 0 signed again", "USBENX"),
    ("tx 0 broadcast", "SECNX"),
    ("tx 0 seen", "SBCNX"),
    ("tx 0 confirmed fee=1", "SBENX"),
    ("tx 0 final fee=1", "C"),
    ("tx 0 conflicted", "SBECN"),
    ("tx 0 unknown", "SBECX"),
    ("tx 0 failed fee=1", "SBECNX"),
    ("tx 0 cancelled", "U"),
    ("tx 0 cancelled by=X", "SBECNX"),
];

/// Statements that bring a transaction into each state.
const INTO: [(TxState, &str); 10] = [
    (TxState::Unsigned, ""),
    (TxState::Signed, "tx 0 signed"),
    (TxState::Broadcast, "tx 0 signed\ntx 0 broadcast"),
    (TxState::Seen, "tx 0 signed\ntx 0 seen"),
    (TxState::Confirmed, "tx 0 signed\ntx 0 confirmed fee=1"),
    (
        TxState::Final,
        "tx 0 signed\ntx 0 confirmed fee=1\ntx 0 final fee=1",
    ),
    (TxState::Conflicted, "tx 0 signed\ntx 0 conflicted"),
    (TxState::Failed, "tx 0 signed\ntx 0 failed fee=1"),
    (TxState::Unknown, "tx 0 signed\ntx 0 unknown"),
    (TxState::Cancelled, "tx 0 cancelled"),
];

#[test]
fn every_state_leads_where_the_table_says_and_nowhere_else() {
    for (letter, (from, way)) in LETTERS.chars().zip(INTO) {
        for (event, expected) in EVENTS {
            let mut table = rich("", &format!("batch: anna 5\n{way}\n= {}", held(from)));
            let before = state(&mut table);
            assert_eq!(before, from);
            table.then(event);
            let is_obeyed = table.refusals().is_empty();
            assert_eq!(
                is_obeyed,
                expected.contains(letter),
                "{event} from {from:?}"
            );
            assert_eq!(
                state(&mut table) == from,
                !is_obeyed || event.contains(from.name())
            );
        }
    }
}

/// All books where anna's only line is in a state.
fn held(state: TxState) -> String {
    let rest = "= ben available 19.8\n= carl available 7.5\n= donation -57";
    let fee = "= network_fees -1\n= wallet 1";
    match state {
        TxState::Confirmed | TxState::Final => {
            format!("anna available 24.7\n= anna paid 5\n{rest}\n{fee}")
        }
        TxState::Failed => format!("anna available 29.7\n{rest}\n{fee}"),
        TxState::Cancelled => format!("anna available 29.7\n{rest}"),
        _ => format!("anna available 24.7\n= anna reserved 5\n{rest}"),
    }
}

fn state(table: &mut Table) -> TxState {
    let view = table.rows().view().expect("a view");
    let row = tx(view.as_ref(), 0, 0, 0).expect("rows");
    row.expect("a transaction").state
}

#[test]
fn events_of_a_transaction_compare_and_name_what_is_theirs() {
    let table = rich(
        "",
        "batch: anna 5
         tx 7 signed
         tx 0 batch=3 signed
         tx 0 wallet=2 signed
         tx 0 signed late
         tx 0 signed bytes=other
         tx 0 signed txid=T
         tx 0 signed again spends=other
         tx 0 signed again txid=T
         tx 0 broadcast late
         tx 0 broadcast version=9
         tx 0 confirmed version=9
         tx 0 cancelled by=itself
         tx 0 cancelled late by=X
         tx 0 broadcast
         tx 0 signed again parts
         tx 0 confirmed version=0 fee=3
         = anna available 24.7
         = anna paid 5
         = ben available 19.8
         = carl available 7.5
         = donation -57
         = network_fees -3
         = wallet 3",
    );
    assert_eq!(
        table.refusals(),
        [
            "unknown", "unknown", "unknown", "expects", "whole", "state", "state", "expects",
            "state", "state", "state", "expects",
        ]
    );
}

#[test]
fn a_transaction_has_so_many_versions_and_no_more() {
    let again = "tx 0 signed again\n".repeat(payouts::VERSIONS_MAX);
    let mut table = rich(
        "",
        &format!(
            "batch: anna 5
             {again}
             = anna available 24.7
             = anna reserved 5
             = ben available 19.8
             = carl available 7.5
             = donation -57"
        ),
    );
    assert_eq!(table.refusals(), [""; 0]);
    table.then("tx 0 signed again");
    assert_eq!(table.refusals(), ["state"]);
    let view = table.rows().view().expect("a view");
    let row = tx(view.as_ref(), 0, 0, 0)
        .expect("rows")
        .expect("a transaction");
    assert_eq!(row.txids.len(), payouts::VERSIONS_MAX);
    for (number, at) in (1..).zip(&row.signed) {
        let bytes = raw(view.as_ref(), 0, 0, 0, *at).expect("rows");
        let expected = format!("0 0 0 version {number}").into_bytes();
        assert_eq!(bytes, Some(expected));
    }
}
