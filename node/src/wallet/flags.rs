//! Flags that several commands share.

use std::path::PathBuf;

use clap::Args;
use labora_market::{
    account::{Account, Scheme},
    matrices,
};
use labora_runtime::AccountId;

use super::{WalletError, show};
use crate::{cli::values::parse_address, http::Token};

/// Names the node where `--node` is not given.
const NODE_VARIABLE: &str = "LABORA_NODE";

/// The node of this machine.
const USUAL_NODE: &str = "ws://127.0.0.1:9944";

/// Which node is asked.
#[derive(Args, Clone, Debug)]
pub struct NodeParams {
    /// Node that is asked: ws://HOST:PORT, or wss:// with TLS.
    ///
    /// Default: $LABORA_NODE, or else ws://127.0.0.1:9944.
    #[arg(long, value_name = "URL")]
    pub node: Option<String>,
}

impl NodeParams {
    /// Its address.
    pub(super) fn url(&self) -> String {
        let of_environment = || {
            std::env::var(NODE_VARIABLE)
                .ok()
                .filter(|url| !url.is_empty())
        };
        let given = self.node.clone().or_else(of_environment);
        given.unwrap_or_else(|| USUAL_NODE.into())
    }
}

/// Who signs.
#[derive(Args, Clone, Debug)]
pub struct KeyParams {
    /// File whose first line is the secret of the account: a phrase, or a seed in hex. Only its owner may be able to read it (chmod
    /// 600).
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Scheme of that key: sr25519, ed25519 or ecdsa.
    #[arg(long, value_name = "SCHEME", default_value = "sr25519")]
    pub key_scheme: Scheme,

    /// Secret URI instead of a file, such as //Alice: for development chains, since a command line can be read by everyone on the
    /// machine.
    #[arg(long, value_name = "URI", conflicts_with = "key")]
    pub dev: Option<String>,
}

impl KeyParams {
    /// The account, if one was given.
    pub(super) fn account(&self) -> Result<Option<Account>, WalletError> {
        let account = match (&self.key, &self.dev) {
            (Some(path), _) => Account::from_file(path, self.key_scheme)?,
            (None, Some(uri)) => {
                let account = Account::from_uri(uri, self.key_scheme)?;
                // Everyone knows the development keys anyway.
                if !uri.starts_with("//") {
                    show::warn(&format!(
                        "--dev was given a secret, which others on this machine can read; put it into a file for --key ({})",
                        account.id()
                    ));
                }
                account
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(account))
    }

    /// The account, which must have been given.
    pub(super) fn signer(&self) -> Result<Account, WalletError> {
        self.account()?.ok_or(WalletError::NoKey)
    }

    /// Who is meant: the account that was named, or else the key's.
    pub(super) fn who(&self, named: Option<&AccountId>) -> Result<AccountId, WalletError> {
        if let Some(named) = named {
            return Ok(named.clone());
        }
        let account = self.account()?;
        account
            .map(|account| account.id().clone())
            .ok_or(WalletError::NoAccount)
    }
}

/// How something is looked at.
#[derive(Args, Clone, Debug)]
pub struct ReadParams {
    /// The node.
    #[clap(flatten)]
    pub node: NodeParams,

    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Whose things are shown, and how.
#[derive(Args, Clone, Debug)]
pub struct ShowOptions {
    /// The account; default: the key's.
    #[arg(value_name = "SS58", value_parser = parse_address)]
    pub account: Option<AccountId>,

    /// Its key, instead of its address.
    #[clap(flatten)]
    pub key: KeyParams,

    /// How.
    #[clap(flatten)]
    pub read: ReadParams,
}

/// How something is done.
#[derive(Args, Clone, Debug)]
pub struct ActParams {
    /// The node.
    #[clap(flatten)]
    pub node: NodeParams,

    /// The key.
    #[clap(flatten)]
    pub key: KeyParams,

    /// Show what it would do and cost, and stop.
    #[arg(long)]
    pub dry_run: bool,

    /// Do it without asking.
    #[arg(long, short = 'y')]
    pub yes: bool,

    /// Print JSON on standard output; what people read goes to standard error.
    #[arg(long)]
    pub json: bool,
}

/// Where matrices are kept for others.
#[derive(Args, Clone, Debug)]
pub struct MatricesParams {
    /// Endpoint of a node with --artifacts: matrices are kept there for workers and auditors, and results come by way of it.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9955")]
    pub matrices: String,

    /// File whose first line is the token that the endpoint wants (its node's --gemm-token).
    #[arg(long, value_name = "FILE")]
    pub matrices_token: Option<PathBuf>,
}

impl MatricesParams {
    /// The endpoint.
    pub(super) fn endpoint(&self) -> Result<matrices::Remote, WalletError> {
        let token = self.matrices_token.as_deref().map(Token::secret_in);
        let token = token.transpose().map_err(WalletError::Token)?;
        Ok(matrices::Remote::new(&self.matrices, token.as_deref())?)
    }
}
