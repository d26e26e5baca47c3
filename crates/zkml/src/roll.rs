//! Commits to hidden weights anew, and shows that they are the same: the prover's half of `assay_zkml_verify::roll`.

use assay_zkml_verify::claims::{Whole, powers_from};
use assay_zkml_verify::field::Challenge;
use assay_zkml_verify::roll::{Roll, begin};
use assay_zkml_verify::transcript::Prover;
use p3_field::PrimeCharacteristicRing as _;

use crate::column::Column;
use crate::model::Committed;
use crate::reduce::{Sum, first_fold, first_round, fresh, round};
use crate::{Error, Model, Seed};

/// Commits to a model's weights anew. Takes one opening from the budget of each commitment.
///
/// # Errors
/// [`Error::Budget`] if the old commitment has no opening left, [`Error::Verify`] if it hides nothing.
pub fn roll(model: &Model, seed: &Seed) -> Result<(Model, Roll), Error> {
    let next = model.recommit(seed)?;
    let proof = dangerous_roll(model, &next)?;
    Ok((next, proof))
}

/// Shows that two commitments are of the same weights, whatever they are of: if not, no verifier accepts it.
///
/// # Errors
/// As [`roll`].
pub fn dangerous_roll(before: &Model, after: &Model) -> Result<Roll, Error> {
    let mut prover = Prover::default();
    let vectors: [&Committed; 2] = [&before.committed, &after.committed];
    let shape = before.committed.shape;
    let models = [before.commitment(), after.commitment()];
    let [first, second] = &models;
    let compared = begin(&mut prover.transcript, shape, [first, second])?;
    before.spend(&[])?;
    after.spend(&[])?;
    let mut wholes = models.map(|model| vec![model.whole(shape)]);
    for (vector, whole) in vectors.into_iter().zip(&mut wholes) {
        fresh(&mut prover, vector, whole);
    }
    let mix = prover.transcript.challenge();
    let mut powers = powers_from(mix, mix);
    let weights = [Challenge::ONE, -Challenge::ONE]
        .into_iter()
        .zip(&wholes)
        .map(|(sign, wholes)| weigh(&compared, sign, wholes, &mut powers, shape))
        .collect();
    let (point, values) = rounds(&mut prover, vectors, weights);
    values.iter().for_each(|value| prover.send_clear(*value));
    let transcript = &mut prover.transcript;
    let openings = [
        vectors[0].open("weights", transcript, &point)?,
        vectors[1].open("weights", transcript, &point)?,
    ];
    Ok(Roll {
        messages: prover.into_messages(),
        openings,
    })
}

/// The weights on one of the commitments.
fn weigh(
    compared: &[Challenge],
    sign: Challenge,
    wholes: &[Whole],
    powers: &mut impl Iterator<Item = Challenge>,
    shape: assay_zkml_verify::commitment::Shape,
) -> Column {
    let mut weights = Sum::zero(1 << shape.log);
    weights.put(0, &Column::eq(compared, sign));
    let mut weights = weights.spread(shape);
    weights.add_wholes(powers.by_ref().take(wholes.len()).zip(wholes));
    weights.column()
}

/// One sumcheck over both: the point, and the vectors there.
fn rounds(
    prover: &mut Prover,
    vectors: [&Committed; 2],
    mut weights: Vec<Column>,
) -> (Vec<Challenge>, Vec<Challenge>) {
    let mut point = Vec::new();
    let mut columns: Vec<Column> = Vec::new();
    for index in 0..vectors[0].shape.committed_log() {
        let (mut constant, mut square) = (Challenge::ZERO, Challenge::ZERO);
        for (i, weights) in weights.iter().enumerate() {
            let (c, s) = match index {
                0 => first_round(&vectors[i].values, weights),
                _ => round(&columns[i], weights),
            };
            constant += c;
            square += s;
        }
        prover.send_clear(constant);
        prover.send_clear(square);
        let r = prover.transcript.challenge();
        weights.iter_mut().for_each(|weights| weights.fold(r));
        match index {
            0 => columns = vectors.map(|v| first_fold(&v.values, r)).into(),
            _ => columns.iter_mut().for_each(|column| column.fold(r)),
        }
        point.push(r);
    }
    (point, columns.iter().map(Column::only).collect())
}
