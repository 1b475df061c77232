//! Keys: comparing them, devices, what happened to them, the recovery code.

use super::message::clock;
use super::{BOLD, CYAN, DIM, GREEN, Look, RED, YELLOW, columns, heads, object};
use crate::inert;
use qrcode::{Color, EcLevel, QrCode};
use serde::Serialize;
use tidings_client::UserName;
use tidings_client::view::{Comparison, Device, Notice, Trust};

/// Groups of digits in a row: three rows of four are read out easily.
const A_ROW: usize = 4;

#[derive(Serialize)]
struct ComparisonObject<'a> {
    #[serde(flatten)]
    comparison: &'a Comparison,
    trust: Trust,
}

/// The safety number, and how it is compared.
pub fn comparison(comparison: &Comparison, trust: Trust, alarm: Option<&str>, me: &UserName, look: Look) -> Vec<String> {
    if look.json {
        return vec![object("comparison", &ComparisonObject { comparison, trust })];
    }
    let user = &comparison.user;
    let groups: Vec<&str> = comparison.number.split(' ').collect();
    let mut lines = vec![format!("The safety number of {me} and {}:", look.paint(BOLD, &user.to_string())), String::new()];
    lines.extend(groups.chunks(A_ROW).map(|row| format!("    {}", look.paint(BOLD, &row.join("  ")))));
    lines.push(String::new());
    lines.push(match trust {
        Trust::Changed => {
            let alarm = alarm.map(inert::line).unwrap_or_default();
            look.paint(RED, &format!("The key of {user} HAS CHANGED: {alarm}"))
        }
        Trust::Verified => look.paint(GREEN, "You have compared it before, and it is still the same."),
        Trust::New | Trust::Pinned => "You have not compared it yet. The key was taken as it came, and has not changed since.".into(),
    });
    lines.push(format!("  their key  {}", inert::line(&comparison.fingerprint)));
    lines.push(String::new());
    lines.extend(how_to_compare(user, me, trust));
    lines
}

fn how_to_compare(user: &UserName, me: &UserName, trust: Trust) -> Vec<String> {
    let mut lines = vec![
        format!("{user} sees the same number with `tidings verify {me}`. Compare it face to face, or by voice: whoever"),
        "could stand between you could also change it in a chat. Then say what came of it:".into(),
    ];
    lines.push(match trust {
        Trust::Changed => format!("  all the same   tidings verify {user} --accept --matches"),
        _ => format!("  all the same   tidings verify {user} --matches"),
    });
    lines.push("  different      somebody may stand between you: write nothing secret, and ask whoever runs your servers".into());
    if trust == Trust::Changed {
        lines.push(format!("  not compared   tidings verify {user} --accept   (a lost password may be the reason)"));
    }
    lines
}

/// The digits of a safety number as a QR code, two rows of it a line. Light is what is drawn: terminals are dark, mostly.
pub fn qr(number: &str) -> Vec<String> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let Ok(code) = QrCode::with_error_correction_level(digits.as_bytes(), EcLevel::M) else { return Vec::new() };
    let (width, quiet) = (code.width(), 2);
    let is_light = |row: usize, column: usize| {
        let inside = |at: usize| at.checked_sub(quiet).filter(|at| *at < width);
        !matches!((inside(row), inside(column)), (Some(row), Some(column)) if code[(column, row)] == Color::Dark)
    };
    let all = width + 2 * quiet;
    let half = |row: usize, column: usize| match (is_light(row, column), row + 1 < all && is_light(row + 1, column)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    (0..all).step_by(2).map(|row| (0..all).map(|column| half(row, column)).collect()).collect()
}

/// One's devices, one a line.
pub fn devices(devices: &[Device], look: Look) -> Vec<String> {
    if look.json {
        return devices.iter().map(|device| object("device", device)).collect();
    }
    let mut rows = vec![heads(["DEVICE", "NAME", ""])];
    for device in devices {
        let key: String = device.key.chars().take(8).collect();
        let name = device.name.as_deref().map_or(("-".into(), DIM), |name| (inert::line(name), ""));
        rows.push(vec![(key, BOLD), name, (if device.this { "this device" } else { "" }.into(), CYAN)]);
    }
    columns(&rows, look)
}

/// Something about keys.
pub fn notice(notice: &Notice, look: Look) -> String {
    if look.json {
        return object("notice", notice);
    }
    let said = format!("! {}", inert::line(&notice.text));
    format!("{}  {}", look.paint(DIM, &clock(notice.at)), look.paint(YELLOW, &said))
}

/// The recovery code, in columns that are read downwards.
pub fn recovery_code(words: &str, look: Look) -> Vec<String> {
    if look.json {
        return vec![object("recovery", &serde_json::json!({ "recovery_code": words }))];
    }
    let mut lines = vec![look.paint(BOLD, "Your recovery code. Write these 24 words on paper, in this order, now:"), String::new()];
    let words: Vec<&str> = words.split(' ').collect();
    let rows = words.len().div_ceil(4);
    for row in 0..rows {
        let line: String = (row..words.len()).step_by(rows).map(|at| format!("{:>6}. {:<10}", at + 1, words[at])).collect();
        lines.push(line.trim_end().to_owned());
    }
    lines.push(String::new());
    lines.push("They open your account when the password is lost. They are not shown again, and nobody can make them anew.".into());
    lines.push(String::new());
    lines
}
