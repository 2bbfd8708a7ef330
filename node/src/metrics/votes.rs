//! What stands before GRANDPA's voter: votes that wait there, and validators that vote twice.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

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
}

fn value(count: &AtomicU64) -> f64 {
    count.load(Ordering::Relaxed) as f64
}

const COUNTERS: &[Metric<Arc<VoteCounts>>] = &[Metric {
    name: "labora_double_votes_total",
    help: "Times that a validator was seen to precommit to two blocks in one round, this node's own or another",
    labels: &["whose"],
    values: |counts, set| {
        set(&["own"], value(&counts.own));
        set(&["other"], value(&counts.others));
    },
}];

const GAUGES: &[Metric<Arc<VoteCounts>>] = &[Metric {
    name: "labora_votes_waiting",
    help: "Precommits that the voter cannot take yet",
    labels: &[],
    values: |counts, set| set(&[], value(&counts.waiting)),
}];

/// Adds the metrics to a node's registry.
///
/// # Errors
///
/// If the registry has one of their names already.
pub fn register_all(registry: &Registry, counts: Arc<VoteCounts>) -> Result<(), PrometheusError> {
    let read: Read<_> = Arc::new(move || counts.clone());
    super::register_all(registry, COUNTERS, GAUGES, &read)
}

#[cfg(test)]
mod tests {
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
        register_all(&registry, counts).expect("new names");
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
