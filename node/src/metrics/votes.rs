//! What stands before GRANDPA's voter: votes that wait there, and validators that vote twice.

use std::sync::atomic::{AtomicU64, Ordering};

use substrate_prometheus_endpoint::{PrometheusError, Registry};

use super::{Metric, Read};

/// Counted while the node runs.
#[derive(Debug, Default)]
pub struct VoteCounts {
    own: AtomicU64,
    others: AtomicU64,
    waiting: AtomicU64,
}

impl VoteCounts {
    /// A validator precommitted to two blocks in one round; `is_own` if it is this node's.
    pub fn voted_twice(&self, is_own: bool) {
        let count = if is_own { &self.own } else { &self.others };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// So many precommits wait now.
    pub fn wait(&self, precommits: usize) {
        self.waiting.store(precommits as u64, Ordering::Relaxed);
    }

    /// The counts of this moment.
    pub fn stats(&self) -> VoteStats {
        VoteStats {
            own: self.own.load(Ordering::Relaxed),
            others: self.others.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }
}

/// The counts of a moment.
#[derive(Clone, Copy, Debug)]
pub struct VoteStats {
    /// Rounds in which this node's validator precommitted to two blocks.
    pub own: u64,
    /// The same of all others.
    pub others: u64,
    /// Precommits that the voter cannot take yet.
    pub waiting: u64,
}

const COUNTERS: &[Metric<VoteStats>] = &[Metric {
    name: "labora_double_votes_total",
    help: "Times that a validator was seen to precommit to two blocks in one round, this node's own or another",
    labels: &["whose"],
    values: |stats, set| {
        set(&["own"], stats.own as f64);
        set(&["other"], stats.others as f64);
    },
}];

const GAUGES: &[Metric<VoteStats>] = &[Metric {
    name: "labora_votes_waiting",
    help: "Precommits that the voter cannot take yet",
    labels: &[],
    values: |stats, set| set(&[], stats.waiting as f64),
}];

/// Adds the metrics to a node's registry.
///
/// # Errors
///
/// If the registry has one of their names already.
pub fn register_all(registry: &Registry, read: &Read<VoteStats>) -> Result<(), PrometheusError> {
    super::register_all(registry, COUNTERS, GAUGES, read)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::testing;

    #[test]
    fn every_figure_stands_under_its_name_and_labels() {
        let registry = Registry::new();
        let counts = Arc::new(VoteCounts::default());
        for is_own in [true, false, false] {
            counts.voted_twice(is_own);
        }
        counts.wait(9);
        counts.wait(5);
        let read: Read<_> = Arc::new(move || counts.stats());
        register_all(&registry, &read).expect("new names");
        testing::assert_served(
            &registry,
            &[
                "labora_double_votes_total{whose=\"own\"} 1",
                "labora_double_votes_total{whose=\"other\"} 2",
                "labora_votes_waiting 5",
            ],
        );
    }

    #[test]
    fn every_metric_is_in_the_documentation() {
        testing::assert_documented(COUNTERS);
        testing::assert_documented(GAUGES);
    }
}
