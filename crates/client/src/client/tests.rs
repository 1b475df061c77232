//! What the handle refuses before anything is kept. Not here: links; they are in the driver's tests.

use super::*;
use crate::engine::tests::bench::{Act, Bench, Person, group, target};
use crate::view::ask::Deed;
use crate::view::{Event, Part, Picture, Role};
use tempfile::TempDir;
use tidings_proto::limits;

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_kept() {
    let folder = TempDir::new().unwrap();
    let alice = Person::new("alice@s1", 0, 1).await;
    let store = Store::open(folder.path()).unwrap();
    store.begin_account(&alice.account, None).unwrap();
    store.listed().unwrap();
    store.close();
    let client = Client::open(folder.path()).unwrap();
    for text in [String::new(), "x".repeat(limits::TEXT + 1)] {
        let error = client.send(&Target::Public, &text).await.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
    client.send(&Target::Public, &"x".repeat(limits::TEXT)).await.unwrap();
    assert_eq!(client.timeline(&Target::Public, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_profile_without_a_finished_account_is_not_opened() {
    let folder = TempDir::new().unwrap();
    let nowhere = folder.path().join("nowhere");
    assert!(matches!(Client::open(&nowhere), Err(ClientError::NoAccount(_))));
    assert!(!nowhere.exists(), "looking makes nothing");
    let alice = Person::new("alice@s1", 0, 1).await;
    let store = Store::open(folder.path()).unwrap();
    store.begin_account(&alice.account, Some("the words")).unwrap();
    store.close();
    let error = Client::open(folder.path()).err().unwrap();
    assert!(matches!(&error, ClientError::Unfinished(user) if *user == alice.user));
    assert_eq!(error.exit_code(), 3);
}

/// So that whoever draws it knows its shape before its bytes are there.
#[tokio::test]
async fn a_file_that_begins_as_a_picture_says_how_large_it_is() {
    let mut bench = Bench::new().await;
    let group = target(&bench.comes_to_bobs(1).await);
    let (_folder, client) = bench.opened();
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &640u32.to_be_bytes(), &480u32.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let mut shown = Vec::new();
    for bytes in [&png[..], &png[..20], &png[..7], b"", b"words"] {
        let id = client.send_file(&group, "a.png", "image/png", bytes.to_vec(), "").await.unwrap();
        shown.push(client.file(id).await.unwrap().0.picture);
    }
    assert_eq!(shown, [Some(Picture { width: 640, height: 480 }), None, None, None, None]);
}

/// What was refused with this exit code, by its words; and nothing is kept of it.
async fn refused<T: std::fmt::Debug>(client: &Client, group: &Target, result: Result<T, ClientError>, (code, words): (u8, &str)) {
    let error = result.unwrap_err();
    assert_eq!(error.exit_code(), code, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    let pending = client.timeline(group, 100).await.unwrap().into_iter().filter(|line| !line.status.is_final()).count();
    assert_eq!(pending, 0, "nothing is kept of what was refused");
}

#[tokio::test]
async fn what_ones_part_in_a_group_does_not_allow_is_refused_in_words() {
    let mut bench = Bench::new().await;
    let bob = bench.bob.user.clone();
    let (asked, there) = (bench.is_asked_by_bob(1).await, bench.comes_to_bobs(2).await);
    let gone = bench.comes_to_bobs(3).await;
    bench.leaves(&gone).await;
    bench.settles().await;
    let (_folder, client) = bench.opened();
    let [asked, there, gone] = [&asked, &there, &gone].map(target);
    let part = async |group: &Target| client.rooms().await.unwrap().into_iter().find(|room| room.target == *group).unwrap().part;
    assert_eq!((part(&asked).await, part(&there).await, part(&gone).await), (Part::Invited { by: None }, Part::In, Part::Gone));
    refused(&client, &asked, client.invite(&asked, &bob, Role::Member).await, (6, "accepted first")).await;
    refused(&client, &asked, client.remove(&asked, &bob).await, (6, "accepted first")).await;
    refused(&client, &there, client.join(&there).await, (6, "already")).await;
    for result in [client.join(&gone).await, client.leave(&gone).await, client.remove(&gone, &bob).await] {
        refused(&client, &gone, result, (6, "not in this group any more")).await;
    }
    let direct = Target::from(&bob);
    for result in [client.join(&direct).await, client.leave(&Target::Public).await, client.set_role(&direct, &bob, Role::Admin).await] {
        refused(&client, &direct, result, (2, "groups only")).await;
    }
    let nowhere = target(&group(&bob, 9));
    assert_eq!(client.leave(&nowhere).await.unwrap_err().exit_code(), 5);
    client.leave(&asked).await.expect("to decline is possible");
    client.set_role(&there, &bob, Role::Admin).await.expect("the hub says who may");
}

#[tokio::test]
async fn titles_and_files_are_as_long_as_is_said() {
    let mut bench = Bench::new().await;
    let group = target(&bench.comes_to_bobs(1).await);
    let (_folder, client) = bench.opened();
    for title in [String::new(), "  \n".into(), "x".repeat(limits::TITLE + 1)] {
        assert_eq!(client.create_group(&title).await.unwrap_err().exit_code(), 2);
        assert_eq!(client.set_title(&group, &title).await.unwrap_err().exit_code(), 2);
    }
    let mut messages = Vec::new();
    for size in [0, limits::FILE - 1, limits::FILE] {
        let id = client.send_file(&group, "seeds.csv", "text/csv", vec![7; size], "for May").await.unwrap();
        messages.push((id, size));
    }
    let too_large = client.send_file(&group, "seeds.csv", "text/csv", vec![7; limits::FILE + 1], "").await.unwrap_err();
    assert!(too_large.exit_code() == 2 && too_large.to_string().contains("32768"), "{too_large}");
    let name = "x".repeat(limits::FILE_NAME + 1);
    assert_eq!(client.send_file(&group, &name, "text/csv", Vec::new(), "").await.unwrap_err().exit_code(), 2);
    assert_eq!(client.send_file(&Target::Public, "a", "text/csv", Vec::new(), "").await.unwrap_err().exit_code(), 2);
    for (id, size) in messages {
        let (file, bytes) = client.file(id).await.unwrap();
        assert_eq!((file.name.as_str(), file.media_type.as_str(), file.size, bytes), ("seeds.csv", "text/csv", size, vec![7; size]));
    }
    let shown = client.timeline(&group, 100).await.unwrap().pop().unwrap();
    assert_eq!((shown.text.as_str(), shown.file.map(|file| file.size)), ("for May", Some(limits::FILE)));
    let (made, _) = client.create_group(&"x".repeat(limits::TITLE)).await.unwrap();
    assert_eq!(client.find(&"x".repeat(limits::TITLE)).await.unwrap(), made);
    let event = client.timeline(&made, 100).await.unwrap().remove(0);
    assert_eq!(client.file(event.id).await.unwrap_err().exit_code(), 2, "an event has no file");
}

#[tokio::test]
async fn a_conversation_is_found_by_name_title_or_the_beginning_of_its_identifier() {
    let mut bench = Bench::new().await;
    let mut made = Vec::new();
    for title in ["Allotment", "Choir", "Choir", "public", "bob@s2"] {
        made.push(target(&bench.makes(title).await));
    }
    let (_folder, client) = bench.opened();
    let ids: Vec<String> = made.iter().map(Target::to_string).collect();
    assert_eq!(client.find("public").await.unwrap(), Target::Public, "whatever a group is called");
    assert_eq!(client.find("bob@s2").await.unwrap(), Target::from(&"bob@s2".parse().unwrap()));
    for text in ["Allotment", "#Allotment", &ids[0], &ids[0][..4]] {
        assert_eq!(client.find(text).await.unwrap(), made[0], "{text}");
    }
    assert_eq!(client.find("#public").await.unwrap(), made[3]);
    let error = client.find("Choir").await.unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains(&ids[1]) && error.to_string().contains(&ids[2]), "{error}");
    for text in ["allotment", "Allot", &ids[0][..3], "", "#", "nobody"] {
        assert_eq!(client.find(text).await.unwrap_err().exit_code(), 5, "{text}");
    }
}

/// Whoever did not hear the answer asks again, and what has changed since has no say in it.
#[tokio::test]
async fn what_is_asked_for_again_by_its_name_is_done_once() {
    let mut bench = Bench::new().await;
    let bob = bench.bob.user.clone();
    let group = target(&bench.comes_to_bobs(1).await);
    bench.writes(&group, "sent").await;
    bench.settles().await;
    let (_folder, client) = bench.opened();
    let lines = client.timeline(&group, 100).await.unwrap();
    let sent = lines.iter().find(|line| line.text == "sent").unwrap().id;
    let deeds = [
        Deed::SetTitle("another".into()),
        Deed::SetRole { user: bob.clone(), role: Role::Member },
        Deed::Invite { user: "carol@s1".parse().unwrap(), role: Role::Member },
        Deed::Remove(bob),
        Deed::Leave,
    ];
    for (name, deed) in deeds.iter().enumerate() {
        let once = async || client.deed_once(&group, deed.clone(), &name.to_string()).await.unwrap();
        assert_eq!(once().await, once().await, "{deed:?}");
    }
    let erased = client.erase_once(sent, "erase").await.unwrap();
    assert_eq!(client.erase_once(sent, "erase").await.unwrap(), erased);
    assert_eq!(client.timeline(&group, 100).await.unwrap().len(), lines.len() + deeds.len() + 1);
    // What could not be asked for any more was done.
    assert_eq!(client.erase_once(MessageId(9999), "erase").await.unwrap(), erased);
    assert_eq!(
        client.deed_once(&Target::Public, Deed::Join, "0").await.unwrap(),
        client.deed_once(&group, deeds[0].clone(), "0").await.unwrap()
    );
}

#[tokio::test]
async fn only_a_message_that_is_in_its_log_is_erased() {
    let mut bench = Bench::new().await;
    let genesis = bench.comes_to_bobs(1).await;
    let group = target(&genesis);
    bench.writes(&group, "sent").await;
    bench.settles().await;
    let (_folder, client) = bench.opened();
    let lines = client.timeline(&group, 100).await.unwrap();
    let event = lines.iter().find(|line| line.event == Some(Event::Joined)).unwrap();
    refused(&client, &group, client.erase(event.id).await, (2, "cannot be erased")).await;
    let pending = client.send(&group, "not sent").await.unwrap();
    let error = client.erase(pending).await.unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("in its log"), "{error}");
    assert_eq!(client.erase(MessageId(9999)).await.unwrap_err().exit_code(), 5);
    let sent = lines.iter().find(|line| line.text == "sent").unwrap();
    client.erase(sent.id).await.unwrap();
    assert_eq!(client.timeline(&group, 100).await.unwrap().pop().unwrap().event, Some(Event::Erased));
}

#[tokio::test]
async fn members_are_shown_with_their_roles_and_who_is_only_asked_in() {
    let mut bench = Bench::new().await;
    let genesis = bench.comes_to_bobs(1).await;
    let carol = Person::new("carol@s2", 1, 0).await;
    bench.hub.knows(&carol);
    bench.hub.does(&genesis, &bench.bob, Act::Invite(&carol, tidings_proto::Role::Admin));
    bench.all_of(&genesis.log()).await;
    bench.writes(&bench.with_bob(), "hello").await;
    let direct = bench.with_bob();
    let (_folder, client) = bench.opened();
    let members = async |target: &Target| {
        let members = client.members(target).await.unwrap().into_iter();
        members.map(|member| (member.user.to_string(), member.role, member.joined)).collect::<Vec<_>>()
    };
    let line = |user: &str, role, joined| (user.to_owned(), role, joined);
    let mut group = members(&target(&genesis)).await;
    group.sort();
    assert_eq!(group, [line("alice@s1", Role::Member, true), line("bob@s2", Role::Owner, true), line("carol@s2", Role::Admin, false)]);
    assert_eq!(members(&direct).await, [line("alice@s1", Role::Member, true), line("bob@s2", Role::Member, true)]);
    assert!(client.members(&Target::Public).await.is_err());
}
