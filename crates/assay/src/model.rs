//! `assay model publish|show`.

use crate::{
    cli,
    client::Gateway,
    complaint::{Complaint, Exit},
    infer::find_model,
    output::{self, Form, Progress},
};
use anyhow::{Context as _, Result};
use assay_inference::{Revision, RevisionLimits};
use assay_node::{
    api::{Dimension, ModelEntry, TensorEntry},
    config::read_key,
    proofs, registry,
    rpc_client::RpcClient,
    wallet::Wallet,
};
use serde_json::json;
use std::sync::Arc;

/// Runs a command about models.
///
/// # Errors
/// A complaint if the revision does not verify, or chain or gateway refuse.
pub async fn run(command: cli::Model, form: Form) -> Result<Exit> {
    match command {
        cli::Model::Publish(arguments) => publish(arguments, form).await,
        cli::Model::Show(arguments) => show(arguments, form).await,
    }
}

async fn publish(arguments: cli::Publish, form: Form) -> Result<Exit> {
    let directory = &arguments.directory;
    let revision = Revision::open(directory, &RevisionLimits::default()).map_err(|error| {
        Complaint::failed(format!("{}: {error}", directory.display()))
            .hint("give a directory with a manifest.json and the files that it lists, unchanged")
    })?;
    let name = revision.manifest().name.clone();
    let key = read_key(&arguments.key)?;
    let rpc = RpcClient::new(&[arguments.rpc])?;
    let wallet = Wallet::new(Arc::new(key), rpc.chain_id().await?);
    let full = format!(
        "0x{}/{name}",
        alloy_primitives::hex::encode(wallet.address())
    );
    let height = match registry::latest_revision(&rpc, wallet.address(), &name).await? {
        Some(latest) if latest == revision.id() => None,
        _ => {
            let _progress = Progress::wait("waiting for a block");
            let receipt = registry::publish_model(&rpc, &wallet, &name, revision.id()).await;
            Some(receipt.context("publishing")?.height())
        }
    };
    let provable = {
        let _progress = Progress::wait("registering what can be proven");
        let registered = proofs::register(&rpc, &wallet, &revision).await;
        registered.context("registering the model for proofs")?
    };
    let value = json!({
        "model": full, "revision": revision.id(), "block": height, "provable": provable,
    });
    form.print(&value, |_| {
        let block = height.map_or("published before".into(), |height| {
            format!("published in block {height}")
        });
        output::rows(
            0,
            &[
                ("model", full),
                ("revision", revision.id().to_string()),
                ("state", block),
                (
                    "proofs",
                    if provable {
                        "its model is registered; ask with --verify proven"
                    } else {
                        "none: its answers cannot be proven"
                    }
                    .into(),
                ),
            ],
        )
    })?;
    Ok(Exit::Done)
}

async fn show(arguments: cli::ShowModel, form: Form) -> Result<Exit> {
    let model = find_model(&Gateway::new(&arguments.gateway)?, &arguments.model).await?;
    form.print(&model, show_model)?;
    Ok(Exit::Done)
}

fn show_model(model: &ModelEntry) -> String {
    let mut rows = vec![("name", model.name.clone())];
    rows.extend(
        model
            .published_as
            .iter()
            .map(|name| ("published as", name.clone())),
    );
    rows.extend([
        ("revision", model.revision.to_string()),
        ("task", model.task.clone()),
        ("licence", model.licence.clone()),
    ]);
    rows.extend(
        model
            .inputs
            .iter()
            .map(|tensor| ("input", show_tensor(tensor))),
    );
    rows.extend(
        model
            .outputs
            .iter()
            .map(|tensor| ("output", show_tensor(tensor))),
    );
    if !model.labels.is_empty() {
        rows.push(("labels", model.labels.join(", ")));
    }
    rows.extend([
        ("engine", model.engine.to_string()),
        (
            "replayable",
            if model.replayable { "yes" } else { "no" }.into(),
        ),
        ("live nodes", model.nodes.unwrap_or_default().to_string()),
    ]);
    output::rows(0, &rows)
}

fn show_tensor(tensor: &TensorEntry) -> String {
    let length = |dimension: &Dimension| match dimension {
        Dimension::Fixed(length) => length.to_string(),
        Dimension::Named(name) => name.clone(),
        Dimension::Any(()) => "any".into(),
    };
    let shape = match &tensor.shape {
        Some(lengths) => lengths.iter().map(length).collect::<Vec<_>>().join(", "),
        None => "any shape".into(),
    };
    format!("{} {}[{shape}]", tensor.name, tensor.dtype)
}
