//! Many seeds, on several threads.

use crate::{report::Report, scenario::Options, simulation::run};
use std::{
    ops::Range,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

/// What came of many runs.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// Reports of the runs that broke a promise, in the order of their seeds.
    pub failures: Vec<Report>,
    /// Finalized blocks of all runs.
    pub blocks: u64,
    /// Settled receipts of all runs.
    pub settled: u64,
    /// Refused transactions of all runs.
    pub refused: u64,
    /// Faults of all runs.
    pub faults: u64,
}

impl Summary {
    fn add(&mut self, report: &Report) {
        self.runs = self.runs.saturating_add(1);
        self.blocks = self.blocks.saturating_add(report.tally.height);
        self.settled = self.settled.saturating_add(report.tally.settled);
        self.refused = self.refused.saturating_add(report.tally.refused);
        self.faults = self.faults.saturating_add(report.tally.faults);
        if report.failure.is_some() {
            self.failures.push(report.clone());
        }
    }
}

/// Runs every seed of `seeds` on `threads` threads and shows each report to `progress` as it comes.
/// A run depends on its seed and on `options` alone, never on the thread.
pub fn campaign(
    seeds: Range<u64>,
    threads: usize,
    options: &Options,
    mut progress: impl FnMut(&Report),
) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let mut summary = Summary::default();
    thread::scope(|scope| {
        let (sender, reports) = mpsc::channel();
        for _ in 0..threads.max(1) {
            let (sender, next, end) = (sender.clone(), &next, seeds.end);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || sender.send(run(seed, options)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for report in reports {
            progress(&report);
            summary.add(&report);
        }
    });
    summary.failures.sort_by_key(|report| report.seed);
    summary
}
