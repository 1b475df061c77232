//! Every limit at n-1, n and n+1.

use crate::model::Value;
use crate::samples;
use bytes::Bytes;
use tidings_proto::cbor::{decode, encode, validate};
use tidings_proto::content::File;
use tidings_proto::frame::{ClaimedKeyPackage, Entries, Item, KeyPackageClaim, KeyPackages, KeyPackagesPut, Page, Refused, Submit};
use tidings_proto::{
    Code, Content, DecodeError, Draft, Encoded, Entry, Frame, Hash, Kind, Payload, Refusal, Signature, UserName, draft, limits,
};

#[test]
fn nesting() {
    let arrays = |depth: usize| [vec![0x81u8; depth], vec![0]].concat();
    let maps = |depth: usize| [[0xa1u8, 0x00].repeat(depth), vec![0]].concat();
    for nested in [&arrays as &dyn Fn(usize) -> Vec<u8>, &maps] {
        assert_eq!(validate(&nested(limits::DEPTH - 1)), Ok(()));
        assert_eq!(validate(&nested(limits::DEPTH)), Ok(()));
        assert_eq!(validate(&nested(limits::DEPTH + 1)), Err(DecodeError::TooDeep));
        assert_eq!(validate(&nested(100_000)), Err(DecodeError::TooDeep), "and no stack is used up");
    }
}

#[test]
fn keys_in_a_map() {
    let map = |keys: u64| Value::Map((0..keys).map(|key| (Value::Unsigned(key), Value::Simple(20))).collect()).encode();
    assert_eq!(validate(&map(limits::MAP_KEYS - 1)), Ok(()));
    assert_eq!(validate(&map(limits::MAP_KEYS)), Ok(()));
    assert_eq!(validate(&map(limits::MAP_KEYS + 1)), Err(DecodeError::TooManyKeys));
}

#[test]
fn text_of_a_message_going_out_and_coming_in() {
    let text = |n: usize| "ä".repeat(n / 2) + if n % 2 == 1 { "a" } else { "" };
    for n in [0, limits::TEXT - 1, limits::TEXT] {
        let content = Content::text(text(n)).unwrap();
        assert_eq!(decode::<Content>(&encode(&content), limits::DRAFT), Ok(content));
    }
    let long = text(limits::TEXT + 1);
    assert_eq!(Content::text(long.clone()).unwrap_err().size, limits::TEXT + 1);
    let sent_anyway = encode(&Content { text: long, ..Content::default() });
    assert!(matches!(decode::<Content>(&sent_anyway, limits::DRAFT), Err(DecodeError::Shape(why)) if why.contains("65536")));
}

#[test]
fn a_frame() {
    for limit in [limits::GUEST_FRAME, limits::REGISTER_FRAME, limits::CLIENT_FRAME, limits::PEER_FRAME] {
        let frame = |size: usize| {
            let frame = |body: usize| Frame::from(tidings_proto::frame::LoginFinish { req: 1, ke3: vec![0; body].into() }).encode();
            let around = frame(size - 16).len() - (size - 16);
            let frame = frame(size - around);
            assert_eq!(frame.len(), size);
            frame
        };
        assert!(Frame::read(&frame(limit - 1), limit).is_ok());
        assert!(Frame::read(&frame(limit), limit).is_ok());
        let refusal = Frame::read(&frame(limit + 1), limit).unwrap_err();
        assert_eq!(refusal.code, Code::TooLarge);
        assert!(refusal.text.contains(&limit.to_string()), "the limit is named: {refusal}");
    }
}

fn longest_name() -> UserName {
    let server = ["b".repeat(63), "b".repeat(63), "b".repeat(63), "b".repeat(61)].join(".");
    format!("{}@{server}", "a".repeat(limits::LOCAL_NAME)).parse().unwrap()
}

/// A draft of exactly `size` bytes, every other field as long as it can be.
fn draft_of(size: usize) -> Bytes {
    let draft = |body: usize| {
        Encoded::new(Draft {
            n: u64::MAX,
            author: longest_name(),
            list: u64::MAX,
            epoch: Some(u64::MAX),
            kind: Kind::Sealed,
            body: vec![0; body].into(),
            sig: Some(Signature([0; 64])),
            ..(*samples::draft()).clone()
        })
        .bytes()
        .clone()
    };
    let around = draft(size - 1000).len() - (size - 1000);
    let draft = draft(size - around);
    assert_eq!(draft.len(), size);
    draft
}

#[test]
fn a_draft() {
    assert!(draft::read(draft_of(limits::DRAFT - 1)).is_ok());
    assert!(draft::read(draft_of(limits::DRAFT)).is_ok());
    let error = draft::read(draft_of(limits::DRAFT + 1)).unwrap_err();
    assert_eq!(error, DecodeError::TooLarge { size: limits::DRAFT + 1, limit: limits::DRAFT });
    assert_eq!(Refusal::from(error).code, Code::TooLarge);
}

