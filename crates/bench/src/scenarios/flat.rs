//! Whether cost stays what it is as things grow: a log, a room, the number of connections. And what an idle server does.

use super::{idle, room};
use crate::link::Link;
use crate::load::{self, Tally, Voice};
use crate::people::{Device, Registrar};
use crate::process::{Home, Server, Stage};
use crate::table::{Budget, Measured};
use crate::talk::{self, Author};
use anyhow::{Result, bail, ensure};
use std::time::{Duration, Instant};
use tidings_proto::frame::Fetch;
use tidings_proto::{Frame, LogName};

/// How long a long log may take to make: where the disk is slow, it is shorter.
const FILLING: Duration = Duration::from_secs(60);
/// How long the log is when a message is measured in it.
const LENGTHS: [u64; 5] = [100, 1000, 10_000, 100_000, 1_000_000];
const WRITERS: usize = 19;
const WINDOW: usize = 256;
/// Messages a second, and windows of so long, of which the median counts.
const RATE: f64 = 400.0;
const WINDOWS: (Duration, usize) = (Duration::from_millis(1500), 3);
/// What grows is measured by how much more it costs than when it was small: a quarter is what two runs may differ by.
const FLAT: Budget = Budget::AtMost(1.25);

/// One direct room, with more and more entries.
pub async fn history(stage: &Stage) -> Result<Vec<Measured>> {
    let home = Home::new(stage, "s1", stage.transport)?;
    let server = home.start(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let people = registrar.people("old", 2, 20).await?;
    let genesis = talk::direct(&people[0].user, &people[1].user);
    let log = genesis.log();
    let mut authors = Vec::new();
    for (which, device) in people[0].devices[1..].iter().take(WRITERS).enumerate() {
        let (mut author, mut link) = (Author::new(device, log.clone(), 0), talk::arrive(&server.target, device).await?);
        if which == 0 {
            talk::open_room(&mut link, &mut author, &genesis).await?;
        }
        authors.push((author, link));
    }
    let (mut here, mut costs, mut measured, begun) = (1, Vec::new(), Vec::new(), Instant::now());
    let lengths = if stage.tiny { &LENGTHS[..2] } else { &LENGTHS[..] };
    for (device, length) in people[1].devices.iter().zip(lengths) {
        let (filled, back) = load::fill(authors, WINDOW, length.saturating_sub(here), FILLING.saturating_sub(begun.elapsed())).await?;
        (authors, here) = (back, here + filled);
        if here < *length {
            eprintln!("the disk is too slow for {length} entries: {here} have been made in {:.0} s", begun.elapsed().as_secs_f64());
            break;
        }
        let (cost, messages) = cost_of(stage, &server, device, &people[0].devices[0], here).await?;
        here += messages;
        costs.push((*length, cost));
        let how = format!("CPU per message at {RATE}/s, with {length} entries in the room");
        measured.push(Measured::other(format!("flat_history_{length}_cpu_us"), cost, "µs", Budget::None, how));
    }
    let filling = begun.elapsed().as_secs_f64();
    let rss = server.rss()?;
    server.stop().await?;

    // A server that has just started has nothing of the log in memory.
    let server = home.start(stage).await?;
    let mut link = talk::arrive(&server.target, &people[1].devices[12]).await?;
    let (entries, page) = newest_page(&mut link, &log).await?;
    let ready = server.ready.as_secs_f64() * 1e3;
    server.stop().await?;
    let (Some((few, short)), Some((many, long))) = (costs.first(), costs.last()) else { bail!("no length was reached") };
    let mib = rss as f64 / f64::from(1 << 20);
    let how = format!("CPU per message at {many} entries against {few}: {long:.0} and {short:.0} µs; made and measured in {filling:.0} s");
    measured.push(Measured::other("flat_history_ratio", long / short, "×", FLAT, how));
    let how = format!("50 entries of {entries}, server just started");
    measured.push(Measured::other("flat_newest_page_ms", page, "ms", Budget::AtMost(10.0), how));
    let how = format!("start to ready with {entries} entries");
    measured.push(Measured::other("flat_ready_ms", ready, "ms", Budget::AtMost(1000.0), how));
    measured.push(Measured::other("flat_rss_mib", mib, "MiB", Budget::AtMost(256.0), format!("after writing {entries} entries")));
    Ok(measured)
}

/// Microseconds of CPU for one message between two devices, in their room, which has `here` entries; and how many more it has then.
async fn cost_of(stage: &Stage, server: &Server, from: &Device, to: &Device, here: u64) -> Result<(f64, u64)> {
    let log = talk::direct(&from.user, &to.user).log();
    let Link { reader: own, writer: out, .. } = talk::arrive(&server.target, from).await?;
    let Link { reader, mut writer, .. } = talk::arrive(&server.target, to).await?;
    writer.send(&talk::follow(&log, here)).await?;
    let tally = Tally::new();
    load::listen(reader, &tally, true);
    load::listen(own, &tally, false);
    let mut voices = [Voice { author: Author::new(from, log, 0), writer: out }];
    let windows = load::windows(&[server], &mut voices, &tally, (RATE, stage.time(WINDOWS.0), WINDOWS.1), 1).await?;
    drop(writer);
    Ok((windows.cpu_us(), tally.delivered()))
}

/// How many entries there are, and the milliseconds until the newest fifty of them have come.
async fn newest_page(link: &mut Link, log: &LogName) -> Result<(u64, f64)> {
    let fetch = Fetch { req: 5, log: log.clone(), before: Some(u64::MAX), after: None, limit: 50 };
    let begun = Instant::now();
    let page = link.ask(fetch, |frame| if let Frame::Page(page) = frame { Some(page) } else { None }).await?;
    let took = begun.elapsed();
    ensure!(!page.items.is_empty(), "an empty page of a long log");
    let last = tidings_proto::Entry::read(&page.items[page.items.len() - 1].entry)?;
    Ok((last.seq, took.as_secs_f64() * 1e3))
}

/// The same posts in rooms of 50, 200 and 800 devices.
pub async fn rooms(stage: &Stage) -> Result<Vec<Measured>> {
    let sizes: &[(usize, usize)] = if stage.tiny { &[(2, 2), (2, 4)] } else { &[(25, 2), (50, 4), (40, 20)] };
    let (mut costs, mut measured) = (Vec::new(), Vec::new());
    for (people, devices) in sizes {
        let home = Home::new(stage, "s1", stage.transport)?;
        let server = home.start(stage).await?;
        let mut registrar = Registrar::new(&server.target).await?;
        let mut filled = room::fill(&server.target, &mut registrar, "member", *people, *devices).await?;
        let mut voices = filled.voices(5, talk::PAYLOAD);
        let each = (people * devices) as u64;
        let (time, count) = WINDOWS;
        let windows = load::windows(&[&server], &mut voices, &filled.tally, (10.0, stage.time(time), count), each).await?;
        server.stop().await?;
        let cost = windows.cpu_us() / each as f64;
        costs.push(cost);
        let how = format!("CPU per delivery in a room of {each} devices at 10 posts/s");
        measured.push(Measured::other(format!("flat_room_{each}_cpu_us"), cost, "µs", Budget::None, how));
    }
    if let (Some(first), Some(last)) = (costs.first(), costs.last()) {
        measured.push(Measured::other("flat_room_ratio", last / first, "×", FLAT, "the largest against the smallest"));
    }
    Ok(measured)
}

/// Memory of each connection from 1,000 to 8,000, and what the server does while none of them says anything.
pub async fn connections(stage: &Stage) -> Result<Vec<Measured>> {
    let counts = [(1000, 20), (2000, 30), (4000, 40), (8000, 60)].map(|(whole, tiny)| stage.scaled(whole, tiny));
    let many = counts[counts.len() - 1];
    let home = Home::new(stage, "s1", stage.transport)?;
    let server = home.start(stage).await?;
    let mut crowd = idle::Crowd::new(&server, many).await?;
    let empty = idle::quiet_rss(&server).await?;
    let (mut costs, mut measured) = (Vec::new(), Vec::new());
    for count in counts {
        crowd.grow(&server, count).await?;
        let each = idle::quiet_rss(&server).await?.saturating_sub(empty) as f64 / 1024.0 / count as f64;
        costs.push(each);
        let how = format!("memory of each of {count} connections that say nothing");
        measured.push(Measured::other(format!("flat_connection_{count}_kib"), each, "KiB", Budget::None, how));
    }
    // Of the last who came everybody is told within a second: that is no idleness yet.
    tokio::time::sleep(stage.time(Duration::from_secs(2))).await;
    let (before, begun) = (server.meter.cpu()?, Instant::now());
    tokio::time::sleep(stage.time(Duration::from_secs(8))).await;
    let share = server.meter.cpu()?.saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    server.stop().await?;
    let (few, ratio) = (counts[0], costs[costs.len() - 1] / costs[0]);
    let how = format!("memory of one of {many} connections against one of {few}");
    measured.push(Measured::other("flat_connections_ratio", ratio, "×", FLAT, how));
    let how = format!("{many} connections that say nothing");
    measured.push(Measured::other("idle_cpu_percent", share, "%", Budget::AtMost(0.5), how));
    Ok(measured)
}
