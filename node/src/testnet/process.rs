//! One member's process: how it is started, asked to end, and made to end, and how it ends with its supervisor.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::genesis;

/// Tells a node which process supervises it.
const SUPERVISOR: &str = "LABORA_SUPERVISOR";

/// From a polite signal to `SIGKILL`. A node that finishes its products and closes its database takes a few seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What of a log is shown when its process has died.
const SHOWN_BYTES: u64 = 8 * 1024;
const SHOWN_LINES: usize = 8;

/// Has this process killed when the one that supervises it ends, however that ends. Called on a node's first thread.
///
/// # Errors
///
/// A sentence, if the supervisor has ended already.
pub fn tie_to_supervisor() -> Result<(), String> {
    let Some(supervisor) = std::env::var(SUPERVISOR)
        .ok()
        .and_then(|id| id.parse().ok())
    else {
        return Ok(());
    };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("this process cannot be tied to its supervisor: {error}"))?;
    // It may have ended before the line above.
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != Some(supervisor) {
        return Err("the supervisor that started this node has ended".into());
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    std::thread::spawn(move || {
        let alive = || rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        while alive() == Some(supervisor) {
            std::thread::sleep(Duration::from_secs(1));
        }
        std::process::exit(1);
    });
    Ok(())
}

/// How a member's process is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Life {
    /// It runs.
    Runs,
    /// It was asked to end.
    Ends,
    /// It has ended because it was asked to.
    Stopped,
    /// It has ended by itself.
    Died,
}

/// A member's process, or where one was.
pub(super) struct Process {
    arguments: Vec<String>,
    log: PathBuf,
    /// Where compiled code is kept for all members.
    code: PathBuf,
    child: Option<Child>,
    /// When it was asked to end; nothing if it is to run.
    asked: Option<Instant>,
    died: bool,
}

impl Process {
    /// One that is not started yet.
    pub(super) fn new(arguments: Vec<String>, log: PathBuf, code: PathBuf) -> Self {
        Process {
            arguments,
            log,
            code,
            child: None,
            asked: None,
            died: false,
        }
    }

    /// Where it logs.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// How it is.
    pub(super) fn life(&self) -> Life {
        match (&self.child, self.asked) {
            (Some(_), None) => Life::Runs,
            (Some(_), Some(_)) => Life::Ends,
            (None, _) if self.died => Life::Died,
            (None, _) => Life::Stopped,
        }
    }

    /// Starts it. To be called on the supervisor's first thread: the system ties the process to the thread that starts it.
    pub(super) fn start(&mut self) -> std::io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(&self.arguments)
            .env(SUPERVISOR, std::process::id().to_string())
            .env(genesis::CACHE_VARIABLE, &self.code)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // A Ctrl-C on the terminal is for the supervisor, which ends its members in order.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        self.child = Some(command.spawn()?);
        self.asked = None;
        self.died = false;
        Ok(())
    }

    /// Asks it to end: SIGINT, as Ctrl-C sends it.
    pub(super) fn interrupt(&mut self) {
        if let Some(child) = &self.child {
            self.asked.get_or_insert_with(Instant::now);
            // Fails only if it has just ended, which is what was wanted.
            let _ = kill_process(Pid::from_child(child), Signal::INT);
        }
    }

    /// Ends it at once: SIGKILL.
    pub(super) fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            self.asked.get_or_insert_with(Instant::now);
            let _ = child.kill();
        }
    }

    /// Looks whether it has ended, and kills it if it was asked to and takes too long. Gives the status of one that ended
    /// by itself.
    pub(super) fn look(&mut self) -> Option<ExitStatus> {
        let child = self.child.as_mut()?;
        let Ok(Some(status)) = child.try_wait() else {
            if self.asked.is_some_and(|asked| asked.elapsed() > PATIENCE) {
                self.kill();
            }
            return None;
        };
        self.child = None;
        self.died = self.asked.is_none();
        self.died.then_some(status)
    }

    /// The last lines of its log.
    pub(super) fn last_lines(&self) -> String {
        last_lines(&self.log).unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }
}

impl Drop for Process {
    /// Whatever ends the supervisor's work, nothing stays behind.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn last_lines(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = fs::metadata(path)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    Ok(shown
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log_are_few_and_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let text: String = (0..2_000).map(|line| format!("line {line}\n\n")).collect();
        fs::write(&path, text).expect("it can be written");
        let lines = last_lines(&path).expect("it can be read");
        let all: Vec<_> = lines.lines().collect();
        assert_eq!(all.len(), SHOWN_LINES);
        assert_eq!((all[0], all[7]), ("  line 1992", "  line 1999"));
        fs::write(&path, "").expect("it can be written");
        assert_eq!(last_lines(&path).expect("it can be read"), "");
    }

    #[test]
    fn a_node_that_nobody_supervises_is_tied_to_nobody() {
        assert_eq!(tie_to_supervisor(), Ok(()));
    }
}
