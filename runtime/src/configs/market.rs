//! The market of jobs: who audits, what a false word costs, what room in the state costs.

use alloc::{vec, vec::Vec};

use frame_support::{parameter_types, traits::Get, weights::Weight};
use pallet_jobs::{Accusation, FalseAttestations, JobId, Seals};
use pallet_session::historical::IdentificationTuple;
use sp_runtime::Perbill;
use sp_staking::{
    SessionIndex,
    offence::{Kind, Offence, ReportOffence},
};

use super::staking::{MAX_ELECTING_VOTERS, MAX_VALIDATORS};
use crate::{
    AccountId, Balance, Balances, Grants, Hash, MILLI_LAB, Offences, Runtime, RuntimeHoldReason,
    Session, Work,
};

/// What an auditor loses of its stake, and of its nominators', that vouched for a wrong result.
const FALSE_ATTESTATION: Perbill = Perbill::from_percent(10);

parameter_types! {
    /// Held for a job's place in the state, some 300 bytes.
    pub const JobDeposit: Balance = 10 * MILLI_LAB;
    /// Held for each of its products, 68 bytes and the result's 32.
    pub const ProductDeposit: Balance = 2 * MILLI_LAB;
}

/// Seals as the chain remembers them.
pub struct MinedSeals;

impl Seals for MinedSeals {
    fn sealed(number: u32) -> Option<Hash> {
        Work::seal_of(number).map(|record| record.block)
    }
}

/// The validators of this session.
pub struct Validators;

impl Get<Vec<AccountId>> for Validators {
    fn get() -> Vec<AccountId> {
        Session::validators()
    }
}

/// This session.
pub struct CurrentSession;

impl Get<SessionIndex> for CurrentSession {
    fn get() -> SessionIndex {
        Session::current_index()
    }
}

/// Blocks for which a result can be challenged: bonds are locked for longer.
pub struct ChallengeWindow;

impl Get<u32> for ChallengeWindow {
    fn get() -> u32 {
        pallet_eras::CurrentTerms::<Runtime>::get().challenge_window_blocks
    }
}

/// An auditor vouched for a result that was proved wrong.
struct FalseAttestation {
    job: JobId,
    accusation: Accusation,
    validators: u32,
    offender: IdentificationTuple<Runtime>,
}

impl Offence<IdentificationTuple<Runtime>> for FalseAttestation {
    const ID: Kind = *b"jobs:falsewitnes";
    /// The job, and the block in which the result came.
    type Slot = (JobId, u32);

    fn offenders(&self) -> Vec<IdentificationTuple<Runtime>> {
        vec![self.offender.clone()]
    }

    fn session_index(&self) -> SessionIndex {
        self.accusation.session
    }

    fn validator_set_count(&self) -> u32 {
        self.validators
    }

    fn slot(&self) -> Self::Slot {
        (self.job, self.accusation.since)
    }

    fn slash_fraction(&self, _: u32) -> Perbill {
        // However many did: each has looked for itself.
        FALSE_ATTESTATION
    }
}

/// Slashes through offences, as double votes are.
pub struct Slashed;

impl FalseAttestations<AccountId> for Slashed {
    fn weight() -> Weight {
        // A double vote costs the same, and the check of its signatures.
        <() as pallet_grandpa::WeightInfo>::report_equivocation(MAX_VALIDATORS, MAX_ELECTING_VOTERS)
    }

    fn report(reporter: AccountId, job: JobId, accusation: Accusation, auditor: AccountId) {
        let offence = FalseAttestation {
            job,
            accusation,
            validators: u32::try_from(Session::validators().len()).unwrap_or(u32::MAX),
            offender: (auditor, ()),
        };
        // An error says that it is known: then it has been slashed.
        let _ = Offences::report_offence(vec![reporter], offence);
    }
}

impl pallet_jobs::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Burn = pallet_rewards::Dust<Runtime>;
    type Seals = MinedSeals;
    type Validators = Validators;
    type Session = CurrentSession;
    type FalseAttestations = Slashed;
    type Sponsor = Grants;
    type ChallengeWindow = ChallengeWindow;
    type DepositBase = JobDeposit;
    type DepositPerProduct = ProductDeposit;
    type WeightInfo = crate::weights::pallet_jobs::WeightInfo<Runtime>;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Prepared;
}

/// Validators and a seal, for benchmarks.
#[cfg(feature = "runtime-benchmarks")]
pub struct Prepared;

#[cfg(feature = "runtime-benchmarks")]
impl pallet_jobs::BenchmarkHelper<AccountId> for Prepared {
    fn prepare(validators: Vec<AccountId>, sealed: u32) {
        use labora_pouw::{Seal, Shape};
        pallet_session::Validators::<Runtime>::put(validators);
        let shape = Shape::new(4_096, 4_096, 4_096).expect("a valid shape");
        let record = labora_consensus_api::SealRecord {
            block: Hash::repeat_byte(7),
            seal: Seal::new(shape, [1; 32], [2; 32], 7, 9).expect("a tile of the shape"),
            difficulty: 1.into(),
        };
        pallet_work::Seals::<Runtime>::insert(sealed, record);
    }
}
