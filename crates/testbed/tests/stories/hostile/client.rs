//! A client that has turned: mallory@s1 is in a group with alice@s1 and bob@s2, has a device and no scruples.

use super::{ANOTHER_STORY, code, copied, go_on, is_shown, log_of};
use std::time::{Duration, Instant};
use tidings_client::SuiteName;
use tidings_client::view::{Role, Target};
use tidings_client::{ClientError, LoginSecret, Zeroizing};
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::opaque::Login;
use tidings_proto::draft::Erase;
use tidings_proto::frame::{LoginStart, Secret};
use tidings_proto::membership::SetRole;
use tidings_proto::{Code, Content, Draft, Encoded, Frame, Kind, LogName, cbor, limits};
use tidings_testbed::PATIENCE;
use tidings_testbed::hostile::{Forger, Member, Note, Sealing, Story};
use tidings_testbed::person::{PASSWORD, Person};
use tidings_testbed::raw::RawLink;
use tidings_testbed::world::World;

struct Inside {
    world: World,
    alice: Person,
    bob: Person,
    mallory: Member,
    group: Target,
    log: LogName,
}

async fn inside() -> Inside {
    let world = World::two_servers().await.on(SuiteName::RsaJwe1);
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
    let mut mallory = Member::registers(&world, "mallory@s1").await;
    for person in [&alice, &bob] {
        person.finds(&mallory.user, "known by a key", |person| person.fingerprint.is_some()).await;
    }
    alice.knows(&bob).await;
    bob.knows(&alice).await;
    let group = alice.makes_group("Guests").await;
    let log = log_of(&group);
    alice.invites(&group, &mallory.user).await;
    mallory.joins(&log, &["s1", "s2"], 1).await;
    alice.invites(&group, &bob.name).await;
    bob.joins(&group).await;
    let said = alice.writes(&group, "welcome").await;
    alice.is_sent(said).await;
    bob.sees(&group, &alice.name, "welcome").await;
    Inside { world, alice, bob, mallory, group, log }
}

