//! Money rules, section 3: whose a block is.

use crate::table::table;

#[test]
fn a_window_that_is_not_filled_pays_all_of_the_reward() {
    // N = 1,000; there are 100.
    table(
        "policy
         g1 job 1000
         g1 frame: anna 30, ben 20
         g1 frame: anna 50 finds A
         = nothing
         A immature 50
         = anna immature 40
         = ben immature 10",
    );
}

#[test]
fn a_window_that_is_exactly_filled_ends_at_the_entry_before() {
    // N = 100 = 20 + 30 + 50; the 7 of carl are older.
    table(
        "policy
         g1 job 100
         g1 frame: carl 7, anna 20
         g1 frame: ben 30, anna 50 finds A
         A immature 100
         = anna immature 70
         = ben immature 30",
    );
}

#[test]
fn a_window_that_is_exactly_filled_by_a_frame_takes_it_whole() {
    table(
        "policy
         g1 job 100
         g1 frame: carl 7
         g1 frame: anna 20, ben 30
         g1 frame: anna 50 finds A
         A immature 100
         = anna immature 70
         = ben immature 30",
    );
}

#[test]
fn a_window_cut_inside_a_share_counts_what_is_left_of_it() {
    // 50 + 30 = 80, so 20 of ben's 60 count.
    table(
        "policy
         g1 job 100
         g1 frame: ben 60
         g1 frame: carl 30
         g1 frame: anna 50 finds A
         A immature 100
         = anna immature 50
         = ben immature 20
         = carl immature 30",
    );
}

#[test]
fn a_window_cut_inside_the_oldest_frame_takes_its_last_shares_whoever_sent_them() {
    // Backwards: 10 (anna), then 15 (carl), 20 (ben), 25 (anna), 30 of ben's 40; dora is older.
    table(
        "policy
         g1 job 100
         g1 frame: dora 99, ben 40, anna 25, ben 20, carl 15
         g1 frame: anna 10 finds A
         A immature 100
         = anna immature 35
         = ben immature 50
         = carl immature 15",
    );
}

#[test]
fn a_window_smaller_than_the_finding_share_is_the_finders() {
    // N = max(1, floor(10 · 1 / 10^6)) = 1.
    table(
        "policy n=1
         g1 job 10
         g1 frame: ben 5, anna 7 finds A
         A immature 100
         = anna immature 100",
    );
}

#[test]
fn shares_after_the_finding_one_do_not_count_and_those_before_it_in_its_frame_do() {
    table(
        "policy
         g1 job 1000
         g1 frame: ben 30, anna 10 finds A, carl 60
         g1 frame: carl 60
         A immature 40
         = anna immature 10
         = ben immature 30",
    );
}

#[test]
fn the_window_may_begin_inside_the_finding_frame() {
    // 50, then 30 of carl's 40, then 20 of ben's 60: N = 100... carl's 40 whole, 10 of ben's.
    table(
        "policy
         g1 job 100
         g1 frame: dora 1000
         g1 frame: ben 60, carl 40, anna 50 finds A
         A immature 100
         = anna immature 50
         = ben immature 10
         = carl immature 40",
    );
}

#[test]
fn one_frame_or_many_make_no_difference() {
    let books = "= anna immature 45
         = ben immature 40
         = carl immature 15";
    for frames in [
        "g1 frame: ben 45, anna 25, ben 20, carl 15, anna 20 finds A",
        "g1 frame: ben 45, anna 25
         g1 frame: ben 20, carl 15
         g1 frame: anna 20 finds A",
        "g1 frame: ben 45
         g1 frame: anna 25
         g1 frame: ben 20
         g1 frame: carl 15
         g1 frame: anna 20 finds A",
        "g1 frame: ben 45
         g1 frame: anna 25, ben 20, carl 15
         g1 restarts
         g1 frame: anna 20 finds A",
    ] {
        table(&format!(
            "policy\ng1 job 100\n{frames}\nA immature 100\n{books}"
        ));
    }
}

