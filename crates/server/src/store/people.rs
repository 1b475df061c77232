//! Who is in a group, as it is kept beside the group's log. It could be made of the log again.

use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::ops::Deref;
use tidings_proto::{ServerName, UserName};
use tidings_trust::Members;
use tidings_trust::members::{Reads, Standing};

/// The people of a group, and those whose last invitation came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct People {
    #[n(0)]
    members: Members,
    /// Whose invitation came to nothing, and by which entry: it is the last that they are told, and says so.
    #[n(1)]
    withdrawn: BTreeMap<UserName, u64>,
}

impl From<Members> for People {
    fn from(members: Members) -> People {
        People { members, withdrawn: BTreeMap::new() }
    }
}

impl Deref for People {
    type Target = Members;
    fn deref(&self) -> &Members {
        &self.members
    }
}

impl People {
    /// The people once entry `seq` has made these the members.
    pub fn next(&self, members: Members, seq: u64) -> People {
        let mut withdrawn = self.withdrawn.clone();
        let asked = self.people().filter(|(_, person)| person.standing == Standing::Invited);
        withdrawn.extend(asked.map(|(user, _)| (user.clone(), seq)));
        withdrawn.retain(|user, _| members.person(user).is_none_or(|person| person.standing == Standing::Gone));
        People { members, withdrawn }
    }

    /// Whether `user` is asked in, and has never been in.
    pub fn is_asked(&self, user: &UserName) -> bool {
        self.person(user).is_some_and(|person| person.standing == Standing::Invited && person.stays.is_empty())
    }

    /// What `user` may read; none for whom nothing is.
    pub fn reads(&self, user: &UserName) -> Option<Reads> {
        told_to(self.members.reads(user), self.withdrawn.get(user).copied())
    }

    /// What `server` may read, for all its people.
    pub fn reads_of(&self, server: &ServerName) -> Option<Reads> {
        let told = self.withdrawn.iter().filter(|(user, _)| user.server() == server).map(|(_, seq)| *seq).max();
        told_to(self.members.reads_of(server), told)
    }

    /// As it is kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        tidings_proto::cbor::encode(self)
    }

    /// What [`People::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<People, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}

/// What there is for whoever may read this, and was told of an invitation up to the entry that ended it.
fn told_to(reads: Option<Reads>, told: Option<u64>) -> Option<Reads> {
    match (reads, told) {
        (Some(reads), Some(told)) => Some(Reads { until: reads.until.map(|until| until.max(told)), ..reads }),
        (reads, told) => reads.or(told.map(|seq| Reads { stays: Vec::new(), until: Some(seq) })),
    }
}
