//! A model that computes the hashes of its own transcript (ePrint 2025/118) would have to be deeper than any may be.

use std::collections::HashMap;

use assay_zkml_verify::circuit::{Circuit, MAX_STEPS, Operand, Source, Term};
use assay_zkml_verify::transcript::{CHAIN, Transcript};
use assay_zkml_verify::{Error, Prepared};

use super::model;

/// Layers between the inputs and the deepest output: steps that read each other.
fn depth(circuit: &Circuit) -> usize {
    let mut depths: HashMap<Source, usize> = HashMap::new();
    let of = |depths: &HashMap<Source, usize>, operand: &Operand| {
        let each = operand
            .iter()
            .map(|part| depths.get(&part.source).copied().unwrap_or(0));
        each.max().unwrap_or(0)
    };
    for (index, step) in circuit.steps.iter().enumerate() {
        let below = step.accumulator.terms.iter().map(|term| match term {
            Term::Linear { operand, .. } | Term::Weights { operand, .. } => of(&depths, operand),
            Term::Product { left, right, .. } => of(&depths, left).max(of(&depths, right)),
        });
        let own = 1 + below.max().unwrap_or(0);
        depths.insert(Source::Step(index as u16), own);
    }
    depths.values().copied().max().unwrap_or(0)
}

/// A chain of steps, each of which reads the one before.
fn deep(steps: usize) -> Circuit {
    let mut circuit = model(7).prepared().circuit().clone();
    circuit.outputs.truncate(1);
    let last = circuit.steps.len() - 1;
    while circuit.steps.len() < steps {
        let mut step = circuit.steps[last].clone();
        step.accumulator.bias = None;
        let before = Source::Step(circuit.steps.len() as u16 - 1);
        for term in &mut step.accumulator.terms {
            if let Term::Linear { operand, .. } = term {
                operand.iter_mut().for_each(|part| part.source = before);
            }
        }
        circuit.steps.push(step);
    }
    circuit
}

#[test]
fn no_admissible_circuit_reaches_the_end_of_the_chain() {
    let deepest = deep(MAX_STEPS);
    assert_eq!(depth(&deepest), MAX_STEPS);
    assert!(Prepared::new(deepest).is_ok());
    // One layer for each link, and more for the challenges, are too many.
    const { assert!(CHAIN > MAX_STEPS) };
    match Prepared::new(deep(MAX_STEPS + 1)) {
        Err(Error::Circuit { place, .. }) => assert_eq!(place, "the number of steps"),
        other => panic!("{other:?}"),
    }
}

/// The chain is as long as it says: one hash after the other, nothing of it known before the one before.
#[test]
fn the_chain_is_absorbed_at_its_end() {
    let start = [7; 32];
    let mut link = start;
    let mut ends = Vec::new();
    for _ in 0..CHAIN {
        link = *blake3::hash(&link).as_bytes();
        ends.push(link);
    }
    let challenge = |absorb: &dyn Fn(&mut Transcript)| {
        let mut transcript = Transcript::default();
        absorb(&mut transcript);
        transcript.challenge()
    };
    let chained = challenge(&|transcript| transcript.chain(start));
    let agrees: Vec<usize> = (1..=CHAIN)
        .filter(|n| chained == challenge(&|transcript| transcript.digest(ends[n - 1])))
        .collect();
    assert_eq!(agrees, [CHAIN]);
}
