//! What is measured, by name.

mod bare;
mod bystanders;
mod direct;
mod federation;
mod flat;
mod idle;
mod join;
mod login;
mod offline;
mod room;
mod start;

use crate::process::Stage;
use crate::table::Measured;
use anyhow::{Result, anyhow};
use clap::ValueEnum;
use std::time::Duration;

/// No scenario takes longer, whatever happens in it.
const LONGEST: Duration = Duration::from_secs(240);

/// One measurement, of one or more figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// What the same frames cost a hub that only hands them on
    Bare,
    /// 1:1 at 2,000 messages a second, and at saturation
    Direct,
    /// A room of 200 at 25 posts a second, and at saturation
    Room,
    /// Memory of connections that say nothing
    Idle,
    /// Logging in by password, and coming back
    Login,
    /// Coming into a room of many
    Join,
    /// Messages for people who are away: stored and fetched
    Offline,
    /// Start to ready, and memory of an empty server
    Start,
    /// Messages from one server to another
    Federation,
    /// What everybody else notices of abuse
    Bystanders,
    /// Whether a message costs the same in a long log, and how fast a server with a long log is
    History,
    /// Whether a delivery costs the same in a large room
    Rooms,
    /// Whether a connection costs the same among many, and what an idle server does
    Connections,
}

impl Scenario {
    /// Measures it, on servers of its own.
    pub async fn run(self, stage: &Stage) -> Result<Vec<Measured>> {
        let measuring = async {
            match self {
                Scenario::Bare => bare::run(stage).await,
                Scenario::Direct => direct::run(stage).await,
                Scenario::Room => room::run(stage).await,
                Scenario::Idle => idle::run(stage).await,
                Scenario::Login => login::run(stage).await,
                Scenario::Join => join::run(stage).await,
                Scenario::Offline => offline::run(stage).await,
                Scenario::Start => start::run(stage).await,
                Scenario::Federation => federation::run(stage).await,
                Scenario::Bystanders => bystanders::run(stage).await,
                Scenario::History => flat::history(stage).await,
                Scenario::Rooms => flat::rooms(stage).await,
                Scenario::Connections => flat::connections(stage).await,
            }
        };
        tokio::time::timeout(LONGEST, measuring).await.unwrap_or_else(|_| Err(anyhow!("it took longer than {} s", LONGEST.as_secs())))
    }
}
