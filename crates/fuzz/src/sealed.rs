//! What members seal: a member may be an enemy, so what is inside of the encryption is as much from outside as what is around it.

use people::*;
use tidings_e2ee::invitation::{self, Place as Inbox};
use tidings_e2ee::jose::{self, Parsed};
use tidings_e2ee::rsa::AwsLcKeys;
use tidings_proto::{Encoded, limits};

/// Alice and bob, with fixed keys, as the tests of `e2ee` have them.
#[allow(dead_code, reason = "the tests of e2ee use more of it")]
#[path = "../../e2ee/tests/it/samples.rs"]
pub mod people;

/// The input as a message's body: nothing that was not sealed for this place, by this author, is opened.
pub fn jwe(input: &[u8]) {
    let read = Parsed::read(input);
    if let Ok(parsed) = &read {
        assert!((1..=limits::RSA_MEMBERS).contains(&parsed.kids().count()));
    }
    if let Ok(opened) = bob_opens(&Place::usual().draft(&ALICE.device, input.to_vec())) {
        assert!(read.is_ok());
        assert_eq!((&opened.author, opened.content), (ALICE.user(), content()), "nobody else has her device");
    }
}

/// The input as what a member has sealed, rightly: bob reads it only when it is alice's, whole.
pub fn message(input: &[u8]) {
    let body = jose::encrypt(&keys(), input).expect("the keys are fixed");
    if let Ok(opened) = bob_opens(&Place::usual().draft(&ALICE.device, body)) {
        assert_eq!((&opened.author, opened.content), (ALICE.user(), content()));
    }
}

/// The input as what is inside of an invitation from alice to bob.
pub fn invitation(input: &[u8]) {
    let sealed = jose::encrypt(std::slice::from_ref(&BOB.encryption), input).expect("the key is fixed");
    let draft = Encoded::new(around_note());
    let inbox = Inbox { room: note().room, draft: &draft, author: &ALICE.state, me: BOB.user() };
    if let Ok(opened) = wait(invitation::open(&AwsLcKeys, &BOB.ring, &inbox, &sealed)) {
        assert_eq!(opened, note(), "she has signed no other");
    }
}

pub fn jwes() -> Vec<Vec<u8>> {
    vec![SEALED.to_vec()]
}

pub fn messages() -> Vec<Vec<u8>> {
    vec![opened(&SEALED)]
}

pub fn invitations() -> Vec<Vec<u8>> {
    vec![opened(&invitation::seal(&note(), &ALICE.device, &BOB.encryption).expect("the key is fixed"))]
}

/// What bob finds inside.
fn opened(sealed: &[u8]) -> Vec<u8> {
    let (kid, key) = &BOB.ring[0];
    wait(Parsed::read(sealed).expect("just sealed").open(&AwsLcKeys, kid, key)).expect("for bob").to_vec()
}
