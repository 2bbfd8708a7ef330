//! The block subsidy: how much, to whom, and an account of every unit that was ever issued or burned.
//!
//! Each block issues what its [`Schedule`] says: a share to the author, a share to an account for staking, and the rest
//! to an account for research, which hold theirs until the pallets exist that pay it out. Fees are burned, tips go to
//! the author. Two equations hold after every block, and `do_try_state` checks them:
//!
//! * what was minted equals the sum of the schedule over the blocks so far;
//! * total issuance equals genesis plus minted minus burned.
//!
//! Burned are base fees ([`FeesAndTips`]), the dust of reaped accounts ([`Dust`]), and a share that no account could
//! take. Whoever else changes the total issuance breaks the second equation on purpose: the runtime keeps balances'
//! own `burn`, `force_set_balance` and `force_adjust_total_issuance` from being called, save by a sudo key on a test
//! chain.

#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "runtime-benchmarks")]
extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod era;
mod fees;
#[cfg(test)]
mod mock;
mod schedule;
#[cfg(test)]
mod tests;
pub mod weights;

pub use era::{Era, Parameters};
pub use fees::{Dust, FeesAndTips};
pub use pallet::*;
pub use schedule::{MAX_SUBSIDY, Schedule, ScheduleError};
pub use weights::WeightInfo;

use frame_support::{
    PalletId,
    pallet_prelude::*,
    traits::{
        Imbalance,
        fungible::{Balanced, Credit, Inspect},
    },
};
use frame_system::pallet_prelude::*;
use sp_runtime::{
    Perbill, TryRuntimeError,
    traits::{AccountIdConversion, SaturatedConversion},
};

/// The token's credit, in the account type of the runtime.
pub type CreditOf<T> = Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

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
        type Currency: Balanced<Self::AccountId, Balance = u128>;
        /// Author of the block being executed; `None` only where a block has none, as in tests.
        type BlockAuthor: Get<Option<Self::AccountId>>;
        /// Names the account that keeps what validators and nominators will be paid from.
        #[pallet::constant]
        type StakingPalletId: Get<PalletId>;
        /// Names the account that keeps the research fund.
        #[pallet::constant]
        type ResearchPalletId: Get<PalletId>;
        /// Measured weights.
        type WeightInfo: WeightInfo;
    }

    /// The parameters in force, and since when.
    #[pallet::storage]
    pub type CurrentEra<T> = StorageValue<_, Era, ValueQuery, NoEra>;

    /// Issued by all blocks so far, in the token's smallest unit.
    #[pallet::storage]
    pub type Minted<T> = StorageValue<_, u128, ValueQuery>;

    /// Burned so far: base fees, dust, shares that no account could take.
    #[pallet::storage]
    pub type Burned<T> = StorageValue<_, u128, ValueQuery>;

    /// Total issuance of the genesis block.
    #[pallet::storage]
    pub type GenesisIssuance<T> = StorageValue<_, u128, ValueQuery>;

    /// Value of [`CurrentEra`] before genesis.
    pub struct NoEra;
    impl Get<Era> for NoEra {
        fn get() -> Era {
            Era::NOTHING
        }
    }

    /// Figures of the chain spec.
    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// What the decay starts from, in the token's smallest unit, without the tail.
        pub initial_subsidy: u128,
        /// Blocks in which the part above the tail halves.
        pub half_life_blocks: u32,
        /// What every block gets for ever.
        pub tail_subsidy: u128,
        /// Share of the author.
        pub author_share: Perbill,
        /// Share of the staking account.
        pub staking_share: Perbill,
        /// Only here to name the runtime.
        #[serde(skip)]
        pub _runtime: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        /// Pays nothing: a chain spec must say its own.
        fn default() -> Self {
            let Parameters {
                schedule,
                author_share,
                staking_share,
            } = Era::NOTHING.parameters;
            Self {
                initial_subsidy: schedule.initial_subsidy(),
                half_life_blocks: schedule.half_life_blocks(),
                tail_subsidy: schedule.tail_subsidy(),
                author_share,
                staking_share,
                _runtime: PhantomData,
            }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        /// # Panics
        ///
        /// When the figures make no schedule: such a chain must not start.
        fn build(&self) {
            let schedule = match Schedule::new(
                self.initial_subsidy,
                self.half_life_blocks,
                self.tail_subsidy,
            ) {
                Ok(schedule) => schedule,
                Err(error) => panic!("rewards in the chain spec make no schedule: {error:?}"),
            };
            let parameters = Parameters {
                schedule,
                author_share: self.author_share,
                staking_share: self.staking_share,
            };
            assert!(
                parameters.shares_fit(),
                "the shares of the subsidy in the chain spec exceed the whole"
            );
            CurrentEra::<T>::put(Era {
                parameters,
                since_block: 1,
                minted_before: 0,
            });
            GenesisIssuance::<T>::put(T::Currency::total_issuance());
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A block's subsidy was issued.
        Issued {
            /// Author of the block.
            author: Option<T::AccountId>,
            /// Paid to the author.
            to_author: u128,
            /// Kept for staking.
            to_staking: u128,
            /// Kept for research, with what others could not take.
            to_research: u128,
        },
        /// The next block follows other parameters.
        ParametersChanged {
            /// What holds from the next block on.
            parameters: Parameters,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The half-life must be at least one block.
        NoHalfLife,
        /// The initial subsidy and the tail must each be at most 2^80 of the token's smallest unit.
        SubsidyTooHigh,
        /// The shares of author and staking must add up to at most the whole.
        SharesExceedWhole,
        /// There is no next block number, or what was issued exceeds the counter.
        Overflow,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(block: BlockNumberFor<T>) -> Weight {
            Self::issue(block);
            T::WeightInfo::on_initialize()
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Sets what is issued, and to whom, from the next block on. Root only.
        ///
        /// Amounts are in the token's smallest unit, `initial_subsidy` without the tail. The decay starts anew.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::set_parameters())]
        pub fn set_parameters(
            origin: OriginFor<T>,
            initial_subsidy: u128,
            half_life_blocks: u32,
            tail_subsidy: u128,
            author_share: Perbill,
            staking_share: Perbill,
        ) -> DispatchResult {
            ensure_root(origin)?;
            let schedule = Schedule::new(initial_subsidy, half_life_blocks, tail_subsidy)
                .map_err(Error::<T>::from)?;
            let parameters = Parameters {
                schedule,
                author_share,
                staking_share,
            };
            ensure!(parameters.shares_fit(), Error::<T>::SharesExceedWhole);
            let since_block = Self::now().checked_add(1).ok_or(Error::<T>::Overflow)?;
            // This block's subsidy was issued when it began, so all before the next one is counted.
            CurrentEra::<T>::put(Era {
                parameters,
                since_block,
                minted_before: Minted::<T>::get(),
            });
            Self::deposit_event(Event::ParametersChanged { parameters });
            Ok(())
        }
    }
}

impl<T> From<ScheduleError> for Error<T> {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::NoHalfLife => Self::NoHalfLife,
            ScheduleError::TooHigh => Self::SubsidyTooHigh,
        }
    }
}

