//! A node and a terminal beside it: `labora` as people and scripts type it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{
    Machine, Node, NodeOptions, Outcome,
    binary::{self, Finished},
    spec::{self, QUICK},
};

/// A transaction is in a block within a second or two; a busy machine may take much longer.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A node, and what is typed at it.
pub struct Terminal {
    /// The node.
    pub node: Node,
    folder: PathBuf,
    /// File of Dave's key.
    pub key: PathBuf,
}

impl Terminal {
    /// A node of a quick chain that keeps matrices, with these flags beside.
    pub async fn new(machine: &Machine, folder: &Path, more: &[&str]) -> Outcome<Self> {
        Self::of_spec(machine, folder, &spec::write(folder, QUICK)?, more).await
    }

    /// The same on a chain of one's own.
    pub async fn of_spec(
        machine: &Machine,
        folder: &Path,
        spec: &Path,
        more: &[&str],
    ) -> Outcome<Self> {
        let mut options = NodeOptions {
            author: "//Ferdie",
            ..NodeOptions::of_spec(spec)
        };
        options
            .more
            .extend(["--artifacts", "64MiB"].map(String::from));
        options.more.extend(more.iter().map(ToString::to_string));
        let key = key(folder, "dave", "//Dave", 0o600)?;
        let node = Node::start(machine, &folder.join("node"), &options).await?;
        Ok(Self {
            node,
            folder: folder.to_owned(),
            key,
        })
    }

    /// The command, with the node's address.
    pub fn command(&self, arguments: &[&str]) -> Outcome<Command> {
        let mut command = Command::new(binary::labora()?);
        command.current_dir(&self.folder).args(arguments);
        command.env("LABORA_NODE", format!("ws://{}", self.node.rpc_address()));
        Ok(command)
    }

    /// What comes of it.
    pub fn type_in(&self, arguments: &[&str]) -> Outcome<Finished> {
        let finished = binary::finish(&mut self.command(arguments)?, LIMIT)?;
        println!("$ labora {}\n{}", arguments.join(" "), finished.text());
        assert!(!finished.text().contains("panicked"), "{arguments:?}");
        Ok(finished)
    }

    /// What people read of a command that must succeed.
    pub fn read(&self, arguments: &[&str]) -> Outcome<String> {
        let finished = self.type_in(arguments)?;
        assert_eq!(finished.code, Some(0), "{arguments:?}: {}", finished.text());
        Ok(finished.stdout)
    }

    /// What programs read of it.
    pub fn json(&self, arguments: &[&str]) -> Outcome<Value> {
        Ok(serde_json::from_str(
            &self.read(&[arguments, &["--json"]].concat())?,
        )?)
    }

    /// What Dave does, without being asked.
    pub fn act(&self, arguments: &[&str]) -> Outcome<Value> {
        let key = self.key.to_string_lossy();
        self.json(&[arguments, &["--yes", "--key", &key]].concat())
    }

    /// A command that must fail, with each of `words` in what it says.
    pub fn refused(&self, arguments: &[&str], words: &[&str]) -> Outcome {
        let finished = self.type_in(arguments)?;
        assert_eq!(finished.code, Some(1), "{arguments:?}: {}", finished.text());
        for word in words {
            assert!(
                finished.stderr.contains(word),
                "{arguments:?} should say `{word}`: {}",
                finished.stderr
            );
        }
        Ok(())
    }

    /// Where matrices are kept.
    pub fn matrices(&self) -> Outcome<String> {
        Ok(format!("http://{}", self.node.gemm_address()?))
    }
}

/// Writes a secret into a file of this mode.
pub fn key(folder: &Path, name: &str, secret: &str, mode: u32) -> Outcome<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, format!("{secret}\n"))?;
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(path)
}

/// An amount in the token's smallest unit, as JSON has it.
///
/// # Panics
///
/// If it is none.
pub fn amount(value: &Value) -> u128 {
    let text = value.as_str().unwrap_or_default();
    text.parse()
        .unwrap_or_else(|_| panic!("no amount: {value}"))
}

fn entry(seed: i32, at: usize) -> i8 {
    (at as i32).wrapping_mul(seed).wrapping_add(seed >> 3) as i8
}

/// Writes a matrix as NumPy does, and gives its entries.
pub fn npy(path: &Path, rows: usize, columns: usize, seed: i32) -> Outcome<Vec<i8>> {
    let entries: Vec<i8> = (0..rows * columns).map(|at| entry(seed, at)).collect();
    let header =
        format!("{{'descr': '|i1', 'fortran_order': False, 'shape': ({rows}, {columns}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(entries.iter().map(|entry| entry.cast_unsigned()));
    fs::write(path, bytes)?;
    Ok(entries)
}
