//! `labora pool`: stake that many put together, from 1 LAB on.

mod calls;
mod show;

pub use calls::{
    CreateOptions, ExtraOptions, JoinOptions, MemberAmountOptions, MemberOptions,
    PoolNominateOptions,
};
pub use show::PoolListOptions;

use labora_runtime::{AccountId, Balance, Runtime};
use pallet_nomination_pools::{
    BondedPoolInner, BondedPools, Metadata, PoolId, PoolMember, PoolMembers,
};

use super::{WalletError, act::Trace, flags::ShowOptions, stake::State};

/// About pools.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum PoolCommand {
    /// List pools.
    List(PoolListOptions),
    /// Join a pool: LAB become stake in it.
    Join(JoinOptions),
    /// Add to one's stake in a pool: LAB, or the rewards that wait.
    BondExtra(ExtraOptions),
    /// Ask for stake in a pool back: it comes free some eras later.
    Unbond(MemberAmountOptions),
    /// Take what has come free.
    Withdraw(MemberOptions),
    /// Take the rewards that wait.
    Claim(MemberOptions),
    /// Make a pool of one's own.
    Create(CreateOptions),
    /// Say whom a pool of one's own backs.
    Nominate(PoolNominateOptions),
    /// Say in words what an account has in its pool.
    Show(ShowOptions),
}

pub(super) async fn run(command: &PoolCommand, trace: &Trace) -> Result<(), WalletError> {
    match command {
        PoolCommand::List(options) => show::list(options, trace).await,
        PoolCommand::Join(options) => calls::join(options, trace).await,
        PoolCommand::BondExtra(options) => calls::bond_extra(options, trace).await,
        PoolCommand::Unbond(options) => calls::unbond(options, trace).await,
        PoolCommand::Withdraw(options) => calls::withdraw(options, trace).await,
        PoolCommand::Claim(options) => calls::claim(options, trace).await,
        PoolCommand::Create(options) => calls::create(options, trace).await,
        PoolCommand::Nominate(options) => calls::nominate(options, trace).await,
        PoolCommand::Show(options) => show::show(options, trace).await,
    }
}

/// A pool, if there is one of this number.
async fn pool(
    state: &State<'_>,
    pool: PoolId,
) -> Result<Option<BondedPoolInner<Runtime>>, WalletError> {
    let key = BondedPools::<Runtime>::hashed_key_for(pool);
    Ok(state.read(&key, "pool").await?)
}

/// A pool's name, as it was given; a stranger's words.
async fn name(state: &State<'_>, pool: PoolId) -> Result<String, WalletError> {
    let key = Metadata::<Runtime>::hashed_key_for(pool);
    let bytes: Option<Vec<u8>> = state.read(&key, "name of a pool").await?;
    let bytes = bytes.unwrap_or_default();
    Ok(labora_market::node::shown(&String::from_utf8_lossy(&bytes)))
}

/// What is known of an account's part in a pool.
async fn member(
    state: &State<'_>,
    account: &AccountId,
) -> Result<Option<PoolMember<Runtime>>, WalletError> {
    let key = PoolMembers::<Runtime>::hashed_key_for(account);
    Ok(state.read(&key, "member of a pool").await?)
}

/// The same, where there must be one.
async fn of(state: &State<'_>, account: &AccountId) -> Result<PoolMember<Runtime>, WalletError> {
    let found = member(state, account).await?;
    found.ok_or_else(|| {
        WalletError::sentence(format!(
            "{account} is in no pool; `labora pool list` shows them, and `labora pool join` joins one"
        ))
    })
}

/// What so many points of a pool are worth.
async fn worth(state: &State<'_>, pool: PoolId, points: Balance) -> Result<Balance, WalletError> {
    let function = "NominationPoolsApi_points_to_balance";
    Ok(state.runtime(function, &(pool, points)).await?)
}

/// Rewards that wait for a member.
async fn rewards(state: &State<'_>, account: &AccountId) -> Result<Balance, WalletError> {
    Ok(state
        .runtime("NominationPoolsApi_pending_rewards", account)
        .await?)
}

/// The account in which a pool's stake is bonded.
async fn account_of(state: &State<'_>, pool: PoolId) -> Result<AccountId, WalletError> {
    let accounts: (AccountId, AccountId) = state
        .runtime("NominationPoolsApi_pool_accounts", &pool)
        .await?;
    Ok(accounts.0)
}
