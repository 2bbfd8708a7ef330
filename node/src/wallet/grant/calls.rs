//! What is done about an institution in one transaction: by its admin, its members and its rigs.

use clap::Args;
use labora_market::{account::Account, grants::InstitutionInfo, words::lab};
use labora_runtime::{AccountId, Runtime, RuntimeCall, RuntimeEvent};
use pallet_grants::{Call, Event, InstitutionId};
use serde_json::json;

use super::{figure, institution, must_be_open, named, open};
use crate::{
    cli::values::parse_address,
    wallet::{
        WalletError,
        act::{Plan, Quote, Trace, Wallet, act},
        flags::ActParams,
        show::Out,
    },
};

/// An institution, and how something is done about it.
#[derive(Args, Clone, Debug)]
pub struct InstitutionOptions {
    /// Number of the institution.
    #[arg(value_name = "INSTITUTION")]
    pub institution: InstitutionId,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Somebody who is to be a member of an institution, or no more.
#[derive(Args, Clone, Debug)]
pub struct MemberOptions {
    /// Number of the institution.
    #[arg(value_name = "INSTITUTION")]
    pub institution: InstitutionId,

    /// The account.
    #[arg(value_name = "SS58", value_parser = parse_address)]
    pub who: AccountId,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Somebody who mines for an institution, or offers to.
#[derive(Args, Clone, Debug)]
pub struct WhoOptions {
    /// The account.
    #[arg(value_name = "SS58", value_parser = parse_address)]
    pub who: AccountId,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// A rig that ends.
#[derive(Args, Clone, Debug)]
pub struct EndOptions {
    /// The account; default: the key's.
    #[arg(value_name = "SS58", value_parser = parse_address)]
    pub who: Option<AccountId>,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Nothing but how.
#[derive(Args, Clone, Debug)]
pub struct LeaveOptions {
    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Whether an account administers an institution; if not, who does.
fn administers(it: &InstitutionInfo, account: &Account) -> Result<(), WalletError> {
    match it.admin == *account.id() {
        true => Ok(()),
        false => Err(WalletError::sentence(format!(
            "only {} says who belongs to institution {}, and {} would sign; ask it, or give its key",
            it.admin,
            it.institution,
            account.id()
        ))),
    }
}

/// How an account belongs to an institution.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Belongs {
    Joined,
    Invited,
    No,
}

fn belongs(it: &InstitutionInfo, who: &AccountId) -> Belongs {
    let Some(people) = &it.people else {
        return Belongs::No;
    };
    match (people.members.contains(who), people.invited.contains(who)) {
        (true, _) => Belongs::Joined,
        (_, true) => Belongs::Invited,
        _ => Belongs::No,
    }
}

/// Invites somebody to be a member.
pub(super) async fn invite(options: &MemberOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let (number, who) = (options.institution, options.who.clone());
    let it = open(&wallet.chain, number).await?;
    administers(&it, &account)?;
    let is_already = match belongs(&it, &who) {
        Belongs::Joined => Some("is a member of"),
        Belongs::Invited => Some("is invited by"),
        Belongs::No => None,
    };
    if let Some(is) = is_already {
        return Err(WalletError::sentence(format!(
            "{who} {is} institution {number} already"
        )));
    }
    let title = format!("Invite {who} to be a member of {}", named(&it));
    let quota = lab(figure(&it.quota)?);
    let mut plan = Plan::new(
        title,
        RuntimeCall::Grants(Call::<Runtime>::invite {
            institution: number,
            who: who.clone(),
        }),
    )
    .note(format!("It has to join: labora grant join {number}"))
    .note(format!(
        "It may then post jobs for {quota} an era, with all other members together."
    ));
    if let Some(other) = wallet.chain.standing(&who).await?.member_of {
        plan = plan.note(format!(
            "It is a member of institution {other}, and has to leave that first (labora grant leave)."
        ));
    }
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Joins.
pub(super) async fn join(options: &InstitutionOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let number = options.institution;
    let it = open(&wallet.chain, number).await?;
    let who = account.id();
    if let Some(other) = wallet.chain.standing(who).await?.member_of {
        return Err(WalletError::sentence(match other == number {
            true => format!("{who} is a member of institution {number} already"),
            false => format!(
                "{who} is a member of institution {other}, and has to leave it first (labora grant leave)"
            ),
        }));
    }
    if belongs(&it, who) != Belongs::Invited {
        return Err(WalletError::sentence(format!(
            "institution {number} has not invited {who}; its admin, {}, can (labora grant invite {number} {who})",
            it.admin
        )));
    }
    let call = RuntimeCall::Grants(Call::<Runtime>::join {
        institution: number,
    });
    let plan = Plan::new(format!("Become a member of {}", named(&it)), call).note(
        "You can then have jobs paid by the research fund (labora grant post); `labora grant leave` ends it.",
    );
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Removes a member, or takes an invitation back.
pub(super) async fn remove(options: &MemberOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let it = institution(&wallet.chain, options.institution).await?;
    administers(&it, &account)?;
    let who = options.who.clone();
    let (title, note) = match belongs(&it, &who) {
        Belongs::Joined => (
            format!("Remove {who} from {}", named(&it)),
            "What it has posted goes on; `labora grant withdraw` takes back what nobody works on.",
        ),
        Belongs::Invited => (
            format!("Take back the invitation of {who} to {}", named(&it)),
            "It was no member yet.",
        ),
        Belongs::No => {
            return Err(WalletError::sentence(format!(
                "{who} is no member of institution {}, nor invited; `labora grant show {}` names who is",
                it.institution, it.institution
            )));
        }
    };
    let call = RuntimeCall::Grants(Call::<Runtime>::remove_member {
        institution: it.institution,
        who,
    });
    let plan = Plan::new(title, call).note(note);
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Leaves.
pub(super) async fn leave(options: &LeaveOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let Some(number) = wallet.chain.standing(account.id()).await?.member_of else {
        return Err(WalletError::sentence(format!(
            "{} is a member of no institution; `labora grant list` shows them",
            account.id()
        )));
    };
    let it = institution(&wallet.chain, number).await?;
    let call = RuntimeCall::Grants(Call::<Runtime>::leave {});
    let plan = Plan::new(format!("Leave {}", named(&it)), call)
        .note("What you have posted goes on; to be a member again you have to be invited again.");
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Offers a rig.
pub(super) async fn offer_rig(
    options: &InstitutionOptions,
    trace: &Trace,
) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let number = options.institution;
    let it = open(&wallet.chain, number).await?;
    if let Some(other) = wallet.chain.standing(account.id()).await?.rig_of {
        return Err(WalletError::sentence(format!(
            "{} mines for institution {other} already, or offers to; `labora grant end-rig` ends that",
            account.id()
        )));
    }
    let title = format!(
        "Offer to have the blocks of {} counted as those of {}",
        account.id(),
        named(&it)
    );
    let call = RuntimeCall::Grants(Call::<Runtime>::offer_rig {
        institution: number,
    });
    let deposit = <Runtime as pallet_grants::Config>::RigDeposit::get();
    let plan = Plan::new(title, call)
        .costs(
            "deposit",
            deposit,
            "held; it comes back when the rig ends or is turned down",
        )
        .note(format!(
            "Its admin has to accept: labora grant accept-rig {}",
            account.id()
        ))
        .note("What you are paid for blocks stays yours; only that they were mined for it is written down.");
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// The institution that a rig mines for or offers to, and whether it is accepted.
async fn of_rig(
    wallet: &Wallet<'_>,
    who: &AccountId,
) -> Result<(InstitutionInfo, bool), WalletError> {
    let standing = wallet.chain.standing(who).await?;
    match standing.rig_of {
        Some(number) => Ok((institution(&wallet.chain, number).await?, standing.accepted)),
        None => Err(WalletError::sentence(format!(
            "{who} mines for no institution, nor offers to; `labora grant offer-rig`, signed by it, does"
        ))),
    }
}

/// Accepts a rig.
pub(super) async fn accept_rig(options: &WhoOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let (it, is_accepted) = of_rig(&wallet, &options.who).await?;
    must_be_open(&it)?;
    administers(&it, &account)?;
    let who = options.who.clone();
    if is_accepted {
        return Err(WalletError::sentence(format!(
            "{who} is a rig of institution {} already",
            it.institution
        )));
    }
    let title = format!("Count the blocks of {who} as those of {}", named(&it));
    let call = RuntimeCall::Grants(Call::<Runtime>::accept_rig { who });
    act(&wallet, &account, &options.act, Plan::new(title, call))
        .await
        .map(drop)
}

/// Ends a rig or its offer.
pub(super) async fn end_rig(options: &EndOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let who = options.who.clone().unwrap_or_else(|| account.id().clone());
    let (it, is_accepted) = of_rig(&wallet, &who).await?;
    if who != *account.id() {
        administers(&it, &account)?;
    }
    let title = match is_accepted {
        true => format!(
            "Count the blocks of {who} as those of {} no more",
            named(&it)
        ),
        false => format!("End the offer of {who} to mine for {}", named(&it)),
    };
    let call = RuntimeCall::Grants(Call::<Runtime>::end_rig { who });
    let plan = Plan::new(title, call).note("The deposit goes back to the rig.");
    act(&wallet, &account, &options.act, plan).await.map(drop)
}

/// Sends home what lies on an institution's account.
pub(super) async fn sweep(options: &InstitutionOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let it = institution(&wallet.chain, options.institution).await?;
    let lies = match &it.people {
        Some(people) => wallet.chain.money(&people.account).await?.free,
        None => 0,
    };
    // Of a closed one even what keeps an account alive can go.
    if lies == 0 && !it.closed {
        return Err(WalletError::sentence(format!(
            "nothing lies on the account of institution {}: what comes back goes home to the fund at once",
            it.institution
        )));
    }
    let call = RuntimeCall::Grants(Call::<Runtime>::sweep {
        institution: it.institution,
    });
    let title = format!("Send home to the fund what lies with {}", named(&it));
    let plan = Plan::new(title, call)
        .note(format!("That is {}.", lab(lies)))
        .free();
    let quote = Quote::of(plan, &wallet, &account).await?;
    if !quote.agreed(&account, &options.act).await? {
        return Ok(());
    }
    let included = quote.send(&wallet, &account).await?;
    let moved = included.events.iter().find_map(|event| match event {
        RuntimeEvent::Grants(Event::Returned { amount, .. }) => Some(*amount),
        _ => None,
    });
    let told = moved.map(|moved| format!("{} went home.", lab(moved)));
    let more = [("returned", json!(moved.map(|moved| moved.to_string())))];
    let told: Vec<String> = told.into_iter().collect();
    quote.report(&included, Out::new(options.act.json), &told, &more)
}
