//! Configuration as an operator meets it: `tidings config`, and servers with a setup file, without one, and with a wrong one.

use crate::home::{Ended, run, tidings, until};
use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command};
use tempfile::TempDir;

/// The brief's two files, word for word.
const SETUP: &str = r#"{ "server_name": "s3",
  "admin": { "client1@s3": "admin1", "client2@s3": "admin2", "client3@s3": "admin3", "client4@s3": "admin4" },
  "mailing_address": { "s8": "10.13.97.12:5555", "s4": "10.13.101.145:5555", "s1": "10.13.84.131:5555" } }
"#;
const CLIENT_SETUP: &str = r#"{ "server_ip": "your.server.ip.address" }
"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn command(folder: &Path, line: &str) -> Command {
    let mut command = tidings(folder);
    command.args(line.split(' '));
    command
}

fn said(folder: &TempDir, line: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = command(folder.path(), line);
    command.envs(variables.iter().copied());
    run(command, None)
}

/// What it prints to either stream, and its exit code.
fn shown(ended: &Ended) -> String {
    format!("{}{}[{}]", ended.stdout, ended.stderr, ended.code)
}

#[test]
fn the_briefs_two_files_are_fine_and_the_way_out_is_said() {
    let folder = folder(&[("setup.json", SETUP), ("client_setup.json", CLIENT_SETUP)]);
    let checked = said(&folder, "config check", &[]).expect(0);
    insta::assert_snapshot!(shown(&checked), @r#"
    warning: setup.json:2:12: admin: the words beside the names are not used and should be deleted: write "" in the place of each
    warning: setup.json:3:24: mailing_address.s8: no key, so s8 is neither dialled nor let in. Run `tidings peer show` on s8, and paste the line that it prints here
    warning: setup.json:3:50: mailing_address.s4: no key, so s4 is neither dialled nor let in. Run `tidings peer show` on s4, and paste the line that it prints here
    warning: setup.json:3:78: mailing_address.s1: no key, so s1 is neither dialled nor let in. Run `tidings peer show` on s1, and paste the line that it prints here
    setup.json: no problems, 4 warnings
    client_setup.json: no problems, no warnings
    [0]
    "#);
}

#[test]
fn every_problem_is_told_at_once_and_the_exit_code_says_so() {
    let wrong = "{ \"sever_name\": \"s1\",\n  \"listen\": \"nowhere\", // comments\n  \"limits\": { \"guests\": 0 } }";
    let folder = folder(&[("wrong.json", wrong)]);
    let checked = said(&folder, "config check --setup wrong.json", &[]).expect(3);
    insta::assert_snapshot!(shown(&checked), @r#"
    problem: wrong.json:1:3: sever_name: there is no such key; did you mean "server_name"?
    problem: wrong.json:2:13: listen: an IP address of this machine and a port are expected, such as 0.0.0.0:5555 for all addresses or 127.0.0.1:5555 for this machine alone
    problem: wrong.json:3:25: limits.guests: a whole number of at least 1 is expected
    tidings: wrong.json: 3 problems, no warnings
    [3]
    "#);
    let objects = said(&folder, "config check --json --setup wrong.json", &[]).expect(3).objects();
    let kinds: Vec<&str> = objects.iter().map(|object| object["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["problem", "problem", "problem", "error"]);
    assert_eq!((&objects[1]["key"], &objects[1]["origin"]["line"]), (&"listen".into(), &2.into()));
    // Neither a server nor `show` goes on with any of it.
    for line in ["server --data d --setup wrong.json", "config show --setup wrong.json", "peer show --data d --setup wrong.json"] {
        let refused = said(&folder, line, &[]).expect(3);
        assert_eq!((refused.stderr.lines().count(), &*refused.stdout), (3, ""), "{refused:?}");
    }
    assert!(!folder.path().join("d").exists());
}

#[test]
fn mistakes_in_client_setup_json_are_told_with_their_place() {
    let mut told = String::new();
    for text in [
        "",
        "{}",
        "{ \"server_ip\": \"x\"\n",
        "{\n \"server_ip\": null }",
        "{ \"server_ip\": 5 }",
        "{ \"server_ip\": \"\" }",
        "{ \"server_ip\": \"https://x\" }",
        "{ \"server_up\": \"x\" }",
        "{ \"server_ip\": \"x\", \"password\": \"x\" }",
        "{ \"server_ip\": \"x\",\n\"server_ip\": \"y\" }",
        "{ \"server_ip\": \"x\", \"server_name\": \"S1\" }",
        "{ \"server_ip\": \"x\", \"server_key\": \"abc\" }",
        "{ \"server_ip\": \"x\", \"mailing_address\": {} }",
    ] {
        let folder = folder(&[("client_setup.json", text)]);
        let refused = said(&folder, "register alice@s1 --password-stdin", &[]).expect(3);
        told += &format!("{text}\n{}\n", refused.stderr);
    }
    insta::assert_snapshot!(told);
}

#[test]
fn unknown_variables_are_warned_of() {
    let variables = [
        ("TIDINGS_LISTN", "127.0.0.1"),
        ("TIDINGS_SERVER_IP", "10.0.0.1"),
        ("TIDINGS_MAILING_ADDRESS", "s2"),
        ("TIDINGS_GUESTS", "7"),
        ("TIDINGS_PASWORD", "do not show this"),
        ("TIDINGS_FOO", "x"),
        ("TIDINGS_LOG", "warn"),
    ];
    let folder = folder(&[]);
    let checked = said(&folder, "config check", &variables).expect(0);
    insta::assert_snapshot!(shown(&checked), @r"
    warning: TIDINGS_FOO: there is no such variable
    warning: TIDINGS_GUESTS: there is no such variable; did you mean TIDINGS_LIMITS_GUESTS?
    warning: TIDINGS_LISTN: there is no such variable; did you mean TIDINGS_LISTEN?
    warning: TIDINGS_MAILING_ADDRESS: this has no effect: it can be said in setup.json only
    warning: TIDINGS_PASWORD: there is no such variable; did you mean TIDINGS_PASSWORD?
    warning: TIDINGS_SERVER_IP: there is no such variable; did you mean TIDINGS_CLIENT_SERVER_IP?
    no setup.json in this folder: no problems, no warnings
    environment: 6 warnings
    [0]
    ");
    let logged = said(&folder, "read public --wait 0", &variables[..1]);
    assert!(logged.stderr.contains("did you mean TIDINGS_LISTEN?"), "every command says it: {logged:?}");
}

#[test]
fn each_setting_is_shown_with_where_it_comes_from() {
    let text = "{ \"server_name\": \"s1\", \"listen\": \"127.0.0.1:1\", \"limits\": { \"guests\": 7 },\n  \"mailing_address\": { \"s2\": \"h\" }, \"admin\": { \"alice@s1\": \"\" } }";
    let folder = folder(&[("setup.json", text), ("client_setup.json", "{ \"server_ip\": \"::1\" }")]);
    let variables = [("TIDINGS_LISTEN", "127.0.0.1:2"), ("TIDINGS_DATA", "here"), ("TIDINGS_CLIENT_SERVER_NAME", "s1")];
    let ended = said(&folder, "config show --origin --listen 127.0.0.1:3", &variables).expect(0);
    insta::assert_snapshot!(shown(&ended));
    let objects = said(&folder, "config show --origin --json --setup setup.json", &variables).expect(0).objects();
    let of = |key: &str| objects.iter().find(|object| object["key"] == key).unwrap();
    assert_eq!((&of("listen")["value"], &of("listen")["origin"]["name"]), (&"127.0.0.1:2".into(), &"TIDINGS_LISTEN".into()));
    assert_eq!((&of("limits.guests")["value"], &of("limits.guests")["origin"]["column"]), (&7.into(), &71.into()));
    assert_eq!((&of("advertise")["value"], &of("advertise")["origin"]["from"]), (&Value::Null, &"default".into()));
    let without = said(&folder, "config show --setup client_setup.json", &[]).expect(0);
    assert!(without.stdout.contains("server_ip") && !without.stdout.contains("FROM"), "{without:?}");
}

#[test]
fn variables_and_flags_with_mistakes_say_their_names() {
    let folder = folder(&[]);
    let ended = said(&folder, "server --data d", &[("TIDINGS_LISTEN", "x"), ("TIDINGS_SERVER_NAME", "S1")]).expect(3);
    assert!(ended.stderr.starts_with("tidings: TIDINGS_LISTEN: an IP address"), "{ended:?}");
    assert!(ended.stderr.contains("\nTIDINGS_SERVER_NAME: a server name is"), "{ended:?}");
    let ended = said(&folder, "register alice@s1 --password-stdin --server http://x", &[]).expect(2);
    assert!(ended.stderr.starts_with("tidings: --server: a host or host:port"), "{ended:?}");
    let ended = said(&folder, "register alice@s1 --password-stdin", &[("TIDINGS_CLIENT_SERVER_KEY", "x")]).expect(3);
    assert!(ended.stderr.starts_with("tidings: TIDINGS_CLIENT_SERVER_KEY: a server's key"), "{ended:?}");
    let ended = said(&folder, "config check --setup nowhere.json", &[]).expect(3);
    assert!(ended.stdout.starts_with("problem: nowhere.json: cannot be read: No such file"), "{ended:?}");
}

/// A server that runs until this is dropped, and what it said when it served.
struct Server {
    process: Child,
    lines: Vec<String>,
    /// Held open: a server whose output nobody reads any more ends.
    _rest: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it, and reads until a line begins with `last`.
    fn start(folder: &TempDir, line: &str, last: &str) -> Server {
        let mut process = command(folder.path(), line).stderr(std::process::Stdio::null()).spawn().unwrap();
        let mut lines = Vec::new();
        let mut rest = BufReader::new(process.stdout.take().unwrap());
        for line in rest.by_ref().lines() {
            let line = line.unwrap();
            let is_last = line.trim_start().starts_with(last);
            lines.push(line);
            if is_last {
                break;
            }
        }
        Server { process, lines, _rest: rest }
    }

    fn row(&self, title: &str) -> &str {
        self.lines
            .iter()
            .find_map(|line| line.trim_start().strip_prefix(title))
            .unwrap_or_else(|| panic!("{title}: {:?}", self.lines))
            .trim()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_server_without_a_file_says_what_it_assumed() {
    let folder = folder(&[]);
    let server = Server::start(&folder, "server --listen 127.0.0.1:0", "`tidings config show");
    let machine = rustix::system::uname().nodename().to_str().unwrap_or_default().to_owned();
    let named = server.lines[0].strip_prefix("Tidings server ").unwrap().strip_suffix(" is running.").unwrap();
    assert!(named == machine || named == "localhost" && machine.parse::<tidings_proto::ServerName>().is_err(), "{named} {machine}");
    assert!(server.lines.contains(&"Since there is no setup.json, this was assumed:".to_owned()), "{:?}", server.lines);
    assert!(server.row("registration").starts_with("open"), "strangers cannot reach it");
    assert!(server.row("address").starts_with("127.0.0.1:"));
    assert!(server.row("data").ends_with(".local/share/tidings/server"));

    // All of it before anything is started, and nothing beyond this machine.
    let shown = said(&folder, "config show --json", &[]).expect(0).objects();
    let value = |key: &str| &shown.iter().find(|object| object["key"] == key).unwrap()["value"];
    assert_eq!((value("listen"), value("registration"), value("server_name")), (&"127.0.0.1:5555".into(), &"open".into(), &named.into()));
}

#[test]
fn a_folder_keeps_its_server_s_name() {
    let folder = folder(&[]);
    said(&folder, "peer show --name s9 --data d", &[]).expect(0);
    let shown = said(&folder, "config show --json --data d", &[]).expect(0).objects();
    assert!(shown.iter().any(|object| object["key"] == "server_name" && object["value"] == "s9"), "{shown:?}");
    let refused = said(&folder, "server --name s2 --data d --listen 127.0.0.1:0", &[]).expect(3);
    insta::assert_snapshot!(refused.stderr.trim_end(), @"tidings: d is the folder of the server s9, not of s2. A server's name never changes: start it as s9, or give s2 a folder of its own with --data");
}

#[test]
fn what_a_server_cannot_use_is_said_with_the_way_out() {
    let folder = folder(&[("file", "")]);
    let server = Server::start(&folder, "server --name s1 --listen 127.0.0.1:0 --data d", "for peers");
    let address = server.row("address").split(' ').next().unwrap();
    let in_use = said(&folder, "server --name s1 --listen 127.0.0.1:0 --data d", &[]).expect(3);
    insta::assert_snapshot!(in_use.stderr.trim_end(), @"tidings: d is in use by another server that runs. Stop that one, or choose another folder with --data");
    let taken = said(&folder, &format!("server --name s1 --listen {address} --data e"), &[]).expect(3);
    let port = address.rsplit(':').next().unwrap();
    insta::assert_snapshot!(taken.stderr.trim_end().replace(port, "PORT"), @r#"tidings: cannot listen on 127.0.0.1:PORT: another program uses port PORT already. Stop it, or choose another with --listen, or with "listen" in setup.json"#);
    // 192.0.2.0/24 is for examples (RFC 5737), so no machine has it.
    let foreign = said(&folder, "server --name s1 --listen 192.0.2.7:0 --data e", &[]).expect(3);
    insta::assert_snapshot!(foreign.stderr.trim_end(), @r#"tidings: cannot listen on 192.0.2.7:0: this machine has no address 192.0.2.7. Take 0.0.0.0 for all that it has, or choose another with --listen, or with "listen" in setup.json"#);
    let no_folder = said(&folder, "server --name s1 --listen 127.0.0.1:0 --data file/d", &[]).expect(3);
    insta::assert_snapshot!(no_folder.stderr.trim_end(), @r#"tidings: file/d cannot be used: there is a file where a folder is needed; choose another folder with --data, or with "data" in setup.json"#);
}

/// The brief's file with loopback addresses in the place of its own: the servers without a key are never dialled, and the rest starts.
#[test]
fn servers_without_a_key_are_never_dialled() {
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (bare, pinned) = ([listener(), listener(), listener()], listener());
    bare.iter().chain([&pinned]).for_each(|listener| listener.set_nonblocking(true).unwrap());
    let mut text = SETUP.to_owned();
    for (address, listener) in ["10.13.97.12:5555", "10.13.101.145:5555", "10.13.84.131:5555"].iter().zip(&bare) {
        text = text.replace(address, &listener.local_addr().unwrap().to_string());
    }
    // The control: one with a key, which is dialled.
    let control = format!(
        "\"mailing_address\": {{ \"s9\": {{ \"address\": \"{}\", \"key\": \"{}\" }},",
        pinned.local_addr().unwrap(),
        "A".repeat(43)
    );
    let folder = folder(&[("setup.json", &text.replace("\"mailing_address\": {", &control))]);
    let server = Server::start(&folder, "server --listen 127.0.0.1:0 --data d", "for peers");
    assert_eq!(server.lines.iter().filter(|line| line.ends_with("(no key, so not used)")).count(), 3);
    // Twice, so that a first round over all servers has been made.
    for _ in 0..2 {
        until("the server with a key is dialled", || pinned.accept().is_ok());
    }
    for listener in &bare {
        assert_eq!(listener.accept().map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock, "nobody has knocked");
    }
}
