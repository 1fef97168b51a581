//! Ports that stay free while a node is down.
//!
//! They lie below the range from which the operating system takes ports for outgoing connections (32,768 and above
//! where nobody changed it): one of those could take the port of a node that is killed and started again.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use stemma_tools::requests::random;
use stemma_tools::sandbox::state::Ports;

const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;

/// Ports for each member, all different and free, from a random place on.
///
/// # Panics
/// There are not enough.
#[must_use]
pub fn free(members: &[&str]) -> BTreeMap<String, Ports> {
    let start = u16::from_le_bytes(random::<2>().unwrap()) % COUNT;
    let mut candidates = (0..COUNT).map(|step| FIRST + (start + step) % COUNT).filter(|port| is_free(*port));
    let mut next = || candidates.next().expect("a free port");
    members.iter().map(|member| ((*member).to_owned(), Ports { http: next(), network: next() })).collect()
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
