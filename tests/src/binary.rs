//! Where the node's binary and the repository's files are, and how to run the binary to its end.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use crate::Outcome;

/// Names the binary to test; without it the one beside the running test is taken.
pub const BINARY_VARIABLE: &str = "LABORA_BIN";

/// Root of the repository: cargo runs tests in their crate's folder, `tests`. Not the folder that they were compiled in, which a
/// clone that shares its target folder with this one may have been.
pub fn repository() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        env::current_dir()
            .ok()
            .and_then(|tests| Some(tests.parent()?.to_owned()))
            .unwrap_or_else(|| "..".into())
    })
}

/// The node's binary: `LABORA_BIN`, or `labora` in the target folder that this test was built in.
pub fn labora() -> Outcome<PathBuf> {
    let path = match env::var_os(BINARY_VARIABLE) {
        Some(path) => PathBuf::from(path),
        // The test runs as TARGET/PROFILE/deps/NAME.
        None => match env::current_exe()?.ancestors().nth(2) {
            Some(profile) => profile.join("labora"),
            None => return Err("the test's own path has no target folder above it".into()),
        },
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "there is no node at {}: build it with `cargo build --release -p labora` or name it in {BINARY_VARIABLE}",
        path.display()
    )
    .into())
}

/// Both output streams of a process that has ended, and whether it succeeded.
#[derive(Debug)]
pub struct Finished {
    /// Exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Standard output followed by standard error.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a command to its end; one that is still running after `limit` is killed and counts as an error.
///
/// For output of up to a pipe's buffer and commands that end by themselves, or are expected to.
pub fn finish(command: &mut Command, limit: Duration) -> Outcome<Finished> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // The readers run beside the wait, so that a full pipe cannot hold the child up.
    let pid = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let reader = |stream: Option<Box<dyn std::io::Read + Send>>,
                  sender: std::sync::mpsc::Sender<_>,
                  name| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                // What came before an error is still shown.
                let _ = stream.read_to_end(&mut bytes);
            }
            let _ = sender.send((name, bytes));
        })
    };
    reader(out.map(|s| Box::new(s) as _), sender.clone(), "out");
    reader(err.map(|s| Box::new(s) as _), sender, "err");

    let deadline = Instant::now() + limit;
    let mut late = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            late = true;
            child.kill()?;
            break child.wait()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut output = Output {
        status,
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    for (name, bytes) in receiver {
        *(if name == "out" {
            &mut output.stdout
        } else {
            &mut output.stderr
        }) = bytes;
    }
    let finished = Finished::from(output);
    if late {
        return Err(format!(
            "process {pid} was still running after {limit:?}; it said:\n{}",
            finished.text()
        )
        .into());
    }
    Ok(finished)
}

/// Until a wrong start must have ended.
pub const REFUSAL_LIMIT: Duration = Duration::from_secs(60);

/// Starts a node that must end by itself with an error that holds each of `words`, in whatever case.
pub fn refused(arguments: &[String], words: &[&str]) -> Outcome<Finished> {
    let finished = finish(Command::new(labora()?).args(arguments), REFUSAL_LIMIT)?;
    let text = finished.text();
    println!(
        "{arguments:?}\n    {}",
        text.lines().last().unwrap_or_default()
    );
    // A runtime that refuses its genesis can only do so by a trap, which the node reports: that is no panic of its own.
    let panicked = text.to_lowercase().contains("thread '") && text.contains("panicked");
    assert!(!panicked, "{arguments:?} panicked:\n{text}");
    assert!(
        finished.code.is_some_and(|code| code != 0),
        "{arguments:?} ended with {:?}:\n{text}",
        finished.code
    );
    let lower = text.to_lowercase();
    for word in words {
        assert!(
            lower.contains(&word.to_lowercase()),
            "the error should name `{word}`:\n{text}"
        );
    }
    Ok(finished)
}

/// Runs a program to its end, which must be a good one; what it printed.
pub async fn run(mut script: Command, limit: Duration) -> Outcome<String> {
    let finished = tokio::task::spawn_blocking(move || finish(&mut script, limit)).await??;
    match finished.code {
        Some(0) => Ok(finished.stdout),
        _ => Err(format!("{} failed", finished.text()).into()),
    }
}
