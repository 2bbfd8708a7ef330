//! How a job ends: paid, failed and open again, given back, forgotten.

use alloc::vec::Vec;

use frame_support::pallet_prelude::*;

use crate::*;

impl<T: Config> Pallet<T> {
    /// The window of a result is over, and no fault was proved.
    pub(crate) fn conclude(
        job: JobId,
        mut it: JobOf<T>,
        mut submitted: Submitted<T::AccountId>,
    ) -> DispatchResult {
        let auditors = match Committees::<T>::take(job) {
            Some(committee) if committee.confirms() => Some(committee.confirmed_by()),
            Some(_) => None,
            // Where there is nobody to audit, that nobody proved a fault must do.
            None => Self::candidates(&it, &submitted.claimed.worker)
                .is_empty()
                .then(Vec::new),
        };
        if let Some(auditors) = auditors {
            return Self::settle(job, it, submitted, &auditors, true);
        }
        submitted.unheard = submitted.unheard.saturating_add(1);
        if submitted.unheard < submitted.claimed.agreed.draws {
            let window = Window::new(Self::now(), submitted.window.blocks);
            submitted.window = window;
            it.stage = Stage::Submitted(submitted);
            Jobs::<T>::insert(job, it);
            Self::deposit_event(Event::DrawnAnew { job, window });
            return Ok(());
        }
        let Claimed { worker, bond, .. } = submitted.claimed;
        Self::release(HoldReason::Bond, &worker, bond)?;
        // Nobody showed that it did anything wrong.
        Self::claim_ends(&worker, |settled| settled);
        Self::refund(job, it, Refund::Unaudited)
    }

    /// A worker has one open claim less, and settled so many.
    fn claim_ends(worker: &T::AccountId, settled: impl FnOnce(u32) -> u32) {
        Workers::<T>::mutate(worker, |record| {
            record.open = record.open.saturating_sub(1);
            record.settled = settled(record.settled);
        });
    }

    /// Pays a result, as whoever looked at it says what it is worth: its auditors, its window, or the poster alone.
    pub(crate) fn settle(
        job: JobId,
        mut it: JobOf<T>,
        submitted: Submitted<T::AccountId>,
        auditors: &[T::AccountId],
        is_audited: bool,
    ) -> DispatchResult {
        Committees::<T>::remove(job);
        let Claimed {
            worker,
            bond,
            since,
            until,
            agreed,
        } = submitted.claimed;
        let paid = Self::pay_fee(&it, &agreed, &worker, auditors);
        Self::release(HoldReason::Bond, &worker, bond)?;
        Self::claim_ends(&worker, |settled| settled.saturating_add(1));
        // Has a shape, or could not have been posted.
        let macs = it.batch.macs().unwrap_or_default();
        // What one bids of others' money says little about what work is worth, and a result that only its poster has seen may be
        // no work at all.
        if is_audited && it.payer.is_none() {
            GoingRate::<T>::mutate(|going| going.add(it.fee, macs));
        }
        if let Some(payer) = &it.payer {
            T::Sponsor::settled(payer, job, macs, it.fee);
        }
        it.stage = Stage::Settled {
            worker: worker.clone(),
            roots: submitted.roots,
            since,
            until,
            at: Self::now(),
        };
        Jobs::<T>::insert(job, it);
        Self::deposit_event(Event::Settled { job, worker, paid });
        Ok(())
    }

    /// A claim ends without a settlement, and costs a share of its bond.
    pub(crate) fn fail(
        job: JobId,
        it: JobOf<T>,
        claimed: Claimed<T::AccountId>,
        failure: Failure,
    ) -> DispatchResult {
        let Claimed {
            worker,
            bond,
            agreed,
            ..
        } = claimed;
        let lost = Self::fine(&worker, bond, agreed.failure_share)?;
        Self::failed(job, it, worker, failure, lost)
    }

    /// The job is open again, for as long as its deadline allows.
    pub(crate) fn failed(
        job: JobId,
        mut it: JobOf<T>,
        worker: T::AccountId,
        failure: Failure,
        lost: u128,
    ) -> DispatchResult {
        Committees::<T>::remove(job);
        Self::claim_ends(&worker, |_| 0);
        Self::deposit_event(Event::Failed {
            job,
            worker,
            failure,
            lost,
        });
        if Self::now() > it.deadline {
            return Self::refund(job, it, Refund::Deadline);
        }
        it.failed = it.failed.saturating_add(1);
        it.last_failure = Some(failure);
        it.stage = Stage::Open;
        Jobs::<T>::insert(job, it);
        Ok(())
    }

    /// Whoever pays has its money back.
    pub(crate) fn refund(job: JobId, it: JobOf<T>, refund: Refund) -> DispatchResult {
        Self::release(HoldReason::Escrow, it.held_of(), it.fee)?;
        Self::release(HoldReason::Deposit, it.held_of(), it.deposit)?;
        Jobs::<T>::remove(job);
        Self::deposit_event(Event::Refunded { job, refund });
        if let Some(payer) = &it.payer {
            T::Sponsor::refunded(payer, job, it.fee);
        }
        Ok(())
    }

    pub(crate) fn do_forget(job: JobId, it: &JobOf<T>) -> DispatchResult {
        Self::release(HoldReason::Deposit, it.held_of(), it.deposit)?;
        Jobs::<T>::remove(job);
        Self::deposit_event(Event::Forgotten { job });
        if let Some(payer) = &it.payer {
            T::Sponsor::forgotten(payer, job);
        }
        Ok(())
    }
}
