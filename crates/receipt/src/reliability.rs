//! The reliability statement: is the answer any good? Evidence beside the receipt, never inside its proof.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A share in millionths, 0 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Millionths(u32);

impl Millionths {
    /// The whole.
    pub const ONE: Self = Self(1_000_000);

    /// The number of millionths.
    pub fn value(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Millionths {
    type Error = Error;

    /// Errs with [`Error::OutOfBounds`] above 1,000,000.
    fn try_from(value: u32) -> Result<Self, Error> {
        if value <= Self::ONE.0 {
            return Ok(Self(value));
        }
        let max = Self::ONE.0.into();
        Err(Error::OutOfBounds {
            what: "millionths",
            found: value.into(),
            min: 0,
            max,
        })
    }
}

impl From<Millionths> for u32 {
    fn from(share: Millionths) -> Self {
        share.0
    }
}

/// The share of right answers on a committed evaluation, with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    right: u64,
    asked: u64,
    low: Millionths,
    high: Millionths,
}

impl Accuracy {
    /// `right` of `asked` cases, and the interval at the level that the evaluation states.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] for no cases or more right ones than cases; [`Error::NotCanonical`] where the measured share is outside the interval.
    pub fn new(right: u64, asked: u64, interval: (Millionths, Millionths)) -> Result<Self, Error> {
        if asked == 0 || right > asked {
            return Err(Error::OutOfBounds {
                what: "right answers",
                found: right,
                min: 0,
                max: asked,
            });
        }
        let (low, high) = interval;
        let scaled = u128::from(right).saturating_mul(Millionths::ONE.0.into());
        let bound = |share: Millionths| u128::from(share.0).saturating_mul(asked.into());
        if bound(low) <= scaled && scaled <= bound(high) {
            return Ok(Self {
                right,
                asked,
                low,
                high,
            });
        }
        Err(Error::NotCanonical {
            what: "accuracy",
            rule: "the interval holds the measured share",
        })
    }

    /// Cases answered right.
    pub fn right(&self) -> u64 {
        self.right
    }

    /// Cases asked.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// The interval, both ends included.
    pub fn interval(&self) -> (Millionths, Millionths) {
        (self.low, self.high)
    }
}

/// What is known about how good a revision's answers are. It says nothing about whether a computation took place.
///
/// ```compile_fail
/// fn vouch(statement: assay_receipt::ReliabilityStatement) -> assay_receipt::ComputationVerdict {
///     statement.into()
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReliabilityStatement {
    /// Nothing was measured; what every page shows until something is.
    #[default]
    Unknown,
    /// Accuracy measured on a committed evaluation.
    Measured(Accuracy),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(value: u32) -> Millionths {
        Millionths::try_from(value).unwrap()
    }

    #[test]
    fn the_interval_holds_the_share() {
        assert!(Accuracy::new(90, 100, (share(850_000), share(950_000))).is_ok());
        assert!(Accuracy::new(0, 1, (share(0), share(0))).is_ok());
        assert!(Accuracy::new(90, 100, (share(910_000), share(950_000))).is_err());
        assert!(Accuracy::new(90, 100, (share(850_000), share(890_000))).is_err());
        assert!(Accuracy::new(u64::MAX, u64::MAX, (Millionths::ONE, Millionths::ONE)).is_ok());
    }

    #[test]
    fn impossible_counts_are_refused() {
        assert!(Accuracy::new(0, 0, (share(0), share(1))).is_err());
        assert!(Accuracy::new(2, 1, (share(0), Millionths::ONE)).is_err());
        assert!(Millionths::try_from(1_000_001).is_err());
        assert_eq!(
            ReliabilityStatement::default(),
            ReliabilityStatement::Unknown
        );
    }
}
