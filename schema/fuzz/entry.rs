//! Where fuzzing enters: any bytes may come, nothing may panic, and what decodes has one spelling.
//! Used by the targets beside it and, on stored inputs, by `schema/tests/fuzz.rs`.

use orebook_schema::activity::{Report, SIGNATURE_BYTES};
use orebook_schema::coinbase::{COINBASE_OUTPUTS_MAX, MinerOutput, miner_outputs};
use orebook_schema::event::RawEvent;
use orebook_schema::payout::{BatchBody, WHOLE_PARTS_MAX, cut_into_parts};
use orebook_schema::summary::Summary;
use orebook_schema::{Event, Frame};

/// One canonical event. Says whether the bytes are one.
pub(crate) fn fuzz_event(data: &[u8]) -> bool {
    let Ok(raw) = RawEvent::one(data) else {
        return false;
    };
    let Ok(event) = raw.decode() else {
        return false;
    };
    assert!(event.to_bytes(raw.dt) == data, "an event has one spelling");
    assert!(event.is_legal(), "what a reader accepts is legal");
    if let Event::Moved(moved) = &event {
        assert!(moved.inner().is_ok(), "a moved event has an inner one");
        assert!(fuzz_event(&moved.event), "the inner event is canonical");
    }
    true
}

/// One frame. Says whether header, summary and every event decode.
pub(crate) fn fuzz_frame(data: &[u8]) -> bool {
    let Ok(frame) = Frame::read(data.to_vec()) else {
        return false;
    };
    assert!(frame.bytes() == data, "a frame keeps its bytes");
    let header = frame.header().to_bytes();
    assert!(frame.header_bytes() == header, "a header has one spelling");
    let again = Frame::join(frame.header(), frame.summary(), frame.body());
    assert!(again.as_ref() == Ok(&frame), "pieces join to the frame");
    let mut length = 0;
    let mut events_decode = true;
    for raw in frame.events() {
        let Ok(raw) = raw else {
            return false;
        };
        length += raw.bytes.len();
        events_decode &= fuzz_event(raw.bytes);
    }
    assert!(length == frame.body().len(), "events fill the body");
    assert!(frame.decode().is_ok() == events_decode, "all or nothing");
    fuzz_summary(frame.summary()) && events_decode
}

/// One summary. Says whether the bytes are one.
pub(crate) fn fuzz_summary(data: &[u8]) -> bool {
    let Ok(summary) = Summary::read(data) else {
        return false;
    };
    assert!(summary.to_bytes() == data, "a summary has one spelling");
    let pots = &summary.pots;
    assert!(pots.is_sorted_by(|a, b| a.pot < b.pot), "pots ascend");
    for pot in pots {
        let rows = &pot.rows;
        assert!(!rows.is_empty(), "a pot has rows");
        assert!(rows.is_sorted_by(|a, b| a.worker < b.worker), "rows ascend");
        assert!(rows.iter().all(|row| 1 <= row.count), "a row has shares");
    }
    true
}

/// One report of the activity log. Says whether the bytes are one.
pub(crate) fn fuzz_activity(data: &[u8]) -> bool {
    let Ok((report, signature)) = Report::read(data) else {
        return false;
    };
    let mut again = report.signed_bytes();
    assert!(again.len() + SIGNATURE_BYTES == data.len(), "all is read");
    again.extend_from_slice(&signature);
    assert!(again == data, "a report has one spelling");
    assert!(
        report.entries.iter().all(|entry| 1 <= entry.count()),
        "an entry says something"
    );
    true
}

/// The end of a coinbase. Says whether it pays accounts.
pub(crate) fn fuzz_coinbase(data: &[u8]) -> bool {
    let outputs = miner_outputs(data);
    assert!(
        outputs.len() < COINBASE_OUTPUTS_MAX,
        "the first is the pool's"
    );
    assert!(
        outputs.iter().all(|output| 0 < output.amount),
        "an output is worth something"
    );
    // What it has of scripts and amounts stands in the bytes.
    let bytes = |output: &MinerOutput| 9 + output.script.bytes().len();
    let least: usize = outputs.iter().map(bytes).sum();
    assert!(least <= data.len(), "outputs are in the bytes");
    !outputs.is_empty()
}

/// One batch body. Says whether the bytes are one.
pub(crate) fn fuzz_batch_body(data: &[u8]) -> bool {
    let Ok(body) = BatchBody::read(data) else {
        return false;
    };
    assert!(body.to_bytes() == data, "a batch body has one spelling");
    assert!(body.is_legal(), "what a reader accepts is legal");
    let lines = &body.lines;
    assert!(!lines.is_empty(), "a batch pays somebody");
    assert!(
        lines.is_sorted_by(|a, b| a.account < b.account),
        "an account has one line"
    );
    assert!(
        lines.iter().all(|line| line.fee < line.amount),
        "a line pays something"
    );
    let parts = cut_into_parts(data).unwrap_or_default();
    assert!(
        (1..=usize::from(WHOLE_PARTS_MAX)).contains(&parts.len()),
        "parts hold every body"
    );
    true
}