/// Everything that a server can refuse, it refuses, with the reason; and everything that it cannot see is shown by who can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_member_forges_is_refused_by_the_server_or_shown_by_the_readers() {
    let mut inside = inside().await;
    let Inside { alice, bob, mallory, group, log, .. } = &mut inside;
    let known = mallory.group(log, &["s1", "s2"]).await;
    let public = LogName::Public("s1".parse().unwrap());
    let epoch = Some(known.now().epoch());
    let first = mallory.seals(known.message(&mallory.user, 2, "I am new here")).await;
    mallory.submits(log, &first, None).await.unwrap();
    let join = known.story.drafts().find(|(_, draft)| draft.author == mallory.user).unwrap();
    let (joined_at, join) = (join.0, join.1.clone());
    let welcome = known.story.drafts().find(|(_, draft)| draft.author == alice.name && draft.kind == Kind::Sealed).unwrap();
    let ghost = DeviceSecret::generate();
    let post = |n| Note { n, kind: Kind::Post, epoch: None, body: cbor::encode(&Content::text("I, alice, owe you money").unwrap()) };
    let erase = cbor::encode(&Erase { seq: welcome.0, draft: welcome.1.hash() });
    let crown = cbor::encode(&SetRole { prev: known.now().last(), user: mallory.user.clone(), role: Role::Owner.into() });
    let refused = [
        ("in alice's name, in public", &public, mallory.signs_as(&alice.name, &public, post(1)), Code::Forbidden),
        ("in alice's name, in the group", &*log, copied(&first, |draft| draft.author = alice.name.clone()), Code::Forbidden),
        ("by another device", &*log, copied(&first, |draft| draft.device = ghost.public()), Code::Forbidden),
        (
            "by a signature for another text",
            &public,
            copied(&mallory.post(1, "a"), |draft| draft.body = post(1).body.into()),
            Code::BadSignature,
        ),
        ("for the room as it was", &*log, copied(&first, |draft| (draft.n, draft.epoch) = (3, join.epoch)), Code::Stale),
        ("a number that is taken", &*log, copied(&first, |draft| draft.body = vec![7].into()), Code::Rewound),
        ("a number that is too high", &*log, copied(&first, |draft| draft.n = 9), Code::Gap),
        ("a second coming", &*log, mallory.signs(log, Note { n: 3, kind: Kind::Join, epoch, body: join.body.to_vec() }), Code::Stale),
        ("a crown", &*log, mallory.signs(log, Note { n: 3, kind: Kind::SetRole, epoch, body: crown }), Code::Forbidden),
        ("what alice has said, erased", &*log, mallory.signs(log, Note { n: 3, kind: Kind::Erase, epoch, body: erase }), Code::Forbidden),
    ];
    for (what, log, draft, wanted) in &refused {
        assert_eq!(code(mallory.submits(log, draft, None).await), *wanted, "{what}");
    }
    let again = mallory.submits(log, &join, None).await.unwrap();
    assert_eq!(again.seq, joined_at, "what comes again has the place that it had");

    // Sealed, so no server sees it: alice's name inside; for the room without bob; as if the room had begun otherwise.
    let was = known.members.iter().rfind(|members| members.has(&mallory.user) && !members.has(&bob.name)).unwrap();
    let tip = Story { log: log.clone(), entries: mallory.log(log).await }.tip();
    let user = mallory.user.clone();
    let honest = |n, text| Sealing { seen: (tip.seq, tip.hash), ..known.message(&user, n, text) };
    let forged = [
        Sealing { author: &alice.name, ..honest(3, "I, alice, agree") },
        Sealing { members: was, ..honest(4, "bob need not know") },
        Sealing { seen: (1, tip.hash), ..honest(5, "I was told something else") },
    ];
    for message in forged {
        let draft = mallory.seals(message).await;
        mallory.submits(log, &draft, None).await.unwrap();
    }
    let elsewhere = "it does not belong where it was found:";
    let wanted = [
        &format!("{elsewhere} it was written by somebody else"),
        &format!("{elsewhere} it is not locked to exactly this room's members"),
        ANOTHER_STORY,
    ];
    for person in [&*alice, &*bob] {
        is_shown(person, group, &wanted.map(|wanted| wanted)).await;
        person.hears_exactly(group, &[("alice@s1", "welcome"), ("mallory@s1", "I am new here")]).await;
        let members = person.client.members(group).await.unwrap();
        assert!(members.iter().all(|member| member.user != mallory.user || member.role == Role::Member), "{members:?}");
    }
    let said = bob.writes(group, "who is this?").await;
    bob.is_sent(said).await;
    alice.sees(group, &bob.name, "who is this?").await;
    go_on(alice, bob, "let us talk here").await;
}

