//! Comparing keys, devices, passwords and recovery, by commands.

use crate::home::{Home, PASSWORD, run, tidings, until};
use serde_json::Value;

const OTHER: &str = "another password for tests";

fn pair() -> Home {
    let home = Home::pair();
    home.register("bob@s2");
    home
}

fn comparison(home: &Home, who: &str, of: &str) -> Value {
    home.run(who, &["verify", of, "--json"]).expect(0).objects().remove(0)
}

fn trust(home: &Home, who: &str, of: &str) -> Value {
    let people = home.run(who, &["people", "--json"]).expect(0).objects();
    people.iter().find(|person| person["user"] == of).map_or(Value::Null, |person| person["trust"].clone())
}

fn devices(home: &Home, who: &str) -> Vec<Value> {
    home.run(who, &["devices", "--json"]).expect(0).objects()
}

#[test]
fn a_safety_number_is_the_same_on_both_sides_and_the_verdict_follows_the_account() {
    let home = pair();
    home.register("alice@s1");
    until("they know each other", || {
        home.run("alice", &["verify", "bob@s2"]).code == 0 && home.run("bob", &["verify", "alice@s1"]).code == 0
    });
    let (alices, bobs) = (comparison(&home, "alice", "bob@s2"), comparison(&home, "bob", "alice@s1"));
    assert_eq!(alices["number"], bobs["number"]);
    let shown = home.run("alice", &["verify", "bob@s2"]).expect(0).stdout;
    let rows = shown.lines().filter(|line| line.split_whitespace().count() == 4 && line.split_whitespace().all(|group| group.len() == 5));
    let digits: String = rows.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    assert_eq!(alices["number"], digits.as_str(), "three rows of four");

    home.run("alice", &["verify", "bob@s2", "--accept"]).expect(2);
    home.run("alice", &["verify", "alice@s1"]).expect(2);
    home.run("alice", &["verify", "nobody@s2"]).expect(5);
    home.run("alice", &["verify", "bob@s2", "--matches"]).expect(0);
    assert_eq!(trust(&home, "alice", "bob@s2"), "verified");
    assert_eq!(trust(&home, "bob", "alice@s1"), "pinned", "each says it for oneself");
    home.enter("tablet", "login", "alice@s1", &["--password-stdin", "--device-name", "tablet"], PASSWORD).expect(0);
    until("the tablet knows", || trust(&home, "tablet", "bob@s2") == "verified");
    home.run("tablet", &["verify", "bob@s2", "--doubt"]).expect(0);
    until("the first device knows", || trust(&home, "alice", "bob@s2") == "pinned");
    // By what was read off the other's screen.
    home.run("bob", &["verify", "alice@s1", "--number", &digits.replace(['1', '2'], "3")]).expect(8);
    assert_eq!(trust(&home, "bob", "alice@s1"), "pinned");
    home.run("bob", &["verify", "alice@s1", "--number", &digits.replace(' ', "")]).expect(0);
    assert_eq!(trust(&home, "bob", "alice@s1"), "verified");
    assert!(home.run("bob", &["verify", "alice@s1", "--qr"]).expect(0).stdout.lines().any(|line| line.starts_with("█")));
}

