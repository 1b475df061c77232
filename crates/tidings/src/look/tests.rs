//! What is printed, word for word: for people, and for programs.

use super::*;
use tidings_client::UserName;
use tidings_client::view::{
    Comparison, Device, Event, File, Member, Message, MessageId, Notice, Online, Part, Person, Role, Room, Status, Target, Trust,
};

const PLAIN: Look = Look { json: false, colour: false };
const JSON: Look = Look { json: true, colour: false };
const NONE: Numbers = Numbers(false);
const GROUP: &str = "abcdefgh234567abcdefgh234567abcdefgh234567abcdefghia";

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn group() -> Target {
    Target::Group { id: tidings_proto::RoomId::parse(GROUP).unwrap() }
}

fn direct() -> Target {
    Target::from(&user("alice@s1"))
}

fn said(text: &str, status: Status) -> Message {
    Message {
        id: MessageId(42),
        author: Some(user("bob@s2")),
        text: text.into(),
        file: None,
        event: None,
        at: 1_700_000_000_000,
        status,
        place: Some(1),
        log: "public@s2".into(),
    }
}

fn event(event: Event) -> Message {
    Message { event: Some(event), ..said("", Status::Received) }
}

fn file(text: &str, name: &str, size: usize) -> Message {
    let file = File { name: name.into(), media_type: "text/plain".into(), size, picture: None };
    Message { file: Some(file), ..said(text, Status::Received) }
}

fn room(target: Target, title: &str, part: Part) -> Room {
    Room { target, title: title.into(), part, role: None, members: None, suite: Some("rsa-jwe-1".into()), messages: 3, stopped: Vec::new() }
}

fn public() -> Room {
    Room { suite: None, messages: 1, ..room(Target::Public, "public", Part::In) }
}

fn plans() -> Room {
    Room { role: Some(Role::Owner), members: Some(3), ..room(group(), "Plans", Part::In) }
}

fn shown(target: &Target, shown: &Message) -> String {
    message(&Places::of(&[public(), plans()]).place(target), shown, NONE, PLAIN)
}

#[test]
fn a_message_cannot_imitate_another_one() {
    let text = "hi\n22:13:21  public  alice@s1: send money\n[file] plan.txt";
    assert_eq!(
        shown(&Target::Public, &said(text, Status::Received)),
        "22:13:20  public  bob@s2: hi\n          | 22:13:21  public  alice@s1: send money\n          | [file] plan.txt"
    );
    let steering = said("\u{1b}[1A\u{202e}x", Status::Received);
    assert_eq!(shown(&Target::Public, &steering), "22:13:20  public  bob@s2: \\u{1b}[1A\\u{202e}x");
}

#[test]
fn what_is_not_sent_or_not_readable_says_so() {
    let failed = said("hi", Status::Failed { reason: "no\u{7}".into(), code: None });
    assert_eq!(shown(&direct(), &failed), "22:13:20  with alice@s1  bob@s2: hi  (NOT SENT: no\\u{7})");
    let unreadable = said("", Status::Unreadable { reason: "cannot be opened".into() });
    assert_eq!(shown(&direct(), &unreadable), "22:13:20  with alice@s1  bob@s2: [cannot be opened]");
}

#[test]
fn what_happens_in_a_group_is_a_line_that_nobody_can_say() {
    let line = |what: Event| shown(&group(), &event(what)).split_once("  * ").unwrap().1.to_owned();
    let carol = || user("carol@s2");
    assert_eq!(shown(&group(), &event(Event::Joined)), "22:13:20  #Plans  * bob@s2 joined");
    assert_eq!(line(Event::Created), "bob@s2 made this group");
    assert_eq!(line(Event::Invited { user: carol(), role: Role::Member }), "bob@s2 invited carol@s2");
    assert_eq!(line(Event::Invited { user: carol(), role: Role::Admin }), "bob@s2 invited carol@s2 as admin");
    assert_eq!(line(Event::Left), "bob@s2 left");
    assert_eq!(line(Event::Removed { user: carol() }), "bob@s2 removed carol@s2");
    assert_eq!(line(Event::Role { user: carol(), role: Role::Owner }), "bob@s2 made carol@s2 owner");
    assert_eq!(line(Event::Titled { title: "New\nplans".into() }), "bob@s2 called this group #New\\u{a}plans");
    assert_eq!(line(Event::Erased), "bob@s2 erased a message");
    // What bob says is after a colon.
    assert_eq!(shown(&group(), &said("* carol@s2 joined", Status::Received)), "22:13:20  #Plans  bob@s2: * carol@s2 joined");
}

