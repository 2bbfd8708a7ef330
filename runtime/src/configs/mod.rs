//! Each pallet's configuration, in the order of their indices; those of stake and finality in [`staking`], that of jobs in
//! [`market`], that of the research fund in [`grants`].

pub mod grants;
pub mod market;
pub mod staking;

use frame_support::{
    PalletId, derive_impl, parameter_types,
    traits::{ConstU8, ConstU32, ConstU64, Contains, Get, VariantCountOf},
    weights::{
        Weight, WeightToFeeCoefficient, WeightToFeeCoefficients, WeightToFeePolynomial,
        constants::{ExtrinsicBaseWeight, RocksDbWeight, WEIGHT_REF_TIME_PER_SECOND},
    },
};
use frame_system::limits::{BlockLength, BlockWeights};
use pallet_transaction_payment::{FungibleAdapter, Multiplier, TargetedFeeAdjustment};
use sp_runtime::{FixedPointNumber, Perbill, Perquintill, traits::Bounded};
use sp_version::RuntimeVersion;

use crate::{
    AccountId, Authorship, Balance, Balances, Block, BlockNumber, Hash, MICRO_LAB, MILLI_LAB,
    Nonce, OriginCaller, PalletInfo, Runtime, RuntimeCall, RuntimeEvent, RuntimeFreezeReason,
    RuntimeHoldReason, RuntimeOrigin, RuntimeTask, System, VERSION, Work,
};

/// Share of a block that ordinary transactions may fill; the rest is for operational ones.
const NORMAL_SHARE: Perbill = Perbill::from_percent(75);

/// Computing that a block may ask for: 2 s of the 12 s between blocks on a public chain, so that even a node at a sixth
/// of the reference speed keeps up. No proof of the state is sent, so its size is not bounded.
const MAX_BLOCK_WEIGHT: Weight = Weight::from_parts(2 * WEIGHT_REF_TIME_PER_SECOND, u64::MAX);

/// Encoded length of a block's transactions: at 12 s a block half a second of a 100 Mbit/s line.
const MAX_BLOCK_LENGTH: u32 = 5 * 1024 * 1024;

parameter_types! {
    /// Blocks whose hashes the state knows, and for which a mortal transaction can be valid: 13 h at 12 s.
    pub const BlockHashCount: BlockNumber = 4_096;
    /// What [`VERSION`] says.
    pub const Version: RuntimeVersion = VERSION;
    /// Computing per class of transaction.
    pub RuntimeBlockWeights: BlockWeights =
        BlockWeights::with_sensible_defaults(MAX_BLOCK_WEIGHT, NORMAL_SHARE);
    /// Length per class of transaction.
    pub RuntimeBlockLength: BlockLength = BlockLength::builder()
        .max_length(MAX_BLOCK_LENGTH)
        .modify_max_length_for_class(frame_support::dispatch::DispatchClass::Normal, |length| {
            *length = NORMAL_SHARE * MAX_BLOCK_LENGTH;
        })
        .build();
    /// Prefix of addresses: the generic one of Substrate chains, which every wallet shows.
    pub const Ss58Prefix: u16 = 42;
}

/// Calls that anyone may make: all but those that change the issuance behind the back of the rewards' accounts.
///
/// A root origin passes by this, so a sudo key on a test chain can still break them, and `try_state` then says so.
pub struct KeepsIssuance;

impl Contains<RuntimeCall> for KeepsIssuance {
    fn contains(call: &RuntimeCall) -> bool {
        !matches!(
            call,
            RuntimeCall::Balances(
                pallet_balances::Call::burn { .. }
                    | pallet_balances::Call::force_set_balance { .. }
                    | pallet_balances::Call::force_adjust_total_issuance { .. }
            )
        )
    }
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type BaseCallFilter = KeepsIssuance;
    type Block = Block;
    type BlockWeights = RuntimeBlockWeights;
    type BlockLength = RuntimeBlockLength;
    type AccountId = AccountId;
    type Nonce = Nonce;
    type Hash = Hash;
    type BlockHashCount = BlockHashCount;
    type DbWeight = RocksDbWeight;
    type Version = Version;
    type AccountData = pallet_balances::AccountData<Balance>;
    type SystemWeightInfo = frame_system::weights::SubstrateWeight<Runtime>;
    type ExtensionsWeightInfo = frame_system::SubstrateExtensionsWeight<Runtime>;
    type SS58Prefix = Ss58Prefix;
    type MaxConsumers = ConstU32<16>;
    type SingleBlockMigrations = crate::migrations::Migrations;
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    // Holds the time to the one in the header.
    type OnTimestampSet = Work;
    // Strictly after the parent: how fast blocks come is the difficulty's concern.
    type MinimumPeriod = ConstU64<1>;
    type WeightInfo = pallet_timestamp::weights::SubstrateWeight<Runtime>;
}

