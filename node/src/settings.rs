//! What of the SDK's configuration does not fit this chain, or is not what was asked for, between the command line and
//! the node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sc_network::{config::NetworkBackendType, multiaddr::Protocol};
use sc_service::{ChainType, Configuration, config::Multiaddr};

use crate::{
    cli::{Cli, values::GemmListen},
    http::permit_tcp,
};

/// Changes the configuration that the SDK made of the command line.
///
/// # Errors
///
/// If a port that was asked for is in use.
pub fn adjust(config: &mut Configuration, cli: &Cli) -> sc_cli::Result<()> {
    // Blocks are announced by the engine, once, with their proof: a peer that was told of a block without data is not
    // told again.
    config.announce_block = false;

    config.network.network_backend = NetworkBackendType::Libp2p;
    let network = &cli.run.network_params;
    if network.listen_addr.is_empty() {
        let reach = if is_local(&config.chain_spec.chain_type()) {
            Reach::ThisMachine
        } else {
            Reach::Everyone
        };
        config.network.listen_addresses =
            listen_addresses(reach, network.port.unwrap_or(DEFAULT_P2P_PORT));
    }

    // The network would start without its listener and not say so: nobody could find this node.
    for address in &config.network.listen_addresses {
        if let Some(address) = tcp_address(address) {
            refuse_if_in_use(
                address,
                "--port (0 for any free one), or stop the node that has it",
            )?;
        }
    }

    // A port that was asked for is meant; only the default one may be replaced by any free one.
    if cli.run.rpc_params.rpc_port.is_some() {
        for endpoint in config.rpc.addr.iter_mut().flatten() {
            endpoint.retry_random_port = false;
            refuse_if_in_use(endpoint.listen_addr, "--rpc-port, or none for any free one")?;
        }
    }
    // Found out here, before anything has started that would have to be ended again.
    if let Some(GemmListen::At(address)) = cli.gemm.gemm_listen {
        permit_tcp(address, cli.gemm.gemm_token.is_some())
            .map_err(|error| sc_cli::Error::Input(error.to_string()))?;
        refuse_if_in_use(address, "--gemm-listen")?;
    }
    Ok(())
}

/// Whether everyone knows a chain's keys.
pub fn is_local(chain: &ChainType) -> bool {
    matches!(chain, ChainType::Development | ChainType::Local)
}

/// Fails if another program has a port; `instead` is what to give the node.
fn refuse_if_in_use(address: SocketAddr, instead: &str) -> sc_cli::Result<()> {
    match std::net::TcpListener::bind(address) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(sc_cli::Error::Input(
            format!("{address} is in use; give another {instead}"),
        )),
        // Whoever listens there for good reports what else is wrong.
        _ => Ok(()),
    }
}

/// IP and port of an address that is plain TCP.
pub fn tcp_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip),
        _ => return None,
    };
    match (parts.next()?, parts.next()) {
        (Protocol::Tcp(port), None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// The SDK's own default.
pub const DEFAULT_P2P_PORT: u16 = 30333;

/// Who can connect to a node.
#[derive(Clone, Copy)]
enum Reach {
    /// Chains whose keys everyone knows.
    ThisMachine,
    /// All others.
    Everyone,
}

/// Plain TCP, which all nodes of this chain speak: the SDK's default depends on a node's role.
fn listen_addresses(reach: Reach, port: u16) -> Vec<Multiaddr> {
    let at = |ip: IpAddr| Multiaddr::from(ip).with(Protocol::Tcp(port));
    match reach {
        Reach::ThisMachine => vec![at(Ipv4Addr::LOCALHOST.into())],
        Reach::Everyone => vec![
            at(Ipv6Addr::UNSPECIFIED.into()),
            at(Ipv4Addr::UNSPECIFIED.into()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_whose_keys_everyone_knows_listens_on_this_machine_only() {
        let addresses = |reach| {
            listen_addresses(reach, 1)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(addresses(Reach::ThisMachine), ["/ip4/127.0.0.1/tcp/1"]);
        assert_eq!(
            addresses(Reach::Everyone),
            ["/ip6/::/tcp/1", "/ip4/0.0.0.0/tcp/1"]
        );
    }
}
