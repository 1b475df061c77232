//! Codes: invitations, claims of names that are kept back, and those by which an account begins anew.

use super::Batch;
use crate::logs::Admission;
use crate::store::{Change, NewCode};
use tidings_proto::{Code, Hash, Refusal, UserName};

impl Batch<'_> {
    /// Uses up what lets `user` in. An invitation does not open a name that is kept back for somebody.
    pub(super) fn admit(&mut self, user: &UserName, admission: &Admission) -> Result<(), Refusal> {
        let kept = self.claims.get(user).map_or_else(|| self.view.kept.has(user), |claim| *claim || self.view.kept.by_setup(user));
        let Some(hash) = admission.code() else {
            return if kept { Err(claim_needed()) } else { Ok(()) };
        };
        let claim = kept || matches!(admission, Admission::Claim(_));
        self.use_code(hash, |code| fits(code, user, claim))?;
        if claim {
            self.claims.insert(user.clone(), false);
        }
        Ok(())
    }

    /// Uses up the code with this hash, if it is there and good, and `fits`.
    pub(super) fn use_code(&mut self, hash: Hash, fits: impl Fn(&NewCode) -> bool) -> Result<(), Refusal> {
        let at = self.at;
        let good = |code: &&mut NewCode| is_good(code, at) && fits(code);
        let code = self.codes.get_mut(&hash).filter(good).ok_or(Code::BadCode)?;
        code.uses -= 1;
        self.done.changes.push(Change::UseCode(hash));
        Ok(())
    }

    pub(super) fn add_code(&mut self, code: NewCode) -> Result<(), Refusal> {
        if self.codes.contains_key(&code.hash) {
            return Err(Code::Conflict.into());
        }
        match (&code.user, code.reset) {
            (Some(user), true) => {
                let state = self.state(user).filter(|_| user.server() == &self.view.me).ok_or(Code::NotFound)?;
                if state.closed {
                    return Err(Code::Closed.into());
                }
            }
            (None, true) => return Err(Refusal::new(Code::Malformed, "a code by which an account begins anew names its user")),
            (Some(user), false) => {
                if self.state(user).is_some() || self.view.book.is_registered(user) {
                    return Err(Code::NameTaken.into());
                }
                self.claims.insert(user.clone(), true);
            }
            (None, false) => {}
        }
        if let Some(user) = &code.user {
            self.void_codes(user);
        }
        self.codes.insert(code.hash, code.clone());
        self.done.changes.push(Change::Code(code));
        Ok(())
    }

    pub(super) fn revoke_code(&mut self, hash: &Hash) -> Result<(), Refusal> {
        let NewCode { user, reset, .. } = self.codes.remove(hash).ok_or(Code::NotFound)?;
        if let (Some(user), false) = (user, reset) {
            self.claims.insert(user, false);
        }
        self.done.changes.push(Change::RemoveCode(*hash));
        Ok(())
    }

    /// Whatever code was made for `user` is no good any more.
    pub(super) fn void_codes(&mut self, user: &UserName) {
        self.codes.retain(|_, code| code.user.as_ref() != Some(user));
        self.done.changes.push(Change::VoidCodes(user.clone()));
    }
}

/// Whether a code can be used at this time.
fn is_good(code: &NewCode, at: u64) -> bool {
    code.uses > 0 && code.expires > at
}

/// Whether a code is for whoever wants to be `user`; with `claim`, as that name's own.
fn fits(code: &NewCode, user: &UserName, claim: bool) -> bool {
    !code.reset && code.user.as_ref().map_or(!claim, |only| only == user)
}

/// Whether a code lets `user` in at this time.
pub fn lets_in(code: &NewCode, user: &UserName, claim: bool, at: u64) -> bool {
    is_good(code, at) && fits(code, user, claim)
}

/// What is said to whoever wants a name that is kept back, and has no code.
pub fn claim_needed() -> Refusal {
    Refusal::new(
        Code::RegistrationClosed,
        "this name is kept for somebody: registering it takes the claim code that the operator made for it",
    )
}
