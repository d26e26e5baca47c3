//! Networks whose answer can be seen, and descriptions that are refused.

use assay_economy::Error;
use assay_economy::failure::{
    Bounds, Budget, Dimension, Domain, Evidence, Exposure, Member, Network, Place, Reading, Rule,
    Service, Share, WEIGHT_MAX,
};

use crate::world::{placed, service_of_all};

fn exact(size: usize) -> Bounds {
    Bounds {
        at_least: size,
        at_most: size,
    }
}

fn names(set: &[assay_economy::failure::Failure]) -> Vec<String> {
    set.iter()
        .map(|failure| failure.domain.to_string())
        .collect()
}

#[test]
fn three_validators_of_seven_in_one_country_stop_consensus() {
    let places = [
        ["a", "x"],
        ["b", "x"],
        ["c", "x"],
        ["d", "y"],
        ["e", "z"],
        ["f", "w"],
        ["g", "v"],
    ];
    let members = places
        .iter()
        .zip(0..)
        .map(|(place, number)| placed(&format!("v{number}"), place));
    let network = Network::new(members.collect()).unwrap();
    let service = service_of_all(&network, Rule::Quorum);
    let exposure = Exposure::new(&network, &service).unwrap();
    // 7 = 3f + 1 with f = 2: with three lost four are left, fewer than the quorum of five.
    assert_eq!(exposure.limit(), 3);
    let answer = exposure.concentration(Budget::default());
    assert_eq!(answer.pessimistic.size, exact(1));
    assert_eq!(names(&answer.pessimistic.set), ["ASN x"]);
    assert_eq!(answer.pessimistic.sets.unwrap().counted, 1);
    assert_eq!(answer.pessimistic, answer.optimistic);
}

#[test]
fn limits_are_those_of_the_rules() {
    for (total, limit) in [(0, 0), (1, 1), (3, 1), (4, 2), (6, 2), (7, 3), (100, 34)] {
        assert_eq!(Rule::Quorum.limit(total), limit, "{total}");
    }
    for (needed, total, limit) in [(1, 5, 5), (3, 5, 3), (5, 5, 1), (6, 5, 0), (1, 0, 0)] {
        assert_eq!(
            Rule::AtLeast(needed).limit(total),
            limit,
            "{needed} of {total}"
        );
    }
}

#[test]
fn unknown_places_are_shared_in_one_reading_and_not_in_the_other() {
    // Three nodes of known operators; where they stand is known of one.
    let members = vec![
        placed("m0", &["a", "?"]),
        placed("m1", &["b", "?"]),
        placed("m2", &["c", "x"]),
    ];
    let network = Network::new(members).unwrap();
    let service = service_of_all(&network, Rule::AtLeast(1));
    let exposure = Exposure::new(&network, &service).unwrap();
    let answer = exposure.concentration(Budget::default());
    assert_eq!(answer.pessimistic.size, exact(2));
    assert_eq!(
        names(&answer.pessimistic.set),
        ["operator c", "unknown ASN"]
    );
    assert_eq!(answer.pessimistic.evidence, None);
    assert_eq!(answer.optimistic.size, exact(3));
    assert_eq!(answer.optimistic.evidence, Some(Evidence::Declared));
    let asn = &answer.spreads[Dimension::Asn as usize];
    assert_eq!((asn.domains, asn.unknown, asn.inapplicable), (1, 2, 0));
    let effective = asn.effective.unwrap();
    assert!((effective.pessimistic - 9.0 / 5.0).abs() < 1e-12);
    assert!((effective.optimistic - 3.0).abs() < 1e-12);
    let country = &answer.spreads[Dimension::Country as usize];
    assert_eq!((country.effective, country.inapplicable), (None, 3));
}

#[test]
fn members_of_which_nothing_is_known_fail_alone_at_best() {
    let network = Network::new(vec![Member::new("m0"), Member::new("m1")]).unwrap();
    let service = service_of_all(&network, Rule::AtLeast(1));
    let exposure = Exposure::new(&network, &service).unwrap();
    let answer = exposure.concentration(Budget::default());
    assert_eq!(answer.pessimistic.size, exact(1));
    // Any of the seven dimensions may be the one that they share.
    assert_eq!(answer.pessimistic.sets.unwrap().counted, 7);
    assert_eq!(names(&answer.optimistic.set), ["m0 alone", "m1 alone"]);
}

