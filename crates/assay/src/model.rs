//! `assay model publish|renew|show|search|pull|import|sign|verify|attest|lineage`.

mod attest;
mod import;
mod lineage;
mod publish;
mod search;
mod show;
mod signing;
mod tree;

use crate::{
    cli,
    complaint::{Complaint, Exit},
    output::{self, Form, Progress},
    zk,
};
use anyhow::{Context as _, Result};
use assay_inference::{Revision, RevisionLimits};
use assay_node::{
    api::{Dimension, ProofMode, ProofOffer, TensorEntry},
    config::read_key,
    proofs::{self, Registered},
    rpc_client::RpcClient,
    secret::Hidden,
    wallet::Wallet,
};
use serde_json::json;
use std::{path::Path, sync::Arc};

/// Runs a command about models.
///
/// # Errors
/// A complaint if the revision does not verify, or chain or gateway refuse.
pub async fn run(command: cli::Model, form: Form) -> Result<Exit> {
    match command {
        cli::Model::Publish(arguments) => publish::publish(arguments, form).await,
        cli::Model::Renew(arguments) => renew(arguments, form).await,
        cli::Model::Show(arguments) => show::show(arguments, form).await,
        cli::Model::Search(arguments) => search::run(&arguments, form).await,
        cli::Model::Pull(arguments) => crate::pull::run(arguments, form).await,
        cli::Model::Import(arguments) => import::import(arguments, form).await,
        cli::Model::Sign(arguments) => signing::sign(&arguments, form),
        cli::Model::Verify(arguments) => signing::verify(&arguments, form),
        cli::Model::Attest(arguments) => attest::attest(&arguments, form),
        cli::Model::Lineage(arguments) => lineage::lineage(&arguments, form),
    }
}

fn open(directory: &Path) -> Result<Revision> {
    let opened = Revision::open(directory, &RevisionLimits::default());
    opened.map_err(|error| {
        Complaint::failed(format!("{}: {error}", directory.display()))
            .hint("give a directory with a manifest.json and the files that it lists, unchanged")
            .into()
    })
}

/// Registers what can be proven, its weights hidden by the secret in a file that is made if it is missing.
async fn register(
    rpc: &RpcClient,
    wallet: &Wallet,
    revision: &Revision,
    secret: Option<&Path>,
) -> Result<Option<Registered>> {
    let before = proofs::registered(rpc, revision.id()).await?;
    let secret = match (secret, &before) {
        (None, _) => None,
        (Some(path), Some(registered)) => {
            hidden_by(revision, registered, path)?;
            None
        }
        (Some(path), None) => {
            // What cannot be proven is said before a secret is made for it.
            zk::provable(revision)?;
            Some(zk::known_or_fresh(path, revision)?)
        }
    };
    let _progress = Progress::wait("registering what can be proven");
    let registered = proofs::register(rpc, wallet, revision, secret).await;
    registered.context("registering the model for proofs")
}

/// The model hidden by the secret in a file, which has to be the one of what is registered.
fn hidden_by(revision: &Revision, registered: &Registered, path: &Path) -> Result<Hidden> {
    if registered.openings.is_none() {
        return Err(Complaint::failed(
            "the revision's model is registered without hidden weights, for good",
        )
        .hint(
            "publish another revision: its weights may be the same only if nobody is to know them",
        )
        .into());
    }
    let hidden = zk::hide(zk::known(path, revision)?, zk::provable(revision)?)?;
    if hidden.weights() == registered.weights.as_ref() {
        return Ok(hidden);
    }
    Err(Complaint::failed(format!(
        "{}: the registered commitment is of another secret",
        path.display()
    ))
    .hint("name the secret that the last renewal wrote, or the one of the publication")
    .into())
}

fn offer(registered: &Registered) -> ProofOffer {
    match &registered.openings {
        Some(openings) => ProofOffer {
            mode: ProofMode::ZeroKnowledge,
            proofs_left: Some(openings.proofs_left()),
        },
        None => ProofOffer {
            mode: ProofMode::Succinct,
            proofs_left: None,
        },
    }
}

fn proofs_text(offer: &ProofOffer) -> String {
    match (offer.mode, offer.proofs_left) {
        (ProofMode::Succinct, _) => "succinct: they hide nothing".into(),
        (ProofMode::ZeroKnowledge, left) => format!(
            "zero-knowledge: made to hide the weights; the chain takes {} more before a renewal",
            left.unwrap_or_default()
        ),
    }
}

async fn renew(arguments: cli::Renew, form: Form) -> Result<Exit> {
    let revision = open(&arguments.directory)?;
    let key = read_key(&arguments.key)?;
    let rpc = RpcClient::new(&[arguments.rpc])?;
    let wallet = Wallet::new(Arc::new(key), rpc.chain_id().await?);
    let none = || {
        Complaint::failed("the revision has no registered model")
            .hint("run `assay model publish` first")
    };
    let before = proofs::registered(&rpc, revision.id())
        .await?
        .ok_or_else(none)?;
    let hidden = hidden_by(&revision, &before, &arguments.secret)?;
    // One that an interrupted renewal made has its openings counted.
    let next = zk::known_or_fresh(&arguments.next, &revision)?;
    let registered = {
        let _progress = Progress::wait("committing anew and waiting for a block");
        let renewed = proofs::renew(&rpc, &wallet, revision.id(), hidden, next).await;
        renewed.context("renewing the commitment")?
    };
    let offer = offer(&registered);
    let value = json!({ "revision": revision.id(), "proofs": offer });
    form.print(&value, |_| {
        output::rows(
            0,
            &[
                ("revision", revision.id().to_string()),
                ("proofs", proofs_text(&offer)),
                (
                    "secret",
                    format!(
                        "{}; the one before it has to be kept no longer",
                        arguments.next.display()
                    ),
                ),
            ],
        )
    })?;
    Ok(Exit::Done)
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
