//! `labora`: the node. See [`cli`] for what it can be asked to do, and [`service`] for how a running node is put together.

mod artifacts;
mod bench;
mod cli;
mod command;
mod devices;
mod disk;
mod doctor;
mod finality;
mod gemm;
mod genesis;
mod http;
mod market;
mod metrics;
mod miner;
mod mining;
mod pouw;
mod rig;
mod rpc;
mod service;
mod settings;
mod shares;
mod table;
mod testnet;
mod trust;
mod wallet;
mod worker;

use std::process::ExitCode;

/// The allocator of the SDK's own nodes, for RocksDB as well: the system's leaves what many threads take and give back in
/// pieces, and returns little of it.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match command::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("labora: {}", command::explain(&error));
            ExitCode::FAILURE
        }
    }
}
