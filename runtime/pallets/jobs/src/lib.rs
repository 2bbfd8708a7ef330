//! The market of jobs: products that somebody needs, what is paid for them, and what is at stake.
//!
//! ```text
//!                  ┌──────── late, or data unavailable: a share of the bond is burned ───────┐
//!                  │         a wrong entry proved: all of it, half to who proved it          │
//!                  ▼                                                                         │
//! post ──▶ Open ──claim──▶ Claimed ──submit──▶ Submitted ──accept, or auditors + window──▶ Settled ──▶ forgotten
//!           │                                      │
//!           └── cancel, or deadline ──▶ refunded ◀─┘ too few auditors said anything, several times
//! ```
//!
//! * **Money** is held, never in a pot: the fee and a deposit of the poster, the bond of the worker. What a job ends with adds
//!   up to what was held for it ([`Pallet::do_try_state`] compares all holds with all jobs). Another pallet may post for
//!   somebody and name who pays ([`Pallet::post_for`]); it is told how that ends ([`Sponsor`]).
//! * **Auditors** are validators, drawn by the seal of a later block; see [`audit`]. Beside them anyone can prove a wrong
//!   entry, which the runtime recomputes ([`labora_pouw::fraud`]).
//! * **Time** moves nothing by itself, so that ten thousand open jobs cost a block nothing: what is due is done when anyone
//!   asks for it ([`Call::poke`]), for no fee. So no job is stuck for want of its poster, its worker or root.
//!
//! Left to others: where matrices are, who fetches them, and how products are computed.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod api;
pub mod audit;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarking;
mod course;
mod ends;
mod going;
mod job;
#[cfg(test)]
mod mock;
mod money;
mod soundness;
mod terms;
#[cfg(test)]
mod tests;
pub mod weights;

pub use audit::{Accusation, Attestation, Committee, MAX_COMMITTEE, Said, Seat};
pub use going::Going;
pub use job::{
    Agreed, Batch, Claimed, Failure, Hashes, Job, JobId, Left, MAX_PRODUCTS, Order, Record, Refund,
    Stage, Submitted, Window,
};
pub use money::Paid;
pub use pallet::*;
pub use terms::{MAX_BLOCKS, MAX_BOND_FACTOR, MAX_CLAIMS, Terms, TermsError};
pub use weights::WeightInfo;

use alloc::{boxed::Box, vec::Vec};

use frame_support::{
    pallet_prelude::*,
    traits::{
        OnUnbalanced,
        fungible::{Balanced, BalancedHold, Credit, MutateHold},
    },
};
use frame_system::pallet_prelude::*;
use labora_pouw::{
    Hash,
    fraud::{FraudError, FraudProof},
};
use sp_core::H256;
#[cfg(feature = "try-runtime")]
use sp_runtime::TryRuntimeError;
use sp_staking::SessionIndex;

/// A job of this runtime.
pub type JobOf<T> = Job<<T as frame_system::Config>::AccountId>;
/// A committee of this runtime.
pub type CommitteeOf<T> = Committee<<T as frame_system::Config>::AccountId>;

/// Seals of recent blocks, by which auditors are drawn: whoever mined a block could draw others only by throwing it away.
pub trait Seals {
    /// What the sealed block of this number hashes to, once the state knows.
    fn sealed(number: u32) -> Option<H256>;
}

/// Whom it is reported to that an auditor vouched for a result that was proved wrong.
pub trait FalseAttestations<AccountId> {
    /// What a report costs at most, with the slash of all who back the auditor.
    fn weight() -> Weight;

    /// This one did.
    fn report(reporter: AccountId, job: JobId, accusation: Accusation, auditor: AccountId);
}

/// Whoever has jobs paid for others: told once of each that it was settled or refunded, and of a settled one that it is
/// forgotten. By then all that is due of the job has been released to its payer.
pub trait Sponsor<AccountId> {
    /// What it costs at most to be told.
    fn weight() -> Weight;

    /// The result was paid: the fee is spent, the deposit is still held.
    fn settled(payer: &AccountId, job: JobId, macs: u64, fee: u128);

    /// Fee and deposit came back whole, and the job is gone.
    fn refunded(payer: &AccountId, job: JobId, fee: u128);

    /// A settled job is gone, and its deposit came back.
    fn forgotten(payer: &AccountId, job: JobId);
}

/// Where nobody pays for others.
impl<AccountId> Sponsor<AccountId> for () {
    fn weight() -> Weight {
        Weight::zero()
    }

    fn settled(_: &AccountId, _: JobId, _: u64, _: u128) {}

