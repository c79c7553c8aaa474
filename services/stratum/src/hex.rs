//! Strict hex: exact sizes, either case, no prefix, no sign, no space.

/// A `u32` of exactly eight digits, big-endian.
pub(crate) fn u32_of(text: &[u8]) -> Option<u32> {
    let digits: &[u8; 8] = text.try_into().ok()?;
    let mut value = 0_u32;
    let mut bad = 0_u8;
    for digit in digits {
        let nibble = NIBBLES.get(usize::from(*digit)).copied().unwrap_or(BAD);
        bad |= nibble;
        value = value << 4 | u32::from(nibble & 15);
    }
    (bad < BAD).then_some(value)
}

/// Fills `bytes` from exactly twice as many digits; says whether it could.
pub(crate) fn fill(text: &[u8], bytes: &mut [u8]) -> bool {
    let (pairs, odd) = text.as_chunks::<2>();
    if !odd.is_empty() || pairs.len() != bytes.len() {
        return false;
    }
    let nibble = |digit: u8| NIBBLES.get(usize::from(digit)).copied().unwrap_or(BAD);
    let mut bad = 0_u8;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (nibble(*high), nibble(*low));
        bad |= high | low;
        *byte = high << 4 | low & 15;
    }
    bad < BAD
}

/// A number of 1 to 8 digits.
pub(crate) fn short_u32(text: &[u8]) -> Option<u32> {
    if text.is_empty() || 8 < text.len() {
        return None;
    }
    let mut value = 0_u32;
    for digit in text {
        let nibble = NIBBLES.get(usize::from(*digit)).copied().unwrap_or(BAD);
        if BAD <= nibble {
            return None;
        }
        value = value << 4 | u32::from(nibble);
    }
    Some(value)
}

/// Appends lower-case hex.
pub(crate) fn write(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?');
    out.reserve(2 * bytes.len());
    for byte in bytes {
        out.extend([digit(byte >> 4), digit(byte & 15)]);
    }
}

/// Marks what is no digit; above every nibble, so that an OR of nibbles keeps it.
const BAD: u8 = 0x80;

const NIBBLES: [u8; 256] = {
    let mut table = [BAD; 256];
    let (mut rest, mut number) = (table.as_mut_slice(), 0_u8);
    while let Some((first, after)) = rest.split_first_mut() {
        *first = match number {
            b'0'..=b'9' => number - b'0',
            b'a'..=b'f' => number - b'a' + 10,
            b'A'..=b'F' => number - b'A' + 10,
            _ => BAD,
        };
        number = number.wrapping_add(1);
        rest = after;
    }
    table
};
