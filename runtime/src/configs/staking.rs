//! Stake: who validates, who backs them, what they are paid, and what misbehaviour costs.

use alloc::vec::Vec;
use core::marker::PhantomData;

use frame_election_provider_support::{
    SequentialPhragmen,
    bounds::{ElectionBounds, ElectionBoundsBuilder},
    onchain,
};
use frame_support::{
    PalletId, parameter_types,
    traits::{ConstU8, ConstU32, Nothing, RewardsReporter},
};
use frame_system::EnsureRoot;
use pallet_nomination_pools::adapter::DelegateStake;
use pallet_session::{
    PeriodicSessions, SessionManager, disabling::UpToLimitWithReEnablingDisablingStrategy,
};
use pallet_staking::{FixedNominationsQuota, UseValidatorsMap};
use sp_core::U256;
use sp_runtime::{
    FixedU128, Perbill, SaturatedConversion,
    traits::{Convert, OpaqueKeys},
};
use sp_staking::{SessionIndex, currency_to_vote::U128CurrencyToVote};

use crate::{
    AccountId, Balance, Balances, DelegatedStaking, Historical, LAB, NominationPools, Offences,
    Runtime, RuntimeCall, RuntimeEvent, RuntimeFreezeReason, RuntimeHoldReason, Session, Staking,
    System, Timestamp, UncheckedExtrinsic, VoterList, opaque::SessionKeys,
};

/// Most validators that can be elected. The digest of a change of all of them has 4 KB, half of what a header may have.
pub(super) const MAX_VALIDATORS: u32 = 100;

/// Nominators that one election counts, those of most stake first. Sequential Phragmén over them and all validators takes
/// a few tenths of a second of a block, once an era.
pub(super) const MAX_ELECTING_VOTERS: u32 = 2_000;

/// Candidates that one election counts.
const MAX_ELECTABLE_TARGETS: u32 = 500;

/// Most validators that one nominator can back.
const MAX_NOMINATIONS: u32 = 16;

parameter_types! {
    /// The account of era rewards that are promised and not yet paid.
    pub const PromisedPalletId: PalletId = PalletId(*b"lab/eras");
    /// The account that the staking share of each block's subsidy flows into.
    pub StakingPurse: AccountId = pallet_rewards::Pallet::<Runtime>::staking_account();
}

impl pallet_eras::Config for Runtime {
    type Currency = Balances;
    type Purse = StakingPurse;
    type PromisedId = PromisedPalletId;
}

parameter_types! {
    /// Bounds of an election that is made within a block.
    pub ElectionLimits: ElectionBounds = ElectionBoundsBuilder::default()
        .voters_count(MAX_ELECTING_VOTERS.into())
        .targets_count(MAX_ELECTABLE_TARGETS.into())
        .build();
}

/// Elects validators by sequential Phragmén, within a block.
pub struct OnChainPhragmen;

impl onchain::Config for OnChainPhragmen {
    type Sort = frame_support::traits::ConstBool<true>;
    type System = Runtime;
    type Solver = SequentialPhragmen<AccountId, Perbill>;
    type DataProvider = Staking;
    type WeightInfo = frame_election_provider_support::weights::SubstrateWeight<Runtime>;
    type MaxWinnersPerPage = ConstU32<MAX_VALIDATORS>;
    type MaxBackersPerWinner = ConstU32<MAX_ELECTING_VOTERS>;
    type Bounds = ElectionLimits;
}

/// Bags by stake: each holds up to twice as much as the one below, from a LAB on.
pub const BAG_THRESHOLDS: [u64; 25] = bag_thresholds();

const fn bag_thresholds() -> [u64; 25] {
    let mut thresholds = [u64::MAX; 25];
    let mut bag = 0;
    while bag < 24 {
        // 2^40 of the smallest unit is 1.1 LAB.
        thresholds[bag] = 1 << (40 + bag);
        bag += 1;
    }
    thresholds
}

parameter_types! {
    /// See [`BAG_THRESHOLDS`].
    pub const BagThresholds: &'static [u64] = &BAG_THRESHOLDS;
}

impl pallet_bags_list::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type ScoreProvider = Staking;
    type WeightInfo = pallet_bags_list::weights::SubstrateWeight<Runtime>;
    type BagThresholds = BagThresholds;
    type Score = frame_election_provider_support::VoteWeight;
    type MaxAutoRebagPerBlock = ConstU32<0>;
}

