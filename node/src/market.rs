//! The part that this process takes in the market of jobs: a worker on its devices, an auditor, or both.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use labora_market::{
    account::{Account, KeyError, Scheme},
    audit::{self, AuditTerms, Auditor},
    chain::Chain,
    matrices::{self, Here, Matrices, UrlError},
    node::Node,
    work::{self, Multiply, WorkTerms, Worker, choose::Limits},
};
use labora_pouw::Shape;
use labora_runtime::AccountId;
use substrate_prometheus_endpoint::{PrometheusError, Registry};

use crate::{
    artifacts::Artifacts,
    cli::{JobKeyParams, JobParams, MatricesParams},
    gemm::{Dimensions, MAX_OPERAND_BYTES, MAX_PRODUCT_BYTES, Product},
    http::{Token, TokenError},
    metrics,
    worker::{MultiplyError, WorkerHandle},
};

/// What fits into a product here.
const LIMITS: Limits = Limits {
    operands: MAX_OPERAND_BYTES,
    product: MAX_PRODUCT_BYTES,
};

/// Before a product is offered to devices again that have enough to do.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// Before the node is asked again that did not answer.
const CONNECT_PAUSE: Duration = Duration::from_secs(5);

/// The flags, checked.
#[derive(Clone, Debug)]
pub struct JobOptions {
    /// Least price of work; `None` without any.
    work: Option<u128>,
    /// For whom results are audited; `None` for nobody.
    validator: Option<AccountId>,
    /// Whether results of others are checked.
    watch: bool,
    account: Account,
}

