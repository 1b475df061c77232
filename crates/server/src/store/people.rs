//! Who is in a group, as it is kept beside the group's log. It could be made of the log again.

use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::ops::Deref;
use tidings_proto::{ServerName, UserName};
use tidings_trust::Members;
use tidings_trust::members::{Reads, Standing};

/// The people of a group, and those who were asked in and never came.
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
        withdrawn.extend(self.everybody().map(|user| (user.clone(), seq)));
        withdrawn.retain(|user, _| members.person(user).is_none());
        People { members, withdrawn }
    }

    /// Whether `user` is asked in, and has never been in.
    pub fn is_asked(&self, user: &UserName) -> bool {
        self.person(user).is_some_and(|person| person.standing == Standing::Invited && person.stays.is_empty())
    }

    /// What `user` may read; none for whom nothing is.
    pub fn reads(&self, user: &UserName) -> Option<Reads> {
        self.members.reads(user).or_else(|| self.withdrawn.get(user).map(|seq| until(*seq)))
    }

    /// What `server` may read, for all its people.
    pub fn reads_of(&self, server: &ServerName) -> Option<Reads> {
        let told = self.withdrawn.iter().filter(|(user, _)| user.server() == server).map(|(_, seq)| *seq).max();
        match (self.members.reads_of(server), told) {
            (Some(reads), Some(told)) => Some(Reads { until: reads.until.map(|until| until.max(told)), ..reads }),
            (reads, told) => reads.or(told.map(until)),
        }
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

fn until(seq: u64) -> Reads {
    Reads { stays: Vec::new(), until: Some(seq) }
}
