//! `labora balance` and `labora transfer`.

use clap::Args;
use frame_support::traits::{VariantCountOf, tokens::IdAmount};
use labora_market::words::{lab, parse_lab};
use labora_runtime::{AccountId, Balance, Nonce, Runtime, RuntimeCall, RuntimeHoldReason};
use serde::Serialize;
use sp_runtime::BoundedVec;

use super::{
    WalletError,
    act::{Plan, Trace, Wallet, act},
    flags::{ActParams, KeyParams, ReadParams},
    show::Out,
};
use crate::cli::values::parse_address;

/// What an account has: free, held and for what, frozen.
#[derive(Args, Clone, Debug)]
pub struct BalanceCommand {
    /// The account; default: the key's.
    #[arg(value_name = "SS58", value_parser = parse_address)]
    pub account: Option<AccountId>,

    /// Its key, instead of its address.
    #[clap(flatten)]
    pub key: KeyParams,

    /// How.
    #[clap(flatten)]
    pub read: ReadParams,
}

/// Sends LAB to an account.
#[derive(Args, Clone, Debug)]
pub struct TransferCommand {
    /// Whom it goes to.
    #[arg(value_name = "SS58", value_parser = parse_address)]
    pub to: AccountId,

    /// How much, in LAB, such as 2.5.
    #[arg(value_name = "LAB", value_parser = parse_lab)]
    pub amount: u128,

    /// Let the sender's account end if less than the least balance is left. By default such a transfer is refused.
    #[arg(long)]
    pub allow_death: bool,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Something that is held.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
struct Held {
    /// For what.
    reason: String,
    /// How much, in the token's smallest unit.
    amount: String,
}

/// What `--json` prints.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BalanceView {
    account: AccountId,
    /// What can be sent or held.
    free: String,
    held: Vec<Held>,
    /// What may not be sent, of the whole.
    frozen: String,
    /// What keeps the account alive.
    keeps_alive: String,
    total: String,
    transactions: Nonce,
}

type Info = frame_system::AccountInfo<Nonce, pallet_balances::AccountData<Balance>>;
type Holds = BoundedVec<IdAmount<RuntimeHoldReason, Balance>, VariantCountOf<RuntimeHoldReason>>;

/// Why something is held, in words.
fn reason(reason: &RuntimeHoldReason) -> String {
    use pallet_jobs::HoldReason as Jobs;
    match reason {
        RuntimeHoldReason::Jobs(Jobs::Escrow) => "fees of jobs".into(),
        RuntimeHoldReason::Jobs(Jobs::Deposit) => "deposits of jobs".into(),
        RuntimeHoldReason::Jobs(Jobs::Bond) => "bonds of claims".into(),
        RuntimeHoldReason::Grants(_) => "rig of an institution".into(),
        RuntimeHoldReason::Staking(_) => "stake".into(),
        RuntimeHoldReason::DelegatedStaking(_) => "stake in a pool".into(),
        RuntimeHoldReason::Session(_) => "session keys".into(),
        #[allow(
            unreachable_patterns,
            reason = "a pallet more would not be an error here"
        )]
        other => format!("{other:?}"),
    }
}

/// Shows what an account has.
pub(super) async fn show(command: &BalanceCommand, trace: &Trace) -> Result<(), WalletError> {
    let account = command.key.who(command.account.as_ref())?;
    let wallet = Wallet::connect(&command.read.node, trace).await?;
    let chain = &wallet.chain;
    let at = Some(chain.best().await?.hash);
    let key = frame_system::Account::<Runtime>::hashed_key_for(&account);
    let info: Option<Info> = chain.read(&key, "account", at).await?;
    let key = pallet_balances::Holds::<Runtime>::hashed_key_for(&account);
    let holds: Option<Holds> = chain.read(&key, "holds", at).await?;
    let out = Out::new(command.read.json);
    let exists = info.is_some();
    let info = info.unwrap_or_default();
    let least = <Runtime as pallet_balances::Config>::ExistentialDeposit::get();
    let data = &info.data;
    let kept = data
        .frozen
        .saturating_sub(data.reserved)
        .max(least)
        .min(data.free);
    let view = BalanceView {
        account: account.clone(),
        free: (data.free - kept).to_string(),
        held: holds
            .unwrap_or_default()
            .iter()
            .map(|hold| Held {
                reason: reason(&hold.id),
                amount: hold.amount.to_string(),
            })
            .collect(),
        frozen: data.frozen.to_string(),
        keeps_alive: kept.to_string(),
        total: data.free.saturating_add(data.reserved).to_string(),
        transactions: info.nonce,
    };
    out.json(&view)?;
    if out == Out::Programs {
        return Ok(());
    }
    if !exists {
        return out.say(&format!(
            "{account} has nothing, and was never sent anything that is still there."
        ));
    }
    out.say(&format!("{account}"))?;
    let mut rows = vec![[String::new(), "LAB".into(), " ".into()]];
    let mut row = |what: &str, amount: &str, note: &str| {
        // All of them were written from amounts a moment ago.
        let amount = lab(amount.parse().unwrap_or_default());
        rows.push([
            what.into(),
            amount.trim_end_matches(" LAB").into(),
            note.into(),
        ]);
    };
    row(
        "free",
        &view.free,
        "can be sent, or be held for jobs and stake",
    );
    row(
        "keeps it alive",
        &view.keeps_alive,
        "stays, unless the account is to end",
    );
    for held in &view.held {
        row(&format!("held: {}", held.reason), &held.amount, "");
    }
    row("together", &view.total, "");
    out.table(&rows)
}

/// Sends money.
pub(super) async fn transfer(command: &TransferCommand, trace: &Trace) -> Result<(), WalletError> {
    let account = command.act.key.signer()?;
    if command.amount == 0 {
        return Err(WalletError::sentence(
            "nothing is sent by 0 LAB; give an amount such as 0.25",
        ));
    }
    let wallet = Wallet::connect(&command.act.node, trace).await?;
    let (dest, value) = (command.to.clone().into(), command.amount);
    let call = match command.allow_death {
        true => pallet_balances::Call::transfer_allow_death { dest, value },
        false => pallet_balances::Call::transfer_keep_alive { dest, value },
    };
    let title = format!("Send {} to {}", lab(value), command.to);
    let plan =
        Plan::new(title, RuntimeCall::Balances(call)).costs("amount", value, "for the receiver");
    act(&wallet, &account, &command.act, plan).await.map(drop)
}
