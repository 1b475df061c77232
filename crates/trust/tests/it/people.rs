//! What each may read of a group; and, for any sequence of entries, what always holds, against a plain second judgement.

use crate::group::*;
use crate::samples::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};
use tidings_proto::{Encoded, Genesis, Hash, Role, SuiteName, UserName};
use tidings_trust::members::{MembersError, Reads, Standing, Stay};
use tidings_trust::{KeyState, Members};

fn stay(from: u64, until: impl Into<Option<u64>>) -> Stay {
    Stay { from, until: until.into() }
}

fn reads(stays: &[Stay], until: impl Into<Option<u64>>) -> Option<Reads> {
    Some(Reads { stays: stays.to_vec(), until: until.into() })
}

/// A group in which messages lie between the membership entries: each act is ten entries after the one before.
fn spaced(acts: &[(&str, Act)]) -> Room {
    let mut room = Room::new();
    for (author, act) in acts {
        room.seq = (room.seq / 10 + 1) * 10 - 1;
        room.act(author, act.clone()).unwrap();
    }
    room
}

#[test]
fn everybody_reads_from_their_coming_to_their_going() {
    let invite = |user: &str| Act::Invite(name(user), Role::Member);
    let room = spaced(&[
        ("alice@s1", invite("bob@s2")),              // 10
        ("bob@s2", Act::Join),                       // 20
        ("alice@s1", invite("carol@s2")),            // 30
        ("carol@s2", Act::Join),                     // 40
        ("bob@s2", Act::Leave),                      // 50
        ("alice@s1", invite("bob@s2")),              // 60
        ("alice@s1", invite("dave@s3")),             // 70
        ("bob@s2", Act::Join),                       // 80
        ("alice@s1", Act::Remove(name("carol@s2"))), // 90
        ("alice@s1", invite("eve@s1")),              // 100
        ("eve@s1", Act::Leave),                      // 110
    ]);
    let of = |user: &str| room.members.reads(&name(user));
    assert_eq!(of("alice@s1"), reads(&[stay(1, None)], None));
    assert_eq!(of("bob@s2"), reads(&[stay(20, 50), stay(80, None)], None));
    assert_eq!(of("carol@s2"), reads(&[stay(40, 90)], 90), "and then nothing more");
    assert_eq!(of("dave@s3"), reads(&[], None), "who is asked in follows, and reads no message yet");
    assert_eq!((of("eve@s1"), of("fay@s1")), (None, None), "who declined, and who was never asked");
    let bob = of("bob@s2").unwrap();
    let covered: Vec<u64> = (0..200).filter(|seq| bob.covers(*seq)).collect();
    assert_eq!(covered, (20..=50).chain(80..200).collect::<Vec<_>>(), "both ends included");
    // A server reads what any of its people reads.
    let server = |name: &str| room.members.reads_of(&name.parse().unwrap()).unwrap();
    assert_eq!((server("s2").stays, server("s2").until), (vec![stay(20, 50), stay(80, None), stay(40, 90)], None));
    assert_eq!(server("s3"), Reads { stays: vec![], until: None });
    assert_eq!(room.members.reads_of(&"s9".parse().unwrap()), None);
}

#[test]
fn a_server_reads_on_until_the_last_of_its_people_has_gone() {
    let mut room = Room::with(&["bob@s2", "carol@s2"]);
    let until = |room: &Room| room.members.reads_of(&"s2".parse().unwrap()).unwrap().until;
    room.act("bob@s2", Act::Leave).unwrap();
    assert_eq!(until(&room), None);
    room.act("carol@s2", Act::Leave).unwrap();
    assert_eq!(until(&room), Some(room.seq));
    room.act("alice@s1", Act::Invite(name("bob@s2"), Role::Member)).unwrap();
    assert_eq!(until(&room), None, "it follows again for who is asked in");
}

