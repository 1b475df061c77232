//! What a connection costs that says nothing: memory of the server, for plain links and for TLS.

use crate::link::Link;
use crate::people::{Device, Registrar};
use crate::process::{Home, Server, Stage, Transport};
use crate::table::Measured;
use crate::talk;
use anyhow::Result;
use std::time::Duration;
use tidings_proto::Frame;
use tidings_proto::frame::Ping;

/// Devices of one person: as many as there may be, since accounts are what takes time to make.
const DEVICES: usize = 20;

/// Measures it.
pub async fn run(stage: &Stage) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    for (transport, name) in [(Transport::Plain, "idle_rss_kib_plain"), (Transport::Tls, "idle_rss_kib_tls")] {
        let home = Home::new(stage, "s1", transport)?;
        let server = home.start(stage).await?;
        let (few, many) = (stage.scaled(1000, 20), stage.scaled(5000, 60));
        let mut crowd = Crowd::new(&server, many).await?;
        let empty = quiet_rss(&server).await?;
        crowd.grow(&server, few).await?;
        let some = quiet_rss(&server).await?;
        crowd.grow(&server, many).await?;
        let all = quiet_rss(&server).await?;
        let each = |rss: u64, count: usize| rss.saturating_sub(empty) as f64 / 1024.0 / count as f64;
        measured.push(Measured::new(&format!("{name}_at_1000"), each(some, few), format!("{few} connections")));
        measured.push(Measured::new(name, each(all, many), format!("{many} connections; {} MiB in all", all >> 20)));
        drop(crowd);
        server.stop().await?;
    }
    Ok(measured)
}

/// The server's memory once it has settled.
pub async fn quiet_rss(server: &Server) -> Result<u64> {
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.rss()
}

/// Connections that follow what a client follows, and then say nothing.
pub struct Crowd {
    devices: Vec<Device>,
    links: Vec<Link>,
}

impl Crowd {
    /// Registers the people for so many connections; nobody is connected yet.
    pub async fn new(server: &Server, most: usize) -> Result<Crowd> {
        let mut registrar = Registrar::new(&server.target).await?;
        let people = registrar.people("idle", most.div_ceil(DEVICES), DEVICES).await?;
        let devices = people.into_iter().flat_map(|person| person.devices).collect();
        Ok(Crowd { devices, links: Vec::with_capacity(most) })
    }

    /// Connects more, until there are so many.
    pub async fn grow(&mut self, server: &Server, count: usize) -> Result<()> {
        const STEP: usize = 500;
        while self.links.len() < count {
            let until = count.min(self.links.len() + STEP);
            let more = talk::all_arrive(&server.target, &self.devices[self.links.len()..until]).await?;
            self.links.extend(more);
            self.sign_of_life().await?;
        }
        Ok(())
    }

    /// Takes whatever has come to each of them, and says that it is there: a server cuts a link that is silent for a minute.
    pub async fn sign_of_life(&mut self) -> Result<()> {
        for link in &mut self.links {
            link.writer.send(&Frame::from(Ping { req: 9, heads: None }).encode()).await?;
        }
        for link in &mut self.links {
            while !matches!(link.reader.frame().await?, Frame::Pong(pong) if pong.req == 9) {}
        }
        Ok(())
    }
}
