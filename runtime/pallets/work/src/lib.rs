//! What the state knows of work: the difficulty of the next block, the work of all blocks so far, and on which matrices
//! each recent block was mined.
//!
//! * **Difficulty** is ASERT ([`labora_pouw::asert`]) over header timestamps. Block 1 has the difficulty of the chain
//!   spec, and is the anchor: genesis has no time, and years may lie between the making of a spec and its first block.
//!   A change of the parameters anchors anew at the block that makes it, so difficulty does not jump. A gap between two
//!   blocks counts as at most [`MAX_GAP_HALF_LIVES`]: a chain that stood still goes on from where it was.
//! * **Time**: the author states it in the header before mining; here the timestamp inherent is held to that.
//! * **Seals**: a seal is made after its block is executed, so each block brings its parent's whole header in an
//!   inherent, which proves itself by hashing to the parent hash. A block without it is invalid. What proves the work is
//!   the engine's concern, and done before execution.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod difficulty;
mod digest;
#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;
pub mod weights;

pub use difficulty::{AnchorPoint, Executed, MAX_GAP_HALF_LIVES, Parameters, ParametersError};
pub use pallet::*;
pub use weights::WeightInfo;

use alloc::boxed::Box;

use frame_support::pallet_prelude::*;
use frame_system::pallet_prelude::*;
use labora_consensus_api::{
    SealRecord,
    inherent::{INHERENT_IDENTIFIER, InherentError},
    split_seal,
};
use labora_pouw::Difficulty;
use sp_core::{H256, U256, crypto::AccountId32};
use sp_runtime::{
    TryRuntimeError,
    traits::{Header, SaturatedConversion},
};

#[frame_support::pallet]
pub mod pallet {
    use super::*;

    const STORAGE_VERSION: StorageVersion = StorageVersion::new(1);

    #[pallet::pallet]
    #[pallet::storage_version(STORAGE_VERSION)]
    pub struct Pallet<T>(_);

    /// What the runtime supplies.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<
            Hash = H256,
            AccountId: From<AccountId32>,
            RuntimeEvent: From<Event<Self>>,
        > + pallet_timestamp::Config<Moment = u64>
    {
        /// Blocks whose seals the state remembers, counted back from the newest that is known.
        #[pallet::constant]
        type SealHistory: Get<u32>;
        /// Measured weights.
        type WeightInfo: WeightInfo;
    }

    /// How fast blocks should come, and how softly difficulty follows.
    #[pallet::storage]
    pub type CurrentParameters<T> = StorageValue<_, Parameters, ValueQuery>;

    /// From where difficulty is reckoned; none before block 1.
    #[pallet::storage]
    pub type Anchor<T> = StorageValue<_, AnchorPoint, OptionQuery>;

    /// Difficulty of the block after this one; while a block is executed, its own.
    #[pallet::storage]
    pub type NextDifficulty<T> = StorageValue<_, Difficulty, ValueQuery, difficulty::Lowest>;

    /// Difficulty and time of this block; while a block is executed, its parent's. None before block 1.
    #[pallet::storage]
    pub type LastBlock<T> = StorageValue<_, Executed, OptionQuery>;

    /// Sum of the difficulties of all blocks, in multiply-accumulates; genesis counts nothing.
    #[pallet::storage]
    pub type AccumulatedWork<T> = StorageValue<_, U256, ValueQuery>;

    /// What recent blocks were mined on, by their number.
    #[pallet::storage]
    pub type Seals<T> = StorageMap<_, Twox64Concat, u32, SealRecord, OptionQuery>;

    /// Set from the inherent to the end of the block.
    #[pallet::storage]
    pub(super) type ParentNoted<T> = StorageValue<_, bool, ValueQuery>;

    /// Figures of the chain spec.
    #[pallet::genesis_config]
    pub struct GenesisConfig<T: Config> {
        /// Multiply-accumulates that block 1 is expected to take.
        pub initial_difficulty: U256,
        /// Time between blocks that difficulty aims at, in milliseconds.
        pub target_block_time_ms: u64,
        /// A chain that is late by this many milliseconds has half the difficulty.
        pub half_life_ms: u64,
        /// Only here to name the runtime.
        #[serde(skip)]
        pub _runtime: PhantomData<T>,
    }

