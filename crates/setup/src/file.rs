//! A setup file: JSON with comments and trailing commas, and nothing else beyond JSON. Every mistake in it is found in one reading.

use crate::meant::nearest;
use crate::settings::Value as Setting;
use crate::{Key, KeyPath, Origin, Place, Preset, Problem, Settings, Shape};
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::{CollectOptions, ParseOptions, ParseStringErrorKind, parse_to_ast};
use std::path::Path;

/// Editors find the schema by it; it says nothing to us.
const SCHEMA: &str = "$schema";

/// Reads a file into `settings`. The place of its object; none where that cannot be read, which is then a problem.
pub(crate) fn read(settings: &mut Settings, file: &Path, bytes: &[u8]) -> Option<Place> {
    let whole = std::str::from_utf8(bytes);
    let text = match &whole {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    // Some editors begin every file with a byte order mark (RFC 8259 §8.1 lets us pass over it).
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { settings, file, text };
    if whole.is_err() {
        return reader.unread(text.len(), "this is not UTF-8; save the file as UTF-8");
    }
    let strict = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let ast = match parse_to_ast(text, &CollectOptions::default(), &strict) {
        Ok(ast) => ast,
        Err(error) => return reader.unread(error.range().start, &syntax(error.kind())),
    };
    let table = reader.settings.table();
    let example = table.keys.first().map(example).unwrap_or_default();
    match ast.value {
        Some(Value::Object(object)) => {
            reader.object(&object, table.keys, &KeyPath::default());
            Some(reader.place(object.range.start))
        }
        Some(other) => reader.unread(other.range().start, &format!("an object is expected, not {}: {{ {example} }}", kind(&other))),
        None => reader.unread(0, &format!("there is nothing in the file; write at least {{ {example} }}")),
    }
}

/// That a needed key is missing from the object at `place`.
pub(crate) fn missing(key: &Key, path: KeyPath, place: Place) -> Problem {
    Problem { origin: Origin::File(place), path, what: format!("this key is missing; write {}", example(key)) }
}

/// `"server_name": "s1"`
fn example(key: &Key) -> String {
    match key.shape {
        Shape::Text { like, .. } => format!("\"{}\": \"{like}\"", key.name),
        _ => format!("\"{}\": …", key.name),
    }
}

struct Reader<'a> {
    settings: &'a mut Settings,
    file: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> Place {
        let before = self.text.get(..at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let at = (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count());
        Place { file: self.file.into(), at: Some(at) }
    }

    fn origin(&self, at: usize) -> Origin {
        Origin::File(self.place(at))
    }

    /// Nothing in the file can be used.
    fn unread(&mut self, at: usize, what: &str) -> Option<Place> {
        self.refuse(at, KeyPath::default(), what);
        None
    }

    fn refuse(&mut self, at: usize, path: KeyPath, what: &str) {
        self.settings.refuse_at(self.origin(at), path, what);
    }

    /// The properties of an object, each name once; a parser would keep the last of two and say nothing.
    fn properties<'o, 't>(&mut self, object: &'o Object<'t>, path: &KeyPath) -> Vec<(usize, &'o str, &'o Value<'t>)> {
        let mut seen: Vec<(usize, &str, &Value)> = Vec::new();
        for property in &object.properties {
            let (at, name) = (property.name.range().start, property.name.as_str());
            match seen.iter().find(|(_, before, _)| *before == name) {
                Some((first, ..)) => {
                    let line = self.place(*first).at.map_or(0, |(line, _)| line);
                    self.refuse(at, path.child(name), &format!("this key is there twice; it is in line {line} already"));
                }
                None => seen.push((at, name, &property.value)),
            }
        }
        seen
    }

    fn object(&mut self, object: &Object, keys: &'static [Key], path: &KeyPath) {
        let top = path.0.is_empty();
        for (at, name, value) in self.properties(object, path) {
            match keys.iter().find(|key| key.name == name) {
                Some(key) => self.value(value, key, path.child(name)),
                None if top && name == SCHEMA => {}
                None => self.unknown(at, path.child(name), name, keys, top),
            }
        }
    }

    fn unknown(&mut self, at: usize, path: KeyPath, name: &str, keys: &'static [Key], top: bool) {
        let table = self.settings.table();
        let elsewhere = table.elsewhere.iter().find(|(key, _)| top && *key == name);
        let inside = table.keys.iter().find(|key| matches!(key.shape, Shape::Object(keys) if keys.iter().any(|key| key.name == name)));
        let what = match (elsewhere, inside, nearest(name, keys.iter().map(|key| key.name))) {
            (Some((_, file)), ..) => format!("this key belongs in {file}, not in {}", table.file),
            (None, Some(object), _) => format!("this key belongs inside of \"{}\"", object.name),
            (None, None, Some(meant)) => {
                self.settings.misspelt(KeyPath([&path.0[..path.0.len() - 1], &[meant.to_owned()]].concat()));
                format!("there is no such key; did you mean \"{meant}\"?")
            }
            (None, None, None) => {
                format!("there is no such key; there are {}", keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", "))
            }
        };
        self.refuse(at, path, &what);
    }

    fn value(&mut self, value: &Value, key: &'static Key, path: KeyPath) {
        let at = value.range().start;
        match (&key.shape, value) {
            (Shape::Text { .. } | Shape::Choice(_), Value::StringLit(text)) => self.settings.say(path, key, &text.value, self.origin(at)),
            (Shape::Number { .. }, Value::NumberLit(number)) => self.settings.count(path, key, number.value, self.origin(at)),
            (Shape::Object(keys), Value::Object(object)) => self.object(object, keys, &path),
            (Shape::Names { words, .. }, Value::Object(object)) => self.names(object, words, at, &path),
            (Shape::Members { keys, .. }, Value::Object(object)) => self.members(object, keys, &path),
            (_, other) => self.refuse(at, path, &format!("{} is expected, not {}", expected(&key.shape), kind(other))),
        }
    }

    /// What is beside the names goes no further than to here.
    fn names(&mut self, object: &Object, words: &str, at: usize, path: &KeyPath) {
        let mut any = false;
        for (at, name, value) in self.properties(object, path) {
            any |= value.as_string_lit().is_none_or(|text| !text.value.is_empty());
            self.settings.put(path.child(name), Setting::Named, self.origin(at));
        }
        if any {
            self.settings.warn_at(self.origin(at), path.clone(), words);
        }
    }

    fn members(&mut self, object: &Object, keys: &'static [Key], path: &KeyPath) {
        for (at, name, value) in self.properties(object, path) {
            let path = path.child(name);
            self.settings.put(path.clone(), Setting::Named, self.origin(at));
            match (value, keys) {
                (Value::Object(member), _) => {
                    self.object(member, keys, &path);
                    let place = self.place(member.range.start);
                    for key in keys.iter().filter(|key| matches!(key.preset, Preset::Needed)) {
                        let path = path.child(key.name);
                        if self.settings.is_missing(&path) {
                            let Problem { origin, path, what } = missing(key, path, place.clone());
                            self.settings.refuse_at(origin, path, &what);
                        }
                    }
                }
                (Value::StringLit(_), [first, ..]) => self.value(value, first, path.child(first.name)),
                (other, _) => {
                    let all = keys.iter().map(|key| format!("\"{}\": …", key.name)).collect::<Vec<_>>().join(", ");
                    let what = format!("a text in double quotes or {{ {all} }} is expected, not {}", kind(other));
                    self.refuse(other.range().start, path, &what);
                }
            }
        }
    }
}

fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Text { like, .. } => format!("a text in double quotes, such as \"{like}\","),
        Shape::Choice(words) => format!("one of {}", words.iter().map(|word| format!("\"{}\"", word.word)).collect::<Vec<_>>().join(", ")),
        Shape::Number { least, .. } => format!("a whole number of at least {least}"),
        Shape::Names { like, .. } => format!("an object of names, {{ \"{like}\": \"\", … }},"),
        Shape::Members { like, .. } => format!("an object, {{ \"{like}\": … }},"),
        Shape::Object(keys) => format!("an object, {{ \"{}\": … }},", keys.first().map_or("", |key| key.name)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::StringLit(_) => "a text",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(literal) if literal.value => "true",
        Value::BooleanLit(_) => "false",
        Value::Object(_) => "an object",
        Value::Array(_) => "a list",
        Value::NullKeyword(_) => "null",
    }
}

/// The parser's findings as sentences that say what to do.
fn syntax(kind: &ParseErrorKind) -> String {
    use ParseErrorKind as Kind;
    let what = match kind {
        Kind::ExpectedComma => "a comma is missing here",
        Kind::ExpectedColonAfterObjectKey => "a colon is missing after the key",
        Kind::ExpectedObjectValue => "a value is missing after the colon",
        Kind::ExpectedStringObjectProperty => "a key is written in double quotes",
        Kind::SingleQuotedStringsNotAllowed => "texts are written in double quotes, not in single ones",
        Kind::UnexpectedWord => "a text is written in double quotes",
        Kind::UnterminatedObject => "this { has no } that closes it",
        Kind::UnterminatedArray => "this [ has no ] that closes it",
        Kind::UnterminatedCommentBlock => "this /* has no */ that closes it",
        Kind::String(ParseStringErrorKind::UnterminatedStringLiteral) => "this text has no \" that closes it",
        Kind::String(ParseStringErrorKind::InvalidEscape) => "JSON has no such escape; a backslash itself is written \\\\",
        Kind::UnexpectedCloseBrace => "this } does not belong here; is a value or a ] missing before it?",
        Kind::UnexpectedCloseBracket => "this ] does not belong here; is a value or a } missing before it?",
        Kind::UnexpectedComma => "this comma does not belong here; is a value missing before it?",
        Kind::UnexpectedColon => "this colon does not belong here; is a key missing before it?",
        Kind::HexadecimalNumbersNotAllowed
        | Kind::UnaryPlusNumbersNotAllowed
        | Kind::BareDecimalPointNumbersNotAllowed
        | Kind::ExpectedDigit
        | Kind::ExpectedDigitFollowingNegativeSign
        | Kind::ExpectedPlusMinusOrDigitInNumberLiteral => "a number is written in digits, like 10",
        Kind::UnexpectedToken | Kind::UnexpectedTokenInObject => "this does not belong here",
        Kind::MultipleRootJsonValues => "the file ends with the } before this; nothing may follow",
        Kind::NestingDepthExceeded => "too many objects inside of each other",
        other => return format!("this is not JSON: {other}"),
    };
    what.into()
}
