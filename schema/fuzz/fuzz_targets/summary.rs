//! libFuzzer's door to `fuzz_summary`.

#![no_main]
#![allow(dead_code, reason = "each target uses one of the six entries")]

#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    entry::fuzz_summary(data);
});
