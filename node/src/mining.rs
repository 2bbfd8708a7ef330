//! What mines and multiplies beside the chain: the worker with its devices, and the endpoint that serves products. Started
//! after the engine, and ended before it goes.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU64,
    path::PathBuf,
    sync::Arc,
};

use futures::future::BoxFuture;
use labora_consensus::{KeepProofs, MiningHandle, Peers, Share, SubmitError, Template};
use labora_pouw::{Difficulty, Proof, Seal};
use labora_runtime::opaque::Block;
use sc_service::{ChainType, Configuration};
use sp_core::{H256, Pair, crypto::AccountId32, sr25519};
use tokio::{runtime::Handle, sync::watch};

use crate::{
    artifacts::Artifacts,
    cli::{
        Cli, GemmParams, MiningParams,
        values::{Author, GemmListen},
    },
    devices::DevicesSpec,
    http::{self, Endpoint, HttpConfig, ListenError, Token, TokenError},
    market::JobOptions,
    rig::{Limits, Rig, RigError},
    rpc::pouw::Mining,
    settings::is_local,
    trust::Trust,
    worker::{SubmitSeal, Verdict, Worker, WorkerConfig, WorkerError, WorkerHandle},
};

/// Where products are served if nothing else was asked for.
pub const DEFAULT_GEMM_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9955);

/// Mining and serving as the command line asks for, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// Account that is mined for; `None` if the node does not mine.
    pub author: Option<AccountId32>,
    /// Whether to mine without peers.
    pub peers: Peers,
    /// Which proofs to keep.
    pub keep_proofs: KeepProofs,
    /// What the user takes on trust.
    pub trust: Trust,
    /// What to multiply on.
    pub devices: DevicesSpec,
    /// What devices are kept within.
    pub limits: Limits,
    /// Where products are served; `None` if they are not.
    pub gemm: Option<GemmOptions>,
    /// What a share of a miner is worth, in multiply-accumulates; `None` if none are counted.
    pub share_macs: Option<NonZeroU64>,
    /// What part is taken in the market of jobs, if any.
    pub jobs: Option<JobOptions>,
}

/// Where products are served.
#[derive(Clone, Debug)]
pub struct GemmOptions {
    /// Address.
    pub tcp: Option<(SocketAddr, Asked)>,
    /// Path of the Unix socket.
    pub unix: Option<(PathBuf, Asked)>,
    /// What TCP clients must send.
    pub token: Option<Token>,
    /// Where matrices are kept, and in how many bytes; `None` if they are not.
    pub artifacts: Option<(PathBuf, u64)>,
}

/// Why the flags of the endpoint cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum GemmOptionsError {
    /// The token.
    #[error("--gemm-token: {0}")]
    Token(#[from] TokenError),
    /// Nobody said where artifacts are to be kept.
    #[error("--artifacts needs --artifacts-path here: a folder that they are kept in")]
    ArtifactsPath,
}

/// Whether a place to listen was named by the user or is a default.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Named: failing to listen there ends the node.
    Yes,
    /// A default: failing to listen there is a warning.
    No,
}

impl Options {
    /// Reads the flags beside the chain that they are for.
    pub fn new(cli: &Cli, config: &Configuration) -> sc_cli::Result<Self> {
        let chain_type = config.chain_spec.chain_type();
        let author = author(&cli.mining, config.dev_key_seed.as_deref(), &chain_type)?;
        let alone = config.force_authoring || chain_type == ChainType::Development;
        let devices = cli.mining.devices();
        let gemm = &cli.gemm;
        let asked =
            gemm.gemm_listen.is_some() || gemm.gemm_socket.is_some() || gemm.artifacts.is_some();
        let base = config.base_path.path();
        let gemm = (asked || devices != DevicesSpec::None)
            .then(|| GemmOptions::new(gemm, base.join("gemm.sock"), Some(base.join("artifacts"))))
            .transpose()
            .map_err(|error| sc_cli::Error::Application(Box::new(error)))?;
        let seed = config.dev_key_seed.as_deref();
        let seed = seed.filter(|_| is_local(&chain_type));
        let jobs = JobOptions::new(&cli.jobs, seed)
            .map_err(|error| sc_cli::Error::Application(Box::new(error)))?;
        let peers = if alone {
            Peers::NotRequired
        } else {
            Peers::Required
        };
        Ok(Options {
            author,
            peers,
            keep_proofs: cli.proofs.keep_proofs,
            trust: cli.proofs.trust(),
            devices,
            limits: cli.limits.limits(),
            gemm,
            share_macs: cli.mining.share_macs,
            jobs,
        })
    }
}

