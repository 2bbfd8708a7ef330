//! A runtime of balances, jobs and grants, in which era, author, difficulty and who audits are settings.

use frame_support::{
    derive_impl, parameter_types,
    traits::{
        ConstU32, ConstU128, OnUnbalanced,
        fungible::{Credit, Inspect as _},
    },
};
use frame_system::EnsureRoot;
use labora_pouw::freivalds::sealed;
use pallet_jobs::{Accusation, Attestation, FalseAttestations, Hashes, Left, Seals};
use sp_core::{H256, crypto::AccountId32};
use sp_runtime::{BuildStorage, Perbill, traits::IdentityLookup};
use sp_staking::SessionIndex;

use crate::{self as pallet_grants, *};

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
    pub type Market = pallet_jobs;

    #[runtime::pallet_index(3)]
    pub type Grants = pallet_grants;
}

pub type Block = frame_system::mocking::MockBlockU32<Test>;
type CreditOf = Credit<AccountId32, Balances>;

pub const EXISTENTIAL_DEPOSIT: u128 = 10;
pub const DEPOSIT_BASE: u128 = 100;
pub const DEPOSIT_PER_PRODUCT: u128 = 7;
/// Of a job of one product.
pub const DEPOSIT: u128 = DEPOSIT_BASE + DEPOSIT_PER_PRODUCT;
pub const RIG_DEPOSIT: u128 = 50;
pub const RICH: u128 = 1_000_000;
/// What the fund begins with.
pub const FILLED: u128 = 500_000;
pub const QUOTA: u128 = 20_000;
pub const FEE: u128 = 5_000;
/// What the fund pays for the mock's job: 32·32·256 multiply-accumulates at [`MAX_RATE`].
pub const MOST: u128 = 10_000;
/// For 10^12 of them.
pub const MAX_RATE: u128 = MOST * 1_000_000_000_000 / MACS as u128;
pub const MACS: u64 = 32 * 32 * 256;
pub const LEAST_FEE: u128 = 1_000;
/// Blocks for which a settled job is kept.
pub const KEPT: u32 = 50;
/// Blocks for which a result is audited.
pub const WINDOW: u32 = 20;
/// Longest that a sponsored job stays open.
pub const LONGEST: u32 = 100;
pub const HELD_QUOTAS: u32 = 4;

pub const FUND: AccountId32 = account(9);
pub const ADMIN: AccountId32 = account(1);
pub const MEMBER: AccountId32 = account(2);
pub const OTHER: AccountId32 = account(3);
pub const WORKER: AccountId32 = account(4);
pub const RIG: AccountId32 = account(5);

/// All of them audit each result, as none is party to a job.
pub const AUDITORS: [AccountId32; 3] = [account(11), account(12), account(13)];

pub const fn account(number: u8) -> AccountId32 {
    AccountId32::new([number; 32])
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type AccountId = AccountId32;
    type Lookup = IdentityLookup<AccountId32>;
    type Block = Block;
    type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = u128;
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
    type RuntimeHoldReason = RuntimeHoldReason;
}

parameter_types! {
    pub const Fund: AccountId32 = FUND;
    pub const OfInstitutions: PalletId = PalletId(*b"tst/grnt");
    pub static Burned: u128 = 0;
    pub static Era: EraIndex = 3;
    pub static Author: Option<AccountId32> = None;
    pub static Difficulty: U256 = U256::from(1_000);
    pub static Elected: Vec<AccountId32> = AUDITORS.to_vec();
    pub const Session: SessionIndex = 7;
    pub const ChallengeWindow: u32 = WINDOW;
}

pub struct Fire;

impl OnUnbalanced<CreditOf> for Fire {
    fn on_nonzero_unbalanced(credit: CreditOf) {
        use frame_support::traits::Imbalance as _;
        Burned::mutate(|burned| *burned += credit.peek());
    }
}

/// Draws auditors, whom nobody ever proves wrong.
pub struct Audits;

impl Seals for Audits {
    fn sealed(number: u32) -> Option<H256> {
        // The next block brings it.
        (number < System::block_number()).then(|| H256::from_low_u64_be(number.into()))
    }
}

impl FalseAttestations<AccountId32> for Audits {
    fn weight() -> Weight {
        Weight::zero()
    }

    fn report(_: AccountId32, _: JobId, _: Accusation, _: AccountId32) {}
}

impl pallet_jobs::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Burn = Fire;
    type Seals = Audits;
    type Validators = Elected;
    type Session = Session;
    type FalseAttestations = Audits;
    type Sponsor = Grants;
    type ChallengeWindow = ChallengeWindow;
    type DepositBase = ConstU128<DEPOSIT_BASE>;
    type DepositPerProduct = ConstU128<DEPOSIT_PER_PRODUCT>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Audits;
}

