//! `labora pouw`: the proof of work by itself, without a chain.

mod check;

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;

use crate::bench::cpu::{self, CpuBenchOptions};

/// What to do with the proof of work.
#[derive(Clone, Debug, Subcommand)]
pub enum PouwCommand {
    /// Derive test vectors again and compare: prints `FILE: same`, or what differs.
    ///
    /// The exit status is 1 if a file differs or cannot be read.
    Check {
        /// Vectors, in JSON.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },

    /// Measure this machine: multiply-accumulates per second of each of its instruction sets, plain and mining.
    ///
    /// The CPU's part of `labora bench`.
    Bench(CpuBenchOptions),
}

/// Does it, on standard output.
pub fn run(command: &PouwCommand) -> sc_cli::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match command {
        PouwCommand::Check { files } => {
            let verdict = check::check_files(files, &mut out)?;
            Ok(match verdict {
                check::Verdict::AllSame => ExitCode::SUCCESS,
                check::Verdict::SomeDiffer => ExitCode::FAILURE,
            })
        }
        PouwCommand::Bench(options) => {
            cpu::run(options, &mut out)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
