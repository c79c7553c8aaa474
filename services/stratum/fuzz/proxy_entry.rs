//! Where fuzzing of the PROXY protocol enters: any bytes may come, nothing may panic, and what was read does not depend on how
//! the bytes were split. Used by the target beside it and by `services/stratum/tests/proxy.rs`.

use orebook_stratum::{PROXY_V2_BYTES_MAX, Proxied, begins_as_proxy, read_proxy};

/// What becomes of a connection's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// A client's.
    From,
    /// The balancer's own.
    Own,
    /// They go on.
    More,
    /// No header.
    Refused,
}

/// The first bytes of a connection.
pub(crate) fn fuzz_proxy(data: &[u8]) -> Outcome {
    let read = read_proxy(data);
    let taken = match read {
        Ok(Some((_, len))) => len,
        _ => data.len().min(PROXY_V2_BYTES_MAX),
    };
    assert!(taken <= data.len(), "no byte is taken that did not come");
    for cut in 0..taken {
        let before = data.get(..cut).unwrap_or_default();
        match read_proxy(before) {
            Ok(None) => {}
            Ok(Some(_)) => panic!("a header is over before its end, at {cut}"),
            // What is refused is refused, whatever follows.
            Err(fault) => assert!(read == Err(fault), "{fault:?} at {cut} became {read:?}"),
        }
    }
    match read {
        Ok(Some((whose, len))) => {
            let alone = read_proxy(data.get(..len).unwrap_or_default());
            assert!(alone == read, "what follows a header does not matter");
            assert!(len <= PROXY_V2_BYTES_MAX && begins_as_proxy(data) == Some(true));
            match whose {
                Proxied::From(address) => {
                    assert!(address == address.to_canonical());
                    Outcome::From
                }
                Proxied::Own => Outcome::Own,
            }
        }
        Ok(None) => {
            assert!(data.len() < PROXY_V2_BYTES_MAX, "what waits is bounded");
            Outcome::More
        }
        Err(_) => Outcome::Refused,
    }
}
