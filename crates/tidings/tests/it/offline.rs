//! What needs no server: refusals of bad input, each with its exit code and a sentence that helps.

use crate::home::{run, tidings};

/// A command in an empty folder.
fn tried(arguments: &[&str], stdin: Option<&str>) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tidings(folder.path());
    command.args(arguments);
    let ended = run(command, stdin);
    assert_eq!(ended.stdout, "", "{arguments:?}");
    (ended.code, ended.stderr)
}

#[test]
fn bad_arguments_end_with_2() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["send"],
        &["send", "bob"],
        &["send", "bob", "hi"],
        &["send", "Bob@s1", "hi"],
        &["send", "a@s1@s2", "hi"],
        &["send", "public", ""],
        &["send", "public", " \n"],
        &["read", "nobody"],
        &["tail", "nobody"],
        &["register", "alice"],
        &["register", "Alice@s1"],
        &["register", "alice@s1", "--password", "secret"],
        &["server", "--name", "s1", "--listen", "nowhere"],
        &["server", "--name", "S1"],
    ] {
        assert_eq!(tried(arguments, None).0, 2, "{arguments:?}");
    }
}

#[test]
fn no_empty_and_no_absent_password_gets_anywhere() {
    for verb in ["register", "login"] {
        let (code, said) = tried(&[verb, "alice@s1"], None);
        assert_eq!(code, 4);
        assert!(said.contains("--password-stdin"), "it says how: {said}");
        for empty in ["", "\n", "\r\n", "\nsecond line"] {
            assert_eq!(tried(&[verb, "alice@s1", "--password-stdin"], Some(empty)).0, 4, "{empty:?}");
        }
        assert_eq!(tried(&[verb, "alice@s1", "--password-file", "/dev/null"], None).0, 4);
        assert_eq!(tried(&[verb, "alice@s1", "--password-file", "missing"], None).0, 3);
        let folder = tempfile::tempdir().unwrap();
        let mut command = tidings(folder.path());
        command.args([verb, "alice@s1"]).env("TIDINGS_PASSWORD", "");
        assert_eq!(run(command, None).code, 4);
    }
}

#[test]
fn what_is_not_configured_ends_with_3() {
    assert_eq!(tried(&["server", "--setup", "missing.json"], None).0, 3);
    for verb in [&["people"][..], &["tail"], &["read", "public"], &["send", "public", "hi"]] {
        let (code, said) = tried(verb, None);
        assert_eq!(code, 3, "{verb:?}");
        assert!(said.contains("register"), "it says what to do: {said}");
    }
    let folder = tempfile::tempdir().unwrap();
    for (content, said) in [("{", "setup.json"), ("{}", "server_name"), ("{\"server_name\": \"s1\", \"sever\": 1}", "sever")] {
        std::fs::write(folder.path().join("setup.json"), content).unwrap();
        let mut command = tidings(folder.path());
        command.arg("server");
        let ended = run(command, None).expect(3);
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
    std::fs::write(folder.path().join("client_setup.json"), "{\"server_ip\": 7}").unwrap();
    let mut command = tidings(folder.path());
    command.args(["register", "alice@s1"]);
    assert!(run(command, None).expect(3).stderr.contains("server_ip"));
}

#[test]
fn nobody_at_the_address_ends_with_7() {
    // Nothing listens on port 1 of a machine's own loopback.
    let (code, said) = tried(&["register", "alice@s1", "--server", "127.0.0.1:1", "--password-stdin"], Some("secret"));
    assert_eq!(code, 7, "{said}");
    assert!(said.contains("127.0.0.1:1") && !said.contains("secret"), "{said}");
}

#[test]
fn an_error_is_an_object_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tidings(folder.path());
    command.args(["people", "--json"]);
    let ended = run(command, None).expect(3);
    let error = &ended.objects()[0];
    assert_eq!((&error["type"], &error["code"]), (&"error".into(), &3.into()));
    assert_eq!(ended.stderr, "");
}

#[test]
fn the_line_for_other_operators_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let show = |more: &[&str]| {
        let mut command = tidings(folder.path());
        command.args(["peer", "show", "--data", "data"]).args(more);
        run(command, None).expect(0).stdout
    };
    let line = show(&["--name", "s1", "--address", "10.0.0.1"]);
    assert_eq!(line, show(&["--name", "s1", "--address", "10.0.0.1:5555"]), "the key persists, and the port is filled in");
    // It is pasted into another server's setup.json as it stands, and understood there.
    let setup = format!("{{ \"server_name\": \"s2\", \"mailing_address\": {{ {line} }} }}");
    let file = folder.path().join("setup.json");
    std::fs::write(&file, setup).unwrap();
    let read = tidings_server::setup::load(&file).unwrap();
    assert_eq!((read.peers[0].name.as_str(), read.peers[0].address.as_str()), ("s1", "10.0.0.1:5555"));
    assert!(read.peers[0].key.is_some());
}

#[test]
fn help_is_there_for_every_command() {
    for verb in [
        &[][..],
        &["server"],
        &["register"],
        &["login"],
        &["people"],
        &["send"],
        &["tail"],
        &["read"],
        &["peer"],
        &["peer", "show"],
        &["demo"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = tidings(folder.path());
        command.args(verb).arg("--help");
        let help = run(command, None).expect(0).stdout;
        assert!(help.contains("Usage: tidings"), "{verb:?}");
        assert!(help.lines().all(|line| line.chars().count() <= 140), "{verb:?}: lines that fit a screen\n{help}");
    }
}
