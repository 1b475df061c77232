//! The rules that no compiler keeps, as tests over the tree itself. Each rule has a control: a planted breach it must find.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

/// Every Rust file of the workspace's own crates.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["crates", "xtask"] {
        walk(&root().join(folder), &mut found);
    }
    assert!(found.len() > 30, "the walk finds the tree");
    found
}

fn walk(folder: &Path, found: &mut Vec<Source>) {
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source { path: path.strip_prefix(root()).unwrap().display().to_string(), text });
        }
    }
}

fn breaches(sources: &[Source], rule: impl Fn(&Source) -> Option<String>) -> Vec<String> {
    sources.iter().filter_map(|source| rule(source).map(|what| format!("{}: {what}", source.path))).collect()
}

/// A file without its tests, which stand last.
fn shipped(source: &Source) -> &str {
    source.text.split("#[cfg(test)]").next().unwrap_or_default()
}

fn planted(path: &str, text: &str) -> Vec<Source> {
    vec![Source { path: path.into(), text: text.into() }]
}

/// Who depends on whom, by name, as Cargo.lock says: for every platform, for tests and build scripts too.
struct Lock(BTreeMap<String, BTreeSet<String>>);

impl Lock {
    fn read() -> Lock {
        Lock::parse(&std::fs::read_to_string(root().join("Cargo.lock")).unwrap())
    }

    fn parse(text: &str) -> Lock {
        let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in text.split("[[package]]").skip(1) {
            let name = package.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim_matches('"');
            let dependencies = package.split_once("dependencies = [").map_or("", |(_, rest)| rest.split(']').next().unwrap());
            // "name", or "name version" where there is more than one.
            let names = dependencies.lines().filter_map(|line| line.trim().strip_prefix('"')?.split(['"', ' ']).next());
            packages.entry(name.to_owned()).or_default().extend(names.map(str::to_owned));
        }
        Lock(packages)
    }

    fn direct(&self, package: &str) -> &BTreeSet<String> {
        &self.0[package]
    }

    /// Everything that `package` is built from.
    fn all(&self, package: &str) -> BTreeSet<String> {
        let (mut seen, mut ahead) = (BTreeSet::new(), vec![package.to_owned()]);
        while let Some(name) = ahead.pop() {
            ahead.extend(self.0[&name].iter().filter(|next| seen.insert((*next).clone())).cloned());
        }
        seen
    }
}

/// Invariant 1: that the host cannot read what people say is a fact of the build.
#[test]
fn the_server_never_depends_on_e2ee_or_client() {
    let lock = Lock::read();
    let tree = lock.all("tidings-server");
    assert!(!tree.contains("tidings-e2ee") && !tree.contains("tidings-client"));
    assert!(tree.contains("tidings-trust") && lock.all("tidings").contains("tidings-e2ee"), "the control: what is there is seen");
    let planted = Lock::parse(
        "[[package]]\nname = \"tidings-server\"\ndependencies = [\n \"x 1.0.0\",\n]\n[[package]]\nname = \"x\"\ndependencies = [\n \"tidings-e2ee\",\n]\n[[package]]\nname = \"tidings-e2ee\"\n",
    );
    assert!(planted.all("tidings-server").contains("tidings-e2ee"), "the control: also through another crate");
}

/// Invariant 9: front ends know `client` only; the client knows neither a front end nor the server.
#[test]
fn front_ends_know_the_client_only() {
    let lock = Lock::read();
    let binary = lock.direct("tidings");
    assert!(binary.contains("tidings-client"));
    assert!(!binary.contains("tidings-e2ee") && !binary.contains("tidings-trust"), "{binary:?}");
    let client = lock.all("tidings-client");
    assert!(!client.contains("tidings") && !client.contains("tidings-server"));
}

