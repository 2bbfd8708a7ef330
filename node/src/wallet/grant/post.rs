//! `labora grant post`: as `labora job post`, at the cost of the research fund.

use labora_market::{
    grants::{FundInfo, InstitutionInfo},
    node::shown,
    words::{fee_at, lab, rate},
};
use labora_runtime::{Runtime, RuntimeCall};
use pallet_grants::Call;

use super::{figure, open};
use crate::wallet::{
    WalletError,
    act::{Plan, Trace},
    job::{Draft, PostOptions, Posting},
};

/// The plan of posting a job for which an institution's quota is used.
///
/// # Errors
///
/// If the fund would not pay for it.
fn plan(draft: &Draft, it: &InstitutionInfo, fund: &FundInfo) -> Result<Plan, WalletError> {
    let (fee, deposit) = (draft.fee, draft.deposit()?);
    let max_rate = figure(&fund.max_rate)?;
    let most = fee_at(max_rate, draft.macs()).max(draft.least_fee()?);
    if fee > most {
        return Err(WalletError::sentence(format!(
            "the fee is {}, and for so much work the research fund pays at most {} ({} per 10¹² multiply-accumulates, and never \
             less than the least fee); give --fee or --price accordingly",
            lab(fee),
            lab(most),
            lab(max_rate)
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
    let posting = Posting::begin(options, trace).await?;
    let chain = &posting.wallet.chain;
    let who = posting.account.id();
    let Some(number) = chain.standing(who).await?.member_of else {
        return Err(WalletError::sentence(format!(
            "{who} is a member of no institution, so the fund pays nothing for it; an institution's admin can change that \
             (labora grant add INSTITUTION {who}), and `labora job post` posts at one's own cost"
        )));
    };
    let it = open(chain, number).await?;
    let fund = chain.fund().await?;
    let plan = plan(&posting.draft, &it, &fund)?;
    posting.carry_out(plan).await
}

#[cfg(test)]
mod tests;
