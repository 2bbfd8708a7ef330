//! When to build the next template. Pure: the caller brings the time.

use std::time::Duration;

use tokio::time::Instant;

/// Templates for new transactions are at least this far apart.
const TRANSACTIONS_EVERY: Duration = Duration::from_secs(1);

/// A template is renewed after this, so that a header's time is never far behind: well under the 15 s that it may lie
/// ahead, and under half the target time between blocks.
const CLOCK_EVERY: Duration = Duration::from_secs(5);

/// After the first failure to build; doubled for each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Longest wait after repeated failures.
const LAST_RETRY: Duration = Duration::from_secs(32);

/// When the next template is due.
pub(super) struct Schedule {
    due: Instant,
    /// Not before this, whatever happens: the time of the last template, or the end of a wait after a failure.
    earliest: Instant,
    built: Option<Instant>,
    failures: u32,
}

impl Schedule {
    /// The first template is due at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            due: now,
            earliest: now,
            built: None,
            failures: 0,
        }
    }

    /// When to build.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The best block changed, or no template is left.
    pub(super) fn at_once(&mut self, now: Instant) {
        self.due = self.due.min(now.max(self.earliest));
    }

    /// A transaction came.
    pub(super) fn transaction(&mut self) {
        if let Some(built) = self.built {
            self.due = self
                .due
                .min((built + TRANSACTIONS_EVERY).max(self.earliest));
        }
    }

    /// A template was built.
    pub(super) fn built(&mut self, now: Instant) {
        *self = Self {
            due: now + CLOCK_EVERY,
            earliest: now,
            built: Some(now),
            failures: 0,
        };
    }

    /// A template could not be built.
    pub(super) fn failed(&mut self, now: Instant) {
        let doublings = self.failures.min(5);
        self.failures = self.failures.saturating_add(1);
        self.earliest = now + (FIRST_RETRY * (1 << doublings)).min(LAST_RETRY);
        self.due = self.earliest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(schedule: &Schedule, start: Instant) -> u128 {
        schedule.due().duration_since(start).as_millis()
    }

    #[test]
    fn transactions_renew_a_template_once_a_second_and_a_new_best_block_at_once() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        assert_eq!(after(&schedule, start), 0);
        schedule.built(start);
        assert_eq!(after(&schedule, start), 5_000, "the clock alone");
        schedule.transaction();
        schedule.transaction();
        assert_eq!(after(&schedule, start), 1_000, "however many transactions");
        schedule.at_once(start + Duration::from_millis(10));
        assert_eq!(after(&schedule, start), 10);
        schedule.built(start + Duration::from_millis(20));
        schedule.transaction();
        assert_eq!(after(&schedule, start), 1_020);
    }

    #[test]
    fn repeated_failures_wait_longer_and_longer_whatever_happens_meanwhile() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..8 {
            schedule.failed(now);
            schedule.at_once(now);
            schedule.transaction();
            waits.push(schedule.due().duration_since(now).as_secs());
            now = schedule.due();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 32, 32]);
        schedule.built(now);
        schedule.failed(now);
        assert_eq!(
            schedule.due().duration_since(now).as_secs(),
            1,
            "a success forgives"
        );
    }
}
