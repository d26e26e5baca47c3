//! Attacks the verifier: mutates valid proofs, and everything that they are held against, and counts what comes of it.
//!
//! `cargo run -p assay-zkml --example abuse [ATTEMPTS-PER-CLASS]` prints a table and fails if anything was accepted or
//! panicked. Without a limit every class of the smallest model is exhausted, and the others make 2,000 attempts of each;
//! `abuse 1000000` exhausts all, two million attempts.
#![allow(missing_docs)]

#[path = "../tests/it/graphs.rs"]
#[allow(dead_code)]
mod graphs;
#[path = "../tests/it/mutate.rs"]
#[allow(dead_code)]
mod mutate;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

/// Attempts per class of the models that are not exhausted.
const SOME: usize = 2_000;
/// Attempts that a full run makes at least.
const LEAST: usize = 200_000;

fn main() -> ExitCode {
    let limit = std::env::args().nth(1).and_then(|text| text.parse().ok());
    // A panic is counted, not printed.
    std::panic::set_hook(Box::new(|_| ()));
    let begin = Instant::now();
    let (mut tried, mut sound) = (0, true);
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    println!(
        "{:<12} {:<66} {:>7} {:>8} {:>8}  refused as",
        "model", "mutation", "tried", "accepted", "panicked"
    );
    for (index, case) in mutate::cases().into_iter().enumerate() {
        let most = limit.unwrap_or(if index == 0 { usize::MAX } else { SOME });
        for class in case.classes() {
            let tally = class.run(most);
            let refused: Vec<String> = tally
                .refused
                .iter()
                .map(|(name, n)| format!("{name} {n}"))
                .collect();
            let (accepted, panicked) = (tally.accepted.len(), tally.panicked.len());
            println!(
                "{:<12} {:<66} {:>7} {accepted:>8} {panicked:>8}  {}",
                case.name,
                class.name,
                tally.tried,
                refused.join(", ")
            );
            if !tally.sound() {
                let some = |indices: &[usize]| indices.iter().take(8).copied().collect::<Vec<_>>();
                println!(
                    "  accepted {:?}, panicked {:?}",
                    some(&tally.accepted),
                    some(&tally.panicked)
                );
            }
            sound &= tally.sound();
            tried += tally.tried;
            for (name, count) in tally.refused {
                *reasons.entry(name).or_default() += count;
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{tried} mutations in {seconds:.0} s; refused as {reasons:?}");
    let enough = limit.is_some() || tried >= LEAST;
    match (sound, enough) {
        (true, true) => {
            println!("none accepted, none panicked");
            ExitCode::SUCCESS
        }
        (false, _) => {
            println!("FAILED: some were accepted or panicked");
            ExitCode::FAILURE
        }
        (true, false) => {
            println!("FAILED: fewer than {LEAST} mutations");
            ExitCode::FAILURE
        }
    }
}
