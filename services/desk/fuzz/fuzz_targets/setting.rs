//! libFuzzer's door to `fuzz_setting`.

#![no_main]

#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    entry::fuzz_setting(data);
});
