//! Groups over two servers, by commands only.

use crate::home::{Ended, Home, run, until};
use serde_json::Value;

fn trio() -> Home {
    let home = Home::pair();
    for who in ["alice@s1", "bob@s2", "carol@s2"] {
        home.register(who);
    }
    home
}

/// Until a command gives this code: what another server has done arrives when it arrives.
#[track_caller]
fn eventually(home: &Home, who: &str, arguments: &[&str], code: i32) -> Ended {
    let mut last = None;
    until(&format!("{who}: {arguments:?} ends with {code}"), || {
        let ended = home.run(who, arguments);
        let fits = ended.code == code;
        last = Some(ended);
        fits
    });
    last.unwrap()
}

/// A group of alice's with bob and carol in it.
fn group(home: &Home, title: &str) -> String {
    let made = home.run("alice", &["room", "new", title, "--wait=server", "--json"]).expect(0).objects().remove(0);
    let id = made["room"]["id"].as_str().unwrap().to_owned();
    let invited = home.run("alice", &["room", "invite", &id, "bob@s2", "carol@s2", "--wait=server", "--json"]).expect(0).objects();
    assert_eq!([&invited[0]["user"], &invited[1]["user"]], ["bob@s2", "carol@s2"]);
    for who in ["bob", "carol"] {
        eventually(home, who, &["room", "join", &id, "--wait=server"], 0);
    }
    until("everybody sees everybody", || ["alice", "bob", "carol"].iter().all(|who| joined(home, who, &id) == 3));
    id
}

fn joined(home: &Home, who: &str, room: &str) -> usize {
    let ended = home.run(who, &["room", "members", room, "--json"]);
    if ended.code == 0 { ended.objects().iter().filter(|member| member["joined"] == true).count() } else { 0 }
}

/// What was said, and what happened, as `author text` and `author event`.
fn seen(home: &Home, who: &str, room: &str) -> Vec<String> {
    let line = |message: &Value| {
        let author = message["author"].as_str().unwrap_or("-");
        match message["event"]["event"].as_str() {
            Some(event) => format!("{author} * {event}"),
            None => format!("{author} {}", message["text"].as_str().unwrap()),
        }
    };
    let read = home.run(who, &["read", room, "--json"]).expect(0).objects();
    read.iter().filter(|object| object["type"] == "message" && object["status"] != "failed").map(line).collect()
}

#[track_caller]
fn until_seen(home: &Home, who: &str, room: &str, last: &str) -> Vec<String> {
    let mut all = Vec::new();
    until(&format!("{who} sees {last:?}"), || {
        all = seen(home, who, room);
        all.last().is_some_and(|line| line == last)
    });
    all
}

#[test]
fn a_group_conversation_over_two_servers_by_commands() {
    let home = trio();
    let id = group(&home, "Plans for summer");
    for (who, text) in [("alice", "who brings the rope?"), ("carol", "I do"), ("bob", "and I the map")] {
        // By its title, by its title with a mark, by the beginning of its id.
        let name = match who {
            "alice" => "Plans for summer",
            "bob" => "#Plans for summer",
            _ => &id[..8],
        };
        home.run(who, &["send", name, text, "--wait=server"]).expect(0);
    }
    let all = until_seen(&home, "alice", &id, "bob@s2 and I the map");
    let talk = ["alice@s1 who brings the rope?", "carol@s2 I do", "bob@s2 and I the map"];
    assert_eq!(all[all.len() - 3..], talk);
    assert_eq!(all[0], "alice@s1 * created");
    for who in ["bob", "carol"] {
        let all = until_seen(&home, who, &id, "bob@s2 and I the map");
        assert_eq!(all[all.len() - 3..], talk, "{who}");
    }

    // Roles and titles.
    home.run("bob", &["room", "remove", &id, "carol@s2"]).expect(6);
    home.run("alice", &["room", "role", &id, "bob@s2", "owner", "--wait=server"]).expect(0);
    eventually(&home, "bob", &["room", "title", &id, "Plans for autumn", "--wait=server"], 0);
    until("alice has the new title", || home.run("alice", &["read", "Plans for autumn"]).code == 0);
    home.run("alice", &["read", "Plans for summer"]).expect(5);

    // Carol is put out, and bob goes.
    home.run("bob", &["room", "remove", &id, "carol@s2", "--wait=server"]).expect(0);
    home.run("alice", &["send", &id, "not for carol", "--wait=server"]).expect(0);
    until_seen(&home, "bob", &id, "alice@s1 not for carol");
    until("carol learns of it", || home.run("carol", &["send", &id, "let me in"]).code == 6);
    assert!(!seen(&home, "carol", &id).iter().any(|line| line.contains("not for carol")));
    home.run("bob", &["room", "leave", &id, "--wait=server"]).expect(0);
    until("alice is alone", || joined(&home, "alice", &id) == 1);
}

