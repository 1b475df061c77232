//! What everybody else notices while somebody misbehaves: how late their messages are against their own in peace, in the same run on
//! the same server; whether anybody is cut off; how much memory the server takes.
//!
//! The abuse comes from the load's core, so it is dosed: what is to be seen is what it costs the server, not that a core is full.

use super::direct::{self, Pairs};
use super::room;
use crate::link::{self, Link, Target};
use crate::load::{self, Tally, Voice};
use crate::people::{Device, Person, Registrar};
use crate::process::{Home, Server, Stage, Transport};
use crate::table::{Budget, Measured};
use crate::talk::{self, Author};
use anyhow::Result;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::opaque::Login;
use tidings_proto::Frame;
use tidings_proto::frame::{LoginStart, Secret};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const PAIRS: usize = 50;
const RATE: f64 = 300.0;
const TIME: Duration = Duration::from_secs(4);

/// Pairs that write to each other all the time.
struct Bystanders {
    voices: Vec<Voice>,
    tally: Arc<Tally>,
    _writers: Vec<link::Writer>,
}

/// What bystanders have noticed.
struct Noticed {
    p99_us: f64,
    rss: u64,
}

impl Bystanders {
    async fn new(stage: &Stage, server: &Server, registrar: &mut Registrar) -> Result<Bystanders> {
        let Pairs { authors, tally, writers } = direct::pairs(server, registrar, "by", stage.scaled(PAIRS, 4)).await?;
        let mut voices = Vec::new();
        for (author, Link { reader, writer, .. }) in authors {
            voices.push(Voice { author, writer });
            load::listen(reader, &tally, false);
        }
        Ok(Bystanders { voices, tally, _writers: writers })
    }

    /// Some seconds of their life. An error if anybody was cut off, or a message was lost.
    async fn live(&mut self, stage: &Stage, server: &Server) -> Result<Noticed> {
        let rate = if stage.tiny { 50.0 } else { RATE };
        let paced = load::run(&[server], &mut self.voices, &self.tally, (rate, stage.time(TIME)), 1).await?;
        self.tally.check()?;
        Ok(Noticed { p99_us: paced.late_us.1, rss: server.rss()? })
    }
}

/// Measures all of it.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    measured.extend(stalled(stage).await?);
    let home = Home::new(stage, "s1", stage.transport)?;
    home.fend()?;
    let server = home.start(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let mut bystanders = Bystanders::new(stage, &server, &mut registrar).await?;
    let crowd = registrar.people("storm", stage.scaled(50, 2), 20).await?;
    for (name, what) in [
        ("slow_handshakes", "200 connections that never finish TLS, 20 a second anew"),
        ("login_flood", "8 strangers at once, each a guess after the other"),
        ("reconnect_storm", "1,000 devices dropped at once, and back, and again"),
    ] {
        let peace = bystanders.live(stage, &server).await?;
        let mut abuse = JoinSet::new();
        match name {
            "slow_handshakes" => slow_handshakes(&server.target, &mut abuse),
            "login_flood" => login_flood(&server.target, &mut abuse),
            _ => reconnect_storm(&server.target, &crowd, &mut abuse),
        }
        tokio::time::sleep(stage.time(Duration::from_secs(1))).await;
        let noticed = bystanders.live(stage, &server).await?;
        abuse.shutdown().await;
        measured.extend(told(name, what, &peace, &noticed));
        tokio::time::sleep(stage.time(Duration::from_secs(1))).await;
    }
    server.stop().await?;
    measured.extend(peer(stage).await?);
    Ok(measured)
}

fn told(name: &str, what: &str, peace: &Noticed, noticed: &Noticed) -> Vec<Measured> {
    let late = format!("{what}; p99 {:.1} ms, in peace {:.1} ms; nobody was cut off", noticed.p99_us / 1e3, peace.p99_us / 1e3);
    let ratio = noticed.p99_us / peace.p99_us.max(1.0);
    vec![
        Measured::other(format!("bystanders_{name}_p99_ratio"), ratio, "×", Budget::AtMost(2.0), late),
        Measured::other(format!("bystanders_{name}_rss_mib"), noticed.rss as f64 / f64::from(1 << 20), "MiB", Budget::AtMost(256.0), what),
    ]
}

