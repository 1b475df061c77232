//! People's commands against a server process.

use crate::home::{Home, PASSWORD, run, tidings};
use serde_json::Value;

fn texts(objects: &[Value]) -> Vec<&str> {
    objects.iter().filter(|object| object["type"] == "message").map(|message| message["text"].as_str().unwrap()).collect()
}

#[test]
fn a_conversation_by_commands() {
    let home = Home::open();
    let (alice, bob) = (home.register("alice"), home.register("bob"));
    assert_eq!(alice["recovery_code"].as_str().unwrap().split(' ').count(), 24);
    assert_eq!(alice["server_key"], home.s1.key.as_str(), "the key that was given is the one that is pinned");

    let people = home.run("alice", &["people", "--json"]).expect(0).objects();
    let fingerprint = |user: &str| people.iter().find(|person| person["user"] == user).unwrap()["fingerprint"].clone();
    assert_eq!((fingerprint("alice@s1"), fingerprint("bob@s1")), (alice["fingerprint"].clone(), bob["fingerprint"].clone()));

    let sent = home.run("alice", &["send", "bob@s1", "two", "words", "--json"]).expect(0).objects();
    assert_eq!((&sent[0]["type"], &sent[0]["status"]), (&"sent".into(), &"sent".into()));
    run(home.by("alice", &["send", "bob@s1", "-"]), Some("from standard input\n")).expect(0);
    let read = home.run("bob", &["read", "alice@s1", "--json"]).expect(0).objects();
    assert_eq!(texts(&read), ["two words", "from standard input"]);
    assert!(read.iter().all(|message| message["author"] == "alice@s1" && message["room"]["user"] == "alice@s1"));
    let last = home.run("bob", &["read", "alice@s1", "--limit", "1", "--json"]).expect(0).objects();
    assert_eq!(texts(&last), ["from standard input"]);
    home.run("alice", &["send", "nobody@s1", "hi"]).expect(5);
}

#[test]
fn conversations_on_either_suite_by_commands() {
    let home = Home::open();
    for user in ["alice", "bob"] {
        home.register(user);
    }
    // What was begun on RSA stays there until something else is asked for, and does not go back.
    home.run("alice", &["send", "bob@s1", "sealed by RSA", "--suite", "rsa-jwe-1"]).expect(0);
    home.run("bob", &["read", "alice@s1"]).expect(0);
    home.run("bob", &["send", "alice@s1", "so is this"]).expect(0);
    let suite = |user: &str, other: &str| {
        let rooms = home.run(user, &["rooms", "--json"]).expect(0).objects();
        rooms.iter().find(|room| room["title"] == other).map(|room| room["suite"].clone())
    };
    assert_eq!(suite("bob", "alice@s1"), Some("rsa-jwe-1".into()));
    home.run("alice", &["send", "bob@s1", "sealed by MLS", "--suite", "mls-1"]).expect(0);
    home.run("bob", &["read", "alice@s1"]).expect(0);
    let back = home.run("bob", &["send", "alice@s1", "hm", "--suite", "rsa-jwe-1"]).expect(2);
    assert!(back.stderr.contains("does not go back to rsa-jwe-1"), "{}", back.stderr);
    home.run("bob", &["send", "alice@s1", "and so is this"]).expect(0);
    for (user, other) in [("alice", "bob@s1"), ("bob", "alice@s1")] {
        let said = ["sealed by RSA", "so is this", "sealed by MLS", "and so is this"];
        assert_eq!(texts(&home.run(user, &["read", other, "--json"]).expect(0).objects()), said);
        let rooms = home.run(user, &["rooms", "--json"]).expect(0).objects();
        let suites: Vec<&Value> = rooms.iter().filter(|room| room["title"] == other).map(|room| &room["suite"]).collect();
        assert_eq!(suites, ["mls-1"], "one conversation, however many rooms it has");
    }
    home.run("alice", &["room", "new", "Mountains"]).expect(0);
    assert_eq!(suite("alice", "Mountains"), Some("mls-1".into()), "where nothing is asked for");
    home.run("alice", &["room", "new", "Classics", "--suite", "rsa-jwe-1"]).expect(0);
    assert_eq!(suite("alice", "Classics"), Some("rsa-jwe-1".into()));
    home.run("alice", &["room", "invite", "Mountains", "bob@s1"]).expect(0);
    home.run("bob", &["room", "join", "Mountains"]).expect(0);
    home.run("bob", &["send", "Mountains", "here I am"]).expect(0);
    let read = home.run("alice", &["read", "Mountains", "--json"]).expect(0).objects();
    assert_eq!(texts(&read).last(), Some(&"here I am"), "behind what has happened to the group");
    home.run("alice", &["send", "bob@s1", "hi", "--suite", "another"]).expect(2);
    for user in ["alice", "bob"] {
        let health = home.run(user, &["doctor", "--json"]).expect(0).objects().remove(0);
        let counts = ["unreadable", "waiting_for_keys"].map(|count| health[count].as_u64());
        assert_eq!((counts, &health["linked"]), ([Some(0), Some(0)], &true.into()), "{health}");
    }
}