#[test]
fn a_file_says_how_to_save_it() {
    assert_eq!(
        shown(&direct(), &file("", "plan.txt", 3_149)),
        "22:13:20  with alice@s1  bob@s2 [file] plan.txt, 3.1 kB — tidings file save 42"
    );
    let with_words = shown(&direct(), &file("here\nit is", "../\u{202e}plan.txt", 999));
    assert_eq!(
        with_words,
        "22:13:20  with alice@s1  bob@s2: here\n          | it is\n          [file] _plan.txt, 999 B — tidings file save 42"
    );
    for (bytes, text) in [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1099, "1.0 kB"), (32_768, "32.7 kB")] {
        assert_eq!(size(bytes), text);
    }
}

#[test]
fn a_title_cannot_pretend_to_be_more() {
    let place = |title: &str| Places::of(&[Room { title: title.into(), ..plans() }]).name(&group());
    assert_eq!(place("x  alice@s1: hi"), "#x alice@s1: hi", "two spaces part a line");
    assert_eq!(place("a\u{a0}\u{3000}b\tc\nd\u{1b}[0m"), "#a b\\u{9}c\\u{a}d\\u{1b}[0m");
    assert_eq!(place(&"t".repeat(32)), format!("#{}", "t".repeat(32)));
    assert_eq!(place(&"t".repeat(33)), format!("#{}…", "t".repeat(31)));
    assert_eq!(place(" \u{a0}"), "#abcdefgh", "a group without a title has its id");
    let other = Target::Group { id: tidings_proto::RoomId::parse(&GROUP.replace('b', "z")).unwrap() };
    let places = Places::of(&[plans(), room(other.clone(), "Plans", Part::In)]);
    assert_eq!([places.name(&group()), places.name(&other)], ["#Plans (abcdefgh)", "#Plans (azcdefgh)"]);
}

#[test]
fn numbers_are_shown_where_they_are_wanted() {
    let place = Places::of(&[]).place(&Target::Public);
    assert_eq!(message(&place, &said("hi", Status::Received), Numbers(true), PLAIN), "    42  22:13:20  public  bob@s2: hi");
}

#[test]
fn json_is_one_line_with_a_version() {
    let place = Places::of(&[]).place(&direct());
    let line = message(&place, &said("a\n\u{1b}b", Status::Received), NONE, JSON);
    assert!(!line.chars().any(char::is_control), "{line}");
    let read: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&read["v"], &read["type"], &read["text"]), (&1.into(), &"message".into(), &"a\n\u{1b}b".into()));
    assert!(line.starts_with("{\"v\":1,\"type\":\"message\","), "{line}");
    assert_eq!((&read["room"]["user"], &read["author"], &read["status"]), (&"alice@s1".into(), &"bob@s2".into(), &"received".into()));
}

/// Programs rely on these: fields may be added, and nothing else.
#[test]
fn the_objects_for_programs_stay_the_same() {
    let place = Places::of(&[plans()]).place(&group());
    let invited = event(Event::Invited { user: user("carol@s2"), role: Role::Admin });
    let notice_of_bob = Notice { id: 7, at: 1_700_000_000_000, user: user("bob@s2"), text: "another key".into() };
    let member = Member { user: user("bob@s2"), role: Role::Admin, joined: false, online: Online::Away, trust: Trust::Pinned };
    let objects = [
        message(&place, &invited, NONE, JSON),
        message(&place, &file("words", "plan.txt", 3), NONE, JSON),
        rooms(&[public()], JSON).remove(0),
        rooms(&[plans()], JSON).remove(0),
        invitation(&room(group(), "Plans", Part::Invited { by: Some(user("alice@s1")) }), &Places::of(&[]), JSON),
        members(&group(), &[member], &user("alice@s1"), JSON).remove(0),
        comparison(&compared(false), Trust::Pinned, None, &user("alice@s1"), JSON).remove(0),
        devices(&[Device { key: "KEY".into(), name: Some("desk".into()), this: true }], JSON).remove(0),
        notice(&notice_of_bob, JSON),
        recovery_code("one two", JSON).remove(0),
    ];
    insta::assert_snapshot!(objects.join("\n").replace(GROUP, "<52 letters>"));
}

#[test]
fn conversations_are_a_table() {
    let asked = room(group(), "Plans", Part::Invited { by: Some(user("alice@s1")) });
    let mut direct = Room { members: Some(2), role: Some(Role::Member), ..room(direct(), "alice@s1", Part::In) };
    direct.stopped.push(("room:x".into(), "two\nstories".into()));
    insta::assert_snapshot!(rooms(&[public(), direct, asked], PLAIN).join("\n"));
}

#[test]
fn an_invitation_says_how_to_come_in() {
    let asked = |by| room(group(), "Plans", Part::Invited { by });
    let places = Places::of(&[plans()]);
    let line = |by| invitation(&asked(by), &places, PLAIN);
    assert_eq!(line(Some(user("alice@s1"))), "* alice@s1 asks you into #Plans: tidings room join abcdefgh");
    assert_eq!(line(None), "* you are asked into #Plans: tidings room join abcdefgh");
}

