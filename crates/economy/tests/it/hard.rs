//! Instances made to be hard: bounds must hold, and what is called exact must be.

use assay_economy::failure::{Budget, Domain, Exposure, Network, Reading, Rule, Service};

use crate::world::{Numbers, placed, service_of_all};

/// Two domains of one dimension cover all; the largest domains of another dimension lure a greedy choice away from them
/// (the gap instance of set cover: Chvátal 1979).
#[test]
fn a_lure_for_greedy_choices_is_seen_through() {
    let mut members = Vec::new();
    for block in 0..9u32 {
        for number in 0..1u32 << block {
            for half in ["left", "right"] {
                let name = format!("m-{block}-{number}-{half}");
                members.push(placed(&name, &[half, &format!("block{block}")]));
            }
        }
    }
    let network = Network::new(members).unwrap();
    let service = service_of_all(&network, Rule::AtLeast(1));
    let exposure = Exposure::new(&network, &service).unwrap();
    let found = exposure.finding(Reading::Optimistic, Budget::default());
    assert_eq!((found.size.at_least, found.size.at_most), (2, 2));
}

/// Members at the points of a grid, domains its rows, columns and diagonals: to take a third of 24 by 24 points needs
/// many lines that all look alike.
fn grid(side: usize) -> Network {
    let points = (0..side).flat_map(|x| (0..side).map(move |y| (x, y)));
    let members = points.map(|(x, y)| {
        let lines = [x, y, (x + y) % side, (x + 2 * y) % side, (x + 3 * y) % side];
        let lines = lines.map(|line| format!("line{line}"));
        placed(&format!("m-{x}-{y}"), &lines.each_ref().map(String::as_str))
    });
    Network::new(members.collect()).unwrap()
}

#[test]
fn lines_of_a_grid_are_bounded_within_the_budget() {
    let network = grid(24);
    for rule in [Rule::Quorum, Rule::AtLeast(1), Rule::AtLeast(200)] {
        let service = service_of_all(&network, rule);
        let exposure = Exposure::new(&network, &service).unwrap();
        let found = exposure.finding(Reading::Optimistic, Budget(5_000_000));
        let (low, high) = (found.size.at_least, found.size.at_most);
        // Each line takes 24 points at most, and disjoint ones, all of one kind, are as good as it gets.
        let best = (exposure.limit() as usize).div_ceil(24);
        assert!(low <= best && best <= high, "{low} to {high}, {best}");
        assert_eq!(high, best, "{rule:?}");
        assert!(low + 2 >= best, "{low} to {high}");
        stops_and_needs_all(
            &exposure,
            &found
                .set
                .iter()
                .map(|f| f.domain.clone())
                .collect::<Vec<_>>(),
        );
    }
}

fn stops_and_needs_all(exposure: &Exposure, set: &[Domain]) {
    assert!(exposure.stops(set).unwrap());
    for left_out in 0..set.len() {
        let mut fewer = set.to_vec();
        fewer.remove(left_out);
        assert!(!exposure.stops(&fewer).unwrap());
    }
}

/// Members spread at random over many alike domains in all dimensions: nothing dominates, nothing is large.
fn noise(members: usize, domains: u64, seed: u64) -> Network {
    let mut numbers = Numbers(seed);
    let members = (0..members).map(|number| {
        let names: Vec<String> = (0..7)
            .map(|_| format!("d{}", numbers.below(domains)))
            .collect();
        placed(
            &format!("m{number}"),
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    });
    Network::new(members.collect()).unwrap()
}

#[test]
fn noise_is_answered_by_bounds_that_hold_and_the_same_each_time() {
    let mut exact = 0;
    for (members, domains, seed) in [(60, 4, 1), (200, 6, 2), (400, 12, 3), (400, 40, 4)] {
        let network = noise(members, domains, seed);
        for rule in [Rule::Quorum, Rule::AtLeast(1)] {
            let service = service_of_all(&network, rule);
            let exposure = Exposure::new(&network, &service).unwrap();
            let found = exposure.finding(Reading::Optimistic, Budget(20_000_000));
            assert!(found.size.at_least <= found.size.at_most);
            assert_eq!(
                found,
                exposure.finding(Reading::Optimistic, Budget(20_000_000))
            );
            let all_of_one_kind = domains as usize;
            assert!(found.size.at_most <= all_of_one_kind);
            assert_eq!(found.sets.is_some(), found.size.is_exact());
            let set: Vec<Domain> = found.set.iter().map(|f| f.domain.clone()).collect();
            stops_and_needs_all(&exposure, &set);
            exact += usize::from(found.size.is_exact());
        }
    }
    assert!(
        (4..8).contains(&exact),
        "{exact} of 8: some are easy, some are not"
    );
}

/// A thousand members of which nothing is known, all alike: no set of them is tried in more than one order.
#[test]
fn a_thousand_lonely_members_are_no_work() {
    let members: Vec<_> = (0..1_000)
        .map(|number| placed(&format!("m{number}"), &[]))
        .collect();
    let network = Network::new(members).unwrap();
    for (rule, size) in [
        (Rule::Quorum, 334),
        (Rule::AtLeast(1), 1_000),
        (Rule::AtLeast(990), 11),
    ] {
        let service = service_of_all(&network, rule);
        let exposure = Exposure::new(&network, &service).unwrap();
        let found = exposure.finding(Reading::Optimistic, Budget(5_000_000));
        assert_eq!((found.size.at_least, found.size.at_most), (size, size));
    }
}

/// Weights of which many sums lie close to each other: 30 members alone, half of all weight is to be lost.
#[test]
fn sums_that_lie_close_are_told_apart() {
    let members: Vec<_> = (0..30)
        .map(|number| placed(&format!("m{number}"), &[]))
        .collect();
    let network = Network::new(members).unwrap();
    let shares = (0..30u32).map(|member| assay_economy::failure::Share {
        member,
        weight: 1_000_000 + u64::from(member),
    });
    let service = Service {
        name: "s".into(),
        rule: Rule::AtLeast(15_000_000),
        shares: shares.collect(),
    };
    let exposure = Exposure::new(&network, &service).unwrap();
    let found = exposure.finding(Reading::Optimistic, Budget::default());
    let limit = exposure.limit();
    let mut sum = 0;
    let heaviest = (0..30u64).rev().map(|number| 1_000_000 + number);
    let size = 1 + heaviest
        .take_while(|weight| {
            sum += weight;
            sum < limit
        })
        .count();
    assert_eq!((found.size.at_least, found.size.at_most), (size, size));
}
