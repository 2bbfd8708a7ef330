//! What a worker and its devices do, for Prometheus: the same statistics that RPC tells, so the two never disagree.

use substrate_prometheus_endpoint::{PrometheusError, Registry};

use crate::{
    metrics::{Metric, Read},
    worker::{DeviceStats, Hold, WorkerStats},
};

/// What only grows.
const COUNTERS: &[Metric<WorkerStats>] = &[
    Metric {
        name: "labora_products_total",
        help: "Products answered",
        labels: &[],
        values: |stats, set| set(&[], stats.products as f64),
    },
    Metric {
        name: "labora_products_failed_total",
        help: "Products that failed on a device",
        labels: &[],
        values: |stats, set| set(&[], stats.failed as f64),
    },
    Metric {
        name: "labora_blocks_mined_total",
        help: "Blocks mined by this node's devices, by what they were mined on",
        labels: &["purpose"],
        values: |stats, set| {
            set(&["product"], stats.blocks_useful as f64);
            set(&["filler"], stats.blocks_filler as f64);
        },
    },
    Metric {
        name: "labora_seals_refused_total",
        help: "Seals of this node's devices that the engine refused, which honest work never is",
        labels: &[],
        values: |stats, set| set(&[], stats.seals_refused as f64),
    },
    Metric {
        name: "labora_seals_too_late_total",
        help: "Winning tiles for a block that another had settled",
        labels: &[],
        values: |stats, set| set(&[], stats.seals_too_late as f64),
    },
    Metric {
        name: "labora_seals_dropped_total",
        help: "Winning tiles that reached no node, of a miner",
        labels: &[],
        values: |stats, set| set(&[], stats.seals_dropped as f64),
    },
    Metric {
        name: "labora_device_macs_total",
        help: "Multiply-accumulates done, padding included",
        labels: &["device", "purpose"],
        values: |stats, set| {
            for device in &stats.per_device {
                set(&[&device.id, "product"], device.macs_useful as f64);
                set(&[&device.id, "filler"], device.macs_filler as f64);
            }
        },
    },
    Metric {
        name: "labora_device_mined_macs_total",
        help: "Those multiply-accumulates that took part in mining",
        labels: &["device"],
        values: |stats, set| each(stats, set, |device| Some(device.macs_mined as f64)),
    },
    Metric {
        name: "labora_device_lost_total",
        help: "How often the device went away in the middle of its work",
        labels: &["device"],
        values: |stats, set| each(stats, set, |device| Some(device.lost as f64)),
    },
    Metric {
        name: "labora_device_energy_joules_total",
        help: "Energy since the start, for whatever it was used",
        labels: &["device"],
        values: |stats, set| each(stats, set, |device| device.reading.as_ref()?.energy_j),
    },
];

/// What comes and goes.
const GAUGES: &[Metric<WorkerStats>] = &[
    Metric {
        name: "labora_device_info",
        help: "1; what the device is",
        labels: &["device", "name"],
        values: |stats, set| {
            for device in &stats.per_device {
                set(&[&device.id, &device.name], 1.0);
            }
        },
    },
    Metric {
        name: "labora_products_waiting",
        help: "Products that wait for a device",
        labels: &[],
        values: |stats, set| set(&[], stats.queue_length as f64),
    },
    Metric {
        name: "labora_device_power_watts",
        help: "Power that the device draws",
        labels: &["device"],
        values: |stats, set| each(stats, set, |device| device.reading.as_ref()?.power_w),
    },
    Metric {
        name: "labora_device_temperature_celsius",
        help: "Temperature of the chip",
        labels: &["device"],
        values: |stats, set| each(stats, set, |device| device.reading.as_ref()?.temperature_c),
    },
    Metric {
        name: "labora_device_utilisation_ratio",
        help: "Share of time in which the device worked, for whomever",
        labels: &["device"],
        values: |stats, set| each(stats, set, |device| device.reading.as_ref()?.utilisation),
    },
    Metric {
        name: "labora_device_others_ratio",
        help: "Share of the device that other programs use",
        labels: &["device"],
        values: |stats, set| {
            each(stats, set, |device| {
                Some(device.reading.as_ref()?.others.as_ref()?.share)
            })
        },
    },
    Metric {
        name: "labora_device_memory_used_bytes",
        help: "Device memory in use, by whomever",
        labels: &["device"],
        values: |stats, set| {
            each(stats, set, |device| {
                Some(device.reading.as_ref()?.memory_used_bytes? as f64)
            })
        },
    },
    Metric {
        name: "labora_device_held",
        help: "1 while the device is kept from filler for this reason",
        labels: &["device", "reason"],
        values: |stats, set| {
            for device in &stats.per_device {
                for reason in Hold::ALL {
                    let held = device.held == Some(reason);
                    set(&[&device.id, reason.name()], f64::from(u8::from(held)));
                }
            }
        },
    },
];

