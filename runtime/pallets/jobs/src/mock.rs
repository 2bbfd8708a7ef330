//! A runtime of balances and jobs, with matrices small enough to multiply at once.

use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU128, OnUnbalanced},
};
use labora_pouw::{
    Hash, Shape,
    fraud::{Data, FraudProof, TILE_ENTRIES, prove, prove_entry, tile_major},
    freivalds::sealed,
    reference::{matrices, multiply},
    tree,
};
use sp_core::crypto::AccountId32;
use sp_runtime::{BuildStorage, Perbill, traits::IdentityLookup};

use crate::{self as pallet_jobs, *};

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
}

pub type Block = frame_system::mocking::MockBlockU32<Test>;
type CreditOf = Credit<AccountId32, Balances>;

pub const EXISTENTIAL_DEPOSIT: u128 = 10;
pub const DEPOSIT_BASE: u128 = 100;
pub const DEPOSIT_PER_PRODUCT: u128 = 7;
pub const WINDOW: u32 = 20;
pub const RICH: u128 = 1_000_000;

pub const POSTER: AccountId32 = account(1);
/// Pays for jobs of others.
pub const PAYER: AccountId32 = account(5);
pub const WORKER: AccountId32 = account(2);
pub const OTHER_WORKER: AccountId32 = account(3);
pub const CHALLENGER: AccountId32 = account(4);
/// Validators, of whom three audit a result.
pub const VALIDATORS: [AccountId32; 5] = [
    account(11),
    account(12),
    account(13),
    account(14),
    account(15),
];

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
    pub static Elected: Vec<AccountId32> = VALIDATORS.to_vec();
    pub static Burned: u128 = 0;
    pub static Told: Vec<(JobId, &'static str, u128)> = Vec::new();
    pub static Reported: Vec<(AccountId32, JobId, Accusation, AccountId32)> = Vec::new();
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

pub struct PastSeals;

impl Seals for PastSeals {
    fn sealed(number: u32) -> Option<H256> {
        // The next block brings it.
        (number < System::block_number()).then(|| H256::from_low_u64_be(number.into()))
    }
}

pub struct Court;

impl FalseAttestations<AccountId32> for Court {
    fn weight() -> Weight {
        Weight::from_parts(5, 0)
    }

    fn report(reporter: AccountId32, job: JobId, accusation: Accusation, auditor: AccountId32) {
        Reported::mutate(|all| all.push((reporter, job, accusation, auditor)));
    }
}

/// Notes what it is told, after the payer has its money back.
pub struct Purse;

impl Sponsor<AccountId32> for Purse {
    fn weight() -> Weight {
        Weight::from_parts(3, 0)
    }

    fn settled(payer: &AccountId32, job: JobId, macs: u64, fee: u128) {
        assert_eq!((payer, macs), (&PAYER, 2 * 32 * 48 * 256));
        Told::mutate(|told| told.push((job, "settled", fee)));
    }

    fn refunded(payer: &AccountId32, job: JobId, fee: u128) {
        assert_eq!(payer, &PAYER);
        Told::mutate(|told| told.push((job, "refunded", fee)));
    }

    fn forgotten(payer: &AccountId32, job: JobId) {
        assert_eq!(payer, &PAYER);
        Told::mutate(|told| told.push((job, "forgotten", 0)));
    }
}

impl pallet_jobs::Config for Test {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Burn = Fire;
    type Seals = PastSeals;
    type Validators = Elected;
    type Session = Session;
    type FalseAttestations = Court;
    type Sponsor = Purse;
    type ChallengeWindow = ChallengeWindow;
    type DepositBase = ConstU128<DEPOSIT_BASE>;
    type DepositPerProduct = ConstU128<DEPOSIT_PER_PRODUCT>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = Court;
}

#[cfg(feature = "runtime-benchmarks")]
impl BenchmarkHelper<AccountId32> for Court {
    fn prepare(validators: Vec<AccountId32>, sealed: u32) {
        Elected::set(validators);
        assert!(PastSeals::sealed(sealed).is_some());
    }
}

pub fn terms() -> Terms {
    Terms {
        worker_share: Perbill::from_percent(85),
        auditor_share: Perbill::from_percent(5),
        least_fee: 1_000,
        bond_factor: 2,
        failure_share: Perbill::from_percent(10),
        macs_per_block: 1 << 17,
        least_claim_blocks: 3,
        first_claims: 2,
        settled_per_claim: 2,
        committee: 3,
        draws: 2,
        longest_open_blocks: 1_000,
        kept_blocks: 50,
    }
}

pub fn new_test_ext() -> sp_io::TestExternalities {
    let all = [POSTER, PAYER, WORKER, OTHER_WORKER, CHALLENGER];
    let all = all.into_iter().chain(VALIDATORS);
    let genesis = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: all.map(|account| (account, RICH)).collect(),
            ..Default::default()
        },
        market: MarketConfig {
            terms: terms(),
            ..Default::default()
        },
        ..Default::default()
    };
    Elected::set(VALIDATORS.to_vec());
    Burned::set(0);
    Reported::set(Vec::new());
    Told::set(Vec::new());
    let mut storage: sp_io::TestExternalities =
        genesis.build_storage().expect("a valid genesis").into();
    storage.execute_with(|| System::set_block_number(1));
    storage
}

