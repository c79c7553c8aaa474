//! Where fuzzing enters: any bytes may come, nothing may panic, a fault has a place in the text and words, and what is
//! understood is something that a ledger can hold. Used by the targets beside it and, on stored and changed inputs, by
//! `services/orebook/tests/config.rs`.

#![allow(dead_code, reason = "each target calls one of the two")]

use orebook::config::{FILE_BYTES_MAX, parse};
use orebook::workers;

/// A configuration file. Says whether it is understood.
pub(crate) fn fuzz_config(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        // `read` refuses such a file.
        return false;
    };
    if FILE_BYTES_MAX < data.len() as u64 {
        return false;
    }
    match parse(text) {
        Ok(config) => {
            let rules = config.pool.rules();
            assert!(
                (1..=16).contains(&rules.len()),
                "a pool has one to sixteen pots"
            );
            assert!(
                rules.is_sorted_by(|a, b| a.pot < b.pot),
                "each pot stands once, in its place"
            );
            for rules in &rules {
                let is_legal = rules.fee_ppm <= 1_000_000 && 1 <= rules.n_ppm;
                assert!(is_legal, "the ledger can hold the rules");
            }
            let gateways = config.gateways();
            assert!(!gateways.is_empty(), "a pool has a gateway");
            for gateway in &gateways {
                assert!(!gateway.port.is_empty(), "a gateway has a port");
                for port in &gateway.port {
                    let one = port.difficulty.is_some() != port.vardiff.is_some();
                    assert!(one, "a port has one rule of difficulty");
                }
            }
            assert!(
                config.node.is_empty() || config.pool.payout_address.is_some(),
                "who has a node says who is paid"
            );
            true
        }
        Err(fault) => {
            assert!(!fault.message.is_empty(), "a fault has words");
            let line = text.split('\n').nth(fault.line.saturating_sub(1));
            let line = line.expect("a fault stands in a line of the text");
            let columns = 1..=line.chars().count() + 1;
            assert!(columns.contains(&fault.column), "and in a column of it");
            false
        }
    }
}

/// A list of workers. Says whether it is understood.
pub(crate) fn fuzz_workers(data: &[u8]) -> bool {
    match workers::parse(data) {
        Ok(names) => {
            assert!(names.len() <= workers::WORKERS_MAX, "a list has a limit");
            assert!(
                names.is_sorted_by(|a, b| a < b),
                "each name stands once, in its place"
            );
            // What was read, written plainly, is read again.
            let mut plain = String::from("worker\n");
            for name in &names {
                plain.push_str(name.as_str());
                plain.push('\n');
            }
            assert_eq!(workers::parse(plain.as_bytes()), Ok(names), "{plain}");
            true
        }
        Err(faults) => {
            let count = 1..=workers::FAULTS_MAX;
            assert!(count.contains(&faults.len()), "a fault is said, not all");
            let lines = 1..=data.split(|byte| *byte == b'\n').count();
            for fault in &faults {
                assert!(lines.contains(&fault.line), "{fault}: a line of the file");
            }
            assert!(
                faults.is_sorted_by(|a, b| a.line < b.line),
                "one fault a line, in their order"
            );
            false
        }
    }
}