    impl<T: Config> Default for GenesisConfig<T> {
        /// What stands in the state of no chain: a chain spec must say its own.
        fn default() -> Self {
            let parameters = Parameters::default();
            Self {
                initial_difficulty: difficulty::Lowest::get().get(),
                target_block_time_ms: parameters.target_block_time_ms(),
                half_life_ms: parameters.half_life_ms(),
                _runtime: PhantomData,
            }
        }
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        /// # Panics
        ///
        /// When a figure is outside its bounds: such a chain must not start.
        fn build(&self) {
            let parameters = Parameters::new(self.target_block_time_ms, self.half_life_ms);
            let parameters = match parameters {
                Ok(parameters) => parameters,
                Err(error) => panic!("work in the chain spec: {error:?}"),
            };
            let Some(initial) = difficulty::in_bounds(self.initial_difficulty) else {
                panic!(
                    "work in the chain spec: initial difficulty {} is out of bounds",
                    self.initial_difficulty
                )
            };
            CurrentParameters::<T>::put(parameters);
            NextDifficulty::<T>::put(initial);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// The state learnt what its parent block was mined on.
        SealNoted {
            /// Number of the parent.
            number: u32,
            /// What it was mined on.
            record: SealRecord,
        },
        /// Difficulty follows other parameters from the next block on.
        ParametersChanged {
            /// What holds.
            parameters: Parameters,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The parent's header may be noted once a block.
        AlreadyNoted,
        /// The header does not hash to the parent hash of this block.
        NotTheParent,
        /// The header's last digest item is not one valid seal; genesis has none.
        NoSeal,
        /// The time between blocks must be between 0.1 s and an hour.
        TargetBlockTime,
        /// The half-life must be between the time between blocks and thirty days.
        HalfLife,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Only reserves the weight of the end of the block, and of checking the timestamp, which other calls trigger.
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            <T as Config>::WeightInfo::on_finalize()
                .saturating_add(<T as Config>::WeightInfo::on_timestamp_set())
        }

        /// # Panics
        ///
        /// When the block does not bring its parent's header, or the sum of work would overflow: both make it invalid.
        fn on_finalize(number: BlockNumberFor<T>) {
            let number = number.saturated_into::<u32>();
            assert!(
                ParentNoted::<T>::take() || !Self::needs_parent(number),
                "a block must bring its parent's header in work.note_parent"
            );
            let own = NextDifficulty::<T>::get();
            match own.add_to(AccumulatedWork::<T>::get()) {
                Ok(work) => AccumulatedWork::<T>::put(work),
                // Out of reach: 2^32 blocks of the highest difficulty add up to less than 2^256. The engine, which sums
                // too, refuses such a block.
                Err(error) => panic!("{error}"),
            }
            LastBlock::<T>::put(Executed {
                difficulty: own,
                time_ms: pallet_timestamp::Pallet::<T>::get(),
            });
            NextDifficulty::<T>::put(Self::difficulty_at(number));
        }

        #[cfg(feature = "std")]
        fn integrity_test() {
            assert!(
                T::SealHistory::get() > 0,
                "SealHistory must be at least one block"
            );
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Brings the parent's whole header, so that the state learns its seal. An inherent: once in every block but
        /// the first, and nowhere else.
        #[pallet::call_index(0)]
        #[pallet::weight((<T as Config>::WeightInfo::note_parent(), DispatchClass::Mandatory))]
        pub fn note_parent(origin: OriginFor<T>, header: Box<HeaderFor<T>>) -> DispatchResult {
            ensure_none(origin)?;
            ensure!(!ParentNoted::<T>::exists(), Error::<T>::AlreadyNoted);
            let block = header.hash();
            ensure!(
                block == frame_system::Pallet::<T>::parent_hash(),
                Error::<T>::NotTheParent
            );
            let number = (*header.number()).saturated_into::<u32>();
            let (_, seal) = split_seal(*header).map_err(|_| Error::<T>::NoSeal)?;
            // The parent of any block but the first was executed.
            let difficulty = LastBlock::<T>::get()
                .ok_or(Error::<T>::NoSeal)?
                .difficulty
                .get();
            let record = SealRecord {
                block,
                seal,
                difficulty,
            };
            Seals::<T>::insert(number, &record);
            if let Some(oldest) = number.checked_sub(T::SealHistory::get()) {
                Seals::<T>::remove(oldest);
            }
            ParentNoted::<T>::put(true);
            Self::deposit_event(Event::SealNoted { number, record });
            Ok(())
        }

        /// Sets how fast blocks should come and how softly difficulty follows, in milliseconds. Root only.
        ///
        /// Difficulty goes on from where it is.
        #[pallet::call_index(1)]
        #[pallet::weight(<T as Config>::WeightInfo::set_parameters())]
        pub fn set_parameters(
            origin: OriginFor<T>,
            target_block_time_ms: u64,
            half_life_ms: u64,
        ) -> DispatchResult {
            ensure_root(origin)?;
            let parameters =
                Parameters::new(target_block_time_ms, half_life_ms).map_err(Error::<T>::from)?;
            // Before block 1 has its time there is nothing to go on from.
            if Anchor::<T>::exists() {
                let height = frame_system::Pallet::<T>::block_number().saturated_into();
                let difficulty = Self::difficulty_at(height);
                let time_ms = pallet_timestamp::Pallet::<T>::get();
                Anchor::<T>::put(AnchorPoint {
                    difficulty,
                    time_ms,
                    height,
                });
            }
            CurrentParameters::<T>::put(parameters);
            Self::deposit_event(Event::ParametersChanged { parameters });
            Ok(())
        }
    }

    #[pallet::inherent]
    impl<T: Config> ProvideInherent for Pallet<T> {
        type Call = Call<T>;
        type Error = InherentError;
        const INHERENT_IDENTIFIER: InherentIdentifier = INHERENT_IDENTIFIER;

        fn create_inherent(data: &InherentData) -> Option<Self::Call> {
            if !Self::needs_parent(frame_system::Pallet::<T>::block_number().saturated_into()) {
                return None;
            }
            // Without it the block is invalid, which the end of its execution says.
            let header = data.get_data::<HeaderFor<T>>(&INHERENT_IDENTIFIER).ok()??;
            Some(Call::note_parent {
                header: Box::new(header),
            })
        }

        fn is_inherent_required(_: &InherentData) -> Result<Option<Self::Error>, Self::Error> {
            let number = frame_system::Pallet::<T>::block_number().saturated_into();
            Ok(Self::needs_parent(number).then_some(InherentError::Missing))
        }

        fn is_inherent(call: &Self::Call) -> bool {
            matches!(call, Call::note_parent { .. })
        }
    }
}

impl<T> From<ParametersError> for Error<T> {
    fn from(error: ParametersError) -> Self {
        match error {
            ParametersError::TargetBlockTime => Self::TargetBlockTime,
            ParametersError::HalfLife => Self::HalfLife,
        }
    }
}

impl<T: Config> Pallet<T> {
    /// Difficulty that a child of this block has to meet.
    pub fn difficulty() -> U256 {
        NextDifficulty::<T>::get().get()
    }