impl<T: Config> Pallet<T> {
    /// The account that keeps what validators and nominators will be paid from.
    pub fn staking_account() -> T::AccountId {
        T::StakingPalletId::get().into_account_truncating()
    }

    /// The account that keeps the research fund.
    pub fn research_account() -> T::AccountId {
        T::ResearchPalletId::get().into_account_truncating()
    }

    /// Subsidy of `block`, in the token's smallest unit, under the parameters in force.
    pub fn subsidy(block: u32) -> u128 {
        let era = CurrentEra::<T>::get();
        block
            .checked_sub(era.since_block)
            .map_or(0, |index| era.parameters.schedule.subsidy(index))
    }

    /// Checks that minted equals the schedule's sum, and that total issuance is accounted for.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let minted = Minted::<T>::get();
        let era = CurrentEra::<T>::get();
        ensure!(
            era.parameters.shares_fit(),
            "the shares of the subsidy exceed the whole"
        );
        ensure!(
            era.minted_by(Self::now()) == Some(minted),
            "what was minted is not the sum of the schedule"
        );
        let issuance = GenesisIssuance::<T>::get()
            .checked_add(minted)
            .and_then(|all| all.checked_sub(Burned::<T>::get()));
        ensure!(
            issuance == Some(T::Currency::total_issuance()),
            "total issuance is not genesis plus minted minus burned"
        );
        Ok(())
    }

    /// Number of the block being executed; this chain numbers blocks by u32.
    fn now() -> u32 {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }

    /// Issues the subsidy of `block` and divides it.
    fn issue(block: BlockNumberFor<T>) {
        let parameters = CurrentEra::<T>::get().parameters;
        let subsidy = T::Currency::issue(Self::subsidy(block.saturated_into()));
        let whole = subsidy.peek();
        // Cannot overflow: a schedule sums to less than 2^114, as said where its bounds are.
        Minted::<T>::mutate(|minted| *minted += whole);

        let (for_author, rest) = subsidy.split(parameters.author_share.mul_floor(whole));
        let (for_staking, for_research) = rest.split(parameters.staking_share.mul_floor(whole));
        let author = T::BlockAuthor::get();
        let to_author = for_author.peek();
        let to_staking = for_staking.peek();
        // A new account cannot take less than the existential deposit: then research has it.
        let left = match &author {
            Some(account) => T::Currency::resolve(account, for_author).err(),
            None => Some(for_author),
        };
        let to_author = to_author - left.as_ref().map_or(0, Imbalance::peek);
        let kept = T::Currency::resolve(&Self::staking_account(), for_staking).err();
        let to_staking = to_staking - kept.as_ref().map_or(0, Imbalance::peek);
        let for_research = [left, kept]
            .into_iter()
            .flatten()
            .fold(for_research, Imbalance::merge);
        let to_research = for_research.peek();
        let to_research = match T::Currency::resolve(&Self::research_account(), for_research) {
            Ok(()) => to_research,
            Err(nobodys) => {
                Self::burn(nobodys);
                0
            }
        };
        Self::deposit_event(Event::Issued {
            author,
            to_author,
            to_staking,
            to_research,
        });
    }

    /// Takes `credit` out of the issuance, and counts it.
    fn burn(credit: CreditOf<T>) {
        // Cannot overflow: no more is burned than was ever issued, which u128 holds.
        Burned::<T>::mutate(|burned| *burned += credit.peek());
        drop(credit);
    }
}