#[test]
fn who_comes_again_as_another_person_reads_what_the_first_one_read_and_what_follows() {
    let mut room = Room::with(&["bob@s2"]);
    let (came, went) = (room.seq, room.seq + 1);
    let anew = begun_anew(&room.keys[&bob()], [&E, &LARGE], 52);
    room.learn(anew);
    room.act("alice@s1", Act::Invite(bob(), Role::Member)).unwrap();
    assert_eq!(room.members.reads(&bob()), reads(&[stay(came, went)], None), "the invitation ends the first one's stay");
    room.act("bob@s2", Act::Join).unwrap();
    assert_eq!(room.members.reads(&bob()), reads(&[stay(came, went), stay(went + 1, None)], None));
}

#[test]
fn both_of_a_direct_room_read_all_of_it() {
    let direct = Genesis::direct(SuiteName::RsaJwe1, &alice(), &bob());
    let members = Members::direct(direct.as_direct().unwrap());
    for user in [alice(), bob()] {
        assert_eq!(members.reads(&user), reads(&[stay(1, None)], None));
    }
    assert_eq!(members.reads(&name("carol@s2")), None);
}

#[test]
fn a_server_keeps_it_as_bytes() {
    let mut room = Room::with(&["bob@s2", "carol@s2"]);
    room.act("bob@s2", Act::Leave).unwrap();
    let bytes = room.members.to_bytes();
    assert_eq!(Members::from_bytes(&bytes).unwrap(), room.members);
    for bad in [&b""[..], b"\xa0", &bytes[..bytes.len() - 1]] {
        assert_eq!(Members::from_bytes(bad), Err(MembersError::Malformed));
    }
}

const NAMES: [&str; 5] = ["alice@s1", "bob@s2", "carol@s2", "dave@s3", "eve@s1"];
const ROLES: [Role; 3] = [Role::Owner, Role::Admin, Role::Member];
/// As many as fit; fewer than there are names.
const MOST: u64 = 4;

/// Everybody's keys before and after their account began anew.
static KEYS: LazyLock<Vec<[Arc<KeyState>; 2]>> = LazyLock::new(|| {
    let room = Room::new();
    let both = |user: &&str| {
        let first = room.keys[&name(user)].clone();
        [first.clone(), Arc::new(begun_anew(&first, [&E, &LARGE], 52))]
    };
    NAMES.iter().map(both).collect()
});

/// One step: somebody does something to somebody, or an account begins anew.
#[derive(Debug, Clone)]
enum Step {
    Act {
        author: usize,
        what: u8,
        whom: usize,
        role: usize,
        spoiled: Spoiled,
    },
    /// An entry that was accepted earlier comes again.
    Replay(prop::sample::Index),
    /// Messages, which are nothing to this judge.
    Messages(u64),
    Reset(usize),
}

#[derive(Debug, Clone, Copy)]
enum Spoiled {
    No,
    Epoch,
    Prev,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let spoiled = prop_oneof![12 => Just(Spoiled::No), 1 => Just(Spoiled::Epoch), 1 => Just(Spoiled::Prev)];
    let act = (0..5usize, 0..8u8, 0..5usize, 0..3usize, spoiled).prop_map(|(author, what, whom, role, spoiled)| Step::Act {
        author,
        what,
        whom,
        role,
        spoiled,
    });
    let step = prop_oneof![
        30 => act,
        1 => any::<prop::sample::Index>().prop_map(Step::Replay),
        3 => (1..4u64).prop_map(Step::Messages),
        1 => (0..5usize).prop_map(Step::Reset),
    ];
    prop::collection::vec(step, 1..200)
}

/// A second judge, who keeps what everybody is in plain words: (standing, role, whether the account was anew, since when in).
#[derive(Default)]
struct Plain(BTreeMap<usize, (Standing, Role, bool, u64)>);

