//! Settings by layers, each above the ones before: presets, file, variables, flags. Every value knows where it comes from, and every
//! mistake is kept, so that all of them can be told at once.

use crate::meant::nearest;
use crate::{Key, KeyPath, Origin, Place, Preset, Problem, Problems, Shape, Table, file};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// What was found, by path.
#[derive(Debug, Clone)]
pub struct Settings {
    table: &'static Table,
    /// What each layer says; the last one wins. None is empty.
    found: BTreeMap<KeyPath, Vec<Found>>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// The keys that somebody meant and misspelt: those are not missing as well.
    misspelt: BTreeSet<KeyPath>,
    source: Source,
}

/// What there is of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    NoFile,
    /// It is not JSON, so nothing can be said about what is in it.
    Unreadable(PathBuf),
    Read(Place),
}

#[derive(Debug, Clone)]
struct Found {
    value: Value,
    origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(u64),
    /// A name in an object of names: that it is there is all.
    Named,
}

/// One setting, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub path: KeyPath,
    /// Its value.
    pub value: Shown,
    /// Where the value comes from.
    pub origin: Origin,
}

/// A value, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// No value; what holds instead.
    Said(&'static str),
}

impl Settings {
    /// The lowest layer: what `table` presets.
    pub fn new(table: &'static Table) -> Settings {
        let preset = |(path, key): (KeyPath, &Key)| match key.preset {
            Preset::Number(number) => Some((path, vec![Found { value: Value::Number(number), origin: Origin::Default }])),
            Preset::Needed | Preset::Said(_) => None,
        };
        let found = table.plain().into_iter().filter_map(preset).collect();
        Settings { table, found, problems: Vec::new(), warnings: Vec::new(), misspelt: BTreeSet::new(), source: Source::NoFile }
    }

    /// A file, if it can be read.
    pub fn load(&mut self, path: &Path) {
        match std::fs::read(path) {
            Ok(bytes) => self.file(path, &bytes),
            Err(error) => {
                self.source = Source::Unreadable(path.into());
                let origin = Origin::File(Place { file: path.into(), at: None });
                self.problems.push(Problem { origin, path: KeyPath::default(), what: format!("cannot be read: {error}") });
            }
        }
    }

    /// The `bytes` of a file.
    pub fn file(&mut self, path: &Path, bytes: &[u8]) {
        self.source = file::read(self, path, bytes).map_or_else(|| Source::Unreadable(path.into()), Source::Read);
    }

