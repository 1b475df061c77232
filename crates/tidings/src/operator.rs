//! What the commands have in common that ask the server which runs: finding it, and words for times.

use crate::cli::{Global, Reach, ServerArguments, ServerFolder};
use crate::failure::Failure;
use crate::layers;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidings_client::ClientError;
use tidings_proto::Code;
use tidings_server::operator::{self, Answer, Ask, AskError, Issued};
use tidings_setup::invitation::Invitation;
use tidings_setup::value;

/// Asks the server on the folder that arguments, variables and setup.json say. Gives the lines of the answer that `want` wants.
pub async fn ask<T>(global: &Global, folder: &ServerFolder, ask: Ask, want: impl Fn(Answer) -> Option<T>) -> Result<Vec<T>, Failure> {
    let (setup, _) = layers::server(global, &ServerArguments { data: folder.data.clone(), listen: None, name: None })?;
    let data = std::path::absolute(layers::data(&setup)?)?;
    let mut rows = Vec::new();
    operator::ask(&data, &ask, |answer| rows.extend(want(answer))).await?;
    Ok(rows)
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Failure {
        match error {
            AskError::NotRunning(_) => {
                let hint = "Start it with `tidings server`, or say which folder it has with --data, or --setup if setup.json says so";
                Failure { sentence: format!("{error}. {hint}"), code: 7 }
            }
            AskError::Socket { .. } => Failure::config(format!("{error}. Only who runs the server may ask it")),
            AskError::Broken(_) => Failure { sentence: error.to_string(), code: 7 },
            AskError::Refused(why) if why.code == Code::Malformed => Failure::usage(why.text),
            AskError::Refused(why) => ClientError::Refused(why).into(),
        }
    }
}

/// The line that lets somebody in; `reach` says where people reach the server, if it does not know itself.
pub fn line(issued: &Issued, reach: &Reach) -> Result<Invitation, Failure> {
    let wrong = |what: &str| Failure::ours(format!("the server that runs names {what} that cannot be read"));
    let named =
        reach.address.as_deref().map(value::address).transpose().map_err(|expected| Failure::usage(format!("--address: {expected}")))?;
    Ok(Invitation {
        server: issued.server.parse().map_err(|_| wrong("itself in a way"))?,
        address: named.or_else(|| issued.address.clone()),
        key: value::server_key(&issued.key).map_err(|_| wrong("a key"))?,
        code: issued.code.clone(),
    })
}

/// The same for a browser, which needs no key and no program: the server's own page. None where nobody knows where it is reached.
pub fn link(invitation: &Invitation) -> Option<String> {
    let address = invitation.address.as_ref()?;
    Some(format!("https://{address}/#invite={}", invitation.code))
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A time in the words of one unit, rounded down: `4 s`, `12 min`, `3 h`, `6 days`.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        86_400..172_800 => "1 day".into(),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The same of a time that is to come, rounded up: what was asked for reads as it was asked for.
pub fn left(millis: u64) -> String {
    let seconds = millis.div_ceil(1000);
    let unit = match seconds {
        0..=60 => 1,
        61..=3600 => 60,
        3601..=86_400 => 3600,
        _ => 86_400,
    };
    span(seconds.div_ceil(unit) * unit * 1000)
}

/// Reads a time as people write it: a number and s, m, h, d or w.
pub fn read_span(text: &str) -> Result<Duration, String> {
    let expected = || "a number and a unit are expected, like 30m, 12h, 7d or 2w".to_owned();
    let unit = text.chars().last().ok_or_else(expected)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(expected()),
    };
    let digits = &text[..text.len() - 1];
    let count: u64 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit())).ok_or_else(expected)?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "that is longer than anybody can wait".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [("1s", 1), ("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600), ("0d", 0)] {
            assert_eq!(read_span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "7", "d", "-7d", "+7d", "7 d", "7D", "1.5h", "7dd", "99999999999999999999d", "999999999999999999w", "7\u{65e5}"] {
            assert!(read_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_shown_in_one_unit() {
        let lefts = [1, 999, 59_001, 60_001, 3_599_001, 43_199_000, 86_400_000, 604_799_999].map(left);
        assert_eq!(lefts, ["1 s", "1 s", "1 min", "2 min", "1 h", "12 h", "1 day", "7 days"]);
        let spans = [0, 59, 60, 3599, 3600, 86_399, 86_400, 172_799, 172_800, 8_640_000].map(|seconds| span(seconds * 1000 + 999));
        assert_eq!(spans, ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 day", "1 day", "2 days", "100 days"]);
    }
}