impl Plain {
    fn may(&self, anew: &[bool; 5], author: usize, act: &Act) -> bool {
        let index = |user: &UserName| NAMES.iter().position(|other| *other == user.to_string()).unwrap();
        let part = |who: usize| self.0.get(&who).filter(|part| part.0 != Standing::Gone);
        let is_lost = |who: usize| part(who).is_some_and(|part| part.2 != anew[who]);
        let acts_as = part(author).filter(|part| part.0 == Standing::In && !is_lost(author)).map(|part| part.1);
        match act {
            Act::Invite(user, role) => {
                let whom = index(user);
                let fits = is_lost(whom)
                    || (part(whom).is_none() && self.0.values().filter(|part| part.0 != Standing::Gone).count() < MOST as usize);
                fits && acts_as.is_some_and(|own| own != Role::Member && own <= *role)
            }
            Act::Join => part(author).is_some_and(|part| part.0 == Standing::Invited) && !is_lost(author),
            Act::Leave => part(author).is_some(),
            Act::Remove(user) | Act::RemoveLost(user, _) => {
                let theirs = part(index(user));
                let lost = is_lost(index(user));
                theirs.is_some_and(|theirs| match acts_as {
                    None => false,
                    Some(Role::Owner) => true,
                    Some(Role::Admin) => lost || theirs.1 == Role::Member,
                    Some(Role::Member) => lost,
                })
            }
            Act::SetRole(user, _) => acts_as == Some(Role::Owner) && part(index(user)).is_some(),
        }
    }

    fn take(&mut self, anew: &[bool; 5], author: usize, act: &Act, seq: u64) {
        let index = |user: &UserName| NAMES.iter().position(|other| *other == user.to_string()).unwrap();
        match act {
            Act::Invite(user, role) => drop(self.0.insert(index(user), (Standing::Invited, *role, anew[index(user)], 0))),
            Act::Join => {
                let part = self.0.get_mut(&author).unwrap();
                (part.0, part.3) = (Standing::In, seq);
            }
            Act::Leave => self.0.get_mut(&author).unwrap().0 = Standing::Gone,
            Act::Remove(user) | Act::RemoveLost(user, _) => self.0.get_mut(&index(user)).unwrap().0 = Standing::Gone,
            Act::SetRole(user, role) => self.0.get_mut(&index(user)).unwrap().1 = *role,
        }
        let inside = || self.0.iter().filter(|(_, part)| part.0 == Standing::In);
        if !inside().any(|(_, part)| part.1 == Role::Owner) {
            let heir = inside().min_by_key(|(_, part)| (part.1, part.3)).map(|(who, _)| *who);
            if let Some(heir) = heir {
                self.0.get_mut(&heir).unwrap().1 = Role::Owner;
            }
        }
    }

    fn inside(&self) -> BTreeSet<usize> {
        self.0.iter().filter(|(_, part)| part.0 == Standing::In).map(|(who, _)| *who).collect()
    }
}

/// A group of at most [`MOST`] people.
fn small() -> Room {
    let mut room = Room::new();
    let mut bytes = room.members.to_bytes();
    assert_eq!(bytes.split_off(bytes.len() - 2), [0x18, 64]);
    bytes.push(MOST as u8);
    room.members = Members::from_bytes(&bytes).unwrap();
    room
}

/// A group, the second judge, and what both have seen.
struct Run {
    room: Room,
    plain: Plain,
    anew: [bool; 5],
    accepted: Vec<Encoded<tidings_proto::Draft>>,
    /// Who may read each entry: who was in before it or is in after it.
    inside: HashMap<u64, BTreeSet<usize>>,
}