    /// The file among the layers.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::NoFile => None,
            Source::Unreadable(file) | Source::Read(Place { file, .. }) => Some(file),
        }
    }

    /// The environment. What is not a variable of the table is let be.
    pub fn variables(&mut self, variables: &[(OsString, OsString)]) {
        for (path, key) in self.table.plain() {
            let name = self.table.variable(&path);
            let Some((_, value)) = variables.iter().find(|(variable, _)| *variable == *name) else { continue };
            let origin = Origin::Variable(name);
            match value.to_str() {
                Some(text) => self.say(path, key, text, origin),
                None => self.refuse_at(origin, path, "the value is not UTF-8"),
            }
        }
    }

    /// What a flag says about the key `name`, which has one.
    pub fn flag(&mut self, name: &str, text: &str) {
        if let Some((key, flag)) = self.table.key(name).and_then(|key| Some((key, key.flag?))) {
            self.say(name.into(), key, text, Origin::Flag(flag));
        }
    }

    /// What holds if no layer says anything.
    pub fn assume(&mut self, name: &str, text: &str) {
        let found = || vec![Found { value: Value::Text(text.into()), origin: Origin::Default }];
        self.found.entry(name.into()).or_insert_with(found);
    }

    /// Puts what a value comes to in the place of how it was written.
    pub fn resolve(&mut self, name: &str, text: String) {
        if let Some(found) = self.found.get_mut(&name.into()).and_then(|layers| layers.last_mut()) {
            found.value = Value::Text(text);
        }
    }

    /// A value that came as text: from a variable or a flag, or in quotes in a file.
    pub(crate) fn say(&mut self, path: KeyPath, key: &Key, text: &str, origin: Origin) {
        match &key.shape {
            Shape::Number { .. } => self.count(path, key, text, origin),
            Shape::Choice(words) if !words.iter().any(|word| word.word == text) => {
                let words = words.iter().map(|word| word.word);
                let all = words.clone().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
                let meant = nearest(text, words).map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
                let what = format!("one of {all} is expected{meant}");
                self.refuse_at(origin, path, &what);
            }
            _ => self.put(path, Value::Text(text.into()), origin),
        }
    }

    /// A number, as digits.
    pub(crate) fn count(&mut self, path: KeyPath, key: &Key, digits: &str, origin: Origin) {
        let Shape::Number { least, most } = key.shape else { return };
        let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match digits.parse() {
            Ok(number) if all_digits && (least..=most).contains(&number) => self.put(path, Value::Number(number), origin),
            // Digits that are too many for 64 bits are too many here as well.
            read if all_digits && read.as_ref().map_or(true, |number| *number > most) => {
                self.refuse_at(origin, path, &format!("at most {most} is expected"));
            }
            _ => self.refuse_at(origin, path, &format!("a whole number of at least {least} is expected")),
        }
    }

    pub(crate) fn put(&mut self, path: KeyPath, value: Value, origin: Origin) {
        self.found.entry(path).or_default().push(Found { value, origin });
    }

    fn last(&self, path: &KeyPath) -> Option<&Found> {
        self.found.get(path)?.last()
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.table
    }

    pub(crate) fn refuse_at(&mut self, origin: Origin, path: KeyPath, what: &str) {
        self.problems.push(Problem { origin, path, what: what.into() });
    }

    pub(crate) fn misspelt(&mut self, path: KeyPath) {
        self.misspelt.insert(path);
    }

    /// Whether there is nothing at `path`, and nothing has been said about it either.
    pub fn is_missing(&self, path: &KeyPath) -> bool {
        !self.found.contains_key(path) && !self.misspelt.contains(path) && !self.problems.iter().any(|problem| problem.path == *path)
    }

    pub(crate) fn warn_at(&mut self, origin: Origin, path: KeyPath, what: &str) {
        self.warnings.push(Problem { origin, path, what: what.into() });
    }

    /// A mistake in the value at `path`.
    pub fn refuse(&mut self, path: impl Into<KeyPath>, what: &str) {
        let path = path.into();
        self.refuse_at(self.origin(&path), path, what);
    }

    /// Something to know about the value at `path`.
    pub fn warn(&mut self, path: impl Into<KeyPath>, what: &str) {
        let path = path.into();
        self.warn_at(self.origin(&path), path, what);
    }

    /// Where the value at `path` comes from.
    pub fn origin(&self, path: &KeyPath) -> Origin {
        self.last(path).map_or(Origin::Default, |found| found.origin.clone())
    }

    /// The text at `path`, read by `read`; what that refuses is a mistake at its place. Layers below the one that wins are read as well:
    /// what is wrong there is not right because somebody says it anew.
    pub fn read<T, E: Display>(&mut self, path: impl Into<KeyPath>, read: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let path = path.into();
        let mut last = None;
        for Found { value, origin } in self.found.get(&path).into_iter().flatten() {
            let Value::Text(text) = value else { continue };
            last = match read(text) {
                Ok(value) => Some(value),
                Err(error) => {
                    self.problems.push(Problem { origin: origin.clone(), path: path.clone(), what: error.to_string() });
                    None
                }
            };
        }
        last
    }

    /// The number at `path`.
    pub fn number(&self, path: impl Into<KeyPath>) -> Option<u64> {
        match self.last(&path.into())?.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The names in the object of names `name`, in order.
    pub fn names(&self, name: &str) -> Vec<String> {
        let within = |path: &&KeyPath| path.0.len() == 2 && path.0[0] == name;
        self.found.keys().filter(within).map(|path| path.0[1].clone()).collect()
    }

    /// Everything that is wrong, if anything is: to be asked once all values have been read.
    pub fn problems(&self) -> Option<Problems> {
        let mut problems = self.problems.clone();
        if let Source::Read(place) = &self.source {
            let missing = self.table.keys.iter().filter(|key| matches!(key.preset, Preset::Needed) && self.is_missing(&key.name.into()));
            problems.extend(missing.map(|key| file::missing(key, key.name.into(), place.clone())));
        }
        problems.sort();
        (!problems.is_empty()).then_some(Problems(problems))
    }

    /// What is no mistake, but should be known.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = self.warnings.clone();
        warnings.sort();
        warnings
    }

    /// Everything, in the order of the table.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        self.table.keys.iter().for_each(|key| self.rows_of(key, key.name.into(), &mut rows));
        rows
    }

    fn rows_of(&self, key: &Key, path: KeyPath, rows: &mut Vec<Row>) {
        match key.shape {
            Shape::Object(keys) => keys.iter().for_each(|key| self.rows_of(key, path.child(key.name), rows)),
            Shape::Names { .. } => rows.extend(self.names(key.name).iter().map(|name| {
                let path = path.child(name);
                Row { origin: self.origin(&path), path, value: Shown::Said("kept back") }
            })),
            Shape::Members { keys, .. } => {
                for name in self.names(key.name) {
                    keys.iter().for_each(|key| self.rows_of(key, path.child(&name).child(key.name), rows));
                }
            }
            _ => {
                let said = match key.preset {
                    Preset::Said(said) => said,
                    _ => "",
                };
                let value = self.last(&path).and_then(|found| shown(&found.value)).unwrap_or(Shown::Said(said));
                rows.push(Row { origin: self.origin(&path), path, value });
            }
        }
    }
}

fn shown(value: &Value) -> Option<Shown> {
    match value {
        Value::Text(text) => Some(Shown::Text(text.clone())),
        Value::Number(number) => Some(Shown::Number(*number)),
        Value::Named => None,
    }
}
