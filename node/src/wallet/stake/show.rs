//! `labora stake show`: stake in words.

use labora_market::words::lab;
use labora_runtime::{AccountId, Balance};
use pallet_staking::RewardDestination;
use serde::Serialize;
use sp_staking::EraIndex;

use super::{Clock, State};
use crate::wallet::{
    WalletError,
    act::{Trace, Wallet},
    flags::ShowOptions,
    show::{Out, percent},
};

/// Stake that was asked back.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Unlocking {
    #[serde(serialize_with = "as_text")]
    amount: Balance,
    /// The era from which on it is free.
    era: EraIndex,
    /// Blocks until then; null if it is free.
    blocks: Option<u32>,
}

/// A validator that is backed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Backed {
    validator: AccountId,
    /// Whether it stands at all.
    stands: bool,
    is_elected: bool,
    /// What of the account's stake is behind it in this era.
    #[serde(serialize_with = "as_text")]
    amount: Balance,
    /// Eras whose rewards nobody has claimed.
    unpaid: Vec<EraIndex>,
}

/// An account that stands as a validator, or stood.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Validating {
    /// In billionths; null if it stands no more.
    commission_ppb: Option<u32>,
    has_session_keys: bool,
    /// Whether it is among those of this session.
    votes: bool,
    /// What is behind it in this era; null if it is not elected.
    #[serde(serialize_with = "as_text_or_null")]
    total: Option<Balance>,
    nominators: u32,
    unpaid: Vec<EraIndex>,
}

/// What `--json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    account: AccountId,
    era: EraIndex,
    #[serde(serialize_with = "as_text")]
    bonded: Balance,
    #[serde(serialize_with = "as_text")]
    active: Balance,
    unlocking: Vec<Unlocking>,
    rewards_to: String,
    nominates: Vec<Backed>,
    validates: Option<Validating>,
}

fn as_text<S: serde::Serializer>(amount: &Balance, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

fn as_text_or_null<S: serde::Serializer>(
    amount: &Option<Balance>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => serializer.collect_str(amount),
        None => serializer.serialize_none(),
    }
}

/// Where rewards go, in words.
fn rewards_to(payee: Option<&RewardDestination<AccountId>>) -> String {
    match payee {
        Some(RewardDestination::Staked) => "its stake".into(),
        Some(RewardDestination::Stash) => "its free money".into(),
        Some(RewardDestination::Account(account)) => account.to_string(),
        Some(RewardDestination::None) | None => "nobody".into(),
        // The account itself controls its stake, since nobody else can any more.
        #[allow(deprecated, reason = "an old chain may still have it")]
        Some(RewardDestination::Controller) => "its free money".into(),
    }
}

impl View {
    /// Reads all of it; none if nothing is bonded.
    async fn read(state: &State<'_>, account: &AccountId) -> Result<Option<Self>, WalletError> {
        let Some(ledger) = state.ledger(account).await? else {
            return Ok(None);
        };
        let clock = state.clock().await?;
        let unlocking = ledger.unlocking.iter().map(|chunk| Unlocking {
            amount: chunk.value,
            era: chunk.era,
            blocks: clock.blocks_until(chunk.era),
        });
        let nominations = state.nominations(account).await?;
        let mut nominates = Vec::new();
        for validator in nominations
            .iter()
            .flat_map(|nominations| &nominations.targets)
        {
            let elected = state.elected(clock.era, validator).await?;
            let amount = match &elected {
                Some(elected) => state.behind(clock.era, validator, elected, account).await?,
                None => 0,
            };
            nominates.push(Backed {
                validator: validator.clone(),
                stands: state.validator(validator).await?.is_some(),
                is_elected: elected.is_some(),
                amount,
                unpaid: state.unpaid(clock.era, validator).await?,
            });
        }
        let payee = state.payee(account).await?;
        Ok(Some(Self {
            account: account.clone(),
            era: clock.era,
            bonded: ledger.total,
            active: ledger.active,
            unlocking: unlocking.collect(),
            rewards_to: rewards_to(payee.as_ref()),
            nominates,
            validates: validating(state, &clock, account).await?,
        }))
    }

