//! Scores as probabilities.

use super::exp;
use crate::{elementary, lanes};

/// The scores of one row: what their exponentials sum to.
#[derive(Debug, Clone, Copy)]
pub struct Scores {
    most: f32,
    logarithm: f64,
}

impl Scores {
    /// Of these scores; the sum goes from the first to the last.
    pub fn new(scores: &[f32]) -> Self {
        let most = lanes::max(scores);
        let sum = scores
            .iter()
            .fold(0.0f64, |sum, score| sum + f64::from(exp(score - most)));
        Self {
            most,
            logarithm: elementary::ln(sum),
        }
    }

    /// The natural logarithm of the probability of what has this score.
    pub fn log_probability(&self, score: f32) -> f32 {
        (f64::from(score - self.most) - self.logarithm) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one() {
        let scores: Vec<f32> = (0..300u16).map(|i| f32::from(i % 37) - 20.0).collect();
        let of = Scores::new(&scores);
        let sum: f64 = scores
            .iter()
            .map(|score| f64::from(of.log_probability(*score)).exp())
            .sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        assert_eq!(Scores::new(&[3.0]).log_probability(3.0), 0.0);
    }
}
