//! `labora grant`: the research fund, as institutions, their members and their rigs see it, and who governs.

mod calls;
mod govern;
mod post;
mod show;

pub use calls::{EndOptions, InstitutionOptions, LeaveOptions, MemberOptions, WhoOptions};
pub use govern::{AdminOptions, AdmitOptions, QuotaOptions, TermsOptions};
pub use show::{GrantListOptions, GrantShowOptions};

use labora_market::{chain::Chain, grants::InstitutionInfo, node::shown};
use pallet_grants::InstitutionId;

use super::{
    WalletError,
    act::Trace,
    flags::ShowOptions,
    job::{CallOptions, PostOptions},
};

/// About the research fund.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum GrantCommand {
    /// List institutions, with what each received and gave, and what the fund has.
    List(GrantListOptions),
    /// Show an institution: its quota, its ledger, and who belongs to it.
    Show(GrantShowOptions),
    /// Say what an account has to do with grants, and what it can still have paid.
    Of(ShowOptions),
    /// Post products that the fund pays for, within the institution's quota; else as `labora job post`.
    Post(Box<PostOptions>),
    /// Invite an account to be a member of an institution that one administers; it has to join.
    Invite(MemberOptions),
    /// Become a member of an institution that has invited this account.
    Join(InstitutionOptions),
    /// End the membership of an account, or its invitation.
    Remove(MemberOptions),
    /// End one's own membership.
    Leave(LeaveOptions),
    /// Take back a job that nobody works on, of whoever posted it: the fund has its money back. Of the institution's admin, or of
    /// who governs the chain.
    Withdraw(CallOptions),
    /// Offer to have the blocks that this account mines counted as an institution's.
    OfferRig(InstitutionOptions),
    /// Accept an account that offers that.
    AcceptRig(WhoOptions),
    /// End that, or the offer; of one's own account, or of one that one's institution counts.
    EndRig(EndOptions),
    /// Send home to the fund what lies on an institution's account, for no fee.
    Sweep(InstitutionOptions),
    /// Admit an institution. Of who governs the chain.
    Admit(AdmitOptions),
    /// Set what an institution's members may post in an era. Of who governs the chain.
    Quota(QuotaOptions),
    /// Have somebody else administer an institution. Of who governs the chain.
    Admin(AdminOptions),
    /// End an institution. Of who governs the chain.
    Close(InstitutionOptions),
    /// Set what bounds the jobs that the fund pays for. Of who governs the chain.
    Terms(TermsOptions),
}

pub(super) async fn run(command: &GrantCommand, trace: &Trace) -> Result<(), WalletError> {
    match command {
        GrantCommand::List(options) => show::list(options, trace).await,
        GrantCommand::Show(options) => show::show(options, trace).await,
        GrantCommand::Of(options) => show::standing(options, trace).await,
        GrantCommand::Post(options) => post::run(options, trace).await,
        GrantCommand::Invite(options) => calls::invite(options, trace).await,
        GrantCommand::Join(options) => calls::join(options, trace).await,
        GrantCommand::Remove(options) => calls::remove(options, trace).await,
        GrantCommand::Leave(options) => calls::leave(options, trace).await,
        GrantCommand::Withdraw(options) => govern::withdraw(options, trace).await,
        GrantCommand::OfferRig(options) => calls::offer_rig(options, trace).await,
        GrantCommand::AcceptRig(options) => calls::accept_rig(options, trace).await,
        GrantCommand::EndRig(options) => calls::end_rig(options, trace).await,
        GrantCommand::Sweep(options) => calls::sweep(options, trace).await,
        GrantCommand::Admit(options) => govern::admit(options, trace).await,
        GrantCommand::Quota(options) => govern::quota(options, trace).await,
        GrantCommand::Admin(options) => govern::admin(options, trace).await,
        GrantCommand::Close(options) => govern::close(options, trace).await,
        GrantCommand::Terms(options) => govern::terms(options, trace).await,
    }
}

/// An institution, which must be there.
async fn institution(chain: &Chain, id: InstitutionId) -> Result<InstitutionInfo, WalletError> {
    chain.institution(id).await?.ok_or_else(|| {
        WalletError::sentence(format!(
            "there is no institution {id}; `labora grant list` shows those that are"
        ))
    })
}

/// An institution that is there and not closed.
async fn open(chain: &Chain, id: InstitutionId) -> Result<InstitutionInfo, WalletError> {
    let it = institution(chain, id).await?;
    must_be_open(&it)?;
    Ok(it)
}

fn must_be_open(it: &InstitutionInfo) -> Result<(), WalletError> {
    match it.closed {
        false => Ok(()),
        true => Err(WalletError::sentence(format!(
            "institution {} is closed; `labora grant list` shows those that are open",
            it.institution
        ))),
    }
}

/// An institution's name, for people.
fn named(it: &InstitutionInfo) -> String {
    format!("institution {} (“{}”)", it.institution, shown(&it.name))
}

/// A figure that the node wrote.
fn figure(text: &str) -> Result<u128, WalletError> {
    text.parse().map_err(|_| {
        WalletError::sentence("what the node says of grants makes no sense; ask another node")
    })
}
