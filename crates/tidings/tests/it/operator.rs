//! The operator's commands against a server process: names, invitations, peers, and what a server shows at its start.

use crate::home::{Ended, PASSWORD, run, tidings, until};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tempfile::TempDir;

/// A server with a setup.json of its own. Killed when it is dropped.
struct Site {
    folder: TempDir,
    child: Option<Child>,
    screen: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Site {
    /// A server that is not started yet; `more` is what its setup.json says beside the name.
    fn of(more: &str) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let limits = "\"limits\": { \"registration_burst\": 100 }";
        let setup = format!("{{ \"server_name\": \"s1\", \"listen\": \"127.0.0.1:0\", \"data\": \"data\", {limits}, {more} }}");
        std::fs::write(folder.path().join("setup.json"), setup).unwrap();
        Site { folder, child: None, screen: Arc::default(), reading: None }
    }

    fn started(more: &str) -> Site {
        let mut site = Site::of(more);
        site.start(false);
        site
    }

    /// Starts it; its output goes to a terminal, or to a pipe.
    fn start(&mut self, on_terminal: bool) {
        let mut command = self.command(&["server"]);
        command.stderr(File::create(self.folder.path().join("log")).unwrap());
        let output: File = if on_terminal {
            let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
            grantpt(&ours).unwrap();
            unlockpt(&ours).unwrap();
            let path = PathBuf::from(ptsname(&ours, Vec::new()).unwrap().into_string().unwrap());
            command.stdout(File::options().read(true).write(true).open(path).unwrap());
            File::from(ours)
        } else {
            let (ours, theirs) = std::io::pipe().unwrap();
            command.stdout(theirs);
            File::from(std::os::fd::OwnedFd::from(ours))
        };
        self.child = Some(command.spawn().unwrap());
        drop(command); // and with it our copy of the end that is written
        self.screen = Arc::default();
        let screen = self.screen.clone();
        self.reading = Some(std::thread::spawn(move || read_all(output, &screen)));
        until("the server serves", || self.screen.lock().unwrap().contains("for peers"));
    }

    /// Stops it; all that it has shown.
    fn stop(&mut self) -> String {
        let mut child = self.child.take().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
        let mut ended = None;
        until("the server stops", || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.unwrap().code(), Some(0));
        self.reading.take().unwrap().join().unwrap();
        self.screen.lock().unwrap().clone()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tidings(self.folder.path());
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments), None)
    }

    fn one(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).expect(0).objects().remove(0)
    }

    /// Tries to register; `pass` is in a file.
    fn register(&self, user: &str, pass: &str, more: &[&str]) -> Ended {
        let file = self.folder.path().join("pass");
        std::fs::write(&file, pass).unwrap();
        let (file, profile) = (file.display().to_string(), format!("profile-{user}"));
        let arguments = [&["register", user, "--profile", &profile, "--password-stdin", "--invitation", &file], more].concat();
        run(self.command(&arguments), Some(PASSWORD))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Reads to the end, which on a terminal is an error.
fn read_all(mut from: File, screen: &Mutex<String>) {
    let mut some = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut some) {
        screen.lock().unwrap().push_str(&String::from_utf8_lossy(&some[..read]));
    }
}

/// The invitations in what was shown.
fn lines(shown: &str) -> Vec<&str> {
    shown.split_whitespace().filter(|word| word.starts_with("tidings://")).collect()
}

fn line(issued: &Value) -> String {
    issued["line"].as_str().unwrap().to_owned()
}

#[test]
fn claim_codes_are_shown_once_and_to_people_only() {
    let mut site = Site::of("\"registration\": \"closed\", \"admin\": { \"bob@s1\": \"admin1\", \"carol@s1\": \"admin2\" }");
    site.start(false);
    let shown = site.stop();
    assert!(lines(&shown).is_empty() && shown.contains("bob@s1, carol@s1") && shown.contains("tidings user add NAME"), "{shown}");
    site.start(true);
    let shown = site.stop();
    let claims = lines(&shown);
    assert_eq!(claims.len(), 2, "{shown}");
    let secret = |claim: &str| claim.split_once('#').unwrap().1.to_owned();
    assert!(claims.iter().all(|claim| !site.log().contains(&secret(claim))), "what goes to a log stays there");
    assert!(!shown.contains("admin1") && !site.log().contains("admin1"), "the words in the file are no credentials");
    site.start(true);
    let again = site.stop();
    assert!(lines(&again).is_empty() && !again.contains("carol@s1"), "{again}");

    // The names are theirs who have the lines, although the server is closed to all others.
    site.start(true);
    let states: Vec<Value> = site.run(&["user", "list", "--json"]).expect(0).objects();
    assert!(states.len() == 2 && states.iter().all(|user| user["state"] == "claimable"), "{states:?}");
    let at = site.one(&["user", "add", "dave"]);
    let at = ["--server", at["address"].as_str().unwrap()];
    // The port is another one now, so the address in the lines is an old one: the option knows better.
    let other = site.register("carol@s1", claims[0], &at).expect(4);
    assert!(other.stderr.contains("not valid"), "bob's is not carol's: {other:?}");
    site.register("erin@s1", claims[0], &at).expect(6);
    site.register("bob@s1", claims[0], &at).expect(0);
    assert!(site.register("bob@s1", claims[0], &[&at[..], &["--profile", "again"]].concat()).code != 0);
    // Another line for carol voids the first.
    let second = site.one(&["user", "add", "carol@s1"]);
    site.register("carol@s1", claims[1], &at).expect(4);
    site.register("carol@s1", &line(&second), &[]).expect(0);
    let list = site.run(&["user", "list"]).expect(0).stdout;
    assert!(list.contains("bob@s1    account                offline  1") && list.contains("dave@s1   kept, not claimed yet"), "{list}");
    site.run(&["user", "add", "bob"]).expect(6);
}

