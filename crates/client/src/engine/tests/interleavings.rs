//! Groups as they come: three people ask each other in, come, go, put each other out and write, in any order, on a hub that takes
//! everything. Whatever it shows, a client opens what was written for it while it was in, and nothing else.
//!
//! The judge is alone here: no store is written, no link is there. Who is in is told by a model of a few lines.

use super::bench::{Act, Hub, Person, Sealing, group};
use crate::crypto::{Closed, Crypto, OpenJob, Opening};
use crate::engine::followed::RoomState;
use crate::engine::judge::{Found, Judge};
use crate::people::People;
use crate::store::Store;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tempfile::TempDir;
use tidings_e2ee::mls::State;
use tidings_proto::{Content, Draft, Encoded, Entry, Frame, Genesis, Payload, Role};
use tidings_trust::Members;

/// What somebody tries, and whether the hub lets it lie until something else has happened.
#[derive(Debug, Clone)]
struct Step {
    who: usize,
    act: Deed,
    whom: usize,
    late: bool,
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Invite,
    Join,
    Leave,
    Remove,
    Promote,
    Say,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Deed::*;
    let act = prop_oneof![1 => Just(Invite), 1 => Just(Join), 1 => Just(Leave), 1 => Just(Remove), 1 => Just(Promote), 6 => Just(Say)];
    let any =
        (0..3usize, act, 0..3usize, prop::bool::weighted(0.25)).prop_map(|(who, act, whom, late)| vec![Step { who, act, whom, late }]);
    // By chance alone hardly anybody is asked in and comes.
    let comes = |whom| [(0, Invite), (whom, Join)].map(|(who, act)| Step { who, act, whom, late: false }).to_vec();
    let step = prop_oneof![4 => any, 1 => (1..3usize).prop_map(comes)];
    prop::collection::vec(step, 1..25).prop_map(|steps| steps.concat())
}

/// A client, as far as it judges and opens.
struct Reader {
    person: Person,
    people: People,
    crypto: Crypto,
    _profile: TempDir,
}

impl Reader {
    fn new(person: Person, hub: &Hub) -> Reader {
        let profile = TempDir::new().unwrap();
        let mut people = People::load(&Store::open(profile.path()).unwrap(), &person.user, person.device.public()).unwrap();
        for (user, items) in &hub.chains {
            let learned = people.judge(user, items);
            people.take(user, learned);
        }
        Reader { crypto: Crypto::new(&person.account).unwrap(), person, people, _profile: profile }
    }

    /// Which of these entries it opens. It forgets everything but the members after entry `crash`.
    async fn opens(&self, genesis: &Genesis, entries: &[Entry], crash: u64) -> BTreeSet<u64> {
        let (me, log) = (&self.person.user, genesis.log());
        let begin = |room: RoomState| Judge::new((me, self.person.device.public()), &log, Some(room), &HashMap::new());
        let (mut judge, mut opened) = (begin(RoomState::new(genesis.clone())), BTreeSet::new());
        for entry in entries {
            if let Found::Opens(Some(what)) = judge.next(&self.people, entry, &|_| false)
                && self.opens_one(genesis, entry, what).await
            {
                opened.insert(entry.seq);
            }
            if let (true, Some(members)) = (entry.seq == crash, judge.members()) {
                let members = Some(Arc::new(Members::from_bytes(&members.to_bytes()).unwrap()));
                judge = begin(RoomState { members, ..RoomState::new(genesis.clone()) });
            }
        }
        opened
    }

    async fn opens_one(&self, genesis: &Genesis, entry: &Entry, what: Closed) -> bool {
        let draft = entry.draft().unwrap().clone();
        let job = OpenJob { log: genesis.log(), seq: entry.seq, draft, what };
        matches!(self.crypto.open(&job, &State::new(&|_| Ok(None))).await.unwrap(), Opening::Message(_))
    }
}

/// What has come of the steps.
struct Story {
    hub: Hub,
    genesis: Genesis,
    /// The messages by place: for whom each was written, by the model.
    written_for: BTreeMap<u64, BTreeSet<usize>>,
    /// The messages by place that are not what they should be: of another epoch, or by somebody who is not in.
    false_ones: BTreeSet<u64>,
    members: BTreeMap<u64, Members>,
}

impl Story {
    /// The hub takes everything that somebody has tried, valid or not.
    async fn of(people: &[Person; 3], steps: &[Step]) -> Story {
        let mut hub = Hub::default();
        people.iter().for_each(|person| hub.knows(person));
        let genesis = group(&people[0].user, 1);
        hub.begin_group(&genesis, &people[0]);
        let mut story = Story { hub, genesis, written_for: BTreeMap::new(), false_ones: BTreeSet::new(), members: BTreeMap::new() };
        let mut inside = BTreeSet::from([0]);
        let mut held: Vec<(&Step, Encoded<Draft>)> = Vec::new();
        for step in steps {
            let Some(draft) = story.draft(people, step).await else { continue };
            if step.late {
                held.push((step, draft));
                continue;
            }
            story.takes(step, draft, &mut inside);
            for (step, late) in held.drain(..) {
                story.takes(step, late, &mut inside);
            }
        }
        story
    }

