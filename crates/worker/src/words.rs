//! What has gone wrong, in the words of a browser: where the core's own speak of a command line's profile, or do not say what to do here.

use tidings_client::ClientError;
use tidings_proto::Code;
use tidings_view::ask::Ask;

/// What is wrong where the server does not take a secret: that depends on what was asked.
pub fn wrong_secret(ask: &Ask) -> &'static str {
    match ask {
        Ask::Recover { .. } | Ask::Login { recovery: true, .. } => "the name or the recovery words are wrong",
        Ask::Revoke { .. } | Ask::ChangePassword { .. } | Ask::Unlock { .. } => "the password is wrong",
        _ => "the name or the password is wrong",
    }
}

/// The words for an error.
pub fn of(error: &ClientError, wrong_secret: &str) -> String {
    match error {
        ClientError::LoginFailed => wrong_secret.into(),
        ClientError::Refused(refusal) => match refusal.code {
            Code::LoginFailed => wrong_secret.into(),
            Code::NameTaken => "this name is taken. Choose another one".into(),
            Code::BadCode => "this invitation code is wrong, or was used before. Ask for a new one".into(),
            Code::RegistrationClosed => {
                format!("{}. Paste the code that you were given, or ask whoever runs the server for one", refusal.text)
            }
            _ => refusal.text.clone(),
        },
        ClientError::NotListed(user) => {
            format!(
                "this browser is not one of {user}’s devices any more: another device has removed it. Log out in the settings; then you can log in again"
            )
        }
        ClientError::NoAccount(_) | ClientError::Closed => "nobody is logged in in this browser any more. Reload this page".into(),
        ClientError::ProfileTaken { user, .. } => format!("{user} is logged in in this browser already. Reload this page"),
        ClientError::Profile { why, .. } => format!("what is stored in this browser cannot be used: {why}"),
        ClientError::Store(why) => format!("this browser could not read or write what it stores: {why}"),
        ClientError::SealedAway => "the key with which everything here was sealed is gone from this browser".into(),
        ClientError::NewerSchema { .. } => {
            "a newer version of this client has written what is stored in this browser. Reload this page".into()
        }
        ClientError::TimedOut => "the server has not answered in time. Try again".into(),
        ClientError::ServerKeyChanged { .. } => format!("{error}. Ask whoever runs it before you go on"),
        _ => error.to_string(),
    }
}
