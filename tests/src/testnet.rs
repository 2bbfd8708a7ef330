//! One `labora testnet` process and the members that it starts.

use std::{
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{Machine, Outcome, binary, log::Log, node::START_LIMIT, rpc::Rpc, wait_for};

/// How the lines begin that tell how a network does.
const FIGURES: &str = "blocks ";

/// From the order to end to the end of the supervisor: its members have 20 s in each of two steps.
const STOP_LIMIT: Duration = Duration::from_secs(90);

/// A running supervisor. Dropping it kills it, and with it its members.
pub struct Testnet {
    child: Child,
    said: Log,
    printed: Log,
}

/// What a network did, by the names under which it says so.
pub struct Summary(pub Value);

impl Summary {
    /// A figure.
    pub fn figure(&self, name: &str) -> Outcome<f64> {
        let figure = self.0[name].as_f64();
        Ok(figure.ok_or_else(|| format!("no {name} in {}", self.0))?)
    }
}

impl Testnet {
    /// Starts a network; what it says and prints goes to files in `folder`.
    pub fn start(_turn: &Machine, folder: &Path, flags: &[&str]) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        let (said, printed) = (
            Log::at(folder.join("said")),
            Log::at(folder.join("printed")),
        );
        let child = Command::new(binary::labora()?)
            .arg("testnet")
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(File::create(printed.path())?)
            .stderr(File::create(said.path())?)
            .spawn()?;
        Ok(Self {
            child,
            said,
            printed,
        })
    }

    /// Four validators and two miners, until so many blocks are final; it then prints figures.
    pub fn of_four_and_two(turn: &Machine, folder: &Path, blocks: u64) -> Outcome<Self> {
        let blocks = blocks.to_string();
        let members = ["--validators", "4", "--miners", "2"];
        let end = ["--blocks", &blocks, "--json"];
        Self::start(turn, folder, &[&members[..], &end].concat())
    }

    /// The figures that it printed at its end.
    pub fn summary(&self) -> Outcome<Summary> {
        let summary: Value = serde_json::from_str(&self.printed.text()?)?;
        println!("{summary:#}");
        Ok(Summary(summary))
    }

    /// What it says: standard error.
    pub fn said(&self) -> &Log {
        &self.said
    }

    /// What it prints: standard output.
    pub fn printed(&self) -> &Log {
        &self.printed
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types a line.
    pub fn order(&mut self, line: &str) -> Outcome {
        let stdin = self
            .child
            .stdin
            .as_mut()
            .ok_or("its standard input is closed")?;
        writeln!(stdin, "{line}")?;
        Ok(stdin.flush()?)
    }

    /// Waits until it says this.
    pub async fn says(&self, words: &str) -> Outcome {
        wait_for(&format!("the words `{words}`"), START_LIMIT, || async {
            Ok(self.said.text()?.contains(words).then_some(()))
        })
        .await
    }

    /// JSON-RPC of a member, once it answers.
    pub async fn rpc(&self, member: &str) -> Outcome<Rpc> {
        wait_for(
            &format!("an answer of {member}"),
            START_LIMIT,
            || async move {
                let mark = format!("{member}: RPC ws://");
                let Some(address) = self.said.after_last(&mark, &[','])? else {
                    return Ok(None);
                };
                let address: SocketAddr = address.parse()?;
                let rpc = Rpc::connect(address).await?;
                rpc.best_number().await?;
                Ok(Some(rpc))
            },
        )
        .await
    }

    /// Its members' processes.
    pub fn members(&self) -> Outcome<Vec<Member>> {
        let mut out = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let member = Member { pid };
            // One that ends meanwhile is none.
            if member.parent() == Some(self.pid()) {
                out.push(member);
            }
        }
        Ok(out)
    }

    /// The process of one member, by its command line.
    pub fn member(&self, name: &str) -> Outcome<Option<Member>> {
        let named = |member: &Member| {
            let line = fs::read(format!("/proc/{}/cmdline", member.pid)).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            words.any(|word| word == b"--name") && words.next() == Some(name.as_bytes())
        };
        Ok(self.members()?.into_iter().find(named))
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) -> Outcome {
        send(name, self.pid())
    }

    /// Waits for its end.
    pub async fn end(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let child = &mut self.child;
        wait_for("the end of labora testnet", limit, || {
            let status = child.try_wait();
            async move { Ok(status?) }
        })
        .await
    }

    /// Asks it to end, and waits for it.
    pub async fn stop(&mut self) -> Outcome<ExitStatus> {
        self.signal("TERM")?;
        self.end(STOP_LIMIT).await
    }
}

impl Drop for Testnet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Beside what a test itself has to say of its failure, a line of figures every few seconds says nothing.
        let is_shown = |line: &str| !line.starts_with(FIGURES);
        println!(
            "---- end of {}\n{}\n{FIGURES}{}",
            self.said.path().display(),
            self.said.tail_of(is_shown),
            self.said
                .after_last(FIGURES, &[])
                .ok()
                .flatten()
                .unwrap_or_default()
        );
    }
}

/// A process by its id.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The id.
    pub pid: u32,
}

impl Member {
    /// A field of what the system says of it, counted from its state, which follows the name in parentheses.
    fn stat(&self, field: usize) -> Option<String> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let (_, rest) = text.rsplit_once(')')?;
        Some(rest.split_ascii_whitespace().nth(field)?.to_owned())
    }

    fn parent(&self) -> Option<u32> {
        self.stat(1)?.parse().ok()
    }

    /// Whether it does or holds anything still. One whose end nobody has asked for yet does not; but while other threads of
    /// it end, its files, a database's lock among them, are still its own.
    pub fn is_alive(&self) -> bool {
        match self.stat(0).as_deref() {
            None | Some("X") => false,
            Some("Z") => self.stat(17).is_some_and(|threads| threads != "1"),
            Some(_) => true,
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) -> Outcome {
        send(name, self.pid)
    }

    /// Waits for its end.
    pub async fn ended(&self) -> Outcome {
        wait_for(
            &format!("the end of process {}", self.pid),
            STOP_LIMIT,
            || async { Ok((!self.is_alive()).then_some(())) },
        )
        .await
    }
}

fn send(name: &str, pid: u32) -> Outcome {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()?;
    if !sent.success() {
        return Err(format!("SIG{name} could not be sent to process {pid}").into());
    }
    Ok(())
}
