//! Bytes into frames and entries, and back: what is read from outside is validated whole before anything is decoded.

mod how;
mod messages;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use messages::{draft, entry, room};
use minicbor::Decoder;
use tidings_proto::frame::{Entries, Item, Submit};
use tidings_proto::{Entry, Frame, Hash, cbor, limits};

/// What there is mostly: a message on its way to the hub, and one or many on the way to a follower.
fn frames() -> Vec<(&'static str, Frame)> {
    let submit = Submit { req: 7, log: room(), draft: draft(1).bytes().clone(), genesis: None };
    let entries = |count: u64| {
        let items = (1..=count).map(|seq| Item { entry: entry(seq).encode(), got: None }).collect();
        Frame::from(Entries { log: 7, prev: Some(Hash::ZERO), items })
    };
    vec![("submit", submit.into()), ("entries, 1", entries(1)), ("entries, 64", entries(64))]
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, frame) in frames() {
        let bytes = frame.encode();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("Frame::encode", name), |bencher| bencher.iter(|| frame.encode()));
        let bare = BenchmarkId::new(format!("{} copy of the bytes", how::BARE), name);
        group.bench_function(bare, |bencher| bencher.iter(|| Bytes::copy_from_slice(&bytes)));
    }
    let (entry, name) = (entry(1), "entry");
    let bytes = entry.encode();
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function(BenchmarkId::new("Entry::encode", name), |bencher| bencher.iter(|| entry.encode()));
    let bare = BenchmarkId::new(format!("{} copy of the bytes", how::BARE), name);
    group.bench_function(bare, |bencher| bencher.iter(|| Bytes::copy_from_slice(&bytes)));
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let frames = frames().into_iter().map(|(name, frame)| (name, frame.encode()));
    for (name, bytes) in frames.chain([("entry", entry(1).encode())]) {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("cbor::validate", name), |bencher| {
            bencher.iter(|| cbor::validate(&bytes).expect("it is right"));
        });
        if name == "entry" {
            group.bench_function(BenchmarkId::new("Entry::read", name), |bencher| {
                bencher.iter(|| Entry::read(&bytes).expect("it is right"));
            });
        } else {
            group.bench_function(BenchmarkId::new("Frame::read", name), |bencher| {
                bencher.iter(|| Frame::read(&bytes, limits::CLIENT_FRAME).expect("it is right"));
            });
        }
        let bare = BenchmarkId::new(format!("{} minicbor skip", how::BARE), name);
        group.bench_function(bare, |bencher| bencher.iter(|| Decoder::new(&bytes).skip().expect("it is right")));
    }
}

criterion_group!(name = encoding; config = how::settings(); targets = encode, decode);
criterion_main!(encoding);
