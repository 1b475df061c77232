//! Which keys a file may have: the one source of what is read, shown, suggested and documented.

use crate::KeyPath;

/// A file's keys, in the order in which they are shown.
#[derive(Debug)]
pub struct Table {
    /// What the file is called.
    pub file: &'static str,
    /// What it is, in sentences for the reference page.
    pub about: &'static str,
    /// What each variable begins with; the key's path in capitals follows.
    pub prefix: &'static str,
    /// The keys.
    pub keys: &'static [Key],
    /// Keys that people look for here, and the file that has them.
    pub elsewhere: &'static [(&'static str, &'static str)],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it does, in sentences for the reference page; the first one is for the schema too.
    pub doc: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// What holds where nobody says anything.
    pub preset: Preset,
    /// The flag of the command line that says the same.
    pub flag: Option<&'static str>,
}

/// What a value looks like.
#[derive(Debug)]
pub enum Shape {
    /// A text; what fits is decided by whoever reads it.
    Text {
        /// An example.
        like: &'static str,
        /// A regular expression that every good value matches, for the schema; not each value that matches is good.
        pattern: &'static str,
    },
    /// One of these words.
    Choice(&'static [Word]),
    /// A whole number.
    Number {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// An object of names. What is beside them is dropped unread; where it is anything but `""`, `words` is said as a warning.
    Names {
        /// An example of a name.
        like: &'static str,
        /// The warning.
        words: &'static str,
    },
    /// An object of names, each with these keys, or with a text alone, which is the first of them.
    Members {
        /// An example of a name.
        like: &'static str,
        /// The keys.
        keys: &'static [Key],
    },
    /// An object with these keys.
    Object(&'static [Key]),
}

/// One of the words of a choice.
#[derive(Debug)]
pub struct Word {
    /// The word.
    pub word: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// What holds where nobody says anything.
#[derive(Debug)]
pub enum Preset {
    /// Somebody has to.
    Needed,
    /// This number.
    Number(u64),
    /// What this sentence says.
    Said(&'static str),
}

impl Key {
    /// Whether the value is one text or number, so that a variable can say it.
    pub fn is_plain(&self) -> bool {
        matches!(self.shape, Shape::Text { .. } | Shape::Choice(_) | Shape::Number { .. })
    }
}

impl Table {
    /// The keys with one value each, those inside of objects too.
    pub fn plain(&self) -> Vec<(KeyPath, &'static Key)> {
        fn collect(keys: &'static [Key], under: &KeyPath, plain: &mut Vec<(KeyPath, &'static Key)>) {
            for key in keys {
                let path = under.child(key.name);
                match key.shape {
                    Shape::Object(keys) => collect(keys, &path, plain),
                    _ if key.is_plain() => plain.push((path, key)),
                    _ => {}
                }
            }
        }
        let mut plain = Vec::new();
        collect(self.keys, &KeyPath::default(), &mut plain);
        plain
    }

    /// The variable that says the value at `path`.
    pub fn variable(&self, path: &KeyPath) -> String {
        format!("{}{}", self.prefix, path.0.join("_").to_uppercase())
    }

    /// The key of this name at the top.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}
