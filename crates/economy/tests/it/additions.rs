//! One more node: what it is said to change is what it changes.

use assay_economy::failure::{
    Addition, Budget, Dimension, Exposure, Member, Network, Reading, Rule, Service, Share,
};

use crate::world::{Numbers, placed, service_of_all, small};

/// The size with one more member, computed on a network that has it.
fn with(network: &Network, service: &Service, member: &Member, reading: Reading) -> usize {
    let mut members = network.members().to_vec();
    let place = members.len() as u32;
    members.push(member.clone());
    let network = Network::new(members).unwrap();
    let mut service = service.clone();
    service.shares.push(Share {
        member: place,
        weight: 1,
    });
    let exposure = Exposure::new(&network, &service).unwrap();
    exposure.finding(reading, Budget::default()).size.at_most
}

fn fresh() -> Member {
    let names: Vec<String> = (0..7).map(|slot| format!("new{slot}")).collect();
    placed("new", &names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn sizes(addition: &Addition) -> [usize; 2] {
    let [low, high] = [addition.pessimistic.after, addition.optimistic.after];
    assert!(low.is_exact() && high.is_exact());
    [low.at_most, high.at_most]
}

#[test]
fn the_best_candidate_is_the_best_of_all() {
    let readings = [Reading::Pessimistic, Reading::Optimistic];
    let mut raised = 0;
    for seed in 0..400 {
        let mut numbers = Numbers(seed);
        let (network, service) = small(&mut numbers);
        let (others, _) = small(&mut numbers);
        let candidates: Vec<Member> = others
            .members()
            .iter()
            .map(|member| Member {
                name: format!("c-{}", member.name),
                places: member.places.clone(),
            })
            .collect();
        let exposure = Exposure::new(&network, &service).unwrap();
        let now = exposure.concentration(Budget::default());
        let after = |member: &Member| readings.map(|r| with(&network, &service, member, r));
        let ideal = exposure.fresh_addition(&now, Budget::default());
        assert_eq!(sizes(&ideal), after(&fresh()), "seed {seed}");
        let best = exposure
            .best_addition(&now, &candidates, Budget::default())
            .unwrap()
            .unwrap();
        let expected = candidates.iter().map(after).max().unwrap();
        assert_eq!(sizes(&best), expected, "seed {seed}");
        assert!(
            expected <= sizes(&ideal),
            "seed {seed}: nothing is better than no domain shared"
        );
        assert_eq!(best.best_possible, expected == sizes(&ideal), "seed {seed}");
        let named = candidates
            .iter()
            .find(|c| Some(&c.name) == best.candidate.as_ref())
            .unwrap();
        assert_eq!(after(named), expected, "seed {seed}");
        raised += usize::from(best.helps());
    }
    assert!(raised > 40, "{raised}");
}

#[test]
fn what_binds_is_said() {
    let members = vec![
        placed("m0", &["a", "x"]),
        placed("m1", &["b", "x"]),
        placed("m2", &["c", "x"]),
    ];
    let network = Network::new(members).unwrap();
    let service = service_of_all(&network, Rule::AtLeast(1));
    let exposure = Exposure::new(&network, &service).unwrap();
    let now = exposure.concentration(Budget::default());
    let candidates = [placed("same", &["d", "x"]), placed("other", &["a", "y"])];
    let best = exposure
        .best_addition(&now, &candidates, Budget::default())
        .unwrap()
        .unwrap();
    assert_eq!(best.candidate.as_deref(), Some("other"));
    assert_eq!(best.binding, [Dimension::Asn]);
    assert!(best.helps() && best.best_possible);
    assert_eq!(
        best.why,
        "ASN binds: 1 failure stops it now (ASN x); with `other` it takes 2 failures"
    );
    let worse = exposure
        .best_addition(&now, &candidates[..1], Budget::default())
        .unwrap()
        .unwrap();
    assert!(!worse.helps() && !worse.best_possible);
    assert_eq!(
        worse.why,
        "ASN binds: 1 failure stops it now (ASN x); with `same` no more"
    );
    assert_eq!(
        exposure
            .best_addition(&now, &[], Budget::default())
            .unwrap(),
        None
    );
    assert!(
        exposure
            .best_addition(&now, &[Member::new("")], Budget::default())
            .is_err()
    );
}