/// What the program is built from on this machine; the lock file has what browsers load as well.
fn built_in() -> BTreeSet<String> {
    let arguments = ["tree", "--offline", "--package", "tidings", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = std::process::Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).unwrap().lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// RSA private keys by the `rsa` crate are open to timing (RUSTSEC-2023-0071), so it has none: in browsers it sees public keys alone. One
/// TLS, one SQLite, one of each.
#[test]
fn nothing_banned_is_built_in() {
    let tree = built_in();
    assert!(tree.contains("tidings-trust") && tree.contains("aws-lc-rs"), "the control: what is there is seen");
    for banned in ["rsa", "openssl", "openssl-sys", "native-tls", "leptos"] {
        assert!(!tree.contains(banned), "{banned} is in the tree");
    }
    for source in sources().iter().filter(|source| source.text.contains("rsa::RsaPrivateKey")) {
        assert!(source.path.starts_with("xtask/tests/"), "{} has RSA private keys in the rsa crate's hands", source.path);
    }
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for single in ["rustls", "tungstenite", "rusqlite", "aws-lc-sys", "ed25519-dalek", "sha2", "aes-gcm", "opaque-ke"] {
        assert_eq!(lock.matches(&format!("\nname = \"{single}\"\n")).count(), 1, "{single} should be there once");
    }
}

/// Invariant 2: no I/O and no clock in what must be pure.
fn impure(source: &Source) -> Option<String> {
    const PURE: [&str; 3] = ["crates/proto/src/", "crates/trust/src/", "crates/e2ee/src/"];
    const FORBIDDEN: [&str; 9] =
        ["std::net", "std::fs", "std::env", "std::process", "std::thread", "SystemTime", "Instant", "tokio::", "println!"];
    if !PURE.iter().any(|folder| source.path.starts_with(folder)) {
        return None;
    }
    let code = shipped(source);
    FORBIDDEN
        .iter()
        .find(|word| code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(*word)))
        .map(|word| format!("uses {word}"))
}

#[test]
fn proto_trust_and_e2ee_do_no_io_and_read_no_clock() {
    assert_eq!(breaches(&sources(), impure), [""; 0]);
    let breach = planted("crates/proto/src/x.rs", "use std::time::SystemTime;\n");
    assert_eq!(breaches(&breach, impure), ["crates/proto/src/x.rs: uses SystemTime"]);
}

/// Invariant 3: links reach what lasts through `logs` alone; `run` opens the store and hands it over. SQL stays in its own module.
fn past_the_door(source: &Source) -> Option<String> {
    let inside = source.path.strip_prefix("crates/server/src/")?;
    let is_under = |folder: &str| inside == format!("{folder}.rs") || inside.starts_with(&format!("{folder}/"));
    let says = |word: &str| shipped(source).contains(word);
    if says("rusqlite") && !is_under("store/sqlite") {
        return Some("speaks SQL".into());
    }
    let may = ["store", "bus", "logs", "run", "lib"].iter().any(|part| is_under(part));
    (!may && (says("crate::store") || says("crate::bus"))).then(|| "goes past `logs`".into())
}

#[test]
fn nothing_lasting_is_touched_past_the_logs() {
    assert_eq!(breaches(&sources(), past_the_door), [""; 0]);
    assert_eq!(breaches(&planted("crates/server/src/api/x.rs", "use crate::store::Store;\n"), past_the_door).len(), 1);
    assert_eq!(breaches(&planted("crates/server/src/logs/x.rs", "use rusqlite::Row;\n"), past_the_door).len(), 1);
}

const MOST_LINES: usize = 600;

fn too_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > MOST_LINES).then(|| format!("{lines} lines; a file of more than {MOST_LINES} is asking to be two"))
}

#[test]
fn no_file_is_too_long() {
    assert_eq!(breaches(&sources(), too_long), [""; 0]);
    assert_eq!(breaches(&planted("x.rs", &"//\n".repeat(MOST_LINES)), too_long).len(), 0);
    assert_eq!(breaches(&planted("x.rs", &"//\n".repeat(MOST_LINES + 1)), too_long).len(), 1);
}

