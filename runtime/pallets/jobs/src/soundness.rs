//! What holds of the market at the end of each block.

use alloc::collections::BTreeMap;

use frame_support::{ensure, traits::fungible::InspectHold};
use sp_runtime::TryRuntimeError;

use crate::*;

/// What the market holds of an account, and for how many claims.
#[derive(Clone, Copy, Default)]
struct Held {
    escrow: u128,
    deposit: u128,
    bond: u128,
    claims: u32,
}

impl<T: Config> Pallet<T> {
    /// Checks that what is held is what jobs say, of each account; that workers have as many claims as
    /// is written of them; and that committees belong to results.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        CurrentTerms::<T>::get()
            .check()
            .map_err(|error| TryRuntimeError::Other(error.as_str()))?;
        let mut held: BTreeMap<T::AccountId, Held> = BTreeMap::new();
        let next = NextJob::<T>::get();
        for (job, it) in Jobs::<T>::iter() {
            ensure!(job < next, "a job has the number of one to come");
            ensure!(it.batch.macs().is_some(), "a job without a provable shape");
            let of_payer = held.entry(it.held_of().clone()).or_default();
            of_payer.deposit += it.deposit;
            if !matches!(it.stage, Stage::Settled { .. }) {
                of_payer.escrow += it.fee;
            }
            let claimed = match it.stage {
                Stage::Claimed(claimed) => claimed,
                Stage::Submitted(submitted) => {
                    ensure!(
                        submitted.roots.len() == it.batch.left.len(),
                        "a result has not one commitment for each product"
                    );
                    submitted.claimed
                }
                Stage::Open | Stage::Settled { .. } => {
                    ensure!(
                        !Committees::<T>::contains_key(job),
                        "auditors of a job without a result"
                    );
                    continue;
                }
            };
            let of_worker = held.entry(claimed.worker).or_default();
            of_worker.bond += claimed.bond;
            of_worker.claims += 1;
        }
        for job in Committees::<T>::iter_keys() {
            ensure!(Jobs::<T>::contains_key(job), "auditors of no job");
        }
        for (job, _, _) in Accused::<T>::iter() {
            ensure!(job < next, "an auditor of a job to come is accused");
        }
        // Everybody is looked at, also who has to do with no job: money that was left held would be nobody's to release.
        let all = frame_system::Account::<T>::iter_keys();
        for account in all.chain(Workers::<T>::iter_keys()) {
            held.entry(account).or_default();
        }
        for (account, held) in held {
            let has = |reason: HoldReason| T::Currency::balance_on_hold(&reason.into(), &account);
            ensure!(
                has(HoldReason::Escrow) == held.escrow,
                "what is held for fees is not what jobs say"
            );
            ensure!(
                has(HoldReason::Deposit) == held.deposit,
                "what is held for room in the state is not what jobs say"
            );
            ensure!(
                has(HoldReason::Bond) == held.bond,
                "what is held as bonds is not what jobs say"
            );
            ensure!(
                held.claims == Workers::<T>::get(&account).open,
                "a worker's claims are miscounted"
            );
        }
        Ok(())
    }
}