/// A thief has a device that is linked, and neither password nor identity: the account stays its owner's. And nobody writes more
/// than may be said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_device_changes_no_keys_and_nobody_writes_more_than_may_be_said() {
    let mut inside = inside().await;
    let Inside { world, alice, bob, mallory, .. } = &mut inside;
    let (keys, public) = (LogName::Keys("s1".parse().unwrap()), LogName::Public("s1".parse().unwrap()));
    let forger = Forger::arrives().await;
    let history = Story { log: keys.clone(), entries: mallory.log(&keys).await };
    let (user, first) = (mallory.user.clone(), history.drafts().find(|(_, draft)| draft.author == mallory.user).unwrap().1.clone());
    let ghost = forger.with_a_ghost(&history, &user).await;
    let swap = forger.with_other_keys(&history, &user).await;
    let anew = forger.anew(&history, &user, world.key("s1"), |bytes| forger.ghost.sign(bytes)).await;
    let own = |kind, body: &[u8], n| Note { n, kind, epoch: None, body: body.to_vec() };
    let list = |kind, list: &Encoded<Draft>| mallory.signs_under(list.list, &keys, own(kind, &list.body, 2));
    let refused = [
        ("a device that the identity has not signed for", list(Kind::List, &ghost), Code::BadSignature),
        ("another identity", list(Kind::List, &swap), Code::Forbidden),
        ("another identity, as a rotation", list(Kind::Rotate, &swap), Code::PasswordNeeded),
        ("a new beginning", list(Kind::Reset, &anew), Code::Forbidden),
        ("the list before", list(Kind::List, &first), Code::Conflict),
        ("the first list again, as another", list(Kind::First, &first), Code::Forbidden),
        ("alice's keys", forger.with_a_ghost(&history, &alice.name).await, Code::Forbidden),
    ];
    for (what, draft, wanted) in refused {
        assert_eq!(code(mallory.submits(&keys, &draft, None).await), wanted, "{what}");
    }
    for (n, bytes) in [(1, limits::TEXT - 1), (2, limits::TEXT)] {
        let body = cbor::encode(&Content { text: "x".repeat(bytes), ..Content::default() });
        let draft = mallory.signs(&public, own(Kind::Post, &body, n));
        mallory.submits(&public, &draft, None).await.unwrap();
    }
    let body = cbor::encode(&Content { text: "x".repeat(limits::TEXT + 1), ..Content::default() });
    let draft = mallory.signs(&public, own(Kind::Post, &body, 3));
    assert_eq!(code(mallory.submits(&public, &draft, None).await), Code::TooLarge);
    for person in [&*alice, &*bob] {
        person.until("has both posts", async || person.hears(&Target::Public).await.len() == 2).await;
        let shown = person.client.people().await.unwrap().into_iter().find(|person| person.user == user).unwrap();
        assert_eq!((shown.devices, shown.alarm), (1, None));
        assert_eq!(person.client.notices(0).await.unwrap(), []);
    }
    go_on(alice, bob, "that was long").await;
}

/// A guess is counted when it is begun. Whoever never finishes one has no more of them; who is in stays in; and in time, as long as
/// nobody guesses, the password opens the account again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_that_are_never_finished_are_counted_like_all_others() {
    let world = World::configured(&["s1"], false, |config| config.limits.login_seconds = 10).await;
    let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s1").await);
    alice.knows(&bob).await;
    bob.knows(&alice).await;
    let guess = async |link: &mut RawLink| {
        let (_, ke1) = Login::start(b"a guess").unwrap();
        link.send(LoginStart { req: 7, with: Secret::Password, ke1: ke1.into() }).await;
        match link.next().await {
            Frame::LoginReply(_) => Ok(()),
            Frame::Refused(refused) => Err(refused.why),
            other => panic!("a guess is answered by {}", other.name()),
        }
    };
    let mut links = Vec::new();
    for n in 1..=7 {
        let mut link = RawLink::device(world.address("s1"), &alice.name, &DeviceSecret::generate()).await;
        match guess(&mut link).await {
            Ok(()) => assert!(n <= 5, "guess {n} is answered"),
            Err(why) => assert!(n > 5 && why.code == Code::TooFast && why.retry_after.is_some(), "guess {n}: {why:?}"),
        }
        links.push(link);
    }
    // One that is under way is given up by beginning another; and that gives nothing back.
    assert_eq!(code(guess(&mut links[0]).await), Code::WrongState);
    assert_eq!(code(guess(&mut links[0]).await), Code::TooFast);
    go_on(&alice, &bob, "somebody is guessing").await;
    let log_in = async |profile: &str| {
        let with = LoginSecret::Password(Zeroizing::new(PASSWORD.into()));
        Person::log_in(&alice.name, world.address("s1"), world.key("s1"), world.profile(profile), with).await
    };
    let begun = Instant::now();
    let back = loop {
        match log_in("back").await {
            Ok(back) => break back,
            Err(ClientError::Refused(why)) if why.code == Code::TooFast && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_secs(why.retry_after.expect("when to come again"))).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    back.sees(&Target::Public, &alice.name, "somebody is guessing").await;
}
