//! A server that has turned against its own users: what it says of their keys is held against what was seen before.

use super::{GONE, go_on, is_shown};
use tidings_client::ClientError;
use tidings_client::SuiteName;
use tidings_client::view::{Target, Trust};
use tidings_proto::{Content, Kind, LogName, cbor};
use tidings_testbed::hostile::Forger;
use tidings_testbed::world::World;

/// Key swap, roll-back, ghost device, a reset on a stranger's word: none of them is taken by other servers, and so none is shown to
/// their people as true. What the server may say, that the account begins anew, is shown, and stops what is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_says_of_its_users_keys_is_held_against_what_was_seen() {
    let mut world = World::two_servers().await.on(SuiteName::RsaJwe1);
    let (alice, bob, carol) = (world.person("alice@s1").await, world.person("bob@s2").await, world.person("carol@s2").await);
    let tablet = alice.another_device(world.address("s1"), world.profile("tablet")).await;
    bob.finds(&alice.name, "known on both devices", |alice| alice.devices == 2).await;
    bob.knows(&carol).await;
    carol.knows(&bob).await;
    let said = bob.says(&alice.name, "hello").await;
    bob.is_sent(said).await;
    alice.client.close().await;
    tablet.client.close().await;
    let before = bob.client.compare(&alice.name).await.unwrap();

    let s1 = world.turns("s1").await;
    let forger = Forger::arrives().await;
    let (keys, public) = (LogName::Keys("s1".parse().unwrap()), LogName::Public("s1".parse().unwrap()));
    let history = s1.story(&keys);
    let lists: Vec<_> = history.drafts().filter(|(_, draft)| draft.author == alice.name).map(|(_, draft)| draft.clone()).collect();
    assert_eq!(lists.len(), 2);
    let stranger = |bytes: &[u8]| forger.ghost.sign(bytes);
    let forged = [
        forger.with_other_keys(&history, &alice.name).await,
        lists[0].clone(),
        forger.first(&history, &alice.name).await,
        forger.with_a_ghost(&history, &alice.name).await,
        forger.anew(&history, &alice.name, s1.identity().key(), stranger).await,
    ];
    s1.tells(&keys, |story| forged.iter().map(|list| story.append(list)).last());
    // The ghost speaks as alice.
    let post = tidings_proto::Draft {
        device: forger.ghost.public(),
        n: 1,
        author: alice.name.clone(),
        list: 2,
        epoch: None,
        kind: Kind::Post,
        body: cbor::encode(&Content::text("it is me").unwrap()).into(),
        sig: None,
    };
    let post = post.signed(&public, |bytes| forger.ghost.sign(bytes));
    s1.tells(&public, |story| story.append(&post));
    is_shown(&bob, &Target::Public, &[GONE]).await;
    assert_eq!(bob.hears(&Target::Public).await, []);
    let said = bob.says(&alice.name, "still to the keys that I know").await;
    bob.is_sent(said).await;
    go_on(&bob, &carol, "odd things at s1").await;
    let person = bob.client.people().await.unwrap().into_iter().find(|person| person.user == alice.name).unwrap();
    assert_eq!((person.trust, person.devices, &person.alarm), (Trust::Pinned, 2, &None), "{person:?}");
    assert_eq!(bob.client.compare(&alice.name).await.unwrap().number, before.number);
    assert_eq!(bob.client.notices(0).await.unwrap(), []);

    // By its own key it may say that the account begins anew. It may lie, and so that is for people to judge.
    let reset = forger.anew(&history, &alice.name, s1.identity().key(), |bytes| s1.identity().sign(bytes)).await;
    s1.tells(&keys, |story| story.append(&reset));
    for person in [&bob, &carol] {
        let told = "the account was begun anew, with other keys, on its server's word";
        person
            .finds(&alice.name, "changed", |alice| {
                alice.trust == Trust::Changed && alice.alarm.as_ref().is_some_and(|alarm| alarm.starts_with(told))
            })
            .await;
    }
    assert!(bob.client.notices(0).await.unwrap().iter().any(|notice| notice.user == alice.name));
    let refused = bob.client.send(&Target::from(&alice.name), "who are you?").await;
    assert!(matches!(&refused, Err(error @ ClientError::KeyChanged { .. }) if error.exit_code() == 8), "{refused:?}");
    go_on(&bob, &carol, "do not write to alice").await;
}
