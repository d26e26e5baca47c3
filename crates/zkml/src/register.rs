//! Shows once of a model that every committed weight fits eight bits.

use assay_zkml_verify::circuit::WEIGHT_BOUND;
use assay_zkml_verify::field::{Base, Challenge};
use assay_zkml_verify::registration::{
    self, Registration, TABLE_LOG, begin, entry, multiplicities,
};
use assay_zkml_verify::transcript::{Prover, Verifier};
use p3_field::PrimeCharacteristicRing as _;

use crate::column::Column;
use crate::hide;
use crate::model::Committed;
use crate::reduce::{self, Own};
use crate::{Error, Model, fractions};

/// Proves that a model's weights are in range; `assay_zkml_verify::registration::verify` checks it.
///
/// # Errors
/// [`Error::Commitment`]; [`Error::Budget`] where weights are hidden and no opening is left.
pub fn register(model: &Model) -> Result<Registration, Error> {
    let seed = model.spend(b"registration")?;
    let weights = &model.committed;
    let (shape, pads) = multiplicities(weights.shape);
    let counts = counts(model);
    let mut vector = counts.clone();
    vector.resize(1 << shape.log, Base::ZERO);
    let mut prover = Prover::default();
    if let (Some(block), Some(seed)) = (pads, &seed) {
        let own = &mut vector[block.offset..][..1 << block.log];
        own.iter_mut()
            .zip(seed.elements("assay zkml pads 1"))
            .for_each(|(to, from)| *to = from);
        prover = Prover::hiding(hide::pads(own));
    }
    let committed = Committed::new("multiplicities", vector, shape, seed.as_ref())?;
    let commitment = model.commitment();
    let transcript = &mut prover.transcript;
    let c = begin(transcript, &commitment, weights.shape, committed.root)?;
    trees(&mut prover, weights.own(), counts, c);

    // What the verifier is left with once it heard this.
    let mut verifier = Verifier::new(prover.messages(), weights.shape.hiding);
    let c = begin(
        &mut verifier.transcript,
        &commitment,
        weights.shape,
        committed.root,
    )?;
    let left = registration::trees(&mut verifier, c, weights.shape.log)?;
    let debts = verifier.debts.take();
    let own = Own {
        what: "multiplicities",
        vector: &committed,
        claims: vec![left.multiplicities],
        pads,
    };
    let openings = reduce::conclude(&mut prover, debts, model, &[left.weights], own)?;
    let [weights_opening, multiplicities_opening] = openings;
    Ok(Registration {
        multiplicities: committed.root,
        messages: prover.into_messages(),
        weights_opening,
        multiplicities_opening,
    })
}

/// How often each weight occurs.
fn counts(model: &Model) -> Vec<Base> {
    let mut counts = vec![0u32; 1 << TABLE_LOG];
    for weight in &model.weights {
        let index = i64::from(*weight) + WEIGHT_BOUND;
        if let Some(count) = counts.get_mut(index as usize) {
            *count += 1;
        }
    }
    counts.into_iter().map(Base::from_u32).collect()
}

/// Proves the two trees.
fn trees(prover: &mut Prover, weights: &[Base], counts: Vec<Base>, c: Challenge) {
    let ones = Column::new(vec![Challenge::ONE; weights.len()]);
    let denominators = weights.iter().map(|w| c - *w).collect();
    fractions::prove(prover, ones, Column::new(denominators));
    let numerators = counts.into_iter().map(Challenge::from).collect();
    let entries = (0..1usize << TABLE_LOG).map(|i| c - entry(i)).collect();
    fractions::prove(prover, Column::new(numerators), Column::new(entries));
}
