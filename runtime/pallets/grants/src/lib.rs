//! The research fund: governance admits institutions, and the fund pays for what their members need multiplied.
//!
//! ```text
//!                     admit: the existential deposit          sponsor: fee and deposit
//!  the fund ─────────────────────────────────────────▶ account of the institution ── held for the job ──▶ the worker
//!     ▲                                                             │
//!     └────────── what comes back: refunds, deposits, and the rest once it is closed and empty ──────────┘
//! ```
//!
//! * **Quota**: fees that an institution's members may post in an era of staking. What is refunded in its era can be used
//!   again in it; what is not used lapses. The deposit is no part of it, since it comes back.
//! * **Money**: each institution has an account, derived from its number, which pays for its jobs
//!   ([`pallet_jobs::Job::payer`]). Nothing lies there: what a job takes comes from the fund when it is posted and is held at
//!   once, and what is released goes home at once. Should that ever fail, or somebody send money there, it goes with the
//!   next job, or when anyone asks for it ([`Call::sweep`]).
//! * **Bounds**: a price of at most [`Terms::max_rate`]; jobs that are open for at most [`Terms::open_blocks`]; and at most
//!   [`Terms::held_quotas`] held at a time, so that nobody locks the fund's money up. What was posted and nobody works on,
//!   the admin and governance take back ([`Call::withdraw`]). A result is accepted only once auditors confirm it
//!   (`pallet-jobs`), so that no member is paid for nothing.
//! * **Members**: the institution invites, the account joins, so nobody is one against its will.
//! * **Ledger**: what an institution received and what the fund paid for it, and what its rigs gave: the difficulty of each
//!   block whose author is one of them. A rig offers itself and the institution accepts, so nobody counts others' work.
//!
//! Left to others: how the fund is filled (`pallet-rewards`), who governs, and how jobs are done (`pallet-jobs`).

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod api;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod funding;
mod institution;
#[cfg(test)]
mod mock;
mod people;
mod soundness;
#[cfg(test)]
mod tests;
pub mod weights;

pub use institution::{
    Grant, Institution, InstitutionId, Ledger, MAX_NAME, Membership, Name, Rig, Spent, Terms,
    is_name,
};
pub use pallet::*;
pub use weights::WeightInfo;

use frame_support::{
    PalletId,
    pallet_prelude::*,
    traits::fungible::{Mutate, MutateHold},
};
use frame_system::pallet_prelude::*;
use pallet_jobs::{Batch, JobId, Order};
use sp_core::U256;
#[cfg(feature = "try-runtime")]
use sp_runtime::TryRuntimeError;
use sp_staking::EraIndex;

/// An institution of this runtime.
pub type InstitutionOf<T> = Institution<<T as frame_system::Config>::AccountId>;

type CurrencyOf<T> = <T as Config>::Currency;

