//! Logging in: a new device by password, and a known one that comes back.

use crate::people::{self, Registrar};
use crate::process::{Home, Stage};
use crate::table::Measured;
use crate::talk;
use anyhow::Result;
use std::time::Duration;

const LOGINS: usize = 30;
const RESUMES: usize = 1000;

/// Measures it.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let home = Home::new(stage, "s1", stage.transport)?;
    let server = home.start(stage).await?;
    let mut registrar = Registrar::new(&server.target).await?;
    let known = registrar.people("known", stage.scaled(50, 4), 1).await?;
    let alice = registrar.whole_person("alice").await?;
    // What has run once is in the caches.
    drop(people::log_in(&server.target, &alice).await?);
    drop(talk::arrive(&server.target, &known[0].devices[0]).await?);
    settle().await;

    let logins = stage.scaled(LOGINS, 1);
    let mut cpu = Duration::ZERO;
    for _ in 0..logins {
        // The other side needs a tenth of a second for Argon2id, and what the server does meanwhile is not of this login: once a
        // second the store is asked what has changed. It is little, and it is counted: a login takes what it takes.
        let before = server.meter.cpu()?;
        let link = people::log_in(&server.target, &alice).await?;
        cpu += server.meter.cpu()?.saturating_sub(before);
        drop(link);
    }
    settle().await;

    let resumes = stage.scaled(RESUMES, 8);
    let before = server.meter.cpu()?;
    for which in 0..resumes {
        drop(talk::arrive(&server.target, &known[which % known.len()].devices[0]).await?);
    }
    settle().await;
    let resumed = server.meter.cpu()?.saturating_sub(before);
    server.stop().await?;
    let each = |cpu: Duration, count: usize| cpu.as_secs_f64() * 1e6 / count as f64;
    Ok(vec![
        Measured::new("login_cpu_us", each(cpu, logins), format!("{logins} new devices by password: TCP, TLS, handshake, OPAQUE, vault")),
        Measured::new(
            "resume_cpu_us",
            each(resumed, resumes),
            format!("{resumes} times a known device: TCP, TLS, handshake, all that a client asks at its start, the goodbye"),
        ),
    ])
}

/// Until the server has put away what is over.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}
