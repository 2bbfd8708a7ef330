//! What is done with pools in one transaction.

use clap::Args;
use labora_market::words::{lab, parse_lab};
use labora_runtime::{AccountId, Runtime, RuntimeCall, RuntimeEvent};
use pallet_nomination_pools::{BondExtra, Call, Event, PoolId, PoolState};
use serde_json::json;

use super::{account_of, name, of, pool, rewards, worth};
use crate::{
    cli::values::parse_address,
    wallet::{
        WalletError,
        act::{Plan, Quote, Trace, Wallet, act},
        flags::ActParams,
        show::{Out, percent},
        stake::{Amount, State, all_stand, parse_amount},
    },
};

/// Longest name of a pool, in bytes.
const MAX_NAME: usize = 256;

/// A pool, and what goes into it.
#[derive(Args, Clone, Debug)]
pub struct JoinOptions {
    /// Number of the pool.
    #[arg(value_name = "POOL")]
    pub pool: PoolId,

    /// How much, in LAB.
    #[arg(value_name = "LAB", value_parser = parse_lab)]
    pub amount: u128,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// What is added.
#[derive(Args, Clone, Debug)]
pub struct ExtraOptions {
    /// How much, in LAB, or `rewards` for those that wait.
    #[arg(value_name = "LAB|rewards", value_parser = parse_extra)]
    pub extra: Extra,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// What is added, as it is typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extra {
    /// Rewards that wait.
    Rewards,
    /// Free money, in the token's smallest unit.
    Of(u128),
}

fn parse_extra(value: &str) -> Result<Extra, labora_market::words::NoAmount> {
    match value {
        "rewards" => Ok(Extra::Rewards),
        amount => parse_lab(amount).map(Extra::Of),
    }
}

/// What is asked back.
#[derive(Args, Clone, Debug)]
pub struct MemberAmountOptions {
    /// How much, in LAB, or `all`.
    #[arg(value_name = "LAB|all", value_parser = parse_amount)]
    pub amount: Amount,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Nothing but how.
#[derive(Args, Clone, Debug)]
pub struct MemberOptions {
    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// A new pool.
#[derive(Args, Clone, Debug)]
pub struct CreateOptions {
    /// Its first stake, in LAB.
    #[arg(value_name = "LAB", value_parser = parse_lab)]
    pub amount: u128,

    /// Its name, for people.
    #[arg(long, value_name = "TEXT", value_parser = parse_name)]
    pub name: Option<String>,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

fn parse_name(value: &str) -> Result<String, &'static str> {
    match (1..=MAX_NAME).contains(&value.len()) && !value.chars().any(char::is_control) {
        true => Ok(value.to_owned()),
        false => Err("expected 1 to 256 bytes of text without control characters"),
    }
}

/// Whom a pool backs.
#[derive(Args, Clone, Debug)]
pub struct PoolNominateOptions {
    /// Number of the pool.
    #[arg(value_name = "POOL")]
    pub pool: PoolId,

