//! What is free on the disk that a folder is on.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Free bytes below which a database cannot go on for long.
pub const LEAST_FREE: u64 = 1 << 30;

/// The folder itself, or else the first above it that is there.
pub fn nearest(folder: &Path) -> Option<PathBuf> {
    // A relative path ends in nothing, and is meant to begin in the current folder.
    let folder = std::path::absolute(folder).ok()?;
    let found = folder.ancestors().find(|it| it.exists());
    found.map(Path::to_owned)
}

/// Bytes that an ordinary user may still write there.
pub fn free(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether this is what the system says where there is no room, or none for this user.
pub fn is_full(error: io::ErrorKind) -> bool {
    matches!(
        error,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_is_one_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path().to_owned();
        assert_eq!(nearest(&here), Some(here.clone()));
        assert_eq!(nearest(&here.join("missing/data")), Some(here));
        let current = std::env::current_dir().ok();
        assert!(current.is_some());
        assert_eq!(nearest(Path::new("missing")), current);
        assert_eq!(nearest(Path::new("missing/data")), current);
    }
}
