//! Shows once of a model that every committed weight fits eight bits.

use assay_zkml_verify::circuit::WEIGHT_BOUND;
use assay_zkml_verify::field::{Base, Challenge};
use assay_zkml_verify::registration::{Registration, TABLE_LOG, begin, entry, weights_log};
use assay_zkml_verify::transcript::Prover;
use p3_field::PrimeCharacteristicRing as _;

use crate::column::Column;
use crate::model::Committed;
use crate::{Error, Model, fractions};

/// Proves that a model's weights are in range; `assay_zkml_verify::registration::verify` checks it.
///
/// # Errors
/// [`Error::Commitment`].
pub fn register(model: &Model) -> Result<Registration, Error> {
    let log = weights_log(model.prepared.circuit());
    let mut counts = vec![0u32; 1 << TABLE_LOG];
    for weight in &model.weights {
        let index = i64::from(*weight) + WEIGHT_BOUND;
        if let Some(count) = counts.get_mut(index as usize) {
            *count += 1;
        }
    }
    let counts: Vec<Base> = counts.into_iter().map(Base::from_u32).collect();
    let multiplicities = Committed::new("multiplicities", counts.clone(), TABLE_LOG)?;
    let mut prover = Prover::default();
    let c = begin(
        &mut prover.transcript,
        &model.commitment(),
        log,
        multiplicities.root,
    )?;
    let ones = Column::new(vec![Challenge::ONE; 1 << log]);
    let weights = model.committed.values.iter().map(|w| c - *w).collect();
    let (_, weight) = fractions::prove(&mut prover, ones, Column::new(weights));
    let numerators = counts.into_iter().map(Challenge::from).collect();
    let entries = (0..1usize << TABLE_LOG).map(|i| c - entry(i)).collect();
    let (_, table) = fractions::prove(&mut prover, Column::new(numerators), Column::new(entries));
    let transcript = &mut prover.transcript;
    let weights_opening = model.committed.open("weights", transcript, &weight.point)?;
    let multiplicities_opening = multiplicities.open("multiplicities", transcript, &table.point)?;
    Ok(Registration {
        multiplicities: multiplicities.root,
        messages: prover.into_messages(),
        weights_opening,
        multiplicities_opening,
    })
}