/// No text that somebody else wrote steers a terminal, on a terminal or in a pipe.
#[test]
fn remote_text_reaches_the_screen_inert() {
    let home = Home::open();
    home.register("alice");
    home.register("bob");
    let nasty = "\u{1b}]0;title\u{7}\u{9b}2J\u{202e}txet\r\nsecond line";
    run(home.by("alice", &["send", "public", "-"]), Some(nasty)).expect(0);
    let shown = home.run("bob", &["read", "public"]).expect(0).stdout;
    assert!(shown.contains("\\u{1b}]0;title\\u{7}\\u{9b}2J\\u{202e}txet\\u{d}\n          | second line"), "{shown}");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    let json = home.run("bob", &["read", "public", "--json"]).expect(0);
    assert!(!json.stdout.chars().any(|c| c == '\u{202e}' || c.is_control() && c != '\n'), "{:?}", json.stdout);
    assert_eq!(texts(&json.objects()), [nasty], "and programs get the very text");
}

#[test]
fn other_commands_work_beside_tail() {
    let home = Home::open();
    home.register("alice");
    home.register("bob");
    let mut tail = home.tail("bob");
    home.run("alice", &["send", "public", "from alice"]).expect(0);
    tail.until(|object| object["text"] == "from alice");
    home.run("bob", &["send", "public", "from bob, beside his tail"]).expect(0);
    tail.until(|object| object["text"] == "from bob, beside his tail");
    let people = home.run("bob", &["people", "--json"]).expect(0).objects();
    assert!(people.iter().any(|person| person["user"] == "bob@s1" && person["online"] == "online"), "{people:?}");
    let read = home.run("bob", &["read", "public", "--json"]).expect(0).objects();
    assert_eq!(texts(&read), ["from alice", "from bob, beside his tail"]);
    let refused = home.run("bob", &["send", "nobody@s1", "hi", "--json"]).expect(5);
    assert_eq!(refused.objects()[0]["status"], "failed", "the exit code comes through too");
    let mut second = home.tail("bob");
    home.run("alice", &["send", "public", "to both"]).expect(0);
    second.until(|object| object["text"] == "to both");
    drop(second);
    let rest = tail.end();
    assert_eq!(rest.matches("to both").count(), 1, "{rest}");
    // The profile is free again.
    home.run("bob", &["read", "public"]).expect(0);
}

/// One process holds the profile, and each of these is answered by it, with the exit code and in the look that was asked for.
#[test]
fn every_command_works_beside_tail() {
    let home = Home::open();
    home.register("alice");
    home.register("bob");
    std::fs::write(home.path("plan.txt"), "the plan").unwrap();
    let tail = home.tail("alice");
    let secrets = |arguments: &[&str], secrets: &str| run(home.by("alice", arguments), Some(secrets));
    home.run("alice", &["room", "new", "Plans", "--wait=server"]).expect(0);
    home.run("alice", &["room", "invite", "Plans", "bob@s1", "--wait=server"]).expect(0);
    home.run("alice", &["room", "title", "Plans", "Secret", "plans", "--wait=server"]).expect(0);
    assert!(home.run("alice", &["rooms"]).expect(0).stdout.contains("#Secret plans"));
    assert_eq!(home.run("alice", &["room", "members", "Secret plans", "--json"]).expect(0).objects().len(), 2);
    let sent = home.run("alice", &["file", "send", "Secret plans", "plan.txt", "--wait=server", "--json"]).expect(0).objects();
    let id = sent[0]["id"].to_string();
    std::fs::remove_file(home.path("plan.txt")).unwrap();
    // In the folder in which this command runs, whichever the holder's is.
    home.run("alice", &["file", "save", &id]).expect(0);
    assert_eq!(std::fs::read(home.path("plan.txt")).unwrap(), b"the plan");
    home.run("alice", &["erase", &id, "--wait=server"]).expect(0);
    home.run("alice", &["file", "save", &id]).expect(2);
    home.run("alice", &["verify", "bob@s1"]).expect(0);
    home.run("alice", &["verify", "bob@s1", "--matches"]).expect(0);
    home.run("alice", &["verify", "nobody@s1"]).expect(5);
    home.run("alice", &["devices", "name", "this", "desk"]).expect(0);
    assert!(home.run("alice", &["devices"]).expect(0).stdout.contains("desk"));
    let both = [PASSWORD, "another password"].join("\n");
    secrets(&["password", "--password-stdin", "--new-password-stdin"], &both).expect(0);
    secrets(&["unlock", "--password-stdin"], PASSWORD).expect(4);
    secrets(&["unlock", "--password-stdin"], "another password").expect(0);
    secrets(&["rotate", "--password-stdin"], "another password").expect(0);
    home.run("alice", &["send", "bob@s1", "all is well", "--wait=server"]).expect(0);
    let rest = tail.end();
    for expected in ["Secret plans", "plan.txt", "\"erased\"", "all is well"] {
        assert!(rest.contains(expected), "{expected}: {rest}");
    }
    assert!(!rest.contains("another password"), "{rest}");
}