#[test]
fn two_gateways_share_one_pot_and_one_order() {
    // Each gateway's worker 0 is somebody else. In the ledger's order the last 100 are: anna 50, carl 20, ben 25, 5 of anna's 10.
    table(
        "policy
         g1 job 100
         g2 job 100
         g1 frame: ben 80
         g2 frame: anna 10
         g1 frame: ben 25
         g2 frame: carl 20
         g1 frame: anna 50 finds A
         A immature 100
         = anna immature 55
         = ben immature 25
         = carl immature 20",
    );
}

#[test]
fn the_window_is_measured_by_the_finding_shares_job() {
    // The network work rises from 50 to 200: block A takes 50 of work, block B 200.
    table(
        "policy
         g1 job 50
         g1 frame: ben 40, anna 20 finds A
         g1 job 200
         g1 frame: carl 100, anna 80 finds B
         A immature 100
         = anna immature 40
         = ben immature 60
         B immature 100
         = anna immature 90
         = ben immature 60
         = carl immature 50",
    );
    // B: anna 80, carl 100, anna 20 = 200.
}

#[test]
fn difficulty_that_moves_weighs_each_share_by_its_own_work() {
    table(
        "policy n=2000000
         g1 job 100
         g1 frame: ben 1, ben 2, ben 4, ben 8, ben 16
         g1 frame: anna 64, anna 1, anna 3, anna 1 finds A
         A immature 100
         = anna immature 69
         = ben immature 31",
    );
}

#[test]
fn the_same_account_in_two_gateways_and_after_a_restart_is_one_account() {
    table(
        "policy
         g1 job 100
         g2 job 100
         g1 frame: anna 30
         g2 frame: ben 20, anna 10
         g1 restarts
         g1 frame: carl 5, anna 35 finds A
         A immature 100
         = anna immature 75
         = ben immature 20
         = carl immature 5",
    );
}

#[test]
fn stale_shares_are_paid_what_the_policy_says() {
    // floor(50 · 0.5) = 25 of ben's 50; carl's stale share in the SOLO pot concerns nobody here.
    table(
        "policy stale=500000
         g1 job 100
         g1 frame: ben 50 stale, carl@solo 40 stale
         g1 frame: anna 75 finds A
         A immature 100
         = anna immature 75
         = ben immature 25",
    );
    table(
        "policy stale=0
         g1 job 100
         g1 frame: carl 100, ben 50 stale
         g1 frame: anna 75 finds A
         A immature 100
         = anna immature 75
         = carl immature 25",
    );
}

#[test]
fn a_stale_share_cut_by_the_window_counts_by_its_credit() {
    // Credits: ben floor(51 · 1/3) = 16 (333,333 ppm), carl 90. N = 100: anna 50, carl 50 of 90. With N = 200: carl 90, ben 16.
    table(
        "policy stale=333333
         g1 job 150
         g1 frame: dora 9, ben 51 stale, carl 90
         g1 frame: anna 50 finds A
         A immature 150
         = anna immature 50
         = ben immature 10
         = carl immature 90",
    );
}

#[test]
fn shares_of_a_void_job_credit_nothing() {
    table(
        "policy
         g1 job 100 void
         g1 frame: ben 500
         g1 job 100
         g1 frame: carl 30, anna 50 finds A
         A immature 80
         = anna immature 50
         = carl immature 30",
    );
}

#[test]
fn a_void_job_in_the_frame_that_is_cut_is_passed_over() {
    // The oldest frame is walked share by share: those of the void job weigh nothing.
    table(
        "policy
         g2 job 100 void
         g2 frame: ben 500
         g2 job 100
         g2 frame: carl 80
         g1 job 100
         g1 frame: anna 50 finds A
         A immature 100
         = anna immature 50
         = carl immature 50",
    );
}

