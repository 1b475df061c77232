//! What campaigns have seen, added up over all their runs: `evidence/NAME.json`, kept with the code it speaks of.

use anyhow::{Context, bail};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The sums of one campaign.
pub struct Evidence {
    path: PathBuf,
    sums: Map<String, Value>,
}

impl Evidence {
    /// What is there by now.
    pub fn of(campaign: &str) -> anyhow::Result<Evidence> {
        let path = crate::root().join(format!("evidence/{campaign}.json"));
        let sums = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is not as it was written", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Ok(Evidence { path, sums })
    }

    /// Adds to a number, which is found by way of these keys.
    pub fn add(&mut self, way: &[&str], more: u64) {
        let Some((last, before)) = way.split_last() else { return };
        let mut here = &mut self.sums;
        for key in before {
            let next = here.entry(*key).or_insert_with(|| Value::Object(Map::new()));
            if !next.is_object() {
                *next = Value::Object(Map::new());
            }
            let Value::Object(inside) = next else { return };
            here = inside;
        }
        let sum = here.get(*last).and_then(Value::as_u64).unwrap_or_default().saturating_add(more);
        here.insert((*last).into(), sum.into());
    }

    /// A number as it is by now.
    pub fn number(&self, name: &str) -> u64 {
        self.sums.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    /// What the newest run alone says.
    pub fn set(&mut self, name: &str, value: Value) {
        self.sums.insert(name.into(), value);
    }

    /// Adds one to a list.
    pub fn push(&mut self, list: &str, one: Value) {
        match self.sums.entry(list).or_insert_with(|| Value::Array(Vec::new())) {
            Value::Array(all) => all.push(one),
            other => *other = Value::Array(vec![one]),
        }
    }

    /// Writes it down, with the commit that was run.
    pub fn save(&mut self) -> anyhow::Result<()> {
        self.sums.insert("commit".into(), commit().into());
        std::fs::create_dir_all(self.path.parent().expect("it is in a folder"))?;
        let text = serde_json::to_string_pretty(&self.sums)? + "\n";
        std::fs::write(&self.path, text).with_context(|| self.path.display().to_string())
    }
}

/// The commit of the work tree, `+` where it was changed since.
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(crate::root()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--", ".", ":!evidence"]).is_some_and(|changes| !changes.is_empty());
    git(&["rev-parse", "--short=12", "HEAD"]).map_or("unknown".into(), |commit| commit + if changed { "+" } else { "" })
}

/// `90s`, `20m`, `2h`.
pub fn span(text: &str) -> anyhow::Result<Duration> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        _ => bail!("{text:?} is no span of time: say 90s, 20m or 2h"),
    };
    match text[..text.len() - 1].parse::<u64>() {
        Ok(count) if count > 0 => Ok(Duration::from_secs(count * unit)),
        _ => bail!("{text:?} is no span of time: say 90s, 20m or 2h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_add_up() {
        let mut evidence = Evidence { path: PathBuf::new(), sums: Map::new() };
        evidence.add(&["targets", "frame", "executions"], 5);
        evidence.add(&["targets", "frame", "executions"], 6);
        evidence.add(&["runs"], 1);
        evidence.push("seeds", 7.into());
        evidence.push("seeds", 8.into());
        assert_eq!(serde_json::to_string(&evidence.sums).unwrap(), r#"{"runs":1,"seeds":[7,8],"targets":{"frame":{"executions":11}}}"#);
    }

    #[test]
    fn spans_are_read_as_they_are_said() {
        assert_eq!(span("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(span("20m").unwrap(), Duration::from_secs(1200));
        assert_eq!(span("2h").unwrap(), Duration::from_secs(7200));
        for wrong in ["", "m", "0s", "20", "-1m", "1d", "é"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
