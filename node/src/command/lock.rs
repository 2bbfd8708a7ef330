//! The lock by which a node has its database to itself.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, fcntl_lock, flock},
    io::Errno,
};

/// What RocksDB locks in its folder, by `fcntl`.
const ROCKSDB: &str = "LOCK";
/// What ParityDB locks in its folder, by `flock`.
const PARITYDB: &str = "lock";

/// Why a database cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("a node is running on the database in {}; stop it first", .0.display())]
    InUse(PathBuf),
    /// Nobody can tell.
    #[error(
        "whether a node is running on {} cannot be told: {error}; run this as the user who owns the folder",
        file.display()
    )]
    File {
        /// The file that is locked.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Locks the database in `folder`: no node opens it until the files are closed. Without a database there are none.
///
/// Not for a database that this process has open: RocksDB's lock is the process's, and is gone once one of its files is closed.
///
/// # Errors
///
/// [`LockError::InUse`] if a node is running on it.
pub fn lock(folder: &Path) -> Result<Vec<File>, LockError> {
    let mut held = Vec::new();
    for name in [ROCKSDB, PARITYDB] {
        let path = folder.join(name);
        let failed = |error| LockError::File {
            file: path.clone(),
            error,
        };
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        let locked = if name == ROCKSDB {
            fcntl_lock(&file, exclusive)
        } else {
            flock(&file, exclusive)
        };
        match locked {
            Ok(()) => held.push(file),
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(LockError::InUse(folder.to_owned())),
            Err(error) => return Err(failed(error.into())),
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn where_no_database_is_nothing_is_locked_or_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("missing");
        assert!(lock(&missing).expect("nobody has it").is_empty());
        assert!(lock(folder.path()).expect("nobody has it").is_empty());
        let left = fs::read_dir(folder.path()).expect("it is there").count();
        assert_eq!(left, 0);
    }

    // RocksDB's lock is refused to other processes only: `tests/tests/start_up.rs` has a node hold it.
    #[test]
    fn a_database_that_somebody_has_is_refused_until_it_is_given_back() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(ROCKSDB), "").expect("written");
        assert_eq!(lock(folder.path()).expect("nobody has it").len(), 1);

        let file = File::create(folder.path().join(PARITYDB)).expect("made");
        file.try_lock().expect("nobody has it");
        let refused = lock(folder.path()).expect_err("it is locked");
        assert!(matches!(refused, LockError::InUse(_)), "{refused}");
        assert!(refused.to_string().contains("stop it first"), "{refused}");
        drop(file);
        assert!(lock(folder.path()).is_ok());
    }
}
