use super::*;
use crate::registry::{FailureDomains, NodeStanding};
use assay_economy::failure::{Domain, Evidence, Place, Reading};
use assay_receipt::{EngineId, Microcredits, Rung};

fn said(pairs: &[(&str, &str)]) -> Standings {
    let stated = pairs.iter();
    place::read(
        &stated
            .map(|(key, text)| (key.to_string(), text.to_string()))
            .collect(),
    )
}

fn validator(index: u8, country: &str) -> CensusValidator {
    let own = format!("v{index}");
    CensusValidator {
        rpc: format!("http://{own}"),
        standings: said(&[
            ("operator", &own),
            ("asn", &(64_496 + u32::from(index)).to_string()),
            ("data_centre", &own),
            ("country", country),
            ("tee_vendor", "none"),
            ("firmware_level", "none"),
            ("software_build", &own),
        ]),
    }
}

fn node(index: u8, operator: u8, pairs: &[(&str, &str)], models: &[u8]) -> CensusNode {
    CensusNode {
        record: NodeRecord {
            node: NodeAddress::from_bytes([index; 20]),
            operator: Address::repeat_byte(operator),
            endpoint: format!("http://n{index}"),
            bond: Microcredits(1),
            standing: NodeStanding::Active,
            domains: FailureDomains::default(),
        },
        standings: said(pairs),
        revisions: models
            .iter()
            .map(|byte| RevisionId::from_bytes([*byte; 32]))
            .collect(),
    }
}

fn model(byte: u8, nodes: u32) -> ModelEntry {
    ModelEntry {
        revision: RevisionId::from_bytes([byte; 32]),
        name: format!("m{byte}"),
        published_as: Vec::new(),
        task: "t".into(),
        licence: "l".into(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        labels: Vec::new(),
        engine: EngineId::ZERO,
        replayable: true,
        rungs: vec![Rung::Signed],
        proofs: None,
        context: None,
        tool_format: None,
        nodes: Some(nodes),
    }
}

fn service<'a>(report: &'a ConcentrationReport, name: &str) -> &'a ServiceReport {
    let found = report
        .services
        .iter()
        .find(|s| s.service.name.starts_with(name));
    found.unwrap()
}

#[test]
fn validators_in_one_country_stop_consensus_together() {
    let census = Census {
        validators: vec![
            validator(0, "DE"),
            validator(1, "DE"),
            validator(2, "FR"),
            validator(3, "NL"),
        ],
        validators_in_all: 4,
        ..Census::default()
    };
    let report = report(census).unwrap();
    let now = &service(&report, "consensus").now;
    assert_eq!((now.rule, now.members, now.limit), (Rule::Quorum, 4, 2));
    assert_eq!(now.pessimistic.size.at_most, 1);
    let germany = Domain::Known {
        dimension: Dimension::Country,
        name: "DE".into(),
    };
    assert_eq!(now.pessimistic.set[0].domain, germany);
    assert_eq!(now.pessimistic.evidence, Some(Evidence::Declared));
    assert!(service(&report, "consensus").addition.is_some());
}

#[test]
fn a_validator_that_is_down_is_of_the_quorum_all_the_same() {
    let mut census = Census {
        validators: vec![validator(0, "DE"), validator(1, "FR"), validator(2, "NL")],
        validators_asked: 4,
        validators_in_all: 4,
        ..Census::default()
    };
    let three = report(census.clone()).unwrap();
    let consensus = service(&three, "consensus");
    assert_eq!(
        consensus.now.limit, 1,
        "three of four must answer: no one more may go"
    );
    assert_eq!(consensus.now.pessimistic.size.at_most, 1);
    assert_eq!(consensus.addition, None);
    census.validators.pop();
    let two = report(census.clone()).unwrap();
    assert_eq!(service(&two, "consensus").now.limit, 0, "it stands still");
    census.validators.clear();
    let none = report(census).unwrap();
    assert_eq!(service(&none, "consensus").now.limit, 0);
}

#[test]
fn validators_that_a_gateway_is_not_told_of_are_members_at_unknown_places() {
    let census = Census {
        validators: vec![validator(0, "DE")],
        validators_asked: 1,
        validators_in_all: 4,
        ..Census::default()
    };
    let report = report(census).unwrap();
    let now = &service(&report, "consensus").now;
    assert_eq!((now.members, now.limit), (4, 2));
    assert_eq!(now.pessimistic.size.at_most, 1);
    assert_eq!(
        now.pessimistic.evidence, None,
        "the three may share everything"
    );
    assert_eq!(now.optimistic.size.at_most, 2);
}

