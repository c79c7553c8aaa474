//! libFuzzer's door to `fuzz_proxy`.

#![no_main]

#[path = "../proxy_entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    entry::fuzz_proxy(data);
});
