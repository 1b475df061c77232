//! How things look: for people on a terminal, and as JSON for programs. Nothing here decides anything.

use crate::inert;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::IsTerminal;
use tidings_client::view::{Message, Online, Person, Status, Target, Trust};

/// The version of the JSON objects. A field may be added; one that is changed or taken away makes another version.
pub const VERSION: u64 = 1;

/// For whom the output is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Look {
    /// One JSON object a line.
    pub json: bool,
    /// With colours.
    pub colour: bool,
}

impl Look {
    /// Colours only for people, on a terminal, unless `NO_COLOR` says otherwise (<https://no-color.org>).
    pub fn of_stdout(json: bool) -> Look {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Look { json, colour: !json && wanted && std::io::stdout().is_terminal() }
    }

    /// `text` in a colour (the parameters of an SGR sequence).
    pub fn paint(self, colour: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.into() }
    }
}

pub const BOLD: &str = "1";
pub const DIM: &str = "2";
pub const RED: &str = "31";
pub const GREEN: &str = "32";
pub const YELLOW: &str = "33";
pub const CYAN: &str = "36";

/// `{"v":1,"type":…, fields}` on one line, these two first.
pub fn object(kind: &str, fields: &impl Serialize) -> String {
    let fields = match serde_json::to_value(fields) {
        Ok(Value::Object(fields)) => fields,
        Ok(other) => Map::from_iter([("value".into(), other)]),
        Err(error) => Map::from_iter([("error".into(), error.to_string().into())]),
    };
    let fields: String = fields.iter().map(|(name, value)| format!(",{}:{value}", Value::from(name.as_str()))).collect();
    let object = format!("{{\"v\":{VERSION},\"type\":{}{fields}}}", Value::from(kind));
    // JSON lets through what steers a terminal beyond ASCII. It can only be inside of strings, where an escape says the same.
    inert::json(&object)
}