    fn refunded(_: &AccountId, _: JobId, _: u128) {}

    fn forgotten(_: &AccountId, _: JobId) {}
}

/// Brings about what the calls are measured on.
#[cfg(feature = "runtime-benchmarks")]
pub trait BenchmarkHelper<AccountId> {
    /// From now on these are the validators, and the seal of block `sealed` is known.
    fn prepare(validators: Vec<AccountId>, sealed: u32);
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
    pub trait Config: frame_system::Config<RuntimeEvent: From<Event<Self>>> {
        /// The token.
        type Currency: Balanced<Self::AccountId, Balance = u128>
            + MutateHold<Self::AccountId, Reason = Self::RuntimeHoldReason>
            + BalancedHold<Self::AccountId>;
        /// Reasons for holds.
        type RuntimeHoldReason: From<HoldReason>;
        /// Takes what is burned.
        type Burn: OnUnbalanced<Credit<Self::AccountId, Self::Currency>>;
        /// Draws auditors.
        type Seals: Seals;
        /// The validators of the session, of whom auditors are drawn.
        type Validators: Get<Vec<Self::AccountId>>;
        /// The session.
        type Session: Get<SessionIndex>;
        /// Slashes auditors.
        type FalseAttestations: FalseAttestations<Self::AccountId>;
        /// Has jobs paid for others.
        type Sponsor: Sponsor<Self::AccountId>;
        /// Blocks for which a result can be challenged.
        type ChallengeWindow: Get<u32>;
        /// Held for a job's place in the state.
        #[pallet::constant]
        type DepositBase: Get<u128>;
        /// Held for each of its products.
        #[pallet::constant]
        type DepositPerProduct: Get<u128>;
        /// Measured weights.
        type WeightInfo: WeightInfo;
        /// Makes the worst case.
        #[cfg(feature = "runtime-benchmarks")]
        type BenchmarkHelper: BenchmarkHelper<Self::AccountId>;
    }

