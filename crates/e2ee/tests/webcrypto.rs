//! Other hands: messages and signatures by WebCrypto (node), an implementation that shares no line with ours.
//!
//! What node made is kept in `webcrypto/` and opened here on every run. The other direction needs node itself:
//! `cargo test -p tidings-e2ee --test webcrypto -- --ignored`.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use std::future::Future;
use std::io::Write;
use std::process::{Command, Stdio};
use tidings_e2ee::jose::{self, JoseError, Parsed};
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};
use tidings_trust::RsaPublicKey;

const A: &[u8] = include_bytes!("keys/a.pk8");
const B: &[u8] = include_bytes!("keys/b.pk8");
const C: &[u8] = include_bytes!("keys/c.pk8");

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Runs the script with `input`; gives what it prints.
fn node(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/webcrypto");
    let mut child = Command::new("node")
        .arg("webcrypto.mjs")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is needed for this test");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "node {arguments:?}");
    output.stdout
}

#[test]
fn what_webcrypto_sealed_opens_for_each_member_and_nobody_else() {
    let parsed = Parsed::read(include_bytes!("webcrypto/message.jwe")).unwrap();
    let kids: Vec<&str> = parsed.kids().collect();
    for (at, pkcs8) in [A, B].into_iter().enumerate() {
        let (key, public) = wait(AwsLcKeys.decrypting(pkcs8)).unwrap();
        assert_eq!(kids[at], public.kid(), "both compute the same thumbprint");
        assert_eq!(wait(parsed.open(&AwsLcKeys, kids[at], &key)).unwrap()[..], *b"from a browser");
        assert_eq!(wait(parsed.open(&AwsLcKeys, kids[1 - at], &key)), Err(JoseError::Undecryptable));
    }
    let (stranger, public) = wait(AwsLcKeys.decrypting(C)).unwrap();
    assert_eq!(wait(parsed.open(&AwsLcKeys, &public.kid(), &stranger)), Err(JoseError::Undecryptable));
}

#[test]
fn what_webcrypto_signed_verifies() {
    let jwk: serde_json::Value = serde_json::from_str(include_str!("webcrypto/jwk.json")).unwrap();
    let key = RsaPublicKey::from_modulus(&B64.decode(jwk["n"].as_str().unwrap()).unwrap()).unwrap();
    let sig = include_bytes!("webcrypto/statement.sig");
    assert!(key.verify_pss(b"signed in a browser", sig).is_ok());
    assert!(key.verify_pss(b"Signed in a browser", sig).is_err());
    assert_eq!(jwk["kid"], key.kid());
    assert_eq!(jwk["e"], "AQAB");
}

#[test]
#[ignore = "needs node 20"]
fn webcrypto_opens_what_we_sealed() {
    let keys = [A, B].map(|pkcs8| wait(AwsLcKeys.decrypting(pkcs8)).unwrap().1);
    let jwe = jose::encrypt(&keys, b"to a browser").unwrap();
    for name in ["a", "b"] {
        assert_eq!(node(&["open", &format!("../keys/{name}.pk8")], &jwe), b"to a browser");
    }
}

#[test]
#[ignore = "needs node 20"]
fn webcrypto_verifies_what_we_signed() {
    let (key, public) = wait(AwsLcKeys.signing(C)).unwrap();
    let sig = B64.encode(wait(AwsLcKeys.sign_pss(&key, b"a device list")).unwrap());
    assert_eq!(node(&["verify", &public.jwk("PS256"), &sig], b"a device list"), public.kid().as_bytes());
}
