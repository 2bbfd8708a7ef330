//! Where there are no instructions for SHA-256 that we use: a midstate that cannot be made.

use crate::layout::State;

/// Tickets drawn at once.
pub(crate) const AT_ONCE: usize = 2;

/// Never made.
pub(crate) enum Midstate {}

impl Midstate {
    /// Always `None`: tickets are hashed by `labora-pouw`.
    pub(crate) fn new(_: &[u8; 64]) -> Option<Self> {
        None
    }

    /// Never called.
    pub(crate) fn digests(&self, _: [&State; AT_ONCE]) -> [[u32; 8]; AT_ONCE] {
        match *self {}
    }
}
