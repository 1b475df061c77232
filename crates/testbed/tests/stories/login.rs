//! Only who knows a password, or has a listed device, gets in. Everything else fails closed.

use bytes::Bytes;
use minicbor::Encoder;
use tidings_client::view::Target;
use tidings_client::{ClientError, LoginSecret, Zeroizing};
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::opaque::Login;
use tidings_proto::frame::{LoginFinish, LoginStart, People, Refused, Secret, Submit};
use tidings_proto::{Code, Frame, LogName, UserName};
use tidings_testbed::PATIENCE;
use tidings_testbed::person::{PASSWORD, Person, with};
use tidings_testbed::raw::RawLink;
use tidings_testbed::world::World;
use tidings_trust::login::opaque_context;

async fn log_in(world: &World, name: &str, with: LoginSecret) -> Result<Person, ClientError> {
    let name: UserName = name.parse().unwrap();
    let profile = world.profile(&format!("login-{}", rand_core::RngCore::next_u64(&mut rand_core::OsRng)));
    Person::log_in(&name, world.address("s1"), world.key("s1"), profile, with).await
}

fn password(text: &str) -> LoginSecret {
    LoginSecret::Password(Zeroizing::new(text.into()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_or_the_recovery_code_lets_a_second_device_in() {
    let world = World::of(&["s1"], false).await;
    let alice = world.person("alice@s1").await;
    let by_password = log_in(&world, "alice@s1", password(PASSWORD)).await.unwrap();
    let words = alice.recovery.clone().unwrap();
    let by_code = log_in(&world, "alice@s1", LoginSecret::Recovery(Zeroizing::new(words))).await.unwrap();
    alice.announces("from the first").await;
    by_password.announces("from the second").await;
    by_code.announces("from the third").await;
    for device in [&alice, &by_password, &by_code] {
        for text in ["from the first", "from the second", "from the third"] {
            device.sees(&Target::Public, &alice.name, text).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_before_a_device_had_the_account_is_nothing_new_on_it() {
    let world = World::of(&["s1"], false).await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s1").await);
    bob.announces("before").await;
    alice.sees(&Target::Public, &bob.name, "before").await;
    let second = log_in(&world, "alice@s1", password(PASSWORD)).await.unwrap();
    second.sees(&Target::Public, &bob.name, "before").await;
    second.client.linked(PATIENCE).await.unwrap();
    let unseen = async |device: &Person| {
        let lines = device.client.lines().await.unwrap();
        lines.iter().find(|line| line.room.target == Target::Public).unwrap().unseen
    };
    assert_eq!((unseen(&alice).await, unseen(&second).await), (1, 0));
    bob.announces("after").await;
    for (device, new) in [(&alice, 2), (&second, 1)] {
        device.sees(&Target::Public, &bob.name, "after").await;
        assert_eq!(unseen(device).await, new);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_and_empty_secrets_are_refused_and_disturb_nobody() {
    let world = World::of(&["s1"], false).await;
    let alice = world.person("alice@s1").await;
    let other_words = tidings_e2ee::RecoveryCode::generate().words().collect::<Vec<_>>().join(" ");
    for (name, secret) in [
        ("alice@s1", password("wrong")),
        ("alice@s1", password("")),
        ("alice@s1", LoginSecret::Recovery(Zeroizing::new(other_words))),
        ("nobody@s1", password(PASSWORD)),
    ] {
        let error = log_in(&world, name, secret).await.err().expect("no login");
        assert_eq!(error.exit_code(), 4, "{name}: {error}");
    }
    // The first device never noticed.
    let id = alice.announces("still here").await;
    alice.is_sent(id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_issued_once() {
    let world = World::of(&["s1"], false).await;
    let alice = world.person("alice@s1").await;
    let request = tidings_client::Register {
        profile: &world.profile("thief"),
        endpoint: alice.client.endpoint(),
        user: alice.name.clone(),
        password: Zeroizing::new("mine now".into()),
        code: None,
        device_name: None,
    };
    let error = tidings_client::register(request).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused(why) if why.code == Code::NameTaken), "{error}");
    assert!(log_in(&world, "alice@s1", password("mine now")).await.is_err());
    assert!(log_in(&world, "alice@s1", password(PASSWORD)).await.is_ok());
}

/// A login frame of one's own: type, then the map that `fields` writes.
fn frame(number: u64, keys: u64, fields: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Bytes {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out);
    encoder.array(2).unwrap().u64(number).unwrap().map(keys).unwrap();
    fields(&mut encoder);
    out.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_null_and_mistyped_credentials_fail_closed() {
    let world = World::of(&["s1"], false).await;
    let alice = world.person("alice@s1").await;
    let hostile: Vec<(&str, Bytes, Code)> = vec![
        (
            "KE1 is missing",
            frame(36, 2, |e| {
                let _ = e.u8(0).unwrap().u8(1).unwrap().u8(1).unwrap().u8(0).unwrap();
            }),
            Code::Malformed,
        ),
        (
            "KE1 is null",
            frame(36, 3, |e| {
                let _ = e.u8(0).unwrap().u8(1).unwrap().u8(1).unwrap().u8(0).unwrap().u8(2).unwrap().null().unwrap();
            }),
            Code::Malformed,
        ),
        (
            "KE1 is a text",
            frame(36, 3, |e| {
                let _ = e.u8(0).unwrap().u8(1).unwrap().u8(1).unwrap().u8(0).unwrap().u8(2).unwrap().str("admin1").unwrap();
            }),
            Code::Malformed,
        ),
        ("KE1 is empty", Frame::from(LoginStart { req: 1, with: Secret::Password, ke1: Bytes::new() }).encode(), Code::Malformed),
        ("KE1 is zeros", Frame::from(LoginStart { req: 1, with: Secret::Password, ke1: vec![0; 96].into() }).encode(), Code::Malformed),
        ("KE3 without KE1", Frame::from(LoginFinish { req: 1, ke3: vec![0; 64].into() }).encode(), Code::WrongState),
        (
            "KE3 is missing",
            frame(38, 1, |e| {
                let _ = e.u8(0).unwrap().u8(1).unwrap();
            }),
            Code::Malformed,
        ),
        ("no login at all", Frame::from(People { req: 1 }).encode(), Code::WrongState),
        (
            "a draft before login",
            Frame::from(Submit { req: 1, log: LogName::Public("s1".parse().unwrap()), draft: Bytes::new(), genesis: None }).encode(),
            Code::WrongState,
        ),
    ];
    for (what, bytes, wanted) in hostile {
        // Another device each time: a link that was never listed.
        let mut link = RawLink::device(world.address("s1"), &alice.name, &DeviceSecret::generate()).await;
        link.send_bytes(bytes).await;
        let Frame::Refused(Refused { why, .. }) = link.next().await else { panic!("{what}: not refused") };
        assert_eq!(why.code, wanted, "{what}: {why}");
        // And nothing has opened by it.
        link.send(People { req: 2 }).await;
        match link.next_bytes().await {
            Err(_) => {}
            Ok(bytes) => assert!(matches!(Frame::read(&bytes, 4096), Ok(Frame::Refused(_))), "{what}: the link is open"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_with_a_wrong_ke3_is_refused_and_its_right_one_is_good_on_its_link_only() {
    let world = World::of(&["s1"], false).await;
    let alice = world.person("alice@s1").await;
    let ke3_for = async |link: &mut RawLink, secret: &[u8], context: &[u8]| {
        let (login, ke1) = Login::start(secret).unwrap();
        link.send(LoginStart { req: 1, with: Secret::Password, ke1: ke1.into() }).await;
        match link.next().await {
            Frame::LoginReply(reply) => {
                let done = login.finish(secret, &reply.ke2, &alice.name, alice.name.server(), context);
                done.map(|(ke3, _)| ke3).map_err(|_| Code::LoginFailed)
            }
            Frame::Refused(refused) => Err(refused.why.code),
            frame => panic!("{} where KE2 should be", frame.name()),
        }
    };
    let mut link = RawLink::device(world.address("s1"), &alice.name, &DeviceSecret::generate()).await;
    let context = opaque_context(&link.transcript.unwrap());
    assert_eq!(ke3_for(&mut link, b"wrong", &context).await, Err(Code::LoginFailed), "a wrong password has no KE3");
    link.send(LoginFinish { req: 2, ke3: vec![1; 64].into() }).await;
    let Frame::Refused(refused) = link.next().await else { panic!("a made-up KE3 was taken") };
    assert_eq!(refused.why.code, Code::LoginFailed);

    // A login that somebody carries over from another link: the context is that link's, and nothing fits.
    let other = RawLink::device(world.address("s1"), &alice.name, &DeviceSecret::generate()).await;
    let foreign = opaque_context(&other.transcript.unwrap());
    assert_eq!(ke3_for(&mut link, PASSWORD.as_bytes(), &foreign).await, Err(Code::LoginFailed));
    // KE1 again in the middle of a login is refused, and the login starts from nothing.
    assert_eq!(ke3_for(&mut link, PASSWORD.as_bytes(), &context).await, Err(Code::WrongState));
    assert!(ke3_for(&mut link, PASSWORD.as_bytes(), &context).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_is_slowed_down() {
    // So slow that no machine is slower: the fifth guess may come long after the first.
    let world = World::configured(&["s1"], false, |config| config.limits.login_seconds = 3600).await;
    world.person("alice@s1").await;
    for n in 1..=6 {
        let error = log_in(&world, "alice@s1", password("guess")).await.err().expect("no login");
        let slowed = matches!(&error, ClientError::Refused(why) if why.code == Code::TooFast && why.retry_after.is_some());
        assert_eq!(slowed, n > 5, "guess {n}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_people_say_or_know_is_in_the_server_s_folder() {
    let mut world = World::two_servers().await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    alice.finds(&bob.name, "known by his key", |person| person.fingerprint.is_some()).await;
    let secret = "the eagle lands at noon";
    alice.says(&bob.name, secret).await;
    bob.sees(&with(&alice.name), &alice.name, secret).await;
    let public = "this is public and the control of this test";
    alice.announces(public).await;
    bob.sees(&Target::Public, &alice.name, public).await;
    let words = alice.recovery.clone().unwrap();
    for server in ["s1", "s2"] {
        world.stop(server).await;
        let kept = everything_in(world.data(server));
        let holds = |text: &str| kept.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds(public), "{server} keeps public posts, so this test can see");
        assert!(!holds(secret), "{server} keeps a private message");
        assert!(!holds(PASSWORD), "{server} keeps a password");
        assert!(!holds(&words), "{server} keeps a recovery code");
    }
}

fn everything_in(folder: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(everything_in(&path)) } else { all.extend(std::fs::read(path).unwrap()) }
    }
    all
}
