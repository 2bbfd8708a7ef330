//! A runtime of balances and rewards, in which the author is a setting.

use frame_support::{
    PalletId, derive_impl, parameter_types,
    traits::{ConstU32, Hooks},
};
use sp_core::crypto::AccountId32;
use sp_runtime::{BuildStorage, Perbill, traits::IdentityLookup};

use crate::{self as pallet_rewards, Dust};

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;

    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;

    #[runtime::pallet_index(2)]
    pub type Rewards = pallet_rewards;
}

pub type Block = frame_system::mocking::MockBlockU32<Test>;

pub const EXISTENTIAL_DEPOSIT: u128 = 100;
pub const INITIAL_SUBSIDY: u128 = 1_000_003;
pub const HALF_LIFE_BLOCKS: u32 = 50;
pub const TAIL_SUBSIDY: u128 = 1_000;
pub const RICH: AccountId32 = AccountId32::new([1; 32]);
pub const AUTHOR: AccountId32 = AccountId32::new([7; 32]);
pub const GENESIS_ISSUANCE: u128 = 1_000_000;

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type Lookup = IdentityLookup<AccountId32>;
    type Block = Block;
    type AccountData = pallet_balances::AccountData<u128>;
}

parameter_types! {
    pub const ExistentialDeposit: u128 = EXISTENTIAL_DEPOSIT;
    pub const Staking: PalletId = PalletId(*b"tst/stak");
    pub const Research: PalletId = PalletId(*b"tst/rsch");
    pub static BlockAuthor: Option<AccountId32> = Some(AUTHOR);
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = u128;
    type ExistentialDeposit = ExistentialDeposit;
    type AccountStore = System;
    type DustRemoval = Dust<Test>;
    type MaxLocks = ConstU32<4>;
}

impl pallet_rewards::Config for Test {
    type Currency = Balances;
    type BlockAuthor = BlockAuthor;
    type StakingPalletId = Staking;
    type ResearchPalletId = Research;
    type WeightInfo = ();
}

pub fn rewards_genesis() -> RewardsConfig {
    RewardsConfig {
        initial_subsidy: INITIAL_SUBSIDY,
        half_life_blocks: HALF_LIFE_BLOCKS,
        tail_subsidy: TAIL_SUBSIDY,
        author_share: Perbill::from_percent(75),
        staking_share: Perbill::from_percent(15),
        ..Default::default()
    }
}

/// Genesis with one rich account.
pub fn new_test_ext() -> sp_io::TestExternalities {
    let genesis = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: vec![(RICH, GENESIS_ISSUANCE)],
            ..Default::default()
        },
        rewards: rewards_genesis(),
        ..Default::default()
    };
    BlockAuthor::set(Some(AUTHOR));
    genesis.build_storage().expect("a valid genesis").into()
}

/// Begins `blocks` more blocks, each checked when it begins.
pub fn run(blocks: u32) {
    for _ in 0..blocks {
        let block = System::block_number() + 1;
        System::set_block_number(block);
        Rewards::on_initialize(block);
        Rewards::do_try_state().expect("the accounts add up");
    }
}
