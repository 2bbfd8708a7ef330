//! Blocks that were mined on a job's own matrices: their seals name them.

use std::ops::RangeInclusive;

use labora_consensus_api::split_seal;
use labora_market::types::{JobInfo, MinedInfo, StageInfo};
use labora_runtime::opaque::Block;
use sp_blockchain::HeaderBackend;
use sp_core::H256;

/// Most blocks that are looked at for a job, the newest.
const MAX_LOOKED_AT: u32 = 10_000;

/// Blocks in which a job's worker may have multiplied, by where the job stands: `claim` is how long a claim of it lasts and
/// `window` how long results are audited, in blocks.
fn range(job: &JobInfo, claim: u32, window: u32, best: u32) -> Option<RangeInclusive<u32>> {
    let (first, last) = match job.stage {
        StageInfo::Open => return None,
        StageInfo::Claimed => {
            let until = job.claimed_until?;
            (until.saturating_sub(claim), best)
        }
        StageInfo::Submitted => {
            let since = job.window.as_ref()?.since;
            (since.saturating_sub(claim), since)
        }
        StageInfo::Settled => {
            let at = job.settled_at?;
            (at.saturating_sub(claim.saturating_add(window)), at)
        }
    };
    let last = last.min(best);
    Some(first.max(last.saturating_sub(MAX_LOOKED_AT)).max(1)..=last)
}

/// The blocks of the best chain that were mined on a product of this job, the oldest first.
pub(super) fn mined_on<C: HeaderBackend<Block>>(
    client: &C,
    job: &JobInfo,
    claim: u32,
    window: u32,
) -> Vec<MinedInfo> {
    let best = client.info().best_number;
    let Some(range) = range(job, claim, window, best) else {
        return Vec::new();
    };
    let mined = |number: u32| {
        let hash = client.hash(number).ok()??;
        let (_, seal) = split_seal(client.header(hash).ok()??).ok()?;
        let (a, b) = (H256(*seal.root_a()), H256(*seal.root_b()));
        let product = job.products.iter().position(|product| product.a == a);
        let product = product.filter(|_| b == job.b)?;
        Some(MinedInfo {
            number,
            hash,
            product: u32::try_from(product).ok()?,
        })
    };
    range.filter_map(mined).collect()
}

#[cfg(test)]
mod tests {
    use labora_runtime::AccountId;
    use pallet_jobs::{Batch, Claimed, Job, Left, Stage, Submitted, Window};

    use super::*;

    fn at(stage: Stage<AccountId>) -> JobInfo {
        let left = vec![Left {
            root: [1; 32],
            m: 32,
        }];
        let batch = Batch {
            root_b: [2; 32],
            n: 32,
            k: 256,
            left: left.try_into().expect("one"),
        };
        let job = Job {
            poster: [7; 32].into(),
            payer: None,
            batch,
            fee: 1,
            deposit: 1,
            deadline: 9,
            stage,
        };
        JobInfo::new(7, &job)
    }

    #[test]
    fn blocks_are_looked_at_in_which_its_worker_may_have_mined() {
        let claimed = Claimed {
            worker: AccountId::from([8; 32]),
            bond: 2,
            until: 150,
        };
        let of = |stage, best| range(&at(stage), 50, 60, best);
        assert_eq!(of(Stage::Open, 120), None);
        assert_eq!(of(Stage::Claimed(claimed.clone()), 120), Some(100..=120));
        let submitted = Stage::Submitted(Submitted {
            claimed,
            roots: Default::default(),
            window: Window::new(130, 60),
            unheard: 0,
        });
        assert_eq!(of(submitted, 170), Some(80..=130));
        let settled = |at| Stage::Settled {
            worker: AccountId::from([8; 32]),
            roots: Default::default(),
            at,
        };
        assert_eq!(of(settled(200), 900), Some(90..=200));
        assert_eq!(of(settled(50), 900), Some(1..=50));
        let long = range(&at(settled(50_000)), u32::MAX, u32::MAX, 60_000);
        assert_eq!(long, Some(40_000..=50_000));
    }
}