impl Run {
    fn new() -> Run {
        let plain = Plain(BTreeMap::from([(0, (Standing::In, Role::Owner, false, 1))]));
        Run { room: small(), plain, anew: [false; 5], accepted: vec![], inside: HashMap::from([(1, BTreeSet::from([0]))]) }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Act { author, what, whom, role, spoiled } => {
                let user = name(NAMES[*whom]);
                let act = match what {
                    0 | 1 => Act::Invite(user, ROLES[*role]),
                    2 | 3 => Act::Join,
                    4 => Act::Leave,
                    5 | 6 => Act::Remove(user),
                    _ => Act::SetRole(user, ROLES[*role]),
                };
                self.act(*author, &act, *spoiled);
            }
            Step::Replay(which) if !self.accepted.is_empty() => {
                let draft = which.get(&self.accepted);
                assert_eq!(self.room.judge(draft), Err(MembersError::Stale));
            }
            Step::Replay(_) => {}
            Step::Messages(count) => {
                for _ in 0..*count {
                    self.room.seq += 1;
                    self.inside.insert(self.room.seq, self.plain.inside());
                }
            }
            Step::Reset(who) => {
                self.anew[*who] = true;
                self.room.keys.insert(name(NAMES[*who]), KEYS[*who][1].clone());
            }
        }
    }

    fn act(&mut self, author: usize, act: &Act, spoiled: Spoiled) {
        let (epoch, last) = (self.room.members.epoch(), self.room.members.last());
        let draft = match spoiled {
            Spoiled::No => self.room.draft(NAMES[author], act),
            Spoiled::Epoch => self.room.draft_after(NAMES[author], act, epoch + 1, last),
            Spoiled::Prev => self.room.draft_after(NAMES[author], act, epoch, Hash([9; 32])),
        };
        let judged = self.room.judge(&draft);
        let may = matches!(spoiled, Spoiled::No) && self.plain.may(&self.anew, author, act);
        assert_eq!(judged.is_ok(), may, "{} {act:?}: {judged:?}", NAMES[author]);
        let Ok(next) = judged else { return };
        let before = self.plain.inside();
        self.room.seq += 1;
        self.plain.take(&self.anew, author, act, self.room.seq);
        self.inside.insert(self.room.seq, before.union(&self.plain.inside()).copied().collect());
        self.room.members = next;
        self.accepted.push(draft);
    }

    /// What always holds.
    fn check(&self) {
        let members = &self.room.members;
        assert_eq!(members.epoch(), self.accepted.len() as u64);
        assert_eq!(members.last(), self.accepted.last().map_or(beginning().hash(), Encoded::hash));
        let owners = members.members().filter(|(_, person)| person.role == Role::Owner).count();
        assert_eq!(owners > 0, members.members().count() > 0, "an owner while somebody is in");
        assert!(members.people().count() as u64 <= MOST);
        let inside: BTreeSet<usize> = (0..5).filter(|who| members.has(&name(NAMES[*who]))).collect();
        assert_eq!(inside, self.plain.inside());
        for (who, user) in NAMES.iter().enumerate() {
            let Some(person) = members.person(&name(user)) else { continue };
            let ends = person.stays.iter().map(|stay| stay.until.unwrap_or(u64::MAX));
            assert!(person.stays.iter().zip(ends.clone()).all(|(stay, until)| stay.from <= until));
            assert!(person.stays.iter().skip(1).zip(ends).all(|(stay, before)| before < stay.from), "disjoint, and in order");
            let open = person.stays.last().is_some_and(|stay| stay.until.is_none());
            assert_eq!(open, person.standing == Standing::In);
            assert_eq!(self.plain.0[&who].1, person.role);
        }
        assert_eq!(Members::from_bytes(&members.to_bytes()).unwrap(), *members);
    }

    /// Nobody reads a time at which they were not in, and everybody reads all the time at which they were.
    fn check_reads(&self) {
        let members = &self.room.members;
        for seq in 1..=self.room.seq {
            for (who, user) in NAMES.iter().enumerate() {
                let covers = members.reads(&name(user)).is_some_and(|reads| reads.covers(seq));
                assert_eq!(covers, self.inside[&seq].contains(&who), "{user} reads entry {seq}");
            }
        }
        for reads in NAMES.iter().filter_map(|user| members.reads(&name(user))) {
            let Some(until) = reads.until else { continue };
            assert!((until + 1..self.room.seq + 3).all(|seq| !reads.covers(seq)), "nothing after the end");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_is_tried_two_judges_agree_and_the_group_stays_in_order(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.take(step);
            run.check();
        }
        run.check_reads();
    }
}
