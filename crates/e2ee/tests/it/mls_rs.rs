//! Live, with a client of another make: `mls-rs` (AWS), which shares no line of MLS with what is here. It has our credential and knows our
//! extension; all else is RFC 9420.

use crate::mls_world::*;
use crate::samples::*;
use bytes::Bytes;
use mls_rs::client_builder::MlsConfig;
use mls_rs::error::IntoAnyError;
use mls_rs::extension::ExtensionType;
use mls_rs::extension::built_in::RequiredCapabilitiesExt;
use mls_rs::group::{CommitOutput, ExportedTree, ReceivedMessage};
use mls_rs::identity::basic::BasicCredential;
use mls_rs::identity::{CredentialType, SigningIdentity};
use mls_rs::mls_rules::{CommitOptions, DefaultMlsRules};
use mls_rs::time::MlsTime;
use mls_rs::{CipherSuite, Client, Extension, ExtensionList, Group, IdentityProvider, MlsMessage};
use mls_rs_core::extension::MlsExtension;
use mls_rs_core::identity::MemberValidationContext;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use openmls::prelude::tls_codec::Serialize;
use openmls::prelude::{KeyPackage, MlsMessageBodyIn, MlsMessageIn, ProtocolVersion};
use std::time::Duration;
use tidings_e2ee::mls::{Followed, Made};
use tidings_proto::membership::Commit;
use tidings_proto::{Kind, Role, cbor};
use tidings_trust::members::MembersError;
use tidings_trust::mls::{LeafError, ROSTER, TreeError, Verifier, credential, key_package};

/// What `mls-rs` asks of whoever embeds it: devices are told apart by their keys, and whose they are is not its business.
#[derive(Clone)]
struct ByKey;

#[derive(Debug, thiserror::Error)]
#[error("a credential of another kind")]
struct Unknown;

impl IntoAnyError for Unknown {
    fn into_dyn_error(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        Ok(self.into())
    }
}

impl IdentityProvider for ByKey {
    type Error = Unknown;

    fn validate_member(&self, who: &SigningIdentity, _: Option<MlsTime>, _: MemberValidationContext<'_>) -> Result<(), Unknown> {
        who.credential.as_basic().map(drop).ok_or(Unknown)
    }

    fn validate_external_sender(&self, _: &SigningIdentity, _: Option<MlsTime>, _: Option<&ExtensionList>) -> Result<(), Unknown> {
        Err(Unknown)
    }

    fn identity(&self, who: &SigningIdentity, _: &ExtensionList) -> Result<Vec<u8>, Unknown> {
        Ok(who.signature_key.to_vec())
    }

    fn valid_successor(&self, before: &SigningIdentity, after: &SigningIdentity, _: &ExtensionList) -> Result<bool, Unknown> {
        Ok(before.signature_key == after.signature_key)
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::BASIC]
    }
}

/// A device whose MLS is `mls-rs`.
struct Foreign<C: MlsConfig> {
    /// Its name, keys and drafts.
    device: Device,
    client: Client<C>,
    group: Option<Group<C>>,
    seen: usize,
}

/// From 1970 to the end of time.
const FOR_EVER: Duration = Duration::from_secs(u64::MAX);

fn from() -> Option<MlsTime> {
    Some(0.into())
}

/// What a group's context holds here.
fn context(bound: &[u8]) -> ExtensionList {
    let needed = RequiredCapabilitiesExt::new(vec![ExtensionType::new(ROSTER)], vec![], vec![CredentialType::BASIC]);
    let people = Extension::new(ExtensionType::new(ROSTER), bound.to_vec());
    ExtensionList::from(vec![needed.into_extension().unwrap(), people])
}

fn foreign(person: &Person) -> Foreign<impl MlsConfig + use<>> {
    foreign_for(person, FOR_EVER)
}

fn foreign_for(person: &Person, lifetime: Duration) -> Foreign<impl MlsConfig + use<>> {
    let mut device = Device::new(person);
    let named = openmls::prelude::BasicCredential::try_from(credential(&device.user, device.list)).unwrap();
    let public = device.secret.public().as_bytes().to_vec();
    let identity = SigningIdentity::new(BasicCredential::new(named.identity().to_vec()).into_credential(), public.clone().into());
    let secret = [device.secret.to_bytes().to_vec(), public].concat();
    let options = CommitOptions::new().with_path_required(true).with_allow_external_commit(true).with_ratchet_tree_extension(false);
    let client = Client::builder()
        .crypto_provider(RustCryptoProvider::default())
        .identity_provider(ByKey)
        .extension_type(ExtensionType::new(ROSTER))
        .key_package_lifetime(lifetime)
        .mls_rules(DefaultMlsRules::new().with_commit_options(options))
        .signing_identity(identity, secret.into(), CipherSuite::CURVE25519_AES128)
        .build();
    let package = client.generate_key_package_message(ExtensionList::new(), ExtensionList::new(), from()).unwrap();
    device.packages = vec![package.to_bytes().unwrap().into()];
    Foreign { device, client, group: None, seen: 0 }
}