#[test]
fn the_weakest_evidence_of_a_set_is_told() {
    let by = [Evidence::Attested, Evidence::Measured, Evidence::Attested];
    let vendors = ["a", "a", "b"];
    let members = vendors
        .iter()
        .zip(by)
        .zip(0..)
        .map(|((vendor, by), number)| {
            placed(&format!("m{number}"), &[]).known(Dimension::TeeVendor, *vendor, by)
        });
    let network = Network::new(members.collect()).unwrap();
    let service = service_of_all(&network, Rule::AtLeast(1));
    let exposure = Exposure::new(&network, &service).unwrap();
    let found = exposure.finding(Reading::Optimistic, Budget::default());
    let levels: Vec<_> = found.set.iter().map(|f| (f.members, f.evidence)).collect();
    assert_eq!(
        levels,
        [(2, Some(Evidence::Measured)), (1, Some(Evidence::Attested))]
    );
    assert_eq!(found.evidence, Some(Evidence::Measured));
    let spread = &exposure.spreads()[Dimension::TeeVendor as usize];
    assert_eq!(spread.evidence[&Evidence::Attested], 2);
    let largest = spread.largest.as_ref().unwrap();
    assert_eq!((largest.name.as_str(), largest.weight), ("a", 2));
}

#[test]
fn a_service_that_stands_still_has_an_empty_set() {
    let network = Network::new(vec![placed("m0", &["a"])]).unwrap();
    for (rule, members) in [
        (Rule::AtLeast(2), 1),
        (Rule::AtLeast(1), 0),
        (Rule::Quorum, 0),
    ] {
        let service = Service::of("service", rule, 0..members);
        let exposure = Exposure::new(&network, &service).unwrap();
        let answer = exposure.concentration(Budget::default());
        assert_eq!((answer.limit, answer.pessimistic.size), (0, exact(0)));
        assert!(answer.pessimistic.set.is_empty());
        assert!(exposure.stops(&[]).unwrap());
    }
}

#[test]
fn answers_are_json_and_back() {
    let members = vec![placed("m0", &["a", "?"]), Member::new("m1")];
    let text = serde_json::to_string(&members).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Member>>(&text).unwrap(), members);
    let network = Network::new(members).unwrap();
    let service = service_of_all(&network, Rule::AtLeast(1));
    let exposure = Exposure::new(&network, &service).unwrap();
    let answer = exposure.concentration(Budget::default());
    let text = serde_json::to_string(&answer).unwrap();
    assert!(
        text.contains(r#"{"kind":"unknown","dimension":"asn"}"#),
        "{text}"
    );
    assert_eq!(
        serde_json::from_str::<assay_economy::failure::Concentration>(&text).unwrap(),
        answer
    );
}

#[test]
fn descriptions_that_make_no_sense_are_refused() {
    let twice = vec![Member::new("m"), Member::new("m")];
    assert!(matches!(
        Network::new(twice),
        Err(Error::MemberTwice { .. })
    ));
    for name in ["", "a\nb", "\u{1b}[2J", &"x".repeat(257)] {
        let refused = Network::new(vec![Member::new(name)]);
        assert!(matches!(refused, Err(Error::Name { .. })), "{name:?}");
        let place = Place::Known {
            name: name.into(),
            evidence: Evidence::Declared,
        };
        let mut member = Member::new("m");
        member.places.insert(Dimension::Operator, place);
        assert!(
            matches!(Network::new(vec![member]), Err(Error::Name { .. })),
            "{name:?}"
        );
    }
    let network = Network::new(vec![placed("m0", &["a"]), placed("m1", &["b"])]).unwrap();
    let refused = |rule, shares: &[(u32, u64)]| {
        let shares = shares.iter().map(|(member, weight)| Share {
            member: *member,
            weight: *weight,
        });
        let service = Service {
            name: "s".into(),
            rule,
            shares: shares.collect(),
        };
        Exposure::new(&network, &service).map(|_| ()).unwrap_err()
    };
    let one = Rule::AtLeast(1);
    assert!(matches!(
        refused(one, &[(2, 1)]),
        Error::NoSuchMember { .. }
    ));
    assert!(matches!(
        refused(one, &[(0, 1), (0, 1)]),
        Error::ShareTwice { .. }
    ));
    assert!(matches!(refused(one, &[(0, 0)]), Error::Weight { .. }));
    assert!(matches!(
        refused(one, &[(0, WEIGHT_MAX), (1, 1)]),
        Error::Weight { .. }
    ));
    assert!(matches!(
        refused(one, &[(0, u64::MAX), (1, u64::MAX)]),
        Error::Weight { .. }
    ));
    assert!(matches!(
        refused(Rule::AtLeast(0), &[(0, 1)]),
        Error::NeedsNothing { .. }
    ));
}

