//! Runs many seeds: `cargo run -p assay-sim --example campaign -- --seeds 0..1000 --threads 2`.
//!
//! Ends with status 1 if a seed broke a promise; with `--expect-failure`, if none did. `--only
//! FRAUD` makes that fraud the only one of every seed.

use assay_sim::{Dishonest, Fraud, Options, Report, campaign};
use std::{ops::Range, process::ExitCode, time::Instant};

struct Arguments {
    seeds: Range<u64>,
    threads: usize,
    expect_failure: bool,
    verbose: bool,
    options: Options,
}

const USAGE: &str = "usage: campaign [--seeds FROM..TO] [--threads N] [--only FRAUD] \
                     [--expect-failure] [--verbose]";

fn parse() -> Option<Arguments> {
    let mut arguments = Arguments {
        seeds: 0..100,
        threads: 2,
        expect_failure: false,
        verbose: false,
        options: Options::default(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        match flag.as_str() {
            "--seeds" => {
                let range = given.next()?;
                let (from, to) = range.split_once("..")?;
                arguments.seeds = from.parse().ok()?..to.parse().ok()?;
            }
            "--threads" => arguments.threads = given.next()?.parse().ok()?,
            "--only" => {
                let name = given.next()?;
                let fraud = Fraud::ALL.into_iter().find(|fraud| fraud.name() == name)?;
                arguments.options.dishonest = Dishonest::These(vec![fraud]);
            }
            "--expect-failure" => arguments.expect_failure = true,
            "--verbose" => arguments.verbose = true,
            _ => return None,
        }
    }
    Some(arguments)
}

fn main() -> ExitCode {
    let Some(arguments) = parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(3);
    };
    let start = Instant::now();
    let total = arguments.seeds.end.saturating_sub(arguments.seeds.start);
    let mut done = 0u64;
    let progress = |report: &Report| {
        done += 1;
        if report.failure.is_some() || arguments.verbose {
            println!("{report}");
        }
        if done.is_multiple_of(50) {
            eprintln!(
                "{done} of {total} seeds, {:.0} s",
                start.elapsed().as_secs_f64()
            );
        }
    };
    let summary = campaign(
        arguments.seeds,
        arguments.threads,
        &arguments.options,
        progress,
    );
    println!(
        "{} seeds, {} failed, {} blocks, {} receipts settled, {} transactions refused, {} faults, {:.0} s",
        summary.runs,
        summary.failures.len(),
        summary.blocks,
        summary.settled,
        summary.refused,
        summary.faults,
        start.elapsed().as_secs_f64()
    );
    for failure in &summary.failures {
        let seed = failure.seed;
        println!(
            "repeat: cargo run -p assay-sim --example campaign -- --seeds {seed}..{} --verbose",
            seed + 1
        );
    }
    ExitCode::from(u8::from(
        summary.failures.is_empty() == arguments.expect_failure,
    ))
}
