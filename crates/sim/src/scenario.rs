//! What happens to a network under one seed: its links, its faults and who is dishonest.

use assay_chain::{application::Pace, engine::Timing};
use commonware_utils::NZDuration;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use std::time::Duration;

/// What a run consists of, beside its seed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Validators, at least 4 so that one may fail.
    pub validators: u32,
    /// Honest inference nodes.
    pub nodes: u32,
    /// Simulated time during which faults happen and receipts are written.
    pub active: Duration,
    /// Simulated time after the last fault within which everything must have settled.
    pub patience: Duration,
    /// Whether links, validators and nodes fail.
    pub faults: Faults,
    /// Who is dishonest.
    pub dishonest: Dishonest,
    /// Patience of each validator.
    pub timing: Timing,
}

/// Whether links, validators and nodes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// Nothing fails.
    Never,
    /// Loss, delay, partitions and crashes as the seed says.
    Seeded,
}

/// Who is dishonest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dishonest {
    /// Each fraud takes part or not as the seed says.
    Seeded,
    /// Exactly these.
    These(Vec<Fraud>),
}

/// A dishonest party, by its fraud; each is a file in `parties`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fraud {
    /// A node that signs two receipts under one sequence number.
    Equivocator,
    /// An account that submits batches which settled, or which others are about to submit.
    ReceiptReplayer,
    /// An account that submits receipts which no node signed, or no node that may.
    ReceiptForger,
    /// A node that keeps receipts back and submits those after them.
    Withholder,
    /// A validator that runs twice with one key and tells each half of the others another story.
    TwinValidator,
}

impl Fraud {
    /// Every fraud.
    pub const ALL: [Self; 5] = [
        Self::Equivocator,
        Self::ReceiptReplayer,
        Self::ReceiptForger,
        Self::Withholder,
        Self::TwinValidator,
    ];

    /// Its name, as its file has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equivocator => "equivocator",
            Self::ReceiptReplayer => "receipt_replayer",
            Self::ReceiptForger => "receipt_forger",
            Self::Withholder => "withholder",
            Self::TwinValidator => "twin_validator",
        }
    }
}

impl Default for Options {
    /// Four validators, two honest nodes, six seconds of trouble.
    fn default() -> Self {
        Self {
            validators: 4,
            nodes: 2,
            active: Duration::from_secs(6),
            patience: Duration::from_secs(60),
            faults: Faults::Seeded,
            dishonest: Dishonest::Seeded,
            timing: Timing {
                leader: Duration::from_millis(1_000),
                certification: Duration::from_millis(1_600),
                retry: Duration::from_millis(800),
                skip: Duration::from_secs(5),
                pace: Pace {
                    block: Duration::from_millis(100),
                    empty: Duration::from_millis(400),
                },
                fetch: NZDuration!(Duration::from_millis(600)),
            },
        }
    }
}

/// Something that goes wrong, or is put right again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A validator loses its power.
    CrashValidator(usize),
    /// It has power again.
    RestartValidator(usize),
    /// A node's process is killed.
    CrashNode(usize),
    /// It is started again.
    RestartNode(usize),
    /// These identities are cut off from the others.
    Cut(Vec<usize>),
    /// Every link loses this many of 1,000 messages.
    Lose(u16),
    /// All links are as they were.
    Heal,
}

/// What happens under one seed.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// One-way latency of a link.
    pub(crate) latency: Duration,
    /// Its standard deviation.
    pub(crate) jitter: Duration,
    /// Messages of 1,000 that each link loses.
    pub(crate) loss_permille: u16,
    /// What goes wrong when, in milliseconds since the start, in order.
    pub(crate) faults: Vec<(u64, Fault)>,
    /// Who is dishonest.
    pub(crate) frauds: Vec<Fraud>,
}

/// Share of seeds in which a fraud of [`Dishonest::Seeded`] takes part.
const FRAUD_SHARE: f64 = 0.6;
/// Share of seeds in which a validator is a twin; each costs the work of a fifth validator.
const TWIN_SHARE: f64 = 0.25;
/// Before this nothing fails: the network registers its nodes.
const CALM_MS: u64 = 500;

