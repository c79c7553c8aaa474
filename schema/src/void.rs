//! A share that was credited twice (section 3, kind 25).
//!
//! Only ledgers of ethash and etchash have it: elsewhere each gateway's tag makes it impossible.

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::units::At;

/// The archiver's word that a share repeats an earlier one, so that its work is taken back. The first of a share is obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Void {
    /// The share that is taken back, the subject: its own event, or the `moved` event that said it again.
    pub share: At,
    /// The counted share that it repeats; earlier than `share`.
    pub first: At,
    /// The share's last obeyed void: zero, since only the first is obeyed.
    pub expects: At,
}

pub(crate) fn write_void(void: &Void, out: &mut Vec<u8>) {
    out.put_at(void.share);
    out.put_at(void.first);
    out.put_at(void.expects);
}

pub(crate) fn read_void(reader: &mut Reader<'_>) -> Decoded<Void> {
    let void = Void {
        share: reader.at()?,
        first: reader.at()?,
        expects: reader.at()?,
    };
    if void.first < void.share {
        Ok(void)
    } else {
        Err(DecodeError::Order("a void's shares"))
    }
}
