//! What is done with stake in one transaction.

use clap::Args;
use labora_market::words::{lab, parse_lab};
use labora_runtime::{AccountId, Runtime, RuntimeCall};
use pallet_staking::{Call, RewardDestination, StakingLedger, ValidatorPrefs};
use sp_runtime::Perbill;

use super::State;
use crate::{
    cli::values::{ValueError, parse_address},
    wallet::{
        WalletError,
        act::{Plan, Trace, Wallet, act},
        flags::ActParams,
        show::percent,
    },
};

/// Most validators that are backed.
const MAX_NOMINATIONS: usize = 16;

/// What is bonded.
#[derive(Args, Clone, Debug)]
pub struct BondOptions {
    /// How much, in LAB.
    #[arg(value_name = "LAB", value_parser = parse_lab)]
    pub amount: u128,

    /// Where rewards go: `staked` (they are bonded too), `stash` (they stay free), an SS58 address, or `none`. Only for a first bond.
    #[arg(long, value_name = "WHERE", value_parser = parse_payee)]
    pub payee: Option<Payee>,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Where rewards go, as it is typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Payee(pub RewardDestination<AccountId>);

/// Reads where rewards go.
fn parse_payee(value: &str) -> Result<Payee, ValueError> {
    Ok(Payee(match value {
        "staked" => RewardDestination::Staked,
        "stash" => RewardDestination::Stash,
        "none" => RewardDestination::None,
        address => RewardDestination::Account(parse_address(address)?),
    }))
}

/// Whom it backs.
#[derive(Args, Clone, Debug)]
pub struct NominateOptions {
    /// 1 to 16 validators.
    #[arg(value_name = "SS58", required = true, num_args = 1..=MAX_NOMINATIONS, value_parser = parse_address)]
    pub validators: Vec<AccountId>,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// How it validates.
#[derive(Args, Clone, Debug)]
pub struct ValidateOptions {
    /// Share of rewards that the validator takes before its nominators, in percent, such as 5 or 2.5.
    #[arg(long, value_name = "PERCENT", value_parser = parse_percent, default_value = "0")]
    pub commission: Perbill,

