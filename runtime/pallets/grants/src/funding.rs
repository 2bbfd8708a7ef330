//! Between the fund and the accounts of institutions. Each way is a transfer of the whole: what left the fund is held for a job, was
//! paid for one, keeps an account alive, or is on its way home.

use frame_support::{
    defensive,
    pallet_prelude::*,
    traits::{
        fungible::{Inspect, InspectHold, Mutate},
        tokens::{Fortitude, Preservation},
    },
};
use pallet_jobs::{JobId, Order, Sponsor};
use sp_runtime::traits::AccountIdConversion;

use crate::*;

impl<T: Config> Pallet<T> {
    /// The account that pays for an institution's jobs.
    pub fn account_of(institution: InstitutionId) -> T::AccountId {
        <T as Config>::PalletId::get().into_sub_account_truncating(institution)
    }

    /// What the fund can give and stay alive.
    pub fn fund_free() -> u128 {
        CurrencyOf::<T>::reducible_balance(
            &T::Fund::get(),
            Preservation::Preserve,
            Fortitude::Polite,
        )
    }

    /// Most that the fund pays for so many multiply-accumulates; never less than the market's least fee.
    pub fn most_for(macs: u64) -> u128 {
        let least = pallet_jobs::CurrentTerms::<T>::get().least_fee;
        CurrentTerms::<T>::get().most_for(macs).max(least)
    }

    /// What can still be held for an institution's jobs, fees and deposits together; nothing once it is closed.
    pub fn room(id: InstitutionId, it: &InstitutionOf<T>) -> u128 {
        let quotas = CurrentTerms::<T>::get().held_quotas.into();
        let most = match it.is_closed {
            true => 0,
            // A quota beyond all money that there is bounds nothing.
            false => it.quota.saturating_mul(quotas),
        };
        let held = CurrencyOf::<T>::total_balance_on_hold(&Self::account_of(id));
        // A quota that was lowered may be below what is held.
        most.saturating_sub(held)
    }

    /// An institution, closed or not.
    pub(crate) fn institution(id: InstitutionId) -> Result<InstitutionOf<T>, DispatchError> {
        Institutions::<T>::get(id).ok_or(Error::<T>::NoSuchInstitution.into())
    }

    /// An institution that is not closed.
    pub(crate) fn open(id: InstitutionId) -> Result<InstitutionOf<T>, DispatchError> {
        let it = Self::institution(id)?;
        ensure!(!it.is_closed, Error::<T>::IsClosed);
        Ok(it)
    }

    /// Moves money out of the fund.
    fn give(to: &T::AccountId, amount: u128) -> DispatchResult {
        ensure!(amount <= Self::fund_free(), Error::<T>::FundTooSmall);
        CurrencyOf::<T>::transfer(&T::Fund::get(), to, amount, Preservation::Preserve)?;
        Ok(())
    }

    /// Moves what lies on an institution's account into the fund, but for what keeps the account alive while it is needed; how
    /// much that was. What cannot be moved stays for the next time.
    pub(crate) fn go_home(institution: InstitutionId) -> u128 {
        let is_closed = Institutions::<T>::get(institution).is_none_or(|it| it.is_closed);
        // While something is held an account does not end, whatever is said here.
        let preservation = match is_closed {
            true => Preservation::Expendable,
            false => Preservation::Preserve,
        };
        let account = Self::account_of(institution);
        let free = CurrencyOf::<T>::reducible_balance(&account, preservation, Fortitude::Polite);
        if free == 0 {
            return 0;
        }
        let moved = CurrencyOf::<T>::transfer(&account, &T::Fund::get(), free, preservation);
        let amount = moved.unwrap_or_default();
        if amount > 0 {
            Self::deposit_event(Event::Returned {
                institution,
                amount,
            });
        }
        amount
    }

    pub(crate) fn do_admit(admin: T::AccountId, name: Name, quota: u128) -> DispatchResult {
        ensure!(is_name(&name), Error::<T>::BadName);
        let institution = NextInstitution::<T>::get();
        let next = institution.checked_add(1);
        NextInstitution::<T>::put(next.ok_or(Error::<T>::TooManyInstitutions)?);
        let alive = CurrencyOf::<T>::minimum_balance();
        Self::give(&Self::account_of(institution), alive)?;
        let it = Institution::new(name, admin.clone(), quota);
        Institutions::<T>::insert(institution, it);
        Self::deposit_event(Event::Admitted {
            institution,
            admin,
            quota,
        });
        Ok(())
    }

