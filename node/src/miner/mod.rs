//! `labora miner`: mines for a node elsewhere, and takes products like a node. It has no chain, no runtime and no database:
//! work comes by `pouw_subscribeWork`, winning tiles go back by `pouw_submitSeal` or, with a rig's name, `pouw_submitShare`.
//!
//! [`link`] keeps the connection and decides what may be mined on; [`submit`] sends what was found; the devices and the
//! endpoint for products are those of a node (`crate::worker`, `crate::http`).

mod backoff;
mod link;
mod logger;
mod pulse;
mod session;
mod status;
mod submit;
#[cfg(test)]
mod tests;
mod url;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use labora_market::{matrices::Matrices, node::Remote};
use substrate_prometheus_endpoint::{PrometheusError, Registry, init_prometheus};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    artifacts::{self, Artifacts},
    cli::{GemmParams, JobParams, LimitParams, MatricesParams, devices::parse_devices},
    devices::DevicesSpec,
    http::ListenError,
    market::{self, JobOptions, JobsError},
    mining::{self, GemmOptions, GemmOptionsError},
    rig::{self, Limits, Rig, RigError},
    shares::{RigName, RigNameError},
    worker::{Hold, Worker, WorkerConfig, WorkerError},
};
use link::{Link, LinkError, State};
use status::{Live, Tally};
use submit::RemoteSubmit;
pub(crate) use url::NodeUrl;
use url::UrlError;

/// Most nodes that are named: a round through them, at the longest wait for each, then still takes under two minutes.
const MAX_NODES: usize = 16;

/// Name of the default Unix socket.
const SOCKET: &str = "labora-miner.sock";

/// What to mine for, and on what.
#[derive(Args, Clone, Debug)]
pub struct MinerCommand {
    /// Node to mine for, such as ws://10.0.0.5:9944. Given several times, the next is tried when one fails.
    ///
    /// It must have been started with --mine, and with --rpc-methods unsafe if it is reached from another machine.
    #[arg(long = "node", value_name = "URL", required = true)]
    pub nodes: Vec<String>,

    /// What multiplies: `auto` (every GPU, or the CPU where there is none), `cuda`, `cuda:0,2`, `cpu`, `cpu:THREADS`, or
    /// several of them by `+`.
    #[arg(long, value_name = "DEVICES", value_parser = parse_devices, default_value = "auto")]
    pub devices: DevicesSpec,

    /// Limits of the devices.
    #[clap(flatten)]
    pub limits: LimitParams,

    /// Where products are taken.
    #[clap(flatten)]
    pub gemm: GemmParams,

    /// Part that is taken in the market of jobs.
    #[clap(flatten)]
    pub jobs: JobParams,

    /// Where matrices of jobs are.
    #[clap(flatten)]
    pub matrices: MatricesParams,

    /// Name under which a node with --share-macs counts this rig's shares: 1 to 64 printable characters without spaces.
    #[arg(long, value_name = "NAME")]
    pub rig: Option<String>,

    /// Serve metrics of the devices at http://127.0.0.1:PORT/metrics, as a node does on 9615. Off by default.
    #[arg(long, value_name = "PORT")]
    pub prometheus_port: Option<u16>,

    /// Serve them to other machines too.
    #[arg(long, requires = "prometheus_port")]
    pub prometheus_external: bool,

