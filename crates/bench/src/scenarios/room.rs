//! A room of many: each post goes to every device in it.
//!
//! A group of this version has 64 people at most, so a room of 200 is one of 50 people with four devices each. To a server that is
//! the same as 200 people with one: it delivers to links, looks up for each what its user may read, and never looks into a body.

use crate::link::{Link, Target, Writer};
use crate::load::{self, Tally, Voice};
use crate::people::{Device, Person, Registrar};
use crate::process::{Home, Stage};
use crate::table::Measured;
use crate::talk::{self, Author};
use anyhow::{Context, Result};
use rand_core::{OsRng, RngCore};
use std::sync::Arc;
use std::time::Duration;
use tidings_proto::frame::Submit;
use tidings_proto::membership::{Invite, Join};
use tidings_proto::{Draft, Encoded, Frame, Genesis, Hash, Kind, LogName, Nonce, Role, SuiteName, UserName, cbor};
use tokio::sync::watch;

const MEMBERS: usize = 200;
const DEVICES: usize = 4;
const RATE: f64 = 25.0;
const TIME: Duration = Duration::from_secs(8);
/// Who posts, and unanswered posts of each, at saturation.
const POSTERS: usize = 20;
const WINDOW: usize = 16;

/// A group as far as it has come.
pub struct Room {
    genesis: Genesis,
    last: Hash,
    /// The present epoch.
    pub epoch: u64,
    /// How far its log is.
    pub seq: u64,
}

/// What somebody does in it besides writing.
enum Act<'a> {
    Begin,
    Invite(&'a UserName, Hash),
    Join,
}

impl Room {
    /// Its log.
    pub fn log(&self) -> LogName {
        self.genesis.log()
    }

    /// A group of the first of these, which all of them are in; each does what is theirs on a link of their first device. The first
    /// `asked` of `others` are asked in besides.
    pub async fn of(target: &Target, registrar: &Registrar, people: &[Person], asked: &[Person]) -> Result<Room> {
        let mut nonce = [0; 32];
        OsRng.fill_bytes(&mut nonce);
        let creator = &people[0];
        let genesis = Genesis::group(SuiteName::RsaJwe1, &creator.user, Nonce(nonce));
        let mut room = Room { genesis, last: Hash::ZERO, epoch: 0, seq: 0 };
        let mut owner = Link::device(target, &creator.devices[0]).await?;
        room.does(&mut owner, (&creator.devices[0], 1), Act::Begin).await?;
        for (which, person) in people[1..].iter().enumerate() {
            let invite = Act::Invite(&person.user, registrar.fingerprint());
            room.does(&mut owner, (&creator.devices[0], which as u64 + 2), invite).await?;
            let mut link = Link::device(target, &person.devices[0]).await?;
            room.joins(&mut link, &person.devices[0]).await?;
        }
        for (which, person) in asked.iter().enumerate() {
            let invite = Act::Invite(&person.user, registrar.fingerprint());
            room.does(&mut owner, (&creator.devices[0], (people.len() + which) as u64 + 1), invite).await?;
        }
        Ok(room)
    }

    /// Somebody who was asked in comes in; it is what this device writes first in the room.
    pub async fn joins(&mut self, link: &mut Link, device: &Device) -> Result<()> {
        self.does(link, (device, 1), Act::Join).await
    }

    async fn does(&mut self, link: &mut Link, (device, n): (&Device, u64), act: Act<'_>) -> Result<()> {
        let prev = self.last;
        let (kind, body) = match act {
            Act::Begin => (Kind::Genesis, self.genesis.encode()),
            Act::Invite(user, identity) => {
                (Kind::Invite, cbor::encode(&Invite { prev, user: user.clone(), identity, role: Role::Member }).into())
            }
            Act::Join => (Kind::Join, cbor::encode(&Join { prev }).into()),
        };
        let draft = Draft {
            device: device.secret.public(),
            n,
            author: device.user.clone(),
            list: 1,
            epoch: kind.is_membership().then_some(self.epoch),
            kind,
            body,
            sig: None,
        };
        let log = self.log();
        let draft: Encoded<Draft> = draft.signed(&log, |bytes| device.secret.sign(bytes));
        self.epoch += u64::from(kind.is_membership());
        self.last = draft.hash();
        link.writer.send(&Frame::from(Submit { req: n as u32, log, draft: draft.bytes().clone(), genesis: None }).encode()).await?;
        self.seq = talk::accepted(link).await?.seq;
        Ok(())
    }
}

