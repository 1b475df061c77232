//! A hub that has turned: s1 orders a group of alice's, bob's and carol's, and the public chat of its own people.

use super::{ANOTHER_STORY, ELSEWHERE, GONE, REPEATS, copied, go_on, is_shown, is_stopped, last_of, log_of};
use tidings_client::SuiteName;
use tidings_client::view::{Role, Target};
use tidings_proto::membership::Remove;
use tidings_proto::{Content, Draft, Encoded, Kind, LogName, Signature, cbor, limits};
use tidings_testbed::hostile::{Hostile, Member, Note, Story};
use tidings_testbed::person::Person;
use tidings_testbed::world::World;

/// alice@s1 has made a group with bob@s2 and carol@s3. Then s1 has turned, and alice has left the stage.
struct Turned {
    world: World,
    s1: Hostile,
    bob: Person,
    carol: Person,
    group: Target,
    log: LogName,
}

impl Turned {
    /// `before` is what happens in the group while all is well.
    async fn after(before: impl AsyncFnOnce(&Person, &Person, &Person, &Target)) -> Turned {
        let mut world = World::of(&["s1", "s2", "s3"], false).await.on(SuiteName::RsaJwe1);
        let (alice, bob, carol) = (world.person("alice@s1").await, world.person("bob@s2").await, world.person("carol@s3").await);
        for (one, other) in [(&alice, &bob), (&alice, &carol), (&bob, &alice), (&bob, &carol), (&carol, &alice), (&carol, &bob)] {
            one.knows(other).await;
        }
        let group = alice.makes_group("Trust").await;
        for person in [&bob, &carol] {
            alice.invites(&group, &person.name).await;
            person.joins(&group).await;
        }
        before(&alice, &bob, &carol, &group).await;
        for person in [&bob, &carol] {
            person.sees_members(&group, &[&alice.name, &bob.name, &carol.name]).await;
        }
        alice.client.close().await;
        let s1 = world.turns("s1").await;
        let log = log_of(&group);
        Turned { world, s1, bob, carol, group, log }
    }

    async fn bob_is_heard(&self, text: &str) {
        let said = self.bob.writes(&self.group, text).await;
        self.bob.is_sent(said).await;
        self.carol.sees(&self.group, &self.bob.name, text).await;
    }
}

/// Forged author, replayed membership, stale roster, reused number, a poisoned entry: everything that a hub can put into a group's
/// log without anybody's keys. What its people's servers can tell is a stub there, and what they cannot their clients tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hub_puts_into_a_group_is_nobodys_word() {
    let there = Turned::after(async |alice, bob, carol, group| {
        let zero = bob.writes(group, "zero").await;
        bob.is_sent(zero).await;
        for role in [Role::Admin, Role::Member] {
            let set = alice.client.set_role(group, &carol.name, role).await.unwrap();
            alice.is_sent(set).await;
            carol.until("has another role", async || carol.room(group).await.is_some_and(|room| room.role == Some(role))).await;
        }
        bob.until("has heard of it", async || {
            bob.messages(group)
                .await
                .iter()
                .filter(|message| matches!(message.event, Some(tidings_client::view::Event::Role { .. })))
                .count()
                == 2
        })
        .await;
        let one = bob.writes(group, "one").await;
        bob.is_sent(one).await;
        carol.sees(group, &bob.name, "one").await;
    })
    .await;
    let Turned { s1, bob, carol, group, log, .. } = &there;
    let story = s1.story(log);
    let one = last_of(&story, bob);
    let zero = story.drafts().find(|(_, draft)| draft.author == bob.name && draft.kind == Kind::Sealed).unwrap().1.clone();
    let roles: Vec<&Encoded<Draft>> = story.drafts().map(|(_, draft)| draft).filter(|draft| draft.kind == Kind::SetRole).collect();
    let (promoted, last) = (roles[0].clone(), roles[1].clone());
    let body = cbor::encode(&Remove { prev: last.hash(), user: carol.name.clone(), lost_by: None }).into();
    s1.tells(log, |story: &mut Story| {
        // Bob has written something more: it is what he has written before, in another place.
        story.append(&copied(&one, |draft| draft.n += 1));
        // Alice puts carol out: with a signature that is s1's.
        let sig: Signature = s1.identity().sign(b"alice's word");
        story.append(&copied(&last, |draft| (draft.kind, draft.body, draft.n, draft.sig) = (Kind::Remove, body, last.n + 1, Some(sig))));
        // Carol is an admin again, by the entry that had made her one.
        story.append(&promoted);
        // A message for those who were in the group before, under the keys and roles of that time.
        story.append(&zero);
        // And one that everybody has, once more.
        story.append(&one);
    });
    for person in [bob, carol] {
        is_shown(person, group, &[ELSEWHERE, GONE, GONE, GONE, REPEATS]).await;
        let members = person.client.members(group).await.unwrap();
        assert!(members.len() == 3 && members.iter().all(|member| member.joined), "{members:?}");
        let of_carol = members.iter().find(|member| member.user == carol.name).unwrap();
        assert_eq!(of_carol.role, Role::Member);
    }
    there.bob_is_heard("two").await;
    let heard: Vec<String> = carol.hears(group).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, ["zero", "one", "two"], "each once, and nothing that nobody has written");
    go_on(bob, carol, "all is well between us").await;
}