fn unintroduced(source: &Source) -> Option<String> {
    (!source.text.starts_with("//! ")).then(|| "does not open with `//!` and what it is".into())
}

#[test]
fn every_file_says_what_it_is() {
    assert_eq!(breaches(&sources(), unintroduced), [""; 0]);
    assert_eq!(breaches(&planted("x.rs", "use std::fmt;\n"), unintroduced).len(), 1);
}

fn unfinished(source: &Source) -> Option<String> {
    // Spelt in two halves, or this file would find itself.
    let marks = [["todo", "!("], ["unimplemented", "!("], ["dbg", "!("], ["#[ign", "ore"], ["FIX", "ME"], ["assert!(", "true)"]];
    // A test may wait for a program that not everybody has; `cargo xtask test` runs it where that is there.
    let needs = |what: &str| ["#[ign", "ore = \"needs ", what].concat();
    let text = ["node", "python", "network namespaces"].iter().fold(source.text.clone(), |text, what| text.replace(&needs(what), ""));
    marks.iter().map(|halves| halves.concat()).find(|mark| text.contains(mark))
}

#[test]
fn nothing_is_left_unfinished() {
    assert_eq!(breaches(&sources(), unfinished), [""; 0]);
    assert_eq!(breaches(&planted("x.rs", &["fn f() { todo", "!() }"].concat()), unfinished).len(), 1);
    assert_eq!(breaches(&planted("x.rs", &["#[ign", "ore = \"it fails\"]"].concat()), unfinished).len(), 1);
}

/// Every crate takes the workspace's lints, `unsafe_code = "forbid"` first among them.
#[test]
fn every_crate_takes_the_lints() {
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    let mut manifests = vec![root().join("xtask/Cargo.toml")];
    manifests.extend(std::fs::read_dir(root().join("crates")).unwrap().map(|crate_| crate_.unwrap().path().join("Cargo.toml")));
    assert!(manifests.len() >= 8);
    for manifest in manifests {
        let text = std::fs::read_to_string(&manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{}", manifest.display());
        assert!(text.contains("license.workspace = true"), "{}", manifest.display());
    }
}

/// What the README tells a newcomer to run is what the gate runs.
#[test]
fn the_gate_runs_the_command_of_the_readme() {
    let gate = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(gate.contains("cargo xtask test") && readme.contains("cargo xtask test"));
}

/// The tests that a table names exist: those are the words of two underscores and more.
fn all_exist(table: &str, at_least: usize) {
    let sources = sources();
    let named: Vec<&str> = table.split('`').skip(1).step_by(2).filter(|word| word.matches('_').count() >= 2).collect();
    assert!(named.len() >= at_least, "each row names its checks: {named:?}");
    for name in named {
        let function = name.rsplit("::").next().unwrap();
        assert!(sources.iter().any(|source| source.text.contains(&format!("fn {function}("))), "there is no test {name}");
    }
}

/// Every test that the architecture names as the check behind an invariant exists.
#[test]
fn every_check_that_the_architecture_names_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, invariants) = text.split_once("## Invariants").expect("ARCHITECTURE.md has a part on invariants");
    all_exist(invariants.split("\n## ").next().unwrap(), 10);
}

/// Every row of a table in a document names tests, and they exist. `wanted` are the rows that there must be: those whose first cell
/// is not empty; the others go on with the one above.
fn every_row_has_a_test(document: &str, wanted: usize) {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    let begun = rows.iter().filter(|row| !row.starts_with("| |")).count();
    assert_eq!(begun, wanted, "{document}");
    for row in &rows {
        all_exist(row, 1);
    }
}

/// So does every test that is to show that a mistake of others is not made here: the brief's table has 18 rows.
#[test]
fn every_mistake_of_others_has_a_test() {
    every_row_has_a_test("docs/mistakes.md", 18);
}

/// And those that show what becomes of hostile parties: there are 18 things that they do.
#[test]
fn everything_that_hostile_parties_do_has_a_test() {
    every_row_has_a_test("docs/hostile.md", 18);
}
