//! A peer that has turned: s2 submits to s1, which orders a group of alice's and dave's, and tells s1 of logs.

use super::{GONE, code, copied, go_on, log_of};
use tidings_client::SuiteName;
use tidings_client::view::{Role, Status, Target, Trust};
use tidings_proto::frame::{Entries, Item, Named};
use tidings_proto::{Code, Content, Entry, Hash, Kind, LogName, Payload, cbor, limits};
use tidings_testbed::hostile::{Forger, Hostile, Member, Note};
use tidings_testbed::person::Person;
use tidings_testbed::world::World;

/// alice@s1 has made a group with dave@s1 and mallory@s2, who has come in and said something.
struct Open {
    world: World,
    alice: Person,
    dave: Person,
    mallory: Member,
    group: Target,
    log: LogName,
}

async fn open_house() -> Open {
    let world = World::two_servers().await.on(SuiteName::RsaJwe1);
    let (alice, dave) = (world.person("alice@s1").await, world.person("dave@s1").await);
    let mut mallory = Member::registers(&world, "mallory@s2").await;
    alice.finds(&mallory.user, "known by a key", |person| person.fingerprint.is_some()).await;
    dave.finds(&mallory.user, "known by a key", |person| person.fingerprint.is_some()).await;
    alice.knows(&dave).await;
    dave.knows(&alice).await;
    let group = alice.makes_group("Open house").await;
    let log = log_of(&group);
    alice.invites(&group, &dave.name).await;
    dave.joins(&group).await;
    alice.invites(&group, &mallory.user).await;
    mallory.joins(&log, &["s1", "s2"], 1).await;
    let known = loop {
        let known = mallory.group(&log, &["s1", "s2"]).await;
        if known.now().members().count() == 3 {
            break known;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let hello = mallory.seals(known.message(&mallory.user, 2, "hello")).await;
    mallory.submits(&log, &hello, None).await.unwrap();
    for person in [&alice, &dave] {
        person.hears_exactly(&group, &[("mallory@s2", "hello")]).await;
    }
    let promoted = alice.client.set_role(&group, &dave.name, Role::Admin).await.unwrap();
    alice.is_sent(promoted).await;
    Open { world, alice, dave, mallory, group, log }
}

async fn all_is_well(open: &Open, text: &str) {
    let said = open.alice.writes(&open.group, text).await;
    open.alice.is_sent(said).await;
    open.dave.sees(&open.group, &open.alice.name, text).await;
    go_on(&open.alice, &open.dave, text).await;
}

/// What a peer submits: in others' names, by a device that is nobody's, for a room as it was, by a number that is taken or too high,
/// longer than may be, and a membership that is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_may_not_submit_is_refused_with_the_reason() {
    let mut open = open_house().await;
    let s2 = open.world.turns("s2").await;
    let Open { alice, mallory, group, log, .. } = &open;
    let (public, keys) = (LogName::Public("s1".parse().unwrap()), LogName::Keys("s1".parse().unwrap()));
    let forger = Forger::arrives().await;
    let story = s2.story(log);
    let hello = story.drafts().rfind(|(_, draft)| draft.author == mallory.user).unwrap().1.clone();
    let join = story.drafts().find(|(_, draft)| draft.author == mallory.user).unwrap().1.clone();
    let now = story.drafts().rfind(|(_, draft)| draft.kind.is_membership()).unwrap().1.clone();
    let (before, now) = (hello.epoch, now.epoch.map(|epoch| epoch + 1));
    assert_eq!(before.map(|epoch| epoch + 1), now, "the room has changed since");
    let post = |n| Note { n, kind: Kind::Post, epoch: None, body: cbor::encode(&Content::text("I am who I say").unwrap()) };
    let stranger = "carol@s3".parse().unwrap();
    let refused = [
        ("alice, in public", &public, mallory.signs_as(&alice.name, &public, post(1)), Code::Forbidden),
        ("alice, in the group", log, copied(&hello, |draft| draft.author = alice.name.clone()), Code::Forbidden),
        ("somebody of a third server", &public, mallory.signs_as(&stranger, &public, post(1)), Code::Forbidden),
        ("in another server's public chat", &public, mallory.signs(&public, post(1)), Code::Forbidden),
        (
            "a device that is nobody's",
            log,
            copied(&hello, |draft| (draft.device, draft.n, draft.epoch) = (forger.ghost.public(), 1, now)),
            Code::Revoked,
        ),
        ("a signature for something else", log, copied(&join, |draft| (draft.n, draft.epoch) = (3, now)), Code::BadSignature),
        ("for the room as it was", log, copied(&hello, |draft| draft.n = 3), Code::Stale),
        ("a number that is taken", log, copied(&hello, |draft| (draft.body, draft.epoch) = (vec![7].into(), now)), Code::Rewound),
        ("a number that is too high", log, copied(&hello, |draft| (draft.n, draft.epoch) = (9, now)), Code::Gap),
        ("another's keys", &keys, forger.with_a_ghost(&s2.story(&keys), &alice.name).await, Code::Forbidden),
        ("another's beginning", &keys, forger.first(&s2.story(&keys), &alice.name).await, Code::Forbidden),
        (
            "another's new beginning",
            &keys,
            forger.anew(&s2.story(&keys), &alice.name, s2.identity().key(), |bytes| s2.identity().sign(bytes)).await,
            Code::Forbidden,
        ),
    ];
    for (what, log, draft, wanted) in &refused {
        assert_eq!(code(s2.submits("s1", log, draft).await), *wanted, "{what}");
    }
    // What may be said at most is taken; one byte more is not.
    let sized = |n, bytes: usize| {
        let of = |body: usize| copied(&hello, |draft| (draft.n, draft.epoch, draft.body) = (n, now, vec![0; body].into()));
        of(2 * bytes - of(bytes).bytes().len())
    };
    for (n, bytes) in [(3, limits::DRAFT - 1), (4, limits::DRAFT)] {
        let draft = sized(n, bytes);
        assert_eq!(draft.bytes().len(), bytes);
        s2.submits("s1", log, &draft).await.unwrap();
    }
    assert_eq!(code(s2.submits("s1", log, &sized(5, limits::DRAFT + 1)).await), Code::TooLarge);
    let junk = "it does not belong where it was found: it is not of this room's suite";
    super::is_shown(alice, group, &[junk, junk]).await;

    // Whose membership is over does not come back by what had made it.
    let removed = alice.client.remove(group, &mallory.user).await.unwrap();
    alice.is_sent(removed).await;
    let again = s2.submits("s1", log, &join).await.unwrap();
    assert_eq!(
        Some(again.seq),
        story.drafts().find(|(_, draft)| draft.hash() == join.hash()).map(|(seq, _)| seq),
        "the answer that it had"
    );
    let epoch = now.map(|epoch| epoch + 1);
    let anew = mallory.signs(log, Note { n: 5, kind: Kind::Join, epoch, body: join.body.to_vec() });
    assert_eq!(code(s2.submits("s1", log, &anew).await), Code::Stale);
    let too_late = copied(&hello, |draft| (draft.n, draft.epoch) = (5, epoch));
    assert_eq!(code(s2.submits("s1", log, &too_late).await), Code::Forbidden);
    alice.sees_members(group, &[&alice.name, &open.dave.name]).await;
    assert_eq!(alice.hears(&Target::Public).await, []);
    all_is_well(&open, "not bad, for a start").await;
}

/// What a peer tells of logs that are not its own, and of people who are not its own in logs that are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_is_believed_about_its_own_logs_and_its_own_people_only() {
    let mut open = open_house().await;
    let s2 = open.world.turns("s2").await;
    let Open { alice, dave, mallory, log, .. } = &open;
    let (public, keys) = (LogName::Public("s1".parse().unwrap()), LogName::Keys("s1".parse().unwrap()));
    let forger = Forger::arrives().await;
    let history = s2.story(&keys);
    let other_keys = forger.with_other_keys(&history, &alice.name).await;
    let first = forger.first(&history, &alice.name).await;
    let post =
        mallory.signs(&public, Note { n: 1, kind: Kind::Post, epoch: None, body: cbor::encode(&Content::text("from inside").unwrap()) });
    // Of s1's own logs, as if s1 had asked.
    for (number, log, draft) in [(7001, &public, &post), (7002, &keys, &other_keys), (7003, log, &post)] {
        let entry = Entry { seq: 1, at: 1, payload: Payload::Draft(draft.clone()) }.encode();
        s2.says("s1", Named { number, log: log.clone() }).await;
        s2.says("s1", Entries { log: number, prev: Some(Hash::ZERO), items: vec![Item { entry, got: None }] }).await;
    }
    // In its own: alice's keys, and alice's word.
    let (own_keys, own_public) = (LogName::Keys("s2".parse().unwrap()), LogName::Public("s2".parse().unwrap()));
    s2.tells(&own_keys, |story| story.append(&first));
    let body = cbor::encode(&Content::text("alice was here").unwrap());
    let forged = mallory.signs_as(&alice.name, &own_public, Note { n: 1, kind: Kind::Post, epoch: None, body });
    s2.tells(&own_public, |story| story.append(&forged));
    honest_post(&s2, mallory, &own_public).await;
    for person in [alice, dave] {
        person.sees(&Target::Public, &mallory.user, "to everybody").await;
        let shown: Vec<(String, bool)> = person
            .messages(&Target::Public)
            .await
            .into_iter()
            .map(|message| (message.text, matches!(&message.status, Status::Unreadable { reason } if reason.starts_with(GONE))))
            .collect();
        assert_eq!(shown, [(String::new(), true), ("to everybody".into(), false)]);
        let of_alice = person.client.people().await.unwrap().into_iter().find(|person| person.user == alice.name).unwrap();
        assert_eq!((of_alice.trust, of_alice.devices, of_alice.alarm), (Trust::Pinned, 1, None));
        assert_eq!(person.client.notices(0).await.unwrap(), []);
        assert!(person.client.rooms().await.unwrap().iter().all(|room| room.stopped.is_empty()));
    }
    all_is_well(&open, "nobody of us was there").await;
}

async fn honest_post(s2: &Hostile, mallory: &Member, log: &LogName) {
    let post = mallory.post(1, "to everybody");
    s2.tells(log, |story| story.append(&post));
}
