//! `tidings register`: a new account, and the recovery code, shown once.

use crate::cli::{At, Global, RegisterArguments};
use crate::failure::Failure;
use crate::login::{Made, introduce};
use crate::{profile, secret};
use tidings_client::{ClientError, Endpoint, Register, UserName};
use tidings_proto::Code;
use tidings_setup::invitation::{Invitation, read_code};
use tidings_setup::value::show_server_key;

/// Runs the command.
pub async fn run(global: &Global, arguments: RegisterArguments) -> Result<u8, Failure> {
    profile::start_log("warn")?;
    let folder = std::path::absolute(profile::folder(global)?)?;
    let pass = arguments.code_file.as_deref().map(secret::code).transpose()?.map(|text| read_pass(&text)).transpose()?;
    let (endpoint, code) = match pass {
        Some(Pass::Invitation(invitation)) => (invited(global, arguments.at, &arguments.user, &invitation)?, Some(invitation.code)),
        Some(Pass::Code(code)) => (profile::endpoint(global, &arguments.at, &arguments.user)?, Some(code)),
        None => (profile::endpoint(global, &arguments.at, &arguments.user)?, None),
    };
    let has_code = code.is_some();
    let password = arguments.password.choose()?;
    let register = Register { profile: &folder, endpoint, user: arguments.user, password, code, device_name: arguments.device.name };
    let recovery = tidings_client::register(register).await.map_err(|error| match error {
        ClientError::Refused(why) if why.code == Code::RegistrationClosed && !has_code => {
            let code = ClientError::Refused(why.clone()).exit_code();
            Failure {
                sentence: format!("{why}. Whoever has an invitation or a claim code gives it with --invitation FILE, or - to be asked"),
                code,
            }
        }
        error => error.into(),
    })?;
    introduce(&folder, Made { kind: "registered", done: "is registered.", recovery: Some(recovery) }, global.json).await
}

/// What lets somebody in.
enum Pass {
    Invitation(Invitation),
    Code(String),
}

/// An invitation, or a code alone. It is repeated in no error.
fn read_pass(text: &str) -> Result<Pass, Failure> {
    if text.contains(':') || text.contains('/') {
        return text.parse().map(Pass::Invitation).map_err(|error| Failure::auth(error.to_string()));
    }
    read_code(text).map(Pass::Code).ok_or_else(|| Failure::auth("this is neither an invitation nor a code"))
}

/// The server that an invitation names. What else is said of the server must not say otherwise, but a flag knows better where it is.
fn invited(global: &Global, at: At, user: &UserName, invitation: &Invitation) -> Result<Endpoint, Failure> {
    if user.server() != &invitation.server {
        let (server, name) = (&invitation.server, user.local());
        return Err(Failure::usage(format!(
            "the invitation is for {server}, and {user} would be on another server: register {name}@{server}"
        )));
    }
    let at = At { server: at.server.or_else(|| invitation.address.clone()), ..at };
    let endpoint = profile::endpoint(global, &at, user)?;
    match endpoint.key {
        Some(key) if key != invitation.key => {
            let (said, invited) = (show_server_key(&key), show_server_key(&invitation.key));
            let what = format!("the invitation and your settings name two keys for {}: {invited} and {said}", invitation.server);
            Err(Failure { sentence: format!("{what}. One of them is not that server's; nothing was sent"), code: 8 })
        }
        _ => Ok(Endpoint { key: Some(invitation.key), ..endpoint }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_told_from_a_code_and_neither_is_repeated() {
        let key = show_server_key(&tidings_client::ServerKey([7; 32]));
        let line = format!("tidings://s1@10.0.0.5:5555/{key}#abcd-ef23");
        assert!(matches!(read_pass(&line), Ok(Pass::Invitation(invitation)) if invitation.code == "abcd-ef23"));
        assert!(matches!(read_pass(" ABCD-ef23 "), Ok(Pass::Code(code)) if code == "abcd-ef23"));
        for text in ["tidings://s1#abcd-ef23", "https://s1/abcd-ef23", "abcd ef23", "abcd_ef23"] {
            let failure = read_pass(text).err().unwrap();
            assert!(failure.code == 4 && !failure.sentence.contains("abcd"), "{text}: {failure:?}");
        }
    }
}