#[test]
fn devices_are_named_and_taken_off() {
    let home = pair();
    let first = home.register("alice@s1");
    home.enter("tablet", "login", "alice@s1", &["--password-stdin", "--device-name", "tablet"], PASSWORD).expect(0);
    home.run("alice", &["devices", "name", "this", "my", "desk"]).expect(0);
    let all = devices(&home, "alice");
    assert_eq!(all.iter().map(|device| &device["name"]).collect::<Vec<_>>(), ["my desk", "tablet"]);
    assert_eq!((&all[0]["this"], &all[1]["this"]), (&true.into(), &false.into()));
    let tablet = &all[1]["key"].as_str().unwrap()[..8];

    let revoke =
        |device: &str, password: &str| run(home.by("alice", &["devices", "revoke", device, "--password-stdin", "--json"]), Some(password));
    revoke(tablet, "a wrong password").expect(4);
    revoke("nothing like it", PASSWORD).expect(5);
    revoke(&all[0]["key"].as_str().unwrap()[..8], PASSWORD).expect(2);
    // Beside `tail`, since whoever loses a device has no time to look for it.
    let tail = home.tail("alice");
    let revoked = revoke(tablet, PASSWORD).expect(0).objects();
    tail.end();
    let words = revoked[0]["recovery_code"].as_str().unwrap();
    assert_eq!((words.split(' ').count(), &revoked[1]["type"]), (24, &"revoked".into()));
    assert_ne!(first["recovery_code"], words);
    assert_eq!(devices(&home, "alice").len(), 1);
    for command in [&["send", "bob@s2", "from a thief"][..], &["people"]] {
        home.run("tablet", command).expect(4);
    }
    home.run("alice", &["send", "bob@s2", "it was stolen", "--wait=server"]).expect(0);
    let read = || home.run("bob", &["read", "alice@s1"]).expect(0).stdout;
    until("bob reads it", || read().contains("it was stolen"));
    assert!(!read().contains("thief"));
    // The old words are worth nothing now, the new ones open the account.
    let recover = |profile: &str, words: &str| {
        let secrets = [words, OTHER].join("\n");
        home.enter(profile, "recover", "alice@s1", &["--recovery-stdin", "--new-password-stdin"], &secrets)
    };
    recover("thief", first["recovery_code"].as_str().unwrap()).expect(4);
    recover("found", words).expect(0);
}

#[test]
fn a_password_is_changed_and_a_lost_one_replaced() {
    let home = pair();
    let made = home.register("alice@s1");
    home.run("alice", &["send", "bob@s2", "before"]).expect(0);
    let change = |old: &str, new: &str| {
        let secrets = [old, new].join("\n");
        run(home.by("alice", &["password", "--password-stdin", "--new-password-stdin"]), Some(&secrets))
    };
    change("a wrong password", OTHER).expect(4);
    change(PASSWORD, "").expect(4);
    change(PASSWORD, OTHER).expect(0);
    home.enter("old", "login", "alice@s1", &["--password-stdin"], PASSWORD).expect(4);
    home.enter("new", "login", "alice@s1", &["--password-stdin"], OTHER).expect(0);
    home.run("alice", &["send", "bob@s2", "devices stay"]).expect(0);

    let words = made["recovery_code"].as_str().unwrap();
    let third = "a third password for tests";
    let secrets = [words, third].join("\n");
    let recovered = home.enter("found", "recover", "alice@s1", &["--recovery-stdin", "--new-password-stdin"], &secrets).expect(0).objects();
    assert_eq!((&recovered[0]["type"], &recovered[0]["fingerprint"]), (&"recovered".into(), &made["fingerprint"]));
    assert_ne!(recovered[0]["recovery_code"], words);
    home.enter("late", "login", "alice@s1", &["--password-stdin"], OTHER).expect(4);
    until("what was written before is there", || home.run("found", &["read", "bob@s2"]).expect(0).stdout.contains("before"));
    home.run("found", &["send", "bob@s2", "found again", "--wait=server"]).expect(0);
}

/// After one device has changed the keys, the others say what they need, and get it.
#[test]
fn another_device_is_unlocked_after_a_change_of_keys() {
    let home = pair();
    let made = home.register("alice@s1");
    home.enter("tablet", "login", "alice@s1", &["--password-stdin"], PASSWORD).expect(0);
    until("bob knows her", || trust(&home, "bob", "alice@s1") == "pinned");
    let mut tail = home.tail("bob");
    let rotated = run(home.by("alice", &["rotate", "--password-stdin", "--json"]), Some(PASSWORD)).expect(0).objects();
    assert_eq!((&rotated[0]["type"], &rotated[1]["type"]), (&"recovery".into(), &"rotated".into()));
    assert_ne!(rotated[1]["fingerprint"], made["fingerprint"]);
    // The old key signs the new one: bob is told, and nobody has to accept anything.
    until("bob has the new key", || comparison(&home, "bob", "alice@s1")["fingerprint"] == rotated[1]["fingerprint"]);
    tail.until(|object| object["type"] == "notice" && object["user"] == "alice@s1");
    home.run("bob", &["send", "alice@s1", "to the new key", "--wait=server"]).expect(0);
    tail.end();
    until("the tablet says what it needs", || home.run("tablet", &["read", "bob@s2"]).stderr.contains("tidings unlock"));
    run(home.by("tablet", &["unlock", "--password-stdin"]), Some("a wrong password")).expect(4);
    run(home.by("tablet", &["unlock", "--password-stdin"]), Some(PASSWORD)).expect(0);
    until("the tablet reads it", || home.run("tablet", &["read", "bob@s2"]).expect(0).stdout.contains("to the new key"));
}

