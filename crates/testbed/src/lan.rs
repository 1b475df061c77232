//! Two machines and the wire between them, as network namespaces of this one: for what is different where the server is not on loopback. Only root
//! may make them, on a system that has them, with `ip` of iproute2.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use tokio::runtime::Runtime;

/// Both, for as long as this lives.
pub struct Lan(String);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// Where servers run.
    Server,
    /// Where somebody sits.
    Person,
}

impl Machine {
    /// Where the other one finds it.
    pub const fn address(self) -> Ipv4Addr {
        match self {
            Machine::Server => Ipv4Addr::new(10, 77, 0, 1),
            Machine::Person => Ipv4Addr::new(10, 77, 0, 2),
        }
    }
}

impl Lan {
    /// Makes them.
    pub fn new() -> Lan {
        let lan = Lan(format!("tidings-{}", std::process::id()));
        let (server, person) = (lan.name(Machine::Server), lan.name(Machine::Person));
        ip(&["netns", "add", &server]);
        ip(&["netns", "add", &person]);
        ip(&["link", "add", "lan0", "netns", &server, "type", "veth", "peer", "name", "lan0", "netns", &person]);
        for machine in [Machine::Server, Machine::Person] {
            let name = lan.name(machine);
            ip(&["-n", &name, "address", "add", &format!("{}/24", machine.address()), "dev", "lan0"]);
            ip(&["-n", &name, "link", "set", "lo", "up"]);
            ip(&["-n", &name, "link", "set", "lan0", "up"]);
        }
        lan
    }

    fn name(&self, machine: Machine) -> String {
        format!("{}-{machine:?}", self.0).to_lowercase()
    }

    /// Takes this thread to that machine, and gives what runs work there: whatever is bound, dialled or started from then on, is there.
    pub fn at(&self, machine: Machine) -> Runtime {
        let link = File::open(format!("/run/netns/{}", self.name(machine))).expect("a namespace");
        let network = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(link.as_fd(), network).expect("a namespace that can be entered");
        // Its threads begin where this one is.
        Runtime::new().expect("a runtime")
    }
}

impl Default for Lan {
    fn default() -> Lan {
        Lan::new()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for machine in [Machine::Server, Machine::Person] {
            // What is left of a test that has failed half way is no other failure.
            let _ = Command::new("ip").args(["netns", "delete", &self.name(machine)]).status();
        }
    }
}

fn ip(words: &[&str]) {
    let ended = Command::new("ip").args(words).output().expect("ip: apt-get install iproute2");
    assert!(ended.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&ended.stderr));
}
