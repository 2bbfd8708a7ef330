//! A runtime of balances and eras.

use frame_support::{
    PalletId, derive_impl, parameter_types,
    traits::fungible::{Balanced, Credit},
};
use sp_core::crypto::AccountId32;
use sp_runtime::{BuildStorage, traits::IdentityLookup};

use crate as pallet_eras;

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
    pub type Eras = pallet_eras;
}

pub type Block = frame_system::mocking::MockBlockU32<Test>;

pub const EXISTENTIAL_DEPOSIT: u128 = 100;
pub const PURSE: AccountId32 = AccountId32::new([1; 32]);
pub const VALIDATOR: AccountId32 = AccountId32::new([2; 32]);
/// What the purse and the validator have at genesis.
pub const IN_PURSE: u128 = 50_000;
pub const OF_VALIDATOR: u128 = 7_000;

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type Lookup = IdentityLookup<AccountId32>;
    type Block = Block;
    type AccountData = pallet_balances::AccountData<u128>;
}

parameter_types! {
    pub const ExistentialDeposit: u128 = EXISTENTIAL_DEPOSIT;
    pub const Promised: PalletId = PalletId(*b"tst/eras");
    pub const Purse: AccountId32 = PURSE;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = u128;
    type ExistentialDeposit = ExistentialDeposit;
    type AccountStore = System;
}

impl pallet_eras::Config for Test {
    type Currency = Balances;
    type Purse = Purse;
    type PromisedId = Promised;
}

/// Genesis with these terms.
pub fn with_terms(terms: pallet_eras::Terms) -> sp_io::TestExternalities {
    let genesis = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: vec![(PURSE, IN_PURSE), (VALIDATOR, OF_VALIDATOR)],
            ..Default::default()
        },
        eras: ErasConfig {
            terms,
            ..Default::default()
        },
        ..Default::default()
    };
    genesis.build_storage().expect("a valid genesis").into()
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    with_terms(Default::default())
}

/// A credit as staking makes one.
pub fn issue(amount: u128) -> Credit<AccountId32, Balances> {
    <Balances as Balanced<AccountId32>>::issue(amount)
}
