//! One `labora` process: its command line, its folder, its ends.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use crate::{Machine, Outcome, binary, log::Log, rpc::Rpc, wait_for};

/// From the start of the process to the first answer over RPC: loading the WASM runtime is most of it.
pub const START_LIMIT: Duration = Duration::from_secs(240);

/// From a polite signal to the end of the process.
pub const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Which chain a node runs.
#[derive(Clone, Debug)]
pub enum Chain {
    /// `--dev`.
    Dev,
    /// `--chain NAME`, of those built in.
    Named(&'static str),
    /// `--chain FILE`.
    File(PathBuf),
}

/// Whether a node mines, and with what.
#[derive(Clone, Copy, Debug)]
pub enum Mining {
    /// Follows only.
    Off,
    /// `--mine --devices DEVICES`, for the author of the options.
    With(&'static str),
}

/// The command line of a node, less its ports, which the system chooses.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The chain; the dev chain unless changed.
    pub chain: Chain,
    /// One processor thread unless changed.
    pub mining: Mining,
    /// Whom the blocks pay.
    pub author: &'static str,
    /// Addresses of nodes to begin with.
    pub bootnodes: Vec<String>,
    /// Also answers the GEMM endpoint on this Unix socket.
    pub gemm_socket: Option<PathBuf>,
    /// Anything else.
    pub more: Vec<String>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
}

impl NodeOptions {
    /// A dev node that mines with one thread.
    pub fn dev() -> Self {
        Self {
            chain: Chain::Dev,
            mining: Mining::With("cpu:1"),
            author: "//Alice",
            bootnodes: Vec::new(),
            gemm_socket: None,
            more: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// A miner of the chain of a spec file.
    pub fn of_spec(spec: &Path) -> Self {
        Self {
            chain: Chain::File(spec.to_owned()),
            ..Self::dev()
        }
    }

    /// The same, mining with other devices.
    pub fn devices(self, devices: &'static str) -> Self {
        Self {
            mining: Mining::With(devices),
            ..self
        }
    }

    /// The same, not mining.
    pub fn following(self) -> Self {
        Self {
            mining: Mining::Off,
            ..self
        }
    }

    /// The same, with one more node to begin with.
    pub fn bootnode(mut self, address: String) -> Self {
        self.bootnodes.push(address);
        self
    }

    /// The arguments on the data folder `base`.
    pub fn arguments(&self, base: &Path) -> Vec<String> {
        let mut out = Vec::new();
        let mut add = |items: &[&str]| out.extend(items.iter().map(|item| (*item).to_owned()));
        match &self.chain {
            Chain::Dev => add(&["--dev"]),
            Chain::Named(name) => add(&["--chain", name]),
            Chain::File(path) => add(&["--chain", &path.to_string_lossy()]),
        }
        add(&["--base-path", &base.to_string_lossy()]);
        // Loopback only, on ports that nobody else has.
        add(&["--rpc-port", "0", "--listen-addr", "/ip4/127.0.0.1/tcp/0"]);
        add(&[
            "--no-prometheus",
            "--no-telemetry",
            "--no-mdns",
            "--gemm-listen",
            "127.0.0.1:0",
        ]);
        if let Mining::With(devices) = self.mining {
            add(&[
                "--mine",
                "--author",
                self.author,
                "--devices",
                devices,
                "--force-authoring",
            ]);
        }
        if let Some(socket) = &self.gemm_socket {
            add(&["--gemm-socket", &socket.to_string_lossy()]);
        }
        for address in &self.bootnodes {
            add(&["--bootnodes", address]);
        }
        out.extend(self.more.iter().cloned());
        out
    }

    /// The same, of a node that serves its metrics.
    pub fn arguments_with_metrics(&self, base: &Path) -> Vec<String> {
        let mut out = self.arguments(base);
        out.retain(|argument| argument != "--no-prometheus");
        out.extend(["--prometheus-port", "0"].map(String::from));
        out
    }
}

/// What [`Node::freeze`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freeze {
    /// The process does nothing, and its connections stay.
    Stop,
    /// It goes on.
    GoOn,
}

/// A running node. Dropping it kills it, and shows the end of its log if the test fails.
pub struct Node {
    child: Child,
    log: Log,
    rpc: Rpc,
    rpc_address: SocketAddr,
    shows_log: bool,
}

impl Node {
    /// Starts a node on the data folder `base`, which may hold the data of an earlier start, and waits until it answers.
    pub async fn start(turn: &Machine, base: &Path, options: &NodeOptions) -> Outcome<Self> {
        let (arguments, environment) = (options.arguments(base), &options.environment);
        Self::launch(turn, base, &arguments, environment).await
    }

    /// Starts a node with these arguments, and puts its log into `base`.
    pub async fn start_with(turn: &Machine, base: &Path, arguments: &[String]) -> Outcome<Self> {
        Self::launch(turn, base, arguments, &[]).await
    }

    async fn launch(
        turn: &Machine,
        base: &Path,
        arguments: &[String],
        environment: &[(String, String)],
    ) -> Outcome<Self> {
        let mut command = Command::new(binary::labora()?);
        command.args(arguments).envs(environment.iter().cloned());
        Self::start_program(turn, base, command).await
    }

