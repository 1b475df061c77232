//! What everybody else notices while somebody misbehaves: how late their messages are against their own in peace, in the same run on
//! the same server; whether anybody is cut off; how much memory the server takes.
//!
//! Peace and abuse take turns, a window each, and the figure is the median over the windows: what happens to the machine for a moment is
//! in one of them. The servers' folders are in memory: a disk that takes some hundred milliseconds for a sync now and then would be
//! all that is seen of a figure that is about taking turns. The abuse comes from the load's core, so it is dosed: what is to be seen is
//! what it costs the server, not that a core is full.

use super::direct::{self, Pairs};
use super::room;
use crate::link::{self, Link, Target};
use crate::load::{self, Paced, Tally, Voice, Windows};
use crate::people::{Device, Person, Registrar};
use crate::process::{Home, Server, Stage, Transport};
use crate::table::{Budget, Measured, median};
use crate::talk::{self, Author};
use anyhow::Result;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::opaque::Login;
use tidings_proto::Frame;
use tidings_proto::frame::{LoginStart, Ping, Secret};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const PAIRS: usize = 50;
const RATE: f64 = 300.0;
const WINDOW: Duration = Duration::from_secs(2);
/// Windows of peace, and as many of abuse.
const TURNS: usize = 5;
/// Between the two: until abuse has come to its strength, or what it left is done with.
const SETTLE: Duration = Duration::from_millis(700);

/// Pairs that write to each other all the time.
struct Bystanders {
    voices: Vec<Voice>,
    tally: Arc<Tally>,
    /// Of those who only listen.
    writers: Vec<link::Writer>,
}

/// What bystanders have noticed, turn by turn.
#[derive(Default)]
struct Noticed {
    peace: Vec<Paced>,
    abuse: Vec<Paced>,
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
        let mut bystanders = Bystanders { voices, tally, writers };
        load::warm_up(&mut bystanders.voices, &bystanders.tally, (rate(stage), stage.time(WINDOW)), 1).await?;
        Ok(bystanders)
    }

    /// Some seconds of their life. An error if anybody was cut off, or a message was lost.
    async fn live(&mut self, stage: &Stage, server: &Server) -> Result<Paced> {
        // A server cuts a link that is silent for a minute.
        for writer in &mut self.writers {
            writer.send(&Frame::from(Ping { req: 9 }).encode()).await?;
        }
        tokio::time::sleep(stage.time(SETTLE)).await;
        let paced = load::window(&[server], &mut self.voices, &self.tally, (rate(stage), stage.time(WINDOW)), 1).await?;
        self.tally.check()?;
        Ok(paced)
    }
}

fn rate(stage: &Stage) -> f64 {
    if stage.tiny { 50.0 } else { RATE }
}

/// Measures all of it.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let stage = &stage.in_memory();
    let mut measured = Vec::new();
    measured.extend(stalled(stage).await?);
    measured.extend(strangers(stage).await?);
    measured.extend(peer(stage).await?);
    Ok(measured)
}

