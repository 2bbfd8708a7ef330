//! What who governs the chain does about the fund. On test chains that is the sudo key, in whose name the call is wrapped.

use clap::Args;
use labora_market::{
    account::Account,
    chain::{ChainError, Included},
    types::StageInfo,
    words::{lab, parse_lab, why},
};
use labora_runtime::{AccountId, Runtime, RuntimeCall, RuntimeEvent};
use pallet_grants::{Call, Event, InstitutionId, Name, Terms, is_name};
use serde_json::{Value, json};

use super::{InstitutionOptions, institution, named, open};
use crate::{
    cli::values::parse_address,
    wallet::{
        WalletError,
        act::{Plan, Quote, Trace, Wallet, act},
        flags::ActParams,
        job::CallOptions,
        show::{Out, count},
    },
};

/// A new institution.
#[derive(Args, Clone, Debug)]
pub struct AdmitOptions {
    /// The account that says who its members and rigs are.
    #[arg(value_name = "SS58", value_parser = parse_address)]
    pub admin: AccountId,

    /// Its name, for people: 1 to 64 bytes.
    #[arg(long, value_name = "TEXT", value_parser = parse_name)]
    pub name: Name,

    /// What its members may post in an era, in LAB.
    #[arg(long, value_name = "LAB", value_parser = parse_lab)]
    pub quota: u128,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Another quota.
#[derive(Args, Clone, Debug)]
pub struct QuotaOptions {
    /// Number of the institution.
    #[arg(value_name = "INSTITUTION")]
    pub institution: InstitutionId,

    /// What its members may post in an era, in LAB.
    #[arg(value_name = "LAB", value_parser = parse_lab)]
    pub quota: u128,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Another admin.
#[derive(Args, Clone, Debug)]
pub struct AdminOptions {
    /// Number of the institution.
    #[arg(value_name = "INSTITUTION")]
    pub institution: InstitutionId,

    /// The account that says who its members and rigs are.
    #[arg(value_name = "SS58", value_parser = parse_address)]
    pub admin: AccountId,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Other terms; those that are not given stay as they are.
#[derive(Args, Clone, Debug)]
#[group(id = "given", required = true, multiple = true, args = ["max_rate", "open_blocks", "held_quotas"])]
pub struct TermsOptions {
    /// Most that the fund pays for 10¹² multiply-accumulates, in LAB.
    #[arg(long, value_name = "LAB", value_parser = parse_lab)]
    pub max_rate: Option<u128>,

    /// Longest that a job stays open that it pays for.
    #[arg(long, value_name = "BLOCKS")]
    pub open_blocks: Option<u32>,

    /// Most that is held for an institution's jobs at a time, fees and deposits together, in quotas of an era.
    #[arg(long, value_name = "QUOTAS")]
    pub held_quotas: Option<u32>,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

fn parse_name(value: &str) -> Result<Name, &'static str> {
    let name = Name::try_from(value.as_bytes().to_vec()).ok();
    name.filter(|name| is_name(name))
        .ok_or("expected 1 to 64 bytes of text without control characters")
}

/// Who governs the chain, if it has a sudo key.
async fn root(wallet: &Wallet<'_>) -> Result<Option<AccountId>, WalletError> {
    let key = pallet_sudo::Key::<Runtime>::hashed_key();
    Ok(wallet.chain.read(&key, "sudo key", None).await?)
}

/// Something that only who governs can do, by whoever signs.
struct Governor<'a> {
    account: Account,
    wallet: Wallet<'a>,
    how: &'a ActParams,
}

impl<'a> Governor<'a> {
    /// Connects, and makes sure that whoever signs is root.
    async fn new(how: &'a ActParams, trace: &'a Trace) -> Result<Self, WalletError> {
        let account = how.key.signer()?;
        let wallet = Wallet::connect(&how.node, trace).await?;
        let Some(root) = root(&wallet).await? else {
            return Err(WalletError::sentence(
                "nobody is root on this chain, which has no sudo key: institutions can be governed only as the chain's runtime says",
            ));
        };
        if root != *account.id() {
            return Err(WalletError::sentence(format!(
                "only who governs the chain can do this, {root} (its sudo key), and {} would sign; give that key, or ask its holder",
                account.id()
            )));
        }
        Ok(Self {
            account,
            wallet,
            how,
        })
    }

