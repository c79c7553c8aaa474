//! What a settler counts, for `/metrics`.

use orebook_schema::work::BlockState;

orebook_producer::counters! {
    "settler":
    /// Blocks looked at.
    looks,
    /// Questions to the chain without an answer.
    no_answers,
    /// Statuses appended: seen.
    said_seen,
    /// Statuses appended: immature.
    said_immature,
    /// Statuses appended: confirmed.
    said_confirmed,
    /// Statuses appended: orphaned.
    said_orphaned,
    /// Statuses appended: uncle.
    said_uncle,
    /// Recovered blocks appended.
    said_recovered,
    /// Means of fees appended.
    said_fee_means,
    /// Blocks on the chain that pay nobody of ours, or less than was said of them, at the last look: alarm, they are not settled.
    unpaid_blocks,
    /// Blocks of which another settler keeps saying otherwise, at the last look: alarm, their nodes disagree with ours.
    disputed_blocks,
    /// Statuses and recovered blocks in the ledger, anybody's, that were not obeyed.
    refused_events,
    /// 1 while the ledger refuses this producer's frames: alarm, its key is not in force.
    key_refused,
    /// Times that the spool had no room.
    spool_full,
    /// Coinbases of ours that wait for a share to explain them.
    strangers,
    /// Next height that is looked through for coinbases of ours.
    scan_height,
    /// Final positions read.
    final_size,
    /// 1 while what was said last is not final yet.
    waiting,
}

impl Counters {
    pub(crate) fn said(&self, state: BlockState) {
        let counter = match state {
            BlockState::Seen => &self.said_seen,
            BlockState::Immature => &self.said_immature,
            BlockState::Confirmed => &self.said_confirmed,
            BlockState::Orphaned => &self.said_orphaned,
            BlockState::Uncle => &self.said_uncle,
        };
        Self::add(counter, 1);
    }
}