impl GemmOptions {
    /// Reads the flags; `default_socket` is the Unix socket if none is named, and `default_artifacts` the folder of artifacts.
    pub fn new(
        gemm: &GemmParams,
        default_socket: PathBuf,
        default_artifacts: Option<PathBuf>,
    ) -> Result<Self, GemmOptionsError> {
        let artifacts = match gemm.artifacts {
            Some(bytes) => {
                let path = gemm.artifacts_path.clone().or(default_artifacts);
                Some((path.ok_or(GemmOptionsError::ArtifactsPath)?, bytes))
            }
            None => None,
        };
        let tcp = match gemm.gemm_listen {
            None => Some((DEFAULT_GEMM_LISTEN, Asked::No)),
            Some(GemmListen::None) => None,
            Some(GemmListen::At(address)) => Some((address, Asked::Yes)),
        };
        let unix = match &gemm.gemm_socket {
            Some(path) => (path.clone(), Asked::Yes),
            None => (default_socket, Asked::No),
        };
        let token = gemm
            .gemm_token
            .as_deref()
            .map(Token::from_file)
            .transpose()?;
        Ok(GemmOptions {
            tcp,
            unix: Some(unix),
            token,
            artifacts,
        })
    }
}

/// The account to mine for, where the node is to mine; `dev_seed` is that of a development account which was asked for.
///
/// # Errors
///
/// If there is none.
pub fn author(
    mining: &MiningParams,
    dev_seed: Option<&str>,
    chain_type: &ChainType,
) -> sc_cli::Result<Option<AccountId32>> {
    if !mining.mine {
        return Ok(None);
    }
    match (&mining.author, dev_seed) {
        (Some(author), _) => {
            let account = author.account();
            if matches!(author, Author::FromSecret(_)) {
                tracing::warn!(
                    target: "labora",
                    "--author was given a secret, which others on this machine can read; prefer the address {account}"
                );
            }
            Ok(Some(account.clone()))
        }
        // Keys that everyone knows: fine where nothing is worth anything.
        (None, Some(seed)) if is_local(chain_type) => {
            let pair = sr25519::Pair::from_string(seed, None).map_err(|error| {
                sc_cli::Error::Input(format!("the seed {seed} of the development account is refused: {error:?}"))
            })?;
            Ok(Some(pair.public().into()))
        }
        (None, _) => Err(sc_cli::Error::Input(
            "--mine needs the account to mine for: add --author and its SS58 address (`labora key generate` makes one)"
                .into(),
        )),
    }
}

/// What did not start.
#[derive(Debug, thiserror::Error)]
pub enum WorkshopError {
    /// The devices.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// What watches them.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// The endpoint that serves products.
    #[error("products cannot be served: {0}")]
    Listen(#[from] ListenError),
}

/// The worker and its endpoint. Dropping it lets both finish what they took.
pub struct Workshop {
    worker: WorkerHandle,
    endpoint: Option<Endpoint>,
    /// Watches the devices until the workshop is gone.
    rig: Option<Rig>,
    tokio: Handle,
}

impl Workshop {
    /// Opens the devices and listens, serving `artifacts` if there are any. Without an `engine` products are computed and nothing
    /// is mined.
    pub async fn start(
        options: &Options,
        engine: Option<MiningHandle<Block>>,
        artifacts: Option<Artifacts>,
        tokio: Handle,
    ) -> Result<Self, WorkshopError> {
        let config = WorkerConfig {
            devices: options.devices.clone(),
        };
        let worker = match engine {
            Some(engine) => Worker::start(config, engine.templates(), engine)?,
            None => Worker::start(config, watch::channel(None).1, NoEngine)?,
        };
        let mut workshop = Workshop {
            worker,
            endpoint: None,
            rig: None,
            tokio,
        };
        workshop.rig = Some(Rig::start(workshop.worker.devices(), &options.limits)?);
        if let Some(gemm) = &options.gemm {
            workshop.endpoint = Some(listen(gemm.clone(), &workshop.worker, artifacts).await?);
        }
        Ok(workshop)
    }

