//! A home server that has turned: s1 tells alice, its own user, what it likes. Nobody stands between her client and it, so all that is
//! refused her own client refuses.

use super::{ANOTHER_STORY, ELSEWHERE, GONE, REPEATS, copied, go_on, is_shown, is_stopped, last_of, log_of};
use tidings_client::ClientError;
use tidings_client::view::{Role, Target, Trust};
use tidings_proto::{Content, Draft, Genesis, Kind, LogName, Payload, SuiteName, cbor, limits};
use tidings_testbed::hostile::{Forger, Hostile};
use tidings_testbed::person::{Person, with};
use tidings_testbed::world::World;

/// alice@s1 and bob@s2 have talked, in private, in public, and in a group of hers; bob has two devices. Then s1 has turned.
struct Turned {
    s1: Hostile,
    alice: Person,
    bob: Person,
    carol: Person,
    group: Target,
    /// Of alice's and bob's private room, and of the group.
    logs: [LogName; 2],
    _world: World,
}

impl Turned {
    async fn new() -> Turned {
        let mut world = World::two_servers().await.on(SuiteName::RsaJwe1);
        let (alice, bob, carol) = (world.person("alice@s1").await, world.person("bob@s2").await, world.person("carol@s2").await);
        for (one, other) in [(&alice, &bob), (&alice, &carol), (&bob, &alice), (&bob, &carol), (&carol, &bob)] {
            one.knows(other).await;
        }
        let group = alice.makes_group("At home").await;
        alice.invites(&group, &bob.name).await;
        bob.joins(&group).await;
        let zero = bob.writes(&group, "zero").await;
        bob.is_sent(zero).await;
        for role in [Role::Admin, Role::Member] {
            let set = alice.client.set_role(&group, &bob.name, role).await.unwrap();
            alice.is_sent(set).await;
            bob.until("has another role", async || bob.room(&group).await.is_some_and(|room| room.role == Some(role))).await;
        }
        for target in [&group, &with(&alice.name)] {
            for text in ["one", "two"] {
                let said = bob.writes(target, text).await;
                bob.is_sent(said).await;
            }
        }
        let post = bob.announces("from s2").await;
        bob.is_sent(post).await;
        alice.sees(&with(&bob.name), &bob.name, "two").await;
        alice.hears_exactly(&group, &[("bob@s2", "zero"), ("bob@s2", "one"), ("bob@s2", "two")]).await;
        alice.sees(&Target::Public, &bob.name, "from s2").await;
        bob.another_device(world.address("s2"), world.profile("tablet")).await.client.close().await;
        alice.finds(&bob.name, "known on both devices", |bob| bob.devices == 2).await;
        let direct = Genesis::direct(SuiteName::RsaJwe1, &alice.name, &bob.name).log();
        let logs = [direct, log_of(&group)];
        let s1 = world.turns("s1").await;
        Turned { s1, alice, bob, carol, group, logs, _world: world }
    }

    /// The link ends and comes back, and all that is asked at its beginning is asked again.
    async fn relinks(&self) {
        self.alice.wire.cut();
        self.alice
            .until("has lost its link", async || !matches!(self.alice.client.link(), tidings_client::view::Link::Linked { .. }))
            .await;
        self.alice.wire.heal();
        self.alice.client.linked(tidings_testbed::PATIENCE).await.unwrap();
    }

    async fn bob_as_alice_has_him(&self) -> (Trust, usize) {
        let people = self.alice.client.people().await.unwrap();
        people.into_iter().find(|person| person.user == self.bob.name).map(|bob| (bob.trust, bob.devices)).unwrap()
    }
}

