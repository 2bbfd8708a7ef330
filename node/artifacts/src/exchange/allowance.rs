//! How much a peer may take.

use std::time::{Duration, Instant};

use super::wire::MAX_ANSWER_BYTES;

/// Bytes a second that one peer may take in the long run: half a gigabit.
const BYTES_PER_SECOND: u64 = 64 * 1024 * 1024;

/// Bytes that a peer may take at once: what it takes in a second.
const BURST_BYTES: u64 = BYTES_PER_SECOND;

/// What a request costs beside its answer, in bytes, whatever it is: 1,024 a second.
pub(super) const REQUEST_COST: u64 = 64 * 1024;

/// A bucket of bytes that fills with time. It may go below zero by the answers in hand, since what an answer costs is known only
/// once it is made.
pub(super) struct Allowance {
    bytes: i64,
    at: Instant,
}

impl Allowance {
    pub(super) fn full(now: Instant) -> Self {
        Self {
            bytes: BURST_BYTES as i64,
            at: now,
        }
    }

    /// Fills the bucket up to `now`, and takes the cost of a request out of it, if it holds that.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        // More than a minute fills any bucket, and keeps the product far from overflow.
        let passed = now
            .saturating_duration_since(self.at)
            .min(Duration::from_secs(60));
        let filled = (u128::from(BYTES_PER_SECOND) * passed.as_micros() / 1_000_000) as i64;
        self.bytes = (self.bytes + filled).min(BURST_BYTES as i64);
        self.at = now;
        let is_enough = self.bytes >= REQUEST_COST as i64;
        if is_enough {
            self.bytes -= REQUEST_COST as i64;
        }
        is_enough
    }

    /// An answer was made, of at most [`MAX_ANSWER_BYTES`].
    pub(super) fn take(&mut self, bytes: usize) {
        self.bytes -= bytes.min(MAX_ANSWER_BYTES) as i64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_took_its_burst_waits_for_the_bucket_to_fill() {
        let start = Instant::now();
        let mut allowance = Allowance::full(start);
        let mut answers = 0;
        while allowance.admits(start) {
            allowance.take(MAX_ANSWER_BYTES);
            answers += 1;
        }
        let each = REQUEST_COST + MAX_ANSWER_BYTES as u64;
        assert_eq!(answers, BURST_BYTES.div_ceil(each));
        assert!(!allowance.admits(start + Duration::from_millis(1)));
        let later = start + Duration::from_secs(3600);
        assert!(allowance.admits(later));
        assert_eq!(allowance.bytes, (BURST_BYTES - REQUEST_COST) as i64);
    }
}