/// A room whose devices are all connected and follow it.
pub struct Filled {
    /// The room.
    pub room: Room,
    /// What comes to the devices.
    pub tally: Arc<Tally>,
    /// Everybody in it.
    pub people: Vec<Person>,
    writers: Vec<Writer>,
    /// Whether the first half of the devices read.
    half: watch::Sender<bool>,
}

/// Makes a room of so many devices, and connects them.
pub async fn fill(target: &Target, registrar: &mut Registrar, name: &str, people: usize, devices: usize) -> Result<Filled> {
    let people = registrar.people(name, people, devices).await?;
    let room = Room::of(target, registrar, &people, &[]).await?;
    let all: Vec<Device> = people.iter().flat_map(|person| person.devices.iter().cloned()).collect();
    let (tally, mut writers, half) = (Tally::new(), Vec::new(), watch::Sender::new(true));
    for Link { reader, mut writer, .. } in talk::all_arrive(target, &all).await? {
        writer.send(&talk::follow(&room.log(), room.seq)).await?;
        if writers.len() < all.len() / 2 {
            load::listen_while(reader, &tally, true, half.subscribe());
        } else {
            load::listen(reader, &tally, true);
        }
        writers.push(writer);
    }
    Ok(Filled { room, tally, people, writers, half })
}

impl Filled {
    /// The first half of the devices read nothing from now on, and stay connected; or read again.
    pub fn stall(&self, stalled: bool) {
        self.half.send_replace(!stalled);
    }

    /// The last device of each of `count` people, as one that writes on the link on which it listens. It is not the first, which has
    /// done what made the room. Their messages have bodies of `size` bytes.
    pub fn voices(&mut self, count: usize, size: usize) -> Vec<Voice> {
        let devices = self.people[0].devices.len();
        let mut voices = Vec::new();
        // From the back, so that the places before stay what they are.
        for which in (0..count.min(self.people.len())).rev() {
            let author = Author::large(&self.people[which].devices[devices - 1], self.room.log(), self.room.epoch, size);
            voices.push(Voice { author, writer: self.writers.remove(which * devices + devices - 1) });
        }
        voices
    }
}

/// Measures it.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let home = Home::new(stage, "s1", stage.transport)?;
    let server = home.start(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let members = stage.scaled(MEMBERS, 8);
    let mut filled = fill(&server.target, &mut registrar, "member", members / DEVICES, DEVICES).await?;
    let mut voices = filled.voices(POSTERS, talk::PAYLOAD);
    let paced = load::run(&[&server], &mut voices, &filled.tally, (RATE, stage.time(TIME)), members as u64).await?;

    // The posters' second devices write, each on a link of its own; all 200 listen as before.
    let mut authors = Vec::new();
    for person in filled.people.iter().take(POSTERS) {
        let device = person.devices.get(1).context("a second device")?;
        let link = Link::device(&server.target, device).await?;
        authors.push((Author::new(device, filled.room.log(), filled.room.epoch), link));
    }
    let full = load::saturate(&server, authors, &filled.tally, WINDOW, stage.time(TIME / 2)).await?;
    server.stop().await?;
    let how = format!("{} people with {DEVICES} devices each", members / DEVICES);
    Ok(vec![
        Measured::new(
            "room_cpu_us",
            paced.cpu_us / members as f64,
            format!("{how}, {RATE} posts/s, CPU per delivery; p99 {:.0} µs", paced.late_us.1),
        ),
        Measured::new(
            "room_sat_per_s",
            full.delivered,
            format!("{how}, {POSTERS} write {:.0} posts/s together; server core {:.0} % busy", full.accepted, full.busy * 100.0),
        ),
    ])
}
