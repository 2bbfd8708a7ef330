//! What is free where the node keeps its data.

use std::{path::PathBuf, sync::Arc};

use substrate_prometheus_endpoint::{PrometheusError, Registry};

use super::Metric;
use crate::disk;

/// Of bytes, or nothing where the system does not tell.
const GAUGES: &[Metric<Option<u64>>] = &[Metric {
    name: "labora_disk_free_bytes",
    help: "Bytes that may still be written on the file system of the data folder",
    labels: &[],
    values: |free, set| {
        if let Some(bytes) = free {
            set(&[], *bytes as f64);
        }
    },
}];

/// Adds the metric to a node's registry; `folder` is its data folder.
///
/// # Errors
///
/// If the registry has its name already.
pub fn register_all(registry: &Registry, folder: PathBuf) -> Result<(), PrometheusError> {
    let read = move || disk::free(&folder).ok();
    super::register_all(registry, &[], GAUGES, &(Arc::new(read) as _))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing;

    /// What is served for a folder.
    fn served(folder: PathBuf) -> Option<f64> {
        let registry = Registry::new();
        register_all(&registry, folder).expect("new names");
        let text = testing::text(&registry);
        let name = GAUGES[0].name;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map(|value| value.parse().expect("a number"))
    }

    #[test]
    fn a_folder_that_is_there_has_room_and_one_that_is_not_has_no_value() {
        let folder = tempfile::tempdir().expect("a folder");
        let free = served(folder.path().to_owned()).expect("it tells");
        assert!(free >= 1.0, "{free}");
        assert_eq!(served(folder.path().join("none")), None);
    }

    #[test]
    fn every_metric_is_in_the_documentation() {
        testing::assert_documented(GAUGES);
    }
}
