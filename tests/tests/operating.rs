//! What operators are given, alerts and a dashboard, holds to what a node serves; each alert says what to do, and has a case
//! that shows when it fires.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use labora_tests::{Machine, Node, NodeOptions, Outcome, binary, http, wait_for};
use serde_json::Value;

/// Until a node must serve a metric: devices are measured once a second, from some time after the start on.
const METRICS_LIMIT: Duration = Duration::from_secs(60);

/// `promtool` takes a second for each.
const PROMTOOL_LIMIT: Duration = Duration::from_secs(60);

/// How bad things can be.
const SEVERITIES: [&str; 2] = ["critical", "warning"];

/// Labels that Prometheus gives to all that it fetches, `up` among it, which says whether it could.
const SCRAPED: [&str; 2] = ["job", "instance"];

/// Served only where a device tells them, as GPUs do; documented in `docs/node.md`. They have the label `device`.
const OF_SOME_DEVICES: [&str; 3] = [
    "labora_device_energy_joules_total",
    "labora_device_power_watts",
    "labora_device_temperature_celsius",
];

/// Labels and the values that they are known to have: those that are served, or none of whatever Prometheus gives.
type Labels<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// What a node serves: metrics, and the labels of their series.
type Served<'a> = BTreeMap<&'a str, Labels<'a>>;

/// A label, what is asked of it, and of which value.
type Pair<'a> = (&'a str, &'a str, &'a str);

/// An alert rule.
struct Alert<'a> {
    name: &'a str,
    expr: &'a str,
    severity: &'a str,
    summary: &'a str,
    action: &'a str,
}

/// An expression, and the texts that values of its labels are put into.
struct Shown {
    expr: String,
    texts: String,
}

fn ops() -> PathBuf {
    binary::repository().join("ops")
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Names of metrics in a text, however they are quoted.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|letter| !is_of_name(letter))
        .filter(|word| word.starts_with("labora_") || word.starts_with("substrate_"))
        .collect()
}

/// The rules of `alerts.yml`, each field of which has a line of its own: no parser of YAML is needed.
fn alerts(text: &str) -> Outcome<Vec<Alert<'_>>> {
    let alert = |rule| {
        let field = |mark: &str| -> Outcome<_> {
            let mut lines = str::lines(rule);
            let found = lines.find_map(|line| line.trim_start().strip_prefix(mark));
            Ok(found.ok_or_else(|| format!("an alert without a line `{mark}`:\n{rule}"))?)
        };
        Ok(Alert {
            name: rule.lines().next().unwrap_or_default(),
            expr: field("expr: ")?,
            severity: field("labels: {severity: ")?.trim_end_matches('}'),
            summary: field("summary: ")?.trim_matches('"'),
            action: field("do: ")?.trim_matches('"'),
        })
    };
    text.split("- alert: ").skip(1).map(alert).collect()
}

/// What stands in the braces of a selector, or of a served series.
fn pairs(text: &str) -> Vec<Pair<'_>> {
    let mut pairs = Vec::new();
    let mut parts = text.split('"');
    while let (Some(head), Some(value)) = (parts.next(), parts.next()) {
        let head = head.trim_matches([',', ' ']);
        let label = head.trim_end_matches(['=', '~', '!']);
        pairs.push((label, &head[label.len()..], value));
    }
    pairs
}

/// The metrics of an expression, and what their labels are asked for.
fn selectors(expr: &str) -> Vec<(&str, Vec<Pair<'_>>)> {
    let of_part = |part| {
        let (head, matchers) = str::split_once(part, '{')?;
        let metric = head.rsplit(|letter| !is_of_name(letter)).next()?;
        Some((metric, pairs(matchers)))
    };
    expr.split('}').filter_map(of_part).collect()
}

