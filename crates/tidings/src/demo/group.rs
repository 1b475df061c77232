//! The second half of the play: a group of three over two servers, a file, a hub that is down, a member removed, a second device.

use super::cast::{Person, ServerProcess, Stage};
use super::judge::{Said, judge};
use super::{Show, deadline_passed};
use crate::look::{DIM, GREEN};
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What the group is called.
const TITLE: &str = "Expedition";

/// What has been said in the group, in order.
#[derive(Default)]
pub struct Talk {
    said: Vec<Said>,
}

impl Talk {
    async fn say(&mut self, show: &Show, stage: &Stage, author: &Person, text: &str) -> Result<()> {
        let answer = author.run(stage, &["send", TITLE, "-"], Some(text)).await?;
        tell!("   {} {}", show.prompt(author, &format!("send {TITLE} '{text}'")), show.look.paint(GREEN, answer.trim()));
        self.said.push(Said { author: author.name().into(), text: text.into() });
        Ok(())
    }

    /// The same while the group's server is down: the author's own server keeps it, and says so.
    async fn say_later(&mut self, show: &Show, stage: &Stage, author: &Person, text: &str) -> Result<()> {
        let answer = author.run(stage, &["send", TITLE, "-"], Some(text)).await?;
        ensure!(answer.contains("on your server"), "{} is not told that it waits: {answer}", author.name());
        tell!("   {} {}", show.prompt(author, &format!("send {TITLE} '{text}'")), show.look.paint(DIM, answer.trim()));
        self.said.push(Said { author: author.name().into(), text: text.into() });
        Ok(())
    }
}

/// Alice's group with bob and carol, who is on bob's server.
pub async fn group_of_three(stage: &Stage, show: &mut Show, alice: &mut Person, bob: &mut Person, carol: &mut Person) -> Result<Talk> {
    show.act("A group of three over two servers. Who is asked in says yes with a signature; nobody is in by the word of a server.");
    let mut talk = Talk::default();
    run(show, stage, alice, &["room", "new", TITLE]).await?;
    talk.say(show, stage, alice, "Packing list: rope, lamp, map.").await?;
    run(show, stage, alice, &["room", "invite", TITLE, "bob@s2", "carol@s2"]).await?;
    for person in [&mut *bob, &mut *carol] {
        person.sees(stage, TITLE).await?;
        run(show, stage, person, &["room", "join", TITLE]).await?;
    }
    for person in [&*alice, &*bob, &*carol] {
        wait_for_members(stage, person, 3).await?;
    }
    talk.say(show, stage, carol, "I have a lamp that outshines the moon.").await?;
    for person in [&mut *alice, &mut *bob] {
        person.sees(stage, "outshines").await?;
    }
    for line in alice.run(stage, &["room", "members", TITLE], None).await?.lines() {
        tell!("     {line}");
    }
    Ok(talk)
}

/// A file, and the same file.
pub async fn a_file(stage: &Stage, show: &mut Show, talk: &mut Talk, alice: &Person, carol: &mut Person) -> Result<()> {
    show.act("A small file, sealed inside its message: what carol saves is what alice has sent, byte for byte.");
    let (from, to) = (stage.folder("alice-files")?, stage.folder("carol-files")?);
    let map: Vec<u8> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let path = from.join("map.bin");
    std::fs::write(&path, &map)?;
    let path = path.to_str().context("the temporary folder's name is not UTF-8")?;
    let answer = alice.run(stage, &["file", "send", TITLE, path, "The map, as promised."], None).await?;
    tell!(
        "   {} {}",
        show.prompt(alice, &format!("file send {TITLE} map.bin 'The map, as promised.'")),
        show.look.paint(GREEN, answer.trim())
    );
    talk.said.push(Said { author: alice.name().into(), text: "The map, as promised.".into() });
    carol.sees(stage, "as promised").await?;
    let id = carol.file_in(stage, TITLE).await?.to_string();
    let folder = to.to_str().context("the temporary folder's name is not UTF-8")?;
    run(show, stage, carol, &["file", "save", &id, "--to", folder]).await?;
    let saved: Vec<_> = std::fs::read_dir(&to)?.collect::<Result<_, _>>()?;
    ensure!(saved.len() == 1 && std::fs::read(saved[0].path())? == map, "what was saved is not what was sent");
    Ok(())
}

