//! The MLS working group's vectors, as far as this layer reaches: OpenMLS on the cryptography and the storage that are here has to come to the
//! same secrets as everybody else. `tests/vectors/README.md` says which are out of reach, and why.

use super::provider::{CRYPTO, Provider, Random};
use super::{State, Unreadable};
use data_encoding::HEXLOWER;
use openmls::group::JoinBuilder;
use openmls::prelude::tls_codec::{DeserializeBytes, Serialize as _, VLBytes};
use openmls::prelude::{
    KeyPackage, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
    OpenMlsSignaturePublicKey, ProcessedMessageContent, ProcessedWelcome, RatchetTreeIn, Verifiable,
};
use openmls::schedule::PreSharedKeyId;
use openmls_memory_storage::MemoryStorage;
use openmls_traits::OpenMlsProvider;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::storage::{CURRENT_VERSION, Entity, StorageProvider, traits};
use openmls_traits::types::{
    CryptoError, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType, HpkePrivateKey, SignatureScheme,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_trust::mls::{CIPHERSUITE, Codec, Verifier};

const BASICS: &str = include_str!("../../tests/vectors/mls/crypto_basics.json");
const WELCOME: &str = include_str!("../../tests/vectors/mls/welcome.json");
const JOINS: &str = include_str!("../../tests/vectors/mls/passive_client_welcome.json");
const COMMITS: &str = include_str!("../../tests/vectors/mls/passive_client_handling_commit.json");
const RANDOM: &str = include_str!("../../tests/vectors/mls/passive_client_random.json");

/// The cases of a set, all of our ciphersuite.
fn cases(set: &str, expected: usize) -> Vec<Value> {
    let cases: Vec<Value> = serde_json::from_str(set).unwrap();
    assert!(cases.len() == expected && cases.iter().all(|case| case["cipher_suite"] == 1));
    cases
}

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn label(of: &Value) -> Vec<u8> {
    format!("MLS 1.0 {}", of["label"].as_str().unwrap()).into_bytes()
}

fn opaque(bytes: Vec<u8>) -> Vec<u8> {
    VLBytes::new(bytes).tls_serialize_detached().unwrap()
}

/// ExpandWithLabel (RFC 9420 §8), on the expansion that is here.
fn expand(secret: &[u8], label: Vec<u8>, context: Vec<u8>, length: u16) -> Vec<u8> {
    let info = [length.to_be_bytes().to_vec(), opaque(label), opaque(context)].concat();
    CRYPTO.hkdf_expand(HashType::Sha2_256, secret, &info, length.into()).unwrap().as_slice().to_vec()
}

/// The second is of another key, text or signature: what must not hold.
#[test]
fn the_basics_are_as_everybody_has_them() {
    for case in cases(BASICS, 1) {
        let it = &case["ref_hash"];
        let hashed = [opaque(it["label"].as_str().unwrap().into()), opaque(hex(&it["value"]))].concat();
        assert_eq!(CRYPTO.hash(HashType::Sha2_256, &hashed).unwrap(), hex(&it["out"]));

        let it = &case["expand_with_label"];
        let length = it["length"].as_u64().unwrap() as u16;
        assert_eq!(expand(&hex(&it["secret"]), label(it), hex(&it["context"]), length), hex(&it["out"]));

        let it = &case["derive_secret"];
        assert_eq!(expand(&hex(&it["secret"]), label(it), Vec::new(), 32), hex(&it["out"]));

        let it = &case["derive_tree_secret"];
        let generation = (it["generation"].as_u64().unwrap() as u32).to_be_bytes().to_vec();
        assert_eq!(expand(&hex(&it["secret"]), label(it), generation, it["length"].as_u64().unwrap() as u16), hex(&it["out"]));

        let it = &case["sign_with_label"];
        let (content, public) = ([opaque(label(it)), opaque(hex(&it["content"]))].concat(), hex(&it["pub"]));
        let mut signature = hex(&it["signature"]);
        assert_eq!(CRYPTO.sign(SignatureScheme::ED25519, &content, &hex(&it["priv"])).unwrap(), signature);
        CRYPTO.verify_signature(SignatureScheme::ED25519, &content, &public, &signature).unwrap();
        signature[7] ^= 1;
        let refused = CRYPTO.verify_signature(SignatureScheme::ED25519, &content, &public, &signature);
        assert_eq!(refused, Err(CryptoError::InvalidSignature));

        let it = &case["encrypt_with_label"];
        let config = || HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm128);
        let (info, secret) = ([opaque(label(it)), opaque(hex(&it["context"]))].concat(), hex(&it["priv"]));
        let mut sealed = HpkeCiphertext { kem_output: hex(&it["kem_output"]).into(), ciphertext: hex(&it["ciphertext"]).into() };
        let text = hex(&it["plaintext"]);
        assert_eq!(CRYPTO.hpke_open(config(), &sealed, &secret, &info, &[]).unwrap(), text);
        let ours = CRYPTO.hpke_seal(config(), &hex(&it["pub"]), &info, &[], &text).unwrap();
        assert_eq!(CRYPTO.hpke_open(config(), &ours, &secret, &info, &[]).unwrap(), text);
        let mut bent = sealed.ciphertext.as_slice().to_vec();
        bent[7] ^= 1;
        sealed.ciphertext = bent.into();
        assert!(CRYPTO.hpke_open(config(), &sealed, &secret, &info, &[]).is_err());
    }
}