/// Brings about what the hook is measured on.
#[cfg(feature = "runtime-benchmarks")]
pub trait BenchmarkHelper<AccountId> {
    /// The block has an author: this one.
    fn author() -> AccountId;
}

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
        frame_system::Config<RuntimeEvent: From<Event<Self>>> + pallet_jobs::Config
    {
        /// The token.
        type Currency: Mutate<Self::AccountId, Balance = u128>
            + MutateHold<Self::AccountId, Reason = <Self as Config>::RuntimeHoldReason>;
        /// Reasons for holds.
        type RuntimeHoldReason: From<HoldReason>;
        /// Who admits institutions, sets their quotas, and closes them.
        type AdmitOrigin: EnsureOrigin<Self::RuntimeOrigin>;
        /// The account of the research fund.
        type Fund: Get<Self::AccountId>;
        /// Names the accounts of institutions.
        #[pallet::constant]
        type PalletId: Get<PalletId>;
        /// The era of staking, in which a quota can be used.
        type Era: Get<EraIndex>;
        /// The last block of that era, as far as it can be known.
        type EraEnds: Get<u32>;
        /// Author of the block being executed; none only where a block has none, as in tests.
        type BlockAuthor: Get<Option<Self::AccountId>>;
        /// Difficulty of the block being executed, in multiply-accumulates.
        type Difficulty: Get<U256>;
        /// Most members of an institution, with those that it has invited.
        #[pallet::constant]
        type MaxMembers: Get<u32>;
        /// Most rigs that an institution accepts.
        #[pallet::constant]
        type MaxRigs: Get<u32>;
        /// Held of a rig for its place in the state, from its offer to its end.
        #[pallet::constant]
        type RigDeposit: Get<u128>;
        /// Measured weights.
        type WeightInfo: WeightInfo;
        /// Makes the worst case.
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
    }

    /// Why grants hold somebody's money.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A rig that is offered takes room in the state.
        Rig,
    }

    /// The terms in force.
    #[pallet::storage]
    pub type CurrentTerms<T> = StorageValue<_, Terms, ValueQuery>;

    /// Number of the next institution.
    #[pallet::storage]
    pub type NextInstitution<T> = StorageValue<_, InstitutionId, ValueQuery>;

    /// All that were ever admitted.
    #[pallet::storage]
    pub type Institutions<T: Config> =
        StorageMap<_, Twox64Concat, InstitutionId, InstitutionOf<T>, OptionQuery>;

    /// Of which institution an account is a member.
    #[pallet::storage]
    pub type MemberOf<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, InstitutionId, OptionQuery>;

    /// Members by institution, and whom it has invited: an account may have any number of invitations.
    #[pallet::storage]
    pub type Members<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        InstitutionId,
        Blake2_128Concat,
        T::AccountId,
        Membership,
        OptionQuery,
    >;

    /// Accounts that mine for an institution, or offer to.
    #[pallet::storage]
    pub type Rigs<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Rig, OptionQuery>;

    /// Those that mine for it, by institution.
    #[pallet::storage]
    pub type RigsOf<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        InstitutionId,
        Blake2_128Concat,
        T::AccountId,
        (),
        OptionQuery,
    >;

    /// Those that offer to: any number, so kept apart.
    #[pallet::storage]
    pub type Offers<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        InstitutionId,
        Blake2_128Concat,
        T::AccountId,
        (),
        OptionQuery,
    >;

    /// Jobs that the fund pays for, until they are refunded or forgotten.
    #[pallet::storage]
    pub type Granted<T> = StorageMap<_, Twox64Concat, JobId, Grant, OptionQuery>;

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
        fn build(&self) {
            CurrentTerms::<T>::put(self.terms);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// An institution was admitted.
        Admitted {
            /// Its number.
            institution: InstitutionId,
            /// Who says who belongs to it.
            admin: T::AccountId,
            /// What its members may post in an era.
            quota: u128,
        },
        /// An institution's members may post this much in an era, from now on.
        QuotaSet {
            /// Which.
            institution: InstitutionId,
            /// How much.
            quota: u128,
        },
        /// Somebody else says who belongs to an institution.
        AdminSet {
            /// Which.
            institution: InstitutionId,
            /// Who.
            admin: T::AccountId,
        },
        /// An institution ended.
        Closed {
            /// Which.
            institution: InstitutionId,
        },
        /// Other terms hold from now on.
        TermsChanged {
            /// The terms.
            terms: Terms,
        },
        /// An institution wants an account as a member.
        Invited {
            /// Which.
            institution: InstitutionId,
            /// Whom.
            who: T::AccountId,
        },
        /// An account became a member.
        MemberJoined {
            /// Of which.
            institution: InstitutionId,
            /// Who.
            member: T::AccountId,
        },
        /// An account is no member any more, or not invited any more.
        MemberRemoved {
            /// Of which.
            institution: InstitutionId,
            /// Who.
            member: T::AccountId,
        },
        /// An account offers to mine for an institution.
        RigOffered {
            /// For which.
            institution: InstitutionId,
            /// Who.
            rig: T::AccountId,
        },
        /// What an account mines is counted as an institution's from now on.
        RigAccepted {
            /// Whose.
            institution: InstitutionId,
            /// Who.
            rig: T::AccountId,
        },
        /// It is not any more, or is not offered any more.
        RigEnded {
            /// Whose.
            institution: InstitutionId,
            /// Who.
            rig: T::AccountId,
        },
        /// The fund pays for a job.
        Sponsored {
            /// Of whose quota.
            institution: InstitutionId,
            /// Who posted it.
            member: T::AccountId,
            /// The job.
            job: JobId,
            /// What is paid.
            fee: u128,
            /// What is left of the quota in this era.
            left: u128,
        },
        /// A sponsored job was settled.
        Paid {
            /// Whose.
            institution: InstitutionId,
            /// The job.
            job: JobId,
            /// Its multiply-accumulates.
            macs: u64,
            /// What the fund paid.
            fee: u128,
        },
        /// Money went home to the fund.
        Returned {
            /// From whose account.
            institution: InstitutionId,
            /// How much.
            amount: u128,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is no institution of this number.
        NoSuchInstitution,
        /// The institution is closed.
        IsClosed,
        /// A name is 1 to 64 bytes of UTF-8 without control characters, and not all of it is blank.
        BadName,
        /// There are as many institutions as there are numbers.
        TooManyInstitutions,
        /// Only the institution's admin can do this.
        NotTheAdmin,
        /// The account is a member of no institution; it has to be invited by one, and to join it.
        NotAMember,
        /// The account is a member of an institution already, and has to leave it first.
        AlreadyAMember,
        /// The institution has not invited the account; its admin can.
        NotInvited,
        /// The institution has invited the account already, which can join.
        AlreadyInvited,
        /// The institution has as many members and invitations as it may have; its admin can remove some.
        TooManyMembers,
        /// The account mines for no institution, nor offers to.
        NotARig,
        /// The account mines for an institution already, or offers to; it has to end that first.
        AlreadyARig,
        /// The institution has as many rigs as it may have.
        TooManyRigs,
        /// Only the rig and the institution's admin can end it.
        NotYourRig,
        /// The fee is more than what is left of the institution's quota in this era.
        OverQuota,
        /// The research fund has less than the job takes.
        FundTooSmall,
        /// The fund does not pay so much for so little work.
        FeeTooHigh,
        /// A job that the fund pays for does not stay open for so long; post it for fewer blocks.
        OpenTooLong,
        /// So much is held for the institution's jobs that this one has to wait until others are over, or taken back.
        TooMuchHeld,
        /// The fund pays for no such job, or it is over.
        NotSponsored,
        /// Nothing waits to go home to the fund.
        NothingToSweep,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        /// Counts the block, if an institution's rig made it. Now, because the difficulty of the block is that of the state
        /// until the block ends.
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::count_block();
            <T as Config>::WeightInfo::on_initialize()
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Admits an institution. The existential deposit of its account comes from the fund.
        ///
        /// `quota` is in the token's smallest unit, for each era of staking.
        #[pallet::call_index(0)]
        #[pallet::weight(<T as Config>::WeightInfo::admit())]
        pub fn admit(
            origin: OriginFor<T>,
            admin: T::AccountId,
            name: Name,
            quota: u128,
        ) -> DispatchResult {
            T::AdmitOrigin::ensure_origin(origin)?;
            Self::do_admit(admin, name, quota)
        }

        /// Sets what an institution's members may post in an era, this one included.
        #[pallet::call_index(1)]
        #[pallet::weight(<T as Config>::WeightInfo::set_quota())]
        pub fn set_quota(
            origin: OriginFor<T>,
            institution: InstitutionId,
            quota: u128,
        ) -> DispatchResult {
            T::AdmitOrigin::ensure_origin(origin)?;
            let mut it = Self::open(institution)?;
            it.quota = quota;
            Institutions::<T>::insert(institution, it);
            Self::deposit_event(Event::QuotaSet { institution, quota });
            Ok(())
        }

        /// Has somebody else say who belongs to an institution.
        #[pallet::call_index(2)]
        #[pallet::weight(<T as Config>::WeightInfo::set_admin())]
        pub fn set_admin(
            origin: OriginFor<T>,
            institution: InstitutionId,
            admin: T::AccountId,
        ) -> DispatchResult {
            T::AdmitOrigin::ensure_origin(origin)?;
            let mut it = Self::open(institution)?;
            it.admin = admin.clone();
            Institutions::<T>::insert(institution, it);
            Self::deposit_event(Event::AdminSet { institution, admin });
            Ok(())
        }

        /// Ends an institution. What it has posted goes on; its ledger stays.
        #[pallet::call_index(3)]
        #[pallet::weight(<T as Config>::WeightInfo::close())]
        pub fn close(origin: OriginFor<T>, institution: InstitutionId) -> DispatchResult {
            T::AdmitOrigin::ensure_origin(origin)?;
            let mut it = Self::open(institution)?;
            it.is_closed = true;
            Institutions::<T>::insert(institution, it);
            Self::deposit_event(Event::Closed { institution });
            Self::go_home(institution);
            Ok(())
        }

        /// Sets what bounds the jobs that the fund pays for. Those that are posted stay as they are.
        #[pallet::call_index(4)]
        #[pallet::weight(<T as Config>::WeightInfo::set_terms())]
        pub fn set_terms(origin: OriginFor<T>, terms: Terms) -> DispatchResult {
            T::AdmitOrigin::ensure_origin(origin)?;
            CurrentTerms::<T>::put(terms);
            Self::deposit_event(Event::TermsChanged { terms });
            Ok(())
        }

        /// Has an account join as a member, if it wants to. Of the institution's admin.
        #[pallet::call_index(5)]
        #[pallet::weight(<T as Config>::WeightInfo::invite())]
        pub fn invite(
            origin: OriginFor<T>,
            institution: InstitutionId,
            who: T::AccountId,
        ) -> DispatchResult {
            let admin = ensure_signed(origin)?;
            Self::do_invite(&admin, institution, who)
        }

        /// Ends a membership, or an invitation. Of the institution's admin.
        #[pallet::call_index(6)]
        #[pallet::weight(<T as Config>::WeightInfo::remove_member())]
        pub fn remove_member(
            origin: OriginFor<T>,
            institution: InstitutionId,
            who: T::AccountId,
        ) -> DispatchResult {
            let admin = ensure_signed(origin)?;
            let it = Self::institution(institution)?;
            ensure!(it.admin == admin, Error::<T>::NotTheAdmin);
            Self::end_membership(institution, who)
        }

        /// Ends a membership of one's own.
        #[pallet::call_index(7)]
        #[pallet::weight(<T as Config>::WeightInfo::leave())]
        pub fn leave(origin: OriginFor<T>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let institution = MemberOf::<T>::get(&who).ok_or(Error::<T>::NotAMember)?;
            Self::end_membership(institution, who)
        }

        /// Offers to have the sender's blocks counted as an institution's. A deposit is held.
        #[pallet::call_index(8)]
        #[pallet::weight(<T as Config>::WeightInfo::offer_rig())]
        pub fn offer_rig(origin: OriginFor<T>, institution: InstitutionId) -> DispatchResult {
            let rig = ensure_signed(origin)?;
            Self::do_offer_rig(institution, rig)
        }

        /// Has the blocks of an account that offers itself counted. Of the institution's admin.
        #[pallet::call_index(9)]
        #[pallet::weight(<T as Config>::WeightInfo::accept_rig())]
        pub fn accept_rig(origin: OriginFor<T>, who: T::AccountId) -> DispatchResult {
            let admin = ensure_signed(origin)?;
            Self::do_accept_rig(&admin, who)
        }

        /// Ends that, or the offer: of the rig itself, or of the institution's admin. The deposit comes back.
        #[pallet::call_index(10)]
        #[pallet::weight(<T as Config>::WeightInfo::end_rig())]
        pub fn end_rig(origin: OriginFor<T>, who: T::AccountId) -> DispatchResult {
            let by = ensure_signed(origin)?;
            Self::do_end_rig(&by, who)
        }

        /// Posts a job that the fund pays for, within the quota of the sender's institution. All else about the job is the
        /// sender's, as of any job, but that its fee cannot be raised.
        #[pallet::call_index(11)]
        #[pallet::weight(<T as Config>::WeightInfo::sponsor(batch.left.len() as u32))]
        pub fn sponsor(
            origin: OriginFor<T>,
            batch: Batch,
            open_blocks: u32,
            fee: u128,
        ) -> DispatchResult {
            let member = ensure_signed(origin)?;
            let order = Order {
                batch,
                fee,
                open_blocks,
            };
            Self::do_sponsor(member, order).map(drop)
        }

        /// Sends home to the fund what lies on an institution's account. Anyone may ask for it, and pays no fee if there was
        /// something.
        #[pallet::call_index(12)]
        #[pallet::weight(<T as Config>::WeightInfo::sweep())]
        pub fn sweep(
            origin: OriginFor<T>,
            institution: InstitutionId,
        ) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::institution(institution)?;
            ensure!(Self::go_home(institution) > 0, Error::<T>::NothingToSweep);
            Ok(Pays::No.into())
        }

        /// Becomes a member of an institution that has invited the sender.
        #[pallet::call_index(13)]
        #[pallet::weight(<T as Config>::WeightInfo::join())]
        pub fn join(origin: OriginFor<T>, institution: InstitutionId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            Self::do_join(institution, who)
        }

        /// Takes back a sponsored job that nobody works on, as its poster can: the money goes home. Of the institution's
        /// admin, or of governance.
        #[pallet::call_index(14)]
        #[pallet::weight(<T as Config>::WeightInfo::withdraw())]
        pub fn withdraw(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let grant = Granted::<T>::get(job).ok_or(Error::<T>::NotSponsored)?;
            if let Err(origin) = T::AdmitOrigin::try_origin(origin) {
                let who = ensure_signed(origin)?;
                let it = Self::institution(grant.institution)?;
                ensure!(it.admin == who, Error::<T>::NotTheAdmin);
            }
            pallet_jobs::Pallet::<T>::withdraw(job)
        }
    }
}
