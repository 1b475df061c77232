//! The yardstick: what the same frames cost a hub that only hands them on, with the same libraries on the same machine in the same run. The
//! budgets were measured on another machine; a figure as a multiple of these can be compared with others'.

use crate::link::{self, Reader, Writer};
use crate::process::{Home, Server, Stage, Transport};
use crate::table::{Budget, Measured, median};
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PAIRS: usize = 100;
const ROOM: usize = 200;
const COMINGS: usize = 300;
/// As large as a frame with one sealed message of 100 bytes.
const FRAME: usize = 195;
const WINDOWS: usize = 5;
const TIME: Duration = Duration::from_secs(2);

/// Those who say one number, and hear each other.
struct Group {
    writers: Vec<Writer>,
    heard: Arc<AtomicU64>,
}

impl Group {
    async fn new(server: &Server, number: u64, people: usize, heard: &Arc<AtomicU64>) -> Result<Group> {
        let mut writers = Vec::new();
        for _ in 0..people {
            let (reader, mut writer) = come(server, number).await?;
            writer.flush().await?;
            listen(reader, heard.clone());
            writers.push(writer);
        }
        Ok(Group { writers, heard: heard.clone() })
    }
}

/// Connects, and says a number.
async fn come(server: &Server, number: u64) -> Result<(Reader, Writer)> {
    let link::Raw { mut reader, mut writer, .. } = link::dial(&server.target, "/").await?;
    writer.send(&number.to_be_bytes()).await?;
    reader.next().await?;
    Ok((reader, writer))
}

fn listen(mut reader: Reader, heard: Arc<AtomicU64>) {
    tokio::spawn(async move {
        while reader.next().await.is_ok() {
            heard.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Measures it. Everybody hears what they have said themselves, too, as on a server.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let home = Home::new(stage, "s1", Transport::Bare)?;
    let server = home.start(stage).await?;
    let (pairs, room) = (stage.scaled(PAIRS, 4), stage.scaled(ROOM, 8));
    let heard = Arc::new(AtomicU64::new(0));
    let mut groups = Vec::new();
    for number in 0..pairs {
        groups.push(Group::new(&server, number as u64, 2, &heard).await?);
    }
    let rate = if stage.tiny { 100.0 } else { 2000.0 };
    let direct = paced(stage, &server, &mut groups, rate, 2).await?;
    drop(groups);
    let mut one = [Group::new(&server, u64::MAX, room, &Arc::default()).await?];
    let each = paced(stage, &server, &mut one, 25.0, room as u64).await? / room as f64;

    let comings = stage.scaled(COMINGS, 4);
    let before = server.meter.cpu()?;
    for number in 0..comings {
        drop(come(&server, number as u64).await?);
    }
    tokio::time::sleep(stage.time(Duration::from_secs(1))).await;
    let come = server.meter.cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / comings as f64;
    server.stop().await?;
    let figure = |name, value, note: String| Measured::other(name, value, "µs", Budget::None, note);
    Ok(vec![
        figure(
            "bare_direct_cpu_us",
            direct,
            format!("a bare hub: {pairs} pairs, {rate}/s, frames of {FRAME} B read once and written twice"),
        ),
        figure("bare_room_cpu_us", each, format!("a bare hub: the same frames at 25/s to {room}, CPU per delivery")),
        figure("bare_come_cpu_us", come, format!("a bare hub: {comings} times TCP, TLS, WebSocket, a frame and the goodbye")),
    ])
}

/// Server CPU of one message, in microseconds; each comes to `each` readers.
async fn paced(stage: &Stage, server: &Server, groups: &mut [Group], rate: f64, each: u64) -> Result<f64> {
    let frame = vec![0xa5; FRAME];
    let mut costs = Vec::new();
    for window in 0..=stage.scaled(WINDOWS, 1) {
        let count = ((rate * stage.time(TIME).as_secs_f64()) as usize).max(10);
        let (heard, start, before) = (groups[0].heard.clone(), Instant::now(), server.meter.cpu()?);
        let until = heard.load(Ordering::Relaxed) + count as u64 * each;
        for which in 0..count {
            crate::load::until(start + Duration::from_secs_f64(which as f64 / rate)).await;
            let among = which % groups.len();
            groups[among].writers[0].send(&frame).await?;
        }
        while heard.load(Ordering::Relaxed) < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The first is to warm up.
        if window > 0 {
            costs.push(server.meter.cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / count as f64);
        }
    }
    Ok(median(costs))
}
