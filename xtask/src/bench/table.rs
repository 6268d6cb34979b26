//! Medians with their spread, and the table they stand in.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::Outcome;

/// Median, lowest and highest of a few numbers.
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    /// Of any numbers; NaN for none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 { at(half) } else { (at(half.wrapping_sub(1)) + at(half)) / 2.0 };
        Self { median, low: at(0), high: at(values.len().saturating_sub(1)) }
    }

    /// Of `a[i] / b[i]`.
    pub fn of_ratios(a: &[f64], b: &[f64]) -> Self {
        Self::of(a.iter().zip(b).map(|(a, b)| a / b))
    }

    /// "median (low–high)"; one number where all are equal.
    pub fn show(&self) -> String {
        let digits = match self.median.abs() {
            large if large >= 100.0 => 0,
            middle if middle >= 10.0 => 1,
            small if small >= 0.1 => 2,
            _ => 3,
        };
        if self.low == self.high {
            return format!("{:.digits$}", self.median);
        }
        format!("{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.low, self.high)
    }
}

/// Rows of texts under a title.
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new<T: Into<String>>(title: String, columns: impl IntoIterator<Item = T>) -> Self {
        Self { title, columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row and says it at once on standard error: a bench may take an hour.
    pub fn row(&mut self, cells: Vec<String>) {
        eprintln!("  {}", cells.join(" | "));
        self.rows.push(cells);
    }

    /// Aligned columns for a terminal.
    pub fn plain(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).chain(self.columns.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let line = |cells: &[String]| {
            let padded: Vec<String> =
                cells.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column))).collect();
            padded.join("  ").trim_end().to_owned()
        };
        let lines = std::iter::once(&self.columns).chain(&self.rows).map(|cells| line(cells));
        format!("{}\n\n{}", self.title, lines.collect::<Vec<_>>().join("\n"))
    }

    /// Appends the table with date and machine to a file.
    pub fn append_markdown(&self, path: &Path) -> Outcome {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---".to_owned(); self.columns.len()];
        let rows: String = [&self.columns, &rule].into_iter().chain(&self.rows).map(|cells| line(cells)).collect();
        let text = format!("\n{}\n{}.\n\n{rows}", self.title, machine());
        let failed = |error| format!("cannot append to {}: {error}", path.display());
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)
    }
}

/// Date, processor, cores and kernel.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let model =
        processor.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1).map(str::to_owned));
    let cores = processor.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let date = Command::new("date").arg("+%Y-%m-%d").output();
    let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let model = model.unwrap_or_else(|| "unknown processor".to_owned());
    format!("{date}, {model}, {cores} cores, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]).show(), "2.00 (1.00–3.00)");
        assert_eq!(Spread::of([4.0, 1.0]).median, 2.5);
        assert_eq!(Spread::of([7.0]).show(), "7.00");
        assert_eq!(Spread::of_ratios(&[2.0, 9.0], &[1.0, 3.0]).median, 2.5);
        assert!(Spread::of([]).median.is_nan());
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new("title".to_owned(), ["a", "b"]);
        table.row(vec!["x→y".to_owned(), "1".to_owned()]);
        assert_eq!(table.plain(), "title\n\na    b\nx→y  1");
    }
}
