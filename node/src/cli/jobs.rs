//! Flags of those who take part in the market of jobs.

use std::path::PathBuf;

use clap::Args;
use labora_market::{account::Scheme, words::parse_lab};
use sp_core::crypto::AccountId32;

use super::values::parse_address;

/// Whose key it is.
#[derive(Args, Clone, Debug)]
pub struct JobKeyParams {
    /// File whose first line is the secret of the account that works, audits or watches: a phrase, or a seed in hex.
    ///
    /// Only its owner may be able to read it (chmod 600). Bonds are held of this account, and it is paid. On the development and
    /// local chains the default is the key of `--alice`, `--bob` and so on.
    #[arg(long, value_name = "FILE")]
    pub job_key: Option<PathBuf>,

    /// Scheme of that key: sr25519, ed25519 or ecdsa.
    #[arg(
        long,
        value_name = "SCHEME",
        default_value = "sr25519",
        requires = "job_key"
    )]
    pub job_key_scheme: Scheme,
}

/// Whether and for what jobs are worked on.
#[derive(Args, Clone, Debug)]
pub struct WorkParams {
    /// Work on jobs that others pay for: claim, multiply, submit. Wants devices, matrices (`--artifacts`), and `--job-key`.
    #[arg(long)]
    pub work: bool,

    /// Least to work for: LAB for 10¹² multiply-accumulates, such as 0.5.
    #[arg(long, value_name = "LAB", value_parser = parse_lab, default_value = "0", requires = "work")]
    pub min_price: u128,
}

/// Whether results are audited.
#[derive(Args, Clone, Debug)]
pub struct AuditParams {
    /// Audit results that this validator is drawn for: its stash; without a value, the account of `--job-key`.
    ///
    /// Another account's key can attest for a validator once that has named it: `jobs.setAgent(AGENT)`. Wants `--artifacts`.
    #[arg(long, value_name = "SS58", num_args = 0..=1, value_parser = parse_address)]
    pub audit: Option<Option<AccountId32>>,

    /// Check all results that are submitted, whoever audits them, and prove what is wrong: half of the bond is the prover's. Needs
    /// no stake. Wants `--artifacts`.
    #[arg(long)]
    pub watch: bool,
}

/// Where a process without a chain gets matrices, and hands out results.
#[derive(Args, Clone, Debug)]
pub struct MatricesParams {
    /// Endpoint of a node that keeps matrices, such as http://10.0.0.5:9955: they come from there and from its peers, and results
    /// go there. Needed with --work, --audit and --watch.
    #[arg(long, value_name = "URL")]
    pub matrices: Option<String>,

    /// File whose first line is the token that the endpoint wants (its node's --gemm-token).
    #[arg(long, value_name = "FILE", requires = "matrices")]
    pub matrices_token: Option<PathBuf>,
}

/// What part is taken in the market.
#[derive(Args, Clone, Debug)]
pub struct JobParams {
    /// Working.
    #[clap(flatten)]
    pub work: WorkParams,

    /// Auditing.
    #[clap(flatten)]
    pub audit: AuditParams,

    /// The key.
    #[clap(flatten)]
    pub key: JobKeyParams,
}
