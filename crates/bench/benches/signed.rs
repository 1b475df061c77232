//! An open entry's draft: signed by its device, and verified by whoever reads it, beside bare Ed25519 over the same bytes.

mod how;

use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use tidings_e2ee::DeviceSecret;
use tidings_proto::draft::signed_bytes;
use tidings_proto::{Content, Draft, Encoded, Kind, LogName, cbor};
use tidings_trust::drafts::check_signed;

const SEED: [u8; 32] = [7; 32];

fn post() -> (LogName, DeviceSecret, Draft) {
    let device = DeviceSecret::from_bytes(&SEED);
    let content = Content::text("x".repeat(100)).expect("a text within its limit");
    let draft = Draft {
        device: device.public(),
        n: 3,
        author: "alice@s1".parse().expect("a name"),
        list: 1,
        epoch: None,
        kind: Kind::Post,
        body: cbor::encode(&content).into(),
        sig: None,
    };
    ("public@s1".parse().expect("a log"), device, draft)
}

/// What is signed of it, and the signature.
fn signed() -> (LogName, Encoded<Draft>) {
    let (log, device, draft) = post();
    let draft = draft.signed(&log, |bytes| device.sign(bytes));
    (log, draft)
}

fn sign(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sign a post of 100 B");
    group.bench_function("Draft::signed", |bencher| {
        let (log, device, draft) = post();
        bencher.iter(|| draft.clone().signed(&log, |bytes| device.sign(bytes)));
    });
    group.bench_function(format!("{} Ed25519", how::BARE), |bencher| {
        let (log, draft) = signed();
        let (key, bytes) = (SigningKey::from_bytes(&SEED), signed_bytes(&log, &draft));
        bencher.iter(|| key.sign(&bytes));
    });
}

fn verify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify a post of 100 B");
    group.bench_function("check_signed", |bencher| {
        let (log, draft) = signed();
        bencher.iter(|| check_signed(&log, &draft).expect("her signature"));
    });
    group.bench_function(format!("{} Ed25519, the key parsed before", how::BARE), |bencher| {
        let (log, draft) = signed();
        let (bytes, key) = (signed_bytes(&log, &draft), VerifyingKey::from_bytes(&draft.device.0).expect("a key"));
        let sig = Signature::from_bytes(&draft.sig.expect("a signature").0);
        bencher.iter(|| key.verify_strict(&bytes, &sig).expect("her signature"));
    });
}

criterion_group!(name = entries; config = how::settings(); targets = sign, verify);
criterion_main!(entries);
