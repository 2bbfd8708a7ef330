//! `labora stake payout`: rewards that nobody has claimed yet.

use clap::Args;
use labora_runtime::{AccountId, Runtime, RuntimeCall};
use pallet_staking::Call;
use sp_staking::EraIndex;

use super::State;
use crate::{
    cli::values::parse_address,
    wallet::{
        WalletError,
        act::{Plan, Trace, Wallet, act},
        flags::ActParams,
        show::count,
    },
};

/// Most payments of a transaction: each pays up to 64 nominators, and eight take a fifth of what a block may.
const MAX_PAYMENTS: usize = 8;

/// Whose rewards are paid.
#[derive(Args, Clone, Debug)]
pub struct PayoutOptions {
    /// Validators. Default: the key's account if it validates, or else whom it backs.
    #[arg(value_name = "SS58", value_parser = parse_address)]
    pub validators: Vec<AccountId>,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Whose rewards concern an account.
async fn concerned(state: &State<'_>, account: &AccountId) -> Result<Vec<AccountId>, WalletError> {
    if state.validator(account).await?.is_some() {
        return Ok(vec![account.clone()]);
    }
    let nominations = state.nominations(account).await?;
    let targets = nominations.map(|nominations| nominations.targets.into_inner());
    targets.ok_or_else(|| {
        WalletError::sentence(format!(
            "{account} neither validates nor backs anybody; name the validators whose rewards are to be paid"
        ))
    })
}

/// What is paid: validators and eras.
fn calls(unpaid: &[(AccountId, EraIndex)]) -> RuntimeCall {
    let call = |(validator, era): &(AccountId, EraIndex)| {
        RuntimeCall::Staking(Call::<Runtime>::payout_stakers {
            validator_stash: validator.clone(),
            era: *era,
        })
    };
    match unpaid {
        [one] => call(one),
        several => RuntimeCall::Utility(pallet_utility::Call::batch {
            calls: several.iter().map(call).collect(),
        }),
    }
}

/// Has them paid.
pub(super) async fn run(options: &PayoutOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let validators = match options.validators.is_empty() {
        true => concerned(&state, account.id()).await?,
        false => options.validators.clone(),
    };
    let era = state.clock().await?.era;
    let mut unpaid = Vec::new();
    for validator in &validators {
        let eras = state.unpaid(era, validator).await?;
        unpaid.extend(eras.into_iter().map(|era| (validator.clone(), era)));
    }
    let all = unpaid.len();
    unpaid.truncate(MAX_PAYMENTS);
    if unpaid.is_empty() {
        return Err(WalletError::sentence(
            "nothing is unpaid; an era's rewards can be paid once it is over",
        ));
    }
    let title = format!("Have {} paid out", count(unpaid.len() as u64, "reward"));
    let mut plan = Plan::new(title, calls(&unpaid));
    for (validator, era) in &unpaid {
        plan = plan.note(format!(
            "Era {era} of {validator}, and of up to 64 who back it."
        ));
    }
    if all > unpaid.len() {
        plan = plan.note(format!(
            "{} more are unpaid: do it again after this.",
            all - unpaid.len()
        ));
    }
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

#[cfg(test)]
mod tests {
    use sp_keyring::Sr25519Keyring::Alice;

    use super::*;

    #[test]
    fn one_payment_is_a_call_and_several_are_a_batch() {
        let alice = Alice.to_account_id();
        let one = calls(&[(alice.clone(), 3)]);
        assert!(
            matches!(
                one,
                RuntimeCall::Staking(Call::payout_stakers { era: 3, .. })
            ),
            "{one:?}"
        );
        let two = calls(&[(alice.clone(), 3), (alice, 4)]);
        assert!(
            matches!(&two, RuntimeCall::Utility(pallet_utility::Call::batch { calls }) if calls.len() == 2),
            "{two:?}"
        );
    }
}