    /// Does it in the name of root; what came of it, unless it was only to be shown. `tell` makes sentences of it, and more for
    /// programs.
    async fn act(
        &self,
        plan: Plan,
        tell: impl FnOnce(&Included) -> (Vec<String>, Vec<(&'static str, Value)>),
    ) -> Result<(), WalletError> {
        let call = Box::new(plan.call);
        let plan = Plan {
            call: RuntimeCall::Sudo(pallet_sudo::Call::sudo { call }),
            ..plan
        };
        let plan = plan.note("It is done as root, by the chain's sudo key (sudo.sudo).");
        let quote = Quote::of(plan, &self.wallet, &self.account).await?;
        if !quote.agreed(&self.account, self.how).await? {
            return Ok(());
        }
        let included = quote.send(&self.wallet, &self.account).await?;
        // The transaction succeeds, whatever becomes of the call in it.
        let refused = included.events.iter().find_map(|event| match event {
            RuntimeEvent::Sudo(pallet_sudo::Event::Sudid { sudo_result }) => sudo_result.err(),
            _ => None,
        });
        if let Some(error) = refused {
            return Err(WalletError::Refused(ChainError::Undone(why(error))));
        }
        let (sentences, more) = tell(&included);
        quote.report(&included, Out::new(self.how.json), &sentences, &more)
    }
}

/// Admits an institution.
pub(super) async fn admit(options: &AdmitOptions, trace: &Trace) -> Result<(), WalletError> {
    let governor = Governor::new(&options.act, trace).await?;
    let call = RuntimeCall::Grants(Call::<Runtime>::admit {
        admin: options.admin.clone(),
        name: options.name.clone(),
        quota: options.quota,
    });
    let name = String::from_utf8_lossy(&options.name).into_owned();
    let title = format!(
        "Admit “{name}” to the research fund, with {} an era",
        lab(options.quota)
    );
    let fund = governor.wallet.chain.fund().await?;
    let plan = Plan::new(title, call)
        .note(format!(
            "{} says who belongs to it. The fund keeps its account alive.",
            options.admin
        ))
        .note(format!("The fund has {}.", lab(super::figure(&fund.free)?)));
    governor
        .act(plan, |included| {
            let number = included.events.iter().find_map(|event| match event {
                RuntimeEvent::Grants(Event::Admitted { institution, .. }) => Some(*institution),
                _ => None,
            });
            let told = number.map(|number| {
                format!("It is institution {number}.\n→ labora grant invite {number} SS58")
            });
            (
                told.into_iter().collect(),
                vec![("institution", json!(number))],
            )
        })
        .await
}

/// Sets a quota.
pub(super) async fn quota(options: &QuotaOptions, trace: &Trace) -> Result<(), WalletError> {
    let governor = Governor::new(&options.act, trace).await?;
    let (number, quota) = (options.institution, options.quota);
    let it = open(&governor.wallet.chain, number).await?;
    let call = RuntimeCall::Grants(Call::<Runtime>::set_quota {
        institution: number,
        quota,
    });
    let title = format!("Let institution {number} have {} an era", lab(quota));
    let plan = Plan::new(title, call).note(format!(
        "Until now it has {}; this holds for the present era too.",
        lab(super::figure(&it.quota)?)
    ));
    governor.act(plan, |_| (Vec::new(), Vec::new())).await
}

/// Names another admin.
pub(super) async fn admin(options: &AdminOptions, trace: &Trace) -> Result<(), WalletError> {
    let governor = Governor::new(&options.act, trace).await?;
    let (number, admin) = (options.institution, options.admin.clone());
    let it = open(&governor.wallet.chain, number).await?;
    let title = format!("Let {admin} administer institution {number}");
    let call = RuntimeCall::Grants(Call::<Runtime>::set_admin {
        institution: number,
        admin,
    });
    let plan = Plan::new(title, call).note(format!("Until now {} does.", it.admin));
    governor.act(plan, |_| (Vec::new(), Vec::new())).await
}

/// Closes an institution.
pub(super) async fn close(options: &InstitutionOptions, trace: &Trace) -> Result<(), WalletError> {
    let governor = Governor::new(&options.act, trace).await?;
    let number = options.institution;
    open(&governor.wallet.chain, number).await?;
    let call = RuntimeCall::Grants(Call::<Runtime>::close {
        institution: number,
    });
    let plan = Plan::new(format!("Close institution {number}"), call)
        .note("What its members have posted goes on, and its ledger stays; nothing more is paid or counted.")
        .note("This cannot be undone: it would have to be admitted anew, under another number.");
    governor.act(plan, |_| (Vec::new(), Vec::new())).await
}

/// Sets the terms.
pub(super) async fn terms(options: &TermsOptions, trace: &Trace) -> Result<(), WalletError> {
    let governor = Governor::new(&options.act, trace).await?;
    let fund = governor.wallet.chain.fund().await?;
    let now = Terms {
        max_rate: super::figure(&fund.max_rate)?,
        open_blocks: fund.open_blocks,
        held_quotas: fund.held_quotas,
    };
    let terms = Terms {
        max_rate: options.max_rate.unwrap_or(now.max_rate),
        open_blocks: options.open_blocks.unwrap_or(now.open_blocks),
        held_quotas: options.held_quotas.unwrap_or(now.held_quotas),
    };
    let call = RuntimeCall::Grants(Call::<Runtime>::set_terms { terms });
    let title = format!("Have the research fund pay {}", in_words(&terms));
    let plan = Plan::new(title, call).note(format!(
        "Until now it pays {}. Jobs that are posted stay as they are.",
        in_words(&now)
    ));
    governor.act(plan, |_| (Vec::new(), Vec::new())).await
}

/// What is paid for under these terms.
fn in_words(terms: &Terms) -> String {
    format!(
        "at most {} per 10¹² multiply-accumulates, for jobs that are open for at most {}, and hold at most {} of an \
         institution's at a time",
        lab(terms.max_rate),
        count(terms.open_blocks.into(), "block"),
        count(terms.held_quotas.into(), "quota")
    )
}

/// Takes back a job that nobody works on.
pub(super) async fn withdraw(options: &CallOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let number = options.job;
    let Some(grant) = wallet.chain.grant(number).await? else {
        return Err(WalletError::sentence(format!(
            "the research fund pays for no job {number}, or it is over; `labora job list` shows jobs"
        )));
    };
    let it = institution(&wallet.chain, grant.institution).await?;
    let stage = wallet.chain.job(number).await?.map(|job| job.stage);
    if stage != Some(StageInfo::Open) {
        return Err(WalletError::sentence(format!(
            "somebody works on job {number}, or has: only an open job can be taken back; `labora job explain {number}` tells more"
        )));
    }
    let call = RuntimeCall::Grants(Call::<Runtime>::withdraw { job: number });
    let plan = Plan::new(format!("Take back job {number} of {}", named(&it)), call).note(
        "Fee and deposit go home to the fund, and the quota has the fee back if it is of this era.",
    );
    if it.admin == *account.id() {
        return act(&wallet, &account, &options.act, plan).await.map(drop);
    }
    if root(&wallet).await?.as_ref() != Some(account.id()) {
        return Err(WalletError::sentence(format!(
            "only {}, who administers institution {}, and who governs the chain take back its jobs, and {} would sign; whoever \
             posted it can cancel it (labora job cancel {number})",
            it.admin,
            it.institution,
            account.id()
        )));
    }
    let governor = Governor {
        account,
        wallet,
        how: &options.act,
    };
    governor.act(plan, |_| (Vec::new(), Vec::new())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_that_fits() {
        assert_eq!(
            parse_name("Universität").map(|name| name.to_vec()),
            Ok("Universität".as_bytes().to_vec())
        );
        for wrong in ["", " ", "a\nb", &"x".repeat(65)] {
            assert!(parse_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