/// Bob writes five messages while he cannot be heard. Carol's server is told of the second, then of the first; that there was a
/// third; nothing of the fourth; and of the fifth. From then on the two are in two stories, and each message says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hub_moves_hides_and_leaves_out_for_some_is_shown_to_them() {
    let there = Turned::after(async |_, _, _, _| {}).await;
    let Turned { world, s1, bob, carol, group, log } = &there;
    world.cut("s1", "s2");
    world.cut("s1", "s3");
    let mut said = Vec::new();
    for text in ["first", "second", "third", "fourth", "fifth"] {
        said.push(bob.writes(group, text).await);
    }
    world.heal("s1", "s2");
    for message in &said {
        bob.is_sent(*message).await;
    }
    s1.tells_only("s3", log, |story| {
        let first = story.entries.len() as u64 - 4;
        story.swap(first);
        story.hide(first + 2);
        story.drop_entry(first + 3);
    });
    world.heal("s1", "s3");
    let missing = "1 of bob@s2's messages before the next one is missing";
    is_shown(carol, group, &[missing, REPEATS, GONE, missing]).await;
    carol.hears_exactly(group, &[("bob@s2", "second"), ("bob@s2", "fifth")]).await;
    // What bob writes now he writes after what he was told, which is not what carol was told.
    let sixth = bob.writes(group, "sixth").await;
    bob.is_sent(sixth).await;
    is_shown(carol, group, &[missing, REPEATS, GONE, missing, ANOTHER_STORY]).await;
    let answer = carol.writes(group, "I hear things").await;
    carol.is_sent(answer).await;
    is_shown(bob, group, &[ANOTHER_STORY]).await;
    go_on(bob, carol, "what did you write in the group?").await;
}

/// A hub that tells another past than before is told from one that goes on: its log takes nothing more, and who reads it is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_rewrites_what_it_has_told_is_believed_no_more_and_that_is_shown() {
    let there = Turned::after(async |_, bob, carol, group| {
        for text in ["one", "two"] {
            let said = bob.writes(group, text).await;
            bob.is_sent(said).await;
        }
        carol.sees(group, &bob.name, "two").await;
        // What bob reads of her, his server has, and so all that was before it.
        let heard = carol.writes(group, "three").await;
        carol.is_sent(heard).await;
        bob.sees(group, &carol.name, "three").await;
    })
    .await;
    let Turned { world, s1, bob, carol, group, log } = &there;
    s1.tells(log, |story| {
        story.swap(story.entries.len() as u64 - 1);
        let again = last_of(story, bob);
        story.append(&again);
    });
    let why = "the server in charge of this does not continue it as it began";
    for person in [bob, carol] {
        is_stopped(person, group, log, why).await;
        person.hears_exactly(group, &[("bob@s2", "one"), ("bob@s2", "two"), ("carol@s3", "three")]).await;
    }
    go_on(bob, carol, "that group is dead").await;
    // It is told to who comes later too, and was not forgotten by who was there.
    let tablet = bob.another_device(world.address("s2"), world.profile("tablet")).await;
    is_stopped(&tablet, group, log, why).await;
    let Turned { world, bob, group, log, .. } = there;
    let bob = bob.reopen().await;
    is_stopped(&bob, &group, &log, why).await;
    drop(world);
}

