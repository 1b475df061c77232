//! What everybody else notices while somebody misbehaves: how late their messages are against their own in peace, in the same run on
//! the same server; whether anybody is cut off; how much memory the server takes.
//!
//! Peace and abuse take turns, a window each, and the figure is the median over the windows: what happens to the machine for a moment is
//! in one of them. The servers' folders are in memory: a disk that takes some hundred milliseconds for a sync now and then would be
//! all that is seen of a figure that is about taking turns. The abuse comes from the load's core, but from threads and processes that
//! have it only while those who write and listen do not want it: what is to be seen is what abuse costs the server.

use super::direct::{self, Pairs};
use super::room;
use crate::link::{self, Link, Target};
use crate::load::{self, Paced, Tally, Voice, Windows};
use crate::machine;
use crate::people::{Device, Person, Registrar};
use crate::process::{Home, Server, Stage, Transport};
use crate::table::{Budget, Measured, median};
use crate::talk::{self, Author};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidings_e2ee::DeviceSecret;
use tidings_e2ee::opaque::Login;
use tidings_proto::frame::{LoginStart, Ping, Secret};
use tidings_proto::{Frame, Genesis};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
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
            writer.send(&Frame::from(Ping { req: 9, heads: None }).encode()).await?;
        }
        tokio::time::sleep(stage.time(SETTLE)).await;
        let paced = load::window(&[server], &mut self.voices, &self.tally, (rate(stage), stage.time(WINDOW)), 1).await?;
        self.tally.check()?;
        Ok(paced)
    }
}

