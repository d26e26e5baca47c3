//! Time to finality between continents:
//! `cargo run -p assay-sim --example wide_area -- --validators 40 --seconds 4`.

use assay_sim::{Percentiles, WideArea, wide_area};
use std::{process::ExitCode, time::Duration};

fn parse(options: &mut WideArea, seed: &mut u64) -> Option<()> {
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        let value: u64 = given.next()?.parse().ok()?;
        match flag.as_str() {
            "--validators" => options.validators = value.try_into().ok()?,
            "--seconds" => options.duration = Duration::from_secs(value),
            "--receipts" => options.batch_receipts = value.try_into().ok()?,
            "--every-ms" => options.batch_every = Duration::from_millis(value),
            "--idle-ms" => options.timing.idle = Duration::from_millis(value),
            "--seed" => *seed = value,
            _ => return None,
        }
    }
    Some(())
}

fn row(name: &str, times: &Percentiles) {
    let Percentiles {
        count,
        p50_ms,
        p90_ms,
        p99_ms,
        max_ms,
    } = times;
    println!("{name:<34} {count:>8} {p50_ms:>8} {p90_ms:>8} {p99_ms:>8} {max_ms:>8}");
}

fn main() -> ExitCode {
    let (mut options, mut seed) = (WideArea::default(), 0);
    if parse(&mut options, &mut seed).is_none() {
        eprintln!(
            "usage: wide_area [--validators N] [--seconds N] [--receipts N] [--every-ms N] \
             [--idle-ms N] [--seed N]"
        );
        return ExitCode::from(3);
    }
    let regions = wide_area::regions(options.validators);
    let places: Vec<String> = regions
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    println!("{} validators: {}", options.validators, places.join(", "));
    match wide_area::measure(seed, &options) {
        Ok(measured) => {
            println!(
                "{} blocks in {} s",
                measured.blocks,
                options.duration.as_secs()
            );
            println!(
                "{:<34} {:>8} {:>8} {:>8} {:>8} {:>8}",
                "simulated ms", "count", "p50", "p90", "p99", "max"
            );
            row("proposal to finality, anywhere", &measured.finality);
            row("batch handed in to its finality", &measured.receipts);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
