//! Whether cost stays what it is as things grow: a log, a room, the number of connections. And what an idle server does.

use super::{idle, room};
use crate::link::Link;
use crate::load::{self, Tally, Voice};
use crate::people::{Device, Registrar};
use crate::process::{Home, Server, Stage};
use crate::table::{Budget, Measured};
use crate::talk::{self, Author};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use tidings_proto::frame::Fetch;
use tidings_proto::{Frame, LogName};

/// How long a long log may take to make: how many entries that are, the disk decides.
const FILLING: Duration = Duration::from_secs(20);
const WRITERS: usize = 20;
const WINDOW: usize = 256;
/// What grows is measured by how much more it costs than when it was small: a quarter is what two runs may differ by.
const FLAT: Budget = Budget::AtMost(1.25);

/// One direct room with few entries, one with as many as could be made.
pub async fn history(stage: &Stage) -> Result<Vec<Measured>> {
    let home = Home::new(stage, "s1", stage.transport)?;
    let server = home.start(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let people = registrar.people("old", 2, 20).await?;
    let genesis = talk::direct(&people[0].user, &people[1].user);
    let log = genesis.log();
    let short = cost_of(stage, &server, &people[0].devices[0], &people[1].devices[0], Some(100)).await?;

    let mut authors = Vec::new();
    for device in people[0].devices[1..].iter().take(WRITERS) {
        authors.push((Author::new(device, log.clone(), 0), talk::arrive(&server.target, device).await?));
    }
    let begun = Instant::now();
    load::saturate(&server, authors, &Tally::new(), WINDOW, stage.time(FILLING)).await?;
    let filling = begun.elapsed();
    let long = cost_of(stage, &server, &people[1].devices[1], &people[0].devices[1], None).await?;
    let rss = server.rss()?;
    server.stop().await?;

    // A server that has just started has nothing of the log in memory.
    let server = home.start(stage).await?;
    let mut link = talk::arrive(&server.target, &people[1].devices[2]).await?;
    let (entries, page) = newest_page(&mut link, &log).await?;
    let ready = server.ready;
    server.stop().await?;
    let filled = format!("{entries} entries, made in {:.0} s", filling.as_secs_f64());
    Ok(vec![
        Measured::other(
            "flat_history_ratio",
            long / short,
            "×",
            FLAT,
            format!("CPU per message at {filled}, against 100: {long:.0} and {short:.0} µs"),
        ),
        Measured::other("flat_newest_page_ms", page, "ms", Budget::AtMost(10.0), format!("50 entries of {entries}, server just started")),
        Measured::other(
            "flat_ready_ms",
            ready.as_secs_f64() * 1e3,
            "ms",
            Budget::AtMost(1000.0),
            format!("start to ready with {entries} entries"),
        ),
        Measured::other(
            "flat_rss_mib",
            rss as f64 / f64::from(1 << 20),
            "MiB",
            Budget::AtMost(256.0),
            format!("after writing {entries} entries"),
        ),
    ])
}

/// Microseconds of CPU for one message at 200 a second between two devices, in the room as long as it is; made first where `make` says
/// with how many entries.
async fn cost_of(stage: &Stage, server: &Server, from: &Device, to: &Device, make: Option<usize>) -> Result<f64> {
    let genesis = talk::direct(&from.user, &to.user);
    let mut near = talk::arrive(&server.target, from).await?;
    let mut author = Author::new(from, genesis.log(), 0);
    let mut seq = talk::open_room(&mut near, &mut author, &genesis).await?;
    for _ in 1..make.unwrap_or(1) {
        near.writer.send(&author.submit(0)).await?;
        seq = talk::accepted(&mut near).await?.seq;
    }
    let Link { reader, mut writer, .. } = talk::arrive(&server.target, to).await?;
    writer.send(&talk::follow(&genesis.log(), seq)).await?;
    let tally = Tally::new();
    load::listen(reader, &tally, true);
    let Link { reader: own, writer: out, .. } = near;
    load::listen(own, &tally, false);
    let time = stage.time(Duration::from_secs(4));
    let paced = load::run(&[server], &mut [Voice { author, writer: out }], &tally, (200.0, time), 1).await?;
    drop(writer);
    Ok(paced.cpu_us)
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
        let mut filled = room::fill(&server, &mut registrar, "member", *people, *devices).await?;
        let mut voices = filled.voices(5, talk::PAYLOAD);
        let each = (people * devices) as u64;
        let paced = load::run(&[&server], &mut voices, &filled.tally, (10.0, stage.time(Duration::from_secs(5))), each).await?;
        server.stop().await?;
        let cost = paced.cpu_us / each as f64;
        costs.push(cost);
        let how = format!("CPU per delivery in a room of {each} devices at 10 posts/s");
        measured.push(Measured::other(format!("flat_room_{each}_cpu_us"), cost, "µs", Budget::None, how));
    }
    if let (Some(first), Some(last)) = (costs.first(), costs.last()) {
        measured.push(Measured::other("flat_room_ratio", last / first, "×", FLAT, "the largest against the smallest"));
    }
    Ok(measured)
}

/// Memory of each connection at 1,000 and 8,000, and what the server does while none of them says anything.
pub async fn connections(stage: &Stage) -> Result<Vec<Measured>> {
    let (few, many) = (stage.scaled(1000, 20), stage.scaled(8000, 60));
    let home = Home::new(stage, "s1", stage.transport)?;
    let server = home.start(stage).await?;
    let mut crowd = idle::Crowd::new(&server, many).await?;
    let empty = idle::quiet_rss(&server).await?;
    crowd.grow(&server, few).await?;
    let some = idle::quiet_rss(&server).await?;
    crowd.grow(&server, many).await?;
    let all = idle::quiet_rss(&server).await?;
    let (before, begun) = (server.meter.cpu()?, Instant::now());
    tokio::time::sleep(stage.time(Duration::from_secs(8))).await;
    let share = server.meter.cpu()?.saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    server.stop().await?;
    let each = |rss: u64, count: usize| rss.saturating_sub(empty) as f64 / 1024.0 / count as f64;
    let (at_few, at_many) = (each(some, few), each(all, many));
    Ok(vec![
        Measured::other(
            "flat_connections_ratio",
            at_many / at_few,
            "×",
            FLAT,
            format!("memory of one of {many}, {at_many:.1} KiB, against one of {few}, {at_few:.1} KiB"),
        ),
        Measured::other("idle_cpu_percent", share, "%", Budget::AtMost(0.5), format!("{many} connections that say nothing")),
    ])
}
