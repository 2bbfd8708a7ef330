//! `labora job prove`: looks for a wrong entry in a result, and proves it to the chain.

use std::sync::Arc;

use clap::Args;
use labora_market::{
    account::Account,
    audit::{Finding, check},
    matrices::Remote,
    types::{JobInfo, StageInfo},
    words::lab,
};
use labora_pouw::{Hash, Shape, fraud::FraudProof};
use labora_runtime::{Runtime, RuntimeCall};
use pallet_jobs::{Call, JobId};

use super::{
    amount,
    calls::about,
    job,
    result::{fetch, fetch_product},
    stage_name,
};
use crate::wallet::{
    WalletError,
    act::{Plan, Trace, Wallet},
    flags::{ActParams, MatricesParams},
    matrix::{MAX_BYTES, ProductError, secret, signed},
    progress,
};

/// Which result, and how it is proved wrong.
#[derive(Args, Clone, Debug)]
pub struct ProveOptions {
    /// Number of the job.
    #[arg(value_name = "JOB")]
    pub job: JobId,

    /// Where the matrices come from.
    #[clap(flatten)]
    pub matrices: MatricesParams,

    /// How.
    #[clap(flatten)]
    pub act: ActParams,
}

/// Looks at product `at` of a job; the proof, if an entry is wrong.
async fn examine(
    from: &Remote,
    it: &JobInfo,
    at: usize,
    bt: &Arc<Vec<u8>>,
) -> Result<Option<Box<FraudProof>>, WalletError> {
    let product = &it.products[at];
    let no_sense = || WalletError::NoSense(it.job);
    let root_c: Hash = product.c.ok_or_else(no_sense)?.0;
    let shape = Shape::new(product.m, it.n, it.k).map_err(|_| no_sense())?;
    if shape.c_len() > MAX_BYTES {
        let (job, bytes) = (it.job, shape.c_len());
        return Err(WalletError::TooLarge { job, at, bytes });
    }
    let (a, c) = fetch_product(from, at, shape, (product.a.0, root_c)).await?;
    let bt = Arc::clone(bt);
    let doing = format!("checking product {at}");
    let found = progress::working(&doing, move || {
        let (a, bt) = (signed(&a), signed(&bt));
        check(shape, (&a, &bt, &c), &secret(), &root_c)
    });
    match found.await? {
        Ok(Finding::Wrong(proof)) => Ok(Some(proof)),
        Ok(Finding::Holds(_)) => Ok(None),
        Err(error) => {
            let (job, error) = (it.job, ProductError::Length(error));
            Err(WalletError::Wrong { job, at, error })
        }
    }
}

/// Looks for a wrong entry, proves the first that is found, and reports the auditors who vouched for it.
pub(super) async fn run(options: &ProveOptions, trace: &Trace) -> Result<(), WalletError> {
    let account = options.act.key.signer()?;
    let endpoint = options.matrices.endpoint()?;
    let wallet = Wallet::connect(&options.act.node, trace).await?;
    let it = job(&wallet.chain, options.job).await?;
    if it.stage != StageInfo::Submitted {
        return Err(WalletError::Stage {
            job: it.job,
            stage: stage_name(it.stage),
            remedy: "a result can be proved wrong from when it is submitted until it is paid",
        });
    }
    let b_bytes = u64::from(it.n) * u64::from(it.k);
    let bt = fetch(&endpoint, "Bt", it.b.0, b_bytes).await?;
    for at in 0..it.products.len() {
        if let Some(proof) = examine(&endpoint, &it, at, &bt).await? {
            return prove(options, &wallet, &account, &it, at, proof).await;
        }
    }
    Err(WalletError::sentence(format!(
        "there is nothing to prove: each of the {} products of job {} is right",
        it.products.len(),
        it.job
    )))
}

async fn prove(
    options: &ProveOptions,
    wallet: &Wallet<'_>,
    account: &Account,
    it: &JobInfo,
    at: usize,
    proof: Box<FraudProof>,
) -> Result<(), WalletError> {
    let number = it.job;
    let bond = amount(it.bond.as_deref().unwrap_or_default(), number)?;
    let call = RuntimeCall::Jobs(Call::<Runtime>::prove_fraud {
        job: number,
        // At most as many as a job has products.
        product: at as u32,
        proof,
    });
    let title = format!("Prove that an entry of product {at} of job {number} is wrong");
    let plan = Plan::new(title, call).free().note(format!(
        "Its worker loses the bond of {}, half of which is yours, and the job is open again.",
        lab(bond)
    ));
    let proved = about(wallet, account, &options.act, number, plan).await?;
    if proved.is_none() {
        return Ok(());
    }
    for auditor in it.vouched() {
        let title = format!("Report {auditor}, who vouched for it");
        let call = RuntimeCall::Jobs(Call::<Runtime>::report_auditor {
            job: number,
            auditor: auditor.clone(),
        });
        let plan = Plan::new(title, call)
            .free()
            .note("It loses a tenth of its stake; a share of that is yours.");
        about(wallet, account, &options.act, number, plan).await?;
    }
    Ok(())
}
