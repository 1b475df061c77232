//! A server that has just started: how long it takes, and what it holds.

use crate::process::{Home, Stage};
use crate::table::Measured;
use anyhow::Result;
use std::time::Duration;

/// Measures it.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let home = Home::new(stage, "s1", stage.transport)?;
    let first = home.start(stage).await?;
    let making = first.ready;
    first.stop().await?;
    let mut ready = Vec::new();
    let (mut rss, mut own) = (0, 0);
    for _ in 0..stage.scaled(5, 1) {
        let server = home.start(stage).await?;
        ready.push(server.ready.as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(500)).await;
        (rss, own) = (server.rss()?, server.anonymous()?);
        server.stop().await?;
    }
    ready.sort_by(f64::total_cmp);
    Ok(vec![
        Measured::new(
            "ready_ms",
            ready[ready.len() / 2],
            format!("median of {}; the first time, keys and tables being made, {:.0} ms", ready.len(), making.as_secs_f64() * 1e3),
        ),
        Measured::new(
            "empty_rss_mib",
            rss as f64 / f64::from(1 << 20),
            format!("half a second after the start; {:.1} MiB are its own, the rest pages of the program", own as f64 / f64::from(1 << 20)),
        ),
    ])
}
