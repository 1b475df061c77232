//! Five hundred names by people who mean no good, into a folder full of traps.

use super::*;
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};

/// What is put at the beginning, in the middle, at the end and alone.
const PIECES: [&str; 61] = [
    "..",
    ".",
    "/",
    "\\",
    "../",
    "..\\",
    "../../../../etc/passwd",
    "/etc/cron.d/job",
    "C:\\Windows\\x",
    "\\\\host\\share\\x",
    "~",
    "~root/",
    "$HOME/",
    "-rf",
    "--",
    "\0",
    "\n",
    "\r\n",
    "\t",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{9b}31m",
    "\u{202e}",
    "\u{202d}",
    "\u{2066}",
    "\u{200b}",
    "\u{200d}",
    "\u{feff}",
    "\u{ad}",
    "\u{e0041}",
    "\u{2028}",
    "\u{2800}",
    "\u{3164}",
    "\u{fffe}",
    "\u{fdd0}",
    " ",
    "   ",
    "\u{a0}",
    "\u{3000}",
    "⁄",
    "∕",
    "／",
    "＼",
    "．．",
    "‥",
    "․․",
    "꞉",
    "：",
    "<",
    ">",
    ":",
    "\"",
    "|",
    "?",
    "*",
    "%2e%2e%2f",
    "..%c0%af",
    "CON",
    "e\u{301}",
    "👩‍👧",
    "::$DATA",
];

/// Names that are special somewhere, in some spelling.
const SPECIAL: [&str; 32] = [
    "CON",
    "con",
    "Con.txt",
    "PRN",
    "AUX",
    "aux.tar.gz",
    "NUL",
    "nul .txt",
    "COM1",
    "com9.log",
    "COM0",
    "COM¹",
    "LPT1",
    "lpt³.txt",
    "CONIN$",
    "CONOUT$",
    "CLOCK$",
    ".bashrc",
    ".ssh",
    "...",
    "....",
    "name.",
    "name. . .",
    "name ",
    "trap",
    "link",
    "dangling",
    "folder",
    "escape",
    "plan.txt",
    "",
    " ",
];

fn hostile() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = SPECIAL.iter().map(ToString::to_string).collect();
    for piece in PIECES {
        names.insert(piece.into());
        names.insert(format!("{piece}x.txt"));
        names.insert(format!("x{piece}y.txt"));
        names.insert(format!("x.txt{piece}"));
        names.insert(format!("{piece}{piece}{piece}"));
        names.insert(format!("a/{piece}/trap"));
        names.insert(format!("{piece}.txt"));
        names.insert(piece.repeat(255));
    }
    for long in 118..=124 {
        names.insert(format!("{}.txt", "n".repeat(long)));
        names.insert("é".repeat(long));
        names.insert(format!("n.{}", "e".repeat(long)));
    }
    names
}

/// What every name must be, said in another way than the code says it.
fn is_one_harmless_name(name: &str) -> bool {
    let components: Vec<_> = Path::new(name).components().collect();
    let is_one = matches!(components[..], [std::path::Component::Normal(one)] if one == name);
    let forbidden =
        "/\\<>:\"|?*⁄∕／＼：．․‥\0\n\r\t\u{1b}\u{7f}\u{9b}\u{202e}\u{202d}\u{2066}\u{200b}\u{feff}\u{ad}\u{e0041}\u{2028}\u{3164}\u{a0}";
    let stem = name.split('.').next().unwrap().trim().to_ascii_lowercase();
    let device = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$", "com0", "com1", "com9", "com¹", "lpt1", "lpt³"];
    is_one
        && name.len() <= 120
        && !name.contains(|c: char| forbidden.contains(c) || c.is_control())
        && !name.starts_with(['.', ' ', '-', '~'])
        && !name.ends_with(['.', ' '])
        && name.chars().any(char::is_alphanumeric)
        && !device.contains(&&*stem)
}

