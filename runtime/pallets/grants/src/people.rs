//! Who belongs to an institution: members, who post; and rigs, whose blocks are counted.

use frame_support::{
    defensive,
    pallet_prelude::*,
    traits::{fungible::MutateHold, tokens::Precision},
};

use crate::*;

impl<T: Config> Pallet<T> {
    /// An institution that is open, of this admin's.
    fn administered(
        id: InstitutionId,
        admin: &T::AccountId,
    ) -> Result<InstitutionOf<T>, DispatchError> {
        let it = Self::institution(id)?;
        ensure!(it.admin == *admin, Error::<T>::NotTheAdmin);
        ensure!(!it.is_closed, Error::<T>::IsClosed);
        Ok(it)
    }

    pub(crate) fn do_add_member(
        admin: &T::AccountId,
        institution: InstitutionId,
        member: T::AccountId,
    ) -> DispatchResult {
        let mut it = Self::administered(institution, admin)?;
        ensure!(
            !MemberOf::<T>::contains_key(&member),
            Error::<T>::AlreadyAMember
        );
        ensure!(
            it.members < T::MaxMembers::get(),
            Error::<T>::TooManyMembers
        );
        // Below the most that there may be.
        it.members = it.members.saturating_add(1);
        Institutions::<T>::insert(institution, it);
        MemberOf::<T>::insert(&member, institution);
        Members::<T>::insert(institution, &member, ());
        Self::deposit_event(Event::MemberAdded {
            institution,
            member,
        });
        Ok(())
    }

    /// Ends a membership that there is, of a closed institution too.
    pub(crate) fn end_membership(institution: InstitutionId, member: T::AccountId) {
        Institutions::<T>::mutate_extant(institution, |it| {
            // It was counted.
            it.members = it.members.saturating_sub(1);
        });
        MemberOf::<T>::remove(&member);
        Members::<T>::remove(institution, &member);
        Self::deposit_event(Event::MemberRemoved {
            institution,
            member,
        });
    }

    pub(crate) fn do_offer_rig(institution: InstitutionId, rig: T::AccountId) -> DispatchResult {
        Self::open(institution)?;
        ensure!(!Rigs::<T>::contains_key(&rig), Error::<T>::AlreadyARig);
        let deposit = T::RigDeposit::get();
        CurrencyOf::<T>::hold(&HoldReason::Rig.into(), &rig, deposit)?;
        let it = Rig {
            institution,
            is_accepted: false,
            deposit,
        };
        Rigs::<T>::insert(&rig, it);
        RigsOf::<T>::insert(institution, &rig, ());
        Self::deposit_event(Event::RigOffered { institution, rig });
        Ok(())
    }

    pub(crate) fn do_accept_rig(admin: &T::AccountId, rig: T::AccountId) -> DispatchResult {
        let mut its = Rigs::<T>::get(&rig).ok_or(Error::<T>::NotARig)?;
        let institution = its.institution;
        let mut it = Self::administered(institution, admin)?;
        ensure!(!its.is_accepted, Error::<T>::AlreadyARig);
        ensure!(it.rigs < T::MaxRigs::get(), Error::<T>::TooManyRigs);
        // Below the most that there may be.
        it.rigs = it.rigs.saturating_add(1);
        its.is_accepted = true;
        Institutions::<T>::insert(institution, it);
        Rigs::<T>::insert(&rig, its);
        Self::deposit_event(Event::RigAccepted { institution, rig });
        Ok(())
    }

    pub(crate) fn do_end_rig(by: &T::AccountId, rig: T::AccountId) -> DispatchResult {
        let its = Rigs::<T>::get(&rig).ok_or(Error::<T>::NotARig)?;
        let institution = its.institution;
        let mut it = Self::institution(institution)?;
        ensure!(rig == *by || it.admin == *by, Error::<T>::NotYourRig);
        if its.is_accepted {
            // It was counted.
            it.rigs = it.rigs.saturating_sub(1);
            Institutions::<T>::insert(institution, it);
        }
        let reason = HoldReason::Rig.into();
        let released = CurrencyOf::<T>::release(&reason, &rig, its.deposit, Precision::BestEffort)?;
        if released != its.deposit {
            defensive!("what is held of a rig is touched by grants alone");
        }
        Rigs::<T>::remove(&rig);
        RigsOf::<T>::remove(institution, &rig);
        Self::deposit_event(Event::RigEnded { institution, rig });
        Ok(())
    }
}
