//! Programs that use @polkadot/api, as wallets and explorers do.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    Node, Outcome,
    binary::{finish, repository},
};

/// `npm ci` of some seventy packages.
const INSTALL_LIMIT: Duration = Duration::from_secs(300);

/// Installs the packages that the lock file names, unless they are there.
fn install_packages(folder: &Path) -> Outcome {
    if folder
        .join("node_modules/@polkadot/api/package.json")
        .is_file()
    {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(folder);
    let finished = finish(&mut npm, INSTALL_LIMIT).map_err(|error| {
        format!("npm is needed for this test (Debian: `apt-get install npm`): {error}")
    })?;
    match finished.code {
        Some(0) => Ok(()),
        _ => Err(format!("npm ci failed:\n{}", finished.text()).into()),
    }
}

fn require_node_js() -> Outcome {
    let finished = finish(
        Command::new("node").arg("--version"),
        Duration::from_secs(20),
    )
    .map_err(|error| {
        format!("Node.js is needed for this test (Debian: `apt-get install nodejs npm`): {error}")
    })?;
    let version = finished.stdout.trim();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|text| text.parse::<u32>().ok());
    match major {
        Some(18..) => Ok(()),
        _ => Err(format!("Node.js 18 or newer is needed for this test, found {version:?}").into()),
    }
}

/// A program of `tests/js` that will talk to this node; its first argument is the node's address.
pub fn script(name: &str, node: &Node) -> Outcome<Command> {
    require_node_js()?;
    let folder = repository().join("tests/js");
    install_packages(&folder)?;
    let mut script = Command::new("node");
    script
        .arg(name)
        .arg(format!("ws://{}", node.rpc_address()))
        .current_dir(&folder);
    Ok(script)
}
