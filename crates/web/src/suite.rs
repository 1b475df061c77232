//! What each encryption suite promises, in plain words.

/// A suite's words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// For the badge.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What it does not do.
    pub does_not: &'static str,
}

/// Those of a conversation: by its suite's name, or none for the public chat.
pub fn words(suite: Option<&str>) -> Words {
    match suite {
        None => Words {
            name: "Public",
            does: "Everybody on every connected server reads this.",
            does_not: "It is not encrypted: each of those servers stores it in clear.",
        },
        Some("rsa-jwe-1") => Words {
            name: "Encrypted, classic RSA",
            does: "Every message is locked to each member’s key. No server can read it.",
            does_not: "Whoever gets a member’s key later can read the stored messages. It does not protect against quantum computers.",
        },
        Some("mls-1") => Words {
            name: "Encrypted, MLS",
            does: "Every message has a key of its own, which is deleted once it is used. No server can read it. What your devices have opened \
                   they keep sealed for each other, under your account’s keys.",
            does_not: "Whoever gets into your account can read what your devices have kept. It does not protect against quantum computers.",
        },
        Some(_) => Words {
            name: "Encrypted",
            does: "No server can read this.",
            does_not: "This page does not know what else the suite promises: it may be older than the other side’s program.",
        },
    }
}