/// Those who misbehave, in a thread of their own, until they are told to stop.
struct Abuse {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Abuse {
    /// Those whom `begin` puts into the set. Were they among the load's own tasks, everybody else's messages would wait for them there.
    fn begin(begin: impl FnOnce(&mut JoinSet<()>) + Send + 'static) -> Result<Abuse> {
        let (stop, stopped) = oneshot::channel();
        let misbehave = move || {
            machine::step_back()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut all = JoinSet::new();
                begin(&mut all);
                // An error says the same: that it is over.
                let _ = stopped.await;
                all.shutdown().await;
            });
            Ok(())
        };
        let thread = std::thread::Builder::new().name("abuse".into()).spawn(misbehave).context("no thread for those who misbehave")?;
        Ok(Abuse { stop, thread })
    }

    async fn end(self) -> Result<()> {
        drop(self.stop);
        tokio::task::spawn_blocking(move || self.thread.join()).await?.map_err(|_| anyhow!("those who misbehave have panicked"))?
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
        let (mut noticed, mut rates, done) = (Noticed::default(), Vec::new(), Arc::new(AtomicU64::new(0)));
        for _ in 0..stage.scaled(TURNS, 1) {
            noticed.peace.push(bystanders.live(stage, &server).await?);
            let (target, crowd, counted) = (server.target.clone(), crowd.clone(), done.clone());
            let (begun, before) = (Instant::now(), done.load(Ordering::Relaxed));
            let abuse = Abuse::begin(move |all| match name {
                "slow_handshakes" => slow_handshakes(&target, &counted, all),
                "login_flood" => login_flood(&target, &counted, all),
                _ => reconnect_storm(&target, &crowd, &counted, all),
            })?;
            noticed.abuse.push(bystanders.live(stage, &server).await?);
            rates.push((done.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64());
            noticed.rss = noticed.rss.max(server.rss()?);
            abuse.end().await?;
        }
        // What has no core of its own for its abuse says little about abuse.
        let what = format!("{what}: {:.0} connections/s", median(rates));
        measured.extend(told(stage, name, &what, noticed));
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

fn slow_handshakes(target: &Target, done: &Arc<AtomicU64>, abuse: &mut JoinSet<()>) {
    for which in 0..200 {
        let (address, done) = (target.address, done.clone());
        abuse.spawn(async move {
            tokio::time::sleep(Duration::from_millis(which * 5)).await;
            loop {
                if let Ok(mut tcp) = TcpStream::connect(address).await {
                    done.fetch_add(1, Ordering::Relaxed);
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

fn login_flood(target: &Target, done: &Arc<AtomicU64>, abuse: &mut JoinSet<()>) {
    for which in 0..8 {
        let (target, done) = (target.clone(), done.clone());
        abuse.spawn(async move {
            let Ok(user) = format!("by-a{which}@{}", target.name).parse() else { return };
            let device = Device { user, secret: DeviceSecret::generate() };
            loop {
                // What the server says does not matter here: to be refused is what is expected.
                let _ = guess(&target, &device).await;
                done.fetch_add(1, Ordering::Relaxed);
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

fn reconnect_storm(target: &Target, crowd: &[Person], done: &Arc<AtomicU64>, abuse: &mut JoinSet<()>) {
    for person in crowd {
        let (target, devices, done) = (target.clone(), person.devices.clone(), done.clone());
        abuse.spawn(async move {
            loop {
                let mut links = Vec::new();
                for device in &devices {
                    links.extend(talk::arrive(&target, device).await.ok());
                    done.fetch_add(1, Ordering::Relaxed);
                }
                drop(links);
            }
        });
    }
}

/// Another server's people write as fast as they can to people here. That server runs on the load's core, and so do they.
async fn peer(stage: &Stage) -> Result<Vec<Measured>> {
    let (one, two) = (Home::new(stage, "s1", Transport::Tls)?, Home::new(stage, "s2", Transport::Tls)?);
    let (first, second) = (one.peer(stage).await?, two.peer(stage).await?);
    one.knows(&json!({ "s2": second }))?;
    two.knows(&json!({ "s1": first }))?;
    let server = one.start(stage).await?;
    let other = two.start_aside(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let mut bystanders = Bystanders::new(stage, &server, &mut registrar).await?;
    let count = stage.scaled(10, 2);
    let here = registrar.people("a", count, 1).await?;
    let there = Registrar::new(&other.target).await?.people("b", count, 1).await?;
    let (turns, taken) = (watch::channel(Instant::now()).0, Arc::new(AtomicU64::new(0)));
    let (target, until, counted) = (other.target.clone(), turns.subscribe(), taken.clone());
    let abuse = Abuse::begin(move |all| {
        for (near, far) in here.iter().zip(&there) {
            let (genesis, far) = (talk::direct(&near.user, &far.user), far.devices[0].clone());
            let (target, until, counted) = (target.clone(), until.clone(), counted.clone());
            all.spawn(async move {
                // That nobody could write is seen by what was taken.
                let _ = write_in_turns(&target, &far, &genesis, until, counted).await;
            });
        }
    })?;
    let (mut noticed, mut rates) = (Noticed::default(), Vec::new());
    for _ in 0..stage.scaled(TURNS, 1) {
        noticed.peace.push(bystanders.live(stage, &server).await?);
        let (begun, before) = (Instant::now(), taken.load(Ordering::Relaxed));
        turns.send_replace(begun + stage.time(WINDOW + SETTLE));
        noticed.abuse.push(bystanders.live(stage, &server).await?);
        rates.push((taken.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64());
        noticed.rss = noticed.rss.max(server.rss()?);
    }
    abuse.end().await?;
    other.stop().await?;
    server.stop().await?;
    let rate = median(rates);
    ensure!(rate > 0.0, "the other server's people could not write");
    let what = format!("another server, on the load's core, hands over {rate:.0} messages/s of {count} people");
    Ok(told(stage, "peer_at_line_rate", &what, noticed))
}

/// Somebody who writes as fast as the server takes it, each time until the moment that is told.
async fn write_in_turns(
    target: &Target,
    device: &Device,
    genesis: &Genesis,
    mut until: watch::Receiver<Instant>,
    taken: Arc<AtomicU64>,
) -> Result<()> {
    const UNANSWERED: usize = 64;
    let mut link = talk::arrive(target, device).await?;
    let mut author = Author::new(device, genesis.log(), 0);
    talk::open_room(&mut link, &mut author, genesis).await?;
    loop {
        let stop = *until.borrow_and_update();
        (author, link) = load::write_on(author, link, UNANSWERED, (stop, u64::MAX), taken.clone()).await?;
        until.changed().await?;
    }
}
