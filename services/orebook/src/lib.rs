//! What of the binary others call: the configuration and lists of workers. Their fuzz targets and corpora's tests enter here;
//! everything else is the binary's own (`main.rs`).

pub mod config;
pub mod workers;
