//! The operator's socket: a running server answers its operator, whatever is asked, and nobody else.

use crate::support::{SOON, config, server};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;
use tidings_proto::Code;
use tidings_server::operator::{Answer, Ask, AskError, Issued, LONGEST, MOST_USES, PeerStanding, SOCKET, UserState, ask};
use tidings_server::{Config, Peer, Registration, Running, Server, StartError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

fn with_names(folder: &Path, registration: Registration) -> Config {
    let peer = Peer { name: server("s2"), address: "10.0.0.7:5555".into(), key: None };
    Config { reserved: vec!["admin@s1".parse().unwrap()], peers: vec![peer], ..config(folder, registration) }
}

async fn running(registration: Registration) -> (TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let running = Server::start(with_names(folder.path(), registration)).await.unwrap();
    (folder, running)
}

async fn all(folder: &Path, question: Ask) -> Result<Vec<Answer>, AskError> {
    let mut rows = Vec::new();
    ask(folder, &question, |row| rows.push(row)).await?;
    Ok(rows)
}

async fn issued(folder: &Path, question: Ask) -> Issued {
    match all(folder, question).await.unwrap().remove(0) {
        Answer::Issued(issued) => issued,
        _ => panic!("no code"),
    }
}

fn refused(result: Result<Vec<Answer>, AskError>) -> (Code, String) {
    match result {
        Err(AskError::Refused(why)) => (why.code, why.text),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("not refused"),
    }
}

async fn users(folder: &Path) -> Vec<(String, UserState)> {
    let rows = all(folder, Ask::Users).await.unwrap().into_iter();
    rows.map(|row| if let Answer::User(row) = row { (row.user, row.state) } else { panic!("not a user") }).collect()
}

async fn codes(folder: &Path) -> Vec<(String, Option<String>, u32)> {
    let rows = all(folder, Ask::Codes).await.unwrap().into_iter();
    rows.map(|row| if let Answer::Code(row) = row { (row.id, row.user, row.uses) } else { panic!("not a code") }).collect()
}

#[tokio::test]
async fn names_and_invitations_are_made_listed_and_revoked() {
    let (folder, running) = running(Registration::ByCode).await;
    let folder = folder.path();
    assert_eq!(users(folder).await, [("admin@s1".to_owned(), UserState::Reserved)]);
    let invitation = issued(folder, Ask::Invite { uses: 3, seconds: 60 }).await;
    assert_eq!((&*invitation.server, invitation.user, invitation.uses, invitation.open), ("s1", None, 3, false));
    assert_eq!(invitation.address, Some(running.address().to_string()));
    assert!(invitation.expires.is_some());
    let claim = issued(folder, Ask::AddUser { name: "carol".into() }).await;
    assert_eq!((claim.user.as_deref(), claim.uses, claim.expires), (Some("carol@s1"), 1, None));
    issued(folder, Ask::AddUser { name: "admin@s1".into() }).await;
    let claimable = ["admin@s1", "carol@s1"].map(|name| (name.to_owned(), UserState::Claimable));
    assert_eq!(users(folder).await, claimable);

    let listed = codes(folder).await;
    assert_eq!(listed.len(), 3);
    assert!(listed.contains(&(invitation.id.clone(), None, 3)) && listed.contains(&(claim.id.clone(), Some("carol@s1".into()), 1)));
    let second = issued(folder, Ask::AddUser { name: "carol@s1".into() }).await;
    assert!(!codes(folder).await.iter().any(|(id, ..)| *id == claim.id), "an earlier claim code is void");
    assert_eq!(refused(all(folder, Ask::Revoke { id: claim.id }).await).0, Code::NotFound);
    all(folder, Ask::Revoke { id: second.id }).await.unwrap();
    all(folder, Ask::Revoke { id: invitation.id }).await.unwrap();
    assert_eq!(codes(folder).await.len(), 1);
    assert_eq!(users(folder).await, claimable[..1], "the name is free again");
    running.stop().await;
}

#[tokio::test]
async fn nothing_of_a_code_is_kept_but_its_hash() {
    let (folder, running) = running(Registration::ByCode).await;
    let one = issued(folder.path(), Ask::Invite { uses: 1, seconds: 60 }).await;
    let two = issued(folder.path(), Ask::AddUser { name: "carol".into() }).await;
    running.stop().await;
    let hash = tidings_proto::Hash::of(one.code.as_bytes());
    let mut kept = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        kept.extend(std::fs::read(file).unwrap());
    }
    let holds = |bytes: &[u8]| kept.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(hash.as_bytes()), "the control: the hash is there");
    assert!(!holds(one.code.as_bytes()) && !holds(two.code.as_bytes()));
}

#[tokio::test]
async fn each_mistake_is_refused_with_what_to_do() {
    let (folder, server) = running(Registration::Closed).await;
    let folder = folder.path();
    for (name, said) in [
        ("Carol", "Carol"),
        ("", "\"\""),
        ("carol@s2", "this server is s1"),
        ("a@s1@s2", "a@s1@s2"),
        ("public", "something else than a person"),
        (&"x".repeat(65), "64"),
    ] {
        let (code, text) = refused(all(folder, Ask::AddUser { name: name.into() }).await);
        assert!(code == Code::NameRefused && text.contains(said), "{name}: {text}");
    }
    issued(folder, Ask::AddUser { name: "x".repeat(64) }).await;
    let (code, text) = refused(all(folder, Ask::Invite { uses: 1, seconds: 60 }).await);
    assert!(code == Code::RegistrationClosed && text.contains("tidings user add"), "{text}");
    server.stop().await;

    let (folder, server) = running(Registration::Open).await;
    for (uses, seconds, good) in [
        (0, 60, false),
        (1, 60, true),
        (MOST_USES, 60, true),
        (MOST_USES + 1, 60, false),
        (1, 0, false),
        (1, 1, true),
        (1, LONGEST, true),
        (1, LONGEST + 1, false),
        (1, u64::MAX, false),
    ] {
        let made = all(folder.path(), Ask::Invite { uses, seconds }).await;
        assert_eq!(made.is_ok(), good, "{uses} uses, {seconds} s");
    }
    server.stop().await;
}