/// The tree of the hub's newest epoch, in the form of another make.
fn tree_of(hub: &Hub, at: usize) -> ExportedTree<'static> {
    let nodes = hub.after[at].tree().unwrap().ratchet_tree().unwrap().tls_serialize_detached().unwrap();
    ExportedTree::from_bytes(&nodes).unwrap()
}

fn read(bytes: &[u8]) -> MlsMessage {
    MlsMessage::from_bytes(bytes).unwrap()
}

impl<C: MlsConfig> Foreign<C> {
    fn group(&mut self) -> &mut Group<C> {
        self.group.as_mut().unwrap()
    }

    /// Reads the log as far as it goes: what it could open.
    fn reads(&mut self, hub: &Hub) -> Vec<Result<String, String>> {
        let mut texts = Vec::new();
        while self.seen < hub.log.len() {
            let (at, draft) = (self.seen, &hub.log[self.seen]);
            self.seen += 1;
            let is_own = draft.device == self.device.secret.public();
            let waits = is_own && self.group.as_ref().is_some_and(|group| group.has_pending_commit());
            match draft.kind {
                Kind::Commit if waits => drop(self.group().apply_pending_commit().unwrap()),
                // It came in by this one.
                Kind::Commit if is_own => {}
                Kind::Commit => self.follows(hub, at, &cbor::decode(&draft.body, 1 << 20).unwrap()),
                Kind::Sealed if !is_own => texts.push(self.opens(hub, at, &draft.body)),
                _ => {}
            }
        }
        texts
    }

    fn follows(&mut self, hub: &Hub, at: usize, commit: &Commit) {
        match (&mut self.group, &commit.commit, &commit.welcome) {
            (Some(group), Some(commit), _) => {
                // One that it was put out by is the last that it can read.
                let _ = group.process_incoming_message(read(commit));
            }
            (None, _, Some(welcome)) => {
                self.group = self.client.join_group(Some(tree_of(hub, at)), &read(welcome), None).ok().map(|(group, _)| group);
            }
            _ => {}
        }
    }

    fn opens(&mut self, hub: &Hub, at: usize, sealed: &[u8]) -> Result<String, String> {
        let group = self.group.as_mut().ok_or("not in")?;
        match group.process_incoming_message(read(sealed)).map_err(|error| error.to_string())? {
            ReceivedMessage::ApplicationMessage(message) => {
                let by = hub.after[at].tree().unwrap().leaf(message.sender_index).unwrap().user.clone();
                assert_eq!(message.authenticated_data, b"where", "what it is bound to, in the open");
                Ok(format!("{by}: {}", String::from_utf8(message.data().to_vec()).unwrap()))
            }
            other => Err(format!("{other:?}")),
        }
    }

    fn says(&mut self, hub: &mut Hub, text: &str) {
        let sealed = self.group().encrypt_application_message(text.as_bytes(), b"where".to_vec()).unwrap();
        let draft = self.device.draft(hub, Kind::Sealed, sealed.to_bytes().unwrap().into());
        hub.take(&draft).unwrap();
    }

    /// A commit of its own, which the hub judges.
    fn sends(&mut self, hub: &mut Hub, made: CommitOutput) -> Result<(), MembersError> {
        let commit = Some(made.commit_message.to_bytes().unwrap().into());
        let group_info = made.external_commit_group_info.unwrap().to_bytes().unwrap().into();
        let welcome = made.welcome_messages.first().map(|welcome| welcome.to_bytes().unwrap().into());
        let draft = self.device.commit_draft(hub, Made { commit, group_info, welcome }, None);
        hub.take(&draft)
    }

