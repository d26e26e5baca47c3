//! Thousands of small networks, each held against looking at every set of its domains.

use assay_economy::failure::{Budget, Domain, Exposure, Finding, Reading};

use crate::world::{Numbers, by_looking_at_all, small};

const NETWORKS: u64 = 4_000;

#[test]
fn what_is_found_is_what_looking_at_all_sets_finds() {
    let mut sizes = [0usize; 8];
    for seed in 0..NETWORKS {
        let (network, service) = small(&mut Numbers(seed));
        let exposure = Exposure::new(&network, &service).unwrap();
        let mut at_most = Vec::new();
        for reading in [Reading::Pessimistic, Reading::Optimistic] {
            if exposure.domains(reading).len() > 16 {
                continue;
            }
            let expected = by_looking_at_all(&exposure, &service, reading);
            let found = exposure.finding(reading, Budget::default());
            let size = expected[0].count_ones() as usize;
            let case = format!("seed {seed}, {reading:?}");
            assert!(found.size.is_exact(), "{case}");
            assert_eq!(found.size.at_most, size, "{case}");
            let sets = found.sets.unwrap();
            assert!(sets.complete, "{case}");
            assert_eq!(sets.counted, expected.len(), "{case}");
            check_smaller(&exposure, reading, size, &case);
            check_set(&exposure, &found, &case);
            check_is_first(&exposure.domains(reading), &found, &expected, &case);
            sizes[size.min(7)] += 1;
            at_most.push(size);
        }
        assert!(at_most.is_sorted(), "unknowns must not help, seed {seed}");
    }
    assert!(sizes[1..=4].iter().all(|count| *count > 100), "{sizes:?}");
}

fn check_set(exposure: &Exposure, found: &Finding, case: &str) {
    let set: Vec<Domain> = found.set.iter().map(|f| f.domain.clone()).collect();
    assert_eq!(set.len(), found.size.at_most, "{case}");
    assert!(exposure.stops(&set).unwrap(), "{case}");
    for left_out in 0..set.len() {
        let mut fewer = set.clone();
        fewer.remove(left_out);
        assert!(!exposure.stops(&fewer).unwrap(), "{case}");
    }
}

/// No set of the widest domains that is smaller stops the service, as a drill would try them.
fn check_smaller(exposure: &Exposure, reading: Reading, size: usize, case: &str) {
    let widest = exposure.widest_domains(reading);
    let (mut stopping, mut fewest) = (0, usize::MAX);
    for set in 0u32..1 << widest.len() {
        let chosen = (0..widest.len()).filter(|domain| set >> domain & 1 == 1);
        let chosen: Vec<Domain> = chosen.map(|domain| widest[domain].clone()).collect();
        if chosen.len() <= size && exposure.stops(&chosen).unwrap() {
            stopping += 1;
            fewest = fewest.min(chosen.len());
        }
    }
    assert!(stopping > 0 && fewest == size, "{case}");
}

fn check_is_first(domains: &[Domain], found: &Finding, expected: &[u32], case: &str) {
    let places = |set: u32| -> Vec<usize> {
        (0..domains.len())
            .filter(|domain| set >> domain & 1 == 1)
            .collect()
    };
    let first = expected.iter().map(|set| places(*set)).min().unwrap();
    let first: Vec<&Domain> = first.iter().map(|place| &domains[*place]).collect();
    let set: Vec<&Domain> = found.set.iter().map(|failure| &failure.domain).collect();
    assert_eq!(set, first, "{case}");
}

#[test]
fn bounds_hold_whatever_the_budget() {
    for seed in 0..NETWORKS / 4 {
        let (network, service) = small(&mut Numbers(seed));
        let exposure = Exposure::new(&network, &service).unwrap();
        let exact = exposure.finding(Reading::Pessimistic, Budget::default());
        for budget in [0, 1, 30, 100, 300, 1_000] {
            let found = exposure.finding(Reading::Pessimistic, Budget(budget));
            assert!(
                found.size.at_least <= exact.size.at_most,
                "seed {seed}, {budget}"
            );
            assert!(
                found.size.at_most >= exact.size.at_most,
                "seed {seed}, {budget}"
            );
            let set: Vec<Domain> = found.set.iter().map(|f| f.domain.clone()).collect();
            assert_eq!(set.len(), found.size.at_most);
            assert!(exposure.stops(&set).unwrap(), "seed {seed}, {budget}");
        }
    }
}
