//! Entries as they are mostly: sealed messages with a body of 100 bytes. What is in a body is nothing to a server.

use tidings_proto::{DeviceKey, Draft, Encoded, Entry, Genesis, Kind, LogName, Payload, SuiteName};

/// The direct room of two people.
pub fn room() -> LogName {
    let [alice, bob] = ["alice@s1", "bob@s2"].map(|name| name.parse().expect("a name"));
    Genesis::direct(SuiteName::RsaJwe1, &alice, &bob).log()
}

/// A draft for it.
pub fn draft(n: u64) -> Encoded<Draft> {
    Encoded::new(Draft {
        device: DeviceKey([1; 32]),
        n,
        author: "alice@s1".parse().expect("a name"),
        list: 1,
        epoch: Some(0),
        kind: Kind::Sealed,
        body: vec![0xa5; 100].into(),
        sig: None,
    })
}

/// The same in its place.
pub fn entry(seq: u64) -> Entry {
    Entry { seq, at: 1_700_000_000_000, payload: Payload::Draft(draft(seq)) }
}