#[tokio::test]
async fn peers_are_shown_as_they_stand() {
    let (folder, server) = running(Registration::Open).await;
    let rows = all(folder.path(), Ask::Peers).await.unwrap();
    let [Answer::Peer(peer)] = &rows[..] else { panic!("one peer") };
    assert_eq!((&*peer.name, &*peer.address, peer.state), ("s2", "10.0.0.7:5555", PeerStanding::NoKey));
    assert_eq!((peer.waiting, peer.waiting_bytes, peer.oldest, &peer.last_error), (0, 0, None, &None));
    server.stop().await;
}

/// Sends bytes as they are; gives the lines that come back.
async fn raw(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut stream = UnixStream::connect(folder.join(SOCKET)).await.unwrap();
    // The server may have heard enough before all is sent.
    let _ = stream.write_all(bytes).await;
    let mut lines = BufReader::new(stream).lines();
    let mut said = Vec::new();
    while let Ok(Some(line)) = tokio::time::timeout(SOON, lines.next_line()).await.unwrap() {
        said.push(line);
    }
    said
}

#[tokio::test]
async fn nonsense_is_refused_in_words_and_disturbs_nobody() {
    let (folder, server) = running(Registration::Open).await;
    let question = |size: usize| {
        let name = "x".repeat(size - "{\"ask\":\"revoke\",\"id\":\"\"}\n".len());
        format!("{{\"ask\":\"revoke\",\"id\":\"{name}\"}}\n").into_bytes()
    };
    let code = |code: Code| format!("{{\"answer\":\"refused\",\"code\":{},", code.number());
    for (bytes, wanted) in [
        (b"\n".to_vec(), Code::Malformed),
        (b"nonsense\n".to_vec(), Code::Malformed),
        (b"{\"ask\":\"shutdown\"}\n".to_vec(), Code::Malformed),
        (b"{\"ask\":\"revoke\",\"id\":\"x\",\"more\":1}\n".to_vec(), Code::Malformed),
        (b"{\"ask\":\"invite\",\"uses\":-1,\"seconds\":60}\n".to_vec(), Code::Malformed),
        (b"{\"ask\":\"invite\",\"uses\":\"1\",\"seconds\":60}\n".to_vec(), Code::Malformed),
        (b"\xff\xfe\n".to_vec(), Code::Malformed),
        (question(4095), Code::NotFound),
        (question(4096), Code::NotFound),
        (question(4097), Code::TooLarge),
        (vec![b'x'; 1 << 20], Code::TooLarge),
    ] {
        let said = raw(folder.path(), &bytes).await;
        // Whoever goes on talking may miss the answer.
        assert!(said.len() == 1 && said[0].starts_with(&code(wanted)) || bytes.len() > 5000 && said.is_empty(), "{said:?}");
    }
    // Many who connect and say nothing do not stand in the way for long; and they are gone when the server stops.
    let _silent: Vec<UnixStream> =
        futures_util::future::join_all((0..7).map(|_| async { UnixStream::connect(folder.path().join(SOCKET)).await.unwrap() })).await;
    assert!(all(folder.path(), Ask::Users).await.is_ok());
    tokio::time::timeout(SOON, server.stop()).await.unwrap();
}

#[tokio::test]
async fn the_socket_is_the_operators_alone_and_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join(SOCKET);
    assert!(matches!(all(folder.path(), Ask::Users).await, Err(AskError::NotRunning(_))), "there was never a server");
    // What a server that was killed has left.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(matches!(all(folder.path(), Ask::Users).await, Err(AskError::NotRunning(_))), "it is gone");
    let server = Server::start(config(folder.path(), Registration::Open)).await.unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(all(folder.path(), Ask::Users).await.is_ok());

    // One server a folder: the second says so, and the first goes on.
    let second = Server::start(config(folder.path(), Registration::Open)).await.err().expect("no second server");
    assert!(matches!(second, StartError::FolderInUse(_)) && second.to_string().contains("--data"), "{second}");
    assert!(all(folder.path(), Ask::Users).await.is_ok());
    server.stop().await;
    assert!(!socket.exists());
    let again = Server::start(config(folder.path(), Registration::Open)).await.unwrap();
    again.stop().await;
}

/// The name of a socket has 107 bytes at most; that of a folder may have more.
#[tokio::test]
async fn a_server_in_a_folder_far_down_can_be_asked_too() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().as_os_str().len() + 1 + 1 + SOCKET.len(); // two slashes
    for length in [106, 107, 108, 200] {
        let data = folder.path().join("x".repeat(length - own));
        assert!(matches!(all(&data, Ask::Users).await, Err(AskError::NotRunning(_))), "{length}");
        let server = Server::start(config(&data, Registration::Open)).await.unwrap();
        assert!(all(&data, Ask::Users).await.is_ok(), "{length}");
        server.stop().await;
        assert!(!data.join(SOCKET).exists(), "{length}");
    }
}
