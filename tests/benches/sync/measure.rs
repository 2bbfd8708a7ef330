//! One sync: a node with an empty database, its servers, and what passes until it has the chain.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use labora_tests::{Machine, Node, NodeOptions, Outcome, rpc::Rpc};

use crate::{PLAIN, chain::Servers};

/// Longest that a sync may take.
const LIMIT: Duration = Duration::from_secs(1_200);

/// Between two looks at the node.
const POLL: Duration = Duration::from_millis(20);

/// What the SDK logs when the state is in, and when the blocks behind it are.
const WARPED: &str = "State sync is complete";
const HISTORY: &str = "Block history download is complete";

/// What syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `labora`, with these flags.
    Labora(&'static [&'static str]),
    /// The SDK's parts alone.
    Plain,
}

/// How it syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All blocks, from the server that keeps all proofs.
    FullFromArchive,
    /// All blocks, from a server that keeps proofs as a node does by default.
    Full,
    /// The state, then the blocks behind it, from all three servers.
    Warp,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in the table.
    pub name: &'static str,
    /// What syncs.
    pub program: Program,
    /// How.
    pub mode: Mode,
}

/// All kinds, in the order in which a round has them.
pub const KINDS: [Kind; 7] = [
    kind("plain full", Program::Plain, Mode::Full),
    kind("labora full", Program::Labora(&[]), Mode::Full),
    kind("plain full-archive", Program::Plain, Mode::FullFromArchive),
    kind(
        "labora full-archive",
        Program::Labora(&[]),
        Mode::FullFromArchive,
    ),
    kind(
        "labora verify-all",
        Program::Labora(&["--verify", "all"]),
        Mode::FullFromArchive,
    ),
    kind("plain warp", Program::Plain, Mode::Warp),
    kind("labora warp", Program::Labora(&[]), Mode::Warp),
];

const fn kind(name: &'static str, program: Program, mode: Mode) -> Kind {
    Kind {
        name,
        program,
        mode,
    }
}

/// What passed, from the moment at which a running node was told of its servers.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// On the wall's clock, in seconds.
    pub wall_s: f64,
    /// Of all its threads on processors, in seconds.
    pub cpu_s: f64,
}

/// One sync.
#[derive(Clone, Copy, Debug)]
pub struct Sync {
    /// Until the best block was the servers'.
    pub to_best: Spent,
    /// Until there was every block.
    pub to_all: Spent,
}

/// Syncs once, in `base`.
pub async fn sync(machine: &Machine, base: &Path, kind: &Kind, servers: &Servers) -> Outcome<Sync> {
    let node = start(machine, base, kind, &servers.spec).await?;
    let from: Vec<&Node> = match kind.mode {
        Mode::FullFromArchive => vec![&servers.archive],
        Mode::Full => vec![&servers.pruned[0]],
        Mode::Warp => servers.pruned.iter().chain([&servers.archive]).collect(),
    };
    let mut addresses = Vec::new();
    for server in from {
        addresses.push(server.address().await?);
    }
    let watch = Watch::start(node.pid())?;
    for address in addresses {
        let () = node
            .rpc()
            .call("system_addReservedPeer", &[address.into()])
            .await?;
    }
    let rpc = node.rpc();
    let to_best = watch
        .until(|| async { Ok(rpc.best_hash().await? == servers.best) })
        .await?;
    let to_all = match kind.mode {
        Mode::Warp => {
            watch
                .until(|| async {
                    Ok(says(&node, HISTORY)? && has_all(rpc, servers.height).await?)
                })
                .await?
        }
        Mode::Full | Mode::FullFromArchive => to_best,
    };
    node.log().assert_no_panic()?;
    if kind.mode == Mode::Warp && !says(&node, WARPED)? {
        return Err("the node did not sync by warp".into());
    }
    node.stop_well().await?;
    Ok(Sync { to_best, to_all })
}

fn says(node: &Node, words: &str) -> Outcome<bool> {
    Ok(node.log().text()?.contains(words))
}

async fn start(machine: &Machine, base: &Path, kind: &Kind, spec: &Path) -> Outcome<Node> {
    let mut options = NodeOptions::of_spec(spec).following();
    // It would hear of the other servers from the one that it is given, and sync from them too.
    options.more = vec!["--reserved-only".into()];
    if kind.mode == Mode::Warp {
        options.more.extend(["--sync", "warp"].map(str::to_owned));
    }
    match kind.program {
        Program::Labora(flags) => {
            options.more.extend(flags.iter().map(|flag| (*flag).into()));
            Node::start(machine, base, &options).await
        }
        Program::Plain => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(PLAIN).args(of_the_sdk(options.arguments(base)));
            Node::start_program(machine, base, command).await
        }
    }
}

/// The flags that the SDK knows too.
fn of_the_sdk(mut arguments: Vec<String>) -> Vec<String> {
    if let Some(at) = arguments.iter().position(|flag| flag == "--gemm-listen") {
        arguments.drain(at..=at + 1);
    }
    arguments
}

/// Whether the node has every block: after a warp they come in order, those that the warp proof names apart.
async fn has_all(rpc: &Rpc, height: u64) -> Outcome<bool> {
    // From the top, where what is missing is missing last.
    for number in (1..height).rev().take(100).chain([1]) {
        if rpc.hash_at(number).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Time of a process since a moment.
struct Watch {
    pid: u32,
    began: Instant,
    cpu_s: f64,
}

impl Watch {
    fn start(pid: u32) -> Outcome<Self> {
        Ok(Self {
            pid,
            began: Instant::now(),
            cpu_s: cpu_seconds(pid)?,
        })
    }

    /// Waits until `done` holds, and says what passed since the start.
    async fn until<F: Future<Output = Outcome<bool>>>(
        &self,
        mut done: impl FnMut() -> F,
    ) -> Outcome<Spent> {
        while !done().await? {
            if self.began.elapsed() > LIMIT {
                return Err(format!("the node had not synced after {LIMIT:?}").into());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(Spent {
            wall_s: self.began.elapsed().as_secs_f64(),
            cpu_s: cpu_seconds(self.pid)? - self.cpu_s,
        })
    }
}

/// What a process has spent so far, in the program and in the system on its behalf.
pub fn cpu_seconds(pid: u32) -> Outcome<f64> {
    /// Ticks of these figures in a second, on every Linux of today.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
    // utime and stime are fields 14 and 15; the state, which follows the name, is field 3.
    let fields: Vec<&str> = rest.split_ascii_whitespace().skip(11).take(2).collect();
    let [user, system] = fields[..] else {
        return Err("too few fields in /proc/PID/stat".into());
    };
    Ok((user.parse::<f64>()? + system.parse::<f64>()?) / TICKS)
}
