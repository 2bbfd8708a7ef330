//! What the allocator has handed out, and what it holds for that.

use std::sync::Arc;

use substrate_prometheus_endpoint::{PrometheusError, Registry};
use tikv_jemalloc_ctl::{epoch, stats};

use super::Metric;

/// Bytes at one moment; nothing where the allocator does not tell.
struct Held {
    allocated: Option<usize>,
    resident: Option<usize>,
}

const GAUGES: &[Metric<Held>] = &[
    Metric {
        name: "labora_memory_allocated_bytes",
        help: "Memory that the node and its database have asked for and not given back",
        labels: &[],
        values: |held, set| {
            if let Some(bytes) = held.allocated {
                set(&[], bytes as f64);
            }
        },
    },
    Metric {
        name: "labora_memory_resident_bytes",
        help: "Memory that the allocator takes of the system's for that",
        labels: &[],
        values: |held, set| {
            if let Some(bytes) = held.resident {
                set(&[], bytes as f64);
            }
        },
    },
];

/// The figures of this moment: the allocator gathers them when its epoch advances.
fn read() -> Held {
    let fresh = epoch::advance().is_ok();
    Held {
        allocated: fresh.then(stats::allocated::read).and_then(Result::ok),
        resident: fresh.then(stats::resident::read).and_then(Result::ok),
    }
}

/// Adds the metrics to a node's registry.
///
/// # Errors
///
/// If the registry has one of their names already.
pub fn register_all(registry: &Registry) -> Result<(), PrometheusError> {
    super::register_all(registry, &[], GAUGES, &(Arc::new(read) as _))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing;

    #[test]
    fn what_is_allocated_is_counted_and_within_what_is_resident() {
        const MUCH: usize = 64 << 20;
        let before = read().allocated.expect("it tells");
        let block = std::hint::black_box(vec![1u8; MUCH]);
        let held = read();
        let allocated = held.allocated.expect("it tells");
        // Other tests allocate and free beside this one.
        assert!(allocated >= before + MUCH / 2, "{before}, {allocated}");
        assert!(held.resident.expect("it tells") >= MUCH);
        drop(block);
        let registry = Registry::new();
        register_all(&registry).expect("new names");
        let text = testing::text(&registry);
        for metric in GAUGES {
            assert!(text.contains(&format!("\n{} ", metric.name)), "{text}");
        }
    }

    #[test]
    fn every_metric_is_in_the_documentation() {
        testing::assert_documented(GAUGES);
    }
}
