//! The research fund: who governs it, where its money is, and the era in which a quota can be used.

use frame_support::{PalletId, parameter_types, traits::Get};
use frame_system::EnsureRoot;
use pallet_staking::{ActiveEra, ErasStartSessionIndex};
use sp_core::U256;
use sp_staking::EraIndex;

use super::BlockAuthor;
use crate::{
    AccountId, Balance, Balances, MILLI_LAB, Rewards, Runtime, RuntimeHoldReason, Session, System,
    Work,
};

parameter_types! {
    /// The accounts of institutions.
    pub const GrantsPalletId: PalletId = PalletId(*b"lab/grnt");
    /// The account that the subsidy's share for research flows into.
    pub ResearchFund: AccountId = Rewards::research_account();
    /// Members of an institution: a large institute.
    pub const MaxMembers: u32 = 1_000;
    /// Accounts that mine for one; each may have as many machines as it likes.
    pub const MaxRigs: u32 = 1_000;
    /// Held of a rig that is offered, for its place in the state, some 120 bytes.
    pub const RigDeposit: Balance = 10 * MILLI_LAB;
}

/// The era that is rewarded now.
pub struct CurrentEra;

impl Get<EraIndex> for CurrentEra {
    fn get() -> EraIndex {
        ActiveEra::<Runtime>::get().map_or(0, |era| era.index)
    }
}

/// The last block of that era, if its sessions are as long as those of the terms in force: a session ends with the block before a
/// multiple of its length, and the era with the last of its sessions.
pub struct EraEnds;

impl Get<u32> for EraEnds {
    fn get() -> u32 {
        let terms = pallet_eras::CurrentTerms::<Runtime>::get();
        let length = terms.session_blocks.max(1);
        let now = System::block_number();
        let of_session = length - now % length;
        let since = ErasStartSessionIndex::<Runtime>::get(CurrentEra::get()).unwrap_or_default();
        let gone = Session::current_index()
            .saturating_sub(since)
            .saturating_add(1);
        // None more, if an election is late.
        let sessions = terms.sessions_per_era.saturating_sub(gone);
        now.saturating_add(of_session - 1)
            .saturating_add(sessions.saturating_mul(length))
    }
}

/// Difficulty of the block being executed.
pub struct OwnDifficulty;

impl Get<U256> for OwnDifficulty {
    fn get() -> U256 {
        // Of the child of what is executed: when a block begins, that is itself.
        Work::difficulty()
    }
}

impl pallet_grants::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type AdmitOrigin = EnsureRoot<AccountId>;
    type Fund = ResearchFund;
    type PalletId = GrantsPalletId;
    type Era = CurrentEra;
    type EraEnds = EraEnds;
    type BlockAuthor = BlockAuthor;
    type Difficulty = OwnDifficulty;
    type MaxMembers = MaxMembers;
    type MaxRigs = MaxRigs;
    type RigDeposit = RigDeposit;
    type WeightInfo = crate::weights::pallet_grants::WeightInfo<Runtime>;
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Authored;
}

/// An author, for benchmarks.
#[cfg(feature = "runtime-benchmarks")]
pub struct Authored;

#[cfg(feature = "runtime-benchmarks")]
impl pallet_grants::BenchmarkHelper<AccountId> for Authored {
    fn author() -> AccountId {
        let author = AccountId::new([7; 32]);
        let pre = labora_consensus_api::PreDigest {
            author: author.clone(),
            timestamp_ms: 1,
        };
        System::deposit_log(labora_consensus_api::pre_digest_item(&pre));
        author
    }
}
