//! How even is one dimension of a service?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::exposure::{Exposure, Standing};
use super::network::{Dimension, Evidence, INAPPLICABLE, UNKNOWN};

/// How the weight of a service lies in the domains of one dimension. Weights to which the dimension does not apply
/// count nowhere but in `inapplicable`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Which one.
    pub dimension: Dimension,
    /// Known domains that have a member.
    pub domains: usize,
    /// The known domain of most weight, the first of equal ones; absent where no domain is known.
    pub largest: Option<Largest>,
    /// Effective number of domains, in both readings; absent where the dimension applies to no member.
    pub effective: Option<Effective>,
    /// Weight of members whose domain is unknown.
    pub unknown: u64,
    /// Weight of members to which it does not apply.
    pub inapplicable: u64,
    /// Weight by what supports it.
    pub evidence: BTreeMap<Evidence, u64>,
}

/// 1 / HHI, the reciprocal of the sum of squared shares (Laakso and Taagepera 1979): n for n equal domains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effective {
    /// With all unknown members in one domain.
    pub pessimistic: f64,
    /// With each of them in one of its own.
    pub optimistic: f64,
}

/// The domain of most weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Largest {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: u64,
    /// Its part, from 0 to 1, of the weight to which the dimension applies.
    pub share: f64,
}

impl Exposure<'_> {
    /// How even each dimension is, in the order of [`Dimension::ALL`].
    #[must_use]
    pub fn spreads(&self) -> Vec<Spread> {
        let all = Dimension::ALL.into_iter();
        all.map(|dimension| self.spread(dimension)).collect()
    }

    fn spread(&self, dimension: Dimension) -> Spread {
        let mut weights: BTreeMap<u32, u64> = BTreeMap::new();
        let mut evidence: BTreeMap<Evidence, u64> = BTreeMap::new();
        let mut apart = Vec::new();
        for (standing, share) in self.standings.iter().zip(&self.service.shares) {
            let code = standing.places.get(dimension as usize).copied();
            let code = code.unwrap_or(UNKNOWN);
            add(&mut weights, code, standing.weight);
            if code == UNKNOWN {
                apart.push(standing.weight);
            }
            if let Some(level) = self.network.evidence(share.member, dimension) {
                add(&mut evidence, level, standing.weight);
            }
        }
        let inapplicable = weights.remove(&INAPPLICABLE).unwrap_or(0);
        let unknown = weights.remove(&UNKNOWN).unwrap_or(0);
        let applicable = self.total.saturating_sub(inapplicable);
        let largest = weights.iter().rev().max_by_key(|(_, weight)| **weight);
        let largest = largest.map(|(code, weight)| Largest {
            name: self
                .network
                .names(dimension)
                .get(*code as usize)
                .cloned()
                .unwrap_or_default(),
            weight: *weight,
            share: *weight as f64 / applicable.max(1) as f64,
        });
        let known = || weights.values().copied();
        let effective = (applicable > 0).then(|| Effective {
            pessimistic: effective(known().chain([unknown])),
            optimistic: effective(known().chain(apart)),
        });
        Spread {
            dimension,
            domains: weights.len(),
            largest,
            effective,
            unknown,
            inapplicable,
            evidence,
        }
    }
}

/// The sum of the effective numbers of these dimensions, in the pessimistic reading.
pub(super) fn evenness(standings: &[Standing], dimensions: &[Dimension]) -> f64 {
    let of = |dimension: &Dimension| {
        let mut weights: BTreeMap<u32, u64> = BTreeMap::new();
        for standing in standings {
            match standing.places.get(*dimension as usize).copied() {
                None | Some(INAPPLICABLE) => {}
                Some(code) => add(&mut weights, code, standing.weight),
            }
        }
        effective(weights.into_values())
    };
    dimensions.iter().map(of).sum()
}

fn add<K: Ord>(weights: &mut BTreeMap<K, u64>, key: K, weight: u64) {
    let sum = weights.entry(key).or_default();
    *sum = sum.saturating_add(weight);
}

/// The square of the sum over the sum of the squares.
fn effective(weights: impl Iterator<Item = u64>) -> f64 {
    let (sum, squares) = weights.fold((0u64, 0u128), |(sum, squares), weight| {
        let square = u128::from(weight).saturating_mul(u128::from(weight));
        (sum.saturating_add(weight), squares.saturating_add(square))
    });
    let sum = sum as f64;
    sum * sum / squares.max(1) as f64
}
