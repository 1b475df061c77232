//! Where a value comes from, and what is wrong with it: a sentence that begins with its place.

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from. In the order in which problems are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A file.
    File(Place),
    /// An environment variable of this name.
    Variable(String),
    /// A flag, like `--listen`.
    Flag(&'static str),
    /// Nobody said it.
    Default,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line and column, both from 1, the column in characters. None where the whole file is meant.
    pub at: Option<(usize, usize)>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(Place { file, at: Some((line, column)) }) => write!(f, "{}:{line}:{column}", file.display()),
            Origin::File(Place { file, at: None }) => write!(f, "{}", file.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// The names from the top of a file down to a value. Shown as `limits.message_burst`; a name with dots or stranger letters in it is in
/// quotes, and what would steer a terminal is escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(pub Vec<String>);

impl KeyPath {
    /// The path of `name` under this one.
    pub fn child(&self, name: &str) -> KeyPath {
        KeyPath(self.0.iter().cloned().chain([name.to_owned()]).collect())
    }
}

impl<const N: usize> From<[&str; N]> for KeyPath {
    fn from(names: [&str; N]) -> KeyPath {
        KeyPath(names.map(str::to_owned).into())
    }
}

impl From<&str> for KeyPath {
    fn from(name: &str) -> KeyPath {
        [name].into()
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '@' | '$');
            if !name.is_empty() && name.chars().all(plain) { write!(f, "{dot}{name}")? } else { write!(f, "{dot}{name:?}")? }
        }
        Ok(())
    }
}

/// Something to mend, or, among the warnings, to know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// Of which value; empty where it is of none.
    pub path: KeyPath,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            // A variable or a flag says itself which value it is.
            Origin::File(_) | Origin::Default if !self.path.0.is_empty() => write!(f, "{}: {}: {}", self.origin, self.path, self.what),
            _ => write!(f, "{}: {}", self.origin, self.what),
        }
    }
}

/// Everything that is wrong, in order; each on a line of its own. At least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for Problems {}
