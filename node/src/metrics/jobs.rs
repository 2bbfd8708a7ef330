//! What this node does in the market of jobs.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use labora_market::{audit, work};
use substrate_prometheus_endpoint::{PrometheusError, Registry};

use super::Metric;

/// Both tallies.
type Tallies = (Arc<work::Tally>, Arc<audit::Tally>);

fn count(of: &AtomicU64) -> f64 {
    of.load(Relaxed) as f64
}

const COUNTERS: &[Metric<Tallies>] = &[
    Metric {
        name: "labora_jobs_claimed_total",
        help: "Jobs that this worker claimed",
        labels: &[],
        values: |(work, _), set| set(&[], count(&work.claimed)),
    },
    Metric {
        name: "labora_jobs_submitted_total",
        help: "Jobs whose results this worker submitted",
        labels: &[],
        values: |(work, _), set| set(&[], count(&work.submitted)),
    },
    Metric {
        name: "labora_jobs_paid_total",
        help: "Jobs that this worker was paid for",
        labels: &[],
        values: |(work, _), set| set(&[], count(&work.paid)),
    },
    Metric {
        name: "labora_jobs_failed_total",
        help: "Jobs that this worker lost a bond for, in whole or in part",
        labels: &[],
        values: |(work, _), set| set(&[], count(&work.failed)),
    },
    Metric {
        name: "labora_jobs_earned_lab_total",
        help: "What this worker was paid, in LAB",
        labels: &[],
        values: |(work, _), set| set(&[], count(&work.earned) / 1e6),
    },
    Metric {
        name: "labora_results_checked_total",
        help: "Results of jobs that this auditor checked",
        labels: &[],
        values: |(_, audit), set| set(&[], count(&audit.checked)),
    },
    Metric {
        name: "labora_results_attested_total",
        help: "What this auditor attested of results",
        labels: &["finding"],
        values: |(_, audit), set| {
            set(&["holds"], count(&audit.attested));
            set(&["unavailable"], count(&audit.unavailable));
        },
    },
    Metric {
        name: "labora_results_opened_total",
        help: "Attestations that this auditor opened",
        labels: &[],
        values: |(_, audit), set| set(&[], count(&audit.opened)),
    },
    Metric {
        name: "labora_results_proved_wrong_total",
        help: "Results of which this node proved an entry wrong",
        labels: &[],
        values: |(_, audit), set| set(&[], count(&audit.proved)),
    },
];

/// Adds the metrics to a node's registry.
///
/// # Errors
///
/// If the registry has one of their names already.
pub fn register_all(
    registry: &Registry,
    work: Arc<work::Tally>,
    audit: Arc<audit::Tally>,
) -> Result<(), PrometheusError> {
    let read = Arc::new(move || (Arc::clone(&work), Arc::clone(&audit))) as _;
    super::register_all(registry, COUNTERS, &[], &read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing;

    #[test]
    fn every_count_is_served_under_its_name() {
        let (work, audit) = (work::Tally::default(), audit::Tally::default());
        for (at, of) in [&work.claimed, &work.submitted, &work.paid, &work.failed]
            .into_iter()
            .chain([&audit.checked, &audit.attested, &audit.unavailable])
            .chain([&audit.opened, &audit.proved])
            .enumerate()
        {
            of.store(at as u64 + 1, Relaxed);
        }
        work.earned.store(2_500_000, Relaxed);
        let registry = Registry::new();
        register_all(&registry, work.into(), audit.into()).expect("new names");
        testing::assert_served(
            &registry,
            &[
                "labora_jobs_claimed_total 1",
                "labora_jobs_submitted_total 2",
                "labora_jobs_paid_total 3",
                "labora_jobs_failed_total 4",
                "labora_jobs_earned_lab_total 2.5",
                "labora_results_checked_total 5",
                "labora_results_attested_total{finding=\"holds\"} 6",
                "labora_results_attested_total{finding=\"unavailable\"} 7",
                "labora_results_opened_total 8",
                "labora_results_proved_wrong_total 9",
            ],
        );
    }

    #[test]
    fn every_metric_is_in_the_documentation() {
        testing::assert_documented(COUNTERS);
    }
}
