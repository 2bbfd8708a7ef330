//! Jobs on a chain of two validators: paid as stated, and what a false word costs.

use frame_support::{dispatch::GetDispatchInfo, traits::fungible::Inspect};
use labora_pouw::{
    Hash, Shape,
    fraud::{Data, TILE_ENTRIES, prove_entry},
    freivalds, tree,
};
use pallet_jobs::{
    Attestation, Batch, Jobs as AllJobs, Left, Stage,
    api::{StageName, Wanted},
};
use sp_keyring::Sr25519Keyring;

use super::{
    chain::Chain,
    staking::{run_to, staked},
    transactions::signed,
};
use crate::{
    configs::RuntimeBlockWeights,
    genesis_config_presets::{GENESIS_STAKE, LOCAL_TESTNET},
    *,
};

const POSTER: Sr25519Keyring = Sr25519Keyring::Dave;
const WORKER: Sr25519Keyring = Sr25519Keyring::Charlie;
const CHALLENGER: Sr25519Keyring = Sr25519Keyring::Eve;
/// Both validators audit: each other's committee would have five.
const AUDITORS: [Sr25519Keyring; 2] = [Sr25519Keyring::Alice, Sr25519Keyring::Bob];
const FEE: Balance = 100 * LAB;
/// Blocks for which a result can be challenged on this chain.
const WINDOW: u32 = 60;
const SECRET: Hash = [9; 32];

/// A product, and what somebody says that it is.
struct Product {
    shape: Shape,
    a: Vec<i8>,
    bt: Vec<i8>,
    c: Vec<i32>,
}

impl Product {
    /// Every entry of C is −k, but for the last of the first tile, which is `error` beside it.
    fn new(k: u32, error: i32) -> Self {
        let shape = Shape::new(32, 32, k).expect("a valid shape");
        let mut c = vec![-(k as i32); 32 * 32];
        c[TILE_ENTRIES - 1] += error;
        let side = 32 * k as usize;
        Self {
            shape,
            a: vec![1; side],
            bt: vec![-1; side],
            c,
        }
    }

    fn data(&self) -> Data<'_> {
        Data::new(self.shape, &self.a, &self.bt, &self.c).expect("they fit the shape")
    }

    fn batch(&self) -> Batch {
        let claim = self.data().claim();
        let left = Left {
            root: claim.root_a,
            m: 32,
        };
        Batch {
            root_b: claim.root_b,
            n: 32,
            k: self.shape.k(),
            left: vec![left].try_into().expect("one product"),
        }
    }

    fn prove_fraud(&self) -> pallet_jobs::Call<Runtime> {
        let proof = prove_entry(&self.data(), 0, 0, (TILE_ENTRIES - 1) as u8);
        pallet_jobs::Call::prove_fraud {
            job: 0,
            product: 0,
            proof: Box::new(proof.expect("there is such a tile")),
        }
    }
}

fn by(chain: &mut Chain, who: Sr25519Keyring, call: pallet_jobs::Call<Runtime>) {
    let account = who.to_account_id();
    let nonce = chain
        .executor
        .execute_with(|| System::account_nonce(&account));
    let transaction = signed(chain, &who.pair(), call.into(), nonce, 0);
    chain.block(6_000, vec![transaction]);
}

fn wealth(chain: &mut Chain, who: Sr25519Keyring) -> Balance {
    chain
        .executor
        .execute_with(|| Balances::total_balance(&who.to_account_id()))
}

/// Job 0 with this result, for which both auditors vouch.
fn vouched(product: &Product) -> Chain {
    let mut chain = Chain::of(LOCAL_TESTNET);
    run_to(&mut chain, 1);
    let post = pallet_jobs::Call::post {
        batch: product.batch(),
        fee: FEE,
        open_blocks: 100,
    };
    by(&mut chain, POSTER, post);
    by(&mut chain, WORKER, pallet_jobs::Call::claim { job: 0 });
    let roots = vec![product.data().claim().root_c];
    let submit = pallet_jobs::Call::submit {
        job: 0,
        roots: roots.try_into().expect("one product"),
    };
    by(&mut chain, WORKER, submit);
    let drawn = |chain: &mut Chain| chain.executor.execute_with(|| Jobs::api_auditors(0));
    assert_eq!(drawn(&mut chain), None, "their seal is not known");
    let submitted_at = chain.head.number;
    run_to(&mut chain, submitted_at + 2);
    let seats = drawn(&mut chain).map_or(0, |committee| committee.seats.len());
    assert_eq!(seats, AUDITORS.len());
    for auditor in AUDITORS {
        let account = auditor.to_account_id();
        let sealed = freivalds::sealed(account.as_ref(), &SECRET, &answers());
        let attest = pallet_jobs::Call::attest {
            job: 0,
            auditor: account,
            attestation: Attestation::Holds(sealed),
        };
        by(&mut chain, auditor, attest);
    }
    chain
}