/// What is accepted can always be sent on: the largest draft fits in an entry, in each frame that carries one.
#[test]
fn the_largest_draft_can_be_handed_on_to_a_client() {
    let draft = draft::read(draft_of(limits::DRAFT)).unwrap();
    let entry = Entry { seq: u64::MAX, at: u64::MAX, payload: Payload::Draft(draft.clone()) }.encode();
    assert!(Entry::read(&entry).is_ok());
    let item = Item { entry, got: Some(u64::MAX) };
    let entries = Entries { log: u64::MAX, prev: Some(Hash([0xff; 32])), items: vec![item.clone()] };
    let page = Page { req: u32::MAX, prev: Hash([0xff; 32]), items: vec![item] };
    let submit = Submit { req: u32::MAX, log: samples::genesis().log(), draft: draft.bytes().clone(), genesis: Some(samples::genesis()) };
    for frame in [Frame::from(entries), page.into(), submit.into()] {
        let bytes = frame.encode();
        assert!(bytes.len() <= limits::CLIENT_FRAME, "{}: {}", frame.name(), bytes.len());
        assert_eq!(Frame::read(&bytes, limits::CLIENT_FRAME), Ok(frame));
    }
}

/// What a device may have, and what may be claimed at once, fits in a frame: in a client's, though peers could carry more.
#[test]
fn as_many_key_packages_as_are_allowed_fit_a_frame() {
    let package = || Bytes::from(vec![0; limits::KEY_PACKAGE]);
    let put = KeyPackagesPut { req: u32::MAX, packages: vec![package(); limits::KEY_PACKAGES], last_resort: Some(package()) };
    let device = samples::draft().device;
    let claimed = |_| ClaimedKeyPackage { device, package: package(), last_resort: false };
    let all = KeyPackages { req: u32::MAX, packages: (0..limits::DEVICES).map(claimed).collect() };
    let claim = KeyPackageClaim { req: u32::MAX, user: longest_name(), devices: vec![device; limits::DEVICES], by: Some(longest_name()) };
    for frame in [Frame::from(put), all.into(), claim.into()] {
        let bytes = frame.encode();
        assert!(bytes.len() <= limits::CLIENT_FRAME, "{}: {}", frame.name(), bytes.len());
        assert_eq!(Frame::read(&bytes, limits::CLIENT_FRAME), Ok(frame));
    }
}

#[test]
fn the_longest_text_fits_a_draft() {
    let body = encode(&Content::text("x".repeat(limits::TEXT)).unwrap());
    let draft = Encoded::new(Draft { body: body.into(), ..(*samples::draft()).clone() });
    assert!(draft.bytes().len() < limits::DRAFT);
}

#[test]
fn a_file_its_name_and_a_title_going_out_and_coming_in() {
    let file = |name: usize, kind: usize, bytes: usize| File {
        name: "n".repeat(name),
        media_type: "m".repeat(kind),
        bytes: vec![7; bytes].into(),
    };
    let with = |file: File| Content { file: Some(file), ..Content::default() };
    let titled = |n: usize| Content { title: Some("t".repeat(n)), ..Content::default() };
    let (name, most) = (limits::FILE_NAME, limits::FILE);
    let cases: [(&dyn Fn(usize) -> Content, usize); 4] =
        [(&|n| with(file(n, 1, 1)), name), (&|n| with(file(1, n, 1)), name), (&|n| with(file(1, 1, n)), most), (&titled, limits::TITLE)];
    for (content, limit) in cases {
        for n in [limit - 1, limit] {
            assert_eq!(decode::<Content>(&encode(&content(n)), limits::DRAFT), Ok(content(n)));
        }
        let refused = decode::<Content>(&encode(&content(limit + 1)), limits::DRAFT);
        assert!(matches!(refused, Err(DecodeError::Shape(why)) if why.contains(&limit.to_string())), "the limit is named");
    }
    for (made, limit) in [
        (Content::file("", file(name + 1, 1, 1)), name),
        (Content::file("", file(1, name + 1, 1)), name),
        (Content::file("", file(1, 1, most + 1)), most),
        (Content::title("t".repeat(limits::TITLE + 1)), limits::TITLE),
        (Content::file("x".repeat(limits::TEXT + 1), file(1, 1, 1)), limits::TEXT),
    ] {
        let refused = made.unwrap_err();
        assert_eq!((refused.limit, refused.size), (limit, limit + 1));
    }
    assert!(Content::file("", file(name, name, most)).is_ok() && Content::title("t".repeat(limits::TITLE)).is_ok());
}

/// A newer program must not make an older one blind: what it invents is told from what is broken.
#[test]
fn kinds_and_codes_of_a_later_version() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_number(kind.number()), *kind);
    }
    let later = samples::draft();
    let later = Encoded::new(Draft { kind: Kind::from_number(4711), ..later.into_value() });
    let read = draft::read(later.bytes().clone()).unwrap();
    assert_eq!((read.kind, read.kind.is_open(), read.kind.is_membership()), (Kind::Later(4711), true, false));
    // The same answer with a code that nobody knows: its sentence still says why.
    let answer = Frame::from(Refused { req: 7, why: Refusal::new(Code::Busy, "too many of something new"), log: None }).encode();
    let at = answer.windows(3).position(|window| window == [0x00, 0x18, 26]).expect("the code's place");
    let mut unknown = answer.to_vec();
    unknown[at + 2] = 99;
    let Ok(Frame::Refused(refused)) = Frame::read(&unknown, limits::CLIENT_FRAME) else { panic!("a refusal") };
    assert_eq!((refused.why.code, refused.why.text.as_str()), (Code::Unknown, "too many of something new"));
}
