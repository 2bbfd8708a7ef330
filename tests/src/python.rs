//! Programs in Python, in the environment that the Python client is installed in.

use std::{env, process::Command};

use crate::{
    Outcome,
    binary::{self, BINARY_VARIABLE, repository},
};

/// Names that environment's Python; the Makefile sets it.
const VARIABLE: &str = "LABORA_PYTHON";

/// Python, in a folder of the repository; it knows which binary is tested.
pub fn command(folder: &str) -> Outcome<Command> {
    let python = env::var_os(VARIABLE).ok_or_else(|| {
        format!(
            "{VARIABLE} must name the Python that the client is installed in: `make test` sets it"
        )
    })?;
    let mut command = Command::new(python);
    command
        .current_dir(repository().join(folder))
        .env(BINARY_VARIABLE, binary::labora()?);
    Ok(command)
}