fn answers() -> [Hash; 1] {
    [tree::root(b"what the chain cannot check")]
}

#[test]
fn a_job_is_posted_claimed_audited_and_paid_and_auditors_pay_no_fees() {
    let mut chain = vouched(&Product::new(256, 0));
    let before = AUDITORS.map(|auditor| wealth(&mut chain, auditor));
    let worker = wealth(&mut chain, WORKER);
    run_to(&mut chain, 4 + WINDOW / 2);
    for auditor in AUDITORS {
        let reveal = pallet_jobs::Call::reveal {
            job: 0,
            auditor: auditor.to_account_id(),
            secret: SECRET,
            answers: answers().to_vec().try_into().expect("one product"),
        };
        by(&mut chain, auditor, reveal);
    }
    run_to(&mut chain, 4 + WINDOW);
    by(&mut chain, CHALLENGER, pallet_jobs::Call::poke { job: 0 });

    assert_eq!(wealth(&mut chain, WORKER) - worker, FEE / 100 * 85);
    // Nor do they pay for what they say.
    let after = AUDITORS.map(|auditor| wealth(&mut chain, auditor));
    assert_eq!([0, 1].map(|at| after[at] - before[at]), [FEE / 40; 2]);
    assert_eq!(
        wealth(&mut chain, CHALLENGER),
        1_000_000 * LAB,
        "nor does who asked"
    );
    chain.executor.execute_with(|| {
        let stage = AllJobs::<Runtime>::get(0).map(|job| job.stage);
        assert!(matches!(stage, Some(Stage::Settled { .. })), "{stage:?}");
        let wanted = Wanted {
            stage: Some(StageName::Settled),
            worker: Some(WORKER.to_account_id()),
            poster: None,
        };
        let page = Jobs::api_jobs(wanted, None, 10);
        assert_eq!((page.jobs.len(), page.below), (1, None));
    });
}

#[test]
fn auditors_who_vouched_for_a_wrong_entry_lose_a_tenth_of_their_stake_once_somebody_reports_them() {
    let product = Product::new(4_096, 1);
    let mut chain = vouched(&product);
    let (worker, challenger) = (wealth(&mut chain, WORKER), wealth(&mut chain, CHALLENGER));
    by(&mut chain, CHALLENGER, product.prove_fraud());
    assert_eq!(worker - wealth(&mut chain, WORKER), 2 * FEE);
    let won = wealth(&mut chain, CHALLENGER) - challenger;
    assert_eq!(won, FEE, "half the bond, and the proof cost no fee");

    let accused = chain.executor.execute_with(|| Jobs::api_accused(0));
    assert_eq!(accused.len(), AUDITORS.len());
    for auditor in AUDITORS {
        let account = auditor.to_account_id();
        let stake = |chain: &mut Chain| chain.executor.execute_with(|| staked(&account));
        assert_eq!(stake(&mut chain), GENESIS_STAKE);
        let before = wealth(&mut chain, CHALLENGER);
        let report = pallet_jobs::Call::report_auditor {
            job: 0,
            auditor: account.clone(),
        };
        by(&mut chain, CHALLENGER, report);
        assert_eq!(stake(&mut chain), GENESIS_STAKE / 10 * 9);
        let reward = wealth(&mut chain, CHALLENGER) - before;
        assert!(
            reward > 0,
            "staking rewards reports, and this one costs no fee"
        );
    }
    assert!(
        chain
            .executor
            .execute_with(|| Jobs::api_accused(0))
            .is_empty()
    );
}

#[test]
fn a_fraud_proof_fits_in_a_tenth_of_a_block_and_a_report_in_a_transaction() {
    let weights = RuntimeBlockWeights::get();
    let of = |k| {
        let call: RuntimeCall = Product::new(k, 1).prove_fraud().into();
        call.get_dispatch_info().call_weight.ref_time()
    };
    assert!(of(4_096) > 0);
    assert!(
        of(4_096) < weights.max_block.ref_time() / 10,
        "{}",
        of(4_096)
    );
    let normal = weights.get(frame_support::dispatch::DispatchClass::Normal);
    let most = normal.max_extrinsic.expect("there is a limit").ref_time();
    assert!(of(16_384) < most);
    let report: RuntimeCall = pallet_jobs::Call::report_auditor {
        job: 0,
        auditor: POSTER.to_account_id(),
    }
    .into();
    assert!(report.get_dispatch_info().call_weight.ref_time() < most);
}
