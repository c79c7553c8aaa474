use scrypt::Params;

use super::*;

/// The crate's hash with N = 2^log_n.
fn oracle(header: &[u8; HEADER_BYTES], log_n: u8) -> Hash {
    let mut hash = [0; 32];
    let params = Params::new(log_n, 1, 1).unwrap();
    scrypt::scrypt(header, header, &params, &mut hash).unwrap();
    Hash(hash)
}

fn ways() -> Vec<Way> {
    let mut ways = vec![Way::Plain];
    #[cfg(target_arch = "x86_64")]
    ways.extend(Rows::all().into_iter().map(Way::Rows));
    ways
}

/// Headers that differ in every byte.
fn header(seed: u8) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    for (byte, at) in header.iter_mut().zip(0u8..) {
        *byte = at.wrapping_mul(31).wrapping_add(seed.wrapping_mul(97));
    }
    header
}

fn pad(log_n: u8) -> Vec<Slot> {
    vec![[0xa5; SLOT_BYTES]; 1 << log_n]
}

#[test]
fn every_way_hashes_as_the_crate_does_alone_and_side_by_side() {
    for log_n in [1, 2, 3, 5, 8, 10] {
        for way in ways() {
            let mut pads = [pad(log_n), pad(log_n), pad(log_n)];
            for seed in 0..4 {
                let (one, two) = (header(seed), header(seed + 100));
                let expected = [oracle(&one, log_n), oracle(&two, log_n)];
                let [a, b, c] = pads.each_mut().map(|pad| pad.as_mut_slice());
                let found = hashes(way, [&one, &two], [a, b]);
                assert_eq!(found, expected, "N = 2^{log_n}, header {seed}, {way:?}");
                // What is left in a pad changes nothing.
                assert_eq!(hashes(way, [&two], [c]), [expected[1]], "{way:?}");
                assert_eq!(hashes(way, [&one], [a]), [expected[0]], "{way:?}");
            }
        }
    }
}

#[test]
fn a_pad_that_is_too_small_is_refused_and_a_crooked_one_is_as_good() {
    for (bytes, skip, fits) in [
        (255, 0, false),
        (256, 0, true),
        (256, 1, false),
        (400, 7, true),
    ] {
        let mut pad = vec![0; bytes];
        let slots = slots(pad.get_mut(skip..).unwrap(), 2);
        assert_eq!(slots.is_some(), fits, "{bytes} bytes from {skip} on");
        if let Some(slots) = slots {
            let found = hashes(Way::detect(), [&header(1)], [slots]);
            assert_eq!(
                found,
                [oracle(&header(1), 1)],
                "{bytes} bytes from {skip} on"
            );
        }
    }
    let mut small = vec![0; SCRYPT2_PAD_BYTES - 1];
    assert_eq!(scrypt2(&header(0), &mut small), None);
    assert_eq!(scrypt2_pair([&header(0); 2], [&mut [], &mut small]), None);
}

/// At Verium's N the crate needs a second or two: once.
#[test]
fn a_real_hash_is_the_crates() {
    let (one, two) = (header(7), header(8));
    let expected = oracle(&one, 20);
    let [mut first, mut second] = [vec![0; SCRYPT2_PAD_BYTES], vec![1; SCRYPT2_PAD_BYTES + 70]];
    assert_eq!(scrypt2(&one, &mut first), Some(expected));
    let both = scrypt2_pair([&two, &one], [&mut first, &mut second]);
    assert_eq!(both, Some([scrypt2_alone(&two), expected]));
}
