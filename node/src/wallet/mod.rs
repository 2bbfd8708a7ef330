//! `labora job`, `grant`, `balance`, `transfer`, `stake` and `pool`: what an account does on a chain, from a terminal or a script.
//!
//! ```text
//!   flags ──▶ a command ──▶ act::Plan ──▶ act::Quote ──▶ shown, asked, signed, sent ──▶ chain (labora_market)
//!                │
//!                └──▶ matrix   files and jobs: padded, cropped, checked
//! ```
//!
//! Whatever is signed is shown first with what it costs. What only reads needs no key. Left to `labora_market`: keys, the chain, and
//! the endpoint of matrices.

mod act;
mod balance;
mod error;
mod flags;
mod grant;
mod job;
mod matrix;
mod pool;
mod progress;
mod show;
mod stake;
#[cfg(test)]
mod tests;

pub use balance::{BalanceCommand, TransferCommand};
pub use error::WalletError;
pub use grant::GrantCommand;
pub use job::JobCommand;
pub use pool::PoolCommand;
pub use stake::StakeCommand;

use std::process::ExitCode;

use act::Trace;

/// Threads: one waits for the node, the others read files and check products.
const THREADS: usize = 2;

/// What shells expect of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Exit status where what is printed is no longer read: as of what a closed pipe ends.
const UNREAD: u8 = 141;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub enum Command<'a> {
    /// About jobs.
    Job(&'a JobCommand),
    /// About the research fund.
    Grant(&'a GrantCommand),
    /// What an account has.
    Balance(&'a BalanceCommand),
    /// Money for somebody.
    Transfer(&'a TransferCommand),
    /// About stake.
    Stake(&'a StakeCommand),
    /// About pools.
    Pool(&'a PoolCommand),
}

/// Does it.
///
/// # Errors
///
/// [`WalletError`].
pub fn run(command: Command<'_>) -> sc_cli::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("wallet")
        .enable_all()
        .build()?;
    let trace = Trace::default();
    let done = runtime.block_on(async {
        tokio::select! {
            done = perform(command, &trace) => done,
            // What was being written is dropped here, and its temporary file with it.
            _ = tokio::signal::ctrl_c() => Err(WalletError::Interrupted(trace.interrupted())),
        }
    });
    // Somebody may still be asked at the terminal, or a product be checked.
    runtime.shutdown_background();
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(WalletError::Interrupted(sentence)) => {
            show::warn(&sentence);
            Ok(ExitCode::from(INTERRUPTED))
        }
        // As `head` does. Whoever stopped reading a plan has not seen what it comes to, and nothing was signed.
        Err(WalletError::Out(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            if let Some(sentence) = trace.sent() {
                show::warn(&sentence);
            }
            Ok(ExitCode::from(UNREAD))
        }
        Err(error) => Err(error.into()),
    }
}

async fn perform(command: Command<'_>, trace: &Trace) -> Result<(), WalletError> {
    match command {
        Command::Job(command) => job::run(command, trace).await,
        Command::Grant(command) => grant::run(command, trace).await,
        Command::Balance(command) => balance::show(command, trace).await,
        Command::Transfer(command) => balance::transfer(command, trace).await,
        Command::Stake(command) => stake::run(command, trace).await,
        Command::Pool(command) => pool::run(command, trace).await,
    }
}
