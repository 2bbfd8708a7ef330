//! Ports on 127.0.0.1 for each member.

use std::{
    fmt,
    net::{Ipv4Addr, TcpListener},
    time::{SystemTime, UNIX_EPOCH},
};

use super::TestnetError;

/// Ports of one member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ports {
    /// Of peers.
    pub peers: u16,
    /// Of JSON-RPC.
    pub rpc: u16,
    /// Of Prometheus metrics.
    pub metrics: u16,
    /// Of matrices, where members take part in the market.
    pub matrices: Option<u16>,
}

impl fmt::Display for Ports {
    /// What is to be reached there.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            peers,
            rpc,
            metrics,
            matrices,
        } = self;
        write!(
            out,
            "RPC ws://127.0.0.1:{rpc}, peers 127.0.0.1:{peers}, metrics http://127.0.0.1:{metrics}/metrics"
        )?;
        match matrices {
            Some(port) => write!(out, ", matrices http://127.0.0.1:{port}"),
            None => Ok(()),
        }
    }
}

/// How many each member has, without that of matrices.
const EACH: usize = 3;

/// Where free ports are looked for: below those that Linux gives to outgoing connections (from 32,768 on), so that none is
/// taken between now and the member's start.
const SEARCHED: std::ops::Range<u16> = 10_000..32_000;

/// Ports for so many members: from a base on, or any free ones.
pub(super) fn choose(
    base: Option<u16>,
    members: usize,
    with_matrices: bool,
) -> Result<Vec<Ports>, TestnetError> {
    let each = EACH + usize::from(with_matrices);
    let needed = members.saturating_mul(each);
    let flat = match base {
        Some(base) => from_base(base, needed)?,
        None => free(needed)?,
    };
    Ok(flat
        .chunks_exact(each)
        .map(|ports| Ports {
            peers: ports[0],
            rpc: ports[1],
            metrics: ports[2],
            matrices: ports.get(EACH).copied(),
        })
        .collect())
}

fn from_base(base: u16, needed: usize) -> Result<Vec<u16>, TestnetError> {
    let needed = u16::try_from(needed).map_err(|_| TestnetError::NoPorts(needed))?;
    if base == 0 || base.checked_add(needed).is_none() {
        return Err(TestnetError::Ports { base, needed });
    }
    let ports: Vec<u16> = (base..base + needed).collect();
    match ports.iter().find(|port| !is_free(**port)) {
        Some(port) => Err(TestnetError::Port(*port)),
        None => Ok(ports),
    }
}

fn free(needed: usize) -> Result<Vec<u16>, TestnetError> {
    let width = usize::from(SEARCHED.end - SEARCHED.start);
    // Two networks that are started together begin to look at different places.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let begin = now.map_or(0, |now| now.subsec_nanos() as usize) % width;
    let found: Vec<u16> = SEARCHED
        .cycle()
        .skip(begin)
        .take(width)
        .filter(|port| is_free(*port))
        .take(needed)
        .collect();
    if found.len() < needed {
        return Err(TestnetError::NoPorts(needed));
    }
    Ok(found)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_has_ports_of_its_own() {
        for with_matrices in [false, true] {
            let ports = choose(None, 64, with_matrices).expect("there are free ports");
            let mut all: Vec<u16> = ports
                .iter()
                .flat_map(|it| {
                    [it.peers, it.rpc, it.metrics]
                        .into_iter()
                        .chain(it.matrices)
                })
                .collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), 64 * (EACH + usize::from(with_matrices)));
        }
    }

    #[test]
    fn ports_follow_a_base_and_one_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("it has an address").port();
        let refused = choose(Some(port), 1, false)
            .expect_err("it is taken")
            .to_string();
        assert!(
            refused.starts_with(&format!("127.0.0.1:{port} is in use")),
            "{refused}"
        );
        for base in [0, 65_535, 65_530] {
            let refused = choose(Some(base), 2, false)
                .expect_err("there are not so many")
                .to_string();
            assert!(refused.contains("no 6 ports"), "{refused}");
        }
    }
}
