//! `labora stake`: what an account has at stake, whom it backs, and what it is paid.

mod calls;
mod clock;
mod payout;
mod show;
mod state;

pub use calls::{AmountOptions, BondOptions, NominateOptions, SimpleOptions, ValidateOptions};
pub use payout::PayoutOptions;

pub(super) use calls::{Amount, all_stand, parse_amount};
pub(super) use clock::Clock;
pub(super) use state::State;

use super::{WalletError, act::Trace, flags::ShowOptions};

/// About stake.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum StakeCommand {
    /// Lock LAB as stake, or more of it.
    Bond(BondOptions),
    /// Back up to 16 validators with what is bonded.
    Nominate(NominateOptions),
    /// Stand as a validator with what is bonded.
    Validate(ValidateOptions),
    /// Ask for stake back: it comes free some eras later.
    Unbond(AmountOptions),
    /// Take what has come free.
    Withdraw(SimpleOptions),
    /// Back nobody and stand for nothing any more; what is bonded stays.
    Chill(SimpleOptions),
    /// Say in words what is bonded, whom it backs, whether it is elected, and what was not paid yet.
    Show(ShowOptions),
    /// Have rewards of validators, and of all who back them, paid out.
    Payout(PayoutOptions),
}

pub(super) async fn run(command: &StakeCommand, trace: &Trace) -> Result<(), WalletError> {
    match command {
        StakeCommand::Bond(options) => calls::bond(options, trace).await,
        StakeCommand::Nominate(options) => calls::nominate(options, trace).await,
        StakeCommand::Validate(options) => calls::validate(options, trace).await,
        StakeCommand::Unbond(options) => calls::unbond(options, trace).await,
        StakeCommand::Withdraw(options) => calls::withdraw(options, trace).await,
        StakeCommand::Chill(options) => calls::chill(options, trace).await,
        StakeCommand::Show(options) => show::run(options, trace).await,
        StakeCommand::Payout(options) => payout::run(options, trace).await,
    }
}