#[test]
fn the_first_invitation_is_shown_to_people_only() {
    let mut site = Site::of("\"registration\": \"invite\"");
    site.start(false);
    let shown = site.stop();
    assert!(lines(&shown).is_empty() && shown.contains("tidings invite new"), "{shown}");
    site.start(true);
    let shown = site.stop();
    assert_eq!(lines(&shown).len(), 1, "{shown}");
    site.start(true);
    let again = site.stop();
    assert!(lines(&again).is_empty() && !again.contains("invite new"), "there is one that is good: {again}");
    // Where everybody may come there is nothing to show.
    let mut open = Site::of("\"registration\": \"open\"");
    open.start(true);
    assert!(!open.stop().contains("invit"));
}

#[test]
fn an_invitation_is_all_that_one_needs() {
    let site = Site::started("\"registration\": \"invite\"");
    let no_code = run(site.command(&["register", "alice@s1", "--password-stdin", "--server", "127.0.0.1:1"]), Some(PASSWORD));
    no_code.expect(7);
    let made = site.run(&["invite", "new", "--uses", "3"]).expect(0);
    assert_eq!(made.stdout.lines().count(), 1, "the line alone can be piped: {made:?}");
    assert!(made.stderr.contains("3 people") && made.stderr.contains("7 days") && made.stderr.contains("--invitation -"), "{made:?}");
    let pass = made.stdout.trim();
    let (public, secret) = pass.split_once('#').unwrap();
    let address = public.split_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let at = ["register", "alice@s1", "--password-stdin", "--server", &address];
    let without = run(site.command(&at), Some(PASSWORD)).expect(6);
    assert!(without.stderr.contains("--invitation"), "it says what is missing: {without:?}");

    // The line alone says where and who the server is; so do code and address, and both can come by standard input.
    assert!(!format!("{:?}", site.register("alice@s1", pass, &[]).expect(0)).contains(secret));
    site.register("bob@s1", &secret.to_uppercase(), &["--server", &address]).expect(0);
    let both = ["register", "carol@s1", "--profile", "carol", "--invitation", "-", "--password-stdin"];
    run(site.command(&both), Some(&format!("{pass}\n{PASSWORD}\n"))).expect(0);
    let used_up = site.register("dave@s1", pass, &[]).expect(4);
    assert!(!used_up.stderr.contains(secret), "{used_up:?}");

    // Settings that say otherwise are not passed over.
    let pass = line(&site.one(&["invite", "new", "--uses", "9"]));
    site.register("dave@s2", &pass, &[]).expect(2);
    let other_key = site.register("dave@s1", &pass, &["--server-key", &"A".repeat(43)]).expect(8);
    assert!(other_key.stderr.contains(&"A".repeat(43)), "{other_key:?}");
    for broken in [&pass[..pass.find('#').unwrap()], "https://s1/", "no code", ""] {
        site.register("dave@s1", broken, &[]).expect(4);
    }
    site.register("dave@s1", &format!("tidings://s1@127.0.0.1:1/{}", pass.rsplit_once('/').unwrap().1), &[]).expect(7);
    site.register("dave@s1", &format!("{pass}\r\n"), &[]).expect(0);
}

#[test]
fn codes_end_with_their_time_or_when_they_are_revoked() {
    let site = Site::started("\"registration\": \"invite\"");
    let long = site.one(&["invite", "new", "--expires", "2w"]);
    let short = site.one(&["invite", "new", "--expires", "1s"]);
    let listed = || site.run(&["invite", "list", "--json"]).expect(0).objects();
    until("the short one has expired", || listed().len() == 1);
    site.register("alice@s1", &line(&short), &[]).expect(4);
    let shown = site.run(&["invite", "list"]).expect(0).stdout;
    assert!(shown.lines().nth(1).is_some_and(|row| row.ends_with("invitation  anybody  1          14 days")), "{shown}");
    assert!(!shown.contains(long["code"].as_str().unwrap()), "nobody can tell what it was");
    let id = long["id"].as_str().unwrap();
    let revoked = site.run(&["invite", "revoke", id]).expect(0).stdout;
    assert!(revoked.contains(id), "{revoked}");
    let again = site.run(&["invite", "revoke", id]).expect(5).stderr;
    assert!(again.contains("tidings invite list"), "{again}");
    site.register("alice@s1", &line(&long), &[]).expect(4);
    let none = site.run(&["invite", "list"]).expect(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("tidings invite new"), "{none:?}");
}

