//! `setup.json`: every kind of mistake with what is said about it, and the layers above the file.

use std::ffi::OsString;
use std::path::Path;
use tidings_server::setup::{Setup, TABLE, read};
use tidings_server::{Limits, Registration};
use tidings_setup::value::show_server_key;
use tidings_setup::{Origin, Place, Problems, Settings, Shape};

fn settings(text: &[u8]) -> Settings {
    let mut settings = Settings::new(&TABLE);
    settings.file(Path::new("setup.json"), text);
    settings
}

fn parsed(text: &str) -> Result<Setup, Problems> {
    read(&mut settings(text.as_bytes()))
}

/// A file with more keys than its name.
fn with(more: &str) -> String {
    format!("{{ \"server_name\": \"s1\",\n  {more} }}")
}

/// Files, each with what is said about it. Whoever changes a text here should like the new one better.
fn told(files: &[&str]) -> String {
    let mut told = String::new();
    for file in files {
        let mut settings = settings(file.as_bytes());
        let problems = read(&mut settings).map_or_else(|problems| problems.0, |_| Vec::new());
        told += &format!("{file}\n");
        problems.iter().for_each(|problem| told += &format!("→ {problem}\n"));
        settings.warnings().iter().for_each(|warning| told += &format!("→ warning: {warning}\n"));
        told.push('\n');
    }
    told
}

#[test]
fn what_is_not_json_is_told_with_its_place() {
    let deep = with(&format!("\"limits\": {}1{}", "[".repeat(600), "]".repeat(600)));
    let deep = settings(deep.as_bytes()).problems().unwrap().to_string();
    assert_eq!(deep.split_once(": ").unwrap().1, "too many objects inside of each other");
    let told = told(&[
        "",
        "// nothing but a comment",
        "[]",
        "\"s1\"",
        "null",
        "{ \"server_name\": \"s1\"",
        "{ \"server_name\": \"s1\" } }",
        "{ \"server_name\": \"s1\" } // fine\n{ \"server_name\": \"s2\" }",
        "{ \"server_name\": \"s1\"\n  \"listen\": \"0.0.0.0:5555\" }",
        "{ \"server_name\" \"s1\" }",
        "{ \"server_name\": }",
        "{ \"server_name\": , }",
        "{ server_name: \"s1\" }",
        "{ 'server_name': \"s1\" }",
        "{ \"server_name\": s1 }",
        "{ \"server_name\": \"s1 }",
        "{ \"server_name\": \"s\\q\" }",
        "{ \"server_name\": \"s1\", /* no end }",
        "{ \"server_name\": [1, 2 }",
        "{ \"server_name\": ] }",
        "{ : }",
        &with("\"limits\": { \"guests\": 0x10 }"),
        &with("\"limits\": { \"guests\": +1 }"),
        &with("\"limits\": { \"guests\": .5 }"),
        &with("\"limits\": { \"guests\": NaN }"),
    ]);
    insta::assert_snapshot!(told);
    let not_utf8 = settings(b"{ \"server_name\": \"s1\",\n // caf\xe9\n}").problems().unwrap().to_string();
    assert_eq!(not_utf8, "setup.json:2:8: this is not UTF-8; save the file as UTF-8");
}

