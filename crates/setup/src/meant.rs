//! "Did you mean": the known name that is nearest to the one that was written.

use crate::{KeyPath, Origin, Problem, Table};
use std::borrow::Cow;
use std::ffi::OsString;

/// The candidate that differs from `name` in few letters, however they are capitalised. None where none is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = name.to_lowercase().replace(['-', ' '], "_");
    let distance = |candidate: &str| strsim::osa_distance(&written, &candidate.to_lowercase());
    // Up to three letters, and never so many that half of the word is another one.
    let near = |(distance, candidate): &(usize, &str)| *distance <= 3 && distance * 2 < candidate.chars().count();
    candidates.into_iter().map(|candidate| (distance(candidate), candidate)).filter(near).min().map(|(_, candidate)| candidate)
}

/// What our variables begin with.
const OURS: &str = "TIDINGS_";

/// A warning about each variable that begins like ours and is none: of none of the `tables`, and not among `others`.
pub fn unknown_variables(tables: &[&Table], others: &[&str], variables: &[(OsString, OsString)]) -> Vec<Problem> {
    let plain = tables.iter().flat_map(|table| table.plain().into_iter().map(|(path, _)| table.variable(&path)));
    let known: Vec<String> = plain.chain(others.iter().map(|&other| other.to_owned())).collect();
    // What all of them begin with makes none of them nearer.
    let ends: Vec<&str> = known.iter().filter_map(|known| known.strip_prefix(OURS)).collect();
    let meant = |name: &str| nearest(&name[OURS.len()..], ends.iter().copied()).map(|end| format!("{OURS}{end}"));
    let judge = |name: &str| {
        let composed = |table: &&&Table| table.keys.iter().any(|key| !key.is_plain() && table.variable(&key.name.into()) == name);
        // Its end may be right: TIDINGS_SERVER_IP for TIDINGS_CLIENT_SERVER_IP.
        let longer = known.iter().find(|known| known.ends_with(&name[OURS.len() - 1..])).cloned();
        match (longer.or_else(|| meant(name)), tables.iter().find(composed)) {
            (_, Some(table)) => format!("this has no effect: it can be said in {} only", table.file),
            (Some(meant), _) => format!("there is no such variable; did you mean {meant}?"),
            (None, None) => "there is no such variable".into(),
        }
    };
    let unknown = variables.iter().map(|(name, _)| name.to_string_lossy()).filter(|name| name.starts_with(OURS));
    let unknown = unknown.filter(|name| !known.iter().any(|known| known == name));
    let warning = |name: Cow<str>| Problem { what: judge(&name), origin: Origin::Variable(name.into_owned()), path: KeyPath::default() };
    let mut warnings: Vec<Problem> = unknown.map(warning).collect();
    warnings.sort();
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_letters_are_near_and_half_a_word_is_not() {
        let meant = |name: &str| nearest(name, ["server_name", "admin", "listen", "data"]);
        for name in ["server_name", "sever_name", "servername", "serverName", "Server-Name", "sevrer_nmae", "server_nam"] {
            assert_eq!(meant(name), Some("server_name"), "{name}");
        }
        assert_eq!(meant("listne"), Some("listen"), "two letters that changed places are one mistake");
        assert_eq!((meant("date"), meant("dote"), meant("pear")), (Some("data"), None, None));
        assert_eq!((meant(""), meant("password")), (None, None));
    }
}