/// The group's server dies; the others write on, and nothing is lost.
pub async fn hub_down(
    stage: &Stage,
    show: &mut Show,
    talk: &mut Talk,
    s1: &mut ServerProcess,
    (alice, bob, carol): (&mut Person, &mut Person, &mut Person),
) -> Result<()> {
    show.act(&format!("kill -9 {}: s1, which keeps the group, is gone. Bob writes on; his server keeps it for later.", s1.pid()));
    s1.kill().await?;
    talk.say_later(show, stage, bob, "Is anybody there?").await?;
    talk.say_later(show, stage, bob, "We meet at six, whatever happens.").await?;
    show.act("s1 is started again. What waited arrives: once, and in order.");
    s1.start(stage).await?;
    for person in [&mut *alice, &mut *bob, &mut *carol] {
        person.sees(stage, "whatever happens").await?;
    }
    talk.say(show, stage, carol, "Six it is.").await?;
    for person in [&mut *alice, &mut *bob] {
        person.sees(stage, "Six it is.").await?;
    }
    show.screens(alice, bob);
    Ok(())
}

/// Carol is put out: what follows is not for her, whatever her server has.
pub async fn removal(stage: &Stage, show: &mut Show, talk: &mut Talk, alice: &Person, bob: &mut Person, carol: &Person) -> Result<()> {
    show.act("Carol is put out of the group. From now on nothing is locked for her, and no server gives her what follows.");
    // The first message is from before she came.
    let hers = talk.said[1..].to_vec();
    run(show, stage, alice, &["room", "remove", TITLE, "carol@s2"]).await?;
    talk.say(show, stage, alice, "Only bob and I know the new place.").await?;
    bob.sees(stage, "new place").await?;
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        let (code, answer) = carol.attempt(stage, &["send", TITLE, "-", "--wait", "5"], Some("let me in")).await?;
        if code == 6 {
            tell!("   {} {}", show.prompt(carol, &format!("send {TITLE} 'let me in'")), show.look.paint(DIM, answer.trim()));
            break;
        }
        ensure!(code == 75, "carol could still write: {code}: {answer}");
        if Instant::now() > deadline {
            deadline_passed("carol is told that she is out")?;
        }
    }
    judge(&hers, &carol.hears(stage, TITLE).await?).context("the group as carol has it")?;
    ensure!(stage.files_of_servers_with("new place")? == 0, "a server's folder holds what it must not");
    tell!("   {}", show.look.paint(DIM, "Carol has what was said while she was in, and nothing after. No server's folder has the text."));
    Ok(())
}

/// Alice's second device: the same account, the same group, by her password alone.
pub async fn second_device(
    stage: &Stage,
    show: &mut Show,
    talk: &mut Talk,
    alice: &Person,
    bob: &mut Person,
    s1: &ServerProcess,
) -> Result<()> {
    show.act("Alice's second device: her password opens her account, and everything is there.");
    let tablet = Person::log_in(stage, alice, "tablet", s1).await?;
    tell!("   {}", show.prompt(alice, "login alice@s1        (on another device)"));
    judge(&talk.said, &wait_for(stage, &tablet, talk.said.len()).await?).context("the group on alice's second device")?;
    talk.say(show, stage, &tablet, "Written on my tablet.").await?;
    bob.sees(stage, "on my tablet").await?;
    run(show, stage, alice, &["devices"]).await?;
    Ok(())
}

/// What alice, bob and carol's server-mates have in the end.
pub async fn verify(stage: &Stage, talk: &Talk, alice: &Person, bob: &Person) -> Result<()> {
    for person in [alice, bob] {
        // Bob has come in after the first message, which is not his.
        let skip = usize::from(person.name() == bob.name());
        let has = wait_for(stage, person, talk.said.len() - skip).await?;
        judge(&talk.said[skip..], &has).with_context(|| format!("the group as {} has it", person.name()))?;
        tell!("   {:<9} {} messages in the group: each once, in order", person.name(), has.len());
    }
    Ok(())
}

async fn run(show: &Show, stage: &Stage, person: &Person, arguments: &[&str]) -> Result<()> {
    let answer = person.run(stage, arguments, None).await.with_context(|| format!("{}: tidings {}", person.name(), arguments.join(" ")))?;
    tell!("   {}", show.prompt(person, &arguments.join(" ")));
    for line in answer.lines() {
        tell!("     {line}");
    }
    Ok(())
}

async fn wait_for_members(stage: &Stage, person: &Person, count: usize) -> Result<()> {
    let deadline = Instant::now() + super::PATIENCE;
    while person.members_of(stage, TITLE).await? != count {
        if Instant::now() > deadline {
            bail!("{} does not see {count} members", person.name());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn wait_for(stage: &Stage, person: &Person, count: usize) -> Result<Vec<Said>> {
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        let has = person.hears(stage, TITLE).await?;
        if has.len() >= count || Instant::now() > deadline {
            return Ok(has);
        }
        sleep(Duration::from_millis(50)).await;
    }
}
