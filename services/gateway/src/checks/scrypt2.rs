//! scrypt²: each thread has the scratchpads of two hashes, since two take hardly longer than one.

use std::fmt;
use std::io;
use std::time::Duration;

use memmap2::MmapMut;
use orebook_pow::{HEADER_BYTES, SCRYPT2_PAD_BYTES, scrypt2, scrypt2_pair};
use orebook_schema::Hash;

use super::lane::Check;

/// See the module.
pub(crate) struct Scrypt2 {
    pads: [Scratchpad; 2],
}

/// The memory of one scrypt² hash, [`SCRYPT2_PAD_BYTES`], in huge pages where the system has them: with small ones a hash
/// takes a third longer.
pub struct Scratchpad(MmapMut);

impl Scratchpad {
    /// Takes the memory. It is the system's until it is written.
    ///
    /// # Errors
    /// The system has none.
    pub fn new() -> io::Result<Self> {
        let pad = MmapMut::map_anon(SCRYPT2_PAD_BYTES)?;
        #[cfg(target_os = "linux")]
        if let Err(error) = pad.advise(memmap2::Advice::HugePage) {
            tracing::info!(%error, "no huge pages for scrypt²: its checks take longer");
        }
        Ok(Self(pad))
    }

    /// The memory.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl fmt::Debug for Scratchpad {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Scratchpad").finish_non_exhaustive()
    }
}

impl fmt::Debug for Scrypt2 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Scrypt2").finish_non_exhaustive()
    }
}

impl Scrypt2 {
    /// Takes the memory.
    ///
    /// # Errors
    /// The system has none.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            pads: [Scratchpad::new()?, Scratchpad::new()?],
        })
    }
}

impl Check for Scrypt2 {
    type Question = [u8; HEADER_BYTES];
    type Answer = Hash;
    const NAME: &'static str = "gateway-scrypt2";
    const TOGETHER: usize = 2;
    const GUESS: Duration = Duration::from_millis(400);

    fn go_together(_: &Self::Question, _: &Self::Question) -> bool {
        true
    }

    /// Touches the pads, so that the first miner does not wait for the system's pages.
    fn begin(&mut self) {
        for pad in &mut self.pads {
            pad.bytes().fill(0);
        }
    }

    fn check(&mut self, questions: &[Self::Question], answers: &mut Vec<Self::Answer>) {
        let [first, second] = self.pads.each_mut().map(Scratchpad::bytes);
        let (pairs, single) = questions.as_chunks::<2>();
        for [one, two] in pairs {
            let hashes = scrypt2_pair([one, two], [&mut *first, &mut *second]);
            answers.extend(hashes.into_iter().flatten());
        }
        answers.extend(single.iter().filter_map(|header| scrypt2(header, first)));
    }
}
