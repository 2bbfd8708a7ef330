//! What a machine has to multiply on, as the binary shows, measures and tells of it.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use labora_tests::{
    Machine, Node, NodeOptions, Outcome,
    binary::{self, Finished},
    gemm::Product,
    http::{self, Http},
    rpc::Rpc,
    seed::Random,
    wait_for,
};
use serde_json::Value;

/// Until a subcommand must have ended; the smallest measurements take a few seconds on one busy core.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// Until a node that mines must have counted filler.
const MINING_LIMIT: Duration = Duration::from_secs(60);

fn run(arguments: &[&str]) -> Outcome<Finished> {
    binary::finish(
        Command::new(binary::labora()?).args(arguments),
        COMMAND_LIMIT,
    )
}

/// The same, which must succeed and print JSON.
fn json(arguments: &[&str]) -> Outcome<Value> {
    let finished = run(arguments)?;
    assert_eq!(
        finished.code,
        Some(0),
        "{arguments:?}:\n{}",
        finished.text()
    );
    Ok(serde_json::from_str(&finished.stdout)?)
}

/// The node's only device, as `pouw_stats` has it.
async fn device(rpc: &Rpc) -> Outcome<Value> {
    let stats: Value = rpc.call("pouw_stats", &[]).await?;
    Ok(stats["devices"][0].clone())
}

fn macs_filler(device: &Value) -> Outcome<u64> {
    Ok(device["macsFiller"].as_u64().ok_or("no count of filler")?)
}

