//! What is said: rooms, sealed drafts of 100 bytes that carry the time at which they were due, and what of it arrives.

use crate::link::{Link, Target};
use crate::people::Device;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt};
use minicbor::Decoder;
use std::time::Instant;
use tidings_proto::frame::{Accepted, Follow, LogRef, People, RoomRef, Rooms, Submit, VaultGet};
use tidings_proto::{Draft, Encoded, Entry, Frame, Genesis, Hash, Kind, LogName, SuiteName, UserName, limits};

/// Bytes of a sealed body. A body is opaque to servers: what counts is how long it is.
pub const PAYLOAD: usize = 100;
/// Links that are made at the same time.
/// Fewer than a server gives places to one address while nobody knows who they are.
const AT_ONCE: usize = 16;

/// Connects a device and asks for what a client asks for at its start: inbox, public chat, own keys, rooms, people, vault.
pub async fn arrive(target: &Target, device: &Device) -> Result<Link> {
    let mut link = Link::device(target, device).await?;
    ensure!(link.listed, "{} is not listed", device.user);
    let own = [LogName::Inbox(device.user.clone()), LogName::Public(target.name.clone())];
    let logs = own.into_iter().map(|log| (LogRef::Name(log), 0)).collect();
    let chain = tidings_proto::frame::Chain { req: 1, user: device.user.clone(), after: 0 };
    for frame in [Frame::from(Follow { logs }), chain.into(), Rooms { req: 2 }.into(), People { req: 3 }.into()] {
        link.writer.put(&frame.encode());
    }
    link.ask(VaultGet { req: 4 }, |frame| matches!(frame, Frame::Vault(_)).then_some(())).await?;
    Ok(link)
}

/// The same for many, in order.
pub async fn all_arrive(target: &Target, devices: &[Device]) -> Result<Vec<Link>> {
    let links = futures_util::stream::iter(devices).map(|device| arrive(target, device));
    links.buffered(AT_ONCE).try_collect().await
}

/// The direct room of two people.
pub fn direct(one: &UserName, other: &UserName) -> Genesis {
    Genesis::direct(SuiteName::RsaJwe1, one, other)
}

/// One device's drafts in one room.
pub struct Author {
    device: Device,
    log: LogName,
    epoch: u64,
    n: u64,
    /// Bytes of the body.
    size: usize,
}

impl Author {
    /// Nothing written yet. `epoch` is the room's.
    pub fn new(device: &Device, log: LogName, epoch: u64) -> Author {
        Author { device: device.clone(), log, epoch, n: 0, size: PAYLOAD }
    }

    /// The same with larger bodies.
    pub fn large(device: &Device, log: LogName, epoch: u64, size: usize) -> Author {
        Author { size, ..Author::new(device, log, epoch) }
    }

    /// The next message, as the frame that submits it. `due` is nanoseconds on the run's clock.
    pub fn submit(&mut self, due: u64) -> Bytes {
        self.submit_with(due, None)
    }

    /// The same with the genesis beside it, which a hub needs that has never heard of the room.
    pub fn submit_with(&mut self, due: u64, genesis: Option<Genesis>) -> Bytes {
        self.n += 1;
        let mut body = vec![0xa5; self.size];
        body[..8].copy_from_slice(&due.to_le_bytes());
        let draft = Draft {
            device: self.device.secret.public(),
            n: self.n,
            author: self.device.user.clone(),
            list: 1,
            epoch: Some(self.epoch),
            kind: Kind::Sealed,
            body: body.into(),
            sig: None,
        };
        let draft = Encoded::new(draft).bytes().clone();
        Frame::from(Submit { req: self.n as u32, log: self.log.clone(), draft, genesis }).encode()
    }
}

/// Follows a log from the entry after `after`.
pub fn follow(log: &LogName, after: u64) -> Bytes {
    Frame::from(Follow { logs: vec![(LogRef::Name(log.clone()), after)] }).encode()
}

/// Writes the first message of a room, which makes it, and says how far the room is then.
pub async fn open_room(link: &mut Link, author: &mut Author, genesis: &Genesis) -> Result<u64> {
    link.writer.send(&author.submit_with(0, Some(genesis.clone()))).await?;
    Ok(accepted(link).await?.seq)
}

/// The next answer to a submit; other frames are dropped.
pub async fn accepted(link: &mut Link) -> Result<Accepted> {
    loop {
        match link.reader.frame().await? {
            Frame::Accepted(accepted) => return Ok(accepted),
            Frame::Refused(refused) => bail!("refused: {}", refused.why),
            _ => {}
        }
    }
}

