//! Files by commands: byte for byte what was sent, in the folder that was chosen, over nothing that was there.

use crate::home::{Home, until};
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// The numbers of the files in a conversation, the newest last.
fn numbers(home: &Home, who: &str, of: &str) -> Vec<String> {
    let read = home.run(who, &["read", of, "--json"]).expect(0).objects();
    read.iter().filter(|message| message["file"].is_object()).map(|message| message["id"].to_string()).collect()
}

fn list(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_arrives_byte_for_byte() {
    let home = Home::pair();
    home.register("alice@s1");
    home.register("bob@s2");
    // Every byte, at the largest size; and nothing at all.
    let largest: Vec<u8> = (0..32_768u32).map(|n| (n ^ n >> 8) as u8).collect();
    for (name, bytes) in [("largest.bin", &largest[..]), ("empty", b"")] {
        std::fs::write(home.path(name), bytes).unwrap();
        home.run("alice", &["file", "send", "bob@s2", name, "as", "promised", "--wait=server"]).expect(0);
    }
    until("both are there", || numbers(&home, "bob", "alice@s1").len() == 2);
    let shown = home.run("bob", &["read", "alice@s1"]).expect(0).stdout;
    let ids = numbers(&home, "bob", "alice@s1");
    assert!(shown.contains("alice@s1: as promised\n          [file] largest.bin, 32.7 kB — tidings file save "), "{shown}");
    std::fs::create_dir(home.path("in")).unwrap();
    // Once by itself, once beside `tail`, which runs in another folder.
    let saved = home.run("bob", &["file", "save", &ids[0], "--to", "in", "--json"]).expect(0).objects().remove(0);
    let tail = home.tail("bob");
    home.run("bob", &["file", "save", &ids[0], "--to", "in"]).expect(0);
    home.run("bob", &["file", "save", &ids[1], "--to", "in"]).expect(0);
    tail.end();
    assert_eq!((&saved["size"], &saved["name"], &saved["id"].to_string()), (&32_768.into(), &"largest.bin".into(), &ids[0]));
    assert_eq!(list(&home.path("in")), BTreeSet::from(["empty", "largest.bin", "largest (2).bin"].map(String::from)));
    for (name, bytes) in [("largest.bin", &largest[..]), ("largest (2).bin", &largest), ("empty", b"")] {
        assert_eq!(std::fs::read(home.path("in").join(name)).unwrap(), bytes);
    }
    let mode = std::fs::metadata(saved["path"].as_str().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    // What is no file, or nowhere.
    let sent = home.run("alice", &["send", "bob@s2", "no file", "--json"]).expect(0).objects().remove(0);
    home.run("alice", &["file", "save", &sent["id"].to_string()]).expect(2);
    home.run("alice", &["file", "save", "99999"]).expect(5);
    home.run("bob", &["file", "save", &ids[0], "--to", "nowhere"]).expect(3);
}

/// Names as hostile as a file system lets a sender have them, through two servers and into a folder with traps. What a hostile
/// client can put into a message beyond these is in `save`'s own tests.
#[test]
fn a_senders_name_never_leaves_the_folder() {
    let home = Home::open();
    home.register("alice");
    home.register("bob");
    let out = home.path("out");
    std::fs::create_dir(&out).unwrap();
    let names: [&[u8]; 9] =
        [b".bashrc", b"-rf", b"..\\..\\x", b"a\nb", b"\x1b[2J", "\u{202e}txt.exe".as_bytes(), b"CON", b"\xff\xfe", b"trap"];
    for name in names {
        std::fs::write(out.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
        let mut send = home.by("alice", &["file", "send", "bob@s1"]);
        send.arg(out.join(std::ffi::OsStr::from_bytes(name)));
        crate::home::run(send, None).expect(0);
    }
    let folder = home.path("in");
    std::fs::create_dir(&folder).unwrap();
    symlink(home.path("followed"), folder.join("trap")).unwrap();
    until("all are there", || numbers(&home, "bob", "alice@s1").len() == names.len());
    let before = list(home.folder.path());
    for id in numbers(&home, "bob", "alice@s1") {
        home.run("bob", &["file", "save", &id, "--to", "in"]).expect(0);
    }
    let expected = ["_CON", "_[2J", "_txt.exe", "a_b", "bashrc", "rf", "trap", "trap (2)", "x", "file_\u{fffd}\u{fffd}"];
    assert_eq!(list(&folder), BTreeSet::from(expected.map(String::from)));
    assert_eq!(list(home.folder.path()), before, "nothing beside it");
    let shown = home.run("bob", &["read", "alice@s1"]).expect(0).stdout;
    assert!(!shown.chars().any(|c| c == '\u{202e}' || c.is_control() && c != '\n'), "{shown:?}");
}