fn compared(verified: bool) -> Comparison {
    let groups: Vec<String> = (1..=12).map(|group| format!("{group:05}")).collect();
    Comparison { user: user("bob@s2"), number: groups.join(" "), fingerprint: "ab12 cd34".into(), verified }
}

#[test]
fn a_safety_number_is_three_rows_of_four() {
    let shown = |trust, alarm| comparison(&compared(trust == Trust::Verified), trust, alarm, &user("alice@s1"), PLAIN);
    let pinned = shown(Trust::Pinned, None);
    assert_eq!(pinned[2..5], ["    00001  00002  00003  00004", "    00005  00006  00007  00008", "    00009  00010  00011  00012"]);
    insta::assert_snapshot!(pinned.join("\n"));
    assert!(shown(Trust::Verified, None).join("\n").contains("You have compared it before"));
    insta::assert_snapshot!(shown(Trust::Changed, Some("another\nidentity")).join("\n"));
}

/// As the web client draws it; whoever reads it has the digits.
#[test]
fn a_safety_number_is_a_qr_code_too() {
    let number = compared(false).number;
    let lines = qr(&number);
    let digits: String = number.split(' ').collect();
    let code = qrcode::QrCode::with_error_correction_level(digits.as_bytes(), qrcode::EcLevel::M).unwrap();
    let all = code.width() + 4;
    assert_eq!((lines.len(), lines[0].chars().count()), (all.div_ceil(2), all));
    for (at, colour) in code.to_colors().into_iter().enumerate() {
        let (row, column) = (at / code.width() + 2, at % code.width() + 2);
        let drawn = lines[row / 2].chars().nth(column).unwrap();
        let is_light = if row % 2 == 0 { "█▀" } else { "█▄" }.contains(drawn);
        assert_eq!(is_light, colour == qrcode::Color::Light, "{row} {column}");
    }
    let comparison = compared(false);
    assert!(comparison.is(&number) && comparison.is(&digits) && comparison.is(&format!(" {digits}\n")));
    assert!(!comparison.is(&digits[1..]) && !comparison.is("") && !comparison.is(&digits.replace('1', "2")));
}

#[test]
fn devices_and_members_are_tables() {
    let device = |key: &str, name: Option<&str>, this| Device { key: key.into(), name: name.map(Into::into), this };
    let devices = devices(&[device("-bcdefghijk", Some("my\u{7} desk"), true), device("Zbcdefghijk", None, false)], PLAIN);
    assert_eq!(devices, ["DEVICE    NAME", "-bcdefgh  my\\u{7} desk  this device", "Zbcdefgh  -"]);
    let member = |name: &str, role, joined, trust| Member { user: user(name), role, joined, online: Online::Online, trust };
    let people = [member("alice@s1", Role::Owner, true, Trust::Pinned), member("bob@s2", Role::Member, false, Trust::Changed)];
    insta::assert_snapshot!(members(&group(), &people, &user("alice@s1"), PLAIN).join("\n"));
}

#[test]
fn a_recovery_code_is_read_downwards() {
    let words: Vec<String> = (1..=24).map(|n| format!("word{n}")).collect();
    insta::assert_snapshot!(recovery_code(&words.join(" "), PLAIN).join("\n"));
}

#[test]
fn columns_are_aligned_with_and_without_colours() {
    let rows = vec![vec![("a".into(), BOLD), ("b".into(), "")], vec![("long".into(), ""), ("c".into(), "")]];
    assert_eq!(columns(&rows, PLAIN), ["a     b", "long  c"]);
    assert_eq!(columns(&rows, Look { json: false, colour: true }), ["\u{1b}[1ma\u{1b}[0m     b", "long  c"]);
}

#[test]
fn an_alarm_about_a_key_is_on_the_screen() {
    let person = Person {
        user: user("bob@s2"),
        online: Online::Online,
        fingerprint: Some("ab12".into()),
        jwk: None,
        devices: 1,
        trust: Trust::Changed,
        alarm: Some("another key".into()),
        warning: Some("two\u{1b}stories".into()),
        can_accept: true,
        closed: false,
    };
    let lines = people(&[person], &user("alice@s1"), PLAIN);
    assert!(lines[1].contains("CHANGED") && lines[2].contains("another key"), "{lines:?}");
    assert_eq!(lines[3], "! bob@s2: two\\u{1b}stories");
    let notice = notice(&Notice { id: 1, at: 1_700_000_000_000, user: user("bob@s2"), text: "a\u{1b}b".into() }, PLAIN);
    assert_eq!(notice, "22:13:20  ! a\\u{1b}b");
}
