//! What goes between this node's artifacts and those of others.

use std::sync::Arc;

use labora_artifacts::exchange::{ExchangeStats, Tally};
use substrate_prometheus_endpoint::{PrometheusError, Registry};

use super::Metric;

const COUNTERS: &[Metric<ExchangeStats>] = &[
    Metric {
        name: "labora_artifacts_served_bytes_total",
        help: "Bytes of answers to peers that asked for artifacts",
        labels: &[],
        values: |stats, set| set(&[], stats.served_bytes as f64),
    },
    Metric {
        name: "labora_artifacts_fetched_bytes_total",
        help: "Bytes of artifacts that came from peers and were right",
        labels: &[],
        values: |stats, set| set(&[], stats.fetched_bytes as f64),
    },
    Metric {
        name: "labora_artifacts_requests_refused_total",
        help: "Requests of peers for artifacts that were refused: malformed, too many, or without room for the answer",
        labels: &[],
        values: |stats, set| set(&[], stats.requests_refused as f64),
    },
    Metric {
        name: "labora_artifacts_wrong_parts_total",
        help: "Parts of artifacts that peers gave and that had other bytes",
        labels: &[],
        values: |stats, set| set(&[], stats.parts_wrong as f64),
    },
];

const GAUGES: &[Metric<ExchangeStats>] = &[Metric {
    name: "labora_artifacts_fetches",
    help: "Artifacts that are being fetched from peers",
    labels: &[],
    values: |stats, set| set(&[], stats.fetches as f64),
}];

/// Adds the metrics to a node's registry.
///
/// # Errors
///
/// If the registry has one of their names already.
pub fn register_all(registry: &Registry, tally: Tally) -> Result<(), PrometheusError> {
    super::register_all(
        registry,
        COUNTERS,
        GAUGES,
        &(Arc::new(move || tally.stats()) as _),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing;

    #[test]
    fn every_count_is_served_under_its_name() {
        let registry = Registry::new();
        let stats = ExchangeStats {
            served_bytes: 1,
            fetched_bytes: 2,
            requests_refused: 3,
            parts_wrong: 4,
            fetches: 5,
        };
        let read = Arc::new(move || stats) as _;
        super::super::register_all(&registry, COUNTERS, GAUGES, &read).expect("new names");
        testing::assert_served(
            &registry,
            &[
                "labora_artifacts_served_bytes_total 1",
                "labora_artifacts_fetched_bytes_total 2",
                "labora_artifacts_requests_refused_total 3",
                "labora_artifacts_wrong_parts_total 4",
                "labora_artifacts_fetches 5",
            ],
        );
    }

    #[test]
    fn every_metric_is_in_the_documentation() {
        testing::assert_documented(COUNTERS);
        testing::assert_documented(GAUGES);
    }
}
