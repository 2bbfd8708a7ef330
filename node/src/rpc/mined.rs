//! Blocks that were mined on a job's own matrices: their seals name them.

use std::ops::RangeInclusive;

use labora_consensus_api::split_seal;
use labora_market::types::MinedInfo;
use labora_runtime::{AccountId, opaque::Block};
use pallet_jobs::{Job, JobId, Stage, Submitted};
use parking_lot::Mutex;
use schnellru::{ByLength, LruMap};
use sp_blockchain::HeaderBackend;

/// Most blocks that are looked at for a job, the newest.
const MAX_LOOKED_AT: u32 = 10_000;

/// Blocks in which a job's worker may have multiplied: from its claim to the last one in which a result could come.
fn range(job: &Job<AccountId>, best: u32) -> Option<RangeInclusive<u32>> {
    let (first, last) = match &job.stage {
        Stage::Open => return None,
        Stage::Claimed(claimed) | Stage::Submitted(Submitted { claimed, .. }) => {
            (claimed.since, claimed.until)
        }
        Stage::Settled { since, until, .. } => (*since, *until),
    };
    let last = last.min(best);
    Some(first.max(last.saturating_sub(MAX_LOOKED_AT)).max(1)..=last)
}

/// Settled jobs of which is kept what was mined on them.
const MAX_KEPT: u32 = 1_024;

/// Finds blocks that were mined on jobs, of those that are settled for good once.
pub(super) struct Mined(Mutex<LruMap<JobId, Vec<MinedInfo>>>);

impl Default for Mined {
    fn default() -> Self {
        Self(Mutex::new(LruMap::new(ByLength::new(MAX_KEPT))))
    }
}

impl Mined {
    /// The blocks of the best chain that were mined on a product of this job, the oldest first.
    pub(super) fn on<C: HeaderBackend<Block>>(
        &self,
        client: &C,
        number: JobId,
        job: &Job<AccountId>,
    ) -> Vec<MinedInfo> {
        let finalised = client.info().finalized_number;
        let is_for_good = matches!(job.stage, Stage::Settled { at, .. } if at <= finalised);
        if is_for_good && let Some(known) = self.0.lock().get(&number) {
            return known.clone();
        }
        let mined = mined_on(client, job);
        if is_for_good {
            self.0.lock().insert(number, mined.clone());
        }
        mined
    }
}

fn mined_on<C: HeaderBackend<Block>>(client: &C, job: &Job<AccountId>) -> Vec<MinedInfo> {
    let Some(range) = range(job, client.info().best_number) else {
        return Vec::new();
    };
    let batch = &job.batch;
    let mined = |number: u32| {
        let hash = client.hash(number).ok()??;
        let (_, seal) = split_seal(client.header(hash).ok()??).ok()?;
        let a = *seal.root_a();
        let product = batch.left.iter().position(|left| left.root == a);
        let product = product.filter(|_| *seal.root_b() == batch.root_b)?;
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
    use pallet_jobs::{Batch, Claimed, Left, Terms, Window};

    use super::*;

    fn at(stage: Stage<AccountId>) -> Job<AccountId> {
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
        Job {
            poster: [7; 32].into(),
            payer: None,
            batch,
            fee: 1,
            deposit: 1,
            deadline: 9,
            failed: 0,
            last_failure: None,
            stage,
        }
    }

    #[test]
    fn blocks_are_looked_at_in_which_its_worker_may_have_mined() {
        let worker = AccountId::from([8; 32]);
        let claimed = Claimed {
            worker: worker.clone(),
            bond: 2,
            since: 100,
            until: 150,
            agreed: Terms::default().into(),
        };
        let of = |stage, best| range(&at(stage), best);
        assert_eq!(of(Stage::Open, 120), None);
        assert_eq!(of(Stage::Claimed(claimed.clone()), 120), Some(100..=120));
        // However often auditors were drawn since.
        let submitted = Stage::Submitted(Submitted {
            claimed,
            roots: Default::default(),
            window: Window::new(430, 60),
            unheard: 2,
        });
        assert_eq!(of(submitted, 470), Some(100..=150));
        let settled = |since, until| Stage::Settled {
            worker: worker.clone(),
            roots: Default::default(),
            since,
            until,
            at: until + 500,
        };
        assert_eq!(of(settled(0, 50), 900), Some(1..=50));
        let long = of(settled(100, 50_000), 60_000);
        assert_eq!(long, Some(40_000..=50_000));
    }
}