impl pallet_work::Config for Runtime {
    // A week of 12 s blocks: 15 MB of seals.
    type SealHistory = ConstU32<50_400>;
    type WeightInfo = crate::weights::pallet_work::WeightInfo<Runtime>;
}

impl pallet_authorship::Config for Runtime {
    type FindAuthor = Work;
    type EventHandler = ();
}

parameter_types! {
    /// Least that an account holds: its entry in every node's state is worth a thousandth of a LAB.
    pub const ExistentialDeposit: Balance = MILLI_LAB;
}

impl pallet_balances::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
    type Balance = Balance;
    type DustRemoval = pallet_rewards::Dust<Runtime>;
    type ExistentialDeposit = ExistentialDeposit;
    type AccountStore = System;
    type ReserveIdentifier = [u8; 8];
    type FreezeIdentifier = RuntimeFreezeReason;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ConstU32<50>;
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
    type DoneSlashHandler = ();
}

/// Fee for computing: a tenth of a thousandth of a LAB for what an empty transaction costs, and in proportion.
pub struct WeightToFee;

impl WeightToFeePolynomial for WeightToFee {
    type Balance = Balance;

    fn polynomial() -> WeightToFeeCoefficients<Balance> {
        let base = Balance::from(ExtrinsicBaseWeight::get().ref_time());
        let fee = MILLI_LAB / 10;
        [WeightToFeeCoefficient {
            degree: 1,
            negative: false,
            coeff_integer: fee / base,
            coeff_frac: Perbill::from_rational(fee % base, base),
        }]
        .into_iter()
        .collect()
    }
}

/// Fee for length: a millionth of a LAB a byte, so that 5 MB cost about half of what a block pays.
pub struct LengthToFee;

impl WeightToFeePolynomial for LengthToFee {
    type Balance = Balance;

    fn polynomial() -> WeightToFeeCoefficients<Balance> {
        [WeightToFeeCoefficient {
            degree: 1,
            negative: false,
            coeff_integer: MICRO_LAB,
            coeff_frac: Perbill::zero(),
        }]
        .into_iter()
        .collect()
    }
}

parameter_types! {
    /// Above a quarter full, fees rise; below, they fall.
    pub const TargetBlockFullness: Perquintill = Perquintill::from_percent(25);
    /// How fast: by a factor of e in about a day of full 12 s blocks (0.75 · v · 7,200 blocks = 1, v being 0.00019).
    pub AdjustmentVariable: Multiplier = Multiplier::saturating_from_rational(19, 100_000);
    /// Fees never fall under a tenth.
    pub MinimumMultiplier: Multiplier = Multiplier::saturating_from_rational(1, 10);
    /// Nor is there a highest.
    pub MaximumMultiplier: Multiplier = Bounded::max_value();
}

impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type OnChargeTransaction = FungibleAdapter<Balances, pallet_rewards::FeesAndTips<Runtime>>;
    type WeightToFee = WeightToFee;
    type LengthToFee = LengthToFee;
    type FeeMultiplierUpdate = TargetedFeeAdjustment<
        Self,
        TargetBlockFullness,
        AdjustmentVariable,
        MinimumMultiplier,
        MaximumMultiplier,
    >;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
}

/// Author of the block being executed.
pub struct BlockAuthor;

impl Get<Option<AccountId>> for BlockAuthor {
    fn get() -> Option<AccountId> {
        Authorship::author()
    }
}

parameter_types! {
    /// The account of what validators and nominators will be paid from.
    pub const StakingPalletId: PalletId = PalletId(*b"lab/stak");
    /// The account of the research fund.
    pub const ResearchPalletId: PalletId = PalletId(*b"lab/rsch");
}

impl pallet_rewards::Config for Runtime {
    type Currency = Balances;
    type BlockAuthor = BlockAuthor;
    type StakingPalletId = StakingPalletId;
    type ResearchPalletId = ResearchPalletId;
    type WeightInfo = crate::weights::pallet_rewards::WeightInfo<Runtime>;
}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = OriginCaller;
    type WeightInfo = pallet_utility::weights::SubstrateWeight<Runtime>;
}

impl pallet_sudo::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type WeightInfo = pallet_sudo::weights::SubstrateWeight<Runtime>;
}
