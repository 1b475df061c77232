//! `tidings demo`: the whole of it on one machine, with nothing played: real server processes, real people's commands, kill -9.
//!
//! It is a check as much as a show: it ends with an error when anything is missing, there twice, or out of order.

/// Prints a line. That nobody reads any more (`tidings demo | head`) is no reason to end in the middle.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout().lock(), $($text)*);
    }};
}

mod cast;
mod group;
mod judge;
mod ports;

use crate::cli::{DemoArguments, Global};
use crate::failure::Failure;
use crate::look::{BOLD, CYAN, DIM, GREEN, Look, RED};
use anyhow::{Context, Result, bail, ensure};
use cast::{Person, ServerProcess, Stage};
use judge::{Said, judge};
use std::time::{Duration, Instant};

/// How long anything may take that the demo waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the demo. Ctrl-C ends it and everything it started.
pub async fn run(_: &Global, arguments: &DemoArguments) -> Result<u8, Failure> {
    let look = Look::of_stdout(false);
    let began = Instant::now();
    let mut show = Show { look, act: 0 };
    let mut stage = Stage::build().map_err(|error| Failure::ours(format!("{error:#}")))?;
    let played = tokio::select! {
        played = play(&mut stage, &mut show) => played,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    if let Err(error) = played {
        tell!("\n{} {error:#}", look.paint(RED, "The demo failed:"));
        stage.print_logs();
        return Ok(1);
    }
    tell!("\n{} in {:.1} s.", look.paint(GREEN, "Everything arrived once and in order"), began.elapsed().as_secs_f32());
    if arguments.keep {
        stage.leave(&mut show);
    } else {
        stage.close().await.map_err(|error| Failure::ours(format!("{error:#}")))?;
        show.try_by_hand();
    }
    Ok(0)
}

/// What has been said so far, in order: what everybody must have in the end.
#[derive(Default)]
struct Script {
    public: Vec<Said>,
    private: Vec<Said>,
}

async fn play(stage: &mut Stage, show: &mut Show) -> Result<()> {
    let mut script = Script::default();
    let (mut s1, mut s2) = servers(stage, show).await?;
    let (mut alice, mut bob) = accounts(stage, show, &s1, &s2).await?;
    alice.open_screen(stage)?;
    bob.open_screen(stage)?;
    who_is_there(show, stage, &alice, &bob).await?;

    show.act("A public message each way: for everybody on both servers, and no secret from the servers.");
    say(show, stage, &mut script, &alice, "public", "Good morning from s1!").await?;
    bob.sees(stage, "Good morning from s1!").await?;
    say(show, stage, &mut script, &bob, "public", "And to you, from s2.").await?;
    alice.sees(stage, "And to you, from s2.").await?;
    show.screens(&mut alice, &mut bob);

    show.act("A private message each way, sealed with RSA for the two of them.");
    say(show, stage, &mut script, &alice, "bob@s2", "The kestrel nests under the north bridge.").await?;
    bob.sees(stage, "kestrel").await?;
    say(show, stage, &mut script, &bob, "alice@s1", "Then I bring the long ladder.").await?;
    alice.sees(stage, "ladder").await?;
    show.screens(&mut alice, &mut bob);
    what_the_servers_hold(show, stage)?;

    show.act(&format!("kill -9 {}: s2 is gone, in the middle of everything. Alice writes on.", s2.pid()));
    s2.kill().await?;
    for (to, text) in WHILE_AWAY {
        say(show, stage, &mut script, &alice, to, text).await?;
    }
    alice.sees(stage, WHILE_AWAY[WHILE_AWAY.len() - 1].1).await?;
    show.screens(&mut alice, &mut bob);

    show.act("s2 is started again, on the same folder.");
    s2.start(stage).await?;
    tell!("   s2 is process {} now", s2.pid());
    for (_, text) in WHILE_AWAY {
        bob.sees(stage, text).await?;
    }
    show.screens(&mut alice, &mut bob);
    say(show, stage, &mut script, &bob, "alice@s1", "All here. You never stopped writing.").await?;
    alice.sees(stage, "All here.").await?;
    show.screens(&mut alice, &mut bob);

    let mut carol = carol(stage, show, &s2).await?;
    carol.open_screen(stage)?;
    let mut talk = group::group_of_three(stage, show, &mut alice, &mut bob, &mut carol).await?;
    group::a_file(stage, show, &mut talk, &alice, &mut carol).await?;
    group::hub_down(stage, show, &mut talk, &mut s1, (&mut alice, &mut bob, &mut carol)).await?;
    group::removal(stage, show, &mut talk, &alice, &mut bob, &carol).await?;
    group::second_device(stage, show, &mut talk, &alice, &mut bob, &s1).await?;

    verify(show, stage, &script, &alice, &bob).await?;
    group::verify(stage, &talk, &alice, &bob).await?;
    s1.check_alive()?;
    s2.check_alive()?;
    stage.keep_servers(s1, s2, &alice, &bob);
    Ok(())
}

const WHILE_AWAY: [(&str, &str); 6] = [
    ("public", "Public 1 of 3: is s2 asleep?"),
    ("bob@s2", "Private 1 of 3: the bridge at noon."),
    ("bob@s2", "Private 2 of 3: no, at one."),
    ("public", "Public 2 of 3: it will wake up."),
    ("public", "Public 3 of 3: and then it has this."),
    ("bob@s2", "Private 3 of 3: bring rope."),
];

async fn servers(stage: &mut Stage, show: &mut Show) -> Result<(ServerProcess, ServerProcess)> {
    show.act("Two servers, each with its own folder, its own key and its own database. Each knows the other by its key.");
    let [one, two] = ports::free_addresses()?;
    let (mut s1, mut s2) = (ServerProcess::prepare(stage, "s1", one)?, ServerProcess::prepare(stage, "s2", two)?);
    for (own, other) in [(&mut s1, "s2"), (&mut s2, "s1")] {
        let line = own.peer_line(stage).await?;
        tell!("   {} tidings peer show → paste at {other}: {line}", show.look.paint(DIM, &format!("{} $", own.name())));
    }
    s1.knows(&s2)?;
    s2.knows(&s1)?;
    tokio::try_join!(s1.start(stage), s2.start(stage))?;
    for server in [&s1, &s2] {
        tell!(
            "   {} process {}, {} (TLS 1.3), {}",
            show.look.paint(BOLD, server.name()),
            server.pid(),
            server.address(),
            server.data().display()
        );
    }
    Ok((s1, s2))
}

async fn accounts(stage: &Stage, show: &mut Show, s1: &ServerProcess, s2: &ServerProcess) -> Result<(Person, Person)> {
    show.act("Two people. Their keys are made on their own devices; their passwords never leave them.");
    let (alice, bob) = tokio::try_join!(Person::register(stage, "alice@s1", s1), Person::register(stage, "bob@s2", s2))?;
    for person in [&alice, &bob] {
        tell!("   {} {}", show.look.paint(BOLD, &format!("{:<9}", person.name())), person.fingerprint());
    }
    tell!("   {}", show.look.paint(DIM, "(and 24 words of recovery code each, which only they have seen)"));
    Ok((alice, bob))
}

async fn carol(stage: &Stage, show: &mut Show, s2: &ServerProcess) -> Result<Person> {
    show.act("A third person, on bob's server.");
    let carol = Person::register(stage, "carol@s2", s2).await?;
    tell!("   {} {}", show.look.paint(BOLD, &format!("{:<9}", carol.name())), carol.fingerprint());
    Ok(carol)
}

async fn who_is_there(show: &mut Show, stage: &Stage, alice: &Person, bob: &Person) -> Result<()> {
    show.act("Who is there, as each of them sees it.");
    for person in [alice, bob] {
        let people = person.waits_for_people(stage, 2).await?;
        for known in [alice, bob] {
            let seen = people.iter().find(|(user, _)| user == known.name()).map(|(_, fingerprint)| fingerprint.as_str());
            ensure!(seen == Some(known.fingerprint()), "{} sees another key of {} than {0} has: {seen:?}", person.name(), known.name());
        }
        tell!("   {}", show.prompt(person, "people"));
        for line in person.run(stage, &["people"], None).await?.lines() {
            tell!("     {line}");
        }
    }
    tell!("   {}", show.look.paint(DIM, "Each fingerprint is the same on both servers."));
    Ok(())
}

async fn say(show: &Show, stage: &Stage, script: &mut Script, author: &Person, to: &str, text: &str) -> Result<()> {
    let said = author.run(stage, &["send", to, "-"], Some(text)).await.with_context(|| format!("{} could not send", author.name()))?;
    tell!("   {} {}", show.prompt(author, &format!("send {to} '{text}'")), show.look.paint(GREEN, said.trim()));
    let heard = Said { author: author.name().into(), text: text.into() };
    if to == "public" {
        script.public.push(heard)
    } else {
        script.private.push(heard)
    }
    Ok(())
}

/// The private texts and the passwords are nowhere in the servers' folders; the public text is, so the search does find things.
fn what_the_servers_hold(show: &Show, stage: &Stage) -> Result<()> {
    let count = |needle: &str| stage.files_of_servers_with(needle);
    ensure!(count("Good morning from s1!")? > 0, "the search finds nothing at all");
    let mut private = vec!["kestrel", "ladder"];
    private.extend(Person::passwords());
    for needle in private {
        ensure!(count(needle)? == 0, "a server's folder holds what it must not");
    }
    tell!(
        "   {}",
        show.look.paint(DIM, "Searched in both servers' folders: the public text is there, the private ones and the passwords are not.")
    );
    Ok(())
}

async fn verify(show: &mut Show, stage: &Stage, script: &Script, alice: &Person, bob: &Person) -> Result<()> {
    show.act("The check: what each of them has now, against what was written.");
    for (person, other) in [(alice, bob), (bob, alice)] {
        let private = person.reads(stage, other.name()).await?;
        judge(&script.private, &private).with_context(|| format!("{}'s conversation with {}", person.name(), other.name()))?;
        let public = person.reads(stage, "public").await?;
        judge(&script.public, &public).with_context(|| format!("the public chat as {} has it", person.name()))?;
        for said in script.private.iter().chain(&script.public) {
            let times = person.screen().iter().filter(|line| line.contains(&said.text)).count();
            ensure!(times == 1, "{:?} was {times} times on {}'s screen", said.text, person.name());
        }
        let (public, private) = (public.len(), private.len());
        tell!("   {:<9} {public} public and {private} private messages: each once, in order", person.name());
    }
    Ok(())
}

/// What is printed, and how.
pub struct Show {
    look: Look,
    act: usize,
}

impl Show {
    fn act(&mut self, title: &str) {
        self.act += 1;
        tell!("\n{} {}", self.look.paint(CYAN, &format!("{}.", self.act)), self.look.paint(BOLD, title));
    }

    fn prompt(&self, person: &Person, command: &str) -> String {
        format!("{} tidings {command}", self.look.paint(DIM, &format!("{:<8} $", person.name())))
    }

    /// What has come onto both screens since the last time.
    fn screens(&self, alice: &mut Person, bob: &mut Person) {
        for person in [alice, bob] {
            let name = person.short_name();
            for line in person.news() {
                tell!("     {} {line}", self.look.paint(CYAN, &format!("{name:<5} sees │")));
            }
        }
    }

    fn try_by_hand(&self) {
        tell!("\nBy hand: {} leaves the servers running and prints how to go on,", self.look.paint(BOLD, "cargo xtask demo --keep"));
        tell!("or set up two servers as the README shows:");
        tell!("  tidings server --setup setup.json           tidings register alice@s1 --server HOST:PORT");
        tell!("  tidings peer show --setup setup.json        tidings people");
        tell!("  tidings tail                                tidings send bob@s2 'hello'");
    }
}

fn deadline_passed(what: &str) -> Result<()> {
    bail!("{what}: not within {} s", PATIENCE.as_secs())
}
