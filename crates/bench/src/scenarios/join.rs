//! Coming into a room of many: what it costs the server, and what comes to the one who joins.

use super::room::Room;
use crate::load;
use crate::people::{Device, Registrar};
use crate::process::{Home, Stage};
use crate::table::Measured;
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
    let mut room = Room::of(&server, &registrar, &people, &asked).await?;
    let all: Vec<Device> = people.iter().flat_map(|person| person.devices.iter().cloned()).collect();
    let tally = load::Tally::new();
    let mut writers = Vec::new();
    let mut links = talk::all_arrive(&server.target, &all).await?;
    let mut author = Author::new(&people[0].devices[1], room.log(), room.epoch);
    for _ in 0..stage.scaled(MESSAGES, 3) {
        links[1].writer.send(&author.submit(0)).await?;
        room.seq = talk::accepted(&mut links[1]).await?.seq;
    }
    for link in links {
        let crate::link::Link { reader, mut writer, .. } = link;
        writer.send(&talk::follow(&room.log(), room.seq)).await?;
        load::listen(reader, &tally, true);
        writers.push(writer);
    }
    let devices: Vec<Device> = asked.iter().map(|person| person.devices[0].clone()).collect();
    let mut joiners = talk::all_arrive(&server.target, &devices).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;

    let (before, mut bytes, mut heard) = (server.meter.cpu()?, 0, 0);
    for (link, device) in joiners.iter_mut().zip(&devices) {
        let received = link.reader.received;
        room.joins(link, device).await?;
        link.writer.put(&talk::follow(&room.log(), 0));
        link.writer.send(&Frame::from(Ping { req: 1 }).encode()).await?;
        // The pong comes after everything that was there to be sent.
        while !matches!(link.reader.frame().await?, Frame::Pong(_)) {}
        bytes += link.reader.received - received;
        heard += all.len() as u64;
        tally.wait_for(heard, Duration::from_secs(10)).await?;
    }
    let cpu = server.meter.cpu()?.saturating_sub(before);
    let count = devices.len();
    server.stop().await?;
    let how = format!("each of {count} into a room of {} people, {} devices, log of {} entries", people.len(), all.len(), room.seq);
    Ok(vec![
        Measured::new("join_cpu_us", cpu.as_secs_f64() * 1e6 / count as f64, format!("{how}; telling all {} devices is in it", all.len())),
        Measured::new("join_bytes", bytes as f64 / count as f64, format!("{how}; to the one who joins, the whole log among it")),
    ])
}
