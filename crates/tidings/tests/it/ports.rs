//! Servers that are killed and come back have ports that no connection is given meanwhile.

use std::collections::HashSet;
use std::net::TcpListener;
use tidings_testbed::ports::{PORTS, free_addresses};

#[test]
fn addresses_are_free_all_different_and_never_those_of_connections() {
    let addresses = free_addresses::<64>().unwrap();
    assert_eq!(addresses.iter().collect::<HashSet<_>>().len(), 64);
    for address in addresses {
        assert!(PORTS.contains(&address.port()) && address.ip().is_loopback(), "{address}");
    }
    // Linux says from where on it gives ports to connections; one that a server waits for is below.
    if let Ok(range) = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range") {
        let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        assert!(PORTS.end <= first, "connections are given ports from {first} on: a server may not come back");
    }
}

/// What is taken is left out.
#[test]
fn an_address_that_is_taken_is_not_given() {
    let [address] = free_addresses().unwrap();
    let _taken = TcpListener::bind(address).unwrap();
    let others: Vec<_> = (0..20).flat_map(|_| free_addresses::<100>().unwrap()).collect();
    assert!(!others.contains(&address));
}
