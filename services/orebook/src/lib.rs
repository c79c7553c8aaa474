//! What of the binary others call: the configuration. Its fuzz target and its corpus's test enter here; everything else is the
//! binary's own (`main.rs`).

pub mod config;
