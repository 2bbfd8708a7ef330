//! `labora benchmark`, in a node that was built with `runtime-benchmarks`: the weights of the runtime's pallets.

use frame_benchmarking_cli::BenchmarkCmd;
use labora_runtime::opaque::Block;
use sc_cli::SubstrateCli;
use sp_runtime::traits::HashingFor;

use crate::cli::Cli;

/// Runs the benchmarks of pallets; blocks, storage and machines are measured by the SDK's omni-bencher.
pub fn run(cli: &Cli, command: &BenchmarkCmd) -> sc_cli::Result<()> {
    let runner = cli.create_runner(command)?;
    runner.sync_run(|config| match command {
        BenchmarkCmd::Pallet(command) => {
            command.run_with_spec::<HashingFor<Block>, ()>(Some(config.chain_spec))
        }
        _ => Err(sc_cli::Error::Input(
            "only `labora benchmark pallet` is here; use frame-omni-bencher for the others".into(),
        )),
    })
}
