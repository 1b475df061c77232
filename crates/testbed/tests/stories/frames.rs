//! Frames that nobody should send, on every kind of link and at every point of its life: each is refused in a word, or ends its
//! own link with a goodbye, and two people who talk meanwhile notice nothing.

mod bystanders;
mod inputs;
mod stages;

use bystanders::Bystanders;
use bytes::Bytes;
use inputs::{Input, Then, at_the_limits, drafts, frames, in_and_out_of_place, unreadable};
use stages::{Outcome, STAGES, Site, Stage, answer, hello, probe};
use tidings_client::view::Target;
use tidings_e2ee::DeviceSecret;
use tidings_proto::frame::{People, Ping};
use tidings_proto::handshake::Party;
use tidings_proto::{Code, Frame, limits};
use tidings_testbed::panics;
use tidings_testbed::person::with;
use tidings_testbed::raw::{RawLink, fragment};
use tidings_testbed::world::World;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

/// All that is said to links at one stage.
struct Trial<'a> {
    site: &'a Site,
    stage: Stage,
    /// A link that has been through something, and how much; a guest may say only so much.
    used: Option<(RawLink, usize)>,
    tried: usize,
    failures: Vec<String>,
}

impl<'a> Trial<'a> {
    async fn of(site: &'a Site, stage: Stage) -> Trial<'a> {
        let mut trial = Trial { site, stage, used: None, tried: 0, failures: Vec::new() };
        let inputs = [unreadable(), at_the_limits(stage), in_and_out_of_place(stage), drafts(site, stage)];
        for input in inputs.into_iter().flatten() {
            trial.tried += 1;
            if let Err(why) = trial.say(&input).await {
                trial.failures.push(format!("{stage:?}, {}: {why}", input.name));
            }
        }
        trial.break_off().await;
        trial
    }

    async fn say(&mut self, input: &Input) -> Result<(), String> {
        let (mut link, said) = match self.used.take() {
            Some(used) if used.1 < 28 => used,
            _ => (self.site.link(self.stage).await, 0),
        };
        link.send_messages(input.messages.iter().cloned()).await;
        let goes_on = match input.then {
            Then::Answer(expected) => {
                self.expect(&mut link, expected).await?;
                self.stage.goes_on() || expected == Outcome::Answered("Hello")
            }
            Then::End(code) => {
                self.expect(&mut link, Outcome::Refused(code)).await?;
                false
            }
            Then::EndUnheard(code) => return self.ends_unheard(link, code).await,
            Then::Silence => true,
            Then::EndOrSilence(code) => {
                let (frame, alive) = probe(self.stage);
                link.send(frame).await;
                match answer(&mut link).await? {
                    Outcome::Refused(found) if found == code => false,
                    found if found == alive => return Ok(()),
                    found => return Err(format!("{found:?}")),
                }
            }
        };
        if !goes_on {
            return self.expect(&mut link, Outcome::Ended).await;
        }
        if self.stage.goes_on() {
            let (frame, alive) = probe(self.stage);
            link.send(frame).await;
            self.expect(&mut link, alive).await.map_err(|why| format!("the link does not go on: {why}"))?;
        }
        if self.stage.stays() {
            self.used = Some((link, said + 2));
        }
        Ok(())
    }

    async fn expect(&self, link: &mut RawLink, expected: Outcome) -> Result<(), String> {
        let found = answer(link).await?;
        if found == expected { Ok(()) } else { Err(format!("{found:?} where {expected:?} was expected")) }
    }

    /// More than a link ever holds in memory is not read to its end, so the refusal may be lost with the rest of it.
    async fn ends_unheard(&self, mut link: RawLink, code: Code) -> Result<(), String> {
        match answer(&mut link).await {
            Err(_) | Ok(Outcome::Ended) => Ok(()),
            Ok(Outcome::Refused(found)) if found == code => match answer(&mut link).await {
                Err(_) | Ok(Outcome::Ended) => Ok(()),
                Ok(found) => Err(format!("the link goes on with {found:?}")),
            },
            Ok(found) => Err(format!("{found:?}")),
        }
    }

    /// Links that end in the middle of something.
    async fn break_off(&mut self) {
        drop(self.site.link(self.stage).await);
        let mut link = self.site.link(self.stage).await;
        link.send_messages([fragment(Bytes::from_static(&[0x82, 0x12]), Data::Binary, false)]).await;
        drop(link);
        self.tried += 2;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_frame_in_every_state() {
    panics::watch();
    let mut world = World::two_servers().await;
    let site = Site::new(&mut world, "s1").await;
    let bystanders = Bystanders::meet(&world).await;
    let trying = async {
        let (mut tried, mut failures) = (Vec::new(), Vec::new());
        for stage in STAGES {
            let trial = Trial::of(&site, stage).await;
            tried.push(trial.tried);
            failures.extend(trial.failures);
        }
        bystanders.stop();
        (tried, failures)
    };
    let ((tried, failures), said) = tokio::join!(trying, bystanders.talk());
    assert!(failures.is_empty(), "{} of {tried:?}:\n{}", failures.len(), failures.join("\n"));
    // Thirty-two that cannot be read, thirteen at the limits, a frame of each kind, two that break off; and forged drafts.
    let each = 32 + 13 + frames().len() + 2;
    let forged = |stage| drafts(&site, stage).len();
    assert_eq!(tried, STAGES.map(|stage| each + forged(stage)));
    assert_eq!(STAGES.iter().map(|stage| forged(*stage)).sum::<usize>(), 30);

    // Nobody else noticed: not the two who talked, nor the servers, nor what these have kept.
    bystanders.have_it_all(&said).await;
    let nobody = world.person(site.nobody.to_string().as_str()).await;
    nobody.announces("the name was free").await;
    world.stop("s1").await;
    world.start("s1").await;
    let alice = bystanders.alice.another_device(world.address("s1"), world.profile("second")).await;
    alice.reads_exactly(&with(&bystanders.bob.name), &said.private()).await;
    alice.reads_exactly(&Target::Public, &[said.public(), vec![("nobody@s1", "the name was free")]].concat()).await;
    assert_eq!(panics::seen(), [""; 0]);
}

/// One frame of each kind is in the table above: a new one has to be given its place there.
#[test]
fn every_kind_of_frame_has_its_place_in_the_table() {
    let is_known = |number: &u64| {
        let mut empty = Vec::new();
        minicbor::Encoder::new(&mut empty).array(2).unwrap().u64(*number).unwrap().map(0).unwrap();
        !matches!(Frame::read(&empty, limits::GUEST_FRAME), Err(why) if why.code == Code::UnknownFrame)
    };
    let number_of = |frame: &Frame| {
        let bytes = frame.encode();
        let mut decoder = minicbor::Decoder::new(&bytes);
        decoder.array().unwrap();
        decoder.u64().unwrap()
    };
    let mut tried: Vec<u64> = frames().iter().map(number_of).collect();
    tried.sort_unstable();
    assert_eq!(tried, (0..1000).filter(is_known).collect::<Vec<u64>>());
}

/// How a message was cut on its way, and what came with it, is not the receiver's business (RFC 6455 §5.4).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_in_fragments_or_close_to_another_is_a_frame_like_others() {
    let mut world = World::of(&["s1"], false).await;
    let site = Site::new(&mut world, "s1").await;
    for stage in STAGES.into_iter().filter(|stage| stage.stays()) {
        let (frame, answered) = probe(stage);
        let bytes = frame.encode();
        let mut link = site.link(stage).await;
        for at in 0..=bytes.len() {
            link.send_cut(bytes.clone(), at).await;
            assert_eq!(answer(&mut link).await, Ok(answered), "{stage:?}, cut at {at}");
        }
        // One byte a fragment, with a ping of WebSocket's own between them.
        let mut pieces: Vec<Message> = bytes.iter().map(|byte| fragment(vec![*byte].into(), Data::Continue, false)).collect();
        pieces[0] = fragment(bytes.slice(..1), Data::Binary, false);
        pieces.insert(2, Message::Ping(Bytes::from_static(b"still there?")));
        pieces.push(fragment(Bytes::new(), Data::Continue, true));
        link.send_messages(pieces).await;
        assert_eq!(answer(&mut link).await, Ok(answered), "{stage:?}, byte by byte");
        link.send_messages([Message::Binary(bytes.clone()), Message::Binary(bytes.clone()), Message::Binary(bytes)]).await;
        for which in 1..=3 {
            assert_eq!(answer(&mut link).await, Ok(answered), "{stage:?}, frame {which} of three at once");
        }
    }
    // A hello in two parts, and what comes right behind it, which nobody may say yet.
    let mut link = RawLink::dial(site.address, "/client").await;
    let party = Party::Device { user: site.mallory.clone(), key: DeviceSecret::generate().public() };
    let hello = Frame::from(hello(party)).encode();
    link.send_cut(hello, 11).await;
    link.send(Ping { req: 1, heads: None }).await;
    assert!(matches!(link.next().await, Frame::Hello(_)));
    assert!(matches!(link.next().await, Frame::Proof(_)));
    assert_eq!(answer(&mut link).await, Ok(Outcome::Refused(Code::WrongState)));
    assert_eq!(answer(&mut link).await, Ok(Outcome::Ended));
}

/// A guest is not listened to for ever: the thirty-third frame is one too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_has_thirty_two_frames() {
    let mut world = World::of(&["s1"], false).await;
    let site = Site::new(&mut world, "s1").await;
    let mut link = site.link(Stage::Guest).await;
    for said in 1..=32 {
        // What is not known is counted like anything else.
        let (frame, wanted) = if said % 2 == 0 {
            (Frame::from(People { req: said }).encode(), Code::WrongState)
        } else {
            (Bytes::from_static(&[0x82, 0x18, 0xc8, 0xa0]), Code::UnknownFrame)
        };
        link.send_bytes(frame).await;
        assert_eq!(answer(&mut link).await, Ok(Outcome::Refused(wanted)), "frame {said}");
    }
    assert_eq!(answer(&mut link).await, Ok(Outcome::Refused(Code::TooFast)));
    assert_eq!(answer(&mut link).await, Ok(Outcome::Ended));
}