/// So many blocks pass; what is held is checked.
pub fn pass(blocks: u32) {
    System::set_block_number(System::block_number() + blocks);
    Market::do_try_state().expect("the market is sound");
}

pub fn by(account: &AccountId32) -> RuntimeOrigin {
    RuntimeOrigin::signed(account.clone())
}

/// Free and held.
pub fn total(account: &AccountId32) -> u128 {
    use frame_support::traits::fungible::Inspect as _;
    Balances::total_balance(account)
}

pub fn on_hold(reason: HoldReason, account: &AccountId32) -> u128 {
    use frame_support::traits::fungible::InspectHold as _;
    Balances::balance_on_hold(&reason.into(), account)
}

/// Products of matrices that are there: two of 32×48×256.
pub struct Products {
    pub batch: Batch,
    shape: Shape,
    a: Vec<Vec<i8>>,
    bt: Vec<i8>,
    /// Each C, tile-major.
    pub c: Vec<Vec<i32>>,
}

const M: u32 = 32;
const N: u32 = 48;
const K: u32 = 256;

impl Products {
    pub fn new() -> Self {
        let shape = Shape::new(M, N, K).expect("a valid shape");
        let (first, bt) = matrices("the first", shape);
        let (second, _) = matrices("the second", shape);
        let a = vec![first, second];
        let c = a
            .iter()
            .map(|a| tile_major(shape, &multiply(a, &bt, shape)));
        let c: Vec<Vec<i32>> = c.collect();
        let left = a.iter().map(|a| Left {
            root: tree::root(&bytes(a)),
            m: M,
        });
        let batch = Batch {
            root_b: tree::root(&bytes(&bt)),
            n: N,
            k: K,
            left: left.collect::<Vec<_>>().try_into().expect("two products"),
        };
        Self {
            batch,
            shape,
            a,
            bt,
            c,
        }
    }

    fn data(&self, product: usize) -> Data<'_> {
        Data::new(self.shape, &self.a[product], &self.bt, &self.c[product]).expect("fits the shape")
    }

    /// What whoever has these results submits.
    pub fn roots(&self) -> Hashes {
        let roots = (0..self.c.len()).map(|product| self.data(product).claim().root_c);
        roots.collect::<Vec<_>>().try_into().expect("two products")
    }

    /// The same with one wrong entry in the second product.
    pub fn spoiled() -> Self {
        let mut products = Self::new();
        products.c[1][TILE_ENTRIES + 5] += 1;
        products
    }

    pub fn proof(&self, product: usize) -> Option<Box<FraudProof>> {
        prove(&self.data(product), 0..M).map(Box::new)
    }

    /// A proof of an entry that is right.
    pub fn proof_of_nothing(&self, product: usize) -> Box<FraudProof> {
        let proof = prove_entry(&self.data(product), 0, 0, 0);
        Box::new(proof.expect("there is such a tile"))
    }
}

fn bytes(entries: &[i8]) -> Vec<u8> {
    entries.iter().map(|entry| *entry as u8).collect()
}

/// Posts the products for this fee, for 100 blocks; the job.
pub fn post(fee: u128) -> JobId {
    let job = NextJob::<Test>::get();
    Market::post(by(&POSTER), Products::new().batch, fee, 100).expect("the poster is rich");
    job
}

/// The same, for which somebody else pays.
pub fn sponsored(fee: u128) -> JobId {
    let order = Order {
        batch: Products::new().batch,
        fee,
        open_blocks: 100,
    };
    Market::post_for(POSTER, PAYER, order).expect("the payer is rich")
}

/// A job that was claimed, and these results submitted.
pub fn submitted(fee: u128, results: &Products) -> JobId {
    let job = post(fee);
    with_results(job, results)
}

/// The job, claimed, with these results.
pub fn with_results(job: JobId, results: &Products) -> JobId {
    Market::claim(by(&WORKER), job).expect("the job is open");
    Market::submit(by(&WORKER), job, results.roots()).expect("the worker has claimed it");
    job
}

/// Those who are drawn for a job, once its seal is known.
pub fn drawn(job: JobId) -> Vec<AccountId32> {
    let Some(Stage::Submitted(submitted)) = Jobs::<Test>::get(job).map(|job| job.stage) else {
        panic!("job {job} has no result");
    };
    let seal = PastSeals::sealed(submitted.window.drawn_by()).expect("the seal is known");
    let committee = Committee::draw(seal, job, Session::get(), Elected::get(), terms().committee);
    let seats = committee.seats.into_iter();
    seats.map(|seat| seat.auditor).collect()
}

/// What an auditor attests with, from its secret: answers that the chain cannot check.
pub fn opening(auditor: &AccountId32) -> (Hash, Hashes) {
    let secret: Hash = *auditor.as_ref();
    let answers = vec![[7; 32], [8; 32]];
    (secret, answers.try_into().expect("two products"))
}

pub fn seal(auditor: &AccountId32) -> Attestation {
    let (secret, answers) = opening(auditor);
    Attestation::Holds(sealed(auditor.as_ref(), &secret, &answers))
}

pub fn attest(job: JobId, auditor: &AccountId32) {
    Market::attest(by(auditor), job, auditor.clone(), seal(auditor))
        .expect("the auditor was drawn");
}

pub fn reveal(job: JobId, auditor: &AccountId32) {
    let (secret, answers) = opening(auditor);
    Market::reveal(by(auditor), job, auditor.clone(), secret, answers)
        .expect("the auditor has attested");
}
