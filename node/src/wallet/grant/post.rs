//! `labora grant post`: as `labora job post`, at the cost of the research fund.

use labora_market::{
    grants::{FundInfo, InstitutionInfo},
    node::shown,
    words::{lab, rate},
};
use labora_runtime::{Runtime, RuntimeCall};
use pallet_grants::Call;

use super::{figure, open};
use crate::wallet::{
    WalletError,
    act::{Plan, Trace},
    job::{Draft, PostOptions, Posting},
    show::count,
};

/// What bounds a job, as the chain has it now.
struct Bounds {
    /// Whose quota is used.
    it: InstitutionInfo,
    fund: FundInfo,
    /// Most that the fund pays for so much work.
    most: u128,
    /// What can still be held for the institution's jobs.
    room: u128,
}

/// The plan of posting a job for which an institution's quota is used.
///
/// # Errors
///
/// If the fund would not pay for it.
fn plan(draft: &Draft, bounds: &Bounds) -> Result<Plan, WalletError> {
    let Bounds {
        it,
        fund,
        most,
        room,
    } = bounds;
    let (fee, deposit) = (draft.fee, draft.deposit()?);
    let max_rate = figure(&fund.max_rate)?;
    if fee > *most {
        return Err(WalletError::sentence(format!(
            "the fee is {}, and for so much work the research fund pays at most {} ({} per 10¹² multiply-accumulates, and never \
             less than the least fee); give --fee or --price accordingly",
            lab(fee),
            lab(*most),
            lab(max_rate)
        )));
    }
    if draft.open_blocks > fund.open_blocks {
        return Err(WalletError::sentence(format!(
            "a job that the research fund pays for stays open for at most {}; give --open-blocks accordingly",
            count(fund.open_blocks.into(), "block")
        )));
    }
    let left = figure(&it.left)?;
    if fee > left {
        return Err(WalletError::sentence(format!(
            "the fee is {}, and institution {} has {} left of its quota of {} an era; a new era begins after block {}",
            lab(fee),
            it.institution,
            lab(left),
            lab(figure(&it.quota)?),
            fund.era_ends
        )));
    }
    let (free, all) = (figure(&fund.free)?, fee.saturating_add(deposit));
    if all > *room {
        return Err(WalletError::sentence(format!(
            "this takes {} with its deposit, and only {} more can be held for jobs of institution {} at a time ({} of its quota); \
             cancel jobs that nobody works on, forget those that are settled, or wait",
            lab(all),
            lab(*room),
            it.institution,
            count(fund.held_quotas.into(), "time")
        )));
    }
    if all > free {
        return Err(WalletError::sentence(format!(
            "the research fund has {}, and this takes {} with its deposit; each block adds to it, so try again later",
            lab(free),
            lab(all)
        )));
    }
    let call = RuntimeCall::Grants(Call::<Runtime>::sponsor {
        batch: draft.batch(),
        open_blocks: draft.open_blocks,
        fee,
    });
    let title = format!(
        "Post a job of {} at the cost of the research fund",
        draft.products()
    );
    let plan = Plan::new(title, call)
        .note(format!(
            "The fund pays the fee of {}: {}.",
            lab(fee),
            draft.shares()
        ))
        .note(format!(
            "The fund puts up the deposit of {}, which goes back to it.",
            lab(deposit)
        ))
        .note(format!(
            "That leaves institution {} (“{}”) {} until block {}.",
            it.institution,
            shown(&it.name),
            lab(left - fee),
            fund.era_ends
        ))
        .note(format!(
            "At most the fund would pay {} per 10¹²; this is {}, and cannot be raised later.",
            lab(max_rate),
            lab(rate(fee, draft.macs()))
        ));
    draft.told(plan)
}

/// Posts a job that the fund pays for.
pub(super) async fn run(options: &PostOptions, trace: &Trace) -> Result<(), WalletError> {
    let mut posting = Posting::begin(options, trace).await?;
    let chain = &posting.wallet.chain;
    let who = posting.account.id();
    let standing = chain.standing(who).await?;
    let Some(number) = standing.member_of else {
        return Err(WalletError::sentence(format!(
            "{who} is a member of no institution, so the fund pays nothing for it; an institution's admin can change that \
             (labora grant invite INSTITUTION {who}), and `labora job post` posts at one's own cost"
        )));
    };
    let bounds = Bounds {
        it: open(chain, number).await?,
        fund: chain.fund().await?,
        most: chain.most_for(posting.draft.macs()).await?,
        room: figure(&standing.room)?,
    };
    if options.open_blocks.is_none() {
        // Nobody said for how long: as long as usual, if the fund allows it.
        let usual = posting.draft.open_blocks;
        posting.draft.open_blocks = usual.min(bounds.fund.open_blocks);
    }
    let plan = plan(&posting.draft, &bounds)?;
    posting.carry_out(plan).await
}

#[cfg(test)]
mod tests;
