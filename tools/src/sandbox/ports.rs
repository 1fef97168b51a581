//! Ports on loopback that nobody uses.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use super::state::Ports;
use crate::error::CliError;

/// How often a number that is free for TCP may turn out to be taken for UDP.
const ATTEMPTS_MAX: u32 = 64;

/// Ports for each member, all different.
///
/// # Errors
/// The operating system has none to give.
pub fn free(members: &[&str]) -> Result<BTreeMap<String, Ports>, CliError> {
    // All sockets stay bound until every port is found, so that none is given twice.
    let mut held = Vec::new();
    let mut ports = BTreeMap::new();
    for member in members {
        let mut found = || -> io::Result<Ports> {
            let (http, http_port) = free_tcp()?;
            let (tcp, udp, network_port) = free_both()?;
            held.push((http, tcp, udp));
            Ok(Ports { http: http_port, network: network_port })
        };
        let found = found().map_err(|error| CliError::files("cannot find free ports on loopback").caused_by(&error))?;
        ports.insert((*member).to_owned(), found);
    }
    Ok(ports)
}

/// Whether all of these ports can be listened on.
pub fn are_free<'p>(ports: impl IntoIterator<Item = &'p Ports>) -> bool {
    ports.into_iter().all(|Ports { http, network }| {
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        is_free(*http) && is_free(*network) && UdpSocket::bind((Ipv4Addr::LOCALHOST, *network)).is_ok()
    })
}

fn free_tcp() -> io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// A number that is free for TCP and UDP.
fn free_both() -> io::Result<(TcpListener, UdpSocket, u16)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS_MAX {
        let (listener, port) = free_tcp()?;
        match UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(socket) => return Ok((listener, socket, port)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_all_different() {
        let ports = free(&["a", "b", "c"]).unwrap();
        let mut all: Vec<u16> = ports.values().flat_map(|ports| [ports.http, ports.network]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(!are_free([&Ports { http: port, network: 1 }]));
    }
}
