//! Addresses for servers that are killed and come back. Not for servers that are started once: those let the system choose.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

/// Below those that systems choose for connections (Linux from 32768 on, others from 49152): while a server is down nobody's connection
/// may be given its port, or it could not start again.
pub const PORTS: Range<u16> = 20_000..32_000;

/// Addresses on loopback that nobody used a moment ago, all different.
pub fn free_addresses<const N: usize>() -> io::Result<[SocketAddr; N]> {
    // They are held until all are there.
    let (mut held, mut tried) = (Vec::with_capacity(N), HashSet::new());
    while held.len() < N {
        let port = PORTS.start + (RandomState::new().build_hasher().finish() % u64::from(PORTS.end - PORTS.start)) as u16;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => held.push(listener),
            Err(error) if tried.len() > 100 => return Err(error),
            Err(_) => drop(tried.insert(port)),
        }
    }
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (address, listener) in addresses.iter_mut().zip(&held) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}
