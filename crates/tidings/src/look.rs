//! How things look: for people on a terminal, and as JSON for programs. Nothing here decides anything.

mod keys;
mod message;
mod people;
mod rooms;

pub use keys::{comparison, devices, notice, qr, recovery_code};
pub use message::{Numbers, Places, message, size};
pub use people::{members, people, role};
pub use rooms::{invitation, rooms, short_id};

use crate::inert;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::IsTerminal;

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
        if self.colour && !text.is_empty() && !colour.is_empty() { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.into() }
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

/// A cell of a table: inert text, and its colour.
pub type Cell = (String, &'static str);

/// Rows with aligned columns, two spaces between. Widths are counted in characters.
pub fn columns(rows: &[Vec<Cell>], look: Look) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|(cell, _)| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<Cell>| {
        let mut line = String::new();
        for (column, (cell, colour)) in row.iter().enumerate() {
            line.push_str(&look.paint(colour, cell));
            if column + 1 < row.len() {
                line.push_str(&" ".repeat(widths[column] - cell.chars().count() + 2));
            }
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The head of a table.
pub fn heads<const N: usize>(titles: [&str; N]) -> Vec<Cell> {
    titles.map(|title| (title.to_owned(), DIM)).to_vec()
}

#[cfg(test)]
mod tests;
