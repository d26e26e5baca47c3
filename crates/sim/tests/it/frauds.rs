//! Each fraud alone, and what it comes to.

use assay_sim::{Dishonest, Faults, Fraud, Options, Report, run};

fn alone(fraud: Fraud) -> Report {
    let dishonest = Dishonest::These(vec![fraud]);
    let report = run(
        77,
        &Options {
            faults: Faults::Never,
            dishonest,
            ..Options::default()
        },
    );
    assert_eq!(report.failure, None, "{report}");
    assert!(report.tally.acknowledged > 10, "{report}");
    report
}

fn honest() -> Report {
    let dishonest = Dishonest::These(Vec::new());
    run(
        77,
        &Options {
            faults: Faults::Never,
            dishonest,
            ..Options::default()
        },
    )
}

#[test]
fn without_fraud_nothing_is_refused_and_only_what_was_acknowledged_settles() {
    let report = honest();
    assert_eq!(report.failure, None, "{report}");
    assert_eq!(report.tally.refused, 0, "{report}");
    assert_eq!(report.tally.settled, report.tally.acknowledged, "{report}");
    assert_eq!(report.tally.slashed, 0, "{report}");
}

#[test]
fn an_equivocator_is_slashed() {
    assert_eq!(alone(Fraud::Equivocator).tally.slashed, 1);
}

#[test]
fn a_forger_settles_nothing() {
    let report = alone(Fraud::ReceiptForger);
    assert_eq!(report.tally.settled, report.tally.acknowledged, "{report}");
    assert!(report.tally.refused > 3, "{report}");
}

#[test]
fn a_replayer_settles_nothing_of_its_own() {
    let report = alone(Fraud::ReceiptReplayer);
    assert_eq!(report.tally.settled, report.tally.acknowledged, "{report}");
    assert!(report.tally.refused > 0, "{report}");
}

#[test]
fn a_withholder_is_refused_until_it_closes_the_gap() {
    let report = alone(Fraud::Withholder);
    assert!(report.tally.refused > 1, "{report}");
    assert!(report.tally.settled > report.tally.acknowledged, "{report}");
    assert_eq!(report.tally.slashed, 0, "{report}");
}

#[test]
fn a_twin_validator_stops_nobody() {
    let report = alone(Fraud::TwinValidator);
    assert!(report.tally.height > 5, "{report}");
    assert_eq!(report.tally.settled, report.tally.acknowledged, "{report}");
}
