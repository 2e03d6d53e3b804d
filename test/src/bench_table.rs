//! The table that a bench fills and prints.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::operator_process::Operator;
use crate::paths;

/// The rows of a bench: name, value and unit of each measurement, in the order of their addition.
#[derive(Debug, Default)]
pub struct BenchTable(Vec<(String, Value, String)>);

impl BenchTable {
    /// Adds a value with its unit and its aim, and prints it.
    pub fn note(&mut self, what: &str, value: Value, unit: &str) {
        println!("{what}: {value} {unit}");
        self.0.push((what.to_owned(), value, unit.to_owned()));
    }

    /// Prints the table, and writes them as JSON to `target/NAME.json`.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn print(&self, name: &str) -> Result<()> {
        println!("\n| what | value | unit, aim |\n| --- | --- | --- |");
        for (what, value, unit) in &self.0 {
            println!("| {what} | {} | {unit} |", cell(value));
        }
        let rows = self.0.iter();
        let rows: Vec<Value> = rows
            .map(|(what, value, unit)| json!({"what": what, "value": value, "unit": unit}))
            .collect();
        let file: PathBuf = paths::root().join("target").join(name).with_extension("json");
        std::fs::write(&file, serde_json::to_string_pretty(&rows)?)?;
        println!("\nalso in {}", file.display());
        Ok(())
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Object(of) => {
            let named = of.iter().filter(|(name, _)| *name != "samples");
            let values: Vec<String> = named.map(|(name, value)| format!("{name} {value}")).collect();
            let samples = of.get("samples").unwrap_or(&Value::Null);
            format!("{} ({samples} samples)", values.join(", "))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns the load average of the last minute.
#[must_use]
pub fn load() -> Value {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().into()
}

/// Rounds to two digits behind the point.
#[must_use]
pub fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Returns p50, p99 and the greatest of some samples.
#[must_use]
pub fn spread(mut samples: Vec<f64>) -> Value {
    samples.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = samples.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into some hundred samples"
        )]
        let index = (last as f64 * share).ceil() as usize;
        samples.get(index).copied().map(round)
    };
    json!({"p50": at(0.5), "p99": at(0.99), "most": at(1.0), "samples": samples.len()})
}

/// Returns the resident memory of a running operator, in MiB.
///
/// # Errors
/// If it does not run.
pub fn rss(operator: &Operator) -> Result<f64> {
    let pid = operator.pid().context("the operator runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.context("a process has a size")?.trim();
    let kib: f64 = size.trim_end_matches(" kB").parse()?;
    Ok(round(kib / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_the_end() {
        let samples = (1..=101).map(f64::from).collect();
        let all = spread(samples);
        assert_eq!(
            all,
            json!({"p50": 51.0, "p99": 100.0, "most": 101.0, "samples": 101})
        );
        assert_eq!(cell(&all), "most 101.0, p50 51.0, p99 100.0 (101 samples)");
    }
}
