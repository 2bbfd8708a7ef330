//! The command line that a member's node is started with.

use std::path::PathBuf;

use super::{
    folder::Folder,
    members::{Home, Member, Role},
    ports::Ports,
};

/// Nodes that each member begins with; it hears of the others from them.
const MAX_BOOTNODES: usize = 4;

/// Matrices that each member of a market keeps.
const MATRICES: &str = "1GiB";

/// Addresses of the validators that a member begins with.
pub(super) fn bootnodes(of: &Member, members: &[Member], ports: &[Ports]) -> Vec<String> {
    let others = members.iter().zip(ports);
    let others = others.filter(|(it, _)| it.role == Role::Validator && it.name != of.name);
    let address = |(member, ports): (&Member, &Ports)| {
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", ports.peers, member.peer_id)
    };
    others.map(address).take(MAX_BOOTNODES).collect()
}

/// A member's command line.
pub(super) fn arguments(
    folder: &Folder,
    member: &Member,
    ports: Ports,
    bootnodes: Vec<String>,
    devices: &str,
) -> Vec<String> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut out = vec![
        "--chain".into(),
        text(folder.chain()),
        "--base-path".into(),
        text(Home::new(folder.path(), &member.name).data()),
        "--name".into(),
        member.name.clone(),
        "--listen-addr".into(),
        format!("/ip4/127.0.0.1/tcp/{}", ports.peers),
        "--rpc-port".into(),
        ports.rpc.to_string(),
        "--prometheus-port".into(),
        ports.metrics.to_string(),
    ];
    // All on this machine, and found by the addresses below.
    let words = ["--no-telemetry", "--no-mdns", "--allow-private-ip"];
    out.extend(words.map(String::from));
    match member.role {
        Role::Validator => out.push("--validator".into()),
        Role::Miner => {
            let author = member.account.to_string();
            let words = ["--mine", "--author", &author, "--devices", devices];
            out.extend(words.map(String::from));
        }
    }
    match (ports.matrices, member.role) {
        (Some(port), role) => out.extend(market(folder, member, role, port)),
        (None, Role::Miner) => out.extend(["--gemm-listen", "none"].map(String::from)),
        (None, Role::Validator) => (),
    }
    for address in bootnodes {
        out.extend(["--bootnodes".into(), address]);
    }
    out
}

/// What makes a member take part in the market: a validator audits, a miner works.
fn market(folder: &Folder, member: &Member, role: Role, port: u16) -> Vec<String> {
    let key = Home::new(folder.path(), &member.name).job_key();
    let does = match role {
        Role::Validator => "--audit",
        Role::Miner => "--work",
    };
    vec![
        does.into(),
        "--job-key".into(),
        key.to_string_lossy().into_owned(),
        "--artifacts".into(),
        MATRICES.into(),
        "--gemm-listen".into(),
        format!("127.0.0.1:{port}"),
    ]
}
