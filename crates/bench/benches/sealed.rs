//! A message of `rsa-jwe-1`: sealed and opened, beside the bare cryptography that is in it.

mod how;
#[allow(dead_code, reason = "the tests of e2ee use more of it")]
#[path = "../../e2ee/tests/it/samples.rs"]
mod samples;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use samples::{ALICE, BOB, D, Place, Room, crowd};
use std::hint::black_box;
use std::sync::LazyLock;
use tidings_e2ee::suite::{OpenContext, Suite};
use tidings_proto::{Content, UserName, limits};
use tidings_trust::RsaPublicKey;
use tidings_trust::ed25519::verify_device;

/// How many read it, and bytes of text.
const CASES: [(usize, usize); 3] = [(2, 100), (64, 100), (2, limits::TEXT)];

fn name((readers, bytes): (usize, usize)) -> String {
    format!("{readers} readers, {bytes} B")
}

/// Signing keys are parsed, and lists signed, before anything is timed, and only for what is timed.
struct Case {
    room: Room,
    place: Place,
    content: Content,
}

fn case((readers, bytes): (usize, usize)) -> Case {
    let room = crowd(readers);
    Case { place: Place::inside(&room), room, content: Content::text("x".repeat(bytes)).expect("a text within its limit") }
}

fn encrypting(key: &RsaPublicKey) -> OaepPublicEncryptingKey {
    OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&key.spki_der()).expect("a public key")).expect("one for OAEP")
}

fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal a message");
    for size in CASES {
        let case = LazyLock::new(move || case(size));
        group.bench_function(BenchmarkId::new("rsa-jwe-1", name(size)), |bencher| {
            let (suite, context) = (ALICE.suite(), case.place.context());
            bencher.iter(|| suite.seal(&context, &case.content).now_or_never().expect("it computes where it is awaited").expect("sealed"));
        });
        let bare = format!("{} RSA-OAEP for each reader, AES-256-GCM, Ed25519", how::BARE);
        group.bench_function(BenchmarkId::new(bare, name(size)), |bencher| {
            let keys: Vec<_> = case.place.keys.iter().map(encrypting).collect();
            let (cipher, text, mut out) = (Aes256Gcm::new(&[7; 32].into()), vec![b'x'; size.1], [0; 512]);
            bencher.iter(|| {
                for key in &keys {
                    black_box(key.encrypt(&OAEP_SHA256_MGF1SHA256, &[7; 32], &mut out, None).expect("encrypted"));
                }
                (ALICE.device.sign(&text), cipher.encrypt(Nonce::from_slice(&[1; 12]), &text[..]).expect("encrypted"))
            });
        });
    }
}

fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open a message");
    for size in CASES {
        let case = LazyLock::new(move || case(size));
        group.bench_function(BenchmarkId::new("rsa-jwe-1", name(size)), |bencher| {
            let draft = case.place.draft(&ALICE.device, case.place.seal(&ALICE, &case.content).expect("sealed"));
            let (suite, keys) = (BOB.suite(), |user: &UserName| case.room.keys(user));
            let context = OpenContext { room: case.room.id, draft: &draft, author: &ALICE.state, members: &case.room.members, keys: &keys };
            bencher.iter(|| suite.open(&context).now_or_never().expect("it computes where it is awaited").expect("opened"));
        });
        let bare = format!("{} RSA-OAEP once, AES-256-GCM, Ed25519", how::BARE);
        group.bench_function(BenchmarkId::new(bare, name(size)), |bencher| {
            let private = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(D).expect("a key")).expect("one for OAEP");
            let (mut locked, mut out) = ([0; 512], [0; 512]);
            let locked = encrypting(&BOB.encryption).encrypt(&OAEP_SHA256_MGF1SHA256, &[7; 32], &mut locked, None).expect("encrypted");
            let (cipher, text) = (Aes256Gcm::new(&[7; 32].into()), vec![b'x'; size.1]);
            let sealed = cipher.encrypt(Nonce::from_slice(&[1; 12]), &text[..]).expect("encrypted");
            let (key, sig) = (ALICE.device.public(), ALICE.device.sign(&text));
            bencher.iter(|| {
                black_box(private.decrypt(&OAEP_SHA256_MGF1SHA256, locked, &mut out, None).expect("decrypted"));
                verify_device(&key, &text, &sig).expect("her signature");
                cipher.decrypt(Nonce::from_slice(&[1; 12]), &sealed[..]).expect("decrypted")
            });
        });
    }
}

criterion_group!(name = sealed; config = how::settings(); targets = seal, open);
criterion_main!(sealed);