/// Sizes for the SDK's benchmarks.
pub struct StakingBenchmarks;

impl pallet_staking::BenchmarkingConfig for StakingBenchmarks {
    type MaxNominators = ConstU32<1_000>;
    type MaxValidators = ConstU32<100>;
}

impl pallet_staking::Config for Runtime {
    type OldCurrency = Balances;
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type CurrencyBalance = Balance;
    type UnixTime = Timestamp;
    type CurrencyToVote = U128CurrencyToVote;
    type ElectionProvider = onchain::OnChainExecution<OnChainPhragmen>;
    type GenesisElectionProvider = onchain::OnChainExecution<OnChainPhragmen>;
    type NominationsQuota = FixedNominationsQuota<MAX_NOMINATIONS>;
    // Rewards can be claimed for 84 eras, six weeks on a public chain; and what was at stake is known for as long as it can be slashed.
    type HistoryDepth = ConstU32<{ pallet_eras::MAX_UNBONDING_ERAS }>;
    type RewardRemainder = pallet_eras::Return<Runtime>;
    type RuntimeEvent = RuntimeEvent;
    // What is slashed is burned, and counted.
    type Slash = pallet_rewards::Dust<Runtime>;
    type Reward = pallet_eras::Settle<Runtime>;
    type SessionsPerEra = pallet_eras::SessionsPerEra<Runtime>;
    type BondingDuration = pallet_eras::BondingDuration<Runtime>;
    type SlashDeferDuration = pallet_eras::SlashDeferDuration<Runtime>;
    type AdminOrigin = EnsureRoot<AccountId>;
    type SessionInterface = Self;
    type EraPayout = pallet_eras::Payout<Runtime>;
    type NextNewSession = Session;
    type MaxExposurePageSize = ConstU32<64>;
    type MaxValidatorSet = ConstU32<MAX_VALIDATORS>;
    type VoterList = VoterList;
    type TargetList = UseValidatorsMap<Self>;
    type MaxUnlockingChunks = ConstU32<32>;
    type MaxControllersInDeprecationBatch = ConstU32<1_000>;
    type EventListeners = (NominationPools, DelegatedStaking);
    // Who is in a pool does not stake beside it.
    type Filter = pallet_nomination_pools::AllPoolMembers<Runtime>;
    type BenchmarkingConfig = StakingBenchmarks;
    type WeightInfo = pallet_staking::weights::SubstrateWeight<Runtime>;
}

parameter_types! {
    /// Holds what members of pools have delegated.
    pub const DelegatedStakingPalletId: PalletId = PalletId(*b"lab/dlgt");
    /// Share of a pool's slash for who reports that it is pending.
    pub const SlashRewardFraction: Perbill = Perbill::from_percent(1);
}

impl pallet_delegated_staking::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type PalletId = DelegatedStakingPalletId;
    type Currency = Balances;
    type OnSlash = pallet_rewards::Dust<Runtime>;
    type SlashRewardFraction = SlashRewardFraction;
    type RuntimeHoldReason = RuntimeHoldReason;
    type CoreStaking = Staking;
}

/// Between balances and the wide integers that pools compute with.
pub struct Widen;

impl Convert<Balance, U256> for Widen {
    fn convert(balance: Balance) -> U256 {
        U256::from(balance)
    }
}

impl Convert<U256, Balance> for Widen {
    fn convert(wide: U256) -> Balance {
        wide.saturated_into()
    }
}

parameter_types! {
    /// The accounts of pools.
    pub const PoolsPalletId: PalletId = PalletId(*b"lab/pool");
}

impl pallet_nomination_pools::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = pallet_nomination_pools::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    type RewardCounter = FixedU128;
    type PalletId = PoolsPalletId;
    type MaxPointsToBalance = ConstU8<10>;
    type MaxUnbonding = ConstU32<8>;
    type BalanceToU256 = Widen;
    type U256ToBalance = Widen;
    type StakeAdapter = DelegateStake<Self, Staking, DelegatedStaking>;
    // More than the eras of any terms, so that a slash still finds whom it concerns.
    type MaxUnbondingPools = ConstU32<{ pallet_eras::MAX_UNBONDING_ERAS + 8 }>;
    type MaxMetadataLen = ConstU32<256>;
    type AdminOrigin = EnsureRoot<AccountId>;
    type BlockNumberProvider = System;
    type Filter = Nothing;
}

