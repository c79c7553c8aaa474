//! libFuzzer's door to `fuzz_dialects`.

#![no_main]

#[path = "../dialect_entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    entry::fuzz_dialects(data);
});
