//! Which models one circuit serves: layers of at most these widths, of numbers of at most these bits.

use ark_bn254::Fr;

use super::{Lookup, Perceptron, pack, refuse};
use crate::Error;

/// Bits of a weight.
pub(super) const WEIGHT_BITS: u32 = 8;
/// Bits of a bias.
pub(super) const BIAS_BITS: u32 = 24;
/// Bits of a shift.
pub(super) const SHIFT_BITS: u32 = 5;
/// Most bits that a layer drops.
pub(super) const MAX_SHIFT: u32 = 16;
/// Bits of an entry of a table.
pub(super) const ENTRY_BITS: u32 = 15;
/// Entries of a table in one field element, the base-two logarithm.
pub(super) const ENTRIES_LOG: u32 = 4;
/// Bits of a field element that packed numbers fill.
const PACKED_BITS: u32 = 253;

/// A size class; one setup serves all of its models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeClass {
    /// Its name, which is also its domain in commitments.
    pub name: &'static str,
    /// Numbers of inputs, of values between the layers, and of outputs.
    pub widths: &'static [usize],
    /// Bits of an input with its sign, at most 16.
    pub input_bits: u32,
    /// Bits of a value between layers and of its bounds, with their sign, at most 16.
    pub hidden_bits: u32,
    /// Bits of a layer's sums with their sign, at most 32: no sum of the widths above needs more (a test).
    pub sum_bits: u32,
    /// Places of the table that the last layer's sums may be looked up in, base-two logarithm; at least 4.
    pub table_log: Option<u32>,
}

/// Linear models of up to 16 features and 4 outputs, with or without a table at their end, such as a regression's sigmoid.
///
/// Sums are at most 16 products of 2^12 and 2^7 and a bias of 2^23: 2^24.
pub const SMALL: SizeClass = SizeClass {
    name: "assay-groth16-16-4",
    widths: &[16, 4],
    input_bits: 13,
    hidden_bits: 9,
    sum_bits: 25,
    table_log: Some(12),
};

/// Perceptrons of up to 64 inputs, 32 hidden neurons and 10 outputs.
///
/// Sums are at most 32 products of 2^11 and 2^7 and a bias of 2^23: 2^24.
pub const LARGE: SizeClass = SizeClass {
    name: "assay-groth16-64-32-10",
    widths: &[64, 32, 10],
    input_bits: 9,
    hidden_bits: 12,
    sum_bits: 25,
    table_log: None,
};

/// Every class, smallest first.
pub const CLASSES: &[SizeClass] = &[SMALL, LARGE];

impl SizeClass {
    /// The smallest class that a model fits.
    ///
    /// # Errors
    /// [`Error::Groth16`] if there is none, with the reason of the largest.
    pub fn of(model: &Perceptron) -> Result<Self, Error> {
        let found = CLASSES.iter().find(|class| class.check(model).is_ok());
        match found {
            Some(class) => Ok(*class),
            None => Err(refuse(format!(
                "the model fits no size class: {}",
                LARGE.check(model).err().unwrap_or_default()
            ))),
        }
    }

    /// The class of a name.
    ///
    /// # Errors
    /// [`Error::Groth16`] with the names that there are.
    pub fn named(name: &str) -> Result<Self, Error> {
        let found = CLASSES.iter().find(|class| class.name == name);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = CLASSES.iter().map(|class| class.name).collect();
            refuse(format!(
                "there is no size class `{name}`, but {}",
                names.join(", ")
            ))
        })
    }

    /// Holds a model to the class's widths and to the bits of its inputs and bounds; else the reason.
    pub(super) fn check(&self, model: &Perceptron) -> Result<(), String> {
        if !self.holds_sums() {
            return Err(format!("sums of class {} could be others", self.name));
        }
        let widths = model.widths();
        let pairs = widths.iter().zip(self.widths);
        if widths.len() != self.widths.len() || pairs.into_iter().any(|(width, own)| width > own) {
            return Err(format!(
                "its widths are {widths:?}, those of class {} {:?}",
                self.name, self.widths
            ));
        }
        let within = |what: &str, values: [i32; 2], bits: u32| {
            let half = 1i32 << (bits - 1);
            match values.iter().all(|v| (-half..half).contains(v)) {
                true => Ok(()),
                false => Err(format!(
                    "its {what} of {values:?} need more than the {bits} bits of class {}",
                    self.name
                )),
            }
        };
        within("inputs", model.range.map(i32::from), self.input_bits)?;
        for activation in model.layers.iter().filter_map(|l| l.activation.as_ref()) {
            let bounds = [activation.least, activation.most];
            within("hidden values", bounds, self.hidden_bits)?;
        }
        match &model.table {
            Some(table) => self.check_table(table, within),
            None => Ok(()),
        }
    }

    fn check_table(
        &self,
        table: &Lookup,
        within: impl Fn(&str, [i32; 2], u32) -> Result<(), String>,
    ) -> Result<(), String> {
        let most = self.table_log.map_or(0, |log| 1usize << log);
        if table.values.is_empty() || table.values.len() > most {
            return Err(format!(
                "its last table has {} entries, class {} has places for {most}",
                table.values.len(),
                self.name
            ));
        }
        if table.shift > MAX_SHIFT || table.outputs > self.outputs() {
            return Err("its last table is not of its outputs".into());
        }
        within("table's first argument", [table.first, 0], self.sum_bits)?;
        let least = table.values.iter().min().copied().unwrap_or_default();
        let greatest = table.values.iter().max().copied().unwrap_or_default();
        let ends = [least, greatest].map(i32::from);
        within("table's entries", ends, ENTRY_BITS)
    }

    /// Whether the sums of every model and input of the class fit its bits, so that none is another number in the field. At
    /// equality they do: the greatest bias is one less than what is added here.
    pub(super) fn holds_sums(&self) -> bool {
        let bits = std::iter::once(self.input_bits).chain(std::iter::repeat(self.hidden_bits));
        let mut layers = self.layers().zip(bits);
        let most = 1u64 << (self.sum_bits - 1);
        layers.all(|((inputs, _), bits)| {
            ((inputs as u64) << (bits - 1 + WEIGHT_BITS - 1)) + (1 << (BIAS_BITS - 1)) <= most
        })
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
        2 + self.packed_inputs() + self.outputs().div_ceil(each(self.sum_bits))
    }

    /// Number of public inputs that hold a run's inputs.
    pub(super) fn packed_inputs(&self) -> usize {
        self.inputs().div_ceil(each(self.input_bits))
    }

    pub(super) fn pack_inputs(&self, values: &[i64]) -> Result<Vec<Fr>, Error> {
        packed("input", values, self.inputs(), self.input_bits)
    }

    pub(super) fn pack_outputs(&self, values: &[i64]) -> Result<Vec<Fr>, Error> {
        packed("output", values, self.outputs(), self.sum_bits)
    }
}

/// How many numbers of a width one field element holds.
pub(super) fn each(bits: u32) -> usize {
    (PACKED_BITS / bits) as usize
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
