//! Where things lie in the folder, and how a whole artifact comes to be there at once.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{Holder, Root};

/// Ends of the two files of an artifact.
pub(crate) const DATA: &str = "data";
pub(crate) const TREE: &str = "tree";

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

/// The two files of an artifact.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) data: PathBuf,
    pub(crate) tree: PathBuf,
}

impl Paths {
    fn new(folder: &Path, name: &str) -> Self {
        Self {
            data: folder.join(format!("{name}.{DATA}")),
            tree: folder.join(format!("{name}.{TREE}")),
        }
    }

    /// Removes both; what is not there is fine.
    pub(crate) fn remove(&self) -> io::Result<()> {
        // The bytes first: an artifact is there if they are.
        for path in [&self.data, &self.tree] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves both, which are on disk already, to where whole artifacts are.
    pub(crate) fn become_whole(&self, whole: &Paths) -> io::Result<()> {
        let folder = whole.data.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        fs::rename(&self.tree, &whole.tree)?;
        fs::rename(&self.data, &whole.data)?;
        File::open(folder)?.sync_all()
    }
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.0.join("objects")
    }

    pub(crate) fn partial(&self) -> PathBuf {
        self.0.join("partial")
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.0.join("uploads")
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.0.join("pins")
    }

    pub(crate) fn whole(&self, root: &Root) -> Paths {
        let name = hex::encode(root);
        Paths::new(&self.objects().join(&name[..2]), &name)
    }

    pub(crate) fn begun(&self, root: &Root) -> Paths {
        Paths::new(&self.partial(), &hex::encode(root))
    }

    pub(crate) fn upload(&self, name: &str) -> Paths {
        Paths::new(&self.uploads(), name)
    }

    pub(crate) fn pin(&self, root: &Root, holder: &Holder) -> PathBuf {
        let root = hex::encode(root);
        // Names of holders have no dots and no separators.
        self.pins().join(match holder.as_str() {
            "" => root,
            name => format!("{root}.{name}"),
        })
    }
}

/// The root that a file is named after, if it is, and its end.
pub(crate) fn named(path: &Path) -> Option<(Root, &str)> {
    let mut root = Root::default();
    hex::decode_to_slice(path.file_stem()?.to_str()?, &mut root).ok()?;
    Some((root, path.extension().map_or(Some(""), |end| end.to_str())?))
}

/// The entries of a folder.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    entries.collect()
}
