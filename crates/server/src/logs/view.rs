//! What is known without asking the store: whose logs these are, which there are, everybody's keys. All of it is durable.

use super::book::Book;
use super::directory::Directory;
use super::kept::Kept;
use super::limiter::Limiter;
use crate::config::Limits;
use crate::identity::Identity;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use tidings_proto::{ServerKey, ServerName};

/// What links, rules and the sequencer look at alike.
pub struct View {
    pub me: ServerName,
    pub identity: Arc<Identity>,
    pub servers: Servers,
    pub book: Book,
    pub directory: Directory,
    pub kept: Kept,
    pub limits: Limits,
    pub limiter: Limiter,
}

/// The servers that take part, each with its key.
pub struct Servers(RwLock<HashMap<ServerName, ServerKey>>);

impl Servers {
    pub fn new(me: ServerName, key: ServerKey) -> Servers {
        Servers(RwLock::new(HashMap::from([(me, key)])))
    }

    /// From now on `name` is known by this key.
    pub fn learn(&self, name: ServerName, key: ServerKey) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name, key);
    }

    /// The key of a server that takes part.
    pub fn key(&self, name: &ServerName) -> Option<ServerKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// Whether `name` takes part.
    pub fn has(&self, name: &ServerName) -> bool {
        self.key(name).is_some()
    }
}