    /// What to log: a level, or levels by target, such as labora=debug,warn.
    #[arg(short = 'l', long, value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// Why a miner ends by itself.
#[derive(Debug, thiserror::Error)]
pub enum MinerError {
    /// No address of a node.
    #[error("--node {given}: {error}")]
    Url {
        /// What was given.
        given: String,
        /// What is wrong with it.
        error: UrlError,
    },
    /// Too many addresses.
    #[error("{got} nodes are named, of at most {MAX_NODES}")]
    Nodes {
        /// How many.
        got: usize,
    },
    /// No name of a rig.
    #[error("--rig: {0}")]
    Rig(#[from] RigNameError),
    /// Nothing to mine on.
    #[error("--devices none leaves nothing to mine on; give auto, cuda, cpu or cpu:THREADS")]
    NoDevices,
    /// The log's filter.
    #[error("--log: {0}")]
    Log(String),
    /// What watches the devices.
    #[error(transparent)]
    Watch(#[from] RigError),
    /// The flags of the endpoint.
    #[error(transparent)]
    Endpoint(#[from] GemmOptionsError),
    /// The flags of the market.
    #[error(transparent)]
    Jobs(#[from] JobsError),
    /// The devices.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The endpoint for products.
    #[error("products cannot be served: {0}")]
    Listen(#[from] ListenError),
    /// The metrics.
    #[error("metrics cannot be served: {0}; give another --prometheus-port")]
    Metrics(#[from] substrate_prometheus_endpoint::Error),
    /// The metrics' names.
    #[error("metrics cannot be registered: {0}")]
    Register(#[from] PrometheusError),
    /// The system refused threads, or signals.
    #[error("the system refuses what a miner needs: {0}")]
    System(#[from] std::io::Error),
    /// No node that was named can be mined for.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl From<MinerError> for sc_cli::Error {
    fn from(error: MinerError) -> Self {
        sc_cli::Error::Application(Box::new(error))
    }
}

/// The command line, checked.
struct Config {
    nodes: Vec<NodeUrl>,
    devices: DevicesSpec,
    limits: Limits,
    gemm: GemmOptions,
    rig: Option<RigName>,
    metrics: Option<SocketAddr>,
    jobs: Option<(JobOptions, Arc<dyn Matrices>)>,
}

impl Config {
    fn new(command: &MinerCommand) -> Result<Self, MinerError> {
        if command.nodes.len() > MAX_NODES {
            let got = command.nodes.len();
            return Err(MinerError::Nodes { got });
        }
        let nodes = command.nodes.iter().map(|given| {
            NodeUrl::new(given).map_err(|error| MinerError::Url {
                given: given.clone(),
                error,
            })
        });
        let nodes = nodes.collect::<Result<_, _>>()?;
        if command.devices == DevicesSpec::None {
            return Err(MinerError::NoDevices);
        }
        let jobs = JobOptions::new(&command.jobs, None)?;
        let jobs =
            jobs.map(|jobs| Ok::<_, JobsError>((jobs, market::matrices_at(&command.matrices)?)));
        let runtime_folder = std::env::var_os("XDG_RUNTIME_DIR");
        Ok(Config {
            nodes,
            devices: command.devices.clone(),
            limits: command.limits.limits(),
            gemm: GemmOptions::new(
                &command.gemm,
                default_socket(runtime_folder.as_deref()),
                None,
            )?,
            rig: command.rig.as_deref().map(RigName::new).transpose()?,
            metrics: command.prometheus_port.map(|port| {
                let reach = match command.prometheus_external {
                    true => Ipv4Addr::UNSPECIFIED,
                    false => Ipv4Addr::LOCALHOST,
                };
                SocketAddr::from((reach, port))
            }),
            jobs: jobs.transpose()?,
        })
    }
}

/// Where products are served on a Unix socket if nothing else was asked for.
fn default_socket(runtime_folder: Option<&std::ffi::OsStr>) -> PathBuf {
    runtime_folder
        .filter(|folder| Path::new(folder).is_absolute())
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(SOCKET)
}

/// Mines until a signal comes. Ends with an error if the command line is wrong, or if no node that it names will do.
pub fn run(command: &MinerCommand) -> sc_cli::Result<ExitCode> {
    let config = Config::new(command)?;
    let live = Live::new();
    logger::init(&command.log, &live)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("miner")
        .build()
        .map_err(MinerError::from)?;
    runtime.block_on(serve(config, live))?;
    Ok(ExitCode::SUCCESS)
}

/// Serves metrics, where that was asked for. Ends if it cannot.
async fn serve_metrics(at: Option<SocketAddr>, registry: Registry) -> Result<(), MinerError> {
    match at {
        Some(address) => Ok(init_prometheus(address, registry).await?),
        None => std::future::pending().await,
    }
}

async fn serve(config: Config, live: Live) -> Result<(), MinerError> {
    let tally = Arc::new(Tally::default());
    let (templates, mined) = watch::channel(None);
    let state = watch::Sender::new(State::Down);
    let submit = RemoteSubmit::new(state.subscribe(), config.rig.clone(), Arc::clone(&tally));
    let worker = Worker::start(
        WorkerConfig {
            devices: config.devices,
        },
        mined,
        submit,
    )?;
    for device in worker.stats().per_device {
        let does = match device.held {
            Some(Hold::Standby) => "standing by",
            _ => "mining on",
        };
        tracing::info!(target: "labora", "{does} {}", device.name);
    }
    // Watches the devices until the miner ends.
    let _watch = Rig::start(worker.devices(), &config.limits)?;
    // Nothing is fetched from peers: there are none.
    let artifacts = artifacts::open(Some(&config.gemm))?.map(Artifacts::alone);
    let endpoint = mining::listen(config.gemm, &worker, artifacts).await?;
    let registry = Registry::new();
    let stats = worker.clone();
    rig::metrics::register_all(&registry, &(Arc::new(move || stats.stats()) as _))?;
    if let Some((jobs, matrices)) = config.jobs {
        let urls = config.nodes.iter().map(ToString::to_string);
        let place = market::Place {
            node: Arc::new(Remote::any_of(urls.collect())),
            matrices,
            devices: worker.clone(),
        };
        market::start(jobs, place, Some(&registry), |task| {
            drop(tokio::spawn(task))
        })?;
    }
    let shares = match config.rig {
        Some(_) => link::Shares::Wanted,
        None => link::Shares::Unwanted,
    };
    let link = Link::new(config.nodes, shares, templates, state, Arc::clone(&tally));
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let link = link.run();
    tokio::pin!(link);
    let ended = tokio::select! {
        Err(error) = &mut link => Err(error.into()),
        Err(error) = serve_metrics(config.metrics, registry) => Err(error),
        () = status::report(&tally, &worker, &live) => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    live.clear();
    if ended.is_ok() {
        tracing::info!(target: "labora", "finishing the products that were taken, then ending");
    }
    // The link lives on meanwhile, so that the tiles found last are sent and answered.
    let linked = async {
        if ended.is_ok() {
            let _ = link.await;
        }
        std::future::pending().await
    };
    tokio::select! {
        () = endpoint.stop(&worker) => (),
        () = linked => (),
    }
    status::log(&tally, &worker);
    ended
}
