//! `cargo xtask campaign web`: what somebody waits for in a browser, of the released program in a real Chromium; and a long conversation, read from
//! its end to its beginning. The tests of the web client do it (`crates/tidings/tests/web`), told by their environment how much of it.
//!
//! Run by cargo and not by nextest, which ends what takes longer than a test may.

use crate::evidence::{self, Evidence};
use crate::tools::{self, CHROMIUM};
use crate::{cargo, target};
use anyhow::{Context, bail};
use serde_json::Value;

/// Figures and how they are called in the table, in its order.
const OPENINGS: [(&str, &str); 4] = [
    ("from_the_server_ms", "reloaded, from the server"),
    ("tidings_client_ms", "reloaded, by `tidings client`"),
    ("server_away_ms", "reloaded, by `tidings client`, the server away"),
    ("server_away_browser_started_ms", "the browser just started, by `tidings client`, the server away"),
];

/// 500 conversations and an echo; or so many messages. False when a test failed.
pub fn campaign(messages: Option<u64>) -> anyhow::Result<bool> {
    tools::need(&CHROMIUM)?;
    crate::release()?;
    let (name, test, told) = match messages {
        None => ("rooms", "figures::", vec![("ROOMS", 500), ("TURNS", 9), ("ECHOES", 60), ("LOG", 10_000)]),
        Some(messages) => ("scroll", "scroll::", vec![("MESSAGES", messages)]),
    };
    let file = target().join("figures.json");
    // What another run has left is no figure of this one.
    let _ = std::fs::remove_file(&file);
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--test", "web", test, "--", "--nocapture"]);
    tests.env("PROGRAM", target().join("release/tidings")).env("FIGURES", &file);
    tests.envs(told.into_iter().map(|(variable, number)| (variable, number.to_string())));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    if !tests.status()?.success() {
        return Ok(false);
    }
    let text = std::fs::read_to_string(&file).with_context(|| format!("{} has no figures", file.display()))?;
    let mut figures: Value = serde_json::from_str(&text)?;
    let Some(said) = figures.as_object_mut() else { bail!("{text} is no figure") };
    said.insert("commit".into(), evidence::commit().into());
    said.insert("load_before".into(), load.split(' ').next().unwrap_or_default().into());
    if messages.is_none() {
        print!("{}", table(&figures));
    }
    let mut evidence = Evidence::of("web")?;
    evidence.set(name, figures);
    evidence.save()?;
    println!("The figures are in evidence/web.json.");
    Ok(true)
}

/// For `docs/performance.md`.
fn table(figures: &Value) -> String {
    let cell = |way: &[&str]| {
        let of = way.iter().fold(figures, |value, key| &value[*key]);
        format!("{} ({})", of["median"], of["worst"])
    };
    let mut table = "| opened | opening | client | conversations | all of them |\n| --- | ---: | ---: | ---: | ---: |\n".to_owned();
    for (figure, name) in OPENINGS {
        let cells = ["paint", "shell", "list", "whole"].map(|what| cell(&[figure, what]));
        table += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    table + &format!("\nEcho: {} ms of {}.\n", cell(&["echo_ms"]), figures["echo_ms"]["of"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_has_median_and_worst() {
        let times = json!({ "median": 1.5, "worst": 2.0, "of": 9 });
        let opening = json!({ "paint": times, "shell": times, "list": times, "whole": times });
        let figures: Value =
            OPENINGS.iter().map(|(figure, _)| ((*figure).to_owned(), opening.clone())).chain([("echo_ms".into(), times)]).collect();
        let table = table(&figures);
        assert!(table.contains("| reloaded, from the server | 1.5 (2.0) | 1.5 (2.0) | 1.5 (2.0) | 1.5 (2.0) |\n"), "{table}");
        assert!(table.ends_with("Echo: 1.5 (2.0) ms of 9.\n"), "{table}");
    }
}
