//! Accounts: made, changed, begun anew, closed. An entry of `keys@` and what is kept beside it are one commit.

use super::Batch;
use crate::logs::rules::{Admitted, Keyed, keys_refused, reference};
use crate::logs::{Admission, NewAccount, Placed, Proof, Secrets};
use crate::store::{AccountRecord, Change};
use bytes::Bytes;
use std::sync::Arc;
use tidings_proto::draft::Gone;
use tidings_proto::frame::SealedVault;
use tidings_proto::{Code, DeviceKey, Draft, Encoded, Hash, Kind, LogName, Refusal, UserName, cbor};
use tidings_trust::KeyState;

impl Batch<'_> {
    /// A device list that comes alone. What takes the password comes by [`Batch::rekey`].
    pub(super) fn append_list(&mut self, Admitted { draft, keyed, .. }: Admitted, proof: Option<&Proof>) -> Result<Placed, Refusal> {
        if let Some(placed) = self.once_in_keys(&draft)? {
            return Ok(placed);
        }
        if let Some(proof) = proof {
            self.is_proved(&draft.author, proof)?;
        }
        let before = self.state(&draft.author);
        let state = self.next_keys(&draft, keyed)?;
        if before.is_some_and(|before| takes_password(&before, &state)) {
            return Err(Code::PasswordNeeded.into());
        }
        self.place_keys(draft, state)
    }

    pub(super) fn register(&mut self, account: NewAccount, Admitted { draft, keyed, .. }: Admitted) -> Result<Placed, Refusal> {
        let NewAccount { user, password, recovery, vault, admission, .. } = account;
        if let Admission::Reset(code) = &admission {
            return self.begin_anew(user, (password, recovery, vault), Hash::of(code.as_bytes()), Admitted { draft, keyed, room: None });
        }
        if self.state(&user).is_some() || self.view.book.is_registered(&user) || self.once_in_keys(&draft)?.is_some() {
            return Err(Code::NameTaken.into());
        }
        let state = self.next_keys(&draft, keyed)?;
        self.admit(&user, &admission)?;
        let placed = self.place_keys(draft, state)?;
        let record = AccountRecord { password, recovery, vault };
        self.done.changes.push(Change::Account { user: user.clone(), record: record.clone() });
        self.accounts.insert(user.clone(), record);
        self.new_log(LogName::Inbox(user.clone()), None, None);
        self.new_log(LogName::History(user.clone()), None, None);
        self.done.registered.push(user);
        Ok(placed)
    }

    /// Another identity, other secrets and another vault, on the word of whoever has the code.
    fn begin_anew(
        &mut self,
        user: UserName,
        (password, recovery, vault): (Bytes, Bytes, SealedVault),
        code: Hash,
        Admitted { draft, keyed, .. }: Admitted,
    ) -> Result<Placed, Refusal> {
        if let Some(placed) = self.once_in_keys(&draft)? {
            return Ok(placed);
        }
        self.follows(&user, vault.version)?;
        let state = self.next_keys(&draft, keyed)?;
        if state.list.vault != reference(&vault) {
            return Err(vault_has_moved());
        }
        self.use_code(code, |code| code.reset && code.user.as_ref() == Some(&user))?;
        let placed = self.place_keys(draft, state)?;
        self.keep_secrets(user, Secrets { password: Some(password), recovery: Some(recovery), vault });
        Ok(placed)
    }

    /// Other secrets, vault and device list together.
    pub(super) fn rekey(
        &mut self,
        user: UserName,
        proof: &Proof,
        secrets: Secrets,
        Admitted { draft, keyed, .. }: Admitted,
    ) -> Result<Placed, Refusal> {
        if let Some(placed) = self.once_in_keys(&draft)? {
            return Ok(placed);
        }
        self.is_proved(&user, proof)?;
        self.follows(&user, secrets.vault.version)?;
        let state = self.next_keys(&draft, keyed)?;
        let placed = self.place_keys(draft, state)?;
        self.keep_secrets(user, secrets);
        Ok(placed)
    }

    /// Another book in the vault. The device may have gone from the newest list since its link was let in.
    pub(super) fn put_book(&mut self, user: UserName, device: &DeviceKey, version: u64, book: Bytes) -> Result<(), Refusal> {
        let vault = &self.accounts.get(&user).ok_or(Code::Closed)?.vault;
        if self.state(&user).is_none_or(|state| state.device(device).is_none()) {
            return Err(Code::Revoked.into());
        }
        if version == vault.version && book == vault.book {
            return Ok(()); // asked again, since the answer was lost
        }
        self.follows(&user, version)?;
        if let Some(account) = self.accounts.get_mut(&user) {
            (account.vault.version, account.vault.book) = (version, book.clone());
        }
        self.done.changes.push(Change::Book { user, version, book });
        Ok(())
    }

    /// The server says that an account is closed.
    pub(super) fn close(&mut self, user: UserName) -> Result<Placed, Refusal> {
        let state = self.state(&user).filter(|_| user.server() == &self.view.me).ok_or(Code::NotFound)?;
        if state.closed {
            return Err(Code::Closed.into());
        }
        let (log, identity) = (LogName::Keys(self.view.me.clone()), &self.view.identity);
        let draft = Draft {
            device: DeviceKey(identity.key().0),
            n: 1, // it closes each account once
            author: user.clone(),
            list: state.list.version,
            epoch: None,
            kind: Kind::Gone,
            body: cbor::encode(&Gone { prev: state.list_hash }).into(),
            sig: None,
        };
        let draft = draft.signed(&log, |bytes| identity.sign(bytes));
        let state = self.next_keys(&draft, None)?;
        let placed = self.place_keys(draft, state)?;
        self.done.changes.push(Change::Close(user.clone()));
        self.void_codes(&user);
        self.accounts.remove(&user);
        self.done.closed.push(user);
        Ok(placed)
    }

    fn keep_secrets(&mut self, user: UserName, secrets: Secrets) {
        let Secrets { password, recovery, vault } = secrets;
        if let Some(account) = self.accounts.get_mut(&user) {
            account.password = password.clone().unwrap_or_else(|| account.password.clone());
            account.recovery = recovery.clone().unwrap_or_else(|| account.recovery.clone());
            account.vault = vault.clone();
        }
        self.done.changes.push(Change::Secrets { user, password, recovery, vault });
    }

    /// Whether a vault of this version is the next one.
    fn follows(&self, user: &UserName, version: u64) -> Result<(), Refusal> {
        let last = self.accounts.get(user).ok_or(Code::Closed)?.vault.version;
        if version == last + 1 { Ok(()) } else { Err(vault_has_moved()) }
    }

    /// Whether the secret that was proved on a link is still the account's.
    fn is_proved(&self, user: &UserName, proof: &Proof) -> Result<(), Refusal> {
        let account = self.accounts.get(user);
        if account.is_some_and(|account| Hash::of(account.of(proof.secret)) == proof.record) {
            Ok(())
        } else {
            Err(Code::PasswordNeeded.into())
        }
    }

    fn once_in_keys(&self, draft: &Encoded<Draft>) -> Result<Option<Placed>, Refusal> {
        self.once(self.view.book.number(&LogName::Keys(self.view.me.clone())), draft)
    }

    /// The key history after `draft`. What was checked where it came in counts, unless the history has moved since.
    fn next_keys(&self, draft: &Encoded<Draft>, keyed: Option<Keyed>) -> Result<KeyState, Refusal> {
        let before = self.state(&draft.author);
        if before.is_some() == (draft.kind == Kind::First) {
            return Err(if before.is_some() { Code::NameTaken } else { Code::Forbidden }.into());
        }
        let log = LogName::Keys(self.view.me.clone());
        let seq = self.find(&log).map_or(1, |row| self.tip(row.number).seq + 1);
        let same = |keyed: &Keyed| match (&keyed.before, &before) {
            (Some(then), Some(now)) => Arc::ptr_eq(then, now),
            (None, None) => true,
            _ => false,
        };
        match keyed.filter(same) {
            Some(keyed) => {
                let mut state = keyed.after.map_err(keys_refused)?;
                state.seq = seq;
                Ok(state)
            }
            None => {
                let server = self.view.identity.key();
                KeyState::apply(before.as_deref(), &log, seq, draft, Some(&server)).map_err(keys_refused)
            }
        }
    }

    fn place_keys(&mut self, draft: Encoded<Draft>, state: KeyState) -> Result<Placed, Refusal> {
        let log = LogName::Keys(self.view.me.clone());
        let number = self.find(&log).ok_or(Code::NotFound)?.number;
        if let Some(before) = self.state(&draft.author) {
            self.withdraw_key_packages(draft.kind, &before, &state);
        }
        let placed = self.place(number, &log, draft);
        self.states.insert(state.list.user.clone(), Arc::new(state));
        Ok(placed)
    }
}

/// Whether what a list changes takes the password: another key, or a device less.
fn takes_password(before: &KeyState, after: &KeyState) -> bool {
    let stays = |device: &tidings_trust::Device| after.device(&device.key).is_some();
    before.list.identity != after.list.identity || before.list.encryption != after.list.encryption || !before.list.devices.iter().all(stays)
}

fn vault_has_moved() -> Refusal {
    Refusal::new(Code::Conflict, "another device has changed the vault first")
}
