//! Coming into a room of many: what it costs the server, and what comes to the one who joins.

use super::room::Room;
use crate::link::Link;
use crate::load::{self, Tally};
use crate::people::{Device, Registrar};
use crate::process::{Home, Server, Stage};
use crate::table::{Budget, Measured};
use crate::talk::{self, Author};
use anyhow::Result;
use std::time::Duration;
use tidings_proto::Frame;
use tidings_proto::frame::Ping;

const PEOPLE: usize = 50;
const DEVICES: usize = 4;
const JOINS: usize = 14;
/// Messages that are in the room before anybody of these comes.
const MESSAGES: usize = 100;

/// Measures it.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let home = Home::new(stage, "s1", stage.transport)?;
    let server = home.start(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let people = registrar.people("member", stage.scaled(PEOPLE, 2), DEVICES).await?;
    let asked = registrar.people("new", stage.scaled(JOINS, 2), 1).await?;
    let mut room = Room::of(&server.target, &registrar, &people, &asked).await?;
    let all: Vec<Device> = people.iter().flat_map(|person| person.devices.iter().cloned()).collect();
    let tally = Tally::new();
    let mut writers = Vec::new();
    let mut links = talk::all_arrive(&server.target, &all).await?;
    let mut author = Author::new(&people[0].devices[1], room.log(), room.epoch);
    for _ in 0..stage.scaled(MESSAGES, 3) {
        links[1].writer.send(&author.submit(0)).await?;
        room.seq = talk::accepted(&mut links[1]).await?.seq;
    }
    drop(links);
    let devices: Vec<Device> = asked.iter().map(|person| person.devices[0].clone()).collect();
    let mut joiners: Vec<(Link, Device)> = talk::all_arrive(&server.target, &devices).await?.into_iter().zip(devices).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;

    // The first half comes in while nobody is there to be told, the other while everybody is.
    let mut others = joiners.split_off(joiners.len() / 2);
    let alone = come_in(&server, &mut room, &mut joiners, (&tally, 0)).await?;
    for Link { reader, mut writer, .. } in talk::all_arrive(&server.target, &all).await? {
        writer.send(&talk::follow(&room.log(), room.seq)).await?;
        load::listen(reader, &tally, true);
        writers.push(writer);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = come_in(&server, &mut room, &mut others, (&tally, all.len())).await?;
    server.stop().await?;
    let how = format!("{} people, log of {} entries", people.len(), room.seq);
    Ok(vec![
        Measured::new("join_cpu_us", told.cpu_us, format!("{how}, {} devices, each of which is told at once: that is in it", all.len())),
        Measured::other(
            "join_alone_cpu_us",
            alone.cpu_us,
            "µs",
            Budget::AtMost(100.0),
            format!("{how}; the same with nobody there to be told"),
        ),
        Measured::new("join_bytes", told.bytes, format!("{how}; to the one who joins, the whole log among it")),
    ])
}

/// What it came to, for each of those who came.
struct Came {
    cpu_us: f64,
    bytes: f64,
}

/// These come into the room one after the other, and read all that they may; so many listeners hear of each.
async fn come_in(server: &Server, room: &mut Room, joiners: &mut [(Link, Device)], (tally, listeners): (&Tally, usize)) -> Result<Came> {
    let (before, mut bytes, mut heard) = (server.meter.cpu()?, 0, tally.delivered());
    for (link, device) in joiners.iter_mut() {
        let received = link.reader.received;
        room.joins(link, device).await?;
        link.writer.put(&talk::follow(&room.log(), 0));
        link.writer.send(&Frame::from(Ping { req: 1, heads: None }).encode()).await?;
        // The pong comes after everything that was there to be sent.
        while !matches!(link.reader.frame().await?, Frame::Pong(_)) {}
        bytes += link.reader.received - received;
        heard += listeners as u64;
        tally.wait_for(heard, Duration::from_secs(10)).await?;
    }
    let (cpu, count) = (server.meter.cpu()?.saturating_sub(before), joiners.len().max(1) as f64);
    Ok(Came { cpu_us: cpu.as_secs_f64() * 1e6 / count, bytes: bytes as f64 / count })
}