/// Forged, replayed, repeated, hidden and poisoned: in private, in a group, and in public.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_home_makes_up_is_shown_to_its_own_user_as_nobodys() {
    let there = Turned::new().await;
    let Turned { s1, alice, bob, carol, group, logs: [direct, log], .. } = &there;
    let alices = with(&bob.name);
    let spoken = last_of(&s1.story(direct), bob);
    s1.tells(direct, |story| {
        story.append(&copied(&spoken, |draft| draft.n += 1));
        story.append(&spoken);
        story.append(&copied(&spoken, |draft| draft.n += 2));
        story.hide(story.entries.len() as u64);
    });
    is_shown(alice, &alices, &[ELSEWHERE, REPEATS, GONE]).await;

    let story = s1.story(log);
    let zero = story.drafts().find(|(_, draft)| draft.author == bob.name && draft.kind == Kind::Sealed).unwrap().1.clone();
    let promoted = story.drafts().find(|(_, draft)| draft.kind == Kind::SetRole).unwrap().1.clone();
    s1.tells(log, |story| {
        story.append(&promoted);
        story.append(&zero);
        story.append(&copied(&promoted, |draft| draft.n += 7));
    });
    let stale = "alice@s1 has tried to change the group: somebody else has changed the members first";
    let epoch = "it does not belong where it was found: it was written in another epoch";
    is_shown(alice, group, &[stale, epoch, "the draft's signature does not verify"]).await;
    let members = alice.client.members(group).await.unwrap();
    assert!(members.iter().any(|member| member.user == bob.name && member.role == Role::Member), "{members:?}");

    let public = LogName::Public("s2".parse().unwrap());
    let post = last_of(&s1.story(&public), bob);
    let says = |text: &str| cbor::encode(&Content::text(text).unwrap()).into();
    s1.tells(&public, |story| {
        story.append(&copied(&post, |draft| (draft.n, draft.body) = (draft.n + 1, says("I owe you money"))));
        story.append(&copied(&post, |draft| draft.author = "nobody@s2".parse().unwrap()));
        story.append(&post);
    });
    let nobody = "it names nobody@s2 as its author, whose keys are not known";
    is_shown(alice, &Target::Public, &["the draft's signature does not verify", nobody, REPEATS]).await;
    assert_eq!(alice.hears(&Target::Public).await, [("bob@s2".to_owned(), "from s2".to_owned())]);
    go_on(bob, carol, "far from s1").await;
}

/// Roll-back and a ghost device are not taken; another history is shown, and stops what is sent to whom it is about and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_home_says_of_keys_is_held_against_what_was_seen() {
    let there = Turned::new().await;
    let Turned { s1, alice, bob, carol, .. } = &there;
    let forger = Forger::arrives().await;
    let (theirs, own) = (LogName::Keys("s2".parse().unwrap()), LogName::Keys("s1".parse().unwrap()));
    let history = s1.story(&theirs);
    let devices: Vec<u64> = history.drafts().filter(|(_, draft)| draft.author == bob.name).map(|(seq, _)| seq).collect();
    assert_eq!(devices.len(), 2);
    // Bob's tablet was never added.
    s1.tells(&theirs, |story| story.entries.truncate(devices[1] as usize - 1));
    there.relinks().await;
    assert_eq!(there.bob_as_alice_has_him().await, (Trust::Pinned, 2), "what was seen stays");
    // A device more, that he has not signed for.
    let ghost = forger.with_a_ghost(&history, &bob.name).await;
    s1.tells(&theirs, |story| {
        *story = history.clone();
        story.append(&ghost);
    });
    there.relinks().await;
    let by_ghost = Draft {
        device: forger.ghost.public(),
        n: 1,
        author: bob.name.clone(),
        list: 2,
        epoch: None,
        kind: Kind::Post,
        body: cbor::encode(&Content::text("from a new phone").unwrap()).into(),
        sig: None,
    };
    let public = LogName::Public("s2".parse().unwrap());
    let by_ghost = by_ghost.signed(&public, |bytes| forger.ghost.sign(bytes));
    s1.tells(&public, |story| story.append(&by_ghost));
    is_shown(alice, &Target::Public, &["the device is not one of its author's"]).await;
    assert_eq!(there.bob_as_alice_has_him().await, (Trust::Pinned, 2));
    let said = alice.says(&bob.name, "is that you?").await;
    alice.is_sent(said).await;
    // Another beginning.
    let swapped = forger.first(&history, &bob.name).await;
    s1.tells(&theirs, |story| story.entries[devices[0] as usize - 1].payload = Payload::Draft(swapped));
    there.relinks().await;
    let alarm = "the server now shows another key history than the one that was seen first";
    alice.finds(&bob.name, "changed", |bob| bob.trust == Trust::Changed && bob.alarm.as_deref() == Some(alarm)).await;
    let refused = alice.client.send(&with(&bob.name), "who is this?").await;
    assert!(matches!(&refused, Err(error @ ClientError::KeyChanged { .. }) if error.exit_code() == 8), "{refused:?}");
    assert!(alice.client.notices(0).await.unwrap().iter().any(|notice| notice.user == bob.name), "and she is told");
    let said = alice.says(&carol.name, "bob is not himself").await;
    alice.is_sent(said).await;
    // Carol begins anew, says the server that is not even hers; and alice herself, whose it is.
    let word = |bytes: &[u8]| s1.identity().sign(bytes);
    let carols = forger.anew(&history, &carol.name, s1.identity().key(), word).await;
    let alices = forger.anew(&s1.story(&own), &alice.name, s1.identity().key(), word).await;
    s1.tells(&theirs, |story| story.append(&carols));
    s1.tells(&own, |story| story.append(&alices));
    there.relinks().await;
    for user in [&carol.name, &alice.name] {
        alice.finds(user, "begun anew", |person| person.alarm.as_ref().is_some_and(|alarm| alarm.contains("begun anew"))).await;
        let refused = alice.client.send(&with(user), "not to these keys").await;
        assert!(matches!(&refused, Err(ClientError::KeyChanged { .. })), "{refused:?}");
    }
    go_on(bob, carol, "alice is lost").await;
}