    /// What somebody makes for the state that the group is in; nothing where there is nobody to write for.
    async fn draft(&self, people: &[Person; 3], step: &Step) -> Option<Encoded<Draft>> {
        let (by, whom) = (&people[step.who], &people[step.whom]);
        let act = match step.act {
            Deed::Invite => Act::Invite(whom, Role::Member),
            Deed::Join => Act::Join,
            Deed::Leave => Act::Leave,
            Deed::Remove => Act::Remove(&whom.user),
            Deed::Promote => Act::SetRole(&whom.user, Role::Admin),
            Deed::Say => {
                let members = self.sealed_for(by)?;
                let (tip, content) = (self.hub.tip(&self.genesis.log()), Content::text("for those who are in").unwrap());
                let n = self.hub.next_n(&self.genesis.log(), &by.device.public());
                let (genesis, keys, seen) = (&self.genesis, &self.hub.keys, (tip.seq, tip.hash));
                return Some(by.seal(Sealing { genesis, members: &members, keys, n, seen, keys_seen: Vec::new(), content }).await);
            }
        };
        Some(self.hub.change(&self.genesis, by, act))
    }

    /// The members as they are, or as they were when `by` was last one of them.
    fn sealed_for(&self, by: &Person) -> Option<Members> {
        let now = self.hub.members(&self.genesis);
        if now.has(&by.user) { Some(now) } else { self.members.values().rev().find(|members| members.has(&by.user)).cloned() }
    }

    /// The next entry, whatever it is; and what the model makes of it.
    fn takes(&mut self, step: &Step, draft: Encoded<Draft>, inside: &mut BTreeSet<usize>) {
        let before = self.hub.members(&self.genesis);
        let seq = self.hub.append(&self.genesis.log(), &draft).seq;
        let after = self.hub.members(&self.genesis);
        match step.act {
            Deed::Say => {
                self.written_for.insert(seq, inside.clone());
                if !inside.contains(&step.who) || draft.epoch != Some(before.epoch()) {
                    self.false_ones.insert(seq);
                }
            }
            // What is not valid changes nothing.
            _ if after.epoch() == before.epoch() => {}
            Deed::Join => drop(inside.insert(step.who)),
            Deed::Leave => drop(inside.remove(&step.who)),
            Deed::Remove => drop(inside.remove(&step.whom)),
            Deed::Invite | Deed::Promote => {}
        }
        self.members.insert(seq, after);
    }

    /// All entries as they are, which no honest server shows.
    fn everything(&self) -> Vec<Entry> {
        self.hub.logs[&self.genesis.log().to_string()].0.iter().map(|(entry, _)| entry.clone()).collect()
    }

    /// The entries as an honest server shows them to `reader`.
    fn shown_to(&mut self, reader: &Person) -> Vec<Entry> {
        self.hub.reader = Some(reader.user.clone());
        let frames = self.hub.entries(&self.genesis.log(), 1);
        let items = frames.into_iter().filter_map(|frame| if let Frame::Entries(entries) = frame { Some(entries.items) } else { None });
        items.flatten().map(|item| Entry::read(&item.entry).unwrap()).collect()
    }
}

/// What is promised, of one story.
async fn judge(steps: &[Step], crash: u64) -> Result<(), TestCaseError> {
    let people = [Person::new("alice@s1", 0, 1).await, Person::new("bob@s2", 2, 3).await, Person::new("carol@s2", 1, 0).await];
    let mut story = Story::of(&people, steps).await;
    for (at, person) in people.into_iter().enumerate() {
        let reader = Reader::new(person, &story.hub);
        let mine = |seq: &u64| story.written_for[seq].contains(&at) && !story.false_ones.contains(seq);
        let mine: BTreeSet<u64> = story.written_for.keys().copied().filter(mine).collect();
        let everything = story.everything();
        prop_assert_eq!(&reader.opens(&story.genesis, &everything, crash).await, &mine, "{} is shown all", at);
        let shown = story.shown_to(&reader.person);
        prop_assert_eq!(&reader.opens(&story.genesis, &shown, crash).await, &mine, "{} is shown what is theirs", at);
        // Nor could it, if it tried: the messages of other times are not locked with its key.
        for entry in everything.iter().filter(|entry| story.written_for.contains_key(&entry.seq) && !mine.contains(&entry.seq)) {
            let Payload::Draft(draft) = &entry.payload else { continue };
            let members = Arc::new(story.members[&entry.seq].clone());
            let author = story.hub.keys[&draft.author].clone();
            let what = Closed::Message { author, genesis: story.genesis.clone(), members, keys: Arc::new(story.hub.keys.clone()) };
            prop_assert!(!reader.opens_one(&story.genesis, entry, what).await, "{at} opens {}", entry.seq);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_client_opens_what_was_written_while_it_was_in_and_nothing_else(steps in steps(), crash in 1..30u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(judge(&steps, crash))?;
    }
}

/// The generator is worth nothing if nothing happens in its stories.
#[test]
fn the_stories_have_messages_for_some_and_not_for_others() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut runner, mut shared, mut outside, mut false_ones) = (TestRunner::deterministic(), 0, 0, 0);
    runtime.block_on(async {
        let people = [Person::new("alice@s1", 0, 1).await, Person::new("bob@s2", 2, 3).await, Person::new("carol@s2", 1, 0).await];
        for _ in 0..24 {
            let story = Story::of(&people, &steps().new_tree(&mut runner).unwrap().current()).await;
            shared += story.written_for.values().filter(|people| people.len() > 1).count();
            outside += story.written_for.values().filter(|people| people.len() < 3).count();
            false_ones += story.false_ones.len();
        }
    });
    assert!(shared > 20 && outside > 20 && false_ones > 10, "{shared} shared, {outside} not for all, {false_ones} false");
}
