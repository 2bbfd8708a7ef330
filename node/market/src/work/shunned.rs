//! Jobs that failed, mostly because their matrices could not be fetched or kept, and when they are tried again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use pallet_jobs::JobId;

use crate::doubled;

/// Before a job is tried for the second time; doubled with each failure.
const FIRST: Duration = Duration::from_secs(20);

/// Longest wait.
const LAST: Duration = Duration::from_secs(1_800);

/// Most jobs that are remembered; when there are more, all of them are tried anew.
const MAX_SHUNNED: usize = 4_096;

/// Failures of jobs.
#[derive(Debug, Default)]
pub(super) struct Shunned(HashMap<JobId, (u32, Instant)>);

impl Shunned {
    /// Whether a job is not to be tried now.
    pub(super) fn is(&self, job: JobId, now: Instant) -> bool {
        self.0.get(&job).is_some_and(|(_, until)| now < *until)
    }

    /// A job is left alone for a while through no fault of its own, so that others have their turn.
    pub(super) fn rest(&mut self, job: JobId, now: Instant) {
        let (_, until) = self.of(job, now);
        *until = (*until).max(now + FIRST);
    }

    /// A job cost a share of a bond: it is left alone for as long as any.
    pub(super) fn avoid(&mut self, job: JobId, now: Instant) {
        *self.of(job, now) = (u32::MAX, now + LAST);
    }

    /// A job failed; for how long it is shunned.
    pub(super) fn shun(&mut self, job: JobId, now: Instant) -> Duration {
        let (failures, until) = self.of(job, now);
        let wait = doubled(FIRST, *failures, LAST);
        *failures = failures.saturating_add(1);
        *until = now + wait;
        wait
    }

    /// How often a job failed, and until when it is left alone.
    fn of(&mut self, job: JobId, now: Instant) -> &mut (u32, Instant) {
        if self.0.len() >= MAX_SHUNNED && !self.0.contains_key(&job) {
            self.0.clear();
        }
        self.0.entry(job).or_insert((0, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_not_to_blame_rests_for_the_same_time_each_time() {
        let (mut shunned, now) = (Shunned::default(), Instant::now());
        for round in 0..9 {
            let now = now + round * FIRST;
            shunned.rest(1, now);
            assert!(shunned.is(1, now + Duration::from_secs(19)) && !shunned.is(1, now + FIRST));
        }
        assert_eq!(shunned.shun(1, now), FIRST);
        shunned.avoid(3, now);
        assert!(shunned.is(3, now + Duration::from_secs(1_799)) && !shunned.is(3, now + LAST));
        assert_eq!(shunned.shun(3, now), LAST);
        // Nor does it end what a job is shunned for.
        shunned.shun(2, now);
        shunned.shun(2, now);
        shunned.rest(2, now);
        assert!(shunned.is(2, now + Duration::from_secs(39)));
    }

    #[test]
    fn a_job_is_tried_less_and_less_often_and_memory_is_bounded() {
        let (mut shunned, now) = (Shunned::default(), Instant::now());
        assert!(!shunned.is(1, now));
        let waits = [(); 9].map(|()| shunned.shun(1, now).as_secs());
        assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1_280, 1_800, 1_800]);
        assert!(shunned.is(1, now + Duration::from_secs(1_799)));
        assert!(!shunned.is(1, now + LAST));
        for job in 0..10_000 {
            shunned.shun(job, now);
        }
        assert!(shunned.0.len() <= MAX_SHUNNED);
    }
}
