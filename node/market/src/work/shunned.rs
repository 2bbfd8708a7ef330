//! Jobs whose matrices could not be fetched, and when they are tried again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use pallet_jobs::JobId;

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

    /// A job failed; for how long it is shunned.
    pub(super) fn shun(&mut self, job: JobId, now: Instant) -> Duration {
        if self.0.len() >= MAX_SHUNNED && !self.0.contains_key(&job) {
            self.0.clear();
        }
        let (failures, until) = self.0.entry(job).or_insert((0, now));
        let wait = (FIRST * (1 << (*failures).min(10))).min(LAST);
        *failures = failures.saturating_add(1);
        *until = now + wait;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
