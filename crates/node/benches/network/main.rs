//! The whole network on this machine, measured from outside; writes BENCHMARKS.md.
//!
//! `cargo bench -p assay-node --bench network -- [--quick] [--out FILE] [SECTION...]`
//! Sections: answer, overhead, settle, proof, catch-up. Without `--out` the tables go to stdout.

mod answers;
mod catch_up;
mod chain_watch;
mod proof;
mod report;
mod settle;
mod world;

use report::Report;
use std::{path::PathBuf, process::ExitCode};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long and how much; `--quick` is for trying the programs, not for numbers.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Seconds of load per row.
    seconds: u64,
    /// Seconds of sustained settlement.
    settle_seconds: u64,
    /// Blocks that the stopped validator misses.
    missed_blocks: u64,
}

const FULL: Scale = Scale {
    seconds: 30,
    settle_seconds: 60,
    missed_blocks: 10_000,
};
const QUICK: Scale = Scale {
    seconds: 5,
    settle_seconds: 8,
    missed_blocks: 200,
};
const SECTIONS: [&str; 5] = ["answer", "overhead", "settle", "proof", "catch-up"];

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let scale = if take_flag(&mut arguments, "--quick") {
        QUICK
    } else {
        FULL
    };
    let out = take_value(&mut arguments, "--out").map(PathBuf::from);
    let chosen: Vec<&str> = SECTIONS
        .into_iter()
        .filter(|section| arguments.is_empty() || arguments.iter().any(|a| a == section))
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let measured = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run(&chosen, scale)));
    match measured.and_then(|report| report.write(out.as_deref(), scale)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(sections: &[&str], scale: Scale) -> Result<Report> {
    let mut report = Report::default();
    for section in sections {
        eprintln!("measuring: {section}");
        match *section {
            "answer" => answers::settlement(&mut report, scale).await?,
            "overhead" => answers::overhead(&mut report, scale).await?,
            "settle" => settle::run(&mut report, scale).await?,
            "proof" => proof::run(&mut report).await?,
            _ => catch_up::run(&mut report, scale).await?,
        }
    }
    Ok(report)
}

fn take_flag(arguments: &mut Vec<String>, flag: &str) -> bool {
    let before = arguments.len();
    arguments.retain(|argument| argument != flag);
    arguments.len() < before
}

fn take_value(arguments: &mut Vec<String>, flag: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == flag)?;
    arguments.remove(at);
    (at < arguments.len()).then(|| arguments.remove(at))
}
