//! libFuzzer's door to `fuzz_tx`.

#![no_main]

#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    entry::fuzz_tx(data);
});
