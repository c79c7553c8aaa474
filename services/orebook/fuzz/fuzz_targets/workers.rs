//! libFuzzer's door to `fuzz_workers`.

#![no_main]

#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    entry::fuzz_workers(data);
});
