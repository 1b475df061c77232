//! What takes one of an account's secrets: logging in, and changing secrets, vault and keys together. The same for guests and
//! for listed devices; what a login is good for besides is theirs to say.

use super::Caller;
use crate::accounts::LoginUnderWay;
use crate::host::Host;
use crate::logs::{Origin, Proof, Secrets};
use tidings_proto::frame::{Accepted, LoginFinish, LoginReply, LoginStart, Rekey, RekeyReply, RekeyStart, Secret, Vault};
use tidings_proto::{Code, Frame, Refusal};

/// A login between KE2 and KE3.
pub struct UnderWay {
    login: Box<LoginUnderWay>,
    /// What KE3 would prove; nothing of an account that is not there.
    proof: Option<Proof>,
}

/// Answers KE1, whether or not there is such an account.
pub async fn start(host: &Host, caller: &Caller, LoginStart { req, with, ke1 }: LoginStart) -> Result<(Frame, UnderWay), Refusal> {
    let account = host.logs.account(&caller.user).await?;
    let from = (&caller.transcript, caller.address);
    let (ke2, login) = host.accounts.login((&host.identity, &host.name), &caller.user, (with, &ke1), account.as_ref(), from)?;
    let proof = account.map(|account| Proof::of(with, &account));
    Ok((LoginReply { req, ke2 }.into(), UnderWay { login: Box::new(login), proof }))
}

/// Checks KE3. Who is right gets the vault.
pub async fn finish(host: &Host, caller: &Caller, under_way: UnderWay, finish: LoginFinish) -> Result<(Frame, Proof), Refusal> {
    let LoginFinish { req, ke3 } = finish;
    host.accounts.logged_in(&host.name, *under_way.login, &ke3)?;
    let proof = under_way.proof.ok_or(Code::LoginFailed)?;
    let account = host.logs.account(&caller.user).await?.ok_or(Code::LoginFailed)?;
    Ok((Vault { req, vault: account.vault }.into(), proof))
}

/// Answers the OPAQUE registrations of other secrets. Only for who has proved one.
pub fn rekey_start(host: &Host, caller: &Caller, RekeyStart { req, password, recovery }: RekeyStart) -> Result<Frame, Refusal> {
    let answer = |secret, request: Option<bytes::Bytes>| {
        request.map(|request| host.accounts.register(&host.identity, &caller.user, secret, &request)).transpose()
    };
    let (password, recovery) = (answer(Secret::Password, password)?, answer(Secret::Recovery, recovery)?);
    Ok(RekeyReply { req, password, recovery }.into())
}

/// Changes the account, all of it or nothing.
pub async fn rekey(host: &Host, origin: Origin, proof: Proof, rekey: Rekey) -> Result<Frame, Refusal> {
    let Rekey { req, password, recovery, vault, draft } = rekey;
    let record = |upload: Option<bytes::Bytes>| upload.map(|upload| host.accounts.record(&upload)).transpose();
    let secrets = Secrets { password: record(password)?, recovery: record(recovery)?, vault };
    let placed = host.logs.rekey(origin, proof, secrets, draft).await?;
    Ok(Accepted { req, seq: placed.seq, hash: placed.hash }.into())
}
