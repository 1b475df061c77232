//! Registration and login: the server's half of OPAQUE (RFC 9807). A password never reaches this code.

use crate::config::{Config, Registration};
use crate::identity::Identity;
use crate::link::guests::network;
use crate::logs::{AccountRecord, Admission, Logs, claim_needed};
use crate::rate::Rate;
use bytes::Bytes;
use opaque_ke::{
    CredentialFinalization, CredentialRequest, Identifiers, RegistrationRequest, RegistrationUpload, ServerLogin, ServerLoginParameters,
    ServerRegistration,
};
use rand_core::OsRng;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tidings_proto::frame::Secret;
use tidings_proto::{Code, Hash, Refusal, ServerName, UserName};
use tidings_trust::login::{OpaqueSuite, credential_id, opaque_context};

/// Local parts that would read like something else than a person.
const KEPT_BACK: &[&str] = &["public", "keys", "inbox", "room"];

/// Whether `user` would read like something else than a person.
pub fn is_kept_from_people(user: &UserName) -> bool {
    KEPT_BACK.contains(&user.local())
}

/// The rules of registering and logging in.
pub struct Accounts {
    registration: Registration,
    registrations: Rate<IpAddr>,
    logins_per_account: Rate<UserName>,
    logins_per_address: Rate<IpAddr>,
}

/// A login between KE2 and KE3.
pub struct LoginUnderWay {
    state: ServerLogin<OpaqueSuite>,
    user: UserName,
    address: IpAddr,
    context: Vec<u8>,
}

impl Accounts {
    /// The rules that `config` asks for.
    pub fn new(config: &Config) -> Accounts {
        let limits = &config.limits;
        let login = (limits.login_burst, Duration::from_secs(limits.login_seconds.into()));
        Accounts {
            registration: config.registration,
            registrations: Rate::new(limits.registration_burst, Duration::from_secs(60) / limits.registrations_per_minute.max(1)),
            logins_per_account: Rate::new(login.0, login.1),
            logins_per_address: Rate::new(login.0, login.1),
        }
    }

    /// Who may register.
    pub fn registration(&self) -> Registration {
        self.registration
    }

    /// Whether `user` may be registered from `address`, as far as can be said before a code is used up.
    pub async fn may_register(&self, logs: &Logs, user: &UserName, code: Option<&str>, address: IpAddr) -> Result<(), Refusal> {
        self.registrations.take(network(address), Instant::now()).map_err(too_fast)?;
        if is_kept_from_people(user) {
            return Err(Code::NameRefused.into());
        }
        let admission = self.admission(logs, user, code.map(str::to_owned))?;
        if logs.is_registered(user) {
            return Err(Code::NameTaken.into());
        }
        logs.admits(user, &admission).await
    }

    /// What lets `user` in, given this code. That it is good is for the logs to say.
    pub fn admission(&self, logs: &Logs, user: &UserName, code: Option<String>) -> Result<Admission, Refusal> {
        let kept = logs.is_kept_back(user);
        match (self.registration, code.filter(|code| !code.is_empty())) {
            // A closed server lets in whom its operator has named, and nobody else.
            (Registration::Closed, _) if !kept => Err(Refusal::new(Code::RegistrationClosed, "this server takes no new accounts")),
            (Registration::Closed, Some(code)) => Ok(Admission::Claim(code)),
            (_, Some(code)) if kept => Ok(Admission::Claim(code)),
            (_, None) if kept => Err(claim_needed()),
            (Registration::Open, _) => Ok(Admission::Open),
            (_, Some(code)) => Ok(Admission::Code(code)),
            (_, None) => Err(Code::RegistrationClosed.into()),
        }
    }

    /// Answers a RegistrationRequest.
    pub fn register(&self, identity: &Identity, user: &UserName, secret: Secret, request: &[u8]) -> Result<Bytes, Refusal> {
        let request = RegistrationRequest::deserialize(request).map_err(malformed)?;
        let started =
            ServerRegistration::<OpaqueSuite>::start(identity.opaque(), request, &credential_id(user, secret)).map_err(malformed)?;
        Ok(started.message.serialize().to_vec().into())
    }

    /// Checks a RegistrationRecord and gives what is to be kept of it.
    pub fn record(&self, upload: &[u8]) -> Result<Bytes, Refusal> {
        let upload = RegistrationUpload::<OpaqueSuite>::deserialize(upload).map_err(malformed)?;
        Ok(ServerRegistration::finish(upload).serialize().to_vec().into())
    }

    /// Answers KE1. An attempt is counted here, and the answer looks alike whether or not the account exists.
    pub fn login(
        &self,
        (identity, me): (&Identity, &ServerName),
        user: &UserName,
        (secret, ke1): (Secret, &[u8]),
        account: Option<&AccountRecord>,
        (transcript, address): (&Hash, IpAddr),
    ) -> Result<(Bytes, LoginUnderWay), Refusal> {
        let now = Instant::now();
        self.logins_per_address.take(network(address), now).map_err(too_fast)?;
        self.logins_per_account.take(user.clone(), now).map_err(too_fast)?;
        let record = account
            .map(|account| match secret {
                Secret::Password => &account.password,
                Secret::Recovery => &account.recovery,
            })
            .map(|record| ServerRegistration::<OpaqueSuite>::deserialize(record))
            .transpose()
            .map_err(|_| Refusal::from(Code::Internal))?;
        let request = CredentialRequest::deserialize(ke1).map_err(malformed)?;
        let context = opaque_context(transcript);
        let started = ServerLogin::start(
            &mut OsRng,
            identity.opaque(),
            record,
            request,
            &credential_id(user, secret),
            parameters(&context, user.to_string().as_bytes(), me.as_str().as_bytes()),
        )
        .map_err(malformed)?;
        let under_way = LoginUnderWay { state: started.state, user: user.clone(), address, context };
        Ok((started.message.serialize().to_vec().into(), under_way))
    }

    /// Checks KE3. What was counted is given back when it is right.
    pub fn logged_in(&self, me: &ServerName, under_way: LoginUnderWay, ke3: &[u8]) -> Result<(), Refusal> {
        let LoginUnderWay { state, user, address, context } = under_way;
        let ke3 = CredentialFinalization::deserialize(ke3).map_err(malformed)?;
        let name = user.to_string();
        state.finish(ke3, parameters(&context, name.as_bytes(), me.as_str().as_bytes())).map_err(|_| Refusal::from(Code::LoginFailed))?;
        self.logins_per_address.give_back(&network(address));
        self.logins_per_account.give_back(&user);
        Ok(())
    }
}

fn parameters<'a>(context: &'a [u8], client: &'a [u8], server: &'a [u8]) -> ServerLoginParameters<'a, 'a> {
    ServerLoginParameters { context: Some(context), identifiers: Identifiers { client: Some(client), server: Some(server) } }
}

fn malformed<E>(_: E) -> Refusal {
    // OPAQUE's own errors say which check failed; whoever guesses passwords need not know.
    Refusal::new(Code::Malformed, "this is not an OPAQUE message")
}

fn too_fast(seconds: u64) -> Refusal {
    Refusal::new(Code::TooFast, format!("too many attempts; try again in {seconds} s")).retry_after(seconds)
}