    /// Take no new nominators.
    #[arg(long)]
    pub blocked: bool,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Reads a share in percent, with up to seven decimal places.
fn parse_percent(value: &str) -> Result<Perbill, &'static str> {
    const SENTENCE: &str = "expected a share of 0 to 100 percent, such as 2.5";
    let number = value.trim_end_matches('%').trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || fraction.len() > 7 {
        return Err(SENTENCE);
    }
    let whole = whole
        .parse::<u32>()
        .ok()
        .filter(|whole| *whole <= 100)
        .ok_or(SENTENCE)?;
    let fraction: u32 = format!("{fraction:0<7}").parse().map_err(|_| SENTENCE)?;
    let parts = whole * 10_000_000 + fraction;
    match parts <= 1_000_000_000 {
        true => Ok(Perbill::from_parts(parts)),
        false => Err(SENTENCE),
    }
}

/// An amount, or all.
#[derive(Args, Clone, Debug)]
pub struct AmountOptions {
    /// How much, in LAB, or `all`.
    #[arg(value_name = "LAB|all", value_parser = parse_amount)]
    pub amount: Amount,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// An amount as it is typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Amount {
    /// Whatever there is.
    All,
    /// So much, in the token's smallest unit.
    Of(u128),
}

impl Amount {
    /// At most what there is.
    pub(crate) fn of(self, most: u128) -> u128 {
        match self {
            Self::All => most,
            Self::Of(amount) => amount,
        }
    }
}

/// Reads an amount.
pub(crate) fn parse_amount(value: &str) -> Result<Amount, labora_market::words::NoAmount> {
    match value {
        "all" => Ok(Amount::All),
        amount => parse_lab(amount).map(Amount::Of),
    }
}

/// Nothing but how.
#[derive(Args, Clone, Debug)]
pub struct SimpleOptions {
    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// What is bonded, which must be something.
async fn bonded(
    state: &State<'_>,
    account: &AccountId,
) -> Result<StakingLedger<Runtime>, WalletError> {
    let ledger = state.ledger(account).await?;
    ledger.ok_or_else(|| {
        WalletError::sentence(format!(
            "{account} has nothing bonded; `labora stake bond LAB` comes first"
        ))
    })
}

/// Bonds.
pub(super) async fn bond(options: &BondOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let amount = options.amount;
    let ledger = state.ledger(account.id()).await?;
    let call = match (&ledger, &options.payee) {
        (None, payee) => {
            let payee = payee
                .clone()
                .map_or(RewardDestination::Staked, |payee| payee.0);
            Call::<Runtime>::bond {
                value: amount,
                payee,
            }
        }
        (Some(_), None) => Call::<Runtime>::bond_extra {
            max_additional: amount,
        },
        (Some(_), Some(_)) => {
            return Err(WalletError::sentence(
                "--payee is for a first bond, and this account has one; leave it out to bond more",
            ));
        }
    };
    let title = match &ledger {
        None => format!("Bond {}", lab(amount)),
        Some(ledger) => format!("Bond {} to the {} that are", lab(amount), lab(ledger.total)),
    };
    let eras = state.unbonding_eras().await?;
    let clock = state.clock().await?;
    let blocks = eras
        .saturating_mul(clock.sessions_per_era)
        .saturating_mul(clock.session_blocks);
    let time = crate::wallet::show::time_of(blocks, clock.block_ms);
    let mut plan = Plan::new(title, RuntimeCall::Staking(call))
        .costs("stake", amount, "held; can be slashed")
        .note(format!(
            "It comes back {eras} eras, about {time}, after it is asked for."
        ));
    if ledger.is_none() {
        plan = plan
            .note("It earns nothing until it backs a validator: labora stake nominate VALIDATOR…");
    }
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Fails if one of them stands for nothing.
pub(crate) async fn all_stand(
    state: &State<'_>,
    validators: &[AccountId],
) -> Result<(), WalletError> {
    for (at, validator) in validators.iter().enumerate() {
        if validators[..at].contains(validator) {
            return Err(WalletError::sentence(format!("{validator} is named twice")));
        }
        match state.validator(validator).await? {
            None => {
                return Err(WalletError::sentence(format!(
                    "{validator} is no validator, so nothing can be behind it; name those that stand"
                )));
            }
            Some(prefs) if prefs.blocked => {
                return Err(WalletError::sentence(format!(
                    "{validator} takes no new nominators; name others"
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Backs validators.
pub(super) async fn nominate(options: &NominateOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let ledger = bonded(&state, account.id()).await?;
    all_stand(&state, &options.validators).await?;
    let targets = options.validators.iter().cloned().map(Into::into).collect();
    let call = RuntimeCall::Staking(Call::<Runtime>::nominate { targets });
    let names: Vec<String> = options.validators.iter().map(ToString::to_string).collect();
    let plan = Plan::new(format!("Back {}", names.join(", ")), call)
        .note(format!(
            "{} may stand behind them from the next election on, and is slashed with whom it is behind.",
            lab(ledger.active)
        ));
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Stands as a validator.
pub(super) async fn validate(options: &ValidateOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let ledger = bonded(&state, account.id()).await?;
    let prefs = ValidatorPrefs {
        commission: options.commission,
        blocked: options.blocked,
    };
    let call = RuntimeCall::Staking(Call::<Runtime>::validate { prefs });
    let title = format!(
        "Stand as a validator with {} at stake and a commission of {}",
        lab(ledger.active),
        percent(options.commission.deconstruct())
    );
    let mut plan = Plan::new(title, call)
        .note("Who votes twice in a round loses stake: never run one key on two machines.");
    if !state.has_session_keys(account.id()).await? {
        plan = plan.note(
            "The chain does not know a key that it votes with: without session.setKeys it is not elected (docs/staking.md).",
        );
    }
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Asks stake back.
pub(super) async fn unbond(options: &AmountOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let ledger = bonded(&state, account.id()).await?;
    let value = options.amount.of(ledger.active);
    if value == 0 || value > ledger.active {
        return Err(WalletError::sentence(format!(
            "{} is at stake; give an amount up to that, or `all`",
            lab(ledger.active)
        )));
    }
    let clock = state.clock().await?;
    let era = clock.era.saturating_add(state.unbonding_eras().await?);
    let call = RuntimeCall::Staking(Call::<Runtime>::unbond { value });
    let mut plan = Plan::new(format!("Unbond {}", lab(value)), call).note(format!(
        "It comes free in era {era} or one later, {}; until then it can be slashed. Then: labora stake withdraw",
        clock.until(era)
    ));
    if value == ledger.active {
        plan = plan
            .note("Who still backs somebody or validates has to stop first: labora stake chill");
    }
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Takes what has come free.
pub(super) async fn withdraw(options: &SimpleOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let ledger = bonded(&state, account.id()).await?;
    let clock = state.clock().await?;
    let free: u128 = (ledger.unlocking.iter())
        .filter(|chunk| clock.blocks_until(chunk.era).is_none())
        .map(|chunk| chunk.value)
        .fold(0, u128::saturating_add);
    if free == 0 {
        let next = ledger.unlocking.iter().map(|chunk| chunk.era).min();
        return Err(WalletError::sentence(match next {
            Some(era) => format!(
                "nothing has come free yet; the next does in era {era}, {}",
                clock.until(era)
            ),
            None => "nothing is unbonding; `labora stake unbond` comes first".to_owned(),
        }));
    }
    let num_slashing_spans = state.slashing_spans(account.id()).await?;
    let call = RuntimeCall::Staking(Call::<Runtime>::withdraw_unbonded { num_slashing_spans });
    let plan = Plan::new(format!("Withdraw {} that have come free", lab(free)), call);
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Backs nobody, and stands for nothing.
pub(super) async fn chill(options: &SimpleOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let state = State::best(&wallet.chain).await?;
    let ledger = bonded(&state, account.id()).await?;
    let call = RuntimeCall::Staking(Call::<Runtime>::chill {});
    let plan = Plan::new("Back nobody and stand for nothing any more", call).note(format!(
        "{} stay bonded; whom they are behind now they stay behind until the era ends.",
        lab(ledger.active)
    ));
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percents() {
        for (text, parts) in [
            ("0", Some(0)),
            ("5", Some(50_000_000)),
            ("2.5 %", Some(25_000_000)),
            ("100", Some(1_000_000_000)),
            ("0.0000001", Some(1)),
            ("100.1", None),
            ("101", None),
            ("-1", None),
            ("", None),
            (".5", None),
            ("1e1", None),
            ("99999999999", None),
            ("0.00000001", None),
        ] {
            assert_eq!(
                parse_percent(text).ok(),
                parts.map(Perbill::from_parts),
                "{text}"
            );
        }
    }

    #[test]
    fn rewards_go_somewhere() {
        let alice = sp_keyring::Sr25519Keyring::Alice.to_account_id();
        assert_eq!(parse_payee("staked"), Ok(Payee(RewardDestination::Staked)));
        assert_eq!(
            parse_payee(&alice.to_string()),
            Ok(Payee(RewardDestination::Account(alice)))
        );
        assert!(parse_payee("me").is_err());
        assert_eq!(parse_amount("all").map(|amount| amount.of(7)), Ok(7));
        assert_eq!(
            parse_amount("0.000000000003").map(|amount| amount.of(7)),
            Ok(3)
        );
        assert!(parse_amount("some").is_err());
    }
}