#[test]
fn keys_that_are_missing_unknown_or_twice_are_told_with_their_place() {
    let told = told(&[
        "{}",
        "// ours\n\n  {}",
        "{ \"sever_name\": \"s1\" }",
        "{ \"Server-Name\": \"s1\" }",
        "{ \"name\": \"s1\" }",
        &with("\"server_name\": \"s2\""),
        &with("\"li\\u0073ten\": \"127.0.0.1\",\n  \"listen\": \"0.0.0.0\""),
        &with("\"server_ip\": \"10.0.0.1\""),
        &with("\"login_burst\": 3"),
        &with("\"limits\": { \"mesage_burst\": 3, \"guests\": 1, \"guests\": 2 }"),
        &with("\"\\u001b[2J\": 1, \"a.b\": 1, \"\": 1"),
        &with("\"admin\": { \"alice@s1\": \"\", \"alice@s1\": \"\" }"),
        &with("\"mailing_address\": { \"s2\": \"h\", \"s2\": \"g\" }"),
        &with("\"mailing_address\": { \"s2\": {} }"),
        &with("\"mailing_address\": { \"s2\": { \"adress\": \"h\", \"port\": 5555 } }"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn values_that_do_not_fit_are_told_with_their_place() {
    let told = told(&[
        "{ \"server_name\": null }",
        "{ \"server_name\": \"S1\" }",
        "{ \"server_name\": [\"s1\"] }",
        "{ \"server_name\": \"\" }",
        &with("\"admin\": [\"alice@s1\"]"),
        &with("\"admin\": { \"alice\": \"\", \"Alice@s1\": \"\", \"alice@s2\": \"\", \"a@s1@s1\": \"\" }"),
        &with("\"mailing_address\": \"s2\""),
        &with("\"mailing_address\": { \"S2\": \"h\", \"s2\": 7, \"s3\": [] }"),
        &with("\"mailing_address\": { \"s2\": \"\", \"s3\": \"wss://h\", \"s4\": \"h:\", \"s5\": \"h:99999\", \"s6\": \"h:0\" }"),
        &with("\"mailing_address\": { \"s2\": { \"address\": \"h\", \"key\": \"zz\" }, \"s3\": { \"address\": \"h\", \"key\": null } }"),
        &with("\"listen\": 5555"),
        &with("\"listen\": \"localhost:5555\""),
        &with("\"listen\": \"0.0.0.0:65536\""),
        &with("\"advertise\": \"https://chat.example.org/\""),
        &with("\"advertise\": true"),
        &with("\"data\": \"\""),
        &with("\"registration\": \"opne\""),
        &with("\"registration\": \"everybody\""),
        &with("\"registration\": false"),
        &with("\"limits\": 7"),
        &with("\"limits\": { \"guests\": 0, \"message_burst\": -1, \"login_burst\": 1.5, \"outbox_days\": 1e3, \"login_seconds\": \"6\" }"),
        &with("\"limits\": { \"outbox_bytes\": 100, \"guests\": 4294967296, \"rooms_per_user\": 99999999999999999999 }"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn no_two_servers_have_one_key() {
    let key = show_server_key(&tidings_proto::ServerKey([7; 32]));
    let pinned = |name: &str| format!("\"{name}\": {{ \"address\": \"h\", \"key\": \"{key}\" }}");
    let text = with(&format!("\"mailing_address\": {{\n    {},\n    {} }}", pinned("s2"), pinned("s3")));
    let error = parsed(&text).unwrap_err().to_string();
    assert_eq!(error, "setup.json:4:36: mailing_address.s3.key: s2 has the same key, and no two servers have");
    // A list that all servers share has this one in it too.
    let shared = with(&format!("\"mailing_address\": {{ \"s1\": \"h\", {} }}", pinned("s2")));
    let shared = parsed(&shared).unwrap();
    assert_eq!((shared.peers.len(), shared.warnings), (1, vec![]));
}

#[test]
fn warnings_say_the_way_out() {
    let told = told(&[
        &with("\"mailing_address\": { \"s2\": \"10.0.0.2\", \"s3\": { \"address\": \"h\" } }"),
        &with("\"admin\": { \"alice@s1\": \"\", \"bob@s1\": \"secret\" }"),
        &with("\"admin\": { \"alice@s1\": null }"),
        &with("\"admin\": { \"alice@s1\": \"\" }, \"$schema\": \"https://example.org/setup.schema.json\","),
    ]);
    insta::assert_snapshot!(told);
}

/// The words beside names under `admin` are secrets to whoever wrote them.
#[test]
fn the_words_beside_names_go_nowhere() {
    let mut settings = settings(with("\"admin\": { \"alice@s1\": \"h0nest\", \"Bob@s1\": \"h0nest\", \"x\": 7 }").as_bytes());
    let error = read(&mut settings).unwrap_err();
    let said = format!("{error} {settings:?} {:?} {:?}", settings.rows(), settings.warnings());
    assert!(said.contains("alice@s1") && !said.contains("h0nest"), "{said}");
}

fn variables(said: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    said.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn later_layers_win_and_each_value_knows_its_own() {
    let mut settings = settings(with("\"listen\": \"127.0.0.1:1\", \"limits\": { \"guests\": 7, \"outbox_days\": 8 }").as_bytes());
    settings.variables(&variables(&[
        ("TIDINGS_LISTEN", "127.0.0.1:2"),
        ("TIDINGS_SERVER_NAME", "s2"),
        ("TIDINGS_LIMITS_GUESTS", "9"),
        ("TIDINGS_UNKNOWN", "x"),
        ("tidings_data", "x"),
    ]));
    settings.flag("server_name", "s3");
    settings.flag("registration", "closed");
    let setup = read(&mut settings).unwrap();
    assert_eq!((setup.name.as_str(), setup.listen.port()), ("s3", 2));
    assert_eq!(setup.registration, Registration::Open, "it has no flag, and 127.0.0.1 is a loopback address");
    assert_eq!(setup.limits, Limits { guests: 9, outbox_days: 8, ..Limits::default() });
    let line = |line, column| Origin::File(Place { file: "setup.json".into(), at: Some((line, column)) });
    assert_eq!(settings.origin(&"server_name".into()), Origin::Flag("--name"));
    assert_eq!(settings.origin(&"listen".into()), Origin::Variable("TIDINGS_LISTEN".into()));
    assert_eq!(settings.origin(&["limits", "outbox_days"].into()), line(2, 68));
    assert_eq!(settings.origin(&["limits", "guests_per_address"].into()), Origin::Default);
}

#[test]
fn what_is_wrong_in_the_file_is_not_right_because_a_variable_says_it_anew() {
    let mut settings = settings(b"{ \"server_name\": \"S1\", \"listen\": \"nowhere\", \"limits\": { \"guests\": 0 } }");
    settings.variables(&variables(&[("TIDINGS_LISTEN", "127.0.0.1:2"), ("TIDINGS_LIMITS_GUESTS", "9")]));
    settings.flag("server_name", "s1");
    let places: Vec<String> = read(&mut settings).unwrap_err().0.iter().map(|problem| problem.origin.to_string()).collect();
    assert_eq!(places, ["setup.json:1:18", "setup.json:1:34", "setup.json:1:67"]);
}

#[test]
fn each_plain_key_has_its_variable_and_says_what_is_wrong_with_it() {
    use std::os::unix::ffi::OsStringExt;
    let plain = TABLE.plain();
    assert!(plain.len() > 15, "the keys inside of limits too");
    for (path, key) in plain {
        let mut settings = settings(b"{ \"server_name\": \"s1\" }");
        let name = TABLE.variable(&path);
        let bad = if path == "data".into() { "" } else { "?" };
        settings.variables(&variables(&[(&name, bad)]));
        let error = read(&mut settings).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: ")), "{}: {error}", key.name);
        settings.variables(&[(name.clone().into(), OsString::from_vec(vec![0xff]))]);
        let error = read(&mut settings).unwrap_err().to_string();
        assert!(error.contains(&format!("{name}: the value is not UTF-8")), "{error}");
    }
}

#[test]
fn registration_without_a_word_is_open_on_loopback_only() {
    let of = |more: &str| parsed(&with(more)).unwrap().registration;
    assert_eq!(of("\"listen\": \"127.0.0.1\""), Registration::Open);
    assert_eq!(of("\"listen\": \"[::1]:7\""), Registration::Open);
    assert_eq!(of("\"listen\": \"10.0.0.1\""), Registration::ByCode);
    assert_eq!(of(""), Registration::ByCode);
    assert_eq!(of("\"registration\": \"open\""), Registration::Open);
    assert_eq!(of("\"registration\": \"closed\", \"listen\": \"127.0.0.1\""), Registration::Closed);
}

#[test]
fn each_limit_is_taken_from_its_least_to_its_most() {
    let mut seen = 0;
    for (path, key) in TABLE.plain() {
        let Shape::Number { least, most } = key.shape else { continue };
        let of = |number: u128| parsed(&with(&format!("\"limits\": {{ \"{}\": {number} }}", key.name))).map(|setup| setup.limits);
        let (least, most) = (u128::from(least), u128::from(most));
        for number in [least, least + 1, most - 1, most] {
            let limits = of(number).unwrap();
            assert!(format!("{limits:?}").contains(&format!("{}: {number}", key.name)), "{limits:?}");
        }
        assert!(of(most + 1).unwrap_err().to_string().ends_with(&format!("{path}: at most {most} is expected")));
        if let Some(less) = least.checked_sub(1) {
            assert!(of(less).unwrap_err().to_string().ends_with(&format!("{path}: a whole number of at least {least} is expected")));
        }
        seen += 1;
    }
    assert_eq!(seen, 18);
}

#[test]
fn a_folder_in_the_file_begins_at_the_file() {
    let of = |file: &str, data: &str| {
        let mut settings = Settings::new(&TABLE);
        settings.file(Path::new(file), with(&format!("\"data\": \"{data}\"")).as_bytes());
        read(&mut settings).unwrap().data.unwrap()
    };
    assert_eq!(of("/etc/tidings/setup.json", "data"), Path::new("/etc/tidings/data"));
    assert_eq!(of("s1/setup.json", "data"), Path::new("s1/data"));
    assert_eq!(of("setup.json", "data"), Path::new("data"));
    assert_eq!(of("s1/setup.json", "/var/lib/tidings"), Path::new("/var/lib/tidings"));
    let mut settings = settings(with("\"data\": \"data\"").as_bytes());
    settings.variables(&variables(&[("TIDINGS_DATA", "here")]));
    assert_eq!(read(&mut settings).unwrap().data.unwrap(), Path::new("here"), "a variable says it as the command's folder sees it");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = tidings_server::setup::load(Path::new("/nowhere/setup.json")).unwrap_err().to_string();
    assert_eq!(error, "/nowhere/setup.json: cannot be read: No such file or directory (os error 2)");
}
