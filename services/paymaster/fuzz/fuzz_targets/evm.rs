//! libFuzzer's door to `fuzz_raw`.

#![no_main]

#[path = "../evm_entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    entry::fuzz_raw(data);
});
