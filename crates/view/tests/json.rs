//! What goes through JSON comes out as it was: flattened and tagged values are easily made so that they can be written and not read.

use tidings_view::ask::{Anchor, Answer, Ask, Asked, Asker, Deed, Kept, Once, RoomLine, Told, Trouble, Unread, Window, Words};
use tidings_view::*;

fn goes_through<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) {
    let text = serde_json::to_string(&value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
}

fn group() -> Target {
    Target::Group { id: "a".repeat(52).parse().unwrap() }
}

fn message(status: Status) -> Message {
    Message {
        id: MessageId(7),
        author: Some("alice@s1".parse().unwrap()),
        text: "<b>\u{202e}".into(),
        file: Some(File { name: "a".into(), media_type: "b".into(), size: 3, picture: None }),
        event: Some(Event::Invited { user: "bob@s2".parse().unwrap(), role: Role::Admin }),
        at: u64::MAX,
        status,
        place: Some(3),
        log: "public@s1".into(),
    }
}

#[test]
fn messages_in_every_state() {
    for status in [
        Status::Pending,
        Status::Waiting,
        Status::Sent { seq: 5 },
        Status::Failed { reason: "no".into(), code: Some(KEY_CHANGED.into()) },
        Status::Received,
        Status::Unreadable { reason: "gone".into() },
    ] {
        goes_through(message(status));
    }
    goes_through(Message { author: None, file: None, event: None, place: None, ..message(Status::Received) });
}

#[test]
fn conversations_of_every_kind_and_part() {
    let targets = [Target::Public, Target::from(&"bob@s2".parse().unwrap()), group()];
    let parts = [Part::In, Part::Invited { by: Some("bob@s2".parse().unwrap()) }, Part::Invited { by: None }, Part::Gone, Part::Arriving];
    for (target, part) in targets.iter().flat_map(|target| parts.iter().map(move |part| (target.clone(), part.clone()))) {
        let room = Room {
            target,
            title: "t".into(),
            part,
            role: Some(Role::Owner),
            members: Some(2),
            suite: Some("rsa-jwe-1".into()),
            messages: 9,
            stopped: vec![("public@s1".into(), "two stories".into())],
        };
        goes_through(RoomLine { room, unseen: 4, mentioned: true, newest: Some(8), draft: Some("d".into()) });
    }
}

#[test]
fn what_is_asked_and_told() {
    let user = || "bob@s2".parse::<tidings_proto::UserName>().unwrap();
    let once = || Once("x".into());
    let asks = [
        Ask::Standing,
        Ask::Members(group()),
        Ask::Window { target: group(), from: Anchor::Around(MessageId(-1)), limit: 50 },
        Ask::Window { target: Target::Public, from: Anchor::Unseen, limit: 0 },
        Ask::SendFile { target: group(), name: "n".into(), media_type: "m".into(), bytes: vec![0, 255], text: String::new(), once: once() },
        Ask::Group { group: group(), deed: Deed::Remove(user()), once: once() },
        Ask::Group { group: group(), deed: Deed::SetRole { user: user(), role: Role::Member }, once: once() },
        Ask::Erase { message: MessageId(3), once: once() },
        Ask::Compare(user()),
        Ask::File(MessageId(1)),
    ];
    for ask in asks {
        goes_through(Asked { page: "p".into(), req: 1, whose: None, ask: ask.clone() });
        goes_through(Asked { page: "p".into(), req: 1, whose: Some(user()), ask: ask.clone() });
        goes_through(Kept { whose: user(), at: 7, ask });
    }
    let window = Window { target: group(), messages: vec![message(Status::Received)], older: true, newer: false, seen: Some(MessageId(2)) };
    let file = File { name: String::new(), media_type: String::new(), size: 1, picture: Some(Picture { width: 2, height: 3 }) };
    for answer in [Ok(Answer::Window(window)), Ok(Answer::File { file, bytes: vec![1] }), Err(Trouble { text: "t".into(), kind: 6 })] {
        goes_through(Told::Answer { page: "p".into(), req: 1, answer });
    }
    goes_through(Told::Begun);
}

/// Tabs of two versions may meet: what one of them does not understand has an end all the same.
#[test]
fn of_what_cannot_be_read_it_is_known_whose_it_is() {
    let asker = || Asker { page: "p".into(), req: 1 };
    let asked = r#"{"page":"p","req":1,"whose":null,"ask":{"of_tomorrow":{"a":1}}}"#;
    assert!(serde_json::from_str::<Asked>(asked).is_err());
    assert_eq!(serde_json::from_str::<Asker>(asked).unwrap(), asker());
    let told = r#"{"answer":{"page":"p","req":1,"answer":{"Ok":{"of_tomorrow":[]}}}}"#;
    assert!(serde_json::from_str::<Told>(told).is_err());
    assert_eq!(serde_json::from_str::<Unread>(told).unwrap(), Unread::Answer(asker()));
    // Nobody takes the one for the other.
    assert!(serde_json::from_str::<Unread>(asked).is_err() && serde_json::from_str::<Asker>(told).is_err());
}

/// Secrets and texts reach no log by way of `{:?}`.
#[test]
fn what_is_asked_shows_nothing_of_itself() {
    let ask = Ask::Unlock { password: "hunter2".into() };
    assert!(!format!("{ask:?} {:?}", Answer::Words(Words { words: "twenty-four".into(), sure: true })).contains(['2', 'y']));
}
