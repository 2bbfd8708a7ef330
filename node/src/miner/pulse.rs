//! Whether a node is alive and its work the newest. Pure: the caller brings the time.
//!
//! The miner asks for the work every [`BEAT`]. An answer says what was current at some moment after its question was sent,
//! so what is known to be current is as old as the newest question that was answered, however long the answer took.

use std::time::{Duration, Instant};

/// Between two questions.
pub(super) const BEAT: Duration = Duration::from_millis(200);

/// Work is not mined when it is known to be current no longer than this ago: with the 50 ms that devices take to stop, no
/// more than a second on a stale template. Leaves 0.7 s for a question and its answer.
const FRESH_FOR: Duration = Duration::from_millis(900);

/// A connection is given up after this: a node that was busy for a moment needs no new one.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(4);

/// What is known of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Health {
    /// Its work is current.
    Fresh,
    /// It has not answered for so long that its work may be stale.
    Silent,
    /// It has not answered for so long that another connection, or node, is better.
    Lost,
}

/// The newest question that was answered.
pub(super) struct Pulse {
    current_at: Instant,
}

impl Pulse {
    /// Nothing was answered yet, which is as long a silence as any.
    pub(super) fn new(now: Instant) -> Self {
        Pulse {
            current_at: now.checked_sub(FRESH_FOR).unwrap_or(now),
        }
    }

    /// A question sent at that moment was answered.
    pub(super) fn answered(&mut self, sent: Instant) {
        self.current_at = self.current_at.max(sent);
    }

    /// What is known at a moment.
    pub(super) fn health(&self, now: Instant) -> Health {
        let age = now.saturating_duration_since(self.current_at);
        if age < FRESH_FOR {
            Health::Fresh
        } else if age < GIVEN_UP_AFTER {
            Health::Silent
        } else {
            Health::Lost
        }
    }

    /// When that gets worse, if nothing is answered by then.
    pub(super) fn changes_at(&self, now: Instant) -> Instant {
        self.current_at
            + match self.health(now) {
                Health::Fresh => FRESH_FOR,
                Health::Silent | Health::Lost => GIVEN_UP_AFTER,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn work_is_fresh_for_less_than_a_second_after_the_last_question_that_was_answered() {
        let start = Instant::now() + ms(5_000);
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.health(start), Health::Silent);
        pulse.answered(start);
        assert_eq!(pulse.health(start + ms(899)), Health::Fresh);
        assert_eq!(pulse.health(start + ms(900)), Health::Silent);
        assert_eq!(pulse.health(start + ms(3_999)), Health::Silent);
        assert_eq!(pulse.health(start + ms(4_000)), Health::Lost);
        assert_eq!(pulse.changes_at(start), start + ms(900));
        assert_eq!(pulse.changes_at(start + ms(900)), start + ms(4_000));

        // The answer came late; what counts is when the question was sent.
        pulse.answered(start + ms(200));
        assert_eq!(pulse.health(start + ms(1_000)), Health::Fresh);
        assert_eq!(pulse.health(start + ms(1_100)), Health::Silent);
    }

    #[test]
    fn answers_out_of_order_make_nothing_older() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.answered(start + ms(600));
        pulse.answered(start + ms(400));
        assert_eq!(pulse.health(start + ms(1_400)), Health::Fresh);
    }

    #[test]
    fn a_node_that_freezes_is_noticed_within_a_second_whenever_it_does() {
        let start = Instant::now();
        // It answers each question at once until it freezes.
        for frozen_at in (0..1_000).step_by(7).map(|at| start + ms(at)) {
            let mut pulse = Pulse::new(start);
            let mut now = start;
            while now <= frozen_at {
                pulse.answered(now);
                now += BEAT;
            }
            assert_ne!(pulse.health(frozen_at + ms(950)), Health::Fresh);
        }
    }
}
