//! Messages for people who are away: how fast they are stored, synced to the disk, and how fast they are fetched later.

use crate::link::Link;
use crate::load::{self, Tally};
use crate::people::{Device, Registrar};
use crate::process::{Home, Stage};
use crate::table::Measured;
use crate::talk::{self, Author};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

const PAIRS: usize = 100;
const WINDOW: usize = 64;
const TIME: Duration = Duration::from_secs(4);

/// Measures it.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let home = Home::new(stage, "s1", stage.transport)?;
    let server = home.start(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let count = stage.scaled(PAIRS, 4);
    let ones: Vec<Device> = registrar.people("here", count, 1).await?.into_iter().map(|person| person.devices[0].clone()).collect();
    let away: Vec<Device> = registrar.people("away", count, 1).await?.into_iter().map(|person| person.devices[0].clone()).collect();
    let (mut authors, mut rooms) = (Vec::new(), Vec::new());
    for ((one, other), mut link) in ones.iter().zip(&away).zip(talk::all_arrive(&server.target, &ones).await?) {
        let genesis = talk::direct(&one.user, &other.user);
        let mut author = Author::new(one, genesis.log(), 0);
        talk::open_room(&mut link, &mut author, &genesis).await?;
        rooms.push(genesis.log());
        authors.push((author, link));
    }
    // Who writes does not follow: what is measured is what is stored.
    let full = load::saturate(&server, authors, &Tally::new(), WINDOW, stage.time(TIME)).await?;

    // A server keeps the newest frames in memory, and those of a few seconds are nearly all: started anew, it has to read what is asked
    // for. Whoever was away asks for each room from its beginning, all at once.
    server.stop().await?;
    let server = home.start(stage).await?;
    let links = talk::all_arrive(&server.target, &away).await?;
    let (tally, mut writers) = (Tally::new(), Vec::new());
    let (begun, before) = (Instant::now(), server.meter.cpu()?);
    for (Link { reader, mut writer, .. }, log) in links.into_iter().zip(&rooms) {
        writer.send(&talk::follow(log, 0)).await?;
        load::listen(reader, &tally, true);
        writers.push(writer);
    }
    let (drained, took) = until_nothing_comes(&tally, begun).await?;
    let busy = (server.meter.cpu()?.saturating_sub(before)).as_secs_f64() / took.as_secs_f64();
    ensure!(drained as f64 >= full.accepted * stage.time(TIME).as_secs_f64() * 0.9, "only {drained} came of what was stored");
    server.stop().await?;
    Ok(vec![
        Measured::new(
            "offline_stored_per_s",
            full.accepted,
            format!("{count} write, {WINDOW} unanswered each, synced before each answer; server core {:.0} % busy", full.busy * 100.0),
        ),
        Measured::new(
            "offline_drained_per_s",
            drained as f64 / took.as_secs_f64(),
            format!("{drained} entries to {count} people at once, from a server just started; its core {:.0} % busy", busy * 100.0),
        ),
    ])
}

/// How much came, and how long it took, once nothing has come for a while.
async fn until_nothing_comes(tally: &Tally, begun: Instant) -> Result<(u64, Duration)> {
    const QUIET: Duration = Duration::from_millis(500);
    let (mut count, mut last) = (0, Instant::now());
    while last.elapsed() < QUIET || count == 0 {
        tally.check()?;
        if tally.delivered() > count {
            (count, last) = (tally.delivered(), Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok((count, last - begun))
}
