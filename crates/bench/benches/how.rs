//! How all of these are measured: as long as a median needs, and no longer. What they mean is in the page of figures.

use criterion::Criterion;
use std::time::Duration;

/// The words by which a benchmark begins that the others of its group are held against: the least that somebody would have to pay who
/// did without us.
pub const BARE: &str = "bare";

/// Some seconds each; no pictures.
pub fn settings() -> Criterion {
    Criterion::default().without_plots().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}
