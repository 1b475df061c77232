//! The load itself: messages that are due at fixed times, whatever the server does, or as many as it takes; and who listens.

use crate::link::{Link, Reader, Writer};
use crate::process::Server;
use crate::table::{median, percentile};
use crate::talk::{Author, Heard, Which, hear, lateness};
use anyhow::{Result, anyhow, bail};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What all listeners of a run have heard.
pub struct Tally {
    /// The run's clock: due times are counted from here.
    pub clock: Instant,
    /// Entries that came to a listener.
    pub delivered: AtomicU64,
    /// Bytes of WebSocket that came to a listener.
    pub bytes: AtomicU64,
    /// Whether entries are timed, or counted only: reading them whole costs the load more than the server paid.
    timed: AtomicBool,
    late: Mutex<Vec<u64>>,
    /// Frames of entries by which they hold, to see that everybody is sent the same bytes.
    same: Mutex<HashMap<Which, Bytes>>,
    failed: Mutex<Option<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// Nothing has been heard yet.
    pub fn new() -> Arc<Tally> {
        Arc::new(Tally {
            clock: Instant::now(),
            delivered: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            timed: AtomicBool::new(false),
            late: Mutex::default(),
            same: Mutex::default(),
            failed: Mutex::default(),
        })
    }

    /// From now on each entry is timed, or is not.
    pub fn time(&self, timed: bool) {
        self.timed.store(timed, Ordering::Relaxed);
    }

    /// Entries so far.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// What went wrong on any link, if anything did.
    pub fn check(&self) -> Result<()> {
        locked(&self.failed).clone().map_or(Ok(()), |why| Err(anyhow!(why)))
    }

