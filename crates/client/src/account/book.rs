//! What this account's devices know of each other: names of devices, and who was compared or accepted. It lies in the vault.

use super::{misbehaved, of_account};
use crate::ClientError;
use crate::engine::Core;
use crate::link::Link;
use crate::store::Trusted;
use tidings_e2ee::account::{AccountError, VaultBook};
use tidings_e2ee::{AccountSecrets, DeviceSecret};
use tidings_proto::frame::{BookPut, Vault, VaultGet};
use tidings_proto::{Code, Frame, UserName};

/// How often a change is made anew because another device was quicker.
const TRIES: usize = 5;

/// The vault as the server has it: what is in it is kept here too.
pub fn learn(core: &Core, vault: &Vault) -> Result<(), ClientError> {
    match core.crypto.secrets().read_book(core.me(), &vault.vault) {
        Ok(book) => keep(core, &book),
        Err(AccountError::Locked) => {
            core.locked.send_replace(true);
            core.touch();
            Ok(())
        }
        // The messages do not depend on it.
        Err(error) => {
            tracing::warn!(%error, "the vault cannot be read");
            if error == AccountError::BadBook {
                core.locked.send_if_modified(std::mem::take);
                core.touch();
            }
            Ok(())
        }
    }
}

fn keep(core: &Core, book: &VaultBook) -> Result<(), ClientError> {
    core.store.set_device_names(&book.devices)?;
    let mut changed = Vec::new();
    {
        let mut people = core.people();
        people.were_compared(&book.verified);
        for user in people.everybody() {
            let Some(now) = people.trusted(&user) else { continue };
            let of = |list: &[(UserName, tidings_trust::Fingerprint)]| list.iter().find(|(about, _)| *about == user).map(|(_, it)| *it);
            let newest = people.state(&user).map(|state| state.list.identity.fingerprint());
            // What was accepted on another device is accepted here, if it is what is seen here.
            let accepted = of(&book.accepted).filter(|it| newest == Some(*it)).unwrap_or(now.accepted);
            let then = Trusted { accepted, verified: of(&book.verified) };
            if then != now {
                changed.push((user, then));
            }
        }
    }
    for (user, trusted) in changed {
        core.store.trust(&user, trusted)?;
        core.people().trust(&user, trusted);
    }
    core.locked.send_if_modified(std::mem::take);
    core.touch();
    Ok(())
}

/// Changes the book in the vault, over a link of a listed device. Gives the book as it is then.
pub async fn update(
    link: &mut Link,
    secrets: &AccountSecrets,
    me: &UserName,
    change: impl Fn(&mut VaultBook),
) -> Result<VaultBook, ClientError> {
    for attempt in 1.. {
        let Frame::Vault(Vault { vault, .. }) = link.ask(VaultGet { req: 1 }).await? else {
            return Err(misbehaved("something else where the vault should be"));
        };
        let mut book = match secrets.read_book(me, &vault) {
            // Whoever could write there once must not keep the owner from writing for ever. What is lost is believed less.
            Err(error @ AccountError::BadBook) => {
                tracing::warn!(%error, "begun anew");
                VaultBook::default()
            }
            read => read.map_err(of_account)?,
        };
        change(&mut book);
        let next = secrets.write_book(me, &vault, &book).map_err(of_account)?;
        match link.ask(BookPut { req: 2, version: next.version, book: next.book }).await {
            Ok(Frame::Done(_)) => return Ok(book),
            Ok(_) => return Err(misbehaved("something else where a yes or no should be")),
            Err(ClientError::Refused(why)) if why.code == Code::Conflict && attempt < TRIES => {}
            Err(error) => return Err(error),
        }
    }
    Err(ClientError::TimedOut)
}

/// Looks into the vault again: other devices may have written into it.
pub async fn refresh(core: &Core, link: &mut Link) -> Result<(), ClientError> {
    let Frame::Vault(vault) = link.ask(VaultGet { req: 1 }).await? else {
        return Err(misbehaved("something else where the vault should be"));
    };
    link.writer.close().await;
    learn(core, &vault)
}

/// Calls a new device something. Not worth failing for: it can be named later.
pub async fn name(link: &mut Link, secrets: &AccountSecrets, me: &UserName, device: &DeviceSecret, name: Option<String>) {
    let Some(name) = name else { return };
    if let Err(error) = update(link, secrets, me, |book| book.name(device.public(), &name)).await {
        tracing::debug!(%error, "the device has no name yet");
    }
}

/// The same for an open client: what is changed is kept here too.
pub async fn change(core: &Core, link: &mut Link, change: impl Fn(&mut VaultBook)) -> Result<(), ClientError> {
    let book = update(link, &core.crypto.secrets(), core.me(), change).await?;
    keep(core, &book)
}
