//! What the fuzz target calls, and the replay of its corpus in `ledger/tests/fuzz.rs`.

use orebook_ledger::segment::record::{
    Body, FILE_HEADER_BYTES, FileHeader, put_closure, put_frame, read_record,
};

/// Any bytes as a segment's file: refused at some record, or read; what is read is written back as the same bytes. Returns
/// how many records were read; none if the file's header is refused.
pub(crate) fn fuzz_segment(data: &[u8]) -> Option<usize> {
    let header = FileHeader::read(data.get(..FILE_HEADER_BYTES)?).ok()?;
    assert_eq!(header.to_bytes(), data[..FILE_HEADER_BYTES], "one spelling");
    let mut rest = &data[FILE_HEADER_BYTES..];
    let mut count = 0;
    while let Ok((body, len)) = read_record(rest) {
        let mut again = Vec::new();
        match body {
            Body::Frame(frame) if 353 < frame.frame.len() => put_frame(&mut again, &frame),
            Body::Closure(closure) => put_closure(&mut again, &closure),
            // Too short for a frame, or a footer: written by the store alone.
            _ => again.extend_from_slice(&rest[..len]),
        }
        assert_eq!(again, rest[..len], "one spelling");
        rest = &rest[len..];
        count += 1;
    }
    Some(count)
}
