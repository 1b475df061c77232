//! The table of `benches`: what criterion has measured, each against the bare thing of its group in the same run.

use crate::page::Part;
use crate::table::number;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::time::SystemTime;

const TABLE: Part =
    Part { begin: "<!-- micro: what stands here is written by `cargo xtask bench --micro --report` -->", end: "<!-- /micro -->" };
/// How a benchmark's name begins that the others of its group are held against.
const BARE: &str = "bare ";

/// What one benchmark came to.
#[derive(Debug, Clone)]
struct Median {
    group: String,
    name: String,
    /// Of what, where a group measures several.
    of: String,
    nanoseconds: f64,
    /// The interval in which the median is by 95 %.
    between: (f64, f64),
    written: SystemTime,
}

/// Prints the table, and puts it into the page.
pub fn write(folder: &Path, page: Option<&Path>, about: &str) -> Result<()> {
    let mut medians = Vec::new();
    collect(folder, &mut medians)?;
    ensure!(!medians.is_empty(), "criterion has left nothing in {}", folder.display());
    medians.sort_by_key(|median| median.written);
    let table = table(&medians);
    print!("{table}");
    page.map_or(Ok(()), |page| TABLE.write(page, |_| format!("{table}\n{about}\n")))
}

/// criterion keeps a benchmark's newest run in a folder `new`.
fn collect(folder: &Path, into: &mut Vec<Median>) -> Result<()> {
    for item in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = item?.path();
        if !path.is_dir() {
            continue;
        }
        if path.ends_with("new") {
            into.push(median(&path).with_context(|| path.display().to_string())?);
        } else {
            collect(&path, into)?;
        }
    }
    Ok(())
}

fn median(folder: &Path) -> Result<Median> {
    let read = |name: &str| -> Result<Value> { Ok(serde_json::from_slice(&std::fs::read(folder.join(name))?)?) };
    let (benchmark, estimates) = (read("benchmark.json")?, read("estimates.json")?);
    let text = |field: &str| benchmark[field].as_str().unwrap_or_default().to_owned();
    let median = &estimates["median"];
    let value = |value: &Value| value.as_f64().context("no median");
    let interval = &median["confidence_interval"];
    Ok(Median {
        group: text("group_id"),
        name: text("function_id"),
        of: text("value_str"),
        nanoseconds: value(&median["point_estimate"])?,
        between: (value(&interval["lower_bound"])?, value(&interval["upper_bound"])?),
        written: std::fs::metadata(folder.join("estimates.json"))?.modified()?,
    })
}

fn table(medians: &[Median]) -> String {
    let mut out = "| what | of | median | | against |\n| --- | --- | ---: | ---: | --- |\n".to_owned();
    for median in medians.iter().filter(|median| !median.name.starts_with(BARE)) {
        let Median { group, name, of, nanoseconds, between: (low, high), .. } = median;
        let beside = |other: &&Median| other.group == *group && other.of == *of && other.name.starts_with(BARE);
        let (times, against) = medians.iter().find(beside).map_or_else(Default::default, |bare| {
            (format!("{} ×", number(nanoseconds / bare.nanoseconds)), format!("{}: {}", bare.name, time(bare.nanoseconds)))
        });
        let spread = format!("{} to {}", time(*low), time(*high));
        out.push_str(&format!("| {group}: `{name}` | {of} | {} ({spread}) | {times} | {against} |\n", time(*nanoseconds)));
    }
    out
}

fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ..1e3 => (nanoseconds, "ns"),
        ..1e6 => (nanoseconds / 1e3, "µs"),
        _ => (nanoseconds / 1e6, "ms"),
    };
    format!("{} {unit}", number(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As criterion writes it.
    fn ran(folder: &Path, (group, name, of): (&str, &str, Option<&str>), median: f64) {
        let new = folder.join(format!("{group}/{name}/{}/new", of.unwrap_or_default()));
        std::fs::create_dir_all(&new).unwrap();
        let benchmark = json!({ "group_id": group, "function_id": name, "value_str": of, "throughput": null });
        let interval = json!({ "confidence_level": 0.95, "lower_bound": median * 0.9, "upper_bound": median * 1.1 });
        let estimates = json!({ "mean": {}, "median": { "point_estimate": median, "confidence_interval": interval } });
        std::fs::write(new.join("benchmark.json"), benchmark.to_string()).unwrap();
        std::fs::write(new.join("estimates.json"), estimates.to_string()).unwrap();
    }

    #[test]
    fn each_median_is_held_against_the_bare_one_of_its_group() {
        let folder = tempfile::tempdir().unwrap();
        ran(folder.path(), ("append", "commit", Some("1 entry")), 3_000_000.0);
        ran(folder.path(), ("append", "bare SQLite", Some("1 entry")), 2_000_000.0);
        ran(folder.path(), ("append", "commit", Some("32 entries")), 4_000_000.0);
        ran(folder.path(), ("chain", "extend", None), 812.0);
        let page = folder.path().join("page.md");
        std::fs::write(&page, format!("before\n{}\nold\n{}\nafter\n", TABLE.begin, TABLE.end)).unwrap();
        write(folder.path(), Some(&page), "commit abc").unwrap();
        let page = std::fs::read_to_string(page).unwrap();
        let rows = [
            "| append: `commit` | 1 entry | 3 ms (2.7 ms to 3.3 ms) | 1.5 × | bare SQLite: 2 ms |\n",
            "| append: `commit` | 32 entries | 4 ms (3.6 ms to 4.4 ms) |  |  |\n",
            "| chain: `extend` |  | 812 ns (730.8 ns to 893.2 ns) |  |  |\n",
        ];
        assert!(rows.iter().all(|row| page.contains(row)), "{page}");
        assert!(page.starts_with("before\n") && page.ends_with("after\n") && page.contains("\ncommit abc\n") && !page.contains("old"));
        std::fs::remove_dir_all(folder.path().join("append")).unwrap();
        std::fs::remove_dir_all(folder.path().join("chain")).unwrap();
        assert!(write(folder.path(), None, "").is_err(), "nothing was measured");
    }
}
