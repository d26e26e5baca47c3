//! Time to finality between continents:
//! `cargo run -p assay-sim --example wide_area -- --validators 40 --seconds 4`, or
//! `--table 10,20,40,100` for a row of BENCHMARKS.md each.

use assay_sim::{Error, Percentiles, WideArea, wide_area};
use std::{process::ExitCode, time::Duration};

const USAGE: &str = "usage: wide_area [--validators N | --table N,N,...] [--seconds N] [--receipts N] \
                     [--every-ms N] [--seed N]";

fn parse(options: &mut WideArea, seed: &mut u64, table: &mut Vec<u32>) -> Option<()> {
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        let value = given.next()?;
        if flag == "--table" {
            *table = value
                .split(',')
                .map(|n| n.parse().ok())
                .collect::<Option<_>>()?;
            continue;
        }
        let value: u64 = value.parse().ok()?;
        match flag.as_str() {
            "--validators" => options.validators = value.try_into().ok()?,
            "--seconds" => options.duration = Duration::from_secs(value),
            "--receipts" => options.batch_receipts = value.try_into().ok()?,
            "--every-ms" => options.batch_every = Duration::from_millis(value),
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

fn one(seed: u64, options: &WideArea) -> Result<(), Error> {
    let regions = wide_area::regions(options.validators);
    let places: Vec<String> = regions
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    println!("{} validators: {}", options.validators, places.join(", "));
    let measured = wide_area::measure(seed, options)?;
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
    Ok(())
}

fn all(seed: u64, options: &WideArea, table: &[u32]) -> Result<(), Error> {
    println!(
        "Validators spread evenly over ten regions, {} s of simulated time; delays of the links only, computing costs none.\n",
        options.duration.as_secs()
    );
    println!(
        "| validators | blocks | proposal to finality anywhere, p50 / p99 | batch to its finality, p50 / p99 | of batches |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for validators in table {
        let options = WideArea {
            validators: *validators,
            ..options.clone()
        };
        let measured = wide_area::measure(seed, &options)?;
        let (all, batch) = (&measured.finality, &measured.receipts);
        println!(
            "| {validators} | {} | {} / {} ms | {} / {} ms | {} |",
            measured.blocks, all.p50_ms, all.p99_ms, batch.p50_ms, batch.p99_ms, batch.count
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    let (mut options, mut seed, mut table) = (WideArea::default(), 0, Vec::new());
    if parse(&mut options, &mut seed, &mut table).is_none() {
        eprintln!("{USAGE}");
        return ExitCode::from(3);
    }
    let done = if table.is_empty() {
        one(seed, &options)
    } else {
        all(seed, &options, &table)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
