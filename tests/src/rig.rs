//! One `labora miner` process: a rig that mines for a node elsewhere.

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Machine, Outcome, binary, http::Http, log::Log, wait_for};

/// From the start of the process to an endpoint that listens: there is no chain to open.
const START_LIMIT: Duration = Duration::from_secs(30);

/// From a polite signal to the end of the process.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running miner. Dropping it kills it, and shows the end of its log if the test fails.
pub struct Rig {
    child: Child,
    log: Log,
    gemm: SocketAddr,
    started_in: Duration,
}

impl Rig {
    /// Starts a miner of one thread for these nodes, with its log and its socket in `folder`.
    pub async fn start(
        _turn: &Machine,
        folder: &Path,
        nodes: &[String],
        more: &[&str],
    ) -> Outcome<Self> {
        std::fs::create_dir_all(folder)?;
        let log = Log::at(folder.join("log"));
        let file = File::create(log.path())?;
        let mut command = Command::new(binary::labora()?);
        command
            .args([
                "miner",
                "--devices",
                "cpu:1",
                "--gemm-listen",
                "127.0.0.1:0",
            ])
            .arg("--gemm-socket")
            .arg(folder.join("gemm.sock"));
        for node in nodes {
            command.args(["--node", node]);
        }
        let begun = Instant::now();
        let child = command
            .args(more)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        // From here on the drop ends the process whatever fails.
        let mut rig = Rig {
            child,
            log: log.clone(),
            gemm: ([127, 0, 0, 1], 0).into(),
            started_in: Duration::ZERO,
        };
        rig.gemm = wait_for("the miner's endpoint in its log", START_LIMIT, || {
            let found = log.after_last("products are served at http://", &['/']);
            async move { Ok(found?.map(|address| address.parse()).transpose()?) }
        })
        .await?;
        rig.started_in = begun.elapsed();
        Ok(rig)
    }

    /// Where products are taken.
    pub fn gemm_address(&self) -> SocketAddr {
        self.gemm
    }

    /// From the start of the process to its endpoint.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The worker's figures, as the endpoint gives them.
    pub async fn worker(&self) -> Outcome<Value> {
        let mut http = Http::tcp(self.gemm).await?;
        http.send(b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await?;
        let answer = http
            .answer()
            .await?
            .ok_or("no answer to a status request")?;
        Ok(serde_json::from_slice::<Value>(&answer.body)?["worker"].take())
    }

    /// Whether anything is mined at this moment.
    pub async fn is_mining(&self) -> Outcome<bool> {
        let worker = self.worker().await?;
        Ok(worker["is_mining"]
            .as_bool()
            .ok_or_else(|| format!("no is_mining in {worker}"))?)
    }

    /// Fails if the process has ended.
    pub fn assert_running(&mut self) -> Outcome {
        match self.child.try_wait()? {
            Some(status) => Err(format!("the miner ended by itself: {status}").into()),
            None => Ok(()),
        }
    }

    /// SIGTERM; waits for the end, and gives the log with it.
    pub async fn stop(mut self) -> Outcome<(ExitStatus, Log)> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let child = &mut self.child;
        let status = wait_for("the miner's end", STOP_LIMIT, || {
            let status = child.try_wait();
            async move { Ok(status?) }
        })
        .await?;
        Ok((status, self.log.clone()))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        println!(
            "---- end of {}\n{}",
            self.log.path().display(),
            self.log.tail()
        );
    }
}