#[test]
fn a_pot_sees_its_own_entries_only() {
    table(
        "policy
         g1 job 100
         g1 frame: ben@solo 500, carl 20
         g1 frame: anna 30 finds A, ben@solo 700
         A immature 50
         = anna immature 30
         = carl immature 20",
    );
}

#[test]
fn moved_shares_count_once_where_they_were_moved_to() {
    let moves = "g1 job 100
         g2 job 100
         g1 frame: anna 20
         g1 lost: ben 30, anna 5
         g2 frame: carl 10
         g1 moves";
    let books = "A immature 100
         = anna immature 40
         = ben immature 30
         = carl immature 30";
    // Backwards: carl 20, anna 5, ben 30 (moved), carl 10, anna 35 — of 1,000.
    table(&format!(
        "policy\ng1 job 100\ng1 frame: anna 15\n{moves}\ng2 frame: carl 20 finds A\n{books}"
    ));
    // Said again, they change nothing.
    table(&format!(
        "policy\ng1 job 100\ng1 frame: anna 15\n{moves}\ng1 moves\ng1 moves\ng2 frame: carl 20 finds A\n{books}"
    ));
}

#[test]
fn moved_shares_that_stand_twice_in_one_frame_count_once() {
    table(
        "policy
         g1 job 1000
         g2 job 1000
         g1 lost: ben 30, anna 5
         g1 moves twice
         g2 frame: carl 20 finds A
         A immature 110
         = anna immature 10
         = ben immature 60
         = carl immature 40",
    );
}

#[test]
fn a_window_cut_inside_a_frame_of_moved_shares_walks_them_in_their_order() {
    // Backwards: carl 20, then moved: anna 5, ben 30 → 55; N = 40 takes carl 20, anna 5, 15 of ben's 30.
    table(
        "policy
         g1 job 40
         g2 job 40
         g1 frame: anna 20
         g1 lost: dora 50, ben 30, anna 5
         g1 moves
         g2 frame: carl 20 finds A
         A immature 40
         = anna immature 5
         = ben immature 15
         = carl immature 20",
    );
}

#[test]
fn a_block_among_moved_events_is_found_by_its_moved_share() {
    table(
        "policy bonus=100000
         g1 job 100
         g1 frame: anna 20
         g1 lost: ben 30 finds A, carl 50
         g1 moves
         A immature 50
         = anna immature 18
         = ben immature 32",
    );
    // G = 50: bonus 5 to ben; 45 by 20 : 30 = 18 and 27.
}

#[test]
fn a_block_that_is_moved_twice_is_one_block() {
    let table = table(
        "policy
         g1 job 100
         g1 lost: ben 30 finds A
         g1 moves
         g1 moves
         A immature 50
         = ben immature 50",
    );
    assert_eq!(table.refusals(), Vec::<&str>::new());
}

#[test]
fn solo_pays_the_finder_whatever_others_did() {
    table(
        "policy fee=10000
         g1 job 100
         g1 frame: anna@solo 500, ben 300
         g1 frame: ben@solo 1 finds A
         A immature 50
         = ben immature 49.5
         = fee 0.5",
    );
}

#[test]
fn a_block_pays_under_its_jobs_policy_whatever_came_later() {
    table(
        "policy fee=100000
         g1 job 100
         policy fee=0
         g2 job 100
         g1 frame: anna 10 finds A
         g2 frame: anna 10 finds B
         A immature 100
         = anna immature 90
         = fee 10
         B immature 100
         = anna immature 190
         = fee 10",
    );
}

#[test]
fn the_weights_are_work_by_account_and_add_up_to_the_window() {
    let table = table(
        "policy
         g1 job 100
         g1 frame: ben 60, carl 1
         g1 frame: anna 50 finds A
         A immature 100
         = anna immature 50
         = ben immature 49
         = carl immature 1",
    );
    assert_eq!(table.weights("A"), Some(100));
    assert_eq!(table.weights("B"), None);
}