    /// 1 to 16 validators.
    #[arg(value_name = "SS58", required = true, num_args = 1..=16, value_parser = parse_address)]
    pub validators: Vec<AccountId>,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

fn no_pool(pool: PoolId) -> WalletError {
    WalletError::sentence(format!(
        "there is no pool {pool}; `labora pool list` shows those that are"
    ))
}

/// Joins.
pub(super) async fn join(options: &JoinOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let number = options.pool;
    let it = pool(&state, number).await?.ok_or_else(|| no_pool(number))?;
    if it.state != PoolState::Open {
        return Err(WalletError::sentence(format!(
            "pool {number} takes no members; choose another"
        )));
    }
    let call = RuntimeCall::NominationPools(Call::<Runtime>::join {
        amount: options.amount,
        pool_id: number,
    });
    let named = name(&state, number).await?;
    let title = format!("Join pool {number} with {}", lab(options.amount));
    let mut plan = Plan::new(title, call).costs(
        "stake",
        options.amount,
        "held; can be slashed with the pool's",
    );
    if !named.is_empty() {
        plan = plan.note(format!(
            "Its name is “{named}”, which anybody can give a pool."
        ));
    }
    let commission = it
        .commission
        .current
        .map_or(0, |(share, _)| share.deconstruct());
    plan = plan.note(format!("It keeps {} of rewards.", percent(commission)));
    let pool_account = account_of(&state, number).await?;
    if state.nominations(&pool_account).await?.is_none() {
        plan = plan.note("It backs nobody now, so it earns nothing.");
    }
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Adds.
pub(super) async fn bond_extra(options: &ExtraOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let it = of(&state, account.id()).await?;
    let extra = match options.extra {
        Extra::Rewards => BondExtra::Rewards,
        Extra::Of(amount) => BondExtra::FreeBalance(amount),
    };
    let call = RuntimeCall::NominationPools(Call::<Runtime>::bond_extra { extra });
    let plan = match options.extra {
        Extra::Of(amount) => {
            let title = format!("Add {} to the stake in pool {}", lab(amount), it.pool_id);
            Plan::new(title, call).costs("stake", amount, "held; can be slashed with the pool's")
        }
        Extra::Rewards => {
            let waiting = rewards(&state, account.id()).await?;
            if waiting == 0 {
                return Err(WalletError::sentence(
                    "no rewards wait; give an amount in LAB instead",
                ));
            }
            let title = format!(
                "Add rewards of about {} to the stake in pool {}",
                lab(waiting),
                it.pool_id
            );
            Plan::new(title, call)
        }
    };
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Asks stake back.
pub(super) async fn unbond(
    options: &MemberAmountOptions,
    trace: &Trace,
) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let it = of(&state, account.id()).await?;
    let stake = worth(&state, it.pool_id, it.points).await?;
    let amount = options.amount.of(stake);
    if amount == 0 || amount > stake {
        return Err(WalletError::sentence(format!(
            "{} is at stake in the pool; give an amount up to that, or `all`",
            lab(stake)
        )));
    }
    // All of it in points, which rounding would miss.
    let points = match amount == stake {
        true => it.points,
        false => {
            let function = "NominationPoolsApi_balance_to_points";
            state.runtime(function, &(it.pool_id, amount)).await?
        }
    };
    let call = RuntimeCall::NominationPools(Call::<Runtime>::unbond {
        member_account: account.id().clone().into(),
        unbonding_points: points,
    });
    let clock = state.clock().await?;
    let era = clock.era.saturating_add(state.unbonding_eras().await?);
    let title = format!("Unbond {} of pool {}", lab(amount), it.pool_id);
    let plan = Plan::new(title, call)
        .note(format!(
            "It comes free in era {era} or one later, {}. Then: labora pool withdraw",
            clock.until(era)
        ))
        .note("Rewards that wait are paid with it.");
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Takes what has come free.
pub(super) async fn withdraw(options: &MemberOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let it = of(&state, account.id()).await?;
    let clock = state.clock().await?;
    let free = it
        .unbonding_eras
        .keys()
        .any(|era| clock.blocks_until(*era).is_none());
    if !free {
        let next = it.unbonding_eras.keys().min();
        return Err(WalletError::sentence(match next {
            Some(era) => format!(
                "nothing has come free yet; the next does in era {era}, {}",
                clock.until(*era)
            ),
            None => "nothing is unbonding; `labora pool unbond` comes first".to_owned(),
        }));
    }
    let pool_account = account_of(&state, it.pool_id).await?;
    let call = RuntimeCall::NominationPools(Call::<Runtime>::withdraw_unbonded {
        member_account: account.id().clone().into(),
        num_slashing_spans: state.slashing_spans(&pool_account).await?,
    });
    let plan = Plan::new(
        format!("Withdraw what has come free of pool {}", it.pool_id),
        call,
    );
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Takes rewards.
pub(super) async fn claim(options: &MemberOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let it = of(&state, account.id()).await?;
    let waiting = rewards(&state, account.id()).await?;
    if waiting == 0 {
        return Err(WalletError::sentence(
            "no rewards wait; the pool is paid once somebody has its validators' eras paid out (labora stake payout)",
        ));
    }
    let call = RuntimeCall::NominationPools(Call::<Runtime>::claim_payout {});
    let title = format!(
        "Take rewards of about {} of pool {}",
        lab(waiting),
        it.pool_id
    );
    act(&wallet, &account, &options.act, Plan::new(title, call))
        .await
        .map(drop)
}

/// Makes a pool.
pub(super) async fn create(options: &CreateOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let key = pallet_nomination_pools::LastPoolId::<Runtime>::hashed_key();
    let last: PoolId = state
        .read(&key, "number of pools")
        .await?
        .unwrap_or_default();
    let who = || account.id().clone().into();
    let create = RuntimeCall::NominationPools(Call::<Runtime>::create {
        amount: options.amount,
        root: who(),
        nominator: who(),
        bouncer: who(),
    });
    let number = last.saturating_add(1);
    let call = match &options.name {
        None => create,
        // In one: were another pool made before, the name would be refused, and this pool with it.
        Some(name) => RuntimeCall::Utility(pallet_utility::Call::batch_all {
            calls: vec![
                create,
                RuntimeCall::NominationPools(Call::<Runtime>::set_metadata {
                    pool_id: number,
                    metadata: name.as_bytes().to_vec(),
                }),
            ],
        }),
    };
    let least = <Runtime as pallet_balances::Config>::ExistentialDeposit::get();
    let plan = Plan::new(format!("Make a pool with {}", lab(options.amount)), call)
        .costs(
            "stake",
            options.amount,
            "held; it can leave only when all others have",
        )
        .costs(
            "account of rewards",
            least,
            "keeps it alive; comes back when the pool ends",
        )
        .note("It earns nothing until it backs validators: labora pool nominate POOL VALIDATOR…");
    let quote = Quote::of(plan, &wallet, &account).await?;
    if !quote.agreed(&account, &options.act).await? {
        return Ok(());
    }
    let included = quote.send(&wallet, &account).await?;
    let made = included.events.iter().find_map(|event| match event {
        RuntimeEvent::NominationPools(Event::Created { pool_id, .. }) => Some(*pool_id),
        _ => None,
    });
    let sentence =
        made.map(|made| format!("It is pool {made}.\n→ labora pool nominate {made} VALIDATOR…"));
    let sentences: Vec<String> = sentence.into_iter().collect();
    quote.report(
        &included,
        Out::new(options.act.json),
        &sentences,
        &[("pool", json!(made))],
    )
}

/// Says whom a pool backs.
pub(super) async fn nominate(
    options: &PoolNominateOptions,
    trace: &Trace,
) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let number = options.pool;
    let it = pool(&state, number).await?.ok_or_else(|| no_pool(number))?;
    let may = [&it.roles.nominator, &it.roles.root];
    if !may.into_iter().flatten().any(|who| who == account.id()) {
        return Err(WalletError::sentence(format!(
            "{} is not the nominator of pool {number}: only that account says whom it backs",
            account.id()
        )));
    }
    all_stand(&state, &options.validators).await?;
    let call = RuntimeCall::NominationPools(Call::<Runtime>::nominate {
        pool_id: number,
        validators: options.validators.clone(),
    });
    let names: Vec<String> = options.validators.iter().map(ToString::to_string).collect();
    let title = format!("Have pool {number} back {}", names.join(", "));
    act(&wallet, &account, &options.act, Plan::new(title, call))
        .await
        .map(drop)
}

#[cfg(test)]
mod tests;