/// What is here, but for where groups are kept.
struct InMemory(MemoryStorage);

impl OpenMlsProvider for InMemory {
    type CryptoProvider = Verifier;
    type RandProvider = Random;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.0
    }

    fn crypto(&self) -> &Verifier {
        &CRYPTO
    }

    fn rand(&self) -> &Random {
        &Random
    }
}

/// A key package with its secrets, in the form in which OpenMLS keeps one.
#[derive(Serialize, Deserialize)]
struct Bundle {
    key_package: KeyPackage,
    private_init_key: HpkePrivateKey,
    private_encryption_key: EncryptionKey,
}

#[derive(Serialize, Deserialize)]
struct EncryptionKey {
    key: HpkePrivateKey,
}

impl Entity<CURRENT_VERSION> for Bundle {}
impl traits::KeyPackage<CURRENT_VERSION> for Bundle {}

fn message(bytes: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).unwrap()
}

/// Somebody who joins and reads, and never writes.
struct Passive<'a, P: OpenMlsProvider> {
    provider: &'a P,
    group: Option<MlsGroup>,
}

impl<'a, P: OpenMlsProvider> Passive<'a, P> {
    /// Has a case's key package and pre-shared keys.
    fn of(provider: &'a P, case: &Value) -> Passive<'a, P> {
        let MlsMessageBodyIn::KeyPackage(package) = message(&hex(&case["key_package"])).extract() else { panic!("a key package") };
        // As it stands: some of the vectors' have ended.
        let package: KeyPackage = Codec::decode(&Codec::encode(&package).unwrap()).unwrap();
        let key = |name: &str| HpkePrivateKey::from(case.get(name).map(hex).unwrap_or(vec![7; 32]));
        let reference = package.hash_ref(provider.crypto()).unwrap();
        let private_encryption_key = EncryptionKey { key: key("encryption_priv") };
        let bundle = Bundle { key_package: package, private_init_key: key("init_priv"), private_encryption_key };
        provider.storage().write_key_package(&reference, &bundle).unwrap();
        for psk in case["external_psks"].as_array().into_iter().flatten() {
            let id = PreSharedKeyId::external(hex(&psk["psk_id"]), Vec::new());
            id.store(provider, &hex(&psk["psk"])).unwrap();
        }
        Passive { provider, group: None }
    }

    fn welcomed(&self, case: &Value) -> ProcessedWelcome {
        let MlsMessageBodyIn::Welcome(welcome) = message(&hex(&case["welcome"])).extract() else { panic!("a welcome") };
        let config =
            MlsGroupJoinConfig::builder().wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY).number_of_resumption_psks(16).build();
        ProcessedWelcome::new_from_welcome(self.provider, &config, welcome).unwrap()
    }

