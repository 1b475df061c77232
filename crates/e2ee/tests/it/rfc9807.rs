//! OPAQUE as RFC 9807 prints it (appendix C): every message and key of its examples for ristretto255-SHA512 with 3DH, which
//! is our suite but for Argon2id. `tidings_e2ee::opaque` itself draws from the system and cannot be given their randomness.

use data_encoding::HEXLOWER;
use opaque_ke::ksf::Identity;
use opaque_ke::{
    CipherSuite, ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters, CredentialFinalization,
    CredentialRequest, CredentialResponse, Identifiers, RegistrationRequest, RegistrationResponse, RegistrationUpload, ServerLogin,
    ServerLoginParameters, ServerRegistration, ServerSetup,
};
use rand_core::{CryptoRng, RngCore};
use serde_json::Value;
use std::collections::VecDeque;
use tidings_trust::login::OpaqueSuite;

/// Our suite, with the stretching of the examples: none. It only concerns what the client finishes.
struct Unstretched;

impl CipherSuite for Unstretched {
    type OprfCs = <OpaqueSuite as CipherSuite>::OprfCs;
    type KeyExchange = <OpaqueSuite as CipherSuite>::KeyExchange;
    type Ksf = Identity;
}

/// Gives what an example says was drawn, in the order in which it is asked for, and nothing else.
struct Script(VecDeque<Vec<u8>>);

impl RngCore for Script {
    fn fill_bytes(&mut self, out: &mut [u8]) {
        let next = self.0.pop_front().expect("more randomness is asked for than the example has");
        assert_eq!(next.len(), out.len(), "other randomness is asked for than the example has");
        out.copy_from_slice(&next);
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(out);
        Ok(())
    }
    fn next_u32(&mut self) -> u32 {
        panic!("no example draws a number")
    }
    fn next_u64(&mut self) -> u64 {
        panic!("no example draws a number")
    }
}

impl CryptoRng for Script {}

impl Drop for Script {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "the example has more randomness than is asked for");
    }
}

/// One example of the appendix.
struct Example(Value);

impl Example {
    fn of(section: &str) -> Example {
        let all: Value = serde_json::from_str(include_str!("../vectors/rfc9807_appendix_c.json")).unwrap();
        assert_eq!(all.as_object().unwrap().len(), 3);
        Example(all[section].clone())
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        HEXLOWER.decode(self.0[name].as_str().unwrap_or_else(|| panic!("no {name}")).as_bytes()).unwrap()
    }

    fn script(&self, names: &[&str]) -> Script {
        Script(
            names
                .iter()
                .map(|name| {
                    let mut bytes = self.bytes(name);
                    // A blind is drawn as 64 bytes, to be reduced: below the order, with zeros after it, it stays what it is.
                    if name.starts_with("blind") {
                        bytes.resize(64, 0);
                    }
                    bytes
                })
                .collect(),
        )
    }

    fn identity(&self, name: &str) -> Option<Vec<u8>> {
        self.0.get(name).map(|_| self.bytes(name))
    }

    fn setup(&self) -> ServerSetup<OpaqueSuite> {
        // Seed, private key, and the public key that stands for users who do not exist.
        let parts = ["oprf_seed", "server_private_key", "client_public_key"].map(|name| self.bytes(name));
        let setup = ServerSetup::deserialize(&parts.concat()).unwrap();
        assert_eq!(setup.keypair().public().serialize().to_vec(), self.bytes("server_public_key"));
        setup
    }
}

/// What of an example is changed, to see that it does not go through.
#[derive(Default)]
struct Changed<'a> {
    password: Option<&'a [u8]>,
    context: Option<&'a [u8]>,
    /// A bit of KE2, and a bit of KE3.
    ke2: Option<usize>,
    ke3: Option<usize>,
}

