//! Processes whose wall clock is wrong.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    Outcome,
    binary::{finish, repository},
};

/// What has a process started with it see a wall clock that is `seconds` off: variables of its environment.
///
/// The shim is compiled into `folder`.
pub fn off_by(seconds: i64, folder: &Path) -> Outcome<[(String, String); 2]> {
    let shim = folder.join("clock.so");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&shim)
        .arg(repository().join("tests/src/clock.c"))
        .arg("-ldl");
    let finished = finish(&mut compiler, Duration::from_secs(60)).map_err(|error| {
        format!("a C compiler is needed for this test (build-essential): {error}")
    })?;
    if finished.code != Some(0) {
        return Err(format!("the clock's shim does not compile: {}", finished.text()).into());
    }
    Ok([
        ("LD_PRELOAD".into(), shim.to_string_lossy().into_owned()),
        ("LABORA_TEST_CLOCK_S".into(), seconds.to_string()),
    ])
}
