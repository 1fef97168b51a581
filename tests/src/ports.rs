//! Ports that stay free while a node is down, and that no other test has.
//!
//! They lie below the range from which the operating system takes ports for outgoing connections (32,768 and above
//! where nobody changed it): one of those could take the port of a node that is killed and started again. They come in
//! blocks, each behind a lock that is held until this process ends, so that tests which run at once never share one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use stemma_tools::requests::random;
use stemma_tools::sandbox::state::Ports;

use crate::binaries::binaries;

const FIRST: u16 = 15_000;
const BLOCKS: u16 = 500;
const BLOCK: u16 = 32;

/// Ports for each member, all different and free, from a random place on.
///
/// # Panics
/// There are not enough.
#[must_use]
pub fn free(members: &[&str]) -> BTreeMap<String, Ports> {
    let start = u16::from_le_bytes(random::<2>().unwrap()) % BLOCKS;
    let mut blocks = (0..BLOCKS).map(|step| (start + step) % BLOCKS);
    let ports = blocks.find_map(|block| claimed(block, 2 * members.len())).expect("a block of free ports");
    let pairs = ports.chunks_exact(2).map(|pair| Ports { http: pair[0], network: pair[1] });
    members.iter().map(|member| (*member).to_owned()).zip(pairs).collect()
}

/// So many free ports of a block, which is then this process' own.
fn claimed(block: u16, count: usize) -> Option<Vec<u16>> {
    let locks = &binaries().locks;
    fs::create_dir_all(locks).unwrap();
    let lock = File::options().create(true).append(true).open(locks.join(format!("ports-{block}"))).unwrap();
    lock.try_lock().ok()?;
    let first = FIRST + block * BLOCK;
    let ports: Vec<u16> = (first..first + BLOCK).filter(|port| is_free(*port)).take(count).collect();
    if ports.len() < count {
        return None;
    }
    // Nothing unlocks it before the process ends.
    std::mem::forget(lock);
    Some(ports)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