fn flip(bytes: &mut [u8], bit: Option<usize>) {
    if let Some(bit) = bit {
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Registers as in the example; gives what the server keeps.
fn register(example: &Example) -> ServerRegistration<OpaqueSuite> {
    let (password, id) = (example.bytes("password"), example.bytes("credential_identifier"));
    let (client, server) = (example.identity("client_identity"), example.identity("server_identity"));
    let identifiers = Identifiers { client: client.as_deref(), server: server.as_deref() };

    let ours = ClientRegistration::<OpaqueSuite>::start(&mut example.script(&["blind_registration"]), &password).unwrap();
    assert_eq!(ours.message.serialize().to_vec(), example.bytes("registration_request"));
    let started = ClientRegistration::<Unstretched>::start(&mut example.script(&["blind_registration"]), &password).unwrap();
    let request = RegistrationRequest::deserialize(&example.bytes("registration_request")).unwrap();
    let answered = ServerRegistration::<OpaqueSuite>::start(&example.setup(), request, &id).unwrap();
    assert_eq!(answered.message.serialize().to_vec(), example.bytes("registration_response"));

    let response = RegistrationResponse::deserialize(&example.bytes("registration_response")).unwrap();
    let parameters = ClientRegistrationFinishParameters::new(identifiers, None);
    let done = started.state.finish(&mut example.script(&["envelope_nonce"]), &password, response, parameters).unwrap();
    assert_eq!(done.message.serialize().to_vec(), example.bytes("registration_upload"));
    assert_eq!(done.export_key.to_vec(), example.bytes("export_key"));
    ServerRegistration::finish(RegistrationUpload::deserialize(&example.bytes("registration_upload")).unwrap())
}

/// Logs in as in the example; `false` when a side refuses.
fn log_in(example: &Example, record: ServerRegistration<OpaqueSuite>, changed: &Changed<'_>) -> bool {
    let (right, context, id) = (example.bytes("password"), example.bytes("Context"), example.bytes("credential_identifier"));
    let (client, server) = (example.identity("client_identity"), example.identity("server_identity"));
    let identifiers = Identifiers { client: client.as_deref(), server: server.as_deref() };

    let drawn = ["blind_login", "client_keyshare_seed", "client_nonce"];
    let ours = ClientLogin::<OpaqueSuite>::start(&mut example.script(&drawn), &right).unwrap();
    assert_eq!(ours.message.serialize().to_vec(), example.bytes("KE1"));
    let password = changed.password.unwrap_or(&right);
    let started = ClientLogin::<Unstretched>::start(&mut example.script(&drawn), password).unwrap();

    let parameters = || ServerLoginParameters { context: Some(&context), identifiers };
    let ke1 = CredentialRequest::deserialize(&started.message.serialize()).unwrap();
    let mut drawn = example.script(&["masking_nonce", "server_keyshare_seed", "server_nonce"]);
    drawn.0.push_front(vec![0; 64]); // the masking key of a record that is not used, since there is one
    let answered = ServerLogin::start(&mut drawn, &example.setup(), Some(record), ke1, &id, parameters()).unwrap();
    let mut ke2 = answered.message.serialize().to_vec();
    assert_eq!(ke2 == example.bytes("KE2"), changed.password.is_none(), "KE2 is of this KE1");
    flip(&mut ke2, changed.ke2);

    let Ok(ke2) = CredentialResponse::deserialize(&ke2) else { return false };
    let finish = ClientLoginFinishParameters::new(Some(changed.context.unwrap_or(&context)), identifiers, None);
    let Ok(done) = started.state.finish(&mut Script(VecDeque::new()), password, ke2, finish) else { return false };
    assert_eq!(done.message.serialize().to_vec(), example.bytes("KE3"));
    assert_eq!(done.export_key.to_vec(), example.bytes("export_key"));
    assert_eq!(done.session_key.to_vec(), example.bytes("session_key"));

    let mut ke3 = done.message.serialize().to_vec();
    flip(&mut ke3, changed.ke3);
    let Ok(finished) = answered.state.finish(CredentialFinalization::deserialize(&ke3).unwrap(), parameters()) else { return false };
    assert_eq!(finished.session_key.to_vec(), example.bytes("session_key"));
    true
}

#[test]
fn registration_and_login_are_byte_for_byte_those_of_the_rfc() {
    let mut uploads = Vec::new();
    for section in ["C.1.1", "C.1.2"] {
        let example = Example::of(section);
        assert!(log_in(&example, register(&example), &Changed::default()), "{section}");
        uploads.push(example.bytes("registration_upload"));
    }
    assert_ne!(uploads[0], uploads[1], "one without names, one with");
}

#[test]
fn another_password_or_link_and_any_flipped_bit_is_refused() {
    let example = Example::of("C.1.2");
    let record = register(&example);
    let refused = |changed: Changed<'_>| !log_in(&example, record.clone(), &changed);
    assert!(refused(Changed { password: Some(b"CorrectHorseBatteryStaplf"), ..Changed::default() }));
    assert!(refused(Changed { context: Some(b"OPAQUE-POD"), ..Changed::default() }));
    let bits = |name: &str| (0..8 * example.bytes(name).len()).step_by(7);
    let ke2 = bits("KE2").map(|bit| assert!(refused(Changed { ke2: Some(bit), ..Changed::default() }), "bit {bit} of KE2")).count();
    let ke3 = bits("KE3").map(|bit| assert!(refused(Changed { ke3: Some(bit), ..Changed::default() }), "bit {bit} of KE3")).count();
    assert_eq!((ke2, ke3), (366, 74));
}

/// A user who does not exist is answered as the RFC says (§6.3.2.2), bit by bit; so nobody can tell.
#[test]
fn a_user_who_does_not_exist_is_answered_as_the_rfc_says() {
    let example = Example::of("C.2.1");
    let (client, server) = (example.bytes("client_identity"), example.bytes("server_identity"));
    let (context, id) = (example.bytes("Context"), example.bytes("credential_identifier"));
    let answer = |id: &[u8]| {
        let mut drawn = example.script(&["masking_key", "masking_nonce", "server_keyshare_seed", "server_nonce"]);
        let ke1 = CredentialRequest::<OpaqueSuite>::deserialize(&example.bytes("KE1")).unwrap();
        let identifiers = Identifiers { client: Some(&client), server: Some(&server) };
        let parameters = ServerLoginParameters { context: Some(&context), identifiers };
        ServerLogin::start(&mut drawn, &example.setup(), None, ke1, id, parameters).unwrap().message.serialize().to_vec()
    };
    assert_eq!(answer(&id), example.bytes("KE2"));
    assert_ne!(answer(b"1235"), example.bytes("KE2"), "the control: another name has another answer");
}
