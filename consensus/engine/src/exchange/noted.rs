//! Peers of which something is remembered for a while.

use std::time::Duration;

use parking_lot::Mutex;
use sc_network_types::PeerId;
use schnellru::{ByLength, LruMap};

/// Peers remembered: 48 bytes each.
const MAX_PEERS: u32 = 1024;

/// Peers noted, each for the same time; the longest noted goes when there are too many.
pub(crate) struct Noted {
    span_ms: u64,
    at: Mutex<LruMap<PeerId, u64>>,
}

impl Noted {
    /// Nobody yet; whoever is noted is so for `span`.
    pub(crate) fn lasting(span: Duration) -> Self {
        Self {
            span_ms: span.as_millis() as u64,
            at: Mutex::new(LruMap::new(ByLength::new(MAX_PEERS))),
        }
    }

    /// Notes a peer, unless it is noted; whether it was not.
    pub(crate) fn note(&self, peer: PeerId, now_ms: u64) -> bool {
        let mut at = self.at.lock();
        let is_new = !self.lasts(at.peek(&peer), now_ms);
        if is_new {
            at.insert(peer, now_ms);
        }
        is_new
    }

    /// Whether a peer is noted.
    pub(crate) fn holds(&self, peer: PeerId, now_ms: u64) -> bool {
        self.lasts(self.at.lock().peek(&peer), now_ms)
    }

    /// Notes a peer no longer.
    pub(crate) fn forget(&self, peer: PeerId) {
        self.at.lock().remove(&peer);
    }

    /// A clock that was set back ends it.
    fn lasts(&self, noted: Option<&u64>, now_ms: u64) -> bool {
        let passed = noted.and_then(|noted| now_ms.checked_sub(*noted));
        passed.is_some_and(|passed| passed < self.span_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_lasts_for_its_time_and_not_beyond_a_clock_that_is_set_back() {
        let noted = Noted::lasting(Duration::from_secs(60));
        let (peer, other) = (PeerId::random(), PeerId::random());
        assert!(!noted.holds(peer, 5_000));
        assert!(noted.note(peer, 5_000));
        assert!(!noted.note(peer, 35_000), "it is not made longer");
        assert!(noted.holds(peer, 64_999) && !noted.holds(peer, 65_000));
        assert!(!noted.holds(other, 5_000) && !noted.holds(peer, 4_999));
        noted.forget(peer);
        assert!(!noted.holds(peer, 5_000));
    }
}
