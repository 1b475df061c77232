//! What an account is got into by: the vault and OPAQUE's messages as a server sends them, and lines that people paste.

use crate::sealed::people::*;
use opaque_ke::{CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload, ServerRegistration, ServerSetup};
use std::sync::LazyLock;
use tidings_e2ee::account::create;
use tidings_e2ee::opaque::{ExportKey, Login, Registration};
use tidings_e2ee::rsa::AwsLcKeys;
use tidings_e2ee::{NewAccount, RecoveryCode};
use tidings_proto::frame::SealedVault;
use tidings_setup::invitation::Invitation;
use tidings_trust::login::OpaqueSuite;

/// A line that reads as an invitation says the same again, and its code is nowhere but in the line.
pub fn invitation_line(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(read) = text.parse::<Invitation>() {
        let again = read.to_string().parse::<Invitation>();
        assert!(again.as_ref() == Ok(&read));
        // A code of a few letters may stand in a name by chance.
        assert!(read.code.len() < 8 || !format!("{read:?}").contains(&read.code), "the code is not shown");
    }
}

pub fn invitation_lines() -> Vec<Vec<u8>> {
    let key = "A".repeat(43);
    [format!("tidings://s1@10.0.0.5:5555/{key}#CODE"), format!("tidings://s1@[::1]:5555/{key}#CODE"), format!("tidings://s1/{key}#c")]
        .map(String::into_bytes)
        .into()
}

pub fn recovery_code(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(code) = RecoveryCode::parse(text) {
        assert_eq!(code.words().count(), 24);
        let again = code.words().collect::<Vec<_>>().join("\t");
        assert!(RecoveryCode::parse(&again).as_ref() == Ok(&code));
    }
}

pub fn recovery_codes() -> Vec<Vec<u8>> {
    // The entropy of zeros (BIP 39's own first vector of 24 words).
    vec![["abandon "; 23].concat().into_bytes().into_iter().chain(*b"art").collect()]
}

static PASSWORD: LazyLock<ExportKey> = LazyLock::new(|| {
    let server = ServerSetup::<OpaqueSuite>::new(&mut rand_core::OsRng);
    let (registration, request) = Registration::start(b"correct horse").expect("it starts");
    let request = RegistrationRequest::deserialize(&request).expect("just made");
    let response = ServerRegistration::<OpaqueSuite>::start(&server, request, b"id").expect("it answers").message.serialize();
    let user = ALICE.user();
    registration.finish(b"correct horse", &response, user, user.server()).expect("it finishes").1
});
static ACCOUNT: LazyLock<NewAccount> =
    LazyLock::new(|| wait(create(&AwsLcKeys, ALICE.user(), &device(1), &PASSWORD, &PASSWORD)).expect("an account is made"));

/// The input as either part of the vault that a server sends: it opens as it was, or not at all.
pub fn vault(input: &[u8]) {
    let (part, hers) = (bytes::Bytes::copy_from_slice(input), &ACCOUNT.vault);
    let opens = |vault: &SealedVault| ACCOUNT.secrets.read_book(ALICE.user(), vault).is_ok();
    let (keys, book) = (SealedVault { keys: part.clone(), ..hers.clone() }, SealedVault { book: part.clone(), ..hers.clone() });
    assert_eq!(opens(&keys), part == hers.keys, "there is one vault of this version");
    assert_eq!(opens(&book), part == hers.book, "and one book of it");
}

pub fn vaults() -> Vec<Vec<u8>> {
    vec![ACCOUNT.vault.keys.to_vec(), ACCOUNT.vault.book.to_vec()]
}

/// The first byte says which of OPAQUE's messages the others are. None of them ends in a login or a registration.
pub fn opaque(input: &[u8]) {
    let Some((which, bytes)) = input.split_first() else { return };
    let (user, secret) = (ALICE.user(), b"correct horse".as_slice());
    match which % OPAQUE {
        0 => drop(RegistrationRequest::<OpaqueSuite>::deserialize(bytes)),
        1 => drop(RegistrationUpload::<OpaqueSuite>::deserialize(bytes)),
        2 => drop(CredentialRequest::<OpaqueSuite>::deserialize(bytes)),
        3 => drop(CredentialFinalization::<OpaqueSuite>::deserialize(bytes)),
        4 => {
            let (registration, _) = Registration::start(secret).expect("it starts");
            drop(registration.finish(secret, bytes, user, user.server()));
        }
        _ => {
            let (login, _) = Login::start(secret).expect("it starts");
            let finished = login.finish(secret, bytes, user, user.server(), b"context");
            assert!(finished.is_err(), "nobody answers for a server who does not know the account");
        }
    }
}

const OPAQUE: u8 = 6;

/// Lengths of the messages, with nothing right in them: what is right is drawn anew each time.
pub fn opaques() -> Vec<Vec<u8>> {
    (0..OPAQUE).flat_map(|which| [32, 64, 96, 192, 256, 320].map(|length| [vec![which], vec![7; length]].concat())).collect()
}
