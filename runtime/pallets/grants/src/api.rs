//! What a node asks of grants.

use alloc::vec::Vec;

use frame_support::pallet_prelude::*;
use sp_staking::EraIndex;

use crate::{
    Config, CurrentTerms, Institution, InstitutionId, InstitutionOf, Institutions, MemberOf,
    Members, Membership, NextInstitution, Offers, Pallet, Rigs, RigsOf, Terms,
};

/// Most institutions of a page.
pub const MAX_PAGE: u32 = 100;

/// Most accounts of each kind that are named of an institution: rigs that are offered have no other bound.
pub const MAX_NAMED: usize = 2_000;

/// The fund as a whole. Amounts are in the token's smallest unit.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq, TypeInfo)]
pub struct Fund<AccountId> {
    /// Its account.
    pub account: AccountId,
    /// What it can give.
    pub free: u128,
    /// The terms in force.
    pub terms: Terms,
    /// The era in which quotas can be used.
    pub era: EraIndex,
    /// The last block of that era.
    pub era_ends: u32,
    /// Number of the next institution.
    pub next: InstitutionId,
}

/// Some institutions, the newest first.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq, TypeInfo)]
pub struct Page<AccountId> {
    /// They, with their numbers.
    pub institutions: Vec<(InstitutionId, Institution<AccountId>)>,
    /// The page after this one begins below this number. None where there is no further institution.
    pub below: Option<InstitutionId>,
}

/// Who belongs to an institution.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq, TypeInfo)]
pub struct People<AccountId> {
    /// The account that pays for its jobs.
    pub account: AccountId,
    /// Its members.
    pub members: Vec<AccountId>,
    /// Accounts that it has invited and that have not joined.
    pub invited: Vec<AccountId>,
    /// Its rigs.
    pub rigs: Vec<AccountId>,
    /// Accounts that offer to be rigs.
    pub offers: Vec<AccountId>,
}

/// What an account has to do with grants.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq, TypeInfo)]
pub struct Standing {
    /// Of which institution it is a member.
    pub member_of: Option<InstitutionId>,
    /// What is left of that one's quota in this era, in the token's smallest unit; nothing if it is a member of none.
    pub left: u128,
    /// What can still be held for that one's jobs, fees and deposits together, in the token's smallest unit.
    pub room: u128,
    /// For which institution it mines, or offers to.
    pub rig_of: Option<InstitutionId>,
    /// Whether that one has accepted.
    pub is_accepted: bool,
}

sp_api::decl_runtime_apis! {
    /// What is known of the research fund.
    pub trait GrantsApi<AccountId> where AccountId: parity_scale_codec::Codec {
        /// Money, terms, and the era.
        fn fund() -> Fund<AccountId>;

        /// An institution.
        fn institution(id: InstitutionId) -> Option<Institution<AccountId>>;

        /// Who belongs to it, at most [`MAX_NAMED`] of each kind.
        fn people(id: InstitutionId) -> People<AccountId>;

        /// Institutions below number `below`, or else from the newest on: at most `most`, which is at most [`MAX_PAGE`].
        fn institutions(below: Option<InstitutionId>, most: u32) -> Page<AccountId>;

        /// What an account has to do with grants.
        fn standing(account: AccountId) -> Standing;

        /// Most that the fund pays for so many multiply-accumulates.
        fn most_for(macs: u64) -> u128;
    }
}

impl<T: Config> Pallet<T> {
    /// Money, terms, and the era.
    pub fn api_fund() -> Fund<T::AccountId> {
        Fund {
            account: T::Fund::get(),
            free: Self::fund_free(),
            terms: CurrentTerms::<T>::get(),
            era: T::Era::get(),
            era_ends: T::EraEnds::get(),
            next: NextInstitution::<T>::get(),
        }
    }

    /// An institution.
    pub fn api_institution(id: InstitutionId) -> Option<InstitutionOf<T>> {
        Institutions::<T>::get(id)
    }

    /// Who belongs to it.
    pub fn api_people(id: InstitutionId) -> People<T::AccountId> {
        // Of both together there are no more than may be members.
        let (members, invited): (Vec<_>, Vec<_>) = Members::<T>::iter_prefix(id)
            .take(MAX_NAMED)
            .partition(|(_, membership)| *membership == Membership::Joined);
        let who =
            |all: Vec<(T::AccountId, Membership)>| all.into_iter().map(|(who, _)| who).collect();
        People {
            account: Self::account_of(id),
            members: who(members),
            invited: who(invited),
            rigs: RigsOf::<T>::iter_key_prefix(id).take(MAX_NAMED).collect(),
            offers: Offers::<T>::iter_key_prefix(id).take(MAX_NAMED).collect(),
        }
    }

    /// See [`GrantsApi`].
    pub fn api_institutions(below: Option<InstitutionId>, most: u32) -> Page<T::AccountId> {
        let first = below
            .unwrap_or(InstitutionId::MAX)
            .min(NextInstitution::<T>::get());
        let last = first.saturating_sub(most.min(MAX_PAGE));
        let found = (last..first)
            .rev()
            .filter_map(|id| Some((id, Institutions::<T>::get(id)?)));
        Page {
            institutions: found.collect(),
            below: (last > 0).then_some(last),
        }
    }

    /// What an account has to do with grants.
    pub fn api_standing(account: &T::AccountId) -> Standing {
        let member_of = MemberOf::<T>::get(account);
        let its = member_of.and_then(|id| Some((id, Institutions::<T>::get(id)?)));
        let rig = Rigs::<T>::get(account);
        Standing {
            member_of,
            left: its.as_ref().map_or(0, |(_, it)| it.left(T::Era::get())),
            room: its.as_ref().map_or(0, |(id, it)| Self::room(*id, it)),
            rig_of: rig.map(|rig| rig.institution),
            is_accepted: rig.is_some_and(|rig| rig.is_accepted),
        }
    }
}