    /// Starts another program that says and answers what the SDK makes a node say and answer, and puts its log into `base`.
    pub async fn start_program(
        _turn: &Machine,
        base: &Path,
        mut command: Command,
    ) -> Outcome<Self> {
        std::fs::create_dir_all(base)?;
        let log = Log::at(free_log_path(base));
        let file = File::create(log.path())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        // From here on the guard's drop ends the process whatever fails.
        let mut guard = Guard {
            child: Some(child),
            log: log.clone(),
        };
        let rpc_address: SocketAddr =
            wait_for("the node's RPC address in its log", START_LIMIT, || {
                let found = match guard.exited() {
                    Some(status) => Ok(Err(format!("the node ended by itself: {status}"))),
                    None => log
                        .after_last("Running JSON-RPC server: addr=", &[',', ' '])
                        .map(Ok),
                };
                async move {
                    match found? {
                        Ok(address) => Ok(address.map(|text| text.parse()).transpose()?.map(Ok)),
                        Err(ended) => Ok(Some(Err(ended))),
                    }
                }
            })
            .await??;
        let rpc = wait_for("the node's first answer", START_LIMIT, || async move {
            let rpc = Rpc::connect(rpc_address).await?;
            rpc.best_number().await?;
            Ok(Some(rpc))
        })
        .await?;
        let child = guard.child.take().ok_or("the process was taken already")?;
        Ok(Self {
            child,
            log,
            rpc,
            rpc_address,
            shows_log: true,
        })
    }

    /// JSON-RPC over a WebSocket.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Where JSON-RPC is served, over HTTP and WebSockets.
    pub fn rpc_address(&self) -> SocketAddr {
        self.rpc_address
    }

    /// The log of this start.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Where the GEMM endpoint listens on loopback.
    pub fn gemm_address(&self) -> Outcome<SocketAddr> {
        let found = self
            .log
            .after_last("products are served at http://", &['/', ' ', ',', '"'])?;
        Ok(found.ok_or("the log names no GEMM endpoint")?.parse()?)
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where other nodes reach this one: `/ip4/127.0.0.1/tcp/PORT/p2p/ID`.
    pub async fn address(&self) -> Outcome<String> {
        let rpc = &self.rpc;
        wait_for(
            "an address that the node listens on",
            START_LIMIT,
            || async move {
                let all: Vec<String> = rpc.call("system_localListenAddresses", &[]).await?;
                Ok(all
                    .into_iter()
                    .find(|address| address.starts_with("/ip4/127.0.0.1/tcp/")))
            },
        )
        .await
    }

    /// `kill -9`, at once.
    pub fn kill(mut self) -> Outcome<Log> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.log.clone())
    }

    /// Stops the process where it is, or lets it go on: SIGSTOP and SIGCONT.
    pub fn freeze(&self, whether: Freeze) -> Outcome {
        let name = match whether {
            Freeze::Stop => "-STOP",
            Freeze::GoOn => "-CONT",
        };
        let sent = Command::new("kill")
            .args([name, &self.pid().to_string()])
            .status()?;
        if !sent.success() {
            return Err(format!("SIG{name} could not be sent").into());
        }
        Ok(())
    }

    /// Keeps the end of its log to itself: for those whose output people read, once all went well.
    pub fn hush(&mut self) {
        self.shows_log = false;
    }

    /// SIGTERM, as a service manager or `docker stop` sends it; waits for the end.
    pub async fn stop(self) -> Outcome<ExitStatus> {
        self.signal("TERM").await
    }

    /// As [`stop`](Self::stop); fails unless the node ends well, and keeps its log to itself.
    pub async fn stop_well(mut self) -> Outcome {
        self.hush();
        let log = self.log.path().to_owned();
        match self.stop().await? {
            status if status.success() => Ok(()),
            status => Err(format!("the node of {} ended with {status}", log.display()).into()),
        }
    }

    /// Sends a signal and waits for the end.
    pub async fn signal(mut self, name: &str) -> Outcome<ExitStatus> {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()?;
        if !sent.success() {
            return Err(format!("SIG{name} could not be sent to process {}", self.pid()).into());
        }
        let child = &mut self.child;
        wait_for("the node's end", STOP_LIMIT, || {
            let status = child.try_wait();
            async move { Ok(status?) }
        })
        .await
    }

    /// Fails if the process has ended.
    pub fn assert_running(&mut self) -> Outcome {
        match self.child.try_wait()? {
            Some(status) => Err(format!("the node ended by itself: {status}").into()),
            None => Ok(()),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        end(&mut self.child, self.shows_log.then_some(&self.log));
    }
}

/// Holds the process until the node is known to be up.
struct Guard {
    child: Option<Child>,
    log: Log,
}

impl Guard {
    fn exited(&mut self) -> Option<ExitStatus> {
        self.child
            .as_mut()
            .and_then(|child| child.try_wait().ok().flatten())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            end(child, Some(&self.log));
        }
    }
}

/// Ends a process for good. The test runner keeps what is printed here to itself unless the test fails.
fn end(child: &mut Child, log: Option<&Log>) {
    let _ = child.kill();
    let _ = child.wait();
    if let Some(log) = log {
        println!("---- end of {}\n{}", log.path().display(), log.tail());
    }
}

/// A name in `base` for the log of one more start.
fn free_log_path(base: &Path) -> PathBuf {
    (1..)
        .map(|start| base.join(format!("log.{start}")))
        .find(|path| !path.exists())
        .unwrap_or_default()
}
