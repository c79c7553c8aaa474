//! What a desk counts, for `/metrics`.

orebook_producer::counters! {
    "desk":
    /// Commands that were written.
    said,
    /// Commands that were refused, wrong signatures included.
    refused,
    /// Commands whose signature was wrong or whose key nobody knows: alarm, if it goes on.
    wrong_signatures,
    /// Commands turned away for too many wrong signatures from their address.
    turned_away,
    /// Commands that became final and took effect, or wait for approvals.
    answered,
    /// Commands that became final and changed nothing: their subject had moved on meanwhile.
    overtaken,
    /// Commands that never reached the ledger.
    lost,
    /// Settings by accounts' owners that were written.
    settings_said,
    /// Settings by accounts' owners that were refused.
    settings_refused,
    /// Of those refused, the ones whose signature or token was wrong: alarm, if it goes on.
    settings_wrong,
    /// Questions and settings of miners turned away unread: their address asked too often.
    settings_turned_away,
    /// Commands that wait to become final.
    waiting,
    /// Things in the ledger that wait for approvals.
    unapproved,
    /// 1 while the ledger refuses this producer's frames: alarm, the desk's key is not in force.
    key_refused,
    /// Streams of this desk that were closed: alarm, another process may have a copy of this desk's folder.
    moves,
    /// Times that the spool or the audit trail had no room.
    no_room,
    /// Final positions that the desk's reader has.
    final_size,
}
