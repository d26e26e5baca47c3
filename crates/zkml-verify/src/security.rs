//! The soundness error of a proof, term by term.
//!
//! A false statement is accepted with probability at most the sum of these terms, for each query to the random oracle that
//! a prover spends. The terms of the arguments are polynomial identities over a field of 155 bits, each multiplied by the
//! number of vectors that a commitment may still stand for; the terms of the openings are those of WHIR under the Johnson
//! bound. Grinding is not used, so none is counted.
//!
//! A root may stand for several vectors of weights; the value at a point that follows from the root, which is part of the
//! commitment and a claim of every proof and of the registration, leaves one.

use p3_security::SecurityAssumption;
use p3_sumcheck::PrescribedPointPcs as _;

use crate::circuit::{Prepared, Wired};
use crate::layout::{Layout, weights_shape};
use crate::{Error, commitment};

/// Whole bits of the field of challenges.
const FIELD_BITS: f64 = 154.0;

/// One way to be deceived.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Which argument.
    pub name: String,
    /// Its error is `2^-bits`.
    pub bits: f64,
}

/// All of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Soundness {
    /// Each term.
    pub terms: Vec<Term>,
    /// What remains after the union bound, under the Johnson bound.
    pub bits: f64,
    /// The same if queries were only as good as in the unique decoding radius, where nothing is left to argue.
    pub conservative_bits: f64,
}

/// The soundness of proofs of a circuit for batches of `2^batch` inferences.
///
/// # Errors
/// [`Error::Opening`] for sizes that are not committed to.
pub fn soundness(prepared: &Prepared, batch: u32, hiding: bool) -> Result<Soundness, Error> {
    let layout = Layout::new(prepared, batch, hiding);
    let witness_log = layout.witness.committed_log();
    let weights_log = weights_shape(prepared.circuit(), hiding).committed_log();
    let witness = opening("witness", witness_log)?;
    let weights = opening("weights", weights_log)?;
    // Every argument is about all vectors that the two commitments may stand for.
    let candidates = witness.candidates + weights.candidates;
    let shape = Shape::of(prepared, &layout);
    let argument = |name: &str, errors: f64| Term {
        name: name.into(),
        bits: FIELD_BITS - errors.max(1.0).log2() - candidates,
    };
    let leaves = f64::from(layout.lookups);
    let equations = if hiding { leaves + 4.0 } else { 1.0 };
    let terms = vec![
        argument("lookups compared at a random point", 3.0 * leaves.exp2()),
        argument("tree of fractions", leaves * (leaves + 3.0) * 1.5),
        argument("outputs and inputs at random points", shape.public),
        argument("products mixed", shape.products),
        argument("products summed", 3.0 * shape.variables),
        argument("claims mixed", shape.claims),
        argument("claims summed", 2.0 * f64::from(witness_log + weights_log)),
        Term {
            name: "two vectors of weights alike at the root's point".into(),
            bits: FIELD_BITS - f64::from(weights_log).log2() - 2.0 * weights.candidates,
        },
        argument("equations of padded values", equations),
        Term {
            name: "opening of the witness".into(),
            bits: witness.bits,
        },
        Term {
            name: "opening of the weights".into(),
            bits: weights.bits,
        },
    ];
    let queries = [witness.conservative, weights.conservative];
    let conservative = terms.iter().map(|term| term.bits).chain(queries);
    Ok(Soundness {
        bits: union(terms.iter().map(|term| term.bits)),
        conservative_bits: union(conservative),
        terms,
    })
}

/// `-log2` of the sum of errors.
fn union(bits: impl Iterator<Item = f64>) -> f64 {
    -bits.map(|b| (-b).exp2()).sum::<f64>().log2()
}

/// What the errors of the arguments grow with.
struct Shape {
    public: f64,
    products: f64,
    variables: f64,
    claims: f64,
}

impl Shape {
    fn of(prepared: &Prepared, layout: &Layout) -> Self {
        let circuit = prepared.circuit();
        let outputs = circuit
            .outputs
            .iter()
            .map(|o| f64::from(o.domain.log() + layout.batch));
        let inputs = layout.inputs.iter().map(|block| f64::from(block.log));
        let accumulators = prepared
            .steps()
            .map(|(step, terms)| (&step.accumulator, terms));
        let (mut products, mut variables) = (0.0f64, 0u32);
        for (accumulator, terms) in accumulators.chain(prepared.outputs()) {
            for term in terms {
                let own = match term {
                    Wired::Linear { .. } => continue,
                    Wired::Weights { inner, .. } => *inner,
                    Wired::Product { inner, .. } => {
                        layout.batch + accumulator.domain.groups + inner
                    }
                };
                products += 1.0;
                variables = variables.max(own);
            }
        }
        let columns = 4 * circuit.steps.len()
            + circuit.inputs.len()
            + layout.tables.len()
            + circuit.outputs.len();
        Self {
            public: outputs.chain(inputs).sum(),
            products,
            variables: f64::from(variables),
            claims: columns as f64 + 2.0 * products,
        }
    }
}

/// What an opening contributes.
struct Opening {
    bits: f64,
    candidates: f64,
    conservative: f64,
}

fn opening(what: &'static str, log: u32) -> Result<Opening, Error> {
    let scheme = commitment::scheme(what, log)?;
    let unknown = || Error::Opening {
        what,
        reason: "its soundness is not known".into(),
    };
    let security = scheme
        .prescribed_security(&commitment::protocol(log))
        .ok_or_else(unknown)?;
    let config = &*scheme;
    let unique = |rate: usize, queries: usize| {
        SecurityAssumption::UniqueDecoding.queries_error(rate, queries)
    };
    let mut rate = config.params().starting_log_inv_rate;
    let mut rounds = Vec::new();
    for round in config.round_parameters() {
        rounds.push(unique(rate, round.num_queries));
        rate = round.log_inv_rate;
    }
    rounds.push(unique(rate, config.terminal().num_queries));
    Ok(Opening {
        bits: security.error().bits(),
        candidates: security.log2_max_candidates,
        conservative: union(rounds.into_iter()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commitment::SIZES;

    #[test]
    fn two_openings_of_any_sizes_leave_a_hundred_bits() {
        let openings: Vec<Opening> = SIZES.map(|log| opening("vector", log).unwrap()).collect();
        let worst = openings
            .iter()
            .map(|o| o.bits)
            .fold(f64::INFINITY, f64::min);
        let bits: Vec<_> = openings
            .iter()
            .zip(SIZES)
            .map(|(o, l)| (l, o.bits))
            .collect();
        assert!(worst > 101.04, "{bits:?}");
        assert!(
            openings
                .iter()
                .all(|o| o.conservative < o.bits && o.conservative > 0.0)
        );
        assert!((union([101.0, 101.0].into_iter()) - 100.0).abs() < 1e-9);
    }
}
