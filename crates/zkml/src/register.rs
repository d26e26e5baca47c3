//! Shows once of a model that every committed weight fits eight bits.

use assay_zkml_verify::circuit::WEIGHT_BOUND;
use assay_zkml_verify::field::{Base, Challenge};
use assay_zkml_verify::hidden;
use assay_zkml_verify::registration::{
    self, Registration, TABLE_LOG, begin, entry, multiplicities,
};
use assay_zkml_verify::transcript::{Prover, Verifier};
use p3_field::PrimeCharacteristicRing as _;

use crate::column::Column;
use crate::hide::{self, Seed, Settling};
use crate::model::Committed;
use crate::{Error, Model, fractions, reduce};

/// Proves that a model's weights are in range; `assay_zkml_verify::registration::verify` checks it.
///
/// # Errors
/// [`Error::Commitment`]; [`Error::Budget`] where weights are hidden and no opening is left.
pub fn register(model: &Model) -> Result<Registration, Error> {
    model.spend()?;
    let weights = &model.committed;
    let (shape, pads) = multiplicities(weights.shape);
    let counts = counts(model);
    let mut vector = counts.clone();
    vector.resize(1 << shape.log, Base::ZERO);
    let seed = Seed::random();
    let mut prover = Prover::default();
    if let Some(block) = pads {
        let own = &mut vector[block.offset..][..1 << block.log];
        own.iter_mut()
            .zip(seed.elements("assay zkml pads 1"))
            .for_each(|(to, from)| *to = from);
        prover = Prover::hiding(hide::pads(own));
    }
    let committed = Committed::new("multiplicities", vector, shape, Some(&seed))?;
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
    let prover = &mut prover;
    let mut settling = Settling {
        prover,
        debts: debts.unwrap_or_default(),
    };
    let mut whole = vec![commitment.whole(weights.shape)];
    if pads.is_some() {
        hidden::settle(&mut settling)?;
        let at = |point: &[Challenge]| weights.whole_at(point);
        whole.extend(hidden::mask(&mut settling, weights.shape, at)?);
    }
    let (about_weights, mut about_counts) = ([left.weights], vec![left.multiplicities]);
    let prover = &mut settling.prover;
    let (weights_opening, rest) =
        reduce::reduce(prover, "weights", &about_weights, weights, whole, None)?;
    hidden::owe(&mut settling, rest);
    if let Some(block) = pads {
        settling.debts.fit(block)?;
        about_counts.extend(hidden::zeros(&mut settling));
    }
    let prover = &mut settling.prover;
    let (multiplicities_opening, _) = reduce::reduce(
        prover,
        "multiplicities",
        &about_counts,
        &committed,
        Vec::new(),
        pads,
    )?;
    Ok(Registration {
        multiplicities: committed.root,
        messages: std::mem::take(settling.prover).into_messages(),
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
