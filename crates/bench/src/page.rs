//! A Markdown page parts of which are written by programs: what stands between two markers of its own, and nothing else of it.

use anyhow::{Context, Result};
use std::path::Path;

/// The two lines around a part.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Before it.
    pub begin: &'static str,
    /// After it.
    pub end: &'static str,
}

impl Part {
    /// Puts what `make` makes of the part into its place.
    pub fn write(self, page: &Path, make: impl FnOnce(&str) -> String) -> Result<()> {
        let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
        let text =
            self.put(&text, make).with_context(|| format!("{} has not the lines {} and {}", page.display(), self.begin, self.end))?;
        std::fs::write(page, text).with_context(|| page.display().to_string())
    }

    /// The page with what `make` makes of the part in its place.
    pub fn put(self, text: &str, make: impl FnOnce(&str) -> String) -> Option<String> {
        let Part { begin, end } = self;
        let (before, rest) = text.split_once(begin)?;
        let (inside, after) = rest.split_once(end)?;
        Some(format!("{before}{begin}\n\n{}\n{end}{after}", make(inside)))
    }
}