#[test]
fn what_is_written_offline_waits_and_is_sent_once() {
    let mut home = Home::open();
    home.register("alice");
    home.register("bob");
    home.run("alice", &["send", "bob@s1", "before"]).expect(0);
    assert_eq!(home.s1.stop(), Some(0), "SIGTERM is a good end");

    let sent = home.run("alice", &["send", "bob@s1", "meanwhile", "--wait", "0", "--json"]).expect(75).objects();
    assert_eq!(sent[0]["status"], "pending");
    let shown = home.run("alice", &["read", "bob@s1", "--wait", "0"]).expect(0).stdout;
    assert!(shown.contains("meanwhile  (on its way)"), "{shown}");
    home.run("alice", &["people", "--wait", "1"]).expect(7);

    home.s1.start();
    home.run("alice", &["send", "bob@s1", "after"]).expect(0);
    for (who, other) in [("alice", "bob@s1"), ("bob", "alice@s1")] {
        let read = home.run(who, &["read", other, "--json"]).expect(0).objects();
        assert_eq!(texts(&read), ["before", "meanwhile", "after"], "{who}");
    }
}

/// The name is right, the address is right, the key is not: nothing is sent, and every command says so.
#[test]
fn an_impostor_gets_nothing_and_is_shown() {
    let mut home = Home::open();
    home.register("alice");
    let key = home.s1.key.clone();
    let tail = home.tail("alice");
    home.replace();
    assert_ne!(home.s1.key, key);
    let (code, rest) = tail.ended();
    assert!(code == Some(8) && rest.contains(&key) && rest.contains(&home.s1.key), "whoever watches is told: {code:?} {rest}");
    for command in [&["people"][..], &["tail"], &["read", "public"], &["send", "public", "for the real one"]] {
        let ended = home.run("alice", command).expect(8);
        assert!(ended.stderr.contains(&key) && ended.stderr.contains(&home.s1.key), "both keys are shown: {ended:?}");
    }
    let kept = home.run("alice", &["read", "public", "--wait", "0"]).expect(0).stdout;
    assert!(kept.contains("for the real one  (on its way)"), "{kept}");
}

#[test]
fn wrong_credentials_names_and_keys_have_their_exit_codes() {
    let home = Home::open();
    home.register("alice");
    let at = ["--server", &home.s1.address, "--password-stdin"];
    let tried = |who: &str, verb: &str, more: &[&str], password: &str| {
        let arguments = [&[verb, "alice@s1"], &at[..], more].concat();
        run(home.by(who, &arguments), Some(password))
    };
    tried("thief", "login", &[], "a wrong password").expect(4);
    let words = [PASSWORD, "a new password"].join("\n");
    home.enter("thief", "recover", "alice@s1", &["--recovery-stdin", "--new-password-stdin"], &words).expect(4);
    tried("late", "register", &[], PASSWORD).expect(6);
    tried("alice", "register", &[], PASSWORD).expect(3);
    let other_key = "A".repeat(43);
    let ended = tried("careful", "login", &["--server-key", &other_key], PASSWORD).expect(8);
    assert!(ended.stderr.contains(&home.s1.key), "both keys are shown: {}", ended.stderr);
    tried("second", "login", &["--server-key", &home.s1.key], PASSWORD).expect(0);
    assert!(home.run("second", &["people"]).expect(0).stdout.contains("alice@s1  online  you"));
    for failed in ["thief", "late", "careful"] {
        home.run(failed, &["people"]).expect(3);
    }
}

#[test]
fn a_server_introduces_itself_and_says_why_it_does_not_start() {
    let home = Home::open();
    let mut second = tidings(home.folder.path());
    second.args(["server", "--name", "s2", "--data", "other", "--listen", &home.s1.address]);
    let ended = run(second, None).expect(3);
    assert!(ended.stderr.contains(&home.s1.address), "{}", ended.stderr);
    let mut show = tidings(home.folder.path());
    show.args(["peer", "show", "--json", "--name", "s1", "--data", "server", "--address", &home.s1.address]);
    assert_eq!(run(show, None).expect(0).objects()[0]["key"], home.s1.key.as_str(), "what it shows is what it serves with");
}
