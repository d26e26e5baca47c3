//! Seeds hold and repeat.

use assay_sim::{Options, campaign, run};

/// Seeds of every test run; a campaign of a thousand is `examples/campaign.rs`.
const SEEDS: u64 = 24;

#[test]
fn no_seed_breaks_a_promise() {
    let summary = campaign(0..SEEDS, 2, &Options::default(), |_| {});
    let failures: Vec<String> = summary.failures.iter().map(|report| {
        let (seed, next) = (report.seed, report.seed + 1);
        format!("{report}\nrepeat: cargo run -p assay-sim --example campaign -- --seeds {seed}..{next} --verbose")
    }).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(
        summary.settled > 10 * SEEDS,
        "only {} receipts settled",
        summary.settled
    );
    assert!(
        summary.refused > SEEDS,
        "only {} transactions were refused",
        summary.refused
    );
    assert!(summary.faults > SEEDS / 2, "only {} faults", summary.faults);
}

#[test]
fn the_same_seed_twice_takes_the_same_steps() {
    let options = Options::default();
    for seed in [1, 5] {
        let (first, second) = (run(seed, &options), run(seed, &options));
        assert_eq!(first, second);
        assert_ne!(first.hash, run(seed + 100, &options).hash);
    }
}
