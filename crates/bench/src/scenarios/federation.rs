//! A message to somebody on another server: what it costs both servers together.

use crate::link::Link;
use crate::load::{self, Tally, Voice};
use crate::people::{Device, Registrar};
use crate::process::{Home, Stage, Transport};
use crate::table::Measured;
use crate::talk::{self, Author};
use anyhow::{Result, bail, ensure};
use serde_json::json;
use std::time::{Duration, Instant};
use tidings_proto::frame::Ping;
use tidings_proto::{Code, Frame, LogName};

const PAIRS: usize = 50;
const RATE: f64 = 1000.0;
const TIME: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures it. Between servers, links are always encrypted.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let (one, two) = (Home::new(stage, "s1", Transport::Tls)?, Home::new(stage, "s2", Transport::Tls)?);
    let (first, second) = (one.peer(stage).await?, two.peer(stage).await?);
    one.knows(&json!({ "s2": second }))?;
    two.knows(&json!({ "s1": first }))?;
    let (s1, s2) = (one.start(stage).await?, two.start(stage).await?);
    let count = stage.scaled(PAIRS, 2);
    let here: Vec<Device> =
        Registrar::new(&s1.target).await?.people("a", count, 1).await?.into_iter().map(|p| p.devices[0].clone()).collect();
    let there: Vec<Device> =
        Registrar::new(&s2.target).await?.people("b", count, 1).await?.into_iter().map(|p| p.devices[0].clone()).collect();
    let (tally, mut voices, mut kept) = (Tally::new(), Vec::new(), Vec::new());
    let links = talk::all_arrive(&s1.target, &here).await?.into_iter().zip(talk::all_arrive(&s2.target, &there).await?);
    for ((one, other), (mut near, mut far)) in here.iter().zip(&there).zip(links) {
        let genesis = talk::direct(&one.user, &other.user);
        let mut author = Author::new(one, genesis.log(), 0);
        let seq = talk::open_room(&mut near, &mut author, &genesis).await?;
        near.writer.send(&talk::notice(one, &other.user, &genesis)).await?;
        talk::accepted(&mut near).await?;
        known_there(&mut far, &genesis.log(), seq).await?;
        let Link { reader, writer, .. } = near;
        load::listen(reader, &tally, false);
        voices.push(Voice { author, writer });
        let Link { reader, writer, .. } = far;
        load::listen(reader, &tally, true);
        kept.push(writer);
    }
    // What is left of the beginning has come.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let rate = if stage.tiny { 50.0 } else { RATE };
    let paced = load::run(&[&s1, &s2], &mut voices, &tally, (rate, stage.time(TIME)), 1).await?;
    s1.stop().await?;
    s2.stop().await?;
    let how = format!("{count} pairs over two servers, {rate}/s, CPU of both servers per message; p99 {:.0} µs", paced.late_us.1);
    Ok(vec![Measured::new("federation_cpu_us", paced.cpu_us, how)])
}

/// Follows a room as soon as the server there knows it, from `seq` on.
async fn known_there(link: &mut Link, log: &LogName, seq: u64) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        link.writer.put(&talk::follow(log, seq));
        link.writer.send(&Frame::from(Ping { req: 7, heads: None }).encode()).await?;
        let mut known = true;
        loop {
            match link.reader.frame().await? {
                Frame::Refused(refused) if matches!(refused.why.code, Code::Forbidden | Code::NotFound) => known = false,
                Frame::Refused(refused) => bail!("refused: {}", refused.why),
                Frame::Pong(pong) if pong.req == 7 => break,
                _ => {}
            }
        }
        if known {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the other server does not learn of a room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
