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

    pub(crate) fn do_invite(
        admin: &T::AccountId,
        institution: InstitutionId,
        who: T::AccountId,
    ) -> DispatchResult {
        let mut it = Self::administered(institution, admin)?;
        match Members::<T>::get(institution, &who) {
            Some(Membership::Joined) => return Err(Error::<T>::AlreadyAMember.into()),
            Some(Membership::Invited) => return Err(Error::<T>::AlreadyInvited.into()),
            None => {}
        }
        // Each is at most the most that there may be.
        ensure!(
            it.members.saturating_add(it.invited) < T::MaxMembers::get(),
            Error::<T>::TooManyMembers
        );
        it.invited = it.invited.saturating_add(1);
        Institutions::<T>::insert(institution, it);
        Members::<T>::insert(institution, &who, Membership::Invited);
        Self::deposit_event(Event::Invited { institution, who });
        Ok(())
    }

    pub(crate) fn do_join(institution: InstitutionId, member: T::AccountId) -> DispatchResult {
        let mut it = Self::open(institution)?;
        ensure!(
            !MemberOf::<T>::contains_key(&member),
            Error::<T>::AlreadyAMember
        );
        let is_invited = Members::<T>::get(institution, &member) == Some(Membership::Invited);
        ensure!(is_invited, Error::<T>::NotInvited);
        // It was counted, and together they stay as many.
        it.invited = it.invited.saturating_sub(1);
        it.members = it.members.saturating_add(1);
        Institutions::<T>::insert(institution, it);
        MemberOf::<T>::insert(&member, institution);
        Members::<T>::insert(institution, &member, Membership::Joined);
        Self::deposit_event(Event::MemberJoined {
            institution,
            member,
        });
        Ok(())
    }

    /// Ends a membership or an invitation, of a closed institution too.
    pub(crate) fn end_membership(
        institution: InstitutionId,
        member: T::AccountId,
    ) -> DispatchResult {
        let was = Members::<T>::take(institution, &member).ok_or(Error::<T>::NotInvited)?;
        Institutions::<T>::mutate_extant(institution, |it| {
            let count = match was {
                Membership::Invited => &mut it.invited,
                Membership::Joined => &mut it.members,
            };
            // It was counted.
            *count = count.saturating_sub(1);
        });
        if was == Membership::Joined {
            MemberOf::<T>::remove(&member);
        }
        Self::deposit_event(Event::MemberRemoved {
            institution,
            member,
        });
        Ok(())
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
        Offers::<T>::insert(institution, &rig, ());
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
        Offers::<T>::remove(institution, &rig);
        RigsOf::<T>::insert(institution, &rig, ());
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
            RigsOf::<T>::remove(institution, &rig);
        } else {
            Offers::<T>::remove(institution, &rig);
        }
        let reason = HoldReason::Rig.into();
        let released = CurrencyOf::<T>::release(&reason, &rig, its.deposit, Precision::BestEffort)?;
        if released != its.deposit {
            defensive!("what is held of a rig is touched by grants alone");
        }
        Rigs::<T>::remove(&rig);
        Self::deposit_event(Event::RigEnded { institution, rig });
        Ok(())
    }
}
