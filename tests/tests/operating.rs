//! What operators are given names metrics that a node serves.

use std::{collections::BTreeSet, fs, time::Duration};

use labora_tests::{Machine, Node, NodeOptions, Outcome, binary, http, wait_for};

/// Until a node must serve a metric: devices are measured once a second, from some time after the start on.
const METRICS_LIMIT: Duration = Duration::from_secs(60);

/// Served only where a device tells them, as GPUs do; documented in `docs/node.md`.
const OF_SOME_DEVICES: [&str; 3] = [
    "labora_device_energy_joules_total",
    "labora_device_power_watts",
    "labora_device_temperature_celsius",
];

/// Names of metrics in a text, however they are quoted.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
        .filter(|word| word.starts_with("labora_") || word.starts_with("substrate_"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_dashboard_name_what_a_node_serves() -> Outcome {
    let ops = binary::repository().join("ops");
    let alerts = fs::read_to_string(ops.join("alerts.yml"))?;
    let dashboard = fs::read_to_string(ops.join("grafana.json"))?;
    let parsed: serde_json::Value = serde_json::from_str(&dashboard)?;
    assert!(
        parsed["panels"]
            .as_array()
            .is_some_and(|panels| panels.len() > 10)
    );
    for alert in alerts.split("- alert: ").skip(1) {
        for part in ["expr: ", "severity: ", "summary: ", "do: "] {
            assert!(alert.contains(part), "an alert without {part}:\n{alert}");
        }
    }
    let mut wanted = names(&alerts);
    wanted.extend(names(&dashboard));
    assert!(wanted.len() > 15, "{wanted:?}");
    let documented = fs::read_to_string(binary::repository().join("docs").join("node.md"))?;
    for name in OF_SOME_DEVICES {
        assert!(wanted.remove(name), "{name} is named nowhere");
        assert!(
            names(&documented).contains(name),
            "{name} is not documented"
        );
    }

    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let mut arguments = NodeOptions::dev().arguments(&base);
    arguments.retain(|argument| argument != "--no-prometheus");
    arguments.extend(["--prometheus-port", "0"].map(String::from));
    let node = Node::start_with(&machine, &base, &arguments).await?;
    let wanted = &wanted;
    let log = node.log();
    let found = wait_for("all metrics", METRICS_LIMIT, || async move {
        let text = http::metrics(log).await?;
        Ok(wanted.is_subset(&names(&text)).then_some(()))
    })
    .await;
    if found.is_err() {
        let text = http::metrics(log).await?;
        let served = names(&text);
        let missing: Vec<_> = wanted.difference(&served).collect();
        panic!("no node serves {missing:?}");
    }
    node.log().assert_no_panic()
}
