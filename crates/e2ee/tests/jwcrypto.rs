//! Other hands: messages and signatures by jwcrypto (python), an implementation that shares no line with ours.
//!
//! What jwcrypto made is kept in `jwcrypto/` and opened here on every run. The other direction needs jwcrypto itself, which
//! `cargo xtask test` installs; `JWCRYPTO_PYTHON` names a python that has it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use std::future::Future;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use tidings_e2ee::jose::{self, JoseError, Parsed};
use tidings_e2ee::rsa::{AwsLcKeys, RsaKeys};
use tidings_trust::RsaPublicKey;

const A: &[u8] = include_bytes!("keys/a.pk8");
const B: &[u8] = include_bytes!("keys/b.pk8");
const C: &[u8] = include_bytes!("keys/c.pk8");
/// A key of 4096 bits.
const LARGE: &[u8] = include_bytes!("keys/large.pk8");
const MESSAGE: &[u8] = include_bytes!("jwcrypto/message.jwe");

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let python = std::env::var_os("JWCRYPTO_PYTHON").unwrap_or_else(|| "python3".into());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jwcrypto");
    let mut child = Command::new(python)
        .arg("peer.py")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python is needed for this test");
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs the script with `input`; gives what it prints.
fn python(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let output = run(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs the script, which must refuse; gives the last line of its reasons.
fn refusal(arguments: &[&str], input: &[u8]) -> String {
    let output = run(arguments, input);
    assert!(!output.status.success(), "{arguments:?} is not refused");
    String::from_utf8(output.stderr).unwrap().trim_end().lines().next_back().unwrap_or_default().to_owned()
}

/// One bit of the base64url text `part` of a message, flipped; it stays base64url.
fn flip(message: &[u8], part: &str) -> Vec<u8> {
    let text = std::str::from_utf8(message).unwrap();
    let mut bytes = B64.decode(part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    assert_eq!(text.matches(part).count(), 1);
    text.replace(part, &B64.encode(bytes)).into_bytes()
}

fn part(message: &[u8], pointer: &str) -> String {
    let json: serde_json::Value = serde_json::from_slice(message).unwrap();
    json.pointer(pointer).unwrap().as_str().unwrap().to_owned()
}

/// Signature of a compact JWS, and what it is over.
fn of_jws(jws: &str) -> (&str, Vec<u8>) {
    let (signed, sig) = jws.rsplit_once('.').unwrap();
    (signed, B64.decode(sig).unwrap())
}

#[test]
fn what_jwcrypto_sealed_opens_for_each_member_and_nobody_else() {
    let parsed = Parsed::read(MESSAGE).unwrap();
    let kids: Vec<&str> = parsed.kids().collect();
    for (at, pkcs8) in [A, B].into_iter().enumerate() {
        let (key, public) = wait(AwsLcKeys.decrypting(pkcs8)).unwrap();
        assert_eq!(kids[at], public.kid(), "both compute the same thumbprint");
        assert_eq!(wait(parsed.open(&AwsLcKeys, kids[at], &key)).unwrap()[..], *b"from python");
        assert_eq!(wait(parsed.open(&AwsLcKeys, kids[1 - at], &key)), Err(JoseError::Undecryptable));
    }
    let (stranger, public) = wait(AwsLcKeys.decrypting(C)).unwrap();
    assert_eq!(wait(parsed.open(&AwsLcKeys, &public.kid(), &stranger)), Err(JoseError::Undecryptable));
}

/// The same message, with its members in the order in which jwcrypto writes them: no second encoding is taken.
#[test]
fn what_jwcrypto_sealed_is_taken_in_one_encoding_only() {
    let sorted: &[u8] = include_bytes!("jwcrypto/sorted.jwe");
    let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(read(sorted), read(MESSAGE), "they mean the same");
    assert_eq!(Parsed::read(sorted).err(), Some(JoseError::NotOurProfile));
}

#[test]
fn what_jwcrypto_signed_verifies() {
    let (_, key) = wait(AwsLcKeys.signing(C)).unwrap();
    let (signed, sig) = of_jws(include_str!("jwcrypto/statement.jws"));
    assert!(key.verify_pss(signed.as_bytes(), &sig).is_ok());
    assert!(key.verify_pss(&signed.as_bytes()[1..], &sig).is_err());
    let mut changed = sig;
    changed[100] ^= 1;
    assert!(key.verify_pss(signed.as_bytes(), &changed).is_err());
}

#[test]
#[ignore = "needs python's jwcrypto"]
fn jwcrypto_opens_what_we_sealed_and_refuses_what_was_changed() {
    let keys = [A, B, LARGE].map(|pkcs8| wait(AwsLcKeys.decrypting(pkcs8)).unwrap().1);
    let jwe = jose::encrypt(&keys, b"to python").unwrap();
    // The script also sees that it is not opened by who does not know what is critical.
    for name in ["a", "b", "large"] {
        assert_eq!(python(&["open", &format!("../keys/{name}.pk8")], &jwe), b"to python");
    }
    assert!(refusal(&["open", "../keys/c.pk8"], &jwe).contains("No recipient matched"), "c is no member");
    // Nobody's key but one's own decrypts here, and yet each sees that another's was changed: `ekh`.
    for at in 0..keys.len() {
        let changed = flip(&jwe, &part(&jwe, &format!("/recipients/{at}/encrypted_key")));
        assert!(refusal(&["open", "../keys/a.pk8"], &changed).contains("Failed header check"), "the key of recipient {at}");
    }
    for name in ["/ciphertext", "/tag", "/iv"] {
        let why = refusal(&["open", "../keys/a.pk8"], &flip(&jwe, &part(&jwe, name)));
        assert!(why.contains("No recipient matched"), "{name}: {why}");
    }
}

#[test]
#[ignore = "needs python's jwcrypto"]
fn jwcrypto_verifies_what_we_signed() {
    for pkcs8 in [C, LARGE] {
        let (key, public) = wait(AwsLcKeys.signing(pkcs8)).unwrap();
        let signed = format!("{}.{}", B64.encode(br#"{"alg":"PS256"}"#), B64.encode(b"a device list"));
        let sig = wait(AwsLcKeys.sign_pss(&key, signed.as_bytes())).unwrap();
        let jws = format!("{signed}.{}", B64.encode(&sig));
        let wanted = [public.kid().as_bytes(), b"\na device list"].concat();
        assert_eq!(python(&["verify", &public.jwk("PS256")], jws.as_bytes()), wanted, "and the same thumbprint");
        assert!(!refusal(&["verify", &public.jwk("PS256")], &flip(jws.as_bytes(), &B64.encode(&sig))).is_empty());
    }
}

/// Fresh bytes on each run, beside those that are kept.
#[test]
#[ignore = "needs python's jwcrypto"]
fn what_jwcrypto_signs_now_verifies() {
    for (name, pkcs8) in [("c", C), ("large", LARGE)] {
        let jws = String::from_utf8(python(&["sign", &format!("../keys/{name}.pk8")], b"now")).unwrap();
        let (signed, sig) = of_jws(&jws);
        let public: RsaPublicKey = wait(AwsLcKeys.signing(pkcs8)).unwrap().1;
        assert!(public.verify_pss(signed.as_bytes(), &sig).is_ok());
        assert!(public.verify_pss(b"another", &sig).is_err());
    }
}

#[test]
#[ignore = "needs python's jwcrypto"]
fn what_jwcrypto_seals_now_opens() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("jwcrypto-now");
    std::fs::create_dir_all(&folder).unwrap();
    python(&["make", folder.to_str().unwrap(), "../keys"], b"");
    let message = std::fs::read(folder.join("message.jwe")).unwrap();
    assert_ne!(message, MESSAGE, "it is sealed anew");
    let parsed = Parsed::read(&message).unwrap();
    let (key, public) = wait(AwsLcKeys.decrypting(B)).unwrap();
    assert_eq!(wait(parsed.open(&AwsLcKeys, &public.kid(), &key)).unwrap()[..], *b"from python");
    std::fs::remove_dir_all(&folder).unwrap();
}
