//! A table of one vector a token, distilled from the encoder: a text is the sum of its tokens' vectors.
//!
//! As in Tulkens and van Dongen, "Model2Vec" (2024): each token is encoded by itself, what all have in common is taken
//! away, and frequent tokens, which come first in the vocabulary, count less.

use super::kernel::Rows;
use super::wordpiece::Vocabulary;
use super::{DIMENSIONS, Encoder, TOKENS_MAX, Vector};
use crate::{Error, numeric};

/// The first bytes of a table's file.
const MAGIC: &[u8] = b"assay static table v1\n";

/// One vector a token.
pub struct Table {
    vocabulary: Vocabulary,
    rows: Rows,
    digest: [u8; 32],
}

impl Table {
    /// Encodes every token of the encoder's vocabulary by itself; minutes of computing, once. Gives the table's file.
    #[must_use]
    pub fn distilled(encoder: &Encoder) -> Vec<u8> {
        let count = encoder.vocabulary.len();
        let mut rows: Vec<f32> = Vec::with_capacity(count * DIMENSIONS);
        for token in 0..count {
            let token = u32::try_from(token).unwrap_or_default();
            let mut row = encoder.encode_tokens(&encoder.vocabulary.around(token));
            unit(&mut row);
            rows.extend(row);
        }
        let mut mean = vec![0.0_f32; DIMENSIONS];
        for row in rows.chunks(DIMENSIONS) {
            mean.iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += value / count as f32);
        }
        for (row, rank) in rows.chunks_mut(DIMENSIONS).zip(1_u32..) {
            let weight = numeric::ln(1.0 + f64::from(rank)) as f32;
            row.iter_mut()
                .zip(&mean)
                .for_each(|(value, mean)| *value = (*value - mean) * weight);
        }
        let rows = Rows::of(&rows, DIMENSIONS);
        let (values, scales) = rows.parts();
        let mut file = MAGIC.to_vec();
        file.extend((count as u32).to_le_bytes());
        file.extend(scales.iter().flat_map(|scale| scale.to_le_bytes()));
        file.extend(
            values
                .iter()
                .map(|value| value.to_le_bytes())
                .map(|[byte]| byte),
        );
        file
    }

    /// Reads a table's file, and the vocabulary of its encoder.
    ///
    /// # Errors
    /// [`Error::Weights`] when the file is not a table of that vocabulary.
    pub fn new(file: &[u8], vocabulary: &[u8]) -> Result<Self, Error> {
        let bad = || Error::weights("not a static table of this vocabulary");
        let vocabulary = Vocabulary::of(vocabulary)?;
        let rest = file.strip_prefix(MAGIC).ok_or_else(bad)?;
        let (count, rest) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
        let count = u32::from_le_bytes(*count) as usize;
        if count != vocabulary.len() || rest.len() != count * (4 + DIMENSIONS) {
            return Err(bad());
        }
        let (scales, values) = rest.split_at_checked(count * 4).ok_or_else(bad)?;
        let (fours, _) = scales.as_chunks::<4>();
        let scales: Vec<f32> = fours.iter().map(|four| f32::from_le_bytes(*four)).collect();
        if scales.iter().any(|scale| !scale.is_finite()) {
            return Err(bad());
        }
        let values = values
            .iter()
            .map(|byte| i8::from_le_bytes([*byte]))
            .collect();
        let mut hasher = blake3::Hasher::new_derive_key("assay.network search table v1");
        hasher.update(blake3::hash(file).as_bytes());
        vocabulary.hash_into(&mut hasher);
        let digest = *hasher.finalize().as_bytes();
        Ok(Self {
            vocabulary,
            rows: Rows::from_parts(values, scales, DIMENSIONS),
            digest,
        })
    }

    /// The meaning of a text.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vector {
        let tokens = self.vocabulary.tokens(text, TOKENS_MAX);
        let mut sum = vec![0.0_f32; DIMENSIONS];
        let inner = tokens.len().saturating_sub(2);
        for token in tokens.iter().skip(1).take(inner) {
            sum.iter_mut()
                .zip(self.rows.row(*token as usize))
                .for_each(|(sum, value)| *sum += value);
        }
        Vector::of(&sum)
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

fn unit(row: &mut [f32]) {
    let square: f32 = row.iter().map(|value| value * value).sum();
    let factor = if square > 0.0 {
        1.0 / square.sqrt()
    } else {
        0.0
    };
    row.iter_mut().for_each(|value| *value *= factor);
}