    /// A handle on the worker.
    pub fn worker(&self) -> WorkerHandle {
        self.worker.clone()
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let (worker, endpoint) = (&self.worker, self.endpoint.take());
        drop(self.rig.take());
        let end = async {
            match endpoint {
                Some(endpoint) => endpoint.stop(worker).await,
                None => worker.shutdown().await,
            }
        };
        // On the way out of a failed start this is within the runtime, at the end of the node without.
        tokio::task::block_in_place(|| self.tokio.block_on(end));
    }
}

/// Listens where it was asked to, and at the defaults where that is possible.
pub async fn listen(
    mut gemm: GemmOptions,
    worker: &WorkerHandle,
    artifacts: Option<Artifacts>,
) -> Result<Endpoint, ListenError> {
    loop {
        let config = HttpConfig {
            unix: gemm.unix.as_ref().map(|(path, _)| path.clone()),
            tcp: gemm.tcp.map(|(address, _)| address),
            token: gemm.token.clone(),
            artifacts: artifacts.clone(),
        };
        let error = match http::serve(config, worker.clone()).await {
            Ok(endpoint) => {
                if let Some(address) = endpoint.tcp() {
                    tracing::info!(target: "labora", "products are served at http://{address}/v1/products");
                }
                if let Some(path) = endpoint.unix() {
                    tracing::info!(target: "labora", "products are served on the socket {}", path.display());
                }
                return Ok(endpoint);
            }
            Err(error) => error,
        };
        // Each turn gives up one default, so there are three at most.
        match &error {
            ListenError::PortInUse(_) if gemm.tcp.is_some_and(|(_, asked)| asked == Asked::No) => {
                gemm.tcp = None
            }
            ListenError::SocketInUse(_)
            | ListenError::NotASocket(_)
            | ListenError::PathTooLong(_)
            | ListenError::Socket { .. }
                if gemm
                    .unix
                    .as_ref()
                    .is_some_and(|(_, asked)| *asked == Asked::No) =>
            {
                gemm.unix = None;
            }
            _ => return Err(error),
        }
        tracing::warn!(target: "labora", "products are not served everywhere: {error}");
    }
}

/// Stands where an engine would, on a node that does not mine.
struct NoEngine;

impl SubmitSeal for NoEngine {
    async fn submit(&self, _: H256, _: Seal, _: Proof) -> Verdict {
        Verdict::Refused("this node does not mine".into())
    }
}

impl Mining for MiningHandle<Block> {
    fn templates(&self) -> watch::Receiver<Option<Template>> {
        MiningHandle::templates(self)
    }

    fn submit(
        &self,
        pre_hash: H256,
        seal: Seal,
        proof: Proof,
    ) -> BoxFuture<'static, Result<H256, SubmitError>> {
        let handle = self.clone();
        Box::pin(async move { MiningHandle::submit(&handle, pre_hash, seal, proof).await })
    }

    fn check_share(
        &self,
        pre_hash: H256,
        seal: Seal,
        proof: Arc<Proof>,
        least: Difficulty,
    ) -> BoxFuture<'static, Result<Share, SubmitError>> {
        let handle = self.clone();
        Box::pin(
            async move { MiningHandle::check_share(&handle, pre_hash, seal, proof, least).await },
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn a_development_account_is_mined_for_where_it_was_asked_for() {
        let of = |flags: &[&str], seed, chain| {
            let all = ["labora"].iter().chain(flags);
            let cli = Cli::try_parse_from(all).expect("flags that there are");
            author(&cli.mining, seed, &chain)
        };
        let alice = sp_keyring::Sr25519Keyring::Alice.to_account_id();
        let seed = Some("//Alice");
        let asked = of(&["--mine"], seed, ChainType::Local);
        assert_eq!(asked.expect("it is named"), Some(alice.clone()));
        // The chain alone does not say which.
        let nobody = of(&["--mine"], None, ChainType::Local).expect_err("it is named nowhere");
        assert!(nobody.to_string().contains("--author"), "{nobody}");
        assert!(of(&["--mine"], seed, ChainType::Live).is_err());
        let named = of(&["--mine", "--author", "//Alice"], None, ChainType::Live);
        assert_eq!(named.expect("it is named"), Some(alice));
        assert_eq!(of(&[], seed, ChainType::Local).expect("not needed"), None);
    }
}
