//! The clock and the purse of stake.
//!
//! **Clock**: how many blocks a session has, how many sessions an era, and for how many eras a bond stays locked after
//! its owner asked for it. They differ from chain to chain, so they stand in the genesis ([`Terms`]) and governance can
//! change them; the SDK's pallets read them as constants ([`SessionLength`], [`SessionsPerEra`], [`BondingDuration`],
//! [`SlashDeferDuration`]). A bond must outlast whatever its owner can still be punished for, which [`Terms::check`]
//! holds at genesis and at every change:
//!
//! ```text
//! (unbonding_eras − 2) · sessions_per_era · session_blocks  >  challenge_window_blocks        (a false result is slashed)
//!                                                           >  weak_subjectivity_blocks       (a fork of old validators)
//! ```
//!
//! **Purse**: staking is paid from the 15 % of the subsidy that `pallet-rewards` keeps, and from nothing else. The SDK's
//! staking mints what it pays. So at the end of an era all that the purse holds moves to the account of promised rewards
//! ([`Payout`]); each payment that staking mints is taken out of that account again ([`Settle`]), and what an era keeps
//! back goes home ([`Return`]). Total issuance is the same before and after. A reward that nobody claims within staking's
//! history stays in the account of promises.

#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(test)]
mod mock;
mod purse;
mod terms;
#[cfg(test)]
mod tests;

pub use pallet::*;
pub use purse::{Payout, Return, Settle};
pub use terms::{
    BondingDuration, MAX_UNBONDING_ERAS, SessionLength, SessionsPerEra, SlashDeferDuration, Terms,
    TermsError,
};

use frame_support::{
    PalletId,
    pallet_prelude::*,
    traits::fungible::{Balanced, Mutate},
};
use frame_system::pallet_prelude::*;
use sp_runtime::traits::AccountIdConversion;

#[frame_support::pallet]
pub mod pallet {
    use super::*;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// What the runtime supplies.
    #[pallet::config]
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// The token.
        type Currency: Balanced<Self::AccountId, Balance = u128> + Mutate<Self::AccountId>;
        /// The account that the subsidy's share for staking flows into.
        type Purse: Get<Self::AccountId>;
        /// Names the account of rewards that are promised and not yet paid.
        #[pallet::constant]
        type PromisedId: Get<PalletId>;
    }

    /// The terms in force.
    #[pallet::storage]
    pub type CurrentTerms<T> = StorageValue<_, Terms, ValueQuery>;

    /// Figures of the chain spec.
    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// The terms; those of a public chain by default.
        pub terms: Terms,
        /// Only here to name the runtime.
        #[serde(skip)]
        pub _runtime: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        fn default() -> Self {
            Self {
                terms: Terms::default(),
                _runtime: PhantomData,
            }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        /// # Panics
        ///
        /// When bonds would end too early or there is no session: such a chain must not start.
        fn build(&self) {
            if let Err(error) = self.terms.check() {
                panic!("eras in the chain spec: {}", error.as_str());
            }
            CurrentTerms::<T>::put(self.terms);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Other terms hold from now on.
        TermsChanged {
            /// The terms.
            terms: Terms,
        },
        /// An era's rewards were set aside.
        Promised {
            /// How much, in the token's smallest unit.
            amount: u128,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// A session needs at least two blocks, an era a session, and unbonding an era.
        TooShort,
        /// An era has at most 100 sessions, a session at most a million blocks, unbonding takes at most 84 eras.
        TooLong,
        /// Bonds could be free before a false result can no longer be challenged.
        EndsBeforeChallenge,
        /// Bonds could be free within the weak-subjectivity period.
        EndsBeforeWeakSubjectivity,
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets the clock of stake. Root only. The session in progress ends at the next multiple of the new length.
        #[pallet::call_index(0)]
        #[pallet::weight(T::DbWeight::get().writes(1))]
        pub fn set_terms(origin: OriginFor<T>, terms: Terms) -> DispatchResult {
            ensure_root(origin)?;
            terms.check().map_err(Error::<T>::from)?;
            CurrentTerms::<T>::put(terms);
            Self::deposit_event(Event::TermsChanged { terms });
            Ok(())
        }
    }
}

impl<T> From<TermsError> for Error<T> {
    fn from(error: TermsError) -> Self {
        match error {
            TermsError::TooShort => Self::TooShort,
            TermsError::TooLong => Self::TooLong,
            TermsError::EndsBeforeChallenge => Self::EndsBeforeChallenge,
            TermsError::EndsBeforeWeakSubjectivity => Self::EndsBeforeWeakSubjectivity,
        }
    }
}

impl<T: Config> Pallet<T> {
    /// The account of rewards that are promised and not yet paid.
    pub fn promised_account() -> T::AccountId {
        T::PromisedId::get().into_account_truncating()
    }
}
