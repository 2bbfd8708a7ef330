//! Why there is no network, each with what to do.

use std::{io, path::PathBuf};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum TestnetError {
    /// The chain.
    #[error(transparent)]
    Chain(#[from] labora_chain_spec::Error),
    /// The chain's genesis could not be built.
    #[error("the network's genesis cannot be built: {0}")]
    Genesis(String),
    /// A file or folder.
    #[error("{} cannot be {done}: {error}{}", path.display(), remedy(error))]
    File {
        /// Which.
        path: PathBuf,
        /// What was to be done with it.
        done: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The folder for a network holds something else.
    #[error("{} holds other files and no network of this command; give an empty or a new folder", .0.display())]
    NotANetwork(PathBuf),
    /// The folder to write to holds something.
    #[error("{} is not empty; give an empty or a new folder to --write, so that nothing is written over", .0.display())]
    NotEmpty(PathBuf),
    /// The network's own list of its members cannot be read.
    #[error("{} is not one that this version wrote: {reason}; give another --base-path", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another network than was asked for.
    #[error(
        "the network in {} has {has}, and {asked} was asked for; leave the flag out to start it as it is, or give another \
         --base-path",
        path.display()
    )]
    Differs {
        /// The folder.
        path: PathBuf,
        /// What the network has.
        has: String,
        /// What was asked for.
        asked: String,
    },
    /// Somebody else is at it.
    #[error("another labora testnet runs on {}; end it, or give another --base-path", .0.display())]
    Running(PathBuf),
    /// A port that was asked for.
    #[error("127.0.0.1:{0} is in use; give another --base-port, or none for any free ones")]
    Port(u16),
    /// More ports than there are.
    #[error("from --base-port {base} on there are no {needed} ports; give one of at most {}", 65_535 - needed)]
    Ports {
        /// The first.
        base: u16,
        /// How many.
        needed: u16,
    },
    /// No ports.
    #[error(
        "no {0} free ports were found on 127.0.0.1; end other programs, or name the first with --base-port"
    )]
    NoPorts(usize),
    /// A key could not be made or stored.
    #[error("{name}'s keys cannot be stored in {}: {reason}", path.display())]
    Key {
        /// Whose.
        name: String,
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Two founders under one name.
    #[error("two founders are named {0}; give each a name of its own")]
    FounderTwice(String),
    /// Blocks are waited for that nobody makes.
    #[error(
        "--blocks waits for blocks, and this network has no miners: leave --blocks out, or have --miners 1 or more"
    )]
    NobodyMines,
    /// A process.
    #[error("{name} cannot be started: {error}")]
    Start {
        /// Which.
        name: String,
        /// What the system said.
        error: io::Error,
    },
    /// Nothing is left to supervise.
    #[error("every member has ended by itself; their logs are in {}", .0.display())]
    AllDied(PathBuf),
    /// The system refused threads or signals.
    #[error("the system refuses what a supervisor needs: {0}")]
    System(io::Error),
}

impl TestnetError {
    /// An error of a file.
    pub(super) fn file(
        path: impl Into<PathBuf>,
        done: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| TestnetError::File { path, done, error }
    }
}

impl From<TestnetError> for sc_cli::Error {
    fn from(error: TestnetError) -> Self {
        sc_cli::Error::Application(Box::new(error))
    }
}

/// What to do about an error of the file system.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room on that disk, or give a folder on another"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; give a folder that this user may write to"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; give the path of a folder, not of a file"
        }
        _ => "",
    }
}
