//! "Did you mean": the known name that is nearest to the one that was written.

use crate::Table;
use std::ffi::OsString;

/// The candidate that differs from `name` in few letters, however they are capitalised. None where none is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = name.to_lowercase().replace(['-', ' '], "_");
    let distance = |candidate: &str| strsim::osa_distance(&written, &candidate.to_lowercase());
    // Up to three letters, and never so many that half of the word is another one.
    let near = |(distance, candidate): &(usize, &str)| *distance <= 3 && distance * 2 < candidate.chars().count();
    candidates.into_iter().map(|candidate| (distance(candidate), candidate)).filter(near).min().map(|(_, candidate)| candidate)
}

/// `"; did you mean X?"` with the nearest of `candidates`, or else `otherwise`.
pub(crate) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    nearest(name, candidates).map_or_else(|| otherwise.to_owned(), |meant| format!("; did you mean \"{meant}\"?"))
}

/// A sentence about each variable that begins like ours and is none: of none of the `tables`, and not among `others`.
pub fn unknown_variables(tables: &[&Table], others: &[&str], variables: &[(OsString, OsString)]) -> Vec<String> {
    let plain = tables.iter().flat_map(|table| table.plain().into_iter().map(|(path, _)| table.variable(&path)));
    let known: Vec<String> = plain.chain(others.iter().map(|&other| other.to_owned())).collect();
    let composed = |name: &str| {
        let of = |table: &&&Table| table.keys.iter().any(|key| !key.is_plain() && table.variable(&key.name.into()) == name);
        tables.iter().find(of).map(|table| format!("{name} has no effect: this is said in {} only", table.file))
    };
    let sentence = |name: &str| {
        let meant = nearest(name, known.iter().map(String::as_str));
        let otherwise = || composed(name).unwrap_or_else(|| format!("{name} has no effect: there is no such variable"));
        meant.map_or_else(otherwise, |meant| format!("{name} has no effect: there is no such variable; did you mean {meant}?"))
    };
    let ours = variables.iter().map(|(name, _)| name.to_string_lossy()).filter(|name| name.starts_with("TIDINGS_"));
    let mut sentences: Vec<String> = ours.filter(|name| !known.iter().any(|known| known == name)).map(|name| sentence(&name)).collect();
    sentences.sort();
    sentences
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