impl Scenario {
    /// The scenario of `seed`.
    pub(crate) fn new(seed: u64, options: &Options) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let frauds = match &options.dishonest {
            Dishonest::These(frauds) => frauds.clone(),
            Dishonest::Seeded => Fraud::ALL
                .into_iter()
                .filter(|fraud| {
                    let share = if *fraud == Fraud::TwinValidator {
                        TWIN_SHARE
                    } else {
                        FRAUD_SHARE
                    };
                    rng.random_bool(share)
                })
                .collect(),
        };
        let seeded = options.faults == Faults::Seeded;
        let loss_permille = if seeded && rng.random_bool(0.5) {
            rng.random_range(1..40)
        } else {
            0
        };
        Self {
            latency: Duration::from_millis(rng.random_range(10..90)),
            jitter: Duration::from_millis(rng.random_range(0..30)),
            loss_permille,
            faults: if seeded {
                faults(&mut rng, options)
            } else {
                Vec::new()
            },
            frauds,
        }
    }

    /// Whether a validator is a twin.
    pub(crate) fn has_twin(&self) -> bool {
        self.frauds.contains(&Fraud::TwinValidator)
    }
}

fn faults(rng: &mut StdRng, options: &Options) -> Vec<(u64, Fault)> {
    let end_ms = u64::try_from(options.active.as_millis()).unwrap_or(u64::MAX);
    let validators = usize::try_from(options.validators).unwrap_or(usize::MAX);
    let nodes = usize::try_from(options.nodes).unwrap_or(usize::MAX);
    let mut faults = Vec::new();
    for _ in 0..rng.random_range(1..=4u32) {
        let from_ms = rng.random_range(CALM_MS..end_ms.max(CALM_MS.saturating_add(1)));
        let until_ms = from_ms
            .saturating_add(rng.random_range(200..3_000u64))
            .min(end_ms);
        let (wrong, right) = match rng.random_range(0..10u32) {
            0..4 => {
                let seat = rng.random_range(0..validators);
                (Fault::CrashValidator(seat), Fault::RestartValidator(seat))
            }
            4..7 if nodes > 0 => {
                let node = rng.random_range(0..nodes);
                (Fault::CrashNode(node), Fault::RestartNode(node))
            }
            7..9 => (Fault::Cut(some_of(rng, validators)), Fault::Heal),
            _ => (Fault::Lose(rng.random_range(50..300)), Fault::Heal),
        };
        faults.push((from_ms, wrong));
        faults.push((until_ms, right));
    }
    faults.sort_by_key(|(at_ms, _)| *at_ms);
    faults
}

/// Some of `all` identities: at least one, at most half.
fn some_of(rng: &mut StdRng, all: usize) -> Vec<usize> {
    let mut identities: Vec<usize> = (0..all).collect();
    identities.shuffle(rng);
    identities.truncate(rng.random_range(1..=(all / 2).max(1)));
    identities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_scenario_and_seeds_differ() {
        let options = Options::default();
        let show = |seed| format!("{:?}", Scenario::new(seed, &options));
        assert_eq!(show(3), show(3));
        let different: std::collections::BTreeSet<String> = (0..50).map(show).collect();
        assert_eq!(different.len(), 50);
    }

    #[test]
    fn what_goes_wrong_is_put_right_before_the_end() {
        let options = Options::default();
        let end_ms = u64::try_from(options.active.as_millis()).unwrap();
        for seed in 0..200 {
            let scenario = Scenario::new(seed, &options);
            assert!(scenario.faults.is_sorted_by_key(|(at_ms, _)| *at_ms));
            assert!(scenario.faults.iter().all(|(at_ms, _)| *at_ms <= end_ms));
            let wrong = scenario.faults.iter().filter(|(_, fault)| {
                matches!(
                    fault,
                    Fault::CrashValidator(_) | Fault::CrashNode(_) | Fault::Cut(_) | Fault::Lose(_)
                )
            });
            assert_eq!(wrong.count() * 2, scenario.faults.len(), "seed {seed}");
        }
    }

    #[test]
    fn every_fraud_takes_part_in_some_seed() {
        let options = Options::default();
        for fraud in Fraud::ALL {
            let taken =
                (0..50).filter(|seed| Scenario::new(*seed, &options).frauds.contains(&fraud));
            assert!(taken.count() > 3, "{}", fraud.name());
        }
    }
}
