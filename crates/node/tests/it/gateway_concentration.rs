//! Which failures would stop what, as a gateway says it of nodes that answer.

use crate::{fake_node::Conduct, gateway_stage::Stage};
use assay_economy::failure::{Dimension, Domain, Evidence, Place};
use assay_node::api::{CONCENTRATION_PATH, ConcentrationReport, ServiceReport};
use std::time::{Duration, Instant};

fn model(report: &ConcentrationReport) -> &ServiceReport {
    let mut services = report.services.iter();
    let is_model = |entry: &&ServiceReport| entry.service.name.ends_with("/double");
    services.find(is_model).unwrap()
}

#[tokio::test]
async fn operators_are_the_chains_and_places_the_nodes_own_word() {
    let stage = Stage::set(&[Conduct::Honest, Conduct::Honest]).await;
    let report: ConcentrationReport = stage.read(CONCENTRATION_PATH).await;
    let now = &model(&report).now;
    assert_eq!((now.members, now.limit), (2, 2));
    let operator = format!("0x{}", "09".repeat(20));
    let first = &now.optimistic.set[0];
    assert_eq!(
        first.domain,
        Domain::Known {
            dimension: Dimension::Operator,
            name: operator
        }
    );
    assert_eq!(first.evidence, Some(Evidence::Registered));
    let nodes = report
        .members
        .iter()
        .filter(|member| member.name.starts_with("node "));
    for node in nodes {
        assert!(
            !node.places.contains_key(&Dimension::Country),
            "Atlantis is no country"
        );
        let centre = &node.places[&Dimension::DataCentre];
        let declared = |place: &Place| {
            matches!(place, Place::Known { name, evidence }
                if name.starts_with("centre-") && *evidence == Evidence::Declared)
        };
        assert!(declared(centre), "{centre:?}");
    }
    // Of four validators the gateway is told of one: nobody knows where the others are.
    let consensus = &report.services[0];
    assert_eq!((consensus.now.members, consensus.now.limit), (4, 2));
    assert_eq!(consensus.now.pessimistic.evidence, None);
}

#[tokio::test]
async fn a_node_that_is_gone_is_no_member() {
    let mut stage = Stage::set(&[Conduct::Honest, Conduct::Honest]).await;
    stage.nodes.pop();
    let started = Instant::now();
    loop {
        let report: ConcentrationReport = stage.read(CONCENTRATION_PATH).await;
        if model(&report).now.members == 1 {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{report:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