/// What was told is told otherwise: that log is over, by the client's own word, and no other; also after the client has begun again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_tells_two_stories_or_what_cannot_be_read_ends_that_log_only() {
    let there = Turned::new().await;
    let Turned { s1, alice, bob, carol, group, logs: [direct, log], .. } = &there;
    let other = "its server does not continue it as it began: the chain of hashes is another";
    s1.tells(direct, |story| {
        story.swap(story.entries.len() as u64 - 1);
        let again = last_of(story, bob);
        story.append(&again);
    });
    is_stopped(alice, &with(&bob.name), direct, other).await;
    alice.hears_exactly(&with(&bob.name), &[("bob@s2", "one"), ("bob@s2", "two")]).await;
    // Longer than any draft: a server that has let it in has not been one of ours.
    let public = LogName::Public("s2".parse().unwrap());
    let post = last_of(&s1.story(&public), bob);
    s1.tells(&public, |story| story.append(&copied(&post, |draft| draft.body = vec![0; limits::DRAFT].into())));
    is_stopped(alice, &Target::Public, &public, "its server does not continue it as it began: an entry cannot be read").await;
    // The group goes on, though bob has seen more of it than she is told now.
    s1.tells_only("s2", log, |_| {});
    let said = alice.writes(group, "is anybody there?").await;
    alice.is_sent(said).await;
    bob.sees(group, &alice.name, "is anybody there?").await;
    let again = last_of(&s1.story(log), alice);
    s1.tells_only("alice@s1", log, |story| story.append(&again));
    is_shown(alice, group, &["its server repeats, or re-orders, what alice@s1 has written"]).await;
    let answer = bob.writes(group, "I am").await;
    bob.is_sent(answer).await;
    alice
        .hears_exactly(
            group,
            &[("bob@s2", "zero"), ("bob@s2", "one"), ("bob@s2", "two"), ("alice@s1", "is anybody there?"), ("bob@s2", "I am")],
        )
        .await;
    let last = alice.writes(group, "I hear you").await;
    alice.is_sent(last).await;
    is_shown(bob, group, &[ANOTHER_STORY]).await;
    go_on(bob, carol, "she is being told things").await;
    let Turned { alice, bob, logs: [direct, _], .. } = there;
    let alice = alice.reopen().await;
    is_stopped(&alice, &with(&bob.name), &direct, other).await;
}
