//! The very bytes. A change here is a change of the protocol: every other version and every stored log sees it.
//!
//! A snapshot that changed on purpose is accepted with `INSTA_UPDATE=always cargo test -p tidings-proto`, and the reason
//! belongs in the commit.

use crate::samples;
use data_encoding::HEXLOWER;
use std::fmt::Write;
use tidings_proto::chain::{self, Tip};
use tidings_proto::handshake::{proof_bytes, transcript};
use tidings_proto::{Frame, LogName, draft, label};

/// `name hex`, the hex broken into lines of 32 bytes.
fn table<'a>(rows: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> String {
    let mut out = String::new();
    for (name, bytes) in rows {
        writeln!(out, "{name} ({} bytes)", bytes.len()).unwrap();
        for line in bytes.chunks(32) {
            writeln!(out, "  {}", HEXLOWER.encode(line)).unwrap();
        }
    }
    out
}

#[test]
fn frames() {
    let frames = samples::frames();
    insta::assert_snapshot!("frames", table(frames.iter().map(|frame| (frame.name(), frame.encode().to_vec()))));
}

#[test]
fn drafts_and_entries() {
    insta::assert_snapshot!(
        "drafts_and_entries",
        table([
            ("open draft", samples::draft().bytes().to_vec()),
            ("sealed draft", samples::sealed().bytes().to_vec()),
            ("entry", samples::entry().encode().to_vec()),
            ("stub", samples::stub().encode().to_vec()),
            ("genesis", samples::genesis().encode().to_vec()),
            ("group genesis", samples::group().encode().to_vec()),
            ("genesis draft", samples::genesis().as_direct().unwrap().draft().bytes().to_vec()),
        ])
    );
}

#[test]
fn names_and_hashes() {
    let log = LogName::Public(samples::s1());
    let before = Tip { seq: 6, hash: tidings_proto::Hash([6; 32]) };
    let tip = chain::extend(&log, &before, &samples::entry()).unwrap();
    let stub = chain::extend(&log, &tip, &samples::stub()).unwrap();
    insta::assert_snapshot!(
        "names_and_hashes",
        format!(
            "the room of alice@s1 and bob@s2 is {} at {}\n{}",
            samples::genesis().log(),
            samples::genesis().hub(),
            table([
                ("draft hash", samples::draft().hash().as_bytes().to_vec()),
                ("chain after an entry", tip.hash.as_bytes().to_vec()),
                ("chain after a stub", stub.hash.as_bytes().to_vec()),
            ])
        )
    );
}

#[test]
fn what_is_signed() {
    let hello = |hello| Frame::Hello(hello).encode();
    let of_client = transcript(&hello(samples::dialler()), &hello(samples::acceptor()));
    let of_peer = transcript(&hello(samples::peer()), &hello(samples::acceptor()));
    insta::assert_snapshot!(
        "what_is_signed",
        table([
            ("open draft in public@s1", draft::signed_bytes(&LogName::Public(samples::s1()), &samples::draft())),
            ("open draft in its room", draft::signed_bytes(&samples::genesis().log(), &samples::draft())),
            ("transcript of a client's link", of_client.as_bytes().to_vec()),
            ("transcript of a peer's link", of_peer.as_bytes().to_vec()),
            ("proof by the device", proof_bytes(&samples::dialler().party, &of_client)),
            ("proof by the peer", proof_bytes(&samples::peer().party, &of_peer)),
            ("proof by the server", proof_bytes(&samples::acceptor().party, &of_client)),
        ])
    );
}

#[test]
fn labels_are_distinct_and_none_continues_another() {
    let labels = [
        label::DRAFT,
        label::CHAIN,
        label::DIRECT,
        label::LINK,
        label::LINK_SERVER,
        label::LINK_DEVICE,
        label::LINK_PEER,
        label::LINK_EXPORTER,
        label::OPAQUE,
        label::DEVICE_LIST,
        label::ROSTER,
        label::HEAD,
    ];
    for (i, one) in labels.iter().enumerate() {
        assert!(one.starts_with("tidings/") && !one.contains('\0'), "{one}");
        for other in &labels[i + 1..] {
            assert!(!label::marked(one).starts_with(&label::marked(other)) && !label::marked(other).starts_with(&label::marked(one)));
        }
    }
}

#[test]
fn both_ends_of_a_link_and_their_order_are_in_the_transcript() {
    let (a, b) = (Frame::Hello(samples::dialler()).encode(), Frame::Hello(samples::acceptor()).encode());
    assert_ne!(transcript(&a, &b), transcript(&b, &a));
    let joined = [&a[..], &b[..]].concat();
    assert_ne!(transcript(&a, &b), transcript(&joined, &[]), "the cut between the two is bound");
}
