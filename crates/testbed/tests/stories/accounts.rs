//! Who may make an account: anybody, whoever has a code, or nobody but those whom the operator names.

use tidings_client::{ClientError, Endpoint, Register, Zeroizing, register};
use tidings_proto::Code;
use tidings_server::Registration;
use tidings_server::operator::{Answer, Ask, Issued, UserState, ask};
use tidings_testbed::person::PASSWORD;
use tidings_testbed::world::World;

async fn server(registration: Registration) -> World {
    World::configured(&["s1"], false, |config| {
        config.registration = registration;
        config.limits.registration_burst = 100;
    })
    .await
}

async fn issued(world: &World, question: Ask) -> Issued {
    let mut made = None;
    let take = |answer| {
        if let Answer::Issued(issued) = answer {
            made = Some(issued)
        }
    };
    ask(world.data("s1"), &question, take).await.expect("an operator's socket");
    made.expect("a code")
}

async fn invitation(world: &World, uses: u32) -> String {
    issued(world, Ask::Invite { uses, seconds: 3600 }).await.code
}

async fn users(world: &World) -> Vec<(String, UserState)> {
    let mut users = Vec::new();
    let take = |answer| {
        if let Answer::User(user) = answer {
            users.push((user.user, user.state))
        }
    };
    ask(world.data("s1"), &Ask::Users, take).await.expect("an operator's socket");
    users
}

/// Tries to register; the code that it was refused with.
async fn join(world: &World, name: &str, code: Option<&str>) -> Result<(), Code> {
    let profile = world.profile(&format!("{name}-{}", rand_core::RngCore::next_u64(&mut rand_core::OsRng)));
    let endpoint =
        Endpoint { name: "s1".parse().unwrap(), address: world.address("s1").to_string(), key: Some(world.key("s1")), plain: false };
    let request = Register {
        profile: &profile,
        endpoint,
        user: format!("{name}@s1").parse().unwrap(),
        password: Zeroizing::new(PASSWORD.into()),
        code: code.map(str::to_owned),
        device_name: None,
    };
    match register(request).await {
        Ok(_) => Ok(()),
        Err(ClientError::Refused(why)) => Err(why.code),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_server_takes_anybody_but_keeps_the_operator_s_names() {
    let world = server(Registration::Open).await;
    let claim = issued(&world, Ask::AddUser { name: "carol".into() }).await.code;
    assert_eq!(join(&world, "alice", None).await, Ok(()));
    assert_eq!(join(&world, "carol", None).await, Err(Code::RegistrationClosed));
    assert_eq!(join(&world, "carol", Some(&invitation(&world, 1).await)).await, Err(Code::BadCode), "an invitation is no claim");
    assert_eq!(join(&world, "carol", Some(&claim)).await, Ok(()));
    assert_eq!(join(&world, "carol", Some(&claim)).await, Err(Code::NameTaken));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_invitation_means_with_one_that_is_good() {
    let world = server(Registration::ByCode).await;
    for code in [None, Some("")] {
        assert_eq!(join(&world, "alice", code).await, Err(Code::RegistrationClosed), "{code:?}");
    }
    for wrong in ["abcd-efgh", "\u{0}", "null"] {
        assert_eq!(join(&world, "alice", Some(wrong)).await, Err(Code::BadCode), "{wrong:?}");
    }
    let once = invitation(&world, 1).await;
    assert_eq!(join(&world, "alice", Some(&once)).await, Ok(()));
    assert_eq!(join(&world, "bob", Some(&once)).await, Err(Code::BadCode), "used up");
    // Somebody else's claim opens no other name, and what is refused uses nothing up.
    let claim = issued(&world, Ask::AddUser { name: "carol".into() }).await.code;
    assert_eq!(join(&world, "bob", Some(&claim)).await, Err(Code::BadCode));
    let second = issued(&world, Ask::AddUser { name: "carol".into() }).await.code;
    assert_eq!(join(&world, "carol", Some(&claim)).await, Err(Code::BadCode), "the second made the first void");
    assert_eq!(join(&world, "carol", Some(&second)).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_server_takes_only_whom_its_operator_names() {
    let world = server(Registration::Closed).await;
    assert_eq!(join(&world, "alice", None).await, Err(Code::RegistrationClosed));
    let claim = issued(&world, Ask::AddUser { name: "carol".into() }).await;
    assert_eq!(join(&world, "alice", Some(&claim.code)).await, Err(Code::RegistrationClosed));
    assert_eq!(join(&world, "carol", None).await, Err(Code::RegistrationClosed));
    ask(world.data("s1"), &Ask::Revoke { id: claim.id }, |_| {}).await.unwrap();
    assert_eq!(join(&world, "carol", Some(&claim.code)).await, Err(Code::RegistrationClosed), "and takes the name back if they like");
    let claim = issued(&world, Ask::AddUser { name: "carol".into() }).await.code;
    assert_eq!(join(&world, "carol", Some(&claim)).await, Ok(()));
    assert_eq!(users(&world).await, [("carol@s1".into(), UserState::Account)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_race_for_the_last_use_one_wins() {
    let world = server(Registration::ByCode).await;
    let code = invitation(&world, 2).await;
    assert_eq!(join(&world, "alice", Some(&code)).await, Ok(()));
    let (one, two) = tokio::join!(join(&world, "bob", Some(&code)), join(&world, "carol", Some(&code)));
    let mut both = [one, two];
    both.sort_by_key(Result::is_err);
    assert_eq!(both, [Ok(()), Err(Code::BadCode)]);
    assert_eq!(users(&world).await.len(), 2, "nothing is left of who lost");
}
