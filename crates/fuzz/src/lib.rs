//! Every decoder that reads bytes from outside, as a target: it may refuse an input, but not panic, nor read twice what it
//! wrote differently.
//!
//! Two runs share the targets. `tests/short.rs`, in every `cargo xtask test`, bends known inputs at random by a fixed seed.
//! `cargo xtask campaign fuzz` gives them to libFuzzer, which finds its way by the branches that an input takes.

mod account;
mod bend;
mod keys;
mod mls;
mod sealed;
mod wire;

pub use bend::Bender;

// As the tests of `e2ee` call it, whose room stands here too.
use sealed::people as samples;

/// A decoder under test.
pub struct Target {
    /// How it is called on the command line.
    pub name: &'static str,
    /// Gives it one input; panics when a property does not hold.
    pub run: fn(&[u8]),
    /// Inputs that it takes, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many inputs a second it takes about, in the profile of the tests: RSA makes some slow.
    pub pace: Pace,
}

/// How much an input costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Microseconds: bytes are read.
    Fast,
    /// Milliseconds: something is signed, decrypted or derived.
    Slow,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "cbor", run: wire::cbor, seeds: wire::frames, pace: Pace::Fast },
    Target { name: "frame", run: wire::frame, seeds: wire::frames, pace: Pace::Fast },
    Target { name: "entry", run: wire::entry, seeds: wire::entries, pace: Pace::Fast },
    Target { name: "draft", run: wire::draft, seeds: wire::drafts, pace: Pace::Fast },
    Target { name: "genesis", run: wire::genesis, seeds: wire::geneses, pace: Pace::Fast },
    Target { name: "body", run: wire::body, seeds: wire::bodies, pace: Pace::Fast },
    Target { name: "name", run: wire::name, seeds: wire::names, pace: Pace::Fast },
    Target { name: "invitation-line", run: account::invitation_line, seeds: account::invitation_lines, pace: Pace::Fast },
    Target { name: "recovery-code", run: account::recovery_code, seeds: account::recovery_codes, pace: Pace::Fast },
    Target { name: "device-list", run: keys::device_list, seeds: keys::device_lists, pace: Pace::Slow },
    Target { name: "members", run: keys::members, seeds: keys::histories, pace: Pace::Fast },
    Target { name: "jwe", run: sealed::jwe, seeds: sealed::jwes, pace: Pace::Slow },
    Target { name: "message", run: sealed::message, seeds: sealed::messages, pace: Pace::Slow },
    Target { name: "invitation", run: sealed::invitation, seeds: sealed::invitations, pace: Pace::Slow },
    Target { name: "mls-commit", run: mls::commit, seeds: mls::commits, pace: Pace::Slow },
    Target { name: "mls-group-info", run: mls::group_info, seeds: mls::group_infos, pace: Pace::Slow },
    Target { name: "mls-welcome", run: mls::welcome, seeds: mls::welcomes, pace: Pace::Slow },
    Target { name: "mls-key-package", run: mls::package, seeds: mls::packages, pace: Pace::Slow },
    Target { name: "vault", run: account::vault, seeds: account::vaults, pace: Pace::Fast },
    Target { name: "opaque", run: account::opaque, seeds: account::opaques, pace: Pace::Slow },
];
