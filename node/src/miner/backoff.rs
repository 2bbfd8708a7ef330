//! How long to wait before the next attempt to connect. Pure: the caller brings the chance.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// After the first failure, and before each further node of a round.
const FIRST: Duration = Duration::from_millis(200);

/// Longest wait.
const LAST: Duration = Duration::from_secs(10);

/// Doubles with each round through all nodes in which none would do.
pub(super) struct Backoff {
    nodes: u32,
    failures: u32,
}

impl Backoff {
    /// For so many nodes; nothing has failed yet.
    pub(super) fn new(nodes: usize) -> Self {
        Backoff {
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX).max(1),
            failures: 0,
        }
    }

    /// A node has worked.
    pub(super) fn worked(&mut self) {
        self.failures = 0;
    }

    /// An attempt has failed: how long to wait before the next. `chance` takes up to a quarter off, so that a hundred rigs do
    /// not come back to a restarted node at the same moment.
    pub(super) fn failed(&mut self, chance: u64) -> Duration {
        let round = self.failures / self.nodes;
        self.failures = self.failures.saturating_add(1);
        let whole = if self.failures.is_multiple_of(self.nodes) {
            (FIRST * (1 << round.min(6))).min(LAST)
        } else {
            FIRST
        };
        whole - whole * u32::from(chance as u16) / (4 * u32::from(u16::MAX))
    }
}

/// Any number. The standard library's hash keys come from the system and differ for every state.
pub(super) fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(nodes: usize, count: usize, chance: u64) -> Vec<u128> {
        let mut backoff = Backoff::new(nodes);
        let waits = std::iter::repeat_with(|| backoff.failed(chance).as_millis());
        waits.take(count).collect()
    }

    #[test]
    fn waits_double_to_ten_seconds() {
        let expected = [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000];
        assert_eq!(waits(1, 9, 0), expected);
        assert_eq!(waits(1, 100, 0)[99], 10_000);
    }

    #[test]
    fn chance_takes_a_quarter_off_at_most() {
        assert_eq!(waits(1, 2, u64::MAX), [150, 300]);
        assert_eq!(waits(1, 40, u64::MAX)[39], 7_500);
    }

    #[test]
    fn the_next_node_of_a_round_is_tried_soon() {
        assert_eq!(
            waits(3, 9, 0),
            [200, 200, 200, 200, 200, 400, 200, 200, 800]
        );
    }

    #[test]
    fn what_has_worked_is_tried_soon_again() {
        let mut backoff = Backoff::new(1);
        for _ in 0..9 {
            backoff.failed(0);
        }
        backoff.worked();
        assert_eq!(backoff.failed(0), FIRST);
    }
}
