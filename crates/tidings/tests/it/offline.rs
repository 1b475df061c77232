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
        &["send", "", "hi"],
        &["send", "Bob@s1", "hi"],
        &["send", "a@s1@s2", "hi"],
        &["send", "public", ""],
        &["send", "public", " \n"],
        &["send", "public", "hi", "--wait", "soon"],
        &["read", "no@body@here"],
        &["tail", "@"],
        &["room"],
        &["room", "new"],
        &["room", "invite", "Plans"],
        &["room", "invite", "Plans", "bob"],
        &["room", "role", "Plans", "bob@s1", "king"],
        &["file", "send", "public", "/etc/hostname"],
        &["file", "save", "plan.txt"],
        &["erase", "it"],
        &["verify", "bob"],
        &["verify", "bob@s1", "--matches", "--doubt"],
        &["devices", "revoke"],
        &["rotate", "--password", "secret"],
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
    for verb in [
        &["people"][..],
        &["rooms"],
        &["room", "new", "Plans"],
        &["room", "members", "Plans"],
        &["tail"],
        &["read", "public"],
        &["send", "public", "hi"],
        &["send", "Plans", "hi"],
        &["file", "save", "1"],
        &["erase", "1"],
        &["verify", "bob@s1"],
        &["devices"],
        &["unlock", "--password-stdin"],
        &["logout", "--yes"],
    ] {
        let (code, said) = tried(verb, Some("secret"));
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
fn a_file_that_is_none_or_too_large_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let sent = |name: &str| {
        let mut command = tidings(folder.path());
        command.args(["file", "send", "bob@s1", name]);
        run(command, None)
    };
    std::fs::write(folder.path().join("32768"), vec![b'x'; 32_768]).unwrap();
    std::fs::write(folder.path().join("32769"), vec![b'x'; 32_769]).unwrap();
    assert!(sent("32769").expect(2).stderr.contains("32 KiB"));
    assert!(sent("32768").expect(3).stderr.contains("register"), "its size is no obstacle");
    for missing in ["missing", ".", "/dev/zero"] {
        assert!(sent(missing).expect(3).stderr.contains(missing));
    }
}

/// `cargo xtask man` and `completions` end here.
#[test]
fn pages_are_written_where_they_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    for (what, file) in [("man", "tidings-room-invite.1"), ("completions", "tidings.bash")] {
        let mut command = tidings(folder.path());
        command.args(["pages", what, "made"]);
        run(command, None).expect(0);
        assert!(folder.path().join("made").join(file).exists());
    }
    std::fs::write(folder.path().join("file"), "").unwrap();
    let mut command = tidings(folder.path());
    command.args(["pages", "man", "file"]);
    run(command, None).expect(3);
}

#[test]
fn help_is_there_and_lists_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    for (verb, expected) in [(&[][..], "Talking:"), (&["help"], "Talking:"), (&["room"], "invite"), (&["help", "room", "invite"], "--role")]
    {
        let mut command = tidings(folder.path());
        command.args(verb);
        if verb.first() != Some(&"help") {
            command.arg("--help");
        }
        let help = run(command, None).expect(0).stdout;
        assert!(help.contains("Usage: tidings") && help.contains(expected), "{verb:?}: {help}");
        assert!(!help.contains('\u{1b}'), "no colours in a pipe");
    }
}
