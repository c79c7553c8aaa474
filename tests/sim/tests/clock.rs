//! The clock is set back while frames are on their way and lost: nobody waits until it is there again.

#![allow(
    clippy::expect_used,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_ledger::spool::FILE_BYTES_MIN;
use orebook_schema::{Event, LedgerId, Role};
use orebook_sim::broker::SimBroker;
use orebook_sim::ground::{self, Speaker, archive};

const LEDGER: LedgerId = LedgerId([6; 16]);
const HOUR_MS: u64 = 3_600_000;
/// Milliseconds between two turns.
const STEP_MS: u64 = 100;
/// Turns until whatever was lost is final: 70 seconds; a heartbeat alone has its tree head after 60.
const TURNS_MAX: u64 = 700;

#[test]
fn what_was_lost_is_sent_again_although_the_clock_was_set_back() {
    let genesis = ground::genesis(LEDGER, &[(1, Role::Desk), (2, Role::Archiver)]);
    let mut now = 1_700_000_000_000;
    // Whose frame the log loses: what somebody says, or the archiver's tree head that covers it.
    for loses_head in [false, true] {
        let mut broker = SimBroker::new(7);
        let of_archiver = ground::disk_with_genesis(&genesis, 1, 1, "archive");
        let mut archiver = ground::archiver(of_archiver, LEDGER, 2, now);
        let disk = ground::disk_with_genesis(&genesis, 1, 2, "mirror");
        let config = ground::spool_config(LEDGER, Role::Desk, FILE_BYTES_MIN);
        let mut desk = Speaker::new(disk, &genesis, 1, config, now);
        for _ in 0..TURNS_MAX {
            now += STEP_MS;
            archive(&mut archiver, &mut broker, now);
            desk.turn(&mut broker, now);
        }
        assert!(0 < desk.reader.final_size(), "the ledger is open");
        desk.say(now, &[Event::Heartbeat]);
        if loses_head {
            desk.turn(&mut broker, now);
            archive(&mut archiver, &mut broker, now);
        }
        // Sends that fail: nobody knows whether they happened, and they did not.
        broker.set_available(false);
        for _ in 0..TURNS_MAX {
            now += STEP_MS;
            desk.turn(&mut broker, now);
            archive(&mut archiver, &mut broker, now);
        }
        assert!(!desk.is_idle(), "it is not final");
        broker.set_available(true);
        now -= HOUR_MS;
        let mut turns = 0;
        while !desk.is_idle() {
            turns += 1;
            assert!(turns <= TURNS_MAX, "lost head {loses_head}: not sent again");
            now += STEP_MS;
            archive(&mut archiver, &mut broker, now);
            desk.turn(&mut broker, now);
        }
        now += HOUR_MS;
    }
}
