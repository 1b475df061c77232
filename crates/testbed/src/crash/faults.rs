//! Which server dies when, and what is cut: planned by seed, paced by how many messages have been answered.

use super::Course;
use super::cast::Cast;
use super::dice::Dice;
use super::shared::Shared;
use crate::wire::Wire;
use crate::world::World;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Servers killed.
    pub kills: u64,
    /// Wires cut.
    pub cuts: u64,
    /// Times that answers were lost before a wire was cut.
    pub lost_answers: u64,
    /// Commands of people killed.
    pub commands: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { kills, cuts, lost_answers, commands } = self;
        write!(f, "{kills} kills of servers and {commands} of commands, {cuts} cuts, {lost_answers} times answers lost")
    }
}

#[derive(Debug, Clone)]
enum Fault {
    /// Servers are killed, all at one moment, and started again after so long.
    Kill(Vec<String>, Duration),
    /// Two servers hear nothing of each other for so long; before that, one of them is not heard any more by the other.
    Servers(String, String, Duration, bool),
    /// The same with a device and its server.
    Device(usize, Duration, bool),
}

/// The faults of one run, in order.
pub struct Faults {
    /// After how many answers, and after how long then.
    plan: Vec<(u64, Duration, Fault)>,
    wires: Vec<Arc<Wire>>,
    /// What was done so far.
    pub tally: Tally,
}

impl Faults {
    /// Throws the dice. The faults are spread over the run; the last messages are left in peace, so that all faults meet some.
    pub fn plan(course: &Course, cast: &Cast, dice: &mut Dice) -> Faults {
        let servers = &cast.servers;
        let mut plan = Vec::new();
        let moment = |dice: &mut Dice| (dice.below(course.messages * 9 / 10), Duration::from_millis(dice.below(40)));
        for _ in 0..course.kills {
            let (after, then) = moment(dice);
            // Now and then nobody is left who could remember.
            let killed = if dice.below(5) == 0 { servers.clone() } else { vec![dice.one_of(servers).clone()] };
            let fault = Fault::Kill(killed, Duration::from_millis(dice.below(200)));
            plan.push((after, then, fault));
        }
        for _ in 0..course.cuts {
            let (after, then) = moment(dice);
            let (long, lost) = (Duration::from_millis(20 + dice.below(300)), dice.below(2) == 0);
            let between_servers = servers.len() > 1 && dice.below(2) == 0;
            let fault = if between_servers {
                let first = dice.below(servers.len() as u64) as usize;
                let second = (first + 1 + dice.below(servers.len() as u64 - 1) as usize) % servers.len();
                Fault::Servers(servers[first].clone(), servers[second].clone(), long, lost)
            } else {
                Fault::Device(dice.below(cast.wires.len() as u64) as usize, long, lost)
            };
            plan.push((after, then, fault));
        }
        plan.sort_by_key(|(after, ..)| *after);
        Faults { plan, wires: cast.wires.clone(), tally: Tally::default() }
    }

    /// Does all of it, one after the other, and leaves everything whole.
    ///
    /// # Errors
    /// That nothing was answered any more for as long as `patience`.
    pub async fn work(&mut self, world: &mut World, shared: &Shared, patience: Duration) -> Result<(), String> {
        for (after, then, fault) in std::mem::take(&mut self.plan) {
            if !shared.reaches(after, patience).await {
                return Err(format!("stalled with {} messages answered, before {fault:?}", shared.count()));
            }
            world.check_alive();
            sleep(then).await;
            self.strike(world, fault).await;
        }
        Ok(())
    }

    async fn strike(&mut self, world: &mut World, fault: Fault) {
        match fault {
            Fault::Kill(servers, down) => {
                for server in &servers {
                    world.kill(server).await;
                    self.tally.kills += 1;
                }
                sleep(down).await;
                for server in &servers {
                    world.start(server).await;
                }
            }
            Fault::Servers(a, b, long, lost) => {
                if lost {
                    world.lose_answers_to(&a);
                    self.tally.lost_answers += 1;
                    sleep(long / 2).await;
                    // What was lost on the way is missing from streams of bytes: all of a's links have to begin anew.
                    for other in world.names().iter().filter(|other| **other != a && **other != b) {
                        world.cut(&a, other);
                        world.heal(&a, other);
                    }
                }
                world.cut(&a, &b);
                self.tally.cuts += 1;
                sleep(long).await;
                world.heal(&a, &b);
            }
            Fault::Device(at, long, lost) => {
                let wire = &self.wires[at];
                if lost {
                    wire.lose_answers();
                    self.tally.lost_answers += 1;
                    sleep(long).await;
                }
                wire.cut();
                self.tally.cuts += 1;
                sleep(long).await;
                wire.heal();
            }
        }
    }
}