impl pallet_offences::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type IdentificationTuple = pallet_session::historical::IdentificationTuple<Self>;
    type OnOffenceHandler = Staking;
}

/// Sessions end at multiples of their length.
pub type Sessions =
    PeriodicSessions<pallet_eras::SessionLength<Runtime>, frame_support::traits::ConstU32<0>>;

/// What a validator gets for a session in which it was not disabled, in the points by which an era's reward is divided.
/// Blocks have other authors, and the chain does not see votes, so all of them get the same.
const POINTS_PER_SESSION: u32 = 1_000;

/// Gives each validator its points when a session ends, then does what `Inner` does.
pub struct PaysPerSession<Inner>(PhantomData<Inner>);

impl<Inner: SessionManager<AccountId>> SessionManager<AccountId> for PaysPerSession<Inner> {
    fn new_session(index: SessionIndex) -> Option<Vec<AccountId>> {
        Inner::new_session(index)
    }

    fn new_session_genesis(index: SessionIndex) -> Option<Vec<AccountId>> {
        Inner::new_session_genesis(index)
    }

    fn start_session(index: SessionIndex) {
        Inner::start_session(index);
    }

    fn end_session(index: SessionIndex) {
        let disabled = Session::disabled_validators();
        let paid = Session::validators()
            .into_iter()
            .zip(0u32..)
            .filter(|(_, seat)| !disabled.contains(seat))
            .map(|(validator, _)| (validator, POINTS_PER_SESSION));
        // Before the era may end, whose points they are.
        <Staking as RewardsReporter<AccountId>>::reward_by_ids(paid);
        Inner::end_session(index);
    }
}

parameter_types! {
    /// Held from who sets session keys, until they are purged: their record in the state.
    pub const KeyDeposit: Balance = LAB / 100;
}

impl pallet_session::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type ValidatorId = AccountId;
    type ValidatorIdOf = sp_runtime::traits::ConvertInto;
    type ShouldEndSession = Sessions;
    type NextSessionRotation = Sessions;
    type SessionManager =
        PaysPerSession<pallet_session::historical::NoteHistoricalRoot<Self, Staking>>;
    type SessionHandler = <SessionKeys as OpaqueKeys>::KeyTypeIdProviders;
    type Keys = SessionKeys;
    type DisablingStrategy = UpToLimitWithReEnablingDisablingStrategy;
    type WeightInfo = pallet_session::weights::SubstrateWeight<Runtime>;
    type Currency = Balances;
    type KeyDeposit = KeyDeposit;
}

impl pallet_session::historical::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type FullIdentification = ();
    type FullIdentificationOf = pallet_staking::UnitIdentificationOf<Self>;
}

/// How long a vote can be reported: while the voter's bond is locked, in blocks.
pub struct ReportLongevity;

impl frame_support::traits::Get<u64> for ReportLongevity {
    fn get() -> u64 {
        pallet_eras::CurrentTerms::<Runtime>::get().unbonding_blocks()
    }
}

/// Sessions whose sets of authorities are remembered: as long as a vote can be reported.
pub struct RememberedSessions;

impl frame_support::traits::Get<u64> for RememberedSessions {
    fn get() -> u64 {
        let terms = pallet_eras::CurrentTerms::<Runtime>::get();
        u64::from(terms.unbonding_eras) * u64::from(terms.sessions_per_era)
    }
}

impl pallet_grandpa::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type WeightInfo = ();
    type MaxAuthorities = ConstU32<MAX_VALIDATORS>;
    type MaxNominators = ConstU32<MAX_ELECTING_VOTERS>;
    type MaxSetIdSessionEntries = RememberedSessions;
    type KeyOwnerProof = sp_session::MembershipProof;
    type EquivocationReportSystem =
        pallet_grandpa::EquivocationReportSystem<Self, Offences, Historical, ReportLongevity>;
}

impl<Call> frame_system::offchain::CreateTransactionBase<Call> for Runtime
where
    RuntimeCall: From<Call>,
{
    type Extrinsic = UncheckedExtrinsic;
    type RuntimeCall = RuntimeCall;
}

impl<Call> frame_system::offchain::CreateBare<Call> for Runtime
where
    RuntimeCall: From<Call>,
{
    fn create_bare(call: RuntimeCall) -> UncheckedExtrinsic {
        UncheckedExtrinsic::new_bare(call)
    }
}
