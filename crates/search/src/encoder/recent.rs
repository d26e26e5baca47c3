//! Vectors of the texts that were encoded last: the pages and filters of one search ask for the same text again and again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Vector;

/// Texts that are kept.
const KEPT: usize = 1_024;

#[derive(Default)]
struct Kept {
    vectors: HashMap<Box<str>, (u64, Vector)>,
    turn: u64,
}

/// The vectors, by text; the half that was asked for least recently goes when there are too many.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Kept>);

impl Recent {
    /// The vector of a text: the one that is kept, or what `encode` gives.
    pub(crate) fn get(&self, text: &str, encode: impl FnOnce(&str) -> Vector) -> Vector {
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut kept = kept();
            kept.turn += 1;
            let turn = kept.turn;
            if let Some((asked, vector)) = kept.vectors.get_mut(text) {
                *asked = turn;
                return vector.clone();
            }
        }
        // Others look meanwhile; two who encode one text at once get the same.
        let vector = encode(text);
        let mut kept = kept();
        if kept.vectors.len() >= KEPT {
            let mut turns: Vec<u64> = kept.vectors.values().map(|(asked, _)| *asked).collect();
            let (_, middle, _) = turns.select_nth_unstable(KEPT / 2);
            let middle = *middle;
            kept.vectors.retain(|_, (asked, _)| *asked > middle);
        }
        let turn = kept.turn;
        kept.vectors.insert(text.into(), (turn, vector.clone()));
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_last_is_kept() {
        let recent = Recent::default();
        let of = |number: usize| Vector::of(&[number as f32, 1.0]);
        let mut encoded = 0;
        let mut ask = |number: usize| {
            let vector = recent.get(&number.to_string(), |_| {
                encoded += 1;
                of(number)
            });
            assert_eq!(vector, of(number));
            encoded
        };
        assert_eq!((ask(0), ask(0)), (1, 1));
        for number in 1..KEPT {
            ask(number);
        }
        // The first is used again, so that others go before it.
        assert_eq!(ask(0), KEPT);
        assert_eq!(ask(KEPT), KEPT + 1);
        assert_eq!(ask(0), KEPT + 1);
        assert_eq!(ask(1), KEPT + 2);
        let held = recent.0.lock().unwrap().vectors.len();
        assert!(held <= KEPT, "{held}");
    }
}
