//! What the consensus engine does with proofs, and how hard the next block is.

use labora_consensus::{Answered, EngineStats};
use substrate_prometheus_endpoint::{PrometheusError, Registry};

use super::{Metric, Read};

const COUNTERS: &[Metric<EngineStats>] = &[
    Metric {
        name: "labora_proofs_verified_total",
        help: "Proofs of work that held",
        labels: &[],
        values: |stats, set| set(&[], stats.proofs_verified as f64),
    },
    Metric {
        name: "labora_proofs_refused_total",
        help: "Proofs of work that did not hold",
        labels: &[],
        values: |stats, set| set(&[], stats.proofs_refused as f64),
    },
    Metric {
        name: "labora_proofs_missing_total",
        help: "Times that no peer gave the proof of a block",
        labels: &[],
        values: |stats, set| set(&[], stats.proofs_missing as f64),
    },
    Metric {
        name: "labora_proof_requests_total",
        help: "Questions to peers for the proof of a block, by what came of them",
        labels: &["answer"],
        values: |stats, set| {
            for (answer, count) in Answered::ALL.iter().zip(stats.questions) {
                set(&[answer.name()], count as f64);
            }
        },
    },
];

const GAUGES: &[Metric<EngineStats>] = &[
    Metric {
        name: "labora_proofs_waiting_bytes",
        help: "Proofs in memory whose blocks are not imported",
        labels: &[],
        values: |stats, set| set(&[], stats.waiting_bytes as f64),
    },
    Metric {
        name: "labora_difficulty_macs",
        help: "Multiply-accumulates that the next block takes on average",
        labels: &[],
        values: |stats, set| {
            if let Some(macs) = stats.difficulty {
                set(&[], as_f64(macs));
            }
        },
    },
    Metric {
        name: "labora_trusted_block",
        help: "Number of the highest block that peers proved final before it was here, or of the checkpoint",
        labels: &[],
        values: |stats, set| {
            if let Some(target) = stats.trusted {
                set(&[], f64::from(target.number));
            }
        },
    },
];

/// To the precision of a float: by its highest 64 bits.
fn as_f64(macs: sp_core::U256) -> f64 {
    let shift = macs.bits().saturating_sub(64);
    (macs >> shift).low_u64() as f64 * 2f64.powi(shift as i32)
}

/// Adds the metrics to a node's registry.
///
/// # Errors
///
/// If the registry has one of their names already.
pub fn register_all(registry: &Registry, read: &Read<EngineStats>) -> Result<(), PrometheusError> {
    super::register_all(registry, COUNTERS, GAUGES, read)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use labora_consensus::TrustedTarget;
    use sp_core::{H256, U256};

    use super::*;
    use crate::metrics::testing;

    const STATS: EngineStats = EngineStats {
        proofs_verified: 7,
        proofs_refused: 2,
        proofs_missing: 3,
        questions: [9, 8, 1, 4, 5],
        waiting_bytes: 131_072,
        difficulty: None,
        trusted: None,
    };

    #[test]
    fn every_figure_stands_under_its_name_and_labels() {
        let registry = Registry::new();
        let stats = EngineStats {
            difficulty: Some(U256::from(3) << 70),
            trusted: Some(TrustedTarget {
                number: 41,
                hash: H256::zero(),
            }),
            ..STATS
        };
        register_all(&registry, &(Arc::new(move || stats) as _)).expect("new names");
        testing::assert_served(
            &registry,
            &[
                "labora_proofs_verified_total 7",
                "labora_proofs_refused_total 2",
                "labora_proofs_missing_total 3",
                "labora_proof_requests_total{answer=\"given\"} 9",
                "labora_proof_requests_total{answer=\"without\"} 8",
                "labora_proof_requests_total{answer=\"wrong\"} 1",
                "labora_proof_requests_total{answer=\"malformed\"} 4",
                "labora_proof_requests_total{answer=\"not\"} 5",
                "labora_proofs_waiting_bytes 131072",
                &format!("labora_difficulty_macs {}", 3f64 * 2f64.powi(70)),
                "labora_trusted_block 41",
            ],
        );
    }

    #[test]
    fn what_is_not_known_has_no_value_rather_than_zero() {
        let registry = Registry::new();
        register_all(&registry, &(Arc::new(|| STATS) as _)).expect("new names");
        let text = testing::text(&registry);
        assert!(!text.contains("\nlabora_difficulty_macs "), "{text}");
        assert!(!text.contains("\nlabora_trusted_block "), "{text}");
    }

    #[test]
    fn every_metric_is_in_the_documentation() {
        testing::assert_documented(COUNTERS);
        testing::assert_documented(GAUGES);
    }
}
