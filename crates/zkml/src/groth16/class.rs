//! Which models one circuit serves: layers of at most these widths.

use ark_bn254::Fr;

use super::{Perceptron, pack, refuse};
use crate::Error;

/// Bits of an input and of a value between layers, as a number of -256 to 255.
pub(super) const VALUE_BITS: u32 = 9;
/// Bits of a weight.
pub(super) const WEIGHT_BITS: u32 = 8;
/// Bits of a bias.
pub(super) const BIAS_BITS: u32 = 24;
/// Bits of a shift.
pub(super) const SHIFT_BITS: u32 = 5;
/// Most bits that a layer drops.
pub(super) const MAX_SHIFT: u32 = 16;
/// Bits of an accumulator: it is below 2^24 in magnitude, as 64 products of 2^8 and 2^7 and a bias of 2^23 are.
pub(super) const ACCUMULATOR_BITS: u32 = 25;
/// Most inputs of a layer: what keeps accumulators below [`ACCUMULATOR_BITS`].
const MAX_WIDTH: usize = 128;

/// A size class; one setup serves all of its models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeClass {
    /// Its name, which is also its domain in commitments.
    pub name: &'static str,
    /// Numbers of inputs, of values between the layers, and of outputs.
    pub widths: &'static [usize],
}

/// Linear models of up to 16 features and 4 outputs, such as a logistic regression before its sigmoid.
pub const SMALL: SizeClass = SizeClass {
    name: "assay-groth16-16-4",
    widths: &[16, 4],
};

/// Perceptrons of up to 64 inputs, 32 hidden neurons and 10 outputs.
pub const LARGE: SizeClass = SizeClass {
    name: "assay-groth16-64-32-10",
    widths: &[64, 32, 10],
};

/// Every class, smallest first.
pub const CLASSES: &[SizeClass] = &[SMALL, LARGE];

impl SizeClass {
    /// The smallest class that a model fits.
    ///
    /// # Errors
    /// [`Error::Groth16`] if there is none.
    pub fn of(model: &Perceptron) -> Result<Self, Error> {
        let widths = model.widths();
        let found = CLASSES.iter().find(|class| class.fits(&widths));
        found.copied().ok_or_else(|| {
            refuse(format!(
                "a model of widths {widths:?} fits no size class; the largest is {:?}",
                LARGE.widths
            ))
        })
    }

    /// Whether layers of these widths fit.
    pub(super) fn fits(&self, widths: &[usize]) -> bool {
        let pairs = widths.iter().zip(self.widths);
        widths.len() == self.widths.len()
            && self.widths.iter().all(|own| *own <= MAX_WIDTH)
            && pairs.into_iter().all(|(width, own)| width <= own)
    }

    /// Inputs and outputs of each layer.
    pub(super) fn layers(&self) -> impl Iterator<Item = (usize, usize)> {
        self.widths
            .iter()
            .copied()
            .zip(self.widths.iter().copied().skip(1))
    }

    /// Places for inputs.
    pub fn inputs(&self) -> usize {
        self.widths.first().copied().unwrap_or_default()
    }

    /// Places for outputs.
    pub fn outputs(&self) -> usize {
        self.widths.last().copied().unwrap_or_default()
    }

    /// Number of public inputs.
    pub fn public(&self) -> usize {
        let packed = |len: usize, bits: u32| len.div_ceil((253 / bits) as usize);
        2 + packed(self.inputs(), VALUE_BITS) + packed(self.outputs(), ACCUMULATOR_BITS)
    }

    pub(super) fn pack_inputs(&self, values: &[i64]) -> Result<Vec<Fr>, Error> {
        packed("input", values, self.inputs(), VALUE_BITS)
    }

    pub(super) fn pack_outputs(&self, values: &[i64]) -> Result<Vec<Fr>, Error> {
        packed("output", values, self.outputs(), ACCUMULATOR_BITS)
    }
}

fn packed(what: &str, values: &[i64], len: usize, bits: u32) -> Result<Vec<Fr>, Error> {
    let half = 1i64 << (bits - 1);
    if values.len() > len {
        return Err(refuse(format!(
            "{} {what}s, the class has places for {len}",
            values.len()
        )));
    }
    if let Some(value) = values.iter().find(|v| **v < -half || **v >= half) {
        return Err(refuse(format!(
            "the {what} {value} does not fit {bits} bits"
        )));
    }
    let padded = values.iter().copied().chain(std::iter::repeat(0));
    Ok(pack(padded.take(len).map(|v| (v + half) as u64), bits))
}
