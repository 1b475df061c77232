//! Two people who have nothing to do with it, and go on talking.

use std::sync::atomic::{AtomicBool, Ordering};
use tidings_client::view::Target;
use tidings_testbed::person::{Person, with};
use tidings_testbed::world::World;

/// Alice on s1 and bob on s2.
pub struct Bystanders {
    pub alice: Person,
    pub bob: Person,
    done: AtomicBool,
}

/// What they said, in order, with its author.
pub struct Said {
    private: Vec<(String, String)>,
    public: Vec<(String, String)>,
}

impl Said {
    pub fn private(&self) -> Vec<(&str, &str)> {
        as_str(&self.private)
    }

    pub fn public(&self) -> Vec<(&str, &str)> {
        as_str(&self.public)
    }
}

fn as_str(lines: &[(String, String)]) -> Vec<(&str, &str)> {
    lines.iter().map(|(author, text)| (author.as_str(), text.as_str())).collect()
}

impl Bystanders {
    /// Both register, and know each other.
    pub async fn meet(world: &World) -> Bystanders {
        let (alice, bob) = (world.person("alice@s1").await, world.person("bob@s2").await);
        for (one, other) in [(&alice, &bob), (&bob, &alice)] {
            one.finds(&other.name, "known by his key", |person| person.fingerprint.is_some()).await;
        }
        Bystanders { alice, bob, done: AtomicBool::new(false) }
    }

    /// The line that is being written is the last one.
    pub fn stop(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// They write in turn, each line acknowledged and read before the next, and alice now and then to everybody.
    pub async fn talk(&self) -> Said {
        let mut said = Said { private: Vec::new(), public: Vec::new() };
        while !self.done.load(Ordering::Relaxed) || said.private.len() < 20 {
            for (one, other) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
                let text = format!("line {}", said.private.len());
                let id = one.says(&other.name, &text).await;
                one.is_sent(id).await;
                other.sees(&with(&one.name), &one.name, &text).await;
                said.private.push((one.name.to_string(), text));
            }
            if said.private.len().is_multiple_of(10) {
                let text = format!("post {}", said.public.len());
                let id = self.alice.announces(&text).await;
                self.alice.is_sent(id).await;
                self.bob.sees(&Target::Public, &self.alice.name, &text).await;
                said.public.push((self.alice.name.to_string(), text));
            }
        }
        said
    }

    /// Both have all of it, once and in order.
    pub async fn have_it_all(&self, said: &Said) {
        for (one, other) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
            one.reads_exactly(&with(&other.name), &said.private()).await;
            one.reads_exactly(&Target::Public, &said.public()).await;
        }
    }
}