/// Rows with aligned columns, two spaces between. The cells are inert text; widths are counted in characters.
pub fn columns(rows: &[Vec<(String, &'static str)>], look: Look) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|(cell, _)| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<(String, &'static str)>| {
        let mut line = String::new();
        for (column, (cell, colour)) in row.iter().enumerate() {
            line.push_str(&if colour.is_empty() { cell.clone() } else { look.paint(colour, cell) });
            if column + 1 < row.len() {
                line.push_str(&" ".repeat(widths[column] - cell.chars().count() + 2));
            }
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Everybody, one a line.
pub fn people(people: &[Person], me: &str, look: Look) -> Vec<String> {
    if look.json {
        return people.iter().map(|person| object("person", person)).collect();
    }
    let mut rows = vec![["PERSON", "NOW", "TRUST", "FINGERPRINT OF THE IDENTITY KEY"].map(|title| (title.into(), DIM)).to_vec()];
    let mut alarms = Vec::new();
    for person in people {
        let (now, now_colour) = match person.online {
            Online::Online => ("online", GREEN),
            Online::Away => ("away", YELLOW),
            Online::Offline => ("offline", DIM),
        };
        let (trust, trust_colour) = match person.trust {
            _ if person.user.to_string() == me => ("you", CYAN),
            Trust::New => ("new", DIM),
            Trust::Pinned => ("pinned", ""),
            Trust::Verified => ("verified", GREEN),
            Trust::Changed => ("CHANGED", RED),
        };
        let fingerprint = person.fingerprint.as_deref().map_or_else(|| "-".into(), inert::line);
        rows.push(vec![(person.user.to_string(), BOLD), (now.into(), now_colour), (trust.into(), trust_colour), (fingerprint, "")]);
        if let Some(alarm) = &person.alarm {
            alarms.push(look.paint(RED, &format!("! {}: {}", person.user, inert::line(alarm))));
        }
    }
    let mut lines = columns(&rows, look);
    lines.append(&mut alarms);
    lines
}

/// A message with the conversation it is in.
#[derive(Serialize)]
struct MessageObject<'a> {
    room: &'a Target,
    #[serde(flatten)]
    message: &'a Message,
}

/// One message: a line, or more where it has more.
pub fn message(target: &Target, message: &Message, look: Look) -> String {
    if look.json {
        return object("message", &MessageObject { room: target, message });
    }
    let (place, colour) = match target {
        Target::Public => ("public".to_owned(), CYAN),
        Target::Direct(other) => (format!("with {other}"), YELLOW),
    };
    let author = message.author.as_ref().map_or_else(|| "unknown".into(), ToString::to_string);
    let (mark, mark_colour, text) = match &message.status {
        Status::Pending => ("  (on its way)", DIM, inert::lines(&message.text)),
        Status::Waiting => ("  (waiting for the other server)", DIM, inert::lines(&message.text)),
        Status::Failed { reason, .. } => (&*format!("  (NOT SENT: {})", inert::line(reason)), RED, inert::lines(&message.text)),
        Status::Unreadable { reason } => ("", RED, format!("[{}]", inert::line(reason))),
        Status::Sent { .. } | Status::Received => ("", "", inert::lines(&message.text)),
    };
    // Every further line is marked, so that no message can imitate another one.
    let text = text.replace('\n', "\n          | ");
    let head = format!("{}  {}  {}", look.paint(DIM, &clock(message.at)), look.paint(colour, &place), look.paint(BOLD, &author));
    format!("{head}: {text}{}", look.paint(mark_colour, mark))
}

/// `hh:mm:ss` of a time in milliseconds since 1970, UTC.
fn clock(at: u64) -> String {
    let second = at / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_client::view::MessageId;

    const PLAIN: Look = Look { json: false, colour: false };
    const JSON: Look = Look { json: true, colour: false };

    fn said(text: &str, status: Status) -> Message {
        let author = Some("bob@s2".parse().unwrap());
        Message { id: MessageId(1), author, text: text.into(), at: 1_700_000_000_000, status, place: Some(1), log: "public@s2".into() }
    }

    #[test]
    fn a_message_cannot_imitate_another_one() {
        let shown = message(&Target::Public, &said("hi\n22:13:21  public  alice@s1: send money", Status::Received), PLAIN);
        assert_eq!(shown, "22:13:20  public  bob@s2: hi\n          | 22:13:21  public  alice@s1: send money");
        let shown = message(&Target::Public, &said("\u{1b}[1A\u{202e}x", Status::Received), PLAIN);
        assert_eq!(shown, "22:13:20  public  bob@s2: \\u{1b}[1A\\u{202e}x");
    }

    #[test]
    fn what_is_not_sent_or_not_readable_says_so() {
        let direct = Target::Direct("alice@s1".parse().unwrap());
        let failed = message(&direct, &said("hi", Status::Failed { reason: "no\u{7}".into(), code: None }), PLAIN);
        assert_eq!(failed, "22:13:20  with alice@s1  bob@s2: hi  (NOT SENT: no\\u{7})");
        let unreadable = message(&direct, &said("", Status::Unreadable { reason: "cannot be opened".into() }), PLAIN);
        assert_eq!(unreadable, "22:13:20  with alice@s1  bob@s2: [cannot be opened]");
    }

    #[test]
    fn json_is_one_line_with_a_version() {
        let shown = message(&Target::Direct("alice@s1".parse().unwrap()), &said("a\n\u{1b}b", Status::Received), JSON);
        assert!(!shown.chars().any(char::is_control), "{shown}");
        let read: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((&read["v"], &read["type"], &read["text"]), (&1.into(), &"message".into(), &"a\n\u{1b}b".into()));
        assert!(shown.starts_with("{\"v\":1,\"type\":\"message\","), "{shown}");
        assert_eq!((&read["room"]["user"], &read["author"], &read["status"]), (&"alice@s1".into(), &"bob@s2".into(), &"received".into()));
    }

    #[test]
    fn columns_are_aligned_with_and_without_colours() {
        let rows = vec![vec![("a".into(), BOLD), ("b".into(), "")], vec![("long".into(), ""), ("c".into(), "")]];
        assert_eq!(columns(&rows, PLAIN), ["a     b", "long  c"]);
        assert_eq!(columns(&rows, Look { json: false, colour: true }), ["\u{1b}[1ma\u{1b}[0m     b", "long  c"]);
    }

    #[test]
    fn an_alarm_about_a_key_is_on_the_screen() {
        let person = Person {
            user: "bob@s2".parse().unwrap(),
            online: Online::Online,
            fingerprint: Some("ab12".into()),
            jwk: None,
            devices: 1,
            trust: Trust::Changed,
            alarm: Some("another key".into()),
        };
        let lines = people(&[person], "alice@s1", PLAIN);
        assert!(lines[1].contains("CHANGED") && lines[2].contains("another key"), "{lines:?}");
    }
}
