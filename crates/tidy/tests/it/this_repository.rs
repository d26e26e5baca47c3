//! This repository keeps its own rules.

use std::path::Path;

use assay_tidy::{Finding, Repository, Rule};

fn findings() -> Vec<Finding> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let repository = Repository::load(&root).expect("a checkout that compiles");
    assert!(
        repository.production().count() > 20,
        "the checkout was not found: too few sources"
    );
    assay_tidy::check(&repository).expect("a readable list of exemptions")
}

/// One test a family, so that a failure says in its name what to look at.
fn keeps(rules: &[Rule]) {
    let broken: Vec<String> = findings()
        .into_iter()
        .filter(|finding| rules.contains(&finding.rule))
        .map(|finding| finding.to_string())
        .collect();
    assert!(
        broken.is_empty(),
        "{} to repair:\n{}\n",
        broken.len(),
        broken.join("\n")
    );
}

#[test]
fn dependencies_point_down_the_stack() {
    keeps(&[Rule::Layer]);
}

#[test]
fn cores_are_pure() {
    keeps(&[Rule::Purity]);
}

#[test]
fn functions_and_files_are_short() {
    keeps(&[Rule::FunctionLength, Rule::FileLength]);
}

#[test]
fn panics_are_rare_and_explained() {
    keeps(&[Rule::Panic]);
}

#[test]
fn crates_and_their_surface_are_documented() {
    keeps(&[Rule::Header, Rule::Documented, Rule::Readme]);
}

#[test]
fn wire_types_are_frozen() {
    keeps(&[Rule::Vectors]);
}

#[test]
fn files_hold_no_leftovers() {
    keeps(&[Rule::Words]);
}

#[test]
fn names_say_what_a_thing_is() {
    keeps(&[Rule::Names]);
}

#[test]
fn dependencies_are_declared_once_and_code_is_safe() {
    keeps(&[Rule::Manifest, Rule::Unsafe]);
}

#[test]
fn links_lead_somewhere() {
    keeps(&[Rule::Links]);
}

#[test]
fn every_exemption_is_needed() {
    keeps(&[Rule::Exemption]);
}
