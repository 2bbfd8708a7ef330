//! What holds of grants at the end of each block.

use alloc::collections::BTreeMap;

use frame_support::{
    ensure,
    traits::fungible::{Inspect, InspectHold},
};
use sp_runtime::TryRuntimeError;

use crate::*;

impl<T: Config> Pallet<T> {
    /// Checks that what is granted and the jobs that somebody else pays for are the same, that all that is held of an
    /// institution's account is held for them, that the account of an open institution lives, and that members and rigs are
    /// counted rightly.
    ///
    /// That nothing but the existential deposit lies on an account cannot be checked here: anyone may send money there, and
    /// [`Call::sweep`] takes it home.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let mut held: BTreeMap<InstitutionId, u128> = BTreeMap::new();
        for (job, grant) in Granted::<T>::iter() {
            let it = pallet_jobs::Jobs::<T>::get(job).ok_or("a grant for a job that is gone")?;
            ensure!(
                it.payer == Some(Self::account_of(grant.institution)),
                "a grant's job is paid by somebody else"
            );
            let is_settled = matches!(it.stage, pallet_jobs::Stage::Settled { .. });
            let of_job = it.deposit + if is_settled { 0 } else { it.fee };
            *held.entry(grant.institution).or_default() += of_job;
        }
        for (job, it) in pallet_jobs::Jobs::<T>::iter() {
            ensure!(
                it.payer.is_some() == Granted::<T>::contains_key(job),
                "somebody pays for another's job without a grant"
            );
        }
        let next = NextInstitution::<T>::get();
        for (id, it) in Institutions::<T>::iter() {
            ensure!(id < next, "an institution has the number of one to come");
            ensure!(is_name(&it.name), "an institution's name is none");
            let account = Self::account_of(id);
            let of_jobs = held.remove(&id).unwrap_or_default();
            let on_hold = CurrencyOf::<T>::total_balance_on_hold(&account);
            ensure!(
                on_hold == of_jobs,
                "what is held of an institution is not what its jobs say"
            );
            let is_alive = CurrencyOf::<T>::balance(&account) >= CurrencyOf::<T>::minimum_balance();
            ensure!(
                is_alive || (it.is_closed && on_hold == 0),
                "the account of an institution has ended too early"
            );
        }
        ensure!(held.is_empty(), "a grant of no institution's");
        Self::people_are_counted()
    }

    /// Checks members, who is invited, and rigs.
    fn people_are_counted() -> Result<(), TryRuntimeError> {
        let mut counted: BTreeMap<InstitutionId, (u32, u32, u32)> = BTreeMap::new();
        for (id, member, membership) in Members::<T>::iter() {
            let counted = counted.entry(id).or_default();
            match membership {
                Membership::Invited => counted.1 += 1,
                Membership::Joined => {
                    ensure!(
                        MemberOf::<T>::get(&member) == Some(id),
                        "an institution has a member that does not belong to it"
                    );
                    counted.0 += 1;
                }
            }
        }
        let members: usize = counted
            .values()
            .map(|(members, ..)| *members as usize)
            .sum();
        ensure!(
            members == MemberOf::<T>::iter().count(),
            "a member that its institution does not know"
        );
        for (rig, its) in Rigs::<T>::iter() {
            let (is_rig, is_offered) = (
                RigsOf::<T>::contains_key(its.institution, &rig),
                Offers::<T>::contains_key(its.institution, &rig),
            );
            ensure!(
                (is_rig, is_offered) == (its.is_accepted, !its.is_accepted),
                "a rig that its institution does not know as what it is"
            );
            let on_hold = CurrencyOf::<T>::balance_on_hold(&HoldReason::Rig.into(), &rig);
            ensure!(on_hold == its.deposit, "a rig's deposit is not held");
            counted.entry(its.institution).or_default().2 += u32::from(its.is_accepted);
        }
        ensure!(
            RigsOf::<T>::iter().count() + Offers::<T>::iter().count() == Rigs::<T>::iter().count(),
            "an institution knows a rig that does not belong to it"
        );
        for (id, it) in Institutions::<T>::iter() {
            let counted = counted.remove(&id).unwrap_or_default();
            ensure!(
                counted == (it.members, it.invited, it.rigs),
                "the members or rigs of an institution are miscounted"
            );
        }
        ensure!(
            counted.is_empty(),
            "somebody belongs to no institution that there is"
        );
        Ok(())
    }
}
