//! `assay network health`: who answers, and which failures would stop what.

use crate::{
    cli,
    client::Gateway,
    complaint::Exit,
    output::{self, Form, Progress},
};
use anyhow::Result;
use assay_economy::failure::{Concentration, report};
use assay_node::api::{ConcentrationReport, NetworkReport};
use serde::Serialize;
use std::time::Duration;
use tokio::time::sleep;

/// The chain is looked at twice, so far apart that it must have moved in between.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Services of which all is shown as text.
const DETAILED: usize = 8;

/// How a network is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Vitals {
    /// Whether it answers and settles now.
    working: bool,
    height: u64,
    /// Blocks between two looks.
    blocks_per_second: f64,
    live_validators: usize,
    live_nodes: usize,
    /// Validators that must answer for the chain to go on: more than two thirds.
    needed_validators: usize,
    report: NetworkReport,
    /// Which failures would stop what.
    concentration: ConcentrationReport,
}

/// Shows who answers and whether the chain moves; fails where the network does not work.
///
/// # Errors
/// A complaint if no gateway answers.
pub async fn health(arguments: cli::Health, form: Form) -> Result<Exit> {
    let gateway = Gateway::new(&arguments.gateway)?;
    let before = gateway.network().await?;
    let progress = Progress::wait("watching the chain");
    sleep(LOOK_AGAIN).await;
    drop(progress);
    let concentration = gateway.concentration().await?;
    let vitals = vitals(&before, gateway.network().await?, concentration);
    form.print(&vitals, show)?;
    Ok(if vitals.working {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn vitals(
    before: &NetworkReport,
    report: NetworkReport,
    concentration: ConcentrationReport,
) -> Vitals {
    let blocks = report.height.saturating_sub(before.height);
    let live_validators = report
        .validators
        .iter()
        .filter(|validator| validator.live)
        .count();
    let live_nodes = report.nodes.iter().filter(|node| node.live).count();
    // n - f with f = (n - 1) / 3 (Castro and Liskov 1999).
    let faults = report.validators.len().saturating_sub(1) / 3;
    Vitals {
        working: blocks > 0 && live_nodes > 0,
        height: report.height,
        blocks_per_second: blocks as f64 / LOOK_AGAIN.as_secs_f64(),
        live_validators,
        live_nodes,
        needed_validators: report.validators.len().saturating_sub(faults),
        report,
        concentration,
    }
}

fn show(vitals: &Vitals) -> String {
    let (report, concentration) = (&vitals.report, &vitals.concentration);
    let (validators, nodes) = (report.validators.len(), report.nodes.len());
    let verdict = if vitals.working {
        "working"
    } else {
        "not working"
    };
    let chain = format!(
        "block {}, {:.1} blocks/s",
        vitals.height, vitals.blocks_per_second
    );
    let live_validators = format!(
        "{} of {validators} answer; {} must",
        vitals.live_validators, vitals.needed_validators
    );
    let mut rows = vec![
        (
            "network".to_owned(),
            format!("{} ({}), {verdict}", report.network.name, report.id),
        ),
        ("chain".to_owned(), chain),
        ("validators".to_owned(), live_validators),
    ];
    rows.extend(report.validators.iter().map(|validator| {
        let state = match (validator.live, validator.height) {
            (true, Some(height)) => format!("live, block {height}"),
            _ => "does not answer".into(),
        };
        (format!("  {}", validator.rpc), state)
    }));
    rows.push((
        "nodes".to_owned(),
        format!("{} of {nodes} answer", vitals.live_nodes),
    ));
    rows.extend(report.nodes.iter().map(|node| {
        let live = if node.live { "live" } else { "does not answer" };
        let models = node.revisions.len();
        (
            format!("  {}", node.endpoint),
            format!("{live}, {}, {models} models", node.status),
        )
    }));
    let vitals = output::rows(0, &rows);
    format!("{vitals}\n\n{}", show_concentration(concentration))
}

/// Which failures would stop what: a line for each service, then all that is known of some of them.
fn show_concentration(concentration: &ConcentrationReport) -> String {
    let services = concentration.services.iter();
    let answers: Vec<Concentration> = services.clone().map(|entry| entry.now.clone()).collect();
    let mut parts = vec![format!(
        "failures that stop it, of those who answer now\n{}",
        report::summary(&answers)
    )];
    let details = services.take(DETAILED);
    parts.extend(details.map(|entry| report::detail(&entry.now, entry.addition.as_ref())));
    let mut rest = Vec::new();
    let more = answers.len().saturating_sub(DETAILED);
    if more > 0 {
        rest.push(format!("{more} more services: --json has all of each"));
    }
    if concentration.models_left_out > 0 {
        let models = concentration.models_left_out;
        rest.push(format!("{models} more models were not looked at"));
    }
    rest.extend(
        concentration
            .not_covered
            .iter()
            .map(|what| format!("not covered: {what}")),
    );
    parts.push(rest.join("\n"));
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_chain::light::Network;
    use assay_economy::failure::{self, Budget, Exposure, Member, Rule, Service};
    use assay_node::api::{ServiceReport, ValidatorReport};

    fn report(height: u64, live: usize) -> NetworkReport {
        let network = Network {
            name: "t".into(),
            chain_id: 1,
            genesis: Default::default(),
            public_key: Default::default(),
        };
        let validators = (0..4).map(|index| ValidatorReport {
            rpc: format!("http://v{index}"),
            live: index < live,
            height: (index < live).then_some(height),
        });
        NetworkReport {
            id: network.id(),
            network,
            height,
            timestamp_ms: 0,
            validators: validators.collect(),
            nodes: Vec::new(),
            rungs: Vec::new(),
        }
    }

    fn unknown() -> ConcentrationReport {
        let members = (0..3).map(|index| Member::new(format!("node {index}")));
        let members: Vec<Member> = members.collect();
        let network = failure::Network::new(members.clone()).unwrap();
        let service = Service::of("model m", Rule::AtLeast(1), 0..3);
        let exposure = Exposure::new(&network, &service).unwrap();
        let now = exposure.concentration(Budget::default());
        let addition = Some(exposure.fresh_addition(&now, Budget::default()));
        let entry = ServiceReport {
            now,
            addition,
            service: service.clone(),
        };
        ConcentrationReport {
            height: 5,
            timestamp_ms: 0,
            members,
            services: vec![entry; DETAILED + 1],
            models_left_out: 2,
            not_covered: vec!["gateways: why".into()],
        }
    }

    #[test]
    fn places_that_nobody_knows_make_two_numbers_and_are_said_to_be_unknown() {
        let text = show_concentration(&unknown());
        for said in [
            "model m  1 failure, 3 failures if what is unknown is shared by none",
            "if unknowns are shared",
            "if they are not",
            "unknown for all",
            "one more node",
            "1 more services: --json has all of each",
            "2 more models were not looked at",
            "not covered: gateways: why",
        ] {
            assert!(text.contains(said), "{said}\n{text}");
        }
    }

    #[test]
    fn a_chain_that_stands_still_is_not_working() {
        let vitals = vitals(&report(5, 4), report(5, 2), unknown());
        assert!(!vitals.working);
        assert_eq!((vitals.live_validators, vitals.needed_validators), (2, 3));
        let text = show(&vitals);
        assert!(
            text.contains("not working") && text.contains("2 of 4 answer; 3 must"),
            "{text}"
        );
    }
}