#[test]
fn what_cannot_be_done_in_a_group_has_its_exit_code() {
    let home = trio();
    let id = group(&home, "Plans");
    for (who, arguments, code) in [
        ("alice", &["send", "Plan", "hi"][..], 5),
        ("alice", &["send", "#bob@s2", "hi"], 5),
        ("alice", &["room", "join", "Plans"], 6),
        ("alice", &["room", "join", "public"], 2),
        ("alice", &["room", "members", "nowhere"], 5),
        ("alice", &["room", "invite", "Plans", "nobody@s1"], 5),
        ("alice", &["room", "invite", "Plans", "nobody@s1", "bob@s2"], 5),
        ("carol", &["room", "invite", "Plans", "alice@s1"], 6),
        ("carol", &["room", "remove", "Plans", "alice@s1"], 6),
        ("carol", &["room", "role", "Plans", "carol@s2", "owner"], 6),
    ] {
        let ended = home.run(who, arguments).expect(code);
        assert!(ended.stderr.len() + ended.stdout.len() > 20, "it says why: {ended:?}");
    }
    // Two groups of one title are told apart by their ids, which the refusal names.
    home.run("alice", &["room", "new", "Plans", "--wait=server"]).expect(0);
    let refused = home.run("alice", &["send", "Plans", "which?"]).expect(2);
    assert!(refused.stderr.contains(&id), "{refused:?}");
    let rooms = home.run("alice", &["rooms"]).expect(0).stdout;
    assert!(rooms.contains(&format!("#Plans ({})", &id[..8])), "{rooms}");
    home.run("alice", &["send", &id[..8], "this one"]).expect(0);
}

#[test]
fn tail_says_who_asks_and_shows_what_happens() {
    let home = trio();
    let mut tail = home.tail("bob");
    home.run("alice", &["room", "new", "Plans", "--wait=server"]).expect(0);
    home.run("alice", &["room", "invite", "Plans", "bob@s2", "--role", "admin", "--wait=server"]).expect(0);
    let asked = tail.until(|object| object["type"] == "invitation").pop().unwrap();
    assert_eq!((&asked["title"], &asked["by"], &asked["state"]), (&"Plans".into(), &"alice@s1".into(), &"invited".into()));
    // Beside the tail, by the id that it shows.
    home.run("bob", &["room", "join", &asked["id"].as_str().unwrap()[..8], "--wait=server"]).expect(0);
    tail.until(|object| object["event"]["event"] == "joined" && object["author"] == "bob@s2");
    home.run("alice", &["send", "Plans", "welcome"]).expect(0);
    tail.until(|object| object["text"] == "welcome" && object["room"]["kind"] == "group");
    home.run("bob", &["room", "invite", "Plans", "carol@s2", "--wait=server"]).expect(0);
    tail.until(|object| object["event"]["user"] == "carol@s2");
    assert_eq!(home.run("bob", &["room", "members", "Plans", "--json"]).expect(0).objects().len(), 3);
    // Carol declines.
    eventually(&home, "carol", &["room", "leave", "Plans", "--wait=server"], 0);
    tail.until(|object| object["event"]["event"] == "left");
    let rest = tail.end();
    assert!(!rest.contains("invitation"), "each once: {rest}");
}

/// The group's server is down: the others' servers keep what is written, and `--wait=server` waits for the group's.
#[test]
fn what_is_written_while_the_hub_is_down_arrives_after() {
    let mut home = trio();
    let id = group(&home, "Plans");
    assert_eq!(home.s1.stop(), Some(0));
    let sent = home.run("bob", &["send", &id, "anybody?", "--json"]).expect(0).objects();
    assert_eq!(sent[0]["status"], "waiting");
    let mut waiting = home.by("carol", &["send", &id, "I wait", "--wait=server"]).spawn().unwrap();
    until("carol's message is kept", || seen(&home, "bob", &id).len() > 1);
    assert!(waiting.try_wait().unwrap().is_none(), "it waits for the group's server");
    home.s1.start();
    until("it ends", || waiting.try_wait().unwrap().is_some());
    assert!(waiting.wait().unwrap().success());
    until("all is there", || {
        let all = seen(&home, "alice", &id);
        all.contains(&"bob@s2 anybody?".into()) && all.contains(&"carol@s2 I wait".into())
    });
}

#[test]
fn erasing_takes_a_message_back_everywhere() {
    let home = trio();
    let id = group(&home, "Plans");
    home.run("bob", &["send", &id, "too much wine", "--wait=server"]).expect(0);
    until_seen(&home, "alice", &id, "bob@s2 too much wine");
    let number = |who: &str| {
        let read = home.run(who, &["read", &id, "--json"]).expect(0).objects();
        read.iter().find(|message| message["text"] == "too much wine").unwrap()["id"].to_string()
    };
    home.run("carol", &["erase", &number("carol")]).expect(6);
    home.run("bob", &["erase", "99999"]).expect(5);
    let shown = home.run("bob", &["read", &id, "--ids"]).expect(0).stdout;
    assert!(shown.contains(&format!("{:>6}  ", number("bob"))), "{shown}");
    home.run("bob", &["erase", &number("bob"), "--wait=server"]).expect(0);
    for who in ["alice", "bob", "carol"] {
        until(&format!("it is gone at {who}'s"), || !seen(&home, who, &id).iter().any(|line| line.contains("wine")));
    }
}

/// Two remarks on one stream would be hard to part: what is refused for one person does not stop the others.
#[test]
fn one_refusal_does_not_stop_the_others() {
    let home = trio();
    let made = home.run("alice", &["room", "new", "Plans", "--wait=server", "--json"]).expect(0).objects().remove(0);
    let id = made["room"]["id"].as_str().unwrap();
    let ended = home.run("alice", &["room", "invite", id, "nobody@s2", "bob@s2", "--wait=server", "--json"]);
    assert_eq!(ended.code, 5, "{ended:?}");
    let invited = |ended: &Ended| ended.objects().iter().any(|object| object["user"] == "bob@s2" && object["status"] == "sent");
    assert!(invited(&ended), "{ended:?}");
    let read = run(home.by("alice", &["room", "members", id]), None).expect(0).stdout;
    assert!(read.contains("bob@s2    member  asked in"), "{read}");
}