    /// Why the market holds somebody's money.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// It pays a job that was posted.
        Escrow,
        /// A job takes room in the state.
        Deposit,
        /// It is at stake for a result.
        Bond,
    }

    /// The terms in force.
    #[pallet::storage]
    pub type CurrentTerms<T> = StorageValue<_, Terms, ValueQuery>;

    /// Number of the next job.
    #[pallet::storage]
    pub type NextJob<T> = StorageValue<_, JobId, ValueQuery>;

    /// Jobs, but for those that are forgotten.
    #[pallet::storage]
    pub type Jobs<T: Config> = StorageMap<_, Twox64Concat, JobId, JobOf<T>, OptionQuery>;

    /// Auditors of results, from the first who attests.
    #[pallet::storage]
    pub type Committees<T: Config> =
        StorageMap<_, Twox64Concat, JobId, CommitteeOf<T>, OptionQuery>;

    /// Auditors who vouched for a result that was proved wrong, until somebody reports them.
    #[pallet::storage]
    pub type Accused<T: Config> = StorageDoubleMap<
        _,
        Twox64Concat,
        JobId,
        Blake2_128Concat,
        T::AccountId,
        Accusation,
        OptionQuery,
    >;

    /// Who has ever claimed.
    #[pallet::storage]
    pub type Workers<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, Record, ValueQuery>;

    /// Accounts that attest for validators, so that the keys of their stake can stay elsewhere.
    #[pallet::storage]
    pub type Agents<T: Config> =
        StorageMap<_, Blake2_128Concat, T::AccountId, T::AccountId, OptionQuery>;

    /// What the last settled jobs paid whose posters pay themselves, and whose results others than the poster could look at.
    #[pallet::storage]
    pub type GoingRate<T> = StorageValue<_, Going, ValueQuery>;

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
        /// When the terms are out of bounds: such a chain must not start.
        fn build(&self) {
            if let Err(error) = self.terms.check() {
                panic!("jobs in the chain spec: {}", error.as_str());
            }
            CurrentTerms::<T>::put(self.terms);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Somebody wants products.
        Posted {
            /// The job.
            job: JobId,
            /// Who.
            poster: T::AccountId,
            /// What is paid.
            fee: u128,
            /// Multiply-accumulates.
            macs: u64,
            /// The last block in which it can be claimed.
            deadline: u32,
        },
        /// The poster pays more.
        Raised {
            /// The job.
            job: JobId,
            /// What is paid now.
            fee: u128,
        },
        /// Somebody works on a job.
        Claimed {
            /// The job.
            job: JobId,
            /// Who.
            worker: T::AccountId,
            /// What is at stake.
            bond: u128,
            /// The last block in which a result can come.
            until: u32,
        },
        /// A result is there, and its window begins.
        Submitted {
            /// The job.
            job: JobId,
            /// Commitments to the results.
            roots: Hashes,
            /// When auditors speak, and until when it can be challenged.
            window: Window,
        },
        /// An auditor has spoken.
        Attested {
            /// The job.
            job: JobId,
            /// Who.
            auditor: T::AccountId,
            /// What it said.
            attestation: Attestation,
        },
        /// An auditor opened what it had attested.
        Revealed {
            /// The job.
            job: JobId,
            /// Who.
            auditor: T::AccountId,
            /// What its vectors are drawn from.
            secret: Hash,
            /// For each product the commitment to C·r (`labora_pouw::freivalds::commitment`).
            answers: Hashes,
        },
        /// Too few auditors said anything in time: others are drawn.
        DrawnAnew {
            /// The job.
            job: JobId,
            /// The new window.
            window: Window,
        },
        /// A wrong entry was proved.
        FraudProved {
            /// The job.
            job: JobId,
            /// Of which product.
            product: u32,
            /// Row of C.
            row: u32,
            /// Column of C.
            column: u32,
            /// What the worker committed to.
            committed: i32,
            /// What A·B has there.
            exact: i32,
            /// Who proved it.
            challenger: T::AccountId,
            /// What it gets of the bond.
            reward: u128,
            /// What is burned of it.
            burned: u128,
        },
        /// An auditor that vouched for a wrong result was reported.
        AuditorReported {
            /// The job.
            job: JobId,
            /// Who.
            auditor: T::AccountId,
        },
        /// A claim ended without a settlement.
        Failed {
            /// The job.
            job: JobId,
            /// Whose claim.
            worker: T::AccountId,
            /// Why.
            failure: Failure,
            /// What it lost of its bond.
            lost: u128,
        },
        /// A result was paid.
        Settled {
            /// The job.
            job: JobId,
            /// Whose result.
            worker: T::AccountId,
            /// Who got what.
            paid: Paid,
        },
        /// Whoever pays for a job has its money back, and the job is gone.
        Refunded {
            /// The job.
            job: JobId,
            /// Why.
            refund: Refund,
        },
        /// A settled job is no longer in the state.
        Forgotten {
            /// The job.
            job: JobId,
        },
        /// Somebody else attests for a validator, or nobody does any more.
        AgentSet {
            /// The validator.
            auditor: T::AccountId,
            /// Who attests.
            agent: Option<T::AccountId>,
        },
        /// Other terms hold from now on; claims and windows that have begun keep theirs.
        TermsChanged {
            /// The terms.
            terms: Terms,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// There is no such job, or it is forgotten.
        NoSuchJob,
        /// Only the poster can do this.
        NotThePoster,
        /// Only the worker that claimed the job can do this.
        NotTheWorker,
        /// Only a validator that was drawn for this result, or its agent, can do this.
        NotAnAuditor,
        /// The account is no validator of this session.
        NotAValidator,
        /// The job does not stand where this can be done.
        WrongStage,
        /// Nothing is due yet.
        NotDue,
        /// The time for this has not come.
        TooEarly,
        /// The time for this is over.
        TooLate,
        /// A job has 1 to 64 products with m and n multiples of 16 in 32..=2^20, and k a multiple of 64 in 256..=16384.
        NoShape,
        /// The fee is under the least one.
        FeeTooLow,
        /// A job stays open for at least a block, and not longer than the terms allow.
        OpenBlocks,
        /// A result has one commitment for each product.
        NumberOfResults,
        /// The account has as many open claims as its settled jobs allow.
        TooManyClaims,
        /// The amount, or the number of jobs, exceeds what there is.
        TooMuch,
        /// The auditor has said that the result holds, and cannot say otherwise.
        AlreadyAttested,
        /// The auditor has attested nothing that it could open.
        NothingSealed,
        /// This is not what the auditor attested.
        WrongOpening,
        /// There is no such product in the job.
        NoSuchProduct,
        /// The proof does not belong to this product's matrices and result.
        ProofDoesNotOpen,
        /// The entry is right.
        NoFault,
        /// The auditor vouched for no result of this job that was proved wrong, or was reported before.
        NotAccused,
        /// The shares of worker and auditors exceed the whole.
        SharesExceedWhole,
        /// A figure of the terms is zero that must not be, or too high.
        TermsOutOfBounds,
        /// Somebody else pays for the job: its fee is what was granted, and its poster cannot raise it.
        Sponsored,
        /// Somebody else pays for the job, so auditors have to have confirmed the result first.
        NotAudited,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), TryRuntimeError> {
            Self::do_try_state()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Posts a job that can be claimed for `open_blocks` blocks. Its fee and a deposit are held.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::post(batch.left.len() as u32))]
        pub fn post(
            origin: OriginFor<T>,
            batch: Batch,
            fee: u128,
            open_blocks: u32,
        ) -> DispatchResult {
            let poster = ensure_signed(origin)?;
            let order = Order {
                batch,
                fee,
                open_blocks,
            };
            Self::do_post(poster, None, order).map(drop)
        }

        /// Adds to the fee of an open job that one pays for oneself.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::raise())]
        pub fn raise(origin: OriginFor<T>, job: JobId, by: u128) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let mut it = Self::own(job, &who)?;
            ensure!(it.payer.is_none(), Error::<T>::Sponsored);
            ensure!(it.stage == Stage::Open, Error::<T>::WrongStage);
            it.fee = it.fee.checked_add(by).ok_or(Error::<T>::TooMuch)?;
            Self::hold(HoldReason::Escrow, &who, by)?;
            let fee = it.fee;
            Jobs::<T>::insert(job, it);
            Self::deposit_event(Event::Raised { job, fee });
            Ok(())
        }

        /// Takes back an open job of one's own: fee and deposit come back whole.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::cancel().saturating_add(T::Sponsor::weight()))]
        pub fn cancel(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let it = Self::own(job, &ensure_signed(origin)?)?;
            Self::take_back(job, it)
        }

        /// Claims an open job: a bond is held, and nobody else can work on it for a time that follows from its size.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::claim())]
        pub fn claim(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let worker = ensure_signed(origin)?;
            Self::do_claim(job, worker)
        }

        /// Commits to the results of a job that one has claimed, one for each product. All matrices must be there to be
        /// fetched until it is settled.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::submit(roots.len() as u32))]
        pub fn submit(origin: OriginFor<T>, job: JobId, roots: Hashes) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let mut it = Self::job(job)?;
            let Stage::Claimed(claimed) = it.stage else {
                return Err(Error::<T>::WrongStage.into());
            };
            ensure!(claimed.worker == who, Error::<T>::NotTheWorker);
            ensure!(Self::now() <= claimed.until, Error::<T>::TooLate);
            ensure!(
                roots.len() == it.batch.left.len(),
                Error::<T>::NumberOfResults
            );
            let window = Window::new(Self::now(), T::ChallengeWindow::get());
            it.stage = Stage::Submitted(Submitted {
                claimed,
                roots: roots.clone(),
                window,
                unheard: 0,
            });
            Jobs::<T>::insert(job, it);
            Self::deposit_event(Event::Submitted { job, roots, window });
            Ok(())
        }

        /// Takes a result as it is, before its window is over: it is paid at once. Where somebody else pays, auditors have to
        /// have confirmed it.
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::accept().saturating_add(T::Sponsor::weight()))]
        pub fn accept(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let it = Self::own(job, &ensure_signed(origin)?)?;
            let Stage::Submitted(submitted) = it.stage.clone() else {
                return Err(Error::<T>::WrongStage.into());
            };
            let committee = Committees::<T>::get(job);
            // With others' money a poster could pay itself, for nothing.
            let is_confirmed = committee.as_ref().is_some_and(Committee::confirms);
            ensure!(it.payer.is_none() || is_confirmed, Error::<T>::NotAudited);
            let auditors = committee.map_or_else(Vec::new, |committee| committee.confirmed_by());
            Self::settle(job, it, submitted, &auditors, is_confirmed)
        }

        /// Drops a settled job of one's own from the state: the deposit comes back.
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::forget().saturating_add(T::Sponsor::weight()))]
        pub fn forget(origin: OriginFor<T>, job: JobId) -> DispatchResult {
            let it = Self::own(job, &ensure_signed(origin)?)?;
            ensure!(
                matches!(it.stage, Stage::Settled { .. }),
                Error::<T>::WrongStage
            );
            Self::do_forget(job, &it)
        }

        /// Says what `auditor`, which is the sender or has made it its agent, found of a result. Costs no fee.
        ///
        /// Who could not fetch the data can still say later, in time, that the result holds.
        #[pallet::call_index(7)]
        #[pallet::weight(T::WeightInfo::attest_first().max(T::WeightInfo::attest_last()).saturating_add(T::Sponsor::weight()))]
        pub fn attest(
            origin: OriginFor<T>,
            job: JobId,
            auditor: T::AccountId,
            attestation: Attestation,
        ) -> DispatchResultWithPostInfo {
            Self::ensure_agent(&ensure_signed(origin)?, &auditor)?;
            Self::do_attest(job, auditor, attestation)?;
            Ok(Pays::No.into())
        }

        /// Opens what an auditor attested: `secret`, and for each product the commitment to C·r. Costs no fee.
        #[pallet::call_index(8)]
        #[pallet::weight(T::WeightInfo::reveal(answers.len() as u32))]
        pub fn reveal(
            origin: OriginFor<T>,
            job: JobId,
            auditor: T::AccountId,
            secret: Hash,
            answers: Hashes,
        ) -> DispatchResultWithPostInfo {
            Self::ensure_agent(&ensure_signed(origin)?, &auditor)?;
            Self::do_reveal(job, auditor, secret, answers)?;
            Ok(Pays::No.into())
        }

        /// Proves that an entry of a submitted result is wrong. The worker loses its bond, half of it to the sender, and the
        /// job is open again. Costs no fee: a proof is long, and its fee can be more than half the bond. One that shows nothing
        /// costs it.
        #[pallet::call_index(9)]
        #[pallet::weight(T::WeightInfo::prove_fraud(proof.a.entries().len() as u32).saturating_add(T::Sponsor::weight()))]
        pub fn prove_fraud(
            origin: OriginFor<T>,
            job: JobId,
            product: u32,
            proof: Box<FraudProof>,
        ) -> DispatchResultWithPostInfo {
            let challenger = ensure_signed(origin)?;
            Self::do_prove_fraud(job, product, &proof, challenger)?;
            Ok(Pays::No.into())
        }

        /// Does what is due: a claim that ran out, a window that is over, a deadline that passed, a job settled long ago.
        /// Anyone may ask for it, and pays no fee if there was something to do.
        #[pallet::call_index(10)]
        #[pallet::weight(T::WeightInfo::poke().saturating_add(T::Sponsor::weight()))]
        pub fn poke(origin: OriginFor<T>, job: JobId) -> DispatchResultWithPostInfo {
            ensure_signed(origin)?;
            Self::do_poke(job)?;
            Ok(Pays::No.into())
        }

        /// Lets another account attest for the sender, a validator; nobody, if none is given.
        #[pallet::call_index(11)]
        #[pallet::weight(T::WeightInfo::set_agent())]
        pub fn set_agent(origin: OriginFor<T>, agent: Option<T::AccountId>) -> DispatchResult {
            let auditor = ensure_signed(origin)?;
            ensure!(
                agent.is_none() || T::Validators::get().contains(&auditor),
                Error::<T>::NotAValidator
            );
            Agents::<T>::set(&auditor, agent.clone());
            Self::deposit_event(Event::AgentSet { auditor, agent });
            Ok(())
        }

        /// Sets the figures of the market. Root only.
        #[pallet::call_index(12)]
        #[pallet::weight(T::WeightInfo::set_terms())]
        pub fn set_terms(origin: OriginFor<T>, terms: Terms) -> DispatchResult {
            ensure_root(origin)?;
            terms.check().map_err(Error::<T>::from)?;
            CurrentTerms::<T>::put(terms);
            Self::deposit_event(Event::TermsChanged { terms });
            Ok(())
        }

        /// Reports an auditor that vouched for a result of this job that was proved wrong: it loses stake, of which whoever
        /// reports it gets what staking gives for that. Costs no fee.
        #[pallet::call_index(13)]
        #[pallet::weight(T::WeightInfo::report_auditor().saturating_add(T::FalseAttestations::weight()))]
        pub fn report_auditor(
            origin: OriginFor<T>,
            job: JobId,
            auditor: T::AccountId,
        ) -> DispatchResultWithPostInfo {
            let reporter = ensure_signed(origin)?;
            Self::do_report_auditor(job, auditor, reporter)?;
            Ok(Pays::No.into())
        }
    }
}

impl<T> From<TermsError> for Error<T> {
    fn from(error: TermsError) -> Self {
        match error {
            TermsError::Shares => Self::SharesExceedWhole,
            TermsError::OutOfBounds => Self::TermsOutOfBounds,
        }
    }
}

impl<T> From<FraudError> for Error<T> {
    fn from(error: FraudError) -> Self {
        match error {
            FraudError::NoFault(_) => Self::NoFault,
            FraudError::Tile { .. }
            | FraudError::StripLength { .. }
            | FraudError::OpeningA
            | FraudError::OpeningB
            | FraudError::OpeningC => Self::ProofDoesNotOpen,
        }
    }
}
