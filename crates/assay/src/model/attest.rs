//! `assay model attest`: a publisher's signed statement of how a model came about.

use super::lineage::identity;
use crate::{
    cli,
    complaint::{Complaint, Exit},
    output::{self, Form, Progress},
};
use anyhow::{Context as _, Result};
use assay_hub::provenance::{Dataset, Parent, Relation, Step, Tool, sign_with_account};
use assay_node::config::read_key;
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf};

/// Runs the command.
///
/// # Errors
/// A complaint about the model, or about a step that cannot be.
pub fn attest(arguments: &cli::Attest, form: Form) -> Result<Exit> {
    let key = read_key(&arguments.key)?;
    let step = step(arguments)?;
    let statement = sign_with_account(&step, &key).map_err(|error| {
        let hint = "trained has no parents, merged-from at least two, the others one";
        Complaint::usage(error).hint(hint)
    })?;
    let id = step.revision.to_string();
    let file = format!("{}.json", id.strip_prefix("0x").unwrap_or(&id));
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(&file));
    std::fs::write(&out, statement).with_context(|| out.display().to_string())?;
    let value = json!({ "revision": step.revision, "signer": key.address(), "file": out });
    form.print(&value, |_| {
        let next = format!("upload it as {file} to the branch provenance of the repository");
        output::rows(
            0,
            &[
                ("revision", id.clone()),
                ("signed by", key.address().to_string()),
                ("written", out.display().to_string()),
                ("next", next),
            ],
        )
    })?;
    Ok(Exit::Done)
}

fn step(arguments: &cli::Attest) -> Result<Step> {
    let relation = serde_json::from_value(json!(arguments.relation)).map_err(|error| {
        let hint = "one of trained, fine-tuned-from, quantised-from, merged-from, adapter-of, converted-from";
        Complaint::usage(error).hint(hint)
    });
    let relation: Relation = relation?;
    let parents = arguments.parent.iter().map(|text| parent(text));
    let parents = parents.collect::<Result<_, _>>()?;
    let datasets = arguments.dataset.iter().map(|text| dataset(text));
    let datasets = datasets.collect::<Result<_, _>>()?;
    let _wait = Progress::wait("hashing");
    let (name, revision) = identity(&arguments.model)?;
    Ok(Step {
        name,
        revision,
        relation,
        parents,
        datasets,
        tool: Tool {
            name: arguments.tool.clone(),
            version: arguments.tool_version.clone(),
            uri: None,
        },
        parameters: BTreeMap::new(),
    })
}

fn parent(text: &str) -> Result<Parent, Complaint> {
    let (repository, id) = match text.split_once('=') {
        Some((repository, id)) => (Some(repository.to_owned()), id),
        None => (None, text),
    };
    let revision = id.parse().map_err(|error| {
        let complaint = Complaint::usage(format!("--parent {text}: {error}"));
        complaint.hint("give a revision's id, or PUBLISHER/NAME=ID")
    })?;
    Ok(Parent {
        revision,
        repository,
    })
}

fn dataset(text: &str) -> Result<Dataset, Complaint> {
    let (name, digest) = text.split_once('=').ok_or_else(|| {
        let complaint = Complaint::usage(format!("--dataset {text} has no digest"));
        complaint.hint("give NAME=SHA256, 64 hex digits")
    })?;
    Ok(Dataset {
        name: name.into(),
        digest: BTreeMap::from([("sha256".to_owned(), digest.to_owned())]),
    })
}