/// Tells the other one's server that there is a room: what a client does before its first message to somebody.
pub fn notice(from: &Device, to: &UserName, genesis: &Genesis) -> Bytes {
    let room = RoomRef { genesis: genesis.clone(), hub: genesis.hub().clone() };
    let draft = Draft {
        device: from.secret.public(),
        n: 1,
        author: from.user.clone(),
        list: 1,
        epoch: None,
        kind: Kind::Notice,
        body: tidings_proto::cbor::encode(&room).into(),
        sig: None,
    };
    let log = LogName::Inbox(to.clone());
    let draft = draft.signed(&log, |bytes| from.secret.sign(bytes)).bytes().clone();
    Frame::from(Submit { req: 1, log, draft, genesis: None }).encode()
}

/// What a frame is to the load.
pub enum Heard {
    /// So many entries of a log.
    Entries(usize),
    /// A draft has its place.
    Accepted,
    /// Something else, which costs nobody anything here.
    Other,
}

/// Looks at no more of a frame than needed: the load has one core, too. A refusal is an error, whatever it is about.
pub fn hear(frame: &[u8]) -> Result<Heard> {
    let mut decoder = Decoder::new(frame);
    decoder.array()?;
    match decoder.u64()? {
        10 => {
            // Of its fields, the entries are the last.
            let fields = decoder.map()?.context("fields without end")?;
            for _ in 1..fields {
                decoder.skip()?;
                decoder.skip()?;
            }
            decoder.skip()?;
            Ok(Heard::Entries(decoder.array()?.context("entries without end")? as usize))
        }
        14 => Ok(Heard::Accepted),
        16 => match Frame::read(frame, limits::CLIENT_FRAME) {
            Ok(Frame::Refused(refused)) => bail!("refused: {}", refused.why),
            _ => bail!("a refusal that cannot be read"),
        },
        _ => Ok(Heard::Other),
    }
}

/// Which entries a frame holds: their log, the first one's draft, how many they are, and whether it says what they follow.
pub type Which = (u64, Hash, usize, bool);

/// How late the messages in a frame of entries are now, in nanoseconds; none whose due time is 0, which were never due. Says which they are.
pub fn lateness(frame: &[u8], clock: Instant, into: &mut Vec<u64>) -> Result<Which> {
    let Ok(Frame::Entries(entries)) = Frame::read(frame, limits::CLIENT_FRAME) else { bail!("not entries") };
    let now = clock.elapsed().as_nanos() as u64;
    let mut which = (entries.log, Hash::ZERO, entries.items.len(), entries.prev.is_some());
    for item in entries.items {
        let entry = Entry::read(&item.entry)?;
        if which.1 == Hash::ZERO {
            which.1 = entry.draft_hash();
        }
        let Some(draft) = entry.draft().filter(|draft| draft.kind == Kind::Sealed) else { continue };
        let due: [u8; 8] = draft.body.get(..8).and_then(|due| due.try_into().ok()).context("a body of another length")?;
        let due = u64::from_le_bytes(due);
        if due > 0 {
            into.push(now.saturating_sub(due));
        }
    }
    Ok(which)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_e2ee::DeviceSecret;
    use tidings_proto::Payload;
    use tidings_proto::frame::{Entries, Item};

    #[test]
    fn entries_are_counted_and_timed_as_they_were_written() {
        let device = Device { user: "a@s1".parse().unwrap(), secret: DeviceSecret::generate() };
        let mut author = Author::new(&device, "public@s1".parse().unwrap(), 0);
        let clock = Instant::now();
        let items = (0..3u64).map(|seq| {
            let Ok(Frame::Submit(submit)) = Frame::read(&author.submit(seq * 1000), limits::CLIENT_FRAME) else { panic!() };
            let draft = tidings_proto::draft::read(submit.draft).unwrap();
            Item { entry: Entry { seq: seq + 1, at: 0, payload: Payload::Draft(draft) }.encode(), got: None }
        });
        let entries = Entries { log: 7, prev: Some(Hash::ZERO), items: items.collect() };
        assert!(matches!(hear(&Frame::from(Entries { prev: None, ..entries.clone() }).encode()), Ok(Heard::Entries(3))));
        let frame = Frame::from(entries).encode();
        assert!(matches!(hear(&frame), Ok(Heard::Entries(3))));
        let mut late = Vec::new();
        let (log, _, count, begins) = lateness(&frame, clock, &mut late).unwrap();
        assert_eq!((log, count, begins), (7, 3, true));
        assert_eq!(late.len(), 2, "what was due at 0 was never due");
    }
}