/// A post of so many bytes of text, signed as it should be.
fn long_post(by: &Member, n: u64, bytes: usize) -> Encoded<Draft> {
    let body = cbor::encode(&Content { text: "x".repeat(bytes), ..Content::default() });
    by.signs(&LogName::Public(by.user.server().clone()), Note { n, kind: Kind::Post, epoch: None, body })
}

/// A draft of so many bytes, signed as it should be.
fn long_draft(by: &Member, n: u64, bytes: usize) -> Encoded<Draft> {
    let log = LogName::Public(by.user.server().clone());
    let sized = |body: usize| by.signs(&log, Note { n, kind: Kind::Post, epoch: None, body: vec![0; body] });
    let around = sized(bytes).bytes().len() - bytes;
    let draft = sized(bytes - around);
    assert_eq!(draft.bytes().len(), bytes);
    draft
}

/// A server whose limits are higher than the protocol's, and whose people write as it allows. Each entry is judged by itself, up to
/// what cannot be one at all; and what is poisoned harms none beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_or_poisoned_in_a_peers_log_harms_nothing_beside_it() {
    let mut world = World::two_servers().await.on(SuiteName::RsaJwe1);
    let (alice, bob, dave) = (world.person("alice@s1").await, world.person("bob@s2").await, world.person("dave@s2").await);
    let mallory = Member::registers(&world, "mallory@s1").await;
    bob.knows(&dave).await;
    dave.knows(&bob).await;
    let post = alice.announces("the last honest word").await;
    alice.is_sent(post).await;
    bob.sees(&Target::Public, &alice.name, "the last honest word").await;
    let s1 = world.turns("s1").await;
    let log = LogName::Public("s1".parse().unwrap());
    let mut n = 0;
    let mut next = |make: &dyn Fn(u64) -> Encoded<Draft>| {
        n += 1;
        let draft = make(n);
        s1.tells(&log, |story| story.append(&draft));
    };
    // The text of a message: one byte less than may be, what may be, and one more.
    for bytes in [limits::TEXT - 1, limits::TEXT, limits::TEXT + 1] {
        next(&|n| long_post(&mallory, n, bytes));
    }
    // A draft: at the limit it is judged for what it says, which is nothing; beyond it is not read at all.
    for bytes in [limits::DRAFT, limits::DRAFT + 1] {
        next(&|n| long_draft(&mallory, n, bytes));
    }
    // Poison: a signature that is nobody's, an author who is not there, and a kind that has no place in a public chat.
    next(&|n| copied(&mallory.post(n, "poison"), |draft| draft.sig = Some(Signature([1; 64]))));
    next(&|n| {
        mallory.signs_as(&bob.name, &log, Note { n, kind: Kind::Post, epoch: None, body: cbor::encode(&Content::text("I, bob").unwrap()) })
    });
    next(&|n| mallory.signs(&log, Note { n, kind: Kind::Leave, epoch: None, body: vec![0xa0] }));
    next(&|n| mallory.post(n, "after all that"));
    bob.sees(&Target::Public, &mallory.user, "after all that").await;
    is_shown(&bob, &Target::Public, &[GONE; 6]).await;
    let lengths: Vec<usize> = bob.hears(&Target::Public).await.into_iter().map(|(_, text)| text.len()).collect();
    assert_eq!(lengths, [20, limits::TEXT - 1, limits::TEXT, 14], "what may be is there, and nothing else");
    go_on(&bob, &dave, "loud, over there").await;
    // Longer than any entry: from here on nobody can say what follows.
    next(&|n| long_draft(&mallory, n, limits::DRAFT + 1000));
    is_stopped(&bob, &Target::Public, &log, "the server in charge of this does not continue it as it began").await;
    go_on(&bob, &dave, "quiet now").await;
}
