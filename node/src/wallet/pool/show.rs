//! `labora pool list` and `show`.

use clap::Args;
use labora_market::words::lab;
use labora_runtime::{AccountId, Balance, Runtime};
use pallet_nomination_pools::{LastPoolId, PoolId, PoolState};
use serde::Serialize;
use sp_staking::EraIndex;

use super::{account_of, member, name, pool, rewards, worth};
use crate::wallet::{
    WalletError,
    act::{Trace, Wallet},
    flags::{ReadParams, ShowOptions},
    show::{Out, count, percent, short},
    stake::{Clock, State},
};

/// Pools that are shown, the newest of them.
const MAX_LISTED: u32 = 200;

/// How pools are listed.
#[derive(Args, Clone, Debug)]
pub struct PoolListOptions {
    /// How.
    #[clap(flatten)]
    pub read: ReadParams,
}

/// A pool.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    pool: PoolId,
    name: String,
    state: &'static str,
    members: u32,
    /// What is at stake, in the token's smallest unit.
    stake: String,
    /// In billionths.
    commission_ppb: u32,
    /// Validators that it backs.
    backs: usize,
    depositor: AccountId,
}

fn state_name(state: PoolState) -> &'static str {
    match state {
        PoolState::Open => "open",
        PoolState::Blocked => "blocked",
        PoolState::Destroying => "ending",
    }
}

async fn listed(state: &State<'_>, number: PoolId) -> Result<Option<Listed>, WalletError> {
    let Some(it) = pool(state, number).await? else {
        return Ok(None);
    };
    let account = account_of(state, number).await?;
    let nominations = state.nominations(&account).await?;
    Ok(Some(Listed {
        pool: number,
        name: name(state, number).await?,
        state: state_name(it.state),
        members: it.member_counter,
        stake: worth(state, number, it.points).await?.to_string(),
        commission_ppb: it
            .commission
            .current
            .map_or(0, |(share, _)| share.deconstruct()),
        backs: nominations.map_or(0, |nominations| nominations.targets.len()),
        depositor: it.roles.depositor,
    }))
}

/// Lists pools.
pub(super) async fn list(options: &PoolListOptions, trace: &Trace) -> Result<(), WalletError> {
    let wallet = Wallet::connect(&options.read.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let key = LastPoolId::<Runtime>::hashed_key();
    let last: PoolId = state
        .read(&key, "number of pools")
        .await?
        .unwrap_or_default();
    let mut pools = Vec::new();
    for number in last.saturating_sub(MAX_LISTED).saturating_add(1)..=last {
        pools.extend(listed(&state, number).await?);
    }
    let out = Out::new(options.read.json);
    out.json(&pools)?;
    if out == Out::Programs {
        return Ok(());
    }
    if pools.is_empty() {
        return out.say("There are no pools. → labora pool create LAB");
    }
    let head = [
        "pool",
        "name",
        "",
        "members",
        "stake",
        "commission",
        "backs",
        "made by",
    ];
    let mut rows = vec![head.map(String::from)];
    for it in pools {
        rows.push([
            it.pool.to_string(),
            it.name,
            it.state.into(),
            it.members.to_string(),
            // Written from an amount a moment ago.
            lab(it.stake.parse().unwrap_or_default()),
            percent(it.commission_ppb),
            it.backs.to_string(),
            short(&it.depositor),
        ]);
    }
    out.table(&rows)
}

/// Stake in a pool that was asked back.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Unbonding {
    /// In the token's smallest unit.
    amount: String,
    era: EraIndex,
    /// Blocks until then; null if it is free.
    blocks: Option<u32>,
}

/// An account's part in a pool.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    account: AccountId,
    pool: PoolId,
    name: String,
    /// In the token's smallest unit, as are all amounts.
    stake: String,
    rewards: String,
    unbonding: Vec<Unbonding>,
    /// Whether the pool backs anybody.
    backs: usize,
}