    /// Comes in on its own; with an invitation, as a member.
    fn comes_in(&mut self, hub: &mut Hub, joins: bool) -> Result<(), MembersError> {
        let tree = tree_of(hub, hub.after.len() - 1);
        let builder = self.client.external_commit_builder().unwrap().with_tree_data(tree).commit_time(0.into());
        let (group, commit) = builder.build(read(&newest_group_info(hub))).unwrap();
        let group_info = group.group_info_message_allowing_ext_commit(false).unwrap().to_bytes().unwrap().into();
        self.group = Some(group);
        let made = Made { commit: Some(commit.to_bytes().unwrap().into()), group_info, welcome: None };
        let change = joins.then(|| Does::Join.change(hub));
        let draft = self.device.commit_draft(hub, made, change);
        hub.take(&draft)
    }
}

#[test]
fn a_client_of_another_make_is_added_by_its_key_package_reads_writes_and_is_put_out() {
    let (mut hub, mut alice, mut bob) = (Hub::direct(), Device::new(&ALICE), foreign(&BOB));
    alice.begins(&mut hub, &mut [&mut bob.device]).unwrap();
    assert_eq!(alice.reads(&hub).1, Followed::In);
    alice.says(&mut hub, "Good morning");
    alice.says(&mut hub, &"long ".repeat(2000));
    assert_eq!(bob.reads(&hub), [Ok("alice@s1: Good morning".into()), Ok(format!("alice@s1: {}", "long ".repeat(2000)))]);
    bob.says(&mut hub, "And to you");
    assert_eq!(alice.texts(&hub), ["bob@s2: And to you"]);
    // A commit of ours, and one of theirs.
    alice.commits_after(&mut hub, None);
    alice.says(&mut hub, "by new keys");
    assert_eq!(bob.reads(&hub), [Ok("alice@s1: by new keys".into())]);
    bob.says(&mut hub, "I have them");
    assert_eq!(alice.texts(&hub), ["bob@s2: I have them"]);
    let made = bob.group().commit(Vec::new()).unwrap();
    bob.sends(&mut hub, made).unwrap();
    bob.reads(&hub);
    bob.says(&mut hub, "and by mine");
    assert_eq!(alice.reads(&hub), (vec![Ok("bob@s2: and by mine".into())], Followed::In));
    alice.says(&mut hub, "I have yours");
    assert_eq!(bob.reads(&hub), [Ok("alice@s1: I have yours".into())]);
    // Another device of alice's comes in on its own.
    hub.learn(ALICE.with_devices(&ALICE.state, &[1, 2]));
    let mut phone = Device::on(ALICE.user(), device(2), 2);
    phone.comes_in(&mut hub, false).unwrap();
    phone.reads(&hub);
    assert!(alice.reads(&hub).0.is_empty() && bob.reads(&hub).is_empty());
    phone.says(&mut hub, "from the phone");
    assert_eq!(bob.reads(&hub), [Ok("alice@s1: from the phone".into())]);
    bob.says(&mut hub, "to both");
    assert_eq!((alice.texts(&hub).len(), phone.texts(&hub).as_slice()), (2, ["bob@s2: to both".to_owned()].as_slice()));
    // Its device is taken off.
    let (room, bound) = (hub.room(), hub.members.bound());
    let place = hub.members.tree().unwrap().leaves().iter().find(|leaf| leaf.user == *BOB.user()).unwrap().index;
    let made = alice.with(|state, me| me.commit(state, &room, &bound, &[], &[place])).unwrap();
    let removed = alice.commit_draft(&hub, made, None);
    hub.take(&removed).unwrap();
    alice.reads(&hub);
    phone.reads(&hub);
    alice.says(&mut hub, "without him");
    assert_eq!(phone.texts(&hub), ["alice@s1: without him"]);
    let read = bob.reads(&hub);
    assert!(read.len() == 1 && read[0].is_err(), "{read:?}");
}

