//! Names that are kept back: for whoever has their claim code, or because `setup.json` names them. It shows what is
//! durable, never what is about to be.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use tidings_proto::UserName;

/// The names that are kept back.
pub struct Kept(RwLock<Names>);

#[derive(Default)]
struct Names {
    /// `admin` in `setup.json`.
    admin: BTreeSet<UserName>,
    /// There is a claim code.
    claims: BTreeSet<UserName>,
}

impl Kept {
    pub fn new(claims: Vec<UserName>) -> Kept {
        Kept(RwLock::new(Names { claims: claims.into_iter().collect(), ..Names::default() }))
    }

    /// Whether `user` may be registered by its claim code only.
    pub fn has(&self, user: &UserName) -> bool {
        let names = self.read();
        names.admin.contains(user) || names.claims.contains(user)
    }

    /// Whether `setup.json` keeps `user` back, whatever becomes of its claim code.
    pub fn by_setup(&self, user: &UserName) -> bool {
        self.read().admin.contains(user)
    }

    /// All of them, and whether there is a claim code.
    pub fn all(&self) -> Vec<(UserName, bool)> {
        let names = self.read();
        names.admin.union(&names.claims).map(|user| (user.clone(), names.claims.contains(user))).collect()
    }

    /// `setup.json` names these.
    pub fn keep(&self, admin: impl IntoIterator<Item = UserName>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).admin.extend(admin);
    }

    /// Takes over what has become durable: each name, and whether it has a claim code.
    pub fn change(&self, claims: impl IntoIterator<Item = (UserName, bool)>) {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (user, has_code) in claims {
            if has_code {
                names.claims.insert(user);
            } else {
                names.claims.remove(&user);
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Names> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
