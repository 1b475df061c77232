//! What this device has opened in rooms on MLS, handed on to the user's other devices, and to those to come: in segments, in a log of
//! their own.
//!
//! Of several devices that are there the first of the list does it, and each of the others a while later what is left. A new device in
//! the list gets what there is at once.

use super::Engine;
use crate::ClientError;
use crate::crypto::Crypto;
use crate::platform::Instant;
use crate::store::{Store, ToHandOn};
use std::time::Duration;
use tidings_e2ee::history::{Line, Part, Segment};
use tidings_proto::{DeviceKey, LogName, cbor};
use tidings_trust::KeyState;

/// How long the first device of the list waits for more to be said. Whoever loses all devices loses so much.
const PAUSE: Duration = Duration::from_secs(30);
/// So many messages are not waited with any longer.
const ENOUGH: usize = 64;
/// Messages that one segment holds at most.
const LINES: usize = 256;
/// Bytes of content that one segment aims at; it always holds a message.
const BYTES: usize = 64 * 1024;
/// Segments in a row, and the pause after them: what people write goes by the same limits.
const IN_A_ROW: usize = 4;
const BREATH: Duration = Duration::from_secs(1);

/// What this link knows of what is to be handed on.
#[derive(Default)]
pub(super) struct Handing {
    /// Messages that have come since the last segment.
    fresh: usize,
    /// When the next segment is made.
    due: Option<Instant>,
    /// How many devices the user had when that was last looked at.
    devices: usize,
}

impl Handing {
    /// What is here from before goes on at once.
    pub fn begin(now: Instant) -> Handing {
        Handing { due: Some(now), ..Handing::default() }
    }

    /// More can be handed on.
    pub fn more(&mut self, messages: usize) {
        self.fresh += messages;
    }

    /// When there is something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        self.due
    }

    /// Whether a segment is to be made now, by this device of the list.
    fn is_due(&mut self, mine: &KeyState, device: &DeviceKey, now: Instant) -> bool {
        let place = mine.list.devices.iter().position(|listed| listed.key == *device).unwrap_or(0);
        if self.fresh > 0 {
            let pause = PAUSE.saturating_mul(u32::try_from(place + 1).unwrap_or(u32::MAX));
            self.due.get_or_insert(now + pause);
        }
        let devices = mine.list.devices.len();
        let has_grown = std::mem::replace(&mut self.devices, devices) < devices && place == 0;
        has_grown || self.fresh >= ENOUGH.saturating_mul(place + 1) || self.due.is_some_and(|due| due <= now)
    }
}

impl Engine {
    /// Makes segments, where it is time: they are in the outbox by then.
    pub(super) async fn hand_on(&mut self, now: Instant) -> Result<(), ClientError> {
        let device = self.core.crypto.device();
        let mine = self.core.people().state(self.me());
        let Some(mine) = mine.filter(|mine| mine.device(&device).is_some()) else { return Ok(()) };
        if !self.handing.is_due(&mine, &device, now) {
            return Ok(());
        }
        self.handing = Handing { devices: self.handing.devices, ..Handing::default() };
        // Under keys that another device has replaced, somebody may read who is not to any more.
        if !self.core.crypto.has_newest(&mine).await? {
            self.core.locked.send_replace(true);
            self.handing.due = Some(now + PAUSE);
            return Ok(());
        }
        for _ in 0..IN_A_ROW {
            if !self.hand_some_on().await? {
                return Ok(());
            }
        }
        self.handing.due = Some(now + BREATH);
        Ok(())
    }

    /// One segment. Whether there may be more.
    async fn hand_some_on(&self) -> Result<bool, ClientError> {
        let (crypto, log) = (self.core.crypto.clone(), LogName::History(self.me().clone()));
        let made = move |store: &Store| {
            let found = store.to_hand_on(LINES)?;
            let (segment, rows) = gather(&crypto, &found);
            if !rows.is_empty() {
                store.handed_on(&rows, &log, &crypto.segment(&segment))?;
            }
            Ok(rows.len() < found.len() || found.len() == LINES)
        };
        self.core.stored(made).await
    }
}

/// As many of these messages as one segment holds, and their rows.
fn gather(crypto: &Crypto, found: &[ToHandOn]) -> (Segment, Vec<i64>) {
    let (mut segment, mut rows, mut bytes) = (Segment { rooms: Vec::new() }, Vec::new(), 0);
    for message in found {
        let (content, tag) = &message.content;
        let (LogName::Room(room), Ok(content)) = (&message.log, crypto.out_of_rest(&message.log, *tag, content)) else {
            // Nobody would be helped by what cannot be read here either.
            rows.push(message.id);
            continue;
        };
        bytes += cbor::encode(&content).len();
        if bytes > BYTES && !rows.is_empty() {
            break;
        }
        rows.push(message.id);
        let line = Line { seq: message.seq, draft: message.draft, author: message.author.clone(), content };
        match segment.rooms.iter_mut().find(|part| part.room == *room) {
            Some(part) => part.lines.push(line),
            None => segment.rooms.push(Part { room: *room, lines: vec![line] }),
        }
    }
    (segment, rows)
}
