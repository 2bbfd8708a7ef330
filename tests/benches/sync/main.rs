//! How fast a node syncs, as a ratio to a node that is made of the SDK's parts alone: real processes, real connections,
//! the same blocks from the same servers in the same run.
//!
//!     cargo build --release --workspace && cargo bench --workspace --bench sync

mod chain;
mod measure;
mod plain;
mod report;
mod settings;
#[path = "../../sdk/transfers.rs"]
mod transfers;

use std::{env, path::Path, process::ExitCode};

use labora_tests::{Machine, Outcome};

use crate::{
    measure::KINDS,
    report::{Circumstances, Measured},
    settings::Settings,
};

/// As first argument: be the plain node.
const PLAIN: &str = "plain-node";

fn main() -> ExitCode {
    let mut arguments = env::args();
    let program = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match rest.first().map(String::as_str) {
        Some(PLAIN) => {
            let flags = rest.into_iter().skip(1);
            plain::run(std::iter::once(program).chain(flags)).map_err(Into::into)
        }
        Some("--help") => {
            println!("{}", settings::HELP);
            Ok(())
        }
        _ => measure_all(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sync: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn measure_all() -> Outcome {
    let settings = Settings::from_env()?;
    let machine = Machine::take().await;
    let temporary = tempfile::tempdir()?;
    let folder = settings.chain.as_deref().unwrap_or(temporary.path());
    let mut servers = chain::serve(&machine, folder, settings.blocks).await?;

    let asked = |name: &str| {
        let kinds = &settings.kinds;
        kinds.is_empty() || kinds.iter().any(|word| name.contains(word.as_str()))
    };
    let mut measured: Measured = KINDS
        .into_iter()
        .filter(|kind| asked(kind.name))
        .map(|kind| (kind, Vec::new()))
        .collect();
    let mut load = Vec::new();
    for round in 1..=settings.rounds {
        // Every second round goes backwards, so that what comes first or last in a round is not always the same.
        measured.reverse();
        for (kind, syncs) in &mut measured {
            let base = temporary.path().join("syncing");
            let sync = measure::sync(&machine, &base, kind, &servers).await?;
            eprintln!("round {round}, {}: {sync:?}", kind.name);
            syncs.push(sync);
            std::fs::remove_dir_all(&base)?;
        }
        load.push(load_of_a_minute()?);
    }

    measured.sort_by_key(|(kind, _)| KINDS.iter().position(|known| known.name == kind.name));
    servers.hush();
    let about = Circumstances {
        blocks: servers.height,
        transfers_per_block: servers.transfers_per_block,
        proof_bytes: servers.proof_bytes,
        load,
    };
    report::print(&measured, &about);
    if let Some(path) = &settings.json {
        report::write(&measured, &about, path)?;
    }
    Ok(())
}

/// Processes that wanted a processor, on average over the last minute.
fn load_of_a_minute() -> Outcome<f64> {
    let text = std::fs::read_to_string(Path::new("/proc/loadavg"))?;
    let first = text.split_ascii_whitespace().next();
    Ok(first.ok_or("/proc/loadavg is empty")?.parse()?)
}
