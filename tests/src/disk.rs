//! Small disks, to be filled.

use std::{
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

use crate::Outcome;

/// A file system in memory. It is gone when this is dropped.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts one of so many MiB on a folder; `None` where this user may not.
    pub fn on(folder: &Path, mib: u32) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]);
        let output = mount.arg(folder).output().ok()?;
        output.status.success().then(|| Mount(folder.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Also while somebody still has a file of it open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Writes a file until not a byte more goes onto its disk.
pub fn fill(path: &Path) -> Outcome {
    let mut file = File::create(path)?;
    let zeros = vec![0; 1 << 16];
    loop {
        match file.write_all(&zeros) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
