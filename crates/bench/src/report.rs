//! The page with the figures: rows between two markers of a Markdown file, each under its name. A run replaces what it has measured and
//! leaves the other rows as they were, so each row says of which commit it is.

use crate::page::Part;
use crate::plot::Plot;
use crate::table::Measured;
use anyhow::Result;
use std::path::Path;

const FIGURES: Part =
    Part { begin: "<!-- measured: what stands here is written by `cargo xtask bench --report` -->", end: "<!-- /measured -->" };
const HEAD: &str = "| figure | measured | budget | | how | commit, load of the machine |\n| --- | ---: | ---: | --- | --- | --- |";

/// Writes the figures into the file, and the plots into the folder of the same name.
pub fn write(path: &Path, commit: &str, load: &str, measured: &[Measured]) -> Result<()> {
    let folder = path.with_extension("");
    for plot in plots(measured) {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(plot.file).with_extension("svg"), plot.svg())?;
    }
    FIGURES.write(path, |inside| table(inside, commit, load, measured))
}

/// What is measured at several sizes, whose names have the size in them.
fn plots(measured: &[Measured]) -> Vec<Plot> {
    let series = |before: &str, after: &str| -> Vec<(f64, f64)> {
        let size = |name: &str| name.strip_prefix(before)?.strip_suffix(after)?.parse::<u32>().ok();
        measured.iter().filter_map(|figure| Some((f64::from(size(&figure.name)?), figure.value))).collect()
    };
    let plot = |file, title: &str, (across, by_powers), up, points: Vec<(f64, f64)>| {
        let limit = points.first().map(|first| (first.1 * 1.25, "a quarter more than the smallest"));
        Plot { file, title: title.into(), across, by_powers, up, limit, points }
    };
    let history = series("flat_history_", "_cpu_us");
    let (rooms, connections) = (series("flat_room_", "_cpu_us"), series("flat_connection_", "_kib"));
    [
        plot(
            "history",
            "A message, in a log of more and more entries",
            ("entries in the log", true),
            "server CPU per message, µs",
            history,
        ),
        plot(
            "rooms",
            "A delivery, in a room of more and more devices",
            ("devices in the room", true),
            "server CPU per delivery, µs",
            rooms,
        ),
        plot("connections", "A connection, among more and more", ("connections", false), "memory per connection, KiB", connections),
    ]
    .into_iter()
    .filter(|plot| plot.points.len() > 1)
    .collect()
}

fn table(inside: &str, commit: &str, load: &str, measured: &[Measured]) -> String {
    let mut rows: Vec<(String, String)> = inside.lines().filter_map(|line| Some((name_of(line)?.to_owned(), line.to_owned()))).collect();
    for figure in measured {
        let row = row(figure, commit, load);
        match rows.iter_mut().find(|(name, _)| *name == figure.name) {
            Some(there) => there.1 = row,
            None => rows.push((figure.name.clone(), row)),
        }
    }
    let rows: String = rows.into_iter().map(|(_, row)| row + "\n").collect();
    format!("{HEAD}\n{rows}")
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
    fn what_is_measured_at_several_sizes_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.md");
        std::fs::write(&page, format!("{}\n{}\n", FIGURES.begin, FIGURES.end)).unwrap();
        let at = |size: &str, value| Measured::other(format!("flat_room_{size}"), value, "µs", crate::table::Budget::None, "");
        let alone = Measured::new("flat_history_100_cpu_us", 4.0, "");
        write(&page, "abc", "1.0", &[at("50_cpu_us", 20.0), at("800_cpu_us", 22.0), at("ratio", 1.1), alone]).unwrap();
        let drawn: Vec<_> = std::fs::read_dir(folder.path().join("page")).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(drawn, ["rooms.svg"], "one size alone is no plot");
        let svg = std::fs::read_to_string(folder.path().join("page/rooms.svg")).unwrap();
        assert!(svg.contains(">22</text>") && svg.contains(">800</text>"), "{svg}");
    }

    #[test]
    fn a_run_replaces_its_own_rows_and_leaves_the_others() {
        let Part { begin, end } = FIGURES;
        let page = format!("before\n{begin}\n{end}\nafter\n");
        let put = |text: &str, commit, load, measured: &[Measured]| FIGURES.put(text, |inside| table(inside, commit, load, measured));
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