impl pallet_grants::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type AdmitOrigin = EnsureRoot<AccountId32>;
    type Fund = Fund;
    type PalletId = OfInstitutions;
    type Era = Era;
    type EraEnds = ConstU32<99>;
    type BlockAuthor = Author;
    type Difficulty = Difficulty;
    type MaxMembers = ConstU32<3>;
    type MaxRigs = ConstU32<2>;
    type RigDeposit = ConstU128<RIG_DEPOSIT>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Audits;
}

#[cfg(feature = "runtime-benchmarks")]
impl pallet_jobs::BenchmarkHelper<AccountId32> for Audits {
    fn prepare(_: Vec<AccountId32>, _: u32) {}
}

#[cfg(feature = "runtime-benchmarks")]
impl BenchmarkHelper<AccountId32> for Audits {
    fn author() -> AccountId32 {
        Author::set(Some(RIG));
        RIG
    }
}

fn market() -> pallet_jobs::Terms {
    pallet_jobs::Terms {
        worker_share: Perbill::from_percent(85),
        auditor_share: Perbill::from_percent(5),
        least_fee: LEAST_FEE,
        macs_per_block: 1 << 17,
        least_claim_blocks: 3,
        first_claims: 8,
        kept_blocks: KEPT,
        longest_open_blocks: 1_000,
        ..Default::default()
    }
}

pub fn terms() -> Terms {
    Terms {
        max_rate: MAX_RATE,
        open_blocks: LONGEST,
        held_quotas: HELD_QUOTAS,
    }
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    let all = [ADMIN, MEMBER, OTHER, WORKER, RIG].map(|who| (who, RICH));
    let genesis = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: all.into_iter().chain([(FUND, FILLED)]).collect(),
            ..Default::default()
        },
        market: MarketConfig {
            terms: market(),
            ..Default::default()
        },
        grants: GrantsConfig {
            terms: terms(),
            ..Default::default()
        },
        ..Default::default()
    };
    Burned::set(0);
    Elected::set(AUDITORS.to_vec());
    Era::set(3);
    Author::set(None);
    Difficulty::set(U256::from(1_000));
    let mut storage: sp_io::TestExternalities =
        genesis.build_storage().expect("a valid genesis").into();
    storage.execute_with(|| System::set_block_number(1));
    storage
}

pub fn by(account: &AccountId32) -> RuntimeOrigin {
    RuntimeOrigin::signed(account.clone())
}

pub fn name(text: &str) -> Name {
    text.as_bytes().to_vec().try_into().expect("short enough")
}

pub fn total(account: &AccountId32) -> u128 {
    Balances::total_balance(account)
}

/// So many blocks pass; all that is held is checked.
pub fn pass(blocks: u32) {
    System::set_block_number(System::block_number() + blocks);
    sound();
}

pub fn sound() {
    Market::do_try_state().expect("the market is sound");
    Grants::do_try_state().expect("grants are sound");
}

/// An institution of [`ADMIN`]'s with [`MEMBER`] in it.
pub fn admitted() -> InstitutionId {
    let id = NextInstitution::<Test>::get();
    Grants::admit(RuntimeOrigin::root(), ADMIN, name("Institute"), QUOTA)
        .expect("the fund is filled");
    Grants::invite(by(&ADMIN), id, MEMBER).expect("the admin may");
    Grants::join(by(&MEMBER), id).expect("it is invited");
    id
}

/// An institution that there is.
pub fn institution(id: InstitutionId) -> InstitutionOf<Test> {
    Institutions::<Test>::get(id).expect("it was admitted")
}

/// One product of 32×32×256.
pub fn batch() -> Batch {
    let left = Left {
        root: [2; 32],
        m: 32,
    };
    Batch {
        root_b: [1; 32],
        n: 32,
        k: 256,
        left: vec![left].try_into().expect("one product"),
    }
}

/// A job of [`MEMBER`]'s, for 100 blocks.
pub fn sponsored(fee: u128) -> JobId {
    let job = pallet_jobs::NextJob::<Test>::get();
    Grants::sponsor(by(&MEMBER), batch(), 100, fee).expect("all is well");
    job
}

/// Claims it and submits something.
pub fn work(job: JobId) {
    let roots: Hashes = vec![[3; 32]].try_into().expect("one product");
    Market::claim(by(&WORKER), job).expect("the job is open");
    Market::submit(by(&WORKER), job, roots).expect("the worker has claimed it");
}

/// All auditors confirm a result that was submitted a moment ago: answers that the chain cannot check.
pub fn audit(job: JobId) -> DispatchResult {
    let answers: Hashes = vec![[7; 32]].try_into().expect("one product");
    let secret = [9; 32];
    pass(2);
    for auditor in Elected::get() {
        let said = Attestation::Holds(sealed(auditor.as_ref(), &secret, &answers));
        let done = Market::attest(by(&auditor), job, auditor, said);
        done.map_err(|refused| refused.error)?;
    }
    pass(WINDOW / 2);
    for auditor in Elected::get() {
        let done = Market::reveal(by(&auditor), job, auditor, secret, answers.clone());
        done.map_err(|refused| refused.error)?;
    }
    Ok(())
}