/// A room of 1,000 devices with large messages; at peace all of them read, then half of them do not.
async fn stalled(stage: &Stage) -> Result<Vec<Measured>> {
    const SIZE: usize = 4096;
    let home = Home::new(stage, "s1", stage.transport)?;
    let server = home.start(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let mut bystanders = Bystanders::new(stage, &server, &mut registrar).await?;
    let (people, devices) = if stage.tiny { (2, 4) } else { (50, 20) };
    let mut filled = room::fill(&server, &mut registrar, "reader", people, devices).await?;
    let mut voices = filled.voices(5, SIZE);
    let clock = filled.tally.clock;
    let posting = tokio::spawn(async move {
        // Until it is aborted.
        load::paced(&mut voices, 10.0, usize::MAX, clock, false).await
    });
    tokio::time::sleep(stage.time(Duration::from_secs(1))).await;
    let peace = bystanders.live(stage, &server).await?;
    let stalled = filled.stall(people * devices / 2);
    // Until what the kernel holds for them is full, too.
    tokio::time::sleep(stage.time(Duration::from_secs(3))).await;
    let noticed = bystanders.live(stage, &server).await?;
    posting.abort();
    filled.tally.check()?;
    server.stop().await?;
    let what = format!("{stalled} of {} devices in a room read nothing, posts of {SIZE} B at 10/s", people * devices);
    Ok(told("stalled_readers", &what, &peace, &noticed))
}

fn slow_handshakes(target: &Target, abuse: &mut JoinSet<()>) {
    for which in 0..200 {
        let address = target.address;
        abuse.spawn(async move {
            tokio::time::sleep(Duration::from_millis(which * 5)).await;
            loop {
                if let Ok(mut tcp) = TcpStream::connect(address).await {
                    // The beginning of a TLS record, a byte at a time; the server may hang up at any of them.
                    for byte in [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3] {
                        if tcp.write_all(&[byte]).await.is_err() {
                            break;
                        }
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
}

fn login_flood(target: &Target, abuse: &mut JoinSet<()>) {
    for which in 0..8 {
        let target = target.clone();
        abuse.spawn(async move {
            let Ok(user) = format!("by-a{which}@{}", target.name).parse() else { return };
            let device = Device { user, secret: DeviceSecret::generate() };
            loop {
                // What the server says does not matter here: to be refused is what is expected.
                let _ = guess(&target, &device).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
}

async fn guess(target: &Target, device: &Device) -> Result<()> {
    let mut link = Link::device(target, device).await?;
    for _ in 0..10 {
        let (_, ke1) = Login::start(b"a guess")?;
        link.writer.send(&Frame::from(LoginStart { req: 1, with: Secret::Password, ke1: ke1.into() }).encode()).await?;
        link.reader.frame().await?;
    }
    Ok(())
}

fn reconnect_storm(target: &Target, crowd: &[Person], abuse: &mut JoinSet<()>) {
    for person in crowd {
        let (target, devices) = (target.clone(), person.devices.clone());
        abuse.spawn(async move {
            loop {
                let mut links = Vec::new();
                for device in &devices {
                    links.extend(talk::arrive(&target, device).await.ok());
                }
                drop(links);
            }
        });
    }
}

/// Another server's people write as fast as they can to people here. That server runs on the load's core.
async fn peer(stage: &Stage) -> Result<Vec<Measured>> {
    let (one, two) = (Home::new(stage, "s1", Transport::Tls)?, Home::new(stage, "s2", Transport::Tls)?);
    let (first, second) = (one.peer(stage).await?, two.peer(stage).await?);
    one.knows(&json!({ "s2": second }))?;
    two.knows(&json!({ "s1": first }))?;
    let server = one.start(stage).await?;
    let other = two.start_on(stage, stage.cores.load).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let mut bystanders = Bystanders::new(stage, &server, &mut registrar).await?;
    let count = stage.scaled(10, 2);
    let here = registrar.people("a", count, 1).await?;
    let there = Registrar::new(&other.target).await?.people("b", count, 1).await?;
    let peace = bystanders.live(stage, &server).await?;
    let mut authors = Vec::new();
    for (near, far) in here.iter().zip(&there) {
        let genesis = talk::direct(&near.user, &far.user);
        let mut link = talk::arrive(&other.target, &far.devices[0]).await?;
        let mut author = Author::new(&far.devices[0], genesis.log(), 0);
        talk::open_room(&mut link, &mut author, &genesis).await?;
        authors.push((author, link));
    }
    let (time, unheard) = (stage.time(TIME * 2), Tally::new());
    let (abuse, noticed) = tokio::join!(load::saturate(&other, authors, &unheard, 64, time), bystanders.live(stage, &server));
    let (abuse, noticed) = (abuse?, noticed?);
    other.stop().await?;
    server.stop().await?;
    let what = format!("another server, on the load's core, hands over {:.0} messages/s of {count} people", abuse.accepted);
    Ok(told("peer_at_line_rate", &what, &peace, &noticed))
}
