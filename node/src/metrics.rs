//! Tables of metrics for Prometheus. Every figure is read when it is asked for.

pub mod artifacts;
pub mod disk;
pub mod engine;
pub mod jobs;
#[cfg(target_os = "linux")]
pub mod memory;
pub mod votes;

use std::sync::Arc;

use substrate_prometheus_endpoint::{
    MetricSource, Opts, PrometheusError, Registry, SourcedCounter, SourcedGauge, register,
};

/// Reads the statistics of this moment.
pub type Read<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// Tells every value of a metric, with its labels, to `set`.
type Values<T> = fn(&T, &mut dyn FnMut(&[&str], f64));

/// A metric of statistics `T`: its name, what it says, its labels, and its values.
pub struct Metric<T> {
    /// The name.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Its values.
    pub values: Values<T>,
}

/// One metric's values, with their labels.
struct Source<T> {
    read: Read<T>,
    values: Values<T>,
}

impl<T> Clone for Source<T> {
    fn clone(&self) -> Self {
        Self {
            read: Arc::clone(&self.read),
            values: self.values,
        }
    }
}

impl<T: 'static> MetricSource for Source<T> {
    type N = f64;

    fn collect(&self, mut set: impl FnMut(&[&str], f64)) {
        (self.values)(&(self.read)(), &mut set);
    }
}

/// Adds metrics to a node's registry: `counters` only grow, `gauges` come and go.
///
/// # Errors
///
/// If the registry has one of their names already.
pub fn register_all<T: 'static>(
    registry: &Registry,
    counters: &[Metric<T>],
    gauges: &[Metric<T>],
    read: &Read<T>,
) -> Result<(), PrometheusError> {
    let parts = |metric: &Metric<T>| {
        let labels = metric.labels.iter().map(|label| (*label).to_owned());
        let options = Opts::new(metric.name, metric.help).variable_labels(labels.collect());
        let source = Source {
            read: Arc::clone(read),
            values: metric.values,
        };
        (options, source)
    };
    for metric in counters {
        let (options, source) = parts(metric);
        register(SourcedCounter::new(&options, source)?, registry)?;
    }
    for metric in gauges {
        let (options, source) = parts(metric);
        register(SourcedGauge::new(&options, source)?, registry)?;
    }
    Ok(())
}

/// What tests of tables of metrics share.
#[cfg(test)]
pub mod testing {
    use substrate_prometheus_endpoint::{
        Registry,
        prometheus::{Encoder, TextEncoder},
    };

    use super::Metric;

    /// What a registry serves.
    pub fn text(registry: &Registry) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut text)
            .expect("metrics are text");
        String::from_utf8(text).expect("of UTF-8")
    }

    /// Fails unless each of these lines is served.
    pub fn assert_served(registry: &Registry, lines: &[&str]) {
        let text = text(registry);
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line}\n{text}");
        }
    }

    /// Fails unless the documentation names each metric.
    pub fn assert_documented<T>(metrics: &[Metric<T>]) {
        let documentation = include_str!("../../docs/node.md");
        for metric in metrics {
            assert!(documentation.contains(metric.name), "{}", metric.name);
        }
    }
}
