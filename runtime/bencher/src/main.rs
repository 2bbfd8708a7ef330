//! Runs the benchmarks of the runtime that was built with this program, and writes weights: the SDK's `benchmark pallet`.

use clap::Parser;
use frame_benchmarking_cli::PalletCmd;
use sp_runtime::traits::BlakeTwo256;

fn main() -> sc_cli::Result<()> {
    // It tells which benchmark it runs.
    sc_cli::LoggerBuilder::new("info").init()?;
    // The runtime imports what every node has.
    PalletCmd::parse().run_with_spec::<BlakeTwo256, ()>(None)
}