/// Whoever has lost everything begins anew on the word of a server: that is shown, and stops what was meant for the one before.
#[test]
fn to_somebody_who_has_begun_anew_nothing_is_sent_before_it_is_accepted() {
    let home = pair();
    home.register("alice@s1");
    home.run("alice", &["send", "bob@s2", "for the first bob", "--wait=server"]).expect(0);
    home.run("alice", &["verify", "bob@s2", "--matches"]).expect(0);
    let before = comparison(&home, "alice", "bob@s2");

    let mut reset = tidings(home.folder.path());
    reset.args(["user", "reset", "bob", "--data", "server-2", "--setup", "s2.json", "--json"]);
    let line = run(reset, None).expect(0).objects()[0]["line"].as_str().unwrap().to_owned();
    std::fs::write(home.path("line"), line).unwrap();
    let mut tail = home.tail("alice");
    home.enter("bob-again", "register", "bob@s2", &["--password-stdin", "--invitation", "line"], OTHER).expect(0);
    tail.until(|object| object["type"] == "notice" && object["user"] == "bob@s2");
    tail.end();

    assert_eq!(trust(&home, "alice", "bob@s2"), "changed");
    let refused = home.run("alice", &["send", "bob@s2", "a secret"]).expect(8);
    assert!(refused.stderr.contains("tidings verify bob@s2"), "it says what to do: {refused:?}");
    let shown = home.run("alice", &["verify", "bob@s2"]).expect(8).stdout;
    assert!(shown.contains("HAS CHANGED") && shown.contains("--accept"), "{shown}");
    home.run("alice", &["verify", "bob@s2", "--matches"]).expect(8);
    assert_eq!(trust(&home, "alice", "bob@s2"), "changed", "a number that was compared before says nothing of this key");
    home.run("alice", &["verify", "bob@s2", "--accept"]).expect(0);
    assert_eq!(trust(&home, "alice", "bob@s2"), "pinned", "accepted is not compared");
    home.run("alice", &["send", "bob@s2", "after", "--wait=server"]).expect(0);
    until("the new bob reads it", || home.run("bob-again", &["read", "alice@s1"]).stdout.contains("after"));
    let (alices, bobs) = (comparison(&home, "alice", "bob@s2"), comparison(&home, "bob-again", "alice@s1"));
    assert_eq!(alices["number"], bobs["number"]);
    assert_ne!(alices["number"], before["number"]);
    let read = home.run("bob-again", &["read", "alice@s1"]).expect(0).stdout;
    assert!(!read.contains("first bob") && !read.contains("a secret"), "{read}");
    home.run("bob", &["people"]).expect(4);
}

#[test]
fn logging_out_deletes_the_profile_and_nothing_else() {
    let home = Home::open();
    home.register("alice");
    std::fs::write(home.path("alice").join("mine.txt"), "mine").unwrap();
    home.run("alice", &["logout"]).expect(2);
    let tail = home.tail("alice");
    let busy = home.run("alice", &["logout", "--yes"]).expect(75);
    assert!(busy.stderr.contains("tidings tail"), "{busy:?}");
    tail.end();
    let out = home.run("alice", &["logout", "--yes", "--json"]).expect(0).objects();
    assert_eq!((&out[0]["type"], &out[0]["user"]), (&"logged_out".into(), &"alice@s1".into()));
    let left: Vec<_> = std::fs::read_dir(home.path("alice")).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(left, ["mine.txt"]);
    home.run("alice", &["people"]).expect(3);
    home.enter("alice", "login", "alice@s1", &["--password-stdin"], PASSWORD).expect(0);
    std::fs::remove_file(home.path("alice").join("mine.txt")).unwrap();
    home.run("alice", &["logout", "--yes"]).expect(0);
    assert!(!home.path("alice").exists(), "a folder with nothing else in it goes too");
}