    /// What people are told.
    fn sentences(&self, clock: &Clock) -> Vec<String> {
        let mut told = vec![format!(
            "{} has {} bonded, {} of it at stake.",
            self.account,
            lab(self.bonded),
            lab(self.active)
        )];
        for unlocking in &self.unlocking {
            let amount = lab(unlocking.amount);
            told.push(match unlocking.blocks {
                None => format!("{amount} have come free. → labora stake withdraw"),
                Some(_) => format!(
                    "{amount} are unbonding until era {}, {}; until then they can be slashed.",
                    unlocking.era,
                    clock.until(unlocking.era)
                ),
            });
        }
        told.push(format!("Rewards go to {}.", self.rewards_to));
        if let Some(validating) = &self.validates {
            told.extend(validating.sentences(&self.account));
        }
        for backed in &self.nominates {
            told.push(backed.sentence());
        }
        let backs = self
            .nominates
            .iter()
            .filter(|backed| backed.amount > 0)
            .count();
        match (self.nominates.is_empty(), backs, self.validates.is_some()) {
            (true, _, false) => told.push(
                "It backs nobody and does not validate, so it earns nothing. → labora stake nominate VALIDATOR…".into(),
            ),
            (false, 0, _) => told.push(format!(
                "None of its stake is behind an elected validator in this era ({}): stake counts from the election after it was \
                 bonded, and a new era begins {}.",
                clock.era,
                clock.until(clock.era.saturating_add(1))
            )),
            _ => {}
        }
        let owed: Vec<&AccountId> = (self.nominates.iter())
            .filter(|backed| !backed.unpaid.is_empty())
            .map(|backed| &backed.validator)
            .collect();
        for validator in owed {
            told.push(format!("→ labora stake payout {validator}"));
        }
        told
    }
}

impl Backed {
    fn sentence(&self) -> String {
        let how = match (self.stands, self.is_elected, self.amount) {
            (_, true, 0) => "elected in this era, with other stake".into(),
            (_, true, amount) => format!("elected in this era, with {} of this stake", lab(amount)),
            (true, false, _) => "not elected in this era".into(),
            (false, false, _) => "stands no more: nominate another".into(),
        };
        let unpaid = match self.unpaid.len() {
            0 => String::new(),
            eras => format!("; rewards of {eras} eras are not paid out yet"),
        };
        format!("It backs {}: {how}{unpaid}.", self.validator)
    }
}

impl Validating {
    fn sentences(&self, account: &AccountId) -> Vec<String> {
        let mut told = Vec::new();
        let commission = match self.commission_ppb {
            Some(ppb) => format!(
                "It stands as a validator, with a commission of {}",
                percent(ppb)
            ),
            None => "It stands as a validator no more".into(),
        };
        told.push(match self.total {
            Some(total) => format!(
                "{commission}; it is elected in this era, with {} behind it, of {} nominators and its own.",
                lab(total),
                self.nominators
            ),
            None => format!("{commission}; it is not elected in this era."),
        });
        if self.votes {
            told.push(
                "It is among the validators of this session: its node votes on finality.".into(),
            );
        }
        if !self.has_session_keys && self.commission_ppb.is_some() {
            told.push(
                "The chain does not know a key that it votes with, so it cannot be elected: send session.setKeys (docs/staking.md).".into(),
            );
        }
        if !self.unpaid.is_empty() {
            let eras = self.unpaid.len();
            told.push(format!(
                "Its rewards of {eras} eras are not paid out yet. → labora stake payout {account}"
            ));
        }
        told
    }
}

async fn validating(
    state: &State<'_>,
    clock: &Clock,
    account: &AccountId,
) -> Result<Option<Validating>, WalletError> {
    let prefs = state.validator(account).await?;
    let elected = state.elected(clock.era, account).await?;
    let votes = state.session_validators().await?.contains(account);
    if prefs.is_none() && elected.is_none() && !votes {
        return Ok(None);
    }
    Ok(Some(Validating {
        commission_ppb: prefs.map(|prefs| prefs.commission.deconstruct()),
        has_session_keys: state.has_session_keys(account).await?,
        votes,
        total: elected.as_ref().map(|elected| elected.total),
        nominators: elected.map_or(0, |elected| elected.nominators),
        unpaid: state.unpaid(clock.era, account).await?,
    }))
}

/// Shows an account's stake.
pub(super) async fn run(options: &ShowOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.key.who(options.account.as_ref())?;
    let wallet = Wallet::connect(&options.read.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let out = Out::new(options.read.json);
    let view = View::read(&state, &account).await?;
    out.json(&view)?;
    if out == Out::Programs {
        return Ok(());
    }
    let Some(view) = view else {
        return out.say(&format!(
            "{account} has nothing bonded. → labora stake bond LAB, or labora pool list"
        ));
    };
    let clock = state.clock().await?;
    for sentence in view.sentences(&clock) {
        out.say(&sentence)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
