//! Private messages of pairs: at a fixed rate, and as many as go.

use crate::link::Link;
use crate::load::{self, Tally, Voice};
use crate::people::{Person, Registrar};
use crate::probe::Probe;
use crate::process::{Home, Server, Stage};
use crate::table::Measured;
use crate::talk::{self, Author, PAYLOAD};
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const PAIRS: usize = 100;
const RATE: f64 = 2000.0;
const TIME: Duration = Duration::from_secs(2);
/// So many windows of that, of which the median counts.
const WINDOWS: usize = 5;
/// Unanswered messages of one author at saturation.
const WINDOW: usize = 32;

/// Pairs that are ready: of each the first writes, and both follow their room, as clients do.
pub struct Pairs {
    /// Who writes, and on what.
    pub authors: Vec<(Author, Link)>,
    /// What comes to those who listen. The writers' own messages come back to them too, and are not counted.
    pub tally: Arc<Tally>,
    /// The listeners stay connected for as long as these are held.
    pub writers: Vec<crate::link::Writer>,
}

/// Registers people, connects them and makes their rooms.
pub async fn pairs(server: &Server, registrar: &mut Registrar, name: &str, count: usize) -> Result<Pairs> {
    let (ones, others) = (registrar.people(&format!("{name}-a"), count, 1).await?, registrar.people(&format!("{name}-b"), count, 1).await?);
    let first = |people: &[Person]| people.iter().map(|person| person.devices[0].clone()).collect::<Vec<_>>();
    let (ones, others) = (first(&ones), first(&others));
    let tally = Tally::new();
    let (mut authors, mut writers) = (Vec::new(), Vec::new());
    let links = talk::all_arrive(&server.target, &ones).await?.into_iter().zip(talk::all_arrive(&server.target, &others).await?);
    for ((one, other), (mut link, Link { reader, mut writer, .. })) in ones.iter().zip(&others).zip(links) {
        let genesis = talk::direct(&one.user, &other.user);
        let mut author = Author::new(one, genesis.log(), 0);
        let seq = talk::open_room(&mut link, &mut author, &genesis).await?;
        link.writer.send(&talk::follow(&genesis.log(), seq)).await?;
        writer.send(&talk::follow(&genesis.log(), seq)).await?;
        load::listen(reader, &tally, true);
        authors.push((author, link));
        writers.push(writer);
    }
    Ok(Pairs { authors, tally, writers })
}

/// Measures it.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let home = Home::new(stage, "s1", stage.transport)?;
    let server = home.start(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let count = stage.scaled(PAIRS, 4);
    let Pairs { authors, tally, writers: _writers } = pairs(&server, &mut registrar, "paced", count).await?;

    let (mut voices, mut readers) = (Vec::new(), Vec::new());
    for (author, Link { reader, writer, .. }) in authors {
        voices.push(Voice { author, writer });
        readers.push(load::listen(reader, &tally, false));
    }
    let rate = if stage.tiny { 100.0 } else { RATE };
    let probe = Probe::start(&stage.folder)?;
    let count_of = stage.scaled(WINDOWS, 2);
    let windows = load::windows(&[&server], &mut voices, &tally, (rate, stage.time(TIME), count_of), 1).await?;
    let disk = probe.stop();
    let overhead = overhead(&mut voices, &tally).await?;
    readers.iter().for_each(|reader| reader.abort());

    let Pairs { authors, tally, writers: _writers } = pairs(&server, &mut registrar, "sat", count).await?;
    let full = load::saturate(&server, authors, &tally, WINDOW, stage.time(TIME * 2)).await?;
    server.stop().await?;
    let how = format!("{count} pairs, {rate}/s");
    let (least, most) = windows.p99_spread_us();
    Ok(vec![
        Measured::new("direct_cpu_us", windows.cpu_us(), format!("{how}, server CPU per message; median of {count_of} windows")),
        Measured::new("direct_p50_us", windows.p50_us(), format!("{how}, from the due time; median of {count_of} windows")),
        Measured::new(
            "direct_p99_us",
            windows.p99_us(),
            format!("{how}, from the due time; median of {count_of} windows, {least:.0} to {most:.0}; meanwhile {disk}"),
        ),
        Measured::new(
            "wire_overhead_bytes",
            overhead,
            "WebSocket bytes to the recipient of a message that comes alone, less the 100 of the payload",
        ),
        Measured::new(
            "direct_sat_per_s",
            full.delivered,
            format!("{count} pairs, {WINDOW} unanswered each; server core {:.0} % busy", full.busy * 100.0),
        ),
    ])
}

/// Bytes around the payload of a message that nothing else shares its frame with: each is waited for before the next is written.
async fn overhead(voices: &mut [Voice], tally: &Tally) -> Result<f64> {
    const LONE: u64 = 20;
    let bytes = || tally.bytes.load(Ordering::Relaxed);
    let (before, begun) = (bytes(), tally.delivered());
    for which in 0..LONE {
        let count = voices.len();
        let voice = &mut voices[which as usize % count];
        voice.writer.send(&voice.author.submit(0)).await?;
        tally.wait_for(begun + which + 1, Duration::from_secs(10)).await?;
    }
    // The last one is counted once its reader has put its bytes down, which is in the same step.
    tokio::task::yield_now().await;
    Ok((bytes() - before) as f64 / LONE as f64 - PAYLOAD as f64)
}
