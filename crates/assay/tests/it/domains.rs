//! Whole failure domains are killed, and what the gateway foretold is held against what came of it.
//! `assay network drill --domains 3` is the long form.

use crate::binary::{Run, assay, port_base};
use serde_json::Value;

fn drill(slot: u16, more: &[&str]) -> (Run, Value) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("network");
    let base = port_base(slot).to_string();
    let mut words = vec!["--json", "network", "drill", "--nodes", "10"];
    words.extend(["--data", data.to_str().unwrap(), "--port-base", &base]);
    words.extend(more);
    let run = assay(&words);
    let outcome = serde_json::from_str(&run.stdout);
    let outcome = outcome.unwrap_or_else(|_| panic!("{}{}", run.stdout, run.stderr));
    (run, outcome)
}

#[test]
fn no_single_failure_stops_the_model_and_the_predicted_two_do() {
    let (run, outcome) = drill(8, &["--domains", "2"]);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    assert_eq!(outcome["prediction"]["size"], 2);
    assert_eq!(outcome["smaller"]["sets"], outcome["prediction"]["domains"]);
    for kind in ["smaller", "stopping"] {
        assert_eq!(outcome[kind]["held"], outcome[kind]["distinct"], "{kind}");
        assert!(outcome[kind]["distinct"].as_u64().unwrap() > 0, "{kind}");
    }
    let kills = outcome["kills"].as_u64().unwrap();
    assert!(kills >= 10 && outcome["restarts"] == kills, "{outcome}");
}

#[test]
fn a_node_that_is_not_where_it_says_breaks_the_prediction_and_that_is_said() {
    let two_builds = "software_build:build-0,software_build:build-1";
    let (run, outcome) = drill(9, &["--kill", two_builds, "--misplaced", "3"]);
    assert_eq!(run.status, 1, "{}{}", run.stdout, run.stderr);
    let named = &outcome["named"];
    assert_eq!(named["predicted"], "stops");
    assert_eq!(named["held"], false);
    let happened = named["happened"].as_str().unwrap();
    assert!(
        happened.starts_with("goes on: node-3 answered"),
        "{happened}"
    );
    assert_eq!(named["fell"].as_array().unwrap().len(), 9);
}

#[test]
fn a_domain_that_is_none_is_refused_before_anything_starts() {
    let run = assay(&["network", "drill", "--kill", "country:XQ"]);
    assert_eq!(run.status, 3, "{}", run.stderr);
    assert!(run.stderr.contains("country:XA"), "{}", run.stderr);
    let both = assay(&["network", "drill", "--kill", "country:XA", "--rounds", "3"]);
    assert_eq!(both.status, 3, "{}", both.stderr);
}