    /// Waits until so many entries have come.
    pub async fn wait_for(&self, delivered: u64, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        while self.delivered() < delivered {
            self.check()?;
            if Instant::now() > until {
                bail!("{} of {delivered} entries have come", self.delivered());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// How late everything was that has been timed since the last call, in microseconds: the median and the 99th percentile.
    pub fn percentiles(&self) -> (f64, f64) {
        let mut late = std::mem::take(&mut *locked(&self.late));
        late.sort_unstable();
        (percentile(&late, 0.5) as f64 / 1e3, percentile(&late, 0.99) as f64 / 1e3)
    }

    fn heard(&self, frame: &Bytes) -> Result<()> {
        let Heard::Entries(count) = hear(frame)? else { return Ok(()) };
        if self.timed.load(Ordering::Relaxed) {
            let which = lateness(frame, self.clock, &mut locked(&self.late))?;
            self.is_the_same(which, frame)?;
        }
        self.delivered.fetch_add(count as u64, Ordering::Relaxed);
        Ok(())
    }

    /// A frame of the same entries is the same bytes, whoever it is for.
    fn is_the_same(&self, which: Which, frame: &Bytes) -> Result<()> {
        let mut same = locked(&self.same);
        if same.len() > 10_000 {
            same.clear();
        }
        if same.entry(which).or_insert_with(|| frame.clone()) != frame {
            bail!("two listeners were sent different bytes");
        }
        Ok(())
    }

    fn fail(&self, error: &anyhow::Error) {
        locked(&self.failed).get_or_insert(format!("{error:#}"));
    }
}

/// Reads a link to its end. What comes is counted where `counts`.
pub fn listen(reader: Reader, tally: &Arc<Tally>, counts: bool) -> JoinHandle<()> {
    listen_while(reader, tally, counts, watch::channel(true).1)
}

/// The same, but reads nothing while `open` is false. Whoever let go of the other end leaves it as it was.
pub fn listen_while(mut reader: Reader, tally: &Arc<Tally>, counts: bool, mut open: watch::Receiver<bool>) -> JoinHandle<()> {
    let tally = tally.clone();
    tokio::spawn(async move {
        let mut before = reader.received;
        loop {
            if !*open.borrow() && open.wait_for(|open| *open).await.is_err() {
                return;
            }
            let heard = match reader.next().await {
                Ok(frame) if counts => tally.heard(&frame),
                Ok(frame) => hear(&frame).map(|_| ()),
                Err(error) => Err(error),
            };
            if let Err(error) = heard {
                return tally.fail(&error);
            }
            if counts {
                tally.bytes.fetch_add(reader.received - before, Ordering::Relaxed);
                before = reader.received;
            }
        }
    })
}

/// Somebody who writes.
pub struct Voice {
    /// What is written.
    pub author: Author,
    /// And where.
    pub writer: Writer,
}

/// Writes `count` messages in turn, each at its time, `rate` a second. A server that is slow is given the next ones all the same, and
/// what they then wait is counted. `measured` ones carry when they were due.
pub async fn paced(voices: &mut [Voice], rate: f64, count: usize, clock: Instant, measured: bool) -> Result<()> {
    let start = clock.elapsed() + Duration::from_millis(1);
    for which in 0..count {
        let due = start + Duration::from_secs_f64(which as f64 / rate);
        until(clock + due).await;
        let voice = &mut voices[which % voices.len()];
        let frame = voice.author.submit(if measured { due.as_nanos() as u64 } else { 0 });
        voice.writer.send(&frame).await?;
    }
    Ok(())
}

/// tokio's timer counts milliseconds, which is more than a message takes: the last two are spent asking whether anything has come.
pub async fn until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        } else if left > Duration::from_millis(3) {
            tokio::time::sleep(left - Duration::from_millis(2)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// What a paced run came to.
#[derive(Debug, Clone, Copy)]
pub struct Paced {
    /// Microseconds of server CPU, of all servers together, for one message.
    pub cpu_us: f64,
    /// Median and 99th percentile of the time from when a message was due, in microseconds.
    pub late_us: (f64, f64),
}

/// What several windows of a paced run came to: of each figure the median, so that one stall of the disk, or of somebody else's program,
/// is one window and not the figure.
pub struct Windows(pub Vec<Paced>);

impl Windows {
    /// Of CPU per message, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        median(self.0.iter().map(|window| window.cpu_us))
    }

    /// Of the windows' medians of the time from when a message was due, in microseconds.
    pub fn p50_us(&self) -> f64 {
        median(self.0.iter().map(|window| window.late_us.0))
    }

    /// Of the windows' 99th percentiles.
    pub fn p99_us(&self) -> f64 {
        median(self.0.iter().map(|window| window.late_us.1))
    }

    /// The smallest and the largest 99th percentile of a window.
    pub fn p99_spread_us(&self) -> (f64, f64) {
        let all = self.0.iter().map(|window| window.late_us.1);
        (all.clone().fold(f64::INFINITY, f64::min), all.fold(0.0, f64::max))
    }
}

/// How long everything that was written may take to come, after the last of it was due.
const PATIENCE: Duration = Duration::from_secs(15);

/// A run: messages as in [`paced`], warm-up first, each of which comes to `each` listeners.
pub async fn run(servers: &[&Server], voices: &mut [Voice], tally: &Tally, (rate, time): (f64, Duration), each: u64) -> Result<Paced> {
    warm_up(voices, tally, (rate, time / 4), each).await?;
    window(servers, voices, tally, (rate, time), each).await
}

/// The same in `count` windows, one after the other.
pub async fn windows(
    servers: &[&Server],
    voices: &mut [Voice],
    tally: &Tally,
    (rate, time, count): (f64, Duration, usize),
    each: u64,
) -> Result<Windows> {
    warm_up(voices, tally, (rate, time / 2), each).await?;
    let mut windows = Vec::new();
    for _ in 0..count {
        windows.push(window(servers, voices, tally, (rate, time), each).await?);
    }
    Ok(Windows(windows))
}

/// Messages that nothing is measured of.
pub async fn warm_up(voices: &mut [Voice], tally: &Tally, (rate, time): (f64, Duration), each: u64) -> Result<()> {
    let (count, begun) = ((rate * time.as_secs_f64()) as usize, tally.delivered());
    paced(voices, rate, count, tally.clock, false).await?;
    tally.wait_for(begun + count as u64 * each, PATIENCE).await
}

/// A window: it ends when all that was due in it has come, however late, and all of that is in the figures.
pub async fn window(servers: &[&Server], voices: &mut [Voice], tally: &Tally, (rate, time): (f64, Duration), each: u64) -> Result<Paced> {
    let (count, begun) = (((rate * time.as_secs_f64()) as usize).max(10), tally.delivered());
    tally.time(true);
    let cpu = cpu_of(servers)?;
    paced(voices, rate, count, tally.clock, true).await?;
    tally.wait_for(begun + count as u64 * each, PATIENCE).await?;
    let cpu = cpu_of(servers)? - cpu;
    tally.time(false);
    Ok(Paced { cpu_us: cpu.as_secs_f64() * 1e6 / count as f64, late_us: tally.percentiles() })
}

fn cpu_of(servers: &[&Server]) -> Result<Duration> {
    servers.iter().map(|server| server.meter.cpu()).sum()
}

/// What a run at saturation came to.
pub struct Saturated {
    /// Entries that came to listeners in a second.
    pub delivered: f64,
    /// Drafts that were taken in a second.
    pub accepted: f64,
    /// The share of its core that the server used: well below 1, and it was the load or the disk that could do no more.
    pub busy: f64,
}

/// As many messages as the server takes, of each author at most `window` unanswered.
pub async fn saturate(
    server: &Server,
    authors: Vec<(Author, Link)>,
    tally: &Arc<Tally>,
    window: usize,
    time: Duration,
) -> Result<Saturated> {
    let accepted = Arc::new(AtomicU64::new(0));
    let stop = Instant::now() + time + time / 4;
    let mut writing = JoinSet::new();
    for (author, link) in authors {
        writing.spawn(write_on(author, link, window, (stop, u64::MAX), accepted.clone()));
    }
    tokio::time::sleep(time / 4).await;
    let look = || Ok::<_, anyhow::Error>((tally.delivered(), accepted.load(Ordering::Relaxed), server.meter.cpu()?, Instant::now()));
    let before = look()?;
    tokio::time::sleep_until((stop - Duration::from_millis(20)).into()).await;
    let after = look()?;
    while let Some(done) = writing.join_next().await {
        done??;
    }
    tally.check()?;
    let took = (after.3 - before.3).as_secs_f64();
    Ok(Saturated {
        delivered: (after.0 - before.0) as f64 / took,
        accepted: (after.1 - before.1) as f64 / took,
        busy: (after.2 - before.2).as_secs_f64() / took,
    })
}

/// `count` messages, as fast as the server takes them, but not for longer than `time`; how many it took.
pub async fn fill(authors: Vec<(Author, Link)>, window: usize, count: u64, time: Duration) -> Result<(u64, Vec<(Author, Link)>)> {
    let accepted = Arc::new(AtomicU64::new(0));
    let (stop, each, more) = (Instant::now() + time, count / authors.len() as u64, count % authors.len() as u64);
    let mut writing = JoinSet::new();
    for (which, (author, link)) in authors.into_iter().enumerate() {
        let most = each + u64::from((which as u64) < more);
        writing.spawn(write_on(author, link, window, (stop, most), accepted.clone()));
    }
    let mut authors = Vec::new();
    while let Some(done) = writing.join_next().await {
        authors.push(done??);
    }
    Ok((accepted.load(Ordering::Relaxed), authors))
}

/// Writes until `stop`, but not more than `most`, of which at most `window` are unanswered, and waits for all answers.
pub async fn write_on(
    mut author: Author,
    mut link: Link,
    window: usize,
    (stop, most): (Instant, u64),
    accepted: Arc<AtomicU64>,
) -> Result<(Author, Link)> {
    let (mut unanswered, mut left) = (0, most);
    loop {
        let goes_on = left > 0 && Instant::now() < stop;
        if !goes_on && unanswered == 0 {
            return Ok((author, link));
        }
        while goes_on && left > 0 && unanswered < window {
            link.writer.put(&author.submit(0));
            (unanswered, left) = (unanswered + 1, left - 1);
        }
        link.writer.flush().await?;
        let mut frame = Some(link.reader.next().await?);
        while let Some(bytes) = frame {
            if let Heard::Accepted = hear(&bytes)? {
                unanswered -= 1;
                accepted.fetch_add(1, Ordering::Relaxed);
            }
            frame = link.reader.take()?;
        }
    }
}