    pub(crate) fn do_sponsor(member: T::AccountId, order: Order) -> Result<JobId, DispatchError> {
        let institution = MemberOf::<T>::get(&member).ok_or(Error::<T>::NotAMember)?;
        let mut it = Self::open(institution)?;
        let fee = order.fee;
        let macs = order.batch.macs().ok_or(pallet_jobs::Error::<T>::NoShape)?;
        ensure!(fee <= Self::most_for(macs), Error::<T>::FeeTooHigh);
        let longest = CurrentTerms::<T>::get().open_blocks;
        ensure!(order.open_blocks <= longest, Error::<T>::OpenTooLong);
        let deposit = pallet_jobs::Pallet::<T>::deposit_for(order.batch.left.len())?;
        let all = fee.checked_add(deposit).ok_or(Error::<T>::FundTooSmall)?;
        ensure!(all <= Self::room(institution, &it), Error::<T>::TooMuchHeld);
        let era = T::Era::get();
        it.charge(era, fee).ok_or(Error::<T>::OverQuota)?;
        let left = it.left(era);
        Institutions::<T>::insert(institution, it);

        Self::go_home(institution);
        let account = Self::account_of(institution);
        Self::give(&account, all)?;
        let job = pallet_jobs::Pallet::<T>::post_for(member.clone(), account, order)?;
        Granted::<T>::insert(job, Grant { institution, era });
        Self::deposit_event(Event::Sponsored {
            institution,
            member,
            job,
            fee,
            left,
        });
        Ok(job)
    }

    /// Counts the block being executed, if its author is a rig that an institution has accepted.
    pub(crate) fn count_block() {
        let Some(rig) = T::BlockAuthor::get().and_then(Rigs::<T>::get) else {
            return;
        };
        if !rig.is_accepted {
            return;
        }
        // Beyond what all rigs of the world do in a block.
        let macs = u128::try_from(T::Difficulty::get()).unwrap_or(u128::MAX);
        Institutions::<T>::mutate_extant(rig.institution, |it| {
            if !it.is_closed {
                // Sums of what there is no time to reach: a full counter stays full, and no block fails for it.
                it.ledger.blocks = it.ledger.blocks.saturating_add(1);
                it.ledger.macs_contributed = it.ledger.macs_contributed.saturating_add(macs);
            }
        });
    }
}

impl<T: Config> Sponsor<T::AccountId> for Pallet<T> {
    fn weight() -> Weight {
        <T as Config>::WeightInfo::refunded()
    }

    fn settled(_: &T::AccountId, job: JobId, macs: u64, fee: u128) {
        let Some(Grant { institution, .. }) = Granted::<T>::get(job) else {
            defensive!("a job that was paid for was granted");
            return;
        };
        Institutions::<T>::mutate_extant(institution, |it| {
            // As in `count_block`; and of LAB there are fewer than these bits hold.
            let ledger = &mut it.ledger;
            ledger.settled = ledger.settled.saturating_add(1);
            ledger.macs_received = ledger.macs_received.saturating_add(macs.into());
            ledger.paid = ledger.paid.saturating_add(fee);
        });
        Self::deposit_event(Event::Paid {
            institution,
            job,
            macs,
            fee,
        });
    }

    fn refunded(_: &T::AccountId, job: JobId, fee: u128) {
        let Some(Grant { institution, era }) = Granted::<T>::take(job) else {
            defensive!("a job that was paid for was granted");
            return;
        };
        Institutions::<T>::mutate_extant(institution, |it| {
            it.give_back(era, T::Era::get(), fee);
        });
        Self::go_home(institution);
    }

    fn forgotten(_: &T::AccountId, job: JobId) {
        let Some(Grant { institution, .. }) = Granted::<T>::take(job) else {
            defensive!("a job that was paid for was granted");
            return;
        };
        Self::go_home(institution);
    }
}
