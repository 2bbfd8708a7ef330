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
    /// One more than whether there is a key; zero where none is wanted.
    key: AtomicU64,
}

impl VoteCounts {
    /// A validator precommitted to two blocks in one round, or another process votes with its key; `is_own` if it is this
    /// node's.
    pub fn voted_twice(&self, is_own: bool) {
        let count = if is_own { &self.own } else { &self.others };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this node has the key of a validator; none where it is not to be one.
    pub fn has_key(&self, has: Option<bool>) {
        let value = has.map_or(0, |has| 1 + u64::from(has));
        self.key.store(value, Ordering::Relaxed);
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

const GAUGES: &[Metric<Arc<VoteCounts>>] = &[
    Metric {
        name: "labora_votes_waiting",
        help: "Precommits that the voter cannot take yet",
        labels: &[],
        values: |counts, set| set(&[], value(&counts.waiting)),
    },
    Metric {
        name: "labora_validator_key",
        help: "Whether a node with --validator has the key of one of the validators of now",
        labels: &[],
        values: |counts, set| {
            let key = value(&counts.key);
            if key > 0.0 {
                set(&[], key - 1.0);
            }
        },
    },
];

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
        register_all(&registry, counts.clone()).expect("new names");
        assert!(!testing::text(&registry).contains("labora_validator_key "));
        counts.has_key(Some(false));
        testing::assert_served(&registry, &["labora_validator_key 0"]);
        counts.has_key(Some(true));
        testing::assert_served(&registry, &["labora_validator_key 1"]);
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
