//! Registration and login: from a name and a secret to a profile whose device is on the user's list.

use crate::{ClientError, Endpoint};
use std::fmt;
use std::path::Path;
use tidings_proto::UserName;
use zeroize::Zeroizing;

/// What a registration needs.
pub struct Register<'a> {
    /// The folder of the profile that is made; it may not have an account yet.
    pub profile: &'a Path,
    /// The home server.
    pub endpoint: Endpoint,
    /// The name to register; its server part is the endpoint's name.
    pub user: UserName,
    /// The password. It never leaves this process.
    pub password: Zeroizing<String>,
    /// An invitation or claim code, where the server wants one.
    pub code: Option<String>,
}

/// With what a login is made.
pub enum LoginSecret {
    /// The password.
    Password(Zeroizing<String>),
    /// The 24 words.
    Recovery(Zeroizing<String>),
}

/// What a login needs.
pub struct Login<'a> {
    /// The folder of the profile that is made; it may not have an account yet.
    pub profile: &'a Path,
    /// The home server.
    pub endpoint: Endpoint,
    /// Whose account.
    pub user: UserName,
    /// The secret. It never leaves this process.
    pub with: LoginSecret,
}

/// The 24 words that open the account when the password is lost. To be shown once and kept nowhere.
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// The words, with single spaces between.
    pub fn words(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

/// Makes an account, and a profile for it.
pub async fn register(_request: Register<'_>) -> Result<RecoveryCode, ClientError> {
    Err(ClientError::OurBug("being written".into()))
}

/// Adds a new device to an account, and makes a profile for it.
pub async fn login(_request: Login<'_>) -> Result<(), ClientError> {
    Err(ClientError::OurBug("being written".into()))
}