    fn joins(&mut self, case: &Value) {
        let mut builder = JoinBuilder::new(self.provider, self.welcomed(case)).skip_lifetime_validation();
        if let Some(tree) = case["ratchet_tree"].as_str() {
            let tree = HEXLOWER.decode(tree.as_bytes()).unwrap();
            builder = builder.with_ratchet_tree(RatchetTreeIn::tls_deserialize_exact_bytes(&tree).unwrap());
        }
        self.group = Some(builder.build().unwrap().into_group(self.provider).unwrap());
        self.has(&case["initial_epoch_authenticator"]);
    }

    fn reads(&mut self, bytes: &Value) {
        let group = self.group.as_mut().unwrap();
        let message = message(&hex(bytes)).try_into_protocol_message().unwrap();
        match group.process_message(self.provider, message).unwrap().into_content() {
            ProcessedMessageContent::ProposalMessage(proposal) => {
                group.store_pending_proposal(self.provider.storage(), *proposal).unwrap();
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => group.merge_staged_commit(self.provider, *commit).unwrap(),
            _ => panic!("a proposal or a commit"),
        }
    }

    /// Whether it has come to the secrets that it should have.
    fn has(&self, authenticator: &Value) {
        assert_eq!(self.group.as_ref().unwrap().epoch_authenticator().as_slice(), hex(authenticator));
    }

    fn goes_through(&mut self, case: &Value) {
        self.joins(case);
        for epoch in case["epochs"].as_array().unwrap() {
            epoch["proposals"].as_array().unwrap().iter().for_each(|proposal| self.reads(proposal));
            self.reads(&epoch["commit"]);
            self.has(&epoch["epoch_authenticator"]);
        }
    }
}

fn is_by_value(case: &Value) -> bool {
    case["epochs"].as_array().unwrap().iter().all(|epoch| epoch["proposals"] == Value::Array(Vec::new()))
}

fn with_state(work: impl FnOnce(&Provider<'_>)) {
    let empty = |_: &[u8]| Ok::<_, Unreadable>(None);
    let state = State::new(&empty);
    work(&Provider { state: &state });
}

#[test]
fn a_welcome_opens_and_its_group_info_is_its_signers() {
    for case in cases(WELCOME, 1) {
        with_state(|provider| {
            let welcomed = Passive::of(provider, &case).welcomed(&case);
            let key = |bytes: Vec<u8>| OpenMlsSignaturePublicKey::new(bytes.into(), CIPHERSUITE.into()).unwrap();
            let info = welcomed.unverified_group_info();
            info.clone().verify_no_out(provider.crypto(), &key(hex(&case["signer_pub"]))).unwrap();
            assert!(info.clone().verify_no_out(provider.crypto(), &key(vec![9; 32])).is_err());
        });
    }
}

#[test]
fn whoever_joins_has_the_secrets_of_the_epoch() {
    for case in cases(JOINS, 8) {
        with_state(|provider| Passive::of(provider, &case).joins(&case));
    }
}

#[test]
fn whoever_follows_commits_has_the_secrets_of_each_epoch() {
    let (by_value, by_reference): (Vec<Value>, Vec<Value>) = cases(COMMITS, 13).into_iter().partition(is_by_value);
    assert_eq!((by_value.len(), by_reference.len()), (6, 7));
    for case in by_value {
        with_state(|provider| Passive::of(provider, &case).goes_through(&case));
    }
    // Of proposals that come before their commit rooms here have none, and our storage keeps none.
    for case in by_reference.into_iter().chain(cases(RANDOM, 1)) {
        Passive::of(&InMemory(MemoryStorage::default()), &case).goes_through(&case);
    }
}
