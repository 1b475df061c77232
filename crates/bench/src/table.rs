//! What was measured, against what design and issue ask for, and how it is shown.

use serde_json::{Map, Value, json};

/// Which side of a budget is the good one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// As much, or less.
    AtMost(f64),
    /// As much, or more.
    AtLeast(f64),
    /// Nobody has set one.
    None,
}

/// Every figure with a name: unit and budget.
const FIGURES: &[(&str, &str, Budget)] = &[
    ("idle_rss_kib_plain", "KiB", Budget::AtMost(12.0)),
    ("idle_rss_kib_tls", "KiB", Budget::AtMost(24.0)),
    ("idle_rss_kib_plain_at_1000", "KiB", Budget::AtMost(12.0)),
    ("idle_rss_kib_tls_at_1000", "KiB", Budget::AtMost(24.0)),
    ("direct_cpu_us", "µs", Budget::AtMost(45.0)),
    ("direct_p50_us", "µs", Budget::None),
    ("direct_p99_us", "µs", Budget::None),
    ("direct_sat_per_s", "1/s", Budget::AtLeast(60_000.0)),
    ("room_cpu_us", "µs", Budget::AtMost(11.0)),
    ("room_sat_per_s", "1/s", Budget::AtLeast(400_000.0)),
    ("login_cpu_us", "µs", Budget::AtMost(450.0)),
    ("resume_cpu_us", "µs", Budget::AtMost(250.0)),
    ("join_cpu_us", "µs", Budget::AtMost(100.0)),
    ("join_bytes", "B", Budget::AtMost(1000.0)),
    ("offline_stored_per_s", "1/s", Budget::AtLeast(25_000.0)),
    ("offline_drained_per_s", "1/s", Budget::AtLeast(50_000.0)),
    ("ready_ms", "ms", Budget::AtMost(50.0)),
    ("empty_rss_mib", "MiB", Budget::AtMost(12.0)),
    ("wire_overhead_bytes", "B", Budget::AtMost(100.0)),
    ("federation_cpu_us", "µs", Budget::AtMost(60.0)),
];

/// One figure.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// What it should be.
    pub budget: Budget,
    /// How it came about, where that is not said by the name.
    pub note: String,
}

impl Measured {
    /// A figure of the list.
    pub fn new(name: &str, value: f64, note: impl Into<String>) -> Measured {
        let known = FIGURES.iter().find(|figure| figure.0 == name);
        let (unit, budget) = known.map_or(("", Budget::None), |figure| (figure.1, figure.2));
        Measured { name: name.into(), value, unit: unit.into(), budget, note: note.into() }
    }

    /// A figure that is not in the list.
    pub fn other(name: impl Into<String>, value: f64, unit: &str, budget: Budget, note: impl Into<String>) -> Measured {
        Measured { name: name.into(), value, unit: unit.into(), budget, note: note.into() }
    }

    /// Whether it is within its budget; nothing where there is none.
    pub fn holds(&self) -> Option<bool> {
        match self.budget {
            Budget::AtMost(most) => Some(self.value <= most),
            Budget::AtLeast(least) => Some(self.value >= least),
            Budget::None => None,
        }
    }

    /// Name, figure with unit, budget, and whether it holds.
    pub fn row(&self) -> [String; 4] {
        let budget = match self.budget {
            Budget::AtMost(most) => format!("≤ {}", number(most)),
            Budget::AtLeast(least) => format!("≥ {}", number(least)),
            Budget::None => String::new(),
        };
        let holds = self.holds().map_or("", |holds| if holds { "holds" } else { "SHORT" });
        [self.name.clone(), format!("{} {}", number(self.value), self.unit), budget, holds.into()]
    }
}

/// Four digits that count, and no more.
pub fn number(value: f64) -> String {
    let digits = if value.abs() < 10.0 { 2 } else { usize::from(value.abs() < 1000.0) };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

const TITLES: [&str; 4] = ["figure", "measured", "budget", ""];

/// The table for a terminal.
pub fn text(measured: &[Measured]) -> String {
    let rows: Vec<[String; 4]> = std::iter::once(TITLES.map(str::to_owned)).chain(measured.iter().map(Measured::row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name, value, budget) = (width(0), width(1), width(2));
    let notes = std::iter::once("").chain(measured.iter().map(|figure| figure.note.as_str()));
    let mut out = String::new();
    for (row, note) in rows.iter().zip(notes) {
        let line = format!("{:name$}  {:>value$}  {:>budget$}  {:5}  {note}", row[0], row[1], row[2], row[3]);
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// One object: every figure by its name, and beside them what the run was.
pub fn object(about: &Value, measured: &[Measured]) -> Value {
    let mut object = Map::new();
    object.insert("about".into(), about.clone());
    for figure in measured {
        object.insert(figure.name.clone(), json!(figure.value));
    }
    Value::Object(object)
}

/// The value below which a share of `sorted` lies.
pub fn percentile(sorted: &[u64], share: f64) -> u64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(at - 1).copied().unwrap_or(0)
}

/// The middle of some figures; the mean of the two that are, where there is an even number of them.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted[..] {
        [] => 0.0,
        _ if sorted.len() % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_held_against_its_budget() {
        let held = |name, value| Measured::new(name, value, "").holds();
        assert_eq!((held("direct_cpu_us", 45.0), held("direct_cpu_us", 45.1)), (Some(true), Some(false)));
        assert_eq!((held("direct_sat_per_s", 60_000.0), held("direct_sat_per_s", 59_999.0)), (Some(true), Some(false)));
        assert_eq!(held("direct_p50_us", 1.0), None);
        let shown = text(&[Measured::new("room_cpu_us", 12.345, "so")]);
        assert!(
            shown.contains("room_cpu_us") && shown.contains("12.3 µs") && shown.contains("≤ 11") && shown.contains("SHORT  so"),
            "{shown}"
        );
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let sorted: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&sorted, 0.5), percentile(&sorted, 0.99), percentile(&sorted, 1.0)), (50, 99, 100));
        assert_eq!((percentile(&[7], 0.5), percentile(&[], 0.5)), (7, 0));
    }

    #[test]
    fn a_median_is_the_middle_in_order() {
        assert_eq!(
            [vec![], vec![7.0], vec![9.0, 1.0], vec![9.0, 1.0, 2.0], vec![900.0, 1.0, 2.0, 4.0]].map(median),
            [0.0, 7.0, 5.0, 2.0, 3.0]
        );
    }

    #[test]
    fn numbers_have_the_digits_that_count() {
        assert_eq!([0.123, 9.999, 45.0, 12.345, 999.96, 60_000.4].map(number), ["0.12", "10", "45", "12.3", "1000", "60000"]);
    }
}