#[test]
fn five_hundred_hostile_names_leave_everything_else_as_it_was() {
    let names = hostile();
    assert!(names.len() >= 500, "{}", names.len());
    let around = tempfile::tempdir().unwrap();
    let outside = around.path().join("outside");
    std::fs::write(&outside, "outside").unwrap();
    let folder = around.path().join("chosen");
    std::fs::create_dir(&folder).unwrap();
    // Traps under names that hostile ones come to.
    std::fs::write(folder.join("trap"), "trap").unwrap();
    std::fs::create_dir(folder.join("folder")).unwrap();
    symlink(&outside, folder.join("link")).unwrap();
    symlink(&outside, folder.join("x.txt")).unwrap();
    symlink(around.path().join("made by following"), folder.join("dangling")).unwrap();
    symlink(around.path(), folder.join("escape")).unwrap();
    let traps: BTreeSet<_> = list(&folder);

    let mut saved = BTreeSet::new();
    for (number, called) in names.iter().enumerate() {
        let bytes = format!("file {number}").into_bytes();
        let path = save(&folder, called, &bytes).unwrap_or_else(|error| panic!("{called:?}: {error}"));
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        assert!(is_one_harmless_name(&name), "{called:?} became {name:?}");
        assert!(!traps.contains(&name), "{called:?} became {name:?}, which was there");
        assert!(saved.insert(name), "{called:?} became {path:?} a second time");
        let made = std::fs::symlink_metadata(&path).unwrap();
        assert!(made.is_file() && made.permissions().mode() & 0o7777 == 0o600, "{path:?}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    assert_eq!(list(&folder), saved.union(&traps).cloned().collect());
    assert_eq!(list(around.path()), BTreeSet::from(["chosen".into(), "outside".into()]), "nothing beside the folder");
    assert_eq!(list(&folder.join("folder")), BTreeSet::new(), "nothing below it");
    assert_eq!(std::fs::read(&outside).unwrap(), b"outside");
    assert_eq!(std::fs::read(folder.join("trap")).unwrap(), b"trap");
}

fn list(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn names_that_are_good_stay() {
    for good in [
        "plan.txt",
        "Grüße aus Köln.pdf",
        "日本語.tar.gz",
        "a b (1).md",
        "می‌خواهم.txt",
        "O'Brien & co.xlsx",
        "v1.2",
        "README",
        "#1 [final], 50%.odt",
    ] {
        assert_eq!(harmless(good), good);
    }
}

#[test]
fn what_is_no_name_becomes_one() {
    for (called, name) in [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\bob\\plan.txt", "plan.txt"),
        ("folder/", "folder"),
        (".bashrc", "bashrc"),
        ("-rf *", "rf _"),
        ("plan\u{202e}txt.exe", "plan_txt.exe"),
        ("a\u{a0}\u{3000}b", "a b"),
        ("con", "_con"),
        ("Com7.tar.gz", "_Com7.tar.gz"),
        ("nul .txt", "_nul.txt"),
        ("comma.txt", "comma.txt"),
        ("COM10", "COM10"),
        ("..", "file"),
        ("", "file"),
        ("+", "file_+"),
    ] {
        assert_eq!(harmless(called), name, "{called:?}");
    }
}

#[test]
fn a_long_name_is_cut_between_letters_and_keeps_its_ending() {
    let long = |n: usize| format!("{}.txt", "n".repeat(n - 4));
    assert_eq!(harmless(&long(119)), long(119));
    assert_eq!(harmless(&long(120)), long(120));
    assert_eq!(harmless(&long(121)), long(120));
    assert_eq!(harmless(&"é".repeat(61)), "é".repeat(60));
    assert_eq!(harmless(&format!("x{}", "é".repeat(60))), format!("x{}", "é".repeat(59)), "no half letter");
    assert_eq!(harmless(&format!("n.{}", "e".repeat(200))).len(), 120, "so long an ending is none");
}

#[test]
fn what_is_there_stays_and_the_next_gets_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    for expected in ["plan.txt", "plan (2).txt", "plan (3).txt"] {
        assert_eq!(name(save(folder.path(), "plan.txt", expected.as_bytes()).unwrap()), expected);
        assert_eq!(std::fs::read(folder.path().join(expected)).unwrap(), expected.as_bytes());
    }
    let long = format!("{}.txt", "n".repeat(200));
    save(folder.path(), &long, b"one").unwrap();
    let second = name(save(folder.path(), &long, b"two").unwrap());
    assert!(second.ends_with("n (2).txt") && second.len() == 120, "{second}");
}

#[test]
fn a_folder_that_is_none_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let missing = save(&folder.path().join("missing"), "a", b"").unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert_eq!(save(&folder.path().join("file"), "a", b"").unwrap_err().kind(), std::io::ErrorKind::NotADirectory);
    assert_eq!(list(folder.path()), BTreeSet::from(["file".into()]));
}

#[test]
fn a_thousand_files_of_one_name_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    for number in 2..MOST_ALIKE {
        std::fs::write(folder.path().join(format!("a ({number})")), "").unwrap();
    }
    std::fs::write(folder.path().join("a"), "").unwrap();
    assert_eq!(save(folder.path(), "a", b"").unwrap().file_name().unwrap(), "a (1000)");
    assert_eq!(save(folder.path(), "a", b"").unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
}
