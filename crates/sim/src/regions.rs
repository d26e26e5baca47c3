//! Latencies between places on real continents.
//!
//! Typical published figures, not ours: medians over one year of round trips between AWS regions
//! as www.cloudping.co published them (percentile 50, one year, read 2022-04-08), in whole
//! milliseconds. One way is taken as half of a round trip. Dedicated lines are faster and home
//! connections slower.

use std::time::Duration;

/// Name of each region.
pub(crate) const REGIONS: [&str; 10] = [
    "Virginia",
    "Oregon",
    "Sao Paulo",
    "Frankfurt",
    "London",
    "Cape Town",
    "Mumbai",
    "Singapore",
    "Tokyo",
    "Sydney",
];

/// Round trip in milliseconds from a region to those before it in [`REGIONS`], and within it.
const ROUND_TRIP_MS: [&[u64]; 10] = [
    &[5],
    &[70, 3],
    &[116, 180, 4],
    &[91, 146, 205, 3],
    &[77, 133, 189, 17, 2],
    &[225, 281, 338, 166, 151, 8],
    &[188, 223, 302, 121, 113, 164, 2],
    &[215, 168, 324, 157, 171, 214, 60, 2],
    &[147, 99, 258, 225, 210, 360, 132, 74, 4],
    &[199, 141, 313, 269, 266, 413, 149, 94, 111, 3],
];

/// Region of validator `number`: one after the other, so that every continent has its share.
pub(crate) fn region_of(number: usize) -> usize {
    number % REGIONS.len()
}

/// One-way latency between two regions.
pub(crate) fn one_way(a: usize, b: usize) -> Duration {
    let row = ROUND_TRIP_MS.get(a.max(b)).copied().unwrap_or_default();
    let round_trip_ms = row.get(a.min(b)).copied().unwrap_or_default();
    Duration::from_micros(round_trip_ms.saturating_mul(500))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_a_latency_and_neighbours_are_nearer_than_antipodes() {
        assert_eq!(ROUND_TRIP_MS.len(), REGIONS.len());
        for (a, row) in ROUND_TRIP_MS.iter().enumerate() {
            assert_eq!(row.len(), a + 1);
            for b in 0..REGIONS.len() {
                assert_eq!(one_way(a, b), one_way(b, a));
                assert!(one_way(a, b) >= one_way(a, a).min(one_way(b, b)));
            }
        }
        assert!(one_way(3, 4) < one_way(5, 9));
    }
}