/// A figure of each device that has it.
fn each(
    stats: &WorkerStats,
    set: &mut dyn FnMut(&[&str], f64),
    figure: fn(&DeviceStats) -> Option<f64>,
) {
    for device in &stats.per_device {
        if let Some(figure) = figure(device) {
            set(&[&device.id], figure);
        }
    }
}

/// Adds the metrics to a node's registry.
///
/// # Errors
///
/// If the registry has one of their names already.
pub fn register_all(registry: &Registry, read: &Read<WorkerStats>) -> Result<(), PrometheusError> {
    crate::metrics::register_all(registry, COUNTERS, GAUGES, read)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{metrics::testing, rig::Reading, worker::Rates};

    fn stats() -> WorkerStats {
        let device = |id: &str, held, reading| DeviceStats {
            id: id.into(),
            name: format!("the device \"{id}\""),
            macs_useful: 3,
            macs_filler: 1 << 40,
            macs_mined: 5,
            lost: 1,
            held,
            reading,
        };
        let reading = Reading {
            power_w: Some(412.5),
            temperature_c: Some(71.0),
            utilisation: Some(0.75),
            memory_used_bytes: Some(8 << 30),
            energy_j: Some(1234.5),
            others: None,
        };
        WorkerStats {
            devices: vec!["GPU".into(), "CPU".into()],
            per_device: vec![
                device("cuda:0", Some(Hold::Temperature), Some(reading)),
                device("cpu", None, None),
            ],
            is_mining: true,
            products: 7,
            failed: 2,
            macs_useful: 6,
            macs_filler: 8,
            macs_mined: 10,
            macs_per_s_10s: Rates::default(),
            macs_per_s_60s: Rates::default(),
            blocks_useful: 4,
            blocks_filler: 9,
            seals_too_late: 11,
            seals_dropped: 13,
            seals_refused: 12,
            queue_length: 13,
            queue_capacity: 64,
            uptime_s: 1,
        }
    }

    fn served() -> Registry {
        let registry = Registry::new();
        register_all(&registry, &(Arc::new(stats) as _)).expect("new names");
        registry
    }

    #[test]
    fn every_figure_stands_under_its_name_and_labels() {
        let lines = [
            "labora_products_total 7",
            "labora_products_failed_total 2",
            "labora_products_waiting 13",
            "labora_blocks_mined_total{purpose=\"product\"} 4",
            "labora_blocks_mined_total{purpose=\"filler\"} 9",
            "labora_seals_refused_total 12",
            "labora_seals_too_late_total 11",
            "labora_seals_dropped_total 13",
            "labora_device_macs_total{device=\"cuda:0\",purpose=\"filler\"} 1099511627776",
            "labora_device_macs_total{device=\"cpu\",purpose=\"product\"} 3",
            "labora_device_mined_macs_total{device=\"cpu\"} 5",
            "labora_device_lost_total{device=\"cuda:0\"} 1",
            "labora_device_power_watts{device=\"cuda:0\"} 412.5",
            "labora_device_temperature_celsius{device=\"cuda:0\"} 71",
            "labora_device_utilisation_ratio{device=\"cuda:0\"} 0.75",
            "labora_device_memory_used_bytes{device=\"cuda:0\"} 8589934592",
            "labora_device_energy_joules_total{device=\"cuda:0\"} 1234.5",
            "labora_device_held{device=\"cuda:0\",reason=\"temperature\"} 1",
            "labora_device_held{device=\"cuda:0\",reason=\"power\"} 0",
            "labora_device_held{device=\"cpu\",reason=\"temperature\"} 0",
            "labora_device_info{device=\"cpu\",name=\"the device \\\"cpu\\\"\"} 1",
        ];
        testing::assert_served(&served(), &lines);
    }

    #[test]
    fn what_was_not_read_has_no_value_rather_than_zero() {
        let text = testing::text(&served());
        for absent in [
            "labora_device_power_watts{device=\"cpu\"}",
            "labora_device_others_ratio{",
        ] {
            assert!(!text.contains(absent), "{absent}\n{text}");
        }
    }

    #[test]
    fn every_metric_is_in_the_documentation() {
        testing::assert_documented(COUNTERS);
        testing::assert_documented(GAUGES);
    }

    #[test]
    fn a_registry_that_has_them_refuses_them() {
        assert!(register_all(&served(), &(Arc::new(stats) as _)).is_err());
    }
}
