//! The page with the figures: rows between two markers of a Markdown file, each under its name. A run replaces what it has measured and
//! leaves the other rows as they were, so each row says of which commit it is.

use crate::table::Measured;
use anyhow::{Context, Result};
use std::path::Path;

const BEGIN: &str = "<!-- measured: what stands here is written by `cargo xtask bench --report` -->";
const END: &str = "<!-- /measured -->";
const HEAD: &str = "| figure | measured | budget | | how | commit, load of the machine |\n| --- | ---: | ---: | --- | --- | --- |";

/// Writes the figures into the file.
pub fn write(path: &Path, commit: &str, load: &str, measured: &[Measured]) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let text = put(&text, commit, load, measured).with_context(|| format!("{} has not the markers {BEGIN} and {END}", path.display()))?;
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

fn put(text: &str, commit: &str, load: &str, measured: &[Measured]) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (inside, after) = rest.split_once(END)?;
    let mut rows: Vec<(String, String)> = inside.lines().filter_map(|line| Some((name_of(line)?.to_owned(), line.to_owned()))).collect();
    for figure in measured {
        let row = row(figure, commit, load);
        match rows.iter_mut().find(|(name, _)| *name == figure.name) {
            Some(there) => there.1 = row,
            None => rows.push((figure.name.clone(), row)),
        }
    }
    let rows: String = rows.into_iter().map(|(_, row)| row + "\n").collect();
    Some(format!("{before}{BEGIN}\n\n{HEAD}\n{rows}\n{END}{after}"))
}

fn name_of(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)
}

fn row(figure: &Measured, commit: &str, load: &str) -> String {
    let [name, value, budget, holds] = figure.row();
    let holds = if holds == "SHORT" { "**short**" } else { &holds };
    format!("| `{name}` | {value} | {budget} | {holds} | {} | {commit}, {load} |", figure.note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_replaces_its_own_rows_and_leaves_the_others() {
        let page = format!("before\n{BEGIN}\n{END}\nafter\n");
        let (cpu, rss) = (|value| Measured::new("direct_cpu_us", value, "so"), Measured::new("empty_rss_mib", 9.0, ""));
        let first = put(&page, "abc", "1.0", &[cpu(50.0), rss]).unwrap();
        let second = put(&first, "def", "2.0", &[cpu(40.0)]).unwrap();
        assert!(first.contains("| `direct_cpu_us` | 50 µs | ≤ 45 | **short** | so | abc, 1.0 |"), "{first}");
        assert!(second.contains("| `direct_cpu_us` | 40 µs | ≤ 45 | holds | so | def, 2.0 |"), "{second}");
        assert!(second.contains("| `empty_rss_mib` | 9 MiB | ≤ 12 | holds |  | abc, 1.0 |"), "{second}");
        assert!(second.starts_with("before\n") && second.ends_with("after\n") && !second.contains("50 µs"));
        assert_eq!(put("no markers", "abc", "1.0", &[]), None);
    }
}