fn gpus(seen: &Value) -> &[Value] {
    seen["gpus"].as_array().map_or(&[], Vec::as_slice)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_device_is_shown_and_a_missing_gpu_is_said() -> Outcome {
    let _machine = Machine::take().await;
    let seen = json(&["devices", "--json"])?;
    assert_eq!(seen["cpu"]["id"], "cpu");
    assert!(
        seen["cpu"]["threads"]
            .as_u64()
            .is_some_and(|count| count > 0)
    );

    let shown = run(&["devices"])?;
    assert_eq!(shown.code, Some(0), "{}", shown.text());
    let lines: Vec<_> = shown.stdout.lines().collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("cpu") && line.ends_with("usable")),
        "{}",
        shown.stdout
    );
    for gpu in gpus(&seen) {
        let id = gpu["id"].as_str().ok_or("a GPU without a name")?;
        assert!(
            lines.iter().any(|line| line.starts_with(id)),
            "{}",
            shown.stdout
        );
    }
    if gpus(&seen).is_empty() {
        assert!(shown.stdout.contains("NVIDIA"), "{}", shown.stdout);
        let notes = seen["notes"].as_array().ok_or("no notes")?;
        assert_eq!(notes.len(), 1, "one sentence: {notes:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bench_measures_what_is_named_and_says_what_is_not_there() -> Outcome {
    let _machine = Machine::take().await;
    let small = ["--size", "256", "--rounds", "1"];
    let measured = json(&[&["bench", "--json", "--devices", "cpu:1"], &small[..]].concat())?;
    let rows = measured["cpu"].as_array().ok_or("no CPU")?;
    assert!(!rows.is_empty());
    for row in rows {
        assert!(
            row["filler_cost"].as_f64().is_some_and(|cost| cost > 0.0),
            "{row}"
        );
    }
    // The older name for the CPU's part.
    let older = run(&[&["pouw", "bench"], &small[..]].concat())?;
    assert_eq!(older.code, Some(0), "{}", older.text());
    assert!(older.stdout.contains("filler/plain"), "{}", older.stdout);

    if gpus(&json(&["devices", "--json"])?).is_empty() {
        let measured = run(&[&["bench", "--devices", "auto"], &small[..]].concat())?;
        assert_eq!(measured.code, Some(0), "{}", measured.text());
        assert!(
            measured.stdout.contains("No GPU is measured"),
            "{}",
            measured.stdout
        );
        assert!(
            measured.stdout.contains("filler/plain"),
            "{}",
            measured.stdout
        );
        let refused = run(&[&["bench", "--devices", "cuda:0"], &small[..]].concat())?;
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        assert!(refused.stderr.contains("NVIDIA"), "{}", refused.text());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_gpu_that_is_not_there_ends_the_start_with_a_sentence() -> Outcome {
    let _machine = Machine::take().await;
    let count = gpus(&json(&["devices", "--json"])?).len();
    let folder = tempfile::tempdir()?;
    let options = NodeOptions::dev().devices("cuda:63+cpu:1");
    let arguments = options.arguments(&folder.path().join("data"));
    let finished = binary::finish(
        Command::new(binary::labora()?).args(&arguments),
        COMMAND_LIMIT,
    )?;
    let text = finished.text();
    assert_eq!(finished.code, Some(1), "{text}");
    let words = if count == 0 { "NVIDIA" } else { "no GPU 63" };
    assert!(text.contains(words), "{text}");
    assert!(text.contains("--devices none"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_without_its_functions_is_a_sentence_and_the_cpu_is_used() -> Outcome {
    let _machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("nothing.c");
    std::fs::write(&source, "int nothing;\n")?;
    for name in ["libcuda.so", "libcuda.so.1", "libnvrtc.so"] {
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(folder.path().join(name))
            .arg(&source)
            .status()?;
        assert!(made.success(), "{name} could not be made");
    }
    let finished = binary::finish(
        Command::new(binary::labora()?)
            .args(["devices"])
            .env("LD_LIBRARY_PATH", folder.path()),
        COMMAND_LIMIT,
    )?;
    let text = finished.text();
    assert_eq!(finished.code, Some(0), "{text}");
    for words in ["libcuda has no cuDriverGetVersion", "nvidia-smi", "usable"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains("panicked"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_its_devices_figures_over_rpc_and_as_metrics() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let mut arguments = NodeOptions::dev().arguments_with_metrics(&base);
    arguments.extend(["--max-temp", "80"].map(String::from));
    let node = Node::start_with(&machine, &base, &arguments).await?;

    let rpc = node.rpc();
    // A share of time is known from the second reading on.
    let device = wait_for("filler and a reading", MINING_LIMIT, || async move {
        let device = device(rpc).await?;
        let is_measured = device["utilisation"].is_number();
        Ok((macs_filler(&device)? > 0 && is_measured).then_some(device))
    })
    .await?;
    assert_eq!(device["id"], "cpu");
    assert_eq!(
        device["held"],
        Value::Null,
        "a limit of GPUs is none of CPUs"
    );

    let text = http::metrics(node.log()).await?;
    for name in [
        "labora_products_total",
        "labora_blocks_mined_total",
        "labora_device_macs_total",
        "labora_device_held",
        "labora_device_info",
        "labora_device_utilisation_ratio",
        "labora_device_lost_total",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name} is missing:\n{text}"
        );
    }
    let filler = text
        .lines()
        .find(|line| {
            line.starts_with("labora_device_macs_total")
                && line.contains("device=\"cpu\"")
                && line.contains("purpose=\"filler\"")
        })
        .and_then(|line| line.rsplit(' ').next())
        .and_then(|value| value.parse::<f64>().ok());
    assert!(filler.is_some_and(|macs| macs > 0.0), "{filler:?}\n{text}");
    node.log().assert_no_panic()
}

/// Keeps all cores busy, as another program than the node, until it is dropped.
struct Load {
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn on_all_cores() -> Outcome<Self> {
        let ending = Arc::new(AtomicBool::new(false));
        let spin = || {
            let ending = Arc::clone(&ending);
            thread::spawn(move || {
                while !ending.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let cores = thread::available_parallelism()?.get();
        let threads = (0..cores).map(|_| spin()).collect();
        Ok(Self { ending, threads })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It spins and no more.
            let _ = thread.join();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_machine_holds_filler_and_products_are_served_all_the_same() -> Outcome {
    let machine = Machine::take().await;
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("data");
    let mut options = NodeOptions::dev();
    options.more = vec!["--idle-only".into()];
    let load = Load::on_all_cores()?;
    let node = Node::start(&machine, &base, &options).await?;
    let rpc = node.rpc();
    let held = wait_for("the hold", MINING_LIMIT, || async move {
        let device = device(rpc).await?;
        Ok((device["held"] == "in_use").then_some(device))
    })
    .await?;

    // What was in flight has ended once products were answered after it.
    let mut http = Http::tcp(node.gemm_address()?).await?;
    let mut random = Random::of_test(0x4844);
    let product = Product::random(&mut random, [300, 200, 500], -128, 127);
    for _ in 0..2 {
        product.assert_exact_from(&mut http).await?;
    }
    let before = macs_filler(&device(rpc).await?)?;
    for _ in 0..5 {
        product.assert_exact_from(&mut http).await?;
    }
    let after = device(rpc).await?;
    assert_eq!(after["held"], "in_use", "the load is still there: {after}");
    assert_eq!(macs_filler(&after)?, before, "held since {held}");
    assert!(
        after["macsUseful"].as_u64().is_some_and(|macs| macs > 0),
        "{after}"
    );
    let stats: Value = rpc.call("pouw_stats", &[]).await?;
    assert_eq!(stats["isMining"], false, "{stats}");
    drop(load);
    node.log().assert_no_panic()
}