#[test]
fn a_domain_without_members_is_an_error_and_not_a_service_that_goes_on() {
    let network = Network::new(vec![placed("m0", &["a"]), placed("m1", &["b"])]).unwrap();
    let service = Service::of("model", Rule::AtLeast(1), [0]);
    let exposure = Exposure::new(&network, &service).unwrap();
    let operator = |name: &str| Domain::Known {
        dimension: Dimension::Operator,
        name: name.into(),
    };
    assert!(exposure.stops(&[operator("a")]).unwrap());
    assert_eq!(exposure.fallen(&[operator("a")]).unwrap(), [0]);
    let unknown = Domain::Unknown {
        dimension: Dimension::Asn,
    };
    let stranger = Domain::Alone {
        member: "m1".into(),
    };
    for domain in [operator("b"), operator("A"), unknown, stranger] {
        let refused = exposure.stops(&[operator("a"), domain]);
        assert!(matches!(refused, Err(Error::NoSuchDomain { .. })));
    }
}

#[test]
fn the_largest_weights_do_not_wrap() {
    let members = vec![
        placed("m0", &["a", "x", "p"]),
        placed("m1", &["b", "x", "p"]),
    ];
    let network = Network::new(members).unwrap();
    let shares = [0, 1].map(|member| Share {
        member,
        weight: WEIGHT_MAX / 2,
    });
    let service = Service {
        name: "s".into(),
        rule: Rule::Quorum,
        shares: shares.to_vec(),
    };
    let exposure = Exposure::new(&network, &service).unwrap();
    let found = exposure.finding(Reading::Pessimistic, Budget::default());
    assert_eq!((found.size, found.lost), (exact(1), WEIGHT_MAX / 2));
}

#[test]
fn the_widest_domains_are_those_that_no_other_contains() {
    let members = vec![
        placed("m0", &["a", "x"]),
        placed("m1", &["b", "x"]),
        placed("m2", &["b", "y"]),
    ];
    let network = Network::new(members).unwrap();
    let service = service_of_all(&network, Rule::AtLeast(1));
    let exposure = Exposure::new(&network, &service).unwrap();
    let words = |domains: Vec<Domain>| domains.iter().map(Domain::to_string).collect::<Vec<_>>();
    let all = words(exposure.domains(Reading::Optimistic));
    assert_eq!(all, ["operator a", "operator b", "ASN x", "ASN y"]);
    assert_eq!(
        words(exposure.widest_domains(Reading::Optimistic)),
        ["operator b", "ASN x"]
    );
}

#[test]
fn who_is_unknown_may_be_one_of_the_known_which_no_reading_sees() {
    let rows = |third| {
        vec![
            placed("m0", &["a", "x"]),
            placed("m1", &["a", "y"]),
            placed("m2", &[third, "z"]),
        ]
    };
    let size = |third| {
        let network = Network::new(rows(third)).unwrap();
        let service = service_of_all(&network, Rule::AtLeast(1));
        let exposure = Exposure::new(&network, &service).unwrap();
        exposure
            .finding(Reading::Pessimistic, Budget::default())
            .size
    };
    assert_eq!((size("?"), size("a")), (exact(2), exact(1)));
}