#[test]
fn what_the_chain_holds_is_registered_and_the_rest_is_a_word() {
    let mut lying = node(
        1,
        7,
        &[("operator", "someone else"), ("country", "FR")],
        &[5],
    );
    lying.record.domains.country = "DE".into();
    let census = Census {
        nodes: vec![lying],
        models: vec![model(5, 1)],
        hubs: vec![CensusHub {
            hub: NodeAddress::from_bytes([9; 20]),
            operator: Address::repeat_byte(3),
            standings: said(&[("operator", "another")]),
        }],
        ..Census::default()
    };
    let report = report(census).unwrap();
    let [node, hub] = report.members.as_slice() else {
        panic!("{:?}", report.members)
    };
    let known = |name: &str, evidence| Place::Known {
        name: name.into(),
        evidence,
    };
    let operator = known(&format!("0x{}", "07".repeat(20)), Evidence::Registered);
    assert_eq!(node.places[&Dimension::Operator], operator);
    assert_eq!(
        node.places[&Dimension::Country],
        known("DE", Evidence::Declared)
    );
    let operator = known(&format!("0x{}", "03".repeat(20)), Evidence::Registered);
    assert_eq!(hub.places[&Dimension::Operator], operator);
    let attested = |member: &Member| {
        let places = member.places.values();
        let strong = |place: &Place| matches!(place, Place::Known { evidence, .. } if *evidence > Evidence::Registered);
        places.filter(|place| strong(place)).count()
    };
    assert_eq!(report.members.iter().map(attested).sum::<usize>(), 0);
}

#[test]
fn what_is_unknown_makes_two_readings() {
    let nodes = (1..=3).map(|index| {
        let build = format!("b{index}");
        node(index, index, &[("software_build", &build)], &[5])
    });
    let census = Census {
        nodes: nodes.collect(),
        models: vec![model(5, 3)],
        ..Census::default()
    };
    let report = report(census).unwrap();
    let now = &service(&report, "model m5").now;
    assert_eq!(now.pessimistic.size.at_most, 1, "all may be in one country");
    assert_eq!(now.pessimistic.evidence, None);
    assert_eq!(now.optimistic.size.at_most, 3, "or each in its own");
    assert_eq!(now.optimistic.evidence, Some(Evidence::Registered));
}

#[test]
fn every_set_can_be_computed_again_from_the_report() {
    let nodes = (1..=6).map(|index| {
        let (build, centre) = (format!("b{}", index % 2), format!("d{}", index % 3));
        let pairs = [
            ("software_build", build.as_str()),
            ("data_centre", centre.as_str()),
            ("asn", "64496"),
            ("country", "none"),
            ("tee_vendor", "none"),
            ("firmware_level", "none"),
        ];
        node(
            index,
            index,
            &pairs,
            if index == 1 { &[5, 6, 6] } else { &[5] },
        )
    });
    let census = Census {
        nodes: nodes.collect(),
        models: vec![model(5, 6), model(6, 1)],
        ..Census::default()
    };
    let report = report(census).unwrap();
    let text = serde_json::to_string(&report).unwrap();
    let report: ConcentrationReport = serde_json::from_str(&text).unwrap();
    let network = Network::new(report.members.clone()).unwrap();
    for entry in &report.services {
        let exposure = Exposure::new(&network, &entry.service).unwrap();
        for (reading, finding) in [
            (Reading::Pessimistic, &entry.now.pessimistic),
            (Reading::Optimistic, &entry.now.optimistic),
        ] {
            assert_eq!(exposure.finding(reading, Budget::default()), *finding);
        }
    }
    assert_eq!(service(&report, "model m6").now.members, 1);
}

#[test]
fn models_of_most_nodes_are_looked_at_first_and_the_others_counted() {
    let revisions: Vec<u8> = (0..=255).collect();
    let mut models: Vec<ModelEntry> = revisions.iter().map(|byte| model(*byte, 1)).collect();
    let mut extra = model(7, 2);
    extra.revision = RevisionId::from_bytes([254; 32]);
    extra.published_as = vec!["0xab/popular".into()];
    models.push(extra);
    let census = Census {
        nodes: vec![node(1, 1, &[], &revisions)],
        models,
        ..Census::default()
    };
    let report = report(census).unwrap();
    assert_eq!(report.models_left_out, 1);
    assert_eq!(report.services.len(), 1 + MAX_MODELS);
    service(&report, "model 0xab/popular");
}