/// The labels in the lists that follow a word, in parentheses.
fn listed<'a>(expr: &'a str, word: &str) -> BTreeSet<&'a str> {
    let lists = expr.split(word).skip(1);
    lists
        .filter_map(|rest| rest.strip_prefix('(')?.split_once(')'))
        .flat_map(|(list, _)| list.split(", "))
        .collect()
}

/// The labels that a text shows: `{{ $labels.NAME }}` in an alert, `{{NAME}}` in a dashboard.
fn templated(text: &str) -> BTreeSet<&str> {
    let templates = text.split("{{").skip(1);
    templates
        .filter_map(|rest| rest.split_once("}}"))
        .map(|(name, _)| name.trim().trim_start_matches("$labels."))
        .filter(|name| *name != "$value")
        .collect()
}

fn served(metrics: &str) -> Served<'_> {
    let mut served = Served::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).unwrap_or((line, ""));
        let labels = served.entry(name).or_default();
        let list = rest.rsplit_once('}').map_or("", |(list, _)| list);
        for (label, _, value) in pairs(list) {
            labels.entry(label).or_default().insert(value);
        }
    }
    served
}

/// The labels of a metric, once Prometheus has it.
fn labels_of<'a>(metric: &str, served: &Served<'a>) -> Option<Labels<'a>> {
    let mut labels = match served.get(metric) {
        Some(labels) => labels.clone(),
        None if metric == "up" => Labels::new(),
        None if OF_SOME_DEVICES.contains(&metric) => [("device", BTreeSet::new())].into(),
        None => return None,
    };
    labels.extend(SCRAPED.map(|label| (label, BTreeSet::new())));
    Some(labels)
}

/// What a selector asks for that a metric with these labels does not have.
fn faults_of(metric: &str, matchers: &[Pair<'_>], labels: &Labels<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    if !matchers.contains(&("job", "=", "labora")) {
        faults.push(format!("{metric} is any job's"));
    }
    for (label, operator, value) in matchers {
        match labels.get(label) {
            None => faults.push(format!("{metric} has no label {label}")),
            Some(values) if *operator == "=" && !values.is_empty() && !values.contains(value) => {
                faults.push(format!("no {metric} has the {label} {value}"));
            }
            Some(_) => {}
        }
    }
    faults
}

/// What an expression, or a text beside it, asks for that nobody serves.
fn faults(shown: &Shown, served: &Served<'_>) -> Vec<String> {
    let expr = &shown.expr;
    let mut faults = Vec::new();
    let (by, ignored) = (listed(expr, " by "), listed(expr, "ignoring"));
    let mut unselected = names(expr);
    let mut carried = None;
    for (metric, matchers) in selectors(expr) {
        unselected.remove(metric);
        let Some(labels) = labels_of(metric, served) else {
            faults.push(format!("no node serves {metric}"));
            continue;
        };
        faults.extend(faults_of(metric, &matchers, &labels));
        for label in by.union(&ignored) {
            if !labels.contains_key(label) {
                faults.push(format!("{metric} has no label {label}"));
            }
        }
        carried.get_or_insert(labels);
    }
    for metric in unselected {
        faults.push(format!("{metric} is any job's"));
    }
    // A result has the labels that are summed by, or else those of its left side that are not ignored.
    let mut carried = carried.unwrap_or_default();
    carried.retain(|label, _| match by.is_empty() {
        true => !ignored.contains(label),
        false => by.contains(label),
    });
    for label in templated(&shown.texts) {
        if !carried.contains_key(label) {
            faults.push(format!("no result has the label {label} that is shown"));
        }
    }
    let named = faults.into_iter().map(|fault| format!("{fault}: {expr}"));
    named.collect()
}

