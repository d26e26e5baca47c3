//! Tables in Markdown, with the machine they were measured on.

use crate::{Result, Scale};
use std::{fmt::Write as _, path::Path, time::Duration};

/// Rows as they come in.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    value: String,
    goal: &'static str,
}

impl Report {
    /// Adds a row; `goal` is empty where nothing was promised.
    pub fn row(&mut self, what: impl Into<String>, value: impl Into<String>, goal: &'static str) {
        let row = Row {
            what: what.into(),
            value: value.into(),
            goal,
        };
        eprintln!("  {}: {} {}", row.what, row.value, row.goal);
        self.rows.push(row);
    }

    /// Writes the report to `out`, or to stdout.
    pub fn write(&self, out: Option<&Path>, scale: Scale) -> Result<()> {
        let mut text = String::from("# Benchmarks\n\nWritten by `make bench`; do not edit. ");
        writeln!(text, "{}\n", machine())?;
        writeln!(
            text,
            "Four validators, three nodes, the gateway, the load and the measuring run in one process on this machine. \
             Load lasts {} s a row, settlement {} s. Latencies are seen by the client.\n",
            scale.seconds, scale.settle_seconds
        )?;
        text.push_str("| measured | value | goal |\n| --- | --- | --- |\n");
        for Row { what, value, goal } in &self.rows {
            writeln!(text, "| {what} | {value} | {goal} |")?;
        }
        match out {
            Some(path) => std::fs::write(path, text)?,
            None => print!("{text}"),
        }
        Ok(())
    }
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split(':').nth(1)?.trim().to_owned())
    };
    let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown CPU".into());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    format!("Machine: {model}, {cores} cores, load average {load} at the end.")
}

/// The value below which `percent` of `sorted` lie.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(sorted.len() * percent / 100)
        .or(sorted.get(last))
        .copied()
        .unwrap_or_default()
}

/// "p50 .. ms, p99 .. ms of N".
pub fn latencies(mut all: Vec<Duration>) -> String {
    all.sort();
    let ms = |percent| percentile(&all, percent).as_secs_f64() * 1e3;
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, of {}",
        ms(50),
        ms(99),
        all.len()
    )
}

/// CPU time of this process so far.
pub fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || {
        fields
            .next()
            .and_then(|f| f.parse::<u64>().ok())
            .unwrap_or(0)
    };
    // Linux counts in hundredths of a second on every platform that it has run on for decades.
    Duration::from_millis((ticks() + ticks()) * 10)
}
