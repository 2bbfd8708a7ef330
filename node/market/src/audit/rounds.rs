//! Which results are looked at when: a few at a time, and less and less often where something is in the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::ResultId;
use crate::doubled;

/// Results that are looked at at a time: of each, A, Bt and C of a product are in memory, half a gigabyte at most.
const AT_A_TIME: usize = 3;

/// Before a result is looked at again whose matrices could not be fetched; doubled each time.
const AGAIN: Duration = Duration::from_secs(15);

/// Longest wait, where the time for saying something allows it.
const LAST: Duration = Duration::from_secs(600);

/// Who is being looked at, and who is to wait.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    under_way: BTreeSet<ResultId>,
    /// How often something was in the way, and until when each waits.
    waiting: BTreeMap<ResultId, (u32, Instant)>,
}

impl Rounds {
    /// Whether a look at this result can begin now.
    pub(super) fn is_free(&self, result: &ResultId, now: Instant) -> bool {
        let waits = self.waiting.get(result);
        self.under_way.len() < AT_A_TIME
            && !self.under_way.contains(result)
            && waits.is_none_or(|(_, until)| now >= *until)
    }

    /// A look at this result begins.
    pub(super) fn begin(&mut self, result: ResultId) {
        self.under_way.insert(result);
    }

    /// It has ended.
    pub(super) fn end(&mut self, result: &ResultId) {
        self.under_way.remove(result);
    }

    /// Something was in the way. `time` is what there is for saying what was found; the wait is a sixteenth of it at most.
    pub(super) fn wait(&mut self, result: ResultId, time: Duration, now: Instant) {
        let (times, until) = self.waiting.entry(result).or_insert((0, now));
        let wait = doubled(AGAIN, *times, LAST);
        *times = times.saturating_add(1);
        *until = now + wait.min((time / 16).max(AGAIN));
    }

    /// Only these are there now.
    pub(super) fn keep(&mut self, standing: &[ResultId]) {
        self.waiting.retain(|result, _| standing.contains(result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_looked_at_at_a_time_and_each_once() {
        let (mut rounds, now) = (Rounds::default(), Instant::now());
        for job in 0..AT_A_TIME as u64 {
            assert!(rounds.is_free(&(job, 1), now));
            rounds.begin((job, 1));
            assert!(!rounds.is_free(&(job, 1), now));
        }
        assert!(!rounds.is_free(&(9, 1), now));
        rounds.end(&(0, 1));
        assert!(rounds.is_free(&(9, 1), now) && rounds.is_free(&(0, 1), now));
    }

    #[test]
    fn what_is_in_the_way_is_looked_at_less_and_less_often_but_often_enough_to_say_so() {
        let (mut rounds, now) = (Rounds::default(), Instant::now());
        let mut wait = |time: Duration| {
            rounds.wait((1, 1), time, now);
            let (_, until) = rounds.waiting[&(1, 1)];
            assert!(!rounds.is_free(&(1, 1), until - Duration::from_millis(1)));
            assert!(rounds.is_free(&(1, 1), until));
            (until - now).as_secs()
        };
        let day = Duration::from_secs(43_200);
        let waits = [(); 8].map(|()| wait(day));
        assert_eq!(waits, [15, 30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(wait(Duration::from_secs(1_600)), 100);
        assert_eq!(wait(Duration::from_secs(20)), 15);
        rounds.keep(&[]);
        assert!(rounds.is_free(&(1, 1), now));
    }
}
