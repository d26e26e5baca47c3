//! What came of one run.

use crate::{error::Error, scenario::Fraud};
use alloy_primitives::{B256, keccak256};

/// Counts of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Height of the highest finalized block.
    pub height: u64,
    /// Its digest.
    pub tip: B256,
    /// Receipts that settled, of all nodes.
    pub settled: u64,
    /// Receipts that honest nodes acknowledged.
    pub acknowledged: u64,
    /// Transactions in blocks that failed, such as refused batches.
    pub refused: u64,
    /// Transactions that a pool did not take.
    pub turned_away: u64,
    /// Nodes that lost their bond.
    pub slashed: u64,
    /// Crashes, partitions and spells of heavy loss.
    pub faults: u64,
    /// Restarts of validators and nodes.
    pub restarts: u64,
    /// Simulated time, milliseconds.
    pub simulated_ms: u64,
}

/// What came of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Digest of every step that the run took: equal for equal seeds, options and code.
    pub hash: B256,
    /// Who was dishonest.
    pub frauds: Vec<Fraud>,
    /// What happened.
    pub tally: Tally,
    /// The first promise that was broken, if one was.
    pub failure: Option<Error>,
}

impl Report {
    /// The report of a run whose runtime recorded `trace`.
    pub(crate) fn new(
        seed: u64,
        frauds: Vec<Fraud>,
        failure: Option<Error>,
        tally: Tally,
        trace: &str,
    ) -> Self {
        let hash = keccak256(format!("{seed} {failure:?} {tally:?} {trace}"));
        Self {
            seed,
            hash,
            frauds,
            tally,
            failure,
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally {
            height,
            settled,
            refused,
            faults,
            restarts,
            slashed,
            ..
        } = self.tally;
        let frauds: Vec<&str> = self.frauds.iter().map(|fraud| fraud.name()).collect();
        write!(
            f,
            "seed {}: {height} blocks, {settled} receipts settled, {refused} transactions refused, \
             {faults} faults, {restarts} restarts, {slashed} slashed, dishonest: [{}], hash {}",
            self.seed,
            frauds.join(" "),
            self.hash
        )?;
        match &self.failure {
            Some(failure) => write!(f, ", FAILED: {failure}"),
            None => Ok(()),
        }
    }
}