    /// What the block at `number` was mined on, if the state remembers.
    pub fn seal_of(number: u32) -> Option<SealRecord> {
        Seals::<T>::get(number)
    }

    /// Whether the block of this number must bring its parent's header: the parent of block 1 is genesis, without seal.
    fn needs_parent(number: u32) -> bool {
        number > 1
    }

    /// Difficulty of the child of the block being executed, `number`, once its time is known.
    fn difficulty_at(number: u32) -> Difficulty {
        let now_ms = pallet_timestamp::Pallet::<T>::get();
        Anchor::<T>::get()
            .and_then(|anchor| anchor.next(CurrentParameters::<T>::get(), now_ms, number))
            .unwrap_or_else(NextDifficulty::<T>::get)
    }

    /// Checks that the seals are those of the last blocks without a gap, and that work counts at least theirs.
    pub fn do_try_state() -> Result<(), TryRuntimeError> {
        let number = frame_system::Pallet::<T>::block_number().saturated_into::<u32>();
        let parameters = CurrentParameters::<T>::get();
        ensure!(
            Parameters::new(parameters.target_block_time_ms(), parameters.half_life_ms()).is_ok(),
            "work's parameters are out of bounds"
        );
        ensure!(
            !ParentNoted::<T>::exists(),
            "the mark of the inherent outlives its block"
        );
        // Known are the blocks up to the parent of the newest.
        let known = number.saturating_sub(1).min(T::SealHistory::get());
        let mut seals = 0u32;
        let mut work = LastBlock::<T>::get().map_or(U256::zero(), |last| last.difficulty.get());
        for (of, record) in Seals::<T>::iter() {
            ensure!(
                of < number && number - of <= known,
                "a seal is not of a recent block"
            );
            work = work
                .checked_add(record.difficulty)
                .ok_or("the work of recent blocks overflows")?;
            seals = seals.checked_add(1).ok_or("more seals than numbers")?;
        }
        ensure!(seals == known, "the seal of a recent block is missing");
        ensure!(
            work <= AccumulatedWork::<T>::get(),
            "accumulated work is less than that of recent blocks"
        );
        Ok(())
    }
}