/// An amount that was written a moment ago.
fn read(amount: &str) -> Balance {
    amount.parse().unwrap_or_default()
}

impl View {
    fn sentences(&self, clock: &Clock) -> Vec<String> {
        let name = match self.name.is_empty() {
            true => String::new(),
            false => format!(" ({})", self.name),
        };
        let mut told = vec![format!(
            "{} has {} at stake in pool {}{name}.",
            self.account,
            lab(read(&self.stake)),
            self.pool
        )];
        for unbonding in &self.unbonding {
            let amount = lab(read(&unbonding.amount));
            told.push(match unbonding.blocks {
                None => format!("{amount} have come free. → labora pool withdraw"),
                Some(_) => format!(
                    "{amount} are unbonding until era {}, {}; until then they can be slashed.",
                    unbonding.era,
                    clock.until(unbonding.era)
                ),
            });
        }
        told.push(match read(&self.rewards) {
            0 => "No rewards wait.".into(),
            rewards => format!(
                "{} of rewards wait. → labora pool claim, or labora pool bond-extra rewards",
                lab(rewards)
            ),
        });
        told.push(match self.backs {
            0 => "The pool backs nobody, so it earns nothing until its nominator says whom.".into(),
            backs => format!("The pool backs {}.", count(backs as u64, "validator")),
        });
        told
    }
}

/// Shows an account's part in a pool.
pub(super) async fn show(options: &ShowOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.key.who(options.account.as_ref())?;
    let wallet = Wallet::connect(&options.read.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let out = Out::new(options.read.json);
    let Some(it) = member(&state, &account).await? else {
        out.json(&None::<View>)?;
        return out.say(&format!("{account} is in no pool. → labora pool list"));
    };
    let clock = state.clock().await?;
    let mut unbonding = Vec::new();
    for (era, points) in &it.unbonding_eras {
        unbonding.push(Unbonding {
            // As points of a pool that was not slashed meanwhile.
            amount: points.to_string(),
            era: *era,
            blocks: clock.blocks_until(*era),
        });
    }
    let pool_account = account_of(&state, it.pool_id).await?;
    let nominations = state.nominations(&pool_account).await?;
    let view = View {
        account: account.clone(),
        pool: it.pool_id,
        name: name(&state, it.pool_id).await?,
        stake: worth(&state, it.pool_id, it.points).await?.to_string(),
        rewards: rewards(&state, &account).await?.to_string(),
        unbonding,
        backs: nominations.map_or(0, |nominations| nominations.targets.len()),
    };
    out.json(&view)?;
    if out == Out::Programs {
        return Ok(());
    }
    for sentence in view.sentences(&clock) {
        out.say(&sentence)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use labora_runtime::LAB;
    use sp_keyring::Sr25519Keyring::Alice;

    use super::*;

    #[test]
    fn a_part_in_a_pool_is_told_in_words() {
        let clock = Clock {
            now: 125,
            block_ms: 12_000,
            era: 2,
            era_since: 6,
            session: 6,
            session_blocks: 20,
            sessions_per_era: 3,
        };
        let of = |rewards: u128, backs| View {
            account: Alice.to_account_id(),
            pool: 1,
            name: "shelf".into(),
            stake: (10 * LAB).to_string(),
            rewards: rewards.to_string(),
            unbonding: vec![Unbonding {
                amount: LAB.to_string(),
                era: 4,
                blocks: Some(115),
            }],
            backs,
        };
        let told = of(0, 0).sentences(&clock).join("\n");
        for word in [
            "10 LAB at stake in pool 1 (shelf)",
            "1 LAB are unbonding until era 4, in 115 blocks",
            "No rewards",
            "backs nobody",
        ] {
            assert!(told.contains(word), "{word}: {told}");
        }
        let told = of(LAB / 2, 1).sentences(&clock).join("\n");
        assert!(
            told.contains("0.5 LAB of rewards wait") && told.contains("backs 1 validator."),
            "{told}"
        );
    }
}