#[test]
fn an_account_begins_anew_or_ends_at_the_operators_word() {
    let site = Site::started("\"registration\": \"open\"");
    site.run(&["user", "reset", "alice"]).expect(5);
    site.run(&["user", "remove", "alice", "--yes"]).expect(5);
    let here = line(&site.one(&["invite", "new"]));
    let first = site.register("alice@s1", &here, &["--json"]).expect(0).objects().remove(0);
    let made = site.one(&["user", "reset", "alice"]);
    assert_eq!((&made["purpose"], &made["user"]), (&"reset".into(), &"alice@s1".into()));
    let listed = site.run(&["invite", "list"]).expect(0).stdout;
    assert!(listed.contains("reset       alice@s1"), "{listed}");
    // Whoever has the line has the account from here on, with other keys; once.
    let again = |pass: &str, profile: &str| {
        std::fs::write(site.folder.path().join("reset"), pass).unwrap();
        run(
            site.command(&["register", "alice@s1", "--json", "--profile", profile, "--password-stdin", "--invitation", "reset"]),
            Some(PASSWORD),
        )
    };
    assert_eq!(again(&here, "thief").code, 6, "an invitation opens nobody's account");
    again(&line(&made), "new").expect(0);
    let me = site.one(&["people", "--profile", "new"]);
    assert!(me["fingerprint"].is_string() && me["fingerprint"] != first["fingerprint"], "{me}");
    assert_eq!(again(&line(&made), "thief").code, 6);

    site.run(&["user", "remove", "alice"]).expect(2);
    let closed = site.one(&["user", "remove", "alice", "--yes"]);
    assert_eq!((&closed["user"], &closed["state"]), (&"alice@s1".into(), &"closed".into()));
    assert!(site.run(&["user", "list"]).expect(0).stdout.contains("alice@s1  closed"));
    for question in [&["user", "add", "alice"][..], &["user", "reset", "alice"], &["user", "remove", "alice", "--yes"]] {
        assert_ne!(site.run(question).code, 0, "{question:?}: it stays closed");
    }
    assert_eq!(again(&here, "late").code, 6, "and nobody gets the name");
}

#[test]
fn peers_are_shown_with_what_is_wrong() {
    let key = "BIpZJZP3i8ZsYQ0WWQmQFkV9lpLrtPT7MfB0lVwPY5E";
    let peers = format!("\"s2\": {{ \"address\": \"127.0.0.1:1\", \"key\": \"{key}\" }}, \"s3\": \"10.13.97.12:5555\"");
    let site = Site::started(&format!("\"mailing_address\": {{ {peers} }}"));
    let listed = || site.run(&["peer", "list", "--json"]).expect(0).objects();
    until("a dial has failed", || listed()[0]["last_error"].is_string());
    let (s2, s3) = (listed().remove(0), listed().remove(1));
    assert_eq!((&s2["name"], &s2["state"], &s2["waiting"]), (&"s2".into(), &"unreachable".into(), &0.into()));
    assert_eq!((&s3["name"], &s3["state"], &s3["last_error"]), (&"s3".into(), &"no_key".into(), &Value::Null));
    let shown = site.run(&["peer", "list"]).expect(0);
    assert!(shown.stdout.contains("Connection refused") && shown.stderr.contains("tidings peer show"), "{shown:?}");
    let site = Site::started("\"registration\": \"open\"");
    assert!(site.run(&["peer", "list"]).expect(0).stderr.contains("mailing_address"));
}

#[test]
fn what_cannot_be_asked_says_what_to_do() {
    let site = Site::of("\"registration\": \"closed\"");
    for question in [&["user", "list"][..], &["user", "add", "bob"], &["invite", "new"], &["invite", "list"], &["peer", "list"]] {
        let ended = site.run(question).expect(7);
        assert!(ended.stderr.contains("tidings server") && ended.stderr.contains("--data"), "{question:?}: {ended:?}");
        assert!(site.run(&[question, &["--json"]].concat()).expect(7).objects()[0]["code"] == 7);
    }
    let mut site = site;
    site.start(false);
    for (question, code, said) in [
        (&["user", "add", "Bob"][..], 6, "local@server"),
        (&["user", "add", "bob@s2"], 6, "this server is s1"),
        (&["user", "add", "public"], 6, "person"),
        (&["invite", "new"], 6, "tidings user add"),
        (&["invite", "new", "--uses", "0"], 2, "1 to 10000"),
        (&["invite", "new", "--expires", "1y"], 2, "7d"),
        (&["invite", "new", "--expires", "0s"], 2, "366 days"),
        (&["invite", "revoke", "nothing"], 5, "tidings invite list"),
        (&["user", "add", "bob", "--address", "http://x"], 2, "--address"),
    ] {
        let ended = site.run(question).expect(code);
        assert!(ended.stderr.contains(said), "{question:?}: {ended:?}");
    }
    // Nobody's folder is looked for by another name.
    site.run(&["user", "list", "--data", "elsewhere"]).expect(7);
}