/// Why no part can be taken.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// Nobody to sign.
    #[error(
        "--work, --audit and --watch need the key that signs: add --job-key and a file with its secret (`labora key generate` \
         makes one; chmod 600)"
    )]
    NoKey,
    /// A key that is none.
    #[error("--job-key: {0}")]
    Key(#[from] KeyError),
    /// Nowhere to keep matrices.
    #[error(
        "--work, --audit and --watch need room for matrices: add --artifacts and a size, such as 20GiB"
    )]
    NoMatrices,
    /// No endpoint to get matrices from.
    #[error(
        "--work, --audit and --watch need a node that keeps matrices: add --matrices and its endpoint, such as \
         http://10.0.0.5:9955"
    )]
    NoEndpoint,
    /// An address that is none.
    #[error("--matrices: {0}")]
    Url(#[from] UrlError),
    /// A token that is none.
    #[error("--matrices-token: {0}")]
    Token(#[from] TokenError),
}

/// The account of `--job-key`, or of the development account that was asked for.
pub fn account(key: &JobKeyParams, dev_seed: Option<&str>) -> Result<Account, JobsError> {
    match (&key.job_key, dev_seed) {
        (Some(path), _) => Ok(Account::from_file(path, key.job_key_scheme)?),
        // Keys that everyone knows: fine where nothing is worth anything.
        (None, Some(seed)) => Ok(Account::from_uri(seed, Scheme::Sr25519)?),
        (None, None) => Err(JobsError::NoKey),
    }
}

impl JobOptions {
    /// Reads the flags; `None` if no part is to be taken. `dev_seed` is that of a development account which was asked for.
    ///
    /// # Errors
    ///
    /// If there is no key.
    pub fn new(params: &JobParams, dev_seed: Option<&str>) -> Result<Option<Self>, JobsError> {
        let (work, audit) = (&params.work, &params.audit);
        if !work.work && audit.audit.is_none() && !audit.watch {
            return Ok(None);
        }
        let account = account(&params.key, dev_seed)?;
        let validator = audit.audit.as_ref().map(|stash| {
            let own = || account.id().clone();
            stash.clone().unwrap_or_else(own)
        });
        Ok(Some(Self {
            work: work.work.then_some(work.min_price),
            validator,
            watch: audit.watch,
            account,
        }))
    }
}

/// What those who take part are given.
pub struct Place {
    /// The chain's node.
    pub node: Arc<dyn Node>,
    /// Where matrices come from and go to.
    pub matrices: Arc<dyn Matrices>,
    /// What multiplies.
    pub devices: WorkerHandle,
}

/// The store of this process, and its peers.
///
/// # Errors
///
/// If there is none.
pub fn matrices(artifacts: Option<Artifacts>) -> Result<Arc<dyn Matrices>, JobsError> {
    let artifacts = artifacts.ok_or(JobsError::NoMatrices)?;
    Ok(Arc::new(Here::new(artifacts.store, artifacts.exchange)))
}

/// The endpoint of a node elsewhere.
///
/// # Errors
///
/// If none is named, or it cannot be used.
pub fn matrices_at(params: &MatricesParams) -> Result<Arc<dyn Matrices>, JobsError> {
    let url = params.matrices.as_deref().ok_or(JobsError::NoEndpoint)?;
    let token = params.matrices_token.as_deref();
    let token = token.map(Token::secret_in).transpose()?;
    Ok(Arc::new(matrices::Remote::new(url, token.as_deref())?))
}

/// Starts whoever takes part, each as a task.
///
/// # Errors
///
/// If its metrics cannot be registered.
pub fn start(
    options: JobOptions,
    place: Place,
    registry: Option<&Registry>,
    spawn: impl Fn(BoxFuture<'static, ()>),
) -> Result<(), PrometheusError> {
    let Place {
        node,
        matrices,
        devices,
    } = place;
    let (worked, audited) = (
        Arc::new(work::Tally::default()),
        Arc::new(audit::Tally::default()),
    );
    if let Some(registry) = registry {
        metrics::jobs::register_all(registry, worked.clone(), audited.clone())?;
    }
    spawn(
        async move {
            let chain = connected(node).await;
            let working = options.work.map(|least_price| {
                let terms = WorkTerms {
                    account: options.account.clone(),
                    least_price,
                    limits: LIMITS,
                };
                let devices = Arc::new(Devices(devices));
                Worker::new(chain.clone(), matrices.clone(), devices, terms, worked).run()
            });
            let audits = options.validator.is_some() || options.watch;
            let auditing = audits.then(|| {
                let terms = AuditTerms {
                    account: options.account.clone(),
                    validator: options.validator.clone(),
                    watch: options.watch,
                    limits: LIMITS,
                };
                Auditor::new(chain, matrices, terms, audited).run()
            });
            futures::join!(
                futures::future::OptionFuture::from(working),
                futures::future::OptionFuture::from(auditing)
            );
        }
        .boxed(),
    );
    Ok(())
}

async fn connected(node: Arc<dyn Node>) -> Chain {
    loop {
        match Chain::of(Arc::clone(&node)).await {
            Ok(chain) => return chain,
            Err(error) => {
                tracing::warn!(target: "labora", "no part is taken in the market yet: {error}");
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
        }
    }
}

/// The devices of this process.
struct Devices(WorkerHandle);

impl Multiply for Devices {
    fn multiply<'a>(
        &'a self,
        shape: Shape,
        a: &'a [i8],
        bt: &'a [i8],
    ) -> BoxFuture<'a, Result<Vec<i32>, String>> {
        async move {
            let (m, n, k) = (shape.m(), shape.n(), shape.k());
            let dimensions = Dimensions::new(m.into(), n.into(), k.into());
            let dimensions = dimensions.map_err(|error| error.to_string())?;
            loop {
                // Users' own products may fill the queue: they come first.
                let stats = self.0.stats();
                if stats.queue_length < stats.queue_capacity {
                    let product = Product::new(dimensions, a.to_vec(), bt.to_vec());
                    let product = product.map_err(|error| error.to_string())?;
                    match self.0.multiply(product).await {
                        Ok(answer) => return Ok(answer.product),
                        Err(MultiplyError::Busy) => {}
                        Err(error) => return Err(error.to_string()),
                    }
                }
                tokio::time::sleep(BUSY_PAUSE).await;
            }
        }
        .boxed()
    }

    fn macs_per_s(&self) -> Option<f64> {
        let rates = self.0.stats().macs_per_s_60s;
        Some(rates.useful + rates.filler).filter(|rate| *rate > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(flags: &[&str]) -> JobParams {
        use clap::Parser as _;
        let all = ["labora"].iter().chain(flags);
        let cli = crate::cli::Cli::try_parse_from(all).expect("flags that there are");
        cli.jobs
    }

    #[test]
    fn whoever_takes_part_needs_a_key() {
        assert!(
            JobOptions::new(&params(&[]), None)
                .expect("nothing asked")
                .is_none()
        );
        for flag in ["--work", "--audit", "--watch"] {
            let error = JobOptions::new(&params(&[flag]), None).expect_err("no key");
            assert!(error.to_string().contains("--job-key"), "{error}");
            let with = JobOptions::new(&params(&[flag]), Some("//Alice"));
            assert!(with.expect("a key").is_some());
        }
        let missing = params(&["--work", "--job-key", "/no/such/file"]);
        let error = JobOptions::new(&missing, Some("//Alice")).expect_err("no file");
        assert!(error.to_string().contains("/no/such/file"), "{error}");
    }

    #[test]
    fn an_auditor_attests_for_itself_or_for_a_stash() {
        let of = |flags: &[&str]| {
            let options = JobOptions::new(&params(flags), Some("//Alice")).expect("a key");
            options.expect("asked for").validator
        };
        let alice = sp_keyring::Sr25519Keyring::Alice.to_account_id();
        let bob = sp_keyring::Sr25519Keyring::Bob.to_account_id();
        assert_eq!(of(&["--watch"]), None);
        assert_eq!(of(&["--audit"]), Some(alice));
        assert_eq!(of(&["--audit", &bob.to_string()]), Some(bob));
    }
}
