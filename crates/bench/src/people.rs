//! Accounts for the load: registered as any, by the frames that any client sends, but cheap to make by the thousand.
//!
//! They share one identity key and one encryption key (making RSA-3072 keys takes half a second each), and all but those that log
//! in by password carry copies of one OPAQUE record (making one takes 64 MiB and a tenth of a second). A server cannot tell, and does
//! the same work for each: every device list is signed for its own name, every device has a key of its own.

use crate::link::{Link, Target};
use anyhow::{Result, ensure};
use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt};
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::opaque::{Login, Registration};
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};
use tidings_proto::frame::{LoginFinish, LoginStart, RegisterFinish, RegisterStart, SealedVault, Secret};
use tidings_proto::{Draft, Frame, Hash, Kind, LogName, SuiteName, UserName, cbor};
use tidings_trust::device_list::{Device as Listed, DeviceList, SignedList, VaultRef, signed_bytes};
use tidings_trust::login::opaque_context;
use tidings_trust::rsa::RsaPublicKey;

/// Links on which people register at the same time.
const AT_ONCE: usize = 16;
/// About what a sealed vault of one identity and one encryption key has.
const VAULT: [u8; 4096] = [0x5a; 4096];
const PASSWORD: &[u8] = b"correct horse battery staple";

/// One device of somebody's.
#[derive(Clone)]
pub struct Device {
    /// Whose.
    pub user: UserName,
    /// Its key.
    pub secret: DeviceSecret,
}

/// Somebody with an account.
#[derive(Clone)]
pub struct Person {
    /// Who.
    pub user: UserName,
    /// The devices in the account's list.
    pub devices: Vec<Device>,
}

/// Makes accounts on one server.
pub struct Registrar {
    target: Target,
    signing: <AwsLcKeys as RsaKeys>::Signing,
    identity: RsaPublicKey,
    encryption: RsaPublicKey,
    /// A request and a record of a registration that was done in full.
    copied: Option<(Bytes, Bytes)>,
}

impl Registrar {
    /// For this server.
    pub async fn new(target: &Target) -> Result<Registrar> {
        let (signing, identity) = AwsLcKeys.signing(include_bytes!("../../e2ee/tests/keys/a.pk8")).await?;
        let (_, encryption) = AwsLcKeys.signing(include_bytes!("../../e2ee/tests/keys/b.pk8")).await?;
        Ok(Registrar { target: target.clone(), signing, identity, encryption, copied: None })
    }

    /// What members of a group are known by.
    pub fn fingerprint(&self) -> Hash {
        self.identity.fingerprint().0
    }

    /// `count` people with `devices` devices each, called `name0`, `name1` and so on.
    pub async fn people(&mut self, name: &str, count: usize, devices: usize) -> Result<Vec<Person>> {
        let mut people = Vec::with_capacity(count);
        if self.copied.is_none() {
            let template = self.person(&format!("{name}-template"), 1)?;
            self.copied = Some(self.register(&template).await?);
        }
        let all: Vec<Person> = (0..count).map(|which| self.person(&format!("{name}{which}"), devices)).collect::<Result<_>>()?;
        let this = &*self;
        let mut done =
            futures_util::stream::iter(all).map(|person| async move { this.register(&person).await.map(|_| person) }).buffered(AT_ONCE);
        while let Some(person) = done.try_next().await? {
            people.push(person);
        }
        Ok(people)
    }

    /// Somebody who can log in by password: nothing of their account is a copy.
    pub async fn whole_person(&mut self, name: &str) -> Result<Person> {
        let copied = self.copied.take();
        let person = self.person(name, 1)?;
        let made = self.register(&person).await;
        self.copied = copied;
        made.map(|_| person)
    }

    fn person(&self, name: &str, devices: usize) -> Result<Person> {
        let user: UserName = format!("{name}@{}", self.target.name).parse()?;
        let devices = (0..devices).map(|_| Device { user: user.clone(), secret: DeviceSecret::generate() }).collect();
        Ok(Person { user, devices })
    }

    /// Gives the request and the record that can be copied.
    async fn register(&self, person: &Person) -> Result<(Bytes, Bytes)> {
        let first = &person.devices[0];
        let mut link = Link::device(&self.target, first).await?;
        let under_way = match &self.copied {
            Some(_) => None,
            None => Some(Registration::start(PASSWORD)?),
        };
        let request = match (&under_way, &self.copied) {
            (Some((_, request)), _) => Bytes::copy_from_slice(request),
            (None, Some((request, _))) => request.clone(),
            (None, None) => anyhow::bail!("nothing to register with"),
        };
        let start = RegisterStart { req: 1, code: None, password: request.clone(), recovery: request.clone() };
        let reply = link.ask(start, |frame| if let Frame::RegisterReply(reply) = frame { Some(reply) } else { None }).await?;
        let record = match (under_way, &self.copied) {
            (Some((registration, _)), _) => Bytes::from(registration.finish(PASSWORD, &reply.password, &person.user, &self.target.name)?.0),
            (None, Some((_, record))) => record.clone(),
            (None, None) => anyhow::bail!("nothing to register with"),
        };
        let draft = self.first_list(person).await?;
        let vault = SealedVault { version: 1, keys: Bytes::from_static(&VAULT), book: Bytes::new() };
        let finish = RegisterFinish { req: 2, password: record.clone(), recovery: record.clone(), vault, draft };
        link.ask(finish, |frame| matches!(frame, Frame::Accepted(_)).then_some(())).await?;
        Ok((request, record))
    }

    async fn first_list(&self, person: &Person) -> Result<Bytes> {
        let first = &person.devices[0];
        let list = DeviceList {
            user: person.user.clone(),
            version: 1,
            prev: None,
            identity: self.identity.clone(),
            encryption: self.encryption.clone(),
            devices: person.devices.iter().map(|device| Listed { key: device.secret.public(), suites: vec![SuiteName::RsaJwe1] }).collect(),
            vault: VaultRef { version: 1, hash: Hash::of(&VAULT) },
        };
        let list: Bytes = cbor::encode(&list).into();
        let sig = AwsLcKeys.sign_pss(&self.signing, &signed_bytes(&list)).await?.into();
        let draft = Draft {
            device: first.secret.public(),
            n: 1,
            author: person.user.clone(),
            list: 1,
            epoch: None,
            kind: Kind::First,
            body: cbor::encode(&SignedList { list, sig, by_old: None, grant: None }).into(),
            sig: None,
        };
        let log = LogName::Keys(self.target.name.clone());
        Ok(draft.signed(&log, |bytes| first.secret.sign(bytes)).bytes().clone())
    }
}

/// Logs a new device of `person` in by password, up to the vault; adding the device to the list would be the next step.
pub async fn log_in(target: &Target, person: &Person) -> Result<Link> {
    let device = Device { user: person.user.clone(), secret: DeviceSecret::generate() };
    let mut link = Link::device(target, &device).await?;
    ensure!(!link.listed, "a device that nobody knows is listed");
    let (login, ke1) = Login::start(PASSWORD)?;
    let start = LoginStart { req: 1, with: Secret::Password, ke1: ke1.into() };
    let reply = link.ask(start, |frame| if let Frame::LoginReply(reply) = frame { Some(reply) } else { None }).await?;
    let (ke3, _) = login.finish(PASSWORD, &reply.ke2, &person.user, &target.name, &opaque_context(&link.transcript))?;
    link.ask(LoginFinish { req: 2, ke3: ke3.into() }, |frame| matches!(frame, Frame::Vault(_)).then_some(())).await?;
    Ok(link)
}
