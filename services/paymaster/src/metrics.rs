//! What a paymaster counts, for `/metrics`.

use orebook_schema::payout::Step;

orebook_producer::counters! {
    "paymaster":
    /// Transactions looked at.
    looks,
    /// Questions to the wallet without an answer.
    no_answers,
    /// Batches proposed.
    said_proposed,
    /// Transactions signed and recorded, replacements included.
    said_signed,
    /// Replacements among them.
    said_replaced,
    /// Steps appended: broadcast.
    said_broadcast,
    /// Steps appended: seen.
    said_seen,
    /// Steps appended: confirmed.
    said_confirmed,
    /// Steps appended: final.
    said_final,
    /// Steps appended: conflicted.
    said_conflicted,
    /// Steps appended: failed.
    said_failed,
    /// Steps appended: unknown.
    said_unknown,
    /// Transactions cancelled.
    said_cancelled,
    /// Halts appended: alarm, the paymaster found something that people have to look at.
    said_halted,
    /// Reconciliations appended.
    said_reconciled,
    /// Ledger time, milliseconds since 1970, of the wallet's last reconciliation; before the first that of its first batch, and
    /// 0 before that.
    reconciled_ms,
    /// Differences that the last reconciliation found.
    reconcile_differences,
    /// Those of them that nobody has looked at: alarm, ledger and chain do not say the same.
    reconcile_new,
    /// What the last reconciliation could not compare, since the chain does not tell.
    reconcile_silent,
    /// Confirmed blocks that the last reconciliation found without a place on the chain, and that the settler may yet say to be orphaned.
    reconcile_open,
    /// 1 while the wallet has less than `balance_min`, as of the last reconciliation.
    balance_low,
    /// Transactions given to the nodes.
    sent,
    /// Sends that the nodes refused; looks tell what became of them.
    sends_refused,
    /// Events of ours that the ledger did not obey.
    not_obeyed,
    /// Words of ours that the ledger refused, most since another paymaster's was first; the log names each.
    refused,
    /// 1 while the wallet is halted: alarm, people have to resume it.
    halted,
    /// 1 while the projectors' digests cannot be had: no batch is proposed.
    digests_missing,
    /// Accounts that are due and whose addresses the wallet does not accept, at the last plan.
    strange_addresses,
    /// Transactions that wait in memory pools longer than they should and could not be replaced, at the last look: alarm.
    stuck,
    /// Transactions of which another paymaster keeps saying otherwise: alarm, its nodes disagree with ours.
    disputed,
    /// Transactions that are signed and not at an end.
    open,
    /// Batches of this wallet that were obeyed.
    batches,
    /// Base units that the wallet can spend, at the last look; what is above 2^64 shows as 2^64 − 1.
    spendable,
    /// 1 while the ledger refuses this producer's frames: alarm, its key is not in force.
    key_refused,
    /// Times that the spool had no room.
    spool_full,
    /// Final positions read.
    final_size,
    /// 1 while what was said last is not final yet.
    waiting,
    /// Why no batch is proposed now, by number: see `Why`.
    why,
}

impl Counters {
    pub(crate) fn said(&self, step: Step) {
        let counter = match step {
            Step::Broadcast => &self.said_broadcast,
            Step::Seen => &self.said_seen,
            Step::Confirmed => &self.said_confirmed,
            Step::Final => &self.said_final,
            Step::Conflicted => &self.said_conflicted,
            Step::Failed => &self.said_failed,
            Step::Unknown => &self.said_unknown,
        };
        Self::add(counter, 1);
    }
}
