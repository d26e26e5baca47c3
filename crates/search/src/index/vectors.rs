//! Which documents lie near a query in meaning? Every document compared by the signs of its vector, the nearest by the
//! vector.

use super::postings::Slot;
use crate::encoder::{DIMENSIONS, Vector};

/// 64-bit words of the signs of one vector.
const WORDS: usize = DIMENSIONS / 64;

/// The vectors of all documents, by slot.
#[derive(Default)]
pub(crate) struct Vectors {
    signs: Vec<[u64; WORDS]>,
    present: Vec<bool>,
    values: Vec<Vector>,
}

fn signs(vector: &Vector) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, values) in words.iter_mut().zip(vector.values().chunks(64)) {
        *word = values.iter().zip(0..).fold(0, |word, (value, bit)| {
            word | (u64::from(*value >= 0) << bit)
        });
    }
    words
}

impl Vectors {
    pub(crate) fn insert(&mut self, slot: Slot, vector: Option<Vector>) {
        let at = slot as usize;
        if self.signs.len() <= at {
            self.signs.resize(at + 1, [0; WORDS]);
            self.present.resize(at + 1, false);
            self.values.resize(at + 1, Vector::default());
        }
        if let (Some(present), Some(code), Some(held)) = (
            self.present.get_mut(at),
            self.signs.get_mut(at),
            self.values.get_mut(at),
        ) {
            *present = vector.is_some();
            *held = vector.unwrap_or_default();
            *code = signs(held);
        }
    }

    /// The cosine of a document's vector and a query's; 0 without one.
    pub(crate) fn cosine(&self, slot: Slot, query: &Vector) -> f32 {
        self.values
            .get(slot as usize)
            .map_or(0.0, |vector| vector.cosine(query))
    }

    /// The documents whose signs are nearest, `most` at most; documents at one distance come all or none, so that their
    /// numbering cannot show. What is in `distances` is overwritten.
    pub(crate) fn nearest(
        &self,
        query: &Vector,
        most: usize,
        distances: &mut Vec<u16>,
    ) -> Vec<Slot> {
        let code = signs(query);
        let mut counts = [0_usize; DIMENSIONS + 1];
        distances.clear();
        let all = self.signs.iter().zip(&self.present);
        distances.extend(all.map(|(signs, present)| {
            let differing = signs.iter().zip(&code).map(|(a, b)| (a ^ b).count_ones());
            let distance: u32 = differing.sum();
            if *present { distance as u16 } else { u16::MAX }
        }));
        for distance in distances.iter() {
            if let Some(count) = counts.get_mut(usize::from(*distance)) {
                *count += 1;
            }
        }
        let mut all = 0;
        let within = counts
            .iter()
            .take_while(|count| {
                all += **count;
                all <= most
            })
            .count();
        let near = distances
            .iter()
            .zip(0..)
            .filter(|(distance, _)| usize::from(**distance) < within);
        near.map(|(_, slot)| slot).collect()
    }

    /// Every document's cosine, for the row of the benchmark that knows nothing else.
    pub(crate) fn all(&self, query: &Vector) -> Vec<(f32, Slot)> {
        let present = self
            .values
            .iter()
            .zip(&self.present)
            .zip(0..)
            .filter(|((_, present), _)| **present);
        present
            .map(|((vector, _), slot)| (vector.cosine(query), slot))
            .collect()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Vector>()
            + self.signs.capacity() * (size_of::<[u64; WORDS]>() + 1)
    }
}