/// Abuse that one only has to connect for.
async fn strangers(stage: &Stage) -> Result<Vec<Measured>> {
    let home = Home::new(stage, "s1", stage.transport)?;
    home.fend()?;
    let server = home.start(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let mut bystanders = Bystanders::new(stage, &server, &mut registrar).await?;
    let crowd = registrar.people("storm", stage.scaled(50, 2), 20).await?;
    let mut measured = Vec::new();
    for (name, what) in [
        ("slow_handshakes", "200 connections that never finish TLS, 20 a second anew"),
        ("login_flood", "8 strangers at once, each a guess after the other"),
        ("reconnect_storm", "1,000 devices dropped at once, and back, and again"),
    ] {
        let mut noticed = Noticed::default();
        for _ in 0..stage.scaled(TURNS, 1) {
            noticed.peace.push(bystanders.live(stage, &server).await?);
            let mut abuse = JoinSet::new();
            match name {
                "slow_handshakes" => slow_handshakes(&server.target, &mut abuse),
                "login_flood" => login_flood(&server.target, &mut abuse),
                _ => reconnect_storm(&server.target, &crowd, &mut abuse),
            }
            noticed.abuse.push(bystanders.live(stage, &server).await?);
            noticed.rss = noticed.rss.max(server.rss()?);
            abuse.shutdown().await;
        }
        measured.extend(told(stage, name, what, noticed));
    }
    server.stop().await?;
    Ok(measured)
}

fn told(stage: &Stage, name: &str, what: &str, noticed: Noticed) -> Vec<Measured> {
    let ratios: Vec<f64> =
        noticed.peace.iter().zip(&noticed.abuse).map(|(peace, abuse)| abuse.late_us.1 / peace.late_us.1.max(1.0)).collect();
    let (least, most) = (ratios.iter().copied().fold(f64::INFINITY, f64::min), ratios.iter().copied().fold(0.0, f64::max));
    let (peace, abuse) = (Windows(noticed.peace), Windows(noticed.abuse));
    let late = format!(
        "{what}; p99 {:.1} ms, in peace {:.1} ms: medians of {} turns, whose ratios are {least:.2} to {most:.2}; folders {}; nobody was cut off",
        abuse.p99_us() / 1e3,
        peace.p99_us() / 1e3,
        ratios.len(),
        stage.where_folders_are(),
    );
    vec![
        Measured::other(format!("bystanders_{name}_p99_ratio"), median(ratios), "×", Budget::AtMost(2.0), late),
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
    // What the kernel holds for one that reads nothing is soon full.
    let small = Target { receive_buffer: Some(16 * 1024), ..server.target.clone() };
    let mut filled = room::fill(&small, &mut registrar, "reader", people, devices).await?;
    let mut voices = filled.voices(5, SIZE);
    let clock = filled.tally.clock;
    let posting = tokio::spawn(async move {
        // Until it is aborted.
        load::paced(&mut voices, 10.0, usize::MAX, clock, false).await
    });
    let mut noticed = Noticed::default();
    for _ in 0..stage.scaled(TURNS, 1) {
        noticed.peace.push(bystanders.live(stage, &server).await?);
        filled.stall(true);
        // Until what the kernel holds for them is full, too.
        tokio::time::sleep(stage.time(Duration::from_secs(1))).await;
        noticed.abuse.push(bystanders.live(stage, &server).await?);
        noticed.rss = noticed.rss.max(server.rss()?);
        filled.stall(false);
    }
    posting.abort();
    filled.tally.check()?;
    server.stop().await?;
    let all = people * devices;
    let what = format!("{} of {all} devices in a room read nothing, posts of {SIZE} B at 10/s", all / 2);
    Ok(told(stage, "stalled_readers", &what, noticed))
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
    let mut authors = Vec::new();
    for (near, far) in here.iter().zip(&there) {
        let genesis = talk::direct(&near.user, &far.user);
        let mut link = talk::arrive(&other.target, &far.devices[0]).await?;
        let mut author = Author::new(&far.devices[0], genesis.log(), 0);
        talk::open_room(&mut link, &mut author, &genesis).await?;
        authors.push((author, link));
    }
    let (mut noticed, mut taken, unheard) = (Noticed::default(), Vec::new(), Tally::new());
    for _ in 0..stage.scaled(TURNS, 1) {
        noticed.peace.push(bystanders.live(stage, &server).await?);
        let time = stage.time(WINDOW + SETTLE);
        let (abuse, lived) = tokio::join!(load::saturate(&other, authors, &unheard, 64, time), bystanders.live(stage, &server));
        let abuse = abuse?;
        (authors, noticed.rss) = (abuse.authors, noticed.rss.max(server.rss()?));
        noticed.abuse.push(lived?);
        taken.push(abuse.accepted);
    }
    other.stop().await?;
    server.stop().await?;
    let what = format!("another server, on the load's core, hands over {:.0} messages/s of {count} people", median(taken));
    Ok(told(stage, "peer_at_line_rate", &what, noticed))
}