#[test]
fn a_client_of_another_make_comes_into_a_group_by_itself_and_is_removed_from_it() {
    let (mut hub, mut alice, mut bob) = (Hub::group(), Device::new(&ALICE), foreign(&BOB));
    let mut carol = Device::new(&CAROL);
    alice.begins(&mut hub, &mut []).unwrap();
    alice.reads(&hub);
    for user in [BOB.user(), CAROL.user()] {
        alice.commits_after(&mut hub, Does::Invite(user.clone(), Role::Member));
    }
    assert!(bob.comes_in(&mut hub, false).is_err(), "who was asked in says that they come");
    bob.comes_in(&mut hub, true).unwrap();
    bob.seen = hub.log.len();
    carol.comes_in(&mut hub, true).unwrap();
    carol.reads(&hub);
    assert!(alice.reads(&hub).0.is_empty() && bob.reads(&hub).is_empty());
    bob.says(&mut hub, "here I am");
    assert_eq!((alice.texts(&hub), carol.texts(&hub)), (vec!["bob@s2: here I am".into()], vec!["bob@s2: here I am".into()]));
    carol.says(&mut hub, "me too");
    assert_eq!(bob.reads(&hub), [Ok("carol@s2: me too".into())]);
    alice.commits_after(&mut hub, Does::SetRole(CAROL.user().clone(), Role::Admin));
    assert!(bob.reads(&hub).is_empty());
    let bound = bob.group().context().extensions.get(ExtensionType::new(ROSTER)).unwrap();
    assert_eq!(bound.extension_data, hub.members.bound().as_bytes(), "it is told who is in, and in which role");
    // It binds nobody else than there is.
    let made = bob.group().commit_builder().set_group_context_ext(context(&[7; 32])).unwrap().build().unwrap();
    assert!(matches!(bob.sends(&mut hub, made), Err(MembersError::MayNot(_))));
    bob.group().clear_pending_commit();
    alice.commits_after(&mut hub, Does::Remove(BOB.user().clone()));
    carol.reads(&hub);
    bob.reads(&hub);
    alice.says(&mut hub, "not for bob");
    assert_eq!(carol.texts(&hub), ["alice@s1: not for bob"]);
    let read = bob.reads(&hub);
    assert!(read.len() == 1 && read[0].is_err(), "{read:?}");
    assert!(bob.comes_in(&mut hub, true).is_err(), "and does not come back by itself");
}

#[test]
fn a_group_that_a_client_of_another_make_begins_is_one_of_ours() {
    let (mut hub, mut alice, mut bob) = (Hub::direct(), Device::new(&ALICE), foreign(&BOB));
    let context = context(hub.members.bound().as_bytes());
    let room = hub.room().0.to_vec();
    bob.group = Some(bob.client.create_group_with_id(room, context, ExtensionList::new(), from()).unwrap());
    let package = read(&alice.packages.pop().unwrap());
    let made = bob.group().commit_builder().add_member(package).unwrap().build().unwrap();
    bob.group().apply_pending_commit().unwrap();
    // It begins with a tree in it.
    let group_info = bob.group().group_info_message_allowing_ext_commit(true).unwrap().to_bytes().unwrap().into();
    let welcome = Some(made.welcome_messages[0].to_bytes().unwrap().into());
    let draft = bob.device.commit_draft(&hub, Made { commit: None, group_info, welcome }, None);
    hub.take(&draft).unwrap();
    bob.seen = hub.log.len();
    assert_eq!(alice.reads(&hub).1, Followed::In);
    bob.says(&mut hub, "welcome");
    assert_eq!(alice.texts(&hub), ["bob@s2: welcome"]);
    alice.says(&mut hub, "thank you");
    assert_eq!(bob.reads(&hub), [Ok("alice@s1: thank you".into())]);
}

/// What a client of another make does by itself, a place that ends in some months: whoever reads the log after that would tell another story.
#[test]
fn nobody_is_added_whose_place_has_an_end() {
    let (mut hub, mut alice) = (Hub::direct(), Device::new(&ALICE));
    let bob = foreign_for(&BOB, Duration::from_secs(1 << 40));
    let bytes: Bytes = bob.device.packages[0].clone();
    assert_eq!(key_package(&bytes, &BOB.device.public(), &BOB.state), Err(LeafError::Unfit("it has an end")));
    // Somebody who does not look at it adds him.
    let message: MlsMessageIn = openmls::prelude::tls_codec::DeserializeBytes::tls_deserialize_exact_bytes(&bytes).unwrap();
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else { panic!("a key package") };
    let package: KeyPackage = package.validate(&Verifier::PUBLIC, ProtocolVersion::Mls10).unwrap();
    let (room, bound) = (hub.room(), hub.members.bound());
    let made = alice.with(|state, me| me.begin(state, &room, &bound, std::slice::from_ref(&package))).unwrap();
    let draft = alice.commit_draft(&hub, made, None);
    let refused = Err(MembersError::Keys(TreeError::Forbidden("a device whose place has an end")));
    assert_eq!(hub.take(&draft), refused);
    let mut alice = Device::new(&ALICE);
    alice.begins(&mut hub, &mut []).unwrap();
    alice.reads(&hub);
    let draft = alice.commit_of(&hub, None, &[package]);
    assert_eq!(hub.take(&draft), refused);
}