/// All expressions of the alerts and of the dashboard.
fn all_shown(alerts: &[Alert<'_>], dashboard: &Value) -> Outcome<Vec<Shown>> {
    let of_alert = |alert: &Alert<'_>| Shown {
        expr: alert.expr.into(),
        texts: format!("{} {}", alert.summary, alert.action),
    };
    let mut shown: Vec<_> = alerts.iter().map(of_alert).collect();
    let panels = dashboard["panels"].as_array().ok_or("no panels")?;
    assert!(panels.len() > 10);
    for panel in panels {
        let targets = panel["targets"].as_array().ok_or("no targets")?;
        for target in targets {
            shown.push(Shown {
                expr: target["expr"].as_str().ok_or("no expression")?.into(),
                texts: target["legendFormat"].as_str().unwrap_or_default().into(),
            });
        }
    }
    Ok(shown)
}

#[test]
fn each_alert_says_how_bad_it_is_and_what_to_do_and_has_a_case_in_which_it_fires() -> Outcome {
    let text = fs::read_to_string(ops().join("alerts.yml"))?;
    let cases = fs::read_to_string(ops().join("alerts_test.yml"))?;
    let mut wanted = BTreeSet::new();
    for alert in alerts(&text)? {
        let name = alert.name;
        assert!(SEVERITIES.contains(&alert.severity), "severity of {name}");
        assert!(!alert.summary.is_empty(), "summary of {name}");
        assert!(!alert.action.is_empty(), "what to do about {name}");
        assert!(wanted.insert(name), "two alerts are called {name}");
    }
    assert!(wanted.len() > 10, "{wanted:?}");
    let of_case = |case| {
        let (name, expected) = str::split_once(case, [',', '\n'])?;
        expected.contains("exp_labels: ").then_some(name)
    };
    let fire: BTreeSet<_> = cases
        .split("alertname: ")
        .skip(1)
        .filter_map(of_case)
        .collect();
    assert_eq!(fire, wanted, "alerts that fire in a case, and all of them");
    Ok(())
}

/// On the path, or where `make test` has put it.
fn promtool() -> Option<PathBuf> {
    let fetched = env::var_os("LABORA_PROMTOOL").map(PathBuf::from);
    let all = ["promtool".into()].into_iter().chain(fetched);
    let works = |program: &PathBuf| {
        let version = binary::finish(Command::new(program).arg("--version"), PROMTOOL_LIMIT);
        version.is_ok_and(|finished| finished.code == Some(0))
    };
    all.into_iter().find(works)
}

#[test]
fn promtool_agrees_where_it_is_installed() -> Outcome {
    let Some(promtool) = promtool() else {
        println!("left out, without promtool (Debian: `apt-get install prometheus`)");
        return Ok(());
    };
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let mut promtool = Command::new(&promtool);
        promtool.args(arguments).current_dir(ops());
        let finished = binary::finish(&mut promtool, PROMTOOL_LIMIT)?;
        assert_eq!(finished.code, Some(0), "{}", finished.text());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_dashboard_name_metrics_and_labels_that_a_node_serves() -> Outcome {
    let rules = fs::read_to_string(ops().join("alerts.yml"))?;
    let dashboard = fs::read_to_string(ops().join("grafana.json"))?;
    let shown = &all_shown(&alerts(&rules)?, &serde_json::from_str(&dashboard)?)?;
    // What to do about an alert names metrics too.
    let mut wanted = names(&rules);
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
    let arguments = NodeOptions::dev().arguments_with_metrics(&base);
    let node = Node::start_with(&machine, &base, &arguments).await?;
    let (wanted, log) = (&wanted, node.log());
    wait_for("all that is named", METRICS_LIMIT, || async move {
        let text = http::metrics(log).await?;
        let served = served(&text);
        let missing = wanted.iter().filter(|name| !served.contains_key(*name));
        let mut faults: Vec<_> = missing
            .map(|name| format!("no node serves {name}"))
            .collect();
        faults.extend(shown.iter().flat_map(|one| self::faults(one, &served)));
        match faults.is_empty() {
            true => Ok(Some(())),
            false => Err(faults.join("\n").into()),
        }
    })
    .await?;
    node.log().assert_no_panic()
}
