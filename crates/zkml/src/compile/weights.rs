//! Where the weights go: blocks of power-of-two sizes, each at a multiple of its size.

use assay_zkml_verify::circuit::BIAS_LIMBS;

use super::Outcome;

/// Blocks in the order in which they were made; their numbers stand for their offsets until they are placed.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<(u32, Vec<i8>)>);

impl Blocks {
    fn push(&mut self, log: u32, values: Vec<i8>) -> u32 {
        self.0.push((log, values));
        self.0.len() as u32 - 1
    }

    /// A matrix of `columns` columns, padded to `2^inner` rows and `2^columns_log` columns.
    pub(super) fn matrix(
        &mut self,
        values: &[i8],
        columns: usize,
        inner: u32,
        columns_log: u32,
    ) -> u32 {
        let mut padded = vec![0; 1 << (inner + columns_log)];
        for (row, values) in padded
            .chunks_mut(1 << columns_log)
            .zip(values.chunks(columns.max(1)))
        {
            row.iter_mut()
                .zip(values)
                .for_each(|(to, from)| *to = *from);
        }
        self.push(inner + columns_log, padded)
    }

    /// A bias, in limbs.
    pub(super) fn bias(&mut self, bias: &[i64], columns_log: u32) -> Outcome<u32> {
        let columns = 1usize << columns_log;
        let mut limbs = vec![0i8; BIAS_LIMBS * columns];
        for (column, value) in bias.iter().enumerate() {
            let mut rest = *value;
            for limb in 0..BIAS_LIMBS {
                let low = rest as i8;
                limbs[limb * columns + column] = low;
                rest = (rest - i64::from(low)) >> 8;
            }
            if rest != 0 {
                return Err(format!(
                    "the bias {value} does not fit 24 bits; a smaller scale is needed"
                ));
            }
        }
        // The limbs follow each other, so the block is that of four.
        Ok(self.push(
            columns_log + BIAS_LIMBS.next_power_of_two().trailing_zeros(),
            limbs,
        ))
    }

    /// All blocks in one vector, largest first; the offset of each, and the vector's size (base-two logarithm).
    pub(super) fn place(&self) -> (Vec<i8>, Vec<u32>, u32) {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(self.0[*i].0));
        let mut offsets = vec![0; self.0.len()];
        let mut weights = Vec::new();
        for i in order {
            let (log, values) = &self.0[i];
            offsets[i] = weights.len() as u32;
            weights.extend(values);
            weights.resize(offsets[i] as usize + (1 << log), 0);
        }
        let log = weights.len().max(1).next_power_of_two().trailing_zeros();
        (weights, offsets, log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::bias;

    #[test]
    fn a_bias_comes_back_from_its_limbs() {
        let values = [
            0, 1, -1, 127, 128, -128, -129, 65_535, -8_388_608, 8_355_711,
        ];
        let mut blocks = Blocks::default();
        blocks.matrix(&[1; 4], 2, 1, 1);
        blocks.bias(&values, 4).unwrap();
        let (weights, offsets, log) = blocks.place();
        assert_eq!(offsets, [64, 0]);
        assert_eq!(log, 7);
        let back = bias(&weights, offsets[1], 4);
        assert_eq!(back[..10], values);
        assert!(Blocks::default().bias(&[1 << 24], 0).is_err());
    }
}
